package model

import (
	"errors"
	"testing"
	"time"
)

// leaving is a meeting from 14:00 to 16:00 that asks for checking out after 90
// minutes.
func leaving() Activity {
	a := meeting()
	a.StartsAt, a.EndsAt, a.CheckOut, a.StayMinutes = at1400, at1400.Add(2*time.Hour), true, 90
	return a
}

// moves is movements by minutes after 14:00: "out 60", "in 70".
func moves(all ...Movement) []Movement {
	for i := range all {
		all[i].ID = uint64(i + 1)
	}
	return all
}

func out(minute int) Movement {
	return Movement{Direction: Out, At: at1400.Add(time.Duration(minute) * time.Minute), Provenance: ByScan}
}

func in(minute int) Movement {
	m := out(minute)
	m.Direction = In
	return m
}

func corrected(m Movement) Movement {
	m.Provenance = ByCorrection
	return m
}

func TestHowLongSomebodyWasThere(t *testing.T) {
	for _, c := range []struct {
		name    string
		came    int // minutes after 14:00
		moves   []Movement
		minutes int
		earned  bool
		early   bool
		inside  bool
	}{
		{"nobody checked out", 0, nil, 0, false, false, true},
		{"to the end", 0, moves(out(120)), 120, true, false, false},
		{"time before the start and after the end is not the meeting's", -20, moves(out(200)), 120, true, false, false},
		{"A23 out twice: the last counts", 0, moves(out(60), out(110)), 110, true, false, false},
		{"long enough and yet early", 0, moves(out(95)), 95, true, true, false},
		{"the last moment that is early", 0, moves(Movement{Direction: Out, At: at1400.Add(110*time.Minute - time.Millisecond)}), 109, true, true, false},
		{"ten minutes before the end is not early", 0, moves(out(110)), 110, true, false, false},
		{"one minute short", 31, moves(out(120)), 89, false, false, false},
		{"exactly enough", 30, moves(out(120)), 90, true, false, false},
		{"out and in again", 0, moves(out(30), in(60), out(120)), 90, true, false, false},
		{"in again and never out: only what is closed counts", 0, moves(out(100), in(105)), 100, true, false, true},
		{"in while inside changes nothing", 0, moves(in(30), out(120)), 120, true, false, false},
		{"A23 out before any coming is none", 10, moves(out(5)), 0, false, false, true},
		{"a correction stands for all before it", 0, moves(out(20), in(25), corrected(out(115))), 115, true, false, false},
		{"a scan after the correction counts as well", 0, moves(out(20), corrected(out(90)), out(118)), 118, true, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := leaving()
			s := Standing{Moves: c.moves}
			s.Take(&Attendance{Status: Present, At: at1400.Add(time.Duration(c.came) * time.Minute)})
			got := s.Stay(&a)
			if got.Minutes != c.minutes || got.Earned(&a) != c.earned || got.LeftEarly != c.early || (got.Since != nil) != c.inside {
				t.Errorf("%+v, earned %v; want %d minutes, earned %v, early %v, inside %v", got, got.Earned(&a), c.minutes, c.earned, c.early, c.inside)
			}
		})
	}
}

func TestDaysAddUpAndADayWithoutAnEndCountsNothing(t *testing.T) {
	a := leaving()
	a.Daily, a.EndsAt = true, at1400.Add(50*time.Hour)
	next := at1400.Add(24 * time.Hour)
	s := Standing{Moves: moves(
		Movement{Day: "2026-07-01", Direction: Out, At: at1400.Add(time.Hour)},
		Movement{Day: "2026-07-03", Direction: Out, At: next.Add(25 * time.Hour)})}
	for day, at := range map[Day]time.Time{"2026-07-01": at1400, "2026-07-02": next, "2026-07-03": next.Add(24 * time.Hour)} {
		s.Take(&Attendance{Day: day, Status: Present, At: at})
	}
	if got := s.Stay(&a); got.Minutes != 120 || got.LeftEarly {
		t.Errorf("%+v", got)
	}
	s = Standing{}
	s.Take(&Attendance{Status: Absent, At: at1400})
	if got := s.Stay(&a); got != (Stay{}) {
		t.Errorf("who was absent stayed %+v", got)
	}
}

func TestAMeetingClosedSoonerMakesNobodyLeaveEarly(t *testing.T) {
	a := leaving()
	closed := at1400.Add(100 * time.Minute)
	s := Standing{Moves: moves(out(95))}
	s.Take(&Attendance{Status: Present, At: at1400})
	if a.ClosedAt = &closed; s.Stay(&a).LeftEarly {
		t.Error("left five minutes before the closing, and early")
	}
}

