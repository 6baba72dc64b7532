package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// OwnData is what is held about one person: shown to themselves, corrected by
// who keeps the roster, and erased when it is no longer needed.
type OwnData struct {
	db       *gorm.DB
	sessions *Sessions
	signUps  *SignUps
	seal     *sealer
	settings Settings
	now      func() time.Time
}

// kept is a table that holds something about a person.
type kept struct {
	of     string         // which of their rows: a condition on @member or @accounts
	hidden []string       // columns that mean nothing to them, or are keys
	blank  map[string]any // what erasing writes; what stays counts and tells nothing of who
	drop   bool           // erasing deletes the rows instead
}

const (
	ofMember   = "member_id = @member"
	ofAccounts = "account_id IN @accounts"
)

// personalTables is every table that holds something about a person. A table with
// their number in a column that is not listed here fails a test;
// columns that end in _by say who did something for the organisation and are told
// by the audit entries.
var personalTables = map[string]kept{
	"members":                 {of: "id = @member", blank: map[string]any{"name": model.ErasedName}},
	"member_phones":           {of: ofMember, hidden: []string{"sealed", "blind_index"}, drop: true},
	"memberships":             {of: ofMember},
	"posts":                   {of: ofMember},
	"accounts":                {of: "id IN @accounts"},
	"sessions":                {of: ofAccounts, hidden: []string{"token_hash"}},
	"invitations":             {of: ofMember, hidden: []string{"code_hash"}, drop: true},
	"roster_entries":          {of: ofMember, blank: map[string]any{"exempt_note": ""}},
	"leaves":                  {of: ofMember, hidden: retryKeys, blank: map[string]any{"reason": "", "fingerprint": ""}},
	"attendances":             {of: ofMember, hidden: retryKeys, blank: map[string]any{"reason": "", "void_reason": "", "device": "", "fingerprint": ""}},
	"credit_entries":          {of: ofMember},
	"leave_requests":          {of: ofMember, hidden: retryKeys, blank: map[string]any{"note": "", "answer": "", "fingerprint": ""}},
	"late_records":            {of: ofMember, hidden: retryKeys, blank: map[string]any{"reason": "", "answer": "", "fingerprint": ""}},
	"movements":               {of: ofMember, hidden: retryKeys, blank: map[string]any{"reason": "", "fingerprint": ""}},
	"consents":                {of: ofAccounts, drop: true},
	"consent_ends":            {of: ofAccounts, drop: true},
	"reminders":               {of: ofMember, hidden: []string{"token", "lease_until"}},
	"deliveries":              {of: ofAccounts, drop: true},
	"send_decisions":          {of: "reminder_id IN (SELECT id FROM reminders WHERE member_id = @member)", blank: map[string]any{"note": ""}},
	"community_registrations": {of: ofMember, blank: map[string]any{"return_reason": ""}},
	"slot_sign_ups":           {of: ofMember, hidden: retryKeys, blank: map[string]any{"reason": "", "absence_reason": ""}},
	"service_hours":           {of: ofMember, hidden: []string{"import_key"}, blank: map[string]any{"reason": ""}},
	"hour_objections":         {of: ofMember, blank: map[string]any{"reason": "", "answer": ""}},
	"household_pairings":      {of: ofMember, hidden: append([]string{"sealed"}, retryKeys...), blank: map[string]any{"fingerprint": ""}},
	"household_visits":        {of: "pairing_id IN (SELECT id FROM household_pairings WHERE member_id = @member)", hidden: append([]string{"sealed"}, retryKeys...), blank: map[string]any{"fingerprint": ""}},
	"vote_candidates":         {of: ofMember},
	"offline_items":           {of: ofMember, hidden: append([]string{"code_digest"}, retryKeys...), blank: map[string]any{"fingerprint": ""}},
	"complaints":              {of: ofMember, hidden: retryKeys, blank: map[string]any{"text": "", "answer": "", "fingerprint": ""}},
	"audit_entries":           {of: "member_id = @member OR account_id IN @accounts"},
}

var retryKeys = []string{"nonce", "fingerprint"}

// PersonalFile is everything that is held about the caller.
type PersonalFile struct {
	MadeAt     time.Time                   `json:"made_at"`
	Phone      string                      `json:"phone" doc:"空表示没有登记"`
	Households []PairingView               `json:"households" doc:"我的结亲户和走访"`
	Tables     map[string][]map[string]any `json:"tables" doc:"按数据表列出的每一条记录"`
}

