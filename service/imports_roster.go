package service

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"dangri/model"
)

// rosterColumns are the columns of a roster. Where the branch is not given
// beforehand, each row must name one.
func rosterColumns(namesBranch bool) []tableColumn {
	return []tableColumn{
		{key: "name", names: []string{"姓名", "党员姓名", "名字"}, required: true},
		{key: "phone", names: []string{"手机号", "手机号码", "手机", "联系电话", "电话", "联系方式"}},
		{key: "branch", names: []string{"党支部", "所在党支部", "所属党支部", "党支部名称", "支部", "所在支部", "所属支部"}, required: namesBranch},
		{key: "group", names: []string{"党小组", "所在党小组", "所属党小组", "小组"}},
		{key: "status", names: []string{"党员类别", "人员类别", "党员类型", "党员身份"}, required: true},
		{key: "leader", names: []string{"领导班子成员", "是否领导班子成员", "班子成员", "是否班子成员"}},
		{key: "posts", names: []string{"职务", "党内职务", "党内任职", "支部职务"}},
	}
}

// Roster brings the members of a branch up to date with a sheet, for whoever
// keeps its roster; with branchID zero the members of every branch that the
// sheet names, for an administrator. A person is known again by the phone
// number, else by the name within the branch. What the sheet says counts from
// today; a column that it lacks says nothing, and members whom it does not
// name are left alone. Party groups that do not exist are made. A post of
// secretary changes only by the hand of an administrator.
func (s *Imports) Roster(ctx context.Context, actor *model.Actor, branchID uint64, file ImportFile) (*ImportReport, error) {
	if _, _, err := rosterScope(s.db.WithContext(ctx), actor, branchID); err != nil {
		return nil, err
	}
	read, err := readTable(ctx, file.Data, file.Size)
	if err != nil {
		return nil, err
	}
	if read, err = read.under(rosterColumns(branchID == 0)...); err != nil {
		return nil, err
	}
	now := s.now()
	var touched []model.Session
	report, err := inTx(ctx, s.db, func(tx *gorm.DB) (*ImportReport, error) {
		organisations, appoints, err := rosterScope(tx, actor, branchID)
		if err != nil {
			return nil, err
		}
		i := &rosterImport{table: read.fresh(), grove: newGrove(organisations), seal: s.seal, actor: actor, appoints: appoints,
			now: now, today: model.DayOf(now, s.settings.Zone), rules: s.settings.Sending,
			claimed: map[uint64]*rosterRow{}, posts: map[uint64][]model.Post{}}
		i.home = i.grove.byID[branchID]
		if err := i.plan(tx); err != nil {
			return nil, err
		}
		i.report.DryRun = file.DryRun
		if file.DryRun { // audited too: a check tells which numbers are known
			return &i.report, auditBy(tx, now, actor, "check_roster", "organisation", branchID, "ok", i.report)
		}
		if touched, err = i.write(tx, file.Progress); err != nil {
			return nil, err
		}
		return &i.report, auditBy(tx, now, actor, "import_roster", "organisation", branchID, "ok", i.report)
	})
	if err == nil {
		s.sessions.forget(ctx, touched, now)
	}
	return report, err
}

// rosterScope is the organisations that a roster may speak of, the branch or
// everything that the actor administers, party groups apart, and whether the
// actor may appoint their secretaries.
func rosterScope(tx *gorm.DB, actor *model.Actor, branchID uint64) (organisations []model.Organisation, appoints bool, err error) {
	if branchID == 0 {
		organisations, err = administered(tx, actor, clause.Where{Exprs: []clause.Expression{clause.Neq{Column: "kind", Value: model.PartyGroup}}})
		return organisations, true, err
	}
	line, err := overseen(tx, actor, branchID)
	switch {
	case err != nil:
		return nil, false, err
	case !actor.KeepsRoster(line):
		return nil, false, model.ErrForbidden
	case !line[0].Kind.HoldsMembers():
		return nil, false, model.BadField("branch_id", "请选择一个党支部")
	}
	return line[:1], actor.Appoints(model.Secretary, line), nil
}

