package sim

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/silenceper/wechat/v2/cache"
	"github.com/silenceper/wechat/v2/miniprogram"
	"github.com/silenceper/wechat/v2/miniprogram/business"
	"github.com/silenceper/wechat/v2/miniprogram/config"
	"github.com/silenceper/wechat/v2/miniprogram/qrcode"
	"github.com/silenceper/wechat/v2/miniprogram/security"
	"github.com/silenceper/wechat/v2/miniprogram/subscribe"
	"github.com/silenceper/wechat/v2/miniprogram/urllink"
	"github.com/silenceper/wechat/v2/util"
)

// redirect sends what is meant for the platform to the simulator.
type redirect struct{ to *url.URL }

func (d redirect) RoundTrip(r *http.Request) (*http.Response, error) {
	c := r.Clone(r.Context())
	c.URL.Scheme, c.URL.Host, c.Host = d.to.Scheme, d.to.Host, ""
	return http.DefaultTransport.RoundTrip(c)
}

func TestTheCallsOfAnIndependentClientPass(t *testing.T) {
	b := newBench(t, Config{})
	to, err := url.Parse(b.url)
	if err != nil {
		t.Fatal(err)
	}
	before := util.DefaultHTTPClient
	util.DefaultHTTPClient = &http.Client{Transport: redirect{to}}
	t.Cleanup(func() { util.DefaultHTTPClient = before })
	u, id := b.NewUser("19900000003"), TemplateID(DutyReminder)

	for _, stable := range []bool{true, false} {
		mp := miniprogram.NewMiniProgram(&config.Config{
			AppID: DefaultAppID, AppSecret: DefaultAppSecret, Cache: cache.NewMemory(), UseStableAK: stable,
		})
		session, err := mp.GetAuth().Code2Session(u.LoginCode())
		if err != nil || session.OpenID != u.OpenID {
			t.Errorf("session %+v, %v", session, err)
		}
		phone, err := mp.GetBusiness().GetPhoneNumber(&business.GetPhoneNumberRequest{Code: u.PhoneCode()})
		if err != nil || phone.PurePhoneNumber != u.Phone {
			t.Errorf("phone %+v, %v", phone, err)
		}
		// The second country code is a number, which this client cannot read.
		if _, err := mp.GetBusiness().GetPhoneNumber(&business.GetPhoneNumberRequest{Code: u.PhoneCode()}); err == nil {
			t.Error("a numeric country code was read as a string")
		}
		u.Accept(id)
		msgID, err := mp.GetSubscribe().SendGetMsgID(&subscribe.Message{
			ToUser: u.OpenID, TemplateID: id, MiniprogramState: "formal", Lang: "zh_CN", Page: "pages/me/index",
			Data: map[string]*subscribe.DataItem{"thing1": {Value: "补签待审批"}, "number2": {Value: "3"}, "time3": {Value: "2026年5月20日 18:00"}},
		})
		if err != nil || msgID != u.Messages()[len(u.Messages())-1].ID {
			t.Errorf("msgid %d, %v", msgID, err)
		}
		if list, err := mp.GetSubscribe().ListTemplates(); err != nil || len(list.Data) != 6 {
			t.Errorf("templates %+v, %v", list, err)
		}
		image, err := mp.GetQRCode().GetWXACodeUnlimit(qrcode.QRCoder{Scene: "a7", Page: "pages/checkin/index"})
		if scanned, known := u.Scan(image); err != nil || !known || scanned.Scene != "a7" {
			t.Errorf("code %+v, %v", scanned, err)
		}
		if link, err := mp.GetURLLink().Generate(&urllink.ULParams{
			Path: "pages/index/index", ExpireType: urllink.ExpireTypeInterval, ExpireInterval: 7, IsExpire: true,
		}); err != nil || link == "" {
			t.Errorf("link %q, %v", link, err)
		}
		text, err := mp.GetSecurity().MsgCheck(&security.MsgCheckRequest{OpenID: u.OpenID, Scene: security.MsgSceneMaterial, Content: RiskyWord})
		if err != nil || text.Result.Suggest != security.CheckSuggestRisky {
			t.Errorf("text %+v, %v", text, err)
		}
		if trace, err := mp.GetSecurity().MediaCheckAsync(&security.MediaCheckAsyncRequest{
			MediaURL: "https://example.com/a.jpg", MediaType: 2, OpenID: u.OpenID, Scene: 1,
		}); err != nil || trace == "" {
			t.Errorf("media %q, %v", trace, err)
		}
	}
}
