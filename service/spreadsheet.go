package service

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	utf "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"

	"dangri/model"
)

// What a table from outside may hold. A roster of 20,000 rows and a dozen
// columns is about 1 MiB packed and 15 MiB unpacked.
const (
	maxTableBytes   = 8 << 20
	maxTableRows    = 20_000 // rows with something in them
	maxTableColumns = 32
	maxCellRunes    = 200
	maxHeaderRow    = 10 // titles and notes may stand above the header
	maxRowProblems  = 1_000
	tablePatience   = 30 * time.Second // 3,000 rows take a tenth of a second
)

// Refusals of a whole file; what is wrong with single cells is a RowProblem.
var (
	errTableEmpty     = &model.Error{Kind: model.Invalid, Code: "table_empty", Message: "表格里没有内容，请填好后再上传"}
	errTableTooLarge  = &model.Error{Kind: model.Invalid, Code: "table_too_large", Message: "文件太大（不得超过8MB），请把要导入的内容复制到新建的表格里，或分成几个文件再上传"}
	errTableTooLong   = &model.Error{Kind: model.Invalid, Code: "table_too_long", Message: "表格超过20000行，请分成几个文件再上传"}
	errTableTooWide   = &model.Error{Kind: model.Invalid, Code: "table_too_wide", Message: "表格超过32列，请删去多余的列再上传"}
	errTableUnknown   = &model.Error{Kind: model.Invalid, Code: "table_unknown", Message: "认不出这个文件，请用 Excel 或 WPS 打开，另存为 .xlsx 再上传"}
	errTableOldFormat = &model.Error{Kind: model.Invalid, Code: "table_old_format", Message: "这种格式不能导入（如旧版 .xls），请另存为 .xlsx 再上传"}
	errTableEncrypted = &model.Error{Kind: model.Invalid, Code: "table_encrypted", Message: "文件设了密码，请取消密码，另存为 .xlsx 再上传"}
	errTableMacros    = &model.Error{Kind: model.Invalid, Code: "table_macros", Message: "文件带有宏，请另存为不带宏的 .xlsx 再上传"}
	errTableLinks     = &model.Error{Kind: model.Invalid, Code: "table_links", Message: "文件引用了别的文件，请把引用来的内容粘贴为数值，断开链接后再上传"}
	errTableTooSlow   = &model.Error{Kind: model.Invalid, Code: "table_too_slow", Message: "表格太复杂，没能及时读完，请把内容以“仅粘贴数值”的方式复制到新建的表格里再上传"}
	errTableDamaged   = &model.Error{Kind: model.Invalid, Code: "table_damaged", Message: "文件已损坏，请用 Excel 或 WPS 打开，另存为 .xlsx 再上传"}
)

// RowProblem is one thing to mend in a table, at the place where people find
// it: the row number and column letter that the spreadsheet shows.
type RowProblem struct {
	Row     int    `json:"row" doc:"from 1, as the spreadsheet counts"`
	Column  string `json:"column,omitempty" doc:"letter of the column; absent where the whole row is meant"`
	Message string `json:"message"`
}

func (p RowProblem) String() string {
	if p.Column == "" {
		return fmt.Sprintf("第%d行 %s", p.Row, p.Message)
	}
	return fmt.Sprintf("第%d行 %s列 %s", p.Row, p.Column, p.Message)
}

// rowProblems is everything wrong with a table: all of it counted, the first
// 1,000 found listed.
type rowProblems struct {
	Count int
	List  []RowProblem
}

func (p *rowProblems) add(row int, column, message string) {
	p.Count++
	if len(p.List) < maxRowProblems {
		p.List = append(p.List, RowProblem{row, column, message})
	}
}

// table is what a spreadsheet says, as text: each cell as people see it, with
// white space around it removed. Rows with nothing in them are left out, the
// others keep their numbers. While problems has any, the table is not to be used.
type table struct {
	header   []string
	rows     []tableRow
	problems rowProblems
	columns  map[string]int // key of a tableColumn → index in cells
}

type tableRow struct {
	number int // from 1, as the spreadsheet counts
	cells  []string
}

