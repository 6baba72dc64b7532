// Capacity says what a number of members needs who all arrive at their
// meetings within ten minutes:
//
//	go run ./scripts/capacity [MEMBERS…]
//	go run ./scripts/capacity -bench bin/bench.json
//
// It is a calculation from costs that were measured, each beside the command
// that prints it, and a simulation of the arrivals. Its table stands in
// ARCHITECTURE.md, and a test holds the two equal. With -bench it prints how the
// costs stand to what a run of the benchmark measured.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cost is the processor time of one request, as `make bench` prints it under
// 每次的处理器时间 (median of three rounds on two processors that everybody
// shares). The service's own, MariaDB's and Redis's.
type cost struct{ service, mysql, redis time.Duration }

var (
	firstScreen = cost{136 * time.Microsecond, 93 * time.Microsecond, 7 * time.Microsecond}
	checkIn     = cost{118 * time.Microsecond, 41 * time.Microsecond, 6 * time.Microsecond}
	board       = cost{78 * time.Microsecond, 1 * time.Microsecond, 5 * time.Microsecond}

	// A session that Redis does not have: what a check-in costs more with -cold 1.
	session = cost{59 * time.Microsecond, 112 * time.Microsecond, 6 * time.Microsecond}
)

// What people do on their way in. A phone that has not called for long
// opens the first screen and scans; one in twenty scans again. In each branch one screen shows the numbers and
// asks for them every two seconds.
const (
	perBranch     = 30
	scansEach     = 1.05
	boardEvery    = 2 * time.Second
	arrivingTakes = 10 * time.Minute
)

// The machines, and how much of each may be used: what is above is for the
// second of three that has to carry what another one dropped.
const (
	replicaCores = 2
	mysqlCores   = 16
	redisCores   = 1 // it works on one
	mostUsed     = 0.6
	mostWait     = 150 * time.Millisecond // in line, in the worst tenth of a second

	connections    = 1000 // that a MySQL server takes
	perReplica     = 32   // that a replica may open
	bytesPerMember = 6000 // of rows in a year: four meetings a month with roster, attendance and reminder
	storedYears    = 5
	mostStored     = 2 << 40 // bytes on one server
)

// arrivals is how many arrive in each tenth of a second: drawn from the curve
// Beta(5, 3) over ten minutes, which rises slowly, is highest after six
// minutes and 40 seconds at 2.3 times the average, and ends early: most come in
// the minutes before the start.
func arrivals(members int) []float64 {
	const bins = int(arrivingTakes / (100 * time.Millisecond))
	draw := rand.New(rand.NewPCG(5, 3)) //nolint:gosec // a simulation that comes out the same each time
	out := make([]float64, bins)
	for i := range out {
		x := (float64(i) + 0.5) / float64(bins)
		mean := float64(members) / float64(bins) * 105 * math.Pow(x, 4) * math.Pow(1-x, 2)
		out[i] = max(0, mean+math.Sqrt(mean)*draw.NormFloat64()) // many strangers: Poisson, and so nearly normal
	}
	return out
}

