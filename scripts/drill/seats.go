package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"gorm.io/gorm"

	"dangri/model"
	"dangri/scripts/rig"
)

const (
	seats    = 500
	fewSeats = 20               // of the control
	allKnow  = 15 * time.Second // until the last of 5,000 has an answer
)

// seats lets many people sign up for few seats at once while replicas are
// killed, from outside and between two steps, and then counts the seats.
func (s *stage) seats(ctx context.Context) error {
	if err := s.openCareless(ctx, s.stores.DSN); err != nil {
		return err
	}
	if err := s.stores.DB.WithContext(ctx).Exec("CREATE TABLE IF NOT EXISTS " + carelessSeats + " (slot_id BIGINT, member_id BIGINT)").Error; err != nil {
		return fmt.Errorf("make table: %w", err)
	}
	slot, err := s.slot(ctx, fewSeats)
	if err != nil {
		return err
	}
	s.run(ctx, slot, s.people(300))
	var sat int64
	if err := s.stores.DB.WithContext(ctx).Table(carelessSeats).Where("slot_id = ?", slot).Count(&sat).Error; err != nil {
		return fmt.Errorf("count careless seats: %w", err)
	}
	s.check(sat > fewSeats, "对照：先数后写的服务，%d 个名额坐了 %d 人，查得出", fewSeats, sat)

	product := s.product.On(s.stores.DSN, s.stores.Redis)
	if err := s.openProduct(ctx, product); err != nil {
		return err
	}
	if slot, err = s.slot(ctx, seats); err != nil {
		return err
	}
	restarts := s.supervise(ctx, func(n int) rig.Program {
		point := "after_commit"
		if n%2 == 0 {
			point = "before_reply"
		}
		return product.With(fmt.Sprintf("DANGRI_TEST_FAULTS=%s:%d", point, 20+17*n%60))
	})
	end := beside(ctx, func(ctx context.Context) { every(ctx, 500*time.Millisecond, s.killNext) })
	o := s.run(ctx, slot, s.people(5000))
	took := time.Since(o.start).Round(100 * time.Millisecond)
	end()
	s.check(restarts() > 0, "进程死了 %d 次", restarts())
	s.timely(took <= allKnow, o.start, "5000 人抢 %d 个名额用了 %v（应在 %v 内）", seats, took, allKnow)
	return s.count(ctx, slot, seats, o)
}

// slot is a published service slot with so many seats, a week from now.
func (s *stage) slot(ctx context.Context, capacity int) (id uint64, err error) {
	now := time.Now().UTC().Truncate(time.Second)
	start := now.AddDate(0, 0, 7)
	var community model.Organisation
	err = s.stores.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Where(model.Organisation{Kind: model.Community, Name: "和平社区"}).
			Attrs(model.Organisation{UnitKind: model.CommunityUnit, CreatedAt: now}).FirstOrCreate(&community).Error; err != nil {
			return err
		}
		d := model.ServiceDay{CommunityID: community.ID, Title: "固定服务日", Place: "社区活动室", StartsAt: start, EndsAt: start.Add(time.Hour),
			SignUpUntil: start, CancelUntil: start, Status: model.Published, CodeEpoch: 1, Version: 1, PublishedAt: &now, CreatedAt: now,
			Once: model.Once{Nonce: fmt.Sprintf("drill-%d-%d", capacity, time.Now().UnixNano())}}
		if err := tx.Create(&d).Error; err != nil {
			return err
		}
		row := model.ServiceSlot{ServiceDayID: d.ID, CommunityID: community.ID, Name: "清扫", Skill: model.AnySkill, StartsAt: start, EndsAt: start.Add(time.Hour),
			Open: true, Capacity: capacity}
		err := tx.Create(&row).Error
		id = row.ID
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("make slot: %w", err)
	}
	return id, nil
}

// run lets everybody run for a seat at once, each to the replicas in turn,
// until they know whether they have one.
func (s *stage) run(ctx context.Context, slot uint64, people []int) *outcome {
	_, mark := s.history.attempts(0)
	o := &outcome{start: time.Now()}
	var mu sync.Mutex
	var all sync.WaitGroup
	for n, person := range people {
		nonce := fmt.Sprintf("%s-seat-%d-%06d", s.id, slot, person)
		all.Go(func() {
			start := time.Now()
			for try := 0; ctx.Err() == nil && time.Since(start) < patience; try++ {
				if a := s.sit(ctx, slot, person, nonce, n+try); a.Status == http.StatusOK || a.Code == "slot_full" {
					mu.Lock()
					defer mu.Unlock()
					o.waits = append(o.waits, time.Since(start))
					return
				}
				select {
				case <-ctx.Done():
				case <-time.After(min(time.Second, 50*time.Millisecond<<min(try, 5))):
				}
			}
			mu.Lock()
			defer mu.Unlock()
			o.unfinished = append(o.unfinished, person)
		})
	}
	all.Wait()
	o.tries, _ = s.history.attempts(mark)
	return o
}

