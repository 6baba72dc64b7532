package model

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// district is a tree to stand in:
//
//	root ─ agencies ─ general ─ branch ─ group, group2
//	     │                    └ branch2
//	     └ town ─ other, community
type district map[string]Organisation

func newDistrict() district {
	d := district{}
	add := func(name, parent string, kind OrganisationKind) {
		o := Organisation{ID: uint64(len(d) + 1), Kind: kind, Name: name}
		if above, ok := d[parent]; ok {
			o.ParentID = &above.ID
		}
		d[name] = o
	}
	add("root", "", WorkCommittee)
	add("agencies", "root", DepartmentalCommittee)
	add("general", "agencies", GeneralBranch)
	add("branch", "general", Branch)
	add("group", "branch", PartyGroup)
	add("group2", "branch", PartyGroup)
	add("branch2", "general", Branch)
	add("town", "root", TownCommittee)
	add("other", "town", Branch)
	add("community", "town", Community)
	return d
}

func (d district) id(name string) uint64 { return d[name].ID }

// line is the organisation with its superiors.
func (d district) line(name string) Line {
	line := Line{d[name]}
	for line[len(line)-1].ParentID != nil {
		for _, o := range d {
			if o.ID == *line[len(line)-1].ParentID {
				line = append(line, o)
				break
			}
		}
	}
	return line
}

func TestRightsFollowPostsAndTheSubtree(t *testing.T) {
	d := newDistrict()
	everything := []string{"root", "agencies", "general", "branch", "group", "group2", "branch2", "town", "other", "community"}
	agencies := []string{"agencies", "general", "branch", "group", "group2", "branch2"}
	meeting := []string{"branch", "group", "group2"}
	for _, c := range []struct {
		who                                          string
		actor                                        Actor
		conducts, keepsRoster, administers, oversees []string
	}{
		{who: "a member without a post", actor: Actor{MemberID: 1, BranchID: d.id("branch")}},
		{who: "nobody"},
		{"the secretary of a branch", Actor{Posts: []Post{{OrganisationID: d.id("branch"), Kind: Secretary}}}, meeting, meeting, nil, meeting},
		{"a committee member of a branch", Actor{Posts: []Post{{OrganisationID: d.id("branch"), Kind: CommitteeMember}}}, meeting, nil, nil, meeting},
		{"a group leader", Actor{Posts: []Post{{OrganisationID: d.id("group"), Kind: GroupLeader}}}, []string{"group"}, nil, nil, []string{"group"}},
		{"the secretary of a general branch", Actor{Posts: []Post{{OrganisationID: d.id("general"), Kind: Secretary}}},
			[]string{"general"}, []string{"general"}, nil, []string{"general", "branch", "group", "group2", "branch2"}},
		{"a supervisor", Actor{Posts: []Post{{OrganisationID: d.id("agencies"), Kind: Supervisor}}}, nil, nil, nil, agencies},
		{"a supervisor at the top", Actor{Posts: []Post{{OrganisationID: d.id("root"), Kind: Supervisor}}}, nil, nil, nil, everything},
		{"a community liaison", Actor{Posts: []Post{{OrganisationID: d.id("community"), Kind: CommunityLiaison}}}, nil, nil, nil, []string{"community"}},
		{"an administrator of a part", Actor{Posts: []Post{{OrganisationID: d.id("agencies"), Kind: Administrator}}}, agencies, agencies, agencies, agencies},
		{"an administrator of everything", Actor{Posts: []Post{{OrganisationID: d.id("root"), Kind: Administrator}}}, everything, everything, everything, everything},
		{"the operator of the machine", *Operator(), everything, everything, everything, everything},
		{"secretary here and supervisor there", Actor{Posts: []Post{{OrganisationID: d.id("branch"), Kind: Secretary}, {OrganisationID: d.id("town"), Kind: Supervisor}}},
			meeting, meeting, nil, append([]string{"town", "other", "community"}, meeting...)},
		{"a post of an unknown kind", Actor{Posts: []Post{{OrganisationID: d.id("root"), Kind: "chairman"}}}, nil, nil, nil, nil},
	} {
		t.Run(c.who, func(t *testing.T) {
			for _, name := range everything {
				line := d.line(name)
				for right, pair := range map[string]struct {
					got  bool
					want []string
				}{
					"conducts":     {c.actor.Conducts(line), c.conducts},
					"keeps roster": {c.actor.KeepsRoster(line), c.keepsRoster},
					"administers":  {c.actor.Administers(line), c.administers},
					"oversees":     {c.actor.Oversees(line), c.oversees},
				} {
					if pair.got != slices.Contains(pair.want, name) {
						t.Errorf("%s %s: %v", right, name, pair.got)
					}
				}
			}
			if c.actor.Conducts(nil) || c.actor.KeepsRoster(nil) || c.actor.Administers(nil) || c.actor.Oversees(nil) {
				t.Error("has rights over an organisation that does not exist")
			}
		})
	}
}

