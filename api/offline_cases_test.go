package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

// What phones noted without a network.

// offline sends a batch of what somebody's phone noted.
func (m *meeting) offline(p *trial.Person, items ...body) *reply {
	m.t.Helper()
	return m.phone(p).post(m.path(m.id, "/offline-check-ins"), body{"items": items})
}

// noted is an item that the phone notes now.
func (m *meeting) noted(pairs ...any) body {
	return body{"nonce": nonce(), "scanned_at": m.Clock.Now()}.with(pairs...)
}

// ticks are as many items as there are members, each a tick.
func (m *meeting) ticks() []body {
	items := make([]body, len(m.members))
	for i, p := range m.members {
		items[i] = m.noted("member_id", p.ID)
	}
	return items
}

func (m *meeting) refusedOffline() []service.OfflineLine {
	m.t.Helper()
	return as[service.OfflinePage](m.t, m.phone(m.secretary).get(m.path(m.id, "/offline-items"))).Items
}

// one is the answer about the only item of a batch.
func one(t *testing.T, r *reply) service.OfflineAnswer {
	t.Helper()
	all := as[service.OfflineAnswers](t, r)
	if len(all.Items) != 1 {
		t.Fatalf("%d answers: %s", len(all.Items), r.Body)
	}
	return all.Items[0]
}

func TestA19_OfABatchOfThirtyOneBadItemIsReportedByItsPlaceAndTheRestIsKept(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(29)
		items := m.ticks()
		items = append(items[:17], append([]body{m.noted("member_code", "1.1.AAAAAAAAAAAA")}, items[17:]...)...)
		s.Clock.Advance(time.Minute)
		first := m.offline(m.secretary, items...)
		got := as[service.OfflineAnswers](t, first)
		if got.Accepted != 29 || got.Refused != 1 || len(got.Items) != 30 {
			t.Fatalf("got %d accepted, %d refused of %d: %s", got.Accepted, got.Refused, len(got.Items), first.Body)
		}
		for i, a := range got.Items {
			want := "ok"
			if i == 17 {
				want = "member_code_invalid"
			}
			if a.Index != i || a.Nonce != items[i]["nonce"] || a.Code != want || a.Accepted != (want == "ok") || a.Message == "" {
				t.Errorf("item %d: %+v", i, a)
			}
		}
		if m.board().Tally.Present != 29 {
			t.Errorf("the board says %+v", m.board().Tally)
		}
		attendances, kept := s.count(&model.Attendance{}, "activity_id = ?", m.id), s.count(&model.OfflineItem{}, "activity_id = ?", m.id)
		s.Clock.Advance(time.Hour)
		sameBytes(t, first, m.offline(m.secretary, items...))
		if attendances != 29 || kept != 30 || s.count(&model.Attendance{}, "activity_id = ?", m.id) != 29 || s.count(&model.OfflineItem{}, "activity_id = ?", m.id) != 30 {
			t.Errorf("%d attendances and %d items, and more after the second time", attendances, kept)
		}
	})
}

