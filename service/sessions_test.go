package service_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
	"dangri/wechat/sim"
)

// refused demands the refusal want, or none where it is nil.
func refused(t *testing.T, what string, err error, want *model.Error) {
	t.Helper()
	if want == nil && err != nil || want != nil && !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// away demands a fault that says that a store is away, and no refusal.
func away(t *testing.T, what string, err error) {
	t.Helper()
	var refusal *model.Error
	if !service.StoreAway(err) || errors.As(err, &refusal) {
		t.Errorf("%s: got %v, want a store that is away", what, err)
	}
}

// call asks a replica who holds the token.
func call(t *testing.T, s *service.Services, token string) error {
	t.Helper()
	_, err := s.Sessions.Actor(t.Context(), token)
	return err
}

// warm waits until the token is answered from a copy in Redis alone.
func warm(t *testing.T, w *trial.World, token string) {
	t.Helper()
	warmOn(t, w, w.Services, token)
}

func warmOn(t *testing.T, w *trial.World, s *service.Services, token string) {
	t.Helper()
	w.Warm(func() { refused(t, "a session", call(t, s, token), nil) })
}

// noted waits until the newest session is noted as used then or
// later.
func noted(t *testing.T, w *trial.World, then time.Time) {
	t.Helper()
	trial.Eventually(t, "the use of the session is noted", func() bool { return !lastUse(t, w).Before(then) })
}

func lastUse(t *testing.T, w *trial.World) time.Time {
	t.Helper()
	var s model.Session
	if err := w.DB.Last(&s).Error; err != nil {
		t.Fatal(err)
	}
	return s.SeenAt
}

func signIn(t *testing.T, s *service.Services, u *sim.User) (*service.SignedIn, error) {
	t.Helper()
	return s.Sessions.SignIn(t.Context(), service.SignInInput{Code: u.LoginCode()})
}

func TestJ1_ALoginCodeWorksOnceAndForFiveMinutes(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		u := w.Stranger()
		enter := func(code string) error {
			_, err := w.Sessions.SignIn(t.Context(), service.SignInInput{Code: code})
			return err
		}
		code := u.LoginCode()
		refused(t, "first", enter(code), nil)
		refused(t, "again", enter(code), model.ErrBadLoginCode)

		old := u.LoginCode()
		w.Clock.Advance(5*time.Minute + time.Second)
		refused(t, "five minutes old", enter(old), model.ErrBadLoginCode)
		refused(t, "a phone code", enter(u.PhoneCode()), model.ErrBadLoginCode)
		refused(t, "another mini-program's", enter(u.LoginCodeFor("wx0000000000000009")), model.ErrBadLoginCode)

		once := u.LoginCode()
		var in atomic.Int64
		trial.Race(20, func(int) {
			if err := enter(once); err == nil {
				in.Add(1)
			} else if !errors.Is(err, model.ErrBadLoginCode) {
				t.Errorf("got %v", err)
			}
		})
		if in.Load() != 1 {
			t.Errorf("one code, 20 times at once, opened %d sessions", in.Load())
		}
	})
}

func TestJ2_AnOpenIDIsNoCredential(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		p := w.Member(w.Branch("第一党支部"), "丁一")
		token := w.SignIn(p)
		var session model.Session
		if err := w.DB.Take(&session).Error; err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{
			"the openid": p.User.OpenID, "the hash of the token": session.TokenHash, "nothing": "", "the id of the session": fmt.Sprint(session.ID),
			"the token in other letters": strings.ToLower(token), "more than the token": token + "=", "a long text": strings.Repeat("a", 1<<16),
			"SQL": "' OR '1'='1' OR '1'='1", "NUL": token[:42] + "\x00",
		} {
			refused(t, name, call(t, w.Services, value), model.ErrSignInAgain)
		}
		refused(t, "the token", call(t, w.Services, token), nil)
	})
}

func TestJ4_OnlyTheHashOfATokenIsKept(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		p := w.Member(w.Branch("第一党支部"), "丁一")
		token := w.SignIn(p)
		warm(t, w, token)
		if kept := everything(t, w); strings.Contains(kept, token) {
			t.Error("the token itself is kept")
		} else if !strings.Contains(kept, p.User.OpenID) {
			t.Error("the search does not find what is kept")
		}
	})
}

