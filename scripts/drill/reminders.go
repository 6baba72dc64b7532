package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dangri/model"
	"dangri/scripts/rig"
	"dangri/wechat"
	"dangri/wechat/sim"
)

// phones is the simulator as a process of its own, with a phone for each of
// the first people of the town.
type phones struct {
	address string
	client  *http.Client
	openIDs []string
}

// The mini-program of the drill.
const (
	drillAppID  = "wxd0000000000000d1"
	drillSecret = "drilldrilldrilldrilldrilldrill01"
	drillToken  = "drill-push"
	drillAESKey = "DrillDrillDrillDrillDrillDrillDrillDrillDr1"
)

const sendEndpoint = "cgi-bin/message/subscribe/send"

var reminderTemplate = sim.TemplateID(sim.ActivityReminder)

// reminders lets everybody of some branches allow a message, publishes an
// activity whose reminder is due at once, and while these go out lets three in
// ten calls fail, loses events and kills the senders. Then it compares what the
// phones show with what is on record.
func (s *stage) reminders(ctx context.Context) error {
	people := 1000
	if s.long {
		people = 5000
	}
	product := s.product.On(s.stores.DSN, s.stores.Redis).With("DANGRI_WECHAT_APP_ID="+drillAppID, "DANGRI_WECHAT_APP_SECRET="+drillSecret,
		"DANGRI_WECHAT_PUSH_TOKEN="+drillToken, "DANGRI_WECHAT_ENCODING_AES_KEY="+drillAESKey, "DANGRI_QUIET_HOURS=00:00-00:00")
	simulator := product
	simulator.Args = []string{"sim", "--addr", "127.0.0.1:0"}
	process, err := simulator.Start(ctx)
	if err != nil {
		return err
	}
	defer process.Kill()
	p := &phones{address: process.Address, client: &http.Client{Timeout: 60 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}}
	if err := p.hand(people+400, func(i int, openID string) error {
		return s.stores.DB.Model(&model.Account{}).Where("id = ?", i+1).Update("openid", openID).Error
	}); err != nil {
		return err
	}
	for _, table := range []string{"reminders", "consents"} { // this platform has heard of none
		if err := s.stores.DB.WithContext(ctx).Exec("DELETE FROM " + table).Error; err != nil {
			return fmt.Errorf("empty %s: %w", table, err)
		}
	}
	if err := s.emptyRedis(ctx); err != nil { // sessions that know the people's WeChats of before
		return err
	}
	if err := s.blindRetries(ctx, p, people); err != nil {
		return err
	}
	if err := s.open(ctx, product.With("DANGRI_WECHAT_BASE_URL=http://"+p.address), "reminders", 2); err != nil {
		return err
	}
	report := s.reportTo(p)
	report(0)
	defer beside(ctx, func(ctx context.Context) { every(ctx, 100*time.Millisecond, report) })()
	allowed, err := s.allow(ctx, p, people)
	if err != nil {
		return err
	}
	if err := p.arm(people); err != nil {
		return err
	}
	first, err := s.publishToAll(people)
	if err != nil {
		return err
	}
	var calm atomic.Bool
	restarts := s.supervise(ctx, func(n int) rig.Program {
		if calm.Load() {
			return s.program
		}
		return s.program.With(fmt.Sprintf("DANGRI_TEST_FAULTS=after_wechat_call:%d", 20+7*n))
	})
	endKills := beside(ctx, func(ctx context.Context) { every(ctx, 3*time.Second, s.killNext) })
	time.Sleep(20 * time.Second) // of kills and faults
	endKills()
	calm.Store(true)
	for i := range s.replicas {
		s.killNext(i) // the next start is without faults
	}
	s.check(restarts() >= 5, "发送的进程死了 %d 次", restarts())
	if !s.long {
		defer beside(ctx, s.hastenDoubts)()
	}
	err = rig.Until(ctx, 15*time.Minute, "every reminder has an outcome", func() bool {
		var open int64
		return s.stores.DB.Model(&model.Reminder{}).Where("activity_id >= ? AND kind = ? AND (state IN ? OR state = ? AND reason <> ?)", first, model.HourBefore,
			[]model.ReminderState{model.Attempting, model.Unknown}, model.Queued, model.NoConsent).Count(&open).Error == nil && open == 0
	})
	s.check(err == nil, "每条提醒都有了结果")
	if err := p.ask("/_sim/faults", nil, nil, http.MethodDelete); err != nil {
		return err
	}
	if err := p.ask("/_sim/release", nil, nil); err != nil {
		return err
	}
	if err := p.ask("/_sim/drain", nil, nil); err != nil {
		return err
	}
	if err := s.compare(p, first, allowed); err != nil {
		return err
	}
	if err := s.speed(ctx, p, people); err != nil {
		return err
	}
	return s.backlog(ctx, first)
}

