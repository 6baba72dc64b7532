package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
	"dangri/wechat/sim"
)

// aSeries is a meeting of today, 14:30, that comes again by the rule.
func (s *stage) aSeries(n int, rule string, change ...any) (*meeting, service.SeriesView) {
	s.t.Helper()
	m := s.aMeeting(n)
	s.touch(m.secretary)
	return m, as[service.SeriesView](s.t, m.repeat(body{"rule": rule}.with(change...)))
}

func (m *meeting) repeat(b body) *reply {
	m.t.Helper()
	return m.phone(m.secretary).put(m.path(m.id, "/series"), b)
}

func (m *meeting) series() service.SeriesView {
	m.t.Helper()
	return as[service.SeriesView](m.t, m.phone(m.secretary).get(m.path(m.id, "/series")))
}

// days are the series' occurrences as "day→held status", the first first.
func days(v service.SeriesView) []string {
	out := []string{}
	for _, o := range v.Occurrences {
		held := o.StartsAt.In(trial.Zone).Format("01-02 15:04")
		out = append(out, fmt.Sprintf("%s→%s %s", o.Day[5:], held, o.Status))
	}
	slices.Reverse(out)
	return out
}

func wantDays(t *testing.T, v service.SeriesView, want ...string) {
	t.Helper()
	if got := days(v); !slices.Equal(got, want) {
		t.Errorf("the series has\n %s, want\n %s", strings.Join(got, ", "), strings.Join(want, ", "))
	}
}

// occurrence is the activity of a day of the rule.
func (m *meeting) occurrence(day model.Day) service.Occurrence {
	m.t.Helper()
	for _, o := range m.series().Occurrences {
		if o.Day == day {
			return o
		}
	}
	m.t.Fatalf("no occurrence on %s: %v", day, days(m.series()))
	return service.Occurrence{}
}

func (m *meeting) of(id uint64) service.ActivityView {
	m.t.Helper()
	return as[service.ActivityView](m.t, m.phone(m.secretary).get(m.path(id, "")))
}

// again is the activity as an edit that changes some fields.
func (m *meeting) again(id uint64, change ...any) body {
	m.t.Helper()
	a := m.of(id)
	return body{"version": a.Version, "kind": a.Kind, "title": a.Title, "content": a.Content, "place": body{"name": a.Place.Name}, "starts_at": a.StartsAt,
		"ends_at": a.EndsAt, "open_early_minutes": 30, "late_after_minutes": 5, "credit_hours": a.CreditHours}.with(change...)
}

