package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"dangri/model"
)

// Meetings is what the secretary does while a meeting is on: show the code,
// record those without a phone, excuse, close.
type Meetings struct {
	db     *gorm.DB
	codes  codes
	boards *Boards
	url    string
	now    func() time.Time
}

// ScreenCode is what a screen shows now. It never holds a code of the future:
// the screen asks again when this one changes.
type ScreenCode struct {
	Code            string    `json:"code" doc:"小程序码的 scene，不超过 32 个字符"`
	URL             string    `json:"url" doc:"画成普通二维码的网址"`
	ChangesInMS     int64     `json:"changes_in_ms" doc:"再过多少毫秒换新码；不用管屏幕自己的时钟"`
	Digits          string    `json:"digits" doc:"扫不了码的人输入的六位数字"`
	DigitsChangesMS int64     `json:"digits_changes_in_ms"`
	OpensAt         time.Time `json:"opens_at"`
	ClosesAt        time.Time `json:"closes_at"`
}

// Code is the check-in code of a published activity, for those who conduct it.
// Any number of screens show the same code.
func (s *Meetings) Code(ctx context.Context, actor *model.Actor, id uint64) (*ScreenCode, error) {
	a, _, err := conducted(s.db.WithContext(ctx), actor, id)
	if err != nil {
		return nil, err
	}
	if err := a.Allow(model.Published); err != nil {
		return nil, err
	}
	return s.screen(a), nil
}

func (s *Meetings) screen(a *model.Activity) *ScreenCode {
	now := s.now()
	code, changes := s.codes.screen(a.ID, a.CodeEpoch, now)
	digits, digitsChange := s.codes.typed(a.ID, a.CodeEpoch, now)
	return &ScreenCode{Code: code, URL: s.url + "/c/" + code, ChangesInMS: changes.Sub(now).Milliseconds(),
		Digits: digits, DigitsChangesMS: digitsChange.Sub(now).Milliseconds(), OpensAt: a.OpensAt, ClosesAt: a.ClosesAt}
}

// NewCode makes every code shown so far worthless, on every replica at once,
// and answers with the first of the new ones.
func (s *Meetings) NewCode(ctx context.Context, actor *model.Actor, id uint64) (*ScreenCode, error) {
	a, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.Activity, error) {
		if _, _, err := conducted(tx, actor, id); err != nil {
			return nil, err
		}
		a, err := lock[model.Activity](tx, id, model.ErrActivityNotFound)
		if err != nil {
			return nil, err
		}
		if err := a.Allow(model.Published); err != nil {
			return nil, err
		}
		a.CodeEpoch++
		if err := tx.Model(a).Update("code_epoch", a.CodeEpoch).Error; err != nil {
			return nil, fmt.Errorf("new code of activity %d: %w", id, err)
		}
		return a, nil
	})
	if err != nil {
		return nil, err
	}
	s.boards.changed(ctx, id) // big screens show the new code, or are dead
	return s.screen(a), nil
}

// MemberCode is the code that a member shows to the secretary.
type MemberCode struct {
	Code   string `json:"code" doc:"画成二维码给书记扫"`
	EndsIn int64  `json:"ends_in_ms" doc:"再过多少毫秒失效"`
}

// OwnCode is the caller's own code, good for two minutes.
func (s *Meetings) OwnCode(_ context.Context, actor *model.Actor) (*MemberCode, error) {
	if actor.MemberID == 0 {
		return nil, model.ErrNotBound
	}
	now := s.now()
	code, ends := s.codes.member(actor.MemberID, now)
	return &MemberCode{Code: code, EndsIn: ends.Sub(now).Milliseconds()}, nil
}

// RecordInput is one person's attendance as the secretary knows it: by ticking
// a name or by scanning the member's own code. Exactly one of the two.
type RecordInput struct {
	MemberID   uint64                 `json:"member_id,omitempty" doc:"勾选的党员"`
	MemberCode string                 `json:"member_code,omitempty" maxLength:"64" doc:"党员出示的码"`
	Status     model.AttendanceStatus `json:"status" enum:"present,sick_leave,personal_leave,duty_leave" doc:"到会或请假的种类"`
	Reason     string                 `json:"reason,omitempty" maxLength:"100" doc:"说明，可不填"`
	Nonce      string                 `json:"nonce" minLength:"8" maxLength:"64" pattern:"^[0-9A-Za-z_-]+$" doc:"提交编号：每次登记生成一次，重试时不变"`
}

