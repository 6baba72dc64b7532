package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTheTableInTheArchitectureIsWhatTheCalculationSays(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := table(sizes); !strings.Contains(string(text), "\n"+want+"\n") {
		t.Errorf("ARCHITECTURE.md is behind the calculation; its table should be\n%s", want)
	}
}

func TestEverybodyArrivesAndMostOfThemLate(t *testing.T) {
	t.Parallel()
	const members = 600_000
	all, busiest, at := 0.0, 0.0, 0
	arriving := arrivals(members)
	for i, came := range arriving {
		all += came
		if came > busiest {
			busiest, at = came, i
		}
	}
	average := members / float64(len(arriving))
	if math.Abs(all-members) > members/100 || busiest < 2.2*average || busiest > 3*average || at < len(arriving)/2 {
		t.Errorf("%.0f arrive, at most %.0f in a tenth of a second, the %dth", all, busiest, at)
	}
}

func TestServersAreAsFewAsTheWaitAllows(t *testing.T) {
	t.Parallel()
	even := make([]float64, 100) // a hundred in each tenth of a second, a millisecond of work each: one core's worth
	for i := range even {
		even[i] = 100
	}
	for _, c := range []struct {
		name         string
		arriving     []float64
		each, steady time.Duration
		cores        float64
		want         int
	}{
		{"all of one core, of which 0.6 may be used", even, time.Millisecond, 0, 1, 2},
		{"the same on two cores", even, time.Millisecond, 0, 2, 1},
		{"with as much steady work beside it", even, time.Millisecond, time.Second, 1, 4},
		{"nobody comes", make([]float64, 100), time.Millisecond, 0, 1, 1},
		{"a burst may wait in line for 150 ms", []float64{250}, time.Millisecond, 0, 1, 2},
		{"and no longer", []float64{301}, time.Millisecond, 0, 1, 3},
	} {
		if got := servers(c.arriving, c.each, c.steady, c.cores); got != c.want {
			t.Errorf("%s: %d servers, want %d", c.name, got, c.want)
		}
	}
}

func TestMoreMembersNeverNeedLess(t *testing.T) {
	t.Parallel()
	before := need{}
	for members := 1000; members < 200_000_000; members *= 3 {
		n := needs(members)
		if n.Replicas < max(2, before.Replicas) || n.MySQL < max(1, before.MySQL) || n.Redis < max(1, before.Redis) {
			t.Errorf("%d members need %+v, fewer %+v", members, n, before)
		}
		before = n
	}
}

func TestEachCostStandsBesideWhatWasMeasured(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bench.json")
	err := os.WriteFile(path, []byte(`{"slices":[{"contestant":"board","server_us":60,"mariadb_us":1,"redis_us":5},{"contestant":"board","server_us":70,"mariadb_us":3,"redis_us":5}]}`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run([]string{"-bench", path}, &out); err != nil {
		t.Fatal(err)
	}
	typed := board.service.Microseconds()
	for _, want := range []string{fmt.Sprintf("board server_us：这里 %d，测得 65（%+d）\n", typed, 65-typed), fmt.Sprintf("home server_us：这里 %d，没有测\n", firstScreen.service.Microseconds())} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not said:\n%s", want, out.String())
		}
	}
}
