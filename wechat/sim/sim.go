// Package sim is a WeChat platform to develop and test against, in one
// process and in memory. Its law: it refuses whatever the platform refuses,
// with the same code, and where the platform's rule is not known it takes the
// stricter one and says so (see Assumptions). A client that passes here has
// not been tried on the platform; a client that fails here would fail there.
package sim

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/big"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
)

// Credentials used where Config leaves them empty.
const (
	DefaultAppID      = "wx5e1f0a2b3c4d5e6f"
	DefaultAppSecret  = "0123456789abcdef0123456789abcdef"
	DefaultOriginalID = "gh_0123456789ab"
)

// DefaultPages are the pages of the released mini-program where Config names none.
var DefaultPages = []string{"pages/index/index", "pages/activity/index", "pages/checkin/index", "pages/me/index", "pages/service/index"}

// Config describes the mini-program account that is simulated. The zero value
// is a working account without event pushes.
type Config struct {
	AppID      string
	AppSecret  string
	OriginalID string // gh_…, the ToUserName of every event

	// Clock is the platform's idea of now; nil is the real time. Advance adds to either.
	Clock func() time.Time

	Templates []Template // nil: DefaultTemplates
	Pages     []string   // app.json of the released version, main page first; nil: DefaultPages

	// Event pushes. With an empty PushURL none are made.
	PushURL        string
	PushToken      string
	EncodingAESKey string        // 43 characters
	PushMode       PushMode      // "": safe where there is a key, else plain
	PushFormat     PushFormat    // "": JSON
	PushWait       time.Duration // for one answer; 0: 5 s
	PushPause      time.Duration // real time between tries; 0: 500 ms

	Limits     map[string]Limit // by endpoint path, in place of the platform's own
	AllowedIPs []string         // who may ask for tokens; nil: everybody

	TokenDiesAtOnce     bool // a token replaced by cgi-bin/token dies at once, not after five minutes
	RefuseParallelSends bool // 43108 while another send to the same person is being answered
	KeptPopupEvents     bool // a popup event even where "always keep" suppressed the dialog
	UnionID             bool // the account is bound to an open platform

	Latency time.Duration // real time that every answer takes
	Seed    uint64        // of the dice behind Fault.Rate

	OpenBase string // where the page's "进入小程序查看" leads; the message's page is appended

	Log *slog.Logger // nil: nothing is logged
}

// Sim is the platform. It implements http.Handler: the endpoints of
// api.weixin.qq.com, a control interface below /_sim/ and a page of phones at /.
type Sim struct {
	cfg       Config
	log       *slog.Logger
	endpoints map[string]*endpoint
	control   *http.ServeMux
	offset    atomic.Int64
	pushes    *pushes
	closing   context.Context
	close     context.CancelFunc

	mu        sync.Mutex
	dice      *mathrand.Rand
	users     map[string]*User
	order     []*User
	codes     map[string]*code
	tokens    map[string]*token
	stable    *token
	plain     *token
	forced    forcing
	usage     map[string]*usage
	clears    monthly
	faults    []*Fault
	counters  map[string]int
	templates []Template
	pages     map[string]bool
	banned    map[string]bool
	lastMsgID int64
	scenes    map[[32]byte]Scanned
}

