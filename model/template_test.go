package model

import (
	"strings"
	"testing"
	"time"
)

func TestValuesAreCutToWhatTheirTypeTakes(t *testing.T) {
	at := time.Date(2026, 3, 10, 9, 5, 0, 0, time.UTC)
	for _, c := range []struct{ key, text, want string }{
		{"thing1", "七月主题党日", "七月主题党日"},
		{"thing1", "一二三四五六七八九十一二三四五六七八九十", "一二三四五六七八九十一二三四五六七八九十"},
		{"thing1", "一二三四五六七八九十一二三四五六七八九十一", "一二三四五六七八九十一二三四五六七八九…"},
		{"thing1", "abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrs~"},
		{"thing1", "第一行\n第二行\t完\r!", "第一行 第二行 完 !"},
		{"thing1", "《章程》，三楼（东）~", "《章程》，三楼（东）~"},
		{"thing1", "\u4e00\U00020000\U00010100\ufffd\xff", "\u4e00"}, // a rare character, a mark of punctuation that is one of another script, and no characters
		{"thing1", "😀", "详见小程序"},
		{"thing1", " a\u202eb\u0000 ", "ab"},
		{"character_string9", "A-1 二楼 B", "A-1B"},
		{"character_string9", "!A~", "!A~"},
		{"character_string9", "二楼", "-"},
		{"phrase2", "活动取消了不办", "活动取消了"},
		{"phrase2", "123", "有变更"},
	} {
		says := SaysTitle
		if strings.HasPrefix(c.key, "phrase") {
			says = SaysChange
		}
		got := Template{Keywords: map[string]Content{c.key: says}}.Fill(Contents{Texts: map[Content]string{says: c.text}})[c.key]
		if got != c.want {
			t.Errorf("%s of %q: %q, want %q", c.key, c.text, got, c.want)
		}
	}
	times := Template{Keywords: map[string]Content{"time1": SaysStart, "date2": SaysStart, "thing3": SaysStart, "character_string4": SaysStart, "number5": SaysCount}}.
		Fill(Contents{Times: map[Content]time.Time{SaysStart: at}, Count: 8})
	for key, want := range map[string]string{"time1": "2026年3月10日 09:05", "date2": "2026年3月10日 09:05", "thing3": "2026年3月10日 09:05", "character_string4": "2026-03-10,09:05", "number5": "8"} {
		if times[key] != want {
			t.Errorf("%s: %q, want %q", key, times[key], want)
		}
	}
}

func TestACatalogueThatCouldNotBeSentIsRefused(t *testing.T) {
	good := `{"activity_reminder": {"id": "T1", "keywords": {"thing1": "title", "time2": "starts_at"}}}`
	c, err := ReadCatalogue([]byte(good))
	if err != nil || c.PurposeOf("T1") != ActivityReminder || c.PurposeOf("T2") != "" {
		t.Fatalf("got %+v, %v", c, err)
	}
	five := `{"activity_reminder": {"id": "T1", "keywords": {"thing1": "title", "time2": "starts_at", "thing3": "place", "thing4": "note", "thing5": "title"}}}`
	if _, err := ReadCatalogue([]byte(five)); err != nil {
		t.Errorf("five keywords: %v", err)
	}
	for name, text := range map[string]string{
		"six keywords":                strings.Replace(five, `"title"}`, `"title", "thing6": "title"}`, 1),
		"no JSON":                     `{`,
		"an unknown field":            `{"activity_reminder": {"id": "T1", "page": "x", "keywords": {"thing1": "title"}}}`,
		"an unknown purpose":          strings.Replace(good, "activity_reminder", "birthday", 1),
		"a malformed id":              strings.Replace(good, "T1", "T 1", 1),
		"no keywords":                 `{"activity_reminder": {"id": "T1", "keywords": {}}}`,
		"an unknown content":          strings.Replace(good, `"title"`, `"weather"`, 1),
		"a malformed keyword":         strings.Replace(good, "thing1", "thing", 1),
		"a content in the wrong type": strings.Replace(good, "time2", "phrase2", 1),
		"one template for two purposes": `{"activity_reminder": {"id": "T1", "keywords": {"thing1": "title"}},
			"duty": {"id": "T1", "keywords": {"thing1": "title"}}}`,
	} {
		if _, err := ReadCatalogue([]byte(text)); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
