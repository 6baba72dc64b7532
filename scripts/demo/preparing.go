package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
)

// enrol is everybody signing in and being recognised.
func (s *Story) enrol(ctx context.Context) error {
	s.Chapter("登录与绑定")
	s.turn("09:10")
	var err error
	if s.secretary, err = s.pickUp(ctx, s.Branch.Secretary, s.Branch.Secretary.Phone); err != nil {
		return err
	}
	before, err := must[home](ctx, s, s.secretary, http.MethodGet, "/v1/home", nil)
	if err != nil {
		return err
	}
	s.Did(fmt.Sprintf("%s 打开小程序，微信登录", s.secretary.Name), Is("已绑定", before.Bound, false))
	s.Note("首屏：" + before.Headline)
	a, err := s.bind(ctx, s.secretary)
	if err != nil {
		return err
	}
	after, err := must[home](ctx, s, s.secretary, http.MethodGet, "/v1/home", nil)
	if err != nil {
		return err
	}
	s.Did(fmt.Sprintf("%s 验证手机号，被认出：%s，%s", s.secretary.Name, s.Branch.Name, s.secretary.Post),
		Is("绑定", a.Code, "ok"), Is("首屏上的支部", after.Branch, s.Branch.Name))

	s.turn("09:15")
	err = each(s.comers, func(i int, p Person) error {
		if i == invited {
			return nil
		}
		who, err := s.pickUp(ctx, p, p.Phone)
		if err != nil {
			return err
		}
		s.guests[i] = who
		a, err := s.bind(ctx, who)
		if err == nil && a.Code != "ok" {
			err = fmt.Errorf("%s 没有绑定成功：%s「%s」", p.Name, a.Code, a.Detail)
		}
		return err
	})
	if err != nil {
		return err
	}
	s.Did(fmt.Sprintf("另外 %d 人同时登录，各自验证手机号", len(s.comers)-1))
	if s.stranger, err = s.pickUp(ctx, s.Stranger, s.Stranger.Phone); err != nil {
		return err
	}
	if a, err = s.bind(ctx, s.stranger); err != nil {
		return err
	}
	s.Did(fmt.Sprintf("外支部的 %s 也绑定了", s.stranger.Name), Is("绑定", a.Code, "ok"))
	return s.invite(ctx)
}

// invite binds the one whose number is not on the roster.
func (s *Story) invite(ctx context.Context) error {
	s.turn("09:20")
	who, err := s.pickUp(ctx, s.comers[invited], unlisted)
	if err != nil {
		return err
	}
	s.guests[invited] = who
	a, err := s.bind(ctx, who)
	if err != nil {
		return err
	}
	s.Refused(fmt.Sprintf("%s 换过手机号，验证没有通过", who.Name), a, "phone_unknown")

	offices, err := must[list[organisation]](ctx, s, s.secretary, http.MethodGet, "/v1/organisations", nil)
	if err != nil {
		return err
	}
	for _, o := range offices.Items {
		if o.Name == s.Branch.Name {
			s.branchID = o.ID
		}
	}
	members, err := must[list[line]](ctx, s, s.secretary, http.MethodGet, fmt.Sprintf("/v1/organisations/%d/members?limit=100", s.branchID), nil)
	if err != nil {
		return err
	}
	var memberID uint64
	for _, m := range members.Items {
		if m.Name == who.Name {
			memberID = m.ID
		}
	}
	invitation, err := must[struct {
		Code string `json:"code"`
	}](ctx, s, s.secretary, http.MethodPost, fmt.Sprintf("/v1/members/%d/invitation", memberID), nil)
	if err != nil {
		return err
	}
	if a, err = s.bindBy(ctx, who, map[string]string{"invitation": invitation.Code}); err != nil {
		return err
	}
	s.Did(fmt.Sprintf("书记给 %s 一个一次性邀请码 %s，绑定成功", who.Name, invitation.Code),
		Is("支部名册的人数", len(members.Items), s.size()), Is("绑定", a.Code, "ok"), Is("绑定的党员", who.memberID, memberID))
	other, err := s.pickUp(ctx, s.Stranger, unlisted)
	if err != nil {
		return err
	}
	if a, err = s.bindBy(ctx, other, map[string]string{"invitation": invitation.Code}); err != nil {
		return err
	}
	s.Refused("另一个微信捡到这个邀请码，不能再用", a, "bad_invitation")

	bound := map[uint64]bool{s.secretary.memberID: true}
	for _, p := range s.guests {
		bound[p.memberID] = true
	}
	s.Did(fmt.Sprintf("%d 个微信对 %d 位党员，一一对应", s.attending(), len(bound)), Is("绑定的党员数", len(bound), s.attending()))
	return s.upload(ctx)
}

// upload is the secretary bringing the branch's own roster, at first with a slip.
func (s *Story) upload(ctx context.Context) error {
	s.turn("09:25")
	sheet := "姓名,手机号,党员类别\n"
	for _, p := range s.everybody() {
		status := "预备党员"
		if p.Votes {
			status = "正式党员"
		}
		sheet += p.Name + "," + p.Phone + "," + status + "\n"
	}
	slip := strings.Replace(sheet, s.comers[crowd].Phone, s.comers[crowd].Phone[:10], 1)
	a, err := s.send(ctx, slip)
	if err != nil {
		return err
	}
	s.Refused("书记用自己的表核对名册，有个手机号少打一位：整张表都没有写入", a, "import_problems", Is("需要修改的地方", a.Details["problem_count"], any(1.0)))
	if problems, ok := a.Details["problems"].([]any); ok && len(problems) > 0 {
		if p, ok := problems[0].(map[string]any); ok {
			s.Note(fmt.Sprintf("第 %v 行 %v 列：%v", p["row"], p["column"], p["message"]))
		}
	}
	if a, err = s.send(ctx, sheet); err != nil {
		return err
	}
	report, err := read[struct {
		Rows      int `json:"rows"`
		Unchanged int `json:"unchanged"`
	}](a, http.MethodPost, "roster-imports")
	if err != nil {
		return err
	}
	s.Did(fmt.Sprintf("改好再传：%d 行，与名册完全一致", report.Rows), Is("行数", report.Rows, s.size()), Is("没有变化的行", report.Unchanged, s.size()))
	return nil
}

