package trial

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/go-sql-driver/mysql"
	"github.com/ncruces/go-sqlite3"
	"github.com/redis/go-redis/v9"

	"dangri/model"
	"dangri/service"
)

// database is how a World's main store can be taken away.
type database struct {
	gate gate // of the connections to a server
	pool *pool
}

// CutDatabase makes the main store unreachable until ReviveDatabase.
func (w *World) CutDatabase() {
	w.database.gate.shut()
	if w.Store == SQLite {
		w.database.pool.fail(sqlite3.IOERR)
	}
}

// ReviveDatabase makes the main store reachable again.
func (w *World) ReviveDatabase() {
	w.database.gate.open()
	w.database.pool.fail(nil)
}

func (w *World) openDatabase() {
	w.t.Helper()
	w.database = &database{}
	var dsn string
	if w.Store == SQLite {
		dsn = "file:" + w.newFile()
	} else {
		dsn = w.newDatabase()
	}
	w.DSN = dsn
	db, err := service.OpenDatabase(dsn)
	if err != nil {
		w.t.Fatal(err)
	}
	conns, err := db.DB()
	if err != nil {
		w.t.Fatal(err)
	}
	w.Cleanup(func() {
		// A connection that was cut says so once more.
		if err := conns.Close(); err != nil && !w.database.gate.wasShut() {
			w.t.Errorf("close database: %v", err)
		}
	})
	w.database.pool = &pool{DB: conns, meter: &w.meter}
	db.ConnPool, db.Statement.ConnPool = w.database.pool, w.database.pool
	w.DB = db
}

// newFile is a fresh copy of a migrated SQLite file.
func (w *World) newFile() string {
	file, err := migratedFile()
	if err != nil {
		w.t.Fatal(err)
	}
	path := filepath.Join(w.t.TempDir(), "dangri.db")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// migratedFile makes the file that every World on SQLite starts from, once.
var migratedFile = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "dangri-trial-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "dangri.db")
	db, err := service.OpenDatabase("file:" + path)
	if err != nil {
		return nil, err
	}
	conns, err := db.DB()
	if err != nil {
		return nil, err
	}
	_, err = model.Migrate(context.Background(), conns, SQLite)
	if closed := conns.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// newDatabase is the DSN of a fresh migrated database on the server, reached
// through the World's gate.
func (w *World) newDatabase() string {
	w.t.Helper()
	s, err := theServer()
	if err != nil {
		w.t.Fatal(err)
	}
	name := newName()
	if _, err := s.db.Exec(strings.ReplaceAll(s.schema, "\x00", name)); err != nil {
		w.t.Fatalf("make database %s: %v", name, err)
	}
	w.Cleanup(func() {
		if _, err := s.db.Exec("DROP DATABASE " + name); err != nil {
			w.t.Errorf("drop database %s: %v", name, err)
		}
	})
	cfg := s.config.Clone()
	network := cfg.Net
	mysql.RegisterDialContext(name, func(ctx context.Context, addr string) (net.Conn, error) {
		return w.database.gate.dial(ctx, network, addr)
	})
	w.Cleanup(func() { mysql.DeregisterDialContext(name) })
	cfg.Net, cfg.DBName = name, name
	return cfg.FormatDSN()
}

func newName() string { return "dangri_test_" + hex.EncodeToString(random(6)) }

// server is the MySQL or MariaDB server of the tests. schema makes a migrated
// database whose name stands as a NUL in it: replaying statements is ten times
// as fast as migrating.
type server struct {
	config *mysql.Config
	db     *sql.DB
	schema string
}

var theServer = sync.OnceValues(func() (*server, error) {
	dsn := os.Getenv("DANGRI_TEST_MYSQL_DSN")
	if dsn == "" {
		dsn = "root@tcp(127.0.0.1:3306)/"
	}
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("DANGRI_TEST_MYSQL_DSN 应为 root@tcp(主机:3306)/ 的形式")
	}
	several := config.Clone()
	several.MultiStatements, several.InterpolateParams, several.Timeout = true, true, 5*time.Second
	connector, err := mysql.NewConnector(several)
	if err != nil {
		return nil, err
	}
	s := &server{config: config, db: sql.OpenDB(connector)}
	if err := s.db.Ping(); err != nil {
		return nil, fmt.Errorf("测试需要 MySQL 或 MariaDB，而 %s 连不上（%w）：请用 make test 运行，或用 DANGRI_TEST_MYSQL_DSN 指定一台", config.Addr, err)
	}
	s.schema, err = s.readSchema()
	return s, err
})

// closeServer lets go of the server, if a test had need of it.
func closeServer() {
	if s, _ := theServer(); s != nil {
		_ = s.db.Close()
	}
}

