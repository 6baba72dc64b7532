package api

import (
	"context"

	"dangri/model"
	"dangri/service"
)

type checkOutRequest struct{ Body service.CheckOutInput }

func checkOut(s *service.Services) useCase[checkOutRequest, *service.Moved] {
	return func(ctx context.Context, actor *model.Actor, r *checkOutRequest) (*service.Moved, error) {
		return s.Movements.CheckOut(ctx, actor, r.Body)
	}
}

type movementRequest struct {
	OfActivity
	Body service.MovementInput
}

func recordMovement(s *service.Services) useCase[movementRequest, *service.Moved] {
	return func(ctx context.Context, actor *model.Actor, r *movementRequest) (*service.Moved, error) {
		return s.Movements.Record(ctx, actor, r.ActivityID, r.Body)
	}
}

func ownStay(s *service.Services) useCase[OfActivity, *service.OwnStay] {
	return func(ctx context.Context, actor *model.Actor, r *OfActivity) (*service.OwnStay, error) {
		return s.Movements.Own(ctx, actor, r.ActivityID)
	}
}

func signals(s *service.Services) useCase[OfActivity, *service.SignalList] {
	return func(ctx context.Context, actor *model.Actor, r *OfActivity) (*service.SignalList, error) {
		return s.Signals.Show(ctx, actor, r.ActivityID)
	}
}
