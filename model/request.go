package model

import "time"

// RequestState is where something that a secretary decides stands.
type RequestState string

// The states: asked → approved | refused | withdrawn, and an approved leave
// may still be withdrawn.
const (
	Asked            RequestState = "asked"
	Approved         RequestState = "approved"
	RequestRefused   RequestState = "refused"
	RequestWithdrawn RequestState = "withdrawn"
	RequestCame      RequestState = "came" // of a leave, to the member: came after all; never stored
)

// RequestStateNames are the words people use, by state.
var RequestStateNames = map[RequestState]string{Asked: "待审批", Approved: "已同意", RequestRefused: "未同意", RequestWithdrawn: "已撤回", RequestCame: "已到会"}

// Refusals of requests.
var (
	ErrRequestNotFound   = &Error{Kind: NotFound, Code: "request_not_found", Message: "没有这条申请，请刷新后再试"}
	ErrOwnRequest        = &Error{Kind: Forbidden, Code: "own_request", Message: "自己提出的、关于自己的申请要由别人审批，请另一位支部委员办理"}
	ErrRequestDecided    = &Error{Kind: Conflict, Code: "request_decided", Message: "这条申请已经有了结果，请刷新查看"}
	ErrLeaveAsked        = &Error{Kind: Conflict, Code: "leave_asked", Message: "您已经请过假，要改请先销假再重新申请"}
	ErrLateRecordAsked   = &Error{Kind: Conflict, Code: "late_record_asked", Message: "这次活动的补签已经申请过，请等待审批"}
	ErrLateRecordEarly   = &Error{Kind: Conflict, Code: "late_record_early", Message: "签到还没有结束，请直接签到或请书记代记"}
	ErrLateRecordTooLate = &Error{Kind: Conflict, Code: "late_record_too_late", Message: "补签的期限已过，请联系党支部书记更正"}
)

// Request is what the rows of leave and of 补签 have in common: who asks for what
// is decided by somebody else, and how.
type Request struct {
	ID         uint64
	ActivityID uint64
	MemberID   uint64
	BranchID   uint64 // of that day
	Live       *bool  // true while another may not be asked, else null
	State      RequestState
	AskedAt    time.Time
	DecidedBy  *uint64
	DecidedAt  *time.Time
	Answer     string
	Once       `gorm:"embedded"`
}

// AsRequest is the part that every kind of request has.
func (r *Request) AsRequest() *Request { return r }

// Own says whether the request is about the person, who may not decide it.
func (r *Request) Own(memberID uint64) bool { return r.MemberID == memberID }

// Decide notes a decision. What is refused may be asked again.
func (r *Request) Decide(approve bool, by uint64, answer string, now time.Time) {
	r.State, r.DecidedBy, r.DecidedAt, r.Answer = Approved, &by, &now, answer
	if !approve {
		r.State, r.Live = RequestRefused, nil
	}
}

// LeaveRequest is a member asking leave from one activity. Only one of a person
// is alive, asked or approved; an approved one writes a Leave, and taking it back
// writes another.
type LeaveRequest struct {
	Request     `gorm:"embedded"`
	Status      AttendanceStatus // which kind of leave
	Note        string
	WithdrawnAt *time.Time
}

// Came is what a person sees of the state who was there in spite of it: the
// leave is over.
func (s RequestState) Came(came bool) RequestState {
	if came && (s == Asked || s == Approved) {
		return RequestCame
	}
	return s
}

// LateRecord is 补签: somebody was there and was not scanned. It counts once
// somebody else than the one who asked, and than the member, approves it. Only
// one of a person is alive, while it is asked.
type LateRecord struct {
	Request `gorm:"embedded"`
	CameAt  *time.Time
	Reason  string
	AskedBy uint64
}

// Own says whether the person asked, or is who the request is about.
func (r *LateRecord) Own(memberID uint64) bool {
	return r.AskedBy == memberID || r.Request.Own(memberID)
}

// Decide notes a decision; another meeting day may be asked for after either.
func (r *LateRecord) Decide(approve bool, by uint64, answer string, now time.Time) {
	r.Request.Decide(approve, by, answer, now)
	r.Live = nil
}

// LateRecordAt refuses a 补签 while people can still check in, and from so many
// days after the meeting was closed, or was over, on.
func (a *Activity) LateRecordAt(days int, now time.Time) error {
	if err := a.Allow(Published, Closed); err != nil {
		return err
	}
	over := a.EndsAt
	if a.ClosesAt.After(over) {
		over = a.ClosesAt
	}
	if a.ClosedAt != nil {
		over = *a.ClosedAt
	}
	switch {
	case a.Status == Published && now.Before(a.ClosesAt):
		return ErrLateRecordEarly.With("closes_at", a.ClosesAt)
	case !now.Before(over.AddDate(0, 0, days)):
		return ErrLateRecordTooLate.With("until", over.AddDate(0, 0, days))
	}
	return nil
}
