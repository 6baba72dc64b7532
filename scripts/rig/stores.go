// Package rig is what measurements and drills stand on: stores of their own,
// server processes, seeded people, and clients that cost next to nothing. Its
// one law: the product is a separate process, met over HTTP alone; the rig
// touches its database only to seed before and to count after.
package rig

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"dangri/model"
	"dangri/service"
)

// Stores are the database server and the Redis that scripts/stores.sh started,
// with one migrated database on the former.
type Stores struct {
	DSN   string // of the database, as the product's settings have it
	MySQL string // host:port
	Redis string // host:port
	DB    *gorm.DB

	dir string
}

// The stores by the names of their folders.
const (
	MariaDB = "mariadb"
	Redis   = "redis"
)

// OpenStores makes an empty database of this name on the stores of the
// environment and empties their Redis.
func OpenStores(ctx context.Context, name string) (*Stores, error) {
	s := &Stores{Redis: os.Getenv("DANGRI_TEST_REDIS_ADDR"), dir: os.Getenv("DANGRI_STORES_DIR")}
	cfg, err := mysql.ParseDSN(os.Getenv("DANGRI_TEST_MYSQL_DSN"))
	if err != nil || s.Redis == "" {
		return nil, errors.New("没有存储：请用 scripts/stores.sh --durable 启动本程序")
	}
	server, err := sql.Open("mysql", cfg.FormatDSN())
	if err != nil {
		return nil, fmt.Errorf("open server: %w", err)
	}
	defer func() { _ = server.Close() }()
	for _, statement := range []string{"DROP DATABASE IF EXISTS " + name, "CREATE DATABASE " + name} {
		if _, err := server.ExecContext(ctx, statement); err != nil {
			return nil, fmt.Errorf("make database: %w", err)
		}
	}
	cfg.DBName = name
	s.DSN, s.MySQL = cfg.FormatDSN(), cfg.Addr
	if s.DB, err = service.OpenDatabase(s.DSN); err != nil {
		return nil, err
	}
	conns, err := s.DB.DB()
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if _, err := model.Migrate(ctx, conns, "mysql"); err != nil {
		return nil, err
	}
	client := s.RedisClient()
	defer func() { _ = client.Close() }()
	return s, client.FlushAll(ctx).Err()
}

// Close lets go of the database.
func (s *Stores) Close() {
	if conns, err := s.DB.DB(); err == nil {
		_ = conns.Close()
	}
}

// RedisClient is a client of the Redis, for the caller to close.
func (s *Stores) RedisClient() *redis.Client { return redis.NewClient(&redis.Options{Addr: s.Redis}) }

// Via is the DSN of the same database through another address, such as a
// proxy's.
func (s *Stores) Via(address string) string { return strings.Replace(s.DSN, s.MySQL, address, 1) }

// Own says whether the stores were started for this run, so that they may be
// killed.
func (s *Stores) Own() bool { return s.Pid(MariaDB) != 0 && s.Pid(Redis) != 0 }

// Pid is the process of a store; 0 where it is not ours.
func (s *Stores) Pid(store string) int {
	raw, err := os.ReadFile(filepath.Join(s.dir, store, "pid"))
	if s.dir == "" || err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(string(bytes.TrimSpace(raw)))
	return pid
}

// Kill ends a store at once, as a power cut would, and returns when it is gone.
func (s *Stores) Kill(ctx context.Context, store string) error {
	process, err := os.FindProcess(s.Pid(store))
	if err != nil {
		return fmt.Errorf("kill %s: %w", store, err)
	}
	if err := process.Kill(); err != nil {
		return fmt.Errorf("kill %s: %w", store, err)
	}
	return Until(ctx, 10*time.Second, store+" is gone", func() bool { return process.Signal(syscall.Signal(0)) != nil })
}

// Freeze stops a store in the middle of whatever it does, connections and all,
// until Thaw.
func (s *Stores) Freeze(store string) error { return s.signal(store, syscall.SIGSTOP) }

// Thaw lets a frozen store go on.
func (s *Stores) Thaw(store string) error { return s.signal(store, syscall.SIGCONT) }

func (s *Stores) signal(store string, signal syscall.Signal) error {
	if err := syscall.Kill(s.Pid(store), signal); err != nil {
		return fmt.Errorf("signal %s: %w", store, err)
	}
	return nil
}

// Revive starts a killed store with the port and the data it had. It answers
// when it answers: recovery takes as long as it takes.
func (s *Stores) Revive(store string) error {
	cmd := exec.Command(filepath.Join(s.dir, store, "start")) //nolint:noctx // it outlives whoever starts it
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("revive %s: %w", store, err)
	}
	go func() { _ = cmd.Wait() }() // so that it leaves no zombie
	return nil
}

// Until waits until something has become true, and fails after patience.
func Until(ctx context.Context, patience time.Duration, what string, true func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !true() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("it did not come to pass: %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}
