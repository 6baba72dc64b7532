package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Home is the first screen in one answer.
type Home struct {
	db       *gorm.DB
	settings Settings
	now      func() time.Time
}

// HomeScreen is everything the first screen shows.
type HomeScreen struct {
	Bound    bool           `json:"bound" doc:"false 时先请用户验证手机号"`
	Name     string         `json:"name"`
	Branch   string         `json:"branch"`
	Headline string         `json:"headline" doc:"现在最该做的一件事，一句话"`
	Offers   []HomeOffer    `json:"offers" doc:"候补到的名额，等您确认"`
	Now      []HomeActivity `json:"now" doc:"现在可以签到的"`
	Next     []HomeActivity `json:"next" doc:"接下来三十天的"`
	Year     HomeYear       `json:"year"`
	Work     []HomeWork     `json:"work" doc:"有职务的人才有：待办理的活动"`
}

// HomeActivity is one activity on the first screen, with the caller's own part.
type HomeActivity struct {
	ID           uint64                 `json:"id"`
	Kind         model.ActivityKind     `json:"kind"`
	Title        string                 `json:"title"`
	Place        string                 `json:"place"`
	StartsAt     time.Time              `json:"starts_at"`
	OpensAt      time.Time              `json:"opens_at"`
	ClosesAt     time.Time              `json:"closes_at"`
	Status       model.ActivityStatus   `json:"status"`
	CancelReason string                 `json:"cancel_reason,omitempty"`
	MyStatus     model.AttendanceStatus `json:"my_status" doc:"空为未到"`
	CheckedInAt  *time.Time             `json:"checked_in_at"`
	CheckOut     bool                   `json:"check_out" doc:"离开时要签退"`
	MyLeave      model.RequestState     `json:"my_leave" enum:",asked,approved,refused,withdrawn,came" doc:"本人请假的状态，空为没有请假；came：请了假，人还是到了"`
}

// HomeOffer is a seat in a service slot that is kept for the caller. It stands
// here too because a message may not reach them.
type HomeOffer struct {
	SignUpID     uint64    `json:"sign_up_id"`
	ServiceDayID uint64    `json:"service_day_id"`
	Title        string    `json:"title"`
	Slot         string    `json:"slot" doc:"岗位"`
	StartsAt     time.Time `json:"starts_at"`
	OfferEndsAt  time.Time `json:"offer_ends_at" doc:"请在这之前确认"`
}

// HomeYear is the caller's year so far, by closed activities.
type HomeYear struct {
	Attended    int     `json:"attended" doc:"到会次数"`
	Expected    int     `json:"expected" doc:"应到次数"`
	CreditHours float64 `json:"credit_hours" doc:"学时"`
	CreditDue   float64 `json:"credit_due" doc:"全年应满的学时：班子成员 56，党员 32"`
}

// HomeWork is one activity that waits for the caller as secretary.
type HomeWork struct {
	ID       uint64               `json:"id"`
	Title    string               `json:"title"`
	StartsAt time.Time            `json:"starts_at"`
	EndsAt   time.Time            `json:"ends_at"`
	Status   model.ActivityStatus `json:"status"`
	Todo     string               `json:"todo" doc:"要做的事：publish 发布，show_code 出示签到码，close 结束，answer 答复联办邀请"`
	Waiting  int                  `json:"waiting" doc:"等待审批的请假和补签"`
}

// Show is the caller's first screen.
func (s *Home) Show(ctx context.Context, actor *model.Actor) (*HomeScreen, error) {
	out := &HomeScreen{Bound: actor.MemberID != 0, Name: actor.Name, Offers: []HomeOffer{}, Now: []HomeActivity{}, Next: []HomeActivity{}, Work: []HomeWork{}}
	if !out.Bound {
		out.Headline = "请先验证手机号，确认您的党员身份"
		return out, nil
	}
	db, now := s.db.WithContext(ctx), s.now()
	var me struct {
		Branch string
		Leader bool
		Offers int
	}
	// Few have an offer: who has none pays no further query for it.
	err := db.Table("members m").Select("m.leader, COALESCE(o.name, '') AS branch, "+
		"(SELECT COUNT(*) FROM slot_sign_ups u WHERE u.member_id = m.id AND u.live = ? AND u.state = ?) AS offers", true, model.Offered).
		Joins("LEFT JOIN organisations o ON o.id = ?", actor.BranchID).Where("m.id = ?", actor.MemberID).Scan(&me).Error
	if err != nil {
		return nil, fmt.Errorf("home of member %d: %w", actor.MemberID, err)
	}
	out.Branch = me.Branch
	if me.Offers > 0 {
		if err := s.fillOffers(db, actor, out, now); err != nil {
			return nil, err
		}
	}
	if err := s.fillActivities(db, actor, out, now); err != nil {
		return nil, err
	}
	if err := s.fillYear(db, actor, out, me.Leader, now); err != nil {
		return nil, err
	}
	if err := s.fillWork(db, actor, out, now); err != nil {
		return nil, err
	}
	out.Headline = headline(out, s.settings.Zone)
	return out, nil
}