// rosterRow is what a row says of one person.
type rosterRow struct {
	tableRow
	name   string
	phone  string // empty: not given
	blind  string
	branch *node
	status model.MemberStatus
	leader bool
	posts  []model.PostKind
	member *enrolled // who it is; nobody yet where the id is zero
	group  *node     // nil: none
}

// enrolled is a member as the registry knows him, with today's belonging;
// BranchID is zero for one who belongs nowhere.
type enrolled struct {
	model.Member
	MembershipID uint64
	BranchID     uint64
	GroupID      *uint64
	FromDay      model.Day
	BlindIndex   string
}

// rosterImport is one reading of a roster: first a plan of what differs, which
// only reads, then the writing.
type rosterImport struct {
	table    *table
	grove    *grove
	home     *node // the branch that the whole file is about; nil: each row names one
	seal     *sealer
	actor    *model.Actor
	appoints bool // secretaries too
	now      time.Time
	today    model.Day
	rules    model.SendingRules

	rows    []*rosterRow
	owners  map[string]phoneOwner   // by blind index
	members map[uint64]*enrolled    // of the branches concerned
	posts   map[uint64][]model.Post // by member, in the branches concerned
	claimed map[uint64]*rosterRow   // who speaks of the member
	report  ImportReport

	groups   []*node      // to make
	fresh    []*rosterRow // members to make
	edited   []model.Member
	phones   []*rosterRow // numbers to write
	left     []*enrolled  // memberships to end
	joined   []*rosterRow // memberships to begin
	moved    []*rosterRow // of those, the ones from another branch
	ended    []model.Post
	granted  []grant
	affected map[uint64]bool // branches whose rosters change
}

type phoneOwner struct {
	BlindIndex string
	MemberID   uint64
	BranchID   uint64
}

type grant struct {
	row  *rosterRow
	node *node
	kind model.PostKind
}

// plan finds what differs between the sheet and the registry, holding the
// branches concerned, or refuses the sheet with everything that is wrong.
func (i *rosterImport) plan(tx *gorm.DB) error {
	i.read()
	if err := i.findOwners(tx); err != nil {
		return err
	}
	if err := i.load(tx); err != nil {
		return err
	}
	i.match()
	i.compare()
	if err := i.refusePlanned(tx); err != nil {
		return err
	}
	return i.table.refusal()
}

// read takes each row's cells.
func (i *rosterImport) read() {
	t := i.table
	numbers := map[string]int{}
	secretaries := map[*node]int{}
	for _, tr := range t.rows {
		r := &rosterRow{tableRow: tr}
		sound := t.sound(func() {
			var ok bool
			if r.name, ok = personName(t.cell(tr, "name")); !ok {
				t.reject(tr, "name", "姓名须为2至50个字，请写全名")
			}
			if r.status, ok = meant(model.MemberStatusNames, memberStatusAliases, t.cell(tr, "status")); !ok {
				t.reject(tr, "status", "请填 正式党员 或 预备党员")
			}
			if r.leader, ok = yesOrNo(t.cell(tr, "leader")); !ok {
				t.reject(tr, "leader", "请填 是 或 否")
			}
			if cell := t.cell(tr, "phone"); cell != "" {
				if r.phone, ok = phoneNumber(cell); !ok {
					t.reject(tr, "phone", "请填11位手机号，只写一个")
				} else if row, twice := numbers[r.phone]; twice {
					t.reject(tr, "phone", fmt.Sprintf("与第%d行的手机号相同，请核对", row))
				} else {
					numbers[r.phone] = tr.number
					r.blind = i.seal.blind(r.phone)
				}
			}
			r.branch = i.branchOf(tr)
			if r.posts, ok = postKinds(t.cell(tr, "posts")); !ok {
				t.reject(tr, "posts", "请填 书记、委员、党小组长，兼任的用顿号隔开，没有职务的留空")
			}
			if name := t.cell(tr, "group"); name != "" {
				if _, ok := organisationName(name); !ok {
					t.reject(tr, "group", "党小组的"+badOrganisationName)
				}
			}
			if r.branch != nil && slices.Contains(r.posts, model.Secretary) {
				if row := secretaries[r.branch]; row != 0 {
					t.reject(tr, "posts", fmt.Sprintf("这个党支部在第%d行已有书记，请核对", row))
				}
				secretaries[r.branch] = tr.number
			}
		})
		if sound {
			i.rows = append(i.rows, r)
		}
	}
}

