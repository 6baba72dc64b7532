package model

import "time"

// Refusals of changes to the registry that depend on what it already holds.
var (
	ErrOrganisationInUse  = &Error{Kind: Conflict, Code: "organisation_in_use", Message: "该组织已有党员或活动，不能改变类别，党小组也不能移到别的党支部"}
	ErrOrganisationBelow  = &Error{Kind: Conflict, Code: "organisation_below", Message: "改成这一类别后，它现有的下级组织不能再设在它之下，请先调整下级组织"}
	ErrPostPlace          = &Error{Kind: Invalid, Code: "post_place", Message: "这类组织不设这一职务，请另选职务或组织"}
	ErrPostOutsider       = &Error{Kind: Conflict, Code: "post_outsider", Message: "该党员不在这个党支部或党小组，请先办理转入"}
	ErrTransferPlace      = &Error{Kind: Invalid, Code: "transfer_place", Message: "请选择一个党支部，党小组须设在该党支部之下"}
	ErrTransferBeforeJoin = &Error{Kind: Conflict, Code: "transfer_before_join", Message: "该党员在所选日期还没有转入现在的党支部或党小组，请选之后的日期"}
	ErrImportProblems     = &Error{Kind: Invalid, Code: "import_problems", Message: "表格里有需要修改的地方，请逐处改好后重新导入；这次没有写入任何内容"}
	ErrTransferHeld       = &Error{Kind: Conflict, Code: "transfer_held", Message: "所选日期之后已经开过会，转接不能改变当时的名单，请选之后的日期"}
)

// Valid says whether the day is a real one in its only form, 2006-01-02.
func (d Day) Valid() bool {
	t, err := time.Parse(time.DateOnly, string(d))
	return err == nil && t.Year() >= 1900
}

// Within says whether the span lies wholly in the other one.
func (s Span) Within(other Span) bool { return other.From <= s.From && s.Until <= other.Until }

// Meets says whether the spans have a day in common.
func (s Span) Meets(other Span) bool { return s.From < other.Until && other.From < s.Until }

// FitsIn says whether organisations of the kind have the post.
func (k PostKind) FitsIn(kind OrganisationKind) bool {
	switch k {
	case GroupLeader:
		return kind == PartyGroup
	case CommunityLiaison:
		return kind == Community
	case Secretary, CommitteeMember, Administrator:
		return kind != PartyGroup
	case Supervisor:
		return kind != PartyGroup && !kind.HoldsMembers()
	}
	return false
}

// HeldByOwn says whether only a member of the organisation can hold the post:
// a branch and a party group are led by their own.
func (k PostKind) HeldByOwn(kind OrganisationKind) bool {
	switch k {
	case Secretary, CommitteeMember, GroupLeader:
		return kind == PartyGroup || kind.HoldsMembers()
	}
	return false
}
