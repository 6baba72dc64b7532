package api_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
	"dangri/wechat/sim"
)

// Table D: person, branch, roster.

func TestD1_WhoIsNotOnTheRosterIsRefusedAndNotInserted(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		outsider := s.Member(s.Branch("第二党支部"), "外支部党员")
		want(t, m.scan(outsider, m.code().Code, nonce()), 409, "not_on_roster")
		// Digits are no proof of having been there, so the meeting does not even exist.
		typed := body{"digits": m.code().Digits, "activity_id": m.id, "nonce": nonce()}
		want(t, m.phone(outsider).post("/v1/check-ins", typed), 404, "activity_not_found")
		stranger := s.signIn(s.Stranger())
		want(t, stranger.post("/v1/check-ins", body{"code": m.code().Code, "nonce": nonce()}), 403, "not_bound")
		want(t, m.tick(outsider, model.Present), 409, "not_on_roster")
		want(t, m.tick(outsider, model.SickLeave), 409, "not_on_roster")
		if m.rows(outsider) != 0 || m.board().Tally.Guests != 0 {
			t.Errorf("%d rows, board %+v", m.rows(outsider), m.board().Tally)
		}
	})
}

func TestD2_Member1IsNotInvitedBecauseMember12Is(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(22)
		people := map[uint64]*trial.Person{m.secretary.ID: m.secretary}
		for _, p := range m.members {
			people[p.ID] = p
		}
		if people[1] == nil || people[12] == nil || people[21] == nil {
			t.Fatal("this test needs members 1, 12 and 21")
		}
		m.id = m.publish(m.branch, "audience", "members", "targets", []uint64{12})
		code := m.code().Code
		for _, id := range []uint64{1, 2, 11, 21, 22} {
			want(t, m.scan(people[id], code, nonce()), 409, "not_on_roster")
		}
		want(t, m.scan(people[12], code, nonce()), 200, "ok")

		m.id = m.publish(m.branch, "audience", "members", "targets", []uint64{1, 2})
		code = m.code().Code
		want(t, m.scan(people[12], code, nonce()), 409, "not_on_roster")
		want(t, m.scan(people[1], code, nonce()), 200, "ok")
		if tally := m.board().Tally; tally.Expected != 2 || tally.Present != 1 {
			t.Errorf("two are invited and one came, the board says %+v", tally)
		}
	})
}

func TestD4_AnOpenActivityTakesGuestsAndCountsThemApart(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3, "open_to_guests", true)
		second := s.Branch("第二党支部")
		guest, typist := s.Member(second, "列席甲"), s.Member(second, "列席乙")
		in := as[service.CheckedIn](t, m.scan(guest, m.code().Code, nonce()))
		if !in.Guest {
			t.Errorf("who is not on the roster came as %+v", in)
		}
		want(t, m.phone(typist).post("/v1/check-ins", body{"digits": m.code().Digits, "activity_id": m.id, "nonce": nonce()}), 200, "ok")
		own := as[service.CheckedIn](t, m.scan(m.members[0], m.code().Code, nonce()))
		if own.Guest || m.row(m.members[0]).Guest {
			t.Error("who is on the roster came as a guest")
		}
		if row := m.row(guest); !row.Guest || row.BranchID != second.ID {
			t.Errorf("the guest's row: %+v", row)
		}
		s.Clock.Advance(31 * time.Minute)
		closed := as[service.Closing](t, m.phone(m.secretary).post(m.path(m.id, "/closing"), nil))
		if c := closed.Tally; c.Expected != 4 || c.Present != 1 || c.Guests != 2 || c.Absent != 3 {
			t.Errorf("closed with %+v", c)
		}
		sheet := as[service.Sheet](t, m.phone(m.secretary).get(m.path(m.id, "/sheet")))
		if line := lineOf(t, sheet, "列席甲"); line.Group != "列席" || line.Status != "签到" {
			t.Errorf("on the sheet: %+v", line)
		}
		if year := as[service.HomeScreen](t, s.phone(guest).get("/v1/home")).Year; year.CreditHours != 0 || year.Expected != 0 {
			t.Errorf("sitting in brought the guest %+v", year)
		}
	})
}

func TestD4_AGuestWithoutAPhoneShowsTheOwnCodeAndNoNumberRevealsAName(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1, "open_to_guests", true)
		guest := s.Member(s.Branch("第二党支部"), "列席甲")
		// A number can be guessed: whoever the secretary may not know of does not exist.
		foreign, unknown := m.tick(guest, model.Present), m.record(body{"member_id": 999999, "status": "present"})
		want(t, foreign, 409, "not_on_roster")
		sameBytes(t, foreign, unknown)
		own := as[service.MemberCode](t, s.phone(guest).get("/v1/me/code"))
		in := as[service.Recorded](t, m.record(body{"member_code": own.Code, "status": "present"}))
		if !in.Guest || in.Provenance != model.ByMemberCode || in.Name != "列席甲" {
			t.Errorf("recorded %+v", in)
		}
		want(t, m.record(body{"member_code": own.Code, "status": "present"}), 409, "already_checked_in")
	})
}

