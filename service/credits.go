package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"dangri/model"
)

// Credits is the ledger of what closed meetings count for each person, so that
// somebody's year is one short range to read. Whoever closes a meeting, or
// changes what is recorded at a closed one, writes it in the same transaction.
type Credits struct {
	db       *gorm.DB
	settings Settings
}

// creditAll enters what a closed activity counts for everybody.
func creditAll(tx *gorm.DB, zone *time.Location, a *model.Activity) error {
	seats, err := seatsAt(tx, a)
	if err != nil {
		return err
	}
	return creditSeats(tx, zone, a, seats)
}

func creditSeats(tx *gorm.DB, zone *time.Location, a *model.Activity, seats []seat) error {
	var entries []*model.CreditEntry
	for i := range seats {
		if e := seats[i].Credit(a, zone); e != nil {
			entries = append(entries, e)
		}
	}
	return enter(tx, a, entries)
}

// creditOne enters anew what the activity counts for one person, and for
// everybody where a program closed it that knew no ledger. Nothing counts before
// it is closed.
func creditOne(tx *gorm.DB, zone *time.Location, a *model.Activity, memberID uint64) error {
	if a.Status != model.Closed {
		return nil
	}
	var known int64
	if err := tx.Model(&model.CreditEntry{}).Where("activity_id = ?", a.ID).Limit(1).Count(&known).Error; err != nil {
		return fmt.Errorf("find credit of activity %d: %w", a.ID, err)
	}
	if known == 0 {
		return creditAll(tx, zone, a)
	}
	own, err := standingOf(tx, a.ID, memberID)
	if err != nil {
		return err
	}
	if a.CheckOut {
		if own.Moves, err = movesOf(tx, a.ID, memberID); err != nil {
			return err
		}
	}
	if e := own.Credit(a, zone); e != nil {
		return enter(tx, a, []*model.CreditEntry{e})
	}
	gone := model.CreditEntry{MemberID: memberID, OnDay: model.DayOf(a.StartsAt, zone), ActivityID: a.ID}
	if err := tx.Delete(&gone).Error; err != nil {
		return fmt.Errorf("take back credit of member %d: %w", memberID, err)
	}
	return nil
}

func enter(tx *gorm.DB, a *model.Activity, entries []*model.CreditEntry) error {
	if len(entries) == 0 {
		return nil
	}
	if err := tx.Clauses(clause.OnConflict{UpdateAll: true}).CreateInBatches(entries, 500).Error; err != nil {
		return fmt.Errorf("enter credit of activity %d: %w", a.ID, err)
	}
	return nil
}

// keepUp catches up at once and every hour until ctx ends.
func (s *Credits) keepUp(ctx context.Context) error {
	_ = s.CatchUp(ctx) // what failed is still to be done an hour later
	return every(time.Hour, s.CatchUp)(ctx)
}

// CatchUp enters closed activities that have no entries: those that a program
// closed which knew no ledger, as an older replica does during an upgrade. Any
// number of replicas may do it at once, and again.
func (s *Credits) CatchUp(ctx context.Context) error {
	var missing []uint64
	db := s.db.WithContext(ctx)
	err := db.Model(&model.Activity{}).Where("status = ? AND NOT EXISTS (?) AND EXISTS (?)", model.Closed,
		db.Table("credit_entries c").Select("1").Where("c.activity_id = activities.id"),
		db.Table("roster_entries r").Select("1").Where("r.activity_id = activities.id AND r.exempt = ''")).Order("id").Pluck("id", &missing).Error
	if err != nil {
		return fmt.Errorf("find activities without credit: %w", err)
	}
	var failed error
	for _, id := range missing {
		_, err := inTx(ctx, s.db, func(tx *gorm.DB) (struct{}, error) {
			a, err := lock[model.Activity](tx, id, model.ErrActivityNotFound)
			if err != nil {
				return struct{}{}, err
			}
			return struct{}{}, creditAll(tx, s.settings.Zone, a)
		})
		failed = errors.Join(failed, err) // one activity does not hold up the others
	}
	return failed
}
