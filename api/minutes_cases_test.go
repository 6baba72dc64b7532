package api_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
	"dangri/wechat/sim"
)

func (m *meeting) minutes(version int, content string) body {
	return body{"version": version, "host_id": m.secretary.ID, "recorder_id": m.members[0].ID, "agenda": "一、学习；二、讨论", "content": content, "decisions": "同意"}
}

func (m *meeting) begins() { m.Clock.Advance(30 * time.Minute) }

func TestMinutesAreWrittenFromTheStartOnAndCorrectedAWeekAfterTheClosing(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		p, path := m.phone(m.secretary), m.path(m.id, "/minutes")
		want(t, p.put(path, m.minutes(0, "还没开始")), 409, "meeting_not_begun")
		want(t, p.get(path), 404, "minutes_not_found")
		m.begins()
		first := as[service.MinutesView](t, p.put(path, m.minutes(0, "第一版\u202e")))
		if first.Version != 1 || first.Host != "沈书记" || first.Recorder != m.members[0].Name || first.WrittenBy != "沈书记" || first.SignedAt != nil {
			t.Errorf("got %+v", first)
		}
		want(t, p.post(m.path(m.id, "/closing"), nil), 200, "ok")
		s.Clock.Advance(7 * 24 * time.Hour)
		second := as[service.MinutesView](t, p.put(path, m.minutes(1, "更正后的")))
		if second.Version != 2 || len(second.Versions) != 2 || second.Versions[0].Version != 2 || !second.Versions[1].WrittenAt.Equal(first.WrittenAt) {
			t.Errorf("got %+v", second)
		}
		if old := as[service.MinutesView](t, p.get(path+"?version=1")); old.Content != "第一版" {
			t.Errorf("the first version now says %q", old.Content)
		}
		if newest := as[service.MinutesView](t, p.get(path)); newest.Version != 2 {
			t.Errorf("shown is %+v", newest)
		}
		want(t, p.get(path+"?version=3"), 404, "minutes_not_found")
		if n := s.audited("write_minutes", "activity", m.id); n != 2 {
			t.Errorf("%d audit rows", n)
		}
	})
}

func TestMinutesThatDoNotPassAreNotSignedAndNobodyElseReadsThem(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		m.begins()
		p, version := m.phone(m.secretary), 0
		sign := func() *reply { return p.post(m.path(m.id, "/minutes/signature"), body{"version": version}) }
		unsigned := func() {
			t.Helper()
			want(t, m.phone(m.members[0]).get(m.path(m.id, "/minutes")), 404, "minutes_not_found")
		}
		write := func(field, text string) {
			t.Helper()
			want(t, p.put(m.path(m.id, "/minutes"), m.minutes(version, "内容").with(field, text)), 200, "ok")
			version++
			s.touch(m.secretary)
		}
		for word, code := range map[string]string{sim.RiskyWord: "text_risky", sim.ReviewWord: "text_review"} {
			for field, text := range map[string]string{"agenda": "议题" + word, "content": strings.Repeat("文", 6000) + word, "decisions": word} {
				write(field, text)
				want(t, sign(), 409, code)
				unsigned()
			}
		}
		write("content", "别的内容")
		s.WeChat.Arm(sim.Fault{Endpoint: "wxa/msg_sec_check", Kind: sim.HTML})
		want(t, sign(), 503, "wechat_unavailable")
		unsigned()
		want(t, m.phone(m.members[0]).post(m.path(m.id, "/minutes/signature"), body{"version": version}), 403, "not_conductor")
		s.WeChat.Disarm()
		want(t, sign(), 200, "ok")
		s.WeChat.Arm(sim.Fault{Endpoint: "wxa/msg_sec_check", Kind: sim.HTML})
		want(t, sign(), 200, "ok") // what is signed is not shown to WeChat again
		want(t, m.phone(m.members[0]).get(m.path(m.id, "/minutes")), 200, "ok")
	})
}

