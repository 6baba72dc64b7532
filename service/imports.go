package service

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"dangri/model"
)

// Imports reads organisations and rosters from spreadsheets. Every row is
// checked and everything wrong is listed; a file is taken whole or not at all.
// Reading the same file again changes nothing.
type Imports struct {
	db       *gorm.DB
	sessions *Sessions
	seal     *sealer
	settings Settings
	now      func() time.Time
}

// ImportFile is a spreadsheet from outside, .xlsx or .csv.
type ImportFile struct {
	Data     io.ReaderAt
	Size     int64
	DryRun   bool                  // check and count, write nothing
	Progress func(done, total int) // hears how many rows are written; may be nil
}

// ImportReport is what an import did, or would do. Each row counts once.
type ImportReport struct {
	DryRun      bool `json:"dry_run" doc:"只检查，没有写入"`
	Rows        int  `json:"rows" doc:"行数"`
	Added       int  `json:"added" doc:"新增"`
	Changed     int  `json:"changed" doc:"内容有变"`
	Moved       int  `json:"moved" doc:"从别的党支部转入"`
	Unchanged   int  `json:"unchanged" doc:"与已有的一致"`
	Missing     int  `json:"missing" doc:"名册里有而表格里没有的人，保持不变"`
	GroupsAdded int  `json:"groups_added" doc:"新设的党小组"`
}

// refusal is nil for a table without problems.
func (t *table) refusal() error {
	if t.problems.Count == 0 {
		return nil
	}
	slices.SortStableFunc(t.problems.List, func(a, b RowProblem) int { return a.Row - b.Row })
	return model.ErrImportProblems.With("problem_count", t.problems.Count).With("problems", t.problems.List)
}

// fresh is the table for another try: what was found wrong in an earlier one is forgotten.
func (t *table) fresh() *table {
	c := *t
	c.problems.List = slices.Clone(t.problems.List)
	return &c
}

// sound runs the checks of a row and says whether they found nothing.
func (t *table) sound(checks func()) bool {
	before := t.problems.Count
	checks()
	return t.problems.Count == before
}

// node is an organisation in the tree that an import sees: one that exists, or
// one that the import is about to make and that has no id yet.
type node struct {
	model.Organisation
	superior *node
	below    []*node
}

// grove is the part of the tree that an import may use.
type grove struct {
	byID   map[uint64]*node
	byPath map[string][]*node
	roots  []*node
}

func newGrove(organisations []model.Organisation) *grove {
	g := &grove{byID: map[uint64]*node{}, byPath: map[string][]*node{}}
	nodes := make([]*node, len(organisations))
	for i, o := range organisations {
		nodes[i] = &node{Organisation: o}
		g.byID[o.ID] = nodes[i]
	}
	for _, n := range nodes {
		n.superior = g.byID[deref(n.ParentID)]
	}
	for _, n := range nodes {
		g.add(n)
	}
	return g
}

func (g *grove) add(n *node) {
	if n.ID != 0 {
		g.byID[n.ID] = n
	}
	if n.superior == nil {
		g.roots = append(g.roots, n)
	} else {
		n.superior.below = append(n.superior.below, n)
	}
	path := ""
	for at := n; at != nil; at = at.superior {
		path = strings.TrimSuffix(fold(at.Name)+"/"+path, "/")
		g.byPath[path] = append(g.byPath[path], n)
	}
}

// find is the organisations that a cell may mean: a name, or the end of a path
// such as 机关工委/第一党支部.
func (g *grove) find(cell string, fits func(model.OrganisationKind) bool) []*node {
	var found []*node
	for _, n := range g.byPath[foldPath(cell)] {
		if fits(n.Kind) {
			found = append(found, n)
		}
	}
	return found
}

// under is the organisation of the name directly below the superior, nil where
// there is none; without a superior it looks among the roots.
func (g *grove) under(superior *node, name string) *node {
	siblings := g.roots
	if superior != nil {
		siblings = superior.below
	}
	for _, n := range siblings {
		if fold(n.Name) == fold(name) {
			return n
		}
	}
	return nil
}

// fold is what two spellings of one name have in common.
func fold(name string) string {
	return strings.ToLower(strings.Join(strings.Fields(norm.NFKC.String(name)), ""))
}

func foldPath(cell string) string { return strings.ReplaceAll(fold(cell), ">", "/") }

// lastName is the name at the end of a path.
func lastName(cell string) string {
	path := foldPath(cell)
	return path[strings.LastIndexByte(path, '/')+1:]
}

