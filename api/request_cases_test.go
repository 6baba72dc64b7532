package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
	"dangri/wechat/sim"
)

func (m *meeting) askLeave(p *trial.Person, change ...any) *reply {
	m.t.Helper()
	return m.phone(p).post(m.path(m.id, "/leave-requests"), body{"status": "personal_leave", "note": "家里有事", "nonce": nonce()}.with(change...))
}

func (m *meeting) askLateRecord(by *trial.Person, change ...any) *reply {
	m.t.Helper()
	return m.phone(by).post(m.path(m.id, "/late-records"), body{"reason": "手机没电了", "nonce": nonce()}.with(change...))
}

func (m *meeting) decide(by *trial.Person, kind string, id uint64, approve bool) *reply {
	m.t.Helper()
	return m.phone(by).post("/v1/"+kind+"/"+jsonText(id)+"/decision", body{"approve": approve, "answer": "知道了"})
}

// deputy is one more of the branch's committee: the last of its members.
func (m *meeting) deputy() *trial.Person {
	p := m.members[len(m.members)-1]
	m.Post(p, m.branch, model.CommitteeMember)
	return p
}

func (m *meeting) requests(by *trial.Person) []service.RequestView {
	m.t.Helper()
	return as[service.RequestPage](m.t, m.phone(by).get(m.path(m.id, "/requests"))).Items
}

func TestLeaveIsAskedDecidedAndTakenBack(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		p := m.members[0]
		first := as[service.RequestView](t, m.askLeave(p, "nonce", "leave-nonce-1"))
		again := as[service.RequestView](t, m.askLeave(p, "nonce", "leave-nonce-1"))
		if again.ID != first.ID || first.State != model.Asked || first.Reason != "家里有事" {
			t.Errorf("asked %+v, again %+v", first, again)
		}
		want(t, m.askLeave(p, "nonce", "leave-nonce-1", "note", "别的事"), 409, "key_reused")
		want(t, m.askLeave(p), 409, "leave_asked")
		if n := m.board().Tally.OnLeave; n != 0 {
			t.Errorf("%d on leave before anybody agreed", n)
		}
		if page := as[service.RequestPage](t, m.phone(m.secretary).get("/v1/approvals")); len(page.Items) != 1 || page.Items[0].ID != first.ID || page.Items[0].Name != p.Name {
			t.Errorf("waits for the secretary: %+v", page)
		}
		want(t, m.decide(m.members[1], "leave-requests", first.ID, true), 404, "request_not_found")
		want(t, m.decide(m.secretary, "leave-requests", first.ID, true), 200, "ok")
		want(t, m.decide(m.secretary, "leave-requests", first.ID, true), 200, "ok")
		want(t, m.decide(m.secretary, "leave-requests", first.ID, false), 409, "request_decided")
		if n := m.board().Tally.OnLeave; n != 1 {
			t.Errorf("%d on leave after the approval", n)
		}
		back := as[service.RequestView](t, m.phone(p).post("/v1/leave-requests/"+jsonText(first.ID)+"/withdrawal", nil))
		if back.State != model.RequestWithdrawn || m.board().Tally.OnLeave != 0 {
			t.Errorf("taken back: %+v, %d on leave", back, m.board().Tally.OnLeave)
		}
		want(t, m.phone(p).post("/v1/leave-requests/"+jsonText(first.ID)+"/withdrawal", nil), 200, "ok")
		want(t, m.phone(m.members[1]).post("/v1/leave-requests/"+jsonText(first.ID)+"/withdrawal", nil), 404, "request_not_found")
		refused := as[service.RequestView](t, m.askLeave(p))
		want(t, m.decide(m.secretary, "leave-requests", refused.ID, false), 200, "ok")
		want(t, m.askLeave(p), 200, "ok") // after a refusal one may ask once more
		if all := m.requests(p); len(all) != 3 || all[0].State != model.Asked {
			t.Errorf("the member's own: %+v", all)
		}
		if all := m.requests(m.members[1]); len(all) != 0 {
			t.Errorf("somebody else sees %+v", all)
		}
		if page := as[service.RequestPage](t, m.phone(p).get("/v1/approvals")); len(page.Items) != 0 {
			t.Errorf("waits for a member: %+v", page)
		}
	})
}