func TestMinutesNameAHostAndARecorderWhoBelongToTheMeeting(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2, "open_to_guests", true)
		guest := s.Member(s.Branch("第二党支部"), "列席甲")
		m.begins()
		p, path := m.phone(m.secretary), m.path(m.id, "/minutes")
		want(t, p.put(path, m.minutes(0, "内容").with("recorder_id", guest.ID)), 409, "not_at_meeting")
		sameBytes(t, p.put(path, m.minutes(0, "内容").with("recorder_id", guest.ID)), p.put(path, m.minutes(0, "内容").with("recorder_id", guest.ID)))
		want(t, m.scan(guest, m.code().Code, nonce()), 200, "ok")
		want(t, p.put(path, m.minutes(0, "内容").with("recorder_id", guest.ID)), 200, "ok")
		want(t, p.put(path, m.minutes(1, "内容").with("host_id", 999999)), 409, "not_at_meeting")
		want(t, p.put(path, m.minutes(1, "\u200b").with("decisions", " ")), 400, "minutes_empty")
		want(t, m.cancel("停电"), 200, "ok")
		want(t, p.put(path, m.minutes(1, "取消以后")), 409, "cancelled")
	})
}

func TestTheSignatureStaysOnItsVersionAndMembersReadWhatIsSigned(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(3)
		deputy := m.members[1]
		s.Post(deputy, m.branch, model.CommitteeMember)
		outsider := s.Member(s.Branch("第二党支部"), "外支部党员")
		m.begins()
		p, member, path := m.phone(m.secretary), m.phone(m.members[0]), m.path(m.id, "/minutes")
		sign := func(version int) *reply { return p.post(path+"/signature", body{"version": version}) }
		want(t, sign(1), 404, "minutes_not_found")
		want(t, m.phone(deputy).put(path, m.minutes(0, "委员写的")), 200, "ok")
		want(t, member.get(path), 404, "minutes_not_found")
		want(t, m.phone(deputy).post(path+"/signature", body{"version": 1}), 403, "not_secretary")
		want(t, member.post(path+"/signature", body{"version": 1}), 403, "not_conductor")
		want(t, sign(2), 409, "changed_meantime")
		signed := as[service.MinutesView](t, sign(1))
		if signed.SignedBy != "沈书记" || signed.SignedAt == nil {
			t.Errorf("got %+v", signed)
		}
		s.Clock.Advance(time.Hour)
		if again := as[service.MinutesView](t, sign(1)); !again.SignedAt.Equal(*signed.SignedAt) {
			t.Errorf("signing again moved the signature to %v", again.SignedAt)
		}
		want(t, p.put(path, m.minutes(1, "签字以后又改")), 200, "ok")
		want(t, sign(1), 409, "changed_meantime")
		seen := as[service.MinutesView](t, member.get(path))
		if seen.Version != 1 || seen.Content != "委员写的" || len(seen.Versions) != 1 {
			t.Errorf("a member reads %+v", seen)
		}
		want(t, member.get(path+"?version=2"), 404, "minutes_not_found")
		want(t, member.put(path, m.minutes(2, "我也来写")), 403, "not_conductor")
		want(t, s.phone(outsider).get(path), 404, "activity_not_found")
		if now := as[service.MinutesView](t, p.get(path)); now.Version != 2 || now.SignedAt != nil || now.Versions[1].SignedBy != "沈书记" {
			t.Errorf("the secretary reads %+v", now)
		}
		want(t, sign(2), 200, "ok")
		if seen := as[service.MinutesView](t, member.get(path)); seen.Version != 2 || len(seen.Versions) != 2 {
			t.Errorf("a member reads %+v", seen)
		}
	})
}

