package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-redis/redis_rate/v10"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"dangri/model"
)

// Consents is the ledger of what people allow: one row for each tap on
// "accept". WeChat has no way to ask for the balance, so this is the only one.
// All changes of one person's ledger happen under a lock on the account.
type Consents struct {
	db        *gorm.DB
	catalogue model.Catalogue
	limits    *limits
	now       func() time.Time
}

// Screen is where in the mini-program a consent is asked for.
type Screen string

// The screens.
const (
	OnActivity    Screen = "activity"     // looking at an activity, or just checked in
	OnDuty        Screen = "duty"         // running a meeting
	OnServiceDay  Screen = "service_day"  // signing up for a service day
	OnApplication Screen = "application"  // handing something in that is decided later
	OnWaitingList Screen = "waiting_list" // joining a waiting list
)

// asks are the purposes for which each screen asks.
var asks = map[Screen][]model.Purpose{
	OnActivity: {model.ActivityReminder, model.ActivityChange}, OnDuty: {model.DutyReminder},
	OnServiceDay: {model.ServiceReminder, model.ActivityChange}, OnApplication: {model.ApprovalResult}, OnWaitingList: {model.WaitingListOffer},
}

// SubscriptionRequests is what to ask for in the tap's own event handler.
type SubscriptionRequests struct {
	TemplateIDs []string `json:"template_ids" doc:"原样交给 wx.requestSubscribeMessage 的 tmplIds；空就不用问"`
}

// Requests is which templates to ask for at a tap on the screen: those of
// which the caller holds fewer consents than messages are coming, so that
// nobody is asked for more than will be sent.
func (s *Consents) Requests(ctx context.Context, actor *model.Actor, screen Screen) (*SubscriptionRequests, error) {
	db := s.db.WithContext(ctx)
	held, err := heldConsents(db, actor.AccountID)
	if err != nil {
		return nil, err
	}
	var waiting []struct {
		Purpose model.Purpose
		N       int
	}
	err = db.Model(&model.Reminder{}).Select("purpose, COUNT(*) AS n").
		Where("member_id = ? AND state = ? AND due_at < ?", actor.MemberID, model.Queued, s.now().AddDate(0, 0, 30)).
		Group("purpose").Scan(&waiting).Error
	if err != nil {
		return nil, fmt.Errorf("reminders waiting for member %d: %w", actor.MemberID, err)
	}
	coming := map[model.Purpose]int{}
	for _, w := range waiting {
		coming[w.Purpose] = w.N
	}
	out := &SubscriptionRequests{TemplateIDs: []string{}}
	for _, purpose := range asks[screen] {
		t, ok := s.catalogue[purpose]
		if ok && held[t.ID] < min(max(1, coming[purpose]), model.MostWantedConsents) {
			out.TemplateIDs = append(out.TemplateIDs, t.ID)
		}
	}
	return out, nil
}

// heldConsents is how many messages of each template the account still allows.
func heldConsents(tx *gorm.DB, accountID uint64) (map[string]int, error) {
	var rows []struct {
		TemplateID string
		N          int
	}
	err := tx.Model(&model.Consent{}).Select("template_id, COUNT(*) AS n").
		Where("account_id = ? AND state = ?", accountID, model.ConsentHeld).Group("template_id").Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("consents of account %d: %w", accountID, err)
	}
	held := map[string]int{}
	for _, r := range rows {
		held[r.TemplateID] = r.N
	}
	return held, nil
}

// ConsentReport is what wx.requestSubscribeMessage answered on the phone.
type ConsentReport struct {
	Nonce      string          `json:"nonce" minLength:"8" maxLength:"64" pattern:"^[0-9A-Za-z_-]+$" doc:"提交编号：每次弹窗生成一次，重试时不变"`
	ActivityID uint64          `json:"activity_id,omitempty" doc:"在哪个活动的页面上"`
	Results    []ConsentResult `json:"results" minItems:"1" maxItems:"5" doc:"订阅的结果"`
}

// ConsentResult is the answer for one template.
type ConsentResult struct {
	TemplateID string `json:"template_id" maxLength:"64" doc:"消息模板"`
	Result     string `json:"result" enum:"accept,reject,ban,filter" doc:"微信返回的结果"`
}

// ConsentLedger is what the caller allows now.
type ConsentLedger struct {
	Items []ConsentLine `json:"items"`
}

// ConsentLine is how many messages of one purpose may still be sent.
type ConsentLine struct {
	Purpose    model.Purpose `json:"purpose"`
	Name       string        `json:"name"`
	TemplateID string        `json:"template_id"`
	Held       int           `json:"held" doc:"还能收到几条"`
}