func TestA19_A20_AMalformedItemIsRefusedByItsPlaceKeptAndTakesNoOtherWithIt(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(29)
		stranger := m.anotherBranch("第二党支部").secretary
		someone := m.members[3]
		tick := func(pairs ...any) body { return m.noted(append([]any{"member_id", someone.ID}, pairs...)...) }
		without := func(field string) body {
			item := tick()
			delete(item, field)
			return item
		}
		for _, c := range []struct {
			name  string
			item  any
			code  string
			about string
		}{
			{"a nonce with a space", tick("nonce", "a b c d e f"), "item_nonce", someone.Name},
			{"a nonce that is too short", tick("nonce", "short"), "item_nonce", someone.Name},
			{"a nonce that is a number", tick("nonce", 12345678), "item_nonce", someone.Name},
			{"a nonce as ours are", tick("nonce", ".0123456789012345678901"), "item_nonce", someone.Name},
			{"no nonce", without("nonce"), "item_nonce", someone.Name},
			{"a time that is none", tick("scanned_at", "刚才"), "item_time", someone.Name},
			{"a time without a zone", tick("scanned_at", "2026-03-10T14:00:00"), "item_time", someone.Name},
			{"a time that is a number", tick("scanned_at", 1773122400), "item_time", someone.Name},
			{"no time", without("scanned_at"), "item_time", someone.Name},
			{"a field too many", tick("name", "某人"), "item_malformed", someone.Name},
			{"a field in other letters", tick("Code", "x"), "item_malformed", someone.Name},
			{"a number that is a text", tick("member_id", "3"), "item_malformed", ""},
			{"a number below zero", tick("member_id", -1), "item_malformed", ""},
			{"a code that is too long", tick("code", strings.Repeat("x", 257)), "item_malformed", someone.Name},
			{"everything at once", body{"nonce": 1, "scanned_at": true, "x": []int{1}}, "item_time", ""},
			{"nothing", body{}, "item_time", ""},
			{"null", nil, "item_time", ""},
			{"a text", "签到", "item_time", ""},
			{"a list", []any{tick()}, "item_time", ""},
			{"a stranger", m.noted("member_id", stranger.ID, "x", 1), "not_on_roster", ""},
		} {
			m.id = m.publish(m.branch)
			items := []any{}
			for _, item := range m.ticks() {
				items = append(items, item)
			}
			items = append(items[:17], append([]any{c.item}, items[17:]...)...)
			s.Clock.Advance(time.Minute)
			send := func() *reply {
				return m.phone(m.secretary).post(m.path(m.id, "/offline-check-ins"), body{"items": items})
			}
			first := send()
			got := as[service.OfflineAnswers](t, first)
			if got.Accepted != 29 || got.Refused != 1 || len(got.Items) != 30 {
				t.Fatalf("%s: %d accepted, %d refused of %d: %s", c.name, got.Accepted, got.Refused, len(got.Items), first.Body)
			}
			if bad := got.Items[17]; bad.Index != 17 || bad.Accepted || bad.Code != c.code || bad.Message == "" || bad.Nonce == "" || strings.Contains(string(first.Body), stranger.Name) {
				t.Errorf("%s: %+v", c.name, bad)
			}
			lines := m.refusedOffline()
			if len(lines) != 1 || lines[0].Code != c.code || lines[0].Name != c.about || lines[0].Message == "" || lines[0].UploadedBy != m.secretary.Name ||
				(c.code == "item_time") != strings.Contains(lines[0].Remark, "手机时间读不出来") {
				t.Errorf("%s: the list says %+v", c.name, lines)
			}
			s.Clock.Advance(time.Hour)
			sameBytes(t, first, send())
			if n, kept := s.count(&model.Attendance{}, "activity_id = ?", m.id), s.count(&model.OfflineItem{}, "activity_id = ?", m.id); n != 29 || kept != 30 {
				t.Errorf("%s: %d attendances and %d items after the second time", c.name, n, kept)
			}
		}
	})
}

func TestA19_AMalformedItemPutRightIsTakenAndABatchThatIsNoneIsNot(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		item := m.noted("code", m.code().Code)
		if got := one(t, m.offline(m.members[0], item.with("version", "2.1"))); got.Accepted || got.Code != "item_malformed" {
			t.Errorf("malformed: %+v", got)
		}
		if got := one(t, m.offline(m.members[0], item)); !got.Accepted || got.Nonce != item["nonce"] {
			t.Errorf("put right: %+v", got)
		}
		many := make([]any, 201)
		for i := range many {
			many[i] = m.noted("member_id", m.members[0].ID)
		}
		for name, batch := range map[string]any{
			"no items": body{}, "an empty list": body{"items": []any{}}, "more than 200": body{"items": many}, "no list": body{"items": "x"},
			"a field too many": body{"items": []any{item}, "x": 1}, "null": body{"items": nil},
		} {
			if r := m.phone(m.members[0]).post(m.path(m.id, "/offline-check-ins"), batch); r.Status != 400 {
				t.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
		}
		if n := s.count(&model.OfflineItem{}, "activity_id = ?", m.id); n != 2 {
			t.Errorf("%d items", n)
		}
	})
}

