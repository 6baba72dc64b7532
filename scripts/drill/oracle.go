package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"dangri/scripts/rig"
)

// row is a check-in on record.
type row struct {
	ActivityID, MemberID uint64
	Nonce                string
	At                   time.Time
}

// findings is where what people were told and what is on record disagree. All
// of it is to be nothing.
type findings struct {
	Lost       []string // told that they are in, and not on record
	Doubled    []string // on record twice
	Strange    []string // on record, and never sent
	Changed    []string // the same request answered in two ways
	Untrue     []string // told another time than is on record
	Unexpected []string // answers that no drill may bring about
}

// judge compares what everybody was told with the rows.
func judge(tries []attempt, rows []row) findings {
	var f findings
	sent, answers := map[string]int{}, map[string]string{}
	in := map[int]string{} // by which nonce
	for i := range tries {
		a := &tries[i]
		sent[a.Nonce] = a.Person
		if !a.expected() {
			f.Unexpected = append(f.Unexpected, fmt.Sprintf("%d %s %s", a.Status, a.Code, a.Error))
		}
		if a.final() && in[a.Person] == "" {
			in[a.Person] = a.Nonce
		}
		if a.Status != http.StatusOK {
			continue
		}
		if before, ok := answers[a.Nonce]; ok && before != a.Body {
			f.Changed = append(f.Changed, fmt.Sprintf("person %d: %s then %s", a.Person, before, a.Body))
		}
		answers[a.Nonce] = a.Body
	}
	recorded := map[int]row{}
	for _, r := range rows {
		person := int(r.MemberID) - 1
		if _, twice := recorded[person]; twice {
			f.Doubled = append(f.Doubled, fmt.Sprintf("person %d", person))
		}
		recorded[person] = r
		if who, ok := sent[r.Nonce]; !ok || who != person {
			f.Strange = append(f.Strange, fmt.Sprintf("person %d, nonce %s", person, r.Nonce))
		}
		var told struct {
			CheckedInAt time.Time `json:"checked_in_at"`
		}
		if body, ok := answers[r.Nonce]; ok && (json.Unmarshal([]byte(body), &told) != nil || !told.CheckedInAt.Equal(r.At)) {
			f.Untrue = append(f.Untrue, fmt.Sprintf("person %d: %s, on record %v", person, body, r.At))
		}
	}
	for person, nonce := range in {
		if _, ok := recorded[person]; !ok {
			f.Lost = append(f.Lost, fmt.Sprintf("person %d, nonce %s", person, nonce))
		}
	}
	return f
}

// found compares a crowd's answers with the record.
func (s *stage) found(ctx context.Context, o *outcome) (findings, int, error) {
	var rows []row
	activities := s.meeting.Activities()
	err := s.stores.DB.WithContext(ctx).Table(s.table).Select("activity_id, member_id, nonce, at").
		Where("activity_id BETWEEN ? AND ?", activities[0], activities[len(activities)-1]).Scan(&rows).Error
	if err != nil {
		return findings{}, 0, fmt.Errorf("read the record: %w", err)
	}
	return judge(o.tries, rows), len(rows), nil
}

// settle makes every check that any drill ends with.
func (s *stage) settle(ctx context.Context, o *outcome) error {
	f, rows, err := s.found(ctx, o)
	if err != nil {
		return err
	}
	s.check(len(o.unfinished) == 0, "每人 %v 内都有最终答复：没有的 %s；一半在 %v 内，99%% 在 %v 内", patience, some(o.unfinished), percentile(o.waits, 50), percentile(o.waits, 99))
	s.check(len(f.Lost) == 0, "确认过的都有记录（共 %d 条，请求 %d 次）：丢了 %s", rows, len(o.tries), some(f.Lost))
	s.check(len(f.Doubled) == 0, "一人一条：重复 %s", some(f.Doubled))
	s.check(len(f.Strange) == 0, "没有来历不明的记录：%s", some(f.Strange))
	s.check(len(f.Changed) == 0, "同一次签到的答复始终相同：不同的 %s", some(f.Changed))
	s.check(len(f.Untrue) == 0, "答复的时间与记录相同：不同的 %s", some(f.Untrue))
	s.check(len(f.Unexpected) == 0, "没有 401、404、500 之类的答复：%s", some(f.Unexpected))
	return nil
}

// shown checks that every replica's boards tell what is on record.
func (s *stage) shown(ctx context.Context, within time.Duration) error {
	var counts []struct {
		ActivityID uint64
		N          int
	}
	err := s.stores.DB.WithContext(ctx).Table(s.table).Select("activity_id, COUNT(*) AS n").
		Where("activity_id IN ?", s.meeting.Activities()).Group("activity_id").Scan(&counts).Error
	if err != nil {
		return fmt.Errorf("count the record: %w", err)
	}
	want := map[uint64]int{}
	for _, c := range counts {
		want[c.ActivityID] = c.N
	}
	var wrong []string
	start := time.Now()
	right := func() bool {
		wrong = nil
		for _, r := range s.replicas {
			if address := r.address(); address != "" {
				wrong = append(wrong, s.wrongBoards(address, want)...)
			}
		}
		return len(wrong) == 0
	}
	_ = rig.Until(ctx, patience, "boards are right", right) // wrong says what is not
	took := time.Since(start).Round(10 * time.Millisecond)
	s.check(len(wrong) == 0, "%d 块会场统计在每个进程上都与记录相符：不符的 %s", len(s.meeting.Activities()), some(wrong))
	s.timely(took <= within, start, "%v 后相符（应在 %v 内）", took, within)
	return nil
}

func (s *stage) wrongBoards(address string, want map[uint64]int) (wrong []string) {
	for _, secretary := range s.town.Secretaries() {
		id := s.meeting.Activity(secretary)
		w := rig.NewWire(address)
		status, body, err := w.Do(rig.Request(http.MethodGet, fmt.Sprintf("/v1/activities/%d/board", id), s.town.Token(secretary), nil))
		var board struct {
			Tally struct {
				Present int `json:"present"`
			} `json:"tally"`
		}
		if err != nil || status != http.StatusOK || json.Unmarshal(body, &board) != nil || board.Tally.Present != want[id] {
			wrong = append(wrong, fmt.Sprintf("%s activity %d: %d, %d present, want %d %v", address, id, status, board.Tally.Present, want[id], err))
		}
		w.Close()
	}
	return wrong
}

// some is how many and the first of them.
func some[T any](all []T) string {
	if len(all) == 0 {
		return "0"
	}
	return fmt.Sprintf("%d，如 %v", len(all), all[0])
}
