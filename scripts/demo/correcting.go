package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"path/filepath"
)

// correct is what is put right after the meeting: by entries, never by erasing.
func (m *assembly) correct(ctx context.Context) error {
	m.Chapter("散会以后：更正与补签")
	m.turn("16:45")
	who := m.guests[leaving]
	before, err := m.stay(ctx, who)
	if err != nil {
		return err
	}
	const reason = "散会时一起走的，忘了签退"
	if _, err := must[line](ctx, m.Story, m.secretary, http.MethodPost, m.path("/corrections"),
		map[string]any{"member_id": who.memberID, "status": "present", "left_at": m.moment("16:30"), "reason": reason, "nonce": rand.Text()}); err != nil {
		return err
	}
	after, err := m.stay(ctx, who)
	if err != nil {
		return err
	}
	h, err := m.history(ctx, who.memberID, 3)
	if err != nil {
		return err
	}
	first, second := h.Entries[0], h.Entries[1]
	m.Did(fmt.Sprintf("%s 没有签退，不计学时；书记作证更正：写一条新的，原来那条留着，谁、何时、为何都在", who.Name),
		Is("更正前够学时", before.Enough, false), Is("更正后够学时", after.Enough, true), Is("更正后的分钟数", after.Minutes, 120),
		Is("第一条已不作数", first.Annulled != nil && first.Annulled.By == m.secretary.Name && first.Annulled.Reason == reason, true),
		Is("第二条", second.Provenance+" "+second.RecordedBy+" "+second.Reason, "correction "+m.secretary.Name+" "+reason))
	return m.lateRecord(ctx)
}

// lateRecord is 补签: in time, decided by somebody else; and another one, too late.
func (m *assembly) lateRecord(ctx context.Context) error {
	m.turnTo(m.Day.AddDate(0, 0, 1), "09:00")
	who := m.guests[unscanned]
	if err := m.sheetSays(ctx, "第二天，签到表上 "+who.Name+" 还是缺席"); err != nil {
		return err
	}
	asked, err := must[request](ctx, m.Story, who, http.MethodPost, m.path("/late-records"),
		map[string]any{"came_at": m.moment("14:20"), "reason": "会前发选票，忘了扫码", "nonce": rand.Text()})
	if err != nil {
		return err
	}
	path := fmt.Sprintf("/v1/late-records/%d/decision", asked.ID)
	a, err := m.ask(ctx, who, http.MethodPost, path, map[string]any{"approve": true})
	if err != nil {
		return err
	}
	m.Refused(fmt.Sprintf("委员 %s 申请补签，想自己批", who.Name), a, "own_request", Is("申请的状态", asked.State, "asked"))
	waiting, err := m.requests(ctx, m.secretary, "/v1/approvals")
	if err != nil {
		return err
	}
	m.turnTo(m.now, "09:10")
	decided, err := must[request](ctx, m.Story, m.secretary, http.MethodPost, path, map[string]any{"approve": true, "answer": "当时看见您在发票"})
	if err != nil {
		return err
	}
	m.want.Absent--
	m.want.Awaited++
	m.want.came(who.Person)
	m.Did(fmt.Sprintf("书记来批：“%s”", decided.Answer), Is("等书记批的", len(waiting), 1), Is("批后", decided.State, "approved"), Is("谁批的", decided.DecidedBy, m.secretary.Name))
	if err := m.sheetSays(ctx, "签到表上的实到多了一，缺席少了一；补签不算迟到"); err != nil {
		return err
	}

	m.turnTo(m.Day.AddDate(0, 0, 8), "09:00")
	if a, err = m.ask(ctx, m.guests[unheard], http.MethodPost, m.path("/late-records"), map[string]any{"reason": "那天好像去了", "nonce": rand.Text()}); err != nil {
		return err
	}
	m.Refused(m.guests[unheard].Name+" 过了一周多才想起来申请", a, "late_record_too_late", Is("告知的期限", m.local(a.Details["until"]), "16:31"))
	file := fmt.Sprintf("签到表-%s-%d", m.Day.Format("20060102"), m.activity)
	return m.export(ctx, m.secretary, m.path("/sheet.*"), filepath.Join(m.folder(), file), "定稿导出", m.onSheet)
}

// folder is where the papers of the assembly go.
func (m *assembly) folder() string { return filepath.Join(m.Dir, "党员大会") }

// sheetSays reads the 签到表: its numbers, and how many stand on it as what.
func (m *assembly) sheetSays(ctx context.Context, text string) error {
	sheet, err := must[struct {
		Tally    tally  `json:"tally"`
		Sentence string `json:"sentence"`
		Lines    []line `json:"lines"`
	}](ctx, m.Story, m.secretary, http.MethodGet, m.path("/sheet"), nil)
	if err != nil {
		return err
	}
	as := map[string]int{}
	for _, l := range sheet.Lines {
		as[l.Status]++
	}
	m.Did(text, append(m.want.like(sheet.Tally), Is("表上的人数", len(sheet.Lines), m.size()), Is("表上的统计", sheet.Sentence, m.want.sentence()),
		Is("表上的迟到", as["迟到"], m.want.Late), Is("表上的早退", as["早退"], m.want.LeftEarly), Is("表上的公假", as["公假"], m.want.OnLeave),
		Is("表上的缺席", as["缺席"], m.want.Absent))...)
	m.Note(sheet.Sentence)
	return nil
}
