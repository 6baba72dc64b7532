package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gorm.io/gorm"

	"dangri/model"
)

// Registry is the organisations, their members and who holds which post.
type Registry struct {
	db       *gorm.DB
	sessions *Sessions
	seal     *sealer
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

// lineOfMember is the line of the branch that the member was in on the day;
// empty when there was none.
func lineOfMember(tx *gorm.DB, memberID uint64, day model.Day) (model.Line, error) {
	m, err := membershipOn(tx, memberID, day)
	if err != nil || m == nil {
		return nil, err
	}
	return lineOf(tx, m.BranchID)
}

// membershipOn is where the member belonged on the day; nil when nowhere.
func membershipOn(tx *gorm.DB, memberID uint64, day model.Day) (*model.Membership, error) {
	var m model.Membership
	err := tx.Where("member_id = ? AND from_day <= ? AND until_day > ?", memberID, day, day).Limit(1).Find(&m).Error
	if err != nil {
		return nil, fmt.Errorf("branch of member %d: %w", memberID, err)
	}
	if m.ID == 0 {
		return nil, nil
	}
	return &m, nil
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
	name := strings.Join(strings.Fields(cleanText(text)), " ")
	n := utf8.RuneCountInString(name)
	return name, n >= 2 && n <= 100 && !strings.ContainsAny(name, "/>／＞")
}

// personName is a name as it is kept: without the spaces that sheets put
// between two Chinese characters to align them.
func personName(text string) (string, bool) {
	words := strings.Fields(text)
	han := func(r rune) bool { return unicode.Is(unicode.Han, r) }
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			before, _ := utf8.DecodeLastRuneInString(words[i-1])
			after, _ := utf8.DecodeRuneInString(w)
			if !han(before) || !han(after) {
				b.WriteByte(' ')
			}
		}
		b.WriteString(w)
	}
	name := b.String()
	n := utf8.RuneCountInString(name)
	hidden := func(r rune) bool { return !unicode.IsPrint(r) }
	return name, n >= 2 && n <= 50 && utf8.ValidString(name) && !strings.ContainsFunc(name, hidden)
}

