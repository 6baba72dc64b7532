package service_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

func wantRefusal(t *testing.T, what string, err error, want *model.Error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %s, want %s", what, explain(err), want.Code)
	}
}

// lookThenWrite is the negative control of a race: two who both look before
// either writes, holding nothing in between.
func lookThenWrite(w *trial.World, look func(db *gorm.DB, i int) bool, write func(db *gorm.DB, i int) error) {
	var looked sync.WaitGroup
	looked.Add(2)
	var turn sync.Mutex // the second write must not fail for the first one's locks
	trial.Race(2, func(i int) {
		may := look(w.DB, i)
		looked.Done()
		looked.Wait()
		turn.Lock()
		defer turn.Unlock()
		if may {
			_ = write(w.DB, i) // what came of it is looked at afterwards
		}
	})
}

func TestK8_AUnitThatMovesTakesItsScopeAlongAtOnce(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		o := newOffice(w, "第一党支部")
		agencies, town := w.Agencies(), w.Organisation(ptr(w.District()), model.TownCommittee, "松溪镇党委")
		before, after := w.Member(o.branch, "丁前"), w.Member(o.branch, "丁后")
		w.Post(before, agencies, model.Supervisor)
		w.Post(after, town, model.Supervisor)
		sees := func(p *trial.Person) error {
			_, err := w.Services.Members.List(t.Context(), w.Actor(p), o.branch.ID, "", 10)
			return err
		}
		if err := sees(before); err != nil {
			t.Errorf("the present superior: %s", explain(err))
		}
		wantRefusal(t, "another committee", sees(after), model.ErrNotFound)
		_, err := w.Organisations.Update(t.Context(), model.Operator(), o.branch.ID,
			service.OrganisationInput{ParentID: town.ID, Kind: model.Branch, UnitKind: model.Village, Name: "第一党支部"})
		if err != nil {
			t.Fatal(explain(err))
		}
		wantRefusal(t, "the former superior", sees(before), model.ErrNotFound)
		if err := sees(after); err != nil {
			t.Errorf("the new superior: %s", explain(err))
		}
	})
}

func TestK9_AnOrganisationIsNeverPutUnderItselfOrWhereItsKindDoesNotBelong(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		district, agencies := w.District(), w.Agencies()
		general := w.Organisation(&agencies, model.GeneralBranch, "财政总支")
		branch := w.Organisation(&general, model.Branch, "第一党支部")
		group := w.Group(branch, "第一党小组")
		put := func(o, under model.Organisation, kind model.OrganisationKind) error {
			_, err := w.Organisations.Update(t.Context(), model.Operator(), o.ID,
				service.OrganisationInput{ParentID: under.ID, Kind: kind, UnitKind: o.UnitKind, Name: o.Name})
			return err
		}
		wantRefusal(t, "under itself", put(general, general, model.GeneralBranch), model.ErrOrganisationLoop)
		wantRefusal(t, "under its own branch", put(general, branch, model.PartyGroup), model.ErrOrganisationLoop)
		wantRefusal(t, "the root under a branch of it", put(district, agencies, model.Branch), model.ErrOrganisationLoop)
		wantRefusal(t, "a group under a general branch", put(group, general, model.PartyGroup), model.ErrOrganisationPlace)
		wantRefusal(t, "a committee under a branch", put(agencies, branch, model.DepartmentalCommittee), model.ErrOrganisationLoop)
		wantRefusal(t, "a branch with a group turned into a general branch", put(branch, agencies, model.GeneralBranch), model.ErrOrganisationBelow)
		wantRefusal(t, "under nothing known", put(branch, model.Organisation{ID: 999_999}, model.Branch), model.ErrNotFound)
		if model.ErrOrganisationLoop.Kind != model.Invalid || model.ErrOrganisationPlace.Kind != model.Invalid {
			t.Error("a loop and a wrong place are wrong requests whatever the state")
		}
		w.Member(branch, "丁一", trial.InGroup(group))
		other := w.Branch("第二党支部")
		wantRefusal(t, "a branch in use turned into a community", put(branch, general, model.Community), model.ErrOrganisationInUse)
		wantRefusal(t, "a group in use in another branch", put(group, other, model.PartyGroup), model.ErrOrganisationInUse)
		if err := put(branch, agencies, model.Branch); err != nil {
			t.Errorf("a branch in use moves: %s", explain(err))
		}
	})
}