// branchOf is the branch that the row belongs to, nil where it names none that
// there is.
func (i *rosterImport) branchOf(tr tableRow) *node {
	t := i.table
	cell := t.cell(tr, "branch")
	if i.home != nil {
		if cell != "" && lastName(cell) != fold(i.home.Name) {
			t.reject(tr, "branch", "这一行写的是别的党支部，请移到那个党支部的表格里")
		}
		return i.home
	}
	found := i.grove.find(cell, model.OrganisationKind.HoldsMembers)
	switch {
	case cell == "":
		t.reject(tr, "branch", "请填写党支部")
	case len(found) == 0:
		t.reject(tr, "branch", "没有找到这个党支部，请核对名称，或先导入组织")
	case len(found) > 1:
		t.reject(tr, "branch", "有几个党支部叫这个名称，请连同它的上级一起写，如 机关工委/第一党支部")
	default:
		return found[0]
	}
	return nil
}

// findOwners looks up who has the phone numbers. Whoever belongs to a branch
// outside the scope is not to be drawn in by a sheet.
func (i *rosterImport) findOwners(tx *gorm.DB) error {
	i.owners = map[string]phoneOwner{}
	var numbers []string
	for _, r := range i.rows {
		if r.blind != "" {
			numbers = append(numbers, r.blind)
		}
	}
	for _, some := range chunks(numbers, batch) {
		var owners []phoneOwner
		err := tx.Table("member_phones p").Select("p.blind_index, p.member_id, COALESCE(b.branch_id, 0) AS branch_id").
			Joins("LEFT JOIN memberships b ON b.member_id = p.member_id AND b.from_day <= ? AND b.until_day > ?", i.today, i.today).
			Where("p.blind_index IN ?", some).Scan(&owners).Error
		if err != nil {
			return fmt.Errorf("find members by phone: %w", err)
		}
		for _, o := range owners {
			i.owners[o.BlindIndex] = o
		}
	}
	i.rows = slices.DeleteFunc(i.rows, func(r *rosterRow) bool {
		o, known := i.owners[r.blind]
		if !known || o.BranchID == 0 || i.grove.byID[o.BranchID] != nil {
			return false
		}
		i.table.reject(r.tableRow, "phone", "这个手机号已登记在别的党支部，请先办理组织关系转入")
		return true
	})
	return nil
}

// load holds the branches concerned and reads their groups, members and posts.
func (i *rosterImport) load(tx *gorm.DB) error {
	concerned := map[uint64]bool{}
	var nowhere []uint64
	for _, r := range i.rows {
		concerned[r.branch.ID] = true
		if o, known := i.owners[r.blind]; known && o.BranchID != 0 {
			concerned[o.BranchID] = true
		} else if known {
			nowhere = append(nowhere, o.MemberID)
		}
	}
	branches := sortedKeys(concerned)
	if err := lockBranches(tx, branches...); err != nil {
		return err
	}
	i.members = map[uint64]*enrolled{}
	for _, some := range chunks(branches, batch) {
		if err := i.loadMembers(tx.Where("b.branch_id IN ?", some)); err != nil {
			return err
		}
	}
	for _, some := range chunks(nowhere, batch) {
		if err := i.loadMembers(tx.Where("m.id IN ?", some)); err != nil {
			return err
		}
	}
	for _, r := range i.rows {
		if o, known := i.owners[r.blind]; known && i.members[o.MemberID] == nil {
			return model.ErrChangedMeantime
		}
	}
	organisations := slices.Clone(branches)
	for _, some := range chunks(branches, batch) {
		var held []model.Organisation
		if err := tx.Order("id").Find(&held, "id IN ? OR parent_id IN ?", some, some).Error; err != nil {
			return fmt.Errorf("groups of branches: %w", err)
		}
		for _, o := range held {
			switch {
			case o.Kind == model.PartyGroup:
				i.grove.add(&node{Organisation: o, superior: i.grove.byID[*o.ParentID]})
				organisations = append(organisations, o.ID)
			case !o.Kind.HoldsMembers():
				return model.ErrChangedMeantime
			}
		}
	}
	for _, some := range chunks(organisations, batch) {
		var posts []model.Post
		if err := tx.Order("id").Find(&posts, "organisation_id IN ? AND until_day > ?", some, i.today).Error; err != nil {
			return fmt.Errorf("posts in branches: %w", err)
		}
		for _, p := range posts {
			i.posts[p.MemberID] = append(i.posts[p.MemberID], p)
		}
	}
	return nil
}

