package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/skip2/go-qrcode"
)

// screen is what the screen of the meeting room shows.
type screen struct {
	Code        string `json:"code"`
	URL         string `json:"url"`
	ChangesInMS int64  `json:"changes_in_ms"`
	Digits      string `json:"digits"`
}

func (s *Story) screen(ctx context.Context) (screen, error) {
	return must[screen](ctx, s, s.secretary, http.MethodGet, s.path("/check-in-code"), nil)
}

// scan is one tap on 扫一扫.
func (s *Story) scan(ctx context.Context, who *phone, code string) (*answer, error) {
	return s.ask(ctx, who, http.MethodPost, "/v1/check-ins", map[string]any{"code": code, "nonce": rand.Text()})
}

// lookUp is scanning what the screen shows now.
func (s *Story) lookUp(ctx context.Context, who *phone) (*answer, error) {
	shown, err := s.screen(ctx)
	if err != nil {
		return nil, err
	}
	return s.scan(ctx, who, shown.Code)
}

// came tells an arrival and counts it.
func (s *Story) came(who *phone, text string, a *answer, claims ...Claim) {
	s.want.came(who.Person)
	s.Did(text, append(claims, Is("回答", a.Code, "ok"))...)
}

// opening is the screen going on, and those whom it does not let in.
func (s *Story) opening(ctx context.Context) error {
	s.Chapter("会场屏幕")
	s.turn("13:55")
	shown, err := s.screen(ctx)
	if err != nil {
		return err
	}
	s.Did(fmt.Sprintf("书记打开签到码，%.0f 秒后换新；扫不了码的人看六位数字 %s", time.Duration(shown.ChangesInMS*int64(time.Millisecond)).Seconds(), shown.Digits),
		Is("小程序码放得下（32 个字符以内）", len(shown.Code) <= 32, true), Is("数字的位数", len(shown.Digits), 6))
	if err := s.draw(shown.URL); err != nil {
		return err
	}
	s.photo = shown.Code

	first := s.guests[early]
	a, err := s.scan(ctx, first, shown.Code)
	if err != nil {
		return err
	}
	s.Refused(first.Name+" 来得早，先扫了一下", a, "not_open_yet", Is("告知的开放时间", s.local(a.Details["opens_at"]), "14:00"))
	if a, err = s.scan(ctx, s.stranger, shown.Code); err != nil {
		return err
	}
	s.Refused("外支部的 "+s.stranger.Name+" 走错了会场", a, "not_on_roster")
	if a, err = s.ask(ctx, s.stranger, http.MethodGet, s.path("/board"), nil); err != nil {
		return err
	}
	s.Refused(s.stranger.Name+" 想看这场会的统计：在外支部的人面前，没有这场会", a, "activity_not_found", Is("状态码", a.Status, http.StatusNotFound))

	s.turn("14:00")
	if a, err = s.lookUp(ctx, first); err != nil {
		return err
	}
	s.came(first, first.Name+" 等到开放再扫，签到成功：早来的那一扫没有妨碍", a)
	return nil
}

// draw shows the code where it can be scanned from.
func (s *Story) draw(url string) error {
	if !s.Terminal {
		return nil
	}
	code, err := qrcode.New(url, qrcode.Low)
	if err != nil {
		return fmt.Errorf("draw the code: %w", err)
	}
	for line := range strings.Lines(code.ToSmallString(true)) {
		s.Note(s.paint(darkOnLight, strings.TrimSuffix(line, "\n"))) // whatever the terminal's own colours
	}
	return nil
}

// arriving is people coming, in no order and some of them pressing again and again.
func (s *Story) arriving(ctx context.Context) error {
	s.Chapter("陆续到会")
	s.turn("14:05")
	tinkering := s.guests[tinkerer]
	shown, err := s.screen(ctx)
	if err != nil {
		return err
	}
	a, err := s.scan(ctx, tinkering, changed(shown.Code))
	if err != nil {
		return err
	}
	s.Refused(tinkering.Name+" 好奇，把码里的一个字符改了再交", a, "code_invalid")
	some := append([]*phone{s.secretary, s.guests[invited], tinkering}, s.guests[crowd:firstCrowd]...)
	if err := s.crowd(ctx, some); err != nil {
		return err
	}
	if a, err = s.lookUp(ctx, tinkering); err != nil {
		return err
	}
	s.Refused(tinkering.Name+" 不放心，又扫了一遍", a, "already_checked_in", Is("告知首次签到的时间", a.Details["checked_in_at"] != nil, true))
	if err := s.look(ctx); err != nil {
		return err
	}
	s.turn("14:10")
	return s.excuse(ctx)
}

