package model

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Refusals of checking out.
var (
	ErrNoCheckOut     = &Error{Kind: Conflict, Code: "no_check_out", Message: "这场活动不用签退，散会后直接离开即可"}
	ErrCheckOutClosed = &Error{Kind: Conflict, Code: "check_out_closed", Message: "活动已经结束，不能再签退，可以请书记更正"}
	ErrLeftAlready    = &Error{Kind: Conflict, Code: "left_already", Message: "您已签退，这场活动签退后不能再进场，有疑问请找书记"}
)

// Direction is which way somebody went.
type Direction string

// The directions.
const (
	In  Direction = "in"
	Out Direction = "out"
)

// MovementFlag is what is odd about a movement, for the secretary to look at.
type MovementFlag string

// The flags.
const (
	NoFlag    MovementFlag = ""
	NoCheckIn MovementFlag = "no_check_in" // went out and had never come in
)

// Movement is somebody going out of an activity, or in again. The first coming
// in is an Attendance. Movements are only added to; one by correction stands in
// the place of all earlier ones of its day.
type Movement struct {
	ID         uint64
	ActivityID uint64
	MemberID   uint64
	Day        Day // as an Attendance has it
	Direction  Direction
	At         time.Time
	Provenance Provenance
	Flag       MovementFlag
	RecordedBy *uint64
	RecordedAt time.Time
	Reason     string
	Once       `gorm:"embedded"`
}

// AdmitOut says whether the person may check out at now by a code that still
// has to prove fresh. Who never checked in may, and is flagged.
func (v *Arrival) AdmitOut(now time.Time) (MovementFlag, error) {
	a := &v.Activity
	switch {
	case a.Status == Cancelled:
		return "", ErrActivityCancelled
	case a.Status == Draft:
		return "", ErrNotPublished
	case v.Entry == nil && v.Recorded == nil && !a.OpenToGuests:
		return "", ErrNotOnRoster
	case !a.CheckOut:
		return "", ErrNoCheckOut
	case a.Status == Closed:
		return "", ErrCheckOutClosed.With("closed_at", a.ClosedAt)
	case now.Before(a.OpensAt):
		return "", ErrNotOpenYet.With("opens_at", a.OpensAt)
	case v.Recorded == nil, v.Recorded.Status != Present:
		return NoCheckIn, nil
	}
	return NoFlag, nil
}

// LeaveGrace is how long before the end one may leave without leaving early.
const LeaveGrace = 10 * time.Minute

// Stay is how long somebody was there, within the activity's own time. A
// presence without an end does not count: it is only open.
type Stay struct {
	Minutes   int        // between coming and going
	Since     *time.Time // inside since then; nil: not inside
	LeftAt    *time.Time // the last going out; nil: none
	LeftEarly bool
	closed    time.Duration
}

// Stay is how long the person was there, by the rows that hold and the
// movements. Going out twice, the last time counts; coming in while inside
// changes nothing. Day by day: who does not check out on one day has no time on
// that day, and all on the others.
func (s *Standing) Stay(a *Activity) Stay {
	var out Stay
	for _, t := range s.Days {
		if t.Status == Present {
			out.add(a, t, movesOf(t, s.Moves))
		}
	}
	out.Minutes = int(out.closed / time.Minute)
	out.LeftEarly = !a.Daily && out.Since == nil && out.LeftAt != nil && out.LeftAt.Before(a.Ended().Add(-LeaveGrace))
	return out
}

// Ended is when the activity is over: at its end, or at its closing before that.
func (a *Activity) Ended() time.Time {
	if a.ClosedAt != nil && a.ClosedAt.Before(a.EndsAt) {
		return *a.ClosedAt
	}
	return a.EndsAt
}

// VotesAt is the moment whose presence counts for a vote that is not said to be of
// another: now while the meeting is on, and afterwards the last at which leaving
// was early.
func (a *Activity) VotesAt(now time.Time) time.Time {
	if end := a.Ended(); !now.Before(end) {
		return end.Add(-LeaveGrace)
	}
	return now
}

// GoneBefore says whether the person had gone out before the moment and not come
// back by then. Arrivals count from whatever time they are noted for: a tick
// often comes after the fact.
func (s *Standing) GoneBefore(at time.Time) bool {
	gone := false
	for _, t := range s.Days {
		if t.Status != Present {
			continue
		}
		moves := slices.DeleteFunc(movesOf(t, s.Moves), func(m Movement) bool { return !m.At.Before(at) })
		if len(moves) == 0 || moves[len(moves)-1].Direction == In {
			return false
		}
		gone = true
	}
	return gone
}

