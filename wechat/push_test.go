package wechat_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/silenceper/wechat/v2/util"

	"dangri/wechat"
	"dangri/wechat/sim"
)

// The platform's published example account.
const (
	exampleApp   = "wxba5fad812f8e6fb9"
	exampleToken = "AAAAA"
	exampleOther = "wx0000000000000002"
)

var exampleKey = strings.Repeat("A", 43)

// office is a push endpoint, what it was told, and its clock.
type office struct {
	*wechat.Push
	memory *wechat.Memory
	log    bytes.Buffer

	mu       sync.Mutex
	now      time.Time
	batches  [][]wechat.Event
	failWith error
}

func openOffice(t *testing.T, key string, change ...func(*wechat.PushConfig)) *office {
	t.Helper()
	o := &office{now: time.Unix(1714112445, 0)}
	logger := slog.New(slog.NewTextHandler(&o.log, nil))
	o.memory = wechat.NewMemory(nil, o.clock, logger)
	cfg := wechat.PushConfig{
		AppID: exampleApp, Token: exampleToken, EncodingAESKey: key, Now: o.clock, Log: logger,
		Seen: o.memory.Seen, Forget: o.memory.Forget,
		Receive: func(_ context.Context, events []wechat.Event) error {
			o.mu.Lock()
			defer o.mu.Unlock()
			if o.failWith != nil {
				return o.failWith
			}
			o.batches = append(o.batches, events)
			return nil
		},
	}
	for _, f := range change {
		f(&cfg)
	}
	push, err := wechat.NewPush(cfg)
	if err != nil {
		t.Fatal(err)
	}
	o.Push = push
	return o
}

func (o *office) clock() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}

func (o *office) set(now time.Time, failWith error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now, o.failWith = now, failWith
}

func (o *office) events() (all []wechat.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Concat(o.batches...)
}

func (o *office) ask(method string, query url.Values, body string) (status int, answer string) {
	w := httptest.NewRecorder()
	o.ServeHTTP(w, httptest.NewRequest(method, "/wechat/push?"+query.Encode(), strings.NewReader(body)))
	return w.Code, w.Body.String()
}

// signedAt makes the parameters of a push in plain mode.
func signedAt(at time.Time, nonce string) url.Values {
	stamp := strconv.FormatInt(at.Unix(), 10)
	return url.Values{
		"timestamp": {stamp}, "nonce": {nonce}, "openid": {"oPERSON"},
		"signature": {util.Signature(exampleToken, stamp, nonce)},
	}
}

// sealedFor makes a push in safe mode for an account.
func sealedFor(t *testing.T, account string, at time.Time, nonce, message string) (url.Values, string) {
	t.Helper()
	cipher, err := util.EncryptMsg([]byte("0123456789abcdef"), []byte(message), account, exampleKey)
	if err != nil {
		t.Fatal(err)
	}
	query := signedAt(at, nonce)
	query.Set("encrypt_type", "aes")
	query.Set("msg_signature", util.Signature(exampleToken, query.Get("timestamp"), nonce, string(cipher)))
	return query, fmt.Sprintf(`{"ToUserName":"gh_1","Encrypt":%q}`, cipher)
}

func popup(created int64, openID string) string {
	return fmt.Sprintf(`{"ToUserName":"gh_1","FromUserName":%q,"CreateTime":"%d","MsgType":"event","Event":"subscribe_msg_popup_event",`+
		`"List":[{"TemplateId":"T1","SubscribeStatusString":"accept","PopupScene":"0"}]}`, openID, created)
}

const exampleCipher = "+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus8TPxLKJGQqcvZqzDpVzazhZv6JsXUnnR8XGT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj+l5kdfMuFUPpRSrfMZuMcp3Fn2Pede2IuQrKEYwKSqFIZoNqJ4M8EajAsjLY2km32IIjdf8YL/P50F7mStwntrA2cPDrM1kb6mOcfBgRtWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04="