func TestD7_ApprovedLeaveAndAScanIsPresenceWithBothOnRecord(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		p := m.members[0]
		r := as[service.RequestView](t, m.askLeave(p))
		want(t, m.decide(m.secretary, "leave-requests", r.ID, true), 200, "ok")
		s.Clock.Advance(time.Second)
		want(t, m.scan(p, m.code().Code, nonce()), 200, "ok")
		if b := m.board().Tally; b.Present != 1 || b.OnLeave != 0 {
			t.Errorf("the board says %+v", b)
		}
		if all := m.requests(p); len(all) != 1 || !all[0].CameAfterAll || all[0].State != model.Approved {
			t.Errorf("the request says %+v", all)
		}
		log := m.log(p)
		if len(log.Entries) != 2 || log.Entries[0].Kind != "leave" || log.Entries[1].Kind != "attendance" || log.Status != model.Present {
			t.Errorf("the log says %+v", log)
		}
		want(t, m.askLeave(p, "status", "sick_leave"), 409, "already_checked_in")
	})
}

func TestLeaveThatIsDecidedAfterTheClosingReplacesTheAbsence(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		p := m.members[0]
		r := as[service.RequestView](t, m.askLeave(p))
		s.Clock.Advance(3 * time.Hour)
		want(t, m.phone(m.secretary).post(m.path(m.id, "/closing"), nil), 200, "ok")
		want(t, m.askLeave(m.members[1]), 409, "wrong_status")
		want(t, m.phone(p).post("/v1/leave-requests/"+jsonText(r.ID)+"/withdrawal", nil), 409, "wrong_status")
		want(t, m.decide(m.secretary, "leave-requests", r.ID, true), 200, "ok")
		rows := m.holding(p)
		if len(rows) != 1 || rows[0].Status != model.PersonalLeave || m.rows(p) != 2 {
			t.Errorf("%d rows, holding %+v", m.rows(p), rows)
		}
	})
}

func TestWithDailyCheckInLeaveAfterTheClosingReplacesEachAbsentDay(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		noon := time.Date(2026, 3, 12, 12, 0, 0, 0, trial.Zone)
		s.Clock.Set(noon.Add(-time.Hour))
		m := s.aMeeting(4, "starts_at", noon, "ends_at", noon.Add(48*time.Hour), "daily", true, "late_after_minutes", 0)
		came, away, other, deputy := m.members[0], m.members[1], m.members[2], m.deputy()
		half, whole := as[service.RequestView](t, m.askLeave(came)), as[service.RequestView](t, m.askLeave(away, "status", "duty_leave"))
		s.Clock.Set(noon.Add(24 * time.Hour)) // the second day
		want(t, m.scan(came, m.code().Code, nonce()), 200, "ok")
		s.Clock.Set(noon.Add(47 * time.Hour))
		m.close()
		deciders := []*phone{m.phone(m.secretary), m.phone(deputy)}
		trial.Race(6, func(i int) { // each absence is replaced once, however often it is decided
			for _, r := range []service.RequestView{half, whole} {
				want(t, deciders[i%2].post("/v1/leave-requests/"+jsonText(r.ID)+"/decision", body{"approve": true}), 200, "ok")
			}
		})
		for _, c := range []struct {
			p    *trial.Person
			days []model.AttendanceStatus
			rows int64
		}{
			{came, []model.AttendanceStatus{"personal_leave", "present", "personal_leave"}, 5},
			{away, []model.AttendanceStatus{"duty_leave", "duty_leave", "duty_leave"}, 6},
			{other, []model.AttendanceStatus{"absent", "absent", "absent"}, 3},
		} {
			own := map[model.Day]model.AttendanceStatus{}
			for _, row := range m.holding(c.p) {
				own[row.Day] = row.Status
			}
			for i, day := range []model.Day{"2026-03-12", "2026-03-13", "2026-03-14"} {
				if own[day] != c.days[i] || len(own) != 3 || m.rows(c.p) != c.rows {
					t.Errorf("%s on %s: %q of %v in %d rows, want %q in %d", c.p.Name, day, own[day], own, m.rows(c.p), c.days[i], c.rows)
				}
			}
		}
		if n := m.board().Tally; n.Present != 1 || n.OnLeave != 1 || n.Absent != 3 {
			t.Errorf("the board says %+v", n)
		}
		if y := m.year(came); y != counts(1, 1, 2) {
			t.Errorf("who came on one day has the year %+v", y)
		}
		if y := m.year(away); y != counts(0, 1, 0) {
			t.Errorf("who was away has the year %+v", y)
		}
		// Where the check-in turns out not to count either, the leave does for that day too.
		for _, row := range m.holding(came) {
			if row.Status == model.Present {
				want(t, m.annul(body{"attendance_id": row.ID, "reason": "代人签到"}), 200, "ok")
			}
		}
		if n := m.board().Tally; n.Present != 0 || n.OnLeave != 2 || m.year(came) != counts(0, 1, 0) {
			t.Errorf("after the annulment: %+v, the year %+v", n, m.year(came))
		}
	})
}

