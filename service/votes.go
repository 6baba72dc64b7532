package service

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"dangri/model"
)

// Votes is what a meeting decided by ballot: counts, never who voted how.
type Votes struct {
	db       *gorm.DB
	platform Platform
	now      func() time.Time
}

// VoteInput is the count of a vote as it was announced. Who should have voted
// and who was there is not asked: roster and attendances say it.
type VoteInput struct {
	Subject    string           `json:"subject" minLength:"2" maxLength:"100" doc:"表决的事项"`
	Kind       model.VoteKind   `json:"kind" enum:"resolution,admission,full_membership,election" doc:"表决的种类：resolution 一般议题，admission 接收预备党员，full_membership 转正，election 选举"`
	Secret     bool             `json:"secret,omitempty" doc:"无记名投票"`
	VotedAt    *time.Time       `json:"voted_at,omitempty" doc:"什么时候表决的，用来算谁已经签退离开；当场登记的不用给，会后登记而不给就按散会时在场的人算"`
	Written    int              `json:"written,omitempty" minimum:"0" maximum:"100000" doc:"接收预备党员、转正：没有到会的党员会前书面意见的份数，已含在票数内"`
	Seats      int              `json:"seats,omitempty" minimum:"0" maximum:"50" doc:"应选名额：选举时填"`
	Candidates []CandidateInput `json:"candidates,omitempty" maxItems:"100" doc:"候选人：选举时各自的票数"`
	model.Ballots
	Nonce string `json:"nonce" minLength:"8" maxLength:"64" pattern:"^[0-9A-Za-z_-]+$" doc:"提交编号：每次登记生成一次，重试时不变"`
}

// CandidateInput is what one candidate got.
type CandidateInput struct {
	MemberID uint64 `json:"member_id" minimum:"1" maximum:"9007199254740991" doc:"候选人"`
	model.Ballots
}

// VoteView is a vote with what it means.
type VoteView struct {
	ID       uint64         `json:"id"`
	Subject  string         `json:"subject"`
	Kind     model.VoteKind `json:"kind"`
	KindName string         `json:"kind_name"`
	Secret   bool           `json:"secret"`
	Expected int            `json:"expected" doc:"应到有表决权的人数，登记时由名单得出"`
	Present  int            `json:"present" doc:"实到有表决权的人数，登记时由签到得出；表决前已经签退离开的不算"`
	Written  int            `json:"written" doc:"书面意见"`
	Seats    int            `json:"seats" doc:"应选名额"`
	model.Ballots
	Candidates []CandidateView `json:"candidates"`
	model.Outcome
	Sentence    string     `json:"sentence" doc:"结果，可以直接写进会议记录"`
	RecordedBy  string     `json:"recorded_by"`
	RecordedAt  time.Time  `json:"recorded_at"`
	AnnulledBy  string     `json:"annulled_by,omitempty" doc:"谁作废的；没有就是有效"`
	AnnulledAt  *time.Time `json:"annulled_at"`
	AnnulReason string     `json:"annul_reason,omitempty"`
}

// CandidateView is what one candidate got.
type CandidateView struct {
	MemberID uint64 `json:"member_id"`
	Name     string `json:"name"`
	model.Ballots
}

