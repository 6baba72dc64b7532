package wechat_test

import (
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"io"
	"net/http"
	"strings"
	"testing"

	"dangri/wechat"
	"dangri/wechat/sim"
)

func TestACodeOpensThePageWithItsScene(t *testing.T) {
	platform, client := simulated(t, sim.Config{})
	user := platform.NewUser("")
	picture, mime, err := client.MiniProgramCode(t.Context(), wechat.CodeRequest{Scene: "a-Z_0.9~", Page: "pages/checkin/index", Width: 280})
	if err != nil || mime != "image/jpeg" {
		t.Fatal(mime, err)
	}
	got, ok := user.Scan(picture)
	if !ok || got.Scene != "a-Z_0.9~" || got.Page != "pages/checkin/index" {
		t.Errorf("got %+v, %v", got, ok)
	}
	_, _, err = client.MiniProgramCode(t.Context(), wechat.CodeRequest{Scene: "a", Page: "pages/unknown/index"})
	wantKind(t, err, wechat.KindBadPage)
}

func TestACodeThatCannotBeRightIsNotAskedFor(t *testing.T) {
	platform, client := simulated(t, sim.Config{})
	for name, c := range map[string]struct {
		request     wechat.CodeRequest
		kind, field string
	}{
		"no scene":      {wechat.CodeRequest{}, wechat.KindBadData, "scene"},
		"33 signs":      {wechat.CodeRequest{Scene: strings.Repeat("a", 33)}, wechat.KindBadData, "scene"},
		"Han":           {wechat.CodeRequest{Scene: "党日"}, wechat.KindBadData, "scene"},
		"equals sign":   {wechat.CodeRequest{Scene: "a=1"}, wechat.KindBadData, "scene"},
		"percent":       {wechat.CodeRequest{Scene: "a%20"}, wechat.KindBadData, "scene"},
		"leading slash": {wechat.CodeRequest{Scene: "a", Page: "/pages/index/index"}, wechat.KindBadPage, "page"},
		"query":         {wechat.CodeRequest{Scene: "a", Page: "pages/index/index?x=1"}, wechat.KindBadPage, "page"},
		"too narrow":    {wechat.CodeRequest{Scene: "a", Width: 279}, wechat.KindBadData, "width"},
		"too wide":      {wechat.CodeRequest{Scene: "a", Width: 1281}, wechat.KindBadData, "width"},
	} {
		_, _, err := client.MiniProgramCode(t.Context(), c.request)
		if e := wantKind(t, err, c.kind); e.Field != c.field || e.Code != 0 {
			t.Errorf("%s: got %+v", name, e)
		}
	}
	if n := platform.Counters()["wxa/getwxacodeunlimit"]; n != 0 {
		t.Errorf("%d requests", n)
	}
	if _, _, err := client.MiniProgramCode(t.Context(), wechat.CodeRequest{Scene: strings.Repeat("a", 32), Width: 1280}); err != nil {
		t.Errorf("control: the longest scene and the greatest width are good: %v", err)
	}
}

func TestAPictureIsKnownByItsBytesNotByItsDeclaredType(t *testing.T) {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 4, 4))); err != nil {
		t.Fatal(err)
	}
	server := scripted(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; encoding=utf-8")
		_, _ = w.Write(b.Bytes())
	})
	picture, mime, err := connect(t, server.URL).MiniProgramCode(t.Context(), wechat.CodeRequest{Scene: "a"})
	if err != nil || mime != "image/png" || !bytes.Equal(picture, b.Bytes()) {
		t.Errorf("got %d bytes of %q, %v", len(picture), mime, err)
	}
}

func TestACutPictureIsNotHandedOut(t *testing.T) {
	platform, client := simulated(t, sim.Config{})
	platform.Arm(sim.Fault{Endpoint: "wxa/getwxacodeunlimit", Kind: sim.Truncated, Count: 1})
	picture, _, err := client.MiniProgramCode(t.Context(), wechat.CodeRequest{Scene: "a"})
	wantKind(t, err, wechat.KindBusy)
	if picture != nil {
		t.Errorf("got %d bytes", len(picture))
	}
}

func TestOnlyReleasedCodesInsistOnAReleasedPage(t *testing.T) {
	for env, wantCheck := range map[string]bool{"": true, "release": true, "trial": false, "develop": false} {
		var asked struct {
			Check *bool  `json:"check_path"`
			Env   string `json:"env_version"`
		}
		server := scripted(t, func(w http.ResponseWriter, r *http.Request) {
			if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(w, `{"errcode":-1,"errmsg":"system error"}`)
		})
		_, _, err := connect(t, server.URL, func(c *wechat.Config) { c.EnvVersion = env }).MiniProgramCode(t.Context(), wechat.CodeRequest{Scene: "a"})
		wantKind(t, err, wechat.KindBusy)
		if asked.Check == nil || *asked.Check != wantCheck || asked.Env == "" || env != "" && asked.Env != env {
			t.Errorf("%q: asked %+v", env, asked)
		}
	}
}

func TestALinkLivesFromOneToThirtyDays(t *testing.T) {
	_, client := simulated(t, sim.Config{})
	for _, days := range []int{1, 30} {
		link, err := client.URLLink(t.Context(), "pages/activity/index", "id=7&from=sms", days)
		if err != nil || !strings.HasPrefix(link, "https://") {
			t.Errorf("got %q, %v", link, err)
		}
	}
	for name, c := range map[string]struct {
		path, query string
		days        int
		kind        string
	}{
		"no day":       {"pages/index/index", "", 0, wechat.KindBadData},
		"31 days":      {"pages/index/index", "", 31, wechat.KindBadData},
		"path query":   {"pages/index/index?a=1", "", 1, wechat.KindBadPage},
		"Han query":    {"pages/index/index", "name=党日", 1, wechat.KindBadData},
		"long query":   {"pages/index/index", strings.Repeat("a", 1025), 1, wechat.KindBadData},
		"unknown page": {"pages/unknown/index", "", 1, wechat.KindBadPage},
	} {
		_, err := client.URLLink(t.Context(), c.path, c.query, c.days)
		if e := wantKind(t, err, c.kind); e.Error() == "" {
			t.Error(name)
		}
	}
}