func TestARetryOfTheSameMinutesIsAnsweredAsTheFirstTryAlsoWhenMoreWasWritten(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		m.begins()
		p, path := m.phone(m.secretary), m.path(m.id, "/minutes")
		want(t, p.put(path, m.minutes(0, "甲")), 200, "ok")
		s.Clock.Advance(time.Second)
		again := as[service.MinutesView](t, p.put(path, m.minutes(0, "甲")))
		if again.Version != 1 || len(again.Versions) != 1 {
			t.Errorf("the retry wrote %+v", again)
		}
		want(t, p.put(path, m.minutes(1, "乙")), 200, "ok")
		if late := as[service.MinutesView](t, p.put(path, m.minutes(0, "甲"))); late.Version != 1 || late.Content != "甲" {
			t.Errorf("the late retry got %+v", late)
		}
		want(t, p.put(path, m.minutes(0, "丙")), 409, "changed_meantime")
	})
}

// writeAtOnce lets eight edits of one version run at once on two replicas.
func (m *meeting) writeAtOnce(other *meeting, version int) (accepted int) {
	m.t.Helper()
	var mu sync.Mutex
	trial.Race(8, func(i int) {
		at := []*meeting{m, other}[i%2]
		r := at.phone(m.secretary).put(m.path(m.id, "/minutes"), m.minutes(version, fmt.Sprint("第", version, "轮", i)))
		mu.Lock()
		defer mu.Unlock()
		switch r.code() {
		case "ok":
			accepted++
		case "changed_meantime":
		default:
			m.t.Errorf("got %d %s", r.Status, r.Body)
		}
	})
	return accepted
}

func TestOfManyWritersAtOnceOneWinsAndNothingIsOverwritten(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		m.begins()
		m.phone(m.secretary)
		other := m.on(s.replica())
		for version := range 5 {
			if n := m.writeAtOnce(other, version); n != 1 {
				t.Errorf("version %d: %d writers were accepted", version+1, n)
			}
		}
		if n := s.count(&model.Minutes{}, "activity_id = ?", m.id); n != 5 {
			t.Errorf("%d rows of 5 versions", n)
		}
	})
}

func TestWritersAtOnce_Control_WithoutLockAndKeyTwoAreAccepted(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		m.begins()
		m.phone(m.secretary)
		if err := s.DB.Exec("ALTER TABLE minutes DROP FOREIGN KEY minutes_to_activity").Error; err != nil { // it stands on the key
			t.Fatal(err)
		}
		s.dropIndex("minutes", "minutes_version")
		other := m.on(s.replica())
		for round := range 40 {
			if err := s.DB.Exec("DELETE FROM minutes").Error; err != nil {
				t.Fatal(err)
			}
			if m.writeAtOnce(other, 0) > 1 {
				t.Logf("seen in round %d", round)
				return
			}
		}
		t.Error("forty rounds without lock and key and never two: this test cannot see the race")
	}, skipLocks)
}

// signAndEditAtOnce signs version 1 while version 2 is being written, in a
// meeting of its own, and says whether the signature came after the edit and was
// accepted all the same.
func (m *meeting) signAndEditAtOnce(other *meeting) (signedTheOld bool) {
	m.t.Helper()
	p, path := m.phone(m.secretary), m.path(m.id, "/minutes")
	want(m.t, p.put(path, m.minutes(0, "第一版")), 200, "ok")
	var signed, edited *reply
	trial.Race(2, func(i int) {
		if i == 0 {
			signed = p.post(path+"/signature", body{"version": 1})
			return
		}
		edited = other.phone(m.secretary).put(path, m.minutes(1, "第二版"))
	})
	want(m.t, edited, 200, "ok")
	if signed.code() != "ok" {
		want(m.t, signed, 409, "changed_meantime")
		return false
	}
	var order []string
	err := m.DB.Model(&model.AuditEntry{}).Where("object = ? AND action IN ?", "activity/"+jsonText(m.id), []string{"write_minutes", "sign_minutes"}).
		Order("id").Pluck("action", &order).Error
	if err != nil || len(order) != 3 {
		m.t.Fatalf("audited %v, %v", order, err)
	}
	return order[2] == "sign_minutes"
}

