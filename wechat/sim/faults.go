package sim

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// FaultKind says how a call goes wrong.
type FaultKind string

// The kinds of fault. The first group befalls calls, the second the pushing of events.
const (
	Code      FaultKind = "code"      // the errcode given in Fault.Code, without effect
	Slow      FaultKind = "slow"      // Done: the true answer after Delay. Else: after Delay a 504, without effect
	Reset     FaultKind = "reset"     // the connection is reset
	HTML      FaultKind = "html"      // HTTP 502 with a page of HTML
	Empty     FaultKind = "empty"     // HTTP 200 without a body
	Truncated FaultKind = "truncated" // the true answer, cut in half

	Lost      FaultKind = "lost"      // the event is never pushed
	Late      FaultKind = "late"      // the event is pushed when Delay has passed on the platform's clock, or on Release
	Doubled   FaultKind = "doubled"   // the event is pushed twice
	Reordered FaultKind = "reordered" // the event is pushed after the one that follows it, or on Drain
)

// Push is the Endpoint of faults that befall events.
const Push = "push"

// Fault is something that will go wrong. The first armed fault that fits a
// call befalls it.
type Fault struct {
	Endpoint string // path of an endpoint, Push for events, "" for every endpoint
	Kind     FaultKind
	Event    string  // with Push: only this event; "": every event
	Count    int     // times it strikes; 0: for ever
	Rate     float64 // share of the calls it strikes, by dice; 0: all
	Done     bool    // the call has its effect, only the answer suffers: Slow, Reset, HTML, Empty
	Code     int     // with Code
	Message  string  // with Code; "": the usual one
	Delay    time.Duration
}

// usualMessages are the platform's words for the codes that faults are armed with.
var usualMessages = map[int]string{
	-1:    "system error",
	40001: "invalid credential, access_token is invalid or not latest",
	40014: "invalid access_token",
	42001: "access_token expired",
	43101: "user refuse to accept the msg",
	43107: "subscribe capability banned",
	43108: "concurrent send to the same user",
	45009: "reach max api daily quota limit",
	45011: "api minute-quota reach limit mustslower retry next minute",
	45168: "hit sensitive word",
}

func (f *Fault) refusal() *refusal {
	if f.Message != "" {
		return refuse(f.Code, "%s", f.Message)
	}
	if m := usualMessages[f.Code]; m != "" {
		return refuse(f.Code, "%s", m)
	}
	return refuse(f.Code, "fault")
}

func (f *Fault) ofEvents() bool {
	return f.Kind == Lost || f.Kind == Late || f.Kind == Doubled || f.Kind == Reordered
}

// Arm sets a fault after those already armed. It panics on one that could
// never strike: a drill must not pass because of a slip of the pen.
func (s *Sim) Arm(f Fault) {
	if f.ofEvents() && f.Endpoint == "" {
		f.Endpoint = Push
	}
	f.Endpoint = strings.TrimPrefix(f.Endpoint, "/")
	if err := s.checkFault(f); err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

func (s *Sim) checkFault(f Fault) error {
	calls := []FaultKind{Code, Slow, Reset, HTML, Empty, Truncated}
	switch {
	case !f.ofEvents() && !slices.Contains(calls, f.Kind):
		return fmt.Errorf("no fault of kind %q", f.Kind)
	case f.ofEvents() != (f.Endpoint == Push):
		return fmt.Errorf("fault %q does not befall %q", f.Kind, f.Endpoint)
	case f.Endpoint != "" && f.Endpoint != Push && s.endpoints[f.Endpoint] == nil:
		return fmt.Errorf("no endpoint %q", f.Endpoint)
	case f.Kind == Code && f.Code == 0, f.Rate < 0 || f.Rate > 1, f.Count < 0:
		return errors.New("fault with a code, rate or count that makes no sense")
	case (f.Kind == Slow || f.Kind == Late) && f.Delay <= 0:
		return errors.New("fault without the delay it needs")
	}
	return nil
}

// Disarm takes all faults away.
func (s *Sim) Disarm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Faults are those still armed, with what is left of their Count.
func (s *Sim) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Fault, 0, len(s.faults))
	for _, f := range s.faults {
		out = append(out, *f)
	}
	return out
}

// meet counts a call that arrived and returns the fault that befalls it, or nil.
func (s *Sim) meet(path string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counters[path]++
	return s.strike(path, func(f *Fault) bool {
		return !f.ofEvents() && (f.Endpoint == "" || f.Endpoint == path)
	})
}

// strike throws the dice for each armed fault that fits; the caller holds the lock.
func (s *Sim) strike(what string, fits func(*Fault) bool) *Fault {
	for i, f := range s.faults {
		if !fits(f) || f.Rate > 0 && s.dice.Float64() >= f.Rate {
			continue
		}
		struck := *f
		if f.Count > 0 {
			if f.Count--; f.Count == 0 {
				s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
			}
		}
		s.counters[what+" fault "+string(f.Kind)]++
		return &struck
	}
	return nil
}

// spoil answers a call as the fault has it.
func (s *Sim) spoil(w http.ResponseWriter, r *http.Request, f *Fault, out reply) {
	switch f.Kind {
	case Slow:
		if !s.pass(r.Context(), f.Delay) {
			panic(http.ErrAbortHandler)
		}
		if !f.Done {
			out = gatewayPage(http.StatusGatewayTimeout)
		}
	case Reset:
		reset(w)
		return
	case HTML:
		out = gatewayPage(http.StatusBadGateway)
	case Empty:
		out.status, out.contentType, out.body = http.StatusOK, "application/json; encoding=utf-8", nil
	case Truncated:
		out.body = out.body[:len(out.body)/2]
	}
	out.write(w)
}

// gatewayPage is what a gateway in front of the platform says.
func gatewayPage(status int) reply {
	var b bytes.Buffer
	b.WriteString("<html>\r\n<head><title>" + http.StatusText(status) + "</title></head>\r\n")
	b.WriteString("<body><center><h1>" + http.StatusText(status) + "</h1></center></body>\r\n</html>\r\n")
	return reply{status, "text/html", b.Bytes()}
}

// reset ends the connection with a TCP RST, or at least without an answer.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, isTCP := conn.(*net.TCPConn); isTCP {
		_ = tcp.SetLinger(0) // the close below is what matters
	}
	_ = conn.Close()
}
