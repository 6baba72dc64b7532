package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// OfflineItems is arrivals that phones noted while there was no network and
// send when there is one again. Every one of them is kept, the refused ones too.
type OfflineItems struct {
	db       *gorm.DB
	codes    codes
	meetings *Meetings
	checkIns *CheckIns // counts wrong codes
	boards   *Boards
	now      func() time.Time
}

const (
	offlineGroup = 25   // items in one transaction: one that fails loses no more
	offlineMost  = 2000 // items that one person can have sent of one activity
	offlineTries = 10   // while others record the same people
)

// OfflineInput is one arrival that a phone noted. Exactly one of code, member
// code and member.
type OfflineInput struct {
	Nonce      string    `json:"nonce" minLength:"8" maxLength:"64" pattern:"^[0-9A-Za-z_-]+$" doc:"扫码或勾选时生成，补传、重试都不变；联网时已发过的用同一个"`
	ScannedAt  time.Time `json:"scanned_at" doc:"扫码或勾选时手机的时间"`
	Code       string    `json:"code,omitempty" maxLength:"256" doc:"本人扫到的会场屏幕上的码，原样；超过 256 个字的截断"`
	MemberCode string    `json:"member_code,omitempty" maxLength:"256" doc:"办理会议的人扫到的党员码"`
	MemberID   uint64    `json:"member_id,omitempty" maximum:"9007199254740991" doc:"办理会议的人勾选的党员"`

	// Malformed is the item as it was sent, where it is not as described here;
	// what could not be read of it is left out.
	Malformed string `json:"-"`
}

// OfflineAnswers is what became of each item, in the order in which they came.
type OfflineAnswers struct {
	Accepted int             `json:"accepted" doc:"记上的条数"`
	Refused  int             `json:"refused" doc:"没有记上的条数；已留存，书记看得到"`
	Items    []OfflineAnswer `json:"items"`
}

// OfflineAnswer is what became of one item.
type OfflineAnswer struct {
	Index int `json:"index" doc:"在这一批里的位置，从 0 起"`
	OfflineOutcome
}

// OfflineOutcome is an item and what became of it.
type OfflineOutcome struct {
	Nonce      string               `json:"nonce" doc:"格式不对的一条由服务器编号"`
	Accepted   bool                 `json:"accepted" doc:"因这一条而记上的；已经签到的不算"`
	Code       string               `json:"code" doc:"ok，或没有记上的缘由，稳定、供程序判断"`
	Message    string               `json:"message" doc:"可以直接显示的话"`
	Kind       model.OfflineKind    `json:"kind" enum:"scan,member_code,tick,unclear" doc:"本人扫码、扫党员码、勾选；unclear 为看不出是哪一种"`
	MemberID   uint64               `json:"member_id,omitempty"`
	Name       string               `json:"name,omitempty"`
	ClientAt   time.Time            `json:"client_at" doc:"手机的时间，只供参考"`
	ReceivedAt time.Time            `json:"received_at" doc:"服务器收到的时间"`
	At         *time.Time           `json:"at" doc:"记上的到会时间；没有记上的，是缘由所说的时间，如第一次签到"`
	Late       bool                 `json:"late"`
	Doubts     []model.OfflineDoubt `json:"doubts" enum:"future,before_open,old,code_time,unreadable" doc:"手机时间的可疑之处：晚于收到的时间、早于开放签到、三天以前、与码的时间对不上、读不出来（client_at 为收到的时间）"`
}

// offlineEntry is an item on its way to the database.
type offlineEntry struct {
	index   int
	item    model.OfflineItem
	epoch   uint32     // of the code
	once    model.Once // of the same arrival sent with a network
	refusal *model.Error
	stored  bool
}

// wrong says whether the entry is a screen code that may be a guess.
func (e *offlineEntry) wrong() bool {
	return e.item.Kind == model.OfflineScan && e.refusal != nil && errors.Is(e.refusal, model.ErrCodeInvalid)
}

