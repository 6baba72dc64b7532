package api

import (
	"context"

	"dangri/model"
	"dangri/service"
)

// OfRequest is the part of a path that names a request.
type OfRequest struct {
	RequestID uint64 `path:"request_id" minimum:"1" maximum:"9007199254740991"`
}

type leaveRequest struct {
	OfActivity
	Body service.LeaveInput
}

func requestLeave(s *service.Services) useCase[leaveRequest, *service.RequestView] {
	return func(ctx context.Context, actor *model.Actor, r *leaveRequest) (*service.RequestView, error) {
		return s.Requests.AskLeave(ctx, actor, r.ActivityID, r.Body)
	}
}

type decisionRequest struct {
	OfRequest
	Body service.DecisionInput
}

func decideLeave(s *service.Services) useCase[decisionRequest, *service.RequestView] {
	return func(ctx context.Context, actor *model.Actor, r *decisionRequest) (*service.RequestView, error) {
		return s.Requests.DecideLeave(ctx, actor, r.RequestID, r.Body)
	}
}

func withdrawLeave(s *service.Services) useCase[OfRequest, *service.RequestView] {
	return func(ctx context.Context, actor *model.Actor, r *OfRequest) (*service.RequestView, error) {
		return s.Requests.WithdrawLeave(ctx, actor, r.RequestID)
	}
}

type lateRecordRequest struct {
	OfActivity
	Body service.LateRecordInput
}

func requestLateRecord(s *service.Services) useCase[lateRecordRequest, *service.RequestView] {
	return func(ctx context.Context, actor *model.Actor, r *lateRecordRequest) (*service.RequestView, error) {
		return s.Requests.AskLateRecord(ctx, actor, r.ActivityID, r.Body)
	}
}

func decideLateRecord(s *service.Services) useCase[decisionRequest, *service.RequestView] {
	return func(ctx context.Context, actor *model.Actor, r *decisionRequest) (*service.RequestView, error) {
		return s.Requests.DecideLateRecord(ctx, actor, r.RequestID, r.Body)
	}
}

func listRequests(s *service.Services) useCase[OfActivity, *service.RequestPage] {
	return func(ctx context.Context, actor *model.Actor, r *OfActivity) (*service.RequestPage, error) {
		return s.Requests.OfActivity(ctx, actor, r.ActivityID)
	}
}

func listApprovals(s *service.Services) useCase[struct{}, *service.RequestPage] {
	return func(ctx context.Context, actor *model.Actor, _ *struct{}) (*service.RequestPage, error) {
		return s.Requests.Waiting(ctx, actor)
	}
}

type figuresRequest struct {
	OfOrganisation
	Month string `query:"month" required:"true" minLength:"7" maxLength:"7" doc:"月份，如 2026-11"`
}

func lateRecordFigures(s *service.Services) useCase[figuresRequest, *service.LateRecordFigures] {
	return func(ctx context.Context, actor *model.Actor, r *figuresRequest) (*service.LateRecordFigures, error) {
		return s.Requests.Figures(ctx, actor, r.OrganisationID, r.Month)
	}
}
