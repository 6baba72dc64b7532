package service

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"dangri/model"
)

const (
	inFlight    = 64                     // messages of one template on their way from one worker
	claimPlaces = 8                      // how many claimers may look at different parts of the queue
	claimLease  = time.Minute            // a claim that was not acted upon by then is free again
	sendPause   = 500 * time.Millisecond // between two looks at an empty queue
	batchRows   = 200                    // resolved in one go
)

// keepSending sends what becomes due until ctx ends. Any number of replicas do
// so at once.
func (s *Reminders) keepSending(ctx context.Context) error {
	var work errgroup.Group
	for range s.workers {
		work.Go(func() error {
			tick := time.NewTicker(sendPause)
			defer tick.Stop()
			for {
				if err := errors.Join(s.Resolve(ctx), s.Send(ctx)); err != nil && ctx.Err() == nil {
					s.log.ErrorContext(ctx, "reminders", "error", err)
				}
				select {
				case <-ctx.Done():
					return nil
				case <-tick.C:
				}
			}
		})
	}
	return work.Wait()
}

// Send sends what is due and returns when everything it began is noted. Each
// template has a lane of its own, so that one that is slow or broken holds up
// no other.
func (s *Reminders) Send(ctx context.Context) error {
	var lanes errgroup.Group
	for _, purpose := range model.Purposes {
		lanes.Go(func() error { return s.drain(ctx, purpose) })
	}
	return lanes.Wait()
}

// call is one message on its way.
type call struct {
	model.Reminder
	openID  string
	page    string
	data    map[string]string
	msgID   string
	outcome string
}

// drain sends one lane empty.
func (s *Reminders) drain(ctx context.Context, purpose model.Purpose) error {
	done := make(chan *call, inFlight)
	underWay := 0
	var failed error
	for {
		claimed := 0
		// Small claims cost as much as large ones: with little room it is
		// better to wait for more.
		if room := s.room(purpose, underWay); failed == nil && ctx.Err() == nil && (underWay == 0 || underWay <= inFlight/2) {
			var calls []*call
			claimed, calls, failed = s.claim(ctx, purpose, room)
			for _, c := range calls {
				underWay++
				go func() {
					s.dial(context.WithoutCancel(ctx), c)
					done <- c
				}()
			}
		}
		if underWay == 0 {
			if claimed == 0 || failed != nil || ctx.Err() != nil {
				return failed
			}
			continue
		}
		if claimed > 0 && underWay <= inFlight/2 {
			continue
		}
		ended := []*call{<-done}
		for len(done) > 0 {
			ended = append(ended, <-done)
		}
		underWay -= len(ended)
		failed = errors.Join(failed, s.settle(context.WithoutCancel(ctx), ended))
	}
}

func (s *Reminders) room(purpose model.Purpose, underWay int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lanes[purpose].Open(inFlight, underWay, s.now())
}

// claim takes up to room reminders that are due, decides about each and
// returns the calls to make. Each is noted as attempting before the call, so
// that a worker that dies leaves no call unseen. With no room it only lets go
// of what is too late.
func (s *Reminders) claim(ctx context.Context, purpose model.Purpose, room int) (claimed int, calls []*call, err error) {
	token := randomToken()[:32]
	claimed, err = s.take(ctx, purpose, room, token)
	if err != nil || claimed == 0 {
		return 0, nil, err
	}
	calls, err = inTx(ctx, s.db, func(tx *gorm.DB) ([]*call, error) { return s.prepare(tx, token) })
	return claimed, calls, err
}

