package service_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
	"dangri/wechat/sim"
)

func countRows(t *testing.T, w *trial.World, table, where string, args ...any) (n int64) {
	t.Helper()
	if err := w.DB.Table(table).Where(where, args...).Count(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

// visitor is a WeChat user who has signed in, bound to nobody.
type visitor struct {
	*sim.User
	token string
	actor *model.Actor
}

func newVisitor(t *testing.T, w *trial.World, u *sim.User) *visitor {
	t.Helper()
	in, err := signIn(t, w.Services, u)
	if err != nil {
		t.Fatal(err)
	}
	actor, err := w.Sessions.Actor(t.Context(), in.Token)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{u, in.Token, actor}
}

func (v *visitor) byPhone(t *testing.T, w *trial.World) (*model.Member, error) {
	return w.Bindings.Bind(t.Context(), v.actor, service.BindInput{PhoneCode: v.PhoneCode()})
}

func (v *visitor) byInvitation(t *testing.T, w *trial.World, code string) (*model.Member, error) {
	return w.Bindings.Bind(t.Context(), v.actor, service.BindInput{Invitation: code})
}

// meetingPoint is where n goroutines wait for one another: what a control does
// between looking and acting, it does at the worst moment.
func meetingPoint(n int) (arrive func()) {
	var all sync.WaitGroup
	all.Add(n)
	return func() {
		all.Done()
		all.Wait()
	}
}

func TestABindingByPhoneGivesTheNextRequestItsRights(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		branch := w.Branch("第一党支部")
		p := w.Member(branch, "丁一")
		w.Post(p, branch, model.Secretary)
		v := newVisitor(t, w, p.User)
		if v.actor.MemberID != 0 || v.actor.BranchID != 0 || len(v.actor.Posts) != 0 {
			t.Errorf("before the binding: %+v", v.actor)
		}
		warm(t, w, v.token)
		member, err := v.byPhone(t, w)
		if err != nil || member.ID != p.ID {
			t.Fatalf("got %+v, %v", member, err)
		}
		actor, err := w.Sessions.Actor(t.Context(), v.token)
		if err != nil || actor.MemberID != p.ID || actor.Name != "丁一" || actor.BranchID != branch.ID || len(actor.Posts) != 1 {
			t.Errorf("after the binding: %+v, %v", actor, err)
		}
		in, err := signIn(t, w.Services, p.User)
		if err != nil || !in.Bound || in.Member.ID != p.ID {
			t.Errorf("signing in again: %+v, %v", in, err)
		}
		if n := countRows(t, w, "audit_entries", "action = 'bind' AND object = ?", fmt.Sprint("member/", p.ID)); n != 1 {
			t.Errorf("%d audit entries", n)
		}
	})
}

func TestWhatProvesNobodyBindsNobody(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		w.Member(w.Branch("第一党支部"), "丁一")
		v := newVisitor(t, w, w.Stranger())
		_, err := v.byPhone(t, w)
		refused(t, "a phone that is on no roster", err, model.ErrPhoneUnknown)
		used := v.PhoneCode()
		for range 2 {
			_, err = w.Bindings.Bind(t.Context(), v.actor, service.BindInput{PhoneCode: used})
		}
		refused(t, "a phone code used before", err, model.ErrBadPhoneCode)
		old := v.PhoneCode()
		w.Clock.Advance(5*time.Minute + time.Second)
		_, err = w.Bindings.Bind(t.Context(), v.actor, service.BindInput{PhoneCode: old})
		refused(t, "an old phone code", err, model.ErrBadPhoneCode)
		_, err = v.byInvitation(t, w, "K7QM-3XHD-PA")
		refused(t, "an invitation that nobody issued", err, model.ErrBadInvitation)
		for _, in := range []service.BindInput{{}, {PhoneCode: "a", Invitation: "b"}} {
			_, err = w.Bindings.Bind(t.Context(), v.actor, in)
			refused(t, "neither or both", err, model.BadField("phone_code", ""))
		}
		if n := countRows(t, w, "accounts", "member_id IS NOT NULL"); n != 0 {
			t.Errorf("%d accounts are bound", n)
		}
	})
}