func TestASeriesOfTheFifthOfEachMonthIsMadeTwoMonthsAheadAsDrafts(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m, v := s.aSeries(2, "FREQ=MONTHLY;BYMONTHDAY=5")
		// 5 April 2026 is within Qingming, and 5 May a holiday too: both are put off.
		wantDays(t, v, "03-10→03-10 14:30 published", "04-05→04-11 14:30 draft", "05-05→05-06 14:30 draft")
		next := m.of(m.occurrence("2026-04-05").ActivityID)
		if next.Title != "七月主题党日" || next.CreditHours != 2 || next.OpensAt.Sub(next.StartsAt) != -30*time.Minute || next.Place.Name != "三楼会议室" {
			t.Errorf("the occurrence is not like the first: %+v", next)
		}
		wantDays(t, as[service.SeriesView](t, m.repeat(body{"rule": "FREQ=MONTHLY;BYMONTHDAY=5"})), days(v)...)
		// Other rules: drafts nobody touched go and come, moved or cancelled; a second Friday.
		v = as[service.SeriesView](t, m.repeat(body{"rule": "FREQ=MONTHLY;BYMONTHDAY=5", "shift": "none"}))
		wantDays(t, v, "03-10→03-10 14:30 published", "04-05→04-05 14:30 draft", "05-05→05-05 14:30 draft")
		v = as[service.SeriesView](t, m.repeat(body{"rule": "FREQ=MONTHLY;BYMONTHDAY=5", "shift": "earlier"}))
		wantDays(t, v, "03-10→03-10 14:30 published", "04-05→03-29 14:30 draft", "05-05→04-30 14:30 draft")
		v = as[service.SeriesView](t, m.repeat(body{"rule": "FREQ=MONTHLY;BYMONTHDAY=5", "shift": "skip"}))
		wantDays(t, v, "03-10→03-10 14:30 published", "04-05→03-29 14:30 cancelled", "05-05→04-30 14:30 cancelled")
		v = as[service.SeriesView](t, m.repeat(body{"rule": "FREQ=MONTHLY;BYDAY=2FR"}))
		wantDays(t, v, "03-10→03-10 14:30 published", "03-13→03-13 14:30 draft", "04-05→03-29 14:30 cancelled", "04-10→04-10 14:30 draft",
			"05-05→04-30 14:30 cancelled", "05-08→05-08 14:30 draft")
		v = as[service.SeriesView](t, m.repeat(body{"rule": "FREQ=MONTHLY;BYMONTHDAY=5", "shift": "none", "until": "2026-05-01"}))
		wantDays(t, v, "03-10→03-10 14:30 published", "03-13→03-13 14:30 cancelled", "04-05→04-05 14:30 draft", "04-10→04-10 14:30 cancelled",
			"05-05→04-30 14:30 cancelled", "05-08→05-08 14:30 cancelled")
		for name, b := range map[string]body{
			"no rule": {"rule": "每月5日"}, "hourly": {"rule": "FREQ=HOURLY"}, "30 February": {"rule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"},
		} {
			if r := m.repeat(b); r.Status != 400 || r.code() != "rule" {
				t.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
		}
		want(t, m.repeat(body{"rule": "FREQ=DAILY", "until": "2026-02-30"}), 400, "invalid_field")
		want(t, m.phone(m.members[0]).get(m.path(m.id, "/series")), 403, "not_conductor")
		// Members know of none of the drafts.
		if page := as[service.ActivityPage](t, m.phone(m.members[0]).get("/v1/activities")); len(page.Items) != 1 {
			t.Errorf("a member's list: %+v", page.Items)
		}
		want(t, m.phone(m.members[0]).get(m.path(next.ID, "")), 404, "activity_not_found")
	})
}

func TestAnOccurrenceIsLikeTheFirstInEverythingButTheDay(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		for name, change := range map[string][]any{
			"open": {"open_to_guests", true, "show_names", true, "close_after_minutes", 45, "place", body{"name": "广场", "latitude": 39.1, "longitude": 118.2, "radius": 200}},
			"long": {"daily", true, "check_out", true, "stay_minutes", 30, "re_entry", true, "open_early_minutes", 10},
			"some": {"audience", "members", "targets", []uint64{m.members[0].ID}},
		} {
			m.id = as[model.Activity](t, m.phone(m.secretary).post("/v1/activities", m.draft(m.branch).with(change...))).ID
			want(t, m.repeat(body{"rule": "FREQ=WEEKLY", "shift": "none"}), 200, "ok")
			first, next := as[map[string]any](t, m.phone(m.secretary).get(m.path(m.id, ""))), as[map[string]any](t, m.phone(m.secretary).get(m.path(m.occurrence("2026-03-17").ActivityID, "")))
			for field, value := range first {
				later := next[field]
				switch field {
				case "id", "series_day", "version":
					continue
				case "starts_at", "ends_at", "opens_at", "late_at", "closes_at":
					at, err := time.Parse(time.RFC3339, value.(string))
					if err != nil {
						t.Fatal(err)
					}
					value = at.AddDate(0, 0, 7).Format(time.RFC3339)
				}
				if jsonText(later) != jsonText(value) {
					t.Errorf("%s: %s is %s, want %s", name, field, jsonText(later), jsonText(value))
				}
			}
			var targets int64
			if err := s.DB.Model(&model.ActivityTarget{}).Where("activity_id = ?", next["id"]).Count(&targets).Error; err != nil || (targets == 1) != (name == "some") {
				t.Errorf("%s: %d targets, %v", name, targets, err)
			}
		}
	})
}

