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

	mu  sync.Mutex
	own map[string]*rate.Limiter
}

func newLimits(client redis.UniversalClient, prefix string) *limits {
	return &limits{shared: redis_rate.NewLimiter(client), prefix: prefix, own: map[string]*rate.Limiter{}}
}

// take uses up one of perMinute attempts of who at what, or refuses.
func (l *limits) take(ctx context.Context, what, who string, perMinute int) error {
	key := l.prefix + "limit:" + what + ":" + who
	patience, cancel := context.WithTimeout(ctx, cachePatience)
	defer cancel()
	r, err := l.shared.Allow(patience, key, redis_rate.PerMinute(perMinute))
	switch {
	case err != nil && !l.ownTake(key, perMinute):
		return model.ErrTooManyAttempts
	case err == nil && r.Allowed == 0:
		return model.ErrTooManyAttempts.After(max(time.Second, r.RetryAfter.Round(time.Second)))
	}
	return nil
}

func (l *limits) ownTake(key string, perMinute int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.own) > 100_000 { // bounded memory; forgetting is a moment of leniency
		clear(l.own)
	}
	b, ok := l.own[key]
	if !ok {
		b = rate.NewLimiter(rate.Limit(float64(perMinute)/60), perMinute)
		l.own[key] = b
	}
	return b.Allow()
}
