package service

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Minutes is the 会议记录 of meetings: written in versions, signed by the
// secretary. Of a joint meeting each branch keeps its own.
type Minutes struct {
	db       *gorm.DB
	platform Platform
	now      func() time.Time
}

// MinutesInput is the minutes as they should be. Version is the one that the
// writer saw, 0 where there was none.
type MinutesInput struct {
	Version    int    `json:"version" minimum:"0" maximum:"100000" doc:"修改前看到的版本；还没有就是 0"`
	HostID     uint64 `json:"host_id" minimum:"1" maximum:"9007199254740991" doc:"主持人"`
	RecorderID uint64 `json:"recorder_id" minimum:"1" maximum:"9007199254740991" doc:"记录人"`
	Agenda     string `json:"agenda" maxLength:"1000" doc:"议题"`
	Content    string `json:"content,omitempty" maxLength:"8000" doc:"会议内容"`
	Decisions  string `json:"decisions,omitempty" maxLength:"2000" doc:"决议"`
}

// MinutesVersion is one version in the list of them.
type MinutesVersion struct {
	Version   int        `json:"version"`
	WrittenBy string     `json:"written_by" doc:"谁写的"`
	WrittenAt time.Time  `json:"written_at"`
	SignedBy  string     `json:"signed_by,omitempty" doc:"签字的书记；没有就是还没有签"`
	SignedAt  *time.Time `json:"signed_at"`
}

// MinutesView is one version of the minutes, with the list of those that the
// reader may ask for.
type MinutesView struct {
	ActivityID uint64 `json:"activity_id"`
	BranchID   uint64 `json:"branch_id,omitempty" doc:"联办的支部；主办的会议记录没有"`
	MinutesVersion
	HostID     uint64           `json:"host_id"`
	Host       string           `json:"host"`
	RecorderID uint64           `json:"recorder_id"`
	Recorder   string           `json:"recorder"`
	Agenda     string           `json:"agenda"`
	Content    string           `json:"content"`
	Decisions  string           `json:"decisions"`
	Versions   []MinutesVersion `json:"versions" doc:"可以看的各个版本，新的在前"`
}

// Record writes the next version of a meeting's minutes, from its start on and
// after its closing too. Of two writers who saw the same version one is
// refused with the version that came in between. Writing the same again is
// answered as the first time. Of a joint meeting each branch writes its own.
func (s *Minutes) Record(ctx context.Context, actor *model.Actor, activityID, branchID uint64, in MinutesInput) (*MinutesView, error) {
	now := s.now()
	next := &model.Minutes{ActivityID: activityID, Version: in.Version + 1, HostID: in.HostID, RecorderID: in.RecorderID,
		Agenda: cleanText(in.Agenda), Content: cleanText(in.Content), Decisions: cleanText(in.Decisions), WrittenBy: actor.MemberID, WrittenAt: now}
	view, err := inTx(ctx, s.db, func(tx *gorm.DB) (*MinutesView, error) {
		a, joint, err := holdJointly(tx, actor, activityID)
		if err != nil {
			return nil, err
		}
		at, err := joint.first(branchID, actor.Conducts)
		if err != nil {
			return nil, err
		}
		if err := a.Record(now); err != nil {
			return nil, err
		}
		if next.Agenda == "" || next.Content == "" && next.Decisions == "" {
			return nil, model.ErrMinutesAddNoText
		}
		all, err := versionsOf(tx, activityID, at)
		if err != nil {
			return nil, err
		}
		if newest := len(all); newest != in.Version {
			if newest > in.Version && all[in.Version].WrittenBy == actor.MemberID && all[in.Version].Says(next) {
				return minutesView(tx, all, in.Version+1)
			}
			return nil, model.ErrChangedMeantime.With("version", newest)
		}
		for _, id := range []uint64{in.HostID, in.RecorderID} {
			if err := atMeeting(tx, joint, at, activityID, id); err != nil {
				return nil, err
			}
		}
		row := *next // the transaction may be tried again
		row.PartnerID = at.partner
		if err := tx.Create(&row).Error; err != nil {
			return nil, fmt.Errorf("write minutes of activity %d: %w", activityID, err)
		}
		if err := auditBy(tx, now, actor, "write_minutes", "activity", activityID, "ok", map[string]any{"version": row.Version}); err != nil {
			return nil, err
		}
		return minutesView(tx, append(all, row), row.Version)
	})
	return view, taken(err, model.ErrChangedMeantime)
}

