package app

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/client"
)

// TestDamagedTable: whoever starts a daemon on a damaged table is told which file it is, in lines of a
// length that can be read.
func TestDamagedTable(t *testing.T) {
	cfg := testConfig(t)
	a, c := startApp(t, cfg)
	if _, err := c.Do(t.Context(), client.Request{Method: "POST", Path: []string{"v1", "ns", "default", "counters", "n"}, Body: []byte(`{"inc":1}`)}); err != nil {
		t.Fatal(err)
	}
	stopApp(t, a, c)
	a, c = startApp(t, cfg) // makes a table of the log
	stopApp(t, a, c)
	tables, err := filepath.Glob(filepath.Join(cfg.DataDir, "pebble", "*.sst"))
	if err != nil || len(tables) != 1 {
		t.Fatalf("tables: %v, %v", tables, err)
	}
	content, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(content) / 2 {
		content[i] ^= 0xff
	}
	if err := os.WriteFile(tables[0], content, 0o600); err != nil {
		t.Fatal(err)
	}

	out := &logs{}
	err = New(cfg, "test", slog.New(slog.NewTextHandler(out, nil))).Start(t.Context())
	if !errors.Is(err, ErrDataDirDamaged) {
		t.Fatalf("got %v", err)
	}
	text := err.Error()
	if strings.Contains(text, "\n") || strings.Count(text, "damaged") != 1 || !strings.Contains(text, "(get: "+tables[0]+": block ") {
		t.Errorf("the error is %q", text)
	}
	told := false
	for line := range strings.Lines(out.buf.String()) {
		told = told || strings.Contains(line, `event=datastore`) && strings.Contains(line, tables[0])
		if len(line) > 400+len(cfg.DataDir) || strings.Contains(line, ".go:") || strings.Contains(line, "namespace=") {
			t.Errorf("logged: %s", line)
		}
	}
	if !told {
		t.Errorf("no line names the table:\n%s", out.buf.String())
	}
}
