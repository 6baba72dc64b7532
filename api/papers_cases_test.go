package api_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/xuri/excelize/v2"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

// paperPhoto is a photo of the meeting's paper sheet.
func (m *meeting) paperPhoto() uint64 {
	m.t.Helper()
	return as[service.PhotoView](m.t, m.attach(m.phone(m.secretary), model.PaperSheetPhoto, pictureOf(m.t, 1))).ID
}

func (m *meeting) paper(b body) *reply {
	m.t.Helper()
	return m.phone(m.secretary).post(m.path(m.id, "/paper-sheets"), b)
}

func ids(people ...*trial.Person) []uint64 {
	all := make([]uint64, len(people))
	for i, p := range people {
		all[i] = p.ID
	}
	return all
}

func TestAPaperSheetCountsExactlyAsMuchAsAScan(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		scanned := s.aMeeting(3)
		written := scanned.on(s)
		written.id = scanned.publish(scanned.branch)
		code := scanned.code().Code
		for _, who := range scanned.members[:2] {
			want(t, scanned.scan(who, code, nonce()), 200, "ok")
		}
		report := as[service.PaperSheetReport](t, written.paper(body{"photo_id": written.paperPhoto(), "member_ids": ids(scanned.members[:2]...), "nonce": nonce()}))
		if len(report.Recorded) != 2 || len(report.Already)+len(report.Refused) != 0 || report.Recorded[0].Name != scanned.members[0].Name {
			t.Errorf("got %+v", report)
		}
		if a, b := scanned.board().Tally, written.board().Tally; a != b || report.Tally != b || b.Present != 2 || b.VotersPresent != 2 {
			t.Errorf("scanned %+v, on paper %+v", a, b)
		}
		s.Clock.Advance(31 * time.Minute)
		p := s.phone(scanned.secretary)
		var closed [2]service.Closing
		for i, id := range []uint64{scanned.id, written.id} {
			closed[i] = as[service.Closing](t, p.post(scanned.path(id, "/closing"), nil))
		}
		if closed[0].Tally != closed[1].Tally || closed[0].Sentence != closed[1].Sentence {
			t.Errorf("closed with %+v and %+v", closed[0], closed[1])
		}
		line := lineOf(t, as[service.Sheet](t, p.get(written.path(written.id, "/sheet"))), scanned.members[0].Name)
		if line.Status != "签到" || line.By != "纸质签到" {
			t.Errorf("on the sheet: %+v", line)
		}
		row := written.row(scanned.members[0])
		if row.Provenance != model.ByPaper || row.BranchID != scanned.branch.ID || row.RecordedAt == nil || row.Guest {
			t.Errorf("the row: %+v", row)
		}
	})
}

func TestAPaperSheetKeepsWhatIsOnRecordAndNamesWhoItCouldNotRecord(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(4)
		outsider := s.Member(s.Branch("第二党支部"), "外支部党员")
		photo := m.paperPhoto()
		m.begins()
		first := as[service.CheckedIn](t, m.scan(m.members[0], m.code().Code, nonce()))
		want(t, m.tick(m.members[1], model.PersonalLeave), 200, "ok")
		s.Clock.Advance(20 * time.Minute)
		once := nonce()
		in := body{"photo_id": photo, "member_ids": append(ids(m.members[0], m.members[1], m.members[2], m.members[2], outsider), 999999), "nonce": once}
		report := as[service.PaperSheetReport](t, m.paper(in))
		if len(report.Recorded) != 2 || len(report.Already) != 1 || !report.Already[0].CheckedInAt.Equal(first.CheckedInAt) || len(report.Refused) != 2 ||
			report.Refused[0].MemberID != outsider.ID || report.Refused[0].Code != "not_on_roster" || report.Refused[0].Reason != report.Refused[1].Reason {
			t.Errorf("got %+v", report)
		}
		if row := m.row(m.members[0]); row.Provenance != model.ByScan || !row.At.Equal(first.CheckedInAt) {
			t.Errorf("the scan became %+v", row)
		}
		if row := m.row(m.members[2]); row.Late(&model.Activity{LateAt: first.CheckedInAt.Add(5 * time.Minute)}) {
			t.Errorf("who signed on paper is late: %+v", row)
		}
		again := as[service.PaperSheetReport](t, m.paper(in))
		if fmt.Sprint(again) != fmt.Sprint(report) {
			t.Errorf("the retry got %+v, the first try %+v", again, report)
		}
		want(t, m.paper(in.with("member_ids", ids(m.members[3]))), 409, "key_reused")
		if s.rowsOf(m.id) != 3 {
			t.Errorf("%d rows", s.rowsOf(m.id))
		}
	})
}

