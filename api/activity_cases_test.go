package api_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
	"dangri/wechat/sim"
)

// Table E: the states of an activity.

func TestE2_ACancelledActivityRefusesEverythingAtOnceOnEveryReplica(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(4)
		other := &meeting{stage: s.replica(), branch: m.branch, secretary: m.secretary, members: m.members, id: m.id}
		code := m.code()
		want(t, m.scan(m.members[0], code.Code, nonce()), 200, "ok")
		want(t, other.scan(m.members[1], code.Code, nonce()), 200, "ok")
		want(t, m.cancel("场地停电"), 200, "ok")
		for _, at := range []*meeting{m, other} {
			secretary := at.phone(m.secretary)
			want(t, at.scan(m.members[2], code.Code, nonce()), 409, "cancelled")
			want(t, at.phone(m.members[3]).post("/v1/check-ins", body{"digits": code.Digits, "activity_id": m.id, "nonce": nonce()}), 409, "cancelled")
			want(t, secretary.get(m.path(m.id, "/check-in-code")), 409, "cancelled")
			want(t, secretary.post(m.path(m.id, "/check-in-code"), nil), 409, "cancelled")
			want(t, at.tick(m.members[2], model.Present), 409, "cancelled")
			want(t, at.tick(m.members[2], model.SickLeave), 409, "cancelled")
			want(t, secretary.post(m.path(m.id, "/exemptions"), body{"member_id": m.members[2].ID, "exemption": "bedridden", "reason": "同意"}), 409, "cancelled")
			want(t, secretary.post(m.path(m.id, "/closing"), nil), 409, "cancelled")
			want(t, secretary.post(m.path(m.id, "/publication"), nil), 409, "cancelled")
			want(t, secretary.put(m.path(m.id, ""), m.revision(3)), 409, "cancelled")
		}
		if m.rows(m.members[0]) != 1 || m.rows(m.members[1]) != 1 || m.rows(m.members[2]) != 0 {
			t.Error("the rows of before the cancellation did not stay, or others came")
		}
		if b := m.board(); b.Status != model.Cancelled || b.Tally.Present != 2 {
			t.Errorf("the board says %s, %+v", b.Status, b.Tally)
		}
		home := as[service.HomeScreen](t, m.phone(m.members[2]).get("/v1/home"))
		if len(home.Next) != 1 || home.Next[0].CancelReason != "场地停电" || len(home.Now) != 0 {
			t.Errorf("a member's first screen: %+v", home)
		}
	})
}

func TestE2_OnlyWhoRunsItCancelsWithAReasonAndOnlyBeforeTheClosing(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		cancel := func(p *trial.Person, b body) *reply { return m.phone(p).post(m.path(m.id, "/cancellation"), b) }
		want(t, cancel(m.members[0], body{"reason": "不想去"}), 403, "not_conductor")
		want(t, cancel(m.secretary, body{}), 400, "invalid_input")
		want(t, cancel(m.secretary, body{"reason": "无"}), 400, "invalid_input")
		want(t, cancel(m.secretary, body{"reason": strings.Repeat("长", 101)}), 400, "invalid_input")
		s.Clock.Advance(31 * time.Minute)
		want(t, m.phone(m.secretary).post(m.path(m.id, "/closing"), nil), 200, "ok")
		want(t, cancel(m.secretary, body{"reason": "场地停电"}), 409, "wrong_status")
		if a := m.show(); a.Status != model.Closed || a.CancelReason != "" {
			t.Errorf("after refused cancellations: %s %q", a.Status, a.CancelReason)
		}
	})
}

func TestE3_ManyCancellationsAtOnceAreOneTransition(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		other := &meeting{stage: s.replica(), secretary: m.secretary}
		for range 4 {
			m.id = m.publish(m.branch)
			answers := m.cancelAtOnce(other)
			for _, r := range answers {
				want(t, r, 200, "ok")
				sameBytes(t, answers[0], r)
			}
			if n := s.audited("cancel_activity", "activity", m.id); n != 1 {
				t.Errorf("%d audit rows", n)
			}
			if a := m.show(); a.Version != 3 {
				t.Errorf("version %d after draft, publication and cancellation", a.Version)
			}
		}
	})
}

