package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

func TestH3_AfterThreeMissesAnAbsentRedisIsAskedNoMore(t *testing.T) {
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
	if n := asked.Load(); n < 3 || n > 9 {
		t.Errorf("Redis was dialled %d times in 103 calls, want about 3", n)
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
		c.drop(gone, "a")
	}
	if state := c.breaker.State().String(); state != "closed" {
		t.Errorf("the breaker is %s after callers went away", state)
	}
}

// counted counts the round trips of pipelines and lets each wait for the gate.
type counted struct {
	trips, keys atomic.Int64
	gate        chan struct{}
}

func (h *counted) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (h *counted) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h *counted) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		if commands[0].Name() != "get" {
			return next(ctx, commands) // of a new connection
		}
		h.trips.Add(1)
		h.keys.Add(int64(len(commands)))
		<-h.gate
		return next(ctx, commands)
	}
}

func TestThoseWhoAskAtOnceShareRoundTripsAndEachGetsTheirOwn(t *testing.T) {
	const people = 100
	server := miniredis.RunT(t)
	for i := range people {
		if err := server.Set(fmt.Sprintf("test:a%d", i), fmt.Sprint("one of ", i)); err != nil {
			t.Fatal(err)
		}
	}
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	h := &counted{gate: make(chan struct{})}
	client.AddHook(h)
	c := newCache(client, "test:", slog.New(slog.DiscardHandler))
	var crowd sync.WaitGroup
	for i := range people {
		crowd.Go(func() {
			got := c.get(t.Context(), fmt.Sprint("a", i), fmt.Sprint("b", i))
			if len(got) != 2 || got[0] != fmt.Sprint("one of ", i) || got[1] != "" {
				t.Errorf("%d got %q", i, got)
			}
		})
	}
	for { // two are under way, and everybody else has joined the ones that wait
		c.mu.Lock()
		waiting := 0
		if c.filling != nil {
			waiting = len(c.filling.keys)
		}
		c.mu.Unlock()
		if int(h.keys.Load())+waiting == 2*people {
			break
		}
		runtime.Gosched()
	}
	close(h.gate)
	crowd.Wait()
	if n := h.trips.Load(); n != lookupFlights+1 {
		t.Errorf("%d people took %d round trips", people, n)
	}
}