// loops are the organisations that are their own superiors.
func loops(t *testing.T, w *trial.World) []string {
	t.Helper()
	var names []string
	err := w.DB.Raw(`WITH RECURSIVE up AS (
		SELECT id AS start, parent_id, 0 AS height FROM organisations
		UNION ALL SELECT up.start, o.parent_id, up.height + 1 FROM organisations o JOIN up ON o.id = up.parent_id WHERE up.height < 9
	) SELECT DISTINCT o.name FROM up JOIN organisations o ON o.id = up.start WHERE up.parent_id = up.start`).Scan(&names).Error
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestK9_ConcurrentMovesNeverMakeALoop(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		agencies := w.Agencies()
		pair := func(name string) [2]model.Organisation {
			return [2]model.Organisation{w.Organisation(&agencies, model.PrimaryCommittee, name+"甲"), w.Organisation(&agencies, model.PrimaryCommittee, name+"乙")}
		}
		for round := range 10 {
			two := pair(fmt.Sprint("党委", round))
			var moved atomic.Int64
			trial.Race(2, func(i int) {
				_, err := w.Organisations.Update(t.Context(), model.Operator(), two[i].ID, service.OrganisationInput{
					ParentID: two[1-i].ID, Kind: model.GeneralBranch, UnitKind: model.Organ, Name: two[i].Name})
				switch {
				case err == nil:
					moved.Add(1)
				case !errors.Is(err, model.ErrOrganisationLoop):
					t.Errorf("round %d: %s", round, explain(err))
				}
			})
			if moved.Load() != 1 {
				t.Errorf("round %d: %d of two crossing moves were made", round, moved.Load())
			}
		}
		if found := loops(t, w); len(found) != 0 {
			t.Errorf("loops: %v", found)
		}
		two := pair("无锁党委")
		lookThenWrite(w, func(db *gorm.DB, i int) bool {
			var superior model.Organisation
			return db.Take(&superior, two[1-i].ID).Error == nil && *superior.ParentID == agencies.ID
		}, func(db *gorm.DB, i int) error {
			return db.Model(&model.Organisation{}).Where("id = ?", two[i].ID).Update("parent_id", two[1-i].ID).Error
		})
		if len(loops(t, w)) != 2 {
			t.Error("this test could not see the race")
		}
	})
}