func TestE3_Control_WithoutTheLockOneCancellationIsSeveral(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		other := &meeting{stage: s.replica(), secretary: m.secretary}
		for round := range 40 {
			m.id = m.publish(m.branch)
			m.cancelAtOnce(other)
			if s.audited("cancel_activity", "activity", m.id) > 1 {
				t.Logf("seen in round %d", round)
				return
			}
		}
		t.Error("forty rounds without the lock and never two transitions: this test cannot see the race")
	}, skipLocks)
}

// cancelAtOnce cancels the activity eight times at the same moment on two
// replicas, each time with another reason.
func (m *meeting) cancelAtOnce(other *meeting) []*reply {
	m.t.Helper()
	other.id = m.id
	answers := make([]*reply, 8)
	trial.Race(len(answers), func(i int) {
		at := m
		if i%2 == 1 {
			at = other
		}
		answers[i] = at.cancel(fmt.Sprint("原因", i))
	})
	return answers
}

// Publishing.

func TestPublishingTwiceIsPublishingOnce(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 200, "ok")
		before := m.show()
		s.Clock.Advance(time.Minute)
		want(t, m.phone(m.secretary).post(m.path(m.id, "/publication"), nil), 200, "ok")
		after := m.show()
		if after.Version != before.Version || !after.PublishedAt.Equal(*before.PublishedAt) {
			t.Errorf("version %d became %d, %s became %s", before.Version, after.Version, before.PublishedAt, after.PublishedAt)
		}
		if tally := m.board().Tally; tally.Expected != 4 || tally.Present != 1 {
			t.Errorf("the board says %+v", tally)
		}
	})
}

func TestPublishingAtOnceIsPublishingOnce(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		other := s.replica()
		for range 4 {
			m.id = as[model.Activity](t, m.phone(m.secretary).post("/v1/activities", m.draft(m.branch))).ID
			s.touch(m.secretary)
			answers := make([]*reply, 8)
			trial.Race(len(answers), func(i int) {
				p := m.phone(m.secretary)
				if i%2 == 1 {
					p = other.phone(m.secretary)
				}
				answers[i] = p.post(m.path(m.id, "/publication"), nil)
			})
			for _, r := range answers {
				want(t, r, 200, "ok")
				sameBytes(t, answers[0], r)
			}
			if a := m.show(); a.Version != 2 || m.board().Tally.Expected != 4 {
				t.Errorf("version %d, expected %d", a.Version, m.board().Tally.Expected)
			}
		}
	})
}

func TestATextThatDoesNotPassIsNotPublished(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		for word, code := range map[string]string{sim.RiskyWord: "text_risky", sim.ReviewWord: "text_review"} {
			for _, change := range [][]any{{"title", "七月" + word}, {"content", "学习" + strings.Repeat("文", 4000) + word}, {"place", body{"name": word + "会议室"}}} {
				a := as[model.Activity](t, m.phone(m.secretary).post("/v1/activities", m.draft(m.branch).with(change...)))
				s.touch(m.secretary)
				want(t, m.phone(m.secretary).post(m.path(a.ID, "/publication"), nil), 409, code)
				m.stillDraft(a.ID)
			}
		}
	})
}

func TestAPublishedTextIsChangedOnlyToOneThatPasses(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		s.touch(m.secretary)
		for word, code := range map[string]string{sim.RiskyWord: "text_risky", sim.ReviewWord: "text_review"} {
			want(t, m.phone(m.secretary).put(m.path(m.id, ""), m.revision(2, "content", word)), 409, code)
			want(t, m.phone(m.secretary).put(m.path(m.id, ""), m.revision(2, "title", "七月"+word)), 409, code)
		}
		s.WeChat.Arm(sim.Fault{Endpoint: "wxa/msg_sec_check", Kind: sim.HTML})
		want(t, m.phone(m.secretary).put(m.path(m.id, ""), m.revision(2, "content", "别的内容")), 503, "wechat_unavailable")
		if a := m.show(); a.Version != 2 || a.Content != "学习与志愿服务" || a.Title != "七月主题党日" {
			t.Errorf("after refused edits: version %d, %q, %q", a.Version, a.Title, a.Content)
		}
		// What WeChat has seen is not shown to it again: the time can be moved while it is away.
		want(t, m.phone(m.secretary).put(m.path(m.id, ""), m.revision(2, "credit_hours", 3)), 200, "ok")
		s.WeChat.Disarm()
		want(t, m.phone(m.secretary).put(m.path(m.id, ""), m.revision(3, "content", "别的内容")), 200, "ok")
	})
}

