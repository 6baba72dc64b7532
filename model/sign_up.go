package model

import "time"

// SignUpState is where a member's wish for a slot stands: seated, or waiting →
// offered → seated; the others are ends.
type SignUpState string

// The states of a sign-up.
const (
	Seated          SignUpState = "seated"    // has the seat
	Waiting         SignUpState = "waiting"   // stands in line
	Offered         SignUpState = "offered"   // the seat is kept for them until the offer ends
	Declined        SignUpState = "declined"  // did not want the offered seat
	SignUpExpired   SignUpState = "expired"   // did not answer in time, or the service began
	SignUpWithdrawn SignUpState = "withdrawn" // left the line
	SignUpCancelled SignUpState = "cancelled" // gave the seat back, or the service day was called off
)

// SignUpStateNames are the words people use, by state.
var SignUpStateNames = map[SignUpState]string{
	Seated: "已报名", Waiting: "候补中", Offered: "候补到位，待确认", Declined: "已放弃", SignUpExpired: "已过期", SignUpWithdrawn: "已退出候补", SignUpCancelled: "已取消",
}

// Refusals of signing up.
var (
	ErrSlotFull          = &Error{Kind: Conflict, Code: "slot_full", Message: "岗位已报满，可以排候补，有人退出时按先后通知"}
	ErrUnitFull          = &Error{Kind: Conflict, Code: "unit_full", Message: "您所在支部在这个岗位的名额已满，可以排候补或看看其他岗位"}
	ErrSignUpClosed      = &Error{Kind: Conflict, Code: "sign_up_closed", Message: "报名已截止，请看看其他岗位"}
	ErrNotRegisteredHere = &Error{Kind: Conflict, Code: "not_registered_here", Message: "这个岗位只面向已到本社区报到的党员，请先报到并等社区确认"}
	ErrOverlap           = &Error{Kind: Conflict, Code: "overlap", Message: "这段时间已有其他安排，不能同时参加，请选别的时间"}
	ErrNoBranch          = &Error{Kind: Conflict, Code: "no_branch", Message: "服务当天没有所在党支部，请先联系书记办理组织关系"}
	ErrSignUpNotFound    = &Error{Kind: NotFound, Code: "sign_up_not_found", Message: "没有这条报名，请刷新后再试"}
	ErrNotSeated         = &Error{Kind: Conflict, Code: "not_seated", Message: "这条报名现在没有占用名额，请刷新后再看"}
	ErrNotWaiting        = &Error{Kind: Conflict, Code: "not_waiting", Message: "您现在不在候补中，请刷新后再看"}
	ErrNoOffer           = &Error{Kind: Conflict, Code: "no_offer", Message: "现在没有等您确认的名额，请刷新后再看"}
	ErrOfferExpired      = &Error{Kind: Conflict, Code: "offer_expired", Message: "确认的时间已过，名额已让给下一位"}
	ErrDeadlinePassed    = &Error{Kind: Conflict, Code: "deadline_passed", Message: "已过取消的截止时间，确实不能来请写明原因再取消"}
	ErrStrangers         = &Error{Kind: Invalid, Code: "strangers", Message: "名单里有不属于您支部的党员，请去掉后再提交"}
)

// SlotSignUp is one member's wish for one slot. BranchID is the branch of the
// day of the service, to which seats, hours and absence belong. Live is true
// while the row holds a seat or a place in the line, else nil.
type SlotSignUp struct {
	ID            uint64
	SlotID        uint64
	MemberID      uint64
	BranchID      uint64
	Live          *bool
	State         SignUpState
	At            time.Time
	OfferEndsAt   *time.Time
	EndedAt       *time.Time
	Reason        string
	SignedUpBy    uint64
	ArrivedAt     *time.Time
	ArrivedBy     Provenance
	LeftAt        *time.Time
	LeftBy        Provenance
	NoShow        bool
	AbsenceReason string
	SettledAt     *time.Time
	Once          `gorm:"embedded"`
}

// HoldsSeat says whether the row counts as one taken seat. An offered seat
// counts once, for whom it is kept.
func (u *SlotSignUp) HoldsSeat() bool { return u.State == Seated || u.State == Offered }

// End puts the row into one of its ends.
func (u *SlotSignUp) End(state SignUpState, reason string, now time.Time) {
	u.State, u.Reason, u.Live, u.EndedAt = state, reason, nil, &now
}

// Commitment is something else that a member has at a time.
type Commitment struct {
	Service  bool      `json:"service" doc:"true 为另一个服务岗位，false 为党内活动"`
	Title    string    `json:"title"`
	StartsAt time.Time `json:"starts_at"`
	EndsAt   time.Time `json:"ends_at"`
}