func TestOrganisationsAreMadeAndChangedByAdministratorsAbove(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		o := newOffice(w, "第一党支部")
		agencies, town := w.Agencies(), w.Organisation(ptr(w.District()), model.TownCommittee, "松溪镇党委")
		admin, watcher, stranger := w.Member(o.branch, "丁管"), w.Member(o.branch, "丁看"), w.Member(o.branch, "丁闲")
		w.Post(admin, agencies, model.Administrator)
		w.Post(watcher, agencies, model.Supervisor)
		input := func(parent uint64, kind model.OrganisationKind, name string) service.OrganisationInput {
			return service.OrganisationInput{ParentID: parent, Kind: kind, UnitKind: model.Organ, Name: name}
		}
		add := func(p *trial.Person, in service.OrganisationInput) error {
			_, err := w.Organisations.Add(t.Context(), w.Actor(p), in)
			return err
		}
		if err := add(admin, input(agencies.ID, model.Branch, "第二党支部")); err != nil {
			t.Errorf("an administrator: %s", explain(err))
		}
		wantRefusal(t, "the same name again", add(admin, input(agencies.ID, model.Branch, " 第二党支部 ")), model.ErrOrganisationTaken)
		wantRefusal(t, "a supervisor", add(watcher, input(agencies.ID, model.Branch, "第三党支部")), model.ErrForbidden)
		wantRefusal(t, "who has no post", add(stranger, input(agencies.ID, model.Branch, "第三党支部")), model.ErrNotFound)
		wantRefusal(t, "beside", add(admin, input(town.ID, model.Branch, "第三党支部")), model.ErrNotFound)
		wantRefusal(t, "a root", add(admin, input(0, model.WorkCommittee, "另一个区")), model.ErrForbidden)
		if err := add(o.secretary, input(o.branch.ID, model.PartyGroup, "第一党小组")); err != nil {
			t.Errorf("a secretary makes a group: %s", explain(err))
		}
		wantRefusal(t, "a secretary's second branch", add(o.secretary, input(o.branch.ID, model.Branch, "分支部")), model.ErrForbidden)

		update := func(p *trial.Person, id uint64, in service.OrganisationInput) error {
			_, err := w.Organisations.Update(t.Context(), w.Actor(p), id, in)
			return err
		}
		if err := update(admin, agencies.ID, input(w.District().ID, model.DepartmentalCommittee, "区直机关工委")); err != nil {
			t.Errorf("the own name: %s", explain(err))
		}
		wantRefusal(t, "the own place", update(admin, agencies.ID, input(town.ID, model.Branch, "区直机关工委")), model.ErrForbidden)
		wantRefusal(t, "out of the own part of the tree", update(admin, o.branch.ID, input(town.ID, model.Branch, "第一党支部")), model.ErrNotFound)
		wantRefusal(t, "a secretary renames the branch", update(o.secretary, o.branch.ID, input(agencies.ID, model.Branch, "第一支部")), model.ErrForbidden)
		wantRefusal(t, "a name with a slash", update(admin, o.branch.ID, input(agencies.ID, model.Branch, "一/二")), model.BadField("name", ""))
		var entries int64
		w.DB.Model(&model.AuditEntry{}).Where("action IN ?", []string{"add_organisation", "update_organisation"}).Count(&entries)
		if entries != 3 {
			t.Errorf("%d audit entries for three changes", entries)
		}
		if _, err := w.Organisations.Add(t.Context(), model.Operator(), input(0, model.WorkCommittee, "区党工委")); !errors.Is(err, model.ErrOrganisationTaken) {
			t.Errorf("a second root of one name: %s", explain(err))
		}
	})
}