// Export is everything that is held about the caller, by tables, for a machine
// to read. It is audited.
func (s *OwnData) Export(ctx context.Context, actor *model.Actor) (*PersonalFile, error) {
	now := s.now()
	return inTx(ctx, s.db, func(tx *gorm.DB) (*PersonalFile, error) {
		out := &PersonalFile{MadeAt: now, Households: []PairingView{}, Tables: map[string][]map[string]any{}}
		who := map[string]any{"member": actor.MemberID, "accounts": []uint64{actor.AccountID}}
		for table, h := range personalTables {
			rows := []map[string]any{}
			if err := tx.Table(table).Where(h.of, who).Find(&rows).Error; err != nil {
				return nil, fmt.Errorf("export %s: %w", table, err)
			}
			for _, row := range rows {
				for name, v := range row {
					if raw, ok := v.([]byte); ok {
						row[name] = string(raw)
					}
				}
				maps.DeleteFunc(row, func(name string, _ any) bool { return slices.Contains(h.hidden, name) })
			}
			out.Tables[table] = rows
		}
		var phone model.MemberPhone
		err := tx.Limit(1).Find(&phone, "member_id = ?", actor.MemberID).Error
		if err == nil && phone.Sealed != "" {
			out.Phone, err = openPhone(s.seal, actor.MemberID, phone.Sealed)
		}
		if err != nil {
			return nil, fmt.Errorf("export phone: %w", err)
		}
		if out.Households, err = s.households(tx, actor); err != nil {
			return nil, err
		}
		return out, auditBy(tx, now, actor, "export_own_data", "member", actor.MemberID, "ok", nil)
	})
}

func (s *OwnData) households(tx *gorm.DB, actor *model.Actor) ([]PairingView, error) {
	opens, out := &Households{seal: s.seal}, []PairingView{}
	var pairings []model.HouseholdPairing
	if err := tx.Order("id").Find(&pairings, ofMemberIs, actor.MemberID).Error; err != nil {
		return nil, fmt.Errorf("export households: %w", err)
	}
	for i := range pairings {
		p := &pairings[i]
		v := PairingView{ID: p.ID, MemberID: p.MemberID, Member: actor.Name, From: p.From, Until: p.Until, Visits: []VisitView{}}
		if err := opens.openJSON("household_pairings", p.ID, p.Sealed, &v.Household); err != nil {
			return nil, err
		}
		var visits []model.HouseholdVisit
		if err := tx.Order("day, id").Find(&visits, "pairing_id = ?", p.ID).Error; err != nil {
			return nil, fmt.Errorf("export visits: %w", err)
		}
		for j := range visits {
			visit, err := opens.visit(&visits[j])
			if err != nil {
				return nil, err
			}
			v.Visits = append(v.Visits, *visit)
		}
		out = append(out, v)
	}
	return out, nil
}

const ofMemberIs = "member_id = ?"

// CorrectionInput is what the roster says of a member.
type CorrectionInput struct {
	Name   string             `json:"name" minLength:"2" maxLength:"50" doc:"姓名"`
	Status model.MemberStatus `json:"status" enum:"full_member,probationary_member" doc:"党员身份：full_member 正式党员，probationary_member 预备党员"`
	Leader bool               `json:"leader,omitempty" doc:"是否领导班子成员"`
}

// Correct puts right what the roster says of a member: name, status, and
// whether they are in a leading body. For who keeps the roster. What already is
// so changes nothing.
func (s *OwnData) Correct(ctx context.Context, actor *model.Actor, memberID uint64, in CorrectionInput) (*model.Member, error) {
	now := s.now()
	name, ok := personName(in.Name)
	if !ok {
		return nil, model.BadField("name", "姓名应为 2 到 50 个字，不含特殊字符")
	}
	var touched []model.Session
	m, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.Member, error) {
		line, err := rosterKept(tx, actor, memberID, model.DayOf(now, s.settings.Zone))
		if err != nil {
			return nil, err
		}
		if err := lockBranches(tx, line.BranchID()); err != nil {
			return nil, err
		}
		m, err := lock[model.Member](tx, memberID, model.ErrNotFound)
		if err != nil || m.Name == name && m.Status == in.Status && m.Leader == in.Leader {
			return m, err
		}
		voted := m.Status != in.Status
		changed := map[string]bool{"name": m.Name != name, "status": voted, "leader": m.Leader != in.Leader}
		m.Name, m.Status, m.Leader = name, in.Status, in.Leader
		if err := tx.Model(m).Select("name", "status", "leader").Updates(m).Error; err != nil {
			return nil, fmt.Errorf("correct member %d: %w", memberID, err)
		}
		if voted {
			if err := syncRosters(tx, s.settings.Sending, []uint64{line.BranchID()}, now); err != nil {
				return nil, err
			}
		}
		if touched, err = touchSessions(tx, []uint64{memberID}, now); err != nil {
			return nil, err
		}
		return m, auditBy(tx, now, actor, "correct_member", "member", memberID, "ok", changed)
	})
	if err == nil {
		s.sessions.forget(ctx, touched, now)
	}
	return m, err
}

