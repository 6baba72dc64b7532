package model

import (
	"slices"
	"testing"
	"time"
)

var (
	shanghai = time.FixedZone("Asia/Shanghai", 8*60*60)
	rules    = SendingRules{QuietFrom: 22 * time.Hour, QuietUntil: 7 * time.Hour, PerDay: 3, Zone: shanghai}
)

// clock is a time of 10 March 2026 in Shanghai; 24 and more is a later day.
func clock(hour, minute int) time.Time {
	return time.Date(2026, 3, 10, hour, minute, 0, 0, shanghai).UTC()
}

func TestWhatAnActivityCallsForAndWhen(t *testing.T) {
	for _, c := range []struct {
		name       string
		now, start time.Time
		want       []string
	}{
		{"two days ahead", clock(14, 0), clock(48+15, 0), []string{"day_before 11 15:00-12 13:00", "hour_before 12 14:00-12 15:00", "not_arrived 12 15:10-12 16:00"}},
		{"one day ahead, the first is the announcement", clock(14, 0), clock(24+10, 0), []string{"day_before 10 14:00-11 08:00", "hour_before 11 09:00-11 10:00", "not_arrived 11 10:10-11 11:00"}},
		{"three hours ahead there is still an announcement", clock(14, 0), clock(17, 0), []string{"day_before 10 14:00-10 15:00", "hour_before 10 16:00-10 17:00", "not_arrived 10 17:10-10 18:00"}},
		{"a minute less and the one of the last hour is it", clock(14, 1), clock(17, 0), []string{"hour_before 10 16:00-10 17:00", "not_arrived 10 17:10-10 18:00"}},
		{"two hours ahead", clock(14, 0), clock(16, 0), []string{"hour_before 10 15:00-10 16:00", "not_arrived 10 16:10-10 17:00"}},
		{"half an hour ahead", clock(14, 0), clock(14, 30), []string{"hour_before 10 14:00-10 14:30", "not_arrived 10 14:40-10 15:30"}},
		{"early in the morning the last one comes the evening before", clock(14, 0), clock(24+6, 30), []string{"day_before 10 14:00-11 04:30", "hour_before 10 21:30-11 06:30", "not_arrived 11 07:00-11 07:30"}},
		{"in the quiet hours it waits for their end", clock(14, 0), clock(24+7, 30), []string{"day_before 10 14:00-11 05:30", "hour_before 11 07:00-11 07:30", "not_arrived 11 07:40-11 08:30"}},
		{"begun already", clock(14, 0), clock(13, 0), nil},
		{"begun at this moment", clock(14, 0), clock(14, 0), nil},
	} {
		a := &Activity{StartsAt: c.start, EndsAt: c.start.Add(2 * time.Hour), ClosesAt: c.start.Add(2 * time.Hour)}
		var got []string
		for _, r := range rules.Reminders(a, c.now) {
			got = append(got, string(r.Kind)+r.DueAt.In(shanghai).Format(" 2 15:04")+r.NotAfter.In(shanghai).Format("-2 15:04"))
			if r.State != Queued || !r.NextAt.Equal(r.DueAt) || !r.DueAt.Before(r.NotAfter) || r.Purpose != ActivityReminder {
				t.Errorf("%s: %+v", c.name, r)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestWhatIsDueIsDecidedByWhatIsTrueNow(t *testing.T) {
	start := clock(24+15, 0)
	good := func() (*Reminder, Facts) {
		return &Reminder{Kind: DayBefore, StartsAt: start, NotAfter: clock(24+13, 0), NextAt: clock(15, 0)},
			Facts{Activity: &Activity{Status: Published, StartsAt: start}, OnRoster: true, Bound: true, Template: true, Consents: 1}
	}
	for _, c := range []struct {
		name   string
		change func(*Reminder, *Facts)
		now    time.Time
		want   Decision
	}{
		{"all is well", func(*Reminder, *Facts) {}, clock(15, 0), Decision{State: Attempting}},
		{"the activity is gone", func(_ *Reminder, f *Facts) { f.Activity = nil }, clock(15, 0), Decision{State: Withdrawn, Reason: "no_activity"}},
		{"cancelled", func(_ *Reminder, f *Facts) { f.Activity.Status = Cancelled }, clock(15, 0), Decision{State: Withdrawn, Reason: "cancelled"}},
		{"closed", func(_ *Reminder, f *Facts) { f.Activity.Status = Closed }, clock(15, 0), Decision{State: Withdrawn, Reason: "closed"}},
		{"moved", func(_ *Reminder, f *Facts) { f.Activity.StartsAt = clock(40, 0) }, clock(15, 0), Decision{State: Withdrawn, Reason: ActivityMoved}},
		{"transferred away", func(_ *Reminder, f *Facts) { f.OnRoster = false }, clock(15, 0), Decision{State: Withdrawn, Reason: "not_on_roster"}},
		{"there already", func(_ *Reminder, f *Facts) { f.Present = true }, clock(15, 0), Decision{State: Withdrawn, Reason: "present"}},
		{"on leave", func(_ *Reminder, f *Facts) { f.OnLeave = true }, clock(15, 0), Decision{State: Withdrawn, Reason: "on_leave"}},
		{"a change is told to who is on leave", func(r *Reminder, f *Facts) { r.Kind, f.OnLeave = Moved, true }, clock(15, 0), Decision{State: Attempting}},
		{"a cancellation that is none", func(r *Reminder, _ *Facts) { r.Kind = CalledOff }, clock(15, 0), Decision{State: Withdrawn, Reason: "not_cancelled"}},
		{"a duty of somebody else", func(r *Reminder, f *Facts) { r.Kind, f.OnRoster = NotClosed, true }, clock(15, 0), Decision{State: Withdrawn, Reason: "not_in_charge"}},
		{"a duty", func(r *Reminder, f *Facts) { r.Kind, f.OnRoster, f.Conducts = NotClosed, false, true }, clock(15, 0), Decision{State: Attempting}},
		{"approvals that wait", func(r *Reminder, f *Facts) { r.Kind, f.OnRoster, f.Waiting = ApprovalsWaiting, false, 1 }, clock(15, 0), Decision{State: Attempting}},
		{"approvals of a closed meeting", func(r *Reminder, f *Facts) { r.Kind, f.Activity.Status, f.Waiting = ApprovalsWaiting, Closed, 2 }, clock(15, 0), Decision{State: Attempting}},
		{"nothing waits for this person", func(r *Reminder, _ *Facts) { r.Kind = ApprovalsWaiting }, clock(15, 0), Decision{State: Withdrawn, Reason: NothingWaits}},
		{"a leave that holds", func(r *Reminder, f *Facts) { r.Kind, f.Verdict, f.OnLeave = LeaveApproved, Approved, true }, clock(15, 0), Decision{State: Attempting}},
		{"a leave taken back meanwhile", func(r *Reminder, f *Facts) { r.Kind, f.Verdict = LeaveApproved, RequestWithdrawn }, clock(15, 0), Decision{State: Withdrawn, Reason: "withdrawn"}},
		{"a leave from what is called off", func(r *Reminder, f *Facts) {
			r.Kind, f.Verdict, f.Activity.Status = LeaveRefused, RequestRefused, Cancelled
		}, clock(15, 0), Decision{State: Withdrawn, Reason: "cancelled"}},
		{"a late record of a closed meeting", func(r *Reminder, f *Facts) {
			r.Kind, f.Verdict, f.Activity.Status = LateRecordRefused, RequestRefused, Closed
		}, clock(15, 0), Decision{State: Attempting}},
		{"a request that is gone", func(r *Reminder, _ *Facts) { r.Kind = LateRecordApproved }, clock(15, 0), Decision{State: Withdrawn, Reason: "no_request"}},
		{"one moment before it is too late", func(*Reminder, *Facts) {}, clock(24+13, 0).Add(-time.Millisecond), Decision{State: Attempting}},
		{"too late", func(*Reminder, *Facts) {}, clock(24+13, 0), Decision{State: Expired, Reason: "too_late"}},
		{"too late, and it never had a chance", func(r *Reminder, _ *Facts) { r.Reason = NoConsent }, clock(24+13, 0), Decision{State: Expired, Reason: NoConsent}},
		{"no template", func(_ *Reminder, f *Facts) { f.Template = false }, clock(15, 0), Decision{Queued, NoTemplate, clock(24+13, 0)}},
		{"no WeChat", func(_ *Reminder, f *Facts) { f.Bound = false }, clock(15, 0), Decision{Queued, NotBound, clock(24+13, 0)}},
		{"no consent", func(_ *Reminder, f *Facts) { f.Consents = 0 }, clock(15, 0), Decision{Queued, NoConsent, clock(24+13, 0)}},
		{"no further consent, but one reserved", func(r *Reminder, f *Facts) { f.Consents, r.ConsentID = 0, 7 }, clock(15, 0), Decision{State: Attempting}},
		{"in the night", func(*Reminder, *Facts) {}, clock(22, 0), Decision{Queued, QuietNow, clock(24+7, 0)}},
		{"the last moment of the day", func(*Reminder, *Facts) {}, clock(22, 0).Add(-time.Millisecond), Decision{State: Attempting}},
		{"the first moment of the day", func(*Reminder, *Facts) {}, clock(24+7, 0), Decision{State: Attempting}},
		{"a change is told in the night only if the morning is too late", func(r *Reminder, _ *Facts) { r.Kind, r.NotAfter = Moved, clock(24+7, 30) }, clock(23, 0), Decision{State: Attempting}},
		{"a change that can wait for the morning", func(r *Reminder, _ *Facts) { r.Kind = Moved }, clock(23, 0), Decision{Queued, QuietNow, clock(24+7, 0)}},
		{"another on its way", func(_ *Reminder, f *Facts) { f.InFlight = true }, clock(15, 0), Decision{Queued, PersonBusy, clock(15, 0).Add(2 * time.Second)}},
		{"enough for today", func(_ *Reminder, f *Facts) { f.SentToday = 3 }, clock(15, 0), Decision{Queued, DailyCap, clock(24, 0)}},
		{"almost enough", func(_ *Reminder, f *Facts) { f.SentToday = 2 }, clock(15, 0), Decision{State: Attempting}},
		{"a change on top", func(r *Reminder, f *Facts) { r.Kind, f.SentToday = Moved, 3 }, clock(15, 0), Decision{State: Attempting}},
		{"in doubt it is not withdrawn: it may be there", func(r *Reminder, f *Facts) { r.Doubts, f.Present = 1, true }, clock(15, 0), Decision{State: UnknownFinal, Reason: "present"}},
		{"in doubt it does not expire either", func(r *Reminder, _ *Facts) { r.Doubts = 1 }, clock(24+13, 0), Decision{State: UnknownFinal, Reason: "too_late"}},
	} {
		r, f := good()
		c.change(r, &f)
		if got := r.Decide(f, rules, c.now); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestWhatFollowsFromEachOutcomeOfACall(t *testing.T) {
	now, due, late := clock(15, 0), clock(14, 0), clock(20, 0)
	for _, c := range []struct {
		name    string
		r       Reminder
		outcome string
		want    Step
	}{
		{"taken", Reminder{}, OutcomeOK, Step{State: Sent, Fate: SpendConsent}},
		{"43101", Reminder{}, OutcomeNoSubscription, Step{State: Refused, NextAt: due, Fate: EmptyConsents}},
		{"43101 at the second try", Reminder{Doubts: 1}, OutcomeNoSubscription, Step{State: PresumedSent, NextAt: due, Doubts: 1, Fate: EmptyConsents}},
		{"no answer", Reminder{}, OutcomeUnknown, Step{State: Unknown, NextAt: now.Add(2 * time.Minute), Doubts: 1, Fate: KeepConsent}},
		{"busy", Reminder{}, OutcomeBusy, Step{State: Queued, NextAt: now.Add(2500 * time.Millisecond), Tries: 1, Fate: ReturnConsent}},
		{"busy at the second try", Reminder{Doubts: 1}, OutcomeBusy, Step{State: Queued, NextAt: now.Add(2500 * time.Millisecond), Tries: 1, Doubts: 1, Fate: KeepConsent}},
		{"busy six times", Reminder{Tries: 5}, OutcomeBusy, Step{State: Poison, NextAt: now.Add(80 * time.Second), Tries: 6, Fate: ReturnConsent}},
		{"allowance used up", Reminder{}, OutcomeQuota, Step{State: Queued, NextAt: due, Fate: ReturnConsent, Rest: time.Minute}},
		{"token refused", Reminder{}, OutcomeToken, Step{State: Queued, NextAt: due, Fate: ReturnConsent, Rest: 30 * time.Second}},
		{"an operator must act", Reminder{}, OutcomeConfig, Step{State: Queued, NextAt: due, Fate: ReturnConsent, Rest: 30 * time.Second}},
		{"47003", Reminder{}, "bad_data", Step{State: Poison, NextAt: due, Fate: ReturnConsent}},
		{"40037", Reminder{}, "bad_template", Step{State: Poison, NextAt: due, Fate: ReturnConsent}},
		{"41030", Reminder{}, "bad_page", Step{State: Poison, NextAt: due, Fate: ReturnConsent}},
		{"40003", Reminder{}, "bad_recipient", Step{State: Poison, NextAt: due, Fate: ReturnConsent}},
		{"40003 at the second try", Reminder{Doubts: 1}, "bad_recipient", Step{State: UnknownFinal, NextAt: due, Doubts: 1, Fate: KeepConsent}},
	} {
		c.r.NextAt, c.r.NotAfter = due, late
		if c.want.Reason == "" {
			c.want.Reason = c.outcome
		}
		if got := c.r.After(c.outcome, now, 0.5); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	r := Reminder{NextAt: due, NotAfter: now.Add(time.Second)}
	if got := r.After(OutcomeBusy, now, 0.5).NextAt; !got.Equal(r.NotAfter) {
		t.Errorf("tries again at %v, after it is too late", got)
	}
}

func TestACallInDoubtIsTriedAgainOnlyWhereItCannotMakeASecondMessage(t *testing.T) {
	now := clock(15, 0)
	for _, c := range []struct {
		name  string
		r     Reminder
		alive int
		want  ReminderState
	}{
		{"one consent", Reminder{Kind: DayBefore, Doubts: 1}, 1, Queued},
		{"two consents", Reminder{Kind: DayBefore, Doubts: 1}, 2, UnknownFinal},
		{"none: the person took it back", Reminder{Kind: DayBefore, Doubts: 1}, 0, UnknownFinal},
		{"two consents and a change", Reminder{Kind: Moved, Doubts: 1}, 2, Queued},
		{"two consents and a change, in doubt a second time", Reminder{Kind: Moved, Doubts: 2}, 2, UnknownFinal},
		{"one consent, in doubt a third time", Reminder{Kind: DayBefore, Doubts: 3}, 1, Queued},
		{"one consent, in doubt a fourth time", Reminder{Kind: DayBefore, Doubts: 4}, 1, UnknownFinal},
		{"too late", Reminder{Kind: DayBefore, Doubts: 1, NotAfter: now}, 1, UnknownFinal},
	} {
		if c.r.NotAfter.IsZero() {
			c.r.NotAfter = now.Add(time.Hour)
		}
		if got := c.r.Resolve(c.alive, now); got.State != c.want || got.Fate != KeepConsent {
			t.Errorf("%s: %+v, want %s", c.name, got, c.want)
		}
	}
}

func TestAnEventTellsOfACallOnlyAtItsTime(t *testing.T) {
	called := clock(15, 0)
	r := Reminder{CalledAt: &called, LeaseUntil: called.Add(CallLease)}
	for d, want := range map[time.Duration]bool{-6 * time.Second: false, -5 * time.Second: true, 0: true, 34 * time.Second: true, 35 * time.Second: false} {
		if got := r.Told(called.Add(d)); got != want {
			t.Errorf("after %v: %v", d, got)
		}
	}
	if new(Reminder).Told(called) {
		t.Error("an event tells of a call that was never made")
	}
}

func TestPausesGrowAndEnd(t *testing.T) {
	for n, most := range map[int]time.Duration{1: 5 * time.Second, 2: 10 * time.Second, 5: 80 * time.Second, 8: 640 * time.Second, 9: 15 * time.Minute, 60: 15 * time.Minute} {
		if got := Backoff(n, 0.5); got != most/2 {
			t.Errorf("after %d: %v, want half of %v", n, got, most)
		}
		if got := Backoff(n, 0); got != 0 {
			t.Errorf("after %d at worst luck: %v", n, got)
		}
	}
}

func TestALaneRestsAfterTwentyEqualFailuresAndTriesOneAtATimeThen(t *testing.T) {
	now := clock(15, 0)
	l := new(Lane)
	poison := Step{State: Poison}
	if got := l.Open(64, 5, now); got != 15 {
		t.Errorf("before anything has gone out: %d", got)
	}
	l.Note(OutcomeOK, Step{State: Sent}, now)
	if got := l.Open(64, 5, now); got != 59 {
		t.Errorf("after one has gone out: %d", got)
	}
	for i := range 19 {
		l.Note("bad_template", poison, now)
		if got := l.Open(64, 0, now); got != 19-i {
			t.Errorf("after %d failures: %d", i+1, got)
		}
	}
	l.Note("bad_page", poison, now) // another failure begins a new count
	if got := l.Open(64, 0, now); got != 19 {
		t.Errorf("after another failure: %d", got)
	}
	for range 19 {
		l.Note("bad_page", poison, now)
	}
	if got := l.Open(64, 0, now.Add(laneRest-1)); got != 0 {
		t.Errorf("while it rests: %d", got)
	}
	now = now.Add(laneRest)
	if got := l.Open(64, 0, now); got != 1 {
		t.Errorf("after the rest: %d", got)
	}
	l.Note("bad_page", poison, now)
	if got := l.Open(64, 0, now); got != 0 {
		t.Errorf("after one more failure: %d", got)
	}
	now = now.Add(laneRest)
	l.Note(OutcomeOK, Step{State: Sent}, now)
	if got := l.Open(64, 0, now); got != 64 {
		t.Errorf("when it works again: %d", got)
	}
	l.Note(OutcomeBusy, Step{}, now)
	l.Note(OutcomeUnknown, Step{}, now)
	if got := l.Open(64, 0, now); got != 64 {
		t.Errorf("busy and no answer are no failures of the template: %d", got)
	}
	l.Note(OutcomeQuota, Step{Rest: quotaRest}, now)
	if got := l.Open(64, 0, now.Add(quotaRest-1)); got != 0 {
		t.Errorf("without allowance: %d", got)
	}
}

func TestQuietHoursMayRunOverMidnightOrNot(t *testing.T) {
	noon := SendingRules{QuietFrom: 12 * time.Hour, QuietUntil: 14 * time.Hour, Zone: shanghai}
	never := SendingRules{Zone: shanghai}
	for _, c := range []struct {
		rules SendingRules
		at    time.Time
		quiet bool
	}{
		{rules, clock(21, 59), false}, {rules, clock(22, 0), true}, {rules, clock(23, 59), true}, {rules, clock(24, 0), true}, {rules, clock(30, 59), true}, {rules, clock(31, 0), false},
		{noon, clock(11, 59), false}, {noon, clock(12, 0), true}, {noon, clock(13, 59), true}, {noon, clock(14, 0), false}, {noon, clock(0, 0), false},
		{never, clock(0, 0), false}, {never, clock(3, 0), false},
	} {
		if _, quiet := c.rules.quietEnd(c.at); quiet != c.quiet {
			t.Errorf("%v at %v: %v", c.rules, c.at.In(shanghai), quiet)
		}
	}
}

func TestEveryKindHasAPurposeAndAName(t *testing.T) {
	for kind, name := range ReminderKindNames {
		if kind.Purpose() == "" || name == "" {
			t.Errorf("%s has no purpose or name", kind)
		}
	}
	if len(ReminderKindNames) != len(kinds) {
		t.Error("a kind has no name")
	}
	for _, s := range ReminderStates {
		if want := s != Queued && s != Attempting && s != Unknown; s.Final() != want {
			t.Errorf("%s: final %v", s, s.Final())
		}
	}
}

func TestMessagesToThoseWhoConductAndAnswersWaitForTheMorning(t *testing.T) {
	a := &Activity{ID: 7, StartsAt: clock(19, 0), EndsAt: clock(21, 0), ClosesAt: clock(20, 0)}
	said := func(r *Reminder) string {
		form := func(at time.Time) string { return at.In(shanghai).Format("2 15:04") }
		return form(r.DueAt) + ", " + form(r.NextAt) + ", " + form(r.NotAfter)
	}
	duty := func(closes time.Time) Reminder {
		b := *a
		b.ClosesAt = closes
		return rules.Duties(&b, clock(14, 0))[0]
	}
	approvals, atNight := rules.Approvals(a, clock(15, 0)), rules.Approvals(a, clock(23, 0))
	answer, answerAtNight := rules.Answer(a, LeaveApproved, clock(15, 0)), rules.Answer(a, LeaveApproved, clock(23, 0))
	byDay, byNight := duty(clock(20, 0)), duty(clock(21, 30))
	a.EndsAt = clock(18, 0)
	early := duty(clock(17, 0))
	for _, c := range []struct {
		name string
		got  *Reminder
		want string
	}{
		{"to close, an hour after the end", &early, "10 19:00, 10 19:00, 12 18:00"},
		{"to close, in the morning", &byDay, "11 07:00, 11 07:00, 12 21:00"},
		{"to close, after check-in where that ends later", &byNight, "11 07:00, 11 07:00, 12 21:30"},
		{"requests, once a day", &approvals, "10 00:00, 10 15:00, 11 15:00"},
		{"requests, in the morning", &atNight, "10 00:00, 11 07:00, 11 23:00"},
		{"an answer", &answer, "10 15:00, 10 15:00, 13 15:00"},
		{"an answer, in the morning", &answerAtNight, "10 23:00, 11 07:00, 13 23:00"},
	} {
		if got := said(c.got); got != c.want || c.got.ActivityID != 7 {
			t.Errorf("%s: due, next and not after are %s, want %s", c.name, got, c.want)
		}
	}
}

func TestWhatAMessageSays(t *testing.T) {
	a := &Activity{Title: "主题党日", CancelReason: "停电", StartsAt: clock(15, 0)}
	for _, c := range []struct {
		kind          ReminderKind
		place         string
		title, reason string
		where         string
	}{
		{DayBefore, "三楼", "主题党日", "请以新的时间地点为准", "三楼"},
		{CalledOff, "", "主题党日", "停电", "详见小程序"},
		{NotClosed, "三楼", "结束会议：主题党日", "请以新的时间地点为准", "三楼"},
		{ApprovalsWaiting, "三楼", "审批：主题党日", "有人请假或补签，请审批", "三楼"},
	} {
		a.Place.Name = c.place
		got := (&Reminder{Kind: c.kind}).Says(a, shanghai, 3, clock(14, 0))
		if got.Texts[SaysTitle] != c.title || got.Texts[SaysReason] != c.reason || got.Texts[SaysPlace] != c.where || got.Count != 3 {
			t.Errorf("%s: %+v", c.kind, got)
		}
	}
	until := clock(20, 0)
	seat := &SeatFacts{Day: ServiceDay{Title: "服务日", Place: "社区"}, Slot: ServiceSlot{Name: "扫雪"}, SignUp: SlotSignUp{}}
	r := &Reminder{Kind: ServiceBefore}
	got := r.SaysOfSeat(seat, shanghai, clock(14, 0))
	if _, ends := got.Times[SaysUntil]; ends || got.Texts[SaysTitle] != "服务日（扫雪）" {
		t.Errorf("%+v", got)
	}
	if seat.SignUp.OfferEndsAt = &until; !r.SaysOfSeat(seat, shanghai, clock(14, 0)).Times[SaysUntil].Equal(until) {
		t.Error("the end of an offer is not said")
	}
}
