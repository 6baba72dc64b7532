package config

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Hours are a part of the day, as times since midnight; they may run over it.
type Hours struct{ From, Until time.Duration }

// UnmarshalText reads 22:00-07:00.
func (h *Hours) UnmarshalText(text []byte) error {
	from, until, _ := strings.Cut(string(text), "-")
	f, err1 := time.Parse("15:04", strings.TrimSpace(from))
	u, err2 := time.Parse("15:04", strings.TrimSpace(until))
	if err1 != nil || err2 != nil {
		return errors.New("应为 22:00-07:00 这样的起止时间；两个相同则不设免打扰")
	}
	midnight := time.Date(f.Year(), f.Month(), f.Day(), 0, 0, 0, 0, time.UTC)
	*h = Hours{f.Sub(midnight), u.Sub(midnight)}
	return nil
}

// String is how the hours are written.
func (h Hours) String() string {
	return fmt.Sprintf("%02d:%02d-%02d:%02d", int(h.From.Hours()), int(h.From.Minutes())%60, int(h.Until.Hours()), int(h.Until.Minutes())%60)
}

//go:embed templates.json
var simulatorTemplates []byte

// TemplateFile is the catalogue of message templates in JSON; where none is
// set, that of the simulator's templates.
func (s Settings) TemplateFile() ([]byte, error) {
	if s.WeChatTemplates == "" {
		return simulatorTemplates, nil
	}
	raw, err := os.ReadFile(s.WeChatTemplates)
	if err != nil {
		return nil, errors.New("DANGRI_WECHAT_TEMPLATES：文件读不出来：" + s.WeChatTemplates)
	}
	return raw, nil
}
