package api_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
	"dangri/wechat/sim"
)

// sendOnAll lets several replicas send what is due at once.
func (n *neighbourhood) sendOnAll(replicas ...*service.Services) {
	n.t.Helper()
	n.Heard()
	trial.Race(2*len(replicas), func(i int) {
		if err := replicas[i%len(replicas)].Reminders.Send(n.t.Context()); err != nil {
			n.t.Error(err)
		}
	})
	n.Heard()
}

// reminder is the state of a member's reminder of a kind, and why.
func (n *neighbourhood) reminder(p *trial.Person, kind model.ReminderKind) string {
	n.t.Helper()
	var rows []model.Reminder
	if err := n.DB.Find(&rows, "member_id = ? AND kind = ?", p.ID, kind).Error; err != nil {
		n.t.Fatal(err)
	}
	if len(rows) != 1 {
		n.t.Fatalf("%s has %d reminders of kind %s", p.Name, len(rows), kind)
	}
	return strings.TrimSpace(string(rows[0].State) + " " + rows[0].Reason)
}

func TestAnOfferIsToldOnceHoweverManyReplicasSend(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(3, 1)
		s.Connect()
		n.everybody()
		others := []*service.Services{n.Services, s.Replica(), s.Replica()}
		u := n.seat(n.members[0])
		first, second := n.wait(n.members[1]), n.wait(n.members[2])
		for _, p := range n.members {
			p.User.Accept(sim.TemplateID(sim.WaitingListOffer))
			p.User.Accept(sim.TemplateID(sim.WaitingListOffer))
		}
		n.sendOnAll(others...)
		want(t, n.cancel(n.members[0], u.ID), 200, "ok")
		n.sendOnAll(others...)
		n.sendOnAll(others...)
		messages := n.members[1].User.Messages()
		if len(messages) != 1 || !strings.Contains(messages[0].Page, jsonText(n.day.ID)) || messages[0].Fields[0].Value != "周四固定服务日（楼道清扫）" {
			t.Fatalf("the first in line got %+v", messages)
		}
		if told := messages[0].Fields[2].Value; told != n.offer(first.ID).OfferEndsAt.In(trial.Zone).Format("2006年1月2日 15:04") {
			t.Errorf("the message says the offer ends at %s", told)
		}
		want(t, n.answer(n.members[1], first.ID, false), 200, "ok")
		n.sendOnAll(others...)
		for i, wanted := range []int{0, 1, 1} {
			if got := len(n.members[i].User.Messages()); got != wanted {
				t.Errorf("%s got %d messages, want %d", n.members[i].Name, got, wanted)
			}
		}
		n.offer(second.ID)
	})
}

// failing is a platform that is reached, or not, while the database goes away:
// as when the sender is killed after its call, or just before.
type failing struct {
	service.Platform
	mu    sync.Mutex
	kills []func() (before bool)
}

func (f *failing) Deliver(ctx context.Context, openID, templateID, page string, data map[string]string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, killed := false, len(f.kills) > 0
	if killed {
		before = f.kills[0]()
		f.kills = f.kills[1:]
	}
	if before {
		return "", errors.New("the sender is dead")
	}
	return f.Platform.Deliver(ctx, openID, templateID, page, data)
}

func TestEveryOfferIsToldOnceAlthoughSendersDieBeforeAndAfterTheCall(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		const offers = 6
		n := s.aNeighbourhood(2*offers, offers)
		s.Connect()
		n.everybody()
		var seats, line []service.SignedUp
		for _, p := range n.members[:offers] {
			seats = append(seats, n.seat(p))
		}
		for _, p := range n.members[offers:] {
			line = append(line, n.wait(p))
			p.User.Accept(sim.TemplateID(sim.WaitingListOffer))
		}
		s.Heard()
		for i, u := range seats {
			want(t, n.cancel(n.members[i], u.ID), 200, "ok")
		}
		s.WeChat.Arm(sim.Fault{Endpoint: sim.Push, Kind: sim.Lost, Event: sim.SentEvent, Count: 4}) // of some nothing is heard
		platform := s.Parts.Platform.(*failing)
		died := 0
		for i := range 4 {
			platform.kills = append(platform.kills, func() bool {
				s.CutDatabase()
				died++
				return i%2 == 0
			})
		}
		for range 40 {
			_ = n.Reminders.Resolve(t.Context()) // what fails is done by the next sender
			_ = n.Reminders.Send(t.Context())
			s.ReviveDatabase()
			s.Heard()
			s.Clock.Advance(15 * time.Second)
		}
		if died != 4 {
			t.Errorf("%d senders died", died)
		}
		for i, p := range n.members[offers:] {
			if got := len(p.User.Messages()); got != 1 {
				t.Errorf("%s got %d messages, the notice is %s", p.Name, got, n.reminder(p, model.SeatOffered))
			}
			n.offer(line[i].ID)
		}
	}, func(p *service.Parts) { p.Platform = &failing{Platform: p.Platform} })
}

