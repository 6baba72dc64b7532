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
	Day        Day    `gorm:"primaryKey" json:"day" doc:"哪一天"`
	MovedTo    Day    `json:"moved_to" doc:"改到哪天：空为这一天不办"`
}

// CalendarDay says that a day is worked or free, against the usual week: a
// public holiday, or the weekend day that makes up for one.
type CalendarDay struct {
	Day     Day    `gorm:"primaryKey" json:"day"`
	Working bool   `json:"working"`
	Name    string `json:"name"`
}

// Refusals of calendars.
var (
	ErrRule           = &Error{Kind: Invalid, Code: "rule", Message: "重复规则不对，应如 FREQ=MONTHLY;BYMONTHDAY=15 或 FREQ=WEEKLY;BYDAY=SA"}
	ErrCalendarNone   = &Error{Kind: NotFound, Code: "calendar_not_found", Message: "这个服务日没有设为定期重复，请先设置"}
	ErrPatternRepeats = &Error{Kind: Conflict, Code: "pattern_repeats", Message: "这个服务日本身就是定期生成的，请在最初的那一天上设置"}
)

// Weekend says whether the day is a Saturday or Sunday.
func (d Day) Weekend() bool {
	t, err := time.Parse(time.DateOnly, string(d))
	return err == nil && (t.Weekday() == time.Saturday || t.Weekday() == time.Sunday)
}

// Add is the day so many days later.
func (d Day) Add(days int) Day {
	t, err := time.Parse(time.DateOnly, string(d))
	if err != nil {
		return d
	}
	return Day(t.AddDate(0, 0, days).Format(time.DateOnly))
}

// LongestShift is how many days something is moved at most; the longest holidays are ten days.
const LongestShift = 31

// Place is the day on which a fixed service day of the rule's day is held;
// empty where it is left out. A public holiday, or a weekend day that is
// worked, does not fit; the day moves to the next one of its own kind, weekday
// or weekend, that does. Special says whether a day is one of those.
func (s Shift) Place(d Day, special func(Day) bool) Day {
	step := map[Shift]int{ShiftLater: 1, ShiftEarlier: -1}[s]
	switch {
	case s == ShiftNone || !special(d):
		return d
	case step == 0:
		return ""
	}
	to := d
	for range LongestShift {
		if to = to.Add(step); to.Weekend() == d.Weekend() && !special(to) {
			return to
		}
	}
	return ""
}
