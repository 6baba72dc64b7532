package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"dangri/scripts/rig"
)

// back is how soon the service works again once the database answers.
const back = 5 * time.Second

// database kills the database server in the middle of a crowd.
func (s *stage) database(ctx context.Context) error {
	if err := s.openCareless(ctx, s.stores.DSN); err != nil {
		return err
	}
	o, _, err := s.withoutDatabase(ctx, crowd{people: s.people(1000), rate: 250, patient: 2 * time.Second})
	if err != nil {
		return err
	}
	f, _, err := s.found(ctx, o)
	if err != nil {
		return err
	}
	s.check(len(f.Unexpected) > 0, "对照：把数据库不在当成没有登录的服务，查得出 %d 次", len(f.Unexpected))

	product := s.product.On(s.stores.DSN, s.stores.Redis)
	if err := s.openProduct(ctx, product); err != nil {
		return err
	}
	for _, forgetful := range []string{"innodb_flush_log_at_trx_commit = 0", "innodb_flush_log_at_timeout = 60"} { // until it is killed
		if err := s.stores.DB.WithContext(ctx).Exec("SET GLOBAL " + forgetful).Error; err != nil {
			return fmt.Errorf("make the database forgetful: %w", err)
		}
	}
	o, _, err = s.withoutDatabase(ctx, crowd{people: s.people(1500), rate: 300, patient: patience})
	if err != nil {
		return err
	}
	if f, _, err = s.found(ctx, o); err != nil {
		return err
	}
	s.check(len(f.Lost) > 0, "对照：提交不落盘的数据库，查得出丢失 %d 条", len(f.Lost))

	people, rounds := 3000, 1
	if s.long {
		people, rounds = 6000, 5
	}
	for range rounds {
		if err := s.openProduct(ctx, product); err != nil {
			return err
		}
		o, revived, err := s.withoutDatabase(ctx, crowd{people: s.people(people), rate: 300, patient: patience, echoes: 5})
		if err != nil {
			return err
		}
		away, last := 0, time.Duration(0)
		for _, a := range o.tries {
			if a.Status == http.StatusServiceUnavailable {
				away++
				last = max(last, time.Duration(a.AtMS)*time.Millisecond-revived)
			}
		}
		s.check(away > 0, "数据库不在时答复 503：%d 次", away)
		s.timely(last <= back, o.start, "它回来 %v 后不再有 503（应在 %v 内）", max(0, last), back)
		if err := s.settle(ctx, o); err != nil {
			return err
		}
		if err := s.shown(ctx, 5*time.Second); err != nil {
			return err
		}
	}
	return s.stuckDatabase(ctx, product)
}

// stuckDatabase freezes the database for three seconds in the middle of a
// crowd: nobody hears anything, and then everything goes on.
func (s *stage) stuckDatabase(ctx context.Context, product rig.Program) error {
	if err := s.openProduct(ctx, product); err != nil {
		return err
	}
	var fault error
	end := beside(ctx, func(ctx context.Context) {
		if fault = sleep(ctx, time.Second); fault != nil {
			return
		}
		s.history.event("freeze the database")
		if fault = s.stores.Freeze(rig.MariaDB); fault == nil {
			time.Sleep(3 * time.Second)
			fault = s.stores.Thaw(rig.MariaDB)
			s.history.event("thaw the database")
		}
	})
	o := s.arrive(ctx, crowd{people: s.people(1800), rate: 300, patient: patience, echoes: 5})
	end()
	if fault != nil {
		return fault
	}
	s.soon(o, 8*time.Second, "数据库卡住 3 秒")
	if err := s.settle(ctx, o); err != nil {
		return err
	}
	return s.shown(ctx, 5*time.Second)
}

// withoutDatabase lets a crowd arrive, kills the database after a second and a
// half, brings it back two seconds later, and says when it answered again.
func (s *stage) withoutDatabase(ctx context.Context, c crowd) (o *outcome, revived time.Duration, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		revived, err = s.interruptDatabase(ctx)
	}()
	o = s.arrive(ctx, c)
	<-done
	return o, revived, err
}

func (s *stage) interruptDatabase(ctx context.Context) (revived time.Duration, err error) {
	if err := sleep(ctx, 1500*time.Millisecond); err != nil {
		return 0, err
	}
	s.history.event("kill the database")
	if err := s.stores.Kill(ctx, rig.MariaDB); err != nil {
		return 0, err
	}
	if err := sleep(ctx, 2*time.Second); err != nil {
		return 0, err
	}
	s.history.event("start the database")
	if err := s.stores.Revive(rig.MariaDB); err != nil {
		return 0, err
	}
	err = rig.Until(ctx, time.Minute, "the database answers", func() bool { return s.stores.DB.WithContext(ctx).Exec("SELECT 1").Error == nil })
	s.history.event("the database answers")
	return time.Since(s.history.start), err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