func TestJ5_SigningInAgainEndsTheOldSessionOnEveryReplica(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		p, other := w.Member(w.Branch("第一党支部"), "丁一"), w.Replica()
		old := w.SignIn(p)
		refused(t, "the old token, before", call(t, other, old), nil)
		anew := w.SignIn(p)
		if old == anew {
			t.Fatal("the token is the same")
		}
		refused(t, "the old token", call(t, w.Services, old), model.ErrSignInAgain)
		refused(t, "the new token", call(t, w.Services, anew), nil)
		trial.Eventually(t, "the other replica refuses the old token", func() bool { return errors.Is(call(t, other, old), model.ErrSignInAgain) })
		refused(t, "the new token elsewhere", call(t, other, anew), nil)
	})
}

func TestSigningOutEndsOneSessionAndEndAllEndsThemAll(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		branch := w.Branch("第一党支部")
		p, bystander := w.Member(branch, "丁一"), w.Member(branch, "丁二")
		untouched := w.SignIn(bystander)
		for name, end := range map[string]func(context.Context, *model.Actor) error{"sign_out": w.Sessions.SignOut, "end_sessions": w.Sessions.EndAll} {
			token := w.SignIn(p)
			warm(t, w, token)
			refused(t, name, end(t.Context(), w.Actor(p)), nil)
			refused(t, "after "+name, call(t, w.Services, token), model.ErrSignInAgain)
			if n := countRows(t, w, "audit_entries", "action = ?", name); n != 1 {
				t.Errorf("%d audit entries of %s", n, name)
			}
		}
		refused(t, "somebody else", call(t, w.Services, untouched), nil)
	})
}

func TestJ7_ASessionEndsAtTheDocumentedMoment(t *testing.T) {
	const idle, life = 720 * time.Hour, 4320 * time.Hour
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		branch := w.Branch("第一党支部")
		begin := func(name string) string {
			w.Clock.Set(trial.Start)
			return w.SignIn(w.Member(branch, name))
		}
		at := func(after time.Duration, token string, want *model.Error) {
			t.Helper()
			w.Clock.Set(trial.Start.Add(after))
			refused(t, after.String(), call(t, w.Services, token), want)
			if want == nil {
				noted(t, w, w.Clock.Now().Add(1-time.Minute))
			}
		}
		never := begin("丁一")
		at(idle, never, model.ErrSignInAgain)

		once := begin("丁二")
		at(idle-time.Millisecond, once, nil)
		at(2*idle-2*time.Millisecond, once, nil)
		at(3*idle-2*time.Millisecond, once, model.ErrSignInAgain)

		often := begin("丁三")
		for after := idle - time.Hour; after < life; after += idle - time.Hour {
			at(after, often, nil)
		}
		at(life-2*time.Second, often, nil)
		warm(t, w, often)
		at(life-time.Millisecond, often, nil)
		at(life, often, model.ErrSignInAgain)
	})
}

func TestJ8_RightsThatEndEndWithTheNextRequest(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		branch := w.Branch("第一党支部")
		secretary, admin, other := w.Member(branch, "丁一"), w.Member(branch, "丁二"), w.Replica()
		w.Post(admin, w.District(), model.Administrator)
		post := w.Post(secretary, branch, model.Secretary)
		token := w.SignIn(secretary)
		posts := func(s *service.Services) int {
			actor, err := s.Sessions.Actor(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			return len(actor.Posts)
		}
		warm(t, w, token)
		if posts(w.Services) != 1 || posts(other) != 1 {
			t.Fatal("the secretary has no post to lose")
		}
		refused(t, "end the post", w.Posts.End(t.Context(), w.Actor(admin), post.ID, ""), nil)
		if posts(w.Services) != 0 {
			t.Error("the next request still has the post")
		}
		trial.Eventually(t, "the other replica has taken the post away", func() bool { return posts(other) == 0 })
		if _, err := w.Posts.Grant(t.Context(), w.Actor(admin), service.PostInput{MemberID: secretary.ID, OrganisationID: branch.ID, Kind: model.Secretary}); err != nil {
			t.Fatal(err)
		}
		if posts(w.Services) != 1 {
			t.Error("the next request does not have the new post")
		}
	})
}

