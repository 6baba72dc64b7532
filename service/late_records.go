package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// LateRecordInput is 补签: the caller, or a member for whom the caller asks,
// was there.
type LateRecordInput struct {
	MemberID uint64     `json:"member_id,omitempty" maximum:"9007199254740991" doc:"书记替谁申请；本人申请不用给"`
	CameAt   *time.Time `json:"came_at,omitempty" doc:"到会的时间，记不清可不给"`
	Reason   string     `json:"reason" minLength:"2" maxLength:"100" doc:"当时为什么没有签上"`
	Nonce    string     `json:"nonce" minLength:"8" maxLength:"64" pattern:"^[0-9A-Za-z_-]+$" doc:"提交编号：每次申请生成一次，重试时不变"`
}

// AskLateRecord asks for a 补签, by the member or by whoever conducts the
// activity, or the member's branch, for somebody on its roster: from the end of
// the check-in on, for so many days after the meeting as the installation says
// (seven).
func (s *Requests) AskLateRecord(ctx context.Context, actor *model.Actor, activityID uint64, in LateRecordInput) (*RequestView, error) {
	now := s.now()
	once, err := onceOf(in.Nonce, []any{activityID, in})
	if err != nil {
		return nil, err
	}
	reason, err := cleanReason(in.Reason)
	if err != nil {
		return nil, err
	}
	if in.MemberID == 0 {
		in.MemberID = actor.MemberID
	}
	row, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.LateRecord, error) {
		_, all, err := jointly(tx, actor, activityID)
		if err != nil {
			return nil, err
		}
		a, err := lock[model.Activity](tx, activityID, model.ErrActivityNotFound)
		if err != nil {
			return nil, err
		}
		if first, err := firstTry[model.LateRecord](tx, once, nil, "asked_by = ?", actor.MemberID); first != nil || err != nil {
			return first, err
		}
		own, err := standingOf(tx, activityID, in.MemberID)
		if err != nil {
			return nil, err
		}
		branch := a.OrganisationID
		if own.Entry != nil {
			branch = own.Entry.BranchID
		}
		switch self := in.MemberID == actor.MemberID; {
		case !self && all.mayRecord(actor, branch, true) != nil:
			return nil, model.ErrNotConductor
		case own.Entry == nil:
			return nil, model.ErrNotOnRoster
		}
		if t := own.On(lateRecordDay(a, in.CameAt, s.settings.Zone)); t != nil && t.Status == model.Present {
			return nil, model.ErrAlreadyCheckedIn.With("checked_in_at", t.At)
		}
		if err := a.LateRecordAt(s.settings.LateRecordDays, now); err != nil {
			return nil, err
		}
		live := true
		row := &model.LateRecord{Reason: reason, AskedBy: actor.MemberID, Request: model.Request{ActivityID: activityID, MemberID: in.MemberID,
			BranchID: branch, Live: &live, State: model.Asked, AskedAt: now, Once: once}}
		if in.CameAt != nil {
			came := in.CameAt.UTC().Truncate(time.Second)
			if came.Before(a.OpensAt) || !came.Before(a.EndsAt) {
				return nil, model.BadField("came_at", "到会的时间应在开放签到之后、活动结束之前")
			}
			row.CameAt = &came
		}
		if err := tx.Create(row).Error; err != nil {
			return nil, fmt.Errorf("ask for late record: %w", err)
		}
		return row, errors.Join(askDeciders(tx, s.settings.Sending, a, asker{row.MemberID, actor.MemberID, row.BranchID}, now),
			auditBy(tx, now, actor, "ask_late_record", "late_record", row.ID, "ok", map[string]any{"activity_id": activityID, "member_id": in.MemberID}))
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		row, err = firstTry[model.LateRecord](s.db.WithContext(ctx), once, model.ErrLateRecordAsked, "asked_by = ?", actor.MemberID)
	}
	if err != nil {
		return nil, err
	}
	return s.lateRecord(ctx, row)
}

// DecideLateRecord approves or refuses a 补签, by whoever would decide the member's
// leave or looks after their branch from above, and neither asked nor is the member:
// refused as own_request. Approved, the member counts as present, never as late;
// the absence that the closing wrote stays as the first entry.
func (s *Requests) DecideLateRecord(ctx context.Context, actor *model.Actor, id uint64, in DecisionInput) (*RequestView, error) {
	row, err := decide(ctx, s, actor, id, in, verdict[model.LateRecord]{
		action: "decide_late_record", subject: "late_record", approved: model.LateRecordApproved, refused: model.LateRecordRefused, supervised: true, grant: s.present})
	if err != nil {
		return nil, err
	}
	return s.lateRecord(ctx, row)
}

