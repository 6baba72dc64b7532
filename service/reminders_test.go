package service_test

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
	"dangri/wechat/sim"
)

const sendPath = "cgi-bin/message/subscribe/send"

var (
	reminderTemplate = sim.TemplateID(sim.ActivityReminder)
	changeTemplate   = sim.TemplateID(sim.ActivityChange)
	dutyTemplate     = sim.TemplateID(sim.DutyReminder)
)

// branch is a branch with a secretary and members who are all bound, in a
// World whose platform pushes its events.
type branch struct {
	*trial.World
	t         *testing.T
	org       model.Organisation
	secretary *trial.Person
	members   []*trial.Person
}

func aBranch(t *testing.T, w *trial.World, n int) *branch {
	t.Helper()
	b := &branch{World: w, t: t, org: w.Branch("第一党支部")}
	b.secretary = w.Member(b.org, "沈书记")
	w.Post(b.secretary, b.org, model.Secretary)
	b.members = w.Members(b.org, n)
	for _, p := range append([]*trial.Person{b.secretary}, b.members...) {
		w.Bind(p)
	}
	w.Connect()
	return b
}

// input is a 主题党日 that starts after d.
func (b *branch) input(d time.Duration) service.ActivityInput {
	start := b.Clock.Now().Add(d)
	return service.ActivityInput{Kind: model.ThemePartyDay, Title: "七月主题党日", Content: "学习", Place: model.Place{Name: "三楼会议室"},
		StartsAt: start, EndsAt: start.Add(2 * time.Hour), OpenEarlyMinutes: new(30)}
}

func (b *branch) draft(in service.ActivityInput) *model.Activity {
	b.t.Helper()
	a, err := b.Activities.Draft(b.t.Context(), b.Actor(b.secretary), service.DraftInput{OrganisationID: b.org.ID, Nonce: rand.Text(), ActivityInput: in})
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}

