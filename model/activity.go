package model

import (
	"slices"
	"time"
)

// ActivityKind is what sort of meeting an activity is.
type ActivityKind string

// The kinds of activity; the rule of each is in the comment.
const (
	ThemePartyDay             ActivityKind = "theme_party_day"             // 主题党日: 1 a month (支部工作条例 art 16)
	StudyDay                  ActivityKind = "study_day"                   // 固定学习日: ≥2 days a month (the Opinion, 三(二))
	BranchAssembly            ActivityKind = "branch_assembly"             // 支部党员大会 (支部工作条例 art 11)
	BranchCommitteeMeeting    ActivityKind = "branch_committee_meeting"    // 支部委员会会议 (art 12)
	PartyGroupMeeting         ActivityKind = "party_group_meeting"         // 党小组会 (art 13)
	PartyLecture              ActivityKind = "party_lecture"               // 党课 (art 16)
	OrganizationalLifeMeeting ActivityKind = "organizational_life_meeting" // 组织生活会 (教育管理条例 art 17)
	OtherActivity             ActivityKind = "other"                       // 其他
)

// ActivityKindNames are the words people use, by kind.
var ActivityKindNames = map[ActivityKind]string{
	ThemePartyDay: "主题党日", StudyDay: "固定学习日", BranchAssembly: "支部党员大会", BranchCommitteeMeeting: "支委会",
	PartyGroupMeeting: "党小组会", PartyLecture: "党课", OrganizationalLifeMeeting: "组织生活会", OtherActivity: "其他",
}

// ActivityStatus is where an activity stands: draft → published → closed, or
// cancelled from either of the first two.
type ActivityStatus string

// The statuses of an activity.
const (
	Draft     ActivityStatus = "draft"
	Published ActivityStatus = "published"
	Closed    ActivityStatus = "closed"
	Cancelled ActivityStatus = "cancelled"
)

// ActivityStatusNames are the words people use, by status.
var ActivityStatusNames = map[ActivityStatus]string{Draft: "草稿", Published: "已发布", Closed: "已结束", Cancelled: "已取消"}

// AudienceKind is who an activity is for.
type AudienceKind string

// The audiences.
const (
	WholeBranch  AudienceKind = "branch"  // everyone in the branch that day
	SomeGroups   AudienceKind = "groups"  // the named party groups
	NamedMembers AudienceKind = "members" // the named members
)

// Refusals of activities.
var (
	ErrActivityNotFound  = &Error{Kind: NotFound, Code: "activity_not_found", Message: "没有这个活动，可能已被撤回，请刷新后再试"}
	ErrNotConductor      = &Error{Kind: Forbidden, Code: "not_conductor", Message: "只有本支部的书记、委员或小组长可以办理"}
	ErrWrongStatus       = &Error{Kind: Conflict, Code: "wrong_status", Message: "活动当前的状态不允许这样做，请刷新后再试"}
	ErrActivityCancelled = &Error{Kind: Conflict, Code: "cancelled", Message: "活动已取消，请留意支部的新通知"}
	ErrNotPublished      = &Error{Kind: Conflict, Code: "not_published", Message: "活动还没有发布，请先发布"}
	ErrActivityStarted   = &Error{Kind: Conflict, Code: "already_started", Message: "活动已经开始，开始时间、参加范围、迟到时间和学时不能再改"}
	ErrActivityOver      = &Error{Kind: Conflict, Code: "activity_over", Message: "活动时间已过，不能恢复，请另外新建活动"}
	ErrNotStarted        = &Error{Kind: Conflict, Code: "not_started", Message: "活动还没有开始，不能结束；不再举行的请用“取消”"}
	ErrWindow            = &Error{Kind: Invalid, Code: "window", Message: "时间不对：结束要晚于开始，签到开放不能晚于开始，签到截止要晚于开始"}
	ErrAudience          = &Error{Kind: Invalid, Code: "audience", Message: "参加范围里有不属于本支部的党小组或党员，请去掉后再提交"}
	ErrAudienceEmpty     = &Error{Kind: Invalid, Code: "audience_empty", Message: "参加范围里没有人，请先导入名册或改选范围"}
	ErrTextRisky         = &Error{Kind: Conflict, Code: "text_risky", Message: "文字未通过微信内容安全检查，请修改后再提交"}
	ErrReenter           = &Error{Kind: Conflict, Code: "reenter", Message: "微信要先看到您最近用过小程序，请退出小程序重新进入，再试一次"}
	ErrTextReview        = &Error{Kind: Conflict, Code: "text_review", Message: "文字需要人工复核，请调整措辞后再提交"}
)

// Place is where an activity is held. Radius, in metres, asks phones whether
// they are near; zero asks nothing.
type Place struct {
	Name      string  `gorm:"column:place" json:"name" maxLength:"100" doc:"名称"`
	Latitude  float64 `json:"latitude,omitempty" minimum:"-90" maximum:"90" doc:"纬度（gcj02）"`
	Longitude float64 `json:"longitude,omitempty" minimum:"-180" maximum:"180" doc:"经度（gcj02）"`
	Radius    int     `json:"radius,omitempty" minimum:"0" maximum:"5000" doc:"签到的范围：离地点多少米以内；0 为不问位置"`
}

