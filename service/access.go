package service

import (
	"fmt"
	"maps"
	"slices"

	"gorm.io/gorm"

	"dangri/model"
)

// overseen is the line of an organisation that the actor may look at.
func overseen(tx *gorm.DB, actor *model.Actor, id uint64) (model.Line, error) {
	line, err := lineOf(tx, id)
	if err != nil {
		return nil, err
	}
	if !actor.Oversees(line) {
		return nil, model.ErrNotFound
	}
	return line, nil
}

// rosterKept is lineOfMember for whoever keeps the roster there: to others who
// oversee the branch the member may be known, to anybody else there is none.
func rosterKept(tx *gorm.DB, actor *model.Actor, memberID uint64, day model.Day) (model.Line, error) {
	line, err := lineOfMember(tx, memberID, day)
	switch {
	case err != nil:
		return nil, err
	case !actor.Oversees(line):
		return nil, model.ErrNotFound
	case !actor.KeepsRoster(line):
		return nil, model.ErrForbidden
	}
	return line, nil
}

// seen loads an activity for somebody who may see it, or refuses as if there
// were none. What was never published is seen by those who conduct it;
// otherwise who oversees the organisation, is on the roster, came, or belongs
// to the branch may look, and an open activity is for every member. To a branch
// that meets with it, it is as one of its own.
func seen(tx *gorm.DB, actor *model.Actor, id uint64) (*model.Activity, model.Line, *model.Standing, error) {
	a, err := find[model.Activity](tx, id, model.ErrActivityNotFound)
	if err != nil {
		return nil, nil, nil, err
	}
	line, err := lineOf(tx, a.OrganisationID)
	if err != nil {
		return nil, nil, nil, err
	}
	own, err := standingOf(tx, id, actor.MemberID)
	if err != nil {
		return nil, nil, nil, err
	}
	visible := actor.Oversees(line) || own.Entry != nil || own.Recorded != nil || a.OpenToGuests && actor.MemberID != 0 ||
		actor.BranchID != 0 && actor.BranchID == line.BranchID()
	if !a.Announced() {
		visible = actor.Conducts(line)
	}
	if !visible {
		if visible, err = sharedWith(tx, actor, a); err != nil {
			return nil, nil, nil, err
		}
	}
	if !visible {
		return nil, nil, nil, model.ErrActivityNotFound
	}
	return a, line, own, nil
}

func conducted(tx *gorm.DB, actor *model.Actor, id uint64) (*model.Activity, model.Line, error) {
	a, line, _, err := seen(tx, actor, id)
	if err != nil {
		return nil, nil, err
	}
	if !actor.Conducts(line) {
		return nil, nil, model.ErrNotConductor
	}
	return a, line, nil
}

// holdConducted is conducted that also holds the activity's row, so that
// nothing is recorded beside a closing or a new roster.
func holdConducted(tx *gorm.DB, actor *model.Actor, id uint64) (*model.Activity, error) {
	if _, _, err := conducted(tx, actor, id); err != nil {
		return nil, err
	}
	return lock[model.Activity](tx, id, model.ErrActivityNotFound)
}

// liaised loads a service day for somebody who may run it.
func liaised(tx *gorm.DB, actor *model.Actor, id uint64) (*model.ServiceDay, model.Line, error) {
	d, err := find[model.ServiceDay](tx, id, model.ErrServiceDayNotFound)
	if err != nil {
		return nil, nil, err
	}
	line, err := lineOf(tx, d.CommunityID)
	switch {
	case err != nil:
		return nil, nil, err
	case actor.Liaises(line):
		return d, line, nil
	case d.Announced():
		return nil, nil, model.ErrNotLiaison
	}
	return nil, nil, model.ErrServiceDayNotFound
}

// conductedOrganisations is a query for the ids of the organisations whose
// meetings the actor may run.
func conductedOrganisations(db *gorm.DB, actor *model.Actor) *gorm.DB {
	var all []uint64
	for _, p := range actor.Posts {
		if p.Kind == model.Administrator {
			all = append(all, p.OrganisationID)
		}
	}
	return homesOf(db, actor).Or("id IN (?)", below(db, append(all, 0)))
}

// homesOf is a query for the ids of the organisations whose meetings the actor
// runs by a post in them, the party groups of a branch included. It is
// Actor.Conducts as far as that is the actor's own work.
func homesOf(db *gorm.DB, actor *model.Actor) *gorm.DB {
	homes := append(actor.Conducting(), 0)
	return db.Model(&model.Organisation{}).Select("id").Where("id IN ? OR parent_id IN ? AND kind = ?", homes, homes, model.PartyGroup)
}

// homesOfEach is what homesOf says of each of the actors: by organisation the
// places in actors of those who run its meetings.
func homesOfEach(db *gorm.DB, actors []*model.Actor) (map[uint64][]int, error) {
	homes := map[uint64][]int{}
	for n, actor := range actors {
		for _, id := range actor.Conducting() {
			homes[id] = append(homes[id], n)
		}
	}
	if len(homes) == 0 {
		return homes, nil
	}
	var partyGroups []struct{ ID, ParentID uint64 }
	err := db.Table("organisations").Select("id", "parent_id").Find(&partyGroups, "parent_id IN ? AND kind = ?", slices.Sorted(maps.Keys(homes)), model.PartyGroup).Error
	if err != nil {
		return nil, fmt.Errorf("party groups of %d organisations: %w", len(homes), err)
	}
	for _, g := range partyGroups {
		homes[g.ID] = append(homes[g.ID], homes[g.ParentID]...)
	}
	for id, of := range homes { // who has a post in the branch and one in its group runs the group's meetings once
		slices.Sort(of)
		homes[id] = slices.Compact(of)
	}
	return homes, nil
}