func TestJ8_APostAndAMembershipEndAtMidnightOfTheOrganisation(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		old, anew := w.Branch("第一党支部"), w.Branch("第二党支部")
		p := w.Member(old, "丁一")
		post := w.Post(p, old, model.Secretary)
		if err := w.DB.Model(&post).Update("until_day", "2026-03-11").Error; err != nil {
			t.Fatal(err)
		}
		w.Move(p, anew, "2026-03-11")
		w.Clock.Set(time.Date(2026, 3, 10, 23, 59, 57, 0, trial.Zone))
		token := w.SignIn(p)
		warm(t, w, token)
		w.Clock.Set(time.Date(2026, 3, 10, 23, 59, 59, int(999*time.Millisecond), trial.Zone))
		if a := w.Actor(p); a.BranchID != old.ID || len(a.Posts) != 1 {
			t.Errorf("before midnight: %+v", a)
		}
		w.Clock.Set(time.Date(2026, 3, 11, 0, 0, 0, 0, trial.Zone))
		if a := w.Actor(p); a.BranchID != anew.ID || len(a.Posts) != 0 {
			t.Errorf("at midnight: %+v", a)
		}
	})
}

func TestJ13_WithWeChatAwaySessionsGoOnAndSigningInWaits(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		branch := w.Branch("第一党支部")
		p, late := w.Member(branch, "丁一"), w.Member(branch, "丁二")
		token := w.SignIn(p)
		for _, fault := range []sim.Fault{
			{Kind: sim.HTML}, {Kind: sim.Empty}, {Kind: sim.Truncated}, {Kind: sim.Reset}, {Kind: sim.Code, Code: -1}, {Kind: sim.Code, Code: 45011},
		} {
			w.WeChat.Arm(fault)
			what := string(fault.Kind) + " " + fmt.Sprint(fault.Code)
			_, err := signIn(t, w.Services, late.User)
			refused(t, "signing in, "+what, err, model.ErrPlatformAway)
			_, err = w.Bindings.Bind(t.Context(), w.Actor(p), service.BindInput{PhoneCode: p.User.PhoneCode()})
			refused(t, "binding, "+what, err, model.ErrPlatformAway)
			refused(t, "a session, "+what, call(t, w.Services, token), nil)
			w.WeChat.Disarm()
		}
		_, err := signIn(t, w.Services, late.User)
		refused(t, "signing in when WeChat is back", err, nil)
	})
}

func TestAPersonWhomWeChatDistrustsDoesNotSignIn(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		u := w.Stranger()
		u.Block(true)
		_, err := signIn(t, w.Services, u)
		refused(t, "sign in", err, model.ErrRiskySignIn)
	})
}

func TestAWrongAppSecretIsAFaultForTheOperatorNotARefusal(t *testing.T) {
	w := trial.New(t, trial.SQLite)
	w.WeChat.Arm(sim.Fault{Kind: sim.Code, Code: 40125})
	_, err := signIn(t, w.Services, w.Stranger())
	var refusal *model.Error
	if err == nil || errors.As(err, &refusal) || service.StoreAway(err) {
		t.Errorf("got %v, want a fault", err)
	}
}

func TestJ14_AFirstSignInTwentyTimesAtOnceMakesOneAccountAndLeavesOneSession(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		u, other := w.Stranger(), w.Replica()
		codes, tokens := make([]string, 20), make([]string, 20)
		for i := range codes {
			codes[i] = u.LoginCode()
		}
		trial.Race(len(codes), func(i int) {
			in, err := []*service.Services{w.Services, other}[i%2].Sessions.SignIn(t.Context(), service.SignInInput{Code: codes[i]})
			if err != nil {
				t.Errorf("sign-in %d: %v", i, err)
				return
			}
			tokens[i] = in.Token
		})
		if n := countRows(t, w, "accounts", "openid = ?", u.OpenID); n != 1 {
			t.Errorf("%d accounts", n)
		}
		if n := countRows(t, w, "sessions", "revoked_at IS NULL"); n != 1 {
			t.Errorf("%d open sessions", n)
		}
		slices.Sort(tokens)
		if len(slices.Compact(tokens)) != len(codes) {
			t.Error("two sign-ins got the same token")
		}
	})
}

