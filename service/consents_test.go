package service_test

import (
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"gorm.io/gorm"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
	"dangri/wechat/sim"
)

// report is the phone telling what the dialog answered.
func (b *branch) report(p *trial.Person, nonce string, activity uint64, templates ...string) {
	b.t.Helper()
	in := service.ConsentReport{Nonce: nonce, ActivityID: activity}
	for _, id := range templates {
		in.Results = append(in.Results, service.ConsentResult{TemplateID: id, Result: "accept"})
	}
	if _, err := b.Consents.Report(b.t.Context(), b.Actor(p), in); err != nil {
		b.t.Fatal(err)
	}
}

func TestOneTapCountsOnceWhoeverTellsOfItFirst(t *testing.T) {
	eachBranch(t, 2, func(t *testing.T, b *branch) {
		// The platform first.
		p := b.members[0]
		p.User.Accept(reminderTemplate)
		b.Heard()
		b.Clock.Advance(3 * time.Second)
		nonce := rand.Text()
		b.report(p, nonce, 0, reminderTemplate)
		b.report(p, nonce, 0, reminderTemplate)
		b.wantLedger(p, reminderTemplate, ledger{model.ConsentHeld: 1})
		// The phone first, and the event a minute late.
		b.WeChat.Arm(sim.Fault{Endpoint: sim.Push, Kind: sim.Late, Event: sim.PopupEvent, Delay: time.Minute, Count: 1})
		p.User.Accept(reminderTemplate)
		b.Clock.Advance(2 * time.Second)
		b.report(p, rand.Text(), 0, reminderTemplate)
		b.wantLedger(p, reminderTemplate, ledger{model.ConsentHeld: 2})
		b.WeChat.Release()
		b.Heard()
		b.wantLedger(p, reminderTemplate, ledger{model.ConsentHeld: 2})
		// Two taps of two people are two.
		b.members[1].User.Accept(reminderTemplate)
		b.Heard()
		b.wantLedger(b.members[1], reminderTemplate, ledger{model.ConsentHeld: 1})
	})
}

const taps = 7

// tapAll lets one person tap so often, and phone and platform each tell of
// every tap twice, all at once. It returns how many taps were counted.
func (b *branch) tapAll() (counted int, errs []error) {
	b.t.Helper()
	p := b.members[0]
	actor := b.Actor(p)
	for range taps {
		event := service.PlatformEvent{Kind: service.ConsentAsked, Key: rand.Text(), OpenID: p.User.OpenID, At: b.Clock.Now(), TemplateID: reminderTemplate, Accepted: true}
		in := service.ConsentReport{Nonce: rand.Text(), Results: []service.ConsentResult{{TemplateID: reminderTemplate, Result: "accept"}}}
		results := make([]error, 4)
		trial.Race(len(results), func(i int) {
			if i%2 == 0 {
				results[i] = b.Receive(b.t.Context(), []service.PlatformEvent{event})
			} else {
				_, results[i] = b.Consents.Report(b.t.Context(), actor, in)
			}
		})
		errs = append(errs, results...)
		b.Clock.Advance(model.ConsentPairing + time.Minute)
	}
	return b.ledger(p, reminderTemplate)[model.ConsentHeld], errs
}

func TestOneTapCountsOnceWhenBothTellAtOnce(t *testing.T) {
	eachBranch(t, 1, func(t *testing.T, b *branch) {
		if got, errs := b.tapAll(); got != taps || errors.Join(errs...) != nil {
			t.Errorf("%d taps count as %d, %v", taps, got, errors.Join(errs...))
		}
	})
}

