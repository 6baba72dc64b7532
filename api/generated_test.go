package api_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

// document is the API as it describes itself.
type document struct {
	*openapi3.T
	operations []*described
	parameters map[string]bool // of paths
	answers    *jsonschema.Compiler
}

// described is one endpoint as the document has it.
type described struct {
	*openapi3.Operation
	method, path string
	answers      map[string]*jsonschema.Schema // by status and media type
}

func readDocument(t *testing.T) *document {
	t.Helper()
	raw, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	d := &document{answers: jsonschema.NewCompiler(), parameters: map[string]bool{}}
	if d.T, err = openapi3.NewLoader().LoadFromData(raw); err != nil {
		t.Fatal(err)
	}
	if err := d.Validate(t.Context()); err != nil {
		t.Fatalf("the document is not one of OpenAPI: %v", err)
	}
	plain, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	d.answers.AssertFormat()
	if err := d.answers.AddResource("openapi.json", plain); err != nil {
		t.Fatal(err)
	}
	for _, path := range slices.Sorted(maps.Keys(d.Paths.Map())) {
		all := d.Paths.Value(path).Operations()
		for _, method := range slices.Sorted(maps.Keys(all)) {
			o := &described{Operation: all[method], method: method, path: path, answers: map[string]*jsonschema.Schema{}}
			for status, answer := range o.Responses.Map() {
				for media, content := range answer.Value.Content {
					if media != "application/json" && media != "application/problem+json" {
						o.answers[status+" "+media] = nil // a file
						continue
					}
					if content.Schema == nil {
						t.Fatalf("%s answers %s without a schema", o.OperationID, status)
					}
					at := strings.NewReplacer("~", "~0", "/", "~1")
					o.answers[status+" "+media] = d.compile(t, "openapi.json#/paths/"+at.Replace(path)+"/"+strings.ToLower(method)+
						"/responses/"+status+"/content/"+at.Replace(media)+"/schema")
				}
			}
			for _, p := range o.Parameters {
				if p.Value.In == "path" {
					d.parameters[p.Value.Name] = true
				}
			}
			d.operations = append(d.operations, o)
		}
	}
	return d
}

