package api_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/gin-gonic/gin"
	"github.com/xuri/excelize/v2"
	"gorm.io/gorm"

	"dangri/api"
	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

// Table L: hostile input.

// oneStage is a stage on the embedded stores, for what no store decides.
func oneStage(t *testing.T, options ...trial.Option) *stage {
	t.Helper()
	w := trial.New(t, trial.SQLite, options...)
	return &stage{World: w, t: t, url: listen(t, w, w.Services)}
}

// wire is a connection on which a test says what no proper client would.
type wire struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func (s *stage) dial() *wire {
	s.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return &wire{c, s.t, bufio.NewReader(c)}
}

func (w *wire) say(text string) *wire {
	w.t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		w.t.Fatal(err)
	}
	return w
}

// hear is the next answer on the wire.
func (w *wire) hear() *reply {
	w.t.Helper()
	r, err := w.next()
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *wire) next() (*reply, error) {
	response, err := http.ReadResponse(w.r, nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return &reply{response.StatusCode, response.Header, content}, err
}

// closed says whether the server has ended the connection, waiting for it.
func (w *wire) closed() bool {
	_, err := io.Copy(io.Discard, w.r)
	var network net.Error
	return err == nil || !errors.As(err, &network) || !network.Timeout()
}

// flood sends a request whose body is size bytes long, or chunked without a
// length, until an answer comes, and says how much of it the server took.
func (s *stage) flood(line, token string, size int, chunked bool) (r *reply, taken int64) {
	s.t.Helper()
	w := s.dial()
	length := fmt.Sprintf("Content-Length: %d", size)
	if chunked {
		length = "Transfer-Encoding: chunked"
	}
	w.say(line + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\nContent-Type: application/json\r\n" + length + "\r\n\r\n")
	block := bytes.Repeat([]byte("x"), 32<<10)
	if chunked {
		block = fmt.Appendf(nil, "%x\r\n%s\r\n", len(block), block)
	}
	var sent atomic.Int64
	var writing sync.WaitGroup
	writing.Go(func() {
		for sent.Load() < int64(size) {
			n, err := w.Write(block)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	r = w.hear()
	taken = sent.Load()
	_ = w.Close()
	writing.Wait()
	return r, taken
}

func TestL1_ABodyOf64MiBIsRefusedAtTheLimitAndNotKept(t *testing.T) {
	s := oneStage(t) // alone, since it measures
	m := s.aMeeting(1)
	secretary := s.Token(m.secretary)
	roster := fmt.Sprintf("POST /v1/organisations/%d/roster-imports", m.branch.ID)
	const size = 64 << 20
	const sockets = 12 << 20 // what the kernel holds on the way
	for name, c := range map[string]struct {
		line, token string
		status      int
		code        string
		limit       int64
	}{
		"a short input":         {"POST /v1/sessions", "", 413, "too_large", 64 << 10},
		"a member's input":      {"POST /v1/check-ins", secretary, 413, "too_large", 64 << 10},
		"a file":                {roster, secretary, 413, "too_large", 9 << 20},
		"a file of nobody":      {roster, "", 401, "sign_in_again", 0},
		"where no body belongs": {"GET /v1/home", secretary, 413, "too_large", 64 << 10},
		"where nothing is":      {"POST /v1/nothing", "", 404, "not_found", 256 << 10},
	} {
		for _, chunked := range []bool{false, true} {
			before := allocated()
			r, taken := s.flood(c.line, c.token, size, chunked)
			kept := allocated() - before
			want(t, r, c.status, c.code)
			if taken > c.limit+sockets {
				t.Errorf("%s, chunked %v: %d bytes were taken", name, chunked, taken)
			}
			// What grows by doubling allocates a few times what it holds.
			if kept > 6*uint64(c.limit)+8<<20 {
				t.Errorf("%s, chunked %v: %d bytes were allocated", name, chunked, kept)
			}
		}
	}
	before := allocated()
	_ = strings.Repeat("x", size)
	if allocated()-before < size {
		t.Error("64 MiB that were kept are not seen")
	}
}

// allocated is how much memory was ever asked for.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestL1_ABodyUpToTheLimitIsTaken(t *testing.T) {
	t.Parallel()
	s := oneStage(t)
	fill := func(n int) string { // a valid request of so many bytes
		return `{"code":"x"` + strings.Repeat(" ", n-len(`{"code":"x"}`)) + `}`
	}
	want(t, s.nobody().post("/v1/sessions", fill(64<<10)), 409, "bad_login_code")
	want(t, s.nobody().post("/v1/sessions", fill(64<<10+1)), 413, "too_large")
}

func TestL3_JSONThatCouldBeReadInTwoWaysIsRefused(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		p, code := m.phone(m.members[0]), m.code().Code
		good := func(more string) string { return `{"code":"` + code + `","nonce":"hostile-0001"` + more + `}` }
		deep := func(n int) string { return strings.Repeat(`[`, n) + strings.Repeat(`]`, n) }
		for name, text := range map[string]string{
			"a key twice":                  good(`,"nonce":"hostile-0002"`),
			"a key twice, once escaped":    good(`,"\u006eonce":"hostile-0002"`),
			"a key twice within an object": good(`,"location":{"latitude":1,"latitude":2,"longitude":3}`),
			"a second object":              good("") + good(""),
			"a second value":               good("") + "1",
			"text behind":                  good("") + "x",
			"another letter case":          strings.Replace(good(""), "nonce", "Nonce", 1),
			"another letter case as well":  good(`,"NONCE":"hostile-0002"`),
			"an unknown field":             good(`,"role":"administrator"`),
			"an unknown field, nested":     good(`,"location":{"latitude":1,"longitude":2,"altitude":3}`),
			"a field of the answer":        good(`,"member_id":1`),
			"null for a text":              `{"code":"` + code + `","nonce":null}`,
			"depth 33":                     good(`,"location":` + deep(33)),
			"depth 30,000":                 good(`,"location":` + deep(30000)),
			"depth without an end":         strings.Repeat(`{"a":`, 12000),
			"a list":                       "[" + good("") + "]",
			"a text":                       `"x"`,
			"null":                         "null",
			"nothing":                      "",
			"blanks":                       "   \n",
			"a byte order mark":            "\ufeff" + good(""),
			"UTF-16":                       "\xff\xfe{\x00}\x00",
			"single quotes":                strings.ReplaceAll(good(""), `"`, `'`),
			"a comment":                    good("/* x */"),
			"a comma behind":               good(","),
			"a number that is none":        good(`,"activity_id":NaN`),
			"a number with a zero ahead":   good(`,"activity_id":01`),
			"a hexadecimal number":         good(`,"activity_id":0x1`),
			"a fraction of an id":          good(`,"activity_id":1.5`),
			"a negative id":                good(`,"activity_id":-1`),
			"an id beyond what is exact":   good(`,"activity_id":9007199254740993`),
			"an id beyond 63 bit":          good(`,"activity_id":18446744073709551615`),
			"an id beyond all":             good(`,"activity_id":1e400`),
		} {
			r := p.post("/v1/check-ins", text)
			if r.Status != 400 || r.code() != "invalid_input" {
				t.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
			checkProblem(t, r)
		}
		if m.rows(m.members[0]) != 0 {
			t.Error("a refused request left a row")
		}
		want(t, p.post("/v1/check-ins", good("")), 200, "ok") // but for these, it is a good one
	})
}

// checkProblem fails unless a refusal is one of ours: problem+json in Chinese
// that echoes nothing.
func checkProblem(t *testing.T, r *reply) {
	t.Helper()
	var p struct {
		Status              int
		Code, Title, Detail string
		Errors              []struct{ Location, Message string }
	}
	if err := json.Unmarshal(r.Body, &p); err != nil {
		t.Errorf("%v in %s", err, r.Body)
		return
	}
	if r.Header.Get("Content-Type") != "application/problem+json" || p.Status != r.Status || p.Code == "" || p.Title == "" || !chinese(p.Detail) {
		t.Errorf("%s: %s", r.Header.Get("Content-Type"), r.Body)
	}
	for _, e := range p.Errors {
		if !chinese(e.Message) || e.Location == "" {
			t.Errorf("%q: %q", e.Location, e.Message)
		}
	}
}

func chinese(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Han, r) })
}

