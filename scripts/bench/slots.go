package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"dangri/scripts/rig"
)

// openSlots are there in all while slots are listed.
const openSlots = 2000

// listings is people looking for something to do: whatever comes next, what a
// community needs, and what asks for their skill.
func (b *bench) listings(process *rig.Process) (load, error) {
	if !b.listed {
		if _, err := b.town.Serve(openSlots, 20, 3); err != nil {
			return load{}, err
		}
		b.listed = true
	}
	home, err := b.community()
	if err != nil {
		return load{}, err
	}
	var l load
	for n, i := range b.few() {
		path := []string{"/v1/service-slots", "/v1/service-slots", fmt.Sprint("/v1/service-slots?community_id=", home), "/v1/service-slots?skill=law"}[n%4]
		l.requests = append(l.requests, rig.Request(http.MethodGet, path, b.town.Token(i), nil))
	}
	return l, b.warm(process, l)
}

// community is one that has open slots.
func (b *bench) community() (id uint64, err error) {
	if err = b.stores.DB.Raw("SELECT MIN(community_id) FROM service_slots").Scan(&id).Error; err != nil {
		err = fmt.Errorf("find community: %w", err)
	}
	return id, err
}

// signUps is everybody taking a seat in one of many slots, each round on a day
// of its own: nobody serves twice at one time.
func (b *bench) signUps(process *rig.Process) (load, error) {
	b.served++
	s, err := b.town.Serve(slotsAtOnce, b.town.Size(), 365+30*b.served)
	if err != nil {
		return load{}, err
	}
	order := b.scattered(b.everybody())
	var before load
	for _, i := range order {
		before.requests = append(before.requests, rig.Request(http.MethodGet, "/v1/me/code", b.town.Token(i), nil))
	}
	if err := b.warm(process, before); err != nil {
		return load{}, err
	}
	l := load{spent: true}
	for _, i := range order {
		l.requests = append(l.requests, s.SignUp(i, fmt.Sprintf("bench-%d-%d", s.Slot(i), i)))
	}
	l.proof = func(acknowledged int) error {
		rows, counted, err := s.Taken()
		if err == nil && (rows != int64(acknowledged) || counted != rows) {
			err = fmt.Errorf("%d sign-ups were acknowledged, but there are %d rows and a count of %d", acknowledged, rows, counted)
		}
		return err
	}
	return l, nil
}

// slotsAtOnce is how many slots people sign up for at one time, as branches
// check in to as many meetings.
const slotsAtOnce = 400

// listing is how fast slots are listed at an even rate, and beside it the first
// screen, which people are used to wait for.
type listing struct {
	Slots paced `json:"slots"`
	Home  paced `json:"home"`
}

const (
	listingRate = 100 // a second
	mostListing = 2.0 // times the first screen's p99
)

// listing measures both in turn, as often as there are rounds.
func (b *bench) listing(ctx context.Context) ([]listing, error) {
	if _, err := b.listings(b.product); err != nil { // the slots, and warm sessions
		return nil, err
	}
	home, err := b.community()
	if err != nil {
		return nil, err
	}
	people := b.few()
	paths := []string{"/v1/service-slots", "/v1/service-slots", fmt.Sprint("/v1/service-slots?community_id=", home), "/v1/service-slots?skill=law"}
	read := func(paths ...string) paced { return b.pace(ctx, 2*b.slice, people, paths...) }
	say("每秒 %d 次岗位列表和首屏，各 %v，%d 轮……", listingRate, 2*b.slice, b.repeats)
	var all []listing
	for range b.repeats {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		all = append(all, listing{Slots: read(paths...), Home: read("/v1/home")})
	}
	return all, nil
}

// pace sends GETs to the product at an even rate.
func (b *bench) pace(ctx context.Context, lasting time.Duration, people []int, paths ...string) paced {
	var sent atomic.Int64
	targeter := func(t *vegeta.Target) error { // asked by many at once
		n := int(sent.Add(1)) - 1
		t.Method, t.URL = http.MethodGet, "http://"+b.product.Address+paths[n%len(paths)]
		t.Header = http.Header{"Authorization": {"Bearer " + b.town.Token(people[n%len(people)])}}
		return nil
	}
	var metrics vegeta.Metrics
	attacker := vegeta.NewAttacker(vegeta.Timeout(30 * time.Second))
	for result := range attacker.Attack(targeter, vegeta.Rate{Freq: listingRate, Per: time.Second}, lasting, "list") {
		metrics.Add(result)
		if ctx.Err() != nil {
			attacker.Stop()
		}
	}
	metrics.Close()
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return paced{PerSecond: listingRate, Answers: int(metrics.Requests), Failures: int(metrics.Requests) - metrics.StatusCodes["200"],
		P50: ms(metrics.Latencies.P50), P99: ms(metrics.Latencies.P99), Max: ms(metrics.Latencies.Max)}
}

// printListing says how the list of slots compares with the first screen.
func (r *report) printListing(to io.Writer) {
	if len(r.Listing) == 0 {
		r.unmeasured(to, "listing_p99_vs_home")
		return
	}
	var each []float64
	failures := 0
	for _, l := range r.Listing {
		each = append(each, l.Slots.P99/l.Home.P99)
		failures += l.Slots.Failures + l.Home.Failures
		fmt.Fprintf(to, "  %d/s: 岗位列表 p50 %.1f p99 %.1f ms，首屏 p50 %.1f p99 %.1f ms\n", l.Slots.PerSecond, l.Slots.P50, l.Slots.P99, l.Home.P50, l.Home.P99)
	}
	r.Ratios["listing_p99_vs_home"] = middle(each)
	fmt.Fprintf(to, "%s listing_p99_vs_home %.2f（%.2f 到 %.2f；目标不超过 %.1f；失败 %d）\n", r.verdict("listing_p99_vs_home", middle(each) <= mostListing && failures == 0), middle(each),
		slices.Min(each), slices.Max(each), mostListing, failures)
}
