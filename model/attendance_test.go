package model

import (
	"errors"
	"math"
	"testing"
	"time"
)

func TestWhoIsAdmitted(t *testing.T) {
	opens, closes := meeting().OpensAt, meeting().ClosesAt
	entry := &RosterEntry{ActivityID: 7, MemberID: 1}
	asked := Once{Nonce: "nonce-1", Fingerprint: "f"}
	came := func(status AttendanceStatus, once Once) *Attendance {
		return &Attendance{Status: status, At: at1400, Once: once}
	}
	type facts struct {
		status   ActivityStatus
		guests   bool
		entry    *RosterEntry
		recorded *Attendance
		now      time.Time
	}
	for _, c := range []struct {
		name    string
		facts   facts
		replay  bool
		refusal error
	}{
		{"in time", facts{Published, false, entry, nil, at1400}, false, nil},
		{"C1 a moment before the opening", facts{Published, false, entry, nil, opens.Add(-time.Millisecond)}, false, ErrNotOpenYet},
		{"C1 at the opening", facts{Published, false, entry, nil, opens}, false, nil},
		{"C3 the last moment", facts{Published, false, entry, nil, closes.Add(-time.Millisecond)}, false, nil},
		{"C3 at the close", facts{Published, false, entry, nil, closes}, false, ErrCheckInClosed},
		{"C10 the meeting is closed, the window is not", facts{Closed, false, entry, nil, at1400}, false, ErrCheckInClosed},
		{"E2 cancelled", facts{Cancelled, false, entry, nil, at1400}, false, ErrActivityCancelled},
		{"a draft", facts{Draft, false, entry, nil, at1400}, false, ErrNotPublished},
		{"D1 not on the roster", facts{Published, false, nil, nil, at1400}, false, ErrNotOnRoster},
		{"D4 not on the roster of an open meeting", facts{Published, true, nil, nil, at1400}, false, nil},
		{"D4 too early as a guest", facts{Published, true, nil, nil, opens.Add(-1)}, false, ErrNotOpenYet},
		{"A2 a retry", facts{Published, false, entry, came(Present, asked), at1400}, true, nil},
		{"A2 a retry after the close", facts{Closed, false, entry, came(Present, asked), closes.Add(time.Hour)}, true, nil},
		{"A2 a retry after the cancellation", facts{Cancelled, false, entry, came(Present, asked), at1400}, true, nil},
		{"A3 another scan", facts{Published, false, entry, came(Present, Once{"nonce-2", "f"}), at1400}, false, ErrAlreadyCheckedIn},
		{"A3 another scan after the close", facts{Closed, false, entry, came(Present, Once{"nonce-2", "f"}), closes}, false, ErrAlreadyCheckedIn},
		{"A3 another scan before the opening", facts{Published, false, entry, came(Present, Once{"nonce-2", "f"}), opens.Add(-1)}, false, ErrAlreadyCheckedIn},
		{"A10 the nonce with other content", facts{Published, false, entry, came(Present, Once{"nonce-1", "g"}), at1400}, false, ErrKeyReused},
		{"ticked by the secretary", facts{Published, false, entry, came(Present, Once{}), at1400}, false, ErrAlreadyCheckedIn},
		{"C10 marked absent by the closing", facts{Closed, false, entry, came(Absent, Once{}), at1400}, false, ErrCheckInClosed},
		{"a scan of someone recorded on leave at the closing", facts{Closed, false, entry, came(SickLeave, Once{}), at1400}, false, ErrCheckInClosed},
		{"a scan of someone whom the secretary corrected to absent", facts{Published, false, entry, came(Absent, Once{}), at1400}, false, ErrMarkedAbsent},
		{"cancelled and a stranger: the reason that concerns all comes first", facts{Cancelled, false, nil, nil, closes}, false, ErrActivityCancelled},
		{"a stranger does not learn the times", facts{Published, false, nil, nil, closes}, false, ErrNotOnRoster},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Arrival{Activity: meeting(), Entry: c.facts.entry, Recorded: c.facts.recorded}
			v.Activity.Status, v.Activity.OpenToGuests = c.facts.status, c.facts.guests
			replay, err := v.Admit(asked, c.facts.now)
			if replay != c.replay || !errors.Is(err, c.refusal) {
				t.Errorf("got %v, %v; want %v, %v", replay, err, c.replay, c.refusal)
			}
		})
	}
}

