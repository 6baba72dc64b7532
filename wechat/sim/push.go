package sim

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// PushMode is how events are protected.
type PushMode string

// The modes. The platform's third one, 兼容, is not simulated.
const (
	ModePlain PushMode = "plain"
	ModeSafe  PushMode = "safe"
)

// PushFormat is how events are written.
type PushFormat string

// The formats.
const (
	FormatJSON PushFormat = "json"
	FormatXML  PushFormat = "xml"
)

const (
	pushTries  = 3
	pushLanes  = 16
	maxAnswer  = 64 << 10
	heldGlance = 100 * time.Millisecond // how often a clock that was handed in is looked at for late events
)

// pushes brings events to the account's server. Events of one person keep
// their order, unless a fault says otherwise; beyond that there is none.
type pushes struct {
	sim    *Sim
	client *http.Client
	seed   maphash.Seed
	group  sync.WaitGroup
	alarm  chan struct{} // rings for the keeper of late events

	mu       sync.Mutex
	url      string
	verified string // the URL that answered the echo
	closed   bool
	lanes    []*lane
	late     []lateEvent
	swapped  []event
	pending  int
	quiet    chan struct{} // closed while nothing is pending
}

// lane is a queue that one goroutine works off.
type lane struct {
	queue []event
	bell  chan struct{}
}

type lateEvent struct {
	event event
	due   time.Time
}

