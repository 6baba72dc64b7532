package service

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	json "github.com/go-json-experiment/json"
	"golang.org/x/sync/singleflight"
	"gorm.io/gorm"

	"dangri/model"
)

// Boards is the meeting in numbers while it happens. The counts are always
// derived from the rows and kept in Redis under a version that every commit
// moves on; a copy that is older than five seconds, or of another version, is
// made anew. So a lost message, a wiped Redis or an old dump is wrong for five
// seconds at most, and a warm board costs one round trip to Redis.
type Boards struct {
	db       *gorm.DB
	cache    *cache
	sessions *Sessions
	now      func() time.Time
	makes    singleflight.Group

	mu     sync.Mutex
	marked map[uint64]uint64 // activities changed here whose version is not yet known to have moved
	serial uint64
	read   map[uint64]readBoard // by activity: what Redis said last
}

// readBoard is what Redis keeps of a board, read once for all who ask for it.
type readBoard struct {
	value string
	says  *boardCopy
}

const (
	boardLife  = 5 * time.Second
	boardsRead = 1000 // that a process keeps
)

// Board is what the secretary's screen shows during a meeting.
type Board struct {
	ActivityID uint64               `json:"activity_id"`
	Title      string               `json:"title"`
	Status     model.ActivityStatus `json:"status"`
	Tally      model.Tally          `json:"tally"`
	Sentence   string               `json:"sentence" doc:"一句话的统计"`
	Arrivals   []BoardArrival       `json:"arrivals" doc:"最近到的十人，最新的在前"`
	Branches   []BoardBranch        `json:"branches,omitempty" doc:"联办的各支部，主办的在前"`
}

// BoardBranch is one branch of a joint meeting in numbers.
type BoardBranch struct {
	BranchID uint64      `json:"branch_id" doc:"主办组织的或联办支部的编号"`
	Name     string      `json:"name"`
	Tally    model.Tally `json:"tally"`
	Sentence string      `json:"sentence"`
}

// BoardArrival is one of the last who came.
type BoardArrival struct {
	Name       string           `json:"name"`
	At         time.Time        `json:"at"`
	Late       bool             `json:"late"`
	Guest      bool             `json:"guest"`
	Provenance model.Provenance `json:"provenance"`
}

// boardCopy is what Redis keeps of a board, with who may look at it.
type boardCopy struct {
	Version   string      `json:"version"`
	MadeAt    time.Time   `json:"made_at"`
	Line      model.Line  `json:"line"`
	Announced bool        `json:"announced"`
	Board     Board       `json:"board"`
	Sides     []boardSide `json:"sides,omitempty"` // of a joint meeting, the host's first
	Screen    screenFacts `json:"screen"`
}

// boardSide is the board of one side of a joint meeting.
type boardSide struct {
	Line    model.Line `json:"line"`
	Partner uint64     `json:"partner"`
	Board   Board      `json:"board"`
}

func boardKey(id uint64) string        { return "board:" + strconv.FormatUint(id, 10) }
func boardVersionKey(id uint64) string { return "board-version:" + strconv.FormatUint(id, 10) }

// treeVersionKey is that of the whole tree: a copy also keeps under whom its
// organisation is.
const treeVersionKey = "board-tree"

// Show is the board of an activity for those who oversee its organisation. Of a
// joint meeting each branch sees its own people; who conducts the meeting, or
// oversees every branch, sees all, with the counts of each. BranchID asks for
// one branch's. It takes the token instead of the actor because session, board and version come
// in one round trip.
func (s *Boards) Show(ctx context.Context, token string, id, branchID uint64) (*Board, error) {
	// Asked before Redis is: a mark that goes away in between would leave a
	// copy of before the change to be believed.
	marked := s.isMarked(id)
	actor, values, err := s.sessions.actorAnd(ctx, token, boardKey(id), boardVersionKey(id), treeVersionKey)
	if err != nil {
		return nil, err
	}
	if actor.MemberID == 0 { // before anything is looked for: nobody unbound hears what there is
		return nil, model.ErrNotBound
	}
	version := values[1] + "/" + values[2]
	var c *boardCopy
	if !marked {
		c = s.warm(id, values[0], version)
	}
	if c == nil {
		if c, err = s.make(ctx, id, version); err != nil {
			return nil, err
		}
	}
	return s.allowed(ctx, actor, c, branchID)
}

