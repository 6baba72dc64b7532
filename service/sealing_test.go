package service

import (
	"bytes"
	"math/bits"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func testSealer(ids ...string) *sealer {
	keys := Keys{Index: []byte("index key")}
	for _, id := range ids {
		keys.Seal = append(keys.Seal, SealKey{ID: id, Key: bytes.Repeat([]byte(id[:1]), 32)})
	}
	return newSealer(keys)
}

func TestM4_WhatWasSealedOpensInItsPlaceOnly(t *testing.T) {
	s := testSealer("k1")
	rapid.Check(t, func(t *rapid.T) {
		plain, row := rapid.String().Draw(t, "plain"), rapid.Uint64().Draw(t, "row")
		sealed, err := s.seal("member_phones", "sealed", row, plain)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.open("member_phones", "sealed", row, sealed); err != nil || got != plain {
			t.Fatalf("got %q, %v; want %q", got, err, plain)
		}
		for _, place := range []struct {
			table, column string
			row           uint64
		}{
			{"member_phones", "sealed", row + 1}, {"member_phones", "blind_index", row}, {"accounts", "sealed", row},
			{"member_phones|sealed", "", row},
		} {
			if got, err := s.open(place.table, place.column, place.row, sealed); err == nil {
				t.Fatalf("it opens in %v: %q", place, got)
			}
		}
		at := rapid.IntRange(0, len(sealed)-1).Draw(t, "position")
		letter := rapid.SampledFrom([]byte("ABCabc019_-.!\x00")).Draw(t, "letter")
		altered := sealed[:at] + string(letter) + sealed[at+1:]
		if got, err := s.open("member_phones", "sealed", row, altered); altered != sealed && err == nil && got != plain {
			t.Fatalf("altered, it opens as %q", got)
		}
	})
}

func TestSealingTheSameTwiceLooksDifferentAndShowsNothing(t *testing.T) {
	s := testSealer("k1")
	first, err := s.seal("member_phones", "sealed", 1, "19900000001")
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.seal("member_phones", "sealed", 1, "19900000001")
	if err != nil {
		t.Fatal(err)
	}
	if first == second || strings.Contains(first, "199") || !strings.HasPrefix(first, "a1.k1.") || len(first) > 255 {
		t.Errorf("got %s and %s", first, second)
	}
}

func TestTheFirstKeySealsAndAllOfThemOpen(t *testing.T) {
	old := testSealer("old")
	sealed, err := old.seal("member_phones", "sealed", 1, "19900000001")
	if err != nil {
		t.Fatal(err)
	}
	both := testSealer("new", "old")
	if got, err := both.open("member_phones", "sealed", 1, sealed); err != nil || got != "19900000001" {
		t.Errorf("got %q, %v", got, err)
	}
	anew, err := both.seal("member_phones", "sealed", 1, "19900000001")
	if err != nil || !strings.HasPrefix(anew, "a1.new.") {
		t.Errorf("got %s, %v", anew, err)
	}
	for name, text := range map[string]string{
		"by a key that is gone": anew, "by no algorithm we know": "a2" + sealed[2:], "by another key of the same id": strings.Replace(anew, "new", "old", 1),
		"no seal": "19900000001", "nothing": "", "no base64": "a1.old.!",
	} {
		if got, err := old.open("member_phones", "sealed", 1, text); err == nil || strings.Contains(err.Error(), "199") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestABlindIndexFindsAValueAndNeedsTheKey(t *testing.T) {
	s := testSealer("k1")
	index := s.blind("19900000001")
	if index != s.blind("19900000001") || index == s.blind("19900000002") || len(index) > 64 {
		t.Errorf("got %s", index)
	}
	if other := newSealer(Keys{Index: []byte("another key")}); other.blind("19900000001") == index {
		t.Error("the index does not hang on the key")
	}
	if index == digest("19900000001") || index == mac(s.index, "screen", "19900000001") {
		t.Error("the index is a digest that others can make")
	}
}

func TestJ4_TokensAre256RandomBits(t *testing.T) {
	const draws = 20_000
	form := regexp.MustCompile(`^[0-9A-Za-z_-]{43}$`)
	seen := make(map[string]bool, draws)
	var ones int
	for range draws {
		token := randomToken()
		if !form.MatchString(token) || seen[token] {
			t.Fatalf("got %s", token)
		}
		seen[token] = true
		for _, b := range []byte(token)[:42] { // the last character is partly padding
			ones += bits.OnesCount(uint(strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", b)))
		}
	}
	if share := float64(ones) / (draws * 42 * 6); share < 0.495 || share > 0.505 {
		t.Errorf("%.3f of the bits are set", share)
	}
}

func TestInvitationsAreReadableAndTooManyToGuess(t *testing.T) {
	form := regexp.MustCompile(`^[` + invitationLetters + `]{4}-[` + invitationLetters + `]{4}-[` + invitationLetters + `]{2}$`)
	count, seen := map[rune]int{}, map[string]bool{}
	const draws = 20_000
	for range draws {
		code := newInvitation()
		if !form.MatchString(code) || seen[code] {
			t.Fatalf("got %s", code)
		}
		seen[code] = true
		for _, r := range plainInvitation(code) {
			count[r]++
		}
	}
	fair := draws * 10 / len(invitationLetters)
	for _, r := range invitationLetters {
		if n := count[r]; n < fair*9/10 || n > fair*11/10 {
			t.Errorf("%c comes %d times, %d were fair", r, n, fair)
		}
	}
	if strings.ContainsAny(invitationLetters, "01OILUV") {
		t.Error("eyes confuse some of the letters")
	}
	for _, typed := range []string{"k7qm3xhdpa", " K7QM-3XHD-PA ", "K7QM 3XHD PA", "k7qm－3xhd　pa"} {
		if got := plainInvitation(typed); got != "K7QM3XHDPA" {
			t.Errorf("%q is read as %q", typed, got)
		}
	}
}