func (d *document) compile(t *testing.T, at string) *jsonschema.Schema {
	t.Helper()
	s, err := d.answers.Compile(at)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Generated requests: good ones, ones with one fault and wild ones, by whoever
// there is, and not one that is answered with a fault or otherwise than the
// document says. Nothing of them stays in the process: not while a world lives,
// and not when all have ended. To make more of them: -rapid.checks=2000.
func TestR12_TenThousandGeneratedRequestsAreAnsweredAsDocumented(t *testing.T) {
	d := readDocument(t)
	before := now()
	seen := &sightings{successes: map[string]int{}, statuses: map[int]int{}}
	world := func(t *testing.T, midway func(checks int)) *crowd { // by and by a world is spent: activities are closed, posts end
		c := newCrowd(t, d, seen)
		checks := 0
		rapid.Check(t, func(rt *rapid.T) {
			if checks++; checks%10 == 0 {
				c.Clock.Advance(10 * time.Minute)
			}
			midway(checks)
			for range 20 {
				c.exchange(rt)
			}
		})
		for line := range strings.Lines(c.Log.String()) {
			if strings.Contains(line, `"level":"ERROR"`) {
				t.Errorf("in the log: %s", line)
			}
		}
		return c
	}
	t.Run("worlds", func(t *testing.T) {
		for n := range 4 {
			t.Run(fmt.Sprint(n+1), func(t *testing.T) {
				t.Parallel()
				world(t, func(int) {})
			})
		}
	})
	t.Run("alone", func(t *testing.T) { // since it measures
		var half footprint
		sent := 0
		c := world(t, func(checks int) {
			if checks == 50 { // what is made once has been made
				half, sent = now(), seen.requests
			}
		})
		each := (now().heap - half.heap) / int64(seen.requests-sent)
		t.Logf("each request left %d bytes", each)
		if each > mostLeft {
			t.Errorf("each request left %d bytes", each)
		}
		c.leave(mostLeft)
	})
	trial.Eventually(t, "as few goroutines are left as there were", func() bool { return runtime.NumGoroutine() <= before.goroutines })
	after := now()
	t.Logf("before %+v, after %+v", before, after)
	if after.heap-before.heap > mostHeap || after.resident-before.resident > mostResident {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if t.Failed() {
		return // the rest is not to be judged
	}
	t.Logf("%d requests: %v, %v", seen.requests, seen.statuses, seen.successes)
	if seen.requests < 10_000 {
		t.Errorf("only %d requests", seen.requests)
	}
	var failing []string
	for _, o := range d.operations {
		if seen.successes[o.OperationID] == 0 {
			failing = append(failing, o.OperationID)
		}
	}
	t.Logf("these never succeeded: %v", failing)
	if len(failing) > len(d.operations)/5 {
		t.Errorf("%d of %d operations never succeeded, so that their good requests are none", len(failing), len(d.operations))
	}
}

// What may be left of a request while its world lives, where the log of the
// test is kept too, and of ten thousand when all worlds have ended.
const (
	mostLeft     = 4 << 10
	mostHeap     = 16 << 20
	mostResident = 256 << 20 // the race detector's own books too
)

// footprint is what the process holds when what nobody holds has been given
// back: goroutines, bytes of the heap, and memory of the system, which only
// Linux tells.
type footprint struct {
	goroutines     int
	heap, resident int64
}

func now() footprint {
	debug.FreeOSMemory()
	debug.FreeOSMemory() // what was in a pool goes with the second collection
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f := footprint{goroutines: runtime.NumGoroutine(), heap: int64(m.HeapAlloc)}
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		var size, resident int64
		_, _ = fmt.Sscan(string(text), &size, &resident) // 0 where it is written otherwise
		f.resident = resident * int64(os.Getpagesize())
	}
	return f
}

// leave is the control: a service that keeps so much of each request, and waits
// for something with each, is seen to.
func (c *crowd) leave(each int64) {
	const requests = 500
	before, forever := now(), make(chan struct{})
	var kept [][]byte
	for range requests {
		c.handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/v1/home", nil))
		kept = append(kept, make([]byte, 2*each))
		go func() { <-forever }()
	}
	after := now()
	if (after.heap-before.heap)/requests <= each || after.goroutines-before.goroutines < requests {
		c.t.Errorf("what %d requests left is not seen: before %+v, after %+v", requests, before, after)
	}
	runtime.KeepAlive(kept)
	close(forever)
}

// sightings is what was answered so far.
type sightings struct {
	mu        sync.Mutex
	requests  int
	successes map[string]int // by operation
	statuses  map[int]int
}

func (s *sightings) note(r *request, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	s.statuses[status]++
	if status == 200 && !r.foreign {
		s.successes[r.op.OperationID]++
	}
}

// crowd is people of every role with what they know of: where good requests
// get their values from.
type crowd struct {
	*stage
	t       *testing.T
	doc     *document
	seen    *sightings
	handler http.Handler

	roles map[string][]*phone
	owner map[*phone]*trial.Person
	turns int

	secretary *model.Actor
	admin     *model.Actor
	ids       map[string][]uint64 // by the parameter that they are for
	makers    map[thing]*phone    // who may do most with it
	members   []uint64
	spares    []*trial.Person // who may lose post, branch and phone
	cursors   []string
	missing   []*described // what has not succeeded yet in this world
}

// thing is what an id means where the parameter says.
type thing struct {
	parameter string
	id        uint64
}

// published activities stand at the beginning of the ids.
const published = 3

// Where in the ids of organisations they begin that were made for this test.
const (
	branches = iota // two of them
	_
	group
	community
	superiors // two of them
	_
	madeLater
)

func newCrowd(t *testing.T, d *document, seen *sightings) *crowd {
	t.Helper()
	w := trial.New(t, trial.SQLite)
	c := &crowd{stage: &stage{World: w, t: t}, t: t, doc: d, seen: seen, handler: handler(t, w, w.Services, stopped),
		missing: slices.Clone(d.operations), roles: map[string][]*phone{}, owner: map[*phone]*trial.Person{}, cursors: []string{"", "MA"}, ids: map[string][]uint64{}, makers: map[thing]*phone{}}
	branch, other, district := c.Branch("第一党支部"), c.Branch("第二党支部"), c.District()
	group := c.Group(branch, "第一党小组")
	community := c.Organisation(&district, model.Community, "幸福社区")
	c.ids["organisation_id"] = []uint64{branch.ID, other.ID, group.ID, community.ID, c.Agencies().ID, district.ID}
	for i := range 6 {
		p := c.Member(branch, fmt.Sprint("闲人", i))
		c.spares = append(c.spares, p)
		c.ids["post_id"] = append(c.ids["post_id"], c.Post(p, branch, model.CommitteeMember).ID)
	}
	join := func(role string, p *trial.Person) {
		phone := c.phone(p)
		c.roles[role], c.owner[phone] = append(c.roles[role], phone), p
		c.members = append(c.members, p.ID)
	}
	for i := range 4 {
		p := c.Member(branch, fmt.Sprint("书记", i))
		c.Post(p, branch, model.Secretary)
		c.Post(p, other, model.Secretary)
		c.Post(p, community, model.CommunityLiaison)
		join("secretary", p)
		join("member", c.Member(branch, fmt.Sprint("党员", i), trial.InGroup(group)))
		admin := c.Member(other, fmt.Sprint("管理员", i))
		c.Post(admin, c.District(), model.Administrator)
		join("administrator", admin)
	}
	c.secretary, c.admin = c.Actor(c.owner[c.roles["secretary"][0]]), c.Actor(c.owner[c.roles["administrator"][0]])
	c.roles["nobody"] = []*phone{{s: c.stage}, {c.stage, strings.Repeat("forged-token", 4)}, {c.stage, "x"}}
	c.roles["unbound"] = []*phone{c.newcomer(), c.newcomer(), c.newcomer()}
	c.owner[c.roles["secretary"][0]].User.Touch()
	for i := range 3 {
		c.serviceDay(community, time.Duration(i+1)*40*time.Minute, i < 2)
	}
	for i, start := range []time.Duration{-10 * time.Minute, 20 * time.Minute, 20 * time.Minute, time.Hour} {
		a := c.draftOf(branch, start)
		if i < published {
			if _, err := c.Activities.Publish(t.Context(), c.secretary, a); err != nil {
				t.Fatal(err)
			}
		}
	}
	return c
}

// newcomer is somebody who has signed in and is not bound.
func (c *crowd) newcomer() *phone {
	c.t.Helper()
	in, err := c.Sessions.SignIn(c.t.Context(), service.SignInInput{Code: c.Stranger().LoginCode()})
	if err != nil {
		c.t.Fatal(err)
	}
	return &phone{c.stage, in.Token}
}

func (c *crowd) draftOf(branch model.Organisation, start time.Duration) uint64 {
	c.t.Helper()
	at := c.Clock.Now().Add(start)
	a, err := c.Activities.Draft(c.t.Context(), c.secretary, service.DraftInput{OrganisationID: branch.ID, Nonce: nonce(),
		ActivityInput: service.ActivityInput{Kind: model.ThemePartyDay, Title: "七月主题党日", StartsAt: at, EndsAt: at.Add(24 * time.Hour), OpenEarlyMinutes: new(60), CheckOut: true}})
	if err != nil {
		c.t.Fatal(err)
	}
	c.ids["activity_id"] = append(c.ids["activity_id"], a.ID)
	return a.ID
}

func (c *crowd) serviceDay(community model.Organisation, start time.Duration, published bool) {
	c.t.Helper()
	at := c.Clock.Now().Add(start)
	slot := func(name string, capacity int) service.SlotInput {
		return service.SlotInput{Name: name, StartsAt: at, EndsAt: at.Add(2 * time.Hour), Capacity: capacity}
	}
	day, err := c.ServiceDays.Draft(c.t.Context(), c.secretary, service.NewServiceDayInput{CommunityID: community.ID, Nonce: nonce(), ServiceDayInput: service.ServiceDayInput{
		ServiceWords: service.ServiceWords{Title: "小区清洁", Place: "幸福广场"}, Slots: []service.SlotInput{slot("扫地", 1), slot("浇花", 3)}}})
	if err == nil && published {
		day, err = c.ServiceDays.Publish(c.t.Context(), c.secretary, day.ID)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.ids["service_day_id"] = append(c.ids["service_day_id"], day.ID)
	for _, s := range day.Slots {
		c.ids["slot_id"] = append(c.ids["slot_id"], s.ID)
	}
}

// request is one generated request.
type request struct {
	op      *described
	phone   *phone
	role    string
	method  string
	target  string
	header  http.Header
	body    []byte
	foreign bool // a method that the path does not have
}

func (r *request) String() string {
	return fmt.Sprintf("%s by %s: %s %s\n%v\n%.2000q", r.op.OperationID, r.role, r.method, r.target, r.header, r.body)
}

// exchange makes one request and judges the answer.
func (c *crowd) exchange(rt *rapid.T) {
	r := c.request(rt)
	c.Clock.Advance(5 * time.Millisecond)
	sent, err := http.NewRequestWithContext(c.t.Context(), r.method, "http://dj.example.cn"+r.target, bytes.NewReader(r.body))
	if err != nil {
		rt.Fatalf("%v: %s", err, r)
	}
	sent.Header = r.header
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, sent)
	c.seen.note(r, w.Code)
	c.judge(r, w)
	c.learn(r, w)
}

// judge fails unless the answer is one that the document has. It fails the test
// and not the one check: what went before decides as well, so that nothing
// could be shrunk.
func (c *crowd) judge(r *request, w *httptest.ResponseRecorder) {
	answer := w.Body.Bytes()
	if told := told(w.Code, answer); told != "" {
		c.t.Errorf("%d tells %s to %s", w.Code, told, r)
	}
	if w.Header().Get("Content-Encoding") == "gzip" {
		packed, err := gzip.NewReader(w.Body)
		if err == nil {
			answer, err = io.ReadAll(packed)
		}
		if err != nil {
			c.t.Errorf("%v in the answer to %s", err, r)
		}
	}
	if w.Code >= 500 {
		c.t.Fatalf("%d %s to %s", w.Code, answer, r)
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
		if w.Header().Get(name) != want {
			c.t.Errorf("%s: %q to %s", name, w.Header().Get(name), r)
		}
	}
	if w.Header().Get("X-Request-Id") == "" || w.Code == 429 && w.Header().Get("Retry-After") == "" {
		c.t.Errorf("headers %v to %s", w.Header(), r)
	}
	media, _, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
	if err != nil {
		c.t.Errorf("%d with the type %q to %s", w.Code, w.Header().Get("Content-Type"), r)
		return
	}
	key := strconv.Itoa(w.Code) + " " + media
	schema, known := r.op.answers[key]
	if code := (&reply{Body: answer}).code(); r.foreign && w.Code == 405 || w.Code == 404 && code == "not_found" {
		schema, known = r.op.answers["400 application/problem+json"], media == "application/problem+json" // no operation's
	}
	switch {
	case !known && !r.foreign:
		c.t.Errorf("%s is not documented: %s to %s", key, answer, r)
	case schema != nil:
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(answer))
		if err == nil {
			err = schema.Validate(value)
		}
		if err != nil {
			c.t.Errorf("%s: %v in %s to %s", key, err, answer, r)
		}
	case len(answer) == 0:
		c.t.Errorf("%s: an empty file to %s", key, r)
	}
}