func (b *branch) publish(in service.ActivityInput) *model.Activity {
	b.t.Helper()
	b.secretary.User.Touch()
	a, err := b.Activities.Publish(b.t.Context(), b.Actor(b.secretary), b.draft(in).ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}

// work lets so much time pass in steps, and the senders look after each.
func (b *branch) work(d, step time.Duration) {
	b.t.Helper()
	for end := b.Clock.Now().Add(d); b.Clock.Now().Before(end); {
		b.Clock.Advance(min(step, end.Sub(b.Clock.Now())))
		b.sendNow()
	}
}

func (b *branch) sendNow() {
	b.t.Helper()
	b.Heard()
	if err := b.Reminders.Resolve(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	if err := b.Reminders.Send(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	b.Heard()
}

// of is the reminders of a person, the first due first.
func (b *branch) of(p *trial.Person) []model.Reminder {
	b.t.Helper()
	var rows []model.Reminder
	if err := b.DB.Order("due_at, id").Find(&rows, "member_id = ?", p.ID).Error; err != nil {
		b.t.Fatal(err)
	}
	return rows
}

// one is the person's reminder of a kind, leaving out those of a time that is
// no longer the activity's.
func (b *branch) one(p *trial.Person, kind model.ReminderKind) model.Reminder {
	b.t.Helper()
	rows := slices.DeleteFunc(b.of(p), func(r model.Reminder) bool { return r.Kind != kind || r.Reason == model.ActivityMoved })
	if len(rows) != 1 {
		b.t.Fatalf("%s has %d reminders of kind %s", p.Name, len(rows), kind)
	}
	return rows[0]
}

func (b *branch) want(p *trial.Person, kind model.ReminderKind, state model.ReminderState, reason string) {
	b.t.Helper()
	if r := b.one(p, kind); r.State != state || r.Reason != reason {
		b.t.Errorf("%s of %s is %s %q, want %s %q", kind, p.Name, r.State, r.Reason, state, reason)
	}
}

// ledger is how the person's consents for a template stand.
func (b *branch) ledger(p *trial.Person, template string) map[model.ConsentState]int {
	b.t.Helper()
	var rows []model.Consent
	err := b.DB.Where("template_id = ? AND account_id = ?", template, b.Bind(p).ID).Find(&rows).Error
	if err != nil {
		b.t.Fatal(err)
	}
	out := map[model.ConsentState]int{}
	for _, c := range rows {
		out[c.State]++
	}
	return out
}

func (b *branch) wantLedger(p *trial.Person, template string, want map[model.ConsentState]int) {
	b.t.Helper()
	if got := b.ledger(p, template); !maps.Equal(got, want) {
		b.t.Errorf("ledger of %s: %v, want %v", p.Name, got, want)
	}
}

func (b *branch) calls() int { return b.WeChat.Counters()[sendPath] }

func (b *branch) wantCalls(n int) {
	b.t.Helper()
	if got := b.calls(); got != n {
		b.t.Errorf("%d calls, want %d", got, n)
	}
}

func eachBranch(t *testing.T, n int, test func(t *testing.T, b *branch), options ...trial.Option) {
	t.Helper()
	trial.EachStore(t, func(t *testing.T, w *trial.World) { test(t, aBranch(t, w, n)) }, options...)
}

type ledger = map[model.ConsentState]int

func TestI1_AcceptedOnceAndDueIsOneMessageAndOneConsentLess(t *testing.T) {
	eachBranch(t, 2, func(t *testing.T, b *branch) {
		p := b.members[0]
		p.User.Accept(reminderTemplate)
		b.publish(b.input(48 * time.Hour))
		b.sendNow()
		b.wantCalls(0)
		b.wantLedger(p, reminderTemplate, ledger{model.ConsentHeld: 1})
		b.work(24*time.Hour, time.Hour)
		b.wantCalls(1)
		b.want(p, model.DayBefore, model.Sent, "")
		b.wantLedger(p, reminderTemplate, ledger{model.ConsentSpent: 1})
		messages := p.User.Messages()
		if len(messages) != 1 || messages[0].Fields[0].Value != "七月主题党日" || messages[0].Page == "" {
			t.Errorf("got %+v", messages)
		}
		b.work(24*time.Hour, time.Hour)
		b.wantCalls(1)
		b.want(p, model.HourBefore, model.Expired, model.NoConsent)
	})
}

func TestI2_WhoDidNotAcceptIsNotCalled(t *testing.T) {
	eachBranch(t, 1, func(t *testing.T, b *branch) {
		stranger := b.Member(b.org, "丁无微信")
		b.publish(b.input(48 * time.Hour))
		b.work(25*time.Hour, time.Hour)
		b.wantCalls(0)
		b.want(b.members[0], model.DayBefore, model.Queued, model.NoConsent)
		b.want(stranger, model.DayBefore, model.Queued, model.NotBound)
		// A late consent is not too late.
		b.members[0].User.Accept(reminderTemplate)
		b.sendNow()
		b.want(b.members[0], model.DayBefore, model.Sent, "")
		b.wantCalls(1)
	})
}

func TestI3_ARefusalEmptiesTheLedgerAndIsNeverRetried(t *testing.T) {
	eachBranch(t, 1, func(t *testing.T, b *branch) {
		p := b.members[0]
		p.User.Accept(reminderTemplate)
		b.Clock.Advance(time.Second)
		p.User.Accept(reminderTemplate)
		b.publish(b.input(48 * time.Hour))
		b.Heard()
		b.wantLedger(p, reminderTemplate, ledger{model.ConsentHeld: 2})
		p.User.MainSwitch(false)
		b.work(24*time.Hour, time.Hour)
		b.want(p, model.DayBefore, model.Refused, model.OutcomeNoSubscription)
		b.wantLedger(p, reminderTemplate, ledger{model.ConsentVoid: 2})
		b.work(24*time.Hour, time.Hour)
		b.wantCalls(1)
	})
}

// inDoubt arms one call to go wrong after the message went out, or before.
func (b *branch) inDoubt(effect bool) {
	b.WeChat.Arm(sim.Fault{Endpoint: sendPath, Kind: sim.Reset, Done: effect, Count: 1})
}

func (b *branch) loseSentEvents() {
	b.WeChat.Arm(sim.Fault{Endpoint: sim.Push, Kind: sim.Lost, Event: sim.SentEvent})
}

// dueIn publishes an activity whose first reminder is due in an hour.
func (b *branch) dueInAnHour() *model.Activity {
	b.t.Helper()
	return b.publish(b.input(25 * time.Hour))
}

func TestI4_NoAnswerButTheEventComesIsSentWithoutASecondCall(t *testing.T) {
	eachBranch(t, 1, func(t *testing.T, b *branch) {
		p := b.members[0]
		p.User.Accept(reminderTemplate)
		b.dueInAnHour()
		b.inDoubt(true)
		b.work(time.Hour, time.Hour)
		b.work(5*time.Minute, time.Minute)
		b.want(p, model.DayBefore, model.Sent, "")
		b.wantCalls(1)
		b.wantLedger(p, reminderTemplate, ledger{model.ConsentSpent: 1})
		if r := b.one(p, model.DayBefore); r.MsgID == "" || len(p.User.Messages()) != 1 {
			t.Errorf("got %+v and %d messages", r, len(p.User.Messages()))
		}
	})
}

func TestI4_AnEventThatComesLateStillTells(t *testing.T) {
	eachBranch(t, 1, func(t *testing.T, b *branch) {
		p := b.members[0]
		p.User.Accept(reminderTemplate)
		b.Clock.Advance(time.Second)
		p.User.Accept(reminderTemplate)
		b.dueInAnHour()
		b.inDoubt(true)
		b.WeChat.Arm(sim.Fault{Endpoint: sim.Push, Kind: sim.Late, Event: sim.SentEvent, Delay: time.Hour})
		b.work(time.Hour+10*time.Minute, 5*time.Minute)
		b.want(p, model.DayBefore, model.UnknownFinal, "no_event")
		b.wantLedger(p, reminderTemplate, ledger{model.ConsentReserved: 1, model.ConsentHeld: 1})
		b.WeChat.Release()
		b.Heard()
		b.want(p, model.DayBefore, model.Sent, "")
		b.wantLedger(p, reminderTemplate, ledger{model.ConsentSpent: 1, model.ConsentHeld: 1})
		b.wantCalls(1)
	})
}

func TestI6_NoAnswerNoEffectAndOneConsentIsTriedAgain(t *testing.T) {
	eachBranch(t, 1, func(t *testing.T, b *branch) {
		p := b.members[0]
		p.User.Accept(reminderTemplate)
		b.dueInAnHour()
		b.inDoubt(false)
		b.work(time.Hour, time.Hour)
		b.want(p, model.DayBefore, model.Unknown, model.OutcomeUnknown)
		b.work(time.Minute, 10*time.Second)
		b.wantCalls(1) // the event may still come
		b.work(2*time.Minute, 10*time.Second)
		b.want(p, model.DayBefore, model.Sent, "")
		b.wantCalls(2)
		b.wantLedger(p, reminderTemplate, ledger{model.ConsentSpent: 1})
	})
}

func TestI6_WithOneConsentTheFourthCallIsTheLast(t *testing.T) {
	eachBranch(t, 1, func(t *testing.T, b *branch) {
		p := b.members[0]
		p.User.Accept(reminderTemplate)
		b.dueInAnHour()
		for range 4 {
			b.inDoubt(false)
		}
		b.work(time.Hour+20*time.Minute, time.Minute)
		b.want(p, model.DayBefore, model.UnknownFinal, "no_event")
		b.wantCalls(4)
	})
}

func TestI6_AMessageThatArrivedUnseenIsNotSentAgainByTheFurtherCalls(t *testing.T) {
	eachBranch(t, 1, func(t *testing.T, b *branch) {
		p := b.members[0]
		p.User.Accept(reminderTemplate)
		b.dueInAnHour()
		b.loseSentEvents()
		b.inDoubt(false)
		b.inDoubt(true)
		b.work(time.Hour+20*time.Minute, time.Minute)
		b.want(p, model.DayBefore, model.PresumedSent, model.OutcomeNoSubscription)
		b.wantCalls(3)
		if n := len(p.User.Messages()); n != 1 {
			t.Errorf("%d messages", n)
		}
	})
}

func TestI6_TheSecondTryThatIsRefusedTellsThatTheFirstArrived(t *testing.T) {
	eachBranch(t, 1, func(t *testing.T, b *branch) {
		p := b.members[0]
		p.User.Accept(reminderTemplate)
		b.dueInAnHour()
		b.loseSentEvents()
		b.inDoubt(true)
		b.work(time.Hour+10*time.Minute, time.Minute)
		b.want(p, model.DayBefore, model.PresumedSent, model.OutcomeNoSubscription)
		b.wantCalls(2)
		if n := len(p.User.Messages()); n != 1 {
			t.Errorf("%d messages", n)
		}
	})
}

func TestI7_NoAnswerAndSeveralConsentsIsShownAndNotRetried(t *testing.T) {
	eachBranch(t, 1, func(t *testing.T, b *branch) {
		p := b.members[0]
		p.User.Accept(reminderTemplate)
		b.Clock.Advance(time.Second)
		p.User.Accept(reminderTemplate)
		a := b.dueInAnHour()
		b.loseSentEvents()
		b.inDoubt(true)
		b.work(2*time.Hour, time.Minute)
		b.want(p, model.DayBefore, model.UnknownFinal, "no_event")
		b.wantCalls(1)
		report, err := b.Reach.Report(t.Context(), b.Actor(b.secretary), a.ID, "", 100)
		if err != nil || len(report.Kinds) == 0 || report.Kinds[0].Kind != model.DayBefore || report.Kinds[0].Unknown != 1 {
			t.Errorf("got %+v, %v", report, err)
		}
		dead, err := b.Reminders.Dead(t.Context(), 10)
		if err != nil || len(dead) != 1 || dead[0].MemberID != p.ID {
			t.Errorf("got %+v, %v", dead, err)
		}
	})
}

func TestI7_ACancellationIsTriedAgainAllTheSame(t *testing.T) {
	eachBranch(t, 1, func(t *testing.T, b *branch) {
		p := b.members[0]
		p.User.Accept(changeTemplate)
		b.Clock.Advance(time.Second)
		p.User.Accept(changeTemplate)
		a := b.publish(b.input(48 * time.Hour))
		b.Heard()
		b.loseSentEvents()
		b.inDoubt(false)
		if _, err := b.Activities.Cancel(t.Context(), b.Actor(b.secretary), a.ID, service.CancelInput{Reason: "会议室停电"}); err != nil {
			t.Fatal(err)
		}
		b.sendNow()
		b.work(5*time.Minute, time.Minute)
		b.want(p, model.CalledOff, model.Sent, "")
		b.want(p, model.DayBefore, model.Withdrawn, "cancelled")
		b.wantCalls(2)
		b.wantLedger(p, changeTemplate, ledger{model.ConsentReserved: 1, model.ConsentSpent: 1})
		if m := p.User.Messages(); len(m) != 1 || m[0].Fields[1].Value != "活动取消" || m[0].Fields[3].Value != "会议室停电" {
			t.Errorf("got %+v", m)
		}
	})
}

func TestI9_ABadTokenIsRenewedOnceAndNobodyIsForgotten(t *testing.T) {
	eachBranch(t, 30, func(t *testing.T, b *branch) {
		for _, p := range b.members {
			p.User.Accept(reminderTemplate)
		}
		b.dueInAnHour()
		b.Heard()
		before := b.WeChat.Counters()["cgi-bin/stable_token"]
		b.WeChat.RefreshToken() // by somebody else, so that ours is dead
		b.work(time.Hour, time.Hour)
		for _, p := range b.members {
			b.want(p, model.DayBefore, model.Sent, "")
		}
		if n := b.WeChat.Counters()["cgi-bin/stable_token"] - before; n != 1 {
			t.Errorf("%d calls for a token, want 1", n)
		}
	})
}

func TestI10_WithoutAllowanceTheQueueStopsAndLosesNothing(t *testing.T) {
	eachBranch(t, 30, func(t *testing.T, b *branch) {
		for _, p := range b.members {
			p.User.Accept(reminderTemplate)
		}
		b.dueInAnHour()
		b.WeChat.Arm(sim.Fault{Endpoint: sendPath, Kind: sim.Code, Code: 45009})
		b.work(time.Hour, time.Hour)
		first := b.calls()
		if first > 20 {
			t.Errorf("%d calls before the lane made a pause", first)
		}
		b.work(10*time.Minute, 10*time.Second)
		if probes := b.calls() - first; probes < 5 || probes > 10 {
			t.Errorf("%d calls in ten minutes without allowance, want one a minute", probes)
		}
		b.WeChat.Disarm()
		b.work(2*time.Minute, 10*time.Second)
		for _, p := range b.members {
			b.want(p, model.DayBefore, model.Sent, "")
			b.wantLedger(p, reminderTemplate, ledger{model.ConsentSpent: 1})
		}
	})
}

func TestABusyPlatformIsTriedAgainALimitedNumberOfTimes(t *testing.T) {
	eachBranch(t, 2, func(t *testing.T, b *branch) {
		p := b.members[0]
		p.User.Accept(reminderTemplate)
		b.dueInAnHour()
		b.WeChat.Arm(sim.Fault{Endpoint: sendPath, Kind: sim.Code, Code: -1, Count: 3})
		b.work(2*time.Hour, time.Minute)
		b.want(p, model.DayBefore, model.Sent, "")
		b.wantCalls(4)

		b.members[1].User.Accept(reminderTemplate)
		b.WeChat.Arm(sim.Fault{Endpoint: sendPath, Kind: sim.Code, Code: -1})
		b.work(3*time.Hour, time.Minute)
		b.want(b.members[1], model.DayBefore, model.Poison, model.OutcomeBusy)
		b.wantCalls(10)
		b.wantLedger(b.members[1], reminderTemplate, ledger{model.ConsentHeld: 1})

		// An operator puts it back when the platform is well again.
		b.WeChat.Disarm()
		id := b.one(b.members[1], model.DayBefore).ID
		if err := b.Reminders.Requeue(t.Context(), b.Actor(b.secretary), id, "平台恢复"); err == nil {
			t.Error("a secretary may put back what is dead")
		}
		if err := b.Reminders.Requeue(t.Context(), model.Operator(), id, "平台恢复"); err != nil {
			t.Fatal(err)
		}
		var why model.SendDecision
		if err := b.DB.Take(&why, "reminder_id = ? AND note <> ''", id).Error; err != nil || why.Note != "平台恢复" {
			t.Errorf("its history says %+v, %v", why, err)
		}
		var entry model.AuditEntry
		if err := b.DB.Take(&entry, "action = 'requeue_reminder'").Error; err != nil || entry.Details != "" {
			t.Errorf("the audit says %+v, %v", entry, err)
		}
		b.sendNow()
		b.want(b.members[1], model.DayBefore, model.Sent, "")
		if err := b.Reminders.Requeue(t.Context(), model.Operator(), id, "再来一次"); err == nil {
			t.Error("what was sent can be put back")
		}
	})
}

func TestI12_TwoMessagesToOnePersonGoOneAfterTheOther(t *testing.T) {
	eachBranch(t, 1, func(t *testing.T, b *branch) {
		p := b.members[0]
		for range 3 {
			p.User.Accept(reminderTemplate)
			b.Clock.Advance(time.Second)
		}
		for range 3 {
			b.publish(b.input(25 * time.Hour))
		}
		b.Heard()
		b.WeChat.Arm(sim.Fault{Endpoint: sendPath, Kind: sim.Slow, Done: true, Delay: 30 * time.Millisecond})
		b.Clock.Advance(time.Hour)
		for range 5 {
			replicas := []*service.Reminders{b.Reminders, b.Replica().Reminders, b.Replica().Reminders}
			trial.Race(len(replicas), func(i int) {
				if err := replicas[i].Send(t.Context()); err != nil {
					t.Error(err)
				}
			})
			b.Clock.Advance(2 * time.Second)
		}
		if n := len(p.User.Messages()); n != 3 {
			t.Errorf("%d messages, want 3", n)
		}
		if n := b.WeChat.Counters()[sendPath+" 43108"]; n != 0 {
			t.Errorf("%d calls at the same time as another to the same person", n)
		}
		b.wantCalls(3)
	})
}

// dying is a platform after whose next call the database is away, as when the
// worker is killed between the call and its note.
type dying struct {
	service.Platform
	kill atomic.Pointer[func()]
}

func (d *dying) Deliver(ctx context.Context, openID, templateID, page string, data map[string]string) (string, error) {
	msgID, err := d.Platform.Deliver(ctx, openID, templateID, page, data)
	if kill := d.kill.Swap(nil); kill != nil {
		(*kill)()
	}
	return msgID, err
}

func TestI13_AWorkerThatDiedAfterTheCallLeavesADoubtAndNoSecondMessage(t *testing.T) {
	for _, store := range []string{trial.SQLite, trial.MySQL} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			platform := &dying{}
			w := trial.New(t, store, func(p *service.Parts) {
				platform.Platform = p.Platform
				p.Platform = platform
			})
			b := aBranch(t, w, 1)
			p := b.members[0]
			p.User.Accept(reminderTemplate)
			b.dueInAnHour()
			b.Heard()
			b.loseSentEvents()
			kill := func() { w.CutDatabase() }
			platform.kill.Store(&kill)
			b.Clock.Advance(time.Hour)
			if err := b.Reminders.Send(t.Context()); err == nil {
				t.Error("the outcome could be noted although the database was away")
			}
			w.ReviveDatabase()
			b.want(p, model.DayBefore, model.Attempting, "")
			b.work(20*time.Second, 5*time.Second)
			b.wantCalls(1)
			b.work(20*time.Second, 5*time.Second)
			b.want(p, model.DayBefore, model.Unknown, "worker_gone")
			b.wantLedger(p, reminderTemplate, ledger{model.ConsentReserved: 1})
			b.work(3*time.Minute, 10*time.Second)
			b.want(p, model.DayBefore, model.PresumedSent, model.OutcomeNoSubscription)
			if n := len(p.User.Messages()); n != 1 {
				t.Errorf("%d messages", n)
			}
		})
	}
}

