package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Activities is what an organisation plans: drafted, published, edited,
// cancelled.
type Activities struct {
	db       *gorm.DB
	platform Platform
	boards   *Boards
	settings Settings
	now      func() time.Time
}

// ActivityInput is what a secretary fills in. Times carry their zone; the
// minutes count from the start.
type ActivityInput struct {
	Kind              model.ActivityKind `json:"kind" enum:"theme_party_day,study_day,branch_assembly,branch_committee_meeting,party_group_meeting,party_lecture,organizational_life_meeting,other" doc:"活动类别"`
	Title             string             `json:"title" minLength:"2" maxLength:"60" doc:"标题"`
	Content           string             `json:"content,omitempty" maxLength:"5000" doc:"内容"`
	Place             model.Place        `json:"place,omitempty" doc:"地点"`
	StartsAt          time.Time          `json:"starts_at" doc:"开始时间"`
	EndsAt            time.Time          `json:"ends_at" doc:"结束时间"`
	OpenEarlyMinutes  *int               `json:"open_early_minutes,omitempty" minimum:"0" maximum:"720" doc:"提前多少分钟开放签到；不写就是 30"`
	LateAfterMinutes  int                `json:"late_after_minutes,omitempty" minimum:"0" maximum:"720" doc:"开始多少分钟后算迟到"`
	CloseAfterMinutes int                `json:"close_after_minutes,omitempty" minimum:"0" maximum:"1440" doc:"开始多少分钟后停止签到；0 为活动结束时"`
	CreditHours       float64            `json:"credit_hours,omitempty" minimum:"0" maximum:"16" multipleOf:"0.5" doc:"学时"`
	Audience          model.AudienceKind `json:"audience,omitempty" enum:"branch,groups,members" default:"branch" doc:"参加范围"`
	Targets           []uint64           `json:"targets,omitempty" maxItems:"500" doc:"党小组或党员的编号"`
	OpenToGuests      bool               `json:"open_to_guests,omitempty" doc:"名单外的党员可以列席签到"`
	Daily             bool               `json:"daily,omitempty" doc:"按天签到：跨几天的活动，每个自然日各签一次；不计迟到"`
	CheckOut          bool               `json:"check_out,omitempty" doc:"离开时要签退，否则不计学时"`
	StayMinutes       int                `json:"stay_minutes,omitempty" minimum:"0" maximum:"10080" doc:"在场满多少分钟才计学时；0 为签退即可"`
	ReEntry           bool               `json:"re_entry,omitempty" doc:"签退后可以再进场"`
	ShowNames         bool               `json:"show_names,omitempty" doc:"大屏幕上显示到会者的全名；不选只显示姓"`
}

// DraftInput is a new activity of an organisation.
type DraftInput struct {
	OrganisationID uint64 `json:"organisation_id" minimum:"1" doc:"组织"`
	Nonce          string `json:"nonce" minLength:"8" maxLength:"64" pattern:"^[0-9A-Za-z_-]+$" doc:"提交编号：每次新建时生成一次，重试时不变"`
	ActivityInput
}

// EditInput is an activity as it should be; Version is that of the activity
// the editor saw.
type EditInput struct {
	Version int `json:"version" minimum:"1" doc:"修改前看到的版本"`
	ActivityInput
}