func TestAnOccurrenceThatSomebodyEditedIsTheirOwnAndTheOthersFollow(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m, _ := s.aSeries(2, "FREQ=WEEKLY;BYDAY=FR", "shift", "none")
		secretary := m.phone(m.secretary)
		first, own, third, fourth := m.occurrence("2026-03-13").ActivityID, m.occurrence("2026-03-20").ActivityID, m.occurrence("2026-03-27").ActivityID, m.occurrence("2026-04-03").ActivityID
		s.touch(m.secretary)
		want(t, secretary.put(m.path(own, ""), m.again(own, "title", "特别的一次", "starts_at", "2026-03-21T10:00:00+08:00", "ends_at", "2026-03-21T11:00:00+08:00")), 200, "ok")
		want(t, secretary.post(m.path(third, "/publication"), nil), 200, "ok")
		started := m.of(first)
		edit := m.again(first, "title", "改过的主题党日", "starts_at", "2026-03-13T09:00:00+08:00", "ends_at", "2026-03-13T11:00:00+08:00", "place", body{"name": "五楼"})
		want(t, secretary.put(m.path(first, "/following"), edit.with("starts_at", "2026-03-14T09:00:00+08:00", "ends_at", "2026-03-14T11:00:00+08:00")), 400, "series_day")
		want(t, secretary.put(m.path(first, "/following"), edit.with("content", sim.RiskyWord)), 409, "text_risky")
		want(t, secretary.put(m.path(first, "/following"), edit.with("version", 9)), 409, "changed_meantime")
		if m.of(fourth).Title != "七月主题党日" || m.of(first).Version != started.Version {
			t.Error("a refused edit changed something")
		}
		r := as[service.FollowingEdit](t, secretary.put(m.path(first, "/following"), edit))
		if r.Changed != len(m.series().Occurrences)-2 || r.Activity.Title != "改过的主题党日" { // neither the one before nor the edited one
			t.Errorf("%d of %d changed: %+v", r.Changed, len(m.series().Occurrences), r.Activity)
		}
		for id, wanted := range map[uint64]string{first: "改过的主题党日 五楼 03-13 09:00", own: "特别的一次 三楼会议室 03-21 10:00", third: "改过的主题党日 五楼 03-27 09:00",
			fourth: "改过的主题党日 五楼 04-03 09:00", m.id: "七月主题党日 三楼会议室 03-10 14:30"} {
			a := m.of(id)
			if got := a.Title + " " + a.Place.Name + " " + a.StartsAt.In(trial.Zone).Format("01-02 15:04"); got != wanted {
				t.Errorf("got %s, want %s", got, wanted)
			}
		}
		if a := m.of(own); !a.Detached {
			t.Error("who edits one occurrence makes it their own")
		}
		// The published one told its people that it moved; drafts told nobody.
		var told []uint64
		if err := s.DB.Model(&model.Reminder{}).Distinct("activity_id").Where("kind = ?", model.Moved).Pluck("activity_id", &told).Error; err != nil || !slices.Equal(told, []uint64{third}) {
			t.Errorf("told of %v, %v", told, err)
		}
		// What is made later is planned like it.
		s.Clock.Advance(14 * 24 * time.Hour)
		if err := s.Series.Extend(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.SignIn(m.secretary)
		if a := m.of(m.occurrence("2026-05-22").ActivityID); a.Title != "改过的主题党日" || a.StartsAt.In(trial.Zone).Format("15:04") != "09:00" {
			t.Errorf("a new occurrence: %+v", a)
		}
		want(t, m.phone(m.secretary).put(m.path(m.publish(m.branch), "/following"), edit), 404, "series_not_found")
	})
}

