package app

import (
	"net/http"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/store"
)

// TestAcceptLoss: a damaged namespace without a peer answers nothing until the operator says so.
func TestAcceptLoss(t *testing.T) {
	cfg := testConfig(t)
	cfg.Namespaces = []string{"orders"}
	d := startDaemon(t, cfg)
	d.must("POST", "v1/ns/default/counters/n", `{"inc":5}`)
	d.must("POST", "v1/ns/orders/counters/n", `{"inc":7}`)
	d.disk.flip(t, "n1")
	unavailable := func(d *daemon) bool {
		_, status := d.do("GET", "v1/ns/default/counters/n", "")
		return status == http.StatusServiceUnavailable
	}
	if !unavailable(d) {
		t.Error("damage was answered")
	}
	d.stop()
	d = startDaemon(t, cfg)
	if !unavailable(d) {
		t.Error("it answers after a restart")
	}
	if s := d.must("GET", "v1/ns/default/sync", ""); !strings.Contains(s, `"converged":false,"unavailable":"`) || !strings.Contains(s, "--accept-loss") {
		t.Errorf("sync: %s", s)
	}
	if s := d.must("GET", "v1/ns/orders/sync", ""); !strings.Contains(s, `"converged":true`) {
		t.Errorf("sync of the other namespace: %s", s)
	}
	if s := d.must("GET", "v1/status", ""); strings.Count(s, `"unavailable":"`) != 1 || !strings.Contains(s, `"objects":1`) {
		t.Errorf("status: %s", s)
	}
	d.stop()
	cfg.AcceptLoss = []string{store.Default, "orders", "unknown"}
	d = startDaemon(t, cfg)
	if _, status := d.do("GET", "v1/ns/default/counters/n", ""); status != http.StatusNotFound {
		t.Errorf("the loss is accepted: %d", status)
	}
	d.must("POST", "v1/ns/default/counters/n", `{"inc":1}`)
	d.stop()
	d = startDaemon(t, cfg) // says nothing that was not said before
	defer d.stop()
	for path, want := range map[string]string{"v1/ns/default/counters/n": `"value":1`, "v1/ns/orders/counters/n": `"value":7`} {
		if got := d.must("GET", path, ""); !strings.Contains(got, want) {
			t.Errorf("%s: %s", path, got)
		}
	}
}
