package sim

import (
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

var (
	numberShape   = regexp.MustCompile(`^\d+(\.\d+)?$`)
	letterShape   = regexp.MustCompile(`^[A-Za-z]{1,32}$`)
	amountShape   = regexp.MustCompile(`^[¥￥$€£]?\d{1,10}(\.\d{1,2})?元?$`)
	phoneShape    = regexp.MustCompile(`^[0-9+\-() ]{1,17}$`)
	clockShape    = regexp.MustCompile(`^(\d{1,2}):(\d{2})(:\d{2})?$`)
	keyShape      = regexp.MustCompile(`^([a-z_]+?)\d*$`)
	clockLayouts  = []string{"15:04", "15:04:05"}
	dayLayouts    = []string{"2006年1月2日", "2006-1-2", "2006/1/2", "2006.1.2"}
	coarseLayouts = []string{"2006年1月", "1月2日", "2006-1", "2006/1", "2006.1", "1-2", "1/2"}
)

// kind is the keyword's type: its key without the number.
func (k *Keyword) kind() string {
	if m := keyShape.FindStringSubmatch(k.Key); m != nil {
		return m[1]
	}
	return ""
}

// admits says whether the platform takes value for this keyword. The limits
// count characters, not bytes. Source: the table of parameter types in the
// platform's document of the send call.
func (k *Keyword) admits(value string) bool {
	if !utf8.ValidString(value) || strings.ContainsFunc(value, unprintable) {
		return false
	}
	n := utf8.RuneCountInString(value)
	switch k.kind() {
	case "thing":
		return n <= 20 && all(value, or(han, letter, digit, symbol, blank))
	case "number":
		return numberShape.MatchString(value) && len(strings.ReplaceAll(value, ".", "")) <= 32
	case "letter":
		return letterShape.MatchString(value)
	case "symbol":
		return n <= 5 && all(value, symbol)
	case "character_string":
		return n <= 32 && all(value, or(letter, digit, symbol))
	case "time":
		return isRange(value, isTime)
	case "date":
		return isRange(value, isDate)
	case "amount":
		return amountShape.MatchString(value)
	case "phone_number":
		return phoneShape.MatchString(value)
	case "car_number":
		return n <= 8 && isPlate([]rune(value))
	case "name":
		if strings.ContainsFunc(value, han) {
			return n <= 10 && all(value, or(han, letter, symbol))
		}
		return n <= 20 && all(value, or(letter, symbol, blank))
	case "phrase":
		return n <= 5 && all(value, han)
	case "enum":
		return slices.Contains(k.Enum, value)
	}
	return false
}

// isRange takes one point in time or two with "~" between them.
func isRange(value string, point func(string) bool) bool {
	from, to, two := strings.Cut(value, "~")
	if !two {
		return point(value)
	}
	return point(from) && point(to)
}

// isTime takes HH:MM or HH:MM:SS, with or without the full date before it.
func isTime(value string) bool {
	day, clock, both := strings.Cut(value, " ")
	if !both {
		return isClock(value)
	}
	return matches(day, dayLayouts) && isClock(clock)
}

// isDate takes a date, whole or coarse, with or without the time after it.
func isDate(value string) bool {
	day, clock, both := strings.Cut(value, " ")
	if both && !isClock(clock) {
		return false
	}
	return matches(day, dayLayouts) || matches(day, coarseLayouts)
}

func isClock(value string) bool {
	return clockShape.MatchString(value) && matches(value, clockLayouts)
}

func matches(value string, layouts []string) bool {
	return slices.ContainsFunc(layouts, func(layout string) bool {
		_, err := time.Parse(layout, value)
		return err == nil
	})
}

// isPlate takes a number plate: only its ends may be Han.
func isPlate(r []rune) bool {
	for i, c := range r {
		end := i == 0 || i == len(r)-1
		if !letter(c) && !digit(c) && (!end || !han(c)) {
			return false
		}
	}
	return true
}

func all(value string, is func(rune) bool) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return !is(r) })
}

func or(kinds ...func(rune) bool) func(rune) bool {
	return func(r rune) bool {
		return slices.ContainsFunc(kinds, func(is func(rune) bool) bool { return is(r) })
	}
}

func han(r rune) bool    { return unicode.Is(unicode.Han, r) }
func letter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }
func digit(r rune) bool  { return '0' <= r && r <= '9' }
func blank(r rune) bool  { return r == ' ' || r == '　' }

// symbol is punctuation and signs. Pictures (emoji) are not: whether the
// platform takes them is not known.
func symbol(r rune) bool {
	return r < 0x10000 && (unicode.IsPunct(r) || unicode.In(r, unicode.Sm, unicode.Sc, unicode.Sk) || geometric(r))
}

// geometric are the shapes that people write lists with: ○ ● ■ → ①.
func geometric(r rune) bool {
	return 0x2190 <= r && r <= 0x21ff || 0x2460 <= r && r <= 0x24ff || 0x25a0 <= r && r <= 0x25ff || r == '℃' || r == '№'
}

func unprintable(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp)
}
