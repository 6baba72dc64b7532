package model

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Refusals of votes.
var (
	ErrVoteNotFound  = &Error{Kind: NotFound, Code: "vote_not_found", Message: "没有这次表决，请刷新后再试"}
	ErrVoteNumbers   = &Error{Kind: Conflict, Code: "vote_numbers", Message: "票数对不上：赞成、反对、弃权合计比能投票的人多，请核对票数和到会名单"}
	ErrVoteWritten   = &Error{Kind: Conflict, Code: "vote_written", Message: "书面意见比没有到会的有表决权党员多，请核对"}
	ErrVoteSeats     = &Error{Kind: Conflict, Code: "vote_seats", Message: "赞成票合计超过了“应选名额×到会人数”，有选票多选了人，请剔除废票后再填"}
	ErrVoteSecret    = &Error{Kind: Invalid, Code: "vote_secret", Message: "选举、接收预备党员和转正应当采用无记名投票"}
	ErrVoteCandidate = &Error{Kind: Conflict, Code: "vote_candidate", Message: "候选人应当是会议名单中的正式党员"}
)

// VoteKind is what is decided, which says by what rule.
type VoteKind string

// The kinds of vote. The source of each rule is at Decide.
const (
	Resolution     VoteKind = "resolution"      // 一般议题
	Admission      VoteKind = "admission"       // 接收预备党员
	FullMembership VoteKind = "full_membership" // 预备党员转正
	Election       VoteKind = "election"        // 选举
)

// VoteKindNames are the words people use, by kind.
var VoteKindNames = map[VoteKind]string{Resolution: "议题表决", Admission: "接收预备党员", FullMembership: "预备党员转正", Election: "选举"}

// Ballots are counts, never who voted how.
type Ballots struct {
	Yes     int `gorm:"column:in_favour" json:"yes" required:"false" minimum:"0" maximum:"100000" doc:"赞成"`
	No      int `gorm:"column:against" json:"no" required:"false" minimum:"0" maximum:"100000" doc:"反对"`
	Abstain int `gorm:"column:abstained" json:"abstain" required:"false" minimum:"0" maximum:"100000" doc:"弃权"`
}

// Cast is how many they are.
func (b Ballots) Cast() int { return b.Yes + b.No + b.Abstain }

// Vote is one vote of a meeting. Expected and Present count members with the
// right to vote, as roster and attendances had them when it was recorded. A
// vote is never changed: it is annulled, with the reason, and recorded anew.
type Vote struct {
	ID          uint64
	ActivityID  uint64
	PartnerID   uint64 // the branch that joined the meeting and voted for itself; 0: the host
	Subject     string
	Kind        VoteKind
	Secret      bool
	Seats       int // of an election
	Expected    int
	Present     int
	Written     int // opinions that absent members had handed in before, within the ballots
	Ballots     `gorm:"embedded"`
	RecordedBy  uint64
	RecordedAt  time.Time
	AnnulledBy  *uint64
	AnnulledAt  *time.Time
	AnnulReason string
	Once        `gorm:"embedded"`
}

// VoteCandidate is what somebody got in an election.
type VoteCandidate struct {
	VoteID   uint64 `gorm:"primaryKey;autoIncrement:false"`
	MemberID uint64 `gorm:"primaryKey;autoIncrement:false"`
	Ballots  `gorm:"embedded"`
}

// Check refuses what cannot be a count of this vote: more ballots than people,
// an open ballot where the law wants a secret one.
func (v *Vote) Check(candidates []VoteCandidate) error {
	if v.Kind != Resolution && !v.Secret {
		return ErrVoteSecret
	}
	if v.Kind == Election {
		return v.checkElection(candidates)
	}
	mayWrite := v.Kind == Admission || v.Kind == FullMembership
	switch {
	case len(candidates) > 0 || v.Seats != 0:
		return BadField("candidates", "只有选举才填候选人和应选名额")
	case v.Written > 0 && !mayWrite:
		return BadField("written", "只有接收预备党员和转正才计入书面意见")
	case v.Written > v.Expected-v.Present:
		return ErrVoteWritten.With("absent", v.Expected-v.Present)
	case v.Cast() > v.Present+v.Written:
		return ErrVoteNumbers.With("cast", v.Cast()).With("present", v.Present)
	}
	return nil
}

func (v *Vote) checkElection(candidates []VoteCandidate) error {
	yes := 0
	for _, c := range candidates {
		if c.Cast() > v.Present {
			return ErrVoteNumbers.With("member_id", c.MemberID).With("cast", c.Cast()).With("present", v.Present)
		}
		yes += c.Yes
	}
	switch {
	case v.Cast() > 0, v.Written > 0:
		return BadField("yes", "选举的票数请填在每位候选人名下")
	case v.Seats < 1:
		return BadField("seats", "请填写应选名额")
	case v.Seats > len(candidates):
		return BadField("candidates", "候选人不能少于应选名额")
	case yes > v.Seats*v.Present:
		return ErrVoteSeats.With("yes", yes).With("most", v.Seats*v.Present)
	}
	return nil
}

