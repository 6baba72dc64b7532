package wechat

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/silenceper/wechat/v2/util"
)

const (
	maxPush     = 64 << 10
	pushWindow  = 5 * time.Minute // how far a push's timestamp may be from our clock
	pushTimeout = 4 * time.Second // the platform waits 5 s, then sends the push again
)

// The kinds of Event.
const (
	EventPopup  = "popup"  // the person answered the question whether messages may be sent
	EventChange = "change" // the person withdrew an agreement in the settings
	EventSent   = "sent"   // a message was delivered, or could not be
	EventMedia  = "media"  // the verdict on a picture
)

// Event is one thing the platform reports. The first four fields are always set.
type Event struct {
	Kind   string
	Key    string // the same for every copy of this event: 32 characters, for a unique column
	OpenID string // who it is about
	At     time.Time

	TemplateID string // popup, change, sent
	Status     string // popup: accept, reject, …; change: reject
	PopupScene string // popup: where it was asked; "0" is a page of the mini-program

	MsgID     string // sent: what Send returned
	ErrorCode int64  // sent, media: 0 is success
	ErrorText string // sent

	TraceID string // media: what CheckMedia returned
	Verdict string // media: Pass, Review or Risky
	Label   string // media: the platform's number of what it saw; "100" is nothing
}

// PushConfig says how the platform signs its pushes and who takes the events.
type PushConfig struct {
	AppID string
	Token string

	// EncodingAESKey, 43 characters, turns on the safe mode. With it a push that
	// is not encrypted is refused.
	EncodingAESKey string

	Now func() time.Time

	// Seen remembers a key for at least ten minutes and tells whether it was
	// known before. Forget takes a key back, so that a push that could not be
	// handled is not taken for a duplicate when it comes again.
	Seen   func(ctx context.Context, key string) (bool, error)
	Forget func(ctx context.Context, key string) error

	// Receive takes the events of one push, none of them seen before, and has
	// four seconds. After an error the platform sends them again, three times in
	// all; a crash between Seen and Receive loses them, so they are reports to
	// learn from and not commands that must arrive.
	Receive func(ctx context.Context, events []Event) error

	Log *slog.Logger
}

// Push is the HTTP endpoint the platform calls. What is not proven to come from
// the platform is answered 403 and leaves no trace but a log line.
type Push struct{ cfg PushConfig }

// NewPush makes the endpoint, or refuses a setting with KindConfig.
func NewPush(cfg PushConfig) (*Push, error) {
	wrong := func(field, message string) (*Push, error) {
		return nil, &Error{API: "push", Field: field, Message: field + " " + message, kind: KindConfig}
	}
	if !credential.MatchString(cfg.AppID) {
		return wrong("AppID", "is missing or malformed")
	}
	if cfg.Token == "" {
		return wrong("Token", "is missing")
	}
	if cfg.EncodingAESKey != "" {
		if key, err := base64.StdEncoding.DecodeString(cfg.EncodingAESKey + "="); err != nil || len(key) != 32 {
			return wrong("EncodingAESKey", "is not 43 characters of base64")
		}
	}
	if cfg.Now == nil || cfg.Seen == nil || cfg.Forget == nil || cfg.Receive == nil {
		return wrong("Now, Seen, Forget, Receive", "must all be set")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Push{cfg}, nil
}

// ServeHTTP answers the platform's verification (GET) and its pushes (POST).
func (p *Push) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch r.Method {
	case http.MethodGet:
		p.verify(w, r)
	case http.MethodPost:
		p.accept(w, r)
	default:
		w.Header().Set("Allow", "GET, POST")
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func (p *Push) verify(w http.ResponseWriter, r *http.Request) {
	query, err := p.fresh(r)
	if err == nil && !p.signed(query, "signature") {
		err = errSignature
	}
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	_, _ = io.WriteString(w, query.Get("echostr"))
}

func (p *Push) accept(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), pushTimeout)
	defer cancel()
	query, err := p.fresh(r)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	message, err := p.open(query, http.MaxBytesReader(w, r.Body, maxPush))
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	events, err := message.events(p.cfg.AppID)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	once := digest("nonce", query.Get("timestamp"), query.Get("nonce"))
	switch seen, err := p.cfg.Seen(ctx, once); {
	case err != nil:
		p.fail(w, r, err)
		return
	case seen:
		p.refuse(w, r, errNonce)
		return
	}
	if err := p.deliver(ctx, events); err != nil {
		p.forget(ctx, once)
		p.fail(w, r, err)
		return
	}
	_, _ = io.WriteString(w, "success")
}

