package api_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

// Table A: retries and duplicates.

func TestA2_ARetryWithTheSameNonceIsAnsweredAsTheFirstTry(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		code, once := m.code().Code, nonce()
		first := m.scan(m.members[0], code, once)
		want(t, first, 200, "ok")
		for _, later := range []time.Duration{time.Second, time.Hour, 24 * time.Hour} { // the code is old by then, the window closed
			s.Clock.Advance(later)
			again := m.scan(m.members[0], code, once)
			if again.Status != 200 || string(again.Body) != string(first.Body) {
				t.Errorf("after %s the retry got %d %s, the first try %s", later, again.Status, again.Body, first.Body)
			}
		}
		if n := m.rows(m.members[0]); n != 1 {
			t.Errorf("%d rows", n)
		}
	})
}

func TestA3_AnotherScanIsRefusedWithTheTimeOfTheFirst(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		first := as[service.CheckedIn](t, m.scan(m.members[0], m.code().Code, nonce()))
		s.Clock.Advance(10 * time.Minute)
		again := m.scan(m.members[0], m.code().Code, nonce())
		want(t, again, 409, "already_checked_in")
		if !strings.Contains(string(again.Body), first.CheckedInAt.Format("2006-01-02T15:04:05")) {
			t.Errorf("the refusal does not say when: %s", again.Body)
		}
		var row model.Attendance
		if err := s.DB.Take(&row, "activity_id = ? AND member_id = ?", m.id, m.members[0].ID).Error; err != nil || !row.At.Equal(first.CheckedInAt) {
			t.Errorf("first time %s became %s (%v)", first.CheckedInAt, row.At, err)
		}
	})
}

func TestA4_TheSameNonceAtAnotherActivityIsIndependent(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		once, first := nonce(), m.id
		want(t, m.scan(m.members[0], m.code().Code, once), 200, "ok")
		m.id = m.publish(m.branch, "title", "第二场")
		second := as[service.CheckedIn](t, m.scan(m.members[0], m.code().Code, once))
		if second.ActivityID == first || second.ActivityTitle != "第二场" {
			t.Errorf("the second activity answered as the first: %+v", second)
		}
	})
}

func TestA5_TheSameNonceOfAnotherMemberIsIndependent(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		once, code := nonce(), m.code().Code
		want(t, m.scan(m.members[0], code, once), 200, "ok")
		s.Clock.Advance(time.Second)
		second := as[service.CheckedIn](t, m.scan(m.members[1], code, once))
		if !second.CheckedInAt.Equal(s.Clock.Now()) || m.rows(m.members[1]) != 1 {
			t.Errorf("the second member heard the first one's answer: %+v", second)
		}
	})
}

func TestA7_FiftyScansAtOnceMakeOneRow(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		var accepted, already atomic.Int32
		scanAtOnce(m, 50, func(r *reply) {
			switch r.code() {
			case "ok":
				accepted.Add(1)
			case "already_checked_in":
				already.Add(1)
			default:
				t.Errorf("got %d %s", r.Status, r.Body)
			}
		})
		if accepted.Load() != 1 || already.Load() != 49 || m.rows(m.members[0]) != 1 {
			t.Errorf("%d accepted, %d already, %d rows", accepted.Load(), already.Load(), m.rows(m.members[0]))
		}
	})
}

func TestA7_Control_WithoutTheUniqueKeyTheRaceIsSeen(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		s.dropIndex("attendances", "attendances_once")
		other := s.replica() // two processes, so that nothing but the key could hold
		for round := range 40 {
			if err := s.DB.Exec("DELETE FROM attendances").Error; err != nil {
				t.Fatal(err)
			}
			both := []*meeting{m, {stage: other, id: m.id}}
			code := m.code().Code
			m.phone(m.members[0])
			trial.Race(16, func(i int) { both[i%2].scan(m.members[0], code, nonce()) })
			if m.rows(m.members[0]) > 1 {
				t.Logf("seen in round %d", round)
				return
			}
		}
		t.Error("forty rounds without the key and never two rows: this test cannot see the race")
	})
}

// scanAtOnce lets the first member scan n times at the same moment, with a
// nonce each.
func scanAtOnce(m *meeting, n int, each func(*reply)) {
	code := m.code().Code
	m.phone(m.members[0])
	trial.Race(n, func(int) { each(m.scan(m.members[0], code, nonce())) })
}

