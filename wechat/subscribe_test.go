package wechat_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"dangri/wechat"
	"dangri/wechat/sim"
)

// reminder is a good message of the simulator's first template.
func reminder(platform *sim.Sim, user *sim.User) wechat.Message {
	return wechat.Message{
		OpenID: user.OpenID, TemplateID: sim.DefaultTemplates()[0].ID, Page: "pages/activity/index?id=7",
		Data: map[string]string{"thing1": "五月主题党日", "time2": "2026年5月20日 15:00", "thing3": "三楼会议室", "thing4": "请提前十分钟到场"},
	}
}

func TestAnAgreementSendsOneMessageWithItsExactID(t *testing.T) {
	platform, client := simulated(t, sim.Config{})
	user := platform.NewUser("")
	m := reminder(platform, user)
	user.Accept(m.TemplateID)
	msgID, err := client.Send(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	got := user.Messages()
	if len(got) != 1 || fmt.Sprint(got[0].ID) != msgID || got[0].State != "formal" || got[0].Lang != "zh_CN" || got[0].Page != m.Page {
		t.Errorf("id %s, messages %+v", msgID, got)
	}
	_, err = client.Send(t.Context(), m)
	if e := wantKind(t, err, wechat.KindNoSubscription); e.Code != 43101 || e.RID == "" {
		t.Errorf("got %+v", e)
	}
}

func TestARefusedMessageTellsWhatIsWrong(t *testing.T) {
	platform, client := simulated(t, sim.Config{})
	user := platform.NewUser("")
	good := reminder(platform, user)
	for range 20 {
		user.Accept(good.TemplateID)
	}
	change := func(key, value string) wechat.Message {
		m := good
		m.Data = maps.Clone(good.Data)
		m.Data[key] = value
		return m
	}
	lacking := change("thing1", "")
	delete(lacking.Data, "thing1")
	stranger, template, page := good, good, good
	stranger.OpenID = "o" + strings.Repeat("s", 27)
	template.TemplateID = strings.Repeat("t", 43)
	page.Page = "pages/unknown/index"
	for name, c := range map[string]struct {
		message     wechat.Message
		kind, field string
		code        int64
	}{
		"value too long":   {change("thing1", strings.Repeat("长", 21)), wechat.KindBadData, "thing1", 47003},
		"keyword missing":  {lacking, wechat.KindBadData, "thing1", 47003},
		"unknown person":   {stranger, wechat.KindBadRecipient, "", 40003},
		"unknown template": {template, wechat.KindBadTemplate, "", 40037},
		"unknown page":     {page, wechat.KindBadPage, "", 41030},
		"sensitive word":   {change("thing1", sim.SensitiveWord), wechat.KindRisky, "", 45168},
	} {
		_, err := client.Send(t.Context(), c.message)
		if e := wantKind(t, err, c.kind); e.Field != c.field || e.Code != c.code {
			t.Errorf("%s: got %+v", name, e)
		}
	}
	user.Ban(good.TemplateID)
	_, err := client.Send(t.Context(), good)
	wantKind(t, err, wechat.KindBanned)
	if n := len(user.Messages()); n != 0 {
		t.Errorf("%d messages arrived", n)
	}
}

func TestAMessageThatCannotBeRightIsNotSent(t *testing.T) {
	var asked atomic.Int32
	server := scripted(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, `{"errcode":0,"errmsg":"ok","msgid":1}`)
	})
	client := connect(t, server.URL)
	for name, c := range map[string]struct {
		spoil       func(*wechat.Message)
		kind, field string
	}{
		"no openid":         {func(m *wechat.Message) { m.OpenID = "" }, wechat.KindBadRecipient, "openid"},
		"openid with blank": {func(m *wechat.Message) { m.OpenID = "o 1" }, wechat.KindBadRecipient, "openid"},
		"no template":       {func(m *wechat.Message) { m.TemplateID = "" }, wechat.KindBadTemplate, "template_id"},
		"leading slash":     {func(m *wechat.Message) { m.Page = "/pages/index/index" }, wechat.KindBadPage, "page"},
		"page with host":    {func(m *wechat.Message) { m.Page = "https://evil.cn/" }, wechat.KindBadPage, "page"},
		"no data":           {func(m *wechat.Message) { m.Data = nil }, wechat.KindBadData, "data"},
		"odd keyword":       {func(m *wechat.Message) { m.Data = map[string]string{"Thing": "x"} }, wechat.KindBadData, "data"},
		"empty value":       {func(m *wechat.Message) { m.Data = map[string]string{"thing1": " "} }, wechat.KindBadData, "thing1"},
		"control character": {func(m *wechat.Message) { m.Data = map[string]string{"thing1": "a\nb"} }, wechat.KindBadData, "thing1"},
	} {
		m := message("o1")
		c.spoil(&m)
		_, err := client.Send(t.Context(), m)
		if e := wantKind(t, err, c.kind); e.Field != c.field || e.Code != 0 {
			t.Errorf("%s: got %+v", name, e)
		}
	}
	if asked.Load() != 0 {
		t.Errorf("%d requests", asked.Load())
	}
}

