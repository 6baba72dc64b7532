package model

import "time"

// Direction is which way somebody went.
type Direction string

// The directions.
const (
	In  Direction = "in"
	Out Direction = "out"
)

// MovementFlag is what is odd about a movement, for the secretary to look at.
type MovementFlag string

// The flags.
const (
	NoFlag    MovementFlag = ""
	NoCheckIn MovementFlag = "no_check_in" // went out and had never come in
)

// Movement is somebody going out of an activity, or in again. The first coming
// in is an Attendance. Movements are only added to; one by correction stands in
// the place of all earlier ones of its day.
type Movement struct {
	ID         uint64
	ActivityID uint64
	MemberID   uint64
	Day        Day // as an Attendance has it
	Direction  Direction
	At         time.Time
	Provenance Provenance
	Flag       MovementFlag
	RecordedBy *uint64
	RecordedAt time.Time
	Reason     string
	Once       `gorm:"embedded"`
}
