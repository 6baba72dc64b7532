package api_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"mime/multipart"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

// pictureOf is a JPEG that differs by n, with a place noted as a camera does.
func pictureOf(t testing.TB, n int) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 80, 60))
	for i := range m.Pix {
		m.Pix[i] = byte(i * (n + 1) / 7)
	}
	m.Set(0, 0, color.White)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	const place = "Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00GPS-35.06N-118.35E"
	head := binary.BigEndian.AppendUint16([]byte{0xff, 0xd8, 0xff, 0xe1}, uint16(len(place)+2))
	return append(append(head, place...), b.Bytes()[2:]...)
}

// formOf is a file as wx.uploadFile sends it.
func formOf(t testing.TB, content []byte) (body []byte, contentType string) {
	t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	part, err := form.CreateFormFile("file", "../../照片.jpg")
	if err == nil {
		_, err = part.Write(content)
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), form.FormDataContentType()
}

func (m *meeting) attach(p *phone, purpose model.PhotoPurpose, content []byte) *reply {
	m.t.Helper()
	form, kind := formOf(m.t, content)
	return p.do("POST", m.path(m.id, "/photos?purpose="+string(purpose)), form, "Content-Type", kind)
}

func TestL10_APhotoIsKeptWithoutItsPlaceAndReadByThoseWhoOversee(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		p := m.phone(m.secretary)
		sent := pictureOf(t, 1)
		if !bytes.Contains(sent, []byte("GPS-35.06N")) {
			t.Fatal("this test plants no place")
		}
		paper := as[service.PhotoView](t, m.attach(p, model.PaperSheetPhoto, sent))
		scene := as[service.PhotoView](t, m.attach(p, model.ScenePhoto, sent))
		if paper.ID == scene.ID || paper.Width != 80 || paper.Height != 60 || paper.AttachedBy != "沈书记" {
			t.Errorf("got %+v and %+v", paper, scene)
		}
		s.Clock.Advance(time.Minute)
		if again := as[service.PhotoView](t, m.attach(p, model.PaperSheetPhoto, sent)); again != paper {
			t.Errorf("sent again: %+v, want %+v", again, paper)
		}
		if list := as[service.PhotoList](t, p.get(m.path(m.id, "/photos"))); len(list.Items) != 2 || list.Items[0] != paper {
			t.Errorf("listed: %+v", list)
		}
		read := func(who *phone, id uint64) *reply { return who.get(m.path(m.id, fmt.Sprint("/photos/", id))) }
		got := read(p, paper.ID)
		if got.Status != 200 || got.Header.Get("Content-Type") != "image/jpeg" || got.Header.Get("Cache-Control") != "no-store" ||
			got.Header.Get("X-Content-Type-Options") != "nosniff" || bytes.Contains(got.Body, []byte("GPS")) || bytes.Contains(got.Body, []byte("Exif")) {
			t.Errorf("%d %v", got.Status, got.Header)
		}
		if config, err := jpeg.DecodeConfig(bytes.NewReader(got.Body)); err != nil || config.Width != 80 {
			t.Errorf("what is read is no picture: %v", err)
		}
		want(t, read(p, scene.ID), 200, "ok")
		if a, b := s.audited("read_paper_sheet", "photo", paper.ID), s.audited("read_paper_sheet", "photo", scene.ID); a != 1 || b != 0 {
			t.Errorf("%d looks at the paper and %d at the scene are audited", a, b)
		}
		want(t, read(m.phone(m.members[0]), paper.ID), 403, "not_conductor")
		want(t, m.attach(m.phone(m.members[0]), model.ScenePhoto, sent), 403, "not_conductor")
		first := m.id
		m.id = m.publish(m.branch)
		want(t, read(p, paper.ID), 404, "photo_not_found") // K3: the photo of another meeting
		sameBytes(t, read(p, paper.ID), read(p, 999999))
		m.id = first
	})
}

func TestL10_WhatIsNoPhotoIsRefusedAndLeavesNothing(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		p := m.phone(m.secretary)
		good := pictureOf(t, 2)
		want(t, m.attach(p, model.ScenePhoto, []byte("<svg/>")), 400, "photo_type")
		want(t, m.attach(p, model.ScenePhoto, good[:len(good)/2]), 400, "photo_broken")
		want(t, m.attach(p, model.ScenePhoto, append(good, make([]byte, 10<<20)...)), 400, "photo_too_large")
		want(t, m.attach(p, model.ScenePhoto, make([]byte, 11<<20)), 413, "too_large")
		want(t, m.attach(p, "portrait", good), 400, "invalid_input")
		want(t, p.post(m.path(m.id, "/photos?purpose=scene"), body{"file": "x"}), 400, "invalid_input")
		if n := s.count(&model.Photo{}, "1 = 1"); n != 0 {
			t.Errorf("%d rows", n)
		}
		early := m.id
		m.id = m.publish(m.branch, "starts_at", s.Clock.Now().Add(24*time.Hour), "ends_at", s.Clock.Now().Add(26*time.Hour))
		want(t, m.attach(p, model.ScenePhoto, good), 409, "not_open_yet")
		m.id = early
		want(t, m.cancel("停电"), 200, "ok")
		want(t, m.attach(p, model.ScenePhoto, good), 409, "cancelled")
	})
}

