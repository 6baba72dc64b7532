package service_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

const rosterHeader = "姓名,手机号,党小组,党员类别,领导班子成员,职务"

// csv is a sheet of the lines, cells divided by commas.
func csv(lines ...string) service.ImportFile {
	text := strings.Join(lines, "\n") + "\n"
	return service.ImportFile{Data: strings.NewReader(text), Size: int64(len(text))}
}

// roster is a sheet of one branch under the usual header.
func roster(lines ...string) service.ImportFile {
	return csv(append([]string{rosterHeader}, lines...)...)
}

// explain is a refusal with what it lists.
func explain(err error) string {
	var refusal *model.Error
	if !errors.As(err, &refusal) {
		return fmt.Sprint(err)
	}
	return fmt.Sprint(refusal.Code, " ", refusal.Message, " ", refusal.Details)
}

func problemsOf(t *testing.T, err error) []service.RowProblem {
	t.Helper()
	var refusal *model.Error
	if !errors.Is(err, model.ErrImportProblems) || !errors.As(err, &refusal) {
		t.Fatalf("want the problems of a sheet, got %s", explain(err))
	}
	return refusal.Details["problems"].([]service.RowProblem)
}

// must imports a roster that has to be taken.
func must(t *testing.T, w *trial.World, actor *model.Actor, branchID uint64, file service.ImportFile) *service.ImportReport {
	t.Helper()
	report, err := w.Imports.Roster(t.Context(), actor, branchID, file)
	if err != nil {
		t.Fatalf("import: %s", explain(err))
	}
	return report
}

func wantReport(t *testing.T, got *service.ImportReport, want service.ImportReport) {
	t.Helper()
	if *got != want {
		t.Errorf("got  %+v\nwant %+v", *got, want)
	}
}

// contents is every row of the registry, to see that nothing changed.
func contents(t *testing.T, w *trial.World) map[string][]map[string]any {
	t.Helper()
	all := map[string][]map[string]any{}
	for _, table := range []string{"organisations", "members", "member_phones", "memberships", "posts", "roster_entries", "audit_entries"} {
		var rows []map[string]any
		if err := w.DB.Table(table).Order("1, 2").Find(&rows).Error; err != nil {
			t.Fatal(err)
		}
		all[table] = rows
	}
	return all
}

// office is a branch with a secretary who has signed in.
type office struct {
	*trial.World
	branch    model.Organisation
	secretary *trial.Person
}

func newOffice(w *trial.World, name string) *office {
	o := &office{World: w, branch: w.Branch(name)}
	o.secretary = w.Member(o.branch, name+"书记甲")
	w.Post(o.secretary, o.branch, model.Secretary)
	return o
}

// own is the secretary's own line of the roster.
func (o *office) own() string {
	return o.secretary.Name + "," + o.secretary.Phone + ",,正式党员,否,书记"
}

func (o *office) members(t *testing.T) map[string]service.MemberLine {
	t.Helper()
	page, err := o.Services.Members.List(t.Context(), o.Actor(o.secretary), o.branch.ID, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]service.MemberLine{}
	for _, m := range page.Items {
		byName[m.Name] = m
	}
	return byName
}

func TestASecretaryImportsTheBranch(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		o := newOffice(w, "第一党支部")
		report := must(t, w, o.Actor(o.secretary), o.branch.ID, roster(o.own(),
			"丁　一,+86 1990-0000-101,第一党小组,正式党员,是,组织委员、党小组长",
			"丁二,１９９０００００１０２,第一党小组,预备党员,否,",
			"丁三,,第二党小组,正式党员,,"))
		wantReport(t, report, service.ImportReport{Rows: 4, Added: 3, Unchanged: 1, GroupsAdded: 2})
		members := o.members(t)
		first := members["丁一"]
		if len(members) != 4 || !first.Leader || len(first.Posts) != 2 || first.Phone != "199****0101" || first.GroupID == nil {
			t.Errorf("got %+v", members)
		}
		if members["丁二"].Status != model.ProbationaryMember || *members["丁二"].GroupID != *first.GroupID || members["丁三"].Phone != "" {
			t.Errorf("got %+v", members)
		}
		// The number opens the door: it is found by its index.
		user := w.WeChat.NewUser("19900000102")
		in, err := w.Sessions.SignIn(t.Context(), service.SignInInput{Code: user.LoginCode()})
		if err != nil {
			t.Fatal(err)
		}
		unbound, err := w.Sessions.Actor(t.Context(), in.Token)
		if err != nil {
			t.Fatal(err)
		}
		m, err := w.Bindings.Bind(t.Context(), unbound, service.BindInput{PhoneCode: user.PhoneCode()})
		if err != nil || m.Name != "丁二" {
			t.Errorf("got %+v, %v", m, err)
		}
	})
}

