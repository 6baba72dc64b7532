package api_test

import (
	"dangri/model"
)

// What the table of access has of leave and 补签.

func decision(path string, make func(*ground, *land) uint64) func(*ground, *land, *caller) call {
	return func(g *ground, l *land, _ *caller) call {
		return call{path: path + jsonText(make(g, l)) + "/decision", body: body{"approve": true, "answer": "同意" + l.canary}}
	}
}

// leaveAsked is a fresh request of the victim.
func (g *ground) leaveAsked(l *land) uint64 {
	g.t.Helper()
	if l.unknown {
		return l.branch.ID
	}
	live := true
	r := &model.LeaveRequest{Status: model.SickLeave, Note: "发烧" + l.canary, Request: model.Request{ActivityID: g.activity(l, model.Published), MemberID: l.victim,
		BranchID: l.branch.ID, Live: &live, State: model.Asked, AskedAt: g.Clock.Now(), Once: model.Once{Nonce: nonce()}}}
	g.insert(r)
	return r.ID
}

// lateRecordAsked is a fresh one of the victim.
func (g *ground) lateRecordAsked(l *land) uint64 {
	g.t.Helper()
	if l.unknown {
		return l.branch.ID
	}
	live := true
	r := &model.LateRecord{Reason: "手机没电" + l.canary, AskedBy: l.victim, Request: model.Request{ActivityID: g.activity(l, model.Closed), MemberID: l.victim,
		BranchID: l.branch.ID, Live: &live, State: model.Asked, AskedAt: g.Clock.Now(), Once: model.Once{Nonce: nonce()}}}
	g.insert(r)
	return r.ID
}
