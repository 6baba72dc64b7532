package wechat_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"dangri/wechat"
	"dangri/wechat/sim"
)

const (
	tokenPath = "cgi-bin/stable_token"
	listPath  = "wxaapi/newtmpl/gettemplate"
)

// sharedRedis gives a connection and an account whose key no other test uses.
func sharedRedis(t *testing.T) (connectRedis func() redis.UniversalClient, account, key string) {
	t.Helper()
	address := os.Getenv("DANGRI_TEST_REDIS_ADDR")
	if address == "" {
		address = "127.0.0.1:6379"
	}
	account = "wxtest" + rand.Text()
	key = "wechat:token:" + account
	connectRedis = func() redis.UniversalClient {
		r := redis.NewClient(&redis.Options{Addr: address})
		t.Cleanup(func() { r.Close() })
		return r
	}
	r := connectRedis()
	if err := r.Ping(t.Context()).Err(); err != nil {
		t.Fatalf("Redis is needed at %s: %v", address, err)
	}
	t.Cleanup(func() { r.Del(context.Background(), key, key+":lock") })
	return connectRedis, account, key
}

// replicas starts a platform and n clients with a Redis connection each, none if nil.
func replicas(t *testing.T, n int, account string, connectRedis func() redis.UniversalClient) (*sim.Sim, []*wechat.Client) {
	t.Helper()
	platform := sim.New(sim.Config{AppID: account, AppSecret: appSecret})
	t.Cleanup(platform.Close)
	server := httptest.NewServer(platform)
	t.Cleanup(server.Close)
	clients := make([]*wechat.Client, n)
	for i := range clients {
		clients[i] = connect(t, server.URL, func(c *wechat.Config) {
			c.AppID = account
			if connectRedis != nil {
				c.Redis = connectRedis()
			}
		})
	}
	return platform, clients
}