func TestK15_NobodyDecidesAboutTheirOwn(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		deputy := m.deputy()
		own := as[service.RequestView](t, m.askLeave(m.secretary))
		want(t, m.decide(m.secretary, "leave-requests", own.ID, true), 403, "own_request")
		want(t, m.decide(deputy, "leave-requests", own.ID, true), 200, "ok")
		s.Clock.Advance(3 * time.Hour)
		want(t, m.phone(m.secretary).post(m.path(m.id, "/closing"), nil), 200, "ok")
		forOther := as[service.RequestView](t, m.askLateRecord(m.secretary, "member_id", m.members[0].ID))
		want(t, m.decide(m.secretary, "late-records", forOther.ID, true), 403, "own_request")
		want(t, m.decide(deputy, "late-records", forOther.ID, true), 200, "ok")
		mine := as[service.RequestView](t, m.askLateRecord(deputy))
		want(t, m.decide(deputy, "late-records", mine.ID, true), 403, "own_request")
		want(t, m.decide(m.secretary, "late-records", mine.ID, true), 200, "ok")
	})
}

func TestALateRecordCountsOnceSomebodyElseAgrees(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		p := m.members[0]
		a := m.show()
		want(t, m.askLateRecord(p), 409, "late_record_early")
		want(t, m.scan(m.members[1], m.code().Code, nonce()), 200, "ok")
		s.Clock.Set(a.EndsAt.Add(time.Hour))
		want(t, m.phone(m.secretary).post(m.path(m.id, "/closing"), nil), 200, "ok")
		want(t, m.askLateRecord(m.members[1]), 409, "already_checked_in")
		want(t, m.askLateRecord(m.members[2], "member_id", p.ID), 403, "not_conductor")
		want(t, m.askLateRecord(p, "came_at", a.EndsAt), 400, "invalid_field")
		r := as[service.RequestView](t, m.askLateRecord(p, "came_at", a.LateAt.Add(time.Minute)))
		want(t, m.askLateRecord(p), 409, "late_record_asked")
		if rows := m.holding(p); rows[0].Status != model.Absent {
			t.Errorf("before the decision: %+v", rows)
		}
		want(t, m.decide(m.secretary, "late-records", r.ID, true), 200, "ok")
		rows := m.holding(p)
		if len(rows) != 1 || rows[0].Status != model.Present || rows[0].Provenance != model.ByLateRecord || !rows[0].At.Equal(a.LateAt.Add(time.Minute)) || m.rows(p) != 2 {
			t.Errorf("%d rows, holding %+v", m.rows(p), rows)
		}
		if b := m.board().Tally; b.Present != 2 || b.Late != 0 {
			t.Errorf("the board says %+v", b)
		}
		figures := as[service.LateRecordFigures](t, m.phone(m.secretary).get("/v1/organisations/"+jsonText(m.branch.ID)+"/late-record-figures?month="+a.StartsAt.Format("2006-01")))
		if len(figures.Branches) != 1 || figures.Branches[0].Asked != 1 || figures.Branches[0].Approved != 1 || figures.Branches[0].Attendances != 2 {
			t.Errorf("figures %+v", figures)
		}
		want(t, m.phone(m.secretary).get("/v1/organisations/"+jsonText(m.branch.ID)+"/late-record-figures?month=2026-13"), 400, "invalid_field")
		s.Clock.Set(a.EndsAt.Add(time.Hour).AddDate(0, 0, 7).Add(-time.Millisecond))
		want(t, m.askLateRecord(m.secretary), 200, "ok")
		s.Clock.Advance(time.Millisecond)
		want(t, m.askLateRecord(m.members[2]), 409, "late_record_too_late")
	})
}

