package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
	"dangri/wechat/sim"
)

// neighbourhood is a community with a liaison and a published service day the
// day after tomorrow, and a branch with a secretary and members.
type neighbourhood struct {
	*stage
	community, branch  model.Organisation
	liaison, secretary *trial.Person
	members            []*trial.Person
	day                service.ServiceDayView
	slot               uint64         // the first of the day's
	other              *neighbourhood // another replica, where a test has one
}

// aNeighbourhood publishes a service day with one slot of so many seats,
// changed as the pairs say.
func (s *stage) aNeighbourhood(members, seats int, change ...any) *neighbourhood {
	s.t.Helper()
	agencies := s.Agencies()
	n := &neighbourhood{stage: s, community: s.Organisation(&agencies, model.Community, "和平社区"), branch: s.Branch("第一党支部")}
	n.liaison = s.Member(n.community, "郝联络")
	s.Post(n.liaison, n.community, model.CommunityLiaison)
	n.secretary = s.Member(n.branch, "沈书记")
	s.Post(n.secretary, n.branch, model.Secretary)
	n.members = s.Members(n.branch, members)
	n.publishDay(append([]any{"slots", []body{n.job(seats)}}, change...)...)
	return n
}

// serviceStart is when the service of a neighbourhood begins: Thursday 14:00.
var serviceStart = trial.Start.Add(48 * time.Hour)

// job is a slot of two hours with so many seats.
func (n *neighbourhood) job(seats int, change ...any) body {
	return body{"name": "楼道清扫", "skill": "environment", "starts_at": serviceStart, "ends_at": serviceStart.Add(2 * time.Hour), "capacity": seats}.with(change...)
}

func (n *neighbourhood) need(change ...any) body {
	return body{"community_id": n.community.ID, "nonce": nonce(), "title": "周四固定服务日", "content": "清扫楼道，陪老人聊天", "place": "和平社区活动室",
		"contact": "社区办公室 0539-0000000", "slots": []body{n.job(2)}}.with(change...)
}

func (n *neighbourhood) draftDay(change ...any) service.ServiceDayView {
	n.t.Helper()
	return as[service.ServiceDayView](n.t, n.phone(n.liaison).post("/v1/service-days", n.need(change...)))
}

// publishDay makes the day that the neighbourhood is about.
func (n *neighbourhood) publishDay(change ...any) service.ServiceDayView {
	n.t.Helper()
	d := n.draftDay(change...)
	n.touch(n.liaison)
	n.day = as[service.ServiceDayView](n.t, n.phone(n.liaison).post(dayPath(d.ID, "/publication"), nil))
	n.slot = n.day.Slots[0].ID
	return n.day
}

func dayPath(id uint64, rest string) string    { return "/v1/service-days/" + jsonText(id) + rest }
func slotPath(id uint64, rest string) string   { return "/v1/service-slots/" + jsonText(id) + rest }
func signUpPath(id uint64, rest string) string { return "/v1/sign-ups/" + jsonText(id) + rest }

// Registration.

