//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// isoCodes is where Debian's iso-codes has its data.
const isoCodes = "/usr/share/iso-codes/json"

// The example loads real data into a: every country, subdivision, language and currency, and a
// sample in the form of a package index. b starts from nothing meanwhile, c afterwards, and both
// end with the same bytes. To load it all once more changes nothing that is visible.
func TestLoadRealData(t *testing.T) {
	if _, err := os.Stat(isoCodes); err != nil {
		t.Fatalf("the data is missing: %v; apt-get install iso-codes", err)
	}
	dir := workDir(t)
	ds := loopback(t, dir, 3)
	a, b, c := ds[0], ds[1], ds[2]
	loader := filepath.Join(dir, "debian-loader")
	run(t, "go", "build", "-o", loader, "../../examples/debian-loader")
	args := []string{"-addr", "unix:" + a.socket, "-iso", isoCodes, "-packages", "testdata/packages.txt"}

	a.start()
	cmd := exec.Command(loader, args...)
	out := &strings.Builder{}
	cmd.Stderr = out
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b.start()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("loaded in %v: %s", time.Since(begin).Round(10*time.Millisecond), lastLine(out.String()))
	_, took := waitConverged(t, ds[:2], 60*time.Second)
	t.Logf("b, started in the middle, converged %v after the end of the load", took.Round(10*time.Millisecond))
	begin = time.Now()
	c.start()
	export, _ := waitConverged(t, ds, 60*time.Second)
	t.Logf("c, started after it, converged %v after its start: %d bytes of export", time.Since(begin).Round(10*time.Millisecond), len(export))

	for _, d := range ds {
		d.knows("iso3166-1/NL", `"name":"Netherlands"`)
		d.knows("iso4217/EUR", `"name":"Euro"`)
		d.knows("iso639-3/nld", `"name":"Dutch"`)
		d.knows("iso3166-2/NL-ZH", `"name":"Zuid-Holland"`)
		d.knows("deb/anabranch-sample:all", `"Depends":["libc6 (>= 2.36)","sample-data (= 1.0-1) | sample-data-legacy"]`)
		d.knows("deb/anabranch-sample:all", `"Description":"a package that does not exist\nits description goes on"`)
	}

	run(t, append([]string{loader}, args...)...)
	if again, _ := waitConverged(t, ds, 60*time.Second); again != export {
		t.Errorf("the second load changed something:\n%s", firstDifference(export, again))
	}
}

// knows demands that a map is there and says this.
func (d *daemon) knows(key, says string) {
	d.t.Helper()
	if r := d.do(200, "GET", esc(ns+"/maps", key), ""); !strings.Contains(r.body, says) {
		d.t.Errorf("%s: %v, want %s", d.name, r, says)
	}
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return strings.TrimSpace(text[strings.LastIndexAny(text, "\r\n")+1:])
}