func TestReimportingChangesOnlyWhatDiffers(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		o := newOffice(w, "第一党支部")
		actor := o.Actor(o.secretary)
		lines := []string{o.own(),
			"丁一,19900000101,第一党小组,正式党员,是,委员、党小组长",
			"丁二,19900000102,第一党小组,预备党员,否,",
			"丁三,19900000103,第二党小组,正式党员,否,委员",
			"丁四,19900000104,,正式党员,否,"}
		must(t, w, actor, o.branch.ID, roster(lines...))
		before := contents(t, w)
		wantReport(t, must(t, w, actor, o.branch.ID, roster(lines...)), service.ImportReport{Rows: 5, Unchanged: 5})
		after := contents(t, w)
		delete(before, "audit_entries")
		delete(after, "audit_entries")
		if !reflect.DeepEqual(before, after) {
			t.Errorf("the same sheet changed the registry:\n%v\n%v", before, after)
		}
		w.Clock.Advance(24 * time.Hour)
		today := model.DayOf(w.Clock.Now(), trial.Zone)
		report := must(t, w, o.Actor(o.secretary), o.branch.ID, roster(o.own(),
			"丁一一,19900000101,第一党小组,正式党员,是,委员、党小组长", // a slip of the pen
			"丁二,19900000102,第一党小组,正式党员,否,",         // now a full member
			"丁三,19900000199,第三党小组,正式党员,否,党小组长"))    // another number, another group, another post
		wantReport(t, report, service.ImportReport{Rows: 4, Changed: 3, Unchanged: 1, Missing: 1, GroupsAdded: 1})
		members := o.members(t)
		if _, there := members["丁四"]; !there || len(members) != 5 {
			t.Errorf("who is not in the sheet must be left alone: %+v", members)
		}
		if m := members["丁三"]; m.Phone != "199****0199" || len(m.Posts) != 1 || m.Posts[0].Kind != model.GroupLeader || m.Posts[0].OrganisationID != *m.GroupID {
			t.Errorf("got %+v", m)
		}
		if members["丁二"].Status != model.FullMember || members["丁一一"].Name == "" {
			t.Errorf("got %+v", members)
		}
		var spans []model.Membership
		w.DB.Order("id").Find(&spans, "member_id = ?", members["丁三"].ID)
		if len(spans) != 2 || spans[0].Until != today || spans[1].From != today {
			t.Errorf("another group begins today and rewrites nothing: %+v", spans)
		}
		var ended model.Post
		w.DB.Take(&ended, "member_id = ? AND kind = ?", members["丁三"].ID, model.CommitteeMember)
		if ended.Until != today {
			t.Errorf("the post that the sheet no longer names ends today: %+v", ended)
		}
	})
}