func TestA19_ABatchThatAFaultCutShortIsCompletedBySendingItAgain(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(60)
		items := m.ticks()
		s.Clock.Advance(time.Minute)
		inserted := 0
		s.Sabotage(func(statement string) string {
			if strings.HasPrefix(statement, "INSERT INTO `offline_items`") {
				if inserted++; inserted > 1 {
					return "SELECT broken"
				}
			}
			return statement
		})
		if r := m.offline(m.secretary, items...); r.Status != 500 {
			t.Fatalf("got %d %s", r.Status, r.Body)
		}
		s.Sabotage(nil)
		halfway := s.count(&model.Attendance{}, "activity_id = ?", m.id)
		if halfway == 0 || halfway == 60 || s.count(&model.OfflineItem{}, "activity_id = ?", m.id) != halfway || int64(m.board().Tally.Present) != halfway {
			t.Errorf("after the fault %d attendances, the board says %+v", halfway, m.board().Tally)
		}
		got := as[service.OfflineAnswers](t, m.offline(m.secretary, items...))
		if got.Accepted != 60 || s.count(&model.Attendance{}, "activity_id = ?", m.id) != 60 || s.count(&model.OfflineItem{}, "activity_id = ?", m.id) != 60 {
			t.Errorf("%d accepted", got.Accepted)
		}
	})
}

// sendAtOnce sends the same batches twenty times at once to two replicas: each
// of the members their own scan, and the secretary ticks of them all.
func (m *meeting) sendAtOnce(other *meeting, own body, ticked []body) []*reply {
	m.t.Helper()
	answers := make([]*reply, 20)
	for _, p := range []*trial.Person{m.members[0], m.secretary} {
		m.phone(p)
	}
	trial.Race(20, func(i int) {
		at := []*meeting{m, other}[i%2]
		if i < 10 {
			answers[i] = at.offline(m.members[0], own)
		} else {
			answers[i] = at.offline(m.secretary, ticked...)
		}
	})
	return answers
}

func TestA19_ABatchSentManyTimesAtOnceIsOneRowForEach(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(8)
		other := m.on(s.replica())
		m.phone(m.secretary)
		for range 5 {
			m.id = m.publish(m.branch)
			other.id = m.id
			own, ticked := m.noted("code", m.code().Code), m.ticks()
			answers := m.sendAtOnce(other, own, ticked)
			for i, r := range answers {
				if r.Status != 200 {
					t.Fatalf("got %d %s", r.Status, r.Body)
				}
				sameBytes(t, answers[i/10*10], r)
			}
			for _, p := range m.members {
				if n := m.rows(p); n != 1 {
					t.Errorf("%s has %d rows", p.Name, n)
				}
			}
			if n := s.count(&model.OfflineItem{}, "activity_id = ?", m.id); n != 9 {
				t.Errorf("%d items of 9", n)
			}
		}
	})
}

func TestA19_Control_WithoutTheKeysABatchIsSeveral(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(8)
		if err := s.DB.Exec("ALTER TABLE offline_items DROP FOREIGN KEY offline_items_to_activity").Error; err != nil {
			t.Fatal(err)
		}
		s.dropIndex("offline_items", "offline_items_once")
		s.dropIndex("attendances", "attendances_once")
		other := m.on(s.replica())
		m.phone(m.secretary)
		for round := range 40 {
			m.id = m.publish(m.branch)
			other.id = m.id
			own, ticked := m.noted("code", m.code().Code), m.ticks()
			m.sendAtOnce(other, own, ticked)
			if m.rows(m.members[0]) > 1 && s.count(&model.OfflineItem{}, "activity_id = ?", m.id) > 9 {
				t.Logf("seen in round %d", round)
				return
			}
		}
		t.Error("forty rounds without the keys and always one row: this test cannot see the race")
	}, skipLocks)
}

