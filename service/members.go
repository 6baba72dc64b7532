package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gorm.io/gorm"

	"dangri/model"
)

// Members is the people on the rosters, and which branch each belonged to on
// which day.
type Members struct {
	db       *gorm.DB
	sessions *Sessions
	seal     *sealer
	settings Settings
	now      func() time.Time
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
	return name, n >= 2 && n <= 50 && name == cleanText(name) && !strings.ContainsFunc(name, hidden)
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
	Group   string       `gorm:"column:group_name" json:"group" doc:"党小组的名称，没有编入为空"`
	Posts   []model.Post `gorm:"-" json:"posts" doc:"今天在本支部担任的职务"`
	Bound   bool         `json:"bound" doc:"是否已绑定微信"`
	Phone   string       `json:"phone,omitempty" doc:"隐去中间四位的手机号，只有书记和系统管理员看得到"`
}

// List is who belongs today to a branch or party group that the actor
// oversees. Who keeps the roster also sees the phone numbers, masked. Cursor
// continues an earlier page.
func (s *Members) List(ctx context.Context, actor *model.Actor, organisationID uint64, cursor string, limit int) (*MemberPage, error) {
	db := s.db.WithContext(ctx)
	line, err := overseen(db, actor, organisationID)
	if err != nil {
		return nil, err
	}
	after, err := readPlace(cursor)
	if err != nil {
		return nil, err
	}
	today := model.DayOf(s.now(), s.settings.Zone)
	var rows []struct {
		MemberLine
		Sealed string
	}
	query := db.Table("memberships b").
		Select("m.id, m.name, m.status, m.leader, b.group_id, COALESCE(g.name, '') AS group_name, a.id IS NOT NULL AS bound, COALESCE(p.sealed, '') AS sealed").
		Joins("JOIN members m ON m.id = b.member_id").
		Joins("LEFT JOIN accounts a ON a.member_id = m.id").
		Joins("LEFT JOIN organisations g ON g.id = b.group_id").
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
func (s *Members) RevealPhone(ctx context.Context, actor *model.Actor, memberID uint64) (*RevealedPhone, error) {
	now := s.now()
	return inTx(ctx, s.db, func(tx *gorm.DB) (*RevealedPhone, error) {
		if _, err := rosterKept(tx, actor, memberID, model.DayOf(now, s.settings.Zone)); err != nil {
			return nil, err
		}
		var row model.MemberPhone
		if err := tx.Limit(1).Find(&row, "member_id = ?", memberID).Error; err != nil {
			return nil, fmt.Errorf("phone of member %d: %w", memberID, err)
		}
		out := new(RevealedPhone)
		if row.Sealed != "" {
			phone, err := openPhone(s.seal, memberID, row.Sealed)
			if err != nil {
				return nil, err
			}
			out.Phone = phone
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

// TransferInput says where a member belongs and since when.
type TransferInput struct {
	BranchID uint64    `json:"branch_id" minimum:"1" doc:"转入的党支部；只换党小组时写现在的党支部"`
	GroupID  uint64    `json:"group_id,omitempty" doc:"转入的党小组；不写就是不编入党小组"`
	Day      model.Day `json:"day,omitempty" doc:"在新支部的第一天，如 2026-07-01；不写就是今天"`
}

// Transfer ends a member's belonging to a branch the day before and
// begins the new one, within a branch also from one party group to another. The posts
// in what is left end that day. What happened before stays with the old
// branch: a day in the past after which either branch has held a meeting is
// refused. For who keeps both rosters. Asking for what already is changes nothing.
func (s *Members) Transfer(ctx context.Context, actor *model.Actor, memberID uint64, in TransferInput) (*model.Membership, error) {
	now := s.now()
	today := model.DayOf(now, s.settings.Zone)
	if in.Day == "" {
		in.Day = today
	}
	if !in.Day.Valid() || in.Day >= model.Forever {
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
		if err := syncRosters(tx, s.settings.Sending, []uint64{old.BranchID, in.BranchID}, now); err != nil {
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

// End lets a member belong to no branch from the day on, today where it is
// empty: transferred out of the system, expelled, deceased. The posts in the
// branch end with it, upcoming rosters follow, what was before stays. For who
// keeps the roster; a past day is refused.
func (s *Members) End(ctx context.Context, actor *model.Actor, memberID uint64, day model.Day) error {
	now := s.now()
	today := model.DayOf(now, s.settings.Zone)
	if day == "" {
		day = today
	}
	if !day.Valid() || day < today {
		return model.BadField("day", "请选今天或以后的日期，写成 2026-07-01 的样子")
	}
	touched, err := inTx(ctx, s.db, func(tx *gorm.DB) ([]model.Session, error) {
		old, err := openMembership(tx, memberID)
		if err != nil {
			return nil, err
		}
		if err := lockBranches(tx, old.BranchID); err != nil {
			return nil, err
		}
		line, err := overseen(tx, actor, old.BranchID)
		switch {
		case err != nil:
			return nil, err
		case !actor.KeepsRoster(line):
			return nil, model.ErrForbidden
		}
		current, err := openMembership(tx, memberID)
		switch {
		case err != nil:
			return nil, err
		case current.BranchID != old.BranchID:
			return nil, model.ErrChangedMeantime
		case day < current.From:
			return nil, model.ErrTransferBeforeJoin.With("from", current.From)
		}
		if err := leave(tx, memberID, current, TransferInput{Day: day}); err != nil {
			return nil, err
		}
		if err := stop(tx, current, day); err != nil {
			return nil, err
		}
		if err := syncRosters(tx, s.settings.Sending, []uint64{old.BranchID}, now); err != nil {
			return nil, err
		}
		touched, err := touchSessions(tx, []uint64{memberID}, now)
		if err != nil {
			return nil, err
		}
		return touched, auditBy(tx, now, actor, "end_membership", "member", memberID, "ok", map[string]any{"branch": current.BranchID, "day": day})
	})
	if err == nil {
		s.sessions.forget(ctx, touched, now)
	}
	return err
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
	if err := stop(tx, current, in.Day); err != nil {
		return nil, err
	}
	next := &model.Membership{MemberID: current.MemberID, BranchID: in.BranchID, GroupID: ref(in.GroupID),
		Span: model.Span{From: in.Day, Until: model.Forever}}
	if err := tx.Create(next).Error; err != nil {
		return nil, fmt.Errorf("transfer member %d: %w", current.MemberID, err)
	}
	return next, nil
}

// stop ends a membership on the day; one that then held for no day goes.
func stop(tx *gorm.DB, current *model.Membership, day model.Day) (err error) {
	if current.From == day {
		err = tx.Delete(current).Error
	} else {
		err = tx.Model(current).Update("until_day", day).Error
	}
	if err != nil {
		return fmt.Errorf("end membership of member %d: %w", current.MemberID, err)
	}
	return nil
}
