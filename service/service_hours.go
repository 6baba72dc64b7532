package service

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Hours is the ledger of service hours: entries are added and never changed,
// each says how it is known, and sums keep the provenances apart.
type Hours struct {
	db       *gorm.DB
	settings Settings
	now      func() time.Time
}

// ledgerEntry is what the ledger shall say of one sign-up.
type ledgerEntry struct {
	provenance model.HoursProvenance
	minutes    int
	reason     string
	by         uint64 // 0: the system saw it
}

// setHours adds what is missing for the ledger to say this of the sign-up,
// whose row is held: nothing where it says so already. The first entry settles
// to which branch the hours belong: that of the day.
func setHours(tx *gorm.DB, zone *time.Location, u *model.SlotSignUp, slot *model.ServiceSlot, e ledgerEntry, now time.Time) error {
	var before []model.ServiceHours
	if err := tx.Order("id").Find(&before, "sign_up_id = ?", u.ID).Error; err != nil {
		return fmt.Errorf("hours of sign-up %d: %w", u.ID, err)
	}
	missing := map[model.HoursProvenance]int{e.provenance: e.minutes}
	for i := range before {
		missing[before[i].Provenance] -= before[i].Minutes
	}
	row := model.ServiceHours{MemberID: u.MemberID, BranchID: u.BranchID, CommunityID: slot.CommunityID, SignUpID: &u.ID,
		Day: model.DayOf(slot.StartsAt, zone), Reason: e.reason, EnteredBy: e.by, At: now}
	if len(before) > 0 {
		row.BranchID = before[0].BranchID
	} else {
		m, err := membershipOn(tx, u.MemberID, row.Day)
		if err != nil {
			return err
		}
		if m != nil {
			row.BranchID = m.BranchID
		}
	}
	for _, p := range model.HoursProvenances {
		if missing[p] == 0 {
			continue
		}
		row.ID, row.Provenance, row.Minutes = 0, p, missing[p]
		if err := tx.Create(&row).Error; err != nil {
			return fmt.Errorf("enter hours of sign-up %d: %w", u.ID, err)
		}
	}
	return nil
}

// HoursConfirmation is the community's word on a service day. Who is not named
// gets what the scans say; who was never seen is noted as not having come.
type HoursConfirmation struct {
	Entries []HoursEntry `json:"entries,omitempty" maxItems:"500" doc:"各人的时长"`
}

// HoursEntry is the community's word on one person: so many minutes, as on the
// paper list, or not there.
type HoursEntry struct {
	SignUpID uint64 `json:"sign_up_id" minimum:"1" doc:"报名"`
	Minutes  int    `json:"minutes,omitempty" minimum:"0" maximum:"960" doc:"服务的分钟数"`
	Absent   bool   `json:"absent,omitempty" doc:"没有来"`
	Reason   string `json:"reason" minLength:"2" maxLength:"100" doc:"依据，如纸质签到表；没来的写原因，不知道写“未说明”"`
}

// unexplained is the reason of an absence that nobody has explained.
const unexplained = "未说明"

// HoursConfirmed is a service day in numbers after its confirmation.
type HoursConfirmed struct {
	ClosedAt time.Time                     `json:"closed_at"`
	Served   int                           `json:"served" doc:"记了时长的人数"`
	NoShows  int                           `json:"no_shows" doc:"未到的人数"`
	Minutes  map[model.HoursProvenance]int `json:"minutes" doc:"按来源分别合计的分钟数，不混加"`
}

