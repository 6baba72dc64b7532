package service

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Signals is what stands out in how people checked in. It is shown to those
// who conduct the meeting alone, and nothing follows from it by itself.
type Signals struct {
	db   *gorm.DB
	step time.Duration
}

// SignalList is the signals of one activity.
type SignalList struct {
	Notice string         `json:"notice" doc:"先显示这句话"`
	Items  []model.Signal `json:"items"`
}

// Show is the signals of an activity, for those who conduct it; at a joint
// meeting those of another branch see what stands out among their own people.
func (s *Signals) Show(ctx context.Context, actor *model.Actor, id uint64) (*SignalList, error) {
	db := s.db.WithContext(ctx)
	a, all, err := jointly(db, actor, id)
	if err != nil {
		return nil, err
	}
	if !all.conducted(actor) {
		return nil, model.ErrNotConductor
	}
	var rows []struct {
		model.SignalFacts
		BranchID uint64
	}
	odd := db.Model(&model.OfflineItem{}).Select("member_id, nonce, MAX(doubts) AS doubts").
		Where("activity_id = ? AND refusal = '' AND doubts <> ''", id).Group("member_id, nonce")
	err = db.Table("attendances t").Joins("JOIN members m ON m.id = t.member_id").
		Select("t.member_id, m.name, t.at, t.provenance, t.location, t.device, t.code_age_ms, COALESCE(o.doubts, '') AS doubts, COALESCE(r.branch_id, t.branch_id) AS branch_id").
		Joins("LEFT JOIN roster_entries r ON r.activity_id = t.activity_id AND r.member_id = t.member_id").
		Joins("LEFT JOIN (?) o ON o.member_id = t.member_id AND o.nonce = t.nonce AND t.provenance IN ?", odd,
			[]model.Provenance{model.ByOffline, model.ByOfflineTick}).
		Where("t.activity_id = ? AND t.voided = 0 AND t.status = ?", id, model.Present).Order("t.at, t.id").Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("signals of activity %d: %w", id, err)
	}
	var facts []model.SignalFacts
	for _, r := range rows {
		if all.mayRecord(actor, r.BranchID, true) == nil {
			facts = append(facts, r.SignalFacts)
		}
	}
	return &SignalList{Notice: "以下线索只供书记参考，不是结论；系统不会据此改动任何人的签到", Items: model.Signals(a, s.step, facts)}, nil
}