func TestI15_WhatIsTooLateIsNeverSent(t *testing.T) {
	eachBranch(t, 1, func(t *testing.T, b *branch) {
		p := b.members[0]
		p.User.Accept(reminderTemplate)
		b.publish(b.input(48 * time.Hour))
		b.Clock.Advance(60 * time.Hour) // nobody worked
		b.sendNow()
		b.want(p, model.DayBefore, model.Expired, "too_late")
		b.want(p, model.HourBefore, model.Expired, "too_late")
		b.wantCalls(0)
		b.wantLedger(p, reminderTemplate, ledger{model.ConsentHeld: 1})
	})
}

func TestI16_WhatIsNoLongerTrueOrNeededIsNotSent(t *testing.T) {
	eachBranch(t, 4, func(t *testing.T, b *branch) {
		for _, p := range b.members {
			p.User.Accept(reminderTemplate, changeTemplate)
		}
		in := b.input(25 * time.Hour)
		a := b.publish(in)
		secretary := b.Actor(b.secretary)
		record := func(p *trial.Person, status model.AttendanceStatus) {
			t.Helper()
			_, err := b.Meetings.Record(t.Context(), secretary, a.ID, service.RecordInput{MemberID: p.ID, Status: status, Nonce: rand.Text()})
			if err != nil {
				t.Fatal(err)
			}
		}
		record(b.members[1], model.SickLeave)
		b.Clock.Advance(30 * time.Minute)
		in.StartsAt, in.EndsAt = in.StartsAt.Add(24*time.Hour), in.EndsAt.Add(24*time.Hour)
		b.secretary.User.Touch()
		if _, err := b.Activities.Edit(t.Context(), secretary, a.ID, service.EditInput{Version: a.Version, ActivityInput: in}); err != nil {
			t.Fatal(err)
		}
		b.sendNow()
		for _, p := range b.members {
			b.want(p, model.Moved, model.Sent, "")
		}
		b.work(23*time.Hour, time.Hour)
		b.wantCalls(4) // the reminders of the old time are gone
		b.work(90*time.Minute, 30*time.Minute)
		rows := slices.DeleteFunc(b.of(b.members[0]), func(r model.Reminder) bool { return r.Kind != model.DayBefore })
		if len(rows) != 2 || rows[0].State != model.Withdrawn || rows[0].Reason != model.ActivityMoved || rows[1].State != model.Sent {
			t.Errorf("got %+v", rows)
		}
		if n := len(b.members[1].User.Messages()); n != 1 {
			t.Errorf("who is on leave got %d messages, want the change alone", n)
		}
		// Who is there already is not told to come.
		for _, p := range b.members {
			p.User.Accept(reminderTemplate)
			b.Clock.Advance(time.Second)
			p.User.Accept(reminderTemplate)
		}
		b.Clock.Set(in.StartsAt.Add(-29 * time.Minute))
		b.sendNow()
		record(b.members[2], model.Present)
		b.work(40*time.Minute, time.Minute)
		b.want(b.members[2], model.NotArrived, model.Withdrawn, "present")
		b.want(b.members[3], model.NotArrived, model.Sent, "")
		if m := b.members[3].User.Messages(); m[len(m)-1].Fields[3].Value != "活动已开始，请尽快到场签到" {
			t.Errorf("got %+v", m[len(m)-1])
		}
	})
}

