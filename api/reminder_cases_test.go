package api_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"dangri/api"
	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
	"dangri/wechat/sim"
)

var reminderTemplate = sim.TemplateID(sim.ActivityReminder)

// heard puts the use cases behind the router with the endpoint that WeChat
// reports to, and lets it report there.
func (s *stage) heard() {
	s.t.Helper()
	handler, err := api.New(api.Config{Services: s.Services, Now: s.Clock.Now, Log: s.Parts.Log, Pushes: s.Pushes(s.Services)})
	if err != nil {
		s.t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	s.Cleanup(server.Close)
	s.url = server.URL
	s.WeChat.PushTo(server.URL + api.PushPath)
}

func (m *meeting) consents(p *trial.Person) int64 {
	m.t.Helper()
	var n int64
	err := m.DB.Model(&model.Consent{}).Where("account_id = ? AND state = ?", m.Bind(p).ID, model.ConsentHeld).Count(&n).Error
	if err != nil {
		m.t.Fatal(err)
	}
	return n
}

// sendDue lets the senders look once.
func (m *meeting) sendDue() {
	m.t.Helper()
	m.Heard()
	if err := m.Reminders.Send(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
	m.Heard()
}

func TestI1_FromTheTapToThePhoneOverHTTP(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		s.heard()
		start := s.Clock.Now().Add(25 * time.Hour)
		m := s.aMeeting(3, "starts_at", start, "ends_at", start.Add(2*time.Hour))
		p := m.members[0]
		ask := as[service.SubscriptionRequests](t, m.phone(p).get("/v1/subscription-requests?purpose=activity"))
		if len(ask.TemplateIDs) != 2 {
			t.Fatalf("asks for %v", ask.TemplateIDs)
		}
		answer := p.User.Accept(ask.TemplateIDs...)
		results := []body{}
		for id, result := range answer.Results {
			results = append(results, body{"template_id": id, "result": result})
		}
		told := body{"nonce": nonce(), "activity_id": m.id, "results": results}
		m.Heard()
		ledger := as[service.ConsentLedger](t, m.phone(p).post("/v1/consents", told))
		if ledger.Items[0].Held != 1 || m.consents(p) != 2 {
			t.Errorf("one tap for two templates counts as %d: %+v", m.consents(p), ledger)
		}
		want(t, m.phone(p).post("/v1/consents", told), 200, "ok")
		forecast := as[service.ReachForecast](t, m.phone(m.secretary).get(m.path(m.id, "/reach")))
		if forecast.Expected != 4 || forecast.Reachable != 1 || forecast.ToPhone != 3 {
			t.Errorf("got %+v", forecast)
		}
		s.Clock.Advance(time.Hour)
		m.sendDue()
		if got := p.User.Messages(); len(got) != 1 || got[0].Title != sim.ActivityReminder {
			t.Errorf("on the phone: %+v", got)
		}
		report := as[service.ReminderReport](t, m.phone(m.secretary).get(m.path(m.id, "/reminders?limit=5")))
		if len(report.Lines) != 5 || report.Next == "" || report.Kinds[0].Sent != 1 || report.Kinds[0].Waiting != 3 {
			t.Errorf("got %+v", report)
		}
		rest := as[service.ReminderReport](t, m.phone(m.secretary).get(m.path(m.id, "/reminders?cursor="+report.Next)))
		if len(rest.Lines) != 4*3+1-5 {
			t.Errorf("the second page has %d lines", len(rest.Lines))
		}
		calls := as[service.CallList](t, m.phone(m.secretary).get(m.path(m.id, "/calls")))
		if calls.Total != 3 || calls.Items[0].Phone == "" {
			t.Errorf("got %+v", calls)
		}
		page := m.phone(m.secretary).get(m.path(m.id, "/calls.html"))
		want(t, page, 200, "ok")
		if !strings.Contains(string(page.Body), calls.Items[0].Phone) || !strings.Contains(string(page.Body), "没有订阅提醒") {
			t.Errorf("the page: %s", page.Body)
		}
		for _, path := range []string{"/reach", "/reminders", "/calls", "/calls.html"} {
			want(t, m.phone(p).get(m.path(m.id, path)), 403, "not_conductor")
		}
	})
}

func TestI19_APushThatDoesNotProveItselfIsRefusedAndChangesNothing(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		s.heard()
		m := s.aMeeting(1)
		p := m.members[0]
		m.Bind(p)
		for _, forgery := range s.WeChat.Forgeries() {
			before := m.consents(p)
			status, err := s.WeChat.Forge(t.Context(), forgery, p.User.OpenID, reminderTemplate)
			if err != nil || status < 400 {
				t.Errorf("%s: %d, %v", forgery, status, err)
			}
			grown := m.consents(p) - before
			if forgery == sim.Replay { // of which the first was good
				grown--
			}
			if grown != 0 {
				t.Errorf("%s raised the ledger by %d", forgery, grown)
			}
		}
		want(t, s.nobody().post(api.PushPath, body{"Event": "subscribe_msg_popup_event"}), 403, "")
		if s.nobody().get(api.PushPath).Status != 403 {
			t.Error("the endpoint answers who proves nothing")
		}
	})
}

func TestWithoutATokenThereIsNoPushEndpoint(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		if r := s.nobody().post(api.PushPath, nil); r.Status != 404 {
			t.Errorf("got %d", r.Status)
		}
	})
}
