package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Corrections is what is put right after the first scan. Nothing is deleted or
// overwritten: what no longer holds stays, with who took it back and why.
type Corrections struct {
	db       *gorm.DB
	boards   *Boards
	settings Settings
	now      func() time.Time
}

// AnnulCheckInInput says which check-in does not count, and why. Exactly one of
// attendance id and nonce.
type AnnulCheckInInput struct {
	AttendanceID uint64 `json:"attendance_id,omitempty" maximum:"9007199254740991" doc:"签到记录的编号，见 attendance-log"`
	CheckInNonce string `json:"check_in_nonce,omitempty" maxLength:"64" doc:"签到时的提交编号"`
	MemberID     uint64 `json:"member_id,omitempty" maximum:"9007199254740991" doc:"几个人用了同一个提交编号时，说明是谁的"`
	Reason       string `json:"reason" minLength:"2" maxLength:"100" doc:"作废的原因，留痕"`
}

// Annulled is a check-in that does not count any more.
type Annulled struct {
	AttendanceID uint64                 `json:"attendance_id"`
	MemberID     uint64                 `json:"member_id"`
	Name         string                 `json:"name"`
	AnnulledAt   time.Time              `json:"annulled_at" doc:"第一次作废的时间"`
	Reason       string                 `json:"reason"`
	Status       model.AttendanceStatus `json:"status" doc:"这个人现在算什么；空为未到"`
	Message      string                 `json:"message" doc:"可以直接显示的话"`
	Tally        model.Tally            `json:"tally"`
}

// Annul takes a check-in back: the row stays with who, when and why, the person
// no longer counts as present and may scan again while check-in is open. At a
// closed meeting they are absent from now on, or on the leave that stands. At a
// joint meeting those who conduct it annul anybody's, and those of another branch
// their own people's. Annulling again changes nothing.
func (s *Corrections) Annul(ctx context.Context, actor *model.Actor, id uint64, in AnnulCheckInInput) (*Annulled, error) {
	now := s.now()
	out, err := inTx(ctx, s.db, func(tx *gorm.DB) (*Annulled, error) {
		a, all, err := holdJointly(tx, actor, id)
		if err != nil {
			return nil, err
		}
		reason, err := cleanReason(in.Reason)
		if err != nil {
			return nil, err
		}
		t, err := checkInOf(tx, all, actor, id, in)
		if err != nil {
			return nil, err
		}
		if t.Voided == 0 {
			if err := errors.Join(a.Allow(model.Published, model.Closed), t.Annullable()); err != nil {
				return nil, err
			}
			if err := s.annul(tx, actor, a, t, reason, now); err != nil {
				return nil, err
			}
		}
		return annulled(tx, all, actor, a, t, now)
	})
	if err == nil {
		s.boards.changed(ctx, id)
	}
	return out, err
}

// checkInOf finds the check-in that is meant, among those that are the actor's
// business.
func checkInOf(tx *gorm.DB, all sides, actor *model.Actor, activityID uint64, in AnnulCheckInInput) (*model.Attendance, error) {
	if (in.AttendanceID == 0) == (in.CheckInNonce == "") {
		return nil, model.BadField("attendance_id", "请指明要作废哪一次签到")
	}
	found := tx.Where("activity_id = ?", activityID)
	if in.AttendanceID != 0 {
		found = found.Where("id = ?", in.AttendanceID)
	} else {
		found = found.Where("nonce = ?", in.CheckInNonce)
	}
	if in.MemberID != 0 {
		found = found.Where("member_id = ?", in.MemberID)
	}
	var rows []model.Attendance
	if err := found.Order("id").Limit(2).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("find check-in at activity %d: %w", activityID, err)
	}
	switch {
	case len(rows) == 0:
		return nil, model.ErrCheckInNotFound
	case len(rows) > 1:
		return nil, model.BadField("member_id", "不止一个人用了这个提交编号，请指明是谁的签到")
	}
	t := &rows[0]
	own, err := standingOf(tx, activityID, t.MemberID)
	if err != nil {
		return nil, err
	}
	if all.mayRecord(actor, cmp.Or(branchIn(own), t.BranchID), true) != nil {
		return nil, model.ErrCheckInNotFound
	}
	return t, nil
}

func (s *Corrections) annul(tx *gorm.DB, actor *model.Actor, a *model.Activity, t *model.Attendance, reason string, now time.Time) error {
	own, err := standingOf(tx, a.ID, t.MemberID)
	if err != nil {
		return err
	}
	if err := voidAttendance(tx, actor, t, reason, now); err != nil {
		return err
	}
	if a.Status == model.Closed && own.Entry != nil {
		left := &model.Attendance{MemberID: t.MemberID, Day: t.Day, Status: model.Absent, Provenance: model.ByCorrection, At: now, Reason: reason}
		if own.Leave != nil {
			left.Status = own.Leave.Status
		}
		if err := replaceAttendance(tx, s.settings.Zone, actor, a, left, reason, now); err != nil {
			return err
		}
	}
	return auditBy(tx, now, actor, "annul_check_in", "activity", a.ID, "ok", map[string]any{"attendance_id": t.ID, "member_id": t.MemberID})
}