// take marks rows with the token: reads ids, updates those that are still
// free. Two that look at the same rows cannot both get one, and looking at
// different places they seldom try; the same statements work on every store.
func (s *Reminders) take(ctx context.Context, purpose model.Purpose, room int, token string) (int, error) {
	db, now := s.db.WithContext(ctx), s.now()
	free := func() *gorm.DB {
		rows := db.Model(&model.Reminder{}).Where("state = ? AND purpose = ? AND lease_until <= ?", model.Queued, purpose, now)
		if room == 0 {
			return rows.Where("not_after <= ?", now).Limit(inFlight)
		}
		return rows.Where("next_at <= ?", now).Limit(room)
	}
	var ids []uint64
	for _, place := range []int{s.place, 0} {
		if err := free().Order("next_at, id").Offset(place*inFlight).Pluck("id", &ids).Error; err != nil {
			return 0, fmt.Errorf("look for reminders: %w", err)
		}
		if len(ids) > 0 {
			break
		}
	}
	if len(ids) == 0 {
		return 0, nil
	}
	_, err := inTx(ctx, s.db, func(tx *gorm.DB) (struct{}, error) {
		return struct{}{}, tx.Model(&model.Reminder{}).Where("id IN ? AND state = ? AND lease_until <= ?", ids, model.Queued, now).
			Updates(map[string]any{"token": token, "lease_until": now.Add(claimLease)}).Error
	})
	if err != nil {
		return 0, fmt.Errorf("claim reminders: %w", err)
	}
	return len(ids), nil
}

// prepare decides about the rows of a claim and notes what is decided. The
// accounts are held: of two messages to one person one waits.
func (s *Reminders) prepare(tx *gorm.DB, token string) ([]*call, error) {
	now := s.now()
	var rows []model.Reminder
	if err := tx.Where("token = ? AND state = ?", token, model.Queued).Order("next_at, id").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read claim: %w", err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	facts, err := s.gather(tx, rows, now)
	if err != nil {
		return nil, err
	}
	var calls []*call
	var history []model.SendDecision
	for i := range rows {
		r := &rows[i]
		f, accountID := facts.of(r)
		d := r.Decide(f, s.rules, now)
		changes := map[string]any{"state": d.State, "reason": d.Reason, "lease_until": now}
		switch d.State {
		case model.Attempting:
			c := &call{Reminder: *r, openID: facts.accounts[r.MemberID].OpenID}
			c.AccountID, c.TemplateID, c.Token, c.LeaseUntil = accountID, s.catalogue[r.Purpose].ID, token, now.Add(model.CallLease)
			if c.CalledAt == nil {
				c.CalledAt = &now
			}
			if c.ConsentID == 0 {
				if c.ConsentID, err = facts.reserve(tx, r); err != nil {
					return nil, err
				}
			}
			count := facts.awaited[r.ActivityID]
			if r.Kind == model.ApprovalsWaiting {
				count = f.Waiting
			}
			c.page, c.data = s.message(r, f, count, now)
			facts.began(accountID)
			calls = append(calls, c)
			changes = map[string]any{"state": model.Attempting, "reason": "", "lease_until": c.LeaseUntil, "account_id": accountID,
				"template_id": c.TemplateID, "consent_id": c.ConsentID, "called_at": c.CalledAt}
		case model.Queued:
			changes["next_at"] = d.Until
		default:
			changes["settled_at"] = now
		}
		if err := tx.Model(&model.Reminder{}).Where("id = ?", r.ID).Updates(changes).Error; err != nil {
			return nil, fmt.Errorf("decide reminder %d: %w", r.ID, err)
		}
		if d.State != model.Queued || d.Reason != r.Reason {
			history = append(history, model.SendDecision{ReminderID: r.ID, At: now, State: d.State, Reason: d.Reason})
		}
	}
	return calls, record(tx, history)
}

// message is the page that a message leads to and what it says.
func (s *Reminders) message(r *model.Reminder, f model.Facts, count int, now time.Time) (page string, data map[string]string) {
	if f.Seat != nil {
		return "pages/service/index?id=" + fmt.Sprint(f.Seat.Day.ID), s.catalogue[r.Purpose].Fill(r.SaysOfSeat(f.Seat, s.rules.Zone, now))
	}
	return "pages/activity/index?id=" + fmt.Sprint(r.ActivityID), s.catalogue[r.Purpose].Fill(r.Says(f.Activity, s.rules.Zone, count, now))
}

func record(tx *gorm.DB, history []model.SendDecision) error {
	if len(history) == 0 {
		return nil
	}
	if err := tx.Create(&history).Error; err != nil {
		return fmt.Errorf("record decisions: %w", err)
	}
	return nil
}