// tableColumn is a column that a table may have: its key in the code and the
// names that header rows give it, the first of which is used to speak of it.
type tableColumn struct {
	key      string
	names    []string
	required bool
}

// readTable reads an .xlsx workbook (its first visible sheet) or a text table
// (UTF-8, UTF-16 with a mark, or GB18030; comma, semicolon or tab), told apart
// by content. It refuses what exceeds the limits above, workbooks with macros,
// links to other files or a password, and other formats; formulas, broken or
// overlong cells become problems. Memory stays bounded whatever the file claims.
func readTable(ctx context.Context, r io.ReaderAt, size int64) (*table, error) {
	switch {
	case size <= 0:
		return nil, errTableEmpty
	case size > maxTableBytes:
		return nil, errTableTooLarge
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(r, 0, size), data); err != nil {
		return nil, fmt.Errorf("read uploaded table: %w", err)
	}
	// A number format can be made to cost a millisecond in every cell.
	ctx, cancel := context.WithTimeoutCause(ctx, tablePatience, errTableTooSlow)
	defer cancel()
	t := &table{}
	var err error
	switch {
	case bytes.HasPrefix(data, []byte("PK\x03\x04")):
		err = t.readWorkbook(ctx, data)
	case bytes.HasPrefix(data, []byte("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1")):
		// Both old workbooks and encrypted new ones come in this container;
		// only the latter has a stream of this name, written in UTF-16.
		if bytes.Contains(data, []byte("E\x00n\x00c\x00r\x00y\x00p\x00t\x00e\x00d\x00P\x00a\x00c\x00k\x00a\x00g\x00e\x00")) {
			return nil, errTableEncrypted
		}
		return nil, errTableOldFormat
	default:
		err = t.readText(ctx, data)
	}
	switch {
	case err != nil:
		return nil, err
	case len(t.rows) == 0:
		return nil, errTableEmpty
	}
	return t, nil
}

// add appends a row, or refuses the table that has outgrown its limits.
func (t *table) add(number int, cells []string) error {
	width := 0
	for i, cell := range cells {
		if cells[i] = trimCell(cell); cells[i] != "" {
			width = i + 1
		}
	}
	switch {
	case width == 0:
		return nil
	case width > maxTableColumns:
		return errTableTooWide.With("row", number)
	case len(t.rows) == maxTableRows:
		return errTableTooLong
	}
	cells = slices.Clone(cells[:width])
	for i, cell := range cells {
		switch {
		case utf8.RuneCountInString(cell) > maxCellRunes:
			t.problems.add(number, columnLetter(i), fmt.Sprintf("超过%d个字，请缩短", maxCellRunes))
			cells[i] = ""
		case strings.ContainsFunc(cell, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }):
			t.problems.add(number, columnLetter(i), "含有看不见的控制字符，请重新输入")
			cells[i] = ""
		}
	}
	t.rows = append(t.rows, tableRow{number, cells})
	return nil
}

// trimCell removes white space of every width, and marks that have none, from
// both ends.
func trimCell(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) })
}

func columnLetter(index int) string {
	name, _ := excelize.ColumnNumberToName(index + 1)
	return name
}

