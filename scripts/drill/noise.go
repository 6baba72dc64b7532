package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// quiet is how long an echo may take on a machine whose times prove anything.
const quiet = 20 * time.Millisecond

// noise is how busy the machine is with other things: while a drill runs, one
// byte goes to and fro over a loopback connection, which costs nothing and
// waits only for the processor.
type noise struct {
	mu     sync.Mutex
	echoes []echo
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

// timely checks a promise about time; on a machine that was too busy since
// then, a broken one proves nothing and is only told.
func (s *stage) timely(kept bool, since time.Time, format string, args ...any) {
	if echo := s.noise.since(since); !kept && echo > quiet {
		s.note("○ %s；机器太忙，一个字节来回也要 %v，不作数", fmt.Sprintf(format, args...), echo)
		return
	}
	if !kept {
		s.late++
	}
	s.check(kept, format, args...)
}

// soon checks that the crowd was answered within a time.
func (s *stage) soon(o *outcome, within time.Duration, what string) {
	p50, p99 := percentile(o.waits, 50), percentile(o.waits, 99)
	s.timely(p99 <= within, o.start, "%s：一半在 %v 内，99%% 在 %v 内（应在 %v 内）", what, p50, p99, within)
}
