package sim

import (
	"errors"
	"io"
	"runtime"
	"syscall"
	"testing"
	"time"
)

func TestFaultsSpoilTheAnswerWithAndWithoutTheEffect(t *testing.T) {
	for _, c := range []struct {
		name    string
		fault   Fault
		arrives bool
		seen    func(result) bool
	}{
		{"busy", Fault{Kind: Code, Code: -1}, false, func(r result) bool { return r.Code == -1 && r.status == 200 }},
		{"quota", Fault{Kind: Code, Code: 45009}, false, func(r result) bool { return r.Code == 45009 }},
		{"reset before", Fault{Kind: Reset}, false, wasReset},
		{"reset after", Fault{Kind: Reset, Done: true}, true, wasReset},
		{"gateway before", Fault{Kind: HTML}, false, func(r result) bool { return r.status == 502 && r.contentType == "text/html" }},
		{"gateway after", Fault{Kind: HTML, Done: true}, true, func(r result) bool { return r.status == 502 }},
		{"empty before", Fault{Kind: Empty}, false, func(r result) bool { return r.status == 200 && len(r.body) == 0 }},
		{"empty after", Fault{Kind: Empty, Done: true}, true, func(r result) bool { return r.status == 200 && len(r.body) == 0 }},
		{"slow before", Fault{Kind: Slow, Delay: 10 * time.Millisecond}, false, func(r result) bool { return r.status == 504 }},
		{"slow after", Fault{Kind: Slow, Delay: 10 * time.Millisecond, Done: true}, true, func(r result) bool { return r.Code == 0 && r.MsgID != 0 }},
		{"cut", Fault{Kind: Truncated}, true, func(r result) bool { return r.err != nil && r.status == 200 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, Config{})
			u, id := b.NewUser(""), TemplateID(ActivityReminder)
			u.Accept(id)
			c.fault.Endpoint, c.fault.Count = sendPath, 1
			b.Arm(c.fault)
			if r := b.post(sendPath, reminder(u.OpenID)); !c.seen(r) {
				t.Errorf("answer %+v %s", r, r.body)
			}
			if arrived := len(u.Messages()) == 1; arrived != c.arrives || (u.Balance(id) == 0) != c.arrives {
				t.Errorf("%d messages, balance %d", len(u.Messages()), u.Balance(id))
			}
			want := 0
			if c.arrives {
				want = 43101
			}
			b.want("the next call", b.post(sendPath, reminder(u.OpenID)), want)
		})
	}
}

func wasReset(r result) bool {
	return errors.Is(r.err, syscall.ECONNRESET) || errors.Is(r.err, io.EOF)
}

func TestFaultsStrikeByCountByRateOrForEver(t *testing.T) {
	b := newBench(t, Config{Seed: 1})
	b.Arm(Fault{Endpoint: quotaPath, Kind: Code, Code: 40001, Count: 2})
	token := b.token()
	b.want("once", b.use(token), 40001)
	b.want("twice", b.use(token), 40001)
	b.want("no more", b.use(token), 0)
	b.want("elsewhere never", b.post("cgi-bin/clear_quota", map[string]any{"appid": DefaultAppID}), 0)

	b.Arm(Fault{Endpoint: "/" + quotaPath, Kind: Code, Code: 40001})
	for range 5 {
		b.want("for ever", b.use(token), 40001)
	}
	b.Disarm()
	b.want("disarmed", b.use(token), 0)

	b.Arm(Fault{Kind: Code, Code: -1, Rate: 0.3})
	busy := 0
	for range 1000 {
		if b.use(token).Code == -1 {
			busy++
		}
	}
	if busy < 230 || busy > 370 {
		t.Errorf("a rate of 0.3 struck %d of 1000", busy)
	}
}

func TestAFaultThatCouldNeverStrikeIsAPanic(t *testing.T) {
	b := newBench(t, Config{})
	for _, f := range []Fault{
		{Kind: "slwo"}, {Kind: Code}, {Kind: Slow}, {Kind: Reset, Endpoint: "cgi-bin/message/send"},
		{Kind: Reset, Endpoint: Push}, {Kind: Lost, Endpoint: sendPath}, {Kind: Reset, Rate: 1.5}, {Kind: Late},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was armed", f)
				}
			}()
			b.Arm(f)
		}()
	}
	if left := b.Faults(); len(left) != 0 {
		t.Errorf("armed %v", left)
	}
}

func TestASlowAnswerEndsWhenTheSimulatorCloses(t *testing.T) {
	b := newBench(t, Config{})
	b.Arm(Fault{Endpoint: "cgi-bin/stable_token", Kind: Slow, Delay: time.Hour})
	cut := make(chan result)
	go func() { cut <- b.stableToken(false) }()
	for b.Counters()["cgi-bin/stable_token fault slow"] == 0 {
		runtime.Gosched()
	}
	b.Close()
	if r := <-cut; r.err == nil {
		t.Errorf("answer %+v", r)
	}
}