// current is the board's copy if it is warm, else a new one.
func (s *Boards) current(ctx context.Context, id uint64, version string, marked bool) (*boardCopy, error) {
	if !marked {
		if c := s.warm(id, s.cache.get(ctx, boardKey(id))[0], version); c != nil {
			return c, nil
		}
	}
	return s.make(ctx, id, version)
}

// allowed is the board of the part that the actor asks for, or why not.
func (s *Boards) allowed(ctx context.Context, actor *model.Actor, c *boardCopy, branchID uint64) (*Board, error) {
	b, err := s.pick(ctx, actor, c, branchID)
	if err != nil { // who may not see the activity at all hears of nothing else
		if _, _, _, err := seen(s.db.WithContext(ctx), actor, c.Board.ActivityID); err != nil {
			return nil, err
		}
	}
	return b, err
}

// pick is the board of the part that the actor asks for, if it is theirs.
func (s *Boards) pick(ctx context.Context, actor *model.Actor, c *boardCopy, branchID uint64) (*Board, error) {
	if !c.Announced && !actor.Conducts(c.Line) {
		return nil, model.ErrNotConductor
	}
	all := sides{{line: c.Line}}
	for _, p := range c.Sides[min(1, len(c.Sides)):] {
		all = append(all, side{p.Line, p.Partner})
	}
	p, err := all.partOf(actor, branchID)
	switch {
	case err != nil:
		return nil, err
	case p.below != 0: // seldom asked for, so nothing is kept of it
		made, err := s.count(ctx, c.Board.ActivityID, p.below)
		if err != nil {
			return nil, err
		}
		return &made.Board, nil
	case p.side == nil || len(c.Sides) == 0:
		return &c.Board, nil
	}
	for i := range c.Sides {
		if c.Sides[i].Partner == p.side.partner {
			return &c.Sides[i].Board, nil
		}
	}
	return nil, model.ErrNotJoint
}

// warm is the copy if it still says the truth, else nil.
func (s *Boards) warm(id uint64, value, version string) *boardCopy {
	c := s.reading(id, value)
	if c == nil {
		return nil
	}
	age := s.now().Sub(c.MadeAt)
	if c.Version != version || age < -boardLife || age >= boardLife {
		return nil
	}
	return c
}

// reading is what the value says, nil where it is no copy. It is shared.
func (s *Boards) reading(id uint64, value string) *boardCopy {
	s.mu.Lock()
	r := s.read[id]
	s.mu.Unlock()
	if value == r.value {
		return r.says
	}
	r = readBoard{value, new(boardCopy)}
	if json.Unmarshal([]byte(value), r.says) != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read == nil || len(s.read) >= boardsRead {
		s.read = map[uint64]readBoard{}
	}
	s.read[id] = r
	return r.says
}

// make counts the board from the rows. Those who ask at the same time share
// one count, but nobody shares a count that began before a change they may
// have seen.
func (s *Boards) make(ctx context.Context, id uint64, version string) (*boardCopy, error) {
	s.mu.Lock()
	key := fmt.Sprint(id, ":", s.serial, ":", version)
	s.mu.Unlock()
	made, err, _ := s.makes.Do(key, func() (any, error) {
		ctx := context.WithoutCancel(ctx)
		c, err := s.count(ctx, id, 0)
		if err != nil {
			return nil, err
		}
		c.Version = version
		value, err := json.Marshal(c)
		if err != nil {
			return nil, fmt.Errorf("copy board %d: %w", id, err)
		}
		s.cache.set(ctx, boardKey(id), string(value), time.Minute)
		s.announceAgain(ctx, id)
		return c, nil
	})
	if err != nil {
		return nil, err
	}
	c := *made.(*boardCopy)
	return &c, nil
}

