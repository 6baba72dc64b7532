package model

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Purpose is what a message template of the account is used for.
type Purpose string

// The purposes.
const (
	ActivityReminder Purpose = "activity_reminder" // 活动提醒
	ActivityChange   Purpose = "activity_change"   // 变更或取消
	ServiceReminder  Purpose = "service_day"       // 服务日提醒
	ApprovalResult   Purpose = "approval_result"   // 审批结果
	WaitingListOffer Purpose = "waiting_list"      // 候补通知
	DutyReminder     Purpose = "duty"              // 待办提醒
)

// Purposes are all of them, in the order in which they are shown.
var Purposes = []Purpose{ActivityReminder, ActivityChange, ServiceReminder, ApprovalResult, WaitingListOffer, DutyReminder}

// PurposeNames are the words people use, by purpose.
var PurposeNames = map[Purpose]string{
	ActivityReminder: "活动提醒", ActivityChange: "活动变更或取消", ServiceReminder: "服务日提醒",
	ApprovalResult: "审批结果", WaitingListOffer: "候补通知", DutyReminder: "待办提醒",
}

// Content is what a keyword of a template says of an activity.
type Content string

// The contents.
const (
	SaysTitle  Content = "title"
	SaysStart  Content = "starts_at"
	SaysPlace  Content = "place"
	SaysNote   Content = "note"   // one sentence of advice
	SaysChange Content = "change" // 时间变更, 活动取消
	SaysReason Content = "reason"
	SaysCount  Content = "count"
	SaysNow    Content = "now"
	SaysUntil  Content = "deadline"
)

// Template is the account's template for one purpose: its id, and what each of
// its keywords says. The letters of a keyword, such as thing1, are its type,
// which limits what may be written in it.
type Template struct {
	ID       string             `json:"id"`
	Keywords map[string]Content `json:"keywords"`
}

// Catalogue is which template serves which purpose. A purpose without one is
// never sent.
type Catalogue map[Purpose]Template

// ReadCatalogue reads a catalogue in JSON and checks it:
//
//	{"activity_reminder": {"id": "…", "keywords": {"thing1": "title", "time2": "starts_at"}}}
func ReadCatalogue(text []byte) (Catalogue, error) {
	var c Catalogue
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("消息模板的 JSON 读不出来：%w", err)
	}
	return c, c.Check()
}

// PurposeOf is what the template is used for, "" for a template of nobody's.
func (c Catalogue) PurposeOf(templateID string) Purpose {
	for _, p := range Purposes {
		if t, ok := c[p]; ok && t.ID == templateID {
			return p
		}
	}
	return ""
}

var (
	templateForm = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)
	keyForm      = regexp.MustCompile(`^([a-z_]+?)[0-9]{1,3}$`)
)

// fits are the types of keyword that can hold each content.
var fits = map[Content][]string{
	SaysTitle: {"thing", "character_string"}, SaysPlace: {"thing", "character_string"}, SaysNote: {"thing", "character_string"},
	SaysReason: {"thing", "character_string"}, SaysStart: {"time", "date", "thing", "character_string"}, SaysNow: {"time", "date"}, SaysUntil: {"time", "date"},
	SaysChange: {"phrase", "thing"}, SaysCount: {"number", "thing", "character_string"},
}

// Check refuses a catalogue that could not be sent: an unknown purpose or
// content, a malformed id or key, a content in a keyword of the wrong type, one
// template for two purposes.
func (c Catalogue) Check() error {
	uses := map[string]Purpose{}
	for p, t := range c {
		if PurposeNames[p] == "" {
			return fmt.Errorf("没有用途 %q", p)
		}
		if !templateForm.MatchString(t.ID) {
			return fmt.Errorf("%s：模板编号不对", p)
		}
		if other, used := uses[t.ID]; used {
			return fmt.Errorf("%s 和 %s 用了同一个模板", other, p)
		}
		uses[t.ID] = p
		if len(t.Keywords) == 0 || len(t.Keywords) > 5 {
			return fmt.Errorf("%s：关键词应有一到五个", p)
		}
		for key, says := range t.Keywords {
			if !slices.Contains(fits[says], kindOf(key)) {
				return fmt.Errorf("%s：关键词 %q 不能用来写 %q", p, key, says)
			}
		}
	}
	return nil
}

// kindOf is a keyword's type.
func kindOf(key string) string {
	if m := keyForm.FindStringSubmatch(key); m != nil {
		return m[1]
	}
	return ""
}

// Contents are the values that a message may say. A time is local.
type Contents struct {
	Texts map[Content]string
	Times map[Content]time.Time
	Count int
}

// Fill writes the values into the template's keywords, each cut to what the
// platform takes for its type: a value that was fit in is never refused.
func (t Template) Fill(c Contents) map[string]string {
	data := make(map[string]string, len(t.Keywords))
	for key, says := range t.Keywords {
		data[key] = c.write(kindOf(key), says)
	}
	return data
}

func (c Contents) write(kind string, says Content) string {
	text := c.Texts[says]
	if at, ok := c.Times[says]; ok {
		text = at.Format("2006年1月2日 15:04")
		if kind == "character_string" {
			text = at.Format("2006-01-02,15:04")
		}
	}
	if says == SaysCount {
		text = fmt.Sprint(c.Count)
	}
	switch kind {
	case "thing":
		return orElse(cut(keep(text, isThing), 20), "详见小程序")
	case "character_string":
		return orElse(cut(keep(text, isCharacter), 32), "-")
	case "phrase":
		return orElse(firstRunes(keep(text, isHan), 5), "有变更")
	}
	return text // a time, a date or a number, written above in a form the platform takes
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// keep drops what the type does not take; line breaks and tabs become blanks.
func keep(text string, takes func(rune) bool) string {
	text = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\r' {
			r = ' '
		}
		if takes(r) {
			return r
		}
		return -1
	}, text)
	return strings.TrimSpace(text)
}

// cut shortens to n characters, the last of which then says that more follows.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	short := []rune(text)[:n-1]
	if strings.ContainsFunc(string(short), isHan) {
		return strings.TrimSpace(string(short)) + "…"
	}
	return strings.TrimSpace(string(short)) + "~"
}

func firstRunes(text string, n int) string {
	return string([]rune(text)[:min(n, utf8.RuneCountInString(text))])
}

func isHan(r rune) bool { return unicode.Is(unicode.Han, r) && r < 0x10000 }

func isASCII(r rune) bool { return '!' <= r && r <= '~' }

func isThing(r rune) bool {
	return r == ' ' || isASCII(r) || isHan(r) || r < 0x10000 && unicode.IsPunct(r)
}

func isCharacter(r rune) bool { return isASCII(r) }
