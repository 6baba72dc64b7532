package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

// acts writes so many audit entries, as acts of the system do.
func acts(t *testing.T, w *trial.World, n int) (ids []uint64) {
	t.Helper()
	for i := range n {
		e := model.AuditEntry{At: w.Clock.Now(), AccountID: 1, MemberID: 2, Action: "bind", Object: fmt.Sprint("member/", i), Result: "ok", Details: `{"n":1}`, Address: "192.0.2.7"}
		if err := w.DB.Create(&e).Error; err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.ID)
	}
	return ids
}

func sealAll(t *testing.T, w *trial.World) {
	t.Helper()
	if _, err := w.Audit.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func verified(t *testing.T, w *trial.World, head string) *service.AuditReport {
	t.Helper()
	r, err := w.Audit.Verify(t.Context(), head)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func run(t *testing.T, w *trial.World, statement string, args ...any) {
	t.Helper()
	if r := w.DB.Exec(statement, args...); r.Error != nil || r.RowsAffected == 0 {
		t.Fatalf("%s: %d rows, %v", statement, r.RowsAffected, r.Error)
	}
}

func TestM11_OneAlteredDeletedOrInsertedEntryIsFoundAndACutEndToo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		tamper func(t *testing.T, w *trial.World, ids []uint64)
		entry  int // which of the five is named, -1 for none of them
		says   string
	}{
		{"untouched", func(*testing.T, *trial.World, []uint64) {}, 0, ""},
		{"altered details", func(t *testing.T, w *trial.World, ids []uint64) {
			run(t, w, `UPDATE audit_entries SET details = '{"n":2}' WHERE id = ?`, ids[2])
		}, 2, "被改动"},
		{"altered actor", func(t *testing.T, w *trial.World, ids []uint64) {
			run(t, w, "UPDATE audit_entries SET member_id = 3 WHERE id = ?", ids[0])
		}, 0, "被改动"},
		{"altered address", func(t *testing.T, w *trial.World, ids []uint64) {
			run(t, w, "UPDATE audit_entries SET address = '' WHERE id = ?", ids[4])
		}, 4, "被改动"},
		{"deleted", func(t *testing.T, w *trial.World, ids []uint64) {
			run(t, w, "DELETE FROM audit_entries WHERE id = ?", ids[1])
		}, 1, "被删除"},
		{"deleted with its seal", func(t *testing.T, w *trial.World, ids []uint64) {
			run(t, w, "DELETE FROM audit_entries WHERE id = ?", ids[1])
			run(t, w, "DELETE FROM audit_seals WHERE entry_id = ?", ids[1])
		}, -1, "不见了"},
		{"inserted and not yet sealed", func(t *testing.T, w *trial.World, ids []uint64) {
			run(t, w, "INSERT INTO audit_entries (id, at, account_id, member_id, action, object, result, details, address) SELECT ?, at, 9, 9, action, object, result, details, address FROM audit_entries WHERE id = ?", 1<<40, ids[2])
		}, -1, "没有封存"},
		{"inserted and sealed by a replica that does not know", func(t *testing.T, w *trial.World, ids []uint64) {
			run(t, w, "INSERT INTO audit_entries (id, at, account_id, member_id, action, object, result, details, address) SELECT ?, at, 9, 9, action, object, result, details, address FROM audit_entries WHERE id = ?", 1<<40, ids[2])
			sealAll(t, w)
		}, -1, "后来插入"},
		{"inserted with a seal of the tamperer's own", func(t *testing.T, w *trial.World, ids []uint64) {
			run(t, w, "INSERT INTO audit_entries (id, at, account_id, member_id, action, object, result, details, address) SELECT ?, at, 9, 9, action, object, result, details, address FROM audit_entries WHERE id = ?", 1<<40, ids[4])
			run(t, w, "INSERT INTO audit_seals (seq, entry_id, at, hash) SELECT seq + 1, ?, at, hash FROM audit_seals WHERE entry_id = ?", 1<<40, ids[4])
		}, -1, "被改动"},
		{"two seals exchanged", func(t *testing.T, w *trial.World, ids []uint64) {
			run(t, w, "UPDATE audit_seals SET entry_id = 1 << 41 WHERE entry_id = ?", ids[1])
			run(t, w, "UPDATE audit_seals SET entry_id = ? WHERE entry_id = ?", ids[1], ids[2])
			run(t, w, "UPDATE audit_seals SET entry_id = ? WHERE entry_id = 1 << 41", ids[2])
		}, 1, "被改动"},
		{"the seals at the end taken away", func(t *testing.T, w *trial.World, ids []uint64) {
			run(t, w, "DELETE FROM audit_seals WHERE entry_id >= ?", ids[3])
		}, 3, "没有封存"},
		{"the end taken away with its seals", func(t *testing.T, w *trial.World, ids []uint64) {
			run(t, w, "DELETE FROM audit_seals WHERE entry_id >= ?", ids[3])
			run(t, w, "DELETE FROM audit_entries WHERE id >= ?", ids[3])
		}, -1, "末尾被截断"},
		{"a beginning that is not ours", func(t *testing.T, w *trial.World, ids []uint64) {
			run(t, w, "INSERT INTO audit_cuts (seq, at, hash, mac) SELECT seq, at, hash, hash FROM audit_seals WHERE entry_id = ?", ids[1])
			run(t, w, "DELETE FROM audit_seals WHERE entry_id <= ?", ids[1])
			run(t, w, "DELETE FROM audit_entries WHERE id <= ?", ids[1])
		}, -1, "起点不是"},
	} {
		t.Run(c.name, func(t *testing.T) {
			trial.EachStore(t, func(t *testing.T, w *trial.World) {
				ids := acts(t, w, 5)
				sealAll(t, w)
				before := verified(t, w, "")
				if before.Entries != 5 || len(before.Problems) != 0 {
					t.Fatalf("before: %+v", before)
				}
				w.Clock.Advance(time.Hour)
				c.tamper(t, w, ids)
				r := verified(t, w, before.Head)
				if c.says == "" {
					if r.Entries != 5 || len(r.Problems) != 0 || r.Head != before.Head {
						t.Errorf("got %+v", r)
					}
					return
				}
				if len(r.Problems) == 0 || !strings.Contains(fmt.Sprint(r.Problems), c.says) || c.entry >= 0 && !slices.ContainsFunc(r.Problems, func(p service.AuditProblem) bool { return p.Entry == ids[c.entry] }) {
					t.Errorf("got %+v, want entry %d and %s", r, c.entry, c.says)
				}
			}, still)
		})
	}
}