func TestOrganisationsAndMembersAreListedPageByPageWithinWhatOneOversees(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		o := newOffice(w, "第一党支部")
		for _, name := range []string{"第二党支部", "第三党支部", "第四党支部"} {
			w.Branch(name)
		}
		watcher := w.Member(o.branch, "丁看")
		w.Post(watcher, w.Agencies(), model.Supervisor)
		w.Members(o.branch, 5)
		var names []string
		for cursor := ""; ; {
			page, err := w.Organisations.List(t.Context(), w.Actor(watcher), w.Agencies().ID, cursor, 3)
			if err != nil {
				t.Fatal(explain(err))
			}
			for _, o := range page.Items {
				names = append(names, o.Name)
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if got := strings.Join(names, " "); got != "第一党支部 第二党支部 第三党支部 第四党支部" {
			t.Errorf("got %s", got)
		}
		seen := map[uint64]bool{}
		for cursor := ""; ; {
			page, err := w.Services.Members.List(t.Context(), w.Actor(watcher), o.branch.ID, cursor, 3)
			if err != nil {
				t.Fatal(explain(err))
			}
			for _, m := range page.Items {
				seen[m.ID] = true
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if len(seen) != 7 {
			t.Errorf("%d members in pages", len(seen))
		}
		own, err := w.Organisations.List(t.Context(), w.Actor(watcher), 0, "", 10)
		if err != nil || len(own.Items) != 1 || own.Items[0].ID != w.Agencies().ID {
			t.Errorf("where I have a post: %+v, %v", own, err)
		}
		roots, err := w.Organisations.List(t.Context(), model.Operator(), 0, "", 10)
		if err != nil || len(roots.Items) != 1 || roots.Items[0].ID != w.District().ID {
			t.Errorf("the roots: %+v, %v", roots, err)
		}
		_, above := w.Organisations.List(t.Context(), w.Actor(watcher), w.District().ID, "", 10)
		_, unknown := w.Organisations.List(t.Context(), w.Actor(watcher), 999_999, "", 10)
		wantRefusal(t, "above", above, model.ErrNotFound)
		if explain(above) != explain(unknown) {
			t.Errorf("above %s, unknown %s", explain(above), explain(unknown))
		}
		for _, cursor := range []string{"x", "-1", "1e3", strings.Repeat("9", 30)} {
			if _, err := w.Services.Members.List(t.Context(), w.Actor(watcher), o.branch.ID, cursor, 3); !errors.Is(err, model.BadField("", "")) {
				t.Errorf("cursor %q: %s", cursor, explain(err))
			}
		}
	})
}

func TestK11_APhoneNumberIsMaskedAndEveryLookAtAWholeOneIsAudited(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		o, other := newOffice(w, "第一党支部"), newOffice(w, "第二党支部")
		p, plain, watcher := w.Member(o.branch, "丁一"), w.Member(o.branch, "丁二"), w.Member(o.branch, "丁看")
		w.Post(watcher, w.Agencies(), model.Supervisor)
		w.Bind(p)
		page, err := w.Services.Members.List(t.Context(), w.Actor(watcher), o.branch.ID, "", 100)
		if err != nil {
			t.Fatal(explain(err))
		}
		for _, m := range page.Items {
			if m.Phone != "" {
				t.Errorf("a supervisor sees %s", m.Phone)
			}
		}
		if m := o.members(t)["丁一"]; m.Phone != p.Phone[:3]+"****"+p.Phone[7:] || !m.Bound {
			t.Errorf("the secretary sees %+v", m)
		}
		if m := o.members(t)["丁二"]; m.Bound {
			t.Errorf("bound though nobody bound them: %+v", m)
		}
		reveal := func(by *trial.Person) (*service.RevealedPhone, error) {
			return w.Services.Members.RevealPhone(t.Context(), w.Actor(by), p.ID)
		}
		_, err = w.Services.Members.List(t.Context(), w.Actor(plain), o.branch.ID, "", 100)
		wantRefusal(t, "a member lists the branch", err, model.ErrNotFound)
		_, err = reveal(plain)
		wantRefusal(t, "a member", err, model.ErrNotFound)
		_, err = reveal(watcher)
		wantRefusal(t, "a supervisor", err, model.ErrForbidden)
		_, foreign := reveal(other.secretary)
		_, unknown := w.Services.Members.RevealPhone(t.Context(), w.Actor(other.secretary), 999_999)
		if wantRefusal(t, "another branch's secretary", foreign, model.ErrNotFound); explain(foreign) != explain(unknown) {
			t.Errorf("foreign %s, unknown %s", explain(foreign), explain(unknown))
		}
		looks := func() (n int64) {
			w.DB.Model(&model.AuditEntry{}).Where("action = ? AND object = ? AND member_id = ?", "view_phone", fmt.Sprint("member/", p.ID), o.secretary.ID).Count(&n)
			return n
		}
		if looks() != 0 {
			t.Error("refused looks are noted as looks")
		}
		got, err := reveal(o.secretary)
		if err != nil || got.Phone != p.Phone || looks() != 1 {
			t.Errorf("got %+v, %v, %d entries", got, err, looks())
		}
	})
}

