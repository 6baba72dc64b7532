package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestTheMedianOfAnEvenNumberFlattersNobody(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		all  []float64
		want float64
	}{{[]float64{7}, 7}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := middle(c.all); got != c.want {
			t.Errorf("the median of %v is %v, want %v", c.all, got, c.want)
		}
	}
}

func TestEveryGoalIsMetOrMissedOrSaidNotToBeMeasured(t *testing.T) {
	t.Parallel()
	r := &report{}
	for round := range 2 { // in one round good enough, by the median not; no peer could be built
		r.Slices = append(r.Slices, slice{Contestant: "floor", Round: round, PerSecond: 100, Server: 1},
			slice{Contestant: "naive", Round: round, PerSecond: 10, Server: 1}, slice{Contestant: "checkin", Round: round, PerSecond: []float64{120, 160}[round], Server: 1})
	}
	var text strings.Builder
	r.print(&text)
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	if got, want := lines[len(lines)-1], "目标：达到 1 个，没有达到 1 个（checkin_vs_floor），没有测 10 个"; got != want {
		t.Errorf("the report ends with %q, want %q", got, want)
	}
	for _, goal := range []string{"checkin_vs_pocketbase", "checkin_vs_gva", "checkin_paced", "memory", "listing_p99_vs_home"} {
		if !slices.Contains(r.Goals.Unmeasured, goal) || !slices.Contains(lines, "－ "+goal+" 没有测") {
			t.Errorf("nothing says that %s was not measured", goal)
		}
	}
	raw, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(raw), `"goals":{"met":["checkin_vs_naive"],"missed":["checkin_vs_floor"],"not_measured":["checkin_vs_pocketbase",`) {
		t.Errorf("the report in JSON is %s, %v", raw, err)
	}
}
