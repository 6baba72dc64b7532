package service_test

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	"dangri/model"
	"dangri/service/trial"
)

func TestTheContentOfARemovedPhotoGoesADayLaterUnlessAnotherRowNeedsIt(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		now := w.Clock.Now()
		a := &model.Activity{OrganisationID: w.District().ID, Kind: model.ThemePartyDay, Title: "主题党日", StartsAt: now, EndsAt: now, OpensAt: now, LateAt: now, ClosesAt: now,
			Audience: model.WholeBranch, Status: model.Closed, Version: 1, CreatedAt: now, Once: model.Once{Nonce: "1"}}
		if err := w.DB.Create(a).Error; err != nil {
			t.Fatal(err)
		}
		photo := func(purpose model.PhotoPurpose, digest string, removedAt *time.Time) *model.Photo {
			t.Helper()
			p := &model.Photo{ActivityID: a.ID, Purpose: purpose, Digest: digest, AttachedAt: now, RemovedAt: removedAt}
			err := w.DB.Create(p).Error
			if err == nil && removedAt != nil {
				p.Removed, p.RemovedBy = p.ID, ptr(uint64(1))
				err = w.DB.Save(p).Error
			}
			if err == nil {
				err = w.Parts.Files.Put(t.Context(), digest, []byte("照片"))
			}
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		kept := func(digest string) bool {
			t.Helper()
			_, err := w.Parts.Files.Get(t.Context(), digest)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			return err == nil
		}
		expect := func(when string, want map[string]bool) {
			t.Helper()
			for range 2 { // again changes nothing
				retained(t, w.Retention.Apply)
				for digest, is := range want {
					if kept(digest) != is {
						t.Errorf("%s: the content of %s is kept: %v", when, digest, !is)
					}
				}
			}
		}
		photo(model.ScenePhoto, "alone", &now)
		photo(model.ScenePhoto, "twice", &now)
		photo(model.PaperSheetPhoto, "twice", ptr(now.Add(time.Hour)))
		photo(model.ScenePhoto, "shared", &now)
		other := photo(model.PaperSheetPhoto, "shared", nil)
		photo(model.ScenePhoto, "there", nil)
		w.Clock.Set(now.Add(24 * time.Hour))
		expect("a day later to the moment", map[string]bool{"alone": true, "twice": true, "shared": true, "there": true})
		w.Clock.Advance(time.Millisecond)
		if planned := retained(t, w.Retention.Plan); planned[6].Kind != "已移除的照片" || planned[6].Rows != 3 {
			t.Errorf("planned %+v", planned)
		}
		expect("a day later", map[string]bool{"alone": false, "twice": true, "shared": true, "there": true})
		w.Clock.Advance(time.Hour)
		expect("an hour later", map[string]bool{"alone": false, "twice": false, "shared": true, "there": true})
		other.Removed, other.RemovedBy, other.RemovedAt = other.ID, ptr(uint64(1)), ptr(w.Clock.Now())
		if err := w.DB.Save(other).Error; err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(25 * time.Hour)
		expect("after the last one", map[string]bool{"alone": false, "twice": false, "shared": false, "there": true})
		if n := countRows(t, w, "photos", "content_gone"); n != 5 || countRows(t, w, "photos", "1 = 1") != 6 {
			t.Errorf("%d photos say that their content is gone", n)
		}
	})
}
