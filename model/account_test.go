package model

import (
	"testing"
	"time"
)

func TestJ7_ASessionLivesUntilItsIdleOrItsAbsoluteEnd(t *testing.T) {
	start := time.Date(2026, 3, 10, 6, 0, 0, 0, time.UTC)
	const idle, life = 720 * time.Hour, 4320 * time.Hour
	for _, c := range []struct {
		name    string
		seen    time.Duration // last use after the start
		at      time.Duration
		revoked bool
		want    bool
	}{
		{"at once", 0, 0, false, true},
		{"the last moment of idleness", 0, idle - time.Millisecond, false, true},
		{"idle for too long", 0, idle, false, false},
		{"used lately, last moment of its life", life - time.Hour, life - time.Millisecond, false, true},
		{"used lately, too old", life - time.Hour, life, false, false},
		{"revoked", 0, time.Second, true, false},
		{"seen by a clock that is ahead", time.Minute, 0, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Session{SeenAt: start.Add(c.seen), ExpiresAt: start.Add(life)}
			if c.revoked {
				s.RevokedAt = &start
			}
			if got := s.AliveAt(start.Add(c.at), idle); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
