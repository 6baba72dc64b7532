package model

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// person is a Standing in few words.
type person struct {
	votes  bool
	exempt Exemption
	guest  bool
	status AttendanceStatus // recorded; "" for none
	leave  AttendanceStatus // noted; "" for none
	late   bool
}

func standings(people ...person) []Standing {
	all := make([]Standing, len(people))
	for i, p := range people {
		if !p.guest {
			all[i].Entry = &RosterEntry{MemberID: uint64(i + 1), Votes: p.votes, Exempt: p.exempt}
		}
		if p.status != "" {
			all[i].Recorded = &Attendance{MemberID: uint64(i + 1), Status: p.status, At: at1400, Guest: p.guest}
			if p.late {
				all[i].Recorded.At = at1400.Add(20 * time.Minute)
			}
		}
		if p.leave != "" {
			all[i].Leave = &Leave{Status: p.leave}
		}
	}
	return all
}

func TestAMeetingInNumbers(t *testing.T) {
	full := person{votes: true}
	here := person{votes: true, status: Present}
	for _, c := range []struct {
		name   string
		people []person
		want   Tally
	}{
		{"nobody", nil, Tally{}},
		{"one awaited", []person{full}, Tally{Expected: 1, Awaited: 1, VotersExpected: 1, QuorumMissing: 1}},
		{"one here", []person{here}, Tally{Expected: 1, Present: 1, VotersExpected: 1, VotersPresent: 1}},
		{"one late", []person{{votes: true, status: Present, late: true}},
			Tally{Expected: 1, Present: 1, Late: 1, VotersExpected: 1, VotersPresent: 1}},
		{"a probationary member attends without a vote", []person{here, {status: Present}, full},
			Tally{Expected: 3, Present: 2, Awaited: 1, VotersExpected: 2, VotersPresent: 1, QuorumMissing: 1}},
		{"only probationary members need no quorum", []person{{}, {status: Present}},
			Tally{Expected: 2, Present: 1, Awaited: 1}},
		{"an exempt member is not expected", []person{here, full, {votes: true, exempt: Bedridden}},
			Tally{Expected: 2, Present: 1, Awaited: 1, Exempt: 1, VotersExpected: 2, VotersPresent: 1, QuorumMissing: 1}},
		{"an exempt member who comes counts like any other", []person{here, full, {votes: true, exempt: Bedridden, status: Present}},
			Tally{Expected: 3, Present: 2, Awaited: 1, VotersExpected: 3, VotersPresent: 2}},
		{"an exempt member is neither absent nor on leave", []person{here, {votes: true, exempt: LongAbroad, status: Absent}, {votes: true, exempt: InCustody, leave: SickLeave}},
			Tally{Expected: 1, Present: 1, Exempt: 2, VotersExpected: 1, VotersPresent: 1}},
		{"leave of each kind", []person{{votes: true, leave: SickLeave}, {votes: true, leave: PersonalLeave}, {leave: DutyLeave}},
			Tally{Expected: 3, OnLeave: 3, VotersExpected: 2, QuorumMissing: 2}},
		{"D7 on leave, then here", []person{{votes: true, leave: SickLeave, status: Present}},
			Tally{Expected: 1, Present: 1, VotersExpected: 1, VotersPresent: 1}},
		{"leave and absence as the closing wrote them", []person{{votes: true, leave: DutyLeave, status: DutyLeave}, {votes: true, status: Absent}},
			Tally{Expected: 2, OnLeave: 1, Absent: 1, VotersExpected: 2, QuorumMissing: 2}},
		{"a guest stands apart", []person{here, {guest: true, status: Present}, {guest: true, status: Present, late: true}, {guest: true}},
			Tally{Expected: 1, Present: 1, Guests: 2, VotersExpected: 1, VotersPresent: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := meeting()
			if got := Count(&a, standings(c.people...), a.StartsAt); got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestTheRowThatHoldsIsTheFirstPresenceOrTheLastAbsence(t *testing.T) {
	row := func(day int, status AttendanceStatus) *Attendance {
		at := at1400.AddDate(0, 0, day)
		return &Attendance{Day: DayOf(at, time.UTC), Status: status, At: at}
	}
	for _, c := range []struct {
		name string
		rows []*Attendance
		want int
	}{
		{"alone", []*Attendance{row(1, Absent)}, 0},
		{"the first presence", []*Attendance{row(1, Present), row(2, Present)}, 0},
		{"the first presence, whichever is read first", []*Attendance{row(2, Present), row(1, Present)}, 1},
		{"two at one time", []*Attendance{row(1, Present), row(1, Present)}, 0},
		{"a presence after an absence", []*Attendance{row(1, Absent), row(2, Present)}, 1},
		{"a presence before an absence", []*Attendance{row(2, Absent), row(1, Present)}, 1},
		{"an absence after a presence", []*Attendance{row(1, Present), row(2, Absent)}, 0},
		{"an absence before a presence", []*Attendance{row(2, Present), row(1, Absent)}, 0},
		{"the last of those not there", []*Attendance{row(1, SickLeave), row(2, Absent)}, 1},
		{"the last of those not there, whichever is read first", []*Attendance{row(2, Absent), row(1, SickLeave)}, 0},
		{"two of one day not there", []*Attendance{row(1, Absent), row(1, SickLeave)}, 0},
	} {
		var s Standing
		for _, r := range c.rows {
			s.Take(r)
		}
		if s.Recorded != c.rows[c.want] {
			t.Errorf("%s: %+v", c.name, s.Recorded)
		}
	}
}

// More than half of the voting members who should attend (支部工作条例 art 11).
func TestMoreThanHalfIsMoreThanHalf(t *testing.T) {
	for expected, needed := range map[int]int{1: 1, 2: 2, 3: 2, 4: 3, 30: 16, 31: 16} {
		for present := range expected + 1 {
			people := slices.Concat(
				slices.Repeat([]person{{votes: true, status: Present}}, present),
				slices.Repeat([]person{{votes: true}}, expected-present),
				slices.Repeat([]person{{status: Present}}, 5), // without a vote they change nothing
			)
			a := meeting()
			got := Count(&a, standings(people...), a.StartsAt)
			if want := max(0, needed-present); got.QuorumMissing != want {
				t.Errorf("%d of %d: %d missing, want %d", present, expected, got.QuorumMissing, want)
			}
			if (got.QuorumMissing == 0) != (2*present > expected) {
				t.Errorf("%d of %d: quorum is not more than half", present, expected)
			}
		}
	}
}

func TestTheBranchOf31InOneSentence(t *testing.T) {
	a := meeting()
	people := slices.Concat(
		slices.Repeat([]person{{votes: true, status: Present}}, 14),
		slices.Repeat([]person{{status: Present}}, 2),
		slices.Repeat([]person{{votes: true, leave: SickLeave}}, 3),
		slices.Repeat([]person{{votes: true}}, 12),
		slices.Repeat([]person{{votes: true, exempt: Bedridden}}, 1),
		slices.Repeat([]person{{guest: true, status: Present}}, 1),
	)
	tally := Count(&a, standings(people...), a.StartsAt)
	if got, want := tally.Sentence(), "应到 31 实到 16 请假 3 可表决 14，还差 1 人过半"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	people[20].status = Present
	tally = Count(&a, standings(people...), a.StartsAt)
	if got, want := tally.Sentence(), "应到 31 实到 17 请假 3 可表决 15，已过半"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWhereNobodyHasAVoteNothingIsSaidOfMoreThanHalf(t *testing.T) {
	a := meeting()
	tally := Count(&a, standings([]person{{status: Present}, {}}...), a.StartsAt)
	if got, want := tally.Sentence(), "应到 2 实到 1 请假 0 可表决 0，应到的人都没有表决权"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestEverybodyIsCountedInExactlyOnePlace(t *testing.T) {
	statuses := []AttendanceStatus{"", Present, SickLeave, PersonalLeave, DutyLeave, Absent}
	rapid.Check(t, func(t *rapid.T) {
		people := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) person {
			return person{
				votes: rapid.Bool().Draw(t, "votes"), guest: rapid.Bool().Draw(t, "guest"), late: rapid.Bool().Draw(t, "late"),
				exempt: rapid.SampledFrom([]Exemption{NotExempt, NotExempt, Bedridden}).Draw(t, "exempt"),
				status: rapid.SampledFrom(statuses).Draw(t, "status"),
				leave:  rapid.SampledFrom([]AttendanceStatus{"", SickLeave, DutyLeave}).Draw(t, "leave"),
			}
		}), 0, 40).Draw(t, "people")
		a := meeting()
		all := standings(people...)
		got := Count(&a, all, a.StartsAt)
		onRoster := 0
		for _, s := range all {
			if s.Entry != nil {
				onRoster++
			}
		}
		if got.Expected+got.Exempt != onRoster || got.Present+got.OnLeave+got.Absent+got.Awaited != got.Expected {
			t.Errorf("%d on the roster: %+v", onRoster, got)
		}
		if got.VotersExpected > got.Expected || got.VotersPresent > min(got.Present, got.VotersExpected) || got.Late > got.Present {
			t.Errorf("a part is more than the whole: %+v", got)
		}
		if (got.QuorumMissing == 0) != (got.VotersExpected == 0 || 2*got.VotersPresent > got.VotersExpected) {
			t.Errorf("quorum: %+v", got)
		}
	})
}
