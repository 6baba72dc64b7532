package api

import (
	"context"

	"dangri/model"
	"dangri/service"
)

type minutesRequest struct {
	OfSide
	Body service.MinutesInput
}

func recordMinutes(s *service.Services) useCase[minutesRequest, *service.MinutesView] {
	return func(ctx context.Context, actor *model.Actor, r *minutesRequest) (*service.MinutesView, error) {
		return s.Minutes.Record(ctx, actor, r.ActivityID, r.BranchID, r.Body)
	}
}

type showMinutesRequest struct {
	OfSide
	Version int `query:"version" minimum:"0" maximum:"100000" doc:"看哪个版本；不给就是最新的"`
}

func showMinutes(s *service.Services) useCase[showMinutesRequest, *service.MinutesView] {
	return func(ctx context.Context, actor *model.Actor, r *showMinutesRequest) (*service.MinutesView, error) {
		return s.Minutes.Show(ctx, actor, r.ActivityID, r.BranchID, r.Version)
	}
}

type signMinutesRequest struct {
	OfSide
	Body service.SignInput
}

func signMinutes(s *service.Services) useCase[signMinutesRequest, *service.MinutesView] {
	return func(ctx context.Context, actor *model.Actor, r *signMinutesRequest) (*service.MinutesView, error) {
		return s.Minutes.Sign(ctx, actor, r.ActivityID, r.BranchID, r.Body)
	}
}

type voteRequest struct {
	OfSide
	Body service.VoteInput
}

func recordVote(s *service.Services) useCase[voteRequest, *service.VoteView] {
	return func(ctx context.Context, actor *model.Actor, r *voteRequest) (*service.VoteView, error) {
		return s.Votes.Record(ctx, actor, r.ActivityID, r.BranchID, r.Body)
	}
}

func listVotes(s *service.Services) useCase[OfSide, *service.VoteList] {
	return func(ctx context.Context, actor *model.Actor, r *OfSide) (*service.VoteList, error) {
		return s.Votes.List(ctx, actor, r.ActivityID, r.BranchID)
	}
}

type annulVoteRequest struct {
	OfActivity
	VoteID uint64 `path:"vote_id" minimum:"1" maximum:"9007199254740991"`
	Body   service.AnnulInput
}

func annulVote(s *service.Services) useCase[annulVoteRequest, *service.VoteView] {
	return func(ctx context.Context, actor *model.Actor, r *annulVoteRequest) (*service.VoteView, error) {
		return s.Votes.Annul(ctx, actor, r.ActivityID, r.VoteID, r.Body)
	}
}
