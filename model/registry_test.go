package model_test

import (
	"testing"

	"dangri/model"
)

func TestADayIsARealOneInItsOnlyForm(t *testing.T) {
	for day, want := range map[model.Day]bool{
		"2026-03-10": true, "2024-02-29": true, model.Forever: true,
		"2026-02-29": false, "2026-3-10": false, "2026-03-10T00:00:00Z": false, "": false, "0001-01-01": false, "二〇二六": false,
	} {
		if day.Valid() != want {
			t.Errorf("%q: got %v", day, !want)
		}
	}
}

func TestSpansAreHalfOpen(t *testing.T) {
	march := model.Span{From: "2026-03-01", Until: "2026-04-01"}
	for _, c := range []struct {
		other         model.Span
		meets, within bool // whether other meets march, and lies within it
	}{
		{march, true, true},
		{model.Span{From: "2026-03-10", Until: "2026-03-11"}, true, true},
		{model.Span{From: "2026-02-01", Until: "2026-03-01"}, false, false},
		{model.Span{From: "2026-04-01", Until: model.Forever}, false, false},
		{model.Span{From: "2026-03-31", Until: model.Forever}, true, false},
		{model.Span{From: "2026-02-01", Until: "2026-03-02"}, true, false},
	} {
		if march.Meets(c.other) != c.meets || c.other.Meets(march) != c.meets || c.other.Within(march) != c.within {
			t.Errorf("%+v", c)
		}
	}
}

func TestPostsBelongToTheirKindsOfOrganisation(t *testing.T) {
	for _, c := range []struct {
		post      model.PostKind
		in        model.OrganisationKind
		fits      bool
		heldByOwn bool
	}{
		{model.Secretary, model.Branch, true, true},
		{model.Secretary, model.GeneralBranch, true, false},
		{model.Secretary, model.PartyGroup, false, true},
		{model.CommitteeMember, model.Branch, true, true},
		{model.GroupLeader, model.PartyGroup, true, true},
		{model.GroupLeader, model.Branch, false, true},
		{model.CommunityLiaison, model.Community, true, false},
		{model.CommunityLiaison, model.Branch, false, false},
		{model.Supervisor, model.TownCommittee, true, false},
		{model.Supervisor, model.Branch, false, false},
		{model.Administrator, model.WorkCommittee, true, false},
		{model.Administrator, model.PartyGroup, false, false},
		{"emperor", model.WorkCommittee, false, false},
	} {
		if c.post.FitsIn(c.in) != c.fits || c.post.HeldByOwn(c.in) != c.heldByOwn {
			t.Errorf("%+v", c)
		}
	}
}

func TestAppointingRightsComeFromAboveAndASecretarysEndAtTheCommittee(t *testing.T) {
	root, agencies := uint64(1), uint64(2)
	district := model.Organisation{ID: 1, Kind: model.WorkCommittee}
	committee := model.Organisation{ID: 2, Kind: model.DepartmentalCommittee, ParentID: &root}
	branch := model.Organisation{ID: 3, Kind: model.Branch, ParentID: &agencies}
	line := model.Line{branch, committee, district}
	with := func(kind model.PostKind, in uint64) *model.Actor {
		return &model.Actor{MemberID: 9, Posts: []model.Post{{MemberID: 9, OrganisationID: in, Kind: kind}}}
	}
	for _, c := range []struct {
		who   string
		actor *model.Actor
		kind  model.PostKind
		line  model.Line
		want  bool
	}{
		{"a secretary", with(model.Secretary, 3), model.CommitteeMember, line, true},
		{"a secretary", with(model.Secretary, 3), model.Secretary, line, false},
		{"a secretary above", with(model.Secretary, 2), model.CommitteeMember, line, false},
		{"a supervisor", with(model.Supervisor, 1), model.CommitteeMember, line, false},
		{"an administrator above", with(model.Administrator, 2), model.Secretary, line, true},
		{"an administrator above", with(model.Administrator, 2), model.Administrator, line, true},
		{"an administrator of it", with(model.Administrator, 3), model.Administrator, line, false},
		{"an administrator of the root", with(model.Administrator, 1), model.Administrator, line[2:], false},
		{"the operator", model.Operator(), model.Administrator, line[2:], true},
		{"the operator, nowhere", model.Operator(), model.Secretary, nil, false},
		{"the operator, nowhere", model.Operator(), model.Administrator, nil, false},
		{"nobody", new(model.Actor), model.CommitteeMember, line, false},
	} {
		if got := c.actor.Appoints(c.kind, c.line); got != c.want {
			t.Errorf("%s appoints a %s: %v", c.who, c.kind, got)
		}
	}
	if op := model.Operator(); !op.Administers(line) || !op.KeepsRoster(line) || op.Oversees(nil) || !op.Operates() {
		t.Error("the operator administers everything that exists and nothing else")
	}
}
