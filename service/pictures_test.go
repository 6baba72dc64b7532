package service

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"

	"dangri/model"
)

// quarters is a picture whose four quarters are red, green, blue and white, row
// by row.
func quarters(w, h int) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			out.Set(x, y, []color.Color{color.RGBA{R: 255, A: 255}, color.RGBA{G: 255, A: 255}, color.RGBA{B: 255, A: 255}, color.White}[2*(2*y/h)+2*x/w])
		}
	}
	return out
}

// corners is the colours of the four quarters, as letters.
func corners(t *testing.T, content []byte) string {
	t.Helper()
	got, err := jpeg.Decode(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	w, h := got.Bounds().Dx(), got.Bounds().Dy()
	var out strings.Builder
	for _, p := range []image.Point{{w / 4, h / 4}, {3 * w / 4, h / 4}, {w / 4, 3 * h / 4}, {3 * w / 4, 3 * h / 4}} {
		r, g, b, _ := got.At(p.X, p.Y).RGBA()
		high := func(v uint32) bool { return v > 0x8000 }
		switch {
		case high(r) && high(g) && high(b):
			out.WriteByte('W')
		case high(r):
			out.WriteByte('R')
		case high(g):
			out.WriteByte('G')
		case high(b):
			out.WriteByte('B')
		default:
			out.WriteByte('?')
		}
	}
	return out.String()
}

func asJPEG(t testing.TB, in image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, in, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asPNG(t testing.TB, in image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, in); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// exif is what a camera writes before a picture: how it was held, and where.
func exif(order binary.AppendByteOrder, orientation uint16) []byte {
	tiff := []byte("II*\x00")
	if order.String() == binary.BigEndian.String() {
		tiff = []byte("MM\x00*")
	}
	tiff = order.AppendUint32(tiff, 8)
	tiff = order.AppendUint16(tiff, 2)
	entry := func(tag, kind uint16, value []byte) {
		tiff = order.AppendUint16(order.AppendUint16(tiff, tag), kind)
		tiff = append(order.AppendUint32(tiff, 1), value...)
	}
	entry(0x0112, 3, append(order.AppendUint16(nil, orientation), 0, 0))
	entry(0x8825, 4, order.AppendUint32(nil, 38)) // GPS
	tiff = append(tiff, "\x00\x00\x00\x00GPS 35.06N 118.35E"...)
	segment := append([]byte("Exif\x00\x00"), tiff...)
	return append(binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(segment)+2)), segment...)
}

func withExif(content []byte, order binary.AppendByteOrder, orientation uint16) []byte {
	return append(append(bytes.Clone(content[:2]), exif(order, orientation)...), content[2:]...)
}

func TestL10_APhotoStandsUprightHoweverTheCameraWasHeld(t *testing.T) {
	for orientation, want := range map[uint16]string{0: "RGBW", 1: "RGBW", 2: "GRWB", 3: "WBGR", 4: "BWRG", 5: "RBGW", 6: "BRWG", 7: "WGBR", 8: "GWRB", 9: "RGBW"} {
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			got, err := remake(t.Context(), bytes.NewReader(withExif(asJPEG(t, quarters(64, 32)), order, orientation)))
			if err != nil {
				t.Fatal(err)
			}
			w, h := 64, 32
			if orientation >= 5 && orientation <= 8 {
				w, h = h, w
			}
			if c := corners(t, got.content); c != want || got.width != w || got.height != h {
				t.Errorf("orientation %d (%s): %s, %d×%d, want %s", orientation, order, c, got.width, got.height, want)
			}
		}
	}
}