func TestThePlatformsPublishedExamplesAreAccepted(t *testing.T) {
	t.Run("verification", func(t *testing.T) {
		o := openOffice(t, exampleKey)
		o.set(time.Unix(1714036504, 0), nil)
		status, answer := o.ask(http.MethodGet, url.Values{
			"signature": {"f464b24fc39322e44b38aa78f5edd27bd1441696"}, "echostr": {"4375120948345356249"},
			"timestamp": {"1714036504"}, "nonce": {"1514711492"},
		}, "")
		if status != http.StatusOK || answer != "4375120948345356249" {
			t.Errorf("got %d %q", status, answer)
		}
	})
	t.Run("plain mode", func(t *testing.T) {
		o := openOffice(t, "")
		o.set(time.Unix(1714037059, 0), nil)
		status, answer := o.ask(http.MethodPost, url.Values{
			"signature": {"899cf89e464efb63f54ddac96b0a0a235f53aa78"}, "timestamp": {"1714037059"}, "nonce": {"486452656"},
		}, popup(1714037059, "o9AgO5Kd5ggOC-bXrbNODIiE3bGY"))
		if status != http.StatusOK || answer != "success" || len(o.events()) != 1 {
			t.Errorf("got %d %q, %+v", status, answer, o.events())
		}
	})
	safe := url.Values{
		"signature": {"6c5c811b55cc85e0e1b54100749188c20beb3f5d"}, "timestamp": {"1714112445"}, "nonce": {"415670741"},
		"openid": {"o9AgO5Kd5ggOC-bXrbNODIiE3bGY"}, "encrypt_type": {"aes"},
		"msg_signature": {"046e02f8204d34f8ba5fa3b1db94908f3df2e9b3"},
	}
	for format, body := range map[string]string{
		"JSON": fmt.Sprintf(`{"ToUserName":"gh_97417a04a28d","Encrypt":%q}`, exampleCipher),
		"XML":  fmt.Sprintf("<xml><ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName><Encrypt><![CDATA[%s]]></Encrypt></xml>", exampleCipher),
	} {
		t.Run("safe mode "+format, func(t *testing.T) {
			o := openOffice(t, exampleKey)
			status, answer := o.ask(http.MethodPost, safe, body)
			if status != http.StatusOK || answer != "success" || len(o.events()) != 0 {
				t.Errorf("got %d %q, %+v", status, answer, o.events())
			}
		})
	}
	t.Run("what the example says", func(t *testing.T) {
		_, plain, err := util.DecryptMsg(exampleApp, exampleCipher, exampleKey)
		want := `{"ToUserName":"gh_97417a04a28d","FromUserName":"o9AgO5Kd5ggOC-bXrbNODIiE3bGY","CreateTime":1714112445,"MsgType":"event","Event":"debug_demo","debug_str":"hello world"}`
		if err != nil || string(plain) != want {
			t.Errorf("got %s, %v", plain, err)
		}
		sealed, err := util.EncryptMsg([]byte("707722b803182950"), []byte(`{"demo_resp":"good luck"}`), exampleApp, exampleKey)
		if err != nil || string(sealed) != "ELGduP2YcVatjqIS+eZbp80MNLoAUWvzzyJxgGzxZO/5sAvd070Bs6qrLARC9nVHm48Y4hyRbtzve1L32tmxSQ==" {
			t.Errorf("got %s, %v", sealed, err)
		}
		if got := util.Signature(exampleToken, "1713424427", "415670741", string(sealed)); got != "1b9339964ed2e271e7c7b6ff2b0ef902fc94dea1" {
			t.Errorf("got %s", got)
		}
	})
}

