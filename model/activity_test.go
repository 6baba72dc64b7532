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
