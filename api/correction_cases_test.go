package api_test

import (
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

// holding is the rows of a member that count.
func (m *meeting) holding(p *trial.Person) []model.Attendance {
	m.t.Helper()
	var rows []model.Attendance
	if err := m.DB.Order("id").Find(&rows, "activity_id = ? AND member_id = ? AND voided = 0", m.id, p.ID).Error; err != nil {
		m.t.Fatal(err)
	}
	return rows
}

func (m *meeting) log(of *trial.Person) service.AttendanceLog {
	m.t.Helper()
	return as[service.AttendanceLog](m.t, m.phone(m.secretary).get(m.path(m.id, "/members/"+jsonText(of.ID)+"/attendance-log")))
}

func (m *meeting) annul(b body) *reply {
	m.t.Helper()
	return m.phone(m.secretary).post(m.path(m.id, "/annulments"), b)
}

func (m *meeting) correct(p *trial.Person, status model.AttendanceStatus, change ...any) *reply {
	m.t.Helper()
	b := body{"member_id": p.ID, "status": status, "reason": "核实后更正", "nonce": nonce()}
	return m.phone(m.secretary).post(m.path(m.id, "/corrections"), b.with(change...))
}

func (m *meeting) close() {
	m.t.Helper()
	want(m.t, m.phone(m.secretary).post(m.path(m.id, "/closing"), nil), 200, "ok")
}

func TestA16_WithDailyCheckInTheTwoSidesOfMidnightAreTwoRows(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		noon := time.Date(2026, 3, 12, 12, 0, 0, 0, trial.Zone)
		s.Clock.Set(noon.Add(-time.Hour))
		m := s.aMeeting(3, "starts_at", noon, "ends_at", noon.Add(48*time.Hour), "daily", true, "late_after_minutes", 0)
		midnight := time.Date(2026, 3, 13, 0, 0, 0, 0, trial.Zone)
		s.Clock.Set(midnight.Add(-time.Second))
		once, code := nonce(), m.code().Code
		first := m.scan(m.members[0], code, once)
		want(t, first, 200, "ok")
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 409, "already_checked_in")
		s.Clock.Set(midnight.Add(time.Second))
		if again := m.scan(m.members[0], code, once); string(again.Body) != string(first.Body) {
			t.Errorf("the retry over midnight got %s, the first try %s", again.Body, first.Body)
		}
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 200, "ok")
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 409, "already_checked_in")
		want(t, m.phone(m.secretary).post(m.path(m.id, "/attendances"), body{"member_id": m.members[0].ID, "status": "present", "nonce": nonce()}), 409, "already_checked_in")
		rows := m.holding(m.members[0])
		if len(rows) != 2 || rows[0].Day != "2026-03-12" || rows[1].Day != "2026-03-13" {
			t.Errorf("rows %+v", rows)
		}
		want(t, m.phone(m.secretary).post(m.path(m.id, "/attendances"), body{"member_id": m.members[1].ID, "status": "present", "nonce": nonce()}), 200, "ok")
		if tally := m.board().Tally; tally.Present != 2 || tally.Late != 0 || tally.Expected != 4 {
			t.Errorf("two days of one person count as %+v", tally)
		}

		s.Clock.Set(noon.Add(47 * time.Hour)) // the third day
		m.close()
		for n, days := range map[int][]model.AttendanceStatus{0: {"present", "present", "absent"}, 1: {"absent", "present", "absent"}, 2: {"absent", "absent", "absent"}} {
			own := map[model.Day]model.AttendanceStatus{}
			for _, row := range m.holding(m.members[n]) {
				own[row.Day] = row.Status
			}
			for i, day := range []model.Day{"2026-03-12", "2026-03-13", "2026-03-14"} {
				if own[day] != days[i] || len(own) != 3 {
					t.Errorf("member %d on %s: %q of %v, want %q", n, day, own[day], own, days[i])
				}
			}
		}
		if tally := m.board().Tally; tally.Present != 2 || tally.Absent != 2 {
			t.Errorf("present on any day is present: %+v", tally)
		}
		lines := as[service.RosterPage](t, m.phone(m.secretary).get(m.path(m.id, "/roster")))
		for _, l := range lines.Items {
			if l.MemberID == m.members[0].ID && (len(l.Days) != 2 || l.Days[0] != "2026-03-12" || l.Days[1] != "2026-03-13") {
				t.Errorf("the roster shows the days %v", l.Days)
			}
		}
		if year := as[service.HomeScreen](t, m.phone(m.members[0]).get("/v1/home")).Year; year.Attended != 1 || year.Expected != 1 || year.CreditHours != 2 {
			t.Errorf("three days of one activity count in the year as %+v", year)
		}
	})
}

