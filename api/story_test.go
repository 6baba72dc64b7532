package api_test

import (
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

func TestA1_AMeetingFromPublishingToTheSheet(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(30)
		if b := m.board(); b.Tally.Expected != 31 || b.Tally.Present != 0 {
			t.Fatalf("board before anybody came: %+v", b)
		}
		code := m.code()
		for i, p := range m.members[:20] {
			want(t, m.scan(p, code.Code, nonce()), 200, "ok")
			if got := m.board().Tally.Present; got != i+1 {
				t.Fatalf("after %d arrivals the board says %d", i+1, got)
			}
		}
		want(t, m.phone(m.members[20]).post("/v1/check-ins", body{"digits": code.Digits, "activity_id": m.id, "nonce": nonce()}), 200, "ok")
		want(t, m.phone(m.secretary).post(m.path(m.id, "/attendances"), body{"member_id": m.members[21].ID, "status": "present", "nonce": nonce()}), 200, "ok")
		want(t, m.phone(m.secretary).post(m.path(m.id, "/attendances"), body{"member_id": m.members[22].ID, "status": "sick_leave", "reason": "感冒", "nonce": nonce()}), 200, "ok")
		own := as[service.MemberCode](t, m.phone(m.members[23]).get("/v1/me/code"))
		want(t, m.phone(m.secretary).post(m.path(m.id, "/attendances"), body{"member_code": own.Code, "status": "present", "nonce": nonce()}), 200, "ok")
		want(t, m.phone(m.secretary).post(m.path(m.id, "/closing"), nil), 409, "not_started")
		s.Clock.Advance(40 * time.Minute)
		late := m.scan(m.members[24], m.code().Code, nonce())
		if in := as[service.CheckedIn](t, late); !in.Late {
			t.Errorf("who came ten minutes late is not late: %s", late.Body)
		}
		closed := as[service.Closing](t, m.phone(m.secretary).post(m.path(m.id, "/closing"), nil))
		if c := closed.Tally; c.Expected != 31 || c.Present != 24 || c.Late != 1 || c.OnLeave != 1 || c.Absent != 6 || c.Awaited != 0 {
			t.Errorf("closed with %+v", c)
		}
		want(t, m.scan(m.members[29], code.Code, nonce()), 409, "closed")
		sheet := as[service.Sheet](t, m.phone(m.secretary).get(m.path(m.id, "/sheet")))
		if len(sheet.Lines) != 31 {
			t.Errorf("the sheet has %d lines", len(sheet.Lines))
		}
		for _, path := range []string{"/sheet.xlsx", "/sheet.html", "/roster"} {
			want(t, m.phone(m.secretary).get(m.path(m.id, path)), 200, "ok")
		}
		want(t, m.phone(m.members[0]).get("/v1/home"), 200, "ok")
		want(t, m.phone(m.members[0]).get("/v1/activities"), 200, "ok")
		page := as[service.ActivityPage](t, m.phone(m.secretary).get("/v1/activities?scope=work"))
		if len(page.Items) != 1 || page.Items[0].Status != model.Closed {
			t.Errorf("the secretary's list: %+v", page)
		}
	})
}

func TestACheckInCostsThreeRoundTripsAndAWarmBoardOne(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		code := m.code().Code
		s.Warm(func() { m.scan(m.members[0], "garbage", nonce()) })
		trips := s.Trips(func() { want(t, m.scan(m.members[0], code, nonce()), 200, "ok") })
		// The fourth, which tells the other replicas to count anew, is made
		// after the answer.
		if len(trips.SQL) != 2 || len(trips.Redis) > 2 || trips.Redis[0] != "get" {
			t.Errorf("a check-in took %s", trips)
		}
		trial.Eventually(t, "a warm board costs one round trip to Redis", func() bool {
			trips = s.Trips(func() { m.board() })
			return len(trips.SQL) == 0 && len(trips.Redis) == 1
		})
	})
}
