package service

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"reflect"
	"regexp"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding/simplifiedchinese"
	utf "golang.org/x/text/encoding/unicode"

	"dangri/model"
)

func read(data []byte) (*table, error) {
	return readTable(context.Background(), bytes.NewReader(data), int64(len(data)))
}

func mustRead(t *testing.T, data []byte) *table {
	t.Helper()
	got, err := read(data)
	if err != nil {
		t.Fatalf("refused: %s", sentence(err))
	}
	return got
}

func sentence(err error) string {
	var refusal *model.Error
	if errors.As(err, &refusal) {
		return refusal.Code + " " + refusal.Message
	}
	return fmt.Sprintf("fault: %v", err)
}

func code(err error) string {
	var refusal *model.Error
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return fmt.Sprintf("fault: %v", err)
}

// workbook is a real .xlsx, filled by fill.
func workbook(t testing.TB, fill func(f *excelize.File)) []byte {
	t.Helper()
	f := excelize.NewFile()
	defer f.Close()
	fill(f)
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func check(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// files are the parts of a hand-made .xlsx by path.
type files map[string]string

const mainSpace = `xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"`

// skeleton is the least that makes an .xlsx of the rows within sheetData.
func skeleton(rows string) files {
	const (
		relations = `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">`
		kinds     = `http://schemas.openxmlformats.org/officeDocument/2006/relationships/`
	)
	return files{
		"[Content_Types].xml": `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>`,
		"_rels/.rels":         relations + `<Relationship Id="rId1" Type="` + kinds + `officeDocument" Target="xl/workbook.xml"/></Relationships>`,
		"xl/workbook.xml": `<workbook ` + mainSpace + ` xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">` +
			`<sheets><sheet name="党员" sheetId="1" r:id="rId1"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels": relations +
			`<Relationship Id="rId1" Type="` + kinds + `worksheet" Target="worksheets/sheet1.xml"/>` +
			`<Relationship Id="rId2" Type="` + kinds + `styles" Target="styles.xml"/>` +
			`<Relationship Id="rId3" Type="` + kinds + `sharedStrings" Target="/xl/sharedStrings.xml"/></Relationships>`,
		"xl/worksheets/sheet1.xml": `<worksheet ` + mainSpace + `><sheetData>` + rows + `</sheetData></worksheet>`,
		"xl/styles.xml":            `<styleSheet ` + mainSpace + `/>`,
		"xl/sharedStrings.xml":     `<sst ` + mainSpace + `><si><t>姓名</t></si></sst>`,
	}
}

func (f files) with(name, content string) files {
	c := maps.Clone(f)
	c[name] = content
	return c
}

func (f files) zip(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(f)) {
		part, err := w.Create(name)
		check(t, err)
		_, err = io.WriteString(part, f[name])
		check(t, err)
	}
	check(t, w.Close())
	return b.Bytes()
}

const oneRow = `<row r="1"><c r="A1" t="s"><v>0</v></c></row>`

func gbk(t testing.TB, s string) []byte {
	t.Helper()
	b, err := simplifiedchinese.GBK.NewEncoder().Bytes([]byte(s))
	check(t, err)
	return b
}

func cells(t *table) (out [][]string) {
	for _, row := range t.rows {
		out = append(out, row.cells)
	}
	return out
}

func numbers(t *table) (out []int) {
	for _, row := range t.rows {
		out = append(out, row.number)
	}
	return out
}

func equal[T any](t *testing.T, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
}

func TestAWorkbookIsReadAsPeopleSeeIt(t *testing.T) {
	data := workbook(t, func(f *excelize.File) {
		style := func(s *excelize.Style) int {
			id, err := f.NewStyle(s)
			check(t, err)
			return id
		}
		padded, chinese, scientific := "0000", `yyyy"年"m"月"d"日"`, 11
		day := time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC)
		for cell, v := range map[string]any{
			"A1": "　姓名 ", "B1": 13800000000, "C1": 13800000001, "D1": 7, "E1": day, "F1": day,
			"A3": "\u00a0林一\u200b", "B3": true, "C3": 0.1 + 0.2, "D3": -12.5, "E3": "２０２６ 年\n三月", "F3": "=1+1",
			"B4": "　 ", "H5": "远",
		} {
			check(t, f.SetCellValue("Sheet1", cell, v))
		}
		for cell, id := range map[string]int{
			"C1": style(&excelize.Style{NumFmt: scientific}), "D1": style(&excelize.Style{CustomNumFmt: &padded}),
			"E1": style(&excelize.Style{NumFmt: 14}), "F1": style(&excelize.Style{CustomNumFmt: &chinese}),
		} {
			check(t, f.SetCellStyle("Sheet1", cell, cell, id))
		}
	})
	got := mustRead(t, data)
	equal(t, cells(got), [][]string{
		{"姓名", "13800000000", "13800000001", "0007", "2026-03-05", "2026年3月5日"},
		{"林一", "TRUE", "0.3", "-12.5", "２０２６ 年\n三月", "=1+1"},
		{"", "", "", "", "", "", "", "远"},
	})
	equal(t, numbers(got), []int{1, 3, 5})
	equal(t, got.problems.Count, 0)
}

func TestDaysCountedFrom1904AreReadRight(t *testing.T) {
	data := workbook(t, func(f *excelize.File) {
		old := true
		check(t, f.SetWorkbookProps(&excelize.WorkbookPropsOptions{Date1904: &old}))
		check(t, f.SetCellValue("Sheet1", "A1", time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC)))
		id, err := f.NewStyle(&excelize.Style{NumFmt: 14})
		check(t, err, f.SetCellStyle("Sheet1", "A1", "A1", id))
	})
	equal(t, cells(mustRead(t, data)), [][]string{{"2026-03-05"}})
}

func TestEveryDialectOfTheFormatIsRead(t *testing.T) {
	plain := skeleton(`<row><c t="s"><v>0</v></c><c s="1"><v>46086</v></c></row>`).
		with("xl/sharedStrings.xml", `<sst `+mainSpace+`><si><r><t>姓</t></r><r><t xml:space="preserve">名 </t></r><rPh sb="0" eb="1"><t>xing</t></rPh></si></sst>`).
		with("xl/styles.xml", `<styleSheet `+mainSpace+`><cellXfs><xf/><xf numFmtId="14"/></cellXfs></styleSheet>`)
	each := func(change func(string) string) files {
		out := files{}
		for name, part := range plain {
			out[name] = change(part)
		}
		return out
	}
	prefixed := regexp.MustCompile(`<(/?)([a-z])`)
	renamed := files{}
	for name, part := range plain {
		renamed[strings.ReplaceAll(name, "/", `\`)] = part
	}
	for name, parts := range map[string]files{
		"plain":          plain,
		"declared":       each(func(s string) string { return `<?xml version="1.0" encoding="utf-8" standalone="yes"?>` + "\r\n" + s }),
		"with a mark":    each(func(s string) string { return "\ufeff" + s }),
		"mark, declared": each(func(s string) string { return "\ufeff" + `<?xml version="1.0" encoding="UTF-8"?>` + s }),
		"strict": each(strings.NewReplacer("http://schemas.openxmlformats.org/spreadsheetml/2006/main", "http://purl.oclc.org/ooxml/spreadsheetml/main",
			"http://schemas.openxmlformats.org/officeDocument/2006/relationships", "http://purl.oclc.org/ooxml/officeDocument/relationships").Replace),
		"prefixed": each(func(s string) string {
			if !strings.Contains(s, mainSpace) {
				return s
			}
			return prefixed.ReplaceAllString(strings.Replace(s, "xmlns=", "xmlns:x=", 1), "<${1}x:$2")
		}),
		"backslashes": renamed,
	} {
		t.Run(name, func(t *testing.T) { equal(t, cells(mustRead(t, parts.zip(t))), [][]string{{"姓名", "2026-03-05"}}) })
	}
}

func TestTheFirstVisibleSheetIsRead(t *testing.T) {
	data := workbook(t, func(f *excelize.File) {
		for _, name := range []string{"名册", "说明"} {
			_, err := f.NewSheet(name)
			check(t, err, f.SetCellStr(name, "A1", name))
		}
		check(t, f.SetCellStr("Sheet1", "A1", "隐藏"), f.SetCellFormula("说明", "B2", "1+1"))
		f.SetActiveSheet(2)
		check(t, f.SetSheetVisible("Sheet1", false))
	})
	got := mustRead(t, data)
	equal(t, cells(got), [][]string{{"名册"}})
	equal(t, got.problems.Count, 0)
}

func TestAValueWrittenOnceBesideManyRowsHoldsForEachOfThem(t *testing.T) {
	data := workbook(t, func(f *excelize.File) {
		for cell, v := range map[string]string{
			"A1": "名册", "A2": "姓名", "B2": "党支部", "A3": "林一", "B3": "第一支部", "A4": "林二", "A6": "林三", "A7": "林四",
		} {
			check(t, f.SetCellStr("Sheet1", cell, v))
		}
		check(t, f.MergeCell("Sheet1", "A1", "B1"), f.MergeCell("Sheet1", "B3", "B6"), f.MergeCell("Sheet1", "C7", "C9"))
	})
	got := mustRead(t, data)
	equal(t, cells(got), [][]string{{"名册"}, {"姓名", "党支部"}, {"林一", "第一支部"}, {"林二", "第一支部"}, {"林三", "第一支部"}, {"林四"}})
	equal(t, numbers(got), []int{1, 2, 3, 4, 6, 7})
}

func TestEveryFormulaIsNamedWithItsRowAndColumn(t *testing.T) {
	data := workbook(t, func(f *excelize.File) {
		check(t, f.SetCellStr("Sheet1", "A1", "姓名"), f.SetCellInt("Sheet1", "A2", 3),
			f.SetCellFormula("Sheet1", "B3", "A2*2"), f.SetCellFormula("Sheet1", "AA2", `HYPERLINK("http://198.51.100.7","点我")`))
	})
	got := mustRead(t, data)
	equal(t, got.problems, rowProblems{2, []RowProblem{{2, "AA", "是公式，请粘贴为数值"}, {3, "B", "是公式，请粘贴为数值"}}})
	equal(t, got.problems.List[1].String(), "第3行 B列 是公式，请粘贴为数值")

	got = mustRead(t, []byte("姓名,电话\n林一,\"=cmd|' /C calc'!A0\"\n"))
	equal(t, got.problems, rowProblems{1, []RowProblem{{2, "B", "是公式，请粘贴为数值"}}})
}

func TestCellsThatCannotBeTrustedAreNamed(t *testing.T) {
	long := strings.Repeat("长", maxCellRunes)
	data := skeleton(`<row r="2"><c r="A2"><v>1.10101199003070e17</v></c><c r="B2" t="e"><v>#N/A</v></c>` +
		`<c r="C2" t="inlineStr"><is><t>` + long + `</t></is></c><c r="D2" t="inlineStr"><is><t>` + long + `长</t></is></c>` +
		`<c r="E2" t="inlineStr"><is><t>林_x0000_一</t></is></c><c r="F2"><v>NaN</v></c></row>`).zip(t)
	got := mustRead(t, data)
	const lost = "数字超过15位，末尾几位已经丢失，请把单元格改成文本格式后重新填写"
	equal(t, got.problems.List, []RowProblem{
		{2, "A", lost}, {2, "B", "是错误值，请改正"}, {2, "F", lost}, {2, "D", "超过200个字，请缩短"}, {2, "E", "含有看不见的控制字符，请重新输入"},
	})
	equal(t, got.rows[0].cells[2], long)
}

func TestProblemsAreAllCountedAndTheFirstThousandListed(t *testing.T) {
	got := mustRead(t, []byte("姓名\n"+strings.Repeat("=1\n", 1_500)))
	equal(t, got.problems.Count, 1_500)
	equal(t, len(got.problems.List), 1_000)
	equal(t, got.problems.List[999].Row, 1_001)
	text, err := json.Marshal([]RowProblem{{3, "B", "重复"}, {Row: 4, Message: "重复"}})
	check(t, err)
	equal(t, string(text), `[{"row":3,"column":"B","message":"重复"},{"row":4,"message":"重复"}]`)
}

func TestTextTablesAreReadInEveryEncodingAndDelimiterThatExcelWrites(t *testing.T) {
	want := [][]string{{"姓名", "电话"}, {"林一，又名\"小林\"", "13800000000"}}
	text := "姓名,电话\r\n\"林一，又名\"\"小林\"\"\", 13800000000　\r\n"
	utf16, err := utf.UTF16(utf.LittleEndian, utf.UseBOM).NewEncoder().String(strings.ReplaceAll(text, ",", "\t"))
	check(t, err)
	for name, data := range map[string][]byte{
		"UTF-8":               []byte(text),
		"UTF-8 with a mark":   []byte("\ufeff" + text),
		"GBK":                 gbk(t, text),
		"UTF-16 and tabs":     []byte(utf16),
		"semicolons":          []byte(strings.ReplaceAll(text, ",", ";")),
		"GBK and tabs":        gbk(t, strings.ReplaceAll(text, ",", "\t")),
		"carriage returns":    []byte(strings.ReplaceAll(text, "\r\n", "\r")),
		"no end of last line": []byte(strings.TrimSpace(text)),
	} {
		t.Run(name, func(t *testing.T) { equal(t, cells(mustRead(t, data)), want) })
	}
	rare, err := simplifiedchinese.GB18030.NewEncoder().String("姓名,㐀𠀀\n")
	check(t, err)
	equal(t, cells(mustRead(t, []byte(rare))), [][]string{{"姓名", "㐀𠀀"}})
}

func TestRowsOfATextTableAreNumberedAsASpreadsheetShowsThem(t *testing.T) {
	got := mustRead(t, []byte("\n姓名,备注\n林一,\"两\r\n行\n三\"\n\n\n,　\n林二,\n"))
	equal(t, numbers(got), []int{2, 3, 7})
	equal(t, cells(got), [][]string{{"姓名", "备注"}, {"林一", "两\n行\n三"}, {"林二"}})
}

func TestTheHeaderIsFoundByItsNamesWhateverStandsAboveIt(t *testing.T) {
	columns := []tableColumn{
		{key: "name", names: []string{"姓名", "党员姓名"}, required: true},
		{key: "phone", names: []string{"手机号", "联系电话", "电话"}, required: true},
		{key: "group", names: []string{"党小组"}},
	}
	raw := mustRead(t, []byte("第一党支部党员名册,,\n填报：林一,日期：三月,\n序号,党员 姓名*,性别,联系电话（必填）：\n1,林二,女,13800000000\n2,林三\n"))
	got, err := raw.under(columns...)
	check(t, err)
	equal(t, got.header[1], "党员 姓名*")
	equal(t, numbers(got), []int{4, 5})
	equal(t, got.cell(got.rows[0], "name")+got.cell(got.rows[0], "phone"), "林二13800000000")
	equal(t, got.cell(got.rows[1], "phone")+got.cell(got.rows[1], "group"), "")
	equal(t, []bool{got.has("phone"), got.has("group")}, []bool{true, false})
	got.reject(got.rows[1], "phone", "请填写手机号")
	got.reject(got.rows[1], "group", "与第4行重复")
	equal(t, got.problems, rowProblems{2, []RowProblem{{5, "D", "请填写手机号"}, {5, "", "与第4行重复"}}})

	twoLines := workbook(t, func(f *excelize.File) {
		for cell, v := range map[string]string{"A1": "姓名", "B1": "联系方式", "B2": "手机号", "C2": "邮箱", "A3": "林一", "B3": "13800000000"} {
			check(t, f.SetCellStr("Sheet1", cell, v))
		}
		check(t, f.MergeCell("Sheet1", "A1", "A2"), f.MergeCell("Sheet1", "B1", "C1"))
	})
	got, err = mustRead(t, twoLines).under(columns...)
	check(t, err)
	equal(t, got.cell(got.rows[0], "name")+got.cell(got.rows[0], "phone"), "林一13800000000")

	for text, want := range map[string]string{
		"姓名,单位\n林一,某局\n":          "table_columns_missing 没有找到这些列：手机号，请照模板写好表头",
		"甲,乙\n丙,丁\n":              "table_columns_missing 没有找到这些列：姓名、手机号，请照模板写好表头",
		"名册\n姓名,电话,手机号\n林一,1,2\n": "table_columns_twice 第2行的表头里这些列出现了两次：手机号，请只留一列",
	} {
		_, err := mustRead(t, []byte(text)).under(columns...)
		equal(t, sentence(err), want)
	}
}

func TestFilesThatAreNoTableAreRefusedWithWhatToDo(t *testing.T) {
	container := "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1" + strings.Repeat("\x00", 504)
	encrypted, err := excelize.Encrypt(skeleton(oneRow).zip(t), &excelize.Options{Password: "invented"})
	check(t, err)
	good := skeleton(oneRow)
	goodZip := good.zip(t)
	equal(t, cells(mustRead(t, goodZip)), [][]string{{"姓名"}})
	locked := slices.Clone(goodZip)
	for at := bytes.Index(locked, []byte("PK\x01\x02")); at < len(locked) && string(locked[at:at+4]) == "PK\x01\x02"; {
		locked[at+8] |= 1
		at += 46 + int(locked[at+28]) + int(locked[at+30]) + int(locked[at+32])
	}
	for name, c := range map[string]struct {
		data []byte
		code string
	}{
		"empty file":                {nil, "table_empty"},
		"white space only":          {[]byte("\ufeff \r\n,,\n　\n"), "table_empty"},
		"workbook without cells":    {workbook(t, func(*excelize.File) {}), "table_empty"},
		"old workbook":              {[]byte(container), "table_old_format"},
		"encrypted workbook":        {encrypted, "table_encrypted"},
		"encrypted archive":         {locked, "table_encrypted"},
		"binary workbook":           {good.with("xl/workbook.bin", "").zip(t), "table_old_format"},
		"open document":             {files{"mimetype": "", "content.xml": "<a/>"}.zip(t), "table_old_format"},
		"macros":                    {good.with("xl/vbaProject.bin", "x").zip(t), "table_macros"},
		"links to other files":      {good.with("xl/externalLinks/externalLink1.xml", "<a/>").zip(t), "table_links"},
		"garbage":                   {[]byte("\x00\x01\x02garbage\xff\xfe"), "table_unknown"},
		"picture":                   {[]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), "table_unknown"},
		"neither UTF-8 nor GB18030": {[]byte("\xff\xff\xff,\x81\n"), "table_unknown"},
		"page called .xls":          {[]byte("\r\n<html><table><tr><td>姓名"), "table_unknown"},
		"archive of something else": {files{"readme.txt": "x"}.zip(t), "table_unknown"},
		"document":                  {files{"[Content_Types].xml": "<Types/>", "word/document.xml": "<a/>"}.zip(t), "table_unknown"},
		"cut archive":               {goodZip[:len(goodZip)/2], "table_damaged"},
		"start of an archive only":  {[]byte("PK\x03\x04"), "table_damaged"},
		"path upwards":              {good.with("../../etc/cron.d/x", "x").zip(t), "table_damaged"},
		"path from the root":        {good.with("/etc/passwd", "x").zip(t), "table_damaged"},
		"path upwards, Windows":     {good.with(`..\..\x`, "x").zip(t), "table_damaged"},
		"target upwards":            {good.with("_rels/.rels", strings.ReplaceAll(good["_rels/.rels"], "xl/workbook.xml", "../../../etc/passwd")).zip(t), "table_unknown"},
		"one part twice":            {good.with("XL/Workbook.xml", good["xl/workbook.xml"]).zip(t), "table_damaged"},
		"no sheet":                  {good.with("xl/workbook.xml", `<workbook `+mainSpace+`/>`).zip(t), "table_damaged"},
		"cut sheet":                 {good.with("xl/worksheets/sheet1.xml", "<worksheet><sheetData>"+oneRow).zip(t), "table_damaged"},
		"entity":                    {good.with("xl/worksheets/sheet1.xml", `<!DOCTYPE a [<!ENTITY b "c">]><worksheet/>`).zip(t), "table_damaged"},
		"string that is not there":  {skeleton(`<row><c t="s"><v>1</v></c></row>`).zip(t), "table_damaged"},
		"style that is no number":   {skeleton(`<row><c s="x"><v>1</v></c></row>`).zip(t), "table_damaged"},
		"rows out of order":         {skeleton(`<row r="2"><c r="A2"><v>1</v></c></row><row r="1"><c r="A1"><v>1</v></c></row>`).zip(t), "table_damaged"},
		"cells out of order":        {skeleton(`<row r="1"><c r="B1"><v>1</v></c><c r="B1"><v>2</v></c></row>`).zip(t), "table_damaged"},
		"cell off the sheet":        {skeleton(`<row r="1"><c r="ZZZZ1"><v>1</v></c></row>`).zip(t), "table_damaged"},
		"row off the sheet":         {skeleton(`<row r="99999999"><c r="A99999999"><v>1</v></c></row>`).zip(t), "table_damaged"},
		"odd quotes":                {[]byte("姓名,电话\n林\"一,2\n"), "table_quotes"},
		"a quote never closed":      {[]byte("姓名,电话\n\"林一,2\n"), "table_quotes"},
		"33 columns":                {[]byte("姓名" + strings.Repeat(",x", 32)), "table_too_wide"},
		"33rd column in a workbook": {skeleton(`<row r="1"><c r="AG1"><v>1</v></c></row>`).zip(t), "table_too_wide"},
		"20,001 rows":               {[]byte(strings.Repeat("林一\n", 20_001)), "table_too_long"},
		"more than 8 MiB":           {make([]byte, maxTableBytes+1), "table_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(c.data)
			if code(err) != c.code {
				t.Errorf("got %s, want %s", sentence(err), c.code)
			}
			if strings.Contains(fmt.Sprint(err), "etc") {
				t.Errorf("the file's own words came back: %v", err)
			}
		})
	}
	if got := mustRead(t, []byte(strings.Repeat("林一"+strings.Repeat(",", 31)+"x\n", 20_000))); len(got.rows) != 20_000 {
		t.Errorf("20,000 rows of 32 columns: got %d", len(got.rows))
	}
}

