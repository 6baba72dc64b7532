package trial

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
)

func TestMain(m *testing.M) { Main(m) }

func TestAWorldIsReadyAndItsOwn(t *testing.T) {
	EachStore(t, func(t *testing.T, w *World) {
		if got := w.Health.Ready(t.Context()); !got.Ready || len(got.Degraded) > 0 {
			t.Fatalf("got %+v, want everything ready", got)
		}
		if now := w.Clock.Now().In(Zone); now.Weekday() != time.Tuesday || now.Hour() != 14 || now.Location() != Zone {
			t.Errorf("got %v, want a Tuesday, 14:00", now)
		}
		other := New(t, w.Store)
		branch := w.Branch("第一党支部")
		w.Member(branch, "丁一")
		var members int64
		if err := other.DB.Model(&model.Member{}).Count(&members).Error; err != nil || members != 0 {
			t.Errorf("another world has %d members, %v", members, err)
		}
		w.Redis.client.Set(t.Context(), w.Redis.prefix+"mine", "1", 0)
		other.Redis.Wipe()
		if keys := w.Redis.Keys(); !slices.Equal(keys, []string{w.Redis.prefix + "mine"}) {
			t.Errorf("got keys %v", keys)
		}
	})
}

func TestAPersonSignsInThroughThePlatformAndActsByTheirPosts(t *testing.T) {
	EachStore(t, func(t *testing.T, w *World) {
		branch := w.Branch("第一党支部")
		group := w.Group(branch, "第一党小组")
		secretary := w.Member(branch, "丁一", InGroup(group), Leading)
		w.Post(secretary, branch, model.Secretary)
		actor := w.Actor(secretary)
		if actor.MemberID != secretary.ID || actor.BranchID != branch.ID || *actor.GroupID != group.ID || len(actor.Posts) != 1 {
			t.Errorf("got %+v", actor)
		}
		// The phone is found by its blind index, so it is kept in the form that the service keeps.
		stranger := w.Member(branch, "丁二")
		in, err := w.Sessions.SignIn(t.Context(), service.SignInInput{Code: stranger.User.LoginCode()})
		if err != nil || in.Bound {
			t.Fatalf("got %+v, %v", in, err)
		}
		unbound, err := w.Sessions.Actor(t.Context(), in.Token)
		if err != nil {
			t.Fatal(err)
		}
		bound, err := w.Bindings.Bind(t.Context(), unbound, service.BindInput{PhoneCode: stranger.User.PhoneCode()})
		if err != nil || bound.ID != stranger.ID {
			t.Errorf("got %+v, %v; want %s", bound, err, stranger.Name)
		}
	})
}

func TestTheDatabaseGoesAwayAndComesBack(t *testing.T) {
	EachStore(t, func(t *testing.T, w *World) {
		token := w.SignIn(w.Member(w.Branch("第一党支部"), "丁一"))
		w.Redis.Wipe()
		w.CutDatabase()
		if _, err := w.Sessions.Actor(t.Context(), token); !service.StoreAway(err) {
			t.Errorf("got %v, want a store that is away", err)
		}
		w.ReviveDatabase()
		if _, err := w.Sessions.Actor(t.Context(), token); err != nil {
			t.Errorf("the database is back and yet: %v", err)
		}
	})
}

func TestRedisGoesAwayAndComesBackAndIsRestored(t *testing.T) {
	EachStore(t, func(t *testing.T, w *World) {
		get := func() (string, error) { return w.Redis.client.Get(t.Context(), w.Redis.prefix+"k").Result() }
		set := func(v string) { w.Redis.client.Set(t.Context(), w.Redis.prefix+"k", v, time.Minute) }
		set("old")
		restore := w.Redis.Dump()
		set("new")
		w.Redis.Cut()
		if _, err := get(); err == nil {
			t.Error("Redis answers though it is cut off")
		}
		w.Redis.Revive()
		if v, err := get(); v != "new" || err != nil {
			t.Errorf("got %q, %v", v, err)
		}
		restore()
		if v, err := get(); v != "old" || err != nil {
			t.Errorf("after the restore: %q, %v", v, err)
		}
		if life := w.Redis.client.PTTL(t.Context(), w.Redis.prefix+"k").Val(); life <= 0 || life > time.Minute {
			t.Errorf("after the restore the key lives for %v", life)
		}
	})
}

func TestRoundTripsAreCountedOnBothStores(t *testing.T) {
	EachStore(t, func(t *testing.T, w *World) {
		token := w.SignIn(w.Member(w.Branch("第一党支部"), "丁一"))
		cold := w.Trips(func() { _, _ = w.Sessions.Actor(t.Context(), token) })
		if len(cold.SQL) != 1 || !slices.Equal(cold.Redis, []string{"get"}) {
			t.Errorf("a cold session: %s", cold)
		}
		w.Warm(func() { _, _ = w.Sessions.Actor(t.Context(), token) })
		warm := w.Trips(func() { _, _ = w.Sessions.Actor(t.Context(), token) })
		if len(warm.SQL) != 0 || !slices.Equal(warm.Redis, []string{"get"}) {
			t.Errorf("a warm session: %s", warm)
		}
		tx := w.Trips(func() { w.SignIn(w.Member(w.Branch("第二党支部"), "丁二")) })
		begins := slices.Index(tx.SQL, "BEGIN")
		if begins < 0 || !slices.Contains(tx.SQL[begins:], "COMMIT") || !strings.Contains(tx.String(), "INSERT INTO `sessions`") {
			t.Errorf("a transaction: %s", tx)
		}
	})
}

func TestAReplicaSharesTheStoresAlone(t *testing.T) {
	EachStore(t, func(t *testing.T, w *World) {
		p := w.Member(w.Branch("第一党支部"), "丁一")
		token, other := w.SignIn(p), w.Replica()
		if _, err := other.Sessions.Actor(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if err := w.Sessions.EndAll(t.Context(), w.Actor(p)); err != nil {
			t.Fatal(err)
		}
		Eventually(t, "the replica hears that the session ended", func() bool {
			_, err := other.Sessions.Actor(t.Context(), token)
			return errors.Is(err, model.ErrSignInAgain)
		})
	})
}

func TestAClockTurnsForEverybody(t *testing.T) {
	w := New(t, SQLite)
	w.Redis.client.Set(t.Context(), w.Redis.prefix+"k", "1", time.Minute)
	w.Clock.Advance(2 * time.Minute)
	if got := w.WeChat.Now(); !got.Equal(Start.Add(2 * time.Minute)) {
		t.Errorf("the platform's time is %v", got)
	}
	if keys := w.Redis.Keys(); len(keys) != 0 {
		t.Errorf("the embedded Redis still has %v", keys)
	}
	w.Clock.Set(Start)
	if got := w.Clock.Now(); !got.Equal(Start) {
		t.Errorf("got %v", got)
	}
}

func TestARaceStartsEverybodyAndWaitsForAll(t *testing.T) {
	seen := make([]bool, 50)
	Race(len(seen), func(i int) { seen[i] = true })
	if slices.Contains(seen, false) {
		t.Error("somebody was left out")
	}
}