// rowsOf is how many rows of an activity hold.
func (s *stage) rowsOf(id uint64) int64 {
	s.t.Helper()
	return s.count(&model.Attendance{}, "activity_id = ? AND voided = 0", id)
}

func TestAPaperSheetAfterTheClosingReplacesTheAbsenceAndKeepsItAsTheFirstEntry(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		m.begins()
		want(t, m.tick(m.members[1], model.SickLeave), 200, "ok")
		p := m.phone(m.secretary)
		want(t, p.post(m.path(m.id, "/closing"), nil), 200, "ok")
		s.Clock.Advance(3 * 24 * time.Hour)
		report := as[service.PaperSheetReport](t, m.paper(body{"photo_id": m.paperPhoto(), "member_ids": ids(m.members[0], m.members[1]), "nonce": nonce()}))
		if len(report.Recorded) != 2 || report.Tally.Present != 2 || report.Tally.Absent != 2 || report.Tally.Late != 0 || report.Tally.OnLeave != 0 {
			t.Errorf("got %+v", report)
		}
		for _, who := range m.members[:2] {
			var rows []model.Attendance
			if err := s.DB.Order("id").Find(&rows, "activity_id = ? AND member_id = ?", m.id, who.ID).Error; err != nil {
				t.Fatal(err)
			}
			if len(rows) != 2 || rows[0].Provenance != model.ByClosing || rows[0].Voided == 0 || *rows[0].VoidedBy != m.secretary.ID || rows[1].Voided != 0 || rows[1].Provenance != model.ByPaper {
				t.Errorf("%s has %+v", who.Name, rows)
			}
		}
		if year := as[service.HomeScreen](t, m.phone(m.members[0]).get("/v1/home")).Year; year.CreditHours != 2 || year.Attended != 1 {
			t.Errorf("the member's year: %+v", year)
		}
		if s.audited("record_paper_sheet", "activity", m.id) != 1 {
			t.Error("not audited")
		}
	})
}

func TestAPaperSheetNeedsItsPhotoAndGuestsAreThoseWhomTheSecretaryMayKnow(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2, "open_to_guests", true)
		other := s.anotherBranch("第二党支部")
		s.Post(m.secretary, other.branch, model.CommitteeMember)
		known, unknown := s.Member(other.branch, "邻支部党员"), s.Member(s.Branch("第三党支部"), "外支部党员")
		s.SignIn(m.secretary)
		scene := as[service.PhotoView](t, m.attach(m.phone(m.secretary), model.ScenePhoto, pictureOf(t, 3)))
		in := body{"member_ids": ids(known, unknown), "nonce": nonce()}
		want(t, m.paper(in.with("photo_id", scene.ID)), 409, "not_paper_photo")
		want(t, m.paper(in.with("photo_id", 999999)), 404, "photo_not_found")
		want(t, m.paper(in.with("photo_id", m.paperPhoto(), "arrived_at", s.Clock.Now().Add(time.Minute))), 400, "invalid_field")
		report := as[service.PaperSheetReport](t, m.paper(in.with("photo_id", m.paperPhoto())))
		if len(report.Recorded) != 1 || report.Recorded[0].MemberID != known.ID || len(report.Refused) != 1 || report.Tally.Guests != 1 {
			t.Errorf("got %+v", report)
		}
		if row := m.row(known); !row.Guest || row.BranchID != other.branch.ID {
			t.Errorf("the guest's row: %+v", row)
		}
	})
}

