package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Movements is leaving an activity that asks for checking out, and coming back.
type Movements struct {
	db       *gorm.DB
	codes    codes
	checkIns *CheckIns // reads codes and counts wrong ones
	boards   *Boards
	now      func() time.Time
}

// CheckOutInput is what a phone sends on leaving: the same code or digits as
// for checking in. Exactly one of the two.
type CheckOutInput struct {
	Code       string `json:"code,omitempty" maxLength:"64" doc:"扫到的内容（小程序码的 scene，或二维码网址的最后一段）"`
	Digits     string `json:"digits,omitempty" maxLength:"6" doc:"屏幕上的六位签到码；同时要给 activity_id"`
	ActivityID uint64 `json:"activity_id,omitempty" doc:"页面所在的活动；扫码时可不给"`
	Nonce      string `json:"nonce" minLength:"8" maxLength:"64" pattern:"^[0-9A-Za-z_-]+$" doc:"提交编号：每次扫码生成一次，重试时不变"`
}

// Moved is a movement that is on record.
type Moved struct {
	Code          string             `json:"code" enum:"ok" doc:"总是 ok"`
	Message       string             `json:"message" doc:"可以直接显示的话"`
	ActivityID    uint64             `json:"activity_id"`
	ActivityTitle string             `json:"activity_title"`
	MemberID      uint64             `json:"member_id"`
	Name          string             `json:"name"`
	Direction     model.Direction    `json:"direction" doc:"in 进，out 出"`
	At            time.Time          `json:"at" doc:"以服务器时间为准；签退几次，最后一次为准"`
	Minutes       int                `json:"minutes" doc:"在场的分钟数"`
	StayMinutes   int                `json:"stay_minutes" doc:"要求在场的分钟数"`
	Enough        bool               `json:"enough" doc:"够计学时"`
	LeftEarly     bool               `json:"left_early" doc:"早退"`
	Flag          model.MovementFlag `json:"flag,omitempty" doc:"no_check_in：没有签到的记录"`
}

// CheckOut notes that the caller leaves. Checking out again moves the end: the
// last one counts. Who never checked in is recorded too, flagged, and told so.
func (s *Movements) CheckOut(ctx context.Context, actor *model.Actor, in CheckOutInput) (*Moved, error) {
	if actor.MemberID == 0 {
		return nil, model.ErrNotBound
	}
	scan, err := s.checkIns.arrive(ctx, actor, CheckInInput{Code: in.Code, Digits: in.Digits, ActivityID: in.ActivityID, Nonce: in.Nonce})
	if err != nil {
		return nil, err
	}
	out, err := inTx(ctx, s.db, func(tx *gorm.DB) (*Moved, error) {
		missing := error(model.ErrActivityNotFound)
		if scan.scanned != nil {
			missing = model.ErrCodeInvalid
		}
		a, own, err := holdMoves(tx, scan.activity, actor.MemberID, missing)
		if err != nil {
			return nil, err
		}
		facts := &model.Arrival{Activity: *a, Entry: own.Entry, Recorded: own.On(a.CheckInDay(scan.at, s.codes.settings.Zone))}
		if scan.scanned == nil && !mayType(actor, facts) {
			return nil, model.ErrActivityNotFound
		}
		if again, err := s.again(tx, a, own, scan.once, model.Out); again != nil || err != nil {
			return again, err
		}
		flag, err := facts.AdmitOut(scan.at)
		if err != nil {
			return nil, err
		}
		by := model.ByScan
		if scan.scanned != nil {
			err = s.codes.freshAt(*scan.scanned, a.CodeEpoch, scan.at)
		} else {
			by, err = model.ByTypedCode, s.codes.proveTyped(scan.typed, a.ID, a.CodeEpoch, scan.at)
		}
		if err != nil {
			return nil, err
		}
		return s.move(tx, a, own, &model.Movement{MemberID: actor.MemberID, Direction: model.Out, At: scan.at, Provenance: by, Flag: flag, Once: scan.once})
	})
	if errors.Is(err, model.ErrTypedCodeInvalid) {
		return nil, s.checkIns.wrongCode(ctx, actor, err)
	}
	if err == nil {
		s.boards.changed(ctx, out.ActivityID)
	}
	return out, err
}

