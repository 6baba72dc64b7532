package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
)

// What the story reads of checking out.
type (
	stay struct {
		Minutes   int    `json:"minutes"`
		Enough    bool   `json:"enough"`
		EnoughAt  string `json:"enough_at"`
		LeftEarly bool   `json:"left_early"`
		Message   string `json:"message"`
	}
	moved struct {
		Minutes   int    `json:"minutes"`
		Enough    bool   `json:"enough"`
		LeftEarly bool   `json:"left_early"`
		Flag      string `json:"flag"`
		Message   string `json:"message"`
	}
)

// leave is one who leaves early, a vote after that, and everybody going home.
func (m *assembly) leave(ctx context.Context) error {
	m.Chapter("早退、签退、散会")
	m.turn("15:20")
	who := m.guests[hurried]
	before, err := m.stay(ctx, who)
	if err != nil {
		return err
	}
	m.Did(who.Name+" 要去接孩子，先看现在走行不行：走之前就说清楚", Is("在场的分钟数", before.Minutes, 50), Is("够了", before.Enough, false),
		Is("几点够", m.local(before.EnoughAt), "16:00"), Is("现在走算早退", before.LeftEarly, true))
	m.Note(before.Message)
	out, err := m.checkOut(ctx, []*phone{who})
	if err != nil {
		return err
	}
	m.want.LeftEarly++
	if err := m.counted(ctx, who.Name+" 还是得走，扫码签退，记为早退", Is("记下的分钟数", out[0].Minutes, 50), Is("计学时", out[0].Enough, false), Is("记为早退", out[0].LeftEarly, true)); err != nil {
		return err
	}
	m.turn("15:40")
	m.want.VotersPresent-- // who has left does not vote
	left := m.want.VotersPresent
	again, err := m.castVote(ctx, plan+"（修改稿）", "resolution", map[string]any{"yes": left - 6, "no": 4, "abstain": 2})
	if err != nil {
		return err
	}
	m.told(fmt.Sprintf("计划改好再表决，通过了；%s 已经走了，不算在场", who.Name), again, left, true)
	if err := m.goHome(ctx); err != nil {
		return err
	}
	m.turn("16:31")
	return m.end(ctx)
}

// goHome is everybody checking out, as far as they think of it.
func (m *assembly) goHome(ctx context.Context) error {
	m.turn("16:25")
	careless := m.guests[unscanned]
	out, err := m.checkOut(ctx, []*phone{careless})
	if err != nil {
		return err
	}
	m.Did(fmt.Sprintf("委员 %s 签退时才知道没有签到：会前忙着发选票，忘了扫", careless.Name), Is("标记", out[0].Flag, "no_check_in"), Is("计学时", out[0].Enough, false))
	m.Note(out[0].Message)

	some := []*phone{m.secretary}
	for i, who := range m.guests {
		if !slices.Contains([]int{unscanned, away, flat, rightful, hurried, leaving, unheard, elder}, i) {
			some = append(some, who)
		}
	}
	if out, err = m.checkOut(ctx, some); err != nil {
		return err
	}
	ticked := append(slices.Clone(m.elderID), m.guests[flat].memberID, m.guests[rightful].memberID)
	for _, id := range ticked {
		one, err := must[moved](ctx, m.Story, m.secretary, http.MethodPost, m.path("/movements"), map[string]any{"member_id": id, "direction": "out", "nonce": rand.Text()})
		if err != nil {
			return err
		}
		out = append(out, one)
	}
	enough, early := 0, 0
	for _, o := range out {
		if o.Enough {
			enough++
		}
		if o.LeftEarly {
			early++
		}
	}
	return m.counted(ctx, fmt.Sprintf("散会：%d 人扫屏幕上的码签退，书记替没有手机的 %d 人勾；%s 忘了", len(some), len(ticked), m.guests[leaving].Name),
		Is("计学时的", enough, len(some)+len(ticked)), Is("早退的", early, 0), Is("准时到的在场分钟数", out[0].Minutes, 115))
}

// stay is what somebody's phone says before they leave.
func (m *assembly) stay(ctx context.Context, who *phone) (stay, error) {
	return must[stay](ctx, m.Story, who, http.MethodGet, m.path("/stay"), nil)
}

// checkOut is all of them scanning what the screen shows now.
func (m *assembly) checkOut(ctx context.Context, people []*phone) ([]moved, error) {
	shown, err := m.screen(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]moved, len(people))
	return out, each(people, func(i int, who *phone) (err error) {
		out[i], err = must[moved](ctx, m.Story, who, http.MethodPost, "/v1/check-outs", map[string]any{"code": shown.Code, "nonce": rand.Text()})
		return err
	})
}
