// Reference writes what a client's author reads in the API documentation as a
// programmer reads it in the code: to api/reference.json, for each operation,
// the doc comment of the use case behind it; to api/refusals.json every refusal
// with its sentence.
package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func main() {
	for file, write := range files {
		text, err := write(".")
		if err == nil {
			err = os.WriteFile(file, text, 0o644) //nolint:gosec // a source file, readable like the others
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// files are what is written, each from the project at a root.
var files = map[string]func(root string) ([]byte, error){"api/reference.json": operations, "api/refusals.json": refusals}

// operations is the doc comment of each operation's use case.
func operations(root string) ([]byte, error) {
	useCases, err := docs(filepath.Join(root, "service"))
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	err = eachFunc(filepath.Join(root, "api"), func(f *ast.FuncDecl) {
		if name := called(f); f.Recv == nil && useCases[name] != "" {
			all[f.Name.Name] = useCases[name]
		}
	})
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(all, "", "  ")
	return append(text, '\n'), err
}

// refusal is a model.Error as it stands in the source. Where the sentence is
// put together for the occasion there is none.
type refusal struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// refusals is every refusal that the code knows, by code.
func refusals(root string) ([]byte, error) {
	all := []refusal{}
	for _, folder := range []string{"model", "service", "api"} {
		err := eachFile(filepath.Join(root, folder), func(file *ast.File) {
			ast.Inspect(file, func(n ast.Node) bool {
				literal, ok := n.(*ast.CompositeLit)
				if !ok || literal.Type == nil || strings.TrimPrefix(types.ExprString(literal.Type), "model.") != "Error" {
					return true
				}
				fields := map[string]string{}
				for _, e := range literal.Elts {
					if field, ok := e.(*ast.KeyValueExpr); ok {
						fields[types.ExprString(field.Key)], _ = strconv.Unquote(types.ExprString(field.Value)) // "" where it is no literal
					}
				}
				all = append(all, refusal{fields["Code"], fields["Message"]})
				return true
			})
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b refusal) int { return strings.Compare(a.Code, b.Code) })
	text, err := json.MarshalIndent(all, "", "  ")
	return append(text, '\n'), err
}

// docs is the doc comment of each exported method, such as "CheckIns.Create".
func docs(folder string) (map[string]string, error) {
	out := map[string]string{}
	err := eachFunc(folder, func(f *ast.FuncDecl) {
		if f.Recv == nil || !f.Name.IsExported() {
			return
		}
		if star, ok := f.Recv.List[0].Type.(*ast.StarExpr); ok {
			out[fmt.Sprint(star.X, ".", f.Name.Name)] = strings.Join(strings.Fields(f.Doc.Text()), " ")
		}
	})
	return out, err
}

// called is the last use case that an endpoint's function calls, whose answer it
// gives: the "CheckIns.Create" of s.CheckIns.Create(…).
func called(f *ast.FuncDecl) (name string) {
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		field, ok := method.X.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if root, ok := field.X.(*ast.Ident); ok && root.Name == "s" {
			name = field.Sel.Name + "." + method.Sel.Name
		}
		return true
	})
	return name
}

func eachFunc(folder string, visit func(*ast.FuncDecl)) error {
	return eachFile(folder, func(file *ast.File) {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				visit(f)
			}
		}
	})
}

func eachFile(folder string, visit func(*ast.File)) error {
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		visit(file)
	}
	return nil
}
