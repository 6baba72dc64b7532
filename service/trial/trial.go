// Package trial sets up a small world of real parts for tests: every use case
// over a database and a Redis of its own, with a WeChat platform to talk to and
// a clock to turn. Its one law: nothing here stands in for a store.
//
// Only tests import it: those of package service, from outside of it, and
// those of the packages above. A test runs once on the embedded stores and
// once on MySQL and Redis:
//
//	trial.EachStore(t, func(t *testing.T, w *trial.World) {
//		branch := w.Branch("第一党支部")
//		secretary := w.Member(branch, "丁一")
//		w.Post(secretary, branch, model.Secretary)
//		_, err := w.Activities.Draft(t.Context(), w.Actor(secretary), …)
//	})
//
// MySQL is the server of DANGRI_TEST_MYSQL_DSN, by default
// root@tcp(127.0.0.1:3306)/, and Redis that of DANGRI_TEST_REDIS_ADDR, by
// default 127.0.0.1:6379. Where one of them cannot be reached the test fails.
package trial

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
	"gorm.io/gorm"

	"dangri/config"
	"dangri/model"
	"dangri/service"
	"dangri/wechat"
	"dangri/wechat/sim"
)

// The stores of a World.
const (
	SQLite = "sqlite" // a file, and a Redis inside the process
	MySQL  = "mysql"  // a MySQL or MariaDB server, and a Redis server
)

// Zone is where the party organisation of every World is.
var Zone = time.FixedZone("Asia/Shanghai", 8*60*60)

// Start is the time at which every World begins: a Tuesday, 14:00 in Zone.
var Start = time.Date(2026, 3, 10, 14, 0, 0, 0, Zone)

// World is every use case with the parts under it. Nothing in it is shared
// with another World.
type World struct {
	*service.Services
	Parts  service.Parts
	Store  string // SQLite or MySQL
	DSN    string // of DB
	DB     *gorm.DB
	Redis  *Redis
	Clock  *Clock
	WeChat *sim.Sim
	Log    *Log

	t        testing.TB
	cleanups *cleanups
	database *database
	meter    meter

	mu       sync.Mutex
	district *model.Organisation
	agencies *model.Organisation
	people   int
	tokens   map[uint64]string
}

// Option changes what the use cases are made of before they are made.
type Option func(*service.Parts)

// EachStore runs a test twice, in parallel with others: on the embedded stores
// and on MySQL and Redis.
func EachStore(t *testing.T, test func(t *testing.T, w *World), options ...Option) {
	t.Helper()
	t.Parallel()
	for _, store := range []string{SQLite, MySQL} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			test(t, New(t, store, options...))
		})
	}
}

// New makes a World on one of the stores. It is taken down when the test ends.
func New(t testing.TB, store string, options ...Option) *World {
	t.Helper()
	w := &World{t: t, Store: store, Clock: newClock(Start), Log: &Log{}, tokens: map[uint64]string{}, cleanups: &cleanups{}}
	t.TempDir() // goes after all that is in it has been closed
	t.Cleanup(w.cleanups.run)
	w.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the log:\n%s", w.Log.tail(50))
		}
	})
	w.openDatabase()
	w.Cleanup(w.creditsHold)
	w.openRedis()
	w.WeChat = sim.New(sim.Config{Clock: w.Clock.Now, PushToken: pushToken, EncodingAESKey: pushKey, PushPause: 10 * time.Millisecond,
		RefuseParallelSends: true})
	w.Cleanup(w.WeChat.Close)
	server := httptest.NewServer(w.WeChat)
	w.Cleanup(server.Close)
	platform, err := wechat.New(wechat.Config{
		AppID: sim.DefaultAppID, AppSecret: sim.DefaultAppSecret, BaseURL: server.URL, Now: w.Clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Parts = service.Parts{
		DB: w.DB, Redis: w.Redis.client, Prefix: w.Redis.prefix, Platform: platform, Files: service.Folder(t.TempDir()),
		Keys: service.Keys{Seal: []service.SealKey{{ID: "trial", Key: random(32)}}, Index: random(32), Code: random(32)},
		Settings: service.Settings{
			Zone: Zone, SessionIdle: 720 * time.Hour, SessionLife: 4320 * time.Hour, InvitationLife: 72 * time.Hour,
			CodeStep: 15 * time.Second, CodeMargin: 10 * time.Second, TypedStep: time.Minute, PublicURL: "https://dj.example.cn",
			LateRecordDays: 7,
			Catalogue:      catalogue(t), Sending: model.SendingRules{QuietFrom: 22 * time.Hour, QuietUntil: 7 * time.Hour, PerDay: 5},
		},
		Now: w.Clock.Now,
		Log: slog.New(slog.NewJSONHandler(w.Log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, change := range options {
		change(&w.Parts)
	}
	w.Services = w.Replica()
	return w
}

// Replica is one more process over the same stores: use cases of their own
// that share nothing with the others but what the stores hold.
func (w *World) Replica(options ...Option) *service.Services {
	w.t.Helper()
	parts := w.Parts
	for _, change := range options {
		change(&parts)
	}
	services := service.New(parts)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- services.Run(ctx) }()
	w.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("background work: %v", err)
		}
	})
	return services
}

