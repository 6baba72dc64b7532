package model

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations
var migrations embed.FS

// Migrate brings the schema of db up to date and returns how many migrations
// it applied. Many replicas may call it at once: one works, the others wait.
// Dialect is "mysql" or "sqlite".
func Migrate(ctx context.Context, db *sql.DB, dialect string) (int, error) {
	p, err := provider(db, dialect)
	if err != nil {
		return 0, err
	}
	done, err := p.Up(ctx)
	if err != nil {
		return len(done), fmt.Errorf("migrate: %w", err)
	}
	return len(done), nil
}

// Migrated refuses a database whose schema is behind this program.
func Migrated(ctx context.Context, db *sql.DB, dialect string) error {
	files, err := fs.Glob(migrations, "migrations/"+dialect+"/*.sql")
	if err != nil {
		return fmt.Errorf("list migrations: %w", err)
	}
	var applied int
	err = db.QueryRowContext(ctx, "SELECT COUNT(DISTINCT version_id) FROM goose_db_version WHERE version_id > 0").Scan(&applied)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if applied < len(files) {
		return errors.New("the database is behind this program: run `dangri migrate`")
	}
	return nil
}

var accountName = regexp.MustCompile(`^[0-9A-Za-z_]{1,32}$`)

// Grant lets an account of the MySQL server work with the rows of every table
// as the replicas do: to the audit it only adds, and tables it cannot change.
// The account must have no wider right; db is that of who owns the tables and
// may pass rights on.
func Grant(ctx context.Context, db *sql.DB, account string) error {
	if !accountName.MatchString(account) {
		return errors.New("the name of the account may hold letters, digits and underscores")
	}
	var schema string
	var tables []string
	if err := db.QueryRowContext(ctx, "SELECT DATABASE()").Scan(&schema); err != nil {
		return fmt.Errorf("name of the database: %w", err)
	}
	rows, err := db.QueryContext(ctx, "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name")
	if err != nil {
		return fmt.Errorf("list tables: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			return fmt.Errorf("list tables: %w", err)
		}
		tables = append(tables, table)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("list tables: %w", err)
	}
	for _, table := range tables {
		rights := "SELECT, INSERT, UPDATE, DELETE"
		switch {
		case strings.HasPrefix(table, "goose_"):
			rights = "SELECT"
		case slices.Contains(AppendOnly, table):
			rights = "SELECT, INSERT"
		}
		if _, err := db.ExecContext(ctx, "GRANT "+rights+" ON `"+schema+"`.`"+table+"` TO '"+account+"'@'%'"); err != nil {
			return fmt.Errorf("grant %s on %s: %w", rights, table, err)
		}
	}
	return nil
}

func provider(db *sql.DB, dialect string) (*goose.Provider, error) {
	sub, err := fs.Sub(migrations, "migrations/"+dialect)
	if err != nil {
		return nil, fmt.Errorf("migrations for %q: %w", dialect, err)
	}
	if dialect == "sqlite" {
		store, err := database.NewStore(goose.DialectSQLite3, goose.DefaultTablename)
		if err != nil {
			return nil, fmt.Errorf("migration history: %w", err)
		}
		return goose.NewProvider(goose.DialectCustom, db, sub, goose.WithStore(sqliteHistory{store}))
	}
	locker, err := lock.NewMySQLTableLocker(lock.WithTableLockTimeout(time.Second, 300))
	if err != nil {
		return nil, fmt.Errorf("migration lock: %w", err)
	}
	return goose.NewProvider(goose.DialectMySQL, db, sub, goose.WithLocker(locker))
}

// sqliteHistory finds its table by the name. Goose would rather read a time
// from it, which is not written as this program writes times, and take a table
// that cannot be read for one that is not there.
type sqliteHistory struct{ database.Store }

func (h sqliteHistory) TableExists(ctx context.Context, db database.DBTxConn) (exists bool, err error) {
	err = db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?)", h.Tablename()).Scan(&exists)
	return exists, err
}
