package api

import (
	"context"

	"dangri/model"
	"dangri/service"
)

type offlineRequest struct {
	OfActivity
	Body service.OfflineBatch
}

func uploadOfflineCheckIns(s *service.Services) useCase[offlineRequest, *service.OfflineAnswers] {
	return func(ctx context.Context, actor *model.Actor, r *offlineRequest) (*service.OfflineAnswers, error) {
		return s.OfflineItems.Upload(ctx, actor, r.ActivityID, r.Body)
	}
}

type offlineItemsRequest struct {
	OfActivity
	Scope  service.OfflineScope `query:"scope" enum:"refused,all" default:"refused" doc:"refused 没有记上的，all 全部"`
	Cursor string               `query:"cursor" maxLength:"64" doc:"上一页的 next"`
	Limit  int                  `query:"limit" minimum:"1" maximum:"100" default:"100"`
}

func listOfflineItems(s *service.Services) useCase[offlineItemsRequest, *service.OfflinePage] {
	return func(ctx context.Context, actor *model.Actor, r *offlineItemsRequest) (*service.OfflinePage, error) {
		return s.OfflineItems.List(ctx, actor, r.ActivityID, r.Scope, r.Cursor, r.Limit)
	}
}