func TestA19_TheSameScanSentOnlineAndOfflineIsOne(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		code := m.code().Code
		online := as[service.CheckedIn](t, m.scan(m.members[0], code, "scan-of-both-1"))
		s.Clock.Advance(time.Minute)
		got := one(t, m.offline(m.members[0], m.noted("code", code, "nonce", "scan-of-both-1")))
		if !got.Accepted || !got.At.Equal(online.CheckedInAt) {
			t.Errorf("online first: %+v", got)
		}
		got = one(t, m.offline(m.members[1], m.noted("code", code, "nonce", "scan-of-both-2")))
		again := as[service.CheckedIn](t, m.phone(m.members[1]).post("/v1/check-ins", body{"code": code, "activity_id": m.id, "nonce": "scan-of-both-2"}))
		if !got.Accepted || !got.At.Equal(again.CheckedInAt) || again.Provenance != model.ByOffline {
			t.Errorf("offline first: %+v and %+v", got, again)
		}
		ticked := one(t, m.offline(m.secretary, m.noted("member_id", m.members[2].ID, "nonce", "tick-of-both-1")))
		want(t, m.phone(m.secretary).post(m.path(m.id, "/attendances"), body{"member_id": m.members[2].ID, "status": "present", "nonce": "tick-of-both-1"}), 200, "ok")
		for _, p := range m.members {
			if m.rows(p) != 1 {
				t.Errorf("%s has %d rows", p.Name, m.rows(p))
			}
		}
		// Another scan of somebody who is there is no harm, and hears of the first.
		s.Clock.Advance(time.Minute)
		got = one(t, m.offline(m.members[0], m.noted("code", m.code().Code)))
		if got.Accepted || got.Code != "already_checked_in" || !got.At.Equal(online.CheckedInAt) || !ticked.Accepted {
			t.Errorf("another scan: %+v, the tick %+v", got, ticked)
		}
		// A nonce that stands for one thing does not stand for another.
		got = one(t, m.offline(m.members[0], m.noted("code", m.code().Code, "nonce", "scan-of-both-1")))
		if got.Accepted || got.Code != "key_reused" {
			t.Errorf("a reused nonce: %+v", got)
		}
		twice := m.noted("member_id", m.members[2].ID)
		both := as[service.OfflineAnswers](t, m.offline(m.secretary, twice, twice, twice.with("member_id", m.members[1].ID)))
		if both.Items[0].Code != both.Items[1].Code || both.Items[0].Code != "already_checked_in" || both.Items[2].Code != "key_reused" {
			t.Errorf("one nonce three times in a batch: %+v", both)
		}
	})
}

func TestA19_WhatWasAnnulledIsNotBroughtBackByAPhoneThatStillHadIt(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		first, second := m.noted("code", m.code().Code), m.noted("code", m.code().Code)
		if got := one(t, m.offline(m.members[0], first)); !got.Accepted {
			t.Fatalf("got %+v", got)
		}
		s.Clock.Advance(time.Minute)
		want(t, m.phone(m.secretary).post(m.path(m.id, "/annulments"), body{"check_in_nonce": first["nonce"], "reason": "本人没有到会"}), 200, "ok")
		if got := one(t, m.offline(m.members[0], second)); got.Accepted || got.Code != "annulled" {
			t.Errorf("got %+v", got)
		}
		if m.board().Tally.Present != 0 {
			t.Errorf("present again: %+v", m.board().Tally)
		}
		s.Clock.Advance(time.Minute)
		if got := one(t, m.offline(m.members[0], m.noted("code", m.code().Code))); !got.Accepted {
			t.Errorf("a scan after it: %+v", got)
		}
	})
}

