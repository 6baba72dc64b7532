// Reference writes api/reference.json: for each operation the doc comment of
// the use case behind it, so that what a programmer reads in the code is what
// a client's author reads in the API documentation.
package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	text, err := write(".")
	if err == nil {
		err = os.WriteFile("api/reference.json", text, 0o644) //nolint:gosec // a source file, readable like the others
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// write makes the reference of the project at root.
func write(root string) ([]byte, error) {
	useCases, err := docs(filepath.Join(root, "service"))
	if err != nil {
		return nil, err
	}
	operations := map[string]string{}
	err = eachFunc(filepath.Join(root, "api"), func(f *ast.FuncDecl) {
		if name := called(f); f.Recv == nil && useCases[name] != "" {
			operations[f.Name.Name] = useCases[name]
		}
	})
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(operations, "", "  ")
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

// called is the first use case that an endpoint's function calls: the
// "CheckIns.Create" of s.CheckIns.Create(…).
func called(f *ast.FuncDecl) (name string) {
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || name != "" {
			return name == ""
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
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return err
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				visit(f)
			}
		}
	}
	return nil
}
