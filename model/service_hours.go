package model

import (
	"strconv"
	"strings"
	"time"
)

// HoursProvenance is how service hours came to be known. Hours of different
// provenance stand side by side and are never added up blindly.
type HoursProvenance string

// The provenances of service hours.
const (
	ScannedInAndOut HoursProvenance = "scanned"  // the member scanned in and out
	ScannedInOnly   HoursProvenance = "in_only"  // scanned in; the end is that of the slot
	Attested        HoursProvenance = "attested" // the community or the secretary says so
	ImportedHours   HoursProvenance = "imported" // from records kept before
)

// HoursProvenances are all of them, in the order in which they are shown.
var HoursProvenances = []HoursProvenance{ScannedInAndOut, ScannedInOnly, Attested, ImportedHours}

// HoursProvenanceNames are the words people use, by provenance.
var HoursProvenanceNames = map[HoursProvenance]string{
	ScannedInAndOut: "扫码签到签退", ScannedInOnly: "只扫签到", Attested: "社区或书记证明", ImportedHours: "导入",
}

// ServiceHours is one entry of the ledger of service hours. Entries are only
// ever added: a correction is an entry that takes back, or one that adds.
// BranchID is the branch of the day, for good. EnteredBy is zero where the
// system itself saw both scans.
type ServiceHours struct {
	ID          uint64
	MemberID    uint64
	BranchID    uint64
	CommunityID uint64
	SignUpID    *uint64
	VisitID     *uint64
	Day         Day
	Provenance  HoursProvenance
	Minutes     int
	Reason      string
	EnteredBy   uint64
	At          time.Time
	ImportKey   *string
}

// HourObjection is a member's word against what is on record of one sign-up,
// with the answer that stays beside it.
type HourObjection struct {
	ID          uint64     `json:"id"`
	SignUpID    uint64     `json:"sign_up_id"`
	MemberID    uint64     `json:"member_id"`
	CommunityID uint64     `json:"-"`
	Reason      string     `json:"reason"`
	CreatedAt   time.Time  `json:"created_at"`
	Answer      string     `json:"answer"`
	AnsweredBy  *uint64    `json:"-"`
	AnsweredAt  *time.Time `json:"answered_at"`
}

// FeedbackSlip is the community's word on one branch's service in one quarter
// (双向反馈). What it is about are the ledger's entries up to ConfirmedAt.
type FeedbackSlip struct {
	ID          uint64
	CommunityID uint64
	BranchID    uint64
	Quarter     Quarter
	Comment     string
	ConfirmedBy uint64
	ConfirmedAt time.Time
}

// Quarter is a quarter of a year, written 2026Q1.
type Quarter string

// Text is the quarter as it stands on a paper.
func (q Quarter) Text() string {
	year, number, _ := strings.Cut(string(q), "Q")
	return year + "年第" + number + "季度"
}

// Span is the days of the quarter; ok is false for what is no quarter.
func (q Quarter) Span() (span Span, ok bool) {
	year, number, found := strings.Cut(string(q), "Q")
	y, err := strconv.Atoi(year)
	if !found || err != nil || len(year) != 4 || y < 2000 || y > 2100 || len(number) != 1 || number < "1" || number > "4" {
		return Span{}, false
	}
	first := time.Date(y, time.Month(3*int(number[0]-'1')+1), 1, 0, 0, 0, 0, time.UTC)
	return Span{From: Day(first.Format(time.DateOnly)), Until: Day(first.AddDate(0, 3, 0).Format(time.DateOnly))}, true
}

// HouseholdPairing is a member's lasting care for one household (结亲连心, the
// Opinion 三(五)). Who they are is sealed and shown to the member and their
// secretary alone.
type HouseholdPairing struct {
	ID       uint64
	MemberID uint64
	Sealed   string
	Span
	CreatedAt time.Time
	Once      `gorm:"embedded"`
}

// HouseholdVisit is one visit to the household. It becomes service hours once
// the secretary has confirmed it.
type HouseholdVisit struct {
	ID          uint64
	PairingID   uint64
	Day         Day
	Minutes     int
	Sealed      string
	ConfirmedBy *uint64
	ConfirmedAt *time.Time
	CreatedAt   time.Time
	Once        `gorm:"embedded"`
}

// Refusals of the ledger of service hours.
var (
	ErrObjectionLate     = &Error{Kind: Conflict, Code: "objection_late", Message: "提出异议的期限已过，请联系党支部书记"}
	ErrObjectionNotFound = &Error{Kind: NotFound, Code: "objection_not_found", Message: "没有这条异议，请刷新后再试"}
	ErrObjectionAnswered = &Error{Kind: Conflict, Code: "objection_answered", Message: "这条异议已经答复，请刷新查看"}
	ErrOwnObjection      = &Error{Kind: Forbidden, Code: "own_objection", Message: "自己提出的异议请由别人答复"}
	ErrQuarterNotOver    = &Error{Kind: Conflict, Code: "quarter_not_over", Message: "这个季度还没有过完，过完后再确认反馈表"}
	ErrPairingNotFound   = &Error{Kind: NotFound, Code: "pairing_not_found", Message: "没有这条结亲记录，请刷新后再试"}
	ErrVisitNotFound     = &Error{Kind: NotFound, Code: "visit_not_found", Message: "没有这条走访记录，请刷新后再试"}
	ErrVisitDay          = &Error{Kind: Invalid, Code: "visit_day", Message: "走访日期应在结亲期间内，且不晚于今天"}
	ErrOwnVisit          = &Error{Kind: Forbidden, Code: "own_visit", Message: "自己的走访请由书记或别的委员确认"}
)

// objectionLife is how long after the settlement a member may object.
const objectionLife = 15 * 24 * time.Hour

// Object says whether the member may object at now to what is on record.
func (u *SlotSignUp) Object(now time.Time) error {
	switch {
	case u.SettledAt == nil:
		return ErrNotSettled
	case !now.Before(u.SettledAt.Add(objectionLife)):
		return ErrObjectionLate.With("until", u.SettledAt.Add(objectionLife))
	}
	return nil
}
