package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

func TestAComplaintReachesThoseAboveTheBranchAndNobodyInIt(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		office := s.Branch("机关党支部")
		above := s.Member(office, "上级督导员")
		s.Post(above, s.Agencies(), model.Supervisor)
		s.Post(m.secretary, s.Agencies(), model.Supervisor) // also sits above, and is not told of the own branch
		s.SignIn(m.secretary)
		writer := m.members[0]
		in := body{"kind": "formalism", "text": "每次都要拍照", "anonymous": true, "about_activity_id": m.id, "nonce": nonce()}
		own := as[service.ComplaintView](t, s.phone(writer).post("/v1/complaints", in))
		if again := as[service.ComplaintView](t, s.phone(writer).post("/v1/complaints", in)); again.ID != own.ID {
			t.Errorf("a retry made another: %+v", again)
		}
		want(t, s.phone(writer).post("/v1/complaints", in.with("text", "别的")), 409, "key_reused")
		received := s.phone(above).get("/v1/complaints?scope=received")
		page := as[service.ComplaintPage](t, received)
		if len(page.Items) != 1 || page.Items[0].Text != "每次都要拍照" || page.Items[0].Name != "" || page.Items[0].MemberID != 0 || strings.Contains(string(received.Body), writer.Name) {
			t.Errorf("the supervisor reads %s", received.Body)
		}
		if page := as[service.ComplaintPage](t, s.phone(m.secretary).get("/v1/complaints?scope=received")); len(page.Items) != 0 {
			t.Errorf("the secretary reads %+v", page)
		}
		answer := "/v1/complaints/" + jsonText(own.ID) + "/answer"
		foreign, unknown := s.phone(m.secretary).post(answer, body{"answer": "没有的事"}), s.phone(above).post("/v1/complaints/999999/answer", body{"answer": "没有的事"})
		want(t, foreign, 404, "complaint_not_found")
		sameBytes(t, foreign, unknown)
		for range 2 {
			want(t, s.phone(above).post(answer, body{"answer": "以后不用拍照"}), 200, "ok")
		}
		want(t, s.phone(above).post(answer, body{"answer": "另一个答复"}), 409, "complaint_answered")
		if mine := as[service.ComplaintPage](t, s.phone(writer).get("/v1/complaints")); len(mine.Items) != 1 || mine.Items[0].Answer != "以后不用拍照" || mine.Items[0].Name != writer.Name {
			t.Errorf("the writer reads %+v", mine)
		}
		named := as[service.ComplaintView](t, s.phone(above).post("/v1/complaints", body{"kind": "other", "text": "自己的意见", "nonce": nonce()}))
		want(t, s.phone(above).post("/v1/complaints/"+jsonText(named.ID)+"/answer", body{"answer": "自己答复"}), 403, "own_complaint")
	})
}

func TestWhoLeadsAGroupOfTheBranchIsNotToldOfItsComplaints(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		group := s.Group(m.branch, "第一党小组")
		leader := s.Member(m.branch, "组长兼督导", trial.InGroup(group))
		s.Post(leader, group, model.GroupLeader)
		s.Post(leader, s.Agencies(), model.Supervisor)
		elsewhere := s.Member(s.Branch("第二党支部"), "旁人")
		about := as[service.ComplaintView](t, s.phone(m.members[0]).post("/v1/complaints", body{"kind": "formalism", "text": "小组天天打卡", "nonce": nonce()}))
		other := as[service.ComplaintView](t, s.phone(elsewhere).post("/v1/complaints", body{"kind": "other", "text": "别的支部的", "nonce": nonce()}))
		if page := as[service.ComplaintPage](t, s.phone(leader).get("/v1/complaints?scope=received")); len(page.Items) != 1 || page.Items[0].ID != other.ID {
			t.Errorf("the group's leader reads %+v", page.Items)
		}
		answer := func(id uint64) *reply {
			return s.phone(leader).post("/v1/complaints/"+jsonText(id)+"/answer", body{"answer": "没有的事"})
		}
		want(t, answer(about.ID), 404, "complaint_not_found")
		sameBytes(t, answer(about.ID), answer(999999))
		want(t, answer(other.ID), 200, "ok")
	})
}