// Confirm closes a service day after its end and settles everybody who had a
// seat. Confirming again changes nothing but what an entry says; that is a
// correction: a new entry in the ledger, with its reason.
func (s *Hours) Confirm(ctx context.Context, actor *model.Actor, dayID uint64, in HoursConfirmation) (*HoursConfirmed, error) {
	now := s.now()
	said := map[uint64]HoursEntry{}
	for _, e := range in.Entries {
		if e.Reason = cleanLine(e.Reason); e.Reason == "" || e.Absent && e.Minutes > 0 || said[e.SignUpID].SignUpID != 0 {
			return nil, model.BadField("entries", "每人写一条：分钟数或未到，并写明依据")
		}
		said[e.SignUpID] = e
	}
	return inTx(ctx, s.db, func(tx *gorm.DB) (*HoursConfirmed, error) {
		if _, _, err := liaised(tx, actor, dayID); err != nil {
			return nil, err
		}
		d, err := lock[model.ServiceDay](tx, dayID, model.ErrServiceDayNotFound)
		if err != nil {
			return nil, err
		}
		if err := d.Allow(model.Published, model.Closed); err != nil {
			return nil, err
		}
		if now.Before(d.EndsAt) {
			return nil, model.ErrNotOver.With("ends_at", d.EndsAt)
		}
		all, err := presencesOf(tx, d)
		if err != nil {
			return nil, err
		}
		for id := range said {
			if all[id] == nil {
				return nil, model.ErrSignUpNotFound.With("sign_up_id", id)
			}
		}
		for _, id := range slices.Sorted(maps.Keys(all)) {
			e, named := said[id]
			if err := s.settle(tx, actor, all[id], e, named, now); err != nil {
				return nil, err
			}
		}
		if d.Status == model.Published {
			d.Status, d.ClosedAt, d.Version = model.Closed, &now, d.Version+1
			if err := tx.Save(d).Error; err != nil {
				return nil, fmt.Errorf("close service day %d: %w", dayID, err)
			}
		}
		if err := auditBy(tx, now, actor, "confirm_hours", "service_day", dayID, "ok", map[string]any{"corrected": len(said)}); err != nil {
			return nil, err
		}
		return confirmed(tx, d, all)
	})
}

// settle puts one seat of a closing or closed service day into its final state.
func (s *Hours) settle(tx *gorm.DB, actor *model.Actor, p *presence, said HoursEntry, named bool, now time.Time) error {
	if !named && p.SettledAt != nil {
		return nil
	}
	minutes, provenance := p.Served(&p.day, &p.slot)
	entry := ledgerEntry{provenance: provenance, minutes: minutes, by: actor.MemberID}
	if provenance == model.ScannedInAndOut {
		entry.by = 0
	}
	p.NoShow, p.AbsenceReason = p.ArrivedAt == nil, ""
	if named {
		entry = ledgerEntry{provenance: model.Attested, minutes: said.Minutes, reason: said.Reason, by: actor.MemberID}
		p.NoShow = said.Absent
		if said.Absent && said.Reason != unexplained {
			p.AbsenceReason = said.Reason
		}
	}
	if p.SettledAt == nil {
		p.SettledAt = &now
	}
	if err := keepSignUp(tx, &p.SlotSignUp); err != nil {
		return err
	}
	return setHours(tx, s.settings.Zone, &p.SlotSignUp, &p.slot, entry, now)
}

func confirmed(tx *gorm.DB, d *model.ServiceDay, all map[uint64]*presence) (*HoursConfirmed, error) {
	out := &HoursConfirmed{ClosedAt: *d.ClosedAt, Minutes: map[model.HoursProvenance]int{}}
	for _, p := range all {
		if p.NoShow {
			out.NoShows++
		}
	}
	if len(all) == 0 {
		return out, nil
	}
	var rows []model.ServiceHours
	if err := tx.Find(&rows, "sign_up_id IN ?", slices.Sorted(maps.Keys(all))).Error; err != nil {
		return nil, fmt.Errorf("hours of service day %d: %w", d.ID, err)
	}
	each := map[uint64]int{}
	for i := range rows {
		out.Minutes[rows[i].Provenance] += rows[i].Minutes
		each[*rows[i].SignUpID] += rows[i].Minutes
	}
	for _, minutes := range each {
		if minutes > 0 {
			out.Served++
		}
	}
	return out, nil
}

// AbsenceInput is why somebody did not come.
type AbsenceInput struct {
	Reason string `json:"reason" minLength:"2" maxLength:"100" doc:"没有来的原因"`
}

// Explain notes why somebody who had a seat did not come: by themselves, their
// secretary or the community.
func (s *Hours) Explain(ctx context.Context, actor *model.Actor, signUpID uint64, in AbsenceInput) error {
	now := s.now()
	reason, err := cleanReason(in.Reason)
	if err != nil {
		return err
	}
	_, err = inTx(ctx, s.db, func(tx *gorm.DB) (struct{}, error) {
		u, err := lock[model.SlotSignUp](tx, signUpID, model.ErrSignUpNotFound)
		if err != nil {
			return struct{}{}, err
		}
		if err := mayTend(tx, actor, u); err != nil {
			return struct{}{}, err
		}
		if !u.NoShow {
			return struct{}{}, model.ErrNoAbsence
		}
		u.AbsenceReason = reason
		if err := keepSignUp(tx, u); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, auditBy(tx, now, actor, "explain_absence", "sign_up", signUpID, "ok", nil)
	})
	return err
}

