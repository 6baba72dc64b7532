package model

// Once makes a retry harmless: the client makes Nonce once for each thing it
// wants done and sends it again with every retry; Fingerprint is a digest of
// what was asked.
type Once struct {
	Nonce       string `json:"-"`
	Fingerprint string `json:"-"`
}

// Replays says whether again is a retry of this: true when nonce and content
// agree, ErrKeyReused when the nonce was kept and the content changed.
func (o Once) Replays(again Once) (bool, error) {
	if o.Nonce == "" || o.Nonce != again.Nonce {
		return false, nil
	}
	if o.Fingerprint != again.Fingerprint {
		return false, ErrKeyReused
	}
	return true, nil
}
