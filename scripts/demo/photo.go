package demo

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"slices"
)

// sheetPhoto is a photo of a paper sheet as a phone takes it: a JPEG that says
// where it was taken.
func sheetPhoto() []byte {
	paper := image.NewGray(image.Rect(0, 0, 600, 400))
	for y := range 400 {
		for x := range 600 {
			shade := color.Gray{Y: 240}
			if y%50 == 0 || x%150 == 0 {
				shade.Y = 60 // the lines of the table
			}
			paper.SetGray(x, y, shade)
		}
	}
	var b bytes.Buffer
	_ = jpeg.Encode(&b, paper, nil) // into memory nothing fails
	place := gps()
	segment := append(binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(place)+2)), place...)
	return slices.Insert(b.Bytes(), 2, segment...) // behind the start of the image
}

const exifMark = "Exif\x00\x00"

// gps is the EXIF of a photo with the place alone: 35°30'0"N 118°0'0"E.
func gps() []byte {
	order := binary.BigEndian
	tiff := order.AppendUint32([]byte("MM\x00*"), 8)
	entry := func(tag, kind uint16, count, value uint32) {
		tiff = order.AppendUint16(order.AppendUint16(tiff, tag), kind)
		tiff = order.AppendUint32(order.AppendUint32(tiff, count), value)
	}
	const ascii, long, rational = 2, 4, 5
	tiff = order.AppendUint16(tiff, 1)
	entry(0x8825, long, 1, 26) // where the block of the place begins
	tiff = order.AppendUint32(tiff, 0)
	tiff = order.AppendUint16(tiff, 4)
	entry(1, ascii, 2, 'N'<<24)
	entry(2, rational, 3, 80)
	entry(3, ascii, 2, 'E'<<24)
	entry(4, rational, 3, 104)
	tiff = order.AppendUint32(tiff, 0)
	for _, part := range []uint32{35, 30, 0, 118, 0, 0} {
		tiff = order.AppendUint32(order.AppendUint32(tiff, part), 1)
	}
	return append([]byte(exifMark), tiff...)
}

func hasPlace(photo []byte) bool { return bytes.Contains(photo, []byte(exifMark)) }

func isJPEG(photo []byte) bool {
	_, err := jpeg.Decode(bytes.NewReader(photo))
	return err == nil
}
