package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// LeaveInput is a member asking leave.
type LeaveInput struct {
	Status model.AttendanceStatus `json:"status" enum:"sick_leave,personal_leave,duty_leave" doc:"请假的种类：病假、事假、公假"`
	Note   string                 `json:"note,omitempty" maxLength:"100" doc:"说明，可不填"`
	Nonce  string                 `json:"nonce" minLength:"8" maxLength:"64" pattern:"^[0-9A-Za-z_-]+$" doc:"提交编号：每次申请生成一次，重试时不变"`
}

// AskLeave asks leave for the caller from an activity that is not closed: they
// are on its roster and have not come. One request of a person is open at a
// time; a retry answers with the first. Refused as leave_asked while another is.
func (s *Requests) AskLeave(ctx context.Context, actor *model.Actor, activityID uint64, in LeaveInput) (*RequestView, error) {
	now := s.now()
	once, err := onceOf(in.Nonce, []any{activityID, in})
	if err != nil {
		return nil, err
	}
	row, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.LeaveRequest, error) {
		if _, _, _, err := seen(tx, actor, activityID); err != nil {
			return nil, err
		}
		a, err := lock[model.Activity](tx, activityID, model.ErrActivityNotFound)
		if err != nil {
			return nil, err
		}
		if first, err := firstTry[model.LeaveRequest](tx, once, nil, "member_id = ?", actor.MemberID); first != nil || err != nil {
			return first, err
		}
		own, err := standingOf(tx, activityID, actor.MemberID)
		if err != nil {
			return nil, err
		}
		switch {
		case own.Entry == nil:
			return nil, model.ErrNotOnRoster
		case own.Recorded != nil && own.Recorded.Status == model.Present:
			return nil, model.ErrAlreadyCheckedIn.With("checked_in_at", own.Recorded.At)
		}
		if err := a.Allow(model.Published); err != nil {
			return nil, err
		}
		live := true
		row := &model.LeaveRequest{Status: in.Status, Note: cleanLine(in.Note), Request: model.Request{ActivityID: activityID, MemberID: actor.MemberID,
			BranchID: own.Entry.BranchID, Live: &live, State: model.Asked, AskedAt: now, Once: once}}
		if err := tx.Create(row).Error; err != nil {
			return nil, fmt.Errorf("ask leave: %w", err)
		}
		return row, askDeciders(tx, s.settings.Sending, a, asker{row.MemberID, actor.MemberID, row.BranchID}, now)
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		// The open request, or the first try with the nonce, came in between.
		row, err = firstTry[model.LeaveRequest](s.db.WithContext(ctx), once, model.ErrLeaveAsked, "member_id = ?", actor.MemberID)
	}
	if err != nil {
		return nil, err
	}
	return s.leave(ctx, row)
}

// DecideLeave approves or refuses a leave, by whoever conducts the activity and
// is not the member; at a joint meeting each branch decides about its own people
// alone. An approved leave excuses from then on, also where the meeting was closed
// meanwhile and the member is down as absent. Deciding the same again changes
// nothing.
func (s *Requests) DecideLeave(ctx context.Context, actor *model.Actor, id uint64, in DecisionInput) (*RequestView, error) {
	row, err := decide(ctx, s, actor, id, in, verdict[model.LeaveRequest]{
		action: "decide_leave", subject: "leave_request", approved: model.LeaveApproved, refused: model.LeaveRefused, grant: s.excuse})
	if err != nil {
		return nil, err
	}
	return s.leave(ctx, row)
}

// excuse writes an approved leave into the log, and in place of every absence
// that is on record: of each day where check-in is daily. A day on which the
// member came all the same stays.
func (s *Requests) excuse(tx *gorm.DB, actor *model.Actor, a *model.Activity, r *model.LeaveRequest, now time.Time) error {
	leave := model.Leave{ActivityID: a.ID, MemberID: r.MemberID, Status: r.Status, Reason: r.Note, RecordedBy: actor.MemberID, CreatedAt: now,
		Once: model.Once{Nonce: leaveNonce(r)}}
	if err := tx.Create(&leave).Error; err != nil {
		return fmt.Errorf("note leave of member %d: %w", r.MemberID, err)
	}
	own, err := standingOf(tx, a.ID, r.MemberID)
	if err != nil {
		return err
	}
	for _, held := range own.Days {
		if held.Status != model.Absent {
			continue
		}
		row := &model.Attendance{MemberID: r.MemberID, Day: held.Day, Status: r.Status, Provenance: model.ByCorrection, At: now, Reason: r.Note}
		if err := replaceAttendance(tx, s.settings.Zone, actor, a, row, "会后批准请假", now); err != nil {
			return err
		}
	}
	return nil
}

// leaveNonce is that of the leave which the request brought. No phone makes one
// with a colon.
func leaveNonce(r *model.LeaveRequest) string { return fmt.Sprintf("request:%d", r.ID) }

// WithdrawLeave is 销假: the member takes the own request back, approved or not,
// until the meeting is closed. Withdrawing again changes nothing.
func (s *Requests) WithdrawLeave(ctx context.Context, actor *model.Actor, id uint64) (*RequestView, error) {
	now := s.now()
	row, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.LeaveRequest, error) {
		r, err := find[model.LeaveRequest](tx, id, model.ErrRequestNotFound)
		if err != nil {
			return nil, err
		}
		if r.MemberID != actor.MemberID {
			return nil, model.ErrRequestNotFound
		}
		a, err := lock[model.Activity](tx, r.ActivityID, model.ErrActivityNotFound)
		if err != nil {
			return nil, err
		}
		if r, err = lock[model.LeaveRequest](tx, id, model.ErrRequestNotFound); err != nil || r.State == model.RequestWithdrawn {
			return r, err
		}
		if r.State == model.RequestRefused {
			return nil, model.ErrRequestDecided
		}
		if err := a.Allow(model.Published); err != nil {
			return nil, err
		}
		approved := r.State == model.Approved
		r.State, r.Live, r.WithdrawnAt = model.RequestWithdrawn, nil, &now
		if err := tx.Save(r).Error; err != nil {
			return nil, fmt.Errorf("withdraw leave %d: %w", id, err)
		}
		if err := auditBy(tx, now, actor, "withdraw_leave", "leave_request", id, "ok", nil); err != nil {
			return nil, err
		}
		if err := releaseDeciders(tx, s.settings.Sending, a, now); err != nil || !approved {
			return r, err
		}
		own, err := standingOf(tx, a.ID, r.MemberID)
		if err != nil || own.Leave == nil || own.Leave.Nonce != leaveNonce(r) {
			return r, err // what the secretary recorded meanwhile is not the member's to end
		}
		back := model.Leave{ActivityID: a.ID, MemberID: r.MemberID, Reason: "本人销假", RecordedBy: actor.MemberID, CreatedAt: now,
			Once: model.Once{Nonce: leaveNonce(r) + ":back"}}
		if err := tx.Create(&back).Error; err != nil {
			return nil, fmt.Errorf("take back leave of member %d: %w", r.MemberID, err)
		}
		return r, nil
	})
	if err != nil {
		return nil, err
	}
	s.boards.changed(ctx, row.ActivityID)
	return s.leave(ctx, row)
}

func (s *Requests) leave(ctx context.Context, r *model.LeaveRequest) (*RequestView, error) {
	return first(s.views(s.db.WithContext(ctx), []model.LeaveRequest{*r}, nil))
}
