package api_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

func (n *neighbourhood) signUp(p *trial.Person, change ...any) *reply {
	n.t.Helper()
	return n.phone(p).post(slotPath(n.slot, "/sign-ups"), body{"nonce": nonce()}.with(change...))
}

// seat signs the member up and demands that it is a seat.
func (n *neighbourhood) seat(p *trial.Person) service.SignedUp {
	n.t.Helper()
	u := as[service.SignedUp](n.t, n.signUp(p))
	if u.State != model.Seated {
		n.t.Fatalf("%s is %s", p.Name, u.State)
	}
	return u
}

// wait puts the member in line.
func (n *neighbourhood) wait(p *trial.Person) service.SignedUp {
	n.t.Helper()
	u := as[service.SignedUp](n.t, n.phone(p).post(slotPath(n.slot, "/waiting-list"), body{"nonce": nonce()}))
	if u.State != model.Waiting {
		n.t.Fatalf("%s is %s", p.Name, u.State)
	}
	return u
}

func (n *neighbourhood) cancel(p *trial.Person, id uint64, change ...any) *reply {
	n.t.Helper()
	return n.phone(p).post(signUpPath(id, "/cancellation"), body{}.with(change...))
}

func (n *neighbourhood) answer(p *trial.Person, id uint64, accept bool) *reply {
	n.t.Helper()
	return n.phone(p).post(signUpPath(id, "/answer"), body{"accept": accept})
}

// state is what has become of a sign-up.
func (n *neighbourhood) state(id uint64) model.SignUpState {
	n.t.Helper()
	var u model.SlotSignUp
	if err := n.DB.Take(&u, id).Error; err != nil {
		n.t.Fatal(err)
	}
	return u.State
}

// serve looks after the lines, as every replica does from time to time.
func (n *neighbourhood) serve() {
	n.t.Helper()
	if err := n.SignUps.ServeLines(n.t.Context()); err != nil {
		n.t.Error(err)
	}
}

// counts are the slot's counts, which must agree with the rows under them.
func (n *neighbourhood) counts() (taken, waiting int) {
	n.t.Helper()
	var slot model.ServiceSlot
	if err := n.DB.Take(&slot, n.slot).Error; err != nil {
		n.t.Fatal(err)
	}
	seats := n.count(&model.SlotSignUp{}, "slot_id = ? AND state IN ?", n.slot, []string{"seated", "offered"})
	line := n.count(&model.SlotSignUp{}, "slot_id = ? AND state = 'waiting'", n.slot)
	if int64(slot.Taken) != seats || int64(slot.Waiting) != line {
		n.t.Errorf("the slot says %d taken, %d waiting; the rows say %d and %d", slot.Taken, slot.Waiting, seats, line)
	}
	return slot.Taken, slot.Waiting
}

// wantCounts fails unless so many seats are taken and so many wait.
func (n *neighbourhood) wantCounts(taken, waiting int) {
	n.t.Helper()
	if t, w := n.counts(); t != taken || w != waiting {
		n.t.Errorf("%d taken, %d waiting; want %d and %d", t, w, taken, waiting)
	}
}

// everybody opens the sessions of all before a race.
func (n *neighbourhood) everybody() {
	for _, p := range n.members {
		n.phone(p)
	}
}

// replica is the neighbourhood as another process sees it.
func (n *neighbourhood) replica() *neighbourhood {
	r := *n
	r.stage = n.stage.replica()
	return &r
}

// unlocked takes the locks and the conditional update away, as who had never
// thought of races would have written it.
func unlocked(statement string) string {
	statement = strings.Replace(statement, "open = ? AND taken < capacity", "open = ? AND 1 = 0", 1)
	return strings.TrimSuffix(statement, " FOR UPDATE")
}

// until sends a request as a phone does: asked to come again, it does.
func until(send func() *reply) (r *reply) {
	for range 20 {
		if r = send(); r.Status != http.StatusServiceUnavailable {
			break
		}
	}
	return r
}

// Table F: sign-up and capacity.

func TestF1_SixHundredForSixtySeatsOnTwoReplicasAtOnce(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		people := 600
		if s.Store == trial.SQLite { // where writers queue, and the last of so many waits longer than a server lets it
			people = 200
		}
		n := s.aNeighbourhood(people, 60)
		n.everybody()
		both := []*neighbourhood{n, n.replica()}
		var seated, full atomic.Int32
		trial.Race(len(n.members), func(i int) {
			once := nonce()
			for range 2 { // every request is sent twice
				switch r := until(func() *reply { return both[i%2].signUp(n.members[i], "nonce", once) }); r.code() {
				case "ok":
					seated.Add(1)
				case "slot_full":
					full.Add(1)
				default:
					t.Errorf("got %d %s", r.Status, r.Body)
				}
			}
		})
		n.wantCounts(60, 0)
		if seated.Load() != 120 || int(full.Load()) != 2*(people-60) {
			t.Errorf("%d heard of a seat, %d of a full slot", seated.Load(), full.Load())
		}
	})
}

