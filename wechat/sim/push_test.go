package sim

import (
	"crypto/subtle"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const pushToken = "sim-push-token"

// receiver is a server that takes events as it should: signatures checked, the
// timestamp near, a nonce once, no downgrade.
type receiver struct {
	t   testing.TB
	url string

	key    []byte // nil: plain mode
	clock  func() time.Time
	answer func(n int) (status int, body string) // n counts POSTs from 1; nil: success

	mu     sync.Mutex
	echoes int
	posts  int
	nonces map[string]bool
	got    []string
}

func newReceiver(t testing.TB) *receiver {
	r := &receiver{t: t, nonces: map[string]bool{}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL + "/push"
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	q := req.URL.Query()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !same(q.Get("signature"), signature(pushToken, q.Get("timestamp"), q.Get("nonce"))) {
		http.Error(w, "signature", http.StatusForbidden)
		return
	}
	if req.Method == http.MethodGet {
		r.echoes++
		_, _ = io.WriteString(w, q.Get("echostr"))
		return
	}
	r.posts++
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, 256<<10))
	if err != nil {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		return
	}
	message, why := r.open(req, string(body))
	if why != "" {
		http.Error(w, why, http.StatusForbidden)
		return
	}
	if r.answer != nil {
		if status, text := r.answer(r.posts); status != http.StatusOK || text != "success" {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
			return
		}
	}
	r.got = append(r.got, message)
	_, _ = io.WriteString(w, "success")
}