func annulled(tx *gorm.DB, all sides, actor *model.Actor, a *model.Activity, t *model.Attendance, now time.Time) (*Annulled, error) {
	m, err := find[model.Member](tx, t.MemberID, model.ErrNotOnRoster)
	if err != nil {
		return nil, err
	}
	own, err := standingOf(tx, a.ID, t.MemberID)
	if err != nil {
		return nil, err
	}
	seats, err := seatsAt(tx, a)
	if err != nil {
		return nil, err
	}
	count, err := all.tally(actor, a, seats, now)
	if err != nil {
		return nil, err
	}
	out := &Annulled{AttendanceID: t.ID, MemberID: m.ID, Name: m.Name, AnnulledAt: *t.VoidedAt, Reason: t.VoidReason, Status: own.Status(),
		Message: m.Name + "的这次签到已作废，可以重新签到", Tally: count}
	if out.Status != "" {
		out.Message = m.Name + "的这次签到已作废，现在记为“" + model.AttendanceStatusNames[out.Status] + "”"
	}
	return out, nil
}

// CorrectInput is what became of somebody, as it should be on record.
type CorrectInput struct {
	MemberID uint64                 `json:"member_id" minimum:"1" maximum:"9007199254740991" doc:"党员"`
	Status   model.AttendanceStatus `json:"status" enum:"present,sick_leave,personal_leave,duty_leave,absent" doc:"应当记成什么"`
	At       *time.Time             `json:"at,omitempty" doc:"到会的时间；原来就记为到会的可不给，除非那时的时间没有人量过、又会因此算迟到"`
	LeftAt   *time.Time             `json:"left_at,omitempty" doc:"离开的时间；只用于要签退的活动，代替原来的进出记录"`
	Day      model.Day              `json:"day,omitempty" maxLength:"10" doc:"按天签到的活动：改哪一天的；给了 at 就不用给"`
	Reason   string                 `json:"reason" minLength:"2" maxLength:"100" doc:"更正的依据，留痕"`
	Nonce    string                 `json:"nonce" minLength:"8" maxLength:"64" pattern:"^[0-9A-Za-z_-]+$" doc:"提交编号：每次更正生成一次，重试时不变"`
}

// Correct puts right what is recorded of somebody at a meeting that is on or
// closed. What was recorded stays as the first entry; the correction is a
// further row, and it holds. Leave during a meeting only excuses, as Record
// notes it: coming after all still counts. At a joint meeting those who conduct
// it may put right that somebody came, and those of another branch everything of
// their own people.
func (s *Corrections) Correct(ctx context.Context, actor *model.Actor, id uint64, in CorrectInput) (*Recorded, error) {
	now := s.now()
	once, err := onceOf(in.Nonce, in)
	if err != nil {
		return nil, err
	}
	out, err := inTx(ctx, s.db, func(tx *gorm.DB) (*Recorded, error) {
		a, all, err := holdJointly(tx, actor, id)
		if err != nil {
			return nil, err
		}
		own, err := standingOf(tx, id, in.MemberID)
		if err != nil {
			return nil, err
		}
		if own.Entry != nil || own.Recorded != nil {
			if err := all.mayRecord(actor, branchIn(own), in.Status == model.Present); err != nil {
				return nil, err
			}
		}
		if again, err := replayed(tx, a, in.MemberID, own, once); again != nil || err != nil {
			return again, err
		}
		if err := a.Allow(model.Published, model.Closed); err != nil {
			return nil, err
		}
		if now.Before(a.OpensAt) {
			return nil, model.ErrNotOpenYet.With("opens_at", a.OpensAt)
		}
		reason, err := cleanReason(in.Reason)
		if err != nil {
			return nil, err
		}
		member, err := s.correctable(tx, actor, a, all, own, in)
		if err != nil {
			return nil, err
		}
		row, err := s.corrected(a, own, in, now)
		if err != nil {
			return nil, err
		}
		row.Reason, row.Once = reason, once
		err = auditBy(tx, now, actor, "correct_attendance", "activity", id, "ok", map[string]any{"member_id": in.MemberID, "status": in.Status, "day": row.Day})
		if err != nil {
			return nil, err
		}
		if held := own.On(row.Day); a.Status == model.Published && in.Status.Excuses() {
			if held != nil {
				if err := voidAttendance(tx, actor, held, reason, now); err != nil {
					return nil, err
				}
			}
			return excuse(tx, actor, a, member, RecordInput{Status: in.Status, Reason: reason}, once, now)
		}
		if err := replaceAttendance(tx, s.settings.Zone, actor, a, row, reason, now); err != nil {
			return nil, err
		}
		if in.LeftAt != nil {
			m := &model.Movement{MemberID: in.MemberID, Direction: model.Out, At: in.LeftAt.UTC().Truncate(time.Millisecond), Provenance: model.ByCorrection,
				RecordedBy: &actor.MemberID, Reason: reason, Once: once}
			if err := addMovement(tx, s.settings.Zone, a, m, now); err != nil {
				return nil, err
			}
		}
		return recorded(a, member, row), nil
	})
	if err == nil {
		s.boards.changed(ctx, id)
	}
	return out, err
}

