package service

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Joint is branches that meet together (联办): one meeting, one code, one roster.
// The host runs it and invites; each other branch accepts or declines, keeps its
// own part of the roster and has its own count and sheet. Whoever is there is
// one row, which belongs to the branch that they were in on that day.
type Joint struct {
	db         *gorm.DB
	activities *Activities
	now        func() time.Time
}

// JointInput names a branch to meet with.
type JointInput struct {
	Name     string `json:"name" minLength:"2" maxLength:"100" doc:"支部的全称"`
	Superior string `json:"superior,omitempty" maxLength:"100" doc:"上级组织：有同名支部时写明"`
}

// JointAnswer is a branch's answer to an invitation.
type JointAnswer struct {
	Accept bool `json:"accept" doc:"是否联办：true 联办，false 谢绝"`
}

// JointParts is the branches of a joint meeting.
type JointParts struct {
	Items []JointPart `json:"items"`
}

// JointPart is a branch that was invited to a meeting.
type JointPart struct {
	BranchID   uint64           `json:"branch_id"`
	Name       string           `json:"name"`
	State      model.JointState `json:"state"`
	AnsweredAt *time.Time       `json:"answered_at"`
}

// JointInvitations is what a branch is invited to.
type JointInvitations struct {
	Items []JointInvitation `json:"items"`
}

// JointInvitation is a meeting that a branch is invited to.
type JointInvitation struct {
	ActivityID       uint64               `json:"activity_id"`
	BranchID         uint64               `json:"branch_id" doc:"受邀的支部"`
	OrganisationName string               `json:"organisation_name" doc:"主办的组织"`
	Title            string               `json:"title"`
	Place            string               `json:"place"`
	StartsAt         time.Time            `json:"starts_at"`
	EndsAt           time.Time            `json:"ends_at"`
	Status           model.ActivityStatus `json:"status"`
	State            model.JointState     `json:"state"`
}

// jointBranchesOf is the branches that meet with the activity's organisation.
func jointBranchesOf(tx *gorm.DB, activityID uint64) ([]uint64, error) {
	var ids []uint64
	err := tx.Model(&model.JointBranch{}).Where("activity_id = ? AND state = ?", activityID, model.JointAccepted).Order("branch_id").Pluck("branch_id", &ids).Error
	if err != nil {
		return nil, fmt.Errorf("joint branches of activity %d: %w", activityID, err)
	}
	return ids, nil
}

// sharedWith says whether the actor may see an activity that is not their own
// organisation's, because a branch of theirs meets with it: its people once it
// is published, those who run the branch as soon as it is invited.
func sharedWith(tx *gorm.DB, actor *model.Actor, a *model.Activity) (bool, error) {
	var rows []model.JointBranch
	if err := tx.Find(&rows, "activity_id = ? AND state <> ?", a.ID, model.JointDeclined).Error; err != nil {
		return false, fmt.Errorf("joint branches of activity %d: %w", a.ID, err)
	}
	for _, row := range rows {
		line, err := lineOf(tx, row.BranchID)
		if err != nil {
			return false, err
		}
		joined := row.State == model.JointAccepted && a.Announced()
		if actor.Conducts(line) || joined && (actor.Oversees(line) || actor.BranchID == row.BranchID) {
			return true, nil
		}
	}
	return false, nil
}

// Invite asks another branch to meet with the activity's organisation, before
// it starts: by its name, within the same tree. A branch that declined may be
// asked again; asking again otherwise changes nothing. For those who conduct
// the activity.
func (s *Joint) Invite(ctx context.Context, actor *model.Actor, activityID uint64, in JointInput) (*JointParts, error) {
	a, line, err := conducted(s.db.WithContext(ctx), actor, activityID)
	if err != nil {
		return nil, err
	}
	branch, err := invitableAs(s.db.WithContext(ctx), line, in)
	if err != nil {
		return nil, err
	}
	return s.set(ctx, a, branch, func(tx *gorm.DB, row *model.JointBranch, now time.Time) error {
		if row.State == model.Invited || row.State == model.JointAccepted {
			return nil
		}
		return inviteTo(tx, actor, row, now)
	})
}

