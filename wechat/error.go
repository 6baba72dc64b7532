package wechat

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// The kinds of Error. They say what the caller can do about it, whatever the
// platform's number was.
const (
	KindToken          = "token"           // the access token is refused, even after one renewal
	KindBusy           = "busy"            // nothing was done; try again later, with backoff
	KindQuota          = "quota"           // the allowance is used up until the next minute or day
	KindNoSubscription = "no_subscription" // the person has not agreed, or took the agreement back
	KindBadRecipient   = "bad_recipient"   // unknown openid, or one not seen lately
	KindBadTemplate    = "bad_template"    // unknown template
	KindBadData        = "bad_data"        // a value is refused; Error.Field names it where known
	KindBadPage        = "bad_page"        // no such page in the released mini-program
	KindBanned         = "banned"          // the platform has withdrawn the capability
	KindBadCode        = "bad_code"        // a sign-in or phone code is malformed, used, or older than 5 minutes
	KindRisky          = "risky"           // the platform holds the person or the words for risky
	KindConfig         = "config"          // an operator must act: credentials, address list, permissions
	KindUnknownOutcome = "unknown_outcome" // sent, not answered: it may or may not have been done
)

// Error is every error of this package. It carries no secret, no token, no
// openid of ours and no address, so it may be logged as it is.
type Error struct {
	API     string // the platform's endpoint, e.g. "message/subscribe/send"
	Code    int64  // the platform's errcode; 0 when it did not answer or was not asked
	Message string
	RID     string // the platform's request id, which its support asks for
	Field   string // the refused value, e.g. "thing3", for KindBadData and KindBadPage
	kind    string
	cause   error
}

// Error names the endpoint, the code, the platform's words and its request id.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("wechat " + e.API + ": ")
	if e.Code != 0 {
		b.WriteString(strconv.FormatInt(e.Code, 10) + " ")
	}
	b.WriteString(e.Message)
	if e.RID != "" {
		b.WriteString(" (rid " + e.RID + ")")
	}
	return b.String()
}

// Kind is one of the Kind constants.
func (e *Error) Kind() string {
	if e.kind != "" {
		return e.kind
	}
	return kindOf(e.API, e.Code)
}

// Unwrap gives context.Canceled or context.DeadlineExceeded where one of them
// was the reason, and nothing else: other causes may quote an address.
func (e *Error) Unwrap() error { return e.cause }

func kindOf(api string, code int64) string {
	switch code {
	case 40001, 40014, 41001, 42001:
		if api == apiToken {
			return KindConfig // there 40001 means a wrong AppSecret
		}
		return KindToken
	case -1, 45011, 43108, 44990:
		return KindBusy
	case 45009, 48006, 44993:
		return KindQuota
	case 43101:
		return KindNoSubscription
	case 40003, 61010:
		return KindBadRecipient
	case 40037:
		return KindBadTemplate
	case 47003, 47001, 44002, 45002, 40129, 40169, 40097, 40212, 85401, 85402:
		return KindBadData
	case 41030, 40165:
		return KindBadPage
	case 43106, 43107, 43116:
		return KindBanned
	case 40029, 40163, 41008:
		return KindBadCode
	case 40226, 45168, 87014:
		return KindRisky
	}
	// A code nobody has met yet is for a person to look at, not for a retry.
	return KindConfig
}

var (
	ridPattern     = regexp.MustCompile(`\s*,?\s*rid: ?([0-9A-Za-z-]+)`)
	tokenPattern   = regexp.MustCompile(`[0-9A-Za-z_-]{64,}`)
	addressPattern = regexp.MustCompile(`\S*(://|access_token=|secret=|js_code=)\S*`)
	fieldPattern   = regexp.MustCompile(`data\.([a-z_]+[0-9]+)\.value`)
)

// refusal is the platform's own answer with a code.
func (c *Client) refusal(api string, code int64, message string) *Error {
	e := &Error{API: api, Code: code}
	if m := ridPattern.FindStringSubmatch(message); m != nil {
		e.RID = c.clean(m[1])
		message = strings.Replace(message, m[0], "", 1)
	}
	if m := fieldPattern.FindStringSubmatch(message); m != nil {
		e.Field = c.clean(m[1])
	}
	e.Message = c.clean(message)
	e.kind = kindOf(api, code)
	return e
}

// clean makes the platform's words fit for a log line, should it ever repeat what
// we sent.
func (c *Client) clean(s string) string {
	s = strings.ReplaceAll(s, c.appSecret, "***")
	s = addressPattern.ReplaceAllString(s, "***")
	s = tokenPattern.ReplaceAllString(s, "***")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200]) + "…"
	}
	return s
}

// refuse is a refusal made here, before anything was sent.
func refuse(api, kind, field, message string) *Error {
	return &Error{API: api, Message: message + ", not sent", Field: field, kind: kind}
}

// fault is a call that ended without an answer one can read.
func fault(api, kind string, err error) *Error {
	e := &Error{API: api, Message: describe(err), kind: kind}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			e.cause = known
		}
	}
	return e
}

// describe says what went wrong in the words of this function only. The text of
// a *url.Error holds the whole address, with the secret or the token in it.
func describe(err error) string {
	var status statusError
	var certificate *tls.CertificateVerificationError
	var syntax *json.SyntaxError
	var shape *json.UnmarshalTypeError
	var network *net.OpError
	switch {
	case errors.Is(err, context.Canceled):
		return "call cancelled"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &status):
		return status.Error()
	case errors.Is(err, errRoute):
		return errRoute.Error()
	case errors.Is(err, errAnswerTooLong):
		return errAnswerTooLong.Error()
	case errors.Is(err, errUnreadable):
		return errUnreadable.Error()
	case errors.As(err, &network) && network.Timeout():
		return fmt.Sprintf("network %s timed out", network.Op)
	case errors.As(err, &certificate):
		return "certificate not trusted"
	case errors.As(err, &syntax), errors.As(err, &shape):
		return errUnreadable.Error()
	case errors.As(err, &network):
		if cause := errors.Unwrap(network.Err); cause != nil {
			return fmt.Sprintf("network %s failed: %v", network.Op, cause)
		}
		return fmt.Sprintf("network %s failed", network.Op)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed before the answer was complete"
	}
	return "call failed"
}

type statusError int

func (s statusError) Error() string { return fmt.Sprintf("HTTP status %d", int(s)) }

var (
	errRoute         = errors.New("address not allowed")
	errAnswerTooLong = errors.New("answer too long")
	errUnreadable    = errors.New("answer not readable")
)
