package service_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"gorm.io/gorm"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

// session is what the code relies on in each connection to a server.
func session(t *testing.T, c *sql.Conn) map[string]string {
	t.Helper()
	rows, err := c.QueryContext(t.Context(), `SHOW SESSION VARIABLES WHERE Variable_name IN
		('tx_isolation', 'transaction_isolation', 'sql_mode', 'time_zone', 'innodb_lock_wait_timeout', 'character_set_client', 'character_set_results', 'collation_connection', 'autocommit')`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	got := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			t.Fatal(err)
		}
		got[strings.TrimPrefix(strings.Replace(name, "tx_", "transaction_", 1), "transaction_")] = value
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return got
}

var wantSession = map[string]string{
	"isolation": "READ-COMMITTED", "time_zone": "+00:00", "innodb_lock_wait_timeout": "5", "autocommit": "ON",
	"character_set_client": "utf8mb4", "character_set_results": "utf8mb4", "collation_connection": "utf8mb4_unicode_ci",
}

func checkSession(t *testing.T, c *sql.Conn) {
	t.Helper()
	got := session(t, c)
	for name, want := range wantSession {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if !strings.Contains(got["sql_mode"], "STRICT_ALL_TABLES") || strings.Contains(got["sql_mode"], "ANSI_QUOTES") {
		t.Errorf("sql_mode is %q", got["sql_mode"])
	}
}

func TestEveryConnectionHasTheSettingsThatTheCodeReliesOn(t *testing.T) {
	t.Parallel()
	w := trial.New(t, trial.MySQL)
	conns, err := w.DB.DB()
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	held := make([]*sql.Conn, 12) // more than were ever open
	for i := range held {
		if held[i], err = conns.Conn(ctx); err != nil {
			t.Fatal(err)
		}
		checkSession(t, held[i])
	}
	// A connection that goes back keeps them, and one in place of a lost one has them too.
	if _, err := held[0].ExecContext(ctx, "INSERT INTO nowhere VALUES (1)"); err == nil {
		t.Error("there is a table called nowhere")
	}
	var id int64
	if err := held[1].QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&id); err != nil {
		t.Fatal(err)
	}
	if _, err := held[0].ExecContext(ctx, "KILL CONNECTION ?", id); err != nil {
		t.Fatal(err)
	}
	for _, c := range held {
		_ = c.Close()
	}
	for i := range held {
		if held[i], err = conns.Conn(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range held {
		if err := c.PingContext(ctx); err == nil { // the killed one goes at its next use
			checkSession(t, c)
		}
		_ = c.Close()
	}
}

func TestNoDSNUndoesTheSettings(t *testing.T) {
	t.Parallel()
	w := trial.New(t, trial.MySQL)
	separator := "?"
	if strings.Contains(w.DSN, "?") {
		separator = "&"
	}
	for _, parameters := range []string{
		"sql_mode=%27%27&tx_isolation=%27SERIALIZABLE%27", "charset=latin1", "charset=gbk,utf8mb4&collation=gbk_chinese_ci", "time_zone=%27%2B08:00%27&loc=Local",
		"multiStatements=true&parseTime=false&interpolateParams=false&allowAllFiles=true&clientFoundRows=true", "autocommit=1&innodb_lock_wait_timeout=50",
	} {
		db, err := service.OpenDatabase(w.DSN + separator + parameters)
		if err != nil {
			t.Errorf("%s: %v", parameters, err)
			continue
		}
		conns, err := db.DB()
		if err != nil {
			t.Fatal(err)
		}
		c, err := conns.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		checkSession(t, c)
		if _, err := c.ExecContext(t.Context(), "SELECT 1; SELECT 2"); err == nil {
			t.Errorf("%s: two statements are taken for one", parameters)
		}
		_ = c.Close()
		at := w.Clock.Now()
		made := model.Organisation{Kind: model.Branch, UnitKind: model.Organ, Name: "第一党支部👍" + parameters[:8], CreatedAt: at}
		var found model.Organisation
		if err := db.Create(&made).Error; err != nil {
			t.Errorf("%s: %v", parameters, err)
		}
		if err := w.DB.Take(&found, made.ID).Error; err != nil || found.Name != made.Name || !found.CreatedAt.Equal(at) {
			t.Errorf("%s: %+v became %+v (%v)", parameters, made, found, err)
		}
		if err := conns.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatDoesNotFitIsAnErrorAndNotCutOff(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		long := model.Organisation{Kind: model.Branch, UnitKind: model.Organ, Name: strings.Repeat("党", 300), CreatedAt: w.Clock.Now()}
		if err := w.DB.Create(&long).Error; err == nil {
			t.Error("a name of 300 characters is taken")
		}
		var n int64
		if err := w.DB.Model(&model.Organisation{}).Count(&n).Error; err != nil || n != 0 {
			t.Errorf("%d organisations (%v)", n, err)
		}
	})
}

func TestATransactionSeesWhatOthersHaveCommittedMeanwhile(t *testing.T) {
	t.Parallel()
	w := trial.New(t, trial.MySQL)
	w.District()
	err := w.DB.Transaction(func(tx *gorm.DB) error {
		var before, after int64
		if err := tx.Model(&model.Organisation{}).Count(&before).Error; err != nil {
			return err
		}
		w.Branch("第一党支部")
		if err := tx.Model(&model.Organisation{}).Count(&after).Error; err != nil {
			return err
		}
		if after != before+1 { // a snapshot would be what oversells
			t.Errorf("%d organisations and then %d", before, after)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The server rolls back all of a transaction that it ends for a deadlock, and
// would carry out for itself what still comes.
func TestWhatFollowsADeadlockIsNotCarriedOut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		run   func(context.Context, *gorm.DB, func(*gorm.DB) error) error
		stray int64 // rows made after the deadlock
		fails bool
	}{
		{"in one transaction, tried again", service.InTx, 0, false},
		{"control: without inTx", func(ctx context.Context, db *gorm.DB, f func(*gorm.DB) error) error {
			return db.WithContext(ctx).Transaction(f)
		}, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := trial.New(t, trial.MySQL)
			first, second := w.Branch("第一党支部"), w.Branch("第二党支部")
			rename := func(tx *gorm.DB, o model.Organisation) error {
				return tx.Model(&model.Organisation{}).Where("id = ?", o.ID).Update("name", o.Name+"甲").Error
			}
			add := func(tx *gorm.DB, name string) error {
				return tx.Create(&model.Organisation{Kind: model.Branch, UnitKind: model.Organ, Name: name, CreatedAt: w.Clock.Now()}).Error
			}
			other := w.DB.WithContext(t.Context()).Begin()
			for i := range 20 { // the one that did more goes on
				if err := add(other, fmt.Sprint("新党支部", i)); err != nil {
					t.Fatal(err)
				}
			}
			if err := rename(other, second); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			tries := 0
			err := c.run(t.Context(), w.DB, func(tx *gorm.DB) error {
				tries++
				if err := rename(tx, first); err != nil {
					return err
				}
				if tries == 1 {
					go func() { ended <- errors.Join(rename(other, first), other.Rollback().Error) }()
				}
				return errors.Join(rename(tx, second), add(tx, fmt.Sprint("第", tries, "次")))
			})
			if (err != nil) != c.fails {
				t.Errorf("got %v", err)
			}
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			var stray, made int64
			if err := errors.Join(w.DB.Model(&model.Organisation{}).Where("name = ?", "第1次").Count(&stray).Error,
				w.DB.Model(&model.Organisation{}).Where("name = ?", "第2次").Count(&made).Error); err != nil {
				t.Fatal(err)
			}
			if stray != c.stray || c.fails != (made == 0) {
				t.Errorf("%d rows of the try that collided and %d of the next, after %d tries", stray, made, tries)
			}
		})
	}
}

func TestAServerThatNeverAnswersIsAway(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	began := time.Now()
	_, err = service.OpenDatabase("root@tcp(" + silent.Addr().String() + ")/dangri")
	if took := time.Since(began); !service.StoreAway(err) || took > 40*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := silent.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := service.OpenDatabase("root@tcp(" + silent.Addr().String() + ")/dangri"); !service.StoreAway(err) || ctx.Err() != nil {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestEveryConnectionToTheFileHasTheSettingsThatTheCodeReliesOn(t *testing.T) {
	t.Parallel()
	w := trial.New(t, trial.SQLite)
	conns, err := w.DB.DB()
	if err != nil {
		t.Fatal(err)
	}
	var held []*sql.Conn
	for range conns.Stats().MaxOpenConnections {
		c, err := conns.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
		for pragma, want := range map[string]string{"foreign_keys": "1", "journal_mode": "wal", "busy_timeout": "20000", "synchronous": "1"} {
			var got string
			if err := c.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s is %q, want %q (%v)", pragma, got, want, err)
			}
		}
	}
	for _, c := range held {
		_ = c.Close()
	}
	if len(held) < 2 {
		t.Errorf("%d connections", len(held))
	}
}

// A server that goes away between its greeting and the client's answer.
func TestH6_AConnectionThatBreaksWhileItIsMadeMeansThatTheStoreIsAway(t *testing.T) {
	greeting := "\x0a5.7.0\x00" + "\x01\x00\x00\x00" + "saltsalt\x00" + "\x00\x82" + "\x2d\x02\x00\x08\x00\x15" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + "saltsaltsalt\x00" + "mysql_native_password\x00"
	mysql.RegisterDialContext("breaking", func(context.Context, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			_, _ = server.Write([]byte{byte(len(greeting)), 0, 0, 0})
			_, _ = server.Write([]byte(greeting))
			_ = server.Close()
		}()
		return client, nil
	})
	defer mysql.DeregisterDialContext("breaking")
	_, err := service.OpenDatabase("root@breaking(nowhere)/dangri")
	if !service.StoreAway(err) {
		t.Errorf("got %v, want a store that is away", err)
	}
}
