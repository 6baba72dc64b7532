package api

import (
	"context"

	"dangri/model"
	"dangri/service"
)

func exportMyData(s *service.Services) useCase[nothing, *service.PersonalFile] {
	return func(ctx context.Context, actor *model.Actor, _ *nothing) (*service.PersonalFile, error) {
		return s.OwnData.Export(ctx, actor)
	}
}

type updateMemberRequest struct {
	OfMember
	Body service.CorrectionInput
}

func updateMember(s *service.Services) useCase[updateMemberRequest, *model.Member] {
	return func(ctx context.Context, actor *model.Actor, r *updateMemberRequest) (*model.Member, error) {
		return s.OwnData.Correct(ctx, actor, r.MemberID, r.Body)
	}
}

type eraseMemberRequest struct {
	OfMember
	Body service.ErasureInput
}

func eraseMember(s *service.Services) useCase[eraseMemberRequest, done] {
	return func(ctx context.Context, actor *model.Actor, r *eraseMemberRequest) (done, error) {
		return ok(s.OwnData.Erase(ctx, actor, r.MemberID, r.Body))
	}
}

type complaintsRequest struct {
	Page
	Scope string `query:"scope" enum:"own,received" default:"own" doc:"范围：own 我提的，received 我作为上级或管理员收到的"`
}

func listComplaints(s *service.Services) useCase[complaintsRequest, *service.ComplaintPage] {
	return func(ctx context.Context, actor *model.Actor, r *complaintsRequest) (*service.ComplaintPage, error) {
		return s.Complaints.List(ctx, actor, r.Scope == "received", r.Cursor, r.Limit)
	}
}

type complainRequest struct{ Body service.ComplaintInput }

func complain(s *service.Services) useCase[complainRequest, *service.ComplaintView] {
	return func(ctx context.Context, actor *model.Actor, r *complainRequest) (*service.ComplaintView, error) {
		return s.Complaints.Create(ctx, actor, r.Body)
	}
}

type answerComplaintRequest struct {
	ComplaintID uint64 `path:"complaint_id" minimum:"1" maximum:"9007199254740991"`
	Body        service.ComplaintAnswer
}

func answerComplaint(s *service.Services) useCase[answerComplaintRequest, *service.ComplaintView] {
	return func(ctx context.Context, actor *model.Actor, r *answerComplaintRequest) (*service.ComplaintView, error) {
		return s.Complaints.Answer(ctx, actor, r.ComplaintID, r.Body)
	}
}
