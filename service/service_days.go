package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// ServiceDays is what communities need: drafted, published, reworded, called
// off, and found by members.
type ServiceDays struct {
	db       *gorm.DB
	platform Platform
	settings Settings
	now      func() time.Time
}

// ServiceDayInput is what a liaison fills in. Minutes count back from the
// start of the first slot.
type ServiceDayInput struct {
	ServiceWords
	SignUpClosesMinutes int         `json:"sign_up_closes_minutes,omitempty" minimum:"0" maximum:"43200" doc:"开始前多少分钟截止报名"`
	CancelClosesMinutes int         `json:"cancel_closes_minutes,omitempty" minimum:"0" maximum:"43200" default:"1440" doc:"开始前多少分钟起，取消要写原因"`
	MinimumMinutes      int         `json:"minimum_minutes,omitempty" minimum:"0" maximum:"720" default:"30" doc:"在场至少多少分钟才记服务时长"`
	RegisteredOnly      bool        `json:"registered_only,omitempty" doc:"只面向已到本社区报到的党员"`
	RefuseOverlap       bool        `json:"refuse_overlap,omitempty" doc:"与党内活动时间冲突时不许报名；否则先提醒，本人坚持可以报"`
	Slots               []SlotInput `json:"slots" minItems:"1" maxItems:"20" doc:"岗位"`
}

// ServiceWords is what people read of a service day.
type ServiceWords struct {
	Title   string `json:"title" minLength:"2" maxLength:"60" doc:"标题"`
	Content string `json:"content,omitempty" maxLength:"3000" doc:"要做什么"`
	Place   string `json:"place" minLength:"2" maxLength:"60" doc:"在哪里"`
	Contact string `json:"contact,omitempty" maxLength:"60" doc:"联系人和办公电话"`
}

// SlotInput is one job of the day. Times carry their zone.
type SlotInput struct {
	Name     string      `json:"name" minLength:"1" maxLength:"30" doc:"名称"`
	Skill    model.Skill `json:"skill,omitempty" enum:"any,law,medicine,teaching,repairs,computers,arts,counselling,environment,order" default:"any" doc:"希望的专长"`
	StartsAt time.Time   `json:"starts_at" doc:"开始时间"`
	EndsAt   time.Time   `json:"ends_at" doc:"结束时间"`
	Capacity int         `json:"capacity" minimum:"1" maximum:"10000" doc:"要几个人"`
	UnitCap  int         `json:"unit_cap,omitempty" minimum:"0" maximum:"10000" doc:"一个支部最多几个人；0 不限"`
}

// NewServiceDayInput is a new service day of a community.
type NewServiceDayInput struct {
	CommunityID uint64 `json:"community_id" minimum:"1" doc:"社区"`
	Nonce       string `json:"nonce" minLength:"8" maxLength:"64" pattern:"^[0-9A-Za-z_-]+$" doc:"提交编号：每次新建时生成一次，重试时不变"`
	ServiceDayInput
}

func (in *ServiceWords) apply(d *model.ServiceDay) error {
	d.Title, d.Content, d.Place, d.Contact = cleanLine(in.Title), cleanText(in.Content), cleanLine(in.Place), cleanLine(in.Contact)
	switch {
	case len([]rune(d.Title)) < 2:
		return model.BadField("title", "标题至少两个字")
	case d.Place == "":
		return model.BadField("place", "请写明地点")
	}
	return nil
}

func (in *ServiceDayInput) apply(d *model.ServiceDay, zone *time.Location) ([]model.ServiceSlot, error) {
	if err := in.ServiceWords.apply(d); err != nil {
		return nil, err
	}
	rows := make([]model.ServiceSlot, len(in.Slots))
	for i, s := range in.Slots {
		rows[i] = model.ServiceSlot{CommunityID: d.CommunityID, Name: cleanLine(s.Name), Skill: s.Skill, Capacity: s.Capacity, UnitCap: s.UnitCap,
			StartsAt: s.StartsAt.UTC().Truncate(time.Second), EndsAt: s.EndsAt.UTC().Truncate(time.Second)}
		switch {
		case rows[i].Name == "":
			return nil, model.BadField("slots", "请写明岗位名称")
		case rows[i].StartsAt.Year() < 2000 || rows[i].StartsAt.Year() > 2100:
			return nil, model.BadField("slots", "岗位时间不对，请重新选择")
		}
		if rows[i].Skill == "" {
			rows[i].Skill = model.AnySkill
		}
	}
	if err := d.Embrace(rows, zone); err != nil {
		return nil, err
	}
	d.SignUpUntil = d.StartsAt.Add(-time.Duration(in.SignUpClosesMinutes) * time.Minute)
	d.CancelUntil = d.StartsAt.Add(-time.Duration(in.CancelClosesMinutes) * time.Minute)
	d.MinimumMinutes, d.RegisteredOnly, d.RefuseOverlap = in.MinimumMinutes, in.RegisteredOnly, in.RefuseOverlap
	return rows, nil
}