// administered is the organisations that the actor administers.
func administered(tx *gorm.DB, actor *model.Actor, clauses ...clause.Expression) ([]model.Organisation, error) {
	rows := tx.Clauses(clauses...).Order("id")
	if !actor.Operates() {
		offices := actor.Offices(model.Administrator)
		if len(offices) == 0 {
			return nil, model.ErrForbidden
		}
		rows = rows.Where("id IN (?)", below(tx, offices))
	}
	var all []model.Organisation
	if err := rows.Find(&all).Error; err != nil {
		return nil, fmt.Errorf("read organisations: %w", err)
	}
	return all, nil
}

// sortedKeys gives maps an order, so that rows are read, held and written in one.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// progress tells how far a long import is.
type progress struct {
	done, total int
	tell        func(done, total int)
}

func (p *progress) add(n int) {
	if p.done += n; p.tell != nil {
		p.tell(p.done, p.total)
	}
}

// batch is how many rows one statement carries.
const batch = 500

// insertAll writes the rows, which get their ids, in few statements.
func insertAll[T any](tx *gorm.DB, rows []T, p *progress) error {
	tx = tx.Session(&gorm.Session{}) // each statement starts from the same clauses
	for _, some := range chunks(rows, batch) {
		if err := tx.Create(&some).Error; err != nil {
			return fmt.Errorf("insert %d of %T: %w", len(some), rows, err)
		}
		p.add(len(some))
	}
	return nil
}

// updateAll writes the columns of rows that exist.
func updateAll[T any](tx *gorm.DB, rows []T, p *progress, columns ...string) error {
	return insertAll(tx.Clauses(clause.OnConflict{
		Columns: []clause.Column{{Name: "id"}}, DoUpdates: clause.AssignmentColumns(columns),
	}), rows, p)
}

// auditRow is an entry for auditing many acts in few statements.
func auditRow(now time.Time, actor *model.Actor, action, table string, id uint64, details any) (model.AuditEntry, error) {
	raw, err := json.Marshal(details)
	if err != nil {
		return model.AuditEntry{}, fmt.Errorf("audit %s: %w", action, err)
	}
	return model.AuditEntry{At: now, AccountID: actor.AccountID, MemberID: actor.MemberID, Action: action,
		Object: fmt.Sprintf("%s/%d", table, id), Result: "ok", Details: string(raw)}, nil
}

// organisationRow is a row of a sheet of organisations.
type organisationRow struct {
	tableRow
	name     string
	kind     model.OrganisationKind
	unitKind model.UnitKind // empty: as before, or as the superior's
	superior string
	node     *node
	before   *model.Organisation // nil: the organisation is new
}

var organisationColumns = []tableColumn{
	{key: "name", names: []string{"名称", "组织名称", "党组织名称", "党组织"}, required: true},
	{key: "kind", names: []string{"类别", "组织类别", "党组织类别", "组织类型"}, required: true},
	{key: "superior", names: []string{"上级组织", "上级党组织", "上级", "隶属"}, required: true},
	{key: "unit_kind", names: []string{"单位性质", "单位类别", "单位类型"}},
}

// Organisations adds the organisations of a sheet to the tree and brings those
// that are there up to date, for whoever administers the superiors. Under one
// superior an organisation goes by its name: an import never moves one.
// Superiors may stand in the same file, in any order.
func (s *Imports) Organisations(ctx context.Context, actor *model.Actor, file ImportFile) (*ImportReport, error) {
	if _, err := administered(s.db.WithContext(ctx), actor); err != nil {
		return nil, err
	}
	read, err := readTable(ctx, file.Data, file.Size)
	if err != nil {
		return nil, err
	}
	if read, err = read.under(organisationColumns...); err != nil {
		return nil, err
	}
	now := s.now()
	return inTx(ctx, s.db, func(tx *gorm.DB) (*ImportReport, error) {
		// Held, so that nothing moves while others are put under them.
		organisations, err := administered(tx, actor, forUpdate)
		if err != nil {
			return nil, err
		}
		i := &organisationImport{table: read.fresh(), grove: newGrove(organisations), operator: actor.Operates(),
			claimed: map[*node]int{}, broken: map[string]bool{}}
		i.read()
		i.place()
		if err := i.checkTurns(tx); err != nil {
			return nil, err
		}
		if err := i.table.refusal(); err != nil {
			return nil, err
		}
		report := i.report(file.DryRun)
		if file.DryRun {
			return report, nil
		}
		if err := i.write(tx, now, file.Progress); err != nil {
			return nil, taken(err, model.ErrOrganisationTaken)
		}
		return report, auditBy(tx, now, actor, "import_organisations", "organisation", 0, "ok", report)
	})
}