// lateRecordDay is the day that a 补签 is for: the first, where nobody says when
// the member came.
func lateRecordDay(a *model.Activity, came *time.Time, zone *time.Location) model.Day {
	if came == nil {
		return a.CheckInDay(a.StartsAt, zone)
	}
	return a.CheckInDay(*came, zone)
}

// present writes an approved 补签, unless the member was recorded as present in
// the meantime.
func (s *Requests) present(tx *gorm.DB, actor *model.Actor, a *model.Activity, r *model.LateRecord, now time.Time) error {
	own, err := standingOf(tx, a.ID, r.MemberID)
	if err != nil {
		return err
	}
	if t := own.On(lateRecordDay(a, r.CameAt, s.settings.Zone)); t != nil && t.Status == model.Present {
		return nil
	}
	row := &model.Attendance{MemberID: r.MemberID, Status: model.Present, Provenance: model.ByLateRecord, At: a.StartsAt, Reason: r.Reason}
	if r.CameAt != nil {
		row.At = *r.CameAt
	}
	return replaceAttendance(tx, s.settings.Zone, actor, a, row, "补签已批准", now)
}

func (s *Requests) lateRecord(ctx context.Context, r *model.LateRecord) (*RequestView, error) {
	return first(s.views(s.db.WithContext(ctx), nil, []model.LateRecord{*r}))
}

// LateRecordFigures is how often a month's attendance rests on 补签.
type LateRecordFigures struct {
	Month    string                 `json:"month"`
	Branches []LateRecordBranchLine `json:"branches"`
}

// LateRecordBranchLine is one branch of them.
type LateRecordBranchLine struct {
	BranchID    uint64  `json:"branch_id"`
	Branch      string  `json:"branch"`
	Asked       int     `json:"asked" doc:"申请几次"`
	Approved    int     `json:"approved" doc:"同意几次"`
	Refused     int     `json:"refused" doc:"未同意几次"`
	Attendances int     `json:"attendances" doc:"同月到会的人次"`
	Recorded    int     `json:"recorded" doc:"其中靠补签的人次"`
	Share       float64 `json:"share" doc:"靠补签的占到会人次的几成，0 到 1"`
}

// Figures is the 补签 of a month in each branch at or below an organisation, by
// the day of the meeting, for those who oversee it: how many were asked for and
// granted, and what share of the attendances rests on them.
func (s *Requests) Figures(ctx context.Context, actor *model.Actor, organisationID uint64, month string) (*LateRecordFigures, error) {
	db := s.db.WithContext(ctx)
	if _, err := overseen(db, actor, organisationID); err != nil {
		return nil, err
	}
	from, until, err := monthOf(month, s.settings.Zone)
	if err != nil {
		return nil, err
	}
	from, until = from.UTC(), until.UTC()
	out := &LateRecordFigures{Month: month, Branches: []LateRecordBranchLine{}}
	// Each table is read once for the month, however many branches there are.
	var asked, came []LateRecordBranchLine
	err = errors.Join(
		db.Table("organisations b").Select("b.id AS branch_id, b.name AS branch").
			Where("b.kind IN ? AND b.id IN (?)", []model.OrganisationKind{model.Branch, model.Community}, below(db, []uint64{organisationID})).Order("b.id").Scan(&out.Branches).Error,
		db.Table("activities a").Select("r.branch_id, COUNT(*) AS asked, SUM(r.state = ?) AS approved, SUM(r.state = ?) AS refused", model.Approved, model.RequestRefused).
			Joins("JOIN late_records r ON r.activity_id = a.id").Where("a.starts_at >= ? AND a.starts_at < ?", from, until).Group("r.branch_id").Scan(&asked).Error,
		db.Table("activities a").Select("t.branch_id, COUNT(*) AS attendances, SUM(t.provenance = ?) AS recorded", model.ByLateRecord).
			Joins("JOIN attendances t ON t.activity_id = a.id").Where("a.starts_at >= ? AND a.starts_at < ? AND t.status = ? AND t.voided = 0", from, until, model.Present).
			Group("t.branch_id").Scan(&came).Error)
	if err != nil {
		return nil, fmt.Errorf("late records below organisation %d: %w", organisationID, err)
	}
	at := make(map[uint64]*LateRecordBranchLine, len(out.Branches))
	for i := range out.Branches {
		at[out.Branches[i].BranchID] = &out.Branches[i]
	}
	for _, a := range asked {
		if l := at[a.BranchID]; l != nil {
			l.Asked, l.Approved, l.Refused = a.Asked, a.Approved, a.Refused
		}
	}
	for _, c := range came {
		if l := at[c.BranchID]; l != nil {
			l.Attendances, l.Recorded, l.Share = c.Attendances, c.Recorded, float64(c.Recorded)/float64(c.Attendances)
		}
	}
	return out, nil
}
