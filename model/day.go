package model

import "time"

// Day is a calendar day in the party organisation's own time zone, written
// 2006-01-02. Days compare as text.
type Day string

// Forever is the open end of a membership or a post.
const Forever Day = "9999-12-31"

// DayOf is the day that t falls on in the zone.
func DayOf(t time.Time, zone *time.Location) Day {
	return Day(t.In(zone).Format(time.DateOnly))
}

// Span is a run of days: From is in, Until is not.
type Span struct {
	From  Day `gorm:"column:from_day" json:"from"`
	Until Day `gorm:"column:until_day" json:"until"`
}

// Covers says whether the day lies within the span.
func (s Span) Covers(d Day) bool { return s.From <= d && d < s.Until }