type organisationImport struct {
	table    *table
	grove    *grove
	operator bool
	rows     []*organisationRow
	claimed  map[*node]int   // the row that speaks of the organisation
	broken   map[string]bool // names of rows with problems: who stands under them is not to blame
}

// read takes each row's cells.
func (i *organisationImport) read() {
	t := i.table
	for _, tr := range t.rows {
		r := &organisationRow{tableRow: tr, superior: t.cell(tr, "superior")}
		sound := t.sound(func() {
			var ok bool
			if r.name, ok = organisationName(t.cell(tr, "name")); !ok {
				t.reject(tr, "name", badOrganisationName)
			}
			if r.kind, ok = meant(model.OrganisationKindNames, organisationKindAliases, t.cell(tr, "kind")); !ok {
				t.reject(tr, "kind", "组织类别请填 "+list(organisationKindOrder, model.OrganisationKindNames)+" 之一")
			}
			if cell := t.cell(tr, "unit_kind"); cell != "" {
				if r.unitKind, ok = meant(model.UnitKindNames, nil, cell); !ok {
					t.reject(tr, "unit_kind", "单位性质请填 "+list(unitKindOrder, model.UnitKindNames)+" 之一，或留空")
				}
			}
		})
		if sound {
			i.rows = append(i.rows, r)
		} else {
			i.broken[fold(t.cell(tr, "name"))] = true
		}
	}
}

// place finds every row's superior: first for those whose superior exists,
// then for those right under them, and so on down. More rounds than there are
// levels only go round in a loop.
func (i *organisationImport) place() {
	waiting := i.rows
	for range organisationKindOrder {
		names := map[string]int{}
		for _, r := range waiting {
			names[fold(r.name)]++
		}
		var later []*organisationRow
		for _, r := range waiting {
			others := names[lastName(r.superior)]
			if lastName(r.superior) == fold(r.name) {
				others-- // itself
			}
			if others > 0 {
				later = append(later, r)
				continue
			}
			i.settle(r)
		}
		waiting = later
	}
	for _, r := range waiting {
		i.table.reject(r.tableRow, "superior", "上级组织绕成了一圈，或层级太多，请改正")
	}
}

// settle puts the row's organisation under its superior.
func (i *organisationImport) settle(r *organisationRow) {
	t := i.table
	sound := t.sound(func() {
		superior := i.superior(r)
		if r.superior != "" && superior == nil {
			return
		}
		n := i.grove.under(superior, r.name)
		switch {
		case n == nil:
			n = &node{Organisation: model.Organisation{Kind: r.kind, UnitKind: r.unitKind, Name: r.name}, superior: superior}
			if n.UnitKind == "" && superior != nil {
				n.UnitKind = superior.UnitKind
			} else if n.UnitKind == "" {
				n.UnitKind = model.OtherUnit
			}
			i.grove.add(n)
		case i.claimed[n] != 0:
			t.reject(r.tableRow, "name", fmt.Sprintf("与第%d行重复，请删去一行", i.claimed[n]))
			return
		default:
			before := n.Organisation
			r.before = &before
			n.Kind, n.Name = r.kind, r.name
			if r.unitKind != "" {
				n.UnitKind = r.unitKind
			}
		}
		i.claimed[n], r.node = r.number, n
	})
	if !sound || r.node == nil {
		i.broken[fold(r.name)] = true
	}
}

// superior is the organisation that the row names as its superior, nil where
// it names none or names it wrong.
func (i *organisationImport) superior(r *organisationRow) *node {
	t := i.table
	if r.superior == "" {
		if !i.operator {
			t.reject(r.tableRow, "superior", "请填写上级组织")
		} else if r.kind == model.PartyGroup {
			t.reject(r.tableRow, "superior", "请填写党小组所在的党支部")
		}
		return nil
	}
	found := i.grove.find(r.superior, r.kind.FitsUnder)
	switch {
	case len(found) == 1:
		return found[0]
	case len(found) > 1:
		t.reject(r.tableRow, "superior", "有几个组织叫这个名称，请连同它的上级一起写，如 机关工委/第一党支部")
	case len(i.grove.find(r.superior, func(model.OrganisationKind) bool { return true })) > 0:
		t.reject(r.tableRow, "superior", model.ErrOrganisationPlace.Message)
	case !i.broken[lastName(r.superior)]:
		t.reject(r.tableRow, "superior", "没有找到这个上级组织，请核对名称，或把它也写进表格")
	}
	return nil
}