func (s *stage) dropIndex(table, name string) {
	s.t.Helper()
	statement := "DROP INDEX " + name
	if s.Store == trial.MySQL {
		statement += " ON " + table
	}
	if err := s.DB.Exec(statement).Error; err != nil {
		s.t.Fatal(err)
	}
}

func TestA7_TheSameNonceFiftyTimesAtOnceIsOneAnswer(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		code, once := m.code().Code, nonce()
		bodies := make([]string, 50)
		m.phone(m.members[0])
		trial.Race(50, func(i int) { bodies[i] = string(m.scan(m.members[0], code, once).Body) })
		for _, b := range bodies {
			if b != bodies[0] {
				t.Errorf("answers differ: %s and %s", b, bodies[0])
			}
		}
		if m.rows(m.members[0]) != 1 {
			t.Errorf("%d rows", m.rows(m.members[0]))
		}
	})
}

func TestA8_AWholeBranchAtOnceOnTwoReplicasWithEveryRequestSentTwice(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(60)
		other := &meeting{stage: s.replica(), id: m.id}
		code := m.code().Code
		nonces := make([]string, len(m.members))
		for i := range nonces {
			nonces[i] = nonce()
			m.phone(m.members[i])
		}
		var mu sync.Mutex
		answers := map[int]string{}
		trial.Race(2*len(m.members), func(i int) {
			at, n := m, i/2
			if i%2 == 1 {
				at = other
			}
			r := at.scan(m.members[n], code, nonces[n])
			mu.Lock()
			defer mu.Unlock()
			if r.Status != 200 {
				t.Errorf("got %d %s", r.Status, r.Body)
			}
			if before, ok := answers[n]; ok && before != string(r.Body) {
				t.Errorf("one scan, two answers: %s and %s", before, r.Body)
			}
			answers[n] = string(r.Body)
		})
		for name, board := range map[string]service.Board{"this": m.board(), "other": (&meeting{stage: other.stage, id: m.id, secretary: m.secretary}).board()} {
			if board.Tally.Present != 60 {
				t.Errorf("the board of the %s replica says %+v", name, board.Tally)
			}
		}
	})
}

func TestA10_AKeyReusedForSomethingElseIsRefused(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		once, p := nonce(), m.phone(m.members[0])
		want(t, m.scan(m.members[0], m.code().Code, once), 200, "ok")
		s.Clock.Advance(15 * time.Second)
		want(t, m.scan(m.members[0], m.code().Code, once), 409, "key_reused")
		want(t, p.do("POST", "/v1/check-ins", body{"code": m.code().Code, "nonce": nonce()}, "Idempotency-Key", nonce()), 400, "invalid_field")

		draft := m.draft(m.branch)
		secretary := m.phone(m.secretary)
		first := as[model.Activity](t, secretary.post("/v1/activities", draft))
		again := as[model.Activity](t, secretary.post("/v1/activities", draft))
		if first.ID != again.ID {
			t.Errorf("the retry made activity %d beside %d", again.ID, first.ID)
		}
		want(t, secretary.post("/v1/activities", draft.with("title", "另一场活动")), 409, "key_reused")
	})
}

func TestA10_ADraftSentTwentyTimesAtOnceIsOneActivity(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		draft, secretary := m.draft(m.branch), m.phone(m.secretary)
		var mu sync.Mutex
		ids := map[uint64]bool{}
		trial.Race(20, func(int) {
			r := secretary.post("/v1/activities", draft)
			mu.Lock()
			defer mu.Unlock()
			ids[as[model.Activity](t, r).ID] = true
		})
		if len(ids) != 1 {
			t.Errorf("%d activities", len(ids))
		}
	})
}

