package main

import (
	"context"
	"fmt"
	"time"
)

// control is the stage with books of its own: its checks are the real ones,
// made where they have to fail, and count for nothing by themselves.
func (s *stage) control() *stage {
	return &stage{ground: s.ground, id: s.id, history: s.history, controls: true,
		program: s.program, table: s.table, meeting: s.meeting, replicas: s.replicas}
}

// seesDrift shows that settle and shown see it when the record and what people
// were told go apart: it plants a row that the boards do not count, and takes
// away one that was confirmed. It comes last, for it spoils the record.
func (s *stage) seesDrift(ctx context.Context, o *outcome) error {
	db := s.stores.DB.WithContext(ctx)
	var one row
	if err := db.Table(s.table).Select("activity_id, member_id, nonce").Where("activity_id IN ?", s.meeting.Activities()).Order("id").Limit(1).Scan(&one).Error; err != nil {
		return fmt.Errorf("find a row: %w", err)
	}
	err := db.Exec("INSERT INTO "+s.table+" (activity_id, member_id, branch_id, status, provenance, at, location, guest, reason, nonce, fingerprint, voided) "+
		"SELECT activity_id, member_id, branch_id, status, provenance, at, location, guest, reason, CONCAT(nonce, '-planted'), fingerprint, id FROM "+s.table+
		" WHERE activity_id = ? AND member_id = ?", one.ActivityID, one.MemberID).Error
	if err != nil {
		return fmt.Errorf("plant a row: %w", err)
	}
	brief, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	boards, twice, lost := s.control(), s.control(), s.control()
	if err := boards.shown(brief, 5*time.Second); err != nil {
		return err
	}
	if err := twice.settle(ctx, o); err != nil {
		return err
	}
	if err := db.Exec("DELETE FROM "+s.table+" WHERE activity_id = ? AND member_id = ?", one.ActivityID, one.MemberID).Error; err != nil {
		return fmt.Errorf("lose a row: %w", err)
	}
	if err := lost.settle(ctx, o); err != nil {
		return err
	}
	s.check(len(boards.failed) > 0, "对照：记录里多一条，会场统计不符，看得出：%s", some(boards.failed))
	s.check(len(twice.failed) == 2, "对照：多出的那条是重复的，也没有来历，看得出：%s", some(twice.failed))
	s.check(len(lost.failed) == 1, "对照：少了一条确认过的，看得出：%s", some(lost.failed))
	return nil
}
