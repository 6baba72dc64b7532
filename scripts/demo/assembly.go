package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// assembly is the part of the story about a 支部党员大会 that asks for checking
// out, on which much goes otherwise than planned: nothing of it is lost, and who
// did what, when and why stays on record.
type assembly struct {
	*Story
	elders  []Person // who sign on paper
	elderID []uint64
}

// The guests who have a part of their own in it, by the order on the roster. The
// first two are of the committee.
const (
	unscanned = early   // is busy with the ballots and forgets to scan
	basement  = invited // has no network
)

// Others of them, all with the vote.
const (
	ill      = crowd + 8 + iota // has leave and comes after all
	away                        // has leave and stays away
	needed                      // is not given leave
	returned                    // takes the own leave back
	flat                        // has no battery
	mistaken                    // is ticked by mistake, then comes late
	rightful                    // was the one who was meant
	hurried                     // leaves early
	leaving                     // forgets to check out
	unheard                     // does not come, and asks too late
	elder                       // rather signs on paper
)

// stayMinutes is how long somebody has to be there.
const stayMinutes = 90

func (m *assembly) chapters() []func(context.Context) error {
	return []func(context.Context) error{m.call, m.arrive, m.vote, m.leave, m.correct, m.writeUp}
}

// request is what the API says of a leave or a 补签 that was asked for.
type request struct {
	ID           uint64 `json:"id"`
	ActivityID   uint64 `json:"activity_id"`
	Kind         string `json:"kind"`
	State        string `json:"state"`
	StateName    string `json:"state_name"`
	Name         string `json:"name"`
	DecidedBy    string `json:"decided_by"`
	Answer       string `json:"answer"`
	CameAfterAll bool   `json:"came_after_all"`
}

// call is the secretary calling the assembly, a week before.
func (m *assembly) call(ctx context.Context) error {
	m.turnTo(m.now, "09:30")
	called := m.now
	m.Day = called.AddDate(0, 0, 7)
	m.Chapter(fmt.Sprintf("支部党员大会：通知与请假（%s开会）", m.Day.Format("1月2日")))
	if err := each(append(slices.Clone(m.guests), m.secretary, m.stranger), func(_ int, who *phone) error { return m.signIn(ctx, who) }); err != nil {
		return err
	}
	draft, err := must[activity](ctx, m.Story, m.secretary, http.MethodPost, "/v1/activities", map[string]any{
		"organisation_id": m.branchID, "nonce": rand.Text(), "kind": "branch_assembly", "title": "讨论年度计划，表决预备党员转正",
		"place": map[string]any{"name": place}, "starts_at": m.moment("14:30"), "ends_at": m.moment("16:30"),
		"open_early_minutes": 30, "late_after_minutes": lateAfter, "credit_hours": 2, "check_out": true, "stay_minutes": stayMinutes,
	})
	if err != nil {
		return err
	}
	m.activity = draft.ID
	published, err := must[activity](ctx, m.Story, m.secretary, http.MethodPost, m.path("/publication"), nil)
	if err != nil {
		return err
	}
	roster, err := m.roster(ctx)
	if err != nil {
		return err
	}
	m.want = tally{Expected: m.size(), Awaited: m.size(), VotersExpected: m.voters()}
	m.elders = []Person{m.guests[elder].Person}
	for _, p := range m.Branch.Members {
		if p.Name == m.excused || p.Name == m.forgetful {
			m.elders = append(m.elders, p)
		}
	}
	for _, p := range m.elders {
		m.elderID = append(m.elderID, roster[p.Name].MemberID)
	}
	m.Did(fmt.Sprintf("书记通知开会：要签退，在场满 %d 分钟才计学时", stayMinutes), Is("活动状态", published.Status, "published"),
		Is("要签退", published.CheckOut, true), Is("要求在场的分钟数", published.StayMinutes, stayMinutes), Is("名单人数", len(roster), m.size()))
	if err := m.exempt(ctx, roster[m.exempted].MemberID); err != nil {
		return err
	}
	return m.leaves(ctx)
}

