package api_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

// Table H: stores that fail.

func TestH2_RedisWipedAllTheTimeFailsNothingAndLogsNobodyOut(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(40)
		other := m.on(s.replica())
		code := m.code().Code
		for _, p := range m.members {
			m.phone(p)
		}
		over, wiped := make(chan struct{}), make(chan int)
		go func() {
			times := 0
			for {
				select {
				case <-over:
					wiped <- times
					return
				default:
					s.Redis.Wipe()
					times++
				}
			}
		}()
		trial.Race(len(m.members), func(i int) {
			at := []*meeting{m, other}[i%2]
			want(t, at.scan(m.members[i], code, nonce()), 200, "ok")
			for _, path := range []string{"/v1/home", "/v1/activities", m.path(m.id, "")} {
				if r := at.phone(m.members[i]).get(path); r.Status != 200 {
					t.Errorf("%s got %d %s", path, r.Status, r.Body)
				}
			}
		})
		close(over)
		if n := <-wiped; n < 3 {
			t.Errorf("Redis was wiped %d times only", n)
		}
		m.showsTheRows(other)
	})
}

func TestH3_WithRedisAwayEverythingWorks(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(6)
		other := m.on(s.replica())
		for _, p := range append(m.members, m.secretary) { // copies of all sessions and of the board are in Redis
			want(t, m.phone(p).get("/v1/home"), 200, "ok")
		}
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 200, "ok")
		m.board()
		left := m.phone(m.members[5])

		s.Redis.Cut()
		code := m.code()
		want(t, m.scan(m.members[1], code.Code, nonce()), 200, "ok")
		want(t, other.scan(m.members[2], code.Code, nonce()), 200, "ok")
		want(t, m.phone(m.members[3]).post("/v1/check-ins", body{"digits": code.Digits, "activity_id": m.id, "nonce": nonce()}), 200, "ok")
		want(t, other.tick(m.members[4], model.Present), 200, "ok")
		want(t, m.scan(m.members[1], code.Code, nonce()), 409, "already_checked_in")
		m.showsTheRows(other)
		newcomer := s.Member(m.branch, "新来的")
		fresh := s.signIn(newcomer.User)
		want(t, fresh.post("/v1/me/binding", body{"phone_code": newcomer.User.PhoneCode()}), 200, "ok")
		want(t, fresh.get("/v1/home"), 200, "ok")
		old := m.code().Code
		want(t, m.phone(m.secretary).post(m.path(m.id, "/check-in-code"), nil), 200, m.code().Code)
		want(t, other.scan(m.members[5], old, nonce()), 409, "code_expired")
		want(t, left.delete("/v1/sessions/current"), 200, "ok")
		want(t, left.get("/v1/home"), 401, "sign_in_again")
		want(t, left.at(other.stage).get("/v1/home"), 401, "sign_in_again")
		second := m.publish(m.branch, "title", "第二场")
		want(t, m.phone(m.members[0]).get(m.path(second, "")), 200, "ok")

		s.Redis.Revive()
		// Redis comes back with copies of before: of a session that has ended since, and of the board.
		want(t, left.get("/v1/home"), 401, "sign_in_again")
		trial.Eventually(t, "the other replica has heard of the sign-out", func() bool {
			return left.at(other.stage).get("/v1/home").Status == 401
		})
		want(t, left.get("/v1/home"), 401, "sign_in_again")
		s.Clock.Advance(5 * time.Second)
		m.showsTheRows(other)
	})
}

