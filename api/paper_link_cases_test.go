package api_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

// link is the pass of a person for a paper.
func (m *meeting) link(p *trial.Person, path string) string {
	m.t.Helper()
	out := as[service.PaperLink](m.t, m.phone(p).post("/v1/paper-links", body{"path": path}))
	address, fragment, _ := strings.Cut(out.URL, "#")
	pass, of, _ := strings.Cut(fragment, "@")
	if !strings.HasSuffix(address, "/paper") || of != path || out.EndsAt.After(m.Clock.Now().Add(10*time.Minute)) || !out.EndsAt.After(m.Clock.Now().Add(10*time.Minute-time.Second)) {
		m.t.Fatalf("the paper is at %+v", out)
	}
	return pass
}

// opens is what a computer is answered with the pass.
func (s *stage) opens(pass, path string) *reply {
	s.t.Helper()
	return s.nobody().do("GET", path, nil, "Paper-Pass", pass)
}

func TestAComputerOpensOnePaperAsItsMakerSeesIt(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 200, "ok")
		for _, path := range []string{m.path(m.id, "/sheet.html"), m.path(m.id, "/sheet.xlsx"), m.path(m.id, "/sheet.html?branch_id="+jsonText(m.branch.ID)), "/v1/members/" + jsonText(m.members[0].ID) + "/attendance-record.html?from=2026-01-01"} {
			pass := m.link(m.secretary, path)
			phone, computer := m.phone(m.secretary).get(path), s.opens(pass, path)
			if computer.Status != phone.Status || computer.Header.Get("Content-Type") != phone.Header.Get("Content-Type") ||
				strings.HasSuffix(path, ".html") && !bytes.Equal(computer.Body, phone.Body) {
				t.Errorf("%s: %d on the phone, %d on the computer", path, phone.Status, computer.Status)
			}
			want(t, s.replica().opens(pass, path), phone.Status, phone.code())
			if strings.Contains(s.Log.String(), pass) {
				t.Error("the pass is in the log")
			}
		}
		if n := s.audited("link_paper", "session", m.sessionOf(m.secretary)); n != 4 {
			t.Errorf("%d entries in the audit", n)
		}
	})
}

func TestAPassForAPaperOpensNothingElseAndDiesWithItsMakersSession(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		other := m.publish(m.branch)
		path := m.path(m.id, "/sheet.html")
		pass := m.link(m.secretary, path)
		for _, elsewhere := range []string{m.path(other, "/sheet.html"), path + "?branch_id=1", path + "?", m.path(m.id, "/sheet.xlsx")} {
			want(t, s.opens(pass, elsewhere), 401, "paper_link")
		}
		for _, noPaper := range []string{m.path(m.id, "/roster"), m.path(m.id, "/board"), "/v1/home", "/v1/me/data"} {
			want(t, s.opens(pass, noPaper), 401, "sign_in_again")
		}
		for i := range pass { // each character counts
			flipped := pass[:i] + map[bool]string{true: "b", false: "a"}[pass[i] == 'a'] + pass[i+1:]
			want(t, s.opens(flipped, path), 401, "paper_link")
		}
		for _, foreign := range []string{m.screen(), m.code().Code, "x", strings.Repeat("a.", 40), ".", "..."} {
			want(t, s.opens(foreign, path), 401, "paper_link")
		}
		want(t, s.nobody().do("GET", path, nil, "Authorization", "Bearer "+pass), 401, "sign_in_again")
		want(t, s.nobody().do("POST", "/v1/check-ins", body{"code": m.code().Code, "nonce": nonce()}, "Paper-Pass", pass), 401, "sign_in_again")
		for _, bad := range []string{"/v1/home", "//evil.example/v1/x.html", "/v1/../docs/x.html", "/v1/a.html?next=//evil", "/v1/a.html#x", "/docs", "", "/v1/Zhang-13800000000.html", "/v1/members/张.html", "/v1/activities/1/sheet.html?a=b&c=%2f"} {
			want(t, m.phone(m.secretary).post("/v1/paper-links", body{"path": bad}), 400, "invalid_input")
		}

		// The rights are those of the moment, and somebody else's paper stays theirs.
		member := m.link(m.members[0], path)
		want(t, s.opens(member, path), m.phone(m.members[0]).get(path).Status, m.phone(m.members[0]).get(path).code())
		s.Clock.Advance(10*time.Minute - time.Second)
		if r := s.opens(pass, path); r.Status != 200 {
			t.Errorf("up to ten minutes: %d", r.Status)
		}
		s.Clock.Advance(time.Second)
		want(t, s.opens(pass, path), 401, "paper_link")

		again := m.link(m.secretary, path)
		if r := s.opens(again, path); r.Status != 200 {
			t.Errorf("a new one: %d", r.Status)
		}
		want(t, m.phone(m.secretary).delete("/v1/sessions/current"), 200, "ok")
		want(t, s.opens(again, path), 401, "paper_link")
	})
}

func TestThePageThatOpensPapersLoadsNothingFromElsewhere(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		r := s.nobody().get("/paper")
		if r.Status != 200 || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%d %v", r.Status, r.Header)
		}
		if !strings.Contains(string(r.Body), `new RegExp("^/v1/(`) {
			t.Error("the page does not know what the address of a paper looks like")
		}
		for _, from := range []string{"https://", "src=", "@import", "innerHTML", "localStorage"} {
			if strings.Contains(string(r.Body), from) {
				t.Errorf("the page has %s", from)
			}
		}
	})
}

// sessionOf is the session that the person's phone has.
func (m *meeting) sessionOf(p *trial.Person) uint64 {
	m.t.Helper()
	var session model.Session
	if err := m.DB.Joins("JOIN accounts a ON a.id = sessions.account_id").Where("a.member_id = ?", p.ID).Order("sessions.id DESC").Take(&session).Error; err != nil {
		m.t.Fatal(err)
	}
	return session.ID
}