// Recorded is what is now on record for one person.
type Recorded struct {
	MemberID   uint64                 `json:"member_id"`
	Name       string                 `json:"name"`
	Status     model.AttendanceStatus `json:"status"`
	At         time.Time              `json:"at"`
	Late       bool                   `json:"late"`
	Guest      bool                   `json:"guest"`
	Provenance model.Provenance       `json:"provenance,omitempty"`
}

// Record notes that somebody is here, or on leave. A tick counts exactly as
// much as a scan; the first record of a person stands. A leave only excuses:
// a later one corrects it, and coming after all is still recorded as present.
// At a joint meeting those who conduct it may tick anybody, and those of another
// branch their own people; leaves are for the own branch alone.
func (s *Meetings) Record(ctx context.Context, actor *model.Actor, id uint64, in RecordInput) (*Recorded, error) {
	now := s.now()
	provenance, stale := model.ByTick, error(nil)
	switch {
	case (in.MemberID == 0) == (in.MemberCode == ""):
		return nil, model.BadField("member_id", "请勾选一位党员，或扫描党员出示的码")
	case in.MemberCode != "":
		shown, err := s.codes.readMember(in.MemberCode)
		if err != nil {
			return nil, err
		}
		in.MemberID, provenance, stale = shown.memberID, model.ByMemberCode, shown.freshAt(now)
	}
	once, err := recordOnce(id, in)
	if err != nil {
		return nil, err
	}
	out, err := inTx(ctx, s.db, func(tx *gorm.DB) (*Recorded, error) {
		a, all, err := holdJointly(tx, actor, id)
		if err != nil {
			return nil, err
		}
		own, err := standingOf(tx, id, in.MemberID)
		if err != nil {
			return nil, err
		}
		if own.Entry != nil {
			if err := all.mayRecord(actor, own.Entry.BranchID, in.Status == model.Present); err != nil {
				return nil, err
			}
		}
		if again, err := replayed(tx, a, in.MemberID, own, once); again != nil || err != nil {
			return again, err
		}
		if err := errors.Join(a.Allow(model.Published), stale); err != nil {
			return nil, err
		}
		if own.Entry == nil && (!a.OpenToGuests || in.Status != model.Present) {
			return nil, model.ErrNotOnRoster
		}
		branch, err := s.branchOf(tx, actor, a, in.MemberID, own, provenance)
		if err != nil {
			return nil, err
		}
		if err := all.mayRecord(actor, branch, in.Status == model.Present); err != nil {
			return nil, err
		}
		member, err := find[model.Member](tx, in.MemberID, model.ErrNotOnRoster)
		if err != nil {
			return nil, err
		}
		day := a.CheckInDay(now, s.codes.settings.Zone)
		if t := own.On(day); t != nil {
			return nil, model.ErrAlreadyCheckedIn.With("checked_in_at", t.At)
		}
		if in.Status != model.Present {
			out, err := excuse(tx, actor, a, member, in, once, now)
			if err != nil {
				return nil, err
			}
			return out, auditBy(tx, now, actor, "record_leave", "activity", id, "ok", map[string]any{"member_id": in.MemberID, "status": in.Status})
		}
		if now.Before(a.OpensAt) {
			return nil, model.ErrNotOpenYet.With("opens_at", a.OpensAt)
		}
		t := &model.Attendance{ActivityID: id, MemberID: in.MemberID, BranchID: branch, Day: day, Status: model.Present, Provenance: provenance, At: now,
			Location: model.LocationNotGiven, Guest: own.Entry == nil, RecordedBy: &actor.MemberID, Reason: cleanLine(in.Reason), Once: once}
		if err := tx.Create(t).Error; err != nil {
			return nil, fmt.Errorf("record attendance: %w", err)
		}
		return recorded(a, member, t), auditBy(tx, now, actor, "record_attendance", "activity", id, "ok",
			map[string]any{"attendance_id": t.ID, "member_id": t.MemberID, "by": t.Provenance})
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		// Somebody was quicker: the second look finds that record and says so.
		return s.Record(ctx, actor, id, in.again())
	}
	if err == nil {
		s.boards.changed(ctx, id)
	}
	return out, err
}

// recordOnce is the key of a record, the member already read from the code.
func recordOnce(id uint64, in RecordInput) (model.Once, error) {
	return onceOf(in.Nonce, []any{id, in.MemberID, in.Status, in.Reason})
}

// branchOf is the branch that the member's attendance belongs to. Numbers can
// be guessed, so a tick makes a guest only of somebody whom the actor may know
// of; anybody else shows the own code.
func (s *Meetings) branchOf(tx *gorm.DB, actor *model.Actor, a *model.Activity, memberID uint64, own *model.Standing, by model.Provenance) (uint64, error) {
	if own.Entry != nil {
		return own.Entry.BranchID, nil
	}
	line, err := lineOfMember(tx, memberID, model.DayOf(a.StartsAt, s.codes.settings.Zone))
	if err != nil {
		return 0, err
	}
	if by == model.ByTick && own.Recorded == nil && !actor.Oversees(line) {
		return 0, model.ErrNotOnRoster
	}
	return line.BranchID(), nil
}

// again is the input with the member already read from the code.
func (in RecordInput) again() RecordInput {
	in.MemberCode = ""
	return in
}

func recorded(a *model.Activity, m *model.Member, t *model.Attendance) *Recorded {
	return &Recorded{MemberID: m.ID, Name: m.Name, Status: t.Status, At: t.At, Late: t.Late(a), Guest: t.Guest, Provenance: t.Provenance}
}

// replayed is the answer that an earlier try with the same nonce got, or nil.
func replayed(tx *gorm.DB, a *model.Activity, memberID uint64, own *model.Standing, once model.Once) (*Recorded, error) {
	var t *model.Attendance
	for _, held := range own.Days {
		replay, err := held.Replays(once)
		if err != nil {
			return nil, err
		}
		if replay {
			t = held
		}
	}
	if t == nil {
		if err := refuseAnnulled(tx, a.ID, memberID, once); err != nil {
			return nil, err
		}
		leave, err := firstTry[model.Leave](tx, once, nil, "activity_id = ?", a.ID)
		if leave == nil || err != nil {
			return nil, err
		}
		t = &model.Attendance{MemberID: leave.MemberID, Status: leave.Status, At: leave.CreatedAt}
	}
	m, err := find[model.Member](tx, t.MemberID, model.ErrNotOnRoster)
	if err != nil {
		return nil, err
	}
	return recorded(a, m, t), nil
}

// excuse notes a leave; one noted before stays as the log.
func excuse(tx *gorm.DB, actor *model.Actor, a *model.Activity, m *model.Member, in RecordInput, once model.Once, now time.Time) (*Recorded, error) {
	leave := model.Leave{ActivityID: a.ID, MemberID: m.ID, Status: in.Status, Reason: cleanLine(in.Reason), RecordedBy: actor.MemberID, CreatedAt: now, Once: once}
	if err := tx.Create(&leave).Error; err != nil {
		return nil, fmt.Errorf("note leave of member %d: %w", m.ID, err)
	}
	return &Recorded{MemberID: m.ID, Name: m.Name, Status: in.Status, At: now}, nil
}

// ExemptInput leaves a member out of the count of those who should attend, or
// takes them back in.
type ExemptInput struct {
	MemberID  uint64          `json:"member_id" minimum:"1" doc:"党员"`
	Exemption model.Exemption `json:"exemption" enum:",cannot_express_will,long_abroad,in_custody,bedridden,relation_not_transferred" doc:"不计入应到的理由：空为恢复计入应到"`
	Reason    string          `json:"reason" minLength:"2" maxLength:"100" doc:"支部同意的依据"`
}

// Exempt leaves a member of the roster out of 应到, with the reason beside it;
// five kinds of members may be left out with approval of their own branch.
func (s *Meetings) Exempt(ctx context.Context, actor *model.Actor, id uint64, in ExemptInput) (*model.Tally, error) {
	now := s.now()
	out, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.Tally, error) {
		a, all, err := holdJointly(tx, actor, id)
		if err != nil {
			return nil, err
		}
		if err := a.Allow(model.Published); err != nil {
			return nil, err
		}
		own, err := standingOf(tx, id, in.MemberID)
		if err != nil {
			return nil, err
		}
		if own.Entry == nil {
			return nil, model.ErrNotOnRoster
		}
		if err := all.mayRecord(actor, own.Entry.BranchID, false); err != nil {
			return nil, err
		}
		reason, err := cleanReason(in.Reason)
		if err != nil {
			return nil, err
		}
		err = tx.Model(&model.RosterEntry{}).Where("activity_id = ? AND member_id = ?", id, in.MemberID).Updates(map[string]any{"exempt": in.Exemption, "exempt_note": reason}).Error
		if err != nil {
			return nil, fmt.Errorf("exempt member %d: %w", in.MemberID, err)
		}
		if err := auditBy(tx, now, actor, "exempt", "activity", id, "ok", map[string]any{"member_id": in.MemberID}); err != nil {
			return nil, err
		}
		seats, err := seatsAt(tx, a)
		if err != nil {
			return nil, err
		}
		t, err := all.tally(actor, a, seats, now)
		return &t, err
	})
	if err == nil {
		s.boards.changed(ctx, id)
	}
	return out, err
}

