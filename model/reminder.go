package model

import (
	"cmp"
	"slices"
	"time"
)

// ReminderKind is why a message is sent to one person about one activity, or
// about their seat in a service slot.
type ReminderKind string

// The kinds of reminder.
const (
	DayBefore  ReminderKind = "day_before"
	HourBefore ReminderKind = "hour_before"
	Moved      ReminderKind = "moved"       // another time or place
	CalledOff  ReminderKind = "called_off"  // cancelled
	Resumed    ReminderKind = "resumed"     // takes place after all, after a cancellation that people were told of
	NotArrived ReminderKind = "not_arrived" // ten minutes after the start
	NotClosed  ReminderKind = "not_closed"  // to those who conduct it: the meeting still waits to be closed

	ApprovalsWaiting   ReminderKind = "approvals_waiting" // to those who conduct it: somebody asked leave or a 补签
	LeaveApproved      ReminderKind = "leave_approved"
	LeaveRefused       ReminderKind = "leave_refused"
	LateRecordApproved ReminderKind = "late_record_approved"
	LateRecordRefused  ReminderKind = "late_record_refused"

	SeatOffered   ReminderKind = "seat_offered"       // a seat is kept for the first in line
	SeatGiven     ReminderKind = "seat_given"         // the secretary signed the member up
	SeatLost      ReminderKind = "seat_lost"          // the service day is off, or the seat was given back for the member
	ServiceBefore ReminderKind = "service_day_before" // of who has a seat
)

// ReminderKindNames are the words people use, by kind.
var ReminderKindNames = map[ReminderKind]string{
	DayBefore: "提前一天提醒", HourBefore: "提前一小时提醒", Moved: "变更通知", CalledOff: "取消通知", Resumed: "恢复通知",
	NotArrived: "未到提醒", NotClosed: "待结束提醒",
	ApprovalsWaiting: "待审批提醒", LeaveApproved: "请假获批通知", LeaveRefused: "请假未批通知",
	LateRecordApproved: "补签获批通知", LateRecordRefused: "补签未批通知",
	SeatOffered: "候补到位通知", SeatGiven: "代报名通知", SeatLost: "服务取消通知", ServiceBefore: "服务日提醒",
}

// rule is what is particular to a kind.
type rule struct {
	purpose Purpose
	change  bool   // tells of a change: must arrive, so it is exempt from the daily cap and tried again when in doubt
	prompt  bool   // lapses soon: is exempt from the daily cap, comes at night if the morning is too late, and is not tried again when in doubt
	came    bool   // is of no use to somebody who is there already, or on leave
	note    string // the sentence of advice
	names   string // of the change, five characters at most
	about   string // what stands before the activity's title
	request bool   // tells of a request, which outlives the meeting
	verdict RequestState
}

var kinds = map[ReminderKind]rule{
	DayBefore:  {purpose: ActivityReminder, came: true, note: "请安排好时间，按时参加"},
	HourBefore: {purpose: ActivityReminder, came: true, note: "即将开始，到场后扫码签到"},
	NotArrived: {purpose: ActivityReminder, came: true, note: "活动已开始，请尽快到场签到"},
	Moved:      {purpose: ActivityChange, change: true, names: "时间地点"},
	CalledOff:  {purpose: ActivityChange, change: true, names: "活动取消"},
	Resumed:    {purpose: ActivityChange, change: true, names: "恢复举行"},
	NotClosed:  {purpose: DutyReminder, note: "请结束会议，登记到会情况", about: "结束会议"},

	ApprovalsWaiting:   {purpose: DutyReminder, note: "有人请假或补签，请审批", about: "审批", request: true},
	LeaveApproved:      {purpose: ApprovalResult, prompt: true, names: "已同意", note: "请假已批准", about: "请假", request: true, verdict: Approved},
	LeaveRefused:       {purpose: ApprovalResult, prompt: true, names: "未同意", note: "答复见小程序，请按时参加", about: "请假", request: true, verdict: RequestRefused},
	LateRecordApproved: {purpose: ApprovalResult, prompt: true, names: "已同意", note: "已记为到会", about: "补签", request: true, verdict: Approved},
	LateRecordRefused:  {purpose: ApprovalResult, prompt: true, names: "未同意", note: "答复见小程序", about: "补签", request: true, verdict: RequestRefused},

	SeatOffered:   {purpose: WaitingListOffer, prompt: true, note: "名额为您保留，请在截止前确认"},
	SeatGiven:     {purpose: ServiceReminder},
	SeatLost:      {purpose: ActivityChange, change: true, names: "服务取消"},
	ServiceBefore: {purpose: ServiceReminder},
}