func TestAStoreThatFailsToReadIsAFaultNotARefusal(t *testing.T) {
	_, err := readTable(context.Background(), strings.NewReader("abc"), 10)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

func TestReadingEndsWithItsRequest(t *testing.T) {
	for _, cause := range []error{context.Canceled, errTableTooSlow} {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(cause)
		for _, data := range [][]byte{skeleton(oneRow).zip(t), []byte("姓名\n")} {
			if _, err := readTable(ctx, bytes.NewReader(data), int64(len(data))); !errors.Is(err, cause) {
				t.Errorf("got %v, want %v", err, cause)
			}
		}
	}
}

// liar is an archive whose directory says that the sheet has size bytes.
func liar(t *testing.T, sheet []byte, size uint64) []byte {
	t.Helper()
	parts := skeleton("")
	delete(parts, "xl/worksheets/sheet1.xml")
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range parts {
		part, err := w.Create(name)
		check(t, err)
		_, err = io.WriteString(part, content)
		check(t, err)
	}
	var packed bytes.Buffer
	pack, err := flate.NewWriter(&packed, flate.BestCompression)
	check(t, err)
	_, err = pack.Write(sheet)
	check(t, err, pack.Close())
	part, err := w.CreateRaw(&zip.FileHeader{
		Name: "xl/worksheets/sheet1.xml", Method: zip.Deflate, CRC32: crc32.ChecksumIEEE(sheet),
		CompressedSize64: uint64(packed.Len()), UncompressedSize64: size,
	})
	check(t, err)
	_, err = part.Write(packed.Bytes())
	check(t, err, w.Close())
	return b.Bytes()
}

func TestBombsAreRefusedWithinBoundedMemory(t *testing.T) {
	repeat := func(size int, s string) string { return strings.Repeat(s, size/len(s)) }
	row := func(cells string) string { return `<row r="1">` + cells + `</row>` }
	millionRows := func() string {
		var b strings.Builder
		for i := range 1_000_000 {
			fmt.Fprintf(&b, `<row r="%d"><c><v>1</v></c></row>`, i+1)
		}
		return b.String()
	}
	pastSheet := func(tail string) files {
		return skeleton("").with("xl/worksheets/sheet1.xml", `<worksheet `+mainSpace+`><sheetData>`+oneRow+`</sheetData>`+tail+`</worksheet>`)
	}
	sst := func(s string) string { return `<sst ` + mainSpace + `>` + s + `</sst>` }
	styles := func(s string) string { return `<styleSheet ` + mainSpace + `>` + s + `</styleSheet>` }
	for _, c := range []struct {
		name  string
		build func() []byte
		code  string // empty: read
	}{
		{"70 MiB in 70 KiB", func() []byte { return skeleton(repeat(70<<20, " ")).zip(t) }, "table_too_large"},
		{"many parts that add up", func() []byte {
			f, part := skeleton(oneRow), repeat(1<<20, " ")
			for i := range 64 {
				f = f.with(fmt.Sprint("xl/media/", i), part)
			}
			return f.zip(t)
		}, "table_too_large"},
		{"many empty parts", func() []byte {
			f := skeleton(oneRow)
			for i := range maxArchived {
				f[fmt.Sprint("x/", i)] = ""
			}
			return f.zip(t)
		}, "table_damaged"},
		{"says ten bytes, has 70 MiB", func() []byte { return liar(t, make([]byte, 70<<20), 10) }, "table_damaged"},
		{"says 20 MiB, has 70", func() []byte { return liar(t, make([]byte, 70<<20), 20<<20) }, "table_damaged"},
		{"says 20 MiB, has ten bytes", func() []byte { return liar(t, make([]byte, 10), 20<<20) }, "table_damaged"},
		{"a million rows", func() []byte { return skeleton(millionRows()).zip(t) }, "table_too_large"},
		{"two hundred thousand rows", func() []byte { return skeleton(repeat(5<<20, "<row><c><v>1</v></c></row>")).zip(t) }, "table_too_long"},
		{"a million rows of text", func() []byte { return []byte(strings.Repeat("林,1\n", 1_000_000)) }, "table_too_long"},
		{"one row of 300,000 cells", func() []byte { return skeleton(row(repeat(5<<20, "<c><v>1</v></c>"))).zip(t) }, "table_too_wide"},
		{"a line of commas", func() []byte { return []byte(repeat(maxTableBytes, ",")) }, "table_too_wide"},
		{"a record of commas and line breaks", func() []byte { return []byte(repeat(maxTableBytes, "\"\n\",,,,")) }, "table_too_wide"},
		{"one row of values to the last column", func() []byte { return skeleton(row(strings.Repeat("<c><v>1</v></c>", excelize.MaxColumns))).zip(t) }, "table_too_wide"},
		{"a quoted cell of 8 MiB", func() []byte { return []byte(`"` + repeat(maxTableBytes-2, "x") + `"`) }, ""},
		{"a tag of attributes", func() []byte { return skeleton(row(`<c ` + repeat(5<<20, `a=">" `) + `/>`)).zip(t) }, "table_damaged"},
		{"depth without end", func() []byte { return skeleton(row(repeat(5<<20, "<a>"))).zip(t) }, "table_damaged"},
		{"one long text", func() []byte {
			return skeleton(row(`<c t="inlineStr"><is><t>` + repeat(5<<20, "x") + `</t></is></c>`)).zip(t)
		}, "table_damaged"},
		{"one cell of a million runs", func() []byte {
			return skeleton(row(`<c t="inlineStr"><is>` + repeat(5<<20, "<r/>") + `</is></c>`)).zip(t)
		}, "table_too_large"},
		{"a million strings", func() []byte {
			return skeleton(oneRow).with("xl/sharedStrings.xml", sst(repeat(11<<20, "<si/>"))).zip(t)
		}, "table_too_large"},
		{"one string of a million runs", func() []byte {
			return skeleton(oneRow).with("xl/sharedStrings.xml", sst("<si>"+repeat(11<<20, "<r/>")+"</si>")).zip(t)
		}, "table_too_large"},
		{"as many strings as may be", func() []byte {
			return skeleton(oneRow).with("xl/sharedStrings.xml", sst(strings.Repeat("<si><t>林林林林林林林林</t></si>", maxStrings))).zip(t)
		}, ""},
		{"a million number formats", func() []byte {
			return skeleton(oneRow).with("xl/styles.xml", styles("<numFmts>"+repeat(1<<20, "<numFmt/>")+"</numFmts>")).zip(t)
		}, "table_too_large"},
		{"a million styles", func() []byte {
			return skeleton(oneRow).with("xl/styles.xml", styles("<cellXfs>"+repeat(1<<20, "<xf/>")+"</cellXfs>")).zip(t)
		}, "table_too_large"},
		{"a long number format", func() []byte {
			return skeleton(oneRow).with("xl/styles.xml", styles(`<numFmts><numFmt numFmtId="164" formatCode="`+repeat(4000, "0")+`"/></numFmts>`)).zip(t)
		}, "table_damaged"},
		{"as many styles as fit", func() []byte {
			return skeleton(row(`<c s="1"><v>1</v></c>`)).with("xl/styles.xml", styles("<cellXfs>"+strings.Repeat("<xf/>", maxStyleMarkup-3)+"</cellXfs>")).zip(t)
		}, ""},
		{"a million merged cells", func() []byte {
			return pastSheet("<mergeCells>" + repeat(5<<20, `<mergeCell ref="A1:A9"/>`) + "</mergeCells>").zip(t)
		}, "table_too_large"},
		{"as much of everything as may be", func() []byte {
			var b strings.Builder
			for i := range maxTableRows {
				fmt.Fprintf(&b, `<row r="%d">%s</row>`, i+1, strings.Repeat(fmt.Sprintf(`<c s="1" t="s"><v>%d</v></c>`, i*8), 12))
			}
			return skeleton(b.String()).
				with("xl/sharedStrings.xml", sst(strings.Repeat("<si><t>林林林林林林林林</t></si>", maxStrings))).
				with("xl/styles.xml", styles("<cellXfs>"+strings.Repeat("<xf/>", maxStyleMarkup-3)+"</cellXfs>")).zip(t)
		}, ""},
		{"a long roster", func() []byte {
			var b strings.Builder
			for i := range maxTableRows {
				fmt.Fprintf(&b, `<row r="%d">%s</row>`, i+1, strings.Repeat(`<c s="1"><v>13800000000</v></c>`, 6))
			}
			return skeleton(b.String()).with("xl/styles.xml", styles(`<numFmts><numFmt numFmtId="164" formatCode="000 0000 0000"/></numFmts>`+
				`<cellXfs><xf/><xf numFmtId="164"/></cellXfs>`)).zip(t)
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := c.build()
			if len(data) > maxTableBytes {
				t.Fatalf("the upload has %d bytes: it tests another limit", len(data))
			}
			var err error
			peak := peakOf(func() { _, err = read(data) })
			t.Logf("%d bytes: %s; %d MiB at most", len(data), sentence(err), peak>>20)
			if c.code != "" && code(err) != c.code || c.code == "" && err != nil {
				t.Errorf("got %s, want %q", sentence(err), c.code)
			}
			if peak > 200<<20 {
				t.Errorf("took %d MiB", peak>>20)
			}
		})
	}
}

// peakOf is how far the heap grew while f ran, garbage included.
func peakOf(f func()) uint64 {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	size := func() uint64 { metrics.Read(heap); return heap[0].Value.Uint64() }
	runtime.GC()
	before, peak := size(), uint64(0)
	done, watched := make(chan struct{}), make(chan struct{})
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	go func() {
		defer close(watched)
		for {
			peak = max(peak, size())
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	f()
	close(done)
	<-watched
	return max(peak, before) - before
}

// hostile are names that a spreadsheet could take for a formula or markup.
var hostile = []string{
	"=1+1", "+1", "-1", "@SUM(A1)", "＝1", "=HYPERLINK(\"http://198.51.100.7\")", "'=1", "_x003D_1", "_x000D_", "<f>1</f>", "&amp;", "\"", ";,",
}

func signSheet() sheet {
	s := sheet{
		title:   "第一党支部主题党日签到表",
		notes:   []string{"时间：2026年3月5日 14:30", "=应到 2"},
		columns: []sheetColumn{{"序号", 6}, {"姓名", 20}, {"分值", 10}},
	}
	for i, name := range hostile {
		s.rows = append(s.rows, []any{i + 1, name, float64(i) + 0.5})
	}
	return s
}

func TestAWrittenSheetReadsBackAsItWas(t *testing.T) {
	s := signSheet()
	for name, write := range map[string]func(io.Writer, sheet) error{"xlsx": writeTable, "csv": writeCSV} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			check(t, write(&b, s))
			raw := mustRead(t, b.Bytes())
			got, err := raw.under(tableColumn{key: "name", names: []string{"姓名"}, required: true}, tableColumn{key: "n", names: []string{"序号"}},
				tableColumn{key: "points", names: []string{"分值"}})
			check(t, err)
			equal(t, got.problems.Count, 0)
			equal(t, got.header, []string{"序号", "姓名", "分值"})
			for i, row := range got.rows {
				equal(t, []string{got.cell(row, "n"), got.cell(row, "name"), got.cell(row, "points")},
					[]string{fmt.Sprint(i + 1), hostile[i], fmt.Sprint(float64(i) + 0.5)})
			}
			equal(t, len(got.rows), len(hostile))
		})
	}
}

