package wechat

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/silenceper/wechat/v2/util"
	"golang.org/x/sync/singleflight"
)

const (
	apiToken  = "stable_token"
	pathToken = "/cgi-bin/stable_token"

	tokenMargin  = time.Minute            // a token this near its end is not kept
	tokenTimeout = 5 * time.Second        // for one renewal, whoever waits for it
	tokenLock    = 6 * time.Second        // longer than a renewal, so that only a dead holder loses it
	tokenWait    = 2 * time.Second        // for another replica's renewal before doing our own
	redisTimeout = 500 * time.Millisecond // for one command
)

// tokens keeps the access token: one for all replicas in Redis, with a copy in
// the process. A renewal is one call however many ask; without Redis it is one
// call per process, which the platform answers with the same token.
type tokens struct {
	key    string
	redis  redis.UniversalClient
	now    func() time.Time
	log    *slog.Logger
	fetch  func(context.Context) (token string, life time.Duration, err error)
	flight singleflight.Group

	mu    sync.Mutex
	value string
	until time.Time
}

func newTokens(appID string, rdb redis.UniversalClient, now func() time.Time, log *slog.Logger,
	fetch func(context.Context) (string, time.Duration, error)) *tokens {
	return &tokens{key: "wechat:token:" + appID, redis: rdb, now: now, log: log, fetch: fetch}
}

// fetchToken asks the platform for its current token. It never asks for a forced
// renewal: that kills the token other systems hold and is rationed to 20 a day.
func (c *Client) fetchToken(ctx context.Context) (string, time.Duration, error) {
	var reply struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   text   `json:"expires_in"`
	}
	err := c.exchange(ctx, apiToken, KindBusy, func(ctx context.Context) error {
		body, err := util.PostJSONContext(ctx, Platform+pathToken, map[string]any{
			"grant_type": "client_credential", "appid": c.appID, "secret": c.appSecret, "force_refresh": false,
		})
		if err != nil {
			return err
		}
		return c.read(apiToken, KindBusy, body, &reply)
	})
	if err != nil {
		return "", 0, err
	}
	seconds, err := strconv.Atoi(string(reply.ExpiresIn))
	if err != nil || reply.AccessToken == "" {
		return "", 0, fault(apiToken, KindBusy, errUnreadable)
	}
	return reply.AccessToken, time.Duration(seconds) * time.Second, nil
}

// get returns a token other than refused, which the platform has just turned
// down ("" if none). The renewal outlives a caller who gives up.
func (t *tokens) get(ctx context.Context, refused string) (string, error) {
	if token, ok := t.copyOf(refused); ok {
		return token, nil
	}
	done := t.flight.DoChan(refused, func() (any, error) {
		if token, ok := t.copyOf(refused); ok {
			return token, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenTimeout)
		defer cancel()
		return t.renew(ctx, refused)
	})
	select {
	case r := <-done:
		if r.Err != nil {
			return "", r.Err
		}
		return r.Val.(string), nil
	case <-ctx.Done():
		return "", fault(apiToken, KindBusy, ctx.Err())
	}
}

func (t *tokens) copyOf(refused string) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.value, t.value != "" && t.value != refused && t.now().Before(t.until)
}

func (t *tokens) keep(token string, life time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.value, t.until = token, t.now().Add(life)
}

// renew takes the shared token, or makes one under a lock that all replicas share.
func (t *tokens) renew(ctx context.Context, refused string) (string, error) {
	if t.redis == nil {
		return t.fetchAndKeep(ctx, refused, false)
	}
	holder := rand.Text()
	deadline := time.NewTimer(tokenWait)
	defer deadline.Stop()
	for {
		token, err := t.shared(ctx, refused)
		if err == nil && token != "" {
			return token, nil
		}
		locked := false
		if err == nil {
			locked, err = t.lock(ctx, holder)
		}
		if err != nil {
			t.log.WarnContext(ctx, "wechat token: Redis does not answer, asking the platform", "error", err)
			return t.fetchAndKeep(ctx, refused, false)
		}
		if locked {
			defer t.unlock(ctx, holder)
			// Another replica may have finished between the look and the lock.
			if token, err := t.shared(ctx, refused); err == nil && token != "" {
				return token, nil
			}
			return t.fetchAndKeep(ctx, refused, true)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline.C:
			return t.fetchAndKeep(ctx, refused, true)
		case <-ctx.Done():
			return "", fault(apiToken, KindBusy, ctx.Err())
		}
	}
}

func (t *tokens) fetchAndKeep(ctx context.Context, refused string, share bool) (string, error) {
	token, life, err := t.fetch(ctx)
	if err != nil {
		return "", err
	}
	if token == refused {
		t.log.ErrorContext(ctx, "wechat token: the platform refuses its own current token; is another system renewing it?")
	}
	// The platform reports the rest of the token's life, which may be seconds. A
	// TTL of zero would mean "for ever" to Redis, so such a token is not kept.
	if life -= tokenMargin; life <= 0 {
		return token, nil
	}
	t.keep(token, life)
	if share {
		_, err := promptly(ctx, func(ctx context.Context) (string, error) {
			return t.redis.Set(ctx, t.key, token, life).Result()
		})
		if err != nil {
			t.log.WarnContext(ctx, "wechat token: not shared, Redis does not answer", "error", err)
		}
	}
	return token, nil
}

// shared returns the token in Redis, or "" if there is none but refused, which
// it removes.
func (t *tokens) shared(ctx context.Context, refused string) (string, error) {
	var value *redis.StringCmd
	var life *redis.DurationCmd
	_, err := promptly(ctx, func(ctx context.Context) ([]redis.Cmder, error) {
		return t.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
			value, life = p.Get(ctx, t.key), p.PTTL(ctx, t.key)
			return nil
		})
	})
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	token := value.Val()
	if token == refused {
		return "", t.drop(ctx, t.key, refused)
	}
	t.keep(token, life.Val())
	return token, nil
}

func (t *tokens) lock(ctx context.Context, holder string) (bool, error) {
	return promptly(ctx, func(ctx context.Context) (bool, error) {
		return t.redis.SetNX(ctx, t.key+":lock", holder, tokenLock).Result()
	})
}

func (t *tokens) unlock(ctx context.Context, holder string) {
	if err := t.drop(context.WithoutCancel(ctx), t.key+":lock", holder); err != nil {
		t.log.WarnContext(ctx, "wechat token: lock left to expire", "error", err)
	}
}

var dropIfEqual = redis.NewScript(`if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0`)

// drop deletes a key only while it holds value, so that nobody removes a newer
// token or another's lock.
func (t *tokens) drop(ctx context.Context, key, value string) error {
	_, err := promptly(ctx, func(ctx context.Context) (any, error) {
		return dropIfEqual.Run(ctx, t.redis, []string{key}, value).Result()
	})
	return err
}

// promptly asks Redis and gives up after redisTimeout. It does not rely on the
// context: by default the client's commands run to their own, longer timeouts.
func promptly[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	done := make(chan result, 1)
	go func() {
		value, err := ask(ctx)
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
