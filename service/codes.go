package service

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"dangri/model"
)

// codes makes and proves the codes that say "I am here": the rotating code on
// the screen, the six digits under it and a member's own code. All are signed
// by the server and kept nowhere.
type codes struct {
	key      []byte
	settings Settings
}

// The lengths of a signature: 12 characters are 72 bit, for a code that dies in a
// minute; 22 are 132 bit, for a pass that opens something from anywhere.
const (
	macSize  = 12
	passSize = 22
)

// screen is the code that the screens of an activity show at now, with the
// moment it changes. It is at most 32 characters of [0-9a-zA-Z._-], so it fits
// the scene of a mini-program code. Every screen shows the same one.
func (c codes) screen(activityID uint64, epoch uint32, now time.Time) (code string, changes time.Time) {
	return c.rotating("screen", activityID, epoch, now)
}

// service is screen for a service day. Neither code counts in place of the other.
func (c codes) service(dayID uint64, epoch uint32, now time.Time) (code string, changes time.Time) {
	return c.rotating("service", dayID, epoch, now)
}

func (c codes) rotating(purpose string, id uint64, epoch uint32, now time.Time) (code string, changes time.Time) {
	issued := now.Truncate(c.settings.CodeStep)
	return c.sign(purpose, "", macSize, id, uint64(epoch), uint64(issued.Unix())), issued.Add(c.settings.CodeStep)
}

// screenCode is a screen code whose signature holds.
type screenCode struct {
	id     uint64 // of the activity or service day
	epoch  uint32
	issued time.Time
}

// readScreen takes a screen code apart and proves its signature; whether it is
// still fresh is another question.
func (c codes) readScreen(code string) (screenCode, error) { return c.readRotating("screen", code) }

// readService is readScreen for the code of a service day.
func (c codes) readService(code string) (screenCode, error) { return c.readRotating("service", code) }

func (c codes) readRotating(purpose, code string) (screenCode, error) {
	n, ok := c.read(purpose, "", macSize, code, 3)
	if !ok || n[1] > 1<<32-1 || n[2] > 1<<40 {
		return screenCode{}, model.ErrCodeInvalid
	}
	return screenCode{id: n[0], epoch: uint32(n[1]), issued: time.Unix(int64(n[2]), 0).UTC()}, nil
}

// freshAt says whether the code counts for the activity at now: it was issued
// under the present epoch and at most one step and one margin ago. A code a
// little ahead of this replica's clock comes from one that is ahead.
func (c codes) freshAt(s screenCode, epoch uint32, now time.Time) error {
	if s.epoch != epoch || now.Before(s.issued.Add(-clockSkew)) || !now.Before(s.issued.Add(c.settings.CodeStep+c.settings.CodeMargin)) {
		return model.ErrCodeExpired
	}
	return nil
}

// typed is the six digits that the screens of an activity show at now, with
// the moment they change.
func (c codes) typed(activityID uint64, epoch uint32, now time.Time) (digits string, changes time.Time) {
	slot := now.Truncate(c.settings.TypedStep)
	raw, _ := base64.RawURLEncoding.DecodeString(mac(c.key, "typed", join36(activityID, uint64(epoch), uint64(slot.Unix()))))
	return fmt.Sprintf("%06d", binary.BigEndian.Uint64(raw)%1_000_000), slot.Add(c.settings.TypedStep)
}

// proveTyped accepts the present digits and those before them, because people
// type slowly, and the next a little ahead: another replica may have shown them.
func (c codes) proveTyped(digits string, activityID uint64, epoch uint32, now time.Time) error {
	for _, shown := range []time.Time{now, now.Add(-c.settings.TypedStep), now.Add(clockSkew)} {
		if expected, _ := c.typed(activityID, epoch, shown); hmac.Equal([]byte(digits), []byte(expected)) {
			return nil
		}
	}
	return model.ErrTypedCodeInvalid
}

// device is what is kept of a phone that names itself: equal for the same phone
// at the same activity, and without relation to any other.
func (c codes) device(activityID uint64, name string) string {
	if name == "" {
		return ""
	}
	return mac(c.key, "device", join36(activityID)+"."+name)[:22]
}

// memberCodeLife is how long a member's own code can be shown.
const memberCodeLife = 2 * time.Minute

// member is the code that a member shows to the secretary, with its end.
func (c codes) member(memberID uint64, now time.Time) (code string, ends time.Time) {
	return c.sign("member", "", macSize, memberID, uint64(now.Unix())), now.Truncate(time.Second).Add(memberCodeLife)
}

// memberCode is a member's own code whose signature holds.
type memberCode struct {
	memberID uint64
	issued   time.Time
}

// freshAt says whether the code can still be shown at now.
func (m memberCode) freshAt(now time.Time) error {
	if now.Before(m.issued.Add(-clockSkew)) || !now.Before(m.issued.Add(memberCodeLife)) {
		return model.ErrMemberCode
	}
	return nil
}

// readMember takes a member's code apart and proves its signature; whether it
// is still fresh is another question.
func (c codes) readMember(code string) (memberCode, error) {
	n, ok := c.read("member", "", macSize, code, 2)
	if !ok || n[1] > 1<<40 {
		return memberCode{}, model.ErrMemberCode
	}
	return memberCode{memberID: n[0], issued: time.Unix(int64(n[1]), 0).UTC()}, nil
}

// sign is numbers with a signature of so many characters over them and what
// they are about, which the reader must know.
func (c codes) sign(purpose, about string, size int, numbers ...uint64) string {
	body := join36(numbers...)
	return body + "." + mac(c.key, purpose, body+about)[:size]
}

// read is the numbers that sign signed.
func (c codes) read(purpose, about string, size int, code string, count int) ([]uint64, bool) {
	body, sign, ok := cutLast(code)
	if !ok || len(code) > 64 || !hmac.Equal([]byte(sign), []byte(mac(c.key, purpose, body+about)[:size])) {
		return nil, false
	}
	return split36(body, count)
}

// split36 is the numbers that join36 joined.
func split36(body string, count int) ([]uint64, bool) {
	parts := strings.Split(body, ".")
	if len(parts) != count {
		return nil, false
	}
	numbers := make([]uint64, count)
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 36, 64)
		if err != nil {
			return nil, false
		}
		numbers[i] = n
	}
	return numbers, true
}

func cutLast(code string) (body, sign string, ok bool) {
	i := strings.LastIndexByte(code, '.')
	if i < 0 {
		return "", "", false
	}
	return code[:i], code[i+1:], true
}

func join36(numbers ...uint64) string {
	parts := make([]string, len(numbers))
	for i, n := range numbers {
		parts[i] = strconv.FormatUint(n, 36)
	}
	return strings.Join(parts, ".")
}