func (i *rosterImport) loadMembers(some *gorm.DB) error {
	var members []*enrolled
	err := some.Table("members m").
		Select("m.*, b.id AS membership_id, b.branch_id, b.group_id, b.from_day, p.blind_index").
		Joins("LEFT JOIN memberships b ON b.member_id = m.id AND b.from_day <= ? AND b.until_day > ?", i.today, i.today).
		Joins("LEFT JOIN member_phones p ON p.member_id = m.id").Order("m.id").Scan(&members).Error
	if err != nil {
		return fmt.Errorf("members of branches: %w", err)
	}
	for _, m := range members {
		i.members[m.ID] = m
	}
	return nil
}

// namesake is a name within a branch.
type namesake struct {
	branch uint64
	name   string
}

// match finds whom each row means: the owner of the phone number, else the one
// of that name in the branch whom no other row means.
func (i *rosterImport) match() {
	called := map[namesake][]*enrolled{}
	for _, id := range sortedKeys(i.members) {
		m := i.members[id]
		called[namesake{m.BranchID, m.Name}] = append(called[namesake{m.BranchID, m.Name}], m)
	}
	rows := map[namesake][]*rosterRow{}
	for _, r := range i.rows {
		rows[namesake{r.branch.ID, r.name}] = append(rows[namesake{r.branch.ID, r.name}], r)
	}
	wrong := map[*rosterRow]bool{}
	reject := func(r *rosterRow, key, message string) {
		i.table.reject(r.tableRow, key, message)
		wrong[r] = true
	}
	var strangers []*rosterRow // whose number is not known
	for _, r := range i.rows {
		o, known := i.owners[r.blind]
		if !known {
			strangers = append(strangers, r)
			continue
		}
		m := i.members[o.MemberID]
		// Another name is a correction only if nobody else can be meant.
		if m.Name != r.name && (m.BranchID != r.branch.ID || len(called[namesake{r.branch.ID, r.name}]) > 0 ||
			len(rows[namesake{r.branch.ID, m.Name}]) > 0) {
			reject(r, "phone", "这个手机号登记在另一位党员名下，请核对姓名和手机号")
			continue
		}
		r.member, i.claimed[m.ID] = m, r
	}
	for _, r := range strangers {
		who := namesake{r.branch.ID, r.name}
		var free []*enrolled
		for _, m := range called[who] {
			if i.claimed[m.ID] == nil {
				free = append(free, m)
			}
		}
		switch alone := len(rows[who]) == 1; {
		case alone && len(free) == 1:
			r.member, i.claimed[free[0].ID] = free[0], r
		case len(free) > 0:
			reject(r, "name", "党支部里有同名的党员，认不出是哪一位，请填写登记过的手机号")
		case !alone && r.phone == "":
			reject(r, "name", "表格里有同名的党员，请填写手机号以便区分")
		}
	}
	i.rows = slices.DeleteFunc(i.rows, func(r *rosterRow) bool { return wrong[r] })
}

