package api_test

import (
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"dangri/model"
	"dangri/service"
)

// What the table of access has of service days past and households.

func served(rest string, b body) func(*ground, *land, *caller) call {
	return func(g *ground, l *land, _ *caller) call {
		c := call{path: dayPath(g.service(l).day, rest)}
		if b != nil {
			c.body = b
		}
		return c
	}
}

func ofService(rest string, b body) func(*ground, *land, *caller) call {
	return func(g *ground, l *land, _ *caller) call {
		return call{path: signUpPath(g.service(l).signUp, rest), body: b}
	}
}

func serviceCode(path string) func(*ground, *land, *caller) call {
	return func(g *ground, l *land, _ *caller) call {
		code := "1.1.1.AAAAAAAAAAAA"
		if !l.unknown {
			c, err := g.Presences.Code(g.t.Context(), model.Operator(), g.service(l).day)
			if err != nil {
				g.t.Fatal(err)
			}
			code = c.Code
		}
		return call{path: path, body: body{"code": code}}
	}
}

func slip(rest string, b body) func(*ground, *land, *caller) call {
	return func(g *ground, l *land, _ *caller) call {
		g.service(l)
		c := call{path: fmt.Sprint("/v1/communities/", l.community, "/feedback-slips/2025Q4/", l.branch.ID, rest)}
		if b != nil {
			c.body = b
		}
		return c
	}
}

func pairing(rest string, b body) func(*ground, *land, *caller) call {
	return func(g *ground, l *land, _ *caller) call {
		c := call{path: fmt.Sprint("/v1/household-pairings/", g.pairing(l), rest)}
		if b != nil {
			c.body = b
		}
		return c
	}
}

// pastService is a service day that ended this minute and repeats, with a seat
// of the victim, who was there, was settled as absent, and has an hour in the ledger.
type pastService struct{ day, signUp uint64 }

func (g *ground) service(l *land) pastService {
	g.t.Helper()
	if l.unknown {
		return pastService{l.branch.ID, l.branch.ID}
	}
	g.made++
	now, live := g.Clock.Now(), true
	start := now.Add(-time.Hour)
	d := &model.ServiceDay{CommunityID: l.community, Title: "过去的服务日", Place: "活动室", StartsAt: start, EndsAt: now, SignUpUntil: start, CancelUntil: start,
		Status: model.Published, CodeEpoch: 1, Version: 1, CreatedBy: l.secretary.ID, PublishedAt: &now, CreatedAt: now, Once: model.Once{Nonce: nonce()}}
	s := &model.ServiceSlot{CommunityID: l.community, Name: "清扫", Skill: model.AnySkill, StartsAt: start, EndsAt: now, Open: true, Capacity: 3, Taken: 1}
	u := &model.SlotSignUp{MemberID: l.victim, BranchID: l.branch.ID, Live: &live, State: model.Seated, At: start, SignedUpBy: l.victim,
		ArrivedAt: &start, ArrivedBy: model.ByScan, NoShow: true, SettledAt: &now, Once: model.Once{Nonce: nonce()}}
	g.together(func(tx *gorm.DB) error {
		err := tx.Create(d).Error
		s.ServiceDayID = d.ID
		err = errors.Join(err, tx.Create(s).Error)
		u.SlotID = s.ID
		err = errors.Join(err, tx.Create(u).Error)
		hours := &model.ServiceHours{MemberID: l.victim, BranchID: l.branch.ID, CommunityID: l.community, SignUpID: &u.ID, Day: "2025-12-01",
			Provenance: model.Attested, Minutes: 60, Reason: "纸质签到表" + l.canary, EnteredBy: l.secretary.ID, At: now}
		calendar := &model.ServiceCalendar{CommunityID: l.community, PatternID: d.ID, Rule: "FREQ=MONTHLY;BYMONTHDAY=15", Shift: model.ShiftNone,
			Span: model.Span{From: "2026-03-10", Until: "2026-03-11"}, CreatedBy: l.secretary.ID, CreatedAt: now}
		return errors.Join(err, tx.Create(hours).Error, tx.Create(calendar).Error)
	})
	return pastService{d.ID, u.ID}
}

// objection is a fresh one of the victim.
func (g *ground) objection(l *land) uint64 {
	g.t.Helper()
	if l.unknown {
		return l.branch.ID
	}
	o := &model.HourObjection{SignUpID: g.service(l).signUp, MemberID: l.victim, CommunityID: l.community, Reason: "我到了" + l.canary, CreatedAt: g.Clock.Now()}
	g.insert(o)
	return o.ID
}

// pairing is a fresh one of the victim with a household that has the canary.
func (g *ground) pairing(l *land) uint64 {
	g.t.Helper()
	if l.unknown {
		return l.branch.ID
	}
	p, err := g.Households.Pair(g.t.Context(), &model.Actor{MemberID: l.victim}, service.PairingInput{Nonce: nonce(), Household: service.Household{Name: "大娘" + l.canary}})
	if err != nil {
		g.t.Fatal(err)
	}
	return p.ID
}

// visit is a fresh one to that household.
func (g *ground) visit(l *land) uint64 {
	g.t.Helper()
	if l.unknown {
		return l.branch.ID
	}
	v, err := g.Households.Visit(g.t.Context(), &model.Actor{MemberID: l.victim}, g.pairing(l), service.VisitInput{Day: "2026-03-10", Minutes: 30, Note: "送菜" + l.canary, Nonce: nonce()})
	if err != nil {
		g.t.Fatal(err)
	}
	return v.ID
}