func TestD8_OneWeChatIsOneMember(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		branch := w.Branch("第一党支部")
		first, second, secretary := w.Member(branch, "丁一"), w.Member(branch, "丁二"), w.Member(branch, "丁三")
		w.Post(secretary, branch, model.Secretary)
		v := newVisitor(t, w, first.User)
		if _, err := v.byPhone(t, w); err != nil {
			t.Fatal(err)
		}
		_, err := v.byPhone(t, w)
		refused(t, "the same again", err, nil)
		invited, err := w.Bindings.Invite(t.Context(), w.Actor(secretary), second.ID)
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.byInvitation(t, w, invited.Code)
		refused(t, "another member", err, model.ErrAlreadyBound)
		if n := countRows(t, w, "accounts", "member_id = ?", second.ID); n != 0 {
			t.Error("the second member is bound")
		}
		// The refusal did not spend the invitation.
		_, err = newVisitor(t, w, second.User).byInvitation(t, w, invited.Code)
		refused(t, "the one who was invited", err, nil)
	})
}

func TestD8_ASecondWeChatTakesTheMemberAndEndsTheFirstOnesSessions(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		p, other := w.Member(w.Branch("第一党支部"), "丁一"), w.Replica()
		lost := w.SignIn(p)
		refused(t, "the old phone", call(t, other, lost), nil)
		v := newVisitor(t, w, w.WeChat.NewUser(p.Phone))
		member, err := v.byPhone(t, w)
		if err != nil || member.ID != p.ID {
			t.Fatalf("got %+v, %v", member, err)
		}
		refused(t, "the old phone", call(t, w.Services, lost), model.ErrSignInAgain)
		trial.Eventually(t, "the other replica refuses the old phone", func() bool { return errors.Is(call(t, other, lost), model.ErrSignInAgain) })
		refused(t, "the new phone", call(t, w.Services, v.token), nil)
		if n := countRows(t, w, "accounts", "member_id = ?", p.ID); n != 1 {
			t.Errorf("%d accounts hold the member", n)
		}
		if n := countRows(t, w, "audit_entries", "action = 'rebind' AND account_id = ?", v.actor.AccountID); n != 1 {
			t.Errorf("%d audit entries of the change", n)
		}
		in, err := signIn(t, w.Services, p.User)
		if err != nil || in.Bound {
			t.Errorf("the old WeChat signs in as %+v, %v; want an unbound account", in, err)
		}
	})
}

func TestD8_ManyWeChatsBindOneMemberAtOnceAndOneHolds(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		p := w.Member(w.Branch("第一党支部"), "丁一")
		visitors := make([]*visitor, 12)
		for i := range visitors {
			visitors[i] = newVisitor(t, w, w.WeChat.NewUser(p.Phone))
		}
		trial.Race(len(visitors), func(i int) {
			if _, err := visitors[i].byPhone(t, w); err != nil {
				t.Errorf("visitor %d: %v", i, err)
			}
		})
		if n := countRows(t, w, "accounts", "member_id = ?", p.ID); n != 1 {
			t.Errorf("%d accounts hold the member", n)
		}
		alive := 0
		for _, v := range visitors {
			if call(t, w.Services, v.token) == nil {
				alive++
			}
		}
		if alive != 1 {
			t.Errorf("%d of the sessions live on, want the holder's", alive)
		}
	})
}

func TestD8_Control_WithoutLockAndKeySeveralWeChatsHoldOneMember(t *testing.T) {
	w := trial.New(t, trial.MySQL)
	p := w.Member(w.Branch("第一党支部"), "丁一")
	for _, change := range []string{"ALTER TABLE accounts DROP FOREIGN KEY accounts_to_member", "ALTER TABLE accounts DROP KEY accounts_member"} {
		if err := w.DB.Exec(change).Error; err != nil {
			t.Fatal(err)
		}
	}
	accounts := make([]model.Account, 12)
	for i := range accounts {
		accounts[i] = model.Account{OpenID: w.Stranger().OpenID, CreatedAt: w.Clock.Now()}
	}
	if err := w.DB.Create(&accounts).Error; err != nil {
		t.Fatal(err)
	}
	looked := meetingPoint(len(accounts))
	trial.Race(len(accounts), func(i int) {
		err := w.DB.Transaction(func(tx *gorm.DB) error {
			var holders []model.Account
			err := tx.Find(&holders, "member_id = ?", p.ID).Error
			looked()
			if err != nil {
				return err
			}
			for _, h := range holders {
				if err := tx.Model(&h).Update("member_id", nil).Error; err != nil {
					return err
				}
			}
			return tx.Model(&accounts[i]).Update("member_id", p.ID).Error
		})
		if err != nil {
			t.Errorf("account %d: %v", i, err)
		}
	})
	if n := countRows(t, w, "accounts", "member_id = ?", p.ID); n < 2 {
		t.Errorf("%d account holds the member: this test cannot see the race", n)
	}
}

