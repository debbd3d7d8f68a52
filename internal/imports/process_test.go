package imports

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// process lists what only a command may do: end the process, read its
// environment and arguments, print. Others return errors, take values and log
// to the logger that they were given.
var process = map[string][]string{
	"os":  {"Exit", "Getenv", "LookupEnv", "Environ", "ExpandEnv", "Args", "Stdin", "Stdout", "Stderr"},
	"fmt": {"Print", "Printf", "Println"},
	"log": {"Print", "Printf", "Println", "Fatal", "Fatalf", "Fatalln", "Panic", "Panicf", "Panicln"},
	"log/slog": {
		"Debug", "Info", "Warn", "Error", "Log", "LogAttrs", "SetDefault",
		"DebugContext", "InfoContext", "WarnContext", "ErrorContext",
	},
}

func TestOnlyCommandsTouchTheProcess(t *testing.T) {
	for name, p := range load(t) {
		if under(name, "cmd", "test") {
			continue
		}
		for _, file := range p.GoFiles {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, file), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range uses(f) {
				at := fset.Position(u.pos)
				t.Errorf("%s/%s:%d: %s; only cmd does that", name, file, at.Line, u.what)
			}
		}
	}
}

type use struct {
	what string
	pos  token.Pos
}

// uses finds what process forbids, and the builtins print and println.
func uses(f *ast.File) []use {
	packages := map[string]string{} // by the name that the file gives them
	for _, i := range f.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil || process[path] == nil {
			continue
		}
		name := path[strings.LastIndex(path, "/")+1:]
		if i.Name != nil {
			name = i.Name.Name
		}
		packages[name] = path
	}
	var found []use
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok {
				return true
			}
			path := packages[x.Name]
			for _, forbidden := range process[path] {
				if n.Sel.Name == forbidden {
					found = append(found, use{path + "." + forbidden, n.Pos()})
				}
			}
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "print" || id.Name == "println") {
				found = append(found, use{id.Name, n.Pos()})
			}
		}
		return true
	})
	return found
}

func TestUses(t *testing.T) {
	const src = `package p
import ("os"; f "fmt"; l "log/slog")
func g(logger *l.Logger) {
	f.Println(os.Args, f.Sprint()); l.Info("x"); logger.Info("x"); println()
	os.Remove("x")
}`
	f, err := parser.ParseFile(token.NewFileSet(), "p.go", src, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range uses(f) {
		got = append(got, u.what)
	}
	const want = "[fmt.Println os.Args log/slog.Info println]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}
