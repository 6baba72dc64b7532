package service

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/go-redis/redis_rate/v10"

	"gorm.io/gorm"

	"dangri/model"
)

// Bindings joins WeChat accounts and members: one account for one member.
type Bindings struct {
	db       *gorm.DB
	platform Platform
	sessions *Sessions
	seal     *sealer
	limits   *limits
	settings Settings
	now      func() time.Time
}

// BindInput proves which member the caller is: by the phone number that WeChat
// knows, or by the secretary's one-time invitation. Exactly one of them.
type BindInput struct {
	PhoneCode  string `json:"phone_code,omitempty" maxLength:"128" pattern:"^[0-9A-Za-z_-]*$" doc:"手机号凭证：getPhoneNumber 按钮给的 code"`
	Invitation string `json:"invitation,omitempty" maxLength:"20" doc:"书记给的邀请码，大小写、空格和短横不限"`
}

// Bind joins the caller's WeChat account to the member. Another account that
// the member used before is unbound and its sessions end. Binding again to the
// same member changes nothing.
func (s *Bindings) Bind(ctx context.Context, actor *model.Actor, in BindInput) (*model.Member, error) {
	if (in.PhoneCode == "") == (in.Invitation == "") {
		return nil, model.BadField("phone_code", "手机号验证和邀请码，请用其中一种")
	}
	if err := s.limits.take(ctx, "bind", strconv.FormatUint(actor.AccountID, 10), redis_rate.PerMinute(10)); err != nil {
		return nil, err
	}
	var phone string
	if in.PhoneCode != "" {
		var err error
		if phone, err = s.platform.PhoneNumber(ctx, in.PhoneCode); err != nil {
			return nil, s.sessions.failed(ctx, actor, "bind", platformRefusal(err, model.ErrBadPhoneCode))
		}
	}
	now := s.now()
	var changed []model.Session
	member, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.Member, error) {
		var memberID uint64
		var err error
		if in.PhoneCode != "" {
			memberID, err = memberByPhone(tx, s.seal, phone)
		} else {
			memberID, err = useInvitation(tx, actor, in.Invitation, now)
		}
		if err != nil {
			return nil, err
		}
		member, err := lock[model.Member](tx, memberID, model.ErrPhoneUnknown)
		if err != nil {
			return nil, err
		}
		changed, err = bind(tx, actor, memberID, now)
		return member, err
	})
	if err != nil {
		return nil, s.sessions.failed(ctx, actor, "bind", err)
	}
	s.sessions.forget(ctx, changed, now)
	return member, nil
}

func memberByPhone(tx *gorm.DB, seal *sealer, phone string) (uint64, error) {
	var row model.MemberPhone
	err := tx.Take(&row, "blind_index = ?", seal.blind(phone)).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return 0, model.ErrPhoneUnknown
	}
	if err != nil {
		return 0, fmt.Errorf("find member by phone: %w", err)
	}
	return row.MemberID, nil
}

// useInvitation spends the invitation and says whose it is. The account that
// spent it may ask again and hears the same.
func useInvitation(tx *gorm.DB, actor *model.Actor, code string, now time.Time) (uint64, error) {
	var row model.Invitation
	err := tx.Take(&row, "code_hash = ?", digest(plainInvitation(code))).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return 0, model.ErrBadInvitation
	}
	if err != nil {
		return 0, fmt.Errorf("find invitation: %w", err)
	}
	if row.UsedAt != nil && actor.MemberID == row.MemberID {
		return row.MemberID, nil
	}
	spent := tx.Model(&model.Invitation{}).Where("id = ? AND used_at IS NULL AND expires_at > ?", row.ID, now).Update("used_at", now)
	if spent.Error != nil {
		return 0, fmt.Errorf("spend invitation: %w", spent.Error)
	}
	if spent.RowsAffected == 0 {
		return 0, model.ErrBadInvitation
	}
	return row.MemberID, nil
}

// bind gives the member to the actor's account, under the member's lock, and
// returns the sessions whose rights that changed.
func bind(tx *gorm.DB, actor *model.Actor, memberID uint64, now time.Time) ([]model.Session, error) {
	account, err := lock[model.Account](tx, actor.AccountID, model.ErrSignInAgain)
	if err != nil {
		return nil, err
	}
	if account.MemberID != nil {
		if *account.MemberID != memberID {
			return nil, model.ErrAlreadyBound
		}
		return nil, nil
	}
	ended, err := unbind(tx, memberID, now)
	if err != nil {
		return nil, err
	}
	err = tx.Model(account).Updates(map[string]any{"member_id": memberID, "bound_at": now}).Error
	if err != nil {
		return nil, fmt.Errorf("bind member %d: %w", memberID, err)
	}
	touched, err := touchSessions(tx, []uint64{memberID}, now)
	if err != nil {
		return nil, err
	}
	action := "bind"
	if len(ended) > 0 {
		action = "rebind"
	}
	return append(ended, touched...), auditBy(tx, now, actor, action, "member", memberID, "ok", nil)
}

