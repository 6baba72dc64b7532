package api_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"dangri/api"
	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

// Table M: privacy and audit.

func (s *stage) entries(query string, args ...any) []model.AuditEntry {
	s.t.Helper()
	var rows []model.AuditEntry
	if err := s.DB.Order("id").Find(&rows, append([]any{query}, args...)...).Error; err != nil {
		s.t.Fatal(err)
	}
	return rows
}

func TestM10_SignInIsOnRecordWhetherItWorkedOrNotAndFromWhere(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		user := s.Stranger()
		want(t, s.nobody().post("/v1/sessions", body{"code": user.LoginCode()}), 200, "ok")
		for range 2 * 5 {
			want(t, s.nobody().post("/v1/sessions", body{"code": "nobodys-code"}), 409, "bad_login_code")
		}
		good, bad := s.entries("action = 'sign_in' AND result = 'ok'"), s.entries("action = 'sign_in' AND result = 'bad_login_code'")
		if len(good) != 1 || good[0].Address != "127.0.0.1" || good[0].AccountID == 0 {
			t.Errorf("a sign-in left %+v", good)
		}
		if len(bad) != 5 || bad[0].Address != "127.0.0.1" || bad[0].AccountID != 0 {
			t.Errorf("ten that failed left %+v, want the first five", bad)
		}
	})
}

func TestM10_WhoCannotShowWhichMemberTheyAreIsOnRecord(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		user := s.Stranger()
		p := s.signIn(user)
		for range 10 {
			want(t, p.post("/v1/me/binding", body{"phone_code": user.PhoneCode()}), 409, "phone_unknown")
		}
		rows := s.entries("action = 'bind'")
		if len(rows) != 5 {
			t.Fatalf("ten that failed left %+v, want the first five", rows)
		}
		for _, r := range rows {
			if r.Result != "phone_unknown" || r.Address != "127.0.0.1" || r.AccountID == 0 || r.MemberID != 0 || r.Details != "" {
				t.Errorf("got %+v", r)
			}
		}
	})
}

func TestM10_WhatPhonesSentOfOthersIsOnRecordAndOnesOwnScanIsItsOwnRecord(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(30)
		for _, p := range m.members[:2] {
			m.phone(p)
		}
		last := s.lastAudit()
		if got := one(t, m.offline(m.members[0], m.noted("code", m.code().Code))); !got.Accepted {
			t.Fatalf("got %+v", got)
		}
		want(t, m.scan(m.members[1], m.code().Code, nonce()), 200, "ok")
		if rows := s.entries("id > ?", last); len(rows) != 0 {
			t.Errorf("a crowd's check-ins left %+v", rows)
		}
		items := m.ticks()
		as[service.OfflineAnswers](t, m.offline(m.secretary, items...))
		as[service.OfflineAnswers](t, m.offline(m.secretary, items...))
		rows := s.entries("id > ?", last)
		if len(rows) != 2 || rows[0].Details != `{"recorded":23}` || rows[1].Details != `{"recorded":5}` || rows[0].Action != "record_offline" || rows[0].MemberID != m.secretary.ID {
			t.Errorf("28 ticks in two groups, and two of who was there, left %+v", rows)
		}
	})
}

func TestM10_EveryEntryOfARequestSaysFromWhere(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		last := s.lastAudit()
		want(t, m.phone(m.secretary).get("/v1/members/"+jsonText(m.members[0].ID)+"/phone"), 200, "ok")
		want(t, m.phone(m.secretary).get(m.path(m.id, "/sheet.xlsx")), 200, "ok")
		rows := s.entries("id > ?", last)
		if len(rows) != 2 {
			t.Fatalf("got %+v", rows)
		}
		for _, r := range rows {
			if r.Address != "127.0.0.1" {
				t.Errorf("%s came from %q", r.Action, r.Address)
			}
		}
	})
}