// open checks and unseals one push.
func (r *receiver) open(req *http.Request, body string) (message, why string) {
	q := req.URL.Query()
	var seconds int64
	if _, err := fmt.Sscan(q.Get("timestamp"), &seconds); err != nil {
		return "", "timestamp"
	}
	if r.clock != nil {
		if age := r.clock().Sub(time.Unix(seconds, 0)); age > 5*time.Minute || age < -5*time.Minute {
			return "", "stale"
		}
	}
	if r.nonces[q.Get("nonce")] {
		return "", "nonce seen"
	}
	if r.key != nil {
		var envelope struct{ ToUserName, Encrypt string }
		if strings.HasPrefix(body, "<") {
			_ = xml.Unmarshal([]byte(body), &envelope)
		} else {
			_ = json.Unmarshal([]byte(body), &envelope)
		}
		if q.Get("encrypt_type") != "aes" || !same(q.Get("msg_signature"), signature(pushToken, q.Get("timestamp"), q.Get("nonce"), envelope.Encrypt)) {
			return "", "msg_signature"
		}
		plain, appID, err := decrypt(r.key, envelope.Encrypt)
		if err != nil || appID != DefaultAppID {
			return "", "cipher"
		}
		body = plain
	}
	r.nonces[q.Get("nonce")] = true
	return body, ""
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func (r *receiver) events() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

func TestEventsComeInTheExactShapesOfEveryModeAndFormat(t *testing.T) {
	const key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
	for _, mode := range []PushMode{ModePlain, ModeSafe} {
		for _, format := range []PushFormat{FormatJSON, FormatXML} {
			t.Run(string(mode)+" "+string(format), func(t *testing.T) {
				r := newReceiver(t)
				cfg := Config{PushURL: r.url, PushToken: pushToken, PushMode: mode, PushFormat: format, EncodingAESKey: key}
				b := newBench(t, cfg)
				r.clock = b.Now
				if mode == ModeSafe {
					r.key, _ = aesKey(key)
				}
				u := b.NewUser("")
				one, two := TemplateID(ActivityReminder), TemplateID(DutyReminder)
				u.Ask(Request{TemplateIDs: []string{one, two}, Refuse: []string{two}})
				u.Accept(one)
				sent := b.post(sendPath, reminder(u.OpenID))
				u.CancelInSettings(one)
				media := b.post("wxa/media_check_async", map[string]any{
					"version": 2, "openid": u.OpenID, "scene": 1, "media_type": 2, "media_url": "https://example.com/risky.jpg"})
				b.drain()

				at := b.Now().Unix()
				want := wantJSON(u.OpenID, one, two, at, sent.MsgID, media.TraceID)
				if format == FormatXML {
					want = wantXML(u.OpenID, one, two, at, sent.MsgID, media.TraceID)
				}
				got := r.events()
				if len(got) != len(want) {
					t.Fatalf("%d events of %d: %v", len(got), len(want), got)
				}
				for i := range want {
					if got[i] != want[i] {
						t.Errorf("event %d\n got %s\nwant %s", i, got[i], want[i])
					}
				}
				if r.echoes != 1 {
					t.Errorf("%d echo tests", r.echoes)
				}
			})
		}
	}
}

func wantJSON(user, one, two string, at, msgID int64, trace string) []string {
	head := func(event string, at int64) string {
		return fmt.Sprintf(`{"ToUserName":%q,"FromUserName":%q,"CreateTime":"%d","MsgType":"event","Event":%q,`, DefaultOriginalID, user, at, event)
	}
	return []string{
		head(PopupEvent, at) + fmt.Sprintf(`"List":[{"TemplateId":%q,"SubscribeStatusString":"accept","PopupScene":"0"},{"TemplateId":%q,"SubscribeStatusString":"reject","PopupScene":"0"}]}`, one, two),
		head(PopupEvent, at+1) + fmt.Sprintf(`"List":{"TemplateId":%q,"SubscribeStatusString":"accept","PopupScene":"0"}}`, one),
		head(SentEvent, at) + fmt.Sprintf(`"List":{"TemplateId":%q,"MsgID":"%d","ErrorCode":"0","ErrorStatus":"success"}}`, one, msgID),
		head(ChangeEvent, at) + fmt.Sprintf(`"List":{"TemplateId":%q,"SubscribeStatusString":"reject"}}`, one),
		fmt.Sprintf(`{"ToUserName":%q,"FromUserName":%q,"CreateTime":%d,"MsgType":"event","Event":"wxa_media_check","appid":%q,"trace_id":%q,"version":2,"detail":[{"strategy":"content_model","errcode":0,"suggest":"risky","label":"20003","prob":90}],"errcode":0,"errmsg":"ok","result":{"suggest":"risky","label":"20003"}}`,
			DefaultOriginalID, user, at, DefaultAppID, trace),
	}
}

func wantXML(user, one, two string, at, msgID int64, trace string) []string {
	head := func(event string, at int64) string {
		return fmt.Sprintf(`<xml><ToUserName><![CDATA[%s]]></ToUserName><FromUserName><![CDATA[%s]]></FromUserName><CreateTime>%d</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[%s]]></Event>`,
			DefaultOriginalID, user, at, event)
	}
	item := func(id, status, scene string) string {
		return fmt.Sprintf(`<List><TemplateId><![CDATA[%s]]></TemplateId><SubscribeStatusString><![CDATA[%s]]></SubscribeStatusString>%s</List>`, id, status, scene)
	}
	const scene = `<PopupScene>0</PopupScene>`
	return []string{
		head(PopupEvent, at) + `<SubscribeMsgPopupEvent>` + item(one, "accept", scene) + item(two, "reject", scene) + `</SubscribeMsgPopupEvent></xml>`,
		head(PopupEvent, at+1) + `<SubscribeMsgPopupEvent>` + item(one, "accept", scene) + `</SubscribeMsgPopupEvent></xml>`,
		head(SentEvent, at) + fmt.Sprintf(`<SubscribeMsgSentEvent><List><TemplateId><![CDATA[%s]]></TemplateId><MsgID>%d</MsgID><ErrorCode>0</ErrorCode><ErrorStatus><![CDATA[success]]></ErrorStatus></List></SubscribeMsgSentEvent></xml>`, one, msgID),
		head(ChangeEvent, at) + `<SubscribeMsgChangeEvent>` + item(one, "reject", "") + `</SubscribeMsgChangeEvent></xml>`,
		head(MediaEvent, at) + fmt.Sprintf(`<appid><![CDATA[%s]]></appid><trace_id><![CDATA[%s]]></trace_id><version>2</version><detail><strategy><![CDATA[content_model]]></strategy><errcode>0</errcode><suggest><![CDATA[risky]]></suggest><label>20003</label><prob>90</prob></detail><errcode>0</errcode><errmsg><![CDATA[ok]]></errmsg><result><suggest><![CDATA[risky]]></suggest><label>20003</label></result></xml>`, DefaultAppID, trace),
	}
}

func TestAnEventIsTriedThreeTimesAndStaysTheSame(t *testing.T) {
	for _, c := range []struct {
		name  string
		no    func(n int) (int, string)
		taken int
		posts int
	}{
		{"taken at the third try", func(n int) (int, string) { return map[bool]int{true: 200, false: 503}[n == 3], "success" }, 1, 3},
		{"never taken", func(int) (int, string) { return 500, "" }, 0, 3},
		{"a wrong word is no answer", func(int) (int, string) { return 200, "ok" }, 0, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newReceiver(t)
			r.answer = c.no
			b := newBench(t, Config{PushURL: r.url, PushToken: pushToken, PushPause: time.Millisecond})
			b.NewUser("").Accept(TemplateID(ActivityReminder))
			b.drain()
			if len(r.events()) != c.taken || r.posts != c.posts {
				t.Errorf("%d taken, %d posts", len(r.events()), r.posts)
			}
			if n := len(r.nonces); n != c.posts {
				t.Errorf("%d nonces in %d tries", n, c.posts)
			}
			if failed := b.Counters()["push "+PopupEvent+" failed"]; failed != 1-c.taken {
				t.Errorf("%d given up", failed)
			}
		})
	}
}