// Report takes down what the phone says was accepted. The platform tells of
// the same tap by itself, and the two count once; accepts that only the phone
// tells of are believed up to three for each template. A retry with the same
// nonce changes nothing.
func (s *Consents) Report(ctx context.Context, actor *model.Actor, in ConsentReport) (*ConsentLedger, error) {
	if err := s.limits.take(ctx, "consents", fmt.Sprint(actor.AccountID), redis_rate.PerMinute(30)); err != nil {
		return nil, err
	}
	for _, r := range in.Results {
		if s.catalogue.PurposeOf(r.TemplateID) == "" {
			return nil, model.ErrUnknownTemplate
		}
	}
	now := s.now()
	return inTx(ctx, s.db, func(tx *gorm.DB) (*ConsentLedger, error) {
		if in.ActivityID != 0 {
			if _, _, _, err := seen(tx, actor, in.ActivityID); err != nil {
				return nil, err
			}
		}
		if err := lockAccounts(tx, actor.AccountID); err != nil {
			return nil, err
		}
		for _, r := range in.Results {
			if r.Result != "accept" {
				continue
			}
			c := model.Consent{AccountID: actor.AccountID, TemplateID: r.TemplateID, ActivityID: in.ActivityID, AcceptedAt: now, Nonce: &in.Nonce}
			if err := s.reported(tx, c); err != nil {
				return nil, err
			}
		}
		return s.ledger(tx, actor.AccountID)
	})
}

func (s *Consents) ledger(tx *gorm.DB, accountID uint64) (*ConsentLedger, error) {
	held, err := heldConsents(tx, accountID)
	if err != nil {
		return nil, err
	}
	out := &ConsentLedger{Items: []ConsentLine{}}
	for _, p := range model.Purposes {
		if t, ok := s.catalogue[p]; ok {
			out.Items = append(out.Items, ConsentLine{Purpose: p, Name: model.PurposeNames[p], TemplateID: t.ID, Held: held[t.ID]})
		}
	}
	return out, nil
}

// lockAccounts holds the accounts, and with them their ledgers, until the
// transaction ends.
func lockAccounts(tx *gorm.DB, ids ...uint64) error {
	var held []uint64
	err := tx.Model(&model.Account{}).Clauses(forUpdate).
		Where("id IN ?", ids).Order("id").Pluck("id", &held).Error
	if err != nil {
		return fmt.Errorf("hold accounts: %w", err)
	}
	return nil
}

// reported takes down an accept that the phone told of; the account is held.
func (s *Consents) reported(tx *gorm.DB, c model.Consent) error {
	var again, unconfirmed int64
	mine := func() *gorm.DB {
		return tx.Model(&model.Consent{}).Where("account_id = ? AND template_id = ?", c.AccountID, c.TemplateID)
	}
	if err := mine().Where("nonce = ?", c.Nonce).Count(&again).Error; err != nil || again > 0 {
		return err
	}
	told, err := pair(mine().Where("nonce IS NULL"), c.AcceptedAt)
	if err != nil {
		return err
	}
	if told != nil {
		told.Nonce = c.Nonce
		if told.ActivityID == 0 {
			told.ActivityID = c.ActivityID
		}
		return save(tx, told)
	}
	err = mine().Where("event_key IS NULL AND state IN ?", []model.ConsentState{model.ConsentHeld, model.ConsentReserved}).Count(&unconfirmed).Error
	if err != nil || unconfirmed >= model.MostUnconfirmed {
		return err
	}
	return s.accept(tx, c)
}

// told takes down an accept that the platform told of; the account is held.
func (s *Consents) told(tx *gorm.DB, c model.Consent) error {
	var again int64
	if err := tx.Model(&model.Consent{}).Where("event_key = ?", c.EventKey).Count(&again).Error; err != nil || again > 0 {
		return err
	}
	reported, err := pair(tx.Where("account_id = ? AND template_id = ? AND event_key IS NULL", c.AccountID, c.TemplateID), c.AcceptedAt)
	if err != nil {
		return err
	}
	if reported != nil {
		reported.EventKey = c.EventKey
		return save(tx, reported)
	}
	return s.accept(tx, c)
}

// pair is the one of the rows that is of the same tap as what happened at the
// moment, the closest one, or nil.
func pair(rows *gorm.DB, at time.Time) (*model.Consent, error) {
	var near []model.Consent
	err := rows.Where("accepted_at BETWEEN ? AND ?", at.Add(-model.ConsentPairing), at.Add(model.ConsentPairing)).Order("accepted_at, id").Find(&near).Error
	if err != nil {
		return nil, fmt.Errorf("pair consent: %w", err)
	}
	var best *model.Consent
	for i := range near {
		if best == nil || near[i].AcceptedAt.Sub(at).Abs() < best.AcceptedAt.Sub(at).Abs() {
			best = &near[i]
		}
	}
	return best, nil
}

