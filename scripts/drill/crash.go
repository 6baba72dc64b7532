package main

import (
	"context"
	"fmt"
	"time"

	"dangri/scripts/rig"
)

// crash kills replicas from outside at any moment, and from inside just after
// a commit and just before an answer, while a crowd checks in.
func (s *stage) crash(ctx context.Context) error {
	if err := s.openCareless(ctx, s.stores.DSN); err != nil {
		return err
	}
	s.supervise(ctx, func(int) rig.Program { return s.program })
	end := beside(ctx, func(ctx context.Context) { every(ctx, 400*time.Millisecond, s.killNext) })
	o := s.arrive(ctx, crowd{people: s.people(800), rate: 200, patient: patience, taps: 4})
	end()
	f, _, err := s.found(ctx, o)
	if err != nil {
		return err
	}
	s.check(len(f.Lost) > 0 && len(f.Doubled) > 0, "对照：先答复后写库、先查后写的服务，查得出丢失 %d 条、重复 %d 条", len(f.Lost), len(f.Doubled))

	people, rate, kills := 8000, 400, 12
	if s.long {
		people, rate, kills = 100_000, 500, 60
	}
	product := s.product.On(s.stores.DSN, s.stores.Redis)
	if err := s.openProduct(ctx, product); err != nil {
		return err
	}
	restarts := s.supervise(ctx, func(n int) rig.Program {
		point := "after_commit"
		if n%2 == 0 {
			point = "before_reply"
		}
		return product.With(fmt.Sprintf("DANGRI_TEST_FAULTS=%s:%d", point, 100+37*n%200))
	})
	end = beside(ctx, func(ctx context.Context) { every(ctx, time.Second, s.killNext) })
	o = s.arrive(ctx, crowd{people: s.people(people), rate: rate, patient: patience, taps: 20, echoes: 5})
	end()
	s.check(restarts() >= kills, "进程死了 %d 次", restarts())
	if err := s.settle(ctx, o); err != nil {
		return err
	}
	return s.shown(ctx, 5*time.Second)
}

func (s *stage) killNext(n int) { s.replicas[n%len(s.replicas)].kill() }
