package model

import "time"

// RetentionRules are how long what has served its purpose is still kept.
type RetentionRules struct {
	Sessions    time.Duration // after they ended
	Invitations time.Duration // after they were used or ran out
	Sending     time.Duration // what became of each message
	Households  time.Duration // who they are, after the pairing ended
	Audit       time.Duration // never less than LeastAuditKeeping
}

// StandardRetention is what an installation keeps that does not say otherwise.
var StandardRetention = RetentionRules{Sessions: 30 * 24 * time.Hour, Invitations: 30 * 24 * time.Hour, Sending: 180 * 24 * time.Hour,
	Households: 30 * 24 * time.Hour, Audit: 3 * 365 * 24 * time.Hour}
