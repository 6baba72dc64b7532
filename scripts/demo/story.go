// Package demo plays one 主题党日, one 固定服务日 and one 支部党员大会 before the
// reader's eyes: a branch's members sign in, the secretary publishes, people
// arrive in disorder, the meeting is closed and the sheet exported; then a
// community asks for help; then the branch votes, on a day on which much goes
// otherwise than planned.
// Its one law: it is a guest. Everything goes over HTTP, to the service's API
// and to the phones of the WeChat simulator, and every number that comes back
// is held against what the story says. Handed in are only the clock and what
// the operator does on the machine itself: the import of the district, the
// appointment of a liaison, and the check of the audit.
package demo

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Person is somebody on a roster.
type Person struct {
	Name  string
	Phone string
	Post  string // in words; empty for most
	Votes bool   // a full member, who has the vote
}

// Branch is a party branch as its roster says.
type Branch struct {
	Name      string
	Secretary Person
	Members   []Person // everybody else
}

// Story is one 主题党日 in a branch of at least 34 people.
type Story struct {
	*Teller
	API       string // where the service listens
	Simulator string // where the WeChat simulator listens
	Dir       string // where the exported sheets go
	Branch    Branch
	Stranger  Person  // a member of another branch
	Sheets    []Sheet // where all of them come from

	Liaisons map[string]Person                                             // by community, who could be its liaison
	Appoint  func(ctx context.Context, communityID, memberID uint64) error // makes somebody the liaison

	Verify func(ctx context.Context) (entries int, wrong []string, err error) // checks the chain of the audit

	Clock *Clock    // that of the service and of the simulator
	Day   time.Time // of the meeting that is told, in the organisation's zone; the hours are the story's own

	client   http.Client
	requests atomic.Int64

	secretary *phone
	stranger  *phone
	comers    []Person // those who come besides the secretary
	guests    []*phone // the same, with their phones
	branchID  uint64
	activity  uint64
	photo     string // a check-in code that somebody photographed
	excused   string // who is on sick leave
	exempted  string // who is left out of the count
	forgetful string // who forgets to come
	want      tally  // the meeting in numbers, as the story says
}

// lateAfter is how many minutes after the start somebody counts as late.
const lateAfter = 10

// The guests who have a part of their own, by the order on the roster.
const (
	early     = iota // comes before the check-in is open
	invited          // is bound by an invitation
	tinkerer         // tries a changed code first
	atHome           // is sent a photo of the code, then comes
	outpaced         // holds the code that the secretary has just replaced
	noCamera         // types the six digits
	noNetwork        // shows their own code
	noBattery        // is ticked by the secretary
	crowd            // from here on people simply come, the last one late

	firstCrowd = crowd + 6 // who of them are there by the first look at the board
	smallest   = 34        // people in the branch
)

// Play plays the story and lets the clock go. The error says what broke it
// off, or every number that is not what the story says.
func (s *Story) Play(ctx context.Context) error {
	if size := s.size(); size < smallest {
		return fmt.Errorf("%s 只有 %d 人，故事至少要 %d 人", s.Branch.Name, size, smallest)
	}
	s.client = http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: s.size()}}
	defer s.client.CloseIdleConnections()
	defer s.Clock.Go()
	s.cast()
	s.begin()
	meeting := []func(context.Context) error{s.prepare, s.enrol, s.publish, s.reminding, s.opening, s.arriving, s.troubles, s.closing, s.sheet}
	for _, chapter := range slices.Concat(meeting, (&serving{Story: s}).chapters(), (&assembly{Story: s}).chapters(), []func(context.Context) error{s.comeBack}) {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	s.done()
	return s.verdict()
}

// cast says who comes and who does not. The last on the roster are the newest
// members, who have no vote yet: they come.
func (s *Story) cast() {
	n := len(s.Branch.Members) - 6
	s.excused, s.exempted, s.forgetful = s.Branch.Members[n].Name, s.Branch.Members[n+1].Name, s.Branch.Members[n+2].Name
	s.comers = slices.Concat(s.Branch.Members[:n], s.Branch.Members[n+3:])
	s.guests = make([]*phone, len(s.comers))
}

// attending is how many come, the secretary among them.
func (s *Story) attending() int { return 1 + len(s.comers) }

// everybody is the branch's roster.
func (s *Story) everybody() []Person {
	return append([]Person{s.Branch.Secretary}, s.Branch.Members...)
}

// size is how many are on it.
func (s *Story) size() int { return 1 + len(s.Branch.Members) }

// voters is how many of them have the vote.
func (s *Story) voters() int {
	n := 0
	for _, p := range s.everybody() {
		if p.Votes {
			n++
		}
	}
	return n
}

// turn sets the clock to a time of the story's day.
func (s *Story) turn(clock string) { s.turnTo(s.Day, clock) }

// turnTo sets the clock to a time of any day.
func (s *Story) turnTo(day time.Time, clock string) {
	at, err := time.Parse(time.TimeOnly, clock)
	if err != nil {
		at, err = time.Parse("15:04", clock)
	}
	if err != nil {
		panic(err) // a typing error in this package
	}
	s.now = time.Date(day.Year(), day.Month(), day.Day(), at.Hour(), at.Minute(), at.Second(), 0, s.Day.Location())
	s.Clock.Stop(s.now)
}

// moment is a time of the story's day as the API takes it.
func (s *Story) moment(clock string) string { return momentOf(s.Day, clock) }

func momentOf(day time.Time, clock string) string {
	return day.Format(time.DateOnly) + "T" + clock + ":00" + day.Format("Z07:00")
}

// local is a time in an answer, as the clock on the wall shows it.
func (s *Story) local(at any) string {
	text, _ := at.(string)
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return text
	}
	return t.In(s.Day.Location()).Format("15:04")
}

// votes says whether the person of the branch has the vote.
func (s *Story) votes(name string) bool {
	return slices.ContainsFunc(s.everybody(), func(p Person) bool { return p.Name == name && p.Votes })
}

// each does something for all at once, as people do.
func each[T any](all []T, do func(i int, one T) error) error {
	var together errgroup.Group
	for i, one := range all {
		together.Go(func() error { return do(i, one) })
	}
	return together.Wait()
}
