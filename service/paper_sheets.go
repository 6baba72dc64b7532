package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"dangri/model"
)

// PaperSheets is people who signed in on paper: entered from the photo of the
// sheet, they count exactly as those who scanned.
type PaperSheets struct {
	db       *gorm.DB
	boards   *Boards
	settings Settings
	now      func() time.Time
}

// PaperSheetInput is who is on the paper. The paper itself is the photo.
type PaperSheetInput struct {
	PhotoID   uint64     `json:"photo_id" minimum:"1" maximum:"9007199254740991" doc:"纸质签到表的照片，先用 attachPhoto 上传"`
	MemberIDs []uint64   `json:"member_ids" minItems:"1" maxItems:"500" doc:"纸上签了名的人"`
	ArrivedAt *time.Time `json:"arrived_at,omitempty" doc:"这些人到会的时间；不给就按准时到会记。按天签到的活动必须给，以分清是哪一天的"`
	Nonce     string     `json:"nonce" minLength:"8" maxLength:"64" pattern:"^[0-9A-Za-z_-]+$" doc:"提交编号：每次登记生成一次，重试时不变"`
}

// PaperSheetReport is what came of each name: nobody is left out silently.
type PaperSheetReport struct {
	PhotoID  uint64         `json:"photo_id"`
	Recorded []PaperLine    `json:"recorded" doc:"这次记为到会的人"`
	Already  []PaperLine    `json:"already" doc:"早已签到的人，原来的记录不变"`
	Refused  []PaperRefusal `json:"refused" doc:"没有记上的人和原因"`
	Tally    model.Tally    `json:"tally"`
	Sentence string         `json:"sentence"`
}

// PaperLine is one person who is there.
type PaperLine struct {
	MemberID    uint64    `json:"member_id"`
	Name        string    `json:"name"`
	CheckedInAt time.Time `json:"checked_in_at"`
}

// PaperRefusal is one person who could not be recorded.
type PaperRefusal struct {
	MemberID uint64 `json:"member_id"`
	Code     string `json:"code"`
	Reason   string `json:"reason"`
}

