package trial

import "sync"

// cleanups is what is to be done when a test ends, the last first. Package
// testing keeps what it was told to clean up until the whole suite has ended, and
// with it a world and a router of each test: gigabytes. This forgets.
type cleanups struct {
	mu   sync.Mutex
	todo []func()
}

// Cleanup has f done when the test ends, before everything that was asked for
// earlier.
func (w *World) Cleanup(f func()) {
	w.cleanups.mu.Lock()
	defer w.cleanups.mu.Unlock()
	w.cleanups.todo = append(w.cleanups.todo, f)
}

// run does what is left, also where one of it ends the test.
func (c *cleanups) run() {
	if f := c.last(); f != nil {
		defer c.run()
		f()
	}
}

func (c *cleanups) last() (f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.todo) - 1; n >= 0 {
		f, c.todo[n] = c.todo[n], nil
		c.todo = c.todo[:n]
	}
	return f
}
