package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
	"gorm.io/gorm"

	"dangri/model"
)

// Retention takes away what has served its purpose, each kind after its time.
// What limits guessing lies in Redis and runs out by itself.
type Retention struct {
	db       *gorm.DB
	files    Files
	seal     *sealer
	audit    *Audit
	rules    model.RetentionRules
	settings Settings
	now      func() time.Time
	log      *slog.Logger

	mu   sync.Mutex
	last model.Day // on which it was done
}

// RetentionLine is one kind of what goes, or would go.
type RetentionLine struct {
	Kind  string
	Rows  int64
	Note  string
	Until time.Time // what ended or happened before
}

// fading is a kind of rows that go after a time.
type fading struct {
	kind, table, ended string // a condition on @until
	keep               time.Duration
}

const (
	retentionBatch = 1000
	removedKeeping = 24 * time.Hour // longer than anybody takes to add a photo, so that none comes while its like goes
	retentionHour  = 3              // in the installation's zone, when hardly anybody is on their phone
)

func (s *Retention) fadings() []fading {
	return []fading{
		{"已结束的登录", "sessions", "revoked_at < @until OR expires_at < @until OR seen_at < @unused", s.rules.Sessions},
		{"已用或过期的邀请码", "invitations", "used_at < @until OR expires_at < @until", s.rules.Invitations},
		{"消息的送达结果", "deliveries", "at < @until", s.rules.Sending},
		{"消息的发送经过", "send_decisions", "at < @until", s.rules.Sending},
	}
}

// Plan is what Apply would take away now.
func (s *Retention) Plan(ctx context.Context) ([]RetentionLine, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	db, now := s.db.WithContext(ctx), s.now()
	var out []RetentionLine
	for _, f := range s.fadings() {
		line := RetentionLine{Kind: f.kind, Until: now.Add(-f.keep)}
		if err := db.Table(f.table).Where(f.ended, s.until(line.Until)).Count(&line.Rows).Error; err != nil {
			return nil, fmt.Errorf("count old %s: %w", f.table, err)
		}
		out = append(out, line)
	}
	homes := RetentionLine{Kind: "已结束结亲的住户情况", Until: now.Add(-s.rules.Households)}
	photos := RetentionLine{Kind: removedPhotos, Until: now.Add(-removedKeeping)}
	old := RetentionLine{Kind: "审计记录", Until: now.Add(-s.rules.Audit)}
	err := errors.Join(s.faded(db, homes.Until).Count(&homes.Rows).Error, unneeded(db, photos.Until).Count(&photos.Rows).Error, db.Model(&model.AuditSeal{}).Where("at < ?", old.Until).Count(&old.Rows).Error)
	if err != nil {
		return nil, fmt.Errorf("count what is old: %w", err)
	}
	return append(out, homes, old, photos), nil
}

// check refuses to throw the audit away before the law lets it go.
func (s *Retention) check() error {
	if s.rules.Audit < model.LeastAuditKeeping {
		return model.ErrAuditKeeping
	}
	return nil
}

func (s *Retention) until(t time.Time) map[string]any {
	return map[string]any{"until": t, "unused": t.Add(-s.settings.SessionIdle)}
}

// faded is the pairings that ended before and still say who the household is.
func (s *Retention) faded(db *gorm.DB, until time.Time) *gorm.DB {
	return db.Model(&model.HouseholdPairing{}).Where("until_day <= ? AND fingerprint <> ''", model.DayOf(until, s.settings.Zone))
}

// Apply takes away what is old enough, in small steps. Any number of replicas
// may do so at once. Where the account may not touch the audit, as that of
// replicas shall not, the audit stays for `dangri retention` by its owner.
func (s *Retention) Apply(ctx context.Context) ([]RetentionLine, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	db, now := s.db.WithContext(ctx), s.now()
	var out []RetentionLine
	for _, f := range s.fadings() {
		line := RetentionLine{Kind: f.kind, Until: now.Add(-f.keep)}
		for more := true; more; {
			var ids []uint64
			err := db.Table(f.table).Where(f.ended, s.until(line.Until)).Order("id").Limit(retentionBatch).Pluck("id", &ids).Error
			if err != nil {
				return out, fmt.Errorf("old %s: %w", f.table, err)
			}
			done := db.Exec("DELETE FROM "+f.table+" WHERE id IN ?", ids)
			if done.Error != nil {
				return out, fmt.Errorf("delete old %s: %w", f.table, done.Error)
			}
			line.Rows += done.RowsAffected
			more = len(ids) == retentionBatch
		}
		out = append(out, line)
	}
	homes, err := s.forgetHouseholds(ctx, now.Add(-s.rules.Households))
	if err != nil {
		return out, err
	}
	old, err := s.cutAudit(ctx, now)
	if err != nil {
		return append(out, homes, old), err
	}
	photos, err := s.deletePhotos(ctx, now.Add(-removedKeeping))
	return append(out, homes, old, photos), err
}

const removedPhotos = "已移除的照片"

// unneeded is the photos that were removed before and whose content is not known
// to be gone.
func unneeded(db *gorm.DB, until time.Time) *gorm.DB {
	return db.Model(&model.Photo{}).Where("removed_at < ? AND NOT content_gone", until)
}