// New makes a platform with one mini-program account and no users. It panics
// on a key for the safe mode that is none.
func New(cfg Config) *Sim {
	setDefault(&cfg.AppID, DefaultAppID)
	setDefault(&cfg.AppSecret, DefaultAppSecret)
	setDefault(&cfg.OriginalID, DefaultOriginalID)
	setDefault(&cfg.PushWait, 5*time.Second)
	setDefault(&cfg.PushPause, 500*time.Millisecond)
	setDefault(&cfg.PushFormat, FormatJSON)
	if cfg.PushMode == "" {
		cfg.PushMode = ModePlain
		if cfg.EncodingAESKey != "" {
			cfg.PushMode = ModeSafe
		}
	}
	if cfg.PushMode == ModeSafe {
		if _, err := aesKey(cfg.EncodingAESKey); err != nil {
			panic(err)
		}
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now //nolint:forbidigo // as a process of its own the simulator is where time comes from
	}
	if cfg.Templates == nil {
		cfg.Templates = DefaultTemplates()
	}
	if len(cfg.Pages) == 0 {
		cfg.Pages = DefaultPages
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Sim{
		cfg:       cfg,
		log:       cfg.Log,
		dice:      mathrand.New(mathrand.NewPCG(cfg.Seed, 1)),
		users:     map[string]*User{},
		codes:     map[string]*code{},
		tokens:    map[string]*token{},
		usage:     map[string]*usage{},
		counters:  map[string]int{},
		templates: slices.Clone(cfg.Templates),
		pages:     map[string]bool{},
		banned:    map[string]bool{},
		lastMsgID: firstMsgID,
		scenes:    map[[32]byte]Scanned{},
	}
	for i := range s.templates {
		setDefault(&s.templates[i].Type, OneTime)
	}
	for _, p := range cfg.Pages {
		s.pages[p] = true
	}
	s.closing, s.close = context.WithCancel(context.Background())
	s.endpoints = s.platform()
	s.control = s.controls()
	s.pushes = newPushes(s)
	return s
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Close stops the pushing of events and returns when all is quiet. Slow
// answers that are under way are cut.
func (s *Sim) Close() {
	s.close()
	s.pushes.wait()
}

// Now is the platform's time.
func (s *Sim) Now() time.Time {
	return s.cfg.Clock().Add(time.Duration(s.offset.Load()))
}

// Advance moves the platform's clock; backwards too.
func (s *Sim) Advance(d time.Duration) {
	s.offset.Add(int64(d))
	s.pushes.wake()
}

// Counters counts what happened so far. A plain path counts the calls that
// arrived ("cgi-bin/message/subscribe/send"), "path code" the answers by
// errcode ("cgi-bin/message/subscribe/send 43101"), "path fault kind" the
// faults, "push event" the events that were taken and "push event failed" those
// given up, "unknown /path" calls to no endpoint.
func (s *Sim) Counters() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counters)
}

// endpoint is one call of the platform's interface.
type endpoint struct {
	method string
	token  bool     // wants an access_token
	query  []string // the parameters it knows, besides access_token
	limit  Limit
	// bind checks the shape of the call and returns the act that follows once
	// token and quota were found good.
	bind func(*call) (act, *refusal)
}

type act func() (any, *refusal)

// call is one request to an endpoint.
type call struct {
	path   string
	query  url.Values
	body   []byte
	remote string
	now    time.Time
	after  []func() // run under the lock once the answer is out
}

// refusal is how the platform says no.
type refusal struct {
	code int
	msg  string
}

func refuse(code int, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// done is the head of every good answer.
type done struct {
	Code int    `json:"errcode"`
	Msg  string `json:"errmsg"`
}

var ok = done{Msg: "ok"}

// plainText marks the answers that the platform labels text/plain.
type plainText struct{ value any }

// posted is an endpoint that wants an access token and a JSON body.
func posted[T any](limit Limit, serve func(*call, *T) (any, *refusal)) *endpoint {
	return &endpoint{method: http.MethodPost, token: true, limit: limit, bind: func(c *call) (act, *refusal) {
		in := new(T)
		if no := decode(c.body, in); no != nil {
			return nil, no
		}
		return func() (any, *refusal) { return serve(c, in) }, nil
	}}
}

// got is an endpoint that is asked by GET.
func got(limit Limit, token bool, query []string, serve func(*call) (any, *refusal)) *endpoint {
	return &endpoint{method: http.MethodGet, token: token, query: query, limit: limit, bind: func(c *call) (act, *refusal) {
		return func() (any, *refusal) { return serve(c) }, nil
	}}
}

// decode is stricter than the platform: a key that is unknown, doubled or in
// another letter case is refused, because there it would be silently ignored.
func decode(body []byte, in any) *refusal {
	if len(body) == 0 {
		return refuse(44002, "empty post data")
	}
	if err := json.Unmarshal(body, in, json.RejectUnknownMembers(true)); err != nil {
		return refuse(47001, "data format error: %v", err)
	}
	return nil
}

// ServeHTTP answers like the platform; see Sim.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	if e, known := s.endpoints[path]; known {
		s.answer(w, r, path, e)
		return
	}
	s.control.ServeHTTP(w, r)
}