// still keeps the sealers of the background quiet: what is looked at here is
// what is in the tables, and they would seal in between.
func still(p *service.Parts) { p.Settings.SealPeriod = time.Hour }

func TestM11_TheChainGoesOnAndNothingWaitsForEver(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		for round := range 3 {
			acts(t, w, 400)
			if age, err := w.Audit.Unsealed(t.Context()); err != nil || age != 0 {
				t.Errorf("just written: unsealed for %s, %v", age, err)
			}
			w.Clock.Advance(time.Minute)
			if age, err := w.Audit.Unsealed(t.Context()); err != nil || age != time.Minute {
				t.Errorf("unsealed for %s, %v", age, err)
			}
			sealAll(t, w)
			if r := verified(t, w, ""); r.Entries != 400*(round+1) || len(r.Problems) > 0 || r.Waiting > 0 {
				t.Fatalf("round %d: %+v", round, r)
			}
			w.Clock.Advance(20 * time.Minute)
		}
		// An entry that commits hours late, under a number below all that were
		// sealed, is not skipped for ever.
		run(t, w, "DELETE FROM audit_seals WHERE seq = 1200")
		run(t, w, "UPDATE audit_entries SET id = 1 << 41 WHERE id = (SELECT id FROM (SELECT MAX(id) AS id FROM audit_entries) m)")
		sealAll(t, w)
		run(t, w, "UPDATE audit_seals SET entry_id = 1 << 42 WHERE seq = 600")
		sealAll(t, w)
		w.Clock.Advance(time.Hour)
		sealAll(t, w)
		var left int64
		if err := w.DB.Raw("SELECT COUNT(*) FROM audit_entries e LEFT JOIN audit_seals s ON s.entry_id = e.id WHERE s.seq IS NULL").Scan(&left).Error; err != nil || left != 0 {
			t.Errorf("%d entries are left without a seal, %v", left, err)
		}
	}, still)
}