func TestAReasonThatDoesNotPassIsNotSentOut(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		p := m.phone(m.secretary)
		act := func(what, reason string) *reply { return p.post(m.path(m.id, what), body{"reason": reason}) }
		unchanged := func(status model.ActivityStatus, version int, kind model.ReminderKind) {
			t.Helper()
			if a := m.show(); a.Status != status || a.Version != version || s.count(&model.Reminder{}, "kind = ?", kind) != 0 {
				t.Errorf("after a refused reason: %s, version %d", a.Status, a.Version)
			}
		}
		refusals := func(what string, status model.ActivityStatus, version int, kind model.ReminderKind) {
			t.Helper()
			for word, code := range map[string]string{sim.RiskyWord: "text_risky", sim.ReviewWord: "text_review"} {
				want(t, act(what, "因为"+word), 409, code)
			}
			s.WeChat.Arm(sim.Fault{Endpoint: "wxa/msg_sec_check", Kind: sim.HTML})
			if what == "/restoration" {
				want(t, act(what, "停电"), 503, "wechat_unavailable")
			}
			// Who may not do it is told so, and WeChat is not asked.
			want(t, m.phone(m.members[0]).post(m.path(m.id, what), body{"reason": "停电"}), 403, "not_conductor")
			s.WeChat.Disarm()
			unchanged(status, version, kind)
		}
		s.touch(m.secretary)
		refusals("/cancellation", model.Published, 2, model.CalledOff)
		s.Clock.Advance(2*time.Hour + time.Second) // since the secretary was last in the mini-program
		want(t, act("/cancellation", "停电"), 409, "reenter")
		unchanged(model.Published, 2, model.CalledOff)
		s.touch(m.secretary)
		s.WeChat.Arm(sim.Fault{Endpoint: "wxa/msg_sec_check", Kind: sim.HTML}) // calling off does not wait for WeChat
		want(t, act("/cancellation", "停电"), 200, "ok")
		want(t, act("/cancellation", "停电"), 200, "ok")
		s.WeChat.Disarm()
		refusals("/restoration", model.Cancelled, 3, model.Resumed)
		want(t, act("/restoration", "来电了"), 200, "ok")
		s.WeChat.Arm(sim.Fault{Endpoint: "wxa/msg_sec_check", Kind: sim.HTML})
		want(t, act("/restoration", "来电了"), 200, "ok")
		s.WeChat.Disarm()
	})
}

func TestNothingIsPublishedWhileThePlatformIsAway(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		m.id = as[model.Activity](t, m.phone(m.secretary).post("/v1/activities", m.draft(m.branch))).ID
		s.touch(m.secretary)
		for name, fault := range map[string]sim.Fault{
			"busy": {Kind: sim.Code, Code: -1}, "quota": {Kind: sim.Code, Code: 45009}, "a page of HTML": {Kind: sim.HTML},
			"no body": {Kind: sim.Empty}, "half a body": {Kind: sim.Truncated}, "reset": {Kind: sim.Reset},
			"reset after the effect": {Kind: sim.Reset, Done: true}, "too late": {Kind: sim.Slow, Delay: time.Millisecond},
		} {
			fault.Endpoint = "wxa/msg_sec_check"
			s.WeChat.Arm(fault)
			r := m.phone(m.secretary).post(m.path(m.id, "/publication"), nil)
			if r.Status != 503 || r.code() != "wechat_unavailable" || r.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %d %s, Retry-After %q", name, r.Status, r.Body, r.Header.Get("Retry-After"))
			}
			m.stillDraft(m.id)
			s.WeChat.Disarm()
		}
		want(t, m.phone(m.secretary).post(m.path(m.id, "/publication"), nil), 200, "ok")
	})
}

// pausing is the platform, whose verdict on a text comes only when the test
// lets it.
type pausing struct {
	service.Platform
	asked, answer chan struct{}
}

func (p *pausing) CheckText(ctx context.Context, openID, text string) (string, error) {
	verdict, err := p.Platform.CheckText(ctx, openID, text)
	p.asked <- struct{}{}
	<-p.answer
	return verdict, err
}