func TestASeriesThatPublishesItselfDoesSoDaysAheadUntilItIsEnded(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m, v := s.aSeries(2, "FREQ=WEEKLY;BYDAY=FR", "shift", "none", "publish_ahead_days", 7)
		if v.PublishAheadDays != 7 || m.occurrence("2026-03-13").Status != model.Published || m.occurrence("2026-03-20").Status != model.Draft {
			t.Fatalf("got %v", days(v))
		}
		m.id = m.occurrence("2026-03-13").ActivityID
		if n := m.board().Tally.Expected; n != 3 {
			t.Errorf("%d expected at the one that published itself", n)
		}
		if n := s.audited("publish_occurrence", "activity", m.id); n != 1 {
			t.Errorf("%d audit rows", n)
		}
		// One that somebody edited was not checked, and waits for them.
		own := m.occurrence("2026-03-20").ActivityID
		want(t, m.phone(m.secretary).put(m.path(own, ""), m.again(own, "title", "没有检查过的")), 200, "ok")
		// One that is called off stays so.
		off := m.occurrence("2026-03-27").ActivityID
		want(t, m.phone(m.secretary).post(m.path(off, "/cancellation"), body{"reason": "放假"}), 200, "ok")
		s.Clock.Advance(21 * 24 * time.Hour) // 31 March
		for range 2 {
			if err := s.Series.Extend(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		s.SignIn(m.secretary)
		for day, status := range map[model.Day]model.ActivityStatus{"2026-03-20": model.Draft, "2026-03-27": model.Cancelled, "2026-04-03": model.Published, "2026-04-10": model.Draft} {
			if got := m.occurrence(day).Status; got != status {
				t.Errorf("%s is %s, want %s", day, got, status)
			}
		}
		ended := as[service.SeriesView](t, m.phone(m.secretary).delete(m.path(m.id, "/series")))
		again := as[service.SeriesView](t, m.phone(m.secretary).delete(m.path(m.id, "/series")))
		if ended.EndedAt == nil || !again.EndedAt.Equal(*ended.EndedAt) || s.audited("end_series", "activity", m.id) != 1 {
			t.Errorf("ended %v, then %v", ended.EndedAt, again.EndedAt)
		}
		s.Clock.Advance(14 * 24 * time.Hour)
		if err := s.Series.Extend(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.SignIn(m.secretary)
		if m.occurrence("2026-04-03").Status != model.Published || m.occurrence("2026-04-10").Status != model.Cancelled || m.occurrence("2026-03-20").Status != model.Draft {
			t.Errorf("after the end: %v", days(m.series()))
		}
		// Set again, it goes on, and what it had dropped comes back.
		s.touch(m.secretary)
		v = as[service.SeriesView](t, m.repeat(body{"rule": "FREQ=WEEKLY;BYDAY=FR", "shift": "none"}))
		if v.EndedAt != nil || m.occurrence("2026-04-24").Status != model.Draft || m.occurrence("2026-03-27").Status != model.Cancelled {
			t.Errorf("set again: %v", days(v))
		}
	})
}

func TestATextThatDoesNotPassDoesNotPublishItself(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		m.id = as[model.Activity](t, m.phone(m.secretary).post("/v1/activities", m.draft(m.branch).with("content", sim.RiskyWord))).ID
		s.touch(m.secretary)
		want(t, m.repeat(body{"rule": "FREQ=DAILY", "publish_ahead_days": 3}), 409, "text_risky")
		want(t, m.phone(m.secretary).get(m.path(m.id, "/series")), 404, "series_not_found")
		// Without it nothing is published, and then it may be planned; but not let loose later either.
		want(t, m.repeat(body{"rule": "FREQ=DAILY"}), 200, "ok")
		want(t, m.repeat(body{"rule": "FREQ=DAILY", "publish_ahead_days": 3}), 409, "text_risky")
		if err := s.Series.Extend(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, o := range m.series().Occurrences {
			if o.Status != model.Draft {
				t.Fatalf("%s is %s", o.Day, o.Status)
			}
		}
		// A clean text for the later ones does not let the earlier ones loose.
		later := m.occurrence("2026-03-14").ActivityID
		want(t, m.phone(m.secretary).put(m.path(later, "/following"), m.again(later, "content", "学习")), 200, "ok")
		want(t, m.repeat(body{"rule": "FREQ=DAILY", "publish_ahead_days": 3}), 409, "text_risky")
		earlier := m.occurrence("2026-03-11").ActivityID
		want(t, m.phone(m.secretary).put(m.path(earlier, "/following"), m.again(earlier, "content", "学习")), 200, "ok")
		want(t, m.repeat(body{"rule": "FREQ=DAILY", "publish_ahead_days": 3}), 200, "ok")
	})
}