func TestEveryShapeOfAnEventIsRead(t *testing.T) {
	head := func(created, event string) string {
		return `{"ToUserName":"gh_1","FromUserName":"oPERSON","CreateTime":` + created + `,"MsgType":"event","Event":"` + event + `",`
	}
	xmlHead := func(event string) string {
		return "<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[oPERSON]]></FromUserName><CreateTime>1610969440</CreateTime>" +
			"<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[" + event + "]]></Event>"
	}
	at := time.Unix(1610969440, 0).UTC()
	accepted := wechat.Event{Kind: wechat.EventPopup, OpenID: "oPERSON", At: at, TemplateID: "T1", Status: "accept", PopupScene: "0"}
	rejected := wechat.Event{Kind: wechat.EventPopup, OpenID: "oPERSON", At: at, TemplateID: "T2", Status: "reject", PopupScene: "2"}
	changed := wechat.Event{Kind: wechat.EventChange, OpenID: "oPERSON", At: at, TemplateID: "T1", Status: "reject"}
	sent := wechat.Event{Kind: wechat.EventSent, OpenID: "oPERSON", At: at, TemplateID: "T1", MsgID: "1864323726461255680", ErrorText: "success"}
	failed := sent
	failed.ErrorCode, failed.ErrorText = 40001, "failed"
	media := wechat.Event{Kind: wechat.EventMedia, OpenID: "oPERSON", At: at, TraceID: "trace-1", Verdict: wechat.Risky, Label: "20001"}
	for name, c := range map[string]struct {
		body string
		want []wechat.Event
	}{
		"popup, array of strings": {head(`"1610969440"`, "subscribe_msg_popup_event") +
			`"List":[{"TemplateId":"T1","SubscribeStatusString":"accept","PopupScene":"0"},{"TemplateId":"T2","SubscribeStatusString":"reject","PopupScene":"2"}]}`,
			[]wechat.Event{accepted, rejected}},
		"popup, one object with numbers": {head(`1610969440`, "subscribe_msg_popup_event") +
			`"List":{"TemplateId":"T1","SubscribeStatusString":"accept","PopupScene":0}}`, []wechat.Event{accepted}},
		"popup, wrapped as in XML": {head(`1610969440`, "subscribe_msg_popup_event") +
			`"SubscribeMsgPopupEvent":{"List":{"TemplateId":"T1","SubscribeStatusString":"accept","PopupScene":0}}}`, []wechat.Event{accepted}},
		"change": {head(`"1610969440"`, "subscribe_msg_change_event") +
			`"List":[{"TemplateId":"T1","SubscribeStatusString":"reject"}]}`, []wechat.Event{changed}},
		"sent, strings": {head(`"1610969440"`, "subscribe_msg_sent_event") +
			`"List":{"TemplateId":"T1","MsgID":"1864323726461255680","ErrorCode":"0","ErrorStatus":"success"}}`, []wechat.Event{sent}},
		"sent, numbers": {head(`1610969440`, "subscribe_msg_sent_event") +
			`"List":[{"TemplateId":"T1","MsgID":1864323726461255680,"ErrorCode":0,"ErrorStatus":"success"}]}`, []wechat.Event{sent}},
		"not delivered": {head(`1610969440`, "subscribe_msg_sent_event") +
			`"List":[{"TemplateId":"T1","MsgID":1864323726461255680,"ErrorCode":40001,"ErrorStatus":"failed"}]}`, []wechat.Event{failed}},
		"media, label a string": {head(`1610969440`, "wxa_media_check") +
			`"appid":"` + exampleApp + `","trace_id":"trace-1","version":2,"detail":[],"errcode":0,"errmsg":"ok","result":{"suggest":"risky","label":"20001"}}`,
			[]wechat.Event{media}},
		"media, label a number": {head(`"1610969440"`, "wxa_media_check") +
			`"appid":"` + exampleApp + `","trace_id":"trace-1","version":"2","errcode":"0","result":{"suggest":"risky","label":20001}}`,
			[]wechat.Event{media}},
		"XML popup": {xmlHead("subscribe_msg_popup_event") + "<SubscribeMsgPopupEvent>" +
			"<List><TemplateId><![CDATA[T1]]></TemplateId><SubscribeStatusString><![CDATA[accept]]></SubscribeStatusString><PopupScene>0</PopupScene></List>" +
			"<List><TemplateId><![CDATA[T2]]></TemplateId><SubscribeStatusString><![CDATA[reject]]></SubscribeStatusString><PopupScene>2</PopupScene></List>" +
			"</SubscribeMsgPopupEvent></xml>", []wechat.Event{accepted, rejected}},
		"XML change": {xmlHead("subscribe_msg_change_event") + "<SubscribeMsgChangeEvent>" +
			"<List><TemplateId><![CDATA[T1]]></TemplateId><SubscribeStatusString><![CDATA[reject]]></SubscribeStatusString></List>" +
			"</SubscribeMsgChangeEvent></xml>", []wechat.Event{changed}},
		"XML sent": {"\n" + xmlHead("subscribe_msg_sent_event") + "<SubscribeMsgSentEvent>" +
			"<List><TemplateId><![CDATA[T1]]></TemplateId><MsgID>1864323726461255680</MsgID><ErrorCode>0</ErrorCode><ErrorStatus><![CDATA[success]]></ErrorStatus></List>" +
			"</SubscribeMsgSentEvent></xml>", []wechat.Event{sent}},
		"XML media": {xmlHead("wxa_media_check") + "<appid><![CDATA[" + exampleApp + "]]></appid><trace_id><![CDATA[trace-1]]></trace_id><version>2</version>" +
			"<detail><strategy>content_model</strategy></detail><errcode>0</errcode><result><suggest><![CDATA[risky]]></suggest><label>20001</label></result></xml>",
			[]wechat.Event{media}},
		"an event we do not know":  {head(`1`, "user_enter_tempsession") + `"SessionFrom":"x"}`, nil},
		"a message to the service": {`{"FromUserName":"oPERSON","CreateTime":1,"MsgType":"text","Content":"你好","MsgId":1}`, nil},
		"an empty list":            {head(`1610969440`, "subscribe_msg_popup_event") + `"List":[]}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := openOffice(t, "")
			if status, answer := o.ask(http.MethodPost, signedAt(o.clock(), "n1"), c.body); status != http.StatusOK || answer != "success" {
				t.Fatalf("got %d %q: %s", status, answer, o.log.String())
			}
			got := o.events()
			for i := range got {
				if len(got[i].Key) != 32 || strings.Contains(got[i].Key, "PERSON") {
					t.Errorf("key %q", got[i].Key)
				}
				got[i].Key = ""
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestWhatIsNotProvenToComeFromThePlatformIsRefusedAndLeavesNoTrace(t *testing.T) {
	at := time.Unix(1714112445, 0)
	good := func(t *testing.T) (url.Values, string) {
		return sealedFor(t, exampleApp, at, "n1", popup(at.Unix(), "oPERSON"))
	}
	for name, spoil := range map[string]func(t *testing.T, query url.Values, body *string){
		"msg_signature of another body": func(t *testing.T, q url.Values, body *string) {
			_, *body = sealedFor(t, exampleApp, at, "n2", popup(at.Unix(), "oOTHER"))
		},
		"no msg_signature":    func(_ *testing.T, q url.Values, _ *string) { q.Del("msg_signature") },
		"empty msg_signature": func(_ *testing.T, q url.Values, _ *string) { q.Set("msg_signature", "") },
		"upper case": func(_ *testing.T, q url.Values, _ *string) {
			q.Set("msg_signature", strings.ToUpper(q.Get("msg_signature")))
		},
		"cut signature": func(_ *testing.T, q url.Values, _ *string) { q.Set("msg_signature", q.Get("msg_signature")[:39]) },
		"the plain signature for it": func(_ *testing.T, q url.Values, _ *string) {
			q.Set("msg_signature", q.Get("signature"))
		},
		"downgrade: encrypt_type dropped": func(_ *testing.T, q url.Values, body *string) {
			q.Del("encrypt_type")
			q.Del("msg_signature")
			*body = popup(at.Unix(), "oPERSON")
		},
		"downgrade: plain body in safe mode": func(_ *testing.T, _ url.Values, body *string) { *body = popup(at.Unix(), "oPERSON") },
		"downgrade: encrypt_type raw":        func(_ *testing.T, q url.Values, _ *string) { q.Set("encrypt_type", "raw") },
		"sealed for another account": func(t *testing.T, q url.Values, body *string) {
			other, sealed := sealedFor(t, exampleOther, at, "n1", popup(at.Unix(), "oPERSON"))
			q.Set("msg_signature", other.Get("msg_signature"))
			*body = sealed
		},
		"media verdict of another account": func(t *testing.T, q url.Values, body *string) {
			other, sealed := sealedFor(t, exampleApp, at, "n1", `{"FromUserName":"oPERSON","CreateTime":1,"MsgType":"event","Event":"wxa_media_check","appid":"`+
				exampleOther+`","trace_id":"t","result":{"suggest":"pass","label":100}}`)
			q.Set("msg_signature", other.Get("msg_signature"))
			*body = sealed
		},
		"signed nonsense": func(_ *testing.T, q url.Values, body *string) {
			cipher := strings.Repeat("QUJD", 32)
			q.Set("msg_signature", util.Signature(exampleToken, q.Get("timestamp"), q.Get("nonce"), cipher))
			*body = fmt.Sprintf(`{"Encrypt":%q}`, cipher)
		},
		"signed, not base64": func(_ *testing.T, q url.Values, body *string) {
			q.Set("msg_signature", util.Signature(exampleToken, q.Get("timestamp"), q.Get("nonce"), "%%%"))
			*body = `{"Encrypt":"%%%"}`
		},
		"signed, empty": func(_ *testing.T, q url.Values, body *string) {
			q.Set("msg_signature", util.Signature(exampleToken, q.Get("timestamp"), q.Get("nonce"), ""))
			*body = `{"Encrypt":""}`
		},
		"other timestamp":      func(_ *testing.T, q url.Values, _ *string) { q.Set("timestamp", strconv.FormatInt(at.Unix()+1, 10)) },
		"no timestamp":         func(_ *testing.T, q url.Values, _ *string) { q.Del("timestamp") },
		"no nonce":             func(_ *testing.T, q url.Values, _ *string) { q.Del("nonce") },
		"two nonces":           func(_ *testing.T, q url.Values, _ *string) { q.Add("nonce", "n2") },
		"two encrypt_types":    func(_ *testing.T, q url.Values, _ *string) { q.Add("encrypt_type", "raw") },
		"body over 64 KiB":     func(_ *testing.T, _ url.Values, body *string) { *body += strings.Repeat(" ", 64<<10) },
		"empty body":           func(_ *testing.T, _ url.Values, body *string) { *body = "" },
		"not JSON and not XML": func(_ *testing.T, _ url.Values, body *string) { *body = "hello" },
		"cut":                  func(_ *testing.T, _ url.Values, body *string) { *body = (*body)[:len(*body)-2] },
	} {
		t.Run(name, func(t *testing.T) {
			o := openOffice(t, exampleKey)
			query, body := good(t)
			spoil(t, query, &body)
			status, answer := o.ask(http.MethodPost, query, body)
			if status != http.StatusForbidden || answer != "" || len(o.events()) != 0 {
				t.Fatalf("got %d %q, %d events", status, answer, len(o.events()))
			}
			// No trace: the true push with the same nonce and event still counts.
			query, body = good(t)
			if status, _ := o.ask(http.MethodPost, query, body); status != http.StatusOK || len(o.events()) != 1 {
				t.Errorf("then the true one got %d, %d events: %s", status, len(o.events()), o.log.String())
			}
		})
	}
}

