package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Households is 结亲连心: a member's lasting care for a household, with visits
// as service. Who the household is lies sealed in its row, and only the member
// and their secretary open it.
type Households struct {
	db       *gorm.DB
	seal     *sealer
	settings Settings
	now      func() time.Time
}

// Household is as little as a visit needs.
type Household struct {
	Name    string `json:"name" minLength:"1" maxLength:"20" doc:"怎么称呼"`
	Address string `json:"address,omitempty" maxLength:"50" doc:"住址"`
	Phone   string `json:"phone,omitempty" maxLength:"20" doc:"联系电话"`
	Note    string `json:"note,omitempty" maxLength:"100" doc:"需要知道的情况"`
}

// PairingInput is a household that the caller takes care of.
type PairingInput struct {
	Household Household `json:"household" doc:"结亲户"`
	From      model.Day `json:"from,omitempty" maxLength:"10" doc:"从哪天起，不给就是今天"`
	Nonce     string    `json:"nonce" minLength:"8" maxLength:"64" pattern:"^[0-9A-Za-z_-]+$" doc:"提交编号：每次提交生成一次，重试时不变"`
}

// PairingView is a pairing with its household, opened.
type PairingView struct {
	ID        uint64      `json:"id"`
	MemberID  uint64      `json:"member_id"`
	Member    string      `json:"member"`
	Household Household   `json:"household"`
	From      model.Day   `json:"from"`
	Until     model.Day   `json:"until" doc:"9999-12-31 为一直"`
	Visits    []VisitView `json:"visits" doc:"最近的一百次走访"`
}

// VisitView is a visit, opened.
type VisitView struct {
	ID          uint64     `json:"id"`
	Day         model.Day  `json:"day"`
	Minutes     int        `json:"minutes"`
	Note        string     `json:"note"`
	ConfirmedAt *time.Time `json:"confirmed_at" doc:"书记确认后计入服务时长"`
}

// Pair begins the caller's care for a household. A retry answers with the first.
func (s *Households) Pair(ctx context.Context, actor *model.Actor, in PairingInput) (*PairingView, error) {
	now := s.now()
	day := in.From
	if day == "" {
		day = model.DayOf(now, s.settings.Zone)
	}
	h := Household{cleanLine(in.Household.Name), cleanLine(in.Household.Address), cleanLine(in.Household.Phone), cleanText(in.Household.Note)}
	switch {
	case !day.Valid():
		return nil, model.BadField("from", "日期应为 2026-03-10 的形式")
	case h.Name == "":
		return nil, model.BadField("household.name", "请写明怎么称呼")
	}
	once, err := s.once(in.Nonce, in)
	if err != nil {
		return nil, err
	}
	p, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.HouseholdPairing, error) {
		p := &model.HouseholdPairing{MemberID: actor.MemberID, Span: model.Span{From: day, Until: model.Forever}, CreatedAt: now, Once: once}
		if err := tx.Create(p).Error; err != nil {
			return nil, fmt.Errorf("pair with household: %w", err)
		}
		sealed, err := s.sealJSON("household_pairings", p.ID, h)
		if err != nil {
			return nil, err
		}
		if err := tx.Model(p).Update("sealed", sealed).Error; err != nil {
			return nil, fmt.Errorf("seal household %d: %w", p.ID, err)
		}
		return p, auditBy(tx, now, actor, "pair_household", "household_pairing", p.ID, "ok", nil)
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		p, err = firstTry[model.HouseholdPairing](s.db.WithContext(ctx), once, err, "member_id = ?", actor.MemberID)
	}
	if err != nil {
		return nil, err
	}
	return s.Show(ctx, actor, p.ID)
}

// once is keyed, so that the digest of a household tells nothing about it.
func (s *Households) once(nonce string, in any) (model.Once, error) {
	text, err := json.Marshal(in)
	if err != nil {
		return model.Once{}, fmt.Errorf("digest household: %w", err)
	}
	return model.Once{Nonce: nonce, Fingerprint: s.seal.blind(string(text))[:22]}, nil
}

func (s *Households) sealJSON(table string, id uint64, v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("seal %s %d: %w", table, id, err)
	}
	return s.seal.seal(table, "sealed", id, string(text))
}

func (s *Households) openJSON(table string, id uint64, sealed string, into any) error {
	text, err := s.seal.open(table, "sealed", id, sealed)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("open %s %d: not what was sealed", table, id)
	}
	return nil
}