func TestL3_ARefusalEchoesNothing(t *testing.T) {
	t.Parallel()
	s := oneStage(t)
	m := s.aMeeting(1)
	p := m.phone(m.secretary)
	const canary = "xss4711"
	draft := m.draft(m.branch)
	for name, r := range map[string]*reply{
		"an unknown field":          p.post("/v1/activities", draft.with(canary, 1)),
		"an unknown field, nested":  p.post("/v1/activities", draft.with("place", body{"name": "三楼", canary + ".a": 1})),
		"a field twice":             p.post("/v1/activities", `{"`+canary+`":1,"`+canary+`":2}`),
		"a value of an enumeration": p.post("/v1/activities", draft.with("kind", canary)),
		"a time":                    p.post("/v1/activities", draft.with("starts_at", canary)),
		"another type":              p.post("/v1/activities", draft.with("credit_hours", canary)),
		"a text that is no JSON":    p.post("/v1/activities", canary),
		"a nonce":                   p.post("/v1/activities", draft.with("nonce", canary+"!")),
		"an unknown parameter":      p.get("/v1/activities?" + canary + "=1"),
		"a parameter twice":         p.get("/v1/activities?" + canary + "=1&" + canary + "=2"),
		"a cursor":                  p.get("/v1/activities?cursor=" + canary),
		"a number":                  p.get("/v1/activities?limit=" + canary),
		"a scope":                   p.get("/v1/activities?scope=" + canary),
		"a path":                    p.get("/v1/activities/" + canary),
		"an unknown path":           p.get("/v1/" + canary),
		"a key":                     p.do("POST", "/v1/activities", draft, "Idempotency-Key", canary+"!"),
		"a media type":              p.do("POST", "/v1/activities", draft, "Content-Type", "text/"+canary),
		"a form":                    p.do("POST", m.imports(), "--"+canary, "Content-Type", "multipart/form-data; boundary="+canary),
		"a method":                  p.do(strings.ToUpper(canary), "/v1/activities", nil),
		"a token":                   (&phone{s, canary + canary + canary + canary}).get("/v1/home"),
	} {
		if r.Status < 400 || r.Status >= 500 {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
		checkProblem(t, r)
		if bytes.Contains(bytes.ToLower(r.Body), []byte(canary)) {
			t.Errorf("%s: %s", name, r.Body)
		}
	}
}

// imports is where the roster of the branch is imported.
func (m *meeting) imports() string {
	return fmt.Sprintf("/v1/organisations/%d/roster-imports", m.branch.ID)
}

// Names and texts with what is not meant to be seen. What is kept is what is
// answered, and neither holds anything of it.
func TestL4_WhatIsKeptOfATextIsWhatIsAnswered(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		p := m.phone(m.secretary)
		for sent, kept := range map[string]string{
			"七\x00月主题党日":                               "七月主题党日",
			"七月\u202e主题\u202c党日":                       "七月主题党日",
			"\ufeff七\u200b月\u200d主\u2060题党日\u00ad":     "七月主题党日",
			"七月\ufffd主题\x1b[31m党日\x7f\u0085":           "七月主题[31m党日",
			"七月\u115f主题\u3164党日\uffa0":                 "七月主题党日",
			"  七月\t主题\r\n党日\u2028上\u3000午 ":            "七月 主题 党日 上 午",
			"\u0301七月主题党日":                             "七月主题党日",
			"七月" + strings.Repeat("\u0301", 50) + "主题": "七月" + strings.Repeat("\u0301", 4) + "主题",
			"Nguyễn 的 café 与 👍🏽":                       "Nguyễn 的 café 与 👍🏽",
			"\U000e0041七月主题党日":                         "七月主题党日",
		} {
			draft := m.draft(m.branch).with("title", sent, "content", sent+"\n"+sent, "place", body{"name": sent})
			a := as[model.Activity](t, p.post("/v1/activities", draft))
			m.id = a.ID
			var row model.Activity
			if err := s.DB.Take(&row, a.ID).Error; err != nil {
				t.Fatal(err)
			}
			shown := m.show()
			for where, text := range map[string]string{"answered": a.Title, "kept": row.Title, "shown": shown.Title,
				"answered place": a.Place.Name, "kept place": row.Place.Name, "shown place": shown.Place.Name} {
				if text != kept {
					t.Errorf("%q is %s as %q, want %q", sent, where, text, kept)
				}
			}
			if a.Content != row.Content || a.Content != shown.Content || strings.ContainsFunc(a.Content, hidden) {
				t.Errorf("content %+q: answered %+q, kept %+q, shown %+q", draft["content"], a.Content, row.Content, shown.Content)
			}
		}
	})
}

