package model

import "time"

// Refusals of registering with a community.
var (
	ErrRegistrationNotFound = &Error{Kind: NotFound, Code: "registration_not_found", Message: "没有这条报到记录，请刷新后再试"}
	ErrNotCommunity         = &Error{Kind: Invalid, Code: "not_community", Message: "请选择要报到的社区"}
	ErrOwnCommunity         = &Error{Kind: Invalid, Code: "own_community", Message: "组织关系就在这个社区，不需要报到"}
	ErrRegistrationDay      = &Error{Kind: Conflict, Code: "registration_day", Message: "所选日期早于现有报到的开始日期，请选之后的日期"}
	ErrRegistrationEnded    = &Error{Kind: Conflict, Code: "registration_ended", Message: "这次报到已经结束，请刷新后再试"}
	ErrNotLiaison           = &Error{Kind: Forbidden, Code: "not_liaison", Message: "只有本社区的联络员可以办理"}
)

// CommunityRegistration is a branch, or a member, registered with a community
// over a span of days (在职党员到社区报到, the Opinion 三(五)). Exactly one of
// BranchID and MemberID is set; each has one open registration at most. It is
// a second home for service alone: what a member does is counted once, in the
// branch they belong to on that day.
type CommunityRegistration struct {
	ID          uint64  `json:"id"`
	CommunityID uint64  `json:"community_id"`
	BranchID    *uint64 `json:"branch_id"`
	MemberID    *uint64 `json:"member_id"`
	Span
	ConfirmedBy  *uint64    `json:"-"`
	ConfirmedAt  *time.Time `json:"confirmed_at"`
	Returned     uint64     `json:"-"` // 0, or once sent back its own id
	ReturnReason string     `json:"return_reason,omitempty" doc:"社区退回的原因"`
	CreatedBy    uint64     `json:"-"`
	CreatedAt    time.Time  `json:"-"`
}

// Counts says whether the registration is in force on the day: confirmed by
// the community and not ended.
func (r *CommunityRegistration) Counts(d Day) bool { return r.ConfirmedAt != nil && r.Covers(d) }

// Liaises says whether the actor may run the service days of the community at
// the start of the line: as its liaison or secretary, or as administrator.
func (a *Actor) Liaises(line Line) bool {
	if len(line) == 0 || line[0].Kind != Community {
		return false
	}
	return a.holds([]PostKind{CommunityLiaison, Secretary}, line[:1]) || a.Administers(line)
}

// KeepsHouseholds says whether the actor is the secretary of the branch at the
// start of the line, who alone sees the households that its members care for.
func (a *Actor) KeepsHouseholds(line Line) bool { return a.holds([]PostKind{Secretary}, line.home()) }
