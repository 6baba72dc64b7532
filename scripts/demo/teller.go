package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Teller tells a story line by line and holds every number of it against what
// was promised. A line gets its tick mark only when all its claims hold.
type Teller struct {
	Out      io.Writer
	Terminal bool          // colours are welcome
	Pace     time.Duration // rest after each line, so that people can read

	chapters int
	clock    string // the time in the margin of the last line
	now      time.Time
	checked  int
	wrong    []string
}

// Claim is one thing that must be as the story says.
type Claim struct {
	what, got, want string
}

// Is claims that got is what the story says.
func Is[T comparable](what string, got, want T) Claim {
	return Claim{what, fmt.Sprint(got), fmt.Sprint(want)}
}

var numerals = strings.Fields("一 二 三 四 五 六 七 八 九 十 十一 十二 十三 十四 十五 十六 十七 十八 十九 二十")

// Chapter begins a new part.
func (t *Teller) Chapter(title string) {
	t.clock = ""
	t.print("\n%s\n", t.paint(bold, numerals[t.chapters]+"、"+title))
	t.chapters++
}

// Did tells a step that was taken.
func (t *Teller) Did(text string, claims ...Claim) {
	var wrong []string
	for _, c := range claims {
		t.checked++
		if c.got != c.want {
			wrong = append(wrong, fmt.Sprintf("%s：应为 %s，实为 %s", c.what, c.want, c.got))
		}
	}
	mark := t.paint(green, "✓")
	if len(wrong) > 0 {
		mark = t.paint(red, "✗")
	}
	margin := "     "
	if clock := t.now.Format("15:04"); !t.now.IsZero() && clock != t.clock {
		t.clock, margin = clock, clock
	}
	t.print("  %s  %s %s\n", t.paint(faint, margin), mark, text)
	for _, w := range wrong {
		t.Note(t.paint(red, w))
	}
	t.wrong = append(t.wrong, wrong...)
	time.Sleep(t.Pace)
}

// Refused tells a step that the service did not allow, with its reason.
func (t *Teller) Refused(text string, a *answer, code string, claims ...Claim) {
	claims = append(claims, Is("回答的 code", a.Code, code), Is("回答里有一句给人看的话", a.Detail != "", true))
	t.Did(text, claims...)
	t.Note(t.paint(yellow, a.Code) + "「" + a.Detail + "」")
}

// Note adds a line to the step before it.
func (t *Teller) Note(text string) {
	for line := range strings.Lines(text) {
		t.print("           %s\n", strings.TrimSuffix(line, "\n"))
	}
}

func (t *Teller) print(format string, args ...any) {
	_, _ = fmt.Fprintf(t.Out, format, args...) // when the terminal is gone there is nobody to tell
}

// verdict is nil if every number was what the story says.
func (t *Teller) verdict() error {
	if len(t.wrong) == 0 {
		return nil
	}
	return fmt.Errorf("故事里有 %d 处对不上：\n  - %s", len(t.wrong), strings.Join(t.wrong, "\n  - "))
}

const (
	bold   = "1"
	faint  = "2"
	red    = "31"
	green  = "32"
	yellow = "33"

	darkOnLight = "38;5;16;48;5;231"
)

func (t *Teller) paint(colour, text string) string {
	if !t.Terminal {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// pad fills a text up to a width on the screen, where a Chinese character is
// two columns wide.
func pad(text string, width int) string {
	wide := 0
	for _, r := range text {
		if unicode.Is(unicode.Han, r) || r >= 0x3000 && r < 0x3040 || r >= 0xFF00 && r < 0xFFE7 {
			wide++
		}
	}
	return text + strings.Repeat(" ", max(0, width-wide-utf8.RuneCountInString(text)))
}
