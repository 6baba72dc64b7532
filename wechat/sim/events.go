package sim

import (
	"encoding/xml"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
)

// Names of the events.
const (
	PopupEvent  = "subscribe_msg_popup_event"
	ChangeEvent = "subscribe_msg_change_event"
	SentEvent   = "subscribe_msg_sent_event"
	MediaEvent  = "wxa_media_check"
)

// event is something the platform tells the account's server.
type event struct {
	name string
	user string
	body []byte // in the account's format, not yet sealed
}

// cdata is text that XML carries unescaped.
type cdata struct {
	Text string `xml:",cdata"`
}

// head begins every event in XML.
type head struct {
	XMLName      xml.Name `xml:"xml"`
	ToUserName   cdata
	FromUserName cdata
	CreateTime   int64
	MsgType      cdata
	Event        cdata
}

// listEvent is a subscription event in JSON: an object for one item, an array
// for several, and strings where numbers are meant.
type listEvent struct {
	ToUserName   string
	FromUserName string
	CreateTime   string
	MsgType      string
	Event        string
	List         any
}

func newHead(cfg Config, name, user string, at time.Time) head {
	return head{
		ToUserName: cdata{cfg.OriginalID}, FromUserName: cdata{user}, CreateTime: at.Unix(),
		MsgType: cdata{"event"}, Event: cdata{name},
	}
}

func newListEvent[T any](cfg Config, name, user string, at time.Time, items []T) listEvent {
	e := listEvent{cfg.OriginalID, user, strconv.FormatInt(at.Unix(), 10), "event", name, items}
	if len(items) == 1 {
		e.List = items[0]
	}
	return e
}

// render writes the event in the account's format.
func render(cfg Config, name, user string, asJSON, asXML any) event {
	var body []byte
	var err error
	if cfg.PushFormat == FormatXML {
		body, err = xml.Marshal(asXML)
	} else {
		body, err = json.Marshal(asJSON)
	}
	if err != nil {
		panic(err) // events are of this package's own making
	}
	return event{name, user, body}
}

type choiceJSON struct {
	TemplateID            string `json:"TemplateId"`
	SubscribeStatusString string
	PopupScene            string `json:",omitempty"`
}

type choiceXML struct {
	TemplateID            cdata `xml:"TemplateId"`
	SubscribeStatusString cdata
	PopupScene            string `xml:",omitempty"`
}

// popupEvent tells what a person chose in a dialog within a page.
func popupEvent(cfg Config, user string, at time.Time, ids []string, results map[string]string) event {
	var inJSON []choiceJSON
	var inXML []choiceXML
	for _, id := range ids {
		inJSON = append(inJSON, choiceJSON{id, results[id], "0"})
		inXML = append(inXML, choiceXML{cdata{id}, cdata{results[id]}, "0"})
	}
	return render(cfg, PopupEvent, user, newListEvent(cfg, PopupEvent, user, at, inJSON), struct {
		head
		List []choiceXML `xml:"SubscribeMsgPopupEvent>List"`
	}{newHead(cfg, PopupEvent, user, at), inXML})
}

// changeEvent tells what a person turned off in the settings; turning on is not told.
func changeEvent(cfg Config, user string, at time.Time, ids []string) event {
	var inJSON []choiceJSON
	var inXML []choiceXML
	for _, id := range ids {
		inJSON = append(inJSON, choiceJSON{TemplateID: id, SubscribeStatusString: reject})
		inXML = append(inXML, choiceXML{TemplateID: cdata{id}, SubscribeStatusString: cdata{reject}})
	}
	return render(cfg, ChangeEvent, user, newListEvent(cfg, ChangeEvent, user, at, inJSON), struct {
		head
		List []choiceXML `xml:"SubscribeMsgChangeEvent>List"`
	}{newHead(cfg, ChangeEvent, user, at), inXML})
}

type deliveryJSON struct {
	TemplateID  string `json:"TemplateId"`
	MsgID       string
	ErrorCode   string
	ErrorStatus string
}

type deliveryXML struct {
	TemplateID  cdata `xml:"TemplateId"`
	MsgID       int64
	ErrorCode   int
	ErrorStatus cdata
}

// sentEvent tells that a message arrived on the phone.
func sentEvent(cfg Config, user string, at time.Time, templateID string, msgID int64) event {
	inJSON := []deliveryJSON{{templateID, strconv.FormatInt(msgID, 10), "0", "success"}}
	return render(cfg, SentEvent, user, newListEvent(cfg, SentEvent, user, at, inJSON), struct {
		head
		List []deliveryXML `xml:"SubscribeMsgSentEvent>List"`
	}{newHead(cfg, SentEvent, user, at), []deliveryXML{{cdata{templateID}, msgID, 0, cdata{"success"}}}})
}

type mediaDetailJSON struct {
	Strategy string `json:"strategy"`
	ErrCode  int    `json:"errcode"`
	Suggest  string `json:"suggest"`
	Label    string `json:"label"`
	Prob     int    `json:"prob"`
}

type mediaResultJSON struct {
	Suggest string `json:"suggest"`
	Label   string `json:"label"`
}

type mediaDetailXML struct {
	Strategy cdata `xml:"strategy"`
	ErrCode  int   `xml:"errcode"`
	Suggest  cdata `xml:"suggest"`
	Label    int   `xml:"label"`
	Prob     int   `xml:"prob"`
}

type mediaResultXML struct {
	Suggest cdata `xml:"suggest"`
	Label   int   `xml:"label"`
}

// mediaEvent tells the finding of a media check. Labels come as strings in
// JSON, which the documents show as numbers.
func mediaEvent(cfg Config, user string, at time.Time, trace string, found verdict) event {
	label := strconv.Itoa(found.Label)
	return render(cfg, MediaEvent, user, struct {
		ToUserName   string
		FromUserName string
		CreateTime   int64
		MsgType      string
		Event        string
		AppID        string            `json:"appid"`
		TraceID      string            `json:"trace_id"`
		Version      int               `json:"version"`
		Detail       []mediaDetailJSON `json:"detail"`
		ErrCode      int               `json:"errcode"`
		ErrMsg       string            `json:"errmsg"`
		Result       mediaResultJSON   `json:"result"`
	}{
		cfg.OriginalID, user, at.Unix(), "event", MediaEvent, cfg.AppID, trace, checkVersion,
		[]mediaDetailJSON{{strategyModel, 0, found.Suggest, label, probSure}}, 0, "ok",
		mediaResultJSON{found.Suggest, label},
	}, struct {
		head
		AppID   cdata            `xml:"appid"`
		TraceID cdata            `xml:"trace_id"`
		Version int              `xml:"version"`
		Detail  []mediaDetailXML `xml:"detail"`
		ErrCode int              `xml:"errcode"`
		ErrMsg  cdata            `xml:"errmsg"`
		Result  mediaResultXML   `xml:"result"`
	}{
		newHead(cfg, MediaEvent, user, at), cdata{cfg.AppID}, cdata{trace}, checkVersion,
		[]mediaDetailXML{{cdata{strategyModel}, 0, cdata{found.Suggest}, found.Label, probSure}}, 0, cdata{"ok"},
		mediaResultXML{cdata{found.Suggest}, found.Label},
	})
}

// envelope holds the cipher in safe mode.
func envelope(cfg Config, cipher string) []byte {
	return render(cfg, "", "", struct{ ToUserName, Encrypt string }{cfg.OriginalID, cipher}, struct {
		XMLName    xml.Name `xml:"xml"`
		ToUserName cdata
		Encrypt    cdata
	}{ToUserName: cdata{cfg.OriginalID}, Encrypt: cdata{cipher}}).body
}