func TestF2_OneSeatAndTwoAtOnceIsOneSeatAThousandTimes(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(40, 1) // so many that nobody's own limit of requests is reached
		n.everybody()
		other := n.replica()
		rounds := 1000
		if s.Store == trial.SQLite {
			rounds = 100 // its writers come one by one anyway
		}
		for round := range rounds {
			trial.Race(2, func(i int) { []*neighbourhood{n, other}[i].signUp(n.members[(2*round+i)%40]) })
			if taken, _ := n.counts(); taken != 1 {
				t.Fatalf("round %d: %d seats of one", round, taken)
			}
			n.emptySlot()
		}
	})
}

// emptySlot takes everybody out of the slot, past the program.
func (n *neighbourhood) emptySlot() {
	n.t.Helper()
	for _, statement := range []string{"DELETE FROM reminders WHERE sign_up_id > 0", "DELETE FROM slot_sign_ups", "UPDATE service_slots SET taken = 0, waiting = 0"} {
		if err := n.DB.Exec(statement).Error; err != nil {
			n.t.Fatal(err)
		}
	}
}

func TestF2_Control_WithoutTheLockTheRaceIsSeen(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(8, 1)
		n.everybody()
		s.Sabotage(unlocked)
		for round := range 60 {
			trial.Race(8, func(i int) { n.signUp(n.members[i]) })
			if seats := s.count(&model.SlotSignUp{}, "state = 'seated'"); seats > 1 {
				t.Logf("seen in round %d: %d seats of one", round, seats)
				return
			}
			n.emptySlot()
		}
		t.Error("sixty rounds without a lock and never too many: this test cannot see the race")
	})
}

func TestF3_PausesBetweenReadingAndTakingDoNotOversellAtOnce(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(40, 10)
		n.everybody()
		// Everybody has read the slot before anybody takes a seat.
		s.Sabotage(func(statement string) string {
			if strings.HasPrefix(statement, "UPDATE `service_slots`") {
				pause, stop := time.NewTimer(5*time.Millisecond), t.Context().Done()
				select {
				case <-pause.C:
				case <-stop:
				}
			}
			return statement
		})
		trial.Race(40, func(i int) { n.signUp(n.members[i]) })
		s.Sabotage(nil)
		n.wantCounts(10, 0)
	})
}

func TestF3_EvenUnderTheSnapshotsOfRepeatableRead(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(40, 10)
		n.everybody()
		s.onEveryConnection("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
		trial.Race(40, func(i int) { n.signUp(n.members[i]) })
		n.wantCounts(10, 0)
	})
}

// onEveryConnection runs a statement on each connection of the pool.
func (s *stage) onEveryConnection(statement string) {
	s.t.Helper()
	db, err := s.DB.DB()
	if err != nil {
		s.t.Fatal(err)
	}
	for range db.Stats().MaxOpenConnections {
		c, err := db.Conn(s.t.Context())
		if err == nil {
			defer c.Close() // all at the end, so that each is another one
			_, err = c.ExecContext(s.t.Context(), statement)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

func TestF4_ADoubleTapIsOneSeatWithOneAnswer(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(1, 5)
		n.everybody()
		other, once := n.replica(), nonce()
		answers := make([]string, 20)
		trial.Race(20, func(i int) {
			answers[i] = string([]*neighbourhood{n, other}[i%2].signUp(n.members[0], "nonce", once).Body)
		})
		for _, a := range answers {
			if a != answers[0] {
				t.Errorf("answers differ: %s and %s", a, answers[0])
			}
		}
		if again := n.signUp(n.members[0]); string(again.Body) != answers[0] {
			t.Errorf("a tap with another nonce: %s", again.Body)
		}
		n.wantCounts(1, 0)
	})
}

func TestF4_ADoubleTapForTheLastSeatIsNotToldThatTheSlotIsFull(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(40, 1)
		n.everybody()
		both := []*neighbourhood{n, n.replica()}
		for round := range 100 {
			once, replies := nonce(), make([]*reply, 2)
			trial.Race(2, func(i int) { replies[i] = both[i].signUp(n.members[round%40], "nonce", once) })
			if replies[0].Status != 200 || string(replies[0].Body) != string(replies[1].Body) {
				t.Fatalf("round %d: %d %s and %d %s", round, replies[0].Status, replies[0].Body, replies[1].Status, replies[1].Body)
			}
			n.emptySlot()
		}
	})
}

func TestF4_ALateRetryDoesNotTakeASeatThatWasGivenBack(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(2, 2)
		once := nonce()
		u := as[service.SignedUp](t, n.signUp(n.members[0], "nonce", once))
		want(t, n.cancel(n.members[0], u.ID), 200, "ok")
		if late := as[service.SignedUp](t, n.signUp(n.members[0], "nonce", once)); late.ID != u.ID || late.State != model.SignUpCancelled {
			t.Errorf("the late retry is %+v", late)
		}
		n.wantCounts(0, 0)
		if back := n.seat(n.members[0]); back.ID == u.ID {
			t.Error("coming back is the old row")
		}
		slot := n.slot
		n.publishDay("slots", []body{n.job(1, "starts_at", serviceStart.Add(24*time.Hour), "ends_at", serviceStart.Add(25*time.Hour))})
		want(t, n.signUp(n.members[0], "nonce", once), 409, "key_reused")
		n.slot = slot
	})
}

