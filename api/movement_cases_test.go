package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

// leavingMeeting is a meeting of two hours that has begun and asks for checking
// out after 90 minutes; the first member is there from the start.
func (s *stage) leavingMeeting(n int, change ...any) *meeting {
	s.t.Helper()
	m := s.aMeeting(n, append([]any{"check_out", true, "stay_minutes", 90, "late_after_minutes", 10}, change...)...)
	s.Clock.Advance(30 * time.Minute)
	want(s.t, m.scan(m.members[0], m.code().Code, nonce()), 200, "ok")
	return m
}

func (m *meeting) leave(p *trial.Person, nonce string) *reply {
	m.t.Helper()
	return m.phone(p).post("/v1/check-outs", body{"code": m.code().Code, "nonce": nonce})
}

func (m *meeting) stay(p *trial.Person) service.OwnStay {
	m.t.Helper()
	return as[service.OwnStay](m.t, m.phone(p).get(m.path(m.id, "/stay")))
}

func (m *meeting) line(p *trial.Person) service.RosterLine {
	m.t.Helper()
	for _, l := range as[service.RosterPage](m.t, m.phone(m.secretary).get(m.path(m.id, "/roster"))).Items {
		if l.MemberID == p.ID {
			return l
		}
	}
	m.t.Fatalf("%s is not on the roster", p.Name)
	return service.RosterLine{}
}

func TestA23_OutWithoutInIsRecordedAndFlagged(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.leavingMeeting(2)
		p := m.members[1]
		out := as[service.Moved](t, m.leave(p, nonce()))
		if out.Flag != model.NoCheckIn || !strings.Contains(out.Message, "没有签到的记录") || out.Enough {
			t.Errorf("told %+v", out)
		}
		if l := m.line(p); l.Flag != model.NoCheckIn || l.Status != "" {
			t.Errorf("the secretary sees %+v", l)
		}
		if log := m.log(p); len(log.Entries) != 1 || log.Entries[0].Flag != model.NoCheckIn {
			t.Errorf("log %+v", log)
		}
		want(t, m.scan(p, m.code().Code, nonce()), 200, "ok") // who went out unseen may still come
	})
}

func TestA23_OutTwiceTheLastOneCounts(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.leavingMeeting(1)
		p, once := m.members[0], nonce()
		s.Clock.Advance(40 * time.Minute)
		code := m.code().Code
		first := m.phone(p).post("/v1/check-outs", body{"code": code, "nonce": once})
		if out := as[service.Moved](t, first); out.Minutes != 40 || out.Enough || !out.LeftEarly {
			t.Errorf("after 40 minutes: %+v", out)
		}
		if tally := m.board().Tally; tally.LeftEarly != 1 || tally.Present != 1 {
			t.Errorf("board %+v", tally)
		}
		s.Clock.Advance(75 * time.Minute)
		if out := as[service.Moved](t, m.leave(p, nonce())); out.Minutes != 115 || !out.Enough || out.LeftEarly {
			t.Errorf("after 115 minutes: %+v", out)
		}
		if again := m.phone(p).post("/v1/check-outs", body{"code": code, "nonce": once}); string(again.Body) != string(first.Body) {
			t.Errorf("the retry got %s, the first try %s", again.Body, first.Body)
		}
		want(t, m.leave(p, once), 409, "key_reused")
		if tally, l := m.board().Tally, m.line(p); tally.LeftEarly != 0 || l.LeftEarly || l.Minutes != 115 || l.LeftAt == nil || !l.LeftAt.Equal(s.Clock.Now()) {
			t.Errorf("board %+v, line %+v", tally, l)
		}
	})
}

