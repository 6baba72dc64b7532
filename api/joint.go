package api

import (
	"context"

	"dangri/model"
	"dangri/service"
)

// OfJointBranch is the path of a branch at a joint meeting.
type OfJointBranch struct {
	OfActivity
	BranchID uint64 `path:"branch_id" minimum:"1" maximum:"9007199254740991"`
}

func listJointInvitations(s *service.Services) useCase[struct{}, *service.JointInvitations] {
	return func(ctx context.Context, actor *model.Actor, _ *struct{}) (*service.JointInvitations, error) {
		return s.Joint.Invitations(ctx, actor)
	}
}

func listJointBranches(s *service.Services) useCase[OfActivity, *service.JointParts] {
	return func(ctx context.Context, actor *model.Actor, r *OfActivity) (*service.JointParts, error) {
		return s.Joint.Show(ctx, actor, r.ActivityID)
	}
}

type inviteBranchRequest struct {
	OfActivity
	Body service.JointInput
}

func inviteBranch(s *service.Services) useCase[inviteBranchRequest, *service.JointParts] {
	return func(ctx context.Context, actor *model.Actor, r *inviteBranchRequest) (*service.JointParts, error) {
		return s.Joint.Invite(ctx, actor, r.ActivityID, r.Body)
	}
}

func withdrawJointInvitation(s *service.Services) useCase[OfJointBranch, *service.JointParts] {
	return func(ctx context.Context, actor *model.Actor, r *OfJointBranch) (*service.JointParts, error) {
		return s.Joint.Withdraw(ctx, actor, r.ActivityID, r.BranchID)
	}
}

type answerJointRequest struct {
	OfJointBranch
	Body service.JointAnswer
}

func answerJointInvitation(s *service.Services) useCase[answerJointRequest, *service.JointParts] {
	return func(ctx context.Context, actor *model.Actor, r *answerJointRequest) (*service.JointParts, error) {
		return s.Joint.Answer(ctx, actor, r.ActivityID, r.BranchID, r.Body)
	}
}
