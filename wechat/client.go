// Package wechat speaks with the WeChat platform for one mini-program: who signs
// in, what may be shown, whom a message reaches, and what the platform reports
// back. Its one law: nothing that leaves it, error or log line, holds a secret, a
// token or a full address, and nothing but its own plain types crosses its border.
package wechat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/silenceper/wechat/v2/miniprogram/auth"
	"github.com/silenceper/wechat/v2/miniprogram/config"
	sdk "github.com/silenceper/wechat/v2/miniprogram/context"
	"github.com/silenceper/wechat/v2/util"
)

// Platform is the only public address this package talks to.
const Platform = "https://api.weixin.qq.com"

const maxAnswer = 4 << 20

// Config says which mini-program this is and where its platform stands.
type Config struct {
	AppID     string
	AppSecret string

	// BaseURL is Platform, which is also the default, or a loopback address
	// such as http://127.0.0.1:8090 where a simulator listens.
	BaseURL string

	// Redis lets replicas share one access token; nil keeps it in this process.
	Redis redis.UniversalClient

	// Timeout ends every call, its token and its one retry included; 5 s by default.
	Timeout time.Duration

	Now func() time.Time
	Log *slog.Logger

	// Observe, if set, is told of every exchange with the platform: the endpoint,
	// the kind of error or "" for success, and how long it took.
	Observe func(api, kind string, took time.Duration)

	EnvVersion       string // what codes and links open: release (default), trial, develop
	MiniProgramState string // what messages open: formal (default), trial, developer
}

// Client calls the platform. It is safe for many goroutines, and replicas that
// share a Redis share the access token.
type Client struct {
	appID, appSecret string
	env, state       string
	timeout          time.Duration
	now              func() time.Time
	log              *slog.Logger
	observe          func(api, kind string, took time.Duration)
	route            *route
	auth             *auth.Auth
	tokens           *tokens
}

var credential = regexp.MustCompile(`^[0-9A-Za-z_-]{1,128}$`)

// New makes a client, or refuses a setting with KindConfig. It calls nobody.
func New(cfg Config) (*Client, error) {
	wrong := func(field, message string) (*Client, error) {
		return nil, &Error{API: "config", Field: field, Message: field + " " + message, kind: KindConfig}
	}
	if !credential.MatchString(cfg.AppID) {
		return wrong("AppID", "is missing or malformed")
	}
	if !credential.MatchString(cfg.AppSecret) {
		return wrong("AppSecret", "is missing or malformed")
	}
	if cfg.Now == nil {
		return wrong("Now", "is missing")
	}
	route, ok := newRoute(cfg.BaseURL)
	if !ok {
		return wrong("BaseURL", "must be "+Platform+" or a loopback address without a path")
	}
	env, ok := oneOf(cfg.EnvVersion, "release", "trial", "develop")
	if !ok {
		return wrong("EnvVersion", "must be release, trial or develop")
	}
	state, ok := oneOf(cfg.MiniProgramState, "formal", "trial", "developer")
	if !ok {
		return wrong("MiniProgramState", "must be formal, trial or developer")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Observe == nil {
		cfg.Observe = func(string, string, time.Duration) {}
	}
	useOwnHTTPClient()
	c := &Client{
		appID: cfg.AppID, appSecret: cfg.AppSecret, env: env, state: state,
		timeout: cfg.Timeout, now: cfg.Now, log: cfg.Log, observe: cfg.Observe, route: route,
		auth: auth.NewAuth(&sdk.Context{Config: &config.Config{AppID: cfg.AppID, AppSecret: cfg.AppSecret}}),
	}
	c.tokens = newTokens(cfg.AppID, cfg.Redis, cfg.Now, cfg.Log, c.fetchToken)
	return c, nil
}

// oneOf is value, or the first of allowed for an empty one.
func oneOf(value string, allowed ...string) (string, bool) {
	if value == "" {
		return allowed[0], true
	}
	for _, a := range allowed {
		if value == a {
			return value, true
		}
	}
	return "", false
}

// answer is the part every reply of the platform may have.
type answer struct {
	ErrCode *text  `json:"errcode"`
	ErrMsg  string `json:"errmsg"`
}

// get and post call path with an access token and decode the answer into reply,
// a pointer to a struct, or a *[]byte that takes the bytes of a file.
func (c *Client) get(ctx context.Context, api, path string, reply any) error {
	return c.withToken(ctx, api, KindBusy, func(ctx context.Context, token string) error {
		body, err := util.HTTPGetContext(ctx, address(path, token))
		if err != nil {
			return err
		}
		return c.read(api, KindBusy, body, reply)
	})
}

func (c *Client) post(ctx context.Context, api, path string, request, reply any) error {
	return c.postOnce(ctx, api, path, KindBusy, request, reply)
}

// postOnce is post for what must not be repeated blindly: lost is the kind of
// the error when the request went out and no readable answer came.
func (c *Client) postOnce(ctx context.Context, api, path, lost string, request, reply any) error {
	return c.withToken(ctx, api, lost, func(ctx context.Context, token string) error {
		body, err := util.PostJSONContext(ctx, address(path, token), request)
		if err != nil {
			return err
		}
		return c.read(api, lost, body, reply)
	})
}

func address(path, token string) string {
	return Platform + path + "?access_token=" + url.QueryEscape(token)
}

// withToken gives call an access token, and once more another one if the
// platform refused the first.
func (c *Client) withToken(ctx context.Context, api, lost string, call func(ctx context.Context, token string) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	refused := ""
	for {
		token, err := c.tokens.get(ctx, refused)
		if err != nil {
			return err
		}
		err = c.exchange(ctx, api, lost, func(ctx context.Context) error { return call(ctx, token) })
		var e *Error
		if refused == "" && errors.As(err, &e) && (e.Code == 40001 || e.Code == 40014 || e.Code == 42001) {
			refused = token
			continue
		}
		return err
	}
}

// exchange makes one request within the deadline. Whatever call returns, the
// error is an *Error without an address in it.
func (c *Client) exchange(ctx context.Context, api, lost string, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	ctx, connected := c.onRoute(ctx)
	began := c.now()
	err := call(ctx)
	if err == nil {
		c.observe(api, "", c.now().Sub(began))
		return nil
	}
	var e *Error
	if !errors.As(err, &e) {
		if !connected.Load() {
			lost = KindBusy // without a connection nothing can have been done
		}
		e = fault(api, lost, err)
	}
	c.observe(api, e.Kind(), c.now().Sub(began))
	return e
}

// read decodes an answer. Bytes that are neither JSON nor a wanted file came from
// something between us and the platform, so they say nothing about the outcome.
func (c *Client) read(api, lost string, body []byte, reply any) error {
	file, wantsFile := reply.(*[]byte)
	if wantsFile && len(body) > 0 && body[0] != '{' {
		*file = body
		return nil
	}
	var a answer
	if !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) || json.Unmarshal(body, &a) != nil {
		return fault(api, lost, errUnreadable)
	}
	if a.ErrCode != nil {
		code, err := strconv.ParseInt(string(*a.ErrCode), 10, 64)
		if err != nil {
			return fault(api, lost, errUnreadable)
		}
		if code != 0 {
			return c.refusal(api, code, a.ErrMsg)
		}
	}
	if wantsFile || json.Unmarshal(body, reply) != nil {
		return fault(api, lost, errUnreadable)
	}
	return nil
}

