package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"dangri/api"
	"dangri/model"
	"dangri/service"
)

// event is a server-sent event.
type event struct{ name, data string }

func readEvent(r *bufio.Reader) (e event, err error) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return e, err
		}
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "event:"):
			e.name = line[len("event:"):]
		case strings.HasPrefix(line, "data:"):
			e.data += line[len("data:"):]
		case line == "" && e.name != "":
			return e, nil
		}
	}
}

// viewer reads a stream.
type viewer struct {
	t      *testing.T
	Status int
	Header http.Header
	events chan event // closed at its end
	leave  context.CancelFunc
}

// watch opens the stream of an activity; headers are pairs.
func (p *phone) watch(path string, headers ...string) *viewer {
	p.s.t.Helper()
	ctx, cancel := context.WithTimeout(p.s.t.Context(), 60*time.Second)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.s.url+path, nil)
	if err != nil {
		p.s.t.Fatal(err)
	}
	if p.token != "" {
		request.Header.Set("Authorization", "Bearer "+p.token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.s.t.Fatal(err)
	}
	v := &viewer{p.s.t, response.StatusCode, response.Header, make(chan event, 100), cancel}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(v.events)
		defer response.Body.Close()
		for r := bufio.NewReader(response.Body); ; {
			e, err := readEvent(r)
			if err != nil {
				return
			}
			v.events <- e
		}
	}()
	p.s.t.Cleanup(func() {
		cancel()
		<-done
	})
	return v
}

// until waits for an event of which happened says yes, and returns it.
func (v *viewer) until(what string, happened func(event) bool) event {
	v.t.Helper()
	timeout := time.NewTimer(20 * time.Second)
	defer timeout.Stop()
	for {
		select {
		case e, ok := <-v.events:
			if !ok {
				v.t.Fatalf("the stream ended before %s", what)
			}
			if happened(e) {
				return e
			}
		case <-timeout.C:
			v.t.Fatalf("it did not come: %s", what)
		}
	}
}

// board waits for a board of which seen says yes.
func (v *viewer) board(what string, seen func(service.ScreenBoard) bool) (b service.ScreenBoard) {
	v.t.Helper()
	v.until(what, func(e event) bool {
		b = service.ScreenBoard{}
		return e.name == "board" && json.Unmarshal([]byte(e.data), &b) == nil && seen(b)
	})
	return b
}

// ended waits for the end of the stream, with its code.
func (v *viewer) ended(code string) {
	v.t.Helper()
	v.until("end "+code, func(e event) bool {
		return e.name == "end" && strings.Contains(e.data, `"code":"`+code+`"`)
	})
	if _, ok := <-v.events; ok {
		v.t.Error("the stream goes on after its end")
	}
}

func whatever(service.ScreenBoard) bool { return true }

// screen opens the big screen and returns its pass.
func (m *meeting) screen() string {
	m.t.Helper()
	out := as[service.ScreenPass](m.t, m.phone(m.secretary).post(m.path(m.id, "/screens"), nil))
	address, pass, ok := strings.Cut(out.URL, "#")
	if !ok || !strings.HasSuffix(address, "/screen") || !out.EndsAt.Equal(m.show().EndsAt.Add(time.Hour)) {
		m.t.Fatalf("the screen is at %+v", out)
	}
	return pass
}

// hall is the big screen of the activity.
func (m *meeting) hall(pass string) *viewer {
	m.t.Helper()
	return m.nobody().watch(m.path(m.id, "/board/stream"), "Screen-Pass", pass)
}

func TestTheBigScreenShowsTheCodeAndArrivalsAsTheyCome(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		other := &meeting{stage: s.replica(), branch: m.branch, secretary: m.secretary, members: m.members, id: m.id}
		pass := m.screen()
		hall, far := m.hall(pass), other.hall(pass)
		if hall.Status != 200 || !strings.HasPrefix(hall.Header.Get("Content-Type"), "text/event-stream") || hall.Header.Get("Content-Encoding") != "" {
			t.Fatalf("the stream is %d %v", hall.Status, hall.Header)
		}
		for _, v := range []*viewer{hall, far} {
			if b := v.board("the first board", whatever); b.Tally.Expected != 4 || b.Title != "七月主题党日" || b.Place != "三楼会议室" {
				t.Errorf("the first board: %+v", b)
			}
			var drawn service.ScreenQR
			v.until("the code", func(e event) bool { return e.name == "code" && json.Unmarshal([]byte(e.data), &drawn) == nil })
			if drawn.Digits != m.code().Digits || !strings.HasPrefix(drawn.QR, "M4 4h7v1H4z") || drawn.Size < 29 || drawn.ChangesInMS <= 0 {
				t.Errorf("the code is drawn as %.80v", drawn)
			}
		}
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 200, "ok")
		for _, v := range []*viewer{hall, far} {
			b := v.board("an arrival", func(b service.ScreenBoard) bool { return b.Tally.Present == 1 })
			if len(b.Arrivals) != 1 || b.Arrivals[0].Name != model.SurnameOnly(m.members[0].Name) {
				t.Errorf("came: %+v", b.Arrivals)
			}
		}
		// The code turns with the clock, of which the screen needs none.
		s.Clock.Advance(s.Parts.Settings.TypedStep)
		next := m.code().Digits
		hall.until("the next digits", func(e event) bool { return e.name == "code" && strings.Contains(e.data, `"digits":"`+next+`"`) })
		for _, v := range []*viewer{hall, far} {
			v.leave()
		}
		if strings.Contains(s.Log.String(), pass) || strings.Contains(s.Log.String(), strings.Split(pass, ".")[3]) {
			t.Error("the pass is in the log")
		}
	})
}

