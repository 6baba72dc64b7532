package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Series repeats activities: 每月 5 日, 每月第二个周五. Occurrences are drafts some
// weeks ahead, which the secretary publishes one by one, or which publish
// themselves where the series says so and its text has been checked. Who edits
// one occurrence makes it their own: the series leaves it alone from then on.
type Series struct {
	db         *gorm.DB
	activities *Activities
	settings   Settings
	now        func() time.Time
}

// seriesAhead is how many days ahead occurrences are made.
const seriesAhead = 62

// SeriesInput is how an activity repeats.
type SeriesInput struct {
	Rule             string       `json:"rule" maxLength:"100" doc:"重复规则：RFC 5545 的 RRULE，只用 FREQ INTERVAL BYDAY BYMONTHDAY BYMONTH BYSETPOS；每月 5 日为 FREQ=MONTHLY;BYMONTHDAY=5，每月第二个周五为 FREQ=MONTHLY;BYDAY=2FR"`
	Shift            model.Shift  `json:"shift,omitempty" enum:"none,later,earlier,skip" default:"later" doc:"遇法定假日或调休上班：不变、顺延、提前、不办"`
	Until            model.Day    `json:"until,omitempty" maxLength:"10" doc:"到哪天为止（不含）；不给就一直办"`
	PublishAheadDays int          `json:"publish_ahead_days,omitempty" minimum:"0" maximum:"60" doc:"提前几天自动发布；0 或不给为每次由书记发布。单独改过的那几次总要由书记发布"`
	Partners         []JointInput `json:"partners,omitempty" maxItems:"20" doc:"联办的支部，以后每次发布时邀请；不给为不变，第一次设置时为这次活动邀请的支部；空列表为不再邀请。单独改过的那几次由书记自己邀请"`
}

// SeriesView is a series with the occurrences it has made.
type SeriesView struct {
	model.ActivitySeries
	Partners    []SeriesPartner `json:"partners" doc:"联办的支部，每次发布时邀请"`
	Occurrences []Occurrence    `json:"occurrences" doc:"已生成的各次，最近的在前，最多一百次"`
}

// SeriesPartner is a branch that a series is held with.
type SeriesPartner struct {
	BranchID uint64 `json:"branch_id"`
	Name     string `json:"name"`
}

// Occurrence is one activity of a series.
type Occurrence struct {
	ActivityID uint64               `json:"activity_id"`
	Day        model.Day            `json:"day" doc:"规则里的日子"`
	StartsAt   time.Time            `json:"starts_at"`
	Status     model.ActivityStatus `json:"status"`
	Detached   bool                 `json:"detached" doc:"单独改过，不再随定期安排变动"`
}

// FollowingEdit is what became of an edit of this occurrence and those after it.
type FollowingEdit struct {
	Activity *model.Activity `json:"activity"`
	Changed  int             `json:"changed" doc:"连这一次在内改了几次"`
}

// planOf is what the activity says of itself, as an input that makes another
// one like it.
func planOf(tx *gorm.DB, zone *time.Location, a *model.Activity) (ActivityInput, error) {
	minutes := func(d time.Duration) int { return int(d / time.Minute) }
	early := minutes(a.StartsAt.Sub(a.OpensAt))
	in := ActivityInput{Kind: a.Kind, Title: a.Title, Content: a.Content, Place: a.Place, StartsAt: a.StartsAt.In(zone), EndsAt: a.EndsAt.In(zone),
		OpenEarlyMinutes: &early, LateAfterMinutes: minutes(a.LateAt.Sub(a.StartsAt)), CreditHours: a.CreditHours,
		Audience: a.Audience, OpenToGuests: a.OpenToGuests, ShowNames: a.ShowNames,
		Daily: a.Daily, CheckOut: a.CheckOut, StayMinutes: a.StayMinutes, ReEntry: a.ReEntry}
	if !a.ClosesAt.Equal(a.EndsAt) {
		in.CloseAfterMinutes = minutes(a.ClosesAt.Sub(a.StartsAt))
	}
	err := tx.Model(&model.ActivityTarget{}).Where("activity_id = ?", a.ID).Order("target_id").Pluck("target_id", &in.Targets).Error
	if err != nil {
		return in, fmt.Errorf("read audience of activity %d: %w", a.ID, err)
	}
	return in, nil
}