// atMeeting refuses who is neither on the side's roster nor came to the meeting.
func atMeeting(tx *gorm.DB, all sides, at side, activityID, memberID uint64) error {
	own, err := standingOf(tx, activityID, memberID)
	if err != nil {
		return err
	}
	on := own.Entry != nil && all.of(own.Entry.BranchID).partner == at.partner
	if !on && own.Status() != model.Present {
		return model.ErrNotAtMeeting.With("member_id", memberID)
	}
	return nil
}

// Show is a version of the minutes: for those who oversee the organisation any,
// the newest unless asked otherwise; for those on the meeting's roster what the
// secretary has signed. Of a joint meeting it is one branch's: the own, or the one
// that is asked for.
func (s *Minutes) Show(ctx context.Context, actor *model.Actor, activityID, branchID uint64, version int) (*MinutesView, error) {
	db := s.db.WithContext(ctx)
	at, whole, err := readable(db, actor, activityID, branchID)
	if err != nil {
		return nil, err
	}
	all, err := versionsOf(db, activityID, at)
	if err != nil {
		return nil, err
	}
	if !whole {
		signed := all[:0]
		for i := range all {
			if all[i].SignedAt != nil {
				signed = append(signed, all[i])
			}
		}
		all = signed
	}
	if version == 0 && len(all) > 0 {
		version = all[len(all)-1].Version
	}
	return minutesView(db, all, version)
}

// readable is the side of an activity whose minutes and votes the actor reads,
// and whether all of them.
func readable(tx *gorm.DB, actor *model.Actor, activityID, branchID uint64) (side, bool, error) {
	a, line, own, err := seen(tx, actor, activityID)
	if err != nil {
		return side{}, false, err
	}
	all, err := sidesOf(tx, a, line)
	if err != nil {
		return side{}, false, err
	}
	return all.read(actor, own, branchID)
}

// SignInput names the version that is signed.
type SignInput struct {
	Version int `json:"version" minimum:"1" maximum:"100000" doc:"看过的版本，应当是最新的"`
}

// Sign puts the secretary's name under the newest version, and refuses an older
// one. From then on the members may read it, so its text passes WeChat's content
// check first: refused when risky, and what cannot be checked now is not signed
// now. A later edit needs a new signature; the signed version stays as it is.
// Signing again changes nothing.
func (s *Minutes) Sign(ctx context.Context, actor *model.Actor, activityID, branchID uint64, in SignInput) (*MinutesView, error) {
	if err := s.checkText(ctx, actor, activityID, branchID, in.Version); err != nil {
		return nil, err
	}
	now := s.now()
	return inTx(ctx, s.db, func(tx *gorm.DB) (*MinutesView, error) {
		at, err := signs(tx, actor, activityID, branchID)
		if err != nil {
			return nil, err
		}
		// What is written waits for the row as well, so the newest stays the newest.
		if _, err := lock[model.Activity](tx, activityID, model.ErrActivityNotFound); err != nil {
			return nil, err
		}
		all, err := versionsOf(tx, activityID, at)
		if err != nil {
			return nil, err
		}
		newest, err := newestIs(all, in.Version)
		if err != nil {
			return nil, err
		}
		if newest.SignedAt != nil {
			return minutesView(tx, all, in.Version)
		}
		newest.SignedBy, newest.SignedAt = &actor.MemberID, &now
		if err := tx.Model(newest).Select("signed_by", "signed_at").Updates(newest).Error; err != nil {
			return nil, fmt.Errorf("sign minutes of activity %d: %w", activityID, err)
		}
		if err := auditBy(tx, now, actor, "sign_minutes", "activity", activityID, "ok", map[string]any{"version": in.Version}); err != nil {
			return nil, err
		}
		return minutesView(tx, all, in.Version)
	})
}

