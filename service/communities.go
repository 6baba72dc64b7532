package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Communities is 双报到: branches and members register with a community, whose
// liaison confirms. Everything has days, and nothing here moves a membership.
type Communities struct {
	db       *gorm.DB
	settings Settings
	now      func() time.Time
}

// CommunityPage is a part of the communities, the oldest first.
type CommunityPage struct {
	Items []CommunityLine `json:"items"`
	Next  string          `json:"next,omitempty" doc:"下一页的 cursor；没有就是到底了"`
}

// CommunityLine is a community one can register with.
type CommunityLine struct {
	ID   uint64 `json:"id"`
	Name string `json:"name"`
	Over string `gorm:"column:superior" json:"over" doc:"上级组织"` // OVER is a reserved word
}

// List is the communities that a member can register with.
func (s *Communities) List(ctx context.Context, cursor string, limit int) (*CommunityPage, error) {
	after, err := readPlace(cursor)
	if err != nil {
		return nil, err
	}
	page := &CommunityPage{Items: []CommunityLine{}}
	err = s.db.WithContext(ctx).Table("organisations o").Select("o.id, o.name, COALESCE(p.name, '') AS superior").
		Joins("LEFT JOIN organisations p ON p.id = o.parent_id").
		Where("o.kind = ? AND o.id > ?", model.Community, after).Order("o.id").Limit(limit + 1).Scan(&page.Items).Error
	if err != nil {
		return nil, fmt.Errorf("list communities: %w", err)
	}
	if len(page.Items) > limit {
		page.Items = page.Items[:limit]
		page.Next = writePlace(page.Items[limit-1].ID)
	}
	return page, nil
}

// RegistrationInput says who registers with which community, and from when.
type RegistrationInput struct {
	CommunityID uint64    `json:"community_id" minimum:"1" doc:"社区"`
	BranchID    uint64    `json:"branch_id,omitempty" doc:"为支部报到时给；不给就是本人报到"`
	From        model.Day `json:"from,omitempty" maxLength:"10" doc:"从哪天起，不给就是今天"`
}

// Register puts the caller, or the branch whose secretary the caller is, down
// with a community; the community's liaison confirms later. Who is registered
// elsewhere moves: the former registration ends on that day. Registering again
// with the same community changes nothing.
func (s *Communities) Register(ctx context.Context, actor *model.Actor, in RegistrationInput) (*model.CommunityRegistration, error) {
	now := s.now()
	day := in.From
	if day == "" {
		day = model.DayOf(now, s.settings.Zone)
	}
	if !day.Valid() || day >= model.Forever {
		return nil, model.BadField("from", "日期应为 2026-03-10 的形式")
	}
	out, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.CommunityRegistration, error) {
		r := &model.CommunityRegistration{CommunityID: in.CommunityID, CreatedBy: actor.MemberID, CreatedAt: now,
			Span: model.Span{From: day, Until: model.Forever}}
		home, who := actor.BranchID, "member_id = ?"
		subject := actor.MemberID
		if in.BranchID != 0 {
			line, err := overseen(tx, actor, in.BranchID)
			switch {
			case err != nil:
				return nil, err
			case line[0].Kind != model.Branch:
				return nil, model.BadField("branch_id", "只有党支部可以报到")
			case !actor.KeepsRoster(line):
				return nil, model.ErrForbidden
			}
			home, who, subject, r.BranchID = in.BranchID, "branch_id = ?", in.BranchID, &in.BranchID
			if err := lockBranches(tx, in.BranchID); err != nil {
				return nil, err
			}
		} else {
			r.MemberID = &actor.MemberID
			if _, err := lock[model.Member](tx, actor.MemberID, model.ErrNotBound); err != nil {
				return nil, err
			}
		}
		community, err := find[model.Organisation](tx, in.CommunityID, model.ErrNotCommunity)
		switch {
		case err != nil:
			return nil, err
		case community.Kind != model.Community:
			return nil, model.ErrNotCommunity
		case community.ID == home:
			return nil, model.ErrOwnCommunity
		}
		// In force on the day or after it: the open one, and one that ends only later.
		var others []model.CommunityRegistration
		if err := tx.Where(who, subject).Where("until_day > ? AND returned = 0", day).Order("until_day DESC").Find(&others).Error; err != nil {
			return nil, fmt.Errorf("find registration: %w", err)
		}
		for i := range others {
			if others[i].Until == model.Forever && others[i].CommunityID == in.CommunityID {
				return &others[i], nil
			}
			if err := endRegistration(tx, &others[i], day); err != nil {
				return nil, err
			}
		}
		if err := tx.Create(r).Error; err != nil {
			return nil, fmt.Errorf("register with community %d: %w", in.CommunityID, err)
		}
		return r, auditBy(tx, now, actor, "register_community", "community_registration", r.ID, "ok", nil)
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return nil, model.ErrChangedMeantime
	}
	return out, err
}