func newPushes(s *Sim) *pushes {
	quiet := make(chan struct{})
	close(quiet)
	return &pushes{
		sim: s,
		client: &http.Client{
			Timeout:       s.cfg.PushWait,
			Transport:     &http.Transport{MaxIdleConnsPerHost: pushLanes, IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		seed:  maphash.MakeSeed(),
		alarm: make(chan struct{}, 1),
		url:   s.cfg.PushURL,
		quiet: quiet,
	}
}

// PushTo changes where events are pushed; "" ends it. The new place must pass
// the echo test before it gets its first event.
func (s *Sim) PushTo(address string) {
	s.pushes.mu.Lock()
	defer s.pushes.mu.Unlock()
	s.pushes.url = address
}

// Drain returns when every event has been pushed or given up, save those that
// a fault made late.
func (s *Sim) Drain(ctx context.Context) error {
	p := s.pushes
	p.mu.Lock()
	p.unswap(0)
	quiet := p.quiet
	p.mu.Unlock()
	select {
	case <-quiet:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing.Done():
		return errors.New("simulator closed")
	}
}

// Release pushes the events that a fault made late.
func (s *Sim) Release() {
	p := s.pushes
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release(func(lateEvent) bool { return true })
}

// enqueue takes an event; the caller holds the simulator's lock.
func (p *pushes) enqueue(e event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.url == "" || p.closed {
		return
	}
	fault := p.sim.strike(Push+" "+e.name, func(f *Fault) bool {
		return f.Endpoint == Push && (f.Event == "" || f.Event == e.name)
	})
	p.start()
	switch {
	case fault == nil:
		p.put(e, p.laneOf(e))
	case fault.Kind == Lost:
		return
	case fault.Kind == Late:
		p.late = append(p.late, lateEvent{e, p.sim.Now().Add(fault.Delay)})
		p.ring(p.alarm)
		return
	case fault.Kind == Reordered:
		p.swapped = append(p.swapped, e)
		return
	default:
		p.put(e, p.laneOf(e))
		p.put(e, p.laneOf(e))
	}
	p.unswap(p.laneOf(e))
}

func (p *pushes) laneOf(e event) int {
	return int(maphash.String(p.seed, e.user) % pushLanes)
}

// put queues an event; the caller holds the lock, as for all below up to start.
func (p *pushes) put(e event, lane int) {
	if p.pending == 0 {
		p.quiet = make(chan struct{})
	}
	p.pending++
	p.lanes[lane].queue = append(p.lanes[lane].queue, e)
	p.ring(p.lanes[lane].bell)
}

// unswap queues what was held back for the sake of order, behind the event
// that just went into lane.
func (p *pushes) unswap(lane int) {
	for _, e := range p.swapped {
		p.put(e, lane)
	}
	p.swapped = nil
}

// release queues the late events that are ready.
func (p *pushes) release(ready func(lateEvent) bool) {
	kept := p.late[:0]
	for _, l := range p.late {
		if ready(l) {
			p.put(l.event, p.laneOf(l.event))
		} else {
			kept = append(kept, l)
		}
	}
	p.late = kept
}

func (p *pushes) ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// start begins the work with the first event, so that a simulator that pushes
// nothing has no goroutines.
func (p *pushes) start() {
	if p.lanes != nil {
		return
	}
	for range pushLanes {
		l := &lane{bell: make(chan struct{}, 1)}
		p.lanes = append(p.lanes, l)
		p.group.Go(func() { p.work(l) })
	}
	p.group.Go(p.keep)
}

// wake looks at the late events after the clock was moved.
func (p *pushes) wake() { p.ring(p.alarm) }

// wait returns when the goroutines have ended; the simulator was closed before.
func (p *pushes) wait() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.group.Wait()
	p.client.CloseIdleConnections()
}

// keep releases late events when their time has come.
func (p *pushes) keep() {
	for {
		p.mu.Lock()
		now := p.sim.Now()
		p.release(func(l lateEvent) bool { return !now.Before(l.due) })
		waiting := len(p.late) > 0
		p.mu.Unlock()
		var glance <-chan time.Time
		if waiting {
			glance = time.After(heldGlance)
		}
		select {
		case <-glance:
		case <-p.alarm:
		case <-p.sim.closing.Done():
			return
		}
	}
}

// work pushes the events of one lane, one after the other.
func (p *pushes) work(l *lane) {
	for {
		select {
		case <-p.sim.closing.Done():
			return
		default:
		}
		next, some := p.pop(l)
		if !some {
			select {
			case <-l.bell:
			case <-p.sim.closing.Done():
			}
			continue
		}
		p.deliver(next)
		p.mu.Lock()
		if p.pending--; p.pending == 0 {
			close(p.quiet)
		}
		p.mu.Unlock()
	}
}

func (p *pushes) pop(l *lane) (e event, some bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(l.queue) == 0 {
		return event{}, false
	}
	e, l.queue[0] = l.queue[0], event{}
	l.queue = l.queue[1:]
	return e, true
}

// deliver tries three times to have the event taken.
func (p *pushes) deliver(e event) {
	s := p.sim
	for try := 1; ; try++ {
		s.count(Push + " " + e.name + " tries")
		err := p.try(e)
		if err == nil {
			s.count(Push + " " + e.name)
			return
		}
		s.log.Warn("event not taken", "event", e.name, "try", try, "why", err)
		if try == pushTries {
			s.count(Push + " " + e.name + " failed")
			return
		}
		if !s.pass(s.closing, s.cfg.PushPause) {
			return
		}
	}
}

// try pushes the event once. Every try has its own nonce; the event stays as it was.
func (p *pushes) try(e event) error {
	p.mu.Lock()
	address, verified := p.url, p.verified
	p.mu.Unlock()
	if address == "" {
		return errors.New("no push address")
	}
	if verified != address {
		if err := p.verify(address); err != nil {
			return err
		}
	}
	status, answer, err := p.send(p.sim.closing, address, p.sim.seal(e, sealing{}))
	if err != nil {
		return err
	}
	if text := strings.TrimSpace(answer); status != http.StatusOK || text != "success" && text != "" {
		return fmt.Errorf("answer %d, neither success nor empty", status)
	}
	return nil
}

// verify is the echo test that the console makes before it saves an address.
func (p *pushes) verify(address string) error {
	s := p.sim
	timestamp, nonce := strconv.FormatInt(s.Now().Unix(), 10), randomString(digits, 10)
	echo := randomString("123456789", 19)
	q := url.Values{
		"signature": {signature(s.cfg.PushToken, timestamp, nonce)},
		"timestamp": {timestamp}, "nonce": {nonce}, "echostr": {echo},
	}
	r, err := http.NewRequestWithContext(s.closing, http.MethodGet, withQuery(address, q), nil)
	if err != nil {
		return err
	}
	status, answer, err := p.roundTrip(r)
	if err != nil {
		return err
	}
	if status != http.StatusOK || answer != echo {
		return fmt.Errorf("echo test failed with %d", status)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.verified = address
	return nil
}

// sealed is an event as it goes over the wire.
type sealed struct {
	query       url.Values
	contentType string
	body        []byte
}

// sealing says what of a push is to be wrong; the zero value is honest.
type sealing struct {
	appID string        // another account's, inside the cipher
	age   time.Duration // of the timestamp
	plain bool          // no encryption although the mode is safe
	spoil func(*sealed)
}

// seal signs the event and, in safe mode, encrypts it.
func (s *Sim) seal(e event, how sealing) sealed {
	timestamp := strconv.FormatInt(s.Now().Add(-how.age).Unix(), 10)
	nonce := randomString(digits, 10)
	out := sealed{body: e.body, contentType: "application/json", query: url.Values{
		"signature": {signature(s.cfg.PushToken, timestamp, nonce)},
		"timestamp": {timestamp}, "nonce": {nonce}, "openid": {e.user},
	}}
	if s.cfg.PushFormat == FormatXML {
		out.contentType = "text/xml"
	}
	if s.cfg.PushMode == ModeSafe && !how.plain {
		key, err := aesKey(s.cfg.EncodingAESKey)
		if err != nil {
			panic(err) // New's caller gave the key
		}
		cipher, err := encrypt(key, randomString(alphanumeric, 16), e.body, cmp.Or(how.appID, s.cfg.AppID))
		if err != nil {
			panic(err) // the key has the right length
		}
		out.query.Set("encrypt_type", "aes")
		out.query.Set("msg_signature", signature(s.cfg.PushToken, timestamp, nonce, cipher))
		out.body = envelope(s.cfg, cipher)
	}
	if how.spoil != nil {
		how.spoil(&out)
	}
	return out
}

func (p *pushes) send(ctx context.Context, address string, m sealed) (status int, answer string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, withQuery(address, m.query), bytes.NewReader(m.body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", m.contentType)
	return p.roundTrip(r)
}

func (p *pushes) roundTrip(r *http.Request) (status int, answer string, err error) {
	resp, err := p.client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, string(body), err
}

func withQuery(address string, q url.Values) string {
	if strings.Contains(address, "?") {
		return address + "&" + q.Encode()
	}
	return address + "?" + q.Encode()
}