func TestD5_AMembersMeetingsFollowThemUntilTheStartAndStayWhereTheyWere(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		administrator := s.administrator()
		moved := m.members[0]
		other := s.anotherBranch("第二党支部")
		// The day before: the meeting of the old branch, attended there.
		want(t, m.scan(moved, m.code().Code, nonce()), 200, "ok")
		before := m.id
		s.Clock.Advance(3 * time.Hour)
		want(t, m.phone(m.secretary).post(m.path(m.id, "/closing"), nil), 200, "ok")
		want(t, s.phone(administrator).post(transferOf(moved), body{"branch_id": other.branch.ID}), 200, "ok")

		s.Clock.Advance(18 * time.Hour)
		m.id, other.id = m.publish(m.branch), other.publish(other.branch)
		want(t, m.scan(moved, m.code().Code, nonce()), 409, "not_on_roster")
		want(t, other.scan(moved, other.code().Code, nonce()), 200, "ok")
		if row := other.row(moved); row.BranchID != other.branch.ID || row.Guest {
			t.Errorf("the row at the new branch: %+v", row)
		}
		if m.board().Tally.Expected != 3 || other.board().Tally.Expected != 2 {
			t.Errorf("expected %d at the old branch and %d at the new one", m.board().Tally.Expected, other.board().Tally.Expected)
		}
		m.id = before
		if row := m.row(moved); row.BranchID != m.branch.ID {
			t.Errorf("the day before went to the new branch: %+v", row)
		}
		if tally := m.board().Tally; tally.Expected != 4 || tally.Present != 1 {
			t.Errorf("the meeting of the day before now says %+v", tally)
		}
		// History is not rewritten by a date in the past either.
		yesterday := model.DayOf(s.Clock.Now().Add(-24*time.Hour), trial.Zone)
		want(t, s.phone(administrator).post(transferOf(m.members[1]), body{"branch_id": other.branch.ID, "day": yesterday}), 409, "transfer_held")
	})
}

func TestD5_ATransferAfterTheStartLeavesTheRosterFrozen(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		other := s.anotherBranch("第二党支部")
		other.id = other.publish(other.branch)
		s.Clock.Advance(30 * time.Minute) // the very moment of the start
		want(t, s.phone(s.administrator()).post(transferOf(m.members[0]), body{"branch_id": other.branch.ID}), 200, "ok")
		if m.board().Tally.Expected != 4 || other.board().Tally.Expected != 1 {
			t.Errorf("expected %d and %d", m.board().Tally.Expected, other.board().Tally.Expected)
		}
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 200, "ok")
		if row := m.row(m.members[0]); row.BranchID != m.branch.ID || row.Guest {
			t.Errorf("the row: %+v", row)
		}
		want(t, other.scan(m.members[0], other.code().Code, nonce()), 409, "not_on_roster")
		closed := as[service.Closing](t, m.phone(m.secretary).post(m.path(m.id, "/closing"), nil))
		if closed.Tally.Expected != 4 || closed.Tally.Present != 1 || closed.Tally.Absent != 3 {
			t.Errorf("closed with %+v", closed.Tally)
		}
	})
}

func TestD5_ATransferBeforeTheStartMovesTheRosters(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		other := s.anotherBranch("第二党支部")
		other.id = other.publish(other.branch)
		s.Clock.Advance(30*time.Minute - time.Millisecond)
		want(t, s.phone(s.administrator()).post(transferOf(m.members[0]), body{"branch_id": other.branch.ID}), 200, "ok")
		if m.board().Tally.Expected != 3 || other.board().Tally.Expected != 2 {
			t.Errorf("expected %d and %d", m.board().Tally.Expected, other.board().Tally.Expected)
		}
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 409, "not_on_roster")
		want(t, other.scan(m.members[0], other.code().Code, nonce()), 200, "ok")
		if row := other.row(m.members[0]); row.BranchID != other.branch.ID {
			t.Errorf("the row: %+v", row)
		}
	})
}