func TestAPaperSheetAndScansAtOnceLeaveOneRowEachAndTheFirstStands(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(12)
		photo, code, other := m.paperPhoto(), m.code().Code, m.on(s.replica())
		for _, who := range m.members {
			m.phone(who)
		}
		in := body{"photo_id": photo, "member_ids": ids(m.members...), "nonce": nonce()}
		var mu sync.Mutex
		scanned := map[uint64]bool{}
		trial.Race(len(m.members)+2, func(i int) {
			if i >= len(m.members) { // the same sheet twice
				want(t, []*meeting{m, other}[i%2].paper(in), 200, "ok")
				return
			}
			r := other.scan(m.members[i], code, nonce())
			mu.Lock()
			defer mu.Unlock()
			if scanned[m.members[i].ID] = r.Status == 200; r.Status != 200 {
				want(t, r, 409, "already_checked_in")
			}
		})
		if n := s.rowsOf(m.id); n != int64(len(m.members)) {
			t.Errorf("%d rows of %d people", n, len(m.members))
		}
		for _, who := range m.members {
			if row := m.row(who); (row.Provenance == model.ByScan) != scanned[who.ID] {
				t.Errorf("%s: scan accepted %v, the row %+v", who.Name, scanned[who.ID], row)
			}
		}
		report := as[service.PaperSheetReport](t, m.paper(in))
		if len(report.Recorded)+len(report.Already) != len(m.members) || len(report.Refused) != 0 {
			t.Errorf("got %+v", report)
		}
	})
}

func TestPaperSheetAtOnce_Control_WithoutTheKeySomebodyHasTwoRows(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(6)
		photo, other := m.paperPhoto(), m.on(s.replica())
		for _, who := range m.members {
			m.phone(who)
		}
		s.dropIndex("attendances", "attendances_once")
		for round := range 40 {
			if err := s.DB.Exec("DELETE FROM attendances").Error; err != nil {
				t.Fatal(err)
			}
			code, in := m.code().Code, body{"photo_id": photo, "member_ids": ids(m.members...), "nonce": nonce()}
			trial.Race(len(m.members)+1, func(i int) {
				if i == len(m.members) {
					m.paper(in)
					return
				}
				other.scan(m.members[i], code, nonce())
			})
			if s.rowsOf(m.id) > int64(len(m.members)) {
				t.Logf("seen in round %d", round)
				return
			}
		}
		t.Error("forty rounds without the key and never two rows: this test cannot see the race")
	})
}

// minuted is a closed meeting with signed minutes, a vote and photos.
func (s *stage) minuted(content string) *meeting {
	s.t.Helper()
	m := s.aMeeting(3)
	m.begins()
	p := m.phone(m.secretary)
	for _, who := range append(m.members[:2:2], m.secretary) {
		want(s.t, m.tick(who, model.Present), 200, "ok")
	}
	want(s.t, p.post(m.path(m.id, "/votes"), body{"subject": "年度计划", "kind": "resolution", "yes": 3, "nonce": nonce()}), 200, "ok")
	want(s.t, p.put(m.path(m.id, "/minutes"), m.minutes(0, content)), 200, "ok")
	want(s.t, p.post(m.path(m.id, "/minutes/signature"), body{"version": 1}), 200, "ok")
	want(s.t, p.post(m.path(m.id, "/closing"), nil), 200, "ok")
	want(s.t, m.attach(p, model.ScenePhoto, pictureOf(s.t, 5)), 200, "ok")
	m.paperPhoto()
	return m
}