func TestA11_WhileTheFirstIsBeingWrittenTheSameNonceWaitsAndHearsTheSameAnswer(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		other := m.on(s.replica())
		code, once := m.code().Code, nonce()
		m.phone(m.members[0])
		written := make(chan struct{}, 2)
		s.Sabotage(func(statement string) string {
			if strings.HasPrefix(statement, "INSERT INTO `attendances`") {
				written <- struct{}{}
			}
			return statement
		})
		// Somebody else holds the place of the row until both are at it.
		block := s.DB.Begin()
		place := model.Attendance{ActivityID: m.id, MemberID: m.members[0].ID, BranchID: m.branch.ID, Status: model.Present,
			Provenance: model.ByScan, At: s.Clock.Now(), Location: model.LocationNotGiven, Once: model.Once{Nonce: "of-nobody"}}
		if err := block.Table("attendances").Create(&place).Error; err != nil {
			t.Fatal(err)
		}
		<-written
		answers := make([]*reply, 2)
		trial.Race(3, func(i int) {
			if i == 2 {
				<-written
				<-written
				if err := block.Rollback().Error; err != nil {
					t.Error(err)
				}
				return
			}
			answers[i] = []*meeting{m, other}[i].scan(m.members[0], code, once)
		})
		want(t, answers[0], 200, "ok")
		sameBytes(t, answers[0], answers[1])
		if m.rows(m.members[0]) != 1 {
			t.Errorf("%d rows", m.rows(m.members[0]))
		}
	})
}

func TestA13_AKeyOnAGetIsIgnored(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		for _, key := range []string{"short", "same-key-0123", "same-key-0123", "坏"} {
			want(t, m.phone(m.members[0]).do("GET", "/v1/home", nil, "Idempotency-Key", key), 200, "ok")
		}
	})
}

func TestA14_ABadKeyIsRefused(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		code, p := m.code().Code, m.phone(m.members[0])
		for _, bad := range []string{"", "short", strings.Repeat("x", 65), "null\x00byte0", "汉字汉字汉字汉字", "with space 1"} {
			r := p.post("/v1/check-ins", body{"code": code, "nonce": bad})
			if r.Status != 400 {
				t.Errorf("nonce %q got %d %s", bad, r.Status, r.Body)
			}
		}
		for _, bad := range []string{"short", strings.Repeat("x", 65), "汉字汉字汉字汉字"} {
			want(t, p.do("POST", "/v1/check-ins", body{"code": code, "nonce": nonce()}, "Idempotency-Key", bad), 400, "invalid_field")
		}
		if m.rows(m.members[0]) != 0 {
			t.Error("a refused request left a row")
		}
	})
}

// Table B: the code.

func TestB1_B2_ACodeCountsForOneStepAndOneMargin(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		life := s.Parts.Settings.CodeStep + s.Parts.Settings.CodeMargin
		code := m.code().Code
		issued := s.Clock.Now().Truncate(s.Parts.Settings.CodeStep)
		s.Clock.Set(issued.Add(life - time.Millisecond))
		want(t, m.scan(m.members[0], code, nonce()), 200, "ok")
		s.Clock.Set(issued.Add(life))
		want(t, m.scan(m.members[1], code, nonce()), 409, "code_expired")
		s.Clock.Set(issued.Add(life + time.Millisecond))
		want(t, m.scan(m.members[1], code, nonce()), 409, "code_expired")
		if m.rows(m.members[1]) != 0 {
			t.Error("a refused scan left a row")
		}
	})
}

func TestB3_TheCodeBeforeThisOneStillCounts(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		before := m.code()
		s.Clock.Advance(time.Duration(before.ChangesInMS)*time.Millisecond + time.Millisecond)
		if now := m.code(); now.Code == before.Code {
			t.Fatal("the code did not change when it said it would")
		}
		want(t, m.scan(m.members[0], before.Code, nonce()), 200, "ok")
	})
}

func TestB5_B8_B9_WhatIsNoCodeIsRefusedAndNeverAFault(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		code := m.code().Code
		for i := range code { // one character of each kind at each position
			m.members = append(m.members, s.Member(m.branch, fmt.Sprintf("试码%d", i)))
			other := byte('A')
			if code[i] == 'A' {
				other = 'B'
			}
			r := m.scan(m.members[len(m.members)-1], code[:i]+string(other)+code[i+1:], nonce())
			if r.Status != 409 || r.code() != "code_invalid" {
				t.Errorf("position %d changed: %d %s", i, r.Status, r.Body)
			}
		}
		for i, bad := range []any{"", "1", jsonText(m.id), strings.Repeat("a", 65), strings.Repeat("a", 60000), "a\x00b", "１２３４５６", "0" + code, "-1", "1e3", "+-/==",
			"..", "....", code + ".", "." + code, strings.ToUpper(code), "z.z.z." + code[len(code)-12:], 7, true, nil, []string{code}} {
			p := s.Member(m.branch, fmt.Sprintf("乱码%d", i))
			r := m.phone(p).post("/v1/check-ins", body{"code": bad, "nonce": nonce()})
			if r.Status != 409 && r.Status != 400 {
				t.Errorf("code %.20v got %d %s", bad, r.Status, r.Body)
			}
		}
	})
}

