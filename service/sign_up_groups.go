package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Sign-ups commit in groups, as arrivals do: whoever comes while a group is
// being written rides with the next one. A group seats everybody for whom that
// is plain: there is room, nobody waits, nothing else is at that time. Whoever
// needs a closer look goes alone.

const (
	signingGroup = 128  // the most sign-ups in one transaction
	signingQueue = 8192 // beyond that callers are asked to come again
)

// signing is one sign-up on its way to the database.
type signing struct {
	wish
	left <-chan struct{} // closed when the caller has hung up
}

// abandoned says whether the caller has hung up: they come again, and what
// they are told then must not be overtaken by this one.
func (g *signing) abandoned() bool {
	select {
	case <-g.left:
		return true
	default:
		return false
	}
}

// signingOutcome is the answer to a sign-up, or that it has to go alone.
type signingOutcome struct {
	alone bool
	out   *SignedUp
	err   error
}

// serve decides about one group and answers everybody in it.
func (s *SignUps) serve(ctx context.Context, group []*rider[*signing, signingOutcome]) {
	outcomes := make(map[*signing]signingOutcome, len(group))
	err := s.write(ctx, questions(group), outcomes)
	for _, c := range group {
		o, decided := outcomes[c.question]
		o.alone = !decided
		c.answer(o, err)
	}
}

// write refuses who comes in vain, seats who plainly has a seat, and leaves out
// of the outcomes who goes alone.
func (s *SignUps) write(ctx context.Context, group []*signing, outcomes map[*signing]signingOutcome) error {
	db := s.db.WithContext(ctx)
	opened, err := openSlots(db, group)
	if err != nil {
		return err
	}
	var plain, refused []*signing
	refusals := map[*signing]error{}
	room, named := map[uint64]int{}, map[uint64]bool{}
	for id, o := range opened {
		room[id] = o.slot.Capacity - o.slot.Taken
	}
	for _, g := range group {
		if g.abandoned() {
			continue
		}
		o := opened[g.slotID]
		if o == nil {
			refusals[g] = model.ErrSlotNotFound
		} else {
			refusals[g] = passing(&o.day, &o.slot, g.wish)
		}
		switch {
		case refusals[g] != nil:
			refused = append(refused, g)
		case o.slot.UnitCap == 0 && o.slot.Waiting == 0 && !o.day.RegisteredOnly && room[g.slotID] > 0 && !named[g.memberID]:
			room[g.slotID]--
			named[g.memberID] = true
			plain = append(plain, g)
		}
	}
	if len(refused) > 0 {
		// Looked up after the slots were: who reads that a slot is full because
		// of their own first tap reads that tap too.
		before, err := signUpsOf(db, refused, nil)
		if err != nil {
			return err
		}
		for _, g := range refused {
			if !slices.ContainsFunc(before, func(u ownSignUp) bool { return u.answers(g.wish) }) {
				outcomes[g] = signingOutcome{err: refusals[g]}
			}
		}
	}
	if len(plain) == 0 {
		return nil
	}
	seated, err := inTx(ctx, s.db, func(tx *gorm.DB) (map[*signing]*SignedUp, error) { return s.seat(tx, plain, opened) })
	if errors.Is(err, errCrowded) || errors.Is(err, gorm.ErrDuplicatedKey) || collided(err) && len(plain) > 1 {
		return nil // each of them alone
	}
	if err != nil {
		for _, g := range plain {
			outcomes[g] = signingOutcome{err: err}
		}
		return nil // it is the outcome of those alone
	}
	for g, out := range seated {
		outcomes[g] = signingOutcome{out: out}
	}
	return nil
}

// errCrowded is a group that does not fit into its slots any more.
var errCrowded = errors.New("the slots have filled since they were read")

// openedSlot is a slot with its service day, which has been published.
type openedSlot struct {
	slot model.ServiceSlot
	day  model.ServiceDay
}

