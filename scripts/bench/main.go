// Bench measures the product against what the same machine can do at best:
//
//	scripts/stores.sh --durable go run ./scripts/bench
//
// Ratios are its results, because they survive a noisy machine: every round
// gives each contestant a slice of time, so whatever slows one slows the
// others, and the median round counts. The load generator shares the machine;
// it writes requests made beforehand to keep-alive connections.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dangri/scripts/rig"
)

// plan is what to measure, and how long.
type plan struct {
	branches, perBranch, past int
	lively                    int // branches whose people do something; 0: all
	repeats, clients          int
	slice                     time.Duration
	cold                      float64
	only, json                string
	profile, profiled         string
	beside                    string
	rate                      int
	growth                    bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) == 4 && opponents[os.Args[1]] != nil {
		if err := serve(ctx, opponents[os.Args[1]], os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	var p plan
	flag.IntVar(&p.branches, "branches", 400, "党支部个数")
	flag.IntVar(&p.perBranch, "members", 50, "每个党支部的党员数")
	flag.IntVar(&p.past, "past", 12, "已开过几次会（每人每次一条记录）")
	flag.IntVar(&p.repeats, "rounds", 5, "轮数，取中位数")
	flag.IntVar(&p.clients, "clients", 256, "并发连接数：全区同一分钟扫码，就是几百个连接")
	flag.DurationVar(&p.slice, "slice", 3*time.Second, "每轮里每个对象测多久")
	flag.Float64Var(&p.cold, "cold", 0, "签到时会话不在缓存里的人的比例，0 到 1")
	flag.StringVar(&p.only, "only", "", "只测这些对象，逗号分隔")
	flag.IntVar(&p.rate, "rate", 300, "最后按每秒这么多次签到测延迟；0 不测")
	flag.StringVar(&p.json, "json", "", "把全部结果写到这个 JSON 文件")
	flag.StringVar(&p.profile, "profile", "", "把一个对象被测期间服务进程的 CPU 剖析写到这个文件")
	flag.StringVar(&p.profiled, "profiled", "checkin", "剖析哪个对象")
	flag.StringVar(&p.beside, "beside", "", "另一份源码的目录：与它同场比较，它的名字后有 '")
	flag.BoolVar(&p.growth, "growth", false, "改测：人数、活动和记录变成 10 倍、100 倍，每次请求贵多少")
	flag.Parse()
	if err := run(ctx, p); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, p plan) error {
	dir, err := os.MkdirTemp("", "dangri-bench-*")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var report *report
	if p.growth {
		report, err = grow(ctx, p, dir)
	} else {
		report, err = compare(ctx, p, dir)
	}
	if err != nil {
		return err
	}
	report.print(os.Stdout)
	if p.profile != "" {
		if err := merge(ctx, dir, p.profile); err != nil {
			return err
		}
	}
	if p.json != "" {
		return report.write(p.json)
	}
	return nil
}

// compare measures everybody in the same town.
func compare(ctx context.Context, p plan, dir string) (*report, error) {
	b, err := build(ctx, p, dir)
	if err != nil {
		return nil, err
	}
	defer b.close()
	report, err := b.rounds(ctx)
	if err == nil && p.rate > 0 {
		report.Paced, err = b.paced(ctx)
	}
	if err == nil && p.wants("slots") && p.wants("home") {
		report.Listing, err = b.listing(ctx)
	}
	return report, err
}

// bench is everything that runs during a measurement.
type bench struct {
	plan
	stores   *rig.Stores
	town     *rig.Town
	product  *rig.Process
	pair     [2]*rig.Process // replicas of the product that share what it has: a core for each
	other    *rig.Process    // of the source beside, if any
	embedded *bench          // the product on the stores inside its process, with a town of its own
	peers    map[string]*peer
	opponent map[string]*rig.Process
	listed   bool // the slots that are looked through are there
	served   int  // how often everybody has signed up
	closers  []func()
}

func (b *bench) close() {
	for i := len(b.closers) - 1; i >= 0; i-- {
		b.closers[i]()
	}
}

func build(ctx context.Context, p plan, dir string) (_ *bench, err error) {
	b := &bench{plan: p, opponent: map[string]*rig.Process{}}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.stores, err = rig.OpenStores(ctx, "dangri_bench"); err != nil {
		return nil, err
	}
	b.closers = append(b.closers, b.stores.Close)
	tags := ""
	if p.profile != "" {
		tags = "profile"
	}
	say("编译……")
	program, err := rig.Product(ctx, ".", dir, tags)
	if err != nil {
		return nil, err
	}
	say("生成 %d 个党支部、%d 名党员、%d 条出席记录……", p.branches, p.branches*p.perBranch, p.branches*p.perBranch*p.past)
	if b.town, err = rig.Found(ctx, b.stores.DB, p.branches, p.perBranch, p.past); err != nil {
		return nil, err
	}
	if err := b.seedOpponents(ctx); err != nil {
		return nil, err
	}
	start := func(program rig.Program) (*rig.Process, error) {
		process, err := program.On(b.stores.DSN, b.stores.Redis).With("DANGRI_TEST_PROFILE=" + dir).Start(ctx)
		if err == nil {
			b.closers = append(b.closers, process.Kill)
		}
		return process, err
	}
	if b.product, err = start(program); err != nil {
		return nil, err
	}
	if b.wants("checkin2") {
		for i := range b.pair {
			if b.pair[i], err = start(program.With("GOMAXPROCS=1")); err != nil {
				return nil, err
			}
		}
	}
	if b.wants("embedded") {
		if err := b.embed(ctx, program, dir); err != nil {
			return nil, err
		}
	}
	if b.wants("pocketbase") || b.wants("gva") {
		if err := b.startPeers(ctx, dir); err != nil {
			say("没有与 PocketBase 和 gin-vue-admin 比较：%v", err)
		}
	}
	if p.beside != "" {
		beside := filepath.Join(dir, "beside")
		if err := os.Mkdir(beside, 0o700); err != nil {
			return nil, fmt.Errorf("make folder: %w", err)
		}
		if program, err = rig.Product(ctx, p.beside, beside, ""); err != nil {
			return nil, err
		}
		if b.other, err = start(program); err != nil {
			return nil, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find myself: %w", err)
	}
	for name := range opponents {
		if !b.wants(name) {
			continue
		}
		process, err := rig.Program{Path: self, Args: []string{name, b.stores.DSN, b.stores.Redis}, Dir: dir}.Start(ctx)
		if err != nil {
			return nil, err
		}
		b.opponent[name] = process
		b.closers = append(b.closers, process.Kill)
	}
	return b, nil
}

// wants says whether a contestant is to be measured.
func (p plan) wants(name string) bool {
	return p.only == "" || slices.Contains(strings.Split(p.only, ","), strings.TrimSuffix(name, "'"))
}

// merge makes one profile of those that the product left in dir.
func merge(ctx context.Context, dir, path string) error {
	parts, err := filepath.Glob(filepath.Join(dir, "cpu-*.pprof"))
	if err != nil || len(parts) == 0 {
		return errors.Join(errors.New("服务进程没有留下剖析"), err)
	}
	out, err := pprof(ctx, append([]string{"-proto"}, parts...)...)
	if err != nil {
		return err
	}
	return os.WriteFile(path, out, 0o600)
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
