package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Requests is what members ask and the branch decides: leave from an activity,
// and 补签, that somebody was there and was not scanned. Nobody decides about
// what they asked for themselves.
type Requests struct {
	db       *gorm.DB
	boards   *Boards
	settings Settings
	now      func() time.Time
}

// DecisionInput is the answer to a request.
type DecisionInput struct {
	Approve bool   `json:"approve" doc:"同意与否"`
	Answer  string `json:"answer,omitempty" maxLength:"100" doc:"答复，会告诉本人；可不填"`
}

// RequestView is a request as those see it who ask or decide.
type RequestView struct {
	ID            uint64                 `json:"id" doc:"在同一种里的编号"`
	Kind          string                 `json:"kind" enum:"leave,late_record" doc:"请假或补签"`
	ActivityID    uint64                 `json:"activity_id"`
	ActivityTitle string                 `json:"activity_title"`
	StartsAt      time.Time              `json:"starts_at"`
	MemberID      uint64                 `json:"member_id"`
	Name          string                 `json:"name"`
	Status        model.AttendanceStatus `json:"status,omitempty" doc:"请的是什么假"`
	CameAt        *time.Time             `json:"came_at,omitempty" doc:"补签：到会的时间"`
	Reason        string                 `json:"reason,omitempty" doc:"请假的说明，或补签的缘由"`
	State         model.RequestState     `json:"state" enum:"asked,approved,refused,withdrawn"`
	StateName     string                 `json:"state_name" doc:"可以直接显示"`
	AskedBy       string                 `json:"asked_by" doc:"谁申请的"`
	AskedAt       time.Time              `json:"asked_at"`
	DecidedBy     string                 `json:"decided_by,omitempty"`
	DecidedAt     *time.Time             `json:"decided_at"`
	Answer        string                 `json:"answer,omitempty"`
	CameAfterAll  bool                   `json:"came_after_all,omitempty" doc:"请了假，人还是到了：按到会计"`
}

// verdict is in what the decisions of leave and of 补签 differ.
type verdict[T any] struct {
	action, subject   string // in the audit
	approved, refused model.ReminderKind
	supervised        bool // whoever looks after the person's branch from above decides as well
	grant             func(tx *gorm.DB, actor *model.Actor, a *model.Activity, r *T, now time.Time) error
}

// asked is a row of one kind of request.
type asked[T any] interface {
	*T
	AsRequest() *model.Request
	Own(memberID uint64) bool
	Decide(approve bool, by uint64, answer string, now time.Time)
}

// decide takes a decision, by somebody else than who asked: what it grants is
// written, the member told and the audit kept with it, or nothing is.
func decide[T any, R asked[T]](ctx context.Context, s *Requests, actor *model.Actor, id uint64, in DecisionInput, d verdict[T]) (*T, error) {
	now := s.now()
	row, err := inTx(ctx, s.db, func(tx *gorm.DB) (*T, error) {
		r, err := find[T](tx, id, model.ErrRequestNotFound)
		if err != nil {
			return nil, err
		}
		if R(r).Own(actor.MemberID) {
			return nil, model.ErrOwnRequest
		}
		a, err := holdFor(tx, actor, R(r).AsRequest(), d.supervised)
		if err != nil {
			return nil, err
		}
		if r, err = lock[T](tx, id, model.ErrRequestNotFound); err != nil {
			return nil, err
		}
		request := R(r).AsRequest()
		if request.State != model.Asked {
			return r, decidedBefore(request.State, in.Approve)
		}
		if err := a.Allow(model.Published, model.Closed); err != nil {
			return nil, err
		}
		R(r).Decide(in.Approve, actor.MemberID, cleanLine(in.Answer), now)
		if err := tx.Save(r).Error; err != nil {
			return nil, fmt.Errorf("%s %d: %w", d.action, id, err)
		}
		kind := d.refused
		if in.Approve {
			kind = d.approved
			if err := d.grant(tx, actor, a, r, now); err != nil {
				return nil, err
			}
		}
		return r, errors.Join(notifyDecision(tx, s.settings.Sending, a, request.MemberID, kind, now),
			auditBy(tx, now, actor, d.action, d.subject, id, "ok", map[string]any{"member_id": request.MemberID, "approve": in.Approve}))
	})
	if err == nil {
		s.boards.changed(ctx, R(row).AsRequest().ActivityID)
	}
	return row, err
}