func TestK14_AGroupLeaderSeesTheNamesOfTheOwnGroupAndNoMore(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		o := newOffice(w, "第一党支部")
		one, two := w.Group(o.branch, "第一党小组"), w.Group(o.branch, "第二党小组")
		leader := w.Member(o.branch, "丁长", trial.InGroup(one))
		w.Member(o.branch, "丁一", trial.InGroup(one))
		w.Member(o.branch, "丁二", trial.InGroup(two))
		w.Post(leader, one, model.GroupLeader)
		page, err := w.Services.Members.List(t.Context(), w.Actor(leader), one.ID, "", 100)
		if err != nil || len(page.Items) != 2 {
			t.Fatalf("got %+v, %v", page, err)
		}
		for _, m := range page.Items {
			if m.Phone != "" {
				t.Errorf("a group leader sees %s", m.Phone)
			}
			if m.Group != "第一党小组" {
				t.Errorf("%s is in %q", m.Name, m.Group)
			}
		}
		for _, id := range []uint64{two.ID, o.branch.ID} {
			_, err := w.Services.Members.List(t.Context(), w.Actor(leader), id, "", 100)
			wantRefusal(t, fmt.Sprint("organisation ", id), err, model.ErrNotFound)
		}
		_, err = w.Services.Members.RevealPhone(t.Context(), w.Actor(leader), leader.ID+1)
		wantRefusal(t, "a phone", err, model.ErrNotFound)
	})
}

func TestD5_WhatHappenedStaysWithTheBranchOfThatDay(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		one, two := newOffice(w, "第一党支部"), newOffice(w, "第二党支部")
		p := w.Member(one.branch, "丁行")
		w.Post(p, one.branch, model.CommitteeMember)
		held := one.publish(t, time.Hour)
		before, after := one.publish(t, 2*24*time.Hour), one.publish(t, 5*24*time.Hour)
		theirs := two.publish(t, 5*24*time.Hour)
		w.Clock.Advance(3 * time.Hour)
		day := func(n int) model.Day { return model.DayOf(w.Clock.Now().AddDate(0, 0, n), trial.Zone) }
		transfer := func(day model.Day) (*model.Membership, error) {
			return w.Services.Members.Transfer(t.Context(), model.Operator(), p.ID, service.TransferInput{BranchID: two.branch.ID, Day: day})
		}
		_, err := transfer(day(-1))
		wantRefusal(t, "to a day before a meeting that was held", err, model.ErrTransferHeld)
		m, err := transfer(day(3))
		if err != nil || m.From != day(3) {
			t.Fatalf("to a day to come: %+v, %s", m, explain(err))
		}
		for what, c := range map[string]struct {
			at   *office
			id   uint64
			want int64
		}{
			"the meeting held before":          {one, held, 2},
			"the old branch's meeting before":  {one, before, 2},
			"the old branch's meeting after":   {one, after, 1},
			"the new branch's meeting after":   {two, theirs, 2},
			"the new branch's meeting not yet": {two, two.publish(t, 24*time.Hour), 1},
		} {
			if n := c.at.expected(t, c.id); n != c.want {
				t.Errorf("%s expects %d, want %d", what, n, c.want)
			}
		}
		if a := w.Actor(p); a.BranchID != one.branch.ID || len(a.Posts) != 1 {
			t.Errorf("until that day the member belongs to the old branch: %+v", a)
		}
		w.Clock.Advance(3 * 24 * time.Hour)
		if a := w.Actor(p); a.BranchID != two.branch.ID || len(a.Posts) != 0 {
			t.Errorf("from that day on the member belongs to the new one: %+v", a)
		}
		if _, there := one.members(t)["丁行"]; there {
			t.Error("the old branch still lists the member")
		}
		again, err := transfer(m.From)
		if err != nil || again.ID != m.ID {
			t.Errorf("asking again: %+v, %s", again, explain(err))
		}
		var spans int64
		w.DB.Model(&model.Membership{}).Where("member_id = ?", p.ID).Count(&spans)
		if spans != 2 {
			t.Errorf("%d memberships", spans)
		}
		var entries int64
		w.DB.Model(&model.AuditEntry{}).Where("action = ? AND object = ?", "transfer_member", fmt.Sprint("member/", p.ID)).Count(&entries)
		if entries != 1 {
			t.Errorf("%d audit entries for one transfer", entries)
		}
	})
}