// Closing is a closed meeting in numbers.
type Closing struct {
	ClosedAt time.Time   `json:"closed_at"`
	Tally    model.Tally `json:"tally"`
	Sentence string      `json:"sentence"`
}

// Close ends the meeting: everybody on the roster is left in exactly one
// status. Who has no record gets their leave, or absent. A scan that commits
// first stands; one that comes after is refused. Closing again changes nothing.
func (s *Meetings) Close(ctx context.Context, actor *model.Actor, id uint64) (*Closing, error) {
	now := s.now()
	out, err := inTx(ctx, s.db, func(tx *gorm.DB) (*Closing, error) {
		if _, _, err := conducted(tx, actor, id); err != nil {
			return nil, err
		}
		a, err := lock[model.Activity](tx, id, model.ErrActivityNotFound)
		if err != nil {
			return nil, err
		}
		zone, open := s.codes.settings.Zone, a.Status != model.Closed
		if open {
			if err := a.CloseableAt(now); err != nil {
				return nil, err
			}
			if err := settle(tx, zone, actor, a, now); err != nil {
				return nil, err
			}
		}
		seats, err := seatsAt(tx, a)
		if err == nil && open {
			err = creditSeats(tx, zone, a, seats)
		}
		if err != nil {
			return nil, err
		}
		t := tally(a, seats, a.VotesAt(now))
		return &Closing{ClosedAt: *a.ClosedAt, Tally: t, Sentence: t.Sentence()}, nil
	})
	if err == nil {
		s.boards.changed(ctx, id)
	}
	return out, err
}

