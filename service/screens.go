package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/skip2/go-qrcode"
	"gorm.io/gorm"

	"dangri/model"
)

// Screens is the hall's big screen: what a meeting's board says as it changes,
// and the code to scan. Nobody signs in with WeChat on the hall's computer, so
// a pass that is good for the screen of one activity alone opens it.
type Screens struct {
	db     *gorm.DB
	boards *Boards
	codes  codes
	url    string
	now    func() time.Time
	places chan struct{} // one for each stream of this process

	mu   sync.Mutex
	open map[uint64]int // streams by activity
}

const (
	screenStreams = 256              // of one process
	screenShare   = 64               // of them for one activity: whoever holds a pass does not shut the other halls out
	screenLook    = time.Second      // how often a stream asks for the board's version
	screenRecount = 30               // looks after which a board is made anew though no version moved
	screenBlind   = 5                // the same while no version is known
	screenBeat    = 10               // looks between two signs of life
	screenGrace   = time.Hour        // how long after the end a pass is good
	screenRetry   = 10 * time.Second // when there may be room again
)

func newScreens(p Parts, codes codes, boards *Boards) *Screens {
	return &Screens{db: p.DB, boards: boards, codes: codes, url: p.Settings.PublicURL, now: p.Now, places: make(chan struct{}, screenStreams), open: map[uint64]int{}}
}

// ScreenPass is the address of an activity's big screen.
type ScreenPass struct {
	URL    string    `json:"url" doc:"在会场电脑的浏览器里打开；# 后面的部分不会发给服务器"`
	EndsAt time.Time `json:"ends_at" doc:"这个网址何时失效：活动结束一小时后"`
}

// Open makes the address of the activity's big screen for the hall's computer,
// for those who conduct it. It shows the code and the board of this activity
// and nothing else, until an hour after the activity's end, or until another
// address or a new code is made.
func (s *Screens) Open(ctx context.Context, actor *model.Actor, id uint64) (*ScreenPass, error) {
	now := s.now()
	a, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.Activity, error) {
		a, err := holdConducted(tx, actor, id)
		if err != nil {
			return nil, err
		}
		if err := a.Allow(model.Published); err != nil {
			return nil, err
		}
		a.ScreenEpoch++
		if err := tx.Model(a).Update("screen_epoch", a.ScreenEpoch).Error; err != nil {
			return nil, fmt.Errorf("new screen of activity %d: %w", id, err)
		}
		return a, auditBy(tx, now, actor, "show_screen", "activity", id, "ok", nil)
	})
	if err != nil {
		return nil, err
	}
	s.boards.changed(ctx, id)
	return &ScreenPass{URL: s.url + "/screen#" + s.codes.screenPass(a.ID, a.CodeEpoch, a.ScreenEpoch), EndsAt: a.EndsAt.Add(screenGrace)}, nil
}

// screenPass opens the big screen of an activity under both epochs.
func (c codes) screenPass(activityID uint64, code, screen uint32) string {
	return c.sign("screen_pass", "", passSize, activityID, uint64(code), uint64(screen))
}

// ScreenEvent is one thing that a big screen is told.
type ScreenEvent struct {
	Name string // board, code, beat or end
	Data any
}

// ScreenBoard is a board as everybody in the hall may read it: names only where
// the activity says so, times in the organisation's own zone, because the hall's
// computer may be in any.
type ScreenBoard struct {
	Board
	Place    string    `json:"place"`
	StartsAt time.Time `json:"starts_at"`
	EndsAt   time.Time `json:"ends_at"`
	OpensAt  time.Time `json:"opens_at"`
	ClosesAt time.Time `json:"closes_at"`
}

// ScreenQR is the code of now, drawn.
type ScreenQR struct {
	QR              string `json:"qr" doc:"SVG 的 path，一格为 1"`
	Size            int    `json:"size" doc:"边长，含四周的空白"`
	Digits          string `json:"digits"`
	ChangesInMS     int64  `json:"changes_in_ms"`
	DigitsChangesMS int64  `json:"digits_changes_in_ms"`
	OpensInMS       int64  `json:"opens_in_ms" doc:"再过多少毫秒开放签到；0 为已开放"`
}