func TestNoWrittenStringStartsAFormula(t *testing.T) {
	var b bytes.Buffer
	check(t, writeTable(&b, signSheet()))
	f, err := excelize.OpenReader(&b)
	check(t, err)
	defer f.Close()
	formulas, texts := 0, 0
	for row := 1; row <= 4+len(hostile); row++ {
		for _, column := range []string{"A", "B", "C"} {
			cell := fmt.Sprint(column, row)
			formula, err := f.GetCellFormula("Sheet1", cell)
			check(t, err)
			kind, err := f.GetCellType("Sheet1", cell)
			check(t, err)
			id, err := f.GetCellStyle("Sheet1", cell)
			check(t, err)
			style, err := f.GetStyle(id)
			check(t, err)
			if formula != "" {
				formulas++
			}
			if kind == excelize.CellTypeInlineString && style.NumFmt == 49 {
				texts++
			}
		}
	}
	equal(t, formulas, 0)
	equal(t, texts, 3+3+len(hostile)) // title and notes, header, names

	b.Reset()
	check(t, writeCSV(&b, sheet{columns: []sheetColumn{{name: "@姓名"}}, rows: [][]any{{"\tx"}, {"\rx"}, {"=1"}, {"林一"}, {-5}}}))
	records, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(b.String(), "\ufeff"))).ReadAll()
	check(t, err)
	equal(t, records, [][]string{{"'@姓名"}, {"'\tx"}, {"'\rx"}, {"'=1"}, {"林一"}, {"-5"}})
}

