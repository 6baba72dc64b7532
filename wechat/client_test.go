package wechat_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/silenceper/wechat/v2/util"

	"dangri/wechat"
	"dangri/wechat/sim"
)

const (
	appID     = "wx0000000000000001"
	appSecret = "PLANTED-SECRET-0f1e2d3c4b5a6978"
)

// simulated starts a platform with one account and a client of it.
func simulated(t *testing.T, cfg sim.Config, change ...func(*wechat.Config)) (*sim.Sim, *wechat.Client) {
	t.Helper()
	if cfg.AppID == "" {
		cfg.AppID = appID
	}
	cfg.AppSecret = appSecret
	platform := sim.New(cfg)
	t.Cleanup(platform.Close)
	server := httptest.NewServer(platform)
	t.Cleanup(server.Close)
	change = append([]func(*wechat.Config){func(c *wechat.Config) { c.AppID = cfg.AppID }}, change...)
	return platform, connect(t, server.URL, change...)
}

// connect makes a client of whatever listens at base.
func connect(t testing.TB, base string, change ...func(*wechat.Config)) *wechat.Client {
	t.Helper()
	cfg := wechat.Config{AppID: appID, AppSecret: appSecret, BaseURL: base, Now: time.Now}
	for _, f := range change {
		f(&cfg)
	}
	c, err := wechat.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// scripted serves the answers that no honest platform gives. A token is always to be had.
func scripted(t testing.TB, answer http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cgi-bin/stable_token" {
			fmt.Fprintf(w, `{"access_token":%q,"expires_in":7200}`, plantedToken)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

var plantedToken = "92_PLANTED-TOKEN" + strings.Repeat("x", 140)

func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

func wantKind(t *testing.T, err error, kind string) *wechat.Error {
	t.Helper()
	var e *wechat.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v (%T), want an *Error of kind %s", err, err, kind)
	}
	if e.Kind() != kind {
		t.Fatalf("got kind %s (%v), want %s", e.Kind(), err, kind)
	}
	return e
}

func message(openID string) wechat.Message {
	return wechat.Message{OpenID: openID, TemplateID: strings.Repeat("T", 43), Page: "pages/index/index", Data: map[string]string{"thing1": "主题党日"}}
}

// calls is every use of a client that speaks with the platform.
func calls(c *wechat.Client) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"SignIn":      func(ctx context.Context) error { _, err := c.SignIn(ctx, "PLANTEDCODE1"); return err },
		"PhoneNumber": func(ctx context.Context) error { _, err := c.PhoneNumber(ctx, "PLANTEDCODE2"); return err },
		"CheckText":   func(ctx context.Context) error { _, err := c.CheckText(ctx, "oPLANTEDPERSON", "学习"); return err },
		"CheckMedia": func(ctx context.Context) error {
			_, err := c.CheckMedia(ctx, "oPLANTEDPERSON", "https://example.cn/a.jpg")
			return err
		},
		"Send": func(ctx context.Context) error { _, err := c.Send(ctx, message("oPLANTEDPERSON")); return err },
		"MiniProgramCode": func(ctx context.Context) error {
			_, _, err := c.MiniProgramCode(ctx, wechat.CodeRequest{Scene: "a"})
			return err
		},
		"URLLink":   func(ctx context.Context) error { _, err := c.URLLink(ctx, "pages/index/index", "", 1); return err },
		"Templates": func(ctx context.Context) error { _, err := c.Templates(ctx); return err },
		"Quota":     func(ctx context.Context) error { _, err := c.Quota(ctx, "/wxa/msg_sec_check"); return err },
	}
}

func TestOnlyThePlatformAndLoopbackAreAllowed(t *testing.T) {
	for base, allowed := range map[string]bool{
		"":                                    true,
		"https://api.weixin.qq.com":           true,
		"https://api.weixin.qq.com/":          true,
		"http://127.0.0.1:8090":               true,
		"http://127.9.9.9:8090/":              true,
		"http://[::1]:8090":                   true,
		"http://localhost:8090":               true,
		"https://localhost":                   true,
		"http://api.weixin.qq.com":            false,
		"https://api.weixin.qq.com:8443":      false,
		"https://api.weixin.qq.com.evil.cn":   false,
		"https://api.weixin.qq.com@evil.cn":   false,
		"https://evil.cn/api.weixin.qq.com":   false,
		"https://user:pw@api.weixin.qq.com":   false,
		"http://user@127.0.0.1":               false,
		"http://127.0.0.1/path":               false,
		"http://127.0.0.1?x=1":                false,
		"http://10.0.0.1":                     false,
		"http://0.0.0.0":                      false,
		"http://169.254.169.254":              false,
		"http://localhost.evil.cn":            false,
		"ftp://127.0.0.1":                     false,
		"127.0.0.1:8090":                      false,
		"unix:/tmp/x":                         false,
		"https://api.weixin.qq.com%2eevil.cn": false,
	} {
		_, err := wechat.New(wechat.Config{AppID: appID, AppSecret: appSecret, BaseURL: base, Now: time.Now})
		if (err == nil) != allowed {
			t.Errorf("%q: got %v, allowed %v", base, err, allowed)
		}
		if err != nil {
			wantKind(t, err, wechat.KindConfig)
		}
	}
}

