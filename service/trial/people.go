package trial

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"gorm.io/gorm"

	"dangri/model"
	"dangri/service"
	"dangri/wechat/sim"
)

// Person is a member with a phone: both the row in the registry and the one
// who holds the phone.
type Person struct {
	model.Member
	Branch model.Organisation
	Phone  string
	User   *sim.User // the same person as WeChat knows them
}

// District is the root of the tree, a work committee.
func (w *World) District() model.Organisation {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.plant()
	return *w.district
}

// Agencies is the departmental committee under the District, to which branches belong.
func (w *World) Agencies() model.Organisation {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.plant()
	return *w.agencies
}

func (w *World) plant() {
	if w.district != nil {
		return
	}
	district := w.Organisation(nil, model.WorkCommittee, "区党工委")
	agencies := w.Organisation(&district, model.DepartmentalCommittee, "机关工委")
	w.district, w.agencies = &district, &agencies
}

// Organisation makes an organisation under another, or a root.
func (w *World) Organisation(parent *model.Organisation, kind model.OrganisationKind, name string) model.Organisation {
	w.t.Helper()
	o := model.Organisation{Kind: kind, UnitKind: model.Organ, Name: name, CreatedAt: w.Clock.Now()}
	if parent != nil {
		o.ParentID = &parent.ID
	}
	w.create(&o)
	return o
}

// Branch makes a branch under Agencies.
func (w *World) Branch(name string) model.Organisation {
	w.t.Helper()
	agencies := w.Agencies()
	return w.Organisation(&agencies, model.Branch, name)
}

// Group makes a party group of a branch.
func (w *World) Group(branch model.Organisation, name string) model.Organisation {
	w.t.Helper()
	return w.Organisation(&branch, model.PartyGroup, name)
}

// About says more of a member that is being made.
type About func(*model.Member, *model.Membership)

// Probationary makes the member one without a vote.
func Probationary(m *model.Member, _ *model.Membership) { m.Status = model.ProbationaryMember }

// Leading puts the member into a leading body.
func Leading(m *model.Member, _ *model.Membership) { m.Leader = true }

// InGroup puts the member into a party group of the branch.
func InGroup(group model.Organisation) About {
	return func(_ *model.Member, b *model.Membership) { b.GroupID = &group.ID }
}

// Between lets the member belong to the branch from one day up to another.
func Between(from, until model.Day) About {
	return func(_ *model.Member, b *model.Membership) { b.Span = model.Span{From: from, Until: until} }
}

// Member makes a full member of the branch, there since 2020, with a phone of
// an invented number that WeChat knows as well. The phone is not bound.
func (w *World) Member(branch model.Organisation, name string, about ...About) *Person {
	w.t.Helper()
	w.mu.Lock()
	w.people++
	phone := fmt.Sprintf("199%08d", w.people)
	w.mu.Unlock()
	p := &Person{
		Member: model.Member{Name: name, Status: model.FullMember, CreatedAt: w.Clock.Now()},
		Branch: branch, Phone: phone, User: w.WeChat.NewUser(phone),
	}
	b := model.Membership{BranchID: branch.ID, Span: model.Span{From: "2020-01-01", Until: model.Forever}}
	for _, say := range about {
		say(&p.Member, &b)
	}
	err := w.DB.Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(&p.Member).Error; err != nil {
			return err
		}
		b.MemberID = p.ID
		return errors.Join(tx.Create(&b).Error, tx.Create(w.phoneRow(p)).Error)
	})
	if err != nil {
		w.t.Fatalf("make member %s: %v", name, err)
	}
	return p
}

// Members makes so many full members of the branch, with names such as 党员甲子.
func (w *World) Members(branch model.Organisation, n int, about ...About) []*Person {
	w.t.Helper()
	stems, branches := []rune("甲乙丙丁戊己庚辛壬癸"), []rune("子丑寅卯辰巳午未申酉戌亥")
	all := make([]*Person, n)
	for i := range all {
		name := "党员" + string(stems[i/len(branches)%len(stems)]) + string(branches[i%len(branches)])
		all[i] = w.Member(branch, name, about...)
	}
	return all
}