func TestTheMessageIDIsReadWhetherItIsANumberAStringOrAbsent(t *testing.T) {
	for body, want := range map[string]string{
		`{"errcode":0,"errmsg":"ok","msgid":9007199254740993}`:     "9007199254740993",
		`{"errcode":"0","errmsg":"ok","msgid":"9007199254740993"}`: "9007199254740993",
		`{"errcode":0,"errmsg":"ok"}`:                              "",
		` {"errcode":0,"errmsg":"ok","msgid":null}`:                "",
		`{"msgid":1700827132819554304}`:                            "1700827132819554304",
	} {
		got, err := connect(t, scripted(t, says(body)).URL).Send(t.Context(), message("o1"))
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v", body, got, err)
		}
	}
}

func TestAMessageOpensTheConfiguredVersion(t *testing.T) {
	var sent struct {
		State string `json:"miniprogram_state"`
		Lang  string `json:"lang"`
	}
	server := scripted(t, func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, `{"errcode":0,"errmsg":"ok","msgid":1}`)
	})
	client := connect(t, server.URL, func(c *wechat.Config) { c.MiniProgramState = "trial" })
	if _, err := client.Send(t.Context(), message("o1")); err != nil || sent.State != "trial" || sent.Lang != "zh_CN" {
		t.Errorf("got %+v, %v", sent, err)
	}
}

func TestASendWhoseAnswerIsSpoiltIsUnknownWhetherOrNotItWasDone(t *testing.T) {
	for _, kind := range []sim.FaultKind{sim.Reset, sim.HTML, sim.Empty, sim.Truncated} {
		for _, done := range []bool{true, false} {
			if kind == sim.Truncated && !done {
				continue // a cut answer is always one to something done
			}
			platform, client := simulated(t, sim.Config{})
			user := platform.NewUser("")
			m := reminder(platform, user)
			user.Accept(m.TemplateID)
			platform.Arm(sim.Fault{Endpoint: "cgi-bin/message/subscribe/send", Kind: kind, Done: done, Count: 1})
			_, err := client.Send(t.Context(), m)
			wantKind(t, err, wechat.KindUnknownOutcome)
			if got := len(user.Messages()) == 1; got != done {
				t.Errorf("%s: done %v, want %v", kind, got, done)
			}
			if n := platform.Counters()["cgi-bin/message/subscribe/send"]; n != 1 {
				t.Errorf("%s: %d sends", kind, n)
			}
		}
	}
}

func TestTheAccountsTemplatesAreListedWithTheirBlanks(t *testing.T) {
	_, client := simulated(t, sim.Config{})
	got, err := client.Templates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := sim.DefaultTemplates()
	if len(got) != len(want) {
		t.Fatalf("%d templates, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.ID != w.ID || g.Title != w.Title || g.LongTerm != (w.Type == sim.LongTerm) || len(g.Keywords) != len(w.Keywords) {
			t.Errorf("got %+v, want %+v", g, w)
			continue
		}
		for j, k := range w.Keywords {
			if g.Keywords[j].Key != k.Key || g.Keywords[j].Label != k.Name || fmt.Sprint(g.Keywords[j].Values) != fmt.Sprint(k.Enum) {
				t.Errorf("got %+v, want %+v", g.Keywords[j], k)
			}
		}
	}
}

func TestTemplatesAreReadInTheShapesThePlatformWrites(t *testing.T) {
	body := `{"errmsg":"ok","errcode":0,"data":[{"priTmplId":"9Aw5ZV1j9xdWTFEkqCpZ7mIBbSC34khK55OtzUPl0rU","title":"报名结果通知",` +
		`"content":"会议时间:{{date2.DATA}}\n会议地点：{{thing1.DATA}}\n状态:{{enum_string3.DATA}}\n","example":"会议时间:2016年8月8日\n","type":"2",` +
		`"keywordEnumValueList":[{"enumValueList":["通过","拒绝"],"keywordCode":"enum_string3.DATA"}]}]}`
	got, err := connect(t, scripted(t, says(body)).URL).Templates(t.Context())
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	want := "[{date2 会议时间 []} {thing1 会议地点 []} {enum_string3 状态 [通过 拒绝]}]"
	if fmt.Sprint(got[0].Keywords) != want || got[0].LongTerm {
		t.Errorf("got %v, want %s", got[0], want)
	}
}

func TestTheQuotaOfAnEndpointIsReported(t *testing.T) {
	platform, client := simulated(t, sim.Config{})
	user := platform.NewUser("")
	m := reminder(platform, user)
	user.Accept(m.TemplateID)
	if _, err := client.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	q, err := client.Quota(t.Context(), "/cgi-bin/message/subscribe/send")
	if err != nil || q.Used != 1 || q.Limit < 1 || q.Remaining != q.Limit-q.Used {
		t.Errorf("got %+v, %v", q, err)
	}
	for _, path := range []string{"", "wxa/x", "/wxa/x?access_token=1", "//evil.cn/x"} {
		_, err := client.Quota(t.Context(), path)
		wantKind(t, err, wechat.KindBadData)
	}
	platform.Arm(sim.Fault{Endpoint: "cgi-bin/message/subscribe/send", Kind: sim.Code, Code: 45009})
	_, err = client.Send(t.Context(), m)
	wantKind(t, err, wechat.KindQuota)
}