func TestF6_FewerSeatsThanAreTakenDropNobodyAndLetNobodyIn(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(4, 3)
		for _, p := range n.members[:3] {
			n.seat(p)
		}
		as[model.ServiceSlot](t, n.phone(n.liaison).put(slotPath(n.slot, "/capacity"), body{"capacity": 1}))
		n.wantCounts(3, 0)
		want(t, n.signUp(n.members[3]), 409, "slot_full")
		list := as[service.SignUpPage](t, n.phone(n.liaison).get(slotPath(n.slot, "/sign-ups")))
		want(t, n.cancel(n.members[0], list.Items[0].ID), 200, "ok")
		want(t, n.signUp(n.members[3]), 409, "slot_full")
		n.wantCounts(2, 0)
		want(t, n.phone(n.members[3]).put(slotPath(n.slot, "/capacity"), body{"capacity": 9}), 403, "not_liaison")
	})
}

func TestF7_MoreSeatsGoToThoseWhoWaitFirst(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(5, 1)
		n.seat(n.members[0])
		first, second := n.wait(n.members[1]), n.wait(n.members[2])
		as[model.ServiceSlot](t, n.phone(n.liaison).put(slotPath(n.slot, "/capacity"), body{"capacity": 2}))
		if n.state(first.ID) != model.Offered || n.state(second.ID) != model.Waiting {
			t.Errorf("first %s, second %s", n.state(first.ID), n.state(second.ID))
		}
		want(t, n.signUp(n.members[3]), 409, "slot_full")
		as[model.ServiceSlot](t, n.phone(n.liaison).put(slotPath(n.slot, "/capacity"), body{"capacity": 4}))
		if n.state(second.ID) != model.Offered {
			t.Errorf("second is %s", n.state(second.ID))
		}
		n.seat(n.members[3])
		n.wantCounts(4, 0)
	})
}

func TestF9_CancellingTwentyTimesAtOnceFreesOneSeat(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(3, 2)
		u := n.seat(n.members[0])
		n.seat(n.members[1])
		other := n.replica()
		trial.Race(20, func(i int) { want(t, []*neighbourhood{n, other}[i%2].cancel(n.members[0], u.ID), 200, "ok") })
		n.wantCounts(1, 0)
	})
}

func TestF9_Control_WithoutTheLockASeatIsFreedTwiceAtOnce(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(9, 9)
		for range 40 {
			for _, p := range n.members {
				n.seat(p)
			}
			var u model.SlotSignUp
			if err := s.DB.Take(&u, "member_id = ?", n.members[0].ID).Error; err != nil {
				t.Fatal(err)
			}
			s.Sabotage(unlocked)
			trial.Race(8, func(int) { n.cancel(n.members[0], u.ID) })
			// One of two that read the same count wins, whoever writes the absolute
			// number: so look for rows and counts that do not agree after more than one.
			trial.Race(9, func(i int) {
				var mine model.SlotSignUp
				if s.DB.Limit(1).Find(&mine, "member_id = ? AND live = ?", n.members[i].ID, true).RowsAffected == 1 {
					n.cancel(n.members[i], mine.ID)
				}
			})
			s.Sabotage(nil)
			var slot model.ServiceSlot
			if err := s.DB.Take(&slot, n.slot).Error; err != nil {
				t.Fatal(err)
			}
			if int64(slot.Taken) != s.count(&model.SlotSignUp{}, "state = 'seated'") {
				return
			}
			n.emptySlot()
		}
		t.Error("forty rounds without a lock and the count was always right: this test cannot see the race")
	})
}

func TestF10_CancellingAndSigningUpAtOnceLosesNoSeatAndMakesNone(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(40, 10)
		n.everybody()
		seats := make([]service.SignedUp, 10)
		for i := range seats {
			seats[i] = n.seat(n.members[i])
		}
		other := n.replica()
		trial.Race(40, func(i int) {
			if i < 10 {
				want(t, n.cancel(n.members[i], seats[i].ID), 200, "ok")
			} else {
				other.signUp(n.members[i])
			}
		})
		taken, _ := n.counts()
		for _, p := range n.members[10:] { // what is free can still be had
			n.signUp(p)
		}
		if now, _ := n.counts(); now != 10 || taken > 10 {
			t.Errorf("%d taken during the race, %d after", taken, now)
		}
	})
}

func TestF12_AfterTheDeadlineACancellationNeedsAReasonAndAnothersIsLogged(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(3, 3)
		early, late, absent := n.seat(n.members[0]), n.seat(n.members[1]), n.seat(n.members[2])
		s.Clock.Set(serviceStart.Add(-24*time.Hour - time.Millisecond))
		want(t, n.cancel(n.members[0], early.ID), 200, "ok")
		s.Clock.Advance(time.Millisecond)
		want(t, n.cancel(n.members[1], late.ID), 409, "deadline_passed")
		want(t, n.cancel(n.members[1], late.ID, "reason", "孩子生病"), 200, "ok")
		want(t, n.cancel(n.secretary, absent.ID), 400, "invalid_field")
		want(t, n.cancel(n.members[0], absent.ID, "reason", "替他取消"), 404, "sign_up_not_found")
		want(t, n.cancel(n.secretary, absent.ID, "reason", "单位临时任务"), 200, "ok")
		if got := s.count(&model.AuditEntry{}, "action = 'cancel_sign_up'"); got != 2 {
			t.Errorf("%d audit entries", got)
		}
		if got := s.count(&model.Reminder{}, "member_id = ? AND kind = 'seat_lost'", n.members[2].ID); got != 1 {
			t.Errorf("who was taken out got %d notices", got)
		}
		n.wantCounts(0, 0)
		back := n.seat(n.members[0])
		s.Clock.Set(serviceStart)
		want(t, n.cancel(n.members[0], back.ID, "reason", "不想去了"), 409, "service_started")
	})
}