func TestAMemberRegistersMovesAndWithdrawsByDateAndTheLiaisonConfirms(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(1, 1)
		agencies := s.Agencies()
		other := s.Organisation(&agencies, model.Community, "幸福社区")
		me := n.phone(n.members[0])
		first := as[model.CommunityRegistration](t, me.post("/v1/community-registrations", body{"community_id": n.community.ID}))
		if first.ConfirmedAt != nil || first.From != "2026-03-10" || first.Until != model.Forever {
			t.Errorf("registered as %+v", first)
		}
		if again := as[model.CommunityRegistration](t, me.post("/v1/community-registrations", body{"community_id": n.community.ID})); again.ID != first.ID {
			t.Error("registering again made a second registration")
		}
		want(t, n.phone(n.secretary).post(fmt.Sprint("/v1/community-registrations/", first.ID, "/confirmation"), body{"accept": true}), 404, "registration_not_found")
		confirmed := as[model.CommunityRegistration](t, n.phone(n.liaison).post(fmt.Sprint("/v1/community-registrations/", first.ID, "/confirmation"), body{"accept": true}))
		if !confirmed.Counts("2026-03-10") {
			t.Errorf("confirmed as %+v", confirmed)
		}
		want(t, me.post("/v1/community-registrations", body{"community_id": other.ID, "from": "2026-03-09"}), 409, "registration_day")
		as[model.CommunityRegistration](t, me.post("/v1/community-registrations", body{"community_id": other.ID, "from": "2026-04-01"}))
		list := as[service.RegistrationPage](t, me.get("/v1/community-registrations"))
		if len(list.Items) != 2 || list.Items[0].Community != "幸福社区" || list.Items[1].Until != "2026-04-01" || list.Items[1].Branch != "第一党支部" {
			t.Errorf("after moving: %+v", list.Items)
		}
		as[model.CommunityRegistration](t, me.delete(fmt.Sprint("/v1/community-registrations/", list.Items[0].ID, "?day=2026-05-01")))
		want(t, me.delete(fmt.Sprint("/v1/community-registrations/", list.Items[0].ID, "?day=2026-06-01")), 409, "registration_ended")
		want(t, me.post("/v1/community-registrations", body{"community_id": n.branch.ID}), 400, "not_community")
		want(t, n.phone(n.liaison).post("/v1/community-registrations", body{"community_id": n.community.ID}), 400, "own_community")
		var m model.Membership
		if err := s.DB.Take(&m, "member_id = ?", n.members[0].ID).Error; err != nil || m.BranchID != n.branch.ID || m.Until != model.Forever {
			t.Errorf("the membership moved along: %+v, %v", m, err)
		}
	})
}

func TestARegistrationThatEndsOnlyLaterGivesWayToANewOne(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(1, 1)
		district := s.District()
		other := s.Organisation(&district, model.Community, "幸福社区")
		me := s.phone(n.members[0])
		first := as[model.CommunityRegistration](t, me.post("/v1/community-registrations", body{"community_id": n.community.ID}))
		s.Clock.Advance(24 * time.Hour)
		want(t, me.delete(fmt.Sprint("/v1/community-registrations/", first.ID, "?day=2026-03-20")), 200, "ok")
		second := as[model.CommunityRegistration](t, me.post("/v1/community-registrations", body{"community_id": other.ID, "from": "2026-03-15"}))
		if n := s.count(&model.CommunityRegistration{}, "from_day <= '2026-03-16' AND until_day > '2026-03-16'"); n != 1 {
			t.Errorf("%d registrations on one day", n)
		}
		want(t, me.delete(fmt.Sprint("/v1/community-registrations/", second.ID, "?day=2026-03-20")), 200, "ok")
	})
}

