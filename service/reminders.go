package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"dangri/model"
)

// Reminders are messages to people's phones. A row is written in the
// transaction of the business it is about, so that what is due is never lost;
// it is sent at most once, and when nobody knows whether it went out it is
// tried again only where that cannot make a second message.
type Reminders struct {
	db        *gorm.DB
	platform  Platform
	catalogue model.Catalogue
	rules     model.SendingRules
	workers   int
	place     int // of this process among those that claim
	now       func() time.Time
	log       *slog.Logger

	mu    sync.Mutex
	lanes map[model.Purpose]*model.Lane
}

func newReminders(p Parts) *Reminders {
	s := &Reminders{db: p.DB, platform: p.Platform, catalogue: p.Settings.Catalogue, rules: p.Settings.Sending,
		workers: p.Settings.ReminderWorkers, place: int(dice() * claimPlaces), now: p.Now, log: p.Log,
		lanes: map[model.Purpose]*model.Lane{}}
	for _, purpose := range model.Purposes {
		s.lanes[purpose] = new(model.Lane)
	}
	return s
}

// scheduleReminders writes what a published activity calls for: to everyone on
// its roster and to who conducts it. What is there already for the same start
// stays, and comes back if it was withdrawn when the activity moved away or was
// called off.
func scheduleReminders(tx *gorm.DB, rules model.SendingRules, a *model.Activity, now time.Time) error {
	err := tx.Model(&model.Reminder{}).
		Where("activity_id = ? AND starts_at = ? AND state = ? AND reason IN ? AND kind NOT IN ? AND not_after > ?", a.ID, a.StartsAt, model.Withdrawn,
			[]string{model.ActivityMoved, string(model.Cancelled)}, []model.ReminderKind{model.Moved, model.CalledOff, model.Resumed}, now).
		Updates(map[string]any{"state": model.Queued, "reason": "", "settled_at": nil}).Error
	if err != nil {
		return fmt.Errorf("put back reminders of activity %d: %w", a.ID, err)
	}
	people, err := rosterOf(tx, a.ID)
	if err != nil {
		return err
	}
	conductors, err := conductorsOf(tx, a.OrganisationID, model.DayOf(now, rules.Zone))
	if err != nil {
		return err
	}
	var have []model.Reminder
	if err := tx.Select("member_id", "kind").Find(&have, "activity_id = ? AND starts_at = ?", a.ID, a.StartsAt).Error; err != nil {
		return fmt.Errorf("read reminders of activity %d: %w", a.ID, err)
	}
	type one struct {
		member uint64
		kind   model.ReminderKind
	}
	there := make(map[one]bool, len(have))
	for _, r := range have {
		there[one{r.MemberID, r.Kind}] = true
	}
	var rows []model.Reminder
	add := func(wanted []model.Reminder, members []uint64) {
		for _, r := range wanted {
			for _, id := range members {
				if !there[one{id, r.Kind}] {
					r.MemberID = id
					rows = append(rows, r)
				}
			}
		}
	}
	add(rules.Reminders(a, now), people)
	add(rules.Duties(a, now), conductors)
	return writeReminders(tx, rows)
}

// notifyChange writes the notice of a change to everyone on the roster, in place
// of one that has not gone out yet. Start is when the meeting was to begin, as people still believe.
func notifyChange(tx *gorm.DB, rules model.SendingRules, a *model.Activity, kind model.ReminderKind, start, now time.Time) error {
	people, err := rosterOf(tx, a.ID)
	if err == nil {
		err = tx.Model(&model.Reminder{}).Where("activity_id = ? AND kind = ? AND state = ? AND doubts = 0", a.ID, kind, model.Queued).
			Updates(map[string]any{"state": model.Withdrawn, "reason": "superseded", "settled_at": now}).Error
	}
	if err != nil {
		return fmt.Errorf("notify of activity %d: %w", a.ID, err)
	}
	var rows []model.Reminder
	for _, r := range rules.Notice(a, kind, start, now) {
		for _, id := range people {
			r.MemberID = id
			rows = append(rows, r)
		}
	}
	return writeReminders(tx, rows)
}