func TestASheetPrintsOnA4WithItsHeaderOnEveryPage(t *testing.T) {
	var b bytes.Buffer
	check(t, writeTable(&b, signSheet()))
	f, err := excelize.OpenReader(&b)
	check(t, err)
	defer f.Close()
	page, err := f.GetPageLayout("Sheet1")
	check(t, err)
	properties, err := f.GetSheetProps("Sheet1")
	check(t, err)
	equal(t, []any{*page.Size, *page.Orientation, *page.FitToWidth, *page.FitToHeight, *properties.FitToPage}, []any{9, "portrait", 1, 0, true})
	equal(t, f.GetDefinedName(), []excelize.DefinedName{{Name: "_xlnm.Print_Titles", RefersTo: "'Sheet1'!$4:$4", Scope: "Sheet1"}})
	panes, err := f.GetPanes("Sheet1")
	check(t, err)
	equal(t, []any{panes.Freeze, panes.YSplit, panes.TopLeftCell}, []any{true, 4, "A5"})
	width, err := f.GetColWidth("Sheet1", "B")
	check(t, err)
	equal(t, width, 20)
	merged, err := f.GetMergeCells("Sheet1")
	check(t, err)
	equal(t, len(merged), 3)
}

func TestWhatIsNeitherTextNorNumberIsNotWritten(t *testing.T) {
	s := sheet{title: "表", columns: []sheetColumn{{"甲", 10}}, rows: [][]any{{time.Time{}}}}
	for _, write := range []func(io.Writer, sheet) error{writeTable, writeCSV} {
		if err := write(io.Discard, s); err == nil || !strings.Contains(err.Error(), "time.Time") {
			t.Errorf("got %v", err)
		}
	}
}

