package service

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// SealKey is one AES-256 key for personal data at rest, with the id that is
// written beside what it sealed.
type SealKey struct {
	ID  string
	Key []byte
}

// Keys are the secrets of an installation, 32 bytes each. The first of Seal
// seals, all of them open; Index and Code never change while data exists.
type Keys struct {
	Seal  []SealKey
	Index []byte // blind index of phone numbers
	Code  []byte // check-in codes and members' own codes
}

// sealer encrypts personal data for one table, column and row: a sealed value
// copied to another place does not open there.
type sealer struct {
	primary string
	keys    map[string]tink.AEAD
	index   []byte
}

func newSealer(k Keys) *sealer {
	s := &sealer{keys: map[string]tink.AEAD{}, index: k.Index}
	for i, key := range k.Seal {
		aead, err := subtle.NewAESGCM(key.Key)
		if err != nil {
			panic(fmt.Sprintf("seal key %q: %v", key.ID, err)) // settings refuse such keys
		}
		if i == 0 {
			s.primary = key.ID
		}
		s.keys[key.ID] = aead
	}
	return s
}

// seal returns "a1.<key id>.<base64>": a1 is AES-256-GCM.
func (s *sealer) seal(table, column string, row uint64, plain string) (string, error) {
	sealed, err := s.keys[s.primary].Encrypt([]byte(plain), place(table, column, row))
	if err != nil {
		return "", fmt.Errorf("seal %s.%s: %w", table, column, err)
	}
	return "a1." + s.primary + "." + base64.RawURLEncoding.EncodeToString(sealed), nil
}

func (s *sealer) open(table, column string, row uint64, sealed string) (string, error) {
	parts := strings.SplitN(sealed, ".", 3)
	if len(parts) != 3 || parts[0] != "a1" {
		return "", fmt.Errorf("open %s.%s %d: unknown form", table, column, row)
	}
	key, ok := s.keys[parts[1]]
	if !ok {
		return "", fmt.Errorf("open %s.%s %d: no key %q", table, column, row, parts[1])
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return "", fmt.Errorf("open %s.%s %d: %w", table, column, row, err)
	}
	plain, err := key.Decrypt(raw, place(table, column, row))
	if err != nil {
		return "", errors.New("open " + table + "." + column + ": sealed for another place or altered")
	}
	return string(plain), nil
}

// blind is the keyed index under which a value can be found without being kept.
func (s *sealer) blind(value string) string { return mac(s.index, "blind index", value) }

func place(table, column string, row uint64) []byte {
	return fmt.Appendf(nil, "%s|%s|%d", table, column, row)
}

// mac is the keyed digest of a text for one purpose, in base64url.
func mac(key []byte, purpose, text string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(purpose + "\x00" + text))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// digest is the SHA-256 of a text in base64url.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// randomToken is 256 bit from the system's random source, in base64url.
func randomToken() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(b)
}
