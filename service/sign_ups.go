package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// SignUps is members taking seats in slots and standing in line for them. A
// slot's row says how many seats are taken and how many wait; whoever changes
// either holds that row until the commit, so the counts and the rows under
// them agree at every moment. Locks are taken in one order: members by id,
// then the slot.
type SignUps struct {
	db       *gorm.DB
	platform Platform
	settings Settings
	now      func() time.Time
	signings *groups[*signing, signingOutcome]
}

func newSignUps(p Parts) *SignUps {
	s := &SignUps{db: p.DB, platform: p.Platform, settings: p.Settings, now: p.Now}
	s.signings = newGroups(signingGroup, signingQueue, s.serve)
	return s
}

// SignUpInput is a member's wish for a slot.
type SignUpInput struct {
	Nonce  string `json:"nonce" minLength:"8" maxLength:"64" pattern:"^[0-9A-Za-z_-]+$" doc:"提交编号：每次报名生成一次，重试时不变"`
	OrWait bool   `json:"or_wait,omitempty" doc:"报满时排候补"`
	Insist bool   `json:"insist,omitempty" doc:"已看到时间冲突的提醒，仍要报名"`
}

// SignedUp is where a member stands with a slot now.
type SignedUp struct {
	Code        string            `json:"code" enum:"ok" doc:"总是 ok"`
	Message     string            `json:"message" doc:"可以直接显示的话"`
	ID          uint64            `json:"id" doc:"报名编号"`
	SlotID      uint64            `json:"slot_id"`
	MemberID    uint64            `json:"member_id"`
	State       model.SignUpState `json:"state" enum:"seated,waiting,offered,declined,expired,withdrawn,cancelled"`
	Position    int               `json:"position,omitempty" doc:"候补的第几位，从 1 起"`
	OfferEndsAt *time.Time        `json:"offer_ends_at,omitempty" doc:"名额保留到什么时候"`
	At          time.Time         `json:"at" doc:"报名或排候补的时间"`
}

// ahead counts who waits before a waiting row u.
const ahead = `(SELECT COUNT(*) FROM slot_sign_ups w WHERE w.slot_id = u.slot_id AND w.state = u.state AND (w.at < u.at OR w.at = u.at AND w.id < u.id))`

// signedUp says where the row stands now.
func signedUp(tx *gorm.DB, u *model.SlotSignUp) (*SignedUp, error) {
	if u.State != model.Waiting {
		return standing(u, 0), nil
	}
	var before int64
	if err := tx.Table("slot_sign_ups u").Select(ahead).Where("u.id = ?", u.ID).Scan(&before).Error; err != nil {
		return nil, fmt.Errorf("place in line of sign-up %d: %w", u.ID, err)
	}
	return standing(u, before), nil
}

// standing says where the row stands, with so many who wait before it.
func standing(u *model.SlotSignUp, before int64) *SignedUp {
	out := &SignedUp{Code: "ok", Message: model.SignUpStateNames[u.State], ID: u.ID, SlotID: u.SlotID, MemberID: u.MemberID, State: u.State, At: u.At}
	switch u.State {
	case model.Offered:
		out.OfferEndsAt = u.OfferEndsAt
	case model.Waiting:
		out.Position = int(before) + 1
		out.Message = "候补第 " + strconv.Itoa(out.Position) + " 位，轮到时会通知您"
	}
	return out
}

// Create signs the caller up: a seat, or where there is none and the caller
// wishes it a place in line. One member has one seat in a slot; signing up
// again, or a retry, answers with what there is.
func (s *SignUps) Create(ctx context.Context, actor *model.Actor, slotID uint64, in SignUpInput) (*SignedUp, error) {
	g := &signing{wish: s.wish(actor.MemberID, actor.MemberID, slotID, in), left: ctx.Done()}
	o, err := s.signings.ask(ctx, g)
	if err != nil {
		return nil, err
	}
	if o.alone {
		o.out, o.err = s.alone(ctx, g.wish)
	}
	faultPoint("before_reply")
	return o.out, o.err
}

