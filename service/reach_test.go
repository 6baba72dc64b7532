package service_test

import (
	"crypto/rand"
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

func (b *branch) forecast(id uint64) *service.ReachForecast {
	b.t.Helper()
	f, err := b.Reach.Forecast(b.t.Context(), b.Actor(b.secretary), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return f
}

func (b *branch) callList(id uint64) map[string]string {
	b.t.Helper()
	list, err := b.Reach.Calls(b.t.Context(), b.Actor(b.secretary), id)
	if err != nil {
		b.t.Fatal(err)
	}
	out := map[string]string{}
	for _, l := range list.Items {
		out[l.Name] = l.Reason
	}
	if list.Total != len(out) {
		b.t.Errorf("%d in all and %d on the list", list.Total, len(out))
	}
	return out
}

func wantCalls(t *testing.T, got map[string]string, want map[string]string) {
	t.Helper()
	for name, reason := range want {
		if got[name] != reason {
			t.Errorf("%s: %q, want %q", name, got[name], reason)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestBeforePublishingTheSecretaryKnowsWhomToPhone(t *testing.T) {
	eachBranch(t, 29, func(t *testing.T, b *branch) {
		b.Member(b.org, "丁无微信")
		for _, p := range b.members[:22] {
			p.User.Accept(reminderTemplate)
		}
		b.secretary.User.Accept(reminderTemplate)
		b.Heard()
		draft := b.draft(b.input(48 * time.Hour))
		f := b.forecast(draft.ID)
		if f.Sentence != "应到 31：23 可达，8 请电话通知" || f.Expected != 31 || f.Reachable != 23 || f.ToPhone != 8 || len(f.Phone) != 8 {
			t.Errorf("got %+v", f)
		}
		last := f.Phone[7]
		if last.Name != "丁无微信" || last.Reason != model.NotBound || last.Why != "没有绑定微信" {
			t.Errorf("got %+v", last)
		}
		// A consent that an earlier activity will use up reaches nobody.
		b.publish(b.input(30 * time.Hour))
		if f := b.forecast(draft.ID); f.Reachable != 0 {
			t.Errorf("%d are reachable with consents that are spoken for", f.Reachable)
		}
		if _, err := b.Reach.Forecast(t.Context(), b.Actor(b.members[0]), draft.ID); err == nil {
			t.Error("a member sees the forecast")
		}
	})
}

func TestAfterwardsTheListSaysWhoWasNotToldAndWhy(t *testing.T) {
	eachBranch(t, 6, func(t *testing.T, b *branch) {
		b.Member(b.org, "丁无微信")
		doubt, told, off, silent, excused, here := b.members[0], b.members[1], b.members[2], b.members[3], b.members[4], b.members[5]
		a := b.dueInAnHour()
		record := func(p *trial.Person, status model.AttendanceStatus) {
			t.Helper()
			_, err := b.Meetings.Record(t.Context(), b.Actor(b.secretary), a.ID, service.RecordInput{MemberID: p.ID, Status: status, Nonce: rand.Text()})
			if err != nil {
				t.Fatal(err)
			}
		}
		record(excused, model.DutyLeave)
		for range 2 {
			doubt.User.Accept(reminderTemplate)
			b.Clock.Advance(time.Second)
		}
		b.Heard()
		wantCalls(t, b.callList(a.ID), map[string]string{"沈书记": "no_consent", told.Name: "no_consent", off.Name: "no_consent",
			silent.Name: "no_consent", here.Name: "no_consent", "丁无微信": "not_bound"}) // whose reminder is coming needs no call
		b.inDoubt(false)
		b.work(time.Hour+5*time.Minute, 5*time.Minute)
		told.User.Accept(reminderTemplate)
		off.User.Accept(reminderTemplate)
		b.Heard()
		off.User.MainSwitch(false)
		b.sendNow()
		// The second consent would carry the next reminder, but not past its time.
		doubt.User.CancelInSettings(reminderTemplate)
		b.Clock.Set(a.StartsAt.Add(-29 * time.Minute))
		b.Heard()
		record(here, model.Present)
		wantCalls(t, b.callList(a.ID), map[string]string{"沈书记": "no_consent", doubt.Name: "unknown", off.Name: "refused",
			silent.Name: "no_consent", "丁无微信": "not_bound"})
		full, err := b.Reach.Calls(t.Context(), b.Actor(b.secretary), a.ID)
		if err != nil || full.Items[0].Phone == "" || full.Say == "" {
			t.Errorf("got %+v, %v", full, err)
		}
		if n := countRows(t, b.World, "audit_entries", "action = 'view_call_list'"); n != 3 {
			t.Errorf("%d looks at the numbers are audited, want 3", n)
		}
		// A committee member sees the names, not the numbers.
		b.Post(told, b.org, model.CommitteeMember)
		b.SignIn(told)
		helped, err := b.Reach.Calls(t.Context(), b.Actor(told), a.ID)
		if err != nil || len(helped.Items) != len(full.Items) || helped.Items[0].Phone != "" {
			t.Errorf("got %+v, %v", helped, err)
		}
	})
}

func TestWhoWasRemindedOfACancelledMeetingIsPhonedAllTheSame(t *testing.T) {
	eachBranch(t, 2, func(t *testing.T, b *branch) {
		knows, believes := b.members[0], b.members[1]
		knows.User.Accept(reminderTemplate, changeTemplate)
		believes.User.Accept(reminderTemplate)
		a := b.dueInAnHour()
		b.work(time.Hour, time.Hour)
		wantCalls(t, b.callList(a.ID), map[string]string{"沈书记": "no_consent"})
		if _, err := b.Activities.Cancel(t.Context(), b.Actor(b.secretary), a.ID, service.CancelInput{Reason: "停电"}); err != nil {
			t.Fatal(err)
		}
		b.sendNow()
		b.want(knows, model.CalledOff, model.Sent, "")
		wantCalls(t, b.callList(a.ID), map[string]string{"沈书记": "no_consent", believes.Name: "no_consent"})
	})
}