func TestH5_AnOldRedisDumpRevivesNoSessionAndNoCount(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(8)
		other := m.on(s.replica())
		code := m.code().Code
		thief := m.phone(m.members[0])
		for _, at := range []*stage{s, other.stage} {
			want(t, thief.at(at).get("/v1/home"), 200, "ok")
		}
		want(t, m.scan(m.members[1], code, nonce()), 200, "ok")
		m.board()
		restore := s.Redis.Dump()

		want(t, thief.delete("/v1/sessions"), 200, "ok")
		for _, p := range m.members[2:6] {
			want(t, m.scan(p, code, nonce()), 200, "ok")
		}
		restore()
		want(t, thief.get("/v1/home"), 401, "sign_in_again")
		trial.Eventually(t, "the other replica has heard of it, the dump notwithstanding", func() bool {
			restore()
			return thief.at(other.stage).get("/v1/home").Status == 401
		})
		late := s.replica() // one that starts with nothing but the old dump
		for _, later := range []time.Duration{0, 5 * time.Second, 54 * time.Second, time.Second, 10 * time.Second, 11 * time.Second, time.Hour} {
			s.Clock.Advance(later)
			restore()
			for _, at := range []*stage{s, other.stage, late} {
				want(t, thief.at(at).get("/v1/home"), 401, "sign_in_again")
			}
			if later > 0 { // five seconds on the clock are what a board may be old
				m.showsTheRows(other, m.on(late))
			}
		}
		// Control: a session that nobody revoked goes on.
		want(t, m.phone(m.members[1]).get("/v1/home"), 200, "ok")
	})
}

func TestABoardThatRedisWasNotToldOfIsRightWithinFiveSeconds(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(6)
		other := m.on(s.replica())
		code := m.code().Code
		want(t, m.scan(m.members[0], code, nonce()), 200, "ok")
		m.showsTheRows(other)
		// A replica that dies between its commit and its announcement leaves a
		// copy in Redis that nothing says is old.
		s.Redis.Cut()
		want(t, m.scan(m.members[1], code, nonce()), 200, "ok")
		s.Redis.Revive()
		s.Clock.Advance(5 * time.Second)
		other.showsTheRows()
		want(t, m.scan(m.members[2], m.code().Code, nonce()), 200, "ok")
		s.Redis.Wipe()
		m.showsTheRows(other)
	})
}

func TestH6_WithTheDatabaseAwayEverybodyIsAskedToComeAgainAndNobodyToSignIn(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(4)
		code, secretary, member := m.code().Code, m.phone(m.secretary), m.phone(m.members[0])
		unbound := s.signIn(s.Stranger())
		invited := m.members[1]
		requests := func(when string) {
			t.Helper()
			for name, r := range map[string]*reply{
				"home": member.get("/v1/home"), "list": member.get("/v1/activities"), "activity": member.get(m.path(m.id, "")),
				"no activity": member.get(m.path(999999, "")), "roster": secretary.get(m.path(m.id, "/roster")),
				"sheet": secretary.get(m.path(m.id, "/sheet")), "workbook": secretary.get(m.path(m.id, "/sheet.xlsx")),
				"screen":  secretary.get(m.path(m.id, "/check-in-code")),
				"members": secretary.get("/v1/organisations/" + jsonText(m.branch.ID) + "/members"),
				"scan":    member.post("/v1/check-ins", body{"code": code, "nonce": nonce()}),
				"tick":    m.tick(m.members[2], model.Present), "closing": secretary.post(m.path(m.id, "/closing"), nil),
				"draft":      secretary.post("/v1/activities", m.draft(m.branch)),
				"invitation": secretary.post("/v1/members/"+jsonText(invited.ID)+"/invitation", nil),
				"binding":    unbound.post("/v1/me/binding", body{"phone_code": invited.User.PhoneCode()}),
				"sign in":    s.nobody().post("/v1/sessions", body{"code": invited.User.LoginCode()}),
				"sign out":   member.delete("/v1/sessions/current"),
				// Whether this token is known is not known now.
				"a token never seen": (&phone{s, "dGhpcyBpcyBubyB0b2tlbiBvZiBvdXJz"}).get("/v1/home"),
			} {
				if r.Status != 503 || r.Header.Get("Retry-After") == "" {
					t.Errorf("%s, %s: %d %s, Retry-After %q", when, name, r.Status, r.Body, r.Header.Get("Retry-After"))
				}
			}
			if r := secretary.get(m.path(m.id, "/board")); r.Status != 200 && r.Status != 503 {
				t.Errorf("%s, board: %d %s", when, r.Status, r.Body)
			}
		}
		for _, p := range []*phone{secretary, member} {
			want(t, p.get("/v1/home"), 200, "ok")
		}
		s.CutDatabase()
		requests("with warm sessions")
		s.Redis.Wipe()
		requests("with cold sessions")
		s.ReviveDatabase()
		for _, p := range []*phone{secretary, member} {
			want(t, p.get("/v1/home"), 200, "ok")
		}
		want(t, unbound.get("/v1/home"), 200, "ok")
		s.CutDatabase()
		s.Clock.Advance(6 * time.Second) // after a while without news no copy of a session is trusted
		requests("after six seconds")
		s.ReviveDatabase()
		want(t, m.scan(m.members[0], m.code().Code, nonce()), 200, "ok")
		if m.rows(m.members[0]) != 1 || m.rows(m.members[2]) != 0 {
			t.Error("what was refused is on record")
		}
	})
}

