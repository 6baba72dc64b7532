package api

import (
	"context"

	"dangri/model"
	"dangri/service"
)

// OfActivity is the path of everything about one activity.
type OfActivity struct {
	ActivityID uint64 `path:"activity_id" minimum:"1" maximum:"9007199254740991"`
}

type listRequest struct {
	Scope  service.ActivityScope `query:"scope" enum:"mine,work" default:"mine" doc:"范围：mine 我要参加的；work 我有职务的组织及其下级的"`
	Cursor string                `query:"cursor" maxLength:"64" doc:"翻页位置：上一页的 next"`
	Limit  int                   `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"每页的条数"`
}

func listActivities(s *service.Services) useCase[listRequest, *service.ActivityPage] {
	return func(ctx context.Context, actor *model.Actor, r *listRequest) (*service.ActivityPage, error) {
		return s.Activities.List(ctx, actor, r.Scope, r.Cursor, r.Limit)
	}
}

type draftRequest struct{ Body service.DraftInput }

func draftActivity(s *service.Services) useCase[draftRequest, *model.Activity] {
	return func(ctx context.Context, actor *model.Actor, r *draftRequest) (*model.Activity, error) {
		return s.Activities.Draft(ctx, actor, r.Body)
	}
}

func showActivity(s *service.Services) useCase[OfActivity, *service.ActivityView] {
	return func(ctx context.Context, actor *model.Actor, r *OfActivity) (*service.ActivityView, error) {
		return s.Activities.Show(ctx, actor, r.ActivityID)
	}
}

type editRequest struct {
	OfActivity
	Body service.EditInput
}

func editActivity(s *service.Services) useCase[editRequest, *model.Activity] {
	return func(ctx context.Context, actor *model.Actor, r *editRequest) (*model.Activity, error) {
		return s.Activities.Edit(ctx, actor, r.ActivityID, r.Body)
	}
}

func publishActivity(s *service.Services) useCase[OfActivity, *model.Activity] {
	return func(ctx context.Context, actor *model.Actor, r *OfActivity) (*model.Activity, error) {
		return s.Activities.Publish(ctx, actor, r.ActivityID)
	}
}

type cancelRequest struct {
	OfActivity
	Body service.CancelInput
}

func cancelActivity(s *service.Services) useCase[cancelRequest, *model.Activity] {
	return func(ctx context.Context, actor *model.Actor, r *cancelRequest) (*model.Activity, error) {
		return s.Activities.Cancel(ctx, actor, r.ActivityID, r.Body)
	}
}

type restoreRequest struct {
	OfActivity
	Body service.RestoreInput
}

func restoreActivity(s *service.Services) useCase[restoreRequest, *model.Activity] {
	return func(ctx context.Context, actor *model.Actor, r *restoreRequest) (*model.Activity, error) {
		return s.Activities.Restore(ctx, actor, r.ActivityID, r.Body)
	}
}
