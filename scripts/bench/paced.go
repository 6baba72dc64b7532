package main

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"dangri/scripts/rig"
)

// paced is how fast check-ins are answered that come at an even rate, whether
// or not the ones before have been answered.
type paced struct {
	PerSecond int     `json:"per_second"`
	Answers   int     `json:"answers"`
	Failures  int     `json:"failures"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Max       float64 `json:"max_ms"`
	Sessions  int     `json:"sessions"`  // open while they came
	RSS       int64   `json:"rss_bytes"` // of the service, at its most
}

const (
	pacedFor   = 10 * time.Second
	mostOpen   = 10_000
	mostMemory = 150e6 // of a replica that has so many sessions open
)

func (b *bench) paced(ctx context.Context) (*paced, error) {
	// A fresh process: what it holds is these people's.
	if err := b.product.Restart(ctx); err != nil {
		return nil, err
	}
	m, err := b.town.Meet()
	if err != nil {
		return nil, err
	}
	people := b.scattered(b.everybody())
	open := load{spent: true}
	for _, i := range people[:min(mostOpen, len(people))] {
		open.requests = append(open.requests, rig.Request(http.MethodGet, "/v1/home", b.town.Token(i), nil))
	}
	if err := b.warm(b.product, open); err != nil {
		return nil, err
	}
	codes, err := m.Codes(b.product.Address)
	if err != nil {
		return nil, err
	}
	pace, lasting := vegeta.Rate{Freq: b.rate, Per: time.Second}, min(pacedFor, time.Duration(len(people))*time.Second/time.Duration(b.rate))
	var next atomic.Int64
	targeter := func(t *vegeta.Target) error { // asked by many at once
		n := int(next.Add(1)) - 1
		if n >= len(people) {
			return vegeta.ErrNoTargets
		}
		i := people[n]
		t.Method, t.URL, t.Body = "POST", "http://"+b.product.Address+"/v1/check-ins", codes.Body(i, fmt.Sprintf("paced-%d-%d", m.Activity(i), i))
		t.Header = map[string][]string{"Authorization": {"Bearer " + b.town.Token(i)}, "Content-Type": {"application/json"}}
		return nil
	}
	say("每秒 %d 次签到，%v……", b.rate, lasting)
	var metrics vegeta.Metrics
	rss := rig.RSS(b.product.Pid())
	attacker := vegeta.NewAttacker(vegeta.Timeout(30 * time.Second))
	for result := range attacker.Attack(targeter, pace, lasting, "check-in") {
		metrics.Add(result)
		if metrics.Requests%100 == 0 {
			rss = max(rss, rig.RSS(b.product.Pid()))
		}
		if ctx.Err() != nil {
			attacker.Stop()
		}
	}
	metrics.Close()
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	p := &paced{PerSecond: b.rate, Answers: int(metrics.Requests), Failures: int(metrics.Requests) - metrics.StatusCodes["200"],
		P50: ms(metrics.Latencies.P50), P99: ms(metrics.Latencies.P99), Max: ms(metrics.Latencies.Max),
		Sessions: len(open.requests), RSS: rss}
	rows, _, err := m.Recorded()
	if err == nil && rows < int64(metrics.StatusCodes["200"]) {
		err = fmt.Errorf("%d check-ins were acknowledged, but there are %d rows", metrics.StatusCodes["200"], rows)
	}
	return p, err
}
