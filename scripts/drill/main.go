// Drill breaks what can break while people check in, and then compares what
// they were told with what is on record:
//
//	scripts/stores.sh --durable go run ./scripts/drill [-long] [R3 R6 …]
//
// Each drill first shows that it can see the fault: the same crowd and the
// same bookkeeping meet a server that is careless in just that way. Every
// answer anybody got is left in a file.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"time"

	"dangri/scripts/rig"
)

// drills by what they prove.
var drills = []struct {
	id, promise string
	run         func(*stage, context.Context) error
}{
	{"R1", "人潮：签到不慢", (*stage).pace},
	{"R2", "抢名额：5000 人抢 500 个，进程被杀，正好 500 人，谁都知道自己有没有", (*stage).seats},
	{"R3", "进程被杀：确认过的签到一条不丢，重试的一条不多", (*stage).crash},
	{"R5", "Redis 被清空、被杀、被换成旧的：没人掉线，没人签不上，作废的不复活", (*stage).cache},
	{"R6", "数据库被杀：只会暂时不可用，恢复后一条不丢", (*stage).database},
	{"R7", "到存储的连接时断时慢：一条不丢，一条不多", (*stage).network},
	{"R8", "逐个重启，同时升级数据库：没有一次签到失败", (*stage).rolling},
	{"R9", "微信时好时坏、进程被杀、事件丢失：提醒一条不重，人人有结果", (*stage).reminders},
	{"R13", "慢连接和大请求：别人照常签到", (*stage).hostile},
	{"R19", "数据全部丢失：从备份恢复，一行不差，没人要重新登录", (*stage).restore},
	{"R20", "一边签到一边随时出故障：没有偏差，内存不涨", (*stage).soak},
	{"R14", "日志、Redis、给外人的答复和备份里没有令牌和个人信息", (*stage).secrets},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) == 3 && os.Args[1] == careless {
		exit(serveCareless(ctx, os.Args[2]))
	}
	long := flag.Bool("long", false, "按完整的人数和时长演练")
	flag.Parse()
	if *long {
		say("完整演练约需一小时。")
	}
	ok, err := run(ctx, *long, flag.Args())
	if err == nil && !ok {
		os.Exit(1)
	}
	exit(err)
}

func say(sentence string) { fmt.Fprintln(os.Stderr, sentence) }

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, long bool, wanted []string) (ok bool, err error) {
	dir, err := os.MkdirTemp("", "dangri-drill-*")
	if err != nil {
		return false, fmt.Errorf("make folder: %w", err)
	}
	g, err := open(ctx, dir, long)
	if err != nil {
		return false, err
	}
	defer g.close()
	passed := 0
	var failed []string
	for _, d := range drills {
		if len(wanted) > 0 && !slices.Contains(wanted, d.id) {
			continue
		}
		fmt.Printf("%s %s\n", d.id, d.promise)
		var s *stage
		for turn := 1; turn <= 3 && (s == nil || s.onlyLate()); turn++ {
			if err := g.noise.calibrate(ctx); err != nil {
				return false, err
			}
			s = &stage{ground: g, id: d.id, turn: turn, history: &history{start: time.Now()}}
			err := d.run(s, ctx)
			s.close()
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			if err != nil {
				s.check(false, "演练没有进行到底：%v", err)
			}
			path := filepath.Join(dir, fmt.Sprintf("%s-%d.jsonl", d.id, turn))
			if err := s.history.write(path); err != nil {
				return false, err
			}
			fmt.Printf("%s: %d passed, %d failed（%.0f 秒；经过见 %s）\n\n", d.id, s.passed, len(s.failed), time.Since(s.history.start).Seconds(), path)
		}
		passed += s.passed
		for _, broken := range s.failed {
			failed = append(failed, d.id+" "+broken)
		}
	}
	for _, broken := range failed {
		fmt.Println("✗ " + broken)
	}
	fmt.Printf("%d passed, %d failed\n", passed, len(failed))
	return len(failed) == 0, nil
}

// onlyLate says whether nothing but time went wrong, which is the best of three.
func (s *stage) onlyLate() bool { return s.late > 0 && s.late == len(s.failed) }

// ground is what all drills stand on.
type ground struct {
	long    bool
	dir     string
	stores  *rig.Stores
	town    *rig.Town
	product rig.Program
	self    string
	noise   noise
	closers []func()
}

func open(ctx context.Context, dir string, long bool) (*ground, error) {
	g := &ground{long: long, dir: dir}
	var err error
	if g.self, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("find myself: %w", err)
	}
	if g.stores, err = rig.OpenStores(ctx, "dangri_drill"); err != nil {
		return nil, err
	}
	g.closers = append(g.closers, g.stores.Close)
	if !g.stores.Own() {
		return nil, fmt.Errorf("演练要杀死存储，只能用 scripts/stores.sh 自己启动的")
	}
	if g.product, err = rig.Product(ctx, ".", dir, "drill"); err != nil {
		return nil, err
	}
	g.product = g.product.With(codesStep, codesMargin)
	branches := 200
	if long {
		branches = 2000
	}
	if g.town, err = rig.Found(ctx, g.stores.DB, branches, 50, 0); err != nil {
		return nil, err
	}
	end, err := g.noise.listen(ctx)
	if err != nil {
		return nil, fmt.Errorf("listen for noise: %w", err)
	}
	g.closers = append(g.closers, end)
	return g, nil
}

func (g *ground) close() {
	for _, f := range slices.Backward(g.closers) {
		f()
	}
}