func TestH2_AWipedRedisLogsNobodyOut(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		people := w.Members(w.Branch("第一党支部"), 6)
		tokens := make([]string, len(people))
		for i, p := range people {
			tokens[i] = w.SignIn(p)
		}
		warm(t, w, tokens[0])
		w.Redis.Wipe()
		cold := w.Trips(func() { refused(t, "after a wipe", call(t, w.Services, tokens[0]), nil) })
		if len(cold.SQL) == 0 {
			t.Error("the wipe wiped nothing: the session was still answered from Redis")
		}
		trial.Race(len(tokens)+1, func(i int) {
			for range 30 {
				if i == len(tokens) {
					w.Redis.Wipe()
				} else if err := call(t, w.Services, tokens[i]); err != nil {
					t.Errorf("%s: %v", people[i].Name, err)
				}
			}
		})
	})
}

func TestH3_WithRedisAwayEverythingOfSessionsWorks(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		branch := w.Branch("第一党支部")
		p, late := w.Member(branch, "丁一"), w.Member(branch, "丁二")
		token := w.SignIn(p)
		w.Redis.Cut()
		for range 10 {
			refused(t, "a session", call(t, w.Services, token), nil)
		}
		trips := w.Trips(func() { refused(t, "a session", call(t, w.Services, token), nil) })
		if len(trips.Redis) != 0 {
			t.Errorf("an absent Redis is still asked: %s", trips)
		}
		fresh := w.SignIn(late)
		refused(t, "a new session", call(t, w.Services, fresh), nil)
		refused(t, "sign out", w.Sessions.SignOut(t.Context(), w.Actor(late)), nil)
		refused(t, "signed out", call(t, w.Services, fresh), model.ErrSignInAgain)
		w.Redis.Revive()
		refused(t, "when Redis is back", call(t, w.Services, token), nil)
		refused(t, "signed out, when Redis is back", call(t, w.Services, fresh), model.ErrSignInAgain)
	})
}

func TestH5_OldRedisDumpRevivesNoRevokedSession(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		branch := w.Branch("第一党支部")
		p, bystander := w.Member(branch, "丁一"), w.SignIn(w.Member(branch, "丁二"))
		for _, pause := range []time.Duration{0, time.Second, 30 * time.Second, time.Minute - time.Millisecond, time.Minute, 24 * time.Hour} {
			t.Run(pause.String(), func(t *testing.T) {
				token := w.SignIn(p)
				warm(t, w, token)
				warm(t, w, bystander)
				restore := w.Redis.Dump()
				refused(t, "end all sessions", w.Sessions.EndAll(t.Context(), w.Actor(p)), nil)
				w.Clock.Advance(pause)
				restore()

				refused(t, "where it was ended", call(t, w.Services, token), model.ErrSignInAgain)
				restarted := w.Replica()
				warmOn(t, w, restarted, bystander) // so it has heard of changes and trusts copies
				restore()
				refused(t, "where it starts only now", call(t, restarted, token), model.ErrSignInAgain)
				restore()
				deaf := service.New(w.Parts)
				deaf.Sessions.Deafen()
				ctx, stop := context.WithCancel(t.Context())
				served := make(chan struct{})
				go func() { deaf.Sessions.ServeLoads(ctx); close(served) }()
				defer func() { stop(); <-served }()
				err := call(t, deaf, token)
				if trusted := pause < time.Minute; trusted != (err == nil) {
					t.Errorf("control: a replica that hears of no changes says %v; the dump must be able to revive a session younger than a minute", err)
				}
			})
		}
	})
}