func TestWhereOneStandsIsSaidBeforeLeaving(t *testing.T) {
	for _, c := range []struct {
		name    string
		came    int
		moves   []Movement
		now     int
		reEntry bool
		want    string
	}{
		{"short", 0, nil, 40, false, "您已在场 40 分钟，还差 50 分钟才计学时，请在 15:30 以后再签退"},
		{"what was before going out counts", 0, moves(out(30), in(60)), 70, true, "您已在场 40 分钟，还差 50 分钟才计学时，请在 16:00 以后再签退"},
		{"enough and early", 0, nil, 95, false, "您已在场 95 分钟，够计学时；活动 16:00 结束，现在离开会记为早退"},
		{"exactly enough and early", 0, nil, 90, false, "您已在场 90 分钟，够计学时；活动 16:00 结束，现在离开会记为早退"},
		{"enough", 0, nil, 112, false, "您已在场 112 分钟，够计学时；离开时请扫码签退"},
		{"never enough", 40, nil, 60, false, "您已在场 20 分钟，待到结束也不到 90 分钟，请向书记说明情况"},
		{"left and enough", 0, moves(out(95)), 100, false, "您已签退，在场 95 分钟，符合要求"},
		{"left and exactly enough", 0, moves(out(90)), 100, false, "您已签退，在场 90 分钟，符合要求"},
		{"left too soon", 0, moves(out(40)), 41, false, "您已签退，在场 40 分钟，不到 90 分钟，不计学时；有疑问请找书记"},
		{"left and may come back", 0, moves(out(40)), 41, true, "您已签退，在场 40 分钟，不到 90 分钟，暂不计学时；可以再扫码进场"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := leaving()
			a.ReEntry = c.reEntry
			s := Standing{Moves: c.moves}
			s.Take(&Attendance{Status: Present, At: at1400.Add(time.Duration(c.came) * time.Minute)})
			if got := s.Stay(&a).Sentence(&a, at1400.Add(time.Duration(c.now)*time.Minute), time.FixedZone("", 8*3600)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	a := leaving()
	if got := (Stay{}).Sentence(&a, at1400, time.UTC); got != "您还没有签到" {
		t.Error(got)
	}
}

func TestWhoMayCheckOutAndComeBack(t *testing.T) {
	came := &Attendance{Status: Present, At: at1400}
	for _, c := range []struct {
		name    string
		change  func(v *Arrival)
		now     time.Time
		flag    MovementFlag
		refusal error
	}{
		{"who came", func(*Arrival) {}, at1400, NoFlag, nil},
		{"A23 who never came", func(v *Arrival) { v.Recorded = nil }, at1400, NoCheckIn, nil},
		{"who is recorded absent", func(v *Arrival) { v.Recorded = &Attendance{Status: Absent} }, at1400, NoCheckIn, nil},
		{"a guest of an open meeting", func(v *Arrival) { v.Entry, v.Activity.OpenToGuests = nil, true }, at1400, NoFlag, nil},
		{"a stranger", func(v *Arrival) { v.Entry, v.Recorded = nil, nil }, at1400, "", ErrNotOnRoster},
		{"nothing is asked for", func(v *Arrival) { v.Activity.CheckOut = false }, at1400, "", ErrNoCheckOut},
		{"after the closing", func(v *Arrival) { v.Activity.Status = Closed }, at1400, "", ErrCheckOutClosed},
		{"cancelled", func(v *Arrival) { v.Activity.Status = Cancelled }, at1400, "", ErrActivityCancelled},
		{"a draft", func(v *Arrival) { v.Activity.Status = Draft }, at1400, "", ErrNotPublished},
		{"before the opening", func(*Arrival) {}, meeting().OpensAt.Add(-1), "", ErrNotOpenYet},
		{"long after check-in has closed", func(*Arrival) {}, meeting().ClosesAt.Add(time.Hour), NoFlag, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Arrival{Activity: leaving(), Entry: &RosterEntry{}, Recorded: came}
			v.Activity.Status = Published
			c.change(&v)
			if flag, err := v.AdmitOut(c.now); flag != c.flag || !errors.Is(err, c.refusal) {
				t.Errorf("got %q, %v; want %q, %v", flag, err, c.flag, c.refusal)
			}
		})
	}
	for _, c := range []struct {
		name    string
		moves   []Movement
		reEntry bool
		refusal error
	}{
		{"inside", nil, true, ErrAlreadyCheckedIn},
		{"A23 out, and that was it", moves(out(30)), false, ErrLeftAlready},
		{"out, and welcome", moves(out(30)), true, nil},
		{"back already", moves(out(30), in(40)), true, ErrAlreadyCheckedIn},
		{"A23 an out before coming is no leaving", moves(out(-30)), false, ErrAlreadyCheckedIn},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := leaving()
			a.ReEntry = c.reEntry
			s := Standing{Moves: c.moves}
			s.Take(came)
			if err := s.AdmitBack(&a, ""); !errors.Is(err, c.refusal) {
				t.Errorf("got %v, want %v", err, c.refusal)
			}
		})
	}
}