// invitationOf is that of a branch to an activity; its state is empty where there
// is none.
func invitationOf(tx *gorm.DB, activityID, branchID uint64) (*model.JointBranch, error) {
	row := new(model.JointBranch)
	if err := tx.Limit(1).Find(row, "activity_id = ? AND branch_id = ?", activityID, branchID).Error; err != nil {
		return nil, fmt.Errorf("find invitation of branch %d: %w", branchID, err)
	}
	row.ActivityID, row.BranchID = activityID, branchID
	return row, nil
}

// inviteTo invites the branch of the row to its activity, which is held.
func inviteTo(tx *gorm.DB, actor *model.Actor, row *model.JointBranch, now time.Time) error {
	*row = model.JointBranch{ActivityID: row.ActivityID, BranchID: row.BranchID, State: model.Invited, InvitedBy: actor.MemberID, InvitedAt: now}
	if err := tx.Save(row).Error; err != nil {
		return fmt.Errorf("invite branch %d: %w", row.BranchID, err)
	}
	return auditBy(tx, now, actor, "invite_branch", "activity", row.ActivityID, "ok", map[string]any{"branch": row.BranchID})
}

// invitable is which of the branches that a query for o.id finds may meet with
// the organisation of the line: those of its tree, and not its own.
func invitable(tx *gorm.DB, line model.Line, found *gorm.DB) ([]uint64, error) {
	var tree, ids []uint64
	err := tx.Raw("?", below(tx, []uint64{line[len(line)-1].ID})).Scan(&tree).Error
	if err == nil {
		err = found.Where("o.kind IN ? AND o.id <> ?", []model.OrganisationKind{model.Branch, model.Community}, line.BranchID()).Order("o.id").Pluck("o.id", &ids).Error
	}
	if err != nil {
		return nil, fmt.Errorf("branches that may meet with organisation %d: %w", line[0].ID, err)
	}
	return slices.DeleteFunc(ids, func(id uint64) bool { return !slices.Contains(tree, id) }), nil
}

// invitableAs is the invitable branch of that name.
func invitableAs(tx *gorm.DB, line model.Line, in JointInput) (uint64, error) {
	found := tx.Table("organisations o").Joins("LEFT JOIN organisations p ON p.id = o.parent_id").Where("o.name = ?", cleanLine(in.Name))
	if superior := cleanLine(in.Superior); superior != "" {
		found = found.Where("p.name = ?", superior)
	}
	ids, err := invitable(tx, line, found)
	if err != nil {
		return 0, err
	}
	switch len(ids) {
	case 0:
		return 0, model.ErrBranchUnknown
	case 1:
		return ids[0], nil
	}
	return 0, model.ErrBranchAmbiguous
}

// seriesPartners is the branches that an occurrence invites when it is published:
// those that its series is held with, as far as they may still meet with the
// organisation. One that somebody edited is their own, and one that has begun
// nobody joins.
func seriesPartners(tx *gorm.DB, a *model.Activity, now time.Time) ([]uint64, error) {
	if a.SeriesID == nil || a.Detached || a.StartedAt(now) {
		return nil, nil
	}
	line, err := lineOf(tx, a.OrganisationID)
	if err != nil {
		return nil, err
	}
	return invitable(tx, line, tx.Table("organisations o").Joins("JOIN series_partners s ON s.branch_id = o.id AND s.series_id = ?", *a.SeriesID))
}

