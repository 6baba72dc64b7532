package model

import (
	"slices"
	"time"
)

// Skill is what a slot wishes of who takes it.
type Skill string

// The skills.
const (
	AnySkill    Skill = "any"
	Law         Skill = "law"
	Medicine    Skill = "medicine"
	Teaching    Skill = "teaching"
	Repairs     Skill = "repairs"
	Computers   Skill = "computers"
	Arts        Skill = "arts"
	Counselling Skill = "counselling"
	Environment Skill = "environment"
	Order       Skill = "order"
)

// SkillNames are the words people use, by skill.
var SkillNames = map[Skill]string{
	AnySkill: "不限", Law: "法律政策", Medicine: "医疗健康", Teaching: "教育辅导", Repairs: "维修", Computers: "电脑手机",
	Arts: "文艺宣传", Counselling: "心理疏导", Environment: "环境卫生", Order: "治安巡逻",
}

// Refusals of service days and their slots.
var (
	ErrServiceDayNotFound = &Error{Kind: NotFound, Code: "service_day_not_found", Message: "没有这个服务日，可能已被撤回，请刷新后再试"}
	ErrSlotNotFound       = &Error{Kind: NotFound, Code: "slot_not_found", Message: "没有这个岗位，可能已被撤回，请刷新后再试"}
	ErrServiceStatus      = &Error{Kind: Conflict, Code: "service_status", Message: "服务日当前的状态不允许这样做，请刷新后再试"}
	ErrServiceCancelled   = &Error{Kind: Conflict, Code: "service_cancelled", Message: "服务日已取消，请看看其他岗位"}
	ErrServiceStarted     = &Error{Kind: Conflict, Code: "service_started", Message: "服务已经开始，不能再改"}
	ErrSlotTimes          = &Error{Kind: Invalid, Code: "slot_times", Message: "岗位的开始时间须早于结束时间，同一服务日的岗位须在同一天"}
)

// ServiceDay is a 固定服务日: what a community needs on one day. Members sign up
// for its slots until SignUpUntil and give a seat back without a word until
// CancelUntil. Fewer than MinimumMinutes there make no service hours.
type ServiceDay struct {
	ID             uint64         `json:"id"`
	CommunityID    uint64         `json:"community_id"`
	CalendarID     *uint64        `json:"calendar_id"`
	CalendarDay    *Day           `json:"-"` // the rule's own day, before any shift
	Title          string         `json:"title"`
	Content        string         `json:"content"`
	Place          string         `json:"place"`
	Contact        string         `json:"contact"`
	StartsAt       time.Time      `json:"starts_at"`
	EndsAt         time.Time      `json:"ends_at"`
	SignUpUntil    time.Time      `json:"sign_up_until"`
	CancelUntil    time.Time      `json:"cancel_until"`
	MinimumMinutes int            `json:"minimum_minutes"`
	RegisteredOnly bool           `json:"registered_only"`
	RefuseOverlap  bool           `json:"refuse_overlap"`
	Status         ActivityStatus `json:"status"`
	CancelReason   string         `json:"cancel_reason,omitempty"`
	CodeEpoch      uint32         `json:"-"`
	Version        int            `json:"version"`
	CreatedBy      uint64         `json:"-"`
	PublishedAt    *time.Time     `json:"published_at"`
	ClosedAt       *time.Time     `json:"closed_at"`
	CreatedAt      time.Time      `json:"-"`
	Once           `gorm:"embedded"`
}

// ServiceSlot is one job of a service day with a number of seats. Taken counts
// the seats that are held, by members or by offers; Waiting those in line.
// UnitCap is how many seats one branch may hold, zero for any number.
type ServiceSlot struct {
	ID           uint64    `json:"id"`
	ServiceDayID uint64    `json:"service_day_id"`
	CommunityID  uint64    `json:"community_id"`
	Name         string    `json:"name"`
	Skill        Skill     `json:"skill"`
	StartsAt     time.Time `json:"starts_at"`
	EndsAt       time.Time `json:"ends_at"`
	Open         bool      `json:"-"` // the service day is published
	Capacity     int       `json:"capacity"`
	UnitCap      int       `json:"unit_cap"`
	Taken        int       `json:"taken"`
	Waiting      int       `json:"waiting"`
}

// Announced says whether the service day was ever published. One that was not
// is known only to those who run it.
func (d *ServiceDay) Announced() bool { return d.PublishedAt != nil }

// Allow refuses an act that the status of the service day forbids.
func (d *ServiceDay) Allow(statuses ...ActivityStatus) error {
	if slices.Contains(statuses, d.Status) {
		return nil
	}
	if d.Status == Cancelled {
		return ErrServiceCancelled
	}
	return ErrServiceStatus.With("status", d.Status)
}

// Embrace sets when the service day starts and ends: with the first and the
// last of its slots, all of them on one day in the zone.
func (d *ServiceDay) Embrace(slots []ServiceSlot, zone *time.Location) error {
	for i := range slots {
		s := &slots[i]
		if !s.StartsAt.Before(s.EndsAt) || DayOf(s.StartsAt, zone) != DayOf(slots[0].StartsAt, zone) ||
			DayOf(s.EndsAt, zone) != DayOf(slots[0].StartsAt, zone) {
			return ErrSlotTimes
		}
		if i == 0 || s.StartsAt.Before(d.StartsAt) {
			d.StartsAt = s.StartsAt
		}
		if i == 0 || s.EndsAt.After(d.EndsAt) {
			d.EndsAt = s.EndsAt
		}
	}
	return nil
}

// StartedAt says whether the slot's service has begun: from then on seats are
// neither taken, nor offered, nor given back.
func (s *ServiceSlot) StartedAt(now time.Time) bool { return !now.Before(s.StartsAt) }

// Meets says whether the slot and the other stretch of time have a moment in common.
func (s *ServiceSlot) Meets(from, until time.Time) bool {
	return s.StartsAt.Before(until) && from.Before(s.EndsAt)
}