func TestWhoGrantsAPost(t *testing.T) {
	d := newDistrict()
	secretary := Actor{Posts: []Post{{OrganisationID: d.id("branch"), Kind: Secretary}}}
	administrator := Actor{Posts: []Post{{OrganisationID: d.id("agencies"), Kind: Administrator}}}
	member := Actor{MemberID: 1, BranchID: d.id("branch")}
	for _, c := range []struct {
		who   string
		actor *Actor
		kind  PostKind
		in    string
		want  bool
	}{
		{"secretary", &secretary, CommitteeMember, "branch", true},
		{"secretary", &secretary, GroupLeader, "group", true},
		{"secretary", &secretary, Secretary, "branch", false},
		{"secretary", &secretary, Administrator, "branch", false},
		{"secretary", &secretary, CommitteeMember, "branch2", false},
		{"secretary", &secretary, Supervisor, "general", false},
		{"administrator", &administrator, Secretary, "branch", true},
		{"administrator", &administrator, GroupLeader, "group", true},
		{"administrator", &administrator, Supervisor, "agencies", true},
		{"administrator", &administrator, Administrator, "general", true},
		{"administrator", &administrator, Administrator, "agencies", false},
		{"administrator", &administrator, Administrator, "root", false},
		{"administrator", &administrator, Secretary, "other", false},
		{"operator", Operator(), Administrator, "root", true},
		{"operator", Operator(), Secretary, "branch", true},
		{"member", &member, GroupLeader, "group", false},
	} {
		if got := c.actor.Appoints(c.kind, d.line(c.in)); got != c.want {
			t.Errorf("%s appoints %s in %s: %v", c.who, c.kind, c.in, got)
		}
	}
	for kind := range PostKindNames {
		if Operator().Appoints(kind, nil) || administrator.Appoints(kind, nil) {
			t.Errorf("%s is granted in an organisation that does not exist", kind)
		}
	}
}

func TestOfficesAreEachOrganisationOnce(t *testing.T) {
	a := Actor{Posts: []Post{
		{OrganisationID: 4, Kind: Secretary}, {OrganisationID: 4, Kind: CommitteeMember}, {OrganisationID: 2, Kind: Supervisor}, {OrganisationID: 5, Kind: GroupLeader},
	}}
	if got := a.Offices(Secretary, CommitteeMember, GroupLeader); !slices.Equal(got, []uint64{4, 5}) {
		t.Errorf("got %v", got)
	}
	if got := a.Offices(Administrator); got != nil {
		t.Errorf("got %v", got)
	}
}

func TestNoStoredActorIsTheOperator(t *testing.T) {
	raw, err := json.Marshal(Operator())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(raw), `{"operator":true,"Operator":true,"member_id":1}`} {
		var a Actor
		if err := json.Unmarshal([]byte(text), &a); err != nil || a.Operates() {
			t.Errorf("%s makes an operator (%v)", text, err)
		}
	}
	if !Operator().Operates() || strings.Contains(string(raw), "perator") {
		t.Errorf("got %s", raw)
	}
}

