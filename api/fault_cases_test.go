package api_test

import (
	"database/sql"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-sql-driver/mysql"
	"github.com/rs/zerolog"
	"gorm.io/gorm"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

// The store says no, the network is slow, one session asks for everything.

// obstacle makes the server refuse inserts into a table with an error of its
// own, as a deadlock or a full disk does.
type obstacle struct {
	s     *stage
	tries atomic.Int32 // inserts that came
}

// obstruct lets the server answer inserts into the table with the error number.
func (s *stage) obstruct(table string, number int) *obstacle {
	s.t.Helper()
	for _, statement := range []string{
		"DROP TRIGGER IF EXISTS obstacle", "DROP TABLE IF EXISTS obstacles",
		"CREATE TABLE obstacles (n INT NOT NULL)", "INSERT INTO obstacles VALUES (0)",
		fmt.Sprintf(`CREATE TRIGGER obstacle BEFORE INSERT ON %s FOR EACH ROW
			IF (SELECT n FROM obstacles) > 0 THEN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = %d, MESSAGE_TEXT = 'obstacle'; END IF`, table, number),
	} {
		if err := s.DB.Exec(statement).Error; err != nil {
			s.t.Fatal(err)
		}
	}
	o := &obstacle{s: s}
	s.Sabotage(func(statement string) string {
		if strings.HasPrefix(statement, "INSERT INTO `"+table+"`") {
			if o.tries.Add(1) > 1 {
				o.set("n - 1")
			}
		}
		return statement
	})
	return o
}

func (o *obstacle) set(n string) {
	o.s.t.Helper()
	if err := o.s.DB.Exec("UPDATE obstacles SET n = " + n).Error; err != nil {
		o.s.t.Error(err)
	}
}

// stands makes the next n inserts fail.
func (o *obstacle) stands(n int) {
	o.s.t.Helper()
	o.tries.Store(0)
	o.set(fmt.Sprint(n))
}

func TestH8_WhoStandsInAnothersWayTriesThreeTimesMoreAndIsThenAskedToComeAgain(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(2, 5)
		for _, number := range []int{1213, 1205} { // a deadlock, and a lock that took too long
			o := s.obstruct("slot_sign_ups", number)
			p, once := n.members[0], nonce()
			send := func() *reply { return n.phone(p).post(slotPath(n.slot, "/sign-ups"), body{"nonce": once}) }
			o.stands(100)
			r := send()
			want(t, r, 503, "unavailable")
			if tries := o.tries.Load(); tries != 4 || r.Header.Get("Retry-After") == "" {
				t.Errorf("%d: %d tries, Retry-After %q", number, tries, r.Header.Get("Retry-After"))
			}
			n.wantCounts(0, 0)
			o.stands(3)
			want(t, send(), 200, "ok")
			if tries := o.tries.Load(); tries != 4 {
				t.Errorf("%d: it went through at try %d", number, tries)
			}
			n.wantCounts(1, 0)
			n.emptySlot()
		}
		m := &meeting{stage: s, branch: n.branch, secretary: n.secretary, members: n.members}
		m.id = m.publish(m.branch)
		for _, number := range []int{1213, 1205} {
			o := s.obstruct("attendances", number)
			once, code := nonce(), m.code().Code
			o.stands(100)
			want(t, m.scan(m.members[0], code, once), 503, "unavailable")
			if tries := o.tries.Load(); tries != 4 || m.rows(m.members[0]) != 0 {
				t.Errorf("%d: %d tries, %d rows", number, tries, m.rows(m.members[0]))
			}
			o.stands(3)
			want(t, m.scan(m.members[0], code, once), 200, "ok")
			if err := s.DB.Exec("DELETE FROM attendances").Error; err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestH15_WithTheDiskOfTheServerFullReadingGoesOnAndWritingComesBackByItself(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		code, secretary := m.code().Code, m.phone(m.secretary)
		for i, number := range []int{1021, 1114} { // no space for a temporary file, and none for the table
			o := s.obstruct("attendances", number)
			o.stands(100)
			once := nonce()
			r := m.scan(m.members[i], code, once)
			want(t, r, 503, "unavailable")
			if r.Header.Get("Retry-After") == "" || m.rows(m.members[i]) != 0 {
				t.Errorf("%d: Retry-After %q, %d rows", number, r.Header.Get("Retry-After"), m.rows(m.members[i]))
			}
			want(t, m.tick(m.members[i], model.Present), 503, "unavailable")
			for _, path := range []string{"/v1/home", m.path(m.id, "/roster"), m.path(m.id, "/board")} {
				want(t, secretary.get(path), 200, "ok")
			}
			o.stands(0)
			want(t, m.scan(m.members[i], code, once), 200, "ok")
		}
	})
}

func TestH15_WithTheDiskUnderTheFileFullReadingGoesOnAndWritingComesBackByItself(t *testing.T) {
	t.Parallel()
	w := trial.New(t, trial.SQLite)
	s := &stage{World: w, t: t, url: listen(t, w, w.Services)}
	m := s.aMeeting(1)
	secretary := m.phone(m.secretary)
	s.pages("(SELECT page_count FROM pragma_page_count)") // not one more than there are
	content := strings.Repeat("学习文件，", 300)
	var refused *reply
	for range 100 { // until what is left in the pages is used up
		if r := secretary.post("/v1/activities", m.draft(m.branch).with("content", content)); r.Status != 200 {
			refused = r
			break
		}
	}
	if refused == nil {
		t.Fatal("a hundred drafts, and the file is not full")
	}
	want(t, refused, 503, "unavailable")
	if refused.Header.Get("Retry-After") == "" {
		t.Error("503 and not when to come again")
	}
	for _, path := range []string{"/v1/home", m.path(m.id, "/roster"), "/v1/activities?scope=work"} {
		want(t, secretary.get(path), 200, "ok")
	}
	s.pages("1000000")
	want(t, secretary.post("/v1/activities", m.draft(m.branch).with("content", content)), 200, "ok")
}

// pages sets on every connection how many pages the file may have.
func (s *stage) pages(most string) {
	s.t.Helper()
	conns, err := s.DB.DB()
	if err != nil {
		s.t.Fatal(err)
	}
	var held []*sql.Conn
	for range conns.Stats().MaxOpenConnections {
		c, err := conns.Conn(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		held = append(held, c)
		n := 0
		err = c.QueryRowContext(s.t.Context(), "SELECT "+most).Scan(&n)
		if err == nil {
			_, err = c.ExecContext(s.t.Context(), fmt.Sprint("PRAGMA max_page_count = ", n))
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	for _, c := range held {
		_ = c.Close()
	}
}

func TestH9_WithEveryPacketOfTheDatabaseLateAllIsSlowerAndNothingFails(t *testing.T) {
	const late = 100 * time.Millisecond
	var conns *sql.DB
	var proxy *toxiproxy.Proxy
	onServer(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(80)
		for _, p := range m.members {
			m.phone(p)
		}
		code := m.code().Code
		slowest := func(n int, do func(i int) *reply) {
			t.Helper()
			trial.Race(n, func(i int) {
				start := time.Now()
				want(t, do(i), 200, "ok")
				if took := time.Since(start); took < late || took > 50*late {
					t.Errorf("it took %v", took)
				}
			})
		}
		toxic := fmt.Sprintf(`{"name":"late","type":"latency","attributes":{"latency":%d}}`, late.Milliseconds())
		if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			t.Fatal(err)
		}
		s.Redis.Wipe() // nobody's session is known: they ask the database too
		slowest(40, func(i int) *reply { return m.scan(m.members[i], code, nonce()) })
		slowest(len(m.members), func(i int) *reply { return m.phone(m.members[i]).get("/v1/home") })
		before := conns.Stats().WaitCount
		slowest(40, func(i int) *reply { return m.scan(m.members[40+i], code, nonce()) })
		after := conns.Stats()
		if waited := after.WaitCount - before; waited > 0 {
			t.Errorf("of forty whose sessions are known, connections were waited for %d times", waited)
		}
		slowest(1, func(int) *reply { return m.phone(m.secretary).get(m.path(m.id, "/roster")) })
		slowest(1, func(int) *reply { return m.tick(m.secretary, model.Present) })
		m.showsTheRows()
		trial.Eventually(t, "every connection is given back", func() bool { return conns.Stats().InUse == 0 })
	}, func(p *service.Parts) { p.DB, conns, proxy = behindProxy(t, p.DB) })
}

// behindProxy is the same database through a proxy.
func behindProxy(t *testing.T, db *gorm.DB) (*gorm.DB, *sql.DB, *toxiproxy.Proxy) {
	t.Helper()
	var name string
	if err := db.Raw("SELECT DATABASE()").Scan(&name).Error; err != nil {
		t.Fatal(err)
	}
	dsn, given := os.LookupEnv("DANGRI_TEST_MYSQL_DSN")
	if !given {
		dsn = "root@tcp(127.0.0.1:3306)/"
	}
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	proxy := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "mysql", "127.0.0.1:0", cfg.Addr)
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	cfg.Addr, cfg.DBName = proxy.Listen, name
	behind, err := service.OpenDatabase(cfg.FormatDSN())
	if err != nil {
		t.Fatal(err)
	}
	conns, err := behind.DB()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conns.Close() })
	return behind, conns, proxy
}

