package demo

import (
	"sync/atomic"
	"time"
)

// Clock is the time of a service in which a story is played: it stands still
// where the story puts it. Let go, it is Real again.
type Clock struct {
	Real    func() time.Time
	Leaving func() // if any, is called before the time leaps

	stopped atomic.Pointer[time.Time]
}

// Now is the time, in UTC.
func (c *Clock) Now() time.Time {
	if at := c.stopped.Load(); at != nil {
		return at.UTC()
	}
	return c.Real()
}

// Stop makes it be at until the next Stop or Go.
func (c *Clock) Stop(at time.Time) {
	c.leave()
	c.stopped.Store(&at)
}

// Go lets the time run again.
func (c *Clock) Go() {
	c.leave()
	c.stopped.Store(nil)
}

func (c *Clock) leave() {
	if c.Leaving != nil {
		c.Leaving()
	}
}
