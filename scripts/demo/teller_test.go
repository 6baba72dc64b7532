package demo

import (
	"strings"
	"testing"
	"time"
)

func TestALineWithAWrongNumberIsNotTickedAndTheStoryFails(t *testing.T) {
	var out strings.Builder
	teller := Teller{Out: &out, now: time.Date(2026, 3, 5, 14, 30, 0, 0, time.UTC)}
	teller.Chapter("到会")
	teller.Did("三个人到了", Is("实到", 3, 3))
	if err := teller.verdict(); err != nil {
		t.Errorf("a story that adds up ends with %v", err)
	}
	teller.Did("又来一个", Is("实到", 3, 4), Is("缺席", 0, 0))
	teller.Refused("来早了", &answer{Code: "closed", Detail: "签到已经结束"}, "not_open_yet")
	const told = `
一、到会
  14:30  ✓ 三个人到了
         ✗ 又来一个
           实到：应为 4，实为 3
         ✗ 来早了
           回答的 code：应为 not_open_yet，实为 closed
           closed「签到已经结束」
`
	if out.String() != told {
		t.Errorf("told:\n%s\nwant:\n%s", &out, told)
	}
	if err := teller.verdict(); err == nil || !strings.Contains(err.Error(), "2 处") || !strings.Contains(err.Error(), "实到：应为 4，实为 3") {
		t.Errorf("the story ends with %v", err)
	}
	if teller.checked != 5 {
		t.Errorf("%d checks", teller.checked)
	}
}

func TestTextIsPaddedByItsWidthOnTheScreen(t *testing.T) {
	for text, want := range map[string]string{"王一": "王一  |", "abc": "abc   |", "党（员）": "党（员）|", "三个字的": "三个字的|"} {
		if got := pad(text, 6) + "|"; got != want {
			t.Errorf("%q is padded to %q", text, got)
		}
	}
}
