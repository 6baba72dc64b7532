package api

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"dangri/model"
	"dangri/service"
)

type calendarRequest struct {
	OfServiceDay
	Body service.CalendarInput
}

func repeatServiceDay(s *service.Services) useCase[calendarRequest, *service.CalendarView] {
	return func(ctx context.Context, actor *model.Actor, r *calendarRequest) (*service.CalendarView, error) {
		return s.Calendars.Repeat(ctx, actor, r.ServiceDayID, r.Body)
	}
}

func showServiceCalendar(s *service.Services) useCase[OfServiceDay, *service.CalendarView] {
	return func(ctx context.Context, actor *model.Actor, r *OfServiceDay) (*service.CalendarView, error) {
		return s.Calendars.Show(ctx, actor, r.ServiceDayID)
	}
}

func serviceDayCode(s *service.Services) useCase[OfServiceDay, *service.ServiceCode] {
	return func(ctx context.Context, actor *model.Actor, r *OfServiceDay) (*service.ServiceCode, error) {
		return s.Presences.Code(ctx, actor, r.ServiceDayID)
	}
}

func newServiceDayCode(s *service.Services) useCase[OfServiceDay, *service.ServiceCode] {
	return func(ctx context.Context, actor *model.Actor, r *OfServiceDay) (*service.ServiceCode, error) {
		return s.Presences.NewCode(ctx, actor, r.ServiceDayID)
	}
}

type serviceScanRequest struct{ Body service.ServiceScan }

func checkInToService(s *service.Services) useCase[serviceScanRequest, *service.ServicePresence] {
	return func(ctx context.Context, actor *model.Actor, r *serviceScanRequest) (*service.ServicePresence, error) {
		return s.Presences.Arrive(ctx, actor, r.Body)
	}
}

type serviceLeaveRequest struct{ Body service.ServiceLeave }

func checkOutOfService(s *service.Services) useCase[serviceLeaveRequest, *service.ServicePresence] {
	return func(ctx context.Context, actor *model.Actor, r *serviceLeaveRequest) (*service.ServicePresence, error) {
		return s.Presences.Leave(ctx, actor, r.Body)
	}
}

type tickRequest struct {
	OfServiceDay
	Body service.TickInput
}

type tickAnswer struct {
	Items []service.ServicePresence `json:"items"`
}

func tickServicePresence(s *service.Services) useCase[tickRequest, *tickAnswer] {
	return func(ctx context.Context, actor *model.Actor, r *tickRequest) (*tickAnswer, error) {
		all, err := s.Presences.Tick(ctx, actor, r.ServiceDayID, r.Body)
		return &tickAnswer{all}, err
	}
}

type confirmHoursRequest struct {
	OfServiceDay
	Body service.HoursConfirmation
}

func confirmServiceHours(s *service.Services) useCase[confirmHoursRequest, *service.HoursConfirmed] {
	return func(ctx context.Context, actor *model.Actor, r *confirmHoursRequest) (*service.HoursConfirmed, error) {
		return s.Hours.Confirm(ctx, actor, r.ServiceDayID, r.Body)
	}
}

type absenceRequest struct {
	OfSignUp
	Body service.AbsenceInput
}

func explainAbsence(s *service.Services) useCase[absenceRequest, done] {
	return func(ctx context.Context, actor *model.Actor, r *absenceRequest) (done, error) {
		return ok(s.Hours.Explain(ctx, actor, r.SignUpID, r.Body))
	}
}

type absencesAnswer struct {
	Items []service.UnexplainedAbsence `json:"items"`
}

func listServiceAbsences(s *service.Services) useCase[OfOrganisation, *absencesAnswer] {
	return func(ctx context.Context, actor *model.Actor, r *OfOrganisation) (*absencesAnswer, error) {
		all, err := s.Hours.Absences(ctx, actor, r.OrganisationID)
		return &absencesAnswer{all}, err
	}
}

type objectRequest struct {
	OfSignUp
	Body service.ObjectionInput
}

func objectToHours(s *service.Services) useCase[objectRequest, *model.HourObjection] {
	return func(ctx context.Context, actor *model.Actor, r *objectRequest) (*model.HourObjection, error) {
		return s.Hours.Object(ctx, actor, r.SignUpID, r.Body)
	}
}

type objectionsRequest struct {
	Page
	CommunityID uint64 `query:"community_id" maximum:"9007199254740991" doc:"看这个社区收到的；不给就是我提出的"`
}

func listHourObjections(s *service.Services) useCase[objectionsRequest, *service.ObjectionPage] {
	return func(ctx context.Context, actor *model.Actor, r *objectionsRequest) (*service.ObjectionPage, error) {
		return s.Hours.Objections(ctx, actor, r.CommunityID, r.Cursor, r.Limit)
	}
}