// SeatRequest is everything that decides whether a member may have a seat, or
// a place in the line, apart from the seats themselves.
type SeatRequest struct {
	Day        ServiceDay
	Slot       ServiceSlot
	Registered bool // with the community, by themselves or with their branch
	Others     []Commitment
	Insists    bool // has seen the overlap and comes all the same
}

// Admit refuses what makes the seat impossible at now, in the order in which a
// person can act on it. Two services at one time are never possible; a meeting
// at that time refuses or warns, as the service day is set.
func (r *SeatRequest) Admit(now time.Time) error {
	switch {
	case r.Day.Status == Cancelled:
		return ErrServiceCancelled
	case r.Day.Status != Published, r.Slot.StartedAt(now), !now.Before(r.Day.SignUpUntil):
		return ErrSignUpClosed.With("sign_up_until", r.Day.SignUpUntil)
	case r.Day.RegisteredOnly && !r.Registered:
		return ErrNotRegisteredHere
	}
	return r.Clash()
}

// Clash refuses a seat for other commitments at its time, and names the first. The
// refusal carries may_insist when the member may come all the same.
func (r *SeatRequest) Clash() error {
	for _, c := range r.Others {
		if !r.Slot.Meets(c.StartsAt, c.EndsAt) {
			continue
		}
		if c.Service || r.Day.RefuseOverlap || !r.Insists {
			mayInsist := !c.Service && !r.Day.RefuseOverlap
			refusal := ErrOverlap.With("with", c).With("may_insist", mayInsist)
			refusal.Message = "这段时间已有“" + c.Title + "”，不能同时参加，请选别的时间"
			if mayInsist {
				refusal.Message = "这段时间已有“" + c.Title + "”，仍要参加请再确认一次"
			}
			return refusal
		}
	}
	return nil
}

// offerLife is how long an offered seat is kept.
const offerLife = 12 * time.Hour

// OfferEnds is until when a seat offered at now is kept: twelve hours, and
// never beyond the start.
func (s *ServiceSlot) OfferEnds(now time.Time) time.Time {
	ends := now.Add(offerLife)
	if ends.After(s.StartsAt) {
		return s.StartsAt
	}
	return ends
}

// GiveBack says whether the seat may be given back at now: without a word
// until the day's deadline, after that with a reason, from the start on not at
// all. Who does it for somebody else always gives one. Again is true for a
// seat that was given back before.
func (u *SlotSignUp) GiveBack(d *ServiceDay, s *ServiceSlot, reason string, forAnother bool, now time.Time) (again bool, err error) {
	switch {
	case u.State == SignUpCancelled:
		return true, nil
	case u.State != Seated:
		return false, ErrNotSeated.With("state", u.State)
	case s.StartedAt(now):
		return false, ErrServiceStarted
	case reason == "" && forAnother:
		return false, BadField("reason", "代为取消请写明原因")
	case reason == "" && !now.Before(d.CancelUntil):
		return false, ErrDeadlinePassed.With("cancel_until", d.CancelUntil)
	}
	return false, nil
}

// Leave says whether the member may leave the line. Again is true for who has
// left it before.
func (u *SlotSignUp) Leave() (again bool, err error) {
	switch u.State {
	case SignUpWithdrawn:
		return true, nil
	case Waiting, Offered:
		return false, nil
	}
	return false, ErrNotWaiting.With("state", u.State)
}

// Answer says whether the offer may be answered at now, in [offered, ends).
// Again is true for the same answer given before.
func (u *SlotSignUp) Answer(accept bool, now time.Time) (again bool, err error) {
	switch {
	case u.State == Seated && accept, u.State == Declined && !accept:
		return true, nil
	case u.State == SignUpExpired, u.State == Offered && !now.Before(*u.OfferEndsAt):
		return false, ErrOfferExpired
	case u.State != Offered:
		return false, ErrNoOffer.With("state", u.State)
	}
	return false, nil
}

// Refusals of the service day itself.
var (
	ErrSignUpRequired = &Error{Kind: Conflict, Code: "signup_required", Message: "您没有报名这个服务日的岗位，请先报名，或找社区联络员"}
	ErrNotArrivedYet  = &Error{Kind: Conflict, Code: "not_arrived", Message: "您还没有签到，请先签到；确实到了请联络员补记"}
	ErrStayLonger     = &Error{Kind: Conflict, Code: "stay_longer", Message: "现在离开不计服务时长；要走请再确认一次"}
	ErrNotOver        = &Error{Kind: Conflict, Code: "not_over", Message: "服务还没有结束，结束后再确认时长"}
	ErrNotSettled     = &Error{Kind: Conflict, Code: "not_settled", Message: "社区还没有确认这次服务的时长，确认以后再提出"}
	ErrNoAbsence      = &Error{Kind: Conflict, Code: "no_absence", Message: "这次服务没有被记为未到"}
)

