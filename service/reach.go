package service

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Reach is whom a message gets to: before an activity is published, how many
// the phone will reach and whom somebody must call; afterwards, who was told.
type Reach struct {
	db        *gorm.DB
	catalogue model.Catalogue
	seal      *sealer
	settings  Settings
	now       func() time.Time
}

// mostCalls is the longest list of people to phone that is shown or printed.
const mostCalls = 500

// ReachForecast is who would get a reminder of an activity.
type ReachForecast struct {
	Expected  int        `json:"expected" doc:"应到"`
	Reachable int        `json:"reachable" doc:"微信能提醒到的"`
	ToPhone   int        `json:"to_phone" doc:"要打电话通知的"`
	Sentence  string     `json:"sentence" doc:"一句话的预测"`
	Phone     []CallLine `json:"phone" doc:"请电话通知的人，最多五百个"`
}

// CallLine is somebody to phone, and why.
type CallLine struct {
	MemberID uint64 `json:"member_id"`
	Name     string `json:"name"`
	Group    string `json:"group"`
	Phone    string `json:"phone,omitempty" doc:"书记看到完整的号码（留痕），别人没有这一项"`
	Reason   string `json:"reason" enum:"not_bound,no_consent,refused,unknown,failed,expired" doc:"原因"`
	Why      string `json:"why" doc:"原因，可以直接显示"`
}

// Why somebody is to be phoned.
const (
	callNotBound  = model.NotBound
	callNoConsent = model.NoConsent
	callRefused   = "refused"
	callUnknown   = "unknown"
	callFailed    = "failed"
	callExpired   = "expired"
)

var callWords = map[string]string{
	callNotBound: "没有绑定微信", callNoConsent: "没有订阅提醒", callRefused: "拒收提醒",
	callUnknown: "不能确定是否收到", callFailed: "微信没有送达", callExpired: "没有来得及提醒",
}

// invitee is one person who should come, with what decides whether the phone
// reaches them.
type invitee struct {
	MemberID  uint64
	Name      string
	GroupName string
	AccountID uint64
	BranchID  uint64
}

// conductedSides is an activity with its sides, for those who conduct one.
func conductedSides(tx *gorm.DB, actor *model.Actor, id uint64) (*model.Activity, sides, error) {
	a, all, err := jointly(tx, actor, id)
	if err == nil && !slices.ContainsFunc(all, func(s side) bool { return actor.Conducts(s.line) }) {
		err = model.ErrNotConductor
	}
	return a, all, err
}

// Forecast is whom a reminder of the activity will reach, for those who conduct
// it: as a draft by its audience of now, afterwards by its roster. Somebody is
// reached who allowed a message on this activity's page, or more messages than
// there are activities before this one.
func (s *Reach) Forecast(ctx context.Context, actor *model.Actor, id uint64) (*ReachForecast, error) {
	db := s.db.WithContext(ctx)
	a, all, err := conductedSides(db, actor, id)
	if err != nil {
		return nil, err
	}
	people, err := s.invitees(db, a, all, actor)
	if err != nil {
		return nil, err
	}
	free, err := s.freeConsents(db, a, people)
	if err != nil {
		return nil, err
	}
	out := &ReachForecast{Expected: len(people), Phone: []CallLine{}}
	for _, p := range people {
		var reason string
		switch {
		case p.AccountID == 0:
			reason = callNotBound
		case free[p.AccountID] <= 0:
			reason = callNoConsent
		default:
			out.Reachable++
			continue
		}
		if out.ToPhone++; len(out.Phone) < mostCalls {
			out.Phone = append(out.Phone, p.call(reason))
		}
	}
	out.Sentence = fmt.Sprintf("应到 %d：%d 可达，%d 请电话通知", out.Expected, out.Reachable, out.ToPhone)
	return out, nil
}

func (p *invitee) call(reason string) CallLine {
	return CallLine{MemberID: p.MemberID, Name: p.Name, Group: p.GroupName, Reason: reason, Why: callWords[reason]}
}