func (s *Stay) add(a *Activity, t *Attendance, moves []Movement) {
	from, inside := t.At, true
	var left *time.Time
	for i := range moves {
		m := &moves[i]
		switch {
		case m.Direction == In && !inside:
			from, inside = m.At, true
		case m.Direction == Out:
			s.closed += a.during(from, m.At)
			from, inside, left = m.At, false, &m.At
		}
	}
	if inside && (s.Since == nil || from.After(*s.Since)) {
		s.Since = &from
	}
	if left != nil && (s.LeftAt == nil || left.After(*s.LeftAt)) {
		s.LeftAt = left
	}
}

// movesOf are the movements that belong to a row, in the order of their times.
func movesOf(t *Attendance, all []Movement) []Movement {
	var moves []Movement
	for _, m := range all {
		switch {
		case m.Day != t.Day, m.At.Before(t.At):
		case m.Provenance == ByCorrection:
			moves = []Movement{m}
		default:
			moves = append(moves, m)
		}
	}
	slices.SortStableFunc(moves, func(x, y Movement) int { return cmp.Or(x.At.Compare(y.At), cmp.Compare(x.ID, y.ID)) })
	return moves
}

// LastMove is the last movement of the person since they came on the day; nil
// where there is none.
func (s *Standing) LastMove(day Day) *Movement {
	t := s.On(day)
	if t == nil || t.Status != Present {
		return nil
	}
	moves := movesOf(t, s.Moves)
	if len(moves) == 0 {
		return nil
	}
	return &moves[len(moves)-1]
}

// during is how much of a span lies within the activity's own time.
func (a *Activity) during(from, until time.Time) time.Duration {
	if from.Before(a.StartsAt) {
		from = a.StartsAt
	}
	if until.After(a.EndsAt) {
		until = a.EndsAt
	}
	return max(0, until.Sub(from))
}

// Earned says whether the stay is worth the activity's credit hours: there is
// an end to it, and it is long enough.
func (s Stay) Earned(a *Activity) bool { return s.LeftAt != nil && s.Minutes >= a.StayMinutes }

// SoFar is the stay in minutes as it would be if the person left at now.
func (s Stay) SoFar(a *Activity, now time.Time) int {
	total := s.closed
	if s.Since != nil {
		total += a.during(*s.Since, now)
	}
	return int(total / time.Minute)
}

// EnoughAt is when somebody who is inside will have been there long enough; nil
// where that is not before the end.
func (s Stay) EnoughAt(a *Activity) *time.Time {
	if s.Since == nil {
		return nil
	}
	from := *s.Since
	if from.Before(a.StartsAt) {
		from = a.StartsAt
	}
	at := from.Add(max(0, time.Duration(a.StayMinutes)*time.Minute-s.closed))
	if at.After(a.EndsAt) {
		return nil
	}
	return &at
}

// Sentence tells a person where they stand, before they leave and after.
func (s Stay) Sentence(a *Activity, now time.Time, zone *time.Location) string {
	minutes := s.SoFar(a, now)
	local := func(t time.Time) string { return t.In(zone).Format("15:04") }
	switch {
	case s.Since == nil && s.LeftAt == nil:
		return "您还没有签到"
	case s.Since == nil && minutes >= a.StayMinutes:
		return fmt.Sprintf("您已签退，在场 %d 分钟，符合要求", minutes)
	case s.Since == nil && a.ReEntry:
		return fmt.Sprintf("您已签退，在场 %d 分钟，不到 %d 分钟，暂不计学时；可以再扫码进场", minutes, a.StayMinutes)
	case s.Since == nil:
		return fmt.Sprintf("您已签退，在场 %d 分钟，不到 %d 分钟，不计学时；有疑问请找书记", minutes, a.StayMinutes)
	case s.EnoughAt(a) == nil:
		return fmt.Sprintf("您已在场 %d 分钟，待到结束也不到 %d 分钟，请向书记说明情况", minutes, a.StayMinutes)
	case minutes < a.StayMinutes:
		return fmt.Sprintf("您已在场 %d 分钟，还差 %d 分钟才计学时，请在 %s 以后再签退", minutes, a.StayMinutes-minutes, local(*s.EnoughAt(a)))
	case !a.Daily && now.Before(a.EndsAt.Add(-LeaveGrace)):
		return fmt.Sprintf("您已在场 %d 分钟，够计学时；活动 %s 结束，现在离开会记为早退", minutes, local(a.EndsAt))
	}
	return fmt.Sprintf("您已在场 %d 分钟，够计学时；离开时请扫码签退", minutes)
}

// AdmitBack says whether somebody who was there may come in again on the day.
func (s *Standing) AdmitBack(a *Activity, day Day) error {
	last := s.LastMove(day)
	switch {
	case last == nil, last.Direction == In:
		return ErrAlreadyCheckedIn.With("checked_in_at", s.On(day).At)
	case !a.ReEntry:
		return ErrLeftAlready.With("left_at", last.At)
	}
	return nil
}
