package demo

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// What the story reads of hours.
type (
	presence struct {
		Message    string    `json:"message"`
		ArrivedAt  time.Time `json:"arrived_at"`
		Minutes    int       `json:"minutes"`
		Provenance string    `json:"provenance"`
	}
	hoursConfirmed struct {
		Served  int            `json:"served"`
		NoShows int            `json:"no_shows"`
		Minutes map[string]int `json:"minutes"`
	}
	hours struct {
		Member     string `json:"member"`
		Community  string `json:"community"`
		Provenance string `json:"provenance"`
		By         string `json:"by"`
		Minutes    int    `json:"minutes"`
		Day        string `json:"day"`
	}
	slipRead struct {
		People int `json:"people"`
		Sums   []struct {
			Provenance string `json:"provenance"`
			Name       string `json:"name"`
			Minutes    int    `json:"minutes"`
		} `json:"sums"`
		Lines       []hours    `json:"lines"`
		Comment     string     `json:"comment"`
		ConfirmedAt *time.Time `json:"confirmed_at"`
	}
)

// serve is the service day itself: people come, one does not, and they leave.
func (v *serving) serve(ctx context.Context) error {
	v.Chapter(fmt.Sprintf("服务当天（%s）", v.day.Format("1月2日")))
	v.turnTo(v.day, "08:50")
	scanning := slices.Concat(v.seated[:ticked:ticked])
	shown, err := must[screen](ctx, v.Story, v.liaison, http.MethodGet, v.path("/check-in-code"), nil)
	if err != nil {
		return err
	}
	if err := v.draw(shown.URL); err != nil {
		return err
	}
	first := make([]presence, len(scanning))
	err = each(scanning, func(i int, who *phone) (err error) {
		first[i], err = must[presence](ctx, v.Story, who, http.MethodPost, "/v1/service-check-ins", map[string]any{"code": shown.Code})
		return err
	})
	if err != nil {
		return err
	}
	v.Did(fmt.Sprintf("%d 人扫社区的码签到", len(scanning)), Is("签到时间", v.local(first[0].ArrivedAt.Format(time.RFC3339)), "08:50"))
	if _, err := v.tick(ctx, "arrive"); err != nil {
		return err
	}
	v.Did(v.seated[ticked].Name + " 的手机没电，联络员在名单上勾一下")

	v.turnTo(v.day, "09:05")
	if shown, err = must[screen](ctx, v.Story, v.liaison, http.MethodGet, v.path("/check-in-code"), nil); err != nil {
		return err
	}
	a, err := v.ask(ctx, v.waiting[0], http.MethodPost, "/v1/service-check-ins", map[string]any{"code": shown.Code})
	if err != nil {
		return err
	}
	v.Refused(v.waiting[0].Name+" 还在候补里，没有轮到", a, "signup_required")
	again, err := must[presence](ctx, v.Story, scanning[0], http.MethodPost, "/v1/service-check-ins", map[string]any{"code": shown.Code})
	if err != nil {
		return err
	}
	v.Did(scanning[0].Name+" 不放心，又扫了一遍：第一次为准", Is("签到时间", v.local(again.ArrivedAt.Format(time.RFC3339)), "08:50"))
	if a, err = v.ask(ctx, scanning[1], http.MethodPost, "/v1/service-check-outs", map[string]any{"code": shown.Code}); err != nil {
		return err
	}
	v.Refused(scanning[1].Name+" 才来就要走：先说清楚，走了就不计时长", a, "stay_longer", Is("从什么时候起计时长", v.local(a.Details["counts_from"]), "09:30"))
	return v.leave(ctx, scanning)
}

// leave is everybody going home, one of them without a scan.
func (v *serving) leave(ctx context.Context, scanning []*phone) error {
	v.turnTo(v.day, "11:02")
	shown, err := must[screen](ctx, v.Story, v.liaison, http.MethodGet, v.path("/check-in-code"), nil)
	if err != nil {
		return err
	}
	leaving := slices.Concat(scanning[:forgetful])
	last := make([]presence, len(leaving))
	err = each(leaving, func(i int, who *phone) (err error) {
		last[i], err = must[presence](ctx, v.Story, who, http.MethodPost, "/v1/service-check-outs", map[string]any{"code": shown.Code})
		return err
	})
	if err != nil {
		return err
	}
	v.Did(fmt.Sprintf("%d 人扫码签退：“%s”；%s 忘了扫", len(leaving), last[0].Message, scanning[forgetful].Name),
		Is("记下的分钟数", last[0].Minutes, wholeTime), Is("时长的来源", last[0].Provenance, "scanned"))
	left, err := v.tick(ctx, "leave")
	if err != nil {
		return err
	}
	v.Did("联络员勾 "+v.seated[ticked].Name+" 离开", Is("时长的来源", left.Provenance, "attested"))
	return nil
}