func TestADraftThatIsRestoredToASeriesPublishesItselfOnlyWhereItsTextPasses(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		m.id = as[model.Activity](t, m.phone(m.secretary).post("/v1/activities", m.draft(m.branch).with("content", sim.RiskyWord))).ID
		s.touch(m.secretary)
		want(t, m.repeat(body{"rule": "FREQ=WEEKLY;BYDAY=FR", "shift": "none"}), 200, "ok")
		off := m.occurrence("2026-03-20").ActivityID
		want(t, m.phone(m.secretary).post(m.path(off, "/cancellation"), body{"reason": "放假"}), 200, "ok")
		// The others become clean and are let loose; the one that is off keeps its words.
		first := m.occurrence("2026-03-13").ActivityID
		want(t, m.phone(m.secretary).put(m.path(first, "/following"), m.again(first, "content", "学习")), 200, "ok")
		want(t, m.phone(m.secretary).put(m.path(m.id, ""), m.again(m.id, "content", "学习")), 200, "ok")
		want(t, m.repeat(body{"rule": "FREQ=WEEKLY;BYDAY=FR", "shift": "none", "publish_ahead_days": 20}), 200, "ok")
		want(t, m.phone(m.secretary).post(m.path(off, "/restoration"), body{"reason": sim.RiskyWord}), 409, "text_risky")
		if a := as[model.Activity](t, m.phone(m.secretary).post(m.path(off, "/restoration"), body{"reason": "不放假了"})); a.Status != model.Draft || !a.Detached {
			t.Errorf("what does not pass comes back as %s, detached %v", a.Status, a.Detached)
		}
		// Clean words come back as they were.
		other := m.occurrence("2026-04-03").ActivityID
		want(t, m.phone(m.secretary).post(m.path(other, "/cancellation"), body{"reason": "放假"}), 200, "ok")
		want(t, m.phone(m.secretary).post(m.path(other, "/restoration"), body{"reason": "不放假了"}), 200, "ok")
		s.Clock.Advance(9 * 24 * time.Hour)
		if err := s.Series.Extend(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.SignIn(m.secretary)
		if off, other := m.occurrence("2026-03-20").Status, m.occurrence("2026-04-03").Status; off != model.Draft || other != model.Published {
			t.Errorf("the one whose text does not pass is %s, the other %s", off, other)
		}
		// It can be mended and published by hand.
		s.touch(m.secretary)
		want(t, m.phone(m.secretary).post(m.path(off, "/publication"), nil), 409, "text_risky")
		want(t, m.phone(m.secretary).put(m.path(off, ""), m.again(off, "content", "学习")), 200, "ok")
		want(t, m.phone(m.secretary).post(m.path(off, "/publication"), nil), 200, "ok")
	})
}

func TestAnOccurrenceIsStillThereToBePublishedOnItsOwnDay(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m, _ := s.aSeries(1, "FREQ=WEEKLY;BYDAY=FR", "shift", "none")
		s.Clock.Set(m.of(m.occurrence("2026-03-20").ActivityID).StartsAt.Add(-2 * time.Hour))
		if err := s.Series.Extend(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.SignIn(m.secretary)
		s.touch(m.secretary)
		today := m.occurrence("2026-03-20")
		if today.Status != model.Draft {
			t.Fatalf("on its day it is %s", today.Status)
		}
		want(t, m.phone(m.secretary).post(m.path(today.ActivityID, "/publication"), nil), 200, "ok")
	})
}

// extendAtOnce lets several replicas make occurrences at the same moment.
func (s *stage) extendAtOnce(replicas []*service.Services) (failed int) {
	s.t.Helper()
	errs := make([]error, 8)
	trial.Race(len(errs), func(i int) { errs[i] = replicas[i%len(replicas)].Series.Extend(s.t.Context()) })
	for _, err := range errs {
		if err != nil {
			failed++
			s.t.Log(err)
		}
	}
	return failed
}

