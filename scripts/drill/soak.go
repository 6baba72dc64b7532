package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"dangri/scripts/rig"
)

const growth = 20 << 20 // how much more memory a replica may hold at the end

// soak is a steady crowd with one fault after another: replicas and stores
// killed, frozen, emptied and cut off.
func (s *stage) soak(ctx context.Context) error {
	length, period := 70*time.Second, 8*time.Second
	if s.long {
		length, period = 20*time.Minute, time.Minute
	}
	mysql, redis, err := s.proxies()
	if err != nil {
		return err
	}
	product := s.product.On(s.stores.Via(mysql.Listen), redis.Listen)
	if err := s.openProduct(ctx, product); err != nil {
		return err
	}
	s.supervise(ctx, func(n int) rig.Program {
		return product.With(fmt.Sprintf("DANGRI_TEST_FAULTS=after_commit:%d", 500+37*n%200))
	})
	client := s.stores.RedisClient()
	defer func() { _ = client.Close() }()
	restart := func(ctx context.Context, store string) error {
		if err := s.stores.Kill(ctx, store); err != nil {
			return err
		}
		_ = sleep(ctx, time.Second) // a store stays away for a while, and comes back all the same
		return s.stores.Revive(store)
	}
	frozen := func(store string) error {
		if err := s.stores.Freeze(store); err != nil {
			return err
		}
		time.Sleep(2 * time.Second)
		return s.stores.Thaw(store)
	}
	faults := []struct {
		name string
		do   func(context.Context) error
	}{
		{"kill a replica", func(context.Context) error { s.replicas[1].kill(); return nil }},
		{"kill Redis", func(ctx context.Context) error { return restart(ctx, rig.Redis) }},
		{"cut the database off", func(ctx context.Context) error { s.cut(ctx, mysql, time.Second); return nil }},
		{"empty Redis", func(ctx context.Context) error { return client.FlushAll(ctx).Err() }},
		{"kill the database", func(ctx context.Context) error { return restart(ctx, rig.MariaDB) }},
		{"cut Redis off", func(ctx context.Context) error { s.cut(ctx, redis, time.Second); return nil }},
		{"freeze Redis", func(context.Context) error { return frozen(rig.Redis) }},
		{"kill two replicas", func(context.Context) error { s.replicas[1].kill(); s.replicas[2].kill(); return nil }},
		{"freeze the database", func(context.Context) error { return frozen(rig.MariaDB) }},
	}
	happened := 0
	var fault error
	endFaults := beside(ctx, func(ctx context.Context) {
		every(ctx, period, func(n int) {
			f := faults[n%len(faults)]
			s.history.event("%s", f.name)
			if err := f.do(ctx); err != nil && ctx.Err() == nil {
				fault = fmt.Errorf("%s: %w", f.name, err)
			}
			happened++
		})
	})
	var memory []int64
	steadfast := s.replicas[0].running() // faults never kill it, but for one of its own making
	endMemory := beside(ctx, func(ctx context.Context) {
		every(ctx, time.Second, func(int) {
			if p := s.replicas[0].running(); p == steadfast {
				memory = append(memory, rig.RSS(p.Pid()))
			}
		})
	})
	const rate = 50
	o := s.arrive(ctx, crowd{people: s.people(int(length/time.Second) * rate), rate: rate, patient: patience, taps: 20, echoes: 5})
	endFaults()
	endMemory()
	if fault != nil {
		return fault
	}
	s.check(happened > 0, "出了 %d 次故障", happened)
	if err := s.settle(ctx, o); err != nil {
		return err
	}
	if err := s.level(memory); err != nil {
		return err
	}
	if err := s.shown(ctx, 5*time.Second); err != nil {
		return err
	}

	leaking, swollen := s.control(), slices.Clone(memory)
	for i := range swollen {
		swollen[i] += 3 * growth * int64(i) / int64(len(swollen))
	}
	if err := leaking.level(swollen); err != nil {
		return err
	}
	s.check(len(leaking.failed) == 1, "对照：同样的内存一路再漏 %d MiB，看得出：%s", 3*growth>>20, some(leaking.failed))
	return s.seesDrift(ctx, o)
}

// level checks that a replica held no more memory at the end than before,
// when it had been warm for a while.
func (s *stage) level(memory []int64) error {
	quarter := len(memory) / 4
	if quarter == 0 {
		return fmt.Errorf("the memory of a replica was never seen")
	}
	before, after := slices.Max(memory[quarter:2*quarter]), slices.Max(memory[3*quarter:])
	s.check(after-before < growth, "内存没有越涨越多：前半 %d MiB，最后 %d MiB", before>>20, after>>20)
	return nil
}