func TestInPlainModeASignatureIsNeededAndNothingEncryptedIsTaken(t *testing.T) {
	at := time.Unix(1714112445, 0)
	for name, spoil := range map[string]func(url.Values){
		"no signature":    func(q url.Values) { q.Del("signature") },
		"wrong signature": func(q url.Values) { q.Set("signature", strings.Repeat("0", 40)) },
		"encrypted":       func(q url.Values) { q.Set("encrypt_type", "aes") },
	} {
		o := openOffice(t, "")
		query := signedAt(at, "n1")
		spoil(query)
		if status, _ := o.ask(http.MethodPost, query, popup(at.Unix(), "oPERSON")); status != http.StatusForbidden || len(o.events()) != 0 {
			t.Errorf("%s: got %d, %d events", name, status, len(o.events()))
		}
	}
}

func TestAVerificationWithAWrongSignatureIsNotEchoed(t *testing.T) {
	o := openOffice(t, exampleKey)
	query := signedAt(o.clock(), "n1")
	query.Set("echostr", "<script>1</script>")
	if status, answer := o.ask(http.MethodGet, query, ""); status != http.StatusOK || answer != "<script>1</script>" {
		t.Errorf("control: got %d %q", status, answer)
	}
	query.Set("signature", strings.Repeat("0", 40))
	if status, answer := o.ask(http.MethodGet, query, ""); status != http.StatusForbidden || answer != "" {
		t.Errorf("got %d %q", status, answer)
	}
	w := httptest.NewRecorder()
	o.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Header().Get("Content-Type") != "text/plain; charset=utf-8" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("what is echoed could be taken for a page: %v", w.Header())
	}
	if status, _ := o.ask(http.MethodPut, query, ""); status != http.StatusMethodNotAllowed {
		t.Errorf("PUT got %d", status)
	}
}

