package model

import "time"

// JointState is where an invitation to a joint meeting stands.
type JointState string

// The states of an invitation to a joint meeting.
const (
	Invited       JointState = "invited"
	JointAccepted JointState = "accepted"
	JointDeclined JointState = "declined"
)

// JointBranch is a branch that was invited to meet together with an activity's
// organisation (联办). From acceptance on its people are on the roster.
type JointBranch struct {
	ActivityID uint64 `gorm:"primaryKey;autoIncrement:false"`
	BranchID   uint64 `gorm:"primaryKey;autoIncrement:false"`
	State      JointState
	InvitedBy  uint64
	InvitedAt  time.Time
	AnsweredBy *uint64
	AnsweredAt *time.Time
}
