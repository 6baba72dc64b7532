package service

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/ncruces/go-sqlite3"
	_ "github.com/ncruces/go-sqlite3/driver" // the sqlite3 driver
	"github.com/ncruces/go-sqlite3/gormlite"
	gormmysql "gorm.io/driver/mysql"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
)

// OpenDatabase opens the main store: a MySQL or MariaDB server by its
// go-sql-driver DSN, or a SQLite file by "file:PATH". Both are read and
// written by the same code: READ COMMITTED, UTC, short timeouts.
func OpenDatabase(dsn string) (*gorm.DB, error) {
	var dialect gorm.Dialector
	pool := 4
	if path, ok := strings.CutPrefix(dsn, "file:"); ok {
		// A fixed-width time format keeps text order equal to time order.
		dialect = gormlite.Open("file:" + path + "?_pragma=busy_timeout(20000)&_pragma=journal_mode(wal)" +
			"&_pragma=foreign_keys(1)&_pragma=synchronous(normal)&_txlock=immediate&_timefmt=2006-01-02T15:04:05.000Z07:00")
	} else {
		server, err := openServer(dsn)
		if err != nil {
			return nil, err
		}
		dialect, pool = gormmysql.New(gormmysql.Config{Conn: server}), 32
	}
	db, err := gorm.Open(dialect, &gorm.Config{
		TranslateError: true, SkipDefaultTransaction: true, DisableForeignKeyConstraintWhenMigrating: true,
		NowFunc: func() time.Time { return time.Time{} }, // rows carry the time they were given
		Logger:  logger.Discard,
	})
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := refuseAfterCollision(db); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	conns, err := db.DB()
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	conns.SetMaxOpenConns(pool)
	conns.SetMaxIdleConns(pool)
	conns.SetConnMaxLifetime(30 * time.Minute)
	return db, nil
}

// DatabaseName is the database that a go-sql-driver DSN names, "" where none.
func DatabaseName(dsn string) string {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return ""
	}
	return cfg.DBName
}

// Dialect is "mysql" or "sqlite".
func Dialect(db *gorm.DB) string {
	if db.Name() == "mysql" {
		return "mysql"
	}
	return "sqlite"
}

func openServer(dsn string) (*sql.DB, error) {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, errors.New("the MySQL DSN is not of the form user:password@tcp(host:port)/database")
	}
	cfg.ParseTime, cfg.Loc, cfg.InterpolateParams, cfg.MultiStatements = true, time.UTC, true, false
	if err := cfg.Apply(mysql.Charset("utf8mb4", "utf8mb4_unicode_ci")); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	cfg.AllowAllFiles, cfg.ClientFoundRows, cfg.ColumnsWithAlias = false, false, false
	cfg.Logger = &mysql.NopLogger{} // what it would print comes back as an error
	cfg.Timeout, cfg.ReadTimeout, cfg.WriteTimeout = 3*time.Second, 15*time.Second, 15*time.Second
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return sql.OpenDB(sessionConnector{connector}), nil
}

// sessionConnector gives every connection the session settings that the code
// relies on, in statements that MySQL and MariaDB share.
type sessionConnector struct{ driver.Connector }

func (c sessionConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	var refused *mysql.MySQLError
	switch {
	case errors.As(err, &refused):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errNoConnection, err)
	}
	for _, set := range []string{
		"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
		"SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', innodb_lock_wait_timeout = 5",
	} {
		if _, err := conn.(driver.ExecerContext).ExecContext(ctx, set, nil); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("prepare connection: %w", err)
		}
	}
	return conn, nil
}

// inTx runs f in one transaction and returns what f returned. Within f touch
// nothing but tx: what the world must hear waits for the commit. A deadlock or
// a lock that took too long is tried three times more; whatever f still asks
// for after one is refused.
func inTx[T any](ctx context.Context, db *gorm.DB, f func(tx *gorm.DB) (T, error)) (out T, err error) {
	err = retried(func() error {
		collision := new(error)
		err := db.WithContext(context.WithValue(ctx, collisionKey{}, collision)).Transaction(func(tx *gorm.DB) (err error) {
			out, err = f(tx)
			return cmp.Or(*collision, err)
		})
		if err == nil {
			faultPoint("after_commit")
		}
		return err
	})
	return out, err
}

// retried does what stands for itself in the store, and three times more while
// another transaction stands in its way.
func retried(do func() error) (err error) {
	for try := 0; ; try++ {
		if err = do(); try == 3 || !collided(err) {
			return err
		}
	}
}

// collided says whether the store gave up on a statement only because another
// transaction stood in its way.
func collided(err error) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && (e.Number == 1213 || e.Number == 1205)
}

// collisionKey finds in a context where its transaction keeps the collision
// that ended it.
type collisionKey struct{}

// refuseAfterCollision makes every statement fail that follows a collision in
// its transaction. After a deadlock the server has rolled the transaction back
// already: what follows would be carried out for itself, and stay.
func refuseAfterCollision(db *gorm.DB) error {
	guarded := func(run func(*gorm.DB)) func(*gorm.DB) {
		return func(tx *gorm.DB) {
			collision, inside := tx.Statement.Context.Value(collisionKey{}).(*error)
			if inside && *collision != nil {
				_ = tx.AddError(*collision)
				return
			}
			run(tx)
			if inside && collided(tx.Error) {
				*collision = tx.Error
			}
		}
	}
	c := db.Callback()
	return errors.Join(
		c.Create().Replace("gorm:create", guarded(c.Create().Get("gorm:create"))),
		c.Query().Replace("gorm:query", guarded(c.Query().Get("gorm:query"))),
		c.Update().Replace("gorm:update", guarded(c.Update().Get("gorm:update"))),
		c.Delete().Replace("gorm:delete", guarded(c.Delete().Get("gorm:delete"))),
		c.Row().Replace("gorm:row", guarded(c.Row().Get("gorm:row"))),
		c.Raw().Replace("gorm:raw", guarded(c.Raw().Get("gorm:raw"))))
}

// find loads one row by id, or refuses with missing.
func find[T any](tx *gorm.DB, id uint64, missing error) (*T, error) {
	row := new(T)
	err := tx.Take(row, id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, missing
	}
	if err != nil {
		return nil, fmt.Errorf("find %T %d: %w", row, id, err)
	}
	return row, nil
}

// lock is find that also holds the row until the transaction ends.
func lock[T any](tx *gorm.DB, id uint64, missing error) (*T, error) {
	return find[T](tx.Clauses(forUpdate), id, missing)
}

// forUpdate holds the rows that are read until the transaction ends.
var forUpdate = clause.Locking{Strength: clause.LockingStrengthUpdate}

// errNoConnection is a connection that did not come about. The driver has
// errors of its own for one that breaks while it is made.
var errNoConnection = errors.New("no connection")

// StoreAway says whether a fault means only that a store did not answer now:
// the same request may work in a moment.
func StoreAway(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, errNoConnection) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, sqlite3.BUSY) || errors.Is(err, sqlite3.INTERRUPT) || errors.Is(err, sqlite3.FULL) || errors.Is(err, sqlite3.IOERR) || errors.Is(err, sqlite3.READONLY) {
		return true
	}
	var network net.Error
	if errors.As(err, &network) {
		return true
	}
	var e *mysql.MySQLError
	return errors.As(err, &e) && slices.Contains(awayNumbers, e.Number)
}

// awayNumbers are the server's ways to say "not now": too many connections,
// shutting down, lock wait and deadlock, disk full, read-only.
var awayNumbers = []uint16{1040, 1053, 1205, 1213, 1021, 1114, 1290, 1836, 1927, 3100}
