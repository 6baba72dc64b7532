package api_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

// held are the series' occurrences as "day→held", without the first.
func held(v service.SeriesView) (all []string) {
	for _, o := range days(v)[1:] {
		all = append(all, strings.Fields(o)[0])
	}
	return all
}

func TestAPutOffOccurrenceStaysUntilTheDayOnWhichItIsHeld(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m, _ := s.aSeries(1, "FREQ=MONTHLY;BYMONTHDAY=5")
		for _, at := range []time.Time{time.Date(2026, 5, 5, 0, 30, 0, 0, trial.Zone), time.Date(2026, 5, 5, 23, 30, 0, 0, trial.Zone)} {
			s.Clock.Set(at) // the rule's day, a holiday: it is held on the day after
			if err := s.Series.Extend(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.SignIn(m.secretary)
			if o := m.occurrence("2026-05-05"); o.Status != model.Draft || o.StartsAt.In(trial.Zone).Format(time.DateOnly) != "2026-05-06" {
				t.Errorf("at %s it is %s on %s", at, o.Status, o.StartsAt)
			}
		}
	})
}

// repeatedBy is a new activity of today that comes again by the rule.
func (m *meeting) repeatedBy(rule string, change ...any) service.SeriesView {
	m.t.Helper()
	m.id = m.publish(m.branch)
	return as[service.SeriesView](m.t, m.repeat(body{"rule": rule}.with(change...)))
}

func TestAWeekendThatIsWorkedIsNoDayForAMeetingOfWeekends(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		// 1 to 5 May are free, and Saturday 9 May makes up for it.
		for rule, want := range map[string][]string{"FREQ=WEEKLY;BYDAY=SA": {"05-09→05-10"}, "FREQ=WEEKLY;BYDAY=MO": {"05-04→05-06", "05-11→05-11"}} {
			got := held(m.repeatedBy(rule))
			for _, o := range want {
				if !slices.Contains(got, o) {
					t.Errorf("%s: no %s among %v", rule, o, got)
				}
			}
		}
	})
}

func TestAMonthWithoutTheDayHasNoOccurrenceAndTheLastDayIsInEach(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		for rule, want := range map[string][]string{
			"FREQ=MONTHLY;BYMONTHDAY=31":            {"03-31→03-31"},
			"FREQ=MONTHLY;BYMONTHDAY=-1":            {"03-31→03-31", "04-30→04-30"},
			"FREQ=MONTHLY;BYDAY=5TU":                {"03-31→03-31"},
			"FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=-1":  {"03-31→03-31", "04-28→04-28"},
			"FREQ=YEARLY;BYMONTH=4;BYMONTHDAY=30":   {"04-30→04-30"},
			"FREQ=MONTHLY;INTERVAL=2;BYMONTHDAY=10": {"05-10→05-10"},
		} {
			if got := held(m.repeatedBy(rule, "shift", "none")); !slices.Equal(got, want) && len(got)+len(want) > 0 {
				t.Errorf("%s: %v, want %v", rule, got, want)
			}
		}
	})
}

func TestInAnotherZoneASeriesIsOfTheDaysThere(t *testing.T) {
	tokyo := time.FixedZone("Asia/Tokyo", 9*3600)
	eachStage(t, func(t *testing.T, s *stage) {
		// Half past eleven in the evening in Shanghai is the next day in Tokyo.
		starts := time.Date(2026, 3, 11, 0, 30, 0, 0, tokyo)
		m := s.aMeeting(1, "starts_at", starts.In(trial.Zone), "ends_at", starts.In(trial.Zone).Add(time.Hour))
		s.touch(m.secretary)
		v := as[service.SeriesView](t, m.repeat(body{"rule": "FREQ=MONTHLY;BYMONTHDAY=5"}))
		var got []string
		for _, o := range v.Occurrences {
			got = append(got, string(o.Day)+" "+o.StartsAt.In(tokyo).Format("01-02 15:04"))
		}
		if want := []string{"2026-05-05 05-06 00:30", "2026-04-05 04-11 00:30", "2026-03-11 03-11 00:30"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		// An edit that says its times in yet another zone keeps the days.
		next := m.occurrence("2026-04-05").ActivityID
		at := time.Date(2026, 4, 11, 1, 15, 0, 0, tokyo).UTC()
		want(t, m.phone(m.secretary).put(m.path(next, "/following"), m.again(next, "starts_at", at, "ends_at", at.Add(time.Hour))), 200, "ok")
		if o := m.occurrence("2026-05-05"); o.StartsAt.In(tokyo).Format("01-02 15:04") != "05-06 01:15" {
			t.Errorf("the next one is at %s", o.StartsAt.In(tokyo))
		}
	}, func(p *service.Parts) { p.Settings.Zone = tokyo })
}