// Record puts a vote of a meeting on record, from the meeting's start on and
// after its closing too. How many should have voted and were there is counted
// from roster and attendances of this moment, and who had checked out before the
// vote was not there; counts that exceed them are refused. Validity and outcome
// follow the rule of its kind. The members read the subject, so it passes
// WeChat's content check first. Branches that meet together vote each for itself,
// among its own members. A retry answers with the first.
func (s *Votes) Record(ctx context.Context, actor *model.Actor, activityID, branchID uint64, in VoteInput) (*VoteView, error) {
	now := s.now()
	subject := cleanLine(in.Subject)
	if utf8.RuneCountInString(subject) < 2 {
		return nil, model.BadField("subject", "请写明表决的事项")
	}
	once, err := onceOf(in.Nonce, in)
	if err != nil {
		return nil, err
	}
	if first, err := s.checkSubject(ctx, actor, activityID, branchID, subject, once, now); first != nil || err != nil {
		return first, err
	}
	var at side
	view, err := inTx(ctx, s.db, func(tx *gorm.DB) (*VoteView, error) {
		a, all, err := holdJointly(tx, actor, activityID)
		if err != nil {
			return nil, err
		}
		if at, err = all.first(branchID, actor.Conducts); err != nil {
			return nil, err
		}
		if first, err := firstVote(tx, activityID, at, once); first != nil || err != nil {
			return first, err
		}
		if err := a.Record(now); err != nil {
			return nil, err
		}
		seats, err := seatsAt(tx, a)
		if err != nil {
			return nil, err
		}
		seats = all.pick(part{side: &at}, seats)
		candidates, err := candidatesOf(seats, in.Candidates)
		if err != nil {
			return nil, err
		}
		moment, err := votedAt(a, in.VotedAt, now)
		if err != nil {
			return nil, err
		}
		t := tally(a, seats, moment)
		v := &model.Vote{ActivityID: activityID, PartnerID: at.partner, Subject: subject, Kind: in.Kind, Secret: in.Secret, Seats: in.Seats,
			Expected: t.VotersExpected, Present: t.VotersPresent, Written: in.Written, Ballots: in.Ballots,
			RecordedBy: actor.MemberID, RecordedAt: now, Once: once}
		if err := v.Check(candidates); err != nil {
			return nil, err
		}
		if err := tx.Create(v).Error; err != nil {
			return nil, fmt.Errorf("record vote of activity %d: %w", activityID, err)
		}
		for i := range candidates {
			candidates[i].VoteID = v.ID
		}
		if len(candidates) > 0 {
			if err := tx.Create(&candidates).Error; err != nil {
				return nil, fmt.Errorf("record candidates of vote %d: %w", v.ID, err)
			}
		}
		if err := auditBy(tx, now, actor, "record_vote", "vote", v.ID, "ok", map[string]any{"activity_id": activityID}); err != nil {
			return nil, err
		}
		return voteView(tx, v.ID)
	})
	if !errors.Is(err, gorm.ErrDuplicatedKey) {
		return view, err
	}
	return firstVote(s.db.WithContext(ctx), activityID, at, once)
}

// checkSubject has the subject of a vote checked that is to be recorded, or
// answers with the vote that an earlier try recorded.
func (s *Votes) checkSubject(ctx context.Context, actor *model.Actor, activityID, branchID uint64, subject string, once model.Once, now time.Time) (*VoteView, error) {
	db := s.db.WithContext(ctx)
	a, all, err := jointly(db, actor, activityID)
	if err != nil {
		return nil, err
	}
	if !all.conducted(actor) {
		return nil, model.ErrNotConductor
	}
	at, err := all.first(branchID, actor.Conducts)
	if err != nil {
		return nil, err
	}
	if first, err := firstVote(db, activityID, at, once); first != nil || err != nil {
		return first, err
	}
	if err := a.Record(now); err != nil {
		return nil, err
	}
	return nil, checkText(ctx, s.platform, actor, subject)
}

// votedAt is the moment for which presence is counted: the one that was given,
// if any.
func votedAt(a *model.Activity, given *time.Time, now time.Time) (time.Time, error) {
	switch {
	case given != nil && (given.Before(a.StartsAt) || given.After(now)):
		return now, model.BadField("voted_at", "表决的时间应在会议开始之后，也不能晚于现在")
	case given != nil:
		return *given, nil
	}
	return a.VotesAt(now), nil
}

// firstVote is the vote that an earlier try with the nonce recorded, or nil.
func firstVote(tx *gorm.DB, activityID uint64, at side, once model.Once) (*VoteView, error) {
	first, err := firstTry[model.Vote](tx, once, nil, "activity_id = ? AND partner_id = ?", activityID, at.partner)
	if first == nil || err != nil {
		return nil, err
	}
	return voteView(tx, first.ID)
}

// candidatesOf is the candidates, each once and each a voting member on the roster.
func candidatesOf(seats []seat, in []CandidateInput) ([]model.VoteCandidate, error) {
	may := map[uint64]bool{}
	for i := range seats {
		may[seats[i].MemberID] = seats[i].Entry != nil && seats[i].Entry.Votes
	}
	all := make([]model.VoteCandidate, 0, len(in))
	for _, c := range in {
		if !may[c.MemberID] {
			return nil, model.ErrVoteCandidate.With("member_id", c.MemberID)
		}
		may[c.MemberID] = false
		all = append(all, model.VoteCandidate{MemberID: c.MemberID, Ballots: c.Ballots})
	}
	return all, nil
}

// VoteList is the votes of one meeting.
type VoteList struct {
	Items []VoteView `json:"items"`
}

// List is the votes of a meeting in their order: for those who oversee the
// organisation the annulled ones too, for those on the meeting's roster what
// stands. Of a joint meeting it is one branch's votes: the own, or those of the
// one that is asked for.
func (s *Votes) List(ctx context.Context, actor *model.Actor, activityID, branchID uint64) (*VoteList, error) {
	db := s.db.WithContext(ctx)
	at, whole, err := readable(db, actor, activityID, branchID)
	if err != nil {
		return nil, err
	}
	all, err := votesOf(db, activityID, at, whole)
	return &VoteList{all}, err
}

