package sim

import (
	"crypto/subtle"
	"net"
	"net/http"
	"slices"
	"time"
)

const (
	tokenLife    = 7200 * time.Second
	renewWithin  = 300 * time.Second // both tokens work for these last seconds
	forceSpacing = 30 * time.Second
	forcePerDay  = 20
)

// token is one access token. The two ways of getting one have a space each:
// what happens to the one never touches the other.
type token struct {
	value   string
	expires time.Time
	dies    time.Time // when a newer one replaced it; zero: it is the latest
}

// forcing remembers the forced refreshes of a day.
type forcing struct {
	day   int64
	count int
	last  time.Time
}

func (s *Sim) issue(now time.Time) *token {
	t := &token{value: "92_" + randomString(urlSafe, 167), expires: now.Add(tokenLife)}
	s.tokens[t.value] = t
	return t
}

// checkToken finds the call's access token good, or says which of the four
// ways it is bad.
func (s *Sim) checkToken(c *call) *refusal {
	value := c.query.Get("access_token")
	if value == "" {
		return refuse(41001, "access_token missing")
	}
	t := s.tokens[value]
	switch {
	case t == nil:
		return refuse(40014, "invalid access_token")
	case !t.dies.IsZero() && !c.now.Before(t.dies):
		return refuse(40001, "invalid credential, access_token is invalid or not latest")
	case !c.now.Before(t.expires):
		return refuse(42001, "access_token expired")
	}
	return nil
}

// checkCredentials is what both token endpoints check first.
func (s *Sim) checkCredentials(c *call, grant, appID, secret string) *refusal {
	switch {
	case grant != "client_credential":
		return refuse(40002, "invalid grant_type")
	case appID == "":
		return refuse(41002, "appid missing")
	case appID != s.cfg.AppID:
		return refuse(40013, "invalid appid")
	case secret == "":
		return refuse(41004, "appsecret missing")
	case subtle.ConstantTimeCompare([]byte(secret), []byte(s.cfg.AppSecret)) == 0:
		return refuse(40125, "invalid appsecret")
	}
	if host, _, err := net.SplitHostPort(c.remote); err == nil && s.cfg.AllowedIPs != nil && !slices.Contains(s.cfg.AllowedIPs, host) {
		return refuse(40164, "invalid ip %s ipv6 ::ffff:%s, not in whitelist", host, host)
	}
	return nil
}

type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int    `json:"expires_in"`
}

// plainToken is GET cgi-bin/token: each call makes a new token, and the one
// before it dies.
func (s *Sim) plainToken(c *call) (any, *refusal) {
	if no := s.checkCredentials(c, c.query.Get("grant_type"), c.query.Get("appid"), c.query.Get("secret")); no != nil {
		return nil, no
	}
	if old := s.plain; old != nil {
		old.dies = c.now.Add(5 * time.Minute)
		if s.cfg.TokenDiesAtOnce {
			old.dies = c.now
		}
	}
	s.plain = s.issue(c.now)
	return tokenAnswer{s.plain.value, int(tokenLife / time.Second)}, nil
}

type stableTokenInput struct {
	GrantType    string `json:"grant_type"`
	AppID        string `json:"appid"`
	Secret       string `json:"secret"`
	ForceRefresh bool   `json:"force_refresh"`
}

// stableToken is POST cgi-bin/stable_token: the same token while it lives,
// with the rest of its life.
func (s *Sim) stableToken(c *call, in *stableTokenInput) (any, *refusal) {
	if no := s.checkCredentials(c, in.GrantType, in.AppID, in.Secret); no != nil {
		return nil, no
	}
	if in.ForceRefresh {
		if no := s.forceRefresh(c.now); no != nil {
			return nil, no
		}
	}
	if s.stable == nil || s.stable.expires.Sub(c.now) < renewWithin {
		s.stable = s.issue(c.now)
	}
	return tokenAnswer{s.stable.value, int(s.stable.expires.Sub(c.now) / time.Second)}, nil
}

// forceRefresh replaces the stable token; the old one dies at once. Within 30
// seconds of the last time nothing changes.
func (s *Sim) forceRefresh(now time.Time) *refusal {
	if day := dayOf(now); s.forced.day != day {
		s.forced.day, s.forced.count = day, 0
	}
	if s.forced.count >= forcePerDay {
		return refuse(45009, "reach max api daily quota limit")
	}
	if now.Sub(s.forced.last) < forceSpacing {
		return nil
	}
	s.forced.count++
	s.forced.last = now
	s.replaceStable(now)
	return nil
}

func (s *Sim) replaceStable(now time.Time) {
	if s.stable != nil {
		s.stable.dies = now
	}
	s.stable = s.issue(now)
}

// RefreshToken is another team's forced refresh of the same account: every
// stable token handed out before is dead from now on.
func (s *Sim) RefreshToken() {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replaceStable(now)
}

func (s *Sim) tokenEndpoints(into map[string]*endpoint) {
	into["cgi-bin/token"] = got(Limit{PerDay: 2000}, false, []string{"grant_type", "appid", "secret"}, s.plainToken)
	stable := posted(Limit{PerMinute: 10_000, PerDay: 500_000}, s.stableToken)
	stable.token = false
	into["cgi-bin/stable_token"] = stable
	into["sns/jscode2session"] = got(Limit{}, false, []string{"grant_type", "appid", "secret", "js_code"}, s.session)
	into["wxa/business/getuserphonenumber"] = posted(Limit{}, s.phoneNumber)
}

// platform is the table of all endpoints.
func (s *Sim) platform() map[string]*endpoint {
	all := map[string]*endpoint{}
	s.tokenEndpoints(all)
	s.subscribeEndpoints(all)
	s.codeEndpoints(all)
	s.contentEndpoints(all)
	s.quotaEndpoints(all)
	for path, limit := range s.cfg.Limits {
		if e := all[path]; e != nil {
			e.limit = limit
		}
	}
	return all
}

var _ http.Handler = (*Sim)(nil)
