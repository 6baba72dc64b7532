package api

import (
	"context"

	"dangri/model"
	"dangri/service"
)

// OfSlot is the path of everything about one slot.
type OfSlot struct {
	SlotID uint64 `path:"slot_id" minimum:"1" maximum:"9007199254740991"`
}

// OfSignUp is the path of everything about one sign-up.
type OfSignUp struct {
	SignUpID uint64 `path:"sign_up_id" minimum:"1" maximum:"9007199254740991"`
}

type capacityRequest struct {
	OfSlot
	Body service.CapacityInput
}

func setSlotCapacity(s *service.Services) useCase[capacityRequest, *model.ServiceSlot] {
	return func(ctx context.Context, actor *model.Actor, r *capacityRequest) (*model.ServiceSlot, error) {
		return s.SignUps.SetCapacity(ctx, actor, r.SlotID, r.Body)
	}
}

type slotSignUpsRequest struct {
	OfSlot
	Page
}

func listSlotSignUps(s *service.Services) useCase[slotSignUpsRequest, *service.SignUpPage] {
	return func(ctx context.Context, actor *model.Actor, r *slotSignUpsRequest) (*service.SignUpPage, error) {
		return s.SignUps.OfSlot(ctx, actor, r.SlotID, r.Cursor, r.Limit)
	}
}

type signUpRequest struct {
	OfSlot
	Body service.SignUpInput
}

func signUpForSlot(s *service.Services) useCase[signUpRequest, *service.SignedUp] {
	return func(ctx context.Context, actor *model.Actor, r *signUpRequest) (*service.SignedUp, error) {
		return s.SignUps.Create(ctx, actor, r.SlotID, r.Body)
	}
}

type waitRequest struct {
	OfSlot
	Body service.WaitInput
}

func joinWaitingList(s *service.Services) useCase[waitRequest, *service.SignedUp] {
	return func(ctx context.Context, actor *model.Actor, r *waitRequest) (*service.SignedUp, error) {
		return s.SignUps.Wait(ctx, actor, r.SlotID, r.Body)
	}
}

type severalRequest struct {
	OfSlot
	Body service.SeveralInput
}

type severalAnswer struct {
	Items []service.SignedUp `json:"items"`
}

func signUpMembers(s *service.Services) useCase[severalRequest, *severalAnswer] {
	return func(ctx context.Context, actor *model.Actor, r *severalRequest) (*severalAnswer, error) {
		all, err := s.SignUps.CreateSeveral(ctx, actor, r.SlotID, r.Body)
		return &severalAnswer{all}, err
	}
}

func listOwnSignUps(s *service.Services) useCase[Page, *service.SignUpPage] {
	return func(ctx context.Context, actor *model.Actor, r *Page) (*service.SignUpPage, error) {
		return s.SignUps.Mine(ctx, actor, r.Cursor, r.Limit)
	}
}

type cancelSignUpRequest struct {
	OfSignUp
	Body service.CancelSignUpInput
}

func cancelSignUp(s *service.Services) useCase[cancelSignUpRequest, *service.SignedUp] {
	return func(ctx context.Context, actor *model.Actor, r *cancelSignUpRequest) (*service.SignedUp, error) {
		return s.SignUps.Cancel(ctx, actor, r.SignUpID, r.Body)
	}
}

func leaveWaitingList(s *service.Services) useCase[OfSignUp, *service.SignedUp] {
	return func(ctx context.Context, actor *model.Actor, r *OfSignUp) (*service.SignedUp, error) {
		return s.SignUps.LeaveLine(ctx, actor, r.SignUpID)
	}
}

type answerOfferRequest struct {
	OfSignUp
	Body service.OfferAnswer
}

func answerOffer(s *service.Services) useCase[answerOfferRequest, *service.SignedUp] {
	return func(ctx context.Context, actor *model.Actor, r *answerOfferRequest) (*service.SignedUp, error) {
		return s.SignUps.AnswerOffer(ctx, actor, r.SignUpID, r.Body)
	}
}
