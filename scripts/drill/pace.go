package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"dangri/scripts/rig"
)

const (
	steady = 150 * time.Millisecond // a check-in among 300 a second
	surge  = 500 * time.Millisecond // one among 3,000 in three seconds
)

// pace lets people come at an even rate and then all at once, half of them
// with sessions that Redis does not know.
func (s *stage) pace(ctx context.Context) error {
	product := s.product.On(s.stores.DSN, s.stores.Redis)
	if err := s.openProduct(ctx, product); err != nil {
		return err
	}
	end := beside(ctx, func(ctx context.Context) {
		every(ctx, time.Second, func(int) {
			_ = s.stores.Freeze(rig.MariaDB)
			time.Sleep(steady * 2)
			_ = s.stores.Thaw(rig.MariaDB) // should it stay frozen, nobody checks in and the drill says so
		})
	})
	o := s.arrive(ctx, crowd{people: s.people(900), rate: 300, patient: patience})
	end()
	p99 := percentile(o.waits, 99)
	s.check(p99 > steady, "对照：数据库每秒卡住 %v，量得出 99%% 在 %v 内", steady*2, p99)

	seconds := 10
	if s.long {
		seconds = 60
	}
	for _, part := range []struct {
		people, rate int
		within       time.Duration
	}{{300 * seconds, 300, steady}, {3000, 1000, surge}} {
		if err := s.openProduct(ctx, product); err != nil {
			return err
		}
		people := s.people(part.people)
		rig.Crowd(16, len(people)/2, func(_, i int) { s.ask(s.replicas[i%len(s.replicas)], http.MethodGet, "/v1/me/code", people[2*i]) })
		o := s.arrive(ctx, crowd{people: people, rate: part.rate, patient: patience})
		s.soon(o, part.within, fmt.Sprintf("每秒 %d 人，共 %d 人", part.rate, part.people))
		again := 0
		for _, a := range o.tries {
			if !a.final() {
				again++
			}
		}
		s.check(again == 0, "都一次签上：%d 次没有", again)
		if err := errors.Join(s.settle(ctx, o), s.shown(ctx, 5*time.Second)); err != nil {
			return err
		}
	}
	return nil
}