func TestD5_EachMeetingBelongsToTheBranchOfItsDay(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		other := s.anotherBranch("第二党支部")
		moved, start := m.members[0], s.Clock.Now().Add(30*time.Minute)
		at := func(days int) []any {
			day := start.AddDate(0, 0, days)
			return []any{"starts_at", day, "ends_at", day.Add(2 * time.Hour)}
		}
		tomorrow, fourth := m.publish(m.branch, at(1)...), m.publish(m.branch, at(4)...)
		other.id = other.publish(other.branch, at(4)...)
		// The new branch begins the day after tomorrow.
		day := model.DayOf(start.AddDate(0, 0, 2), trial.Zone)
		want(t, s.phone(s.administrator()).post(transferOf(moved), body{"branch_id": other.branch.ID, "day": day}), 200, "ok")
		s.Clock.Set(start.AddDate(0, 0, 1))
		m.id = tomorrow
		want(t, m.scan(moved, m.code().Code, nonce()), 200, "ok")
		s.Clock.Set(start.AddDate(0, 0, 4))
		want(t, other.scan(moved, other.code().Code, nonce()), 200, "ok")
		if old, fresh := m.row(moved).BranchID, other.row(moved).BranchID; old != m.branch.ID || fresh != other.branch.ID {
			t.Errorf("the rows belong to branches %d and %d, want %d and %d", old, fresh, m.branch.ID, other.branch.ID)
		}
		m.id = fourth
		want(t, m.scan(moved, m.code().Code, nonce()), 409, "not_on_roster")
	})
}

func TestD7_WhoIsOnLeaveAndComesIsPresentAndTheLeaveStaysAsTheLog(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		want(t, m.record(body{"member_id": m.members[0].ID, "status": "personal_leave", "reason": "家中有事"}), 200, "ok")
		want(t, m.record(body{"member_id": m.members[1].ID, "status": "duty_leave", "reason": "出差"}), 200, "ok")
		if tally := m.board().Tally; tally.OnLeave != 2 || tally.Present != 0 || tally.Awaited != 2 {
			t.Errorf("two on leave, the board says %+v", tally)
		}
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 200, "ok")
		if tally := m.board().Tally; tally.OnLeave != 1 || tally.Present != 1 {
			t.Errorf("one of them came, the board says %+v", tally)
		}
		want(t, m.record(body{"member_id": m.members[0].ID, "status": "sick_leave"}), 409, "already_checked_in")
		s.Clock.Advance(31 * time.Minute)
		want(t, m.phone(m.secretary).post(m.path(m.id, "/closing"), nil), 200, "ok")
		var leaves []model.Leave
		if err := s.DB.Order("member_id").Find(&leaves, "activity_id = ?", m.id).Error; err != nil {
			t.Fatal(err)
		}
		if len(leaves) != 2 || leaves[0].Status != model.PersonalLeave || leaves[0].Reason != "家中有事" || leaves[0].RecordedBy != m.secretary.ID {
			t.Errorf("leaves on record: %+v", leaves)
		}
		if came, stayed := m.row(m.members[0]), m.row(m.members[1]); came.Status != model.Present ||
			stayed.Status != model.DutyLeave || stayed.Provenance != model.ByClosing || stayed.Reason != "出差" {
			t.Errorf("after the closing: %+v and %+v", came, stayed)
		}
		want(t, m.record(body{"member_id": m.members[2].ID, "status": "sick_leave"}), 409, "wrong_status")
	})
}

func TestD8_OneWeChatIsNotBoundToASecondMember(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		first, second := m.members[0], m.members[1]
		p := s.signIn(first.User)
		want(t, p.post("/v1/me/binding", body{"phone_code": first.User.PhoneCode()}), 200, "ok")
		want(t, p.post("/v1/me/binding", body{"phone_code": second.User.PhoneCode()}), 409, "already_bound")
		invitation := m.invite(second)
		want(t, p.post("/v1/me/binding", body{"invitation": invitation}), 409, "already_bound")
		// The refusal did not spend the invitation.
		want(t, s.signIn(second.User).post("/v1/me/binding", body{"invitation": invitation}), 200, "ok")
		if s.holders(first) != 1 || s.holders(second) != 1 {
			t.Errorf("%d and %d accounts", s.holders(first), s.holders(second))
		}
	})
}

func TestD8_ASecondWeChatOfOneMemberEndsTheFirst(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		member := m.members[0]
		old := s.signIn(member.User)
		want(t, old.post("/v1/me/binding", body{"phone_code": member.User.PhoneCode()}), 200, "ok")
		want(t, old.get("/v1/activities"), 200, "ok")
		newPhone := s.WeChat.NewUser(member.Phone)
		fresh := s.signIn(newPhone)
		want(t, fresh.get("/v1/activities"), 403, "not_bound")
		want(t, fresh.post("/v1/me/binding", body{"phone_code": newPhone.PhoneCode()}), 200, "ok")
		want(t, fresh.get("/v1/activities"), 200, "ok")
		want(t, old.get("/v1/activities"), 401, "sign_in_again")
		want(t, s.signIn(member.User).get("/v1/activities"), 403, "not_bound")
		if n := s.audited("rebind", "member", member.ID); n != 1 || s.holders(member) != 1 {
			t.Errorf("%d audit rows of the re-binding, %d accounts", n, s.holders(member))
		}
	})
}

