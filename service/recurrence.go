package service

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/6tail/lunar-go/HolidayUtil"
	"github.com/teambition/rrule-go"
	"gorm.io/gorm"

	"dangri/model"
)

// ruleForm takes no more than the fifth of a weekday: of an eighth the library
// breaks down, and only in some months.
var ruleForm = regexp.MustCompile(`^FREQ=(DAILY|WEEKLY|MONTHLY|YEARLY)(;((INTERVAL|BYMONTHDAY|BYMONTH|BYSETPOS)=[0-9,+-]{1,60}|` +
	`BYDAY=([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU)(,([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU))*))*$`)

// readRule reads a recurrence rule of whole days, counted from the day.
func readRule(text string, from model.Day) (*rrule.RRule, error) {
	if !ruleForm.MatchString(text) {
		return nil, model.ErrRule
	}
	option, err := rrule.StrToROption(text)
	if err != nil {
		return nil, model.ErrRule
	}
	if option.Dtstart, err = time.Parse(time.DateOnly, string(from)); err != nil {
		return nil, model.ErrRule
	}
	if option.Interval > 366 {
		return nil, model.ErrRule
	}
	rule, err := rrule.NewRRule(*option)
	if err != nil || rule.After(option.Dtstart, false).IsZero() { // 30 February would be looked for again and again, to the end of time
		return nil, model.ErrRule
	}
	return rule, nil
}

// recurrence is what repeats, by which rule, and on which single days otherwise.
type recurrence struct {
	rule  string
	shift model.Shift
	span  model.Span
	moved map[model.Day]model.Day // empty: left out
}

// occasion is a day of a rule, with the one it is held on.
type occasion struct{ day, held model.Day }

// occasions are those that are held on a day ahead, also where the rule's own day
// is past and was put off; the first day of the span is not among them, because
// what repeats is there already.
func occasions(tx *gorm.DB, r recurrence, today model.Day, ahead int) ([]occasion, error) {
	rule, err := readRule(r.rule, r.span.From)
	if err != nil {
		return nil, err
	}
	begin := today.Add(-model.LongestShift)
	special, err := specialDays(tx, begin.Add(-model.LongestShift), today.Add(2*ahead))
	if err != nil {
		return nil, err
	}
	after, _ := time.Parse(time.DateOnly, string(max(begin, r.span.From)))
	before, _ := time.Parse(time.DateOnly, string(min(today.Add(ahead+1), r.span.Until)))
	var out []occasion
	for _, at := range rule.Between(after, before, false) {
		day := model.Day(at.Format(time.DateOnly))
		held, named := r.moved[day]
		if !named {
			held = r.shift.Place(day, special)
		}
		if held > today {
			out = append(out, occasion{day, held})
		}
	}
	return out, nil
}

// shifting moves moments by as many days as it is from the day of the first
// one to another day, at the same time of day in the zone.
func shifting(first time.Time, to model.Day, zone *time.Location) func(time.Time) time.Time {
	from, _ := time.Parse(time.DateOnly, string(model.DayOf(first, zone)))
	until, _ := time.Parse(time.DateOnly, string(to))
	days := int(until.Sub(from).Hours() / 24)
	return func(t time.Time) time.Time { return t.In(zone).AddDate(0, 0, days).UTC() }
}

// specialDays says of days within the span whether they are public holidays,
// or weekend days that are worked: by the table of this installation, else by
// the holidays that the library knows.
func specialDays(tx *gorm.DB, from, until model.Day) (func(model.Day) bool, error) {
	var rows []model.CalendarDay
	if err := tx.Find(&rows, "day >= ? AND day <= ?", from, until).Error; err != nil {
		return nil, fmt.Errorf("read calendar days: %w", err)
	}
	known := map[model.Day]bool{}
	for _, r := range rows {
		known[r.Day] = r.Working == r.Day.Weekend()
	}
	return func(d model.Day) bool {
		if special, ok := known[d]; ok {
			return special
		}
		return HolidayUtil.GetHoliday(strings.ReplaceAll(string(d), "-", "")) != nil
	}, nil
}