func TestF15_ARetryAfterALostAnswerGetsTheSameSeat(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(2, 1)
		once := nonce()
		first := n.signUp(n.members[0], "nonce", once) // committed; suppose the answer never arrived
		other := n.replica()
		want(t, other.signUp(n.members[1]), 409, "slot_full")
		if again := other.signUp(n.members[0], "nonce", once); again.Status != 200 || string(again.Body) != string(first.Body) {
			t.Errorf("the retry on another replica got %d %s", again.Status, again.Body)
		}
		s.Clock.Set(serviceStart.Add(time.Hour)) // closed long ago
		if again := n.signUp(n.members[0], "nonce", once); string(again.Body) != string(first.Body) {
			t.Errorf("the late retry got %s", again.Body)
		}
	})
}

func TestF16_BothTheCapacityAndTheCapOfABranchHoldAtOnce(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(30, 12, "slots", []body{{"name": "巡逻", "starts_at": serviceStart, "ends_at": serviceStart.Add(time.Hour), "capacity": 12, "unit_cap": 5}})
		branches := []model.Organisation{n.branch, s.Branch("第二党支部"), s.Branch("第三党支部")}
		people := n.members
		for _, b := range branches[1:] {
			people = append(people, s.Members(b, 30)...)
		}
		n.members = people
		n.everybody()
		other := n.replica()
		var tired atomic.Int32
		trial.Race(len(people), func(i int) {
			switch r := []*neighbourhood{n, other}[i%2].signUp(people[i]); r.code() {
			case "ok", "slot_full", "unit_full":
			case "unavailable":
				tired.Add(1)
			default:
				t.Errorf("got %d %s", r.Status, r.Body)
			}
		})
		n.wantCounts(12, 0)
		for _, b := range branches {
			if held := s.count(&model.SlotSignUp{}, "branch_id = ? AND state = 'seated'", b.ID); held > 5 {
				t.Errorf("%s holds %d seats", b.Name, held)
			}
		}
		if tired.Load() > 0 {
			t.Errorf("%d of 90 were asked to come again", tired.Load())
		}
	})
}

func TestF16_Control_WithoutTheLockABranchHoldsTooManyAtOnce(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(16, 12, "slots", []body{{"name": "巡逻", "starts_at": serviceStart, "ends_at": serviceStart.Add(time.Hour), "capacity": 12, "unit_cap": 2}})
		n.everybody()
		s.Sabotage(unlocked)
		for range 60 {
			trial.Race(16, func(i int) { n.signUp(n.members[i]) })
			if s.count(&model.SlotSignUp{}, "state = 'seated'") > 2 {
				return
			}
			n.emptySlot()
		}
		t.Error("sixty rounds without a lock and the cap always held: this test cannot see the race")
	})
}

func TestF18_AnOfferThatEndsInTheMomentOfItsAnswerHasOneWinner(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(2, 1)
		other := n.replica()
		for round := range 20 {
			u := n.seat(n.members[0])
			w := n.wait(n.members[1])
			want(t, n.cancel(n.members[0], u.ID), 200, "ok")
			offer := n.offer(w.ID)
			s.Clock.Set(*offer.OfferEndsAt)
			if round%2 == 0 {
				s.Clock.Advance(-time.Millisecond)
			}
			var answer *reply
			trial.Race(4, func(i int) {
				switch i {
				case 0:
					answer = other.answer(n.members[1], w.ID, true)
				default:
					n.serve()
				}
			})
			wanted, taken := model.SignUpExpired, 0
			if round%2 == 0 {
				wanted, taken = model.Seated, 1
			}
			if n.state(w.ID) != wanted || (answer.Status == 200) != (wanted == model.Seated) {
				t.Fatalf("round %d: %s, answered %d %s", round, n.state(w.ID), answer.Status, answer.Body)
			}
			n.wantCounts(taken, 0)
			n.emptySlot()
			s.Clock.Set(trial.Start)
		}
	})
}

// offer is a sign-up that is offered a seat.
func (n *neighbourhood) offer(id uint64) model.SlotSignUp {
	n.t.Helper()
	var u model.SlotSignUp
	if err := n.DB.Take(&u, id).Error; err != nil || u.State != model.Offered {
		n.t.Fatalf("sign-up %d is %s, %v", id, u.State, err)
	}
	return u
}

// shaky is a network on which every tenth request goes out and its connection
// is reset at once: some arrive, some do not, and no answer comes.
func shaky(t *testing.T) (client *http.Client, resets *atomic.Int64) {
	resets = new(atomic.Int64)
	var sent atomic.Int64
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &cutConn{conn.(*net.TCPConn), func() bool {
			cut := sent.Add(1)%10 == 0
			if cut {
				resets.Add(1)
			}
			return cut
		}}, nil
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}, resets
}

type cutConn struct {
	*net.TCPConn
	cut func() bool
}

func (c *cutConn) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	if err == nil && c.cut() {
		_ = c.SetLinger(0) // closed with a reset
		err = c.Close()
	}
	return n, err
}