func TestD8_ManyWeChatsBindingOneMemberAtOnceLeaveOne(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		other := s.replica()
		branch := s.Branch("第一党支部")
		for round := range 4 {
			member := s.Member(branch, fmt.Sprintf("换机人%d", round))
			phones := bindAtOnce(s, other, member, 8)
			live := 0
			for _, p := range phones {
				switch r := p.get("/v1/activities"); r.code() {
				case "ok":
					live++
				case "sign_in_again":
				default:
					t.Errorf("a phone that lost hears %d %s", r.Status, r.Body)
				}
			}
			if live != 1 || s.holders(member) != 1 {
				t.Errorf("%d phones act as the member, %d accounts hold it", live, s.holders(member))
			}
		}
	})
}

func TestD8_Control_WithoutLocksAndTheUniqueKeyTwoWeChatsHoldOneMember(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		if err := s.DB.Exec("CREATE INDEX accounts_of_member ON accounts (member_id)").Error; err != nil { // the foreign key needs one
			t.Fatal(err)
		}
		s.dropIndex("accounts", "accounts_member")
		other := s.replica()
		branch := s.Branch("第一党支部")
		for round := range 40 {
			member := s.Member(branch, fmt.Sprintf("换机人%d", round))
			bindAtOnce(s, other, member, 8)
			if s.holders(member) > 1 {
				t.Logf("seen in round %d", round)
				return
			}
		}
		t.Error("forty rounds without locks and key and never two holders: this test cannot see the race")
	}, skipLocks)
}

// bindAtOnce lets n WeChats with the member's phone number bind it at the same
// moment, on two replicas in turn.
func bindAtOnce(s, other *stage, member *trial.Person, n int) []*phone {
	s.t.Helper()
	phones, codes := make([]*phone, n), make([]string, n)
	for i := range phones {
		user := s.WeChat.NewUser(member.Phone)
		at := s
		if i%2 == 1 {
			at = other
		}
		phones[i], codes[i] = at.signIn(user), user.PhoneCode()
	}
	trial.Race(n, func(i int) {
		if r := phones[i].post("/v1/me/binding", body{"phone_code": codes[i]}); r.Status >= 500 {
			s.t.Errorf("binding got %d %s", r.Status, r.Body)
		}
	})
	return phones
}

func TestD8_OneWeChatBindingTwoMembersAtOnceGetsOne(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(0)
		for round := range 4 {
			first, second, accepted := m.bindTwoAtOnce(round)
			if accepted != 1 || s.holders(first)+s.holders(second) != 1 {
				t.Errorf("%d bindings were accepted, %d and %d accounts", accepted, s.holders(first), s.holders(second))
			}
		}
	})
}

func TestD8_Control_WithoutLocksOneWeChatIsToldItIsTwoMembers(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(0)
		for round := range 40 {
			if _, _, accepted := m.bindTwoAtOnce(round); accepted > 1 {
				t.Logf("seen in round %d", round)
				return
			}
		}
		t.Error("forty rounds without locks and never two bindings: this test cannot see the race")
	}, skipLocks)
}

// bindTwoAtOnce lets one WeChat bind two members at the same moment, by the
// invitations of both, and says how many bindings were accepted.
func (m *meeting) bindTwoAtOnce(round int) (first, second *trial.Person, accepted int32) {
	m.t.Helper()
	first, second = m.Member(m.branch, fmt.Sprintf("甲%d", round)), m.Member(m.branch, fmt.Sprintf("乙%d", round))
	invitations := []string{m.invite(first), m.invite(second)}
	p := m.signIn(m.Stranger())
	var oks atomic.Int32
	trial.Race(4, func(i int) {
		if p.post("/v1/me/binding", body{"invitation": invitations[i%2]}).Status == 200 {
			oks.Add(1)
		}
	})
	// A retry of what was accepted is accepted as well; count what was bound.
	accepted = int32(m.audited("bind", "member", first.ID) + m.audited("bind", "member", second.ID))
	if oks.Load() < accepted {
		m.t.Errorf("%d bindings on record, %d answers say so", accepted, oks.Load())
	}
	return first, second, accepted
}

