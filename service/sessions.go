package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	json "github.com/go-json-experiment/json"
	"golang.org/x/time/rate"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"dangri/model"
)

// Sessions is who has signed in. The truth is in the database; Redis keeps a
// copy of each working session for a minute. A copy is trusted only if nothing
// about the session has changed since it was made: every replica reads the
// recent changes twice a second, so neither an old Redis dump nor a lost
// delete revives a session for longer than that.
type Sessions struct {
	db       *gorm.DB
	cache    *cache
	platform Platform
	settings Settings
	now      func() time.Time
	log      *slog.Logger
	loads    *groups[string, *sessionCopy]     // by the hash of the token
	copies   *groups[[]*sessionCopy, struct{}] // on their way to Redis; nobody waits
	uses     *groups[[]uint64, struct{}]       // of sessions, on their way to the database; nobody waits
	pace     buckets

	mu      sync.Mutex
	changed map[uint64]time.Time // recent changes by session
	heard   time.Time            // when changes were last read
}

const (
	copyLife      = time.Minute            // how long a copy is trusted
	changePeriod  = 500 * time.Millisecond // how often changes are read
	changeSilence = 5 * time.Second        // after that without news no copy is trusted
	clockSkew     = 10 * time.Second       // how far replicas' clocks may differ
	sessionGroup  = 128                    // the most sessions that are loaded together
	sessionQueue  = 4096                   // beyond that callers are asked to come again
	afterLoads    = 8                      // the most groups of which something is kept together
	usesPatience  = time.Second            // then the use of a group is noted another time
)

func newSessions(p Parts, c *cache) *Sessions {
	s := &Sessions{db: p.DB, cache: c, platform: p.Platform, settings: p.Settings, now: p.Now, log: p.Log, changed: map[uint64]time.Time{}}
	s.loads = newGroups(sessionGroup, sessionQueue, s.load)
	s.copies = newGroups(afterLoads, sessionQueue/sessionGroup, s.leaveCopies)
	s.uses = newGroups(afterLoads, sessionQueue/sessionGroup, s.noteUses)
	return s
}

// SignInInput is what wx.login gave the phone.
type SignInInput struct {
	Code string `json:"code" minLength:"1" maxLength:"128" pattern:"^[0-9A-Za-z_-]+$" doc:"微信登录凭证：wx.login 的 code，五分钟内有效，只能用一次"`

	Address string `json:"-"` // of the phone
}

// SignedIn is a new session. The token is shown this once.
type SignedIn struct {
	Token     string        `json:"token" doc:"放在 Authorization: Bearer 之后"`
	ExpiresAt time.Time     `json:"expires_at" doc:"最迟的失效时间"`
	Bound     bool          `json:"bound" doc:"微信是否已绑定党员"`
	Member    *model.Member `json:"member,omitempty"`
}

// SignIn opens a session for the WeChat user behind a wx.login code and ends
// the user's earlier sessions. A used or old code is refused.
func (s *Sessions) SignIn(ctx context.Context, in SignInInput) (*SignedIn, error) {
	now := s.now()
	openID, err := s.platform.SignIn(ctx, in.Code)
	if err != nil {
		return nil, s.failed(ctx, &model.Actor{Address: in.Address}, "sign_in", platformRefusal(err, model.ErrBadLoginCode))
	}
	token := randomToken()
	var ended []model.Session
	out, err := inTx(ctx, s.db, func(tx *gorm.DB) (*SignedIn, error) {
		account, err := accountOf(tx, openID, now)
		if err != nil {
			return nil, err
		}
		if ended, err = endSessions(tx, []uint64{account.ID}, 0, now); err != nil {
			return nil, err
		}
		session := model.Session{TokenHash: digest(token), AccountID: account.ID, CreatedAt: now, SeenAt: now, ExpiresAt: now.Add(s.settings.SessionLife)}
		if err := tx.Create(&session).Error; err != nil {
			return nil, fmt.Errorf("open session of account %d: %w", account.ID, err)
		}
		out := &SignedIn{Token: token, ExpiresAt: session.ExpiresAt, Bound: account.MemberID != nil}
		if account.MemberID != nil {
			if out.Member, err = find[model.Member](tx, *account.MemberID, model.ErrNotFound); err != nil {
				return nil, err
			}
		}
		who := &model.Actor{AccountID: account.ID, MemberID: deref(account.MemberID), Address: in.Address}
		return out, auditBy(tx, now, who, "sign_in", "account", account.ID, "ok", nil)
	})
	if err == nil {
		s.forget(ctx, ended, now)
	}
	return out, err
}

