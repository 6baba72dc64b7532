package service

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"dangri/model"
)

// Organisations is the tree: who is under whom.
type Organisations struct {
	db       *gorm.DB
	boards   *Boards
	settings Settings
	now      func() time.Time
}

// lineOf is the organisation with its superiors up to the root; empty when
// there is no such organisation.
func lineOf(tx *gorm.DB, organisationID uint64) (model.Line, error) {
	var line model.Line
	err := tx.Raw(`WITH RECURSIVE line AS (
		SELECT o.*, 0 AS height FROM organisations o WHERE o.id = ?
		UNION ALL
		SELECT o.*, line.height + 1 FROM organisations o JOIN line ON o.id = line.parent_id WHERE line.height < 20
	) SELECT id, parent_id, kind, unit_kind, name FROM line ORDER BY height`, organisationID).Scan(&line).Error
	if err != nil {
		return nil, fmt.Errorf("line of organisation %d: %w", organisationID, err)
	}
	return line, nil
}

// below is a query for the ids of the organisations and everything under them.
func below(tx *gorm.DB, organisationIDs []uint64) *gorm.DB {
	return tx.Raw(`WITH RECURSIVE below AS (
		SELECT id, 0 AS depth FROM organisations WHERE id IN ?
		UNION ALL
		SELECT o.id, below.depth + 1 FROM organisations o JOIN below ON o.parent_id = below.id WHERE below.depth < 20
	) SELECT DISTINCT id FROM below`, organisationIDs)
}

// OrganisationInput says what an organisation is and where it belongs.
type OrganisationInput struct {
	ParentID uint64                 `json:"parent_id" doc:"上级组织；0 表示没有上级"`
	Kind     model.OrganisationKind `json:"kind" enum:"work_committee,departmental_committee,town_committee,subdistrict_committee,industry_committee,primary_committee,general_branch,branch,party_group,community" doc:"类别"`
	UnitKind model.UnitKind         `json:"unit_kind" enum:"organ,public_institution,village,community,enterprise,other" doc:"单位性质"`
	Name     string                 `json:"name" minLength:"2" maxLength:"100" doc:"名称，同一上级之下不重复"`
}

func (in *OrganisationInput) check() error {
	if model.OrganisationKindNames[in.Kind] == "" {
		return model.BadField("kind", "没有这种组织类别")
	}
	if model.UnitKindNames[in.UnitKind] == "" {
		return model.BadField("unit_kind", "没有这种单位性质")
	}
	name, ok := organisationName(in.Name)
	if !ok {
		return model.BadField("name", badOrganisationName)
	}
	in.Name = name
	return nil
}

const badOrganisationName = "名称须为2至100个字，不能含“/”“>”"

// organisationName is a name as it is kept; "/" and ">" are left to paths such
// as 机关工委/第一党支部.
func organisationName(text string) (string, bool) {
	name := cleanLine(text)
	n := utf8.RuneCountInString(name)
	return name, n >= 2 && n <= 100 && !strings.ContainsAny(name, "/>／＞")
}

// Add puts an organisation into the tree, for an administrator of
// its superior; a party group also for the branch's secretary. A kind that
// does not belong there and a name that its superior has already are refused.
func (s *Organisations) Add(ctx context.Context, actor *model.Actor, in OrganisationInput) (*model.Organisation, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	now := s.now()
	return inTx(ctx, s.db, func(tx *gorm.DB) (*model.Organisation, error) {
		if err := lockBranches(tx, in.ParentID); err != nil {
			return nil, err
		}
		if err := mayPlace(tx, actor, 0, in); err != nil {
			return nil, err
		}
		o := &model.Organisation{ParentID: ref(in.ParentID), Kind: in.Kind, UnitKind: in.UnitKind, Name: in.Name, CreatedAt: now}
		if err := tx.Create(o).Error; err != nil {
			return nil, taken(err, model.ErrOrganisationTaken)
		}
		return o, auditBy(tx, now, actor, "add_organisation", "organisation", o.ID, "ok", nil)
	})
}