func TestL16_WhoWantsTwentyFilesAtOnceGetsOneAfterAnotherAndHoldsUpNobody(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		second := s.Member(m.branch, "徐委员")
		s.Post(second, m.branch, model.CommitteeMember)
		secretary, deputy := m.phone(m.secretary), m.phone(second)
		passes := map[string]string{}
		for _, paper := range []string{"/sheet.xlsx", "/sheet.html", "/calls.html"} {
			passes[paper] = m.link(m.secretary, m.path(m.id, paper))
		}
		var held atomic.Bool
		refusals := make(chan struct{}, 20)
		s.Sabotage(func(statement string) string { // the first file takes until all others have been answered
			if strings.Contains(statement, "FROM `activities`") && held.CompareAndSwap(false, true) {
				for range 19 {
					<-refusals
				}
			}
			return statement
		})
		var made atomic.Int32
		trial.Race(21, func(i int) {
			paper := []string{"/sheet.xlsx", "/sheet.html", "/calls.html"}[i%3]
			path := m.path(m.id, paper)
			if i == 20 {
				want(t, deputy.get(path), 200, "ok")
				return
			}
			r := secretary.get
			if i%2 == 0 { // a computer is the same person again, whoever else it says it is
				r = func(path string) *reply {
					return s.nobody().do("GET", path, nil, "Paper-Pass", passes[paper], "Authorization", fmt.Sprint("Bearer invented", i))
				}
			}
			switch r := r(path); r.Status {
			case 200:
				made.Add(1)
			default:
				want(t, r, 429, "file_under_way")
				if r.Header.Get("Retry-After") == "" {
					t.Error("429 and not when to come again")
				}
				refusals <- struct{}{}
			}
		})
		if made.Load() != 1 {
			t.Errorf("%d files at once", made.Load())
		}
		want(t, secretary.get(m.path(m.id, "/sheet.xlsx")), 200, "ok")
	})
}

