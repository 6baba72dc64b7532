package sim

import (
	"strings"
	"time"
)

// Limit is how often an endpoint may be called; 0 is without limit.
type Limit struct {
	PerMinute int
	PerDay    int
}

// clearsPerMonth is how often all counts may be set back.
const clearsPerMonth = 10

// china is the zone in which the platform's days begin.
var china = time.FixedZone("CST", 8*60*60)

func dayOf(t time.Time) int64 {
	_, offset := t.In(china).Zone()
	return (t.Unix() + int64(offset)) / 86400
}

// usage counts calls in the current minute and day.
type usage struct {
	minute, day     int64
	inMinute, inDay int
}

func (u *usage) roll(now time.Time) {
	if m := now.Unix() / 60; u.minute != m {
		u.minute, u.inMinute = m, 0
	}
	if d := dayOf(now); u.day != d {
		u.day, u.inDay = d, 0
	}
}

// take counts one call; false means that a limit is reached.
func (u *usage) take(now time.Time, limit Limit) bool {
	u.roll(now)
	if limit.PerMinute > 0 && u.inMinute >= limit.PerMinute || limit.PerDay > 0 && u.inDay >= limit.PerDay {
		return false
	}
	u.inMinute++
	u.inDay++
	return true
}

// use counts the call against its endpoint's limit.
func (s *Sim) use(c *call, limit Limit) *refusal {
	u := s.usage[c.path]
	if u == nil {
		u = &usage{}
		s.usage[c.path] = u
	}
	if !u.take(c.now, limit) {
		return refuse(45009, "reach max api daily quota limit")
	}
	return nil
}

// monthly counts the clearings of a month.
type monthly struct {
	month string
	count int
}

func (s *Sim) quotaEndpoints(into map[string]*endpoint) {
	into["cgi-bin/openapi/quota/get"] = posted(Limit{}, s.quota)
	into["cgi-bin/clear_quota"] = posted(Limit{}, s.clearQuota)
}

type quotaInput struct {
	CGIPath string `json:"cgi_path"`
}

type quotaAnswer struct {
	done
	Quota quotaLeft `json:"quota"`
}

type quotaLeft struct {
	DailyLimit int `json:"daily_limit"`
	Used       int `json:"used"`
	Remain     int `json:"remain"`
}

func (s *Sim) quota(c *call, in *quotaInput) (any, *refusal) {
	path, rooted := strings.CutPrefix(in.CGIPath, "/")
	e := s.endpoints[path]
	switch {
	case !rooted || e == nil:
		return nil, refuse(76021, "cgi_path not found, please check")
	case !e.token && e.method == "GET":
		return nil, refuse(76022, "could not use this cgi_path, no permission")
	}
	used := 0
	if u := s.usage[path]; u != nil {
		u.roll(c.now)
		used = u.inDay
	}
	return quotaAnswer{ok, quotaLeft{e.limit.PerDay, used, max(0, e.limit.PerDay-used)}}, nil
}

type clearQuotaInput struct {
	AppID string `json:"appid"`
}

func (s *Sim) clearQuota(c *call, in *clearQuotaInput) (any, *refusal) {
	if in.AppID != s.cfg.AppID {
		return nil, refuse(40013, "invalid appid")
	}
	if month := c.now.In(china).Format("2006-01"); s.clears.month != month {
		s.clears = monthly{month: month}
	}
	if s.clears.count >= clearsPerMonth {
		return nil, refuse(48006, "forbid to clear quota because of reaching the limit")
	}
	s.clears.count++
	clear(s.usage)
	return ok, nil
}