func (in *ActivityInput) apply(a *model.Activity) error {
	minutes := func(n int) time.Duration { return time.Duration(n) * time.Minute }
	a.Kind, a.Title, a.Content, a.Place = in.Kind, cleanLine(in.Title), cleanText(in.Content), in.Place
	a.Place.Name = cleanLine(a.Place.Name)
	a.StartsAt, a.EndsAt = in.StartsAt.UTC().Truncate(time.Second), in.EndsAt.UTC().Truncate(time.Second)
	early := 30
	if in.OpenEarlyMinutes != nil {
		early = *in.OpenEarlyMinutes
	}
	a.OpensAt = a.StartsAt.Add(-minutes(early))
	a.LateAt = a.StartsAt.Add(minutes(in.LateAfterMinutes))
	a.ClosesAt = a.EndsAt
	if in.CloseAfterMinutes > 0 {
		a.ClosesAt = a.StartsAt.Add(minutes(in.CloseAfterMinutes))
	}
	a.CreditHours, a.Audience, a.OpenToGuests, a.ShowNames = in.CreditHours, in.Audience, in.OpenToGuests, in.ShowNames
	a.Daily, a.CheckOut, a.StayMinutes, a.ReEntry = in.Daily, in.CheckOut, in.StayMinutes, in.ReEntry
	if a.Audience == "" {
		a.Audience = model.WholeBranch
	}
	switch {
	case a.Daily && in.CloseAfterMinutes > 0:
		return model.BadField("close_after_minutes", "按天签到的活动到结束时才停止签到，请不要填")
	case !a.CheckOut && (a.StayMinutes > 0 || a.ReEntry):
		return model.BadField("check_out", "先选“要签退”，才能定在场时间和再次进场")
	case a.StayMinutes > 0 && minutes(a.StayMinutes) > a.EndsAt.Sub(a.StartsAt):
		return model.BadField("stay_minutes", "要求在场的时间比活动还长，请改短")
	case len([]rune(a.Title)) < 2:
		return model.BadField("title", "标题至少两个字")
	case a.EndsAt.Sub(a.StartsAt) > 7*24*time.Hour:
		return model.BadField("ends_at", "一次活动最长七天，请分次发布")
	case a.StartsAt.Year() < 2000 || a.StartsAt.Year() > 2100:
		return model.BadField("starts_at", "开始时间不对，请重新选择")
	case (a.Audience == model.WholeBranch) != (len(in.Targets) == 0):
		return model.BadField("targets", "参加范围是全支部时不用选人，否则请至少选一项")
	}
	return a.CheckWindow()
}

// Draft makes a new activity that only those who conduct the organisation's
// meetings can see. A retry with the same nonce answers with the first one.
func (s *Activities) Draft(ctx context.Context, actor *model.Actor, in DraftInput) (*model.Activity, error) {
	now := s.now()
	once, err := onceOf(in.Nonce, in)
	if err != nil {
		return nil, err
	}
	a, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.Activity, error) {
		line, err := lineOf(tx, in.OrganisationID)
		if err != nil {
			return nil, err
		}
		if !actor.Oversees(line) {
			return nil, model.ErrNotFound
		}
		if !actor.Conducts(line) {
			return nil, model.ErrNotConductor
		}
		a := &model.Activity{OrganisationID: in.OrganisationID, Status: model.Draft, CodeEpoch: 1, Version: 1,
			CreatedBy: actor.MemberID, CreatedAt: now, Once: once}
		if err := in.apply(a); err != nil {
			return nil, err
		}
		if err := tx.Create(a).Error; err != nil {
			return nil, fmt.Errorf("draft activity: %w", err)
		}
		return a, setTargets(tx, s.settings.Zone, a, in.Targets)
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return firstTry[model.Activity](s.db.WithContext(ctx), once, err, "created_by = ?", actor.MemberID)
	}
	return a, err
}

// writeTargets names the groups or members that the activity is for, and
// returns how many there are.
func writeTargets(tx *gorm.DB, a *model.Activity, targets []uint64) (int64, error) {
	if err := tx.Delete(&model.ActivityTarget{}, "activity_id = ?", a.ID).Error; err != nil {
		return 0, fmt.Errorf("clear audience of activity %d: %w", a.ID, err)
	}
	rows := make([]model.ActivityTarget, 0, len(targets))
	seen := map[uint64]bool{}
	for _, id := range targets {
		if !seen[id] {
			rows = append(rows, model.ActivityTarget{ActivityID: a.ID, TargetID: id})
		}
		seen[id] = true
	}
	if len(rows) == 0 {
		return 0, nil
	}
	if err := tx.Create(&rows).Error; err != nil {
		return 0, fmt.Errorf("set audience of activity %d: %w", a.ID, err)
	}
	return int64(len(rows)), nil
}