func TestNamesAreShownInTheHallOnlyWhereTheActivitySaysSo(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1, "show_names", true)
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 200, "ok")
		for _, v := range []*viewer{m.hall(m.screen()), m.phone(m.secretary).watch(m.path(m.id, "/board/stream"))} {
			if b := v.board("the first board", whatever); len(b.Arrivals) != 1 || b.Arrivals[0].Name != m.members[0].Name {
				t.Errorf("came: %+v", b.Arrivals)
			}
		}
		s.touch(m.secretary)
		want(t, m.phone(m.secretary).put(m.path(m.id, ""), m.revision(2)), 200, "ok") // without show_names
		v := m.phone(m.secretary).watch(m.path(m.id, "/board/stream"))
		if b := v.board("the first board", whatever); b.Arrivals[0].Name != model.SurnameOnly(m.members[0].Name) {
			t.Errorf("came: %+v", b.Arrivals)
		}
		for {
			select {
			case e := <-v.events:
				if e.name == "code" {
					t.Error("a session is told the code by the stream")
				}
				continue
			default:
			}
			break
		}
	})
}

func TestAPassOpensOneScreenAndNothingElseAndDiesWithTheNextOne(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		other := m.publish(m.branch)
		pass := m.screen()
		refused := func(why string, v *viewer) {
			t.Helper()
			if v.Status != 401 {
				t.Errorf("%s: %d", why, v.Status)
			}
		}
		hall := m.hall(pass)
		hall.board("the first board", whatever)
		refused("another activity", m.nobody().watch(m.path(other, "/board/stream"), "Screen-Pass", pass))
		refused("no activity", m.nobody().watch(m.path(999999, "/board/stream"), "Screen-Pass", pass))
		refused("no pass", m.nobody().watch(m.path(m.id, "/board/stream")))
		for i := range pass { // each character counts
			flipped := pass[:i] + map[bool]string{true: "b", false: "a"}[pass[i] == 'a'] + pass[i+1:]
			if flipped != pass && m.nobody().do("GET", m.path(m.id, "/board/stream"), nil, "Screen-Pass", flipped).Status != 401 {
				t.Errorf("with character %d changed it still opens", i)
			}
		}
		for _, path := range []string{"", "/board", "/roster", "/sheet", "/check-in-code"} {
			for _, headers := range [][]string{{"Screen-Pass", pass}, {"Authorization", "Bearer " + pass}} {
				if r := m.nobody().do("GET", m.path(m.id, path), nil, headers...); r.Status != 401 {
					t.Errorf("%s with a pass: %d", path, r.Status)
				}
			}
		}
		want(t, m.nobody().do("POST", "/v1/check-ins", body{"code": pass, "nonce": nonce()}), 401, "sign_in_again")
		want(t, m.phone(m.members[0]).post("/v1/check-ins", body{"code": pass, "nonce": nonce()}), 409, "code_invalid")
		// Another screen, and then a new code, end what is open.
		second := m.screen()
		hall.ended("screen_pass")
		refused("the first pass", m.hall(pass))
		hall = m.hall(second)
		hall.board("the board of the second", whatever)
		as[service.ScreenCode](t, m.phone(m.secretary).post(m.path(m.id, "/check-in-code"), nil))
		hall.ended("screen_pass")
		third := m.screen()
		hall = m.hall(third)
		hall.board("the board of the third", whatever)
		s.Clock.Set(m.show().EndsAt.Add(time.Hour - time.Millisecond))
		again := m.hall(third)
		again.board("the board up to an hour after the end", whatever)
		s.Clock.Advance(time.Millisecond)
		hall.ended("screen_pass")
		again.ended("screen_pass")
		refused("an hour after the end", m.hall(third))
	})
}