func (s *Home) fillOffers(db *gorm.DB, actor *model.Actor, out *HomeScreen, now time.Time) error {
	err := db.Table("slot_sign_ups u").Select("u.id AS sign_up_id, s.service_day_id, d.title, s.name AS slot, s.starts_at, u.offer_ends_at").
		Joins("JOIN service_slots s ON s.id = u.slot_id").Joins("JOIN service_days d ON d.id = s.service_day_id").
		Where("u.member_id = ? AND u.live = ? AND u.state = ? AND u.offer_ends_at > ?", actor.MemberID, true, model.Offered, now).
		Order("u.offer_ends_at, u.id").Scan(&out.Offers).Error
	if err != nil {
		return fmt.Errorf("offers to member %d: %w", actor.MemberID, err)
	}
	return nil
}

func (s *Home) fillActivities(db *gorm.DB, actor *model.Actor, out *HomeScreen, now time.Time) error {
	var rows []HomeActivity
	err := db.Table("roster_entries r").
		Select("a.id, a.kind, a.title, a.place, a.starts_at, a.opens_at, a.closes_at, a.status, a.cancel_reason, COALESCE(t.status, l.status, '') AS my_status, t.at AS checked_in_at, a.check_out, COALESCE(q.state, '') AS my_leave").
		Joins("JOIN activities a ON a.id = r.activity_id").
		Joins("LEFT JOIN attendances t ON t.activity_id = r.activity_id AND t.member_id = r.member_id AND t.voided = 0 AND (t.day = '' OR t.day >= ?)",
			model.DayOf(now, s.settings.Zone)).
		Joins("LEFT JOIN leaves l ON l.id = (SELECT MAX(last.id) FROM leaves last WHERE last.activity_id = r.activity_id AND last.member_id = r.member_id)").
		Joins("LEFT JOIN leave_requests q ON q.id = (SELECT MAX(asked.id) FROM leave_requests asked WHERE asked.activity_id = r.activity_id AND asked.member_id = r.member_id)").
		Where("r.member_id = ? AND r.closes_at > ? AND a.status IN ? AND a.starts_at < ?",
			actor.MemberID, now, []model.ActivityStatus{model.Published, model.Cancelled}, now.AddDate(0, 0, 30)).
		Order("a.starts_at, a.id").Limit(12).Scan(&rows).Error
	if err != nil {
		return fmt.Errorf("activities of member %d: %w", actor.MemberID, err)
	}
	for _, a := range rows {
		if a.MyStatus != model.Present {
			a.CheckedInAt = nil
		}
		a.MyLeave = a.MyLeave.Came(a.MyStatus == model.Present)
		if a.Status == model.Published && !now.Before(a.OpensAt) {
			out.Now = append(out.Now, a)
		} else {
			out.Next = append(out.Next, a)
		}
	}
	return nil
}

func (s *Home) fillYear(db *gorm.DB, actor *model.Actor, out *HomeScreen, leader bool, now time.Time) error {
	local := now.In(s.settings.Zone)
	newYear := time.Date(local.Year(), 1, 1, 0, 0, 0, 0, s.settings.Zone).UTC()
	var year struct {
		HomeYear
		Stays int
	}
	days := db.Table("attendances t").
		Select("t.activity_id, MAX(t.status = 'present') AS came, MAX(r.exempt IS NULL OR r.exempt = '') AS due, MAX(a.credit_hours) AS hours, MAX(t.status = 'present' AND a.check_out = 1) AS stays").
		Joins("JOIN activities a ON a.id = t.activity_id").
		Joins("LEFT JOIN roster_entries r ON r.activity_id = t.activity_id AND r.member_id = t.member_id").
		Where("t.member_id = ? AND t.voided = 0 AND a.starts_at >= ? AND t.guest = ? AND a.status = ?", actor.MemberID, newYear, false, model.Closed).
		Group("t.activity_id")
	err := db.Table("(?) y", days).
		Select("COALESCE(SUM(y.came), 0) AS attended, COALESCE(SUM(y.came = 1 OR y.due = 1), 0) AS expected, COALESCE(SUM(CASE WHEN y.came = 1 AND y.stays = 0 THEN y.hours ELSE 0 END), 0) AS credit_hours, COALESCE(SUM(y.stays), 0) AS stays").
		Scan(&year).Error
	if err != nil {
		return fmt.Errorf("year of member %d: %w", actor.MemberID, err)
	}
	out.Year = year.HomeYear
	if year.Stays > 0 {
		stayed, err := stayedHours(db, actor.MemberID, newYear)
		if err != nil {
			return err
		}
		for _, hours := range stayed {
			out.Year.CreditHours += hours
		}
	}
	out.Year.CreditDue = model.CreditHoursDue(leader)
	return nil
}

