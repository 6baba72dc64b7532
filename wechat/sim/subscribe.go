package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	mostTemplatesAtOnce = 5
	longTermPerDay      = 5

	// firstMsgID lies above 2^53: a client that reads the id as a float loses it.
	firstMsgID = 1_864_323_726_461_255_680
)

// isEmpty is spelt as the platform spells it.
const isEmpty = "is emtpy" //nolint:misspell // clients read these words

// Results of a dialog for one template.
const (
	accept = "accept"
	reject = "reject"
	ban    = "ban"
	filter = "filter"
)

// consent is what one person lets one template do.
type consent struct {
	balance   int    // one-time messages still allowed
	lasting   bool   // a long-term subscription
	kept      string // what "always keep these choices" answers; "": the dialog shows
	banned    bool
	today     int64
	sentToday int
}

// Message is a service notification on a phone.
type Message struct {
	ID         int64     `json:"msgid,string"`
	TemplateID string    `json:"template_id"`
	Title      string    `json:"title"`
	Fields     []Field   `json:"fields"`
	Page       string    `json:"page"` // "": cannot be tapped
	State      string    `json:"miniprogram_state"`
	Lang       string    `json:"lang"`
	At         time.Time `json:"at"`
}

// Field is one line of a message.
type Field struct {
	Key   string `json:"key"`
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Request is one call of wx.requestSubscribeMessage and what the person does
// with its dialog.
type Request struct {
	TemplateIDs []string `json:"templates"`
	Refuse      []string `json:"refuse"` // those the person unticks
	Keep        bool     `json:"keep"`   // the person ticks "总是保持以上选择，不再询问"
	NoTap       bool     `json:"no_tap"` // the page asks without a tap
}

// Answer is what wx.requestSubscribeMessage calls back with. It comes from the
// phone, so a server must not believe it; the popup event is the platform's word.
type Answer struct {
	ErrMsg  string            `json:"errMsg"`
	ErrCode int               `json:"errCode,omitzero"`
	Results map[string]string `json:"results,omitempty"` // accept, reject, ban or filter, by template
}

// Accept is the person allowing these templates: each may send one message more.
func (u *User) Accept(templateIDs ...string) Answer {
	return u.Ask(Request{TemplateIDs: templateIDs})
}

// Reject is the person refusing these templates. What was accepted before stays.
func (u *User) Reject(templateIDs ...string) Answer {
	return u.Ask(Request{TemplateIDs: templateIDs, Refuse: templateIDs})
}

// AlwaysKeep is Accept with "总是保持以上选择" ticked: later requests answer
// accept without a dialog, and each allows one message more.
func (u *User) AlwaysKeep(templateIDs ...string) Answer {
	return u.Ask(Request{TemplateIDs: templateIDs, Keep: true})
}

// Ask is one call of wx.requestSubscribeMessage.
func (u *User) Ask(r Request) Answer {
	s, now := u.sim, u.sim.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	u.seen = now
	templates, failed := s.checkRequest(u, r)
	if failed != nil {
		return *failed
	}
	results := map[string]string{}
	titles := map[string]bool{}
	var shown, noted []string
	for _, t := range templates {
		c := u.consent(t.ID)
		switch {
		case c.banned || s.banned[t.ID]:
			results[t.ID] = ban
			continue
		case titles[t.Title]:
			results[t.ID] = filter
			continue
		}
		titles[t.Title] = true
		result := c.kept
		if result == "" {
			shown = append(shown, t.ID)
			noted = append(noted, t.ID)
			result = accept
			if slices.Contains(r.Refuse, t.ID) {
				result = reject
			}
			if r.Keep {
				c.kept = result
			}
		} else if s.cfg.KeptPopupEvents {
			noted = append(noted, t.ID)
		}
		results[t.ID] = result
		if result == accept {
			c.allow(t)
		}
	}
	if len(shown) > 0 {
		s.counters["dialogs shown"]++
	}
	if len(noted) > 0 {
		s.pushes.enqueue(popupEvent(s.cfg, u.OpenID, u.popupTime(now), noted, results))
	}
	return Answer{ErrMsg: "requestSubscribeMessage:ok", Results: results}
}

func (s *Sim) checkRequest(u *User, r Request) ([]*Template, *Answer) {
	fail := func(code int, why string) *Answer {
		return &Answer{ErrMsg: "requestSubscribeMessage:fail " + why, ErrCode: code}
	}
	switch {
	case len(r.TemplateIDs) == 0:
		return nil, fail(10001, "TmplIds can't be empty")
	case r.NoTap:
		return nil, fail(0, "can only be invoked by user TAP gesture.")
	case len(r.TemplateIDs) > mostTemplatesAtOnce:
		return nil, fail(20003, "Templates count out of max bounds")
	case u.switchOff:
		return nil, fail(20004, "The main switch is switched off")
	}
	var templates []*Template
	for _, id := range r.TemplateIDs {
		t := s.template(id)
		if t == nil {
			return nil, fail(20001, "No template data return, verify the template id exist")
		}
		if len(templates) > 0 && templates[0].Type != t.Type {
			return nil, fail(20002, "Templates type must be same")
		}
		templates = append(templates, t)
	}
	return templates, nil
}

// consent is the person's for this template; the caller holds the lock.
func (u *User) consent(templateID string) *consent {
	c := u.consents[templateID]
	if c == nil {
		c = &consent{}
		u.consents[templateID] = c
	}
	return c
}

func (c *consent) allow(t *Template) {
	if t.Type == LongTerm {
		c.lasting = true
		return
	}
	c.balance++
}

// popupTime is the CreateTime of the person's next dialog. Nobody answers two
// dialogs in the same second, and receivers tell events apart by the second.
func (u *User) popupTime(now time.Time) time.Time {
	u.lastPopup = max(now.Unix(), u.lastPopup+1)
	return time.Unix(u.lastPopup, 0)
}

// Ban is the platform banning these templates for the person: dialogs answer
// ban, sends 43107.
func (u *User) Ban(templateIDs ...string) {
	u.sim.mu.Lock()
	defer u.sim.mu.Unlock()
	for _, id := range templateIDs {
		u.consent(id).banned = true
	}
}

// Ban is the platform banning these templates for everybody.
func (s *Sim) Ban(templateIDs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range templateIDs {
		s.banned[id] = true
	}
}

// CancelInSettings is the person turning these templates off on the
// mini-program's settings page: nothing of what was allowed is left.
func (u *User) CancelInSettings(templateIDs ...string) {
	s, now := u.sim, u.sim.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range templateIDs {
		c := u.consent(id)
		c.balance, c.lasting = 0, false
		if c.kept != "" {
			c.kept = reject
		}
	}
	s.pushes.enqueue(changeEvent(s.cfg, u.OpenID, now, templateIDs))
}

// MainSwitch turns all notifications of the mini-program on or off.
func (u *User) MainSwitch(on bool) {
	u.sim.mu.Lock()
	defer u.sim.mu.Unlock()
	u.switchOff = !on
}

// Balance is how many messages of this template the person would still get.
// The platform tells nobody; it is for checking a ledger against the truth.
func (u *User) Balance(templateID string) int {
	u.sim.mu.Lock()
	defer u.sim.mu.Unlock()
	return u.consent(templateID).balance
}

// Balances are all balances that are not zero, by template.
func (u *User) Balances() map[string]int {
	u.sim.mu.Lock()
	defer u.sim.mu.Unlock()
	out := map[string]int{}
	for id, c := range u.consents {
		if c.balance != 0 {
			out[id] = c.balance
		}
	}
	return out
}

// Messages are what arrived on the phone, oldest first.
func (u *User) Messages() []Message {
	u.sim.mu.Lock()
	defer u.sim.mu.Unlock()
	return slices.Clone(u.messages)
}

// template is the account's with this id, or nil.
func (s *Sim) template(id string) *Template {
	for i := range s.templates {
		if s.templates[i].ID == id {
			return &s.templates[i]
		}
	}
	return nil
}

// Templates are those of the account.
func (s *Sim) Templates() []Template { return slices.Clone(s.templates) }

func (s *Sim) subscribeEndpoints(into map[string]*endpoint) {
	into["cgi-bin/message/subscribe/send"] = posted(Limit{PerDay: 10_000_000}, s.send)
	into["wxaapi/newtmpl/gettemplate"] = got(Limit{}, true, nil, s.listTemplates)
}

type sendInput struct {
	ToUser     string         `json:"touser"`
	TemplateID string         `json:"template_id"`
	Page       string         `json:"page"`
	Data       jsontext.Value `json:"data"`
	State      string         `json:"miniprogram_state"`
	Lang       string         `json:"lang"`
}

type sendAnswer struct {
	done
	MsgID int64 `json:"msgid"`
}

// send is POST cgi-bin/message/subscribe/send. Only a good answer spends a
// consent, and it is followed by the sent event.
func (s *Sim) send(c *call, in *sendInput) (any, *refusal) {
	u := s.users[in.ToUser]
	if u == nil {
		return nil, refuse(40003, "invalid openid")
	}
	if s.cfg.RefuseParallelSends {
		if u.sending > 0 {
			return nil, refuse(43108, "concurrent send to the same user")
		}
		u.sending++
		c.after = append(c.after, func() { u.sending-- })
	}
	t := s.template(in.TemplateID)
	if t == nil {
		return nil, refuse(40037, "invalid template_id")
	}
	allowed := u.consent(t.ID)
	if no := s.checkConsent(u, t, allowed, c.now); no != nil {
		return nil, no
	}
	fields, no := checkData(t, in.Data)
	if no != nil {
		return nil, no
	}
	if no := s.checkTarget(in); no != nil {
		return nil, no
	}
	allowed.spend(t, c.now)
	s.lastMsgID = nextMsgID(s.lastMsgID)
	u.messages = append(u.messages, Message{
		ID: s.lastMsgID, TemplateID: t.ID, Title: t.Title, Fields: fields,
		Page: in.Page, State: in.State, Lang: in.Lang, At: c.now,
	})
	s.counters["messages delivered"]++
	s.pushes.enqueue(sentEvent(s.cfg, u.OpenID, c.now, t.ID, s.lastMsgID))
	return sendAnswer{ok, s.lastMsgID}, nil
}

func (s *Sim) checkConsent(u *User, t *Template, c *consent, now time.Time) *refusal {
	if c.today != dayOf(now) {
		c.today, c.sentToday = dayOf(now), 0
	}
	switch {
	case c.banned || s.banned[t.ID]:
		return refuse(43107, "subscribe capability banned")
	case u.switchOff, c.kept == reject,
		t.Type == OneTime && c.balance <= 0,
		t.Type == LongTerm && !c.lasting:
		return refuse(43101, "user refuse to accept the msg")
	case t.Type == LongTerm && c.sentToday >= longTermPerDay:
		return refuse(40038, "reach the daily limit of the template")
	}
	return nil
}

func (c *consent) spend(t *Template, now time.Time) {
	c.sentToday++
	if t.Type == OneTime {
		c.balance--
	}
}

// nextMsgID is above the last one and not a float64.
func nextMsgID(last int64) int64 {
	id := last + 1 + randomInt(1000)
	for int64(float64(id)) == id {
		id++
	}
	return id
}

// checkTarget checks where a tap on the message leads.
func (s *Sim) checkTarget(in *sendInput) *refusal {
	switch {
	case !slices.Contains([]string{"developer", "trial", "formal"}, in.State):
		return refuse(40097, "invalid args: miniprogram_state")
	case !slices.Contains([]string{"zh_CN", "en_US", "zh_HK", "zh_TW"}, in.Lang):
		return refuse(40097, "invalid args: lang")
	}
	if path, _, _ := strings.Cut(in.Page, "?"); in.Page != "" && !s.pages[path] {
		return refuse(41030, "invalid page")
	}
	return nil
}

// checkData checks the message's lines against the template, in the
// template's order, and returns them as the phone shows them.
func checkData(t *Template, raw jsontext.Value) ([]Field, *refusal) {
	var items map[string]jsontext.Value
	if len(raw) == 0 || json.Unmarshal(raw, &items) != nil || items == nil {
		return nil, refuse(47003, "argument invalid! data invalid")
	}
	var fields []Field
	for _, k := range t.Keywords {
		var item struct {
			Value string `json:"value"`
			Color string `json:"color"`
		}
		raw, given := items[k.Key]
		delete(items, k.Key)
		if !given {
			return nil, refuse(47003, "argument invalid! data.%s.value %s", k.Key, isEmpty)
		}
		if json.Unmarshal(raw, &item, json.RejectUnknownMembers(true)) != nil {
			return nil, refuse(47003, "argument invalid! data.%s.value invalid", k.Key)
		}
		if strings.TrimSpace(item.Value) == "" {
			return nil, refuse(47003, "argument invalid! data.%s.value %s", k.Key, isEmpty)
		}
		if !k.admits(item.Value) {
			return nil, refuse(47003, "argument invalid! data.%s.value invalid", k.Key)
		}
		fields = append(fields, Field{k.Key, k.Name, item.Value})
	}
	if len(items) > 0 {
		return nil, refuse(47003, "argument invalid! data.%s.value invalid", slices.Min(slices.Collect(maps.Keys(items))))
	}
	for _, f := range fields {
		if strings.Contains(f.Value, SensitiveWord) {
			return nil, refuse(45168, "hit sensitive word")
		}
	}
	return fields, nil
}

type templatesAnswer struct {
	done
	Data []templateAnswer `json:"data"`
}

type templateAnswer struct {
	ID       string       `json:"priTmplId"`
	Title    string       `json:"title"`
	Content  string       `json:"content"`
	Example  string       `json:"example"`
	Type     int          `json:"type"`
	EnumList []enumAnswer `json:"keywordEnumValueList,omitempty"`
}

type enumAnswer struct {
	Key    string   `json:"keywordCode"`
	Values []string `json:"enumValueList"`
}

// listTemplates is GET wxaapi/newtmpl/gettemplate.
func (s *Sim) listTemplates(*call) (any, *refusal) {
	out := templatesAnswer{done: ok, Data: []templateAnswer{}}
	for _, t := range s.templates {
		row := templateAnswer{t.ID, t.Title, t.content(), t.example(), t.Type, nil}
		for _, k := range t.Keywords {
			if len(k.Enum) > 0 {
				row.EnumList = append(row.EnumList, enumAnswer{fmt.Sprintf("%s.DATA", k.Key), k.Enum})
			}
		}
		out.Data = append(out.Data, row)
	}
	return out, nil
}