// hidden is a character that changes what is seen without being seen.
func hidden(r rune) bool {
	return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || r == 0xfffd)
}

func TestL4_TenThousandMarksOnOneCharacterStayFew(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		p := m.phone(m.secretary)
		pile := "党" + strings.Repeat("\u0335", 10_000)
		want(t, p.post("/v1/activities", m.draft(m.branch).with("title", pile)), 400, "invalid_input")
		want(t, p.post("/v1/activities", m.draft(m.branch).with("content", pile)), 400, "invalid_input")
		some := "党" + strings.Repeat("\u0335", 4_900)
		a := as[model.Activity](t, p.post("/v1/activities", m.draft(m.branch).with("content", some+some[:90])))
		if n := len([]rune(a.Content)); n > 10 {
			t.Errorf("%d characters are left", n)
		}
	})
}

func TestL4_AWordOfInvisibleCharactersIsNone(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		p := m.phone(m.secretary)
		nothing := "\u200b\u3164\u202e\u0301"
		want(t, p.post("/v1/activities", m.draft(m.branch).with("title", nothing)), 400, "invalid_field")
		want(t, m.cancel(nothing), 400, "invalid_field")
		want(t, p.post(m.path(m.id, "/exemptions"), body{"member_id": m.members[0].ID, "exemption": "bedridden", "reason": nothing}), 400, "invalid_field")
		want(t, s.phone(s.administrator()).post("/v1/organisations", body{"parent_id": s.Agencies().ID, "kind": "branch", "unit_kind": "organ", "name": nothing}), 400, "invalid_field")
		if v := m.show(); v.Status != model.Published {
			t.Errorf("it is %s", v.Status)
		}
	})
}

func TestL4_InvalidUTF8IsRefused(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		text := jsonText(m.draft(m.branch).with("title", "MARK"))
		for _, bad := range []string{"七月\xff", "\xc0\xaf党日", "\xed\xa0\x80党日", "党日\xe4\xb8", `\ud800党日`, `\udc00\ud800`} {
			r := m.phone(m.secretary).post("/v1/activities", strings.Replace(text, "MARK", bad, 1))
			want(t, r, 400, "invalid_input")
			checkProblem(t, r)
		}
		want(t, m.phone(m.secretary).post("/v1/activities", strings.Replace(text, "MARK", `党\u65e5`, 1)), 200, "ok")
	})
}

var sqlTexts = []string{
	`'; DROP TABLE activities; --`, `' OR '1'='1`, `" OR ""="`, `1 OR 1=1`, `1; DELETE FROM members`, `') UNION SELECT openid FROM accounts -- `,
	`%' AND SLEEP(9) AND '%'='`, `\'; SHUTDOWN; --`, "`; DROP TABLE sessions; #", `?::text $1 :name @p1 {{1}} ${7*7}`,
}

func TestL6_SQLInATextIsAText(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		admin := s.phone(s.administrator())
		p := m.phone(m.secretary)
		for _, text := range sqlTexts {
			a := as[model.Activity](t, p.post("/v1/activities", m.draft(m.branch).with("title", text, "content", text, "place", body{"name": text})))
			m.id = a.ID
			if v := m.show(); v.Title != strings.TrimSpace(text) || v.Content != strings.TrimSpace(text) || v.Place.Name != strings.TrimSpace(text) {
				t.Errorf("%q became %q, %q, %q", text, v.Title, v.Content, v.Place.Name)
			}
			if c := as[model.Activity](t, m.cancel(text)); c.CancelReason != strings.TrimSpace(text) {
				t.Errorf("%q became %q", text, c.CancelReason)
			}
			o := as[model.Organisation](t, admin.post("/v1/organisations", body{"parent_id": s.Agencies().ID, "kind": "branch", "unit_kind": "organ", "name": text}))
			if o.Name != strings.TrimSpace(text) {
				t.Errorf("%q became %q", text, o.Name)
			}
			m.id = m.publish(m.branch)
			leave := body{"member_id": m.members[0].ID, "status": "sick_leave", "reason": text}
			want(t, m.record(leave), 200, "ok")
			sheet := as[service.Sheet](t, p.get(m.path(m.id, "/sheet")))
			if line := lineOf(t, sheet, m.members[0].Name); line.Note != strings.TrimSpace(text) {
				t.Errorf("%q became %q", text, line.Note)
			}
			// Where only codes belong, it is a wrong one.
			want(t, s.nobody().post("/v1/sessions", body{"code": text}), 400, "invalid_input")
			want(t, m.scan(s.Member(m.branch, "乱码"), text, nonce()), 409, "code_invalid") // wrong codes are counted
			want(t, m.record(body{"member_code": text, "status": "present"}), 409, "member_code_invalid")
			want(t, m.scan(m.members[0], m.code().Code, text), 400, "invalid_input")
			want(t, p.post("/v1/posts", body{"member_id": m.members[0].ID, "organisation_id": m.branch.ID, "kind": "committee_member", "from": text}), 400, "invalid_field")
			s.Clock.Advance(time.Minute)
		}
		var tables int64
		if err := s.DB.Model(&model.Member{}).Count(&tables).Error; err != nil || tables == 0 {
			t.Errorf("%d members (%v)", tables, err)
		}
	})
}

