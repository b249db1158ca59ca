//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"

	"github.com/anabranchdb/anabranch/internal/netswitch"
)

// wires is a network of hosts, each in a network namespace of its own, whose every frame passes a switch in
// this process. Host i, from 0, has the address 10.78.0.i+1.
type wires struct {
	t      *testing.T
	prefix string
	n      int
	sw     *netswitch.Switch

	mu      sync.Mutex
	cut     map[[2]int]bool              // by the partition
	alone   map[int]bool                 // hosts that are unplugged
	spared  map[int]bool                 // hosts whose links are good, whatever else is said
	quality map[[2]int]netswitch.Quality // of links
}

func newWires(t *testing.T, n int) *wires {
	t.Helper()
	w := &wires{t: t, prefix: fmt.Sprintf("anb%d", os.Getpid()), n: n, alone: map[int]bool{}, spared: map[int]bool{}}
	t.Cleanup(func() { run(t, "../netns.sh", w.prefix, "down") })
	var devices []io.ReadWriteCloser
	for i := range n {
		device := fmt.Sprintf("an%dx%d", os.Getpid()%1_000_000, i)
		tap, err := netswitch.OpenTAP(device)
		if err != nil {
			t.Fatal(err)
		}
		devices = append(devices, tap)
		ns := w.namespace(i)
		run(t, "ip", "netns", "add", ns)
		run(t, "ip", "link", "set", device, "netns", ns, "name", "eth0", "address", net.HardwareAddr(mac(i)).String())
		run(t, "ip", "-n", ns, "addr", "add", fmt.Sprintf("10.78.0.%d/24", i+1), "dev", "eth0")
		run(t, "ip", "-n", ns, "link", "set", "lo", "up")
		run(t, "ip", "-n", ns, "link", "set", "eth0", "up")
		run(t, "ip", "-n", ns, "route", "add", "224.0.0.0/4", "dev", "eth0") // for multicast
	}
	w.sw = netswitch.New(devices, *seed)
	t.Cleanup(func() {
		if err := w.sw.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func mac(i int) []byte {
	a := netswitch.MAC(i)
	return a[:]
}

func (w *wires) namespace(i int) string { return fmt.Sprintf("%s-%d", w.prefix, i+1) }

// partition cuts these directions, and no others.
func (w *wires) partition(cut map[[2]int]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	w.apply()
}

// unplug cuts a host off, or no longer.
func (w *wires) unplug(i int, alone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alone[i] = alone
	w.apply()
}

// spare makes the links of a host good, or as they are.
func (w *wires) spare(i int, spared bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spared[i] = spared
	w.apply()
}

// links changes the quality of these directions, and makes all others good.
func (w *wires) links(q map[[2]int]netswitch.Quality) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.quality = q
	w.apply()
}

func (w *wires) apply() {
	for from := range w.n {
		for to := range w.n {
			way := [2]int{from, to}
			q := w.quality[way]
			q.Cut = w.cut[way]
			if w.spared[from] || w.spared[to] {
				q = netswitch.Quality{}
			}
			q.Cut = q.Cut || w.alone[from] || w.alone[to]
			w.sw.Set(from, to, q)
		}
	}
}