// alone signs one member up by themselves, with a closer look at what decides.
func (s *SignUps) alone(ctx context.Context, wish wish) (*SignedUp, error) {
	db := s.db.WithContext(ctx)
	day, slot, refusal := openSlot(db, wish.slotID)
	if refusal == nil {
		refusal = passing(day, slot, wish)
	}
	// Looked up after the slot was: who reads that it is full because of their
	// own first tap reads that tap too.
	if u, err := earlier(db, wish); err != nil || u != nil {
		return answerSignUp(db, u, err)
	}
	if refusal != nil {
		return nil, refusal
	}
	out, err := inTx(ctx, s.db, func(tx *gorm.DB) (*SignedUp, error) {
		if _, err := lock[model.Member](tx, wish.memberID, model.ErrNotBound); err != nil {
			return nil, err
		}
		return s.admit(tx, wish)
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		// The nonce was used for another slot at the same moment.
		u, err := earlier(db, wish)
		return answerSignUp(db, u, err)
	}
	return out, err
}

// passing refuses what anybody who looks can see to be in vain, before anything
// is held: when thousands come for the same seats, most are answered by it.
func passing(day *model.ServiceDay, slot *model.ServiceSlot, w wish) error {
	anybody := model.SeatRequest{Day: *day, Slot: *slot, Registered: true}
	if err := anybody.Admit(w.at); err != nil {
		return err
	}
	if !w.orWait && slot.Taken >= slot.Capacity {
		return model.ErrSlotFull.With("waiting", slot.Waiting)
	}
	return nil
}

func answerSignUp(db *gorm.DB, u *model.SlotSignUp, err error) (*SignedUp, error) {
	if err != nil {
		return nil, err
	}
	return signedUp(db, u)
}

// wish is one member's sign-up on its way.
type wish struct {
	memberID uint64
	by       uint64
	slotID   uint64
	orWait   bool
	insist   bool
	once     model.Once
	at       time.Time
}

func (s *SignUps) wish(memberID, by, slotID uint64, in SignUpInput) wish {
	return wish{memberID: memberID, by: by, slotID: slotID, orWait: in.OrWait, insist: in.Insist, at: s.now(),
		once: model.Once{Nonce: in.Nonce, Fingerprint: "slot " + strconv.FormatUint(slotID, 10)}}
}

// earlier is what the wish has already led to: the row of the same nonce, or
// the member's live row in the slot. Nil means nothing yet.
func earlier(tx *gorm.DB, w wish) (*model.SlotSignUp, error) {
	var rows []model.SlotSignUp
	err := tx.Where("member_id = ? AND (nonce = ? OR slot_id = ? AND live = ?)", w.memberID, w.once.Nonce, w.slotID, true).Order("id").Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("sign-ups of member %d: %w", w.memberID, err)
	}
	for i := range rows {
		if replay, err := rows[i].Replays(w.once); replay || err != nil {
			return &rows[i], err
		}
	}
	if len(rows) > 0 {
		return &rows[0], nil
	}
	return nil, nil
}

// openSlot is a slot of a published service day, with what a sign-up must know
// of the day.
func openSlot(tx *gorm.DB, slotID uint64) (*model.ServiceDay, *model.ServiceSlot, error) {
	var rows []struct {
		model.ServiceSlot
		Day model.ServiceDay `gorm:"embedded;embeddedPrefix:d_"`
	}
	err := tx.Table("service_slots s").
		Select("s.*, d.id AS d_id, d.community_id AS d_community_id, d.status AS d_status, d.published_at AS d_published_at, "+
			"d.sign_up_until AS d_sign_up_until, d.registered_only AS d_registered_only, d.refuse_overlap AS d_refuse_overlap").
		Joins("JOIN service_days d ON d.id = s.service_day_id").Where("s.id = ?", slotID).Limit(1).Scan(&rows).Error
	if err != nil {
		return nil, nil, fmt.Errorf("find slot %d: %w", slotID, err)
	}
	if len(rows) == 0 || !rows[0].Day.Announced() {
		return nil, nil, model.ErrSlotNotFound
	}
	return &rows[0].Day, &rows[0].ServiceSlot, nil
}