func TestABranchIsRegisteredByItsSecretaryAlone(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(1, 1)
		in := body{"community_id": n.community.ID, "branch_id": n.branch.ID}
		want(t, n.phone(n.members[0]).post("/v1/community-registrations", in), 404, "not_found")
		r := as[model.CommunityRegistration](t, n.phone(n.secretary).post("/v1/community-registrations", in))
		want(t, n.phone(n.liaison).post(fmt.Sprint("/v1/community-registrations/", r.ID, "/confirmation"), body{"accept": false}), 400, "invalid_field")
		as[model.CommunityRegistration](t, n.phone(n.liaison).post(fmt.Sprint("/v1/community-registrations/", r.ID, "/confirmation"), body{"accept": false, "reason": "名额已满"}))
		list := as[service.RegistrationPage](t, n.phone(n.liaison).get(fmt.Sprint("/v1/community-registrations?community_id=", n.community.ID)))
		if len(list.Items) != 0 {
			t.Errorf("sent back and still there: %+v", list.Items)
		}
		// Why is told to who registered, and does not stand in the audit.
		own := as[service.RegistrationPage](t, n.phone(n.secretary).get("/v1/community-registrations"))
		if len(own.Items) != 1 || own.Items[0].ReturnReason != "名额已满" || own.Items[0].Until != own.Items[0].From {
			t.Errorf("the branch reads %+v", own.Items)
		}
		if rows := s.entries("action = 'return_registration'"); len(rows) != 1 || rows[0].Details != "" {
			t.Errorf("the audit says %+v", rows)
		}
		want(t, n.phone(n.liaison).post(fmt.Sprint("/v1/community-registrations/", r.ID, "/confirmation"), body{"accept": true}), 409, "registration_ended")
		want(t, n.phone(n.secretary).delete(fmt.Sprint("/v1/community-registrations/", r.ID)), 409, "registration_ended")
		for range 2 { // and it holds no other back, on the same day either
			again := as[model.CommunityRegistration](t, n.phone(n.secretary).post("/v1/community-registrations", in))
			as[model.CommunityRegistration](t, n.phone(n.liaison).post(fmt.Sprint("/v1/community-registrations/", again.ID, "/confirmation"), body{"accept": false, "reason": "名额还是满的"}))
		}
		later := as[model.CommunityRegistration](t, n.phone(n.secretary).post("/v1/community-registrations", in.with("from", "2026-05-01")))
		as[model.CommunityRegistration](t, n.phone(n.liaison).post(fmt.Sprint("/v1/community-registrations/", later.ID, "/confirmation"), body{"accept": false, "reason": "五月不行"}))
		open := as[model.CommunityRegistration](t, n.phone(n.secretary).post("/v1/community-registrations", in))
		as[model.CommunityRegistration](t, n.phone(n.liaison).post(fmt.Sprint("/v1/community-registrations/", open.ID, "/confirmation"), body{"accept": true}))
		if list := as[service.RegistrationPage](t, n.phone(n.liaison).get(fmt.Sprint("/v1/community-registrations?community_id=", n.community.ID))); len(list.Items) != 1 {
			t.Errorf("registered after all: %+v", list.Items)
		}
	})
}

func TestRegisteringTwiceAtOnceLeavesOneOpenRegistration(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(1, 1)
		me, other := n.phone(n.members[0]), &phone{s.replica(), s.Token(n.members[0])}
		trial.Race(20, func(i int) {
			r := []*phone{me, other}[i%2].post("/v1/community-registrations", body{"community_id": n.community.ID})
			if r.Status != 200 {
				t.Errorf("got %d %s", r.Status, r.Body)
			}
		})
		if got := s.count(&model.CommunityRegistration{}, "member_id = ?", n.members[0].ID); got != 1 {
			t.Errorf("%d registrations", got)
		}
	})
}

// count is how many rows there are.
func (s *stage) count(row any, where string, args ...any) int64 {
	s.t.Helper()
	var n int64
	if err := s.DB.Model(row).Where(where, args...).Count(&n).Error; err != nil {
		s.t.Fatal(err)
	}
	return n
}

// Service days.

func TestADraftIsForTheLiaisonAloneAndEverybodySeesWhatIsPublished(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(1, 1)
		d := n.draftDay("title", "下周服务日")
		me := n.phone(n.members[0])
		unknown := me.get(dayPath(1<<40, ""))
		if got := me.get(dayPath(d.ID, "")); string(got.Body) != string(unknown.Body) || got.Status != 404 {
			t.Errorf("a draft answers a member %d %s", got.Status, got.Body)
		}
		want(t, me.post(slotPath(d.Slots[0].ID, "/sign-ups"), body{"nonce": nonce()}), 404, "slot_not_found")
		want(t, n.phone(n.secretary).post("/v1/service-days", n.need()), 404, "not_found")
		want(t, me.post(dayPath(n.day.ID, "/cancellation"), body{"reason": "不办了"}), 403, "not_liaison")
		if seen := as[service.ServiceDayView](t, me.get(dayPath(n.day.ID, ""))); seen.CommunityName != "和平社区" || seen.MayRun || len(seen.Slots) != 1 {
			t.Errorf("a member sees %+v", seen)
		}
		list := as[service.ServiceDayPage](t, n.phone(n.liaison).get(fmt.Sprint("/v1/service-days?community_id=", n.community.ID)))
		if len(list.Items) != 2 {
			t.Errorf("the liaison's list: %+v", list.Items)
		}
	})
}

