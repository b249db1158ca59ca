package http

import (
	"os"
	"strings"
	"testing"
)

// The manual has every route and every query parameter, and no other route.
func TestManual(t *testing.T) {
	b, err := os.ReadFile("../docs/API.md")
	if err != nil {
		t.Fatal(err)
	}
	manual := string(b)
	known := map[string]bool{}
	for _, rt := range routes() {
		line := rt.method + " " + rt.pattern
		known[line] = true
		if !strings.Contains(manual, "`"+line+"`") && !strings.Contains(manual, "`"+line+"?") {
			t.Errorf("%s is not in the manual", line)
		}
		for _, name := range rt.query {
			if !strings.Contains(manual, "`"+name+"`") && !strings.Contains(manual, name+"=") {
				t.Errorf("the parameter %s is not in the manual", name)
			}
		}
	}
	for line := range strings.SplitSeq(manual, "\n") {
		row, ok := strings.CutPrefix(line, "| `")
		if !ok || !strings.Contains(row, " /") {
			continue
		}
		route, _, _ := strings.Cut(row, "`")
		route, _, _ = strings.Cut(route, "?")
		if !known[route] {
			t.Errorf("%s is in the manual and does not exist", route)
		}
	}
}