// Upload takes a batch of arrivals that were noted without a network: a member's
// own scans, and what those who conduct the meeting scanned or ticked. Each item
// is accepted or refused by itself and kept in either case, with the reason, for
// those who conduct the meeting to see; so is one that is not formed as it
// should be, and its nonce stays free for the item put right. Sent again, whole
// or in part, it is answered as the first time and makes nothing new; a batch
// that a fault cut short is completed by sending it again.
//
// What counts as the time of arrival: for a code, the second of issue that the
// server signed in it, never the phone's clock; for a tick, where the secretary
// attests, the phone's time if it lies between the opening of the check-in and
// the receipt, otherwise the receipt, and by neither is anybody late: the tick
// says that they were there. The phone's time is kept apart and marked
// where it is odd: in the future, before the opening, more than three days old,
// or not when the code could be seen. All this while the meeting is not closed;
// a member's own scan must be of the time in which check-in was open, and of a
// code that was not replaced since. What comes later is refused as closed and
// stays for the secretary to decide.
func (s *OfflineItems) Upload(ctx context.Context, actor *model.Actor, id uint64, in []OfflineInput) (*OfflineAnswers, error) {
	db := s.db.WithContext(ctx)
	a, _, _, err := seen(db, actor, id)
	if err != nil {
		return nil, err
	}
	entries, err := s.read(actor, a, in)
	if err != nil {
		return nil, err
	}
	if err := s.recall(db, actor, a.ID, entries); err != nil {
		return nil, err
	}
	var left []*offlineEntry
	for _, e := range entries {
		if !e.stored {
			left = append(left, e)
		}
	}
	if err := s.makeRoom(db, actor, id, len(left)); err != nil {
		return nil, err
	}
	left, wait := s.pace(ctx, actor, left)
	recorded := false
	for _, group := range chunks(left, offlineGroup) {
		came, err := s.keep(ctx, actor, id, group)
		if recorded = recorded || came; err != nil {
			if recorded {
				s.boards.changed(ctx, id)
			}
			return nil, err
		}
	}
	if recorded {
		s.boards.changed(ctx, id)
	}
	if wait != nil {
		return nil, wait
	}
	return answers(db, entries)
}

// read is the items as far as that needs no store.
func (s *OfflineItems) read(actor *model.Actor, a *model.Activity, in []OfflineInput) ([]*offlineEntry, error) {
	now := s.now()
	entries := make([]*offlineEntry, len(in))
	for i := range in {
		e, err := s.readOne(actor, a, &in[i], now)
		if err != nil {
			return nil, err
		}
		e.index = i
		entries[i] = e
	}
	return entries, nil
}

// The times that a phone may give and a database holds.
var (
	earliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2999, 12, 31, 0, 0, 0, 0, time.UTC)
)

func (s *OfflineItems) readOne(actor *model.Actor, a *model.Activity, in *OfflineInput, now time.Time) (*offlineEntry, error) {
	clientAt := in.ScannedAt.UTC().Truncate(time.Millisecond)
	if clientAt.Before(earliest) {
		clientAt = earliest
	} else if clientAt.After(latest) {
		clientAt = latest
	}
	once, err := onceOf(in.Nonce, []any{clientAt, in.Code, in.MemberCode, in.MemberID})
	if err != nil {
		return nil, err
	}
	e := &offlineEntry{item: model.OfflineItem{ActivityID: a.ID, UploadedBy: actor.MemberID, Kind: model.OfflineUnclear, ClientAt: clientAt, ReceivedAt: now,
		Once: once}}
	if code := in.Code + in.MemberCode; code != "" {
		e.item.CodeDigest = digest(code)[:22]
	}
	life := time.Duration(0)
	member := in.MemberID
	var refusal error
	switch given := [3]bool{in.Code != "", in.MemberCode != "", in.MemberID != 0}; given {
	case [3]bool{true, false, false}:
		e.item.Kind, member, life = model.OfflineScan, actor.MemberID, s.codes.settings.CodeStep+s.codes.settings.CodeMargin
		var scanned screenCode
		if scanned, refusal = s.codes.readScreen(in.Code); refusal == nil {
			e.item.IssuedAt, e.epoch = &scanned.issued, scanned.epoch
			if scanned.id != a.ID {
				refusal = model.ErrWrongActivity
			}
		}
		e.once, err = checkInOnce(CheckInInput{Code: in.Code, Nonce: in.Nonce})
	case [3]bool{false, true, false}:
		e.item.Kind, life = model.OfflineMemberCode, memberCodeLife
		var shown memberCode
		if shown, refusal = s.codes.readMember(in.MemberCode); refusal == nil {
			e.item.IssuedAt, member = &shown.issued, shown.memberID
		}
	case [3]bool{false, false, true}:
		e.item.Kind = model.OfflineTick
	default:
		member, refusal = 0, model.BadField("code", "")
	}
	if err == nil && e.item.Kind != model.OfflineScan {
		e.once, err = recordOnce(a.ID, RecordInput{MemberID: member, Status: model.Present, Nonce: in.Nonce})
	}
	if err != nil {
		return nil, err
	}
	e.item.MemberID = ref(member)
	e.item.Doubt(a.OpensAt, life)
	_ = errors.As(refusal, &e.refusal)
	if in.Malformed != "" {
		e.malformed(in)
	}
	return e, nil
}

