package service

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

var hoursColumns = []tableColumn{
	{key: "name", names: []string{"姓名", "党员姓名", "名字"}, required: true},
	{key: "phone", names: []string{"手机号", "手机号码", "手机", "联系电话", "电话", "联系方式"}, required: true},
	{key: "day", names: []string{"日期", "服务日期", "时间"}, required: true},
	{key: "minutes", names: []string{"分钟", "分钟数", "服务分钟", "服务时长（分钟）", "时长（分钟）"}, required: true},
	{key: "what", names: []string{"服务内容", "内容", "服务项目", "说明", "备注"}, required: true},
}

// Hours enters service hours from records kept elsewhere, for who keeps the
// roster of a branch: of its members, each line in the branch of its day, and
// apart from what the system saw itself. A line that was entered before
// changes nothing.
func (s *Imports) Hours(ctx context.Context, actor *model.Actor, branchID uint64, file ImportFile) (*ImportReport, error) {
	now := s.now()
	if _, _, err := rosterScope(s.db.WithContext(ctx), actor, branchID); err != nil {
		return nil, err
	}
	read, err := readTable(ctx, file.Data, file.Size)
	if err != nil {
		return nil, err
	}
	if read, err = read.under(hoursColumns...); err != nil {
		return nil, err
	}
	return inTx(ctx, s.db, func(tx *gorm.DB) (*ImportReport, error) {
		if _, _, err := rosterScope(tx, actor, branchID); err != nil {
			return nil, err
		}
		if err := lockBranches(tx, branchID); err != nil { // one import of a branch at a time
			return nil, err
		}
		table := read.fresh()
		rows, err := s.hours(tx, table, branchID, model.DayOf(now, s.settings.Zone))
		if err != nil {
			return nil, err
		}
		if err := table.refusal(); err != nil {
			return nil, err
		}
		report := &ImportReport{DryRun: file.DryRun, Rows: len(rows)}
		fresh, err := unknownHours(tx, rows)
		if err != nil {
			return nil, err
		}
		report.Added, report.Unchanged = len(fresh), len(rows)-len(fresh)
		for i := range fresh {
			fresh[i].EnteredBy, fresh[i].At = actor.MemberID, now
		}
		if file.DryRun {
			return report, auditBy(tx, now, actor, "check_hours", "organisation", branchID, "ok", report)
		}
		if len(fresh) > 0 {
			if err := tx.CreateInBatches(fresh, batch).Error; err != nil {
				return nil, fmt.Errorf("import hours of branch %d: %w", branchID, err)
			}
		}
		return report, auditBy(tx, now, actor, "import_hours", "organisation", branchID, "ok", report)
	})
}

// hours is what the table says, with everything that is wrong noted in it.
func (s *Imports) hours(tx *gorm.DB, table *table, branchID uint64, today model.Day) ([]model.ServiceHours, error) {
	blind := make([]string, 0, len(table.rows))
	for _, r := range table.rows {
		if phone, ok := phoneNumber(table.cell(r, "phone")); ok {
			blind = append(blind, s.seal.blind(phone))
		}
	}
	type person struct {
		BlindIndex string
		MemberID   uint64
		Name       string
		BranchID   uint64
		model.Span
	}
	known := map[string][]person{}
	for _, some := range chunks(blind, batch) {
		var people []person
		err := tx.Table("member_phones p").Select("p.blind_index, p.member_id, m.name, b.branch_id, b.from_day, b.until_day").
			Joins("JOIN members m ON m.id = p.member_id").Joins("JOIN memberships b ON b.member_id = p.member_id").
			Where("p.blind_index IN ?", some).Scan(&people).Error
		if err != nil {
			return nil, fmt.Errorf("find members by phone: %w", err)
		}
		for _, p := range people {
			known[p.BlindIndex] = append(known[p.BlindIndex], p)
		}
	}
	var rows []model.ServiceHours
	for _, r := range table.rows {
		phone, ok := phoneNumber(table.cell(r, "phone"))
		day := dayOf(table.cell(r, "day"))
		minutes, err := strconv.Atoi(table.cell(r, "minutes"))
		row := model.ServiceHours{Day: day, Minutes: minutes, Provenance: model.ImportedHours, Reason: cleanLine(table.cell(r, "what"))}
		for _, p := range known[s.seal.blind(phone)] {
			if p.BranchID == branchID && p.Covers(day) && fold(p.Name) == fold(table.cell(r, "name")) {
				row.MemberID, row.BranchID = p.MemberID, p.BranchID
			}
		}
		sound := table.sound(func() {
			switch {
			case !ok:
				table.reject(r, "phone", "请填11位手机号，只写一个")
			case !day.Valid() || day > today:
				table.reject(r, "day", "请填已经过去的日期，如 2026-03-10")
			case err != nil || minutes < 1 || minutes > 960:
				table.reject(r, "minutes", "请填1至960的整数")
			case row.Reason == "" || len([]rune(row.Reason)) > 100:
				table.reject(r, "what", "请写做了什么，不超过100个字")
			case row.MemberID == 0:
				table.reject(r, "phone", "那一天本支部没有这个姓名和手机号的党员，请核对")
			}
		})
		if sound {
			key := digest(fmt.Sprintf("%d %s %d %s", row.MemberID, row.Day, row.Minutes, row.Reason))[:32]
			row.ImportKey = &key
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// dayOf reads the ways in which spreadsheets write a day; empty for others.
func dayOf(cell string) model.Day {
	cell, _, _ = strings.Cut(cell, " ")
	for _, layout := range []string{time.DateOnly, "2006/1/2", "2006-1-2", "2006.1.2", "2006年1月2日", "01-02-06"} {
		if t, err := time.Parse(layout, cell); err == nil {
			return model.Day(t.Format(time.DateOnly))
		}
	}
	return ""
}

// unknownHours is the rows that the ledger does not have yet, each once.
func unknownHours(tx *gorm.DB, rows []model.ServiceHours) ([]model.ServiceHours, error) {
	there := map[string]bool{}
	for _, some := range chunks(rows, batch) {
		keys := make([]string, len(some))
		for i := range some {
			keys[i] = *some[i].ImportKey
		}
		var found []string
		if err := tx.Model(&model.ServiceHours{}).Where("import_key IN ?", keys).Pluck("import_key", &found).Error; err != nil {
			return nil, fmt.Errorf("find imported hours: %w", err)
		}
		for _, key := range found {
			there[key] = true
		}
	}
	var fresh []model.ServiceHours
	for i := range rows {
		if !there[*rows[i].ImportKey] {
			fresh = append(fresh, rows[i])
			there[*rows[i].ImportKey] = true
		}
	}
	return fresh, nil
}
