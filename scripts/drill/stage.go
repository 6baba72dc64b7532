package main

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dangri/scripts/rig"
)

// stage is one drill under way: replicas, a meeting, and a crowd on its way to
// it.
type stage struct {
	*ground
	id      string
	turn    int // how often the drill has begun: its time is the best of three
	history *history
	passed  int
	failed  []string // what was not kept
	late    int      // of these, promises about time

	controls bool // what it finds is told by the control alone

	program  rig.Program // what the replicas run
	table    string      // where they record
	meeting  *rig.Meeting
	replicas []*replica
	codes    codes
	end      []func() // of what runs on the stage now
	last     []func() // of what runs until the drill ends
}

// check counts what was promised and says so.
func (s *stage) check(kept bool, format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if kept {
		s.passed++
		s.note("✓ %s", line)
		return
	}
	s.failed = append(s.failed, line)
	s.note("✗ %s", line)
}

// note says what counts for nothing.
func (s *stage) note(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if s.controls {
		s.history.event("对照之中：%s", line)
		return
	}
	fmt.Println("  " + line)
	s.history.event("%s", line)
}

// clear ends everything that runs on the stage.
func (s *stage) clear() {
	for _, f := range slices.Backward(s.end) {
		f()
	}
	s.end, s.replicas = nil, nil
}

// close ends the drill.
func (s *stage) close() {
	s.clear()
	for _, f := range slices.Backward(s.last) {
		f()
	}
}

// open clears the stage, calls the next meeting and starts replicas of the
// program.
func (s *stage) open(ctx context.Context, program rig.Program, table string, replicas int) error {
	s.clear()
	var err error
	if s.meeting, err = s.town.Meet(); err != nil {
		return err
	}
	s.program, s.table = program, table
	for i := range replicas {
		r := &replica{id: i, history: s.history}
		if err := r.start(ctx, program); err != nil {
			return err
		}
		s.replicas = append(s.replicas, r)
		s.end = append(s.end, r.stop)
	}
	return nil
}

// product opens the stage with replicas of the product on the stores.
func (s *stage) openProduct(ctx context.Context, program rig.Program) error {
	if err := s.open(ctx, program, "attendances", 3); err != nil {
		return err
	}
	return s.keepCodes(ctx, func() (*rig.Codes, error) {
		for _, r := range s.replicas {
			if address := r.address(); address != "" {
				if c, err := s.meeting.Codes(address); err == nil {
					return c, nil
				}
			}
		}
		return nil, fmt.Errorf("no replica tells the codes")
	})
}

// replica is one process that a supervisor keeps alive.
type replica struct {
	id      int
	history *history

	mu      sync.Mutex
	process *rig.Process
	leaving bool // it says that it takes no more
	ended   bool
	starts  int
}

func (r *replica) start(ctx context.Context, program rig.Program) error {
	process, err := program.Start(ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		process.Kill()
		return nil
	}
	r.process, r.leaving = process, false
	r.starts++
	r.history.event("replica %d serves at %s", r.id, process.Address)
	return nil
}

func (r *replica) running() *rig.Process {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.process == nil || r.process.Gone() {
		return nil
	}
	return r.process
}

// address is where the replica serves; "" while it does not.
func (r *replica) address() string {
	p := r.running()
	r.mu.Lock()
	defer r.mu.Unlock()
	if p == nil || r.leaving {
		return ""
	}
	return p.Address
}

// watch asks the replicas whether they are ready, as a balancer does, so that
// nobody is sent to one that says no.
func (s *stage) watch(ctx context.Context) {
	for _, r := range s.replicas {
		s.end = append(s.end, beside(ctx, func(ctx context.Context) {
			every(ctx, 100*time.Millisecond, func(int) {
				p := r.running()
				if p == nil {
					return
				}
				w := rig.NewWire(p.Address)
				defer w.Close()
				status, _, err := w.Do(rig.Request(http.MethodGet, "/readyz", "", nil))
				r.mu.Lock()
				defer r.mu.Unlock()
				if r.process == p {
					r.leaving = err != nil || status != http.StatusOK
				}
			})
		}))
	}
}

func (r *replica) kill() {
	if p := r.running(); p != nil {
		r.history.event("kill replica %d", r.id)
		p.Kill()
	}
}

func (r *replica) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	if r.process != nil {
		r.process.Kill()
	}
}

// supervise starts replicas again that have ended, the n-th time as the
// program says, until ctx ends. It returns how many had to be.
func (s *stage) supervise(ctx context.Context, program func(n int) rig.Program) (restarts func() int) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for _, r := range s.replicas {
		all.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-time.After(20 * time.Millisecond):
				}
				if r.running() == nil {
					s.history.event("replica %d has ended", r.id)
					if err := r.start(ctx, program(r.starts)); err != nil && ctx.Err() == nil {
						s.history.event("replica %d does not start: %v", r.id, err)
					}
				}
			}
		})
	}
	s.end = append(s.end, func() {
		cancel()
		all.Wait()
	})
	return func() int {
		n := 0
		for _, r := range s.replicas {
			r.mu.Lock()
			n += r.starts - 1
			r.mu.Unlock()
		}
		return n
	}
}

// every does something again and again until ctx ends, n counting from zero.
func every(ctx context.Context, period time.Duration, do func(n int)) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do(n)
		}
	}
}

// beside does something until the returned function is called, which waits
// for it to end.
func beside(ctx context.Context, do func(context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// codes is what the screens show. It is asked for all the time, beside the
// crowd, so that nobody on the way waits for a screen.
type codes struct {
	now atomic.Pointer[rig.Codes]
}

// A code is good for a minute at least, so that two hundred screens do not ask
// all the time: a drill is about other things.
const (
	codesPeriod = 20 * time.Second
	codesStep   = "DANGRI_CODE_STEP=60s"
	codesMargin = "DANGRI_CODE_MARGIN=60s"
)

// keepCodes asks for the codes now and from now on, until the stage is cleared.
func (s *stage) keepCodes(ctx context.Context, ask func() (*rig.Codes, error)) error {
	now, err := ask()
	if err != nil {
		return err
	}
	s.codes.now.Store(now)
	s.end = append(s.end, beside(ctx, func(ctx context.Context) {
		every(ctx, codesPeriod, func(int) {
			if now, err := ask(); err == nil { // if nobody can tell now, somebody can in a moment
				s.codes.now.Store(now)
			}
		})
	}))
	return nil
}

// scan is what a phone sends, and sends again until it has an answer.
type scan struct {
	person int
	nonce  string
	body   []byte
}

// scan is a person scanning the screen, which shows an old code while nobody
// can tell the new one.
func (c *codes) scan(person int, nonce string) scan {
	return scan{person, nonce, c.now.Load().Body(person, nonce)}
}

func percentile(all []time.Duration, p float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(math.Ceil(float64(len(sorted))*p/100)))].Round(time.Millisecond / 10)
}