// all lets each client list the templates from five goroutines at once.
func all(t *testing.T, clients []*wechat.Client) {
	t.Helper()
	var group sync.WaitGroup
	start := make(chan struct{})
	for _, c := range clients {
		for range 5 {
			group.Go(func() {
				<-start
				if _, err := c.Templates(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	close(start)
	group.Wait()
}

func TestTenColdReplicasWithFiveCallersEachAskForOneToken(t *testing.T) {
	connectRedis, account, key := sharedRedis(t)
	platform, clients := replicas(t, 10, account, connectRedis)
	all(t, clients)
	if n := platform.Counters()[tokenPath]; n != 1 {
		t.Errorf("%d token calls, want 1", n)
	}
	if n := platform.Counters()[listPath]; n != 50 {
		t.Errorf("%d calls, want 50", n)
	}
	left, err := connectRedis().PTTL(t.Context(), key).Result()
	if err != nil || left > 7140*time.Second || left < 7000*time.Second {
		t.Errorf("the token is shared for %v, %v; want its life less a minute", left, err)
	}

	// Control: what the shared Redis prevents can be seen by this test.
	platform, clients = replicas(t, 10, account, nil)
	all(t, clients)
	if n := platform.Counters()[tokenPath]; n != 10 {
		t.Errorf("control: %d token calls without Redis, want one per replica", n)
	}
}

func TestATokenThatDiesUnderAllReplicasIsReplacedByOneCallAndEveryCallerSucceeds(t *testing.T) {
	connectRedis, account, _ := sharedRedis(t)
	platform, clients := replicas(t, 10, account, connectRedis)
	all(t, clients)
	before := platform.Counters()
	platform.RefreshToken()
	all(t, clients)
	after := platform.Counters()
	if n := after[tokenPath] - before[tokenPath]; n != 1 {
		t.Errorf("%d token calls, want 1", n)
	}
	refused := after[listPath+" 40001"]
	if refused < 1 || refused > 50 || after[listPath]-before[listPath] != 50+refused {
		t.Errorf("%d refusals in %d calls, want one retry for each", refused, after[listPath]-before[listPath])
	}
}

func TestAReplicaWithAnOldTokenDoesNotTakeTheNewOneFromTheOthers(t *testing.T) {
	connectRedis, account, key := sharedRedis(t)
	platform, clients := replicas(t, 2, account, connectRedis)
	for _, c := range clients {
		if _, err := c.Templates(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	platform.RefreshToken()
	if _, err := clients[0].Templates(t.Context()); err != nil {
		t.Fatal(err)
	}
	renewed := connectRedis().Get(t.Context(), key).Val()
	if _, err := clients[1].Templates(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := connectRedis().Get(t.Context(), key).Val(); now != renewed || now == "" {
		t.Error("the shared token was replaced although it was good")
	}
	if n := platform.Counters()[tokenPath]; n != 2 {
		t.Errorf("%d token calls, want 2", n)
	}
}

func TestARefusedTokenIsTakenFromTheOthersEvenIfNoNewOneIsToBeHad(t *testing.T) {
	connectRedis, account, key := sharedRedis(t)
	platform, clients := replicas(t, 1, account, connectRedis)
	if _, err := clients[0].Templates(t.Context()); err != nil {
		t.Fatal(err)
	}
	platform.RefreshToken()
	platform.Arm(sim.Fault{Endpoint: tokenPath, Kind: sim.HTML})
	_, err := clients[0].Templates(t.Context())
	wantKind(t, err, wechat.KindBusy)
	if n := connectRedis().Exists(t.Context(), key, key+":lock").Val(); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

// overtaken stores a token for all the moment before its client gets the lock.
type overtaken struct {
	store func()
}

func (o overtaken) DialHook(next redis.DialHook) redis.DialHook { return next }

func (o overtaken) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (o overtaken) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if strings.Contains(fmt.Sprint(cmd.Args()...), ":lock") && strings.HasPrefix(cmd.Name(), "set") {
			o.store()
		}
		return next(ctx, cmd)
	}
}

func TestATokenStoredBetweenTheLookAndTheLockIsUsed(t *testing.T) {
	connectRedis, account, key := sharedRedis(t)
	platform, clients := replicas(t, 1, account, connectRedis)
	if _, err := clients[0].Templates(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := connectRedis()
	token := other.GetDel(t.Context(), key).Val()
	late := connectRedis()
	stored := 0
	late.AddHook(overtaken{store: func() {
		stored++
		other.Set(t.Context(), key, token, time.Hour)
	}})
	server := httptest.NewServer(platform)
	defer server.Close()
	client := connect(t, server.URL, func(c *wechat.Config) { c.AppID, c.Redis = account, late })
	if _, err := client.Templates(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := platform.Counters()[tokenPath]; n != 1 || stored != 1 {
		t.Errorf("%d token calls after %d overtakings, want 1 and 1", n, stored)
	}
}

func TestEachCodeThatSpeaksOfTheTokenIsAnsweredByOneRenewalAndOneRetry(t *testing.T) {
	for _, code := range []int{40001, 40014, 42001} {
		platform, client := simulated(t, sim.Config{})
		platform.Arm(sim.Fault{Endpoint: listPath, Kind: sim.Code, Code: code, Count: 1})
		if _, err := client.Templates(t.Context()); err != nil {
			t.Errorf("%d: %v", code, err)
		}
		if c := platform.Counters(); c[listPath] != 2 || c[tokenPath] != 2 {
			t.Errorf("%d: %d calls, %d token calls", code, c[listPath], c[tokenPath])
		}
	}
}

func TestATokenThatIsRefusedForEverIsRetriedOnceNeverForcedAndReported(t *testing.T) {
	var log bytes.Buffer
	var forced atomic.Bool
	var tokens, sends atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, tokenPath) {
			tokens.Add(1)
			body, _ := io.ReadAll(r.Body)
			forced.Store(forced.Load() || !bytes.Contains(body, []byte(`"force_refresh":false`)))
			_, _ = io.WriteString(w, `{"access_token":"same","expires_in":7200}`)
			return
		}
		sends.Add(1)
		_, _ = io.WriteString(w, `{"errcode":40001,"errmsg":"invalid credential"}`)
	}))
	defer server.Close()
	client := connect(t, server.URL, func(c *wechat.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	_, err := client.Send(t.Context(), message("o1"))
	wantKind(t, err, wechat.KindToken)
	if sends.Load() != 2 || tokens.Load() != 2 || forced.Load() {
		t.Errorf("%d sends, %d token calls, forced %v", sends.Load(), tokens.Load(), forced.Load())
	}
	if !strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("nobody was told: %s", log.String())
	}
}

func TestWithoutAWorkingRedisTheTokenIsStillFetchedOncePerProcess(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	// A listener that nobody accepts from takes connections and stays silent.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	redis.SetLogger(quiet{})
	for name, address := range map[string]string{"nobody listens": closed.Addr().String(), "nobody answers": silent.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			platform := sim.New(sim.Config{AppID: appID, AppSecret: appSecret})
			defer platform.Close()
			server := httptest.NewServer(platform)
			defer server.Close()
			rdb := redis.NewClient(&redis.Options{Addr: address})
			defer rdb.Close()
			client := connect(t, server.URL, func(c *wechat.Config) {
				c.Redis, c.Log = rdb, slog.New(slog.NewTextHandler(&log, nil))
			})
			for range 3 {
				all(t, []*wechat.Client{client})
			}
			if n := platform.Counters()[tokenPath]; n != 1 {
				t.Errorf("%d token calls, want 1", n)
			}
			platform.RefreshToken()
			if _, err := client.Templates(t.Context()); err != nil {
				t.Error(err)
			}
			if !strings.Contains(log.String(), "Redis does not answer") {
				t.Errorf("nobody was told: %s", log.String())
			}
		})
	}
}

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func TestATokenNearItsEndIsUsedButNeverKept(t *testing.T) {
	for _, life := range []string{`0`, `-5`, `60`, `"30"`} {
		connectRedis, account, key := sharedRedis(t)
		var tokens atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, tokenPath) {
				fmt.Fprintf(w, `{"access_token":"t%d","expires_in":%s}`, tokens.Add(1), life)
				return
			}
			_, _ = io.WriteString(w, `{"errcode":0,"data":[]}`)
		}))
		defer server.Close()
		client := connect(t, server.URL, func(c *wechat.Config) { c.AppID, c.Redis = account, connectRedis() })
		for range 2 {
			if _, err := client.Templates(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := connectRedis().Exists(t.Context(), key).Val(); n != 0 {
			t.Errorf("life %s: the token was stored", life)
		}
		if tokens.Load() != 2 {
			t.Errorf("life %s: %d token calls, want 2", life, tokens.Load())
		}
	}
}

func TestTheTokenIsRenewedAMinuteBeforeItsEnd(t *testing.T) {
	var now atomic.Int64
	now.Store(time.Date(2026, 5, 20, 7, 0, 0, 0, time.UTC).Unix())
	var tokens atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, tokenPath) {
			fmt.Fprintf(w, `{"access_token":"t%d","expires_in":7200}`, tokens.Add(1))
			return
		}
		_, _ = io.WriteString(w, `{"errcode":0,"data":[]}`)
	}))
	defer server.Close()
	client := connect(t, server.URL, func(c *wechat.Config) { c.Now = func() time.Time { return time.Unix(now.Load(), 0) } })
	for _, step := range []struct {
		passed time.Duration
		want   int32
	}{{0, 1}, {7139 * time.Second, 1}, {time.Second, 2}, {7139 * time.Second, 2}} {
		now.Add(int64(step.passed / time.Second))
		if _, err := client.Templates(t.Context()); err != nil {
			t.Fatal(err)
		}
		if tokens.Load() != step.want {
			t.Errorf("after %v more: %d token calls, want %d", step.passed, tokens.Load(), step.want)
		}
	}
}

