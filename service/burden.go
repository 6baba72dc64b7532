package service

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Burden is how often members are asked for something, counted from what is on
// record anyway: nobody's time on the phone is measured, and nobody is compared
// with anybody.
type Burden struct {
	db       *gorm.DB
	settings Settings
	now      func() time.Time
}

// BurdenCount is a month below the caller: how many members, and how often each
// operation was done.
type BurdenCount struct {
	Month   string
	Members int64
	Times   map[string]int64
}

// membersOfMonth is who belonged to one of the branches at some time of it.
const membersOfMonth = `SELECT member_id FROM memberships WHERE from_day < @after AND until_day > @first AND branch_id IN @branches`

// burdenCounts is how often an operation was done: rows between @from and
// @until of those members.
var burdenCounts = map[string]string{
	"signIn":                `SELECT COUNT(*) FROM sessions s JOIN accounts a ON a.id = s.account_id WHERE s.created_at >= @from AND s.created_at < @until AND a.member_id IN (` + membersOfMonth + `)`,
	"bindMember":            `SELECT COUNT(*) FROM accounts WHERE bound_at >= @from AND bound_at < @until AND member_id IN (` + membersOfMonth + `)`,
	"checkIn":               `SELECT COUNT(*) FROM attendances WHERE at >= @from AND at < @until AND provenance IN ('scan', 'typed_code') AND member_id IN (` + membersOfMonth + `)`,
	"checkOut":              `SELECT COUNT(*) FROM movements WHERE at >= @from AND at < @until AND direction = 'out' AND provenance IN ('scan', 'typed_code') AND member_id IN (` + membersOfMonth + `)`,
	"requestLeave":          `SELECT COUNT(*) FROM leave_requests WHERE asked_at >= @from AND asked_at < @until AND member_id IN (` + membersOfMonth + `)`,
	"requestLateRecord":     `SELECT COUNT(*) FROM late_records WHERE asked_at >= @from AND asked_at < @until AND asked_by = member_id AND member_id IN (` + membersOfMonth + `)`,
	"reportConsents":        `SELECT COUNT(*) FROM consents c JOIN accounts a ON a.id = c.account_id WHERE c.accepted_at >= @from AND c.accepted_at < @until AND c.nonce IS NOT NULL AND a.member_id IN (` + membersOfMonth + `)`,
	"registerWithCommunity": `SELECT COUNT(*) FROM community_registrations WHERE created_at >= @from AND created_at < @until AND member_id IN (` + membersOfMonth + `)`,
	"signUpForSlot":         `SELECT COUNT(*) FROM slot_sign_ups WHERE at >= @from AND at < @until AND signed_up_by = member_id AND member_id IN (` + membersOfMonth + `)`,
	"checkInToService":      `SELECT COUNT(*) FROM slot_sign_ups WHERE arrived_at >= @from AND arrived_at < @until AND arrived_by IN ('scan', 'typed_code') AND member_id IN (` + membersOfMonth + `)`,
	"checkOutOfService":     `SELECT COUNT(*) FROM slot_sign_ups WHERE left_at >= @from AND left_at < @until AND left_by IN ('scan', 'typed_code') AND member_id IN (` + membersOfMonth + `)`,
	"cancelSignUp":          `SELECT COUNT(*) FROM slot_sign_ups WHERE ended_at >= @from AND ended_at < @until AND state = 'cancelled' AND member_id IN (` + membersOfMonth + `)`,
	"objectToHours":         `SELECT COUNT(*) FROM hour_objections WHERE created_at >= @from AND created_at < @until AND member_id IN (` + membersOfMonth + `)`,
	"pairHousehold":         `SELECT COUNT(*) FROM household_pairings WHERE created_at >= @from AND created_at < @until AND member_id IN (` + membersOfMonth + `)`,
	"recordHouseholdVisit":  `SELECT COUNT(*) FROM household_visits v JOIN household_pairings p ON p.id = v.pairing_id WHERE v.created_at >= @from AND v.created_at < @until AND p.member_id IN (` + membersOfMonth + `)`,
	"complain":              `SELECT COUNT(*) FROM complaints WHERE created_at >= @from AND created_at < @until AND member_id IN (` + membersOfMonth + `)`,
}

// Counted says whether the rows tell how often the operation was done.
func (*Burden) Counted(operation string) bool { return burdenCounts[operation] != "" }

// Month is a month, written 2026-03, of everybody below the offices of a
// supervisor or administrator; empty for the present one.
func (s *Burden) Month(ctx context.Context, actor *model.Actor, month string) (*BurdenCount, error) {
	offices := actor.Offices(model.Supervisor, model.Administrator)
	if len(offices) == 0 {
		return nil, model.ErrForbidden
	}
	if month == "" {
		month = s.now().In(s.settings.Zone).Format("2006-01")
	}
	from, until, err := monthOf(month, s.settings.Zone)
	if err != nil {
		return nil, err
	}
	db := s.db.WithContext(ctx)
	var branches []uint64
	if err := below(db, offices).Scan(&branches).Error; err != nil {
		return nil, fmt.Errorf("branches below offices: %w", err)
	}
	span := map[string]any{"from": from.UTC(), "until": until.UTC(), "branches": branches,
		"first": model.DayOf(from, s.settings.Zone), "after": model.DayOf(until, s.settings.Zone)}
	out := &BurdenCount{Month: month, Times: map[string]int64{}}
	if err := db.Raw("SELECT COUNT(DISTINCT member_id) FROM ("+membersOfMonth+") b", span).Scan(&out.Members).Error; err != nil {
		return nil, fmt.Errorf("members of %s: %w", month, err)
	}
	for operation, query := range burdenCounts {
		var n int64
		if err := db.Raw(query, span).Scan(&n).Error; err != nil {
			return nil, fmt.Errorf("how often %s in %s: %w", operation, month, err)
		}
		out.Times[operation] = n
	}
	return out, nil
}