func TestL10_NothingButThePictureIsKept(t *testing.T) {
	plain := asJPEG(t, quarters(32, 32))
	if !bytes.Contains(withExif(plain, binary.BigEndian, 1), []byte("GPS 35.06N")) {
		t.Fatal("this test plants no place")
	}
	for name, raw := range map[string][]byte{
		"a place in the JPEG":        withExif(plain, binary.BigEndian, 1),
		"a page behind the JPEG":     append(bytes.Clone(plain), "<script>PLANTED</script>"...),
		"an archive behind the JPEG": append(bytes.Clone(plain), "PK\x03\x04PLANTED"...),
		"a comment in the JPEG":      append(append(bytes.Clone(plain[:2]), "\xff\xfe\x00\x09PLANTED"...), plain[2:]...),
		"a page behind the PNG":      append(asPNG(t, quarters(32, 32)), "<?php PLANTED ?>"...),
	} {
		got, err := remake(t.Context(), bytes.NewReader(raw))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, planted := range []string{"PLANTED", "GPS", "Exif", "PK\x03\x04"} {
			if bytes.Contains(got.content, []byte(planted)) {
				t.Errorf("%s: %q is still there", name, planted)
			}
		}
		if corners(t, got.content) != "RGBW" {
			t.Errorf("%s: the picture is %s", name, corners(t, got.content))
		}
		again, err := remake(t.Context(), bytes.NewReader(raw))
		if err != nil || again.digest != got.digest {
			t.Errorf("%s: made again it is another one (%v)", name, err)
		}
	}
}

// pngHeader is the beginning of a PNG that says it is so large.
func pngHeader(w, h uint32) []byte {
	var b bytes.Buffer
	_ = png.Encode(&b, image.NewGray(image.Rect(0, 0, 1, 1)))
	raw := b.Bytes()[:33]
	binary.BigEndian.PutUint32(raw[16:], w)
	binary.BigEndian.PutUint32(raw[20:], h)
	binary.BigEndian.PutUint32(raw[29:], crc32.ChecksumIEEE(raw[12:29]))
	return raw
}

// jpegHeader is a small JPEG that says it is so large.
func jpegHeader(t testing.TB, w, h uint16) []byte {
	raw := asJPEG(t, image.NewGray(image.Rect(0, 0, 8, 8)))
	at := bytes.Index(raw, []byte{0xff, 0xc0})
	binary.BigEndian.PutUint16(raw[at+5:], h)
	binary.BigEndian.PutUint16(raw[at+7:], w)
	return raw
}