// under finds the header among the first rows and returns the table below it,
// whose cells then go by the keys of the columns. Columns of other names are
// left unread. It refuses a table that lacks a required column, of which there
// must be one at least, or has a column twice.
func (t *table) under(columns ...tableColumn) (*table, error) {
	key := map[string]string{}
	for _, c := range columns {
		for _, name := range c.names {
			key[heading(name)] = c.key
		}
	}
	at, found := -1, map[string]int{}
	for i, row := range t.rows[:min(maxHeaderRow, len(t.rows))] {
		here := map[string]int{}
		for j, cell := range row.cells {
			k, known := key[heading(cell)]
			if !known {
				continue
			}
			if _, twice := here[k]; twice {
				j = -1
			}
			here[k] = j
		}
		// A header of two lines names more columns in its lower one.
		if len(here) > 0 && len(here) >= len(found) {
			at, found = i, here
		}
	}
	var missing, twice []string
	for _, c := range columns {
		switch j, ok := found[c.key]; {
		case ok && j < 0:
			twice = append(twice, c.names[0])
		case !ok && c.required:
			missing = append(missing, c.names[0])
		}
	}
	switch {
	case len(missing) > 0 || at < 0:
		return nil, &model.Error{Kind: model.Invalid, Code: "table_columns_missing",
			Message: "没有找到这些列：" + strings.Join(missing, "、") + "，请照模板写好表头"}
	case len(twice) > 0:
		return nil, &model.Error{Kind: model.Invalid, Code: "table_columns_twice",
			Message: fmt.Sprintf("第%d行的表头里这些列出现了两次：%s，请只留一列", t.rows[at].number, strings.Join(twice, "、"))}
	}
	return &table{header: t.rows[at].cells, rows: t.rows[at+1:], problems: t.problems, columns: found}, nil
}

// heading is what two spellings of one header have in common: width, case,
// spaces, stars, colons and a remark in brackets do not count.
func heading(s string) string {
	s = strings.ToLower(norm.NFKC.String(s))
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '*' || r == ':' {
			return -1
		}
		return r
	}, s)
	name, _, _ := strings.Cut(s, "(")
	return name
}

// has says whether the table has the column at all: an absent column says
// nothing, an empty cell says "none".
func (t *table) has(key string) bool {
	_, ok := t.columns[key]
	return ok
}

// cell is the row's text in the column, empty where there is none.
func (t *table) cell(row tableRow, key string) string {
	if i, ok := t.columns[key]; ok && i < len(row.cells) {
		return row.cells[i]
	}
	return ""
}

// reject notes what is wrong with the row's cell in the column; an unknown key
// means the row as a whole.
func (t *table) reject(row tableRow, key, message string) {
	letter := ""
	if i, ok := t.columns[key]; ok {
		letter = columnLetter(i)
	}
	t.problems.add(row.number, letter, message)
}

// readText reads a text table. Row numbers are those that a spreadsheet would
// show: a line break within quotes does not count, an empty line does.
func (t *table) readText(ctx context.Context, data []byte) error {
	text, err := decodeText(data)
	if err != nil {
		return err
	}
	comma := delimiterOf(text)
	if !narrow(text, comma) {
		return errTableTooWide
	}
	records := csv.NewReader(strings.NewReader(text))
	records.Comma = comma
	records.FieldsPerRecord = -1
	number, nextLine := 0, 1
	for {
		cells, err := records.Read()
		var broken *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &broken):
			return &model.Error{Kind: model.Invalid, Code: "table_quotes",
				Message: fmt.Sprintf("文件第%d行的引号不成对，请改正，或另存为 .xlsx 再上传", broken.StartLine)}
		case err != nil:
			return fmt.Errorf("read text table: %w", err)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		line, _ := records.FieldPos(0)
		number += 1 + line - nextLine
		nextLine = line + 1
		for i, cell := range cells {
			nextLine += strings.Count(cell, "\n")
			if strings.HasPrefix(cell, "=") {
				t.problems.add(number, columnLetter(i), formulaFound)
			}
			cells[i] = unguard(cell)
		}
		if err := t.add(number, cells); err != nil {
			return err
		}
	}
}

const formulaFound = "是公式，请粘贴为数值"

// decodeText is the text in UTF-8 with single line feeds. Excel writes UTF-16
// as "Unicode text" and, in China, GBK (a part of GB18030) as plain CSV.
func decodeText(data []byte) (string, error) {
	var fallback encoding.Encoding
	if utf8.Valid(data) {
		fallback = encoding.Nop
	} else {
		fallback = simplifiedchinese.GB18030
	}
	data, _, err := transform.Bytes(utf.BOMOverride(fallback.NewDecoder()), data)
	if err != nil {
		return "", errTableUnknown
	}
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data))
	foreign := func(r rune) bool {
		return r == utf8.RuneError || unicode.IsControl(r) && r != '\n' && r != '\t'
	}
	// Web systems like to call a page with a table in it .xls.
	if strings.ContainsFunc(text, foreign) || strings.HasPrefix(trimCell(text[:min(100, len(text))]), "<") {
		return "", errTableUnknown
	}
	return text, nil
}