// Draft makes a new service day that only those who run the community's
// service can see. A retry with the same nonce answers with the first one.
func (s *ServiceDays) Draft(ctx context.Context, actor *model.Actor, in NewServiceDayInput) (*ServiceDayView, error) {
	now := s.now()
	once, err := onceOf(in.Nonce, in)
	if err != nil {
		return nil, err
	}
	d, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.ServiceDay, error) {
		line, err := lineOf(tx, in.CommunityID)
		switch {
		case err != nil:
			return nil, err
		case !actor.Oversees(line):
			return nil, model.ErrNotFound
		case !actor.Liaises(line):
			return nil, model.ErrNotLiaison
		}
		d := &model.ServiceDay{CommunityID: in.CommunityID, Status: model.Draft, CodeEpoch: 1, Version: 1, CreatedBy: actor.MemberID, CreatedAt: now, Once: once}
		slots, err := in.apply(d, s.settings.Zone)
		if err != nil {
			return nil, err
		}
		if err := tx.Create(d).Error; err != nil {
			return nil, fmt.Errorf("draft service day: %w", err)
		}
		return d, setSlots(tx, d, slots)
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		d, err = firstTry[model.ServiceDay](s.db.WithContext(ctx), once, err, "created_by = ?", actor.MemberID)
	}
	if err != nil {
		return nil, err
	}
	return s.Show(ctx, actor, d.ID)
}

// setSlots gives a service day that nobody has signed up for its slots.
func setSlots(tx *gorm.DB, d *model.ServiceDay, slots []model.ServiceSlot) error {
	if err := tx.Delete(&model.ServiceSlot{}, "service_day_id = ?", d.ID).Error; err != nil {
		return fmt.Errorf("clear slots of service day %d: %w", d.ID, err)
	}
	for i := range slots {
		slots[i].ServiceDayID = d.ID
	}
	if err := tx.Create(&slots).Error; err != nil {
		return fmt.Errorf("set slots of service day %d: %w", d.ID, err)
	}
	return nil
}

// ServiceDayEdit is a draft as it should be; Version is that of the draft the
// editor saw.
type ServiceDayEdit struct {
	Version int `json:"version" minimum:"1" doc:"修改前看到的版本"`
	ServiceDayInput
}

// Edit changes a draft as a whole, its slots included.
func (s *ServiceDays) Edit(ctx context.Context, actor *model.Actor, id uint64, in ServiceDayEdit) (*ServiceDayView, error) {
	_, err := inTx(ctx, s.db, func(tx *gorm.DB) (struct{}, error) {
		d, err := s.editable(tx, actor, id, in.Version, model.Draft)
		if err != nil {
			return struct{}{}, err
		}
		slots, err := in.apply(d, s.settings.Zone)
		if err != nil {
			return struct{}{}, err
		}
		d.Version++
		if err := tx.Save(d).Error; err != nil {
			return struct{}{}, fmt.Errorf("edit service day %d: %w", id, err)
		}
		return struct{}{}, setSlots(tx, d, slots)
	})
	if err != nil {
		return nil, err
	}
	return s.Show(ctx, actor, id)
}

// editable is the service day, held, as its editor saw it.
func (s *ServiceDays) editable(tx *gorm.DB, actor *model.Actor, id uint64, version int, status model.ActivityStatus) (*model.ServiceDay, error) {
	if _, _, err := liaised(tx, actor, id); err != nil {
		return nil, err
	}
	d, err := lock[model.ServiceDay](tx, id, model.ErrServiceDayNotFound)
	if err != nil {
		return nil, err
	}
	if err := d.Allow(status); err != nil {
		return nil, err
	}
	if d.Version != version {
		return nil, model.ErrChangedMeantime.With("version", d.Version)
	}
	return d, nil
}

