package api_test

import (
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

func (m *meeting) year(p *trial.Person) service.HomeYear {
	m.t.Helper()
	return as[service.HomeScreen](m.t, m.phone(p).get("/v1/home")).Year
}

const year = 366 * 24 * time.Hour

// counts is a year as it should stand, of an ordinary member.
func counts(attended, expected int, hours float64) service.HomeYear {
	return service.HomeYear{Attended: attended, Expected: expected, CreditHours: hours, CreditDue: 32}
}

func TestTheYearFollowsWhatIsRecordedAtClosedMeetings(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.leavingMeeting(4)
		stayed, left, never, absent := m.members[0], m.members[1], m.members[2], m.members[3]
		for _, p := range []*trial.Person{left, never} {
			want(t, m.scan(p, m.code().Code, nonce()), 200, "ok")
		}
		s.Clock.Advance(60 * time.Minute)
		want(t, m.leave(left, nonce()), 200, "ok")
		s.Clock.Advance(50 * time.Minute)
		want(t, m.leave(stayed, nonce()), 200, "ok")
		if got := m.year(stayed); got != counts(0, 0, 0) {
			t.Errorf("before the closing: %+v", got)
		}
		m.close()
		expect := func(when string, p *trial.Person, want service.HomeYear) {
			t.Helper()
			if got := m.year(p); got != want {
				t.Errorf("%s: %+v, want %+v", when, got, want)
			}
		}
		expect("stayed", stayed, counts(1, 1, 2))
		expect("left early", left, counts(1, 1, 0))
		expect("did not check out", never, counts(1, 1, 0))
		expect("absent", absent, counts(0, 1, 0))

		starts := m.show().StartsAt
		want(t, m.correct(left, model.Present, "left_at", starts.Add(100*time.Minute)), 200, "ok")
		expect("left later than recorded", left, counts(1, 1, 2))
		want(t, m.correct(absent, model.Present, "at", starts, "left_at", starts.Add(110*time.Minute)), 200, "ok")
		expect("was there after all", absent, counts(1, 1, 2))
		want(t, m.annul(body{"attendance_id": m.holding(stayed)[0].ID, "reason": "代人签到"}), 200, "ok")
		expect("annulled", stayed, counts(0, 1, 0))

		s.Clock.Set(time.Date(2027, 1, 1, 0, 0, 1, 0, trial.Zone))
		expect("in the new year", absent, counts(0, 0, 0))

		// A meeting of the new year is not of the old one, as on the certificate, whatever the clock says now.
		m.id = m.publish(m.branch)
		m.begins()
		m.close()
		expect("a meeting in the new year", absent, counts(0, 1, 0))
		s.Clock.Set(time.Date(2026, 12, 31, 12, 0, 0, 0, trial.Zone))
		expect("the old year", absent, counts(1, 1, 2))
	}, func(p *service.Parts) { p.Settings.SessionIdle, p.Settings.SessionLife = year, year })
}

func TestAMeetingClosedByAnOlderProgramIsEnteredLater(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 200, "ok")
		s.Clock.Advance(3 * time.Hour)
		m.close()
		whole := m.year(m.members[0])
		if err := s.DB.Delete(&model.CreditEntry{}, "member_id = ?", m.members[1].ID).Error; err != nil {
			t.Fatal(err)
		}
		if s.WrongCredits() == nil {
			t.Error("an entry is missing: who compares the ledger with the record would not see it")
		}
		if err := s.DB.Delete(&model.CreditEntry{}, "activity_id = ?", m.id).Error; err != nil {
			t.Fatal(err)
		}
		if got := m.year(m.members[0]); got != counts(0, 0, 0) {
			t.Errorf("without entries: %+v", got)
		}
		replicas := []*service.Services{s.Services, s.Replica(), s.Replica()}
		trial.Race(6, func(i int) {
			if err := replicas[i%3].Credits.CatchUp(t.Context()); err != nil {
				t.Error(err)
			}
		})
		if got := m.year(m.members[0]); got != whole || whole != counts(1, 1, 2) {
			t.Errorf("after catching up %+v, before %+v", got, whole)
		}
	})
}

func TestACrowdOpensTheFirstScreenAndEachSeesTheirOwn(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(40)
		code := m.code().Code
		for _, p := range m.members[:20] {
			want(t, m.scan(p, code, nonce()), 200, "ok")
		}
		phones := make([]*phone, 40)
		for i, p := range m.members {
			phones[i] = m.phone(p)
		}
		trial.Race(120, func(i int) { // several calls of each
			p := m.members[i%40]
			home := as[service.HomeScreen](t, phones[i%40].get("/v1/home"))
			came := model.AttendanceStatus("")
			if i%40 < 20 {
				came = model.Present
			}
			if home.Name != p.Name || home.Branch != m.branch.Name || len(home.Now) != 1 || home.Now[0].MyStatus != came {
				t.Errorf("%s sees %+v", p.Name, home)
			}
		})
	})
}

func TestAPaperSheetOfADayAfterTheClosingCountsInTheYear(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		noon := time.Date(2026, 3, 12, 12, 0, 0, 0, trial.Zone)
		s.Clock.Set(noon.Add(-time.Hour))
		m := s.aMeeting(2, "starts_at", noon, "ends_at", noon.Add(48*time.Hour), "daily", true, "late_after_minutes", 0)
		s.Clock.Set(noon.Add(time.Hour))
		m.close()
		p, day := m.members[0], noon.Add(24*time.Hour)
		before := m.year(p)
		s.Clock.Set(day.Add(time.Hour))
		report := as[service.PaperSheetReport](t, m.paper(body{"photo_id": m.paperPhoto(), "member_ids": ids(p), "arrived_at": day, "nonce": nonce()}))
		if after := m.year(p); len(report.Recorded) != 1 || before.Attended != 0 || after.Attended != 1 || after.CreditHours == 0 {
			t.Errorf("recorded %+v, the year %+v was %+v", report.Recorded, after, before)
		}
	})
}