// Purpose is which template the kind is sent with.
func (k ReminderKind) Purpose() Purpose { return kinds[k].purpose }

// RequestKinds are those that tell of a request: what becomes of the meeting
// does not take them back.
func RequestKinds() (all []ReminderKind) {
	for k, r := range kinds {
		if r.request {
			all = append(all, k)
		}
	}
	slices.Sort(all)
	return all
}

// TellsChange says whether the kind tells of a change or cancellation.
func (k ReminderKind) TellsChange() bool { return kinds[k].change }

// ReminderState is where a reminder stands:
//
//	queued → attempting → sent | refused | poison | unknown, or queued again
//	queued → expired | withdrawn
//	unknown → sent | presumed_sent | unknown_final, or queued for one more try
type ReminderState string

// The states.
const (
	Queued       ReminderState = "queued"
	Attempting   ReminderState = "attempting"    // the platform may be called at this moment
	Sent         ReminderState = "sent"          // the platform took it
	Refused      ReminderState = "refused"       // the person does not allow it
	Poison       ReminderState = "poison"        // the platform will never take it; an operator may put it back
	Expired      ReminderState = "expired"       // too late to be of use
	Withdrawn    ReminderState = "withdrawn"     // no longer true, or no longer needed
	Unknown      ReminderState = "unknown"       // called, no answer: waits for the platform's event
	PresumedSent ReminderState = "presumed_sent" // a second try was told that the consent is used up
	UnknownFinal ReminderState = "unknown_final" // nobody will know; a second try might be a second message
)

// ReminderStates are all of them.
var ReminderStates = []ReminderState{Queued, Attempting, Sent, Refused, Poison, Expired, Withdrawn, Unknown, PresumedSent, UnknownFinal}

// Final says whether nothing more happens to a reminder in this state by itself.
func (s ReminderState) Final() bool {
	return !slices.Contains([]ReminderState{Queued, Attempting, Unknown}, s)
}

// Reminder is one message to one person, due at a moment: written in the
// transaction of the business it is about, sent by whichever replica claims
// it. One of a kind is due for one person about one activity, or one sign-up,
// at one moment; the other of the two is zero.
type Reminder struct {
	ID         uint64
	ActivityID uint64
	SignUpID   uint64
	MemberID   uint64
	Kind       ReminderKind
	Purpose    Purpose
	DueAt      time.Time
	NotAfter   time.Time // from then on it is not sent
	StartsAt   time.Time // when the activity started as this was written: it is not sent about another time
	State      ReminderState
	Reason     string    // why it is in this state
	NextAt     time.Time // when it is looked at again
	Tries      int       // calls that the platform was too busy for
	Doubts     int       // calls whose outcome was not known
	Token      string    // of the claim
	LeaseUntil time.Time // of the claim
	AccountID  uint64    // whom it was sent to
	TemplateID string
	ConsentID  uint64     // reserved for the present call
	CalledAt   *time.Time // the first call whose outcome may still turn up
	MsgID      string
	CreatedAt  time.Time
	SettledAt  *time.Time
}

// Delivery is one event that tells that a message arrived, or did not.
type Delivery struct {
	ID         uint64
	AccountID  uint64
	TemplateID string
	MsgID      string
	At         time.Time
	Failed     bool
	ReminderID uint64 // 0: it is not known which message it was
}

