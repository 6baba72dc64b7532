package service

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestH3_AfterFiveMissesAnAbsentRedisIsAskedNoMore(t *testing.T) {
	var asked atomic.Int64
	client := redis.NewClient(&redis.Options{MaxRetries: -1, DialerRetries: 1, Dialer: func(context.Context, string, string) (net.Conn, error) {
		asked.Add(1)
		return nil, errors.New("nobody there")
	}})
	t.Cleanup(func() { _ = client.Close() })
	c := newCache(client, "test:", slog.New(slog.DiscardHandler))
	for range 100 {
		if got := c.get(t.Context(), "a", "b"); len(got) != 2 || got[0] != "" || got[1] != "" {
			t.Fatalf("got %q", got)
		}
	}
	c.set(t.Context(), "a", "1", 0)
	c.drop(t.Context(), "a")
	if c.bump(t.Context(), 0, "a") {
		t.Error("a counter was moved on in no Redis")
	}
	if n := asked.Load(); n < 5 || n > 15 {
		t.Errorf("Redis was dialled %d times in 103 calls, want about 5", n)
	}
}

func TestWhoGivesUpWaitingDoesNotTripTheBreaker(t *testing.T) {
	var asked atomic.Int64
	client := redis.NewClient(&redis.Options{MaxRetries: -1, DialerRetries: 1, Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) {
		asked.Add(1)
		return nil, ctx.Err()
	}})
	t.Cleanup(func() { _ = client.Close() })
	c := newCache(client, "test:", slog.New(slog.DiscardHandler))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		c.get(gone, "a")
	}
	if state := c.breaker.State().String(); state != "closed" {
		t.Errorf("the breaker is %s after callers went away", state)
	}
}
