package model

import (
	"slices"
	"time"
)

// ComplaintKind is what a complaint is about.
type ComplaintKind string

// The kinds of complaints.
const (
	AboutFormalism  ComplaintKind = "formalism"  // 指尖上的形式主义
	AboutData       ComplaintKind = "data"       // 个人信息
	AboutCorrection ComplaintKind = "correction" // 请求更正
	AboutErasure    ComplaintKind = "erasure"    // 请求注销
	AboutElse       ComplaintKind = "other"
)

// ComplaintKindNames are the words people use, by kind.
var ComplaintKindNames = map[ComplaintKind]string{
	AboutFormalism: "形式主义、加重负担", AboutData: "个人信息", AboutCorrection: "请求更正", AboutErasure: "请求注销", AboutElse: "其他",
}

// Refusals of complaints.
var (
	ErrComplaintNotFound = &Error{Kind: NotFound, Code: "complaint_not_found", Message: "没有这条意见，请刷新后再试"}
	ErrComplaintAnswered = &Error{Kind: Conflict, Code: "complaint_answered", Message: "这条意见已经答复，请刷新查看"}
	ErrOwnComplaint      = &Error{Kind: Forbidden, Code: "own_complaint", Message: "自己提出的意见请由别人答复"}
	ErrTooManyComplaints = &Error{Kind: TooMany, Code: "too_many_complaints", Message: "今天提出的意见已经不少，都会有人看；请明天再提", RetryAfter: time.Hour}
	ErrNoComplaintBranch = &Error{Kind: Conflict, Code: "no_complaint_branch", Message: "您现在不属于任何党支部，请直接联系上级党组织"}
)

// Complaint is a member's word to those above their branch. BranchID is the
// branch of that day. An anonymous one keeps the member only to bound how many
// one person writes and to bring them the answer; its readers are not told.
type Complaint struct {
	ID         uint64
	MemberID   uint64
	BranchID   uint64
	Kind       ComplaintKind
	Text       string
	Anonymous  bool
	ActivityID *uint64
	CreatedAt  time.Time
	Answer     string
	AnsweredBy *uint64
	AnsweredAt *time.Time
	Once       `gorm:"embedded"`
}

// HearsComplaints says whether the actor is told of complaints from the
// organisation at the start of the line: as supervisor of a superior of it or
// as administrator. Whoever works in the branch itself, or leads a group of it,
// is not, whatever other post they hold: a complaint may be about them.
func (a *Actor) HearsComplaints(line Line) bool {
	return len(line) > 0 && !slices.Contains(a.DeafTo(), line[0].ID) && a.holds([]PostKind{Supervisor, Administrator}, line[1:])
}

// DeafTo are the branches of whose complaints the actor is not told, because they
// work there.
func (a *Actor) DeafTo() []uint64 {
	at := a.Conducting()
	if a.BranchID != 0 && len(a.Offices(GroupLeader)) > 0 {
		at = append(at, a.BranchID) // a group's leader is of its branch
	}
	return at
}