// SendDecision is one line of the history of a reminder.
type SendDecision struct {
	ID         uint64
	ReminderID uint64
	At         time.Time
	State      ReminderState
	Reason     string
	Note       string // why somebody put it back
}

// Reasons of a state that people or programs look at.
const (
	NoConsent     = "no_consent"
	NotBound      = "not_bound"
	NoTemplate    = "no_template"
	PersonBusy    = "person_busy"
	QuietNow      = "quiet_hours"
	DailyCap      = "daily_cap"
	ActivityMoved = "moved"
	NothingWaits  = "nothing_waits"
	SecondTry     = "second_try"
	NotDelivered  = "not_delivered"
)

// Refusals of reminders.
var (
	ErrReminderNotFound = &Error{Kind: NotFound, Code: "reminder_not_found", Message: "没有这条提醒"}
	ErrNotDead          = &Error{Kind: Conflict, Code: "reminder_not_dead", Message: "这条提醒没有失败，不能重新排队"}
	ErrTooLateToSend    = &Error{Kind: Conflict, Code: "too_late_to_send", Message: "这条提醒的时间已过，不能再发"}
	ErrUnknownTemplate  = &Error{Kind: Invalid, Code: "unknown_template", Message: "没有这个消息模板，请升级小程序"}
)

// SendingRules are what an installation chooses: the hours of the night in
// which nobody is written to, as times of day, and how many messages a person
// gets a day.
type SendingRules struct {
	QuietFrom, QuietUntil time.Duration
	PerDay                int
	Zone                  *time.Location
}

// quietEnd is the end of the quiet hours that now lies in; false outside of them.
func (r SendingRules) quietEnd(now time.Time) (end time.Time, quiet bool) {
	begin, end := r.night(now)
	return end, !now.Before(begin) && now.Before(end)
}

// night is the quiet hours that end next.
func (r SendingRules) night(now time.Time) (begin, end time.Time) {
	local := now.In(r.Zone)
	at := func(days int, clock time.Duration) time.Time {
		return time.Date(local.Year(), local.Month(), local.Day()+days, 0, 0, 0, 0, r.Zone).Add(clock)
	}
	end = at(0, r.QuietUntil)
	if !now.Before(end) {
		end = at(1, r.QuietUntil)
	}
	begin = end.Add(-(r.QuietUntil - r.QuietFrom))
	if r.QuietFrom > r.QuietUntil {
		begin = begin.Add(-24 * time.Hour)
	}
	return begin.UTC(), end.UTC()
}

// awake is due, or where that falls into the quiet hours their end, or if that
// is too late the last half hour before them.
func (r SendingRules) awake(due, notAfter time.Time) time.Time {
	end, quiet := r.quietEnd(due)
	if !quiet {
		return due
	}
	if end.Before(notAfter) {
		return end
	}
	begin, _ := r.night(due)
	return begin.Add(-30 * time.Minute)
}

// DayEnd is when the local day of now ends.
func (r SendingRules) DayEnd(now time.Time) time.Time {
	local := now.In(r.Zone)
	return time.Date(local.Year(), local.Month(), local.Day()+1, 0, 0, 0, 0, r.Zone).UTC()
}

// Reminders are those that an activity published or moved at now calls for:
// one row of each kind, without the person.
func (r SendingRules) Reminders(a *Activity, now time.Time) []Reminder {
	var out []Reminder
	add := func(kind ReminderKind, due, notAfter time.Time) {
		if due = r.awake(due, notAfter); due.Before(now) {
			due = now
		}
		if due.Before(notAfter) {
			out = append(out, r.reminder(a, kind, due, notAfter, now))
		}
	}
	// Published with less than a day to go, the first reminder is the
	// announcement; with less than three hours the one of the last hour is.
	if a.StartsAt.Sub(now) >= 3*time.Hour {
		add(DayBefore, a.StartsAt.Add(-24*time.Hour), a.StartsAt.Add(-2*time.Hour))
	}
	add(HourBefore, a.StartsAt.Add(-time.Hour), a.StartsAt)
	if until := earlier(a.StartsAt.Add(time.Hour), a.ClosesAt); now.Before(a.StartsAt) {
		add(NotArrived, a.StartsAt.Add(10*time.Minute), until)
	}
	return out
}

