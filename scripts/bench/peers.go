package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gorm.io/gorm"

	"dangri/model"
	"dangri/scripts/rig"
	"dangri/service"
)

// peer is the same check-in as others would build it, a program of the module
// scripts/bench/peers.
type peer struct {
	process *rig.Process
	tokens  []string
	held    int      // meetings so far
	rows    *gorm.DB // its table of check-ins
}

// startPeers builds them and starts each on a folder or a database of its own.
func (b *bench) startPeers(ctx context.Context, dir string) error {
	path := filepath.Join(dir, "peers")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, ".")
	build.Dir = "scripts/bench/peers"
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	say("编译 PocketBase 和 gin-vue-admin 式的签到（首次要下载，需要几分钟）……")
	if said, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, said)
	}
	const name = "dangri_bench_gva"
	for _, statement := range []string{"DROP DATABASE IF EXISTS " + name, "CREATE DATABASE " + name} {
		if err := b.stores.DB.WithContext(ctx).Exec(statement).Error; err != nil {
			return fmt.Errorf("make database: %w", err)
		}
	}
	b.peers = map[string]*peer{}
	for peerName, where := range map[string]string{
		"pocketbase": filepath.Join(dir, "pocketbase"),
		"gva":        strings.Replace(b.stores.DSN, "/"+service.DatabaseName(b.stores.DSN), "/"+name, 1),
	} {
		if !b.wants(peerName) {
			continue
		}
		program := rig.Program{Path: path, Args: []string{peerName, where, fmt.Sprint(b.town.Size()), fmt.Sprint(b.branches * b.repeats)}, Dir: dir}
		process, err := program.Start(ctx)
		if err != nil {
			return err
		}
		b.closers = append(b.closers, process.Kill)
		tokens, err := linesOf(process.Log, b.town.Size())
		if err != nil {
			return err
		}
		rows := b.stores.DB.Table(name + ".gva_check_ins")
		if peerName == "pocketbase" {
			file, _, err := b.openFile(filepath.Join(where, "data.db"))
			if err != nil {
				return err
			}
			rows = file.Table("checkins")
		}
		b.peers[peerName] = &peer{process: process, tokens: tokens, rows: rows}
	}
	return nil
}

// openFile opens a database in a file until the end.
func (b *bench) openFile(path string) (*gorm.DB, *sql.DB, error) {
	db, err := service.OpenDatabase("file:" + path)
	if err != nil {
		return nil, nil, err
	}
	conns, err := db.DB()
	if err != nil {
		return nil, nil, fmt.Errorf("open database: %w", err)
	}
	b.closers = append(b.closers, func() { _ = conns.Close() })
	return db, conns, nil
}

// linesOf is the first n lines of a file.
func linesOf(path string, n int) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read tokens: %w", err)
	}
	defer func() { _ = file.Close() }()
	var lines []string
	for in := bufio.NewScanner(file); len(lines) < n && in.Scan(); {
		lines = append(lines, in.Text())
	}
	if len(lines) < n {
		return nil, fmt.Errorf("%d tokens of %d", len(lines), n)
	}
	return lines, nil
}

// peerArrivals is everybody arriving at a new meeting of their branch.
func (b *bench) peerArrivals(name string) (load, error) {
	p := b.peers[name]
	l := load{spent: true}
	var err error
	if l.proof, err = added(p.rows); err != nil {
		return load{}, err
	}
	for _, i := range b.scattered(b.everybody()) {
		activity := p.held*b.branches + i/b.perBranch + 1
		if name == "pocketbase" {
			body := fmt.Appendf(nil, `{"activity":"act%012d","member":"mem%012d"}`, activity, i+1)
			l.requests = append(l.requests, rig.Request(http.MethodPost, "/api/collections/checkins/records", p.tokens[i], body))
			continue
		}
		body, _ := json.Marshal(map[string]int{"ActivityID": activity}) // it always can
		request := rig.Request(http.MethodPost, "/checkIn/createCheckIn", p.tokens[i], body)
		l.requests = append(l.requests, []byte(strings.Replace(string(request), "Authorization: Bearer ", "x-token: ", 1)))
	}
	p.held++
	return l, nil
}

// embed starts the product on the stores inside its process, with a town of
// its own in the file.
func (b *bench) embed(ctx context.Context, program rig.Program, dir string) error {
	folder := filepath.Join(dir, "embedded")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	db, conns, err := b.openFile(filepath.Join(folder, "dangri.db"))
	if err != nil {
		return err
	}
	if _, err := model.Migrate(ctx, conns, "sqlite"); err != nil {
		return err
	}
	e := &bench{plan: b.plan, stores: b.stores}
	if e.town, err = rig.Found(ctx, db, b.branches, b.perBranch, 0); err != nil {
		return err
	}
	e.cold, e.only = 0, ""
	if e.product, err = program.With("DANGRI_MYSQL_DSN=", "DANGRI_REDIS_ADDR=", "DANGRI_DATA_DIR="+folder).Start(ctx); err != nil {
		return err
	}
	b.closers = append(b.closers, e.product.Kill)
	b.embedded = e
	return nil
}