// phoneRow is a phone number as the table keeps it, sealed and under its blind
// index. The form is written out here a second time on purpose: rows that are
// already in a table must stay readable.
func (w *World) phoneRow(p *Person) *model.MemberPhone {
	key := w.Parts.Keys.Seal[0]
	aead, err := subtle.NewAESGCM(key.Key)
	if err != nil {
		w.t.Fatal(err)
	}
	sealed, err := aead.Encrypt([]byte(p.Phone), fmt.Appendf(nil, "member_phones|sealed|%d", p.ID))
	if err != nil {
		w.t.Fatal(err)
	}
	index := hmac.New(sha256.New, w.Parts.Keys.Index)
	index.Write([]byte("blind index\x00" + p.Phone))
	return &model.MemberPhone{
		MemberID: p.ID, Sealed: "a1." + key.ID + "." + base64.RawURLEncoding.EncodeToString(sealed),
		BlindIndex: base64.RawURLEncoding.EncodeToString(index.Sum(nil)),
	}
}

// Post gives the member a post in the organisation, held since 2020.
func (w *World) Post(p *Person, in model.Organisation, kind model.PostKind) model.Post {
	w.t.Helper()
	post := model.Post{MemberID: p.ID, OrganisationID: in.ID, Kind: kind, Span: model.Span{From: "2020-01-01", Until: model.Forever}}
	w.create(&post)
	return post
}

// Move ends the member's membership and begins one in another branch, on the day.
func (w *World) Move(p *Person, to model.Organisation, day model.Day) {
	w.t.Helper()
	err := w.DB.Model(&model.Membership{}).Where("member_id = ? AND until_day = ?", p.ID, model.Forever).Update("until_day", day).Error
	if err != nil {
		w.t.Fatalf("end membership of %s: %v", p.Name, err)
	}
	w.create(&model.Membership{MemberID: p.ID, BranchID: to.ID, Span: model.Span{From: day, Until: model.Forever}})
	p.Branch = to
}

// Bind joins the person's WeChat account to the member, without the ceremony.
func (w *World) Bind(p *Person) model.Account {
	w.t.Helper()
	var account model.Account
	if err := w.DB.Limit(1).Find(&account, "openid = ?", p.User.OpenID).Error; err != nil {
		w.t.Fatalf("find account of %s: %v", p.Name, err)
	}
	if account.ID == 0 {
		now := w.Clock.Now()
		account = model.Account{OpenID: p.User.OpenID, MemberID: &p.ID, BoundAt: &now, CreatedAt: now}
		w.create(&account)
	}
	return account
}

// SignIn opens a session through the platform and returns its token; earlier
// sessions of the person end. Whoever never signed in before is bound first.
func (w *World) SignIn(p *Person) (token string) {
	w.t.Helper()
	w.Bind(p)
	in, err := w.Sessions.SignIn(w.t.Context(), service.SignInInput{Code: p.User.LoginCode()})
	if err != nil {
		w.t.Fatalf("sign in %s: %v", p.Name, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tokens[p.ID] = in.Token
	return in.Token
}

// Token is the person's present session; without one they sign in.
func (w *World) Token(p *Person) string {
	w.t.Helper()
	w.mu.Lock()
	token := w.tokens[p.ID]
	w.mu.Unlock()
	if token == "" {
		return w.SignIn(p)
	}
	return token
}

// Actor is the person as use cases see them, with the rights of this moment.
func (w *World) Actor(p *Person) *model.Actor {
	w.t.Helper()
	actor, err := w.Sessions.Actor(w.t.Context(), w.Token(p))
	if err != nil {
		w.t.Fatalf("session of %s: %v", p.Name, err)
	}
	return actor
}

// Stranger is a WeChat user who is in no roster.
func (w *World) Stranger() *sim.User { return w.WeChat.NewUser("") }

func (w *World) create(row any) {
	w.t.Helper()
	if err := w.DB.Create(row).Error; err != nil {
		w.t.Fatalf("make %T: %v", row, err)
	}
}
