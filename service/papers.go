package service

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"dangri/model"
)

// Papers is what one record of a meeting is written out as: the minutes to
// print, the pack for the district's platform, a member's certificate.
type Papers struct {
	db       *gorm.DB
	photos   *Photos
	sheets   *Sheets
	settings Settings
	now      func() time.Time
}

// MinutesPaper is a 会议记录 as it is printed. Texts are ready to show.
type MinutesPaper struct {
	Organisation, Kind, Title, When, Place string
	With                                   []string // who met with the organisation
	Host, Recorder                         string
	Sentence                               string
	Missing                                []string // names with what became of them
	Guests                                 []string
	Agenda, Content, Decisions             string
	Votes                                  []string
	Signed                                 string
	Version                                int
	PrintedAt                              string
}

// Minutes is a version of a meeting's minutes with the facts of the meeting and
// its votes, for those who oversee its organisation: the newest unless asked
// otherwise. Of a joint meeting it is one branch's minutes, list and votes: the
// own, or those of the one that is asked for. Every look is audited: it leaves the
// system.
func (s *Papers) Minutes(ctx context.Context, actor *model.Actor, activityID, branchID uint64, version int) (*MinutesPaper, error) {
	now := s.now()
	return inTx(ctx, s.db, func(tx *gorm.DB) (*MinutesPaper, error) {
		a, joint, err := jointly(tx, actor, activityID)
		if err != nil {
			return nil, err
		}
		at, err := joint.first(branchID, actor.Oversees)
		if err != nil {
			return nil, err
		}
		all, err := versionsOf(tx, activityID, at)
		if err != nil {
			return nil, err
		}
		m, err := minutesView(tx, all, cmp.Or(version, len(all)))
		if err != nil {
			return nil, err
		}
		sheet, err := s.sheet(tx, actor, a, joint, at, now)
		if err != nil {
			return nil, err
		}
		out, err := s.minutes(tx, a, joint, at, sheet, m)
		if err != nil {
			return nil, err
		}
		return out, auditBy(tx, now, actor, "export_minutes", "activity", activityID, "ok", map[string]any{"version": m.Version})
	})
}

// sheet is the 签到表 of one side.
func (s *Papers) sheet(tx *gorm.DB, actor *model.Actor, a *model.Activity, all sides, at side, now time.Time) (*Sheet, error) {
	seats, err := seatsAt(tx, a)
	if err != nil {
		return nil, err
	}
	return s.sheets.sheet(a, at.line[0].Name, all.pick(part{side: &at}, seats), all, actor, now), nil
}

// minutes draws the paper of a side's version, or of a meeting without minutes
// where m is nil.
func (s *Papers) minutes(tx *gorm.DB, a *model.Activity, all sides, at side, sheet *Sheet, m *MinutesView) (*MinutesPaper, error) {
	votes, err := votesOf(tx, a.ID, at, false)
	if err != nil {
		return nil, err
	}
	out := &MinutesPaper{Organisation: sheet.Organisation, Kind: sheet.Kind, Title: a.Title, When: sheet.When, Place: sheet.Place,
		Sentence: sheet.Sentence, Signed: "书记尚未签字", PrintedAt: sheet.PrintedAt}
	for _, other := range all {
		if other.partner != at.partner {
			out.With = append(out.With, other.line[0].Name)
		}
	}
	for _, l := range sheet.Lines {
		switch {
		case l.Group == "列席":
			out.Guests = append(out.Guests, l.Name)
		case l.At == "":
			out.Missing = append(out.Missing, l.Name+"（"+l.Status+"）")
		}
	}
	for i := range votes {
		secret := ""
		if votes[i].Secret {
			secret = "，无记名"
		}
		out.Votes = append(out.Votes, votes[i].Subject+"（"+votes[i].KindName+secret+"）："+votes[i].Sentence)
	}
	if m == nil {
		return out, nil
	}
	out.Host, out.Recorder, out.Agenda, out.Content, out.Decisions, out.Version = m.Host, m.Recorder, m.Agenda, m.Content, m.Decisions, m.Version
	if m.SignedAt != nil {
		out.Signed = m.SignedBy + " " + m.SignedAt.In(s.settings.Zone).Format("2006年1月2日") + "签字"
	}
	return out, nil
}