// Update renames an organisation, moves it with everything below
// it, or changes its kind: the name for its own administrator, the rest for
// one of both its superiors, the present and the new. Refused are a place
// under itself or where its kind does not belong, and another kind once it has
// members or activities.
//
// Loops cannot arise, however many moves run at once: every kind ranks below
// that of its superior, and whoever sets a kind or a superior holds the rows
// of the organisation and of both its superiors, in the order of ids.
func (s *Organisations) Update(ctx context.Context, actor *model.Actor, id uint64, in OrganisationInput) (*model.Organisation, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	now := s.now()
	o, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.Organisation, error) {
		before, err := find[model.Organisation](tx, id, model.ErrNotFound)
		if err != nil {
			return nil, err
		}
		if err := lockBranches(tx, id, deref(before.ParentID), in.ParentID); err != nil {
			return nil, err
		}
		line, err := overseen(tx, actor, id)
		switch {
		case err != nil:
			return nil, err
		case deref(line[0].ParentID) != deref(before.ParentID):
			return nil, model.ErrChangedMeantime
		case !actor.Administers(line) && !(line[0].Kind == model.PartyGroup && actor.KeepsRoster(line)):
			return nil, model.ErrForbidden
		}
		o := line[0]
		if err := mayChange(tx, actor, line, in); err != nil {
			return nil, err
		}
		changed := model.Organisation{ID: id, ParentID: ref(in.ParentID), Kind: in.Kind, UnitKind: in.UnitKind, Name: in.Name}
		if deref(o.ParentID) == in.ParentID && o.Kind == in.Kind && o.UnitKind == in.UnitKind && o.Name == in.Name {
			return &changed, nil
		}
		meetings, branches, err := meetingsAbove(tx, id, now)
		if err != nil {
			return nil, err
		}
		if err := tx.Select("parent_id", "kind", "unit_kind", "name").Updates(&changed).Error; err != nil {
			return nil, taken(err, model.ErrOrganisationTaken)
		}
		// The meetings of the old superiors lose these branches, those of the new gain them.
		if err := remakeRosters(tx, s.settings.Sending, meetings, now); err != nil {
			return nil, err
		}
		if err := syncRosters(tx, s.settings.Sending, branches, now); err != nil {
			return nil, err
		}
		return &changed, auditBy(tx, now, actor, "update_organisation", "organisation", id, "ok",
			map[string]any{"parent_before": o.ParentID, "parent": changed.ParentID, "kind_before": o.Kind, "kind": in.Kind})
	})
	if err == nil {
		s.boards.treeMoved(ctx)
	}
	return o, err
}

// meetingsAbove is the branches of an organisation, held, and the upcoming
// activities that their members may be expected at.
func meetingsAbove(tx *gorm.DB, id uint64, now time.Time) (activities, branches []uint64, err error) {
	err = tx.Model(&model.Organisation{}).Where("id IN (?) AND kind IN ?", below(tx, []uint64{id}), []model.OrganisationKind{model.Branch, model.Community}).
		Order("id").Pluck("id", &branches).Error
	if err != nil {
		return nil, nil, fmt.Errorf("branches of organisation %d: %w", id, err)
	}
	if err := lockBranches(tx, branches...); err != nil {
		return nil, nil, err
	}
	activities, err = upcomingOf(tx, branches, now)
	return activities, branches, err
}

// mayChange refuses another superior or kind for the organisation at the start
// of the line, whose row and the new superior's are held.
func mayChange(tx *gorm.DB, actor *model.Actor, line model.Line, in OrganisationInput) error {
	o := line[0]
	moves, turns := deref(o.ParentID) != in.ParentID, o.Kind != in.Kind
	if !moves && !turns {
		return rootTaken(tx, o.ID, in)
	}
	ownGroup := o.Kind == model.PartyGroup && actor.KeepsRoster(line)
	if !ownGroup && !actor.Operates() && !actor.Administers(line[1:]) {
		return model.ErrForbidden
	}
	if err := mayPlace(tx, actor, o.ID, in); err != nil {
		return err
	}
	if turns || o.Kind == model.PartyGroup {
		used, err := inUse(tx, []uint64{o.ID})
		if err != nil {
			return err
		}
		if len(used) > 0 {
			return model.ErrOrganisationInUse
		}
	}
	if turns {
		var children []model.Organisation
		if err := tx.Find(&children, "parent_id = ?", o.ID).Error; err != nil {
			return fmt.Errorf("read organisations under %d: %w", o.ID, err)
		}
		for _, c := range children {
			if !c.Kind.FitsUnder(in.Kind) {
				return model.ErrOrganisationBelow
			}
		}
	}
	return nil
}