func TestL10_WhatIsNoPhotoOrTooLargeIsRefusedAsThat(t *testing.T) {
	good := asJPEG(t, quarters(640, 480))
	for name, c := range map[string]struct {
		raw  []byte
		want error
	}{
		"nothing":                          {nil, model.ErrPhotoType},
		"a page":                           {[]byte("<html>"), model.ErrPhotoType},
		"SVG":                              {[]byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`), model.ErrPhotoType},
		"a GIF":                            {[]byte("GIF89a\x01\x00\x01\x00\x00\x00\x00;"), model.ErrPhotoType},
		"a PDF":                            {[]byte("%PDF-1.7"), model.ErrPhotoType},
		"an archive before a JPEG":         {append([]byte("PK\x03\x04"), good...), model.ErrPhotoType},
		"the magic alone":                  {[]byte("\xff\xd8\xff"), model.ErrPhotoBroken},
		"the magic and a page":             {[]byte("\xff\xd8\xff<script>alert(1)</script>"), model.ErrPhotoBroken},
		"half a JPEG":                      {good[:len(good)/2], model.ErrPhotoBroken},
		"half a PNG":                       {asPNG(t, quarters(64, 64))[:120], model.ErrPhotoBroken},
		"a PNG of 50,000 by 50,000":        {pngHeader(50_000, 50_000), model.ErrPhotoTooLarge},
		"a JPEG of 50,000 by 50,000":       {jpegHeader(t, 50_000, 50_000), model.ErrPhotoTooLarge},
		"a PNG as long as an int":          {pngHeader(1<<31-1, 1<<31-1), model.ErrPhotoBroken},
		"a PNG of no height":               {pngHeader(10, 0), model.ErrPhotoBroken},
		"more than 10 MiB":                 {append(good, make([]byte, 10<<20)...), model.ErrPhotoTooLarge},
		"pixels that are said, not there":  {pngHeader(5_000, 5_000), model.ErrPhotoBroken},
		"pixels that are said of the JPEG": {jpegHeader(t, 5_000, 5_000), model.ErrPhotoBroken},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := remake(t.Context(), bytes.NewReader(c.raw))
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, %v; want %v", got != nil, err, c.want)
			}
		})
	}
}

func TestALargePhotoIsMadeSmallerAndKeepsItsShape(t *testing.T) {
	for _, c := range []struct{ w, h, toW, toH int }{{4000, 3000, 2000, 1500}, {1000, 5000, 400, 2000}, {2000, 2000, 2000, 2000}, {300, 200, 300, 200}, {30_000, 1, 2000, 1}} {
		got, err := remake(t.Context(), bytes.NewReader(asJPEG(t, quarters(c.w, c.h))))
		if err != nil || got.width != c.toW || got.height != c.toH {
			t.Errorf("%d×%d became %+v, %v", c.w, c.h, got, err)
		}
	}
	clear := image.NewNRGBA(image.Rect(0, 0, 10, 10)) // all of it transparent
	got, err := remake(t.Context(), bytes.NewReader(asPNG(t, clear)))
	if err != nil || corners(t, got.content) != "WWWW" {
		t.Errorf("what is transparent is not white: %v", err)
	}
}

func FuzzOrientation(f *testing.F) {
	plain := asJPEG(f, quarters(8, 8))
	for o := range uint16(10) {
		f.Add(withExif(plain, binary.LittleEndian, o))
		f.Add(withExif(plain, binary.BigEndian, o))
	}
	f.Add([]byte("\xff\xd8\xff\xff\xff\xe1\x00\x02"))
	f.Fuzz(func(t *testing.T, content []byte) {
		if o := orientationOf(content); o < 1 || o > 8 {
			t.Error(fmt.Sprint("orientation ", o))
		}
	})
}

// Whatever is sent as a photo is refused as what it is, or becomes a JPEG that
// is no larger than one may be and holds the picture alone: between its beginning
// and its end stand the tables and the pixels, and nothing that a person wrote.
func FuzzRemake(f *testing.F) {
	small := asJPEG(f, quarters(32, 16))
	for _, seed := range [][]byte{
		small, asPNG(f, quarters(16, 32)), asPNG(f, image.NewNRGBA(image.Rect(0, 0, 4, 4))), asPNG(f, image.NewGray16(image.Rect(0, 0, 4, 4))), asJPEG(f, image.NewGray(image.Rect(0, 0, 9, 9))),
		withExif(small, binary.BigEndian, 6), withExif(small, binary.LittleEndian, 8), append(bytes.Clone(small), "PK\x03\x04PLANTED"...),
		append(append(bytes.Clone(small[:2]), "\xff\xfe\x00\x09PLANTED"...), small[2:]...), small[:len(small)/2], asJPEG(f, quarters(3000, 1)), []byte("\xff\xd8\xff"),
		pngHeader(50_000, 50_000), pngHeader(10, 0), pngHeader(1<<31-1, 1<<31-1), jpegHeader(f, 50_000, 50_000), nil, []byte("GIF89a"),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		is, _, err := image.DecodeConfig(bytes.NewReader(raw))
		said := int64(is.Width) * int64(is.Height)
		if err == nil && said > 1<<20 && said <= maxPicturePixels {
			return // it would take a second
		}
		got, err := remake(t.Context(), bytes.NewReader(raw))
		if err != nil {
			if !errors.Is(err, model.ErrPhotoType) && !errors.Is(err, model.ErrPhotoBroken) && !errors.Is(err, model.ErrPhotoTooLarge) {
				t.Errorf("refused with %v", err)
			}
			return
		}
		kept, err := jpeg.Decode(bytes.NewReader(got.content))
		if err != nil || kept.Bounds().Size() != image.Pt(got.width, got.height) || max(got.width, got.height) > pictureSide || said > maxPicturePixels || got.digest != digestOf(got.content) {
			t.Fatalf("%d×%d pixels became %d×%d: %v", is.Width, is.Height, got.width, got.height, err)
		}
		at := 2
		for got.content[at+1] != 0xda { // the pixels
			if marker := got.content[at+1]; marker != 0xdb && marker != 0xc0 && marker != 0xc4 { // tables, size, tables
				t.Fatalf("a segment %x is kept", marker)
			}
			at += 2 + int(binary.BigEndian.Uint16(got.content[at+2:]))
		}
		if end := bytes.Index(got.content[at:], []byte{0xff, 0xd9}); at+end != len(got.content)-2 {
			t.Errorf("%d bytes stand behind the picture", len(got.content)-at-end-2)
		}
	})
}