func TestALockLeftByADeadReplicaDelaysButDoesNotStop(t *testing.T) {
	connectRedis, account, key := sharedRedis(t)
	if err := connectRedis().Set(t.Context(), key+":lock", "dead", 200*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	platform, clients := replicas(t, 1, account, connectRedis)
	if _, err := clients[0].Templates(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := platform.Counters()[tokenPath]; n != 1 {
		t.Errorf("%d token calls", n)
	}
	if held := connectRedis().Get(t.Context(), key+":lock").Val(); held != "" {
		t.Errorf("the lock is still held by %q", held)
	}
}

func TestACallerWhoGivesUpDoesNotSpoilTheRenewalForTheOthers(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, tokenPath) {
			close(arrived) // a second token call would panic here
			<-release
			_, _ = io.WriteString(w, `{"access_token":"t","expires_in":7200}`)
			return
		}
		_, _ = io.WriteString(w, `{"errcode":0,"data":[]}`)
	}))
	defer server.Close()
	client := connect(t, server.URL)
	impatient, giveUp := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		_, err := client.Templates(impatient)
		wantKind(t, err, wechat.KindBusy)
	})
	<-arrived
	giveUp()
	group.Wait()
	group.Go(func() {
		if _, err := client.Templates(t.Context()); err != nil {
			t.Error(err)
		}
	})
	close(release)
	group.Wait()
}

func TestAWrongSecretOrAddressListIsForAnOperator(t *testing.T) {
	platform := sim.New(sim.Config{AppID: appID, AppSecret: "another"})
	defer platform.Close()
	server := httptest.NewServer(platform)
	defer server.Close()
	client := connect(t, server.URL)
	_, err := client.Templates(t.Context())
	if e := wantKind(t, err, wechat.KindConfig); e.API != "stable_token" || e.Code == 0 {
		t.Errorf("got %+v", e)
	}
	closed, client := simulated(t, sim.Config{AllowedIPs: []string{"203.0.113.9"}})
	_, err = client.Templates(t.Context())
	if e := wantKind(t, err, wechat.KindConfig); e.Code != 40164 {
		t.Errorf("got %+v", e)
	}
	if n := closed.Counters()[listPath]; n != 0 {
		t.Errorf("%d calls without a token", n)
	}
}
