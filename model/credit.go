package model

import "time"

// CreditEntry is what a closed activity counts for one person who was expected
// at it or came: whether they came, and the credit hours that they earned. It
// follows from what is on record of them, and is made again when that changes.
type CreditEntry struct {
	MemberID   uint64 `gorm:"primaryKey;autoIncrement:false"`
	OnDay      Day    `gorm:"primaryKey"` // the day the activity starts
	ActivityID uint64 `gorm:"primaryKey;autoIncrement:false"`
	Came       bool
	Hours      float64
}

// Credit is the person's entry for a closed activity; nil where it counts
// nothing: for a guest, and for who was exempt and did not come. Credit hours
// are for those who came and, where the activity asks for checking out, stayed
// as long as it asks.
func (s *Standing) Credit(a *Activity, zone *time.Location) *CreditEntry {
	came := s.Status() == Present
	if s.Entry == nil || s.Entry.Exempt != NotExempt && !came {
		return nil
	}
	e := &CreditEntry{MemberID: s.Entry.MemberID, OnDay: DayOf(a.StartsAt, zone), ActivityID: a.ID, Came: came}
	if came && (!a.CheckOut || s.Stay(a).Earned(a)) {
		e.Hours = a.CreditHours
	}
	return e
}