// admit gives the member, whose row is held, a seat or a place in line.
func (s *SignUps) admit(tx *gorm.DB, w wish) (*SignedUp, error) {
	if u, err := earlier(tx, w); err != nil || u != nil {
		return answerSignUp(tx, u, err)
	}
	day, slot, err := openSlot(tx, w.slotID)
	if err != nil {
		return nil, err
	}
	if err := passing(day, slot, w); err != nil {
		return nil, err
	}
	request, err := s.request(tx, day, slot, w.memberID)
	if err != nil {
		return nil, err
	}
	request.Insists = w.insist
	if err := request.Admit(w.at); err != nil {
		return nil, err
	}
	m, err := membershipOn(tx, w.memberID, model.DayOf(request.Slot.StartsAt, s.settings.Zone))
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, model.ErrNoBranch
	}
	live := true
	u := &model.SlotSignUp{SlotID: w.slotID, MemberID: w.memberID, BranchID: m.BranchID, Live: &live, State: model.Seated, At: w.at, SignedUpBy: w.by, Once: w.once}
	if err := takeSeat(tx, u, w.orWait, w.at); err != nil {
		return nil, err
	}
	if err := tx.Create(u).Error; err != nil {
		return nil, fmt.Errorf("sign up for slot %d: %w", w.slotID, err)
	}
	var tell []model.Reminder
	if w.by != w.memberID && u.State == model.Seated { // who waits is told when a seat is free
		tell = append(tell, model.SeatGiven.OfSeat(u, slot, slot.StartsAt, w.at))
	}
	if u.State == model.Seated {
		tell = append(tell, s.settings.Sending.ServiceReminders(u, slot, w.at)...)
	}
	if err := writeReminders(tx, tell); err != nil {
		return nil, err
	}
	return signedUp(tx, u)
}

// request reads what decides whether the member may have a seat in the slot.
func (s *SignUps) request(tx *gorm.DB, day *model.ServiceDay, slot *model.ServiceSlot, memberID uint64) (*model.SeatRequest, error) {
	r := &model.SeatRequest{Day: *day, Slot: *slot}
	if day.RegisteredOnly {
		on := model.DayOf(slot.StartsAt, s.settings.Zone)
		m, err := membershipOn(tx, memberID, on)
		if err != nil {
			return nil, err
		}
		if m != nil {
			if r.Registered, err = registeredWith(tx, day.CommunityID, memberID, m.BranchID, on); err != nil {
				return nil, err
			}
		}
	}
	var services, meetings []model.Commitment
	err := tx.Table("slot_sign_ups u").Select("d.title, s.starts_at, s.ends_at").
		Joins("JOIN service_slots s ON s.id = u.slot_id").Joins("JOIN service_days d ON d.id = s.service_day_id").
		Where("u.member_id = ? AND u.live = ? AND u.state = ? AND u.slot_id <> ?", memberID, true, model.Seated, slot.ID). // an offer binds nobody
		Where("s.starts_at < ? AND s.ends_at > ?", slot.EndsAt, slot.StartsAt).Scan(&services).Error
	if err == nil {
		err = tx.Table("roster_entries r").Select("a.title, a.starts_at, a.ends_at").Joins("JOIN activities a ON a.id = r.activity_id").
			Where("r.member_id = ? AND r.closes_at > ? AND a.status = ? AND a.starts_at < ? AND a.ends_at > ?",
				memberID, slot.StartsAt.Add(-longestActivity), model.Published, slot.EndsAt, slot.StartsAt).
			Scan(&meetings).Error
	}
	if err != nil {
		return nil, fmt.Errorf("commitments of member %d: %w", memberID, err)
	}
	for i := range services {
		services[i].Service = true
	}
	r.Others = append(services, meetings...)
	return r, nil
}

// holding are the states that count as one taken seat.
var holding = []model.SignUpState{model.Seated, model.Offered}

// takeSeat counts one seat for the row that is about to be written, or puts it
// in line. From here on the slot's row is held.
func takeSeat(tx *gorm.DB, u *model.SlotSignUp, orWait bool, now time.Time) error {
	// Most seats are taken while there is room and nobody waits: one statement
	// then decides. Whatever was read before does not matter to it.
	update := tx.Model(&model.ServiceSlot{}).Where("id = ? AND open = ? AND taken < capacity AND waiting = 0 AND unit_cap = 0", u.SlotID, true).
		Update("taken", gorm.Expr("taken + 1"))
	if update.Error != nil {
		return fmt.Errorf("take seat in slot %d: %w", u.SlotID, update.Error)
	}
	if update.RowsAffected == 1 {
		return nil
	}
	slot, err := lock[model.ServiceSlot](tx, u.SlotID, model.ErrSlotNotFound)
	if err != nil {
		return err
	}
	if !slot.Open {
		return model.ErrServiceCancelled // since the service day was read
	}
	// Nobody who comes now passes those who wait.
	if err := serveLine(tx, slot, now); err != nil {
		return err
	}
	room := slot.UnitCap == 0
	if !room {
		held, err := heldBy(tx, slot.ID, u.BranchID)
		if err != nil {
			return err
		}
		room = held < slot.UnitCap
	}
	switch {
	case slot.Taken < slot.Capacity && room:
		slot.Taken++
	case orWait:
		u.State = model.Waiting
		slot.Waiting++
	case slot.Taken < slot.Capacity:
		return model.ErrUnitFull.With("unit_cap", slot.UnitCap)
	default:
		return model.ErrSlotFull.With("waiting", slot.Waiting)
	}
	return keepSlot(tx, slot)
}

