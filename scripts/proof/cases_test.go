// Package proof holds that what is promised is shown: each case that was
// thought of in advance has a test of its name, and each requirement of the
// security standard has one or a reason.
package proof

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// cases are those that were thought of before the code was: A retries, B the
// code, C windows and clocks, D person and roster, E the activity's state, F
// capacity, G the waiting list, H stores that fail, I reminders, J sessions, K
// who may see what, L hostile input, M privacy and audit.
const cases = `
A1 A2 A3 A4 A5 A7 A8 A10 A11 A13 A14 A16 A17 A19 A20 A22 A23
B1 B2 B3 B5 B6 B8 B9 B11 B12 B14 B15 B17 B18 B20 B21
C1 C3 C4 C6 C7 C9 C10
D1 D2 D4 D5 D7 D8 D10 D11
E2 E3 E5 E6
F1 F2 F3 F4 F6 F7 F9 F10 F12 F13 F15 F16 F18 F19 F21
G1 G2 G4 G5 G7 G8 G10 G11 G13
H2 H3 H5 H6 H8 H9 H11 H12 H14 H15 H17
I1 I2 I3 I4 I6 I7 I9 I10 I12 I13 I15 I16 I18 I19 I21 I22
J1 J2 J4 J5 J7 J8 J10 J11 J13 J14
K1 K2 K3 K5 K6 K8 K9 K11 K12 K14 K15
L1 L3 L4 L6 L7 L9 L10 L12 L13 L15 L16 L18 L19 L21 L22 L24 L25
M1 M2 M4 M5 M7 M8 M10 M11 M13 M14
`

// drilled are the cases that need processes and stores of their own, by the
// drill that shows them.
var drilled = map[string]string{
	"H14": "R8",
	"H17": "R19",
}

// inapplicable are the cases that the product gives no occasion for.
var inapplicable = map[string]string{
	"H12": "there is no read replica: one DSN serves reads and writes",
	"J10": "nobody signs in by a password: WeChat alone says who calls",
	"J11": "nobody signs in by a password: there is no unknown user to tell from a wrong password",
}

func TestEveryCaseHasATestOfItsNameOrAReason(t *testing.T) {
	t.Parallel()
	known := strings.Fields(cases)
	tests := testsByCase(t)
	drills, err := os.ReadFile(filepath.Join(root, "scripts/drill/main.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range known {
		switch {
		case len(tests[id]) > 0 || inapplicable[id] != "":
		case drilled[id] != "":
			if !strings.Contains(string(drills), fmt.Sprintf("{%q,", drilled[id])) {
				t.Errorf("%s is to be shown by drill %s, and there is none", id, drilled[id])
			}
		default:
			t.Errorf("%s has no test: name one Test%s_…", id, id)
		}
		if inapplicable[id] != "" && len(tests[id]) > 0 {
			t.Errorf("%s has a test and a reason to have none: %s", id, tests[id])
		}
	}
	for id, names := range tests {
		if !slices.Contains(known, id) {
			t.Errorf("%s is no case: %s", id, names)
		}
	}
	if len(known) != 150 {
		t.Errorf("%d cases", len(known))
	}
}

var caseIDs = regexp.MustCompile(`^Test((?:[A-M][0-9]+_)+)`)

// testsByCase are the names of the tests by the case that each begins with.
func testsByCase(t *testing.T) map[string][]string {
	t.Helper()
	tests := map[string][]string{}
	for name := range testNames(t) {
		if m := caseIDs.FindStringSubmatch(name); m != nil {
			for _, id := range strings.FieldsFunc(m[1], func(r rune) bool { return r == '_' }) {
				tests[id] = append(tests[id], name)
			}
		}
	}
	return tests
}

// testNames are all tests and fuzz targets of the module, by package folder.
func testNames(t *testing.T) map[string][]string {
	t.Helper()
	names := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && f.Recv == nil && (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz")) {
				names[f.Name.Name] = append(names[f.Name.Name], filepath.Dir(path))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
