package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"gorm.io/gorm"

	"dangri/model"
)

// Audit is the record of sensitive acts. An act writes its entry in its own
// transaction and waits for nobody; a moment later the entry is sealed into a
// chain, so that afterwards none can be altered, taken away or put in between
// without being found.
type Audit struct {
	db     *gorm.DB
	key    []byte
	period time.Duration
	now    func() time.Time
	log    *slog.Logger
	pace   buckets

	mu    sync.Mutex // one pass at a time
	floor uint64     // every entry up to here has its seal
	marks []sealMark
	whole time.Time // when every entry was last looked at
}

// sealMark is how far everything was sealed at a moment. Entries of smaller
// numbers may still commit for a while.
type sealMark struct {
	at  time.Time
	top uint64
}

const (
	sealPeriod   = time.Second
	sealPatience = 5 * time.Second // for the last time, while the service stops
	sealBatch    = 500
	sealRange    = 100_000   // entries looked at in one query
	sealWhole    = time.Hour // how often every entry is looked at, so that none is missed for ever
)

// Refused notes that somebody asked for what is not theirs, and how that was
// refused: at most a few a minute for each person and operation, as who tries
// often shall not fill the record.
func (s *Audit) Refused(ctx context.Context, actor *model.Actor, operation, path string, refusal *model.Error) {
	if refusal.Kind != model.Forbidden && refusal.Kind != model.NotFound {
		return
	}
	if !s.pace.take(strconv.FormatUint(actor.AccountID, 10)+":"+operation, rate.Every(time.Minute), refusalBurst) {
		return
	}
	path = mobileNumber.ReplaceAllStringFunc(path, maskPhone)
	err := auditBy(s.db.WithContext(context.WithoutCancel(ctx)), s.now(), actor, "refused", "account", actor.AccountID, refusal.Code,
		map[string]string{"operation": operation, "path": path[:min(len(path), 200)]})
	if err != nil {
		s.log.WarnContext(ctx, "audit of a refusal", "error", err)
	}
}

// mobileNumber is a phone number that somebody put where an id belongs: the
// record carries none.
var mobileNumber = regexp.MustCompile(`\b1[3-9][0-9]{9}\b`)

// refusalBurst is how many refusals of one operation to one person are noted
// at once; after that one a minute.
const refusalBurst = 5

// keepSealing seals what was written until ctx ends, and once more then: where no
// other replica runs, nobody else does before it is late. Any number of replicas
// do so at once.
func (s *Audit) keepSealing(ctx context.Context) error {
	tick := time.NewTicker(s.period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), sealPatience)
			defer cancel()
			s.logged(last, s.SealNewest(last))
			return nil
		case <-tick.C:
		}
		if _, err := s.Seal(ctx); ctx.Err() == nil {
			s.logged(ctx, err)
		}
	}
}

func (s *Audit) logged(ctx context.Context, err error) {
	if err != nil && !StoreAway(err) {
		s.log.ErrorContext(ctx, "seal the audit", "error", err)
	}
}

// Seal seals every entry that has none, and says how many it sealed. Of several
// at once the chain's own keys let one through; the others begin again.
func (s *Audit) Seal(ctx context.Context) (sealed int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	db, now := s.db.WithContext(ctx), s.now()
	var top uint64
	if err := db.Model(&model.AuditEntry{}).Select("COALESCE(MAX(id), 0)").Scan(&top).Error; err != nil {
		return 0, fmt.Errorf("newest audit entry: %w", err)
	}
	if now.Sub(s.whole) >= sealWhole {
		s.floor, s.marks = 0, nil
	}
	for from := s.floor; from < top; {
		to, err := s.stretch(db, from, top)
		if err != nil {
			return sealed, err
		}
		n, err := s.sealRange(db, from, to)
		sealed += n
		if err != nil {
			return sealed, err
		}
		from = to
	}
	if now.Sub(s.whole) >= sealWhole {
		s.whole = now
	}
	for len(s.marks) > 0 && now.Sub(s.marks[0].at) >= model.LateSeal {
		s.floor, s.marks = s.marks[0].top, s.marks[1:]
	}
	if len(s.marks) == 0 || s.marks[len(s.marks)-1].top != top {
		s.marks = append(s.marks, sealMark{now, top})
	}
	return sealed, nil
}

