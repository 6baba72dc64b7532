package model

import (
	"fmt"
	"slices"
	"time"
)

// Tally is a meeting in numbers. Expected leaves out exempt members who did
// not come; Present counts those expected who came, guests apart.
type Tally struct {
	Expected       int `json:"expected" doc:"应到"`
	Present        int `json:"present" doc:"实到"`
	Late           int `json:"late" doc:"迟到，含在实到内"`
	LeftEarly      int `json:"left_early" doc:"早退，含在实到内"`
	OnLeave        int `json:"on_leave" doc:"请假"`
	Absent         int `json:"absent" doc:"缺席，结束后才有"`
	Awaited        int `json:"awaited" doc:"未到"`
	Exempt         int `json:"exempt" doc:"经批准不计入应到"`
	Guests         int `json:"guests" doc:"列席"`
	VotersExpected int `json:"voters_expected" doc:"应到的有表决权党员"`
	VotersPresent  int `json:"voters_present" doc:"在场的有表决权党员：到会了，也没有签退离开"`
	QuorumMissing  int `json:"quorum_missing" doc:"还差几人过半"`
}

// Standing is one person's place at a meeting: on the roster or a guest, with
// what is recorded so far.
type Standing struct {
	Entry    *RosterEntry  // nil for a guest
	Recorded *Attendance   // what holds: the first presence where there are several days; nil: nothing yet
	Leave    *Leave        // nil: none
	Days     []*Attendance // all rows that hold, one for each day
	Moves    []Movement    // in the order of their numbers, where the activity asks for checking out
}

// Take adds a row that holds. Whoever was present on any day was present.
func (s *Standing) Take(t *Attendance) {
	s.Days = append(s.Days, t)
	if s.Recorded == nil || s.Recorded.Status != Present && (t.Status == Present || t.Day > s.Recorded.Day) ||
		t.Status == Present && t.At.Before(s.Recorded.At) {
		s.Recorded = t
	}
}

// Excuse takes the next leave in the log: the last one holds, and one without a
// status takes leave back.
func (s *Standing) Excuse(l *Leave) {
	s.Leave = l
	if l.Status == "" {
		s.Leave = nil
	}
}

// On is the row of a day, nil where there is none.
func (s *Standing) On(day Day) *Attendance {
	for _, t := range s.Days {
		if t.Day == day {
			return t
		}
	}
	return nil
}

// DaysPresent are the days on which the person was there, where check-in is daily.
func (s *Standing) DaysPresent() []Day {
	var days []Day
	for _, t := range s.Days {
		if t.Status == Present && t.Day != "" {
			days = append(days, t.Day)
		}
	}
	slices.Sort(days)
	return days
}

// Status is what the person counts as now: "" while nothing is known.
func (s *Standing) Status() AttendanceStatus {
	switch {
	case s.Recorded != nil:
		return s.Recorded.Status
	case s.Leave != nil:
		return s.Leave.Status
	}
	return ""
}

// Count makes the tally of a meeting. The quorum is more than half of the
// voting members who should attend (支部工作条例 art 11); who had left before the
// moment is present, and does not count for a vote then.
func Count(a *Activity, standings []Standing, at time.Time) Tally {
	var t Tally
	for i := range standings {
		s := &standings[i]
		status := s.Status()
		late := s.Recorded != nil && s.Recorded.Late(a)
		if s.Entry == nil {
			if status == Present {
				t.Guests++
			}
			continue
		}
		if s.Entry.Exempt != NotExempt && status != Present {
			t.Exempt++
			continue
		}
		t.Expected++
		if s.Entry.Votes {
			t.VotersExpected++
		}
		switch status {
		case Present:
			t.Present++
			if s.Entry.Votes && !s.GoneBefore(at) {
				t.VotersPresent++
			}
			if late {
				t.Late++
			}
			if s.Stay(a).LeftEarly {
				t.LeftEarly++
			}
		case SickLeave, PersonalLeave, DutyLeave:
			t.OnLeave++
		case Absent:
			t.Absent++
		default:
			t.Awaited++
		}
	}
	t.QuorumMissing = max(0, t.VotersExpected/2+1-t.VotersPresent)
	if t.VotersExpected == 0 {
		t.QuorumMissing = 0
	}
	return t
}

// Sentence says the tally as a secretary would.
func (t Tally) Sentence() string {
	quorum := "已过半"
	switch {
	case t.VotersExpected == 0:
		quorum = "应到的人都没有表决权"
	case t.QuorumMissing > 0:
		quorum = fmt.Sprintf("还差 %d 人过半", t.QuorumMissing)
	}
	return fmt.Sprintf("应到 %d 实到 %d 请假 %d 可表决 %d，%s", t.Expected, t.Present, t.OnLeave, t.VotersPresent, quorum)
}
