package service

import (
	"fmt"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Registry is the organisations, their members and who holds which post.
type Registry struct {
	db       *gorm.DB
	sessions *Sessions
	seal     *sealer
	settings Settings
	now      func() time.Time
}

// lineOf is the organisation with its superiors up to the root; empty when
// there is no such organisation.
func lineOf(tx *gorm.DB, organisationID uint64) (model.Line, error) {
	var line model.Line
	err := tx.Raw(`WITH RECURSIVE line AS (
		SELECT o.*, 0 AS height FROM organisations o WHERE o.id = ?
		UNION ALL
		SELECT o.*, line.height + 1 FROM organisations o JOIN line ON o.id = line.parent_id WHERE line.height < 20
	) SELECT id, parent_id, kind, unit_kind, name FROM line ORDER BY height`, organisationID).Scan(&line).Error
	if err != nil {
		return nil, fmt.Errorf("line of organisation %d: %w", organisationID, err)
	}
	return line, nil
}

// lineOfMember is the line of the branch that the member was in on the day;
// empty when there was none.
func lineOfMember(tx *gorm.DB, memberID uint64, day model.Day) (model.Line, error) {
	var m model.Membership
	err := tx.Where("member_id = ? AND from_day <= ? AND until_day > ?", memberID, day, day).Limit(1).Find(&m).Error
	if err != nil {
		return nil, fmt.Errorf("branch of member %d: %w", memberID, err)
	}
	if m.ID == 0 {
		return nil, nil
	}
	return lineOf(tx, m.BranchID)
}

// below is a query for the ids of the organisations and everything under them.
func below(tx *gorm.DB, organisationIDs []uint64) *gorm.DB {
	return tx.Raw(`WITH RECURSIVE below AS (
		SELECT id, 0 AS depth FROM organisations WHERE id IN ?
		UNION ALL
		SELECT o.id, below.depth + 1 FROM organisations o JOIN below ON o.parent_id = below.id WHERE below.depth < 20
	) SELECT DISTINCT id FROM below`, organisationIDs)
}