// dial makes the call. No transaction is open.
func (s *Reminders) dial(ctx context.Context, c *call) {
	msgID, err := s.platform.Deliver(ctx, c.openID, c.TemplateID, c.page, c.data)
	c.msgID = msgID
	faultPoint("after_wechat_call")
	if err == nil {
		return
	}
	c.outcome = model.OutcomeUnknown
	var e interface{ Kind() string }
	if errors.As(err, &e) {
		c.outcome = e.Kind()
	}
	s.log.InfoContext(ctx, "reminder not sent", "reminder", c.ID, "outcome", c.outcome, "error", err)
}

// settle notes what came of calls. Whoever resolved one in the meantime was
// wrong to give it up only if the answer is a definite one.
func (s *Reminders) settle(ctx context.Context, calls []*call) error {
	now := s.now()
	_, err := inTx(ctx, s.db, func(tx *gorm.DB) (struct{}, error) {
		accounts := make([]uint64, len(calls))
		for i, c := range calls {
			accounts[i] = c.AccountID
		}
		if err := lockAccounts(tx, accounts...); err != nil {
			return struct{}{}, err
		}
		var history []model.SendDecision
		for _, c := range calls {
			step := c.After(c.outcome, now, dice())
			if step.State == model.Unknown {
				arrived, err := unclaimedDelivery(tx, &c.Reminder)
				if err != nil {
					return struct{}{}, err
				}
				if arrived != nil {
					c.msgID, step = arrived.MsgID, c.After(model.OutcomeOK, now, 0)
				}
			}
			noted, err := apply(tx, &c.Reminder, step, c.msgID, now)
			if err != nil {
				return struct{}{}, err
			}
			if noted {
				history = append(history, model.SendDecision{ReminderID: c.ID, At: now, State: step.State, Reason: step.Reason})
			}
		}
		return struct{}{}, record(tx, history)
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range calls {
		s.lanes[c.Purpose].Note(c.outcome, c.After(c.outcome, now, 0), now)
	}
	return nil
}

// dice is a random number in [0, 1).
func dice() float64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return float64(binary.LittleEndian.Uint64(b[:])>>11) / (1 << 53)
}

// apply writes a step of a reminder as it was called or read, unless another
// one was quicker, and does to the consent what follows from it. The account
// is held.
func apply(tx *gorm.DB, r *model.Reminder, step model.Step, msgID string, now time.Time) (bool, error) {
	changes := map[string]any{"state": step.State, "reason": step.Reason, "tries": step.Tries, "doubts": step.Doubts}
	if step.State.Final() {
		changes["settled_at"] = now
	} else {
		changes["next_at"] = step.NextAt
	}
	if step.State == model.Queued {
		changes["lease_until"] = now // free to be claimed
	}
	if msgID != "" {
		changes["msg_id"] = msgID
	}
	if step.Fate == model.ReturnConsent {
		changes["consent_id"], changes["called_at"] = 0, nil
	}
	noted := tx.Model(&model.Reminder{}).Where("id = ? AND token = ? AND state IN ?", r.ID, r.Token,
		[]model.ReminderState{model.Attempting, model.Unknown, model.UnknownFinal}).Updates(changes)
	if noted.Error != nil || noted.RowsAffected == 0 {
		return false, noted.Error
	}
	var err error
	switch step.Fate {
	case model.SpendConsent:
		err = moveConsent(tx, r.ConsentID, model.ConsentSpent, r.ID)
		if err == nil && msgID != "" {
			err = tx.Model(&model.Delivery{}).Where("msg_id = ?", msgID).Update("reminder_id", r.ID).Error
		}
	case model.ReturnConsent:
		err = moveConsent(tx, r.ConsentID, model.ConsentHeld, 0)
	case model.EmptyConsents:
		err = endConsents(tx, r.AccountID, r.TemplateID, *r.CalledAt)
	}
	if err != nil {
		return false, fmt.Errorf("settle reminder %d: %w", r.ID, err)
	}
	return true, nil
}

// moveConsent spends or gives back a consent that is reserved; one that the
// person took back in the meantime stays void.
func moveConsent(tx *gorm.DB, id uint64, state model.ConsentState, reminderID uint64) error {
	return tx.Model(&model.Consent{}).Where("id = ? AND state = ?", id, model.ConsentReserved).
		Updates(map[string]any{"state": state, "reminder_id": reminderID}).Error
}

// unclaimedDelivery is the event that tells of the reminder's call in doubt, if
// one came that is not of another message.
func unclaimedDelivery(tx *gorm.DB, r *model.Reminder) (*model.Delivery, error) {
	var near []model.Delivery
	err := tx.Where("account_id = ? AND template_id = ? AND reminder_id = 0", r.AccountID, r.TemplateID).Order("at, id").Find(&near).Error
	if err != nil {
		return nil, fmt.Errorf("events about reminder %d: %w", r.ID, err)
	}
	for i := range near {
		if r.Told(near[i].At) && !near[i].Failed {
			return &near[i], nil
		}
	}
	return nil, nil
}

// delivered learns from an event that a message arrived, or did not: by the
// id that the call returned, or else as the call in doubt. The account is held.
func delivered(tx *gorm.DB, d model.Delivery, now time.Time) error {
	var again int64
	if err := tx.Model(&model.Delivery{}).Where("msg_id = ?", d.MsgID).Count(&again).Error; err != nil || again > 0 {
		return err
	}
	var rows []model.Reminder
	err := tx.Where("account_id = ? AND template_id = ? AND (msg_id = ? OR state IN ? OR doubts > 0 AND state = ?)", d.AccountID, d.TemplateID,
		d.MsgID, []model.ReminderState{model.Unknown, model.UnknownFinal}, model.Queued).Order("called_at, id").Find(&rows).Error
	if err != nil {
		return fmt.Errorf("find what event %s is about: %w", d.MsgID, err)
	}
	at := slices.IndexFunc(rows, func(r model.Reminder) bool { return r.MsgID == d.MsgID })
	known := at >= 0
	if !known {
		at = slices.IndexFunc(rows, func(r model.Reminder) bool { return r.Told(d.At) })
	}
	if at >= 0 {
		r := &rows[at]
		d.ReminderID = r.ID
		changes := map[string]any{"state": model.Sent, "reason": "", "msg_id": d.MsgID, "settled_at": now}
		if d.Failed {
			changes["state"], changes["reason"] = model.Poison, model.NotDelivered
		}
		if !known || d.Failed {
			err := tx.Model(&model.Reminder{}).Where("id = ?", r.ID).Updates(changes).Error
			if err == nil {
				err = moveConsent(tx, r.ConsentID, model.ConsentSpent, r.ID)
			}
			if err == nil {
				err = record(tx, []model.SendDecision{{ReminderID: r.ID, At: now, State: changes["state"].(model.ReminderState), Reason: "event"}})
			}
			if err != nil {
				return fmt.Errorf("learn of reminder %d: %w", r.ID, err)
			}
		}
	}
	if err := tx.Create(&d).Error; err != nil {
		return fmt.Errorf("keep event %s: %w", d.MsgID, err)
	}
	return nil
}

// Resolve gives up waiting: what was being attempted by a worker that is no
// more becomes unknown, and what stayed unknown although an event should have
// come by now is tried once more or left for a person to see.
func (s *Reminders) Resolve(ctx context.Context) error {
	db, now := s.db.WithContext(ctx), s.now()
	var dead, silent []model.Reminder
	err := db.Where("state = ? AND lease_until <= ?", model.Attempting, now).Limit(batchRows).Find(&dead).Error
	if err == nil {
		err = db.Where("state = ? AND next_at <= ?", model.Unknown, now).Limit(batchRows).Find(&silent).Error
	}
	if err != nil {
		return fmt.Errorf("look for reminders in doubt: %w", err)
	}
	var errs []error
	for i := range dead {
		_, err := inTx(ctx, s.db, func(tx *gorm.DB) (struct{}, error) { return struct{}{}, s.doubt(tx, &dead[i], now) })
		errs = append(errs, err)
	}
	for i := range silent {
		_, err := inTx(ctx, s.db, func(tx *gorm.DB) (struct{}, error) { return struct{}{}, s.resolve(tx, &silent[i], now) })
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s *Reminders) doubt(tx *gorm.DB, r *model.Reminder, now time.Time) error {
	if err := lockAccounts(tx, r.AccountID); err != nil {
		return err
	}
	done := tx.Model(&model.Reminder{}).Where("id = ? AND state = ? AND lease_until <= ?", r.ID, model.Attempting, now).
		Updates(map[string]any{"state": model.Unknown, "reason": "worker_gone", "doubts": r.Doubts + 1, "next_at": now.Add(model.EventWait)})
	if done.Error != nil || done.RowsAffected == 0 {
		return done.Error
	}
	return record(tx, []model.SendDecision{{ReminderID: r.ID, At: now, State: model.Unknown, Reason: "worker_gone"}})
}

func (s *Reminders) resolve(tx *gorm.DB, r *model.Reminder, now time.Time) error {
	if err := lockAccounts(tx, r.AccountID); err != nil {
		return err
	}
	r, err := find[model.Reminder](tx, r.ID, model.ErrReminderNotFound)
	if err != nil || r.State != model.Unknown || r.NextAt.After(now) {
		return err
	}
	arrived, err := unclaimedDelivery(tx, r)
	if err != nil {
		return err
	}
	var alive int64
	err = tx.Model(&model.Consent{}).Where("account_id = ? AND template_id = ? AND state IN ?", r.AccountID, r.TemplateID,
		[]model.ConsentState{model.ConsentHeld, model.ConsentReserved}).Count(&alive).Error
	if err != nil {
		return fmt.Errorf("consents of account %d: %w", r.AccountID, err)
	}
	step, msgID := r.Resolve(int(alive), now), ""
	if arrived != nil {
		step, msgID = r.After(model.OutcomeOK, now, 0), arrived.MsgID
	}
	noted, err := apply(tx, r, step, msgID, now)
	if err == nil && noted && step.State == model.Queued && alive > 1 {
		// A second message would need a second consent: that of the call in
		// doubt stays as it is.
		err = tx.Model(r).Update("consent_id", 0).Error
	}
	if err == nil && noted {
		err = record(tx, []model.SendDecision{{ReminderID: r.ID, At: now, State: step.State, Reason: step.Reason}})
	}
	return err
}

// gathered is what decides about a claim, read in a few queries.
type gathered struct {
	template   bool
	activities map[uint64]*model.Activity
	seats      map[uint64]*model.SeatFacts
	accounts   map[uint64]model.Account // by member
	roster     map[[2]uint64]bool       // by activity and member
	present    map[[2]uint64]bool
	leave      map[[2]uint64]bool
	conduct    map[[2]uint64]bool
	awaited    map[uint64]int
	waiting    map[[2]uint64]int // requests by activity and who is to decide
	verdicts   map[decision]model.RequestState
	held       map[uint64][]model.Consent // by account, oldest first
	today      map[uint64]int
	busy       map[uint64]bool // accounts with a message on its way, or one of this template in doubt
}

// gather reads the facts about rows of one purpose and holds their accounts.
func (s *Reminders) gather(tx *gorm.DB, rows []model.Reminder, now time.Time) (*gathered, error) {
	g := &gathered{activities: map[uint64]*model.Activity{}, seats: map[uint64]*model.SeatFacts{}, accounts: map[uint64]model.Account{}, roster: map[[2]uint64]bool{},
		present: map[[2]uint64]bool{}, leave: map[[2]uint64]bool{}, conduct: map[[2]uint64]bool{}, awaited: map[uint64]int{}, waiting: map[[2]uint64]int{},
		verdicts: map[decision]model.RequestState{},
		held:     map[uint64][]model.Consent{}, today: map[uint64]int{}, busy: map[uint64]bool{}}
	var ids, activityIDs, memberIDs, signUpIDs []uint64
	for _, r := range rows {
		if r.SignUpID != 0 {
			signUpIDs = append(signUpIDs, r.SignUpID)
		}
		ids, activityIDs, memberIDs = append(ids, r.ID), append(activityIDs, r.ActivityID), append(memberIDs, r.MemberID)
	}
	var accounts []model.Account
	if err := tx.Find(&accounts, "member_id IN ?", memberIDs).Error; err != nil {
		return nil, fmt.Errorf("accounts to write to: %w", err)
	}
	accountIDs := []uint64{0}
	for _, a := range accounts {
		g.accounts[*a.MemberID] = a
		accountIDs = append(accountIDs, a.ID)
	}
	if err := lockAccounts(tx, accountIDs...); err != nil {
		return nil, err
	}
	if err := g.readActivities(tx, activityIDs, memberIDs); err != nil {
		return nil, err
	}
	if err := g.readSeats(tx, signUpIDs); err != nil {
		return nil, err
	}
	if rows[0].Purpose == model.DutyReminder {
		if err := g.readDuties(tx, model.DayOf(now, s.rules.Zone)); err != nil {
			return nil, err
		}
	}
	if rows[0].Purpose == model.ApprovalResult {
		if err := g.readVerdicts(tx, activityIDs, memberIDs); err != nil {
			return nil, err
		}
	}
	template, ok := s.catalogue[rows[0].Purpose]
	g.template = ok
	return g, g.readLedgers(tx, accountIDs, ids, template.ID, s.rules.DayEnd(now).AddDate(0, 0, -1))
}

func (g *gathered) readActivities(tx *gorm.DB, activityIDs, memberIDs []uint64) error {
	var activities []model.Activity
	var entries []model.RosterEntry
	var recorded []model.Attendance
	var leaves []model.Leave
	both := func() *gorm.DB { return tx.Where("activity_id IN ? AND member_id IN ?", activityIDs, memberIDs) }
	err := errors.Join(tx.Find(&activities, "id IN ?", activityIDs).Error, both().Find(&entries).Error,
		both().Where("voided = 0").Find(&recorded).Error, both().Order("id").Find(&leaves).Error)
	if err != nil {
		return fmt.Errorf("read what reminders are about: %w", err)
	}
	for i := range activities {
		g.activities[activities[i].ID] = &activities[i]
	}
	for _, e := range entries {
		g.roster[[2]uint64{e.ActivityID, e.MemberID}] = true
	}
	for _, t := range recorded {
		g.present[[2]uint64{t.ActivityID, t.MemberID}] = true
	}
	for _, l := range leaves {
		g.leave[[2]uint64{l.ActivityID, l.MemberID}] = l.Status != ""
	}
	return nil
}

func (g *gathered) readSeats(tx *gorm.DB, signUpIDs []uint64) error {
	if len(signUpIDs) == 0 {
		return nil
	}
	var signUps []model.SlotSignUp
	var slots []model.ServiceSlot
	var days []model.ServiceDay
	ids := tx.Model(&model.SlotSignUp{}).Select("slot_id").Where("id IN ?", signUpIDs)
	err := errors.Join(tx.Find(&signUps, "id IN ?", signUpIDs).Error, tx.Find(&slots, "id IN (?)", ids).Error,
		tx.Find(&days, "id IN (?)", tx.Model(&model.ServiceSlot{}).Select("service_day_id").Where("id IN (?)", ids)).Error)
	if err != nil {
		return fmt.Errorf("read the seats that reminders are about: %w", err)
	}
	slot, day := map[uint64]model.ServiceSlot{}, map[uint64]model.ServiceDay{}
	for _, s := range slots {
		slot[s.ID] = s
	}
	for _, d := range days {
		day[d.ID] = d
	}
	for _, u := range signUps {
		g.seats[u.ID] = &model.SeatFacts{SignUp: u, Slot: slot[u.SlotID], Day: day[slot[u.SlotID].ServiceDayID]}
	}
	return nil
}

func (g *gathered) readDuties(tx *gorm.DB, day model.Day) error {
	for _, a := range g.activities {
		people, err := conductorsOf(tx, a.OrganisationID, day)
		if err != nil {
			return err
		}
		for _, id := range people {
			g.conduct[[2]uint64{a.ID, id}] = true
		}
		waiting, err := waitingFor(tx, a, day)
		if err != nil {
			return err
		}
		for id, n := range waiting {
			g.waiting[[2]uint64{a.ID, id}] = n
		}
		seats, err := seatsOf(tx, a.ID)
		if err != nil {
			return err
		}
		g.awaited[a.ID] = tally(a, seats, a.StartsAt).Awaited
	}
	return nil
}

// decision is what the message about one is found by: the kind of request, the
// activity, the member and the moment.
type decision struct {
	late             bool
	activity, member uint64
	at               int64
}

func decisionOf(r *model.Reminder) decision {
	late := r.Kind == model.LateRecordApproved || r.Kind == model.LateRecordRefused
	return decision{late, r.ActivityID, r.MemberID, r.DueAt.UnixMilli()}
}

func (g *gathered) readVerdicts(tx *gorm.DB, activityIDs, memberIDs []uint64) error {
	var leaves []model.LeaveRequest
	var records []model.LateRecord
	decided := func() *gorm.DB {
		return tx.Where("activity_id IN ? AND member_id IN ? AND decided_at IS NOT NULL", activityIDs, memberIDs)
	}
	if err := errors.Join(decided().Find(&leaves).Error, decided().Find(&records).Error); err != nil {
		return fmt.Errorf("read decisions: %w", err)
	}
	for _, r := range leaves {
		g.verdicts[decision{false, r.ActivityID, r.MemberID, r.DecidedAt.UnixMilli()}] = r.State
	}
	for _, r := range records {
		g.verdicts[decision{true, r.ActivityID, r.MemberID, r.DecidedAt.UnixMilli()}] = r.State
	}
	return nil
}

func (g *gathered) readLedgers(tx *gorm.DB, accountIDs, rowIDs []uint64, templateID string, today time.Time) error {
	var held []model.Consent
	var sent []struct {
		AccountID uint64
		N         int
	}
	var busy []uint64
	err := errors.Join(
		tx.Where("account_id IN ? AND template_id = ? AND state = ?", accountIDs, templateID, model.ConsentHeld).
			Order("accepted_at, id").Find(&held).Error,
		tx.Model(&model.Reminder{}).Select("account_id, COUNT(*) AS n").
			Where("account_id IN ? AND called_at >= ? AND state NOT IN ?", accountIDs, today, []model.ReminderState{model.Queued, model.Refused, model.Poison}).
			Group("account_id").Scan(&sent).Error,
		tx.Model(&model.Reminder{}).
			Where("account_id IN ? AND id NOT IN ?", accountIDs, rowIDs).
			Where("state = ? OR template_id = ? AND (state = ? OR state = ? AND doubts > 0)", model.Attempting, templateID, model.Unknown, model.Queued).
			Pluck("account_id", &busy).Error)
	if err != nil {
		return fmt.Errorf("read ledgers: %w", err)
	}
	for _, c := range held {
		g.held[c.AccountID] = append(g.held[c.AccountID], c)
	}
	for _, n := range sent {
		g.today[n.AccountID] = n.N
	}
	for _, id := range busy {
		g.busy[id] = true
	}
	return nil
}

// of is the facts about one row, with the account it would go to.
func (g *gathered) of(r *model.Reminder) (model.Facts, uint64) {
	at := [2]uint64{r.ActivityID, r.MemberID}
	account, bound := g.accounts[r.MemberID]
	return model.Facts{Activity: g.activities[r.ActivityID], Seat: g.seats[r.SignUpID], OnRoster: g.roster[at], Conducts: g.conduct[at], Waiting: g.waiting[at], Verdict: g.verdicts[decisionOf(r)], Present: g.present[at],
		OnLeave: g.leave[at], Bound: bound, Template: g.template, Consents: len(g.held[account.ID]),
		SentToday: g.today[account.ID], InFlight: g.busy[account.ID]}, account.ID
}

// reserve takes a consent for the row: one given for this activity before the
// others, the oldest first.
func (g *gathered) reserve(tx *gorm.DB, r *model.Reminder) (uint64, error) {
	account := g.accounts[r.MemberID].ID
	held := g.held[account]
	best := 0
	for i := range held {
		if held[i].ActivityID == r.ActivityID {
			best = i
			break
		}
	}
	id := held[best].ID
	g.held[account] = append(held[:best:best], held[best+1:]...)
	err := tx.Model(&model.Consent{}).Where("id = ?", id).Updates(map[string]any{"state": model.ConsentReserved, "reminder_id": r.ID}).Error
	if err != nil {
		return 0, fmt.Errorf("reserve consent %d: %w", id, err)
	}
	return id, nil
}

// began notes that a message to the account is on its way.
func (g *gathered) began(accountID uint64) {
	g.busy[accountID] = true
	g.today[accountID]++
}