func TestAPushIsTakenWithinFiveMinutesOfItsTimeOnly(t *testing.T) {
	at := time.Unix(1714112445, 0)
	for off, want := range map[time.Duration]int{
		0:                  http.StatusOK,
		5 * time.Minute:    http.StatusOK,
		-5 * time.Minute:   http.StatusOK,
		301 * time.Second:  http.StatusForbidden,
		-301 * time.Second: http.StatusForbidden,
		time.Hour:          http.StatusForbidden,
	} {
		o := openOffice(t, exampleKey)
		o.set(at.Add(off), nil)
		query, body := sealedFor(t, exampleApp, at, "n1", popup(at.Unix(), "oPERSON"))
		if status, _ := o.ask(http.MethodPost, query, body); status != want {
			t.Errorf("%v: got %d, want %d", off, status, want)
		}
	}
}

func TestANonceIsGoodOnce(t *testing.T) {
	o := openOffice(t, exampleKey)
	query, body := sealedFor(t, exampleApp, o.clock(), "n1", popup(1, "oPERSON"))
	if status, _ := o.ask(http.MethodPost, query, body); status != http.StatusOK {
		t.Fatalf("got %d", status)
	}
	if status, _ := o.ask(http.MethodPost, query, body); status != http.StatusForbidden {
		t.Errorf("replay got %d", status)
	}
	if n := len(o.events()); n != 1 {
		t.Errorf("%d events", n)
	}
}