// invitees are those who should come to the activity, by group and member. At a
// joint meeting each branch looks after its own.
func (s *Reach) invitees(db *gorm.DB, a *model.Activity, all sides, actor *model.Actor) ([]invitee, error) {
	var entries []model.RosterEntry
	var err error
	if a.Status == model.Draft {
		entries, err = audienceOf(db, s.settings.Zone, a)
	} else {
		err = db.Order("group_id, member_id").Find(&entries, "activity_id = ? AND exempt = ''", a.ID).Error
	}
	if err != nil {
		return nil, fmt.Errorf("invitees of activity %d: %w", a.ID, err)
	}
	entries = slices.DeleteFunc(entries, func(e model.RosterEntry) bool { return !actor.Conducts(all.of(e.BranchID).line) })
	at := make(map[uint64]int, len(entries))
	people := make([]invitee, len(entries))
	groups := map[uint64]string{}
	ids := make([]uint64, len(entries))
	for i, e := range entries {
		people[i].MemberID, at[e.MemberID], ids[i] = e.MemberID, i, e.MemberID
		if e.GroupID != nil {
			groups[*e.GroupID] = ""
		}
	}
	for _, some := range chunks(ids, 500) {
		var rows []invitee
		err := db.Table("members m").Select("m.id AS member_id, m.name, COALESCE(c.id, 0) AS account_id").
			Joins("LEFT JOIN accounts c ON c.member_id = m.id").Where("m.id IN ?", some).Scan(&rows).Error
		if err != nil {
			return nil, fmt.Errorf("invitees of activity %d: %w", a.ID, err)
		}
		for _, r := range rows {
			people[at[r.MemberID]] = r
		}
	}
	var named []model.Organisation
	if err := db.Select("id", "name").Find(&named, "id IN ?", append(sortedKeys(groups), 0)).Error; err != nil {
		return nil, fmt.Errorf("groups of activity %d: %w", a.ID, err)
	}
	for _, g := range named {
		groups[g.ID] = g.Name
	}
	for i, e := range entries {
		people[i].GroupName, people[i].BranchID = groups[deref(e.GroupID)], e.BranchID
	}
	slices.SortStableFunc(people, func(x, y invitee) int {
		return cmp.Or(cmp.Compare(x.GroupName, y.GroupName), cmp.Compare(x.MemberID, y.MemberID))
	})
	return people, nil
}

// freeConsents is how many reminders each account allows for the activity: all
// given on its page, of the others those that earlier activities leave over.
func (s *Reach) freeConsents(db *gorm.DB, a *model.Activity, people []invitee) (map[uint64]int, error) {
	free, err := s.held(db, model.ActivityReminder, people)
	if err != nil {
		return nil, err
	}
	for _, some := range chunks(people, 500) {
		var rows []struct {
			AccountID  uint64
			Own, Taken int
		}
		accounts := accountsOf(some)
		err := db.Raw(`SELECT account_id, SUM(own) AS own, SUM(earlier) AS taken FROM (
			SELECT account_id, COUNT(*) AS own, 0 AS earlier FROM consents
			WHERE account_id IN ? AND template_id = ? AND state = ? AND activity_id = ? GROUP BY account_id
			UNION ALL
			SELECT c.id, 0, COUNT(DISTINCT r.activity_id) FROM reminders r JOIN accounts c ON c.member_id = r.member_id
			WHERE c.id IN ? AND r.state = ? AND r.purpose = ? AND r.activity_id <> ? AND r.starts_at <= ? AND r.not_after > ? GROUP BY c.id
		) both_kinds GROUP BY account_id`, accounts, s.catalogue[model.ActivityReminder].ID, model.ConsentHeld, a.ID,
			accounts, model.Queued, model.ActivityReminder, a.ID, a.StartsAt, s.now()).Scan(&rows).Error
		if err != nil {
			return nil, fmt.Errorf("activities before %d: %w", a.ID, err)
		}
		for _, r := range rows {
			free[r.AccountID] = r.Own + max(0, free[r.AccountID]-r.Own-r.Taken)
		}
	}
	return free, nil
}

// ReminderReport is what became of the messages about an activity.
type ReminderReport struct {
	Kinds []KindReport   `json:"kinds"`
	Lines []ReminderLine `json:"lines"`
	Next  string         `json:"next,omitempty" doc:"下一页的 cursor；没有就是到底了"`
}

// KindReport counts the messages of one kind.
type KindReport struct {
	Kind      model.ReminderKind `json:"kind"`
	Name      string             `json:"name"`
	Sent      int                `json:"sent" doc:"已送达微信"`
	Refused   int                `json:"refused" doc:"拒收"`
	Unknown   int                `json:"unknown" doc:"不能确定是否收到"`
	Failed    int                `json:"failed" doc:"微信不接受"`
	Expired   int                `json:"expired" doc:"没有来得及提醒"`
	Withdrawn int                `json:"withdrawn" doc:"不用再提醒"`
	Waiting   int                `json:"waiting" doc:"还没有发"`
}

// ReminderLine is what became of one message.
type ReminderLine struct {
	MemberID  uint64              `json:"member_id"`
	Name      string              `json:"name"`
	Kind      model.ReminderKind  `json:"kind"`
	State     model.ReminderState `json:"state"`
	Reason    string              `json:"reason,omitempty"`
	DueAt     time.Time           `json:"due_at"`
	SettledAt *time.Time          `json:"settled_at"`
}

