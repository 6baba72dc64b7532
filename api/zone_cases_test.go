package api_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"dangri/model"
	"dangri/service/trial"
)

// overMidnight is a meeting of two days with daily check-in, and what everybody
// is told on both sides of midnight.
func overMidnight(s *stage) (told []string) {
	s.t.Helper()
	noon := time.Date(2026, 3, 12, 12, 0, 0, 0, trial.Zone)
	s.Clock.Set(noon.Add(-time.Hour))
	m := s.aMeeting(2, "starts_at", noon, "ends_at", noon.Add(36*time.Hour), "daily", true, "late_after_minutes", 0)
	tell := func(what string, r *reply) {
		told = append(told, fmt.Sprintf("%s: %d %s", what, r.Status, r.Body))
	}
	midnight := time.Date(2026, 3, 13, 0, 0, 0, 0, trial.Zone)
	for _, at := range []time.Time{midnight.Add(-time.Second), midnight.Add(time.Second), midnight.Add(8*time.Hour - time.Second), midnight.Add(8*time.Hour + time.Second)} {
		s.Clock.Set(at)
		s.SignIn(m.members[0])
		s.SignIn(m.secretary)
		when := at.In(trial.Zone).Format(time.DateTime)
		tell("scan at "+when, m.scan(m.members[0], m.code().Code, "nonce-"+jsonText(at.Unix())))
		tell("board at "+when, m.phone(m.secretary).get(m.path(m.id, "/board")))
		tell("first screen at "+when, m.phone(m.members[0]).get("/v1/home"))
	}
	s.touch(m.secretary)
	m.id = m.publish(m.branch)
	tell("series", m.repeat(body{"rule": "FREQ=MONTHLY;BYMONTHDAY=5"}))
	var days []string
	if err := s.DB.Model(&model.Attendance{}).Order("id").Pluck("day", &days).Error; err != nil {
		s.t.Fatal(err)
	}
	return append(told, fmt.Sprint("days: ", days))
}

const zoneMark = "told in this zone| "

func TestC6_AProcessInAnotherZoneGivesTheSameAnswersOverMidnight(t *testing.T) {
	if os.Getenv("DANGRI_TEST_ZONE") != "" { // the process in that zone
		w := trial.New(t, trial.SQLite)
		for _, line := range overMidnight(&stage{World: w, t: t, url: listen(t, w, w.Services)}) {
			_, _ = fmt.Fprintln(os.Stdout, zoneMark+line)
		}
		_, _ = fmt.Fprintln(os.Stdout, zoneMark+"offset "+time.Unix(0, 0).Format("-0700"))
		return
	}
	t.Parallel()
	answers := map[string]string{}
	for zone, offset := range map[string]string{"UTC": "+0000", "Asia/Shanghai": "+0800", "America/Los_Angeles": "-0800"} {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
		child.Env = append(os.Environ(), "TZ="+zone, "DANGRI_TEST_ZONE="+zone)
		out, err := child.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", zone, err, out)
		}
		var told []string
		for line := range strings.Lines(string(out)) {
			if text, ok := strings.CutPrefix(line, zoneMark); ok {
				told = append(told, text)
			}
		}
		if len(told) < 10 || told[len(told)-1] != "offset "+offset+"\n" {
			t.Fatalf("the process was not in %s: %s", zone, out)
		}
		answers[zone] = strings.Join(told[:len(told)-1], "")
	}
	for zone, told := range answers {
		if told != answers["UTC"] {
			t.Errorf("in %s:\n%s\nin UTC:\n%s", zone, told, answers["UTC"])
		}
	}
	if !strings.Contains(answers["UTC"], "days: [2026-03-12 2026-03-13]") {
		t.Errorf("the days of the check-ins: %s", answers["UTC"])
	}
}
