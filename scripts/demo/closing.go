package demo

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// closing is the secretary's act that leaves everybody in exactly one status.
func (s *Story) closing(ctx context.Context) error {
	s.Chapter("结束会议")
	s.turn("16:30")
	if err := s.end(ctx); err != nil {
		return err
	}
	roster, err := s.roster(ctx)
	if err != nil {
		return err
	}
	statuses, ways := map[string]int{}, map[string]int{}
	for _, l := range roster {
		statuses[l.Status]++
		if l.Status == "present" {
			ways[l.Provenance]++
		}
	}
	rest := s.want.Absent + s.want.Exempt
	s.Did(fmt.Sprintf("名单上 %d 人，各有且只有一种结果", len(roster)), Is("名单人数", len(roster), s.size()),
		Is("到会", statuses["present"], s.attending()), Is("病假", statuses["sick_leave"], 1), Is("未到会", statuses["absent"], rest),
		Is("没有结果的", s.size()-statuses["present"]-statuses["sick_leave"]-statuses["absent"], 0),
		Is(s.excused+" 的结果", roster[s.excused].Status, "sick_leave"))
	s.Note(fmt.Sprintf("扫码 %d，输数字 %d，党员码 %d，书记代记 %d，病假 %d，缺席 %d，不计入应到 %d",
		ways["scan"], ways["typed_code"], ways["member_code"], ways["tick"], s.want.OnLeave, s.want.Absent, s.want.Exempt))
	s.Did("到会的人，每人记着是怎样签到的", Is("扫码", ways["scan"], s.attending()-3), Is("输数字", ways["typed_code"], 1),
		Is("党员码", ways["member_code"], 1), Is("书记代记", ways["tick"], 1))
	return nil
}

// end is the secretary pressing 结束会议, twice.
func (s *Story) end(ctx context.Context) error {
	s.want.Absent, s.want.Awaited = s.want.Awaited, 0
	a, err := s.ask(ctx, s.secretary, http.MethodPost, s.path("/closing"), nil)
	if err != nil {
		return err
	}
	out, err := read[struct {
		Tally    tally  `json:"tally"`
		Sentence string `json:"sentence"`
	}](a, http.MethodPost, s.path("/closing"))
	if err != nil {
		return err
	}
	again, err := s.ask(ctx, s.secretary, http.MethodPost, s.path("/closing"), nil)
	if err != nil {
		return err
	}
	s.Did("书记结束会议："+out.Sentence, append(s.want.like(out.Tally), Is("统计的那句话", out.Sentence, s.want.sentence()),
		Is("再按一次的回答", string(again.Body), string(a.Body)))...)
	return nil
}

// sheet is the 签到表 as a workbook and as a page to print.
func (s *Story) sheet(ctx context.Context) error {
	s.Chapter("签到表")
	s.turn("16:35")
	name := fmt.Sprintf("签到表-%s-%d", s.Day.Format("20060102"), s.activity)
	return s.export(ctx, s.secretary, s.path("/sheet.*"), filepath.Join(s.Dir, "签到表", name), "导出", s.onSheet)
}

// onSheet claims that everybody is on the sheet, and the meeting in numbers.
func (s *Story) onSheet(text string) []Claim {
	return []Claim{Is("表上的人数", s.named(text), s.size()), Is("表上的统计", strings.Contains(text, s.want.sentence()), true)}
}

// named is how many of the branch a text names.
func (s *Story) named(text string) (n int) {
	for _, p := range s.everybody() {
		if strings.Contains(text, p.Name) {
			n++
		}
	}
	return n
}

// export saves what the service writes at the path, whose ending is a star, as
// a workbook and as a page to print, and holds the text of both against the claims.
func (s *Story) export(ctx context.Context, who *phone, path, file, did string, claims func(text string) []Claim) error {
	for _, f := range []struct {
		ending, what string
		text         func([]byte) (string, error)
	}{{".xlsx", " Excel 表格", workbookText}, {".html", "打印页，用浏览器打开", pageText}} {
		err := s.save(ctx, who, strings.Replace(path, ".*", f.ending, 1), file+f.ending, did+f.what, func(content []byte) ([]Claim, error) {
			text, err := f.text(content)
			return claims(text), err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// save writes what the service answers at the path into a file and holds it
// against the claims.
func (s *Story) save(ctx context.Context, who *phone, path, file, did string, claims func(content []byte) ([]Claim, error)) error {
	a, err := s.ask(ctx, who, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK {
		return fmt.Errorf("%s 没有导出：%d %s「%s」", path, a.Status, a.Code, a.Detail)
	}
	claimed, err := claims(a.Body)
	if err != nil {
		return fmt.Errorf("read what %s exports: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("make the folder for the sheets: %w", err)
	}
	to, err := filepath.Abs(file)
	if err != nil {
		return fmt.Errorf("name the sheet: %w", err)
	}
	if err := os.WriteFile(to, a.Body, 0o600); err != nil {
		return fmt.Errorf("write the sheet: %w", err)
	}
	s.Did(did, claimed...)
	s.Note(to)
	return nil
}

// comeBack is the story's end: the clock tells the time again, and whoever
// signed in while it did not is still signed in.
func (s *Story) comeBack(ctx context.Context) error {
	s.Clock.Go()
	s.now = s.Clock.Now().In(s.Day.Location())
	a, err := s.ask(ctx, s.secretary, http.MethodGet, "/v1/home", nil)
	if err != nil {
		return err
	}
	s.Did("故事讲完，时钟回到现在；故事里的登录仍然有效", Is("书记的首屏", a.Code, "ok"))
	return nil
}

func pageText(page []byte) (string, error) { return string(page), nil }

// workbookText is everything that is written in a workbook.
func workbookText(file []byte) (string, error) {
	parts, err := unzip(file)
	var b strings.Builder
	for name, part := range parts {
		if strings.HasPrefix(name, "xl/") {
			b.Write(part)
		}
	}
	return b.String(), err
}

// unzip is the parts of an archive by name.
func unzip(file []byte) (map[string][]byte, error) {
	archive, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, err
	}
	parts := map[string][]byte{}
	for _, f := range archive.File {
		part, err := f.Open()
		if err != nil {
			return nil, err
		}
		parts[f.Name], err = io.ReadAll(io.LimitReader(part, 4<<20))
		_ = part.Close() // it was only read
		if err != nil {
			return nil, err
		}
	}
	return parts, nil
}
