package demo

import (
	"context"
	"fmt"

	"github.com/schollz/progressbar/v3"
)

// Sheet is a spreadsheet that is imported before the story begins.
type Sheet struct {
	Rows int
	Told string // what it brings, such as "100 个党支部"

	// Take imports it, telling how far it is, and says how many of its rows
	// were new and how many were there already, word for word.
	Take func(ctx context.Context, progress func(done, total int)) (added, unchanged int, err error)
}

// prepare imports the sheets, and then all of them again, which changes nothing.
func (s *Story) prepare(ctx context.Context) error {
	s.Chapter("名册")
	s.turn("09:00")
	for _, sheet := range s.Sheets {
		added, unchanged, err := sheet.Take(ctx, s.bar("导入"+sheet.Told))
		if err != nil {
			return err
		}
		if added > 0 {
			s.Did(fmt.Sprintf("导入%s：新增 %d 行", sheet.Told, added))
		} else {
			s.Did(fmt.Sprintf("导入%s：上次演示时已经导入，%d 行没有变化", sheet.Told, unchanged))
		}
	}
	repeated, rows := 0, 0
	for _, sheet := range s.Sheets {
		_, unchanged, err := sheet.Take(ctx, s.bar("再导入"+sheet.Told))
		if err != nil {
			return err
		}
		repeated, rows = repeated+unchanged, rows+sheet.Rows
	}
	s.Did("同样的表再导入一遍：什么也没有变", Is("没有变化的行", repeated, rows))
	return nil
}

// bar is a progress bar that goes away when the work is done.
func (s *Story) bar(what string) func(done, total int) {
	var bar *progressbar.ProgressBar
	return func(done, total int) {
		if bar == nil {
			bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(s.Out), progressbar.OptionSetVisibility(s.Terminal),
				progressbar.OptionSetDescription("           "+what), progressbar.OptionSetWidth(30),
				progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false), progressbar.OptionClearOnFinish())
		}
		_ = bar.Set(done) // a bar that cannot be drawn stops no import
	}
}