// text is the paper as plain text.
func (p *MinutesPaper) text() string {
	var b strings.Builder
	line := func(name, text string) {
		if text != "" {
			b.WriteString(name + text + "\n")
		}
	}
	line("会议：", p.Organisation+" "+p.Kind)
	line("时间：", p.When)
	line("地点：", p.Place)
	line("联办：", strings.Join(p.With, "、"))
	line("主持人：", p.Host)
	line("记录人：", p.Recorder)
	line("到会：", p.Sentence)
	line("未到会：", strings.Join(p.Missing, "、"))
	line("列席：", strings.Join(p.Guests, "、"))
	line("议题：\n", p.Agenda)
	line("会议内容：\n", p.Content)
	line("表决：\n", strings.Join(p.Votes, "\n"))
	line("决议：\n", p.Decisions)
	line("签字：", p.Signed)
	return b.String()
}

// How long the pieces are that somebody pastes into 山东e支部, in characters. The
// platform has no public API and publishes no limits: these are assumed, and to
// be set to what its forms take once that is known. Nothing is cut.
const (
	packTitle = 50
	packText  = 3000
)

// pieces splits a text into pieces of at most so many characters, at the end of
// a paragraph or else of a sentence where there is one in the second half.
func pieces(text string, most int) []string {
	var out []string
	for runes := []rune(text); ; {
		if len(runes) <= most {
			return append(out, string(runes))
		}
		at := most
		for _, end := range []string{"\n", "。；！？"} {
			if last := strings.LastIndexAny(string(runes[most/2:most]), end); last >= 0 {
				piece := string(runes[most/2 : most])[:last]
				at = most/2 + utf8.RuneCountInString(piece) + 1
				break
			}
		}
		out, runes = append(out, string(runes[:at])), runes[at:]
	}
}

// Pack is everything about a meeting that is uploaded to 山东e支部, as one
// archive, for those who conduct it: the minutes in pieces that the forms take,
// the sheet, the list and the photos of the scene; the paper sheet, which has
// everybody's signature, only where it is asked for. Of a joint meeting each
// branch has its own, with the photos of the scene from all. It is audited.
func (s *Papers) Pack(ctx context.Context, actor *model.Actor, activityID, branchID uint64, withPaper bool) ([]byte, error) {
	now := s.now()
	var photos []model.Photo
	var sheet *Sheet
	paper, err := inTx(ctx, s.db, func(tx *gorm.DB) (*MinutesPaper, error) {
		a, joint, err := jointly(tx, actor, activityID)
		if err != nil {
			return nil, err
		}
		at, err := joint.first(branchID, actor.Conducts)
		if err != nil {
			return nil, err
		}
		if err := a.Allow(model.Published, model.Closed); err != nil {
			return nil, err
		}
		all, err := versionsOf(tx, activityID, at)
		if err != nil {
			return nil, err
		}
		var m *MinutesView
		if len(all) > 0 {
			if m, err = minutesView(tx, all, toUpload(all)); err != nil {
				return nil, err
			}
		}
		if sheet, err = s.sheet(tx, actor, a, joint, at, now); err != nil {
			return nil, err
		}
		err = tx.Order("id").Find(&photos, "activity_id = ? AND removed = 0 AND (purpose = ? OR purpose = ? AND partner_id = ? AND ?)",
			activityID, model.ScenePhoto, model.PaperSheetPhoto, at.partner, withPaper).Error
		if err != nil {
			return nil, fmt.Errorf("photos of activity %d: %w", activityID, err)
		}
		out, err := s.minutes(tx, a, joint, at, sheet, m)
		if err != nil {
			return nil, err
		}
		return out, auditBy(tx, now, actor, "export_pack", "activity", activityID, "ok", map[string]any{"photos": len(photos), "paper_sheet": withPaper})
	})
	if err != nil {
		return nil, err
	}
	return s.pack(ctx, paper, sheet, photos, now)
}

// toUpload is the version that is uploaded: the newest that is signed, else the
// newest.
func toUpload(all []model.Minutes) int {
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].SignedAt != nil {
			return all[i].Version
		}
	}
	return len(all)
}