func TestWhatIsPublishedIsWhatWasChecked(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		platform := s.Parts.Platform.(*pausing)
		m := &meeting{stage: s, branch: s.Branch("第一党支部")}
		m.secretary = s.Member(m.branch, "沈书记")
		s.Post(m.secretary, m.branch, model.Secretary)
		secretary := m.phone(m.secretary)
		m.id = as[model.Activity](t, secretary.post("/v1/activities", m.draft(m.branch))).ID
		s.touch(m.secretary)
		publication := make(chan *reply)
		go func() { publication <- secretary.post(m.path(m.id, "/publication"), nil) }()
		<-platform.asked
		// A draft is edited without a check; the check that is under way saw the text before.
		want(t, secretary.put(m.path(m.id, ""), m.revision(1, "content", sim.RiskyWord)), 200, "ok")
		platform.answer <- struct{}{}
		want(t, <-publication, 409, "changed_meantime")
		m.stillDraft(m.id)
	}, func(p *service.Parts) {
		p.Platform = &pausing{p.Platform, make(chan struct{}), make(chan struct{})}
	})
}

func TestAnActivityForNobodyIsNotPublished(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		empty := s.Group(m.branch, "空党小组")
		a := as[model.Activity](t, m.phone(m.secretary).post("/v1/activities", m.draft(m.branch).with("audience", "groups", "targets", []uint64{empty.ID})))
		s.touch(m.secretary)
		want(t, m.phone(m.secretary).post(m.path(a.ID, "/publication"), nil), 400, "audience_empty")
		m.stillDraft(a.ID)
		// A published one does not become one for nobody either.
		want(t, m.phone(m.secretary).put(m.path(m.id, ""), m.revision(2, "audience", "groups", "targets", []uint64{empty.ID})), 400, "audience_empty")
		if v := m.show(); v.Version != 2 || v.Audience != model.WholeBranch || m.board().Tally.Expected != 3 {
			t.Errorf("after the refused edit: version %d, %s, expected %d", v.Version, v.Audience, m.board().Tally.Expected)
		}
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 200, "ok")
	})
}

func TestADraftWhoseTimeIsOverIsNotPublished(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		a := as[model.Activity](t, m.phone(m.secretary).post("/v1/activities", m.draft(m.branch)))
		s.Clock.Set(a.EndsAt)
		s.touch(m.secretary)
		want(t, m.phone(m.secretary).post(m.path(a.ID, "/publication"), nil), 400, "invalid_field")
		m.stillDraft(a.ID)
		s.Clock.Advance(-time.Millisecond)
		want(t, m.phone(m.secretary).post(m.path(a.ID, "/publication"), nil), 200, "ok")
	})
}

// Drafts.

func TestADraftIsSeenByThoseWhoRunItAndByNobodyElse(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		committee, supervisor, administrator := s.Member(m.branch, "委员"), s.Member(s.Branch("机关党支部"), "督导员"), s.administrator()
		s.Post(committee, m.branch, model.CommitteeMember)
		s.Post(supervisor, s.Agencies(), model.Supervisor)
		m.id = as[model.Activity](t, m.phone(m.secretary).post("/v1/activities", m.draft(m.branch).with("title", "草稿中的活动"))).ID
		unseen := func(why string) {
			t.Helper()
			for _, p := range []*trial.Person{m.members[0], supervisor} {
				for _, path := range []string{"", "/roster", "/board", "/sheet", "/sheet.xlsx", "/sheet.html", "/check-in-code"} {
					r := m.phone(p).get(m.path(m.id, path))
					if r.Status != 404 {
						t.Errorf("%s: %s reads %s: %d %.300q", why, p.Name, path, r.Status, r.Body)
					}
					sameBytes(t, r, m.phone(p).get(m.path(999999, path)))
				}
				for _, list := range []string{"/v1/activities", "/v1/activities?scope=work", "/v1/home"} {
					if r := m.phone(p).get(list); strings.Contains(string(r.Body), "草稿中的活动") {
						t.Errorf("%s: %s finds it in %s", why, p.Name, list)
					}
				}
			}
			typed := body{"digits": "123456", "activity_id": m.id, "nonce": nonce()}
			want(t, m.phone(m.members[0]).post("/v1/check-ins", typed), 404, "activity_not_found")
		}
		unseen("a draft")
		for _, p := range []*trial.Person{m.secretary, committee, administrator} {
			want(t, m.phone(p).get(m.path(m.id, "")), 200, "ok")
			if r := m.phone(p).get("/v1/activities?scope=work"); !strings.Contains(string(r.Body), "草稿中的活动") {
				t.Errorf("%s does not find the draft", p.Name)
			}
		}
		want(t, m.phone(m.secretary).get(m.path(m.id, "/check-in-code")), 409, "wrong_status")
		want(t, m.tick(m.members[0], model.Present), 409, "wrong_status")
		want(t, m.phone(m.secretary).post(m.path(m.id, "/closing"), nil), 409, "wrong_status")
		// A draft that is called off was never told to anybody, and is not now.
		want(t, m.cancel("不办了"), 200, "ok")
		unseen("a cancelled draft")
	})
}