func save(tx *gorm.DB, c *model.Consent) error {
	if err := tx.Save(c).Error; err != nil {
		return fmt.Errorf("save consent %d: %w", c.ID, err)
	}
	return nil
}

// accept adds a consent, void if the person took everything back since, and
// wakes the reminders that waited for one.
func (s *Consents) accept(tx *gorm.DB, c model.Consent) error {
	var ends []model.ConsentEnd
	if err := tx.Find(&ends, "account_id = ? AND template_id = ?", c.AccountID, c.TemplateID).Error; err != nil {
		return fmt.Errorf("end of consents: %w", err)
	}
	c.State = model.ConsentHeld
	if len(ends) > 0 && !c.AcceptedAt.After(ends[0].At) {
		c.State = model.ConsentVoid
	}
	if err := tx.Create(&c).Error; err != nil {
		return fmt.Errorf("add consent: %w", err)
	}
	purpose := s.catalogue.PurposeOf(c.TemplateID)
	if c.State != model.ConsentHeld || purpose == "" {
		return nil
	}
	member := tx.Model(&model.Account{}).Select("member_id").Where("id = ? AND member_id IS NOT NULL", c.AccountID)
	err := tx.Model(&model.Reminder{}).
		Where("member_id IN (?) AND state = ? AND purpose = ? AND reason IN ?", member, model.Queued, purpose, []string{model.NoConsent, model.NotBound}).
		Updates(map[string]any{"next_at": s.now(), "reason": ""}).Error
	if err != nil {
		return fmt.Errorf("wake reminders of account %d: %w", c.AccountID, err)
	}
	return nil
}

// endConsents notes that at the moment the person took back all that they had
// allowed the template; the account is held.
func endConsents(tx *gorm.DB, accountID uint64, templateID string, at time.Time) error {
	var ends []model.ConsentEnd
	err := tx.Find(&ends, "account_id = ? AND template_id = ?", accountID, templateID).Error
	if err == nil && (len(ends) == 0 || ends[0].At.Before(at)) {
		err = tx.Clauses(clause.OnConflict{
			Columns: []clause.Column{{Name: "account_id"}, {Name: "template_id"}}, DoUpdates: clause.AssignmentColumns([]string{"at"}),
		}).Create(&model.ConsentEnd{AccountID: accountID, TemplateID: templateID, At: at}).Error
	}
	if err == nil {
		err = tx.Model(&model.Consent{}).Where("account_id = ? AND template_id = ? AND state IN ? AND accepted_at <= ?", accountID, templateID,
			[]model.ConsentState{model.ConsentHeld, model.ConsentReserved}, at).Update("state", model.ConsentVoid).Error
	}
	if err != nil {
		return fmt.Errorf("end consents of account %d: %w", accountID, err)
	}
	return nil
}

// PlatformEvent is one thing that the platform reports about a person: it has
// proved to come from there. Key is the same for every copy of one event.
type PlatformEvent struct {
	Kind       PlatformEventKind
	Key        string
	OpenID     string
	At         time.Time
	TemplateID string
	Accepted   bool   // ConsentAsked, ConsentWithdrawn
	MsgID      string // MessageDelivered
	Failed     bool   // MessageDelivered
}

// PlatformEventKind is what an event tells of.
type PlatformEventKind string

// The kinds that matter here; all others are ignored.
const (
	ConsentAsked     PlatformEventKind = "popup"
	ConsentWithdrawn PlatformEventKind = "change"
	MessageDelivered PlatformEventKind = "sent"
)

// Receive learns from events, in any order and however often each comes. Those
// of people who never signed in are ignored.
func (s *Services) Receive(ctx context.Context, events []PlatformEvent) error {
	var errs []error
	for _, e := range events {
		_, err := inTx(ctx, s.Consents.db, func(tx *gorm.DB) (struct{}, error) {
			var account model.Account
			err := tx.Limit(1).Find(&account, "openid = ?", e.OpenID).Error
			if err != nil || account.ID == 0 {
				return struct{}{}, err
			}
			if err := lockAccounts(tx, account.ID); err != nil {
				return struct{}{}, err
			}
			switch {
			case e.Kind == ConsentAsked && e.Accepted:
				err = s.Consents.told(tx, model.Consent{AccountID: account.ID, TemplateID: e.TemplateID, AcceptedAt: e.At, EventKey: &e.Key})
			case e.Kind == ConsentWithdrawn && !e.Accepted:
				err = endConsents(tx, account.ID, e.TemplateID, e.At)
			case e.Kind == MessageDelivered:
				err = delivered(tx, model.Delivery{AccountID: account.ID, TemplateID: e.TemplateID, MsgID: e.MsgID, At: e.At, Failed: e.Failed}, s.Reminders.now())
			}
			return struct{}{}, err
		})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
