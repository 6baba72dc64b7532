package api_test

import (
	"testing"
	"time"

	"dangri/model"
	"dangri/service/trial"
	"dangri/wechat/sim"
)

func (m *meeting) restore() *reply {
	m.t.Helper()
	m.touch(m.secretary)
	return m.phone(m.secretary).post(m.path(m.id, "/restoration"), body{"reason": "来电了"})
}

// reminded is the states of the person's messages of a kind about the activity.
func (m *meeting) reminded(p *trial.Person, kind model.ReminderKind) []model.ReminderState {
	m.t.Helper()
	var states []model.ReminderState
	err := m.DB.Model(&model.Reminder{}).Where("activity_id = ? AND member_id = ? AND kind = ?", m.id, p.ID, kind).Order("id").Pluck("state", &states).Error
	if err != nil {
		m.t.Fatal(err)
	}
	return states
}

func TestE5_WhatIsRestoredIsAsItWasAndOnlyItsCodesAreNew(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(4)
		other := &meeting{stage: s.replica(), branch: m.branch, secretary: m.secretary, members: m.members, id: m.id}
		old := m.code()
		want(t, m.scan(m.members[0], old.Code, nonce()), 200, "ok")
		want(t, m.tick(m.members[1], model.SickLeave), 200, "ok")
		want(t, m.phone(m.secretary).post(m.path(m.id, "/exemptions"), body{"member_id": m.members[2].ID, "exemption": "bedridden", "reason": "同意"}), 200, "ok")
		before := m.board().Tally
		want(t, m.cancel("场地停电"), 200, "ok")
		late := s.Member(m.branch, "新来的") // while it is called off its roster follows nobody
		a := as[model.Activity](t, m.restore())
		if a.Status != model.Published || a.CancelReason != "" || a.RestoreReason != "来电了" || a.Version != 4 {
			t.Errorf("restored as %+v", a)
		}
		before.Expected, before.Awaited, before.VotersExpected = before.Expected+1, before.Awaited+1, before.VotersExpected+1
		if after := m.board().Tally; after != before {
			t.Errorf("the board says %+v, want %+v", after, before)
		}
		for _, at := range []*meeting{m, other} {
			want(t, at.scan(m.members[3], old.Code, nonce()), 409, "code_expired")
			want(t, at.phone(m.members[3]).post("/v1/check-ins", body{"digits": old.Digits, "activity_id": m.id, "nonce": nonce()}), 409, "typed_code_invalid")
		}
		want(t, other.scan(m.members[3], m.code().Code, nonce()), 200, "ok")
		want(t, m.scan(late, m.code().Code, nonce()), 200, "ok")
		want(t, m.restore(), 200, "ok")
		if v := m.show(); v.Version != 4 || s.audited("restore_activity", "activity", m.id) != 1 {
			t.Errorf("restored again: version %d, %d audit rows", v.Version, s.audited("restore_activity", "activity", m.id))
		}
	})
}

func TestE5_ARosterThatIsFrozenStaysSoWhenTheMeetingIsRestored(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		want(t, m.cancel("场地停电"), 200, "ok")
		late := s.Member(m.branch, "新来的")
		s.Clock.Set(m.show().StartsAt)
		want(t, m.restore(), 200, "ok")
		if n := m.board().Tally.Expected; n != 3 {
			t.Errorf("%d expected", n)
		}
		want(t, m.scan(late, m.code().Code, nonce()), 409, "not_on_roster")
		want(t, m.cancel("又停电"), 200, "ok")
		s.Clock.Set(m.show().EndsAt.Add(-time.Millisecond))
		want(t, m.restore(), 200, "ok")
		want(t, m.cancel("又停电"), 200, "ok")
		s.Clock.Set(m.show().EndsAt)
		want(t, m.restore(), 409, "activity_over")
		if v := m.show(); v.Status != model.Cancelled || v.CancelReason != "又停电" {
			t.Errorf("after a refused restoration: %s %q", v.Status, v.CancelReason)
		}
	})
}

func TestE5_OnlyWhoRunsItRestoresAndADraftIsADraftAgain(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		want(t, m.cancel("场地停电"), 200, "ok")
		restore := func(p *trial.Person, b body) *reply { return m.phone(p).post(m.path(m.id, "/restoration"), b) }
		want(t, restore(m.members[0], body{"reason": "来电了"}), 403, "not_conductor")
		want(t, restore(m.secretary, body{}), 400, "invalid_input")
		want(t, restore(m.secretary, body{"reason": " 　 "}), 400, "invalid_field")
		want(t, m.restore(), 200, "ok")
		m.id = as[model.Activity](t, m.phone(m.secretary).post("/v1/activities", m.draft(m.branch))).ID
		want(t, m.cancel("不办了"), 200, "ok")
		if a := as[model.Activity](t, m.restore()); a.Status != model.Draft || a.PublishedAt != nil {
			t.Errorf("a draft came back as %+v", a)
		}
		s.touch(m.secretary)
		want(t, m.phone(m.secretary).post(m.path(m.id, "/publication"), nil), 200, "ok")
		s.Clock.Advance(31 * time.Minute)
		want(t, m.phone(m.secretary).post(m.path(m.id, "/closing"), nil), 200, "ok")
		want(t, m.restore(), 409, "wrong_status")
	})
}

