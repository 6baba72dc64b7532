package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-redis/redis_rate/v10"

	"gorm.io/gorm"

	"dangri/model"
)

// CheckIns is members arriving at a meeting. A whole district arrives in the
// same minute, so arrivals commit in groups: whoever comes while a group is
// being written rides with the next one. A group costs one read and one
// insert, and each caller is answered after the commit with an outcome of its
// own.
type CheckIns struct {
	db       *gorm.DB
	codes    codes
	limits   *limits
	boards   *Boards
	now      func() time.Time
	arrivals *groups[*arrival, outcome]
}

const (
	arrivalGroup = 128  // the most arrivals in one insert
	arrivalQueue = 4096 // beyond that callers are asked to come again
)

func newCheckIns(p Parts, codes codes, limits *limits, boards *Boards) *CheckIns {
	s := &CheckIns{db: p.DB, codes: codes, limits: limits, boards: boards, now: p.Now}
	s.arrivals = newGroups(arrivalGroup, arrivalQueue, s.serve)
	return s
}

// CheckInInput is what a phone sends after a scan, or after six digits were
// typed on the page of an activity. Exactly one of code and digits.
type CheckInInput struct {
	Code       string       `json:"code,omitempty" maxLength:"64" doc:"扫到的内容（小程序码的 scene，或二维码网址的最后一段）"`
	Digits     string       `json:"digits,omitempty" maxLength:"6" doc:"屏幕上的六位签到码；同时要给 activity_id"`
	ActivityID uint64       `json:"activity_id,omitempty" doc:"页面所在的活动；扫码时可不给"`
	Nonce      string       `json:"nonce" minLength:"8" maxLength:"64" pattern:"^[0-9A-Za-z_-]+$" doc:"提交编号：每次扫码生成一次，重试时不变"`
	Location   *model.Point `json:"location,omitempty" doc:"位置：只在活动设了范围时才问；只记范围内外，不记坐标"`
	Device     string       `json:"device,omitempty" maxLength:"64" doc:"小程序在本机随机生成并保存的一串字符；只用来看出同一场活动里几个人用了同一部手机，仅供书记参考"`
}

// CheckedIn is an arrival that is on record.
type CheckedIn struct {
	Code          string           `json:"code" enum:"ok" doc:"总是 ok"`
	Message       string           `json:"message" doc:"可以直接显示的话"`
	ActivityID    uint64           `json:"activity_id"`
	ActivityTitle string           `json:"activity_title"`
	CheckedInAt   time.Time        `json:"checked_in_at" doc:"以服务器时间为准"`
	Late          bool             `json:"late" doc:"是否迟到"`
	Guest         bool             `json:"guest" doc:"是否列席"`
	Provenance    model.Provenance `json:"provenance"`
}

// arrival is one check-in on its way to the database.
type arrival struct {
	actor    *model.Actor
	activity uint64
	scanned  *screenCode // nil when typed
	typed    string
	once     model.Once
	location *model.Point
	device   string
	at       time.Time
}

type outcome struct {
	in   *CheckedIn
	err  error
	back bool // they may have gone out in between
}

// Create checks the caller in. A retry with the same nonce is answered as the
// first try was; another scan of the same person is refused with the time of
// the first. An early scan is refused with the opening time and leaves no trace.
func (s *CheckIns) Create(ctx context.Context, actor *model.Actor, in CheckInInput) (*CheckedIn, error) {
	if actor.MemberID == 0 {
		return nil, model.ErrNotBound
	}
	a, err := s.arrive(ctx, actor, in)
	if err != nil {
		return nil, err
	}
	o, err := s.arrivals.ask(ctx, a)
	if err != nil {
		return nil, err
	}
	faultPoint("before_reply")
	if o.back {
		o.in, o.err = s.reenter(ctx, a, o.err)
	}
	if errors.Is(o.err, model.ErrTypedCodeInvalid) {
		return nil, s.wrongCode(ctx, actor, o.err)
	}
	return o.in, o.err
}