// compare notes for each row what differs from the registry.
func (i *rosterImport) compare() {
	t := i.table
	i.affected = map[uint64]bool{}
	targets := map[uint64]bool{}
	for _, r := range i.rows {
		targets[r.branch.ID] = true
		before := i.before(r)
		changed := false
		after := before.Member
		after.Name, after.Status = r.name, r.status
		if t.has("leader") {
			after.Leader = r.leader
		}
		if r.member == nil {
			i.fresh = append(i.fresh, r)
		} else if after != before.Member {
			i.edited, changed = append(i.edited, after), true
			i.affected[r.branch.ID] = true
		}
		if r.blind != "" && r.blind != before.BlindIndex {
			i.phones, changed = append(i.phones, r), true
		}
		r.group = i.groupOf(r, before)
		stays := before.BranchID == r.branch.ID
		if !stays || groupID(r.group) != deref(before.GroupID) || r.group != nil && r.group.ID == 0 {
			i.joined, changed = append(i.joined, r), true
			i.affected[r.branch.ID] = true
			if before.BranchID != 0 {
				i.left = append(i.left, before)
				i.affected[before.BranchID] = true
			}
		}
		if i.comparePosts(r, before) {
			changed = true
		}
		switch {
		case before.BranchID == 0:
			i.report.Added++
		case !stays:
			i.report.Moved++
			i.moved = append(i.moved, r)
		case changed:
			i.report.Changed++
		default:
			i.report.Unchanged++
		}
		after.ID = before.ID
		r.member = &enrolled{Member: after, MembershipID: before.MembershipID, BranchID: before.BranchID,
			GroupID: before.GroupID, FromDay: before.FromDay, BlindIndex: before.BlindIndex}
	}
	if i.home != nil {
		targets[i.home.ID] = true
	}
	for id, m := range i.members {
		if targets[m.BranchID] && i.claimed[id] == nil {
			i.report.Missing++
		}
	}
	i.report.Rows = len(i.rows)
	i.report.GroupsAdded = len(i.groups)
}

// before is the row's member as the registry has him, blank for somebody new.
func (i *rosterImport) before(r *rosterRow) *enrolled {
	if r.member == nil {
		return &enrolled{Member: model.Member{CreatedAt: i.now}}
	}
	return r.member
}

// groupOf is the group that the row puts its member in. A sheet without that
// column leaves members of the branch in theirs.
func (i *rosterImport) groupOf(r *rosterRow, before *enrolled) *node {
	if !i.table.has("group") {
		if before.BranchID == r.branch.ID {
			return i.grove.byID[deref(before.GroupID)]
		}
		return nil
	}
	name, ok := organisationName(i.table.cell(r.tableRow, "group"))
	if !ok {
		return nil
	}
	if g := i.grove.under(r.branch, name); g != nil {
		return g
	}
	g := &node{superior: r.branch, Organisation: model.Organisation{ParentID: ref(r.branch.ID), Kind: model.PartyGroup,
		UnitKind: r.branch.UnitKind, Name: name}}
	i.grove.add(g)
	i.groups = append(i.groups, g)
	return g
}

func groupID(g *node) uint64 {
	if g == nil {
		return 0
	}
	return g.ID
}

// rosterPosts are the posts that a roster speaks of.
var rosterPosts = []model.PostKind{model.Secretary, model.CommitteeMember, model.GroupLeader}

// comparePosts notes the posts to end and to grant and says whether there are
// any: those in what the member leaves, and those that differ from the sheet.
func (i *rosterImport) comparePosts(r *rosterRow, before *enrolled) bool {
	t := i.table
	wanted := map[model.PostKind]*node{}
	for _, k := range r.posts {
		if wanted[k] = r.branch; k == model.GroupLeader {
			wanted[k] = r.group
		}
	}
	if n, leads := wanted[model.GroupLeader]; leads && n == nil {
		t.reject(r.tableRow, "posts", "党小组长须写明党小组")
		delete(wanted, model.GroupLeader)
	}
	here := func(p model.Post) bool {
		return p.OrganisationID == r.branch.ID || r.group != nil && r.group.ID == p.OrganisationID
	}
	// Of the posts elsewhere only those end that go with the branch or group the
	// member leaves: who is liaison of a community stays so.
	kept := func(p model.Post) bool {
		return !here(p) && (!slices.Contains(rosterPosts, p.Kind) || p.OrganisationID != before.BranchID && p.OrganisationID != deref(before.GroupID))
	}
	changed := false
	for _, p := range i.posts[before.ID] {
		if kept(p) {
			continue
		}
		n := wanted[p.Kind]
		stays := here(p) && (!t.has("posts") || !slices.Contains(rosterPosts, p.Kind) || n != nil && n.ID == p.OrganisationID)
		if stays {
			delete(wanted, p.Kind)
			continue
		}
		i.ended, changed = append(i.ended, p), true
		if p.Kind == model.Secretary && p.OrganisationID == r.branch.ID && !i.appoints {
			t.reject(r.tableRow, "posts", onlyAbove)
		}
	}
	for _, k := range rosterPosts {
		n := wanted[k]
		if n == nil {
			continue
		}
		if k == model.Secretary && !i.appoints {
			t.reject(r.tableRow, "posts", onlyAbove)
		}
		i.granted, changed = append(i.granted, grant{r, n, k}), true
	}
	return changed
}

