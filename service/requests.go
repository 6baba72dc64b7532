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

// LeaveInput is a member asking leave.
type LeaveInput struct {
	Status model.AttendanceStatus `json:"status" enum:"sick_leave,personal_leave,duty_leave" doc:"病假、事假、公假"`
	Note   string                 `json:"note,omitempty" maxLength:"100" doc:"说明，可不填"`
	Nonce  string                 `json:"nonce" minLength:"8" maxLength:"64" pattern:"^[0-9A-Za-z_-]+$" doc:"每次申请生成一次，重试时不变"`
}

// LateRecordInput is 补签: the caller, or a member for whom the caller asks,
// was there.
type LateRecordInput struct {
	MemberID uint64     `json:"member_id,omitempty" maximum:"9007199254740991" doc:"书记替谁申请；本人申请不用给"`
	CameAt   *time.Time `json:"came_at,omitempty" doc:"到会的时间，记不清可不给"`
	Reason   string     `json:"reason" minLength:"2" maxLength:"100" doc:"当时为什么没有签上"`
	Nonce    string     `json:"nonce" minLength:"8" maxLength:"64" pattern:"^[0-9A-Za-z_-]+$" doc:"每次申请生成一次，重试时不变"`
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

// AskLeave asks leave for the caller from an activity that is not closed: they
// are on its roster and have not come. One request of a person is open at a
// time; a retry answers with the first. Refused as leave_asked while another is.
func (s *Requests) AskLeave(ctx context.Context, actor *model.Actor, activityID uint64, in LeaveInput) (*RequestView, error) {
	now := s.now()
	once, err := onceOf(in.Nonce, []any{activityID, in})
	if err != nil {
		return nil, err
	}
	row, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.LeaveRequest, error) {
		if _, _, _, err := seen(tx, actor, activityID); err != nil {
			return nil, err
		}
		a, err := lock[model.Activity](tx, activityID, model.ErrActivityNotFound)
		if err != nil {
			return nil, err
		}
		if first, err := firstTry[model.LeaveRequest](tx, once, nil, "member_id = ?", actor.MemberID); first != nil || err != nil {
			return first, err
		}
		own, err := standingOf(tx, activityID, actor.MemberID)
		if err != nil {
			return nil, err
		}
		switch {
		case own.Entry == nil:
			return nil, model.ErrNotOnRoster
		case own.Recorded != nil && own.Recorded.Status == model.Present:
			return nil, model.ErrAlreadyCheckedIn.With("checked_in_at", own.Recorded.At)
		}
		if err := a.Allow(model.Published); err != nil {
			return nil, err
		}
		live := true
		row := &model.LeaveRequest{Status: in.Status, Note: cleanLine(in.Note), Request: model.Request{ActivityID: activityID, MemberID: actor.MemberID,
			BranchID: own.Entry.BranchID, Live: &live, State: model.Asked, AskedAt: now, Once: once}}
		if err := tx.Create(row).Error; err != nil {
			return nil, fmt.Errorf("ask leave: %w", err)
		}
		return row, askDeciders(tx, s.settings.Sending, a, asker{row.MemberID, actor.MemberID, row.BranchID}, now)
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		// The open request, or the first try with the nonce, came in between.
		row, err = firstTry[model.LeaveRequest](s.db.WithContext(ctx), once, model.ErrLeaveAsked, "member_id = ?", actor.MemberID)
	}
	if err != nil {
		return nil, err
	}
	return s.leave(ctx, row)
}

