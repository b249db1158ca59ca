package http

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// provocations has for every type of problem a request that leads to it, at a daemon of its own.
var provocations = map[string]func(d *daemon) result{
	"bad-request": func(d *daemon) result { return d.do("GET", ns+"/keys?bogus=1", "") },
	"bad-context": func(d *daemon) result {
		return d.do("GET", ns+"/registers/r", "", contextHeader+": "+encodeToken("other", nil))
	},
	"bad-cursor":          func(d *daemon) result { return d.do("GET", ns+"/keys?cursor=x", "") },
	"forbidden":           func(d *daemon) result { return d.do("GET", "/v1/status", "", "Host: evil.example") },
	"not-found":           func(d *daemon) result { return d.do("GET", ns+"/registers/r", "") },
	"namespace-not-found": func(d *daemon) result { return d.do("GET", "/v1/ns/nope/keys", "") },
	"method-not-allowed":  func(d *daemon) result { return d.do("POST", ns+"/registers/r", `1`) },
	"not-acceptable":      func(d *daemon) result { return d.do("GET", ns+"/keys", "", "Accept: text/html") },
	"insufficient-rights": func(d *daemon) result { return d.do("POST", ns+"/bounded/b", `{"inc":-1}`) },
	"cursor-expired": func(d *daemon) result {
		c := d.poll("timeout=0s")
		d.replace(store.MemoryOptions()) // a copy that begins anew
		return d.do("GET", ns+"/changes?since="+c.Cursor, "")
	},
	"precondition-failed":    func(d *daemon) result { return d.do("PUT", ns+"/registers/r", `1`, "If-Match: *") },
	"too-large":              func(d *daemon) result { return d.do("GET", ns+"/sets/"+strings.Repeat("x", 1025), "") },
	"unsupported-media-type": func(d *daemon) result { return d.do("PUT", ns+"/registers/r", `1`, "Content-Type: text/plain") },
	"idempotency-in-progress": func(d *daemon) result {
		if _, err := d.h.running.claim(store.Default, "i:k1"); err != nil {
			d.t.Fatal(err)
		}
		return d.do("POST", ns+"/counters/c", `{"inc":1}`, key)
	},
	"idempotency-key-reused": func(d *daemon) result {
		d.do("POST", ns+"/counters/c", `{"inc":1}`, key).ok(200)
		return d.do("POST", ns+"/counters/c", `{"inc":2}`, key)
	},
	"overflow": func(d *daemon) result {
		d.do("POST", ns+"/counters/c", `{"inc":"9223372036854775807"}`).ok(200)
		return d.do("POST", ns+"/counters/c", `{"inc":1}`)
	},
	"wrong-type-op": func(d *daemon) result { return d.do("POST", ns+"/batch", `{"ops":[{"counter":"c","add":["x"]}]}`) },
	"rate-limited": func(d *daemon) result {
		d.h.feeds.Add(maxFeeds)
		return d.do("GET", ns+"/changes?timeout=0s", "")
	},
	"internal": func(d *daemon) result {
		d.h.Attach(broken{}, nil)
		return d.do("GET", ns+"/keys", "")
	},
	"not-yet-visible": func(d *daemon) result {
		return d.do("GET", ns+"/keys", "", contextHeader+": "+encodeToken(store.Default, crdt.VersionVector{7: 3}))
	},
	"shutting-down": func(d *daemon) result {
		d.h.Drain()
		return d.do("GET", ns+"/keys", "")
	},
	"store-busy": func(d *daemon) result {
		d.h.backend.Store(nil) // as it is until the store is open
		return d.do("GET", ns+"/keys", "")
	},
	"disk-full": func(d *daemon) result {
		opts := store.DefaultOptions(d.t.TempDir())
		opts.FreeBytes = func(string) (uint64, error) { return opts.ReserveBytes - 1, nil }
		d.replace(opts)
		return d.do("PUT", ns+"/registers/r", `1`)
	},
}

// replace gives the daemon another store, until the test ends.
func (d *daemon) replace(opts store.Options) {
	d.t.Helper()
	s, err := store.Open(opts)
	if err != nil {
		d.t.Fatal(err)
	}
	d.h.Attach(Adapt(s), nil)
	d.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			d.t.Error(err)
		}
	})
}

// The table of the manual has every type of problem that the code has, with its status, and each of
// them can be provoked.
func TestProblemTable(t *testing.T) {
	manual, err := os.ReadFile("../docs/API.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]int{}
	for _, row := range regexp.MustCompile("(?m)^\\| (\\d{3}) \\| `([a-z-]+)` \\|").FindAllStringSubmatch(string(manual), -1) {
		documented[row[2]], _ = strconv.Atoi(row[1])
	}
	if kinds := kindsOfTheCode(t); !maps.Equal(documented, kinds) || len(kinds) == 0 {
		t.Errorf("the manual has %v\nthe code has %v", documented, kinds)
	}
	for _, name := range slices.Sorted(maps.Keys(documented)) {
		t.Run(name, func(t *testing.T) {
			provoke, ok := provocations[name]
			if !ok {
				t.Fatal("nothing provokes it")
			}
			r := provoke(newDaemon(t))
			r.t = t
			p := r.problem(kind{name: name, status: documented[name]})
			if (name == "too-large") != (p.Limit > 0) || (name == "not-yet-visible") != (p.Missing > 0) {
				t.Error(r.body)
			}
			if again := r.header.Get("Retry-After"); (r.status == 503 || r.status == 429 || name == "idempotency-in-progress") != (again != "") {
				t.Errorf("Retry-After: %q", again)
			}
		})
	}
	for name := range provocations {
		if documented[name] == 0 {
			t.Errorf("%s is no type of the manual", name)
		}
	}
}

// kindsOfTheCode finds the values of type kind in the sources of this package.
func kindsOfTheCode(t *testing.T) map[string]int {
	t.Helper()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if typ, ok := lit.Type.(*ast.Ident); ok && typ.Name == "kind" && len(lit.Elts) >= 2 {
				name, _ := strconv.Unquote(lit.Elts[0].(*ast.BasicLit).Value)
				kinds[name], _ = strconv.Atoi(lit.Elts[1].(*ast.BasicLit).Value)
			}
			return true
		})
	}
	return kinds
}
