package model

import (
	"math"
	"time"
)

// Refusals of a check-in.
var (
	ErrCodeInvalid      = &Error{Kind: Conflict, Code: "code_invalid", Message: "二维码无效，请对准会场屏幕重新扫描"}
	ErrCodeExpired      = &Error{Kind: Conflict, Code: "code_expired", Message: "二维码已更新，请重新扫描屏幕上的新码"}
	ErrTypedCodeInvalid = &Error{Kind: Conflict, Code: "typed_code_invalid", Message: "签到码不对，请看会场屏幕上的六位数字"}
	ErrWrongActivity    = &Error{Kind: Conflict, Code: "wrong_activity", Message: "这是另一场活动的二维码，请核对会场"}
	ErrWrongSession     = &Error{Kind: Conflict, Code: "wrong_session", Message: "这是同一定期活动另一次的二维码，请扫这一次会场屏幕上的码"}
	ErrNotOpenYet       = &Error{Kind: Conflict, Code: "not_open_yet", Message: "签到还没有开始，请稍后再扫"}
	ErrCheckInClosed    = &Error{Kind: Conflict, Code: "closed", Message: "签到已经结束，可以请书记补记"}
	ErrNotOnRoster      = &Error{Kind: Conflict, Code: "not_on_roster", Message: "您不在本次活动的名单中，请联系党支部书记"}
	ErrAlreadyCheckedIn = &Error{Kind: Conflict, Code: "already_checked_in", Message: "您已签到，不用再扫"}
	ErrAnnulled         = &Error{Kind: Conflict, Code: "annulled", Message: "这条签到记录已作废，请重新扫码，或请书记补记"}
	ErrMarkedAbsent     = &Error{Kind: Conflict, Code: "marked_absent", Message: "书记已将您登记为未到会，请联系书记更正"}
	ErrCheckInNotFound  = &Error{Kind: NotFound, Code: "check_in_not_found", Message: "没有这条签到记录，请刷新后再试"}
	ErrNotCheckIn       = &Error{Kind: Conflict, Code: "not_a_check_in", Message: "这条记录不是签到，要改请用“更正”"}
	ErrScreenPass       = &Error{Kind: Unauthenticated, Code: "screen_pass", Message: "大屏幕的网址已失效，请书记在手机上重新打开大屏幕"}
	ErrMemberCode       = &Error{Kind: Conflict, Code: "member_code_invalid", Message: "党员码无效或已过期，请让对方刷新后再出示"}
)

// AttendanceStatus is what became of one person at one meeting.
type AttendanceStatus string

// The statuses. Late is not among them: it is computed from the time of arrival.
const (
	Present       AttendanceStatus = "present"
	SickLeave     AttendanceStatus = "sick_leave"
	PersonalLeave AttendanceStatus = "personal_leave"
	DutyLeave     AttendanceStatus = "duty_leave"
	Absent        AttendanceStatus = "absent"
)

// Excuses says whether the status is a leave.
func (s AttendanceStatus) Excuses() bool {
	return s == SickLeave || s == PersonalLeave || s == DutyLeave
}

// AttendanceStatusNames are the words people use, by status.
var AttendanceStatusNames = map[AttendanceStatus]string{
	Present: "签到", SickLeave: "病假", PersonalLeave: "事假", DutyLeave: "公假", Absent: "缺席",
}

// Provenance is how an attendance came to be known.
type Provenance string

// The provenances. A tick counts exactly as much as a scan.
const (
	ByScan        Provenance = "scan"         // the member scanned the rotating code
	ByTypedCode   Provenance = "typed_code"   // the member typed the six digits
	ByMemberCode  Provenance = "member_code"  // the secretary scanned the member's own code
	ByTick        Provenance = "tick"         // the secretary ticked the name
	ByClosing     Provenance = "closing"      // the secretary closed the meeting
	ByLateRecord  Provenance = "late_record"  // the member asked afterwards and the secretary agreed
	ByPaper       Provenance = "paper"        // signed on paper, entered afterwards
	ByOffline     Provenance = "offline"      // scanned without a network, sent afterwards
	ByOfflineTick Provenance = "offline_tick" // ticked without a network, sent afterwards
	ByCorrection  Provenance = "correction"   // the secretary put right what was recorded
)