// notifyResumed takes back the notice of a cancellation that has not gone out,
// and tells everybody else who may have got one that the activity takes place.
func notifyResumed(tx *gorm.DB, rules model.SendingRules, a *model.Activity, now time.Time) error {
	err := tx.Model(&model.Reminder{}).Where("activity_id = ? AND kind = ? AND state = ? AND doubts = 0", a.ID, model.CalledOff, model.Queued).
		Updates(map[string]any{"state": model.Withdrawn, "reason": "restored", "settled_at": now}).Error
	if err != nil {
		return fmt.Errorf("take back the cancellation of activity %d: %w", a.ID, err)
	}
	var told []uint64
	went := []model.ReminderState{model.Attempting, model.Sent, model.PresumedSent, model.Unknown, model.UnknownFinal}
	err = tx.Table("reminders c").Distinct("c.member_id").Order("c.member_id").
		Joins("JOIN roster_entries e ON e.activity_id = c.activity_id AND e.member_id = c.member_id").
		Where("c.activity_id = ? AND c.kind = ? AND (c.state IN ? OR c.doubts > 0)", a.ID, model.CalledOff, went).
		Where("NOT EXISTS (SELECT 1 FROM reminders r WHERE r.activity_id = c.activity_id AND r.member_id = c.member_id AND r.kind = ? AND r.state IN ? AND r.due_at >= c.due_at)",
			model.Resumed, went).
		Pluck("c.member_id", &told).Error
	if err != nil {
		return fmt.Errorf("who knows of the cancellation of activity %d: %w", a.ID, err)
	}
	var rows []model.Reminder
	for _, r := range rules.Notice(a, model.Resumed, a.StartsAt, now) {
		for _, id := range told {
			r.MemberID = id
			rows = append(rows, r)
		}
	}
	return writeReminders(tx, rows)
}

func writeReminders(tx *gorm.DB, rows []model.Reminder) error {
	if len(rows) == 0 {
		return nil
	}
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(rows, 500).Error; err != nil {
		return fmt.Errorf("write %d reminders: %w", len(rows), err)
	}
	return nil
}

// asker is who waits for a decision, and for whom: neither of them decides.
type asker struct{ MemberID, AskedBy, BranchID uint64 }

// decidersOf is who is told that a request waits: the secretary of the person's
// side or the leader of the group that meets, for want of one the branch's
// secretary, and then the committee.
func decidersOf(tx *gorm.DB, line model.Line, of asker, day model.Day) ([]uint64, error) {
	places := line[:1]
	if line[0].Kind == model.PartyGroup && len(line) > 1 {
		places = line[:2]
	}
	for _, kinds := range [][]model.PostKind{{model.Secretary, model.GroupLeader}, {model.CommitteeMember}} {
		for _, o := range places {
			var people []uint64
			err := tx.Model(&model.Post{}).Distinct("member_id").Where("organisation_id = ? AND kind IN ? AND from_day <= ? AND until_day > ? AND member_id NOT IN ?",
				o.ID, kinds, day, day, []uint64{of.MemberID, of.AskedBy}).Order("member_id").Pluck("member_id", &people).Error
			if err != nil {
				return nil, fmt.Errorf("who decides in organisation %d: %w", o.ID, err)
			}
			if len(people) > 0 {
				return people, nil
			}
		}
	}
	return nil, nil
}

// waitingFor is how many requests about the activity wait for each person.
func waitingFor(tx *gorm.DB, a *model.Activity, day model.Day) (map[uint64]int, error) {
	var waiting, late []asker
	asked := func(table string) *gorm.DB { // by whom the roster has
		return tx.Table(table+" q").Joins("JOIN roster_entries r ON r.activity_id = q.activity_id AND r.member_id = q.member_id").
			Where("q.activity_id = ? AND q.state = ?", a.ID, model.Asked).Order("q.id")
	}
	err := asked(leaveRequests).Select("q.member_id, q.member_id AS asked_by, r.branch_id").Scan(&waiting).Error
	if err == nil {
		err = asked(lateRecords).Select("q.member_id, q.asked_by, r.branch_id").Scan(&late).Error
	}
	if err != nil {
		return nil, fmt.Errorf("requests that wait about activity %d: %w", a.ID, err)
	}
	waiting = append(waiting, late...)
	if len(waiting) == 0 || a.Status == model.Cancelled {
		return nil, nil
	}
	line, err := lineOf(tx, a.OrganisationID)
	if err != nil {
		return nil, err
	}
	all, err := sidesOf(tx, a, line)
	if err != nil {
		return nil, err
	}
	counts := map[uint64]int{}
	for _, of := range waiting {
		people, err := decidersOf(tx, all.of(of.BranchID).line, of, day)
		if err != nil {
			return nil, err
		}
		for _, id := range people {
			counts[id]++
		}
	}
	return counts, nil
}