func TestManyReplicasMakeAndPublishEachOccurrenceOnce(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m, _ := s.aSeries(2, "FREQ=WEEKLY;BYDAY=MO,WE,FR", "shift", "none", "publish_ahead_days", 10)
		replicas := []*service.Services{s.Services, s.Replica(), s.Replica()}
		for range 3 {
			s.Clock.Advance(7 * 24 * time.Hour)
			if failed := s.extendAtOnce(replicas); failed > 0 {
				t.Errorf("%d of 8 failed", failed)
			}
		}
		var rows []struct {
			Day          string
			N, Published int
		}
		err := s.DB.Raw(`SELECT a.series_day AS day, COUNT(*) AS n, (SELECT COUNT(*) FROM audit_entries u WHERE u.action = 'publish_occurrence' AND u.object = `+
			map[bool]string{true: "CONCAT('activity/', MIN(a.id))", false: "'activity/' || MIN(a.id)"}[s.Store == trial.MySQL]+
			`) AS published FROM activities a WHERE a.series_id IS NOT NULL AND a.id <> ? GROUP BY a.series_day`, m.id).Scan(&rows).Error
		if err != nil || len(rows) < 30 {
			t.Fatalf("%d days, %v", len(rows), err)
		}
		for _, r := range rows {
			if wanted := map[bool]int{true: 1}[r.Day <= "2026-04-10"]; r.N != 1 || r.Published != wanted {
				t.Errorf("%s was made %d times and published %d times, want once and %d", r.Day, r.N, r.Published, wanted)
			}
		}
	})
}

func TestControl_WithoutLockAndKeyAnOccurrenceIsMadeTwice(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		m, _ := s.aSeries(1, "FREQ=WEEKLY;BYDAY=MO,WE,FR", "shift", "none")
		for _, key := range []string{"activities_series", "activities_once"} {
			if err := s.DB.Exec("ALTER TABLE activities DROP KEY " + key).Error; err != nil {
				t.Fatal(err)
			}
		}
		replicas := []*service.Services{s.Services, s.Replica(), s.Replica()}
		for round := range 20 {
			s.Clock.Advance(7 * 24 * time.Hour)
			s.extendAtOnce(replicas)
			var twice int64
			if err := s.DB.Raw("SELECT COUNT(*) FROM (SELECT series_day FROM activities WHERE id <> ? GROUP BY series_day HAVING COUNT(*) > 1) d", m.id).Scan(&twice).Error; err != nil {
				t.Fatal(err)
			}
			if twice > 0 {
				t.Logf("seen in round %d", round)
				return
			}
		}
		t.Error("twenty rounds without lock and key and nothing was made twice: this test cannot see the race")
	}, skipLocks)
}

func TestE6_TheCodeOfOneSessionOnThePageOfAnotherIsRefusedAsThat(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m, _ := s.aSeries(2, "FREQ=WEEKLY;BYDAY=FR", "shift", "none")
		s.touch(m.secretary)
		other := m.occurrence("2026-03-13").ActivityID
		want(t, m.phone(m.secretary).post(m.path(other, "/publication"), nil), 200, "ok")
		elsewhere := m.publish(m.branch)
		code, p := m.code().Code, m.phone(m.members[0])
		in := body{"code": code, "nonce": nonce()}
		want(t, p.post("/v1/check-ins", in.with("activity_id", other)), 409, "wrong_session")
		want(t, p.post("/v1/check-ins", in.with("activity_id", elsewhere)), 409, "wrong_activity")
		s.Warm(func() { want(t, p.post("/v1/check-ins", in.with("activity_id", 999999)), 409, "wrong_activity") })
		if m.rows(m.members[0]) != 0 {
			t.Error("a refused code left a row")
		}
		trips := s.Trips(func() { want(t, p.post("/v1/check-ins", in.with("activity_id", m.id)), 200, "ok") })
		if len(trips.SQL) != 2 {
			t.Errorf("the right page took %s", trips)
		}
	})
}