// ErasureInput says why a person is erased.
type ErasureInput struct {
	Reason string `json:"reason" enum:"own_request,deceased,not_needed" doc:"注销的原因：own_request 本人申请，deceased 去世，not_needed 不再需要"`
}

// Erase takes away what tells who a member is: name, phone, account, consents,
// what was written about them and the households in their care; their sessions,
// posts and membership end. What they attended and served stays as numbers of
// nobody, so that no count of the past changes; the audit keeps their number
// alone. For an administrator of the member's branch. It cannot be undone;
// erasing again changes nothing.
func (s *OwnData) Erase(ctx context.Context, actor *model.Actor, memberID uint64, in ErasureInput) error {
	now := s.now()
	var ended []model.Session
	_, err := inTx(ctx, s.db, func(tx *gorm.DB) (_ struct{}, err error) {
		line, err := s.lastLine(tx, memberID)
		switch {
		case err != nil:
			return struct{}{}, err
		case !actor.Oversees(line):
			return struct{}{}, model.ErrNotFound
		case !actor.Administers(line):
			return struct{}{}, model.ErrForbidden
		}
		if err := lockBranches(tx, line.BranchID()); err != nil {
			return struct{}{}, err
		}
		m, err := lock[model.Member](tx, memberID, model.ErrNotFound)
		if err != nil || m.ErasedAt != nil {
			return struct{}{}, err
		}
		if ended, err = s.erase(tx, memberID, line.BranchID(), now); err != nil {
			return struct{}{}, err
		}
		if err := tx.Model(m).Update("erased_at", now).Error; err != nil {
			return struct{}{}, fmt.Errorf("erase member %d: %w", memberID, err)
		}
		return struct{}{}, auditBy(tx, now, actor, "erase_member", "member", memberID, "ok", map[string]string{"reason": in.Reason})
	})
	if err == nil {
		s.sessions.forget(ctx, ended, now)
	}
	return err
}

// lastLine is the line of the branch that the member is in or was in last.
func (s *OwnData) lastLine(tx *gorm.DB, memberID uint64) (model.Line, error) {
	var last []model.Membership
	if err := tx.Order("until_day DESC").Limit(1).Find(&last, ofMemberIs, memberID).Error; err != nil {
		return nil, fmt.Errorf("branch of member %d: %w", memberID, err)
	}
	if len(last) == 0 {
		return nil, nil
	}
	return lineOf(tx, last[0].BranchID)
}

func (s *OwnData) erase(tx *gorm.DB, memberID, branchID uint64, now time.Time) ([]model.Session, error) {
	var accounts []uint64
	if err := tx.Model(&model.Account{}).Where(ofMemberIs, memberID).Pluck("id", &accounts).Error; err != nil {
		return nil, fmt.Errorf("accounts of member %d: %w", memberID, err)
	}
	ended, err := unbind(tx, memberID, now)
	if err != nil {
		return nil, err
	}
	if err := s.leaveAll(tx, memberID, branchID, now); err != nil {
		return nil, err
	}
	for _, id := range accounts {
		// The row stays for what refers to it; the person may come as a new one.
		if err := tx.Model(&model.Account{}).Where("id = ?", id).Update("openid", "erased-"+randomToken()).Error; err != nil {
			return nil, fmt.Errorf("erase account %d: %w", id, err)
		}
	}
	if err := s.emptyHouseholds(tx, memberID); err != nil {
		return nil, err
	}
	who := map[string]any{"member": memberID, "accounts": accounts}
	// In one order for all, so that two who are erased at once do not wait for each other.
	for _, table := range slices.Sorted(maps.Keys(personalTables)) {
		var err error
		switch h := personalTables[table]; {
		case h.drop:
			err = tx.Exec("DELETE FROM "+table+" WHERE "+h.of, who).Error
		case h.blank != nil:
			err = tx.Table(table).Where(h.of, who).Updates(h.blank).Error
		}
		if err != nil {
			return nil, fmt.Errorf("erase from %s: %w", table, err)
		}
	}
	return ended, nil
}

