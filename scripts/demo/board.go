package demo

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// tally is a meeting in numbers, as the board says it and as the story counts it.
type tally struct {
	Expected       int `json:"expected"`
	Present        int `json:"present"`
	Late           int `json:"late"`
	LeftEarly      int `json:"left_early"`
	OnLeave        int `json:"on_leave"`
	Absent         int `json:"absent"`
	Awaited        int `json:"awaited"`
	Exempt         int `json:"exempt"`
	Guests         int `json:"guests"`
	VotersExpected int `json:"voters_expected"`
	VotersPresent  int `json:"voters_present"`
	QuorumMissing  int `json:"quorum_missing"`
}

// came counts somebody who has arrived.
func (t *tally) came(who Person) { t.move(who, 1) }

// annulled counts somebody who had not arrived after all.
func (t *tally) annulled(who Person) { t.move(who, -1) }

func (t *tally) move(who Person, n int) {
	t.Present += n
	t.Awaited -= n
	if who.Votes {
		t.VotersPresent += n
	}
}

// sentence is how a secretary would say it.
func (t *tally) sentence() string {
	quorum := "已过半"
	switch n := t.missing(); {
	case t.VotersExpected == 0:
		quorum = "应到的人都没有表决权"
	case n > 0:
		quorum = fmt.Sprintf("还差 %d 人过半", n)
	}
	return fmt.Sprintf("应到 %d 实到 %d 请假 %d 可表决 %d，%s", t.Expected, t.Present, t.OnLeave, t.VotersPresent, quorum)
}

// missing is how many voters are wanting to more than half.
func (t *tally) missing() int {
	if t.VotersExpected == 0 {
		return 0
	}
	return max(0, t.VotersExpected/2+1-t.VotersPresent)
}

// like claims that got is what the story counted.
func (t *tally) like(got tally) []Claim {
	return []Claim{
		Is("应到", got.Expected, t.Expected), Is("实到", got.Present, t.Present), Is("迟到", got.Late, t.Late), Is("早退", got.LeftEarly, t.LeftEarly),
		Is("请假", got.OnLeave, t.OnLeave), Is("缺席", got.Absent, t.Absent), Is("未到", got.Awaited, t.Awaited),
		Is("不计入应到", got.Exempt, t.Exempt), Is("列席", got.Guests, t.Guests), Is("应到的有表决权党员", got.VotersExpected, t.VotersExpected),
		Is("实到的有表决权党员", got.VotersPresent, t.VotersPresent), Is("还差几人过半", got.QuorumMissing, t.missing()),
	}
}

// board is what the secretary's screen says.
type board struct {
	Tally    tally  `json:"tally"`
	Sentence string `json:"sentence"`
	Arrivals []struct {
		Name string `json:"name"`
	} `json:"arrivals"`
}

// board reads the board and claims that it says what the story has counted.
func (s *Story) board(ctx context.Context) (*answer, board, []Claim, error) {
	a, err := s.ask(ctx, s.secretary, http.MethodGet, s.path("/board"), nil)
	if err != nil {
		return nil, board{}, nil, err
	}
	b, err := read[board](a, http.MethodGet, s.path("/board"))
	return a, b, append(s.want.like(b.Tally), Is("统计的那句话", b.Sentence, s.want.sentence()),
		Is("最近到会的人数", len(b.Arrivals), min(10, s.want.Present))), err
}

// look is the secretary glancing at the board, twice.
func (s *Story) look(ctx context.Context) error {
	a, b, claims, err := s.board(ctx)
	if err != nil {
		return err
	}
	again, err := s.ask(ctx, s.secretary, http.MethodGet, s.path("/board"), nil, "If-None-Match", a.Header.Get("ETag"))
	if err != nil {
		return err
	}
	s.Did("看会场统计；马上再看一次：没有变化，回答 304，不费流量",
		append(claims, Is("没有变化时再看一次", again.Status, http.StatusNotModified), Is("再看一次的字节数", len(again.Body), 0))...)
	s.drawBoard(b)
	return nil
}

func (s *Story) drawBoard(b board) {
	t := b.Tally
	s.Note(s.paint(green, strings.Repeat("█", t.Present)) + s.paint(faint, strings.Repeat("░", t.Expected-t.Present)))
	s.Note(b.Sentence)
}

// counted tells a step and that the board says what it should after it.
func (s *Story) counted(ctx context.Context, text string, claims ...Claim) error {
	_, b, same, err := s.board(ctx)
	if err != nil {
		return err
	}
	s.Did(text, append(claims, same...)...)
	s.Note(b.Sentence)
	return nil
}