// AddOrganisation puts an organisation into the tree, for an administrator of
// its superior; a party group also for the branch's secretary. A kind that
// does not belong there and a name that its superior has already are refused.
func (s *Registry) AddOrganisation(ctx context.Context, actor *model.Actor, in OrganisationInput) (*model.Organisation, error) {
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

// UpdateOrganisation renames an organisation, moves it with everything below
// it, or changes its kind: the name for its own administrator, the rest for
// one of both its superiors, the present and the new. Refused are a place
// under itself or where its kind does not belong, and another kind once it has
// members or activities.
//
// Loops cannot arise, however many moves run at once: every kind ranks below
// that of its superior, and whoever sets a kind or a superior holds the rows
// of the organisation and of both its superiors, in the order of ids.
func (s *Registry) UpdateOrganisation(ctx context.Context, actor *model.Actor, id uint64, in OrganisationInput) (*model.Organisation, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	now := s.now()
	return inTx(ctx, s.db, func(tx *gorm.DB) (*model.Organisation, error) {
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
		if err := tx.Select("parent_id", "kind", "unit_kind", "name").Updates(&changed).Error; err != nil {
			return nil, taken(err, model.ErrOrganisationTaken)
		}
		return &changed, auditBy(tx, now, actor, "update_organisation", "organisation", id, "ok",
			map[string]any{"parent_before": o.ParentID, "parent": changed.ParentID, "kind_before": o.Kind, "kind": in.Kind})
	})
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

// Organisations is what is directly under an organisation that the actor
// oversees; with parentID zero, the organisations in which the actor holds a
// post, for the Operator the roots. Cursor continues an earlier page.
func (s *Registry) Organisations(ctx context.Context, actor *model.Actor, parentID uint64, cursor string, limit int) (*OrganisationPage, error) {
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
	limit = pageSize(limit)
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

// MemberPage is a part of a branch's or party group's members, by id.
type MemberPage struct {
	Items []MemberLine `json:"items"`
	Next  string       `json:"next,omitempty" doc:"下一页的 cursor；没有就是到底了"`
}

// MemberLine is a member in the list of the branch.
type MemberLine struct {
	model.Member
	GroupID *uint64      `json:"group_id" doc:"党小组"`
	Posts   []model.Post `gorm:"-" json:"posts" doc:"今天在本支部担任的职务"`
	Bound   bool         `json:"bound" doc:"是否已绑定微信"`
	Phone   string       `json:"phone,omitempty" doc:"隐去中间四位的手机号，只有书记和系统管理员看得到"`
}

// Members is who belongs today to a branch or party group that the actor
// oversees. Who keeps the roster also sees the phone numbers, masked. Cursor
// continues an earlier page.
func (s *Registry) Members(ctx context.Context, actor *model.Actor, organisationID uint64, cursor string, limit int) (*MemberPage, error) {
	db := s.db.WithContext(ctx)
	line, err := overseen(db, actor, organisationID)
	if err != nil {
		return nil, err
	}
	after, err := readPlace(cursor)
	if err != nil {
		return nil, err
	}
	limit = pageSize(limit)
	today := model.DayOf(s.now(), s.settings.Zone)
	var rows []struct {
		MemberLine
		Sealed string
	}
	query := db.Table("memberships b").
		Select("m.id, m.name, m.status, m.leader, b.group_id, a.id IS NOT NULL AS bound, COALESCE(p.sealed, '') AS sealed").
		Joins("JOIN members m ON m.id = b.member_id").
		Joins("LEFT JOIN accounts a ON a.member_id = m.id").
		Joins("LEFT JOIN member_phones p ON p.member_id = m.id AND ?", actor.KeepsRoster(line)).
		Where("b.branch_id = ? AND b.from_day <= ? AND b.until_day > ? AND m.id > ?", line.BranchID(), today, today, after)
	if line[0].Kind == model.PartyGroup {
		query = query.Where("b.group_id = ?", organisationID)
	}
	if err := query.Order("m.id").Limit(limit + 1).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("members of organisation %d: %w", organisationID, err)
	}
	page := &MemberPage{Items: []MemberLine{}}
	if len(rows) > limit {
		rows = rows[:limit]
		page.Next = writePlace(rows[limit-1].ID)
	}
	ids := make([]uint64, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	posts := map[uint64][]model.Post{}
	if len(ids) > 0 {
		var all []model.Post
		err := db.Where("member_id IN ? AND from_day <= ? AND until_day > ?", ids, today, today).
			Where("organisation_id IN (?)", below(db, []uint64{line.BranchID()})).Order("id").Find(&all).Error
		if err != nil {
			return nil, fmt.Errorf("posts in organisation %d: %w", organisationID, err)
		}
		for _, p := range all {
			posts[p.MemberID] = append(posts[p.MemberID], p)
		}
	}
	for i := range rows {
		m := rows[i].MemberLine
		m.Posts = append([]model.Post{}, posts[m.ID]...)
		if rows[i].Sealed != "" {
			phone, err := openPhone(s.seal, m.ID, rows[i].Sealed)
			if err != nil {
				return nil, err
			}
			m.Phone = maskPhone(phone)
		}
		page.Items = append(page.Items, m)
	}
	return page, nil
}

// RevealedPhone is a member's whole phone number.
type RevealedPhone struct {
	Phone string `json:"phone" doc:"空表示没有登记"`
}

// RevealPhone is the whole phone number of a member, for who keeps the roster.
// Every look is audited.
func (s *Registry) RevealPhone(ctx context.Context, actor *model.Actor, memberID uint64) (*RevealedPhone, error) {
	now := s.now()
	return inTx(ctx, s.db, func(tx *gorm.DB) (*RevealedPhone, error) {
		line, err := lineOfMember(tx, memberID, model.DayOf(now, s.settings.Zone))
		switch {
		case err != nil:
			return nil, err
		case !actor.Oversees(line):
			return nil, model.ErrNotFound
		case !actor.KeepsRoster(line):
			return nil, model.ErrForbidden
		}
		var row model.MemberPhone
		if err := tx.Limit(1).Find(&row, "member_id = ?", memberID).Error; err != nil {
			return nil, fmt.Errorf("phone of member %d: %w", memberID, err)
		}
		out := new(RevealedPhone)
		if row.Sealed != "" {
			if out.Phone, err = openPhone(s.seal, memberID, row.Sealed); err != nil {
				return nil, err
			}
		}
		return out, auditBy(tx, now, actor, "view_phone", "member", memberID, "ok", nil)
	})
}

// A member's number is sealed for its own row, so it opens nowhere else.
func sealPhone(seal *sealer, memberID uint64, phone string) (model.MemberPhone, error) {
	sealed, err := seal.seal("member_phones", "sealed", memberID, phone)
	return model.MemberPhone{MemberID: memberID, Sealed: sealed, BlindIndex: seal.blind(phone)}, err
}

func openPhone(seal *sealer, memberID uint64, sealed string) (string, error) {
	return seal.open("member_phones", "sealed", memberID, sealed)
}

// maskPhone is 13800001234 as 138****1234.
func maskPhone(phone string) string {
	if len(phone) < 8 {
		return "****"
	}
	return phone[:3] + "****" + phone[len(phone)-4:]
}

// PostInput gives a post to a member.
type PostInput struct {
	MemberID       uint64         `json:"member_id" minimum:"1"`
	OrganisationID uint64         `json:"organisation_id" minimum:"1" doc:"任职的组织；党小组长写党小组"`
	Kind           model.PostKind `json:"kind" enum:"secretary,committee_member,group_leader,community_liaison,supervisor,administrator" doc:"职务"`
	From           model.Day      `json:"from,omitempty" doc:"任职的第一天，如 2026-07-01；不写就是今天"`
	Until          model.Day      `json:"until,omitempty" doc:"不再任职的第一天；不写就是没有期限"`
}

func (in PostInput) span(today model.Day) (model.Span, error) {
	span := model.Span{From: in.From, Until: in.Until}
	if span.From == "" {
		span.From = today
	}
	if span.Until == "" {
		span.Until = model.Forever
	}
	if !span.From.Valid() {
		return span, model.BadField("from", badDay)
	}
	if !span.Until.Valid() || span.Until <= span.From {
		return span, model.BadField("until", "结束的日期须在开始之后，写成 2026-07-01 的样子")
	}
	return span, nil
}

const badDay = "日期须写成 2026-07-01 的样子"

// GrantPost gives a member a post over a span of days; the rights that come
// with it count from the member's next request. A post that is held already
// over the whole span stays as it is, one that is held over a part of it is
// refused. A branch and a party group are led by their own members.
func (s *Registry) GrantPost(ctx context.Context, actor *model.Actor, in PostInput) (*model.Post, error) {
	now := s.now()
	today := model.DayOf(now, s.settings.Zone)
	span, err := in.span(today)
	if err != nil {
		return nil, err
	}
	day := today
	if !span.Covers(day) {
		day = span.From
	}
	var touched []model.Session
	post, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.Post, error) {
		line, err := appointing(tx, actor, in.OrganisationID, in.Kind)
		if err != nil {
			return nil, err
		}
		if !in.Kind.FitsIn(line[0].Kind) {
			return nil, model.ErrPostPlace
		}
		// As a transfer does: first the branch, then the member.
		if err := lockBranches(tx, line.BranchID()); err != nil {
			return nil, err
		}
		if _, err := lock[model.Member](tx, in.MemberID, model.ErrNotFound); err != nil {
			return nil, err
		}
		if err := eligible(tx, actor, line, in, day); err != nil {
			return nil, err
		}
		var held []model.Post
		err = tx.Find(&held, "member_id = ? AND organisation_id = ? AND kind = ?", in.MemberID, in.OrganisationID, in.Kind).Error
		if err != nil {
			return nil, fmt.Errorf("posts of member %d: %w", in.MemberID, err)
		}
		for i := range held {
			if span.Within(held[i].Span) {
				return &held[i], nil
			}
			if span.Meets(held[i].Span) {
				return nil, model.ErrPostTaken.With("held", held[i].Span)
			}
		}
		post := &model.Post{MemberID: in.MemberID, OrganisationID: in.OrganisationID, Kind: in.Kind, Span: span}
		if err := tx.Create(post).Error; err != nil {
			return nil, taken(err, model.ErrPostTaken)
		}
		if touched, err = touchSessions(tx, []uint64{in.MemberID}, now); err != nil {
			return nil, err
		}
		return post, auditBy(tx, now, actor, "grant_post", "post", post.ID, "ok", post)
	})
	if err == nil {
		s.sessions.forget(ctx, touched, now)
	}
	return post, err
}

// appointing is the line of an organisation in which the actor may grant and
// end posts of the kind.
func appointing(tx *gorm.DB, actor *model.Actor, organisationID uint64, kind model.PostKind) (model.Line, error) {
	line, err := overseen(tx, actor, organisationID)
	if err != nil {
		return nil, err
	}
	if !actor.Appoints(kind, line) {
		return nil, model.ErrForbidden
	}
	return line, nil
}

// eligible refuses a member whom the actor may not see, or who would lead a
// branch or party group without belonging to it on the day.
func eligible(tx *gorm.DB, actor *model.Actor, line model.Line, in PostInput, day model.Day) error {
	m, err := membershipOn(tx, in.MemberID, day)
	if err != nil {
		return err
	}
	if m == nil {
		return model.ErrNotFound
	}
	if m.BranchID != line.BranchID() {
		if _, err := overseen(tx, actor, m.BranchID); err != nil {
			return err
		}
	}
	if !in.Kind.HeldByOwn(line[0].Kind) {
		return nil
	}
	if m.BranchID != line.BranchID() || line[0].Kind == model.PartyGroup && deref(m.GroupID) != line[0].ID {
		return model.ErrPostOutsider
	}
	return nil
}

// EndPost ends a post: day, today where it is empty, is the first on which it
// is no longer held. A post that has ended by then stays as it is; one that
// would only begin on that day or later never was.
func (s *Registry) EndPost(ctx context.Context, actor *model.Actor, postID uint64, day model.Day) error {
	now := s.now()
	today := model.DayOf(now, s.settings.Zone)
	if day == "" {
		day = today
	}
	if !day.Valid() || day < today {
		return model.BadField("day", "请选今天或以后的日期，写成 2026-07-01 的样子")
	}
	var touched []model.Session
	_, err := inTx(ctx, s.db, func(tx *gorm.DB) (struct{}, error) {
		post, err := lock[model.Post](tx, postID, model.ErrNotFound)
		if err != nil {
			return struct{}{}, err
		}
		if _, err := appointing(tx, actor, post.OrganisationID, post.Kind); err != nil {
			return struct{}{}, err
		}
		if post.Until <= day {
			return struct{}{}, nil
		}
		if err := endPosts(tx, []model.Post{*post}, day); err != nil {
			return struct{}{}, err
		}
		if touched, err = touchSessions(tx, []uint64{post.MemberID}, now); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, auditBy(tx, now, actor, "end_post", "post", postID, "ok", map[string]any{"member_id": post.MemberID, "until": day})
	})
	if err == nil {
		s.sessions.forget(ctx, touched, now)
	}
	return err
}

// endPosts lets the posts be held until the day, itself not included. A post
// without a day left goes: an empty span would say nothing.
func endPosts(tx *gorm.DB, posts []model.Post, day model.Day) error {
	var begun, unbegun []uint64
	for _, p := range posts {
		if p.From < day {
			begun = append(begun, p.ID)
		} else {
			unbegun = append(unbegun, p.ID)
		}
	}
	for _, some := range chunks(begun, 500) {
		if err := tx.Model(&model.Post{}).Where("id IN ?", some).Update("until_day", day).Error; err != nil {
			return fmt.Errorf("end posts: %w", err)
		}
	}
	for _, some := range chunks(unbegun, 500) {
		if err := tx.Delete(&model.Post{}, "id IN ?", some).Error; err != nil {
			return fmt.Errorf("take posts back: %w", err)
		}
	}
	return nil
}

// TransferInput says where a member belongs and since when.
type TransferInput struct {
	BranchID uint64    `json:"branch_id" minimum:"1" doc:"转入的党支部；只换党小组时写现在的党支部"`
	GroupID  uint64    `json:"group_id,omitempty" doc:"转入的党小组；不写就是不编入党小组"`
	Day      model.Day `json:"day,omitempty" doc:"在新支部的第一天，如 2026-07-01；不写就是今天"`
}

// TransferMember ends a member's belonging to a branch the day before and
// begins the new one, within a branch also from one party group to another. The posts
// in what is left end that day. What happened before stays with the old
// branch: a day in the past after which either branch has held a meeting is
// refused. For who keeps both rosters. Asking for what already is changes nothing.
func (s *Registry) TransferMember(ctx context.Context, actor *model.Actor, memberID uint64, in TransferInput) (*model.Membership, error) {
	now := s.now()
	today := model.DayOf(now, s.settings.Zone)
	if in.Day == "" {
		in.Day = today
	}
	if !in.Day.Valid() {
		return nil, model.BadField("day", badDay)
	}
	var touched []model.Session
	m, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.Membership, error) {
		old, err := openMembership(tx, memberID)
		if err != nil {
			return nil, err
		}
		if err := lockBranches(tx, old.BranchID, in.BranchID); err != nil {
			return nil, err
		}
		if err := mayTransfer(tx, actor, old.BranchID, in); err != nil {
			return nil, err
		}
		if _, err := lock[model.Member](tx, memberID, model.ErrNotFound); err != nil {
			return nil, err
		}
		current, err := openMembership(tx, memberID)
		switch {
		case err != nil:
			return nil, err
		case current.BranchID != old.BranchID:
			return nil, model.ErrChangedMeantime
		case in.Day < current.From:
			return nil, model.ErrTransferBeforeJoin.With("from", current.From)
		case current.BranchID == in.BranchID && deref(current.GroupID) == in.GroupID:
			return current, nil
		case in.Day < today:
			if err := heldSince(tx, s.settings.Zone, memberID, in, now); err != nil {
				return nil, err
			}
		}
		if err := leave(tx, memberID, current, in); err != nil {
			return nil, err
		}
		next, err := belong(tx, current, in)
		if err != nil {
			return nil, err
		}
		if err := syncRosters(tx, s.settings.Zone, []uint64{old.BranchID, in.BranchID}, now); err != nil {
			return nil, err
		}
		if touched, err = touchSessions(tx, []uint64{memberID}, now); err != nil {
			return nil, err
		}
		return next, auditBy(tx, now, actor, "transfer_member", "member", memberID, "ok",
			map[string]any{"from_branch": current.BranchID, "from_group": current.GroupID, "to_branch": in.BranchID, "to_group": in.GroupID, "day": in.Day})
	})
	if err == nil {
		s.sessions.forget(ctx, touched, now)
	}
	return m, err
}

