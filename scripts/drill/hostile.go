package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"dangri/scripts/rig"
)

const (
	slowConnections = 1000
	holdOut         = 12 * time.Second // no connection that says too little lives longer
	bigBody         = 64 << 20
	swollenMost     = 100 << 20 // how much memory hostile requests may cost at most
)

// hostile holds a thousand connections that say a byte a second and sends
// bodies that nobody asked for, while others check in.
func (s *stage) hostile(ctx context.Context) error {
	if err := s.openCareless(ctx, s.stores.DSN); err != nil {
		return err
	}
	held := s.dribble(ctx, s.replicas[0].address(), 50, holdOut, "POST /v1/check-ins HTTP/1.1\r\nHost: rig\r\nX-Slow: ")
	s.check(held == 50, "对照：没有时限的服务，50 个慢连接 %v 后还占着 %d 个", holdOut, held)

	careless := s.replicas[0].running()
	end := swelling(ctx, careless.Pid())
	refused, swallowed := floods(ctx, careless.Address, hostileHead(s.town.Token(0)), 4)
	full := s.control()
	full.spewed(4, refused, swallowed, end())
	s.check(len(full.failed) == 2, "对照：什么都收的服务，大请求没有被拒绝，内存也涨了，看得出：%s", some(full.failed))

	if err := s.openProduct(ctx, s.product.On(s.stores.DSN, s.stores.Redis)); err != nil {
		return err
	}
	for _, r := range s.replicas[1:] {
		r.stop()
	}
	s.replicas = s.replicas[:1]
	victim := s.replicas[0].running()
	calm := s.arrive(ctx, crowd{people: s.people(1000), rate: 100, patient: patience})

	end = swelling(ctx, victim.Pid())
	head := hostileHead(s.town.Token(0))
	kinds := []string{head + "X-Slow: ", head + "Content-Length: 200\r\n\r\n{"}
	var attack sync.WaitGroup
	var stillHeld [2]int
	for k, opening := range kinds {
		attack.Go(func() {
			stillHeld[k] = s.dribble(ctx, victim.Address, slowConnections/2, holdOut, opening)
		})
	}
	attack.Go(func() { refused, swallowed = floods(ctx, victim.Address, head, 24) })
	busy := s.arrive(ctx, crowd{people: s.people(1000, 1000), rate: 100, patient: patience})
	attack.Wait()
	swollen := end()

	s.check(stillHeld[0] == 0, "只发半个请求头的 %d 个连接，%v 内都被断开：还占着 %d 个", slowConnections/2, holdOut, stillHeld[0])
	s.check(stillHeld[1] == 0, "只发半个正文的 %d 个连接，%v 内都被断开：还占着 %d 个", slowConnections/2, holdOut, stillHeld[1])
	s.spewed(24, refused, swallowed, swollen)
	usual := percentile(calm.waits, 99)
	s.soon(busy, max(2*usual, usual+quiet), fmt.Sprintf("别人照常签到，平时 99%% 在 %v 内", usual))
	return s.settle(ctx, busy.and(calm))
}

func hostileHead(token string) string {
	return fmt.Sprintf("POST /v1/check-ins HTTP/1.1\r\nHost: rig\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n", token)
}

// swelling watches the memory of a process until the returned function is
// called, which says by how much it grew at most.
func swelling(ctx context.Context, pid int) (end func() int64) {
	before := rig.RSS(pid)
	peak := before
	stop := beside(ctx, func(ctx context.Context) {
		every(ctx, 50*time.Millisecond, func(int) { peak = max(peak, rig.RSS(pid)) })
	})
	return func() int64 {
		stop()
		return peak - before
	}
}

// spewed checks that so many bodies that are far too long were all refused and
// cost little memory.
func (s *stage) spewed(sent, refused int, swallowed, swollen int64) {
	s.check(refused == sent, "%d 个 64 MiB 的请求都被拒绝：%d 个，最多收下 %d KiB", sent, refused, swallowed>>10)
	s.check(swollen < swollenMost, "内存最多涨了 %d MiB（应在 %d MiB 内）", swollen>>20, swollenMost>>20)
}

// dribble opens connections within a second that begin a request and then say a
// byte a second, and counts those that the server still holds after a while. At
// one instant they would be a surge, which R1 measures by a bound of its own.
func (s *stage) dribble(ctx context.Context, address string, connections int, hold time.Duration, opening string) (held int) {
	var stillOpen atomic.Int64
	var all sync.WaitGroup
	for i := range connections {
		all.Go(func() {
			if sleep(ctx, time.Duration(i)*time.Second/time.Duration(connections)) != nil {
				return
			}
			conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				_, _ = io.Copy(io.Discard, conn) // until the server hangs up
			}()
			_, _ = conn.Write([]byte(opening)) // the server may hang up at any time
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			end := time.After(hold)
			for {
				select {
				case <-gone:
					return
				case <-tick.C:
					_, _ = conn.Write([]byte("a"))
				case <-end:
					stillOpen.Add(1)
					return
				case <-ctx.Done():
					return
				}
			}
		})
	}
	all.Wait()
	return int(stillOpen.Load())
}

// floods sends so many bodies that are far too long, some at a time, and says
// how many were refused and how much of one was taken at most.
func floods(ctx context.Context, address, head string, n int) (refused int, swallowed int64) {
	var mu sync.Mutex
	rig.Crowd(8, n, func(_, i int) {
		taken, status := flood(ctx, address, head, i%2 == 0)
		mu.Lock()
		defer mu.Unlock()
		if status == http.StatusRequestEntityTooLarge || status == 0 {
			refused++
		}
		swallowed = max(swallowed, taken)
	})
	return refused, swallowed
}

// flood sends a body that is far too long, with its length told or not, and
// says how much of it was taken before the answer; status 0 is a connection
// that was cut.
func flood(ctx context.Context, address, head string, told bool) (taken int64, status int) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return 0, -1
	}
	defer func() { _ = conn.Close() }()
	answer := make(chan int, 1)
	go func() {
		line := make([]byte, 12)
		status := 0
		if _, err := io.ReadFull(conn, line); err == nil {
			_, _ = fmt.Sscanf(string(line[9:]), "%d", &status) // what is no number is no answer
		}
		answer <- status
	}()
	if told {
		head += fmt.Sprintf("Content-Length: %d\r\n\r\n", bigBody)
	} else {
		head += "Transfer-Encoding: chunked\r\n\r\n"
	}
	if _, err := io.WriteString(conn, head); err != nil {
		return 0, 0
	}
	chunk := make([]byte, 64<<10)
	for i := range chunk {
		chunk[i] = ' '
	}
	for taken < bigBody {
		if !told {
			_, err = fmt.Fprintf(conn, "%x\r\n%s\r\n", len(chunk), chunk)
		} else {
			_, err = conn.Write(chunk)
		}
		if err != nil {
			break
		}
		taken += int64(len(chunk))
	}
	select {
	case status := <-answer:
		return taken, status
	case <-ctx.Done():
		return taken, -1
	}
}
