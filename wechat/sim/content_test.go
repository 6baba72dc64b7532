package sim

import (
	"strings"
	"testing"
	"time"
)

func TestTextIsJudgedByItsWords(t *testing.T) {
	b := newBench(t, Config{})
	u := b.NewUser("")
	u.Touch()
	check := func(key, text string) string {
		in := map[string]any{"version": 2, "openid": u.OpenID, "scene": 1, "content": "支部活动"}
		in[key] = text
		r := b.post("wxa/msg_sec_check", in)
		b.want(text, r, 0)
		return string(r.body)
	}
	for _, key := range []string{"content", "title", "nickname", "signature"} {
		if got := check(key, "这是"+RiskyWord); !strings.Contains(got, `"result":{"suggest":"risky","label":20003}`) || !strings.Contains(got, `"keyword":"`+RiskyWord+`"`) {
			t.Errorf("risky %s: %s", key, got)
		}
	}
	if got := check("content", ReviewWord); !strings.Contains(got, `"result":{"suggest":"review","label":21000}`) {
		t.Errorf("review: %s", got)
	}
	if got := check("content", strings.Repeat("好", 2500)); !strings.Contains(got, `"result":{"suggest":"pass","label":100}`) || !strings.Contains(got, `{"strategy":"keyword","errcode":0}`) {
		t.Errorf("pass: %s", got)
	}
}

func TestWhoWasNotSeenForTwoHoursIsNotChecked(t *testing.T) {
	b := newBench(t, Config{})
	u := b.NewUser("")
	check := func() result {
		return b.post("wxa/msg_sec_check", map[string]any{"version": 2, "openid": u.OpenID, "scene": 2, "content": "好"})
	}
	b.want("never seen", check(), 61010)
	b.login(u.LoginCode())
	b.want("seen now", check(), 0)
	b.Advance(2 * time.Hour)
	b.want("two hours ago", check(), 0)
	b.Advance(time.Second)
	b.want("longer ago", check(), 61010)
	u.Touch()
	b.want("opened again", check(), 0)
}