// aJointSeries repeats each Friday a meeting that a second branch was invited to.
func (s *stage) aJointSeries(change ...any) *jointMeeting {
	s.t.Helper()
	j := s.aJointMeeting(1, 2)
	s.touch(j.secretary)
	j.heldWith([]string{"第二党支部"}, change...)
	return j
}

// heldWith says how the series repeats and compares the branches that it is held
// with.
func (j *jointMeeting) heldWith(names []string, change ...any) {
	j.t.Helper()
	got := []string{}
	for _, p := range as[service.SeriesView](j.t, j.repeat(body{"rule": "FREQ=WEEKLY;BYDAY=FR", "shift": "none"}.with(change...))).Partners {
		got = append(got, p.Name)
	}
	if !slices.Equal(got, names) {
		j.t.Errorf("the series is held with %v, want %v", got, names)
	}
}

// publishes the occurrence of a day and compares who was invited, by branch.
func (j *jointMeeting) publishes(day model.Day, states map[uint64]model.JointState) uint64 {
	j.t.Helper()
	id := j.occurrence(day).ActivityID
	j.touch(j.secretary)
	want(j.t, j.phone(j.secretary).post(j.path(id, "/publication"), nil), 200, "ok")
	j.invited(id, states)
	return id
}

func (j *jointMeeting) invited(id uint64, states map[uint64]model.JointState) {
	j.t.Helper()
	got := map[uint64]model.JointState{}
	for _, p := range as[service.JointParts](j.t, j.phone(j.secretary).get(j.path(id, "/joint-branches"))).Items {
		got[p.BranchID] = p.State
	}
	if fmt.Sprint(got) != fmt.Sprint(states) {
		j.t.Errorf("invited to %d: %v, want %v", id, got, states)
	}
}

func TestASeriesIsHeldWithTheBranchesThatItNames(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		j := s.aJointSeries() // with those of the first meeting
		second, third := j.partner.branch.ID, s.Branch("第三党支部").ID
		partner := j.phone(j.partner.secretary)
		draft := j.occurrence("2026-03-13").ActivityID
		want(t, partner.get(j.path(draft, "")), 404, "activity_not_found") // nobody is asked about a draft
		j.publishes("2026-03-13", map[uint64]model.JointState{second: model.Invited})
		if n := s.audited("invite_branch", "activity", draft); n != 1 {
			t.Errorf("%d audit rows of one invitation", n)
		}
		j.id = draft
		want(t, j.answer(true), 200, "ok") // each time
		if n := j.board().Tally.Expected; n != 5 {
			t.Errorf("%d expected", n)
		}
		j.heldWith([]string{"第二党支部"}) // not said: unchanged
		for _, name := range []string{"没有的支部", "第一党支部", "机关工委"} {
			want(t, j.repeat(body{"rule": "FREQ=DAILY", "partners": []body{{"name": "第三党支部"}, {"name": name}}}), 404, "branch_unknown")
		}
		j.heldWith([]string{"第二党支部"})
		j.heldWith([]string{"第三党支部"}, "partners", []body{{"name": "第三党支部"}, {"name": "第三党支部", "superior": "机关工委"}})
		j.publishes("2026-03-20", map[uint64]model.JointState{third: model.Invited})
		j.heldWith([]string{}, "partners", []body{})
		j.publishes("2026-03-27", map[uint64]model.JointState{})
		j.invited(draft, map[uint64]model.JointState{second: model.JointAccepted}) // what is published stays
		// Those that publish themselves invite in the name of who set the series up.
		j.heldWith([]string{"第二党支部"}, "partners", []body{{"name": "第二党支部"}}, "publish_ahead_days", 25)
		itself := j.occurrence("2026-04-03")
		j.invited(itself.ActivityID, map[uint64]model.JointState{second: model.Invited})
		if n := s.count(&model.JointBranch{}, "activity_id = ? AND invited_by = ?", itself.ActivityID, j.secretary.ID); itself.Status != model.Published || n != 1 {
			t.Errorf("%s, and %d invitations in the secretary's name", itself.Status, n)
		}
	})
}