func TestOneTapCountsOnce_Control_WithoutTheLockItCountsTwice(t *testing.T) {
	t.Parallel()
	b := aBranch(t, trial.New(t, trial.MySQL), 1)
	err := b.DB.Callback().Query().Before("gorm:query").Register("control:skip_locks", func(db *gorm.DB) {
		delete(db.Statement.Clauses, "FOR")
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := b.tapAll(); got == taps {
		t.Errorf("%d taps count as %d without the lock: the test above cannot see the race", taps, got)
	}
}

func TestI22_ReportsWithoutEventsAreBelievedUpToTheCap(t *testing.T) {
	eachBranch(t, 1, func(t *testing.T, b *branch) {
		p := b.members[0]
		for i := range 100 {
			if i%20 == 0 {
				b.Clock.Advance(time.Minute)
			}
			in := service.ConsentReport{Nonce: rand.Text(), Results: []service.ConsentResult{{TemplateID: reminderTemplate, Result: "accept"}}}
			_, _ = b.Consents.Report(t.Context(), b.Actor(p), in) // some are too many a minute
		}
		b.wantLedger(p, reminderTemplate, ledger{model.ConsentHeld: model.MostUnconfirmed})
		// What the platform tells of is always believed.
		b.Clock.Advance(10 * time.Minute)
		p.User.Accept(reminderTemplate)
		b.Heard()
		b.wantLedger(p, reminderTemplate, ledger{model.ConsentHeld: model.MostUnconfirmed + 1})
	})
}

func TestWhoTurnsMessagesOffAllowsNothingAnyMoreInWhateverOrderWeHear(t *testing.T) {
	eachBranch(t, 1, func(t *testing.T, b *branch) {
		p := b.members[0]
		p.User.Accept(reminderTemplate)
		b.Heard()
		b.Clock.Advance(time.Minute)
		b.WeChat.Arm(sim.Fault{Endpoint: sim.Push, Kind: sim.Late, Event: sim.PopupEvent, Delay: time.Hour, Count: 1})
		p.User.Accept(reminderTemplate)
		b.Clock.Advance(time.Minute)
		p.User.CancelInSettings(reminderTemplate)
		b.Heard()
		b.wantLedger(p, reminderTemplate, ledger{model.ConsentVoid: 1})
		b.WeChat.Release()
		b.Heard()
		b.wantLedger(p, reminderTemplate, ledger{model.ConsentVoid: 2})
		b.Clock.Advance(time.Minute)
		p.User.Accept(reminderTemplate)
		b.Heard()
		b.wantLedger(p, reminderTemplate, ledger{model.ConsentVoid: 2, model.ConsentHeld: 1})
		if n := p.User.Balance(reminderTemplate); n != 1 {
			t.Errorf("the platform says %d", n)
		}
	})
}

func TestAConsentOfThisActivityIsSpentFirstThenTheOldest(t *testing.T) {
	eachBranch(t, 1, func(t *testing.T, b *branch) {
		p := b.members[0]
		a := b.publish(b.input(25 * time.Hour))
		b.report(p, "oldest-of-all", 0, reminderTemplate)
		b.Clock.Advance(10 * time.Minute)
		b.report(p, "of-this-one", a.ID, reminderTemplate)
		b.work(50*time.Minute, 10*time.Minute)
		var spent model.Consent
		// WeChat knows nothing of these taps, so the send was refused: what
		// matters is which consent was chosen.
		if r := b.one(p, model.DayBefore); r.ConsentID == 0 {
			t.Errorf("got %+v", r)
		} else if err := b.DB.Take(&spent, r.ConsentID).Error; err != nil || *spent.Nonce != "of-this-one" {
			t.Errorf("chose %+v, %v", spent, err)
		}
	})
}

func TestNobodyIsAskedForMoreThanWillBeSent(t *testing.T) {
	eachBranch(t, 1, func(t *testing.T, b *branch) {
		p := b.members[0]
		asked := func(screen service.Screen) []string {
			t.Helper()
			out, err := b.Consents.Requests(t.Context(), b.Actor(p), screen)
			if err != nil {
				t.Fatal(err)
			}
			return out.TemplateIDs
		}
		both := []string{reminderTemplate, changeTemplate}
		if got := asked(service.OnActivity); !slices.Equal(got, both) {
			t.Errorf("with nothing coming: %v", got)
		}
		p.User.Accept(both...)
		b.Heard()
		if got := asked(service.OnActivity); len(got) != 0 {
			t.Errorf("with one of each in hand and nothing coming: %v", got)
		}
		b.publish(b.input(48 * time.Hour))
		if got := asked(service.OnActivity); !slices.Equal(got, []string{reminderTemplate}) {
			t.Errorf("with three reminders coming and one consent: %v", got)
		}
		b.Clock.Advance(time.Second)
		p.User.Accept(reminderTemplate)
		b.Heard()
		if got := asked(service.OnActivity); len(got) != 0 {
			t.Errorf("with two consents: %v, want no more than two ever", got)
		}
		if got := asked(service.OnDuty); !slices.Equal(got, []string{dutyTemplate}) {
			t.Errorf("on duty: %v", got)
		}
	})
}

func TestAReportOfAStrangeTemplateOrActivityIsRefused(t *testing.T) {
	eachBranch(t, 1, func(t *testing.T, b *branch) {
		actor := b.Actor(b.members[0])
		in := service.ConsentReport{Nonce: rand.Text(), Results: []service.ConsentResult{{TemplateID: "nobody-s", Result: "accept"}}}
		_, err := b.Consents.Report(t.Context(), actor, in)
		refused(t, "a template of nobody's", err, model.ErrUnknownTemplate)
		in.Results[0].TemplateID, in.ActivityID = reminderTemplate, 4711
		_, err = b.Consents.Report(t.Context(), actor, in)
		refused(t, "an unknown activity", err, model.ErrActivityNotFound)
	})
}