// decideAtOnce lets two of the committee decide differently and returns how
// many were told that theirs holds.
func (m *meeting) decideAtOnce(deputy *trial.Person, other *meeting) (accepted int) {
	m.t.Helper()
	p := m.Member(m.branch, "何同志")
	m.id = m.publish(m.branch)
	other.id = m.id
	r := as[service.RequestView](m.t, m.askLeave(p))
	phones, answers := []*phone{m.phone(m.secretary), other.phone(deputy)}, make([]*reply, 2)
	trial.Race(2, func(i int) {
		answers[i] = phones[i].post("/v1/leave-requests/"+jsonText(r.ID)+"/decision", body{"approve": i == 0})
	})
	for _, a := range answers {
		switch {
		case a.Status == 200:
			accepted++
		case a.code() != "request_decided":
			m.t.Errorf("a decision got %d %s", a.Status, a.Body)
		}
	}
	return accepted
}

func TestTwoWhoDecideAtOnceOneWinsAndTheOtherIsTold(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		deputy, other := m.deputy(), &meeting{stage: s.replica(), branch: m.branch, secretary: m.secretary}
		for range 5 {
			if n := m.decideAtOnce(deputy, other); n != 1 {
				t.Errorf("%d decisions hold", n)
			}
		}
	})
}

func TestControl_WithoutTheLockTwoDecisionsHold(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		deputy, other := m.deputy(), &meeting{stage: s.replica(), branch: m.branch, secretary: m.secretary}
		for round := range 40 {
			if m.decideAtOnce(deputy, other) > 1 {
				t.Logf("seen in round %d", round)
				return
			}
		}
		t.Error("forty rounds without the lock and one decision each: this test cannot see the race")
	}, skipLocks)
}

func TestTwentyTapsAtOnceAskOnce(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		phones, same, seen := []*phone{m.phone(m.members[0]), m.phone(m.members[1])}, nonce(), make([]uint64, 10)
		ask := func(p *phone, nonce string) *reply {
			return p.post(m.path(m.id, "/leave-requests"), body{"status": "duty_leave", "nonce": nonce})
		}
		trial.Race(20, func(i int) {
			if i < 10 {
				seen[i] = as[service.RequestView](t, ask(phones[0], same)).ID
				return
			}
			if r := ask(phones[1], nonce()); r.Status != 200 && r.code() != "leave_asked" {
				t.Errorf("a tap got %d %s", r.Status, r.Body)
			}
		})
		for _, id := range seen {
			if id != seen[0] {
				t.Errorf("retries made %v", seen)
			}
		}
		if n := len(m.requests(m.secretary)); n != 2 {
			t.Errorf("%d requests of two people", n)
		}
	})
}

func TestOneRequest_Control_WithoutTheKeyTheTapsAskTwice(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		if err := s.DB.Exec("CREATE INDEX leave_requests_activity ON leave_requests (activity_id)").Error; err != nil { // which the foreign key needs
			t.Fatal(err)
		}
		s.dropIndex("leave_requests", "leave_requests_live")
		p := m.phone(m.members[0])
		trial.Race(8, func(int) { p.post(m.path(m.id, "/leave-requests"), body{"status": "duty_leave", "nonce": nonce()}) })
		if n := len(m.requests(m.secretary)); n < 2 {
			t.Error("without the key and never two: this test cannot see the race")
		}
	})
}

func (m *meeting) homeOf(p *trial.Person) service.HomeActivity {
	m.t.Helper()
	h := as[service.HomeScreen](m.t, m.phone(p).get("/v1/home"))
	for _, a := range append(h.Now, h.Next...) {
		if a.ID == m.id {
			return a
		}
	}
	m.t.Fatalf("the first screen of %s does not have the activity", p.Name)
	return service.HomeActivity{}
}