func TestAnImportIsAllOrNothingAndNamesEveryProblem(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		o := newOffice(w, "第一党支部")
		w.Member(o.branch, "丁重")
		w.Member(o.branch, "丁重")
		elsewhere := w.Member(w.Branch("第二党支部"), "丁远")
		known := w.Member(o.branch, "丁知")
		actor := o.Actor(o.secretary)
		before := contents(t, w)
		_, err := w.Imports.Roster(t.Context(), actor, o.branch.ID, csv("姓名,手机号,党支部,党小组,党员类别,领导班子成员,职务",
			"丁一,19900000101,,第一党小组,正式党员,是,",
			"丁,19900000102,,,正式党员,,",
			"丁三,1990000010,,,正式党员,,",
			"丁四,19900000101,,,正式党员,,",
			"丁五,19900000105,第二党支部,,正式党员,,",
			"丁六,19900000106,,,积极分子,也许,",
			"丁七,19900000107,,,正式党员,,站长",
			"丁八,19900000108,,,正式党员,,党小组长",
			"丁九,19900000109,,,正式党员,,书记",
			"丁重,19900000110,,,正式党员,,",
			"丁双,,,,正式党员,,",
			"丁双,,,,正式党员,,",
			"丁远,"+elsewhere.Phone+",,,正式党员,,",
			"丁知知,"+known.Phone+",,,正式党员,,",
			"丁知,19900000115,,,正式党员,,",
			"丁十六,19900000116,,组/长,正式党员,,",
			o.secretary.Name+","+o.secretary.Phone+",第一党支部,,正式党员,,委员"))
		got := map[string]string{}
		for _, p := range problemsOf(t, err) {
			got[fmt.Sprint(p.Row, p.Column)] += p.Message
		}
		want := map[string]string{
			"3A": "2至50个字", "4B": "11位", "5B": "第2行", "6C": "别的党支部", "7E": "正式党员 或 预备党员", "7F": "是 或 否", "8G": "书记、委员、党小组长",
			"9G": "须写明党小组", "10G": "上级党组织任免", "11A": "同名", "12A": "同名", "13A": "同名", "14B": "别的党支部", "15B": "另一位党员", "17D": "党小组",
			"18G": "上级党组织任免",
		}
		for at, words := range want {
			if !strings.Contains(got[at], words) {
				t.Errorf("%s says %q, want words of %q", at, got[at], words)
			}
			delete(got, at)
		}
		if len(got) > 0 {
			t.Errorf("beyond that: %v", got)
		}
		for _, p := range problemsOf(t, err) {
			if strings.Contains(p.Message, "丁") || strings.Contains(p.Message, "199") {
				t.Errorf("a problem repeats personal data: %s", p)
			}
		}
		if after := contents(t, w); !reflect.DeepEqual(before, after) {
			t.Error("a refused sheet left something behind")
		}
	})
}

func TestADryRunCountsAndWritesNothing(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		o := newOffice(w, "第一党支部")
		file := roster(o.own(), "丁一,19900000101,第一党小组,正式党员,是,委员")
		actor := o.Actor(o.secretary)
		before := contents(t, w)
		file.DryRun = true
		want := service.ImportReport{DryRun: true, Rows: 2, Added: 1, Unchanged: 1, GroupsAdded: 1}
		wantReport(t, must(t, w, actor, o.branch.ID, file), want)
		organisations := csv("名称,类别,上级组织", "第九党支部,党支部,机关工委")
		organisations.DryRun = true
		report, err := w.Imports.Organisations(t.Context(), model.Operator(), organisations)
		if err != nil || report.Added != 1 || !report.DryRun {
			t.Errorf("got %+v, %s", report, explain(err))
		}
		after := contents(t, w)
		if n := len(after["audit_entries"]) - len(before["audit_entries"]); n != 1 {
			t.Errorf("%d audit entries, want one for the check of the roster", n)
		}
		delete(before, "audit_entries")
		delete(after, "audit_entries")
		if !reflect.DeepEqual(before, after) {
			t.Error("a dry run wrote something")
		}
	})
}

func TestTheWholeTreeIsImportedByTheColumnOfBranchesAndPeopleMoveFromToday(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		one, two := newOffice(w, "第一党支部"), newOffice(w, "第二党支部")
		general := w.Organisation(ptr(w.Agencies()), model.GeneralBranch, "财政总支")
		w.Organisation(&general, model.Branch, "第二党支部")
		mover := w.Member(one.branch, "丁行")
		w.Post(mover, one.branch, model.CommitteeMember)
		header := "姓名,手机号,所在党支部,党员类别"
		_, err := w.Imports.Roster(t.Context(), model.Operator(), 0, csv(header,
			"丁行,"+mover.Phone+",第二党支部,正式党员", "丁新,19900000201,第九党支部,正式党员", "丁空,19900000202,,正式党员"))
		if p := problemsOf(t, err); len(p) != 3 || p[0].Column != "C" || !strings.Contains(p[0].Message, "几个党支部") ||
			!strings.Contains(p[1].Message, "没有找到") || !strings.Contains(p[2].Message, "请填写") {
			t.Errorf("got %v", p)
		}
		report := must(t, w, model.Operator(), 0, csv(header, "丁行,"+mover.Phone+",机关工委/第二党支部,正式党员", "丁新,19900000201,财政总支＞第二党支部,正式党员"))
		wantReport(t, report, service.ImportReport{Rows: 2, Added: 1, Moved: 1, Missing: 1})
		today := model.DayOf(w.Clock.Now(), trial.Zone)
		var spans []model.Membership
		w.DB.Order("id").Find(&spans, "member_id = ?", mover.ID)
		if len(spans) != 2 || spans[0].Until != today || spans[0].BranchID != one.branch.ID || spans[1].From != today || spans[1].BranchID != two.branch.ID {
			t.Errorf("the old branch keeps what happened before today: %+v", spans)
		}
		var post model.Post
		w.DB.Take(&post, "member_id = ?", mover.ID)
		if post.Until != today {
			t.Errorf("a post in the branch that is left ends: %+v", post)
		}
		if _, err := w.Imports.Roster(t.Context(), one.Actor(one.secretary), 0, csv(header)); !errors.Is(err, model.ErrForbidden) {
			t.Errorf("a secretary imported the whole tree: %s", explain(err))
		}
	})
}

