package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Feedback is the quarterly slip between a community and a unit (双向反馈): made
// of the ledger, confirmed and commented by the community, seen by the unit
// and its members.
type Feedback struct {
	db       *gorm.DB
	platform Platform
	settings Settings
	now      func() time.Time
}

// Slip is what a branch's members did for a community in a quarter.
type Slip struct {
	Community   string        `json:"community"`
	Branch      string        `json:"branch"`
	Quarter     model.Quarter `json:"quarter"`
	People      int           `json:"people" doc:"参加服务的人数"`
	Sums        []HoursSum    `json:"sums" doc:"按来源分别合计，不混加"`
	Lines       []SlipLine    `json:"lines" doc:"党员只看到自己的"`
	Comment     string        `json:"comment" doc:"社区的评价"`
	ConfirmedAt *time.Time    `json:"confirmed_at" doc:"社区确认的时间；确认后的更正不在这张单子里"`
	MadeAt      string        `json:"made_at"`
}

// SlipLine is one entry of the ledger with the member it belongs to.
type SlipLine struct {
	MemberID uint64 `json:"member_id"`
	Member   string `json:"member"`
	HoursEvent
}

// Show is the slip of a community, a branch and a quarter: the whole of it for
// those who oversee one of the two; for a member of the branch the sums and
// the own lines. Once confirmed it stays as it was confirmed. A community finds
// none of a branch whose members did nothing there.
func (s *Feedback) Show(ctx context.Context, actor *model.Actor, communityID, branchID uint64, quarter model.Quarter) (*Slip, error) {
	now := s.now()
	return inTx(ctx, s.db, func(tx *gorm.DB) (*Slip, error) {
		community, branch, err := slipParties(tx, communityID, branchID)
		if err != nil {
			return nil, err
		}
		whole := actor.Oversees(community) || actor.Oversees(branch)
		if !whole && actor.BranchID != branchID {
			return nil, model.ErrNotFound
		}
		slip, err := s.slip(tx, community, branch, quarter, now)
		if err != nil {
			return nil, err
		}
		if len(slip.Lines) == 0 && actor.BranchID != branchID && !actor.Oversees(branch) {
			return nil, model.ErrNotFound // a community knows of units whose members served there
		}
		if !whole {
			var own []SlipLine
			for _, l := range slip.Lines {
				if l.MemberID == actor.MemberID {
					own = append(own, l)
				}
			}
			slip.Lines = own
			return slip, nil
		}
		return slip, auditBy(tx, now, actor, "read_feedback_slip", "organisation", branchID, "ok", map[string]any{"community": communityID, "quarter": quarter})
	})
}

func slipParties(tx *gorm.DB, communityID, branchID uint64) (community, branch model.Line, err error) {
	community, err = lineOf(tx, communityID)
	if err == nil {
		branch, err = lineOf(tx, branchID)
	}
	if err == nil && (len(community) == 0 || community[0].Kind != model.Community || len(branch) == 0 || !branch[0].Kind.HoldsMembers()) {
		err = model.ErrNotFound
	}
	return community, branch, err
}

func (s *Feedback) slip(tx *gorm.DB, community, branch model.Line, quarter model.Quarter, now time.Time) (*Slip, error) {
	span, ok := quarter.Span()
	if !ok {
		return nil, model.BadField("quarter", "季度应为 2026Q1 的形式")
	}
	out := &Slip{Community: community[0].Name, Branch: branch[0].Name, Quarter: quarter, Lines: []SlipLine{}, MadeAt: now.In(s.settings.Zone).Format("2006-01-02 15:04")}
	var kept model.FeedbackSlip
	err := tx.Limit(1).Find(&kept, "community_id = ? AND branch_id = ? AND quarter = ?", community[0].ID, branch[0].ID, quarter).Error
	if err != nil {
		return nil, fmt.Errorf("find feedback slip: %w", err)
	}
	rows := tx.Where("h.community_id = ? AND h.branch_id = ? AND h.day >= ? AND h.day < ?", community[0].ID, branch[0].ID, span.From, span.Until)
	if kept.ID != 0 {
		out.Comment, out.ConfirmedAt = kept.Comment, &kept.ConfirmedAt
		rows = rows.Where("h.at <= ?", kept.ConfirmedAt)
	}
	entries, err := events(rows)
	if err != nil {
		return nil, err
	}
	out.Sums = sums(entries)
	ids := make([]uint64, len(entries))
	for i := range entries {
		ids[i] = entries[i].ID
	}
	var whose []struct {
		ID, MemberID uint64
		Name         string
	}
	if len(ids) > 0 {
		err = tx.Table("service_hours h").Select("h.id, h.member_id, m.name").Joins("JOIN members m ON m.id = h.member_id").Where("h.id IN ?", ids).Scan(&whose).Error
	}
	if err != nil {
		return nil, fmt.Errorf("members of feedback slip: %w", err)
	}
	line := map[uint64]SlipLine{}
	people := map[uint64]int{}
	for _, w := range whose {
		line[w.ID] = SlipLine{MemberID: w.MemberID, Member: w.Name}
	}
	for _, e := range entries {
		l := line[e.ID]
		l.HoursEvent = e
		out.Lines = append(out.Lines, l)
		people[l.MemberID] += e.Minutes
	}
	for _, minutes := range people {
		if minutes > 0 {
			out.People++
		}
	}
	return out, nil
}