func TestH6_WithTheDatabaseAwayNobodyIsToldToSignInAgain(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		branch := w.Branch("第一党支部")
		p, secretary := w.Member(branch, "丁一"), w.Member(branch, "丁二")
		w.Post(secretary, branch, model.Secretary)
		token, unknown := w.SignIn(p), strings.Repeat("u", 43)
		actor, keeper := w.Actor(p), w.Actor(secretary)
		warm(t, w, token)
		w.CutDatabase()
		refused(t, "a session with a fresh copy", call(t, w.Services, token), nil)
		away(t, "an unknown token", call(t, w.Services, unknown))
		w.Clock.Advance(6 * time.Second)
		away(t, "a copy, when no changes were heard of for six seconds", call(t, w.Services, token))
		_, err := signIn(t, w.Services, p.User)
		away(t, "sign in", err)
		away(t, "sign out", w.Sessions.SignOut(t.Context(), actor))
		away(t, "end all", w.Sessions.EndAll(t.Context(), actor))
		_, err = w.Bindings.Bind(t.Context(), actor, service.BindInput{PhoneCode: p.User.PhoneCode()})
		away(t, "bind by phone", err)
		_, err = w.Bindings.Bind(t.Context(), actor, service.BindInput{Invitation: "K7QM-3XHD-PA"})
		away(t, "bind by invitation", err)
		_, err = w.Bindings.Invite(t.Context(), keeper, p.ID)
		away(t, "invite", err)
		away(t, "unbind", w.Bindings.Unbind(t.Context(), keeper, p.ID))
		w.Redis.Cut()
		away(t, "a session with both stores away", call(t, w.Services, token))
		w.Redis.Revive()
		w.ReviveDatabase()
		refused(t, "when the database is back", call(t, w.Services, token), nil)
		refused(t, "an unknown token, when the database is back", call(t, w.Services, unknown), model.ErrSignInAgain)
	})
}

func TestWhoHangsUpTakesNobodyElseWithThem(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		token := w.SignIn(w.Member(w.Branch("第一党支部"), "丁一"))
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		trial.Race(10, func(i int) {
			ctx := t.Context()
			if i%2 == 0 {
				ctx = gone
			}
			if _, err := w.Sessions.Actor(ctx, token); err != nil {
				t.Errorf("caller %d: %v", i, err)
			}
		})
	})
}

func TestWhoHoldsTheRowOfASessionHoldsUpNobody(t *testing.T) {
	t.Parallel()
	w := trial.New(t, trial.MySQL) // of the embedded database one holds everything
	people := w.Members(w.Branch("第一党支部"), 3)
	tokens := make([]string, len(people))
	for i, p := range people {
		tokens[i] = w.SignIn(p)
	}
	w.Clock.Advance(time.Hour) // so that their use is to be noted
	held := w.DB.Begin()
	defer held.Rollback()
	if n := held.Exec("UPDATE sessions SET changed_at = ?", w.Clock.Now()).RowsAffected; n != int64(len(tokens)) {
		t.Fatalf("%d sessions are held", n)
	}
	trial.Race(len(tokens), func(i int) { refused(t, people[i].Name, call(t, w.Services, tokens[i]), nil) })
	var noted int64
	if err := w.DB.Model(&model.Session{}).Where("seen_at > ?", trial.Start).Count(&noted).Error; err != nil || noted != 0 {
		t.Errorf("control: %d uses are noted, %v: nobody was in the way", noted, err)
	}
}

func TestASessionIsNotedAsUsedAtMostOnceAMinute(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		token := w.SignIn(w.Member(w.Branch("第一党支部"), "丁一"))
		for _, step := range []struct{ after, want time.Duration }{
			{59 * time.Second, 0}, {60 * time.Second, time.Minute}, {61 * time.Second, time.Minute}, {3 * time.Minute, 3 * time.Minute},
		} {
			w.Clock.Set(trial.Start.Add(step.after))
			w.Redis.Wipe()
			refused(t, step.after.String(), call(t, w.Services, token), nil)
			// What was noted too early would be in the way of the next.
			noted(t, w, trial.Start.Add(step.want))
			if got := lastUse(t, w); !got.Equal(trial.Start.Add(step.want)) {
				t.Errorf("after %v it was seen at %v", step.after, got)
			}
		}
	})
}