// hastenDoubts ends the wait for the platform's event about a call in doubt
// after half a minute: here none comes later than that, and four waits of two
// minutes would be half of all drills.
func (s *stage) hastenDoubts(ctx context.Context) {
	every(ctx, time.Second, func(int) {
		now := time.Now().UTC()
		err := s.stores.DB.WithContext(ctx).Model(&model.Reminder{}).
			Where("state = ? AND next_at > ? AND next_at < ?", model.Unknown, now, now.Add(model.EventWait-30*time.Second)).Update("next_at", now).Error
		if err != nil {
			s.history.event("doubts are not hastened: %v", err)
		}
	})
}

// reportTo lets the simulator report to a replica that serves.
func (s *stage) reportTo(p *phones) func(int) {
	last := ""
	return func(int) {
		for _, r := range s.replicas {
			if a := r.address(); a != "" {
				if a != last && p.ask("/_sim/push", map[string]string{"url": "http://" + a + "/wechat/push"}, nil) == nil {
					last = a
				}
				return
			}
		}
	}
}

// hand makes phones and tells of each.
func (p *phones) hand(n int, each func(i int, openID string) error) error {
	p.openIDs = make([]string, n)
	var mu sync.Mutex
	var errs []error
	rig.Crowd(16, n, func(_, i int) {
		var user struct {
			OpenID string `json:"openid"`
		}
		err := p.ask("/_sim/users", map[string]string{}, &user)
		if err == nil {
			p.openIDs[i], err = user.OpenID, each(i, user.OpenID)
		}
		if err != nil {
			mu.Lock()
			errs = append(errs, err)
			mu.Unlock()
		}
	})
	return errors.Join(errs...)
}

