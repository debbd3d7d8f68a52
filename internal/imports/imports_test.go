// Package imports holds the import rules of the design: which package may know
// which, and who may touch the process and the machine.
package imports

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "mailseal"

// pkg is what `go list -json` says of a package of this module.
type pkg struct {
	ImportPath   string
	Dir          string
	GoFiles      []string
	Imports      []string
	Deps         []string
	TestImports  []string
	XTestImports []string
}

// name is the path below the module: "smime/cms".
func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

func (p pkg) allTestImports() []string { return slices.Concat(p.TestImports, p.XTestImports) }

// under reports whether a package is one of the trees or below it.
func under(name string, trees ...string) bool {
	return slices.ContainsFunc(trees, func(t string) bool { return name == t || strings.HasPrefix(name, t+"/") })
}

// ours returns the packages of this module in a list of import paths, as names.
func ours(paths []string) []string {
	var names []string
	for _, p := range paths {
		if rest, ok := strings.CutPrefix(p, module+"/"); ok {
			names = append(names, rest)
		}
	}
	return names
}

func load(t *testing.T) map[string]pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports,Deps,TestImports,XTestImports", module+"/...").Output()
	if err != nil {
		if e := new(exec.ExitError); errors.As(err, &e) {
			t.Fatalf("go list: %v\n%s", err, e.Stderr)
		}
		t.Fatal(err)
	}
	all := map[string]pkg{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.name()] = p
	}
}

// TestLayers holds what may not be reached from where, by whatever way.
func TestLayers(t *testing.T) {
	rules := []struct {
		from   []string
		to     []string
		except []string // of to
	}{
		{from: []string{"milter"}, to: []string{"smime"}},
		{from: []string{"smime"}, to: []string{"milter"}},
		// What a signer says that it reads is in every signature, and chosen from with no mail at hand.
		{from: []string{"smime/cms", "smime/capability"}, to: []string{"internal/message", "smime"}, except: []string{"smime/cms", "smime/capability"}},
		{from: []string{"internal/policy"}, to: []string{"smime", "internal/keystore", "internal/store"}},
		{from: []string{"certmgr"}, to: []string{"milter", "internal/gateway", "internal/policy"}},
		{from: []string{"milter", "internal/gateway", "internal/policy"}, to: []string{"certmgr"}},
		// What only tests and the demo need is in no daemon's way.
		{from: []string{"milter", "smime", "certmgr", "internal/gateway", "internal/config"}, to: []string{"internal/mtarig", "internal/testpki", "test"}},
	}
	packages := load(t)
	for _, r := range rules {
		for name, p := range packages {
			if !under(name, r.from...) {
				continue
			}
			for _, dep := range ours(p.Deps) {
				if under(dep, r.to...) && !under(dep, r.except...) {
					t.Errorf("%s reaches %s; the design forbids that", name, dep)
				}
			}
		}
	}
	for name := range packages {
		if !under(name, "cmd", "milter", "smime", "certmgr", "internal", "test") {
			t.Errorf("%s is in no folder of the design", name)
		}
	}
}

// TestEdges holds who may import a package at all, in tests too.
func TestEdges(t *testing.T) {
	drivers := []string{"database/sql", "modernc.org/sqlite", "github.com/jackc/pgx"}
	for name, p := range load(t) {
		direct, tests := p.Imports, p.allTestImports()
		for _, dep := range ours(slices.Concat(direct, tests)) {
			if under(dep, "cmd") {
				t.Errorf("%s imports %s; nothing imports a command", name, dep)
			}
		}
		for _, dep := range ours(slices.Concat(direct, tests)) {
			if dep == "internal/config" && name != dep && !under(name, "cmd", "test") {
				t.Errorf("%s imports internal/config; only cmd does, and hands on what it has built", name)
			}
		}
		for _, path := range slices.Concat(direct, tests) {
			if under(path, drivers...) && !under(name, "internal/store") {
				t.Errorf("%s imports %s; databases belong to internal/store", name, path)
			}
		}
		// Tests may run programs; the demo runs Postfix.
		if slices.Contains(direct, "os/exec") && !under(name, "cmd", "test", "internal/mtarig", "certmgr/command") {
			t.Errorf("%s imports os/exec; programs are run by certmgr/command", name)
		}
		for _, file := range p.GoFiles {
			if under(name, "cmd") && !strings.HasPrefix(file, "demo") && slices.Contains(importsOf(t, filepath.Join(p.Dir, file)), "os/exec") {
				t.Errorf("%s/%s imports os/exec; programs are run by certmgr/command", name, file)
			}
		}
		for _, path := range []string{"unsafe", "C"} {
			if slices.Contains(direct, path) {
				t.Errorf("%s imports %q", name, path)
			}
		}
	}
}

// importsOf are the paths that a file imports.
func importsOf(t *testing.T, path string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, i := range f.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths
}

// TestPolicyIsPure: policy, and all of ours that it stands on, does not import
// what reaches the machine. What the standard library needs for itself is not
// looked at: fmt has os below it.
func TestPolicyIsPure(t *testing.T) {
	packages := load(t)
	policy, ok := packages["internal/policy"]
	if !ok {
		t.Fatal("no internal/policy")
	}
	for _, name := range append(ours(policy.Deps), policy.name()) {
		for _, path := range packages[name].Imports {
			if path == "os" || path == "net" || under(path, "os", "net/http", "net/smtp") || path == "io/ioutil" {
				t.Errorf("%s imports %s, and policy stands on it", name, path)
			}
		}
	}
}