func TestH6_EveryAcknowledgedCheckInIsARowWhenTheDatabaseGoesInTheMiddle(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(30)
		other := m.on(s.replica())
		for round := range 8 {
			m.id = m.publish(m.branch)
			other.id = m.id
			code := m.code().Code
			nonces, first := make([]string, len(m.members)), make([]*reply, len(m.members))
			for i, p := range m.members {
				nonces[i] = nonce()
				m.phone(p)
			}
			early := len(m.members) - 5
			var answered atomic.Int32
			trial.Race(early+1, func(i int) {
				if i == early {
					for int(answered.Load()) < 3*round {
						runtime.Gosched()
					}
					s.CutDatabase()
					return
				}
				first[i] = []*meeting{m, other}[i%2].scan(m.members[i], code, nonces[i])
				answered.Add(1)
			})
			for i := early; i < len(m.members); i++ { // who comes while it is away
				first[i] = other.scan(m.members[i], code, nonces[i])
				want(t, first[i], 503, "unavailable")
			}
			s.ReviveDatabase()
			for i, p := range m.members {
				switch first[i].Status {
				case 200:
					if m.rows(p) != 1 {
						t.Errorf("member %d was told so and has %d rows", i, m.rows(p))
					}
				case 503:
				default:
					t.Errorf("member %d got %d %s", i, first[i].Status, first[i].Body)
				}
				again := m.scan(p, code, nonces[i]) // whoever heard nothing, or 503, sends the same once more
				want(t, again, 200, "ok")
				if first[i].Status == 200 {
					sameBytes(t, first[i], again)
				}
				if m.rows(p) != 1 {
					t.Errorf("member %d has %d rows", i, m.rows(p))
				}
			}
			m.showsTheRows(other)
		}
	})
}

func TestH11_ABoardThatIsMadeAnewWhilePeopleArriveNeverMiscounts(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(60)
		other := m.on(s.replica())
		code := m.code().Code
		for _, p := range m.members {
			m.phone(p)
		}
		watchers := make([]*phone, 4)
		for i := range watchers {
			p := s.Member(m.branch, "委员")
			s.Post(p, m.branch, model.CommitteeMember)
			watchers[i] = s.phone(p)
		}
		var begun, left atomic.Int32
		var told [2]atomic.Int32 // by each replica, that they are checked in
		look := func(i int) {
			least := told[i%2].Load()
			b := as[service.Board](t, watchers[i%4].at([]*stage{s, other.stage}[i%2]).get(m.path(m.id, "/board")))
			most := begun.Load()
			if n := int32(b.Tally.Present); n < least || n > most || b.Tally.Present+b.Tally.Awaited != b.Tally.Expected {
				t.Errorf("the board of replica %d says %+v when %d had been told so there and %d were on their way", i%2, b.Tally, least, most)
			}
		}
		over := make(chan struct{})
		left.Store(int32(len(m.members)))
		trial.Race(len(m.members)+len(watchers), func(i int) {
			if i < len(m.members) {
				begun.Add(1)
				want(t, []*meeting{m, other}[i%2].scan(m.members[i], code, nonce()), 200, "ok")
				told[i%2].Add(1)
				look(i)
				if left.Add(-1) == 0 {
					close(over)
				}
				return
			}
			for range 100 {
				select {
				case <-over:
					return
				default:
					look(i)
				}
				if i == len(m.members) {
					s.Redis.Wipe() // so that counting never rests
				}
			}
		})
		trial.Eventually(t, "the announcements are out", func() bool {
			return m.board().Tally.Present == 60 && other.board().Tally.Present == 60
		})
		m.showsTheRows(other)
	})
}