func TestAnEmptyAnswerIsTaken(t *testing.T) {
	r := newReceiver(t)
	r.answer = func(int) (int, string) { return 200, "" }
	b := newBench(t, Config{PushURL: r.url, PushToken: pushToken})
	b.NewUser("").Accept(TemplateID(ActivityReminder))
	b.drain()
	if b.Counters()["push "+PopupEvent] != 1 || r.posts != 1 {
		t.Errorf("counters %v", b.Counters())
	}
}

func TestAServerThatFailsTheEchoGetsNoEvents(t *testing.T) {
	posts := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			posts++
		}
		_, _ = io.WriteString(w, "success")
	}))
	defer server.Close()
	b := newBench(t, Config{PushURL: server.URL, PushToken: pushToken, PushPause: time.Millisecond})
	b.NewUser("").Accept(TemplateID(ActivityReminder))
	b.drain()
	if posts != 0 || b.Counters()["push "+PopupEvent+" failed"] != 1 {
		t.Errorf("%d posts, counters %v", posts, b.Counters())
	}
}

func TestAServerThatHangsIsGivenUpInTime(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, r.URL.Query().Get("echostr"))
			return
		}
		<-release
	}))
	defer server.Close()
	defer close(release)
	b := newBench(t, Config{PushURL: server.URL, PushToken: pushToken, PushWait: 20 * time.Millisecond, PushPause: time.Millisecond})
	b.NewUser("").Accept(TemplateID(ActivityReminder))
	b.drain()
	if c := b.Counters(); c["push "+PopupEvent+" tries"] != 3 || c["push "+PopupEvent+" failed"] != 1 {
		t.Errorf("counters %v", c)
	}
}