// learn takes from an answer what later requests can use, and mends what they
// need.
func (c *crowd) learn(r *request, w *httptest.ResponseRecorder) {
	if w.Code == 401 && c.owner[r.phone] != nil {
		r.phone.token = c.SignIn(c.owner[r.phone])
	}
	if w.Code != 200 || r.foreign {
		return
	}
	c.missing = slices.DeleteFunc(c.missing, func(o *described) bool { return o == r.op })
	var answer map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &answer)
	if next, ok := answer["next"].(string); ok {
		c.cursors = append(c.cursors, next)
	}
	if r.op.method == "POST" {
		c.note(r, r.op.path[strings.LastIndexByte(r.op.path, '/')+1:], answer)
	}
	if slices.Contains([]string{"signOut", "endSessions", "bindMember"}, r.op.OperationID) {
		if p := c.owner[r.phone]; p != nil {
			r.phone.token = c.SignIn(p)
		} else {
			r.phone.token = c.newcomer().token
		}
	}
}

// note keeps the ids of what was made, each for the parameter that goes by
// what it is called: "service-days" and "slots" for service_day_id and slot_id.
func (c *crowd) note(r *request, what string, v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			c.note(r, what, e)
		}
	case map[string]any:
		if id, ok := v["id"].(float64); ok {
			one := strings.TrimSuffix(strings.ReplaceAll(strings.ReplaceAll(what, "-", "_"), "ies", "ys"), "s") + "_id"
			if what == "waiting-list" {
				one = "sign_up_id"
			}
			for parameter := range c.doc.parameters {
				if one == parameter || strings.HasSuffix(one, "_"+parameter) {
					c.ids[parameter] = append(c.ids[parameter], uint64(id))
					c.makers[thing{parameter, uint64(id)}] = r.phone
				}
			}
		}
		for name, e := range v {
			c.note(r, name, e)
		}
	}
}