// holdMoves is an activity, held, with a person's part in it.
func holdMoves(tx *gorm.DB, activityID, memberID uint64, missing error) (*model.Activity, *model.Standing, error) {
	a, err := lock[model.Activity](tx, activityID, missing)
	if err != nil {
		return nil, nil, err
	}
	own, err := standingOf(tx, activityID, memberID)
	if err != nil {
		return nil, nil, err
	}
	own.Moves, err = movesOf(tx, activityID, memberID)
	return a, own, err
}

// movesOf is a person's movements at an activity, in the order of their numbers.
func movesOf(tx *gorm.DB, activityID, memberID uint64) ([]model.Movement, error) {
	var moves []model.Movement
	if err := tx.Order("id").Find(&moves, "activity_id = ? AND member_id = ?", activityID, memberID).Error; err != nil {
		return nil, fmt.Errorf("movements of member %d: %w", memberID, err)
	}
	return moves, nil
}

// move writes a movement of a person at an activity whose row is held.
func (s *Movements) move(tx *gorm.DB, a *model.Activity, own *model.Standing, m *model.Movement) (*Moved, error) {
	if err := addMovement(tx, s.codes.settings.Zone, a, m, m.At); err != nil {
		return nil, err
	}
	own.Moves = append(own.Moves, *m)
	return s.moved(tx, a, own, m)
}

// addMovement writes a movement. Of m it needs the member, direction, time,
// provenance and nonce. Hold the activity's row first.
func addMovement(tx *gorm.DB, zone *time.Location, a *model.Activity, m *model.Movement, now time.Time) error {
	m.ActivityID, m.RecordedAt, m.Day = a.ID, now, a.CheckInDay(m.At, zone)
	err := tx.Create(m).Error
	switch {
	case errors.Is(err, gorm.ErrDuplicatedKey): // of something else, or it would have been replayed
		return model.ErrKeyReused
	case err != nil:
		return fmt.Errorf("record movement of member %d: %w", m.MemberID, err)
	}
	return creditOne(tx, zone, a, m.MemberID)
}

// again is the answer that an earlier try with the same nonce got, or nil.
func (s *Movements) again(tx *gorm.DB, a *model.Activity, own *model.Standing, once model.Once, direction model.Direction) (*Moved, error) {
	for i := range own.Moves {
		m := &own.Moves[i]
		replay, err := m.Replays(once)
		if err != nil {
			return nil, err
		}
		if replay && m.Direction != direction {
			return nil, model.ErrKeyReused
		}
		if replay {
			before := *own // as it was then
			before.Moves = own.Moves[:i+1]
			return s.moved(tx, a, &before, m)
		}
	}
	return nil, nil
}

func (s *Movements) moved(tx *gorm.DB, a *model.Activity, own *model.Standing, m *model.Movement) (*Moved, error) {
	member, err := find[model.Member](tx, m.MemberID, model.ErrNotOnRoster)
	if err != nil {
		return nil, err
	}
	stay := own.Stay(a)
	out := &Moved{Code: "ok", ActivityID: a.ID, ActivityTitle: a.Title, MemberID: m.MemberID, Name: member.Name, Direction: m.Direction, At: m.At,
		Minutes: stay.SoFar(a, m.At), StayMinutes: a.StayMinutes, Enough: stay.Earned(a), LeftEarly: stay.LeftEarly, Flag: m.Flag}
	switch {
	case m.Flag == model.NoCheckIn:
		out.Message = "已记下离开，但没有签到的记录，请找书记补记到会"
	case m.Direction == model.In:
		out.Message = "已再次进场"
	default:
		out.Message = stay.Sentence(a, m.At, s.codes.settings.Zone)
	}
	return out, nil
}

