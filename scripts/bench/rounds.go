package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gorm.io/gorm"

	"dangri/scripts/rig"
)

// contestant is one thing to measure: what to send in a round, and whether all
// that was acknowledged really happened.
type contestant struct {
	name    string
	process *rig.Process
	prepare func() (load, error)
	second  *rig.Process // if half of the load goes to another replica
}

// load is what to send. Requests of a load that is spent are sent once each;
// others over and over.
type load struct {
	requests [][]byte
	spent    bool
	proof    func(acknowledged int) error
}

// slice is what one contestant did in one round.
type slice struct {
	Contestant string   `json:"contestant"`
	Round      int      `json:"round"`
	Answers    int      `json:"answers"`
	Failures   int      `json:"failures"`
	PerSecond  float64  `json:"per_second"`
	P50        float64  `json:"p50_ms"`
	P99        float64  `json:"p99_ms"`
	Server     float64  `json:"server_us"` // processor time for one answer
	MariaDB    float64  `json:"mariadb_us"`
	Redis      float64  `json:"redis_us"`
	Load       float64  `json:"load_us"`
	Examples   []string `json:"examples,omitempty"` // of failures
}

// work is the processor time that everybody spent on one answer.
func (s *slice) work() float64 { return s.Server + s.MariaDB + s.Redis + s.Load }

func (b *bench) contestants() []contestant {
	all := []contestant{
		{name: "floor", process: b.opponent["floor"], prepare: func() (load, error) { return b.arrivals("floor") }},
		{name: "naive", process: b.opponent["naive"], prepare: func() (load, error) { return b.arrivals("naive") }},
	}
	for name, p := range b.peers {
		all = append(all, contestant{name: name, process: p.process, prepare: func() (load, error) { return b.peerArrivals(name) }})
	}
	add := func(mark string, process *rig.Process) {
		all = append(all,
			contestant{name: "session" + mark, process: process, prepare: func() (load, error) { return b.reads(process, "/v1/me/code") }},
			contestant{name: "board" + mark, process: process, prepare: func() (load, error) { return b.boards(process) }},
			contestant{name: "home" + mark, process: process, prepare: func() (load, error) { return b.reads(process, "/v1/home") }},
			contestant{name: "checkin" + mark, process: process, prepare: func() (load, error) { return b.checkIns(process) }},
			contestant{name: "slots" + mark, process: process, prepare: func() (load, error) { return b.listings(process) }},
			contestant{name: "signup" + mark, process: process, prepare: func() (load, error) { return b.signUps(process) }})
	}
	add("", b.product)
	all = append(all, contestant{name: "checkin2", process: b.pair[0], second: b.pair[1], prepare: func() (load, error) { return b.checkIns(b.product) }})
	if b.embedded != nil {
		all = append(all, contestant{name: "embedded", process: b.embedded.product, prepare: func() (load, error) { return b.embedded.checkIns(b.embedded.product) }})
	}
	if b.other != nil {
		add("'", b.other)
	}
	return slices.DeleteFunc(all, func(c contestant) bool { return !b.wants(c.name) })
}

// rounds gives everyone a slice of every round, each round in another order.
func (b *bench) rounds(ctx context.Context) (*report, error) {
	r := &report{Plan: fmt.Sprintf("%+v", b.plan)}
	all := b.contestants()
	for round := range b.repeats {
		for i := range all {
			c := all[(i+round)%len(all)]
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			s, err := b.measure(c)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			s.Round = round
			r.Slices = append(r.Slices, s)
			say("第 %d 轮 %-8s %7.0f 次/秒  p50 %6.1f ms  p99 %6.1f ms", round+1, c.name, s.PerSecond, s.P50, s.P99)
		}
	}
	return r, nil
}

