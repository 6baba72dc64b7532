package sim

import (
	"fmt"
	"strings"
)

// Titles of the invented templates.
const (
	ActivityReminder   = "活动提醒"
	ActivityChange     = "活动变更/取消通知"
	ServiceDayReminder = "服务日提醒"
	ApprovalResult     = "审批结果"
	WaitingListOffer   = "候补通知"
	DutyReminder       = "待办提醒"
)

// Template kinds as the platform numbers them.
const (
	OneTime  = 2 // one accept, one message
	LongTerm = 3 // messages until cancelled, at most five a day
)

// Template is one of the account's message templates.
type Template struct {
	ID       string    `json:"id"` // 43 characters
	Title    string    `json:"title"`
	Type     int       `json:"type"` // OneTime, also where it is 0, or LongTerm
	Keywords []Keyword `json:"keywords"`
}

// Keyword is one line of a template. The letters of its key are its type.
type Keyword struct {
	Key     string   `json:"key"` // thing1
	Name    string   `json:"name"`
	Example string   `json:"example"`
	Enum    []string `json:"enum,omitempty"` // the only values of type enum
}

// content is the template's text as gettemplate shows it.
func (t *Template) content() string {
	var b strings.Builder
	for _, k := range t.Keywords {
		fmt.Fprintf(&b, "%s:{{%s.DATA}}\n", k.Name, k.Key)
	}
	return b.String()
}

func (t *Template) example() string {
	var b strings.Builder
	for _, k := range t.Keywords {
		fmt.Fprintf(&b, "%s:%s\n", k.Name, k.Example)
	}
	return b.String()
}

// DefaultTemplates are the templates of an account that chose none. They are
// invented; an account's own come from the platform's library and may differ.
func DefaultTemplates() []Template {
	return []Template{
		{"hD3nWq8RzK5vTj1YbXc7LmP0sGfA9uEoI2kNdV4xQwM", ActivityReminder, OneTime, []Keyword{
			{Key: "thing1", Name: "活动名称", Example: "五月主题党日"},
			{Key: "time2", Name: "活动时间", Example: "2026年5月20日 15:00"},
			{Key: "thing3", Name: "活动地点", Example: "三楼会议室"},
			{Key: "thing4", Name: "温馨提示", Example: "请提前十分钟到场签到"},
		}},
		{"bT7kXe2LpV9wQz4MgYa1RnC6sHdJ8uFoU3iKfB5xWqE", ActivityChange, OneTime, []Keyword{
			{Key: "thing1", Name: "活动名称", Example: "五月主题党日"},
			{Key: "phrase2", Name: "变更类型", Example: "时间变更"},
			{Key: "time3", Name: "活动时间", Example: "2026年5月21日 15:00"},
			{Key: "thing4", Name: "原因", Example: "会议室调整"},
		}},
		{"qN5jZr0FwY3xSm8PbTe6KgV1uLcD7hAoX9iJvG2kRdU", ServiceDayReminder, OneTime, []Keyword{
			{Key: "thing1", Name: "服务内容", Example: "社区环境整治"},
			{Key: "time2", Name: "服务时间", Example: "2026年5月23日 08:30"},
			{Key: "thing3", Name: "服务地点", Example: "东关社区广场"},
		}},
		{"mW9sCf4TqB6yHk2ZnXj7RvE0pLgU3dAoI8iMxN5tVbY", ApprovalResult, OneTime, []Keyword{
			{Key: "thing1", Name: "申请事项", Example: "补签申请"},
			{Key: "phrase2", Name: "审批结果", Example: "已通过"},
			{Key: "time3", Name: "审批时间", Example: "2026年5月20日 18:00"},
			{Key: "thing4", Name: "说明", Example: "以签到表为准"},
		}},
		{"gK1vLx8YdR5cWz3QmTh7SnB0fJpE6uAoP4iGtX9wVkH", WaitingListOffer, OneTime, []Keyword{
			{Key: "thing1", Name: "活动名称", Example: "社区环境整治"},
			{Key: "time2", Name: "活动时间", Example: "2026年5月23日 08:30"},
			{Key: "time3", Name: "截止时间", Example: "2026年5月22日 12:00"},
			{Key: "thing4", Name: "温馨提示", Example: "请在截止时间前确认"},
		}},
		{"yP6rMb2HsJ0tZx7VnQk4WcL9gFeT5uAoD1iXdK8vRgS", DutyReminder, OneTime, []Keyword{
			{Key: "thing1", Name: "待办事项", Example: "补签待审批"},
			{Key: "number2", Name: "数量", Example: "3"},
			{Key: "time3", Name: "提醒时间", Example: "2026年5月20日 18:00"},
		}},
	}
}

// TemplateID is the id of the default template with this title, or "".
func TemplateID(title string) string {
	for _, t := range DefaultTemplates() {
		if t.Title == title {
			return t.ID
		}
	}
	return ""
}