// ProvenanceNames are the words people use, by provenance.
var ProvenanceNames = map[Provenance]string{
	ByScan: "扫码", ByTypedCode: "签到码", ByMemberCode: "党员码", ByTick: "书记代记", ByClosing: "结束时登记",
	ByLateRecord: "补签", ByPaper: "纸质签到", ByOffline: "离线补传",
	ByOfflineTick: "离线代记", ByCorrection: "更正",
}

// Location is all that is kept of where a phone was.
type Location string

// The locations.
const (
	LocationNotGiven Location = "not_given"
	LocationWithin   Location = "within"
	LocationOutside  Location = "outside"
)

// RosterEntry is one person expected at one activity. Entries follow the
// branch until the meeting starts; after that only the exemption changes.
// BranchID is the branch of that day, to which the attendance belongs for good;
// ClosesAt is the activity's.
type RosterEntry struct {
	ActivityID uint64 `gorm:"primaryKey;autoIncrement:false"`
	MemberID   uint64 `gorm:"primaryKey;autoIncrement:false"`
	BranchID   uint64
	GroupID    *uint64
	Votes      bool
	Exempt     Exemption
	ExemptNote string
	ClosesAt   time.Time
}

// Exemption is why a member is left out of the count of those who should
// attend. Party practice knows five reasons, each approved by the branch.
type Exemption string

// The exemptions.
const (
	NotExempt              Exemption = ""
	CannotExpressWill      Exemption = "cannot_express_will"      // 因病不能表达本人意志
	LongAbroad             Exemption = "long_abroad"              // 自费出国半年以上
	InCustody              Exemption = "in_custody"               // 被羁押或正在服刑
	Bedridden              Exemption = "bedridden"                // 年老体弱卧床不起、生活不能自理
	RelationNotTransferred Exemption = "relation_not_transferred" // 外出半年以上，组织关系应转未转
)

// ExemptionNames are the words people use, by exemption.
var ExemptionNames = map[Exemption]string{
	CannotExpressWill: "因病不能表达意志", LongAbroad: "出国半年以上", InCustody: "被羁押或服刑",
	Bedridden: "年老体弱卧床", RelationNotTransferred: "外出半年以上应转未转",
}

// Leave is a member's leave from one activity, as the secretary recorded it. A
// correction is a further row, and the last one holds; one without a status
// takes the leave back. Coming after all simply makes an Attendance: the leaves
// stay as the log.
type Leave struct {
	ID         uint64
	ActivityID uint64
	MemberID   uint64
	Status     AttendanceStatus
	Reason     string
	RecordedBy uint64
	CreatedAt  time.Time
	Once       `gorm:"embedded"`
}

// Attendance is what became of one person at one activity, on one day of it
// where check-in is daily. One row holds for each, which the table's unique key
// sees to: whoever inserts it first wins, so a scan and the closing of the
// meeting can race and still leave one status. A row that no longer holds stays
// as it was written, with who annulled it, when and why.
type Attendance struct {
	ID         uint64
	ActivityID uint64
	MemberID   uint64
	BranchID   uint64
	Day        Day // "" except where check-in is daily
	Status     AttendanceStatus
	Provenance Provenance
	At         time.Time
	RecordedAt *time.Time // when it was written down, where that is not At
	Location   Location
	Guest      bool
	Device     string // a digest that tells phones apart within one activity; "" unknown
	CodeAgeMS  *int   // how old the scanned code was
	RecordedBy *uint64
	Reason     string
	Once       `gorm:"embedded"`
	Voided     uint64 // 0 while the row holds, then its own id
	VoidedBy   *uint64
	VoidedAt   *time.Time
	VoidReason string
}

// Late says whether the person came after the activity's late line. Where
// check-in is daily nobody is late: the line is of the first day alone; nor is
// whose time nobody measured.
func (t *Attendance) Late(a *Activity) bool {
	return t.Status == Present && !a.Daily && t.Provenance.measured() && !t.At.Before(a.LateAt)
}