func TestTheFirstScreenAndTheActivityTellTheMemberTheirLeave(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		p := m.members[0]
		if v := as[service.ActivityView](t, m.phone(p).get(m.path(m.id, ""))); v.MyLeave != nil || m.homeOf(p).MyLeave != "" {
			t.Errorf("nothing was asked: %+v", v.MyLeave)
		}
		shows := func(state model.RequestState, status model.AttendanceStatus) {
			t.Helper()
			v, h := as[service.ActivityView](t, m.phone(p).get(m.path(m.id, ""))), m.homeOf(p)
			if v.MyLeave == nil || v.MyLeave.State != state || v.MyStatus != status || h.MyLeave != state || h.MyStatus != status {
				t.Errorf("want %q, %q; the activity says %+v, %q, the first screen %q, %q", state, status, v.MyLeave, v.MyStatus, h.MyLeave, h.MyStatus)
			}
		}
		s.Warm(func() { m.homeOf(p) })
		before := s.Trips(func() { m.homeOf(p) })
		id := as[service.RequestView](t, m.askLeave(p)).ID
		shows(model.Asked, "")
		if after := s.Trips(func() { m.homeOf(p) }); len(after.SQL) != len(before.SQL) {
			t.Errorf("the first screen took %s, before %s", after, before)
		}
		if work := as[service.HomeScreen](t, m.phone(m.secretary).get("/v1/home")).Work; len(work) != 1 || work[0].Waiting != 1 {
			t.Errorf("the secretary's first screen: %+v", work)
		}
		want(t, m.decide(m.secretary, "leave-requests", id, true), 200, "ok")
		shows(model.Approved, model.PersonalLeave)
		want(t, m.scan(p, m.code().Code, nonce()), 200, "ok")
		shows(model.RequestCame, model.Present)
	})
}

func TestAPostInTheBranchAndOneInItsGroupAreNoWorkTwice(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(0)
		group := s.Group(m.branch, "第一党小组")
		both, p := s.Member(m.branch, "林三"), s.Member(m.branch, "韩一", trial.InGroup(group))
		s.Post(both, m.branch, model.CommitteeMember)
		s.Post(both, group, model.GroupLeader)
		m.id = m.publish(group)
		want(t, m.askLeave(p), 200, "ok")
		work := as[service.HomeScreen](t, m.phone(both).get("/v1/home")).Work
		if len(work) != 2 || work[0].Waiting+work[1].Waiting != 1 {
			t.Errorf("the first screen: %+v", work)
		}
		if list := as[service.RequestPage](t, m.phone(both).get("/v1/approvals")); len(list.Items) != 1 {
			t.Errorf("waiting: %+v", list.Items)
		}
	})
}

func TestALeaveThatTheSecretaryRecordedMeanwhileIsNotTheMembersToEnd(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		p := m.members[0]
		id := as[service.RequestView](t, m.askLeave(p)).ID
		want(t, m.decide(m.secretary, "leave-requests", id, true), 200, "ok")
		want(t, m.tick(p, model.SickLeave), 200, "ok")
		want(t, m.phone(p).post("/v1/leave-requests/"+jsonText(id)+"/withdrawal", nil), 200, "ok")
		if h := m.homeOf(p); h.MyStatus != model.SickLeave || h.MyLeave != model.RequestWithdrawn {
			t.Errorf("the first screen says %+v", h)
		}
	})
}

// allow lets the person accept a message of the screen.
func (m *meeting) allow(p *trial.Person, screen string) {
	m.t.Helper()
	ask := as[service.SubscriptionRequests](m.t, m.phone(p).get("/v1/subscription-requests?purpose="+screen))
	p.User.Accept(ask.TemplateIDs...)
	m.Heard()
}