// Duties are those for who conducts the activity.
func (r SendingRules) Duties(a *Activity, now time.Time) []Reminder {
	last := a.EndsAt
	if a.ClosesAt.After(last) {
		last = a.ClosesAt
	}
	due, notAfter := last.Add(time.Hour), last.Add(48*time.Hour)
	return []Reminder{r.reminder(a, NotClosed, r.awake(due, notAfter), notAfter, now)}
}

// Notice tells of a change at now. One of a meeting that has not begun is
// worth sending up to its start.
func (r SendingRules) Notice(a *Activity, kind ReminderKind, start, now time.Time) []Reminder {
	if !now.Before(start) {
		return nil
	}
	return []Reminder{r.reminder(a, kind, now, start, now)}
}

// Approvals is the one message of the day to who conducts the activity that
// somebody has asked for something.
func (r SendingRules) Approvals(a *Activity, now time.Time) Reminder {
	notAfter := now.Add(24 * time.Hour)
	out := r.reminder(a, ApprovalsWaiting, r.DayEnd(now).AddDate(0, 0, -1), notAfter, now)
	out.NextAt = r.awake(now, notAfter)
	return out
}

// Answer tells the member what was decided at now.
func (r SendingRules) Answer(a *Activity, kind ReminderKind, now time.Time) Reminder {
	notAfter := now.Add(72 * time.Hour)
	out := r.reminder(a, kind, now, notAfter, now)
	out.NextAt = r.awake(now, notAfter)
	return out
}