const onlyAbove = "书记由上级党组织任免，请按现任的填写"

// refusePlanned refuses to move members whose next move is arranged already.
func (i *rosterImport) refusePlanned(tx *gorm.DB) error {
	rows := map[uint64]*rosterRow{}
	for _, r := range i.joined {
		if r.member.ID != 0 {
			rows[r.member.ID] = r
		}
	}
	for _, some := range chunks(sortedKeys(rows), batch) {
		var planned []uint64
		err := tx.Model(&model.Membership{}).Where("member_id IN ? AND from_day > ?", some, i.today).Order("member_id").Pluck("member_id", &planned).Error
		if err != nil {
			return fmt.Errorf("planned transfers: %w", err)
		}
		for _, id := range planned {
			i.table.reject(rows[id].tableRow, "", "这位党员已安排了以后的转接，请先调整那次转接")
		}
	}
	return nil
}

// write does what the plan found and returns the sessions whose rights changed.
func (i *rosterImport) write(tx *gorm.DB, tell func(int, int)) ([]model.Session, error) {
	p := &progress{tell: tell, total: len(i.groups) + len(i.fresh) + len(i.edited) + len(i.phones) + len(i.joined) + len(i.granted)}
	for _, step := range []func(*gorm.DB, *progress) error{i.writeGroups, i.writeMembers, i.writePhones, i.writeMemberships, i.writePosts} {
		if err := step(tx, p); err != nil {
			return nil, err
		}
	}
	if err := syncRosters(tx, i.rules, sortedKeys(i.affected), i.now); err != nil {
		return nil, err
	}
	concerned := map[uint64]bool{}
	for _, r := range i.joined {
		concerned[r.member.ID] = true
	}
	for _, g := range i.granted {
		concerned[g.row.member.ID] = true
	}
	for _, post := range i.ended {
		concerned[post.MemberID] = true
	}
	return touchSessions(tx, sortedKeys(concerned), i.now)
}

func (i *rosterImport) writeGroups(tx *gorm.DB, p *progress) error {
	return taken(insertNodes(tx, i.groups, i.now, p), model.ErrChangedMeantime)
}

func (i *rosterImport) writeMembers(tx *gorm.DB, p *progress) error {
	members := make([]model.Member, len(i.fresh))
	for n, r := range i.fresh {
		members[n] = r.member.Member
	}
	if err := insertAll(tx, members, p); err != nil {
		return err
	}
	for n, r := range i.fresh {
		r.member.ID = members[n].ID
	}
	return updateAll(tx, i.edited, p, "name", "status", "leader")
}

func (i *rosterImport) writePhones(tx *gorm.DB, p *progress) error {
	var replaced []uint64
	phones := make([]model.MemberPhone, len(i.phones))
	for n, r := range i.phones {
		var err error
		if phones[n], err = sealPhone(i.seal, r.member.ID, r.phone); err != nil {
			return err
		}
		if r.member.BlindIndex != "" {
			replaced = append(replaced, r.member.ID)
		}
	}
	for _, some := range chunks(replaced, batch) {
		if err := tx.Delete(&model.MemberPhone{}, "member_id IN ?", some).Error; err != nil {
			return fmt.Errorf("replace phones: %w", err)
		}
	}
	return taken(insertAll(tx, phones, p), model.ErrMemberTaken)
}