func TestM11_ACommandThatWritesMuchLeavesNothingWithoutASeal(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		acts(t, w, 1201) // more than one look takes in
		if err := w.Audit.SealNewest(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(time.Hour)
		if r := verified(t, w, ""); r.Entries != 1201 || r.Waiting != 0 || len(r.Problems) != 0 {
			t.Errorf("%d entries, %d waiting, problems %v", r.Entries, r.Waiting, r.Problems)
		}
	}, still)
}

func TestM11_WhatWasWrittenJustBeforeTheServiceStopsIsSealed(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		s := service.New(w.Parts)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		acts(t, w, 3)
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(24 * time.Hour) // until somebody starts it again
		sealAll(t, w)
		if r := verified(t, w, ""); r.Entries != 3 || len(r.Problems) != 0 {
			t.Errorf("%d entries, problems %v", r.Entries, r.Problems)
		}
	}, still)
}

func TestM11_AnEntryThatCommitsAfterLaterOnesIsSealedAllTheSame(t *testing.T) {
	t.Parallel()
	w := trial.New(t, trial.MySQL, still)
	slow := w.DB.Begin()
	e := model.AuditEntry{At: w.Clock.Now(), Action: "slow", Object: "x/1", Result: "ok"}
	if err := slow.Create(&e).Error; err != nil {
		t.Fatal(err)
	}
	if later := acts(t, w, 3); later[0] <= e.ID {
		t.Fatal("the slow one has no smaller number: this test shows nothing")
	}
	sealAll(t, w)
	if err := slow.Commit().Error; err != nil {
		t.Fatal(err)
	}
	sealAll(t, w)
	if r := verified(t, w, ""); r.Entries != 4 || len(r.Problems) > 0 {
		t.Errorf("got %+v", r)
	}
}

// race lets four replicas seal at once, round after round, until broken says
// that the chain is; it returns the last report.
func raceOfSealers(t *testing.T, w *trial.World, rounds int, broken func(*service.AuditReport) bool) *service.AuditReport {
	t.Helper()
	replicas := make([]*service.Services, 4)
	for i := range replicas {
		replicas[i] = w.Replica()
	}
	var r *service.AuditReport
	for range rounds {
		acts(t, w, 20)
		trial.Race(len(replicas), func(i int) {
			if _, err := replicas[i].Audit.Seal(t.Context()); err != nil {
				t.Error(err)
			}
		})
		if r = verified(t, w, ""); broken(r) {
			break
		}
	}
	return r
}

func TestM11_ManySealersAtOnceMakeOneChain(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		r := raceOfSealers(t, w, 10, func(r *service.AuditReport) bool { return len(r.Problems) > 0 })
		if r.Entries != 200 || len(r.Problems) > 0 {
			t.Errorf("got %+v", r)
		}
	}, still)
}

