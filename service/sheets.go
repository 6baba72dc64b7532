package service

import (
	"cmp"
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Sheets is the 签到表: who was expected at a meeting and what became of each.
type Sheets struct {
	db       *gorm.DB
	settings Settings
	now      func() time.Time
}

// Sheet is a 签到表 as it is printed. Texts are ready to show.
type Sheet struct {
	Organisation string      `json:"organisation"`
	Kind         string      `json:"kind"`
	Title        string      `json:"title"`
	Place        string      `json:"place"`
	When         string      `json:"when"`
	Status       string      `json:"status"`
	Tally        model.Tally `json:"tally"`
	Sentence     string      `json:"sentence"`
	Lines        []SheetLine `json:"lines"`
	PrintedAt    string      `json:"printed_at"`
}

// SheetLine is one person on the sheet.
type SheetLine struct {
	No     int    `json:"no"`
	Name   string `json:"name"`
	Group  string `json:"group"`
	Status string `json:"status"`
	At     string `json:"at"`
	By     string `json:"by"`
	Note   string `json:"note"`
}

// Show is the sheet of a meeting for those who oversee its organisation, or of
// one branch of a joint meeting as its roster is. Every look is audited: the
// sheet leaves the system.
func (s *Sheets) Show(ctx context.Context, actor *model.Actor, id, branchID uint64) (*Sheet, error) {
	now := s.now()
	return inTx(ctx, s.db, func(tx *gorm.DB) (*Sheet, error) {
		a, all, err := jointly(tx, actor, id)
		if err != nil {
			return nil, err
		}
		p, err := all.partOf(actor, branchID)
		if err != nil {
			return nil, err
		}
		seats, err := seatsAt(tx, a)
		if err != nil {
			return nil, err
		}
		organisation := all[0].line[0].Name
		if p.side != nil {
			organisation = p.side.line[0].Name
		}
		if p.below != 0 {
			o, err := find[model.Organisation](tx, p.below, model.ErrNotJoint)
			if err != nil {
				return nil, err
			}
			organisation = o.Name
		}
		return s.sheet(a, organisation, all.pick(p, seats), all, actor, now), auditBy(tx, now, actor, "export_sheet", "activity", id, "ok", nil)
	})
}

// sheet draws the sheet, the host's people first. Why somebody was excused or
// is not counted is for those who run the own branch; others see only that.
func (s *Sheets) sheet(a *model.Activity, organisation string, seats []seat, all sides, actor *model.Actor, now time.Time) *Sheet {
	slices.SortStableFunc(seats, func(x, y seat) int { return cmp.Compare(all.of(x.branch()).partner, all.of(y.branch()).partner) })
	local := func(t time.Time, layout string) string { return t.In(s.settings.Zone).Format(layout) }
	endLayout := "15:04"
	if model.DayOf(a.StartsAt, s.settings.Zone) != model.DayOf(a.EndsAt, s.settings.Zone) {
		endLayout = "1月2日 15:04"
	}
	out := &Sheet{Organisation: organisation, Kind: model.ActivityKindNames[a.Kind], Title: a.Title, Place: a.Place.Name,
		When:   local(a.StartsAt, "2006年1月2日 15:04") + "—" + local(a.EndsAt, endLayout),
		Status: model.ActivityStatusNames[a.Status], Tally: tally(a, seats, a.VotesAt(now)), PrintedAt: local(now, "2006-01-02 15:04")}
	out.Sentence = out.Tally.Sentence()
	for i := range seats {
		seat := &seats[i]
		row := SheetLine{No: i + 1, Name: seat.Name, Group: seat.GroupName, Status: "未到"}
		own := all.of(seat.branch())
		if own.partner != 0 {
			row.Group = strings.TrimSpace(own.line[0].Name + " " + seat.GroupName)
		}
		if status := seat.Status(); status != "" {
			row.Status = model.AttendanceStatusNames[status]
		}
		if seat.Leave != nil {
			row.Note = seat.Leave.Reason
		}
		if t := seat.Recorded; t != nil {
			row.By, row.Note = model.ProvenanceNames[t.Provenance], t.Reason
			if t.Status == model.Present {
				row.At = s.times(a, seat)
			}
			row.Status = manner(a, seat, row.Status)
		}
		switch {
		case seat.Entry == nil:
			row.Group = "列席"
		case seat.Entry.Exempt != model.NotExempt && seat.Status() != model.Present:
			row.Status, row.Note = "不计入应到", model.ExemptionNames[seat.Entry.Exempt]
		}
		if !actor.Conducts(own.line) {
			row.Note = ""
		}
		out.Lines = append(out.Lines, row)
	}
	return out
}

// times are when somebody came and went, to the minute as on any sheet, or on
// which days.
func (s *Sheets) times(a *model.Activity, seat *seat) string {
	local := func(t time.Time) string { return t.In(s.settings.Zone).Format("15:04") }
	if a.Daily {
		return daysText(seat.DaysPresent())
	}
	if stay := seat.Stay(a); stay.LeftAt != nil {
		return local(seat.Recorded.At) + "—" + local(*stay.LeftAt)
	}
	return local(seat.Recorded.At)
}

// daysText is days as they stand on a sheet.
func daysText(days []model.Day) string {
	texts := make([]string, len(days))
	for i, d := range days {
		texts[i] = string(d[len("2006-"):])
	}
	return strings.Join(texts, "、")
}

// manner is how somebody attended: late, left early, or as the status says.
func manner(a *model.Activity, seat *seat, status string) string {
	late, early := seat.Recorded.Late(a), seat.Recorded.Status == model.Present && seat.Stay(a).LeftEarly
	switch {
	case late && early:
		return "迟到早退"
	case late:
		return "迟到"
	case early:
		return "早退"
	}
	return status
}

// WriteXLSX writes the sheet as a workbook.
func (s *Sheet) WriteXLSX(w io.Writer) error {
	t := sheet{title: s.Organisation + " " + s.Kind + "签到表",
		notes:   []string{"主题：" + s.Title, "时间：" + s.When + "　地点：" + s.Place, s.Sentence},
		columns: []sheetColumn{{"序号", 5}, {"姓名", 10}, {"党小组", 14}, {"状态", 10}, {"签到时间", 10}, {"方式", 12}, {"备注", 18}, {"签名", 12}}}
	for _, l := range s.Lines {
		t.rows = append(t.rows, []any{l.No, l.Name, l.Group, l.Status, l.At, l.By, l.Note, ""})
	}
	return writeTable(w, t)
}
