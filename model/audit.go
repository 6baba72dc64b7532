package model

import "time"

// AuditEntry is one sensitive act: who did what to which row, with what
// result. It carries ids, never names, phones or codes.
type AuditEntry struct {
	ID        uint64
	At        time.Time
	AccountID uint64
	MemberID  uint64
	Action    string // such as "bind", "revoke_sessions", "grant_post"
	Object    string // table and id, such as "member/12"
	Result    string // "ok" or a refusal's code
	Details   string // JSON
}