func TestK2_AnotherBranchsRosterLooksLikeNoBranchAtAll(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		one, two := newOffice(w, "第一党支部"), newOffice(w, "第二党支部")
		_, foreign := w.Imports.Roster(t.Context(), one.Actor(one.secretary), two.branch.ID, roster(two.own()))
		_, unknown := w.Imports.Roster(t.Context(), one.Actor(one.secretary), 999_999, roster(two.own()))
		if !errors.Is(foreign, model.ErrNotFound) || explain(foreign) != explain(unknown) {
			t.Errorf("another's %s, none %s", explain(foreign), explain(unknown))
		}
		plain := w.Member(one.branch, "丁普")
		if _, err := w.Imports.Roster(t.Context(), one.Actor(plain), one.branch.ID, roster(one.own())); !errors.Is(err, model.ErrNotFound) {
			t.Errorf("a member without a post: %s", explain(err))
		}
		committee := w.Member(one.branch, "丁委")
		w.Post(committee, one.branch, model.CommitteeMember)
		if _, err := w.Imports.Roster(t.Context(), one.Actor(committee), one.branch.ID, roster(one.own())); !errors.Is(err, model.ErrForbidden) {
			t.Errorf("a committee member: %s", explain(err))
		}
	})
}

func TestRightsFollowAnImportAtOnceAndEveryPostIsAudited(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		o := newOffice(w, "第一党支部")
		p := w.Member(o.branch, "丁一")
		if len(w.Actor(p).Posts) != 0 {
			t.Fatal("who holds no post holds one")
		}
		line := "丁一," + p.Phone + ",,正式党员,否,"
		must(t, w, o.Actor(o.secretary), o.branch.ID, roster(o.own(), line+"委员"))
		if posts := w.Actor(p).Posts; len(posts) != 1 || posts[0].Kind != model.CommitteeMember {
			t.Errorf("got %+v", posts)
		}
		must(t, w, o.Actor(o.secretary), o.branch.ID, roster(o.own(), line))
		if posts := w.Actor(p).Posts; len(posts) != 0 {
			t.Errorf("the post is gone and yet: %+v", posts)
		}
		for action, want := range map[string]int64{"grant_post": 1, "end_post": 1, "import_roster": 2} {
			var n int64
			w.DB.Model(&model.AuditEntry{}).Where("action = ? AND member_id = ?", action, o.secretary.ID).Count(&n)
			if n != want {
				t.Errorf("%d entries of %s, want %d", n, action, want)
			}
		}
	})
}

func TestAnImportFollowsIntoRostersThatAreNotFrozen(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		o := newOffice(w, "第一党支部")
		w.Members(o.branch, 2)
		held, planned := o.publish(t, time.Hour), o.publish(t, 48*time.Hour)
		w.Clock.Advance(2 * time.Hour)
		must(t, w, o.Actor(o.secretary), o.branch.ID, roster(o.own(), "丁新,19900000101,,正式党员,否,", "党员甲子,,,预备党员,,"))
		if n := o.expected(t, held); n != 3 {
			t.Errorf("the roster of a meeting that has begun changed: %d", n)
		}
		if n := o.expected(t, planned); n != 4 {
			t.Errorf("the roster of the next meeting has %d", n)
		}
		var voters int64
		w.DB.Model(&model.RosterEntry{}).Where("activity_id = ? AND votes", planned).Count(&voters)
		if voters != 3 {
			t.Errorf("%d may vote next time", voters)
		}
	})
}

