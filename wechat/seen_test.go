package wechat_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"dangri/wechat"
)

func TestAKeyIsRememberedLongerThanItsPushIsGood(t *testing.T) {
	now := time.Unix(1714112445, 0)
	memory := wechat.NewMemory(nil, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	for _, c := range []struct {
		passed time.Duration
		want   bool
	}{{0, false}, {0, true}, {11*time.Minute - time.Second, true}, {time.Second, false}} {
		now = now.Add(c.passed)
		if got, err := memory.Seen(t.Context(), "k"); err != nil || got != c.want {
			t.Errorf("after %v more: got %v, %v", c.passed, got, err)
		}
	}
}

func TestAForgottenKeyIsNewOnEveryReplica(t *testing.T) {
	connectRedis, account, _ := sharedRedis(t)
	log := slog.New(slog.DiscardHandler)
	one, two := wechat.NewMemory(connectRedis(), time.Now, log), wechat.NewMemory(connectRedis(), time.Now, log)
	seen := func(m *wechat.Memory) bool {
		t.Helper()
		got, err := m.Seen(t.Context(), account)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if seen(one) || !seen(two) {
		t.Error("the replicas do not share what they saw")
	}
	if err := one.Forget(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	if seen(two) || !seen(one) {
		t.Error("a forgotten key is not new exactly once")
	}
	left, err := connectRedis().PTTL(t.Context(), "wechat:push:"+account).Result()
	if err != nil || left < 10*time.Minute || left > 11*time.Minute {
		t.Errorf("kept for %v, %v", left, err)
	}
	connectRedis().Del(t.Context(), "wechat:push:"+account)
}

func TestWithoutRedisDuplicatesAreStillFoundInOneProcessWithoutWaitingEachTime(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	rdb := redis.NewClient(&redis.Options{Addr: silent.Addr().String()})
	defer rdb.Close()
	var log bytes.Buffer
	memory := wechat.NewMemory(rdb, time.Now, slog.New(slog.NewTextHandler(&log, nil)))
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	for _, key := range strings.Split("abcdefghijklmnopqrst", "") {
		for _, want := range []bool{false, true} {
			if got, err := memory.Seen(ctx, key); err != nil || got != want {
				t.Errorf("%s: got %v, %v", key, got, err)
			}
		}
	}
	if ctx.Err() != nil {
		t.Error("twenty keys took longer than a push may")
	}
	if n := strings.Count(log.String(), "Redis does not answer"); n != 1 {
		t.Errorf("told %d times", n)
	}
}
