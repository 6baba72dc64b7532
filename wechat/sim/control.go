package sim

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// drainWait bounds how long a caller of the control interface waits for events.
const drainWait = 60 * time.Second

// controls are the routes of the fake phone and of the knobs, for processes
// other than the one that holds the Sim. Bodies and answers are JSON; an
// unknown person is a 404, a body that cannot be read a 400.
func (s *Sim) controls() *http.ServeMux {
	m := http.NewServeMux()
	m.HandleFunc("GET /{$}", s.showPage)
	m.HandleFunc("GET /_sim/templates", show(func() any { return s.Templates() }))
	m.HandleFunc("GET /_sim/counters", show(func() any { return s.Counters() }))
	m.HandleFunc("GET /_sim/assumptions", show(func() any { return Assumptions() }))
	m.HandleFunc("GET /_sim/clock", show(func() any { return clockAnswer{s.Now()} }))
	m.HandleFunc("POST /_sim/advance", s.controlAdvance)

	m.HandleFunc("GET /_sim/users", show(func() any { return s.userAnswers() }))
	m.HandleFunc("POST /_sim/users", s.controlNewUser)
	m.HandleFunc("GET /_sim/users/{openid}", s.person(func(u *User, _ *http.Request) (any, error) { return u.answer(), nil }))
	m.HandleFunc("POST /_sim/users/{openid}/login-code", s.person(func(u *User, _ *http.Request) (any, error) {
		return codeAnswer{u.LoginCode()}, nil
	}))
	m.HandleFunc("POST /_sim/users/{openid}/phone-code", s.person(func(u *User, _ *http.Request) (any, error) {
		return codeAnswer{u.PhoneCode()}, nil
	}))
	m.HandleFunc("POST /_sim/users/{openid}/ask", s.person(func(u *User, r *http.Request) (any, error) {
		in, err := read[Request](r)
		if err != nil {
			return nil, err
		}
		return u.Ask(in), nil
	}))
	m.HandleFunc("POST /_sim/users/{openid}/accept", s.withTemplates(func(u *User, ids []string) any { return u.Accept(ids...) }))
	m.HandleFunc("POST /_sim/users/{openid}/reject", s.withTemplates(func(u *User, ids []string) any { return u.Reject(ids...) }))
	m.HandleFunc("POST /_sim/users/{openid}/always-keep", s.withTemplates(func(u *User, ids []string) any { return u.AlwaysKeep(ids...) }))
	m.HandleFunc("POST /_sim/users/{openid}/cancel", s.withTemplates(func(u *User, ids []string) any {
		u.CancelInSettings(ids...)
		return ok
	}))
	m.HandleFunc("POST /_sim/users/{openid}/ban", s.withTemplates(func(u *User, ids []string) any {
		u.Ban(ids...)
		return ok
	}))
	m.HandleFunc("POST /_sim/users/{openid}/main-switch", s.withSwitch((*User).MainSwitch))
	m.HandleFunc("POST /_sim/users/{openid}/block", s.withSwitch((*User).Block))
	m.HandleFunc("POST /_sim/users/{openid}/touch", s.person(func(u *User, _ *http.Request) (any, error) {
		u.Touch()
		return ok, nil
	}))
	m.HandleFunc("POST /_sim/users/{openid}/scan", s.controlScan)
	m.HandleFunc("GET /_sim/users/{openid}/messages", s.person(func(u *User, _ *http.Request) (any, error) { return u.Messages(), nil }))
	m.HandleFunc("GET /_sim/users/{openid}/balance", s.person(func(u *User, _ *http.Request) (any, error) { return u.Balances(), nil }))

	m.HandleFunc("GET /_sim/faults", show(func() any { return s.faultAnswers() }))
	m.HandleFunc("POST /_sim/faults", s.controlArm)
	m.HandleFunc("DELETE /_sim/faults", show(func() any { s.Disarm(); return ok }))
	m.HandleFunc("POST /_sim/refresh-token", show(func() any { s.RefreshToken(); return ok }))
	m.HandleFunc("POST /_sim/push", s.controlPush)
	m.HandleFunc("POST /_sim/drain", s.controlDrain)
	m.HandleFunc("POST /_sim/release", show(func() any { s.Release(); return ok }))
	m.HandleFunc("POST /_sim/forge", s.controlForge)
	m.HandleFunc("/", s.unknown)
	return m
}

// unknown is loud: a client that calls what is not simulated has to be seen.
func (s *Sim) unknown(w http.ResponseWriter, r *http.Request) {
	s.count("unknown " + r.URL.Path)
	s.log.Error("no such endpoint", "method", r.Method, "path", r.URL.Path)
	http.Error(w, "no such endpoint", http.StatusNotFound)
}

type clockAnswer struct {
	Now time.Time `json:"now"`
}

type codeAnswer struct {
	Code string `json:"code"`
}

// userAnswer is a person as the control interface shows them.
type userAnswer struct {
	OpenID  string         `json:"openid"`
	Phone   string         `json:"phone"`
	Balance map[string]int `json:"balance"`
}

func (u *User) answer() userAnswer { return userAnswer{u.OpenID, u.Phone, u.Balances()} }

