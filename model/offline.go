package model

import (
	"slices"
	"strings"
	"time"
)

// Refusals of what is sent afterwards: more than anybody has to send of one
// activity, and an item that is not formed as it should be.
var (
	ErrOfflineFull   = &Error{Kind: Conflict, Code: "offline_full", Message: "这场活动的离线记录太多了，没有再收；请联系党支部书记"}
	ErrItemNonce     = &Error{Kind: Invalid, Code: "item_nonce", Message: "这一条的编号不合格，没有记上；请更新小程序后重新提交，或联系党支部书记"}
	ErrItemTime      = &Error{Kind: Invalid, Code: "item_time", Message: "这一条的时间读不出来，没有记上；请更新小程序后重新提交，或联系党支部书记"}
	ErrItemMalformed = &Error{Kind: Invalid, Code: "item_malformed", Message: "这一条的格式不对，没有记上；请更新小程序后重新提交，或联系党支部书记"}
)

// OfflineKind is what a phone noted while it had no network.
type OfflineKind string

// The kinds.
const (
	OfflineScan       OfflineKind = "scan"        // the member's own scan of the screen
	OfflineMemberCode OfflineKind = "member_code" // the member's code, scanned by who conducts the meeting
	OfflineTick       OfflineKind = "tick"        // a name, ticked by who conducts the meeting
	OfflineUnclear    OfflineKind = "unclear"     // none of these, or several at once
)

// OfflineDoubt is what is odd about the time that a phone gave.
type OfflineDoubt string

// The doubts.
const (
	ClientAhead      OfflineDoubt = "future"      // later than it was received
	ClientEarly      OfflineDoubt = "before_open" // before the check-in opened
	ClientOld        OfflineDoubt = "old"         // more than three days before it was received
	ClientDisputes   OfflineDoubt = "code_time"   // not when the code could be seen
	ClientUnreadable OfflineDoubt = "unreadable"  // no time at all; the receipt stands in for it
)

// OfflineDoubtNames are the words people use, by doubt.
var OfflineDoubtNames = map[OfflineDoubt]string{
	ClientAhead: "手机时间晚于收到的时间", ClientEarly: "手机时间早于开放签到", ClientOld: "手机时间在三天以前", ClientDisputes: "手机时间与码的时间对不上",
	ClientUnreadable: "手机时间读不出来",
}

const (
	offlineAge   = 72 * time.Hour
	offlineDrift = 2 * time.Minute // how far the clock of an honest phone may be off
)

// OfflineItem is one arrival that a phone noted without a network and sent
// afterwards, with what became of it. What the phone says of the time stands
// apart from what the server knows.
type OfflineItem struct {
	ID         uint64
	ActivityID uint64
	UploadedBy uint64
	MemberID   *uint64 // nil: nobody that could be known
	BranchID   uint64  // the member's, 0 unknown
	Kind       OfflineKind
	CodeDigest string
	ClientAt   time.Time
	IssuedAt   *time.Time // the second of issue that is signed in the code
	ReceivedAt time.Time
	Doubts     string     // joined by commas
	Refusal    string     // the code of the refusal, "" accepted
	FactAt     *time.Time // of the arrival on record, or the moment that the refusal is about
	Late       bool
	Once       `gorm:"embedded"`
}

// Doubt notes what is odd about the phone's time; life is how long the code
// could be seen.
func (i *OfflineItem) Doubt(opensAt time.Time, life time.Duration) {
	var found []string
	add := func(d OfflineDoubt, odd bool) {
		if odd {
			found = append(found, string(d))
		}
	}
	add(ClientAhead, i.ClientAt.After(i.ReceivedAt.Add(offlineDrift)))
	add(ClientEarly, i.ClientAt.Before(opensAt))
	add(ClientOld, i.ReceivedAt.Sub(i.ClientAt) > offlineAge)
	add(ClientDisputes, i.IssuedAt != nil && (i.ClientAt.Before(i.IssuedAt.Add(-offlineDrift)) || !i.ClientAt.Before(i.IssuedAt.Add(life+offlineDrift))))
	i.Doubts = strings.Join(found, ",")
}

// Doubted is the doubts, one by one.
func (i *OfflineItem) Doubted() []OfflineDoubt {
	all := []OfflineDoubt{}
	for d := range strings.SplitSeq(i.Doubts, ",") {
		if d != "" {
			all = append(all, OfflineDoubt(d))
		}
	}
	return all
}

// When is the time of arrival that the item stands for. The second of issue
// that is signed in a code is the server's own time and decides. A tick has
// none: there the secretary attests, so the phone's time counts where it can be
// true, and otherwise the time of receipt.
func (i *OfflineItem) When(opensAt time.Time) time.Time {
	switch {
	case i.IssuedAt != nil && i.IssuedAt.Before(i.ReceivedAt):
		return *i.IssuedAt
	case i.Kind == OfflineTick && !i.ClientAt.Before(opensAt) && !i.ClientAt.After(i.ReceivedAt):
		return i.ClientAt
	}
	return i.ReceivedAt
}