func TestAnOldVersionIsNotSignedWhileItIsEditedAtOnce(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		other := m.on(s.replica())
		for range 6 {
			m.id = m.publish(m.branch)
			m.begins()
			if m.signAndEditAtOnce(other) {
				t.Error("the version signed was not the newest any more")
			}
		}
	})
}

func TestSignAndEdit_Control_WithoutTheLockAnOldVersionIsSigned(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		other := m.on(s.replica())
		m.begins()
		m.phone(m.secretary)
		// The signature waits until the edit is through, as far as nothing holds the edit.
		reading, edited := make(chan struct{}, 1), make(chan struct{}, 1)
		s.Sabotage(func(statement string) string {
			if strings.HasPrefix(statement, "UPDATE `minutes`") {
				reading <- struct{}{} // of the old version is over
				<-edited
			}
			return statement
		})
		want(t, m.phone(m.secretary).put(m.path(m.id, "/minutes"), m.minutes(0, "第一版")), 200, "ok")
		var signed *reply
		trial.Race(2, func(i int) {
			if i == 0 {
				signed = m.phone(m.secretary).post(m.path(m.id, "/minutes/signature"), body{"version": 1})
				return
			}
			<-reading
			trial.Eventually(t, "the edit is accepted", func() bool {
				return other.phone(m.secretary).put(m.path(m.id, "/minutes"), m.minutes(1, "第二版")).code() == "ok"
			})
			edited <- struct{}{}
		})
		s.Sabotage(nil)
		want(t, signed, 200, "ok") // and that is what must not be
		if n := s.count(&model.Minutes{}, "activity_id = ? AND version = 1 AND signed_by IS NOT NULL", m.id); n != 1 {
			t.Error("without the lock and yet the old version is not signed: this test cannot see the race")
		}
	}, skipLocks)
}

func TestAVoteIsCountedAgainstTheRosterAndSaysWhatItMeans(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(4) // five with the secretary, who may vote
		probationary := s.Member(m.branch, "预备党员", trial.Probationary)
		m.id = m.publish(m.branch)
		p, path := m.phone(m.secretary), m.path(m.id, "/votes")
		vote := body{"subject": "年度学习计划", "kind": "resolution", "yes": 3, "no": 1}
		for _, who := range append(m.members[:3:3], probationary) {
			want(t, m.tick(who, model.Present), 200, "ok")
		}
		want(t, p.post(path, vote.with("nonce", nonce())), 409, "meeting_not_begun")
		m.begins()
		// Three voting members are here: the probationary one does not count.
		want(t, p.post(path, vote.with("nonce", nonce())), 409, "vote_numbers")
		want(t, m.tick(m.secretary, model.Present), 200, "ok")
		once := nonce()
		v := as[service.VoteView](t, p.post(path, vote.with("nonce", once)))
		if v.Expected != 5 || v.Present != 4 || !v.Valid || !v.Passed || v.RecordedBy != "沈书记" ||
			v.Sentence != "应到有表决权 5 人，实到 4 人，赞成 3 票，反对 1 票，弃权 0 票，赞成超过应到会人数的半数，通过" {
			t.Errorf("got %+v", v)
		}
		// What comes later changes nothing of it.
		want(t, m.tick(m.members[3], model.Present), 200, "ok")
		again := as[service.VoteView](t, p.post(path, vote.with("nonce", once)))
		if again.ID != v.ID || again.Present != 4 {
			t.Errorf("the retry got %+v", again)
		}
		want(t, p.post(path, vote.with("nonce", once, "yes", 2)), 409, "key_reused")
		want(t, p.post(path, body{"subject": "转正", "kind": "full_membership", "yes": 5, "nonce": nonce()}), 400, "vote_secret")
		want(t, p.post(path, body{"subject": "转正", "kind": "full_membership", "secret": true, "written": 1, "yes": 5, "nonce": nonce()}), 409, "vote_written")
		want(t, p.post(path, body{"subject": "\u200b", "kind": "resolution", "nonce": nonce()}), 400, "invalid_input")
	})
}