// malformed refuses the entry whatever else it is. It is kept under a name of
// our own, which no phone can give.
func (e *offlineEntry) malformed(in *OfflineInput) {
	whole := digest(in.Malformed)[:22]
	e.item.Once = model.Once{Nonce: "." + whole, Fingerprint: whole}
	e.refusal = model.ErrItemMalformed
	switch {
	case in.ScannedAt.IsZero():
		e.item.ClientAt, e.item.Doubts = e.item.ReceivedAt, string(model.ClientUnreadable)
		e.refusal = model.ErrItemTime
	case in.Nonce == "":
		e.refusal = model.ErrItemNonce
	}
}

// recall fills in what is kept already.
func (s *OfflineItems) recall(tx *gorm.DB, actor *model.Actor, id uint64, entries []*offlineEntry) error {
	nonces := make([]string, len(entries))
	for i, e := range entries {
		nonces[i] = e.item.Nonce
	}
	var rows []model.OfflineItem
	if err := tx.Find(&rows, "activity_id = ? AND uploaded_by = ? AND nonce IN ?", id, actor.MemberID, nonces).Error; err != nil {
		return fmt.Errorf("find offline items of activity %d: %w", id, err)
	}
	known := make(map[string]*model.OfflineItem, len(rows))
	for i := range rows {
		known[rows[i].Nonce] = &rows[i]
	}
	for _, e := range entries {
		e.take(known[e.item.Nonce])
	}
	return nil
}

// take answers the entry with the item that is kept under its nonce, if any:
// that of another content keeps the place.
func (e *offlineEntry) take(kept *model.OfflineItem) {
	if kept == nil {
		return
	}
	e.stored = true
	if kept.Fingerprint == e.item.Fingerprint {
		e.item = *kept
		return
	}
	e.item.Settle(nil, nil, model.ErrKeyReused)
}

// makeRoom refuses more items than anybody has to send.
func (s *OfflineItems) makeRoom(tx *gorm.DB, actor *model.Actor, id uint64, more int) error {
	var kept int64
	if err := tx.Model(&model.OfflineItem{}).Where("activity_id = ? AND uploaded_by = ?", id, actor.MemberID).Count(&kept).Error; err != nil {
		return fmt.Errorf("count offline items of activity %d: %w", id, err)
	}
	if more > 0 && int(kept)+more > offlineMost {
		return model.ErrOfflineFull
	}
	return nil
}

// pace counts the wrong codes against their sender, as those sent with a network
// are. Beyond the limit the rest waits, and the refusal says how long.
func (s *OfflineItems) pace(ctx context.Context, actor *model.Actor, entries []*offlineEntry) ([]*offlineEntry, error) {
	for i, e := range entries {
		if !e.wrong() {
			continue
		}
		if err := s.checkIns.wrongCode(ctx, actor, nil); err != nil {
			return entries[:i], err
		}
	}
	return entries, nil
}

// keep decides and stores a group in one transaction. Somebody may have
// recorded one of its people, or sent the same group, in between: the next look
// finds that. It reports whether anybody came.
func (s *OfflineItems) keep(ctx context.Context, actor *model.Actor, id uint64, group []*offlineEntry) (came bool, err error) {
	for range offlineTries {
		var settled []offlineEntry
		settled, err = inTx(ctx, s.db, func(tx *gorm.DB) ([]offlineEntry, error) { return s.settle(tx, actor, id, group) })
		if errors.Is(err, gorm.ErrDuplicatedKey) {
			err = model.ErrUnavailable
			continue
		}
		if err != nil {
			return false, err
		}
		for i := range settled {
			came = came || settled[i].item.Refusal == ""
			*group[i] = settled[i]
		}
		return came, nil
	}
	return false, err
}