// checkText has the version checked that is to be signed. A version never
// changes, so it is the same one afterwards; one that is only being written waits
// for its own check.
func (s *Minutes) checkText(ctx context.Context, actor *model.Actor, activityID, branchID uint64, version int) error {
	db := s.db.WithContext(ctx)
	at, err := signs(db, actor, activityID, branchID)
	if err != nil {
		return err
	}
	all, err := versionsOf(db, activityID, at)
	if err != nil {
		return err
	}
	newest, err := newestIs(all, version)
	if err != nil || newest.SignedAt != nil {
		return err
	}
	return checkText(ctx, s.platform, actor, newest.Agenda+"\n"+newest.Content+"\n"+newest.Decisions)
}

// newestIs is the newest of all versions, as long as it is the one that is meant.
func newestIs(all []model.Minutes, version int) (*model.Minutes, error) {
	if len(all) == 0 {
		return nil, model.ErrMinutesNotFound
	}
	newest := &all[len(all)-1]
	if newest.Version != version {
		return nil, model.ErrChangedMeantime.With("version", newest.Version)
	}
	return newest, nil
}

// signs is the side whose minutes the actor signs.
func signs(tx *gorm.DB, actor *model.Actor, activityID, branchID uint64) (side, error) {
	_, all, err := jointly(tx, actor, activityID)
	if err != nil {
		return side{}, err
	}
	at, err := all.first(branchID, actor.Signs)
	if err == nil {
		return at, nil
	}
	_, looks := all.first(branchID, func(l model.Line) bool { return actor.Conducts(l) || actor.Oversees(l) })
	if looks == nil {
		return side{}, model.ErrNotSecretary
	}
	return side{}, err
}

// versionsOf is every version of a side's minutes, the first one first: version n
// is at n-1.
func versionsOf(tx *gorm.DB, activityID uint64, at side) ([]model.Minutes, error) {
	var all []model.Minutes
	if err := tx.Order("version").Find(&all, "activity_id = ? AND partner_id = ?", activityID, at.partner).Error; err != nil {
		return nil, fmt.Errorf("minutes of activity %d: %w", activityID, err)
	}
	return all, nil
}

// minutesView shows one of the versions, which are in order.
func minutesView(tx *gorm.DB, all []model.Minutes, version int) (*MinutesView, error) {
	var chosen *model.Minutes
	var people []uint64
	for i := range all {
		m := &all[i]
		people = append(people, m.WrittenBy, deref(m.SignedBy))
		if m.Version == version {
			chosen = m
			people = append(people, m.HostID, m.RecorderID)
		}
	}
	if chosen == nil {
		return nil, model.ErrMinutesNotFound
	}
	names, err := namesOf(tx, people)
	if err != nil {
		return nil, err
	}
	line := func(m *model.Minutes) MinutesVersion {
		return MinutesVersion{Version: m.Version, WrittenBy: names[m.WrittenBy], WrittenAt: m.WrittenAt, SignedBy: names[deref(m.SignedBy)], SignedAt: m.SignedAt}
	}
	view := &MinutesView{ActivityID: chosen.ActivityID, BranchID: chosen.PartnerID, MinutesVersion: line(chosen), HostID: chosen.HostID, Host: names[chosen.HostID],
		RecorderID: chosen.RecorderID, Recorder: names[chosen.RecorderID], Agenda: chosen.Agenda, Content: chosen.Content, Decisions: chosen.Decisions,
		Versions: make([]MinutesVersion, 0, len(all))}
	for i := len(all) - 1; i >= 0; i-- {
		view.Versions = append(view.Versions, line(&all[i]))
	}
	return view, nil
}
