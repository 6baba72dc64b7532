package model

import (
	"slices"
	"time"
)

// MemberStatus is whether a member has the vote: a probationary member has none (党章, art. 7).
type MemberStatus string

// The statuses of a member.
const (
	FullMember         MemberStatus = "full_member"         // 正式党员
	ProbationaryMember MemberStatus = "probationary_member" // 预备党员
)

// MemberStatusNames are the words people use, by status.
var MemberStatusNames = map[MemberStatus]string{FullMember: "正式党员", ProbationaryMember: "预备党员"}

// Member is a person in the registry. Leader marks members of a leading body,
// who owe 56 study credit hours a year instead of 32 (the Opinion, 三(二)).
type Member struct {
	ID        uint64       `json:"id"`
	Name      string       `json:"name"`
	Status    MemberStatus `json:"status"`
	Leader    bool         `json:"leader"`
	CreatedAt time.Time    `json:"-"`
	ErasedAt  *time.Time   `json:"-"` // since then nothing tells who it was
}

// ErasedName stands where the name of somebody erased stood.
const ErasedName = "已注销"

// Votes says whether the member may vote.
func (m *Member) Votes() bool { return m.Status == FullMember }

// MemberPhone is a member's phone number: sealed, and findable only by a keyed
// index. It is a table of its own so that a row that is shown never carries it.
type MemberPhone struct {
	MemberID   uint64 `gorm:"primaryKey;autoIncrement:false"`
	Sealed     string
	BlindIndex string
}

// Membership is a member's belonging to one branch over a span of days; a
// member has one open membership at most. What happened on a day stays with
// the branch of that day: a transfer ends one row and begins another.
type Membership struct {
	ID       uint64  `json:"-"`
	MemberID uint64  `json:"member_id"`
	BranchID uint64  `json:"branch_id"`
	GroupID  *uint64 `json:"group_id"`
	Span
}

// PostKind is a post that carries rights.
type PostKind string

// The posts.
const (
	Secretary        PostKind = "secretary"         // 书记
	CommitteeMember  PostKind = "committee_member"  // 委员
	GroupLeader      PostKind = "group_leader"      // 党小组长
	CommunityLiaison PostKind = "community_liaison" // 社区联络员
	Supervisor       PostKind = "supervisor"        // 上级党组织管理员
	Administrator    PostKind = "administrator"     // 系统管理员
)

// PostKindNames are the words people use, by post.
var PostKindNames = map[PostKind]string{
	Secretary: "书记", CommitteeMember: "委员", GroupLeader: "党小组长", CommunityLiaison: "社区联络员",
	Supervisor: "管理员", Administrator: "系统管理员",
}

// Post is held by a member in an organisation over a span of days.
type Post struct {
	ID             uint64   `json:"id"`
	MemberID       uint64   `json:"member_id"`
	OrganisationID uint64   `json:"organisation_id"`
	Kind           PostKind `json:"kind"`
	Span
}

// Actor is who calls: an account that has signed in and, once bound, the
// member behind it with the branch and the posts of today. Rights follow the
// posts held today and the organisations below them.
type Actor struct {
	SessionID uint64  `json:"session_id"`
	AccountID uint64  `json:"account_id"`
	OpenID    string  `json:"open_id"`
	MemberID  uint64  `json:"member_id,omitempty"`
	Name      string  `json:"name,omitempty"`
	BranchID  uint64  `json:"branch_id,omitempty"`
	GroupID   *uint64 `json:"group_id,omitempty"`
	Posts     []Post  `json:"posts,omitempty"`
	Address   string  `json:"-"` // where this request came from, for the audit

	operator bool // never written out, so no stored session can claim it
}

// Operator is whoever works on the machine itself: no account, no member, and
// administrator of every organisation.
func Operator() *Actor { return &Actor{operator: true} }

// Operates says whether the actor is the Operator, who alone makes and moves
// organisations that have no superior.
func (a *Actor) Operates() bool { return a.operator }

// conducts are the posts that run an organisation's meetings; oversees are
// those that may look at them.
var (
	conducts = []PostKind{Secretary, CommitteeMember, GroupLeader}
	oversees = append([]PostKind{Administrator, Supervisor, CommunityLiaison}, conducts...)
)

// holds says whether the actor has one of the posts in one of the organisations.
func (a *Actor) holds(kinds []PostKind, line Line) bool {
	if a.operator && len(line) > 0 && slices.Contains(kinds, Administrator) {
		return true
	}
	return slices.ContainsFunc(a.Posts, func(p Post) bool {
		return slices.Contains(kinds, p.Kind) &&
			slices.ContainsFunc(line, func(o Organisation) bool { return o.ID == p.OrganisationID })
	})
}

// Administers says whether the actor may change the registry of the
// organisation at the start of the line.
func (a *Actor) Administers(line Line) bool { return a.holds([]PostKind{Administrator}, line) }

// Conducts says whether the actor may run the meetings of the organisation at
// the start of the line: by a post in it, for a party group also by one in its
// branch, or as administrator.
func (a *Actor) Conducts(line Line) bool {
	return a.holds(conducts, line.home()) || a.Administers(line)
}

// Supervises says whether the actor looks after the organisation at the start of
// the line from a post of supervision or administration, in it or above it.
func (a *Actor) Supervises(line Line) bool {
	return a.holds([]PostKind{Supervisor, Administrator}, line)
}

// KeepsRoster says whether the actor may import members into the organisation
// at the start of the line: as its secretary, or as administrator.
func (a *Actor) KeepsRoster(line Line) bool {
	return a.holds([]PostKind{Secretary}, line.home()) || a.Administers(line)
}

// Appoints says whether the actor may grant and end the post in the
// organisation at the start of the line: as administrator of it, an
// administrator's post only from above; as secretary the posts of committee
// members and group leaders.
func (a *Actor) Appoints(kind PostKind, line Line) bool {
	switch kind {
	case Administrator:
		return len(line) > 0 && (a.operator || a.Administers(line[1:]))
	case CommitteeMember, GroupLeader:
		return a.KeepsRoster(line)
	}
	return a.Administers(line)
}

// Offices are the organisations in which the actor holds one of the posts.
func (a *Actor) Offices(kinds ...PostKind) []uint64 {
	var ids []uint64
	for _, p := range a.Posts {
		if slices.Contains(kinds, p.Kind) && !slices.Contains(ids, p.OrganisationID) {
			ids = append(ids, p.OrganisationID)
		}
	}
	return ids
}

// Conducting are the organisations whose meetings the actor runs by a post in them.
func (a *Actor) Conducting() []uint64 { return a.Offices(conducts...) }

// Oversees says whether the actor may look at what the organisation at the
// start of the line does: by a post in it or in any of its superiors.
func (a *Actor) Oversees(line Line) bool { return a.holds(oversees, line) }

// CreditHoursDue is how many study credit hours a member owes a year: 56 as a
// member of a leading body, 32 otherwise (the Opinion, 三(二)).
func CreditHoursDue(leader bool) float64 {
	if leader {
		return 56
	}
	return 32
}
