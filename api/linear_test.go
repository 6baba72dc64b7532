package api_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"dangri/service"
	"dangri/service/trial"
)

// What a client of one slot does, and what it hears.
type (
	slotAct struct {
		client int
		act    string // join, leave or read
	}
	slotHeard struct {
		seated bool // join: the client has a seat now
		taken  int  // read
	}
)

// slotModel is a slot as it should be: a set of clients, never more than the
// capacity. A join is a seat unless the slot is full, a leave frees it.
func slotModel(capacity int) porcupine.Model {
	count := func(set uint32) (n int) {
		for ; set != 0; set &= set - 1 {
			n++
		}
		return n
	}
	return porcupine.Model{
		Init: func() any { return uint32(0) },
		Step: func(state, input, output any) (bool, any) {
			set, in, out := state.(uint32), input.(slotAct), output.(slotHeard)
			me := uint32(1) << in.client
			switch in.act {
			case "join":
				if set&me == 0 && count(set) >= capacity {
					return !out.seated, set
				}
				return out.seated, set | me
			case "leave":
				return set&me != 0, set &^ me
			}
			return out.taken == count(set), set
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprint(input, " → ", output) },
	}
}

// history lets twenty clients join, leave and look at random and writes down
// what each heard, in the order of a counter that all share.
func (n *neighbourhood) history(seed uint64, acts int) []porcupine.Operation {
	both := []*neighbourhood{n, n.other}
	var counter atomic.Int64
	var mu sync.Mutex
	var all []porcupine.Operation
	trial.Race(len(n.members), func(i int) {
		at, me := both[i%2], n.members[i]
		choice := rand.New(rand.NewPCG(seed, uint64(i)))
		var seat uint64
		for range acts {
			in, out := slotAct{client: i, act: "join"}, slotHeard{}
			switch {
			case choice.IntN(4) == 0:
				in.act = "read"
			case seat != 0:
				in.act = "leave"
			}
			called := counter.Add(1)
			switch in.act {
			case "join":
				once := nonce()
				r := until(func() *reply { return at.signUp(me, "nonce", once) })
				if out.seated = r.Status == 200; out.seated {
					seat = as[service.SignedUp](n.t, r).ID
				} else if r.code() != "slot_full" {
					n.t.Errorf("join: %d %s", r.Status, r.Body)
				}
			case "leave":
				want(n.t, until(func() *reply { return at.cancel(me, seat) }), 200, "ok")
				seat = 0
			default:
				out.taken = as[service.ServiceDayView](n.t, at.phone(me).get(dayPath(n.day.ID, ""))).Slots[0].Taken
			}
			returned := counter.Add(1)
			mu.Lock()
			all = append(all, porcupine.Operation{ClientId: i, Input: in, Call: called, Output: out, Return: returned})
			mu.Unlock()
		}
	})
	return all
}

// searched is how long an order of one history is looked for. Nearly all are
// decided within milliseconds; but the search has no bound, and for one it took
// a quarter of an hour and gigabytes without an end.
const searched = 10 * time.Second

func TestF21_HistoriesOfTwentyClientsAtOnceAreLinear(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(20, 4)
		n.everybody()
		n.other = n.replica()
		histories := 25
		if s.Store == trial.SQLite {
			histories = 5 // its writers come one by one anyway
		}
		for seed, decided, undecided := 0, 0, 0; decided < histories; seed++ {
			all := n.history(uint64(seed), 5)
			switch porcupine.CheckOperationsTimeout(slotModel(4), all, searched) {
			case porcupine.Ok:
				decided++
			case porcupine.Illegal:
				t.Fatalf("history %d is not one of a slot of four: %v", seed, all)
			case porcupine.Unknown: // another one takes its place
				if undecided++; undecided > histories/5 {
					t.Fatalf("%d histories are not decided within %v", undecided, searched)
				}
			}
			n.emptySlot()
		}
	})
}

func TestF21_Control_AHistoryWithoutTheLockIsRejectedAtOnce(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		n := s.aNeighbourhood(20, 4)
		n.everybody()
		n.other = n.replica()
		s.Sabotage(unlocked)
		for seed := range 20 {
			all := n.history(uint64(seed), 3)
			if porcupine.CheckOperationsTimeout(slotModel(4), all, searched) == porcupine.Illegal {
				return
			}
			n.emptySlot()
		}
		t.Error("twenty histories without a lock and all are linear: this test cannot see the race")
	})
}

func TestTheModelOfASlotRejectsWhatASlotMustNotDo(t *testing.T) {
	one := func(act string, client int, heard slotHeard, at int64) porcupine.Operation {
		return porcupine.Operation{ClientId: client, Input: slotAct{client, act}, Output: heard, Call: at, Return: at + 1}
	}
	in := slotHeard{seated: true}
	for name, c := range map[string]struct {
		legal bool
		all   []porcupine.Operation
	}{
		"a seat, and none left":        {true, []porcupine.Operation{one("join", 0, in, 1), one("join", 1, slotHeard{}, 3)}},
		"two seats of one":             {false, []porcupine.Operation{one("join", 0, in, 1), one("join", 1, in, 3)}},
		"a seat that was freed":        {true, []porcupine.Operation{one("join", 0, in, 1), one("leave", 0, in, 3), one("join", 1, in, 5)}},
		"a seat that was lost":         {false, []porcupine.Operation{one("join", 0, in, 1), one("leave", 0, in, 3), one("join", 1, slotHeard{}, 5)}},
		"a count that lags behind":     {false, []porcupine.Operation{one("join", 0, in, 1), one("read", 1, slotHeard{taken: 0}, 3)}},
		"a count during the change":    {true, []porcupine.Operation{{Input: slotAct{0, "join"}, Output: in, Call: 1, Return: 9}, one("read", 1, slotHeard{taken: 0}, 3), one("read", 2, slotHeard{taken: 1}, 5)}},
		"a join repeated is no second": {true, []porcupine.Operation{one("join", 0, in, 1), one("join", 0, in, 3), one("read", 1, slotHeard{taken: 1}, 5)}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := porcupine.CheckOperations(slotModel(1), c.all); got != c.legal {
				t.Errorf("legal: %v", got)
			}
		})
	}
}
