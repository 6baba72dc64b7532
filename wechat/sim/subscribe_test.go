package sim

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

const sendPath = "cgi-bin/message/subscribe/send"

func TestEachAcceptIsOneMessageAndTheyAddUp(t *testing.T) {
	b := newBench(t, Config{})
	u, id := b.NewUser(""), TemplateID(ActivityReminder)
	for range 2 {
		if a := u.Accept(id); a.Results[id] != "accept" || a.ErrMsg != "requestSubscribeMessage:ok" {
			t.Fatalf("dialog answered %+v", a)
		}
	}
	if a := u.Reject(id); a.Results[id] != "reject" || u.Balance(id) != 2 {
		t.Errorf("after a refusal: %+v, balance %d", a, u.Balance(id))
	}
	b.want("first", b.post(sendPath, reminder(u.OpenID)), 0)
	b.Advance(365 * 24 * time.Hour)
	b.want("second, a year later", b.post(sendPath, reminder(u.OpenID)), 0)
	b.want("third", b.post(sendPath, reminder(u.OpenID)), 43101)
	m := u.Messages()
	if len(m) != 2 || m[0].Title != ActivityReminder || m[0].Fields[2] != (Field{"thing3", "活动地点", "三楼会议室"}) || m[0].Page != "pages/activity/index?id=7" {
		t.Errorf("messages %+v", m)
	}
}

func TestTheMessageIDBreaksClientsThatReadItAsAFloat(t *testing.T) {
	b := newBench(t, Config{})
	u := b.NewUser("")
	for range 50 {
		u.Accept(TemplateID(ActivityReminder))
		r := b.post(sendPath, reminder(u.OpenID))
		var loose struct {
			MsgID float64 `json:"msgid"`
		}
		if err := json.Unmarshal(r.body, &loose); err != nil {
			t.Fatal(err)
		}
		if r.MsgID <= 1<<53 || int64(loose.MsgID) == r.MsgID {
			t.Fatalf("msgid %d survives as a float", r.MsgID)
		}
	}
}

func TestAlwaysKeepSparesTheDialogNotTheCall(t *testing.T) {
	b := newBench(t, Config{})
	u, id := b.NewUser(""), TemplateID(ActivityReminder)
	u.AlwaysKeep(id)
	u.Reject(id) // no dialog shows, so nobody can refuse
	u.Accept(id)
	if u.Balance(id) != 3 || b.Counters()["dialogs shown"] != 1 {
		t.Errorf("balance %d after %d dialogs", u.Balance(id), b.Counters()["dialogs shown"])
	}
	u.CancelInSettings(id)
	b.want("after cancelling", b.post(sendPath, reminder(u.OpenID)), 43101)
	if a := u.Accept(id); a.Results[id] != "reject" || u.Balance(id) != 0 {
		t.Errorf("a kept choice that was cancelled answered %+v", a)
	}
}

func TestTheDialogRefusesWhatThePhoneWould(t *testing.T) {
	long := DefaultTemplates()
	long[5].Type = LongTerm
	twin := long[0]
	twin.ID = strings.Repeat("t", 43)
	b := newBench(t, Config{Templates: append(long, twin)})
	u := b.NewUser("")
	id := func(i int) string { return long[i].ID }
	for _, c := range []struct {
		name string
		in   Request
		code int
		msg  string
	}{
		{"nothing asked", Request{}, 10001, "empty"},
		{"without a tap", Request{TemplateIDs: []string{id(0)}, NoTap: true}, 0, "TAP gesture"},
		{"six", Request{TemplateIDs: []string{id(0), id(1), id(2), id(3), id(4), twin.ID}}, 20003, "max"},
		{"unknown", Request{TemplateIDs: []string{"x"}}, 20001, "template"},
		{"two kinds", Request{TemplateIDs: []string{id(0), id(5)}}, 20002, "type"},
	} {
		if a := u.Ask(c.in); a.ErrCode != c.code || !strings.Contains(a.ErrMsg, c.msg) || a.Results != nil {
			t.Errorf("%s: %+v", c.name, a)
		}
	}
	if a := u.Accept(id(0), twin.ID); a.Results[id(0)] != "accept" || a.Results[twin.ID] != "filter" {
		t.Errorf("two of one title: %+v", a)
	}
	u.Ban(id(1))
	if a := u.Accept(id(1)); a.Results[id(1)] != "ban" || u.Balance(id(1)) != 0 {
		t.Errorf("banned: %+v", a)
	}
	if a := u.Ask(Request{TemplateIDs: []string{id(2), id(3)}, Refuse: []string{id(3)}}); a.Results[id(2)] != "accept" || a.Results[id(3)] != "reject" {
		t.Errorf("one unticked: %+v", a)
	}
	u.MainSwitch(false)
	if a := u.Accept(id(0)); a.ErrCode != 20004 {
		t.Errorf("main switch off: %+v", a)
	}
	b.want("main switch off", b.post(sendPath, reminder(u.OpenID)), 43101)
	u.MainSwitch(true)
	b.want("main switch on", b.post(sendPath, reminder(u.OpenID)), 0)
	u.Accept(id(0))
	b.Ban(id(0))
	b.want("banned for all", b.post(sendPath, reminder(u.OpenID)), 43107)
}