func TestAnEventThatComesAgainWithAnotherNonceIsDroppedAndAnswered(t *testing.T) {
	o := openOffice(t, exampleKey)
	two := func(created int64) string {
		return strings.Replace(popup(created, "oPERSON"), `"List":[`, `"List":[{"TemplateId":"T2","SubscribeStatusString":"accept"},`, 1)
	}
	for i, c := range []struct {
		message string
		want    int
	}{
		{two(1), 2},                // two templates of one dialog are two events
		{two(1), 2},                // the platform's second try
		{popup(1, "oPERSON"), 2},   // one of them alone
		{popup(2, "oPERSON"), 3},   // asked again a second later
		{popup(2, "oSOMEBODY"), 4}, // and somebody else
	} {
		query, body := sealedFor(t, exampleApp, o.clock(), fmt.Sprint("n", i), c.message)
		if status, answer := o.ask(http.MethodPost, query, body); status != http.StatusOK || answer != "success" {
			t.Errorf("%d: got %d %q", i, status, answer)
		}
		if n := len(o.events()); n != c.want {
			t.Errorf("%d: %d events, want %d", i, n, c.want)
		}
	}
}

func TestOfFiftyCopiesAtOnceOneIsHandedOn(t *testing.T) {
	flood := func(t *testing.T, change ...func(*wechat.PushConfig)) int {
		o := openOffice(t, exampleKey, change...)
		start := make(chan struct{})
		var group sync.WaitGroup
		for i := range 50 {
			query, body := sealedFor(t, exampleApp, o.clock(), fmt.Sprint("n", i), popup(1, "oPERSON"))
			group.Go(func() {
				<-start
				if status, _ := o.ask(http.MethodPost, query, body); status != http.StatusOK {
					t.Errorf("got %d", status)
				}
			})
		}
		close(start)
		group.Wait()
		return len(o.events())
	}
	if n := flood(t); n != 1 {
		t.Errorf("%d copies handed on", n)
	}
	connectRedis, _, _ := sharedRedis(t)
	// Each replica has a memory of its own; Redis is what they have in common.
	var turn sync.Mutex
	next := 0
	memories := make([]*wechat.Memory, 10)
	for i := range memories {
		memories[i] = wechat.NewMemory(connectRedis(), time.Now, slog.New(slog.DiscardHandler))
	}
	salt := fmt.Sprint(time.Now().UnixNano())
	n := flood(t, func(c *wechat.PushConfig) {
		c.Seen = func(ctx context.Context, key string) (bool, error) {
			turn.Lock()
			next++
			memory := memories[next%len(memories)]
			turn.Unlock()
			return memory.Seen(ctx, key+salt)
		}
	})
	if n != 1 {
		t.Errorf("%d copies handed on by ten replicas", n)
	}
	forgetful := func(c *wechat.PushConfig) {
		c.Seen = func(context.Context, string) (bool, error) { return false, nil }
	}
	if n := flood(t, forgetful); n != 50 {
		t.Errorf("control: without a memory %d copies were handed on, want all", n)
	}
}