// ScreenEnd is why a stream came to its end.
type ScreenEnd struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// BoardStream is the board of one activity as it changes.
type BoardStream struct {
	screens *Screens
	id      uint64
	token   string // of a session; or
	pass    string // of a screen

	tick    *time.Ticker
	looks   int
	counted int // the look at which the board was last made or fetched
	version string
	copy    *boardCopy
	shown   *Board // what the viewer has been told
	code    string
	digits  string
	pending []ScreenEvent
	over    bool
}

// Watch is the board of an activity as it changes, for whom Show would show it,
// or for the big screen that holds a pass, which is also told the code. Names
// are cut to the surname unless the activity shows names. It asks for the
// board's version every second and reads the rows only when that has moved. The
// stream ends when the meeting is closed or cancelled, when the session is
// revoked or the pass is dead. Close it.
func (s *Screens) Watch(ctx context.Context, token, pass string, id uint64) (*BoardStream, error) {
	if !s.enter(id) {
		return nil, model.ErrTooMany.After(screenRetry)
	}
	w := &BoardStream{screens: s, id: id, token: token, pass: pass, tick: time.NewTicker(screenLook)}
	if err := w.look(ctx); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// enter takes a place for a stream of the activity, if there is one.
func (s *Screens) enter(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[id] >= screenShare {
		return false
	}
	select {
	case s.places <- struct{}{}:
		s.open[id]++
		return true
	default:
		return false
	}
}

// Close gives the stream's place to another.
func (w *BoardStream) Close() {
	w.tick.Stop()
	s := w.screens
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[w.id]--; s.open[w.id] == 0 {
		delete(s.open, w.id)
	}
	<-s.places
}

// Next waits for what is to be told next; io.EOF after the end.
func (w *BoardStream) Next(ctx context.Context) (*ScreenEvent, error) {
	for len(w.pending) == 0 {
		if w.over {
			return nil, io.EOF
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-w.tick.C:
		}
		var refusal *model.Error
		err := w.look(ctx)
		if errors.As(err, &refusal) && refusal.Kind != model.TooMany && refusal.Kind != model.Unavailable {
			w.end(refusal.Code, refusal.Message)
		} // any other fault is a store that is away: the next look may find it again
		if len(w.pending) == 0 && w.looks%screenBeat == 0 {
			w.pending = append(w.pending, ScreenEvent{"beat", struct{}{}})
		}
	}
	next := w.pending[0]
	w.pending = w.pending[1:]
	return &next, nil
}

func (w *BoardStream) end(code, message string) {
	w.pending = append(w.pending, ScreenEvent{"end", ScreenEnd{code, message}})
	w.over = true
}

// look finds out what has changed for who watches, and whether they still may.
func (w *BoardStream) look(ctx context.Context) error {
	w.looks++
	boards := w.screens.boards
	var actor *model.Actor
	marked := boards.isMarked(w.id)
	var versions []string
	if w.pass == "" {
		var err error
		if actor, versions, err = boards.sessions.actorAnd(ctx, w.token, boardVersionKey(w.id), treeVersionKey); err != nil {
			return err
		}
		if actor.MemberID == 0 {
			return model.ErrNotBound
		}
	} else {
		pass, err := w.screens.codes.readPass(w.pass)
		if err != nil || pass[0] != w.id {
			return model.ErrScreenPass
		}
		versions = boards.cache.get(ctx, boardVersionKey(w.id), treeVersionKey)
	}
	version := versions[0] + "/" + versions[1]
	patience := screenRecount
	if versions[0] == "" {
		patience = screenBlind
	}
	if w.copy == nil || marked || version != w.version || w.looks-w.counted >= patience {
		made, err := boards.current(ctx, w.id, version, marked)
		if err != nil {
			return err
		}
		w.copy, w.version, w.counted = made, version, w.looks
	}
	board := &w.copy.Board
	if actor == nil {
		if w.pass != w.screens.codes.screenPass(w.id, w.copy.Screen.CodeEpoch, w.copy.Screen.ScreenEpoch) || !w.screens.now().Before(w.copy.Screen.EndsAt.Add(screenGrace)) {
			return model.ErrScreenPass
		}
	} else {
		var err error
		if board, err = boards.allowed(ctx, actor, w.copy, 0); err != nil {
			return err
		}
	}
	w.tell(board, actor == nil)
	return nil
}

// tell queues what the viewer does not know yet.
func (w *BoardStream) tell(board *Board, withCode bool) {
	if w.shown != board {
		w.shown = board
		w.pending = append(w.pending, ScreenEvent{"board", w.copy.drawn(board, w.screens.codes.settings.Zone)})
	}
	switch board.Status {
	case model.Cancelled:
		w.end(string(board.Status), "活动已取消")
		return
	case model.Closed:
		w.end(string(board.Status), "活动已结束")
		return
	}
	if !withCode {
		return
	}
	at := w.copy.Screen
	now := w.screens.now()
	code, changes := w.screens.codes.screen(w.id, at.CodeEpoch, now)
	digits, digitsChange := w.screens.codes.typed(w.id, at.CodeEpoch, now)
	if code == w.code && digits == w.digits {
		return
	}
	drawn, err := drawQR(w.screens.url + "/c/" + code)
	if err != nil {
		return // a code of fixed length always fits
	}
	w.code, w.digits = code, digits
	drawn.Digits, drawn.ChangesInMS, drawn.DigitsChangesMS = digits, changes.Sub(now).Milliseconds(), digitsChange.Sub(now).Milliseconds()
	drawn.OpensInMS = max(0, at.OpensAt.Sub(now).Milliseconds())
	w.pending = append(w.pending, ScreenEvent{"code", drawn})
}

// screenFacts is what a copy of a board keeps for the big screen.
type screenFacts struct {
	ShowNames   bool      `json:"show_names"`
	CodeEpoch   uint32    `json:"code_epoch"`
	ScreenEpoch uint32    `json:"screen_epoch"`
	Place       string    `json:"place"`
	StartsAt    time.Time `json:"starts_at"`
	EndsAt      time.Time `json:"ends_at"`
	OpensAt     time.Time `json:"opens_at"`
	ClosesAt    time.Time `json:"closes_at"`
}

// drawn is the board, which belongs to the copy, as the hall may read it.
func (c *boardCopy) drawn(b *Board, zone *time.Location) ScreenBoard {
	at := c.Screen
	out := ScreenBoard{Board: *b, Place: at.Place, StartsAt: at.StartsAt.In(zone), EndsAt: at.EndsAt.In(zone), OpensAt: at.OpensAt.In(zone), ClosesAt: at.ClosesAt.In(zone)}
	out.Arrivals = make([]BoardArrival, len(b.Arrivals))
	for i, a := range b.Arrivals {
		if !at.ShowNames {
			a.Name = model.SurnameOnly(a.Name)
		}
		a.At = a.At.In(zone)
		out.Arrivals[i] = a
	}
	return out
}

// readPass proves a screen pass: the activity and both epochs.
func (c codes) readPass(pass string) ([]uint64, error) {
	numbers, ok := c.read("screen_pass", "", passSize, pass, 3)
	if !ok {
		return nil, model.ErrScreenPass
	}
	return numbers, nil
}

// drawQR draws a code as the path of an SVG, one unit for each module.
func drawQR(text string) (*ScreenQR, error) {
	code, err := qrcode.New(text, qrcode.Medium)
	if err != nil {
		return nil, fmt.Errorf("draw code: %w", err)
	}
	rows := code.Bitmap()
	var path strings.Builder
	for y, row := range rows {
		for x := 0; x < len(row); x++ {
			from := x
			for x < len(row) && row[x] {
				x++
			}
			if x > from {
				fmt.Fprintf(&path, "M%d %dh%dv1H%dz", from, y, x-from, from)
			}
		}
	}
	return &ScreenQR{QR: path.String(), Size: len(rows)}, nil
}