func TestA17_AnAnnulledCheckInStaysOnRecordAndANewScanCounts(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		p, once, code := m.members[0], nonce(), m.code().Code
		want(t, m.scan(p, code, once), 200, "ok")
		want(t, m.scan(m.members[1], code, nonce()), 200, "ok")
		want(t, m.annul(body{"check_in_nonce": once, "reason": "代人签到"}), 200, "ok")
		if n := m.board().Tally.Present; n != 1 {
			t.Errorf("%d present after the annulment", n)
		}
		first := as[service.Annulled](t, m.annul(body{"check_in_nonce": once, "reason": "代人签到"}))
		s.Clock.Advance(time.Second)
		again := as[service.Annulled](t, m.annul(body{"check_in_nonce": once, "reason": "又作废一次"}))
		if !again.AnnulledAt.Equal(first.AnnulledAt) || again.Reason != "代人签到" || again.Status != "" {
			t.Errorf("annulled twice: %+v, first %+v", again, first)
		}
		log := m.log(p)
		if len(log.Entries) != 1 || log.Entries[0].Annulled == nil || log.Entries[0].Annulled.By != m.secretary.Name || log.Entries[0].Annulled.Reason != "代人签到" {
			t.Errorf("the log says %+v", log)
		}
		// The phone that retries does not bring it back; a new scan does count.
		want(t, m.scan(p, code, once), 409, "annulled")
		if len(m.holding(p)) != 0 {
			t.Error("the retry brought the annulled check-in back")
		}
		s.Clock.Advance(time.Minute)
		want(t, m.scan(p, m.code().Code, nonce()), 200, "ok")
		want(t, m.scan(p, m.code().Code, nonce()), 409, "already_checked_in")
		if m.rows(p) != 2 || len(m.holding(p)) != 1 || m.board().Tally.Present != 2 {
			t.Errorf("%d rows, %d hold, board %+v", m.rows(p), len(m.holding(p)), m.board().Tally)
		}
		if log := m.log(p); len(log.Entries) != 2 || log.Status != model.Present {
			t.Errorf("the log says %+v", log)
		}
		want(t, m.annul(body{"attendance_id": 999999, "reason": "没有的"}), 404, "check_in_not_found")
		want(t, m.annul(body{"reason": "没说是谁"}), 400, "invalid_field")
	})
}

func TestA17_ATickIsAnnulledLikeAScanAndItsRetryIsRefused(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		p, tick := m.members[0], body{"member_id": m.members[0].ID, "status": "present", "nonce": nonce()}
		want(t, m.phone(m.secretary).post(m.path(m.id, "/attendances"), tick), 200, "ok")
		want(t, m.annul(body{"attendance_id": m.log(p).Entries[0].ID, "reason": "勾错了人"}), 200, "ok")
		want(t, m.phone(m.secretary).post(m.path(m.id, "/attendances"), tick), 409, "annulled")
		want(t, m.phone(m.secretary).post(m.path(m.id, "/attendances"), tick.with("nonce", nonce())), 200, "ok")
		if m.rows(p) != 2 || len(m.holding(p)) != 1 {
			t.Errorf("%d rows, %d hold", m.rows(p), len(m.holding(p)))
		}
	})
}