func TestAServiceDayIsPublishedOnlyWithATextThatPasses(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(1, 1)
		d := n.draftDay("content", "特价"+sim.RiskyWord)
		n.touch(n.liaison)
		want(t, n.phone(n.liaison).post(dayPath(d.ID, "/publication"), nil), 409, "text_risky")
		edited := as[service.ServiceDayView](t, n.phone(n.liaison).put(dayPath(d.ID, ""), n.need("version", d.Version, "content", "打扫").without("community_id", "nonce")))
		want(t, n.phone(n.liaison).put(dayPath(d.ID, ""), n.need("version", d.Version).without("community_id", "nonce")), 409, "changed_meantime")
		published := as[service.ServiceDayView](t, n.phone(n.liaison).post(dayPath(d.ID, "/publication"), nil))
		if edited.Version != 2 || published.Status != model.Published {
			t.Errorf("published as %+v", published.ServiceDay)
		}
		words := body{"version": published.Version, "title": "改了标题", "place": "社区广场"}
		want(t, n.phone(n.liaison).put(dayPath(d.ID, "/words"), words.with("title", sim.RiskyWord)), 409, "text_risky")
		if got := as[service.ServiceDayView](t, n.phone(n.liaison).put(dayPath(d.ID, "/words"), words)); got.Title != "改了标题" || !got.StartsAt.Equal(published.StartsAt) {
			t.Errorf("reworded as %+v", got.ServiceDay)
		}
		want(t, n.phone(n.liaison).put(dayPath(d.ID, ""), n.need("version", 4).without("community_id", "nonce")), 409, "service_status")
	})
}

func TestAReasonOfTheLiaisonThatDoesNotPassIsNotSentOut(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(2, 2)
		p, id := n.phone(n.liaison), n.seat(n.members[0]).ID
		paths := []string{signUpPath(id, "/cancellation"), dayPath(n.day.ID, "/cancellation")}
		n.touch(n.liaison)
		for _, path := range paths {
			for word, code := range map[string]string{sim.RiskyWord: "text_risky", sim.ReviewWord: "text_review"} {
				want(t, p.post(path, body{"reason": "因为" + word}), 409, code)
			}
			s.WeChat.Arm(sim.Fault{Endpoint: "wxa/msg_sec_check", Kind: sim.HTML})
			if path == paths[0] { // calling off does not wait for WeChat
				want(t, p.post(path, body{"reason": "大雨"}), 503, "wechat_unavailable")
			}
			s.WeChat.Disarm()
		}
		want(t, n.phone(n.members[1]).post(paths[0], body{"reason": sim.RiskyWord}), 404, "sign_up_not_found")
		if n.state(id) != model.Seated || s.count(&model.Reminder{}, "kind = 'seat_lost'") != 0 {
			t.Errorf("after refused reasons: %s", n.state(id))
		}
		n.wantCounts(1, 0)
		s.Clock.Advance(2*time.Hour + time.Second)
		for _, path := range paths {
			want(t, p.post(path, body{"reason": "大雨"}), 409, "reenter")
		}
		n.touch(n.liaison)
		for _, path := range paths {
			want(t, p.post(path, body{"reason": "大雨"}), 200, "ok")
		}
		s.WeChat.Arm(sim.Fault{Endpoint: "wxa/msg_sec_check", Kind: sim.HTML})
		for _, path := range paths { // nothing goes out any more
			want(t, p.post(path, body{"reason": "大雨"}), 200, "ok")
		}
	})
}

