package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Calendars repeats service days: a published day is the pattern, a recurrence
// rule says on which days it comes again, and the days are made some weeks
// ahead, published like their pattern, whose text has been checked.
type Calendars struct {
	db       *gorm.DB
	settings Settings
	now      func() time.Time
}

// calendarAhead is how many days ahead service days are made.
const calendarAhead = 42

// CalendarInput is how a service day repeats.
type CalendarInput struct {
	Rule       string                    `json:"rule" maxLength:"100" doc:"重复规则：RFC 5545 的 RRULE，只用 FREQ INTERVAL BYDAY BYMONTHDAY BYMONTH BYSETPOS"`
	Shift      model.Shift               `json:"shift,omitempty" enum:"none,later,earlier,skip" default:"later" doc:"遇法定假日或调休上班：不变、顺延、提前、不办"`
	Until      model.Day                 `json:"until,omitempty" maxLength:"10" doc:"到哪天为止（不含）；不给就一直办"`
	Exceptions []model.CalendarException `json:"exceptions,omitempty" maxItems:"100" doc:"个别日子：不办或改到别的日子"`
}

// CalendarView is a calendar with the days it has made.
type CalendarView struct {
	model.ServiceCalendar
	Exceptions []model.CalendarException `json:"exceptions"`
	Days       []CalendarDate            `json:"days" doc:"已生成的服务日"`
}

// CalendarDate is a service day that a calendar has made.
type CalendarDate struct {
	ServiceDayID uint64               `json:"service_day_id"`
	Day          model.Day            `json:"day" doc:"规则里的日子"`
	StartsAt     time.Time            `json:"starts_at"`
	Status       model.ActivityStatus `json:"status"`
}

// Repeat makes a published service day the pattern of a calendar, or changes
// how it repeats, and makes the days of the next weeks at once. Days that were
// made before stay as they are.
func (s *Calendars) Repeat(ctx context.Context, actor *model.Actor, dayID uint64, in CalendarInput) (*CalendarView, error) {
	now := s.now()
	if in.Shift == "" {
		in.Shift = model.ShiftLater
	}
	if in.Until == "" {
		in.Until = model.Forever
	}
	for _, e := range in.Exceptions {
		if !e.Day.Valid() || e.MovedTo != "" && !e.MovedTo.Valid() {
			return nil, model.BadField("exceptions", "日期应为 2026-03-10 的形式")
		}
	}
	if !in.Until.Valid() {
		return nil, model.BadField("until", "日期应为 2026-03-10 的形式")
	}
	id, err := inTx(ctx, s.db, func(tx *gorm.DB) (uint64, error) {
		if _, _, err := liaised(tx, actor, dayID); err != nil {
			return 0, err
		}
		pattern, err := lock[model.ServiceDay](tx, dayID, model.ErrServiceDayNotFound)
		if err != nil {
			return 0, err
		}
		if pattern.CalendarID != nil {
			return 0, model.ErrPatternRepeats
		}
		if err := pattern.Allow(model.Published, model.Closed); err != nil {
			return 0, err
		}
		c := model.ServiceCalendar{CommunityID: pattern.CommunityID, PatternID: dayID, CreatedBy: actor.MemberID, CreatedAt: now}
		if err := tx.Limit(1).Find(&c, "pattern_id = ?", dayID).Error; err != nil {
			return 0, fmt.Errorf("find calendar of service day %d: %w", dayID, err)
		}
		c.Rule, c.Shift, c.Span = in.Rule, in.Shift, model.Span{From: model.DayOf(pattern.StartsAt, s.settings.Zone), Until: in.Until}
		if _, err := readRule(c.Rule, c.From); err != nil {
			return 0, err
		}
		if err := tx.Save(&c).Error; err != nil {
			return 0, fmt.Errorf("repeat service day %d: %w", dayID, err)
		}
		if err := setExceptions(tx, c.ID, in.Exceptions); err != nil {
			return 0, err
		}
		if err := auditBy(tx, now, actor, "repeat_service_day", "service_day", dayID, "ok", nil); err != nil {
			return 0, err
		}
		return c.ID, s.extend(tx, &c, now)
	})
	if err != nil {
		return nil, err
	}
	return s.view(s.db.WithContext(ctx), id)
}

func setExceptions(tx *gorm.DB, calendarID uint64, all []model.CalendarException) error {
	if err := tx.Delete(&model.CalendarException{}, "calendar_id = ?", calendarID).Error; err != nil {
		return fmt.Errorf("clear exceptions of calendar %d: %w", calendarID, err)
	}
	seen := map[model.Day]bool{}
	for _, e := range all {
		if seen[e.Day] {
			return model.BadField("exceptions", "同一天只写一条")
		}
		seen[e.Day] = true
		e.CalendarID = calendarID
		if err := tx.Create(&e).Error; err != nil {
			return fmt.Errorf("exceptions of calendar %d: %w", calendarID, err)
		}
	}
	return nil
}