// changed is the code with its last character replaced.
func changed(code string) string {
	head, last := code[:len(code)-1], code[len(code)-1]
	if last == 'A' {
		return head + "B"
	}
	return head + "A"
}

// crowd is several people scanning within a minute, four at a time. Every third
// has a bad network and sends the same scan three times at once.
func (s *Story) crowd(ctx context.Context, people []*phone) error {
	repeats, differing, refused := 0, 0, 0
	disorder := make([]*phone, len(people))
	for i := range people {
		disorder[i] = people[i*7%len(people)]
	}
	for n := 0; n < len(disorder); n += 4 {
		some := disorder[n:min(n+4, len(disorder))]
		s.turn(s.now.Add(7 * time.Second).Format(time.TimeOnly))
		shown, err := s.screen(ctx)
		if err != nil {
			return err
		}
		answers := make([][]*answer, len(some))
		err = each(some, func(i int, who *phone) error {
			times := make([]struct{}, 1)
			if (n+i)%3 == 0 {
				times = make([]struct{}, 3)
			}
			answers[i] = make([]*answer, len(times))
			scan := map[string]any{"code": shown.Code, "nonce": rand.Text()}
			return each(times, func(try int, _ struct{}) (err error) {
				answers[i][try], err = s.ask(ctx, who, http.MethodPost, "/v1/check-ins", scan)
				return err
			})
		})
		if err != nil {
			return err
		}
		for i, who := range some {
			s.want.came(who.Person)
			for _, a := range answers[i] {
				if a.Code != "ok" {
					refused++
				}
				if string(a.Body) != string(answers[i][0].Body) {
					differing++
				}
			}
			if len(answers[i]) > 1 {
				repeats++
			}
		}
	}
	s.Did(fmt.Sprintf("%d 人先先后后地扫码；其中 %d 人网络不好，同一扫发了三遍：每遍的回答一字不差", len(people), repeats),
		Is("被拒绝的扫码", refused, 0), Is("重试中不一样的回答", differing, 0))
	return nil
}

// excuse is the secretary noting who will not come.
func (s *Story) excuse(ctx context.Context) error {
	roster, err := s.roster(ctx)
	if err != nil {
		return err
	}
	a, err := s.record(ctx, map[string]any{"member_id": roster[s.excused].MemberID, "status": "sick_leave", "reason": "发烧"})
	if err != nil {
		return err
	}
	s.want.OnLeave++
	s.want.Awaited--
	s.Did(s.excused+" 打电话请病假，书记记上", Is("回答", a.Code, "ok"))
	return s.exempt(ctx, roster[s.exempted].MemberID)
}

// exempt leaves the one who is bedridden out of the count.
func (s *Story) exempt(ctx context.Context, memberID uint64) error {
	out, err := must[tally](ctx, s, s.secretary, http.MethodPost, s.path("/exemptions"), map[string]any{
		"member_id": memberID, "exemption": "bedridden", "reason": "支委会同意，长期卧床",
	})
	if err != nil {
		return err
	}
	s.want.Exempt++
	s.want.Expected--
	s.want.Awaited--
	if s.votes(s.exempted) {
		s.want.VotersExpected--
	}
	s.Did(s.exempted+" 长期卧床，经支委会同意不计入应到", s.want.like(out)...)
	return nil
}

// record is what the secretary enters for somebody else.
func (s *Story) record(ctx context.Context, in map[string]any) (*answer, error) {
	in["nonce"] = rand.Text()
	return s.ask(ctx, s.secretary, http.MethodPost, s.path("/attendances"), in)
}

// troubles is everybody whom the code alone does not help, and the rest.
func (s *Story) troubles(ctx context.Context) error {
	s.Chapter("各种意外，和迟到的人")
	for _, trouble := range []func(context.Context) error{s.relay, s.replace, s.typing, s.showing, s.ticking} {
		if err := trouble(ctx); err != nil {
			return err
		}
	}
	tardy := len(s.guests) - 1
	s.turn("14:27")
	if err := s.crowd(ctx, s.guests[firstCrowd:tardy]); err != nil {
		return err
	}
	if err := s.look(ctx); err != nil {
		return err
	}
	a, err := s.ask(ctx, s.secretary, http.MethodPost, s.path("/closing"), nil)
	if err != nil {
		return err
	}
	s.Refused("书记误触了“结束会议”", a, "not_started")

	s.turn("14:46")
	who := s.guests[tardy]
	if a, err = s.lookUp(ctx, who); err != nil {
		return err
	}
	in, err := read[checkedIn](a, http.MethodPost, "/v1/check-ins")
	if err != nil {
		return err
	}
	s.want.Late++
	s.came(who, fmt.Sprintf("%s 路上堵车：“%s”", who.Name, in.Message), a, Is("记为迟到", in.Late, true))
	return s.look(ctx)
}