// without is the body lacking some fields.
func (b body) without(fields ...string) body {
	out := b.with()
	for _, f := range fields {
		delete(out, f)
	}
	return out
}

func TestSlotTimesThatMakeNoSenseAreRefused(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(1, 1)
		for name, job := range map[string]body{
			"ends before it starts": n.job(1, "ends_at", serviceStart.Add(-time.Minute)),
			"over midnight":         n.job(1, "ends_at", serviceStart.Add(11*time.Hour)),
		} {
			t.Run(name, func(t *testing.T) {
				want(t, n.phone(n.liaison).post("/v1/service-days", n.need("slots", []body{job})), 400, "slot_times")
			})
		}
		want(t, n.phone(n.liaison).post("/v1/service-days", n.need("slots", []body{n.job(1), n.job(1, "starts_at", serviceStart.Add(24*time.Hour), "ends_at", serviceStart.Add(25*time.Hour))})), 400, "slot_times")
	})
}

func TestSlotsAreFoundByTimeCommunityAndSkillOneScreenAtATime(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(3, 1)
		first := n.slot
		n.publishDay("title", "义诊", "slots", []body{n.job(1, "name", "义诊", "skill", "medicine", "starts_at", serviceStart.Add(-time.Hour), "ends_at", serviceStart)})
		agencies := s.Agencies()
		home := n.community
		n.community = s.Organisation(&agencies, model.Community, "幸福社区")
		n.liaison = s.Member(n.community, "辛联络")
		s.Post(n.liaison, n.community, model.CommunityLiaison)
		n.publishDay("title", "同时开始")
		me := n.phone(n.members[0])
		want(t, me.post(slotPath(first, "/sign-ups"), body{"nonce": nonce()}), 200, "ok")
		want(t, n.phone(n.members[1]).post(slotPath(first, "/waiting-list"), body{"nonce": nonce()}), 200, "ok")
		titles := func(query string) (out []string) {
			for _, l := range as[service.SlotPage](t, me.get("/v1/service-slots?"+query)).Items {
				out = append(out, l.Title)
			}
			return out
		}
		for query, wanted := range map[string]string{
			"":                                   "义诊 周四固定服务日 同时开始",
			"skill=medicine":                     "义诊",
			fmt.Sprint("community_id=", home.ID): "义诊 周四固定服务日",
			"free=true":                          "义诊 同时开始",
			"from=2026-03-13":                    "",
			"from=2026-03-12&skill=environment":  "周四固定服务日 同时开始",
		} {
			if got := strings.Join(titles(query), " "); got != wanted {
				t.Errorf("%q finds %q, want %q", query, got, wanted)
			}
		}
		var walked []string
		cursor := ""
		for range 4 {
			page := as[service.SlotPage](t, me.get("/v1/service-slots?limit=1&cursor="+cursor))
			for _, l := range page.Items {
				walked = append(walked, fmt.Sprint(l.Title, l.MyState, l.Waiting))
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if got := strings.Join(walked, " "); got != "义诊0 周四固定服务日seated1 同时开始0" {
			t.Errorf("page by page: %s", got)
		}
		s.Clock.Set(serviceStart)
		if got := titles(""); len(got) != 0 {
			t.Errorf("slots that have begun are still offered: %v", got)
		}
		want(t, me.get("/v1/service-slots?limit=51"), 400, "invalid_input")
	})
}

func TestOneScreenOfSlotsCostsOneQuery(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(1, 1)
		me := n.phone(n.members[0])
		s.Warm(func() { me.get("/v1/service-slots") })
		trips := s.Trips(func() { me.get("/v1/service-slots") })
		if len(trips.SQL) != 1 {
			t.Errorf("round trips:\n%s", trips)
		}
	})
}
