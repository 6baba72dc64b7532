package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// serving is the part of the story about a 固定服务日: a community asks for six
// people, more come than it has seats for, and what they did is confirmed.
type serving struct {
	*Story
	community organisation
	liaison   *phone
	day       time.Time // of the service
	id        uint64
	slot      uint64
	seated    []*phone          // those with a seat, in the order in which they have a part
	waiting   []*phone          // those in line
	signUps   map[string]uint64 // by openid
}

// The seats of the slot, and those who have a part of their own.
const (
	seats  = 6
	inLine = 3

	forgetful = seats - 3 // does not check out
	ticked    = seats - 2 // has no battery
	missing   = seats - 1 // does not come

	wholeTime = 120 // minutes of the service
)

func (v *serving) chapters() []func(context.Context) error {
	return []func(context.Context) error{v.need, v.signUp, v.serveLine, v.serve, v.confirm, v.slip}
}

// What the story reads of a service.
type (
	slot struct {
		ID      uint64 `json:"id"`
		Title   string `json:"title"`
		Skill   string `json:"skill"`
		Taken   int    `json:"taken"`
		Waiting int    `json:"waiting"`

		Capacity int       `json:"capacity"`
		StartsAt time.Time `json:"starts_at"`
	}
	serviceDay struct {
		ID     uint64 `json:"id"`
		Status string `json:"status"`
		Slots  []slot `json:"slots"`
	}
	signedUp struct {
		ID          uint64    `json:"id"`
		State       string    `json:"state"`
		Position    int       `json:"position"`
		Message     string    `json:"message"`
		OfferEndsAt time.Time `json:"offer_ends_at"`
	}
)

func (v *serving) path(of string) string { return fmt.Sprintf("/v1/service-days/%d%s", v.id, of) }
func (v *serving) slotPath(of string) string {
	return fmt.Sprintf("/v1/service-slots/%d%s", v.slot, of)
}

// choose finds a community and a day on which nobody of this district serves
// yet, so that the story can be played again and again over the same data.
func (v *serving) choose(ctx context.Context) error {
	all, err := must[list[organisation]](ctx, v.Story, v.secretary, http.MethodGet, "/v1/communities?limit=50", nil)
	if err != nil {
		return err
	}
	all.Items = slices.DeleteFunc(all.Items, func(o organisation) bool { return v.Liaisons[o.Name].Name == "" })
	if len(all.Items) == 0 {
		return errors.New("名册里没有社区")
	}
	for n := range 1000 {
		v.day = v.Day.AddDate(0, 0, 3+n)
		v.community = all.Items[n%len(all.Items)]
		busy, err := must[list[slot]](ctx, v.Story, v.secretary, http.MethodGet, "/v1/service-slots?limit=1&from="+v.day.Format(time.DateOnly), nil)
		if err != nil {
			return err
		}
		if len(busy.Items) > 0 && busy.Items[0].StartsAt.In(v.day.Location()).Format(time.DateOnly) == v.day.Format(time.DateOnly) {
			continue
		}
		before, err := must[slipRead](ctx, v.Story, v.secretary, http.MethodGet, v.slipPath(""), nil)
		if err != nil {
			return err
		}
		if len(before.Lines) == 0 {
			return nil
		}
	}
	return errors.New("这份数据上已经演示得太多，请换一个数据目录")
}