// writeMemberships ends the old ones today. One that began today held for no
// day and goes.
func (i *rosterImport) writeMemberships(tx *gorm.DB, p *progress) error {
	var begun, unbegun []uint64
	for _, m := range i.left {
		if m.FromDay < i.today {
			begun = append(begun, m.MembershipID)
		} else {
			unbegun = append(unbegun, m.MembershipID)
		}
	}
	for _, some := range chunks(begun, batch) {
		if err := tx.Model(&model.Membership{}).Where("id IN ?", some).Update("until_day", i.today).Error; err != nil {
			return fmt.Errorf("end memberships: %w", err)
		}
	}
	for _, some := range chunks(unbegun, batch) {
		if err := tx.Delete(&model.Membership{}, "id IN ?", some).Error; err != nil {
			return fmt.Errorf("replace memberships: %w", err)
		}
	}
	memberships := make([]model.Membership, len(i.joined))
	audits := make([]model.AuditEntry, 0, len(i.moved))
	for n, r := range i.joined {
		memberships[n] = model.Membership{MemberID: r.member.ID, BranchID: r.branch.ID, GroupID: ref(groupID(r.group)),
			Span: model.Span{From: i.today, Until: model.Forever}}
	}
	for _, r := range i.moved {
		a, err := auditRow(i.now, i.actor, "transfer_member", "member", r.member.ID,
			map[string]any{"from_branch": r.member.BranchID, "to_branch": r.branch.ID, "day": i.today})
		if err != nil {
			return err
		}
		audits = append(audits, a)
	}
	if err := taken(insertAll(tx, memberships, p), model.ErrChangedMeantime); err != nil {
		return err
	}
	return insertAll(tx, audits, new(progress))
}

func (i *rosterImport) writePosts(tx *gorm.DB, p *progress) error {
	if err := endPosts(tx, i.ended, i.today); err != nil {
		return err
	}
	posts := make([]model.Post, len(i.granted))
	for n, g := range i.granted {
		posts[n] = model.Post{MemberID: g.row.member.ID, OrganisationID: g.node.ID, Kind: g.kind,
			Span: model.Span{From: i.today, Until: model.Forever}}
	}
	if err := taken(insertAll(tx, posts, p), model.ErrChangedMeantime); err != nil {
		return err
	}
	var audits []model.AuditEntry
	for _, post := range i.ended {
		a, err := auditRow(i.now, i.actor, "end_post", "post", post.ID, map[string]any{"member_id": post.MemberID, "until": i.today})
		if err != nil {
			return err
		}
		audits = append(audits, a)
	}
	for _, post := range posts {
		a, err := auditRow(i.now, i.actor, "grant_post", "post", post.ID, post)
		if err != nil {
			return err
		}
		audits = append(audits, a)
	}
	return insertAll(tx, audits, new(progress))
}

var memberStatusAliases = map[string]model.MemberStatus{"正式": model.FullMember, "预备": model.ProbationaryMember}

func yesOrNo(cell string) (yes, ok bool) {
	switch fold(cell) {
	case "是", "√", "y", "yes", "1":
		return true, true
	case "", "否", "×", "x", "n", "no", "0", "无":
		return false, true
	}
	return false, false
}

// phoneNumber is a mainland mobile number as it is kept: eleven digits,
// however it was typed.
func phoneNumber(cell string) (string, bool) {
	number := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, norm.NFKC.String(cell))
	for _, country := range []string{"+86", "0086", "86"} {
		if rest, ok := strings.CutPrefix(number, country); ok && len(rest) == 11 {
			number = rest
		}
	}
	if len(number) != 11 || number[0] != '1' || number[1] < '3' {
		return "", false
	}
	return number, !strings.ContainsFunc(number, func(r rune) bool { return r < '0' || r > '9' })
}

// postKinds is the posts that a cell names. The offices within a committee,
// such as 组织委员 or 副书记, are its members' posts.
func postKinds(cell string) ([]model.PostKind, bool) {
	var kinds []model.PostKind
	words := strings.FieldsFunc(norm.NFKC.String(cell), func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune("、,;/兼", r)
	})
	for _, word := range words {
		var kind model.PostKind
		switch word = strings.TrimPrefix(strings.TrimPrefix(word, "党"), "支部"); {
		case word == "书记":
			kind = model.Secretary
		case word == "副书记", word == "支委", strings.HasSuffix(word, "委员"):
			kind = model.CommitteeMember
		case word == "小组长", word == "组长":
			kind = model.GroupLeader
		case word == "无", word == "员", word == "普通党员":
			continue
		default:
			return nil, false
		}
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds, true
}