// How long before the start of a slot its check-in opens, and how long after
// its end one may still check out.
const (
	serviceEarly = 30 * time.Minute
	serviceLate  = 2 * time.Hour
)

// Arrive says whether the member, who has the seat, may be checked in at now,
// from half an hour before the start up to the end. Again is true for who is
// there already: the first time stands.
func (u *SlotSignUp) Arrive(d *ServiceDay, s *ServiceSlot, now time.Time) (again bool, err error) {
	switch {
	case u.State != Seated:
		return false, ErrSignUpRequired
	case u.ArrivedAt != nil:
		return true, nil
	case d.Status != Published:
		return false, d.Allow(Published)
	case u.SettledAt != nil: // since the service day was read
		return false, ErrServiceStatus.With("status", Closed)
	case now.Before(s.StartsAt.Add(-serviceEarly)):
		return false, ErrNotOpenYet.With("opens_at", s.StartsAt.Add(-serviceEarly))
	case !now.Before(s.EndsAt):
		return false, ErrCheckInClosed.With("closed_at", s.EndsAt)
	}
	return false, nil
}

// Depart says whether the member may be checked out at now, up to two hours
// after the end. Whoever would leave too early for any hours is told so before,
// with the moment from which they count, and may leave anyway.
func (u *SlotSignUp) Depart(d *ServiceDay, s *ServiceSlot, anyway bool, now time.Time) error {
	switch {
	case u.State != Seated:
		return ErrSignUpRequired
	case u.ArrivedAt == nil:
		return ErrNotArrivedYet
	case d.Status != Published:
		return d.Allow(Published)
	case u.SettledAt != nil: // since the service day was read
		return ErrServiceStatus.With("status", Closed)
	case !now.Before(s.EndsAt.Add(serviceLate)):
		return ErrCheckInClosed.With("closed_at", s.EndsAt.Add(serviceLate))
	case now.Before(u.CountsFrom(d, s)) && !anyway:
		return ErrStayLonger.With("counts_from", u.CountsFrom(d, s))
	}
	return nil
}

// SeatAt is which of a member's seats of one day a scan is about, by the start
// of their slots: on arriving the first that is not over and not left, on
// leaving the last at which the member has arrived. Where there is none of the
// kind it is the last of all. Minus one means that there are no seats.
func SeatAt(seats []SeatFacts, leaving bool, now time.Time) int {
	best, last := -1, -1
	for i := range seats {
		f, starts := &seats[i], seats[i].Slot.StartsAt
		if last < 0 || starts.After(seats[last].Slot.StartsAt) {
			last = i
		}
		switch {
		case leaving:
			if f.SignUp.ArrivedAt != nil && (best < 0 || starts.After(seats[best].Slot.StartsAt)) {
				best = i
			}
		case f.SignUp.LeftAt == nil && now.Before(f.Slot.EndsAt):
			if best < 0 || starts.Before(seats[best].Slot.StartsAt) {
				best = i
			}
		}
	}
	if best < 0 {
		return last
	}
	return best
}

// CountsFrom is how long one who has arrived must stay for the service to
// count: the day's minimum, and never longer than the slot.
func (u *SlotSignUp) CountsFrom(d *ServiceDay, s *ServiceSlot) time.Time {
	from := s.StartsAt
	if u.ArrivedAt.After(from) {
		from = *u.ArrivedAt
	}
	from = from.Add(time.Duration(d.MinimumMinutes) * time.Minute)
	if from.After(s.EndsAt) {
		return s.EndsAt
	}
	return from
}

// Served is the minutes that the presence on record is worth, and how they are
// known. Only time within the slot counts, and none below the minimum. Who was
// not checked out counts up to the end, as known by the arrival only.
func (u *SlotSignUp) Served(d *ServiceDay, s *ServiceSlot) (minutes int, p HoursProvenance) {
	if u.ArrivedAt == nil {
		return 0, Attested
	}
	from, until := *u.ArrivedAt, s.EndsAt
	if from.Before(s.StartsAt) {
		from = s.StartsAt
	}
	p = ScannedInOnly
	if u.LeftAt != nil {
		p = ScannedInAndOut
		if u.LeftAt.Before(until) {
			until = *u.LeftAt
		}
	}
	if u.ArrivedBy == ByTick || u.LeftBy == ByTick {
		p = Attested
	}
	if until.Before(u.CountsFrom(d, s)) {
		return 0, p
	}
	return int(until.Sub(from) / time.Minute), p
}