func TestL6_SQLInAParameterIsRefused(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		p := m.phone(m.secretary)
		for _, text := range sqlTexts {
			escaped := escape(text)
			for _, path := range []string{
				"/v1/activities?cursor=" + escaped, "/v1/activities?limit=" + escaped, "/v1/activities?scope=" + escaped,
				"/v1/activities?sort=" + escaped, "/v1/activities?" + escaped + "=1", "/v1/organisations?parent_id=" + escaped,
				"/v1/organisations?cursor=" + escaped, "/v1/activities/" + escaped, "/v1/activities/" + escaped + "/board",
				fmt.Sprintf("/v1/organisations/%d/members?cursor=%s", m.branch.ID, escaped), "/v1/organisations/" + escaped + "/members",
			} {
				r := p.get(path)
				if r.Status != 400 {
					t.Errorf("%s: %d %s", path, r.Status, r.Body)
				}
				checkProblem(t, r)
			}
			day := p.delete("/v1/posts/1?day=" + escaped)
			want(t, day, 400, "invalid_input")
			if !strings.Contains(string(day.Body), "应为 2026-03-10 的形式") && !strings.Contains(string(day.Body), "最多 10 个字") {
				t.Errorf("what is wrong with a day: %s", day.Body)
			}
			r := (&phone{s, text}).get("/v1/home")
			want(t, r, 401, "sign_in_again")
		}
	})
}

// escape is a text as it stands in a path or query.
func escape(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		fmt.Fprintf(&b, "%%%02x", c)
	}
	return b.String()
}

func TestL7_MarkupIsATextEverywhere(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(0)
		m.members = []*trial.Person{s.Member(m.branch, `<b onmouseover=alert(1)>甲`)}
		p := m.phone(m.secretary)
		for _, text := range []string{
			`<script>alert(document.cookie)</script>`, `<svg/onload=alert(1)>`, `"><img src=x onerror=alert(1)>`, `javascript:alert(1)`,
			`</title></style><iframe src=//evil.example>`, `{{.}} {{constructor.constructor('alert(1)')()}}`, `<!--#exec cmd="id"-->`, `=HYPERLINK("//evil.example")`,
		} {
			m.id = m.publish(m.branch, "title", text, "place", body{"name": text})
			want(t, m.record(body{"member_id": m.members[0].ID, "status": "duty_leave", "reason": text}), 200, "ok")
			for _, path := range []string{"", "/board", "/sheet", "/roster"} {
				r := p.get(m.path(m.id, path))
				if r.Status != 200 || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("X-Content-Type-Options") != "nosniff" {
					t.Errorf("%s: %d %v", path, r.Status, r.Header)
				}
			}
			if v := m.show(); v.Title != text || v.Place.Name != text {
				t.Errorf("%q became %q at %q", text, v.Title, v.Place.Name)
			}
			page := p.get(m.path(m.id, "/sheet.html"))
			checkPage(t, page)
			if !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") {
				t.Errorf("the page is %s", page.Header.Get("Content-Type"))
			}
			file := p.get(m.path(m.id, "/sheet.xlsx"))
			if name := file.Header.Get("Content-Disposition"); name != `attachment; filename="sheet.xlsx"` {
				t.Errorf("of %q the file is called %q", text, name)
			}
			book, err := excelize.OpenReader(bytes.NewReader(file.Body))
			if err != nil {
				t.Fatal(err)
			}
			checkBook(t, book, text)
			m.cancel("下次再试")
		}
	})
}

// checkPage fails where a text has become markup: beside the page's own there
// is no element, no attribute with code and no link.
func checkPage(t *testing.T, r *reply) {
	t.Helper()
	text := strings.ToLower(string(r.Body))
	for _, bad := range []string{"<script", "<svg", "<img", "<iframe", "<b ", "<!--#", "href=", "src=x>"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page has %s: %s", bad, r.Body)
		}
	}
	if !strings.Contains(text, "&lt;b onmouseover") {
		t.Errorf("the name is not on the page: %s", r.Body)
	}
	if policy := r.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'self'") || r.Header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("the page is served with %v", r.Header)
	}
}

// checkBook fails where a text has become a formula or a link, or is missing.
func checkBook(t *testing.T, book *excelize.File, text string) {
	t.Helper()
	sheet := book.GetSheetName(0)
	rows, err := book.GetRows(sheet)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for y, row := range rows {
		for x, cell := range row {
			at, _ := excelize.CoordinatesToCellName(x+1, y+1)
			formula, err := book.GetCellFormula(sheet, at)
			link, _, linkErr := book.GetCellHyperLink(sheet, at)
			if formula != "" || link || err != nil || linkErr != nil {
				t.Errorf("%s holds %q, formula %q, link %v", at, cell, formula, link)
			}
			found = found || strings.Contains(cell, text)
		}
	}
	if !found {
		t.Errorf("the workbook lacks %q: %v", text, rows)
	}
}

// upload sends a roster as wx.uploadFile does.
func (m *meeting) upload(content []byte) *reply {
	m.t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	part, err := form.CreateFormFile("file", "名册.xlsx")
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := part.Write(content); err != nil {
		m.t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		m.t.Fatal(err)
	}
	return m.phone(m.secretary).do("POST", m.imports(), b.Bytes(), "Content-Type", form.FormDataContentType())
}