func TestA23_InAfterOutIsRefusedWhereReEntryIsOff(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.leavingMeeting(1)
		p := m.members[0]
		want(t, m.scan(p, m.code().Code, nonce()), 409, "already_checked_in")
		s.Clock.Advance(20 * time.Minute)
		want(t, m.leave(p, nonce()), 200, "ok")
		want(t, m.scan(p, m.code().Code, nonce()), 409, "left_already")
		back := body{"member_id": p.ID, "direction": "in", "nonce": nonce()}
		want(t, m.phone(m.secretary).post(m.path(m.id, "/movements"), back), 409, "left_already")
		if m.rows(p) != 1 {
			t.Errorf("%d rows", m.rows(p))
		}
	})
}

func TestA23_WhereReEntryIsOnComingBackIsAMovement(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.leavingMeeting(1, "re_entry", true, "close_after_minutes", 15)
		p := m.members[0]
		s.Clock.Advance(20 * time.Minute)
		want(t, m.leave(p, nonce()), 200, "ok")
		s.Clock.Advance(10 * time.Minute) // check-in has closed; who was there may come back
		code, once := m.code().Code, nonce()
		first := m.scan(p, code, once)
		if in := as[service.CheckedIn](t, first); !in.CheckedInAt.Equal(s.Clock.Now()) || in.Late {
			t.Errorf("back: %+v", in)
		}
		if again := m.scan(p, code, once); string(again.Body) != string(first.Body) {
			t.Errorf("the retry got %s, the first try %s", again.Body, first.Body)
		}
		want(t, m.scan(p, m.code().Code, nonce()), 409, "already_checked_in")
		want(t, m.leave(p, once), 409, "key_reused")
		s.Clock.Advance(80 * time.Minute)
		if out := as[service.Moved](t, m.leave(p, nonce())); out.Minutes != 100 || !out.Enough {
			t.Errorf("twenty minutes and eighty: %+v", out)
		}
		if m.rows(p) != 1 || len(m.log(p).Entries) != 4 {
			t.Errorf("%d rows, log %+v", m.rows(p), m.log(p))
		}
	})
}

func TestWhereOneStandsIsToldBeforeLeaving(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.leavingMeeting(2)
		s.Clock.Advance(40 * time.Minute)
		if own := m.stay(m.members[0]); own.Minutes != 40 || own.Enough || !own.Inside || !own.LeftEarly || own.EnoughAt == nil || !strings.Contains(own.Message, "还差 50 分钟") {
			t.Errorf("after 40 minutes: %+v", own)
		}
		s.Clock.Advance(75 * time.Minute)
		if own := m.stay(m.members[0]); own.Minutes != 115 || !own.Enough || own.LeftEarly {
			t.Errorf("after 115 minutes: %+v", own)
		}
		if own := m.stay(m.members[1]); own.Message != "您还没有签到" || own.Enough || own.Inside {
			t.Errorf("who is not there: %+v", own)
		}
		m.close()
		if own := m.stay(m.members[0]); own.Enough || !strings.Contains(own.Message, "没有签退") {
			t.Errorf("closed without checking out: %+v", own)
		}
		other := m.publish(m.branch)
		want(t, m.phone(m.members[0]).get(m.path(other, "/stay")), 409, "no_check_out")
	})
}