func TestATransferToADayInThePastIsTakenWhereNobodyMet(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		one, two := newOffice(w, "第一党支部"), newOffice(w, "第二党支部")
		p := w.Member(one.branch, "丁行", trial.Between("2026-02-01", model.Forever))
		transfer := func(day model.Day) error {
			_, err := w.Services.Members.Transfer(t.Context(), model.Operator(), p.ID, service.TransferInput{BranchID: two.branch.ID, Day: day})
			return err
		}
		wantRefusal(t, "before the member joined", transfer("2026-01-15"), model.ErrTransferBeforeJoin)
		wantRefusal(t, "no day at all", transfer("2026-02-30"), model.BadField("", ""))
		if err := transfer("2026-03-01"); err != nil {
			t.Errorf("nobody met since: %s", explain(err))
		}
		// Back on the very day: the belonging in between held for no day.
		_, err := w.Services.Members.Transfer(t.Context(), model.Operator(), p.ID, service.TransferInput{BranchID: one.branch.ID, Day: "2026-03-01"})
		if err != nil {
			t.Fatal(explain(err))
		}
		var spans []model.Membership
		w.DB.Order("from_day").Find(&spans, "member_id = ?", p.ID)
		if len(spans) != 2 || spans[0].Until != "2026-03-01" || spans[1].From != "2026-03-01" || spans[1].BranchID != one.branch.ID {
			t.Errorf("got %+v", spans)
		}
	})
}

func TestASecretaryMovesPeopleBetweenTheOwnGroupsOnly(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		one, two := newOffice(w, "第一党支部"), newOffice(w, "第二党支部")
		first, second, theirs := w.Group(one.branch, "第一党小组"), w.Group(one.branch, "第二党小组"), w.Group(two.branch, "第一党小组")
		p := w.Member(one.branch, "丁一", trial.InGroup(first))
		w.Post(p, first, model.GroupLeader)
		w.Post(p, one.branch, model.CommitteeMember)
		transfer := func(in service.TransferInput) error {
			_, err := w.Services.Members.Transfer(t.Context(), w.Actor(one.secretary), p.ID, in)
			return err
		}
		wantRefusal(t, "to another branch", transfer(service.TransferInput{BranchID: two.branch.ID}), model.ErrNotFound)
		wantRefusal(t, "to another branch's group", transfer(service.TransferInput{BranchID: one.branch.ID, GroupID: theirs.ID}), model.ErrTransferPlace)
		wantRefusal(t, "to a branch as a group", transfer(service.TransferInput{BranchID: one.branch.ID, GroupID: one.branch.ID}), model.ErrTransferPlace)
		if err := transfer(service.TransferInput{BranchID: one.branch.ID, GroupID: second.ID}); err != nil {
			t.Fatal(explain(err))
		}
		a := w.Actor(p)
		if *a.GroupID != second.ID || len(a.Posts) != 1 || a.Posts[0].Kind != model.CommitteeMember {
			t.Errorf("the post in the group that is left ends, that in the branch stays: %+v", a)
		}
	})
}