// Editing.

func TestAnEditOfWhatSomebodyElseChangedIsRefused(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		committee := s.Member(m.branch, "委员")
		s.Post(committee, m.branch, model.CommitteeMember)
		s.touch(m.secretary)
		s.touch(committee)
		s.phone(committee)
		s.touch(committee)
		want(t, m.phone(m.secretary).put(m.path(m.id, ""), m.revision(2, "title", "书记改的")), 200, "ok")
		stale := m.phone(committee).put(m.path(m.id, ""), m.revision(2, "title", "委员改的"))
		want(t, stale, 409, "changed_meantime")
		if !strings.Contains(string(stale.Body), `"version":3`) {
			t.Errorf("the refusal does not say which version is there: %s", stale.Body)
		}
		want(t, m.phone(committee).put(m.path(m.id, ""), m.revision(4, "title", "委员改的")), 409, "changed_meantime")
		if a := m.show(); a.Title != "书记改的" || a.Version != 3 {
			t.Errorf("%q, version %d", a.Title, a.Version)
		}
	})
}

func TestNoEditIsLostWhenManyEditAtOnce(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		other := &meeting{stage: s.replica(), branch: m.branch, secretary: m.secretary}
		for range 3 {
			before := m.show().Version
			accepted, last := m.editAtOnce(other, before)
			if a := m.show(); accepted != 1 || a.Version != before+1 || a.CreditHours != last {
				t.Errorf("%d edits were accepted, version %d became %d, %v hours of %v", accepted, before, a.Version, a.CreditHours, last)
			}
		}
	})
}

func TestControl_WithoutTheLockAnEditIsLost(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		other := &meeting{stage: s.replica(), branch: m.branch, secretary: m.secretary}
		for round := range 40 {
			if accepted, _ := m.editAtOnce(other, m.show().Version); accepted > 1 {
				t.Logf("seen in round %d", round)
				return
			}
		}
		t.Error("forty rounds without the lock and no edit was lost: this test cannot see the race")
	}, skipLocks)
}

// editAtOnce edits the activity eight times at the same moment on two
// replicas, and says how many edits were accepted and what one of these wrote.
func (m *meeting) editAtOnce(other *meeting, version int) (accepted int, hours float64) {
	m.t.Helper()
	var mu sync.Mutex
	trial.Race(8, func(i int) {
		at := m
		if i%2 == 1 {
			at = other
		}
		r := at.phone(m.secretary).put(m.path(m.id, ""), m.revision(version, "credit_hours", float64(i)/2+3))
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.Status == 200:
			accepted, hours = accepted+1, float64(i)/2+3
		case r.code() != "changed_meantime":
			m.t.Errorf("an edit got %d %s", r.Status, r.Body)
		}
	})
	return accepted, hours
}

func TestWhoEditsAnActivitySeesWhomItIsFor(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		group := s.Group(m.branch, "第一党小组")
		s.Members(m.branch, 1, trial.InGroup(group))
		if v := m.show(); v.Targets != nil {
			t.Errorf("the whole branch: %+v", v.Targets)
		}
		for _, c := range []struct {
			audience string
			id       uint64
			name     string
		}{{"groups", group.ID, "第一党小组"}, {"members", m.members[1].ID, m.members[1].Name}} {
			m.id = m.publish(m.branch, "audience", c.audience, "targets", []uint64{c.id})
			if v := m.show(); len(v.Targets) != 1 || v.Targets[0] != (service.ActivityTarget{ID: c.id, Name: c.name}) {
				t.Errorf("%s: %+v", c.audience, v.Targets)
			}
			if v := as[service.ActivityView](t, m.phone(m.members[0]).get(m.path(m.id, ""))); v.Targets != nil {
				t.Errorf("a member sees %+v", v.Targets)
			}
		}
	})
}