// leaveAll ends what a member is part of from today on.
func (s *OwnData) leaveAll(tx *gorm.DB, memberID, branchID uint64, now time.Time) error {
	today := model.DayOf(now, s.settings.Zone)
	var posts []model.Post
	if err := tx.Find(&posts, "member_id = ? AND until_day > ?", memberID, today).Error; err != nil {
		return fmt.Errorf("posts of member %d: %w", memberID, err)
	}
	if err := endPosts(tx, posts, today); err != nil {
		return err
	}
	current, err := openMembership(tx, memberID)
	if err == nil {
		if err := endOn(tx, current, max(today, current.From)); err != nil {
			return err
		}
	} else if !errors.Is(err, model.ErrNotFound) {
		return err
	}
	for _, table := range []string{"community_registrations", "household_pairings"} {
		if err := tx.Table(table).Where("member_id = ? AND until_day > ?", memberID, today).Update("until_day", today).Error; err != nil {
			return fmt.Errorf("end %s of member %d: %w", table, memberID, err)
		}
	}
	if err := s.giveBackSeats(tx, memberID, now); err != nil {
		return err
	}
	return syncRosters(tx, s.settings.Sending, []uint64{branchID}, now)
}

// endOn ends a membership that its branch must stay known by, even one that
// began on the very day.
func endOn(tx *gorm.DB, m *model.Membership, day model.Day) error {
	if err := tx.Model(m).Update("until_day", day).Error; err != nil {
		return fmt.Errorf("end membership of member %d: %w", m.MemberID, err)
	}
	return nil
}

// giveBackSeats lets others have the seats of services that have not begun.
func (s *OwnData) giveBackSeats(tx *gorm.DB, memberID uint64, now time.Time) error {
	var live []uint64
	err := tx.Table("slot_sign_ups u").Joins("JOIN service_slots s ON s.id = u.slot_id").
		Where("u.member_id = ? AND u.live AND s.starts_at > ?", memberID, now).Order("u.slot_id").Pluck("u.id", &live).Error
	if err != nil {
		return fmt.Errorf("sign-ups of member %d: %w", memberID, err)
	}
	for _, id := range live {
		u, slot, err := held(tx, id)
		if err != nil {
			return err
		}
		if u.Live == nil {
			continue
		}
		uncount(slot, u)
		u.End(model.SignUpCancelled, "", now)
		if err := s.signUps.release(tx, u, slot, now); err != nil {
			return err
		}
	}
	return nil
}

// cleared is what stands where it is no longer known who a household is.
const cleared = `{"name":"已清除"}`

// emptyHouseholds seals nothing in place of who the households are and of what
// was noted of each visit.
func (s *OwnData) emptyHouseholds(tx *gorm.DB, memberID uint64) error {
	var pairings []uint64
	if err := tx.Model(&model.HouseholdPairing{}).Where(ofMemberIs, memberID).Pluck("id", &pairings).Error; err != nil {
		return fmt.Errorf("households of member %d: %w", memberID, err)
	}
	return emptyPairings(tx, s.seal, pairings)
}

func emptyPairings(tx *gorm.DB, seal *sealer, pairings []uint64) error {
	empties := func(table string, ids []uint64, nothing string) error {
		for _, id := range ids {
			sealed, err := seal.seal(table, "sealed", id, nothing)
			if err != nil {
				return err
			}
			if err := tx.Table(table).Where("id = ?", id).Update("sealed", sealed).Error; err != nil {
				return fmt.Errorf("empty %s %d: %w", table, id, err)
			}
		}
		return nil
	}
	var visits []uint64
	if err := tx.Model(&model.HouseholdVisit{}).Where("pairing_id IN ?", pairings).Pluck("id", &visits).Error; err != nil {
		return fmt.Errorf("visits of households: %w", err)
	}
	return errors.Join(empties("household_pairings", pairings, cleared), empties("household_visits", visits, `""`))
}