// publish holds a meeting of the branch in a while and returns its id.
func (o *office) publish(t *testing.T, in time.Duration) uint64 {
	t.Helper()
	o.SignIn(o.secretary) // the platform judges texts of whoever was there lately
	start := o.Clock.Now().Add(in)
	a, err := o.Activities.Draft(t.Context(), o.Actor(o.secretary), service.DraftInput{
		OrganisationID: o.branch.ID, Nonce: fmt.Sprintf("nonce-%d", start.UnixMilli()),
		ActivityInput: service.ActivityInput{Kind: model.ThemePartyDay, Title: "主题党日", StartsAt: start, EndsAt: start.Add(time.Hour)}})
	if err == nil {
		_, err = o.Activities.Publish(t.Context(), o.Actor(o.secretary), a.ID)
	}
	if err != nil {
		t.Fatalf("publish: %s", explain(err))
	}
	return a.ID
}

func (o *office) expected(t *testing.T, activityID uint64) int64 {
	t.Helper()
	var n int64
	if err := o.DB.Model(&model.RosterEntry{}).Where("activity_id = ?", activityID).Count(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTwoImportsOfTheSameSheetAtOnceAddEveryPersonOnce(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		o := newOffice(w, "第一党支部")
		lines := []string{o.own()}
		for i := range 20 {
			lines = append(lines, fmt.Sprintf("丁新%c,,第一党小组,正式党员,否,", '甲'+i)) // without numbers, no key of the table helps
		}
		actor := o.Actor(o.secretary)
		var added atomic.Int64
		trial.Race(4, func(int) {
			report, err := w.Imports.Roster(t.Context(), actor, o.branch.ID, roster(lines...))
			if err != nil {
				t.Errorf("import: %s", explain(err))
				return
			}
			added.Add(int64(report.Added))
		})
		if n := len(o.members(t)); n != 21 || added.Load() != 20 {
			t.Errorf("%d members, %d said to be added", n, added.Load())
		}
		// Negative control: whoever looks first and writes then, without
		// holding the branch, adds the same person twice.
		named := func() (n int64) {
			w.DB.Model(&model.Member{}).Where("name = ?", "丁无锁").Count(&n)
			return n
		}
		lookThenWrite(w, func(*gorm.DB, int) bool { return named() == 0 }, func(db *gorm.DB, _ int) error {
			return db.Create(&model.Member{Name: "丁无锁", Status: model.FullMember, CreatedAt: w.Clock.Now()}).Error
		})
		if n := named(); n != 2 {
			t.Errorf("this test could not see the race: %d", n)
		}
	})
}

func TestL9_AZipBombAMillionRowsAndAFormulaNeverReachTheRegistry(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		o := newOffice(w, "第一党支部")
		actor := o.Actor(o.secretary)
		before := contents(t, w)
		million := rosterHeader + strings.Repeat("\n甲,,,", 1_000_000)
		for name, c := range map[string]struct {
			data []byte
			want string
		}{
			"zip bomb":     {zipBomb(t), "table_too_large"},
			"million rows": {[]byte(million), "table_too_long"},
			"formula":      {[]byte(rosterHeader + "\n=HYPERLINK(1),,,正式党员,,\n"), "import_problems"},
			"no table":     {[]byte("%PDF-1.7"), "table_columns_missing"},
		} {
			_, err := w.Imports.Roster(t.Context(), actor, o.branch.ID,
				service.ImportFile{Data: bytes.NewReader(c.data), Size: int64(len(c.data))})
			var refusal *model.Error
			if !errors.As(err, &refusal) || refusal.Kind != model.Invalid || refusal.Code != c.want {
				t.Errorf("%s: %s", name, explain(err))
			}
		}
		if !reflect.DeepEqual(before, contents(t, w)) {
			t.Error("something of it was written")
		}
	})
}

