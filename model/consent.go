package model

import "time"

// ConsentState is what has become of one accept.
type ConsentState string

// The states of a consent: held → reserved → spent, held again, or left
// reserved where nobody knows what came of the call; void once the person or
// the platform took it back.
const (
	ConsentHeld     ConsentState = "held"
	ConsentReserved ConsentState = "reserved"
	ConsentSpent    ConsentState = "spent"
	ConsentVoid     ConsentState = "void"
)

// Consent is one tap on "accept": it allows one message of one template. The
// platform tells of it by an event, and the phone by a report; the two are
// paired, so that one tap counts once. EventKey is nil while only the phone has
// told, Nonce is nil while only the platform has.
type Consent struct {
	ID         uint64
	AccountID  uint64
	TemplateID string
	ActivityID uint64 // the page it was given on; 0: none
	State      ConsentState
	AcceptedAt time.Time
	EventKey   *string
	Nonce      *string
	ReminderID uint64 // what it was reserved for
}

// ConsentEnd is the latest moment at which a person had taken back everything
// that they had allowed a template.
type ConsentEnd struct {
	AccountID  uint64 `gorm:"primaryKey;autoIncrement:false"`
	TemplateID string `gorm:"primaryKey"`
	At         time.Time
}

// Pairing of what the phone reports with what the platform tells, and how far
// a phone is believed.
const (
	ConsentPairing     = 5 * time.Minute // the report and the event of one tap are never further apart
	MostUnconfirmed    = 3               // accepts of one person for one template that only the phone told of
	MostWantedConsents = 2               // of one template; more would only hide whether a message arrived
)

// SameTap says whether a report at reported and an event at told may be of one tap.
func SameTap(reported, told time.Time) bool {
	d := reported.Sub(told)
	return -ConsentPairing <= d && d <= ConsentPairing
}
