package model

import "time"

// ActivitySeries repeats an activity by a recurrence rule (RFC 5545) over a
// span of days. Plan is what each occurrence is to be, as it was last said for
// the whole series.
type ActivitySeries struct {
	ID             uint64 `json:"id"`
	OrganisationID uint64 `json:"organisation_id"`
	Rule           string `json:"rule"`
	Shift          Shift  `json:"shift"`
	Span
	PublishAheadDays int        `json:"publish_ahead_days" doc:"提前几天自动发布；0 为每次由书记发布"`
	Plan             string     `json:"-"`
	CreatedBy        uint64     `json:"-"`
	CreatedAt        time.Time  `json:"-"`
	EndedAt          *time.Time `json:"ended_at" doc:"何时停止的；空为还在继续"`
}

// TableName is the table of the rows: a series is its own plural.
func (ActivitySeries) TableName() string { return "activity_series" }

// SeriesPartner is a branch that is invited to every occurrence of a series (联办).
type SeriesPartner struct {
	SeriesID uint64 `gorm:"primaryKey;autoIncrement:false"`
	BranchID uint64 `gorm:"primaryKey;autoIncrement:false"`
}

// SeriesEnded is why an occurrence is cancelled that is no longer wanted
// because the series ended or repeats otherwise.
const SeriesEnded = "定期安排已停止或改期"

// Refusals of series.
var (
	ErrSeriesNone  = &Error{Kind: NotFound, Code: "series_not_found", Message: "这个活动没有设为定期重复，请先设置"}
	ErrSeriesEnded = &Error{Kind: Conflict, Code: "series_ended", Message: "这个定期安排已经停止，请重新设置"}
	ErrSeriesDay   = &Error{Kind: Invalid, Code: "series_day", Message: "这里只能改钟点；要改日子，请单独修改这一次，或改重复规则"}
)