// MovementInput is who the secretary sees leaving or coming back.
type MovementInput struct {
	MemberID  uint64          `json:"member_id" minimum:"1" maximum:"9007199254740991" doc:"党员"`
	Direction model.Direction `json:"direction" enum:"in,out" doc:"方向：out 离开，in 回来；第一次到会用“书记代记”"`
	Reason    string          `json:"reason,omitempty" maxLength:"100" doc:"说明，可不填"`
	Nonce     string          `json:"nonce" minLength:"8" maxLength:"64" pattern:"^[0-9A-Za-z_-]+$" doc:"提交编号：每次登记生成一次，重试时不变"`
}

// Record notes that somebody leaves or comes back, as the secretary sees it. It
// counts exactly as much as a scan. At a joint meeting those who conduct it note
// anybody, and those of another branch their own people.
func (s *Movements) Record(ctx context.Context, actor *model.Actor, id uint64, in MovementInput) (*Moved, error) {
	now := s.now()
	once, err := onceOf(in.Nonce, []any{in.MemberID, in.Direction, in.Reason})
	if err != nil {
		return nil, err
	}
	out, err := inTx(ctx, s.db, func(tx *gorm.DB) (*Moved, error) {
		_, all, err := holdJointly(tx, actor, id)
		if err != nil {
			return nil, err
		}
		a, own, err := holdMoves(tx, id, in.MemberID, model.ErrActivityNotFound)
		if err != nil {
			return nil, err
		}
		if err := all.mayRecord(actor, branchIn(own), true); err != nil {
			return nil, err
		}
		if again, err := s.again(tx, a, own, once, in.Direction); again != nil || err != nil {
			return again, err
		}
		day := a.CheckInDay(now, s.codes.settings.Zone)
		facts := &model.Arrival{Activity: *a, Entry: own.Entry, Recorded: own.On(day)}
		if own.Entry == nil && facts.Recorded == nil {
			return nil, model.ErrNotOnRoster
		}
		flag, err := facts.AdmitOut(now)
		if err != nil {
			return nil, err
		}
		if in.Direction == model.In {
			if flag == model.NoCheckIn {
				return nil, model.BadField("direction", "还没有到会的记录，请用“书记代记”登记")
			}
			if err := own.AdmitBack(a, day); err != nil {
				return nil, err
			}
		}
		out, err := s.move(tx, a, own, &model.Movement{MemberID: in.MemberID, Direction: in.Direction, At: now, Provenance: model.ByTick, Flag: flag,
			RecordedBy: &actor.MemberID, Reason: cleanLine(in.Reason), Once: once})
		if err != nil {
			return nil, err
		}
		return out, auditBy(tx, now, actor, "record_movement", "activity", id, "ok", map[string]any{"member_id": in.MemberID, "direction": in.Direction})
	})
	if err == nil {
		s.boards.changed(ctx, id)
	}
	return out, err
}

// OwnStay is where the caller stands, before leaving and after.
type OwnStay struct {
	ActivityID  uint64     `json:"activity_id"`
	Inside      bool       `json:"inside" doc:"已签到，还没有签退"`
	LeftAt      *time.Time `json:"left_at" doc:"最后一次签退"`
	Minutes     int        `json:"minutes" doc:"到现在在场的分钟数"`
	StayMinutes int        `json:"stay_minutes" doc:"要求在场的分钟数"`
	Enough      bool       `json:"enough" doc:"现在离开（或已经离开）够不够计学时"`
	EnoughAt    *time.Time `json:"enough_at" doc:"待到什么时候就够；来不及了就没有"`
	LeftEarly   bool       `json:"left_early" doc:"已记为早退，或现在离开会记为早退"`
	Message     string     `json:"message" doc:"可以直接显示的一句话"`
}

