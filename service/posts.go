package service

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Posts is who holds which post from when until when.
type Posts struct {
	db       *gorm.DB
	sessions *Sessions
	settings Settings
	now      func() time.Time
}

// PostInput gives a post to a member.
type PostInput struct {
	MemberID       uint64         `json:"member_id" minimum:"1" doc:"党员"`
	OrganisationID uint64         `json:"organisation_id" minimum:"1" doc:"任职的组织；党小组长写党小组"`
	Kind           model.PostKind `json:"kind" enum:"secretary,committee_member,group_leader,community_liaison,supervisor,administrator" doc:"职务"`
	From           model.Day      `json:"from,omitempty" doc:"任职的第一天，如 2026-07-01；不写就是今天"`
	Until          model.Day      `json:"until,omitempty" doc:"不再任职的第一天；不写就是没有期限"`
}

func (in PostInput) span(today model.Day) (model.Span, error) {
	span := model.Span{From: in.From, Until: in.Until}
	if span.From == "" {
		span.From = today
	}
	if span.Until == "" {
		span.Until = model.Forever
	}
	if !span.From.Valid() {
		return span, model.BadField("from", badDay)
	}
	if !span.Until.Valid() || span.Until <= span.From {
		return span, model.BadField("until", "结束的日期须在开始之后，写成 2026-07-01 的样子")
	}
	return span, nil
}

const badDay = "日期须写成 2026-07-01 的样子"

// Grant gives a member a post over a span of days; the rights that come
// with it count from the member's next request. A post that is held already
// over the whole span stays as it is, one that is held over a part of it is
// refused. A branch and a party group are led by their own members.
func (s *Posts) Grant(ctx context.Context, actor *model.Actor, in PostInput) (*model.Post, error) {
	now := s.now()
	today := model.DayOf(now, s.settings.Zone)
	span, err := in.span(today)
	if err != nil {
		return nil, err
	}
	day := today
	if !span.Covers(day) {
		day = span.From
	}
	var touched []model.Session
	post, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.Post, error) {
		line, err := appointing(tx, actor, in.OrganisationID, in.Kind)
		if err != nil {
			return nil, err
		}
		if !in.Kind.FitsIn(line[0].Kind) {
			return nil, model.ErrPostPlace
		}
		// As a transfer does: first the branch, then the member.
		if err := lockBranches(tx, line.BranchID()); err != nil {
			return nil, err
		}
		if _, err := lock[model.Member](tx, in.MemberID, model.ErrNotFound); err != nil {
			return nil, err
		}
		if err := eligible(tx, actor, line, in, day); err != nil {
			return nil, err
		}
		var held []model.Post
		err = tx.Find(&held, "member_id = ? AND organisation_id = ? AND kind = ?", in.MemberID, in.OrganisationID, in.Kind).Error
		if err != nil {
			return nil, fmt.Errorf("posts of member %d: %w", in.MemberID, err)
		}
		for i := range held {
			if span.Within(held[i].Span) {
				return &held[i], nil
			}
			if span.Meets(held[i].Span) {
				return nil, model.ErrPostTaken.With("held", held[i].Span)
			}
		}
		post := &model.Post{MemberID: in.MemberID, OrganisationID: in.OrganisationID, Kind: in.Kind, Span: span}
		if err := tx.Create(post).Error; err != nil {
			return nil, taken(err, model.ErrPostTaken)
		}
		if touched, err = touchSessions(tx, []uint64{in.MemberID}, now); err != nil {
			return nil, err
		}
		return post, auditBy(tx, now, actor, "grant_post", "post", post.ID, "ok", post)
	})
	if err == nil {
		s.sessions.forget(ctx, touched, now)
	}
	return post, err
}

// appointing is the line of an organisation in which the actor may grant and
// end posts of the kind.
func appointing(tx *gorm.DB, actor *model.Actor, organisationID uint64, kind model.PostKind) (model.Line, error) {
	line, err := overseen(tx, actor, organisationID)
	if err != nil {
		return nil, err
	}
	if !actor.Appoints(kind, line) {
		return nil, model.ErrForbidden
	}
	return line, nil
}

// eligible refuses a member whom the actor may not see, or who would lead a
// branch or party group without belonging to it on the day.
func eligible(tx *gorm.DB, actor *model.Actor, line model.Line, in PostInput, day model.Day) error {
	m, err := membershipOn(tx, in.MemberID, day)
	if err != nil {
		return err
	}
	if m == nil {
		return model.ErrNotFound
	}
	if m.BranchID != line.BranchID() {
		if _, err := overseen(tx, actor, m.BranchID); err != nil {
			return err
		}
	}
	if !in.Kind.HeldByOwn(line[0].Kind) {
		return nil
	}
	if m.BranchID != line.BranchID() || line[0].Kind == model.PartyGroup && deref(m.GroupID) != line[0].ID {
		return model.ErrPostOutsider
	}
	return nil
}

// End ends a post: day, today where it is empty, is the first on which it
// is no longer held. A post that has ended by then stays as it is; one that
// would only begin on that day or later never was.
func (s *Posts) End(ctx context.Context, actor *model.Actor, postID uint64, day model.Day) error {
	now := s.now()
	today := model.DayOf(now, s.settings.Zone)
	if day == "" {
		day = today
	}
	if !day.Valid() || day < today {
		return model.BadField("day", "请选今天或以后的日期，写成 2026-07-01 的样子")
	}
	var touched []model.Session
	_, err := inTx(ctx, s.db, func(tx *gorm.DB) (struct{}, error) {
		post, err := lock[model.Post](tx, postID, model.ErrNotFound)
		if err != nil {
			return struct{}{}, err
		}
		if _, err := appointing(tx, actor, post.OrganisationID, post.Kind); err != nil {
			return struct{}{}, err
		}
		if post.Until <= day {
			return struct{}{}, nil
		}
		if err := endPosts(tx, []model.Post{*post}, day); err != nil {
			return struct{}{}, err
		}
		if touched, err = touchSessions(tx, []uint64{post.MemberID}, now); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, auditBy(tx, now, actor, "end_post", "post", postID, "ok", map[string]any{"member_id": post.MemberID, "until": day})
	})
	if err == nil {
		s.sessions.forget(ctx, touched, now)
	}
	return err
}

// endPosts lets the posts be held until the day, itself not included. A post
// without a day left goes: an empty span would say nothing.
func endPosts(tx *gorm.DB, posts []model.Post, day model.Day) error {
	var begun, unbegun []uint64
	for _, p := range posts {
		if p.From < day {
			begun = append(begun, p.ID)
		} else {
			unbegun = append(unbegun, p.ID)
		}
	}
	for _, some := range chunks(begun, 500) {
		if err := tx.Model(&model.Post{}).Where("id IN ?", some).Update("until_day", day).Error; err != nil {
			return fmt.Errorf("end posts: %w", err)
		}
	}
	for _, some := range chunks(unbegun, 500) {
		if err := tx.Delete(&model.Post{}, "id IN ?", some).Error; err != nil {
			return fmt.Errorf("take posts back: %w", err)
		}
	}
	return nil
}
