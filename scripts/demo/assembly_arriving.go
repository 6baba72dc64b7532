package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// arrive is people coming to the assembly, by every way that there is.
func (m *assembly) arrive(ctx context.Context) error {
	m.Chapter("到会：发烧的来了，纸上签的，没有网络的，认错了的")
	m.turn("14:05")
	some := []*phone{m.secretary}
	for i, who := range m.guests {
		if !slices.Contains([]int{unscanned, basement, ill, away, flat, mistaken, rightful, unheard, elder}, i) {
			some = append(some, who)
		}
	}
	if err := m.crowd(ctx, some); err != nil {
		return err
	}
	m.turn("14:10")
	who := m.guests[ill]
	a, err := m.lookUp(ctx, who)
	if err != nil {
		return err
	}
	h, err := m.history(ctx, who.memberID, 2)
	if err != nil {
		return err
	}
	m.want.OnLeave--
	m.want.Awaited++
	m.came(who, who.Name+" 退了烧，还是来了：扫码就算到会，请过的假留在记录里", a,
		Is("现在算", h.Status, "present"), Is("记录", h.Entries[0].Kind+" "+h.Entries[1].Kind, "leave attendance"))
	for _, part := range []func(context.Context) error{m.paper, m.offline} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// paper is three people signing on paper.
func (m *assembly) paper(ctx context.Context) error {
	m.turn("14:15")
	sent := sheetPhoto()
	a, err := m.attach(ctx, m.secretary, m.path("/photos?purpose=paper_sheet"), "签到.jpg", sent)
	if err != nil {
		return err
	}
	photo, err := read[struct {
		ID uint64 `json:"id"`
	}](a, http.MethodPost, m.path("/photos"))
	if err != nil {
		return err
	}
	report, err := must[struct {
		Recorded []line `json:"recorded"`
		Already  []line `json:"already"`
		Refused  []line `json:"refused"`
		Tally    tally  `json:"tally"`
	}](ctx, m.Story, m.secretary, http.MethodPost, m.path("/paper-sheets"),
		map[string]any{"photo_id": photo.ID, "member_ids": append(slices.Clone(m.elderID), m.guests[hurried].memberID), "nonce": rand.Text()})
	if err != nil {
		return err
	}
	for _, p := range m.elders {
		m.want.came(p)
	}
	m.Did(fmt.Sprintf("%s、%s、%s 不用手机，签在纸上；书记拍下来照着勾，多勾了一位扫过码的，也不重算", m.elders[0].Name, m.elders[1].Name, m.elders[2].Name),
		append(m.want.like(report.Tally), Is("这次记上的", len(report.Recorded), len(m.elders)), Is("早已签到的", len(report.Already), 1), Is("没有记上的", len(report.Refused), 0))...)
	if a, err = m.ask(ctx, m.secretary, http.MethodGet, m.path(fmt.Sprintf("/photos/%d", photo.ID)), nil); err != nil {
		return err
	}
	m.Did("照片取回来还是照片，里面的拍摄地点没有了", Is("取回的是 JPEG", isJPEG(a.Body), true),
		Is("拍的时候带着地点", hasPlace(sent), true), Is("留下的带着地点", hasPlace(a.Body), false))
	return nil
}

// offline is a phone that notes what it sees in the basement, and a tick that was
// a mistake, and then the network is back.
func (m *assembly) offline(ctx context.Context) error {
	m.turn("14:20")
	who := m.guests[basement]
	shown, err := m.screen(ctx)
	if err != nil {
		return err
	}
	noted := func(of string, value any) map[string]any {
		return map[string]any{"nonce": rand.Text(), "scanned_at": m.now.Format(time.RFC3339), of: value}
	}
	batch := map[string]any{"items": []any{
		noted("code", shown.Code), noted("member_id", m.guests[flat].memberID), noted("member_id", m.stranger.memberID),
		noted("member_id", m.guests[crowd].memberID), noted("code", changed(shown.Code)),
	}}
	m.Did(who.Name + " 的手机没有网络：扫的码、替别人勾的名字，先记在手机里")
	if err := m.mistake(ctx); err != nil {
		return err
	}
	m.turn("14:50")
	path := m.path("/offline-check-ins")
	a, err := m.ask(ctx, who, http.MethodPost, path, batch)
	if err != nil {
		return err
	}
	type item struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Late    bool   `json:"late"`
	}
	report, err := read[struct {
		Accepted int    `json:"accepted"`
		Refused  int    `json:"refused"`
		Items    []item `json:"items"`
	}](a, http.MethodPost, path)
	if err != nil {
		return err
	}
	codes, late := "", 0
	for _, i := range report.Items {
		codes += i.Code + " "
		if i.Late {
			late++
		}
	}
	m.want.came(who.Person)
	m.want.came(m.guests[flat].Person)
	text := fmt.Sprintf("网络好了，%s 补传五条：记上 %d 条，按当时的时间不算迟到；%d 条没有记上，条条有缘由", who.Name, report.Accepted, report.Refused)
	err = m.counted(ctx, text, Is("每条的结果", codes, "ok ok not_on_roster already_checked_in code_invalid "), Is("记上的", report.Accepted, 2), Is("没有记上的", report.Refused, 3), Is("迟到的", late, 0))
	if err != nil {
		return err
	}
	again, err := m.ask(ctx, who, http.MethodPost, path, batch)
	if err != nil {
		return err
	}
	kept, err := must[list[item]](ctx, m.Story, m.secretary, http.MethodGet, m.path("/offline-items"), nil)
	if err != nil {
		return err
	}
	m.Did("怕没传上，整批又传一遍：回答一字不差，什么也没有多；没记上的书记都看得到",
		Is("两次的回答", string(again.Body), string(a.Body)), Is("书记看到没记上的", len(kept.Items), report.Refused))
	for _, i := range kept.Items {
		m.Note(m.paint(yellow, i.Code) + "「" + i.Message + "」")
	}
	return nil
}