func (s *Sim) userAnswers() []userAnswer {
	out := []userAnswer{}
	for _, u := range s.Users() {
		out = append(out, u.answer())
	}
	return out
}

func (s *Sim) controlNewUser(w http.ResponseWriter, r *http.Request) {
	in, err := read[struct {
		Phone string `json:"phone"`
	}](r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	write(w, s.NewUser(in.Phone).answer())
}

func (s *Sim) controlAdvance(w http.ResponseWriter, r *http.Request) {
	in, err := read[struct {
		By string `json:"by"` // a Go duration: 2h, 30s, -5m
	}](r)
	var by time.Duration
	if err == nil {
		by, err = time.ParseDuration(in.By)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.Advance(by)
	write(w, clockAnswer{s.Now()})
}

// faultAnswer is a Fault in JSON.
type faultAnswer struct {
	Endpoint string    `json:"endpoint"`
	Kind     FaultKind `json:"kind"`
	Event    string    `json:"event,omitempty"`
	Count    int       `json:"count,omitzero"`
	Rate     float64   `json:"rate,omitzero"`
	Done     bool      `json:"done,omitzero"`
	Code     int       `json:"code,omitzero"`
	Message  string    `json:"message,omitempty"`
	Delay    string    `json:"delay,omitempty"` // a Go duration
}

func (s *Sim) faultAnswers() []faultAnswer {
	out := []faultAnswer{}
	for _, f := range s.Faults() {
		out = append(out, faultAnswer{f.Endpoint, f.Kind, f.Event, f.Count, f.Rate, f.Done, f.Code, f.Message, f.Delay.String()})
	}
	return out
}

func (s *Sim) controlArm(w http.ResponseWriter, r *http.Request) {
	in, err := read[faultAnswer](r)
	f := Fault{Endpoint: in.Endpoint, Kind: in.Kind, Event: in.Event, Count: in.Count, Rate: in.Rate,
		Done: in.Done, Code: in.Code, Message: in.Message}
	if f.ofEvents() && f.Endpoint == "" {
		f.Endpoint = Push
	}
	f.Endpoint = strings.TrimPrefix(f.Endpoint, "/")
	if err == nil && in.Delay != "" {
		f.Delay, err = time.ParseDuration(in.Delay)
	}
	if err == nil {
		err = s.checkFault(f)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.Arm(f)
	write(w, ok)
}

func (s *Sim) controlPush(w http.ResponseWriter, r *http.Request) {
	in, err := read[struct {
		URL string `json:"url"`
	}](r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.PushTo(in.URL)
	write(w, ok)
}

func (s *Sim) controlDrain(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), drainWait)
	defer cancel()
	if err := s.Drain(ctx); err != nil {
		http.Error(w, err.Error(), http.StatusGatewayTimeout)
		return
	}
	write(w, ok)
}

func (s *Sim) controlForge(w http.ResponseWriter, r *http.Request) {
	in, err := read[struct {
		Kind     Forgery `json:"kind"`
		OpenID   string  `json:"openid"`
		Template string  `json:"template"`
	}](r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	status, err := s.Forge(r.Context(), in.Kind, in.OpenID, in.Template)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	write(w, struct {
		Status int `json:"status"`
	}{status})
}

// controlScan takes the image itself as its body.
func (s *Sim) controlScan(w http.ResponseWriter, r *http.Request) {
	u := s.User(r.PathValue("openid"))
	image, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8<<20))
	if u == nil || err != nil {
		http.NotFound(w, r)
		return
	}
	scanned, known := u.Scan(image)
	if !known {
		http.Error(w, "not a code of this mini-program", http.StatusUnprocessableEntity)
		return
	}
	write(w, scanned)
}

// person is a route below one user.
func (s *Sim) person(serve func(*User, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		u := s.User(r.PathValue("openid"))
		if u == nil {
			http.Error(w, "no such user", http.StatusNotFound)
			return
		}
		out, err := serve(u, r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		write(w, out)
	}
}

func (s *Sim) withTemplates(serve func(*User, []string) any) http.HandlerFunc {
	return s.person(func(u *User, r *http.Request) (any, error) {
		in, err := read[struct {
			Templates []string `json:"templates"`
		}](r)
		if err != nil {
			return nil, err
		}
		return serve(u, in.Templates), nil
	})
}

func (s *Sim) withSwitch(set func(*User, bool)) http.HandlerFunc {
	return s.person(func(u *User, r *http.Request) (any, error) {
		in, err := read[struct {
			On bool `json:"on"`
		}](r)
		if err != nil {
			return nil, err
		}
		set(u, in.On)
		return ok, nil
	})
}

func show(what func() any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { write(w, what()) }
}

// read decodes a body; an empty one is the zero value.
func read[T any](r *http.Request) (in T, err error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil || len(body) == 0 {
		return in, err
	}
	err = json.Unmarshal(body, &in, json.RejectUnknownMembers(true))
	return in, err
}

func write(w http.ResponseWriter, value any) {
	body, err := json.Marshal(value, json.Deterministic(true))
	if err != nil {
		panic(err) // an answer of this package's own making
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(body) // the caller has gone: nobody to tell
}