// Outcome is what a vote means.
type Outcome struct {
	Valid   bool     `json:"valid" doc:"到会人数够，表决有效"`
	Passed  bool     `json:"passed" doc:"通过；选举为应选名额全部选出"`
	Elected []uint64 `json:"elected" doc:"当选的人，得票多的在前"`
	Tied    []uint64 `json:"tied" doc:"票数相等、不能确定当选，应当再次投票的人"`
	Open    int      `json:"open" doc:"还没有选出的名额"`
}

// Decide applies the rule of the vote's kind.
//
// A resolution needs more than half of the voting members present, and yes from
// more than half of those who should attend, not of those who came
// (支部工作条例 art 11). The text says 半数以上 of who must be there, which can be
// read to include exactly half; by the same half nothing can pass then, so both
// readings decide alike.
//
// To admit a probationary member, or to make one a full member, takes the same
// by secret ballot, and the written opinions that absent voting members handed
// in before the meeting count as votes (发展党员工作细则, on the branch assembly's
// discussion; that on 转正 refers to it). There the two readings of exactly half
// differ and need a ruling; until then it is too few.
//
// An election needs four fifths of those who should attend. Elected is who has
// more than half of those present; where they are more than the seats, those
// with the most; where it ends in a tie, the tied are voted on again
// (中国共产党基层组织选举工作条例, chapter 4).
func (v *Vote) Decide(candidates []VoteCandidate) Outcome {
	if v.Kind == Election {
		return v.elect(candidates)
	}
	d := Outcome{Valid: 2*v.Present > v.Expected, Elected: []uint64{}, Tied: []uint64{}}
	d.Passed = d.Valid && 2*v.Yes > v.Expected
	return d
}

func (v *Vote) elect(candidates []VoteCandidate) Outcome {
	d := Outcome{Valid: v.Expected > 0 && 5*v.Present >= 4*v.Expected, Elected: []uint64{}, Tied: []uint64{}, Open: v.Seats}
	if !d.Valid {
		return d
	}
	over := slices.DeleteFunc(slices.Clone(candidates), func(c VoteCandidate) bool { return 2*c.Yes <= v.Present })
	slices.SortFunc(over, func(a, b VoteCandidate) int {
		return cmp.Or(cmp.Compare(b.Yes, a.Yes), cmp.Compare(a.MemberID, b.MemberID))
	})
	for i, c := range over {
		switch edge := len(over) > v.Seats && c.Yes == over[v.Seats-1].Yes && over[v.Seats].Yes == c.Yes; {
		case edge:
			d.Tied = append(d.Tied, c.MemberID)
		case i < v.Seats:
			d.Elected = append(d.Elected, c.MemberID)
		}
	}
	d.Open = v.Seats - len(d.Elected)
	d.Passed = d.Open == 0
	return d
}

// Sentence says the vote and its outcome as minutes do. Names are those of the
// candidates.
func (v *Vote) Sentence(candidates []VoteCandidate, names map[uint64]string) string {
	d := v.Decide(candidates)
	if v.Kind == Election {
		return v.electionSentence(d, candidates, names)
	}
	text := fmt.Sprintf("应到有表决权 %d 人，实到 %d 人，", v.Expected, v.Present)
	if v.Written > 0 {
		text += fmt.Sprintf("书面意见 %d 份，", v.Written)
	}
	text += fmt.Sprintf("赞成 %d 票，反对 %d 票，弃权 %d 票，", v.Yes, v.No, v.Abstain)
	switch {
	case !d.Valid:
		return text + "到会没有超过半数，表决无效"
	case d.Passed:
		return text + "赞成超过应到会人数的半数，通过"
	}
	return text + "赞成没有超过应到会人数的半数，未通过"
}

func (v *Vote) electionSentence(d Outcome, candidates []VoteCandidate, names map[uint64]string) string {
	text := fmt.Sprintf("应选 %d 人；应到有选举权 %d 人，实到 %d 人，", v.Seats, v.Expected, v.Present)
	if !d.Valid {
		return text + "不足五分之四，选举无效"
	}
	parts := []string{text + "达到五分之四，选举有效"}
	list := func(ids []uint64) string {
		said := make([]string, len(ids))
		for i, id := range ids {
			at := slices.IndexFunc(candidates, func(c VoteCandidate) bool { return c.MemberID == id })
			said[i] = fmt.Sprintf("%s %d 票", names[id], candidates[at].Yes)
		}
		return strings.Join(said, "、")
	}
	if len(d.Elected) > 0 {
		parts = append(parts, list(d.Elected)+"，超过到会人数的半数，当选")
	}
	if len(d.Tied) > 0 {
		parts = append(parts, list(d.Tied)+"，票数相等，应当就他们再次投票")
	}
	if d.Open > 0 && len(d.Tied) == 0 {
		parts = append(parts, fmt.Sprintf("还有 %d 个名额没有选出，应当另行选举", d.Open))
	}
	return strings.Join(parts, "；")
}