func TestE5_NoReminderIsSentTwiceAndWhoWasToldOfTheCancellationIsToldThatItIsVoid(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		s.heard()
		start := s.Clock.Now().Add(25 * time.Hour)
		m := s.aMeeting(2, "starts_at", start, "ends_at", start.Add(2*time.Hour))
		told, untold := m.members[0], m.members[1]
		for range 4 {
			for _, p := range m.members {
				m.Bind(p)
				p.User.Accept(reminderTemplate, sim.TemplateID(sim.ActivityChange))
			}
			s.Clock.Advance(time.Second)
		}
		m.Heard()
		s.Clock.Advance(time.Hour)
		m.sendDue()
		s.Clock.Advance(time.Minute)
		wantStates := func(p *trial.Person, kind model.ReminderKind, states ...model.ReminderState) {
			t.Helper()
			got := m.reminded(p, kind)
			if len(got) != len(states) {
				t.Fatalf("%s has %v of %s, want %v", p.Name, got, kind, states)
			}
			for i := range got {
				if got[i] != states[i] {
					t.Fatalf("%s has %v of %s, want %v", p.Name, got, kind, states)
				}
			}
		}
		for _, p := range m.members {
			wantStates(p, model.DayBefore, model.Sent)
			wantStates(p, model.HourBefore, model.Queued)
		}
		// Called off and restored before anybody was told: nobody hears of it.
		want(t, m.cancel("场地停电"), 200, "ok")
		want(t, m.restore(), 200, "ok")
		m.sendDue()
		for _, p := range m.members {
			wantStates(p, model.CalledOff, model.Withdrawn)
			wantStates(p, model.Resumed)
			wantStates(p, model.DayBefore, model.Sent)
			wantStates(p, model.HourBefore, model.Queued)
		}
		// One hears of the second cancellation, of the other nothing can be sent.
		s.Clock.Advance(time.Minute)
		if err := m.DB.Where("account_id = ?", m.Bind(untold).ID).Delete(&model.Consent{}).Error; err != nil {
			t.Fatal(err)
		}
		want(t, m.cancel("又停电"), 200, "ok")
		m.sendDue()
		wantStates(told, model.CalledOff, model.Withdrawn, model.Sent)
		s.Clock.Advance(time.Minute)
		want(t, m.restore(), 200, "ok")
		m.sendDue()
		wantStates(told, model.Resumed, model.Sent)
		wantStates(untold, model.Resumed)
		wantStates(untold, model.CalledOff, model.Withdrawn, model.Withdrawn)
		last := told.User.Messages()[len(told.User.Messages())-1]
		if last.Fields[1].Value != "恢复举行" {
			t.Errorf("the last message on the phone: %+v", last)
		}
		// A third time, before anybody is told: who knows that it takes place is not told again.
		s.Clock.Advance(time.Minute)
		want(t, m.cancel("停水"), 200, "ok")
		s.Clock.Advance(time.Minute)
		want(t, m.restore(), 200, "ok")
		m.sendDue()
		wantStates(told, model.Resumed, model.Sent)
		s.Clock.Set(start.Add(-30 * time.Minute))
		m.sendDue()
		wantStates(told, model.HourBefore, model.Sent)
		wantStates(told, model.DayBefore, model.Sent)
		if n := len(told.User.Messages()); n != 4 {
			t.Errorf("%d messages arrived, want the day before, the cancellation, the restoration, the hour before", n)
		}
	})
}

// restoreAtOnce restores the activity eight times at the same moment on two replicas.
func (m *meeting) restoreAtOnce(other *meeting) []*reply {
	m.t.Helper()
	other.id = m.id
	answers := make([]*reply, 8)
	trial.Race(len(answers), func(i int) {
		at := m
		if i%2 == 1 {
			at = other
		}
		answers[i] = at.restore()
	})
	return answers
}

func TestE5_ManyRestorationsAtOnceAreOneTransition(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		other := &meeting{stage: s.replica(), secretary: m.secretary}
		for range 4 {
			m.id = m.publish(m.branch)
			want(t, m.cancel("停电"), 200, "ok")
			answers := m.restoreAtOnce(other)
			for _, r := range answers {
				want(t, r, 200, "ok")
				sameBytes(t, answers[0], r)
			}
			if n := s.audited("restore_activity", "activity", m.id); n != 1 {
				t.Errorf("%d audit rows", n)
			}
			var a model.Activity
			if err := s.DB.Take(&a, m.id).Error; err != nil || a.Version != 4 || a.CodeEpoch != 2 {
				t.Errorf("version %d, epoch %d, %v", a.Version, a.CodeEpoch, err)
			}
		}
	})
}

func TestE5_Control_WithoutTheLockOneRestorationIsSeveral(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		other := &meeting{stage: s.replica(), secretary: m.secretary}
		for round := range 40 {
			m.id = as[model.Activity](t, m.phone(m.secretary).post("/v1/activities", m.draft(m.branch))).ID
			want(t, m.cancel("停电"), 200, "ok") // a draft, whose roster's keys cannot stand in for the lock
			m.restoreAtOnce(other)
			if s.audited("restore_activity", "activity", m.id) > 1 {
				t.Logf("seen in round %d", round)
				return
			}
		}
		t.Error("forty rounds without the lock and never two transitions: this test cannot see the race")
	}, skipLocks)
}