func TestB6_ACodeOfAnotherActivityIsNotThisOne(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		first, firstCode := m.id, m.code().Code
		m.id = m.publish(m.branch, "title", "第二场")
		second := m.code().Code
		// The signature of one beside the number of the other.
		forged := second[:strings.LastIndexByte(second, '.')] + firstCode[strings.LastIndexByte(firstCode, '.'):]
		want(t, m.scan(m.members[0], forged, nonce()), 409, "code_invalid")
		r := m.phone(m.members[0]).post("/v1/check-ins", body{"code": firstCode, "activity_id": m.id, "nonce": nonce()})
		want(t, r, 409, "wrong_activity")
		in := as[service.CheckedIn](t, m.phone(m.members[0]).post("/v1/check-ins", body{"code": firstCode, "activity_id": first, "nonce": nonce()}))
		if in.ActivityID != first {
			t.Errorf("checked in at %d", in.ActivityID)
		}
	})
}

func TestB12_TenWrongCodesAMinuteAndTheGuesserWaits(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		digits := m.code().Digits
		wrong := "000000"
		if digits == wrong {
			wrong = "000001"
		}
		counts := map[string]int{}
		for range 60 {
			counts[m.phone(m.members[0]).post("/v1/check-ins", body{"digits": wrong, "activity_id": m.id, "nonce": nonce()}).code()]++
		}
		if n := counts["typed_code_invalid"]; n < 5 || n > 10 || n+counts["too_many_attempts"] != 60 {
			t.Errorf("sixty guesses: %v", counts)
		}
		r := m.phone(m.members[0]).post("/v1/check-ins", body{"digits": digits, "activity_id": m.id, "nonce": nonce()})
		want(t, r, 429, "too_many_attempts")
		if r.Header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
		want(t, m.phone(m.members[1]).post("/v1/check-ins", body{"digits": digits, "activity_id": m.id, "nonce": nonce()}), 200, "ok")
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 200, "ok") // the camera still works
		var audited int64
		if err := s.DB.Model(&model.AuditEntry{}).Where("action = ? AND member_id = ?", "guess_code", m.members[0].ID).Count(&audited).Error; err != nil || audited == 0 {
			t.Errorf("no audit entry (%v)", err)
		}
	})
}

func TestB12_WrongScansAreCountedAgainstTheirSenderAlone(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		counts := map[string]int{}
		for range 40 {
			counts[m.scan(m.members[0], "1.1.1.AAAAAAAAAAAA", nonce()).code()]++
		}
		if n := counts["code_invalid"]; n < 5 || n > 10 || n+counts["too_many_attempts"] != 40 {
			t.Errorf("forty forgeries: %v", counts)
		}
		want(t, m.scan(m.members[1], m.code().Code, nonce()), 200, "ok")
	})
}

func TestB14_B15_ClocksOfScreensAndPhonesDoNotMatter(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		c := m.code()
		if c.ChangesInMS <= 0 || c.ChangesInMS > s.Parts.Settings.CodeStep.Milliseconds() {
			t.Errorf("the screen is told to ask again in %d ms", c.ChangesInMS)
		}
		// A phone whose clock is a day off sends what it always sends: nothing
		// of the request depends on it.
		r := m.phone(m.members[0]).do("POST", "/v1/check-ins", body{"code": c.Code, "nonce": nonce()}, "Date", s.Clock.Now().AddDate(0, 0, -1).Format(time.RFC1123))
		in := as[service.CheckedIn](t, r)
		if !in.CheckedInAt.Equal(s.Clock.Now()) {
			t.Errorf("checked in at %s by somebody else's clock", in.CheckedInAt)
		}
	})
}