// Own is the caller's own stay at an activity that asks for checking out: told
// before leaving, not only afterwards.
func (s *Movements) Own(ctx context.Context, actor *model.Actor, id uint64) (*OwnStay, error) {
	now := s.now()
	db := s.db.WithContext(ctx)
	a, _, own, err := seen(db, actor, id)
	if err != nil {
		return nil, err
	}
	if !a.CheckOut {
		return nil, model.ErrNoCheckOut
	}
	if own.Moves, err = movesOf(db, id, actor.MemberID); err != nil {
		return nil, err
	}
	if a.ClosedAt != nil {
		now = *a.ClosedAt
	}
	stay := own.Stay(a)
	out := &OwnStay{ActivityID: id, Inside: stay.Since != nil, LeftAt: stay.LeftAt, Minutes: stay.SoFar(a, now), StayMinutes: a.StayMinutes,
		EnoughAt: stay.EnoughAt(a), LeftEarly: stay.LeftEarly, Message: stay.Sentence(a, now, s.codes.settings.Zone)}
	out.Enough = (out.Inside || stay.LeftAt != nil) && out.Minutes >= a.StayMinutes
	if out.Inside && a.Status == model.Closed {
		out.Enough, out.Message = false, "您没有签退，不计学时；有疑问请找书记更正"
	} else if out.Inside {
		out.LeftEarly = !a.Daily && now.Before(a.EndsAt.Add(-model.LeaveGrace))
	}
	return out, nil
}

// reenter is somebody who has checked in scanning again at an activity that
// asks for checking out: back, if they had gone out and may come back.
func (s *CheckIns) reenter(ctx context.Context, a *arrival, refusal error) (*CheckedIn, error) {
	out, err := inTx(ctx, s.db, func(tx *gorm.DB) (*CheckedIn, error) {
		activity, own, err := holdMoves(tx, a.activity, a.actor.MemberID, model.ErrActivityNotFound)
		if err != nil {
			return nil, err
		}
		day := activity.CheckInDay(a.at, s.zone())
		back := func(m *model.Movement) *CheckedIn {
			out := checkedIn(activity, own.On(m.Day))
			out.CheckedInAt, out.Message, out.Provenance = m.At, "已再次进场", m.Provenance
			return out
		}
		for i := range own.Moves {
			replay, err := own.Moves[i].Replays(a.once)
			if err != nil {
				return nil, err
			}
			if replay && own.Moves[i].Direction == model.In && own.On(own.Moves[i].Day) != nil {
				return back(&own.Moves[i]), nil
			}
		}
		last := own.LastMove(day)
		if last == nil || last.Direction == model.In {
			return nil, refusal
		}
		if _, err := (&model.Arrival{Activity: *activity, Entry: own.Entry, Recorded: own.On(day)}).AdmitOut(a.at); err != nil {
			return nil, err
		}
		if err := own.AdmitBack(activity, day); err != nil {
			return nil, err
		}
		m := &model.Movement{MemberID: a.actor.MemberID, Direction: model.In, At: a.at, Provenance: model.ByScan, Once: a.once}
		if a.scanned != nil {
			err = s.codes.freshAt(*a.scanned, activity.CodeEpoch, a.at)
		} else {
			m.Provenance, err = model.ByTypedCode, s.codes.proveTyped(a.typed, activity.ID, activity.CodeEpoch, a.at)
		}
		if err != nil {
			return nil, err
		}
		if err := addMovement(tx, s.zone(), activity, m, a.at); err != nil {
			return nil, err
		}
		return back(m), nil
	})
	if err == nil {
		s.boards.changed(ctx, a.activity)
	}
	return out, err
}

// withMovements gives each seat its movements, where the activity asks for
// checking out.
func withMovements(tx *gorm.DB, a *model.Activity, seats []seat) error {
	if !a.CheckOut {
		return nil
	}
	var moves []model.Movement
	if err := tx.Order("id").Find(&moves, "activity_id = ?", a.ID).Error; err != nil {
		return fmt.Errorf("movements at activity %d: %w", a.ID, err)
	}
	at := make(map[uint64]int, len(seats))
	for i := range seats {
		at[seats[i].MemberID] = i
	}
	for _, m := range moves {
		if n, ok := at[m.MemberID]; ok {
			seats[n].Moves = append(seats[n].Moves, m)
		}
	}
	return nil
}

// seatsAt is seatsOf with the movements of each.
func seatsAt(tx *gorm.DB, a *model.Activity) ([]seat, error) {
	seats, err := seatsOf(tx, a.ID)
	if err != nil {
		return nil, err
	}
	return seats, withMovements(tx, a, seats)
}
