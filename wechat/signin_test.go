package wechat_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dangri/wechat"
	"dangri/wechat/sim"
)

func TestALoginCodeGivesTheOpenIDOnceAndForFiveMinutes(t *testing.T) {
	platform, client := simulated(t, sim.Config{})
	user := platform.NewUser("13800000001")
	code := user.LoginCode()
	openID, err := client.SignIn(t.Context(), code)
	if err != nil || openID != user.OpenID {
		t.Fatalf("got %q, %v", openID, err)
	}
	_, err = client.SignIn(t.Context(), code)
	if e := wantKind(t, err, wechat.KindBadCode); e.Code != 40163 || e.RID == "" {
		t.Errorf("got %+v", e)
	}
	stale := user.LoginCode()
	platform.Advance(5*time.Minute + time.Second)
	_, err = client.SignIn(t.Context(), stale)
	if e := wantKind(t, err, wechat.KindBadCode); e.Code != 40029 {
		t.Errorf("got %+v", e)
	}
	user.Block(true)
	_, err = client.SignIn(t.Context(), user.LoginCode())
	wantKind(t, err, wechat.KindRisky)
}

func TestAPhoneCodeGivesThePureNumberAndALoginCodeDoesNot(t *testing.T) {
	platform, client := simulated(t, sim.Config{})
	user := platform.NewUser("13800000002")
	for range 2 { // the country code comes as a string and as a number in turn
		phone, err := client.PhoneNumber(t.Context(), user.PhoneCode())
		if err != nil || phone != "13800000002" {
			t.Fatalf("got %q, %v", phone, err)
		}
	}
	_, err := client.PhoneNumber(t.Context(), user.LoginCode())
	wantKind(t, err, wechat.KindBadCode)
}

func TestAPhoneNumberIsReadWhetherItIsAStringOrANumber(t *testing.T) {
	for _, body := range []string{
		`{"errcode":0,"errmsg":"ok","phone_info":{"phoneNumber":"+8613800000003","purePhoneNumber":"13800000003","countryCode":86}}`,
		`{"errcode":"0","phone_info":{"phoneNumber":13800000003,"purePhoneNumber":13800000003,"countryCode":"86"}}`,
	} {
		phone, err := connect(t, scripted(t, says(body)).URL).PhoneNumber(t.Context(), "code")
		if err != nil || phone != "13800000003" {
			t.Errorf("got %q, %v", phone, err)
		}
	}
}

func TestAMalformedCodeIsRefusedWithoutAskingThePlatform(t *testing.T) {
	var asked atomic.Int32
	server := scripted(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, `{"openid":"o1"}`)
	})
	client := connect(t, server.URL)
	for _, code := range []string{
		"", "x&appid=EVIL&secret=y", "a b", "a=b", "a%26", "a#b", "中", "a\n", "a/b", "a+b", strings.Repeat("a", 129),
	} {
		_, err := client.SignIn(t.Context(), code)
		wantKind(t, err, wechat.KindBadCode)
		if strings.Contains(err.Error(), "EVIL") {
			t.Errorf("the code is quoted: %v", err)
		}
		_, err = client.PhoneNumber(t.Context(), code)
		wantKind(t, err, wechat.KindBadCode)
	}
	if asked.Load() != 0 {
		t.Errorf("the platform was asked %d times", asked.Load())
	}
	if _, err := client.SignIn(t.Context(), "good-code_1"); err != nil || asked.Load() != 1 {
		t.Errorf("control: a good code is to be asked for: %v", err)
	}
}