func TestA20_EveryRefusedItemIsKeptWithItsReasonAndShownToWhoConducts(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		start := s.Clock.Now().Add(11 * time.Minute)
		m := s.aMeeting(7, "starts_at", start, "open_early_minutes", 10, "close_after_minutes", 20)
		early := m.noted("code", m.code().Code)
		s.Clock.Set(start)
		replaced := m.noted("code", m.code().Code)
		as[service.ScreenCode](t, m.phone(m.secretary).post(m.path(m.id, "/check-in-code"), nil))
		first := m.id
		m.id = m.publish(m.branch)
		foreign := m.noted("code", m.code().Code)
		m.id = first
		beside := m.anotherBranch("第二党支部").secretary
		good := m.code().Code
		tampered := m.noted("code", good[:len(good)-1]+map[bool]string{true: "B", false: "A"}[good[len(good)-1] == 'A'])
		s.Clock.Set(start.Add(21 * time.Minute))
		late := m.noted("code", m.code().Code)
		cases := []struct {
			by     *trial.Person
			item   body
			code   string
			about  string
			detail time.Time
		}{
			{m.members[0], early, "not_open_yet", m.members[0].Name, start.Add(-10 * time.Minute)},
			{m.members[1], replaced, "code_expired", m.members[1].Name, time.Time{}},
			{m.members[2], foreign, "wrong_activity", m.members[2].Name, time.Time{}},
			{m.members[3], tampered, "code_invalid", m.members[3].Name, time.Time{}},
			{m.members[3], m.noted("code", "https://example.com/广告"), "code_invalid", m.members[3].Name, time.Time{}},
			{m.members[4], late, "closed", m.members[4].Name, start.Add(20 * time.Minute)},
			{m.members[5], m.noted("member_id", m.members[6].ID), "not_conductor", "", time.Time{}},
			{m.members[5], m.noted(), "invalid_field", "", time.Time{}},
			{m.secretary, m.noted("member_id", beside.ID), "not_on_roster", "", time.Time{}},
			{m.secretary, m.noted("member_id", 999999), "not_on_roster", "", time.Time{}},
			{m.secretary, m.noted("member_id", m.members[6].ID, "code", good), "invalid_field", "", time.Time{}},
			{m.secretary, m.noted("member_code", good), "member_code_invalid", "", time.Time{}},
		}
		for i, c := range cases {
			got := one(t, m.offline(c.by, c.item))
			if got.Accepted || got.Code != c.code || got.Message == "" || !c.detail.IsZero() && (got.At == nil || !got.At.Equal(c.detail)) {
				t.Errorf("%d %s: %+v", i, c.code, got)
			}
		}
		lines := m.refusedOffline()
		if len(lines) != len(cases) {
			t.Fatalf("%d refused items are shown of %d", len(lines), len(cases))
		}
		for i, c := range cases {
			if l := lines[i]; l.Code != c.code || l.Name != c.about || l.UploadedBy != c.by.Name || l.Message == "" || l.Nonce != c.item["nonce"] || l.Present {
				t.Errorf("%d %s: %+v", i, c.code, l)
			}
		}
		if n := s.count(&model.Attendance{}, "activity_id = ?", m.id); n != 0 {
			t.Errorf("%d attendances of refused items", n)
		}
		// Pages hold the same, and no code is kept.
		var paged []string
		for next := "?limit=5"; next != ""; {
			page := as[service.OfflinePage](t, m.phone(m.secretary).get(m.path(m.id, "/offline-items")+next))
			for _, l := range page.Items {
				paged = append(paged, l.Nonce)
			}
			if next = page.Next; next != "" {
				next = "?limit=5&cursor=" + next
			}
		}
		if len(paged) != len(lines) || paged[len(paged)-1] != lines[len(lines)-1].Nonce {
			t.Errorf("%d items on the pages of %d", len(paged), len(lines))
		}
		if kept := s.everythingKept(); strings.Contains(kept, good) || strings.Contains(kept, tampered["code"].(string)) {
			t.Error("a code is kept")
		}
		want(t, m.phone(m.members[0]).get(m.path(m.id, "/offline-items")), 403, "not_conductor")
		// The secretary settles one of them, and the list says so.
		want(t, m.tick(m.members[4], model.Present), 200, "ok")
		for _, l := range m.refusedOffline() {
			if l.Present != (l.Name == m.members[4].Name) {
				t.Errorf("after the tick: %+v", l)
			}
		}
	})
}

