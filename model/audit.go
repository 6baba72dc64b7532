package model

import (
	"encoding/json"
	"errors"
	"time"
)

// AuditEntry is one sensitive act: who did what to which row, from where, with
// what result. It carries ids, never names, phones or codes. Entries are only
// ever added.
type AuditEntry struct {
	ID        uint64
	At        time.Time
	AccountID uint64
	MemberID  uint64
	Action    string // such as "bind", "revoke_sessions", "grant_post"
	Object    string // table and id, such as "member/12"
	Result    string // "ok" or a refusal's code
	Details   string // JSON
	Address   string // of the caller; empty for who works on the machine itself
}

// Canonical is the entry in the one form that is sealed.
func (e *AuditEntry) Canonical() (string, error) {
	raw, err := json.Marshal([]any{e.ID, e.At.UnixMilli(), e.AccountID, e.MemberID, e.Action, e.Object, e.Result, e.Details, e.Address})
	return string(raw), err
}

// AuditSeal is one link of the chain over the audit: Hash is a keyed digest of
// the hash before it and of the entry, so that nobody without the key alters,
// takes away or puts in an entry unseen. The chain has an order of its own,
// because entries commit in another order than that of their ids.
type AuditSeal struct {
	Seq     uint64 `gorm:"primaryKey;autoIncrement:false"`
	EntryID uint64
	At      time.Time
	Hash    string
}

// AuditCut is where the chain begins after entries that were old enough went:
// the last seal that went with them. Mac shows that we cut it.
type AuditCut struct {
	Seq  uint64 `gorm:"primaryKey;autoIncrement:false"`
	At   time.Time
	Hash string
	Mac  string
}

// AppendOnly are the tables to which the replicas only ever add.
var AppendOnly = []string{"audit_entries", "audit_seals", "audit_cuts"}

// How the audit is kept and judged.
const (
	LeastAuditKeeping = 180 * 24 * time.Hour // six months by 网络安全法
	SealGrace         = 2 * time.Minute      // by then an entry is sealed
	LateSeal          = 10 * time.Minute     // longer than any transaction of ours
)

// ErrAuditKeeping refuses to throw the audit away too early.
var ErrAuditKeeping = errors.New("the audit is kept for 180 days at least")
