package model

import "time"

// Refusals of signing in, sessions and binding.
var (
	ErrSignInAgain     = &Error{Kind: Unauthenticated, Code: "sign_in_again", Message: "登录已失效，请重新进入小程序"}
	ErrPaperLink       = &Error{Kind: Unauthenticated, Code: "paper_link", Message: "这个网址已失效或不完整，请在小程序里重新取一个"}
	ErrBadLoginCode    = &Error{Kind: Conflict, Code: "bad_login_code", Message: "微信登录已过期，请重新进入小程序"}
	ErrNotBound        = &Error{Kind: Forbidden, Code: "not_bound", Message: "请先验证手机号，确认您的党员身份"}
	ErrPhoneUnknown    = &Error{Kind: Conflict, Code: "phone_unknown", Message: "这个手机号不在党员名册中，请联系党支部书记登记"}
	ErrAlreadyBound    = &Error{Kind: Conflict, Code: "already_bound", Message: "您的微信已绑定另一位党员，请先由书记解除绑定"}
	ErrBadInvitation   = &Error{Kind: Conflict, Code: "bad_invitation", Message: "邀请码无效或已过期，请向书记要一个新的"}
	ErrBadPhoneCode    = &Error{Kind: Conflict, Code: "bad_phone_code", Message: "手机号验证已过期，请再点一次“验证手机号”"}
	ErrPlatformAway    = &Error{Kind: Unavailable, Code: "wechat_unavailable", Message: "微信服务暂时没有回应，请稍后再试", RetryAfter: 5 * time.Second}
	ErrRiskySignIn     = &Error{Kind: Forbidden, Code: "risky_sign_in", Message: "微信提示该账号存在风险，请联系党支部书记"}
	ErrTooManyAttempts = &Error{Kind: TooMany, Code: "too_many_attempts", Message: "输入错误次数太多，请一分钟后再试", RetryAfter: time.Minute}
)

// Account is one WeChat user of the mini-program. At most one account belongs
// to a member, and one member to an account.
type Account struct {
	ID        uint64
	OpenID    string `gorm:"column:openid"`
	MemberID  *uint64
	BoundAt   *time.Time
	CreatedAt time.Time
}

// Session is a sign-in. The token itself is known to the phone alone; the
// table keeps its SHA-256. ChangedAt moves when what the session may do
// changes: anything cached before that moment is void.
type Session struct {
	ID        uint64
	TokenHash string
	AccountID uint64
	CreatedAt time.Time
	SeenAt    time.Time
	ExpiresAt time.Time
	RevokedAt *time.Time
	ChangedAt *time.Time
}

// AliveAt says whether the session still opens doors at now: not revoked, used
// within idle, and younger than its absolute life.
func (s *Session) AliveAt(now time.Time, idle time.Duration) bool {
	return s.RevokedAt == nil && now.Before(s.SeenAt.Add(idle)) && now.Before(s.ExpiresAt)
}

// Invitation lets one person bind a WeChat account to one member, once. Only
// the SHA-256 of the code is kept.
type Invitation struct {
	ID        uint64
	MemberID  uint64
	CodeHash  string
	IssuedBy  uint64
	ExpiresAt time.Time
	UsedAt    *time.Time
	CreatedAt time.Time
}