// keepsItsWord fails unless the answer to any file whatever is a refusal or a
// table within the limits.
func keepsItsWord(t *testing.T, data []byte) {
	got, err := read(data)
	if err != nil {
		var refusal *model.Error
		if !errors.As(err, &refusal) || refusal.Kind != model.Invalid || refusal.Message == "" {
			t.Fatalf("a fault: %v", err)
		}
		return
	}
	if len(got.rows) == 0 || len(got.rows) > maxTableRows || len(got.problems.List) > maxRowProblems || got.problems.Count < len(got.problems.List) {
		t.Fatalf("%d rows, %d of %d problems", len(got.rows), len(got.problems.List), got.problems.Count)
	}
	before := 0
	for _, row := range got.rows {
		if row.number <= before || len(row.cells) > maxTableColumns {
			t.Fatalf("row %d after %d has %d cells", row.number, before, len(row.cells))
		}
		before = row.number
		for _, cell := range row.cells {
			if !utf8.ValidString(cell) || utf8.RuneCountInString(cell) > maxCellRunes || cell != trimCell(cell) {
				t.Fatalf("row %d has the cell %q", row.number, cell)
			}
		}
	}
	if _, err := got.under(tableColumn{key: "name", names: []string{"姓名"}}); err != nil && code(err) != "table_columns_missing" && code(err) != "table_columns_twice" {
		t.Fatal(err)
	}
}