// cared loads a pairing for its member or their secretary; anybody else finds
// nothing. Own is false for the secretary.
func (s *Households) cared(tx *gorm.DB, actor *model.Actor, id uint64, now time.Time) (p *model.HouseholdPairing, own bool, err error) {
	p, err = find[model.HouseholdPairing](tx, id, model.ErrPairingNotFound)
	if err != nil || p.MemberID == actor.MemberID {
		return p, err == nil, err
	}
	line, err := lineOfMember(tx, p.MemberID, model.DayOf(now, s.settings.Zone))
	if err != nil {
		return nil, false, err
	}
	if !actor.KeepsHouseholds(line) {
		return nil, false, model.ErrPairingNotFound
	}
	return p, false, nil
}

// Show is a pairing with its household and visits, opened for the member and
// their secretary; every look of the secretary is audited.
func (s *Households) Show(ctx context.Context, actor *model.Actor, id uint64) (*PairingView, error) {
	now := s.now()
	return inTx(ctx, s.db, func(tx *gorm.DB) (*PairingView, error) {
		p, own, err := s.cared(tx, actor, id, now)
		if err != nil {
			return nil, err
		}
		member, err := find[model.Member](tx, p.MemberID, model.ErrPairingNotFound)
		if err != nil {
			return nil, err
		}
		out := &PairingView{ID: p.ID, MemberID: p.MemberID, Member: member.Name, From: p.From, Until: p.Until, Visits: []VisitView{}}
		if err := s.openJSON("household_pairings", p.ID, p.Sealed, &out.Household); err != nil {
			return nil, err
		}
		var visits []model.HouseholdVisit
		if err := tx.Order("day DESC, id DESC").Limit(100).Find(&visits, "pairing_id = ?", id).Error; err != nil {
			return nil, fmt.Errorf("visits of pairing %d: %w", id, err)
		}
		for i := range visits {
			v, err := s.visit(&visits[i])
			if err != nil {
				return nil, err
			}
			out.Visits = append(out.Visits, *v)
		}
		if own {
			return out, nil
		}
		return out, auditBy(tx, now, actor, "read_household", "household_pairing", id, "ok", nil)
	})
}

func (s *Households) visit(v *model.HouseholdVisit) (*VisitView, error) {
	out := &VisitView{ID: v.ID, Day: v.Day, Minutes: v.Minutes, ConfirmedAt: v.ConfirmedAt}
	return out, s.openJSON("household_visits", v.ID, v.Sealed, &out.Note)
}

// PairingLine is a pairing in a list, the household unopened.
type PairingLine struct {
	ID       uint64    `json:"id"`
	MemberID uint64    `json:"member_id"`
	Member   string    `json:"member"`
	From     model.Day `gorm:"column:from_day" json:"from"`
	Until    model.Day `gorm:"column:until_day" json:"until"`
	Awaiting int       `json:"awaiting" doc:"等书记确认的走访次数"`
}

// PairingPage is a part of a list of pairings, the oldest first.
type PairingPage struct {
	Items []PairingLine `json:"items"`
	Next  string        `json:"next,omitempty" doc:"下一页的 cursor；没有就是到底了"`
}

// List is the pairings of a branch's members, for its secretary; with branchID
// zero, the caller's own.
func (s *Households) List(ctx context.Context, actor *model.Actor, branchID uint64, cursor string, limit int) (*PairingPage, error) {
	db := s.db.WithContext(ctx)
	today := model.DayOf(s.now(), s.settings.Zone)
	after, err := readPlace(cursor)
	if err != nil {
		return nil, err
	}
	rows := db.Table("household_pairings p").
		Select("p.id, p.member_id, m.name AS member, p.from_day, p.until_day, (SELECT COUNT(*) FROM household_visits v WHERE v.pairing_id = p.id AND v.confirmed_at IS NULL) AS awaiting").
		Joins("JOIN members m ON m.id = p.member_id").Where("p.id > ?", after)
	if branchID == 0 {
		rows = rows.Where("p.member_id = ?", actor.MemberID)
	} else {
		line, err := lineOf(db, branchID)
		if err != nil {
			return nil, err
		}
		if !actor.KeepsHouseholds(line) {
			return nil, model.ErrNotFound
		}
		rows = rows.Joins("JOIN memberships b ON b.member_id = p.member_id AND b.from_day <= ? AND b.until_day > ?", today, today).Where("b.branch_id = ?", branchID)
	}
	page := &PairingPage{Items: []PairingLine{}}
	if err := rows.Order("p.id").Limit(limit + 1).Scan(&page.Items).Error; err != nil {
		return nil, fmt.Errorf("list pairings: %w", err)
	}
	if len(page.Items) > limit {
		page.Items = page.Items[:limit]
		page.Next = writePlace(page.Items[limit-1].ID)
	}
	return page, nil
}