func TestOneWeChatInvitedForManyMembersAtOnceIsOneOfThem(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		branch := w.Branch("第一党支部")
		secretary := w.Member(branch, "丁一")
		w.Post(secretary, branch, model.Secretary)
		codes := make([]string, 8)
		for i, p := range w.Members(branch, len(codes)) {
			invited, err := w.Bindings.Invite(t.Context(), w.Actor(secretary), p.ID)
			if err != nil {
				t.Fatal(err)
			}
			codes[i] = invited.Code
		}
		v := newVisitor(t, w, w.Stranger())
		var bound atomic.Int64
		trial.Race(len(codes), func(i int) {
			_, err := v.byInvitation(t, w, codes[i])
			if err == nil {
				bound.Add(1)
			} else if !errors.Is(err, model.ErrAlreadyBound) {
				t.Errorf("invitation %d: %v", i, err)
			}
		})
		if bound.Load() != 1 || countRows(t, w, "accounts", "id = ? AND member_id IS NOT NULL", v.actor.AccountID) != 1 {
			t.Errorf("bound %d times", bound.Load())
		}
		if n := countRows(t, w, "invitations", "used_at IS NOT NULL"); n != 1 {
			t.Errorf("%d invitations are spent", n)
		}
	})
}

func TestAnInvitationWorksOnceForOnePersonHoweverManyTry(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		branch := w.Branch("第一党支部")
		secretary, p := w.Member(branch, "丁一"), w.Member(branch, "丁二")
		w.Post(secretary, branch, model.Secretary)
		invited, err := w.Bindings.Invite(t.Context(), w.Actor(secretary), p.ID)
		if err != nil {
			t.Fatal(err)
		}
		visitors := make([]*visitor, 12)
		for i := range visitors {
			visitors[i] = newVisitor(t, w, w.Stranger())
		}
		var bound atomic.Int64
		trial.Race(len(visitors), func(i int) {
			_, err := visitors[i].byInvitation(t, w, invited.Code)
			if err == nil {
				bound.Add(1)
			} else if !errors.Is(err, model.ErrBadInvitation) {
				t.Errorf("visitor %d: %v", i, err)
			}
		})
		if bound.Load() != 1 {
			t.Errorf("one invitation bound %d people", bound.Load())
		}
		var account model.Account
		if err := w.DB.Take(&account, "member_id = ?", p.ID).Error; err != nil {
			t.Fatal(err)
		}
		for _, v := range visitors {
			if v.actor.AccountID != account.ID {
				continue
			}
			if v.actor, err = w.Sessions.Actor(t.Context(), v.token); err != nil {
				t.Fatal(err)
			}
			_, err = v.byInvitation(t, w, invited.Code)
			refused(t, "a retry of the one who spent it", err, nil)
		}
	})
}

func TestAnInvitation_Control_ReadThenWrittenWorksMoreThanOnce(t *testing.T) {
	w := trial.New(t, trial.MySQL)
	p := w.Member(w.Branch("第一党支部"), "丁一")
	row := model.Invitation{MemberID: p.ID, CodeHash: "x", IssuedBy: p.ID, ExpiresAt: w.Clock.Now().Add(time.Hour), CreatedAt: w.Clock.Now()}
	if err := w.DB.Create(&row).Error; err != nil {
		t.Fatal(err)
	}
	var used atomic.Int64
	looked := meetingPoint(12)
	trial.Race(12, func(int) {
		var read model.Invitation
		err := w.DB.Take(&read, row.ID).Error
		looked()
		if err != nil || read.UsedAt != nil {
			return
		}
		if err := w.DB.Model(&read).Update("used_at", w.Clock.Now()).Error; err == nil {
			used.Add(1)
		}
	})
	if used.Load() < 2 {
		t.Errorf("it was used %d times: this test cannot see the race", used.Load())
	}
}

func TestAnInvitationHasALifeAndTheNextOneReplacesIt(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		branch := w.Branch("第一党支部")
		secretary, p := w.Member(branch, "丁一"), w.Member(branch, "丁二")
		w.Post(secretary, branch, model.Secretary)
		invite := func() *service.Invited {
			invited, err := w.Bindings.Invite(t.Context(), w.Actor(secretary), p.ID)
			if err != nil {
				t.Fatal(err)
			}
			return invited
		}
		v := newVisitor(t, w, w.Stranger())
		first := invite()
		if want := w.Clock.Now().Add(72 * time.Hour); !first.ExpiresAt.Equal(want) {
			t.Errorf("it ends at %v, want %v", first.ExpiresAt, want)
		}
		w.Clock.Set(first.ExpiresAt)
		_, err := v.byInvitation(t, w, first.Code)
		refused(t, "at its end", err, model.ErrBadInvitation)
		second := invite()
		third := invite()
		_, err = v.byInvitation(t, w, second.Code)
		refused(t, "one that was replaced", err, model.ErrBadInvitation)
		w.Clock.Set(third.ExpiresAt.Add(-time.Millisecond))
		_, err = v.byInvitation(t, w, " "+strings.ToLower(strings.ReplaceAll(third.Code, "-", " ")))
		refused(t, "the last moment, typed in small letters", err, nil)
		if n := countRows(t, w, "invitations", "code_hash LIKE ?", "%"+third.Code+"%"); n != 0 {
			t.Error("the code itself is kept")
		}
	})
}

