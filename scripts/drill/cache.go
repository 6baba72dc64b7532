package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"dangri/scripts/rig"
)

// withoutRedis is how slow a check-in may be while Redis is away.
const withoutRedis = 400 * time.Millisecond

// cache empties Redis again and again, kills it, and brings it back with what
// it held before a session was ended and people checked in.
func (s *stage) cache(ctx context.Context) error {
	seconds := 5
	if s.long {
		seconds = 60
	}
	client := s.stores.RedisClient()
	defer func() { _ = client.Close() }()
	if err := s.forgetful(ctx, client); err != nil {
		return err
	}
	if err := s.openProduct(ctx, s.product.On(s.stores.DSN, s.stores.Redis)); err != nil {
		return err
	}
	end := beside(ctx, func(ctx context.Context) {
		every(ctx, 2*time.Second, func(int) {
			s.history.event("empty Redis: %v", client.FlushAll(ctx).Err())
		})
	})
	o := s.arrive(ctx, crowd{people: s.people(300 * seconds), rate: 300, patient: patience, echoes: 5})
	end()
	s.undisturbed(o, "Redis 每两秒清空一次")

	s.history.event("freeze Redis")
	if err := s.stores.Freeze(rig.Redis); err != nil {
		return err
	}
	stuck := s.arrive(ctx, crowd{people: s.people(900, 300*seconds), rate: 300, patient: patience, echoes: 5})
	s.history.event("thaw Redis")
	if err := s.stores.Thaw(rig.Redis); err != nil {
		return err
	}
	s.undisturbed(stuck, "Redis 卡住 3 秒")

	var fault error
	end = beside(ctx, func(ctx context.Context) {
		if fault = sleep(ctx, time.Second); fault == nil {
			s.history.event("kill Redis")
			fault = s.stores.Kill(ctx, rig.Redis)
		}
	})
	away := s.arrive(ctx, crowd{people: s.people(300*(seconds+1), 300*seconds+900), rate: 300, patient: patience, echoes: 5})
	end()
	if fault != nil {
		return fault
	}
	s.undisturbed(away, fmt.Sprintf("Redis 停了 %d 秒", seconds))
	if err := s.reviveRedis(ctx, client); err != nil {
		return err
	}
	all := o.and(stuck).and(away)
	if err := s.settle(ctx, all); err != nil {
		return err
	}
	if err := s.shown(ctx, 5*time.Second); err != nil {
		return err
	}
	if err := s.seesDrift(ctx, all); err != nil {
		return err
	}
	return s.oldDump(ctx)
}

// lostAt marks the sessions that the control loses, so that it finds them again.
var lostAt = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// forgetful is the control: a service that has its sessions in Redis alone.
// Emptying Redis ends them, and whoever arrives after that is logged out.
func (s *stage) forgetful(ctx context.Context, client *redis.Client) error {
	if err := s.openProduct(ctx, s.product.On(s.stores.DSN, s.stores.Redis)); err != nil {
		return err
	}
	before := s.arrive(ctx, crowd{people: s.people(150), rate: 300})
	s.history.event("empty Redis, and the sessions with it")
	db := s.stores.DB.WithContext(ctx)
	if err := errors.Join(db.Exec("UPDATE sessions SET revoked_at = ? WHERE revoked_at IS NULL", lostAt).Error, client.FlushAll(ctx).Err()); err != nil {
		return fmt.Errorf("lose the sessions: %w", err)
	}
	o := before.and(s.arrive(ctx, crowd{people: s.people(150, 150), rate: 300}))
	if err := db.Exec("UPDATE sessions SET revoked_at = NULL WHERE revoked_at = ?", lostAt).Error; err != nil {
		return fmt.Errorf("find the sessions again: %w", err)
	}
	out, record := s.control(), s.control()
	out.undisturbed(o, "会话只在 Redis 里的服务")
	if err := record.settle(ctx, o); err != nil {
		return err
	}
	s.check(len(out.failed) > 0 && len(record.failed) > 0, "对照：会话只在 Redis 里的服务，清空就掉线，看得出：%s", some(slices.Concat(out.failed, record.failed)))
	return nil
}

func (s *stage) reviveRedis(ctx context.Context, client *redis.Client) error {
	if err := s.stores.Revive(rig.Redis); err != nil {
		return err
	}
	return rig.Until(ctx, time.Minute, "Redis answers", func() bool { return client.Ping(ctx).Err() == nil })
}

