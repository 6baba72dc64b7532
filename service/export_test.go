package service

import (
	"context"

	"gorm.io/gorm"
)

// Deafen makes this replica believe that it has just heard of every change of
// a session, and that there was none.
func (s *Sessions) Deafen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = s.now()
	clear(s.changed)
}

// ServeLoads loads sessions, as Run does among much else.
func (s *Sessions) ServeLoads(ctx context.Context) { _ = s.loads.keepServing(ctx) }

// AlsoRun adds background work.
func (s *Services) AlsoRun(f func(context.Context) error) { s.run = append(s.run, f) }

// PersonalTables are those that exporting and erasing know of.
func PersonalTables() (names []string) {
	for name := range personalTables {
		names = append(names, name)
	}
	return names
}

// InTx is inTx for what returns nothing.
func InTx(ctx context.Context, db *gorm.DB, f func(tx *gorm.DB) error) error {
	_, err := inTx(ctx, db, func(tx *gorm.DB) (struct{}, error) { return struct{}{}, f(tx) })
	return err
}
