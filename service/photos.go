package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Photos is the photos of meetings: the paper 签到表 and the scene.
type Photos struct {
	db    *gorm.DB
	files Files
	now   func() time.Time
}

// PhotoView is what is known of a photo.
type PhotoView struct {
	ID         uint64             `json:"id"`
	Purpose    model.PhotoPurpose `json:"purpose"`
	Width      int                `json:"width"`
	Height     int                `json:"height"`
	Bytes      int                `json:"bytes"`
	AttachedBy string             `json:"attached_by"`
	AttachedAt time.Time          `json:"attached_at"`
	Removed    *Annulment         `json:"removed,omitempty" doc:"已移除：谁、何时、为何"`
}

// Attach adds a photo to a meeting, from the opening of its check-in on; at a
// joint meeting each branch adds its own. Kept is a JPEG made anew, upright and
// with a longer side of 2000 pixels at most; where and with what it was taken is
// not in it. The same photo again is answered as the first time.
func (s *Photos) Attach(ctx context.Context, actor *model.Actor, activityID, branchID uint64, purpose model.PhotoPurpose, raw io.Reader) (*PhotoView, error) {
	now := s.now()
	a, all, err := jointly(s.db.WithContext(ctx), actor, activityID)
	if err != nil {
		return nil, err
	}
	at, err := all.first(branchID, actor.Conducts)
	if err != nil {
		return nil, err
	}
	if err := mayAttach(a, now); err != nil {
		return nil, err
	}
	made, err := remake(ctx, raw)
	if err != nil {
		return nil, err
	}
	// First the content, then the row: what no row names does no harm.
	if err := s.files.Put(ctx, made.digest, made.content); err != nil {
		return nil, fmt.Errorf("keep photo of activity %d: %w", activityID, err)
	}
	view, err := inTx(ctx, s.db, func(tx *gorm.DB) (*PhotoView, error) {
		a, all, err := holdJointly(tx, actor, activityID)
		if err != nil {
			return nil, err
		}
		if at, err = all.first(branchID, actor.Conducts); err != nil {
			return nil, err
		}
		if first, err := s.first(tx, activityID, at.partner, purpose, made.digest); first != nil || err != nil {
			return first, err
		}
		if err := mayAttach(a, now); err != nil {
			return nil, err
		}
		if err := s.keepAgain(ctx, tx, made); err != nil {
			return nil, err
		}
		var already int64
		if err := tx.Model(&model.Photo{}).Where("activity_id = ? AND partner_id = ? AND removed = 0", activityID, at.partner).Count(&already).Error; err != nil {
			return nil, fmt.Errorf("count photos of activity %d: %w", activityID, err)
		}
		if already >= model.MaxPhotos {
			return nil, model.ErrPhotoCount
		}
		p := &model.Photo{ActivityID: activityID, PartnerID: at.partner, Purpose: purpose, Digest: made.digest, Width: made.width, Height: made.height, Bytes: len(made.content),
			AttachedBy: actor.MemberID, AttachedAt: now}
		if err := tx.Create(p).Error; err != nil {
			return nil, fmt.Errorf("attach photo to activity %d: %w", activityID, err)
		}
		if err := auditBy(tx, now, actor, "attach_photo", "photo", p.ID, "ok", map[string]any{"activity_id": activityID, "purpose": purpose}); err != nil {
			return nil, err
		}
		return photoView(tx, p)
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return s.first(s.db.WithContext(ctx), activityID, at.partner, purpose, made.digest)
	}
	return view, err
}

// mayAttach says whether the meeting takes papers at now.
func mayAttach(a *model.Activity, now time.Time) error {
	if err := a.Allow(model.Published, model.Closed); err != nil {
		return err
	}
	if now.Before(a.OpensAt) {
		return model.ErrNotOpenYet.With("opens_at", a.OpensAt)
	}
	return nil
}

func (s *Photos) first(tx *gorm.DB, activityID, partner uint64, purpose model.PhotoPurpose, digest string) (*PhotoView, error) {
	var rows []model.Photo
	err := tx.Limit(1).Find(&rows, "activity_id = ? AND partner_id = ? AND purpose = ? AND digest = ? AND removed = 0", activityID, partner, purpose, digest).Error
	if err != nil {
		return nil, fmt.Errorf("find photo of activity %d: %w", activityID, err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return photoView(tx, &rows[0])
}

// keepAgain puts the content once more where the same photo was removed before:
// its content may be going just now, and whoever takes it away holds the rows.
func (s *Photos) keepAgain(ctx context.Context, tx *gorm.DB, made *picture) error {
	var removed []model.Photo
	err := tx.Clauses(forUpdate).Order("id").Find(&removed, "digest = ? AND removed <> 0", made.digest).Error
	if err != nil {
		return fmt.Errorf("find removed photos: %w", err)
	}
	if len(removed) == 0 {
		return nil
	}
	return wrapped(s.files.Put(ctx, made.digest, made.content), "keep photo again")
}

func photoView(tx *gorm.DB, p *model.Photo) (*PhotoView, error) {
	names, err := namesOf(tx, []uint64{p.AttachedBy, deref(p.RemovedBy)})
	if err != nil {
		return nil, err
	}
	view := &PhotoView{ID: p.ID, Purpose: p.Purpose, Width: p.Width, Height: p.Height, Bytes: p.Bytes, AttachedBy: names[p.AttachedBy], AttachedAt: p.AttachedAt}
	if p.Removed != 0 {
		view.Removed = &Annulment{At: *p.RemovedAt, By: names[*p.RemovedBy], Reason: p.RemoveReason}
	}
	return view, nil
}

// RemovalInput says why a photo is removed.
type RemovalInput struct {
	Reason string `json:"reason" minLength:"2" maxLength:"100" doc:"移除的原因，如传错了会议；留痕"`
}

// Remove takes back a photo that was added by mistake, for those who may add
// one, until the secretary has signed the minutes, and not where people were put
// on record from it. Nobody can look at it any more; the row stays, with who
// removed it, when and why, and the content goes a day later unless another
// meeting has the same. At a joint meeting each branch removes its own. Removing
// again changes nothing.
func (s *Photos) Remove(ctx context.Context, actor *model.Actor, activityID, photoID uint64, in RemovalInput) (*PhotoView, error) {
	reason, err := cleanReason(in.Reason)
	if err != nil {
		return nil, err
	}
	now := s.now()
	return inTx(ctx, s.db, func(tx *gorm.DB) (*PhotoView, error) {
		a, all, err := holdJointly(tx, actor, activityID)
		if err != nil {
			return nil, err
		}
		p, err := find[model.Photo](tx, photoID, model.ErrPhotoNotFound)
		if err != nil {
			return nil, err
		}
		switch {
		case p.ActivityID != activityID, !all.shows(actor, p):
			return nil, model.ErrPhotoNotFound
		case !actor.Conducts(all.keeperOf(p.PartnerID)):
			return nil, model.ErrNotConductor
		case p.Removed != 0:
			return photoView(tx, p)
		}
		if err := s.removable(tx, a, all.of(p.PartnerID), p); err != nil {
			return nil, err
		}
		p.Removed, p.RemovedBy, p.RemovedAt, p.RemoveReason = p.ID, &actor.MemberID, &now, reason
		if err := tx.Model(p).Select("removed", "removed_by", "removed_at", "remove_reason").Updates(p).Error; err != nil {
			return nil, fmt.Errorf("remove photo %d: %w", photoID, err)
		}
		if err := auditBy(tx, now, actor, "remove_photo", "photo", photoID, "ok", map[string]any{"activity_id": activityID}); err != nil {
			return nil, err
		}
		return photoView(tx, p)
	})
}

// removable refuses what others rely on: what the secretary has signed, and what
// people were put on record from.
func (s *Photos) removable(tx *gorm.DB, a *model.Activity, at side, p *model.Photo) error {
	if err := a.Allow(model.Published, model.Closed); err != nil {
		return err
	}
	all, err := versionsOf(tx, a.ID, at)
	if err != nil {
		return err
	}
	if len(all) > 0 && all[len(all)-1].SignedAt != nil {
		return model.ErrPhotoSigned
	}
	var sheets int64
	if err := tx.Model(&model.PaperSheet{}).Where("photo_id = ?", p.ID).Count(&sheets).Error; err != nil {
		return fmt.Errorf("paper sheets of photo %d: %w", p.ID, err)
	}
	if sheets > 0 {
		return model.ErrPhotoUsed
	}
	return nil
}

// PhotoList is the photos of one meeting, in the order in which they came.
type PhotoList struct {
	Items   []PhotoView `json:"items"`
	Removed []PhotoView `json:"removed" doc:"已移除的，照片看不到了"`
}

// List is the photos of a meeting, for those who oversee its organisation; at a
// joint meeting for those who oversee a branch of it, but for the paper sheets of
// the others.
func (s *Photos) List(ctx context.Context, actor *model.Actor, activityID uint64) (*PhotoList, error) {
	db := s.db.WithContext(ctx)
	all, err := sidesOverseen(db, actor, activityID)
	if err != nil {
		return nil, err
	}
	var rows []model.Photo
	if err := db.Order("id").Find(&rows, "activity_id = ?", activityID).Error; err != nil {
		return nil, fmt.Errorf("photos of activity %d: %w", activityID, err)
	}
	out := &PhotoList{Items: []PhotoView{}, Removed: []PhotoView{}}
	for i := range rows {
		if !all.shows(actor, &rows[i]) {
			continue
		}
		view, err := photoView(db, &rows[i])
		if err != nil {
			return nil, err
		}
		if view.Removed != nil {
			out.Removed = append(out.Removed, *view)
		} else {
			out.Items = append(out.Items, *view)
		}
	}
	return out, nil
}

// Read is a photo of a meeting as a JPEG, for those who may see it in the list.
// A look at a paper sheet, which has everybody's signature, is
// audited.
func (s *Photos) Read(ctx context.Context, actor *model.Actor, activityID, photoID uint64) ([]byte, error) {
	now := s.now()
	p, err := inTx(ctx, s.db, func(tx *gorm.DB) (*model.Photo, error) {
		all, err := sidesOverseen(tx, actor, activityID)
		if err != nil {
			return nil, err
		}
		p, err := photoOf(tx, all, actor, activityID, photoID)
		if err != nil || p.Purpose != model.PaperSheetPhoto {
			return p, err
		}
		return p, auditBy(tx, now, actor, "read_paper_sheet", "photo", photoID, "ok", map[string]any{"activity_id": activityID})
	})
	if err != nil {
		return nil, err
	}
	return s.content(ctx, p)
}

// content is what the store has of a photo, proven to be what was put there.
func (s *Photos) content(ctx context.Context, p *model.Photo) ([]byte, error) {
	content, err := s.files.Get(ctx, p.Digest)
	if err != nil {
		return nil, fmt.Errorf("read photo %d: %w", p.ID, err)
	}
	if digestOf(content) != p.Digest {
		return nil, fmt.Errorf("read photo %d: its content is not what was kept", p.ID)
	}
	return content, nil
}

// photoOf is a photo of the activity that the actor may see, and that was not
// removed.
func photoOf(tx *gorm.DB, all sides, actor *model.Actor, activityID, photoID uint64) (*model.Photo, error) {
	p, err := find[model.Photo](tx, photoID, model.ErrPhotoNotFound)
	if err == nil && (p.ActivityID != activityID || p.Removed != 0 || !all.shows(actor, p)) {
		err = model.ErrPhotoNotFound
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// shows says whether the actor, who oversees one of the sides, may see a photo:
// the hall is everybody's, a paper sheet is for its own side.
func (all sides) shows(actor *model.Actor, p *model.Photo) bool {
	return p.Purpose == model.ScenePhoto || actor.Oversees(all.keeperOf(p.PartnerID))
}

// sidesOverseen is the sides of an activity for those who oversee one of them.
func sidesOverseen(tx *gorm.DB, actor *model.Actor, activityID uint64) (sides, error) {
	_, all, err := jointly(tx, actor, activityID)
	if err == nil {
		_, err = all.first(0, actor.Oversees)
	}
	return all, err
}