func TestB17_CodesAndTokensAreInNoLogAndNoRedisKey(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		c := m.code()
		want(t, m.scan(m.members[0], c.Code, nonce()), 200, "ok")
		m.scan(m.members[0], "bad.bad.bad", nonce())
		m.board()
		m.do0("GET", "/c/"+c.Code)
		secrets := []string{c.Code, c.Digits, m.phone(m.members[0]).token, m.phone(m.secretary).token, m.members[0].User.OpenID, m.members[0].Phone, m.members[0].Name}
		places := s.Log.String() + strings.Join(s.Redis.Keys(), "\n")
		for i, secret := range secrets {
			if strings.Contains(places, secret) {
				t.Errorf("secret %d is in the log or in a Redis key", i)
			}
		}
		// The control: a planted one is found.
		if _, err := s.Log.Write([]byte(secrets[0])); err != nil || !strings.Contains(s.Log.String(), secrets[0]) {
			t.Error("a planted secret is not found")
		}
	})
}

func (m *meeting) do0(method, path string) *reply { return m.nobody().do(method, path, nil) }

func TestB18_ANewCodeKillsTheOldOnEveryReplica(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		other := &meeting{stage: s.replica(), id: m.id, secretary: m.secretary}
		old := m.code()
		want(t, other.scan(m.members[0], old.Code, nonce()), 200, "ok")
		fresh := as[service.ScreenCode](t, m.phone(m.secretary).post(m.path(m.id, "/check-in-code"), nil))
		for _, at := range []*meeting{m, other} {
			want(t, at.scan(m.members[1], old.Code, nonce()), 409, "code_expired")
			want(t, at.phone(m.members[1]).post("/v1/check-ins", body{"digits": old.Digits, "activity_id": m.id, "nonce": nonce()}), 409, "typed_code_invalid")
		}
		if shown := other.code(); shown.Code != fresh.Code {
			t.Errorf("two screens, two codes: %s and %s", shown.Code, fresh.Code)
		}
		want(t, other.scan(m.members[2], fresh.Code, nonce()), 200, "ok")
	})
}

func TestB20_AnotherBranchsSecretaryGetsNoCode(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		elsewhere := s.Branch("第二党支部")
		other := s.Member(elsewhere, "外书记")
		s.Post(other, elsewhere, model.Secretary)
		foreign := s.phone(other).get(m.path(m.id, "/check-in-code"))
		unknown := s.phone(other).get(m.path(999999, "/check-in-code"))
		want(t, foreign, 404, "activity_not_found")
		if string(foreign.Body) != string(unknown.Body) {
			t.Errorf("%s differs from %s", foreign.Body, unknown.Body)
		}
		want(t, m.phone(m.members[0]).get(m.path(m.id, "/check-in-code")), 403, "not_conductor")
	})
}

func TestB21_NoFutureCodeIsInTheAnswer(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		now := m.phone(m.secretary).get(m.path(m.id, "/check-in-code"))
		for range 4 {
			s.Clock.Advance(s.Parts.Settings.CodeStep)
			later := m.code()
			if strings.Contains(string(now.Body), later.Code) {
				t.Errorf("the answer held a code of the future")
			}
		}
	})
}

// Table C: windows and clocks.

func TestC1_C4_AnEarlyScanIsRefusedAndLeavesNoBlock(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		start := s.Clock.Now().Add(11 * time.Minute)
		m := s.aMeeting(1, "starts_at", start, "open_early_minutes", 10, "close_after_minutes", 20)
		opens := start.Add(-10 * time.Minute)
		s.Clock.Set(opens.Add(-time.Second))
		early := m.scan(m.members[0], m.code().Code, nonce())
		want(t, early, 409, "not_open_yet")
		if !strings.Contains(string(early.Body), opens.UTC().Format("2006-01-02T15:04:05")) {
			t.Errorf("the refusal does not say when: %s", early.Body)
		}
		s.Clock.Set(opens.Add(-time.Millisecond))
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 409, "not_open_yet")
		s.Clock.Set(opens)
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 200, "ok")
	})
}

func TestC3_AfterTheCloseTheScanIsRefused(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		start := s.Clock.Now().Add(time.Minute)
		m := s.aMeeting(2, "starts_at", start, "close_after_minutes", 20)
		s.Clock.Set(start.Add(20*time.Minute - time.Millisecond))
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 200, "ok")
		s.Clock.Set(start.Add(20 * time.Minute))
		want(t, m.scan(m.members[1], m.code().Code, nonce()), 409, "closed")
		want(t, m.phone(m.secretary).post(m.path(m.id, "/attendances"), body{"member_id": m.members[1].ID, "status": "present", "nonce": nonce()}), 200, "ok")
	})
}

