package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
)

// minutes is what the API says of a 会议记录.
type minutes struct {
	Version   int    `json:"version"`
	WrittenBy string `json:"written_by"`
	SignedBy  string `json:"signed_by"`
	Decisions string `json:"decisions"`
	Versions  []struct {
		Version int `json:"version"`
	} `json:"versions"`
}

// The decisions as first written, and as they were.
const (
	mistyped = "计划修改后通过，三月底前上墙。"
	decisive = "计划修改后通过，二月底前上墙。"
)

// writeUp is the minutes and what is made of them, and what the system keeps of
// who did what.
func (m *assembly) writeUp(ctx context.Context) error {
	m.Chapter("会议记录和资料包；每一步都留着痕迹")
	m.turnTo(m.now, "09:10")
	writer, reader := m.guests[basement], m.guests[crowd]
	text := map[string]any{"host_id": m.secretary.memberID, "recorder_id": writer.memberID, "agenda": plan + "；预备党员转正",
		"content": "书记说明计划，大家逐条讨论。", "decisions": mistyped, "version": 0}
	first, err := must[minutes](ctx, m.Story, writer, http.MethodPut, m.path("/minutes"), text)
	if err != nil {
		return err
	}
	text["decisions"], text["version"] = decisive, first.Version
	second, err := must[minutes](ctx, m.Story, writer, http.MethodPut, m.path("/minutes"), text)
	if err != nil {
		return err
	}
	if err := m.signIn(ctx, m.secretary); err != nil { // the platform checks a text for whoever used the mini-program lately
		return err
	}
	a, err := m.ask(ctx, m.secretary, http.MethodPost, m.path("/minutes/signature"), map[string]any{"version": first.Version})
	if err != nil {
		return err
	}
	m.Refused(writer.Name+" 写好会议记录，又改了一处，成了第二版；书记手里还是第一版，不能签", a, "changed_meantime",
		Is("版本", second.Version, 2), Is("谁写的", second.WrittenBy, writer.Name), Is("告知的版本", a.Details["version"], any(2.0)))
	if a, err = m.ask(ctx, reader, http.MethodGet, m.path("/minutes"), nil); err != nil {
		return err
	}
	m.Refused("没有签字，党员还看不到", a, "minutes_not_found")
	if _, err := must[minutes](ctx, m.Story, m.secretary, http.MethodPost, m.path("/minutes/signature"), map[string]any{"version": second.Version}); err != nil {
		return err
	}
	seen, err := must[minutes](ctx, m.Story, reader, http.MethodGet, m.path("/minutes"), nil)
	if err != nil {
		return err
	}
	kept, err := must[minutes](ctx, m.Story, m.secretary, http.MethodGet, m.path("/minutes?version=1"), nil)
	if err != nil {
		return err
	}
	m.Did("书记看过第二版，签字；党员看到的是签过字的，第一版也还在", Is("签字的", seen.SignedBy, m.secretary.Name), Is("党员看到的决议", seen.Decisions, decisive),
		Is("党员看得到的版本数", len(seen.Versions), 1), Is("第一版的决议", kept.Decisions, mistyped))
	for _, part := range []func(context.Context) error{m.papers, m.audit, m.ownData} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// papers is the 会议记录 as it is printed and the pack for 山东e支部.
func (m *assembly) papers(ctx context.Context) error {
	name := fmt.Sprintf("-%s-%d", m.Day.Format("20060102"), m.activity)
	err := m.save(ctx, m.secretary, m.path("/minutes.html"), filepath.Join(m.folder(), "会议记录"+name+".html"), "会议记录的打印页", func(page []byte) ([]Claim, error) {
		text := string(page)
		return []Claim{Is("打印页上的统计", strings.Contains(text, m.want.sentence()), true), Is("打印页上的决议", strings.Contains(text, decisive), true),
			Is("打印页上没通过的表决", strings.Count(text, "，未通过"), 1), Is("打印页上通过的表决", strings.Count(text, "，通过"), 2)}, nil
	})
	if err != nil {
		return err
	}
	return m.save(ctx, m.secretary, m.path("/pack.zip"), filepath.Join(m.folder(), "资料包"+name+".zip"), "上传山东e支部的资料包，拆开来点一遍", func(pack []byte) ([]Claim, error) {
		parts, err := unzip(pack)
		if err != nil {
			return nil, err
		}
		roster, err := workbookText(parts["名单.xlsx"])
		return []Claim{Is("名单上的人数", m.named(roster), m.size()), Is("正文里的决议", strings.Contains(string(parts["会议记录.txt"]), decisive), true),
			Is("没有附上有签名的照片", parts["纸质签到表-1.jpg"] == nil, true)}, err
	})
}

// audit is the operator checking the chain of the audit.
func (m *assembly) audit(ctx context.Context) error {
	entries, wrong, err := m.Verify(ctx)
	if err != nil {
		return err
	}
	m.Did(fmt.Sprintf("运维人员核对审计链（dangri audit verify）：%d 条环环相扣，没有被改动、删除或插入", entries), Is("核对到了记录", entries > 0, true), Is("不对的地方", len(wrong), 0))
	for _, w := range wrong[:min(3, len(wrong))] {
		m.Note(m.paint(red, w))
	}
	return nil
}

// ownData is somebody asking for all that is held of them.
func (m *assembly) ownData(ctx context.Context) error {
	who := m.guests[ill]
	a, err := m.ask(ctx, who, http.MethodGet, "/v1/me/data", nil)
	if err != nil {
		return err
	}
	type row struct {
		ActivityID uint64 `json:"activity_id"`
		MemberID   uint64 `json:"member_id"`
	}
	all, err := read[struct {
		Phone  string                       `json:"phone"`
		Tables map[string][]json.RawMessage `json:"tables"`
	}](a, http.MethodGet, "/v1/me/data")
	if err != nil {
		return err
	}
	here, foreign := map[string]int{}, 0
	for _, table := range []string{"leave_requests", "leaves", "attendances", "movements"} {
		for _, raw := range all.Tables[table] {
			var r row
			if err := json.Unmarshal(raw, &r); err != nil {
				return fmt.Errorf("read the own data: %w", err)
			}
			if r.ActivityID == m.activity {
				here[table]++
			}
			if r.MemberID != who.memberID {
				foreign++
			}
		}
	}
	others := slices.DeleteFunc(m.everybody(), func(p Person) bool { return p.Phone == who.Phone || !strings.Contains(string(a.Body), p.Phone) })
	m.Did(fmt.Sprintf("%s 导出自己的全部数据：请过的假、到会、签退都在，没有别人的", who.Name), Is("本人的手机号", all.Phone, who.Phone),
		Is("这次会请的假", here["leave_requests"]+here["leaves"], 2), Is("这次会的到会", here["attendances"], 1), Is("这次会的签退", here["movements"], 1),
		Is("别人的记录", foreign, 0), Is("别人的手机号", len(others), 0))
	return nil
}
