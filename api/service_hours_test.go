package api_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
	"dangri/wechat/sim"
)

func (n *neighbourhood) code() string {
	n.t.Helper()
	return as[service.ServiceCode](n.t, n.phone(n.liaison).get(dayPath(n.day.ID, "/check-in-code"))).Code
}

func (n *neighbourhood) arrive(p *trial.Person) *reply {
	n.t.Helper()
	return n.phone(p).post("/v1/service-check-ins", body{"code": n.code()})
}

func (n *neighbourhood) leave(p *trial.Person, change ...any) *reply {
	n.t.Helper()
	return n.phone(p).post("/v1/service-check-outs", body{"code": n.code()}.with(change...))
}

// confirm closes the service day as the liaison, with the community's word on some.
func (n *neighbourhood) confirm(entries ...body) *reply {
	n.t.Helper()
	return n.phone(n.liaison).post(dayPath(n.day.ID, "/hours"), body{"entries": entries})
}

// minutes is the ledger of a sign-up, by provenance.
func (n *neighbourhood) minutes(signUp uint64) string {
	n.t.Helper()
	var rows []model.ServiceHours
	if err := n.DB.Order("id").Find(&rows, "sign_up_id = ?", signUp).Error; err != nil {
		n.t.Fatal(err)
	}
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = fmt.Sprint(r.Provenance, r.Minutes)
	}
	return strings.Join(out, " ")
}

func TestF13_CheckingInWithoutTheSeatIsRefused(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(3, 1)
		u := n.seat(n.members[0])
		n.wait(n.members[1])
		s.Clock.Set(serviceStart)
		for _, p := range n.members[1:] {
			want(t, n.arrive(p), 409, "signup_required")
		}
		want(t, n.arrive(n.members[0]), 200, "ok")
		if n.count(&model.SlotSignUp{}, "arrived_at IS NOT NULL") != 1 || n.state(u.ID) != model.Seated {
			t.Error("somebody without a seat is there")
		}
	})
}

func TestTheFirstArrivalStandsAndTheLastDepartureCounts(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(1, 1)
		u := n.seat(n.members[0])
		s.Clock.Set(serviceStart.Add(-30*time.Minute - time.Millisecond))
		want(t, n.arrive(n.members[0]), 409, "not_open_yet")
		s.Clock.Advance(time.Millisecond)
		want(t, n.leave(n.members[0]), 409, "not_arrived")
		first := as[service.ServicePresence](t, n.arrive(n.members[0]))
		if !first.CountsFrom.Equal(serviceStart.Add(30 * time.Minute)) {
			t.Errorf("counts from %s", first.CountsFrom)
		}
		s.Clock.Set(serviceStart.Add(10 * time.Minute))
		again := as[service.ServicePresence](t, n.arrive(n.members[0]))
		if !again.ArrivedAt.Equal(first.ArrivedAt) {
			t.Errorf("the second scan moved the arrival to %s", again.ArrivedAt)
		}
		r := n.leave(n.members[0])
		want(t, r, 409, "stay_longer")
		if !strings.Contains(string(r.Body), first.CountsFrom.UTC().Format("2006-01-02T15:04:05")) {
			t.Errorf("the refusal does not say from when: %s", r.Body)
		}
		if got := n.minutes(u.ID); got != "" {
			t.Errorf("hours after a refused departure: %s", got)
		}
		s.Clock.Set(serviceStart.Add(30*time.Minute - time.Millisecond))
		want(t, n.leave(n.members[0]), 409, "stay_longer")
		s.Clock.Set(serviceStart.Add(30 * time.Minute))
		if out := as[service.ServicePresence](t, n.leave(n.members[0])); out.Minutes != 30 || out.Provenance != model.ScannedInAndOut {
			t.Errorf("left as %+v", out)
		}
		want(t, n.leave(n.members[0]), 200, "ok")
		s.Clock.Set(serviceStart.Add(3 * time.Hour))
		want(t, n.leave(n.members[0]), 200, "ok")
		if got := n.minutes(u.ID); got != "scanned30 scanned90" {
			t.Errorf("the ledger says %s", got)
		}
		s.Clock.Set(serviceStart.Add(4 * time.Hour))
		want(t, n.leave(n.members[0]), 409, "closed")
	})
}

