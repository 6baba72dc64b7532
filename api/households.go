package api

import (
	"context"

	"dangri/model"
	"dangri/service"
)

// OfPairing is the path of everything about one pairing with a household.
type OfPairing struct {
	PairingID uint64 `path:"pairing_id" minimum:"1" maximum:"9007199254740991"`
}

type pairingRequest struct{ Body service.PairingInput }

func pairHousehold(s *service.Services) useCase[pairingRequest, *service.PairingView] {
	return func(ctx context.Context, actor *model.Actor, r *pairingRequest) (*service.PairingView, error) {
		return s.Households.Pair(ctx, actor, r.Body)
	}
}

type pairingsRequest struct {
	Page
	BranchID uint64 `query:"branch_id" maximum:"9007199254740991" doc:"书记看本支部党员的；不给就是我自己的"`
}

func listHouseholdPairings(s *service.Services) useCase[pairingsRequest, *service.PairingPage] {
	return func(ctx context.Context, actor *model.Actor, r *pairingsRequest) (*service.PairingPage, error) {
		return s.Households.List(ctx, actor, r.BranchID, r.Cursor, r.Limit)
	}
}

func showHouseholdPairing(s *service.Services) useCase[OfPairing, *service.PairingView] {
	return func(ctx context.Context, actor *model.Actor, r *OfPairing) (*service.PairingView, error) {
		return s.Households.Show(ctx, actor, r.PairingID)
	}
}

type endPairingRequest struct {
	OfPairing
	Day string `query:"day" maxLength:"10" pattern:"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$" doc:"不再结亲的第一天；不给就是今天"`
}

func endHouseholdPairing(s *service.Services) useCase[endPairingRequest, done] {
	return func(ctx context.Context, actor *model.Actor, r *endPairingRequest) (done, error) {
		return ok(s.Households.End(ctx, actor, r.PairingID, model.Day(r.Day)))
	}
}

type visitRequest struct {
	OfPairing
	Body service.VisitInput
}

func recordHouseholdVisit(s *service.Services) useCase[visitRequest, *service.VisitView] {
	return func(ctx context.Context, actor *model.Actor, r *visitRequest) (*service.VisitView, error) {
		return s.Households.Visit(ctx, actor, r.PairingID, r.Body)
	}
}

type ofVisit struct {
	VisitID uint64 `path:"visit_id" minimum:"1" maximum:"9007199254740991"`
}

func confirmHouseholdVisit(s *service.Services) useCase[ofVisit, *service.VisitView] {
	return func(ctx context.Context, actor *model.Actor, r *ofVisit) (*service.VisitView, error) {
		return s.Households.ConfirmVisit(ctx, actor, r.VisitID)
	}
}