// setTargets is writeTargets that refuses groups or members who are not within
// the activity's organisation.
func setTargets(tx *gorm.DB, zone *time.Location, a *model.Activity, targets []uint64) error {
	named, err := writeTargets(tx, a, targets)
	if err != nil || named == 0 {
		return err
	}
	var known int64
	if a.Audience == model.SomeGroups {
		err := tx.Model(&model.Organisation{}).Where("kind = ? AND id IN (?)", model.PartyGroup, below(tx, []uint64{a.OrganisationID})).
			Where("id IN (?)", tx.Model(&model.ActivityTarget{}).Select("target_id").Where("activity_id = ?", a.ID)).Count(&known).Error
		if err != nil {
			return fmt.Errorf("check audience of activity %d: %w", a.ID, err)
		}
	} else {
		people, err := ownAudienceOf(tx, zone, a)
		if err != nil {
			return err
		}
		known = int64(len(people))
	}
	if known != named {
		return model.ErrAudience
	}
	return nil
}

// Publish makes a draft known to its audience and writes the roster. The text
// passes WeChat's content check first: refused when risky, and never published
// unchecked. An occurrence of a series invites the branches that the series is held
// with, unless somebody edited it or it has begun. Publishing a published activity
// changes nothing.
func (s *Activities) Publish(ctx context.Context, actor *model.Actor, id uint64) (*model.Activity, error) {
	a, err := s.conducted(ctx, actor, id)
	if err != nil {
		return nil, err
	}
	if a.Status == model.Published {
		return a, nil
	}
	if err := a.Allow(model.Draft); err != nil {
		return nil, err
	}
	if err := s.checkText(ctx, actor, a); err != nil {
		return nil, err
	}
	return s.publish(ctx, actor, a, s.now(), func(*gorm.DB) error { return nil })
}

// publish publishes a draft whose text has been checked, invites the branches that
// its series is held with, and notes it.
func (s *Activities) publish(ctx context.Context, actor *model.Actor, a *model.Activity, now time.Time, note func(tx *gorm.DB) error) (*model.Activity, error) {
	if !now.Before(a.EndsAt) {
		return nil, model.BadField("starts_at", "活动时间已过，请先修改时间")
	}
	published, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.Activity, error) {
		partners, err := seriesPartners(tx, a, now)
		if err != nil {
			return nil, err
		}
		if err := s.holdAudience(tx, a, partners...); err != nil {
			return nil, err
		}
		// Not through a: the transaction may be tried again, with a as it was read.
		update := tx.Model(&model.Activity{}).Where("id = ? AND status = ? AND version = ?", a.ID, model.Draft, a.Version).
			Updates(map[string]any{"status": model.Published, "published_at": now, "version": a.Version + 1})
		if update.Error != nil {
			return nil, fmt.Errorf("publish activity %d: %w", a.ID, update.Error)
		}
		if update.RowsAffected == 0 {
			current, err := find[model.Activity](tx, a.ID, model.ErrActivityNotFound)
			if err == nil && current.Status != model.Published {
				err = model.ErrChangedMeantime
			}
			return current, err
		}
		people, err := makeRoster(tx, s.settings.Zone, a)
		if err != nil {
			return nil, err
		}
		if people == 0 {
			return nil, model.ErrAudienceEmpty
		}
		if err := invitePartners(tx, actor, a.ID, partners, now); err != nil {
			return nil, err
		}
		if err := errors.Join(scheduleReminders(tx, s.settings.Sending, a, now), note(tx)); err != nil {
			return nil, err
		}
		return find[model.Activity](tx, a.ID, model.ErrActivityNotFound)
	})
	if err == nil {
		s.boards.changed(ctx, a.ID)
	}
	return published, err
}

// holdAudience keeps the memberships of those who meet still: of the activity's
// branches, of those that meet with it, and of more.
func (s *Activities) holdAudience(tx *gorm.DB, a *model.Activity, more ...uint64) error {
	line, err := lineOf(tx, a.OrganisationID)
	if err != nil {
		return err
	}
	branches := more
	if branch := line.BranchID(); branch != 0 {
		branches = append(branches, branch)
	} else {
		var own []uint64
		if err := tx.Raw("? ORDER BY id", below(tx, []uint64{a.OrganisationID})).Scan(&own).Error; err != nil {
			return fmt.Errorf("branches of organisation %d: %w", a.OrganisationID, err)
		}
		branches = append(branches, own...)
	}
	// Somebody may join until the own branch is held, and nobody afterwards.
	for held := -1; ; {
		joint, err := jointBranchesOf(tx, a.ID)
		if err != nil || len(joint) == held {
			return err
		}
		if err := lockBranches(tx, append(branches, joint...)...); err != nil {
			return err
		}
		held = len(joint)
	}
}