// failed audits that somebody could not sign in, or show which member they are:
// a few a minute from one address. Before they have an account nobody knows who
// it was.
func (s *Sessions) failed(ctx context.Context, actor *model.Actor, action string, err error) error {
	var e *model.Error
	if !errors.As(err, &e) || e.Kind == model.Unavailable || !s.pace.take(action+" failed:"+actor.Address, rate.Every(time.Minute), refusalBurst) {
		return err
	}
	if err := auditBy(s.db.WithContext(ctx), s.now(), actor, action, "account", actor.AccountID, e.Code, nil); err != nil {
		return err
	}
	return e
}

// accountOf finds or makes the account of a WeChat user and holds its row.
func accountOf(tx *gorm.DB, openID string, now time.Time) (*model.Account, error) {
	err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&model.Account{OpenID: openID, CreatedAt: now}).Error
	if err != nil {
		return nil, fmt.Errorf("make account: %w", err)
	}
	account := new(model.Account)
	err = tx.Clauses(forUpdate).Take(account, "openid = ?", openID).Error
	if err != nil {
		return nil, fmt.Errorf("find account: %w", err)
	}
	return account, nil
}

// AtTheDoor refuses an address that opens sessions faster than a whole district
// behind one Wi-Fi would.
func (s *Sessions) AtTheDoor(address string) error {
	if !s.pace.take("door:"+address, doorPace, doorBurst) {
		return model.ErrTooMany.After(time.Second)
	}
	return nil
}

// SignOut ends the actor's session.
func (s *Sessions) SignOut(ctx context.Context, actor *model.Actor) error {
	return s.end(ctx, actor, "sign_out", actor.SessionID)
}

// EndAll ends every session of the actor's account, this one included.
func (s *Sessions) EndAll(ctx context.Context, actor *model.Actor) error {
	return s.end(ctx, actor, "end_sessions", 0)
}

func (s *Sessions) end(ctx context.Context, actor *model.Actor, action string, only uint64) error {
	now := s.now()
	ended, err := inTx(ctx, s.db, func(tx *gorm.DB) ([]model.Session, error) {
		ended, err := endSessions(tx, []uint64{actor.AccountID}, only, now)
		if err != nil {
			return nil, err
		}
		return ended, auditBy(tx, now, actor, action, "account", actor.AccountID, "ok", nil)
	})
	if err == nil {
		s.forget(ctx, ended, now)
	}
	return err
}

// endSessions revokes the open sessions of the accounts, or only one of them,
// and returns them.
func endSessions(tx *gorm.DB, accountIDs []uint64, only uint64, now time.Time) ([]model.Session, error) {
	open := tx.Where("account_id IN ? AND revoked_at IS NULL", accountIDs)
	if only != 0 {
		open = open.Where("id = ?", only)
	}
	var sessions []model.Session
	if err := open.Find(&sessions).Error; err != nil {
		return nil, fmt.Errorf("find sessions: %w", err)
	}
	if len(sessions) == 0 {
		return nil, nil
	}
	ids := make([]uint64, len(sessions))
	for i := range sessions {
		ids[i] = sessions[i].ID
	}
	err := tx.Model(&model.Session{}).Where("id IN ?", ids).Updates(map[string]any{"revoked_at": now, "changed_at": now}).Error
	if err != nil {
		return nil, fmt.Errorf("end sessions: %w", err)
	}
	return sessions, nil
}

// touchSessions marks the open sessions of members whose rights changed, so
// that their next request reads the rights anew, and returns them.
func touchSessions(tx *gorm.DB, memberIDs []uint64, now time.Time) ([]model.Session, error) {
	var sessions []model.Session
	for _, some := range chunks(memberIDs, 500) {
		var part []model.Session
		err := tx.Where("revoked_at IS NULL AND expires_at > ? AND account_id IN (?)", now,
			tx.Model(&model.Account{}).Select("id").Where("member_id IN ?", some)).Find(&part).Error
		if err != nil {
			return nil, fmt.Errorf("find sessions: %w", err)
		}
		sessions = append(sessions, part...)
	}
	for _, some := range chunks(sessions, 500) {
		ids := make([]uint64, len(some))
		for i := range some {
			ids[i] = some[i].ID
		}
		if err := tx.Model(&model.Session{}).Where("id IN ?", ids).Update("changed_at", now).Error; err != nil {
			return nil, fmt.Errorf("mark sessions: %w", err)
		}
	}
	return sessions, nil
}

// forget makes this replica and Redis drop their copies at once; the other
// replicas hear of it by watchChanges. Call it after the commit.
func (s *Sessions) forget(ctx context.Context, sessions []model.Session, now time.Time) {
	if len(sessions) == 0 {
		return
	}
	keys := make([]string, len(sessions))
	s.mu.Lock()
	for i := range sessions {
		s.changed[sessions[i].ID] = now
		keys[i] = sessionKey(sessions[i].TokenHash)
	}
	s.mu.Unlock()
	s.cache.drop(context.WithoutCancel(ctx), keys...)
}