func (r SendingRules) reminder(a *Activity, kind ReminderKind, due, notAfter, now time.Time) Reminder {
	due = due.UTC().Truncate(time.Millisecond)
	return Reminder{ActivityID: a.ID, Kind: kind, Purpose: kind.Purpose(), DueAt: due, NotAfter: notAfter.UTC(),
		StartsAt: a.StartsAt, State: Queued, NextAt: due, LeaseUntil: now, CreatedAt: now}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Facts are what decides, at the moment of sending, whether a reminder is sent.
type Facts struct {
	Activity  *Activity // nil: there is none
	Seat      *SeatFacts
	OnRoster  bool
	Conducts  bool
	Waiting   int          // requests about the activity that the person is to decide
	Verdict   RequestState // what has become of the request that the message tells of; "": there is none
	Present   bool
	OnLeave   bool
	Bound     bool
	Template  bool // the catalogue has one for the purpose
	Consents  int  // held, for this template
	SentToday int
	InFlight  bool // another message to this person is on its way, or in doubt for this template
}

// Decision is what to do with a reminder that is due: a state, why, and where
// it stays queued until when.
type Decision struct {
	State  ReminderState // Attempting: send it
	Reason string
	Until  time.Time
}

// personPause is how long a message waits for another one to the same person.
const personPause = 2 * time.Second

// Decide says what to do with the reminder at now. Nothing that was decided
// when it was written is believed.
func (r *Reminder) Decide(f Facts, rules SendingRules, now time.Time) Decision {
	wait := func(until time.Time, reason string) Decision {
		return Decision{Queued, reason, earlier(until, r.NotAfter)}
	}
	if why := r.pointless(f); why != "" {
		return r.give(Withdrawn, why)
	}
	if !now.Before(r.NotAfter) {
		if r.Reason != "" && r.Doubts == 0 {
			return Decision{State: Expired, Reason: r.Reason}
		}
		return r.give(Expired, "too_late")
	}
	switch {
	case !f.Template:
		return wait(r.NotAfter, NoTemplate)
	case !f.Bound:
		return wait(r.NotAfter, NotBound)
	case r.ConsentID == 0 && f.Consents == 0:
		return wait(r.NotAfter, NoConsent)
	}
	urgent := r.Kind.TellsChange() || kinds[r.Kind].prompt
	if end, quiet := rules.quietEnd(now); quiet && (!urgent || end.Add(time.Hour).Before(r.NotAfter)) {
		return wait(end, QuietNow)
	}
	switch {
	case f.InFlight:
		return wait(now.Add(personPause), PersonBusy)
	case f.SentToday >= rules.PerDay && !urgent:
		return wait(rules.DayEnd(now), DailyCap)
	}
	return Decision{State: Attempting}
}

// give is a final state without a call, unless an earlier call may have done
// the work after all.
func (r *Reminder) give(state ReminderState, reason string) Decision {
	if r.Doubts > 0 {
		return Decision{State: UnknownFinal, Reason: reason}
	}
	return Decision{State: state, Reason: reason}
}

// pointless says why the message would not be true or of no use any more.
func (r *Reminder) pointless(f Facts) string {
	if r.SignUpID != 0 {
		return r.pointlessSeat(f.Seat)
	}
	a, kind := f.Activity, kinds[r.Kind]
	switch {
	case a == nil:
		return "no_activity"
	case r.Kind == ApprovalsWaiting && f.Waiting == 0:
		return NothingWaits
	case r.Kind == ApprovalsWaiting:
		return ""
	case kind.request && f.Verdict != kind.verdict:
		return cmp.Or(string(f.Verdict), "no_request")
	case kind.request && a.Status == Cancelled:
		return string(Cancelled)
	case kind.request:
		return ""
	case r.Kind == CalledOff:
		if a.Status != Cancelled {
			return "not_cancelled"
		}
	case a.Status != Published:
		return string(a.Status)
	case !a.StartsAt.Equal(r.StartsAt):
		return ActivityMoved
	}
	switch {
	case r.Kind == NotClosed:
		if !f.Conducts {
			return "not_in_charge"
		}
	case !f.OnRoster:
		return "not_on_roster"
	case kind.came && f.Present:
		return "present"
	case kind.came && f.OnLeave:
		return "on_leave"
	}
	return ""
}

// SeatFacts is a sign-up with what it is for.
type SeatFacts struct {
	SignUp SlotSignUp
	Slot   ServiceSlot
	Day    ServiceDay
}

// pointlessSeat is pointless for a message about a seat.
func (r *Reminder) pointlessSeat(f *SeatFacts) string {
	wanted := map[ReminderKind]SignUpState{SeatOffered: Offered, SeatGiven: Seated, SeatLost: SignUpCancelled, ServiceBefore: Seated}[r.Kind]
	switch {
	case f == nil:
		return "no_sign_up"
	case f.SignUp.State != wanted:
		return string(f.SignUp.State)
	}
	return ""
}

// OfSeat tells the member of the seat at now. It is of no use after notAfter.
func (k ReminderKind) OfSeat(u *SlotSignUp, s *ServiceSlot, notAfter, now time.Time) Reminder {
	return Reminder{SignUpID: u.ID, MemberID: u.MemberID, Kind: k, Purpose: k.Purpose(), DueAt: now, NotAfter: notAfter, StartsAt: s.StartsAt,
		State: Queued, NextAt: now, LeaseUntil: now, CreatedAt: now}
}

// ServiceReminders are those that a seat taken at now calls for: one the day
// before, none where less than a day is left.
func (r SendingRules) ServiceReminders(u *SlotSignUp, s *ServiceSlot, now time.Time) []Reminder {
	notAfter := s.StartsAt.Add(-2 * time.Hour)
	due := r.awake(s.StartsAt.Add(-24*time.Hour), notAfter)
	if !due.After(now) || !due.Before(notAfter) {
		return nil
	}
	out := ServiceBefore.OfSeat(u, s, notAfter.UTC(), now)
	out.DueAt = due.UTC().Truncate(time.Millisecond)
	out.NextAt = out.DueAt
	return []Reminder{out}
}

// SaysOfSeat are the values of the message about the seat.
func (r *Reminder) SaysOfSeat(f *SeatFacts, zone *time.Location, now time.Time) Contents {
	c := Contents{
		Texts: map[Content]string{SaysTitle: f.Day.Title + "（" + f.Slot.Name + "）", SaysPlace: f.Day.Place, SaysNote: kinds[r.Kind].note,
			SaysChange: kinds[r.Kind].names, SaysReason: f.SignUp.Reason},
		Times: map[Content]time.Time{SaysStart: f.Slot.StartsAt.In(zone), SaysNow: now.In(zone)},
	}
	if f.SignUp.OfferEndsAt != nil {
		c.Times[SaysUntil] = f.SignUp.OfferEndsAt.In(zone)
	}
	return c
}

// Says are the values of the message about the activity, with the count of
// what waits: people who have not come, or requests.
func (r *Reminder) Says(a *Activity, zone *time.Location, count int, now time.Time) Contents {
	kind := kinds[r.Kind]
	place := a.Place.Name
	if place == "" {
		place = "详见小程序"
	}
	reason := "请以新的时间地点为准"
	switch r.Kind {
	case CalledOff:
		reason = a.CancelReason
	case Resumed:
		reason = "原取消通知作废，请按时参加"
	}
	if kind.request {
		reason = kind.note
	}
	title := a.Title
	if kind.about != "" {
		title = kind.about + "：" + a.Title
	}
	return Contents{
		Texts: map[Content]string{SaysTitle: title, SaysPlace: place, SaysNote: kind.note, SaysChange: kind.names, SaysReason: reason},
		Times: map[Content]time.Time{SaysStart: a.StartsAt.In(zone), SaysNow: now.In(zone)},
		Count: count,
	}
}

// The pace of trying again, and of giving up.
const (
	CallLease   = 30 * time.Second // a worker that has not noted the outcome by then is taken for dead
	EventWait   = 2 * time.Minute  // the platform's event about a call in doubt comes within that
	eventSkew   = 5 * time.Second  // how far the platform's clock may be off
	mostTries   = 6
	mostDoubts  = 4 // calls in doubt about one message
	firstPause  = 5 * time.Second
	mostPause   = 15 * time.Minute
	laneRest    = 10 * time.Minute // of a template that keeps failing in one way
	quotaRest   = time.Minute      // the allowance is looked at again each minute
	troubleRest = 30 * time.Second
)

// Fate is what becomes of the consent that was reserved for a call.
type Fate int

// The fates.
const (
	KeepConsent  Fate = iota // nobody knows whether it was used
	SpendConsent             // the message went out
	ReturnConsent
	EmptyConsents // the person allows nothing any more
)

// Step is what follows from the outcome of a call.
type Step struct {
	State  ReminderState
	Reason string
	NextAt time.Time
	Tries  int
	Doubts int
	Fate   Fate
	Rest   time.Duration // the lane makes a pause: whatever it sends would fail the same way
}

// Outcomes of a call, in the platform's terms; any other is a refusal for good.
const (
	OutcomeOK             = ""
	OutcomeBusy           = "busy"
	OutcomeUnknown        = "unknown_outcome"
	OutcomeNoSubscription = "no_subscription"
	OutcomeQuota          = "quota"
	OutcomeToken          = "token"
	OutcomeConfig         = "config"
)

// After says what follows from the outcome of a call that ended at now; dice
// is a random number in [0, 1).
func (r *Reminder) After(outcome string, now time.Time, dice float64) Step {
	same := Step{State: Queued, Reason: outcome, NextAt: r.NextAt, Tries: r.Tries, Doubts: r.Doubts, Fate: ReturnConsent}
	if r.Doubts > 0 {
		same.Fate = KeepConsent // it may have been used by the call in doubt
	}
	switch outcome {
	case OutcomeOK:
		return Step{State: Sent, Tries: r.Tries, Doubts: r.Doubts, Fate: SpendConsent}
	case OutcomeNoSubscription:
		same.Fate, same.State = EmptyConsents, Refused
		if r.Doubts > 0 {
			same.State = PresumedSent // the call in doubt used the one consent there was
		}
	case OutcomeUnknown:
		same.State, same.Doubts, same.Fate, same.NextAt = Unknown, r.Doubts+1, KeepConsent, now.Add(EventWait)
	case OutcomeBusy:
		same.Tries++
		same.NextAt = now.Add(Backoff(same.Tries, dice))
		if same.Tries >= mostTries {
			same.State = r.give(Poison, "").State
		} else {
			same.NextAt = earlier(same.NextAt, r.NotAfter)
		}
	case OutcomeQuota:
		same.Rest = quotaRest
	case OutcomeToken, OutcomeConfig:
		same.Rest = troubleRest
	default:
		same.State = r.give(Poison, "").State
	}
	return same
}

// Backoff is the pause after the nth busy answer: full jitter over 5 s, 10 s,
// 20 s … up to 15 minutes.
func Backoff(n int, dice float64) time.Duration {
	most := min(mostPause, firstPause<<(min(n, 10)-1))
	return time.Duration(dice * float64(most))
}

// Resolve says what becomes of a call whose outcome is still unknown when the
// wait for the platform's event is over: another try where it cannot become a
// second message, because the person holds exactly one consent and the
// platform would refuse, however often it is asked; or, once, where the
// message tells of a change and must arrive. Alive is how many consents the
// person may still hold, the reserved one included.
func (r *Reminder) Resolve(alive int, now time.Time) Step {
	step := Step{State: UnknownFinal, Reason: "no_event", Tries: r.Tries, Doubts: r.Doubts, Fate: KeepConsent}
	harmless := alive == 1 && r.Doubts < mostDoubts
	if now.Before(r.NotAfter) && (harmless || r.Doubts == 1 && r.Kind.TellsChange()) {
		step.State, step.Reason, step.NextAt = Queued, SecondTry, now
	}
	return step
}

// Told says whether an event at the moment may be about the call in doubt.
func (r *Reminder) Told(at time.Time) bool {
	if r.CalledAt == nil {
		return false
	}
	return !at.Before(r.CalledAt.Add(-eventSkew)) && at.Before(r.LeaseUntil.Add(eventSkew))
}

// Lane is the sending of one template. It rests when whatever it sends fails
// in the same way, so that a broken template costs few people their message
// and the others none.
type Lane struct {
	until  time.Time
	proven bool // something has gone out since the last failure
	broken bool // after a rest it tries one at a time until one succeeds
	kind   string
	equal  int
}

// laneFailures is how many equal failures in a row make a lane rest.
const laneFailures = 20

// Open is how many more messages the lane may send at now, with so many on
// their way and most at once: none while it rests, one to try whether it works
// again, and no more than may fail until something has gone out.
func (l *Lane) Open(most, underWay int, now time.Time) int {
	switch {
	case now.Before(l.until):
		return 0
	case l.broken:
		most = min(most, 1)
	case !l.proven:
		most = min(most, laneFailures-l.equal)
	}
	return max(0, most-underWay)
}

// Note learns from an outcome.
func (l *Lane) Note(outcome string, step Step, now time.Time) {
	switch {
	case outcome == OutcomeOK || outcome == OutcomeNoSubscription:
		*l = Lane{proven: true}
		return
	case step.Rest > 0:
		l.until, l.broken = now.Add(step.Rest), true
		return
	case outcome == OutcomeBusy || outcome == OutcomeUnknown:
		return
	case outcome != l.kind:
		l.kind, l.equal = outcome, 0
	}
	l.proven = false
	if l.equal++; l.equal >= laneFailures || l.broken {
		l.until, l.broken = now.Add(laneRest), true
	}
}