// openMembership is where the member belongs without an end in sight.
func openMembership(tx *gorm.DB, memberID uint64) (*model.Membership, error) {
	m := new(model.Membership)
	err := tx.Take(m, "member_id = ? AND until_day = ?", memberID, model.Forever).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, model.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("branch of member %d: %w", memberID, err)
	}
	return m, nil
}

// mayTransfer refuses who does not keep both rosters, and a place that is no
// branch or no group of it.
func mayTransfer(tx *gorm.DB, actor *model.Actor, fromBranch uint64, in TransferInput) error {
	for _, id := range []uint64{fromBranch, in.BranchID} {
		line, err := overseen(tx, actor, id)
		switch {
		case err != nil:
			return err
		case !actor.KeepsRoster(line):
			return model.ErrForbidden
		case !line[0].Kind.HoldsMembers():
			return model.ErrTransferPlace
		}
	}
	if in.GroupID == 0 {
		return nil
	}
	line, err := lineOf(tx, in.GroupID)
	if err != nil {
		return err
	}
	if len(line) < 2 || line[0].Kind != model.PartyGroup || line[1].ID != in.BranchID {
		return model.ErrTransferPlace
	}
	return nil
}

// heldSince refuses a transfer into the past that would contradict a roster:
// since that day the member was on one or attended, or the new branch met.
func heldSince(tx *gorm.DB, zone *time.Location, memberID uint64, in TransferInput, now time.Time) error {
	start, err := time.ParseInLocation(time.DateOnly, string(in.Day), zone)
	if err != nil {
		return model.BadField("day", badDay)
	}
	var held int64
	err = tx.Model(&model.Activity{}).
		Where("status IN ? AND starts_at >= ? AND starts_at <= ?", []model.ActivityStatus{model.Published, model.Closed}, start.UTC(), now).
		Where("organisation_id IN (?) OR id IN (?) OR id IN (?)", below(tx, []uint64{in.BranchID}),
			tx.Model(&model.RosterEntry{}).Select("activity_id").Where("member_id = ?", memberID),
			tx.Model(&model.Attendance{}).Select("activity_id").Where("member_id = ?", memberID)).
		Count(&held).Error
	if err != nil {
		return fmt.Errorf("meetings since the transfer of member %d: %w", memberID, err)
	}
	if held > 0 {
		return model.ErrTransferHeld
	}
	return nil
}

