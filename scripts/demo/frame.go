package demo

import (
	"fmt"
	"strings"
)

// begin says what is about to be seen.
func (s *Story) begin() {
	s.print("\n%s\n\n", s.paint(bold, "党日：一个党支部的一次主题党日、一次固定服务日和一次支部党员大会"))
	s.print("  服务与微信之间、手机与服务之间，每一步都是真实的请求；微信由本机的模拟器扮演，人名和号码都是生成的。\n")
	s.print("  故事发生在今天，%s，从早上九点到下午散会，几天后到社区服务，过完这个季度再开支部党员大会；时钟由演示拨动。\n", s.Day.Format("2006年1月2日"))
}

// done says that all is well, if it is.
func (s *Story) done() {
	if len(s.wrong) == 0 {
		s.print("\n%s\n", s.paint(green, fmt.Sprintf("演示完成：%d 次请求，核对 %d 处，全部与故事一致。", s.requests.Load(), s.checked)))
	}
}

// GoOn tells how to go on by oneself: where everything is, who there is, and
// how to be one of them from a terminal.
func (s *Story) GoOn() {
	s.print("\n%s\n\n", s.paint(bold, "服务继续运行，按 Ctrl+C 结束"))
	s.print("  地址        %s\n  接口文档    %s/docs/\n  模拟的手机  %s/\n", s.API, s.API, s.Simulator)
	s.print("\n%s\n\n  %s%s%s\n", s.paint(bold, "样例账号"), pad("姓名", 10), pad("职务", 12), "模拟微信的 openid")
	for _, p := range append([]*phone{s.secretary}, s.guests[:crowd]...) {
		post := p.Post
		if post == "" {
			post = "党员"
		}
		s.print("  %s%s%s\n", pad(p.Name, 10), pad(post, 12), p.openID)
	}
	s.print("\n  以 %s（%s）登录并看首屏：把下面三行粘贴到另一个终端；换人只要换 openid。\n\n", s.secretary.Name, s.secretary.Post)
	for line := range strings.Lines(fmt.Sprintf(howToSignIn, s.Simulator, s.secretary.openID, s.API, s.API)) {
		s.print("    %s", line)
	}
	s.print("\n  接着在浏览器里看签到表：再粘贴这一行，打开它给出的网址，十分钟内有效。\n\n    "+howToPrint+"\n\n", s.API, s.path("/sheet.html"))
}

const howToSignIn = `CODE=$(curl -s -X POST %s/_sim/users/%s/login-code | cut -d'"' -f4)
TOKEN=$(curl -s %s/v1/sessions -H 'Content-Type: application/json' -d "{\"code\":\"$CODE\"}" | sed 's/.*"token":"\([^"]*\)".*/\1/')
curl -s %s/v1/home -H "Authorization: Bearer $TOKEN"
`

const howToPrint = `curl -s %s/v1/paper-links -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"path":"%s"}'`