// text is what the platform's check looks at.
func text(a *model.Activity) string { return a.Title + "\n" + a.Place.Name + "\n" + a.Content }

func (s *Activities) checkText(ctx context.Context, actor *model.Actor, a *model.Activity) error {
	return checkText(ctx, s.platform, actor, text(a))
}

// Edit changes an activity that is a draft or published: time, place, text,
// audience. Once the meeting has started its start, its audience, its late
// line and its credit hours stay. What is already recorded stays.
func (s *Activities) Edit(ctx context.Context, actor *model.Actor, id uint64, in EditInput) (*model.Activity, error) {
	before, err := s.conducted(ctx, actor, id)
	if err != nil {
		return nil, err
	}
	after := *before
	if err := in.apply(&after); err != nil {
		return nil, err
	}
	if before.Status == model.Published && (after.Title != before.Title || after.Content != before.Content || after.Place.Name != before.Place.Name) {
		if err := s.checkText(ctx, actor, &after); err != nil {
			return nil, err
		}
	}
	now := s.now()
	a, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.Activity, error) {
		if err := s.holdAudience(tx, &after); err != nil {
			return nil, err
		}
		current, err := lock[model.Activity](tx, id, model.ErrActivityNotFound)
		if err != nil {
			return nil, err
		}
		if err := current.Allow(model.Draft, model.Published); err != nil {
			return nil, err
		}
		if current.Version != in.Version || current.Version != before.Version {
			return nil, model.ErrChangedMeantime.With("version", current.Version)
		}
		after.Detached = current.SeriesID != nil
		if err := s.change(tx, actor, current, &after, in.Targets, now); err != nil {
			return nil, err
		}
		return &after, nil
	})
	if err == nil {
		s.boards.changed(ctx, id)
	}
	return a, err
}

// change writes an activity, whose row and audience are held, as it should be
// after. What people came for stays once it has started.
func (s *Activities) change(tx *gorm.DB, actor *model.Actor, current, after *model.Activity, targets []uint64, now time.Time) error {
	after.Version, after.Status, after.CodeEpoch, after.ScreenEpoch = current.Version+1, current.Status, current.CodeEpoch, current.ScreenEpoch
	after.SeriesID, after.SeriesDay = current.SeriesID, current.SeriesDay
	frozen := current.Status == model.Published && current.StartedAt(now)
	if frozen {
		same, err := sameTargets(tx, current.ID, targets)
		if err != nil {
			return err
		}
		if !same || !current.KeepsPromises(after) {
			return model.ErrActivityStarted
		}
	}
	if current.Status == model.Published {
		if err := auditBy(tx, now, actor, "edit_activity", "activity", current.ID, "ok", map[string]any{"version": after.Version}); err != nil {
			return err
		}
	}
	if err := tx.Save(after).Error; err != nil {
		return fmt.Errorf("edit activity %d: %w", current.ID, err)
	}
	if frozen {
		err := tx.Model(&model.RosterEntry{}).Where("activity_id = ?", current.ID).Update("closes_at", after.ClosesAt).Error
		if err != nil {
			return fmt.Errorf("edit roster of activity %d: %w", current.ID, err)
		}
		return nil
	}
	if err := setTargets(tx, s.settings.Zone, after, targets); err != nil {
		return err
	}
	if after.Status != model.Published {
		return nil
	}
	people, err := makeRoster(tx, s.settings.Zone, after)
	if err == nil && people == 0 {
		err = model.ErrAudienceEmpty
	}
	if err != nil {
		return err
	}
	return s.remindAnew(tx, current, after, now)
}

// remindAnew makes the reminders those of the activity as it is now, and tells
// people where time or place changed.
func (s *Activities) remindAnew(tx *gorm.DB, before, after *model.Activity, now time.Time) error {
	if !after.StartsAt.Equal(before.StartsAt) {
		if err := withdrawReminders(tx, after.ID, model.ActivityMoved, now); err != nil {
			return err
		}
	}
	if !after.StartsAt.Equal(before.StartsAt) || after.Place.Name != before.Place.Name {
		earlier := after.StartsAt
		if before.StartsAt.Before(earlier) {
			earlier = before.StartsAt
		}
		if err := notifyChange(tx, s.settings.Sending, after, model.Moved, earlier, now); err != nil {
			return err
		}
	}
	return scheduleReminders(tx, s.settings.Sending, after, now)
}

