package model

import (
	"slices"
	"testing"
)

func TestAnOrganisationStandsUnderOneOfAHigherLevel(t *testing.T) {
	levels := [][]OrganisationKind{
		{WorkCommittee},
		{DepartmentalCommittee, TownCommittee, SubdistrictCommittee, IndustryCommittee},
		{PrimaryCommittee}, {GeneralBranch}, {Branch, Community}, {PartyGroup},
	}
	named := 0
	for above, parents := range levels {
		named += len(parents)
		for below, kinds := range levels {
			for _, parent := range parents {
				for _, kind := range kinds {
					want := above < below
					if kind == PartyGroup {
						want = parent == Branch || parent == Community
					}
					if got := kind.FitsUnder(parent); got != want {
						t.Errorf("%s under %s: %v, want %v", kind, parent, got, want)
					}
				}
			}
		}
	}
	if named != len(OrganisationKindNames) {
		t.Errorf("this test knows %d kinds, there are %d", named, len(OrganisationKindNames))
	}
}

func TestOnlyBranchesAndCommunitiesHoldMembers(t *testing.T) {
	for kind := range OrganisationKindNames {
		if got := kind.HoldsMembers(); got != (kind == Branch || kind == Community) {
			t.Errorf("%s: %v", kind, got)
		}
	}
}

func TestALineKnowsWhoseMembersMeet(t *testing.T) {
	d := newDistrict()
	for _, c := range []struct {
		name string
		line Line
		want uint64
	}{
		{"a branch", d.line("branch"), d.id("branch")},
		{"a party group", d.line("group"), d.id("branch")},
		{"a community", d.line("community"), d.id("community")},
		{"a general branch", d.line("general"), 0},
		{"the root", d.line("root"), 0},
		{"a group whose branch is not known", d.line("group")[:1], 0},
		{"nothing", nil, 0},
	} {
		if got := c.line.BranchID(); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestPostsBelongToKindsOfOrganisations(t *testing.T) {
	committees := []OrganisationKind{WorkCommittee, DepartmentalCommittee, TownCommittee, SubdistrictCommittee, IndustryCommittee, PrimaryCommittee, GeneralBranch}
	everywhere := append([]OrganisationKind{Branch, Community}, committees...)
	fits := map[PostKind][]OrganisationKind{
		Secretary: everywhere, CommitteeMember: everywhere, Administrator: everywhere,
		GroupLeader: {PartyGroup}, CommunityLiaison: {Community}, Supervisor: committees,
	}
	own := map[PostKind][]OrganisationKind{
		Secretary: {Branch, Community, PartyGroup}, CommitteeMember: {Branch, Community, PartyGroup}, GroupLeader: {Branch, Community, PartyGroup},
	}
	for post := range PostKindNames {
		for kind := range OrganisationKindNames {
			if got := post.FitsIn(kind); got != slices.Contains(fits[post], kind) {
				t.Errorf("%s in %s: %v", post, kind, got)
			}
			if got := post.HeldByOwn(kind); got != slices.Contains(own[post], kind) {
				t.Errorf("%s in %s held by its own: %v", post, kind, got)
			}
		}
	}
	if PostKind("chairman").FitsIn(Branch) {
		t.Error("an unknown post fits somewhere")
	}
}
