package service

import (
	"context"
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"dangri/model"
)

// limits counts attempts that a guesser would repeat. Redis shares the counts
// among replicas; while it is away every replica counts by itself, so a limit
// is never simply open.
type limits struct {
	shared *redis_rate.Limiter
	cache  *cache
	own    buckets
}

func newLimits(c *cache) *limits {
	return &limits{shared: redis_rate.NewLimiter(c.redis), cache: c}
}

// guesses is ten wrong codes in any minute: eight at once, two more in time.
var guesses = redis_rate.Limit{Rate: 2, Burst: 8, Period: time.Minute}

// take uses up one of the attempts that who has at what, or refuses.
func (l *limits) take(ctx context.Context, what, who string, limit redis_rate.Limit) error {
	var r *redis_rate.Result
	_, err := l.cache.breaker.Execute(func() (_ []redis.Cmder, err error) {
		patience, cancel := context.WithTimeout(ctx, cachePatience)
		defer cancel()
		r, err = l.shared.Allow(patience, l.cache.prefix+"limit:"+what+":"+who, limit)
		return nil, err
	})
	switch {
	case err != nil:
		return l.takeOwn(what, who, limit)
	case r.Allowed == 0:
		return model.ErrTooManyAttempts.After(max(time.Second, r.RetryAfter.Round(time.Second)))
	}
	return nil
}

// takeOwn is take by this replica's own count, without a round trip.
func (l *limits) takeOwn(what, who string, limit redis_rate.Limit) error {
	if !l.own.take(what+":"+who, rate.Limit(float64(limit.Rate)/limit.Period.Seconds()), limit.Burst) {
		return model.ErrTooManyAttempts
	}
	return nil
}

// buckets are token buckets of this process alone.
type buckets struct {
	mu   sync.Mutex
	keys map[string]*rate.Limiter
}

func (b *buckets) take(key string, limit rate.Limit, burst int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.keys == nil || len(b.keys) > 100_000 { // bounded memory; forgetting is a moment of leniency
		b.keys = map[string]*rate.Limiter{}
	}
	l, ok := b.keys[key]
	if !ok {
		l = rate.NewLimiter(limit, burst)
		b.keys[key] = l
	}
	return l.Allow()
}