// What is wrong with a request.
const (
	nothingWrong = iota
	wrongBody
	wrongText // of the body, so that it may be no JSON at all
	wrongParameter
	wrongHeader
	wrongMethod
)

func (c *crowd) request(rt *rapid.T) *request {
	c.turns++ // one operation and one person after the other, so that none is left out and nobody is too fast
	r := &request{op: c.doc.operations[c.turns%len(c.doc.operations)], header: http.Header{}}
	if len(c.missing) > 0 && rapid.IntRange(0, 3).Draw(rt, "again") == 0 {
		r.op = rapid.SampledFrom(c.missing).Draw(rt, "missing")
	} else if ends := strings.HasPrefix(r.op.OperationID, "cancel") || r.op.OperationID == "closeActivity"; ends && rapid.IntRange(0, 3).Draw(rt, "rarely") > 0 {
		r.op = c.doc.operations[rapid.IntRange(0, len(c.doc.operations)-1).Draw(rt, "instead")] // else all comes to an end too soon
	}
	r.role = rapid.SampledFrom([]string{"nobody", "unbound", "member", "member", "secretary", "secretary", "secretary", "administrator", "administrator"}).Draw(rt, "role")
	r.phone = c.roles[r.role][(c.turns+c.turns/len(c.doc.operations))%len(c.roles[r.role])]
	if r.role == "secretary" {
		c.owner[r.phone].User.Touch()
	}
	wrong := rapid.SampledFrom([]int{nothingWrong, nothingWrong, nothingWrong, nothingWrong, nothingWrong, nothingWrong,
		wrongBody, wrongBody, wrongText, wrongParameter, wrongParameter, wrongHeader, wrongMethod}).Draw(rt, "fault")
	r.method = r.op.method
	if r.phone.token != "" {
		r.header.Set("Authorization", "Bearer "+r.phone.token)
	}
	c.address(rt, r, wrong == wrongParameter)
	c.fill(rt, r, wrong)
	switch wrong {
	case wrongMethod:
		r.method = rapid.SampledFrom([]string{"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "PURGE"}).Draw(rt, "method")
		at := slices.IndexFunc(c.doc.operations, func(o *described) bool { return o.path == r.op.path && o.method == r.method })
		if r.foreign = at < 0; !r.foreign {
			r.op = c.doc.operations[at]
		}
	case wrongHeader:
		name := rapid.SampledFrom([]string{"Content-Type", "Content-Encoding", "Accept", "Accept-Encoding", "Authorization", "Idempotency-Key", "If-None-Match", "Expect",
			"X-Forwarded-For", "Host", "Range", "Cookie", "Content-Length", "Transfer-Encoding"}).Draw(rt, "header")
		r.header.Set(name, rapid.SampledFrom([]string{"", "x", "*/*", "*", "gzip", "identity", "text/plain", "application/json", "application/json; charset=gbk", "Bearer", "Bearer  ",
			"Basic eDp4", `"x"`, "bytes=0-1", "multipart/form-data", "multipart/form-data; boundary=b", strings.Repeat("x", 5000), "党", "\x00\xff", "-1"}).Draw(rt, "value"))
	}
	return r
}

// address fills in path and query.
func (c *crowd) address(rt *rapid.T, r *request, wrong bool) {
	path, query := r.op.path, []string{}
	odd := -1 // the parameter that is not as it should be
	if wrong && len(r.op.Parameters) > 0 {
		odd = rapid.IntRange(0, len(r.op.Parameters)-1).Draw(rt, "odd parameter")
	}
	for i, ref := range r.op.Parameters {
		p := ref.Value
		if p.In == "header" || !p.Required && i != odd && c.omits(rt, p.Name) {
			continue
		}
		text := fmt.Sprint(c.value(rt, r.op.OperationID, p.Name, p.Schema.Value))
		if i == odd {
			text = fmt.Sprint(c.strange(rt))
		}
		if id, err := strconv.ParseUint(text, 10, 64); err == nil && r.phone.token != "" && rapid.Bool().Draw(rt, "own") {
			c.by(r, c.makers[thing{p.Name, id}])
		}
		if p.In == "path" {
			path = strings.Replace(path, "{"+p.Name+"}", escape(text), 1)
			continue
		}
		query = append(query, p.Name+"="+escape(text))
		if i == odd && rapid.Bool().Draw(rt, "twice") {
			query = append(query, p.Name+"="+escape(text))
		}
	}
	if wrong && odd < 0 {
		query = append(query, rapid.SampledFrom([]string{"a=1", "cursor", "%zz", "=", "limit=1;limit=2", "scope[]=mine", strings.Repeat("&", 100), "党=党"}).Draw(rt, "query"))
	}
	r.target = path
	if len(query) > 0 {
		r.target += "?" + strings.Join(query, "&")
	}
}

// by lets the one ask who made what is asked for, if anybody did.
func (c *crowd) by(r *request, maker *phone) {
	if maker != nil {
		r.role, r.phone = "whoever made it", maker
		r.header.Set("Authorization", "Bearer "+maker.token)
	}
}

// omits says whether a parameter is left out that may be. Most meetings are of
// one branch alone, so asking for a branch's part mostly finds none.
func (c *crowd) omits(rt *rapid.T, name string) bool {
	given := rapid.IntRange(0, 2).Draw(rt, "optional")
	if name == "branch_id" {
		return given < 2
	}
	return given == 0
}

// either names fields of which a good request has exactly one.
var either = map[string][]string{"checkIn": {"code", "digits"}, "checkOut": {"code", "digits"}, "annulCheckIn": {"attendance_id", "check_in_nonce", "member_id"}, "recordAttendance": {"member_id", "member_code"}, "bindMember": {"phone_code", "invitation"}}

// fill writes the body.
func (c *crowd) fill(rt *rapid.T, r *request, wrong int) {
	if r.op.RequestBody == nil {
		if wrong == wrongText {
			r.body = []byte(rapid.SampledFrom(wildTexts).Draw(rt, "text"))
		}
		return
	}
	content := r.op.RequestBody.Value.Content
	if content["application/json"] == nil {
		c.fillForm(rt, r, wrong)
		return
	}
	r.header.Set("Content-Type", "application/json")
	value := c.object(rt, r.op.OperationID, content["application/json"].Schema.Value)
	if strings.HasSuffix(r.op.OperationID, "Service") && len(c.ids["sign_up_id"]) > 0 { // a check-in there is of one who has a seat
		c.by(r, c.makers[thing{"sign_up_id", rapid.SampledFrom(c.ids["sign_up_id"]).Draw(rt, "seat")}])
	}
	if fields := either[r.op.OperationID]; fields != nil {
		for _, f := range fields {
			delete(value, f)
		}
		one := rapid.SampledFrom(fields).Draw(rt, "one of them")
		value[one] = c.value(rt, r.op.OperationID, one, content["application/json"].Schema.Value.Properties[one].Value)
		if value["digits"] != nil {
			a := rapid.SampledFrom(c.ids["activity_id"]).Draw(rt, "activity")
			value["activity_id"] = a
			value["digits"] = c.screen(a).Digits
		} else if value["code"] != nil {
			delete(value, "activity_id")
		}
	}
	if strings.HasSuffix(r.op.OperationID, "Organisation") {
		places := []struct {
			superior int
			kind     model.OrganisationKind
		}{{superiors, model.Branch}, {superiors, model.GeneralBranch}, {superiors + 1, model.TownCommittee}, {superiors + 1, model.Community}, {branches, model.PartyGroup}}
		place := rapid.SampledFrom(places).Draw(rt, "place")
		value["parent_id"], value["kind"], value["name"] = c.ids["organisation_id"][place.superior], place.kind, "组织"+nonce()
	}
	if wrong == wrongBody {
		c.spoil(rt, value)
	}
	var err error
	if r.body, err = json.Marshal(value); err != nil {
		rt.Fatal(err)
	}
	if wrong == wrongText {
		r.body = c.garble(rt, r.body)
	}
}

// spoil changes one place in a value.
func (c *crowd) spoil(rt *rapid.T, value map[string]any) {
	names := append(slices.Sorted(maps.Keys(value)), "unknown")
	name := rapid.SampledFrom(names).Draw(rt, "field")
	if inner, ok := value[name].(map[string]any); ok && rapid.Bool().Draw(rt, "inside") {
		c.spoil(rt, inner)
		return
	}
	if rapid.IntRange(0, 3).Draw(rt, "drop") == 0 {
		delete(value, name)
		return
	}
	value[name] = c.strange(rt)
}

// garble makes of a JSON text another one, or none.
func (c *crowd) garble(rt *rapid.T, text []byte) []byte {
	switch rapid.IntRange(0, 6).Draw(rt, "garble") {
	case 0:
		return text[:rapid.IntRange(0, len(text)).Draw(rt, "length")]
	case 1:
		return append(text, rapid.SampledFrom(wildTexts).Draw(rt, "tail")...)
	case 2: // every key twice
		return append(append(bytes.TrimSuffix(text, []byte("}")), ','), bytes.TrimPrefix(text, []byte("{"))...)
	case 3:
		at := rapid.IntRange(0, len(text)-1).Draw(rt, "at")
		text[at] = rapid.Byte().Draw(rt, "byte")
		return text
	case 4:
		return bytes.ToUpper(text)
	case 5:
		return rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(rt, "bytes")
	}
	return []byte(rapid.SampledFrom(wildTexts).Draw(rt, "text"))
}

var wildTexts = []string{"", " ", "null", "[]", "{}", "0", `""`, `"党"`, "[[[[]]]]", "{} {}", `{"a":{"a":{"a":{}}}}`, strings.Repeat("[", 5000), strings.Repeat(`{"a":`, 100),
	`{"nonce":1e999}`, "\xef\xbb\xbf{}", "\xff\xfe", "\x00", "<xml/>", "a=1&b=2", strings.Repeat("x", 70<<10), `{"\ud800":"\udfff"}`}

// fillForm writes an upload.
func (c *crowd) fillForm(rt *rapid.T, r *request, wrong int) {
	file := "姓名,手机号,党员类别,党组织\n"
	for range rapid.IntRange(0, 4).Draw(rt, "rows") {
		file += rapid.SampledFrom([]string{"韩一", "韩二", "林三", "=1", "", "甲"}).Draw(rt, "name") + "," +
			rapid.SampledFrom([]string{"19900009001", "19900009002", "", "1"}).Draw(rt, "phone") + "," +
			rapid.SampledFrom([]string{"正式党员", "预备党员", "群众"}).Draw(rt, "kind") + ",第一党支部\n"
	}
	if r.op.OperationID == "importOrganisations" {
		file = "名称,类别,上级组织,单位性质\n" + rapid.SampledFrom([]string{"第三党支部,党支部,机关工委,机关\n", "第一党支部,党支部,机关工委,\n", "机关工委,机关工委,区党工委,机关\n",
			"甲,乙,丙,丁\n", "甲,党支部,甲,\n", "", "第二党小组,党小组,第二党支部,\n"}).Draw(rt, "organisation")
	}
	if r.op.OperationID == "importServiceHours" {
		file = "姓名,日期,分钟,服务内容\n" + rapid.SampledFrom([]string{"闲人0,2026-03-01,60,清扫楼道\n", "闲人1,2026-02-01,90,义诊\n", "无此人,2026-02-01,90,义诊\n", "闲人2,昨天,x,\n", ""}).Draw(rt, "hours")
	}
	if r.op.OperationID == "attachPhoto" {
		file = string(pictureOf(c.t, rapid.IntRange(0, 3).Draw(rt, "picture")))
	}
	if wrong == wrongBody {
		file = string(c.garble(rt, []byte(file)))
	}
	r.header.Set("Content-Type", "multipart/form-data; boundary=b")
	r.body = []byte("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\nContent-Type: application/octet-stream\r\n\r\n" + file + "\r\n--b--\r\n")
	if wrong == wrongText {
		r.body = c.garble(rt, r.body)
	}
}

// object is a good value of an object's schema.
func (c *crowd) object(rt *rapid.T, op string, s *openapi3.Schema) map[string]any {
	value := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if slices.Contains(s.Required, name) || rapid.IntRange(0, 2).Draw(rt, "optional") == 0 {
			value[name] = c.value(rt, op, name, s.Properties[name].Value)
		}
	}
	if _, ok := value["audience"]; ok || value["targets"] != nil {
		switch value["audience"] {
		case "members":
			value["targets"] = []uint64{rapid.SampledFrom(c.members).Draw(rt, "member"), c.spares[0].ID}
		case "groups":
			value["targets"] = []uint64{c.ids["organisation_id"][group]}
		default:
			delete(value, "targets")
		}
	}
	return value
}

// value is a good value of a field or parameter: one that means something
// where the name says what, else anything that the schema takes.
func (c *crowd) value(rt *rapid.T, op, name string, s *openapi3.Schema) any {
	if len(s.AnyOf) > 0 {
		return c.value(rt, op, name, s.AnyOf[0].Value)
	}
	if s.Type.Includes("array") && len(s.Enum) == 0 {
		items := []any{}
		for range rapid.IntRange(int(s.MinItems), int(s.MinItems)+2).Draw(rt, name) {
			items = append(items, c.value(rt, op, strings.TrimSuffix(name, "s"), s.Items.Value))
		}
		return items
	}
	if v := c.known(rt, op, name); v != nil {
		return v
	}
	if len(s.Enum) > 0 {
		return rapid.SampledFrom(s.Enum).Draw(rt, name)
	}
	least, most := 0.0, 1000.0
	if s.Min != nil {
		least = *s.Min
	}
	if s.Max != nil {
		most = *s.Max
	}
	switch {
	case s.Type.Includes("object"):
		return c.object(rt, op, s)
	case s.Type.Includes("boolean"):
		return rapid.Bool().Draw(rt, name)
	case s.Type.Includes("integer"):
		return rapid.Int64Range(int64(least), int64(most)).Draw(rt, name)
	case s.Type.Includes("number"):
		step := 0.5
		if s.MultipleOf != nil {
			step = *s.MultipleOf
		}
		return float64(rapid.IntRange(int(least/step), int(most/step)).Draw(rt, name)) * step
	}
	longest := 12
	if s.MaxLength != nil {
		longest = min(longest, int(*s.MaxLength))
	}
	letters := rapid.SampledFrom([]rune("党员支部活动学习甲乙丙丁ABCabc0123456789 -_"))
	if s.Pattern != "" {
		letters = rapid.SampledFrom([]rune("ABCabc0123456789-_"))
	}
	return rapid.StringOfN(letters, int(s.MinLength), max(longest, int(s.MinLength)), -1).Draw(rt, name)
}

// known is a value that means something in this world, nil where only the
// schema says what is good.
func (c *crowd) known(rt *rapid.T, op, name string) any {
	destroys := slices.Contains([]string{"unbindMember", "transferMember", "inviteMember", "updateOrganisation", "grantPost"}, op)
	draw := func(ids []uint64) any { return rapid.SampledFrom(ids).Draw(rt, name) }
	organisations := c.ids["organisation_id"]
	switch name {
	case "organisation_id", "branch_id", "parent_id", "group_id", "community_id":
		switch {
		case op == "updateOrganisation" && name == "organisation_id" && len(organisations) > madeLater:
			return draw(organisations[madeLater:])
		case op == "draftActivity", op == "importRoster", op == "importServiceHours", name == "branch_id":
			return draw(organisations[branches:group])
		case name == "group_id":
			return draw([]uint64{0, organisations[group]})
		case name == "community_id":
			return organisations[community]
		}
		return draw(organisations)
	case "path":
		return rapid.SampledFrom([]string{"/v1/burden.html", "/v1/activities/1/sheet.html", "/v1/activities/1/pack.zip?paper_sheet=true"}).Draw(rt, name)
	case "host_id", "recorder_id":
		return draw(c.members)
	case "activity_id":
		return draw(c.ids[name][:rapid.SampledFrom([]int{published, published, len(c.ids[name])}).Draw(rt, "those")])
	case "month":
		return rapid.SampledFrom([]string{"2026-03", "2026-02", "2025-12"}).Draw(rt, name)
	case "name":
		if op == "inviteBranch" {
			return "第二党支部"
		}
	case "yes", "no", "abstain":
		return rapid.IntRange(0, 1).Draw(rt, name)
	case "written", "seats":
		return rapid.IntRange(0, 1).Draw(rt, name)
	case "member_id":
		if destroys {
			return c.spare(rt).ID
		}
		return draw(c.members)
	case "nonce":
		return rapid.SampledFrom([]string{nonce(), nonce(), nonce(), "nonce-of-all-0001"}).Draw(rt, name)
	case "sign_up_closes_minutes", "cancel_closes_minutes":
		return rapid.IntRange(0, 60).Draw(rt, name)
	case "starts_at":
		if strings.HasSuffix(op, "ServiceDay") {
			return c.Clock.Now().Add(24*time.Hour + time.Duration(rapid.IntRange(0, 60).Draw(rt, name))*time.Minute)
		}
		return c.Clock.Now().Add(time.Duration(rapid.IntRange(-20, 120).Draw(rt, name)) * time.Minute)
	case "arrived_at", "came_at", "voted_at":
		return c.Clock.Now().Add(-time.Duration(rapid.IntRange(0, 30).Draw(rt, name)) * time.Minute)
	case "ends_at":
		if strings.HasSuffix(op, "ServiceDay") {
			return c.Clock.Now().Add(26*time.Hour + time.Duration(rapid.IntRange(0, 60).Draw(rt, name))*time.Minute)
		}
		return c.Clock.Now().Add(time.Duration(rapid.IntRange(2, 48).Draw(rt, name)) * time.Hour)
	case "scanned_at":
		return c.Clock.Now().Add(time.Duration(rapid.IntRange(-200, 20).Draw(rt, name)) * time.Minute)
	case "version":
		if op == "recordMinutes" {
			return rapid.IntRange(0, 2).Draw(rt, name)
		}
		return rapid.IntRange(1, 3).Draw(rt, name)
	case "from", "until", "day":
		return rapid.SampledFrom([]string{"2026-03-10", "2026-03-11", "2027-01-01", "9999-12-31", "1900-01-01"}).Draw(rt, name)
	case "cursor":
		return rapid.SampledFrom(c.cursors).Draw(rt, name)
	case "template_id":
		catalogue := c.Parts.Settings.Catalogue
		return catalogue[rapid.SampledFrom(slices.Sorted(maps.Keys(catalogue))).Draw(rt, name)].ID
	case "code":
		if op == "signIn" {
			return c.Stranger().LoginCode()
		}
		if op == "checkInToService" || op == "checkOutOfService" {
			code, err := c.Presences.Code(c.t.Context(), c.secretary, rapid.SampledFrom(c.ids["service_day_id"]).Draw(rt, name))
			if err != nil {
				return "1.1.1.AAAAAAAAAAAA"
			}
			return code.Code
		}
		return c.screen(rapid.SampledFrom(c.ids["activity_id"]).Draw(rt, name)).Code
	case "quarter":
		return rapid.SampledFrom([]string{"2026Q1", "2025Q4", "2026Q2"}).Draw(rt, name)
	case "rule":
		return rapid.SampledFrom([]string{"FREQ=MONTHLY;BYDAY=1SA", "FREQ=WEEKLY", "FREQ=MONTHLY;BYMONTHDAY=15", "FREQ=YEARLY;COUNT=9"}).Draw(rt, name)
	case "member_code":
		code, err := c.Meetings.OwnCode(c.t.Context(), c.secretary)
		if err != nil {
			rt.Fatal(err)
		}
		return code.Code
	case "phone_code":
		return c.spare(rt).User.PhoneCode()
	case "invitation":
		invited, err := c.Bindings.Invite(c.t.Context(), c.admin, c.spare(rt).ID)
		if errors.Is(err, model.ErrNotFound) {
			return "K7QM-3XHD-PA"
		}
		if err != nil {
			rt.Fatal(err)
		}
		return invited.Code
	}
	if len(c.ids[name]) > 0 {
		return draw(c.ids[name])
	}
	return nil
}

func (c *crowd) spare(rt *rapid.T) *trial.Person {
	return rapid.SampledFrom(c.spares).Draw(rt, "spare")
}

// screen is what the screen of an activity shows, or nothing.
func (c *crowd) screen(activity uint64) service.ScreenCode {
	code, err := c.Meetings.Code(c.t.Context(), c.secretary, activity)
	if err != nil {
		return service.ScreenCode{Code: "1.1.1.AAAAAAAAAAAA", Digits: "000000"}
	}
	return *code
}

// strange is a value that hardly any field expects.
func (c *crowd) strange(rt *rapid.T) any {
	return rapid.SampledFrom([]any{nil, true, 0, -1, 1, 0.1, 1e15, 1 << 31, int64(1) << 53, uint64(1)<<63 + 5, 1e300, "", " ", "0", "-1", "1e9", "９", "null", "党员",
		"'; DROP TABLE members; --", "<script>alert(1)</script>", "\x00", "\u202e\u200b", "党\u0301\u0301\u0301\u0301\u0301\u0301", "\ufffd", "😀", "../../etc/passwd", "a/b", ".", "%00", "%",
		"2026-02-30", "0000-00-00", "9999-12-31", "2026-03-10T14:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+23:59", "2026-03-10T14:00:00+99:99",
		"OTk5OTk5OTk5OTk5OTk5OTk5OS4x", "MC4xODQ0Njc0NDA3MzcwOTU1MTYxNQ", strings.Repeat("x", 65), strings.Repeat("党", 6000), strings.Repeat("\u0301", 300),
		[]any{}, []any{nil}, []any{1, "a", []any{}}, map[string]any{}, map[string]any{"a": map[string]any{"a": 1}}}).Draw(rt, "strange")
}