func TestA20_AfterTheClosingEverythingIsRefusedAndKept(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		s.Clock.Advance(31 * time.Minute)
		own, ticked := m.noted("code", m.code().Code), m.noted("member_id", m.members[1].ID)
		want(t, m.phone(m.secretary).post(m.path(m.id, "/closing"), nil), 200, "ok")
		for p, item := range map[*trial.Person]body{m.members[0]: own, m.secretary: ticked} {
			if got := one(t, m.offline(p, item)); got.Accepted || got.Code != "closed" {
				t.Errorf("got %+v", got)
			}
		}
		if lines := m.refusedOffline(); len(lines) != 2 || m.row(m.members[0]).Status != model.Absent || m.row(m.members[1]).Status != model.Absent {
			t.Errorf("got %+v", lines)
		}
	})
}

func TestA20_MoreThanAnybodyHasToSendIsNotTaken(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		rows := make([]model.OfflineItem, 1999)
		for i := range rows {
			rows[i] = model.OfflineItem{ActivityID: m.id, UploadedBy: m.secretary.ID, Kind: model.OfflineTick, ClientAt: s.Clock.Now(), ReceivedAt: s.Clock.Now(),
				Refusal: "closed", Once: model.Once{Nonce: fmt.Sprint("filler-", i)}}
		}
		if err := s.DB.CreateInBatches(rows, 500).Error; err != nil {
			t.Fatal(err)
		}
		last := m.noted("member_id", m.members[0].ID)
		want(t, m.offline(m.secretary, last, m.noted("member_id", m.members[0].ID)), 409, "offline_full")
		if got := one(t, m.offline(m.secretary, last)); !got.Accepted {
			t.Errorf("got %+v", got)
		}
		if again := one(t, m.offline(m.secretary, last)); !again.Accepted {
			t.Errorf("what is kept is not answered: %+v", again)
		}
	})
}

func TestA20_WrongCodesOfABatchCountAsGuessesAndTheRestWaits(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		items := make([]body, 20)
		for i := range items {
			items[i] = m.noted("code", fmt.Sprintf("1.1.1.AAAAAAAAAA%02d", i))
		}
		r := m.offline(m.members[0], items...)
		want(t, r, 429, "too_many_attempts")
		kept := s.count(&model.OfflineItem{}, "activity_id = ?", m.id)
		if kept == 0 || kept > 10 || r.Header.Get("Retry-After") == "" {
			t.Errorf("%d of twenty kept in one minute, Retry-After %q", kept, r.Header.Get("Retry-After"))
		}
		again := m.offline(m.members[0], items[:kept]...)
		if got := as[service.OfflineAnswers](t, again); got.Refused != int(kept) {
			t.Errorf("what is kept is not answered: %s", again.Body)
		}
		if got := one(t, m.offline(m.members[1], m.noted("code", m.code().Code))); !got.Accepted {
			t.Errorf("another member: %+v", got)
		}
	})
}