// on is the input for the same time of day on another day.
func (in ActivityInput) on(day model.Day, zone *time.Location) ActivityInput {
	shift := shifting(in.StartsAt, day, zone)
	in.StartsAt, in.EndsAt = shift(in.StartsAt), shift(in.EndsAt)
	return in
}

func readPlan(c *model.ActivitySeries) (in ActivityInput, err error) {
	if err = json.Unmarshal([]byte(c.Plan), &in); err != nil {
		return in, fmt.Errorf("plan of series %d: %w", c.ID, err)
	}
	return in, nil
}

func writePlan(in ActivityInput) (string, error) {
	raw, err := json.Marshal(in)
	if err != nil {
		return "", fmt.Errorf("write plan of a series: %w", err)
	}
	return string(raw), nil
}

// Repeat makes an activity the first of a series, or changes how its series
// repeats, and makes the occurrences of the next two months at once, as drafts.
// Drafts that no longer fit the rule are cancelled unless somebody edited them;
// what is published stays. With publish_ahead_days the text is checked now, and
// occurrences then publish themselves so many days before, until the series is
// ended or set to 0. The branches that it is held with (联办) are invited to each
// occurrence that is published from now on, and answer each time; they are named as
// for one meeting, with the same refusals. A series that was ended goes on from
// here. For those who conduct the organisation's meetings; trying again changes
// nothing.
func (s *Series) Repeat(ctx context.Context, actor *model.Actor, activityID uint64, in SeriesInput) (*SeriesView, error) {
	now := s.now()
	if in.Shift == "" {
		in.Shift = model.ShiftLater
	}
	if in.Until == "" {
		in.Until = model.Forever
	}
	if !in.Until.Valid() {
		return nil, model.BadField("until", "日期应为 2026-03-10 的形式")
	}
	before, line, err := conducted(s.db.WithContext(ctx), actor, activityID)
	if err != nil {
		return nil, err
	}
	partners, err := partnersNamed(s.db.WithContext(ctx), line, in.Partners)
	if err != nil {
		return nil, err
	}
	words, err := s.wordsOf(s.db.WithContext(ctx), before, now)
	if err != nil {
		return nil, err
	}
	if in.PublishAheadDays > 0 {
		if err := checkText(ctx, s.activities.platform, actor, words); err != nil {
			return nil, err
		}
	}
	id, err := inTx(ctx, s.db, func(tx *gorm.DB) (uint64, error) {
		a, err := lock[model.Activity](tx, activityID, model.ErrActivityNotFound)
		if err != nil {
			return 0, err
		}
		if err := a.Allow(model.Draft, model.Published, model.Closed); err != nil {
			return 0, err
		}
		c, err := s.seriesOf(tx, actor, a, now)
		if err != nil {
			return 0, err
		}
		current, err := s.wordsOf(tx, a, now)
		if err != nil {
			return 0, err
		}
		if current != words {
			return 0, model.ErrChangedMeantime
		}
		c.Rule, c.Shift, c.Until, c.PublishAheadDays, c.EndedAt = in.Rule, in.Shift, in.Until, in.PublishAheadDays, nil
		if _, err := readRule(c.Rule, c.From); err != nil {
			return 0, err
		}
		if err := tx.Save(c).Error; err != nil {
			return 0, fmt.Errorf("repeat activity %d: %w", activityID, err)
		}
		if err := setPartners(tx, c.ID, a, partners); err != nil {
			return 0, err
		}
		day := model.DayOf(a.StartsAt, s.settings.Zone)
		if a.SeriesID == nil {
			a.SeriesID, a.SeriesDay = &c.ID, &day
			if err := tx.Save(a).Error; err != nil {
				return 0, fmt.Errorf("begin series with activity %d: %w", activityID, err)
			}
		}
		if err := auditBy(tx, now, actor, "repeat_activity", "activity", activityID, "ok", map[string]any{"publish_ahead_days": in.PublishAheadDays}); err != nil {
			return 0, err
		}
		return c.ID, s.extend(tx, c, now)
	})
	if err != nil {
		return nil, err
	}
	if err := s.publishDue(ctx, id, now); err != nil {
		return nil, err
	}
	return s.view(s.db.WithContext(ctx), id)
}

