package model

import "time"

// OrganisationKind is what an organisation is within the party's structure.
type OrganisationKind string

// The kinds of organisation.
const (
	WorkCommittee         OrganisationKind = "work_committee"         // 党工委
	DepartmentalCommittee OrganisationKind = "departmental_committee" // 机关工委
	TownCommittee         OrganisationKind = "town_committee"         // 镇党委
	SubdistrictCommittee  OrganisationKind = "subdistrict_committee"  // 办事处党委
	IndustryCommittee     OrganisationKind = "industry_committee"     // 行业系统主管单位党组织
	PrimaryCommittee      OrganisationKind = "primary_committee"      // 基层党委
	GeneralBranch         OrganisationKind = "general_branch"         // 党总支
	Branch                OrganisationKind = "branch"                 // 党支部
	PartyGroup            OrganisationKind = "party_group"            // 党小组
	Community             OrganisationKind = "community"              // 社区
)

// UnitKind is the sort of unit an organisation belongs to; rules on funds and
// staffing differ by it (the Opinion, 五(一) and 五(三)).
type UnitKind string

// The kinds of unit.
const (
	Organ             UnitKind = "organ"              // 机关
	PublicInstitution UnitKind = "public_institution" // 事业单位
	Village           UnitKind = "village"            // 村
	CommunityUnit     UnitKind = "community"          // 社区
	Enterprise        UnitKind = "enterprise"         // 企业
	OtherUnit         UnitKind = "other"              // 其他
)

// OrganisationKindNames are the words people use, by kind.
var OrganisationKindNames = map[OrganisationKind]string{
	WorkCommittee: "党工委", DepartmentalCommittee: "机关工委", TownCommittee: "镇党委", SubdistrictCommittee: "办事处党委",
	IndustryCommittee: "行业系统主管单位", PrimaryCommittee: "基层党委", GeneralBranch: "党总支", Branch: "党支部",
	PartyGroup: "党小组", Community: "社区",
}

// UnitKindNames are the words people use, by kind of unit.
var UnitKindNames = map[UnitKind]string{
	Organ: "机关", PublicInstitution: "事业单位", Village: "村", CommunityUnit: "社区", Enterprise: "企业", OtherUnit: "其他",
}

// Refusals of the registry.
var (
	ErrOrganisationLoop  = &Error{Kind: Invalid, Code: "organisation_loop", Message: "上级组织不能是自己或自己的下级，请另选上级"}
	ErrOrganisationPlace = &Error{Kind: Invalid, Code: "organisation_place", Message: "这类组织不能设在所选的上级组织之下，请另选上级"}
	ErrOrganisationTaken = &Error{Kind: Conflict, Code: "organisation_taken", Message: "同一上级之下已有同名的组织，请换一个名称"}
	ErrMemberTaken       = &Error{Kind: Conflict, Code: "member_taken", Message: "该手机号已登记在另一位党员名下，请先更正名册"}
	ErrPostTaken         = &Error{Kind: Conflict, Code: "post_taken", Message: "该党员已担任这一职务，不用再任命"}
)

// Organisation is one node of the tree. A party group is an organisation under
// its branch.
type Organisation struct {
	ID        uint64           `json:"id"`
	ParentID  *uint64          `json:"parent_id"`
	Kind      OrganisationKind `json:"kind"`
	UnitKind  UnitKind         `json:"unit_kind"`
	Name      string           `json:"name"`
	CreatedAt time.Time        `json:"-"`
}

// rank orders the kinds from the top of the tree down.
var rank = map[OrganisationKind]int{
	WorkCommittee: 0, DepartmentalCommittee: 1, TownCommittee: 1, SubdistrictCommittee: 1, IndustryCommittee: 1,
	PrimaryCommittee: 2, GeneralBranch: 3, Branch: 4, Community: 4, PartyGroup: 5,
}

// FitsUnder says whether an organisation of kind k may be directly under
// parent: every kind under one of a higher level, a party group only under a
// branch or a community, and nothing under a party group.
func (k OrganisationKind) FitsUnder(parent OrganisationKind) bool {
	if k == PartyGroup {
		return parent == Branch || parent == Community
	}
	return rank[parent] < rank[k]
}

// HoldsMembers says whether members belong to organisations of this kind directly.
func (k OrganisationKind) HoldsMembers() bool { return k == Branch || k == Community }

// Line is an organisation followed by its superiors up to the root.
type Line []Organisation

// home is the organisation that meets: itself, for a party group also its branch.
func (l Line) home() Line {
	if len(l) > 1 && l[0].Kind == PartyGroup {
		return l[:2]
	}
	return l[:min(1, len(l))]
}

// BranchID is the branch (or community) that the line runs through: whose
// members meet; zero for an organisation above branches.
func (l Line) BranchID() uint64 {
	for _, o := range l.home() {
		if o.Kind.HoldsMembers() {
			return o.ID
		}
	}
	return 0
}