// askDeciders tells those whom a new request falls to that something waits: a
// person is told once of an activity and day, however much waits. The activity
// is held.
func askDeciders(tx *gorm.DB, rules model.SendingRules, a *model.Activity, of asker, now time.Time) error {
	line, err := lineOf(tx, a.OrganisationID)
	if err != nil {
		return err
	}
	all, err := sidesOf(tx, a, line)
	if err != nil {
		return err
	}
	people, err := decidersOf(tx, all.of(of.BranchID).line, of, model.DayOf(now, rules.Zone))
	if err != nil || len(people) == 0 {
		return err
	}
	r := rules.Approvals(a, now)
	// What was taken back earlier today because nothing waited any more.
	err = tx.Model(&model.Reminder{}).Where("activity_id = ? AND kind = ? AND due_at = ? AND state = ? AND member_id IN ?", a.ID, r.Kind, r.DueAt, model.Withdrawn, people).
		Updates(map[string]any{"state": model.Queued, "reason": "", "settled_at": nil, "next_at": r.NextAt, "not_after": r.NotAfter}).Error
	if err != nil {
		return fmt.Errorf("put back reminders of activity %d: %w", a.ID, err)
	}
	rows := make([]model.Reminder, len(people))
	for i, id := range people {
		rows[i], rows[i].MemberID = r, id
	}
	return writeReminders(tx, rows)
}

// releaseDeciders takes back what has not gone out to people for whom nothing
// about the activity waits any more. The activity is held.
func releaseDeciders(tx *gorm.DB, rules model.SendingRules, a *model.Activity, now time.Time) error {
	waiting, err := waitingFor(tx, a, model.DayOf(now, rules.Zone))
	if err != nil {
		return err
	}
	err = tx.Model(&model.Reminder{}).
		Where("activity_id = ? AND kind = ? AND state = ? AND doubts = 0 AND member_id NOT IN ?", a.ID, model.ApprovalsWaiting, model.Queued, append(sortedKeys(waiting), 0)).
		Updates(map[string]any{"state": model.Withdrawn, "reason": model.NothingWaits, "settled_at": now}).Error
	if err != nil {
		return fmt.Errorf("withdraw reminders of activity %d: %w", a.ID, err)
	}
	return nil
}

// notifyDecision tells the member what was decided, and no more those for whom
// nothing else waits.
func notifyDecision(tx *gorm.DB, rules model.SendingRules, a *model.Activity, memberID uint64, kind model.ReminderKind, now time.Time) error {
	r := rules.Answer(a, kind, now)
	r.MemberID = memberID
	if err := writeReminders(tx, []model.Reminder{r}); err != nil {
		return err
	}
	return releaseDeciders(tx, rules, a, now)
}

// withdrawReminders takes back what has not been sent about the meeting itself.
// One whose outcome is in doubt is left to be resolved.
func withdrawReminders(tx *gorm.DB, activityID uint64, reason string, now time.Time) error {
	err := tx.Model(&model.Reminder{}).Where("activity_id = ? AND state = ? AND doubts = 0 AND kind NOT IN ?", activityID, model.Queued, model.RequestKinds()).
		Updates(map[string]any{"state": model.Withdrawn, "reason": reason, "settled_at": now}).Error
	if err != nil {
		return fmt.Errorf("withdraw reminders of activity %d: %w", activityID, err)
	}
	return nil
}

func rosterOf(tx *gorm.DB, activityID uint64) ([]uint64, error) {
	var people []uint64
	if err := tx.Model(&model.RosterEntry{}).Where("activity_id = ?", activityID).Order("member_id").Pluck("member_id", &people).Error; err != nil {
		return nil, fmt.Errorf("roster of activity %d: %w", activityID, err)
	}
	return people, nil
}