// settle is what becomes of a group. The group itself stays as it is: the
// transaction may be tried again.
func (s *OfflineItems) settle(tx *gorm.DB, actor *model.Actor, id uint64, group []*offlineEntry) ([]offlineEntry, error) {
	a, sides, err := jointly(tx, actor, id)
	if err != nil {
		return nil, err
	}
	conducts := slices.ContainsFunc(sides, func(side side) bool { return actor.Conducts(side.line) })
	if conducts {
		if a, err = lock[model.Activity](tx, id, model.ErrActivityNotFound); err != nil {
			return nil, err
		}
	}
	out := make([]offlineEntry, len(group))
	all, first := make([]*offlineEntry, len(group)), make(map[string]*offlineEntry, len(group))
	for i, e := range group {
		out[i] = *e
		all[i] = &out[i]
	}
	if err := s.recall(tx, actor, id, all); err != nil {
		return nil, err
	}
	for _, e := range all {
		if first[e.item.Nonce] == nil {
			first[e.item.Nonce] = e
		}
	}
	// In the order in which arrivals are written, so that the two do not deadlock.
	order := slices.Clone(all)
	slices.SortStableFunc(order, func(x, y *offlineEntry) int { return cmp.Compare(deref(x.item.MemberID), deref(y.item.MemberID)) })
	for _, e := range order {
		if e.stored || first[e.item.Nonce] != e {
			continue
		}
		if err := s.settleOne(tx, actor, a, sides, conducts, e); err != nil {
			return nil, err
		}
	}
	var rows []*model.OfflineItem
	for _, e := range all {
		if !e.stored && first[e.item.Nonce] == e {
			rows = append(rows, &e.item)
		}
	}
	if len(rows) > 0 {
		if err := tx.Create(rows).Error; err != nil {
			return nil, fmt.Errorf("keep %d offline items: %w", len(rows), err)
		}
	}
	if err := auditOffline(tx, actor, a, rows); err != nil {
		return nil, err
	}
	for _, e := range all {
		if once := first[e.item.Nonce]; !e.stored && once != e { // the same nonce again in one batch
			e.take(&once.item)
		}
	}
	for i := range out {
		out[i].stored = true
	}
	return out, nil
}

// auditOffline notes what somebody recorded of others. A member's own scan is
// its own record.
func auditOffline(tx *gorm.DB, actor *model.Actor, a *model.Activity, rows []*model.OfflineItem) error {
	recorded := 0
	for _, item := range rows {
		if item.Kind != model.OfflineScan && item.Refusal == "" {
			recorded++
		}
	}
	if recorded == 0 {
		return nil
	}
	return auditBy(tx, rows[0].ReceivedAt, actor, "record_offline", "activity", a.ID, "ok", map[string]any{"recorded": recorded})
}

// settleOne records the arrival, or notes in the item why not.
func (s *OfflineItems) settleOne(tx *gorm.DB, actor *model.Actor, a *model.Activity, all sides, conducts bool, e *offlineEntry) error {
	t, err := s.decide(tx, actor, a, all, conducts, e)
	if err == nil && t.ID == 0 {
		err = tx.Create(t).Error
	}
	var refusal *model.Error
	if err != nil && !errors.As(err, &refusal) {
		return fmt.Errorf("settle offline item: %w", err)
	}
	e.item.Settle(a, t, refusal)
	return nil
}