// endRegistration lets the registration end on the day. One that would never
// have been in force is taken out.
func endRegistration(tx *gorm.DB, r *model.CommunityRegistration, day model.Day) error {
	switch {
	case r.Until <= day, r.Returned != 0:
		return model.ErrRegistrationEnded
	case day < r.From:
		return model.ErrRegistrationDay.With("from", r.From)
	case day == r.From:
		if err := tx.Delete(r).Error; err != nil {
			return fmt.Errorf("take back registration %d: %w", r.ID, err)
		}
	default:
		if err := tx.Model(r).Update("until_day", day).Error; err != nil {
			return fmt.Errorf("end registration %d: %w", r.ID, err)
		}
	}
	r.Until = day
	return nil
}

// RegistrationAnswer is the liaison's word on a registration.
type RegistrationAnswer struct {
	Accept bool   `json:"accept" doc:"确认还是退回：true 确认，false 退回"`
	Reason string `json:"reason,omitempty" maxLength:"100" doc:"退回的原因，退回时必填"`
}

// Confirm accepts a registration or sends it back, as the community's liaison,
// with a reason that who registered can read. Confirming again changes nothing.
func (s *Communities) Confirm(ctx context.Context, actor *model.Actor, id uint64, in RegistrationAnswer) (*model.CommunityRegistration, error) {
	now := s.now()
	reason := cleanLine(in.Reason)
	if !in.Accept && reason == "" {
		return nil, model.BadField("reason", "退回请写明原因")
	}
	return inTx(ctx, s.db, func(tx *gorm.DB) (*model.CommunityRegistration, error) {
		r, err := lock[model.CommunityRegistration](tx, id, model.ErrRegistrationNotFound)
		if err != nil {
			return nil, err
		}
		line, err := lineOf(tx, r.CommunityID)
		if err != nil {
			return nil, err
		}
		today := model.DayOf(now, s.settings.Zone)
		switch {
		case !actor.Liaises(line):
			return nil, model.ErrRegistrationNotFound
		case r.Until <= today, r.Returned != 0:
			return nil, model.ErrRegistrationEnded
		case in.Accept && r.ConfirmedAt != nil:
			return r, nil
		case !in.Accept:
			r.Until, r.Returned, r.ReturnReason = max(today, r.From), r.ID, reason
			if err := tx.Model(r).Select("until_day", "returned", "return_reason").Updates(r).Error; err != nil {
				return nil, fmt.Errorf("send back registration %d: %w", id, err)
			}
			return r, auditBy(tx, now, actor, "return_registration", "community_registration", id, "ok", nil)
		}
		r.ConfirmedAt, r.ConfirmedBy = &now, &actor.MemberID
		if err := tx.Save(r).Error; err != nil {
			return nil, fmt.Errorf("confirm registration %d: %w", id, err)
		}
		return r, auditBy(tx, now, actor, "confirm_registration", "community_registration", id, "ok", nil)
	})
}