// End ends a pairing on the day, today if none is given; its visits stay.
func (s *Households) End(ctx context.Context, actor *model.Actor, id uint64, day model.Day) error {
	now := s.now()
	if day == "" {
		day = model.DayOf(now, s.settings.Zone)
	}
	if !day.Valid() {
		return model.BadField("day", "日期应为 2026-03-10 的形式")
	}
	_, err := inTx(ctx, s.db, func(tx *gorm.DB) (struct{}, error) {
		p, _, err := s.cared(tx, actor, id, now)
		if err != nil {
			return struct{}{}, err
		}
		if err := tx.Model(p).Update("until_day", max(day, p.From)).Error; err != nil {
			return struct{}{}, fmt.Errorf("end pairing %d: %w", id, err)
		}
		return struct{}{}, auditBy(tx, now, actor, "end_pairing", "household_pairing", id, "ok", nil)
	})
	return err
}

// VisitInput is a visit as the member remembers it.
type VisitInput struct {
	Day     model.Day `json:"day" maxLength:"10" doc:"哪天去的"`
	Minutes int       `json:"minutes" minimum:"1" maximum:"960" doc:"走访了多少分钟"`
	Note    string    `json:"note,omitempty" maxLength:"100" doc:"做了什么"`
	Nonce   string    `json:"nonce" minLength:"8" maxLength:"64" pattern:"^[0-9A-Za-z_-]+$" doc:"提交编号：每次提交生成一次，重试时不变"`
}

// Visit notes a visit to the caller's household. It becomes service hours when
// the secretary confirms it. A retry answers with the first.
func (s *Households) Visit(ctx context.Context, actor *model.Actor, pairingID uint64, in VisitInput) (*VisitView, error) {
	now := s.now()
	once, err := s.once(in.Nonce, in)
	if err != nil {
		return nil, err
	}
	out, err := inTx(ctx, s.db, func(tx *gorm.DB) (*VisitView, error) {
		p, own, err := s.cared(tx, actor, pairingID, now)
		switch {
		case err != nil:
			return nil, err
		case !own:
			return nil, model.ErrPairingNotFound
		case !in.Day.Valid(), !p.Covers(in.Day), in.Day > model.DayOf(now, s.settings.Zone):
			return nil, model.ErrVisitDay
		}
		v := &model.HouseholdVisit{PairingID: pairingID, Day: in.Day, Minutes: in.Minutes, CreatedAt: now, Once: once}
		if err := tx.Create(v).Error; err != nil {
			return nil, fmt.Errorf("note visit: %w", err)
		}
		if v.Sealed, err = s.sealJSON("household_visits", v.ID, cleanText(in.Note)); err != nil {
			return nil, err
		}
		if err := tx.Model(v).Update("sealed", v.Sealed).Error; err != nil {
			return nil, fmt.Errorf("seal visit %d: %w", v.ID, err)
		}
		return s.visit(v)
	})
	if !errors.Is(err, gorm.ErrDuplicatedKey) {
		return out, err
	}
	first, err := firstTry[model.HouseholdVisit](s.db.WithContext(ctx), once, err, "pairing_id = ?", pairingID)
	if err != nil {
		return nil, err
	}
	return s.visit(first)
}

// ConfirmVisit enters a visit in the ledger of service hours, attested by the
// secretary, who cannot confirm their own. Confirming again changes nothing.
func (s *Households) ConfirmVisit(ctx context.Context, actor *model.Actor, visitID uint64) (*VisitView, error) {
	now := s.now()
	return inTx(ctx, s.db, func(tx *gorm.DB) (*VisitView, error) {
		v, err := lock[model.HouseholdVisit](tx, visitID, model.ErrVisitNotFound)
		if err != nil {
			return nil, err
		}
		p, own, err := s.cared(tx, actor, v.PairingID, now)
		switch {
		case errors.Is(err, model.ErrPairingNotFound):
			return nil, model.ErrVisitNotFound
		case err != nil:
			return nil, err
		case own:
			return nil, model.ErrOwnVisit
		case v.ConfirmedAt != nil:
			return s.visit(v)
		}
		m, err := membershipOn(tx, p.MemberID, v.Day)
		if err != nil {
			return nil, err
		}
		if m == nil {
			return nil, model.ErrVisitDay
		}
		v.ConfirmedAt, v.ConfirmedBy = &now, &actor.MemberID
		row := model.ServiceHours{MemberID: p.MemberID, BranchID: m.BranchID, VisitID: &v.ID, Day: v.Day, Provenance: model.Attested, Minutes: v.Minutes,
			Reason: "结亲走访", EnteredBy: actor.MemberID, At: now}
		if err := errors.Join(tx.Save(v).Error, tx.Create(&row).Error); err != nil {
			return nil, fmt.Errorf("confirm visit %d: %w", visitID, err)
		}
		return s.visit(v)
	})
}
