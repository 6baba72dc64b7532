package service_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

func TestM7_EveryTableWithAPersonsNumberIsExportedAndErased(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		query := "SELECT m.name || '.' || p.name FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'"
		if w.Store == trial.MySQL {
			query = "SELECT CONCAT(table_name, '.', column_name) FROM information_schema.columns WHERE table_schema = DATABASE()"
		}
		var columns []string
		if err := w.DB.Raw(query).Scan(&columns).Error; err != nil || len(columns) < 100 {
			t.Fatalf("%d columns, %v", len(columns), err)
		}
		known := service.PersonalTables()
		found := 0
		for _, name := range columns {
			table, column, _ := strings.Cut(name, ".")
			if column != "member_id" && column != "account_id" && column != "openid" && column != "person_id" {
				continue
			}
			found++
			if !slices.Contains(known, table) {
				t.Errorf("%s tells of a person: say in personalTables how it is exported and what is left of it", name)
			}
		}
		if found < 15 {
			t.Errorf("only %d columns tell of a person: the search does not find them", found)
		}
	})
}

// life is somebody with something in every corner, whose name, phone, openid
// and texts hold canaries.
type life struct {
	*office
	w     *trial.World
	p     *trial.Person
	admin *model.Actor
	slot  model.ServiceSlot
}

const canary = "QZKX"

func aLife(t *testing.T, w *trial.World) *life {
	t.Helper()
	o := newOffice(w, "第一党支部")
	l := &life{office: o, w: w, p: w.Member(o.branch, "丁"+canary)}
	boss := w.Member(w.Branch("机关党支部"), "管理员甲")
	w.Post(boss, w.District(), model.Administrator)
	l.admin = w.Actor(boss)
	now := w.Clock.Now()
	account := w.Bind(l.p)
	actor := w.Actor(l.p)
	community := w.Organisation(ptr(w.District()), model.Community, "桃源社区")
	once := func() model.Once { return model.Once{Nonce: "nonce", Fingerprint: canary} }
	insert := func(rows ...any) {
		for _, row := range rows {
			if err := w.DB.Create(row).Error; err != nil {
				t.Fatalf("%T: %v", row, err)
			}
		}
	}
	a := &model.Activity{OrganisationID: o.branch.ID, Kind: model.ThemePartyDay, Title: "主题党日", StartsAt: now.Add(-2 * time.Hour), EndsAt: now.Add(-time.Hour),
		OpensAt: now.Add(-3 * time.Hour), LateAt: now, ClosesAt: now.Add(-time.Hour), Audience: model.WholeBranch, Status: model.Closed, Version: 1, CreatedBy: o.secretary.ID, CreatedAt: now, Once: model.Once{Nonce: "1"}}
	insert(a)
	insert(&model.RosterEntry{ActivityID: a.ID, MemberID: l.p.ID, BranchID: o.branch.ID, Votes: true, ExemptNote: "说明" + canary, ClosesAt: a.ClosesAt},
		&model.Attendance{ActivityID: a.ID, MemberID: l.p.ID, BranchID: o.branch.ID, Status: model.Present, Provenance: model.ByTick, At: now, Location: model.LocationNotGiven, Reason: "原因" + canary, Once: once()},
		&model.Leave{ActivityID: a.ID, MemberID: l.p.ID, Status: model.SickLeave, Reason: "病" + canary, RecordedBy: 1, CreatedAt: now, Once: once()},
		&model.Consent{AccountID: account.ID, TemplateID: "t", State: model.ConsentHeld, AcceptedAt: now},
		&model.CommunityRegistration{CommunityID: community.ID, MemberID: &l.p.ID, ReturnReason: "退" + canary, Span: model.Span{From: "2026-01-01", Until: model.Forever}, CreatedBy: l.p.ID, CreatedAt: now},
		&model.Invitation{MemberID: l.p.ID, CodeHash: canary, IssuedBy: 1, ExpiresAt: now, CreatedAt: now},
		&model.ServiceHours{MemberID: l.p.ID, BranchID: o.branch.ID, CommunityID: community.ID, Day: "2026-03-01", Provenance: model.Attested, Minutes: 90, Reason: "帮" + canary, At: now})
	reminder := &model.Reminder{ActivityID: a.ID, MemberID: l.p.ID, Kind: model.DayBefore, Purpose: model.ActivityReminder, DueAt: now, NotAfter: now, StartsAt: now, State: model.Expired, NextAt: now, LeaseUntil: now, CreatedAt: now}
	insert(reminder)
	insert(&model.SendDecision{ReminderID: reminder.ID, At: now, State: model.Queued, Reason: "requeued", Note: "给" + canary})
	w.Post(l.p, o.branch, model.CommitteeMember)
	day := &model.ServiceDay{CommunityID: community.ID, Title: "服务日", StartsAt: now.Add(48 * time.Hour), EndsAt: now.Add(49 * time.Hour), SignUpUntil: now.Add(48 * time.Hour),
		CancelUntil: now.Add(48 * time.Hour), Status: model.Published, Version: 1, CreatedBy: 1, CreatedAt: now, Once: model.Once{Nonce: "1"}}
	insert(day)
	l.slot = model.ServiceSlot{ServiceDayID: day.ID, CommunityID: community.ID, Name: "清扫", Skill: model.AnySkill, StartsAt: day.StartsAt, EndsAt: day.EndsAt, Open: true, Capacity: 1, Taken: 1}
	insert(&l.slot)
	insert(&model.SlotSignUp{SlotID: l.slot.ID, MemberID: l.p.ID, BranchID: o.branch.ID, Live: ptr(true), State: model.Seated, At: now, Reason: "想" + canary, SignedUpBy: l.p.ID, Once: model.Once{Nonce: "1"}})
	pair, err := w.Households.Pair(t.Context(), actor, service.PairingInput{Household: service.Household{Name: "户" + canary, Phone: "19900001111"}, Nonce: "12345678"})
	if err != nil {
		t.Fatal(explain(err))
	}
	if _, err := w.Households.Visit(t.Context(), actor, pair.ID, service.VisitInput{Day: "2026-03-10", Minutes: 30, Note: "走访" + canary, Nonce: "12345678"}); err != nil {
		t.Fatal(explain(err))
	}
	if _, err := w.Complaints.Create(t.Context(), actor, service.ComplaintInput{Kind: model.AboutErasure, Text: "请注销" + canary, Nonce: "12345678"}); err != nil {
		t.Fatal(explain(err))
	}
	return l
}

