package model

import (
	"strings"
	"testing"
	"time"
)

func TestB11_WhatStandsOutAndWhatDoesNot(t *testing.T) {
	step := 15 * time.Second
	a := meeting()
	age := func(ms int) *int { return &ms }
	scan := func(n int, change func(f *SignalFacts)) SignalFacts {
		f := SignalFacts{SignalMember: SignalMember{MemberID: uint64(n), Name: string(rune('甲' + n)), At: at1400}, Provenance: ByScan,
			Location: LocationNotGiven, Device: "", CodeAgeMS: age(3000)}
		if change != nil {
			change(&f)
		}
		return f
	}
	many := func(n int, change func(i int, f *SignalFacts)) []SignalFacts {
		var all []SignalFacts
		for i := range n {
			all = append(all, scan(i, func(f *SignalFacts) { change(i, f) }))
		}
		return all
	}
	last := a.ClosesAt.Add(-time.Minute)
	for _, c := range []struct {
		name  string
		facts []SignalFacts
		want  map[SignalKind]int
	}{
		{"nobody", nil, nil},
		{"a quiet evening", many(9, func(int, *SignalFacts) {}), nil},
		{"one phone for three", many(6, func(i int, f *SignalFacts) { f.Device = []string{"a", "b", "a", "c", "a", "d"}[i] }), map[SignalKind]int{SameDevice: 3}},
		{"one phone for one person on two days", []SignalFacts{scan(1, func(f *SignalFacts) { f.Device = "a" }), scan(1, func(f *SignalFacts) { f.Device = "a" })}, nil},
		{"phones that say nothing are not one phone", many(4, func(_ int, f *SignalFacts) { f.Device = "" }), nil},
		{"five of fifteen at the last moment", many(15, func(i int, f *SignalFacts) {
			if i < 5 {
				f.At = last
			}
		}), map[SignalKind]int{ClosingBurst: 5}},
		{"five of sixteen are fewer than a third", many(16, func(i int, f *SignalFacts) {
			if i < 5 {
				f.At = last
			}
		}), nil},
		{"four are no burst", many(4, func(_ int, f *SignalFacts) { f.At = last }), nil},
		{"ticks are no burst", many(9, func(_ int, f *SignalFacts) { f.At, f.Provenance = last, ByTick }), nil},
		{"two minutes to the closing are the burst's, a moment more is not", many(6, func(i int, f *SignalFacts) {
			f.At = a.ClosesAt.Add(-2 * time.Minute)
			if i == 0 {
				f.At = f.At.Add(-time.Millisecond)
			}
		}), map[SignalKind]int{ClosingBurst: 5}},
		{"a code that was on the screen", []SignalFacts{scan(1, func(f *SignalFacts) { f.CodeAgeMS = age(14999) })}, nil},
		{"a code that was not any more", []SignalFacts{scan(1, func(f *SignalFacts) { f.CodeAgeMS = age(15000) })}, map[SignalKind]int{OldCode: 1}},
		{"no code at all", []SignalFacts{scan(1, func(f *SignalFacts) { f.CodeAgeMS = nil })}, nil},
		{"one person's old codes on two days are one person", []SignalFacts{scan(1, func(f *SignalFacts) { f.CodeAgeMS = age(15000) }), scan(1, func(f *SignalFacts) { f.CodeAgeMS = age(15000) })},
			map[SignalKind]int{OldCode: 1}},
		{"five of nine at the last moment of three days", append(many(9, func(int, *SignalFacts) {}), append(many(9, func(int, *SignalFacts) {}), many(5, func(_ int, f *SignalFacts) { f.At = last })...)...),
			map[SignalKind]int{ClosingBurst: 5}},
		{"one person's two late scans are one of four", append(many(4, func(_ int, f *SignalFacts) { f.At = last }), scan(0, func(f *SignalFacts) { f.At = last })), nil},
		{"nor do they make a third of sixteen", append(many(16, func(i int, f *SignalFacts) {
			if i < 5 {
				f.At = last
			}
		}), scan(0, func(f *SignalFacts) { f.At = last })), nil},
		{"outside", []SignalFacts{scan(1, func(f *SignalFacts) { f.Location = LocationOutside }), scan(2, func(f *SignalFacts) { f.Location = LocationWithin })}, map[SignalKind]int{OutsideRadius: 1}},
		{"a phone whose clock cannot be right", []SignalFacts{scan(1, func(f *SignalFacts) { f.Doubts = "future" }), scan(2, nil)}, map[SignalKind]int{OddClock: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := map[SignalKind]int{}
			for _, s := range Signals(&a, step, c.facts) {
				got[s.Kind] += len(s.Members)
				if !strings.HasSuffix(s.Message, "供参考") {
					t.Errorf("a verdict: %s", s.Message)
				}
			}
			if len(got) != len(c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			for kind, n := range c.want {
				if got[kind] != n {
					t.Errorf("%s: %d, want %d", kind, got[kind], n)
				}
			}
		})
	}
}

func TestASignalNamesFiveAndSaysThatThereAreMore(t *testing.T) {
	a := meeting()
	var facts []SignalFacts
	for i, name := range []string{"甲", "乙", "丙", "丁", "戊", "己"} {
		facts = append(facts, SignalFacts{SignalMember: SignalMember{MemberID: uint64(i + 1), Name: name}, Location: LocationOutside})
	}
	for n, want := range map[int]string{5: "（甲、乙、丙、丁、戊）", 6: "（甲、乙、丙、丁、戊等）"} {
		if got := Signals(&a, time.Minute, facts[:n])[0].Message; !strings.Contains(got, want) {
			t.Errorf("of %d: %s", n, got)
		}
	}
}