// mistake is a tick at the wrong name, taken back with the reason.
func (m *assembly) mistake(ctx context.Context) error {
	m.turn("14:22")
	wrong, right := m.guests[mistaken], m.guests[rightful]
	a, err := m.record(ctx, map[string]any{"member_id": wrong.memberID, "status": "present"})
	if err != nil {
		return err
	}
	m.came(wrong, wrong.Name+" 没有来，书记认错了人，勾上了", a)
	m.turn("14:24")
	h, err := m.history(ctx, wrong.memberID, 1)
	if err != nil {
		return err
	}
	const reason = "认错了人"
	out, err := must[struct {
		Status string `json:"status"`
		Tally  tally  `json:"tally"`
	}](ctx, m.Story, m.secretary, http.MethodPost, m.path("/annulments"), map[string]any{"attendance_id": h.Entries[0].ID, "reason": reason})
	if err != nil {
		return err
	}
	m.want.annulled(wrong.Person)
	claims := append(m.want.like(out.Tally), Is("现在算", out.Status, ""))
	if h, err = m.history(ctx, wrong.memberID, 1); err != nil {
		return err
	}
	if by := h.Entries[0].Annulled; by != nil {
		claims = append(claims, Is("谁作废的、为什么", by.By+" "+by.Reason, m.secretary.Name+" "+reason))
	}
	m.Did("当场作废，写明原因；勾过的那一条留着", append(claims, Is("记录还在", len(h.Entries), 1), Is("已作废", h.Entries[0].Annulled != nil, true))...)
	if a, err = m.record(ctx, map[string]any{"member_id": right.memberID, "status": "present", "reason": "没带手机"}); err != nil {
		return err
	}
	m.came(right, "来的是 "+right.Name+"，没带手机，改勾这个名字", a)

	m.turn("14:46")
	if a, err = m.lookUp(ctx, wrong); err != nil {
		return err
	}
	in, err := read[checkedIn](a, http.MethodPost, "/v1/check-ins")
	if err != nil {
		return err
	}
	m.want.Late++
	m.came(wrong, fmt.Sprintf("%s 本人这时才到，作废的那条不碍事：“%s”", wrong.Name, in.Message), a, Is("记为迟到", in.Late, true))
	return nil
}