func TestD10_ATickSaysThatItIsOneWithWhoAndWhy(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(4)
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 200, "ok")
		once := nonce()
		tick := body{"member_id": m.members[1].ID, "status": "present", "reason": "手机没电", "nonce": once}
		first := m.phone(m.secretary).post(m.path(m.id, "/attendances"), tick)
		if in := as[service.Recorded](t, first); in.Provenance != model.ByTick || in.Status != model.Present || in.Guest {
			t.Errorf("recorded %+v", in)
		}
		s.Clock.Advance(time.Minute)
		sameBytes(t, first, m.phone(m.secretary).post(m.path(m.id, "/attendances"), tick))
		want(t, m.phone(m.secretary).post(m.path(m.id, "/attendances"), tick.with("reason", "别的原因")), 409, "key_reused")
		own := as[service.MemberCode](t, m.phone(m.members[2]).get("/v1/me/code"))
		want(t, m.record(body{"member_code": own.Code, "status": "present"}), 200, "ok")

		for p, by := range map[*trial.Person]model.Provenance{m.members[0]: model.ByScan, m.members[1]: model.ByTick, m.members[2]: model.ByMemberCode} {
			row := m.row(p)
			if row.Provenance != by || (row.RecordedBy == nil) != (by == model.ByScan) || row.RecordedBy != nil && *row.RecordedBy != m.secretary.ID {
				t.Errorf("by %s: %+v", by, row)
			}
		}
		if row := m.row(m.members[1]); row.Reason != "手机没电" {
			t.Errorf("the reason became %q", row.Reason)
		}
		// A tick counts exactly as much as a scan, and can be told from one.
		board := m.board()
		if board.Tally.Present != 3 {
			t.Errorf("board %+v", board.Tally)
		}
		by := map[string]model.Provenance{}
		for _, a := range board.Arrivals {
			by[a.Name] = a.Provenance
		}
		if by[m.members[0].Name] != model.ByScan || by[m.members[1].Name] != model.ByTick || by[m.members[2].Name] != model.ByMemberCode {
			t.Errorf("the board says who came how: %v", by)
		}
		sheet := as[service.Sheet](t, m.phone(m.secretary).get(m.path(m.id, "/sheet")))
		if line := lineOf(t, sheet, m.members[1].Name); line.By != "书记代记" || line.Note != "手机没电" || line.Status != "签到" {
			t.Errorf("on the sheet: %+v", line)
		}
	})
}

func TestD10_AMembersOwnCodeCountsForTwoMinutesAndOnlyUnchanged(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		own := as[service.MemberCode](t, m.phone(m.members[0]).get("/v1/me/code"))
		if own.EndsIn <= 0 || own.EndsIn > 120_000 {
			t.Errorf("the code ends in %d ms", own.EndsIn)
		}
		of := func(code string) *reply { return m.record(body{"member_code": code, "status": "present"}) }
		for _, bad := range []string{"x", own.Code + "A", own.Code[:len(own.Code)-1], "1" + own.Code, m.code().Code, jsonText(m.members[0].ID)} {
			want(t, of(bad), 409, "member_code_invalid")
		}
		want(t, m.scan(m.members[1], own.Code, nonce()), 409, "code_invalid") // no screen shows it
		s.Clock.Advance(time.Duration(own.EndsIn) * time.Millisecond)
		want(t, of(own.Code), 409, "member_code_invalid")
		s.Clock.Advance(-time.Millisecond)
		want(t, of(own.Code), 200, "ok")
		want(t, m.record(body{"member_code": own.Code, "member_id": m.members[0].ID, "status": "present"}), 400, "invalid_field")
		want(t, m.record(body{"status": "present"}), 400, "invalid_field")
	})
}

func TestD10_ATickAndAScanAtOnceMakeOneRow(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(4)
		other := &meeting{stage: s.replica(), id: m.id, secretary: m.secretary}
		code := m.code().Code
		for _, p := range m.members {
			m.phone(p)
			var mu sync.Mutex
			told := map[string]int{}
			trial.Race(8, func(i int) {
				var r *reply
				switch i % 4 {
				case 0:
					r = m.tick(p, model.Present)
				case 1:
					r = other.tick(p, model.Present)
				case 2:
					r = m.scan(p, code, nonce())
				default:
					r = other.scan(p, code, nonce())
				}
				mu.Lock()
				defer mu.Unlock()
				told[r.code()]++
			})
			if told["ok"] != 1 || told["already_checked_in"] != 7 || m.rows(p) != 1 {
				t.Errorf("told %v, %d rows", told, m.rows(p))
			}
		}
	})
}