func TestAPaperThatListsNobodySaysSo(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(0)
		p := m.phone(m.secretary)
		want(t, p.post(m.path(m.id, "/attendances"), body{"member_id": m.secretary.ID, "status": "present", "nonce": nonce()}), 200, "ok")
		draft := as[model.Activity](t, p.post("/v1/activities", m.draft(m.branch))).ID
		for path, words := range map[string]string{
			m.path(m.id, "/calls.html"):                                          "没有人需要电话通知",
			m.path(draft, "/sheet.html"):                                         "名单里还没有人",
			fmt.Sprintf("/v1/members/%d/attendance-record.html", m.secretary.ID): "这一年没有记录",
			fmt.Sprintf("/v1/members/%d/service-record.html", m.secretary.ID):    "这段时间没有记录",
		} {
			page := p.get(path)
			want(t, page, 200, "ok")
			if !strings.Contains(string(page.Body), words) {
				t.Errorf("%s lacks %q: %s", path, words, page.Body)
			}
		}
	})
}

func TestTheMinutesArePrintedWithFactsVotesAndSignature(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.minuted("<script>alert(1)</script>第一行\n第二行")
		p := m.phone(m.secretary)
		page := p.get(m.path(m.id, "/minutes.html"))
		text := string(page.Body)
		for _, part := range []string{"第一党支部", "主题党日会议记录", "主持人：沈书记", "应到 4 实到 3", m.members[2].Name + "（缺席）", "年度计划（议题表决）：应到有表决权 4 人，实到 3 人",
			"&lt;script&gt;alert(1)&lt;/script&gt;第一行\n第二行", "沈书记 2026年", "第 1 版"} {
			if !strings.Contains(text, part) {
				t.Errorf("the page lacks %q", part)
			}
		}
		if strings.Contains(text, "<script>") || page.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Error("the page has a script of somebody's")
		}
		want(t, p.get(m.path(m.id, "/minutes.html?version=2")), 404, "minutes_not_found")
		if n := s.audited("export_minutes", "activity", m.id); n != 1 {
			t.Errorf("%d audit rows", n)
		}
	})
}

// unpacked is the parts of an archive by name.
func unpacked(t *testing.T, r *reply) map[string]string {
	t.Helper()
	if r.Status != 200 || r.Header.Get("Content-Type") != "application/zip" {
		t.Fatalf("%d %v: %.200s", r.Status, r.Header, r.Body)
	}
	archive, err := zip.NewReader(bytes.NewReader(r.Body), int64(len(r.Body)))
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]string{}
	for _, f := range archive.File {
		if f.NonUTF8 || f.Flags&0x800 == 0 {
			t.Errorf("%q is not marked as UTF-8", f.Name)
		}
		part, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		parts[f.Name] = string(raw)
	}
	return parts
}

func TestThePackHasEverythingInPiecesThatFitAndNoPaperSheetUnasked(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		long := strings.Repeat("这一段讲学习的体会，写得很长。", 500)
		m := s.minuted(long)
		p := m.phone(m.secretary)
		parts := unpacked(t, p.get(m.path(m.id, "/pack.zip")))
		var whole strings.Builder
		for n := 1; ; n++ {
			piece, ok := parts[fmt.Sprintf("会议记录-%d.txt", n)]
			if !ok {
				break
			}
			piece = strings.TrimPrefix(piece, "\ufeff")
			if utf8.RuneCountInString(piece) > 3100 { // with the title before the first
				t.Errorf("piece %d has %d characters", n, utf8.RuneCountInString(piece))
			}
			whole.WriteString(piece)
		}
		if !strings.Contains(whole.String(), long) || !strings.Contains(whole.String(), "标题：七月主题党日") || !strings.Contains(whole.String(), "签字：沈书记") {
			t.Error("put together again the pieces are not the whole")
		}
		for _, name := range []string{"签到表.xlsx", "名单.xlsx", "说明.txt", "现场照片-1.jpg"} {
			if parts[name] == "" {
				t.Errorf("%s is missing", name)
			}
		}
		if parts["纸质签到表-1.jpg"] != "" || strings.Contains(parts["说明.txt"], "纸质签到表-") || !strings.Contains(parts["说明.txt"], "现场照片-1.jpg") {
			t.Errorf("the list says %s", parts["说明.txt"])
		}
		if asked := unpacked(t, p.get(m.path(m.id, "/pack.zip?paper_sheet=true"))); asked["纸质签到表-1.jpg"] == "" {
			t.Error("the paper sheet is missing though it was asked for")
		}
		if n := s.audited("export_pack", "activity", m.id); n != 2 {
			t.Errorf("%d audit rows", n)
		}
		m.id = m.publish(m.branch)
		if bare := unpacked(t, p.get(m.path(m.id, "/pack.zip"))); !strings.Contains(bare["说明.txt"], "会议记录还没有写") || bare["会议记录.txt"] == "" {
			t.Error("a meeting without minutes has no pack")
		}
	})
}