// heldBy is how many seats of a slot, whose row is held, a branch has.
func heldBy(tx *gorm.DB, slotID, branchID uint64) (int, error) {
	var n int64
	err := tx.Model(&model.SlotSignUp{}).Where("slot_id = ? AND branch_id = ? AND state IN ?", slotID, branchID, holding).Count(&n).Error
	if err != nil {
		return 0, fmt.Errorf("seats of branch %d in slot %d: %w", branchID, slotID, err)
	}
	return int(n), nil
}

// keepSlot writes the counts of a slot whose row is held.
func keepSlot(tx *gorm.DB, slot *model.ServiceSlot) error {
	err := tx.Model(slot).Select("open", "capacity", "taken", "waiting").Updates(slot).Error
	if err != nil {
		return fmt.Errorf("counts of slot %d: %w", slot.ID, err)
	}
	return nil
}

func keepSignUp(tx *gorm.DB, u *model.SlotSignUp) error {
	if err := tx.Save(u).Error; err != nil {
		return fmt.Errorf("change sign-up %d: %w", u.ID, err)
	}
	return nil
}

// held loads a sign-up and its slot and holds the slot: nothing about either
// changes until the transaction ends.
func held(tx *gorm.DB, id uint64) (*model.SlotSignUp, *model.ServiceSlot, error) {
	u, err := find[model.SlotSignUp](tx, id, model.ErrSignUpNotFound)
	if err != nil {
		return nil, nil, err
	}
	slot, err := lock[model.ServiceSlot](tx, u.SlotID, model.ErrSlotNotFound)
	if err != nil {
		return nil, nil, err
	}
	u, err = lock[model.SlotSignUp](tx, id, model.ErrSignUpNotFound)
	return u, slot, err
}

// CancelSignUpInput says why a seat is given back.
type CancelSignUpInput struct {
	Reason string `json:"reason,omitempty" maxLength:"100" doc:"原因：过了截止时间，或代人取消时必填"`
}

// Cancel gives a seat back, and the first in line is offered it in the same
// moment. Until the day's deadline a member needs no reason, later one; the
// member's secretary and the community's liaison always give one, which is sent
// to the member and so passes WeChat's content check first. After the start a
// seat is not given back. Cancelling again changes nothing.
func (s *SignUps) Cancel(ctx context.Context, actor *model.Actor, id uint64, in CancelSignUpInput) (*SignedUp, error) {
	now, reason := s.now(), cleanLine(in.Reason)
	if err := s.checkReason(ctx, actor, id, reason); err != nil {
		return nil, err
	}
	return inTx(ctx, s.db, func(tx *gorm.DB) (*SignedUp, error) {
		u, slot, err := held(tx, id)
		if err != nil {
			return nil, err
		}
		forAnother := u.MemberID != actor.MemberID
		if forAnother {
			if may, err := tends(tx, actor, u, slot); err != nil || !may {
				return nil, cmp.Or(err, error(model.ErrSignUpNotFound))
			}
		}
		day, err := find[model.ServiceDay](tx, slot.ServiceDayID, model.ErrServiceDayNotFound)
		if err != nil {
			return nil, err
		}
		again, err := u.GiveBack(day, slot, reason, forAnother, now)
		if err != nil || again {
			return answerSignUp(tx, u, err)
		}
		u.End(model.SignUpCancelled, reason, now)
		slot.Taken--
		if err := s.release(tx, u, slot, now); err != nil {
			return nil, err
		}
		if forAnother || !now.Before(day.CancelUntil) {
			if err := auditBy(tx, now, actor, "cancel_sign_up", "sign_up", id, "ok", map[string]any{"member": u.MemberID}); err != nil {
				return nil, err
			}
		}
		if forAnother {
			if err := writeReminders(tx, []model.Reminder{model.SeatLost.OfSeat(u, slot, slot.StartsAt, now)}); err != nil {
				return nil, err
			}
		}
		return signedUp(tx, u)
	})
}

