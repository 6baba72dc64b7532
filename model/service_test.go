package model

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

// aService is a published service day from 14:00 to 16:00 on 12 March, with one slot.
func aService() (ServiceDay, ServiceSlot) {
	start := clock(48+14, 0)
	published := clock(0, 0)
	d := ServiceDay{Status: Published, PublishedAt: &published, StartsAt: start, EndsAt: start.Add(2 * time.Hour), SignUpUntil: start.Add(-time.Hour),
		CancelUntil: start.Add(-24 * time.Hour), MinimumMinutes: 30}
	return d, ServiceSlot{StartsAt: start, EndsAt: start.Add(2 * time.Hour), Open: true, Capacity: 2}
}

func TestWhoMayHaveASeat(t *testing.T) {
	d, s := aService()
	meeting := Commitment{Title: "党课", StartsAt: s.StartsAt.Add(-time.Hour), EndsAt: s.StartsAt.Add(time.Millisecond)}
	service := meeting
	service.Service = true
	before := Commitment{Title: "正好结束", StartsAt: s.StartsAt.Add(-time.Hour), EndsAt: s.StartsAt, Service: true}
	for _, c := range []struct {
		name   string
		change func(*SeatRequest)
		now    time.Time
		want   error
	}{
		{"all is well", func(*SeatRequest) {}, clock(10, 0), nil},
		{"the day is off", func(r *SeatRequest) { r.Day.Status = Cancelled }, clock(10, 0), ErrServiceCancelled},
		{"the day is a draft", func(r *SeatRequest) { r.Day.Status = Draft }, clock(10, 0), ErrSignUpClosed},
		{"the last moment", func(*SeatRequest) {}, clock(48+13, 0).Add(-time.Millisecond), nil},
		{"the deadline", func(*SeatRequest) {}, clock(48+13, 0), ErrSignUpClosed},
		{"it has begun", func(r *SeatRequest) { r.Day.SignUpUntil = clock(72, 0) }, clock(48+14, 0), ErrSignUpClosed},
		{"for the registered", func(r *SeatRequest) { r.Day.RegisteredOnly = true }, clock(10, 0), ErrNotRegisteredHere},
		{"registered", func(r *SeatRequest) { r.Day.RegisteredOnly, r.Registered = true, true }, clock(10, 0), nil},
		{"a meeting warns", func(r *SeatRequest) { r.Others = []Commitment{meeting} }, clock(10, 0), ErrOverlap},
		{"insists", func(r *SeatRequest) { r.Others, r.Insists = []Commitment{meeting}, true }, clock(10, 0), nil},
		{"a meeting refuses", func(r *SeatRequest) { r.Others, r.Insists, r.Day.RefuseOverlap = []Commitment{meeting}, true, true }, clock(10, 0), ErrOverlap},
		{"another service always refuses", func(r *SeatRequest) { r.Others, r.Insists = []Commitment{service}, true }, clock(10, 0), ErrOverlap},
		{"one that ends as this begins", func(r *SeatRequest) { r.Others = []Commitment{before} }, clock(10, 0), nil},
	} {
		r := SeatRequest{Day: d, Slot: s}
		c.change(&r)
		if got := r.Admit(c.now); !errors.Is(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestUntilWhenASeatIsGivenBack(t *testing.T) {
	d, s := aService()
	for _, c := range []struct {
		name, reason string
		state        SignUpState
		another      bool
		now          time.Time
		again        bool
		want         error
	}{
		{"in time", "", Seated, false, clock(24+14, 0).Add(-time.Millisecond), false, nil},
		{"at the deadline", "", Seated, false, clock(24+14, 0), false, ErrDeadlinePassed},
		{"later, with a reason", "生病", Seated, false, clock(24+14, 0), false, nil},
		{"for another without a reason", "", Seated, true, clock(10, 0), false, BadField("reason", "")},
		{"for another", "出差", Seated, true, clock(10, 0), false, nil},
		{"at the start", "生病", Seated, false, clock(48+14, 0), false, ErrServiceStarted},
		{"again", "", SignUpCancelled, false, clock(72, 0), true, nil},
		{"who waits", "", Waiting, false, clock(10, 0), false, ErrNotSeated},
		{"who is offered one", "", Offered, false, clock(10, 0), false, ErrNotSeated},
		{"who let it pass", "", SignUpExpired, false, clock(10, 0), false, ErrNotSeated},
	} {
		u := SlotSignUp{State: c.state}
		if again, got := u.GiveBack(&d, &s, c.reason, c.another, c.now); again != c.again || !errors.Is(got, c.want) {
			t.Errorf("%s: %v %v, want %v %v", c.name, again, got, c.again, c.want)
		}
	}
}

func TestLeavingTheLineAndAnsweringAnOfferByState(t *testing.T) {
	ends := clock(12, 0)
	for state, c := range map[SignUpState]struct {
		leaves, accepts, declines string // "", "again", or the refusal's code
	}{
		Waiting:         {"", "no_offer", "no_offer"},
		Offered:         {"", "", ""},
		Seated:          {"not_waiting", "again", "no_offer"},
		Declined:        {"not_waiting", "no_offer", "again"},
		SignUpExpired:   {"not_waiting", "offer_expired", "offer_expired"},
		SignUpWithdrawn: {"again", "no_offer", "no_offer"},
		SignUpCancelled: {"not_waiting", "no_offer", "no_offer"},
	} {
		say := func(again bool, err error) string {
			var e *Error
			switch {
			case errors.As(err, &e):
				return e.Code
			case again:
				return "again"
			}
			return ""
		}
		u := SlotSignUp{State: state, OfferEndsAt: &ends}
		if got := say(u.Leave()); got != c.leaves {
			t.Errorf("%s leaves: %q, want %q", state, got, c.leaves)
		}
		if got := say(u.Answer(true, clock(11, 0))); got != c.accepts {
			t.Errorf("%s accepts: %q, want %q", state, got, c.accepts)
		}
		if got := say(u.Answer(false, clock(11, 0))); got != c.declines {
			t.Errorf("%s declines: %q, want %q", state, got, c.declines)
		}
		if u.HoldsSeat() != (state == Seated || state == Offered) {
			t.Errorf("%s counts as a taken seat: %v", state, u.HoldsSeat())
		}
	}
	u := SlotSignUp{State: Offered, OfferEndsAt: &ends}
	if _, err := u.Answer(true, ends.Add(-time.Millisecond)); err != nil {
		t.Errorf("in the last moment: %v", err)
	}
	if _, err := u.Answer(true, ends); !errors.Is(err, ErrOfferExpired) {
		t.Errorf("at its end: %v", err)
	}
}

func TestAnOfferEndsAfterTwelveHoursAndNeverBeyondTheStart(t *testing.T) {
	_, s := aService()
	if got := s.OfferEnds(clock(10, 0)); !got.Equal(clock(22, 0)) {
		t.Errorf("two days ahead: %s", got)
	}
	if got := s.OfferEnds(clock(48+3, 0)); !got.Equal(s.StartsAt) {
		t.Errorf("eleven hours ahead: %s", got)
	}
}

func TestWhatAPresenceIsWorth(t *testing.T) {
	d, s := aService()
	at := func(minutes int) *time.Time {
		m := s.StartsAt.Add(time.Duration(minutes) * time.Minute)
		return &m
	}
	for _, c := range []struct {
		name          string
		arrived, left *time.Time
		by, leftBy    Provenance
		minutes       int
		provenance    HoursProvenance
	}{
		{"nobody came", nil, nil, "", "", 0, Attested},
		{"all of it", at(0), at(120), ByScan, ByScan, 120, ScannedInAndOut},
		{"only what lies within the slot", at(-20), at(150), ByScan, ByScan, 120, ScannedInAndOut},
		{"the minimum", at(10), at(40), ByScan, ByScan, 30, ScannedInAndOut},
		{"a minute less", at(10), at(39), ByScan, ByScan, 0, ScannedInAndOut},
		{"early does not count towards the minimum", at(-20), at(29), ByScan, ByScan, 0, ScannedInAndOut},
		{"never checked out", at(30), nil, ByScan, "", 90, ScannedInOnly},
		{"came too late for the minimum, and stayed to the end", at(100), at(121), ByScan, ByScan, 20, ScannedInAndOut},
		{"ticked in", at(0), at(60), ByTick, ByScan, 60, Attested},
		{"ticked out", at(0), at(60), ByScan, ByTick, 60, Attested},
	} {
		u := SlotSignUp{ArrivedAt: c.arrived, LeftAt: c.left, ArrivedBy: c.by, LeftBy: c.leftBy}
		if minutes, p := u.Served(&d, &s); minutes != c.minutes || p != c.provenance {
			t.Errorf("%s: %d %s, want %d %s", c.name, minutes, p, c.minutes, c.provenance)
		}
	}
}

func TestWhenOneIsCheckedInAndOut(t *testing.T) {
	d, s := aService()
	for minutes, want := range map[int]error{-31: ErrNotOpenYet.With("opens_at", s.StartsAt.Add(-30*time.Minute)), -30: nil, 119: nil, 120: ErrCheckInClosed.With("closed_at", s.EndsAt)} {
		u := SlotSignUp{State: Seated}
		if _, got := u.Arrive(&d, &s, s.StartsAt.Add(time.Duration(minutes)*time.Minute)); !reflect.DeepEqual(got, want) {
			t.Errorf("arriving after %d minutes: %v, want %v", minutes, got, want)
		}
	}
	for minutes, want := range map[int]error{29: ErrStayLonger.With("counts_from", s.StartsAt.Add(30*time.Minute)), 30: nil, 239: nil,
		240: ErrCheckInClosed.With("closed_at", s.EndsAt.Add(2*time.Hour))} {
		u := SlotSignUp{State: Seated, ArrivedAt: &s.StartsAt}
		now := s.StartsAt.Add(time.Duration(minutes) * time.Minute)
		if got := u.Depart(&d, &s, false, now); !reflect.DeepEqual(got, want) {
			t.Errorf("leaving after %d minutes: %v, want %v", minutes, got, want)
		}
		if got := u.Depart(&d, &s, true, now); errors.Is(want, ErrStayLonger) && got != nil {
			t.Errorf("leaving anyway: %v", got)
		}
	}
	u := SlotSignUp{State: Seated}
	if got := u.Depart(&d, &s, true, s.EndsAt); !errors.Is(got, ErrNotArrivedYet) {
		t.Errorf("leaving without having come: %v", got)
	}
	u.ArrivedAt = &s.StartsAt
	if again, err := u.Arrive(&d, &s, s.EndsAt.Add(time.Hour)); !again || err != nil {
		t.Errorf("arriving again: %v %v", again, err)
	}
	u = SlotSignUp{State: Offered}
	if _, got := u.Arrive(&d, &s, s.StartsAt); !errors.Is(got, ErrSignUpRequired) {
		t.Errorf("arriving with an offer alone: %v", got)
	}
}

func TestAfterTheConfirmationNobodyComesOrGoes(t *testing.T) {
	d, s := aService() // as it was read, still published
	u := SlotSignUp{State: Seated, SettledAt: &s.EndsAt}
	if _, got := u.Arrive(&d, &s, s.StartsAt); !errors.Is(got, ErrServiceStatus) {
		t.Errorf("arriving: %v", got)
	}
	u.ArrivedAt = &s.StartsAt
	if got := u.Depart(&d, &s, true, s.EndsAt); !errors.Is(got, ErrServiceStatus) {
		t.Errorf("leaving: %v", got)
	}
	if again, err := u.Arrive(&d, &s, s.EndsAt); !again || err != nil {
		t.Errorf("arriving again: %v %v", again, err)
	}
}

func TestWhichSeatOfADayAScanIsAbout(t *testing.T) {
	d, _ := aService()
	seat := func(from, until int, arrived, left bool) SeatFacts {
		f := SeatFacts{Day: d, Slot: ServiceSlot{StartsAt: clock(from, 0), EndsAt: clock(until, 0)}, SignUp: SlotSignUp{State: Seated}}
		if arrived {
			f.SignUp.ArrivedAt = &f.Slot.StartsAt
		}
		if left {
			f.SignUp.LeftAt = &f.Slot.EndsAt
		}
		return f
	}
	for _, c := range []struct {
		name    string
		leaving bool
		now     time.Time
		seats   []SeatFacts
		want    int
	}{
		{"none", false, clock(9, 0), nil, -1},
		{"the only one", false, clock(20, 0), []SeatFacts{seat(9, 11, false, false)}, 0},
		{"in the morning, signed up for the afternoon first", false, clock(9, 0), []SeatFacts{seat(14, 16, false, false), seat(9, 11, false, false)}, 1},
		{"in the morning, signed up for the morning first", false, clock(9, 0), []SeatFacts{seat(9, 11, false, false), seat(14, 16, false, false)}, 0},
		{"leaving the second, read last", true, clock(16, 0), []SeatFacts{seat(9, 11, true, false), seat(14, 16, true, false)}, 1},
		{"there already", false, clock(10, 0), []SeatFacts{seat(14, 16, false, false), seat(9, 11, true, false)}, 1},
		{"never left the morning's", false, clock(13, 40), []SeatFacts{seat(9, 11, true, false), seat(14, 16, false, false)}, 1},
		{"left the morning's early", false, clock(10, 30), []SeatFacts{seat(9, 11, true, true), seat(14, 16, false, false)}, 1},
		{"all is over", false, clock(17, 0), []SeatFacts{seat(14, 16, false, false), seat(9, 11, false, false)}, 0},
		{"leaving the morning's when the next is open", true, clock(11, 10), []SeatFacts{seat(9, 11, true, false), seat(11, 13, false, false)}, 0},
		{"leaving the second", true, clock(16, 0), []SeatFacts{seat(14, 16, true, false), seat(9, 11, true, false)}, 0},
		{"leaving again, later", true, clock(16, 10), []SeatFacts{seat(9, 11, true, true), seat(14, 16, true, true)}, 1},
		{"never came", true, clock(16, 0), []SeatFacts{seat(9, 11, false, false), seat(14, 16, false, false)}, 1},
	} {
		if got := SeatAt(c.seats, c.leaving, c.now); got != c.want {
			t.Errorf("%s: the %d., want the %d.", c.name, got, c.want)
		}
	}
}

func TestSlotsOfADayAreOnThatDayAndTheDayEmbracesThem(t *testing.T) {
	d, _ := aService()
	slot := func(from, until int) ServiceSlot {
		return ServiceSlot{StartsAt: clock(from, 0), EndsAt: clock(until, 0)}
	}
	if err := d.Embrace([]ServiceSlot{slot(14, 16), slot(9, 11), slot(15, 18)}, shanghai); err != nil || !d.StartsAt.Equal(clock(9, 0)) || !d.EndsAt.Equal(clock(18, 0)) {
		t.Errorf("from %s to %s, %v", d.StartsAt, d.EndsAt, err)
	}
	if err := d.Embrace([]ServiceSlot{slot(10, 17), slot(11, 12)}, shanghai); err != nil || !d.StartsAt.Equal(clock(10, 0)) || !d.EndsAt.Equal(clock(17, 0)) {
		t.Errorf("made shorter, from %s to %s, %v", d.StartsAt, d.EndsAt, err)
	}
	for name, slots := range map[string][]ServiceSlot{"ends before it starts": {slot(16, 14)}, "no time at all": {slot(14, 14)}, "over midnight": {slot(23, 25)},
		"two days": {slot(14, 16), slot(24+14, 24+16)}} {
		if err := d.Embrace(slots, shanghai); !errors.Is(err, ErrSlotTimes) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnObjectionIsHeardForFifteenDays(t *testing.T) {
	settled := clock(10, 0)
	u := SlotSignUp{}
	if err := u.Object(settled); !errors.Is(err, ErrNotSettled) {
		t.Errorf("before it is settled: %v", err)
	}
	u.SettledAt = &settled
	if err := u.Object(clock(15*24+10, 0).Add(-time.Millisecond)); err != nil {
		t.Errorf("in the last moment: %v", err)
	}
	if err := u.Object(clock(15*24+10, 0)); !errors.Is(err, ErrObjectionLate) {
		t.Errorf("after fifteen days: %v", err)
	}
}

func TestQuartersAndTheirDays(t *testing.T) {
	for q, want := range map[Quarter]Span{"2026Q1": {"2026-01-01", "2026-04-01"}, "2026Q4": {"2026-10-01", "2027-01-01"},
		"2000Q1": {"2000-01-01", "2000-04-01"}, "2100Q4": {"2100-10-01", "2101-01-01"}} {
		if got, ok := q.Span(); !ok || got != want {
			t.Errorf("%s is %v, %v", q, got, ok)
		}
	}
	if got := Quarter("2026Q4").Text(); got != "2026年第4季度" {
		t.Errorf("on a paper it is %s", got)
	}
	for _, q := range []Quarter{"", "2026", "2026Q0", "2026Q5", "2026Q11", "26Q1", "abcdQ1", "Q1", "2026q1", "1999Q4", "2101Q1"} {
		if _, ok := q.Span(); ok {
			t.Errorf("%q passes for a quarter", q)
		}
	}
}

func TestWhereAFixedServiceDayGoesRoundAHoliday(t *testing.T) {
	// The first week of May 2026, as it might be: a holiday from Friday to Tuesday, the Saturday after worked.
	special := func(d Day) bool { return "2026-05-01" <= d && d <= "2026-05-05" || d == "2026-05-09" }
	for _, c := range []struct {
		shift     Shift
		day, want Day
	}{
		{ShiftLater, "2026-04-30", "2026-04-30"},
		{ShiftLater, "2026-05-01", "2026-05-06"},
		{ShiftLater, "2026-05-02", "2026-05-10"}, // a weekend day stays one, and not on the worked Saturday
		{ShiftEarlier, "2026-05-04", "2026-04-30"},
		{ShiftEarlier, "2026-05-03", "2026-04-26"},
		{ShiftSkip, "2026-05-01", ""},
		{ShiftSkip, "2026-05-06", "2026-05-06"},
		{ShiftNone, "2026-05-01", "2026-05-01"},
	} {
		if got := c.shift.Place(c.day, special); got != c.want {
			t.Errorf("%s %s goes to %q, want %q", c.shift, c.day, got, c.want)
		}
	}
	until := func(last Day) func(Day) bool { return func(d Day) bool { return d <= last } }
	if got := ShiftLater.Place("2026-05-04", until("2026-06-03")); got != "2026-06-04" { // 31 days on
		t.Errorf("31 days on it goes to %q", got)
	}
	if got := ShiftLater.Place("2026-05-04", until("2026-06-04")); got != "" {
		t.Errorf("32 days on it goes to %q", got)
	}
	if got := ShiftLater.Place("2026-05-01", func(Day) bool { return true }); got != "" {
		t.Errorf("where no day fits it goes to %q", got)
	}
}

func TestARegistrationCountsOnceConfirmedAndForItsDays(t *testing.T) {
	at := clock(0, 0)
	r := CommunityRegistration{Span: Span{"2026-03-10", "2026-04-01"}}
	if r.Counts("2026-03-10") {
		t.Error("it counts before it is confirmed")
	}
	r.ConfirmedAt = &at
	for d, want := range map[Day]bool{"2026-03-09": false, "2026-03-10": true, "2026-03-31": true, "2026-04-01": false} {
		if r.Counts(d) != want {
			t.Errorf("on %s: %v", d, r.Counts(d))
		}
	}
}

func TestMessagesAboutASeatAreSentOnlyWhileTheyAreTrue(t *testing.T) {
	d, s := aService()
	for kind, wanted := range map[ReminderKind]SignUpState{SeatOffered: Offered, SeatGiven: Seated, SeatLost: SignUpCancelled, ServiceBefore: Seated} {
		for state := range SignUpStateNames {
			u := SlotSignUp{ID: 1, State: state}
			r := kind.OfSeat(&u, &s, clock(48+14, 0), clock(9, 0))
			got := r.Decide(Facts{Seat: &SeatFacts{u, s, d}, Bound: true, Template: true, Consents: 1}, rules, clock(10, 0))
			if sent := got.State == Attempting; sent != (state == wanted) {
				t.Errorf("%s while %s: %+v", kind, state, got)
			}
		}
		r := kind.OfSeat(&SlotSignUp{ID: 1}, &s, clock(48+14, 0), clock(9, 0))
		if got := r.Decide(Facts{Bound: true, Template: true, Consents: 1}, rules, clock(10, 0)); got != (Decision{State: Withdrawn, Reason: "no_sign_up"}) {
			t.Errorf("%s of nothing: %+v", kind, got)
		}
	}
	u := SlotSignUp{ID: 1, State: Offered}
	offer := SeatOffered.OfSeat(&u, &s, clock(22, 0), clock(9, 0))
	if got := offer.Decide(Facts{Seat: &SeatFacts{u, s, d}, Bound: true, Template: true, Consents: 1, SentToday: 9}, rules, clock(10, 0)); got.State != Attempting {
		t.Errorf("an offer waits for the daily cap: %+v", got)
	}
	// Offered at 23:00 of a service that begins early: it lapses before the
	// quiet hours are over, or soon after.
	for ends, want := range map[time.Time]ReminderState{clock(24+8, 0): Attempting, clock(24+8, 1): Queued} {
		offer := SeatOffered.OfSeat(&u, &s, ends, clock(23, 0))
		if got := offer.Decide(Facts{Seat: &SeatFacts{u, s, d}, Bound: true, Template: true, Consents: 1}, rules, clock(23, 0)); got.State != want {
			t.Errorf("an offer in the night that ends at %s: %+v", ends, got)
		}
	}
}

func TestTheReminderOfASeatComesTheDayBefore(t *testing.T) {
	_, s := aService()
	u := &SlotSignUp{ID: 1, MemberID: 2}
	got := rules.ServiceReminders(u, &s, clock(10, 0))
	if len(got) != 1 || !got[0].DueAt.Equal(clock(24+14, 0)) || !got[0].NotAfter.Equal(clock(48+12, 0)) || got[0].SignUpID != 1 || got[0].MemberID != 2 || got[0].ActivityID != 0 {
		t.Errorf("two days ahead: %+v", got)
	}
	if got := rules.ServiceReminders(u, &s, clock(24+14, 0)); len(got) != 0 {
		t.Errorf("one day ahead: %+v", got)
	}
}