// How the platform signs what it pushes.
const (
	pushToken = "trial-push"
	pushKey   = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
)

// catalogue is the development default: the templates of the platform here.
func catalogue(t testing.TB) model.Catalogue {
	t.Helper()
	raw, err := config.Settings{}.TemplateFile()
	if err != nil {
		t.Fatal(err)
	}
	c, err := model.ReadCatalogue(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Pushes is the endpoint at which the use cases hear from the platform.
func (w *World) Pushes(s *service.Services) http.Handler {
	w.t.Helper()
	log := slog.New(slog.NewJSONHandler(w.Log, nil))
	memory := wechat.NewMemory(nil, w.Clock.Now, log)
	push, err := wechat.NewPush(wechat.PushConfig{
		AppID: sim.DefaultAppID, Token: pushToken, EncodingAESKey: pushKey, Now: w.Clock.Now, Log: log,
		Seen: memory.Seen, Forget: memory.Forget,
		Receive: func(ctx context.Context, events []wechat.Event) error {
			out := make([]service.PlatformEvent, len(events))
			for i, e := range events {
				out[i] = service.PlatformEvent{Kind: service.PlatformEventKind(e.Kind), Key: e.Key, OpenID: e.OpenID, At: e.At,
					TemplateID: e.TemplateID, Accepted: e.Status == "accept", MsgID: e.MsgID, Failed: e.ErrorCode != 0}
			}
			return s.Receive(ctx, out)
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return push
}

// Connect lets the platform push its events to the use cases.
func (w *World) Connect() {
	w.t.Helper()
	server := httptest.NewServer(w.Pushes(w.Services))
	w.Cleanup(server.Close)
	w.WeChat.PushTo(server.URL)
}

// Heard returns when the use cases have been told of everything that happened.
func (w *World) Heard() {
	w.t.Helper()
	if err := w.WeChat.Drain(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// Main runs the tests of a package and demands that they leave nothing
// running. Call it from TestMain.
func Main(m *testing.M) {
	// Stores are cut off here again and again; their drivers need not tell.
	redis.SetLogger(silent{})
	_ = mysql.SetLogger(&mysql.NopLogger{})
	// A pool that looks for its Redis notices within a second that it was closed.
	goleak.VerifyTestMain(closing{m}, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

type closing struct{ m *testing.M }

func (c closing) Run() int {
	defer closeServer()
	return c.m.Run()
}

// Clock is a clock that only a test turns.
type Clock struct {
	mu     sync.Mutex
	now    time.Time
	turned []func(time.Time, time.Duration)
}

func newClock(start time.Time) *Clock { return &Clock{now: start.UTC().Truncate(time.Millisecond)} }

// Now is the time, in UTC and whole milliseconds.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance turns the clock, backwards too. The embedded Redis goes along; a
// Redis server keeps its own time.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d = d.Truncate(time.Millisecond)
	c.now = c.now.Add(d)
	for _, f := range c.turned {
		f(c.now, d)
	}
}

// Set turns the clock to a moment.
func (c *Clock) Set(at time.Time) { c.Advance(at.Sub(c.Now())) }

// Log keeps what was logged.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *Log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(line)
}

// String is everything that was logged so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// tail is the last so many lines: more would hide what the test says.
func (l *Log) tail(lines int) string {
	all := slices.Collect(strings.Lines(l.String()))
	return strings.Join(all[max(0, len(all)-lines):], "")
}

// Race calls f with 0 … n-1 at the same moment and returns when all are done.
func Race(n int, f func(i int)) {
	start := make(chan struct{})
	var ready, done sync.WaitGroup
	for i := range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			f(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

// Eventually waits until something has become true, such as what a replica
// hears of in the background.
func Eventually(t testing.TB, what string, happened func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	look := time.NewTicker(25 * time.Millisecond)
	defer look.Stop()
	for !happened() {
		select {
		case <-ctx.Done():
			t.Fatalf("it did not come to pass: %s", what)
		case <-look.C:
		}
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return b
}
