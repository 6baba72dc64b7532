package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
)

// ballot is what the API says of a vote.
type ballot struct {
	Expected int    `json:"expected"`
	Present  int    `json:"present"`
	Yes      int    `json:"yes"`
	Valid    bool   `json:"valid"`
	Passed   bool   `json:"passed"`
	Sentence string `json:"sentence"`
}

const plan = "年度工作计划"

// vote is a resolution that fails although most of those present are for it,
// and a secret ballot that passes.
func (m *assembly) vote(ctx context.Context) error {
	m.Chapter("表决：一次没有通过，一次通过")
	m.turn("15:00")
	if err := m.signIn(ctx, m.secretary); err != nil { // the subject is checked for whoever used the mini-program lately
		return err
	}
	probationary, voters := m.size()-m.voters(), m.want.VotersPresent
	a, err := m.ask(ctx, m.secretary, http.MethodPost, m.path("/votes"),
		map[string]any{"subject": plan, "kind": "resolution", "yes": voters, "no": probationary, "nonce": rand.Text()})
	if err != nil {
		return err
	}
	m.Refused(fmt.Sprintf("举手时 %d 位预备党员也举了：票比能投票的人多", probationary), a, "vote_numbers", Is("告知能投票的人数", a.Details["present"], any(float64(voters))))

	half := m.want.VotersExpected / 2
	failed, err := m.castVote(ctx, plan, "resolution", map[string]any{"yes": half, "no": voters - half - 2, "abstain": 2})
	if err != nil {
		return err
	}
	m.told("重新数过，到会的人多数赞成，仍没有通过：要超过应到会人数的一半", failed, voters, false)

	m.turn("15:10")
	candidate := m.guests[len(m.guests)-1]
	subject := candidate.Name + "同志按期转正"
	a, err = m.ask(ctx, m.secretary, http.MethodPost, m.path("/votes"), map[string]any{"subject": subject, "kind": "full_membership", "yes": voters, "nonce": rand.Text()})
	if err != nil {
		return err
	}
	m.Refused("表决 "+candidate.Name+" 转正，书记忘了选无记名", a, "vote_secret")
	passed, err := m.castVote(ctx, subject, "full_membership", map[string]any{"secret": true, "written": 1, "yes": voters, "no": 1})
	if err != nil {
		return err
	}
	m.told(fmt.Sprintf("发票、收票，只记票数，不记谁投了什么；%s 会前交来的书面意见算一票", m.guests[away].Name), passed, voters, true)
	return nil
}

// castVote puts the count of a vote on record.
func (m *assembly) castVote(ctx context.Context, subject, kind string, counts map[string]any) (ballot, error) {
	in := map[string]any{"subject": subject, "kind": kind, "nonce": rand.Text()}
	maps.Copy(in, counts)
	return must[ballot](ctx, m.Story, m.secretary, http.MethodPost, m.path("/votes"), in)
}

// told tells a vote in which so many voters took part, and its outcome.
func (m *assembly) told(text string, b ballot, present int, passed bool) {
	m.Did(text, Is("应到有表决权的", b.Expected, m.want.VotersExpected), Is("实到有表决权的", b.Present, present),
		Is("有效", b.Valid, true), Is("通过", b.Passed, passed))
	m.Note(b.Sentence)
}