func TestAWrongSettingIsRefusedByName(t *testing.T) {
	good := wechat.Config{AppID: appID, AppSecret: appSecret, Now: time.Now}
	for field, spoil := range map[string]func(*wechat.Config){
		"AppID":            func(c *wechat.Config) { c.AppID = "wx1&secret=x" },
		"AppSecret":        func(c *wechat.Config) { c.AppSecret = "" },
		"Now":              func(c *wechat.Config) { c.Now = nil },
		"EnvVersion":       func(c *wechat.Config) { c.EnvVersion = "formal" },
		"MiniProgramState": func(c *wechat.Config) { c.MiniProgramState = "release" },
	} {
		cfg := good
		spoil(&cfg)
		_, err := wechat.New(cfg)
		if e := wantKind(t, err, wechat.KindConfig); e.Field != field {
			t.Errorf("got %q, want %q", e.Field, field)
		}
	}
}

func TestARequestThatIsNotOurClientsGoesNowhere(t *testing.T) {
	connect(t, "http://127.0.0.1:1")
	for _, address := range []string{wechat.Platform + "/sns/jscode2session", "https://example.cn/", "http://127.0.0.1:1/"} {
		if _, err := util.HTTPGet(address); err == nil || !strings.Contains(err.Error(), "address not allowed") {
			t.Errorf("%s: got %v", address, err)
		}
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	var followed atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	defer elsewhere.Close()
	server := scripted(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+r.URL.String(), http.StatusTemporaryRedirect)
	})
	for name, call := range calls(connect(t, server.URL)) {
		if err := call(t.Context()); err == nil {
			t.Errorf("%s took a redirect for an answer", name)
		}
	}
	if n := followed.Load(); n != 0 {
		t.Errorf("%d redirects followed", n)
	}
}

func TestClientsInOneProcessKeepTheirPlatformsApart(t *testing.T) {
	one, first := simulated(t, sim.Config{})
	two, second := simulated(t, sim.Config{})
	for _, c := range []struct {
		client *wechat.Client
		user   *sim.User
	}{{first, one.NewUser("")}, {second, two.NewUser("")}} {
		got, err := c.client.SignIn(t.Context(), c.user.LoginCode())
		if err != nil || got != c.user.OpenID {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

// Broken answers: what comes from gateways, cut lines and dead servers.
var broken = map[string]http.HandlerFunc{
	"HTML with 502": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, "<html>Bad Gateway</html>")
	},
	"HTML with 200": says("<html>please log in</html>"),
	"empty":         says(""),
	"cut JSON":      says(`{"errcode":0,"errm`),
	"other JSON":    says(`[1]`),
	"null":          says(`null`),
	"nothing known": says(`{}`),
	"odd errcode":   says(`{"errcode":{"a":1}}`),
	"reset":         func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	"cut body": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"errcode":0,"errmsg":"ok","msgid":1}`)
	},
	"too long": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"errcode":0,"msgid":1,"trace_id":"t","openid":"o1","result":{"suggest":"pass"},"errmsg":"`)
		_, _ = w.Write(bytes.Repeat([]byte("a"), 4<<20))
		_, _ = io.WriteString(w, `"}`)
	},
}

func TestAnAnswerThatCannotBeReadIsBusyExceptForASendWhereItIsUnknown(t *testing.T) {
	for fault, answer := range broken {
		server := scripted(t, answer)
		client := connect(t, server.URL)
		for name, call := range calls(client) {
			t.Run(name+" "+fault, func(t *testing.T) {
				want := wechat.KindBusy
				if name == "Send" {
					want = wechat.KindUnknownOutcome
				}
				e := wantKind(t, call(t.Context()), want)
				if words := reasons[fault]; words != "" && e.Message != words {
					t.Errorf("got %q, want %q", e.Message, words)
				}
			})
		}
	}
}