// answerAtOnce lets two supervisors answer a new complaint eight times at once,
// each time otherwise, and returns how many answers were taken and what is kept.
func (m *meeting) answerAtOnce(other *stage, above [2]*trial.Person) (accepted []string, kept string) {
	m.t.Helper()
	id := as[service.ComplaintView](m.t, m.phone(m.members[0]).post("/v1/complaints", body{"kind": "other", "text": "有意见", "nonce": nonce()})).ID
	phones, answers := []*phone{m.phone(above[0]), other.phone(above[1])}, make([]*reply, 8)
	trial.Race(len(answers), func(i int) {
		answers[i] = phones[i%2].post("/v1/complaints/"+jsonText(id)+"/answer", body{"answer": fmt.Sprint("答复", i)})
	})
	for i, r := range answers {
		switch {
		case r.Status == 200:
			accepted = append(accepted, fmt.Sprint("答复", i))
		case r.code() != "complaint_answered":
			m.t.Errorf("answer %d got %d %s", i, r.Status, r.Body)
		}
	}
	var row model.Complaint
	if err := m.DB.Take(&row, id).Error; err != nil {
		m.t.Fatal(err)
	}
	m.Clock.Advance(25 * time.Hour)
	return accepted, row.Answer
}

func (s *stage) aboveAll() [2]*trial.Person {
	s.t.Helper()
	office := s.Branch("机关党支部")
	above := [2]*trial.Person{s.Member(office, "督导甲"), s.Member(office, "督导乙")}
	for _, p := range above {
		s.Post(p, s.Agencies(), model.Supervisor)
	}
	return above
}

func TestOfManyAnswersAtOnceOneIsKeptAndTheOthersAreToldSo(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m, above, other := s.aMeeting(1), s.aboveAll(), s.replica()
		for range 5 {
			if accepted, kept := m.answerAtOnce(other, above); len(accepted) != 1 || accepted[0] != kept {
				t.Errorf("taken %v, kept %q", accepted, kept)
			}
		}
	})
}

func TestControl_WithoutTheLockTwoAnswersToAComplaintAreTaken(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		m, above, other := s.aMeeting(1), s.aboveAll(), s.replica()
		for round := range 25 {
			if accepted, _ := m.answerAtOnce(other, above); len(accepted) > 1 {
				t.Logf("seen in round %d", round)
				return
			}
		}
		t.Error("25 rounds without the lock and never two answers: this test cannot see the race")
	}, skipLocks)
}

func TestOneMemberWritesFiveComplaintsADayHoweverManyAtOnce(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		p := s.phone(m.members[0])
		trial.Race(12, func(int) {
			if r, err := p.try(t.Context(), "POST", "/v1/complaints", body{"kind": "other", "text": "意见很多", "nonce": nonce()}); err != nil || r.Status != 200 && r.Status != 429 {
				t.Errorf("got %+v, %v", r, err)
			}
		})
		if n := s.count(&model.Complaint{}, "member_id = ?", m.members[0].ID); n != 5 {
			t.Errorf("%d complaints", n)
		}
		want(t, p.post("/v1/complaints", body{"kind": "other", "text": "还有一条", "nonce": nonce()}), 429, "too_many_complaints")
		s.Clock.Advance(25 * time.Hour)
		want(t, p.post("/v1/complaints", body{"kind": "other", "text": "还有一条", "nonce": nonce()}), 200, "ok")
	})
}

func TestAMemberIsCorrectedByWhoKeepsTheRosterAndSeesItAtOnce(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		p := m.members[0]
		path := "/v1/members/" + jsonText(p.ID)
		want(t, s.phone(p).get("/v1/home"), 200, "ok")
		want(t, s.phone(m.members[1]).put(path, body{"name": "丁改名", "status": "full_member"}), 404, "not_found")
		want(t, m.phone(m.secretary).put(path, body{"name": "丁", "status": "full_member"}), 400, "invalid_input")
		last := s.lastAudit()
		for range 2 {
			want(t, m.phone(m.secretary).put(path, body{"name": "丁改名", "status": "probationary_member", "leader": true}), 200, "ok")
		}
		if rows := s.entries("id > ? AND action = 'correct_member'", last); len(rows) != 1 || strings.Contains(rows[0].Details, "丁改名") {
			t.Errorf("the correction left %+v", rows)
		}
		if home := s.phone(p).get("/v1/home"); !strings.Contains(string(home.Body), "丁改名") {
			t.Errorf("the first screen says %s", home.Body)
		}
		var entry model.RosterEntry
		if err := s.DB.Take(&entry, "activity_id = ? AND member_id = ?", m.id, p.ID).Error; err != nil || entry.Votes {
			t.Errorf("a probationary member votes: %+v, %v", entry, err)
		}
	})
}