// mayTend refuses who is neither the member of the sign-up nor tends to them.
func mayTend(tx *gorm.DB, actor *model.Actor, u *model.SlotSignUp) error {
	if u.MemberID == actor.MemberID {
		return nil
	}
	slot, err := find[model.ServiceSlot](tx, u.SlotID, model.ErrSlotNotFound)
	if err != nil {
		return err
	}
	may, err := tends(tx, actor, u, slot)
	if err == nil && !may {
		err = model.ErrSignUpNotFound
	}
	return err
}

// UnexplainedAbsence is a member who was missing twice or more within a year
// without a word. It is for the secretary to talk to them; nothing is locked.
type UnexplainedAbsence struct {
	MemberID uint64    `json:"member_id"`
	Name     string    `json:"name"`
	Times    int       `json:"times" doc:"近一年没有说明的未到次数"`
	LastAt   time.Time `json:"last_at"`
}

// Absences is the members of a branch with two or more unexplained absences
// within a year, for its secretary.
func (s *Hours) Absences(ctx context.Context, actor *model.Actor, branchID uint64) ([]UnexplainedAbsence, error) {
	db := s.db.WithContext(ctx)
	line, err := overseen(db, actor, branchID)
	if err != nil {
		return nil, err
	}
	if !actor.Conducts(line) {
		return nil, model.ErrNotConductor
	}
	var rows []struct {
		MemberID uint64
		Name     string
		StartsAt time.Time
	}
	err = db.Table("slot_sign_ups u").Select("u.member_id, m.name, s.starts_at").
		Joins("JOIN members m ON m.id = u.member_id").Joins("JOIN service_slots s ON s.id = u.slot_id").
		Where("u.no_show = ? AND u.branch_id = ? AND u.absence_reason = '' AND s.starts_at > ?", true, branchID, s.now().AddDate(-1, 0, 0)).
		Order("s.starts_at").Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("absences of branch %d: %w", branchID, err)
	}
	at := map[uint64]int{}
	var all []UnexplainedAbsence
	for _, r := range rows {
		n, ok := at[r.MemberID]
		if !ok {
			n = len(all)
			at[r.MemberID] = n
			all = append(all, UnexplainedAbsence{MemberID: r.MemberID, Name: r.Name})
		}
		all[n].Times++
		all[n].LastAt = r.StartsAt
	}
	return slices.DeleteFunc(append([]UnexplainedAbsence{}, all...), func(a UnexplainedAbsence) bool { return a.Times < 2 }), nil
}

// ObjectionInput is what a member holds against the record.
type ObjectionInput struct {
	Reason string `json:"reason" minLength:"2" maxLength:"100" doc:"哪里不对"`
}

// Object notes a member's objection to what is on record of one service,
// within fifteen days of its confirmation. Objecting again changes nothing.
func (s *Hours) Object(ctx context.Context, actor *model.Actor, signUpID uint64, in ObjectionInput) (*model.HourObjection, error) {
	now := s.now()
	reason, err := cleanReason(in.Reason)
	if err != nil {
		return nil, err
	}
	return inTx(ctx, s.db, func(tx *gorm.DB) (*model.HourObjection, error) {
		u, err := lock[model.SlotSignUp](tx, signUpID, model.ErrSignUpNotFound)
		if err != nil {
			return nil, err
		}
		if u.MemberID != actor.MemberID {
			return nil, model.ErrSignUpNotFound
		}
		var first []model.HourObjection
		if err := tx.Limit(1).Find(&first, "sign_up_id = ?", signUpID).Error; err != nil {
			return nil, fmt.Errorf("find objection: %w", err)
		}
		if len(first) > 0 {
			return &first[0], nil
		}
		if err := u.Object(now); err != nil {
			return nil, err
		}
		slot, err := find[model.ServiceSlot](tx, u.SlotID, model.ErrSlotNotFound)
		if err != nil {
			return nil, err
		}
		o := &model.HourObjection{SignUpID: signUpID, MemberID: u.MemberID, CommunityID: slot.CommunityID, Reason: reason, CreatedAt: now}
		if err := tx.Create(o).Error; err != nil {
			return nil, fmt.Errorf("object to hours of sign-up %d: %w", signUpID, err)
		}
		return o, nil
	})
}

// ObjectionLine is an objection with what it is about.
type ObjectionLine struct {
	model.HourObjection
	Name     string    `json:"name"`
	Title    string    `json:"title"`
	Slot     string    `json:"slot"`
	StartsAt time.Time `json:"starts_at"`
}

// ObjectionPage is a part of a list of objections, the newest first.
type ObjectionPage struct {
	Items []ObjectionLine `json:"items"`
	Next  string          `json:"next,omitempty" doc:"下一页的 cursor；没有就是到底了"`
}

