package service

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"
)

// cache is Redis as this program uses it: nothing in it matters, everything
// can be rebuilt from the database. When Redis is away a breaker makes every
// call an instant miss instead of a wait.
type cache struct {
	redis   redis.UniversalClient
	prefix  string
	breaker *gobreaker.CircuitBreaker[[]redis.Cmder]
}

// A call that takes longer than this is a miss: the database answers sooner.
const cachePatience = 250 * time.Millisecond

func newCache(client redis.UniversalClient, prefix string, log *slog.Logger) *cache {
	return &cache{redis: client, prefix: prefix, breaker: gobreaker.NewCircuitBreaker[[]redis.Cmder](gobreaker.Settings{
		Name: "redis", Timeout: time.Second,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= 5 },
		IsSuccessful: func(err error) bool { return err == nil || errors.Is(err, context.Canceled) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			log.Warn("redis breaker", "from", from.String(), "to", to.String())
		},
	})}
}

// get returns the values of the keys in one round trip; a missing key, and
// every key while Redis is away, is "".
func (c *cache) get(ctx context.Context, keys ...string) []string {
	values := make([]string, len(keys))
	commands, err := c.do(ctx, func(p redis.Pipeliner) {
		for _, k := range keys {
			p.Get(ctx, c.prefix+k)
		}
	})
	if err != nil {
		return values
	}
	for i, cmd := range commands {
		values[i] = cmd.(*redis.StringCmd).Val()
	}
	return values
}

// set keeps a value for a while, or does nothing.
func (c *cache) set(ctx context.Context, key, value string, life time.Duration) {
	_, _ = c.do(ctx, func(p redis.Pipeliner) { p.Set(ctx, c.prefix+key, value, life) })
}

// drop forgets the keys, or does nothing.
func (c *cache) drop(ctx context.Context, keys ...string) {
	_, _ = c.do(ctx, func(p redis.Pipeliner) {
		for _, k := range keys {
			p.Del(ctx, c.prefix+k)
		}
	})
}

// bump gives each key a value that it never had, also not before Redis lost
// it, and keeps that for a while; false while Redis is away.
func (c *cache) bump(ctx context.Context, life time.Duration, keys ...string) bool {
	_, err := c.do(ctx, func(p redis.Pipeliner) {
		for _, k := range keys {
			p.Set(ctx, c.prefix+k, rand.Text(), life)
		}
	})
	return err == nil
}

// ping says whether Redis answers.
func (c *cache) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, cachePatience)
	defer cancel()
	return c.redis.Ping(ctx).Err()
}

func (c *cache) do(ctx context.Context, fill func(redis.Pipeliner)) ([]redis.Cmder, error) {
	return c.breaker.Execute(func() ([]redis.Cmder, error) {
		ctx, cancel := context.WithTimeout(ctx, cachePatience)
		defer cancel()
		p := c.redis.Pipeline()
		fill(p)
		commands, err := p.Exec(ctx)
		if errors.Is(err, redis.Nil) {
			err = nil
		}
		return commands, err
	})
}