// Show is the calendar of a service day, for those who run it.
func (s *Calendars) Show(ctx context.Context, actor *model.Actor, dayID uint64) (*CalendarView, error) {
	db := s.db.WithContext(ctx)
	if _, _, err := liaised(db, actor, dayID); err != nil {
		return nil, err
	}
	var c model.ServiceCalendar
	if err := db.Limit(1).Find(&c, "pattern_id = ?", dayID).Error; err != nil {
		return nil, fmt.Errorf("find calendar of service day %d: %w", dayID, err)
	}
	if c.ID == 0 {
		return nil, model.ErrCalendarNone
	}
	return s.view(db, c.ID)
}

func (s *Calendars) view(db *gorm.DB, id uint64) (*CalendarView, error) {
	c, err := find[model.ServiceCalendar](db, id, model.ErrCalendarNone)
	if err != nil {
		return nil, err
	}
	out := &CalendarView{ServiceCalendar: *c, Exceptions: []model.CalendarException{}, Days: []CalendarDate{}}
	err = db.Order("day").Find(&out.Exceptions, "calendar_id = ?", id).Error
	if err == nil {
		err = db.Model(&model.ServiceDay{}).Select("id AS service_day_id, calendar_day AS day, starts_at, status").
			Where("calendar_id = ?", id).Order("calendar_day DESC").Limit(100).Scan(&out.Days).Error
	}
	if err != nil {
		return nil, fmt.Errorf("show calendar %d: %w", id, err)
	}
	return out, nil
}

// Extend makes the service days of the next weeks of every calendar. Any
// number of replicas may do it at once, and again: the key of calendar and day
// lets each day be made once.
func (s *Calendars) Extend(ctx context.Context) error {
	now := s.now()
	var all []model.ServiceCalendar
	err := s.db.WithContext(ctx).Where("until_day > ?", model.DayOf(now, s.settings.Zone)).Order("id").Find(&all).Error
	if err != nil {
		return fmt.Errorf("find calendars: %w", err)
	}
	var failed error
	for i := range all {
		_, err := inTx(ctx, s.db, func(tx *gorm.DB) (struct{}, error) {
			if _, err := lock[model.ServiceDay](tx, all[i].PatternID, model.ErrServiceDayNotFound); err != nil {
				return struct{}{}, err
			}
			return struct{}{}, s.extend(tx, &all[i], now)
		})
		failed = errors.Join(failed, err) // one calendar does not hold up the others
	}
	return failed
}

// extend makes what is missing of one calendar, whose pattern is held.
func (s *Calendars) extend(tx *gorm.DB, c *model.ServiceCalendar, now time.Time) error {
	var exceptions []model.CalendarException
	var made []model.ServiceDay
	err := errors.Join(tx.Find(&exceptions, "calendar_id = ?", c.ID).Error, tx.Select("calendar_day").Find(&made, "calendar_id = ?", c.ID).Error)
	if err != nil {
		return fmt.Errorf("days of calendar %d: %w", c.ID, err)
	}
	moved, there := map[model.Day]model.Day{}, map[model.Day]bool{}
	for _, e := range exceptions {
		moved[e.Day] = e.MovedTo
	}
	for i := range made {
		there[*made[i].CalendarDay] = true
	}
	days, err := occasions(tx, recurrence{c.Rule, c.Shift, c.Span, moved}, model.DayOf(now, s.settings.Zone), calendarAhead)
	if err != nil {
		return err
	}
	for _, d := range days {
		if there[d.day] {
			continue
		}
		if err := s.copyDay(tx, c, d.day, d.held, now); err != nil {
			return err
		}
	}
	return nil
}

// copyDay makes the service day of the rule's day, held on another where that
// does not fit, after the calendar's pattern.
func (s *Calendars) copyDay(tx *gorm.DB, c *model.ServiceCalendar, day, to model.Day, now time.Time) error {
	pattern, err := find[model.ServiceDay](tx, c.PatternID, model.ErrServiceDayNotFound)
	if err != nil {
		return err
	}
	slots, err := slotsOf(tx, c.PatternID)
	if err != nil {
		return err
	}
	shift := shifting(pattern.StartsAt, to, s.settings.Zone)
	d := *pattern
	d.ID, d.CalendarID, d.CalendarDay, d.Status, d.CancelReason = 0, &c.ID, &day, model.Published, ""
	d.StartsAt, d.EndsAt, d.SignUpUntil, d.CancelUntil = shift(d.StartsAt), shift(d.EndsAt), shift(d.SignUpUntil), shift(d.CancelUntil)
	d.CodeEpoch, d.Version, d.CreatedBy, d.PublishedAt, d.ClosedAt, d.CreatedAt = 1, 1, c.CreatedBy, &now, nil, now
	d.Once = model.Once{Nonce: fmt.Sprintf("calendar-%d-%s", c.ID, day)}
	if err := tx.Create(&d).Error; err != nil {
		return fmt.Errorf("make service day of calendar %d: %w", c.ID, err)
	}
	for i := range slots {
		s := &slots[i]
		s.ID, s.Open, s.Taken, s.Waiting, s.StartsAt, s.EndsAt = 0, true, 0, 0, shift(s.StartsAt), shift(s.EndsAt)
	}
	return setSlots(tx, &d, slots)
}