// DecideLeave approves or refuses a leave, by whoever conducts the activity and
// is not the member; at a joint meeting each branch decides about its own people
// alone. An approved leave excuses from then on, also where the meeting was closed
// meanwhile and the member is down as absent. Deciding the same again changes
// nothing.
func (s *Requests) DecideLeave(ctx context.Context, actor *model.Actor, id uint64, in DecisionInput) (*RequestView, error) {
	row, err := decide(ctx, s, actor, id, in, verdict[model.LeaveRequest]{
		action: "decide_leave", subject: "leave_request", approved: model.LeaveApproved, refused: model.LeaveRefused, grant: s.excuse})
	if err != nil {
		return nil, err
	}
	return s.leave(ctx, row)
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

// excuse writes an approved leave into the log, and in place of every absence
// that is on record: of each day where check-in is daily. A day on which the
// member came all the same stays.
func (s *Requests) excuse(tx *gorm.DB, actor *model.Actor, a *model.Activity, r *model.LeaveRequest, now time.Time) error {
	leave := model.Leave{ActivityID: a.ID, MemberID: r.MemberID, Status: r.Status, Reason: r.Note, RecordedBy: actor.MemberID, CreatedAt: now,
		Once: model.Once{Nonce: leaveNonce(r)}}
	if err := tx.Create(&leave).Error; err != nil {
		return fmt.Errorf("note leave of member %d: %w", r.MemberID, err)
	}
	own, err := standingOf(tx, a.ID, r.MemberID)
	if err != nil {
		return err
	}
	for _, held := range own.Days {
		if held.Status != model.Absent {
			continue
		}
		row := &model.Attendance{MemberID: r.MemberID, Day: held.Day, Status: r.Status, Provenance: model.ByCorrection, At: now, Reason: r.Note}
		if err := replaceAttendance(tx, s.settings.Zone, actor, a, row, "会后批准请假", now); err != nil {
			return err
		}
	}
	return nil
}

// leaveNonce is that of the leave which the request brought. No phone makes one
// with a colon.
func leaveNonce(r *model.LeaveRequest) string { return fmt.Sprintf("request:%d", r.ID) }

// WithdrawLeave is 销假: the member takes the own request back, approved or not,
// until the meeting is closed. Withdrawing again changes nothing.
func (s *Requests) WithdrawLeave(ctx context.Context, actor *model.Actor, id uint64) (*RequestView, error) {
	now := s.now()
	row, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.LeaveRequest, error) {
		r, err := find[model.LeaveRequest](tx, id, model.ErrRequestNotFound)
		if err != nil {
			return nil, err
		}
		if r.MemberID != actor.MemberID {
			return nil, model.ErrRequestNotFound
		}
		a, err := lock[model.Activity](tx, r.ActivityID, model.ErrActivityNotFound)
		if err != nil {
			return nil, err
		}
		if r, err = lock[model.LeaveRequest](tx, id, model.ErrRequestNotFound); err != nil || r.State == model.RequestWithdrawn {
			return r, err
		}
		if r.State == model.RequestRefused {
			return nil, model.ErrRequestDecided
		}
		if err := a.Allow(model.Published); err != nil {
			return nil, err
		}
		approved := r.State == model.Approved
		r.State, r.Live, r.WithdrawnAt = model.RequestWithdrawn, nil, &now
		if err := tx.Save(r).Error; err != nil {
			return nil, fmt.Errorf("withdraw leave %d: %w", id, err)
		}
		if err := auditBy(tx, now, actor, "withdraw_leave", "leave_request", id, "ok", nil); err != nil {
			return nil, err
		}
		if err := releaseDeciders(tx, s.settings.Sending, a, now); err != nil || !approved {
			return r, err
		}
		own, err := standingOf(tx, a.ID, r.MemberID)
		if err != nil || own.Leave == nil || own.Leave.Nonce != leaveNonce(r) {
			return r, err // what the secretary recorded meanwhile is not the member's to end
		}
		back := model.Leave{ActivityID: a.ID, MemberID: r.MemberID, Reason: "本人销假", RecordedBy: actor.MemberID, CreatedAt: now,
			Once: model.Once{Nonce: leaveNonce(r) + ":back"}}
		if err := tx.Create(&back).Error; err != nil {
			return nil, fmt.Errorf("take back leave of member %d: %w", r.MemberID, err)
		}
		return r, nil
	})
	if err != nil {
		return nil, err
	}
	s.boards.changed(ctx, row.ActivityID)
	return s.leave(ctx, row)
}

