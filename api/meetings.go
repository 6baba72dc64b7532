package api

import (
	"bytes"
	"context"
	"fmt"

	"dangri/model"
	"dangri/service"
)

type checkInRequest struct {
	Key  string `header:"Idempotency-Key" maxLength:"64" doc:"可不给；给了须与 nonce 相同"`
	Body service.CheckInInput
}

func checkIn(s *service.Services) useCase[checkInRequest, *service.CheckedIn] {
	return func(ctx context.Context, actor *model.Actor, r *checkInRequest) (*service.CheckedIn, error) {
		if r.Key != "" && r.Key != r.Body.Nonce {
			return nil, model.BadField("nonce", "Idempotency-Key 与 nonce 不一致")
		}
		return s.CheckIns.Create(ctx, actor, r.Body)
	}
}

func checkInCode(s *service.Services) useCase[OfActivity, *service.ScreenCode] {
	return func(ctx context.Context, actor *model.Actor, r *OfActivity) (*service.ScreenCode, error) {
		return s.Meetings.Code(ctx, actor, r.ActivityID)
	}
}

func newCheckInCode(s *service.Services) useCase[OfActivity, *service.ScreenCode] {
	return func(ctx context.Context, actor *model.Actor, r *OfActivity) (*service.ScreenCode, error) {
		return s.Meetings.NewCode(ctx, actor, r.ActivityID)
	}
}

type recordRequest struct {
	OfActivity
	Body service.RecordInput
}

func recordAttendance(s *service.Services) useCase[recordRequest, *service.Recorded] {
	return func(ctx context.Context, actor *model.Actor, r *recordRequest) (*service.Recorded, error) {
		return s.Meetings.Record(ctx, actor, r.ActivityID, r.Body)
	}
}

type exemptRequest struct {
	OfActivity
	Body service.ExemptInput
}

func exemptMember(s *service.Services) useCase[exemptRequest, *model.Tally] {
	return func(ctx context.Context, actor *model.Actor, r *exemptRequest) (*model.Tally, error) {
		return s.Meetings.Exempt(ctx, actor, r.ActivityID, r.Body)
	}
}

// OfPart is the path of what each branch of a joint meeting has for itself.
type OfPart struct {
	OfActivity
	BranchID uint64 `query:"branch_id" minimum:"1" maximum:"9007199254740991" doc:"联办活动中的一个支部；不给就是本人看得到的全部"`
}

// OfSide is the path of what each branch of a joint meeting keeps for itself.
type OfSide struct {
	OfActivity
	BranchID uint64 `query:"branch_id" minimum:"1" maximum:"9007199254740991" doc:"联办活动中的一个支部；不给就是本人所在的一方，两方都管的为主办方"`
}

type rosterRequest struct {
	OfPart
	Cursor string `query:"cursor" maxLength:"64" doc:"翻页位置：上一页的 next"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"100" doc:"每页的条数"`
}

func roster(s *service.Services) useCase[rosterRequest, *service.RosterPage] {
	return func(ctx context.Context, actor *model.Actor, r *rosterRequest) (*service.RosterPage, error) {
		return s.Meetings.Roster(ctx, actor, r.ActivityID, r.BranchID, r.Cursor, r.Limit)
	}
}

// board resolves the session itself: session and board come in one round trip.
func board(s *service.Services) func(context.Context, *OfPart) (*service.Board, error) {
	return func(ctx context.Context, r *OfPart) (*service.Board, error) {
		return s.Boards.Show(ctx, token(ctx), r.ActivityID, r.BranchID)
	}
}

func closeActivity(s *service.Services) useCase[OfActivity, *service.Closing] {
	return func(ctx context.Context, actor *model.Actor, r *OfActivity) (*service.Closing, error) {
		return s.Meetings.Close(ctx, actor, r.ActivityID)
	}
}

func attendanceSheet(s *service.Services) useCase[OfPart, *service.Sheet] {
	return func(ctx context.Context, actor *model.Actor, r *OfPart) (*service.Sheet, error) {
		return s.Sheets.Show(ctx, actor, r.ActivityID, r.BranchID)
	}
}

func attendanceSheetWorkbook(s *service.Services) useCase[OfPart, []byte] {
	return func(ctx context.Context, actor *model.Actor, r *OfPart) ([]byte, error) {
		sheet, err := s.Sheets.Show(ctx, actor, r.ActivityID, r.BranchID)
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		if err := sheet.WriteXLSX(&b); err != nil {
			return nil, fmt.Errorf("write sheet of activity %d: %w", r.ActivityID, err)
		}
		return b.Bytes(), nil
	}
}

var sheetPage = paper("sheet")

func attendanceSheetPage(s *service.Services) useCase[OfPart, []byte] {
	return func(ctx context.Context, actor *model.Actor, r *OfPart) ([]byte, error) {
		return drawn(sheetPage)(s.Sheets.Show(ctx, actor, r.ActivityID, r.BranchID))
	}
}