// reasons are what an operator reads of some of them.
var reasons = map[string]string{
	"HTML with 502": "HTTP status 502",
	"HTML with 200": "answer not readable",
	"too long":      "answer too long",
	"cut body":      "connection closed before the answer was complete",
}

func TestASendWithoutAnAnswerIsNotRepeated(t *testing.T) {
	for fault, answer := range broken {
		var sends atomic.Int32
		server := scripted(t, func(w http.ResponseWriter, r *http.Request) {
			sends.Add(1)
			answer(w, r)
		})
		_, err := connect(t, server.URL).Send(t.Context(), message("o1"))
		wantKind(t, err, wechat.KindUnknownOutcome)
		if n := sends.Load(); n != 1 {
			t.Errorf("%s: sent %d times", fault, n)
		}
	}
}

func TestASendThatNeverLeftIsBusyNotUnknown(t *testing.T) {
	t.Run("no token to be had", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listener.Close()
		_, err = connect(t, "http://"+listener.Addr().String()).Send(t.Context(), message("o1"))
		wantKind(t, err, wechat.KindBusy)
	})
	t.Run("connection refused after the token came", func(t *testing.T) {
		var server *httptest.Server
		server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			server.Listener.Close()
			w.Header().Set("Connection", "close")
			_, _ = io.WriteString(w, `{"access_token":"t","expires_in":7200}`)
		}))
		defer server.Close()
		_, err := connect(t, server.URL).Send(t.Context(), message("o1"))
		if e := wantKind(t, err, wechat.KindBusy); e.API != "message/subscribe/send" {
			t.Errorf("got %v", e)
		}
	})
	t.Run("caller gone before", func(t *testing.T) {
		client := connect(t, scripted(t, says(`{"errcode":0,"msgid":1}`)).URL)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := client.Send(ctx, message("o1"))
		wantKind(t, err, wechat.KindBusy)
	})
}