// need is the community's liaison asking for people, from the phone.
func (v *serving) need(ctx context.Context) error {
	v.turn("16:40")
	if err := v.choose(ctx); err != nil {
		return err
	}
	v.Chapter(fmt.Sprintf("社区发布固定服务日（%s，%s）", v.community.Name, v.day.Format("1月2日")))
	v.turnTo(v.day.AddDate(0, 0, -3), "17:00")
	who := v.Liaisons[v.community.Name]
	var err error
	if v.liaison, err = v.pickUp(ctx, who, who.Phone); err != nil {
		return err
	}
	a, err := v.bind(ctx, v.liaison)
	if err != nil {
		return err
	}
	if err := v.Appoint(ctx, v.community.ID, v.liaison.memberID); err != nil {
		return err
	}
	v.Did(fmt.Sprintf("%s 的 %s 打开小程序；区里已任命为社区联络员", v.community.Name, v.liaison.Name), Is("绑定", a.Code, "ok"))
	v.seated, v.waiting = slices.Clone(v.guests[crowd:crowd+seats]), v.guests[crowd+seats:crowd+seats+inLine]
	v.signUps = map[string]uint64{}
	everybody := append(slices.Concat(v.seated, v.waiting), v.secretary, v.stranger)
	if err := each(everybody, func(_ int, who *phone) error { return v.signIn(ctx, who) }); err != nil {
		return err
	}
	if err := v.register(ctx); err != nil {
		return err
	}

	v.turnTo(v.now, "17:10")
	draft := map[string]any{
		"community_id": v.community.ID, "nonce": rand.Text(), "title": v.community.Name + "固定服务日", "content": "清扫楼道，给独居老人送菜。请穿方便劳动的衣服。",
		"place": v.community.Name + "居委会院内", "contact": "居委会值班室", "registered_only": true, "minimum_minutes": 30,
		"slots": []map[string]any{
			{"name": "楼道清扫", "skill": "environment", "capacity": seats, "starts_at": momentOf(v.day, "09:00"), "ends_at": momentOf(v.day, "11:00")},
			{"name": "政策咨询", "skill": "law", "capacity": 2, "starts_at": momentOf(v.day, "09:00"), "ends_at": momentOf(v.day, "11:00")},
		},
	}
	first, err := must[serviceDay](ctx, v.Story, v.liaison, http.MethodPost, "/v1/service-days", draft)
	if err != nil {
		return err
	}
	again, err := must[serviceDay](ctx, v.Story, v.liaison, http.MethodPost, "/v1/service-days", draft)
	if err != nil {
		return err
	}
	v.id = first.ID
	if a, err = v.ask(ctx, v.seated[0], http.MethodGet, v.path(""), nil); err != nil {
		return err
	}
	v.Refused(fmt.Sprintf("%s 在手机上写好需要：楼道清扫 %d 人、政策咨询 2 人；没有发布，党员还看不到", v.liaison.Name, seats), a, "service_day_not_found",
		Is("保存两次得到的服务日", again.ID, first.ID), Is("状态", first.Status, "draft"))
	published, err := must[serviceDay](ctx, v.Story, v.liaison, http.MethodPost, v.path("/publication"), nil)
	if err != nil {
		return err
	}
	if len(published.Slots) != 2 {
		return fmt.Errorf("服务日有 %d 个岗位", len(published.Slots))
	}
	v.slot = published.Slots[0].ID
	found, err := must[list[slot]](ctx, v.Story, v.seated[0], http.MethodGet, fmt.Sprintf("/v1/service-slots?skill=law&community_id=%d&from=%s", v.community.ID, v.day.Format(time.DateOnly)), nil)
	if err != nil {
		return err
	}
	v.Did("发布：文字经微信内容安全检查；按专长一找就有", Is("状态", published.Status, "published"), Is("岗位", len(published.Slots), 2),
		Is("按“法律政策”找到的", len(found.Items), 1))
	return nil
}

// register is 双报到: the branch as a whole, and one member by themselves as well.
func (v *serving) register(ctx context.Context) error {
	confirmed := 0
	for _, r := range []struct {
		who *phone
		in  map[string]any
	}{{v.secretary, map[string]any{"community_id": v.community.ID, "branch_id": v.branchID}}, {v.seated[1], map[string]any{"community_id": v.community.ID}}} {
		made, err := must[struct {
			ID uint64 `json:"id"`
		}](ctx, v.Story, r.who, http.MethodPost, "/v1/community-registrations", r.in)
		if err != nil {
			return err
		}
		answer, err := must[struct {
			ConfirmedAt *time.Time `json:"confirmed_at"`
		}](ctx, v.Story, v.liaison, http.MethodPost, fmt.Sprintf("/v1/community-registrations/%d/confirmation", made.ID), map[string]any{"accept": true})
		if err != nil {
			return err
		}
		if answer.ConfirmedAt != nil {
			confirmed++
		}
	}
	v.Did(fmt.Sprintf("双报到：%s 整个支部报到，%s 本人也报到；%s 一一确认", v.Branch.Name, v.seated[1].Name, v.liaison.Name), Is("确认的报到", confirmed, 2))
	return nil
}

// signUp is people taking the seats, and standing in line for them.
func (v *serving) signUp(ctx context.Context) error {
	v.Chapter("报名与候补")
	v.turnTo(v.now, "17:30")
	a, err := v.take(ctx, v.stranger)
	if err != nil {
		return err
	}
	v.Refused(v.stranger.Name+" 的支部没有到这个社区报到", a, "not_registered_here")
	both := make([][2]*answer, seats)
	err = each(v.seated, func(i int, who *phone) error {
		in := map[string]any{"nonce": rand.Text()}
		return each([]int{0, 1}, func(_, tap int) (err error) {
			both[i][tap], err = v.ask(ctx, who, http.MethodPost, v.slotPath("/sign-ups"), in)
			return err
		})
	})
	if err != nil {
		return err
	}
	got, same := 0, 0
	for i, who := range v.seated {
		u, err := read[signedUp](both[i][0], http.MethodPost, v.slotPath("/sign-ups"))
		if err != nil {
			return err
		}
		v.signUps[who.openID] = u.ID
		if u.State == "seated" {
			got++
		}
		if string(both[i][0].Body) == string(both[i][1].Body) {
			same++
		}
	}
	s, err := v.look(ctx)
	if err != nil {
		return err
	}
	v.Did(fmt.Sprintf("%d 人同时来报，人人都连点两下：每人一个名额", seats), Is("报上的", got, seats), Is("两次点击同一个回答的", same, seats), Is("已占名额", s.Taken, seats))

	v.turnTo(v.now, "17:35")
	if a, err = v.take(ctx, v.waiting[0]); err != nil {
		return err
	}
	v.Refused(v.waiting[0].Name+" 晚了一步", a, "slot_full", Is("告知的候补人数", a.Details["waiting"], any(0.0)))
	positions := ""
	for _, who := range v.waiting {
		u, err := must[signedUp](ctx, v.Story, who, http.MethodPost, v.slotPath("/waiting-list"), map[string]any{"nonce": rand.Text()})
		if err != nil {
			return err
		}
		v.signUps[who.openID] = u.ID
		positions += fmt.Sprint(u.Position, " ")
	}
	if err := v.accept(ctx, v.waiting[0], "waiting_list"); err != nil {
		return err
	}
	if s, err = v.look(ctx); err != nil {
		return err
	}
	v.Did(fmt.Sprintf("%d 人排候补；%s 点了“轮到时通知我”", inLine, v.waiting[0].Name), Is("候补的位次", positions, "1 2 3 "), Is("列表上的候补人数", s.Waiting, inLine))
	return nil
}