// Activity is what members attend. Check-in is open in [OpensAt, ClosesAt);
// from LateAt on it counts as late.
type Activity struct {
	ID             uint64         `json:"id"`
	OrganisationID uint64         `json:"organisation_id"`
	Kind           ActivityKind   `json:"kind"`
	Title          string         `json:"title"`
	Content        string         `json:"content"`
	Place          Place          `gorm:"embedded" json:"place"`
	StartsAt       time.Time      `json:"starts_at"`
	EndsAt         time.Time      `json:"ends_at"`
	OpensAt        time.Time      `json:"opens_at"`
	LateAt         time.Time      `json:"late_at"`
	ClosesAt       time.Time      `json:"closes_at"`
	CreditHours    float64        `json:"credit_hours"`
	Audience       AudienceKind   `json:"audience"`
	OpenToGuests   bool           `json:"open_to_guests"`
	Daily          bool           `json:"daily" doc:"按天签到：每个自然日各签一次"`
	CheckOut       bool           `json:"check_out" doc:"离开时要签退"`
	StayMinutes    int            `json:"stay_minutes" doc:"在场满多少分钟才计学时；0 为签退即可"`
	ReEntry        bool           `json:"re_entry" doc:"签退后可以再进场"`
	Status         ActivityStatus `json:"status"`
	CancelReason   string         `json:"cancel_reason,omitempty"`
	RestoreReason  string         `json:"restore_reason,omitempty" doc:"取消后又恢复的原因"`
	CodeEpoch      uint32         `json:"-"`
	ScreenEpoch    uint32         `json:"-"`
	ShowNames      bool           `json:"show_names" doc:"大屏幕上显示到会者的全名；否则只显示姓"`
	SeriesID       *uint64        `json:"series_id,omitempty" doc:"定期安排的编号"`
	SeriesDay      *Day           `json:"series_day,omitempty" doc:"按规则是哪一天的"`
	Detached       bool           `json:"detached,omitempty" doc:"单独改过，不再随定期安排变动"`
	Version        int            `json:"version"`
	CreatedBy      uint64         `json:"-"`
	PublishedAt    *time.Time     `json:"published_at"`
	ClosedAt       *time.Time     `json:"closed_at"`
	CreatedAt      time.Time      `json:"-"`
	Once           `gorm:"embedded"`
}

// ActivityTarget names one group or member of an audience that is not the whole branch.
type ActivityTarget struct {
	ActivityID uint64 `gorm:"primaryKey;autoIncrement:false"`
	TargetID   uint64 `gorm:"primaryKey;autoIncrement:false"`
}

// CheckWindow refuses times that make no sense.
func (a *Activity) CheckWindow() error {
	if a.OpensAt.After(a.StartsAt) || !a.StartsAt.Before(a.EndsAt) || a.LateAt.Before(a.StartsAt) || !a.StartsAt.Before(a.ClosesAt) {
		return ErrWindow
	}
	return nil
}

// Announced says whether the activity was ever published. One that was not is
// known only to those who conduct it, also after it is cancelled.
func (a *Activity) Announced() bool { return a.PublishedAt != nil }

// KeepsPromises says whether the activity changed into after still holds what
// people came for: its start, its audience, when one is late, its credit hours
// and what they take.
func (a *Activity) KeepsPromises(after *Activity) bool {
	return after.StartsAt.Equal(a.StartsAt) && after.Audience == a.Audience && after.LateAt.Equal(a.LateAt) && after.CreditHours == a.CreditHours &&
		after.Daily == a.Daily && after.CheckOut == a.CheckOut && after.StayMinutes == a.StayMinutes && after.ReEntry == a.ReEntry
}

// CheckInDay is the day that a check-in at the time is for: "" except where
// check-in is daily. An early arrival on the evening before is for the first day.
func (a *Activity) CheckInDay(at time.Time, zone *time.Location) Day {
	if !a.Daily {
		return ""
	}
	return min(max(DayOf(at, zone), DayOf(a.StartsAt, zone)), a.lastDay(zone))
}

// CheckInDays are the days of which somebody expected has a record when the
// activity is closed at now.
func (a *Activity) CheckInDays(now time.Time, zone *time.Location) []Day {
	if !a.Daily {
		return []Day{""}
	}
	var days []Day
	last := a.CheckInDay(now, zone)
	for at := a.StartsAt.In(zone); DayOf(at, zone) <= last; at = at.AddDate(0, 0, 1) {
		days = append(days, DayOf(at, zone))
	}
	return days
}

// lastDay is the day of the activity's last moment.
func (a *Activity) lastDay(zone *time.Location) Day {
	return DayOf(a.EndsAt.Add(-time.Millisecond), zone)
}

// StartedAt says whether the meeting has begun: from then on who is expected no longer changes.
func (a *Activity) StartedAt(now time.Time) bool { return !now.Before(a.StartsAt) }

// Allow refuses an act that the activity's status forbids.
func (a *Activity) Allow(statuses ...ActivityStatus) error {
	if slices.Contains(statuses, a.Status) {
		return nil
	}
	if a.Status == Cancelled {
		return ErrActivityCancelled
	}
	return ErrWrongStatus.With("status", a.Status)
}

// CloseableAt says whether the secretary may close the meeting at now.
func (a *Activity) CloseableAt(now time.Time) error {
	if err := a.Allow(Published); err != nil {
		return err
	}
	if !a.StartedAt(now) {
		return ErrNotStarted
	}
	return nil
}

// RestorableAt says whether the activity, which is called off, may take place
// after all.
func (a *Activity) RestorableAt(now time.Time) error {
	switch {
	case a.Status != Cancelled:
		return ErrWrongStatus.With("status", a.Status)
	case !now.Before(a.EndsAt):
		return ErrActivityOver
	}
	return nil
}