func TestAnActivityThatMovesThereAndBackRemindsOnce(t *testing.T) {
	eachBranch(t, 1, func(t *testing.T, b *branch) {
		p := b.members[0]
		p.User.Accept(reminderTemplate)
		b.Clock.Advance(time.Second)
		p.User.Accept(reminderTemplate)
		in := b.input(48 * time.Hour)
		a := b.publish(in)
		for _, d := range []time.Duration{time.Hour, -time.Hour, 0} {
			in.StartsAt, in.EndsAt = in.StartsAt.Add(d), in.EndsAt.Add(d)
			b.secretary.User.Touch()
			edited, err := b.Activities.Edit(t.Context(), b.Actor(b.secretary), a.ID, service.EditInput{Version: a.Version, ActivityInput: in})
			if err != nil {
				t.Fatal(err)
			}
			a = edited
		}
		b.work(26*time.Hour, 30*time.Minute)
		if n := len(p.User.Messages()); n != 1 {
			t.Errorf("%d messages a day before, want 1", n)
		}
	})
}

func TestI18_EventsInAnyOrderAndNumberTellOnce(t *testing.T) {
	eachBranch(t, 2, func(t *testing.T, b *branch) {
		p := b.members[0]
		b.WeChat.Arm(sim.Fault{Endpoint: sim.Push, Kind: sim.Doubled})
		p.User.Accept(reminderTemplate)
		b.Heard()
		b.wantLedger(p, reminderTemplate, ledger{model.ConsentHeld: 1})
		b.dueInAnHour()
		b.work(time.Hour, time.Hour)
		b.want(p, model.DayBefore, model.Sent, "")
		b.wantLedger(p, reminderTemplate, ledger{model.ConsentSpent: 1})

		// The same events again, long after the endpoint has forgotten them, and
		// one about a message that nobody sent.
		at := b.Clock.Now()
		sent := service.PlatformEvent{Kind: service.MessageDelivered, Key: strings.Repeat("a", 32), OpenID: p.User.OpenID, At: at,
			TemplateID: reminderTemplate, MsgID: b.one(p, model.DayBefore).MsgID}
		stranger := sent
		stranger.MsgID = "1864323726461255999"
		asked := service.PlatformEvent{Kind: service.ConsentAsked, Key: strings.Repeat("b", 32), OpenID: b.members[1].User.OpenID, At: at,
			TemplateID: reminderTemplate, Accepted: true}
		nobody := asked
		nobody.OpenID = "o" + strings.Repeat("x", 27)
		for range 3 {
			if err := b.Receive(t.Context(), []service.PlatformEvent{stranger, sent, asked, nobody}); err != nil {
				t.Fatal(err)
			}
		}
		b.want(p, model.DayBefore, model.Sent, "")
		b.wantLedger(p, reminderTemplate, ledger{model.ConsentSpent: 1})
		b.wantLedger(b.members[1], reminderTemplate, ledger{model.ConsentHeld: 1})
		var kept int64
		if err := b.DB.Model(&model.Delivery{}).Count(&kept).Error; err != nil || kept != 2 {
			t.Errorf("%d events about messages are kept, %v; want 2", kept, err)
		}
	})
}