// openSlots reads the slots of a group.
func openSlots(db *gorm.DB, group []*signing) (map[uint64]*openedSlot, error) {
	var slots []model.ServiceSlot
	var days []model.ServiceDay
	ids := distinct(group, func(g *signing) uint64 { return g.slotID })
	err := db.Find(&slots, "id IN ?", ids).Error
	if err == nil {
		dayIDs := make([]uint64, len(slots))
		for i := range slots {
			dayIDs[i] = slots[i].ServiceDayID
		}
		slices.Sort(dayIDs)
		err = db.Omit("title", "content", "place", "contact", "cancel_reason").Find(&days, "id IN ?", slices.Compact(dayIDs)).Error
	}
	if err != nil {
		return nil, fmt.Errorf("read %d slots: %w", len(ids), err)
	}
	byID := make(map[uint64]*model.ServiceDay, len(days))
	for i := range days {
		byID[days[i].ID] = &days[i]
	}
	out := make(map[uint64]*openedSlot, len(slots))
	for i := range slots {
		if d := byID[slots[i].ServiceDayID]; d != nil && d.Announced() {
			out[slots[i].ID] = &openedSlot{slots[i], *d}
		}
	}
	return out, nil
}

// ownSignUp is a sign-up that a member has already.
type ownSignUp struct {
	MemberID uint64
	SlotID   uint64
	Nonce    string
	Live     *bool
	State    model.SignUpState
	StartsAt time.Time
	EndsAt   time.Time
}

// answers says whether the wish has already led to this.
func (u *ownSignUp) answers(w wish) bool {
	return u.MemberID == w.memberID && (u.Nonce == w.once.Nonce || u.Live != nil && u.SlotID == w.slotID)
}

// signUpsOf is what the wishes of a group may have led to, and what is live and
// ends after the moment, if one is given.
func signUpsOf(db *gorm.DB, group []*signing, after *time.Time) (rows []ownSignUp, err error) {
	nonces := make([]string, len(group))
	for i, g := range group {
		nonces[i] = g.once.Nonce
	}
	own := db.Table("slot_sign_ups u").Select("u.member_id, u.slot_id, u.nonce, u.live, u.state, s.starts_at, s.ends_at").
		Joins("JOIN service_slots s ON s.id = u.slot_id").
		Where("u.member_id IN ?", distinct(group, func(g *signing) uint64 { return g.memberID }))
	if after == nil {
		own = own.Where("u.nonce IN ? OR u.live = ? AND u.slot_id IN ?", nonces, true, distinct(group, func(g *signing) uint64 { return g.slotID }))
	} else {
		own = own.Where("u.nonce IN ? OR u.live = ? AND s.ends_at > ?", nonces, true, after)
	}
	if err := own.Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("sign-ups of %d members: %w", len(group), err)
	}
	return rows, nil
}

// seat gives everybody in the group a seat for whom nothing speaks against it
// while their rows are held, and returns whom. Locks are taken in the order of
// all sign-ups: members by id, then slots.
func (s *SignUps) seat(tx *gorm.DB, group []*signing, opened map[uint64]*openedSlot) (map[*signing]*SignedUp, error) {
	var members []uint64
	err := tx.Model(&model.Member{}).Clauses(forUpdate).Where("id IN ?", distinct(group, func(g *signing) uint64 { return g.memberID })).
		Order("id").Pluck("id", &members).Error
	if err != nil {
		return nil, fmt.Errorf("hold %d members: %w", len(group), err)
	}
	home, err := s.unhindered(tx, group, opened)
	if err != nil {
		return nil, err
	}
	rows := make([]*model.SlotSignUp, 0, len(group))
	places := map[uint64]int{}
	live := true
	for _, g := range group {
		branch, ok := home[g]
		if !ok {
			continue
		}
		rows = append(rows, &model.SlotSignUp{SlotID: g.slotID, MemberID: g.memberID, BranchID: branch, Live: &live, State: model.Seated,
			At: g.at, SignedUpBy: g.by, Once: g.once})
		places[g.slotID]++
	}
	if len(rows) == 0 {
		return nil, nil
	}
	if err := takeSeats(tx, places); err != nil {
		return nil, err
	}
	if err := createSignUps(tx, rows); err != nil {
		return nil, err
	}
	var tell []model.Reminder
	out := make(map[*signing]*SignedUp, len(rows))
	n := 0
	for _, g := range group {
		if _, ok := home[g]; !ok {
			continue
		}
		u := rows[n]
		n++
		tell = append(tell, s.settings.Sending.ServiceReminders(u, &opened[g.slotID].slot, g.at)...)
		if out[g], err = signedUp(tx, u); err != nil {
			return nil, err
		}
	}
	return out, writeReminders(tx, tell)
}