// partnersNamed is the branches of those names, each once; nil where none were
// given.
func partnersNamed(tx *gorm.DB, line model.Line, named []JointInput) ([]uint64, error) {
	if named == nil {
		return nil, nil
	}
	ids := make([]uint64, len(named))
	for i, in := range named {
		var err error
		if ids[i], err = invitableAs(tx, line, in); err != nil {
			return nil, err
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// setPartners says with which branches a series is held, which is held itself: nil
// changes nothing, but that a new one takes over whom its first activity invited.
func setPartners(tx *gorm.DB, id uint64, first *model.Activity, branches []uint64) error {
	if branches == nil && first.SeriesID == nil {
		err := tx.Model(&model.JointBranch{}).Where("activity_id = ? AND state <> ?", first.ID, model.JointDeclined).Order("branch_id").Pluck("branch_id", &branches).Error
		if err != nil {
			return fmt.Errorf("branches invited to activity %d: %w", first.ID, err)
		}
	}
	if branches == nil {
		return nil
	}
	rows := make([]model.SeriesPartner, len(branches))
	for i, branch := range branches {
		rows[i] = model.SeriesPartner{SeriesID: id, BranchID: branch}
	}
	err := tx.Delete(&model.SeriesPartner{}, "series_id = ?", id).Error
	if err == nil && len(rows) > 0 {
		err = tx.Create(&rows).Error
	}
	return wrapped(err, fmt.Sprintf("partners of series %d", id))
}

// plannedBy is an activity as the series of a plans it; where there is none
// yet, a itself.
func (s *Series) plannedBy(tx *gorm.DB, a *model.Activity) (*model.Activity, error) {
	if a.SeriesID == nil {
		return a, nil
	}
	c, err := find[model.ActivitySeries](tx, *a.SeriesID, model.ErrSeriesNone)
	if err != nil {
		return nil, err
	}
	in, err := readPlan(c)
	if err != nil {
		return nil, err
	}
	planned := new(model.Activity)
	return planned, in.apply(planned)
}

// wordsOf is what the series of an activity can publish by itself: its plan, and
// the drafts that were made by an earlier one.
func (s *Series) wordsOf(tx *gorm.DB, a *model.Activity, now time.Time) (string, error) {
	planned, err := s.plannedBy(tx, a)
	if err != nil {
		return "", err
	}
	if a.SeriesID == nil {
		return text(planned), nil
	}
	c, err := find[model.ActivitySeries](tx, *a.SeriesID, model.ErrSeriesNone)
	if err != nil {
		return "", err
	}
	drafts, err := s.drafts(tx, c, now)
	words := []string{text(planned)}
	for i := range drafts {
		if said := text(&drafts[i]); drafts[i].Status == model.Draft && !slices.Contains(words, said) {
			words = append(words, said)
		}
	}
	return strings.Join(words, "\n"), err
}

// seriesOf is the series of an activity, held, or a new one that begins with it.
func (s *Series) seriesOf(tx *gorm.DB, actor *model.Actor, a *model.Activity, now time.Time) (*model.ActivitySeries, error) {
	if a.SeriesID != nil {
		return lock[model.ActivitySeries](tx, *a.SeriesID, model.ErrSeriesNone)
	}
	plan, err := planOf(tx, s.settings.Zone, a)
	if err != nil {
		return nil, err
	}
	c := &model.ActivitySeries{OrganisationID: a.OrganisationID, Span: model.Span{From: model.DayOf(a.StartsAt, s.settings.Zone)},
		CreatedBy: actor.MemberID, CreatedAt: now}
	c.Plan, err = writePlan(plan)
	return c, err
}

// Show is the series of an activity with its occurrences, for those who conduct
// the organisation's meetings.
func (s *Series) Show(ctx context.Context, actor *model.Actor, activityID uint64) (*SeriesView, error) {
	a, err := s.activities.conducted(ctx, actor, activityID)
	if err != nil {
		return nil, err
	}
	if a.SeriesID == nil {
		return nil, model.ErrSeriesNone
	}
	return s.view(s.db.WithContext(ctx), *a.SeriesID)
}

func (s *Series) view(db *gorm.DB, id uint64) (*SeriesView, error) {
	c, err := find[model.ActivitySeries](db, id, model.ErrSeriesNone)
	if err != nil {
		return nil, err
	}
	out := &SeriesView{ActivitySeries: *c, Partners: []SeriesPartner{}, Occurrences: []Occurrence{}}
	err = db.Table("series_partners s").Select("s.branch_id, o.name").Joins("JOIN organisations o ON o.id = s.branch_id").
		Where("s.series_id = ?", id).Order("s.branch_id").Scan(&out.Partners).Error
	if err != nil {
		return nil, fmt.Errorf("partners of series %d: %w", id, err)
	}
	err = db.Model(&model.Activity{}).Select("id AS activity_id, series_day AS day, starts_at, status, detached").
		Where("series_id = ?", id).Order("series_day DESC").Limit(100).Scan(&out.Occurrences).Error
	if err != nil {
		return nil, fmt.Errorf("occurrences of series %d: %w", id, err)
	}
	return out, nil
}

// EditFollowing changes this occurrence and all later ones that nobody edited
// by themselves: times of day, place, text, audience. Published ones follow with
// the notices of any other edit, and the series plans new ones like it. The day
// of each stays: another day is for a single occurrence, or for the rule.
func (s *Series) EditFollowing(ctx context.Context, actor *model.Actor, activityID uint64, in EditInput) (*FollowingEdit, error) {
	before, err := s.activities.conducted(ctx, actor, activityID)
	if err != nil {
		return nil, err
	}
	if before.SeriesID == nil {
		return nil, model.ErrSeriesNone
	}
	after := *before
	if err := in.apply(&after); err != nil {
		return nil, err
	}
	zone := s.settings.Zone
	if model.DayOf(after.StartsAt, zone) != model.DayOf(before.StartsAt, zone) {
		return nil, model.ErrSeriesDay
	}
	planned, err := s.plannedBy(s.db.WithContext(ctx), before)
	if err != nil {
		return nil, err
	}
	// Some of them are published, or will publish themselves.
	if text(&after) != text(before) || text(&after) != text(planned) {
		if err := s.activities.checkText(ctx, actor, &after); err != nil {
			return nil, err
		}
	}
	now := s.now()
	var touched []uint64
	out, err := inTx(ctx, s.db, func(tx *gorm.DB) (*FollowingEdit, error) {
		touched = nil
		var later []model.Activity
		err := tx.Order("id").Find(&later, "series_id = ? AND series_day > ? AND detached = ? AND status IN ? AND starts_at > ?",
			*before.SeriesID, *before.SeriesDay, false, []model.ActivityStatus{model.Draft, model.Published}, now).Error
		if err != nil {
			return nil, fmt.Errorf("occurrences after activity %d: %w", activityID, err)
		}
		all := append([]model.Activity{*before}, later...)
		for i := range all {
			if err := s.activities.holdAudience(tx, &all[i]); err != nil {
				return nil, err
			}
		}
		c, err := lock[model.ActivitySeries](tx, *before.SeriesID, model.ErrSeriesNone)
		if err != nil {
			return nil, err
		}
		if c.Plan, err = writePlan(in.ActivityInput); err != nil {
			return nil, err
		}
		if err := tx.Model(c).Update("plan", c.Plan).Error; err != nil {
			return nil, fmt.Errorf("plan of series %d: %w", c.ID, err)
		}
		out := &FollowingEdit{}
		for i := range all {
			changed, err := s.follow(tx, actor, all[i].ID, i > 0, in, now)
			if err != nil {
				return nil, err
			}
			if changed == nil { // edited or started meanwhile
				continue
			}
			touched = append(touched, changed.ID)
			out.Changed++
			if i == 0 {
				out.Activity = changed
			}
		}
		return out, nil
	})
	if err == nil {
		s.activities.boards.changed(ctx, touched...)
	}
	return out, err
}

// follow makes one occurrence, whose audience is held, what the edit says. A
// later one is passed over where it is not the series' any more.
func (s *Series) follow(tx *gorm.DB, actor *model.Actor, id uint64, later bool, in EditInput, now time.Time) (*model.Activity, error) {
	current, err := lock[model.Activity](tx, id, model.ErrActivityNotFound)
	if err != nil {
		return nil, err
	}
	refusal := current.Allow(model.Draft, model.Published)
	if later && (refusal != nil || current.Detached || current.StartedAt(now)) {
		return nil, nil //nolint:nilerr // passed over, as the series says
	}
	switch {
	case refusal != nil:
		return nil, refusal
	case !later && current.Version != in.Version:
		return nil, model.ErrChangedMeantime.With("version", current.Version)
	}
	after := *current
	occurrence := in.on(model.DayOf(current.StartsAt, s.settings.Zone), s.settings.Zone)
	if err := occurrence.apply(&after); err != nil {
		return nil, err
	}
	return &after, s.activities.change(tx, actor, current, &after, in.Targets, now)
}

// End stops a series: no more occurrences are made or publish themselves, and
// drafts to come that nobody edited are cancelled without a word to anybody.
// What is published stays, to be cancelled one by one. Ending again changes
// nothing.
func (s *Series) End(ctx context.Context, actor *model.Actor, activityID uint64) (*SeriesView, error) {
	a, err := s.activities.conducted(ctx, actor, activityID)
	if err != nil {
		return nil, err
	}
	if a.SeriesID == nil {
		return nil, model.ErrSeriesNone
	}
	now := s.now()
	_, err = inTx(ctx, s.db, func(tx *gorm.DB) (struct{}, error) {
		c, err := lock[model.ActivitySeries](tx, *a.SeriesID, model.ErrSeriesNone)
		if err != nil || c.EndedAt != nil {
			return struct{}{}, err
		}
		if err := tx.Model(c).Update("ended_at", now).Error; err != nil {
			return struct{}{}, fmt.Errorf("end series %d: %w", c.ID, err)
		}
		drafts, err := s.drafts(tx, c, now)
		if err != nil {
			return struct{}{}, err
		}
		for i := range drafts {
			if err := s.drop(tx, &drafts[i]); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, auditBy(tx, now, actor, "end_series", "activity", activityID, "ok", nil)
	})
	if err != nil {
		return nil, err
	}
	return s.view(s.db.WithContext(ctx), *a.SeriesID)
}

// drafts are the occurrences to come that the series, which is held, may still
// change by itself: made by it, never published, edited by nobody. Those that
// it cancelled itself are among them.
func (s *Series) drafts(tx *gorm.DB, c *model.ActivitySeries, now time.Time) ([]model.Activity, error) {
	var all []model.Activity
	err := tx.Clauses(forUpdate).Order("id").
		Find(&all, "series_id = ? AND series_day > ? AND detached = ? AND published_at IS NULL AND starts_at > ? AND (status = ? OR status = ? AND cancel_reason = ?)",
			c.ID, c.From, false, now, model.Draft, model.Cancelled, model.SeriesEnded).Error
	if err != nil {
		return nil, fmt.Errorf("drafts of series %d: %w", c.ID, err)
	}
	return all, nil
}

func (s *Series) drop(tx *gorm.DB, a *model.Activity) error {
	if a.Status == model.Cancelled {
		return nil
	}
	err := tx.Model(a).Updates(map[string]any{"status": model.Cancelled, "cancel_reason": model.SeriesEnded, "version": a.Version + 1}).Error
	if err != nil {
		return fmt.Errorf("drop draft %d: %w", a.ID, err)
	}
	return nil
}

// Extend makes the occurrences of the next two months of every series and
// publishes those whose day has come near. Any number of replicas may do it at
// once, and again: the key of series and day lets each occurrence be made once.
// A series that cannot be extended does not hold up the others.
func (s *Series) Extend(ctx context.Context) error {
	now := s.now()
	var ids []uint64
	err := s.db.WithContext(ctx).Model(&model.ActivitySeries{}).
		Where("ended_at IS NULL AND until_day > ?", model.DayOf(now, s.settings.Zone)).Order("id").Pluck("id", &ids).Error
	if err != nil {
		return fmt.Errorf("find series: %w", err)
	}
	var failed []error
	for _, id := range ids {
		_, err := inTx(ctx, s.db, func(tx *gorm.DB) (struct{}, error) {
			c, err := lock[model.ActivitySeries](tx, id, model.ErrSeriesNone)
			if err != nil || c.EndedAt != nil {
				return struct{}{}, err
			}
			return struct{}{}, s.extend(tx, c, now)
		})
		if err == nil {
			err = s.publishDue(ctx, id, now)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// extend makes what is missing of one series, which is held, and moves or drops
// the drafts that its rule no longer has where they are. Today's are left as they
// are: a secretary publishes one in the morning, or does not.
func (s *Series) extend(tx *gorm.DB, c *model.ActivitySeries, now time.Time) error {
	days, err := occasions(tx, recurrence{rule: c.Rule, shift: c.Shift, span: c.Span}, model.DayOf(now, s.settings.Zone), seriesAhead)
	if err != nil {
		return err
	}
	drafts, err := s.drafts(tx, c, now)
	if err != nil {
		return err
	}
	var there []model.Day
	if err := tx.Model(&model.Activity{}).Where("series_id = ?", c.ID).Pluck("series_day", &there).Error; err != nil {
		return fmt.Errorf("occurrences of series %d: %w", c.ID, err)
	}
	made := map[model.Day]*model.Activity{}
	for _, d := range there {
		made[d] = nil // not to be touched
	}
	for i := range drafts {
		made[*drafts[i].SeriesDay] = &drafts[i]
	}
	plan, err := readPlan(c)
	if err != nil {
		return err
	}
	for _, d := range days {
		draft, there := made[d.day]
		delete(made, d.day)
		if there && (draft == nil || draft.Status == model.Draft && model.DayOf(draft.StartsAt, s.settings.Zone) == d.held) {
			continue
		}
		if draft == nil {
			draft = &model.Activity{OrganisationID: c.OrganisationID, CodeEpoch: 1, CreatedBy: c.CreatedBy, CreatedAt: now, SeriesID: &c.ID, SeriesDay: &d.day,
				Once: model.Once{Nonce: fmt.Sprintf("series-%d-%s", c.ID, d.day)}}
		}
		if err := s.write(tx, draft, plan.on(d.held, s.settings.Zone)); err != nil {
			return err
		}
	}
	for _, draft := range made {
		if draft == nil || model.DayOf(draft.StartsAt, s.settings.Zone) == model.DayOf(now, s.settings.Zone) {
			continue
		}
		if err := s.drop(tx, draft); err != nil {
			return err
		}
	}
	return nil
}

// write makes an occurrence the draft that the input describes. Whoever named
// members has left since is found out when it is published.
func (s *Series) write(tx *gorm.DB, a *model.Activity, in ActivityInput) error {
	if err := in.apply(a); err != nil {
		return err
	}
	a.Status, a.CancelReason, a.Version = model.Draft, "", a.Version+1
	if err := tx.Save(a).Error; err != nil {
		return fmt.Errorf("make occurrence of series %d: %w", *a.SeriesID, err)
	}
	_, err := writeTargets(tx, a, in.Targets)
	return err
}

// publishDue publishes the drafts of a series whose day has come near enough,
// in the name of who set the series up. One that cannot be published stays a
// draft for the secretary.
func (s *Series) publishDue(ctx context.Context, id uint64, now time.Time) error {
	db := s.db.WithContext(ctx)
	c, err := find[model.ActivitySeries](db, id, model.ErrSeriesNone)
	if err != nil || c.PublishAheadDays == 0 || c.EndedAt != nil {
		return err
	}
	last := model.DayOf(now, s.settings.Zone).Add(c.PublishAheadDays)
	drafts, err := s.drafts(db, c, now)
	if err != nil {
		return err
	}
	for i := range drafts {
		a := &drafts[i]
		if a.Status != model.Draft || model.DayOf(a.StartsAt, s.settings.Zone) > last {
			continue
		}
		author := &model.Actor{MemberID: c.CreatedBy}
		_, err := s.activities.publish(ctx, author, a, now, func(tx *gorm.DB) error {
			return auditBy(tx, now, author, "publish_occurrence", "activity", a.ID, "ok", map[string]any{"series": id})
		})
		var refusal *model.Error
		if err != nil && !errors.As(err, &refusal) {
			return err
		}
	}
	return nil
}
