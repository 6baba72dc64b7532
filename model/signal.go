package model

import (
	"fmt"
	"strings"
	"time"
)

// SignalKind is what stands out in how people checked in.
type SignalKind string

// The kinds of signal.
const (
	SameDevice    SignalKind = "same_device"    // one phone for several people
	ClosingBurst  SignalKind = "closing_burst"  // many at the last moment
	OldCode       SignalKind = "old_code"       // a code that the screen no longer showed
	OutsideRadius SignalKind = "outside_radius" // not near the place
	OddClock      SignalKind = "odd_clock"      // noted without a network by a phone whose clock cannot be right
)

// Signal is something that stands out. It decides nothing: nobody is absent by
// a signal.
type Signal struct {
	Kind    SignalKind     `json:"kind" enum:"same_device,closing_burst,old_code,outside_radius,odd_clock" doc:"同一部手机；临近截止集中签到；码已换新才扫；在范围外；离线补传的手机时间可疑"`
	Message string         `json:"message" doc:"可以直接显示的话，仅供参考"`
	Members []SignalMember `json:"members"`
}

// SignalMember is one of those whom a signal is about.
type SignalMember struct {
	MemberID uint64    `json:"member_id"`
	Name     string    `json:"name"`
	At       time.Time `json:"at"`
}

// SignalFacts is one check-in, as far as signals look at it.
type SignalFacts struct {
	SignalMember
	Provenance Provenance
	Location   Location
	Device     string
	CodeAgeMS  *int
	Doubts     string // about the clock of the phone that noted it without a network
}

// Within burstSpan before the closing of check-in, a third of all who scanned
// and five at least stand out.
const (
	burstSpan  = 2 * time.Minute
	burstLeast = 5
)

// Signals looks through the check-ins of an activity, in the order of their
// times. Step is how often the code on the screen changes: an older one was
// not on the screen when it was sent.
func Signals(a *Activity, step time.Duration, all []SignalFacts) []Signal {
	signals := []Signal{}
	add := func(kind SignalKind, who []SignalMember, format string) {
		signals = append(signals, Signal{Kind: kind, Members: who, Message: fmt.Sprintf(format, len(who), namesIn(who))})
	}
	var order []string
	byDevice := map[string][]SignalMember{}
	var late, old, outside, odd []SignalMember
	scanned := map[uint64]bool{}
	for i := range all {
		f := &all[i]
		if f.Device != "" {
			if byDevice[f.Device] == nil {
				order = append(order, f.Device)
			}
			byDevice[f.Device] = append(byDevice[f.Device], f.SignalMember)
		}
		if f.Provenance == ByScan || f.Provenance == ByTypedCode {
			scanned[f.MemberID] = true
			if !f.At.Before(a.ClosesAt.Add(-burstSpan)) {
				late = append(late, f.SignalMember)
			}
		}
		if f.CodeAgeMS != nil && time.Duration(*f.CodeAgeMS)*time.Millisecond >= step {
			old = append(old, f.SignalMember)
		}
		if f.Location == LocationOutside {
			outside = append(outside, f.SignalMember)
		}
		if f.Doubts != "" {
			odd = append(odd, f.SignalMember)
		}
	}
	for _, device := range order {
		if who := onePerMember(byDevice[device]); len(who) > 1 {
			add(SameDevice, who, "%d 人用同一部手机签到（%s），也可能是互相帮忙，供参考")
		}
	}
	late, old, outside, odd = onePerMember(late), onePerMember(old), onePerMember(outside), onePerMember(odd)
	if len(late) >= burstLeast && 3*len(late) >= len(scanned) {
		add(ClosingBurst, late, "签到截止前两分钟有 %d 人集中签到（%s），供参考")
	}
	if len(old) > 0 {
		add(OldCode, old, "%d 人扫的码屏幕上已经换新（%s），多半是手机慢，也可能是转发的照片，供参考")
	}
	if len(outside) > 0 {
		add(OutsideRadius, outside, "%d 人签到时手机定位在范围外（%s），定位可能不准，供参考")
	}
	if len(odd) > 0 {
		add(OddClock, odd, "%d 人的签到由时间可疑的手机离线补传（%s），手机时间不用来判迟到，供参考")
	}
	return signals
}

// onePerMember leaves out who was met before, as on another day.
func onePerMember(all []SignalMember) []SignalMember {
	seen := map[uint64]bool{}
	var each []SignalMember
	for _, m := range all {
		if !seen[m.MemberID] {
			each = append(each, m)
		}
		seen[m.MemberID] = true
	}
	return each
}

// namesIn names a few of them.
func namesIn(who []SignalMember) string {
	const few = 5
	var names []string
	for _, m := range who[:min(few, len(who))] {
		names = append(names, m.Name)
	}
	text := strings.Join(names, "、")
	if len(who) > few {
		text += "等"
	}
	return text
}