// unhindered is whom nothing keeps from a seat, members who are held, with the
// branch of the day of the service.
func (s *SignUps) unhindered(tx *gorm.DB, group []*signing, opened map[uint64]*openedSlot) (map[*signing]uint64, error) {
	first, last := opened[group[0].slotID].slot.StartsAt, opened[group[0].slotID].slot.EndsAt
	for _, g := range group {
		slot := &opened[g.slotID].slot
		if slot.StartsAt.Before(first) {
			first = slot.StartsAt
		}
		if slot.EndsAt.After(last) {
			last = slot.EndsAt
		}
	}
	own, err := signUpsOf(tx, group, &first)
	if err != nil {
		return nil, err
	}
	ids := distinct(group, func(g *signing) uint64 { return g.memberID })
	var meetings []ownSignUp
	err = tx.Table("roster_entries r").Select("r.member_id, a.starts_at, a.ends_at").Joins("JOIN activities a ON a.id = r.activity_id").
		Where("r.member_id IN ? AND r.closes_at > ? AND a.status = ? AND a.starts_at < ? AND a.ends_at > ?",
			ids, first.Add(-longestActivity), model.Published, last, first).Find(&meetings).Error
	var memberships []model.Membership
	if err == nil {
		err = tx.Find(&memberships, "member_id IN ? AND until_day > ?", ids, model.DayOf(first, s.settings.Zone)).Error
	}
	if err != nil {
		return nil, fmt.Errorf("commitments of %d members: %w", len(ids), err)
	}
	busy := map[uint64][]ownSignUp{}
	for _, u := range slices.Concat(own, meetings) {
		busy[u.MemberID] = append(busy[u.MemberID], u)
	}
	home := map[*signing]uint64{}
	for _, g := range group {
		slot := &opened[g.slotID].slot
		hindered := g.abandoned() || slices.ContainsFunc(busy[g.memberID], func(u ownSignUp) bool { return u.answers(g.wish) || slot.Meets(u.StartsAt, u.EndsAt) })
		for i := range memberships {
			if m := &memberships[i]; m.MemberID == g.memberID && !hindered && m.Covers(model.DayOf(slot.StartsAt, s.settings.Zone)) {
				home[g] = m.BranchID
			}
		}
	}
	return home, nil
}

// longestActivity is how long a meeting may last at most: its check-in closes
// after its start, so a roster entry that closed longer ago is of one that is over.
const longestActivity = 7 * 24 * time.Hour

// takeSeats takes so many seats in each of the slots, or none at all where one
// of them has not so many left. From here on the slots are held.
func takeSeats(tx *gorm.DB, places map[uint64]int) error {
	ids := make([]uint64, 0, len(places))
	for id := range places {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	wanted := "CASE id" + strings.Repeat(" WHEN ? THEN ?", len(ids)) + " ELSE 0 END"
	args := make([]any, 0, 2*len(ids))
	for _, id := range ids {
		args = append(args, id, places[id])
	}
	update := tx.Model(&model.ServiceSlot{}).Where("id IN ? AND open = ? AND taken < capacity AND waiting = 0 AND unit_cap = 0", ids, true).
		Where("taken + "+wanted+" <= capacity", args...).Update("taken", gorm.Expr("taken + "+wanted, args...))
	switch {
	case update.Error != nil:
		return fmt.Errorf("take seats in %d slots: %w", len(ids), update.Error)
	case update.RowsAffected != int64(len(ids)):
		return errCrowded
	}
	return nil
}

// createSignUps writes rows of members who are held and reads which numbers
// they got: how far apart those of one statement are is the server's choice.
func createSignUps(tx *gorm.DB, rows []*model.SlotSignUp) error {
	if err := tx.Create(rows).Error; err != nil {
		return fmt.Errorf("write %d sign-ups: %w", len(rows), err)
	}
	members, nonces := make([]uint64, len(rows)), make([]string, len(rows))
	for i, u := range rows {
		members[i], nonces[i] = u.MemberID, u.Nonce
	}
	var made []struct {
		ID       uint64
		MemberID uint64
	}
	err := tx.Model(&model.SlotSignUp{}).Select("id, member_id").Where("member_id IN ? AND nonce IN ? AND live = ?", members, nonces, true).Find(&made).Error
	if err != nil {
		return fmt.Errorf("numbers of %d sign-ups: %w", len(rows), err)
	}
	number := make(map[uint64]uint64, len(made))
	for _, m := range made {
		number[m.MemberID] = m.ID
	}
	for _, u := range rows {
		if u.ID = number[u.MemberID]; u.ID == 0 {
			return fmt.Errorf("the sign-up of member %d is not there", u.MemberID)
		}
	}
	return nil
}
