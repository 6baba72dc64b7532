package api_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"dangri/api"
	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

func TestMain(m *testing.M) {
	// Each test makes a router of its own, and all of that is garbage soon.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(1 << 30)
	trial.Main(m)
}

// stage is a World behind the real router on a real port.
type stage struct {
	*trial.World
	t      *testing.T
	url    string
	client *http.Client // nil: a good network
}

// eachStage runs a test over HTTP, once on the embedded stores and once on
// MySQL and Redis.
func eachStage(t *testing.T, test func(t *testing.T, s *stage), options ...trial.Option) {
	t.Helper()
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		test(t, &stage{World: w, t: t, url: listen(t, w, w.Services)})
	}, options...)
}

// onServer is eachStage on MySQL and Redis alone, for the controls of races:
// SQLite lets writers through one by one and so hides what they must show.
func onServer(t *testing.T, test func(t *testing.T, s *stage), options ...trial.Option) {
	t.Helper()
	t.Parallel()
	w := trial.New(t, trial.MySQL, options...)
	test(t, &stage{World: w, t: t, url: listen(t, w, w.Services)})
}

// listen puts use cases behind the real router and the real server.
func listen(t *testing.T, w *trial.World, s *service.Services) string {
	t.Helper()
	log := slog.New(slog.NewJSONHandler(w.Log, nil))
	server := httptest.NewUnstartedServer(nil)
	stopping := make(chan struct{})
	server.Config = api.NewServer(handler(t, w, s, stopping), log)
	server.Start()
	w.Cleanup(func() {
		close(stopping)
		server.Close()
	})
	return server.URL
}