func TestThatApprovalsWaitIsToldOnceADayAndADecisionOnlyWhileItStands(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		s.heard()
		start := s.Clock.Now().Add(72 * time.Hour)
		m := s.aMeeting(4, "starts_at", start, "ends_at", start.Add(2*time.Hour))
		m.allow(m.secretary, "duty")
		m.allow(m.members[0], "application")
		m.allow(m.members[1], "application")
		first := as[service.RequestView](t, m.askLeave(m.members[0])).ID
		second := as[service.RequestView](t, m.askLeave(m.members[1])).ID
		m.sendDue()
		got := m.secretary.User.Messages()
		if len(got) != 1 || got[0].Title != sim.DutyReminder || !strings.Contains(fmt.Sprint(got[0]), "审批") {
			t.Fatalf("on the secretary's phone: %+v", got)
		}
		m.allow(m.secretary, "duty")
		m.askLeave(m.members[2])
		m.sendDue()
		if n := len(m.secretary.User.Messages()); n != 1 {
			t.Errorf("%d messages in one day", n)
		}
		for _, id := range []uint64{first, second} {
			want(t, m.decide(m.secretary, "leave-requests", id, true), 200, "ok")
		}
		want(t, m.phone(m.members[1]).post("/v1/leave-requests/"+jsonText(second)+"/withdrawal", nil), 200, "ok")
		m.sendDue()
		if told := m.members[0].User.Messages(); len(told) != 1 || told[0].Title != sim.ApprovalResult || !strings.Contains(fmt.Sprint(told[0]), "已同意") {
			t.Errorf("on the member's phone: %+v", told)
		}
		if n := len(m.members[1].User.Messages()); n != 0 {
			t.Errorf("%d messages about a leave that was taken back", n)
		}
		s.Clock.Advance(24 * time.Hour)
		m.askLeave(m.members[1])
		m.sendDue()
		if n := len(m.secretary.User.Messages()); n != 2 {
			t.Errorf("%d messages in two days", n)
		}
	})
}

func TestThatApprovalsWaitIsTakenBackWhenNothingDoesAndComesBack(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		told := func(p *trial.Person, state model.ReminderState) {
			t.Helper()
			if got := m.reminded(p, model.ApprovalsWaiting); len(got) != 1 || got[0] != state {
				t.Errorf("%s: %v, want %s once", p.Name, got, state)
			}
		}
		first, second := as[service.RequestView](t, m.askLeave(m.members[0])).ID, as[service.RequestView](t, m.askLeave(m.members[1])).ID
		want(t, m.decide(m.secretary, "leave-requests", first, true), 200, "ok")
		told(m.secretary, model.Queued)
		want(t, m.phone(m.members[1]).post("/v1/leave-requests/"+jsonText(second)+"/withdrawal", nil), 200, "ok")
		told(m.secretary, model.Withdrawn)
		m.askLeave(m.members[1])
		told(m.secretary, model.Queued)
		// What the secretary asks falls to the committee.
		deputy := m.deputy()
		m.askLeave(m.secretary)
		told(deputy, model.Queued)
	})
}

func TestWhoNeitherAskedNorDecidesFindsNoRequest(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		id := as[service.RequestView](t, m.askLeave(m.members[0])).ID
		r, none := m.decide(m.members[1], "leave-requests", id, true), m.decide(m.members[1], "leave-requests", 999999, true)
		want(t, r, 404, "request_not_found")
		if string(r.Body) != string(none.Body) {
			t.Errorf("a request of somebody else is told from none: %s, %s", r.Body, none.Body)
		}
		want(t, m.decide(m.members[0], "leave-requests", id, true), 403, "own_request")
	})
}

func TestWithDailyCheckInALateRecordIsForItsDay(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		noon := time.Date(2026, 3, 12, 12, 0, 0, 0, trial.Zone)
		s.Clock.Set(noon.Add(-time.Hour))
		m := s.aMeeting(2, "starts_at", noon, "ends_at", noon.Add(30*time.Hour), "daily", true, "late_after_minutes", 0)
		s.Clock.Set(noon.Add(time.Minute))
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 200, "ok")
		s.Clock.Set(noon.Add(29 * time.Hour))
		m.close()
		p := m.members[0]
		want(t, m.askLateRecord(p), 409, "already_checked_in")
		second := as[service.RequestView](t, m.askLateRecord(p, "came_at", noon.Add(22*time.Hour)))
		want(t, m.decide(m.secretary, "late-records", second.ID, true), 200, "ok")
		rows := m.holding(p)
		if len(rows) != 2 || rows[0].Status != model.Present || rows[1].Status != model.Present || rows[1].Day != "2026-03-13" || rows[1].Provenance != model.ByLateRecord {
			t.Errorf("rows %+v", rows)
		}
		f := as[service.LateRecordFigures](t, m.phone(m.secretary).get("/v1/organisations/"+jsonText(m.branch.ID)+"/late-record-figures?month=2026-03"))
		if len(f.Branches) != 1 || f.Branches[0].Asked != 1 || f.Branches[0].Approved != 1 || f.Branches[0].Attendances != 2 || f.Branches[0].Recorded != 1 || f.Branches[0].Share != 0.5 {
			t.Errorf("figures %+v", f)
		}
	})
}
