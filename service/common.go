package service

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

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

// checkText refuses a text that WeChat's content check does not pass. What
// cannot be checked now is not published now.
func checkText(ctx context.Context, platform Platform, actor *model.Actor, text string) error {
	verdict, err := platform.CheckText(ctx, actor.OpenID, text)
	switch {
	case err != nil:
		return platformRefusal(err, model.ErrReenter) // WeChat checks texts only of who was there in the last two hours
	case verdict == "risky":
		return model.ErrTextRisky
	case verdict != "pass":
		return model.ErrTextReview
	}
	return nil
}

// checkUrgent is checkText of why something is called off: people must not stand
// before a closed door because WeChat does not answer.
func checkUrgent(ctx context.Context, platform Platform, actor *model.Actor, text string) error {
	if err := checkText(ctx, platform, actor, text); !errors.Is(err, model.ErrPlatformAway) {
		return err
	}
	return nil
}

// auditBy writes a sensitive act in the act's own transaction.
func auditBy(tx *gorm.DB, now time.Time, actor *model.Actor, action, table string, id uint64, result string, details any) error {
	text := ""
	if details != nil {
		raw, err := json.Marshal(details)
		if err != nil {
			return fmt.Errorf("audit %s: %w", action, err)
		}
		text = string(raw)
	}
	row := model.AuditEntry{At: now, AccountID: actor.AccountID, MemberID: actor.MemberID, Action: action,
		Object: fmt.Sprintf("%s/%d", table, id), Result: result, Details: text, Address: plainAddress(actor.Address)}
	if err := tx.Create(&row).Error; err != nil {
		return fmt.Errorf("audit %s: %w", action, err)
	}
	return nil
}

// plainAddress is an IP address as it is kept, without the zone of a link.
func plainAddress(text string) string {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return ""
	}
	return address.WithZone("").Unmap().String()
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

// maxMarks is how many combining marks a character keeps. No script in use
// needs more on one; piled up they run over the lines around them.
const maxMarks = 4

// cleanText is a text as it is kept: trimmed, without control, invisible and
// direction-changing characters, and without marks that stand on nothing or
// are piled up. Line breaks stay.
func cleanText(text string) string {
	marks := maxMarks // on the character before; at the start there is none to stand on
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r) && (r == '\n' || r == '\t' || !unicode.IsControl(r)):
			marks = maxMarks
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r), r == unicode.ReplacementChar:
			return -1
		case !unicode.IsMark(r):
			marks = 0
		case marks == maxMarks:
			return -1
		default:
			marks++
		}
		return r
	}, text))
}

// cleanLine is cleanText in one line.
func cleanLine(text string) string { return strings.Join(strings.Fields(cleanText(text)), " ") }

// cleanReason is a reason as it is kept, or refused where it says nothing.
func cleanReason(text string) (string, error) {
	reason := cleanLine(text)
	if utf8.RuneCountInString(reason) < 2 {
		return "", model.BadField("reason", "请写明原因，至少两个字")
	}
	return reason, nil
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
	at = time.UnixMilli(ms).UTC()
	if err != nil || ms < 0 || ms > 1<<43 || id > math.MaxInt64 || writeCursor(at, id) != cursor {
		return time.Time{}, 0, model.BadField("cursor", "翻页位置无效，请从头刷新")
	}
	return at, id, nil
}

// taken turns a duplicate key into the refusal that explains it.
func taken(err error, refusal *model.Error) error {
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return refusal
	}
	return err
}

// ref is a pointer to an id, nil for zero.
func ref(id uint64) *uint64 {
	if id == 0 {
		return nil
	}
	return &id
}

// monthOf is the month that is written 2026-11: its first moment and that of the
// next one.
func monthOf(text string, zone *time.Location) (from, until time.Time, err error) {
	from, err = time.ParseInLocation("2006-01", text, zone)
	if err != nil || from.Year() < 2000 || from.Year() > 2100 {
		return from, from, model.BadField("month", "月份应为 2026-11 的形式")
	}
	return from, from.AddDate(0, 1, 0), nil
}

func writePlace(id uint64) string { return strconv.FormatUint(id, 10) }

func readPlace(cursor string) (uint64, error) {
	if cursor == "" {
		return 0, nil
	}
	id, err := strconv.ParseUint(cursor, 10, 63)
	if err != nil {
		return 0, model.BadField("cursor", "翻页位置无效，请从头刷新")
	}
	return id, nil
}

// namesOf is the names of members by id.
func namesOf(tx *gorm.DB, ids []uint64) (map[uint64]string, error) {
	return namesIn(tx, "members", ids)
}

// namesIn is the names in a table by id.
func namesIn(tx *gorm.DB, table string, ids []uint64) (map[uint64]string, error) {
	var rows []struct {
		ID   uint64
		Name string
	}
	if err := tx.Table(table).Select("id", "name").Find(&rows, "id IN ?", append(ids, 0)).Error; err != nil {
		return nil, fmt.Errorf("names of %d %s: %w", len(ids), table, err)
	}
	names := make(map[uint64]string, len(rows))
	for _, r := range rows {
		names[r.ID] = r.Name
	}
	return names, nil
}