// AskLateRecord asks for a 补签, by the member or by whoever conducts the
// activity, or the member's branch, for somebody on its roster: from the end of
// the check-in on, for so many days after the meeting as the installation says
// (seven).
func (s *Requests) AskLateRecord(ctx context.Context, actor *model.Actor, activityID uint64, in LateRecordInput) (*RequestView, error) {
	now := s.now()
	once, err := onceOf(in.Nonce, []any{activityID, in})
	if err != nil {
		return nil, err
	}
	reason, err := cleanReason(in.Reason)
	if err != nil {
		return nil, err
	}
	if in.MemberID == 0 {
		in.MemberID = actor.MemberID
	}
	row, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.LateRecord, error) {
		_, all, err := jointly(tx, actor, activityID)
		if err != nil {
			return nil, err
		}
		a, err := lock[model.Activity](tx, activityID, model.ErrActivityNotFound)
		if err != nil {
			return nil, err
		}
		if first, err := firstTry[model.LateRecord](tx, once, nil, "asked_by = ?", actor.MemberID); first != nil || err != nil {
			return first, err
		}
		own, err := standingOf(tx, activityID, in.MemberID)
		if err != nil {
			return nil, err
		}
		branch := a.OrganisationID
		if own.Entry != nil {
			branch = own.Entry.BranchID
		}
		switch self := in.MemberID == actor.MemberID; {
		case !self && all.mayRecord(actor, branch, true) != nil:
			return nil, model.ErrNotConductor
		case own.Entry == nil:
			return nil, model.ErrNotOnRoster
		}
		if t := own.On(lateRecordDay(a, in.CameAt, s.settings.Zone)); t != nil && t.Status == model.Present {
			return nil, model.ErrAlreadyCheckedIn.With("checked_in_at", t.At)
		}
		if err := a.LateRecordAt(s.settings.LateRecordDays, now); err != nil {
			return nil, err
		}
		live := true
		row := &model.LateRecord{Reason: reason, AskedBy: actor.MemberID, Request: model.Request{ActivityID: activityID, MemberID: in.MemberID,
			BranchID: branch, Live: &live, State: model.Asked, AskedAt: now, Once: once}}
		if in.CameAt != nil {
			came := in.CameAt.UTC().Truncate(time.Second)
			if came.Before(a.OpensAt) || !came.Before(a.EndsAt) {
				return nil, model.BadField("came_at", "到会的时间应在开放签到之后、活动结束之前")
			}
			row.CameAt = &came
		}
		if err := tx.Create(row).Error; err != nil {
			return nil, fmt.Errorf("ask for late record: %w", err)
		}
		return row, errors.Join(askDeciders(tx, s.settings.Sending, a, asker{row.MemberID, actor.MemberID, row.BranchID}, now),
			auditBy(tx, now, actor, "ask_late_record", "late_record", row.ID, "ok", map[string]any{"activity_id": activityID, "member_id": in.MemberID}))
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		row, err = firstTry[model.LateRecord](s.db.WithContext(ctx), once, model.ErrLateRecordAsked, "asked_by = ?", actor.MemberID)
	}
	if err != nil {
		return nil, err
	}
	return s.lateRecord(ctx, row)
}

// DecideLateRecord approves or refuses a 补签, by whoever would decide the member's
// leave or looks after their branch from above, and neither asked nor is the member:
// refused as own_request. Approved, the member counts as present, never as late;
// the absence that the closing wrote stays as the first entry.
func (s *Requests) DecideLateRecord(ctx context.Context, actor *model.Actor, id uint64, in DecisionInput) (*RequestView, error) {
	row, err := decide(ctx, s, actor, id, in, verdict[model.LateRecord]{
		action: "decide_late_record", subject: "late_record", approved: model.LateRecordApproved, refused: model.LateRecordRefused, supervised: true, grant: s.present})
	if err != nil {
		return nil, err
	}
	return s.lateRecord(ctx, row)
}

// lateRecordDay is the day that a 补签 is for: the first, where nobody says when
// the member came.
func lateRecordDay(a *model.Activity, came *time.Time, zone *time.Location) model.Day {
	if came == nil {
		return a.CheckInDay(a.StartsAt, zone)
	}
	return a.CheckInDay(*came, zone)
}

// present writes an approved 补签, unless the member was recorded as present in
// the meantime.
func (s *Requests) present(tx *gorm.DB, actor *model.Actor, a *model.Activity, r *model.LateRecord, now time.Time) error {
	own, err := standingOf(tx, a.ID, r.MemberID)
	if err != nil {
		return err
	}
	if t := own.On(lateRecordDay(a, r.CameAt, s.settings.Zone)); t != nil && t.Status == model.Present {
		return nil
	}
	row := &model.Attendance{MemberID: r.MemberID, Status: model.Present, Provenance: model.ByLateRecord, At: a.StartsAt, Reason: r.Reason}
	if r.CameAt != nil {
		row.At = *r.CameAt
	}
	return replaceAttendance(tx, s.settings.Zone, actor, a, row, "补签已批准", now)
}

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