// Report is what became of the messages about the activity, for those who
// conduct it: counted by kind, and a page of them one by one.
func (s *Reach) Report(ctx context.Context, actor *model.Actor, id uint64, cursor string, limit int) (*ReminderReport, error) {
	db := s.db.WithContext(ctx)
	a, _, err := conducted(db, actor, id)
	if err != nil {
		return nil, err
	}
	var counts []struct {
		Kind  model.ReminderKind
		State model.ReminderState
		N     int
	}
	err = db.Model(&model.Reminder{}).Select("kind, state, COUNT(*) AS n").Where("activity_id = ?", a.ID).
		Group("kind, state").Order("kind").Scan(&counts).Error
	if err != nil {
		return nil, fmt.Errorf("reminders of activity %d: %w", id, err)
	}
	out := &ReminderReport{Kinds: []KindReport{}, Lines: []ReminderLine{}}
	for _, c := range counts {
		if n := len(out.Kinds); n == 0 || out.Kinds[n-1].Kind != c.Kind {
			out.Kinds = append(out.Kinds, KindReport{Kind: c.Kind, Name: model.ReminderKindNames[c.Kind]})
		}
		out.Kinds[len(out.Kinds)-1].add(c.State, c.N)
	}
	rows := db.Table("reminders r").Select("r.*, m.name").Joins("JOIN members m ON m.id = r.member_id").Where("r.activity_id = ?", a.ID)
	if cursor != "" {
		due, last, err := readCursor(cursor)
		if err != nil {
			return nil, err
		}
		rows = rows.Where("r.due_at > ? OR r.due_at = ? AND r.id > ?", due, due, last)
	}
	var page []struct {
		ReminderLine
		ID uint64
	}
	if err := rows.Order("r.due_at, r.id").Limit(limit + 1).Scan(&page).Error; err != nil {
		return nil, fmt.Errorf("reminders of activity %d: %w", id, err)
	}
	for i, r := range page {
		if i == limit {
			out.Next = writeCursor(page[i-1].DueAt, page[i-1].ID)
			break
		}
		out.Lines = append(out.Lines, r.ReminderLine)
	}
	return out, nil
}

func (k *KindReport) add(state model.ReminderState, n int) {
	switch state {
	case model.Sent, model.PresumedSent:
		k.Sent += n
	case model.Refused:
		k.Refused += n
	case model.Unknown, model.UnknownFinal:
		k.Unknown += n
	case model.Poison:
		k.Failed += n
	case model.Expired:
		k.Expired += n
	case model.Withdrawn:
		k.Withdrawn += n
	default:
		k.Waiting += n
	}
}

// CallList is whom somebody has to phone about an activity.
type CallList struct {
	Title        string     `json:"title"`
	Organisation string     `json:"organisation"`
	When         string     `json:"when" doc:"活动时间，已排好版"`
	Place        string     `json:"place"`
	Say          string     `json:"say" doc:"电话里说的一句话"`
	Total        int        `json:"total"`
	Items        []CallLine `json:"items" doc:"最多五百个"`
	PrintedAt    string     `json:"printed_at"`
}