type checkedIn struct {
	Message    string `json:"message"`
	Late       bool   `json:"late"`
	Provenance string `json:"provenance"`
}

// relay is a photo of the screen that comes too late.
func (s *Story) relay(ctx context.Context) error {
	s.turn("14:18")
	who := s.guests[atHome]
	a, err := s.scan(ctx, who, s.photo)
	if err != nil {
		return err
	}
	s.Refused(who.Name+" 还在路上，扫了同事早先拍来的照片", a, "code_expired")
	if a, err = s.lookUp(ctx, who); err != nil {
		return err
	}
	s.came(who, who.Name+" 进了会场，扫屏幕上的码", a)
	return nil
}

// replace is the secretary making the code worthless that is out in a chat.
func (s *Story) replace(ctx context.Context) error {
	s.turn("14:20")
	who := s.guests[outpaced]
	old, err := s.screen(ctx)
	if err != nil {
		return err
	}
	fresh, err := must[screen](ctx, s, s.secretary, http.MethodPost, s.path("/check-in-code"), nil)
	if err != nil {
		return err
	}
	s.Did("有人把码转进了群，书记按“换新码”", Is("换了码", fresh.Code != old.Code, true))
	a, err := s.scan(ctx, who, old.Code)
	if err != nil {
		return err
	}
	s.Refused(who.Name+" 手里还是刚才的码", a, "code_expired")
	if a, err = s.scan(ctx, who, fresh.Code); err != nil {
		return err
	}
	s.came(who, who.Name+" 抬头再扫新码", a)
	return nil
}

// typing is the six digits, wrong at first.
func (s *Story) typing(ctx context.Context) error {
	s.turn("14:22")
	who := s.guests[noCamera]
	shown, err := s.screen(ctx)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(shown.Digits)
	if err != nil {
		return fmt.Errorf("read the digits: %w", err)
	}
	try := func(digits string) (*answer, error) {
		return s.ask(ctx, who, http.MethodPost, "/v1/check-ins", map[string]any{"digits": digits, "activity_id": s.activity, "nonce": rand.Text()})
	}
	a, err := try(fmt.Sprintf("%06d", (number+1)%1_000_000))
	if err != nil {
		return err
	}
	s.Refused(who.Name+" 的摄像头坏了，改输数字，输错了一次", a, "typed_code_invalid")
	if a, err = try(shown.Digits); err != nil {
		return err
	}
	in, err := read[checkedIn](a, http.MethodPost, "/v1/check-ins")
	if err != nil {
		return err
	}
	s.came(who, fmt.Sprintf("%s 输入 %s", who.Name, shown.Digits), a, Is("方式", in.Provenance, "typed_code"))
	return nil
}

// showing is a member's own code, scanned by the secretary.
func (s *Story) showing(ctx context.Context) error {
	s.turn("14:24")
	who := s.guests[noNetwork]
	own, err := must[struct {
		Code string `json:"code"`
	}](ctx, s, who, http.MethodGet, "/v1/me/code", nil)
	if err != nil {
		return err
	}
	a, err := s.record(ctx, map[string]any{"member_code": own.Code, "status": "present"})
	if err != nil {
		return err
	}
	s.came(who, who.Name+" 出示自己的党员码，书记来扫", a)
	return nil
}

// ticking is the secretary ticking a name.
func (s *Story) ticking(ctx context.Context) error {
	s.turn("14:25")
	who := s.guests[noBattery]
	tick := map[string]any{"member_id": who.memberID, "status": "present", "reason": "手机没电"}
	a, err := s.record(ctx, tick)
	if err != nil {
		return err
	}
	again, err := s.ask(ctx, s.secretary, http.MethodPost, s.path("/attendances"), tick)
	if err != nil {
		return err
	}
	s.came(who, who.Name+" 的手机没电了，书记在名单上勾一下；勾与扫同样算数", a, Is("重发后的回答", string(again.Body), string(a.Body)))
	return nil
}
