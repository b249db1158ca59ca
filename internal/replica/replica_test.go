package replica

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
	"github.com/anabranchdb/anabranch/store"
	peersync "github.com/anabranchdb/anabranch/sync"
)

// daemon is a store in a directory, without a network.
type daemon struct {
	t     *testing.T
	dir   string
	store *store.Store
	ns    *store.Namespace
}

func (d *daemon) start() {
	opts := store.DefaultOptions(d.dir)
	opts.FreeBytes = func(string) (uint64, error) { return 1 << 40, nil }
	s, err := store.Open(opts)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { s.Close() })
	d.store = s
	if d.ns, err = s.Namespace(store.Default); err != nil {
		d.t.Fatal(err)
	}
}

func (d *daemon) write(n int) {
	for i := range n {
		_, err := d.ns.Commit(d.t.Context(), func(tx *store.Tx) error {
			path := crdt.Object(crdt.Register, fmt.Sprint("r", i)).Leaf(crdt.Register)
			return tx.Assign(path, bytes.Repeat([]byte("1"), 100), nil)
		})
		if err != nil {
			d.t.Fatal(err)
		}
	}
}

// pull runs one session and calls look after each message.
func (d *daemon) pull(p *peersync.PullSession, cfg peersync.Config, from *daemon, look func()) {
	serve := peersync.NewServe(cfg, func() (peersync.Source, error) { return New(from.ns).Source(d.t.Context()) })
	defer serve.Close()
	up, err := p.Start()
	for done := false; err == nil && !done && len(up) > 0; {
		var down [][]byte
		if down, _, err = serve.Handle(up[0]); err != nil {
			break
		}
		up = up[1:]
		for _, m := range down {
			var out [][]byte
			if out, done, err = p.Handle(m); err != nil {
				break
			}
			up = append(up, out...)
			look()
		}
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// runAt returns the run that issued a seq.
func runAt(runs []delta.Run, seq uint64) (at delta.Run) {
	for _, r := range runs {
		if r.First <= seq {
			at = r
		}
	}
	return at
}

// TestLogOfSeveralRuns: a member that was away while another one wrote, restarted and wrote again
// takes the log in pieces. Whatever it has got to, it knows the last seq from the run that issued it:
// another claim would prove a fork to its origin. So does who takes the log from that member.
func TestLogOfSeveralRuns(t *testing.T) {
	a, b, c := &daemon{t: t, dir: t.TempDir()}, &daemon{t: t, dir: t.TempDir()}, &daemon{t: t, dir: t.TempDir()}
	for _, d := range []*daemon{a, b, c} {
		d.start()
	}
	cfg := peersync.DefaultConfig()
	cfg.ChunkBytes, cfg.Window = 500, 2
	seen := map[delta.Run]bool{}
	id := a.ns.Replica()
	look := func(d *daemon) func() {
		return func() {
			st, want := d.ns.Status(), runAt(a.ns.Status().OwnRuns, d.ns.Clock()[id])
			if got := st.Runs[id]; got != want {
				t.Fatalf("%d of the origin is known from run %v, it is of %v", st.Clock[id], got, want)
			}
			seen[want] = true
		}
	}
	pullAll := func(to, from *daemon) {
		to.pull(peersync.NewPull(cfg, New(to.ns).Sink(t.Context())), cfg, from, look(to))
	}
	a.write(1)
	pullAll(b, a)
	pullAll(c, a)
	var middle uint64 // the first seq of a run that was not the last
	for range 3 {
		a.write(30)
		middle, a.store = runAt(a.ns.Status().OwnRuns, a.ns.Clock()[id]-30).First, restart(a)
	}
	a.write(1)
	for _, p := range [][2]*daemon{{b, a}, {c, b}} {
		clear(seen)
		pullAll(p[0], p[1])
		if len(seen) < 4 || p[0].ns.Clock()[id] != a.ns.Clock()[id] {
			t.Errorf("it stopped in %d runs on its way to %v", len(seen), p[0].ns.Clock())
		}
	}
	for _, from := range []*daemon{a, b, c} {
		src, err := from.ns.Source(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		u, ok, err := src.Unit(id, middle)
		if err != nil || !ok || u.Run != runAt(a.ns.Status().OwnRuns, middle) || src.Close() != nil {
			t.Errorf("unit %d: of run %v, %v %v", middle, u.Run, ok, err)
		}
	}
}

func restart(d *daemon) *store.Store {
	if err := d.store.Close(); err != nil {
		d.t.Fatal(err)
	}
	d.start()
	return d.store
}