// decide is the row that an item makes or made, or the refusal.
func (s *OfflineItems) decide(tx *gorm.DB, actor *model.Actor, a *model.Activity, all sides, conducts bool, e *offlineEntry) (*model.Attendance, error) {
	item := &e.item
	switch {
	case item.Kind == model.OfflineUnclear:
		return nil, e.refusal
	case item.Kind != model.OfflineScan && !conducts:
		item.MemberID = nil // a number that anybody could write
		return nil, model.ErrNotConductor
	case item.MemberID == nil:
		return nil, e.refusal
	}
	own, err := standingOf(tx, a.ID, *item.MemberID)
	if err != nil {
		return nil, err
	}
	if own.Entry != nil {
		item.BranchID = own.Entry.BranchID
	} else if item.Kind == model.OfflineScan {
		item.BranchID = actor.BranchID
	}
	if err := s.mayRecord(tx, actor, a, all, own, item); err != nil {
		return nil, err
	}
	if e.refusal != nil {
		return nil, e.refusal
	}
	for _, held := range own.Days {
		if replay, err := held.Replays(e.once); replay || err != nil {
			return held, err
		}
	}
	at := item.When(a.OpensAt)
	day := a.CheckInDay(at, s.checkIns.zone())
	if err := item.Admit(a, own.On(day), own.Entry != nil, at); err != nil {
		return nil, err
	}
	if item.Kind == model.OfflineScan && e.epoch != a.CodeEpoch {
		return nil, model.ErrCodeExpired
	}
	if err := refuseTakenBack(tx, a.ID, *item.MemberID, item.Nonce, at); err != nil {
		return nil, err
	}
	t := &model.Attendance{ActivityID: a.ID, MemberID: *item.MemberID, BranchID: item.BranchID, Day: day, Status: model.Present, Provenance: model.ByOffline,
		At: at, Location: model.LocationNotGiven, Guest: own.Entry == nil, Once: e.once}
	if !at.Equal(item.ReceivedAt) {
		t.RecordedAt = &item.ReceivedAt
	}
	if item.Kind != model.OfflineScan {
		t.RecordedBy = &actor.MemberID
	}
	if item.Kind == model.OfflineTick {
		t.Provenance = model.ByOfflineTick
	}
	return t, nil
}

// mayRecord refuses what those who conduct the meeting could not record with a
// network either, and finds the branch that a guest is from.
func (s *OfflineItems) mayRecord(tx *gorm.DB, actor *model.Actor, a *model.Activity, all sides, own *model.Standing, item *model.OfflineItem) error {
	if item.Kind == model.OfflineScan {
		return nil
	}
	by := model.ByTick
	if item.Kind == model.OfflineMemberCode {
		by = model.ByMemberCode
	}
	branch, err := s.meetings.branchOf(tx, actor, a, *item.MemberID, own, by)
	if err != nil {
		return err
	}
	if err := all.mayRecord(actor, branch, true); err != nil {
		return err
	}
	if _, err := find[model.Member](tx, *item.MemberID, model.ErrNotOnRoster); err != nil {
		return err
	}
	item.BranchID = branch
	return nil
}

// refuseTakenBack refuses an arrival that would bring back what somebody took
// back after it: the same one, or an earlier one that a phone still had.
func refuseTakenBack(tx *gorm.DB, activityID, memberID uint64, nonce string, at time.Time) error {
	var rows int64
	err := tx.Model(&model.Attendance{}).Where("activity_id = ? AND member_id = ? AND voided <> 0 AND status = ? AND (nonce = ? OR voided_at > ?)",
		activityID, memberID, model.Present, nonce, at).Count(&rows).Error
	switch {
	case err != nil:
		return fmt.Errorf("find annulled attendance of member %d: %w", memberID, err)
	case rows > 0:
		return model.ErrAnnulled
	}
	return nil
}

// answers is what became of the entries, with names.
func answers(tx *gorm.DB, entries []*offlineEntry) (*OfflineAnswers, error) {
	people := make([]uint64, 0, len(entries))
	for _, e := range entries {
		people = append(people, deref(e.item.MemberID))
	}
	names, err := namesOf(tx, people)
	if err != nil {
		return nil, err
	}
	out := &OfflineAnswers{Items: make([]OfflineAnswer, len(entries))}
	for i, e := range entries {
		toThemself := e.item.Kind == model.OfflineScan || e.item.Refusal == model.ErrNotConductor.Code
		out.Items[i] = OfflineAnswer{Index: e.index, OfflineOutcome: offlineOutcome(&e.item, names, toThemself)}
		if out.Items[i].Accepted {
			out.Accepted++
		} else {
			out.Refused++
		}
	}
	return out, nil
}

func offlineOutcome(item *model.OfflineItem, names map[uint64]string, toThemself bool) OfflineOutcome {
	out := OfflineOutcome{Nonce: item.Nonce, Accepted: item.Refusal == "", Code: cmp.Or(item.Refusal, "ok"), Message: item.Sentence(toThemself), Kind: item.Kind,
		ClientAt: item.ClientAt, ReceivedAt: item.ReceivedAt, At: item.FactAt, Late: item.Late, Doubts: item.Doubted()}
	if item.Kind == model.OfflineTick || item.Named() {
		out.MemberID = deref(item.MemberID)
	}
	if item.Named() {
		out.Name = names[deref(item.MemberID)]
	}
	return out
}

