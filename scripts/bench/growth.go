package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// grown is what one request costs where there is so much more of everything.
type grown struct {
	Times      int     `json:"times"`
	Contestant string  `json:"contestant"`
	Work       float64 `json:"cpu_us"` // of the service and its stores
	P50        float64 `json:"p50_ms"`
}

// The town that grows: a district of forty branches that met six times.
const (
	smallTown = 40
	pastTown  = 6
)

// grow measures the product in a town, and in towns of ten and a hundred times
// the members, activities and past rows. As many people do something in each,
// at as many activities, spread over the whole town: what differs is how much
// there is around them.
func grow(ctx context.Context, p plan, dir string) (*report, error) {
	all := &report{Plan: fmt.Sprintf("%+v", p)}
	for _, times := range []int{1, 10, 100} {
		q := p
		q.branches, q.lively, q.past, q.beside, q.rate = smallTown*times, smallTown, pastTown, "", 0
		if q.only == "" {
			q.only = "session,board,home,checkin"
		}
		folder := filepath.Join(dir, fmt.Sprint(times))
		if err := os.Mkdir(folder, 0o700); err != nil {
			return nil, fmt.Errorf("make folder: %w", err)
		}
		one, err := compare(ctx, q, folder)
		if err != nil {
			return nil, err
		}
		for _, name := range one.names() {
			all.Growth = append(all.Growth, grown{times, name,
				one.median(name, func(s slice) float64 { return s.Server + s.MariaDB + s.Redis }), one.median(name, func(s slice) float64 { return s.P50 })})
		}
	}
	return all, nil
}