// holdFor holds the activity of a request for those who decide about it; to others
// there is no such request. Each branch answers for its own record: the branch that
// has the person on the roster decides where it meets with the host, and the host
// about everybody else. Who is not on the roster any more has nothing to ask. What
// waits for whom is the same rule in SQL, see waiting.
func holdFor(tx *gorm.DB, actor *model.Actor, r *model.Request, supervised bool) (*model.Activity, error) {
	_, all, err := jointly(tx, actor, r.ActivityID)
	if errors.Is(err, model.ErrActivityNotFound) {
		return nil, model.ErrRequestNotFound
	}
	if err != nil {
		return nil, err
	}
	own, err := standingOf(tx, r.ActivityID, r.MemberID)
	if err != nil {
		return nil, err
	}
	if own.Entry == nil {
		return nil, model.ErrRequestNotFound
	}
	if line := all.of(own.Entry.BranchID).line; !actor.Conducts(line) && !(supervised && actor.Supervises(line)) {
		return nil, model.ErrRequestNotFound
	}
	return lock[model.Activity](tx, r.ActivityID, model.ErrActivityNotFound)
}

// waiting is a query for columns of the requests q of a table, about activities a,
// that holdFor leaves to those who run the meetings of homes, see homesOfEach: of
// people at the meetings of a home, and of the home's people at others'. Each is of
// one home, COALESCE(j.branch_id, a.organisation_id). What member except asks for,
// or has asked of them, is left out: nobody decides about their own.
func waiting(columns, table string, homes []uint64, except uint64) (query string, args []any) {
	part := func(meetings, side string) string {
		return "SELECT " + columns + " FROM " + meetings + " JOIN " + table + ` q ON q.activity_id = a.id AND q.state = 'asked'
			JOIN roster_entries r ON r.activity_id = a.id AND r.member_id = q.member_id ` + side +
			" AND a.status IN ('published', 'closed') AND ? NOT IN (q.member_id, " + askedBy(table) + ")"
	}
	query = part("activities a", `LEFT JOIN joint_branches j ON j.activity_id = a.id AND j.branch_id = r.branch_id AND j.state = 'accepted'
			WHERE a.organisation_id IN ? AND j.branch_id IS NULL`) + " UNION ALL " +
		part("joint_branches j JOIN activities a ON a.id = j.activity_id", "AND r.branch_id = j.branch_id WHERE j.branch_id IN ? AND j.state = 'accepted'")
	return query, []any{homes, except, homes, except}
}

// askedBy is the column of a table of requests with who asked.
func askedBy(table string) string {
	if table == lateRecords {
		return "q.asked_by"
	}
	return "q.member_id"
}

// The tables of what is asked for.
const (
	leaveRequests = "leave_requests"
	lateRecords   = "late_records"
)

// RequestPage is a list of requests: what waits first, then the latest.
type RequestPage struct {
	Items []RequestView `json:"items" doc:"待审批的在前，最多两百条"`
}

const mostRequests = 200

// OfActivity is the leave and 补签 asked for one activity by those on its roster,
// for those who oversee its organisation; a member sees the own. At a joint meeting
// each branch sees what its own people asked; why somebody asked is for those who
// decide.
func (s *Requests) OfActivity(ctx context.Context, actor *model.Actor, activityID uint64) (*RequestPage, error) {
	db := s.db.WithContext(ctx)
	_, all, err := jointly(db, actor, activityID)
	if err != nil {
		return nil, err
	}
	var entries []model.RosterEntry
	if err := db.Select("member_id", "branch_id").Find(&entries, "activity_id = ?", activityID).Error; err != nil {
		return nil, fmt.Errorf("branches at activity %d: %w", activityID, err)
	}
	lines := make(map[uint64]model.Line, len(entries))
	for _, e := range entries {
		lines[e.MemberID] = all.of(e.BranchID).line
	}
	page, err := s.list(db, func(table string) *gorm.DB {
		return db.Table(table).Where("activity_id = ?", activityID).Order("CASE WHEN state = 'asked' THEN 0 ELSE 1 END, id DESC").Limit(mostRequests)
	})
	if err != nil {
		return nil, err
	}
	page.Items = slices.DeleteFunc(page.Items, func(v RequestView) bool {
		return v.MemberID != actor.MemberID && !actor.Oversees(lines[v.MemberID])
	})
	for i := range page.Items {
		if v := &page.Items[i]; v.MemberID != actor.MemberID && !actor.Conducts(lines[v.MemberID]) {
			v.Reason, v.Answer = "", ""
		}
	}
	return page, nil
}