// Withdraw ends a registration on the day, today if none is given: one's own,
// or that of the branch whose secretary the caller is.
func (s *Communities) Withdraw(ctx context.Context, actor *model.Actor, id uint64, day model.Day) (*model.CommunityRegistration, error) {
	now := s.now()
	if day == "" {
		day = model.DayOf(now, s.settings.Zone)
	}
	if !day.Valid() {
		return nil, model.BadField("day", "日期应为 2026-03-10 的形式")
	}
	return inTx(ctx, s.db, func(tx *gorm.DB) (*model.CommunityRegistration, error) {
		r, err := lock[model.CommunityRegistration](tx, id, model.ErrRegistrationNotFound)
		if err != nil {
			return nil, err
		}
		own := r.MemberID != nil && *r.MemberID == actor.MemberID
		if r.BranchID != nil {
			line, err := lineOf(tx, *r.BranchID)
			if err != nil {
				return nil, err
			}
			own = actor.KeepsRoster(line)
		}
		if !own {
			return nil, model.ErrRegistrationNotFound
		}
		if err := endRegistration(tx, r, day); err != nil {
			return nil, err
		}
		return r, auditBy(tx, now, actor, "end_registration", "community_registration", id, "ok", nil)
	})
}

// RegistrationLine is a registration with the names people know.
type RegistrationLine struct {
	model.CommunityRegistration
	Community string `json:"community"`
	Branch    string `json:"branch" doc:"报到的支部，或报到党员今天所在的支部"`
	Member    string `json:"member" doc:"报到的党员；支部报到时为空"`
}

// RegistrationPage is a part of a list of registrations, the newest first.
type RegistrationPage struct {
	Items []RegistrationLine `json:"items"`
	Next  string             `json:"next,omitempty" doc:"下一页的 cursor；没有就是到底了"`
}

// Registrations is who is registered with a community, for who oversees it;
// or, with communityID zero, the caller's own and their branch's, now and before.
func (s *Communities) Registrations(ctx context.Context, actor *model.Actor, communityID uint64, cursor string, limit int) (*RegistrationPage, error) {
	db := s.db.WithContext(ctx)
	today := model.DayOf(s.now(), s.settings.Zone)
	rows := db.Table("community_registrations r").
		Select("r.*, c.name AS community, COALESCE(b.name, h.name, '') AS branch, COALESCE(m.name, '') AS member").
		Joins("JOIN organisations c ON c.id = r.community_id").
		Joins("LEFT JOIN organisations b ON b.id = r.branch_id").
		Joins("LEFT JOIN members m ON m.id = r.member_id").
		Joins("LEFT JOIN memberships s ON s.member_id = r.member_id AND s.from_day <= ? AND s.until_day > ?", today, today).
		Joins("LEFT JOIN organisations h ON h.id = s.branch_id")
	if communityID == 0 {
		rows = rows.Where("r.member_id = ? OR r.branch_id = ?", actor.MemberID, actor.BranchID)
	} else {
		if _, err := overseen(db, actor, communityID); err != nil {
			return nil, err
		}
		rows = rows.Where("r.community_id = ? AND r.until_day > ? AND r.returned = 0", communityID, today)
	}
	before, err := readPlace(cursor)
	if err != nil {
		return nil, err
	}
	if before != 0 {
		rows = rows.Where("r.id < ?", before)
	}
	page := &RegistrationPage{Items: []RegistrationLine{}}
	if err := rows.Order("r.id DESC").Limit(limit + 1).Scan(&page.Items).Error; err != nil {
		return nil, fmt.Errorf("list registrations: %w", err)
	}
	if len(page.Items) > limit {
		page.Items = page.Items[:limit]
		page.Next = writePlace(page.Items[limit-1].ID)
	}
	return page, nil
}

// registeredWith says whether the member, or their branch, is registered with
// the community on the day, and confirmed.
func registeredWith(tx *gorm.DB, communityID, memberID, branchID uint64, day model.Day) (bool, error) {
	var all []model.CommunityRegistration
	err := tx.Where("community_id = ?", communityID).Where("member_id = ? OR branch_id = ?", memberID, branchID).Find(&all).Error
	if err != nil {
		return false, fmt.Errorf("registration of member %d: %w", memberID, err)
	}
	return slices.ContainsFunc(all, func(r model.CommunityRegistration) bool { return r.Counts(day) }), nil
}