// stretch is how far one query looks: over so many entries, not so many
// numbers, as an entry may have been given any.
func (s *Audit) stretch(db *gorm.DB, from, top uint64) (uint64, error) {
	var to []uint64
	err := db.Model(&model.AuditEntry{}).Where("id > ? AND id <= ?", from, top).Order("id").Offset(sealRange).Limit(1).Pluck("id", &to).Error
	if err != nil || len(to) == 0 {
		return top, wrapped(err, "stretch of audit entries")
	}
	return to[0], nil
}

// SealNewest seals what was written just now, however much that is, without a
// look at older entries: it goes back until it finds nothing without a seal.
func (s *Audit) SealNewest(ctx context.Context) error {
	db := s.db.WithContext(ctx)
	var top uint64
	if err := db.Model(&model.AuditEntry{}).Select("COALESCE(MAX(id), 0)").Scan(&top).Error; err != nil {
		return fmt.Errorf("newest audit entry: %w", err)
	}
	from := top
	for from > 0 {
		before := from - min(from, sealBatch)
		var left int64
		err := db.Raw("SELECT COUNT(*) FROM audit_entries e LEFT JOIN audit_seals s ON s.entry_id = e.id WHERE e.id > ? AND e.id <= ? AND s.seq IS NULL", before, from).Scan(&left).Error
		if err != nil {
			return fmt.Errorf("entries without a seal: %w", err)
		}
		if left == 0 {
			break
		}
		from = before
	}
	_, err := s.sealRange(db, from, top)
	return err
}

// sealRange seals the entries with numbers in (from, to]. The last seal is read
// before the entries, and all new ones go in by one statement: whoever was
// quicker has taken the next number, and then nothing of ours is kept.
func (s *Audit) sealRange(db *gorm.DB, from, to uint64) (sealed int, err error) {
	for {
		seq, hash, err := s.head(db)
		if err != nil {
			return sealed, err
		}
		var entries []model.AuditEntry
		err = db.Raw("SELECT e.* FROM audit_entries e LEFT JOIN audit_seals s ON s.entry_id = e.id WHERE e.id > ? AND e.id <= ? AND s.seq IS NULL ORDER BY e.id LIMIT ?",
			from, to, sealBatch).Scan(&entries).Error
		if err != nil || len(entries) == 0 {
			return sealed, wrapped(err, "entries without a seal")
		}
		now := s.now()
		seals := make([]model.AuditSeal, len(entries))
		for i := range entries {
			seq++
			if hash, err = s.link(seq, hash, &entries[i]); err != nil {
				return sealed, err
			}
			seals[i] = model.AuditSeal{Seq: seq, EntryID: entries[i].ID, At: now, Hash: hash}
		}
		err = db.Create(&seals).Error
		switch {
		case err == nil:
			sealed += len(seals)
		case errors.Is(err, gorm.ErrDuplicatedKey), collided(err): // another replica has just sealed
		default:
			return sealed, fmt.Errorf("seal %d audit entries: %w", len(seals), err)
		}
	}
}