func TestD11_OneScanAtTheSuperiorsMeetingIsOneRowOfTheOwnBranch(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		second := s.anotherBranch("第二党支部")
		above := s.Agencies()
		s.Post(m.secretary, above, model.Secretary)
		s.SignIn(m.secretary)
		m.id = m.publish(above)
		if expected := m.board().Tally.Expected; expected != 4 {
			t.Fatalf("the meeting of all branches expects %d", expected)
		}
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 200, "ok")
		want(t, m.scan(second.secretary, m.code().Code, nonce()), 200, "ok")
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 409, "already_checked_in")
		if own, other := m.row(m.members[0]), m.row(second.secretary); own.BranchID != m.branch.ID || other.BranchID != second.branch.ID || own.Guest || other.Guest {
			t.Errorf("rows %+v and %+v", own, other)
		}
		s.Clock.Advance(31 * time.Minute)
		want(t, m.phone(m.secretary).post(m.path(m.id, "/closing"), nil), 200, "ok")
		if year := as[service.HomeScreen](t, m.phone(m.members[0]).get("/v1/home")).Year; year.Attended != 1 || year.CreditHours != 2 {
			t.Errorf("one scan brought %+v", year)
		}
	})
}

// Who is expected, and the quorum.

func TestAnExemptMemberIsNotExpectedButCountsWhenTheyCome(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		exempt := func(p *trial.Person, why model.Exemption) *reply {
			return m.phone(m.secretary).post(m.path(m.id, "/exemptions"), body{"member_id": p.ID, "exemption": why, "reason": "支部大会同意"})
		}
		if tally := as[model.Tally](t, exempt(m.members[0], model.Bedridden)); tally.Expected != 3 || tally.Exempt != 1 || tally.QuorumMissing != 2 {
			t.Errorf("one of four exempt: %+v", tally)
		}
		want(t, exempt(m.members[1], model.LongAbroad), 200, "ok")
		if tally := as[model.Tally](t, exempt(m.members[1], model.NotExempt)); tally.Expected != 3 || tally.Exempt != 1 {
			t.Errorf("one taken back in: %+v", tally)
		}
		want(t, exempt(m.members[2], model.InCustody), 200, "ok")
		want(t, m.scan(m.members[2], m.code().Code, nonce()), 200, "ok")
		if tally := m.board().Tally; tally.Expected != 3 || tally.Present != 1 || tally.Exempt != 1 || tally.VotersExpected != 3 || tally.VotersPresent != 1 {
			t.Errorf("an exempt member came: %+v", tally)
		}
		want(t, exempt(m.members[0], "too_far"), 400, "invalid_input")
		want(t, exempt(s.Member(s.Branch("第二党支部"), "外人"), model.Bedridden), 409, "not_on_roster")
		want(t, m.phone(m.members[1]).post(m.path(m.id, "/exemptions"),
			body{"member_id": m.members[1].ID, "exemption": "long_abroad", "reason": "本人申请"}), 403, "not_conductor")
		if n := s.audited("exempt", "activity", m.id); n != 4 {
			t.Errorf("%d audit rows of four exemptions", n)
		}
		s.Clock.Advance(31 * time.Minute)
		closed := as[service.Closing](t, m.phone(m.secretary).post(m.path(m.id, "/closing"), nil))
		if c := closed.Tally; c.Expected != 3 || c.Present != 1 || c.Absent != 2 || c.Exempt != 1 {
			t.Errorf("closed with %+v", c)
		}
		sheet := as[service.Sheet](t, m.phone(m.secretary).get(m.path(m.id, "/sheet")))
		if line := lineOf(t, sheet, m.members[0].Name); line.Status != "不计入应到" {
			t.Errorf("on the sheet: %+v", line)
		}
		if year := as[service.HomeScreen](t, m.phone(m.members[0]).get("/v1/home")).Year; year.Expected != 0 {
			t.Errorf("the exempt member's own year says %+v", year)
		}
		if year := as[service.HomeScreen](t, m.phone(m.members[2]).get("/v1/home")).Year; year.Expected != 1 || year.Attended != 1 {
			t.Errorf("the year of the exempt member who came: %+v", year)
		}
		want(t, exempt(m.members[1], model.Bedridden), 409, "wrong_status")
	})
}

func TestAnExemptionOutlivesAChangeOfTheRoster(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		want(t, m.phone(m.secretary).post(m.path(m.id, "/exemptions"),
			body{"member_id": m.members[0].ID, "exemption": "bedridden", "reason": "支部大会同意"}), 200, "ok")
		other := s.anotherBranch("第二党支部")
		want(t, s.phone(s.administrator()).post(transferOf(m.members[1]), body{"branch_id": other.branch.ID}), 200, "ok")
		if tally := m.board().Tally; tally.Expected != 2 || tally.Exempt != 1 {
			t.Errorf("after a transfer: %+v", tally)
		}
	})
}