func (b *bench) measure(c contestant) (slice, error) {
	l, err := c.prepare()
	if err != nil {
		return slice{}, err
	}
	profiled := b.profile != "" && c.name == b.profiled
	if profiled {
		if err := c.process.Signal(syscall.SIGUSR1); err != nil {
			return slice{}, err
		}
	}
	pids, addresses := []int{b.stores.Pid(rig.MariaDB), b.stores.Pid(rig.Redis), os.Getpid(), c.process.Pid()}, []string{c.process.Address}
	if c.second != nil {
		pids, addresses = append(pids, c.second.Pid()), append(addresses, c.second.Address)
	}
	before := cpus(pids)
	start := time.Now()
	took, failures := b.fire(addresses, l, start.Add(b.slice))
	elapsed := time.Since(start)
	after := cpus(pids)
	if profiled {
		if err := c.process.Signal(syscall.SIGUSR2); err != nil {
			return slice{}, err
		}
	}
	slices.Sort(took)
	s := slice{Contestant: c.name, Answers: len(took), Failures: len(failures), PerSecond: float64(len(took)) / elapsed.Seconds(),
		P50: percentile(took, 50), P99: percentile(took, 99), Examples: failures[:min(3, len(failures))]}
	for i := range pids {
		*[]*float64{&s.MariaDB, &s.Redis, &s.Load, &s.Server}[min(i, 3)] += float64((after[i] - before[i]).Microseconds()) / float64(max(1, len(took)))
	}
	if len(failures) > 0 {
		return s, fmt.Errorf("%d requests failed, such as %s", len(failures), failures[0])
	}
	if l.proof != nil {
		return s, l.proof(len(took))
	}
	return s, nil
}

// fire sends the load with all clients, in turn to each address, until the end
// and returns how long each answer took, and what was not answered with 200.
func (b *bench) fire(addresses []string, l load, end time.Time) (took []time.Duration, failures []string) {
	var next atomic.Int64
	var mu sync.Mutex
	var all sync.WaitGroup
	for client := range b.clients {
		all.Go(func() {
			w := rig.NewWire(addresses[client%len(addresses)])
			defer w.Close()
			mine := make([]time.Duration, 0, 4096)
			var bad []string
			for {
				i := int(next.Add(1)) - 1
				start := time.Now()
				if i >= len(l.requests) && l.spent || start.After(end) {
					break
				}
				status, body, err := w.Do(l.requests[i%len(l.requests)])
				if err != nil || status != http.StatusOK {
					bad = append(bad, fmt.Sprint(status, " ", string(body), " ", err))
					continue
				}
				mine = append(mine, time.Since(start))
			}
			mu.Lock()
			defer mu.Unlock()
			took, failures = append(took, mine...), append(failures, bad...)
		})
	}
	all.Wait()
	return took, failures
}

func cpus(pids []int) []time.Duration {
	all := make([]time.Duration, len(pids))
	for i, pid := range pids {
		all[i] = rig.CPU(pid)
	}
	return all
}

// everybody is all who do something: the people of every branch, or of some
// that are spread evenly over the town.
func (b *bench) everybody() (all []int) {
	step := 1
	if b.lively > 0 {
		step = b.branches / b.lively
	}
	for i := range b.town.Size() {
		if i/b.perBranch%step == 0 {
			all = append(all, i)
		}
	}
	return all
}

// reads is GETs of one path, each by the next of a few people whose sessions
// are warm: they are the same all through the slice.
func (b *bench) reads(process *rig.Process, path string) (load, error) {
	var l load
	for _, i := range b.few() {
		l.requests = append(l.requests, rig.Request(http.MethodGet, path, b.town.Token(i), nil))
	}
	return l, b.warm(process, l)
}

func (b *bench) boards(process *rig.Process) (load, error) {
	m, err := b.town.Meet()
	if err != nil {
		return load{}, err
	}
	var l load
	for _, i := range b.everybody() {
		if !b.town.RunsMeetings(i) {
			continue
		}
		l.requests = append(l.requests, rig.Request(http.MethodGet, fmt.Sprintf("/v1/activities/%d/board", m.Activity(i)), b.town.Token(i), nil))
	}
	return l, b.warm(process, l)
}

// warm sends every request of a load once.
func (b *bench) warm(process *rig.Process, l load) error {
	_, failures := b.fire([]string{process.Address}, load{requests: l.requests, spent: true}, time.Now().Add(time.Minute))
	if len(failures) > 0 {
		return fmt.Errorf("warm up: %s", failures[0])
	}
	return nil
}