func TestCreditHoursNeedInAndOutOrAnAttestation(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.leavingMeeting(4)
		arrived := s.Clock.Now()
		for _, p := range m.members[1:3] {
			want(t, m.scan(p, m.code().Code, nonce()), 200, "ok")
		}
		s.Clock.Advance(30 * time.Minute)
		want(t, m.leave(m.members[1], nonce()), 200, "ok") // too soon
		s.Clock.Advance(85 * time.Minute)
		want(t, m.leave(m.members[0], nonce()), 200, "ok")
		tick := body{"member_id": m.members[1].ID, "direction": "out", "reason": "忘了扫码", "nonce": nonce()}
		late := m.publish(m.branch)
		want(t, m.phone(m.secretary).post(m.path(late, "/movements"), tick), 409, "no_check_out")
		m.close()
		code := s.Clock.Now()
		want(t, m.phone(m.members[2]).post("/v1/check-outs", body{"code": "1.1.1.AAAAAAAAAAAA", "nonce": nonce()}), 409, "code_invalid")
		want(t, m.phone(m.secretary).post(m.path(m.id, "/movements"), tick), 409, "check_out_closed")
		for n, hours := range []float64{2, 0, 0, 0} {
			if year := as[service.HomeScreen](t, m.phone(m.members[n]).get("/v1/home")).Year; year.CreditHours != hours {
				t.Errorf("member %d has %v hours, want %v", n, year.CreditHours, hours)
			}
		}
		// The third forgot to scan, the fourth had no phone: the secretary attests.
		want(t, m.correct(m.members[2], model.Present, "left_at", code), 200, "ok")
		want(t, m.correct(m.members[3], model.Present, "at", arrived, "left_at", code), 200, "ok")
		want(t, m.correct(m.members[1], model.Present, "left_at", arrived.Add(-time.Minute)), 400, "invalid_field")
		for n, hours := range []float64{2, 0, 2, 2} {
			if year := as[service.HomeScreen](t, m.phone(m.members[n]).get("/v1/home")).Year; year.CreditHours != hours {
				t.Errorf("after the corrections member %d has %v hours, want %v", n, year.CreditHours, hours)
			}
		}
		sheet := as[service.Sheet](t, m.phone(m.secretary).get(m.path(m.id, "/sheet")))
		left := map[string]string{}
		for _, l := range sheet.Lines {
			left[l.Name] = l.Status
		}
		if sheet.Tally.LeftEarly != 1 || left[m.members[1].Name] != "早退" || left[m.members[0].Name] != "签到" {
			t.Errorf("the sheet: %+v", sheet)
		}
	})
}

func TestTheSecretarysTickOfAMovementCountsAsAScan(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.leavingMeeting(2, "re_entry", true)
		p, path := m.members[0], m.path(m.id, "/movements")
		s.Clock.Advance(100 * time.Minute)
		tick := body{"member_id": p.ID, "direction": "out", "reason": "家里有急事", "nonce": nonce()}
		first := m.phone(m.secretary).post(path, tick)
		if out := as[service.Moved](t, first); out.Minutes != 100 || !out.Enough || !out.LeftEarly {
			t.Errorf("%+v", out)
		}
		if again := m.phone(m.secretary).post(path, tick); string(again.Body) != string(first.Body) {
			t.Errorf("the retry got %s, the first try %s", again.Body, first.Body)
		}
		want(t, m.phone(m.secretary).post(path, tick.with("direction", "in", "nonce", nonce())), 200, "ok")
		want(t, m.phone(m.secretary).post(path, tick.with("direction", "in", "nonce", nonce())), 409, "already_checked_in")
		want(t, m.phone(m.secretary).post(path, tick.with("member_id", m.members[1].ID, "direction", "in", "nonce", nonce())), 400, "invalid_field")
		want(t, m.phone(m.secretary).post(path, tick.with("member_id", 999999, "nonce", nonce())), 409, "not_on_roster")
		digits := m.code().Digits
		want(t, m.phone(p).post("/v1/check-outs", body{"digits": digits, "activity_id": m.id, "nonce": nonce()}), 200, "ok")
		wrong := "000000"
		if digits == wrong {
			wrong = "000001"
		}
		want(t, m.phone(p).post("/v1/check-outs", body{"digits": wrong, "activity_id": m.id, "nonce": nonce()}), 409, "typed_code_invalid")
		s.Clock.Advance(-2 * time.Hour)
		old := m.code().Code
		s.Clock.Advance(2 * time.Hour)
		want(t, m.phone(p).post("/v1/check-outs", body{"code": old, "nonce": nonce()}), 409, "code_expired")
	})
}