// ServiceRewording is the words of a published service day as they should be.
type ServiceRewording struct {
	Version int `json:"version" minimum:"1" doc:"修改前看到的版本"`
	ServiceWords
}

// Reword changes what people read of a published service day, after WeChat's
// content check. When it takes place and its slots stay: who signed up relies
// on them.
func (s *ServiceDays) Reword(ctx context.Context, actor *model.Actor, id uint64, in ServiceRewording) (*ServiceDayView, error) {
	d, _, err := liaised(s.db.WithContext(ctx), actor, id)
	if err != nil {
		return nil, err
	}
	if err := in.apply(d); err != nil {
		return nil, err
	}
	if err := s.checkText(ctx, actor, d, nil); err != nil {
		return nil, err
	}
	_, err = inTx(ctx, s.db, func(tx *gorm.DB) (struct{}, error) {
		d, err := s.editable(tx, actor, id, in.Version, model.Published)
		if err != nil {
			return struct{}{}, err
		}
		if err := in.apply(d); err != nil {
			return struct{}{}, err
		}
		d.Version++
		if err := tx.Save(d).Error; err != nil {
			return struct{}{}, fmt.Errorf("reword service day %d: %w", id, err)
		}
		return struct{}{}, nil
	})
	if err != nil {
		return nil, err
	}
	return s.Show(ctx, actor, id)
}

func (s *ServiceDays) checkText(ctx context.Context, actor *model.Actor, d *model.ServiceDay, slots []model.ServiceSlot) error {
	text := d.Title + "\n" + d.Place + "\n" + d.Contact + "\n" + d.Content
	for i := range slots {
		text += "\n" + slots[i].Name
	}
	return checkText(ctx, s.platform, actor, text)
}

// Publish makes a draft known to every member, after WeChat's content check:
// never unchecked. Publishing a published service day changes nothing.
func (s *ServiceDays) Publish(ctx context.Context, actor *model.Actor, id uint64) (*ServiceDayView, error) {
	db, now := s.db.WithContext(ctx), s.now()
	d, _, err := liaised(db, actor, id)
	if err != nil {
		return nil, err
	}
	if d.Status == model.Published {
		return s.Show(ctx, actor, id)
	}
	if err := d.Allow(model.Draft); err != nil {
		return nil, err
	}
	if !now.Before(d.SignUpUntil) {
		return nil, model.BadField("slots", "报名截止时间已过，请先修改时间")
	}
	slots, err := slotsOf(db, id)
	if err != nil {
		return nil, err
	}
	if err := s.checkText(ctx, actor, d, slots); err != nil {
		return nil, err
	}
	published, err := inTx(ctx, s.db, func(tx *gorm.DB) (bool, error) {
		update := tx.Model(&model.ServiceDay{}).Where("id = ? AND status = ? AND version = ?", id, model.Draft, d.Version).
			Updates(map[string]any{"status": model.Published, "published_at": now, "version": d.Version + 1})
		if update.Error != nil || update.RowsAffected == 0 {
			return false, update.Error
		}
		return true, tx.Model(&model.ServiceSlot{}).Where("service_day_id = ?", id).Update("open", true).Error
	})
	if err != nil {
		return nil, fmt.Errorf("publish service day %d: %w", id, err)
	}
	view, err := s.Show(ctx, actor, id)
	if err == nil && !published && view.Status != model.Published {
		return nil, model.ErrChangedMeantime
	}
	return view, err
}

