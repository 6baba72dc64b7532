package service

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dangri/model"
)

var tuesday = time.Date(2026, 3, 10, 6, 0, 0, 0, time.UTC)

func testCodes(key string) codes {
	return codes{key: []byte(key), settings: Settings{CodeStep: 15 * time.Second, CodeMargin: 10 * time.Second, TypedStep: time.Minute}}
}

func TestB1_B2_B3_AScreenCodeCountsForOneStepAndOneMargin(t *testing.T) {
	c := testCodes("key")
	code, changes := c.screen(7, 0, tuesday)
	if !changes.Equal(tuesday.Add(15 * time.Second)) {
		t.Errorf("it changes at %v", changes)
	}
	read, err := c.readScreen(code)
	if err != nil {
		t.Fatal(err)
	}
	for _, moment := range []struct {
		after time.Duration
		want  error
	}{
		{-clockSkew, nil},
		{-clockSkew - time.Millisecond, model.ErrCodeExpired},
		{0, nil},
		{15*time.Second - time.Millisecond, nil},
		{15 * time.Second, nil}, // the screen shows another one, slow phones still have this one
		{25*time.Second - time.Millisecond, nil},
		{25 * time.Second, model.ErrCodeExpired},
		{25*time.Second + time.Millisecond, model.ErrCodeExpired},
		{24 * time.Hour, model.ErrCodeExpired},
	} {
		if err := c.freshAt(read, 0, tuesday.Add(moment.after)); !errors.Is(err, moment.want) {
			t.Errorf("after %v: %v, want %v", moment.after, err, moment.want)
		}
	}
	if err := c.freshAt(read, 1, tuesday); !errors.Is(err, model.ErrCodeExpired) {
		t.Errorf("B18 the code of an earlier epoch: %v", err)
	}
}

func TestB21_EveryScreenShowsTheSameCodeAndNoneOfTheFuture(t *testing.T) {
	c := testCodes("key")
	rapid.Check(t, func(t *rapid.T) {
		now := tuesday.Add(time.Duration(rapid.Int64Range(0, int64(365*24*time.Hour)).Draw(t, "after"))).Truncate(time.Millisecond)
		code, changes := c.screen(7, 3, now)
		read, err := c.readScreen(code)
		if err != nil || read.id != 7 || read.epoch != 3 || read.issued.After(now) {
			t.Fatalf("at %v: %+v, %v", now, read, err)
		}
		if !changes.After(now) || changes.Sub(now) > c.settings.CodeStep {
			t.Fatalf("at %v it changes at %v", now, changes)
		}
		if again, _ := c.screen(7, 3, changes.Add(-time.Millisecond)); again != code {
			t.Fatalf("at %v it has changed before its time", now)
		}
		if next, _ := c.screen(7, 3, changes); next == code {
			t.Fatalf("at %v it has not changed", changes)
		}
	})
}

func TestB12_AScreenCodeFitsASceneAndIsTooLongToGuess(t *testing.T) {
	scene := regexp.MustCompile(`^[0-9a-z.]+\.[0-9A-Za-z_-]{12}$`)
	for _, id := range []uint64{1, 7_000_000, 1e12} {
		code, _ := testCodes("key").screen(id, 9999, tuesday)
		if len(code) > 32 || !scene.MatchString(code) {
			t.Errorf("activity %d has the scene %s of %d characters", id, code, len(code))
		}
	}
	if bits := macSize * 6; bits < 64 {
		t.Errorf("a signature has %d bit", bits)
	}
}

func TestB5_AnyOneCharacterChangedMakesACodeInvalid(t *testing.T) {
	const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-~ +/=\x00０é"
	c := testCodes("key")
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.Uint64Range(1, 1e15).Draw(t, "id")
		code, _ := c.screen(id, rapid.Uint32Range(0, 1e6).Draw(t, "epoch"), tuesday.Add(time.Duration(rapid.Int64Range(0, 1e18).Draw(t, "at"))))
		member, _ := c.member(id, tuesday)
		for what, whole := range map[string]string{"screen": code, "member": member} {
			at := rapid.IntRange(0, len(whole)-1).Draw(t, "position")
			letter := string(rapid.SampledFrom([]rune(letters)).Filter(func(r rune) bool { return string(r) != whole[at:at+1] }).Draw(t, "letter"))
			for how, changed := range map[string]string{
				"replaced": whole[:at] + letter + whole[at+1:], "put in": whole[:at] + letter + whole[at:], "taken out": whole[:at] + whole[at+1:],
			} {
				if changed == whole {
					continue // the same letter twice in a row
				}
				_, screenErr := c.readScreen(changed)
				_, memberErr := c.readMember(changed)
				if !errors.Is(screenErr, model.ErrCodeInvalid) || !errors.Is(memberErr, model.ErrMemberCode) {
					t.Fatalf("%s code %s, %s at %d: %s is read (%v, %v)", what, whole, how, at, changed, screenErr, memberErr)
				}
			}
		}
		if _, err := c.readScreen(code); err != nil {
			t.Fatalf("the code itself: %v", err)
		}
	})
}

