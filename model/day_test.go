package model

import (
	"testing"
	"time"
)

func TestADayIsCountedInTheOrganisationsOwnZone(t *testing.T) {
	zone := time.FixedZone("Asia/Shanghai", 8*60*60)
	for _, c := range []struct {
		at   string
		want Day
	}{
		{"2026-03-10T15:59:59Z", "2026-03-10"},
		{"2026-03-10T16:00:00Z", "2026-03-11"},
		{"2026-03-10T23:59:59.999+08:00", "2026-03-10"},
		{"2025-12-31T16:00:00Z", "2026-01-01"},
		{"2024-02-28T16:00:00Z", "2024-02-29"},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := DayOf(at, zone); got != c.want {
			t.Errorf("%s is on %s, want %s", c.at, got, c.want)
		}
		if got := DayOf(at.In(time.FixedZone("elsewhere", -11*60*60)), zone); got != c.want {
			t.Errorf("%s, told in another zone, is on %s, want %s", c.at, got, c.want)
		}
	}
}

func TestASpanHoldsItsFirstDayAndNotItsLast(t *testing.T) {
	march := Span{From: "2026-03-01", Until: "2026-04-01"}
	for day, want := range map[Day]bool{
		"2026-02-28": false, "2026-03-01": true, "2026-03-31": true, "2026-04-01": false, "": false, Forever: false,
	} {
		if got := march.Covers(day); got != want {
			t.Errorf("%s: %v, want %v", day, got, want)
		}
	}
	if open := (Span{From: "2026-03-01", Until: Forever}); !open.Covers("9999-12-30") || open.Covers("2026-02-28") {
		t.Error("an open span does not reach to the end of time")
	}
	if (Span{From: "2026-03-01", Until: "2026-03-01"}).Covers("2026-03-01") {
		t.Error("an empty span holds a day")
	}
}

func TestSpansMeetWhereTheyHaveADayInCommon(t *testing.T) {
	march := Span{From: "2026-03-01", Until: "2026-04-01"}
	for _, c := range []struct {
		other         Span
		meets, within bool // within: the other lies in march
	}{
		{march, true, true},
		{Span{"2026-02-01", "2026-03-01"}, false, false},
		{Span{"2026-02-01", "2026-03-02"}, true, false},
		{Span{"2026-03-31", "2026-05-01"}, true, false},
		{Span{"2026-04-01", Forever}, false, false},
		{Span{"2026-03-05", "2026-03-06"}, true, true},
		{Span{"2026-01-01", Forever}, true, false},
	} {
		if march.Meets(c.other) != c.meets || c.other.Meets(march) != c.meets || c.other.Within(march) != c.within {
			t.Errorf("%v: meets %v, within %v", c.other, march.Meets(c.other), c.other.Within(march))
		}
	}
}

func TestADayHasOneForm(t *testing.T) {
	for day, want := range map[Day]bool{
		"2026-03-10": true, "2024-02-29": true, Forever: true, "1900-01-01": true,
		"2026-02-29": false, "2026-3-10": false, "2026-03-10 ": false, "20260310": false, "2026/03/10": false, "1899-12-31": false, "": false, "２０２６-03-10": false,
	} {
		if got := day.Valid(); got != want {
			t.Errorf("%q: %v, want %v", day, got, want)
		}
	}
}

func FuzzDay(f *testing.F) {
	for _, seed := range []string{"2026-03-10", "2024-02-29", "2026-02-29", "9999-12-31", "1899-12-31", "0000-01-01", "2026-3-10", " 2026-03-10", "2026-03-10T00:00:00Z", "２０２６-03-10", "-2026-03-10",
		"20260310", "2026-13-01", "2026-00-00", "", "\x00", "10000-01-01"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !Day(text).Valid() {
			return
		}
		at, err := time.Parse(time.DateOnly, text)
		if err != nil || at.Format(time.DateOnly) != text || DayOf(at, time.UTC) != Day(text) {
			t.Errorf("%q is a day and yet %v (%v)", text, at, err)
		}
		// Days compare as text.
		next := DayOf(at.AddDate(0, 0, 1), time.UTC)
		if text != string(Forever) && (next <= Day(text) || !(Span{From: Day(text), Until: next}).Covers(Day(text))) {
			t.Errorf("%q is followed by %q", text, next)
		}
	})
}

func FuzzQuarter(f *testing.F) {
	for _, seed := range []string{"2026Q1", "2026Q4", "2026Q5", "2026Q0", "2026q1", "+202Q1", "1999Q4", "2101Q1", "2026Q11", "Q1", "", "２０２６Q1", "2026Q1Q1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		span, ok := Quarter(text).Span()
		if !ok {
			return
		}
		if !span.From.Valid() || !span.Until.Valid() || span.From >= span.Until || string(span.From[:4]) != text[:4] {
			t.Errorf("%q is %+v", text, span)
		}
	})
}