// Cancel calls a service day off: its seats, offers and lines end with it, and
// everybody in them is told the reason, which passes WeChat's content check
// first, unless WeChat is away. Once somebody has come to a slot that has begun, the day is closed with
// their hours instead. Cancelling again changes nothing.
func (s *ServiceDays) Cancel(ctx context.Context, actor *model.Actor, id uint64, in CancelInput) (*ServiceDayView, error) {
	now := s.now()
	reason, err := cleanReason(in.Reason)
	if err != nil {
		return nil, err
	}
	before, _, err := liaised(s.db.WithContext(ctx), actor, id)
	if err != nil {
		return nil, err
	}
	if before.Status == model.Cancelled {
		return s.Show(ctx, actor, id)
	}
	if err := before.Allow(model.Draft, model.Published); err != nil {
		return nil, err
	}
	if err := checkUrgent(ctx, s.platform, actor, reason); err != nil {
		return nil, err
	}
	_, err = inTx(ctx, s.db, func(tx *gorm.DB) (struct{}, error) {
		if _, _, err := liaised(tx, actor, id); err != nil {
			return struct{}{}, err
		}
		d, err := lock[model.ServiceDay](tx, id, model.ErrServiceDayNotFound)
		if err != nil || d.Status == model.Cancelled {
			return struct{}{}, err
		}
		if err := d.Allow(model.Draft, model.Published); err != nil {
			return struct{}{}, err
		}
		d.Status, d.CancelReason, d.Version = model.Cancelled, reason, d.Version+1
		if err := tx.Save(d).Error; err != nil {
			return struct{}{}, fmt.Errorf("cancel service day %d: %w", id, err)
		}
		slots, err := slotsOf(tx, id)
		if err != nil {
			return struct{}{}, err
		}
		for i := range slots {
			if err := emptySlot(tx, slots[i].ID, d.CancelReason, now); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, auditBy(tx, now, actor, "cancel_service_day", "service_day", id, "ok", nil)
	})
	if err != nil {
		return nil, err
	}
	return s.Show(ctx, actor, id)
}

func slotsOf(tx *gorm.DB, dayID uint64) ([]model.ServiceSlot, error) {
	var slots []model.ServiceSlot
	if err := tx.Order("id").Find(&slots, "service_day_id = ?", dayID).Error; err != nil {
		return nil, fmt.Errorf("slots of service day %d: %w", dayID, err)
	}
	return slots, nil
}

// ServiceDayView is a service day as one person sees it.
type ServiceDayView struct {
	model.ServiceDay
	CommunityName string     `json:"community_name"`
	Slots         []SlotView `json:"slots"`
	MayRun        bool       `json:"may_run" doc:"本人可以办理这个服务日"`
}

// SlotView is a slot with the caller's own part in it.
type SlotView struct {
	model.ServiceSlot
	Mine *SignedUp `json:"mine,omitempty" doc:"本人现在的报名；没有报名就没有这一项"`
}

// Show is one service day with its slots. A published one is for every member
// to see, a draft for those who run it.
func (s *ServiceDays) Show(ctx context.Context, actor *model.Actor, id uint64) (*ServiceDayView, error) {
	db := s.db.WithContext(ctx)
	d, err := find[model.ServiceDay](db, id, model.ErrServiceDayNotFound)
	if err != nil {
		return nil, err
	}
	line, err := lineOf(db, d.CommunityID)
	if err != nil {
		return nil, err
	}
	view := &ServiceDayView{ServiceDay: *d, CommunityName: line[0].Name, MayRun: actor.Liaises(line)}
	if !d.Announced() && !view.MayRun {
		return nil, model.ErrServiceDayNotFound
	}
	slots, err := slotsOf(db, id)
	if err != nil {
		return nil, err
	}
	var mine []model.SlotSignUp
	err = db.Where("member_id = ? AND live = ?", actor.MemberID, true).
		Where("slot_id IN (?)", db.Model(&model.ServiceSlot{}).Select("id").Where("service_day_id = ?", id)).Find(&mine).Error
	if err != nil {
		return nil, fmt.Errorf("own sign-ups at service day %d: %w", id, err)
	}
	for i := range slots {
		v := SlotView{ServiceSlot: slots[i]}
		for j := range mine {
			if mine[j].SlotID == slots[i].ID {
				if v.Mine, err = signedUp(db, &mine[j]); err != nil {
					return nil, err
				}
			}
		}
		view.Slots = append(view.Slots, v)
	}
	return view, nil
}

// ServiceDayPage is a part of a community's service days, the latest first.
type ServiceDayPage struct {
	Items []model.ServiceDay `json:"items"`
	Next  string             `json:"next,omitempty" doc:"下一页的 cursor；没有就是到底了"`
}

// List is a community's service days, the latest start first, for those who
// oversee it; drafts for those who run them.
func (s *ServiceDays) List(ctx context.Context, actor *model.Actor, communityID uint64, cursor string, limit int) (*ServiceDayPage, error) {
	db := s.db.WithContext(ctx)
	line, err := overseen(db, actor, communityID)
	if err != nil {
		return nil, err
	}
	rows := db.Where("community_id = ?", communityID)
	if !actor.Liaises(line) {
		rows = rows.Where("published_at IS NOT NULL")
	}
	if cursor != "" {
		at, id, err := readCursor(cursor)
		if err != nil {
			return nil, err
		}
		rows = rows.Where("starts_at < ? OR starts_at = ? AND id < ?", at, at, id)
	}
	page := &ServiceDayPage{Items: []model.ServiceDay{}}
	if err := rows.Order("starts_at DESC, id DESC").Limit(limit + 1).Find(&page.Items).Error; err != nil {
		return nil, fmt.Errorf("list service days: %w", err)
	}
	if len(page.Items) > limit {
		page.Items = page.Items[:limit]
		last := page.Items[limit-1]
		page.Next = writeCursor(last.StartsAt, last.ID)
	}
	return page, nil
}

// SlotSearch is what a member looks for.
type SlotSearch struct {
	CommunityID uint64      `query:"community_id" maximum:"9007199254740991" doc:"只看一个社区的"`
	Skill       model.Skill `query:"skill" enum:",any,law,medicine,teaching,repairs,computers,arts,counselling,environment,order" doc:"只看希望这项专长的"`
	From        model.Day   `query:"from" maxLength:"10" pattern:"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$" doc:"从哪天起；不给就是现在起"`
	Free        bool        `query:"free" doc:"只看还有空位的"`
}

// SlotPage is one screen of slots, the next in time first.
type SlotPage struct {
	Items []SlotLine `json:"items"`
	Next  string     `json:"next,omitempty" doc:"下一页的 cursor；没有就是到底了"`
}

// SlotLine is a slot in a list.
type SlotLine struct {
	model.ServiceSlot
	Title       string            `json:"title"`
	Place       string            `json:"place"`
	Community   string            `json:"community"`
	SignUpUntil time.Time         `json:"sign_up_until"`
	MyState     model.SignUpState `json:"my_state" doc:"本人的状态，空为没有报名"`
}

// Find is the published slots that have not started, the next in time first.
// A full one tells how many wait.
func (s *ServiceDays) Find(ctx context.Context, actor *model.Actor, in SlotSearch, cursor string, limit int) (*SlotPage, error) {
	from := s.now()
	if in.From != "" {
		day, err := time.ParseInLocation(time.DateOnly, string(in.From), s.settings.Zone)
		if err != nil {
			return nil, model.BadField("from", "日期应为 2026-03-10 的形式")
		}
		if day.After(from) {
			from = day.UTC()
		}
	}
	db := s.db.WithContext(ctx)
	rows := db.Table("service_slots s")
	if cursor != "" {
		at, id, err := readCursor(cursor)
		if err != nil {
			return nil, err
		}
		rows = rows.Where("s.starts_at >= ? AND (s.starts_at > ? OR s.id > ?)", at, at, id)
	}
	rows = rows.Where("s.open = ? AND s.starts_at > ?", true, from)
	if in.CommunityID != 0 {
		rows = rows.Where("s.community_id = ?", in.CommunityID)
	}
	if in.Skill != "" {
		rows = rows.Where("s.skill = ?", in.Skill)
	}
	if in.Free {
		rows = rows.Where("s.taken < s.capacity AND s.waiting = 0")
	}
	page := &SlotPage{Items: []SlotLine{}}
	// The page first, by its index; what belongs to each slot is looked up for
	// those alone.
	err := db.Table("(?) s", rows.Order("s.starts_at, s.id").Limit(limit+1)).
		Select("s.*, d.title, d.place, d.sign_up_until, o.name AS community, COALESCE(u.state, '') AS my_state").
		Joins("JOIN service_days d ON d.id = s.service_day_id").
		Joins("JOIN organisations o ON o.id = s.community_id").
		Joins("LEFT JOIN slot_sign_ups u ON u.slot_id = s.id AND u.member_id = ? AND u.live = ?", actor.MemberID, true).
		Order("s.starts_at, s.id").Find(&page.Items).Error
	if err != nil {
		return nil, fmt.Errorf("find slots: %w", err)
	}
	if len(page.Items) > limit {
		page.Items = page.Items[:limit]
		last := page.Items[limit-1]
		page.Next = writeCursor(last.StartsAt, last.ID)
	}
	return page, nil
}
