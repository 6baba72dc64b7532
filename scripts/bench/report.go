package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is everything that was measured.
type report struct {
	Date   time.Time          `json:"date"`
	CPUs   int                `json:"cpus"`
	Go     string             `json:"go"`
	Plan   string             `json:"plan"`
	Slices []slice            `json:"slices"`
	Ratios map[string]float64 `json:"ratios"`
	Paced  *paced             `json:"paced,omitempty"`
	Growth []grown            `json:"growth,omitempty"`

	Listing []listing `json:"listing,omitempty"`
	Goals   goals     `json:"goals"`
}

// goals are the names of what is promised, by what came of it.
type goals struct {
	Met        []string `json:"met"`
	Missed     []string `json:"missed"`
	Unmeasured []string `json:"not_measured"` // not asked for, or not possible
}

// verdict notes whether a promise was kept, and is its mark.
func (r *report) verdict(goal string, kept bool) string {
	if kept {
		r.Goals.Met = append(r.Goals.Met, goal)
		return "✓"
	}
	r.Goals.Missed = append(r.Goals.Missed, goal)
	return "✗"
}

func (r *report) unmeasured(to io.Writer, goal string) {
	r.Goals.Unmeasured = append(r.Goals.Unmeasured, goal)
	fmt.Fprintf(to, "－ %s 没有测\n", goal)
}

func (g goals) String() string {
	missed := ""
	if len(g.Missed) > 0 {
		missed = "（" + strings.Join(g.Missed, "、") + "）"
	}
	return fmt.Sprintf("目标：达到 %d 个，没有达到 %d 个%s，没有测 %d 个", len(g.Met), len(g.Missed), missed, len(g.Unmeasured))
}

// ratios are what is promised, in the order of printing: one contestant's
// answers a second over another's in the same round. What stands beside is
// promised only where there is something beside.
var ratios = []struct {
	name, of, over string
	goal           float64
}{
	{"checkin_vs_floor", "checkin", "floor", 1.5},
	{"checkin_vs_naive", "checkin", "naive", 4.5},
	{"checkin_vs_pocketbase", "checkin", "pocketbase", 4.5},
	{"checkin_vs_gva", "checkin", "gva", 4.5},
	{"two_replicas_vs_one", "checkin2", "checkin", 1},
	{"checkin_vs_session", "checkin", "session", 0.5},
	{"board_vs_session", "board", "session", 0.9},
	{"home_vs_session", "home", "session", 0.4},
	{"signup_vs_floor", "signup", "floor", 0.7},
	{"session_vs_beside", "session", "session'", 1},
	{"board_vs_beside", "board", "board'", 1},
	{"home_vs_beside", "home", "home'", 1},
	{"checkin_vs_beside", "checkin", "checkin'", 1},
	{"slots_vs_beside", "slots", "slots'", 1},
	{"signup_vs_beside", "signup", "signup'", 1},
}

func (r *report) print(to io.Writer) {
	r.Date, r.CPUs, r.Go, r.Ratios = time.Now().UTC(), runtime.NumCPU(), runtime.Version(), map[string]float64{}
	r.Goals = goals{[]string{}, []string{}, []string{}}
	table := tabwriter.NewWriter(to, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\t次/秒\tp50 ms\tp99 ms\t每次的处理器时间 µs：服务\tMariaDB\tRedis\t压测\t")
	for _, n := range r.names() {
		median := func(of func(slice) float64) float64 { return r.median(n, of) }
		fmt.Fprintf(table, "%s\t%.0f\t%.1f\t%.1f\t%.0f\t%.0f\t%.0f\t%.0f\t\n", n, median(func(s slice) float64 { return s.PerSecond }),
			median(func(s slice) float64 { return s.P50 }), median(func(s slice) float64 { return s.P99 }), median(func(s slice) float64 { return s.Server }),
			median(func(s slice) float64 { return s.MariaDB }), median(func(s slice) float64 { return s.Redis }), median(func(s slice) float64 { return s.Load }))
	}
	_ = table.Flush() // it fails where printing fails
	if r.Growth == nil {
		r.printGoals(to)
	}
	r.printGrowth(to)
	fmt.Fprintln(to, r.Goals)
}

func (r *report) printGoals(to io.Writer) {
	for _, ratio := range ratios {
		var each, work []float64
		for _, a := range r.Slices {
			for _, b := range r.Slices {
				if a.Contestant == ratio.of && b.Contestant == ratio.over && a.Round == b.Round {
					each, work = append(each, a.PerSecond/b.PerSecond), append(work, b.work()/a.work())
				}
			}
		}
		switch {
		case len(each) > 0:
			r.Ratios[ratio.name], r.Ratios[ratio.name+"_by_cpu"] = middle(each), middle(work)
			fmt.Fprintf(to, "%s %s %.2f（%.2f 到 %.2f；按处理器时间 %.2f；目标 %.1f）\n", r.verdict(ratio.name, middle(each) >= ratio.goal), ratio.name, middle(each),
				slices.Min(each), slices.Max(each), middle(work), ratio.goal)
		case !strings.HasSuffix(ratio.over, "'"):
			r.unmeasured(to, ratio.name)
		}
	}
	if p := r.Paced; p != nil {
		fmt.Fprintf(to, "%s checkin_paced %d/s: p50 %.1f ms, p99 %.1f ms, 最慢 %.1f ms, 失败 %d\n", r.verdict("checkin_paced", p.Failures == 0), p.PerSecond, p.P50, p.P99, p.Max, p.Failures)
	} else {
		r.unmeasured(to, "checkin_paced")
	}
	if p := r.Paced; p != nil && p.RSS > 0 {
		fmt.Fprintf(to, "%s memory %d MB：%d 人在线，%d 人签到（目标 %d）\n", r.verdict("memory", p.RSS <= mostMemory), p.RSS/1e6, p.Sessions, p.Answers, int64(mostMemory/1e6))
	} else {
		r.unmeasured(to, "memory")
	}
	r.printListing(to)
}

// mostDearer is how many times as dear a request may become in a town a
// hundred times as large.
const mostDearer = 1.3

func (r *report) printGrowth(to io.Writer) {
	first := map[string]grown{}
	for _, g := range r.Growth {
		if g.Times == 1 {
			first[g.Contestant] = g
			fmt.Fprintf(to, "  %s 1 倍：处理器 %.0f µs，p50 %.1f ms\n", g.Contestant, g.Work, g.P50)
			continue
		}
		work, p50 := g.Work/first[g.Contestant].Work, g.P50/first[g.Contestant].P50
		fmt.Fprintf(to, "%s %s %d 倍：处理器 %.0f µs，是 %.2f 倍；p50 %.1f ms，是 %.2f 倍（目标 %.1f）\n", r.verdict(fmt.Sprintf("%s_%d_times", g.Contestant, g.Times), work <= mostDearer && p50 <= mostDearer),
			g.Contestant, g.Times, g.Work, work, g.P50, p50, mostDearer)
	}
}

// names are the contestants in the order in which they came.
func (r *report) names() (names []string) {
	for _, s := range r.Slices {
		if !slices.Contains(names, s.Contestant) {
			names = append(names, s.Contestant)
		}
	}
	return names
}

func (r *report) median(contestant string, of func(slice) float64) float64 {
	var all []float64
	for _, s := range r.Slices {
		if s.Contestant == contestant {
			all = append(all, of(s))
		}
	}
	return middle(all)
}

// middle is the median: of an even number, the mean of the two in the middle.
func middle(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

func (r *report) write(path string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return os.WriteFile(path, append(raw, '\n'), 0o600)
}
