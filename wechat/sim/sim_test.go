package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// testClock is a clock that stands still until it is moved.
type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *testClock {
	return &testClock{now: time.Date(2026, 5, 20, 9, 0, 0, 0, china)}
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// bench is a simulator behind a real HTTP server, and a client of it.
type bench struct {
	*Sim
	t   testing.TB
	url string
}

func newBench(t testing.TB, cfg Config) *bench {
	t.Helper()
	if cfg.Clock == nil {
		cfg.Clock = newClock().Now
	}
	s := New(cfg)
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		s.Close()
		server.Close()
	})
	return &bench{s, t, server.URL}
}

// result is any answer of the platform.
type result struct {
	Code        int    `json:"errcode"`
	Msg         string `json:"errmsg"`
	AccessToken string `json:"access_token"`
	ExpiresIn   int    `json:"expires_in"`
	OpenID      string `json:"openid"`
	SessionKey  string `json:"session_key"`
	UnionID     string `json:"unionid"`
	MsgID       int64  `json:"msgid"`
	URLLink     string `json:"url_link"`
	TraceID     string `json:"trace_id"`

	contentType string
	status      int
	body        []byte
	err         error
}

func (b *bench) do(method, path, body string) result {
	b.t.Helper()
	r, err := http.NewRequest(method, b.url+"/"+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return result{err: err}
	}
	defer resp.Body.Close()
	out := result{contentType: resp.Header.Get("Content-Type"), status: resp.StatusCode}
	if out.body, out.err = io.ReadAll(resp.Body); out.err != nil {
		return out
	}
	if strings.HasPrefix(out.contentType, "application/json") || strings.HasPrefix(out.contentType, "text/plain") {
		out.err = json.Unmarshal(out.body, &out)
	}
	return out
}

// post calls an endpoint with a good token.
func (b *bench) post(path string, in any) result {
	b.t.Helper()
	return b.do(http.MethodPost, path+"?access_token="+b.token(), toJSON(in))
}

func (b *bench) token() string {
	b.t.Helper()
	r := b.do(http.MethodPost, "cgi-bin/stable_token", b.credentials(false))
	if r.AccessToken == "" {
		b.t.Fatalf("no token: %+v", r)
	}
	return r.AccessToken
}

func (b *bench) credentials(force bool) string {
	return toJSON(map[string]any{
		"grant_type": "client_credential", "appid": DefaultAppID, "secret": DefaultAppSecret, "force_refresh": force,
	})
}

func (b *bench) login(code string) result {
	b.t.Helper()
	q := url.Values{
		"appid": {DefaultAppID}, "secret": {DefaultAppSecret}, "js_code": {code}, "grant_type": {"authorization_code"},
	}
	return b.do(http.MethodGet, "sns/jscode2session?"+q.Encode(), "")
}

func (b *bench) want(what string, r result, code int) {
	b.t.Helper()
	if r.err != nil || r.Code != code {
		b.t.Errorf("%s: code %d %q (%v), want %d", what, r.Code, r.Msg, r.err, code)
	}
}

func toJSON(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return b.String()
}

// reminder is a good message of the first default template.
func reminder(openID string) map[string]any {
	return map[string]any{
		"touser": openID, "template_id": TemplateID(ActivityReminder), "page": "pages/activity/index?id=7",
		"miniprogram_state": "formal", "lang": "zh_CN",
		"data": map[string]any{
			"thing1": value("五月主题党日"), "time2": value("2026年5月21日 15:00"),
			"thing3": value("三楼会议室"), "thing4": value("请提前十分钟到场签到"),
		},
	}
}

// dataOf are the lines of a message, to be spoiled.
func dataOf(message map[string]any) map[string]any {
	data, good := message["data"].(map[string]any)
	if !good {
		panic("a message without data")
	}
	return data
}

func value(v any) map[string]any { return map[string]any{"value": v} }

func (b *bench) drain() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	if err := b.Drain(ctx); err != nil {
		b.t.Fatal(err)
	}
}