// zipBomb is a workbook of a few hundred kilobytes that unpacks to 200 MiB.
func zipBomb(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	part, err := z.Create("xl/worksheets/sheet1.xml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(part, zeros{}, 200<<20); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

const organisationHeader = "名称,类别,上级组织,单位性质"

func TestOrganisationsAreImportedInAnyOrderAndOnlyDifferencesChange(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		lines := []string{organisationHeader,
			"第一党小组,党小组,财政局/第一党支部,",
			"第一党支部,党支部,财政局,",
			"财政局,党总支,机关工委,机关",
			"机关工委,机关工委,某区党工委,机关",
			"某区党工委,党工委,,机关",
			"第一党支部,支部,教育局,事业单位",
			"教育局,行业系统,某区党工委,机关"}
		report, err := w.Imports.Organisations(t.Context(), model.Operator(), csv(lines...))
		if err != nil {
			t.Fatal(explain(err))
		}
		wantReport(t, report, service.ImportReport{Rows: 7, Added: 7})
		report, err = w.Imports.Organisations(t.Context(), model.Operator(), csv(lines...))
		if err != nil {
			t.Fatal(explain(err))
		}
		wantReport(t, report, service.ImportReport{Rows: 7, Unchanged: 7})
		var group, branch, general model.Organisation
		w.DB.Take(&group, "name = ?", "第一党小组")
		w.DB.Take(&branch, "id = ?", group.ParentID)
		w.DB.Take(&general, "id = ?", branch.ParentID)
		if branch.Name != "第一党支部" || general.Name != "财政局" || branch.UnitKind != model.Organ || group.UnitKind != model.Organ {
			t.Errorf("got %+v under %+v under %+v", group, branch, general)
		}
		lines[3] = "财政局,党总支,机关工委,事业单位"
		report, err = w.Imports.Organisations(t.Context(), model.Operator(), csv(lines...))
		if err != nil {
			t.Fatal(explain(err))
		}
		wantReport(t, report, service.ImportReport{Rows: 7, Changed: 1, Unchanged: 6})
	})
}

func TestK9_AnOrganisationSheetThatGoesRoundOrFitsNowhereIsRefusedWhole(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		w.Branch("甲支部")
		used := w.Branch("在用支部")
		w.Member(used, "丁一")
		before := contents(t, w)
		_, err := w.Imports.Organisations(t.Context(), model.Operator(), csv(organisationHeader,
			"环一,党总支,环二,",
			"环二,党总支,环一,",
			"自身,党总支,自身,",
			"某党委,镇党委,甲支部,",
			"孤儿支部,党支部,不存在,",
			"重名支部,党支部,机关工委,",
			"重名支部,党支部,机关工委,",
			"怪支部,兴趣小组,机关工委,",
			"怪支部下组,党小组,怪支部,", // its superior is to blame
			"在用支部,党总支,机关工委,",
			"悬空小组,党小组,,",
			"斜/杠,党支部,机关工委,空中楼阁"))
		got := map[string]string{}
		for _, p := range problemsOf(t, err) {
			got[fmt.Sprint(p.Row, p.Column)] += p.Message
		}
		want := map[string]string{"2C": "一圈", "3C": "一圈", "4C": "没有找到", "5C": "不能设在", "6C": "没有找到", "8A": "第7行", "9B": "组织类别",
			"11B": "已有党员", "12C": "党支部", "13A": "2至100个字", "13D": "单位性质"}
		for at, words := range want {
			if !strings.Contains(got[at], words) {
				t.Errorf("%s says %q, want words of %q", at, got[at], words)
			}
			delete(got, at)
		}
		if len(got) > 0 {
			t.Errorf("beyond that: %v", got)
		}
		if !reflect.DeepEqual(before, contents(t, w)) {
			t.Error("a refused sheet left something behind")
		}
	})
}

func TestOrganisationsAreImportedOnlyByAdministratorsAndOnlyBelowThem(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		o := newOffice(w, "第一党支部")
		town := w.Organisation(ptr(w.District()), model.TownCommittee, "松溪镇党委")
		admin := w.Member(o.branch, "丁管")
		w.Post(admin, town, model.Administrator)
		file := func(lines ...string) service.ImportFile {
			return csv(append([]string{organisationHeader}, lines...)...)
		}
		if _, err := w.Imports.Organisations(t.Context(), o.Actor(o.secretary), file("新支部,党支部,松溪镇党委,")); !errors.Is(err, model.ErrForbidden) {
			t.Errorf("a secretary: %s", explain(err))
		}
		report, err := w.Imports.Organisations(t.Context(), w.Actor(admin), file("新支部,党支部,松溪镇党委,"))
		if err != nil || report.Added != 1 {
			t.Errorf("below: %+v, %s", report, explain(err))
		}
		_, err = w.Imports.Organisations(t.Context(), w.Actor(admin), file("别处支部,党支部,机关工委,", "新区,党工委,,"))
		if p := problemsOf(t, err); len(p) != 2 || p[0].Column != "C" || p[1].Column != "C" {
			t.Errorf("beside: %v", p)
		}
	})
}

func ptr[T any](v T) *T { return &v }
