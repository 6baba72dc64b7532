package model

import "time"

// Refusals of minutes.
var (
	ErrMinutesNotFound  = &Error{Kind: NotFound, Code: "minutes_not_found", Message: "会议记录还没有写好，或还没有由书记签字"}
	ErrMeetingNotBegun  = &Error{Kind: Conflict, Code: "meeting_not_begun", Message: "会议还没有开始，开始以后才能记录"}
	ErrNotAtMeeting     = &Error{Kind: Conflict, Code: "not_at_meeting", Message: "主持人和记录人应当在会议名单中，或是到会列席的人"}
	ErrNotSecretary     = &Error{Kind: Forbidden, Code: "not_secretary", Message: "会议记录由本支部书记签字"}
	ErrMinutesAddNoText = &Error{Kind: Invalid, Code: "minutes_empty", Message: "会议记录还是空的，请写上议题和内容"}
)

// Minutes is one version of a meeting's 会议记录. Versions are only added; a
// signature stands on the version that it was given to, and a later edit needs
// a new one.
type Minutes struct {
	ID         uint64
	ActivityID uint64
	PartnerID  uint64 // the branch that joined the meeting and whose minutes they are; 0: the host's
	Version    int
	HostID     uint64
	RecorderID uint64
	Agenda     string
	Content    string
	Decisions  string
	WrittenBy  uint64
	WrittenAt  time.Time
	SignedBy   *uint64
	SignedAt   *time.Time
}

// Says says whether the two versions say the same.
func (m *Minutes) Says(other *Minutes) bool {
	return m.HostID == other.HostID && m.RecorderID == other.RecorderID &&
		m.Agenda == other.Agenda && m.Content == other.Content && m.Decisions == other.Decisions
}

// Record says whether something of the meeting may be put on record at now: from its start on,
// and after its closing for corrections.
func (a *Activity) Record(now time.Time) error {
	if err := a.Allow(Published, Closed); err != nil {
		return err
	}
	if !a.StartedAt(now) {
		return ErrMeetingNotBegun.With("starts_at", a.StartsAt)
	}
	return nil
}

// Signs says whether the actor signs the minutes of the organisation at the
// start of the line: as its secretary, in person.
func (a *Actor) Signs(line Line) bool { return a.holds([]PostKind{Secretary}, line.home()) }