func TestWhoLeftEarlyIsNotThereAtTheVoteAndIsSaidSoOnEveryPaper(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.leavingMeeting(4, "re_entry", true)
		for _, who := range m.members[1:] {
			want(t, m.scan(who, m.code().Code, nonce()), 200, "ok")
		}
		p, begun := m.phone(m.secretary), s.Clock.Now()
		vote := func(more ...any) *reply {
			return p.post(m.path(m.id, "/votes"), body{"subject": "年度计划", "kind": "resolution", "nonce": nonce()}.with(more...))
		}
		counted := func(r *reply) [2]int {
			t.Helper()
			v := as[service.VoteView](t, r)
			return [2]int{v.Expected, v.Present}
		}
		boardSays := func(when string, present, missing int) {
			t.Helper()
			if got := m.board().Tally; got.VotersPresent != present || got.QuorumMissing != missing || got.Present != len(m.members) {
				t.Errorf("%s the board says %+v", when, got)
			}
		}
		s.Clock.Advance(20 * time.Minute)
		early := s.Clock.Now()
		want(t, m.leave(m.members[0], nonce()), 200, "ok")
		want(t, m.leave(m.members[1], nonce()), 200, "ok")
		s.Clock.Advance(20 * time.Minute)
		if got := counted(vote("yes", 2)); got != [2]int{5, 2} {
			t.Errorf("after two left the vote counts %v", got)
		}
		boardSays("after two left", 2, 1)
		want(t, vote("yes", 3), 409, "vote_numbers")
		want(t, m.scan(m.members[1], m.code().Code, nonce()), 200, "ok")
		s.Clock.Advance(time.Minute)
		if got := counted(vote()); got != [2]int{5, 3} {
			t.Errorf("after one came back the vote counts %v", got)
		}
		boardSays("after one came back", 3, 0)
		report := as[service.PaperSheetReport](t, m.paper(body{"photo_id": m.paperPhoto(), "member_ids": ids(m.secretary), "nonce": nonce()}))
		if report.Tally.LeftEarly != 1 || report.Tally.Present != 5 {
			t.Errorf("the paper sheet's report: %+v", report.Tally)
		}
		s.Clock.Set(begun.Add(120 * time.Minute).Add(-time.Minute))
		want(t, m.leave(m.members[3], nonce()), 200, "ok") // at the end, not early
		s.Clock.Advance(2 * time.Minute)
		s.touch(m.secretary)
		// Recorded afterwards: who was there to the end, or at the time that is given.
		if got := counted(vote()); got != [2]int{5, 4} {
			t.Errorf("after the end the vote counts %v", got)
		}
		if got := m.board().Tally; got.VotersPresent != 4 || got.QuorumMissing != 0 || got.Present != 5 {
			t.Errorf("after the end the board says %+v", got)
		}
		if got := counted(vote("voted_at", early.Add(-time.Minute))); got != [2]int{5, 5} {
			t.Errorf("before anybody left the vote counts %v", got)
		}
		for name, at := range map[string]time.Time{"before the start": begun.Add(-time.Second), "to come": s.Clock.Now().Add(time.Second)} {
			if r := vote("voted_at", at); r.Status != 400 || r.code() != "invalid_field" {
				t.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
		}
		m.close()
		parts := unpacked(t, p.get(m.path(m.id, "/pack.zip")))
		for _, name := range []string{"签到表.xlsx", "名单.xlsx"} {
			book, err := excelize.OpenReader(strings.NewReader(parts[name]))
			if err != nil {
				t.Fatal(err)
			}
			checkBook(t, book, "早退")
		}
	})
}