// undisturbed checks that everybody was checked in at the first try, and soon.
func (s *stage) undisturbed(o *outcome, while string) {
	var refused []string
	for _, a := range o.tries {
		if !a.final() {
			refused = append(refused, fmt.Sprint(a.Status, " ", a.Code, " ", a.Error))
		}
	}
	s.check(len(refused) == 0, "%s：%d 人都一次签上；没签上的 %s", while, len(o.waits), some(refused))
	s.soon(o, withoutRedis, while)
}

// oldDump ends a session and lets people check in, then puts Redis back to the
// moment before.
func (s *stage) oldDump(ctx context.Context) error {
	if err := s.openProduct(ctx, s.product.On(s.stores.DSN, s.stores.Redis)); err != nil {
		return err
	}
	client := s.stores.RedisClient()
	defer func() { _ = client.Close() }()
	victim := s.town.Size() - s.turn
	for _, r := range s.replicas {
		if status := s.ask(r, http.MethodGet, "/v1/me/code", victim); status != http.StatusOK {
			return fmt.Errorf("the session does not work before it is ended: %d", status)
		}
		s.wrongBoards(r.address(), nil) // so that Redis keeps copies of them
	}
	if err := client.Save(ctx).Err(); err != nil {
		return fmt.Errorf("dump Redis: %w", err)
	}
	if status := s.ask(s.replicas[0], http.MethodDelete, "/v1/sessions/current", victim); status != http.StatusOK {
		return fmt.Errorf("the session cannot be ended: %d", status)
	}
	s.arrive(ctx, crowd{people: s.people(600), rate: 600, patient: patience})
	s.history.event("put Redis back to the dump")
	if err := s.stores.Kill(ctx, rig.Redis); err != nil {
		return err
	}
	if err := s.reviveRedis(ctx, client); err != nil {
		return err
	}
	hash := sha256.Sum256([]byte(s.town.Token(victim)))
	session, err := kept(ctx, client, "session:"+base64.RawURLEncoding.EncodeToString(hash[:]))
	if err != nil {
		return err
	}
	copied, err := kept(ctx, client, fmt.Sprintf("board:%d", s.meeting.Activities()[0]))
	if err != nil {
		return err
	}
	var board struct {
		Board struct {
			Tally struct {
				Present int `json:"present"`
			} `json:"tally"`
		} `json:"board"`
	}
	if err := json.Unmarshal([]byte(copied), &board); err != nil {
		return fmt.Errorf("read the dumped board: %w", err)
	}
	s.check(session != "" && board.Board.Tally.Present == 0, "对照：旧的 Redis 里确有已作废的会话和没人到的会场")
	alive, asked, err := s.alive(ctx, victim, 3*time.Second)
	if err != nil {
		return err
	}
	s.check(alive == 0, "作废的会话问了 %d 次，一次也没有复活：%d", asked, alive)
	if alive, asked, err = s.alive(ctx, 0, 100*time.Millisecond); err != nil {
		return err
	}
	s.check(asked > 0 && alive == asked, "对照：没有作废的会话问了 %d 次，%d 次是活的", asked, alive)
	return s.shown(ctx, 5*time.Second)
}

// alive asks every replica for a while whether a person is signed in, and says
// how often the answer was not that the session has ended.
func (s *stage) alive(ctx context.Context, person int, while time.Duration) (alive, asked int, err error) {
	until := time.Now().Add(while)
	for time.Now().Before(until) {
		for _, r := range s.replicas {
			asked++
			if s.ask(r, http.MethodGet, "/v1/me/code", person) != http.StatusUnauthorized {
				alive++
			}
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return 0, 0, err
		}
	}
	return alive, asked, nil
}

// kept is what Redis holds under a key, whatever the product's prefix.
func kept(ctx context.Context, client *redis.Client, key string) (string, error) {
	found, err := client.Keys(ctx, "*:"+key).Result()
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("find %s in Redis: %d keys, %w", key, len(found), err)
	}
	return client.Get(ctx, found[0]).Result()
}

// ask is the status of an answer to a person.
func (s *stage) ask(r *replica, method, path string, person int) int {
	w := rig.NewWire(r.address())
	defer w.Close()
	status, _, err := w.Do(rig.Request(method, path, s.town.Token(person), nil))
	if err != nil {
		return 0
	}
	return status
}