// Waiting is what waits for the caller to decide, at the meetings of the
// organisations whose meetings they run and of the own people at joint ones.
func (s *Requests) Waiting(ctx context.Context, actor *model.Actor) (*RequestPage, error) {
	db := s.db.WithContext(ctx)
	homes, err := homesOfEach(db, []*model.Actor{actor})
	if err != nil {
		return nil, err
	}
	if len(homes) == 0 {
		return &RequestPage{Items: []RequestView{}}, nil
	}
	return s.list(db, func(table string) *gorm.DB {
		query, args := waiting("q.*", table, slices.Sorted(maps.Keys(homes)), actor.MemberID)
		return db.Raw(query+" ORDER BY id DESC LIMIT ?", append(args, mostRequests)...)
	})
}

// list reads both kinds by a query for the rows of a table.
func (s *Requests) list(db *gorm.DB, rows func(table string) *gorm.DB) (*RequestPage, error) {
	var leaves []model.LeaveRequest
	var records []model.LateRecord
	if err := errors.Join(rows(leaveRequests).Scan(&leaves).Error, rows(lateRecords).Scan(&records).Error); err != nil {
		return nil, fmt.Errorf("list requests: %w", err)
	}
	items, err := s.views(db, leaves, records)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(items, func(x, y RequestView) int {
		if (x.State == model.Asked) != (y.State == model.Asked) {
			if x.State == model.Asked {
				return -1
			}
			return 1
		}
		return y.AskedAt.Compare(x.AskedAt)
	})
	return &RequestPage{Items: items[:min(mostRequests, len(items))]}, nil
}

func first(views []RequestView, err error) (*RequestView, error) {
	if err != nil {
		return nil, err
	}
	return &views[0], nil
}

// views gives the rows the names that people know.
func (s *Requests) views(db *gorm.DB, leaves []model.LeaveRequest, records []model.LateRecord) ([]RequestView, error) {
	out := []RequestView{}
	var people, activityIDs []uint64
	for i := range leaves {
		r := &leaves[i]
		people, activityIDs = append(people, r.MemberID, deref(r.DecidedBy)), append(activityIDs, r.ActivityID)
	}
	for i := range records {
		r := &records[i]
		people, activityIDs = append(people, r.MemberID, r.AskedBy, deref(r.DecidedBy)), append(activityIDs, r.ActivityID)
	}
	names, err := namesOf(db, people)
	if err != nil {
		return nil, err
	}
	var activities []model.Activity
	var came []model.Attendance
	err = errors.Join(db.Select("id", "title", "starts_at").Find(&activities, "id IN ?", activityIDs).Error,
		db.Select("activity_id", "member_id").Find(&came, "activity_id IN ? AND member_id IN ? AND status = ? AND voided = 0", activityIDs, people, model.Present).Error)
	if err != nil {
		return nil, fmt.Errorf("what requests are about: %w", err)
	}
	about, present := map[uint64]model.Activity{}, map[[2]uint64]bool{}
	for _, a := range activities {
		about[a.ID] = a
	}
	for _, t := range came {
		present[[2]uint64{t.ActivityID, t.MemberID}] = true
	}
	for i := range leaves {
		r := &leaves[i]
		out = append(out, RequestView{ID: r.ID, Kind: "leave", ActivityID: r.ActivityID, MemberID: r.MemberID, Status: r.Status, Reason: r.Note, State: r.State,
			AskedBy: names[r.MemberID], AskedAt: r.AskedAt, DecidedBy: names[deref(r.DecidedBy)], DecidedAt: r.DecidedAt, Answer: r.Answer,
			CameAfterAll: r.State == model.Approved && present[[2]uint64{r.ActivityID, r.MemberID}]})
	}
	for i := range records {
		r := &records[i]
		out = append(out, RequestView{ID: r.ID, Kind: "late_record", ActivityID: r.ActivityID, MemberID: r.MemberID, CameAt: r.CameAt, Reason: r.Reason, State: r.State,
			AskedBy: names[r.AskedBy], AskedAt: r.AskedAt, DecidedBy: names[deref(r.DecidedBy)], DecidedAt: r.DecidedAt, Answer: r.Answer})
	}
	for i := range out {
		v := &out[i]
		v.ActivityTitle, v.StartsAt, v.Name, v.StateName = about[v.ActivityID].Title, about[v.ActivityID].StartsAt, names[v.MemberID], model.RequestStateNames[v.State]
	}
	return out, nil
}

// decidedBefore refuses another decision than the one that was taken.
func decidedBefore(state model.RequestState, approve bool) error {
	if approve && state == model.Approved || !approve && state == model.RequestRefused {
		return nil
	}
	return model.ErrRequestDecided
}