func TestEveryCallEndsWithinItsDeadline(t *testing.T) {
	release := make(chan struct{})
	server := scripted(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	client := connect(t, server.URL, func(c *wechat.Config) { c.Timeout = 100 * time.Millisecond })
	for name, call := range calls(client) {
		t.Run(name, func(t *testing.T) {
			want := wechat.KindBusy
			if name == "Send" {
				want = wechat.KindUnknownOutcome
			}
			began := time.Now()
			err := call(t.Context())
			wantKind(t, err, want)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v does not tell of the deadline", err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestACancelledCallIsAnErrorOfThisPackageThatTellsSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := scripted(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does a server notice that its client left
		cancel()
		<-r.Context().Done()
	})
	_, err := connect(t, server.URL).Send(ctx, message("o1"))
	wantKind(t, err, wechat.KindUnknownOutcome)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v does not tell of the cancellation", err)
	}
}

func TestNoErrorAndNoLogHoldsASecretATokenOrAnAddress(t *testing.T) {
	faults := map[string]http.HandlerFunc{
		"echo": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"errcode":47003,"errmsg":"bad: %s https://api.weixin.qq.com\n\u001b[31m rid: 1-2-3"}`, r.URL.RawQuery)
		},
		"bare echo": says(fmt.Sprintf(`{"errcode":-1,"errmsg":"system error %s (%s)"}`, appSecret, plantedToken)),
		"junk header": func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			fmt.Fprintf(conn, "%s\r\n\r\n", r.URL)
			conn.Close()
		},
		"token refused": says(`{"errcode":40001,"errmsg":"invalid credential"}`),
	}
	for name, f := range broken {
		faults[name] = f
	}
	planted := []string{appSecret, plantedToken, "PLANTEDCODE", "PLANTEDPERSON", "://", "access_token=", "js_code="}
	leaks := func(text string) (found []string) {
		for _, p := range planted {
			if strings.Contains(text, p) {
				found = append(found, p)
			}
		}
		return found
	}

	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	checked := 0
	check := func(name string, err error) {
		if err == nil {
			return
		}
		checked++
		logger.Info("call failed", "error", err)
		if found := leaks(fmt.Sprintf("%v %+v %#v", err, err, err)); found != nil {
			t.Errorf("%s: %v in %v", name, found, err)
		}
	}
	for fault, answer := range faults {
		server := scripted(t, answer)
		client := connect(t, server.URL, func(c *wechat.Config) { c.Log = logger })
		for name, call := range calls(client) {
			check(name+" "+fault, call(t.Context()))
		}
		server.Close()
		for name, call := range calls(client) {
			check(name+" closed", call(t.Context()))
		}
		// The token endpoint itself may misbehave as well.
		bad := httptest.NewServer(answer)
		_, err := connect(t, bad.URL, func(c *wechat.Config) { c.Log = logger }).Templates(t.Context())
		check("token "+fault, err)
		bad.Close()
	}
	if found := leaks(log.String()); found != nil {
		t.Errorf("%v in the log", found)
	}
	if checked < 200 {
		t.Errorf("only %d errors looked at", checked)
	}

	_, raw := http.Get("http://127.0.0.1:1/?secret=" + appSecret)
	if leaks(raw.Error()) == nil {
		t.Error("control: the plain client's error should have shown the secret")
	}
}

func TestEveryExchangeIsObservedWithItsOutcome(t *testing.T) {
	var seen []string
	platform, client := simulated(t, sim.Config{}, func(c *wechat.Config) {
		c.Observe = func(api, kind string, took time.Duration) {
			if took < 0 {
				t.Errorf("%s took %v", api, took)
			}
			seen = append(seen, api+" "+kind)
		}
	})
	user := platform.NewUser("")
	if _, err := client.PhoneNumber(t.Context(), user.PhoneCode()); err != nil {
		t.Fatal(err)
	}
	_, err := client.SignIn(t.Context(), "unknown")
	wantKind(t, err, wechat.KindBadCode)
	got := strings.Join(seen, ", ")
	if want := "stable_token , getuserphonenumber , jscode2session bad_code"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Whatever answers in the platform's place, nobody panics, an error tells what to
// do in few words without a secret, and a success hands on what can be used. A
// message whose answer was not understood may have been sent.
func FuzzAnAnswerOfThePlatform(f *testing.F) {
	for _, seed := range []string{
		`{"errcode":0,"msgid":1,"trace_id":"t","openid":"o1","session_key":"k","result":{"suggest":"pass"},"url_link":"https://wxaurl.cn/a","phone_info":{"purePhoneNumber":"13800000000"},` +
			`"data":[{"priTmplId":"T","content":"主题:{{thing1.DATA}}","type":3}],"quota":{"daily_limit":1,"used":"0","remain":1}}`,
		`{"errcode":"47003","errmsg":"argument invalid! data.thing3.value invalid rid: 1-2-3"}`, `{"errcode":40001,"errmsg":"invalid credential"}`,
		`{"errcode":-1,"errmsg":"rid: ` + appSecret + `"}`, `{"errcode":-1,"errmsg":"rid: ` + strings.Repeat("1", 5000) + `"}`,
		`{"errcode":43101,"errmsg":"` + plantedToken + ` https://api.weixin.qq.com\n"}`, `{"errcode":1e3}`, `{"errcode":{}}`, `{"errcode":null}`, `{}`, `[]`, `null`, "", "<html>", "\x89PNG\r\n\x1a\n", "{\"errmsg\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	var body []byte
	server := scripted(f, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
	client := connect(f, server.URL)
	f.Fuzz(func(t *testing.T, answer []byte) {
		body = answer
		for name, call := range calls(client) {
			err := call(t.Context())
			var e *wechat.Error
			if err == nil {
				continue
			}
			if !errors.As(err, &e) || e.Kind() == "" {
				t.Fatalf("%s: %v (%T)", name, err, err)
			}
			if said := fmt.Sprintf("%v %s", err, e.Field); len(said) > 2000 || strings.ContainsFunc(said, unicode.IsControl) || strings.Contains(said, "://") ||
				strings.Contains(said, appSecret) || strings.Contains(said, plantedToken) {
				t.Errorf("%s says %.300q", name, said)
			}
			if unknown := e.Kind() == wechat.KindUnknownOutcome; unknown != (name == "Send" && e.Code == 0) {
				t.Errorf("%s is %s: %v", name, e.Kind(), err)
			}
		}
		if openID, err := client.SignIn(t.Context(), "CODE1"); err == nil && !plainName.MatchString(openID) {
			t.Errorf("signed in as %q", openID)
		}
		if verdict, err := client.CheckText(t.Context(), "oPERSON", "学习"); err == nil && verdict != wechat.Pass && verdict != wechat.Review && verdict != wechat.Risky {
			t.Errorf("the verdict is %q", verdict)
		}
		if phone, err := client.PhoneNumber(t.Context(), "CODE2"); err == nil && strings.Trim(phone, "0123456789") != "" {
			t.Errorf("the number is %q", phone)
		}
	})
}

var plainName = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)