// comeAndGo lets everybody sign up and cancel again and again over a shaky
// network, sending each request until it is answered, and returns who was told
// at the end that they have a seat.
func (n *neighbourhood) comeAndGo(times int) (told map[uint64]bool, resets int64) {
	client, cut := shaky(n.t)
	both := []*neighbourhood{n.replica(), n.replica()}
	both[0].client, both[1].client = client, client
	var mu sync.Mutex
	told = map[uint64]bool{}
	trial.Race(len(n.members), func(i int) {
		me := both[i%2].phone(n.members[i])
		send := func(path string, in body) *reply {
			for range 50 {
				r, err := me.try(n.t.Context(), "POST", path, in)
				if err == nil && r.Status != http.StatusServiceUnavailable {
					return r
				}
			}
			n.t.Error("fifty tries and no answer")
			return &reply{}
		}
		var seat uint64
		for range times {
			if seat != 0 {
				want(n.t, send(signUpPath(seat, "/cancellation"), body{}), 200, "ok")
				seat = 0
				continue
			}
			if r := send(slotPath(n.slot, "/sign-ups"), body{"nonce": nonce()}); r.Status == 200 {
				seat = as[service.SignedUp](n.t, r).ID
			} else if r.code() != "slot_full" {
				n.t.Errorf("got %d %s", r.Status, r.Body)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if seat != 0 {
			told[seat] = true
		}
	})
	return told, cut.Load()
}

func TestF19_WithATenthOfTheConnectionsResetSeatsAndRowsAgree(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(40, 12)
		n.everybody()
		told, resets := n.comeAndGo(7)
		taken, _ := n.counts()
		// Of a try whose answer was lost, a later one may be refused before it
		// is carried out: so there can be a seat more than people were told of.
		if taken > 12 || taken < len(told) || resets < 10 {
			t.Errorf("%d taken of 12, %d were told so; %d connections were reset", taken, len(told), resets)
		}
		for id := range told {
			if n.state(id) != model.Seated {
				t.Errorf("who was told of a seat is %s", n.state(id))
			}
		}
	})
}

func TestF19_Control_WithoutTheLockTheSlotOverflowsAtOnce(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(40, 12)
		n.everybody()
		s.Sabotage(unlocked)
		n.comeAndGo(1)
		if rows := n.count(&model.SlotSignUp{}, "state = ?", model.Seated); rows <= 12 {
			t.Errorf("%d seats of 12 without a lock: this test cannot see the race", rows)
		}
	})
}

func TestTwoServicesAtOneTimeAreNeverPossibleHoweverCloseTheTaps(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(1, 5)
		first := n.slot
		second := n.publishDay("title", "同一时间", "slots", []body{n.job(5, "starts_at", serviceStart.Add(time.Hour), "ends_at", serviceStart.Add(3*time.Hour))}).Slots[0].ID
		me := n.phone(n.members[0])
		for range 10 {
			trial.Race(2, func(i int) {
				me.post(slotPath([]uint64{first, second}[i], "/sign-ups"), body{"nonce": nonce(), "insist": true})
			})
			if got := s.count(&model.SlotSignUp{}, "state = 'seated'"); got != 1 {
				t.Fatalf("%d seats at one time", got)
			}
			n.emptySlot()
		}
	})
}

func TestTwoServicesAtOneTime_Control_WithoutTheMembersRowHeldBothAreHadAtOnce(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(1, 5)
		first := n.slot
		second := n.publishDay("title", "同一时间").Slots[0].ID
		me := n.phone(n.members[0])
		s.Sabotage(func(statement string) string {
			if strings.Contains(statement, "`members`") {
				return strings.TrimSuffix(statement, " FOR UPDATE")
			}
			return statement
		})
		for range 60 {
			trial.Race(2, func(i int) { me.post(slotPath([]uint64{first, second}[i], "/sign-ups"), body{"nonce": nonce()}) })
			if s.count(&model.SlotSignUp{}, "state = 'seated'") > 1 {
				return
			}
			n.emptySlot()
		}
		t.Error("sixty rounds and never two at one time: this test cannot see the race")
	})
}

func TestAMeetingAtThatTimeWarnsOrRefusesAsSet(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(1, 5)
		m := &meeting{stage: s, branch: n.branch, secretary: n.secretary}
		m.publish(n.branch, "starts_at", serviceStart.Add(-time.Hour), "ends_at", serviceStart.Add(time.Minute))
		r := n.signUp(n.members[0])
		want(t, r, 409, "overlap")
		if !strings.Contains(string(r.Body), "”，仍要参加请再确认一次") {
			t.Errorf("what warns says %s", r.Body)
		}
		if !strings.Contains(string(r.Body), `"may_insist":true`) || !strings.Contains(string(r.Body), "七月主题党日") {
			t.Errorf("the warning does not say what and whether one may insist: %s", r.Body)
		}
		want(t, n.signUp(n.members[0], "insist", true), 200, "ok")
		n.publishDay("refuse_overlap", true, "slots", []body{n.job(5, "starts_at", serviceStart.Add(-2*time.Hour), "ends_at", serviceStart)})
		if r := n.signUp(n.members[0], "insist", true); r.code() != "overlap" || !strings.Contains(string(r.Body), "”，不能同时参加，请选别的时间") {
			t.Errorf("what refuses says %s", r.Body)
		}
	})
}