func TestM7_TheExportHoldsEverythingHeldAboutTheCallerAndNothingOfOthers(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		l := aLife(t, w)
		other := w.Member(l.branch, "丁别人")
		w.Bind(other)
		file, err := w.OwnData.Export(t.Context(), w.Actor(l.p))
		if err != nil {
			t.Fatal(explain(err))
		}
		raw, err := json.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{l.p.Name, l.p.Phone, l.p.User.OpenID, "说明" + canary, "原因" + canary, "病" + canary, "帮" + canary, "想" + canary, "户" + canary, "走访" + canary, "请注销" + canary} {
			if !strings.Contains(string(raw), want) {
				t.Errorf("the export lacks %s", want)
			}
		}
		for _, foreign := range []string{other.Name, other.Phone, other.User.OpenID, l.secretary.Phone, "token_hash", "blind_index", "a1.trial."} {
			if strings.Contains(string(raw), foreign) {
				t.Errorf("the export holds %s", foreign)
			}
		}
		if n := countRows(t, w, "audit_entries", "action = 'export_own_data' AND member_id = ?", l.p.ID); n != 1 {
			t.Errorf("the export left %d audit entries", n)
		}
	})
}

// counted is every count and sum of the past that a board or a sheet shows.
func counted(t *testing.T, db *gorm.DB) map[string]any {
	t.Helper()
	out := map[string]any{}
	for name, query := range map[string]string{
		"attendances": "SELECT activity_id, status, provenance, COUNT(*) AS n FROM attendances GROUP BY activity_id, status, provenance ORDER BY 1, 2, 3",
		"rosters":     "SELECT activity_id, exempt, COUNT(*) AS n FROM roster_entries GROUP BY activity_id, exempt ORDER BY 1, 2",
		"leaves":      "SELECT activity_id, status, COUNT(*) AS n FROM leaves GROUP BY activity_id, status ORDER BY 1, 2",
		"hours":       "SELECT branch_id, community_id, provenance, SUM(minutes) AS n, COUNT(*) AS m FROM service_hours GROUP BY branch_id, community_id, provenance ORDER BY 1, 2, 3",
		"visits":      "SELECT COUNT(*) AS n, SUM(minutes) AS m FROM household_visits",
	} {
		var rows []map[string]any
		if err := db.Raw(query).Scan(&rows).Error; err != nil {
			t.Fatal(err)
		}
		out[name] = rows
	}
	return out
}

