package model

import (
	"errors"
	"testing"
)

func TestARetryIsTheSameNonceWithTheSameContent(t *testing.T) {
	kept := Once{Nonce: "nonce-1", Fingerprint: "aaa"}
	for _, c := range []struct {
		name        string
		kept, again Once
		replay      bool
		refusal     error
	}{
		{"the same again", kept, kept, true, nil},
		{"another nonce", kept, Once{"nonce-2", "aaa"}, false, nil},
		{"a nonce in another letter case", kept, Once{"NONCE-1", "aaa"}, false, nil},
		{"the nonce with other content", kept, Once{"nonce-1", "bbb"}, false, ErrKeyReused},
		{"a row that was made without a nonce", Once{}, Once{}, false, nil},
		{"a row that was made without a nonce, content alike", Once{"", "aaa"}, Once{"", "aaa"}, false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			replay, err := c.kept.Replays(c.again)
			if replay != c.replay || !errors.Is(err, c.refusal) {
				t.Errorf("got %v, %v; want %v, %v", replay, err, c.replay, c.refusal)
			}
		})
	}
}
