package service

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Presences is who is there on the service day: by the community's
// rotating code or by the liaison's tick, which counts as much.
type Presences struct {
	db       *gorm.DB
	codes    codes
	checkIns *CheckIns // counts wrong codes
	settings Settings
	now      func() time.Time
}

// ServiceCode is what the community's screen shows now: never a code of the future.
type ServiceCode struct {
	Code        string `json:"code" doc:"小程序码的 scene，不超过 32 个字符"`
	URL         string `json:"url" doc:"画成普通二维码的网址"`
	ChangesInMS int64  `json:"changes_in_ms" doc:"再过多少毫秒换新码；不用管屏幕自己的时钟"`
}

// Code is the code of a published service day, for those who run it. One code
// serves arriving and leaving.
func (s *Presences) Code(ctx context.Context, actor *model.Actor, dayID uint64) (*ServiceCode, error) {
	d, _, err := liaised(s.db.WithContext(ctx), actor, dayID)
	if err != nil {
		return nil, err
	}
	if err := d.Allow(model.Published); err != nil {
		return nil, err
	}
	return s.screen(d), nil
}

func (s *Presences) screen(d *model.ServiceDay) *ServiceCode {
	now := s.now()
	code, changes := s.codes.service(d.ID, d.CodeEpoch, now)
	return &ServiceCode{Code: code, URL: s.settings.PublicURL + "/s/" + code, ChangesInMS: changes.Sub(now).Milliseconds()}
}

// NewCode makes every code shown so far worthless, on every replica at once.
func (s *Presences) NewCode(ctx context.Context, actor *model.Actor, dayID uint64) (*ServiceCode, error) {
	d, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.ServiceDay, error) {
		if _, _, err := liaised(tx, actor, dayID); err != nil {
			return nil, err
		}
		d, err := lock[model.ServiceDay](tx, dayID, model.ErrServiceDayNotFound)
		if err != nil {
			return nil, err
		}
		if err := d.Allow(model.Published); err != nil {
			return nil, err
		}
		d.CodeEpoch++
		if err := tx.Model(d).Update("code_epoch", d.CodeEpoch).Error; err != nil {
			return nil, fmt.Errorf("new code of service day %d: %w", dayID, err)
		}
		return d, nil
	})
	if err != nil {
		return nil, err
	}
	return s.screen(d), nil
}

// ServiceScan is what a phone sends after scanning the community's code.
type ServiceScan struct {
	Code string `json:"code" maxLength:"64" doc:"扫到的内容（小程序码的 scene，或二维码网址的最后一段）"`
}

// ServiceLeave is a scan on leaving.
type ServiceLeave struct {
	ServiceScan
	Anyway bool `json:"anyway,omitempty" doc:"已知道现在离开不计时长，仍要离开"`
}

// ServicePresence is a member's presence on record.
type ServicePresence struct {
	Code       string                `json:"code" enum:"ok" doc:"总是 ok"`
	Message    string                `json:"message" doc:"可以直接显示的话"`
	SignUpID   uint64                `json:"sign_up_id"`
	Title      string                `json:"title"`
	Slot       string                `json:"slot"`
	ArrivedAt  time.Time             `json:"arrived_at" doc:"以服务器时间为准，第一次为准"`
	LeftAt     *time.Time            `json:"left_at" doc:"最后一次为准"`
	CountsFrom time.Time             `json:"counts_from" doc:"待到这个时间之后离开才计服务时长"`
	Minutes    int                   `json:"minutes" doc:"签退后记下的分钟数"`
	Provenance model.HoursProvenance `json:"provenance,omitempty" doc:"时长的来源，签退后才有"`
}

