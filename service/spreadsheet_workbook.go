package service

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"math"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/xuri/excelize/v2"
)

// What a workbook may unpack to, and what its parts may hold. The library that
// reads them turns a few bytes of XML into a hundred of memory, so that sizes
// alone do not bound it.
const (
	maxUnpacked    = 64 << 20 // by the archive's own account
	maxArchived    = 1_000    // files in the archive
	maxSheetPart   = 24 << 20
	maxStringsPart = 12 << 20
	maxSmallPart   = 2 << 20
	maxStrings     = 160_000 // eight of its own for every row
	maxStyleMarkup = 150_000 // elements of the styles; Excel has at most 65,490 styles
	maxFormats     = 1_000
	maxFormatBytes = 512
	maxMarkup      = 64 << 10 // one tag
	maxXMLText     = 256 << 10
	maxXMLDepth    = 32
	maxCellMarkup  = 4_096 // elements of one cell or string: 200 runs of rich text
	exactBelow     = 1e15  // Excel keeps 15 digits of a number
)

// readWorkbook reads the first visible sheet. The library never sees the
// archive: it gets a workbook of its own making into which only that sheet, its
// strings and its styles are put, after they were checked.
func (t *table) readWorkbook(ctx context.Context, data []byte) error {
	archive, err := openArchive(data)
	if err != nil {
		return err
	}
	parts, err := archive.firstSheet()
	if err != nil {
		return err
	}
	texts, err := checkStrings(parts.strings)
	if err != nil {
		return err
	}
	if err := checkStyles(parts.styles); err != nil {
		return err
	}
	merges, err := t.checkSheet(parts.sheet, texts)
	if err != nil {
		return err
	}
	if err := t.readSheet(ctx, parts); err != nil {
		return err
	}
	t.fillDown(merges)
	return nil
}

// archive is the files of an .xlsx by their path in lower case: what writes
// them does not agree on the case.
type archive map[string]*zip.File

