package sim

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/skip2/go-qrcode"
)

const (
	maxScene     = 32
	maxLinkQuery = 1024
	maxLinkDays  = 30
	usualWidth   = 430
	minWidth     = 280
	maxWidth     = 1280
)

var (
	sceneShape     = regexp.MustCompile(`^[0-9A-Za-z!#$&'()*+,/:;=?@\-._~]+$`)
	linkQueryShape = regexp.MustCompile(`^[0-9A-Za-z!#$&'()*+,/:;=?@\-._~%]*$`)
	versions       = []string{"", "release", "trial", "develop"}
)

func (s *Sim) codeEndpoints(into map[string]*endpoint) {
	into["wxa/getwxacodeunlimit"] = posted(Limit{PerMinute: 5000}, s.unlimitedCode)
	into["wxa/generate_urllink"] = posted(Limit{PerDay: 500_000}, s.link)
}

type codeInput struct {
	Scene        any        `json:"scene"`
	Page         string     `json:"page"`
	CheckPath    *bool      `json:"check_path"`
	EnvVersion   string     `json:"env_version"`
	Width        int        `json:"width"`
	AutoColor    bool       `json:"auto_color"`
	LineColor    *lineColor `json:"line_color"`
	Hyaline      bool       `json:"is_hyaline"`
	ShowSplashAd *bool      `json:"show_splash_ad"`
}

// lineColor is given as strings or numbers.
type lineColor struct {
	R any `json:"r"`
	G any `json:"g"`
	B any `json:"b"`
}

// picture is a mini-program code that is still to be drawn, which takes too
// long to be done under the lock.
type picture struct {
	page, scene string
	width       int
	line        color.RGBA
	clear       bool // a PNG without background
}

// Scanned is what a phone's scanner makes of a mini-program code.
type Scanned struct {
	Page  string `json:"page"`
	Scene string `json:"scene"`
	Path  string `json:"path"` // as wx.scanCode gives it: page?scene=, escaped
}

// unlimitedCode is POST wxa/getwxacodeunlimit.
func (s *Sim) unlimitedCode(_ *call, in *codeInput) (any, *refusal) {
	scene, text := in.Scene.(string)
	switch {
	case !text || scene == "" || utf8.RuneCountInString(scene) > maxScene:
		return nil, refuse(40169, "invalid length for scene, or the data is not json string")
	case !sceneShape.MatchString(scene):
		return nil, refuse(40129, "invalid scene")
	case strings.HasPrefix(in.Page, "/") || strings.ContainsAny(in.Page, "?#"):
		return nil, refuse(41030, "invalid page")
	case (in.CheckPath == nil || *in.CheckPath) && in.Page != "" && !s.pages[in.Page]:
		return nil, refuse(41030, "invalid page")
	case !slices.Contains(versions, in.EnvVersion):
		return nil, refuse(40097, "invalid args: env_version")
	case in.Width != 0 && (in.Width < minWidth || in.Width > maxWidth):
		return nil, refuse(40097, "invalid args: width")
	}
	line, good := in.LineColor.parse()
	if !good {
		return nil, refuse(40097, "invalid args: line_color")
	}
	return picture{cmp.Or(in.Page, s.cfg.Pages[0]), scene, cmp.Or(in.Width, usualWidth), line, in.Hyaline}, nil
}

func (c *lineColor) parse() (color.RGBA, bool) {
	out := color.RGBA{A: 255}
	if c == nil {
		return out, true
	}
	for _, part := range []struct {
		in  any
		out *uint8
	}{{c.R, &out.R}, {c.G, &out.G}, {c.B, &out.B}} {
		var n float64
		switch v := part.in.(type) {
		case float64:
			n = v
		case string:
			parsed, err := strconv.ParseUint(v, 10, 8)
			if err != nil {
				return out, false
			}
			n = float64(parsed)
		default:
			return out, false
		}
		if n < 0 || n > 255 || n != float64(uint8(n)) {
			return out, false
		}
		*part.out = uint8(n)
	}
	return out, true
}

// draw makes the image and its content type: a QR code that holds
// sim://page?scene=, because only the platform can draw and read its own kind.
func (p picture) draw() (contentType string, image []byte) {
	code, err := qrcode.New("sim://"+p.page+"?scene="+escape(p.scene), qrcode.Medium)
	if err != nil {
		panic(err) // page and scene are short
	}
	code.ForegroundColor = p.line
	var b bytes.Buffer
	if p.clear {
		code.BackgroundColor = color.Transparent
		err = png.Encode(&b, code.Image(p.width))
		contentType = "image/png"
	} else {
		err = jpeg.Encode(&b, flatten(code.Image(p.width)), nil)
		contentType = "image/jpeg"
	}
	if err != nil {
		panic(err) // into memory
	}
	return contentType, b.Bytes()
}

// flatten turns the two-colour picture into one that the JPEG encoder has a
// fast way for.
func flatten(in image.Image) image.Image {
	out := image.NewRGBA(in.Bounds())
	draw.Draw(out, out.Bounds(), in, in.Bounds().Min, draw.Src)
	return out
}

// escape is the phone's encodeURIComponent, or a little more.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// remember keeps what an image says, for Scan.
func (s *Sim) remember(p picture, image []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scenes[sha256.Sum256(image)] = Scanned{p.page, p.scene, p.page + "?scene=" + escape(p.scene)}
}

// Scan is the person pointing the phone at a code: the very bytes that
// getwxacodeunlimit gave. ok is false for any other picture.
func (u *User) Scan(image []byte) (out Scanned, ok bool) {
	now := u.sim.Now()
	u.sim.mu.Lock()
	defer u.sim.mu.Unlock()
	out, ok = u.sim.scenes[sha256.Sum256(image)]
	if ok {
		u.seen = now
	}
	return out, ok
}

type linkInput struct {
	Path           string `json:"path"`
	Query          string `json:"query"`
	EnvVersion     string `json:"env_version"`
	IsExpire       bool   `json:"is_expire"`
	ExpireType     int    `json:"expire_type"`
	ExpireTime     int64  `json:"expire_time"`
	ExpireInterval int    `json:"expire_interval"`
}

type linkAnswer struct {
	done
	URLLink string `json:"url_link"`
}

// link is POST wxa/generate_urllink: it lives for 30 days at most, to a page
// of the released version.
func (s *Sim) link(c *call, in *linkInput) (any, *refusal) {
	ends := time.Unix(in.ExpireTime, 0)
	byInterval := in.ExpireType == 1
	switch {
	case in.Path != "" && !s.pages[strings.TrimPrefix(in.Path, "/")]:
		return nil, refuse(40165, "invalid weapp pagepath")
	case len(in.Query) > maxLinkQuery || !linkQueryShape.MatchString(in.Query):
		return nil, refuse(40212, "invalid query")
	case !slices.Contains(versions, in.EnvVersion):
		return nil, refuse(85402, "invalid env_version")
	case in.ExpireType != 0 && !byInterval:
		return nil, refuse(40097, "invalid args: expire_type")
	case byInterval && (in.ExpireInterval < 1 || in.ExpireInterval > maxLinkDays),
		!byInterval && (ends.Before(c.now.Add(time.Minute)) || ends.After(c.now.AddDate(0, 0, maxLinkDays))):
		return nil, refuse(85401, "time limit between 1min and 30 days")
	}
	return linkAnswer{ok, "https://wxaurl.cn/" + randomString(alphanumeric, 11)}, nil
}