func TestC7_AMovedActivityHasItsNewWindowAtOnceAndKeepsItsRows(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		code := m.code().Code
		want(t, m.scan(m.members[0], code, nonce()), 200, "ok")
		view := as[service.ActivityView](t, m.phone(m.secretary).get(m.path(m.id, "")))
		moved := m.draft(m.branch).with("version", view.Version, "starts_at", view.StartsAt.Add(3*time.Hour), "ends_at", view.EndsAt.Add(3*time.Hour))
		delete(moved, "organisation_id")
		delete(moved, "nonce")
		want(t, m.phone(m.secretary).put(m.path(m.id, ""), moved), 200, "ok")
		want(t, m.scan(m.members[1], code, nonce()), 409, "not_open_yet")
		if m.rows(m.members[0]) != 1 || m.board().Tally.Present != 1 {
			t.Error("the earlier row went with the move")
		}
		want(t, m.phone(m.secretary).put(m.path(m.id, ""), moved), 409, "changed_meantime")
	})
}

func TestC9_AClockThatStepsBackMakesNoSecondRow(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1, "open_early_minutes", 120)
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 200, "ok")
		s.Clock.Advance(-time.Hour)
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 409, "already_checked_in")
		if m.rows(m.members[0]) != 1 || m.board().Tally.Present != 1 {
			t.Errorf("%d rows, board %+v", m.rows(m.members[0]), m.board().Tally)
		}
	})
}

func TestC10_ClosingRacesTheLastScanAndNobodyIsBoth(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(12)
		other := &meeting{stage: s.replica(), id: m.id}
		for range 8 {
			m.id = m.publish(m.branch)
			other.id = m.id
			s.Clock.Advance(31 * time.Minute)
			closed, outcomes := m.closeWhileScanning(other)
			m.checkOneStatusEach(closed, outcomes)
		}
	})
}

func TestC10_Control_WithoutTheUniqueKeySomebodyIsBoth(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(12)
		s.dropIndex("attendances", "attendances_once")
		other := &meeting{stage: s.replica(), id: m.id}
		for round := range 60 {
			m.id = m.publish(m.branch)
			other.id = m.id
			s.Clock.Advance(31 * time.Minute)
			m.closeWhileScanning(other)
			var both int64
			err := s.DB.Raw("SELECT COUNT(*) FROM (SELECT member_id FROM attendances WHERE activity_id = ? GROUP BY member_id HAVING COUNT(*) > 1) b", m.id).Scan(&both).Error
			if err != nil {
				t.Fatal(err)
			}
			if both > 0 {
				t.Logf("seen in round %d", round)
				return
			}
		}
		t.Error("sixty rounds without the key and nobody was both: this test cannot see the race")
	})
}

// closeWhileScanning closes the meeting while everybody scans, and returns the
// closing and what each scan was told.
func (m *meeting) closeWhileScanning(other *meeting) (closed *reply, outcomes []string) {
	code := m.code().Code
	for _, p := range m.members {
		m.phone(p)
	}
	outcomes = make([]string, len(m.members))
	trial.Race(len(m.members)+1, func(i int) {
		if i == len(m.members)/2 {
			closed = m.phone(m.secretary).post(m.path(m.id, "/closing"), nil)
			return
		}
		n := i
		if i > len(m.members)/2 {
			n--
		}
		at := m
		if i%2 == 0 {
			at = other
		}
		outcomes[n] = at.scan(m.members[n], code, nonce()).code()
	})
	return closed, outcomes
}

func (m *meeting) checkOneStatusEach(closed *reply, outcomes []string) {
	m.t.Helper()
	want(m.t, closed, 200, "ok")
	for n, p := range m.members {
		var rows []model.Attendance
		if err := m.DB.Find(&rows, "activity_id = ? AND member_id = ?", m.id, p.ID).Error; err != nil {
			m.t.Fatal(err)
		}
		if len(rows) != 1 {
			m.t.Errorf("member %d has %d rows", n, len(rows))
			continue
		}
		told := map[string]model.AttendanceStatus{"ok": model.Present, "closed": model.Absent}[outcomes[n]]
		if rows[0].Status != told {
			m.t.Errorf("member %d was told %q and is %q", n, outcomes[n], rows[0].Status)
		}
	}
	tally := m.board().Tally
	if tally.Present+tally.Absent != tally.Expected || tally.Awaited != 0 {
		m.t.Errorf("after the closing: %+v", tally)
	}
}