// arrive reads the input as far as that needs no store.
func (s *CheckIns) arrive(ctx context.Context, actor *model.Actor, in CheckInInput) (*arrival, error) {
	once, err := checkInOnce(in)
	if err != nil {
		return nil, err
	}
	a := &arrival{actor: actor, activity: in.ActivityID, typed: in.Digits, location: in.Location, device: in.Device, at: s.now(),
		once: once}
	switch {
	case (in.Code == "") == (in.Digits == ""):
		return nil, model.BadField("code", "请扫描二维码，或输入六位签到码")
	case in.Code != "":
		scanned, err := s.codes.readScreen(in.Code)
		if err != nil {
			return nil, s.wrongCode(ctx, actor, err)
		}
		if in.ActivityID != 0 && in.ActivityID != scanned.id {
			return nil, s.wrongPage(ctx, in.ActivityID, scanned.id)
		}
		a.scanned, a.activity = &scanned, scanned.id
	case in.ActivityID == 0:
		return nil, model.BadField("activity_id", "请在活动页面里输入签到码")
	default:
		// Six digits can be guessed, so every try counts, right or wrong: here
		// without a round trip, and a wrong one on all replicas.
		if err := s.limits.takeOwn("typed", strconv.FormatUint(actor.MemberID, 10), guesses); err != nil {
			return nil, s.tooManyWrong(ctx, actor, err)
		}
	}
	return a, nil
}

// checkInOnce is the key of a check-in. A scanned code says itself what it is
// of, whatever page it was scanned on.
func checkInOnce(in CheckInInput) (model.Once, error) {
	if in.Code != "" {
		in.ActivityID = 0
	}
	return onceOf(in.Nonce, struct {
		Code, Digits string
		Activity     uint64
	}{in.Code, in.Digits, in.ActivityID})
}

// wrongPage says which refusal explains a code of one activity on the page of
// another: it may be the same meeting on another day.
func (s *CheckIns) wrongPage(ctx context.Context, page, scanned uint64) error {
	var series int64
	err := s.db.WithContext(ctx).Table("activities p").Joins("JOIN activities c ON c.series_id = p.series_id").
		Where("p.id = ? AND c.id = ?", page, scanned).Count(&series).Error
	switch {
	case err != nil:
		return fmt.Errorf("compare activities %d and %d: %w", page, scanned, err)
	case series > 0:
		return model.ErrWrongSession
	}
	return model.ErrWrongActivity
}

// wrongCode counts a wrong code against its sender alone and refuses it.
func (s *CheckIns) wrongCode(ctx context.Context, actor *model.Actor, refusal error) error {
	if err := s.limits.take(ctx, "wrong_code", strconv.FormatUint(actor.MemberID, 10), guesses); err != nil {
		return s.tooManyWrong(ctx, actor, err)
	}
	return refusal
}

// tooManyWrong leaves an audit entry, at most one a minute for one person.
func (s *CheckIns) tooManyWrong(ctx context.Context, actor *model.Actor, refusal error) error {
	if s.limits.take(ctx, "guess_audit", strconv.FormatUint(actor.MemberID, 10), redis_rate.PerMinute(1)) == nil {
		err := auditBy(s.db.WithContext(ctx), s.now(), actor, "guess_code", "member", actor.MemberID, "too_many_attempts", nil)
		if err != nil {
			return err
		}
	}
	return refusal
}

// serve decides and writes one group and answers everybody in it.
func (s *CheckIns) serve(ctx context.Context, group []*rider[*arrival, outcome]) {
	outcomes, came := s.write(ctx, questions(group))
	s.boards.mark(came)
	for i, c := range group {
		c.answer(outcomes[i], nil)
	}
	s.boards.announce(ctx, came)
}

// failed is the same fault for everybody in the group.
func failed(group []*arrival, err error) []outcome {
	outcomes := make([]outcome, len(group))
	for i := range outcomes {
		outcomes[i] = outcome{err: err}
	}
	return outcomes
}

// notAtFirst is what a check-in never has: left out, the insert is shorter.
var notAtFirst = []string{"recorded_by", "recorded_at", "voided", "voided_by", "voided_at", "void_reason"}

func (s *CheckIns) zone() *time.Location { return s.codes.settings.Zone }