// send uploads a roster of the branch.
func (s *Story) send(ctx context.Context, sheet string) (*answer, error) {
	return s.attach(ctx, s.secretary, fmt.Sprintf("/v1/organisations/%d/roster-imports", s.branchID), "名册.csv", []byte(sheet))
}

// attach uploads a file as wx.uploadFile does.
func (s *Story) attach(ctx context.Context, who *phone, path, name string, content []byte) (*answer, error) {
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	file, err := form.CreateFormFile("file", name)
	if err == nil {
		_, err = file.Write(content)
	}
	if err := errors.Join(err, form.Close()); err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	return s.ask(ctx, who, http.MethodPost, path, &b, "Content-Type", form.FormDataContentType())
}

// publish is the secretary planning the meeting.
func (s *Story) publish(ctx context.Context) error {
	s.Chapter("发布")
	s.turn("09:30")
	draft := map[string]any{
		"organisation_id": s.branchID, "nonce": rand.Text(), "kind": "theme_party_day", "title": title, "content": content,
		"place": map[string]any{"name": place}, "starts_at": s.moment("14:30"), "ends_at": s.moment("16:30"),
		"open_early_minutes": 30, "late_after_minutes": lateAfter, "credit_hours": 2,
	}
	first, err := must[activity](ctx, s, s.secretary, http.MethodPost, "/v1/activities", draft)
	if err != nil {
		return err
	}
	again, err := must[activity](ctx, s, s.secretary, http.MethodPost, "/v1/activities", draft)
	if err != nil {
		return err
	}
	s.activity = first.ID
	s.Did("书记在手机上写好草稿；网络卡，“保存”点了两次，仍是一份", Is("两次保存得到的活动", again.ID, first.ID), Is("活动状态", first.Status, "draft"))
	s.Note(fmt.Sprintf("《%s》14:30 至 16:30，%s", title, place))

	someone := s.guests[len(s.guests)-1] // without a post
	hidden, err := s.ask(ctx, someone, http.MethodGet, s.path(""), nil)
	if err != nil {
		return err
	}
	s.Refused(fmt.Sprintf("还没有发布，党员 %s 看不到", someone.Name), hidden, "activity_not_found")

	published, err := must[activity](ctx, s, s.secretary, http.MethodPost, s.path("/publication"), nil)
	if err != nil {
		return err
	}
	roster, err := s.roster(ctx)
	if err != nil {
		return err
	}
	s.want = tally{Expected: s.size(), Awaited: s.size(), VotersExpected: s.voters()}
	s.Did(fmt.Sprintf("发布：文字经微信内容安全检查，应到名单 %d 人", len(roster)),
		Is("活动状态", published.Status, "published"), Is("名单人数", len(roster), s.size()))

	screen, err := must[home](ctx, s, someone, http.MethodGet, "/v1/home", nil)
	if err != nil {
		return err
	}
	listed := false
	for _, n := range screen.Next {
		listed = listed || n.ID == s.activity
	}
	s.Did(fmt.Sprintf("%s 的首屏上有了这次活动", someone.Name), Is("首屏列出这次活动", listed, true))
	return nil
}

const (
	title   = "重温入党志愿，清洁社区小广场"
	content = "集体学习一小时，随后到结对社区义务劳动。请佩戴党徽。"
	place   = "机关二楼党员活动室"
)

// unlisted is a made-up number that is on no roster.
const unlisted = "19999999999"

// What the story reads of the API's answers.
type (
	home struct {
		Bound    bool   `json:"bound"`
		Branch   string `json:"branch"`
		Headline string `json:"headline"`
		Next     []struct {
			ID uint64 `json:"id"`
		} `json:"next"`
	}
	organisation struct {
		ID   uint64 `json:"id"`
		Name string `json:"name"`
	}
	list[T any] struct {
		Items []T `json:"items"`
	}
	activity struct {
		ID          uint64 `json:"id"`
		Status      string `json:"status"`
		CheckOut    bool   `json:"check_out"`
		StayMinutes int    `json:"stay_minutes"`
	}
	line struct {
		ID         uint64 `json:"id"`        // in a branch's list
		MemberID   uint64 `json:"member_id"` // in a meeting's
		Name       string `json:"name"`
		Status     string `json:"status"`
		Late       bool   `json:"late"`
		Provenance string `json:"provenance"`
	}
)

func (s *Story) path(of string) string { return fmt.Sprintf("/v1/activities/%d%s", s.activity, of) }

// roster is the meeting's list by name.
func (s *Story) roster(ctx context.Context) (map[string]line, error) {
	all, err := must[list[line]](ctx, s, s.secretary, http.MethodGet, s.path("/roster"), nil)
	byName := map[string]line{}
	for _, l := range all.Items {
		byName[l.Name] = l
	}
	return byName, err
}