// ask calls the simulator's control interface: POST, or GET without a body
// where an answer is wanted.
func (p *phones) ask(path string, in, out any, method ...string) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("ask simulator: %w", err)
	}
	verb := http.MethodPost
	if len(method) > 0 {
		verb = method[0]
	}
	if in == nil {
		raw = nil
	}
	request, err := http.NewRequest(verb, "http://"+p.address+path, bytes.NewReader(raw)) //nolint:noctx // the client has a timeout
	if err != nil {
		return fmt.Errorf("ask simulator: %w", err)
	}
	answer, err := p.client.Do(request)
	if err != nil {
		return fmt.Errorf("ask simulator: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("simulator on %s: %d %s %w", path, answer.StatusCode, body, err)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(body, out)
}

func (p *phones) accept(person int) error {
	return p.ask("/_sim/users/"+p.openIDs[person]+"/accept", map[string]any{"templates": []string{reminderTemplate}}, nil)
}

func (p *phones) messages(person int) (all []sim.Message, err error) {
	err = p.ask("/_sim/users/"+p.openIDs[person]+"/messages", nil, &all, http.MethodGet)
	return slices.DeleteFunc(all, func(m sim.Message) bool { return m.TemplateID != reminderTemplate }), err
}

// arm lets three in ten calls go wrong, a third of these after the message has
// gone out, and loses, delays and doubles events.
func (p *phones) arm(people int) error {
	for _, f := range []map[string]any{
		{"endpoint": sendEndpoint, "kind": sim.Code, "code": -1, "rate": 0.18},
		{"endpoint": sendEndpoint, "kind": sim.Reset, "done": true, "rate": 0.05},
		{"endpoint": sendEndpoint, "kind": sim.Reset, "rate": 0.04},
		{"endpoint": sendEndpoint, "kind": sim.HTML, "rate": 0.03},
		{"endpoint": sendEndpoint, "kind": sim.Empty, "done": true, "rate": 0.02},
		{"endpoint": sendEndpoint, "kind": sim.Slow, "done": true, "rate": 0.02, "delay": "6s"},
		{"endpoint": sendEndpoint, "kind": sim.Code, "code": 40001, "count": people / 100},
		{"endpoint": sim.Push, "kind": sim.Lost, "event": sim.SentEvent, "rate": 0.05},
		{"endpoint": sim.Push, "kind": sim.Late, "event": sim.SentEvent, "rate": 0.05, "delay": "20s"},
		{"endpoint": sim.Push, "kind": sim.Doubled, "rate": 0.05},
	} {
		if err := p.ask("/_sim/faults", f, nil); err != nil {
			return err
		}
	}
	return nil
}

// blindRetries is the control: a sender that calls again whenever it got no
// answer. The same faults and the same counting must find it out.
func (s *stage) blindRetries(ctx context.Context, p *phones, from int) error {
	client, err := wechat.New(wechat.Config{AppID: drillAppID, AppSecret: drillSecret, BaseURL: "http://" + p.address, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	data := map[string]string{"thing1": "七月主题党日", "time2": "2026年7月1日 15:00", "thing3": "三楼会议室", "thing4": "请按时参加"}
	others := len(p.openIDs) - from
	for i := range others {
		for range 3 {
			if err := p.accept(from + i); err != nil {
				return err
			}
		}
	}
	if err := p.arm(others); err != nil {
		return err
	}
	rig.Crowd(16, others, func(_, i int) {
		for range 6 {
			if _, err := client.Deliver(ctx, p.openIDs[from+i], reminderTemplate, "pages/activity/index", data); err == nil {
				return
			}
		}
	})
	doubled := 0
	for i := range others {
		got, err := p.messages(from + i)
		if err != nil {
			return err
		}
		if len(got) > 1 {
			doubled++
		}
	}
	s.check(doubled > 0, "对照：没有回答就重发的程序，%d 人里有 %d 人收到两条以上", others, doubled)
	return p.ask("/_sim/faults", nil, nil, http.MethodDelete)
}

// allow lets nine in ten people tap once, a few of them twice, and waits until
// the product knows. It returns how many taps each person made.
func (s *stage) allow(ctx context.Context, p *phones, people int) (taps []int, err error) {
	taps = make([]int, people)
	var mu sync.Mutex
	var errs []error
	want := int64(0)
	for i := range taps {
		switch {
		case i%10 == 9:
		case i%50 == 1:
			taps[i] = 2
		default:
			taps[i] = 1
		}
		want += int64(taps[i])
	}
	rig.Crowd(16, people, func(_, i int) {
		for range taps[i] {
			if err := p.accept(i); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		}
	})
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	err = rig.Until(ctx, time.Minute, "the ledger knows of every tap", func() bool {
		var held int64
		return s.stores.DB.Model(&model.Consent{}).Where("state = ?", model.ConsentHeld).Count(&held).Error == nil && held == want
	})
	s.check(err == nil, "%d 次点击“允许”，账本一次不多一次不少", want)
	return taps, nil
}

// publishToAll lets every secretary publish an activity that begins in less
// than an hour, so that its reminder is due at once.
func (s *stage) publishToAll(people int) (first uint64, err error) {
	start := time.Now().Add(55 * time.Minute).UTC()
	var w *rig.Wire
	for _, r := range s.replicas {
		if a := r.address(); a != "" {
			w = rig.NewWire(a)
			defer w.Close()
		}
	}
	for i := 0; i < people; i += 50 {
		secretary := s.town.Secretary(i)
		draft, _ := json.Marshal(map[string]any{"organisation_id": s.town.Branch(i), "nonce": rand.Text(), "kind": "theme_party_day", "title": "提醒演练",
			"place": map[string]any{"name": "三楼会议室"}, "starts_at": start, "ends_at": start.Add(2 * time.Hour), "open_early_minutes": 30}) // plain values always can
		status, body, err := w.Do(rig.Request(http.MethodPost, "/v1/activities", s.town.Token(secretary), draft))
		var a model.Activity
		if err != nil || status != http.StatusOK || json.Unmarshal(body, &a) != nil {
			return 0, fmt.Errorf("draft: %d %s %w", status, body, err)
		}
		if first == 0 {
			first = a.ID
		}
		status, body, err = w.Do(rig.Request(http.MethodPost, fmt.Sprintf("/v1/activities/%d/publication", a.ID), s.town.Token(secretary), []byte{}))
		if err != nil || status != http.StatusOK {
			return 0, fmt.Errorf("publish: %d %s %w", status, body, err)
		}
	}
	return first, nil
}

// compare holds what the phones show against what is on record.
func (s *stage) compare(p *phones, first uint64, taps []int) error {
	var rows []model.Reminder
	if err := s.stores.DB.Find(&rows, "activity_id >= ? AND kind = ?", first, model.HourBefore).Error; err != nil {
		return fmt.Errorf("read reminders: %w", err)
	}
	var held []struct {
		AccountID uint64
		N         int
	}
	err := s.stores.DB.Model(&model.Consent{}).Select("account_id, COUNT(*) AS n").Where("state = ?", model.ConsentHeld).Group("account_id").Scan(&held).Error
	if err != nil {
		return fmt.Errorf("read ledger: %w", err)
	}
	ledger := map[uint64]int{}
	for _, h := range held {
		ledger[h.AccountID] = h.N
	}
	states := map[model.ReminderState]int{}
	doubled, late, wrong, off, reachable, served := 0, 0, 0, 0, 0, 0
	for _, r := range rows {
		states[r.State]++
		i := int(r.MemberID - 1)
		got, err := p.messages(i)
		if err != nil {
			return err
		}
		if len(got) > 1 {
			doubled++
		}
		if len(got) > 0 && got[0].At.After(r.NotAfter) {
			late++
		}
		if (r.State == model.Sent || r.State == model.PresumedSent) != (len(got) > 0) && r.State != model.UnknownFinal {
			wrong++
		}
		if taps[i] > 0 {
			reachable++
			if len(got) > 0 {
				served++
			}
		}
		var balance map[string]int
		if err := p.ask("/_sim/users/"+p.openIDs[i]+"/balance", nil, &balance, http.MethodGet); err != nil {
			return err
		}
		if r.State != model.UnknownFinal && balance[reminderTemplate] != ledger[r.MemberID] {
			off++
		}
	}
	var counters map[string]int
	if err := p.ask("/_sim/counters", nil, &counters, http.MethodGet); err != nil {
		return err
	}
	faults := 0
	for name, n := range counters {
		if strings.HasPrefix(name, sendEndpoint+" fault") {
			faults += n
		}
	}
	s.check(len(rows) == len(taps), "%d 人的提醒都写了下来：%v", len(rows), states)
	s.check(faults*100 >= 20*counters[sendEndpoint], "%d 次调用里有 %d 次出了故障", counters[sendEndpoint], faults)
	s.check(doubled == 0, "收到两条的：%d 人", doubled)
	s.check(wrong == 0, "记录与手机不符的：%d 人", wrong)
	s.check(off == 0, "账本与微信余额不符的：%d 人", off)
	s.check(late == 0, "过时才到的：%d 条", late)
	s.check(served*100 >= reachable*99, "可达的 %d 人里收到的 %d 人（%.2f%%）", reachable, served, 100*float64(served)/float64(reachable))
	s.check(counters[sendEndpoint+" 47003"] == 0, "因内容被微信拒绝的：%d 条", counters[sendEndpoint+" 47003"])
	return nil
}

// speed is how many messages two replicas send a second when nothing fails.
func (s *stage) speed(ctx context.Context, p *phones, people int) error {
	taps, err := s.tapAgain(ctx, p, people)
	if err != nil {
		return err
	}
	before, start := p.calls(), time.Now()
	first, err := s.publishToAll(people)
	if err != nil {
		return err
	}
	err = rig.Until(ctx, 2*time.Minute, "all are sent", func() bool {
		var sent int64
		return s.stores.DB.Model(&model.Reminder{}).Where("activity_id >= ? AND kind = ? AND state = ?", first, model.HourBefore, model.Sent).Count(&sent).Error == nil && int(sent) >= taps
	})
	s.check(err == nil, "无故障时全部发出：%d 条", p.calls()-before)
	var span struct{ Began, Ended time.Time }
	if err := s.stores.DB.Raw("SELECT MIN(called_at) AS began, MAX(settled_at) AS ended FROM reminders WHERE activity_id >= ? AND kind = ? AND state = ?",
		first, model.HourBefore, model.Sent).Scan(&span).Error; err != nil {
		return fmt.Errorf("read span: %w", err)
	}
	rate := float64(taps) / span.Ended.Sub(span.Began).Seconds()
	s.timely(rate >= 200, start, "两个进程每秒发出 %.0f 条（应有 200 条）", rate)
	return nil
}

// backlog lets the senders work through a hundred thousand rows and looks at
// their memory meanwhile.
func (s *stage) backlog(ctx context.Context, activity uint64) error {
	const rows, round = 100_000, 10_000
	now := time.Now().UTC().Truncate(time.Millisecond)
	old := make([]model.Reminder, round)
	var settled, highest, lowest int64
	for r := range rows / round {
		for i := range old {
			due := now.Add(-time.Hour - time.Duration(r)*time.Second)
			old[i] = model.Reminder{ActivityID: activity, MemberID: uint64(i + 1), Kind: model.DayBefore, Purpose: model.ActivityReminder,
				DueAt: due, NotAfter: due.Add(time.Minute), StartsAt: now, State: model.Queued, NextAt: due, LeaseUntil: due, CreatedAt: due}
		}
		if err := s.stores.DB.CreateInBatches(old, 1000).Error; err != nil {
			return fmt.Errorf("seed reminders: %w", err)
		}
		err := rig.Until(ctx, 2*time.Minute, "the queue is empty again", func() bool {
			err := s.stores.DB.Model(&model.Reminder{}).Where("kind = ? AND state IN ?", model.DayBefore, []model.ReminderState{model.Expired, model.Withdrawn}).Count(&settled).Error
			return err == nil && settled == int64((r+1)*round)
		})
		if err != nil {
			return err
		}
		for _, replica := range s.replicas {
			if p := replica.running(); p != nil && r > 0 { // the first round warms up
				rss := rig.RSS(p.Pid())
				highest = max(highest, rss)
				if lowest == 0 || rss < lowest {
					lowest = rss
				}
			}
		}
	}
	s.check(highest-lowest < 64<<20, "处理 %d 条，内存在 %d 到 %d MB 之间", settled, lowest>>20, highest>>20)
	return nil
}

func (p *phones) calls() int {
	var counters map[string]int
	_ = p.ask("/_sim/counters", nil, &counters, http.MethodGet) // zero shows
	return counters[sendEndpoint]
}

// tapAgain gives everybody who got the first reminder one more consent, and
// returns how many they are. The others would get that reminder now.
func (s *stage) tapAgain(ctx context.Context, p *phones, people int) (int, error) {
	known := func() (n int64, err error) {
		err = s.stores.DB.Model(&model.Consent{}).Count(&n).Error
		return n, err
	}
	before, err := known()
	if err != nil {
		return 0, fmt.Errorf("read ledger: %w", err)
	}
	var mu sync.Mutex
	var errs []error
	n := 0
	rig.Crowd(16, people, func(_, i int) {
		if i%10 == 9 {
			return
		}
		err := p.accept(i)
		mu.Lock()
		defer mu.Unlock()
		n, errs = n+1, append(errs, err)
	})
	err = rig.Until(ctx, time.Minute, "the ledger knows of every tap", func() bool {
		now, err := known()
		return err == nil && now == before+int64(n)
	})
	return n, errors.Join(append(errs, err)...)
}