func (s *Papers) pack(ctx context.Context, paper *MinutesPaper, sheet *Sheet, photos []model.Photo, now time.Time) ([]byte, error) {
	var b bytes.Buffer
	archive := zip.NewWriter(&b)
	var listed []string
	add := func(name, about string, write func(io.Writer) error) error {
		listed = append(listed, name+"　"+about)
		part, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: now.In(s.settings.Zone)})
		if err == nil {
			err = write(part)
		}
		if err != nil {
			return fmt.Errorf("pack %s: %w", name, err)
		}
		return nil
	}
	text := func(content string) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, "\ufeff"+strings.ReplaceAll(content, "\n", "\r\n")) // so that Notepad reads it
			return err
		}
	}
	titles := pieces(paper.Title, packTitle)
	texts := pieces(paper.text(), packText)
	for i, piece := range texts {
		name, about := "会议记录.txt", "正文"
		if len(texts) > 1 {
			name, about = fmt.Sprintf("会议记录-%d.txt", i+1), fmt.Sprintf("正文第 %d 段，共 %d 段，请依次粘贴", i+1, len(texts))
		}
		head := ""
		if i == 0 {
			head = "标题：" + strings.Join(titles, "\n标题（续）：") + "\n"
		}
		if err := add(name, about, text(head+piece)); err != nil {
			return nil, err
		}
	}
	if err := add("签到表.xlsx", sheet.Sentence, sheet.WriteXLSX); err != nil {
		return nil, err
	}
	if err := add("名单.xlsx", fmt.Sprintf("%d 人", len(sheet.Lines)), sheet.writeList); err != nil {
		return nil, err
	}
	numbers := map[model.PhotoPurpose]int{}
	for i := range photos {
		content, err := s.photos.content(ctx, &photos[i])
		if err != nil {
			return nil, err
		}
		numbers[photos[i].Purpose]++
		name, about := "现场照片", "会场"
		if photos[i].Purpose == model.PaperSheetPhoto {
			name, about = "纸质签到表", "有签名，按要求才附"
		}
		name += "-" + strconv.Itoa(numbers[photos[i].Purpose]) + ".jpg"
		if err := add(name, about, func(w io.Writer) error { _, err := w.Write(content); return err }); err != nil {
			return nil, err
		}
	}
	if err := add("说明.txt", "本文件", text(manifest(paper, listed))); err != nil {
		return nil, err
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	return b.Bytes(), nil
}

func manifest(paper *MinutesPaper, listed []string) string {
	minutes := "会议记录还没有写，正文里只有会议的时间、地点、人数和表决。"
	if paper.Version > 0 {
		minutes = fmt.Sprintf("会议记录为第 %d 版，%s。", paper.Version, paper.Signed)
	}
	return paper.Organisation + " " + paper.Kind + "“" + paper.Title + "”上传资料\n生成时间：" + paper.PrintedAt + "\n" + minutes + "\n\n" +
		strings.Join(listed, "\n") + "\n\n" +
		fmt.Sprintf("山东e支部没有公开的接口，请登录后手工粘贴和上传。正文按每段不超过 %d 字、标题不超过 %d 字分好；平台没有公布限制，这两个数只是估计，以平台页面为准。内容没有删减。\n", packText, packTitle)
}

// writeList writes who was on the sheet, without times and notes.
func (s *Sheet) writeList(w io.Writer) error {
	t := sheet{title: s.Organisation + " " + s.Kind + "名单", notes: []string{"主题：" + s.Title, "时间：" + s.When, s.Sentence},
		columns: []sheetColumn{{"序号", 5}, {"姓名", 10}, {"党小组", 14}, {"状态", 10}}}
	for _, l := range s.Lines {
		t.rows = append(t.rows, []any{l.No, l.Name, l.Group, l.Status})
	}
	return writeTable(w, t)
}

// AttendanceRecord is a member's 活动证明 of a year.
type AttendanceRecord struct {
	Name        string            `json:"name"`
	Branch      string            `json:"branch" doc:"今天所在的支部"`
	Year        int               `json:"year"`
	Attended    int               `json:"attended" doc:"参加的次数，不含列席"`
	AsGuest     int               `json:"as_guest" doc:"列席的次数"`
	CreditHours float64           `json:"credit_hours" doc:"学时，列席不计"`
	Entries     []AttendanceEntry `json:"entries"`
	Sentence    string            `json:"sentence"`
	MadeAt      string            `json:"made_at"`
}

// AttendanceEntry is one closed meeting that the member came to.
type AttendanceEntry struct {
	ActivityID   uint64    `json:"activity_id"`
	Day          model.Day `json:"day"`
	Organisation string    `json:"organisation"`
	Kind         string    `json:"kind"`
	Title        string    `json:"title"`
	CreditHours  float64   `json:"credit_hours"`
	Days         int       `json:"days" doc:"按天签到的活动：到了几天；其他为 1"`
	Guest        bool      `json:"guest"`
	By           string    `json:"by" doc:"怎么知道的：扫码、书记代记、纸质签到……"`
}