// addresses are names under which other APIs take an address to call.
var addresses = regexp.MustCompile(`(?i)(^|_)(ur[li]|link|href|src|host|domain|endpoint|webhook|callback|redirect|proxy|image|avatar)s?($|_)`)

func TestL18_NoFieldOfAnyRequestTakesAnAddressToCall(t *testing.T) {
	t.Parallel()
	d := readDocument(t)
	fields := 0
	var look func(where, name string, schema *openapi3.SchemaRef, above []*openapi3.Schema)
	look = func(where, name string, schema *openapi3.SchemaRef, above []*openapi3.Schema) {
		if schema == nil || schema.Value == nil || slices.Contains(above, schema.Value) {
			return
		}
		fields++
		v := schema.Value
		text := v.Type == nil || v.Type.Is("string")
		if text && addresses.MatchString(name) || slices.Contains([]string{"uri", "url", "uri-reference", "iri", "hostname", "ipv4", "ipv6"}, v.Format) {
			t.Errorf("%s: %s (%s) may be an address", where, name, v.Format)
		}
		above = append(above, v)
		for n, p := range v.Properties {
			look(where, n, p, above)
		}
		for _, inner := range slices.Concat(v.AllOf, v.AnyOf, v.OneOf, openapi3.SchemaRefs{v.Items, v.AdditionalProperties.Schema}) {
			look(where, name, inner, above)
		}
	}
	for _, op := range d.operations {
		for _, p := range op.Parameters {
			look(op.OperationID, p.Value.Name, p.Value.Schema, nil)
		}
		if op.RequestBody != nil {
			for _, media := range op.RequestBody.Value.Content {
				look(op.OperationID, "", media.Schema, nil)
			}
		}
	}
	if fields < 100 {
		t.Errorf("%d fields only: this test does not see the requests", fields)
	}
	for name, is := range map[string]bool{"url": true, "avatar_url": true, "callback": true, "hosted_by": false, "curl": false, "place": false} {
		if addresses.MatchString(name) != is {
			t.Errorf("%s: %t", name, !is)
		}
	}
}
