package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// WaitInput is a member's wish to stand in line.
type WaitInput struct {
	Nonce  string `json:"nonce" minLength:"8" maxLength:"64" pattern:"^[0-9A-Za-z_-]+$" doc:"提交编号：每次排队生成一次，重试时不变"`
	Insist bool   `json:"insist,omitempty" doc:"已看到时间冲突的提醒，仍要参加"`
}

// Wait puts the caller in line for a full slot. If a seat is free by now, the
// caller has it.
func (s *SignUps) Wait(ctx context.Context, actor *model.Actor, slotID uint64, in WaitInput) (*SignedUp, error) {
	return s.Create(ctx, actor, slotID, SignUpInput{Nonce: in.Nonce, Insist: in.Insist, OrWait: true})
}

// serveLine offers the free seats of a slot, whose row is held, to those who
// wait: by the time they came, then by id, passing over whose branch has all
// the seats it may have. From the start of the service on nobody is offered
// anything. The caller keeps the slot.
func serveLine(tx *gorm.DB, slot *model.ServiceSlot, now time.Time) error {
	for slot.Waiting > 0 && slot.Taken < slot.Capacity && !slot.StartedAt(now) {
		next := tx.Table("slot_sign_ups w").Where("w.slot_id = ? AND w.state = ?", slot.ID, model.Waiting)
		if slot.UnitCap > 0 {
			next = next.Where(`(SELECT COUNT(*) FROM slot_sign_ups h WHERE h.slot_id = w.slot_id AND h.branch_id = w.branch_id AND h.state IN ?) < ?`,
				holding, slot.UnitCap)
		}
		var rows []model.SlotSignUp
		if err := next.Order("w.at, w.id").Limit(1).Find(&rows).Error; err != nil {
			return fmt.Errorf("line of slot %d: %w", slot.ID, err)
		}
		if len(rows) == 0 {
			return nil
		}
		u, ends := &rows[0], slot.OfferEnds(now)
		u.State, u.OfferEndsAt = model.Offered, &ends
		if err := keepSignUp(tx, u); err != nil {
			return err
		}
		slot.Waiting--
		slot.Taken++
		// Written with the offer: it is there exactly if the offer is.
		if err := writeReminders(tx, []model.Reminder{model.SeatOffered.OfSeat(u, slot, ends, now)}); err != nil {
			return err
		}
	}
	return nil
}

// LeaveLine takes the caller out of the line, or gives an offered seat back.
// Leaving again changes nothing; who has a seat by now keeps it.
func (s *SignUps) LeaveLine(ctx context.Context, actor *model.Actor, id uint64) (*SignedUp, error) {
	now := s.now()
	return inTx(ctx, s.db, func(tx *gorm.DB) (*SignedUp, error) {
		u, slot, err := held(tx, id)
		if err != nil {
			return nil, err
		}
		if u.MemberID != actor.MemberID {
			return nil, model.ErrSignUpNotFound
		}
		again, err := u.Leave()
		if err != nil || again {
			return answerSignUp(tx, u, err)
		}
		uncount(slot, u)
		u.End(model.SignUpWithdrawn, "", now)
		if err := s.release(tx, u, slot, now); err != nil {
			return nil, err
		}
		return signedUp(tx, u)
	})
}

// OfferAnswer is the answer to an offered seat.
type OfferAnswer struct {
	Accept bool `json:"accept" doc:"要不要：true 要，false 不要"`
	Insist bool `json:"insist,omitempty" doc:"已看到时间冲突的提醒，仍要参加"`
}

// AnswerOffer takes the seat that is kept for the caller, or lets the next in
// line have it. The same answer again changes nothing; after its end an offer
// cannot be taken any more.
func (s *SignUps) AnswerOffer(ctx context.Context, actor *model.Actor, id uint64, in OfferAnswer) (*SignedUp, error) {
	now := s.now()
	return inTx(ctx, s.db, func(tx *gorm.DB) (*SignedUp, error) {
		if _, err := lock[model.Member](tx, actor.MemberID, model.ErrNotBound); err != nil {
			return nil, err
		}
		u, slot, err := held(tx, id)
		if err != nil {
			return nil, err
		}
		if u.MemberID != actor.MemberID {
			return nil, model.ErrSignUpNotFound
		}
		again, err := u.Answer(in.Accept, now)
		if err != nil || again {
			return answerSignUp(tx, u, err)
		}
		if !in.Accept {
			uncount(slot, u)
			u.End(model.Declined, "", now)
			if err := s.release(tx, u, slot, now); err != nil {
				return nil, err
			}
			return signedUp(tx, u)
		}
		day, _, err := openSlot(tx, u.SlotID)
		if err != nil {
			return nil, err
		}
		request, err := s.request(tx, day, slot, u.MemberID)
		if err != nil {
			return nil, err
		}
		request.Insists = in.Insist
		if err := request.Clash(); err != nil {
			return nil, err
		}
		u.State = model.Seated
		if err := keepSignUp(tx, u); err != nil {
			return nil, err
		}
		if err := writeReminders(tx, s.settings.Sending.ServiceReminders(u, slot, now)); err != nil {
			return nil, err
		}
		return signedUp(tx, u)
	})
}

// linePeriod is how often the lines are looked after.
const linePeriod = 5 * time.Second

// ServeLines ends offers that were not answered in time, and lines whose
// service has begun, and offers what is free to those who wait. Any number of
// replicas may do it at once, and again.
func (s *SignUps) ServeLines(ctx context.Context) error {
	db, now := s.db.WithContext(ctx), s.now()
	var late, idle []uint64
	err := db.Model(&model.SlotSignUp{}).Distinct("slot_id").Where("state = ? AND offer_ends_at <= ?", model.Offered, now).
		Order("slot_id").Limit(200).Pluck("slot_id", &late).Error
	if err == nil {
		err = db.Model(&model.ServiceSlot{}).Where("waiting > 0 AND (taken < capacity OR starts_at <= ?)", now).
			Order("id").Limit(200).Pluck("id", &idle).Error
	}
	if err != nil {
		return fmt.Errorf("find lines: %w", err)
	}
	slots := append(late, idle...)
	slices.Sort(slots)
	var failed error
	for _, id := range slices.Compact(slots) {
		_, err := inTx(ctx, s.db, func(tx *gorm.DB) (struct{}, error) { return struct{}{}, tendLine(tx, id, now) })
		failed = errors.Join(failed, err) // one line does not hold up the others
	}
	return failed
}

func tendLine(tx *gorm.DB, slotID uint64, now time.Time) error {
	slot, err := lock[model.ServiceSlot](tx, slotID, model.ErrSlotNotFound)
	if err != nil {
		return err
	}
	over := tx.Where("slot_id = ? AND state = ? AND offer_ends_at <= ?", slotID, model.Offered, now)
	if slot.StartedAt(now) {
		over = tx.Where("slot_id = ? AND state IN ?", slotID, []model.SignUpState{model.Offered, model.Waiting})
	}
	var rows []model.SlotSignUp
	if err := over.Order("id").Find(&rows).Error; err != nil {
		return fmt.Errorf("line of slot %d: %w", slotID, err)
	}
	for i := range rows {
		uncount(slot, &rows[i])
		rows[i].End(model.SignUpExpired, "", now)
		if err := keepSignUp(tx, &rows[i]); err != nil {
			return err
		}
	}
	if err := serveLine(tx, slot, now); err != nil {
		return err
	}
	return keepSlot(tx, slot)
}