func FuzzReadTable(f *testing.F) {
	f.Add([]byte("姓名,电话\n\"林一\n\",13800000000\n"))
	f.Add([]byte("\ufeff姓名;电话\r\n'=1;2\r\n"))
	f.Add(gbk(f, "姓名\t电话\n林一\t=1\n"))
	f.Add([]byte("\xff\xfe\x00\x4e,\x00"))
	f.Add([]byte("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"))
	f.Add(skeleton(oneRow).zip(f))
	f.Add(workbook(f, func(x *excelize.File) { check(f, x.SetCellFormula("Sheet1", "B2", "1+1")) }))
	f.Fuzz(keepsItsWord)
}

// FuzzReadWorkbook changes the parts of a workbook, where a change of the
// archive's bytes seldom gets past its checksums.
func FuzzReadWorkbook(f *testing.F) {
	parts := skeleton(oneRow)
	f.Add(`<row r="1"><c r="A1" s="1"><v>45000.5</v></c></row>`, `<mergeCells><mergeCell ref="A1:A3"/></mergeCells>`,
		`<numFmts><numFmt numFmtId="164" formatCode="[$-804]yyyy&quot;年&quot;m/d h:mm AM/PM;@"/></numFmts><cellXfs><xf/><xf numFmtId="164"/></cellXfs>`, `<si><t>姓名</t></si>`)
	f.Add(`<row><c t="s"><v>0</v></c><c t="inlineStr"><is><r><t>a</t></r></is></c></row><row r="9"><c r="B9" t="str"><f>A1</f><v>x</v></c></row>`, ``,
		`<cellXfs><xf/><xf numFmtId="14"/><xf numFmtId="49"/></cellXfs>`, `<si><r><t>a</t></r><rPh sb="0" eb="1"><t>b</t></rPh></si>`)
	f.Add(`<row r="1"><c r="A1" s="1"><v>-1e5</v></c><c t="b"><v>1</v></c><c t="d"><v>2026-03-05</v></c><c t="e"><v>#REF!</v></c></row>`, ``,
		`<numFmts><numFmt numFmtId="164" formatCode="[Red][&lt;=100]# ??/??;0.00E+00;[h]:mm:ss.00;_(* @_)"/></numFmts><cellXfs><xf/><xf numFmtId="164"/></cellXfs>`, ``)
	f.Fuzz(func(t *testing.T, rows, tail, styles, texts string) {
		keepsItsWord(t, parts.
			with("xl/worksheets/sheet1.xml", `<worksheet `+mainSpace+`><sheetData>`+rows+`</sheetData>`+tail+`</worksheet>`).
			with("xl/styles.xml", `<styleSheet `+mainSpace+`>`+styles+`</styleSheet>`).
			with("xl/sharedStrings.xml", `<sst `+mainSpace+`>`+texts+`</sst>`).zip(t))
	})
}

func BenchmarkReadTable(b *testing.B) {
	s := sheet{title: "名册", columns: []sheetColumn{{"姓名", 12}, {"手机号", 16}, {"党支部", 30}, {"身份", 12}, {"党小组", 16}, {"职务", 12}, {"序号", 8}, {"备注", 20}}}
	for i := range 3_000 {
		s.rows = append(s.rows, []any{fmt.Sprint("林", i), fmt.Sprint(13800000000 + i), fmt.Sprintf("第%d党支部", i/30), "正式党员", "第一小组", "", i, "无"})
	}
	for name, write := range map[string]func(io.Writer, sheet) error{"xlsx": writeTable, "csv": writeCSV} {
		var data bytes.Buffer
		check(b, write(&data, s))
		b.Run(name+"/3000 rows", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(data.Len()))
			for b.Loop() {
				if got, err := read(data.Bytes()); err != nil || len(got.rows) < 3_000 {
					b.Fatal(sentence(err))
				}
			}
		})
	}
	b.Run("write xlsx/3000 rows", func(b *testing.B) {
		for b.Loop() {
			check(b, writeTable(io.Discard, s))
		}
	})
}