func TestB6_ASignatureHoldsForOneTextAndOnePurposeOnly(t *testing.T) {
	c := testCodes("key")
	seven, _ := c.screen(7, 0, tuesday)
	eight, _ := c.screen(8, 0, tuesday)
	body, _, _ := cutLast(eight)
	_, sign, _ := cutLast(seven)
	foreign, _ := testCodes("another key").screen(7, 0, tuesday)
	ofMember, _ := c.member(7, tuesday)
	screenBody, _, _ := cutLast(seven)
	for name, code := range map[string]string{
		"the signature of activity 7 on activity 8": body + "." + sign,
		"another installation's":                    foreign,
		"a member's own code":                       ofMember,
		"signed as six digits":                      screenBody + "." + mac(c.key, "typed", screenBody)[:macSize],
		"unsigned":                                  screenBody,
	} {
		if _, err := c.readScreen(code); !errors.Is(err, model.ErrCodeInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.readMember(seven); !errors.Is(err, model.ErrMemberCode) {
		t.Errorf("a screen code passes for a member's: %v", err)
	}
}

func TestB8_B9_WhatIsNoCodeIsRefusedAndNeverAFault(t *testing.T) {
	c := testCodes("key")
	signed := func(body string) string { return body + "." + mac(c.key, "screen", body)[:macSize] }
	for _, code := range []string{
		"", ".", "..", "...", "7", "0", "-1", "1e3", "7.0.1", "+-/==", strings.Repeat("7", 64<<10), strings.Repeat(".", 64<<10),
		"7.0.\x00.aaaaaaaaaaaa", "７.0.t0.aaaaaaaaaaaa", "\xff\xfe", "' OR 1=1 --", "7.0.t0.aaaaaaaaaaaaa",
		// Signed by us and yet no code: what a bug elsewhere might sign.
		signed(""), signed("7"), signed("7.0"), signed("7.0.1.1"), signed("-1.0.1"), signed("7.4294967296.1"), signed("7.0.zzzzzzzzzzzz"),
		signed(fmt.Sprint(uint64(math.MaxUint64)) + "0.0.1"), signed("7..1"), signed("7.0.1e3!"),
	} {
		if _, err := c.readScreen(code); !errors.Is(err, model.ErrCodeInvalid) {
			t.Errorf("%.40q: %v", code, err)
		}
		if _, err := c.readMember(code); !errors.Is(err, model.ErrMemberCode) {
			t.Errorf("%.40q as a member's: %v", code, err)
		}
	}
}

func TestTheSixDigitsAndThoseBeforeThemCount(t *testing.T) {
	c := testCodes("key")
	digits, changes := c.typed(7, 0, tuesday)
	if !regexp.MustCompile(`^\d{6}$`).MatchString(digits) || !changes.Equal(tuesday.Add(time.Minute)) {
		t.Errorf("got %s until %v", digits, changes)
	}
	for _, moment := range []struct {
		after time.Duration
		want  error
	}{
		{0, nil}, {time.Minute, nil}, {2*time.Minute - time.Millisecond, nil},
		{2 * time.Minute, model.ErrTypedCodeInvalid}, {-clockSkew, nil}, {-clockSkew - time.Millisecond, model.ErrTypedCodeInvalid},
	} {
		if err := c.proveTyped(digits, 7, 0, tuesday.Add(moment.after)); !errors.Is(err, moment.want) {
			t.Errorf("after %v: %v, want %v", moment.after, err, moment.want)
		}
	}
	for name, err := range map[string]error{
		"of another activity": c.proveTyped(digits, 8, 0, tuesday), "of another epoch": c.proveTyped(digits, 7, 1, tuesday),
		"with a space": c.proveTyped(digits+" ", 7, 0, tuesday), "none": c.proveTyped("", 7, 0, tuesday),
		"of full width": c.proveTyped(strings.Map(func(r rune) rune { return r + '０' - '0' }, digits), 7, 0, tuesday),
	} {
		if !errors.Is(err, model.ErrTypedCodeInvalid) {
			t.Errorf("digits %s: %v", name, err)
		}
	}
}

func TestSixDigitsKeepTheirZerosAndSpreadEvenly(t *testing.T) {
	c := testCodes("key")
	var leading [10]int
	const draws = 10_000
	for i := range draws {
		digits, _ := c.typed(7, 0, tuesday.Add(time.Duration(i)*time.Minute))
		if len(digits) != 6 {
			t.Fatalf("got %q", digits)
		}
		leading[digits[0]-'0']++
	}
	for digit, n := range leading {
		if n < draws/10*8/10 || n > draws/10*12/10 {
			t.Errorf("%d of %d begin with %d", n, draws, digit)
		}
	}
}

func TestAMembersOwnCodeCountsForTwoMinutes(t *testing.T) {
	c := testCodes("key")
	for _, shown := range []time.Time{tuesday, tuesday.Add(999 * time.Millisecond)} {
		code, ends := c.member(42, shown)
		for _, moment := range []struct {
			at   time.Time
			want error
		}{
			{shown, nil}, {ends.Add(-time.Millisecond), nil}, {ends, model.ErrMemberCode}, {tuesday.Add(-clockSkew), nil}, {tuesday.Add(-clockSkew - time.Millisecond), model.ErrMemberCode},
		} {
			read, err := c.readMember(code)
			if err == nil {
				err = read.freshAt(moment.at)
			}
			id := read.memberID
			if !errors.Is(err, moment.want) || err == nil && id != 42 {
				t.Errorf("shown at %v, scanned at %v: %d, %v", shown, moment.at, id, err)
			}
		}
	}
}