// write records a group in one insert. Somebody else may have recorded one of
// its people in between; then each is written alone. It returns an outcome for
// each arrival and the activities that somebody came to.
func (s *CheckIns) write(ctx context.Context, group []*arrival) (outcomes []outcome, came []uint64) {
	db := s.db.WithContext(ctx)
	outcomes = make([]outcome, len(group))
	facts, err := readArrivals(db, s.zone(), group)
	if err != nil {
		return failed(group, err), nil
	}
	rows := make([]*model.Attendance, 0, len(group))
	var waiting []int // arrivals whose outcome hangs on the insert, in the order of rows
	for i, a := range group {
		row, out := s.decide(a, facts[i])
		if row == nil {
			outcomes[i] = out
			continue
		}
		rows, waiting = append(rows, row), append(waiting, i)
	}
	if len(rows) == 0 {
		return outcomes, nil
	}
	// One person twice in one group, or two groups with the same people: the
	// unique key decides, and a fixed order keeps the two from deadlocking.
	order := make([]*model.Attendance, len(rows))
	copy(order, rows)
	slices.SortFunc(order, func(x, y *model.Attendance) int {
		return cmp.Or(cmp.Compare(x.ActivityID, y.ActivityID), cmp.Compare(x.MemberID, y.MemberID))
	})
	insert := func() error { return db.Omit(notAtFirst...).Create(order).Error }
	if len(group) == 1 {
		err = retried(insert)
	} else {
		err = insert()
	}
	switch {
	case err == nil:
		faultPoint("after_commit")
		for n, i := range waiting {
			outcomes[i] = outcome{in: checkedIn(&facts[i].Activity, rows[n])}
			came = append(came, rows[n].ActivityID)
		}
	case len(group) > 1 && (errors.Is(err, gorm.ErrDuplicatedKey) || collided(err)):
		for _, i := range waiting {
			out, at := s.write(ctx, group[i:i+1])
			outcomes[i] = out[0]
			came = append(came, at...)
		}
	case errors.Is(err, gorm.ErrDuplicatedKey):
		// Recorded since we read: read again and say so.
		if facts, err = readArrivals(db, s.zone(), group); err != nil {
			return failed(group, err), nil
		}
		_, outcomes[0] = s.decide(group[0], facts[0])
	default:
		return failed(group, fmt.Errorf("record %d check-ins: %w", len(rows), err)), nil
	}
	return outcomes, came
}

// decide makes the row that records an arrival, or the outcome where there is
// nothing to record.
func (s *CheckIns) decide(a *arrival, facts *model.Arrival) (*model.Attendance, outcome) {
	if facts == nil {
		if a.scanned != nil {
			return nil, outcome{err: model.ErrCodeInvalid}
		}
		return nil, outcome{err: model.ErrActivityNotFound}
	}
	activity := &facts.Activity
	if a.scanned == nil && !mayType(a.actor, facts) {
		return nil, outcome{err: model.ErrActivityNotFound}
	}
	replay, err := facts.Admit(a.once, a.at)
	if err == nil && replay {
		return nil, outcome{in: checkedIn(activity, facts.Recorded)}
	}
	if err == nil && a.scanned != nil {
		err = s.codes.freshAt(*a.scanned, activity.CodeEpoch, a.at)
	}
	if err == nil && a.scanned == nil {
		err = s.codes.proveTyped(a.typed, activity.ID, activity.CodeEpoch, a.at)
	}
	if err != nil {
		return nil, outcome{err: err, back: activity.CheckOut && errors.Is(err, model.ErrAlreadyCheckedIn)}
	}
	row := &model.Attendance{ActivityID: activity.ID, MemberID: a.actor.MemberID, BranchID: a.actor.BranchID, Status: model.Present,
		Provenance: model.ByScan, At: a.at, Location: activity.Place.Locate(a.location), Guest: facts.Entry == nil, Once: a.once,
		Day: activity.CheckInDay(a.at, s.zone()), Device: s.codes.device(activity.ID, a.device)}
	if facts.Entry != nil {
		row.BranchID = facts.Entry.BranchID
	}
	if a.scanned == nil {
		row.Provenance = model.ByTypedCode
	} else {
		age := int(a.at.Sub(a.scanned.issued).Milliseconds())
		row.CodeAgeMS = &age
	}
	return row, outcome{}
}