func TestA22_ThePhonesClockIsKeptApartMarkedAndDecidesNothingForAScan(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(6)
		opens, scanned := s.Clock.Now(), s.Clock.Now().Add(10*time.Minute)
		s.Clock.Set(scanned)
		code := m.code().Code
		issued := scanned.Truncate(s.Parts.Settings.CodeStep)
		s.Clock.Advance(30 * time.Minute) // the late line has passed
		for i, c := range []struct {
			client time.Time
			doubts []model.OfflineDoubt
		}{
			{scanned, nil},
			{scanned.Add(24 * time.Hour), []model.OfflineDoubt{model.ClientAhead, model.ClientDisputes}},
			{opens.Add(-time.Hour), []model.OfflineDoubt{model.ClientEarly, model.ClientDisputes}},
			{opens.Add(-80 * time.Hour), []model.OfflineDoubt{model.ClientEarly, model.ClientOld, model.ClientDisputes}},
			{scanned.Add(20 * time.Minute), []model.OfflineDoubt{model.ClientDisputes}},
			{time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), []model.OfflineDoubt{model.ClientEarly, model.ClientOld, model.ClientDisputes}},
		} {
			got := one(t, m.offline(m.members[i], m.noted("code", code, "scanned_at", c.client)))
			if !got.Accepted || got.Late || !got.At.Equal(issued) || fmt.Sprint(got.Doubts) != fmt.Sprint(append([]model.OfflineDoubt{}, c.doubts...)) {
				t.Errorf("%s: %+v", c.client, got)
			}
			row := m.row(m.members[i])
			if !row.At.Equal(issued) || row.RecordedAt == nil || !row.RecordedAt.Equal(s.Clock.Now()) || row.Provenance != model.ByOffline || row.RecordedBy != nil {
				t.Errorf("%s: the row is %+v", c.client, row)
			}
		}
		all := as[service.OfflinePage](t, m.phone(m.secretary).get(m.path(m.id, "/offline-items?scope=all"))).Items
		if len(all) != 6 || !all[1].ClientAt.Equal(scanned.Add(24*time.Hour)) || !all[1].ReceivedAt.Equal(s.Clock.Now()) || !all[1].IssuedAt.Equal(issued) ||
			!strings.Contains(all[1].Remark, "手机时间晚于收到的时间") || all[0].Remark != "" {
			t.Errorf("the list says %+v", all)
		}
		if len(m.refusedOffline()) != 0 {
			t.Error("an accepted item is listed as refused")
		}
		if tally := m.board().Tally; tally.Present != 6 || tally.Late != 0 {
			t.Errorf("the board says %+v", tally)
		}
	})
}

func TestA22_ATickWithoutANetworkMakesNobodyLateWhateverThePhonesClockSays(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(8, "check_out", true, "re_entry", true)
		opens := s.Clock.Now()
		s.Clock.Set(opens.Add(10 * time.Minute))
		shown := as[service.MemberCode](t, m.phone(m.members[7]).get("/v1/me/code")).Code
		shownAt := s.Clock.Now().Truncate(time.Second)
		s.Clock.Set(opens.Add(time.Hour)) // late by now
		received := s.Clock.Now()
		odd := []string{}
		for i, c := range []struct {
			client, at time.Time
			doubts     []model.OfflineDoubt
		}{
			{opens.Add(10 * time.Minute), opens.Add(10 * time.Minute), nil},
			{opens, opens, nil},
			{opens.Add(59 * time.Minute), opens.Add(59 * time.Minute), nil}, // a clock that is ahead, or the truth: nobody knows
			{opens.Add(-time.Millisecond), received, []model.OfflineDoubt{model.ClientEarly}},
			{received.Add(time.Millisecond), received, nil},
			{received.AddDate(1, 0, 0), received, []model.OfflineDoubt{model.ClientAhead}},
			{received.Add(-73 * time.Hour), received, []model.OfflineDoubt{model.ClientEarly, model.ClientOld}},
		} {
			got := one(t, m.offline(m.secretary, m.noted("member_id", m.members[i].ID, "scanned_at", c.client)))
			row := m.row(m.members[i])
			if !got.Accepted || got.Late || got.Message != "已补记签到" || !got.At.Equal(c.at) || !row.At.Equal(c.at) || row.RecordedBy == nil || *row.RecordedBy != m.secretary.ID ||
				(row.RecordedAt == nil) != c.at.Equal(received) || fmt.Sprint(got.Doubts) != fmt.Sprint(append([]model.OfflineDoubt{}, c.doubts...)) {
				t.Errorf("%s: %+v, the row %+v", c.client, got, row)
			}
			if c.doubts != nil {
				odd = append(odd, m.members[i].Name)
			}
		}
		got := one(t, m.offline(m.secretary, m.noted("member_code", shown, "scanned_at", opens.Add(-time.Hour))))
		if !got.Accepted || got.Late || !got.At.Equal(shownAt) || got.Name != m.members[7].Name {
			t.Errorf("a member code: %+v", got)
		}
		board := m.board()
		if board.Tally.Present != 8 || board.Tally.Late != 0 {
			t.Errorf("the board says %+v", board.Tally)
		}
		for _, a := range board.Arrivals {
			if a.Late {
				t.Errorf("the board says %+v", a)
			}
		}
		signals := as[service.SignalList](t, m.phone(m.secretary).get(m.path(m.id, "/signals"))).Items
		if len(signals) != 1 || signals[0].Kind != model.OddClock || len(signals[0].Members) != 4 {
			t.Fatalf("signals %+v", signals)
		}
		for _, name := range append(odd, m.members[7].Name) {
			if !strings.Contains(signals[0].Message, name) {
				t.Errorf("%s is not in %q", name, signals[0].Message)
			}
		}
		// Nor does a correction of something else.
		left := body{"member_id": m.members[2].ID, "status": "present", "left_at": received, "reason": "补记离开的时间", "nonce": nonce()}
		s.Clock.Advance(time.Minute)
		want(t, m.phone(m.secretary).post(m.path(m.id, "/corrections"), left), 400, "invalid_field")
		want(t, m.phone(m.secretary).post(m.path(m.id, "/corrections"), left.with("at", opens, "nonce", nonce())), 200, "ok")
		s.Clock.Set(opens.Add(3 * time.Hour))
		want(t, m.phone(m.secretary).post(m.path(m.id, "/closing"), nil), 200, "ok")
		sheet := as[service.Sheet](t, m.phone(m.secretary).get(m.path(m.id, "/sheet")))
		ticked := 0
		for _, l := range sheet.Lines {
			if strings.Contains(l.Status, "迟到") {
				t.Errorf("the sheet: %+v", l)
			}
			if l.By == "离线代记" {
				ticked++
			}
		}
		if ticked != 6 || sheet.Tally.Late != 0 {
			t.Errorf("the sheet has %d ticks: %+v", ticked, sheet)
		}
	})
}