func TestTheQuorumIsMoreThanHalfOfThoseWhoMayVoteAndSaysSo(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3) // four voters with the secretary, so three make the quorum
		probationary := s.Members(m.branch, 2, trial.Probationary)
		m.id = m.publish(m.branch)
		says := func(sentence string) {
			t.Helper()
			if got := m.board().Sentence; got != sentence {
				t.Errorf("the board says %q, want %q", got, sentence)
			}
		}
		says("应到 6 实到 0 请假 0 可表决 0，还差 3 人过半")
		for _, p := range probationary { // there, and without a vote (党章, art. 7)
			want(t, m.scan(p, m.code().Code, nonce()), 200, "ok")
		}
		says("应到 6 实到 2 请假 0 可表决 0，还差 3 人过半")
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 200, "ok")
		want(t, m.tick(m.members[1], model.Present), 200, "ok")
		want(t, m.tick(m.members[2], model.SickLeave), 200, "ok")
		says("应到 6 实到 4 请假 1 可表决 2，还差 1 人过半") // two of four are half, not more
		want(t, m.scan(m.secretary, m.code().Code, nonce()), 200, "ok")
		says("应到 6 实到 5 请假 1 可表决 3，已过半")
		lines := as[struct{ Items []service.RosterLine }](t, m.phone(m.secretary).get(m.path(m.id, "/roster"))).Items
		votes := 0
		for _, l := range lines {
			if l.Votes {
				votes++
			}
		}
		if len(lines) != 6 || votes != 4 {
			t.Errorf("%d on the roster, %d may vote", len(lines), votes)
		}
	})
}

func TestAnActivityOfGroupsOrNamedMembersIsForThemAlone(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		first, second := s.Group(m.branch, "第一党小组"), s.Group(m.branch, "第二党小组")
		inFirst, inSecond := s.Members(m.branch, 2, trial.InGroup(first)), s.Members(m.branch, 3, trial.InGroup(second))
		elsewhere := s.Branch("第二党支部")
		foreignGroup, foreign := s.Group(elsewhere, "外组"), s.Member(elsewhere, "外人")

		m.id = m.publish(m.branch, "audience", "groups", "targets", []uint64{first.ID, first.ID})
		if n := m.board().Tally.Expected; n != 2 {
			t.Errorf("a group of two: %d expected", n)
		}
		want(t, m.scan(inFirst[0], m.code().Code, nonce()), 200, "ok")
		want(t, m.scan(inSecond[0], m.code().Code, nonce()), 409, "not_on_roster")
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 409, "not_on_roster")

		m.id = m.publish(m.branch, "audience", "members", "targets", []uint64{inSecond[1].ID, m.members[0].ID, inSecond[1].ID})
		if n := m.board().Tally.Expected; n != 2 {
			t.Errorf("two named members: %d expected", n)
		}
		want(t, m.scan(inSecond[1], m.code().Code, nonce()), 200, "ok")
		want(t, m.scan(inSecond[0], m.code().Code, nonce()), 409, "not_on_roster")

		for name, bad := range map[string][]any{
			"a group of another branch":    {"audience", "groups", "targets", []uint64{first.ID, foreignGroup.ID}},
			"a branch in place of a group": {"audience", "groups", "targets", []uint64{m.branch.ID}},
			"a member of another branch":   {"audience", "members", "targets", []uint64{m.members[0].ID, foreign.ID}},
			"nobody who exists":            {"audience", "members", "targets", []uint64{999999}},
		} {
			r := m.phone(m.secretary).post("/v1/activities", m.draft(m.branch).with(bad...))
			if r.Status != 400 || r.code() != "audience" {
				t.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
		}
		for name, bad := range map[string][]any{
			"groups, and none named":           {"audience", "groups"},
			"members, and none named":          {"audience", "members", "targets", []uint64{}},
			"the whole branch, and one of it":  {"audience", "branch", "targets", []uint64{m.members[0].ID}},
			"no audience, and a member of one": {"targets", []uint64{m.members[0].ID}},
		} {
			r := m.phone(m.secretary).post("/v1/activities", m.draft(m.branch).with(bad...))
			if r.Status != 400 || !strings.Contains(string(r.Body), "targets") {
				t.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
		}
	})
}

