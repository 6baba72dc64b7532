package api

import (
	"context"

	"dangri/model"
	"dangri/service"
)

type paperSheetRequest struct {
	OfActivity
	Body service.PaperSheetInput
}

func recordPaperSheet(s *service.Services) useCase[paperSheetRequest, *service.PaperSheetReport] {
	return func(ctx context.Context, actor *model.Actor, r *paperSheetRequest) (*service.PaperSheetReport, error) {
		return s.PaperSheets.Record(ctx, actor, r.ActivityID, r.Body)
	}
}

var minutesTemplate = paper("minutes")

func minutesPage(s *service.Services) useCase[showMinutesRequest, []byte] {
	return func(ctx context.Context, actor *model.Actor, r *showMinutesRequest) ([]byte, error) {
		return drawn(minutesTemplate)(s.Papers.Minutes(ctx, actor, r.ActivityID, r.BranchID, r.Version))
	}
}

type linkPaperRequest struct{ Body service.PaperLinkInput }

func linkPaper(s *service.Services) useCase[linkPaperRequest, *service.PaperLink] {
	return func(ctx context.Context, actor *model.Actor, r *linkPaperRequest) (*service.PaperLink, error) {
		return s.PaperLinks.Make(ctx, actor, r.Body)
	}
}

type packRequest struct {
	OfSide
	PaperSheet bool `query:"paper_sheet" doc:"连同纸质签到表的照片；上面有签名，不给就不附"`
}

func meetingPack(s *service.Services) useCase[packRequest, []byte] {
	return func(ctx context.Context, actor *model.Actor, r *packRequest) ([]byte, error) {
		return s.Papers.Pack(ctx, actor, r.ActivityID, r.BranchID, r.PaperSheet)
	}
}

func attendanceRecord(s *service.Services) useCase[recordOfMember, *service.AttendanceRecord] {
	return func(ctx context.Context, actor *model.Actor, r *recordOfMember) (*service.AttendanceRecord, error) {
		return s.Papers.Attendance(ctx, actor, r.MemberID, r.Year)
	}
}

var attendanceTemplate = paper("attendance")

func attendanceRecordPage(s *service.Services) useCase[recordOfMember, []byte] {
	return func(ctx context.Context, actor *model.Actor, r *recordOfMember) ([]byte, error) {
		return drawn(attendanceTemplate)(s.Papers.Attendance(ctx, actor, r.MemberID, r.Year))
	}
}

func attendanceRecordWorkbook(s *service.Services) useCase[recordOfMember, []byte] {
	return func(ctx context.Context, actor *model.Actor, r *recordOfMember) ([]byte, error) {
		record, err := s.Papers.Attendance(ctx, actor, r.MemberID, r.Year)
		if err != nil {
			return nil, err
		}
		return written(record)
	}
}
