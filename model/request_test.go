package model

import (
	"errors"
	"testing"
	"time"
)

func TestALateRecordIsAskedForAfterCheckInAndBeforeItsDeadline(t *testing.T) {
	a := meeting()
	closed := a.EndsAt.Add(-30 * time.Minute)
	for _, c := range []struct {
		name   string
		change func(*Activity)
		now    time.Time
		want   error
	}{
		{"one can still check in", func(*Activity) {}, a.ClosesAt.Add(-1), ErrLateRecordEarly},
		{"check-in is over", func(*Activity) {}, a.ClosesAt, nil},
		{"the last moment", func(*Activity) {}, a.EndsAt.AddDate(0, 0, 3).Add(-1), nil},
		{"three days after the end", func(*Activity) {}, a.EndsAt.AddDate(0, 0, 3), ErrLateRecordTooLate},
		{"where check-in ends later, three days after that", func(a *Activity) { a.ClosesAt = a.EndsAt.Add(time.Hour) }, a.EndsAt.AddDate(0, 0, 3), nil},
		{"closed while one could still check in", func(a *Activity) { a.Status, a.ClosedAt = Closed, &closed }, a.ClosesAt.Add(-1), nil},
		{"three days after the closing", func(a *Activity) { a.Status, a.ClosedAt = Closed, &closed }, closed.AddDate(0, 0, 3), ErrLateRecordTooLate},
		{"called off", func(a *Activity) { a.Status = Cancelled }, a.EndsAt, ErrActivityCancelled},
		{"a draft", func(a *Activity) { a.Status = Draft }, a.EndsAt, ErrWrongStatus},
	} {
		a := meeting()
		c.change(&a)
		if err := a.LateRecordAt(3, c.now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestNobodyDecidesWhatTheyAskedForOrWhatIsAboutThem(t *testing.T) {
	r := LateRecord{Request: Request{MemberID: 1}, AskedBy: 2}
	for id, want := range map[uint64]bool{1: true, 2: true, 3: false} {
		if r.Own(id) != want {
			t.Errorf("%d: %v", id, !want)
		}
	}
	leave := LeaveRequest{Request: Request{MemberID: 1}}
	if !leave.Own(1) || leave.Own(2) {
		t.Error("leave is its member's own, and nobody else's")
	}
}

func TestLeaveIsOverForWhoCame(t *testing.T) {
	for state, want := range map[RequestState]RequestState{Asked: RequestCame, Approved: RequestCame, RequestRefused: RequestRefused, RequestWithdrawn: RequestWithdrawn} {
		if got := state.Came(true); got != want {
			t.Errorf("%s is %s", state, got)
		}
		if got := state.Came(false); got != state {
			t.Errorf("%s of who did not come is %s", state, got)
		}
	}
}

func TestAReportAndAnEventAreOfOneTapWithinFiveMinutes(t *testing.T) {
	for apart, want := range map[time.Duration]bool{0: true, 5 * time.Minute: true, -5 * time.Minute: true, 5*time.Minute + 1: false, -5*time.Minute - 1: false} {
		if got := SameTap(at1400.Add(apart), at1400); got != want {
			t.Errorf("%v apart: %v", apart, got)
		}
	}
}