// unbind takes the member from the account that holds it, if any, and ends
// that account's sessions.
func unbind(tx *gorm.DB, memberID uint64, now time.Time) ([]model.Session, error) {
	var holders []model.Account
	if err := tx.Find(&holders, "member_id = ?", memberID).Error; err != nil {
		return nil, fmt.Errorf("find account of member %d: %w", memberID, err)
	}
	if len(holders) == 0 {
		return nil, nil
	}
	err := tx.Model(&holders[0]).Updates(map[string]any{"member_id": nil, "bound_at": nil}).Error
	if err != nil {
		return nil, fmt.Errorf("unbind member %d: %w", memberID, err)
	}
	return endSessions(tx, []uint64{holders[0].ID}, 0, now)
}

// Unbind takes a member's WeChat account away, such as after a lost phone, and
// ends its sessions. For the member's secretary or an administrator.
func (s *Bindings) Unbind(ctx context.Context, actor *model.Actor, memberID uint64) error {
	now := s.now()
	ended, err := inTx(ctx, s.db, func(tx *gorm.DB) ([]model.Session, error) {
		if err := s.mayKeep(tx, actor, memberID, now); err != nil {
			return nil, err
		}
		if _, err := lock[model.Member](tx, memberID, model.ErrNotFound); err != nil {
			return nil, err
		}
		ended, err := unbind(tx, memberID, now)
		if err != nil {
			return nil, err
		}
		return ended, auditBy(tx, now, actor, "unbind", "member", memberID, "ok", nil)
	})
	if err == nil {
		s.sessions.forget(ctx, ended, now)
	}
	return err
}

// Invited is a fresh invitation. The code is shown this once.
type Invited struct {
	Code      string    `json:"code" doc:"告诉本人，只能用一次"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Invite makes a one-time code for a member who cannot bind by phone number.
// Earlier unused ones of the member stop working. For the member's secretary
// or an administrator.
func (s *Bindings) Invite(ctx context.Context, actor *model.Actor, memberID uint64) (*Invited, error) {
	now := s.now()
	return inTx(ctx, s.db, func(tx *gorm.DB) (*Invited, error) {
		if err := s.mayKeep(tx, actor, memberID, now); err != nil {
			return nil, err
		}
		err := tx.Model(&model.Invitation{}).Where("member_id = ? AND used_at IS NULL AND expires_at > ?", memberID, now).Update("expires_at", now).Error
		if err != nil {
			return nil, fmt.Errorf("end invitations of member %d: %w", memberID, err)
		}
		out := &Invited{Code: newInvitation(), ExpiresAt: now.Add(s.settings.InvitationLife)}
		row := model.Invitation{MemberID: memberID, CodeHash: digest(plainInvitation(out.Code)), IssuedBy: actor.MemberID, ExpiresAt: out.ExpiresAt, CreatedAt: now}
		if err := tx.Create(&row).Error; err != nil {
			return nil, fmt.Errorf("invite member %d: %w", memberID, err)
		}
		return out, auditBy(tx, now, actor, "invite", "member", memberID, "ok", nil)
	})
}

// mayKeep refuses who may not keep the roster that the member is on; a member
// of somebody else's branch does not exist.
func (s *Bindings) mayKeep(tx *gorm.DB, actor *model.Actor, memberID uint64, now time.Time) error {
	line, err := lineOfMember(tx, memberID, model.DayOf(now, s.settings.Zone))
	if err != nil {
		return err
	}
	if !actor.KeepsRoster(line) {
		return model.ErrNotFound
	}
	return nil
}

// invitationLetters leave out what eyes confuse: 0 O, 1 I L, U V.
const invitationLetters = "23456789ABCDEFGHJKMNPQRSTWXYZ"

// newInvitation is a code such as "K7QM-3XHD-PA" with more than 48 random bit.
func newInvitation() string {
	var b strings.Builder
	for i := range 10 {
		if i == 4 || i == 8 {
			b.WriteByte('-')
		}
		n, _ := rand.Int(rand.Reader, big.NewInt(int64(len(invitationLetters)))) // never fails since Go 1.24
		b.WriteByte(invitationLetters[n.Int64()])
	}
	return b.String()
}

// plainInvitation is the code as it is kept, whatever way it was typed.
func plainInvitation(code string) string {
	return strings.ToUpper(strings.NewReplacer("-", "", " ", "", "　", "", "－", "").Replace(code))
}