func TestASlotForTheRegisteredTakesWhoIsConfirmedOrWhoseBranchIs(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(2, 5, "registered_only", true)
		r := as[model.CommunityRegistration](t, n.phone(n.members[0]).post("/v1/community-registrations", body{"community_id": n.community.ID}))
		want(t, n.signUp(n.members[0]), 409, "not_registered_here")
		as[model.CommunityRegistration](t, n.phone(n.liaison).post(fmt.Sprint("/v1/community-registrations/", r.ID, "/confirmation"), body{"accept": true}))
		n.seat(n.members[0])
		want(t, n.signUp(n.members[1]), 409, "not_registered_here")
		r = as[model.CommunityRegistration](t, n.phone(n.secretary).post("/v1/community-registrations", body{"community_id": n.community.ID, "branch_id": n.branch.ID}))
		as[model.CommunityRegistration](t, n.phone(n.liaison).post(fmt.Sprint("/v1/community-registrations/", r.ID, "/confirmation"), body{"accept": true}))
		n.seat(n.members[1])
	})
}

func TestASecretarySignsUpSeveralAllOrNoneOrTheRestInLine(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(3, 2)
		ids := []uint64{n.members[2].ID, n.members[0].ID, n.members[1].ID}
		in := body{"member_ids": ids, "nonce": nonce()}
		several := func(p *trial.Person, in body) *reply {
			return n.phone(p).post(slotPath(n.slot, "/member-sign-ups"), in)
		}
		want(t, several(n.secretary, in), 409, "slot_full")
		n.wantCounts(0, 0)
		want(t, several(n.liaison, in), 400, "strangers")
		stranger := s.Member(s.Branch("第二党支部"), "外人")
		want(t, several(n.secretary, in.with("member_ids", append(ids, stranger.ID))), 400, "strangers")
		in = in.with("rest", "wait")
		first := several(n.secretary, in)
		if got := as[struct{ Items []service.SignedUp }](t, first).Items; len(got) != 3 || got[2].Position != 1 {
			t.Errorf("signed up as %s", first.Body)
		}
		if again := several(n.secretary, in); string(again.Body) != string(first.Body) {
			t.Errorf("again: %s", again.Body)
		}
		n.wantCounts(2, 1)
		for i, wanted := range []int64{1, 0, 1} { // those named first have the seats
			if got := s.count(&model.Reminder{}, "kind = 'seat_given' AND member_id = ?", n.members[i].ID); got != wanted {
				t.Errorf("%d notices to %s", got, n.members[i].Name)
			}
		}
	})
}

func TestACancelledServiceDayEndsEverySeatAndLineAndTellsEachOnce(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(30, 5)
		n.everybody()
		n.seat(n.members[0])
		other := n.replica()
		trial.Race(30, func(i int) {
			if i == 0 || i == 15 {
				want(t, n.phone(n.liaison).post(dayPath(n.day.ID, "/cancellation"), body{"reason": "大雨"}), 200, "ok")
				return
			}
			other.signUp(n.members[i], "or_wait", true)
		})
		n.wantCounts(0, 0)
		ended, told := s.count(&model.SlotSignUp{}, "state = 'cancelled'"), s.count(&model.Reminder{}, "kind = 'seat_lost'")
		if ended == 0 || ended != told || s.count(&model.SlotSignUp{}, "live = ?", true) != 0 {
			t.Errorf("%d ended, %d told", ended, told)
		}
		want(t, n.signUp(n.members[1]), 409, "service_cancelled")
	})
}

func TestAServiceDayToWhichPeopleHaveComeIsNotCalledOff(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(2, 2)
		u := n.seat(n.members[0])
		n.seat(n.members[1])
		s.Clock.Set(serviceStart.Add(-10 * time.Minute))
		want(t, n.arrive(n.members[0]), 200, "ok")
		s.Clock.Set(serviceStart)
		n.touch(n.liaison)
		want(t, n.phone(n.liaison).post(dayPath(n.day.ID, "/cancellation"), body{"reason": "大雨"}), 409, "service_started")
		n.wantCounts(2, 0)
		s.Clock.Set(serviceStart.Add(2 * time.Hour))
		want(t, n.leave(n.members[0]), 200, "ok")
		if got := as[service.HoursConfirmed](t, n.confirm()); got.Served != 1 || got.NoShows != 1 || n.minutes(u.ID) != "scanned120" {
			t.Errorf("confirmed as %+v, the ledger says %s", got, n.minutes(u.ID))
		}
	})
}

func TestTwoOffersAtOneTimeLeaveTheChoice(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(3, 1)
		first := n.slot
		held, mine := []service.SignedUp{n.seat(n.members[0])}, []service.SignedUp{n.wait(n.members[2])}
		n.publishDay("slots", []body{n.job(1)})
		held, mine = append(held, n.seat(n.members[1])), append(mine, n.wait(n.members[2]))
		for i, u := range held {
			want(t, n.cancel(n.members[i], u.ID), 200, "ok")
		}
		want(t, n.answer(n.members[2], mine[1].ID, true), 200, "ok")
		want(t, n.answer(n.members[2], mine[0].ID, true), 409, "overlap")
		want(t, n.answer(n.members[2], mine[0].ID, false), 200, "ok")
		n.wantCounts(1, 0)
		n.slot = first
		n.wantCounts(0, 0)
	})
}