// deliver hands on the events that were not seen before. If that fails they are
// forgotten again, for the platform's next try.
func (p *Push) deliver(ctx context.Context, events []Event) error {
	var fresh []Event
	undo := func() {
		for _, e := range fresh {
			p.forget(ctx, e.Key)
		}
	}
	for _, e := range events {
		seen, err := p.cfg.Seen(ctx, e.Key)
		if err != nil {
			undo()
			return err
		}
		if !seen {
			fresh = append(fresh, e)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	err := p.cfg.Receive(ctx, fresh)
	if err != nil {
		undo()
	}
	return err
}

func (p *Push) forget(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisTimeout)
	defer cancel()
	if err := p.cfg.Forget(ctx, key); err != nil {
		p.cfg.Log.WarnContext(ctx, "wechat push: could not forget, the next try may be dropped", "error", err)
	}
}

func (p *Push) refuse(w http.ResponseWriter, r *http.Request, reason error) {
	p.cfg.Log.WarnContext(r.Context(), "wechat push refused", "reason", reason)
	w.WriteHeader(http.StatusForbidden)
}

func (p *Push) fail(w http.ResponseWriter, r *http.Request, err error) {
	p.cfg.Log.ErrorContext(r.Context(), "wechat push not handled", "error", err)
	w.WriteHeader(http.StatusServiceUnavailable)
}

// Why a push is refused: for the log, never for the caller.
var (
	errQuery     = errors.New("parameters missing, repeated or malformed")
	errWindow    = errors.New("timestamp outside the window")
	errSignature = errors.New("wrong signature")
	errMode      = errors.New("encrypted although no key is set, or not encrypted although one is")
	errBody      = errors.New("body too long or not readable")
	errCipher    = errors.New("not encrypted for this mini-program")
	errNonce     = errors.New("nonce used before")
)

// fresh returns the query if its parameters are single and its time is near ours.
func (p *Push) fresh(r *http.Request) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, errQuery
	}
	for _, values := range query {
		if len(values) != 1 || len(values[0]) > 256 {
			return nil, errQuery
		}
	}
	seconds, err := strconv.ParseInt(query.Get("timestamp"), 10, 64)
	if err != nil {
		return nil, errQuery
	}
	if off := p.cfg.Now().Sub(time.Unix(seconds, 0)); off > pushWindow || off < -pushWindow {
		return nil, errWindow
	}
	return query, nil
}

// signed tells whether the named parameter signs time, nonce and what is given.
func (p *Push) signed(query url.Values, name string, what ...string) bool {
	want := util.Signature(append(what, p.cfg.Token, query.Get("timestamp"), query.Get("nonce"))...)
	return subtle.ConstantTimeCompare([]byte(want), []byte(query.Get(name))) == 1
}

// open reads the body and proves where it comes from. In safe mode only
// msg_signature does: the plain signature says nothing about the body.
func (p *Push) open(query url.Values, body io.Reader) (*message, error) {
	safe := p.cfg.EncodingAESKey != ""
	if safe != (query.Get("encrypt_type") == "aes") {
		return nil, errMode
	}
	if !safe && !p.signed(query, "signature") {
		return nil, errSignature
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, errBody
	}
	outer, err := parse(raw)
	if err != nil {
		return nil, errBody
	}
	if !safe {
		return outer, nil
	}
	if outer.Encrypt == "" || !p.signed(query, "msg_signature", outer.Encrypt) {
		return nil, errSignature
	}
	_, plain, err := util.DecryptMsg(p.cfg.AppID, outer.Encrypt, p.cfg.EncodingAESKey)
	if err != nil {
		return nil, errCipher
	}
	inner, err := parse(plain)
	if err != nil {
		return nil, errBody
	}
	return inner, nil
}

// message is a push, as XML or JSON. The platform writes numbers as strings and
// the other way round, and a list of one as the thing itself.
type message struct {
	XMLName      xml.Name `json:"-" xml:"xml"`
	Encrypt      string   `json:"Encrypt" xml:"Encrypt"`
	FromUserName string   `json:"FromUserName" xml:"FromUserName"`
	CreateTime   text     `json:"CreateTime" xml:"CreateTime"`
	MsgType      string   `json:"MsgType" xml:"MsgType"`
	Event        string   `json:"Event" xml:"Event"`

	List   items `json:"List" xml:"-"`
	Popup  list  `json:"SubscribeMsgPopupEvent" xml:"SubscribeMsgPopupEvent"`
	Change list  `json:"SubscribeMsgChangeEvent" xml:"SubscribeMsgChangeEvent"`
	Sent   list  `json:"SubscribeMsgSentEvent" xml:"SubscribeMsgSentEvent"`

	AppID   string `json:"appid" xml:"appid"`
	TraceID string `json:"trace_id" xml:"trace_id"`
	ErrCode text   `json:"errcode" xml:"errcode"`
	Result  struct {
		Suggest string `json:"suggest" xml:"suggest"`
		Label   text   `json:"label" xml:"label"`
	} `json:"result" xml:"result"`
}