// tick is the liaison ticking the one without a battery.
func (v *serving) tick(ctx context.Context, act string) (presence, error) {
	out, err := must[list[presence]](ctx, v.Story, v.liaison, http.MethodPost, v.path("/presences"),
		map[string]any{"act": act, "sign_up_ids": []uint64{v.signUps[v.seated[ticked].openID]}})
	if err != nil || len(out.Items) != 1 {
		return presence{}, err
	}
	return out.Items[0], nil
}

// confirm is the community's word on the hours.
func (v *serving) confirm(ctx context.Context) error {
	v.Chapter("时长：每一分钟都说得清来源")
	v.turnTo(v.day, "11:30")
	done, err := must[hoursConfirmed](ctx, v.Story, v.liaison, http.MethodPost, v.path("/hours"), map[string]any{})
	if err != nil {
		return err
	}
	again, err := must[hoursConfirmed](ctx, v.Story, v.liaison, http.MethodPost, v.path("/hours"), map[string]any{})
	if err != nil {
		return err
	}
	v.Did("联络员确认时长，点了两下", Is("记了时长的", done.Served, seats-1), Is("没有来的", done.NoShows, 1),
		Is("扫码签到签退的分钟数", done.Minutes["scanned"], forgetful*wholeTime), Is("只扫签到的分钟数", done.Minutes["in_only"], wholeTime),
		Is("社区证明的分钟数", done.Minutes["attested"], wholeTime), Is("再点一下", fmt.Sprint(again), fmt.Sprint(done)))
	v.Note(fmt.Sprintf("扫码签到签退 %d 分钟　只扫签到 %d 分钟　社区证明 %d 分钟：分开列，不混加", done.Minutes["scanned"], done.Minutes["in_only"], done.Minutes["attested"]))

	absent := v.seated[missing]
	mine, err := v.mine(ctx, absent)
	if err != nil {
		return err
	}
	a, err := v.ask(ctx, absent, http.MethodPost, fmt.Sprintf("/v1/sign-ups/%d/absence", v.signUps[absent.openID]), map[string]any{"reason": "孩子发烧去医院"})
	if err != nil {
		return err
	}
	explained, err := v.mine(ctx, absent)
	if err != nil {
		return err
	}
	v.Did(absent.Name+" 没有来，自己说明了原因；系统不扣、不锁", Is("记为未到", mine.NoShow, true), Is("回答", a.Code, "ok"), Is("原因", explained.Absence, "孩子发烧去医院"))

	var ended struct{ State string }
	err = v.until(ctx, func() (bool, error) {
		u, err := v.mine(ctx, v.waiting[0])
		ended.State = u.State
		return u.State != "waiting", err
	})
	if err != nil {
		return err
	}
	v.Did("开始以后不再候补：还在排队的自动结束", Is(v.waiting[0].Name+" 的候补", ended.State, "expired"))

	if a, err = v.ask(ctx, v.liaison, http.MethodPost, v.slipPath("/confirmation"), map[string]any{}); err != nil {
		return err
	}
	v.Refused("季度还没有过完，反馈表还不能确认", a, "quarter_not_over")
	return nil
}

// mine is the person's own sign-up of this service day.
func (v *serving) mine(ctx context.Context, who *phone) (out struct {
	ID      uint64 `json:"id"`
	State   string `json:"state"`
	NoShow  bool   `json:"no_show"`
	Absence string `json:"absence"`
}, err error) {
	all, err := must[list[struct {
		ID      uint64 `json:"id"`
		State   string `json:"state"`
		NoShow  bool   `json:"no_show"`
		Absence string `json:"absence"`
	}]](ctx, v.Story, who, http.MethodGet, "/v1/me/sign-ups", nil)
	for _, u := range all.Items {
		if u.ID == v.signUps[who.openID] {
			out = u
		}
	}
	return out, err
}