// sessionCopy is what Redis keeps of a session.
type sessionCopy struct {
	Actor     model.Actor `json:"actor"`
	Day       model.Day   `json:"day"`
	MadeAt    time.Time   `json:"made_at"`
	ExpiresAt time.Time   `json:"expires_at"`

	hash string // of the token
}

func sessionKey(hash string) string { return "session:" + hash }

// Actor is who holds the token, with the rights of today. A token that is
// unknown, revoked or too old is refused; a store that is away is a fault and
// never a refusal.
func (s *Sessions) Actor(ctx context.Context, token string) (*model.Actor, error) {
	actor, _, err := s.actorAnd(ctx, token)
	return actor, err
}

// How many requests a second one session may make of one process, and how many
// at once; and how many sessions one address may open. A phone makes a few; a whole branch behind one Wi-Fi makes many, by
// many sessions.
const (
	sessionPace  = 20
	sessionBurst = 200
	doorPace     = 50
	doorBurst    = 3000
)

// actorAnd is Actor that also brings other cached values in the same round trip.
func (s *Sessions) actorAnd(ctx context.Context, token string, keys ...string) (*model.Actor, []string, error) {
	if len(token) < 20 || len(token) > 100 {
		return nil, nil, model.ErrSignInAgain
	}
	return s.byHash(ctx, digest(token), keys...)
}

// lent is the actor of a session that somebody else acts by.
func (s *Sessions) lent(ctx context.Context, id uint64) (*model.Actor, error) {
	session, err := find[model.Session](s.db.WithContext(ctx), id, model.ErrPaperLink)
	if err != nil {
		return nil, err
	}
	actor, _, err := s.byHash(ctx, session.TokenHash)
	if errors.Is(err, model.ErrSignInAgain) {
		err = model.ErrPaperLink
	}
	return actor, err
}

// byHash is the actor of the session whose token has this hash, and the cached
// values of other keys.
func (s *Sessions) byHash(ctx context.Context, hash string, keys ...string) (*model.Actor, []string, error) {
	if !s.pace.take(hash, sessionPace, sessionBurst) {
		return nil, nil, model.ErrTooMany.After(time.Second)
	}
	values := s.cache.get(ctx, append([]string{sessionKey(hash)}, keys...)...)
	if c := s.trusted(values[0], s.now()); c != nil {
		return &c.Actor, values[1:], nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), groupPatience)
	defer cancel()
	c, err := s.loads.ask(ctx, hash)
	if err != nil {
		return nil, nil, err
	}
	return &c.Actor, values[1:], nil
}

// trusted is the copy if it still says the truth, else nil.
func (s *Sessions) trusted(value string, now time.Time) *sessionCopy {
	c := new(sessionCopy)
	if value == "" || json.Unmarshal([]byte(value), c) != nil {
		return nil
	}
	s.mu.Lock()
	changedAt, known := s.changed[c.Actor.SessionID]
	silent := now.Sub(s.heard) > changeSilence
	s.mu.Unlock()
	age := now.Sub(c.MadeAt)
	if silent || age < -clockSkew || age >= copyLife || known && c.MadeAt.Before(changedAt.Add(clockSkew)) ||
		c.Day != model.DayOf(now, s.settings.Zone) || !now.Before(c.ExpiresAt) {
		return nil
	}
	return c
}

// load reads the sessions of a group and their actors' rights from the database
// in one query, because a district that arrives comes with all of its sessions.
// What is kept of it, nobody waits for: a Redis that hangs, or somebody who
// holds one of the rows, keeps nobody from their meeting.
func (s *Sessions) load(ctx context.Context, group []*rider[string, *sessionCopy]) {
	hashes := questions(group)
	slices.Sort(hashes)
	copies, used, err := s.read(ctx, slices.Compact(hashes), s.now())
	if err != nil {
		failAll(group, err)
		return
	}
	for _, r := range group {
		if c := copies[r.question]; c != nil {
			r.answer(c, nil)
		} else {
			r.answer(nil, model.ErrSignInAgain)
		}
	}
	s.copies.tell(slices.Collect(maps.Values(copies)))
	if len(used) > 0 {
		s.uses.tell(used)
	}
}

// leaveCopies leaves copies of sessions in Redis.
func (s *Sessions) leaveCopies(ctx context.Context, group []*rider[[]*sessionCopy, struct{}]) {
	values := map[string]string{}
	for _, c := range slices.Concat(questions(group)...) {
		text, err := json.Marshal(c)
		if err != nil {
			s.log.ErrorContext(ctx, "no copy of a session", "session", c.Actor.SessionID, "error", err)
			continue
		}
		values[sessionKey(c.hash)] = string(text)
	}
	s.cache.setAll(ctx, values, copyLife)
}

