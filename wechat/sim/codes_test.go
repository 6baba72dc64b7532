package sim

import (
	"bytes"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"strings"
	"testing"
	"time"
)

const codePath = "wxa/getwxacodeunlimit"

func TestACodeIsARealPictureThatTheSimulatedPhoneReads(t *testing.T) {
	b := newBench(t, Config{})
	u := b.NewUser("")
	for _, c := range []struct {
		in    map[string]any
		mime  string
		width int
		want  Scanned
	}{
		{map[string]any{"scene": "a_B-7", "page": "pages/checkin/index"}, "image/jpeg", 430,
			Scanned{"pages/checkin/index", "a_B-7", "pages/checkin/index?scene=a_B-7"}},
		{map[string]any{"scene": "x=1&y/2", "width": 280, "is_hyaline": true, "line_color": map[string]any{"r": "200", "g": 0, "b": 0}}, "image/png", 280,
			Scanned{"pages/index/index", "x=1&y/2", "pages/index/index?scene=x%3D1%26y%2F2"}},
		{map[string]any{"scene": "z", "page": "pages/draft/index", "check_path": false, "width": 1280}, "image/jpeg", 1280,
			Scanned{"pages/draft/index", "z", "pages/draft/index?scene=z"}},
	} {
		r := b.post(codePath, c.in)
		if r.contentType != c.mime {
			t.Fatalf("%v: %s %s", c.in, r.contentType, r.body)
		}
		picture, _, err := image.Decode(bytes.NewReader(r.body))
		if err != nil || picture.Bounds().Dx() != c.width {
			t.Errorf("%v: %v, %v wide", c.in, err, picture.Bounds())
		}
		if got, known := u.Scan(r.body); !known || got != c.want {
			t.Errorf("%v scanned as %+v %v", c.in, got, known)
		}
	}
	if _, known := u.Scan([]byte("another picture")); known {
		t.Error("any picture is a code")
	}
}

func TestATruncatedCodeIsNoPicture(t *testing.T) {
	b := newBench(t, Config{})
	b.Arm(Fault{Endpoint: codePath, Kind: Truncated, Count: 1})
	r := b.post(codePath, map[string]any{"scene": "a"})
	if _, _, err := image.Decode(bytes.NewReader(r.body)); err == nil || r.contentType != "image/jpeg" || r.status != 200 {
		t.Errorf("truncated code: %v, %s, %d", err, r.contentType, r.status)
	}
	if _, known := b.NewUser("").Scan(r.body); known {
		t.Error("half a code scans")
	}
}

func TestALinkLeadsToAReleasedPageForThirtyDaysAtMost(t *testing.T) {
	b := newBench(t, Config{})
	at := func(d time.Duration) map[string]any {
		return map[string]any{"path": "/pages/index/index", "query": "a=1%20", "is_expire": true, "expire_type": 0, "expire_time": b.Now().Add(d).Unix()}
	}
	const path = "wxa/generate_urllink"
	good := b.post(path, at(30*24*time.Hour))
	b.want("thirty days", good, 0)
	if !strings.HasPrefix(good.URLLink, "https://wxaurl.cn/") {
		t.Errorf("link %q", good.URLLink)
	}
	b.want("a minute", b.post(path, at(time.Minute)), 0)
	b.want("less", b.post(path, at(59*time.Second)), 85401)
	b.want("more", b.post(path, at(30*24*time.Hour+time.Second)), 85401)
}