// invitePartners invites those of the branches that were not asked before, in the
// actor's name, to an activity that is held.
func invitePartners(tx *gorm.DB, actor *model.Actor, activityID uint64, branches []uint64, now time.Time) error {
	for _, id := range branches {
		row, err := invitationOf(tx, activityID, id)
		if err == nil && row.State == "" {
			err = inviteTo(tx, actor, row, now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Withdraw takes an invitation back, or lets a branch go that had accepted,
// before the activity starts. For those who conduct the activity; again it
// changes nothing.
func (s *Joint) Withdraw(ctx context.Context, actor *model.Actor, activityID, branchID uint64) (*JointParts, error) {
	a, _, err := conducted(s.db.WithContext(ctx), actor, activityID)
	if err != nil {
		return nil, err
	}
	return s.set(ctx, a, branchID, func(tx *gorm.DB, row *model.JointBranch, now time.Time) error {
		if row.State == "" {
			return nil
		}
		row.State = ""
		if err := tx.Delete(row).Error; err != nil {
			return fmt.Errorf("withdraw invitation of branch %d: %w", branchID, err)
		}
		return auditBy(tx, now, actor, "withdraw_joint", "activity", activityID, "ok", map[string]any{"branch": branchID})
	})
}

// Answer accepts or declines an invitation in the name of the branch, for those
// who conduct its meetings. From acceptance on the branch's people are on the
// roster, and follow its memberships until the start; until then the answer may
// be changed. The same answer again changes nothing.
func (s *Joint) Answer(ctx context.Context, actor *model.Actor, activityID, branchID uint64, in JointAnswer) (*JointParts, error) {
	db := s.db.WithContext(ctx)
	a, _, _, err := seen(db, actor, activityID)
	if err != nil {
		return nil, err
	}
	rows, err := jointRows(db, activityID)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(rows, func(p JointPart) bool { return p.BranchID == branchID }) {
		return nil, model.ErrNotJoint
	}
	line, err := lineOf(db, branchID)
	if err != nil {
		return nil, err
	}
	if !actor.Conducts(line) {
		return nil, model.ErrNotConductor
	}
	state := model.JointDeclined
	if in.Accept {
		state = model.JointAccepted
	}
	return s.set(ctx, a, branchID, func(tx *gorm.DB, row *model.JointBranch, now time.Time) error {
		switch row.State {
		case "":
			return model.ErrNotJoint
		case state:
			return nil
		}
		row.State, row.AnsweredBy, row.AnsweredAt = state, &actor.MemberID, &now
		if err := tx.Save(row).Error; err != nil {
			return fmt.Errorf("answer for branch %d: %w", branchID, err)
		}
		return auditBy(tx, now, actor, "answer_joint", "activity", activityID, "ok", map[string]any{"branch": branchID, "state": state})
	})
}

// set changes what one branch has to do with an activity that has not started,
// and makes the roster anew where its people come or go.
func (s *Joint) set(ctx context.Context, a *model.Activity, branchID uint64, change func(*gorm.DB, *model.JointBranch, time.Time) error) (*JointParts, error) {
	now := s.now()
	out, err := inTx(ctx, s.db, func(tx *gorm.DB) (*JointParts, error) {
		if err := s.activities.holdAudience(tx, a, branchID); err != nil {
			return nil, err
		}
		a, err := lock[model.Activity](tx, a.ID, model.ErrActivityNotFound)
		if err != nil {
			return nil, err
		}
		if err := a.Allow(model.Draft, model.Published); err != nil {
			return nil, err
		}
		if a.StartedAt(now) {
			return nil, model.ErrJointStarted
		}
		row, err := invitationOf(tx, a.ID, branchID)
		if err != nil {
			return nil, err
		}
		joined := row.State == model.JointAccepted
		if err := change(tx, row, now); err != nil {
			return nil, err
		}
		if a.Status == model.Published && joined != (row.State == model.JointAccepted) {
			if err := s.activities.invite(tx, a, now); err != nil {
				return nil, err
			}
		}
		rows, err := jointRows(tx, a.ID)
		return &JointParts{rows}, err
	})
	if err == nil {
		s.activities.boards.changed(ctx, a.ID)
	}
	return out, err
}

func jointRows(tx *gorm.DB, activityID uint64) ([]JointPart, error) {
	rows := []JointPart{}
	err := tx.Table("joint_branches j").Select("j.branch_id, o.name, j.state, j.answered_at").Joins("JOIN organisations o ON o.id = j.branch_id").
		Where("j.activity_id = ?", activityID).Order("j.invited_at, j.branch_id").Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("joint branches of activity %d: %w", activityID, err)
	}
	return rows, nil
}

// Show is the branches of a joint meeting and how they answered, for those who
// oversee its organisation or one of the branches.
func (s *Joint) Show(ctx context.Context, actor *model.Actor, activityID uint64) (*JointParts, error) {
	db := s.db.WithContext(ctx)
	_, line, _, err := seen(db, actor, activityID)
	if err != nil {
		return nil, err
	}
	rows, err := jointRows(db, activityID)
	if err != nil {
		return nil, err
	}
	may := actor.Oversees(line)
	for i := range rows {
		if !may && rows[i].State != model.JointDeclined {
			own, err := lineOf(db, rows[i].BranchID)
			if err != nil {
				return nil, err
			}
			may = actor.Oversees(own)
		}
	}
	if !may {
		return nil, model.ErrNotConductor
	}
	return &JointParts{rows}, nil
}

// Invitations is what the branches whose meetings the caller runs by a post in
// them are invited to and what they accepted, as far as it has not ended; the
// next one first, a hundred at most.
func (s *Joint) Invitations(ctx context.Context, actor *model.Actor) (*JointInvitations, error) {
	db := s.db.WithContext(ctx)
	out := &JointInvitations{Items: []JointInvitation{}}
	err := db.Table("joint_branches j").
		Select("j.activity_id, j.branch_id, j.state, o.name AS organisation_name, a.title, a.place, a.starts_at, a.ends_at, a.status").
		Joins("JOIN activities a ON a.id = j.activity_id").Joins("JOIN organisations o ON o.id = a.organisation_id").
		Where("j.branch_id IN (?) AND j.state <> ? AND a.ends_at > ? AND a.status IN ?", homesOf(db, actor), model.JointDeclined, s.now(),
			[]model.ActivityStatus{model.Draft, model.Published}).
		Order("a.starts_at, j.activity_id, j.branch_id").Limit(100).Scan(&out.Items).Error
	if err != nil {
		return nil, fmt.Errorf("invitations of member %d: %w", actor.MemberID, err)
	}
	return out, nil
}

// side is the branches of a joint meeting that keep their people apart: the
// host with all that is not a partner's, or one partner.
type side struct {
	line    model.Line
	partner uint64 // 0: the host
}

// sides are the host's and those of the branches that meet with it.
type sides []side

func sidesOf(tx *gorm.DB, a *model.Activity, host model.Line) (sides, error) {
	joint, err := jointBranchesOf(tx, a.ID)
	if err != nil {
		return nil, err
	}
	all := sides{{line: host}}
	for _, id := range joint {
		line, err := lineOf(tx, id)
		if err != nil {
			return nil, err
		}
		all = append(all, side{line, id})
	}
	return all, nil
}

// of is the side that people of the branch are on.
func (all sides) of(branchID uint64) side {
	for _, s := range all[1:] {
		if s.partner == branchID {
			return s
		}
	}
	return all[0]
}

// keeperOf is the line of those who keep what a side added, 0 being the host; it
// is empty where the partner does not meet with the others any more, whose papers
// are nobody else's.
func (all sides) keeperOf(partner uint64) model.Line {
	if at := all.of(partner); at.partner == partner {
		return at.line
	}
	return nil
}

// part is what somebody looks at of a meeting: all of it, one side, or one of
// the branches below the organisation that holds it.
type part struct {
	side  *side  // nil: every side
	below uint64 // 0: every branch of it
}

// partOf decides which part somebody sees. Who conducts the meeting sees all of
// it, as does who oversees every branch there; otherwise one sees the side that
// one oversees. With a branch given it is that branch's part, for those who
// conduct the meeting or oversee the branch.
func (all sides) partOf(actor *model.Actor, branchID uint64) (part, error) {
	runs := actor.Conducts(all[0].line)
	if branchID == 0 {
		whole, first := true, (*side)(nil)
		for i := range all {
			switch {
			case !actor.Oversees(all[i].line):
				whole = false
			case first == nil:
				first = &all[i]
			}
		}
		switch {
		case runs || whole:
			return part{}, nil
		case first == nil:
			return part{}, model.ErrNotConductor
		}
		return part{side: first}, nil
	}
	at := all.of(branchID)
	if !runs && !actor.Oversees(at.line) {
		return part{}, model.ErrNotConductor
	}
	p := part{side: &at}
	if at.partner == 0 && branchID != at.line.BranchID() {
		if at.line.BranchID() != 0 {
			return part{}, model.ErrNotJoint
		}
		p.below = branchID
	}
	return p, nil
}

// first is the first of the sides, the host's before the others, in which the
// actor may do what is asked; with a branch given that branch's side alone.
func (all sides) first(branchID uint64, may func(model.Line) bool) (side, error) {
	refusal := model.ErrNotJoint
	for _, s := range all {
		if branchID != 0 && !s.isOf(branchID) {
			continue
		}
		if may(s.line) {
			return s, nil
		}
		refusal = model.ErrNotConductor
	}
	return side{}, refusal
}

// isOf says whether the side is the branch's, or that of the organisation itself.
func (s side) isOf(branchID uint64) bool {
	if s.partner != 0 {
		return s.partner == branchID
	}
	return branchID == s.line[0].ID || branchID == s.line.BranchID()
}

// read is the side whose minutes and votes somebody reads: of those that they
// oversee all of it, as somebody on the roster what is for everybody there.
func (all sides) read(actor *model.Actor, own *model.Standing, branchID uint64) (at side, whole bool, err error) {
	if at, err = all.first(branchID, actor.Oversees); err == nil {
		return at, true, nil
	}
	if own.Entry != nil {
		if at = all.of(own.Entry.BranchID); branchID == 0 || at.isOf(branchID) {
			return at, false, nil
		}
	}
	return side{}, false, err
}

// pick is the seats of the part.
func (all sides) pick(p part, seats []seat) []seat {
	if p.side == nil {
		return seats
	}
	return slices.DeleteFunc(slices.Clone(seats), func(s seat) bool {
		return all.of(s.branch()).partner != p.side.partner || p.below != 0 && s.branch() != p.below
	})
}

// tally counts the part of the meeting that the actor sees.
func (all sides) tally(actor *model.Actor, a *model.Activity, seats []seat, now time.Time) (model.Tally, error) {
	p, err := all.partOf(actor, 0)
	if err != nil {
		return model.Tally{}, err
	}
	return tally(a, all.pick(p, seats), a.VotesAt(now)), nil
}

// jointly is an activity with its sides, for whoever sees it.
func jointly(tx *gorm.DB, actor *model.Actor, id uint64) (*model.Activity, sides, error) {
	a, line, _, err := seen(tx, actor, id)
	if err != nil {
		return nil, nil, err
	}
	all, err := sidesOf(tx, a, line)
	return a, all, err
}

// holdJointly is jointly for those who conduct one of the sides, which also
// holds the activity's row.
func holdJointly(tx *gorm.DB, actor *model.Actor, id uint64) (*model.Activity, sides, error) {
	_, all, err := jointly(tx, actor, id)
	if err != nil {
		return nil, nil, err
	}
	if !all.conducted(actor) {
		return nil, nil, model.ErrNotConductor
	}
	a, err := lock[model.Activity](tx, id, model.ErrActivityNotFound)
	return a, all, err
}

// conducted says whether the actor conducts any of the sides.
func (all sides) conducted(actor *model.Actor) bool {
	return slices.ContainsFunc(all, func(s side) bool { return actor.Conducts(s.line) })
}

// mayRecord refuses what the actor has no business with: who is there is for
// those who conduct the meeting and for the person's own branch; who is excused,
// absent or not counted, for the own branch alone.
func (all sides) mayRecord(actor *model.Actor, branchID uint64, present bool) error {
	own, runs := actor.Conducts(all.of(branchID).line), actor.Conducts(all[0].line)
	switch {
	case own || runs && present:
		return nil
	case runs:
		return model.ErrPartnersOwn
	}
	return model.ErrNotOnRoster
}
