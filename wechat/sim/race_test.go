package sim

import (
	"bytes"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// race runs f n times at once and counts how often it was true.
func race(n int, f func() bool) int {
	var won atomic.Int64
	var ready, all sync.WaitGroup
	start := make(chan struct{})
	for range n {
		ready.Add(1)
		all.Go(func() {
			ready.Done()
			<-start
			if f() {
				won.Add(1)
			}
		})
	}
	ready.Wait()
	close(start)
	all.Wait()
	return int(won.Load())
}

func contains(body []byte, want string) bool { return bytes.Contains(body, []byte(want)) }

func TestSendsAtOnceSpendNoMoreThanWasAccepted(t *testing.T) {
	b := newBench(t, Config{})
	u := b.NewUser("")
	for range 7 {
		u.Accept(TemplateID(ActivityReminder))
	}
	sent := race(60, func() bool { return b.post("cgi-bin/message/subscribe/send", reminder(u.OpenID)).Code == 0 })
	if sent != 7 || len(u.Messages()) != 7 || u.Balance(TemplateID(ActivityReminder)) != 0 {
		t.Errorf("7 consents let %d sends through, %d messages arrived, %d left", sent, len(u.Messages()), u.Balance(TemplateID(ActivityReminder)))
	}
	ids := map[int64]bool{}
	for _, m := range u.Messages() {
		ids[m.ID] = true
	}
	if len(ids) != 7 {
		t.Errorf("7 messages have %d ids", len(ids))
	}
}

// The control of the test above: a balance that is read and written in two
// steps is overspent by the same race.
func TestTheRaceSeesABalanceThatIsNotGuarded(t *testing.T) {
	for range 100 {
		var balance atomic.Int64
		balance.Store(7)
		sent := race(60, func() bool {
			left := balance.Load()
			runtime.Gosched()
			if left <= 0 {
				return false
			}
			balance.Store(left - 1)
			return true
		})
		if sent > 7 {
			return
		}
	}
	t.Error("100 rounds without an overspent balance: the race shows nothing")
}

func TestEverythingAtOnceIsSafe(t *testing.T) {
	r := newReceiver(t)
	b := newBench(t, Config{PushURL: r.url, PushToken: pushToken, Seed: 3})
	b.Arm(Fault{Kind: Code, Code: -1, Rate: 0.2})
	b.Arm(Fault{Kind: Doubled, Rate: 0.3})
	race(8, func() bool {
		u := b.NewUser("")
		for range 10 {
			b.login(u.LoginCode())
			u.Accept(TemplateID(ActivityReminder), TemplateID(DutyReminder))
			b.do("POST", "cgi-bin/message/subscribe/send?access_token=x", toJSON(reminder(u.OpenID)))
			u.Messages()
			u.CancelInSettings(TemplateID(DutyReminder))
			b.Counters()
			b.Advance(1)
			b.do("GET", "", "")
			b.do("GET", "_sim/faults", "")
		}
		return true
	})
	b.drain()
	if n := b.Counters()["push "+ChangeEvent]; n < 80 {
		t.Errorf("%d change events of 80", n)
	}
}