func TestStreamsEndWithTheMeetingTheSessionAndTheServer(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		hall, desk := m.hall(m.screen()), m.phone(m.secretary).watch(m.path(m.id, "/board/stream"))
		want(t, m.cancel("停电"), 200, "ok")
		hall.ended("cancelled")
		desk.ended("cancelled")
		m.id = m.publish(m.branch)
		hall, desk = m.hall(m.screen()), m.phone(m.secretary).watch(m.path(m.id, "/board/stream"))
		committee := s.Member(m.branch, "委员")
		s.Post(committee, m.branch, model.CommitteeMember)
		others := m.phone(committee).watch(m.path(m.id, "/board/stream"))
		for _, v := range []*viewer{hall, desk, others} {
			v.board("the first board", whatever)
		}
		want(t, m.phone(committee).delete("/v1/sessions/current"), 200, "ok")
		others.ended("sign_in_again")
		s.Clock.Advance(31 * time.Minute)
		want(t, m.phone(m.secretary).post(m.path(m.id, "/closing"), nil), 200, "ok")
		hall.ended("closed")
		desk.ended("closed")
		if n := s.audited("show_screen", "activity", m.id); n != 1 {
			t.Errorf("%d audit rows", n)
		}
	})
}

// serve serves on a port of its own and returns its address.
func serve(t *testing.T, server *http.Server) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return "http://" + listener.Addr().String()
}

func TestAServerThatStopsEndsStreamsAtOnce(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		stopping := make(chan struct{})
		server := api.NewServer(handler(t, s.World, s.Services, stopping), s.Parts.Log)
		server.RegisterOnShutdown(func() { close(stopping) })
		m.stage = &stage{World: s.World, t: t, url: serve(t, server)}
		hall := m.hall(m.screen())
		hall.board("the first board", whatever)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("the server waits for a stream: %v", err)
		}
		for range hall.events { // up to its end
		}
	})
}

func TestAStreamOutlivesThePatienceForAnAnswerAndAsksTheDatabaseOnlyAfterAChange(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		pass := m.screen()
		server := api.NewServer(handler(t, s.World, s.Services, nil), s.Parts.Log)
		server.ReadTimeout, server.WriteTimeout = 500*time.Millisecond, time.Second
		m.stage = &stage{World: s.World, t: t, url: serve(t, server)}
		hall := m.hall(pass)
		hall.board("the first board", whatever)
		beats := 0
		trips := s.Trips(func() {
			hall.until("a sign of life", func(e event) bool {
				if e.name == "board" {
					t.Error("nothing changed, and a board was sent")
				}
				if e.name == "beat" {
					beats++
				}
				return beats == 1
			})
		})
		for _, q := range trips.SQL {
			if strings.Contains(q, "roster_entries") || strings.Contains(q, "attendances") {
				t.Errorf("nothing changed, and it was counted: %s", q)
			}
		}
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 200, "ok")
		hall.board("an arrival", func(b service.ScreenBoard) bool { return b.Tally.Present == 1 })
	})
}

func TestAProcessHasRoomForSoManyStreams(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		var pass string
		var open []*service.BoardStream
		for hall := range 5 {
			m.id = m.publish(m.branch)
			pass = m.screen()
			for {
				w, err := s.Screens.Watch(t.Context(), "", pass, m.id)
				if err != nil {
					if !errors.Is(err, model.ErrTooMany) || len(open) != min(hall+1, 4)*64 { // no hall takes all the places
						t.Errorf("hall %d after %d: %v", hall, len(open), err)
					}
					break
				}
				open = append(open, w)
			}
		}
		if r := m.nobody().do("GET", m.path(m.id, "/board/stream"), nil, "Screen-Pass", pass); r.Status != 429 || r.Header.Get("Retry-After") == "" {
			t.Errorf("with every place taken: %d %s", r.Status, r.Body)
		}
		open[0].Close()
		w, err := s.Screens.Watch(t.Context(), "", pass, m.id)
		if err != nil {
			t.Errorf("after one left: %v", err)
		}
		for _, w := range append(open[1:], w) {
			if w != nil {
				w.Close()
			}
		}
	})
}

func TestTheScreensPageLoadsNothingFromElsewhere(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		r := s.nobody().get("/screen")
		if r.Status != 200 || !strings.Contains(r.Header.Get("Content-Security-Policy"), "default-src 'self'") || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%d %v", r.Status, r.Header)
		}
		for _, from := range []string{"https://", "src=", "@import", "innerHTML", "localStorage"} {
			if strings.Contains(string(r.Body), from) {
				t.Errorf("the page has %s", from)
			}
		}
	})
}