func TestARefusalAtTheDoorSaysWhen(t *testing.T) {
	v := Arrival{Activity: meeting(), Entry: &RosterEntry{}}
	for _, c := range []struct {
		now    time.Time
		detail string
		want   time.Time
	}{
		{v.Activity.OpensAt.Add(-time.Hour), "opens_at", v.Activity.OpensAt},
		{v.Activity.ClosesAt.Add(time.Hour), "closed_at", v.Activity.ClosesAt},
	} {
		_, err := v.Admit(Once{}, c.now)
		var refused *Error
		if !errors.As(err, &refused) || refused.Details[c.detail] != c.want {
			t.Errorf("got %+v, want %s %v", err, c.detail, c.want)
		}
	}
	first := at1400.Add(-time.Minute)
	v.Recorded = &Attendance{Status: Present, At: first, Once: Once{"nonce-1", "f"}}
	_, err := v.Admit(Once{"nonce-2", "f"}, at1400)
	var refused *Error
	if !errors.As(err, &refused) || refused.Details["checked_in_at"] != first {
		t.Errorf("got %+v, want the first time", err)
	}
}

func TestLateBeginsAtTheLine(t *testing.T) {
	a := meeting()
	for _, c := range []struct {
		status AttendanceStatus
		at     time.Time
		want   bool
	}{
		{Present, a.LateAt.Add(-time.Millisecond), false},
		{Present, a.LateAt, true},
		{Present, a.OpensAt, false},
		{Absent, a.ClosesAt, false},
		{DutyLeave, a.ClosesAt, false},
	} {
		if got := (&Attendance{Status: c.status, At: c.at}).Late(&a); got != c.want {
			t.Errorf("%s at %v: %v, want %v", c.status, c.at, got, c.want)
		}
	}
	for provenance := range ProvenanceNames {
		unmeasured := provenance == ByLateRecord || provenance == ByOfflineTick
		if got := (&Attendance{Status: Present, Provenance: provenance, At: a.LateAt}).Late(&a); got == unmeasured {
			t.Errorf("%s after the line is late: %v", provenance, got)
		}
	}
}