// Table G: the waiting list.

func TestG1_WhoComesToAFullSlotWaitsAndKnowsTheirPlace(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(4, 1)
		n.seat(n.members[0])
		r := n.signUp(n.members[1])
		want(t, r, 409, "slot_full")
		for place, p := range n.members[1:] {
			if u := n.wait(p); u.Position != place+1 {
				t.Errorf("%s stands at %d, want %d", p.Name, u.Position, place+1)
			}
		}
		n.wantCounts(1, 3)
		mine := as[service.SignUpPage](t, n.phone(n.members[3]).get("/v1/me/sign-ups"))
		if len(mine.Items) != 1 || mine.Items[0].Position != 3 || mine.Items[0].Title != "周四固定服务日" {
			t.Errorf("own list: %+v", mine.Items)
		}
	})
}

func TestG2_JoiningTwentyTimesAtOnceIsOnePlace(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(2, 1)
		n.seat(n.members[0])
		n.everybody()
		other := n.replica()
		trial.Race(20, func(i int) {
			r := []*neighbourhood{n, other}[i%2].phone(n.members[1]).post(slotPath(n.slot, "/waiting-list"), body{"nonce": nonce()})
			if u := as[service.SignedUp](t, r); u.Position != 1 {
				t.Errorf("place %d", u.Position)
			}
		})
		n.wantCounts(1, 1)
	})
}

func TestG2_Control_WithoutLockAndKeyOneMemberStandsTwiceAtOnce(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(2, 1)
		if err := s.DB.Exec("ALTER TABLE slot_sign_ups DROP FOREIGN KEY slot_sign_ups_to_slot").Error; err != nil {
			t.Fatal(err)
		}
		s.dropIndex("slot_sign_ups", "slot_sign_ups_live")
		n.everybody()
		s.Sabotage(unlocked)
		for range 60 {
			trial.Race(8, func(int) { n.phone(n.members[1]).post(slotPath(n.slot, "/waiting-list"), body{"nonce": nonce()}) })
			if s.count(&model.SlotSignUp{}, "member_id = ?", n.members[1].ID) > 1 {
				return
			}
			n.emptySlot()
		}
		t.Error("sixty rounds without lock and key and never two places: this test cannot see the race")
	})
}

func TestG4_TenPromotersAtOnceMakeAsManyOffersAsThereAreSeatsAndOneNoticeEach(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(20, 5)
		for _, p := range n.members[:5] {
			n.seat(p)
		}
		line := make([]service.SignedUp, 15)
		for i := range line {
			line[i] = n.wait(n.members[5+i])
		}
		// Seats appear behind the program's back, so that promoters alone find them.
		if err := s.DB.Exec("UPDATE service_slots SET capacity = 12").Error; err != nil {
			t.Fatal(err)
		}
		all := []*neighbourhood{n, n.replica(), n.replica()}
		trial.Race(10, func(i int) { all[i%3].serve() })
		n.wantCounts(12, 8)
		for i, u := range line {
			wanted := model.Waiting
			if i < 7 {
				wanted = model.Offered
			}
			if n.state(u.ID) != wanted {
				t.Errorf("number %d in line is %s", i+1, n.state(u.ID))
			}
		}
		if got := s.count(&model.Reminder{}, "kind = 'seat_offered'"); got != 7 {
			t.Errorf("%d notices for 7 offers", got)
		}
	})
}

func TestG5_ExpiryAndAcceptanceAtOnceHaveOneWinnerAndTheNextIsOffered(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(3, 1)
		u := n.seat(n.members[0])
		first, second := n.wait(n.members[1]), n.wait(n.members[2])
		want(t, n.cancel(n.members[0], u.ID), 200, "ok")
		s.Clock.Set(*n.offer(first.ID).OfferEndsAt)
		want(t, n.answer(n.members[1], first.ID, true), 409, "offer_expired") // whether or not anybody has noticed
		other := n.replica()
		trial.Race(6, func(i int) {
			if i%2 == 0 {
				n.serve()
			} else {
				want(t, other.answer(n.members[1], first.ID, true), 409, "offer_expired")
			}
		})
		if n.state(first.ID) != model.SignUpExpired || n.state(second.ID) != model.Offered {
			t.Errorf("first %s, second %s", n.state(first.ID), n.state(second.ID))
		}
		n.wantCounts(1, 0)
	})
}

func TestG7_FromTheStartOnNobodyIsPromotedAndTheLineEnds(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(3, 1)
		u := n.seat(n.members[0])
		first, second := n.wait(n.members[1]), n.wait(n.members[2])
		s.Clock.Set(serviceStart.Add(-time.Hour))
		want(t, n.cancel(n.members[0], u.ID, "reason", "有事"), 200, "ok")
		if offer := n.offer(first.ID); !offer.OfferEndsAt.Equal(serviceStart) {
			t.Errorf("the offer ends at %s", offer.OfferEndsAt)
		}
		s.Clock.Set(serviceStart)
		n.serve()
		if n.state(first.ID) != model.SignUpExpired || n.state(second.ID) != model.SignUpExpired {
			t.Errorf("first %s, second %s", n.state(first.ID), n.state(second.ID))
		}
		n.wantCounts(0, 0)
		want(t, n.signUp(n.members[0]), 409, "sign_up_closed")
	})
}

