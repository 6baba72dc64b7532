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
	prefix string
	own    buckets
}

func newLimits(client redis.UniversalClient, prefix string) *limits {
	return &limits{shared: redis_rate.NewLimiter(client), prefix: prefix}
}

// take uses up one of perMinute attempts of who at what, or refuses.
func (l *limits) take(ctx context.Context, what, who string, perMinute int) error {
	key := l.prefix + "limit:" + what + ":" + who
	patience, cancel := context.WithTimeout(ctx, cachePatience)
	defer cancel()
	r, err := l.shared.Allow(patience, key, redis_rate.PerMinute(perMinute))
	switch {
	case err != nil && !l.own.take(key, rate.Limit(float64(perMinute)/60), perMinute):
		return model.ErrTooManyAttempts
	case err == nil && r.Allowed == 0:
		return model.ErrTooManyAttempts.After(max(time.Second, r.RetryAfter.Round(time.Second)))
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
