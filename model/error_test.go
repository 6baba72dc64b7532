package model

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
)

// refusal is an Error as it stands in the source.
type refusal struct{ at, code, message, kind string }

// refusalsIn is every Error that is written out in the packages.
func refusalsIn(t *testing.T, folders ...string) []refusal {
	t.Helper()
	var all []refusal
	for _, folder := range folders {
		paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				literal, ok := n.(*ast.CompositeLit)
				if !ok || !isErrorType(literal.Type) {
					return true
				}
				r := refusal{at: files.Position(n.Pos()).String()}
				for _, e := range literal.Elts {
					field, ok := e.(*ast.KeyValueExpr)
					if !ok {
						t.Errorf("%s: a refusal without names of its fields", r.at)
						continue
					}
					switch value := field.Value.(type) {
					case *ast.BasicLit:
						text, _ := strconv.Unquote(value.Value)
						if name(field.Key) == "Code" {
							r.code = text
						} else if name(field.Key) == "Message" {
							r.message = text
						}
					default:
						if name(field.Key) == "Kind" {
							r.kind = name(value)
						}
					}
				}
				all = append(all, r)
				return true
			})
		}
	}
	return all
}

func isErrorType(e ast.Expr) bool {
	if s, ok := e.(*ast.SelectorExpr); ok {
		return name(s.X) == "model" && s.Sel.Name == "Error"
	}
	return name(e) == "Error"
}

func name(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

func TestEveryRefusalHasACodeOfItsOwnAndASentenceForPeople(t *testing.T) {
	all := refusalsIn(t, ".", "../service", "../api")
	if len(all) < 50 {
		t.Fatalf("only %d refusals found: the search is blind", len(all))
	}
	machine := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	first := map[string]string{}
	for _, r := range all {
		if !machine.MatchString(r.code) || len(r.code) > 32 {
			t.Errorf("%s: code %q is not of the form some_words, up to 32 characters", r.at, r.code)
		}
		if first[r.code] != "" {
			t.Errorf("%s: code %q is already that of %s", r.at, r.code, first[r.code])
		}
		first[r.code] = r.at
		// Some sentences are put together, and BadField is handed its own.
		if r.message != "" && (!strings.ContainsFunc(r.message, func(c rune) bool { return unicode.Is(unicode.Han, c) }) || strings.HasSuffix(r.message, "。")) {
			t.Errorf("%s: %q is no sentence of the house", r.at, r.message)
		}
		if r.kind == "" && r.code != "fault" { // the answer to a fault is no refusal
			t.Errorf("%s: a refusal of no kind", r.at)
		}
	}
}

func TestARefusalIsTheSameWhateverItsDetails(t *testing.T) {
	detailed := ErrNotOpenYet.With("opens_at", "14:00").With("late_at", "14:10").After(time.Minute)
	for _, err := range []error{ErrNotOpenYet, detailed, fmt.Errorf("check in: %w", detailed)} {
		if !errors.Is(err, ErrNotOpenYet) || errors.Is(err, ErrCheckInClosed) {
			t.Errorf("%v is not recognised", err)
		}
	}
	if !errors.Is(ErrNotOpenYet, detailed) {
		t.Error("the plain refusal is not the detailed one")
	}
	if errors.Is(detailed, errors.New("not_open_yet")) {
		t.Error("a stranger with the same text is taken for the refusal")
	}
	want := map[string]any{"opens_at": "14:00", "late_at": "14:10"}
	if !maps.Equal(detailed.Details, want) || detailed.RetryAfter != time.Minute || detailed.Kind != Conflict || detailed.Message != ErrNotOpenYet.Message {
		t.Errorf("got %+v", detailed)
	}
	if ErrNotOpenYet.Details != nil || ErrNotOpenYet.RetryAfter != 0 {
		t.Errorf("the refusal of everybody was changed: %+v", ErrNotOpenYet)
	}
	once := ErrNotOpenYet.With("opens_at", "14:00")
	_ = once.With("late_at", "14:10")
	if len(once.Details) != 1 {
		t.Error("a detail reached a refusal that was already given out")
	}
}

func TestABadFieldIsNamed(t *testing.T) {
	err := BadField("title", "标题太长")
	var refused *Error
	if !errors.As(err, &refused) || refused.Kind != Invalid || refused.Message != "标题太长" || refused.Details["field"] != "title" {
		t.Errorf("got %+v", err)
	}
}

// Every value of these types has a word for people.
func TestEveryValueHasItsWord(t *testing.T) {
	files := token.NewFileSet()
	values := map[string][]string{}
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			group, ok := d.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, s := range group.Specs {
				value, ok := s.(*ast.ValueSpec)
				if !ok || len(value.Values) != 1 {
					continue
				}
				if literal, ok := value.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
					text, _ := strconv.Unquote(literal.Value)
					values[name(value.Type)] = append(values[name(value.Type)], text)
				}
			}
		}
	}
	words := map[string]any{
		"ActivityKind": ActivityKindNames, "ActivityStatus": ActivityStatusNames, "AttendanceStatus": AttendanceStatusNames,
		"Provenance": ProvenanceNames, "Exemption": ExemptionNames, "MemberStatus": MemberStatusNames, "PostKind": PostKindNames,
		"OrganisationKind": OrganisationKindNames, "UnitKind": UnitKindNames,
	}
	for kind, table := range words {
		var named []string
		for _, key := range reflect.ValueOf(table).MapKeys() {
			named = append(named, key.String())
		}
		want := slices.DeleteFunc(slices.Clone(values[kind]), func(v string) bool { return v == "" })
		slices.Sort(named)
		slices.Sort(want)
		if len(want) == 0 || !slices.Equal(named, want) {
			t.Errorf("%s: words for %v, values %v", kind, named, want)
		}
	}
}