func TestAnElectionTakesCandidatesOfTheRosterAndNamesTheElected(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(4)
		probationary := s.Member(m.branch, "预备党员", trial.Probationary)
		m.id = m.publish(m.branch)
		m.begins()
		p, path := m.phone(m.secretary), m.path(m.id, "/votes")
		for _, who := range append(m.members[:3:3], m.secretary) {
			want(t, m.tick(who, model.Present), 200, "ok")
		}
		got := func(id uint64, yes, no int) body { return body{"member_id": id, "yes": yes, "no": no} }
		election := body{"subject": "选举支部委员会", "kind": "election", "secret": true, "seats": 1}
		want(t, p.post(path, election.with("nonce", nonce(), "candidates", []body{got(probationary.ID, 3, 0)})), 409, "vote_candidate")
		want(t, p.post(path, election.with("nonce", nonce(), "candidates", []body{got(999999, 3, 0)})), 409, "vote_candidate")
		twice := []body{got(m.members[0].ID, 2, 0), got(m.members[0].ID, 2, 0)}
		want(t, p.post(path, election.with("nonce", nonce(), "candidates", twice)), 409, "vote_candidate")
		v := as[service.VoteView](t, p.post(path, election.with("nonce", nonce(), "candidates", []body{got(m.members[0].ID, 1, 2), got(m.members[1].ID, 3, 1)})))
		if !v.Passed || len(v.Elected) != 1 || v.Elected[0] != m.members[1].ID || len(v.Candidates) != 2 || v.Candidates[0].Yes != 3 ||
			!strings.Contains(v.Sentence, m.members[1].Name+" 3 票，超过到会人数的半数，当选") {
			t.Errorf("got %+v", v)
		}
		tied := as[service.VoteView](t, p.post(path, election.with("nonce", nonce(), "seats", 2,
			"candidates", []body{got(m.members[0].ID, 4, 0), got(m.members[1].ID, 2, 0), got(m.members[2].ID, 2, 0)})))
		if tied.Passed || tied.Open != 1 || len(tied.Tied) != 0 {
			t.Errorf("two with half each: %+v", tied)
		}
	})
}

func TestAVoteIsAnnulledWithAReasonAndStaysOnRecord(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		m.begins()
		for _, who := range append(m.members, m.secretary) {
			want(t, m.tick(who, model.Present), 200, "ok")
		}
		p, path := m.phone(m.secretary), m.path(m.id, "/votes")
		v := as[service.VoteView](t, p.post(path, body{"subject": "计划", "kind": "resolution", "yes": 3, "nonce": nonce()}))
		annul := func(activity, vote uint64, why string) *reply {
			return p.post(m.path(activity, fmt.Sprint("/votes/", vote, "/annulment")), body{"reason": why})
		}
		other := m.publish(m.branch)
		want(t, annul(other, v.ID, "票数填错"), 404, "vote_not_found") // K3: the vote of another meeting
		sameBytes(t, annul(other, v.ID, "票数填错"), annul(other, 999999, "票数填错"))
		want(t, annul(m.id, v.ID, "\u200b\u200b"), 400, "invalid_field")
		gone := as[service.VoteView](t, annul(m.id, v.ID, "票数填错"))
		if gone.AnnulledBy != "沈书记" || gone.AnnulReason != "票数填错" || gone.AnnulledAt == nil {
			t.Errorf("got %+v", gone)
		}
		s.Clock.Advance(time.Minute)
		if again := as[service.VoteView](t, annul(m.id, v.ID, "另一个原因")); again.AnnulReason != "票数填错" || !again.AnnulledAt.Equal(*gone.AnnulledAt) {
			t.Errorf("annulled again: %+v", again)
		}
		want(t, p.post(path, body{"subject": "计划", "kind": "resolution", "yes": 2, "no": 1, "nonce": nonce()}), 200, "ok")
		all, standing := as[service.VoteList](t, p.get(path)), as[service.VoteList](t, m.phone(m.members[0]).get(path))
		if len(all.Items) != 2 || len(standing.Items) != 1 || standing.Items[0].Yes != 2 {
			t.Errorf("the secretary sees %d votes, a member %+v", len(all.Items), standing.Items)
		}
		if s.audited("record_vote", "vote", v.ID) != 1 || s.audited("annul_vote", "vote", v.ID) != 1 {
			t.Error("not audited once each")
		}
	})
}