func TestAPhoneIsWithinOrOutsideAndNoMoreIsKept(t *testing.T) {
	const metre = 180 / (math.Pi * 6371000) // of latitude, in degrees
	mengyin := Place{Latitude: 35.71, Longitude: 117.93, Radius: 100}
	north := func(p Place, metres float64) *Point { return &Point{p.Latitude + metres*metre, p.Longitude} }
	east := func(p Place, metres float64) *Point {
		return &Point{p.Latitude, p.Longitude + metres*metre/math.Cos(p.Latitude*math.Pi/180)}
	}
	dateLine := Place{Latitude: 10, Longitude: 179.9999, Radius: 100}
	pole := Place{Latitude: 90, Longitude: 0, Radius: 100}
	nowhere := Place{Latitude: 35.71, Longitude: 117.93}
	for _, c := range []struct {
		name  string
		place Place
		at    *Point
		want  Location
	}{
		{"not asked", mengyin, nil, LocationNotGiven},
		{"a place without a radius asks nothing", nowhere, north(nowhere, 0), LocationNotGiven},
		{"on the spot", mengyin, north(mengyin, 0), LocationWithin},
		{"just within, north", mengyin, north(mengyin, 99.9), LocationWithin},
		{"just outside, north", mengyin, north(mengyin, 100.1), LocationOutside},
		{"just within, south", mengyin, north(mengyin, -99.9), LocationWithin},
		{"just within, east", mengyin, east(mengyin, 99.9), LocationWithin},
		{"just outside, east", mengyin, east(mengyin, 100.1), LocationOutside},
		{"just outside, west", mengyin, east(mengyin, -100.1), LocationOutside},
		{"across the date line", dateLine, &Point{10, -179.9999}, LocationWithin},
		{"at the pole every longitude is near", pole, &Point{90, 137}, LocationWithin},
		{"on the other side of the earth", mengyin, &Point{-35.71, 117.93 - 180}, LocationOutside},
		{"no number", mengyin, &Point{math.NaN(), 117.93}, LocationOutside},
		{"coordinates swapped", mengyin, &Point{90, 35.71}, LocationOutside},
	} {
		if got := c.place.Locate(c.at); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestWhichRowsAnArrivalIsAbout(t *testing.T) {
	asked := Once{"nonce-1", "f"}
	row := func(voided uint64, day Day, once Once) *Attendance {
		return &Attendance{Status: Present, Voided: voided, Day: day, Once: once}
	}
	for _, c := range []struct {
		name               string
		rows               []*Attendance
		nonce              string
		recorded, annulled int // which of the rows; -1: none
	}{
		{"none", nil, "nonce-1", -1, -1},
		{"of the day", []*Attendance{row(0, "2026-03-10", Once{})}, "nonce-1", 0, -1},
		{"of another day", []*Attendance{row(0, "2026-03-11", Once{})}, "nonce-1", -1, -1},
		{"of another day, by the same nonce", []*Attendance{row(0, "2026-03-11", asked)}, "nonce-1", 0, -1},
		{"of the day, and then by the same nonce", []*Attendance{row(0, "2026-03-10", Once{}), row(0, "2026-03-11", asked)}, "nonce-1", 1, -1},
		{"by the same nonce, and then of the day", []*Attendance{row(0, "2026-03-11", asked), row(0, "2026-03-10", Once{})}, "nonce-1", 0, -1},
		{"annulled", []*Attendance{row(9, "2026-03-10", asked)}, "nonce-1", -1, 0},
		{"annulled, by another nonce", []*Attendance{row(9, "2026-03-10", asked)}, "nonce-2", -1, -1},
		{"no nonce is not the same nonce", []*Attendance{row(9, "2026-03-10", Once{})}, "", -1, -1},
	} {
		var v Arrival
		for _, r := range c.rows {
			v.Take(r, c.nonce, "2026-03-10")
		}
		at := func(i int) *Attendance {
			if i < 0 {
				return nil
			}
			return c.rows[i]
		}
		if v.Recorded != at(c.recorded) || v.Annulled != at(c.annulled) {
			t.Errorf("%s: %+v, %+v", c.name, v.Recorded, v.Annulled)
		}
	}
}

func TestARetryOfWhatWasAnnulledDoesNotBringItBack(t *testing.T) {
	v := Arrival{Activity: meeting(), Entry: &RosterEntry{}, Annulled: &Attendance{Voided: 9, Status: Present, Once: Once{"nonce-1", "f"}}}
	for fingerprint, want := range map[string]error{"f": ErrAnnulled, "g": ErrKeyReused} {
		if replay, err := v.Admit(Once{"nonce-1", fingerprint}, at1400); replay || !errors.Is(err, want) {
			t.Errorf("%v, %v; want %v", replay, err, want)
		}
	}
}

func TestWhatIsLeaveAndWhatCanBeTakenBack(t *testing.T) {
	for status := range AttendanceStatusNames {
		if want := status != Present && status != Absent; status.Excuses() != want {
			t.Errorf("%s excuses: %v", status, !want)
		}
		if err := (&Attendance{Status: status}).Annullable(); (err == nil) != (status == Present) {
			t.Errorf("%s: %v", status, err)
		}
	}
}
