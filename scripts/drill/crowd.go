package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// crowd is people arriving at an even rate, whatever becomes of those before.
// Each phone sends its check-in until it has a final answer, first to one
// replica, then to the next, as behind a balancer.
type crowd struct {
	people  []int
	rate    int           // a second
	patient time.Duration // how long a phone tries
	taps    int           // one in so many taps twice at once; 0: nobody
	echoes  int           // one in so many sends again what was answered already; 0: nobody
}

// patience is how long anybody is to wait for a final answer.
const patience = 30 * time.Second

// outcome is what became of a crowd.
type outcome struct {
	start      time.Time
	tries      []attempt
	waits      []time.Duration // from the first try to the final answer
	unfinished []int           // who never had one
}

// and is both outcomes as one.
func (o *outcome) and(more *outcome) *outcome {
	return &outcome{start: o.start, tries: slices.Concat(o.tries, more.tries), waits: slices.Concat(o.waits, more.waits),
		unfinished: slices.Concat(o.unfinished, more.unfinished)}
}

var client = &http.Client{
	Transport: &http.Transport{MaxIdleConnsPerHost: 512, IdleConnTimeout: 20 * time.Second},
	Timeout:   patience,
}

// arrive sends the crowd and returns when everybody has an answer or has
// given up.
func (s *stage) arrive(ctx context.Context, c crowd) *outcome {
	_, mark := s.history.attempts(0)
	start := time.Now()
	out := &outcome{start: start}
	var mu sync.Mutex
	var all sync.WaitGroup
	for n, person := range c.people {
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(start.Add(time.Duration(n) * time.Second / time.Duration(c.rate)))):
		}
		if ctx.Err() != nil {
			break
		}
		phone := func(nonce string) {
			wait, ok := s.insist(ctx, c, n, person, nonce)
			mu.Lock()
			defer mu.Unlock()
			if ok {
				out.waits = append(out.waits, wait)
			} else {
				out.unfinished = append(out.unfinished, person)
			}
		}
		nonce := fmt.Sprintf("%s-%06d-%06d", s.id, mark, person)
		all.Go(func() { phone(nonce) })
		if c.taps > 0 && n%c.taps == 0 {
			all.Go(func() { phone(nonce + "-again") })
		}
	}
	all.Wait()
	out.tries, _ = s.history.attempts(mark)
	return out
}

// insist is one scan on its way: until there is a final answer, or patience ends.
func (s *stage) insist(ctx context.Context, c crowd, n, person int, nonce string) (wait time.Duration, ok bool) {
	start := time.Now()
	pause := 50 * time.Millisecond
	scan := s.codes.scan(person, nonce)
	for try := 0; ctx.Err() == nil; try++ {
		a := s.try(ctx, scan, n+try)
		if a.final() {
			if c.echoes > 0 && n%c.echoes == 0 {
				s.try(ctx, scan, n+try+1)
			}
			return time.Since(start), true
		}
		if time.Since(start) > c.patient {
			return 0, false
		}
		if a.Code == "code_expired" {
			nonce += "-rescan"
			scan = s.codes.scan(person, nonce)
		}
		if a.Status != 0 {
			pause = min(2*pause, time.Second)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return 0, false
}

// final says whether the person need not try again.
func (a *attempt) final() bool {
	return a.Status == http.StatusOK || a.Code == "already_checked_in"
}

// expected says whether the answer is one that a drill may bring about.
func (a *attempt) expected() bool {
	return a.final() || a.Status == 0 || a.Status == http.StatusServiceUnavailable || a.Code == "code_expired"
}

// try sends a scan to the n-th replica or, where that takes no connection, to
// the one after it.
func (s *stage) try(ctx context.Context, scan scan, n int) attempt {
	a := attempt{Person: scan.person, Nonce: scan.nonce, Replica: -1}
	start := time.Now()
	a.AtMS = start.Sub(s.history.start).Milliseconds()
	for i := range s.replicas {
		r := s.replicas[(n+i)%len(s.replicas)]
		if address := r.address(); address != "" {
			a.Replica = r.id
			if s.post(ctx, address, "/v1/check-ins", scan.body, &a) {
				break
			}
		}
	}
	a.TookMS = time.Since(start).Milliseconds()
	s.history.attempt(a)
	return a
}

// post sends a request to a path at an address; false where nobody took the connection.
func (s *stage) post(ctx context.Context, address, path string, body []byte, a *attempt) (sent bool) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+path, bytes.NewReader(body))
	if err != nil {
		a.Error = err.Error()
		return true
	}
	request.Header.Set("Authorization", "Bearer "+s.town.Token(a.Person))
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	var network *net.OpError
	if err != nil {
		a.Error = err.Error()
		return !errors.As(err, &network) || network.Op != "dial"
	}
	a.Error = ""
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		a.Error = err.Error()
		return true
	}
	a.Status = response.StatusCode
	var said struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(answer, &said) // what says nothing has no code
	a.Code = said.Code
	if a.Status == http.StatusOK {
		a.Body = string(answer)
	}
	return true
}

// people are n of the town after the first so many, in an order that brings
// the branches in turn.
func (s *stage) people(n int, after ...int) []int {
	const perBranch = 50
	var all []int
	for first := range perBranch {
		for i := first; i < s.town.Size(); i += perBranch {
			all = append(all, i)
		}
	}
	for _, skip := range after {
		all = all[min(skip, len(all)):]
	}
	return slices.Clip(all[:min(n, len(all))])
}
