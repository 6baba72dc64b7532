package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"dangri/scripts/rig"
)

// upgraded is how long anybody may wait for a check-in while replicas are
// replaced and the schema changes.
const upgraded = time.Second

// rolling replaces the replicas one after another while people check in, whose
// phones try only once, and changes the schema of the table that they are
// recorded in. In between is a balancer that asks who is ready.
func (s *stage) rolling(ctx context.Context) error {
	if err := s.fill(ctx); err != nil {
		return err
	}
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

	if err := s.openProduct(ctx, product); err != nil {
		return err
	}
	var locked error
	end = beside(ctx, func(ctx context.Context) { locked = s.lockTable(ctx, 2*upgraded) })
	o = s.arrive(ctx, once)
	end()
	if locked != nil {
		return locked
	}
	p99 := percentile(o.waits, 99)
	s.check(p99 > upgraded, "对照：改表时锁住整张表 %v，量得出 99%% 在 %v 内", 2*upgraded, p99)

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
				if replaced == 1 {
					if fault = s.migrate(ctx, product); fault != nil {
						return
					}
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
	s.soon(o, upgraded, "替换和改表期间签到")
	return errors.Join(s.settle(ctx, o), s.shown(ctx, 5*time.Second))
}

// fill adds past records, so that changing their table takes a while.
func (s *stage) fill(ctx context.Context) error {
	rows := 300_000
	if s.long {
		rows = 2_000_000
	}
	db := s.stores.DB.WithContext(ctx)
	var have int64
	if err := db.Table("attendances").Count(&have).Error; err != nil {
		return fmt.Errorf("count the past: %w", err)
	}
	for meeting := 1; have < int64(rows); meeting++ {
		made := db.Exec(`INSERT INTO attendances (activity_id, member_id, branch_id, status, provenance, at, location, guest, reason, nonce, fingerprint)
			SELECT ?, id, 1, 'present', 'scan', '2025-01-01', '', FALSE, '', CONCAT('past-', id), '' FROM members`, past+s.turn*1000+meeting)
		if made.Error != nil {
			return fmt.Errorf("make a past: %w", made.Error)
		}
		have += made.RowsAffected
	}
	s.note("签到记录已有 %d 条", have)
	return nil
}

// past is the number of an activity that was never called.
const past = 1 << 40

// migrate changes the schema as a new version may, a column and an index more,
// and then lets the program look for migrations.
func (s *stage) migrate(ctx context.Context, program rig.Program) error {
	start := time.Now()
	column := fmt.Sprintf("drill_%d", s.turn)
	s.last = append(s.last, func() {
		_ = s.stores.DB.Exec("ALTER TABLE attendances DROP KEY " + column + ", DROP COLUMN " + column) // who comes next can do with it too
	})
	for _, change := range []string{"ADD COLUMN " + column + " VARCHAR(32) NULL", "ADD KEY " + column + " (" + column + ", branch_id)"} {
		s.history.event("ALTER TABLE attendances %s", change)
		if err := s.stores.DB.WithContext(ctx).Exec("ALTER TABLE attendances " + change).Error; err != nil {
			return fmt.Errorf("change the schema: %w", err)
		}
	}
	s.note("加一列、建一个索引用了 %v", time.Since(start).Round(time.Millisecond))
	return program.Run(ctx, "migrate")
}

// lockTable keeps the table of the check-ins for itself for a while, as a
// migration that copies it does.
func (s *stage) lockTable(ctx context.Context, while time.Duration) error {
	return s.stores.DB.WithContext(ctx).Connection(func(db *gorm.DB) error {
		if err := db.Exec("LOCK TABLES attendances WRITE").Error; err != nil {
			return fmt.Errorf("lock the table: %w", err)
		}
		s.history.event("lock the table")
		_ = sleep(ctx, while) // the end may come first
		if err := db.WithContext(context.WithoutCancel(ctx)).Exec("UNLOCK TABLES").Error; err != nil {
			return fmt.Errorf("unlock the table: %w", err)
		}
		return nil
	})
}
