package wechat

import (
	"context"
	"net/url"
	"strings"

	"github.com/silenceper/wechat/v2/miniprogram/security"
)

const (
	apiText   = "msg_sec_check"
	pathText  = "/wxa/msg_sec_check"
	apiMedia  = "media_check_async"
	pathMedia = "/wxa/media_check_async"

	contentVersion = 2
	mediaImage     = 2
	maxText        = 2500 // runes in one request
	textOverlap    = 50   // so that a word cut in two is still seen whole once
)

// The verdicts of the platform on what people write, from good to bad.
const (
	Pass   = "pass"
	Review = "review" // a person should look before it is shown
	Risky  = "risky"  // not to be shown
)

var badness = map[string]int{Pass: 1, Review: 2, Risky: 3}

// CheckText asks whether text, written by openID within two hours of being in
// the mini-program, may be shown to others. A text of more than 2500 signs is
// asked in pieces, each with its own deadline, and the worst verdict counts. An
// error is not a pass: do not publish.
func (c *Client) CheckText(ctx context.Context, openID, text string) (verdict string, err error) {
	if !openIDPattern.MatchString(openID) {
		return "", refuse(apiText, KindBadRecipient, "openid", "malformed openid")
	}
	verdict = Pass
	if strings.TrimSpace(text) == "" {
		return verdict, nil
	}
	for rest := []rune(text); ; rest = rest[maxText-textOverlap:] {
		one, err := c.checkPiece(ctx, openID, string(rest[:min(len(rest), maxText)]))
		if err != nil {
			return "", err
		}
		if badness[one] > badness[verdict] {
			verdict = one
		}
		if verdict == Risky || len(rest) <= maxText {
			return verdict, nil
		}
	}
}

func (c *Client) checkPiece(ctx context.Context, openID, text string) (string, error) {
	request := struct {
		Version int `json:"version"`
		security.MsgCheckRequest
	}{contentVersion, security.MsgCheckRequest{OpenID: openID, Scene: security.MsgSceneComment, Content: text}}
	var reply struct {
		Result struct {
			Suggest string `json:"suggest"`
		} `json:"result"`
	}
	if err := c.post(ctx, apiText, pathText, request, &reply); err != nil {
		return "", err
	}
	if badness[reply.Result.Suggest] == 0 {
		return "", fault(apiText, KindBusy, errUnreadable)
	}
	return reply.Result.Suggest, nil
}

// CheckMedia asks the platform to look at a picture at a public address of at
// most 10 MB. The verdict comes later, within 30 minutes, as an Event with the
// same trace id.
func (c *Client) CheckMedia(ctx context.Context, openID, mediaURL string) (traceID string, err error) {
	if !openIDPattern.MatchString(openID) {
		return "", refuse(apiMedia, KindBadRecipient, "openid", "malformed openid")
	}
	if u, err := url.Parse(mediaURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", refuse(apiMedia, KindBadData, "media_url", "not a web address")
	}
	request := struct {
		Version int `json:"version"`
		security.MediaCheckAsyncRequest
	}{contentVersion, security.MediaCheckAsyncRequest{
		MediaURL: mediaURL, MediaType: mediaImage, OpenID: openID, Scene: uint8(security.MsgSceneComment),
	}}
	var reply struct {
		TraceID string `json:"trace_id"`
	}
	if err := c.post(ctx, apiMedia, pathMedia, request, &reply); err != nil {
		return "", err
	}
	if reply.TraceID == "" {
		return "", fault(apiMedia, KindBusy, errUnreadable)
	}
	return reply.TraceID, nil
}
