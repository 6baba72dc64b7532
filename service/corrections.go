package service

import (
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// voidAttendance annuls a row that holds: it stays as it was written, with who
// annulled it, when and why. Hold the activity's row first.
func voidAttendance(tx *gorm.DB, actor *model.Actor, t *model.Attendance, reason string, now time.Time) error {
	update := tx.Model(&model.Attendance{}).Where("id = ? AND voided = 0", t.ID).
		Updates(map[string]any{"voided": t.ID, "voided_by": actor.MemberID, "voided_at": now, "void_reason": reason})
	switch {
	case update.Error != nil:
		return fmt.Errorf("annul attendance %d: %w", t.ID, update.Error)
	case update.RowsAffected == 0:
		return model.ErrChangedMeantime
	}
	t.Voided, t.VoidedBy, t.VoidedAt, t.VoidReason = t.ID, &actor.MemberID, &now, reason
	return nil
}

// replaceAttendance makes row what holds of its member, on its day where
// check-in is daily. What held until now, if anything, is annulled with the
// reason, so the first entry stays. Of row it needs the member, status,
// provenance, time and nonce; day and branch follow from the activity. A scan
// that commits in between is replaced too. Hold the activity's row first.
func replaceAttendance(tx *gorm.DB, zone *time.Location, actor *model.Actor, a *model.Activity, row *model.Attendance, reason string, now time.Time) error {
	own, err := standingOf(tx, a.ID, row.MemberID)
	if err != nil {
		return err
	}
	if err := placeRow(tx, zone, a, own, row); err != nil {
		return err
	}
	row.ActivityID, row.RecordedAt = a.ID, &now
	if row.RecordedBy == nil {
		row.RecordedBy = &actor.MemberID
	}
	if row.Location == "" {
		row.Location = model.LocationNotGiven
	}
	for {
		if held := own.On(row.Day); held != nil {
			if err := voidAttendance(tx, actor, held, reason, now); err != nil {
				return err
			}
		}
		err := tx.Create(row).Error
		if err == nil {
			return nil
		}
		if !errors.Is(err, gorm.ErrDuplicatedKey) {
			return fmt.Errorf("replace attendance of member %d: %w", row.MemberID, err)
		}
		row.ID = 0
		if own, err = standingOf(tx, a.ID, row.MemberID); err != nil {
			return err
		}
	}
}

// placeRow says where the row of a member belongs: branch, day, on the roster or
// as a guest.
func placeRow(tx *gorm.DB, zone *time.Location, a *model.Activity, own *model.Standing, row *model.Attendance) error {
	if row.Day == "" {
		row.Day = a.CheckInDay(row.At, zone)
	}
	row.Guest = own.Entry == nil
	if own.Entry != nil {
		row.BranchID = own.Entry.BranchID
		return nil
	}
	line, err := lineOfMember(tx, row.MemberID, model.DayOf(a.StartsAt, zone))
	if err != nil {
		return err
	}
	row.BranchID = line.BranchID()
	return nil
}

// refuseAnnulled refuses a retry whose row no longer holds: it would bring back
// what somebody took back.
func refuseAnnulled(tx *gorm.DB, activityID, memberID uint64, once model.Once) error {
	var rows []model.Attendance
	err := tx.Limit(1).Find(&rows, "activity_id = ? AND member_id = ? AND nonce = ? AND voided <> 0", activityID, memberID, once.Nonce).Error
	if err != nil {
		return fmt.Errorf("find annulled attendance of member %d: %w", memberID, err)
	}
	if len(rows) == 0 {
		return nil
	}
	if _, err := rows[0].Replays(once); err != nil {
		return err
	}
	return model.ErrAnnulled
}