func TestAProbationaryMemberHasNoVote(t *testing.T) {
	for status, want := range map[MemberStatus]bool{FullMember: true, ProbationaryMember: false, "": false} {
		if got := (&Member{Status: status}).Votes(); got != want {
			t.Errorf("%q: %v", status, got)
		}
	}
}

func TestLeadersOwe56CreditHoursAndMembers32(t *testing.T) {
	if CreditHoursDue(true) != 56 || CreditHoursDue(false) != 32 {
		t.Errorf("got %v and %v", CreditHoursDue(true), CreditHoursDue(false))
	}
}

func TestWhoIsToldOfComplaintsFromABranch(t *testing.T) {
	d := newDistrict()
	supervisor := Post{OrganisationID: d.id("agencies"), Kind: Supervisor}
	for _, c := range []struct {
		who   string
		actor Actor
		want  bool
	}{
		{"a supervisor above", Actor{Posts: []Post{supervisor}}, true},
		{"an administrator above", Actor{Posts: []Post{{OrganisationID: d.id("root"), Kind: Administrator}}}, true},
		{"the operator", *Operator(), true},
		{"a supervisor who is a member of the branch", Actor{BranchID: d.id("branch"), Posts: []Post{supervisor}}, true},
		{"a supervisor elsewhere", Actor{Posts: []Post{{OrganisationID: d.id("town"), Kind: Supervisor}}}, false},
		{"a supervisor of the branch itself", Actor{Posts: []Post{{OrganisationID: d.id("branch"), Kind: Supervisor}}}, false},
		{"the secretary above", Actor{Posts: []Post{{OrganisationID: d.id("general"), Kind: Secretary}}}, false},
		{"its secretary, who supervises as well", Actor{BranchID: d.id("branch"), Posts: []Post{supervisor, {OrganisationID: d.id("branch"), Kind: Secretary}}}, false},
		{"a leader of its group, who supervises as well", Actor{BranchID: d.id("branch"), Posts: []Post{supervisor, {OrganisationID: d.id("group"), Kind: GroupLeader}}}, false},
		{"a leader of another branch's group, who supervises as well", Actor{BranchID: d.id("branch2"), Posts: []Post{supervisor, {OrganisationID: 99, Kind: GroupLeader}}}, true},
	} {
		if got := c.actor.HearsComplaints(d.line("branch")); got != c.want {
			t.Errorf("%s: %v", c.who, got)
		}
		if c.actor.HearsComplaints(nil) {
			t.Errorf("%s is told of an organisation that does not exist", c.who)
		}
	}
}

func TestWhoRunsTheServiceDaysOfACommunity(t *testing.T) {
	d := newDistrict()
	for _, c := range []struct {
		post Post
		in   string
		want bool
	}{
		{Post{OrganisationID: d.id("community"), Kind: CommunityLiaison}, "community", true},
		{Post{OrganisationID: d.id("community"), Kind: Secretary}, "community", true},
		{Post{OrganisationID: d.id("town"), Kind: Administrator}, "community", true},
		{Post{OrganisationID: d.id("town"), Kind: Secretary}, "community", false},
		{Post{OrganisationID: d.id("community"), Kind: CommitteeMember}, "community", false},
		{Post{OrganisationID: d.id("other"), Kind: Secretary}, "other", false},
		{Post{OrganisationID: d.id("town"), Kind: Administrator}, "other", false},
	} {
		a := Actor{Posts: []Post{c.post}}
		if got := a.Liaises(d.line(c.in)); got != c.want || a.Liaises(nil) {
			t.Errorf("%+v in %s: %v", c.post, c.in, got)
		}
	}
}
