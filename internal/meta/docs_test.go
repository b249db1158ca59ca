package meta

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/config"
	httpapi "github.com/anabranchdb/anabranch/http"
	"github.com/spf13/pflag"
)

// documents that every newcomer looks for.
var documents = []string{
	"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE",
	"docs/API.md", "docs/tutorial.md", "docs/semantics.md", "docs/glossary.md", "docs/protocol.md", "docs/operations.md", "docs/decisions",
	"store/DESIGN.md", "sync/DESIGN.md",
}

func TestDocumentsAreThere(t *testing.T) {
	for _, d := range documents {
		if s, err := os.Stat(filepath.Join(root, d)); err != nil || (!s.IsDir() && s.Size() < 400) {
			t.Errorf("%s is missing or empty: %v", d, err)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks follows every relative link of every document.
func TestLinks(t *testing.T) {
	for _, path := range files(t, ".md") {
		text := read(t, path)
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			u, err := url.Parse(m[1])
			if err != nil {
				t.Errorf("%s: %q: %v", path, m[1], err)
				continue
			}
			if u.IsAbs() || u.Path == "" {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), filepath.FromSlash(u.Path))); err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
			}
		}
	}
}

// TestEveryFlagIsDocumented: the operations guide names every setting.
func TestEveryFlagIsDocumented(t *testing.T) {
	text := read(t, filepath.Join(root, "docs/operations.md"))
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	config.AddFlags(fs)
	n := 0
	fs.VisitAll(func(f *pflag.Flag) {
		n++
		if !strings.Contains(text, "--"+f.Name) {
			t.Errorf("docs/operations.md does not name --%s", f.Name)
		}
	})
	if n == 0 {
		t.Fatal("no flags found")
	}
}

// TestEveryRouteIsDocumented: the API document names every operation of the OpenAPI description,
// and no other.
func TestEveryRouteIsDocumented(t *testing.T) {
	w := httptest.NewRecorder()
	httpapi.New(httpapi.Options{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost/openapi.json", nil))
	var api struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &api); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	if len(api.Paths) == 0 {
		t.Fatal("the description has no paths")
	}
	text := read(t, filepath.Join(root, "docs/API.md"))
	described := map[string]bool{}
	for path, methods := range api.Paths {
		for method := range methods {
			line := strings.ToUpper(method) + " " + path
			described[line] = true
			if !strings.Contains(text, "`"+line+"`") {
				t.Errorf("docs/API.md does not name `%s`", line)
			}
		}
	}
	for _, m := range regexp.MustCompile("`((?:GET|PUT|POST|PATCH|DELETE) /[^`\\s]*)`").FindAllStringSubmatch(text, -1) {
		if !described[m[1]] {
			t.Errorf("docs/API.md names `%s`, which is not there", m[1])
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
