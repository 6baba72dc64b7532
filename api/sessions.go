package api

import (
	"context"

	"dangri/model"
	"dangri/service"
)

type nothing struct{}

type signInRequest struct{ Body service.SignInInput }

func signIn(s *service.Services) func(context.Context, *signInRequest) (*service.SignedIn, error) {
	return func(ctx context.Context, r *signInRequest) (*service.SignedIn, error) {
		if err := s.Sessions.AtTheDoor(address(ctx)); err != nil {
			return nil, err
		}
		r.Body.Address = address(ctx)
		return s.Sessions.SignIn(ctx, r.Body)
	}
}

func signOut(s *service.Services) useCase[nothing, done] {
	return func(ctx context.Context, actor *model.Actor, _ *nothing) (done, error) {
		return ok(s.Sessions.SignOut(ctx, actor))
	}
}

func endSessions(s *service.Services) useCase[nothing, done] {
	return func(ctx context.Context, actor *model.Actor, _ *nothing) (done, error) {
		return ok(s.Sessions.EndAll(ctx, actor))
	}
}

type bindRequest struct{ Body service.BindInput }

func bindMember(s *service.Services) useCase[bindRequest, *model.Member] {
	return func(ctx context.Context, actor *model.Actor, r *bindRequest) (*model.Member, error) {
		return s.Bindings.Bind(ctx, actor, r.Body)
	}
}

func memberCode(s *service.Services) useCase[nothing, *service.MemberCode] {
	return func(ctx context.Context, actor *model.Actor, _ *nothing) (*service.MemberCode, error) {
		return s.Meetings.OwnCode(ctx, actor)
	}
}

func home(s *service.Services) useCase[nothing, *service.HomeScreen] {
	return func(ctx context.Context, actor *model.Actor, _ *nothing) (*service.HomeScreen, error) {
		return s.Home.Show(ctx, actor)
	}
}
