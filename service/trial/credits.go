package trial

import (
	"fmt"
	"strings"

	"dangri/model"
)

// creditsHold fails a test that leaves a ledger of credit hours behind which
// does not follow from what is recorded. A control breaks its world on purpose.
func (w *World) creditsHold() {
	if w.t.Failed() || w.database.gate.wasShut() || strings.Contains(w.t.Name(), "Control") {
		return
	}
	if err := w.WrongCredits(); err != nil {
		w.t.Error(err)
	}
}

// WrongCredits says where the ledger of credit hours differs from what is
// recorded: a closed meeting has one entry for whoever was expected or came.
// Meetings that a test closed by hand, and that have no entries, are left out.
func (w *World) WrongCredits() error {
	type entry struct {
		ActivityID, MemberID uint64
		Came                 bool
	}
	var want, got []entry
	err := w.DB.Raw(`SELECT r.activity_id, r.member_id, COALESCE(MAX(t.status = ?), 0) AS came FROM roster_entries r
		JOIN activities a ON a.id = r.activity_id AND a.status = ? AND EXISTS (SELECT 1 FROM credit_entries c WHERE c.activity_id = a.id)
		LEFT JOIN attendances t ON t.activity_id = r.activity_id AND t.member_id = r.member_id AND t.voided = 0
		GROUP BY r.activity_id, r.member_id, r.exempt HAVING r.exempt = '' OR COALESCE(MAX(t.status = ?), 0) = 1
		ORDER BY r.activity_id, r.member_id`, model.Present, model.Closed, model.Present).Scan(&want).Error
	if err == nil {
		err = w.DB.Raw("SELECT activity_id, member_id, came FROM credit_entries ORDER BY activity_id, member_id").Scan(&got).Error
	}
	if err != nil {
		return fmt.Errorf("read the ledger of credit hours: %w", err)
	}
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || want[i] != got[i] {
			return fmt.Errorf("the ledger of credit hours differs from entry %d on: %v, want %v", i, got, want)
		}
	}
	return nil
}