// Calls is everyone who should come and has not been told by phone, is not
// there yet and not on leave, with the reason: for those who conduct the
// activity. Who keeps the roster sees the numbers, and that is audited.
func (s *Reach) Calls(ctx context.Context, actor *model.Actor, id uint64) (*CallList, error) {
	now := s.now()
	return inTx(ctx, s.db, func(tx *gorm.DB) (*CallList, error) {
		a, all, err := conductedSides(tx, actor, id)
		if err != nil {
			return nil, err
		}
		people, err := s.invitees(tx, a, all, actor)
		if err != nil {
			return nil, err
		}
		verdicts, err := s.verdicts(tx, a, people)
		if err != nil {
			return nil, err
		}
		out := &CallList{Title: a.Title, Organisation: all[0].line[0].Name, Place: a.Place.Name, Items: []CallLine{},
			When: a.StartsAt.In(s.settings.Zone).Format("2006年1月2日 15:04"), PrintedAt: now.In(s.settings.Zone).Format("2006-01-02 15:04")}
		out.Say = fmt.Sprintf("“%s”定于 %s 举行，地点：%s，请按时参加。", a.Title, out.When, orElse(a.Place.Name, "另行通知"))
		if a.Status == model.Cancelled {
			out.Say = fmt.Sprintf("原定 %s 的“%s”取消，原因：%s。", out.When, a.Title, a.CancelReason)
		}
		for _, p := range people {
			reason := verdicts.of(p)
			if reason == "" {
				continue
			}
			if out.Total++; len(out.Items) < mostCalls {
				out.Items = append(out.Items, p.call(reason))
			}
		}
		branches := map[uint64]uint64{}
		for _, p := range people {
			branches[p.MemberID] = p.BranchID
		}
		kept := func(l CallLine) bool { return actor.KeepsRoster(all.of(branches[l.MemberID]).line) }
		if !slices.ContainsFunc(out.Items, kept) {
			return out, nil
		}
		if err := s.addNumbers(tx, out.Items, kept); err != nil {
			return nil, err
		}
		return out, auditBy(tx, now, actor, "view_call_list", "activity", id, "ok", map[string]any{"numbers": len(out.Items)})
	})
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func (s *Reach) addNumbers(tx *gorm.DB, lines []CallLine, kept func(CallLine) bool) error {
	at := map[uint64]int{}
	for i, l := range lines {
		if kept(l) {
			at[l.MemberID] = i
		}
	}
	var rows []model.MemberPhone
	if err := tx.Find(&rows, "member_id IN ?", sortedKeys(at)).Error; err != nil {
		return fmt.Errorf("numbers to phone: %w", err)
	}
	for _, r := range rows {
		phone, err := openPhone(s.seal, r.MemberID, r.Sealed)
		if err != nil {
			return err
		}
		lines[at[r.MemberID]].Phone = phone
	}
	return nil
}

// verdicts is what is known of those who should come to one activity.
type verdicts struct {
	settled map[uint64]bool                // present or on leave
	told    map[uint64]bool                // got a message that is still true
	ended   map[uint64]model.ReminderState // of the last message that came to an end
	waiting map[uint64]bool                // a message is still to come
	free    map[uint64]int                 // consents by account
}

func (s *Reach) verdicts(tx *gorm.DB, a *model.Activity, people []invitee) (*verdicts, error) {
	v := &verdicts{settled: map[uint64]bool{}, told: map[uint64]bool{}, ended: map[uint64]model.ReminderState{}, waiting: map[uint64]bool{}}
	seats, err := seatsOf(tx, a.ID)
	if err != nil {
		return nil, err
	}
	for i := range seats {
		v.settled[seats[i].MemberID] = a.Status != model.Cancelled && seats[i].Status() != ""
	}
	var rows []model.Reminder
	err = tx.Order("due_at, id").Find(&rows, "activity_id = ? AND starts_at = ? AND purpose NOT IN ? AND state <> ?", a.ID, a.StartsAt, []model.Purpose{model.DutyReminder, model.ApprovalResult}, model.Withdrawn).Error
	if err != nil {
		return nil, fmt.Errorf("reminders of activity %d: %w", a.ID, err)
	}
	// Who was told before the last change does not know of it.
	var changed time.Time
	purpose := model.ActivityReminder
	for _, r := range rows {
		if r.Kind.TellsChange() && r.DueAt.After(changed) {
			changed, purpose = r.DueAt, model.ActivityChange
		}
	}
	for _, r := range rows {
		switch {
		case !changed.IsZero() && !knows(&r, changed):
		case r.State == model.Sent || r.State == model.PresumedSent:
			v.told[r.MemberID] = true
		case r.State.Final():
			v.ended[r.MemberID] = r.State
		default:
			v.waiting[r.MemberID] = r.State != model.Unknown
		}
	}
	v.free, err = s.held(tx, purpose, people)
	return v, err
}

// knows says whether a message tells of the change: as its notice, or because
// it went out later.
func knows(r *model.Reminder, changed time.Time) bool {
	if r.CalledAt == nil || r.Kind.TellsChange() {
		return !r.DueAt.Before(changed)
	}
	return r.CalledAt.After(changed)
}

// of is why the person is to be phoned, or "".
func (v *verdicts) of(p invitee) string {
	free := v.free[p.AccountID]
	switch state := v.ended[p.MemberID]; {
	case v.settled[p.MemberID] || v.told[p.MemberID]:
		return ""
	case p.AccountID == 0:
		return callNotBound
	case free > 0 && v.waiting[p.MemberID]:
		return ""
	case state == model.Refused:
		return callRefused
	case state == model.UnknownFinal:
		return callUnknown
	case state == model.Poison:
		return callFailed
	case free == 0:
		return callNoConsent
	}
	return callExpired
}

// held is how many messages of the purpose each of the people's accounts allows.
func (s *Reach) held(tx *gorm.DB, purpose model.Purpose, people []invitee) (map[uint64]int, error) {
	free := map[uint64]int{}
	for _, some := range chunks(people, 500) {
		var rows []struct {
			AccountID uint64
			N         int
		}
		err := tx.Model(&model.Consent{}).Select("account_id, COUNT(*) AS n").
			Where("account_id IN ? AND template_id = ? AND state = ?", accountsOf(some), s.catalogue[purpose].ID, model.ConsentHeld).
			Group("account_id").Scan(&rows).Error
		if err != nil {
			return nil, fmt.Errorf("consents of invitees: %w", err)
		}
		for _, r := range rows {
			free[r.AccountID] = r.N
		}
	}
	return free, nil
}

func accountsOf(people []invitee) []uint64 {
	ids := make([]uint64, len(people))
	for i, p := range people {
		ids[i] = p.AccountID
	}
	return ids
}
