package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"gorm.io/gorm"

	"dangri/model"
)

// What the table of access has of minutes, votes and papers.

func minutesOf(l *land) body {
	return body{"version": 0, "host_id": l.secretary0(), "recorder_id": l.victim, "agenda": "议题" + l.canary, "content": "内容" + l.canary, "decisions": "决议" + l.canary}
}

// secretary0 is the number of the land's secretary, also where there is none.
func (l *land) secretary0() uint64 {
	if l.unknown {
		return l.victim
	}
	return l.secretary.ID
}

func paper(rest string, signed bool) func(*ground, *land, *caller) call {
	return func(g *ground, l *land, _ *caller) call {
		return call{path: g.path(g.recorded(l, signed).activity, rest)}
	}
}

// meetingOnRecord is a meeting with minutes, a vote and a photo of its paper sheet.
type meetingOnRecord struct{ activity, vote, photo uint64 }

func (g *ground) recorded(l *land, signed bool) meetingOnRecord {
	g.t.Helper()
	id := g.activity(l, model.Published)
	if l.unknown {
		return meetingOnRecord{id, id, id}
	}
	now := g.Clock.Now()
	m := &model.Minutes{ActivityID: id, Version: 1, HostID: l.secretary.ID, RecorderID: l.victim, Agenda: "议题" + l.canary, Content: "内容" + l.canary,
		Decisions: "决议" + l.canary, WrittenBy: l.secretary.ID, WrittenAt: now}
	if signed {
		m.SignedBy, m.SignedAt = &l.secretary.ID, &now
	}
	v := &model.Vote{ActivityID: id, Subject: "表决" + l.canary, Kind: model.Resolution, Expected: 6, Present: 4, Ballots: model.Ballots{Yes: 4},
		RecordedBy: l.secretary.ID, RecordedAt: now, Once: model.Once{Nonce: nonce()}}
	content := []byte("照片")
	sum := sha256.Sum256(content)
	p := &model.Photo{ActivityID: id, Purpose: model.PaperSheetPhoto, Digest: hex.EncodeToString(sum[:]), Width: 1, Height: 1, Bytes: len(content),
		AttachedBy: l.secretary.ID, AttachedAt: now}
	if err := g.Parts.Files.Put(g.t.Context(), p.Digest, content); err != nil {
		g.t.Fatal(err)
	}
	g.together(func(tx *gorm.DB) error {
		return errors.Join(tx.Create(m).Error, tx.Create(v).Error, tx.Create(p).Error)
	})
	return meetingOnRecord{id, v.ID, p.ID}
}