// Arrive checks the caller in at the slot in which they have a seat. Scanning
// again answers with the first time.
func (s *Presences) Arrive(ctx context.Context, actor *model.Actor, in ServiceScan) (*ServicePresence, error) {
	return s.scanned(ctx, actor, in.Code, false, func(tx *gorm.DB, p *presence, now time.Time) error {
		again, err := p.Arrive(&p.day, &p.slot, now)
		if err != nil || again {
			return err
		}
		p.ArrivedAt, p.ArrivedBy = &now, model.ByScan
		return keepSignUp(tx, &p.SlotSignUp)
	})
}

// Leave checks the caller out, and enters the hours that both scans prove in
// the ledger. Leaving too early for any is refused once, with the moment from
// which they count. Scanning again later moves the end.
func (s *Presences) Leave(ctx context.Context, actor *model.Actor, in ServiceLeave) (*ServicePresence, error) {
	return s.scanned(ctx, actor, in.Code, true, func(tx *gorm.DB, p *presence, now time.Time) error {
		if err := p.Depart(&p.day, &p.slot, in.Anyway, now); err != nil {
			return err
		}
		return s.leave(tx, p, model.ByScan, 0, now)
	})
}

// leave notes the end of a presence and what it is worth.
func (s *Presences) leave(tx *gorm.DB, p *presence, by model.Provenance, enteredBy uint64, now time.Time) error {
	p.LeftAt, p.LeftBy = &now, by
	if err := keepSignUp(tx, &p.SlotSignUp); err != nil {
		return err
	}
	minutes, provenance := p.Served(&p.day, &p.slot)
	return setHours(tx, s.settings.Zone, &p.SlotSignUp, &p.slot, ledgerEntry{provenance, minutes, "", enteredBy}, now)
}

// presence is a sign-up, held, with its slot and day.
type presence struct {
	model.SlotSignUp
	slot model.ServiceSlot
	day  model.ServiceDay
}

// scanned proves the code and acts on the caller's seat of that day.
func (s *Presences) scanned(ctx context.Context, actor *model.Actor, code string, leaving bool, act func(*gorm.DB, *presence, time.Time) error) (*ServicePresence, error) {
	now := s.now()
	scan, err := s.codes.readService(code)
	if err != nil {
		return nil, s.checkIns.wrongCode(ctx, actor, err)
	}
	return inTx(ctx, s.db, func(tx *gorm.DB) (*ServicePresence, error) {
		d, err := find[model.ServiceDay](tx, scan.id, model.ErrCodeInvalid)
		if err != nil {
			return nil, err
		}
		if err := d.Allow(model.Published); err != nil {
			return nil, err
		}
		if err := s.codes.freshAt(scan, d.CodeEpoch, now); err != nil {
			return nil, err
		}
		p, err := ownSeat(tx, d, actor.MemberID, leaving, now)
		if err != nil {
			return nil, err
		}
		if err := act(tx, p, now); err != nil {
			return nil, err
		}
		return p.show(), nil
	})
}

// ownSeat is the member's seat of the day that a scan is about, held until the
// transaction ends.
func ownSeat(tx *gorm.DB, d *model.ServiceDay, memberID uint64, leaving bool, now time.Time) (*presence, error) {
	slots, err := slotsOf(tx, d.ID)
	if err != nil {
		return nil, err
	}
	byID := make(map[uint64]model.ServiceSlot, len(slots))
	ids := make([]uint64, len(slots))
	for i := range slots {
		byID[slots[i].ID], ids[i] = slots[i], slots[i].ID
	}
	var rows []model.SlotSignUp
	if err := tx.Clauses(forUpdate).Order("id").Find(&rows, "member_id = ? AND slot_id IN ? AND state = ?", memberID, ids, model.Seated).Error; err != nil {
		return nil, fmt.Errorf("seats of member %d: %w", memberID, err)
	}
	seats := make([]model.SeatFacts, len(rows))
	for i := range rows {
		seats[i] = model.SeatFacts{SignUp: rows[i], Slot: byID[rows[i].SlotID], Day: *d}
	}
	at := model.SeatAt(seats, leaving, now)
	if at < 0 {
		return nil, model.ErrSignUpRequired
	}
	return &presence{SlotSignUp: rows[at], slot: seats[at].Slot, day: *d}, nil
}