func sameTargets(tx *gorm.DB, activityID uint64, targets []uint64) (bool, error) {
	var now []uint64
	err := tx.Model(&model.ActivityTarget{}).Where("activity_id = ?", activityID).Pluck("target_id", &now).Error
	if err != nil {
		return false, fmt.Errorf("read audience of activity %d: %w", activityID, err)
	}
	set := map[uint64]bool{}
	for _, id := range targets {
		set[id] = true
	}
	for _, id := range now {
		if !set[id] {
			return false, nil
		}
	}
	return len(set) == len(now), nil
}

// CancelInput says why an activity does not take place.
type CancelInput struct {
	Reason string `json:"reason" minLength:"2" maxLength:"100" doc:"取消的原因，会告诉参加的人"`
}

// Cancel calls an activity off; its codes stop at once. The reason is sent to
// those who were to come, so it passes WeChat's content check first, unless
// WeChat is away. Cancelling again changes nothing; a closed meeting is not
// cancelled any more.
func (s *Activities) Cancel(ctx context.Context, actor *model.Actor, id uint64, in CancelInput) (*model.Activity, error) {
	before, err := s.conducted(ctx, actor, id)
	if err != nil {
		return nil, err
	}
	reason, err := cleanReason(in.Reason)
	if err != nil || before.Status == model.Cancelled {
		return before, err
	}
	if err := before.Allow(model.Draft, model.Published); err != nil {
		return nil, err
	}
	if err := checkUrgent(ctx, s.platform, actor, reason); err != nil {
		return nil, err
	}
	now := s.now()
	a, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.Activity, error) {
		a, err := lock[model.Activity](tx, id, model.ErrActivityNotFound)
		if err != nil || a.Status == model.Cancelled {
			return a, err
		}
		if err := a.Allow(model.Draft, model.Published); err != nil {
			return nil, err
		}
		published := a.Status == model.Published
		a.Status, a.CancelReason, a.Version = model.Cancelled, reason, a.Version+1
		if err := tx.Save(a).Error; err != nil {
			return nil, fmt.Errorf("cancel activity %d: %w", id, err)
		}
		if published {
			err := errors.Join(withdrawReminders(tx, id, string(model.Cancelled), now),
				notifyChange(tx, s.settings.Sending, a, model.CalledOff, a.StartsAt, now))
			if err != nil {
				return nil, err
			}
		}
		return a, auditBy(tx, now, actor, "cancel_activity", "activity", id, "ok", nil)
	})
	if err == nil {
		s.boards.changed(ctx, id)
	}
	return a, err
}

// RestoreInput says why a cancelled activity takes place after all.
type RestoreInput struct {
	Reason string `json:"reason" minLength:"2" maxLength:"100" doc:"恢复的原因，参加的人看得到"`
}

