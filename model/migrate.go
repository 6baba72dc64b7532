package model

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
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