// conductorsOf is whom the duties of an organisation's meetings fall to: its
// secretary, or the leader of the group.
func conductorsOf(tx *gorm.DB, organisationID uint64, day model.Day) ([]uint64, error) {
	var people []uint64
	err := tx.Model(&model.Post{}).Distinct("member_id").
		Where("organisation_id = ? AND kind IN ? AND from_day <= ? AND until_day > ?", organisationID,
			[]model.PostKind{model.Secretary, model.GroupLeader}, day, day).Order("member_id").Pluck("member_id", &people).Error
	if err != nil {
		return nil, fmt.Errorf("conductors of organisation %d: %w", organisationID, err)
	}
	return people, nil
}

// DeadReminder is a message that will not go out by itself.
type DeadReminder struct {
	ID         uint64              `json:"id"`
	ActivityID uint64              `json:"activity_id"`
	MemberID   uint64              `json:"member_id"`
	Kind       model.ReminderKind  `json:"kind"`
	State      model.ReminderState `json:"state"`
	Reason     string              `json:"reason"`
	DueAt      time.Time           `json:"due_at"`
	NotAfter   time.Time           `json:"not_after"`
}

// Dead is the messages that the platform will not take, or whose fate nobody
// knows, the newest first, for who works on the machine.
func (s *Reminders) Dead(ctx context.Context, limit int) ([]DeadReminder, error) {
	rows := []DeadReminder{}
	err := s.db.WithContext(ctx).Model(&model.Reminder{}).
		Where("state IN ?", []model.ReminderState{model.Poison, model.UnknownFinal}).Order("id DESC").Limit(limit).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("list dead reminders: %w", err)
	}
	return rows, nil
}

// Requeue puts a dead message back into the queue, with a reason that stands in
// its history. One that may have arrived can arrive a second time.
func (s *Reminders) Requeue(ctx context.Context, actor *model.Actor, id uint64, reason string) error {
	if !actor.Operates() {
		return model.ErrForbidden
	}
	if reason = cleanLine(reason); reason == "" || utf8.RuneCountInString(reason) > 200 {
		return model.BadField("reason", "请写明重新排队的理由，最多 200 个字")
	}
	now := s.now()
	_, err := inTx(ctx, s.db, func(tx *gorm.DB) (struct{}, error) {
		r, err := lock[model.Reminder](tx, id, model.ErrReminderNotFound)
		switch {
		case err != nil:
			return struct{}{}, err
		case r.State != model.Poison && r.State != model.UnknownFinal:
			return struct{}{}, model.ErrNotDead
		case !now.Before(r.NotAfter):
			return struct{}{}, model.ErrTooLateToSend
		}
		err = tx.Model(r).Updates(map[string]any{"state": model.Queued, "reason": "", "next_at": now, "tries": 0, "doubts": 0,
			"token": "", "lease_until": now, "consent_id": 0, "called_at": nil, "settled_at": nil}).Error
		if err == nil {
			err = tx.Create(&model.SendDecision{ReminderID: id, At: now, State: model.Queued, Reason: "requeued", Note: reason}).Error
		}
		if err != nil {
			return struct{}{}, fmt.Errorf("put back reminder %d: %w", id, err)
		}
		return struct{}{}, auditBy(tx, now, actor, "requeue_reminder", "reminder", id, "ok", nil)
	})
	return err
}

// ReminderStats is the queue in numbers.
type ReminderStats struct {
	States map[model.ReminderState]int64
	Due    int64         // waiting although it is time
	Lag    time.Duration // of the one that waits longest
}

// Stats is the queue in numbers, for the watchers.
func (s *Reminders) Stats(ctx context.Context) (*ReminderStats, error) {
	db, now := s.db.WithContext(ctx), s.now()
	var rows []struct {
		State model.ReminderState
		N     int64
	}
	out := &ReminderStats{States: map[model.ReminderState]int64{}}
	err := db.Model(&model.Reminder{}).Select("state, COUNT(*) AS n").Group("state").Scan(&rows).Error
	for _, r := range rows {
		out.States[r.State] = r.N
	}
	var oldest []model.Reminder
	due := func() *gorm.DB {
		return db.Model(&model.Reminder{}).Where("state = ? AND next_at <= ? AND not_after > ?", model.Queued, now, now)
	}
	err = errors.Join(err, due().Count(&out.Due).Error, due().Select("next_at").Order("next_at").Limit(1).Find(&oldest).Error)
	if err != nil {
		return nil, fmt.Errorf("count reminders: %w", err)
	}
	if len(oldest) > 0 {
		out.Lag = now.Sub(oldest[0].NextAt)
	}
	return out, nil
}