// text is a string that the platform may also write as a number or leave null.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	switch {
	case string(b) == "null":
		return nil
	case b[0] == '"':
		var s string
		err := json.Unmarshal(b, &s)
		*t = text(s)
		return err
	case b[0] == '{' || b[0] == '[':
		return errUnreadable
	}
	*t = text(b)
	return nil
}

// route is where the requests of one client really go.
type route struct {
	scheme, host string
	next         http.RoundTripper
}

type routeKey struct{}

// onRoute marks a request as ours and tells whether it got a connection.
func (c *Client) onRoute(ctx context.Context) (context.Context, *atomic.Bool) {
	connected := new(atomic.Bool)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	return context.WithValue(ctx, routeKey{}, c.route), connected
}

func newRoute(base string) (*route, bool) {
	if base == "" {
		base = Platform
	}
	u, err := url.Parse(base)
	if err != nil || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return nil, false
	}
	dialer := &net.Dialer{Timeout: 3 * time.Second, KeepAlive: 30 * time.Second}
	transport := &http.Transport{
		DialContext:         dialer.DialContext,
		ForceAttemptHTTP2:   true,
		MaxIdleConns:        64,
		MaxIdleConnsPerHost: 64, // the default of 2 makes a sending worker dial all the time
		IdleConnTimeout:     60 * time.Second,
		TLSHandshakeTimeout: 3 * time.Second,
	}
	if u.Scheme+"://"+u.Host == Platform {
		transport.Proxy = http.ProxyFromEnvironment
		return &route{u.Scheme, u.Host, transport}, true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	loopback := u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
	if !loopback || u.Scheme != "http" && u.Scheme != "https" {
		return nil, false
	}
	// A name may resolve to anything: what counts is the address dialled.
	dialer.Control = func(_, address string, _ syscall.RawConn) error {
		if to, err := netip.ParseAddrPort(address); err != nil || !to.Addr().IsLoopback() {
			return errRoute
		}
		return nil
	}
	return &route{u.Scheme, u.Host, transport}, true
}

var ownHTTPClient sync.Once

// useOwnHTTPClient replaces the SDK's process-wide client, which has no deadline
// and no border. The new one serves every Client of the process: each request
// carries its route, and one without a route goes nowhere.
func useOwnHTTPClient() {
	ownHTTPClient.Do(func() {
		util.DefaultHTTPClient = &http.Client{Transport: gate{}, Timeout: time.Minute}
	})
}

type gate struct{}

func (gate) RoundTrip(r *http.Request) (*http.Response, error) {
	to, ok := r.Context().Value(routeKey{}).(*route)
	if !ok || r.URL.Scheme+"://"+r.URL.Host != Platform {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, errRoute
	}
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.Host = to.scheme, to.host, ""
	resp, err := to.next.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	// The SDK answers another status with an error that quotes the address, and
	// http.Client would follow a redirect: neither gets to see one.
	if resp.StatusCode != http.StatusOK {
		_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
		resp.Body.Close()
		return nil, statusError(resp.StatusCode)
	}
	resp.Body = &limitedBody{resp.Body, maxAnswer}
	return resp, nil
}

type limitedBody struct {
	io.ReadCloser
	left int
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, errAnswerTooLong
	}
	return n, err
}