func TestTwoSlotsOfOneDayAreArrivedAtAndLeftInTheirOrder(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(1, 1)
		later := serviceStart.Add(2*time.Hour + 30*time.Minute)
		n.publishDay("slots", []body{n.job(1, "starts_at", later, "ends_at", later.Add(time.Hour)), n.job(1)})
		second := n.seat(n.members[0]) // signed up for before the first
		n.slot = n.day.Slots[1].ID
		first := n.seat(n.members[0])
		me := n.members[0]
		for _, step := range []struct {
			after time.Duration
			scan  func(*trial.Person) *reply
			seat  uint64
		}{
			{0, n.arrive, first.ID},
			{2*time.Hour + 10*time.Minute, func(p *trial.Person) *reply { return n.leave(p) }, first.ID}, // the second is open by now
			{2*time.Hour + 15*time.Minute, n.arrive, second.ID},
			{3*time.Hour + 30*time.Minute, func(p *trial.Person) *reply { return n.leave(p) }, second.ID},
		} {
			s.Clock.Set(serviceStart.Add(step.after))
			if got := as[service.ServicePresence](t, step.scan(me)); got.SignUpID != step.seat {
				t.Errorf("after %s the scan is about sign-up %d, want %d", step.after, got.SignUpID, step.seat)
			}
		}
		if n.minutes(first.ID) != "scanned120" || n.minutes(second.ID) != "scanned60" {
			t.Errorf("the ledger says %s and %s", n.minutes(first.ID), n.minutes(second.ID))
		}
	})
}

func TestLeavingTooEarlyAllTheSameMakesNoHours(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(1, 1)
		u := n.seat(n.members[0])
		s.Clock.Set(serviceStart)
		want(t, n.arrive(n.members[0]), 200, "ok")
		s.Clock.Advance(5 * time.Minute)
		if out := as[service.ServicePresence](t, n.leave(n.members[0], "anyway", true)); out.Minutes != 0 || out.LeftAt == nil {
			t.Errorf("left as %+v", out)
		}
		s.Clock.Set(serviceStart.Add(2 * time.Hour))
		got := as[service.HoursConfirmed](t, n.confirm())
		if n.minutes(u.ID) != "" || got.NoShows != 0 || got.Served != 0 {
			t.Errorf("confirmed as %+v, ledger %q", got, n.minutes(u.ID))
		}
	})
}

func TestACodeOfAServiceDayIsNoneOfAMeetingAndOldOnesDie(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(1, 1)
		n.seat(n.members[0])
		m := &meeting{stage: s, branch: n.branch, secretary: n.secretary}
		m.id = m.publish(n.branch)
		me := n.phone(n.members[0])
		want(t, me.post("/v1/service-check-ins", body{"code": m.code().Code}), 409, "code_invalid")
		want(t, m.scan(n.members[0], n.code(), nonce()), 409, "code_invalid")
		want(t, n.phone(n.members[0]).get(dayPath(n.day.ID, "/check-in-code")), 403, "not_liaison")
		s.Clock.Set(serviceStart)
		old := n.code()
		as[service.ServiceCode](t, n.phone(n.liaison).post(dayPath(n.day.ID, "/check-in-code"), nil))
		want(t, me.post("/v1/service-check-ins", body{"code": old}), 409, "code_expired")
		now := n.code()
		s.Clock.Advance(25 * time.Second)
		want(t, me.post("/v1/service-check-ins", body{"code": now}), 409, "code_expired")
	})
}

func TestATickCountsAsMuchAndIsAttested(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(2, 2)
		u, other := n.seat(n.members[0]), n.seat(n.members[1])
		s.Clock.Set(serviceStart)
		tick := func(p *trial.Person, act string, ids ...uint64) *reply {
			return n.phone(p).post(dayPath(n.day.ID, "/presences"), body{"sign_up_ids": ids, "act": act})
		}
		want(t, tick(n.secretary, "arrive", u.ID), 403, "not_liaison")
		want(t, tick(n.liaison, "arrive", u.ID, other.ID), 200, "ok")
		want(t, tick(n.liaison, "arrive", u.ID, 1<<40), 404, "sign_up_not_found")
		s.Clock.Advance(time.Hour)
		want(t, tick(n.liaison, "leave", u.ID), 200, "ok")
		want(t, tick(n.liaison, "leave", u.ID), 200, "ok")
		want(t, n.leave(n.members[1]), 200, "ok")
		if n.minutes(u.ID) != "attested60" || n.minutes(other.ID) != "attested60" {
			t.Errorf("ledger %q and %q", n.minutes(u.ID), n.minutes(other.ID))
		}
	})
}

