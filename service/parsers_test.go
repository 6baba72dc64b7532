package service

import (
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"dangri/model"
)

// Every parser of what comes from outside, for `go test -fuzz`; the seeds run
// with every test.

func FuzzScreenCode(f *testing.F) {
	c := testCodes("key")
	good, _ := c.screen(7, 3, tuesday)
	body, sign, _ := cutLast(good)
	for _, seed := range []string{good, "", ".", "...", good + ".", "." + good, good + "\x00", strings.ToUpper(good), strings.Repeat("z", 64), strings.Repeat("党", 30),
		body, sign, body + "." + mac(c.key, "member", body)[:macSize], "+7.3." + body[4:] + "." + sign, "zzzzzzzzzzzzzzzzz.1.1." + sign} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, code string) {
		s, err := c.readScreen(code)
		if err != nil {
			wantRefusal(t, err, model.ErrCodeInvalid)
			return
		}
		if again, _ := c.screen(s.id, s.epoch, s.issued); again != code {
			t.Errorf("%q was taken for %q", code, again)
		}
	})
}

// Whatever the server has signed is read without a fault, also where it is no
// code that this version makes.
func FuzzSignedCode(f *testing.F) {
	c := testCodes("key")
	for _, seed := range []string{"7.3.e8gq0", "7.3", "", "..", "7.3.e8gq0.1", "-7.3.1", "+7.3.1", "07.3.1", "7.zzzzzzzz.1", "3w5e11264sgsf.1.1", "1.1.3w5e11264sgsg", "7 .3.1", "７.3.1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		if s, err := c.readScreen(body + "." + mac(c.key, "screen", body)[:macSize]); err != nil {
			wantRefusal(t, err, model.ErrCodeInvalid)
		} else if !errors.Is(c.freshAt(s, s.epoch+1, s.issued), model.ErrCodeExpired) {
			t.Errorf("%q counts under another epoch", body)
		}
		if m, err := c.readMember(body + "." + mac(c.key, "member", body)[:macSize]); err != nil {
			wantRefusal(t, err, model.ErrMemberCode)
		} else if !errors.Is(m.freshAt(m.issued.Add(memberCodeLife)), model.ErrMemberCode) {
			t.Errorf("%q counts beyond its life", body)
		}
	})
}

func FuzzMemberCode(f *testing.F) {
	c := testCodes("key")
	good, _ := c.member(7, tuesday)
	screen, _ := c.screen(7, 3, tuesday)
	for _, seed := range []string{good, screen, "", ".", "7.", good + " ", "0" + good, strings.ToUpper(good), strings.Repeat(".", 64), "7.\xff." + good} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, code string) {
		m, err := c.readMember(code)
		if err != nil {
			wantRefusal(t, err, model.ErrMemberCode)
		} else if again, _ := c.member(m.memberID, m.issued); again != code {
			t.Errorf("%q was taken for %q", code, again)
		}
	})
}

// A pass opens what it was made for and nothing else.
func FuzzPass(f *testing.F) {
	c := testCodes("key")
	good := c.screenPass(7, 3, 1)
	f.Add(good, "7.3.1", "/v1/activities/7/sheet.html")
	for _, seed := range []string{"", ".", "7", "7.zzzzzzzz", "7.3w5e11264sgsf", "+7.1", "-7.1", "7.1/v1", "７.1", strings.Repeat("z", 64), good + "."} {
		f.Add(seed, seed, "/v1/burden.html?month="+seed)
	}
	f.Fuzz(func(t *testing.T, pass, body, path string) {
		if n, err := c.readPass(pass); err != nil {
			wantRefusal(t, err, model.ErrScreenPass)
		} else if c.sign("screen_pass", "", passSize, n...) != pass {
			t.Errorf("%q was taken for %v", pass, n)
		}
		paper := body + "." + mac(c.key, "paper_pass", body+path)[:passSize]
		if n, ok := c.read("paper_pass", path, passSize, paper, 2); ok && len(n) != 2 {
			t.Errorf("%q is %v", paper, n)
		}
		if _, ok := c.read("paper_pass", path+"&", passSize, paper, 2); ok {
			t.Errorf("%q of %q opens another paper", paper, path)
		}
		if _, err := c.readPass(paper); err == nil {
			t.Errorf("%q of a paper opens a screen", paper)
		}
	})
}

