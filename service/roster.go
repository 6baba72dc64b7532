package service

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// lockBranches holds the branches' rows until the transaction ends. Whoever
// changes memberships, and whoever makes a roster of them, holds them first,
// so that no membership slips past a roster.
func lockBranches(tx *gorm.DB, ids ...uint64) error {
	var held []uint64
	err := tx.Model(&model.Organisation{}).Clauses(forUpdate).
		Where("id IN ?", ids).Order("id").Pluck("id", &held).Error
	if err != nil {
		return fmt.Errorf("hold branches: %w", err)
	}
	return nil
}

// syncRosters makes the rosters of the branches' published activities anew,
// as far as these have not started, with reminders for those who are new on
// them: from the start on a roster is frozen.
func syncRosters(tx *gorm.DB, rules model.SendingRules, branchIDs []uint64, now time.Time) error {
	activities, err := upcomingOf(tx, branchIDs, now)
	if err != nil {
		return err
	}
	return remakeRosters(tx, rules, activities, now)
}

// upcomingOf is the published activities, not yet started, of the branches,
// their party groups and everything above them, and those that they meet at
// with others.
func upcomingOf(tx *gorm.DB, branchIDs []uint64, now time.Time) ([]uint64, error) {
	organisations := slices.Clone(branchIDs)
	for _, id := range branchIDs {
		line, err := lineOf(tx, id)
		if err != nil {
			return nil, err
		}
		for _, o := range line {
			organisations = append(organisations, o.ID)
		}
	}
	var activities []uint64
	err := tx.Model(&model.Activity{}).Where("status = ? AND starts_at > ?", model.Published, now).
		Where("organisation_id IN ? OR organisation_id IN (?) OR id IN (?)", organisations,
			tx.Model(&model.Organisation{}).Select("id").Where("parent_id IN ? AND kind = ?", branchIDs, model.PartyGroup),
			tx.Model(&model.JointBranch{}).Select("activity_id").Where("branch_id IN ? AND state = ?", branchIDs, model.JointAccepted)).
		Order("id").Pluck("id", &activities).Error
	if err != nil {
		return nil, fmt.Errorf("find activities of branches: %w", err)
	}
	return activities, nil
}

// remakeRosters holds each activity before it reads its audience: two changes
// in different branches may meet at a meeting of their common superior.
func remakeRosters(tx *gorm.DB, rules model.SendingRules, activityIDs []uint64, now time.Time) error {
	for _, id := range activityIDs {
		a, err := lock[model.Activity](tx, id, model.ErrActivityNotFound)
		if err != nil {
			return err
		}
		if a.Status != model.Published || a.StartedAt(now) {
			continue
		}
		if _, err := makeRoster(tx, rules.Zone, a); err != nil {
			return err
		}
		if err := scheduleReminders(tx, rules, a, now); err != nil {
			return err
		}
	}
	return nil
}

// makeRoster writes who is expected at an activity whose row is held: its
// audience as of the day it starts. Exemptions already given are kept. It
// returns how many are on it.
func makeRoster(tx *gorm.DB, zone *time.Location, a *model.Activity) (int, error) {
	entries, err := audienceOf(tx, zone, a)
	if err != nil {
		return 0, err
	}
	var old []model.RosterEntry
	if err := tx.Find(&old, "activity_id = ? AND exempt <> ''", a.ID).Error; err != nil {
		return 0, fmt.Errorf("read exemptions of activity %d: %w", a.ID, err)
	}
	exempt := map[uint64]model.RosterEntry{}
	for _, e := range old {
		exempt[e.MemberID] = e
	}
	for i := range entries {
		e := exempt[entries[i].MemberID]
		entries[i].Exempt, entries[i].ExemptNote, entries[i].ClosesAt = e.Exempt, e.ExemptNote, a.ClosesAt
	}
	if err := tx.Delete(&model.RosterEntry{}, "activity_id = ?", a.ID).Error; err != nil {
		return 0, fmt.Errorf("clear roster of activity %d: %w", a.ID, err)
	}
	if len(entries) == 0 {
		return 0, nil
	}
	if err := tx.CreateInBatches(entries, 500).Error; err != nil {
		return 0, fmt.Errorf("write roster of activity %d: %w", a.ID, err)
	}
	return len(entries), nil
}