func TestConfirmingSettlesEverybodyByProvenanceAndAgainChangesNothing(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(5, 5)
		var seats []service.SignedUp
		for _, p := range n.members {
			seats = append(seats, n.seat(p))
		}
		s.Clock.Set(serviceStart)
		for _, p := range n.members[:2] {
			want(t, n.arrive(p), 200, "ok")
		}
		s.Clock.Advance(time.Hour)
		want(t, n.leave(n.members[0]), 200, "ok")
		want(t, n.confirm(), 409, "not_over")
		s.Clock.Set(serviceStart.Add(2 * time.Hour))
		late := n.code()
		want(t, n.phone(n.secretary).post(dayPath(n.day.ID, "/hours"), body{}), 403, "not_liaison")
		paper := body{"sign_up_id": seats[2].ID, "minutes": 90, "reason": "纸质签到表"}
		ill := body{"sign_up_id": seats[3].ID, "absent": true, "reason": "临时生病"}
		first := n.confirm(paper, ill)
		got := as[service.HoursConfirmed](t, first)
		if got.Served != 3 || got.NoShows != 2 || got.Minutes[model.ScannedInAndOut] != 60 || got.Minutes[model.ScannedInOnly] != 120 || got.Minutes[model.Attested] != 90 {
			t.Errorf("confirmed as %+v", got)
		}
		other := n.replica()
		trial.Race(6, func(i int) {
			r := []*neighbourhood{n, other}[i%2].confirm([][]body{{paper, ill}, nil}[i%2]...)
			if string(r.Body) != string(first.Body) {
				t.Errorf("again: %s", r.Body)
			}
		})
		if rows := s.count(&model.ServiceHours{}, "1 = 1"); rows != 3 {
			t.Errorf("%d entries in the ledger", rows)
		}
		// A correction is new entries, the old ones stay.
		want(t, n.confirm(body{"sign_up_id": seats[0].ID, "minutes": 100, "reason": "中途帮忙搬运没有签退"}), 200, "ok")
		if got := n.minutes(seats[0].ID); got != "scanned60 scanned-60 attested100" {
			t.Errorf("the ledger says %s", got)
		}
		want(t, n.phone(n.members[4]).post("/v1/service-check-ins", body{"code": late}), 409, "service_status")
	})
}

func TestConfirmingAtOnceEntersEachOnce(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(20, 20)
		n.everybody()
		for _, p := range n.members {
			n.seat(p)
		}
		if err := s.DB.Exec("UPDATE slot_sign_ups SET arrived_at = ?, arrived_by = 'scan'", serviceStart.UTC()).Error; err != nil {
			t.Fatal(err)
		}
		s.Clock.Set(serviceStart.Add(2 * time.Hour))
		n.phone(n.liaison)
		other := n.replica()
		trial.Race(8, func(i int) { want(t, []*neighbourhood{n, other}[i%2].confirm(), 200, "ok") })
		if rows := s.count(&model.ServiceHours{}, "1 = 1"); rows != 20 {
			t.Errorf("%d entries for 20 people", rows)
		}
	})
}

func TestConfirming_Control_WithoutTheLocksHoursAreEnteredTwiceAtOnce(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(10, 10)
		for _, p := range n.members {
			n.seat(p)
		}
		if err := s.DB.Exec("UPDATE slot_sign_ups SET arrived_at = ?, arrived_by = 'scan'", serviceStart.UTC()).Error; err != nil {
			t.Fatal(err)
		}
		s.Clock.Set(serviceStart.Add(2 * time.Hour))
		n.phone(n.liaison)
		// Without the locks everybody finds nothing settled, without the ledger's
		// own look back nobody finds what the others entered.
		s.Sabotage(func(statement string) string {
			return strings.Replace(unlocked(statement), "`service_hours` WHERE sign_up_id", "`service_hours` WHERE 1 = 0 AND sign_up_id", 1)
		})
		for range 20 {
			trial.Race(8, func(int) { n.confirm() })
			if s.count(&model.ServiceHours{}, "1 = 1") > 10 {
				return
			}
			for _, statement := range []string{"DELETE FROM service_hours", "UPDATE slot_sign_ups SET settled_at = NULL", "UPDATE service_days SET status = 'published'"} {
				if err := s.DB.Exec(statement).Error; err != nil {
					t.Fatal(err)
				}
			}
		}
		t.Error("twenty rounds without locks and never twice: this test cannot see the race")
	})
}

