package model

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/ncruces/go-sqlite3/driver"
	"github.com/pressly/goose/v3"
	"gorm.io/gorm/schema"
)

// rows are the types whose rows fill the tables, all of them.
var rows = []any{
	Organisation{}, Member{}, MemberPhone{}, Membership{}, Post{}, Account{}, Session{}, Invitation{},
	Activity{}, ActivityTarget{}, RosterEntry{}, Leave{}, LeaveRequest{}, LateRecord{}, Attendance{}, Movement{}, CreditEntry{}, AuditEntry{},
	AuditSeal{}, AuditCut{}, Complaint{},
	Consent{}, ConsentEnd{}, Reminder{}, Delivery{}, SendDecision{},
	CommunityRegistration{}, ServiceDay{}, ServiceSlot{}, SlotSignUp{}, ServiceHours{}, HourObjection{},
	ServiceCalendar{}, CalendarException{}, CalendarDay{}, FeedbackSlip{}, HouseholdPairing{}, HouseholdVisit{}, ActivitySeries{}, SeriesPartner{}, JointBranch{},
	Minutes{}, Vote{}, VoteCandidate{}, Photo{}, PaperSheet{}, OfflineItem{},
}

// emptySQLite is a new SQLite file.
func emptySQLite(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(t.TempDir(), "x.db")+"?_pragma=busy_timeout(20000)&_pragma=foreign_keys(1)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// emptyMySQL is the configuration of a new database on the test server.
func emptyMySQL(t *testing.T) *mysql.Config {
	t.Helper()
	dsn := os.Getenv("DANGRI_TEST_MYSQL_DSN")
	if dsn == "" {
		dsn = "root@tcp(127.0.0.1:3306)/"
	}
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal("DANGRI_TEST_MYSQL_DSN 应为 root@tcp(主机:3306)/ 的形式")
	}
	cfg.ParseTime, cfg.Timeout = true, 5*time.Second
	server := open(t, cfg)
	cfg.DBName = fmt.Sprintf("dangri_test_%012x", rand.Uint64()>>16)
	if _, err := server.Exec("CREATE DATABASE " + cfg.DBName); err != nil {
		t.Fatalf("测试需要 MySQL 或 MariaDB，而 %s 连不上（%v）：请用 make test 运行，或用 DANGRI_TEST_MYSQL_DSN 指定一台", cfg.Addr, err)
	}
	t.Cleanup(func() {
		if _, err := server.Exec("DROP DATABASE " + cfg.DBName); err != nil {
			t.Error(err)
		}
	})
	return cfg
}

// open is a pool of its own, as another process would have.
func open(t *testing.T, cfg *mysql.Config) *sql.DB {
	t.Helper()
	connector, err := mysql.NewConnector(cfg.Clone())
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func migrate(t *testing.T, db *sql.DB, dialect string) *sql.DB {
	t.Helper()
	if _, err := Migrate(t.Context(), db, dialect); err != nil {
		t.Fatal(err)
	}
	return db
}

func eachDialect(t *testing.T, test func(t *testing.T, db *sql.DB, dialect string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, emptySQLite(t), "sqlite") })
	t.Run("mysql", func(t *testing.T) { test(t, open(t, emptyMySQL(t)), "mysql") })
}

// table is what the two stores can be asked to agree on.
type table struct {
	columns map[string]column
	indexes map[string]index
	foreign []string // such as "member_id -> members.id"
}

type column struct {
	class    string // int, float, bool, text or time
	nullable bool
	length   string // of a text, "" where there is no limit
}

type index struct {
	unique  bool
	columns string
}

var classes = map[string]string{
	"bigint unsigned": "int", "int unsigned": "int", "int": "int", "integer": "int", "double": "float", "real": "float",
	"tinyint": "bool", "boolean": "bool", "varchar": "text", "char": "text", "text": "text", "datetime": "time",
}