// mayType says whether the person may know of the activity at all: digits, in
// contrast to a scanned code, are no proof of having seen its screen.
func mayType(actor *model.Actor, facts *model.Arrival) bool {
	return facts.Activity.Announced() &&
		(facts.Entry != nil || facts.Activity.OpenToGuests || actor.BranchID == facts.Activity.OrganisationID)
}

func checkedIn(a *model.Activity, t *model.Attendance) *CheckedIn {
	out := &CheckedIn{Code: "ok", Message: "签到成功", ActivityID: a.ID, ActivityTitle: a.Title, CheckedInAt: t.At,
		Late: t.Late(a), Guest: t.Guest, Provenance: t.Provenance}
	if out.Late {
		out.Message = "已签到，记为迟到"
	}
	return out
}

// readArrivals reads in one query what decides each arrival; nil where there
// is no such activity.
func readArrivals(db *gorm.DB, zone *time.Location, group []*arrival) ([]*model.Arrival, error) {
	var pairs strings.Builder
	args := make([]any, 0, 3*len(group))
	for i, a := range group {
		if i > 0 {
			pairs.WriteString(" UNION ALL ")
		}
		pairs.WriteString("SELECT ? AS n, ? AS activity_id, ? AS member_id")
		args = append(args, i, a.activity, a.actor.MemberID)
	}
	// Scanned by hand: of everything in the program this is read most often.
	rows, err := db.Raw(`SELECT p.n, a.id, a.organisation_id, a.title, a.status, a.starts_at, a.ends_at, a.opens_at, a.late_at, a.closes_at,
		a.latitude, a.longitude, a.radius, a.open_to_guests, a.code_epoch, a.published_at, a.daily, a.check_out,
		r.branch_id, t.id, t.day, t.voided, t.status, t.provenance, t.at, t.guest, t.nonce, t.fingerprint
		FROM (`+pairs.String()+`) p
		JOIN activities a ON a.id = p.activity_id
		LEFT JOIN roster_entries r ON r.activity_id = p.activity_id AND r.member_id = p.member_id
		LEFT JOIN attendances t ON t.activity_id = p.activity_id AND t.member_id = p.member_id`, args...).Rows()
	if err != nil {
		return nil, fmt.Errorf("read %d arrivals: %w", len(group), err)
	}
	defer rows.Close()
	facts := make([]*model.Arrival, len(group))
	for rows.Next() {
		var n int
		var a model.Activity
		var branch *uint64
		var t recordedColumns
		err := rows.Scan(&n, &a.ID, &a.OrganisationID, &a.Title, &a.Status, &a.StartsAt, &a.EndsAt, &a.OpensAt, &a.LateAt, &a.ClosesAt,
			&a.Place.Latitude, &a.Place.Longitude, &a.Place.Radius, &a.OpenToGuests, &a.CodeEpoch, &a.PublishedAt, &a.Daily, &a.CheckOut,
			&branch, &t.id, &t.day, &t.voided, &t.status, &t.provenance, &t.at, &t.guest, &t.nonce, &t.fingerprint)
		if err != nil {
			return nil, fmt.Errorf("read an arrival: %w", err)
		}
		f := facts[n]
		if f == nil {
			f = &model.Arrival{Activity: a}
			facts[n] = f
		}
		member := group[n].actor.MemberID
		if branch != nil {
			f.Entry = &model.RosterEntry{ActivityID: a.ID, MemberID: member, BranchID: *branch}
		}
		if t.id != nil {
			f.Take(t.row(), group[n].once.Nonce, a.CheckInDay(group[n].at, zone))
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read %d arrivals: %w", len(group), err)
	}
	return facts, nil
}

// recordedColumns is an attendance that may not be there.
type recordedColumns struct {
	id, voided              *uint64
	day, status, provenance *string
	at                      *time.Time
	guest                   *bool
	nonce, fingerprint      *string
}

func (c *recordedColumns) row() *model.Attendance {
	return &model.Attendance{ID: *c.id, Day: model.Day(*c.day), Status: model.AttendanceStatus(*c.status), Provenance: model.Provenance(*c.provenance),
		At: *c.at, Guest: *c.guest, Voided: *c.voided, Once: model.Once{Nonce: *c.nonce, Fingerprint: *c.fingerprint}}
}
