package service_test

import (
	"bytes"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

func TestTheSampleIsTheSameForASeedAndAnotherForAnother(t *testing.T) {
	one, again, other := service.NewSample(1), service.NewSample(1), service.NewSample(2)
	if !reflect.DeepEqual(one.Roster, again.Roster) || !reflect.DeepEqual(one.Organisations, again.Organisations) {
		t.Error("two samples of one seed differ")
	}
	if reflect.DeepEqual(one.Roster, other.Roster) {
		t.Error("two seeds make the same roster")
	}
}

func TestTheSampleHas100BranchesAnd3000InventedMembers(t *testing.T) {
	s := service.NewSample(7)
	sizes, phones := map[string]int{}, map[string]bool{}
	invented := regexp.MustCompile(`^1990000\d{4}$`)
	for _, row := range s.Roster {
		sizes[row[2]]++
		if phones[row[1]] || !invented.MatchString(row[1]) {
			t.Fatalf("number %s is used twice or might be somebody's", row[1])
		}
		phones[row[1]] = true
	}
	if len(s.Roster) != 3000 || len(sizes) != 100 {
		t.Errorf("%d members in %d branches", len(s.Roster), len(sizes))
	}
	for branch, n := range sizes {
		if n < 12 || n > 50 {
			t.Errorf("%s has %d members", branch, n)
		}
	}
	kinds := map[string]int{}
	for _, row := range s.Organisations {
		kinds[row[1]]++
	}
	if kinds["党支部"] != 100 || kinds["党工委"] != 1 || kinds["党总支"] == 0 || kinds["社区"] == 0 {
		t.Errorf("the tree has %v", kinds)
	}
}

func TestTheBranchOfTheDemonstrationHas34MembersASecretaryTwoOfTheCommitteeAndThreeGroups(t *testing.T) {
	s := service.NewSample(7)
	statuses, posts, groups := map[string]int{}, map[string]int{}, map[string]int{}
	for _, row := range s.Roster {
		if row[2] == s.Branch {
			groups[row[3]]++
			statuses[row[4]]++
			posts[row[6]]++
		}
	}
	if statuses["正式党员"] != 31 || statuses["预备党员"] != 3 {
		t.Errorf("members: %v", statuses)
	}
	if posts["书记"] != 1 || posts["委员"] != 2 || posts["党小组长"] != 3 {
		t.Errorf("posts: %v", posts)
	}
	if len(groups) != 3 || groups[""] != 0 {
		t.Errorf("groups: %v", groups)
	}
	if people := s.People(s.Branch); len(people) != 34 || people[0].Post != "书记" {
		t.Errorf("people: %+v", people)
	}
}

func TestTheSampleIsReadByTheOrdinaryImportInFewStatements(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		s := service.NewSample(7)
		organisations, roster := workbook(t, s.WriteOrganisations), workbook(t, s.WriteRoster)
		report, err := w.Imports.Organisations(t.Context(), model.Operator(), organisations)
		if err != nil || report.Added != len(s.Organisations) {
			t.Fatalf("organisations: %+v, %s", report, explain(err))
		}
		var told [2]int
		roster.Progress = func(done, total int) {
			if done < told[0] || done > total {
				t.Errorf("progress goes from %v to %d of %d", told, done, total)
			}
			told = [2]int{done, total}
		}
		start := time.Now()
		var trips trial.Trips
		trips = w.Trips(func() { report, err = w.Imports.Roster(t.Context(), model.Operator(), 0, roster) })
		t.Logf("3,000 rows on %s: %v, %d statements", w.Store, time.Since(start).Round(time.Millisecond), len(trips.SQL))
		if err != nil || report.Added != 3000 || report.Rows != 3000 {
			t.Fatalf("roster: %+v, %s", report, explain(err))
		}
		if told[0] != told[1] || told[0] < 3000 {
			t.Errorf("progress ends at %d of %d", told[0], told[1])
		}
		if len(trips.SQL) > 300 {
			t.Errorf("3,000 rows took %d statements:\n%s", len(trips.SQL), strings.Join(trips.SQL, "\n"))
		}
		trips = w.Trips(func() { report, err = w.Imports.Roster(t.Context(), model.Operator(), 0, roster) })
		if err != nil || report.Unchanged != 3000 {
			t.Fatalf("the same again: %+v, %s", report, explain(err))
		}
		if wrote := writes(trips); len(wrote) != 1 || !strings.Contains(wrote[0], "audit_entries") {
			t.Errorf("the same again wrote %q", wrote)
		}
	})
}

// workbook is what write writes, as a file to import.
func workbook(t *testing.T, write func(io.Writer) error) service.ImportFile {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return service.ImportFile{Data: bytes.NewReader(b.Bytes()), Size: int64(b.Len())}
}

// writes are the statements that change something.
func writes(trips trial.Trips) []string {
	var all []string
	for _, s := range trips.SQL {
		if strings.HasPrefix(s, "INSERT") || strings.HasPrefix(s, "UPDATE") || strings.HasPrefix(s, "DELETE") {
			all = append(all, s)
		}
	}
	return all
}