// AnnulInput says why a vote on record does not stand.
type AnnulInput struct {
	Reason string `json:"reason" minLength:"2" maxLength:"100" doc:"作废的原因，如票数填错"`
}

// Annul takes a vote out of force, with the reason; it stays on record, and the
// right count is recorded as a new vote. Annulling again changes nothing.
func (s *Votes) Annul(ctx context.Context, actor *model.Actor, activityID, voteID uint64, in AnnulInput) (*VoteView, error) {
	now := s.now()
	reason, err := cleanReason(in.Reason)
	if err != nil {
		return nil, err
	}
	return inTx(ctx, s.db, func(tx *gorm.DB) (*VoteView, error) {
		_, all, err := holdJointly(tx, actor, activityID)
		if err != nil {
			return nil, err
		}
		v, err := lock[model.Vote](tx, voteID, model.ErrVoteNotFound)
		if err != nil {
			return nil, err
		}
		if v.ActivityID != activityID || !actor.Conducts(all.keeperOf(v.PartnerID)) {
			return nil, model.ErrVoteNotFound
		}
		if v.AnnulledAt != nil {
			return voteView(tx, voteID)
		}
		v.AnnulledBy, v.AnnulledAt, v.AnnulReason = &actor.MemberID, &now, reason
		if err := tx.Model(v).Select("annulled_by", "annulled_at", "annul_reason").Updates(v).Error; err != nil {
			return nil, fmt.Errorf("annul vote %d: %w", voteID, err)
		}
		if err := auditBy(tx, now, actor, "annul_vote", "vote", voteID, "ok", map[string]any{"activity_id": activityID}); err != nil {
			return nil, err
		}
		return voteView(tx, voteID)
	})
}

func voteView(tx *gorm.DB, id uint64) (*VoteView, error) {
	v, err := find[model.Vote](tx, id, model.ErrVoteNotFound)
	if err != nil {
		return nil, err
	}
	all, err := showVotes(tx, []model.Vote{*v})
	if err != nil {
		return nil, err
	}
	return &all[0], nil
}

// votesOf is the votes of one side of a meeting, without those annulled unless they are
// asked for.
func votesOf(tx *gorm.DB, activityID uint64, at side, annulled bool) ([]VoteView, error) {
	rows := tx.Order("id")
	if !annulled {
		rows = rows.Where("annulled_at IS NULL")
	}
	var votes []model.Vote
	if err := rows.Find(&votes, "activity_id = ? AND partner_id = ?", activityID, at.partner).Error; err != nil {
		return nil, fmt.Errorf("votes of activity %d: %w", activityID, err)
	}
	return showVotes(tx, votes)
}

func showVotes(tx *gorm.DB, votes []model.Vote) ([]VoteView, error) {
	ids, people := []uint64{0}, []uint64{}
	for i := range votes {
		ids, people = append(ids, votes[i].ID), append(people, votes[i].RecordedBy, deref(votes[i].AnnulledBy))
	}
	var rows []model.VoteCandidate
	if err := tx.Order("vote_id, in_favour DESC, member_id").Find(&rows, "vote_id IN ?", ids).Error; err != nil {
		return nil, fmt.Errorf("candidates of %d votes: %w", len(votes), err)
	}
	candidates := map[uint64][]model.VoteCandidate{}
	for i := range rows {
		candidates[rows[i].VoteID] = append(candidates[rows[i].VoteID], rows[i])
		people = append(people, rows[i].MemberID)
	}
	names, err := namesOf(tx, people)
	if err != nil {
		return nil, err
	}
	out := make([]VoteView, 0, len(votes))
	for i := range votes {
		v := &votes[i]
		view := VoteView{ID: v.ID, Subject: v.Subject, Kind: v.Kind, KindName: model.VoteKindNames[v.Kind], Secret: v.Secret, Expected: v.Expected,
			Present: v.Present, Written: v.Written, Seats: v.Seats, Ballots: v.Ballots, Candidates: []CandidateView{}, Outcome: v.Decide(candidates[v.ID]),
			Sentence: v.Sentence(candidates[v.ID], names), RecordedBy: names[v.RecordedBy], RecordedAt: v.RecordedAt,
			AnnulledBy: names[deref(v.AnnulledBy)], AnnulledAt: v.AnnulledAt, AnnulReason: v.AnnulReason}
		for _, c := range candidates[v.ID] {
			view.Candidates = append(view.Candidates, CandidateView{MemberID: c.MemberID, Name: names[c.MemberID], Ballots: c.Ballots})
		}
		out = append(out, view)
	}
	return out, nil
}