func TestK12_NobodyCanSearchForPeople(t *testing.T) {
	for id, op := range operations(t) {
		for _, word := range []string{"search", "query", "keyword", "/find"} {
			if strings.Contains(strings.ToLower(id+op.path), word) {
				t.Errorf("%s %s looks like a search: one for one or two characters must be refused to who runs a check-in", id, op.path)
			}
		}
	}
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		for _, path := range []string{"/v1/organisations/" + jsonText(m.branch.ID) + "/members", m.path(m.id, "/roster")} {
			for _, name := range []string{"q", "name", "search", "keyword"} {
				want(t, m.phone(m.secretary).get(path+"?"+name+"=%E5%85%9A"), 400, "invalid_input")
			}
		}
	})
}

func TestTheBurdenOfAMonthIsThatOfItsDaysInTheOrganisationsZone(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		branch, office := s.Branch("第一党支部"), s.Branch("机关党支部")
		above := s.Member(office, "上级督导员")
		s.Post(above, s.Agencies(), model.Supervisor)
		writer := s.Member(branch, "写信人")
		moved := s.Member(branch, "转走的")
		s.Move(moved, office, "2026-03-20")                                   // within the office's reach: one member all the same
		s.Member(branch, "四月初离开的", trial.Between("2020-01-01", "2026-04-01")) // not a day of April
		s.Member(branch, "四月底来的", trial.Between("2026-04-30", model.Forever))
		midnight := time.Date(2026, 4, 1, 0, 0, 0, 0, trial.Zone)
		for _, at := range []time.Time{midnight.Add(-time.Millisecond), midnight, midnight.AddDate(0, 1, 0).Add(-time.Millisecond)} {
			s.Clock.Set(at)
			s.SignIn(writer)
			want(t, s.phone(writer).post("/v1/complaints", body{"kind": "other", "text": "月底月初", "nonce": nonce()}), 200, "ok")
		}
		s.SignIn(above)
		for month, expect := range map[string][2]int{"2026-03": {4, 1}, "2026-04": {4, 2}, "2026-05": {4, 0}, "2019-12": {0, 0}} {
			report := as[struct {
				Members int
				Lines   []struct {
					Operation string
					Times     int
				}
			}](t, s.phone(above).get("/v1/burden?month="+month))
			times := -1
			for _, l := range report.Lines {
				if l.Operation == "complain" {
					times = l.Times
				}
			}
			if report.Members != expect[0] || times != expect[1] {
				t.Errorf("%s: %d members wrote %d, want %v", month, report.Members, times, expect)
			}
		}
		for _, month := range []string{"2026-00", "2026-13", "0000-01", "9999-12"} {
			want(t, s.phone(above).get("/v1/burden?month="+month), 400, "invalid_field")
		}
		want(t, s.phone(writer).get("/v1/burden?month=2026-03"), 403, "forbidden")
	})
}

func TestTheBurdenIsASumAndAnAverageAndNeverAList(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		above := s.Member(s.Branch("机关党支部"), "上级督导员")
		s.Post(above, s.Agencies(), model.Supervisor)
		code := m.code().Code
		want(t, m.scan(m.members[0], code, nonce()), 200, "ok")
		want(t, m.scan(m.members[1], code, nonce()), 200, "ok")
		want(t, m.tick(m.members[2], model.Present), 200, "ok")
		r := s.phone(above).get("/v1/burden?month=2026-03")
		report := as[struct {
			Members int
			Lines   []struct {
				Operation string
				Times     int
				PerMember float64 `json:"per_member"`
				Clause    string
			}
		}](t, r)
		if report.Members != 5 {
			t.Errorf("%d members, want 5", report.Members)
		}
		for _, l := range report.Lines {
			if l.Operation == "checkIn" && (l.Times != 2 || l.PerMember != 0.4 || l.Clause == "") {
				t.Errorf("two scanned and one was ticked: %+v", l)
			}
		}
		for _, p := range m.members {
			if strings.Contains(string(r.Body), p.Name) {
				t.Errorf("the burden names %s", p.Name)
			}
		}
		if page := s.phone(above).get("/v1/burden.html?month=2026-03"); page.Status != 200 || !strings.Contains(string(page.Body), "党员 5 人") {
			t.Errorf("the page: %s", page.Body)
		}
		if empty := s.phone(above).get("/v1/burden?month=2025-01"); !strings.Contains(string(empty.Body), `"times":0`) {
			t.Errorf("a month without anything: %s", empty.Body)
		}
		want(t, s.phone(above).get("/v1/burden?month=2026-13"), 400, "invalid_field")
	})
}