// Restore lets a cancelled activity take place after all, as long as it has not
// ended: published again, or a draft where it never was published. The reason
// passes WeChat's content check first. A draft of a series whose own text does not
// pass comes back as somebody's own (detached): it does not publish itself, so that
// it can be edited and published by hand. Leaves and what was recorded are as
// before; before the start the roster is made anew.
// Reminders that had not gone out come back, and who was told of the
// cancellation, or may have been, is told that it is void. Codes of before stay
// worthless. Restoring what is not cancelled changes nothing.
func (s *Activities) Restore(ctx context.Context, actor *model.Actor, id uint64, in RestoreInput) (*model.Activity, error) {
	before, err := s.conducted(ctx, actor, id)
	if err != nil {
		return nil, err
	}
	reason, err := cleanReason(in.Reason)
	if err != nil || before.Status == model.Draft || before.Status == model.Published {
		return before, err
	}
	now := s.now()
	if err := before.RestorableAt(now); err != nil {
		return nil, err
	}
	if err := checkText(ctx, s.platform, actor, reason); err != nil {
		return nil, err
	}
	own := before.CancelReason == model.SeriesEnded // what the series dropped is now somebody's own
	if before.SeriesID != nil && !before.Announced() && !before.Detached && !own {
		err := s.checkText(ctx, actor, before)
		own = errors.Is(err, model.ErrTextRisky) || errors.Is(err, model.ErrTextReview)
		if err != nil && !own {
			return nil, err
		}
	}
	a, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.Activity, error) {
		if err := s.holdAudience(tx, before); err != nil {
			return nil, err
		}
		a, err := lock[model.Activity](tx, id, model.ErrActivityNotFound)
		switch {
		case err != nil:
			return nil, err
		case a.Status == model.Draft || a.Status == model.Published:
			return a, nil
		case text(a) != text(before):
			return nil, model.ErrChangedMeantime
		}
		if err := a.RestorableAt(now); err != nil {
			return nil, err
		}
		a.Detached = a.Detached || own
		a.Status, a.CancelReason, a.RestoreReason, a.Version, a.CodeEpoch = model.Draft, "", reason, a.Version+1, a.CodeEpoch+1
		if a.Announced() {
			a.Status = model.Published
		}
		if err := tx.Save(a).Error; err != nil {
			return nil, fmt.Errorf("restore activity %d: %w", id, err)
		}
		if a.Status == model.Published {
			if err := s.invite(tx, a, now); err != nil {
				return nil, err
			}
			if err := notifyResumed(tx, s.settings.Sending, a, now); err != nil {
				return nil, err
			}
		}
		return a, auditBy(tx, now, actor, "restore_activity", "activity", id, "ok", nil)
	})
	if err == nil {
		s.boards.changed(ctx, id)
	}
	return a, err
}

// invite makes the roster and the reminders of a published activity those of
// its audience; from the start on the roster stays as it is.
func (s *Activities) invite(tx *gorm.DB, a *model.Activity, now time.Time) error {
	if !a.StartedAt(now) {
		people, err := makeRoster(tx, s.settings.Zone, a)
		if err != nil {
			return err
		}
		if people == 0 {
			return model.ErrAudienceEmpty
		}
	}
	return scheduleReminders(tx, s.settings.Sending, a, now)
}

// ActivityView is an activity as one person sees it.
type ActivityView struct {
	model.Activity
	OrganisationName string                 `json:"organisation_name"`
	Expected         bool                   `json:"expected" doc:"本人是否在名单中"`
	MyStatus         model.AttendanceStatus `json:"my_status" doc:"本人的状态，空为未到"`
	CheckedInAt      *time.Time             `json:"checked_in_at" doc:"本人签到的时间"`
	MayConduct       bool                   `json:"may_conduct" doc:"本人可以办理这场活动"`
	MyLeave          *OwnLeave              `json:"my_leave,omitempty" doc:"本人最近一次请假"`
	Targets          []ActivityTarget       `json:"targets,omitempty" doc:"参加范围里的党小组或党员，能办理的人才看得到；修改活动时把编号照样带上"`
}

// ActivityTarget is a party group or a member that an activity is for.
type ActivityTarget struct {
	ID   uint64 `json:"id"`
	Name string `json:"name"`
}

// OwnLeave is the caller's leave from an activity, as far as it was asked for.
type OwnLeave struct {
	ID     uint64                 `json:"id" doc:"请假的编号，销假时用"`
	Status model.AttendanceStatus `json:"status" doc:"请的是什么假"`
	State  model.RequestState     `json:"state" enum:"asked,approved,refused,withdrawn,came" doc:"came：请了假，人还是到了"`
	Name   string                 `json:"state_name" doc:"可以直接显示"`
	Answer string                 `json:"answer,omitempty"`
}

// Show is one activity with the caller's own part in it and, for those who conduct
// it, the groups or members that it is for.
func (s *Activities) Show(ctx context.Context, actor *model.Actor, id uint64) (*ActivityView, error) {
	db := s.db.WithContext(ctx)
	a, line, own, err := seen(db, actor, id)
	if err != nil {
		return nil, err
	}
	view := &ActivityView{Activity: *a, OrganisationName: line[0].Name, MayConduct: actor.Conducts(line),
		Expected: own.Entry != nil, MyStatus: own.Status()}
	if own.Recorded != nil && own.Recorded.Status == model.Present {
		view.CheckedInAt = &own.Recorded.At
	}
	if view.MayConduct {
		if view.Targets, err = targetsOf(db, a); err != nil {
			return nil, err
		}
	}
	var asked []model.LeaveRequest
	if err := db.Order("id DESC").Limit(1).Find(&asked, "activity_id = ? AND member_id = ?", id, actor.MemberID).Error; err != nil {
		return nil, fmt.Errorf("leave of member %d: %w", actor.MemberID, err)
	}
	if len(asked) > 0 {
		q := &asked[0]
		state := q.State.Came(view.CheckedInAt != nil)
		view.MyLeave = &OwnLeave{ID: q.ID, Status: q.Status, State: state, Name: model.RequestStateNames[state], Answer: q.Answer}
	}
	return view, nil
}