// mayPlace refuses a place in the tree: one that the actor may not fill, one
// below the organisation itself, one where the kind does not belong.
func mayPlace(tx *gorm.DB, actor *model.Actor, id uint64, in OrganisationInput) error {
	if in.ParentID == 0 {
		switch {
		case !actor.Operates():
			return model.ErrForbidden
		case in.Kind == model.PartyGroup:
			return model.ErrOrganisationPlace
		}
		return rootTaken(tx, id, in)
	}
	line, err := lineOf(tx, in.ParentID)
	switch {
	case err != nil:
		return err
	case !actor.Oversees(line):
		return model.ErrNotFound
	case !actor.Administers(line) && !(in.Kind == model.PartyGroup && actor.KeepsRoster(line)):
		return model.ErrForbidden
	case slices.ContainsFunc(line, func(o model.Organisation) bool { return o.ID == id }):
		return model.ErrOrganisationLoop
	case !in.Kind.FitsUnder(line[0].Kind):
		return model.ErrOrganisationPlace
	}
	return nil
}

// rootTaken refuses a second root of the same name: the table's key does not
// compare organisations that have no superior.
func rootTaken(tx *gorm.DB, id uint64, in OrganisationInput) error {
	if in.ParentID != 0 {
		return nil
	}
	var others int64
	err := tx.Model(&model.Organisation{}).Where("parent_id IS NULL AND name = ? AND id <> ?", in.Name, id).Count(&others).Error
	if err != nil {
		return fmt.Errorf("look for root: %w", err)
	}
	if others > 0 {
		return model.ErrOrganisationTaken
	}
	return nil
}

// inUse is those of the organisations that members belong to, or did, or that
// have activities.
func inUse(tx *gorm.DB, ids []uint64) ([]uint64, error) {
	var used []uint64
	for _, some := range chunks(ids, 500) {
		var part []uint64
		err := tx.Raw(`SELECT branch_id FROM memberships WHERE branch_id IN ? UNION SELECT group_id FROM memberships WHERE group_id IN ?
			UNION SELECT organisation_id FROM activities WHERE organisation_id IN ?`, some, some, some).Scan(&part).Error
		if err != nil {
			return nil, fmt.Errorf("use of organisations: %w", err)
		}
		used = append(used, part...)
	}
	return used, nil
}

// OrganisationPage is a part of a list, the oldest first.
type OrganisationPage struct {
	Items []model.Organisation `json:"items"`
	Next  string               `json:"next,omitempty" doc:"下一页的 cursor；没有就是到底了"`
}

// List is what is directly under an organisation that the actor
// oversees; with parentID zero, the organisations in which the actor holds a
// post, for the Operator the roots. Cursor continues an earlier page.
func (s *Organisations) List(ctx context.Context, actor *model.Actor, parentID uint64, cursor string, limit int) (*OrganisationPage, error) {
	db := s.db.WithContext(ctx)
	rows := db.Where("parent_id = ?", parentID)
	switch {
	case parentID != 0:
		if _, err := overseen(db, actor, parentID); err != nil {
			return nil, err
		}
	case actor.Operates():
		rows = db.Where("parent_id IS NULL")
	default:
		offices := make([]uint64, 0, len(actor.Posts))
		for _, p := range actor.Posts {
			offices = append(offices, p.OrganisationID)
		}
		rows = db.Where("id IN ?", offices)
	}
	after, err := readPlace(cursor)
	if err != nil {
		return nil, err
	}
	page := &OrganisationPage{Items: []model.Organisation{}}
	if err := rows.Where("id > ?", after).Order("id").Limit(limit + 1).Find(&page.Items).Error; err != nil {
		return nil, fmt.Errorf("organisations under %d: %w", parentID, err)
	}
	if len(page.Items) > limit {
		page.Items = page.Items[:limit]
		page.Next = writePlace(page.Items[limit-1].ID)
	}
	return page, nil
}