// stayedHours is the credit hours, by activity, of those that ask for checking
// out: in and out have to be on record, and the time between them long enough.
func stayedHours(db *gorm.DB, memberID uint64, since time.Time) (map[uint64]float64, error) {
	var activities []model.Activity
	var rows []model.Attendance
	var moves []model.Movement
	err := db.Where("check_out = ? AND status = ? AND starts_at >= ? AND id IN (?)", true, model.Closed, since,
		db.Model(&model.Attendance{}).Select("activity_id").Where("member_id = ? AND voided = 0 AND guest = ?", memberID, false)).Find(&activities).Error
	if err == nil {
		ids := make([]uint64, len(activities))
		for i := range activities {
			ids[i] = activities[i].ID
		}
		mine := func() *gorm.DB { return db.Where("member_id = ? AND activity_id IN ?", memberID, ids).Order("id") }
		err = errors.Join(mine().Where("voided = 0").Find(&rows).Error, mine().Find(&moves).Error)
	}
	if err != nil {
		return nil, fmt.Errorf("stays of member %d: %w", memberID, err)
	}
	own := map[uint64]*model.Standing{}
	for i := range activities {
		own[activities[i].ID] = new(model.Standing)
	}
	for i := range rows {
		own[rows[i].ActivityID].Take(&rows[i])
	}
	for _, m := range moves {
		own[m.ActivityID].Moves = append(own[m.ActivityID].Moves, m)
	}
	hours := map[uint64]float64{}
	for i := range activities {
		if own[activities[i].ID].Stay(&activities[i]).Earned(&activities[i]) {
			hours[activities[i].ID] = activities[i].CreditHours
		}
	}
	return hours, nil
}

func (s *Home) fillWork(db *gorm.DB, actor *model.Actor, out *HomeScreen, now time.Time) error {
	if !slices.ContainsFunc(actor.Posts, func(p model.Post) bool { return p.Kind.Conducts() }) {
		return nil
	}
	err := db.Model(&model.Activity{}).Select("id, title, starts_at, ends_at, status, "+
		"(SELECT COUNT(*) FROM leave_requests q WHERE q.activity_id = activities.id AND q.state = ?) + "+
		"(SELECT COUNT(*) FROM late_records q WHERE q.activity_id = activities.id AND q.state = ?) AS waiting", model.Asked, model.Asked).
		Where("organisation_id IN (?) AND status IN ? AND starts_at < ? AND starts_at > ?", homesOf(db, actor),
			[]model.ActivityStatus{model.Draft, model.Published}, now.Add(24*time.Hour), now.AddDate(0, 0, -30)).
		Order("starts_at, id").Limit(6).Scan(&out.Work).Error
	if err != nil {
		return fmt.Errorf("work of member %d: %w", actor.MemberID, err)
	}
	var invited []HomeWork
	err = db.Table("activities a").Select("a.id, a.title, a.starts_at, a.ends_at, a.status, 'answer' AS todo").
		Joins("JOIN joint_branches j ON j.activity_id = a.id AND j.state = ?", model.Invited).
		Where("j.branch_id IN (?) AND a.status IN ? AND a.starts_at > ?", homesOf(db, actor), []model.ActivityStatus{model.Draft, model.Published}, now).
		Order("a.starts_at, a.id").Limit(6).Scan(&invited).Error
	if err != nil {
		return fmt.Errorf("invitations of member %d: %w", actor.MemberID, err)
	}
	for i := range out.Work {
		w := &out.Work[i]
		switch {
		case w.Status == model.Draft:
			w.Todo = "publish"
		case now.Before(w.EndsAt):
			w.Todo = "show_code"
		default:
			w.Todo = "close"
		}
	}
	out.Work = append(out.Work, invited...)
	return nil
}

// headline is the one thing to do now, in words for everybody.
func headline(h *HomeScreen, zone *time.Location) string {
	for _, a := range h.Now {
		if a.MyStatus == "" {
			return "“" + a.Title + "”正在签到，请扫会场屏幕上的码"
		}
	}
	if len(h.Offers) > 0 {
		o := h.Offers[0]
		return "“" + o.Title + "”有一个名额为您保留，请在 " + o.OfferEndsAt.In(zone).Format("1月2日 15:04") + " 前确认"
	}
	for _, a := range h.Now {
		if a.MyStatus == model.Present {
			return "您已签到“" + a.Title + "”"
		}
	}
	switch {
	case len(h.Next) == 0:
		return "近期没有需要您参加的活动"
	case h.Next[0].Status == model.Cancelled:
		return "“" + h.Next[0].Title + "”已取消"
	}
	return "下一次活动：“" + h.Next[0].Title + "”"
}
