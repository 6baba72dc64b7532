package model

import (
	"errors"
	"testing"
	"time"
)

var at1400 = time.Date(2026, 3, 10, 6, 0, 0, 0, time.UTC)

// meeting is a published activity at 14:00 for two hours; check-in is open
// from 13:30 to 14:45 and late from 14:10 on.
func meeting() Activity {
	return Activity{
		ID: 7, Status: Published, StartsAt: at1400, EndsAt: at1400.Add(2 * time.Hour),
		OpensAt: at1400.Add(-30 * time.Minute), LateAt: at1400.Add(10 * time.Minute), ClosesAt: at1400.Add(45 * time.Minute),
	}
}

func TestAWindowMustMakeSense(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Activity)
		want   error
	}{
		{"as usual", func(*Activity) {}, nil},
		{"opens at the start", func(a *Activity) { a.OpensAt = a.StartsAt }, nil},
		{"opens after the start", func(a *Activity) { a.OpensAt = a.StartsAt.Add(1) }, ErrWindow},
		{"ends at the start", func(a *Activity) { a.EndsAt = a.StartsAt }, ErrWindow},
		{"ends before the start", func(a *Activity) { a.EndsAt = a.StartsAt.Add(-1) }, ErrWindow},
		{"late from the start on", func(a *Activity) { a.LateAt = a.StartsAt }, nil},
		{"late before the start", func(a *Activity) { a.LateAt = a.StartsAt.Add(-1) }, ErrWindow},
		{"closes at the start", func(a *Activity) { a.ClosesAt = a.StartsAt }, ErrWindow},
		{"closes just after the start", func(a *Activity) { a.ClosesAt = a.StartsAt.Add(1) }, nil},
		{"closes after the end", func(a *Activity) { a.ClosesAt = a.EndsAt.Add(time.Hour) }, nil},
		{"no times at all", func(a *Activity) { *a = Activity{} }, ErrWindow},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := meeting()
			c.change(&a)
			if err := a.CheckWindow(); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestAMeetingIsClosedOnceItHasStarted(t *testing.T) {
	for _, c := range []struct {
		name   string
		status ActivityStatus
		now    time.Time
		want   error
	}{
		{"just before the start", Published, at1400.Add(-time.Millisecond), ErrNotStarted},
		{"at the start", Published, at1400, nil},
		{"a day later", Published, at1400.AddDate(0, 0, 1), nil},
		{"a draft", Draft, at1400, ErrWrongStatus},
		{"already closed", Closed, at1400, ErrWrongStatus},
		{"cancelled", Cancelled, at1400, ErrActivityCancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := meeting()
			a.Status = c.status
			if err := a.CloseableAt(c.now); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestAnActIsAllowedByStatus(t *testing.T) {
	a := Activity{Status: Draft}
	if err := a.Allow(Draft, Published); err != nil {
		t.Error(err)
	}
	var refused *Error
	if err := a.Allow(Published); !errors.As(err, &refused) || refused.Code != ErrWrongStatus.Code || refused.Details["status"] != Draft {
		t.Errorf("got %+v", err)
	}
	a.Status = Cancelled
	if err := a.Allow(Published, Draft); !errors.Is(err, ErrActivityCancelled) {
		t.Errorf("got %v", err)
	}
	if err := a.Allow(Cancelled); err != nil {
		t.Error(err)
	}
}

func TestWhatIsCalledOffMayTakePlaceAfterAllUntilItsEnd(t *testing.T) {
	for _, c := range []struct {
		status ActivityStatus
		before time.Duration // the end
		want   error
	}{
		{Cancelled, time.Millisecond, nil},
		{Cancelled, 0, ErrActivityOver},
		{Published, time.Hour, ErrWrongStatus},
		{Closed, 0, ErrWrongStatus},
	} {
		a := meeting()
		a.Status = c.status
		if err := a.RestorableAt(a.EndsAt.Add(-c.before)); !errors.Is(err, c.want) {
			t.Errorf("%s, %v before the end: %v, want %v", c.status, c.before, err, c.want)
		}
	}
}

func TestAChangeKeepsOrBreaksWhatPeopleCameFor(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Activity)
		keeps  bool
	}{
		"nothing":       {func(*Activity) {}, true},
		"the title":     {func(a *Activity) { a.Title = "another" }, true},
		"the end":       {func(a *Activity) { a.EndsAt = a.EndsAt.Add(time.Hour) }, true},
		"the same time": {func(a *Activity) { a.StartsAt, a.LateAt = a.StartsAt.In(shanghai), a.LateAt.In(shanghai) }, true},
		"the start":     {func(a *Activity) { a.StartsAt = a.StartsAt.Add(1) }, false},
		"the audience":  {func(a *Activity) { a.Audience = "another" }, false},
		"the late line": {func(a *Activity) { a.LateAt = a.LateAt.Add(1) }, false},
		"credit hours":  {func(a *Activity) { a.CreditHours++ }, false},
		"daily":         {func(a *Activity) { a.Daily = true }, false},
		"checking out":  {func(a *Activity) { a.CheckOut = true }, false},
		"the stay":      {func(a *Activity) { a.StayMinutes++ }, false},
		"coming back":   {func(a *Activity) { a.ReEntry = true }, false},
	} {
		a, after := meeting(), meeting()
		if c.change(&after); a.KeepsPromises(&after) != c.keeps {
			t.Errorf("changing %s keeps what people came for: %v", name, !c.keeps)
		}
	}
}

func TestAMeetingGoesOnRecordFromItsStartOnAndAfterItsClosing(t *testing.T) {
	for _, c := range []struct {
		status ActivityStatus
		now    time.Time
		want   error
	}{
		{Published, at1400.Add(-time.Millisecond), ErrMeetingNotBegun},
		{Published, at1400, nil},
		{Closed, at1400.AddDate(0, 1, 0), nil},
		{Draft, at1400, ErrWrongStatus},
		{Cancelled, at1400, ErrActivityCancelled},
	} {
		a := meeting()
		a.Status = c.status
		if err := a.Record(c.now); !errors.Is(err, c.want) {
			t.Errorf("%s at %v: %v, want %v", c.status, c.now, err, c.want)
		}
	}
}

func TestTwoVersionsOfMinutesSayTheSameOrNot(t *testing.T) {
	same := Minutes{Version: 1, HostID: 1, RecorderID: 2, Agenda: "a", Content: "b", Decisions: "c"}
	for name, change := range map[string]func(*Minutes){
		"host": func(m *Minutes) { m.HostID = 3 }, "recorder": func(m *Minutes) { m.RecorderID = 3 }, "agenda": func(m *Minutes) { m.Agenda = "" },
		"content": func(m *Minutes) { m.Content = "" }, "decisions": func(m *Minutes) { m.Decisions = "" },
	} {
		other := same
		if other.Version = 2; !same.Says(&other) {
			t.Error("the number of the version is something said")
		}
		if change(&other); same.Says(&other) {
			t.Errorf("with another %s they say the same", name)
		}
	}
}