// openArchive refuses archives that are no workbook we read, or whose
// directory is not what an honest program writes.
func openArchive(data []byte) (archive, error) {
	packed, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil || len(packed.File) > maxArchived {
		return nil, errTableDamaged
	}
	a, unpacked := archive{}, uint64(0)
	for _, f := range packed.File {
		const encrypted = 1
		name := strings.ToLower(strings.ReplaceAll(f.Name, `\`, "/"))
		switch {
		case f.Flags&encrypted != 0:
			return nil, errTableEncrypted
		case a[name] != nil, !fs.ValidPath(strings.TrimSuffix(name, "/")):
			return nil, errTableDamaged
		case f.UncompressedSize64 > maxUnpacked-unpacked:
			return nil, errTableTooLarge
		case path.Base(name) == "vbaproject.bin", strings.HasPrefix(name, "xl/macrosheets/"):
			return nil, errTableMacros
		case strings.HasPrefix(name, "xl/externallinks/"):
			return nil, errTableLinks
		case name == "xl/workbook.bin", name == "content.xml": // .xlsb, .ods
			return nil, errTableOldFormat
		}
		unpacked += f.UncompressedSize64
		a[name] = f
	}
	if a["[content_types].xml"] == nil {
		return nil, errTableUnknown
	}
	return a, nil
}

// read unpacks one file, nil where there is none. The archive's word on its
// size is checked, not trusted.
func (a archive) read(name string, limit int) ([]byte, error) {
	f := a[strings.ToLower(name)]
	switch {
	case f == nil:
		return nil, nil
	case f.UncompressedSize64 > uint64(limit):
		return nil, errTableTooLarge
	}
	r, err := f.Open()
	if err != nil {
		return nil, errTableDamaged
	}
	defer r.Close()
	var b bytes.Buffer
	b.Grow(int(f.UncompressedSize64) + bytes.MinRead)
	if _, err := b.ReadFrom(io.LimitReader(r, int64(limit)+1)); err != nil {
		return nil, errTableDamaged
	}
	if b.Len() > limit {
		return nil, errTableTooLarge
	}
	return b.Bytes(), nil
}

// relation points from one part of a workbook to another; kind is the last
// word of its type, which the two dialects of the format share.
type relation struct {
	id, kind, target string
}

func (a archive) relations(of string) ([]relation, error) {
	folder, file := path.Split(of)
	part, err := a.read(path.Join(folder, "_rels", file+".rels"), maxSmallPart)
	if err != nil {
		return nil, err
	}
	var list struct {
		Relationship []struct {
			ID     string `xml:"Id,attr"`
			Type   string `xml:"Type,attr"`
			Target string `xml:"Target,attr"`
		}
	}
	if err := xml.Unmarshal(part, &list); err != nil {
		return nil, errTableUnknown
	}
	var out []relation
	for _, r := range list.Relationship {
		target := path.Join(folder, r.Target)
		if strings.HasPrefix(r.Target, "/") {
			target = path.Clean(r.Target[1:])
		}
		out = append(out, relation{r.ID, path.Base(r.Type), target})
	}
	return out, nil
}

// workbookParts is what is read of a workbook.
type workbookParts struct {
	sheet, strings, styles []byte
	since1904              bool // days are counted from 1904, as old Macs did
}

func (a archive) firstSheet() (*workbookParts, error) {
	root, err := a.relations("")
	if err != nil {
		return nil, err
	}
	home := ""
	for _, r := range root {
		if r.kind == "officeDocument" {
			home = r.target
		}
	}
	part, err := a.read(home, maxSmallPart)
	if err != nil {
		return nil, err
	}
	var workbook struct {
		XMLName    xml.Name `xml:"workbook"`
		Properties struct {
			Date1904 bool `xml:"date1904,attr"`
		} `xml:"workbookPr"`
		Sheets []struct {
			State string `xml:"state,attr"`
			ID    string `xml:"id,attr"`
		} `xml:"sheets>sheet"`
	}
	if err := xml.Unmarshal(part, &workbook); err != nil {
		return nil, errTableUnknown
	}
	related, err := a.relations(home)
	if err != nil {
		return nil, err
	}
	p := &workbookParts{since1904: workbook.Properties.Date1904}
	worksheets := map[string]string{}
	for _, r := range related {
		switch r.kind {
		case "worksheet":
			worksheets[r.id] = r.target
		case "sharedStrings":
			p.strings, err = a.read(r.target, maxStringsPart)
		case "styles":
			p.styles, err = a.read(r.target, maxSmallPart)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, s := range workbook.Sheets {
		if s.State == "" || s.State == "visible" {
			if target := worksheets[s.ID]; target != "" {
				p.sheet, err = a.read(target, maxSheetPart)
				break
			}
		}
	}
	if err == nil && len(p.sheet) == 0 {
		err = errTableDamaged
	}
	return p, err
}

// walkXML visits the tokens of a part with their depth, the root at 1. It
// refuses what is malformed, nested too deep, or would make the decoder keep
// much at once: a long tag or text, and the declarations that no spreadsheet writes.
func walkXML(part []byte, visit func(depth int, token xml.Token) error) error {
	if bytes.Contains(part, []byte("<!")) || !shortMarkup(part) {
		return errTableDamaged
	}
	decoder := xml.NewDecoder(bytes.NewReader(part))
	depth := 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && depth == 0 {
			return nil
		} else if err != nil {
			return errTableDamaged
		}
		_, start := token.(xml.StartElement)
		_, end := token.(xml.EndElement)
		if start {
			depth++
		}
		if depth > maxXMLDepth {
			return errTableDamaged
		}
		if err := visit(depth, token); err != nil {
			return err
		}
		if end {
			depth--
		}
	}
}

// shortMarkup says whether every tag and every text between tags is short.
func shortMarkup(part []byte) bool {
	inTag, quote, length := false, byte(0), 0
	for _, c := range part {
		length++
		switch {
		case !inTag && c == '<':
			inTag, length = true, 0
		case !inTag:
			if length > maxXMLText {
				return false
			}
		case length > maxMarkup:
			return false
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			inTag, length = false, 0
		}
	}
	return true
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

// checkStrings counts the strings that cells share.
func checkStrings(part []byte) (count int, err error) {
	marks := 0
	err = walkXML(part, func(depth int, token xml.Token) error {
		if _, ok := token.(xml.StartElement); !ok {
			return nil
		}
		if marks++; depth == 2 {
			count, marks = count+1, 0
		}
		if count > maxStrings || marks > maxCellMarkup {
			return errTableTooLarge
		}
		return nil
	})
	return count, err
}

// checkStyles bounds the styles, and the number formats above all: each cell
// looks for its own among all of them and is shown by it.
func checkStyles(part []byte) error {
	marks, formats := 0, 0
	return walkXML(part, func(_ int, token xml.Token) error {
		e, ok := token.(xml.StartElement)
		if !ok {
			return nil
		}
		if marks++; marks > maxStyleMarkup {
			return errTableTooLarge
		}
		if e.Name.Local != "numFmt" {
			return nil
		}
		formats++
		for _, a := range e.Attr {
			if len(a.Value) > maxFormatBytes {
				return errTableDamaged
			}
		}
		if formats > maxFormats {
			return errTableTooLarge
		}
		return nil
	})
}

// merge is a run of rows in one column that shows the value of the first.
type merge struct{ column, top, bottom int }

// checkSheet looks for what the library passes over in silence: formulas,
// error values, numbers that lost digits, cells out of order or without their
// string. It returns the merged cells that span rows.
func (t *table) checkSheet(part []byte, texts int) ([]merge, error) {
	const cellDepth = 4 // worksheet, sheetData, row, c
	var (
		merges         []merge
		inData, inText bool
		row, column    int
		kind           string
		value          strings.Builder
		formula        bool
		marks          int
	)
	err := walkXML(part, func(depth int, token xml.Token) error {
		switch e := token.(type) {
		case xml.StartElement:
			if marks++; marks > maxCellMarkup && inData && depth > cellDepth {
				return errTableTooLarge
			}
			switch {
			case depth == 2:
				inData = e.Name.Local == "sheetData"
			case inData && depth == 3:
				next, ok := position(attribute(e, "r"), row, strconv.Atoi)
				if !ok {
					return errTableDamaged
				}
				row, column = next, 0
			case inData && depth == cellDepth:
				next, ok := position(attribute(e, "r"), column, columnOf)
				style := attribute(e, "s")
				if _, err := strconv.Atoi(style); !ok || next > excelize.MaxColumns || style != "" && err != nil {
					return errTableDamaged
				}
				column, kind, formula, marks = next, attribute(e, "t"), false, 0
				value.Reset()
			case inData && depth == cellDepth+1:
				formula = formula || e.Name.Local == "f"
				inText = e.Name.Local == "v"
			case e.Name.Local == "mergeCell" && depth == 3:
				m, ok := mergeOf(attribute(e, "ref"))
				switch {
				case !ok:
					return errTableDamaged
				case len(merges) == maxTableRows:
					return errTableTooLarge
				case m.bottom > m.top:
					merges = append(merges, m)
				}
			}
		case xml.CharData:
			if inText {
				value.Write(e)
			}
		case xml.EndElement:
			switch {
			case depth == cellDepth+1:
				inText = false
			case inData && depth == cellDepth:
				return t.checkCell(row, column, kind, strings.TrimSpace(value.String()), formula, texts)
			}
		}
		return nil
	})
	return merges, err
}

func (t *table) checkCell(row, column int, kind, value string, formula bool, texts int) error {
	letter := columnLetter(column - 1)
	switch {
	case formula:
		t.problems.add(row, letter, formulaFound)
	case value == "":
	case column > maxTableColumns:
		return errTableTooWide.With("row", row)
	case kind == "e":
		t.problems.add(row, letter, "是错误值，请改正")
	case kind == "s":
		if i, err := strconv.Atoi(value); err != nil || i < 0 || i >= texts {
			return errTableDamaged
		}
	case kind == "" || kind == "n":
		if n, err := strconv.ParseFloat(value, 64); err != nil || !(math.Abs(n) < exactBelow) {
			t.problems.add(row, letter, "数字超过15位，末尾几位已经丢失，请把单元格改成文本格式后重新填写")
		}
	}
	return nil
}

// position is where the next row or cell stands: where it says, else after the
// previous one, never before.
func position(reference string, previous int, parse func(string) (int, error)) (int, bool) {
	if reference == "" {
		return previous + 1, true
	}
	next, err := parse(reference)
	return next, err == nil && next > previous
}

func columnOf(reference string) (int, error) {
	column, _, err := excelize.CellNameToCoordinates(reference)
	return column, err
}

func mergeOf(reference string) (merge, bool) {
	first, last, _ := strings.Cut(reference, ":")
	column, top, err := excelize.CellNameToCoordinates(first)
	if err != nil || last == "" {
		return merge{}, err == nil
	}
	_, bottom, err := excelize.CellNameToCoordinates(last)
	return merge{column, top, bottom}, err == nil
}

// scientific finds the styles that show a number as 1.38E+10.
var scientific = regexp.MustCompile(`numFmtId="(11|48)"`)

// readSheet adds the rows of a checked sheet as people see them: dates in the
// form that the cell shows, a plain date as 2006-01-02, leading zeros kept, and
// never a number in scientific form.
func (t *table) readSheet(ctx context.Context, p *workbookParts) (err error) {
	book := excelize.NewFile(excelize.Options{CultureInfo: excelize.CultureNameZhCN, ShortDatePattern: "yyyy-mm-dd"})
	const sheetName, sheetPart = "Sheet1", "xl/worksheets/sheet1.xml"
	book.Sheet.Delete(sheetPart)
	book.Pkg.Store(sheetPart, p.sheet)
	if p.strings != nil {
		book.Pkg.Store("xl/sharedStrings.xml", p.strings)
	}
	if p.styles != nil {
		book.Styles = nil
		book.Pkg.Store("xl/styles.xml", scientific.ReplaceAll(p.styles, []byte(`numFmtId="0"`)))
	}
	if err := book.SetWorkbookProps(&excelize.WorkbookPropsOptions{Date1904: &p.since1904}); err != nil {
		return errTableDamaged
	}
	rows, err := book.Rows(sheetName)
	if err != nil {
		return errTableDamaged
	}
	for number := 1; rows.Next(); number++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		cells, err := rows.Columns()
		if err != nil {
			return errTableDamaged
		}
		if err := t.add(number, cells); err != nil {
			return err
		}
	}
	if rows.Close() != nil {
		return errTableDamaged
	}
	return nil
}

// fillDown gives every row that has something of its own the value of the
// merged cell it stands in, which is how people read "支部" written once beside
// all of its members.
func (t *table) fillDown(merges []merge) {
	at := make(map[int]int, len(t.rows))
	for i, row := range t.rows {
		at[row.number] = i
	}
	for _, m := range merges {
		top, ok := at[m.top]
		if !ok || m.column > len(t.rows[top].cells) {
			continue
		}
		value := t.rows[top].cells[m.column-1]
		for i := top + 1; i < len(t.rows) && t.rows[i].number <= m.bottom; i++ {
			row := &t.rows[i]
			for len(row.cells) < m.column {
				row.cells = append(row.cells, "")
			}
			row.cells[m.column-1] = value
		}
	}
}