// delimiterOf is the delimiter that the first lines use most, outside quotes.
func delimiterOf(text string) rune {
	best, count := ',', map[rune]int{}
	quoted, lines := false, 0
	for _, r := range text {
		switch {
		case r == '"':
			quoted = !quoted
		case quoted:
		case r == '\n':
			lines++
		case r == ',' || r == ';' || r == '\t':
			if count[r]++; count[r] > count[best] {
				best = r
			}
		}
		if lines == maxHeaderRow {
			break
		}
	}
	return best
}

// narrow says whether no record has cells by the thousand: the reader would
// keep a string for each, however empty.
func narrow(text string, comma rune) bool {
	quoted, cells := false, 0
	for _, r := range text {
		switch {
		case r == '"':
			quoted = !quoted
		case quoted:
		case r == '\n':
			cells = 0
		case r == comma:
			if cells++; cells > 32*maxTableColumns {
				return false
			}
		}
	}
	return true
}

// sheet is a table for people: a title, lines that say what it is about, a
// header and rows, whose cells are strings, ints or float64s.
type sheet struct {
	title   string
	notes   []string
	columns []sheetColumn
	rows    [][]any
}

type sheetColumn struct {
	name  string
	width float64 // in characters; a Chinese one counts two
}

// writeTable writes the sheet as an .xlsx workbook that prints on A4 upright,
// as wide as the page, the header on every page. Strings are typed as text, so
// that none starts a formula, neither when opened nor when edited.
func writeTable(w io.Writer, s sheet) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write sheet: %w", err)
		}
	}()
	book := excelize.NewFile()
	defer func() { err = errors.Join(err, book.Close()) }()
	looks, err := newLooks(book)
	if err != nil {
		return err
	}
	name, header := book.GetSheetName(0), len(s.notes)+2
	// The page must be set up before the stream is opened.
	if err := setUpPage(book, name, header); err != nil {
		return err
	}
	out, err := book.NewStreamWriter(name)
	if err != nil {
		return err
	}
	for i, c := range s.columns {
		if err := out.SetColWidth(i+1, i+1, c.width); err != nil {
			return err
		}
	}
	below := fmt.Sprint("A", header+1)
	if err := out.SetPanes(&excelize.Panes{Freeze: true, YSplit: header, TopLeftCell: below, ActivePane: "bottomLeft"}); err != nil {
		return err
	}
	for i, row := range s.lines() {
		number := i + 1
		style := looks.text
		switch {
		case number == 1:
			style = looks.title
		case number < header:
			style = looks.note
		case number == header:
			style = looks.header
		}
		cells := make([]any, len(row))
		for j, v := range row {
			switch v.(type) {
			case string:
				cells[j] = excelize.Cell{StyleID: style, Value: v}
			case int, float64:
				cells[j] = excelize.Cell{StyleID: looks.number, Value: v}
			default:
				return fmt.Errorf("cell of type %T", v)
			}
		}
		if err := out.SetRow(fmt.Sprint("A", number), cells); err != nil {
			return err
		}
		if number < header && len(s.columns) > 1 {
			if err := out.MergeCell(fmt.Sprint("A", number), fmt.Sprint(columnLetter(len(s.columns)-1), number)); err != nil {
				return err
			}
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return book.Write(w)
}

// lines is the sheet from top to bottom: the title, the notes, the header, the rows.
func (s sheet) lines() [][]any {
	all := [][]any{{s.title}}
	for _, note := range s.notes {
		all = append(all, []any{note})
	}
	return append(append(all, s.header()), s.rows...)
}

func (s sheet) header() []any {
	var names []any
	for _, c := range s.columns {
		names = append(names, c.name)
	}
	return names
}

// looks is the styles of a book that a sheet uses.
type looks struct {
	title, note, header, text, number int
}

func newLooks(book *excelize.File) (l looks, err error) {
	const asText = 49 // the built-in number format "@"
	var frame []excelize.Border
	for _, side := range []string{"left", "right", "top", "bottom"} {
		frame = append(frame, excelize.Border{Type: side, Color: "000000", Style: 1})
	}
	centre := &excelize.Alignment{Horizontal: "center", Vertical: "center", WrapText: true}
	start := &excelize.Alignment{Horizontal: "left", Vertical: "center", WrapText: true}
	large := &excelize.Font{Family: "宋体", Size: 16, Bold: true}
	bold := &excelize.Font{Family: "宋体", Size: 11, Bold: true}
	plain := &excelize.Font{Family: "宋体", Size: 11}
	for _, look := range []struct {
		id    *int
		style excelize.Style
	}{
		{&l.title, excelize.Style{NumFmt: asText, Font: large, Alignment: centre}},
		{&l.note, excelize.Style{NumFmt: asText, Font: plain, Alignment: start}},
		{&l.header, excelize.Style{NumFmt: asText, Font: bold, Alignment: centre, Border: frame}},
		{&l.text, excelize.Style{NumFmt: asText, Font: plain, Alignment: start, Border: frame}},
		{&l.number, excelize.Style{Font: plain, Alignment: centre, Border: frame}},
	} {
		if *look.id, err = book.NewStyle(&look.style); err != nil {
			return l, err
		}
	}
	return l, nil
}

func setUpPage(book *excelize.File, name string, header int) error {
	a4, upright, pagesWide, pagesLong, fit := 9, "portrait", 1, 0, true // 0: as many as it takes
	return errors.Join(
		book.SetDocProps(&excelize.DocProperties{Creator: "党日", LastModifiedBy: "党日"}),
		book.SetSheetProps(name, &excelize.SheetPropsOptions{FitToPage: &fit}),
		book.SetPageLayout(name, &excelize.PageLayoutOptions{
			Size: &a4, Orientation: &upright, FitToWidth: &pagesWide, FitToHeight: &pagesLong,
		}),
		book.SetHeaderFooter(name, &excelize.HeaderFooterOptions{OddFooter: "&C第 &P 页，共 &N 页"}),
		book.SetDefinedName(&excelize.DefinedName{
			Name: "_xlnm.Print_Titles", Scope: name, RefersTo: fmt.Sprintf("'%s'!$%d:$%d", name, header, header),
		}),
	)
}

// writeCSV writes the sheet's header and rows as a text table that Excel opens
// with the right characters. A string that could start a formula gets an
// apostrophe before it, which readTable takes away again.
func writeCSV(w io.Writer, s sheet) error {
	if _, err := io.WriteString(w, "\ufeff"); err != nil {
		return fmt.Errorf("write text table: %w", err)
	}
	out := csv.NewWriter(w)
	for _, row := range append([][]any{s.header()}, s.rows...) {
		record := make([]string, len(row))
		for i, v := range row {
			switch v := v.(type) {
			case string:
				record[i] = guard(v)
			case int:
				record[i] = strconv.Itoa(v)
			case float64:
				record[i] = strconv.FormatFloat(v, 'f', -1, 64)
			default:
				return fmt.Errorf("write text table: cell of type %T", v)
			}
		}
		if err := out.Write(record); err != nil {
			return fmt.Errorf("write text table: %w", err)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write text table: %w", err)
	}
	return nil
}

// guard puts an apostrophe before a text that a spreadsheet, meeting it in a
// text table, could take for a formula or for something to run.
func guard(s string) string {
	if startsFormula(s) {
		return "'" + s
	}
	return s
}

// unguard undoes guard.
func unguard(s string) string {
	if rest, guarded := strings.CutPrefix(s, "'"); guarded && startsFormula(rest) {
		return rest
	}
	return s
}

// startsFormula looks past apostrophes, so that a text that begins with one
// before an equals sign comes back with it.
func startsFormula(s string) bool {
	first, _ := utf8.DecodeRuneInString(strings.TrimLeft(s, "'"))
	return strings.ContainsRune("=+-@\t\r\n＝＋－＠", first)
}