// leaves is people asking leave, and what the branch decides.
func (m *assembly) leaves(ctx context.Context) error {
	m.turnTo(m.Day.AddDate(0, 0, -2), "10:00")
	guests, deputy := m.guests, m.guests[basement]
	sick, err := m.askLeave(ctx, guests[ill], "sick_leave", "发烧")
	if err != nil {
		return err
	}
	approved, err := m.decide(ctx, m.secretary, sick, true, "安心养病")
	if err != nil {
		return err
	}
	m.Did("会前两天，"+guests[ill].Name+" 发烧请病假，书记同意", Is("提交时", sick.State, "asked"), Is("批后", approved.State, "approved"), Is("谁批的", approved.DecidedBy, m.secretary.Name))
	a, err := m.ask(ctx, guests[ill], http.MethodPost, m.path("/leave-requests"), map[string]any{"status": "sick_leave", "nonce": rand.Text()})
	if err != nil {
		return err
	}
	m.Refused("不放心，又请了一遍", a, "leave_asked")

	private, err := m.askLeave(ctx, guests[needed], "personal_leave", "家里装修")
	if err != nil {
		return err
	}
	answered, err := m.decide(ctx, deputy, private, false, "这次要表决，尽量到会")
	if err != nil {
		return err
	}
	own, err := m.requests(ctx, guests[needed], m.path("/requests"))
	if err != nil {
		return err
	}
	if len(own) != 1 {
		return fmt.Errorf("%s 看到 %d 条申请", guests[needed].Name, len(own))
	}
	m.Did(fmt.Sprintf("%s 请事假，委员 %s 没有同意：“%s”", guests[needed].Name, deputy.Name, own[0].Answer),
		Is("批后", answered.State, "refused"), Is("本人看到的", own[0].State, "refused"))

	for _, who := range []int{away, returned} {
		duty, err := m.askLeave(ctx, guests[who], "duty_leave", "市里培训")
		if err != nil {
			return err
		}
		if _, err := m.decide(ctx, m.secretary, duty, true, ""); err != nil {
			return err
		}
		if who == away {
			continue
		}
		back, err := must[request](ctx, m.Story, guests[who], http.MethodPost, fmt.Sprintf("/v1/leave-requests/%d/withdrawal", duty.ID), nil)
		if err != nil {
			return err
		}
		m.Did(fmt.Sprintf("%s、%s 去市里培训，请公假；%s 的培训改期，自己销了假", guests[away].Name, guests[who].Name, guests[who].Name), Is("销假后", back.State, "withdrawn"))
	}
	m.want.OnLeave += 2
	m.want.Awaited -= 2
	return m.counted(ctx, "请了四次假，作数的两个")
}

func (m *assembly) askLeave(ctx context.Context, who *phone, kind, note string) (request, error) {
	return must[request](ctx, m.Story, who, http.MethodPost, m.path("/leave-requests"), map[string]any{"status": kind, "note": note, "nonce": rand.Text()})
}

// decide is somebody deciding a leave.
func (m *assembly) decide(ctx context.Context, by *phone, r request, approve bool, answer string) (request, error) {
	return must[request](ctx, m.Story, by, http.MethodPost, fmt.Sprintf("/v1/leave-requests/%d/decision", r.ID), map[string]any{"approve": approve, "answer": answer})
}

// requests are those of this meeting that somebody sees at the path.
func (m *assembly) requests(ctx context.Context, who *phone, path string) ([]request, error) {
	all, err := must[list[request]](ctx, m.Story, who, http.MethodGet, path, nil)
	return slices.DeleteFunc(all.Items, func(r request) bool { return r.ActivityID != m.activity }), err
}

// history is everything on record of one person at the meeting.
type history struct {
	Status  string `json:"status"`
	Entries []struct {
		Kind       string `json:"kind"`
		ID         uint64 `json:"id"`
		Status     string `json:"status"`
		RecordedBy string `json:"recorded_by"`
		Provenance string `json:"provenance"`
		Reason     string `json:"reason"`
		Annulled   *struct {
			By     string `json:"by"`
			Reason string `json:"reason"`
		} `json:"annulled"`
	} `json:"entries"`
}

// history reads it; it has so many entries at least, or the story breaks off.
func (m *assembly) history(ctx context.Context, memberID uint64, entries int) (history, error) {
	h, err := must[history](ctx, m.Story, m.secretary, http.MethodGet, m.path(fmt.Sprintf("/members/%d/attendance-log", memberID)), nil)
	if err == nil && len(h.Entries) < entries {
		err = errors.New("记录里少了几条")
	}
	return h, err
}
