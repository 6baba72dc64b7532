package wechat

import (
	"context"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/silenceper/wechat/v2/miniprogram/subscribe"
)

const (
	apiSend      = "message/subscribe/send"
	pathSend     = "/cgi-bin/message/subscribe/send"
	apiTemplates = "gettemplate"
	pathTemplate = "/wxaapi/newtmpl/gettemplate"
	apiQuota     = "openapi/quota/get"
	pathQuota    = "/cgi-bin/openapi/quota/get"

	longTerm = 3 // the platform's number for a long-term template
)

// Message is one subscription message to one person.
type Message struct {
	OpenID     string
	TemplateID string
	Page       string            // opened by a tap, may carry a query; "" opens nothing
	Data       map[string]string // every keyword of the template, e.g. "thing1"
}

var (
	templatePattern = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)
	keywordPattern  = regexp.MustCompile(`^[a-z_]+[0-9]+$`)
)

// Send delivers a message and spends one agreement of the person. The id it
// returns comes back in the Event that reports the delivery. It is tried once:
// after KindUnknownOutcome only that Event tells whether the message went out.
func (c *Client) Send(ctx context.Context, m Message) (msgID string, err error) {
	if err := m.check(); err != nil {
		return "", err
	}
	data := make(map[string]*subscribe.DataItem, len(m.Data))
	for key, value := range m.Data {
		data[key] = &subscribe.DataItem{Value: value}
	}
	var reply struct {
		ErrCode *text `json:"errcode"`
		MsgID   text  `json:"msgid"`
	}
	err = c.postOnce(ctx, apiSend, pathSend, KindUnknownOutcome, &subscribe.Message{
		ToUser: m.OpenID, TemplateID: m.TemplateID, Page: m.Page, Data: data,
		MiniprogramState: c.state, Lang: "zh_CN",
	}, &reply)
	if err != nil {
		return "", err
	}
	if reply.ErrCode == nil && reply.MsgID == "" {
		return "", fault(apiSend, KindUnknownOutcome, errUnreadable)
	}
	return string(reply.MsgID), nil
}

// Deliver is Send for a caller that knows no types of this package.
func (c *Client) Deliver(ctx context.Context, openID, templateID, page string, data map[string]string) (msgID string, err error) {
	return c.Send(ctx, Message{OpenID: openID, TemplateID: templateID, Page: page, Data: data})
}

func (m Message) check() error {
	if !openIDPattern.MatchString(m.OpenID) {
		return refuse(apiSend, KindBadRecipient, "openid", "malformed openid")
	}
	if !templatePattern.MatchString(m.TemplateID) {
		return refuse(apiSend, KindBadTemplate, "template_id", "malformed template id")
	}
	if strings.HasPrefix(m.Page, "/") || strings.Contains(m.Page, "://") {
		return refuse(apiSend, KindBadPage, "page", "a page is a path of the mini-program without a leading slash")
	}
	if len(m.Data) == 0 {
		return refuse(apiSend, KindBadData, "data", "no keywords")
	}
	for key, value := range m.Data {
		if !keywordPattern.MatchString(key) {
			return refuse(apiSend, KindBadData, "data", "malformed keyword")
		}
		if strings.TrimSpace(value) == "" || strings.ContainsFunc(value, unicode.IsControl) {
			return refuse(apiSend, KindBadData, key, "empty value or control character")
		}
	}
	return nil
}

// Template is a message template of the account.
type Template struct {
	ID       string
	Title    string
	Example  string
	LongTerm bool // sends any number of messages for one agreement
	Keywords []Keyword
}

// Keyword is a blank of a template.
type Keyword struct {
	Key    string   // type and index, e.g. "thing1"
	Label  string   // what the reader sees before the value
	Values []string // the only values allowed, for a keyword of type enum
}

var blankPattern = regexp.MustCompile(`([^\n]*?)\s*[:：]?\s*\{\{\s*([a-z_]+[0-9]+)\.DATA\s*\}\}`)

// Templates lists the account's message templates.
func (c *Client) Templates(ctx context.Context) ([]Template, error) {
	var reply struct {
		ErrCode *text `json:"errcode"`
		Data    []struct {
			ID      string `json:"priTmplId"`
			Title   string `json:"title"`
			Content string `json:"content"`
			Example string `json:"example"`
			Type    text   `json:"type"`
			Enums   []struct {
				Values []string `json:"enumValueList"`
				Key    string   `json:"keywordCode"`
			} `json:"keywordEnumValueList"`
		} `json:"data"`
	}
	if err := c.get(ctx, apiTemplates, pathTemplate, &reply); err != nil {
		return nil, err
	}
	if reply.ErrCode == nil && reply.Data == nil {
		return nil, fault(apiTemplates, KindBusy, errUnreadable)
	}
	templates := make([]Template, 0, len(reply.Data))
	for _, d := range reply.Data {
		t := Template{ID: d.ID, Title: d.Title, Example: d.Example, LongTerm: d.Type == text(strconv.Itoa(longTerm))}
		for _, m := range blankPattern.FindAllStringSubmatch(d.Content, -1) {
			k := Keyword{Key: m[2], Label: strings.TrimSpace(m[1])}
			for _, e := range d.Enums {
				if strings.TrimSuffix(e.Key, ".DATA") == k.Key {
					k.Values = e.Values
				}
			}
			t.Keywords = append(t.Keywords, k)
		}
		templates = append(templates, t)
	}
	return templates, nil
}

// Quota is the day's allowance for one endpoint, in calls.
type Quota struct {
	Limit, Used, Remaining int64
}

// Quota reports the allowance of an endpoint given by its path, for example
// "/cgi-bin/message/subscribe/send".
func (c *Client) Quota(ctx context.Context, path string) (Quota, error) {
	if u, err := url.Parse(path); err != nil || !strings.HasPrefix(path, "/") || u.RawQuery != "" || u.Host != "" {
		return Quota{}, refuse(apiQuota, KindBadData, "cgi_path", "not a path")
	}
	var reply struct {
		Quota struct {
			Limit     text `json:"daily_limit"`
			Used      text `json:"used"`
			Remaining text `json:"remain"`
		} `json:"quota"`
	}
	if err := c.post(ctx, apiQuota, pathQuota, map[string]string{"cgi_path": path}, &reply); err != nil {
		return Quota{}, err
	}
	var q Quota
	for _, n := range []struct {
		from text
		to   *int64
	}{{reply.Quota.Limit, &q.Limit}, {reply.Quota.Used, &q.Used}, {reply.Quota.Remaining, &q.Remaining}} {
		v, err := strconv.ParseInt(string(n.from), 10, 64)
		if err != nil {
			return Quota{}, fault(apiQuota, KindBusy, errUnreadable)
		}
		*n.to = v
	}
	return q, nil
}