func TestEventsAreLostLateDoubledAndReorderedOnDemand(t *testing.T) {
	r := newReceiver(t)
	b := newBench(t, Config{PushURL: r.url, PushToken: pushToken})
	u := b.NewUser("")
	one, two := TemplateID(ActivityReminder), TemplateID(DutyReminder)
	arrived := func() []string {
		b.drain()
		var out []string
		for _, e := range r.events() {
			out = append(out, map[bool]string{true: "one", false: "two"}[strings.Contains(e, one)])
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = nil
		return out
	}
	want := func(what string, wanted ...string) {
		t.Helper()
		if got := arrived(); !slices.Equal(got, wanted) {
			t.Errorf("%s: %v, want %v", what, got, wanted)
		}
	}
	b.Arm(Fault{Kind: Lost, Event: PopupEvent, Count: 1})
	u.Accept(one)
	u.Accept(two)
	want("lost", "two")

	b.Arm(Fault{Kind: Doubled, Count: 1})
	u.Accept(one)
	want("doubled", "one", "one")

	b.Arm(Fault{Kind: Reordered, Count: 1})
	u.Accept(one)
	u.Accept(two)
	want("reordered", "two", "one")

	b.Arm(Fault{Kind: Reordered, Count: 1})
	u.Accept(one)
	want("reordered with nothing behind it", "one")

	b.Arm(Fault{Kind: Late, Delay: time.Hour, Count: 1})
	u.Accept(one)
	u.Accept(two)
	want("before it is due", "two")
	b.Release()
	want("released", "one")

	b.Arm(Fault{Kind: Lost, Event: SentEvent})
	u.Accept(one)
	want("another kind of event is lost", "one")
}

func TestALateEventComesWhenTheClockHasPassedItsHour(t *testing.T) {
	r := newReceiver(t)
	taken := make(chan struct{}, 1)
	r.answer = func(int) (int, string) { taken <- struct{}{}; return 200, "success" }
	b := newBench(t, Config{PushURL: r.url, PushToken: pushToken})
	b.Arm(Fault{Kind: Late, Delay: time.Hour, Count: 1})
	b.NewUser("").Accept(TemplateID(ActivityReminder))
	b.Advance(59 * time.Minute)
	b.drain()
	if len(r.events()) != 0 {
		t.Error("came too early")
	}
	b.Advance(time.Minute)
	select {
	case <-taken:
	case <-time.After(10 * time.Second):
		t.Error("never came")
	}
}

func TestACarefulReceiverRefusesEveryForgery(t *testing.T) {
	const key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
	for _, mode := range []PushMode{ModePlain, ModeSafe} {
		for _, format := range []PushFormat{FormatJSON, FormatXML} {
			r := newReceiver(t)
			b := newBench(t, Config{PushURL: r.url, PushToken: pushToken, PushMode: mode, PushFormat: format, EncodingAESKey: key})
			r.clock = b.Now
			if mode == ModeSafe {
				r.key, _ = aesKey(key)
			}
			u := b.NewUser("")
			for _, f := range b.Forgeries() {
				status, err := b.Forge(t.Context(), f, u.OpenID, TemplateID(ActivityReminder))
				if err != nil || status == http.StatusOK {
					t.Errorf("%s %s %s: %d %v", mode, format, f, status, err)
				}
			}
			if n := len(r.events()); n != 1 {
				t.Errorf("%s %s: %d events were taken, want the replay's first only", mode, format, n)
			}
		}
	}
}

// The control of the test above: a receiver that takes everything is seen.
func TestACarelessReceiverIsFoundOut(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "success")
	}))
	defer server.Close()
	b := newBench(t, Config{PushURL: server.URL, PushToken: pushToken, EncodingAESKey: vectorKey})
	for _, f := range b.Forgeries() {
		if status, err := b.Forge(t.Context(), f, "o", TemplateID(ActivityReminder)); err != nil || status != http.StatusOK {
			t.Errorf("%s: %d %v", f, status, err)
		}
	}
	if n := len(b.Forgeries()); n != 7 {
		t.Errorf("%d forgeries", n)
	}
}

func TestKeptChoicesPushNoPopupUnlessAsked(t *testing.T) {
	for _, told := range []bool{false, true} {
		r := newReceiver(t)
		b := newBench(t, Config{PushURL: r.url, PushToken: pushToken, KeptPopupEvents: told})
		u := b.NewUser("")
		u.AlwaysKeep(TemplateID(ActivityReminder))
		u.Accept(TemplateID(ActivityReminder))
		b.drain()
		if n := len(r.events()); n != map[bool]int{false: 1, true: 2}[told] {
			t.Errorf("told %v: %d events", told, n)
		}
	}
}