func TestHoursBelongToTheBranchOfThatDay(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(2, 2)
		u, later := n.seat(n.members[0]), n.seat(n.members[1])
		second := s.Branch("第二党支部")
		s.Move(n.members[0], second, "2026-03-12") // on the day of the service
		s.Move(n.members[1], second, "2026-03-13") // the day after
		s.Clock.Set(serviceStart.Add(26 * time.Hour))
		entries := []body{{"sign_up_id": u.ID, "minutes": 60, "reason": "纸质签到表"}, {"sign_up_id": later.ID, "minutes": 60, "reason": "纸质签到表"}}
		want(t, n.confirm(entries...), 200, "ok")
		for id, branch := range map[uint64]uint64{u.ID: second.ID, later.ID: n.branch.ID} {
			if got := s.count(&model.ServiceHours{}, "sign_up_id = ? AND branch_id = ?", id, branch); got != 1 {
				t.Errorf("sign-up %d is not with branch %d", id, branch)
			}
		}
	})
}

func TestTwoUnexplainedAbsencesMakeTheSecretarysListAndLockNothing(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(2, 2)
		var missed []uint64
		for week := range 2 {
			if week > 0 {
				start := serviceStart.Add(7 * 24 * time.Hour)
				n.publishDay("slots", []body{n.job(2, "starts_at", start, "ends_at", start.Add(time.Hour))})
			}
			missed = append(missed, n.seat(n.members[0]).ID)
			n.seat(n.members[1])
			s.Clock.Set(n.day.EndsAt)
			var seats []model.SlotSignUp
			if err := s.DB.Find(&seats, "slot_id = ? AND member_id = ?", n.slot, n.members[1].ID).Error; err != nil {
				t.Fatal(err)
			}
			want(t, n.confirm(body{"sign_up_id": seats[0].ID, "absent": true, "reason": "出差"}), 200, "ok")
		}
		list := func() []service.UnexplainedAbsence {
			return as[struct {
				Items []service.UnexplainedAbsence
			}](t, n.phone(n.secretary).get(fmt.Sprint("/v1/organisations/", n.branch.ID, "/service-absences"))).Items
		}
		if got := list(); len(got) != 1 || got[0].MemberID != n.members[0].ID || got[0].Times != 2 {
			t.Errorf("the list is %+v", got)
		}
		want(t, n.phone(n.members[1]).get(fmt.Sprint("/v1/organisations/", n.branch.ID, "/service-absences")), 404, "not_found")
		start := serviceStart.Add(14 * 24 * time.Hour)
		n.publishDay("slots", []body{n.job(2, "starts_at", start, "ends_at", start.Add(time.Hour))})
		n.seat(n.members[0])
		want(t, n.phone(n.members[1]).post(signUpPath(missed[0], "/absence"), body{"reason": "替他说明"}), 404, "sign_up_not_found")
		want(t, n.phone(n.members[0]).post(signUpPath(missed[0], "/absence"), body{"reason": "家里有急事"}), 200, "ok")
		if got := list(); len(got) != 0 {
			t.Errorf("after a word of explanation: %+v", got)
		}
	})
}