func class(t *testing.T, declared string) string {
	t.Helper()
	kind := strings.ToLower(declared)
	unsigned := strings.HasSuffix(kind, " unsigned")
	kind, _, _ = strings.Cut(strings.TrimSuffix(kind, " unsigned"), "(")
	if unsigned {
		kind += " unsigned"
	}
	if classes[kind] == "" {
		t.Fatalf("type %q has no class", declared)
	}
	return classes[kind]
}

// query calls each with every row, as texts.
func query(t *testing.T, db *sql.DB, each func(v []string), text string, args ...any) {
	t.Helper()
	found, err := db.Query(text, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	names, err := found.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for found.Next() {
		values, into := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := found.Scan(into...); err != nil {
			t.Fatal(err)
		}
		v := make([]string, len(names))
		for i := range values {
			v[i] = values[i].String
		}
		each(v)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
}

func isOurs(table string) bool {
	return !strings.HasPrefix(table, "goose_") && !strings.HasPrefix(table, "sqlite_")
}

func readMySQL(t *testing.T, db *sql.DB) map[string]table {
	t.Helper()
	tables := map[string]table{}
	query(t, db, func(v []string) {
		if !isOurs(v[0]) {
			return
		}
		if _, ok := tables[v[0]]; !ok {
			tables[v[0]] = table{columns: map[string]column{}, indexes: map[string]index{}}
		}
		length := ""
		if !strings.Contains(v[3], "text") {
			length = v[4]
		}
		tables[v[0]].columns[v[1]] = column{class(t, v[3]), v[2] == "YES", length}
	}, "SELECT table_name, column_name, is_nullable, column_type, character_maximum_length FROM information_schema.columns WHERE table_schema = DATABASE()")
	query(t, db, func(v []string) {
		if isOurs(v[0]) {
			i := tables[v[0]].indexes[v[1]]
			tables[v[0]].indexes[v[1]] = index{v[2] == "0", strings.TrimPrefix(i.columns+","+v[3], ",")}
		}
	}, "SELECT table_name, index_name, non_unique, column_name FROM information_schema.statistics WHERE table_schema = DATABASE() ORDER BY table_name, index_name, seq_in_index")
	query(t, db, func(v []string) {
		held := tables[v[0]]
		held.foreign = append(held.foreign, v[1]+" -> "+v[2]+"."+v[3])
		slices.Sort(held.foreign)
		tables[v[0]] = held
	}, "SELECT table_name, column_name, referenced_table_name, referenced_column_name FROM information_schema.key_column_usage WHERE table_schema = DATABASE() AND referenced_table_name IS NOT NULL")
	return tables
}

var lengthCheck = regexp.MustCompile(`(\w+) TEXT[^,]*CHECK \(length\((\w+)\) <= (\d+)\)`)

func readSQLite(t *testing.T, db *sql.DB) map[string]table {
	t.Helper()
	tables := map[string]table{}
	query(t, db, func(v []string) {
		if !isOurs(v[0]) {
			return
		}
		lengths := map[string]string{}
		for _, m := range lengthCheck.FindAllStringSubmatch(v[1], -1) {
			if m[1] != m[2] {
				t.Errorf("%s: the limit of %s is checked on %s", v[0], m[1], m[2])
			}
			lengths[m[1]] = m[3]
		}
		if strings.Count(v[1], "CHECK") != len(lengths) {
			t.Errorf("%s: there is a CHECK that this test does not understand", v[0])
		}
		read := table{columns: map[string]column{}, indexes: map[string]index{}}
		var primary []string
		query(t, db, func(c []string) {
			isKey := c[5] != "0"
			if isKey {
				primary = append(primary, c[1])
			}
			read.columns[c[1]] = column{class(t, c[2]), c[3] == "0" && !isKey, lengths[c[1]]}
		}, "SELECT * FROM pragma_table_info(?)", v[0])
		read.indexes["PRIMARY"] = index{true, strings.Join(primary, ",")}
		query(t, db, func(x []string) {
			if x[3] == "pk" {
				return
			}
			var columns []string
			query(t, db, func(c []string) { columns = append(columns, c[2]) }, "SELECT * FROM pragma_index_info(?) ORDER BY seqno", x[1])
			read.indexes[x[1]] = index{x[2] == "1", strings.Join(columns, ",")}
		}, "SELECT * FROM pragma_index_list(?)", v[0])
		query(t, db, func(f []string) {
			read.foreign = append(read.foreign, f[3]+" -> "+f[2]+"."+f[4])
		}, "SELECT * FROM pragma_foreign_key_list(?)", v[0])
		slices.Sort(read.foreign)
		tables[v[0]] = read
	}, "SELECT name, sql FROM sqlite_master WHERE type = 'table'")
	return tables
}

func TestBothSetsOfMigrationsMakeTheSameSchema(t *testing.T) {
	lite := readSQLite(t, migrate(t, emptySQLite(t), "sqlite"))
	server := readMySQL(t, migrate(t, open(t, emptyMySQL(t)), "mysql"))
	if a, b := slices.Sorted(maps.Keys(lite)), slices.Sorted(maps.Keys(server)); !slices.Equal(a, b) {
		t.Fatalf("tables: %v in SQLite, %v in MySQL", a, b)
	}
	for name := range server {
		for what, pair := range map[string][2]any{
			"columns":      {lite[name].columns, server[name].columns},
			"indexes":      {lite[name].indexes, server[name].indexes},
			"foreign keys": {lite[name].foreign, server[name].foreign},
		} {
			if !reflect.DeepEqual(pair[0], pair[1]) {
				t.Errorf("%s of %s:\nSQLite %v\nMySQL  %v", what, name, pair[0], pair[1])
			}
		}
	}
}

func TestEveryRowTypeFitsItsTable(t *testing.T) {
	tables := readMySQL(t, migrate(t, open(t, emptyMySQL(t)), "mysql"))
	kinds := map[schema.DataType]string{
		schema.Bool: "bool", schema.Int: "int", schema.Uint: "int", schema.Float: "float", schema.String: "text", schema.Time: "time",
	}
	for _, row := range rows {
		parsed, err := schema.Parse(row, &sync.Map{}, schema.NamingStrategy{})
		if err != nil {
			t.Fatal(err)
		}
		got, found := tables[parsed.Table]
		if !found {
			t.Errorf("%T has no table %s", row, parsed.Table)
			continue
		}
		delete(tables, parsed.Table)
		for name, c := range got.columns {
			field := parsed.FieldsByDBName[name]
			if field == nil {
				t.Errorf("%s.%s has no field in %T", parsed.Table, name, row)
				continue
			}
			if kinds[field.DataType] != c.class || (field.FieldType.Kind() == reflect.Pointer) != c.nullable {
				t.Errorf("%s.%s is %+v, the field %v", parsed.Table, name, c, field.FieldType)
			}
		}
		for name := range parsed.FieldsByDBName {
			if _, ok := got.columns[name]; !ok {
				t.Errorf("%T.%s has no column in %s", row, name, parsed.Table)
			}
		}
		if primary := strings.Join(parsed.PrimaryFieldDBNames, ","); primary != got.indexes["PRIMARY"].columns {
			t.Errorf("%s has the primary key %s, the row %s", parsed.Table, got.indexes["PRIMARY"].columns, primary)
		}
	}
	for name := range tables {
		t.Errorf("table %s has no row type", name)
	}
}

// These columns hold what people wrote; all other text is for machines.
var written = []string{
	"organisations.name", "members.name", "activities.title", "activities.content", "activities.place",
	"activities.cancel_reason", "activities.restore_reason", "community_registrations.return_reason", "send_decisions.note", "leaves.reason", "leave_requests.note", "leave_requests.answer", "late_records.reason", "late_records.answer", "roster_entries.exempt_note", "attendances.reason", "attendances.void_reason", "movements.reason", "audit_entries.details",
	"service_days.title", "service_days.content", "service_days.place", "service_days.contact", "service_days.cancel_reason",
	"service_slots.name", "slot_sign_ups.reason", "slot_sign_ups.absence_reason", "service_hours.reason",
	"hour_objections.reason", "hour_objections.answer", "calendar_days.name", "feedback_slips.comment",
	"activity_series.plan", "photos.remove_reason", "minutes.agenda", "minutes.content", "minutes.decisions", "votes.subject", "votes.annul_reason",
	"complaints.text", "complaints.answer",
}

func TestTextForMachinesIsComparedByteForByteInMySQL(t *testing.T) {
	query(t, migrate(t, open(t, emptyMySQL(t)), "mysql"), func(v []string) {
		name := v[0] + "." + v[1]
		switch {
		case !isOurs(v[0]):
		case slices.Contains(written, name):
			if !strings.HasPrefix(v[2], "utf8mb4_") {
				t.Errorf("%s holds what people write and is %s", name, v[2])
			}
		case v[2] != "ascii_bin":
			t.Errorf("%s is %s, want ascii_bin", name, v[2])
		}
	}, "SELECT table_name, column_name, collation_name FROM information_schema.columns WHERE table_schema = DATABASE() AND collation_name IS NOT NULL")
}

func TestIdentifiersThatDifferOnlyInCaseAreTwo(t *testing.T) {
	at := "2026-03-10 06:00:00.000"
	session := "INSERT INTO sessions (token_hash, account_id, created_at, seen_at, expires_at) VALUES (?, 1, '" + at + "', '" + at + "', '" + at + "')"
	activity := "INSERT INTO activities (organisation_id, kind, title, content, place, latitude, longitude, radius, starts_at, ends_at, opens_at, late_at, closes_at, credit_hours, audience, open_to_guests, status, cancel_reason, code_epoch, version, created_by, created_at, fingerprint, nonce) " +
		"VALUES (1, 'other', '', '', '', 0, 0, 0, '" + at + "', '" + at + "', '" + at + "', '" + at + "', '" + at + "', 0, 'branch', 0, 'draft', '', 0, 1, 1, '" + at + "', '', ?)"
	eachDialect(t, func(t *testing.T, db *sql.DB, dialect string) {
		migrate(t, db, dialect)
		for _, setup := range []string{
			"INSERT INTO organisations (id, kind, unit_kind, name, created_at) VALUES (1, 'branch', 'organ', '甲', '" + at + "')",
			"INSERT INTO members (id, name, status, leader, created_at) VALUES (1, '甲', 'full_member', 0, '" + at + "'), (2, '乙', 'full_member', 0, '" + at + "')",
			"INSERT INTO accounts (id, openid, created_at) VALUES (1, 'x', '" + at + "')",
		} {
			if _, err := db.Exec(setup); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct{ table, column, insert string }{
			{"accounts", "openid", "INSERT INTO accounts (openid, created_at) VALUES (?, '" + at + "')"},
			{"sessions", "token_hash", session},
			{"invitations", "code_hash", "INSERT INTO invitations (code_hash, member_id, issued_by, expires_at, created_at) VALUES (?, 1, 1, '" + at + "', '" + at + "')"},
			{"activities", "nonce", activity},
			{"member_phones", "blind_index", "INSERT INTO member_phones (blind_index, member_id, sealed) VALUES (?, (SELECT COUNT(*) + 1 FROM (SELECT * FROM member_phones) p), '')"},
		} {
			t.Run(c.table+"."+c.column, func(t *testing.T) {
				for _, value := range []string{"oAbC123", "oabc123"} {
					if _, err := db.Exec(c.insert, value); err != nil {
						t.Errorf("insert %s: %v", value, err)
					}
				}
				if _, err := db.Exec(c.insert, "oAbC123"); err == nil {
					t.Error("the very same value is accepted twice: the test would not see a missing key")
				}
				for value, want := range map[string]int{"oAbC123": 1, "oabc123": 1, "OABC123": 0} {
					var n int
					err := db.QueryRow("SELECT COUNT(*) FROM "+c.table+" WHERE "+c.column+" = ?", value).Scan(&n)
					if err != nil || n != want {
						t.Errorf("%s finds %d rows, %v; want %d", value, n, err, want)
					}
				}
			})
		}
	})
}

func TestADatabaseBehindTheProgramIsRefusedAndMigratingTwiceChangesNothing(t *testing.T) {
	eachDialect(t, func(t *testing.T, db *sql.DB, dialect string) {
		if Migrated(t.Context(), db, dialect) == nil {
			t.Error("an empty database passes for migrated")
		}
		files, err := fs.Glob(migrations, "migrations/"+dialect+"/*.sql")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []int{len(files), 0} {
			if done, err := Migrate(t.Context(), db, dialect); err != nil || done != want {
				t.Errorf("got %d migrations, %v; want %d", done, err, want)
			}
		}
		if err := Migrated(t.Context(), db, dialect); err != nil {
			t.Error(err)
		}
	})
}

func TestEveryMigrationCanBeTakenBack(t *testing.T) {
	eachDialect(t, func(t *testing.T, db *sql.DB, dialect string) {
		read := readSQLite
		if dialect == "mysql" {
			read = readMySQL
		}
		before := read(t, migrate(t, db, dialect))
		p, err := provider(db, dialect)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.DownTo(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if left := read(t, db); len(left) != 0 {
			t.Errorf("tables are left: %v", slices.Sorted(maps.Keys(left)))
		}
		if after := read(t, migrate(t, db, dialect)); !reflect.DeepEqual(after, before) {
			t.Error("the schema is another one the second time")
		}
	})
}

func TestManyReplicasMigrateAtOnceAndAllSucceed(t *testing.T) {
	sub, err := fs.Sub(migrations, "migrations/mysql")
	if err != nil {
		t.Fatal(err)
	}
	race := func(t *testing.T, cfg *mysql.Config, migrate func(*sql.DB) error) (failed []error) {
		results, start := make(chan error, 6), make(chan struct{})
		for range cap(results) {
			db := open(t, cfg)
			if err := db.Ping(); err != nil {
				t.Fatal(err)
			}
			go func() {
				<-start
				results <- migrate(db)
			}()
		}
		close(start)
		for range cap(results) {
			if err := <-results; err != nil {
				failed = append(failed, err)
			}
		}
		return failed
	}
	// earlier is a database of an earlier version. In an empty one the process
	// that makes the version table is a second ahead of the others.
	earlier := func(t *testing.T) *mysql.Config {
		cfg := emptyMySQL(t)
		p, err := goose.NewProvider(goose.DialectMySQL, open(t, cfg), sub)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.GetDBVersion(t.Context()); err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	for name, database := range map[string]func(*testing.T) *mysql.Config{"empty": emptyMySQL, "of an earlier version": earlier} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failed := race(t, database(t), func(db *sql.DB) error {
				_, err := Migrate(context.Background(), db, "mysql")
				return errors.Join(err, Migrated(context.Background(), db, "mysql"))
			})
			if len(failed) > 0 {
				t.Errorf("%d of 6 fail: %v", len(failed), failed)
			}
		})
	}
	t.Run("without the lock some fail, so the race is real", func(t *testing.T) {
		failed := race(t, earlier(t), func(db *sql.DB) error {
			p, err := goose.NewProvider(goose.DialectMySQL, db, sub)
			if err != nil {
				return err
			}
			_, err = p.Up(context.Background())
			return err
		})
		if len(failed) == 0 {
			t.Error("all succeed without a lock: this test cannot see the race")
		}
	})
}