// noteUses notes that the sessions were used. What cannot be noted now is noted
// when they are loaded the next time.
func (s *Sessions) noteUses(ctx context.Context, group []*rider[[]uint64, struct{}]) {
	ids := slices.Concat(questions(group)...)
	ctx, cancel := context.WithTimeout(ctx, usesPatience)
	defer cancel()
	err := retried(func() error { // they may be ended at the same time
		return s.db.WithContext(ctx).Model(&model.Session{}).Where("id IN ?", ids).Update("seen_at", s.now()).Error
	})
	if err != nil {
		s.log.WarnContext(ctx, "the use of sessions is not noted", "sessions", len(ids), "error", err)
	}
}

// read is the sessions that are alive, by the hash of their token, and which of
// them were last noted as used a minute ago or more.
func (s *Sessions) read(ctx context.Context, hashes []string, now time.Time) (copies map[string]*sessionCopy, used []uint64, err error) {
	db := s.db.WithContext(ctx)
	today := model.DayOf(now, s.settings.Zone)
	var rows []struct { // one for each post, and one where there is none
		model.Session
		Openid   string
		MemberID uint64
		Name     string
		BranchID uint64
		GroupID  *uint64

		PostID    *uint64
		PostIn    uint64
		PostKind  model.PostKind
		PostFrom  model.Day
		PostUntil model.Day
	}
	err = db.Table("sessions s").
		Select("s.*, a.openid, COALESCE(m.id, 0) AS member_id, COALESCE(m.name, '') AS name, COALESCE(b.branch_id, 0) AS branch_id, b.group_id, p.id AS post_id, "+
			"COALESCE(p.organisation_id, 0) AS post_in, COALESCE(p.kind, '') AS post_kind, COALESCE(p.from_day, '') AS post_from, COALESCE(p.until_day, '') AS post_until").
		Joins("JOIN accounts a ON a.id = s.account_id").
		Joins("LEFT JOIN members m ON m.id = a.member_id").
		Joins("LEFT JOIN memberships b ON b.member_id = m.id AND b.from_day <= ? AND b.until_day > ?", today, today).
		Joins("LEFT JOIN posts p ON p.member_id = m.id AND p.from_day <= ? AND p.until_day > ?", today, today).
		Where("s.token_hash IN ?", hashes).Order("s.id, p.id").Find(&rows).Error
	if err != nil {
		return nil, nil, fmt.Errorf("load %d sessions: %w", len(hashes), err)
	}
	copies = make(map[string]*sessionCopy, len(hashes))
	for _, r := range rows {
		if !r.AliveAt(now, s.settings.SessionIdle) {
			continue
		}
		c := copies[r.TokenHash]
		if c == nil {
			c = &sessionCopy{hash: r.TokenHash, Day: today, MadeAt: now, ExpiresAt: r.ExpiresAt, Actor: model.Actor{SessionID: r.ID, AccountID: r.AccountID,
				OpenID: r.Openid, MemberID: r.MemberID, Name: r.Name, BranchID: r.BranchID, GroupID: r.GroupID}}
			copies[r.TokenHash] = c
			if now.Sub(r.SeenAt) >= copyLife {
				used = append(used, r.ID)
			}
		}
		if r.PostID != nil {
			c.Actor.Posts = append(c.Actor.Posts, model.Post{ID: *r.PostID, MemberID: r.MemberID, OrganisationID: r.PostIn, Kind: r.PostKind,
				Span: model.Span{From: r.PostFrom, Until: r.PostUntil}})
		}
	}
	return copies, used, nil
}

// watchChanges reads which sessions changed on other replicas.
func (s *Sessions) watchChanges(ctx context.Context) error {
	tick := time.NewTicker(changePeriod)
	defer tick.Stop()
	for {
		s.readChanges(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *Sessions) readChanges(ctx context.Context) {
	now := s.now()
	s.mu.Lock()
	since := s.heard
	s.mu.Unlock()
	if since.Before(now.Add(-copyLife)) {
		since = now.Add(-copyLife)
	}
	var rows []model.Session
	err := s.db.WithContext(ctx).Select("id", "changed_at").Where("changed_at > ?", since.Add(-2*clockSkew)).Find(&rows).Error
	if err != nil {
		return // silence: soon no copy is trusted
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = now
	for i := range rows {
		s.changed[rows[i].ID] = *rows[i].ChangedAt
	}
	for id, at := range s.changed {
		if now.Sub(at) > copyLife+2*clockSkew {
			delete(s.changed, id)
		}
	}
}
