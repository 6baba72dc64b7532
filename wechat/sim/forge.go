package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Forgery is a way to push something that the platform never would.
type Forgery string

// The forgeries. A receiver must refuse each with a status other than 200, and
// change nothing.
const (
	WrongSignature Forgery = "wrong_signature" // of the body in safe mode, of the call in plain mode
	StaleTimestamp Forgery = "stale_timestamp" // rightly signed, an hour ago
	Downgrade      Forgery = "downgrade"       // safe mode: in plain text, with a good signature of the call
	OtherApp       Forgery = "other_app"       // safe mode: another account's appid inside the cipher
	BrokenCipher   Forgery = "broken_cipher"   // safe mode: rightly signed nonsense
	HugeBody       Forgery = "huge_body"       // 1 MiB and more
	Replay         Forgery = "replay"          // a good push, byte for byte a second time
)

// Forgeries are all that this mode knows.
func (s *Sim) Forgeries() []Forgery {
	all := []Forgery{WrongSignature, StaleTimestamp, HugeBody, Replay}
	if s.cfg.PushMode == ModeSafe {
		all = append(all, Downgrade, OtherApp, BrokenCipher)
	}
	return all
}

// Forge pushes a forged popup event in which the person accepts the template,
// and returns the HTTP status of the answer. For Replay the answer is the
// second one; the first push was good and had its effect.
func (s *Sim) Forge(ctx context.Context, f Forgery, openID, templateID string) (status int, err error) {
	if !slices.Contains(s.Forgeries(), f) {
		return 0, fmt.Errorf("no forgery %q in %s mode", f, s.cfg.PushMode)
	}
	s.pushes.mu.Lock()
	address := s.pushes.url
	s.pushes.mu.Unlock()
	if address == "" {
		return 0, errors.New("no push address")
	}
	e := popupEvent(s.cfg, openID, s.Now(), []string{templateID}, map[string]string{templateID: accept})
	var how sealing
	switch f {
	case WrongSignature:
		how.spoil = func(m *sealed) {
			name := "signature"
			if m.query.Has("msg_signature") {
				name = "msg_signature"
			}
			m.query.Set(name, randomString(hexDigits, 40))
		}
	case StaleTimestamp:
		how.age = time.Hour
	case Downgrade:
		how.plain = true
	case OtherApp:
		how.appID = "wx" + randomString(hexDigits, 16)
	case BrokenCipher:
		how.spoil = s.breakCipher
	case HugeBody:
		e.body = append(e.body, bytes.Repeat([]byte(" "), 1<<20)...)
	}
	m := s.seal(e, how)
	if f == Replay {
		if status, _, err = s.pushes.send(ctx, address, m); err != nil {
			return status, err
		}
	}
	status, _, err = s.pushes.send(ctx, address, m)
	return status, err
}

// breakCipher puts nonsense in the cipher's place and signs it rightly.
func (s *Sim) breakCipher(m *sealed) {
	cipher := randomString(alphanumeric, 86) + "=="
	m.query.Set("msg_signature", signature(s.cfg.PushToken, m.query.Get("timestamp"), m.query.Get("nonce"), cipher))
	m.body = envelope(s.cfg, cipher)
}
