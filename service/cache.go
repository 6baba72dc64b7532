package service

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"
)

// cache is Redis as this program uses it: nothing in it matters, everything
// can be rebuilt from the database. When Redis is away a breaker makes every
// call an instant miss instead of a wait.
//
// Reads travel together: while so many round trips are under way that another
// would only cost processor time, those who ask meanwhile share the next one.
type cache struct {
	redis   redis.UniversalClient
	prefix  string
	breaker *gobreaker.CircuitBreaker[[]redis.Cmder]

	mu      sync.Mutex
	filling *lookup       // what those who ask now join; nil: nobody waits
	flights chan struct{} // one for each round trip of reads under way
}

// lookup is one round trip of reads. Whoever began it makes it, for all who
// joined until it left.
type lookup struct {
	keys   []string
	values []string // after done
	done   chan struct{}
}

const (
	cachePatience = 250 * time.Millisecond // who waits longer has a miss: the database answers sooner
	lookupFlights = 2
	lookupKeys    = 256 // in one round trip, or a few more
)

func newCache(client redis.UniversalClient, prefix string, log *slog.Logger) *cache {
	return &cache{redis: client, prefix: prefix, flights: make(chan struct{}, lookupFlights), breaker: gobreaker.NewCircuitBreaker[[]redis.Cmder](gobreaker.Settings{
		Name: "redis", Timeout: time.Second,
		// All reads that may be under way: had one more to fail, it would hang as long again.
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= lookupFlights },
		IsSuccessful: func(err error) bool { return err == nil || errors.Is(err, context.Canceled) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			log.Warn("redis breaker", "from", from.String(), "to", to.String())
		},
	})}
}

// get returns the values of the keys in one round trip; a missing key, and
// every key while Redis is away, is "".
func (c *cache) get(ctx context.Context, keys ...string) []string {
	l, from, first := c.join(keys)
	if first {
		// Who leaves early does not take along those who wait for the same round trip.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cachePatience)
		defer cancel()
		c.look(ctx, l)
	}
	<-l.done // all have the patience of the one who makes the round trip
	return l.values[from : from+len(keys)]
}

// join adds the keys to the round trip that leaves next and says where their
// values will be, and whether the caller is the one to make it.
func (c *cache) join(keys []string) (l *lookup, from int, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l = c.filling; l == nil {
		l, first = &lookup{done: make(chan struct{})}, true
		c.filling = l
	}
	from = len(l.keys)
	for _, k := range keys {
		l.keys = append(l.keys, c.prefix+k)
	}
	if len(l.keys) >= lookupKeys {
		c.filling = nil
	}
	return l, from, first
}

// look makes a round trip as soon as there is room for it.
func (c *cache) look(ctx context.Context, l *lookup) {
	defer close(l.done)
	select {
	case c.flights <- struct{}{}:
		defer func() { <-c.flights }()
	case <-ctx.Done():
	}
	c.mu.Lock()
	if c.filling == l {
		c.filling = nil
	}
	c.mu.Unlock()
	l.values = make([]string, len(l.keys))
	if ctx.Err() != nil {
		return // a miss for all: Redis does not answer
	}
	commands, err := c.do(ctx, func(ctx context.Context, p redis.Pipeliner) {
		for _, k := range l.keys {
			p.Get(ctx, k)
		}
	})
	if err != nil {
		return
	}
	for i, cmd := range commands {
		l.values[i] = cmd.(*redis.StringCmd).Val()
	}
}

// set keeps a value for a while, or does nothing.
func (c *cache) set(ctx context.Context, key, value string, life time.Duration) {
	c.setAll(ctx, map[string]string{key: value}, life)
}

// setAll keeps the values for a while, or does nothing.
func (c *cache) setAll(ctx context.Context, values map[string]string, life time.Duration) {
	_, _ = c.do(ctx, func(ctx context.Context, p redis.Pipeliner) {
		for key, value := range values {
			p.Set(ctx, c.prefix+key, value, life)
		}
	})
}

// drop forgets the keys, or does nothing.
func (c *cache) drop(ctx context.Context, keys ...string) {
	_, _ = c.do(ctx, func(ctx context.Context, p redis.Pipeliner) {
		for _, k := range keys {
			p.Del(ctx, c.prefix+k)
		}
	})
}

// bump gives each key a value that it never had, also not before Redis lost
// it, and keeps that for a while; false while Redis is away.
func (c *cache) bump(ctx context.Context, life time.Duration, keys ...string) bool {
	_, err := c.do(ctx, func(ctx context.Context, p redis.Pipeliner) {
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

func (c *cache) do(ctx context.Context, fill func(context.Context, redis.Pipeliner)) ([]redis.Cmder, error) {
	p := c.redis.Pipeline()
	fill(ctx, p)
	if p.Len() == 0 {
		return nil, nil // no round trip, so nothing that the breaker could learn
	}
	return c.breaker.Execute(func() ([]redis.Cmder, error) {
		ctx, cancel := context.WithTimeout(ctx, cachePatience)
		defer cancel()
		commands, err := p.Exec(ctx)
		if errors.Is(err, redis.Nil) {
			err = nil
		}
		return commands, err
	})
}