func TestAMeetingKeepsSixtyPhotosAndACopyThatWasTamperedWithIsNotShown(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		p := m.phone(m.secretary)
		var last service.PhotoView
		for n := range 59 {
			last = as[service.PhotoView](t, m.attach(p, model.ScenePhoto, pictureOf(t, n)))
		}
		// Two at once for the last place.
		other := m.on(s.replica())
		var accepted [2]bool
		trial.Race(2, func(i int) {
			at := []*meeting{m, other}[i]
			r := at.attach(at.phone(m.secretary), model.ScenePhoto, pictureOf(t, 100+i))
			if accepted[i] = r.Status == 200; !accepted[i] {
				want(t, r, 409, "photo_count")
			}
		})
		if n := s.count(&model.Photo{}, "activity_id = ?", m.id); n != model.MaxPhotos || accepted[0] == accepted[1] {
			t.Errorf("%d photos, accepted %v", n, accepted)
		}
		var row model.Photo
		if err := s.DB.Take(&row, last.ID).Error; err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(string(s.Parts.Files.(service.Folder)), row.Digest[:2], row.Digest)
		if err := os.WriteFile(path, pictureOf(t, 0), 0o600); err != nil {
			t.Fatal(err)
		}
		want(t, p.get(m.path(m.id, fmt.Sprint("/photos/", last.ID))), 500, "fault")
	})
}

func TestOnePhotoSentManyTimesAtOnceIsKeptOnce(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		m.phone(m.secretary)
		other := m.on(s.replica())
		ids := make([]uint64, 6)
		trial.Race(len(ids), func(i int) {
			at := []*meeting{m, other}[i%2]
			ids[i] = as[service.PhotoView](t, at.attach(at.phone(m.secretary), model.ScenePhoto, pictureOf(t, 1))).ID
		})
		for _, id := range ids {
			if id != ids[0] {
				t.Errorf("got %v", ids)
			}
		}
	})
}

func (m *meeting) remove(p *phone, id uint64, reason string) *reply {
	m.t.Helper()
	return p.post(m.path(m.id, fmt.Sprint("/photos/", id, "/removal")), body{"reason": reason})
}

func TestAPhotoAddedByMistakeIsRemovedAndWhoWhenAndWhyStays(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		p := m.phone(m.secretary)
		wrong := as[service.PhotoView](t, m.attach(p, model.ScenePhoto, pictureOf(t, 1)))
		right := as[service.PhotoView](t, m.attach(p, model.ScenePhoto, pictureOf(t, 2)))
		s.Clock.Advance(time.Minute)
		want(t, m.remove(p, wrong.ID, " 　 "), 400, "invalid_field")
		want(t, m.remove(m.phone(m.members[0]), wrong.ID, "传错了"), 403, "not_conductor")
		want(t, m.remove(p, 999999, "传错了"), 404, "photo_not_found")
		gone := m.remove(p, wrong.ID, "传错了会议")
		removed := as[service.PhotoView](t, gone).Removed
		if removed == nil || removed.By != "沈书记" || removed.Reason != "传错了会议" || !removed.At.Equal(s.Clock.Now()) {
			t.Fatalf("removed: %+v", removed)
		}
		s.Clock.Advance(time.Minute)
		sameBytes(t, gone, m.remove(p, wrong.ID, "再移除一次"))
		rows := s.entries("action = 'remove_photo'")
		if len(rows) != 1 || rows[0].Object != fmt.Sprint("photo/", wrong.ID) || rows[0].MemberID != m.secretary.ID || rows[0].Result != "ok" ||
			rows[0].Details != fmt.Sprintf(`{"activity_id":%d}`, m.id) {
			t.Errorf("the audit says %+v", rows)
		}
		list := as[service.PhotoList](t, p.get(m.path(m.id, "/photos")))
		if len(list.Items) != 1 || list.Items[0] != right || len(list.Removed) != 1 || list.Removed[0].ID != wrong.ID || *list.Removed[0].Removed != *removed {
			t.Errorf("listed: %+v", list)
		}
		read := func(id uint64) *reply { return p.get(m.path(m.id, fmt.Sprint("/photos/", id))) }
		sameBytes(t, read(wrong.ID), read(999999))
		photos := 0
		for name := range unpacked(t, p.get(m.path(m.id, "/pack.zip"))) {
			if strings.HasSuffix(name, ".jpg") {
				photos++
			}
		}
		if photos != 1 {
			t.Errorf("the pack holds %d photos", photos)
		}
		// The same photo may be added again, and then has its content though that
		// of the removed one goes.
		again := as[service.PhotoView](t, m.attach(p, model.ScenePhoto, pictureOf(t, 1)))
		if again.ID == wrong.ID || again.Removed != nil {
			t.Errorf("added again: %+v", again)
		}
		s.Clock.Advance(25 * time.Hour)
		if _, err := s.Retention.Apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.SignIn(m.secretary)
		p = m.phone(m.secretary)
		want(t, read(again.ID), 200, "ok")
		// Another meeting's photo is not this one's.
		m.id = m.publish(m.branch)
		sameBytes(t, m.remove(p, again.ID, "传错了"), m.remove(p, 999999, "传错了"))
	})
}