func TestM11_ControlWithoutItsKeysTheChainForks(t *testing.T) {
	t.Parallel()
	w := trial.New(t, trial.MySQL, still)
	if err := w.DB.Exec("ALTER TABLE audit_seals DROP PRIMARY KEY, DROP KEY audit_seals_entry").Error; err != nil {
		t.Fatal(err)
	}
	forked := func(*service.AuditReport) bool {
		var n int64
		if err := w.DB.Raw("SELECT COUNT(*) - COUNT(DISTINCT seq) FROM audit_seals").Scan(&n).Error; err != nil {
			t.Fatal(err)
		}
		return n > 0
	}
	if r := raceOfSealers(t, w, 50, forked); !forked(r) || len(r.Problems) == 0 {
		t.Errorf("without keys the chain is whole (%+v): the test cannot see the race", r)
	}
}

func TestM11_TheExportHoldsEveryEntryAndIsItselfOnRecord(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		acts(t, w, 3)
		sealAll(t, w)
		var out bytes.Buffer
		refused(t, "a member", w.Audit.Export(t.Context(), &model.Actor{MemberID: 1}, &out), model.ErrForbidden)
		if err := w.Audit.Export(t.Context(), model.Operator(), &out); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 3 {
			t.Fatalf("got %d lines: %s", len(lines), out.String())
		}
		var line map[string]any
		if err := json.Unmarshal([]byte(lines[2]), &line); err != nil || line["seal"] != 3.0 || line["address"] != "192.0.2.7" || line["action"] != "bind" {
			t.Errorf("got %v, %v", line, err)
		}
		if n := countRows(t, w, "audit_entries", "action = 'export_audit'"); n != 1 {
			t.Errorf("the export left %d entries", n)
		}
	}, still)
}

func TestM11_TheReplicasAccountAddsToTheAuditAndNeverChangesIt(t *testing.T) {
	t.Parallel()
	w := trial.New(t, trial.MySQL, still)
	ids := acts(t, w, 2)
	db := w.AsReplica()
	for _, statement := range []string{
		"UPDATE audit_entries SET result = 'no'", "DELETE FROM audit_entries", "TRUNCATE TABLE audit_entries", "REPLACE INTO audit_entries SELECT * FROM audit_entries",
		"UPDATE audit_seals SET hash = ''", "DELETE FROM audit_seals", "UPDATE audit_cuts SET hash = ''", "DELETE FROM audit_cuts",
		"CREATE TABLE x (id INT)", "ALTER TABLE members ADD COLUMN x INT", "DROP TABLE audit_seals", "CREATE TRIGGER x BEFORE INSERT ON audit_entries FOR EACH ROW SET NEW.result = 'no'",
		"UPDATE goose_db_version SET version_id = 0",
	} {
		if err := db.Exec(statement).Error; err == nil || !strings.Contains(err.Error(), "denied") {
			t.Errorf("%s: got %v, want a denial", statement, err)
		}
	}
	// The negative control: the owner's hand reaches further.
	run(t, w, "UPDATE audit_entries SET result = 'no' WHERE id = ?", ids[0])
	restricted := w.Replica(func(p *service.Parts) { p.DB = db })
	if n, err := restricted.Audit.Seal(t.Context()); err != nil || n != 2 {
		t.Errorf("sealed %d, %v", n, err)
	}
	if r, err := restricted.Audit.Verify(t.Context(), ""); err != nil || r.Entries != 2 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestBackgroundWorkThatPanicsIsLoggedOnceAndGoesOn(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		s := service.New(w.Parts)
		var times, others atomic.Int32
		s.AlsoRun(func(context.Context) error {
			if times.Add(1) <= 2 {
				panic("a planted panic")
			}
			return nil
		})
		s.AlsoRun(func(ctx context.Context) error {
			others.Add(1)
			<-ctx.Done()
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		trial.Eventually(t, "the work goes on", func() bool { return times.Load() == 3 })
		if others.Load() != 1 {
			t.Errorf("other work began %d times", others.Load())
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run ended with %v", err)
		}
		if n := strings.Count(w.Log.String(), `"a planted panic"`); n != 1 {
			t.Errorf("it was logged %d times", n)
		}
	})
}