// What a cell of an imported table is taken for is taken for the same when it
// is written as it is kept.
func FuzzCell(f *testing.F) {
	for _, seed := range []string{"", "19900000101", "+86 199 0000 0101", "0086-199-0000-0101", "１９９０００００１０１", "1.99E+10", "2026-03-05", "2026/3/5 0:00", "2026年3月5日", "03-05-26", "0000-01-01",
		"9999.12.31", "2026-02-30", "书记、组织委员", "委员兼党小组长", "、、", "兼", "党支部/第一党小组", ">>", "是", "\x00", "\ufeff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cell string) {
		if !utf8.ValidString(cell) {
			return // the reader of tables lets none in
		}
		if phone, ok := phoneNumber(cell); ok && phone != "" {
			if again, ok := phoneNumber(phone); !ok || again != phone || len(phone) != 11 || strings.Trim(phone, "0123456789") != "" {
				t.Errorf("%+q is the number %+q and then %+q", cell, phone, again)
			}
		}
		if day := dayOf(cell); day != "" && dayOf(string(day)) != day {
			t.Errorf("%+q is the day %q and then %q", cell, day, dayOf(string(day)))
		}
		if posts, ok := postKinds(cell); !ok && len(posts) > 0 {
			t.Errorf("%+q is refused and is %v", cell, posts)
		}
		if once := foldPath(cell); foldPath(once) != once {
			t.Errorf("%+q is found as %+q and then as %+q", cell, once, foldPath(once))
		}
		yesOrNo(cell)
		lastName(cell)
	})
}

func FuzzCursor(f *testing.F) {
	for _, seed := range []string{"", writeCursor(tuesday, 7), writeCursor(time.UnixMilli(0), 0), writeCursor(time.UnixMilli(1<<43), math.MaxInt64), "MA", "MC4x", "MC4xIA", "MC4weDE",
		"LTEuMQ", "MC4xODQ0Njc0NDA3MzcwOTU1MTYxNQ", "OTk5OTk5OTk5OTk5OTk5OTk5OTkuMQ", "KzEuMQ", "MDEuMQ", "MC4x\n", "MC4x=", "////"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		at, id, err := readCursor(cursor)
		if err != nil {
			wantRefusal(t, err, model.BadField("cursor", ""))
			return
		}
		// One place, one cursor; and one that every store can compare with.
		if again := writeCursor(at, id); again != cursor || id > math.MaxInt64 || at.Year() < 1970 || at.Year() > 2300 {
			t.Errorf("%q is %v, %d, which is %q", cursor, at, id, again)
		}
	})
}

func FuzzPlace(f *testing.F) {
	for _, seed := range []string{"", "0", "7", "9223372036854775807", "9223372036854775808", "-1", "+7", " 7", "7.0", "0x7", "7_0", "７"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		id, err := readPlace(cursor)
		if err != nil {
			wantRefusal(t, err, model.BadField("cursor", ""))
		} else if id > math.MaxInt64 || cursor != "" && strings.TrimLeft(cursor, "0") != strings.TrimLeft(writePlace(id), "0") {
			t.Errorf("%q is %d", cursor, id)
		}
	})
}

func FuzzInvitation(f *testing.F) {
	made := newInvitation()
	for _, seed := range []string{made, strings.ToLower(made), plainInvitation(made), " " + made + "　", "k7qm－3xhd－pa", "", "-", "ı-ſ-ß", "\x00", "\xff", "K7QM-3XHD-PA'--"} {
		f.Add(seed)
	}
	alphabet := regexp.MustCompile(`^[` + invitationLetters + `]{10}$`)
	f.Fuzz(func(t *testing.T, typed string) {
		if !utf8.ValidString(typed) {
			return // strict JSON lets none in
		}
		plain := plainInvitation(typed)
		if plainInvitation(plain) != plain {
			t.Errorf("%q is %q, which is %q", typed, plain, plainInvitation(plain))
		}
		if strings.ContainsAny(plain, "- 　－") {
			t.Errorf("%q is %q", typed, plain)
		}
		if alphabet.MatchString(plain) && plainInvitation(plain[:4]+"-"+plain[4:8]+" "+strings.ToLower(plain[8:])) != plain {
			t.Errorf("%q is not found as it is spoken", plain)
		}
	})
}

