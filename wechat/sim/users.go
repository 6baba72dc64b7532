package sim

import (
	"crypto/rand"
	"encoding/base64"
	"maps"
	"slices"
	"time"
)

const (
	codeLife         = 5 * time.Minute
	codeMemory       = time.Hour // a used code is told from an unknown one for so long
	loginsPerMinute  = 100
	loginCodeLength  = 32
	phoneCodeLength  = 64
	sessionKeyLength = 16 // bytes
)

// User is one person with a phone, as far as this mini-program sees them.
// All methods may be called at once from many goroutines.
type User struct {
	OpenID string
	Phone  string

	sim     *Sim
	unionID string

	// Below: guarded by sim.mu.
	seen      time.Time
	blocked   bool
	logins    usage
	switchOff bool
	consents  map[string]*consent
	messages  []Message
	sending   int
	lastPopup int64
}

type codeKind int

const (
	loginCode codeKind = iota + 1
	phoneCode
)

// code is a login or phone code: for five minutes, once.
type code struct {
	user   *User
	kind   codeKind
	appID  string
	issued time.Time
	used   bool
}

// NewUser makes a person who has this phone number; with "" an invented one.
// The platform knows nothing of them until they first open the mini-program,
// which LoginCode, PhoneCode, Touch and every answer to a dialog do.
func (s *Sim) NewUser(phone string) *User {
	if phone == "" {
		phone = "199" + randomString(digits, 8)
	}
	u := &User{
		OpenID:   "o" + randomString(urlSafe, 27),
		Phone:    phone,
		sim:      s,
		unionID:  "o" + randomString(urlSafe, 27),
		consents: map[string]*consent{},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[u.OpenID] = u
	s.order = append(s.order, u)
	return u
}

// User is the person with this openid, or nil.
func (s *Sim) User(openID string) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.users[openID]
}

// Users are all people, oldest first.
func (s *Sim) Users() []*User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.order)
}

// LoginCode is what wx.login gives.
func (u *User) LoginCode() string { return u.LoginCodeFor(u.sim.cfg.AppID) }

// LoginCodeFor is a login code that the person got in another mini-program.
func (u *User) LoginCodeFor(appID string) string {
	return u.newCode(loginCode, appID, randomString(alphanumeric, loginCodeLength))
}

// PhoneCode is what the button with open-type=getPhoneNumber gives.
func (u *User) PhoneCode() string {
	return u.newCode(phoneCode, u.sim.cfg.AppID, randomString(hexDigits, phoneCodeLength))
}

func (u *User) newCode(kind codeKind, appID, value string) string {
	now := u.sim.Now()
	u.sim.mu.Lock()
	defer u.sim.mu.Unlock()
	u.seen = now
	if len(u.sim.codes)%4096 == 4095 {
		maps.DeleteFunc(u.sim.codes, func(_ string, c *code) bool { return now.Sub(c.issued) > codeMemory })
	}
	u.sim.codes[value] = &code{user: u, kind: kind, appID: appID, issued: now}
	return value
}

// Touch is the person opening the mini-program: content checks in their name
// pass for two hours.
func (u *User) Touch() {
	now := u.sim.Now()
	u.sim.mu.Lock()
	defer u.sim.mu.Unlock()
	u.seen = now
}

// Block makes the platform distrust the person: their logins answer 40226.
func (u *User) Block(on bool) {
	u.sim.mu.Lock()
	defer u.sim.mu.Unlock()
	u.blocked = on
}

// redeem spends a code of the wanted kind.
func (s *Sim) redeem(value string, kind codeKind, now time.Time) (*User, *refusal) {
	c := s.codes[value]
	switch {
	case c == nil, c.appID != s.cfg.AppID, c.kind != kind:
		return nil, refuse(40029, "invalid code hint: [%s]", randomString(alphanumeric, 12))
	case c.used:
		return nil, refuse(40163, "code been used")
	case now.Sub(c.issued) > codeLife:
		return nil, refuse(40029, "invalid code, expired")
	}
	c.used = true
	return c.user, nil
}

type sessionAnswer struct {
	OpenID     string `json:"openid"`
	SessionKey string `json:"session_key"`
	UnionID    string `json:"unionid,omitempty"`
}

// session is GET sns/jscode2session: a login code becomes an openid.
func (s *Sim) session(c *call) (any, *refusal) {
	switch {
	case c.query.Get("appid") == "":
		return nil, refuse(41002, "appid missing")
	case c.query.Get("appid") != s.cfg.AppID:
		return nil, refuse(40013, "invalid appid")
	case c.query.Get("secret") == "":
		return nil, refuse(41004, "appsecret missing")
	case c.query.Get("secret") != s.cfg.AppSecret:
		return nil, refuse(40125, "invalid appsecret")
	case c.query.Get("js_code") == "":
		return nil, refuse(41008, "missing code")
	case c.query.Get("grant_type") != "authorization_code":
		return nil, refuse(40002, "invalid grant_type")
	}
	u, no := s.redeem(c.query.Get("js_code"), loginCode, c.now)
	if no != nil {
		return nil, no
	}
	if u.blocked {
		return nil, refuse(40226, "high risk user, code blocked")
	}
	if !u.logins.take(c.now, Limit{PerMinute: loginsPerMinute}) {
		return nil, refuse(45011, "api minute-quota reach limit mustslower retry next minute")
	}
	key := make([]byte, sessionKeyLength)
	_, _ = rand.Read(key) // never fails
	out := sessionAnswer{OpenID: u.OpenID, SessionKey: base64.StdEncoding.EncodeToString(key)}
	if s.cfg.UnionID {
		out.UnionID = u.unionID
	}
	return plainText{out}, nil
}

type phoneInput struct {
	Code   string `json:"code"`
	OpenID string `json:"openid"`
}

type phoneAnswer struct {
	done
	PhoneInfo phoneInfo `json:"phone_info"`
}

type phoneInfo struct {
	PhoneNumber     string    `json:"phoneNumber"`
	PurePhoneNumber string    `json:"purePhoneNumber"`
	CountryCode     any       `json:"countryCode"`
	Watermark       watermark `json:"watermark"`
}

type watermark struct {
	Timestamp int64  `json:"timestamp"`
	AppID     string `json:"appid"`
}

// phoneNumber is POST wxa/business/getuserphonenumber. The country code comes
// as a string and as a number in turn: the platform's documents show both.
func (s *Sim) phoneNumber(c *call, in *phoneInput) (any, *refusal) {
	if in.Code == "" {
		return nil, refuse(41008, "missing code")
	}
	if held := s.codes[in.Code]; in.OpenID != "" && held != nil && held.user.OpenID != in.OpenID {
		return nil, refuse(40003, "invalid openid")
	}
	u, no := s.redeem(in.Code, phoneCode, c.now)
	if no != nil {
		return nil, no
	}
	s.counters["phone numbers paid for"]++
	var country any = "86"
	if s.counters["phone numbers paid for"]%2 == 0 {
		country = 86
	}
	return phoneAnswer{ok, phoneInfo{
		PhoneNumber:     u.Phone,
		PurePhoneNumber: u.Phone,
		CountryCode:     country,
		Watermark:       watermark{c.now.Unix(), s.cfg.AppID},
	}}, nil
}
