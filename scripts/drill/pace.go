package main

import (
	"context"
	"net/http"
	"time"

	"dangri/scripts/rig"
)

const (
	steady = 150 * time.Millisecond // a check-in among 300 a second
	surge  = 500 * time.Millisecond // one among 3,000 in three seconds
	quiet  = 20 * time.Millisecond  // on a machine that takes longer for nothing, time proves nothing
)

// pace lets people come at an even rate and then all at once, half of them
// with sessions that Redis does not know.
func (s *stage) pace(ctx context.Context) error {
	product := s.product.On(s.stores.DSN, s.stores.Redis)
	if err := s.openProduct(ctx, product); err != nil {
		return err
	}
	idle := s.idle(ctx)
	noisy := idle > quiet
	if noisy {
		s.note("这台机器太忙：空请求的 99%% 在 %v 内（应在 %v 内），以下时间只报告，不判定", idle, quiet)
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
		p50, p99 := percentile(o.waits, 50), percentile(o.waits, 99)
		if noisy {
			s.note("每秒 %d 人，共 %d 人：一半在 %v 内，99%% 在 %v 内（应在 %v 内）", part.rate, part.people, p50, p99, part.within)
		} else {
			s.check(p99 <= part.within, "每秒 %d 人，共 %d 人：一半在 %v 内，99%% 在 %v 内（应在 %v 内）", part.rate, part.people, p50, p99, part.within)
		}
		again := 0
		for _, a := range o.tries {
			if !a.final() {
				again++
			}
		}
		s.check(again == 0, "都一次签上：%d 次没有", again)
		if err := s.settle(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// idle is how long the 99th of a hundred requests for nothing takes, at the
// rate of the drill.
func (s *stage) idle(ctx context.Context) time.Duration {
	var took []time.Duration
	w := rig.NewWire(s.replicas[0].address())
	defer w.Close()
	request := rig.Request(http.MethodGet, "/healthz", "", nil)
	limited, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	every(limited, time.Second/300, func(int) {
		start := time.Now()
		if _, _, err := w.Do(request); err == nil {
			took = append(took, time.Since(start))
		}
	})
	return percentile(took, 99)
}