func TestAnObjectionIsAnsweredOnRecordAndCorrectsTheLedger(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(2, 2)
		u, other := n.seat(n.members[0]), n.seat(n.members[1])
		object := func(p *trial.Person, id uint64) *reply {
			return n.phone(p).post(signUpPath(id, "/objection"), body{"reason": "我到了，联络员没有看见"})
		}
		want(t, object(n.members[0], u.ID), 409, "not_settled")
		s.Clock.Set(n.day.EndsAt)
		want(t, n.confirm(), 200, "ok")
		want(t, object(n.members[1], u.ID), 404, "sign_up_not_found")
		s.Clock.Advance(15*24*time.Hour - time.Millisecond)
		o := as[model.HourObjection](t, object(n.members[0], u.ID))
		if again := as[model.HourObjection](t, object(n.members[0], u.ID)); again.ID != o.ID {
			t.Error("objecting again made a second objection")
		}
		s.Clock.Advance(time.Millisecond)
		want(t, object(n.members[1], other.ID), 409, "objection_late")
		answer := fmt.Sprint("/v1/hour-objections/", o.ID, "/answer")
		want(t, n.phone(n.members[0]).post(answer, body{"answer": "同意", "minutes": 120}), 404, "objection_not_found")
		waiting := as[service.ObjectionPage](t, n.phone(n.liaison).get(fmt.Sprint("/v1/hour-objections?community_id=", n.community.ID)))
		if len(waiting.Items) != 1 || waiting.Items[0].Name != n.members[0].Name {
			t.Errorf("the liaison sees %+v", waiting.Items)
		}
		want(t, n.phone(n.liaison).post(answer, body{"answer": "核对照片，确实到了", "minutes": 120}), 200, "ok")
		want(t, n.phone(n.liaison).post(answer, body{"answer": "再答一次"}), 409, "objection_answered")
		if got := n.minutes(u.ID); got != "attested120" {
			t.Errorf("the ledger says %q", got)
		}
		mine := as[service.ObjectionPage](t, n.phone(n.members[0]).get("/v1/hour-objections"))
		if len(mine.Items) != 1 || mine.Items[0].Answer != "核对照片，确实到了" {
			t.Errorf("the member sees %+v", mine.Items)
		}
		record := as[service.ServiceRecord](t, n.phone(n.members[0]).get("/v1/me/service-record"))
		if len(record.Sums) != 1 || record.Sums[0].Minutes != 120 || record.Entries[0].EnteredBy != "郝联络" || record.Entries[0].Title != "周四固定服务日" {
			t.Errorf("the record is %+v", record)
		}
	})
}

func TestNobodyAnswersTheirOwnObjection(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(1, 2)
		s.Post(n.members[0], n.community, model.CommunityLiaison)
		u := n.seat(n.members[0])
		s.Clock.Set(n.day.EndsAt)
		want(t, n.confirm(), 200, "ok")
		o := as[model.HourObjection](t, n.phone(n.members[0]).post(signUpPath(u.ID, "/objection"), body{"reason": "我到了"}))
		want(t, n.phone(n.members[0]).post(fmt.Sprint("/v1/hour-objections/", o.ID, "/answer"), body{"answer": "属实", "minutes": 120}), 403, "own_objection")
	})
}

func TestTheQuarterlySlipIsMadeConfirmedAndStaysAsConfirmed(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(2, 2)
		u, v := n.seat(n.members[0]), n.seat(n.members[1])
		s.Clock.Set(n.day.EndsAt)
		want(t, n.confirm(body{"sign_up_id": u.ID, "minutes": 120, "reason": "纸质签到表"}, body{"sign_up_id": v.ID, "minutes": 60, "reason": "纸质签到表"}), 200, "ok")
		path := fmt.Sprintf("/v1/communities/%d/feedback-slips/2026Q1/%d", n.community.ID, n.branch.ID)
		stranger := s.Member(s.Branch("第二党支部"), "外人")
		want(t, n.phone(stranger).get(path), 404, "not_found")
		if own := as[service.Slip](t, n.phone(n.members[0]).get(path)); len(own.Lines) != 1 || own.Sums[0].Minutes != 180 {
			t.Errorf("a member sees %+v", own)
		}
		want(t, n.phone(n.liaison).post(path+"/confirmation", body{"comment": "很好"}), 409, "quarter_not_over")
		s.Clock.Set(time.Date(2026, 4, 1, 9, 0, 0, 0, trial.Zone))
		want(t, n.phone(n.secretary).post(path+"/confirmation", body{"comment": "自评"}), 404, "not_found")
		want(t, n.phone(n.liaison).post(path+"/confirmation", body{"comment": "服务认真，居民满意"}), 409, "reenter")
		n.touch(n.liaison)
		want(t, n.phone(n.liaison).post(path+"/confirmation", body{"comment": sim.RiskyWord}), 409, "text_risky")
		if slip := as[service.Slip](t, n.phone(n.liaison).get(path)); slip.ConfirmedAt != nil || slip.Comment != "" {
			t.Errorf("after a refused comment: %+v", slip)
		}
		confirmed := n.phone(n.liaison).post(path+"/confirmation", body{"comment": "服务认真，居民满意"})
		want(t, confirmed, 200, "ok")
		s.Clock.Advance(time.Minute)
		want(t, n.confirm(body{"sign_up_id": u.ID, "minutes": 30, "reason": "记错了"}), 200, "ok")
		slip := as[service.Slip](t, n.phone(n.secretary).get(path))
		if slip.People != 2 || slip.Sums[0].Minutes != 180 || slip.Comment != "服务认真，居民满意" || slip.ConfirmedAt == nil {
			t.Errorf("the unit sees %+v", slip)
		}
		again := as[service.Slip](t, n.phone(n.liaison).post(path+"/confirmation", body{"comment": "改口"}))
		if again.Comment != "服务认真，居民满意" {
			t.Errorf("the second word: %s", again.Comment)
		}
		list := as[service.SlipOverview](t, n.phone(n.liaison).get(fmt.Sprintf("/v1/communities/%d/feedback-slips/2026Q1", n.community.ID)))
		if len(list.Items) != 1 || list.Items[0].ConfirmedAt == nil || list.Items[0].People != 2 {
			t.Errorf("the list is %+v", list.Items)
		}
		want(t, n.phone(n.liaison).get(fmt.Sprintf("/v1/communities/%d/feedback-slips/2026Q5", n.community.ID)), 400, "invalid_field")
		book, err := excelize.OpenReader(bytes.NewReader(n.phone(n.secretary).get(path + "/slip.xlsx").Body))
		if err != nil {
			t.Fatal(err)
		}
		defer book.Close()
		if cell, _ := book.GetCellValue(book.GetSheetName(0), "B6"); cell != n.members[0].Name {
			t.Errorf("the workbook's first line is of %q", cell)
		}
		page := string(n.phone(n.secretary).get(path + "/slip.html").Body)
		for _, say := range []string{"和平社区", n.members[1].Name, "社区或书记证明 180 分钟", "服务认真，居民满意"} {
			if !strings.Contains(page, say) {
				t.Errorf("the page does not say %s", say)
			}
		}
	})
}