// SlipInput is the community's word on a unit's service.
type SlipInput struct {
	Comment string `json:"comment,omitempty" maxLength:"300" doc:"评价或意见"`
}

// Confirm makes a slip final, with the community's comment, after the quarter
// has ended. The unit and its members read the comment, so it passes WeChat's
// content check first. Confirming again changes nothing.
func (s *Feedback) Confirm(ctx context.Context, actor *model.Actor, communityID, branchID uint64, quarter model.Quarter, in SlipInput) (*Slip, error) {
	now, comment := s.now(), cleanText(in.Comment)
	if slip, err := s.open(s.db.WithContext(ctx), actor, communityID, branchID, quarter, now); err != nil || slip.ConfirmedAt != nil {
		return slip, err
	}
	if err := checkText(ctx, s.platform, actor, comment); err != nil {
		return nil, err
	}
	out, err := inTx(ctx, s.db, func(tx *gorm.DB) (*Slip, error) {
		slip, err := s.open(tx, actor, communityID, branchID, quarter, now)
		if err != nil || slip.ConfirmedAt != nil {
			return slip, err
		}
		row := model.FeedbackSlip{CommunityID: communityID, BranchID: branchID, Quarter: quarter, Comment: comment, ConfirmedBy: actor.MemberID, ConfirmedAt: now}
		if err := tx.Create(&row).Error; err != nil {
			return nil, fmt.Errorf("confirm feedback slip: %w", err)
		}
		slip.Comment, slip.ConfirmedAt = row.Comment, &now
		return slip, auditBy(tx, now, actor, "confirm_feedback_slip", "feedback_slip", row.ID, "ok", nil)
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return s.Show(ctx, actor, communityID, branchID, quarter) // somebody was quicker
	}
	return out, err
}

// open is a slip for somebody who may confirm it, at a time when that is due; it
// may be confirmed already.
func (s *Feedback) open(tx *gorm.DB, actor *model.Actor, communityID, branchID uint64, quarter model.Quarter, now time.Time) (*Slip, error) {
	community, branch, err := slipParties(tx, communityID, branchID)
	if err != nil {
		return nil, err
	}
	switch {
	case !actor.Oversees(community):
		return nil, model.ErrNotFound
	case !actor.Liaises(community):
		return nil, model.ErrNotLiaison
	}
	slip, err := s.slip(tx, community, branch, quarter, now)
	if err == nil && len(slip.Lines) == 0 {
		err = model.ErrNotFound
	}
	if err != nil || slip.ConfirmedAt != nil {
		return slip, err
	}
	if span, _ := quarter.Span(); model.DayOf(now, s.settings.Zone) < span.Until {
		return nil, model.ErrQuarterNotOver.With("until", span.Until)
	}
	return slip, nil
}

// SlipOverview is the slips of a community and a quarter, one for each branch
// whose members served.
type SlipOverview struct {
	Items []SlipSummary `json:"items"`
}

// SlipSummary is one slip in a list.
type SlipSummary struct {
	BranchID    uint64     `json:"branch_id"`
	Branch      string     `json:"branch"`
	People      int        `json:"people"`
	ConfirmedAt *time.Time `json:"confirmed_at"`
}

// List is the slips of a community and a quarter, for those who oversee it.
func (s *Feedback) List(ctx context.Context, actor *model.Actor, communityID uint64, quarter model.Quarter) (*SlipOverview, error) {
	db := s.db.WithContext(ctx)
	if _, err := overseen(db, actor, communityID); err != nil {
		return nil, err
	}
	span, ok := quarter.Span()
	if !ok {
		return nil, model.BadField("quarter", "季度应为 2026Q1 的形式")
	}
	out := &SlipOverview{Items: []SlipSummary{}}
	// As on the slip: what was entered after its confirmation is not in it, and
	// whose minutes were all taken back does not count.
	each := db.Table("service_hours h").Select("h.branch_id, h.member_id, SUM(h.minutes) AS minutes").
		Joins("LEFT JOIN feedback_slips f ON f.community_id = h.community_id AND f.branch_id = h.branch_id AND f.quarter = ?", quarter).
		Where("h.community_id = ? AND h.day >= ? AND h.day < ? AND (f.id IS NULL OR h.at <= f.confirmed_at)", communityID, span.From, span.Until).
		Group("h.branch_id, h.member_id")
	err := db.Table("(?) e", each).Select("e.branch_id, b.name AS branch, SUM(CASE WHEN e.minutes > 0 THEN 1 ELSE 0 END) AS people").
		Joins("JOIN organisations b ON b.id = e.branch_id").
		Group("e.branch_id, b.name").Order("e.branch_id").Scan(&out.Items).Error
	var kept []model.FeedbackSlip
	if err == nil {
		err = db.Find(&kept, "community_id = ? AND quarter = ?", communityID, quarter).Error
	}
	if err != nil {
		return nil, fmt.Errorf("list feedback slips: %w", err)
	}
	for i := range out.Items {
		for j := range kept {
			if kept[j].BranchID == out.Items[i].BranchID {
				out.Items[i].ConfirmedAt = &kept[j].ConfirmedAt
			}
		}
	}
	return out, nil
}

// WriteXLSX writes the slip as a workbook.
func (s *Slip) WriteXLSX(w io.Writer) error {
	t := sheet{title: s.Community + "—" + s.Branch + " 双向反馈表",
		notes:   []string{"季度：" + s.Quarter.Text() + "　参加服务 " + fmt.Sprint(s.People) + " 人", sumsSentence(s.Sums), "社区评价：" + s.Comment},
		columns: []sheetColumn{{"序号", 5}, {"姓名", 10}, {"日期", 11}, {"服务", 22}, {"分钟", 7}, {"来源", 14}, {"依据或更正", 18}}}
	for i, l := range s.Lines {
		t.rows = append(t.rows, []any{i + 1, l.Member, string(l.Day), l.Title, l.Minutes, l.By, l.Reason})
	}
	return writeTable(w, t)
}

// WriteXLSX writes the record as a workbook.
func (r *ServiceRecord) WriteXLSX(w io.Writer) error {
	t := sheet{title: r.Name + " 服务记录证明",
		notes:   []string{"所在支部：" + r.Branch, "期间：" + string(r.From) + " 起，" + string(r.Until) + " 前", sumsSentence(r.Sums)},
		columns: []sheetColumn{{"序号", 5}, {"日期", 11}, {"社区", 14}, {"服务", 22}, {"分钟", 7}, {"来源", 14}, {"依据或更正", 18}}}
	for i, e := range r.Entries {
		t.rows = append(t.rows, []any{i + 1, string(e.Day), e.Community, e.Title, e.Minutes, e.By, e.Reason})
	}
	return writeTable(w, t)
}

// sumsSentence says the sums side by side, as they must not be added up.
func sumsSentence(all []HoursSum) string {
	if len(all) == 0 {
		return "没有服务时长"
	}
	text := "服务时长"
	for i, s := range all {
		if i > 0 {
			text += "；"
		}
		text += fmt.Sprintf("　%s %d 分钟", s.Name, s.Minutes)
	}
	return text
}

// Sentence says the sums side by side.
func (s *Slip) Sentence() string { return sumsSentence(s.Sums) }

// Sentence says the sums side by side.
func (r *ServiceRecord) Sentence() string { return sumsSentence(r.Sums) }
