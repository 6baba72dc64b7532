package service

import (
	crand "crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

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

// cleanText is a text as it is kept: trimmed, without control, invisible and
// direction-changing characters. Line breaks stay.
func cleanText(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, text))
}

// writeCursor and readCursor carry a place in a list ordered by time and id.
func writeCursor(at time.Time, id uint64) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%d", at.UnixMilli(), id))
}

func readCursor(cursor string) (at time.Time, id uint64, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	var ms int64
	if err == nil {
		_, err = fmt.Sscanf(string(raw), "%d.%d", &ms, &id)
	}
	if err != nil || ms < 0 || ms > 1<<43 {
		return at, 0, model.BadField("cursor", "翻页位置无效，请从头刷新")
	}
	return time.UnixMilli(ms).UTC(), id, nil
}