func TestA17_AnnulledAfterTheClosingLeavesExactlyOneStatus(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		excused := m.members[1]
		want(t, m.phone(m.secretary).post(m.path(m.id, "/attendances"), body{"member_id": excused.ID, "status": "sick_leave", "reason": "发烧", "nonce": nonce()}), 200, "ok")
		for _, p := range m.members[:2] {
			want(t, m.scan(p, m.code().Code, nonce()), 200, "ok")
		}
		s.Clock.Advance(time.Hour)
		code := m.code().Code
		m.close()
		for n, status := range []model.AttendanceStatus{model.Absent, model.SickLeave} {
			out := as[service.Annulled](t, m.annul(body{"attendance_id": m.holding(m.members[n])[0].ID, "reason": "本人没有到会"}))
			rows := m.holding(m.members[n])
			if out.Status != status || len(rows) != 1 || rows[0].Status != status || rows[0].Provenance != model.ByCorrection {
				t.Errorf("annulled after the closing: %+v, rows %+v, want %s", out, rows, status)
			}
		}
		want(t, m.annul(body{"attendance_id": m.holding(m.members[2])[0].ID, "reason": "缺席也想作废"}), 409, "not_a_check_in")
		if tally := m.board().Tally; tally.Present != 0 || tally.Absent != 3 || tally.OnLeave != 1 || tally.Awaited != 0 {
			t.Errorf("board %+v", tally)
		}
		want(t, m.scan(m.members[0], code, nonce()), 409, "closed")
	})
}

func TestA17_TwoAnnulmentsAndANewScanAtOnceLeaveOneRowThatHolds(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		other := &meeting{stage: s.replica(), id: m.id, secretary: m.secretary}
		p := m.members[0]
		want(t, m.scan(p, m.code().Code, nonce()), 200, "ok")
		for range 12 {
			code, id := m.code().Code, m.holding(p)[0].ID
			var scanned [2]string
			trial.Race(4, func(i int) {
				at := []*meeting{m, other}[i%2]
				if i < 2 {
					want(t, at.annul(body{"attendance_id": id, "reason": "同时作废"}), 200, "ok")
					return
				}
				scanned[i-2] = at.scan(p, code, nonce()).code()
			})
			held := 0
			for _, told := range scanned {
				if told == "ok" {
					held++
				} else if told != "already_checked_in" {
					t.Errorf("a scan beside the annulment was told %q", told)
				}
			}
			if rows := m.holding(p); held > 1 || len(rows) != held || held == 1 && rows[0].ID == id {
				t.Fatalf("%d scans were told ok and %d rows hold: %+v", held, len(rows), rows)
			}
			if held == 0 {
				want(t, m.scan(p, code, nonce()), 200, "ok")
			}
			if rows := m.holding(p); len(rows) != 1 || m.board().Tally.Present != 1 {
				t.Fatalf("%d rows hold, board %+v", len(rows), m.board().Tally)
			}
		}
	})
}

func TestA17_Control_WithoutTheUniqueKeyTwoRowsHold(t *testing.T) {
	const rounds = 60
	onServer(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(rounds) // one scans too often who scans through all rounds
		other := &meeting{stage: s.replica(), id: m.id, secretary: m.secretary}
		s.dropIndex("attendances", "attendances_once")
		for round, p := range m.members {
			want(t, m.scan(p, m.code().Code, nonce()), 200, "ok")
			code, id := m.code().Code, m.holding(p)[0].ID
			trial.Race(16, func(i int) {
				at := []*meeting{m, other}[i%2]
				if i < 2 {
					at.annul(body{"attendance_id": id, "reason": "同时作废"})
				}
				for range 3 { // some of them right after the annulment
					at.scan(p, code, nonce())
				}
			})
			if len(m.holding(p)) > 1 {
				t.Logf("seen in round %d", round)
				return
			}
		}
		t.Errorf("%d rounds without the key and never two rows: this test cannot see the race", rounds)
	})
}