// quarter is that of the service day, written 2026Q1.
func (v *serving) quarter() string { return fmt.Sprintf("%dQ%d", v.day.Year(), (v.day.Month()+2)/3) }

func (v *serving) slipPath(of string) string {
	return fmt.Sprintf("/v1/communities/%d/feedback-slips/%s/%d%s", v.community.ID, v.quarter(), v.branchID, of)
}

// praise is the community's comment.
const praise = "来得齐，干得实，老人们都记着。"

// slip is 双向反馈 at the end of the quarter.
func (v *serving) slip(ctx context.Context) error {
	v.Chapter("双向反馈（" + v.quarter() + " 过完以后）")
	next := time.Date(v.day.Year(), (v.day.Month()+2)/3*3+1, 1, 0, 0, 0, 0, v.day.Location())
	v.turnTo(next, "09:00")
	someone := v.seated[0]
	for _, who := range []*phone{v.liaison, v.secretary, someone} { // a month without a visit ends a session
		if err := v.signIn(ctx, who); err != nil {
			return err
		}
	}
	made, err := must[slipRead](ctx, v.Story, v.liaison, http.MethodGet, v.slipPath(""), nil)
	if err != nil {
		return err
	}
	sums := map[string]int{}
	told := ""
	for _, s := range made.Sums {
		sums[s.Provenance] = s.Minutes
		told += fmt.Sprintf("%s %d 分钟　", s.Name, s.Minutes)
	}
	v.Did(fmt.Sprintf("系统已按台账做好 %s 的反馈表：%d 人参加；既随支部又以个人报到的，只算一次", v.Branch.Name, made.People), Is("参加服务的人数", made.People, seats-1),
		Is("扫码签到签退", sums["scanned"], forgetful*wholeTime), Is("只扫签到", sums["in_only"], wholeTime), Is("社区证明", sums["attested"], wholeTime), Is("已确认", made.ConfirmedAt != nil, false))
	v.Note(strings.TrimSpace(told))
	confirmed, err := must[slipRead](ctx, v.Story, v.liaison, http.MethodPost, v.slipPath("/confirmation"), map[string]any{"comment": praise})
	if err != nil {
		return err
	}
	seen, err := must[slipRead](ctx, v.Story, v.secretary, http.MethodGet, v.slipPath(""), nil)
	if err != nil {
		return err
	}
	v.Did("社区确认并评价，单位随即看到", Is("已确认", confirmed.ConfirmedAt != nil, true), Is("书记看到的评价", seen.Comment, praise), Is("书记看到的明细", len(seen.Lines), seats-1))
	v.Note("社区：「" + seen.Comment + "」")
	own, err := must[slipRead](ctx, v.Story, someone, http.MethodGet, v.slipPath(""), nil)
	if err != nil {
		return err
	}
	names := ""
	for _, l := range own.Lines {
		names += l.Member
	}
	v.Did(someone.Name+" 也能看，明细里只有自己的", Is("明细里的人", names, someone.Name))

	file := fmt.Sprintf("双向反馈表-%s-%s", v.quarter(), v.community.Name)
	err = v.export(ctx, v.secretary, v.slipPath("/slip.*"), filepath.Join(v.Dir, "服务", file), "书记把反馈表导出为", func(text string) []Claim {
		return []Claim{Is("表上有 "+someone.Name, strings.Contains(text, someone.Name), true), Is("表上有没来的 "+v.seated[missing].Name, strings.Contains(text, v.seated[missing].Name), false),
			Is("表上的评价", strings.Contains(text, praise), true)}
	})
	if err != nil {
		return err
	}
	file = fmt.Sprintf("服务记录证明-%s-%d", v.day.Format("20060102"), someone.memberID)
	return v.export(ctx, someone, fmt.Sprintf("/v1/members/%d/service-record.*?year=%d", someone.memberID, v.day.Year()), filepath.Join(v.Dir, "服务", file), someone.Name+" 把服务记录证明导出为", func(text string) []Claim {
		return []Claim{Is("证明上的社区", strings.Contains(text, v.community.Name), true), Is("证明上的姓名", strings.Contains(text, someone.Name), true)}
	})
}
