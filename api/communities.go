package api

import (
	"context"

	"dangri/model"
	"dangri/service"
)

// OfRegistration is the path of everything about one registration with a community.
type OfRegistration struct {
	RegistrationID uint64 `path:"registration_id" minimum:"1" maximum:"9007199254740991"`
}

func listCommunities(s *service.Services) useCase[Page, *service.CommunityPage] {
	return func(ctx context.Context, _ *model.Actor, r *Page) (*service.CommunityPage, error) {
		return s.Communities.List(ctx, r.Cursor, r.Limit)
	}
}

type registrationsRequest struct {
	Page
	CommunityID uint64 `query:"community_id" maximum:"9007199254740991" doc:"看到这个社区报到的；不给就是我的和我支部的"`
}

func listCommunityRegistrations(s *service.Services) useCase[registrationsRequest, *service.RegistrationPage] {
	return func(ctx context.Context, actor *model.Actor, r *registrationsRequest) (*service.RegistrationPage, error) {
		return s.Communities.Registrations(ctx, actor, r.CommunityID, r.Cursor, r.Limit)
	}
}

type registerRequest struct{ Body service.RegistrationInput }

func registerWithCommunity(s *service.Services) useCase[registerRequest, *model.CommunityRegistration] {
	return func(ctx context.Context, actor *model.Actor, r *registerRequest) (*model.CommunityRegistration, error) {
		return s.Communities.Register(ctx, actor, r.Body)
	}
}

type registrationAnswerRequest struct {
	OfRegistration
	Body service.RegistrationAnswer
}

func confirmCommunityRegistration(s *service.Services) useCase[registrationAnswerRequest, *model.CommunityRegistration] {
	return func(ctx context.Context, actor *model.Actor, r *registrationAnswerRequest) (*model.CommunityRegistration, error) {
		return s.Communities.Confirm(ctx, actor, r.RegistrationID, r.Body)
	}
}

type withdrawRequest struct {
	OfRegistration
	Day string `query:"day" maxLength:"10" pattern:"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$" doc:"不再报到的第一天；不给就是今天"`
}

func withdrawCommunityRegistration(s *service.Services) useCase[withdrawRequest, *model.CommunityRegistration] {
	return func(ctx context.Context, actor *model.Actor, r *withdrawRequest) (*model.CommunityRegistration, error) {
		return s.Communities.Withdraw(ctx, actor, r.RegistrationID, model.Day(r.Day))
	}
}
