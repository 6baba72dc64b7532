package service

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Home is the first screen in one answer. A whole district opens it in the same
// minute, so what everybody has on it is read for groups: whoever comes while
// one is being read rides with the next one.
type Home struct {
	db       *gorm.DB
	settings Settings
	now      func() time.Time
	screens  *groups[*model.Actor, *HomeScreen]
}

const (
	homeGroup  = 64   // the most first screens read at once
	homeQueue  = 4096 // beyond that callers are asked to come again
	homeAhead  = 30   // days
	homeComing = 12   // the most activities on one screen
	homeWork   = 6    // the most of each kind of work
)

func newHome(p Parts) *Home {
	s := &Home{db: p.DB, settings: p.Settings, now: p.Now}
	s.screens = newGroups(homeGroup, homeQueue, s.serve)
	return s
}

// HomeScreen is everything the first screen shows.
type HomeScreen struct {
	Bound    bool           `json:"bound" doc:"false 时先请用户验证手机号"`
	Name     string         `json:"name"`
	MemberID uint64         `json:"member_id,omitempty" doc:"本人的编号，如取自己的证明时用"`
	BranchID uint64         `json:"branch_id,omitempty"`
	Branch   string         `json:"branch"`
	Posts    []HomePost     `json:"posts" doc:"今天担任的职务：据此显示办理事务的页面"`
	Headline string         `json:"headline" doc:"现在最该做的一件事，一句话"`
	Offers   []HomeOffer    `json:"offers" doc:"候补到的名额，等您确认"`
	Now      []HomeActivity `json:"now" doc:"现在可以签到的"`
	Next     []HomeActivity `json:"next" doc:"接下来三十天的"`
	Year     HomeYear       `json:"year"`
	Work     []HomeWork     `json:"work" doc:"有职务的人才有：待办理的活动"`
}

// HomePost is a post that the caller holds today.
type HomePost struct {
	Kind           model.PostKind `json:"kind"`
	Name           string         `json:"name" doc:"职务，可以直接显示"`
	OrganisationID uint64         `json:"organisation_id"`
	Organisation   string         `json:"organisation"`
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
	Todo     string               `json:"todo" doc:"要做的事：publish 发布，show_code 出示签到码，close 结束，answer 答复联办邀请，decide 审批请假和补签"`
	Waiting  int                  `json:"waiting" doc:"等您审批的请假和补签，与审批列表一致"`
}

// Show is the caller's first screen.
func (s *Home) Show(ctx context.Context, actor *model.Actor) (*HomeScreen, error) {
	if actor.MemberID == 0 {
		out := newHomeScreen(actor)
		out.Headline = "请先验证手机号，确认您的党员身份"
		return out, nil
	}
	out, err := s.screens.ask(ctx, actor)
	if err != nil {
		return nil, err
	}
	out.Headline = headline(out, s.settings.Zone)
	return out, nil
}

func newHomeScreen(actor *model.Actor) *HomeScreen {
	return &HomeScreen{Bound: actor.MemberID != 0, Name: actor.Name, MemberID: actor.MemberID, BranchID: actor.BranchID, Posts: []HomePost{}, Offers: []HomeOffer{}, Now: []HomeActivity{}, Next: []HomeActivity{}, Work: []HomeWork{}}
}

// serve reads the first screens of a group.
func (s *Home) serve(ctx context.Context, group []*rider[*model.Actor, *HomeScreen]) {
	screens, err := s.read(s.db.WithContext(ctx), questions(group), s.now())
	if err != nil {
		failAll(group, err)
		return
	}
	for i, r := range group {
		r.answer(screens[i], nil)
	}
}

// read is a screen for each of the actors, in their order.
func (s *Home) read(db *gorm.DB, actors []*model.Actor, now time.Time) ([]*HomeScreen, error) {
	members := distinct(actors, func(a *model.Actor) uint64 { return a.MemberID })
	places := distinct(actors, func(a *model.Actor) uint64 { return a.BranchID })
	for _, a := range actors {
		for _, p := range a.Posts {
			places = append(places, p.OrganisationID)
		}
	}
	organisations, err := namesIn(db, "organisations", places)
	if err != nil {
		return nil, err
	}
	screens, of := make([]*HomeScreen, len(actors)), make(homeScreens, len(members))
	for i, actor := range actors {
		screens[i] = newHomeScreen(actor)
		screens[i].Branch = organisations[actor.BranchID]
		for _, p := range actor.Posts {
			screens[i].Posts = append(screens[i].Posts, HomePost{p.Kind, model.PostKindNames[p.Kind], p.OrganisationID, organisations[p.OrganisationID]})
		}
		of[actor.MemberID] = append(of[actor.MemberID], screens[i])
	}
	err = s.fillOffers(db, members, of, now)
	if err == nil {
		err = s.fillActivities(db, members, of, now)
	}
	if err == nil {
		err = s.fillYears(db, members, of, now)
	}
	if err == nil {
		err = s.fillWork(db, actors, screens, now)
	}
	return screens, err
}