func TestConcurrentTransfersLeaveOneBelongingForEachDay(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		home := w.Branch("第一党支部")
		p := w.Member(home, "丁行")
		var branches []model.Organisation
		for i := range 4 {
			branches = append(branches, w.Branch(fmt.Sprintf("第%d支部", i)))
		}
		trial.Race(len(branches), func(i int) {
			_, err := w.Services.Members.Transfer(t.Context(), model.Operator(), p.ID, service.TransferInput{BranchID: branches[i].ID})
			if err != nil && !errors.Is(err, model.ErrChangedMeantime) {
				t.Errorf("transfer: %s", explain(err))
			}
		})
		today := model.DayOf(w.Clock.Now(), trial.Zone)
		var spans []model.Membership
		w.DB.Order("from_day").Find(&spans, "member_id = ?", p.ID)
		if len(spans) != 2 || spans[0].Until != today || spans[1].From != today || spans[1].BranchID == home.ID {
			t.Errorf("got %+v", spans)
		}
	})
}

func TestJ8_APostCountsFromTheNextRequestAndItsEndToo(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		o := newOffice(w, "第一党支部")
		p := w.Member(o.branch, "丁一")
		w.Actor(p)
		in := service.PostInput{MemberID: p.ID, OrganisationID: o.branch.ID, Kind: model.CommitteeMember}
		post, err := w.Posts.Grant(t.Context(), o.Actor(o.secretary), in)
		if err != nil {
			t.Fatal(explain(err))
		}
		if posts := w.Actor(p).Posts; len(posts) != 1 || posts[0].ID != post.ID {
			t.Errorf("granted and yet: %+v", posts)
		}
		again, err := w.Posts.Grant(t.Context(), o.Actor(o.secretary), in)
		if err != nil || again.ID != post.ID {
			t.Errorf("granting again: %+v, %s", again, explain(err))
		}
		for range 2 {
			if err := w.Posts.End(t.Context(), o.Actor(o.secretary), post.ID, model.DayOf(w.Clock.Now(), trial.Zone)); err != nil && !errors.Is(err, model.ErrNotFound) {
				t.Fatal(explain(err))
			}
			if posts := w.Actor(p).Posts; len(posts) != 0 {
				t.Errorf("ended and yet: %+v", posts)
			}
		}
		if _, err := w.Posts.Grant(t.Context(), o.Actor(o.secretary), in); err != nil {
			t.Errorf("granting once more on the same day: %s", explain(err))
		}
	})
}

