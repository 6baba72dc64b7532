package sim

import (
	"net/http"
	"testing"
	"time"
)

const quotaPath = "cgi-bin/openapi/quota/get"

func (b *bench) use(token string) result {
	b.t.Helper()
	return b.do(http.MethodPost, quotaPath+"?access_token="+token, `{"cgi_path":"/cgi-bin/clear_quota"}`)
}

func (b *bench) stableToken(force bool) result {
	b.t.Helper()
	return b.do(http.MethodPost, "cgi-bin/stable_token", b.credentials(force))
}

func (b *bench) plainToken() result {
	b.t.Helper()
	return b.do(http.MethodGet, "cgi-bin/token?grant_type=client_credential&appid="+DefaultAppID+"&secret="+DefaultAppSecret, "")
}

func TestTheStableTokenStaysTheSameUntilItsLastFiveMinutes(t *testing.T) {
	b := newBench(t, Config{})
	first := b.stableToken(false)
	if len(first.AccessToken) < 150 || first.ExpiresIn != 7200 {
		t.Fatalf("first token %+v", first)
	}
	b.Advance(6855 * time.Second)
	again := b.stableToken(false)
	if again.AccessToken != first.AccessToken || again.ExpiresIn != 345 {
		t.Errorf("with 345 s left: same %v, %d s", again.AccessToken == first.AccessToken, again.ExpiresIn)
	}
	b.Advance(46 * time.Second)
	renewed := b.stableToken(false)
	if renewed.AccessToken == first.AccessToken || renewed.ExpiresIn != 7200 {
		t.Errorf("with 299 s left the token was not renewed")
	}
	b.want("the old one in its last minutes", b.use(first.AccessToken), 0)
	b.want("the new one", b.use(renewed.AccessToken), 0)
	b.Advance(299 * time.Second)
	b.want("the old one after its end", b.use(first.AccessToken), 42001)
	b.want("the new one then", b.use(renewed.AccessToken), 0)
}

func TestAForcedRefreshKillsTheOldTokenAtOnceButNotTooOften(t *testing.T) {
	b := newBench(t, Config{})
	first := b.stableToken(false).AccessToken
	second := b.stableToken(true).AccessToken
	b.want("the old one", b.use(first), 40001)
	b.want("the new one", b.use(second), 0)
	if third := b.stableToken(true).AccessToken; third != second {
		t.Error("a forced refresh within 30 s changed the token")
	}
	for range 19 {
		b.Advance(30 * time.Second)
		b.want("forced", b.stableToken(true), 0)
	}
	b.Advance(30 * time.Second)
	b.want("the 21st of the day", b.stableToken(true), 45009)
	b.want("unforced", b.stableToken(false), 0)
	b.Advance(24 * time.Hour)
	b.want("the next day", b.stableToken(true), 0)
}

func TestAnotherTeamsRefreshKillsOurToken(t *testing.T) {
	b := newBench(t, Config{})
	ours := b.token()
	b.RefreshToken()
	b.want("ours", b.use(ours), 40001)
	b.want("asked anew", b.use(b.token()), 0)
}

func TestAPlainTokenReplacesTheOneBefore(t *testing.T) {
	b := newBench(t, Config{})
	stable := b.token()
	first, second := b.plainToken().AccessToken, b.plainToken().AccessToken
	b.want("the old one for five minutes", b.use(first), 0)
	b.Advance(5 * time.Minute)
	b.want("the old one then", b.use(first), 40001)
	b.want("the latest", b.use(second), 0)
	b.want("the stable one, which is apart", b.use(stable), 0)

	strict := newBench(t, Config{TokenDiesAtOnce: true})
	first = strict.plainToken().AccessToken
	strict.plainToken()
	strict.want("the old one, strictly", strict.use(first), 40001)
}

func TestTokensAreRefusedToWhoeverHasNoRight(t *testing.T) {
	b := newBench(t, Config{})
	ask := func(grant, appID, secret string) result {
		return b.do(http.MethodPost, "cgi-bin/stable_token", toJSON(map[string]any{"grant_type": grant, "appid": appID, "secret": secret}))
	}
	b.want("grant", ask("password", DefaultAppID, DefaultAppSecret), 40002)
	b.want("no appid", ask("client_credential", "", DefaultAppSecret), 41002)
	b.want("appid", ask("client_credential", "wx0", DefaultAppSecret), 40013)
	b.want("no secret", ask("client_credential", DefaultAppID, ""), 41004)
	b.want("secret", ask("client_credential", DefaultAppID, "x"), 40125)
	b.want("by GET", b.do(http.MethodGet, "cgi-bin/stable_token", ""), 43002)

	closed := newBench(t, Config{AllowedIPs: []string{"192.0.2.1"}})
	closed.want("from elsewhere", closed.stableToken(false), 40164)
}

func TestAskingForTheStableTokenAtOnceGivesOneToken(t *testing.T) {
	b := newBench(t, Config{})
	seen := make(chan string, 50)
	race(50, func() bool { seen <- b.token(); return true })
	first := <-seen
	for range 49 {
		if next := <-seen; next != first {
			t.Fatal("two stable tokens at the same time")
		}
	}
}

func TestLimitsCountByMinuteAndDayAndAreClearedTenTimesAMonth(t *testing.T) {
	b := newBench(t, Config{Limits: map[string]Limit{"wxa/msg_sec_check": {PerMinute: 2, PerDay: 3}}})
	u := b.NewUser("")
	u.Touch()
	check := func() result {
		return b.post("wxa/msg_sec_check", map[string]any{"version": 2, "openid": u.OpenID, "scene": 1, "content": "好"})
	}
	b.want("first", check(), 0)
	b.want("second", check(), 0)
	b.want("third in the minute", check(), 45009)
	b.Advance(time.Minute)
	b.want("a minute later", check(), 0)
	b.Advance(time.Minute)
	b.want("fourth of the day", check(), 45009)
	left := b.post(quotaPath, map[string]any{"cgi_path": "/wxa/msg_sec_check"})
	if want := `"quota":{"daily_limit":3,"used":3,"remain":0}`; !contains(left.body, want) {
		t.Errorf("quota answered %s", left.body)
	}
	reset := func() result { return b.post("cgi-bin/clear_quota", map[string]any{"appid": DefaultAppID}) }
	for range 10 {
		b.want("clearing", reset(), 0)
	}
	b.want("the eleventh", reset(), 48006)
	b.want("after clearing", check(), 0)
	b.Advance(32 * 24 * time.Hour)
	b.want("next month", reset(), 0)
}