func TestAClientThatDoesEverythingRightIsServed(t *testing.T) {
	b := newBench(t, Config{})
	u := b.NewUser("19900000001")
	r := b.login(u.LoginCode())
	b.want("login", r, 0)
	if r.OpenID != u.OpenID || len(r.OpenID) != 28 || r.SessionKey == "" || r.UnionID != "" {
		t.Errorf("login answered %+v", r)
	}
	b.want("phone", b.post("wxa/business/getuserphonenumber", map[string]any{"code": u.PhoneCode(), "openid": u.OpenID}), 0)
	b.want("text", b.post("wxa/msg_sec_check", map[string]any{"version": 2, "openid": u.OpenID, "scene": 1, "content": "你好"}), 0)
	b.want("media", b.post("wxa/media_check_async", map[string]any{
		"version": 2, "openid": u.OpenID, "scene": 1, "media_type": 2, "media_url": "https://example.com/a.jpg"}), 0)
	u.Accept(TemplateID(ActivityReminder))
	b.want("send", b.post("cgi-bin/message/subscribe/send", reminder(u.OpenID)), 0)
	if r := b.post("wxa/getwxacodeunlimit", map[string]any{"scene": "a7", "page": "pages/checkin/index"}); r.contentType != "image/jpeg" {
		t.Errorf("code answered %s %s", r.contentType, r.body)
	}
	b.want("link", b.post("wxa/generate_urllink", map[string]any{
		"path": "pages/index/index", "query": "a=1", "expire_type": 1, "expire_interval": 30}), 0)
	b.want("quota", b.post("cgi-bin/openapi/quota/get", map[string]any{"cgi_path": "/cgi-bin/message/subscribe/send"}), 0)
	b.want("clear quota", b.post("cgi-bin/clear_quota", map[string]any{"appid": DefaultAppID}), 0)
	list := b.do(http.MethodGet, "wxaapi/newtmpl/gettemplate?access_token="+b.token(), "")
	b.want("templates", list, 0)
	if !bytes.Contains(list.body, []byte("{{thing1.DATA}}")) {
		t.Errorf("templates answered %s", list.body)
	}
	for path := range b.endpoints {
		if n := b.Counters()[path+" 0"]; n == 0 && path != "cgi-bin/token" {
			t.Errorf("%s was never answered well", path)
		}
	}
}

func TestAClientThatDoesSomethingWrongGetsThePlatformsCode(t *testing.T) {
	const send, text, media = "cgi-bin/message/subscribe/send", "wxa/msg_sec_check", "wxa/media_check_async"
	const code, link, phone = "wxa/getwxacodeunlimit", "wxa/generate_urllink", "wxa/business/getuserphonenumber"
	b := newBench(t, Config{})
	u, stranger := b.NewUser(""), b.NewUser("")
	for range 3 {
		u.Accept(TemplateID(ActivityReminder))
	}
	message := func(change func(m, data map[string]any)) map[string]any {
		m := reminder(u.OpenID)
		change(m, dataOf(m))
		return m
	}
	with := func(key string, v any) map[string]any {
		return message(func(m, _ map[string]any) { m[key] = v })
	}
	data := func(key string, v any) map[string]any {
		return message(func(_, d map[string]any) { d[key] = v })
	}
	check := func(key string, v any) map[string]any {
		m := map[string]any{"version": 2, "openid": u.OpenID, "scene": 2, "content": "你好"}
		m[key] = v
		return m
	}
	used := u.PhoneCode()
	b.want("first use", b.post(phone, map[string]any{"code": used}), 0)
	for _, c := range []struct {
		name string
		path string
		in   any
		want int
	}{
		{"no such person", send, with("touser", "o"+strings.Repeat("x", 27)), 40003},
		{"no such template", send, with("template_id", strings.Repeat("x", 43)), 40037},
		{"somebody who accepted nothing", send, with("touser", stranger.OpenID), 43101},
		{"missing keyword", send, message(func(_, d map[string]any) { delete(d, "thing4") }), 47003},
		{"unknown keyword", send, data("thing9", value("多余")), 47003},
		{"empty keyword", send, data("thing1", value("")), 47003},
		{"blank keyword", send, data("thing1", value("　 ")), 47003},
		{"thing of 21 characters", send, data("thing1", value(strings.Repeat("党", 21))), 47003},
		{"line break in a thing", send, data("thing1", value("上午\n下午")), 47003},
		{"time with a weekday", send, data("time2", value("2026年5月20日 周三 15:00")), 47003},
		{"time as a date only", send, data("time2", value("2026年5月20日")), 47003},
		{"value as a number", send, data("thing1", value(3)), 47003},
		{"keyword without value object", send, data("thing1", "五月主题党日"), 47003},
		{"data as a string", send, with("data", "五月主题党日"), 47003},
		{"sensitive word", send, data("thing1", value(SensitiveWord)), 45168},
		{"page with a leading slash", send, with("page", "/pages/activity/index"), 41030},
		{"page that is not released", send, with("page", "pages/draft/index"), 41030},
		{"page with a host", send, with("page", "https://example.com/pages/index/index"), 41030},
		{"no mini-program state", send, with("miniprogram_state", ""), 40097},
		{"unknown language", send, with("lang", "zh"), 40097},
		{"unknown field", send, with("templateId", "x"), 47001},

		{"scene of 33 characters", code, map[string]any{"scene": strings.Repeat("a", 33)}, 40169},
		{"no scene", code, map[string]any{"page": "pages/index/index"}, 40169},
		{"scene as a number", code, map[string]any{"scene": 7}, 40169},
		{"scene in Han", code, map[string]any{"scene": "签到"}, 40129},
		{"scene with percent", code, map[string]any{"scene": "a%20"}, 40129},
		{"code page with a leading slash", code, map[string]any{"scene": "a", "page": "/pages/index/index"}, 41030},
		{"code page with a query", code, map[string]any{"scene": "a", "page": "pages/index/index?a=1"}, 41030},
		{"code page that is not released", code, map[string]any{"scene": "a", "page": "pages/draft/index"}, 41030},
		{"unknown version", code, map[string]any{"scene": "a", "env_version": "formal"}, 40097},
		{"too narrow", code, map[string]any{"scene": "a", "width": 279}, 40097},
		{"too wide", code, map[string]any{"scene": "a", "width": 1281}, 40097},
		{"colour out of range", code, map[string]any{"scene": "a", "line_color": map[string]any{"r": "256", "g": "0", "b": "0"}}, 40097},

		{"link to a page that is not released", link, map[string]any{"path": "pages/draft/index", "expire_type": 1, "expire_interval": 1}, 40165},
		{"link with a query in its path", link, map[string]any{"path": "pages/index/index?a=1", "expire_type": 1, "expire_interval": 1}, 40165},
		{"link query in Han", link, map[string]any{"query": "名=1", "expire_type": 1, "expire_interval": 1}, 40212},
		{"link for 31 days", link, map[string]any{"expire_type": 1, "expire_interval": 31}, 85401},
		{"link that has ended", link, map[string]any{"expire_type": 0, "expire_time": b.Now().Unix() - 1}, 85401},

		{"text check of version 1", text, check("version", 1), 40097},
		{"text by nobody", text, check("openid", "o"), 40003},
		{"text in no scene", text, check("scene", 5), 40129},
		{"no text", text, check("content", " "), 44002},
		{"text of 2501 characters", text, check("content", strings.Repeat("字", 2501)), 45002},
		{"text by somebody never seen", text, check("openid", stranger.OpenID), 61010},
		{"media of no kind", media, map[string]any{"version": 2, "openid": u.OpenID, "scene": 1, "media_type": 3, "media_url": "https://example.com/a"}, 40097},
		{"media without a URL", media, map[string]any{"version": 2, "openid": u.OpenID, "scene": 1, "media_type": 2, "media_url": "a.jpg"}, 40097},

		{"phone code used twice", phone, map[string]any{"code": used}, 40163},
		{"login code for a phone", phone, map[string]any{"code": u.LoginCode()}, 40029},
		{"phone code of somebody else", phone, map[string]any{"code": u.PhoneCode(), "openid": stranger.OpenID}, 40003},
		{"no phone code", phone, map[string]any{}, 41008},

		{"quota of no endpoint", "cgi-bin/openapi/quota/get", map[string]any{"cgi_path": "cgi-bin/message/subscribe/send"}, 76021},
		{"clearing another account", "cgi-bin/clear_quota", map[string]any{"appid": "wx0000000000000000"}, 40013},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := b.post(c.path, c.in)
			if r.Code != c.want || r.err != nil || r.status != http.StatusOK {
				t.Errorf("code %d %q, status %d, %v; want %d", r.Code, r.Msg, r.status, r.err, c.want)
			}
			if !strings.Contains(r.Msg, " rid: ") || r.contentType != "application/json; encoding=utf-8" {
				t.Errorf("refusal has the shape %q %q", r.contentType, r.Msg)
			}
		})
	}
	if left := u.Balance(TemplateID(ActivityReminder)); left != 3 || len(u.Messages()) != 0 {
		t.Errorf("refused sends left %d consents of 3 and %d messages", left, len(u.Messages()))
	}
}

