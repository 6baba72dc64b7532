package wechat

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// seenFor covers the whole window in which a push is accepted, and the
	// platform's three tries.
	seenFor = 2*pushWindow + time.Minute

	// redisPause is how long Redis is left alone after it did not answer, so that
	// a push with many events does not wait for it once for each.
	redisPause = 5 * time.Second
)

// Memory remembers the keys of pushes for PushConfig.Seen and Forget: for all
// replicas in Redis, and in this process while Redis is away or nil, when a
// copy that reaches another replica goes unnoticed.
type Memory struct {
	redis redis.UniversalClient
	now   func() time.Time
	log   *slog.Logger

	mu        sync.Mutex
	until     map[string]time.Time
	swept     time.Time
	redisBack time.Time
}

// NewMemory makes an empty memory; rdb may be nil.
func NewMemory(rdb redis.UniversalClient, now func() time.Time, log *slog.Logger) *Memory {
	return &Memory{redis: rdb, now: now, log: log, until: map[string]time.Time{}}
}

// Seen remembers key and tells whether it was known. Of many at once one is told no.
func (m *Memory) Seen(ctx context.Context, key string) (bool, error) {
	seen, shared := m.seenHere(key)
	if seen || !shared {
		return seen, nil
	}
	first, err := promptly(ctx, func(ctx context.Context) (bool, error) {
		return m.redis.SetNX(ctx, "wechat:push:"+key, 1, seenFor).Result()
	})
	if err != nil {
		m.mu.Lock()
		m.redisBack = m.now().Add(redisPause)
		m.mu.Unlock()
		m.log.WarnContext(ctx, "wechat push: Redis does not answer, duplicates are found in this process only", "error", err)
		return false, nil
	}
	if !first {
		// It is for the replica that took it to remember, and to forget.
		m.mu.Lock()
		delete(m.until, key)
		m.mu.Unlock()
	}
	return !first, nil
}

// Forget takes a key back.
func (m *Memory) Forget(ctx context.Context, key string) error {
	m.mu.Lock()
	delete(m.until, key)
	m.mu.Unlock()
	if m.redis == nil {
		return nil
	}
	_, err := promptly(ctx, func(ctx context.Context) (int64, error) {
		return m.redis.Del(ctx, "wechat:push:"+key).Result()
	})
	return err
}

// seenHere remembers key in this process, and tells whether it was known and
// whether Redis is to be asked.
func (m *Memory) seenHere(key string) (seen, shared bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if now.Sub(m.swept) > time.Minute {
		maps.DeleteFunc(m.until, func(_ string, until time.Time) bool { return !now.Before(until) })
		m.swept = now
	}
	until, known := m.until[key]
	if known && now.Before(until) {
		return true, false
	}
	m.until[key] = now.Add(seenFor)
	return false, m.redis != nil && !now.Before(m.redisBack)
}