type answerObjectionRequest struct {
	ObjectionID uint64 `path:"objection_id" minimum:"1" maximum:"9007199254740991"`
	Body        service.ObjectionAnswer
}

func answerObjection(s *service.Services) useCase[answerObjectionRequest, *model.HourObjection] {
	return func(ctx context.Context, actor *model.Actor, r *answerObjectionRequest) (*model.HourObjection, error) {
		return s.Hours.AnswerObjection(ctx, actor, r.ObjectionID, r.Body)
	}
}

// OfYear is a year of a member's service.
type OfYear struct {
	Year int `query:"year" minimum:"2000" maximum:"2100" doc:"年份；不给就是今年"`
}

func ownServiceRecord(s *service.Services) useCase[OfYear, *service.ServiceRecord] {
	return func(ctx context.Context, actor *model.Actor, r *OfYear) (*service.ServiceRecord, error) {
		return s.Hours.Record(ctx, actor, actor.MemberID, r.Year)
	}
}

type recordOfMember struct {
	OfMember
	OfYear
}

func serviceRecord(s *service.Services) useCase[recordOfMember, *service.ServiceRecord] {
	return func(ctx context.Context, actor *model.Actor, r *recordOfMember) (*service.ServiceRecord, error) {
		return s.Hours.Record(ctx, actor, r.MemberID, r.Year)
	}
}

var recordPage = paper("record")

func serviceRecordPage(s *service.Services) useCase[recordOfMember, []byte] {
	return func(ctx context.Context, actor *model.Actor, r *recordOfMember) ([]byte, error) {
		return drawn(recordPage)(s.Hours.Record(ctx, actor, r.MemberID, r.Year))
	}
}

func serviceRecordWorkbook(s *service.Services) useCase[recordOfMember, []byte] {
	return func(ctx context.Context, actor *model.Actor, r *recordOfMember) ([]byte, error) {
		record, err := s.Hours.Record(ctx, actor, r.MemberID, r.Year)
		if err != nil {
			return nil, err
		}
		return written(record)
	}
}

// OfSlip is one slip between a community and a branch.
type OfSlip struct {
	CommunityID uint64        `path:"community_id" minimum:"1" maximum:"9007199254740991"`
	Quarter     model.Quarter `path:"quarter" maxLength:"6" doc:"2026Q1 的形式"`
	BranchID    uint64        `path:"branch_id" minimum:"1" maximum:"9007199254740991"`
}

type slipsRequest struct {
	CommunityID uint64        `path:"community_id" minimum:"1" maximum:"9007199254740991"`
	Quarter     model.Quarter `path:"quarter" maxLength:"6" doc:"2026Q1 的形式"`
}

func listFeedbackSlips(s *service.Services) useCase[slipsRequest, *service.SlipOverview] {
	return func(ctx context.Context, actor *model.Actor, r *slipsRequest) (*service.SlipOverview, error) {
		return s.Feedback.List(ctx, actor, r.CommunityID, r.Quarter)
	}
}

func feedbackSlip(s *service.Services) useCase[OfSlip, *service.Slip] {
	return func(ctx context.Context, actor *model.Actor, r *OfSlip) (*service.Slip, error) {
		return s.Feedback.Show(ctx, actor, r.CommunityID, r.BranchID, r.Quarter)
	}
}

var slipPage = paper("slip")

func feedbackSlipPage(s *service.Services) useCase[OfSlip, []byte] {
	return func(ctx context.Context, actor *model.Actor, r *OfSlip) ([]byte, error) {
		return drawn(slipPage)(s.Feedback.Show(ctx, actor, r.CommunityID, r.BranchID, r.Quarter))
	}
}

func feedbackSlipWorkbook(s *service.Services) useCase[OfSlip, []byte] {
	return func(ctx context.Context, actor *model.Actor, r *OfSlip) ([]byte, error) {
		slip, err := s.Feedback.Show(ctx, actor, r.CommunityID, r.BranchID, r.Quarter)
		if err != nil {
			return nil, err
		}
		return written(slip)
	}
}

type confirmSlipRequest struct {
	OfSlip
	Body service.SlipInput
}

func confirmFeedbackSlip(s *service.Services) useCase[confirmSlipRequest, *service.Slip] {
	return func(ctx context.Context, actor *model.Actor, r *confirmSlipRequest) (*service.Slip, error) {
		return s.Feedback.Confirm(ctx, actor, r.CommunityID, r.BranchID, r.Quarter, r.Body)
	}
}

// written is what writes itself as a workbook.
func written(w interface{ WriteXLSX(io.Writer) error }) ([]byte, error) {
	var b bytes.Buffer
	if err := w.WriteXLSX(&b); err != nil {
		return nil, fmt.Errorf("write workbook: %w", err)
	}
	return b.Bytes(), nil
}