// workbook is an .xlsx whose first sheet has these rows of markup.
func workbook(t *testing.T, write func(io.Writer)) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range map[string]string{
		"[Content_Types].xml":        `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>`,
		"_rels/.rels":                `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
		"xl/workbook.xml":            `<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="名册" sheetId="1" r:id="rId1"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels": `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>`,
	} {
		part, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(part, text)
	}
	part, err := z.Create("xl/worksheets/sheet1.xml")
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(part)
	fmt.Fprint(out, `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>`)
	write(out)
	fmt.Fprint(out, `</sheetData></worksheet>`)
	if err := errors.Join(out.Flush(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func cells(row int, more string, texts ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<row r="%d">`, row)
	for _, text := range texts {
		fmt.Fprintf(&b, `<c t="inlineStr"><is><t>%s</t></is></c>`, text)
	}
	return b.String() + more + `</row>`
}

func TestL9_ABombAMillionRowsAndFormulasAreRefusedAndLeaveNothing(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		before := m.people()
		header := cells(1, "", "姓名", "手机号", "党员类别")
		for name, c := range map[string]struct {
			content []byte
			code    string
		}{
			"a bomb": {workbook(t, func(w io.Writer) { _, _ = io.CopyN(w, blanks{}, 100<<20) }), "table_too_large"},
			"a million rows": {workbook(t, func(w io.Writer) {
				for range 400_000 {
					fmt.Fprint(w, `<row><c><v>1</v></c></row>`)
				}
			}), "table_too_long"},
			"a million lines": {[]byte("姓名,手机号\n" + strings.Repeat("甲,1\n", 1_000_000)), "table_too_long"},
			"a formula": {workbook(t, func(w io.Writer) {
				fmt.Fprint(w, header+cells(2, `<c><f>WEBSERVICE("//evil.example")</f><v>1</v></c>`, "韩一"))
			}), "import_problems"},
			"a formula in a CSV": {[]byte("姓名,手机号,党员类别\n=cmd|'/c calc'!A0,,正式党员\n"), "import_problems"},
			"a page":             {[]byte("<html><table><tr><td>姓名</td></tr></table></html>"), "table_unknown"},
			"an old workbook":    {[]byte("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1" + strings.Repeat("\x00", 4096)), "table_old_format"},
			"another archive":    {[]byte("PK\x03\x04" + strings.Repeat("x", 100)), "table_damaged"},
			"a picture":          {[]byte("\x89PNG\r\n\x1a\n" + strings.Repeat("\x00\x01\xff", 100)), "table_unknown"},
			"nothing":            {nil, "table_empty"},
		} {
			r := m.upload(c.content)
			want(t, r, 400, c.code)
			checkProblem(t, r)
			t.Logf("%s: %d bytes", name, len(c.content))
		}
		if after := m.people(); !reflect.DeepEqual(before, after) {
			t.Errorf("%d members became %d", len(before), len(after))
		}
		report := as[service.ImportReport](t, m.upload(workbook(t, func(w io.Writer) { fmt.Fprint(w, header+cells(2, "", "韩一", "19900009001", "正式党员")) })))
		if report.Added != 1 {
			t.Errorf("a good one is taken as %+v", report)
		}
	})
}

func (m *meeting) people() (all []model.Member) {
	m.t.Helper()
	if err := m.DB.Order("id").Find(&all).Error; err != nil {
		m.t.Fatal(err)
	}
	return all
}

type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestL9_AnUploadThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	s := oneStage(t)
	m := s.aMeeting(1)
	p := m.phone(m.secretary)
	const form = "multipart/form-data; boundary=b"
	part := func(disposition, content string) string {
		return "--b\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" + content + "\r\n"
	}
	file := part(`name="file"; filename="a.csv"`, "姓名,手机号,党员类别\n韩一,19900009001,正式党员\n")
	for name, c := range map[string]struct{ kind, content string }{
		"no form":          {"application/json", "{}"},
		"no boundary":      {"multipart/form-data", file + "--b--\r\n"},
		"no end":           {form, file},
		"no part":          {form, "--b--\r\n"},
		"another name":     {form, strings.Replace(file, `"file"`, `"files"`, 1) + "--b--\r\n"},
		"a text":           {form, part(`name="file"`, "姓名") + "--b--\r\n"},
		"two files":        {form, file + file + "--b--\r\n"},
		"thousands":        {form, strings.Repeat(file, 3000) + "--b--\r\n"},
		"a header of 9 MB": {form, "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + strings.Repeat("x", 7<<20) + "\"\r\n\r\n\r\n--b--\r\n"},
	} {
		r := p.do("POST", m.imports(), c.content, "Content-Type", c.kind)
		if r.Status != 400 && r.Status != 415 {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
		checkProblem(t, r)
	}
	want(t, p.do("POST", m.imports(), file+"--b--\r\n", "Content-Type", form), 200, "ok")
}

func TestL9_AnUploadIsNeverAFileOnTheServer(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir) // so not in parallel
	s := oneStage(t)
	m := s.aMeeting(1)
	content := "姓名,手机号,党员类别\n韩一,19900009001,正式党员\n" + strings.Repeat(",,\n", 2<<20)
	want(t, m.upload([]byte(content)), 200, "ok")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "multipart-") {
			t.Errorf("%s holds what was uploaded", e.Name())
		}
	}
}

func TestL12_ACompressedOrForeignBodyIsRefused(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		p, code := m.phone(m.members[0]), m.code().Code
		text := jsonText(body{"code": code, "nonce": nonce()})
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		if _, err := io.WriteString(z, text); err != nil || z.Close() != nil {
			t.Fatal(err)
		}
		for _, coding := range []string{"gzip", "GZIP", "br", "deflate", "zstd", "gzip, gzip", "x-unknown"} {
			r := p.do("POST", "/v1/check-ins", packed.Bytes(), "Content-Encoding", coding)
			want(t, r, 415, "unsupported_media")
			checkProblem(t, r)
		}
		for _, kind := range []string{"text/plain", "application/xml", "text/html", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b",
			"application/cbor", "application/octet-stream", "application/jsonx"} {
			r := p.do("POST", "/v1/check-ins", text, "Content-Type", kind)
			want(t, r, 415, "unsupported_media")
			checkProblem(t, r)
		}
		if m.rows(m.members[0]) != 0 {
			t.Error("a refused request left a row")
		}
		want(t, p.do("POST", "/v1/check-ins", text, "Content-Type", "application/json; charset=utf-8", "Content-Encoding", "identity"), 200, "ok")
	})
}

func TestL13_WhoeverIsSlowIsCutOffAndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	s := oneStage(t)
	m := s.aMeeting(20)
	code := m.code().Code
	opened := time.Now()
	slow := map[string][]*wire{}
	for range 400 {
		slow["says nothing"] = append(slow["says nothing"], s.dial())
	}
	for range 40 {
		slow["never ends its headers"] = append(slow["never ends its headers"], s.dial().say("GET /v1/home HTTP/1.1\r\nHost: x\r\nX-Slow: "))
		slow["never sends its body"] = append(slow["never sends its body"],
			s.dial().say("POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"))
		slow["never sends its chunk"] = append(slow["never sends its chunk"],
			s.dial().say("POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n{"))
		slow["never sends a body to nowhere"] = append(slow["never sends a body to nowhere"],
			s.dial().say("POST /v1/nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"))
		slow["comes back for nothing"] = append(slow["comes back for nothing"], s.dial().say("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"))
	}
	for _, p := range m.members {
		want(t, m.scan(p, code, nonce()), 200, "ok") // the others are served meanwhile
	}
	for name, patience := range map[string]time.Duration{
		"says nothing": 5 * time.Second, "never ends its headers": 5 * time.Second, "never sends its body": 6 * time.Second,
		"never sends its chunk": 6 * time.Second, "never sends a body to nowhere": 10 * time.Second,
	} {
		for _, w := range slow[name] {
			_ = w.SetReadDeadline(opened.Add(patience + 8*time.Second)) // the machine may be busy
			var r *reply
			if strings.Contains(name, "body") || strings.Contains(name, "chunk") {
				r, _ = w.next()
			}
			if !w.closed() {
				t.Fatalf("who %s is still connected after %v", name, time.Since(opened))
			}
			if r != nil && r.Status != 408 && r.Status != 404 {
				t.Errorf("who %s hears %d %s", name, r.Status, r.Body)
			}
		}
	}
	for _, w := range slow["comes back for nothing"] { // idle is no crime for a minute
		want(t, w.hear(), 200, "ok")
		want(t, w.say("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").hear(), 200, "ok")
	}
}

func TestL13_WhoeverSendsByteByByteIsCutOffAllTheSame(t *testing.T) {
	t.Parallel()
	s := oneStage(t)
	for name, start := range map[string]string{
		"headers": "GET /v1/home HTTP/1.1\r\nHost: x\r\nX-Slow: ",
		"body":    "POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n",
	} {
		w := s.dial().say(start)
		began := time.Now()
		drip := time.NewTicker(100 * time.Millisecond)
		var err error
		for err == nil && time.Since(began) < 25*time.Second {
			<-drip.C
			_, err = w.Write([]byte(" "))
		}
		drip.Stop()
		if err == nil {
			t.Errorf("who sends %s byte by byte is still served after %v", name, time.Since(began))
		}
	}
}

func TestL19_AMethodThatIsNotServedIsRefusedWithThoseThatAre(t *testing.T) {
	t.Parallel()
	s := oneStage(t)
	m := s.aMeeting(1)
	for _, method := range []string{"TRACE", "TRACK", "OPTIONS", "PROPFIND", "PATCH", "HEAD", "DEBUG", "get"} {
		w := s.dial().say(method + " /v1/activities HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + s.Token(m.secretary) + "\r\nConnection: close\r\n\r\n")
		r, err := w.next()
		if method == "HEAD" && r != nil {
			r.Body = nil
		} else if err != nil {
			t.Fatal(err)
		}
		allowed := strings.Split(r.Header.Get("Allow"), ", ")
		slices.Sort(allowed)
		if r.Status != 405 || !slices.Equal(allowed, []string{"GET", "POST"}) || strings.Contains(string(r.Body), "Bearer") {
			t.Errorf("%s: %d, allowed %q: %s", method, r.Status, allowed, r.Body)
		}
		if method != "HEAD" {
			want(t, r, 405, "method_not_allowed")
			checkProblem(t, r)
		}
	}
	for _, override := range []string{"X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"} {
		r := m.phone(m.secretary).do("POST", "/v1/sessions/current", nil, override, "DELETE")
		want(t, r, 405, "method_not_allowed")
	}
	want(t, m.phone(m.secretary).get("/v1/home"), 200, "ok") // the session has not been ended
}

// Two readings of where a request ends are how one is smuggled past a proxy.
func TestL19_ARequestWithTwoEndsIsRefusedOrTheLastOfItsConnection(t *testing.T) {
	t.Parallel()
	s := oneStage(t)
	const second = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
	post := func(headers, body string) string {
		return "POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + headers + "\r\n" + body
	}
	for name, text := range map[string]string{
		"length and chunks":           post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
		"chunks and length":           post("Transfer-Encoding: chunked\r\nContent-Length: 60\r\n", "0\r\n\r\n"),
		"two lengths":                 post("Content-Length: 0\r\nContent-Length: 37\r\n", ""),
		"a list of lengths":           post("Content-Length: 0, 37\r\n", ""),
		"a length with a sign":        post("Content-Length: +0\r\n", ""),
		"a length in another base":    post("Content-Length: 0x0\r\n", ""),
		"a negative length":           post("Content-Length: -1\r\n", ""),
		"a blank before the colon":    post("Content-Length : 37\r\n", ""),
		"chunks twice":                post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
		"chunks and identity":         post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
		"chunks in disguise":          post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
		"chunks behind a blank":       post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
		"chunks behind a control":     post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"),
		"a folded header":             post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
		"a chunk with a wrong size":   post("Transfer-Encoding: chunked\r\n", "2\r\nabcd\r\n0\r\n\r\n"),
		"a chunk size with a sign":    post("Transfer-Encoding: chunked\r\n", "-1\r\n\r\n0\r\n\r\n"),
		"a chunk size beyond all":     post("Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\n\r\n0\r\n\r\n"),
		"a chunk extension too long":  post("Transfer-Encoding: chunked\r\n", "0;"+strings.Repeat("x", 20<<10)+"\r\n\r\n"),
		"two hosts":                   "GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"no host":                     "GET /healthz HTTP/1.1\r\n\r\n",
		"a header without a colon":    "GET /healthz HTTP/1.1\r\nHost: x\r\nNonsense\r\n\r\n",
		"a NUL in a header":           "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n",
		"a bare CR in a header":       "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: a\rX-B: c\r\n\r\n",
		"a control in the path":       "GET /health\x01z HTTP/1.1\r\nHost: x\r\n\r\n",
		"a path with a bad escape":    "GET /v1/activities/%zz HTTP/1.1\r\nHost: x\r\n\r\n",
		"another version":             "GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n",
		"the preface of HTTP/2":       "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"a greeting of another world": "SSH-2.0-OpenSSH_9.9\r\n",
		"TLS":                         "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n",
	} {
		w := s.dial().say(text + second)
		_ = w.SetReadDeadline(time.Now().Add(20 * time.Second))
		r, err := w.next()
		if err != nil {
			continue // cut off without an answer
		}
		if r.Status < 400 || r.Status == 500 || r.Status == 503 {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
		if second, err := w.next(); err == nil {
			t.Errorf("%s: what came behind was answered with %d %s", name, second.Status, second.Body)
		}
	}
	// A proper pair is answered as a pair.
	w := s.dial().say(post("Content-Length: 2\r\n", "{}") + second)
	want(t, w.hear(), 400, "invalid_input")
	want(t, w.hear(), 200, "ok")
}

func TestL21_WhateverIsSaidEachLineOfTheLogIsOneEntry(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		evil := "甲\r\n{\"msg\":\"forged4711\"}\n\x1b[2J\x1b]0;forged4711\x07"
		p := m.phone(m.secretary)
		m.id = m.publish(m.branch, "title", evil, "content", evil)
		m.cancel(evil)
		p.get("/v1/activities/" + escape(evil))
		p.get("/" + escape(evil))
		p.get("/v1/activities?cursor=" + escape(evil) + "&" + escape(evil) + "=" + escape(evil))
		p.post("/v1/check-ins", body{"code": evil, "nonce": evil})
		p.post("/v1/check-ins", evil)
		p.do("GET", "/v1/home", nil, "User-Agent", "forged4711", "X-Request-Id", "forged4711", "Referer", "http://forged4711/", "X-Forwarded-For", "forged4711")
		s.dial().say("GET /forged4711 HTTP/1.1\r\nHost: forged4711\r\n\r\n").hear()
		s.dial().say("forged4711 / HTTP/1.1\r\nHost: x\r\n\r\n").hear()
		s.dial().say("GET / HTTP/forged4711\r\n\r\n").hear()
		s.nobody().post("/v1/sessions", body{"code": "forged4711"})
		checkLog(t, s)
		if log := s.Log.String(); strings.Contains(log, "forged4711") || strings.Contains(log, "\x1b") {
			t.Errorf("what was said is in the log:\n%s", log)
		}
	})
}

// checkLog fails unless every line of the log is one entry with a time, a
// level and a message, and each request has one of them.
func checkLog(t *testing.T, s *stage) {
	t.Helper()
	ids := map[string]bool{}
	for line := range strings.Lines(s.Log.String()) {
		var e struct {
			Time      time.Time
			Level     slog.Level
			Msg       string
			RequestID string `json:"request_id"`
			Route     string
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Time.IsZero() || e.Msg == "" {
			t.Errorf("%v in %q", err, line)
		}
		if e.Msg != "request" {
			continue
		}
		if e.RequestID == "" || ids[e.RequestID] || e.Route == "" {
			t.Errorf("not the one entry of a request: %s", line)
		}
		ids[e.RequestID] = true
	}
	if len(ids) == 0 {
		t.Error("no request is in the log")
	}
}

func TestL22_AParameterTwiceOrAListForATextIsRefused(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		p := m.phone(m.secretary)
		for _, query := range []string{"limit=1&limit=2", "limit=1&limit=1", "scope=mine&scope=work", "limit=1,2", "limit[]=1", "limit=1&limit[]=2", "scope=mine,work",
			"limit=1;limit=2", "limit=%zz", "cursor=a&cursor=", "limit= 1", "limit=1e1", "limit=0x10", "limit=１０", "limit=+1", "LIMIT=1", "limit=1%00"} {
			r := p.get("/v1/activities?" + strings.ReplaceAll(query, " ", "%20"))
			if r.Status != 400 {
				t.Errorf("%s: %d %s", query, r.Status, r.Body)
			}
			checkProblem(t, r)
		}
		for field, values := range map[string][]any{
			"title":           {[]string{"七月主题党日"}, body{"$ne": ""}, 7, true, nil},
			"kind":            {[]string{"study_day"}, body{"a": "study_day"}},
			"nonce":           {[]string{nonce()}},
			"place":           {"三楼", []string{"三楼"}, body{"name": []string{"三楼"}}},
			"starts_at":       {[]time.Time{s.Clock.Now()}, 1773208800},
			"organisation_id": {[]uint64{m.branch.ID}, jsonText(m.branch.ID), true},
			"targets":         {m.members[0].ID, body{"0": m.members[0].ID}, []string{"1"}, []any{nil}, []any{[]int{1}}},
			"credit_hours":    {"2", []float64{2}},
			"open_to_guests":  {"true", 1, []bool{true}},
		} {
			for _, value := range values {
				r := p.post("/v1/activities", m.draft(m.branch).with(field, value))
				want(t, r, 400, "invalid_input")
				checkProblem(t, r)
			}
		}
		token := "\r\nAuthorization: Bearer "
		both := token + s.Token(m.secretary) + token + s.Token(m.members[0])
		want(t, s.dial().say("GET /v1/home HTTP/1.1\r\nHost: x"+both+"\r\n\r\n").hear(), 400, "invalid_input")
		keys := "\r\nIdempotency-Key: abcdefgh\r\nIdempotency-Key: abcdefgi"
		want(t, s.dial().say("POST /v1/check-ins HTTP/1.1\r\nHost: x"+token+s.Token(m.secretary)+keys+"\r\nContent-Length: 0\r\n\r\n").hear(), 400, "invalid_field")
	})
}

func TestL24_NothingOfTheInsideIsSeenFromOutside(t *testing.T) {
	t.Parallel()
	s := oneStage(t)
	m := s.aMeeting(1)
	for _, p := range []*phone{s.nobody(), s.phone(s.administrator()), m.phone(m.secretary)} {
		for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/vars", "/debug", "/swagger", "/swagger/index.html",
			"/swagger.json", "/api-docs", "/v1", "/v1/", "/v1/metrics", "/admin", "/actuator/env", "/graphql", "/.env", "/.git/config", "/server-status", "/config",
			"/sim/users", "/cgi-bin/token", "/sns/jscode2session", "/v1/../metrics", "/%2e%2e/etc/passwd", "//metrics", "/docs/../metrics", "/docs/%2e%2e/%2e%2e/etc/passwd", "/docs/nothing", "/docs/nothing.js", "/METRICS",
			"/v1/home/", "/schemas/Problem.json"} {
			r := p.get(path)
			want(t, r, 404, "not_found")
			checkProblem(t, r)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/openapi.json", "/docs/", "/docs/swagger-ui.css", "/"} {
		if r := s.nobody().get(path); r.Status != 200 {
			t.Errorf("%s: %d", path, r.Status)
		}
	}
	for _, name := range []string{"Server", "X-Powered-By", "Via", "Set-Cookie"} {
		if value := s.nobody().get("/v1/home").Header.Get(name); value != "" {
			t.Errorf("%s: %s", name, value)
		}
	}
}

func TestL25_OneSessionIsSlowedDownAndAHundredBehindTheSameAddressAreNot(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(100)
		code := m.code().Code
		for _, p := range m.members {
			m.phone(p)
		}
		bot := m.phone(m.secretary)
		refused := make(chan *reply, 1)
		var tries atomic.Int64
		trial.Race(8, func(int) { // far more than a hundred in any second
			for len(refused) == 0 && tries.Add(1) < 20_000 {
				if r := bot.get("/v1/me/code"); r.Status != 200 {
					select {
					case refused <- r:
					default:
					}
				}
			}
		})
		if len(refused) == 0 {
			t.Fatalf("%d requests of one session and no end", tries.Load())
		}
		r := <-refused
		want(t, r, 429, "too_many")
		checkProblem(t, r)
		if wait := r.Header.Get("Retry-After"); wait == "" || wait == "0" {
			t.Errorf("429 with Retry-After %q", wait)
		}
		trial.Race(len(m.members), func(i int) {
			if r := m.scan(m.members[i], code, nonce()); r.Status != 200 {
				t.Errorf("behind the same address: %d %s", r.Status, r.Body)
			}
		})
	})
}

// The settings of the server.

func TestTheServerIsPatientForAFewSecondsOnly(t *testing.T) {
	t.Parallel()
	s := api.NewServer(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	got := []time.Duration{s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout}
	if !slices.Equal(got, []time.Duration{5 * time.Second, 10 * time.Second, 15 * time.Second, time.Minute}) || s.MaxHeaderBytes != 16<<10 || s.ErrorLog == nil {
		t.Errorf("got %v, headers up to %d", got, s.MaxHeaderBytes)
	}
}

func TestHeadersEndAt16KiB(t *testing.T) {
	t.Parallel()
	s := oneStage(t)
	head := func(n int) *reply {
		return s.dial().say("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", n) + "\r\nConnection: close\r\n\r\n").hear()
	}
	want(t, head(15<<10), 200, "ok")
	if r := head(24 << 10); r.Status != 431 {
		t.Errorf("24 KiB of headers: %d", r.Status)
	}
}

func TestOnlyReadableProxiesAreTrustedAndTheRouterTellsNothing(t *testing.T) {
	t.Parallel()
	for proxy, good := range map[string]bool{"10.0.0.0/8": true, "127.0.0.1/32": true, "::1/128": true, "10.0.0.0/99": false, "proxy.example": false, "": false} {
		_, err := api.New(api.Config{Services: &service.Services{}, Log: slog.New(slog.DiscardHandler), Now: time.Now, TrustedProxies: []string{proxy}})
		if (err == nil) != good {
			t.Errorf("proxy %q: %v", proxy, err)
		}
	}
	if gin.Mode() != gin.ReleaseMode {
		t.Errorf("the router runs in mode %s", gin.Mode())
	}
}

// Faults.

// panicking is WeChat as its client breaks down over it.
type panicking struct{ service.Platform }

func (panicking) SignIn(context.Context, string) (string, error) { panic("planted4711") }

func TestAPanicIsAFaultWithANumberAndTheServiceGoesOn(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		code := m.code().Code
		broken := &stage{World: s.World, t: t, url: listen(t, s.World, s.Replica(func(p *service.Parts) { p.Platform = panicking{p.Platform} }))}
		r := broken.nobody().post("/v1/sessions", body{"code": "x"})
		checkFault(t, broken, r, "planted4711")
		want(t, broken.phone(m.members[0]).post("/v1/check-ins", body{"code": code, "nonce": nonce()}), 200, "ok")
	})
}

func TestAPanicWhileArrivalsAreWrittenIsTheirFaultAloneAndTheServiceGoesOn(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		code := m.code().Code
		var planted atomic.Bool
		err := s.DB.Callback().Create().Before("gorm:create").Register("planted", func(db *gorm.DB) {
			if db.Statement.Table == "attendances" && planted.Load() {
				panic("planted4711")
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		planted.Store(true)
		for _, p := range m.members { // more than there are writers
			r := m.scan(p, code, nonce())
			want(t, r, 500, "fault")
		}
		checkFault(t, s, m.scan(m.members[0], code, nonce()), "planted4711")
		planted.Store(false)
		for _, p := range m.members {
			want(t, m.scan(p, code, nonce()), 200, "ok")
		}
	})
}

// checkFault fails unless the answer is a fault that tells nothing but a
// number, under which the cause stands once in the log.
func checkFault(t *testing.T, s *stage, r *reply, cause string) {
	t.Helper()
	want(t, r, 500, "fault")
	checkProblem(t, r)
	id := r.Header.Get("X-Request-Id")
	var p struct {
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal(r.Body, &p); err != nil || p.RequestID == "" || p.RequestID != id {
		t.Errorf("request %s answers %s (%v)", id, r.Body, err)
	}
	if strings.Contains(string(r.Body), cause) || strings.Contains(string(r.Body), ".go:") {
		t.Errorf("the client reads %s", r.Body)
	}
	told := 0
	for line := range strings.Lines(s.Log.String()) {
		if strings.Contains(line, `"`+id+`"`) && strings.Contains(line, cause) && strings.Contains(line, `"level":"ERROR"`) {
			told++
		}
	}
	if told != 1 {
		t.Errorf("the log tells the cause %d times:\n%s", told, s.Log)
	}
	checkLog(t, s)
}

func TestAStoreThatHangsIsGivenUpInTimeForAnAnswer(t *testing.T) {
	t.Parallel()
	s := oneStage(t)
	m := s.aMeeting(1)
	m.phone(m.members[0])
	held := make(chan struct{})
	t.Cleanup(func() { close(held) })
	err := s.DB.Callback().Query().Before("gorm:query").Register("hangs", func(db *gorm.DB) {
		if db.Statement.Table == "activities" {
			select {
			case <-held:
			case <-db.Statement.Context.Done():
				_ = db.AddError(db.Statement.Context.Err())
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r := m.phone(m.members[0]).get(m.path(m.id, ""))
	want(t, r, 503, "unavailable")
	if r.Header.Get("Retry-After") == "" || time.Since(began) > 20*time.Second {
		t.Errorf("after %v: %v", time.Since(began), r.Header)
	}
}