func TestAnEventThatCouldNotBeHandledIsTakenWhenItComesAgain(t *testing.T) {
	o := openOffice(t, exampleKey)
	o.set(o.clock(), errors.New("database away"))
	query, body := sealedFor(t, exampleApp, o.clock(), "n1", popup(1, "oPERSON"))
	if status, answer := o.ask(http.MethodPost, query, body); status != http.StatusServiceUnavailable || answer != "" {
		t.Fatalf("got %d %q", status, answer)
	}
	o.set(o.clock(), nil)
	// The platform tries again, be it with the same nonce or another.
	if status, _ := o.ask(http.MethodPost, query, body); status != http.StatusOK {
		t.Errorf("got %d", status)
	}
	if n := len(o.events()); n != 1 {
		t.Errorf("%d events", n)
	}
}

func TestAMemoryThatFailsStopsThePushBeforeAnythingIsHandedOn(t *testing.T) {
	o := openOffice(t, exampleKey, func(c *wechat.PushConfig) {
		c.Seen = func(context.Context, string) (bool, error) { return false, errors.New("away") }
	})
	query, body := sealedFor(t, exampleApp, o.clock(), "n1", popup(1, "oPERSON"))
	if status, _ := o.ask(http.MethodPost, query, body); status != http.StatusServiceUnavailable || len(o.events()) != 0 {
		t.Errorf("got %d, %d events", status, len(o.events()))
	}
}

func TestTheReceiverHasLessTimeThanThePlatformWaits(t *testing.T) {
	o := openOffice(t, exampleKey, func(c *wechat.PushConfig) {
		c.Receive = func(ctx context.Context, _ []wechat.Event) error {
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > 4*time.Second {
				return errors.New("no deadline")
			}
			return nil
		}
	})
	query, body := sealedFor(t, exampleApp, o.clock(), "n1", popup(1, "oPERSON"))
	if status, _ := o.ask(http.MethodPost, query, body); status != http.StatusOK {
		t.Errorf("got %d: %s", status, o.log.String())
	}
}

func TestWhatAPushSaysIsNotInTheLog(t *testing.T) {
	o := openOffice(t, exampleKey)
	for i, account := range []string{exampleOther, exampleApp, exampleApp} {
		query, body := sealedFor(t, account, o.clock(), "PLANTEDNONCE", strings.Replace(popup(int64(i), "oPLANTEDPERSON"), `"accept"`, `""`, 1))
		if i == 2 {
			body += "PLANTEDBODY"
		}
		if status, _ := o.ask(http.MethodPost, query, body); status != http.StatusForbidden {
			t.Errorf("got %d", status)
		}
	}
	if log := o.log.String(); !strings.Contains(log, "refused") || strings.Contains(log, "PLANTED") || strings.Contains(log, exampleKey) || strings.Contains(log, exampleToken) {
		t.Error(log)
	}
}

func TestAWrongPushSettingIsRefused(t *testing.T) {
	o := openOffice(t, "")
	good := wechat.PushConfig{
		AppID: exampleApp, Token: exampleToken, Now: o.clock, Seen: o.memory.Seen, Forget: o.memory.Forget,
		Receive: func(context.Context, []wechat.Event) error { return nil },
	}
	for name, spoil := range map[string]func(*wechat.PushConfig){
		"no appid":   func(c *wechat.PushConfig) { c.AppID = "" },
		"no token":   func(c *wechat.PushConfig) { c.Token = "" },
		"short key":  func(c *wechat.PushConfig) { c.EncodingAESKey = strings.Repeat("A", 42) },
		"odd key":    func(c *wechat.PushConfig) { c.EncodingAESKey = strings.Repeat("!", 43) },
		"no clock":   func(c *wechat.PushConfig) { c.Now = nil },
		"no memory":  func(c *wechat.PushConfig) { c.Seen = nil },
		"no forget":  func(c *wechat.PushConfig) { c.Forget = nil },
		"no purpose": func(c *wechat.PushConfig) { c.Receive = nil },
	} {
		cfg := good
		spoil(&cfg)
		_, err := wechat.NewPush(cfg)
		if err == nil {
			t.Errorf("%s was accepted", name)
			continue
		}
		wantKind(t, err, wechat.KindConfig)
	}
	if _, err := wechat.NewPush(good); err != nil {
		t.Errorf("control: %v", err)
	}
}