// Objections is the objections to a community's records, for those who run its
// service days; with communityID zero, the caller's own.
func (s *Hours) Objections(ctx context.Context, actor *model.Actor, communityID uint64, cursor string, limit int) (*ObjectionPage, error) {
	db := s.db.WithContext(ctx)
	before, err := readPlace(cursor)
	if err != nil {
		return nil, err
	}
	rows := db.Table("hour_objections h").Select("h.*, m.name, d.title, s.name AS slot, s.starts_at").
		Joins("JOIN members m ON m.id = h.member_id").Joins("JOIN slot_sign_ups u ON u.id = h.sign_up_id").
		Joins("JOIN service_slots s ON s.id = u.slot_id").Joins("JOIN service_days d ON d.id = s.service_day_id")
	if communityID == 0 {
		rows = rows.Where("h.member_id = ?", actor.MemberID)
	} else {
		line, err := overseen(db, actor, communityID)
		if err != nil {
			return nil, err
		}
		if !actor.Liaises(line) {
			return nil, model.ErrNotLiaison
		}
		rows = rows.Where("h.community_id = ?", communityID)
	}
	if before != 0 {
		rows = rows.Where("h.id < ?", before)
	}
	page := &ObjectionPage{Items: []ObjectionLine{}}
	if err := rows.Order("h.id DESC").Limit(limit + 1).Scan(&page.Items).Error; err != nil {
		return nil, fmt.Errorf("list objections: %w", err)
	}
	if len(page.Items) > limit {
		page.Items = page.Items[:limit]
		page.Next = writePlace(page.Items[limit-1].ID)
	}
	return page, nil
}

// ObjectionAnswer is the community's answer, with the minutes as they should be
// where the record was wrong.
type ObjectionAnswer struct {
	Answer  string `json:"answer" minLength:"2" maxLength:"100" doc:"答复"`
	Minutes *int   `json:"minutes,omitempty" minimum:"0" maximum:"960" doc:"改为多少分钟；不改就不给"`
}

// AnswerObjection answers an objection and corrects the ledger where it was
// wrong. Nobody answers their own; an answer stands.
func (s *Hours) AnswerObjection(ctx context.Context, actor *model.Actor, id uint64, in ObjectionAnswer) (*model.HourObjection, error) {
	now, answer := s.now(), cleanLine(in.Answer)
	if answer == "" {
		return nil, model.BadField("answer", "请写明答复")
	}
	return inTx(ctx, s.db, func(tx *gorm.DB) (*model.HourObjection, error) {
		o, err := lock[model.HourObjection](tx, id, model.ErrObjectionNotFound)
		if err != nil {
			return nil, err
		}
		line, err := lineOf(tx, o.CommunityID)
		switch {
		case err != nil:
			return nil, err
		case !actor.Liaises(line):
			return nil, model.ErrObjectionNotFound
		case o.MemberID == actor.MemberID:
			return nil, model.ErrOwnObjection
		case o.AnsweredAt != nil:
			return nil, model.ErrObjectionAnswered
		}
		o.Answer, o.AnsweredBy, o.AnsweredAt = answer, &actor.MemberID, &now
		if err := tx.Save(o).Error; err != nil {
			return nil, fmt.Errorf("answer objection %d: %w", id, err)
		}
		if in.Minutes != nil {
			if err := s.correct(tx, actor, o, *in.Minutes, now); err != nil {
				return nil, err
			}
		}
		return o, auditBy(tx, now, actor, "answer_objection", "hour_objection", id, "ok", nil)
	})
}

func (s *Hours) correct(tx *gorm.DB, actor *model.Actor, o *model.HourObjection, minutes int, now time.Time) error {
	u, err := lock[model.SlotSignUp](tx, o.SignUpID, model.ErrSignUpNotFound)
	if err != nil {
		return err
	}
	slot, err := find[model.ServiceSlot](tx, u.SlotID, model.ErrSlotNotFound)
	if err != nil {
		return err
	}
	if minutes > 0 && u.NoShow {
		u.NoShow = false
		if err := keepSignUp(tx, u); err != nil {
			return err
		}
	}
	return setHours(tx, s.settings.Zone, u, slot, ledgerEntry{model.Attested, minutes, "异议属实：" + o.Answer, actor.MemberID}, now)
}

// ServiceRecord is one member's service over a span of days (服务记录证明).
type ServiceRecord struct {
	Name    string       `json:"name"`
	Branch  string       `json:"branch" doc:"今天所在的支部"`
	From    model.Day    `json:"from"`
	Until   model.Day    `json:"until" doc:"不含这一天"`
	Sums    []HoursSum   `json:"sums" doc:"按来源分别合计，不混加"`
	Entries []HoursEvent `json:"entries"`
	MadeAt  string       `json:"made_at"`
}