// stopped is the sign that no stream is to go on.
var stopped = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// handler is the real router over use cases.
func handler(t *testing.T, w *trial.World, s *service.Services, stopping <-chan struct{}) http.Handler {
	t.Helper()
	h, err := api.New(api.Config{Services: s, Now: w.Clock.Now, Log: slog.New(slog.NewJSONHandler(w.Log, nil)), Stopping: stopping})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// replica is one more process over the same stores.
func (s *stage) replica() *stage {
	r := *s
	r.url = listen(s.t, s.World, s.Replica())
	return &r
}

// phone is one person's phone: it sends what the mini-program would.
type phone struct {
	s     *stage
	token string
}

// phone is the phone of a member who has signed in and is bound.
func (s *stage) phone(p *trial.Person) *phone { return &phone{s, s.Token(p)} }

// nobody is a client without a session.
func (s *stage) nobody() *phone { return &phone{s: s} }

// reply is an answer as the client sees it.
type reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// code is the machine code of the answer, "ok" of a success without one.
func (r *reply) code() string {
	var b struct{ Code string }
	_ = json.Unmarshal(r.Body, &b)
	if b.Code == "" && r.Status < 300 {
		return "ok"
	}
	return b.Code
}

// as reads the answer's JSON.
func as[T any](t *testing.T, r *reply) T {
	t.Helper()
	var v T
	if r.Status >= 300 {
		t.Fatalf("status %d: %s", r.Status, r.Body)
	}
	if err := json.Unmarshal(r.Body, &v); err != nil {
		t.Fatalf("%v in %s", err, r.Body)
	}
	return v
}

// do sends a request; body is JSON text, or a value to be written as JSON, or
// nil. Headers are pairs of name and value.
func (p *phone) do(method, path string, body any, headers ...string) *reply {
	p.s.t.Helper()
	r, err := p.try(p.s.t.Context(), method, path, body, headers...)
	if err != nil {
		p.s.t.Fatal(err)
	}
	return r
}

func (p *phone) try(ctx context.Context, method, path string, body any, headers ...string) (*reply, error) {
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	case []byte:
		reader = bytes.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(raw)
	}
	request, err := http.NewRequestWithContext(ctx, method, p.s.url+path, reader)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if p.token != "" {
		request.Header.Set("Authorization", "Bearer "+p.token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := cmp.Or(p.s.client, http.DefaultClient).Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") { // which goes on: the first event is the answer
		first, err := readEvent(bufio.NewReader(response.Body))
		return &reply{response.StatusCode, response.Header, []byte(first.name + " " + first.data)}, err
	}
	content, err := io.ReadAll(response.Body)
	if told := told(response.StatusCode, content); told != "" {
		p.s.t.Errorf("%s %s is refused with %s in %s", method, path, told, content)
	}
	return &reply{response.StatusCode, response.Header, content}, err
}

var personal = regexp.MustCompile(`(?:^|[^0-9A-Za-z_-])(1[3-9][0-9]{9}|o[0-9A-Za-z_-]{27}|[0-9A-Za-z_-]{43})(?:$|[^0-9A-Za-z_-])`)

// told is what a refusal or fault holds that none may: a phone number, the
// openid of a WeChat or a token. Whatever a test of this package is answered is
// searched for it.
func told(status int, content []byte) string {
	if status < 400 {
		return ""
	}
	if found := personal.FindSubmatch(content); found != nil {
		return string(found[1])
	}
	return ""
}

func TestM1_WhatARefusalMayNotTellIsFound(t *testing.T) {
	s := oneStage(t)
	m := s.aMeeting(1)
	who := m.members[0]
	for _, secret := range []string{who.Phone, who.User.OpenID, s.Token(who)} {
		text := []byte(jsonText(body{"code": "forbidden", "details": body{"first": secret, "at": s.Clock.Now()}}))
		if told(403, text) != secret || told(200, text) != "" {
			t.Errorf("%s in %s: %q", secret, text, told(403, text))
		}
	}
}

func (p *phone) get(path string) *reply            { p.s.t.Helper(); return p.do("GET", path, nil) }
func (p *phone) post(path string, body any) *reply { p.s.t.Helper(); return p.do("POST", path, body) }
func (p *phone) put(path string, body any) *reply  { p.s.t.Helper(); return p.do("PUT", path, body) }
func (p *phone) delete(path string) *reply         { p.s.t.Helper(); return p.do("DELETE", path, nil) }

// nonce is a new one, as a phone makes for each thing it wants done.
func nonce() string { return rand.Text()[:20] }

// body is a JSON object.
type body map[string]any

// with is the body with some fields set.
func (b body) with(pairs ...any) body {
	out := body{}
	for k, v := range b {
		out[k] = v
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		out[pairs[i].(string)] = pairs[i+1]
	}
	return out
}

// meeting is a branch with a secretary, members and a published activity that
// starts in half an hour, whose check-in opens now.
type meeting struct {
	*stage
	branch    model.Organisation
	secretary *trial.Person
	members   []*trial.Person
	id        uint64
}

// aMeeting publishes a 主题党日 of a branch with n members and a secretary.
func (s *stage) aMeeting(n int, change ...any) *meeting {
	s.t.Helper()
	m := &meeting{stage: s, branch: s.Branch("第一党支部")}
	m.secretary = s.Member(m.branch, "沈书记")
	s.Post(m.secretary, m.branch, model.Secretary)
	m.members = s.Members(m.branch, n)
	m.id = m.publish(m.branch, change...)
	return m
}

// draft is a valid 主题党日 of the organisation.
func (s *stage) draft(organisation model.Organisation) body {
	start := s.Clock.Now().Add(30 * time.Minute)
	return body{"organisation_id": organisation.ID, "nonce": nonce(), "kind": "theme_party_day", "title": "七月主题党日",
		"content": "学习与志愿服务", "place": body{"name": "三楼会议室"}, "starts_at": start, "ends_at": start.Add(2 * time.Hour),
		"open_early_minutes": 30, "late_after_minutes": 5, "credit_hours": 2}
}

// publish drafts and publishes an activity as the secretary.
func (m *meeting) publish(organisation model.Organisation, change ...any) uint64 {
	m.t.Helper()
	p := m.phone(m.secretary)
	a := as[model.Activity](m.t, p.post("/v1/activities", m.draft(organisation).with(change...)))
	m.touch(m.secretary)
	as[model.Activity](m.t, p.post(m.path(a.ID, "/publication"), nil))
	return a.ID
}

// touch is the person using the mini-program, which WeChat's content check asks for.
func (s *stage) touch(p *trial.Person) { p.User.Touch() }

func (m *meeting) path(id uint64, rest string) string {
	return "/v1/activities/" + jsonText(id) + rest
}

func jsonText(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// code is what the screen shows now.
func (m *meeting) code() service.ScreenCode {
	m.t.Helper()
	return as[service.ScreenCode](m.t, m.phone(m.secretary).get(m.path(m.id, "/check-in-code")))
}

// scan is a member scanning the screen.
func (m *meeting) scan(p *trial.Person, code, nonce string) *reply {
	m.t.Helper()
	return m.phone(p).post("/v1/check-ins", body{"code": code, "nonce": nonce})
}

// board is the counts as the secretary sees them.
func (m *meeting) board() service.Board {
	m.t.Helper()
	return as[service.Board](m.t, m.phone(m.secretary).get(m.path(m.id, "/board")))
}

// rows is how many attendance rows a member has.
func (m *meeting) rows(p *trial.Person) int64 {
	m.t.Helper()
	var n int64
	if err := m.DB.Model(&model.Attendance{}).Where("activity_id = ? AND member_id = ?", m.id, p.ID).Count(&n).Error; err != nil {
		m.t.Fatal(err)
	}
	return n
}

// want fails unless the answer has the status and the code.
func want(t *testing.T, r *reply, status int, code string) {
	t.Helper()
	if r.Status != status || r.code() != code {
		t.Errorf("got %d %s, want %d %s: %s", r.Status, r.code(), status, code, r.Body)
	}
}
