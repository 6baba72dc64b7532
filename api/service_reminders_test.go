package api_test

import (
	"strings"
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