// HoursSum is the minutes of one provenance.
type HoursSum struct {
	Provenance model.HoursProvenance `json:"provenance"`
	Name       string                `json:"name"`
	Minutes    int                   `json:"minutes"`
}

// HoursEvent is one entry of the ledger with the evidence behind it.
type HoursEvent struct {
	ID         uint64                `json:"id"`
	Day        model.Day             `json:"day"`
	Title      string                `json:"title"`
	Community  string                `json:"community"`
	Branch     string                `json:"branch" doc:"服务当天所在的支部"`
	Provenance model.HoursProvenance `json:"provenance"`
	By         string                `json:"by" doc:"来源"`
	Minutes    int                   `json:"minutes" doc:"更正为负数"`
	Reason     string                `json:"reason"`
	EnteredBy  string                `json:"entered_by" doc:"记录人，系统记的为空"`
	ArrivedAt  *time.Time            `json:"arrived_at"`
	LeftAt     *time.Time            `json:"left_at"`
}

// Record is a member's service within a year, with the evidence behind every
// entry: one's own, or that of a member of a branch the caller oversees. Year
// zero is the present one.
func (s *Hours) Record(ctx context.Context, actor *model.Actor, memberID uint64, year int) (*ServiceRecord, error) {
	now := s.now()
	if year == 0 {
		year = now.In(s.settings.Zone).Year()
	}
	return inTx(ctx, s.db, func(tx *gorm.DB) (*ServiceRecord, error) {
		member, err := find[model.Member](tx, memberID, model.ErrNotFound)
		if err != nil {
			return nil, err
		}
		line, err := lineOfMember(tx, memberID, model.DayOf(now, s.settings.Zone))
		if err != nil {
			return nil, err
		}
		if memberID != actor.MemberID {
			if !actor.Oversees(line) {
				return nil, model.ErrNotFound
			}
			if err := auditBy(tx, now, actor, "read_service_record", "member", memberID, "ok", nil); err != nil {
				return nil, err
			}
		}
		out := &ServiceRecord{Name: member.Name, From: model.Day(strconv.Itoa(year) + "-01-01"), Until: model.Day(strconv.Itoa(year+1) + "-01-01"),
			Entries: []HoursEvent{}, MadeAt: now.In(s.settings.Zone).Format("2006-01-02 15:04")}
		if len(line) > 0 {
			out.Branch = line[0].Name
		}
		out.Entries, err = events(tx.Where("h.member_id = ? AND h.day >= ? AND h.day < ?", memberID, out.From, out.Until))
		out.Sums = sums(out.Entries)
		return out, err
	})
}

// events is ledger entries with the evidence behind them, in the order of days.
func events(rows *gorm.DB) ([]HoursEvent, error) {
	out := []HoursEvent{}
	err := rows.Table("service_hours h").
		Select("h.id, h.day, COALESCE(d.title, '') AS title, COALESCE(c.name, '') AS community, COALESCE(b.name, '') AS branch, h.provenance, h.minutes, h.reason, " +
			"COALESCE(e.name, '') AS entered_by, u.arrived_at, u.left_at").
		Joins("LEFT JOIN slot_sign_ups u ON u.id = h.sign_up_id").Joins("LEFT JOIN service_slots s ON s.id = u.slot_id").
		Joins("LEFT JOIN service_days d ON d.id = s.service_day_id").Joins("LEFT JOIN organisations c ON c.id = h.community_id").
		Joins("LEFT JOIN organisations b ON b.id = h.branch_id").Joins("LEFT JOIN members e ON e.id = h.entered_by").
		Order("h.day, h.id").Scan(&out).Error
	if err != nil {
		return nil, fmt.Errorf("read ledger of service hours: %w", err)
	}
	for i := range out {
		out[i].By = model.HoursProvenanceNames[out[i].Provenance]
		if out[i].Title == "" {
			out[i].Title = out[i].Reason
		}
	}
	return out, nil
}

func sums(entries []HoursEvent) []HoursSum {
	minutes := map[model.HoursProvenance]int{}
	for i := range entries {
		minutes[entries[i].Provenance] += entries[i].Minutes
	}
	out := []HoursSum{}
	for _, p := range model.HoursProvenances {
		if minutes[p] != 0 {
			out = append(out, HoursSum{p, model.HoursProvenanceNames[p], minutes[p]})
		}
	}
	return out
}