// targetsOf is what the audience of an activity was chosen from; nothing where it
// is the whole branch.
func targetsOf(db *gorm.DB, a *model.Activity) (targets []ActivityTarget, err error) {
	table := map[model.AudienceKind]string{model.SomeGroups: "organisations", model.NamedMembers: "members"}[a.Audience]
	if table == "" {
		return nil, nil
	}
	err = db.Table(table+" n").Select("n.id, n.name").Joins("JOIN activity_targets t ON t.target_id = n.id").
		Where("t.activity_id = ?", a.ID).Order("n.id").Scan(&targets).Error
	return targets, wrapped(err, fmt.Sprintf("audience of activity %d", a.ID))
}

// conducted loads an activity for somebody who may run it.
func (s *Activities) conducted(ctx context.Context, actor *model.Actor, id uint64) (*model.Activity, error) {
	a, _, err := conducted(s.db.WithContext(ctx), actor, id)
	return a, err
}

// ActivityScope is which activities a list holds.
type ActivityScope string

// The scopes.
const (
	Mine ActivityScope = "mine" // those I am expected at
	Work ActivityScope = "work" // those of the organisations I have a post in, and below them
)

// ActivityPage is a part of a list, the latest start first.
type ActivityPage struct {
	Items []ActivityLine `json:"items"`
	Next  string         `json:"next,omitempty" doc:"下一页的 cursor；没有就是到底了"`
}

// ActivityLine is an activity in a list.
type ActivityLine struct {
	ID               uint64               `json:"id"`
	Kind             model.ActivityKind   `json:"kind"`
	Title            string               `json:"title"`
	OrganisationName string               `json:"organisation_name"`
	Place            string               `json:"place"`
	StartsAt         time.Time            `json:"starts_at"`
	EndsAt           time.Time            `json:"ends_at"`
	OpensAt          time.Time            `json:"opens_at"`
	ClosesAt         time.Time            `json:"closes_at"`
	Status           model.ActivityStatus `json:"status"`
}

// List is the activities of a scope, the latest start first; cursor continues
// an earlier page. Only what the caller may see is in it.
func (s *Activities) List(ctx context.Context, actor *model.Actor, scope ActivityScope, cursor string, limit int) (*ActivityPage, error) {
	db := s.db.WithContext(ctx)
	rows := db.Table("activities a").Select("a.*, o.name AS organisation_name").Joins("JOIN organisations o ON o.id = a.organisation_id")
	if scope == Work {
		within := make([]uint64, 0, len(actor.Posts))
		for _, p := range actor.Posts {
			within = append(within, p.OrganisationID)
		}
		rows = rows.Where("a.organisation_id IN (?)", below(db, append(within, 0))).
			Where("a.published_at IS NOT NULL OR a.organisation_id IN (?)", conductedOrganisations(db, actor))
	} else {
		rows = rows.Joins("JOIN roster_entries r ON r.activity_id = a.id AND r.member_id = ?", actor.MemberID).Where("a.published_at IS NOT NULL")
	}
	if cursor != "" {
		at, id, err := readCursor(cursor)
		if err != nil {
			return nil, err
		}
		rows = rows.Where("a.starts_at < ? OR a.starts_at = ? AND a.id < ?", at, at, id)
	}
	page := &ActivityPage{Items: []ActivityLine{}}
	if err := rows.Order("a.starts_at DESC, a.id DESC").Limit(limit + 1).Scan(&page.Items).Error; err != nil {
		return nil, fmt.Errorf("list activities: %w", err)
	}
	if len(page.Items) > limit {
		page.Items = page.Items[:limit]
		last := page.Items[limit-1]
		page.Next = writeCursor(last.StartsAt, last.ID)
	}
	return page, nil
}