// readSchema migrates a database of its own and writes down what came of it.
func (s *server) readSchema() (schema string, err error) {
	name := newName()
	if _, err := s.db.Exec("CREATE DATABASE " + name); err != nil {
		return "", err
	}
	defer func() {
		if _, dropped := s.db.Exec("DROP DATABASE " + name); err == nil {
			err = dropped
		}
	}()
	config := s.config.Clone()
	config.DBName = name
	db, err := service.OpenDatabase(config.FormatDSN())
	if err != nil {
		return "", err
	}
	conns, err := db.DB()
	if err != nil {
		return "", err
	}
	defer func() { _ = conns.Close() }()
	if _, err := model.Migrate(context.Background(), conns, MySQL); err != nil {
		return "", err
	}
	var tables []string
	if err := db.Raw("SHOW TABLES").Scan(&tables).Error; err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("CREATE DATABASE \x00; USE \x00; SET foreign_key_checks = 0;\n")
	for _, table := range tables {
		var called, create string
		if err := conns.QueryRow("SHOW CREATE TABLE `"+table+"`").Scan(&called, &create); err != nil {
			return "", err
		}
		b.WriteString(create + ";\n")
	}
	var versions []int64
	if err := db.Raw("SELECT version_id FROM goose_db_version ORDER BY id").Scan(&versions).Error; err != nil {
		return "", err
	}
	for _, v := range versions {
		fmt.Fprintf(&b, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (%d, 1);\n", v)
	}
	b.WriteString("SET foreign_key_checks = 1; USE information_schema")
	return b.String(), nil
}

// Redis is a World's own Redis, or its own part of the server.
type Redis struct {
	client redis.UniversalClient
	prefix string
	gate   gate
	mini   *miniredis.Miniredis // nil where a server is used
	world  *World
}

func (w *World) openRedis() {
	w.t.Helper()
	r := &Redis{prefix: "trial-" + hex.EncodeToString(random(6)) + ":", world: w}
	w.Redis = r
	addr := os.Getenv("DANGRI_TEST_REDIS_ADDR")
	if addr == "" {
		addr = "127.0.0.1:6379"
	}
	if w.Store == SQLite {
		mini, err := miniredis.Run()
		if err != nil {
			w.t.Fatal(err)
		}
		w.Cleanup(mini.Close)
		r.mini = mini
		r.mini.SetTime(w.Clock.Now())
		w.Clock.turned = append(w.Clock.turned, func(now time.Time, d time.Duration) {
			r.mini.SetTime(now)
			r.mini.FastForward(max(d, 0))
		})
		addr = r.mini.Addr()
	}
	r.client = redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: []string{addr}, ContextTimeoutEnabled: true, DisableIdentity: true, DialerRetries: 1, MaxRetries: -1,
		Dialer: r.gate.dial,
	})
	r.client.AddHook(&w.meter)
	w.Cleanup(func() {
		r.Revive()
		r.Wipe()
		if err := r.client.Close(); err != nil {
			w.t.Errorf("close Redis: %v", err)
		}
	})
	if err := r.client.Ping(w.t.Context()).Err(); err != nil {
		w.t.Fatalf("测试需要 Redis，而 %s 连不上（%v）：请用 make test 运行，或用 DANGRI_TEST_REDIS_ADDR 指定一台", addr, err)
	}
}

// Cut makes Redis unreachable until Revive.
func (r *Redis) Cut() { r.gate.shut() }

// Revive makes Redis reachable again.
func (r *Redis) Revive() { r.gate.open() }

// Keys are the keys of this World.
func (r *Redis) Keys() []string {
	r.world.t.Helper()
	var keys []string
	all := r.client.Scan(context.Background(), 0, r.prefix+"*", 1000).Iterator()
	for all.Next(context.Background()) {
		keys = append(keys, all.Val())
	}
	if err := all.Err(); err != nil {
		r.world.t.Errorf("list the keys in Redis: %v", err)
	}
	return keys
}

// Wipe is FLUSHALL, as far as this World can tell.
func (r *Redis) Wipe() {
	r.world.t.Helper()
	if keys := r.Keys(); len(keys) > 0 {
		if err := r.client.Del(context.Background(), keys...).Err(); err != nil {
			r.world.t.Errorf("wipe Redis: %v", err)
		}
	}
}

// Dump keeps what is in Redis now; calling restore puts it back in place of
// what is there then, as who starts Redis from an old dump does.
func (r *Redis) Dump() (restore func()) {
	r.world.t.Helper()
	ctx := context.Background()
	type entry struct {
		key, value string
		life       time.Duration
	}
	var entries []entry
	for _, key := range r.Keys() {
		value, err := r.client.Dump(ctx, key).Result()
		life, lifeErr := r.client.PTTL(ctx, key).Result()
		if err != nil || lifeErr != nil {
			r.world.t.Fatalf("dump %s: %v, %v", key, err, lifeErr)
		}
		entries = append(entries, entry{key, value, max(life, 0)})
	}
	return func() {
		r.world.t.Helper()
		r.Wipe()
		for _, e := range entries {
			if err := r.client.RestoreReplace(ctx, e.key, e.life, e.value).Err(); err != nil {
				r.world.t.Fatalf("restore %s: %v", e.key, err)
			}
		}
	}
}

// gate is where connections to a store pass, or do not.
type gate struct {
	mu     sync.Mutex
	closed bool
	shuts  int
	conns  []net.Conn
}

func (g *gate) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		_ = conn.Close()
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	g.conns = append(g.conns, conn)
	return conn, nil
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.shuts++
	for _, c := range g.conns {
		_ = c.Close()
	}
	g.conns = nil
}

func (g *gate) wasShut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shuts > 0
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = false
}