// checkReason has the reason checked with which a seat is given back for
// somebody else: the message to them says it.
func (s *SignUps) checkReason(ctx context.Context, actor *model.Actor, id uint64, reason string) error {
	db := s.db.WithContext(ctx)
	u, err := find[model.SlotSignUp](db, id, model.ErrSignUpNotFound)
	if err != nil || u.MemberID == actor.MemberID || u.State == model.SignUpCancelled {
		return err
	}
	slot, err := find[model.ServiceSlot](db, u.SlotID, model.ErrSlotNotFound)
	if err != nil {
		return err
	}
	if may, err := tends(db, actor, u, slot); err != nil || !may {
		return cmp.Or(err, error(model.ErrSignUpNotFound))
	}
	return checkText(ctx, s.platform, actor, reason)
}

// release writes a row that has ended and lets the line have what it freed.
func (s *SignUps) release(tx *gorm.DB, u *model.SlotSignUp, slot *model.ServiceSlot, now time.Time) error {
	if err := keepSignUp(tx, u); err != nil {
		return err
	}
	if err := serveLine(tx, slot, now); err != nil {
		return err
	}
	return keepSlot(tx, slot)
}

// tends says whether the actor may act for the member of the sign-up: as
// secretary of the branch or as liaison of the community.
func tends(tx *gorm.DB, actor *model.Actor, u *model.SlotSignUp, slot *model.ServiceSlot) (bool, error) {
	branch, err := lineOf(tx, u.BranchID)
	if err != nil || actor.Conducts(branch) {
		return err == nil, err
	}
	community, err := lineOf(tx, slot.CommunityID)
	return err == nil && actor.Liaises(community), err
}

// uncount takes a live row out of its slot's counts.
func uncount(slot *model.ServiceSlot, u *model.SlotSignUp) {
	if u.HoldsSeat() {
		slot.Taken--
	} else {
		slot.Waiting--
	}
}

// CapacityInput is how many seats a slot shall have.
type CapacityInput struct {
	Capacity int `json:"capacity" minimum:"1" maximum:"10000" doc:"名额"`
}

// SetCapacity changes how many seats a slot has. New seats go to those who
// wait first; with fewer seats than are taken nobody loses theirs, and nobody
// new gets one.
func (s *SignUps) SetCapacity(ctx context.Context, actor *model.Actor, slotID uint64, in CapacityInput) (*model.ServiceSlot, error) {
	now := s.now()
	return inTx(ctx, s.db, func(tx *gorm.DB) (*model.ServiceSlot, error) {
		slot, err := find[model.ServiceSlot](tx, slotID, model.ErrSlotNotFound)
		if err != nil {
			return nil, err
		}
		day, _, err := liaised(tx, actor, slot.ServiceDayID)
		if errors.Is(err, model.ErrServiceDayNotFound) {
			return nil, model.ErrSlotNotFound
		}
		if err != nil {
			return nil, err
		}
		if err := day.Allow(model.Draft, model.Published); err != nil {
			return nil, err
		}
		if slot, err = lock[model.ServiceSlot](tx, slotID, model.ErrSlotNotFound); err != nil {
			return nil, err
		}
		if slot.StartedAt(now) {
			return nil, model.ErrServiceStarted
		}
		slot.Capacity = in.Capacity
		if err := serveLine(tx, slot, now); err != nil {
			return nil, err
		}
		return slot, keepSlot(tx, slot)
	})
}

// SeveralInput is a secretary's wish for seats for several members.
type SeveralInput struct {
	MemberIDs []uint64 `json:"member_ids" minItems:"1" maxItems:"200" doc:"本支部的党员"`
	Rest      string   `json:"rest,omitempty" enum:"refuse,wait" default:"refuse" doc:"坐不下时：refuse 一个也不报；wait 其余排候补"`
	Insist    bool     `json:"insist,omitempty" doc:"已看到时间冲突的提醒，仍要报名"`
	Nonce     string   `json:"nonce" minLength:"8" maxLength:"64" pattern:"^[0-9A-Za-z_-]+$" doc:"提交编号：每次提交生成一次，重试时不变"`
}

