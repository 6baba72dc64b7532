package proof

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// requirements are those of levels 1 and 2 of OWASP ASVS 5.0.0 in the chapters
// that asvs.md names.
const requirements = `
1.1.1 1.1.2
1.2.1 1.2.2 1.2.3 1.2.4 1.2.5 1.2.6 1.2.7 1.2.8 1.2.9
1.3.1 1.3.2 1.3.3 1.3.4 1.3.5 1.3.6 1.3.7 1.3.8 1.3.9 1.3.10 1.3.11
1.4.1 1.4.2 1.4.3
1.5.1 1.5.2
2.1.1 2.1.2 2.1.3
2.2.1 2.2.2 2.2.3
2.3.1 2.3.2 2.3.3 2.3.4
2.4.1
4.1.1 4.1.2 4.1.3
4.2.1
4.3.1 4.3.2
4.4.1 4.4.2 4.4.3 4.4.4
5.1.1
5.2.1 5.2.2 5.2.3
5.3.1 5.3.2
5.4.1 5.4.2 5.4.3
7.1.1 7.1.2 7.1.3
7.2.1 7.2.2 7.2.3 7.2.4
7.3.1 7.3.2
7.4.1 7.4.2 7.4.3 7.4.4 7.4.5
7.5.1 7.5.2
7.6.1 7.6.2
8.1.1 8.1.2
8.2.1 8.2.2 8.2.3
8.3.1
8.4.1
11.1.1 11.1.2
11.2.1 11.2.2 11.2.3
11.3.1 11.3.2 11.3.3
11.4.1 11.4.2 11.4.3 11.4.4
11.5.1
11.6.1
13.1.1
13.2.1 13.2.2 13.2.3 13.2.4 13.2.5
13.3.1 13.3.2
13.4.1 13.4.2 13.4.3 13.4.4 13.4.5
14.1.1 14.1.2
14.2.1 14.2.2 14.2.3 14.2.4
14.3.1 14.3.2 14.3.3
15.1.1 15.1.2 15.1.3
15.2.1 15.2.2 15.2.3
15.3.1 15.3.2 15.3.3 15.3.4 15.3.5 15.3.6 15.3.7
16.1.1
16.2.1 16.2.2 16.2.3 16.2.4 16.2.5
16.3.1 16.3.2 16.3.3 16.3.4
16.4.1 16.4.2 16.4.3
16.5.1 16.5.2 16.5.3
`

func TestEveryRequirementOfASVSHasATestOrAReason(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("asvs.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := testNames(t)
	var listed []string
	applicable, tested := 0, 0
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+\.\d+\.\d+) \| (.+?) \| (.+) \|$`).FindAllStringSubmatch(string(text), -1) {
		id, shown := m[1], m[3]
		listed = append(listed, id)
		if reason, ok := strings.CutPrefix(shown, "n/a: "); ok {
			if len(reason) < 5 {
				t.Errorf("%s does not apply, and nothing says why", id)
			}
			continue
		}
		applicable++
		if reason, ok := strings.CutPrefix(shown, "no test: "); ok {
			if len(reason) < 20 {
				t.Errorf("%s has no test, and nothing says why", id)
			}
			continue
		}
		tested++
		for name := range strings.SplitSeq(shown, ", ") {
			if len(tests[strings.Trim(name, "`")]) == 0 {
				t.Errorf("%s: there is no test %s", id, name)
			}
		}
	}
	if want := strings.Fields(requirements); !slices.Equal(listed, want) {
		t.Errorf("listed %v, want %v", listed, want)
	}
	if tested*10 < applicable*9 {
		t.Errorf("%d of %d that apply have a test", tested, applicable)
	}
}

// read is a file of the project.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheReplicasAccountReadsAndWritesRowsAndNoMore(t *testing.T) {
	t.Parallel()
	for _, m := range regexp.MustCompile(`GRANT (.+) ON (\S+) TO 'dangri_app'`).FindAllStringSubmatch(read(t, "scripts/deploy/mysql-accounts.sh"), -1) {
		for right := range strings.SplitSeq(m[1], ", ") {
			if !slices.Contains([]string{"SELECT", "INSERT", "UPDATE", "DELETE"}, right) || !strings.HasPrefix(m[2], "dangri.") {
				t.Errorf("the replicas may %s on %s", right, m[2])
			}
		}
	}
	if !strings.Contains(read(t, "scripts/deploy/mysql-accounts.sh"), "'dangri_app'") {
		t.Error("there is no account of the replicas")
	}
}

func TestEachContainerIsHandedItsOwnSecrets(t *testing.T) {
	t.Parallel()
	compose := read(t, "docker-compose.yml")
	for service, wanted := range map[string][]string{
		"migrate": {"mysql_owner_dsn"}, "mysql": {"mysql_root_password", "mysql_owner_password", "mysql_app_password"}, "redis": {"redis_password"}, "proxy": nil,
	} {
		_, of, _ := strings.Cut(compose, "\n  "+service+":\n")
		if end := regexp.MustCompile(`(?m)^ {0,2}\S`).FindStringIndex(of); end != nil {
			of = of[:end[0]]
		}
		list := regexp.MustCompile(`(?m)^    secrets: \[(.+)\]$`).FindStringSubmatch(of)
		var handed []string
		if list != nil {
			handed = strings.Split(list[1], ", ")
		}
		for _, name := range wanted {
			if !slices.Contains(handed, name) {
				t.Errorf("%s is not handed %s", service, name)
			}
		}
		if len(handed) > len(wanted) && service != "migrate" || service != "migrate" && slices.Contains(handed, "mysql_owner_dsn") {
			t.Errorf("%s is handed %v, and needs %v", service, handed, wanted)
		}
	}
	app := regexp.MustCompile(`secrets: &secrets \[(.+)\]`).FindStringSubmatch(compose)
	if app == nil || strings.Contains(app[1], "owner") || strings.Contains(app[1], "root") {
		t.Errorf("the replicas are handed %v", app)
	}
}

func TestTheImageHoldsTheProgramAndNothingOfItsSource(t *testing.T) {
	t.Parallel()
	_, last, ok := strings.Cut(read(t, "Dockerfile"), "\nFROM scratch\n")
	if !ok || strings.Contains(last, "\nFROM ") {
		t.Fatal("the image is not one that begins empty")
	}
	copies := regexp.MustCompile(`(?m)^(?:COPY|ADD) (.+)$`).FindAllStringSubmatch(last, -1)
	for _, m := range copies {
		fields := strings.Fields(m[1])
		from := fields[len(fields)-2]
		if fields[0] != "--from=build" || !slices.Contains([]string{"/etc/ssl/certs/ca-certificates.crt", "/empty", "/dangri"}, from) {
			t.Errorf("the image holds %s", m[1])
		}
	}
	if len(copies) == 0 {
		t.Error("the image holds nothing")
	}
}
