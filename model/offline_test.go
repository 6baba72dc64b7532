package model

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestWhatIsOddAboutAPhonesTimeIsMarkedToTheMillisecond(t *testing.T) {
	opens := time.Date(2026, 3, 10, 6, 0, 0, 0, time.UTC)
	received, issued, life := opens.Add(time.Hour), opens.Add(10*time.Minute), 25*time.Second
	ms := time.Millisecond
	for _, c := range []struct {
		name   string
		client time.Time
		issued *time.Time
		doubts string
	}{
		{"as it should be", issued.Add(5 * time.Second), &issued, ""},
		{"a tick", opens.Add(30 * time.Minute), nil, ""},
		{"at the opening", opens, nil, ""},
		{"before the opening", opens.Add(-ms), nil, "before_open"},
		{"a clock that is a little ahead", received.Add(2 * time.Minute), nil, ""},
		{"a clock that is ahead", received.Add(2*time.Minute + ms), nil, "future"},
		{"three days old", received.Add(-72 * time.Hour), nil, "before_open"},
		{"more than three days old", received.Add(-72*time.Hour - ms), nil, "before_open,old"},
		{"just before the code", issued.Add(-2 * time.Minute), &issued, ""},
		{"before the code", issued.Add(-2*time.Minute - ms), &issued, "code_time"},
		{"just after the code", issued.Add(life + 2*time.Minute - ms), &issued, ""},
		{"after the code", issued.Add(life + 2*time.Minute), &issued, "code_time"},
		{"everything at once", opens.Add(-100 * time.Hour), &issued, "before_open,old,code_time"},
	} {
		i := &OfflineItem{ClientAt: c.client, IssuedAt: c.issued, ReceivedAt: received}
		i.Doubt(opens, life)
		if i.Doubts != c.doubts {
			t.Errorf("%s: %q, want %q", c.name, i.Doubts, c.doubts)
		}
		for _, d := range i.Doubted() {
			if OfflineDoubtNames[d] == "" {
				t.Errorf("%s has no name", d)
			}
		}
	}
}

func TestTheTimeOfAnOfflineArrivalIsTheServersWhereTheServerSignedOne(t *testing.T) {
	opens := time.Date(2026, 3, 10, 6, 0, 0, 0, time.UTC)
	received, issued := opens.Add(time.Hour), opens.Add(10*time.Minute)
	ahead := received.Add(5 * time.Second)
	for _, c := range []struct {
		name   string
		kind   OfflineKind
		issued *time.Time
		client time.Time
		want   time.Time
	}{
		{"a scan", OfflineScan, &issued, opens, issued},
		{"a scan with a wild clock", OfflineScan, &issued, opens.AddDate(1, 0, 0), issued},
		{"a member code", OfflineMemberCode, &issued, opens, issued},
		{"a code of a replica that is ahead", OfflineScan, &ahead, opens, received},
		{"a tick", OfflineTick, nil, opens.Add(time.Minute), opens.Add(time.Minute)},
		{"a tick at the opening", OfflineTick, nil, opens, opens},
		{"a tick before it", OfflineTick, nil, opens.Add(-time.Millisecond), received},
		{"a tick on receipt", OfflineTick, nil, received, received},
		{"a tick after receipt", OfflineTick, nil, received.Add(time.Millisecond), received},
		{"neither", OfflineScan, nil, opens.Add(time.Minute), received},
	} {
		i := &OfflineItem{Kind: c.kind, IssuedAt: c.issued, ClientAt: c.client, ReceivedAt: received}
		if got := i.When(opens); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestAnOfflineArrivalIsAdmittedWhileTheMeetingIsNotClosed(t *testing.T) {
	opens := time.Date(2026, 3, 10, 6, 0, 0, 0, time.UTC)
	closes := opens.Add(time.Hour)
	present, absent := &Attendance{Status: Present, At: opens}, &Attendance{Status: Absent}
	for n, c := range []struct {
		status   ActivityStatus
		kind     OfflineKind
		held     *Attendance
		expected bool
		guests   bool
		at       time.Time
		want     *Error
	}{
		{Published, OfflineScan, nil, true, false, opens, nil},
		{Published, OfflineScan, nil, true, false, opens.Add(-time.Millisecond), ErrNotOpenYet},
		{Published, OfflineScan, nil, true, false, closes.Add(-time.Millisecond), nil},
		{Published, OfflineScan, nil, true, false, closes, ErrCheckInClosed},
		{Published, OfflineTick, nil, true, false, closes, nil},
		{Published, OfflineMemberCode, nil, true, false, opens.Add(-time.Millisecond), ErrNotOpenYet},
		{Published, OfflineScan, nil, false, false, opens, ErrNotOnRoster},
		{Published, OfflineScan, nil, false, true, opens, nil},
		{Published, OfflineScan, present, true, false, opens, ErrAlreadyCheckedIn},
		{Published, OfflineScan, absent, true, false, opens, ErrMarkedAbsent},
		{Closed, OfflineScan, absent, true, false, opens, ErrCheckInClosed},
		{Closed, OfflineTick, nil, true, false, opens, ErrCheckInClosed},
		{Closed, OfflineScan, present, true, false, opens, ErrAlreadyCheckedIn},
		{Cancelled, OfflineScan, nil, true, false, opens, ErrActivityCancelled},
		{Draft, OfflineTick, nil, true, false, opens, ErrNotPublished},
	} {
		i := &OfflineItem{Kind: c.kind}
		err := i.Admit(&Activity{Status: c.status, OpensAt: opens, ClosesAt: closes, OpenToGuests: c.guests}, c.held, c.expected, c.at)
		if c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%d: %v, want %v", n, err, c.want)
		}
		var refusal *Error
		if errors.As(err, &refusal) {
			i.Settle(nil, nil, refusal)
			if i.Sentence(true) == "" || i.Sentence(false) == "" || i.Refusal != c.want.Code || (i.FactAt != nil) != (len(refusal.Details) > 0) {
				t.Errorf("%d: %q, %q, %s", n, i.Sentence(true), i.Sentence(false), fmt.Sprint(i.FactAt))
			}
		}
	}
}

func TestOnlyWhatWasAcceptedIsSaidToBeLate(t *testing.T) {
	for _, c := range []struct {
		item OfflineItem
		late bool
	}{
		{OfflineItem{Late: true}, true},
		{OfflineItem{}, false},
		{OfflineItem{Late: true, Refusal: ErrNotOpenYet.Code}, false},
		{OfflineItem{Refusal: ErrNotOpenYet.Code}, false},
	} {
		for _, toThemself := range []bool{true, false} {
			if got := c.item.Sentence(toThemself); got == "" || strings.HasSuffix(got, "，记为迟到") != c.late {
				t.Errorf("%+v: %q", c.item, got)
			}
		}
	}
}