// answer serves one call of the platform's interface, faults included.
func (s *Sim) answer(w http.ResponseWriter, r *http.Request, path string, e *endpoint) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	c := &call{path: path, query: r.URL.Query(), body: body, remote: r.RemoteAddr, now: s.Now()}
	fault := s.meet(path)
	var out reply
	switch {
	case err != nil:
		out = s.reply(c, nil, refuse(45002, "content size out of limit"))
	case fault != nil && fault.Kind == Code:
		out = s.reply(c, nil, fault.refusal())
	case fault == nil || fault.Done || fault.Kind == Truncated:
		value, no := s.do(c, e, r.Method)
		out = s.reply(c, value, no)
	}
	defer s.finish(c)
	if !s.pass(r.Context(), s.cfg.Latency) {
		panic(http.ErrAbortHandler)
	}
	if fault != nil {
		s.spoil(w, r, fault, out)
		return
	}
	out.write(w)
}

// do runs the checks in the platform's order: method and shape, token, quota,
// and then what the endpoint itself checks.
func (s *Sim) do(c *call, e *endpoint, method string) (any, *refusal) {
	if method != e.method {
		if e.method == http.MethodPost {
			return nil, refuse(43002, "require POST method")
		}
		return nil, refuse(43001, "require GET method")
	}
	if no := e.checkQuery(c.query); no != nil {
		return nil, no
	}
	act, no := e.bind(c)
	if no != nil {
		return nil, no
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.token {
		if no := s.checkToken(c); no != nil {
			return nil, no
		}
	}
	if no := s.use(c, e.limit); no != nil {
		return nil, no
	}
	return act()
}

// checkQuery refuses doubled and unknown parameters: what a client let slip
// into its URL unescaped shows up as one or the other.
func (e *endpoint) checkQuery(q url.Values) *refusal {
	known := map[string]bool{"access_token": e.token}
	for _, name := range e.query {
		known[name] = true
	}
	for name, values := range q {
		if !known[name] {
			return refuse(40097, "invalid args: unknown parameter %q", name)
		}
		if len(values) > 1 {
			return refuse(40097, "invalid args: parameter %q given %d times", name, len(values))
		}
	}
	return nil
}

// reply is an answer ready to be written, or to be spoiled.
type reply struct {
	status      int
	contentType string
	body        []byte
}

func (out reply) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", out.contentType)
	w.WriteHeader(out.status)
	_, _ = w.Write(out.body) // the caller has gone: nobody to tell
}

// reply turns the outcome of a call into bytes and counts it.
func (s *Sim) reply(c *call, value any, no *refusal) reply {
	code := 0
	if no != nil {
		code = no.code
		rid := s.rid()
		value = done{no.code, no.msg + " rid: " + rid}
		s.log.Warn("refused", "path", c.path, "code", no.code, "why", no.msg, "rid", rid)
	}
	s.count(fmt.Sprintf("%s %d", c.path, code))
	out := reply{status: http.StatusOK, contentType: "application/json; encoding=utf-8"}
	switch v := value.(type) {
	case picture:
		out.contentType, out.body = v.draw()
		s.remember(v, out.body)
		return out
	case plainText:
		out.contentType, value = "text/plain", v.value
	}
	body, err := json.Marshal(value, json.Deterministic(true))
	if err != nil {
		panic(err) // an answer of this package's own making
	}
	out.body = body
	return out
}

func (s *Sim) finish(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range c.after {
		f()
	}
}

func (s *Sim) count(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counters[what]++
}

// pass lets d of real time go by; false means that the caller left or the
// simulator was closed before.
func (s *Sim) pass(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.closing.Done():
	}
	return false
}

// rid has the shape of the platform's request ids.
func (s *Sim) rid() string {
	return fmt.Sprintf("%08x-%s-%s", uint32(s.Now().Unix()), randomString(hexDigits, 8), randomString(hexDigits, 8))
}

const (
	digits       = "0123456789"
	hexDigits    = digits + "abcdef"
	alphanumeric = digits + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	urlSafe      = alphanumeric + "-_"
)

func randomString(alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[randomInt(int64(len(alphabet)))]
	}
	return string(b)
}

func randomInt(n int64) int64 {
	v, err := rand.Int(rand.Reader, big.NewInt(n))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return v.Int64()
}