func TestPostsAreGrantedByThoseWhoAppoint(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		one, two := newOffice(w, "第一党支部"), newOffice(w, "第二党支部")
		group := w.Group(one.branch, "第一党小组")
		admin, watcher := w.Member(one.branch, "丁管"), w.Member(one.branch, "丁看")
		w.Post(admin, w.Agencies(), model.Administrator)
		w.Post(watcher, w.Agencies(), model.Supervisor)
		p, grouped, theirs := w.Member(one.branch, "丁一"), w.Member(one.branch, "丁二", trial.InGroup(group)), w.Member(two.branch, "丁三")
		grant := func(by *trial.Person, to *trial.Person, in model.Organisation, kind model.PostKind) error {
			_, err := w.Posts.Grant(t.Context(), w.Actor(by), service.PostInput{MemberID: to.ID, OrganisationID: in.ID, Kind: kind})
			return err
		}
		wantRefusal(t, "a secretary appoints a secretary", grant(one.secretary, p, one.branch, model.Secretary), model.ErrForbidden)
		wantRefusal(t, "a secretary in another branch", grant(one.secretary, p, two.branch, model.CommitteeMember), model.ErrNotFound)
		wantRefusal(t, "a secretary for another's member", grant(one.secretary, theirs, one.branch, model.CommitteeMember), model.ErrNotFound)
		wantRefusal(t, "a supervisor", grant(watcher, p, one.branch, model.CommitteeMember), model.ErrForbidden)
		wantRefusal(t, "a member", grant(p, p, one.branch, model.CommitteeMember), model.ErrNotFound)
		wantRefusal(t, "an administrator of the own level", grant(admin, p, w.Agencies(), model.Administrator), model.ErrForbidden)
		wantRefusal(t, "another branch's member", grant(admin, theirs, one.branch, model.Secretary), model.ErrPostOutsider)
		wantRefusal(t, "a leader from outside the group", grant(admin, p, group, model.GroupLeader), model.ErrPostOutsider)
		wantRefusal(t, "a group leader of a branch", grant(admin, p, one.branch, model.GroupLeader), model.ErrPostPlace)
		wantRefusal(t, "a supervisor of a branch", grant(admin, p, one.branch, model.Supervisor), model.ErrPostPlace)
		for what, err := range map[string]error{
			"a secretary and a group leader":         grant(one.secretary, grouped, group, model.GroupLeader),
			"an administrator and a secretary":       grant(admin, p, one.branch, model.Secretary),
			"an administrator and a supervisor":      grant(admin, theirs, w.Agencies(), model.Supervisor),
			"an administrator and one further below": grant(admin, theirs, two.branch, model.Administrator),
		} {
			if err != nil {
				t.Errorf("%s: %s", what, explain(err))
			}
		}
		var post model.Post
		w.DB.Take(&post, "kind = ? AND organisation_id = ? AND member_id = ?", model.Secretary, one.branch.ID, p.ID)
		wantRefusal(t, "a secretary ends a secretary", w.Posts.End(t.Context(), one.Actor(one.secretary), post.ID, ""), model.ErrForbidden)
		foreign := w.Posts.End(t.Context(), two.Actor(two.secretary), post.ID, "")
		if unknown := w.Posts.End(t.Context(), two.Actor(two.secretary), 999_999, ""); explain(foreign) != explain(unknown) {
			t.Errorf("foreign %s, unknown %s", explain(foreign), explain(unknown))
		}
		wantRefusal(t, "in the past", w.Posts.End(t.Context(), w.Actor(admin), post.ID, "2026-03-09"), model.BadField("", ""))
		if err := w.Posts.End(t.Context(), w.Actor(admin), post.ID, "2026-04-01"); err != nil {
			t.Errorf("on a day to come: %s", explain(err))
		}
		w.DB.Take(&post, post.ID)
		if post.Until != "2026-04-01" {
			t.Errorf("got %+v", post)
		}
	})
}

func TestAPostIsHeldOnceAtATimeHoweverManyGrantItAtOnce(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		o := newOffice(w, "第一党支部")
		p, unlocked := w.Member(o.branch, "丁一"), w.Member(o.branch, "丁二")
		until := func(i int) model.Day { return model.Day(fmt.Sprintf("2027-01-%02d", i+1)) }
		actor := o.Actor(o.secretary)
		var granted atomic.Int64
		trial.Race(8, func(i int) {
			// Each a day before the other: they overlap, none lies within
			// another, and no key of the table tells them apart.
			_, err := w.Posts.Grant(t.Context(), actor, service.PostInput{MemberID: p.ID, OrganisationID: o.branch.ID,
				Kind: model.CommitteeMember, From: model.Day(fmt.Sprintf("2026-05-%02d", 20-i)), Until: until(20 - i)})
			switch {
			case err == nil:
				granted.Add(1)
			case !errors.Is(err, model.ErrPostTaken):
				t.Errorf("grant: %s", explain(err))
			}
		})
		if granted.Load() != 1 {
			t.Errorf("%d of eight overlapping posts were granted", granted.Load())
		}
		held := func() (n int64) {
			w.DB.Model(&model.Post{}).Where("member_id = ?", unlocked.ID).Count(&n)
			return n
		}
		lookThenWrite(w, func(*gorm.DB, int) bool { return held() == 0 }, func(db *gorm.DB, i int) error {
			return db.Create(&model.Post{MemberID: unlocked.ID, OrganisationID: o.branch.ID, Kind: model.CommitteeMember,
				Span: model.Span{From: "2026-05-01", Until: until(i)}}).Error
		})
		if n := held(); n != 2 {
			t.Errorf("this test could not see the race: %d", n)
		}
	})
}
