package service

import (
	crand "crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// platformRefusal turns a platform error into what the caller may know: a bad
// code is refused with bad, anything else means that WeChat is away.
func platformRefusal(err error, bad *model.Error) error {
	var e interface{ Kind() string }
	if !errors.As(err, &e) {
		return fmt.Errorf("platform: %w", err)
	}
	switch e.Kind() {
	case "bad_code", "bad_data", "bad_recipient":
		return bad
	case "risky":
		return model.ErrRiskySignIn
	case "config":
		return fmt.Errorf("platform: %w", err)
	}
	return model.ErrPlatformAway
}

// audit writes a sensitive act in the act's own transaction.
func audit(tx *gorm.DB, now time.Time, accountID, memberID uint64, action, table string, id uint64, result string, details any) error {
	text := ""
	if details != nil {
		raw, err := json.Marshal(details)
		if err != nil {
			return fmt.Errorf("audit %s: %w", action, err)
		}
		text = string(raw)
	}
	row := model.AuditEntry{At: now, AccountID: accountID, MemberID: memberID, Action: action,
		Object: fmt.Sprintf("%s/%d", table, id), Result: result, Details: text}
	if err := tx.Create(&row).Error; err != nil {
		return fmt.Errorf("audit %s: %w", action, err)
	}
	return nil
}

func auditBy(tx *gorm.DB, now time.Time, actor *model.Actor, action, table string, id uint64, result string, details any) error {
	return audit(tx, now, actor.AccountID, actor.MemberID, action, table, id, result, details)
}

// randomSource is the system's random source for math/rand/v2.
type randomSource struct{}

func (randomSource) Uint64() uint64 {
	var b [8]byte
	_, _ = crand.Read(b[:]) // never fails since Go 1.24
	return binary.LittleEndian.Uint64(b[:])
}

func chunks[T any](all []T, size int) [][]T {
	var out [][]T
	for len(all) > size {
		out, all = append(out, all[:size]), all[size:]
	}
	if len(all) > 0 {
		out = append(out, all)
	}
	return out
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
