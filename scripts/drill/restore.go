package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// restored is how soon everything is back, from an empty server to the first
// answer.
const restored = 10 * time.Minute

// restore backs the database up while people check in, loses it and Redis, and
// brings back what was in the file.
func (s *stage) restore(ctx context.Context) error {
	product := s.product.On(s.stores.DSN, s.stores.Redis)
	if err := s.openProduct(ctx, product); err != nil {
		return err
	}
	crowd := crowd{people: s.people(1500), rate: 300, patient: patience, echoes: 5}
	o := s.arrive(ctx, crowd)
	file := filepath.Join(s.dir, "backup.sql.gz")
	start := time.Now()
	if err := s.script(ctx, "backup.sh", file); err != nil {
		return err
	}
	s.note("备份用了 %v", time.Since(start).Round(time.Millisecond))
	before, err := s.checksums(ctx)
	if err != nil {
		return err
	}

	// The controls: what must not be restored, and a difference of one row.
	s.check(s.script(ctx, "restore.sh", file) != nil, "对照：数据库不是空的，不恢复")
	whole, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read backup: %w", err)
	}
	cut := filepath.Join(s.dir, "cut.sql.gz")
	if err := os.WriteFile(cut, whole[:len(whole)/2], 0o600); err != nil {
		return fmt.Errorf("write half of a backup: %w", err)
	}
	if err := s.stores.DB.WithContext(ctx).Exec("UPDATE attendances SET nonce = CONCAT(nonce, '-') ORDER BY id DESC LIMIT 1").Error; err != nil {
		return fmt.Errorf("change a row: %w", err)
	}
	changed, err := s.checksums(ctx)
	if err != nil {
		return err
	}
	s.check(len(differences(before, changed)) == 1, "对照：改动一行，校验和看得出：%s", some(differences(before, changed)))

	code := s.codes.now.Load()
	s.history.event("everything is lost")
	for _, r := range s.replicas {
		r.kill()
	}
	if err := s.lose(ctx); err != nil {
		return err
	}
	start = time.Now()
	s.check(s.script(ctx, "restore.sh", cut) != nil, "对照：只有一半的备份，不恢复")
	if err := s.script(ctx, "restore.sh", file); err != nil {
		return err
	}
	after, err := s.checksums(ctx)
	if err != nil {
		return err
	}
	for _, r := range s.replicas {
		if err := r.start(ctx, product); err != nil {
			return err
		}
	}
	s.ask(s.replicas[0], http.MethodGet, "/v1/home", 0)
	took := time.Since(start)
	s.timely(took <= restored, start, "从空的服务器到可以签到：%v（目标 %v）", took.Round(time.Millisecond), restored)
	s.check(len(before) > 10 && len(differences(before, after)) == 0, "%d 张表的校验和与备份时相同：不同的 %s", len(before), some(differences(before, after)))

	var out []string
	for _, person := range s.people(200) {
		if status := s.ask(s.replicas[person%len(s.replicas)], http.MethodGet, "/v1/home", person); status != http.StatusOK {
			out = append(out, fmt.Sprintf("person %d: %d", person, status))
		}
	}
	s.check(len(out) == 0, "没有人要重新登录：%s", some(out))
	late := s.people(1, 1500)[0]
	a := s.try(ctx, scan{late, "restore-late-0001", code.Body(late, "restore-late-0001")}, 0)
	s.check(a.final(), "丢失之前屏幕上的码仍然有效：%d %s", a.Status, a.Code)

	crowd.people = s.people(600, 1501)
	o = o.and(s.arrive(ctx, crowd))
	o.tries = append(o.tries, a)
	if err := s.settle(ctx, o); err != nil {
		return err
	}
	return s.shown(ctx, 5*time.Second)
}

// script runs one of scripts/deploy on the drill's database.
func (s *stage) script(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, "scripts/deploy/"+name, args...)
	cmd.Env = append(os.Environ(), "DANGRI_MYSQL_DSN="+s.stores.DSN)
	said, err := cmd.CombinedOutput()
	s.history.event("%s %s: %v %s", name, strings.Join(args, " "), err, said)
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, said)
	}
	return nil
}

// lose empties both stores and leaves an empty database.
func (s *stage) lose(ctx context.Context) error {
	conns, err := s.stores.DB.DB()
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	var name string
	db := s.stores.DB.WithContext(ctx)
	if err := db.Raw("SELECT DATABASE()").Scan(&name).Error; err != nil {
		return fmt.Errorf("name the database: %w", err)
	}
	for _, statement := range []string{"DROP DATABASE " + name, "CREATE DATABASE " + name} {
		if err := db.Exec(statement).Error; err != nil {
			return fmt.Errorf("lose the database: %w", err)
		}
	}
	conns.SetMaxIdleConns(0) // connections stay in the database that is gone
	conns.SetMaxIdleConns(2)
	return s.emptyRedis(ctx)
}

func (s *stage) emptyRedis(ctx context.Context) error {
	client := s.stores.RedisClient()
	defer func() { _ = client.Close() }()
	if err := client.FlushAll(ctx).Err(); err != nil {
		return fmt.Errorf("empty Redis: %w", err)
	}
	return nil
}

// checksums are those of all tables.
func (s *stage) checksums(ctx context.Context) (map[string]int64, error) {
	db := s.stores.DB.WithContext(ctx)
	var tables []string
	if err := db.Raw("SHOW TABLES").Scan(&tables).Error; err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	sums := map[string]int64{}
	for _, table := range tables {
		var row struct{ Checksum int64 }
		if err := db.Raw("CHECKSUM TABLE `" + table + "`").Scan(&row).Error; err != nil {
			return nil, fmt.Errorf("checksum of %s: %w", table, err)
		}
		sums[table] = row.Checksum
	}
	return sums, nil
}

// differences are the tables that are not the same, or not in both.
func differences(before, after map[string]int64) (tables []string) {
	for table, sum := range before {
		if now, ok := after[table]; !ok || now != sum {
			tables = append(tables, table)
		}
	}
	for table := range after {
		if _, ok := before[table]; !ok {
			tables = append(tables, table)
		}
	}
	return tables
}
