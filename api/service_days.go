package api

import (
	"context"

	"dangri/model"
	"dangri/service"
)

// OfServiceDay is the path of everything about one service day.
type OfServiceDay struct {
	ServiceDayID uint64 `path:"service_day_id" minimum:"1" maximum:"9007199254740991"`
}

type serviceDaysRequest struct {
	Page
	CommunityID uint64 `query:"community_id" minimum:"1" maximum:"9007199254740991" required:"true" doc:"社区"`
}

func listServiceDays(s *service.Services) useCase[serviceDaysRequest, *service.ServiceDayPage] {
	return func(ctx context.Context, actor *model.Actor, r *serviceDaysRequest) (*service.ServiceDayPage, error) {
		return s.ServiceDays.List(ctx, actor, r.CommunityID, r.Cursor, r.Limit)
	}
}

type newServiceDayRequest struct{ Body service.NewServiceDayInput }

func draftServiceDay(s *service.Services) useCase[newServiceDayRequest, *service.ServiceDayView] {
	return func(ctx context.Context, actor *model.Actor, r *newServiceDayRequest) (*service.ServiceDayView, error) {
		return s.ServiceDays.Draft(ctx, actor, r.Body)
	}
}

func showServiceDay(s *service.Services) useCase[OfServiceDay, *service.ServiceDayView] {
	return func(ctx context.Context, actor *model.Actor, r *OfServiceDay) (*service.ServiceDayView, error) {
		return s.ServiceDays.Show(ctx, actor, r.ServiceDayID)
	}
}

type editServiceDayRequest struct {
	OfServiceDay
	Body service.ServiceDayEdit
}

func editServiceDay(s *service.Services) useCase[editServiceDayRequest, *service.ServiceDayView] {
	return func(ctx context.Context, actor *model.Actor, r *editServiceDayRequest) (*service.ServiceDayView, error) {
		return s.ServiceDays.Edit(ctx, actor, r.ServiceDayID, r.Body)
	}
}

type rewordServiceDayRequest struct {
	OfServiceDay
	Body service.ServiceRewording
}

func rewordServiceDay(s *service.Services) useCase[rewordServiceDayRequest, *service.ServiceDayView] {
	return func(ctx context.Context, actor *model.Actor, r *rewordServiceDayRequest) (*service.ServiceDayView, error) {
		return s.ServiceDays.Reword(ctx, actor, r.ServiceDayID, r.Body)
	}
}

func publishServiceNeed(s *service.Services) useCase[OfServiceDay, *service.ServiceDayView] {
	return func(ctx context.Context, actor *model.Actor, r *OfServiceDay) (*service.ServiceDayView, error) {
		return s.ServiceDays.Publish(ctx, actor, r.ServiceDayID)
	}
}

type cancelServiceDayRequest struct {
	OfServiceDay
	Body service.CancelInput
}

func cancelServiceDay(s *service.Services) useCase[cancelServiceDayRequest, *service.ServiceDayView] {
	return func(ctx context.Context, actor *model.Actor, r *cancelServiceDayRequest) (*service.ServiceDayView, error) {
		return s.ServiceDays.Cancel(ctx, actor, r.ServiceDayID, r.Body)
	}
}

type slotsRequest struct {
	service.SlotSearch
	Cursor string `query:"cursor" maxLength:"64" doc:"翻页位置：上一页的 next"`
	Limit  int    `query:"limit" minimum:"1" maximum:"50" default:"20" doc:"每页的条数"`
}

func listServiceSlots(s *service.Services) useCase[slotsRequest, *service.SlotPage] {
	return func(ctx context.Context, actor *model.Actor, r *slotsRequest) (*service.SlotPage, error) {
		return s.ServiceDays.Find(ctx, actor, r.SlotSearch, r.Cursor, r.Limit)
	}
}
