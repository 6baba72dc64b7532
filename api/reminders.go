package api

import (
	"context"

	"dangri/model"
	"dangri/service"
)

type subscriptionRequest struct {
	Purpose service.Screen `query:"purpose" required:"true" enum:"activity,duty,service_day,application,waiting_list" doc:"哪个页面上的点击：activity 活动页或签到成功后；duty 办理会议时；service_day 报名服务日；application 提交申请；waiting_list 候补"`
}

func subscriptionRequests(s *service.Services) useCase[subscriptionRequest, *service.SubscriptionRequests] {
	return func(ctx context.Context, actor *model.Actor, r *subscriptionRequest) (*service.SubscriptionRequests, error) {
		return s.Consents.Requests(ctx, actor, r.Purpose)
	}
}

type consentsRequest struct{ Body service.ConsentReport }

func reportConsents(s *service.Services) useCase[consentsRequest, *service.ConsentLedger] {
	return func(ctx context.Context, actor *model.Actor, r *consentsRequest) (*service.ConsentLedger, error) {
		return s.Consents.Report(ctx, actor, r.Body)
	}
}

func reachForecast(s *service.Services) useCase[OfActivity, *service.ReachForecast] {
	return func(ctx context.Context, actor *model.Actor, r *OfActivity) (*service.ReachForecast, error) {
		return s.Reach.Forecast(ctx, actor, r.ActivityID)
	}
}

type remindersRequest struct {
	OfActivity
	Page
}

func reminderReport(s *service.Services) useCase[remindersRequest, *service.ReminderReport] {
	return func(ctx context.Context, actor *model.Actor, r *remindersRequest) (*service.ReminderReport, error) {
		return s.Reach.Report(ctx, actor, r.ActivityID, r.Cursor, r.Limit)
	}
}

func callList(s *service.Services) useCase[OfActivity, *service.CallList] {
	return func(ctx context.Context, actor *model.Actor, r *OfActivity) (*service.CallList, error) {
		return s.Reach.Calls(ctx, actor, r.ActivityID)
	}
}

var callsPage = paper("calls")

func callListPage(s *service.Services) useCase[OfActivity, []byte] {
	return func(ctx context.Context, actor *model.Actor, r *OfActivity) ([]byte, error) {
		return drawn(callsPage)(s.Reach.Calls(ctx, actor, r.ActivityID))
	}
}