// correctable is the member of whom something may be recorded: on the roster,
// there already, or at an open meeting whoever the actor may know of.
func (s *Corrections) correctable(tx *gorm.DB, actor *model.Actor, a *model.Activity, all sides, own *model.Standing, in CorrectInput) (*model.Member, error) {
	if own.Entry == nil && own.Recorded == nil {
		line, err := lineOfMember(tx, in.MemberID, model.DayOf(a.StartsAt, s.settings.Zone))
		if err != nil {
			return nil, err
		}
		if !a.OpenToGuests || !actor.Oversees(line) || all.mayRecord(actor, line.BranchID(), true) != nil {
			return nil, model.ErrNotOnRoster
		}
	}
	if own.Entry == nil && in.Status != model.Present {
		return nil, model.ErrNotOnRoster
	}
	return find[model.Member](tx, in.MemberID, model.ErrNotOnRoster)
}

// corrected is the row that the input asks for, without its reason and nonce.
func (s *Corrections) corrected(a *model.Activity, own *model.Standing, in CorrectInput, now time.Time) (*model.Attendance, error) {
	row := &model.Attendance{MemberID: in.MemberID, Status: in.Status, Provenance: model.ByCorrection, At: now, Day: in.Day}
	if in.At != nil {
		row.At = in.At.UTC().Truncate(time.Millisecond)
		row.Day = a.CheckInDay(row.At, s.settings.Zone)
	}
	switch {
	case in.At != nil && in.Status != model.Present:
		return nil, model.BadField("at", "只有记为到会时才填到会的时间")
	case in.At != nil && (row.At.After(now) || row.At.Before(a.OpensAt) || !row.At.Before(a.EndsAt)):
		return nil, model.BadField("at", "到会的时间应在开放签到之后、活动结束之前，也不能晚于现在")
	case in.Day != "" && in.Day != row.Day, a.Daily != (row.Day != ""), a.Daily && !slices.Contains(a.CheckInDays(now, s.settings.Zone), row.Day):
		return nil, model.BadField("day", "请指明按天签到的活动里已经到了的一天；其他活动不用填")
	case in.Status == model.Present && in.At == nil:
		held := own.On(row.Day)
		if held == nil || held.Status != model.Present {
			return nil, model.BadField("at", "请填写到会的时间")
		}
		row.At = held.At
		if row.Late(a) && !held.Late(a) {
			return nil, model.BadField("at", "请填写到会的时间：原来的时间没有人核对过，不能据以算迟到")
		}
	}
	if in.LeftAt != nil && (!a.CheckOut || in.Status != model.Present || !in.LeftAt.After(row.At) || in.LeftAt.After(now) ||
		a.CheckInDay(*in.LeftAt, s.settings.Zone) != row.Day) {
		return nil, model.BadField("left_at", "只有要签退的活动里记为到会的人才填离开的时间；应在到会之后，不能晚于现在")
	}
	return row, nil
}

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
			return creditOne(tx, zone, a, row.MemberID)
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
	first, err := firstTry[model.Attendance](tx, once, nil, "activity_id = ? AND member_id = ? AND voided <> 0", activityID, memberID)
	if first == nil || err != nil {
		return err
	}
	return model.ErrAnnulled
}

// AttendanceLog is everything on record of one person at one activity.
type AttendanceLog struct {
	MemberID uint64                 `json:"member_id"`
	Name     string                 `json:"name"`
	Status   model.AttendanceStatus `json:"status" doc:"现在算什么；空为未到"`
	Entries  []LogEntry             `json:"entries" doc:"按登记的先后"`
}