func TestFromTheStartOnNeitherTheStartNorTheAudienceChanges(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		group := s.Group(m.branch, "第一党小组")
		s.Members(m.branch, 2, trial.InGroup(group))
		a := m.show()
		edit := func(version int, change ...any) *reply {
			s.touch(m.secretary)
			times := []any{"starts_at", a.StartsAt, "ends_at", a.EndsAt}
			return m.phone(m.secretary).put(m.path(m.id, ""), m.revision(version, append(times, change...)...))
		}
		s.Clock.Set(a.StartsAt.Add(-time.Millisecond))
		want(t, edit(2, "audience", "groups", "targets", []uint64{group.ID}), 200, "ok")
		if n := m.board().Tally.Expected; n != 2 {
			t.Errorf("the audience is a group of two, %d expected", n)
		}
		want(t, edit(3), 200, "ok")
		s.Clock.Set(a.StartsAt)
		want(t, edit(4, "audience", "groups", "targets", []uint64{group.ID}), 409, "already_started")
		want(t, edit(4, "audience", "members", "targets", []uint64{m.members[0].ID}), 409, "already_started")
		want(t, edit(4, "starts_at", a.StartsAt.Add(time.Hour)), 409, "already_started")
		// The rest may still be put right.
		want(t, edit(4, "ends_at", a.EndsAt.Add(time.Hour), "content", "补充内容"), 200, "ok")
		if v := m.show(); v.Version != 5 || v.Audience != model.WholeBranch || !v.StartsAt.Equal(a.StartsAt) || m.board().Tally.Expected != 5 {
			t.Errorf("version %d, %s, expected %d", v.Version, v.Audience, m.board().Tally.Expected)
		}
	})
}

func TestAMeetingThatLastsLongerStaysOnTheFirstScreen(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		a := m.show()
		s.Clock.Set(a.StartsAt.Add(time.Minute))
		s.touch(m.secretary)
		want(t, m.phone(m.secretary).put(m.path(m.id, ""), m.revision(2, "starts_at", a.StartsAt, "ends_at", a.EndsAt.Add(time.Hour))), 200, "ok")
		for at, shown := range map[time.Time]int{a.EndsAt.Add(time.Hour - time.Millisecond): 1, a.EndsAt.Add(time.Hour): 0} {
			s.Clock.Set(at)
			if home := as[service.HomeScreen](t, m.phone(m.members[0]).get("/v1/home")); len(home.Now) != shown {
				t.Errorf("at %v: %+v", at, home.Now)
			}
		}
	})
}

