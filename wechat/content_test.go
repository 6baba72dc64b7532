package wechat_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dangri/wechat"
	"dangri/wechat/sim"
)

func TestATextIsJudgedByThePlatform(t *testing.T) {
	platform, client := simulated(t, sim.Config{})
	user := platform.NewUser("")
	user.Touch()
	filler := strings.Repeat("学", 2490)
	for name, c := range map[string]struct {
		text, want string
		calls      int
	}{
		"good":                 {"五月主题党日", wechat.Pass, 1},
		"empty":                {" \n", wechat.Pass, 0},
		"review":               {"此处" + sim.ReviewWord, wechat.Review, 1},
		"risky":                {"此处" + sim.RiskyWord, wechat.Risky, 1},
		"2500 signs":           {strings.Repeat("学", 2500), wechat.Pass, 1},
		"2501 signs":           {strings.Repeat("学", 2501), wechat.Pass, 2},
		"bad on the seam":      {filler + strings.Repeat("学", 8) + sim.RiskyWord + filler, wechat.Risky, 2},
		"bad at the end":       {filler + filler + filler + sim.RiskyWord, wechat.Risky, 4},
		"bad at the start":     {sim.RiskyWord + filler + filler, wechat.Risky, 1},
		"the worst one counts": {sim.ReviewWord + filler + filler + sim.RiskyWord, wechat.Risky, 3},
		"review, then good":    {sim.ReviewWord + filler + filler, wechat.Review, 3},
	} {
		before := platform.Counters()["wxa/msg_sec_check"]
		got, err := client.CheckText(t.Context(), user.OpenID, c.text)
		if err != nil || got != c.want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, c.want)
		}
		if n := platform.Counters()["wxa/msg_sec_check"] - before; n != c.calls {
			t.Errorf("%s: %d calls, want %d", name, n, c.calls)
		}
	}
}

func TestATextOfSomebodyNotSeenLatelyIsNotAPass(t *testing.T) {
	platform, client := simulated(t, sim.Config{})
	user := platform.NewUser("")
	user.Touch()
	platform.Advance(2*time.Hour + time.Minute)
	got, err := client.CheckText(t.Context(), user.OpenID, "学习")
	if e := wantKind(t, err, wechat.KindBadRecipient); e.Code != 61010 || got != "" {
		t.Errorf("got %q, %+v", got, e)
	}
	_, err = client.CheckText(t.Context(), "not an openid", "学习")
	wantKind(t, err, wechat.KindBadRecipient)
}

func TestAVerdictNobodyKnowsIsNotAPass(t *testing.T) {
	for _, suggest := range []string{`"block"`, `""`, `null`} {
		body := fmt.Sprintf(`{"errcode":0,"errmsg":"ok","result":{"suggest":%s,"label":100}}`, suggest)
		got, err := connect(t, scripted(t, says(body)).URL).CheckText(t.Context(), "o1", "学习")
		wantKind(t, err, wechat.KindBusy)
		if got != "" {
			t.Errorf("got %q", got)
		}
	}
}

func TestATextIsJudgedByTheResultWhateverShapeTheDetailsHave(t *testing.T) {
	body := `{"errcode":0,"errmsg":"ok","result":{"suggest":"risky","label":"20001"},"detail":{"strategy":"keyword","errcode":"0"},"trace_id":1}`
	got, err := connect(t, scripted(t, says(body)).URL).CheckText(t.Context(), "o1", "学习")
	if err != nil || got != wechat.Risky {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAPictureIsHandedInAndTraced(t *testing.T) {
	platform, client := simulated(t, sim.Config{})
	user := platform.NewUser("")
	user.Touch()
	trace, err := client.CheckMedia(t.Context(), user.OpenID, "https://example.cn/a.jpg")
	if err != nil || trace == "" {
		t.Errorf("got %q, %v", trace, err)
	}
	for _, address := range []string{"", "a.jpg", "file:///etc/passwd", "javascript:alert(1)", "https://"} {
		_, err := client.CheckMedia(t.Context(), user.OpenID, address)
		wantKind(t, err, wechat.KindBadData)
	}
}