// count makes the board from the rows; only those of one branch where it is given.
func (s *Boards) count(ctx context.Context, id, branchID uint64) (*boardCopy, error) {
	db := s.db.WithContext(ctx)
	madeAt := s.now()
	a, err := find[model.Activity](db, id, model.ErrActivityNotFound)
	if err != nil {
		return nil, err
	}
	line, err := lineOf(db, a.OrganisationID)
	if err != nil {
		return nil, err
	}
	all, err := sidesOf(db, a, line)
	if err != nil {
		return nil, err
	}
	seats, err := seatsAt(db, a)
	if err != nil {
		return nil, err
	}
	if branchID != 0 {
		seats = slices.DeleteFunc(seats, func(s seat) bool { return s.branch() != branchID })
	}
	c := &boardCopy{MadeAt: madeAt, Line: line, Announced: a.Announced(), Board: drawBoard(a, seats, madeAt),
		Screen: screenFacts{a.ShowNames, a.CodeEpoch, a.ScreenEpoch, a.Place.Name, a.StartsAt, a.EndsAt, a.OpensAt, a.ClosesAt}}
	if len(all) == 1 {
		return c, nil
	}
	for i := range all {
		b := drawBoard(a, all.pick(part{side: &all[i]}, seats), madeAt)
		c.Sides = append(c.Sides, boardSide{all[i].line, all[i].partner, b})
		c.Board.Branches = append(c.Board.Branches, BoardBranch{all[i].line[0].ID, all[i].line[0].Name, b.Tally, b.Sentence})
	}
	return c, nil
}

func drawBoard(a *model.Activity, seats []seat, now time.Time) Board {
	b := Board{ActivityID: a.ID, Title: a.Title, Status: a.Status, Tally: tally(a, seats, a.VotesAt(now)), Arrivals: []BoardArrival{}}
	b.Sentence = b.Tally.Sentence()
	for i := range seats {
		if t := seats[i].Recorded; t != nil && t.Status == model.Present {
			b.Arrivals = append(b.Arrivals, BoardArrival{Name: seats[i].Name, At: t.At, Late: t.Late(a), Guest: t.Guest, Provenance: t.Provenance})
		}
	}
	slices.SortStableFunc(b.Arrivals, func(x, y BoardArrival) int { return y.At.Compare(x.At) })
	b.Arrivals = b.Arrivals[:min(10, len(b.Arrivals))]
	return b
}

// changed tells every replica that the activity's board is out of date. Call
// it after the commit.
func (s *Boards) changed(ctx context.Context, ids ...uint64) {
	s.mark(ids)
	s.announce(context.WithoutCancel(ctx), ids)
}

// treeMoved tells every replica that organisations have other superiors. Call
// it after the commit.
func (s *Boards) treeMoved(ctx context.Context) {
	s.cache.bump(context.WithoutCancel(ctx), time.Hour, treeVersionKey)
}

// mark makes this replica count the boards anew from now on.
func (s *Boards) mark(ids []uint64) {
	if len(ids) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	if s.marked == nil {
		s.marked = map[uint64]uint64{}
	}
	for _, id := range ids {
		s.marked[id] = s.serial
	}
}

// announce moves the boards' versions on, so that every replica counts anew.
// While Redis is away the marks stay, and this replica serves no copies.
func (s *Boards) announce(ctx context.Context, ids []uint64) {
	if len(ids) == 0 {
		return
	}
	s.mu.Lock()
	before := s.serial
	s.mu.Unlock()
	once := map[uint64]bool{}
	for _, id := range ids {
		once[id] = true
	}
	keys := make([]string, 0, len(once))
	for id := range maps.Keys(once) {
		keys = append(keys, boardVersionKey(id))
	}
	if !s.cache.bump(ctx, time.Hour, keys...) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range once {
		if s.marked[id] <= before {
			delete(s.marked, id)
		}
	}
}

// announceAgain makes up for an announcement that Redis did not take.
func (s *Boards) announceAgain(ctx context.Context, id uint64) {
	if s.isMarked(id) {
		s.announce(ctx, []uint64{id})
	}
}

func (s *Boards) isMarked(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, marked := s.marked[id]
	return marked
}