func TestASubjectThatDoesNotPassIsNotPutOnRecord(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		m.begins()
		p, path := m.phone(m.secretary), m.path(m.id, "/votes")
		vote := body{"subject": "年度计划", "kind": "resolution"}
		none := func() {
			t.Helper()
			if n := s.count(&model.Vote{}, "activity_id = ?", m.id); n != 0 {
				t.Errorf("%d votes on record", n)
			}
		}
		s.touch(m.secretary)
		for word, code := range map[string]string{sim.RiskyWord: "text_risky", sim.ReviewWord: "text_review"} {
			want(t, p.post(path, vote.with("subject", "关于"+word, "nonce", nonce())), 409, code)
		}
		s.WeChat.Arm(sim.Fault{Endpoint: "wxa/msg_sec_check", Kind: sim.HTML})
		want(t, p.post(path, vote.with("nonce", nonce())), 503, "wechat_unavailable")
		want(t, m.phone(m.members[0]).post(path, vote.with("nonce", nonce())), 403, "not_conductor")
		s.WeChat.Disarm()
		none()
		s.Clock.Advance(2*time.Hour + time.Second)
		want(t, p.post(path, vote.with("nonce", nonce())), 409, "reenter")
		none()
		s.touch(m.secretary)
		once := nonce()
		first := as[service.VoteView](t, p.post(path, vote.with("nonce", once)))
		s.WeChat.Arm(sim.Fault{Endpoint: "wxa/msg_sec_check", Kind: sim.HTML})
		if again := as[service.VoteView](t, p.post(path, vote.with("nonce", once))); again.ID != first.ID {
			t.Errorf("the retry is vote %d, the first %d", again.ID, first.ID)
		}
		want(t, p.post(path, vote.with("nonce", once, "subject", "别的")), 409, "key_reused")
	})
}

// voteAtOnce sends one vote eight times at once to two replicas.
func (m *meeting) voteAtOnce(other *meeting, once string) {
	m.t.Helper()
	trial.Race(8, func(i int) {
		at := []*meeting{m, other}[i%2]
		want(m.t, at.phone(m.secretary).post(m.path(m.id, "/votes"), body{"subject": "计划", "kind": "resolution", "nonce": once}), 200, "ok")
	})
}

func TestOneVoteSentManyTimesAtOnceIsOneVote(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		m.begins()
		m.phone(m.secretary)
		other := m.on(s.replica())
		for round := range 5 {
			m.voteAtOnce(other, nonce())
			if n := s.count(&model.Vote{}, "activity_id = ?", m.id); n != int64(round+1) {
				t.Errorf("%d votes after %d", n, round+1)
			}
		}
	})
}

func TestVoteAtOnce_Control_WithoutLockAndKeyItIsSeveral(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		m.begins()
		m.phone(m.secretary)
		if err := s.DB.Exec("ALTER TABLE votes DROP FOREIGN KEY votes_to_activity").Error; err != nil {
			t.Fatal(err)
		}
		s.dropIndex("votes", "votes_once")
		other := m.on(s.replica())
		for round := range 40 {
			m.voteAtOnce(other, nonce())
			if n := s.count(&model.Vote{}, "activity_id = ?", m.id); n > int64(round+1) {
				t.Logf("seen in round %d", round)
				return
			}
		}
		t.Error("forty rounds without lock and key and always one: this test cannot see the race")
	}, skipLocks)
}
