package rig

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Town is a party organisation of branches of equal size, every member signed
// in, written straight into the database. People are numbered from zero,
// branch by branch; the first of each branch is its secretary.
type Town struct {
	db        *gorm.DB
	branches  int
	perBranch int
	held      int
}

const perCommittee = 20 // branches under one general branch

// Found makes a town with branches × perBranch members, three levels of
// superiors above them, and past meetings at which all were present.
func Found(ctx context.Context, db *gorm.DB, branches, perBranch, past int) (*Town, error) {
	t := &Town{db: db.WithContext(ctx), branches: branches, perBranch: perBranch}
	now := time.Now().UTC().Truncate(time.Millisecond)
	always := model.Span{From: "2020-01-01", Until: model.Forever}
	var tree []model.Organisation
	add := func(id, parent uint64, kind model.OrganisationKind, name string) {
		o := model.Organisation{ID: id, Kind: kind, UnitKind: model.CommunityUnit, Name: name, CreatedAt: now}
		if parent != 0 {
			o.ParentID = &parent
		}
		tree = append(tree, o)
	}
	top := uint64(branches) + 1
	add(top, 0, model.WorkCommittee, "城关区党工委")
	add(top+1, top, model.PrimaryCommittee, "城关区基层党委")
	for g := range uint64(branches+perCommittee-1) / perCommittee {
		add(top+2+g, top+1, model.GeneralBranch, fmt.Sprintf("第%d党总支", g+1))
	}
	for b := range uint64(branches) {
		add(b+1, top+2+b/perCommittee, model.Branch, fmt.Sprintf("第%d党支部", b+1))
	}
	n := t.Size()
	members, memberships := make([]model.Member, n), make([]model.Membership, n)
	accounts, sessions := make([]model.Account, n), make([]model.Session, n)
	var posts []model.Post
	for i := range n {
		id := memberID(i)
		members[i] = model.Member{ID: id, Name: t.Name(i), Status: model.FullMember, CreatedAt: now}
		memberships[i] = model.Membership{MemberID: id, BranchID: t.Branch(i), Span: always}
		accounts[i] = model.Account{ID: id, OpenID: t.OpenID(i), MemberID: &id, BoundAt: &now, CreatedAt: now}
		hash := sha256.Sum256([]byte(t.Token(i)))
		sessions[i] = model.Session{ID: id, TokenHash: base64.RawURLEncoding.EncodeToString(hash[:]), AccountID: id,
			CreatedAt: now, SeenAt: now, ExpiresAt: now.AddDate(0, 0, 30)}
		if i%perBranch < committee {
			post := model.Post{MemberID: id, OrganisationID: t.Branch(i), Kind: model.CommitteeMember, Span: always}
			if t.Secretary(i) == i {
				post.Kind = model.Secretary
			}
			posts = append(posts, post)
		}
	}
	for _, rows := range []any{tree, members, memberships, posts, accounts, sessions} {
		if err := t.db.CreateInBatches(rows, 1000).Error; err != nil {
			return nil, fmt.Errorf("found town: %w", err)
		}
	}
	for m := range past {
		if err := t.remember(now.AddDate(0, 0, -7*(past-m))); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func memberID(person int) uint64 { return uint64(person) + 1 }

// Size is how many people live here.
func (t *Town) Size() int { return t.branches * t.perBranch }

// PerBranch is how many people are in each branch.
func (t *Town) PerBranch() int { return t.perBranch }

// Name is what a person is called.
func (t *Town) Name(person int) string { return fmt.Sprintf("党员%06d", person) }

// OpenID is what the platform calls a person.
func (t *Town) OpenID(person int) string { return fmt.Sprintf("rig-openid-%06d", person) }

// Phone is a person's number, which is on record only once somebody enrols it.
func (t *Town) Phone(person int) string { return fmt.Sprintf("1990%07d", person) }

// Branch is the branch of a person.
func (t *Town) Branch(person int) uint64 { return uint64(person/t.perBranch) + 1 }

// Secretary is the secretary of a person's branch.
func (t *Town) Secretary(person int) int { return person - person%t.perBranch }

// Secretaries are all of them, one for each branch.
func (t *Town) Secretaries() []int {
	all := make([]int, t.branches)
	for b := range all {
		all[b] = b * t.perBranch
	}
	return all
}

// committee is how many of a branch run its meetings, the secretary first.
const committee = 5

// RunsMeetings says whether a person is on the committee of their branch.
func (t *Town) RunsMeetings(person int) bool { return person%t.perBranch < committee }

// Token is what a person's phone keeps.
func (t *Town) Token(person int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "the rig's token of person %d", person))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Meeting is one activity of every branch, held at the same time.
type Meeting struct {
	town  *Town
	first uint64 // the activity of the first branch; the others follow
}

// Activity is the activity that a person is expected at.
func (m *Meeting) Activity(person int) uint64 { return m.first + uint64(person/m.town.perBranch) }

// Activities are all of them, one for each branch.
func (m *Meeting) Activities() []uint64 {
	ids := make([]uint64, m.town.branches)
	for b := range ids {
		ids[b] = m.first + uint64(b)
	}
	return ids
}

// Meet closes the meeting before, as if it had been last week, and opens
// check-in for the next one, with everybody on the rosters.
func (t *Town) Meet() (*Meeting, error) {
	lastWeek := time.Now().UTC().AddDate(0, 0, -7).Truncate(time.Second)
	var on []uint64
	err := t.db.Model(&model.Activity{}).Where("status = ?", model.Published).Pluck("id", &on).Error
	if err == nil && len(on) > 0 {
		err = errors.Join(t.db.Model(&model.RosterEntry{}).Where("activity_id IN ?", on).Update("closes_at", lastWeek).Error,
			t.db.Model(&model.Activity{}).Where("id IN ?", on).Updates(map[string]any{"status": model.Closed, "closes_at": lastWeek}).Error)
	}
	if err != nil {
		return nil, fmt.Errorf("close meetings: %w", err)
	}
	return t.hold(time.Now().UTC().Truncate(time.Second), model.Published)
}

// remember is a closed meeting at which everybody was present.
func (t *Town) remember(at time.Time) error {
	m, err := t.hold(at, model.Closed)
	if err != nil {
		return err
	}
	err = t.db.Exec(`INSERT INTO attendances (activity_id, member_id, branch_id, status, provenance, at, location, guest, reason, nonce, fingerprint)
		SELECT activity_id, member_id, branch_id, ?, ?, ?, ?, 0, '', CONCAT('past-', member_id), '' FROM roster_entries WHERE activity_id >= ? AND activity_id < ?`,
		model.Present, model.ByScan, at, model.LocationNotGiven, m.first, m.first+uint64(t.branches)).Error
	if err != nil {
		return fmt.Errorf("remember meeting: %w", err)
	}
	err = t.db.Exec("INSERT INTO credit_entries (member_id, on_day, activity_id, came, hours) SELECT member_id, ?, activity_id, 1, 2 FROM roster_entries WHERE activity_id >= ? AND activity_id < ?",
		model.DayOf(at, time.FixedZone("Asia/Shanghai", 8*60*60)), m.first, m.first+uint64(t.branches)).Error
	if err != nil {
		return fmt.Errorf("credit meeting: %w", err)
	}
	return nil
}

func (t *Town) hold(at time.Time, status model.ActivityStatus) (*Meeting, error) {
	m := &Meeting{town: t}
	if err := t.db.Model(&model.Activity{}).Select("COALESCE(MAX(id), 0) + 1").Scan(&m.first).Error; err != nil { // people make activities too
		return nil, fmt.Errorf("hold meeting: %w", err)
	}
	t.held++
	activities := make([]model.Activity, t.branches)
	for b := range activities {
		id := m.first + uint64(b)
		activities[b] = model.Activity{ID: id, OrganisationID: uint64(b) + 1, Kind: model.ThemePartyDay, Title: fmt.Sprintf("第%d次主题党日", t.held),
			Content: "学习与志愿服务", Place: model.Place{Name: "三楼会议室"}, StartsAt: at.Add(30 * time.Minute), EndsAt: at.Add(150 * time.Minute),
			OpensAt: at.Add(-time.Minute), LateAt: at.Add(35 * time.Minute), ClosesAt: at.Add(150 * time.Minute), CreditHours: 2,
			Audience: model.WholeBranch, Status: status, Version: 1, CreatedBy: memberID(b * t.perBranch), PublishedAt: &at, CreatedAt: at,
			Once: model.Once{Nonce: fmt.Sprintf("rig-activity-%d", id)}}
	}
	err := t.db.CreateInBatches(activities, 1000).Error
	if err == nil { // a town of a hundred thousand comes to each
		err = t.db.Exec(`INSERT INTO roster_entries (activity_id, member_id, branch_id, votes, exempt, exempt_note, closes_at)
			SELECT a.id, m.member_id, m.branch_id, 1, '', '', a.closes_at FROM activities a JOIN memberships m ON m.branch_id = a.organisation_id
			WHERE a.id >= ? AND a.id < ?`, m.first, m.first+uint64(t.branches)).Error
	}
	if err != nil {
		return nil, fmt.Errorf("hold meeting: %w", err)
	}
	return m, nil
}

// Codes asks the server for the code on every screen of the meeting. Codes
// change every few seconds, so use them soon.
func (m *Meeting) Codes(address string) (*Codes, error) {
	c := &Codes{meeting: m, codes: make([]string, m.town.branches)}
	var failed atomic.Value
	Crowd(16, len(c.codes), func(_, b int) {
		path := fmt.Sprintf("/v1/activities/%d/check-in-code", m.first+uint64(b))
		w := NewWire(address)
		defer w.Close()
		status, body, err := w.Do(Request(http.MethodGet, path, m.town.Token(b*m.town.perBranch), nil))
		var screen struct {
			Code string `json:"code"`
		}
		if err != nil || status != http.StatusOK || json.Unmarshal(body, &screen) != nil {
			failed.Store(fmt.Errorf("code of branch %d: %d %s %w", b+1, status, body, err))
		}
		c.codes[b] = screen.Code
	})
	if err := failed.Load(); err != nil {
		return nil, err.(error)
	}
	return c, nil
}

// Unsigned are codes that name the activities and prove nothing, for servers
// that ask for no proof.
func (m *Meeting) Unsigned() *Codes {
	c := &Codes{meeting: m, codes: make([]string, m.town.branches)}
	for b := range c.codes {
		c.codes[b] = strconv.FormatUint(m.first+uint64(b), 36) + ".0.0.0"
	}
	return c
}

// Codes are what the screens of a meeting show.
type Codes struct {
	meeting *Meeting
	codes   []string
}

// Of is the code that a person sees.
func (c *Codes) Of(person int) string { return c.codes[person/c.meeting.town.perBranch] }

// CheckIn is the request by which a person's phone checks in.
func (c *Codes) CheckIn(person int, nonce string) []byte {
	return Request(http.MethodPost, "/v1/check-ins", c.meeting.town.Token(person), c.Body(person, nonce))
}

// Body is the body of that request.
func (c *Codes) Body(person int, nonce string) []byte {
	body, _ := json.Marshal(map[string]string{"code": c.Of(person), "nonce": nonce}) // strings always can
	return body
}

// Recorded counts the meeting's rows, and the people among them: each is
// expected at one of its activities.
func (m *Meeting) Recorded() (rows, people int64, err error) {
	var out struct{ Rows, People int64 }
	err = m.town.db.Raw("SELECT COUNT(*) AS `rows`, COUNT(DISTINCT member_id) AS people FROM attendances WHERE activity_id >= ? AND activity_id < ? AND voided = 0",
		m.first, m.first+uint64(m.town.branches)).Scan(&out).Error
	if err != nil {
		return 0, 0, fmt.Errorf("count rows: %w", err)
	}
	return out.Rows, out.People, nil
}

// Crowd does things 0 … n-1 with so many hands and returns when all are done.
func Crowd(hands, n int, do func(hand, i int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for h := range hands {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(h, i)
			}
		})
	}
	all.Wait()
}