func TestM8_WhoIsErasedIsFoundNowhereAndNoCountOfThePastChanges(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		l := aLife(t, w)
		secrets := []string{l.p.Name, l.p.Phone, l.p.User.OpenID, canary}
		kept := stored(t, w)
		for _, secret := range []string{l.p.Name, l.p.User.OpenID} {
			if !strings.Contains(kept, secret) {
				t.Fatalf("the search does not find %s while it is kept", secret)
			}
		}
		token, before := w.Token(l.p), counted(t, w.DB)
		refused(t, "the secretary", w.OwnData.Erase(t.Context(), w.Actor(l.secretary), l.p.ID, service.ErasureInput{Reason: "own_request"}), model.ErrForbidden)
		for range 2 {
			if err := w.OwnData.Erase(t.Context(), l.admin, l.p.ID, service.ErasureInput{Reason: "own_request"}); err != nil {
				t.Fatal(explain(err))
			}
		}
		if after := counted(t, w.DB); !reflect.DeepEqual(before, after) {
			t.Errorf("before %v\nafter %v", before, after)
		}
		if w.Store == trial.SQLite { // the file keeps deleted bytes until it is made anew
			if err := w.DB.Exec("VACUUM").Error; err != nil {
				t.Fatal(err)
			}
			if err := w.DB.Exec("PRAGMA wal_checkpoint(TRUNCATE)").Error; err != nil {
				t.Fatal(err)
			}
		}
		kept = everything(t, w)
		for _, secret := range secrets {
			if i := strings.Index(kept, secret); i >= 0 {
				t.Errorf("%s is still kept: …%s…", secret, kept[max(0, i-200):min(len(kept), i+60)])
			}
		}
		refused(t, "the session", call(t, w.Services, token), model.ErrSignInAgain)
		if n := countRows(t, w, "audit_entries", "action = 'erase_member'"); n != 1 {
			t.Errorf("two erasures of one left %d audit entries", n)
		}
		if n := countRows(t, w, "memberships", "member_id = ? AND until_day > '2026-03-10'", l.p.ID); n != 0 {
			t.Error("the membership goes on")
		}
		if n := countRows(t, w, "posts", "member_id = ? AND until_day > '2026-03-10'", l.p.ID); n != 0 {
			t.Error("a post goes on")
		}
		var slot model.ServiceSlot
		if err := w.DB.Take(&slot, l.slot.ID).Error; err != nil || slot.Taken != 0 {
			t.Errorf("the seat is not free: %+v, %v", slot, err)
		}
		if _, err := w.Hours.Record(t.Context(), l.admin, l.p.ID, 2026); err != nil && !strings.Contains(explain(err), "not_found") {
			t.Errorf("the record: %s", explain(err))
		}
	})
}

func TestM8_TwoErasuresAtOnceAreOne(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		l := aLife(t, w)
		other := w.Replica()
		trial.Race(8, func(i int) {
			s := w.Services
			if i%2 == 1 {
				s = other
			}
			if err := s.OwnData.Erase(t.Context(), l.admin, l.p.ID, service.ErasureInput{Reason: "own_request"}); err != nil {
				t.Error(explain(err))
			}
		})
		if n := countRows(t, w, "audit_entries", "action = 'erase_member'"); n != 1 {
			t.Errorf("%d erasures", n)
		}
	})
}

func TestM8_ControlWhoLooksWithoutHoldingErasesTwice(t *testing.T) {
	t.Parallel()
	w := trial.New(t, trial.MySQL)
	p := w.Member(w.Branch("第一党支部"), "丁一")
	lookThenWrite(w, func(db *gorm.DB, _ int) bool {
		var m model.Member
		return db.Take(&m, p.ID).Error == nil && m.ErasedAt == nil
	}, func(db *gorm.DB, _ int) error {
		return db.Create(&model.AuditEntry{At: w.Clock.Now(), Action: "erase_member", Object: "member/1", Result: "ok"}).Error
	})
	if n := countRows(t, w, "audit_entries", "action = 'erase_member'"); n != 2 {
		t.Errorf("%d erasures: the test above cannot see the race", n)
	}
}

func TestM5_NoCoordinatesOfAPersonAreKept(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		query := "SELECT m.name || '.' || p.name FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type = 'table' AND (lower(p.type) IN ('real', 'double', 'float') OR p.name LIKE '%latitude%' OR p.name LIKE '%longitude%')"
		if w.Store == trial.MySQL {
			query = "SELECT CONCAT(table_name, '.', column_name) FROM information_schema.columns WHERE table_schema = DATABASE() AND (data_type IN ('double', 'float', 'decimal', 'point', 'geometry') OR column_name LIKE '%latitude%' OR column_name LIKE '%longitude%')"
		}
		var columns []string
		if err := w.DB.Raw(query).Scan(&columns).Error; err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(columns, "activities.latitude") {
			t.Errorf("the search does not find where a meeting is: %v", columns)
		}
		for _, c := range columns {
			if !strings.HasPrefix(c, "activities.") && c != "credit_entries.hours" {
				t.Errorf("%s could hold where a person was; only within, outside or not given is kept", c)
			}
		}
	})
}