func TestACorrectionIsAFurtherRowAndTheFirstEntryStays(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		came, missed := m.members[0], m.members[1]
		want(t, m.scan(came, m.code().Code, nonce()), 200, "ok")
		arrived := s.Clock.Now()
		want(t, m.correct(missed, model.Present), 400, "invalid_field") // nobody knows when
		s.Clock.Advance(3 * time.Hour)
		m.close()
		want(t, m.phone(came).post(m.path(m.id, "/corrections"), body{"member_id": came.ID, "status": "absent", "reason": "自己改", "nonce": nonce()}), 403, "not_conductor")

		once := nonce()
		put := []any{"at", arrived.Add(time.Minute), "nonce", once}
		first := m.correct(missed, model.Present, put...)
		want(t, first, 200, "ok")
		if again := m.correct(missed, model.Present, put...); string(again.Body) != string(first.Body) {
			t.Errorf("the retry got %s, the first try %s", again.Body, first.Body)
		}
		want(t, m.correct(missed, model.Absent, "nonce", once), 409, "key_reused")
		want(t, m.correct(came, model.PersonalLeave), 200, "ok")
		for _, c := range []struct {
			p      *trial.Person
			before model.AttendanceStatus
			after  model.AttendanceStatus
		}{{missed, model.Absent, model.Present}, {came, model.Present, model.PersonalLeave}} {
			log := m.log(c.p)
			if len(log.Entries) != 2 || log.Status != c.after || log.Entries[0].Status != c.before || log.Entries[0].Annulled == nil ||
				log.Entries[1].Provenance != model.ByCorrection || log.Entries[1].RecordedBy != m.secretary.Name || !log.Entries[1].RecordedAt.Equal(s.Clock.Now()) {
				t.Errorf("the log of a correction: %+v", log)
			}
		}
		if tally := m.board().Tally; tally.Present != 1 || tally.OnLeave != 1 || tally.Absent != 2 {
			t.Errorf("board %+v", tally)
		}
		if own := as[service.AttendanceLog](t, m.phone(missed).get(m.path(m.id, "/members/"+jsonText(missed.ID)+"/attendance-log"))); len(own.Entries) != 2 {
			t.Errorf("the member's own log: %+v", own)
		}
		want(t, m.phone(missed).get(m.path(m.id, "/members/"+jsonText(came.ID)+"/attendance-log")), 403, "not_conductor")

		// A correction that was corrected since is not brought back by a late retry.
		want(t, m.correct(missed, model.DutyLeave), 200, "ok")
		want(t, m.correct(missed, model.Present, put...), 409, "annulled")
		for name, bad := range map[string][]any{
			"a time to come":     {"at", s.Clock.Now().Add(time.Minute)},
			"before the opening": {"at", arrived.Add(-24 * time.Hour)},
			"a day of none":      {"at", arrived, "day", "2026-03-10"},
		} {
			if r := m.correct(missed, model.Present, bad...); r.Status != 400 {
				t.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
		}
		outsider := s.Member(s.Branch("第二党支部"), "外人")
		want(t, m.correct(outsider, model.Present, "at", arrived), 409, "not_on_roster")
		var audited int64
		if err := s.DB.Model(&model.AuditEntry{}).Where("action = ?", "correct_attendance").Count(&audited).Error; err != nil || audited != 3 {
			t.Errorf("%d audit entries (%v)", audited, err)
		}
	})
}

func TestD7_ALeaveByCorrectionDuringTheMeetingOnlyExcuses(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		p := m.members[0]
		want(t, m.scan(p, m.code().Code, nonce()), 200, "ok")
		once := nonce()
		for range 2 {
			want(t, m.correct(p, model.SickLeave, "nonce", once), 200, "ok")
		}
		if tally := m.board().Tally; tally.OnLeave != 1 || tally.Present != 0 {
			t.Errorf("board %+v", tally)
		}
		want(t, m.scan(p, m.code().Code, nonce()), 200, "ok")
		want(t, m.correct(m.members[1], model.Absent), 200, "ok")
		want(t, m.scan(m.members[1], m.code().Code, nonce()), 409, "marked_absent")
		if tally := m.board().Tally; tally.OnLeave != 0 || tally.Present != 1 || tally.Absent != 1 {
			t.Errorf("board %+v", tally)
		}
	})
}

func TestTwoCorrectionsAtOnceLeaveOneThatHolds(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		other := &meeting{stage: s.replica(), id: m.id, secretary: m.secretary}
		p, code := m.members[0], m.code().Code
		trial.Race(6, func(i int) {
			at := []*meeting{m, other}[i%2]
			if i == 5 {
				at.scan(p, code, nonce())
				return
			}
			want(t, at.correct(p, model.Absent), 200, "ok")
		})
		if rows := m.holding(p); len(rows) != 1 || rows[0].Status != model.Absent {
			t.Errorf("%+v", rows)
		}
	})
}
