package wechat

import (
	"context"
	"regexp"
)

const (
	apiSignIn = "jscode2session"
	apiPhone  = "getuserphonenumber"
	pathPhone = "/wxa/business/getuserphonenumber"
)

var (
	// A code goes unescaped into the SDK's address: anything else could add
	// parameters to it.
	codePattern   = regexp.MustCompile(`^[0-9A-Za-z_-]{1,128}$`)
	openIDPattern = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)
	phonePattern  = regexp.MustCompile(`^[0-9]{5,20}$`)
)

// SignIn exchanges the code of wx.login, which works once and for 5 minutes, for
// the openid of the person. The session key stays here and is forgotten.
func (c *Client) SignIn(ctx context.Context, code string) (openID string, err error) {
	if !codePattern.MatchString(code) {
		return "", refuse(apiSignIn, KindBadCode, "code", "malformed code")
	}
	err = c.exchange(ctx, apiSignIn, KindBusy, func(ctx context.Context) error {
		session, err := c.auth.Code2SessionContext(ctx, code)
		switch {
		case session.ErrCode != 0:
			return c.refusal(apiSignIn, session.ErrCode, session.ErrMsg)
		case err != nil:
			return err
		case !openIDPattern.MatchString(session.OpenID):
			return errUnreadable
		}
		openID = session.OpenID
		return nil
	})
	return openID, err
}

// PhoneNumber exchanges the code of a getPhoneNumber button, which is not the
// sign-in code, for the number without its country code. Each success is paid for.
func (c *Client) PhoneNumber(ctx context.Context, code string) (phone string, err error) {
	if !codePattern.MatchString(code) {
		return "", refuse(apiPhone, KindBadCode, "code", "malformed code")
	}
	var reply struct {
		Phone struct {
			Pure text `json:"purePhoneNumber"`
		} `json:"phone_info"`
	}
	err = c.post(ctx, apiPhone, pathPhone, map[string]string{"code": code}, &reply)
	if err != nil {
		return "", err
	}
	if !phonePattern.MatchString(string(reply.Phone.Pure)) {
		return "", fault(apiPhone, KindBusy, errUnreadable)
	}
	return string(reply.Phone.Pure), nil
}