// leave ends the member's posts in the branch that is left, or in the group
// when the branch stays.
func leave(tx *gorm.DB, memberID uint64, current *model.Membership, in TransferInput) error {
	left := []uint64{current.BranchID}
	if current.BranchID == in.BranchID {
		left = []uint64{deref(current.GroupID)}
	}
	var posts []model.Post
	err := tx.Where("member_id = ? AND until_day > ? AND organisation_id IN (?)", memberID, in.Day, below(tx, left)).Find(&posts).Error
	if err != nil {
		return fmt.Errorf("posts of member %d: %w", memberID, err)
	}
	return endPosts(tx, posts, in.Day)
}

// belong writes the new membership. One that begins on the very day replaces
// the present one, which then held for no day.
func belong(tx *gorm.DB, current *model.Membership, in TransferInput) (*model.Membership, error) {
	next := &model.Membership{MemberID: current.MemberID, BranchID: in.BranchID, GroupID: ref(in.GroupID),
		Span: model.Span{From: in.Day, Until: model.Forever}}
	var err error
	if current.From == in.Day {
		err = tx.Delete(current).Error
	} else {
		err = tx.Model(current).Update("until_day", in.Day).Error
	}
	if err == nil {
		err = tx.Create(next).Error
	}
	if err != nil {
		return nil, fmt.Errorf("transfer member %d: %w", current.MemberID, err)
	}
	return next, nil
}

// taken turns a duplicate key into the refusal that explains it.
func taken(err error, refusal *model.Error) error {
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return refusal
	}
	return err
}

// ref is a pointer to an id, nil for zero.
func ref(id uint64) *uint64 {
	if id == 0 {
		return nil
	}
	return &id
}

// pageSize bounds how much of a list one request gets.
func pageSize(limit int) int { return min(max(limit, 1), 100) }

func writePlace(id uint64) string { return strconv.FormatUint(id, 10) }

func readPlace(cursor string) (uint64, error) {
	if cursor == "" {
		return 0, nil
	}
	id, err := strconv.ParseUint(cursor, 10, 63)
	if err != nil {
		return 0, model.BadField("cursor", "翻页位置无效，请从头刷新")
	}
	return id, nil
}