// deletePhotos takes away the contents of removed photos that no other row needs.
func (s *Retention) deletePhotos(ctx context.Context, until time.Time) (RetentionLine, error) {
	line := RetentionLine{Kind: removedPhotos, Until: until}
	for {
		var digests []string
		if err := unneeded(s.db.WithContext(ctx), until).Order("id").Limit(retentionBatch).Pluck("digest", &digests).Error; err != nil {
			return line, fmt.Errorf("removed photos: %w", err)
		}
		if len(digests) == 0 {
			return line, nil
		}
		for _, digest := range digests {
			n, err := inTx(ctx, s.db, func(tx *gorm.DB) (int64, error) { return s.deletePhoto(ctx, tx, digest, until) })
			if err != nil {
				return line, err
			}
			line.Rows += n
		}
	}
}

// deletePhoto holds every row of the content, so that nobody who adds the same
// photo comes between the look and the deed.
func (s *Retention) deletePhoto(ctx context.Context, tx *gorm.DB, digest string, until time.Time) (int64, error) {
	var rows []model.Photo
	err := tx.Clauses(forUpdate).Order("id").Find(&rows, "digest = ?", digest).Error
	if err != nil {
		return 0, fmt.Errorf("rows of a removed photo: %w", err)
	}
	var gone []uint64
	needed := false
	for i := range rows {
		switch p := &rows[i]; {
		case p.Removed == 0, !p.RemovedAt.Before(until):
			needed = true
		case !p.ContentGone:
			gone = append(gone, p.ID)
		}
	}
	if len(gone) > 0 && !needed {
		if err := s.files.Delete(ctx, digest); err != nil {
			return 0, err
		}
	}
	done := tx.Model(&model.Photo{}).Where("id IN ?", gone).Update("content_gone", true)
	return done.RowsAffected, wrapped(done.Error, "mark removed photos")
}

func (s *Retention) forgetHouseholds(ctx context.Context, until time.Time) (RetentionLine, error) {
	line := RetentionLine{Kind: "已结束结亲的住户情况", Until: until}
	n, err := inTx(ctx, s.db, func(tx *gorm.DB) (int, error) {
		var ids []uint64
		if err := s.faded(tx, until).Order("id").Limit(retentionBatch).Pluck("id", &ids).Error; err != nil {
			return 0, fmt.Errorf("ended pairings: %w", err)
		}
		if err := emptyPairings(tx, s.seal, ids); err != nil {
			return 0, err
		}
		return len(ids), wrapped(tx.Model(&model.HouseholdPairing{}).Where("id IN ?", ids).Update("fingerprint", "").Error, "mark emptied pairings")
	})
	line.Rows = int64(n)
	return line, err
}

// cutAudit lets the beginning of the chain go as far as it is old enough, and
// remembers where what is left begins, so that it can still be verified.
func (s *Retention) cutAudit(ctx context.Context, now time.Time) (RetentionLine, error) {
	line := RetentionLine{Kind: "审计记录", Until: now.Add(-s.rules.Audit)}
	for {
		n, err := inTx(ctx, s.db, func(tx *gorm.DB) (int, error) {
			var seals []model.AuditSeal
			if err := tx.Order("seq").Limit(retentionBatch).Find(&seals).Error; err != nil {
				return 0, fmt.Errorf("oldest seals: %w", err)
			}
			var entries []uint64
			for i := range seals {
				if !seals[i].At.Before(line.Until) {
					break
				}
				entries = append(entries, seals[i].EntryID)
			}
			if len(entries) == 0 {
				return 0, nil
			}
			last := seals[len(entries)-1]
			cut := model.AuditCut{Seq: last.Seq, At: now, Hash: last.Hash, Mac: s.audit.cutMac(last.Seq, last.Hash)}
			if err := tx.Create(&cut).Error; err != nil {
				return 0, fmt.Errorf("cut the audit: %w", err)
			}
			return len(entries), errors.Join(tx.Delete(&model.AuditEntry{}, "id IN ?", entries).Error,
				tx.Delete(&model.AuditSeal{}, "seq <= ?", last.Seq).Error)
		})
		var denied *mysql.MySQLError
		switch {
		case errors.Is(err, gorm.ErrDuplicatedKey): // another replica cuts
			return line, nil
		case errors.As(err, &denied) && denied.Number == 1142:
			line.Note = "本账号无权删除审计，请用数据库所有者的账号运行 dangri retention"
			return line, nil
		case err != nil || n == 0:
			return line, err
		}
		line.Rows += int64(n)
	}
}

// daily applies the rules once a day, at night.
func (s *Retention) daily(ctx context.Context) error {
	local := s.now().In(s.settings.Zone)
	s.mu.Lock()
	defer s.mu.Unlock()
	today := model.DayOf(local, s.settings.Zone)
	if local.Hour() < retentionHour || s.last == today {
		return nil
	}
	lines, err := s.Apply(ctx)
	if err != nil {
		s.log.ErrorContext(ctx, "retention", "error", err)
		return err
	}
	s.last = today
	for _, l := range lines {
		if l.Rows > 0 || l.Note != "" {
			s.log.InfoContext(ctx, "retention", "kind", l.Kind, "rows", l.Rows, "note", l.Note)
		}
	}
	return nil
}