// OfflineScope is which items a list holds.
type OfflineScope string

// The scopes.
const (
	OfflineRefused OfflineScope = "refused"
	OfflineAll     OfflineScope = "all"
)

// OfflinePage is a part of the items of an activity, in the order of arrival.
type OfflinePage struct {
	Items []OfflineLine `json:"items"`
	Next  string        `json:"next,omitempty" doc:"下一页的 cursor；没有就是到底了"`
}

// OfflineLine is one item in the list.
type OfflineLine struct {
	ID         uint64 `json:"id"`
	UploadedBy string `json:"uploaded_by" doc:"谁补传的"`
	OfflineOutcome
	IssuedAt *time.Time `json:"issued_at" doc:"码上由服务器签的时间；没有就是没有码，或码无效"`
	Remark   string     `json:"remark,omitempty" doc:"手机时间的可疑之处，可以直接显示"`
	Present  bool       `json:"present" doc:"这个人现在已记为到会"`
}

// List is what was noted without a network and sent afterwards, with what became
// of it: what was refused, unless all is asked for. For those who conduct the
// meeting; those of a branch that meets with them see their own people and what
// they sent themselves. Cursor continues an earlier page.
func (s *OfflineItems) List(ctx context.Context, actor *model.Actor, id uint64, scope OfflineScope, cursor string, limit int) (*OfflinePage, error) {
	after, err := readPlace(cursor)
	if err != nil {
		return nil, err
	}
	db := s.db.WithContext(ctx)
	_, all, err := jointly(db, actor, id)
	if err != nil {
		return nil, err
	}
	rows := db.Where("activity_id = ? AND id > ?", id, after)
	if scope != OfflineAll {
		rows = rows.Where("refusal <> ''")
	}
	if !actor.Conducts(all[0].line) {
		var partners []uint64
		for _, partner := range all[1:] {
			if actor.Conducts(partner.line) {
				partners = append(partners, partner.partner)
			}
		}
		if len(partners) == 0 {
			return nil, model.ErrNotConductor
		}
		rows = rows.Where("branch_id IN ? OR uploaded_by = ?", partners, actor.MemberID)
	}
	var items []model.OfflineItem
	if err := rows.Order("id").Limit(limit + 1).Find(&items).Error; err != nil {
		return nil, fmt.Errorf("offline items of activity %d: %w", id, err)
	}
	page := &OfflinePage{Items: []OfflineLine{}}
	if len(items) > limit {
		items = items[:limit]
		page.Next = writePlace(items[limit-1].ID)
	}
	var people []uint64
	for i := range items {
		people = append(people, deref(items[i].MemberID), items[i].UploadedBy)
	}
	names, err := namesOf(db, people)
	if err != nil {
		return nil, err
	}
	present, err := presentAmong(db, id, people)
	if err != nil {
		return nil, err
	}
	for i := range items {
		item := &items[i]
		line := OfflineLine{ID: item.ID, UploadedBy: names[item.UploadedBy], OfflineOutcome: offlineOutcome(item, names, false), IssuedAt: item.IssuedAt}
		line.Present = item.Named() && present[deref(item.MemberID)]
		for n, d := range item.Doubted() {
			if n > 0 {
				line.Remark += "；"
			}
			line.Remark += model.OfflineDoubtNames[d]
		}
		page.Items = append(page.Items, line)
	}
	return page, nil
}

// presentAmong is who of the people is on record as present.
func presentAmong(tx *gorm.DB, activityID uint64, people []uint64) (map[uint64]bool, error) {
	var ids []uint64
	err := tx.Model(&model.Attendance{}).Where("activity_id = ? AND voided = 0 AND status = ? AND member_id IN ?", activityID, model.Present, append(people, 0)).
		Pluck("member_id", &ids).Error
	if err != nil {
		return nil, fmt.Errorf("who is present at activity %d: %w", activityID, err)
	}
	present := make(map[uint64]bool, len(ids))
	for _, id := range ids {
		present[id] = true
	}
	return present, nil
}
