package api

import (
	"context"

	"dangri/model"
	"dangri/service"
)

type annulCheckInRequest struct {
	OfActivity
	Body service.AnnulCheckInInput
}

func annulCheckIn(s *service.Services) useCase[annulCheckInRequest, *service.Annulled] {
	return func(ctx context.Context, actor *model.Actor, r *annulCheckInRequest) (*service.Annulled, error) {
		return s.Corrections.Annul(ctx, actor, r.ActivityID, r.Body)
	}
}

type correctRequest struct {
	OfActivity
	Body service.CorrectInput
}

func correctAttendance(s *service.Services) useCase[correctRequest, *service.Recorded] {
	return func(ctx context.Context, actor *model.Actor, r *correctRequest) (*service.Recorded, error) {
		return s.Corrections.Correct(ctx, actor, r.ActivityID, r.Body)
	}
}

type logRequest struct {
	OfActivity
	OfMember
}

func attendanceLog(s *service.Services) useCase[logRequest, *service.AttendanceLog] {
	return func(ctx context.Context, actor *model.Actor, r *logRequest) (*service.AttendanceLog, error) {
		return s.Corrections.Log(ctx, actor, r.ActivityID, r.MemberID)
	}
}
