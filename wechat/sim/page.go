package sim

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"slices"
	"strings"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// newestShown is how many messages of a phone the page shows.
const newestShown = 30

// Assumptions are the rules of this simulator that no document of the
// platform was found to say, for the people who look at the page.
func Assumptions() []string {
	return []string{
		"检查的先后次序：请求格式 → access_token → 频率限制 → 接收人 → 模板 → 订阅次数 → 模板数据 → 跳转页面。",
		"43108（同时给同一人发送）和 45168（敏感词）在什么情况下出现没有公开说明；这里前者由开关打开，后者只认样例词。",
		"请求里重复、多余或大小写不同的参数和字段：平台多半忽略，这里拒绝（地址参数 40097，正文 47001）。",
		"勾选“总是保持以上选择”之后不再弹窗，平台是否还推送弹窗事件不明；这里默认不推送，可用开关改变。",
		"miniprogram_state 和 lang 缺失或写错时的错误码（这里 40097），文字过长时的错误码（这里 45002）。",
		"消息里能否出现表情符号不明；这里拒绝。日期和时间的写法只接受文档列出的几种，不接受星期。",
		"发送失败不消耗订阅次数；超过五分钟或已用过的登录凭证分别是 40029 和 40163。",
		"在设置里关闭订阅后余额清零；重新打开不会收到推送。",
		"事件推送三次之间的间隔没有公开说明；同一个人的事件按次序推送，不同的人之间没有次序。",
		"media_check_async 不下载文件，结果由地址里的 risky、review 字样决定。",
		"URL Link 到期时间超过三十天的错误码（这里 85401）；gettemplate 里枚举项的写法。",
		"真正的小程序码只有微信能画、能认；这里给出的是普通二维码。",
		"没有在真实平台上对照过。通过这里的检查，不等于在微信上一定通过。",
	}
}

type phoneView struct {
	OpenID   string
	Phone    string
	Balances []balanceView
	Messages []messageView
}

type balanceView struct {
	Title string
	Left  int
}

type messageView struct {
	Message
	Link string
	When string
}

// showPage is the page on which a person sees the reminders arrive.
func (s *Sim) showPage(w http.ResponseWriter, r *http.Request) {
	view := struct {
		Now         string
		Phones      []phoneView
		Templates   []Template
		Assumptions []string
	}{
		Now:         s.Now().In(china).Format("2006-01-02 15:04:05"),
		Templates:   s.Templates(),
		Assumptions: Assumptions(),
	}
	for _, u := range s.Users() {
		view.Phones = append(view.Phones, s.phoneView(u))
	}
	slices.Reverse(view.Phones)
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, view); err != nil {
		panic(err) // the template and the view are of this package's own making
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(b.Bytes()) // the caller has gone: nobody to tell
}

func (s *Sim) phoneView(u *User) phoneView {
	v := phoneView{OpenID: u.OpenID, Phone: maskPhone(u.Phone)}
	left := u.Balances()
	for _, t := range s.templates {
		if n := left[t.ID]; n > 0 {
			v.Balances = append(v.Balances, balanceView{t.Title, n})
		}
	}
	messages := u.Messages()
	slices.Reverse(messages)
	for _, m := range messages[:min(len(messages), newestShown)] {
		shown := messageView{Message: m, When: m.At.In(china).Format("1月2日 15:04")}
		if m.Page != "" && s.cfg.OpenBase != "" {
			shown.Link = s.cfg.OpenBase + m.Page
		}
		v.Messages = append(v.Messages, shown)
	}
	return v
}

// maskPhone leaves what a person needs to tell phones apart.
func maskPhone(phone string) string {
	if len(phone) < 8 {
		return phone
	}
	return phone[:3] + strings.Repeat("*", len(phone)-7) + phone[len(phone)-4:]
}