func TestAnOfferDeclinedAsItIsSentIsToldAtMostOnceAndTheNextOneOnce(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		const rounds = 5
		n := s.aNeighbourhood(3*rounds, 1)
		s.Connect()
		n.everybody()
		other := s.Replica()
		for i := range rounds {
			n.publishDay("slots", []body{n.job(1)})
			owner, hasty, next := n.members[3*i], n.members[3*i+1], n.members[3*i+2]
			u, first, second := n.seat(owner), n.wait(hasty), n.wait(next)
			for range 2 {
				hasty.User.Accept(sim.TemplateID(sim.WaitingListOffer))
				next.User.Accept(sim.TemplateID(sim.WaitingListOffer))
			}
			s.Heard()
			want(t, n.cancel(owner, u.ID), 200, "ok")
			trial.Race(3, func(i int) {
				if i == 0 {
					want(t, n.answer(hasty, first.ID, false), 200, "ok")
					return
				}
				if err := []*service.Services{nil, n.Services, other}[i].Reminders.Send(t.Context()); err != nil {
					t.Error(err)
				}
			})
			n.sendOnAll(n.Services, other)
			n.offer(second.ID)
			told, why := len(hasty.User.Messages()), n.reminder(hasty, model.SeatOffered)
			if told > 1 || (told == 1) != (why == "sent") || told == 0 && why != "withdrawn declined" {
				t.Errorf("who declined got %d messages; the notice is %s", told, why)
			}
			if got := len(next.User.Messages()); got != 1 {
				t.Errorf("the next in line got %d messages", got)
			}
		}
	})
}

func TestAnOfferStandsOnTheFirstScreenWhetherOrNotAMessageArrives(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(2, 1)
		u, w := n.seat(n.members[0]), n.wait(n.members[1])
		screen := func(p *trial.Person) service.HomeScreen {
			return as[service.HomeScreen](t, n.phone(p).get("/v1/home"))
		}
		if got := screen(n.members[1]).Offers; len(got) != 0 {
			t.Errorf("before any offer: %+v", got)
		}
		want(t, n.cancel(n.members[0], u.ID), 200, "ok")
		ends := n.offer(w.ID).OfferEndsAt
		got := screen(n.members[1])
		if len(got.Offers) != 1 || got.Offers[0].SignUpID != w.ID || got.Offers[0].ServiceDayID != n.day.ID || !got.Offers[0].OfferEndsAt.Equal(*ends) ||
			got.Headline != "“周四固定服务日”有一个名额为您保留，请在 3月11日 02:00 前确认" {
			t.Errorf("the first screen says %q and %+v", got.Headline, got.Offers)
		}
		if got := screen(n.members[0]).Offers; len(got) != 0 {
			t.Errorf("to somebody else: %+v", got)
		}
		s.Clock.Set(*ends) // the lines have not been looked after yet
		if got := screen(n.members[1]).Offers; len(got) != 0 {
			t.Errorf("after its end: %+v", got)
		}
	})
}

func TestAnOfferThatWasAnsweredMeanwhileIsNotTold(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(2, 1)
		s.Connect()
		n.everybody()
		u := n.seat(n.members[0])
		w := n.wait(n.members[1])
		want(t, n.cancel(n.members[0], u.ID), 200, "ok")
		n.sendOnAll(n.Services) // no consent yet
		want(t, n.answer(n.members[1], w.ID, true), 200, "ok")
		n.members[1].User.Accept(sim.TemplateID(sim.WaitingListOffer))
		s.Clock.Advance(time.Hour)
		n.sendOnAll(n.Services)
		if got := n.reminder(n.members[1], model.SeatOffered); got != "withdrawn seated" || len(n.members[1].User.Messages()) != 0 {
			t.Errorf("the notice of an answered offer is %s", got)
		}
	})
}

func TestWhoHasASeatIsRemindedTheDayBeforeAndWhoGaveItBackIsNot(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(2, 2)
		s.Connect()
		n.everybody()
		for _, p := range n.members {
			p.User.Accept(sim.TemplateID(sim.ServiceDayReminder))
		}
		n.seat(n.members[0])
		back := n.seat(n.members[1])
		want(t, n.cancel(n.members[1], back.ID), 200, "ok")
		s.Clock.Set(serviceStart.Add(-24 * time.Hour))
		n.sendOnAll(n.Services, s.Replica())
		if got := n.reminder(n.members[0], model.ServiceBefore); got != "sent" || len(n.members[0].User.Messages()) != 1 {
			t.Errorf("the reminder of who has a seat is %s", got)
		}
		if got := n.reminder(n.members[1], model.ServiceBefore); got != "withdrawn cancelled" || len(n.members[1].User.Messages()) != 0 {
			t.Errorf("the reminder of who gave it back is %s", got)
		}
	})
}

func TestACancelledServiceDayIsToldToEverybodyInIt(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(2, 1)
		s.Connect()
		n.everybody()
		n.seat(n.members[0])
		n.wait(n.members[1])
		for _, p := range n.members {
			p.User.Accept(sim.TemplateID(sim.ActivityChange))
		}
		want(t, n.phone(n.liaison).post(dayPath(n.day.ID, "/cancellation"), body{"reason": "大雨"}), 200, "ok")
		n.sendOnAll(n.Services, s.Replica())
		for _, p := range n.members {
			if m := p.User.Messages(); len(m) != 1 || m[0].Fields[1].Value != "服务取消" || m[0].Fields[3].Value != "大雨" {
				t.Errorf("%s got %+v", p.Name, m)
			}
		}
	})
}
