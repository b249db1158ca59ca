//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What one cluster exports another takes in, and exports the same bytes: real data, and counters, of which
// nothing may count twice, although the daemon is killed while it takes them in.
func TestImport(t *testing.T) {
	dir := workDir(t)
	loader := filepath.Join(dir, "debian-loader")
	run(t, "go", "build", "-o", loader, "../../examples/debian-loader")
	a := loopback(t, mkdir(t, dir, "one"), 1)[0]
	b := loopback(t, mkdir(t, dir, "other"), 1)[0]
	a.start()
	run(t, loader, "-addr", "unix:"+a.socket, "-iso", isoCodes, "-packages", "testdata/packages.txt")
	var counters strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&counters, "{\"counter\":\"c%05d\",\"inc\":%d}\n{\"list\":\"l\",\"insert\":[%d]}\n{\"flag\":\"f%d\",\"enable\":true}\n{\"bounded\":\"b%d\",\"inc\":%d}\n",
			i%500, 1+i%7, i, i%100, i%50, 1+i%3)
	}
	lines, file := filepath.Join(dir, "lines.ndjson"), filepath.Join(dir, "export.ndjson")
	if err := os.WriteFile(lines, []byte(counters.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, *binary, "import", "--addr", "unix:"+a.socket, "--quiet", lines)
	export := a.do(200, "GET", ns+"/export", "").body
	if err := os.WriteFile(file, []byte(export), 0o600); err != nil {
		t.Fatal(err)
	}

	b.start()
	cmd := exec.Command(*binary, "import", "--addr", "unix:"+b.socket, file)
	out := &strings.Builder{}
	cmd.Stderr = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "a part was taken in", func() error {
		if r := b.do(200, "GET", "/v1/status", ""); strings.Contains(r.body, `"objects":0,`) {
			return fmt.Errorf("%v", r)
		}
		return nil
	})
	b.kill()
	killed := len(out.String())
	b.start()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%d bytes; before the kill it had told %d bytes; in the end: %s", len(export), killed, lastLine(out.String()))
	if again := b.do(200, "GET", ns+"/export", "").body; again != export {
		t.Errorf("what was taken in exports otherwise:\n%s", firstDifference(export, again))
	}
}

func mkdir(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}