// CreateSeveral signs up several members of a branch whose meetings the caller
// runs: all of them or none, or the rest in line, as asked, in the order in
// which they are named. Who got a seat is told. Who is signed up already stays
// so; a retry changes nothing.
func (s *SignUps) CreateSeveral(ctx context.Context, actor *model.Actor, slotID uint64, in SeveralInput) ([]SignedUp, error) {
	members := slices.Clone(in.MemberIDs)
	slices.Sort(members)
	members = slices.Compact(members)
	return inTx(ctx, s.db, func(tx *gorm.DB) ([]SignedUp, error) {
		var known []uint64
		err := tx.Model(&model.Member{}).Clauses(forUpdate).Where("id IN ?", members).Order("id").Pluck("id", &known).Error
		if err != nil {
			return nil, fmt.Errorf("hold members: %w", err)
		}
		_, slot, err := openSlot(tx, slotID)
		if err != nil {
			return nil, err
		}
		if err := conductsAll(tx, actor, members, model.DayOf(slot.StartsAt, s.settings.Zone)); err != nil {
			return nil, err
		}
		out := make([]SignedUp, 0, len(members))
		done := map[uint64]bool{}
		for _, id := range in.MemberIDs {
			if done[id] {
				continue
			}
			done[id] = true
			w := s.wish(id, actor.MemberID, slotID, SignUpInput{Nonce: in.Nonce, OrWait: in.Rest == "wait", Insist: in.Insist})
			one, err := s.admit(tx, w)
			var refusal *model.Error
			if errors.As(err, &refusal) {
				return nil, refusal.With("member_id", id)
			}
			if err != nil {
				return nil, err
			}
			out = append(out, *one)
		}
		return out, nil
	})
}

// conductsAll refuses members who are not, on that day, in a branch whose
// meetings the actor runs.
func conductsAll(tx *gorm.DB, actor *model.Actor, members []uint64, day model.Day) error {
	var branches []uint64
	err := tx.Model(&model.Membership{}).Where("member_id IN ? AND from_day <= ? AND until_day > ?", members, day, day).Pluck("branch_id", &branches).Error
	if err != nil {
		return fmt.Errorf("branches of members: %w", err)
	}
	if len(branches) != len(members) {
		return model.ErrStrangers
	}
	slices.Sort(branches)
	for _, id := range slices.Compact(branches) {
		line, err := lineOf(tx, id)
		if err != nil {
			return err
		}
		if !actor.Conducts(line) {
			return model.ErrStrangers
		}
	}
	return nil
}

// emptySlot ends everything in a slot because its service day is off.
func emptySlot(tx *gorm.DB, slotID uint64, reason string, now time.Time) error {
	slot, err := lock[model.ServiceSlot](tx, slotID, model.ErrSlotNotFound)
	if err != nil {
		return err
	}
	var rows []model.SlotSignUp
	if err := tx.Clauses(forUpdate).Order("id").Find(&rows, "slot_id = ? AND live = ?", slotID, true).Error; err != nil {
		return fmt.Errorf("sign-ups of slot %d: %w", slotID, err)
	}
	for i := range rows {
		if slot.StartedAt(now) && rows[i].ArrivedAt != nil {
			return model.ErrServiceStarted
		}
		rows[i].End(model.SignUpCancelled, reason, now)
		if err := keepSignUp(tx, &rows[i]); err != nil {
			return err
		}
		if err := writeReminders(tx, []model.Reminder{model.SeatLost.OfSeat(&rows[i], slot, slot.StartsAt, now)}); err != nil {
			return err
		}
	}
	slot.Taken, slot.Waiting, slot.Open = 0, 0, false
	return keepSlot(tx, slot)
}

