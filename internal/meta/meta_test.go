package meta

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/anabranchdb/anabranch"

// root is the folder of go.mod.
const root = "../.."

type pkg struct {
	ImportPath   string
	Dir          string
	Doc          string
	GoFiles      []string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// short is the import path without the module.
func (p pkg) short() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,GoFiles,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var ps []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
	if len(ps) < 10 {
		t.Fatalf("only %d packages found", len(ps))
	}
	return ps
}

// mayImport says which of our packages each one may import. What is not listed may import none.
var mayImport = map[string][]string{
	"crdt/crdttest":          {"crdt", "delta"},
	"delta":                  {"crdt"},
	"store":                  {"crdt", "delta", "internal/invariant"},
	"store/storetest":        {"store"},
	"sync":                   {"crdt", "delta"},
	"sync/p2p":               {"crdt", "delta", "sync", "internal/clusterkey"},
	"http":                   {"crdt", "store"},
	"internal/replica":       {"crdt", "delta", "store", "sync"},
	"internal/sim":           {"crdt", "delta", "store", "sync", "internal/replica"},
	"internal/demo":          {"client", "internal/clusterkey"},
	"internal/app":           {"config", "http", "store", "sync", "sync/p2p", "internal/replica", "internal/clusterkey"},
	"cmd/anabranch":          {"config", "internal/app", "client", "internal/clusterkey", "internal/demo"},
	"examples/debian-loader": {"client"},
}

// TestImportsGoOneWay keeps the layers apart, and each large library in its place.
func TestImportsGoOneWay(t *testing.T) {
	owners := map[string][]string{
		"github.com/libp2p/":                {"sync/p2p"},
		"github.com/spf13/viper":            {"config"},
		"github.com/cockroachdb/pebble/":    {"store"},
		"github.com/ipfs/go-ds-":            {"store"},
		"github.com/vmihailenco/msgpack/":   {"delta", "sync"},
		"github.com/danielgtaylor/huma/":    {"http"},
		"github.com/spf13/cobra":            {"cmd/anabranch"},
		"github.com/RoaringBitmap/roaring/": {"delta"},
	}
	for _, p := range packages(t) {
		for _, i := range p.Imports {
			if ours, ok := strings.CutPrefix(i, module+"/"); ok && !slices.Contains(mayImport[p.short()], ours) {
				t.Errorf("%s must not import %s", p.short(), ours)
			}
			for lib, owner := range owners {
				if strings.HasPrefix(i, lib) && !slices.Contains(owner, p.short()) {
					t.Errorf("%s must not import %s: only %v does", p.short(), i, owner)
				}
			}
		}
	}
}

// TestClientStandsAlone: a program that speaks to a daemon gets the standard library and nothing else.
func TestClientStandsAlone(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./client")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(string(out)); !slices.Equal(got, []string{module + "/client"}) {
		t.Errorf("the client brings along %v", got)
	}
}

// pure packages compute, and do nothing else: time and randomness are arguments.
var pure = []string{"crdt", "delta", "sync"}

// TestPureCore looks for a clock, randomness of its own, goroutines, logs and files in the pure
// packages.
func TestPureCore(t *testing.T) {
	forbidden := []string{"os", "log", "log/slog", "net", "net/http", "context", "crypto/rand", "math/rand", "sync", "testing", "io/fs", "syscall"}
	for _, p := range packages(t) {
		if !slices.Contains(pure, p.short()) {
			continue
		}
		for _, i := range p.Imports {
			// The standard sync is there for pools of buffers, which hold no state that shows.
			if slices.Contains(forbidden, i) && i != "sync" {
				t.Errorf("%s imports %s", p.short(), i)
			}
		}
		for _, name := range p.GoFiles {
			eachNode(t, filepath.Join(p.Dir, name), func(pos token.Position, n ast.Node) {
				if _, ok := n.(*ast.GoStmt); ok {
					t.Errorf("%v: a goroutine", pos)
				}
				if call := selector(n); call == "time.Now" || call == "time.Since" || call == "time.After" || call == "time.NewTimer" {
					t.Errorf("%v: %s: time is an argument", pos, call)
				}
			})
		}
	}
}

// TestOnePackageComment wants a package comment in every package: in doc.go, or in the main.go of
// a command.
func TestOnePackageComment(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("%s has no package comment", p.short())
		}
		if len(p.GoFiles) > 0 && !slices.Contains(p.GoFiles, "doc.go") && !slices.Contains(p.GoFiles, "main.go") {
			t.Errorf("%s has no doc.go", p.short())
		}
	}
}

// TestAliases: the packages that are named like standard ones are renamed where they are
// imported, always in the same way, and the standard ones never are.
func TestAliases(t *testing.T) {
	want := map[string]string{module + "/sync": "peersync", module + "/http": "httpapi", "sync": "", "net/http": ""}
	for _, path := range goFiles(t) {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			alias, ok := want[strings.Trim(i.Path.Value, `"`)]
			if got := ""; ok {
				if i.Name != nil {
					got = i.Name.Name
				}
				if got != alias {
					t.Errorf("%s imports %s as %q, want %q", path, i.Path.Value, got, alias)
				}
			}
		}
	}
}

// TestNoSleep: a test waits for a condition, or owns the clock.
func TestNoSleep(t *testing.T) {
	for _, path := range goFiles(t) {
		if !strings.HasSuffix(path, "_test.go") {
			continue
		}
		eachNode(t, path, func(pos token.Position, n ast.Node) {
			if selector(n) == "time.Sleep" {
				t.Errorf("%v: time.Sleep in a test", pos)
			}
		})
	}
}

// TestNoLooseEnds: what is not finished is absent.
func TestNoLooseEnds(t *testing.T) {
	for _, path := range goFiles(t) {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range f.Comments {
			for _, word := range []string{"TO" + "DO", "FIX" + "ME", "HA" + "CK"} {
				if strings.Contains(g.Text(), word) {
					t.Errorf("%v: %s", fset.Position(g.Pos()), word)
				}
			}
		}
	}
}

func goFiles(t *testing.T) []string {
	t.Helper()
	return files(t, ".go")
}

// files returns the files of the repository with an ending, without what is generated.
func files(t *testing.T, ending string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "dist" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(path, ending) {
			paths = append(paths, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatalf("no %s files found", ending)
	}
	return paths
}

func eachNode(t *testing.T, path string, f func(token.Position, ast.Node)) {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if n != nil {
			f(fset.Position(n.Pos()), n)
		}
		return true
	})
}

// selector returns "pkg.Name" for such an expression.
func selector(n ast.Node) string {
	s, ok := n.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	x, ok := s.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return x.Name + "." + s.Sel.Name
}