func wrapped(err error, what string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// head is the end of the chain: number and hash of the last seal, of the cut
// where none is left, zero where nothing was ever sealed.
func (s *Audit) head(db *gorm.DB) (seq uint64, hash string, err error) {
	var last model.AuditSeal
	if err := db.Order("seq DESC").Limit(1).Find(&last).Error; err != nil {
		return 0, "", fmt.Errorf("last seal: %w", err)
	}
	if last.Seq != 0 {
		return last.Seq, last.Hash, nil
	}
	cut, err := s.cut(db)
	return cut.Seq, cut.Hash, err
}

// cut is where the chain begins.
func (s *Audit) cut(db *gorm.DB) (cut model.AuditCut, err error) {
	return cut, wrapped(db.Order("seq DESC").Limit(1).Find(&cut).Error, "cut of the audit")
}

func (s *Audit) link(seq uint64, before string, e *model.AuditEntry) (string, error) {
	text, err := e.Canonical()
	if err != nil {
		return "", fmt.Errorf("canonical form of audit entry %d: %w", e.ID, err)
	}
	return mac(s.key, "audit seal", fmt.Sprint(seq, "|", before, "|", text)), nil
}

func (s *Audit) cutMac(seq uint64, hash string) string {
	return mac(s.key, "audit cut", fmt.Sprint(seq, "|", hash))
}

// Unsealed is how long the oldest entry without a seal has waited for it.
func (s *Audit) Unsealed(ctx context.Context) (time.Duration, error) {
	s.mu.Lock()
	floor := s.floor
	s.mu.Unlock()
	var oldest []model.AuditEntry
	err := s.db.WithContext(ctx).Raw("SELECT e.* FROM audit_entries e LEFT JOIN audit_seals s ON s.entry_id = e.id WHERE e.id > ? AND s.seq IS NULL ORDER BY e.id LIMIT 1", floor).Scan(&oldest).Error
	if err != nil || len(oldest) == 0 {
		return 0, wrapped(err, "oldest entry without a seal")
	}
	return max(0, s.now().Sub(oldest[0].At)), nil
}

// AuditProblem is one thing that is wrong with the record.
type AuditProblem struct {
	Entry uint64 // 0: it is about a seal alone
	Seal  uint64 // 0: there is none
	What  string
}

// String says it in one line.
func (p AuditProblem) String() string {
	switch {
	case p.Seal == 0 && p.Entry == 0:
		return p.What
	case p.Seal == 0:
		return fmt.Sprintf("第 %d 条：%s", p.Entry, p.What)
	case p.Entry == 0:
		return fmt.Sprintf("封存 %d：%s", p.Seal, p.What)
	}
	return fmt.Sprintf("第 %d 条（封存 %d）：%s", p.Entry, p.Seal, p.What)
}

// AuditReport is what came of verifying the record.
type AuditReport struct {
	Entries  int    // that were found as they were sealed
	Waiting  int    // written just now, whose seal is still to come
	Head     string // of the chain; kept elsewhere, it shows later whether the end was cut off
	Problems []AuditProblem
}

// mostProblems are told; a record that is wrong throughout needs no longer list.
const mostProblems = 100

func (r *AuditReport) add(entry, seal uint64, format string, args ...any) {
	if len(r.Problems) < mostProblems {
		r.Problems = append(r.Problems, AuditProblem{entry, seal, fmt.Sprintf(format, args...)})
	}
}

// sealedEntry is a link of the chain with its entry, whose ID is 0 where it is gone.
type sealedEntry struct {
	model.AuditSeal
	Entry model.AuditEntry
}

// Verify goes along the whole chain and finds what was altered, taken away or
// put in since it was sealed, and what has no seal although it is time. Head
// is what an earlier report said, or empty: without it a chain whose end was
// cut off together with its entries looks like a shorter one.
func (s *Audit) Verify(ctx context.Context, head string) (*AuditReport, error) {
	db, r := s.db.WithContext(ctx), &AuditReport{}
	cut, err := s.cut(db)
	if err != nil {
		return nil, err
	}
	if cut.Seq != 0 && cut.Mac != s.cutMac(cut.Seq, cut.Hash) {
		r.add(0, cut.Seq, "链的起点不是本系统写的")
	}
	seq, hash, reached := cut.Seq, cut.Hash, head == "" || head == chainHead(cut.Seq, cut.Hash)
	var began time.Time
	err = s.eachSealed(db, func(e *sealedEntry) error {
		if began.IsZero() {
			began = e.At
		}
		switch {
		case e.Seq <= cut.Seq:
			r.add(e.EntryID, e.Seq, "在链的起点之前")
			return nil
		case e.Seq != seq+1:
			r.add(0, seq+1, "不见了（直到封存 %d）", e.Seq-1)
		default:
			if err := s.judge(r, e, hash, began); err != nil {
				return err
			}
		}
		seq, hash = e.Seq, e.Hash
		reached = reached || head == chainHead(seq, hash)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !reached {
		r.add(0, 0, "链的末尾被截断，或不是同一条链：找不到 %s", head)
	}
	r.Head = chainHead(seq, hash)
	return r, s.verifyUnsealed(db, r)
}

// judge compares an entry with its seal. What was sealed much later than it
// happened was put in afterwards, unless nothing was there to seal it; what was
// there before the chain began was sealed with its beginning.
func (s *Audit) judge(r *AuditReport, e *sealedEntry, before string, began time.Time) error {
	if e.Entry.ID == 0 {
		r.add(e.EntryID, e.Seq, "被删除")
		return nil
	}
	e.Entry.At = e.Entry.At.UTC()
	want, err := s.link(e.Seq, before, &e.Entry)
	if err != nil {
		return err
	}
	late := e.At.Sub(e.Entry.At)
	switch {
	case want != e.Hash:
		r.add(e.EntryID, e.Seq, "被改动")
	case late > model.LateSeal && (!e.Entry.At.Before(began) || e.At.Sub(began) > sealWhole):
		r.add(e.EntryID, e.Seq, "记录的时间比封存早 %s：可能是后来插入的，也可能当时服务没有运行，请核对", late.Round(time.Second))
	default:
		r.Entries++
	}
	return nil
}

func (s *Audit) verifyUnsealed(db *gorm.DB, r *AuditReport) error {
	now := s.now()
	var after uint64
	for {
		var rows []model.AuditEntry
		err := db.Raw("SELECT e.* FROM audit_entries e LEFT JOIN audit_seals s ON s.entry_id = e.id WHERE e.id > ? AND s.seq IS NULL ORDER BY e.id LIMIT ?", after, sealBatch).Scan(&rows).Error
		if err != nil || len(rows) == 0 {
			return wrapped(err, "entries without a seal")
		}
		for i := range rows {
			after = rows[i].ID
			if now.Sub(rows[i].At) <= model.SealGrace {
				r.Waiting++
				continue
			}
			r.add(rows[i].ID, 0, "没有封存：可能是后来插入的，或封存被删除")
		}
	}
}

func chainHead(seq uint64, hash string) string { return fmt.Sprint(seq, ":", hash) }

// eachSealed calls f with every link, in the chain's order.
func (s *Audit) eachSealed(db *gorm.DB, f func(*sealedEntry) error) error {
	for after := uint64(0); ; {
		var seals []model.AuditSeal
		if err := db.Order("seq").Limit(sealBatch).Find(&seals, "seq > ?", after).Error; err != nil || len(seals) == 0 {
			return wrapped(err, "read the chain of the audit")
		}
		ids := make([]uint64, len(seals))
		for i := range seals {
			ids[i] = seals[i].EntryID
		}
		var rows []model.AuditEntry
		if err := db.Find(&rows, "id IN ?", ids).Error; err != nil {
			return fmt.Errorf("read the audit: %w", err)
		}
		entries := make(map[uint64]model.AuditEntry, len(rows))
		for i := range rows {
			entries[rows[i].ID] = rows[i]
		}
		for i := range seals {
			after = seals[i].Seq
			if err := f(&sealedEntry{seals[i], entries[seals[i].EntryID]}); err != nil {
				return err
			}
		}
	}
}

// auditLine is an entry as it is exported.
type auditLine struct {
	Seal      uint64          `json:"seal"`
	Hash      string          `json:"hash"`
	ID        uint64          `json:"id"`
	At        time.Time       `json:"at"`
	AccountID uint64          `json:"account_id"`
	MemberID  uint64          `json:"member_id"`
	Action    string          `json:"action"`
	Object    string          `json:"object"`
	Result    string          `json:"result"`
	Address   string          `json:"address"`
	Details   json.RawMessage `json:"details,omitempty"`
}

// Export writes every sealed entry as a line of JSON, in the chain's order, and
// notes that it did.
func (s *Audit) Export(ctx context.Context, actor *model.Actor, to io.Writer) error {
	if !actor.Operates() {
		return model.ErrForbidden
	}
	db, out := s.db.WithContext(ctx), json.NewEncoder(to)
	if err := auditBy(db, s.now(), actor, "export_audit", "audit", 0, "ok", nil); err != nil {
		return err
	}
	return s.eachSealed(db, func(e *sealedEntry) error {
		if e.Entry.ID == 0 {
			return nil // verifying tells of it
		}
		a := &e.Entry
		return out.Encode(auditLine{e.Seq, e.Hash, a.ID, a.At.UTC(), a.AccountID, a.MemberID, a.Action, a.Object, a.Result, a.Address, json.RawMessage(a.Details)})
	})
}