// Attendance is the closed meetings of a year that a member came to, with the
// credit hours and how each is known: for the member, and for those who conduct
// their branch, which is audited.
func (s *Papers) Attendance(ctx context.Context, actor *model.Actor, memberID uint64, year int) (*AttendanceRecord, error) {
	now := s.now()
	year = cmp.Or(year, now.In(s.settings.Zone).Year())
	return inTx(ctx, s.db, func(tx *gorm.DB) (*AttendanceRecord, error) {
		member, err := find[model.Member](tx, memberID, model.ErrNotFound)
		if err != nil {
			return nil, err
		}
		line, err := lineOfMember(tx, memberID, model.DayOf(now, s.settings.Zone))
		if err != nil {
			return nil, err
		}
		if memberID != actor.MemberID {
			switch {
			case !actor.Oversees(line):
				return nil, model.ErrNotFound
			case !actor.Conducts(line):
				return nil, model.ErrNotConductor
			}
			if err := auditBy(tx, now, actor, "read_attendance_record", "member", memberID, "ok", map[string]any{"year": year}); err != nil {
				return nil, err
			}
		}
		out := &AttendanceRecord{Name: member.Name, Year: year, Entries: []AttendanceEntry{}, MadeAt: now.In(s.settings.Zone).Format("2006-01-02 15:04")}
		if len(line) > 0 {
			out.Branch = line[0].Name
		}
		return out, s.attended(tx, memberID, out)
	})
}

func (s *Papers) attended(tx *gorm.DB, memberID uint64, out *AttendanceRecord) error {
	newYear := func(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, s.settings.Zone).UTC() }
	var rows []struct {
		ID           uint64
		Organisation string
		Kind         model.ActivityKind
		Title        string
		StartsAt     time.Time
		CreditHours  float64
		Guest        bool
		Provenance   model.Provenance
	}
	err := tx.Table("attendances t").Select("a.id, o.name AS organisation, a.kind, a.title, a.starts_at, COALESCE(c.hours, 0) AS credit_hours, t.guest, t.provenance").
		Joins("JOIN activities a ON a.id = t.activity_id").Joins("JOIN organisations o ON o.id = a.organisation_id").
		Joins("LEFT JOIN credit_entries c ON c.member_id = t.member_id AND c.activity_id = a.id").
		Where("t.member_id = ? AND t.voided = 0 AND t.status = ? AND a.status = ? AND a.starts_at >= ? AND a.starts_at < ?",
			memberID, model.Present, model.Closed, newYear(out.Year), newYear(out.Year+1)).
		Order("a.starts_at, a.id, t.day").Scan(&rows).Error
	if err != nil {
		return fmt.Errorf("meetings of member %d: %w", memberID, err)
	}
	for _, r := range rows {
		if last := len(out.Entries) - 1; last >= 0 && out.Entries[last].ActivityID == r.ID { // a further day of the same
			out.Entries[last].Days++
			continue
		}
		e := AttendanceEntry{ActivityID: r.ID, Day: model.DayOf(r.StartsAt, s.settings.Zone), Organisation: r.Organisation, Kind: model.ActivityKindNames[r.Kind],
			Title: r.Title, CreditHours: r.CreditHours, Days: 1, Guest: r.Guest, By: model.ProvenanceNames[r.Provenance]}
		if e.Guest {
			out.AsGuest++
		} else {
			out.Attended++
		}
		out.CreditHours += e.CreditHours
		out.Entries = append(out.Entries, e)
	}
	out.Sentence = fmt.Sprintf("参加 %d 次，列席 %d 次，学时合计 %s", out.Attended, out.AsGuest, strconv.FormatFloat(out.CreditHours, 'f', -1, 64))
	return nil
}

// WriteXLSX writes the record as a workbook.
func (r *AttendanceRecord) WriteXLSX(w io.Writer) error {
	t := sheet{title: r.Name + " 参加组织生活证明", notes: []string{fmt.Sprintf("党支部：%s　年度：%d", r.Branch, r.Year), r.Sentence, "生成时间：" + r.MadeAt},
		columns: []sheetColumn{{"日期", 12}, {"组织", 24}, {"类别", 14}, {"主题", 30}, {"学时", 8}, {"天数", 6}, {"身份", 8}, {"记录方式", 12}}}
	for _, e := range r.Entries {
		t.rows = append(t.rows, []any{string(e.Day), e.Organisation, e.Kind, e.Title, e.CreditHours, e.Days, e.As(), e.By})
	}
	return writeTable(w, t)
}

// As is in what part the member came.
func (e AttendanceEntry) As() string {
	if e.Guest {
		return "列席"
	}
	return "参加"
}