func TestAnOccurrenceInvitesNobodyWhoWasAskedOrMayNotComeAndAnEditedOneNobody(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		j := s.aJointSeries()
		second, secretary := j.partner.branch.ID, j.phone(j.secretary)
		invited, nobody := map[uint64]model.JointState{second: model.Invited}, map[uint64]model.JointState{}
		// Changing one makes it their own, also in whom it is held with; changing this
		// and those that follow does not.
		own, following := j.occurrence("2026-03-20").ActivityID, j.occurrence("2026-03-27").ActivityID
		s.touch(j.secretary)
		want(t, secretary.put(j.path(own, ""), j.again(own, "title", "特别的一次")), 200, "ok")
		want(t, secretary.put(j.path(following, "/following"), j.again(following, "title", "改过的主题党日")), 200, "ok")
		j.publishes("2026-03-20", nobody)
		j.publishes("2026-03-27", invited)
		j.publishes("2026-04-03", invited)
		j.id = own
		want(t, j.invite("第二党支部"), 200, "ok")
		// Who declined the draft is not asked again.
		j.id = j.occurrence("2026-04-10").ActivityID
		want(t, j.invite("第二党支部"), 200, "ok")
		want(t, j.answer(false), 200, "ok")
		j.publishes("2026-04-10", map[uint64]model.JointState{second: model.JointDeclined})
		// A branch that went to another tree may not come.
		if err := s.DB.Model(&model.Organisation{}).Where("id = ?", second).Update("parent_id", s.Organisation(nil, model.WorkCommittee, "外区党工委").ID).Error; err != nil {
			t.Fatal(err)
		}
		j.publishes("2026-04-17", nobody)
		if err := s.DB.Model(&model.Organisation{}).Where("id = ?", second).Update("parent_id", s.Agencies().ID).Error; err != nil {
			t.Fatal(err)
		}
		// What has begun nobody joins any more.
		s.Clock.Set(j.of(j.occurrence("2026-03-13").ActivityID).StartsAt)
		s.SignIn(j.secretary)
		j.publishes("2026-03-13", nobody)
	})
}

// publishAtOnce lets eight publish each occurrence at once on two replicas, and
// returns the most invitations that one of them brought.
func (j *jointMeeting) publishAtOnce(other *stage) (most int64) {
	j.t.Helper()
	j.phone(j.secretary)
	for _, o := range j.series().Occurrences {
		if o.Status != model.Draft || most > 1 {
			continue
		}
		j.touch(j.secretary)
		trial.Race(8, func(i int) {
			m := j.on([]*stage{j.stage, other}[i%2])
			m.phone(m.secretary).post(m.path(o.ActivityID, "/publication"), nil)
		})
		most = max(most, j.audited("invite_branch", "activity", o.ActivityID))
	}
	return most
}

func TestAnOccurrenceThatIsPublishedAtOnceInvitesOnce(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		j := s.aJointSeries()
		if n := j.publishAtOnce(s.replica()); n != 1 {
			t.Errorf("%d invitations to one occurrence", n)
		}
	})
}

func TestPublishedAtOnce_Control_WithoutGuardAndLookItInvitesTwice(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		j := s.aJointSeries("rule", "FREQ=DAILY")
		other := s.replica()
		s.Sabotage(func(statement string) string {
			if strings.HasPrefix(statement, "UPDATE `activities` SET `published_at`") {
				statement = strings.NewReplacer("`version`=?", "`version`=`version`+?", "status = ?", "CONCAT(status, ?) <> ''", "version = ?", "version + ? > 0").Replace(statement)
			}
			if strings.HasPrefix(statement, "SELECT * FROM `joint_branches`") {
				statement = strings.Replace(statement, "branch_id = ?", "branch_id = 0 * ?", 1)
			}
			return statement
		})
		if n := j.publishAtOnce(other); n < 2 {
			t.Error("without the guard and always one invitation: this test cannot see the race")
		}
	})
}