func TestAPhotoThatOthersRelyOnIsNotRemoved(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(2)
		p := m.phone(m.secretary)
		m.begins()
		paper := m.paperPhoto()
		want(t, m.paper(body{"photo_id": paper, "member_ids": ids(m.members[0]), "nonce": nonce()}), 200, "ok")
		want(t, m.remove(p, paper, "传错了"), 409, "photo_used")
		scene := as[service.PhotoView](t, m.attach(p, model.ScenePhoto, pictureOf(t, 5))).ID
		want(t, p.put(m.path(m.id, "/minutes"), m.minutes(0, "内容")), 200, "ok")
		want(t, p.post(m.path(m.id, "/minutes/signature"), body{"version": 1}), 200, "ok")
		want(t, p.post(m.path(m.id, "/closing"), nil), 200, "ok")
		want(t, m.remove(p, scene, "传错了"), 409, "photo_signed")
		want(t, p.put(m.path(m.id, "/minutes"), m.minutes(1, "改过的")), 200, "ok")
		want(t, m.remove(p, scene, "传错了"), 200, "ok")
		want(t, p.post(m.path(m.id, "/minutes/signature"), body{"version": 2}), 200, "ok")
		want(t, m.remove(p, scene, "传错了"), 200, "ok") // again
	})
}

func TestAtAJointMeetingEachBranchRemovesItsOwnPhotos(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		j := s.aJointMeeting(2, 2)
		want(t, j.answer(true), 200, "ok")
		host, partner := j.phone(j.secretary), j.phone(j.partner.secretary)
		scene := as[service.PhotoView](t, j.attach(partner, model.ScenePhoto, pictureOf(t, 1))).ID
		paper := as[service.PhotoView](t, j.attach(partner, model.PaperSheetPhoto, pictureOf(t, 2))).ID
		own := as[service.PhotoView](t, j.attach(host, model.ScenePhoto, pictureOf(t, 1))).ID
		want(t, j.remove(host, scene, "传错了"), 403, "not_conductor")
		want(t, j.remove(partner, own, "传错了"), 403, "not_conductor")
		sameBytes(t, j.remove(host, paper, "传错了"), j.remove(host, 999999, "传错了"))
		want(t, j.remove(partner, scene, "传错了"), 200, "ok")
		want(t, j.remove(partner, paper, "传错了"), 200, "ok")
		if list := as[service.PhotoList](t, host.get(j.path(j.id, "/photos"))); len(list.Items) != 1 || list.Items[0].ID != own || len(list.Removed) != 1 {
			t.Errorf("the host's list: %+v", list)
		}
	})
}

// removeAndRecord removes a paper sheet's photo and records people from it at
// once, on two replicas, and says whether both went through.
func (m *meeting) removeAndRecord(other *meeting, photo uint64) bool {
	m.t.Helper()
	var removed, recorded *reply
	trial.Race(2, func(i int) {
		if i == 0 {
			removed = m.remove(m.phone(m.secretary), photo, "传错了")
		} else {
			recorded = other.paper(body{"photo_id": photo, "member_ids": ids(m.members[0]), "nonce": nonce()})
		}
	})
	for _, r := range []*reply{removed, recorded} {
		if code := r.code(); r.Status != 200 && code != "photo_used" && code != "photo_not_found" {
			m.t.Fatalf("got %d %s", r.Status, r.Body)
		}
	}
	return removed.Status == 200 && recorded.Status == 200
}

func TestRemovingAPhotoRacesItsPaperSheetAndOneWins(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		m.phone(m.secretary)
		other := m.on(s.replica())
		for range 10 {
			m.id = m.publish(m.branch)
			other.id = m.id
			if m.removeAndRecord(other, m.paperPhoto()) {
				t.Fatal("people are on record from a photo that was removed")
			}
		}
	})
}

func TestRemovingAPhoto_Control_WithoutLocksBothWin(t *testing.T) {
	onServer(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		m.phone(m.secretary)
		other := m.on(s.replica())
		for round := range 60 {
			m.id = m.publish(m.branch)
			other.id = m.id
			if m.removeAndRecord(other, m.paperPhoto()) {
				t.Logf("seen in round %d", round)
				return
			}
		}
		t.Error("sixty rounds without locks and one always won: this test cannot see the race")
	}, skipLocks)
}