// take is one tap on 报名.
func (v *serving) take(ctx context.Context, who *phone) (*answer, error) {
	return v.ask(ctx, who, http.MethodPost, v.slotPath("/sign-ups"), map[string]any{"nonce": rand.Text()})
}

// look is the slot as the list shows it.
func (v *serving) look(ctx context.Context) (slot, error) {
	found, err := must[list[slot]](ctx, v.Story, v.secretary, http.MethodGet,
		fmt.Sprintf("/v1/service-slots?community_id=%d&from=%s", v.community.ID, v.day.Format(time.DateOnly)), nil)
	for _, s := range found.Items {
		if s.ID == v.slot {
			return s, err
		}
	}
	return slot{}, err
}

// serveLine is a seat that comes free, offered to the first in line.
func (v *serving) serveLine(ctx context.Context) error {
	v.turnTo(v.day.AddDate(0, 0, -2), "10:00")
	first, owner := v.waiting[0], v.seated[0]
	a, err := v.ask(ctx, owner, http.MethodPost, fmt.Sprintf("/v1/sign-ups/%d/cancellation", v.signUps[owner.openID]), map[string]any{})
	if err != nil {
		return err
	}
	v.Did(owner.Name+" 要出差，在截止前取消", Is("回答", a.Code, "ok"))
	var told []message
	err = v.until(ctx, func() (_ bool, err error) {
		told, err = v.messagesOf(ctx, first)
		return len(told) > 0, err
	})
	if err != nil {
		return err
	}
	v.Did(fmt.Sprintf("%s 手机响了：空出来的名额先留给排在最前的人", first.Name), Is("收到的候补通知", len(told), 1))
	if len(told) > 0 {
		for _, f := range told[0].Fields {
			v.Note(f.Name + "：" + f.Value)
		}
	}
	if a, err = v.take(ctx, v.secretary); err != nil {
		return err
	}
	v.Refused(v.secretary.Name+" 书记这时来报：保留的名额不给插队的人", a, "slot_full", Is("告知的候补人数", a.Details["waiting"], any(float64(inLine-1))))
	home, err := must[struct {
		Headline string `json:"headline"`
		Offers   []struct {
			SignUpID uint64 `json:"sign_up_id"`
		} `json:"offers"`
	}](ctx, v.Story, first, http.MethodGet, "/v1/home", nil)
	if err != nil {
		return err
	}
	v.turnTo(v.now, "10:20")
	answers := ""
	for range 2 {
		u, err := must[signedUp](ctx, v.Story, first, http.MethodPost, fmt.Sprintf("/v1/sign-ups/%d/answer", v.signUps[first.openID]), map[string]any{"accept": true})
		if err != nil {
			return err
		}
		answers += u.State + " "
	}
	s, err := v.look(ctx)
	if err != nil {
		return err
	}
	v.Did(first.Name+" 打开首屏确认，点了两下：一个名额", Is("首屏上的名额", len(home.Offers), 1), Is("两次确认", answers, "seated seated "),
		Is("已占名额", s.Taken, seats), Is("还在候补的", s.Waiting, inLine-1))
	v.Note("首屏：" + home.Headline)
	v.seated[0], v.waiting = first, v.waiting[1:]
	if told, err = v.messagesOf(ctx, first); err != nil {
		return err
	}
	v.Did("候补通知从头到尾只有一条", Is("收到的候补通知", len(told), 1))
	return nil
}

// messagesOf are the messages about this service day on the person's phone.
func (v *serving) messagesOf(ctx context.Context, who *phone) ([]message, error) {
	all, err := v.messages(ctx, who)
	return slices.DeleteFunc(all, func(m message) bool { return m.Page != fmt.Sprintf("pages/service/index?id=%d", v.id) }), err
}
