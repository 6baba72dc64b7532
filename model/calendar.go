package model

import "time"

// Shift is where a fixed service day goes when its day is no day for it.
type Shift string

// The shifts.
const (
	ShiftNone    Shift = "none"    // it stays where it is
	ShiftLater   Shift = "later"   // to the next fitting day
	ShiftEarlier Shift = "earlier" // to the last fitting day before
	ShiftSkip    Shift = "skip"    // it is left out
)

// ServiceCalendar repeats a service day, its pattern, by a recurrence rule
// (RFC 5545) over a span of days.
type ServiceCalendar struct {
	ID          uint64 `json:"id"`
	CommunityID uint64 `json:"community_id"`
	PatternID   uint64 `json:"pattern_id"`
	Rule        string `json:"rule"`
	Shift       Shift  `json:"shift"`
	Span
	CreatedBy uint64    `json:"-"`
	CreatedAt time.Time `json:"-"`
}

// CalendarException is one day of a calendar that is left out, or moved.
type CalendarException struct {
	CalendarID uint64 `gorm:"primaryKey;autoIncrement:false" json:"-"`
	Day        Day    `gorm:"primaryKey" json:"day"`
	MovedTo    Day    `json:"moved_to" doc:"空为这一天不办"`
}

// CalendarDay says that a day is worked or free, against the usual week: a
// public holiday, or the weekend day that makes up for one.
type CalendarDay struct {
	Day     Day    `gorm:"primaryKey" json:"day"`
	Working bool   `json:"working"`
	Name    string `json:"name"`
}