func TestI18_AMessageThatWechatCouldNotDeliverIsNotCountedAsSent(t *testing.T) {
	eachBranch(t, 1, func(t *testing.T, b *branch) {
		p := b.members[0]
		p.User.Accept(reminderTemplate)
		b.dueInAnHour()
		b.work(time.Hour, time.Hour)
		r := b.one(p, model.DayBefore)
		// The platform reports one fate for each message.
		if err := b.DB.Delete(&model.Delivery{}, "msg_id = ?", r.MsgID).Error; err != nil {
			t.Fatal(err)
		}
		failed := service.PlatformEvent{Kind: service.MessageDelivered, Key: strings.Repeat("a", 32), OpenID: p.User.OpenID, At: b.Clock.Now(),
			TemplateID: reminderTemplate, MsgID: r.MsgID, Failed: true}
		if err := b.Receive(t.Context(), []service.PlatformEvent{failed}); err != nil {
			t.Fatal(err)
		}
		b.want(p, model.DayBefore, model.Poison, model.NotDelivered)
		b.wantLedger(p, reminderTemplate, ledger{model.ConsentSpent: 1})
	})
}

func TestI21_WhatADeadReplicaHadClaimedIsSentByAnother(t *testing.T) {
	eachBranch(t, 3, func(t *testing.T, b *branch) {
		for _, p := range b.members {
			p.User.Accept(reminderTemplate)
		}
		b.dueInAnHour()
		b.Heard()
		b.Clock.Advance(time.Hour)
		// The other replica got as far as the claim.
		err := b.DB.Model(&model.Reminder{}).Where("state = ?", model.Queued).
			Updates(map[string]any{"token": "of-the-dead", "lease_until": b.Clock.Now().Add(time.Minute)}).Error
		if err != nil {
			t.Fatal(err)
		}
		again := b.Replica()
		if err := again.Reminders.Send(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.wantCalls(0)
		b.Clock.Advance(time.Minute)
		if err := again.Reminders.Send(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.wantCalls(3)
		for _, p := range b.members {
			b.want(p, model.DayBefore, model.Sent, "")
		}
	})
}

// race lets six replicas send what is due to so many people, who all allow
// several messages, and returns how many got how many.
func (b *branch) race() map[int]int {
	b.t.Helper()
	for _, p := range b.members {
		for range 3 {
			p.User.Accept(reminderTemplate)
			b.Clock.Advance(time.Second)
		}
	}
	b.dueInAnHour()
	b.Heard()
	b.Clock.Advance(time.Hour)
	replicas := make([]*service.Services, 6)
	for i := range replicas {
		replicas[i] = b.Replica()
	}
	trial.Race(len(replicas), func(i int) {
		if err := replicas[i].Reminders.Send(b.t.Context()); err != nil {
			b.t.Error(err)
		}
	})
	got := map[int]int{}
	for _, p := range b.members {
		got[len(p.User.Messages())]++
	}
	return got
}

func TestReplicasThatSendAtOnceSendEachMessageOnce(t *testing.T) {
	eachBranch(t, 100, func(t *testing.T, b *branch) {
		if got := b.race(); got[1] != 100 {
			t.Errorf("people by messages: %v, want 100 with one", got)
		}
	})
}

func TestReplicasThatSendAtOnce_Control_WithoutTheTokenSomebodyGetsTwo(t *testing.T) {
	t.Parallel()
	b := aBranch(t, trial.New(t, trial.MySQL), 100)
	var looked, claimed atomic.Int32
	bothLooked := meetingPoint(2)
	err := b.DB.Callback().Query().After("gorm:query").Register("control:look_together", func(db *gorm.DB) {
		if ids, ok := db.Statement.Dest.(*[]uint64); ok && db.Statement.Table == "reminders" && len(*ids) > 0 && looked.Add(1) <= 2 {
			bothLooked()
		}
	})
	if err == nil {
		err = b.DB.Callback().Update().Before("gorm:update").Register("control:claim_anything", func(db *gorm.DB) {
			if keepOnly(db, "id IN ? AND state = ? AND lease_until <= ?", "id IN ?", 1) && claimed.Add(1) == 2 {
				trial.Eventually(t, "the first claim is called out", func() bool { return b.calls() > 0 })
			}
		})
	}
	if err == nil {
		err = b.DB.Callback().Query().Before("gorm:query").Register("control:read_anything", func(db *gorm.DB) {
			keepOnly(db, "token = ? AND state = ?", "token = ?", 1)
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	got := b.race()
	if got[1] == 100 {
		t.Error("without the token everybody still gets one message: the test above cannot see the race")
	}
}

// keepOnly takes a part of a condition away and says whether it was there.
func keepOnly(db *gorm.DB, condition, kept string, vars int) (found bool) {
	where, ok := db.Statement.Clauses["WHERE"].Expression.(clause.Where)
	if !ok {
		return false
	}
	for i, e := range where.Exprs {
		if e, ok := e.(clause.Expr); ok && e.SQL == condition {
			where.Exprs[i] = clause.Expr{SQL: kept, Vars: e.Vars[:vars]}
			found = true
		}
	}
	return found
}

func TestATemplateThatFailsRestsAndTheOthersGoOn(t *testing.T) {
	eachBranch(t, 40, func(t *testing.T, b *branch) {
		for _, p := range append(b.members, b.secretary) {
			p.User.Accept(reminderTemplate, dutyTemplate)
		}
		in := b.input(25 * time.Hour)
		b.publish(in)
		b.Heard()
		b.WeChat.Ban(reminderTemplate)
		b.work(time.Hour, time.Hour)
		if n := b.calls(); n != 20 {
			t.Errorf("%d calls with a template that is banned, want 20", n)
		}
		b.work(5*time.Minute, time.Minute)
		b.wantCalls(20)
		b.Clock.Set(in.EndsAt.Add(time.Hour))
		b.sendNow()
		b.want(b.secretary, model.NotClosed, model.Sent, "")
		if m := b.secretary.User.Messages(); len(m) != 1 || m[0].Fields[1].Value != "41" {
			t.Errorf("got %+v", m)
		}
	})
}

func TestNobodyIsWokenAndNobodyGetsTooManyADay(t *testing.T) {
	eachBranch(t, 1, func(t *testing.T, b *branch) {
		p := b.members[0]
		for range 8 {
			p.User.Accept(reminderTemplate, changeTemplate)
			b.Clock.Advance(time.Second)
		}
		var last *model.Activity
		for range 7 {
			last = b.publish(b.input(27 * time.Hour))
		}
		b.work(5*time.Hour, time.Minute)
		if n := len(p.User.Messages()); n != 5 {
			t.Errorf("%d messages in a day, want 5", n)
		}
		// A cancellation is told all the same, though not in the night.
		b.Clock.Set(trial.Start.Add(9 * time.Hour))
		b.secretary.User.Touch() // opens the mini-program to call it off
		if _, err := b.Activities.Cancel(t.Context(), b.Actor(b.secretary), last.ID, service.CancelInput{Reason: "停电"}); err != nil {
			t.Fatal(err)
		}
		b.work(7*time.Hour+50*time.Minute, 10*time.Minute)
		if n := len(p.User.Messages()); n != 5 {
			t.Errorf("%d messages before seven in the morning, want 5", n)
		}
		b.work(20*time.Minute, time.Minute)
		b.want(p, model.CalledOff, model.Sent, "")
	})
}

func TestNoTextMakesAMessageThatWechatRefuses(t *testing.T) {
	eachBranch(t, 1, func(t *testing.T, b *branch) {
		p := b.members[0]
		titles := []string{"第一行\n第二行\t制表", strings.Repeat("很长的标题", 12), "emoji 😀 活动", "  空格  ", "a\u202eb", "<script>alert(1)</script>", "％＃＠！——……《》“”",
			strings.Repeat("word ", 11), "①②③℃", "党日党日", strings.Repeat("é", 30), "٠١٢٣ ไทย"}
		for i, title := range titles {
			p.User.Accept(reminderTemplate)
			b.Clock.Advance(time.Second)
			in := b.input(time.Duration(26+24*i) * time.Hour)
			in.Title, in.Place.Name = title, titles[len(titles)-1-i]
			b.publish(in)
		}
		b.work(24*time.Duration(len(titles)+1)*time.Hour, time.Hour)
		if n := b.WeChat.Counters()[sendPath+" 47003"]; n != 0 {
			t.Errorf("%d messages refused for their words", n)
		}
		if n := len(p.User.Messages()); n != len(titles) {
			t.Errorf("%d messages, want %d", n, len(titles))
		}
	})
}