func TestAServiceRecordIsForTheMemberAndThoseAboveThem(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(2, 2)
		u := n.seat(n.members[0])
		s.Clock.Set(n.day.EndsAt)
		want(t, n.confirm(body{"sign_up_id": u.ID, "minutes": 120, "reason": "纸质签到表"}), 200, "ok")
		path := fmt.Sprint("/v1/members/", n.members[0].ID, "/service-record")
		want(t, n.phone(n.members[1]).get(path), 404, "not_found")
		want(t, n.phone(n.secretary).get(path), 200, "ok")
		for _, p := range []*trial.Person{n.members[0], n.secretary} {
			if page := string(n.phone(p).get(path + ".html").Body); !strings.Contains(page, "服务记录证明") || !strings.Contains(page, "120") {
				t.Errorf("%s prints %s", p.Name, page)
			}
			if _, err := excelize.OpenReader(bytes.NewReader(n.phone(p).get(path + ".xlsx").Body)); err != nil {
				t.Error(err)
			}
		}
		if got := s.count(&model.AuditEntry{}, "action = 'read_service_record'"); got != 3 {
			t.Errorf("%d looks of the secretary are on record", got)
		}
		if got := as[service.ServiceRecord](t, n.phone(n.members[0]).get("/v1/me/service-record?year=2025")); len(got.Entries) != 0 {
			t.Errorf("last year: %+v", got.Entries)
		}
	})
}