func TestTheDaysOfAnActivity(t *testing.T) {
	zone := time.FixedZone("", 8*3600)
	at := func(day, hour int) time.Time { return time.Date(2026, 7, day, hour, 0, 0, 0, zone) }
	a := Activity{Daily: true, StartsAt: at(1, 9), EndsAt: at(4, 0)}
	for when, want := range map[time.Time]Day{
		at(1, 0).Add(-time.Hour): "2026-07-01", at(1, 9): "2026-07-01", at(2, 0).Add(-1): "2026-07-01", at(2, 0): "2026-07-02", at(3, 23): "2026-07-03", at(9, 0): "2026-07-03",
	} {
		if got := a.CheckInDay(when, zone); got != want {
			t.Errorf("%v is for %q, want %q", when, got, want)
		}
	}
	if days := a.CheckInDays(at(9, 0), zone); len(days) != 3 || days[2] != "2026-07-03" {
		t.Errorf("%v", days)
	}
	if days := a.CheckInDays(at(2, 1), zone); len(days) != 2 {
		t.Errorf("%v", days)
	}
	if a.Daily = false; a.CheckInDay(at(2, 0), zone) != "" || len(a.CheckInDays(at(2, 0), zone)) != 1 {
		t.Error("an activity without daily check-in has days")
	}
}

func TestWhoHadLeftByAMoment(t *testing.T) {
	for _, c := range []struct {
		name  string
		moves []Movement
		at    int
		gone  bool
	}{
		{"nobody checked out", nil, 90, false},
		{"out before", moves(out(60)), 90, true},
		{"out at that very moment", moves(out(90)), 90, false},
		{"out after", moves(out(100)), 90, false},
		{"out and in again", moves(out(30), in(60)), 90, false},
		{"out and in again too late", moves(out(30), in(95)), 90, true},
		{"corrected to later", moves(out(30), corrected(out(110))), 90, false},
		{"corrected to earlier", moves(out(110), corrected(out(30))), 90, true},
		{"out before coming in", moves(out(-10)), 90, false},
	} {
		s := Standing{Moves: c.moves}
		s.Take(&Attendance{Status: Present, At: at1400})
		if got := s.GoneBefore(at1400.Add(time.Duration(c.at) * time.Minute)); got != c.gone {
			t.Errorf("%s: gone %v", c.name, got)
		}
	}
	day := func(d Day, h int) *Attendance {
		return &Attendance{Status: Present, Day: d, At: at1400.Add(time.Duration(h) * time.Hour)}
	}
	gone := Movement{ID: 1, Direction: Out, Day: "2026-03-10", At: at1400.Add(2 * time.Hour)}
	s := Standing{Moves: []Movement{gone}}
	s.Take(day("2026-03-10", 0))
	if !s.GoneBefore(at1400.Add(24 * time.Hour)) {
		t.Error("who went home on the first day is there on the second")
	}
	s.Take(day("2026-03-11", 23))
	if s.GoneBefore(at1400.Add(24 * time.Hour)) {
		t.Error("who came again on the second day is gone")
	}
}

func TestOfWhichMomentAVoteIs(t *testing.T) {
	a := leaving()
	closed := a.EndsAt.Add(-time.Hour)
	for _, c := range []struct {
		closed    *time.Time
		now, want time.Time
	}{
		{nil, a.EndsAt.Add(-time.Millisecond), a.EndsAt.Add(-time.Millisecond)},
		{nil, a.EndsAt, a.EndsAt.Add(-10 * time.Minute)},
		{nil, a.EndsAt.AddDate(0, 0, 1), a.EndsAt.Add(-10 * time.Minute)},
		{&closed, a.EndsAt, closed.Add(-10 * time.Minute)},
	} {
		a.ClosedAt = c.closed
		if got := a.VotesAt(c.now); !got.Equal(c.want) {
			t.Errorf("at %v it is %v, want %v", c.now, got, c.want)
		}
	}
}

func TestCreditHoursAreForThoseWhoCameAndStayed(t *testing.T) {
	came := &Attendance{Status: Present, At: at1400}
	expected, exempt := &RosterEntry{MemberID: 1}, &RosterEntry{MemberID: 1, Exempt: Bedridden}
	for _, c := range []struct {
		name     string
		entry    *RosterEntry
		row      *Attendance
		checkOut bool
		moves    []Movement
		want     *CreditEntry
	}{
		{"came", expected, came, false, nil, &CreditEntry{Came: true, Hours: 2}},
		{"did not come", expected, &Attendance{Status: Absent}, false, nil, &CreditEntry{}},
		{"was on leave", expected, &Attendance{Status: SickLeave}, false, nil, &CreditEntry{}},
		{"stayed", expected, came, true, moves(out(90)), &CreditEntry{Came: true, Hours: 2}},
		{"left too soon", expected, came, true, moves(out(89)), &CreditEntry{Came: true}},
		{"did not check out", expected, came, true, nil, &CreditEntry{Came: true}},
		{"a guest", nil, came, false, nil, nil},
		{"exempt and did not come", exempt, &Attendance{Status: Absent}, false, nil, nil},
		{"exempt and came", exempt, came, false, nil, &CreditEntry{Came: true, Hours: 2}},
	} {
		a := leaving()
		a.CheckOut, a.CreditHours = c.checkOut, 2
		s := Standing{Entry: c.entry, Moves: c.moves}
		s.Take(c.row)
		got := s.Credit(&a, shanghai)
		if c.want != nil {
			c.want.MemberID, c.want.ActivityID, c.want.OnDay = 1, a.ID, "2026-03-10"
		}
		if (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