func TestA23_OutTwiceAtOnceIsOneMovementForEachNonce(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.leavingMeeting(1, "re_entry", true)
		other := &meeting{stage: s.replica(), id: m.id, secretary: m.secretary}
		p := m.members[0]
		s.Clock.Advance(20 * time.Minute)
		code := m.code().Code
		once := []string{nonce(), nonce()}
		m.phone(p)
		bodies := make([]string, 20)
		trial.Race(20, func(i int) {
			at := []*meeting{m, other}[i%2]
			bodies[i] = string(at.phone(p).post("/v1/check-outs", body{"code": code, "nonce": once[i/10]}).Body)
		})
		for i := range bodies {
			if bodies[i] != bodies[i/10*10] {
				t.Errorf("one nonce, two answers: %s and %s", bodies[i], bodies[i/10*10])
			}
		}
		// Twenty try to come back with a nonce each: one does.
		in := 0
		told := make([]string, 20)
		trial.Race(20, func(i int) { told[i] = []*meeting{m, other}[i%2].scan(p, code, nonce()).code() })
		for _, code := range told {
			if code == "ok" {
				in++
			} else if code != "already_checked_in" {
				t.Errorf("told %q", code)
			}
		}
		var rows []model.Movement
		if err := s.DB.Find(&rows, "activity_id = ?", m.id).Error; err != nil || in != 1 || len(rows) != 3 {
			t.Errorf("%d came back, %d movements (%v)", in, len(rows), err)
		}
	})
}

func TestA23_Control_WithoutTheUniqueKeyAndTheHeldRowARetryIsTwo(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		m := s.leavingMeeting(1)
		other := &meeting{stage: s.replica(), id: m.id, secretary: m.secretary}
		p := m.members[0]
		s.Clock.Advance(20 * time.Minute)
		if err := s.DB.Exec("CREATE INDEX movements_activity ON movements (activity_id)").Error; err != nil { // for the foreign key
			t.Fatal(err)
		}
		s.dropIndex("movements", "movements_once")
		for round := range 60 {
			code, once := m.code().Code, nonce()
			m.phone(p)
			trial.Race(8, func(i int) {
				[]*meeting{m, other}[i%2].phone(p).post("/v1/check-outs", body{"code": code, "nonce": once})
			})
			var n int64
			if err := s.DB.Model(&model.Movement{}).Where("nonce = ?", once).Count(&n).Error; err != nil {
				t.Fatal(err)
			}
			if n > 1 {
				t.Logf("seen in round %d", round)
				return
			}
		}
		t.Error("sixty rounds without key and lock and never two movements: this test cannot see the race")
	}, skipLocks)
}

func TestB11_ARelayedCodeIsAcceptedAndSignalled(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(4)
		scan := func(p *trial.Person, code, device string) {
			want(t, m.phone(p).post("/v1/check-ins", body{"code": code, "nonce": nonce(), "device": device}), 200, "ok")
		}
		code := m.code()
		scan(m.members[0], code.Code, "phone-0001")
		scan(m.members[1], code.Code, "phone-0001")
		s.Clock.Advance(time.Duration(code.ChangesInMS)*time.Millisecond + time.Second) // the screen shows another by now
		scan(m.members[2], code.Code, "phone-0003")
		list := as[service.SignalList](t, m.phone(m.secretary).get(m.path(m.id, "/signals")))
		kinds := map[model.SignalKind]int{}
		for _, signal := range list.Items {
			kinds[signal.Kind] = len(signal.Members)
		}
		if kinds[model.SameDevice] != 2 || kinds[model.OldCode] != 1 || len(kinds) != 2 || !strings.Contains(list.Notice, "参考") {
			t.Errorf("signals %+v", list)
		}
		if tally := m.board().Tally; tally.Present != 3 || tally.Absent != 0 {
			t.Errorf("a signal changed the count: %+v", tally)
		}
		want(t, m.phone(m.members[0]).get(m.path(m.id, "/signals")), 403, "not_conductor")
		// What is kept of a phone does not follow it to another meeting.
		first := m.holding(m.members[0])[0].Device
		m.id = m.publish(m.branch)
		scan(m.members[0], m.code().Code, "phone-0001")
		if second := m.holding(m.members[0])[0].Device; first == "" || second == first || strings.Contains(first+second, "phone") {
			t.Errorf("the digests are %q and %q", first, second)
		}
	})
}