func TestTimesThatMakeNoSenseAreRefused(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		start := s.Clock.Now().Add(time.Hour)
		for name, c := range map[string]struct {
			change []any
			code   string
		}{
			"ends before it starts":        {[]any{"starts_at", start, "ends_at", start.Add(-time.Minute)}, "window"},
			"ends when it starts":          {[]any{"starts_at", start, "ends_at", start}, "window"},
			"longer than a week":           {[]any{"starts_at", start, "ends_at", start.Add(7*24*time.Hour + time.Second)}, "invalid_field"},
			"in 1999":                      {[]any{"starts_at", "1999-12-31T23:00:00Z", "ends_at", "1999-12-31T23:59:00Z"}, "invalid_field"},
			"in 2101":                      {[]any{"starts_at", "2101-01-01T00:00:00Z", "ends_at", "2101-01-01T01:00:00Z"}, "invalid_field"},
			"without a zone":               {[]any{"starts_at", "2026-03-11T09:00:00"}, "invalid_input"},
			"no time":                      {[]any{"starts_at", "tomorrow"}, "invalid_input"},
			"a day that does not exist":    {[]any{"starts_at", "2026-02-30T09:00:00Z"}, "invalid_input"},
			"a number for a time":          {[]any{"starts_at", 1773154800}, "invalid_input"},
			"opens before the start's day": {[]any{"open_early_minutes", 721}, "invalid_input"},
			"opens after the start":        {[]any{"open_early_minutes", -1}, "invalid_input"},
			"late before the start":        {[]any{"late_after_minutes", -1}, "invalid_input"},
			"late after the next day":      {[]any{"late_after_minutes", 721}, "invalid_input"},
			"closes before the start":      {[]any{"close_after_minutes", -1}, "invalid_input"},
			"closes in two days":           {[]any{"close_after_minutes", 1441}, "invalid_input"},
			"half a minute":                {[]any{"close_after_minutes", 0.5}, "invalid_input"},
			"negative hours":               {[]any{"credit_hours", -0.5}, "invalid_input"},
			"a third of an hour":           {[]any{"credit_hours", 0.33}, "invalid_input"},
			"a day's worth of hours":       {[]any{"credit_hours", 16.5}, "invalid_input"},
			"a kind nobody knows":          {[]any{"kind", "picnic"}, "invalid_input"},
			"a title of one character":     {[]any{"title", "学"}, "invalid_input"},
			"a title of nothing":           {[]any{"title", " \u200b\u200b "}, "invalid_field"},
			"a field of somebody else":     {[]any{"status", "published"}, "invalid_input"},
		} {
			r := m.phone(m.secretary).post("/v1/activities", m.draft(m.branch).with(c.change...))
			if r.Status != 400 || r.code() != c.code {
				t.Errorf("%s: draft got %d %s", name, r.Status, r.Body)
			}
			r = m.phone(m.secretary).put(m.path(m.id, ""), m.revision(2, c.change...))
			if r.Status != 400 || r.code() != c.code {
				t.Errorf("%s: edit got %d %s", name, r.Status, r.Body)
			}
		}
		if v := m.show(); v.Version != 2 {
			t.Errorf("a refused edit left version %d", v.Version)
		}
		for name, change := range map[string][]any{
			"exactly a week":     {"starts_at", start, "ends_at", start.Add(7 * 24 * time.Hour)},
			"the widest windows": {"open_early_minutes", 720, "late_after_minutes", 720, "close_after_minutes", 1440},
			"another zone":       {"starts_at", "2026-03-11T09:00:00+08:00", "ends_at", "2026-03-11T02:00:00Z"},
		} {
			if r := m.phone(m.secretary).post("/v1/activities", m.draft(m.branch).with(change...)); r.Status != 200 {
				t.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
		}
	})
}

// Lists.

func TestL15_APagedListIsCompleteAndWithoutDoublesWhenStartsAreEqual(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		ids := map[uint64]bool{m.id: true}
		start := s.Clock.Now().Add(24 * time.Hour)
		for i := range 105 {
			at := start
			if i >= 90 { // most start at the same moment, some a second apart
				at = start.Add(time.Duration(i) * time.Second)
			}
			if i%50 == 0 {
				s.SignIn(m.secretary) // one session has a pace
			}
			ids[m.publish(m.branch, "starts_at", at, "ends_at", at.Add(time.Hour))] = true
		}
		s.SignIn(m.secretary)
		for name, p := range map[string]*phone{"/v1/activities?scope=work": m.phone(m.secretary), "/v1/activities?scope=mine": m.phone(m.members[0])} {
			for _, limit := range []int{7, 100} {
				there, seen, last := maps.Clone(ids), map[uint64]bool{}, time.Time{}
				pages := 0
				for cursor := ""; pages == 0 || cursor != ""; pages++ {
					page := as[service.ActivityPage](t, p.get(fmt.Sprintf("%s&limit=%d&cursor=%s", name, limit, cursor)))
					if len(page.Items) > limit || len(page.Items) < limit && page.Next != "" || pages > 20 {
						t.Fatalf("%s: page %d of %d has %d", name, pages, limit, len(page.Items))
					}
					for _, a := range page.Items {
						if seen[a.ID] || !ids[a.ID] || !last.IsZero() && a.StartsAt.After(last) {
							t.Errorf("%s: activity %d twice, foreign or out of order", name, a.ID)
						}
						seen[a.ID], last = true, a.StartsAt
					}
					if pages == 1 { // what is published meanwhile neither doubles nor hides anything
						ids[m.publish(m.branch, "starts_at", start.Add(48*time.Hour), "ends_at", start.Add(49*time.Hour))] = true
					}
					cursor = page.Next
				}
				for id := range there {
					if !seen[id] {
						t.Errorf("%s by %d: activity %d is missing", name, limit, id)
					}
				}
			}
		}
	})
}