// checkTurns refuses another kind for an organisation that is in use, or that
// has others below it which do not fit.
func (i *organisationImport) checkTurns(tx *gorm.DB) error {
	turned := map[uint64]*organisationRow{}
	for _, r := range i.rows {
		if r.before != nil && r.before.Kind != r.kind {
			turned[r.before.ID] = r
		}
	}
	ids := make([]uint64, 0, len(turned))
	for id, r := range turned {
		ids = append(ids, id)
		for _, c := range r.node.below {
			if !c.Kind.FitsUnder(r.kind) {
				i.table.reject(r.tableRow, "kind", model.ErrOrganisationBelow.Message)
				break
			}
		}
	}
	used, err := inUse(tx, ids)
	if err != nil {
		return err
	}
	for _, id := range used {
		i.table.reject(turned[id].tableRow, "kind", model.ErrOrganisationInUse.Message)
	}
	return nil
}

func (i *organisationImport) report(dryRun bool) *ImportReport {
	report := &ImportReport{DryRun: dryRun, Rows: len(i.rows)}
	for _, r := range i.rows {
		switch {
		case r.before == nil:
			report.Added++
		case r.changed():
			report.Changed++
		default:
			report.Unchanged++
		}
	}
	return report
}

func (r *organisationRow) changed() bool {
	return r.before.Kind != r.node.Kind || r.before.UnitKind != r.node.UnitKind || r.before.Name != r.node.Name
}

// write makes the new organisations level by level, for a row needs its
// superior's id.
func (i *organisationImport) write(tx *gorm.DB, now time.Time, tell func(int, int)) error {
	var changed []model.Organisation
	var fresh []*node
	for _, r := range i.rows {
		switch {
		case r.before == nil:
			fresh = append(fresh, r.node)
		case r.changed():
			changed = append(changed, r.node.Organisation)
		}
	}
	p := &progress{total: len(changed) + len(fresh), tell: tell}
	if err := updateAll(tx, changed, p, "kind", "unit_kind", "name"); err != nil {
		return err
	}
	return insertNodes(tx, fresh, now, p)
}

// insertNodes writes organisations whose superiors are among them or exist.
func insertNodes(tx *gorm.DB, fresh []*node, now time.Time, p *progress) error {
	for len(fresh) > 0 {
		var level, deeper []*node
		for _, n := range fresh {
			if n.superior == nil || n.superior.ID != 0 {
				level = append(level, n)
			} else {
				deeper = append(deeper, n)
			}
		}
		rows := make([]model.Organisation, len(level))
		for j, n := range level {
			rows[j] = n.Organisation
			rows[j].CreatedAt = now
			if n.superior != nil {
				rows[j].ParentID = ref(n.superior.ID)
			}
		}
		if err := insertAll(tx, rows, p); err != nil {
			return err
		}
		for j, n := range level {
			n.Organisation = rows[j]
		}
		fresh = deeper
	}
	return nil
}

// The orders in which sheets list the kinds.
var (
	organisationKindOrder = []model.OrganisationKind{model.WorkCommittee, model.DepartmentalCommittee, model.TownCommittee,
		model.SubdistrictCommittee, model.IndustryCommittee, model.PrimaryCommittee, model.GeneralBranch, model.Branch,
		model.PartyGroup, model.Community}
	unitKindOrder = []model.UnitKind{model.Organ, model.PublicInstitution, model.Village, model.CommunityUnit, model.Enterprise, model.OtherUnit}
)

var organisationKindAliases = map[string]model.OrganisationKind{
	"支部": model.Branch, "总支": model.GeneralBranch, "党总支部": model.GeneralBranch, "党委": model.PrimaryCommittee,
	"街道党工委": model.SubdistrictCommittee, "办事处": model.SubdistrictCommittee, "镇": model.TownCommittee,
	"行业系统": model.IndustryCommittee, "小组": model.PartyGroup,
}

// meant is the value that a cell names.
func meant[K comparable](names map[K]string, aliases map[string]K, cell string) (K, bool) {
	word := fold(cell)
	for k, name := range names {
		if fold(name) == word {
			return k, true
		}
	}
	k, ok := aliases[word]
	return k, ok
}

// list is the names in order, as a sentence lists them.
func list[K comparable](order []K, names map[K]string) string {
	words := make([]string, len(order))
	for i, k := range order {
		words[i] = names[k]
	}
	return strings.Join(words, "、")
}
