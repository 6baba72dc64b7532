package api

import (
	"context"

	"dangri/model"
	"dangri/service"
)

// Page is a place in a list. Like the other parts of requests it is exported,
// because huma fills in exported embedded fields only.
type Page struct {
	Cursor string `query:"cursor" maxLength:"64" doc:"翻页位置：上一页的 next"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"50" doc:"每页的条数"`
}

// OfOrganisation is the path of everything about one organisation.
type OfOrganisation struct {
	OrganisationID uint64 `path:"organisation_id" minimum:"1" maximum:"9007199254740991"`
}

// OfMember is the path of everything about one member.
type OfMember struct {
	MemberID uint64 `path:"member_id" minimum:"1" maximum:"9007199254740991"`
}

type organisationsRequest struct {
	Page
	ParentID uint64 `query:"parent_id" maximum:"9007199254740991" doc:"看谁的下级；不给则是我有职务的组织"`
}

func listOrganisations(s *service.Services) useCase[organisationsRequest, *service.OrganisationPage] {
	return func(ctx context.Context, actor *model.Actor, r *organisationsRequest) (*service.OrganisationPage, error) {
		return s.Organisations.List(ctx, actor, r.ParentID, r.Cursor, r.Limit)
	}
}

type addOrganisationRequest struct{ Body service.OrganisationInput }

func addOrganisation(s *service.Services) useCase[addOrganisationRequest, *model.Organisation] {
	return func(ctx context.Context, actor *model.Actor, r *addOrganisationRequest) (*model.Organisation, error) {
		return s.Organisations.Add(ctx, actor, r.Body)
	}
}

type updateOrganisationRequest struct {
	OfOrganisation
	Body service.OrganisationInput
}

func updateOrganisation(s *service.Services) useCase[updateOrganisationRequest, *model.Organisation] {
	return func(ctx context.Context, actor *model.Actor, r *updateOrganisationRequest) (*model.Organisation, error) {
		return s.Organisations.Update(ctx, actor, r.OrganisationID, r.Body)
	}
}

type membersRequest struct {
	OfOrganisation
	Page
}

func listMembers(s *service.Services) useCase[membersRequest, *service.MemberPage] {
	return func(ctx context.Context, actor *model.Actor, r *membersRequest) (*service.MemberPage, error) {
		return s.Members.List(ctx, actor, r.OrganisationID, r.Cursor, r.Limit)
	}
}

func revealPhone(s *service.Services) useCase[OfMember, *service.RevealedPhone] {
	return func(ctx context.Context, actor *model.Actor, r *OfMember) (*service.RevealedPhone, error) {
		return s.Members.RevealPhone(ctx, actor, r.MemberID)
	}
}

func inviteMember(s *service.Services) useCase[OfMember, *service.Invited] {
	return func(ctx context.Context, actor *model.Actor, r *OfMember) (*service.Invited, error) {
		return s.Bindings.Invite(ctx, actor, r.MemberID)
	}
}

func unbindMember(s *service.Services) useCase[OfMember, done] {
	return func(ctx context.Context, actor *model.Actor, r *OfMember) (done, error) {
		return ok(s.Bindings.Unbind(ctx, actor, r.MemberID))
	}
}

type transferRequest struct {
	OfMember
	Body service.TransferInput
}

func transferMember(s *service.Services) useCase[transferRequest, *model.Membership] {
	return func(ctx context.Context, actor *model.Actor, r *transferRequest) (*model.Membership, error) {
		return s.Members.Transfer(ctx, actor, r.MemberID, r.Body)
	}
}

type endMembershipRequest struct {
	OfMember
	Day string `query:"day" maxLength:"10" pattern:"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$" doc:"不再属于本支部的第一天；不给就是今天"`
}

func endMembership(s *service.Services) useCase[endMembershipRequest, done] {
	return func(ctx context.Context, actor *model.Actor, r *endMembershipRequest) (done, error) {
		return ok(s.Members.End(ctx, actor, r.MemberID, model.Day(r.Day)))
	}
}

type grantPostRequest struct{ Body service.PostInput }

func grantPost(s *service.Services) useCase[grantPostRequest, *model.Post] {
	return func(ctx context.Context, actor *model.Actor, r *grantPostRequest) (*model.Post, error) {
		return s.Posts.Grant(ctx, actor, r.Body)
	}
}

type endPostRequest struct {
	PostID uint64 `path:"post_id" minimum:"1" maximum:"9007199254740991"`
	Day    string `query:"day" maxLength:"10" pattern:"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$" doc:"不再任职的第一天；不给就是今天"`
}

func endPost(s *service.Services) useCase[endPostRequest, done] {
	return func(ctx context.Context, actor *model.Actor, r *endPostRequest) (done, error) {
		return ok(s.Posts.End(ctx, actor, r.PostID, model.Day(r.Day)))
	}
}