func TestALongTermSubscriptionServesFiveADay(t *testing.T) {
	templates := DefaultTemplates()
	templates[0].Type = LongTerm
	b := newBench(t, Config{Templates: templates})
	u := b.NewUser("")
	b.want("before", b.post(sendPath, reminder(u.OpenID)), 43101)
	u.Accept(templates[0].ID)
	for range 5 {
		b.want("of the day", b.post(sendPath, reminder(u.OpenID)), 0)
	}
	b.want("the sixth", b.post(sendPath, reminder(u.OpenID)), 40038)
	b.Advance(24 * time.Hour)
	b.want("the next day", b.post(sendPath, reminder(u.OpenID)), 0)
}

func TestParallelSendsToOnePersonAreRefusedWhereTheSwitchIsOn(t *testing.T) {
	b := newBench(t, Config{RefuseParallelSends: true, Latency: 300 * time.Millisecond})
	u, other := b.NewUser(""), b.NewUser("")
	for range 4 {
		u.Accept(TemplateID(ActivityReminder))
	}
	other.Accept(TemplateID(ActivityReminder))
	token := b.token()
	send := func(to *User) result {
		return b.do("POST", sendPath+"?access_token="+token, toJSON(reminder(to.OpenID)))
	}
	codes := make(chan int, 4)
	race(4, func() bool { codes <- send(u).Code; return true })
	counted := map[int]int{}
	for range 4 {
		counted[<-codes]++
	}
	if counted[0] != 1 || counted[43108] != 3 {
		t.Errorf("four at once answered %v", counted)
	}
	b.want("afterwards", send(u), 0)
	b.want("somebody else", send(other), 0)
}

func TestKeywordsTakeWhatTheTableSays(t *testing.T) {
	for _, c := range []struct {
		key string
		yes []string
		no  []string
	}{
		{"thing1", []string{"五月主题党日", strings.Repeat("党", 20), "A-1 （东）·、，。①"}, []string{strings.Repeat("a", 21), "a\tb", "开会😀", "a\u200bb"}},
		{"number1", []string{"3", "12.50", strings.Repeat("1", 32)}, []string{"-3", "3人", "1,000", strings.Repeat("1", 33)}},
		{"letter1", []string{"Abc", strings.Repeat("a", 32)}, []string{"a1", "a b", strings.Repeat("a", 33)}},
		{"symbol1", []string{"+-*/!", "。"}, []string{"a", "++++++"}},
		{"character_string1", []string{"A-20260520/7", strings.Repeat("a", 32)}, []string{"编号7", "a b", strings.Repeat("a", 33)}},
		{"time2", []string{"15:01", "15:01:30", "2026年5月1日 15:01", "2026-05-01 09:00", "2026年5月1日 15:01~2026年5月1日 17:00", "15:00~17:00"},
			[]string{"25:00", "24:00", "15:60", "2026年5月1日", "2026年2月30日 10:00", "2026年5月1日15:01", "明天 15:00", "15:00-17:00", ""}},
		{"date3", []string{"2026年5月1日", "2026年5月", "5月1日", "2026-05-01", "2026/5/1", "2026.5.1", "2026年5月1日 15:01", "2026年5月1日~2026年5月3日"},
			[]string{"2026年13月1日", "20260501", "15:01", "5月1日 25:00"}},
		{"amount1", []string{"¥100", "12.5元", "￥1.00", "100"}, []string{"一百元", "¥", "1.234", "12345678901"}},
		{"phone_number1", []string{"+86-0766-66888866", "19900000001"}, []string{"1990000000100000000", "电话"}},
		{"car_number1", []string{"鲁Q12345", "粤A8Z888挂"}, []string{"鲁Q123456789", "A鲁1"}},
		{"name1", []string{"张三", "买买提·艾力", "Zhang San", strings.Repeat("a", 20)}, []string{strings.Repeat("张", 11), "张三1", strings.Repeat("a", 21)}},
		{"phrase2", []string{"已通过", "时间变更"}, []string{"已通过了哦呀", "OK", "已通过!"}},
		{"enum1", []string{"甲"}, []string{"丙", ""}},
		{"colour1", nil, []string{"红"}},
	} {
		k := Keyword{Key: c.key, Enum: []string{"甲", "乙"}}
		for _, v := range c.yes {
			if !k.admits(v) {
				t.Errorf("%s refuses %q", c.key, v)
			}
		}
		for _, v := range c.no {
			if k.admits(v) {
				t.Errorf("%s takes %q", c.key, v)
			}
		}
	}
}

func TestTheDefaultTemplatesFitTheirOwnRules(t *testing.T) {
	titles := map[string]bool{}
	for _, tm := range DefaultTemplates() {
		if len(tm.ID) != 43 || titles[tm.Title] || TemplateID(tm.Title) != tm.ID {
			t.Errorf("template %+v", tm)
		}
		titles[tm.Title] = true
		for _, k := range tm.Keywords {
			if !k.admits(k.Example) {
				t.Errorf("%s: %s refuses its example %q", tm.Title, k.Key, k.Example)
			}
		}
	}
	if len(titles) != 6 || TemplateID("没有") != "" {
		t.Errorf("%d templates", len(titles))
	}
}

func TestTheRefusalNamesTheField(t *testing.T) {
	b := newBench(t, Config{})
	u := b.NewUser("")
	u.Accept(TemplateID(ActivityReminder))
	m := reminder(u.OpenID)
	delete(dataOf(m), "thing3")
	if r := b.post(sendPath, m); !strings.HasPrefix(r.Msg, "argument invalid! data.thing3.value "+isEmpty+" rid: ") {
		t.Errorf("message %q", r.Msg)
	}
}