func TestReadyNamesWhatIsMissing(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		ready := func() (int, service.Readiness) {
			t.Helper()
			r := s.nobody().get("/readyz")
			status := r.Status
			r.Status = 200
			want(t, s.nobody().get("/healthz"), 200, "ok") // the process lives all the while
			return status, as[service.Readiness](t, r)
		}
		says := func(status int, missing, degraded []string) {
			t.Helper()
			if got, r := ready(); got != status || !slices.Equal(r.Missing, missing) || !slices.Equal(r.Degraded, degraded) || r.Ready != (status == 200) {
				t.Errorf("got %d %+v, want %d, missing %v, degraded %v", got, r, status, missing, degraded)
			}
		}
		says(200, nil, nil)
		s.Redis.Cut()
		says(200, nil, []string{"redis"})
		if err := s.DB.Exec("DELETE FROM goose_db_version WHERE version_id > 0").Error; err != nil {
			t.Fatal(err)
		}
		says(503, []string{"schema"}, []string{"redis"})
		s.Redis.Revive()
		says(503, []string{"schema"}, nil)
	})
}

func TestWhoIsAboutToLeaveSaysSoServesOnAndKeepsNoConnection(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		stopping := make(chan struct{})
		server := httptest.NewServer(handler(t, s.World, s.Services, stopping))
		s.Cleanup(server.Close)
		m.stage = &stage{World: s.World, t: t, url: server.URL}
		answers := func(path string, status int, last bool) {
			t.Helper()
			r, err := http.Get(server.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			if r.StatusCode != status || r.Close != last {
				t.Errorf("%s: status %d, the connection's last: %v", path, r.StatusCode, r.Close)
			}
		}
		for _, path := range []string{"/healthz", "/readyz", "/openapi.json"} {
			answers(path, 200, false)
		}
		close(stopping)
		answers("/healthz", 503, true)
		answers("/readyz", 503, true)
		answers("/openapi.json", 200, true)
		want(t, m.scan(m.members[1], m.code().Code, nonce()), 200, "ok")
	})
}

func TestReadyNamesADatabaseThatIsAway(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) { // a file is always there
		s.CutDatabase()
		r := s.nobody().get("/readyz")
		if r.Status != 503 || string(r.Body) != `{"ready":false,"missing":["database"],"degraded":[]}` {
			t.Errorf("got %d %s", r.Status, r.Body)
		}
		s.ReviveDatabase()
		if r := s.nobody().get("/readyz"); r.Status != 200 {
			t.Errorf("the database is back and yet: %d %s", r.Status, r.Body)
		}
	})
}

// on is the same meeting at another replica.
func (m *meeting) on(s *stage) *meeting {
	c := *m
	c.stage = s
	return &c
}

// at is the same phone talking to another replica.
func (p *phone) at(s *stage) *phone { return &phone{s, p.token} }

// showsTheRows fails unless the boards of these replicas say what is in the rows.
func (m *meeting) showsTheRows(others ...*meeting) {
	m.t.Helper()
	var present int64
	err := m.DB.Model(&model.Attendance{}).Where("activity_id = ? AND status = ? AND guest = ?", m.id, model.Present, false).Count(&present).Error
	if err != nil {
		m.t.Fatal(err)
	}
	for i, at := range append([]*meeting{m}, others...) {
		b := at.board()
		if int64(b.Tally.Present) != present || len(b.Arrivals) != int(min(10, present)) {
			m.t.Errorf("replica %d shows %+v and %d arrivals, %d rows say present", i, b.Tally, len(b.Arrivals), present)
		}
	}
}