// Record notes everybody on a paper sheet as present, all or, on a fault, none:
// while check-in is open and, as a correction, after the closing, when the
// absence on record is annulled and stays as the first entry. Who was there
// already keeps the first record; who is not on the roster, and no guest of an
// open meeting, is named with the reason. At a joint meeting those of another
// branch record their own people. A retry answers with the first.
func (s *PaperSheets) Record(ctx context.Context, actor *model.Actor, activityID uint64, in PaperSheetInput) (*PaperSheetReport, error) {
	now := s.now()
	once, err := onceOf(in.Nonce, in)
	if err != nil {
		return nil, err
	}
	report, err := inTx(ctx, s.db, func(tx *gorm.DB) (*PaperSheetReport, error) {
		a, all, err := holdJointly(tx, actor, activityID)
		if err != nil {
			return nil, err
		}
		at, err := s.arrival(a, in, now)
		if err != nil {
			return nil, err
		}
		first, err := firstTry[model.PaperSheet](tx, once, nil, "activity_id = ?", activityID)
		if err != nil {
			return nil, err
		}
		if first != nil {
			return s.report(tx, actor, a, all, in, at, now)
		}
		if err := mayAttach(a, now); err != nil {
			return nil, err
		}
		photo, err := photoOf(tx, all, actor, activityID, in.PhotoID)
		if err != nil {
			return nil, err
		}
		if photo.Purpose != model.PaperSheetPhoto {
			return nil, model.ErrNotPaperPhoto
		}
		row := &model.PaperSheet{ActivityID: activityID, PhotoID: in.PhotoID, RecordedBy: actor.MemberID, RecordedAt: now, Once: once}
		if err := tx.Create(row).Error; err != nil {
			return nil, fmt.Errorf("record paper sheet of activity %d: %w", activityID, err)
		}
		if err := s.enter(tx, actor, a, all, in, at, once, now); err != nil {
			return nil, err
		}
		report, err := s.report(tx, actor, a, all, in, at, now)
		if err != nil {
			return nil, err
		}
		return report, auditBy(tx, now, actor, "record_paper_sheet", "activity", activityID, "ok",
			map[string]any{"photo_id": in.PhotoID, "recorded": len(report.Recorded), "refused": len(report.Refused)})
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return s.Record(ctx, actor, activityID, in) // the second look finds the first try
	}
	if err == nil {
		s.boards.changed(ctx, activityID)
	}
	return report, err
}

// arrival is when people on the paper came: a signature says that they were
// there, and not that they were late.
func (s *PaperSheets) arrival(a *model.Activity, in PaperSheetInput, now time.Time) (time.Time, error) {
	switch {
	case in.ArrivedAt != nil:
		at := in.ArrivedAt.UTC().Truncate(time.Millisecond)
		if at.Before(a.OpensAt) || !at.Before(a.EndsAt) || at.After(now) {
			return at, model.BadField("arrived_at", "到会的时间应在开放签到之后、活动结束之前，也不能晚于现在")
		}
		return at, nil
	case a.Daily:
		return now, model.BadField("arrived_at", "按天签到的活动，请写明是哪一天到会的")
	case now.Before(a.StartsAt):
		return now, nil
	}
	return a.StartsAt, nil
}

// enter writes the rows: where nothing is on record an insert that leaves a
// quicker scan alone, where an absence or a leave is, a correction.
func (s *PaperSheets) enter(tx *gorm.DB, actor *model.Actor, a *model.Activity, all sides, in PaperSheetInput, at time.Time, once model.Once, now time.Time) error {
	seats, err := seatsOf(tx, a.ID)
	if err != nil {
		return err
	}
	people := byMember(all.own(actor, seats))
	ids := slices.Clone(in.MemberIDs)
	slices.Sort(ids) // the order in which arrivals are written, so that the two do not deadlock
	day := a.CheckInDay(at, s.settings.Zone)
	var fresh []model.Attendance
	for _, id := range slices.Compact(ids) {
		row := model.Attendance{ActivityID: a.ID, MemberID: id, Day: day, Status: model.Present, Provenance: model.ByPaper, At: at, RecordedAt: &now,
			Location: model.LocationNotGiven, RecordedBy: &actor.MemberID, Once: once}
		own := people[id]
		if own == nil {
			own = &seat{}
			line, err := lineOfMember(tx, id, model.DayOf(a.StartsAt, s.settings.Zone))
			if err != nil {
				return err
			}
			if !a.OpenToGuests || !actor.Oversees(line) || all.mayRecord(actor, line.BranchID(), true) != nil {
				continue
			}
		}
		switch held := own.On(day); {
		case held == nil && a.Status != model.Closed:
			if err := placeRow(tx, s.settings.Zone, a, &own.Standing, &row); err != nil {
				return err
			}
			fresh = append(fresh, row)
		case held == nil, held.Status != model.Present: // a closed activity's credit follows
			if err := replaceAttendance(tx, s.settings.Zone, actor, a, &row, "按纸质签到表更正", now); err != nil {
				return err
			}
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(fresh, 500).Error; err != nil {
		return fmt.Errorf("enter paper sheet of activity %d: %w", a.ID, err)
	}
	return nil
}

// own are the seats of those whose coming the actor may record.
func (all sides) own(actor *model.Actor, seats []seat) []seat {
	return slices.DeleteFunc(slices.Clone(seats), func(s seat) bool { return all.mayRecord(actor, s.branch(), true) != nil })
}

// byMember is the seats by whose they are.
func byMember(seats []seat) map[uint64]*seat {
	people := make(map[uint64]*seat, len(seats))
	for i := range seats {
		people[seats[i].MemberID] = &seats[i]
	}
	return people
}

// report says of each name what is on record now.
func (s *PaperSheets) report(tx *gorm.DB, actor *model.Actor, a *model.Activity, all sides, in PaperSheetInput, at, now time.Time) (*PaperSheetReport, error) {
	seats, err := seatsAt(tx, a)
	if err != nil {
		return nil, err
	}
	count, err := all.tally(actor, a, seats, now)
	if err != nil {
		return nil, err
	}
	people := byMember(all.own(actor, seats))
	day := a.CheckInDay(at, s.settings.Zone)
	out := &PaperSheetReport{PhotoID: in.PhotoID, Recorded: []PaperLine{}, Already: []PaperLine{}, Refused: []PaperRefusal{}, Tally: count}
	out.Sentence = out.Tally.Sentence()
	said := map[uint64]bool{}
	for _, id := range in.MemberIDs {
		if said[id] {
			continue
		}
		said[id] = true
		own := cmp.Or(people[id], &seat{})
		switch t := own.On(day); {
		case t != nil && t.Status == model.Present && t.Nonce == in.Nonce && t.Provenance == model.ByPaper:
			out.Recorded = append(out.Recorded, PaperLine{id, own.Name, t.At})
		case t != nil && t.Status == model.Present:
			out.Already = append(out.Already, PaperLine{id, own.Name, t.At})
		case own.Entry != nil:
			out.Refused = append(out.Refused, PaperRefusal{id, model.ErrAnnulled.Code, model.ErrAnnulled.Message})
		default:
			out.Refused = append(out.Refused, PaperRefusal{id, model.ErrNotOnRoster.Code, "不在本次会议的名单中，请核对是不是选错了人"})
		}
	}
	return out, nil
}