func TestAPartyGroupsMeetingIsForTheGroupAndRunByItsLeader(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		group := s.Group(m.branch, "第一党小组")
		leader := s.Member(m.branch, "组长", trial.InGroup(group))
		s.Members(m.branch, 2, trial.InGroup(group))
		s.Post(leader, group, model.GroupLeader)
		own := &meeting{stage: s, branch: m.branch, secretary: leader, members: m.members}
		own.id = own.publish(group, "kind", "party_group_meeting")
		if n := own.board().Tally.Expected; n != 3 {
			t.Errorf("a group of three: %d expected", n)
		}
		want(t, own.scan(leader, own.code().Code, nonce()), 200, "ok")
		want(t, own.scan(m.members[0], own.code().Code, nonce()), 409, "not_on_roster")
		m.id = own.id // the branch's secretary may run it too
		want(t, m.scan(m.secretary, m.code().Code, nonce()), 409, "not_on_roster")
		want(t, s.phone(leader).post("/v1/activities", m.draft(m.branch)), 404, "not_found")
	})
}

// More of a stage and a meeting.

// signIn is a phone on which a WeChat user has signed in over HTTP.
func (s *stage) signIn(user *sim.User) *phone {
	s.t.Helper()
	in := as[service.SignedIn](s.t, s.nobody().post("/v1/sessions", body{"code": user.LoginCode()}))
	return &phone{s, in.Token}
}

// administrator is a member who administers the whole district.
func (s *stage) administrator() *trial.Person {
	s.t.Helper()
	p := s.Member(s.Branch("区直机关党支部"), "系统管理员")
	s.Post(p, s.District(), model.Administrator)
	return p
}

// anotherBranch is a branch with a secretary and nobody else.
func (s *stage) anotherBranch(name string) *meeting {
	s.t.Helper()
	m := &meeting{stage: s, branch: s.Branch(name)}
	m.secretary = s.Member(m.branch, "外书记")
	s.Post(m.secretary, m.branch, model.Secretary)
	return m
}

func transferOf(p *trial.Person) string { return "/v1/members/" + jsonText(p.ID) + "/transfer" }

// record is the secretary recording somebody, with a nonce of its own.
func (m *meeting) record(b body) *reply {
	m.t.Helper()
	return m.phone(m.secretary).post(m.path(m.id, "/attendances"), b.with("nonce", nonce()))
}

// tick is the secretary ticking a name.
func (m *meeting) tick(p *trial.Person, status model.AttendanceStatus) *reply {
	m.t.Helper()
	return m.record(body{"member_id": p.ID, "status": status})
}

// row is the member's one attendance row.
func (m *meeting) row(p *trial.Person) model.Attendance {
	m.t.Helper()
	var rows []model.Attendance
	if err := m.DB.Find(&rows, "activity_id = ? AND member_id = ?", m.id, p.ID).Error; err != nil || len(rows) != 1 {
		m.t.Fatalf("%s has %d rows (%v)", p.Name, len(rows), err)
	}
	return rows[0]
}

// invite is the secretary's invitation for a member.
func (m *meeting) invite(p *trial.Person) string {
	m.t.Helper()
	return as[service.Invited](m.t, m.phone(m.secretary).post("/v1/members/"+jsonText(p.ID)+"/invitation", nil)).Code
}

// holders is how many accounts hold the member.
func (s *stage) holders(p *trial.Person) int64 {
	s.t.Helper()
	var n int64
	if err := s.DB.Model(&model.Account{}).Where("member_id = ?", p.ID).Count(&n).Error; err != nil {
		s.t.Fatal(err)
	}
	return n
}

// audited is how many audit rows there are of an act on an object.
func (s *stage) audited(action, table string, id uint64) int64 {
	s.t.Helper()
	var n int64
	err := s.DB.Model(&model.AuditEntry{}).Where("action = ? AND object = ?", action, table+"/"+jsonText(id)).Count(&n).Error
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// skipLocks makes every SELECT … FOR UPDATE a plain one, for the controls of
// races that a lock holds.
func skipLocks(p *service.Parts) {
	err := p.DB.Callback().Query().Before("gorm:query").Register("trial:skip_locks", func(db *gorm.DB) {
		delete(db.Statement.Clauses, "FOR")
	})
	if err != nil {
		panic(err) // the callbacks of a new database take any
	}
}

// lineOf is a person's line on the sheet.
func lineOf(t *testing.T, sheet service.Sheet, name string) service.SheetLine {
	t.Helper()
	for _, l := range sheet.Lines {
		if l.Name == name {
			return l
		}
	}
	t.Fatalf("%s is not on the sheet", name)
	return service.SheetLine{}
}

// sameBytes fails unless the two answers cannot be told apart.
func sameBytes(t *testing.T, a, b *reply) {
	t.Helper()
	if a.Status != b.Status || string(a.Body) != string(b.Body) {
		t.Errorf("the answers differ: %d %.300q and %d %.300q", a.Status, a.Body, b.Status, b.Body)
	}
}