func TestAHouseholdIsSealedAndForThePairAndTheirSecretaryAlone(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(2, 2)
		committee := s.Member(n.branch, "魏委员")
		s.Post(committee, n.branch, model.CommitteeMember)
		in := body{"household": body{"name": "化名大娘", "address": "和平里三号楼", "phone": "19900009999", "note": "独居，腿脚不便"}, "nonce": nonce()}
		me := n.phone(n.members[0])
		first := me.post("/v1/household-pairings", in)
		pair := as[service.PairingView](t, first)
		if again := me.post("/v1/household-pairings", in); string(again.Body) != string(first.Body) {
			t.Errorf("a retry: %s", again.Body)
		}
		path := fmt.Sprint("/v1/household-pairings/", pair.ID)
		unknown := n.phone(n.members[1]).get(fmt.Sprint("/v1/household-pairings/", 1<<40))
		for _, p := range []*trial.Person{n.members[1], committee, n.liaison} {
			if r := n.phone(p).get(path); r.Status != 404 || string(r.Body) != string(unknown.Body) {
				t.Errorf("%s sees %d %s", p.Name, r.Status, r.Body)
			}
		}
		if seen := as[service.PairingView](t, n.phone(n.secretary).get(path)); seen.Household.Name != "化名大娘" || seen.Household.Address != "和平里三号楼" {
			t.Errorf("the secretary sees %+v", seen)
		}
		if s.count(&model.AuditEntry{}, "action = 'read_household'") != 1 {
			t.Error("the secretary's look is not on record")
		}
		var row model.HouseholdPairing
		if err := s.DB.Take(&row, pair.ID).Error; err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"化名", "和平里", "1990000"} {
			if strings.Contains(row.Sealed, secret) || strings.Contains(s.Log.String(), secret) {
				t.Errorf("%s lies open", secret)
			}
		}
		visit := body{"day": "2026-03-10", "minutes": 45, "note": "送菜", "nonce": nonce()}
		v := as[service.VisitView](t, me.post(path+"/visits", visit))
		if again := as[service.VisitView](t, me.post(path+"/visits", visit)); again.ID != v.ID {
			t.Error("a retry is a second visit")
		}
		want(t, me.post(path+"/visits", visit.with("nonce", nonce(), "day", "2026-03-11")), 400, "visit_day")
		confirm := fmt.Sprint("/v1/household-visits/", v.ID, "/confirmation")
		want(t, me.post(confirm, nil), 403, "own_visit")
		want(t, n.phone(committee).post(confirm, nil), 404, "visit_not_found")
		list := as[service.PairingPage](t, n.phone(n.secretary).get(fmt.Sprint("/v1/household-pairings?branch_id=", n.branch.ID)))
		if len(list.Items) != 1 || list.Items[0].Awaiting != 1 {
			t.Errorf("the secretary's list: %+v", list.Items)
		}
		want(t, n.phone(committee).get(fmt.Sprint("/v1/household-pairings?branch_id=", n.branch.ID)), 404, "not_found")
		other := n.replica()
		trial.Race(8, func(i int) { want(t, []*neighbourhood{n, other}[i%2].phone(n.secretary).post(confirm, nil), 200, "ok") })
		record := as[service.ServiceRecord](t, me.get("/v1/me/service-record"))
		if len(record.Entries) != 1 || record.Entries[0].Minutes != 45 || record.Entries[0].Provenance != model.Attested {
			t.Errorf("the record is %+v", record.Entries)
		}
		want(t, me.delete(path+"?day=2026-03-20"), 200, "ok")
	})
}

func TestAFixedServiceDayRepeatsByItsRuleRoundTheHolidaysOnceHoweverManyReplicas(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(1, 2)
		s.Clock.Set(time.Date(2026, 3, 20, 9, 0, 0, 0, trial.Zone))
		saturday := time.Date(2026, 3, 21, 9, 0, 0, 0, trial.Zone)
		n.publishDay("title", "周六服务日", "sign_up_closes_minutes", 60, "slots", []body{n.job(2, "starts_at", saturday, "ends_at", saturday.Add(2*time.Hour))})
		path := dayPath(n.day.ID, "/calendar")
		in := body{"rule": "FREQ=WEEKLY;BYDAY=SA", "shift": "later", "exceptions": []body{{"day": "2026-04-18", "moved_to": "2026-04-19"}, {"day": "2026-03-28", "moved_to": ""}}}
		for _, rule := range []string{"FREQ=SECONDLY", "FREQ=WEEKLY;COUNT=3", "每周六", "FREQ=MONTHLY;BYMONTHDAY=99"} {
			want(t, n.phone(n.liaison).put(path, in.with("rule", rule)), 400, "rule")
		}
		want(t, n.phone(n.members[0]).put(path, in), 403, "not_liaison")
		other := n.replica()
		trial.Race(6, func(i int) {
			if i%2 == 0 {
				want(t, n.phone(n.liaison).put(path, in), 200, "ok")
			} else if err := other.Calendars.Extend(t.Context()); err != nil {
				t.Error(err)
			}
		})
		view := as[service.CalendarView](t, n.phone(n.liaison).get(path))
		var days []string
		for i := len(view.Days) - 1; i >= 0; i-- {
			days = append(days, view.Days[i].StartsAt.In(trial.Zone).Format("01-02 15:04"))
		}
		// 4 April 2026 is Qingming, and so is the Sunday after; 11 April is the next free Saturday, and has a day of its own.
		if got := strings.Join(days, ", "); got != "04-11 09:00, 04-11 09:00, 04-19 09:00, 04-25 09:00" {
			t.Errorf("made %s", got)
		}
		made := as[service.ServiceDayView](t, n.phone(n.members[0]).get(dayPath(view.Days[0].ServiceDayID, "")))
		if made.Status != model.Published || made.Slots[0].Capacity != 2 || !made.SignUpUntil.Equal(made.StartsAt.Add(-time.Hour)) {
			t.Errorf("made %+v", made)
		}
		want(t, n.phone(n.liaison).put(dayPath(view.Days[0].ServiceDayID, "/calendar"), in), 409, "pattern_repeats")
		s.Clock.Advance(14 * 24 * time.Hour)
		for range 2 {
			if err := n.Calendars.Extend(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if later := as[service.CalendarView](t, n.phone(n.liaison).get(path)); len(later.Days) <= len(view.Days) {
			t.Errorf("two weeks later there are %d days", len(later.Days))
		}
	})
}