// SignUpLine is a member's sign-up in a list.
type SignUpLine struct {
	SignedUp
	Name      string     `json:"name"`
	Branch    string     `json:"branch"`
	Title     string     `json:"title"`
	Slot      string     `json:"slot"`
	Place     string     `json:"place"`
	Community string     `json:"community"`
	StartsAt  time.Time  `json:"starts_at"`
	EndsAt    time.Time  `json:"ends_at"`
	ArrivedAt *time.Time `json:"arrived_at"`
	LeftAt    *time.Time `json:"left_at"`
	NoShow    bool       `json:"no_show" doc:"社区记为未到"`
	Absence   string     `json:"absence" doc:"未到的原因"`
	SettledAt *time.Time `json:"settled_at" doc:"社区确认时长的时间"`
}

// SignUpPage is a part of a list of sign-ups.
type SignUpPage struct {
	Items []SignUpLine `json:"items"`
	Next  string       `json:"next,omitempty" doc:"下一页的 cursor；没有就是到底了"`
}

// Mine is the caller's own sign-ups, whatever became of them, the newest first.
func (s *SignUps) Mine(ctx context.Context, actor *model.Actor, cursor string, limit int) (*SignUpPage, error) {
	db := s.db.WithContext(ctx)
	before, err := readPlace(cursor)
	if err != nil {
		return nil, err
	}
	rows := db.Where("u.member_id = ?", actor.MemberID)
	if before != 0 {
		rows = rows.Where("u.id < ?", before)
	}
	return signUpPage(rows.Order("u.id DESC"), limit)
}

// OfSlot is who is in a slot, seats and line, first sign-up first: all of
// them for who runs the service day, those of the own branch for its secretary.
func (s *SignUps) OfSlot(ctx context.Context, actor *model.Actor, slotID uint64, cursor string, limit int) (*SignUpPage, error) {
	db := s.db.WithContext(ctx)
	slot, err := find[model.ServiceSlot](db, slotID, model.ErrSlotNotFound)
	if err != nil {
		return nil, err
	}
	line, err := lineOf(db, slot.CommunityID)
	if err != nil {
		return nil, err
	}
	after, err := readPlace(cursor)
	if err != nil {
		return nil, err
	}
	rows := db.Where("u.slot_id = ? AND u.live = ? AND u.id > ?", slotID, true, after)
	if !actor.Liaises(line) {
		day, _, err := openSlot(db, slotID)
		if err != nil {
			return nil, err
		}
		branches := actor.Offices(model.Secretary, model.CommitteeMember)
		if len(branches) == 0 {
			return nil, model.ErrNotConductor.With("service_day", day.ID)
		}
		rows = rows.Where("u.branch_id IN ?", branches)
	}
	return signUpPage(rows.Order("u.id"), limit)
}

func signUpPage(rows *gorm.DB, limit int) (*SignUpPage, error) {
	var found []struct {
		model.SlotSignUp
		Name, Branch, Title, Slot, Place, Community string
		StartsAt, EndsAt                            time.Time
		Ahead                                       int64
	}
	err := rows.Table("slot_sign_ups u").
		Select("u.*, m.name, COALESCE(b.name, '') AS branch, d.title, s.name AS slot, d.place, c.name AS community, s.starts_at, s.ends_at, "+
			"CASE u.state WHEN ? THEN "+ahead+" ELSE 0 END AS ahead", model.Waiting).
		Joins("JOIN members m ON m.id = u.member_id").Joins("JOIN service_slots s ON s.id = u.slot_id").
		Joins("JOIN service_days d ON d.id = s.service_day_id").Joins("JOIN organisations c ON c.id = s.community_id").
		Joins("LEFT JOIN organisations b ON b.id = u.branch_id").Limit(limit + 1).Scan(&found).Error
	if err != nil {
		return nil, fmt.Errorf("list sign-ups: %w", err)
	}
	page := &SignUpPage{Items: []SignUpLine{}}
	for i := range found[:min(limit, len(found))] {
		f := &found[i]
		page.Items = append(page.Items, SignUpLine{SignedUp: *standing(&f.SlotSignUp, f.Ahead), Name: f.Name, Branch: f.Branch, Title: f.Title, Slot: f.Slot, Place: f.Place,
			Community: f.Community, StartsAt: f.StartsAt, EndsAt: f.EndsAt, ArrivedAt: f.ArrivedAt, LeftAt: f.LeftAt, NoShow: f.NoShow,
			Absence: f.AbsenceReason, SettledAt: f.SettledAt})
	}
	if len(found) > limit {
		page.Next = writePlace(found[limit-1].ID)
	}
	return page, nil
}
