package service_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

func TestWhatHasServedItsTimeGoesAndTheRestStays(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		l := aLife(t, w)
		var pairing model.HouseholdPairing
		if err := w.DB.Take(&pairing, "member_id = ?", l.p.ID).Error; err != nil {
			t.Fatal(err)
		}
		now := w.Clock.Now()
		for _, row := range []any{
			&model.Delivery{AccountID: 1, TemplateID: "t", MsgID: "1", At: now}, &model.SendDecision{ReminderID: 1, At: now, State: "sent"},
			&model.Photo{ActivityID: 1, Purpose: model.ScenePhoto, Digest: "d1", Removed: 1, RemovedBy: ptr(uint64(1)), RemovedAt: ptr(now.Add(29 * 24 * time.Hour))},
		} {
			if err := w.DB.Create(row).Error; err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Households.End(t.Context(), w.Actor(l.p), pairing.ID, ""); err != nil {
			t.Fatal(explain(err))
		}
		sealAll(t, w)
		before := verified(t, w, "")
		w.Clock.Advance(29 * 24 * time.Hour)
		for _, line := range retained(t, w.Retention.Plan) {
			if line.Rows != 0 && line.Kind != "已用或过期的邀请码" {
				t.Errorf("after 29 days %d of %s would go", line.Rows, line.Kind)
			}
		}
		w.Clock.Advance(4 * 365 * 24 * time.Hour)
		acts(t, w, 2)
		sealAll(t, w)
		planned := retained(t, w.Retention.Plan)
		if len(planned) != 7 {
			t.Fatalf("planned %+v", planned)
		}
		applied := retained(t, w.Retention.Apply)
		for i := range planned {
			if planned[i].Rows == 0 || planned[i].Rows != applied[i].Rows {
				t.Errorf("%s: %d would go, %d went", planned[i].Kind, planned[i].Rows, applied[i].Rows)
			}
		}
		for _, line := range retained(t, w.Retention.Apply) {
			if line.Rows != 0 {
				t.Errorf("again, %d of %s went", line.Rows, line.Kind)
			}
		}
		if r := verified(t, w, ""); r.Entries != 2 || len(r.Problems) > 0 {
			t.Errorf("what is left of the chain: %+v (before: %+v)", r, before)
		}
		acts(t, w, 1)
		sealAll(t, w)
		if r := verified(t, w, ""); r.Entries != 3 || len(r.Problems) > 0 {
			t.Errorf("the chain does not go on: %+v", r)
		}
		if n := countRows(t, w, "attendances", "1 = 1") + countRows(t, w, "service_hours", "1 = 1") + countRows(t, w, "household_visits", "1 = 1"); n != 3 {
			t.Errorf("%d rows of the past are left of three", n)
		}
		for _, table := range []string{"sessions", "invitations", "deliveries", "send_decisions"} {
			if n := countRows(t, w, table, "1 = 1"); n != 0 && table != "sessions" {
				t.Errorf("%d %s are left", n, table)
			}
		}
		view, err := w.Households.Show(t.Context(), &model.Actor{MemberID: l.p.ID}, pairing.ID)
		if err != nil || view.Household != (service.Household{Name: "已清除"}) || len(view.Visits) != 1 || view.Visits[0].Note != "" || view.Visits[0].Minutes != 30 {
			t.Errorf("the household: %+v, %v", view, err)
		}
	}, still)
}

func retained(t *testing.T, do func(context.Context) ([]service.RetentionLine, error)) []service.RetentionLine {
	t.Helper()
	lines, err := do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestTheAuditIsNeverThrownAwayBeforeHalfAYear(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		hasty := w.Replica(func(p *service.Parts) {
			p.Settings.Retention = model.StandardRetention
			p.Settings.Retention.Audit = 179 * 24 * time.Hour
		})
		acts(t, w, 3)
		sealAll(t, w)
		w.Clock.Advance(200 * 24 * time.Hour)
		if _, err := hasty.Retention.Apply(t.Context()); !errors.Is(err, model.ErrAuditKeeping) {
			t.Errorf("got %v", err)
		}
		if n := countRows(t, w, "audit_entries", "1 = 1"); n != 3 {
			t.Errorf("%d entries are left", n)
		}
	}, still)
}

func TestTheReplicasAccountLeavesOldAuditToItsOwnerAndTwoWhoCutCutOnce(t *testing.T) {
	t.Parallel()
	w := trial.New(t, trial.MySQL, still)
	acts(t, w, 5)
	sealAll(t, w)
	w.Clock.Advance(4 * 365 * 24 * time.Hour)
	db := w.AsReplica()
	restricted := w.Replica(func(p *service.Parts) { p.DB = db })
	lines := retained(t, restricted.Retention.Apply)
	refused := func(l service.RetentionLine) bool { return l.Rows == 0 && strings.Contains(l.Note, "所有者") }
	if !slices.ContainsFunc(lines, refused) {
		t.Errorf("the replica's account: %+v", lines)
	}
	if r := verified(t, w, ""); r.Entries != 5 || len(r.Problems) > 0 {
		t.Errorf("it left %+v", r)
	}
	replicas := []*service.Services{w.Replica(), w.Replica(), w.Replica()}
	trial.Race(3, func(i int) {
		if _, err := replicas[i].Retention.Apply(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if r := verified(t, w, ""); r.Entries != 0 || len(r.Problems) > 0 || countRows(t, w, "audit_cuts", "1 = 1") != 1 {
		t.Errorf("after three who cut: %+v", r)
	}
}