// settle closes the activity and writes a row for everyone expected who has
// none, of each day where check-in is daily. The rows' unique key lets a racing scan win.
func settle(tx *gorm.DB, zone *time.Location, actor *model.Actor, a *model.Activity, now time.Time) error {
	a.Status, a.ClosedAt, a.Version = model.Closed, &now, a.Version+1
	if err := tx.Save(a).Error; err != nil {
		return fmt.Errorf("close activity %d: %w", a.ID, err)
	}
	seats, err := seatsOf(tx, a.ID)
	if err != nil {
		return err
	}
	var rows []model.Attendance
	for i := range seats {
		if seats[i].Entry == nil {
			continue
		}
		for _, day := range a.CheckInDays(now, zone) {
			if seats[i].On(day) != nil {
				continue
			}
			t := model.Attendance{ActivityID: a.ID, MemberID: seats[i].MemberID, BranchID: seats[i].Entry.BranchID, Day: day, Status: model.Absent,
				Provenance: model.ByClosing, At: now, Location: model.LocationNotGiven, RecordedBy: &actor.MemberID}
			if l := seats[i].Leave; l != nil {
				t.Status, t.Reason = l.Status, l.Reason
			}
			rows = append(rows, t)
		}
	}
	// In the order in which arrivals are written, so that the two do not deadlock.
	slices.SortFunc(rows, func(x, y model.Attendance) int { return cmp.Compare(x.MemberID, y.MemberID) })
	if len(rows) > 0 {
		if err := tx.Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(rows, 500).Error; err != nil {
			return fmt.Errorf("settle activity %d: %w", a.ID, err)
		}
	}
	if err := withdrawReminders(tx, a.ID, string(model.Closed), now); err != nil {
		return err
	}
	return auditBy(tx, now, actor, "close_activity", "activity", a.ID, "ok", nil)
}