func TestM10_TheAddressIsWhatAProxyOfOursSaysAndNotWhatACallerWrites(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		look := func(proxies []string, header, address string) string {
			t.Helper()
			h, err := api.New(api.Config{Services: s.Services, Now: s.Clock.Now, Log: slog.New(slog.DiscardHandler), Stopping: stopped, TrustedProxies: proxies})
			if err != nil {
				t.Fatal(err)
			}
			last := s.lastAudit()
			r := httptest.NewRequest(http.MethodGet, "/v1/members/"+jsonText(m.members[0].ID)+"/phone", nil)
			r.RemoteAddr = "192.0.2.9:4711"
			r.Header.Set("Authorization", "Bearer "+s.Token(m.secretary))
			r.Header.Set(header, address)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			rows := s.entries("id > ?", last)
			if w.Code != http.StatusOK || len(rows) != 1 {
				t.Fatalf("%d %s left %+v", w.Code, w.Body, rows)
			}
			return rows[0].Address
		}
		for _, header := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "Cf-Connecting-Ip", "X-Appengine-Remote-Addr"} {
			for _, proxies := range [][]string{nil, {"10.0.0.0/8"}} {
				if got := look(proxies, header, "203.0.113.1"); got != "192.0.2.9" {
					t.Errorf("%s of a stranger is believed, proxies %v: %q", header, proxies, got)
				}
			}
		}
		if got := look([]string{"192.0.2.0/24"}, "X-Forwarded-For", "198.51.100.1, 203.0.113.1"); got != "203.0.113.1" { // what stands before it the caller wrote
			t.Errorf("behind a proxy of ours: %q", got)
		}
	})
}

func TestM13_WhatIsRefusedForLackOfRightIsOnRecordAndDoesNotFillIt(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		snoop := m.phone(m.members[0])
		path := "/v1/members/" + jsonText(m.members[1].ID) + "/phone"
		last := s.lastAudit()
		for range 40 {
			want(t, snoop.get(path), 404, "not_found")
		}
		want(t, snoop.get(m.path(m.id, "/roster")), 403, "not_conductor")
		want(t, snoop.post("/v1/check-ins", body{"code": "garbage", "nonce": nonce()}), 409, "code_invalid")
		want(t, snoop.get(m.path(m.id, "/board")), 403, "not_conductor")
		want(t, snoop.get(m.path(m.id, "/board/stream")), 403, "not_conductor")
		want(t, s.nobody().get(m.path(m.id, "/board")), 401, "sign_in_again")
		rows := s.entries("id > ? AND action = 'refused'", last)
		if len(rows) != 8 {
			t.Fatalf("43 refusals for lack of right and two others left %d entries, want 5 of the first operation and 1 of each other: %+v", len(rows), rows)
		}
		for i, r := range rows {
			operation, code := "revealPhone", "not_found"
			if i >= 5 {
				operation, code = []string{`"roster"`, `"board"`, `"boardStream"`}[i-5], "not_conductor"
			}
			if r.MemberID != m.members[0].ID || r.Result != code || !strings.Contains(r.Details, operation) || r.Address == "" {
				t.Errorf("entry %d: %+v", i, r)
			}
		}
	})
}

func TestM1_APhoneNumberWhereAnIDBelongsIsNotOnRecord(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		last := s.lastAudit()
		want(t, m.phone(m.members[0]).get("/v1/members/19900000001/phone"), 404, "not_found")
		want(t, m.phone(m.members[0]).get("/v1/members/1990000000100/phone"), 404, "not_found")
		rows := s.entries("id > ? AND action = 'refused'", last)
		if len(rows) != 2 || strings.Contains(rows[0].Details, "19900000001") || !strings.Contains(rows[0].Details, "/v1/members/199****0001/phone") {
			t.Errorf("on record: %+v", rows)
		}
		if len(rows) == 2 && !strings.Contains(rows[1].Details, "/v1/members/1990000000100/phone") {
			t.Errorf("an id that is no number to call is told as it was: %+v", rows[1])
		}
	})
}

func TestM11_TheServiceWorksByTheReplicasAccountAlone(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		db := s.AsReplica()
		r := *s
		r.url = listen(t, s.World, s.Replica(func(p *service.Parts) { p.DB, p.Settings.SealPeriod = db, 50*time.Millisecond }))
		m := r.aMeeting(3)
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 200, "ok")
		want(t, m.tick(m.members[1], model.Present), 200, "ok")
		want(t, m.phone(m.secretary).get("/v1/members/"+jsonText(m.members[0].ID)+"/phone"), 200, "ok")
		want(t, m.phone(m.members[0]).delete("/v1/sessions"), 200, "ok")
		sealed := func() bool {
			report, err := s.Audit.Verify(t.Context(), "")
			return err == nil && report.Waiting == 0 && len(report.Problems) == 0 && report.Entries > 3
		}
		trial.Eventually(t, "its own sealer seals", sealed)
		s.Clock.Advance(31 * time.Minute)
		want(t, m.phone(m.secretary).post(m.path(m.id, "/closing"), nil), 200, "ok")
		trial.Eventually(t, "its own sealer goes on", sealed)
	}, func(p *service.Parts) { p.Settings.SealPeriod = time.Hour })
}