// LogEntry is one entry of it.
type LogEntry struct {
	Kind       string                 `json:"kind" enum:"attendance,leave,movement" doc:"到会与否、请假、进出"`
	ID         uint64                 `json:"id" doc:"在同一种里的编号"`
	Status     model.AttendanceStatus `json:"status,omitempty"`
	Direction  model.Direction        `json:"direction,omitempty" doc:"in 进，out 出"`
	Day        model.Day              `json:"day,omitempty" doc:"按天签到的活动：哪一天的"`
	At         time.Time              `json:"at" doc:"记的是什么时候的事"`
	RecordedAt time.Time              `json:"recorded_at" doc:"什么时候登记的"`
	RecordedBy string                 `json:"recorded_by,omitempty" doc:"谁登记的；本人自己的不写"`
	Provenance model.Provenance       `json:"provenance,omitempty"`
	By         string                 `json:"by" doc:"方式，可以直接显示"`
	Flag       model.MovementFlag     `json:"flag,omitempty" doc:"no_check_in：没有签到就签退"`
	Reason     string                 `json:"reason,omitempty"`
	Annulled   *Annulment             `json:"annulled,omitempty" doc:"已不作数：谁、何时、为何"`
}

// Annulment is who took an entry back, when and why.
type Annulment struct {
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
}

// Log is every entry about one person at one activity, also those that no
// longer hold: for those who conduct it, for the person's own branch at a joint
// meeting, and each member's own. Why somebody was excused is not for the host
// of another branch's people.
func (s *Corrections) Log(ctx context.Context, actor *model.Actor, id, memberID uint64) (*AttendanceLog, error) {
	db := s.db.WithContext(ctx)
	_, all, err := jointly(db, actor, id)
	if err != nil {
		return nil, err
	}
	own, err := standingOf(db, id, memberID)
	if err != nil {
		return nil, err
	}
	self := memberID == actor.MemberID
	if !self && all.mayRecord(actor, branchIn(own), true) != nil {
		return nil, model.ErrNotConductor
	}
	whole := self || actor.Conducts(all.of(branchIn(own)).line)
	var rows []model.Attendance
	var leaves []model.Leave
	var moves []model.Movement
	mine := func() *gorm.DB { return db.Where("activity_id = ? AND member_id = ?", id, memberID).Order("id") }
	if err := errors.Join(mine().Find(&rows).Error, mine().Find(&leaves).Error, mine().Find(&moves).Error); err != nil {
		return nil, fmt.Errorf("attendance log of member %d: %w", memberID, err)
	}
	if own.Entry == nil && len(rows)+len(leaves)+len(moves) == 0 {
		return nil, model.ErrNotFound
	}
	people := []uint64{memberID}
	for i := range rows {
		people = append(people, deref(rows[i].RecordedBy), deref(rows[i].VoidedBy))
	}
	for i := range leaves {
		people = append(people, leaves[i].RecordedBy)
	}
	for i := range moves {
		people = append(people, deref(moves[i].RecordedBy))
	}
	names, err := namesOf(db, people)
	if err != nil {
		return nil, err
	}
	out := &AttendanceLog{MemberID: memberID, Name: names[memberID], Status: own.Status(), Entries: []LogEntry{}}
	for i := range rows {
		t := &rows[i]
		e := LogEntry{Kind: "attendance", ID: t.ID, Status: t.Status, Day: t.Day, At: t.At, RecordedAt: t.At, RecordedBy: names[deref(t.RecordedBy)],
			Provenance: t.Provenance, By: model.ProvenanceNames[t.Provenance]}
		if whole || !t.Status.Excuses() {
			e.Reason = t.Reason
		}
		if t.RecordedAt != nil {
			e.RecordedAt = *t.RecordedAt
		}
		if t.Voided != 0 {
			e.Annulled = &Annulment{At: *t.VoidedAt, By: names[deref(t.VoidedBy)], Reason: t.VoidReason}
		}
		out.Entries = append(out.Entries, e)
	}
	for i := range leaves {
		l := &leaves[i]
		e := LogEntry{Kind: "leave", ID: l.ID, Status: l.Status, At: l.CreatedAt, RecordedAt: l.CreatedAt, RecordedBy: names[l.RecordedBy], By: "请假登记"}
		if whole {
			e.Reason = l.Reason
		}
		out.Entries = append(out.Entries, e)
	}
	for i := range moves {
		m := &moves[i]
		out.Entries = append(out.Entries, LogEntry{Kind: "movement", ID: m.ID, Direction: m.Direction, Day: m.Day, At: m.At, RecordedAt: m.RecordedAt,
			RecordedBy: names[deref(m.RecordedBy)], Provenance: m.Provenance, By: model.ProvenanceNames[m.Provenance], Flag: m.Flag, Reason: m.Reason})
	}
	slices.SortStableFunc(out.Entries, func(x, y LogEntry) int { return x.RecordedAt.Compare(y.RecordedAt) })
	return out, nil
}
