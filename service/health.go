package service

import (
	"context"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Health is whether this replica can work.
type Health struct {
	db    *gorm.DB
	cache *cache
}

// Readiness names what is missing. Without the database nothing works; without
// Redis everything works, only slower.
type Readiness struct {
	Ready    bool     `json:"ready"`
	Missing  []string `json:"missing" doc:"缺了就不能服务的"`
	Degraded []string `json:"degraded" doc:"缺了只是变慢的"`
}

// Ready asks the stores.
func (s *Health) Ready(ctx context.Context) *Readiness {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	out := &Readiness{Missing: []string{}, Degraded: []string{}}
	conns, err := s.db.DB()
	if err == nil {
		err = conns.PingContext(ctx)
	}
	switch {
	case err != nil:
		out.Missing = append(out.Missing, "database")
	case model.Migrated(ctx, conns, Dialect(s.db)) != nil:
		out.Missing = append(out.Missing, "schema")
	}
	if s.cache.ping(ctx) != nil {
		out.Degraded = append(out.Degraded, "redis")
	}
	out.Ready = len(out.Missing) == 0
	return out
}