// sit asks the n-th replica for a seat or, where that takes no connection, the
// one after it.
func (s *stage) sit(ctx context.Context, slot uint64, person int, nonce string, n int) attempt {
	a := attempt{Person: person, Nonce: nonce, Replica: -1}
	start := time.Now()
	a.AtMS = start.Sub(s.history.start).Milliseconds()
	for i := range s.replicas {
		r := s.replicas[(n+i)%len(s.replicas)]
		if address := r.address(); address != "" {
			a.Replica = r.id
			if s.post(ctx, address, fmt.Sprintf("/v1/service-slots/%d/sign-ups", slot), fmt.Appendf(nil, `{"nonce":%q}`, nonce), &a) {
				break
			}
		}
	}
	a.TookMS = time.Since(start).Milliseconds()
	s.history.attempt(a)
	return a
}

// count compares what everybody was told with the slot of so many seats and its
// rows.
func (s *stage) count(ctx context.Context, slot uint64, seats int, o *outcome) error {
	db := s.stores.DB.WithContext(ctx)
	var rows []model.SlotSignUp
	var kept model.ServiceSlot
	if err := db.Find(&rows, "slot_id = ?", slot).Error; err != nil {
		return fmt.Errorf("read sign-ups: %w", err)
	}
	if err := db.Take(&kept, slot).Error; err != nil {
		return fmt.Errorf("read slot: %w", err)
	}
	held := map[int]uint64{}
	for i := range rows {
		if rows[i].State == model.Seated {
			held[int(rows[i].MemberID)-1] = rows[i].ID
		}
	}
	var lost, unexpected []string
	told := map[int]uint64{}
	for i := range o.tries {
		a := &o.tries[i]
		switch {
		case a.Status == http.StatusOK:
			var seat struct {
				ID uint64 `json:"id"`
			}
			_ = json.Unmarshal([]byte(a.Body), &seat) // what is no seat is not on record
			if told[a.Person] = seat.ID; held[a.Person] != seat.ID {
				lost = append(lost, fmt.Sprintf("person %d: %s", a.Person, a.Body))
			}
		case a.Status != 0 && a.Status != http.StatusServiceUnavailable && a.Code != "slot_full":
			unexpected = append(unexpected, fmt.Sprintf("%d %s %s", a.Status, a.Code, a.Error))
		}
	}
	s.check(len(o.unfinished) == 0, "每人都有最终答复（请求 %d 次）：没有的 %s；一半在 %v 内，99%% 在 %v 内", len(o.tries), some(o.unfinished), percentile(o.waits, 50), percentile(o.waits, 99))
	s.check(len(rows) == seats && len(held) == seats && kept.Taken == seats, "%d 个名额正好坐 %d 人：记录 %d 条，计数 %d", seats, len(held), len(rows), kept.Taken)
	s.check(len(lost) == 0, "告诉过报上名的都有名额：没有的 %s", some(lost))
	s.check(len(told) == seats, "有名额的 %d 人都知道自己报上了", len(told))
	s.check(len(unexpected) == 0, "没有 401、404、500 之类的答复：%s", some(unexpected))
	return nil
}

const carelessSeats = "careless_seats"

// seatCarelessly counts, and then writes, and is told nothing by a lock.
func seatCarelessly(db *sql.DB) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var taken int
		err := db.QueryRowContext(r.Context(), "SELECT COUNT(*) FROM "+carelessSeats+" WHERE slot_id = ?", r.PathValue("slot")).Scan(&taken)
		if err == nil && taken >= fewSeats {
			w.WriteHeader(http.StatusConflict)
			_ = json.NewEncoder(w).Encode(map[string]string{"code": "slot_full"})
			return
		}
		if err == nil {
			_, err = db.ExecContext(r.Context(), "INSERT INTO "+carelessSeats+" (slot_id, member_id) VALUES (?, 0)", r.PathValue("slot"))
		}
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"code": "ok"})
	}
}