func TestTheSimulatorsEventsArriveInEveryModeAndItsForgeriesDoNot(t *testing.T) {
	for _, mode := range []sim.PushMode{sim.ModeSafe, sim.ModePlain} {
		for _, format := range []sim.PushFormat{sim.FormatJSON, sim.FormatXML} {
			t.Run(fmt.Sprint(mode, " ", format), func(t *testing.T) {
				key := ""
				if mode == sim.ModeSafe {
					key = exampleKey
				}
				o := openOffice(t, key, func(c *wechat.PushConfig) { c.AppID, c.Now = appID, time.Now })
				endpoint := httptest.NewServer(o)
				defer endpoint.Close()
				platform, client := simulated(t, sim.Config{
					PushURL: endpoint.URL, PushToken: exampleToken, EncodingAESKey: key, PushMode: mode, PushFormat: format,
				})
				user := platform.NewUser("")
				m := reminder(platform, user)
				user.Accept(m.TemplateID, sim.DefaultTemplates()[1].ID)
				platform.Arm(sim.Fault{Kind: sim.Doubled, Event: sim.SentEvent, Count: 1})
				msgID, err := client.Send(t.Context(), m)
				if err != nil {
					t.Fatal(err)
				}
				trace, err := client.CheckMedia(t.Context(), user.OpenID, "https://example.cn/risky.jpg")
				if err != nil {
					t.Fatal(err)
				}
				user.CancelInSettings(m.TemplateID)
				if err := platform.Drain(t.Context()); err != nil {
					t.Fatal(err)
				}
				got := map[string]int{}
				for _, e := range o.events() {
					if e.OpenID != user.OpenID || e.At.IsZero() {
						t.Errorf("got %+v", e)
					}
					got[e.Kind+e.Status+e.MsgID+e.TraceID+e.Verdict]++
				}
				want := map[string]int{"popupaccept": 2, "sent" + msgID: 1, "media" + trace + "risky": 1, "changereject": 1}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("got %v, want %v", got, want)
				}
				before := len(o.events())
				for _, f := range platform.Forgeries() {
					forged := platform.NewUser("")
					status, err := platform.Forge(t.Context(), f, forged.OpenID, m.TemplateID)
					if err != nil || status != http.StatusForbidden {
						t.Errorf("%s got %d, %v", f, status, err)
					}
				}
				// Replay pushes a good event first; nothing else may have come through.
				if n := len(o.events()) - before; n != 1 {
					t.Errorf("%d events from forgeries, want the one good", n)
				}
			})
		}
	}
}

// What anybody may send must neither panic nor be taken.
func FuzzAPushOfAnybody(f *testing.F) {
	f.Add("timestamp=1714112445&nonce=1&encrypt_type=aes&msg_signature=00", []byte(`{"Encrypt":"AAAA"}`))
	f.Add("timestamp=1714112445&nonce=1&signature=00", []byte(`<xml><List/></xml>`))
	f.Fuzz(func(t *testing.T, query string, body []byte) {
		o := openOffice(t, exampleKey)
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		o.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden || len(o.events()) != 0 {
			t.Errorf("got %d, %d events", w.Code, len(o.events()))
		}
	})
}

// What the platform itself might send must not panic, and an event handed on is whole.
func FuzzAPushOfThePlatform(f *testing.F) {
	f.Add([]byte(popup(1714112445, "oPERSON")))
	f.Add([]byte(`<xml><FromUserName>o1</FromUserName><CreateTime>1</CreateTime><MsgType>event</MsgType><Event>subscribe_msg_sent_event</Event>` +
		`<SubscribeMsgSentEvent><List><TemplateId>T</TemplateId><MsgID>1</MsgID></List></SubscribeMsgSentEvent></xml>`))
	f.Add([]byte(`{"FromUserName":"o1","CreateTime":1,"MsgType":"event","Event":"wxa_media_check","trace_id":"t","result":{"suggest":"pass"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		o := openOffice(t, "")
		status, _ := o.ask(http.MethodPost, signedAt(o.clock(), "n1"), string(body))
		if status != http.StatusOK && status != http.StatusForbidden {
			t.Errorf("got %d", status)
		}
		for _, e := range o.events() {
			if e.Kind == "" || e.OpenID == "" || len(e.Key) != 32 || e.At.IsZero() || e.TemplateID == "" && e.TraceID == "" {
				t.Errorf("got %+v", e)
			}
		}
	})
}