// servers is how few servers of so many cores keep everybody's wait in line
// short enough, where each arrival costs so much and a steady work goes on.
func servers(arriving []float64, each, steady time.Duration, cores float64) int {
	fits := func(n int) bool {
		room := float64(n) * cores * mostUsed * 0.1 // seconds of work in a tenth of a second
		line := 0.0
		for _, came := range arriving {
			line = max(0, line+came*each.Seconds()+steady.Seconds()*0.1-room)
			if line > room*(mostWait.Seconds()/0.1) {
				return false
			}
		}
		return true
	}
	low, high := 0, 1 // fits(high), not fits(low)
	for !fits(high) {
		low, high = high, 2*high
	}
	for high-low > 1 {
		if middle := (low + high) / 2; fits(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// need is what so many members need.
type need struct {
	Members, Peak          int // arrivals in the busiest second
	Replicas, MySQL, Redis int
	First                  string // what one store of each has too little of; "" where it suffices
}

func needs(members int) need {
	arriving := arrivals(members)
	n := need{Members: members}
	for i := 0; i+10 <= len(arriving); i++ {
		sum := 0.0
		for _, came := range arriving[i : i+10] {
			sum += came
		}
		n.Peak = max(n.Peak, int(sum))
	}
	each := func(of func(cost) time.Duration) time.Duration {
		return of(session) + of(firstScreen) + time.Duration(scansEach*float64(of(checkIn)))
	}
	steady := func(of func(cost) time.Duration) time.Duration { // in each second
		return time.Duration(float64(members) / perBranch / boardEvery.Seconds() * float64(of(board)))
	}
	count := func(of func(cost) time.Duration, cores float64) int {
		return servers(arriving, each(of), steady(of), cores)
	}
	n.Replicas = max(2, count(func(c cost) time.Duration { return c.service }, replicaCores)+1) // one may be gone
	processor := count(func(c cost) time.Duration { return c.mysql }, mysqlCores)
	stored := float64(members) * bytesPerMember * storedYears / mostStored
	opened := float64(n.Replicas) * perReplica / connections
	n.Redis = count(func(c cost) time.Duration { return c.redis }, redisCores)
	most := 0
	for _, limit := range []struct {
		what    string
		servers int
	}{
		{"processors of MySQL", processor}, {"connections to MySQL", int(math.Ceil(opened))}, {"disk of MySQL", int(math.Ceil(stored))}, {"thread of Redis", n.Redis},
	} {
		if limit.servers > max(1, most) {
			n.First, most = limit.what, limit.servers
		}
	}
	n.MySQL = max(processor, int(math.Ceil(opened)), int(math.Ceil(stored)))
	return n
}

var sizes = []int{3_000, 600_000, 7_000_000, 100_000_000}

// table is the needs of the sizes, as it stands in ARCHITECTURE.md.
func table(sizes []int) string {
	var b strings.Builder
	b.WriteString("| members | busiest second | replicas of 2 cores | MySQL shards of 16 cores | Redis nodes |\n|---|---|---|---|---|\n")
	for _, members := range sizes {
		n := needs(members)
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", grouped(n.Members), grouped(n.Peak), grouped(n.Replicas), grouped(n.MySQL), grouped(n.Redis))
	}
	members, what := first()
	fmt.Fprintf(&b, "\nOne MySQL and one Redis carry %s members; the first limit is the %s.\n", grouped(members), what)
	return b.String()
}

// first is how many members, in hundred thousands, one store of each carries,
// and what breaks with more.
func first() (members int, what string) {
	const step = 100_000
	for members = step; ; members += step {
		if n := needs(members + step); n.First != "" {
			return members, n.First
		}
	}
}

// grouped is a number with commas.
func grouped(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) == 2 && args[0] == "-bench" {
		return compare(args[1], out)
	}
	wanted := sizes
	if len(args) > 0 {
		wanted = nil
	}
	for _, a := range args {
		members, err := strconv.Atoi(strings.ReplaceAll(a, ",", ""))
		if err != nil || members < 1 {
			return fmt.Errorf("人数应为正整数：%s", a)
		}
		wanted = append(wanted, members)
	}
	fmt.Fprint(out, table(wanted))
	return nil
}

// compare prints each cost beside the median of what the benchmark's report in
// the file measured. What a cold session costs stands in no single report.
func compare(path string, out io.Writer) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	var report struct{ Slices []map[string]any }
	if err := json.Unmarshal(raw, &report); err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	for _, c := range []struct {
		contestant string
		cost       cost
	}{{"home", firstScreen}, {"checkin", checkIn}, {"board", board}} {
		for _, part := range []struct {
			key   string
			typed time.Duration
		}{{"server_us", c.cost.service}, {"mariadb_us", c.cost.mysql}, {"redis_us", c.cost.redis}} {
			var all []float64
			for _, s := range report.Slices {
				if us, ok := s[part.key].(float64); ok && s["contestant"] == c.contestant {
					all = append(all, us)
				}
			}
			if slices.Sort(all); len(all) == 0 {
				fmt.Fprintf(out, "%s %s：这里 %d，没有测\n", c.contestant, part.key, part.typed.Microseconds())
				continue
			}
			measured := (all[(len(all)-1)/2] + all[len(all)/2]) / 2
			fmt.Fprintf(out, "%s %s：这里 %d，测得 %.0f（%+.0f）\n", c.contestant, part.key, part.typed.Microseconds(), measured, measured-float64(part.typed.Microseconds()))
		}
	}
	return nil
}