func (s *Requests) leave(ctx context.Context, r *model.LeaveRequest) (*RequestView, error) {
	return first(s.views(s.db.WithContext(ctx), []model.LeaveRequest{*r}, nil))
}

func (s *Requests) lateRecord(ctx context.Context, r *model.LateRecord) (*RequestView, error) {
	return first(s.views(s.db.WithContext(ctx), nil, []model.LateRecord{*r}))
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

// LateRecordFigures is how often a month's attendance rests on 补签.
type LateRecordFigures struct {
	Month    string                 `json:"month"`
	Branches []LateRecordBranchLine `json:"branches"`
}

// LateRecordBranchLine is one branch of them.
type LateRecordBranchLine struct {
	BranchID    uint64  `json:"branch_id"`
	Branch      string  `json:"branch"`
	Asked       int     `json:"asked" doc:"申请几次"`
	Approved    int     `json:"approved" doc:"同意几次"`
	Refused     int     `json:"refused" doc:"未同意几次"`
	Attendances int     `json:"attendances" doc:"同月到会的人次"`
	Recorded    int     `json:"recorded" doc:"其中靠补签的人次"`
	Share       float64 `json:"share" doc:"靠补签的占到会人次的几成，0 到 1"`
}

// Figures is the 补签 of a month in each branch at or below an organisation, by
// the day of the meeting, for those who oversee it: how many were asked for and
// granted, and what share of the attendances rests on them.
func (s *Requests) Figures(ctx context.Context, actor *model.Actor, organisationID uint64, month string) (*LateRecordFigures, error) {
	db := s.db.WithContext(ctx)
	if _, err := overseen(db, actor, organisationID); err != nil {
		return nil, err
	}
	begin, err := time.ParseInLocation("2006-01", month, s.settings.Zone)
	if err != nil || begin.Year() < 2000 || begin.Year() > 2100 {
		return nil, model.BadField("month", "月份应为 2026-11 的形式")
	}
	from, until := begin.UTC(), begin.AddDate(0, 1, 0).UTC()
	out := &LateRecordFigures{Month: month, Branches: []LateRecordBranchLine{}}
	// Each table is read once for the month, however many branches there are.
	var asked, came []LateRecordBranchLine
	err = errors.Join(
		db.Table("organisations b").Select("b.id AS branch_id, b.name AS branch").
			Where("b.kind IN ? AND b.id IN (?)", []model.OrganisationKind{model.Branch, model.Community}, below(db, []uint64{organisationID})).Order("b.id").Scan(&out.Branches).Error,
		db.Table("activities a").Select("r.branch_id, COUNT(*) AS asked, SUM(r.state = ?) AS approved, SUM(r.state = ?) AS refused", model.Approved, model.RequestRefused).
			Joins("JOIN late_records r ON r.activity_id = a.id").Where("a.starts_at >= ? AND a.starts_at < ?", from, until).Group("r.branch_id").Scan(&asked).Error,
		db.Table("activities a").Select("t.branch_id, COUNT(*) AS attendances, SUM(t.provenance = ?) AS recorded", model.ByLateRecord).
			Joins("JOIN attendances t ON t.activity_id = a.id").Where("a.starts_at >= ? AND a.starts_at < ? AND t.status = ? AND t.voided = 0", from, until, model.Present).
			Group("t.branch_id").Scan(&came).Error)
	if err != nil {
		return nil, fmt.Errorf("late records below organisation %d: %w", organisationID, err)
	}
	at := make(map[uint64]*LateRecordBranchLine, len(out.Branches))
	for i := range out.Branches {
		at[out.Branches[i].BranchID] = &out.Branches[i]
	}
	for _, a := range asked {
		if l := at[a.BranchID]; l != nil {
			l.Asked, l.Approved, l.Refused = a.Asked, a.Approved, a.Refused
		}
	}
	for _, c := range came {
		if l := at[c.BranchID]; l != nil {
			l.Attendances, l.Recorded, l.Share = c.Attendances, c.Recorded, float64(c.Recorded)/float64(c.Attendances)
		}
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