func TestL15_CursorsAndLimitsThatMakeNoSenseAreRefused(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		code := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
		times := []string{"x", "....", "党员", code("x"), code("1"), code("1."), code("-1.5"), code("1.-5"), code("99999999999999999.1"),
			code("9223372036854775808.1"), code("1.18446744073709551616"), strings.Repeat("A", 65), "' OR 1=1 --", "\x00"}
		numbers := []string{"x", "-1", "1e3", "1.5", "１", "9223372036854775808", "18446744073709551616", strings.Repeat("1", 65), "' OR 1=1 --", "\x00"}
		secretary := m.phone(m.secretary)
		for path, cursors := range map[string][]string{
			"/v1/activities?scope=work": times, "/v1/activities?scope=mine": times, "/v1/organisations?parent_id=0": numbers,
			"/v1/organisations/" + jsonText(m.branch.ID) + "/members?limit=2": numbers,
		} {
			for _, bad := range cursors {
				if r := secretary.get(path + "&cursor=" + url.QueryEscape(bad)); r.Status != 400 {
					t.Errorf("%s, cursor %.30q: %d %s", path, bad, r.Status, r.Body)
				}
			}
		}
		for _, path := range []string{"/v1/activities?scope=work", "/v1/organisations?parent_id=0", "/v1/organisations/" + jsonText(m.branch.ID) + "/members?"} {
			for _, bad := range []string{"0", "-1", "101", "1000000000", "18446744073709551617", "1e1", "ten", "", "1&limit=2"} {
				r := secretary.get(path + "&limit=" + bad)
				if r.Status != 400 && bad != "" || r.Status >= 500 {
					t.Errorf("%s, limit %q: %d %s", path, bad, r.Status, r.Body)
				}
			}
			want(t, secretary.get(path+"&offset=5"), 400, "invalid_input")
		}
		want(t, secretary.get("/v1/activities?scope=all"), 400, "invalid_input")
		if page := as[service.ActivityPage](t, secretary.get("/v1/activities?scope=work&cursor="+code("1.1"))); len(page.Items) != 0 || page.Next != "" {
			t.Errorf("beyond the end there is %+v", page)
		}
	})
}

func TestL15_TheRosterIsPagedCompleteAndWithoutDoubles(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(24)
		seen := map[uint64]bool{}
		path, cursor := "/v1/organisations/"+jsonText(m.branch.ID)+"/members?limit=7", ""
		for pages := 0; pages == 0 || cursor != ""; pages++ {
			page := as[service.MemberPage](t, m.phone(m.secretary).get(path+"&cursor="+cursor))
			for _, l := range page.Items {
				if seen[l.ID] {
					t.Errorf("member %d twice", l.ID)
				}
				seen[l.ID] = true
			}
			cursor = page.Next
		}
		if len(seen) != 25 {
			t.Errorf("%d of 25 members", len(seen))
		}
	})
}

// cancel is the secretary calling the activity off.
func (m *meeting) cancel(reason string) *reply {
	m.t.Helper()
	m.touch(m.secretary)
	return m.phone(m.secretary).post(m.path(m.id, "/cancellation"), body{"reason": reason})
}

// show is the activity as the secretary sees it.
func (m *meeting) show() service.ActivityView {
	m.t.Helper()
	return as[service.ActivityView](m.t, m.phone(m.secretary).get(m.path(m.id, "")))
}

// revision is an edit of the version of the draft's activity.
func (m *meeting) revision(version int, change ...any) body {
	m.t.Helper()
	b := m.draft(m.branch)
	delete(b, "organisation_id")
	delete(b, "nonce")
	return b.with("version", version).with(change...)
}

// stillDraft fails unless the activity is a draft that no member knows of.
func (m *meeting) stillDraft(id uint64) {
	m.t.Helper()
	a := as[service.ActivityView](m.t, m.phone(m.secretary).get(m.path(id, "")))
	var expected int64
	err := m.DB.Model(&model.RosterEntry{}).Where("activity_id = ?", id).Count(&expected).Error
	if err != nil || a.Status != model.Draft || a.PublishedAt != nil || expected != 0 {
		m.t.Errorf("activity %d is %s, published at %v, with %d on its roster (%v)", id, a.Status, a.PublishedAt, expected, err)
	}
}
