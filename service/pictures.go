package service

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/draw"

	"dangri/model"
)

// What a picture may be, and what is made of it.
const (
	maxPictureBytes  = 10 << 20
	maxPicturePixels = 40_000_000
	pictureSide      = 2000 // the longer side of what is kept
	pictureQuality   = 85
)

// picture is what is kept of an uploaded photo: a JPEG made anew of its pixels
// and nothing else, upright, without place, camera or whatever stood behind the
// picture.
type picture struct {
	content       []byte
	digest        string
	width, height int
}

// drawing bounds how many pictures are in memory unpacked: one can take
// hundreds of megabytes.
var drawing = make(chan struct{}, 1)

// remake reads a JPEG or PNG, whatever it calls itself, and makes the picture
// that is kept. One that is too large is refused before it is unpacked.
func remake(ctx context.Context, raw io.Reader) (*picture, error) {
	content, err := io.ReadAll(io.LimitReader(raw, maxPictureBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read photo: %w", err)
	}
	if len(content) > maxPictureBytes {
		return nil, model.ErrPhotoTooLarge
	}
	config, decode := png.DecodeConfig, png.Decode
	turn := 1
	switch {
	case bytes.HasPrefix(content, []byte("\xff\xd8\xff")):
		config, decode, turn = jpeg.DecodeConfig, jpeg.Decode, orientationOf(content)
	case !bytes.HasPrefix(content, []byte("\x89PNG\r\n\x1a\n")):
		return nil, model.ErrPhotoType
	}
	is, err := config(bytes.NewReader(content))
	switch {
	case err != nil, is.Width < 1, is.Height < 1:
		return nil, model.ErrPhotoBroken
	case int64(is.Width)*int64(is.Height) > maxPicturePixels:
		return nil, model.ErrPhotoTooLarge
	}
	select {
	case drawing <- struct{}{}:
		defer func() { <-drawing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	source, err := decode(bytes.NewReader(content))
	if err != nil {
		return nil, model.ErrPhotoBroken
	}
	var out bytes.Buffer
	made := turned(fitted(source), turn)
	if err := jpeg.Encode(&out, made, &jpeg.Options{Quality: pictureQuality}); err != nil {
		return nil, fmt.Errorf("draw photo: %w", err)
	}
	size := made.Bounds().Size()
	return &picture{content: out.Bytes(), digest: digestOf(out.Bytes()), width: size.X, height: size.Y}, nil
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// fitted is the picture on white, made smaller where its longer side is too long.
func fitted(source image.Image) *image.RGBA {
	size := source.Bounds().Size()
	if long := max(size.X, size.Y); long > pictureSide {
		size = image.Pt(max(1, size.X*pictureSide/long), max(1, size.Y*pictureSide/long))
	}
	out := image.NewRGBA(image.Rectangle{Max: size})
	draw.Draw(out, out.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.BiLinear.Scale(out, out.Bounds(), source, source.Bounds(), draw.Over, nil)
	return out
}

// turned is the picture upright, by the orientation that the camera noted
// (EXIF, 1 to 8).
func turned(in *image.RGBA, orientation int) *image.RGBA {
	if orientation == 1 {
		return in
	}
	w, h := in.Bounds().Dx(), in.Bounds().Dy()
	size := image.Pt(w, h)
	if orientation >= 5 {
		size = image.Pt(h, w)
	}
	out := image.NewRGBA(image.Rectangle{Max: size})
	for y := range size.Y {
		for x := range size.X {
			sx, sy := x, y
			if orientation >= 5 {
				sx, sy = y, x
			}
			if orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8 {
				sx = w - 1 - sx
			}
			if orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7 {
				sy = h - 1 - sy
			}
			copy(out.Pix[out.PixOffset(x, y):][:4], in.Pix[in.PixOffset(sx, sy):][:4])
		}
	}
	return out
}

// orientationOf is how the camera was held when it took the JPEG, 1 (upright)
// where it does not say.
func orientationOf(content []byte) int {
	for at := 2; at+4 <= len(content) && content[at] == 0xff; {
		marker, length := content[at+1], int(binary.BigEndian.Uint16(content[at+2:]))
		switch {
		case marker == 0xff: // a byte that only fills
			at++
			continue
		case marker == 0xd9, marker == 0xda, length < 2, at+2+length > len(content):
			return 1
		}
		segment := content[at+4 : at+2+length]
		if tiff, ok := bytes.CutPrefix(segment, []byte("Exif\x00\x00")); ok && marker == 0xe1 {
			return tiffOrientation(tiff)
		}
		at += 2 + length
	}
	return 1
}

func tiffOrientation(tiff []byte) int {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(tiff, []byte("II*\x00")):
		order = binary.LittleEndian
	case bytes.HasPrefix(tiff, []byte("MM\x00*")):
		order = binary.BigEndian
	default:
		return 1
	}
	if len(tiff) < 8 {
		return 1
	}
	at := int64(order.Uint32(tiff[4:]))
	if at+2 > int64(len(tiff)) {
		return 1
	}
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		if len(entries) < 12 {
			return 1
		}
		if order.Uint16(entries) == 0x0112 {
			if v := int(order.Uint16(entries[8:])); v >= 1 && v <= 8 {
				return v
			}
			return 1
		}
		entries = entries[12:]
	}
	return 1
}

// Files keeps contents under their names. What is put again under its name is the
// same; what no row names may lie there.
type Files interface {
	// Put keeps the content under the name.
	Put(ctx context.Context, name string, content []byte) error
	// Get is what was put under the name.
	Get(ctx context.Context, name string) ([]byte, error)
	// Delete takes away what was put under the name, if anything.
	Delete(ctx context.Context, name string) error
}
