package service_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
	"dangri/wechat/sim"
)

var resultTemplate = sim.TemplateID(sim.ApprovalResult)

func (b *branch) askLeave(p *trial.Person, a *model.Activity) *service.RequestView {
	b.t.Helper()
	r, err := b.Requests.AskLeave(b.t.Context(), b.Actor(p), a.ID, service.LeaveInput{Status: model.SickLeave, Note: "发烧", Nonce: rand.Text()})
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *branch) decideLeave(r *service.RequestView, approve bool) {
	b.t.Helper()
	if _, err := b.Requests.DecideLeave(b.t.Context(), b.Actor(b.secretary), r.ID, service.DecisionInput{Approve: approve}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *branch) told(p *trial.Person, template string) (texts []string) {
	b.t.Helper()
	for _, m := range p.User.Messages() {
		if m.TemplateID == template {
			text := ""
			for _, f := range m.Fields {
				text += f.Value + "|"
			}
			texts = append(texts, text)
		}
	}
	return texts
}

func TestHoweverManyAskTheSecretaryHearsOnceADayAndTheMemberHearsTheAnswer(t *testing.T) {
	eachBranch(t, 3, func(t *testing.T, b *branch) {
		a := b.publish(b.input(50 * time.Hour))
		for range 3 {
			b.secretary.User.Accept(dutyTemplate)
			b.Clock.Advance(time.Second)
		}
		b.members[0].User.Accept(resultTemplate)
		b.members[1].User.Accept(resultTemplate)
		first, second := b.askLeave(b.members[0], a), b.askLeave(b.members[1], a)
		b.work(10*time.Second, time.Second)
		if told := b.told(b.secretary, dutyTemplate); len(told) != 1 || !strings.Contains(told[0], "审批：七月主题党日") || !strings.Contains(told[0], "2") {
			t.Errorf("the secretary was told %q", told)
		}
		b.decideLeave(first, true)
		b.decideLeave(second, false)
		b.work(10*time.Second, time.Second)
		if told := b.told(b.members[0], resultTemplate); len(told) != 1 || !strings.Contains(told[0], "已同意") || !strings.Contains(told[0], "请假：七月主题党日") {
			t.Errorf("the first was told %q", told)
		}
		if told := b.told(b.members[1], resultTemplate); len(told) != 1 || !strings.Contains(told[0], "未同意") {
			t.Errorf("the second was told %q", told)
		}
		// Once more today is no news; tomorrow it is.
		b.askLeave(b.members[2], a)
		b.work(time.Minute, 10*time.Second)
		if told := b.told(b.secretary, dutyTemplate); len(told) != 1 {
			t.Errorf("told again on the same day: %q", told)
		}
		b.Clock.Advance(24 * time.Hour)
		b.askLeave(b.members[1], a)
		b.work(time.Minute, 10*time.Second)
		if told := b.told(b.secretary, dutyTemplate); len(told) != 2 {
			t.Errorf("the next day: %q", told)
		}
	})
}

func TestWhatIsDecidedBeforeTheMessageGoesOutIsNotAskedForAnyMore(t *testing.T) {
	eachBranch(t, 2, func(t *testing.T, b *branch) {
		a := b.publish(b.input(50 * time.Hour))
		b.secretary.User.Accept(dutyTemplate)
		b.decideLeave(b.askLeave(b.members[0], a), true)
		b.work(10*time.Second, time.Second)
		b.want(b.secretary, model.ApprovalsWaiting, model.Withdrawn, "nothing_waits")
		b.askLeave(b.members[1], a)
		b.work(10*time.Second, time.Second)
		b.want(b.secretary, model.ApprovalsWaiting, model.Sent, "")
		b.wantLedger(b.secretary, dutyTemplate, ledger{model.ConsentSpent: 1})
	})
}

func TestTheAnswerToALateRecordReachesWhoAskedAfterTheMeetingIsClosed(t *testing.T) {
	eachBranch(t, 2, func(t *testing.T, b *branch) {
		a := b.publish(b.input(30 * time.Minute))
		p := b.members[0]
		p.User.Accept(resultTemplate)
		b.Clock.Advance(3 * time.Hour)
		if _, err := b.Meetings.Close(b.t.Context(), b.Actor(b.secretary), a.ID); err != nil {
			t.Fatal(err)
		}
		r, err := b.Requests.AskLateRecord(t.Context(), b.Actor(p), a.ID, service.LateRecordInput{Reason: "手机没电", Nonce: rand.Text()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Requests.DecideLateRecord(t.Context(), b.Actor(b.secretary), r.ID, service.DecisionInput{Approve: true}); err != nil {
			t.Fatal(err)
		}
		b.work(10*time.Second, time.Second)
		if told := b.told(p, resultTemplate); len(told) != 1 || !strings.Contains(told[0], "补签：七月主题党日") {
			t.Errorf("told %q", told)
		}
	})
}
