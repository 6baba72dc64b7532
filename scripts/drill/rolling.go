package main

import (
	"context"
	"fmt"
	"time"

	"dangri/scripts/rig"
)

// rolling replaces the replicas one after another while people check in, whose
// phones try only once. In between is a balancer that asks who is ready.
func (s *stage) rolling(ctx context.Context) error {
	product := s.product.On(s.stores.DSN, s.stores.Redis).With("DANGRI_DRAIN=1s")
	once := crowd{people: s.people(1200), rate: 200}
	if err := s.openProduct(ctx, product); err != nil {
		return err
	}
	s.supervise(ctx, func(int) rig.Program { return product })
	end := beside(ctx, func(ctx context.Context) { every(ctx, 150*time.Millisecond, s.killNext) })
	o := s.arrive(ctx, once)
	end()
	s.check(len(o.unfinished) > 0, "对照：不打招呼就杀死，%d 人没有一次签上", len(o.unfinished))

	turns := 2
	if s.long {
		turns = 10
	}
	if err := s.openProduct(ctx, product); err != nil {
		return err
	}
	s.watch(ctx)
	var fault error
	replaced := 0
	end = beside(ctx, func(ctx context.Context) {
		for range turns {
			for _, r := range s.replicas {
				s.history.event("stop replica %d", r.id)
				if fault = r.running().Stop(); fault != nil {
					return
				}
				if fault = r.start(ctx, product); fault != nil {
					return
				}
				replaced++
				if fault = sleep(ctx, 500*time.Millisecond); fault != nil {
					return
				}
			}
		}
	})
	once.people = s.people(turns * 1300)
	o = s.arrive(ctx, once)
	end()
	if fault != nil && ctx.Err() == nil && replaced < len(s.replicas) {
		return fmt.Errorf("replace replicas: %w", fault)
	}
	var why []string
	for _, a := range o.tries {
		if !a.final() {
			why = append(why, fmt.Sprint(a.Status, " ", a.Code, " ", a.Error))
		}
	}
	s.check(replaced >= len(s.replicas), "替换了 %d 次进程", replaced)
	s.check(len(o.unfinished) == 0, "没有一次签到失败：%s", some(why))
	s.soon(o, time.Second, "替换期间签到")
	return s.shown(ctx, 5*time.Second)
}