// homeScreens are the screens being filled, by member: two phones of one member
// may ask at once.
type homeScreens map[uint64][]*HomeScreen

func (s *Home) fillOffers(db *gorm.DB, members []uint64, of homeScreens, now time.Time) error {
	var offers []struct {
		MemberID uint64
		HomeOffer
	}
	err := db.Table("slot_sign_ups u").Select("u.member_id, u.id AS sign_up_id, s.service_day_id, d.title, s.name AS slot, s.starts_at, u.offer_ends_at").
		Joins("JOIN service_slots s ON s.id = u.slot_id").Joins("JOIN service_days d ON d.id = s.service_day_id").
		Where("u.member_id IN ? AND u.live = ? AND u.state = ? AND u.offer_ends_at > ?", members, true, model.Offered, now).
		Order("u.offer_ends_at, u.id").Find(&offers).Error
	if err != nil {
		return fmt.Errorf("offers to %d members: %w", len(members), err)
	}
	for _, o := range offers {
		for _, out := range of[o.MemberID] {
			out.Offers = append(out.Offers, o.HomeOffer)
		}
	}
	return nil
}

func (s *Home) fillActivities(db *gorm.DB, members []uint64, of homeScreens, now time.Time) error {
	// Everybody opens this screen, so this is scanned by hand, and elsewhere here
	// Find is used and not Scan, which writes out each statement for a log. Of
	// several leaves, and of several requests, the last row holds.
	rows, err := db.Raw(`SELECT r.member_id, a.id, a.kind, a.title, a.place, a.starts_at, a.opens_at, a.closes_at, a.status, a.cancel_reason, a.check_out,
		t.status, t.at, l.status, q.state
		FROM roster_entries r
		JOIN activities a ON a.id = r.activity_id
		LEFT JOIN attendances t ON t.activity_id = r.activity_id AND t.member_id = r.member_id AND t.voided = 0 AND (t.day = '' OR t.day >= ?)
		LEFT JOIN leaves l ON l.activity_id = r.activity_id AND l.member_id = r.member_id
		LEFT JOIN leave_requests q ON q.activity_id = r.activity_id AND q.member_id = r.member_id
		WHERE r.member_id IN ? AND r.closes_at > ? AND a.status IN ? AND a.starts_at < ?
		ORDER BY a.starts_at, a.id, l.id, q.id`, model.DayOf(now, s.settings.Zone), members, now,
		[]model.ActivityStatus{model.Published, model.Cancelled}, now.AddDate(0, 0, homeAhead)).Rows()
	if err != nil {
		return fmt.Errorf("activities of %d members: %w", len(members), err)
	}
	defer rows.Close()
	coming := map[uint64][]HomeActivity{}
	for rows.Next() {
		var member uint64
		var a HomeActivity
		var came, leave *model.AttendanceStatus
		var asked *model.RequestState
		err := rows.Scan(&member, &a.ID, &a.Kind, &a.Title, &a.Place, &a.StartsAt, &a.OpensAt, &a.ClosesAt, &a.Status, &a.CancelReason, &a.CheckOut,
			&came, &a.CheckedInAt, &leave, &asked)
		if err != nil {
			return fmt.Errorf("read an activity of the first screen: %w", err)
		}
		switch {
		case came != nil:
			a.MyStatus = *came
		case leave != nil:
			a.MyStatus = *leave
		}
		if a.MyStatus != model.Present {
			a.CheckedInAt = nil
		}
		if asked != nil {
			a.MyLeave = asked.Came(a.MyStatus == model.Present)
		}
		mine := coming[member]
		if last := len(mine) - 1; last >= 0 && mine[last].ID == a.ID {
			mine[last] = a
		} else {
			coming[member] = append(mine, a)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read activities of the first screen: %w", err)
	}
	for member, mine := range coming {
		for _, out := range of[member] {
			out.take(mine[:min(len(mine), homeComing)], now)
		}
	}
	return nil
}

// take sorts the member's activities into those of now and those to come.
func (h *HomeScreen) take(mine []HomeActivity, now time.Time) {
	for _, a := range mine {
		if a.Status == model.Published && !now.Before(a.OpensAt) {
			h.Now = append(h.Now, a)
		} else {
			h.Next = append(h.Next, a)
		}
	}
}

func (s *Home) fillYears(db *gorm.DB, members []uint64, of homeScreens, now time.Time) error {
	year := now.In(s.settings.Zone).Year()
	newYear := func(year int) model.Day { return model.Day(fmt.Sprintf("%04d-01-01", year)) }
	var years []struct {
		ID       uint64
		Leader   bool
		Attended int
		Expected int
		Hours    float64
	}
	err := db.Raw("SELECT m.id, m.leader, COALESCE(SUM(c.came), 0) AS attended, COUNT(c.member_id) AS expected, COALESCE(SUM(c.hours), 0) AS hours "+
		"FROM members m LEFT JOIN credit_entries c ON c.member_id = m.id AND c.on_day >= ? AND c.on_day < ? WHERE m.id IN ? GROUP BY m.id", newYear(year), newYear(year+1), members).Find(&years).Error
	if err != nil {
		return fmt.Errorf("years of %d members: %w", len(members), err)
	}
	for _, y := range years {
		for _, out := range of[y.ID] {
			out.Year = HomeYear{y.Attended, y.Expected, y.Hours, model.CreditHoursDue(y.Leader)}
		}
	}
	return nil
}

// fillWork fills in what waits for those of the actors who run meetings.
func (s *Home) fillWork(db *gorm.DB, actors []*model.Actor, screens []*HomeScreen, now time.Time) error {
	homes, err := homesOfEach(db, actors)
	if err != nil || len(homes) == 0 {
		return err
	}
	ids := slices.Sorted(maps.Keys(homes))
	open := []model.ActivityStatus{model.Draft, model.Published}
	const columns = "a.id, a.title, a.starts_at, a.ends_at, a.status"
	query := "SELECT '' AS todo, a.organisation_id AS home, 0 AS member_id, 0 AS asked_by, " + columns + ` FROM activities a
		WHERE a.organisation_id IN ? AND a.status IN ? AND a.starts_at < ? AND a.starts_at > ?
		UNION ALL SELECT 'answer', j.branch_id, 0, 0, ` + columns + ` FROM joint_branches j JOIN activities a ON a.id = j.activity_id
		WHERE j.branch_id IN ? AND j.state = ? AND a.status IN ? AND a.starts_at > ?`
	args := []any{ids, open, now.Add(24 * time.Hour), now.AddDate(0, 0, -30), ids, model.Invited, open, now}
	for _, table := range []string{leaveRequests, lateRecords} { // of everybody: who may not decide about one is seen below
		asked, more := waiting("'decide', COALESCE(j.branch_id, a.organisation_id), q.member_id, "+askedBy(table)+", "+columns, table, ids, 0)
		query, args = query+" UNION ALL "+asked, append(args, more...)
	}
	var work []struct {
		Home, MemberID, AskedBy uint64
		HomeWork
	}
	if err := db.Raw(query+" ORDER BY todo, starts_at, id", args...).Find(&work).Error; err != nil {
		return fmt.Errorf("work of %d members: %w", len(actors), err)
	}
	answers := map[int]int{}
	for _, w := range work {
		for _, n := range homes[w.Home] {
			out := screens[n]
			at := slices.IndexFunc(out.Work, func(other HomeWork) bool { return other.ID == w.ID && (w.Todo == "decide" || w.Todo == other.Todo) })
			switch me := actors[n].MemberID; {
			case w.Todo == "":
				if len(out.Work) < homeWork {
					out.Work = append(out.Work, w.HomeWork.held(now))
				}
			case w.Todo == "answer":
				if at < 0 && answers[n] < homeWork {
					answers[n]++
					out.Work = append(out.Work, w.HomeWork)
				}
			case me == w.MemberID || me == w.AskedBy:
			case at >= 0:
				out.Work[at].Waiting++
			default:
				w.Waiting = 1
				out.Work = append(out.Work, w.HomeWork)
			}
		}
	}
	return nil
}

// held is what there is to do at one's own meeting.
func (w HomeWork) held(now time.Time) HomeWork {
	switch {
	case w.Status == model.Draft:
		w.Todo = "publish"
	case now.Before(w.EndsAt):
		w.Todo = "show_code"
	default:
		w.Todo = "close"
	}
	return w
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
