package wechat

import (
	"bytes"
	"context"
	"image"
	_ "image/jpeg" // the forms that the platform
	_ "image/png"  // draws codes in
	"net/url"
	"regexp"
	"strings"

	"github.com/silenceper/wechat/v2/miniprogram/qrcode"
	"github.com/silenceper/wechat/v2/miniprogram/urllink"
)

const (
	apiCode  = "getwxacodeunlimit"
	pathCode = "/wxa/getwxacodeunlimit"
	apiLink  = "generate_urllink"
	pathLink = "/wxa/generate_urllink"

	minCodeWidth, maxCodeWidth = 280, 1280
	maxLinkDays                = 30
	maxLinkQuery               = 1024
)

// CodeRequest asks for a mini-program code.
type CodeRequest struct {
	Scene string // what the page is told when scanned: 1 to 32 of 0-9 A-Z a-z - _ . ~
	Page  string // without leading slash or query; "" is the first page
	Width int    // 280 to 1280 pixels; 0 is the platform's 430
}

var (
	// The platform allows more signs, but phones have cut a scene at some of them.
	scenePattern = regexp.MustCompile(`^[0-9A-Za-z._~-]{1,32}$`)
	queryPattern = regexp.MustCompile(`^[0-9A-Za-z!#$&'()*+,/:;=?@._~%-]*$`)
)

// MiniProgramCode returns the picture of a code that opens a page with a scene.
// Such a code works for ever: whoever reads the scene must let it expire.
func (c *Client) MiniProgramCode(ctx context.Context, r CodeRequest) (picture []byte, mime string, err error) {
	if !scenePattern.MatchString(r.Scene) {
		return nil, "", refuse(apiCode, KindBadData, "scene", "a scene is 1 to 32 of 0-9 A-Z a-z - _ . ~")
	}
	if strings.HasPrefix(r.Page, "/") || strings.ContainsAny(r.Page, "?#") {
		return nil, "", refuse(apiCode, KindBadPage, "page", "a page has neither leading slash nor query")
	}
	if r.Width != 0 && (r.Width < minCodeWidth || r.Width > maxCodeWidth) {
		return nil, "", refuse(apiCode, KindBadData, "width", "a width is 280 to 1280")
	}
	released := c.env == "release" // other versions may have pages the released one lacks
	err = c.post(ctx, apiCode, pathCode, qrcode.QRCoder{
		Scene: r.Scene, Page: r.Page, Width: r.Width, EnvVersion: c.env, CheckPath: &released,
	}, &picture)
	if err != nil {
		return nil, "", err
	}
	// The bytes tell what they are, whatever their declared type, and whether all arrived.
	_, format, err := image.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, "", fault(apiCode, KindBusy, errUnreadable)
	}
	return picture, "image/" + format, nil
}

// URLLink returns a link that opens a page from outside WeChat, for 1 to 30 days.
func (c *Client) URLLink(ctx context.Context, path, query string, expireDays int) (string, error) {
	if strings.ContainsAny(path, "?#") {
		return "", refuse(apiLink, KindBadPage, "path", "a path has no query")
	}
	if len(query) > maxLinkQuery || !queryPattern.MatchString(query) {
		return "", refuse(apiLink, KindBadData, "query", "a query is at most 1024 signs, escaped")
	}
	if expireDays < 1 || expireDays > maxLinkDays {
		return "", refuse(apiLink, KindBadData, "expire_interval", "a link lives 1 to 30 days")
	}
	var reply struct {
		Link string `json:"url_link"`
	}
	err := c.post(ctx, apiLink, pathLink, urllink.ULParams{
		Path: path, Query: query, EnvVersion: c.env,
		IsExpire: true, ExpireType: urllink.ExpireTypeInterval, ExpireInterval: expireDays,
	}, &reply)
	if err != nil {
		return "", err
	}
	if u, err := url.Parse(reply.Link); err != nil || u.Host == "" {
		return "", fault(apiLink, KindBusy, errUnreadable)
	}
	return reply.Link, nil
}