// checkIns is everybody arriving at a new meeting of their branch with the
// code of its screen, people of one branch far apart.
func (b *bench) checkIns(process *rig.Process) (load, error) {
	m, err := b.town.Meet()
	if err != nil {
		return load{}, err
	}
	if b.cold > 0 {
		if err := b.forget(process); err != nil {
			return load{}, err
		}
	}
	order := b.scattered(b.everybody())
	var before load
	for _, i := range order[:int(float64(len(order))*(1-b.cold))] {
		before.requests = append(before.requests, rig.Request(http.MethodGet, "/v1/me/code", b.town.Token(i), nil))
	}
	if err := b.warm(process, before); err != nil {
		return load{}, err
	}
	codes, err := m.Codes(process.Address)
	if err != nil {
		return load{}, err
	}
	l := load{spent: true}
	for _, i := range b.scattered(order) { // again, so that the cold are among the warm
		l.requests = append(l.requests, codes.CheckIn(i, fmt.Sprintf("bench-%d-%d", m.Activity(i), i)))
	}
	l.proof = func(acknowledged int) error {
		rows, people, err := m.Recorded()
		if err == nil && (rows != int64(acknowledged) || people != rows) {
			err = fmt.Errorf("%d check-ins were acknowledged, but there are %d rows of %d people", acknowledged, rows, people)
		}
		return err
	}
	return l, nil
}

// forget makes every session of the product cold, as ten minutes without a
// request would.
func (b *bench) forget(process *rig.Process) error {
	ctx := context.Background()
	if err := b.stores.DB.Exec("UPDATE sessions SET seen_at = ?", time.Now().UTC().Add(-10*time.Minute)).Error; err != nil {
		return fmt.Errorf("make sessions old: %w", err)
	}
	client := b.stores.RedisClient()
	defer func() { _ = client.Close() }()
	for copies := client.Scan(ctx, 0, "*:session:*", 1000).Iterator(); copies.Next(ctx); {
		if err := client.Del(ctx, copies.Val()).Err(); err != nil {
			return fmt.Errorf("forget sessions: %w", err)
		}
	}
	return process.Restart(ctx)
}

// arrivals is the same for an opponent.
func (b *bench) arrivals(name string) (load, error) {
	m, err := b.town.Meet()
	if err != nil {
		return load{}, err
	}
	l := load{spent: true}
	if l.proof, err = added(b.stores.DB.Table(name + "_attendances")); err != nil {
		return load{}, err
	}
	for _, i := range b.scattered(b.everybody()) {
		body, _ := json.Marshal(arrival{ActivityID: m.Activity(i), Nonce: fmt.Sprintf("bench-%d-%d", m.Activity(i), i)}) // it always can
		l.requests = append(l.requests, rig.Request(http.MethodPost, "/v1/check-ins", b.town.Token(i), body))
	}
	return l, nil
}

// added is the proof that from now on a table grows by what is acknowledged.
func added(table *gorm.DB) (proof func(acknowledged int) error, err error) {
	table = table.Session(&gorm.Session{})
	count := func() (rows int64, err error) {
		if err = table.Count(&rows).Error; err != nil {
			err = fmt.Errorf("count rows: %w", err)
		}
		return rows, err
	}
	before, err := count()
	return func(acknowledged int) error {
		rows, err := count()
		if err == nil && rows-before != int64(acknowledged) {
			err = fmt.Errorf("%d arrivals were acknowledged, but there are %d rows", acknowledged, rows-before)
		}
		return err
	}, err
}

// scattered is the people in an order that brings the branches in turn.
func (b *bench) scattered(people []int) []int {
	out := make([]int, 0, len(people))
	for first := range b.perBranch {
		for i := first; i < len(people); i += b.perBranch {
			out = append(out, people[i])
		}
	}
	return out
}

// few is some people, those who run meetings among them as often as in the town.
func (b *bench) few() []int {
	people := b.everybody()
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(people), func(i, j int) { people[i], people[j] = people[j], people[i] }) //nolint:gosec // the same people each time
	return people[:min(2000, len(people))]
}

func percentile(sorted []time.Duration, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[min(len(sorted)-1, len(sorted)*p/100)].Microseconds()) / 1000
}

func pprof(ctx context.Context, args ...string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, "go", append([]string{"tool", "pprof"}, args...)...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("pprof: %w\n%s", err, exit.Stderr)
	}
	return out, err
}
