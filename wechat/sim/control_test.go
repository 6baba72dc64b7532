package sim

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Everything here goes over HTTP, as from a process of its own.
func TestAnotherProcessCanHoldThePhone(t *testing.T) {
	r := newReceiver(t)
	b := newBench(t, Config{PushToken: pushToken})
	call := func(method, path string, in, out any) {
		t.Helper()
		body := ""
		if in != nil {
			body = toJSON(in)
		}
		got := b.do(method, path, body)
		if got.status != http.StatusOK {
			t.Fatalf("%s %s: %d %s", method, path, got.status, got.body)
		}
		if out != nil {
			if err := json.Unmarshal(got.body, out); err != nil {
				t.Fatalf("%s %s: %s", method, path, got.body)
			}
		}
	}
	type m = map[string]any
	call("POST", "_sim/push", m{"url": r.url}, nil)
	var user struct{ OpenID, Phone string }
	call("POST", "_sim/users", m{"phone": "19900000002"}, &user)
	at := "_sim/users/" + user.OpenID
	var code struct{ Code string }
	call("POST", at+"/login-code", nil, &code)
	if got := b.login(code.Code); got.OpenID != user.OpenID {
		t.Fatalf("login %+v", got)
	}
	call("POST", at+"/phone-code", nil, &code)
	b.want("phone", b.post("wxa/business/getuserphonenumber", m{"code": code.Code}), 0)

	var templates []Template
	call("GET", "_sim/templates", nil, &templates)
	id := templates[0].ID
	var answer Answer
	call("POST", at+"/accept", m{"templates": []string{id}}, &answer)
	if answer.Results[id] != "accept" {
		t.Errorf("answer %+v", answer)
	}
	call("POST", at+"/reject", m{"templates": []string{id}}, nil)
	call("POST", at+"/ask", m{"templates": []string{id}, "keep": true}, nil)
	var balance map[string]int
	call("GET", at+"/balance", nil, &balance)
	if balance[id] != 2 {
		t.Errorf("balance %v", balance)
	}

	call("POST", "_sim/faults", m{"endpoint": sendPath, "kind": "code", "code": -1, "count": 1}, nil)
	call("POST", "_sim/faults", m{"kind": "late", "delay": "1h", "count": 1}, nil)
	b.want("fault", b.post(sendPath, reminder(user.OpenID)), -1)
	b.want("no fault", b.post(sendPath, reminder(user.OpenID)), 0)
	call("DELETE", "_sim/faults", nil, nil)
	var messages []Message
	call("GET", at+"/messages", nil, &messages)
	if len(messages) != 1 || messages[0].ID <= 1<<53 {
		t.Errorf("messages %+v", messages)
	}
	call("POST", "_sim/drain", nil, nil)
	if n := len(r.events()); n != 3 {
		t.Errorf("%d events before the release", n)
	}
	call("POST", "_sim/release", nil, nil)
	call("POST", "_sim/drain", nil, nil)
	if n := len(r.events()); n != 4 {
		t.Errorf("%d events after the release", n)
	}

	before := b.Now()
	var clock struct{ Now time.Time }
	call("POST", "_sim/advance", m{"by": "2h30m"}, &clock)
	if !clock.Now.Equal(before.Add(150 * time.Minute)) {
		t.Errorf("clock %v", clock.Now)
	}
	check := m{"version": 2, "openid": user.OpenID, "scene": 1, "content": "好"}
	b.want("not seen", b.post("wxa/msg_sec_check", check), 61010)
	call("POST", at+"/touch", nil, nil)
	b.want("seen", b.post("wxa/msg_sec_check", check), 0)

	image := b.post(codePath, m{"scene": "k7"})
	scanned := b.do("POST", at+"/scan", string(image.body))
	if !contains(scanned.body, `"scene":"k7"`) {
		t.Errorf("scanned %s", scanned.body)
	}
	call("POST", at+"/cancel", m{"templates": []string{id}}, nil)
	call("POST", at+"/ban", m{"templates": []string{id}}, nil)
	b.want("banned", b.post(sendPath, reminder(user.OpenID)), 43107)
	call("POST", at+"/main-switch", m{"on": false}, nil)
	call("POST", at+"/block", m{"on": true}, nil)
	call("POST", at+"/login-code", nil, &code)
	b.want("blocked", b.login(code.Code), 40226)
	token := b.token()
	call("POST", "_sim/refresh-token", nil, nil)
	b.want("refreshed by others", b.use(token), 40001)
	var forged struct{ Status int }
	call("POST", "_sim/forge", m{"kind": "wrong_signature", "openid": user.OpenID, "template": id}, &forged)
	if forged.Status != http.StatusForbidden {
		t.Errorf("forged %+v", forged)
	}
	var counters map[string]int
	call("GET", "_sim/counters", nil, &counters)
	if counters[sendPath+" 43107"] != 1 || counters["push "+SentEvent] != 1 {
		t.Errorf("counters %v", counters)
	}
	var users []struct{ OpenID string }
	call("GET", "_sim/users", nil, &users)
	if len(users) != 1 {
		t.Errorf("users %v", users)
	}
}

func TestTheControlInterfaceRefusesNonsense(t *testing.T) {
	b := newBench(t, Config{})
	u := b.NewUser("")
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "_sim/users/nobody/login-code", "", 404},
		{"POST", "_sim/users/" + u.OpenID + "/accept", "{", 400},
		{"POST", "_sim/users/" + u.OpenID + "/accept", `{"ids":[]}`, 400},
		{"POST", "_sim/users/" + u.OpenID + "/scan", "no picture", 422},
		{"POST", "_sim/advance", `{"by":"soon"}`, 400},
		{"POST", "_sim/faults", `{"kind":"slwo"}`, 400},
		{"POST", "_sim/faults", `{"kind":"late","delay":"later"}`, 400},
		{"POST", "_sim/forge", `{"kind":"replay"}`, 502},
		{"GET", "_sim/nothing", "", 404},
	} {
		if got := b.do(c.method, c.path, c.body); got.status != c.want {
			t.Errorf("%s %s %s: %d %s, want %d", c.method, c.path, c.body, got.status, got.body, c.want)
		}
	}
}

func TestThePageShowsTheMessagesAndWhatIsAssumed(t *testing.T) {
	b := newBench(t, Config{OpenBase: "http://127.0.0.1:8080/#/"})
	if empty := b.do("GET", "", ""); !contains(empty.body, "还没有手机") {
		t.Errorf("page %s", empty.body)
	}
	u := b.NewUser("19912345678")
	u.Accept(TemplateID(ActivityReminder))
	u.Accept(TemplateID(ActivityReminder))
	m := reminder(u.OpenID)
	dataOf(m)["thing3"] = value("<b>三楼</b>")
	b.want("send", b.post(sendPath, m), 0)
	page := b.do("GET", "", "")
	for _, want := range append(Assumptions(),
		ActivityReminder, "活动地点", "&lt;b&gt;三楼&lt;/b&gt;", "199****5678", "活动提醒 1 条",
		`href="http://127.0.0.1:8080/#/pages/activity/index?id=7"`) {
		if !contains(page.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if !strings.HasPrefix(page.contentType, "text/html") || contains(page.body, "19912345678") || contains(page.body, "src=") {
		t.Errorf("page of type %s", page.contentType)
	}
}