// RosterLine is one person on a meeting's list, by name only.
type RosterLine struct {
	MemberID   uint64                 `json:"member_id"`
	Name       string                 `json:"name"`
	Group      string                 `json:"group"`
	Branch     string                 `json:"branch,omitempty" doc:"联办的党员来自哪个支部；主办支部的不写"`
	Votes      bool                   `json:"votes"`
	Counted    bool                   `json:"counted" doc:"计入应到"`
	Exempt     model.Exemption        `json:"exempt" doc:"不计入应到的缘由；只有办理会议的人看得到"`
	Status     model.AttendanceStatus `json:"status" doc:"空为未到"`
	At         *time.Time             `json:"at"`
	Late       bool                   `json:"late"`
	Provenance model.Provenance       `json:"provenance"`
	Location   model.Location         `json:"location,omitempty" doc:"活动设了范围时：范围内、外或没有给；只供参考，不作判定"`
	Guest      bool                   `json:"guest"`
	Days       []model.Day            `json:"days,omitempty" doc:"按天签到的活动：到了哪几天"`
	LeftAt     *time.Time             `json:"left_at,omitempty" doc:"要签退的活动：最后一次签退"`
	LeftEarly  bool                   `json:"left_early,omitempty" doc:"早退"`
	Minutes    int                    `json:"minutes,omitempty" doc:"要签退的活动：签到到签退的在场分钟数"`
	Flag       model.MovementFlag     `json:"flag,omitempty" doc:"no_check_in：签退了，但没有签到的记录"`
}

// RosterPage is a part of a meeting's list, by member.
type RosterPage struct {
	Items []RosterLine `json:"items"`
	Next  string       `json:"next,omitempty" doc:"下一页的 cursor；没有就是到底了"`
}

// Roster is everyone expected and every guest, for those who oversee the
// organisation; why somebody is not counted is for those who conduct it.
// Of a joint meeting each branch sees its own people; who conducts the meeting,
// or oversees every branch, sees all. BranchID asks for one branch's. Cursor
// continues an earlier page.
func (s *Meetings) Roster(ctx context.Context, actor *model.Actor, id, branchID uint64, cursor string, limit int) (*RosterPage, error) {
	after, err := readPlace(cursor)
	if err != nil {
		return nil, err
	}
	db := s.db.WithContext(ctx)
	a, all, err := jointly(db, actor, id)
	if err != nil {
		return nil, err
	}
	p, err := all.partOf(actor, branchID)
	if err != nil {
		return nil, err
	}
	seats, err := seatsAt(db, a)
	if err != nil {
		return nil, err
	}
	seats = all.pick(p, seats)
	seats = slices.DeleteFunc(seats, func(s seat) bool { return s.MemberID <= after })
	slices.SortFunc(seats, func(x, y seat) int { return cmp.Compare(x.MemberID, y.MemberID) })
	page := &RosterPage{Items: []RosterLine{}}
	if len(seats) > limit {
		seats = seats[:limit]
		page.Next = writePlace(seats[limit-1].MemberID)
	}
	for i := range seats {
		page.Items = append(page.Items, rosterLine(a, &seats[i], all.of(seats[i].branch()), actor))
	}
	return page, nil
}

func rosterLine(a *model.Activity, s *seat, own side, actor *model.Actor) RosterLine {
	l := RosterLine{MemberID: s.MemberID, Name: s.Name, Group: s.GroupName, Status: s.Status(), Guest: s.Entry == nil}
	if s.Entry != nil {
		l.Votes, l.Counted = s.Entry.Votes, s.Entry.Exempt == model.NotExempt
		if actor.Conducts(own.line) {
			l.Exempt = s.Entry.Exempt
		}
	}
	if a.Daily {
		l.Days = s.DaysPresent()
	}
	if a.CheckOut {
		stay := s.Stay(a)
		l.LeftAt, l.LeftEarly, l.Minutes = stay.LeftAt, stay.LeftEarly, stay.Minutes
		if len(s.Moves) > 0 && l.Status != model.Present {
			l.Flag = model.NoCheckIn
		}
	}
	if own.partner != 0 {
		l.Branch = own.line[0].Name
	}
	if t := s.Recorded; t != nil {
		l.At, l.Late, l.Provenance = &t.At, t.Late(a), t.Provenance
		if a.Place.Radius > 0 {
			l.Location = t.Location
		}
	}
	return l
}
