package trial

import (
	"context"
	"database/sql"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"
)

// Trips are the round trips to the stores, in order: each SQL statement with
// BEGIN and COMMIT, and each Redis command or pipeline.
type Trips struct {
	SQL   []string
	Redis []string
}

// Len is how many they are.
func (t Trips) Len() int { return len(t.SQL) + len(t.Redis) }

// String is a line for each.
func (t Trips) String() string {
	return "SQL:\n  " + strings.Join(t.SQL, "\n  ") + "\nRedis:\n  " + strings.Join(t.Redis, "\n  ")
}

// Trips are the round trips made while f runs, those of background work for
// others left out. What nobody waits for may be missing from the end.
func (w *World) Trips(f func()) Trips {
	w.meter.start()
	f()
	return w.meter.stop()
}

// Warm makes f again and again until the session that it is made with is
// answered from its copy: that is left in Redis after the answer.
func (w *World) Warm(f func()) {
	w.t.Helper()
	Eventually(w.t, "the session is answered from its copy", func() bool {
		return !slices.ContainsFunc(w.Trips(f).SQL, func(q string) bool { return strings.Contains(q, "FROM sessions s ") })
	})
}

// meter notes round trips while it is on.
type meter struct {
	mu    sync.Mutex
	on    bool
	trips Trips
}

func (m *meter) start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.on, m.trips = true, Trips{}
}

func (m *meter) stop() Trips {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.on = false
	return m.trips
}

// housekeeping begins the statements that a replica makes whether or not
// anybody calls, or after whoever called has their answer.
var housekeeping = []string{
	"UPDATE `sessions` SET `seen_at`",
	"SELECT `id`,`changed_at` FROM `sessions`",
	"SELECT DISTINCT `slot_id` FROM `slot_sign_ups`",
	"SELECT `id` FROM `service_slots` WHERE waiting > 0",
	"SELECT COALESCE(MAX(id), 0) FROM `audit_entries`",
	"SELECT `id` FROM `audit_entries` WHERE id >",
	"SELECT e.* FROM audit_entries e LEFT JOIN audit_seals",
	"SELECT * FROM `audit_seals`",
	"SELECT * FROM `audit_cuts`",
	"INSERT INTO `audit_seals`",
}

func (m *meter) sql(statement string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.on && !slices.ContainsFunc(housekeeping, func(h string) bool { return strings.HasPrefix(statement, h) }) {
		m.trips.SQL = append(m.trips.SQL, statement)
	}
}

// greetings are what a new connection to Redis begins with.
var greetings = []string{"hello", "client", "auth", "select"}

func (m *meter) redis(commands ...redis.Cmder) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.on || slices.Contains(greetings, commands[0].Name()) || leavesSession(commands[0]) {
		return
	}
	names := make([]string, len(commands))
	for i, c := range commands {
		names[i] = c.Name()
	}
	m.trips.Redis = append(m.trips.Redis, strings.Join(names, " "))
}

// leavesSession says whether a command leaves a copy of a session: whoever
// called has their answer by then.
func leavesSession(c redis.Cmder) bool {
	args := c.Args()
	return c.Name() == "set" && strings.Contains(args[1].(string), "session:")
}

// DialHook leaves dialing as it is.
func (m *meter) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook notes a command.
func (m *meter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, c redis.Cmder) error {
		m.redis(c)
		return next(ctx, c)
	}
}

// ProcessPipelineHook notes a pipeline.
func (m *meter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cs []redis.Cmder) error {
		m.redis(cs...)
		return next(ctx, cs)
	}
}

// pool is the connections to a database, with the meter on and, where a test
// wants it, an error in place of the store.
type pool struct {
	*sql.DB
	meter *meter

	mu    sync.Mutex
	err   error
	alter func(string) string
}

// Sabotage lets every statement pass through alter on its way to the database,
// until it is given nil: so a control can take a lock or a condition away and
// see that its test would have noticed.
func (w *World) Sabotage(alter func(statement string) string) {
	w.database.pool.mu.Lock()
	defer w.database.pool.mu.Unlock()
	w.database.pool.alter = alter
}

func (p *pool) altered(statement string) string {
	p.mu.Lock()
	alter := p.alter
	p.mu.Unlock()
	if alter == nil {
		return statement
	}
	return alter(statement)
}

func (p *pool) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

// pass notes a statement and says whether the store may be asked.
func (p *pool) pass(statement string) error {
	p.meter.sql(statement)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// GetDBConn is the pool underneath.
func (p *pool) GetDBConn() (*sql.DB, error) { return p.DB, nil }

// BeginTx begins a transaction whose statements are noted as well.
func (p *pool) BeginTx(ctx context.Context, opts *sql.TxOptions) (gorm.ConnPool, error) {
	if err := p.pass("BEGIN"); err != nil {
		return nil, err
	}
	begun, err := p.DB.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &tx{begun, p}, nil
}

// PrepareContext is not used: no statement is prepared.
func (p *pool) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if err := p.pass("PREPARE " + query); err != nil {
		return nil, err
	}
	return p.DB.PrepareContext(ctx, query)
}

// ExecContext notes and runs a statement.
func (p *pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := p.pass(query); err != nil {
		return nil, err
	}
	return p.DB.ExecContext(ctx, p.altered(query), args...)
}

// QueryContext notes and runs a query.
func (p *pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := p.pass(query); err != nil {
		return nil, err
	}
	return p.DB.QueryContext(ctx, p.altered(query), args...)
}

// QueryRowContext notes and runs a query for one row.
func (p *pool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	p.meter.sql(query)
	return p.DB.QueryRowContext(ctx, p.altered(query), args...)
}

type tx struct {
	*sql.Tx
	pool *pool
}

func (t *tx) Commit() error {
	if err := t.pool.pass("COMMIT"); err != nil {
		_ = t.Tx.Rollback()
		return err
	}
	return t.Tx.Commit()
}

func (t *tx) Rollback() error {
	t.pool.meter.sql("ROLLBACK")
	return t.Tx.Rollback()
}

func (t *tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := t.pool.pass(query); err != nil {
		return nil, err
	}
	return t.Tx.ExecContext(ctx, t.pool.altered(query), args...)
}

func (t *tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := t.pool.pass(query); err != nil {
		return nil, err
	}
	return t.Tx.QueryContext(ctx, t.pool.altered(query), args...)
}

func (t *tx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	t.pool.meter.sql(query)
	return t.Tx.QueryRowContext(ctx, t.pool.altered(query), args...)
}
