package model

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestAResolutionNeedsHalfOfThoseWhoShouldAttendAndNotOfThoseWhoCame(t *testing.T) {
	for _, c := range []struct {
		name                       string
		kind                       VoteKind
		expected, present, written int
		yes, no, abstain           int
		valid, passed              bool
		sentence                   string
	}{
		{"as the rule has it", Resolution, 20, 16, 0, 11, 3, 2, true, true, "应到有表决权 20 人，实到 16 人，赞成 11 票，反对 3 票，弃权 2 票，赞成超过应到会人数的半数，通过"},
		{"half of those expected is too few", Resolution, 20, 16, 0, 10, 0, 6, true, false, "赞成没有超过应到会人数的半数，未通过"},
		{"most of those who came are not most of those expected", Resolution, 20, 11, 0, 10, 1, 0, true, false, "未通过"},
		{"all of those who came", Resolution, 20, 11, 0, 11, 0, 0, true, true, "通过"},
		{"exactly half came", Resolution, 20, 10, 0, 10, 0, 0, false, false, "到会没有超过半数，表决无效"},
		{"an odd number", Resolution, 21, 11, 0, 11, 0, 0, true, true, "通过"},
		{"an odd number, one too few", Resolution, 21, 11, 0, 10, 1, 0, true, false, "未通过"},
		{"one member", Resolution, 1, 1, 0, 1, 0, 0, true, true, "通过"},
		{"nobody has the vote", Resolution, 0, 0, 0, 0, 0, 0, false, false, "表决无效"},
		{"written opinions count in an admission", Admission, 20, 12, 3, 11, 2, 2, true, true, "书面意见 3 份，赞成 11 票"},
		{"they do not make up for people at the meeting", Admission, 20, 10, 5, 15, 0, 0, false, false, "表决无效"},
		{"so do they when somebody becomes a full member", FullMembership, 9, 5, 1, 5, 1, 0, true, true, "通过"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := &Vote{Kind: c.kind, Secret: c.kind != Resolution, Expected: c.expected, Present: c.present, Written: c.written, Ballots: Ballots{c.yes, c.no, c.abstain}}
			if err := v.Check(nil); err != nil {
				t.Fatal(err)
			}
			if d := v.Decide(nil); d.Valid != c.valid || d.Passed != c.passed {
				t.Errorf("got %+v", d)
			}
			if got := v.Sentence(nil, nil); !strings.Contains(got, c.sentence) {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestAnElectionNeedsFourFifthsAndElectsByMoreThanHalfOfThosePresent(t *testing.T) {
	names := map[uint64]string{1: "丁一", 2: "丁二", 3: "丁三", 4: "丁四", 5: "丁五"}
	for _, c := range []struct {
		name                     string
		expected, present, seats int
		yes                      []int // of members 1, 2, …
		valid, passed            bool
		elected, tied            []uint64
		open                     int
		sentence                 string
	}{
		{"four fifths is enough", 20, 16, 2, []int{15, 9, 8}, true, true, []uint64{1, 2}, nil, 0, "达到五分之四，选举有效；丁一 15 票、丁二 9 票，超过到会人数的半数，当选"},
		{"one fewer is not", 20, 15, 1, []int{15, 0}, false, false, nil, nil, 1, "不足五分之四，选举无效"},
		{"four fifths of eleven is nine", 11, 9, 1, []int{9}, true, true, []uint64{1}, nil, 0, "当选"},
		{"and not eight", 11, 8, 1, []int{8}, false, false, nil, nil, 1, "选举无效"},
		{"half of those present is too few", 10, 10, 2, []int{8, 5, 4}, true, false, []uint64{1}, nil, 1, "选举有效；丁一 8 票，超过到会人数的半数，当选；还有 1 个名额没有选出，应当另行选举"},
		{"more than the seats over half: those with the most", 10, 10, 2, []int{6, 9, 7}, true, true, []uint64{2, 3}, nil, 0, "选举有效；丁二 9 票、丁三 7 票，超过到会人数的半数，当选"},
		{"a tie at the edge", 10, 10, 2, []int{9, 6, 6}, true, false, []uint64{1}, []uint64{2, 3}, 1, "选举有效；丁一 9 票，超过到会人数的半数，当选；丁二 6 票、丁三 6 票，票数相等，应当就他们再次投票"},
		{"a tie above the edge", 10, 10, 2, []int{8, 8, 6}, true, true, []uint64{1, 2}, nil, 0, "当选"},
		{"a tie of all", 10, 10, 1, []int{6, 6, 6}, true, false, nil, []uint64{1, 2, 3}, 1, "选举有效；丁一 6 票、丁二 6 票、丁三 6 票，票数相等，应当就他们再次投票"},
		{"a tie of four for two seats after one", 10, 10, 3, []int{9, 6, 6, 6, 6}, true, false, []uint64{1}, []uint64{2, 3, 4, 5}, 2, "再次投票"},
		{"a tie below half is none", 10, 10, 2, []int{9, 5, 5}, true, false, []uint64{1}, nil, 1, "另行选举"},
		{"nobody has the vote", 0, 0, 1, []int{0}, false, false, nil, nil, 1, "选举无效"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := &Vote{Kind: Election, Secret: true, Expected: c.expected, Present: c.present, Seats: c.seats}
			var candidates []VoteCandidate
			for i, yes := range c.yes {
				candidates = append(candidates, VoteCandidate{MemberID: uint64(i + 1), Ballots: Ballots{Yes: yes}})
			}
			d := v.Decide(candidates)
			if d.Valid != c.valid || d.Passed != c.passed || !slices.Equal(d.Elected, c.elected) || !slices.Equal(d.Tied, c.tied) || d.Open != c.open {
				t.Errorf("got %+v", d)
			}
			if got := v.Sentence(candidates, names); !strings.HasSuffix(got, c.sentence) {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestCountsThatDoNotAddUpAreRefused(t *testing.T) {
	two := func(a, b Ballots) []VoteCandidate {
		return []VoteCandidate{{MemberID: 1, Ballots: a}, {MemberID: 2, Ballots: b}}
	}
	for _, c := range []struct {
		name       string
		vote       Vote
		candidates []VoteCandidate
		want       *Error
	}{
		{"more ballots than people", Vote{Kind: Resolution, Expected: 9, Present: 5, Ballots: Ballots{4, 1, 1}}, nil, ErrVoteNumbers},
		{"as many ballots as people", Vote{Kind: Resolution, Expected: 9, Present: 5, Ballots: Ballots{4, 1, 0}}, nil, nil},
		{"somebody did not vote", Vote{Kind: Resolution, Expected: 9, Present: 5, Ballots: Ballots{3, 1, 0}}, nil, nil},
		{"an open vote on an admission", Vote{Kind: Admission, Expected: 9, Present: 5, Ballots: Ballots{Yes: 5}}, nil, ErrVoteSecret},
		{"an open vote on a full member", Vote{Kind: FullMembership, Expected: 9, Present: 5, Ballots: Ballots{Yes: 5}}, nil, ErrVoteSecret},
		{"more written opinions than absent", Vote{Kind: Admission, Secret: true, Expected: 9, Present: 5, Written: 5, Ballots: Ballots{Yes: 9}}, nil, ErrVoteWritten.With("absent", 4)},
		{"as many written opinions as absent, and ballots", Vote{Kind: Admission, Secret: true, Expected: 9, Present: 5, Written: 4, Ballots: Ballots{Yes: 9}}, nil, nil},
		{"ballots and written opinions", Vote{Kind: Admission, Secret: true, Expected: 9, Present: 5, Written: 2, Ballots: Ballots{Yes: 8}}, nil, ErrVoteNumbers},
		{"a resolution in writing", Vote{Kind: Resolution, Expected: 9, Present: 5, Written: 1, Ballots: Ballots{Yes: 5}}, nil, BadField("written", "")},
		{"a resolution with candidates", Vote{Kind: Resolution, Expected: 9, Present: 5}, two(Ballots{}, Ballots{}), BadField("candidates", "")},
		{"a resolution with seats", Vote{Kind: Resolution, Expected: 9, Present: 5, Seats: 1}, nil, BadField("candidates", "")},
		{"an election in writing", Vote{Kind: Election, Secret: true, Expected: 9, Present: 8, Seats: 1, Written: 1}, two(Ballots{}, Ballots{}), BadField("yes", "")},
		{"as many seats as candidates", Vote{Kind: Election, Secret: true, Expected: 9, Present: 9, Seats: 2}, two(Ballots{Yes: 9}, Ballots{Yes: 9}), nil},
		{"an election by hands", Vote{Kind: Election, Expected: 9, Present: 9, Seats: 1}, two(Ballots{Yes: 9}, Ballots{}), ErrVoteSecret},
		{"a candidate with more than everybody", Vote{Kind: Election, Secret: true, Expected: 9, Present: 9, Seats: 1}, two(Ballots{8, 1, 1}, Ballots{}), ErrVoteNumbers},
		{"a candidate of whom everybody said something", Vote{Kind: Election, Secret: true, Expected: 9, Present: 9, Seats: 1}, two(Ballots{5, 3, 1}, Ballots{}), nil},
		{"more marks than seats", Vote{Kind: Election, Secret: true, Expected: 9, Present: 9, Seats: 1}, two(Ballots{Yes: 6}, Ballots{Yes: 4}), ErrVoteSeats.With("yes", 10).With("most", 9)},
		{"as many marks as seats", Vote{Kind: Election, Secret: true, Expected: 9, Present: 9, Seats: 1}, two(Ballots{Yes: 6}, Ballots{Yes: 3}), nil},
		{"more seats than candidates", Vote{Kind: Election, Secret: true, Expected: 9, Present: 9, Seats: 3}, two(Ballots{}, Ballots{}), BadField("candidates", "")},
		{"no seats", Vote{Kind: Election, Secret: true, Expected: 9, Present: 9}, two(Ballots{}, Ballots{}), BadField("seats", "")},
		{"counts beside the candidates", Vote{Kind: Election, Secret: true, Expected: 9, Present: 9, Seats: 1, Ballots: Ballots{Yes: 1}}, two(Ballots{}, Ballots{}), BadField("yes", "")},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.vote.Check(c.candidates)
			if c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			var refused *Error
			if errors.As(err, &refused) && c.want.Details != nil && !maps.Equal(refused.Details, c.want.Details) {
				t.Errorf("says %v, want %v", refused.Details, c.want.Details)
			}
		})
	}
}
