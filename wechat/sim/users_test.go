package sim

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestALoginCodeServesOnceWithinFiveMinutes(t *testing.T) {
	b := newBench(t, Config{})
	u := b.NewUser("")
	code := u.LoginCode()
	b.want("first", b.login(code), 0)
	b.want("second", b.login(code), 40163)

	late := u.LoginCode()
	b.Advance(5 * time.Minute)
	b.want("at five minutes", b.login(late), 0)
	late = u.LoginCode()
	b.Advance(5*time.Minute + time.Second)
	b.want("after five minutes", b.login(late), 40029)

	b.want("of another mini-program", b.login(u.LoginCodeFor("wx0000000000000000")), 40029)
	b.want("a phone code", b.login(u.PhoneCode()), 40029)
	b.want("invented", b.login("0a1b2c"), 40029)
	u.Block(true)
	b.want("blocked", b.login(u.LoginCode()), 40226)
}

func TestEachLoginHasItsOwnSessionKeyAndAUnionIDOnlyWhereBound(t *testing.T) {
	b := newBench(t, Config{UnionID: true})
	u := b.NewUser("")
	one, two := b.login(u.LoginCode()), b.login(u.LoginCode())
	if one.SessionKey == two.SessionKey || one.UnionID == "" || one.UnionID != two.UnionID {
		t.Errorf("logins answered %+v and %+v", one, two)
	}
	if !strings.HasPrefix(one.contentType, "text/plain") {
		t.Errorf("content type %q", one.contentType)
	}
}

func TestWhatSlipsIntoTheQueryIsRefused(t *testing.T) {
	b := newBench(t, Config{})
	u := b.NewUser("")
	good := url.Values{"appid": {DefaultAppID}, "secret": {DefaultAppSecret}, "grant_type": {"authorization_code"}}.Encode()
	login := func(rest string) result { return b.do(http.MethodGet, "sns/jscode2session?"+good+rest, "") }
	code := u.LoginCode()
	b.want("a second appid behind the code", login("&js_code="+code+"&appid=wx0000000000000000&secret=y"), 40097)
	b.want("an unknown parameter", login("&js_code="+code+"&debug=1"), 40097)
	b.want("no code", login(""), 41008)
	b.want("the code unspent by all that", login("&js_code="+code), 0)
	b.want("a wrong secret", b.do(http.MethodGet, "sns/jscode2session?appid="+DefaultAppID+"&secret=x&js_code=x&grant_type=authorization_code", ""), 40125)
	b.want("a wrong grant", b.do(http.MethodGet, "sns/jscode2session?appid="+DefaultAppID+"&secret="+DefaultAppSecret+"&js_code=x&grant_type=x", ""), 40002)
	b.want("another appid", b.do(http.MethodGet, "sns/jscode2session?appid=wx1&secret=x&js_code=x&grant_type=authorization_code", ""), 40013)
}

func TestAPersonLogsInAHundredTimesAMinute(t *testing.T) {
	b := newBench(t, Config{})
	u := b.NewUser("")
	for range 100 {
		b.want("login", b.login(u.LoginCode()), 0)
	}
	b.want("one more", b.login(u.LoginCode()), 45011)
	b.want("somebody else", b.login(b.NewUser("").LoginCode()), 0)
	b.Advance(time.Minute)
	b.want("a minute later", b.login(u.LoginCode()), 0)
}

func TestTheCountryCodeComesAsStringAndAsNumber(t *testing.T) {
	b := newBench(t, Config{})
	u := b.NewUser("19912345678")
	one := b.post("wxa/business/getuserphonenumber", map[string]any{"code": u.PhoneCode()})
	two := b.post("wxa/business/getuserphonenumber", map[string]any{"code": u.PhoneCode()})
	if !strings.Contains(string(one.body), `"countryCode":"86"`) || !strings.Contains(string(two.body), `"countryCode":86`) {
		t.Errorf("answers %s and %s", one.body, two.body)
	}
	if !strings.Contains(string(one.body), `"purePhoneNumber":"19912345678"`) {
		t.Errorf("answer %s", one.body)
	}
}

func TestACodeUsedByManyAtOnceServesOne(t *testing.T) {
	b := newBench(t, Config{})
	code := b.NewUser("").LoginCode()
	if won := race(50, func() bool { return b.login(code).Code == 0 }); won != 1 {
		t.Errorf("one code served %d logins", won)
	}
}