func TestA20_AtAJointMeetingEachBranchSendsAndSeesItsOwnPeople(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		j := s.aJointMeeting(2, 2)
		want(t, j.answer(true), 200, "ok")
		s.Clock.Advance(time.Minute)
		sent := as[service.OfflineAnswers](t, j.offline(j.partner.secretary, j.noted("member_id", j.partner.members[0].ID), j.noted("member_id", j.members[0].ID)))
		if !sent.Items[0].Accepted || sent.Items[1].Code != "not_on_roster" || sent.Items[1].Name != "" {
			t.Errorf("the partner's secretary: %+v", sent)
		}
		if row := j.row(j.partner.members[0]); row.BranchID != j.partner.branch.ID || row.Guest {
			t.Errorf("the row of the partner's member: %+v", row)
		}
		if got := one(t, j.offline(j.secretary, j.noted("member_id", j.partner.members[1].ID))); !got.Accepted {
			t.Errorf("the host's secretary: %+v", got)
		}
		for _, m := range []*trial.Person{j.members[1], j.partner.members[1]} {
			one(t, j.offline(m, j.noted("code", "1.1.AAAAAAAAAAAA")))
		}
		read := func(p *trial.Person) (names []string) {
			for _, l := range as[service.OfflinePage](t, j.phone(p).get(j.path(j.id, "/offline-items?scope=all"))).Items {
				names = append(names, l.Name)
			}
			return names
		}
		second := j.partner.members[1].Name
		host, partner := fmt.Sprint(read(j.secretary)), fmt.Sprint(read(j.partner.secretary))
		if host != fmt.Sprint([]string{"伙伴甲", "", second, j.members[1].Name, second}) || partner != fmt.Sprint([]string{"伙伴甲", "", second, second}) {
			t.Errorf("the host sees %s, the partner %s", host, partner)
		}
	})
}