type list struct {
	Items items `json:"List" xml:"List"`
}

type item struct {
	TemplateID  text `json:"TemplateId" xml:"TemplateId"`
	Status      text `json:"SubscribeStatusString" xml:"SubscribeStatusString"`
	PopupScene  text `json:"PopupScene" xml:"PopupScene"`
	MsgID       text `json:"MsgID" xml:"MsgID"`
	ErrorCode   text `json:"ErrorCode" xml:"ErrorCode"`
	ErrorStatus text `json:"ErrorStatus" xml:"ErrorStatus"`
}

type items []item

func (i *items) UnmarshalJSON(b []byte) error {
	if b[0] != '{' {
		return json.Unmarshal(b, (*[]item)(i))
	}
	*i = make(items, 1)
	return json.Unmarshal(b, &(*i)[0])
}

// parse goes by the first byte: the declared type of a push is not reliable.
func parse(raw []byte) (*message, error) {
	m := new(message)
	raw = bytes.TrimSpace(raw)
	if bytes.HasPrefix(raw, []byte("<")) {
		return m, xml.Unmarshal(raw, m)
	}
	return m, json.Unmarshal(raw, m)
}

var (
	digitsPattern = regexp.MustCompile(`^[0-9]{1,20}$`)
	wordPattern   = regexp.MustCompile(`^[0-9A-Za-z_-]{1,128}$`)
)

const (
	latestTime   = 1 << 34 // seconds; what lies beyond was never a time
	maxErrorText = 200
)

// events reads what we know of a message; anything else the platform may send is
// no event and no error.
func (m *message) events(appID string) ([]Event, error) {
	if m.MsgType != "event" {
		return nil, nil
	}
	var kind string
	var from items
	switch m.Event {
	case "subscribe_msg_popup_event":
		kind, from = EventPopup, append(m.List, m.Popup.Items...)
	case "subscribe_msg_change_event":
		kind, from = EventChange, append(m.List, m.Change.Items...)
	case "subscribe_msg_sent_event":
		kind, from = EventSent, append(m.List, m.Sent.Items...)
	case "wxa_media_check":
		kind, from = EventMedia, items{{ErrorCode: m.ErrCode}}
	default:
		return nil, nil
	}
	created, err := strconv.ParseInt(string(m.CreateTime), 10, 64)
	if err != nil || created < 0 || created > latestTime || !openIDPattern.MatchString(m.FromUserName) {
		return nil, errBody
	}
	if m.AppID != "" && m.AppID != appID {
		return nil, errCipher
	}
	var events []Event
	for _, i := range from {
		e := Event{
			Kind: kind, OpenID: m.FromUserName, At: time.Unix(created, 0).UTC(),
			TemplateID: string(i.TemplateID), Status: string(i.Status), PopupScene: string(i.PopupScene),
			MsgID: string(i.MsgID), ErrorText: string(i.ErrorStatus),
		}
		if i.ErrorCode != "" {
			if e.ErrorCode, err = strconv.ParseInt(string(i.ErrorCode), 10, 64); err != nil {
				return nil, errBody
			}
		}
		if kind == EventMedia {
			e.TraceID, e.Verdict, e.Label = m.TraceID, m.Result.Suggest, string(m.Result.Label)
		}
		if !e.plausible() {
			return nil, errBody
		}
		e.Key = digest(e.Kind, e.OpenID, string(m.CreateTime), e.TemplateID, e.Status, e.MsgID, e.TraceID)
		events = append(events, e)
	}
	return events, nil
}

// plausible tells whether the fields have the form that whoever stores them may rely on.
func (e *Event) plausible() bool {
	for _, word := range []string{e.Status, e.PopupScene, e.MsgID, e.TraceID, e.Label} {
		if word != "" && !wordPattern.MatchString(word) {
			return false
		}
	}
	switch e.Kind {
	case EventMedia:
		return e.TraceID != "" && (badness[e.Verdict] > 0 || e.ErrorCode != 0)
	case EventSent:
		return templatePattern.MatchString(e.TemplateID) && digitsPattern.MatchString(e.MsgID) && len(e.ErrorText) <= maxErrorText
	}
	return templatePattern.MatchString(e.TemplateID) && e.Status != ""
}

// digest makes a key that tells nothing of the person it is about.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:16])
}