func TestAMembersCertificateListsWhatTheyCameToAndHowItIsKnown(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.minuted("内容")
		who, stayed := m.members[0], m.members[2]
		path := func(p *trial.Person, rest string) string {
			return "/v1/members/" + jsonText(p.ID) + "/attendance-record" + rest
		}
		own := as[service.AttendanceRecord](t, m.phone(who).get(path(who, "?year=2026")))
		if own.Attended != 1 || own.CreditHours != 2 || len(own.Entries) != 1 || own.Entries[0].By != "书记代记" || own.Entries[0].Title != "七月主题党日" ||
			own.Sentence != "参加 1 次，列席 0 次，学时合计 2" {
			t.Errorf("got %+v", own)
		}
		if r := as[service.AttendanceRecord](t, m.phone(m.secretary).get(path(stayed, ""))); r.Attended != 0 || len(r.Entries) != 0 {
			t.Errorf("who stayed away has %+v", r)
		}
		if r := as[service.AttendanceRecord](t, m.phone(who).get(path(who, "?year=2025"))); len(r.Entries) != 0 {
			t.Errorf("the year before has %+v", r)
		}
		want(t, m.phone(who).get(path(stayed, "")), 404, "not_found")
		if a, b := s.audited("read_attendance_record", "member", who.ID), s.audited("read_attendance_record", "member", stayed.ID); a != 0 || b != 1 {
			t.Errorf("%d own looks and %d of the secretary are audited", a, b)
		}
		if page := string(m.phone(who).get(path(who, ".html")).Body); !strings.Contains(page, "参加组织生活证明") || !strings.Contains(page, "<td>书记代记") {
			t.Errorf("the page: %s", page)
		}
		book, err := excelize.OpenReader(bytes.NewReader(m.phone(who).get(path(who, ".xlsx")).Body))
		if err != nil {
			t.Fatal(err)
		}
		checkBook(t, book, "学时合计 2")
	})
}

func TestTheCertificateHasTheHoursOfThoseWhoStayed(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2, "check_out", true, "stay_minutes", 90)
		stayed, left := m.members[0], m.members[1]
		m.begins()
		code := m.code().Code
		want(t, m.scan(stayed, code, nonce()), 200, "ok")
		want(t, m.scan(left, code, nonce()), 200, "ok")
		s.Clock.Advance(100 * time.Minute)
		want(t, m.leave(stayed, nonce()), 200, "ok")
		want(t, m.phone(m.secretary).post(m.path(m.id, "/closing"), nil), 200, "ok")
		for who, hours := range map[*trial.Person]float64{stayed: 2, left: 0} {
			r := as[service.AttendanceRecord](t, m.phone(who).get("/v1/members/"+jsonText(who.ID)+"/attendance-record"))
			home := as[service.HomeScreen](t, m.phone(who).get("/v1/home")).Year
			if r.CreditHours != hours || r.Attended != 1 || home.CreditHours != r.CreditHours || home.Attended != r.Attended {
				t.Errorf("%s: the certificate has %+v, the first screen %+v", who.Name, r, home)
			}
		}
	})
}