func FuzzRule(f *testing.F) {
	for _, seed := range []string{"FREQ=WEEKLY", "FREQ=MONTHLY;BYDAY=1SA", "FREQ=MONTHLY;BYDAY=SA;BYSETPOS=-1", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
		"FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "FREQ=DAILY;INTERVAL=-1", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;INTERVAL=99999999999999999999", "FREQ=MONTHLY;BYDAY=+99999999MO", "FREQ=MONTHLY;BYDAY=5MO;BYMONTHDAY=1", "FREQ=MONTHLY;BYDAY=8SA", "FREQ=YEARLY;BYDAY=53MO", "FREQ=MONTHLY;BYDAY=-5FR,5MO",
		"FREQ=YEARLY;BYSETPOS=-366;BYDAY=MO", "FREQ=SECONDLY", "FREQ=WEEKLY;COUNT=9", "FREQ=WEEKLY\n", "freq=weekly", "", ";", "FREQ=WEEKLY;BYDAY=", "FREQ=WEEKLY;BYDAY=MO;BYDAY=TU"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rule, err := readRule(text, "2026-03-10")
		if err != nil {
			wantRefusal(t, err, model.ErrRule)
			return
		}
		from := time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)
		if next := rule.After(from, false); !next.After(from) || next.Sub(next.Truncate(24*time.Hour)) != 0 {
			t.Errorf("after %v %q comes on %v", from, text, next)
		}
		rule.Between(from, from.AddDate(30, 0, 0), false) // what breaks down may do so in December only
	})
}

func FuzzText(f *testing.F) {
	for _, seed := range []string{"七月主题党日", " 七\u200b月 ", "党\u0301\u0301\u0301\u0301\u0301日", "\u0301党", " \u0301党", "党\n\u0301日", "\u202e党日", "\x00\x1b[2J", "\ufffd\ufeff", "Nguyễn",
		"\u00a0党\u2028日\u3000", "\u3164", "\U000e0041", "葛\U000e0100城", "👍🏽", "\xff", "e\u0301\u200b\u0301\u0301\u0301\u0301\u0301"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return // strict JSON and the reader of tables let none in
		}
		for name, clean := range map[string]func(string) string{"text": cleanText, "line": cleanLine} {
			kept := clean(text)
			if again := clean(kept); again != kept {
				t.Errorf("%s %+q is kept as %+q and then as %+q", name, text, kept, again)
			}
			marks := maxMarks
			for _, r := range kept {
				switch {
				case unicode.IsControl(r) && (name == "line" || r != '\n' && r != '\t'), unicode.Is(unicode.Cf, r), r == unicode.ReplacementChar,
					unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r):
					t.Errorf("%s %+q keeps %+q", name, text, r)
				case !unicode.IsMark(r):
					marks = 0
				default:
					if marks++; marks > maxMarks {
						t.Errorf("%s %+q keeps too many marks: %+q", name, text, kept)
					}
				}
			}
		}
		if reason, err := cleanReason(text); (err == nil) != (utf8.RuneCountInString(cleanLine(text)) >= 2) || err == nil && reason != cleanLine(text) {
			t.Errorf("reason %+q: %+q, %v", text, reason, err)
		}
		if name, ok := personName(text); ok && name != cleanText(name) {
			t.Errorf("name %+q is kept as %+q", text, name)
		}
	})
}

// wantRefusal fails unless the error is that refusal and nothing worse.
func wantRefusal(t *testing.T, err error, want *model.Error) {
	t.Helper()
	var refusal *model.Error
	if !errors.As(err, &refusal) || !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}