func TestG8_TheLineIsServedByTimeAndThenByNumber(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(6, 1)
		u := n.seat(n.members[0])
		var line []service.SignedUp
		for _, p := range n.members[1:] { // all in one millisecond: the number decides
			line = append(line, n.wait(p))
		}
		// Except one, who by the clock came first.
		if err := s.DB.Model(&model.SlotSignUp{}).Where("id = ?", line[3].ID).Update("at", trial.Start.UTC().Add(-time.Second)).Error; err != nil {
			t.Fatal(err)
		}
		wanted := []service.SignedUp{line[3], line[0], line[1], line[2], line[4]}
		holder, id := n.members[0], u.ID
		want(t, n.cancel(holder, id), 200, "ok")
		for _, next := range wanted {
			n.offer(next.ID)
			for _, p := range n.members {
				if p.ID == next.MemberID {
					want(t, n.answer(p, next.ID, false), 200, "ok")
				}
			}
		}
		n.wantCounts(0, 0)
	})
}

func TestG8_WhoseBranchHasAllItMayHaveIsPassedOver(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(4, 2, "slots", []body{{"name": "巡逻", "starts_at": serviceStart, "ends_at": serviceStart.Add(time.Hour), "capacity": 2, "unit_cap": 1}})
		stranger := s.Member(s.Branch("第二党支部"), "外人")
		first := n.seat(n.members[0])
		want(t, n.signUp(n.members[1]), 409, "unit_full")
		waits := n.wait(n.members[1])
		if u := as[service.SignedUp](t, n.signUp(stranger)); u.State != model.Seated {
			t.Errorf("the free seat of another branch is %s", u.State)
		}
		n.serve()
		n.wantCounts(2, 1)
		want(t, n.cancel(n.members[0], first.ID), 200, "ok")
		n.offer(waits.ID)
	})
}

func TestG10_ANewcomerDoesNotJumpTheQueueWhenASeatFrees(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(40, 5)
		n.everybody()
		seats := make([]service.SignedUp, 5)
		for i := range seats {
			seats[i] = n.seat(n.members[i])
		}
		line := make([]service.SignedUp, 5)
		for i := range line {
			line[i] = n.wait(n.members[5+i])
		}
		other := n.replica()
		trial.Race(35, func(i int) {
			if i < 5 {
				want(t, n.cancel(n.members[i], seats[i].ID), 200, "ok")
			} else {
				want(t, other.signUp(n.members[5+i]), 409, "slot_full")
			}
		})
		for i, u := range line {
			if n.state(u.ID) != model.Offered {
				t.Errorf("number %d in line is %s", i+1, n.state(u.ID))
			}
		}
		n.wantCounts(5, 0)
	})
}

func TestG11_AcceptingTwiceIsOneSeatAndDecliningIsFinal(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(3, 1)
		u := n.seat(n.members[0])
		first, second := n.wait(n.members[1]), n.wait(n.members[2])
		want(t, n.answer(n.members[1], first.ID, true), 409, "no_offer")
		want(t, n.cancel(n.members[0], u.ID), 200, "ok")
		want(t, n.answer(n.members[2], first.ID, true), 404, "sign_up_not_found")
		other := n.replica()
		var mu sync.Mutex
		answers := map[string]int{}
		trial.Race(10, func(i int) {
			r := []*neighbourhood{n, other}[i%2].answer(n.members[1], first.ID, true)
			mu.Lock()
			defer mu.Unlock()
			answers[string(r.Body)]++
		})
		if len(answers) != 1 || n.state(first.ID) != model.Seated {
			t.Errorf("answers %v, state %s", answers, n.state(first.ID))
		}
		n.wantCounts(1, 1)
		want(t, n.answer(n.members[1], first.ID, false), 409, "no_offer")
		want(t, n.cancel(n.members[1], first.ID), 200, "ok")
		want(t, n.answer(n.members[2], second.ID, false), 200, "ok")
		want(t, n.answer(n.members[2], second.ID, false), 200, "ok")
		want(t, n.answer(n.members[2], second.ID, true), 409, "no_offer")
	})
}

func TestG13_WhatIsAcceptedOrExpiredIsNoPlaceInLineAnyMore(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(4, 1)
		u := n.seat(n.members[0])
		accepted, expired, left := n.wait(n.members[1]), n.wait(n.members[2]), n.wait(n.members[3])
		leave := func(p *trial.Person, id uint64) *reply { return n.phone(p).post(signUpPath(id, "/withdrawal"), nil) }
		want(t, leave(n.members[3], left.ID), 200, "ok")
		want(t, leave(n.members[3], left.ID), 200, "ok")
		want(t, n.cancel(n.members[2], expired.ID), 409, "not_seated")
		want(t, n.cancel(n.members[0], u.ID), 200, "ok")
		want(t, n.answer(n.members[1], accepted.ID, true), 200, "ok")
		want(t, leave(n.members[1], accepted.ID), 409, "not_waiting")
		want(t, n.cancel(n.members[1], accepted.ID), 200, "ok")
		s.Clock.Set(*n.offer(expired.ID).OfferEndsAt)
		n.serve()
		want(t, leave(n.members[2], expired.ID), 409, "not_waiting")
		n.wantCounts(0, 0)
	})
}