// audienceOf is who the activity is for, as of the day it starts: its own
// audience and everybody of the branches that meet with it.
func audienceOf(tx *gorm.DB, zone *time.Location, a *model.Activity) ([]model.RosterEntry, error) {
	entries, err := ownAudienceOf(tx, zone, a)
	if err != nil {
		return nil, err
	}
	joint, err := jointBranchesOf(tx, a.ID)
	if err != nil || len(joint) == 0 {
		return entries, err
	}
	there := map[uint64]bool{}
	for _, e := range entries {
		there[e.MemberID] = true
	}
	var partners []model.RosterEntry
	if err := belongingTo(tx, zone, a).Where("b.branch_id IN ?", joint).Scan(&partners).Error; err != nil {
		return nil, fmt.Errorf("joint audience of activity %d: %w", a.ID, err)
	}
	for _, e := range partners {
		if !there[e.MemberID] { // somebody may be named by their superior and come with their branch
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// belongingTo is a query for roster entries of who belongs to a branch on the
// day the activity starts.
func belongingTo(tx *gorm.DB, zone *time.Location, a *model.Activity) *gorm.DB {
	day := model.DayOf(a.StartsAt, zone)
	return tx.Table("memberships b").
		Select("? AS activity_id, b.member_id, b.branch_id, b.group_id, m.status = ? AS votes, '' AS exempt", a.ID, model.FullMember).
		Joins("JOIN members m ON m.id = b.member_id").
		Where("b.from_day <= ? AND b.until_day > ?", day, day).Order("b.member_id")
}

// ownAudienceOf is audienceOf without the branches that meet with it.
func ownAudienceOf(tx *gorm.DB, zone *time.Location, a *model.Activity) ([]model.RosterEntry, error) {
	people := belongingTo(tx, zone, a).Where("b.branch_id IN (?) OR b.group_id = ?", below(tx, []uint64{a.OrganisationID}), a.OrganisationID)
	targets := tx.Model(&model.ActivityTarget{}).Select("target_id").Where("activity_id = ?", a.ID)
	switch a.Audience {
	case model.SomeGroups:
		people = people.Where("b.group_id IN (?)", targets)
	case model.NamedMembers:
		people = people.Where("b.member_id IN (?)", targets)
	}
	var entries []model.RosterEntry
	if err := people.Scan(&entries).Error; err != nil {
		return nil, fmt.Errorf("audience of activity %d: %w", a.ID, err)
	}
	return entries, nil
}

// standingOf is one member's own part in an activity.
func standingOf(tx *gorm.DB, activityID, memberID uint64) (*model.Standing, error) {
	own := new(model.Standing)
	if memberID == 0 {
		return own, nil
	}
	var entries []model.RosterEntry
	var recorded []model.Attendance
	var leaves []model.Leave
	mine := func() *gorm.DB { return tx.Where("activity_id = ? AND member_id = ?", activityID, memberID) }
	if err := errors.Join(mine().Find(&entries).Error, mine().Where("voided = 0").Order("at, id").Find(&recorded).Error, mine().Order("id DESC").Limit(1).Find(&leaves).Error); err != nil {
		return nil, fmt.Errorf("standing of member %d: %w", memberID, err)
	}
	if len(entries) > 0 {
		own.Entry = &entries[0]
	}
	for i := range recorded {
		own.Take(&recorded[i])
	}
	if len(leaves) > 0 {
		own.Excuse(&leaves[0])
	}
	return own, nil
}

// seat is one person's place at a meeting, with the name people know.
type seat struct {
	model.Standing
	MemberID  uint64
	Name      string
	GroupName string
}

// seatsOf is everyone on the activity's roster and every guest who came, by
// group and member.
func seatsOf(tx *gorm.DB, activityID uint64) ([]seat, error) {
	var entries []struct {
		model.RosterEntry
		Name      string
		GroupName string
	}
	err := tx.Table("roster_entries r").Select("r.*, m.name, COALESCE(g.name, '') AS group_name").
		Joins("JOIN members m ON m.id = r.member_id").
		Joins("LEFT JOIN organisations g ON g.id = r.group_id").
		Where("r.activity_id = ?", activityID).Order("r.group_id, r.member_id").Scan(&entries).Error
	if err != nil {
		return nil, fmt.Errorf("read roster of activity %d: %w", activityID, err)
	}
	var recorded []struct {
		model.Attendance
		Name string
	}
	err = tx.Table("attendances t").Select("t.*, m.name").Joins("JOIN members m ON m.id = t.member_id").
		Where("t.activity_id = ? AND t.voided = 0", activityID).Order("t.at, t.id").Scan(&recorded).Error
	if err != nil {
		return nil, fmt.Errorf("read attendances of activity %d: %w", activityID, err)
	}
	var leaves []model.Leave
	if err := tx.Order("id").Find(&leaves, "activity_id = ?", activityID).Error; err != nil {
		return nil, fmt.Errorf("read leaves of activity %d: %w", activityID, err)
	}
	seats := make([]seat, 0, len(entries))
	at := make(map[uint64]int, len(entries))
	for i := range entries {
		e := &entries[i]
		at[e.MemberID] = len(seats)
		seats = append(seats, seat{Standing: model.Standing{Entry: &e.RosterEntry}, MemberID: e.MemberID, Name: e.Name, GroupName: e.GroupName})
	}
	for i := range recorded {
		t := &recorded[i]
		n, ok := at[t.MemberID]
		if !ok {
			n = len(seats)
			at[t.MemberID] = n
			seats = append(seats, seat{MemberID: t.MemberID, Name: t.Name})
		}
		seats[n].Take(&t.Attendance)
	}
	for i := range leaves {
		if n, ok := at[leaves[i].MemberID]; ok && seats[n].Entry != nil {
			seats[n].Excuse(&leaves[i])
		}
	}
	return seats, nil
}

// branch is the branch that the seat belongs to.
func (s *seat) branch() uint64 { return branchIn(&s.Standing) }

// branchIn is the branch that somebody is at a meeting for; 0 where neither the
// roster nor a record has them.
func branchIn(own *model.Standing) uint64 {
	switch {
	case own.Entry != nil:
		return own.Entry.BranchID
	case own.Recorded != nil:
		return own.Recorded.BranchID
	}
	return 0
}

// tally counts the seats as a vote at the moment would.
func tally(a *model.Activity, seats []seat, at time.Time) model.Tally {
	standings := make([]model.Standing, len(seats))
	for i := range seats {
		standings[i] = seats[i].Standing
	}
	return model.Count(a, standings, at)
}