// Admit refuses an arrival at the time that may not be entered any more, or
// never could: a member's own scan has to be of [OpensAt, ClosesAt), those who
// conduct the meeting may record until it is closed. Held is what is on record
// of the day, expected says whether the member is on the roster.
func (i *OfflineItem) Admit(a *Activity, held *Attendance, expected bool, at time.Time) error {
	switch {
	case a.Status == Cancelled:
		return ErrActivityCancelled
	case a.Status == Draft:
		return ErrNotPublished
	case !expected && !a.OpenToGuests:
		return ErrNotOnRoster
	case held != nil && held.Status == Present:
		return ErrAlreadyCheckedIn.With("checked_in_at", held.At)
	case a.Status == Closed:
		return ErrCheckInClosed.With("closed_at", a.ClosesAt)
	case held != nil:
		return ErrMarkedAbsent
	case at.Before(a.OpensAt):
		return ErrNotOpenYet.With("opens_at", a.OpensAt)
	case i.Kind == OfflineScan && !at.Before(a.ClosesAt):
		return ErrCheckInClosed.With("closed_at", a.ClosesAt)
	}
	return nil
}

// Settle notes what became of the item: recorded, or why not.
func (i *OfflineItem) Settle(a *Activity, recorded *Attendance, refusal *Error) {
	i.Refusal, i.FactAt, i.Late = "", nil, false
	if refusal == nil {
		at := recorded.At
		i.FactAt, i.Late = &at, recorded.Late(a)
		return
	}
	i.Refusal = refusal.Code
	for _, fact := range []string{"checked_in_at", "opens_at", "closed_at"} {
		if at, ok := refusal.Details[fact].(time.Time); ok {
			i.FactAt = &at
		}
	}
}

// offlineSentences say what became of an item: to the member themself, and of
// the member to whoever keeps the list. An empty second is as the first.
var offlineSentences = map[string][2]string{
	"":                        {"已补记签到", ""},
	ErrCodeInvalid.Code:       {"二维码无效，没有记上，请联系党支部书记", "扫的二维码无效"},
	ErrCodeExpired.Code:       {"二维码已作废，没有记上，请联系党支部书记", "扫的码在换新码时已作废，核实后可以补记"},
	ErrMemberCode.Code:        {"党员码无效，请改用勾选姓名", ""},
	ErrWrongActivity.Code:     {"这是另一场活动的二维码，没有记上", "扫的是另一场活动的码"},
	ErrActivityCancelled.Code: {"活动已取消，没有记上", ""},
	ErrNotPublished.Code:      {"活动还没有发布，没有记上", ""},
	ErrNotOnRoster.Code:       {"您不在本次活动的名单中，请联系党支部书记", "不在本次活动的名单中"},
	ErrAlreadyCheckedIn.Code:  {"您已签到，不用再补", "已经签到，不用再补"},
	ErrMarkedAbsent.Code:      {"书记已将您登记为未到会，请联系书记更正", "已登记为未到会，要改请用“更正”"},
	ErrCheckInClosed.Code:     {"签到已经结束，可以请书记补签", "送到时签到已经结束，核实后可以补签"},
	ErrNotOpenYet.Code:        {"扫码时签到还没有开始，没有记上", "当时签到还没有开始"},
	ErrAnnulled.Code:          {"签到记录已作废，请联系党支部书记", "签到记录已作废，没有再记"},
	ErrNotConductor.Code:      {"只有办理会议的人可以代记，没有记上", "代记的人不办理这次会议"},
	ErrKeyReused.Code:         {"同一个编号已用于另一条，请重新提交这一条", ""},
	ErrItemNonce.Code:         {ErrItemNonce.Message, "传来的编号不合格，核实后可以补记"},
	ErrItemTime.Code:          {ErrItemTime.Message, "传来的时间读不出来，核实后可以补记"},
	ErrItemMalformed.Code:     {ErrItemMalformed.Message, "传来的格式不对，核实后可以补记"},
	BadField("code", "").Code: {"要有且只有一种：扫到的码、党员码或勾选的党员", ""},
}

// Sentence says what became of the item, to the member themself or of them.
func (i *OfflineItem) Sentence(toThemself bool) string {
	said := offlineSentences[i.Refusal]
	switch {
	case i.Refusal == "" && i.Late:
		return said[0] + "，记为迟到"
	case toThemself || said[1] == "":
		return said[0]
	}
	return said[1]
}

// Named says whether those who keep the list may be told who it is about: not
// who was merely named by a number that could be guessed.
func (i *OfflineItem) Named() bool {
	return i.Kind == OfflineScan || !slices.Contains([]string{ErrNotOnRoster.Code, ErrNotConductor.Code}, i.Refusal)
}
