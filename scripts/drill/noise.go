package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// quiet is how long an echo may take on an idle machine whose times prove
// anything, and calibration how long it is listened to before a drill.
const (
	quiet       = 20 * time.Millisecond
	calibration = 2 * time.Second
)

// noise is how busy the machine is with other things: one byte goes to and fro
// over a loopback connection, which costs nothing and waits only for the
// processor. What counts is how long it took before the drill began: what the
// drill itself makes slow excuses nothing.
type noise struct {
	mu     sync.Mutex
	echoes []echo
	before time.Duration // the drill that runs now
}

type echo struct {
	at   time.Time
	took time.Duration
}

// listen begins to measure until the returned function is called.
func (n *noise) listen(ctx context.Context) (end func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			_, _ = io.Copy(conn, conn) // until the other side hangs up
		}
	}()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", listener.Addr().String())
	if err != nil {
		return nil, err
	}
	stop := beside(ctx, func(ctx context.Context) {
		one := make([]byte, 1)
		every(ctx, 5*time.Millisecond, func(int) {
			start := time.Now()
			if _, err := conn.Write(one); err != nil {
				return
			}
			if _, err := io.ReadFull(conn, one); err == nil {
				n.mu.Lock()
				n.echoes = append(n.echoes, echo{start, time.Since(start)})
				n.mu.Unlock()
			}
		})
	})
	return func() {
		stop()
		_ = conn.Close()
		_ = listener.Close()
	}, nil
}

// calibrate listens to the machine while no drill runs.
func (n *noise) calibrate(ctx context.Context) error {
	start := time.Now()
	if err := sleep(ctx, calibration); err != nil {
		return err
	}
	n.before = n.since(start)
	return nil
}

// since is how long the slowest hundredth of the echoes took at least.
func (n *noise) since(start time.Time) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	var took []time.Duration
	for _, e := range n.echoes {
		if e.at.After(start) {
			took = append(took, e.took)
		}
	}
	return percentile(took, 99)
}

// timely checks a promise about time; on a machine that was busy before
// anything began, a broken one proves nothing and is only told.
func (s *stage) timely(kept bool, since time.Time, format string, args ...any) {
	if kept {
		s.check(true, format, args...)
		return
	}
	line := fmt.Sprintf("%s；一个字节来回：演练之前 %v，其间 %v", fmt.Sprintf(format, args...), s.noise.before, s.noise.since(since))
	if s.noise.before > quiet {
		s.note("○ %s。机器本来就忙，不作数", line)
		return
	}
	s.late++
	s.check(false, "%s", line)
}

// soon checks that the crowd was answered within a time.
func (s *stage) soon(o *outcome, within time.Duration, what string) {
	p50, p99 := percentile(o.waits, 50), percentile(o.waits, 99)
	s.timely(p99 <= within, o.start, "%s：一半在 %v 内，99%% 在 %v 内（应在 %v 内）", what, p50, p99, within)
}