func (p *presence) show() *ServicePresence {
	out := &ServicePresence{Code: "ok", Message: "已签到", SignUpID: p.ID, Title: p.day.Title, Slot: p.slot.Name, ArrivedAt: *p.ArrivedAt,
		LeftAt: p.LeftAt, CountsFrom: p.CountsFrom(&p.day, &p.slot)}
	if p.LeftAt != nil {
		out.Minutes, out.Provenance = p.Served(&p.day, &p.slot)
		out.Message = fmt.Sprintf("已签退，服务 %d 分钟", out.Minutes)
	}
	return out
}

// TickInput is who the liaison sees arriving or leaving.
type TickInput struct {
	SignUpIDs []uint64 `json:"sign_up_ids" minItems:"1" maxItems:"200" doc:"报名"`
	Act       string   `json:"act" enum:"arrive,leave" doc:"到还是走：arrive 到了，leave 走了"`
}

// Tick notes people of a service day as arrived or left now, as who runs it
// sees them. A tick counts exactly as much as a scan; who is there already, or
// has left, stays as recorded.
func (s *Presences) Tick(ctx context.Context, actor *model.Actor, dayID uint64, in TickInput) ([]ServicePresence, error) {
	now := s.now()
	return inTx(ctx, s.db, func(tx *gorm.DB) ([]ServicePresence, error) {
		d, _, err := liaised(tx, actor, dayID)
		if err != nil {
			return nil, err
		}
		all, err := presencesOf(tx, d)
		if err != nil {
			return nil, err
		}
		out := make([]ServicePresence, 0, len(in.SignUpIDs))
		for _, id := range in.SignUpIDs {
			p := all[id]
			if p == nil {
				return nil, model.ErrSignUpNotFound.With("sign_up_id", id)
			}
			if err := s.tick(tx, actor, p, in.Act, now); err != nil {
				return nil, err
			}
			out = append(out, *p.show())
		}
		return out, auditBy(tx, now, actor, "tick_service", "service_day", dayID, "ok", map[string]any{"act": in.Act, "sign_ups": in.SignUpIDs})
	})
}

func (s *Presences) tick(tx *gorm.DB, actor *model.Actor, p *presence, act string, now time.Time) error {
	if act == "arrive" {
		again, err := p.Arrive(&p.day, &p.slot, now)
		if err != nil || again {
			return err
		}
		p.ArrivedAt, p.ArrivedBy = &now, model.ByTick
		return keepSignUp(tx, &p.SlotSignUp)
	}
	if p.LeftAt != nil {
		return nil
	}
	if err := p.Depart(&p.day, &p.slot, true, now); err != nil {
		return err
	}
	return s.leave(tx, p, model.ByTick, actor.MemberID, now)
}

// presencesOf is every seat of a service day by its number, held in order.
func presencesOf(tx *gorm.DB, d *model.ServiceDay) (map[uint64]*presence, error) {
	slots, err := slotsOf(tx, d.ID)
	if err != nil {
		return nil, err
	}
	ids := make([]uint64, len(slots))
	byID := map[uint64]model.ServiceSlot{}
	for i := range slots {
		ids[i], byID[slots[i].ID] = slots[i].ID, slots[i]
	}
	var rows []model.SlotSignUp
	if err := tx.Clauses(forUpdate).Order("id").Find(&rows, "slot_id IN ? AND state = ?", ids, model.Seated).Error; err != nil {
		return nil, fmt.Errorf("seats of service day %d: %w", d.ID, err)
	}
	all := make(map[uint64]*presence, len(rows))
	for i := range rows {
		all[rows[i].ID] = &presence{SlotSignUp: rows[i], slot: byID[rows[i].SlotID], day: *d}
	}
	return all, nil
}