func TestTheShapeOfACallIsCheckedBeforeItsToken(t *testing.T) {
	b := newBench(t, Config{})
	const send = "cgi-bin/message/subscribe/send"
	b.want("GET", b.do(http.MethodGet, send, ""), 43002)
	b.want("POST where GET is due", b.do(http.MethodPost, "wxaapi/newtmpl/gettemplate", "{}"), 43001)
	b.want("no body", b.do(http.MethodPost, send, ""), 44002)
	b.want("no JSON", b.do(http.MethodPost, send, "touser=x"), 47001)
	b.want("a key twice", b.do(http.MethodPost, send, `{"touser":"a","touser":"b"}`), 47001)
	b.want("a key in another case", b.do(http.MethodPost, send, `{"ToUser":"a"}`), 47001)
	b.want("two values", b.do(http.MethodPost, send, `{}{}`), 47001)
	b.want("more than 1 MiB", b.do(http.MethodPost, send, strings.Repeat(" ", 1<<20+1)), 45002)
	b.want("no token", b.do(http.MethodPost, send, "{}"), 41001)
	b.want("an invented token", b.do(http.MethodPost, send+"?access_token=x", "{}"), 40014)
	if n := b.Counters()[send]; n != 9 {
		t.Errorf("%d calls counted", n)
	}
}

func TestAnUnknownPathIsLoud(t *testing.T) {
	b := newBench(t, Config{})
	r := b.do(http.MethodPost, "wxa/img_sec_check", "")
	if r.status != http.StatusNotFound || b.Counters()["unknown /wxa/img_sec_check"] != 1 {
		t.Errorf("status %d, counters %v", r.status, b.Counters())
	}
}
