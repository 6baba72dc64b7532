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

// JointStateNames are the words people use, by state.
var JointStateNames = map[JointState]string{Invited: "待答复", JointAccepted: "已同意", JointDeclined: "已谢绝"}

// Refusals of joint meetings.
var (
	ErrBranchUnknown   = &Error{Kind: NotFound, Code: "branch_unknown", Message: "没有找到这个支部，请核对全称"}
	ErrBranchAmbiguous = &Error{Kind: Conflict, Code: "branch_ambiguous", Message: "有几个同名的支部，请再写明它的上级组织"}
	ErrNotJoint        = &Error{Kind: NotFound, Code: "not_joint", Message: "这个支部没有参加本次活动，请刷新后再试"}
	ErrPartnersOwn     = &Error{Kind: Forbidden, Code: "partners_own", Message: "联办支部党员的请假、缺席和不计入应到，由其所在支部办理"}
	ErrJointStarted    = &Error{Kind: Conflict, Code: "joint_started", Message: "活动已经开始，联办的支部不能再变"}
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