// measured says whether the time of arrival is the server's or stated by a
// person. Of a 补签 and of a tick without a network it is neither: the first
// only says that somebody was there, the second has a phone's clock.
func (p Provenance) measured() bool { return p != ByLateRecord && p != ByOfflineTick }

// Annullable says whether the row is a check-in that can be taken back. What
// else is on record is corrected.
func (t *Attendance) Annullable() error {
	if t.Status != Present {
		return ErrNotCheckIn
	}
	return nil
}

// Arrival is everything that decides one check-in, read in one go: the
// activity, the person's place on its roster and what is already recorded.
type Arrival struct {
	Activity Activity
	Entry    *RosterEntry // nil: not on the roster
	Recorded *Attendance  // what holds, of the day where check-in is daily; nil: nothing yet
	Annulled *Attendance  // a check-in by the same nonce that no longer holds; nil: none
}

// Take sorts in a row recorded of the person, for an arrival by the nonce on
// the day.
func (v *Arrival) Take(t *Attendance, nonce string, day Day) {
	same := t.Nonce != "" && t.Nonce == nonce
	switch {
	case t.Voided != 0 && same:
		v.Annulled = t
	case t.Voided != 0:
	case same, t.Day == day && v.Recorded == nil:
		v.Recorded = t
	}
}

// Admit says whether the person may be checked in at now by a code that still
// has to prove fresh: nil means yes. A retry of the recorded check-in answers
// replay; one of a check-in that was annulled since does not bring it back.
// Refusals, in the order in which a person can act on them: wrong status, not
// on the roster, already recorded, outside [OpensAt, ClosesAt).
func (v *Arrival) Admit(once Once, now time.Time) (replay bool, err error) {
	a := &v.Activity
	if v.Recorded != nil {
		if replay, err = v.Recorded.Replays(once); replay || err != nil {
			return replay, err
		}
	}
	if v.Annulled != nil {
		if _, err = v.Annulled.Replays(once); err == nil {
			err = ErrAnnulled
		}
		return false, err
	}
	switch {
	case a.Status == Cancelled:
		return false, ErrActivityCancelled
	case a.Status == Draft:
		return false, ErrNotPublished
	case v.Entry == nil && !a.OpenToGuests:
		return false, ErrNotOnRoster
	case v.Recorded != nil && v.Recorded.Status == Present:
		return false, ErrAlreadyCheckedIn.With("checked_in_at", v.Recorded.At)
	case v.Recorded != nil && a.Status != Closed:
		return false, ErrMarkedAbsent
	case a.Status == Closed, !now.Before(a.ClosesAt):
		return false, ErrCheckInClosed.With("closed_at", a.ClosesAt)
	case now.Before(a.OpensAt):
		return false, ErrNotOpenYet.With("opens_at", a.OpensAt)
	}
	return false, nil
}

// Point is where a phone says it is, in gcj02. It is compared and thrown away.
type Point struct {
	Latitude  float64 `json:"latitude" minimum:"-90" maximum:"90" doc:"纬度（gcj02）"`
	Longitude float64 `json:"longitude" minimum:"-180" maximum:"180" doc:"经度（gcj02）"`
}

// Locate reduces a point to within or outside the place's radius.
func (p *Place) Locate(at *Point) Location {
	if at == nil || p.Radius == 0 {
		return LocationNotGiven
	}
	const earth = 6371000.0
	rad := func(deg float64) float64 { return deg * math.Pi / 180 }
	dLat, dLon := rad(at.Latitude-p.Latitude), rad(at.Longitude-p.Longitude)
	h := math.Pow(math.Sin(dLat/2), 2) + math.Cos(rad(p.Latitude))*math.Cos(rad(at.Latitude))*math.Pow(math.Sin(dLon/2), 2)
	if 2*earth*math.Asin(math.Sqrt(h)) <= float64(p.Radius) {
		return LocationWithin
	}
	return LocationOutside
}
