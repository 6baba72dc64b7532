package api

import (
	"context"

	"dangri/model"
	"dangri/service"
)

type repeatActivityRequest struct {
	OfActivity
	Body service.SeriesInput
}

func repeatActivity(s *service.Services) useCase[repeatActivityRequest, *service.SeriesView] {
	return func(ctx context.Context, actor *model.Actor, r *repeatActivityRequest) (*service.SeriesView, error) {
		return s.Series.Repeat(ctx, actor, r.ActivityID, r.Body)
	}
}

func showSeries(s *service.Services) useCase[OfActivity, *service.SeriesView] {
	return func(ctx context.Context, actor *model.Actor, r *OfActivity) (*service.SeriesView, error) {
		return s.Series.Show(ctx, actor, r.ActivityID)
	}
}

func editSeries(s *service.Services) useCase[editRequest, *service.FollowingEdit] {
	return func(ctx context.Context, actor *model.Actor, r *editRequest) (*service.FollowingEdit, error) {
		return s.Series.EditFollowing(ctx, actor, r.ActivityID, r.Body)
	}
}

func endSeries(s *service.Services) useCase[OfActivity, *service.SeriesView] {
	return func(ctx context.Context, actor *model.Actor, r *OfActivity) (*service.SeriesView, error) {
		return s.Series.End(ctx, actor, r.ActivityID)
	}
}