func TestTheOwnTableOfHolidaysOverridesTheLibrary(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(1, 2)
		for _, d := range []model.CalendarDay{{Day: "2026-03-19", Name: "本地假日"}, {Day: "2026-03-26", Working: true, Name: "照常上班"}} {
			if err := s.DB.Create(&d).Error; err != nil {
				t.Fatal(err)
			}
		}
		view := as[service.CalendarView](t, n.phone(n.liaison).put(dayPath(n.day.ID, "/calendar"), body{"rule": "FREQ=WEEKLY;BYDAY=TH", "shift": "skip", "until": "2026-04-01"}))
		if len(view.Days) != 1 || view.Days[0].Day != "2026-03-26" {
			t.Errorf("made %+v", view.Days)
		}
	})
}

func TestImportedHoursStandApartAndAreEnteredOnce(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(2, 2)
		s.Move(n.members[1], s.Branch("第二党支部"), "2026-02-01")
		line := func(p *trial.Person, day string, minutes int) string {
			return fmt.Sprintf("%s,%s,%s,%d,社区清扫\n", p.Name, p.Phone, day, minutes)
		}
		const head = "姓名,手机号,日期,分钟,服务内容\n"
		send := func(p *trial.Person, text, query string) *reply {
			r := sheet(fmt.Sprint("/v1/organisations/", n.branch.ID, "/service-hours-imports", query), text)(&ground{meeting: &meeting{stage: s}}, nil, nil)
			return n.phone(p).do("POST", r.path, r.body, r.headers...)
		}
		wrong := send(n.secretary, head+line(n.members[0], "2026-03-11", 60)+line(n.members[1], "2026-02-01", 60)+"无此人,19900000000,2026/1/5,0,清扫\n", "")
		want(t, wrong, 400, "import_problems")
		if s.count(&model.ServiceHours{}, "1 = 1") != 0 {
			t.Error("a sheet with problems was taken in part")
		}
		good := head + line(n.members[0], "2026/1/5", 60) + line(n.members[1], "2026-01-31", 90) + line(n.members[0], "2026/1/5", 60)
		if dry := as[service.ImportReport](t, send(n.secretary, good, "?dry_run=true")); dry.Added != 2 || s.count(&model.ServiceHours{}, "1 = 1") != 0 {
			t.Errorf("checked as %+v", dry)
		}
		want(t, send(n.members[0], good, ""), 404, "not_found")
		var added, unchanged int
		var mu sync.Mutex
		trial.Race(4, func(int) {
			report := as[service.ImportReport](t, send(n.secretary, good, ""))
			mu.Lock()
			defer mu.Unlock()
			added += report.Added
			unchanged += report.Unchanged
		})
		if added != 2 || unchanged != 10 || s.count(&model.ServiceHours{}, "provenance = 'imported' AND branch_id = ?", n.branch.ID) != 2 {
			t.Errorf("%d added, %d unchanged", added, unchanged)
		}
		record := as[service.ServiceRecord](t, n.phone(n.members[0]).get("/v1/me/service-record"))
		if len(record.Sums) != 1 || record.Sums[0].Provenance != model.ImportedHours || record.Sums[0].Minutes != 60 || record.Entries[0].Title != "社区清扫" {
			t.Errorf("the record is %+v", record)
		}
	})
}