func TestOnlyWhoKeepsTheRosterInvitesAndUnbinds(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		branch, elsewhere := w.Branch("第一党支部"), w.Branch("第二党支部")
		p := w.Member(branch, "丁一")
		posts := []struct {
			name string
			in   model.Organisation
			kind model.PostKind
			may  bool
		}{
			{"书记", branch, model.Secretary, true}, {"管理员", w.District(), model.Administrator, true},
			{"委员", branch, model.CommitteeMember, false}, {"别支部书记", elsewhere, model.Secretary, false},
			{"上级", w.Agencies(), model.Supervisor, false}, {"上级书记", w.Agencies(), model.Secretary, false},
		}
		actors := []*model.Actor{w.Actor(p), w.Actor(w.Member(branch, "丁二"))}
		may := []bool{false, false}
		for _, post := range posts {
			holder := w.Member(post.in, post.name)
			w.Post(holder, post.in, post.kind)
			actors, may = append(actors, w.Actor(holder)), append(may, post.may)
		}
		for i, actor := range actors {
			var want *model.Error
			if !may[i] {
				want = model.ErrNotFound
			}
			_, err := w.Bindings.Invite(t.Context(), actor, p.ID)
			refused(t, actor.Name+" invites", err, want)
			refused(t, actor.Name+" unbinds", w.Bindings.Unbind(t.Context(), actor, p.ID), want)
			_, err = w.Bindings.Invite(t.Context(), actor, 999_999)
			refused(t, actor.Name+" invites nobody", err, model.ErrNotFound)
		}
	})
}

func TestUnbindingEndsTheSessionsAtOnceAndLeavesTheMemberFree(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		branch := w.Branch("第一党支部")
		secretary, p := w.Member(branch, "丁一"), w.Member(branch, "丁二")
		w.Post(secretary, branch, model.Secretary)
		token := w.SignIn(p)
		warm(t, w, token)
		for range 2 { // a second time changes nothing
			refused(t, "unbind", w.Bindings.Unbind(t.Context(), w.Actor(secretary), p.ID), nil)
		}
		refused(t, "the session", call(t, w.Services, token), model.ErrSignInAgain)
		if n := countRows(t, w, "accounts", "member_id = ?", p.ID); n != 0 {
			t.Error("the member is still bound")
		}
		_, err := newVisitor(t, w, w.WeChat.NewUser(p.Phone)).byPhone(t, w)
		refused(t, "binding anew", err, nil)
	})
}

func TestB12_WhoGuessesInvitationsWaitsAndNobodyElseDoes(t *testing.T) {
	guess := func(t *testing.T, w *trial.World, v *visitor) {
		begun, tries := time.Now(), 0
		for range 100 {
			_, err := v.byInvitation(t, w, "K7QM-3XHD-PA")
			if errors.Is(err, model.ErrTooManyAttempts) {
				break
			}
			tries++
			refused(t, "a guess", err, model.ErrBadInvitation)
		}
		// Ten at once, and one more every six seconds.
		if allowed := 11 + int(time.Since(begun)/(6*time.Second)); tries < 10 || tries > allowed {
			t.Errorf("%d guesses were answered", tries)
		}
	}
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		p := w.Member(w.Branch("第一党支部"), "丁一")
		guesser, honest := newVisitor(t, w, w.Stranger()), newVisitor(t, w, p.User)
		guess(t, w, guesser)
		_, err := guesser.byPhone(t, w)
		refused(t, "the guesser by phone", err, model.ErrTooManyAttempts)
		var refusal *model.Error
		if !errors.As(err, &refusal) || refusal.RetryAfter < time.Second || refusal.RetryAfter > time.Minute {
			t.Errorf("the guesser is told to wait %v", refusal.RetryAfter)
		}
		_, err = honest.byPhone(t, w)
		refused(t, "somebody else", err, nil)

		w.Redis.Cut()
		guess(t, w, newVisitor(t, w, w.Stranger())) // limited without Redis too
		_, err = honest.byPhone(t, w)
		refused(t, "somebody else, without Redis", err, nil)
	})
}
