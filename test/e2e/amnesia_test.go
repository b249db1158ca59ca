//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// forgetful is a pair of daemons, the first of which is about to get an old directory back.
//
//	before  +100 and "before"    copied, and known to b
//	lost    +20  and "lost"      written after the copy was made, and known to b
//	alone   +3   and "alone"     written on the copy, before it meets b again
type forgetful struct {
	a, b *daemon
	copy string // of a's directory, from after "before"
}

func newForgetful(t *testing.T) forgetful {
	t.Helper()
	dir := workDir(t)
	ds := loopback(t, dir, 2)
	f := forgetful{a: ds[0], b: ds[1], copy: filepath.Join(dir, "copy")}
	startAll(ds)
	f.write("before", 100)
	f.b.inc("visits", 1000)
	waitConverged(t, ds, 20*time.Second)
	f.a.stop()
	run(t, "cp", "-a", f.a.dir, f.copy)
	f.a.start()
	f.write("lost", 20)
	waitConverged(t, ds, 20*time.Second)
	f.a.stop()
	f.b.stop()
	return f
}

// write changes something of every type on a.
func (f forgetful) write(round string, amount int) {
	f.a.inc("visits", amount)
	f.a.add("seen", round)
	f.a.put("last", round)
	f.a.do(200, "PATCH", ns+"/maps/m", fmt.Sprintf(`{"ops":[{"path":["visits"],"inc":%d},{"path":["seen"],"add":[%q]},{"path":["at",%[2]q],"value":1}]}`, amount, round))
}

// complete demands that these hold all three rounds, each once. They do not say that they have
// converged: b also waits for the peer that a was before.
func (f forgetful) complete(t *testing.T, ds ...*daemon) {
	t.Helper()
	waitEqual(t, ds[0], ds[1])
	for _, d := range ds {
		if got := d.counter("visits"); got != 1123 {
			t.Errorf("%s: visits is %d, want 1123", d.name, got)
		}
		if got := d.members("seen"); len(got) != 3 || !got["before"] || !got["lost"] || !got["alone"] {
			t.Errorf("%s: seen is %v", d.name, got)
		}
		var m struct {
			Value struct {
				Visits int
				Seen   []string
				At     map[string]int
			}
		}
		if err := d.get(&m, ns+"/maps/m"); err != nil || m.Value.Visits != 123 || len(m.Value.Seen) != 3 || len(m.Value.At) != 3 {
			t.Errorf("%s: m is %+v, %v", d.name, m, err)
		}
		// The copy overwrote what it knew, "before"; "lost" it never saw.
		if v := d.values("last"); len(v) != 2 || !strings.Contains(strings.Join(v, ""), "lost") || !strings.Contains(strings.Join(v, ""), "alone") {
			t.Errorf("%s: last is %v", d.name, v)
		}
	}
}

// A copy that was made of a directory is put in its place, writes alone, and meets the other.
func TestCopyPutBack(t *testing.T) {
	for name, back := range map[string]func(t *testing.T, f forgetful){
		"as a renamed directory": func(t *testing.T, f forgetful) {
			run(t, "mv", f.a.dir, f.a.dir+".away")
			run(t, "mv", f.copy, f.a.dir)
		},
		"as contents in place": func(t *testing.T, f forgetful) {
			run(t, "find", f.a.dir, "-mindepth", "1", "-delete")
			run(t, "cp", "-a", f.copy+"/.", f.a.dir)
		},
		"as contents over those that are there": func(t *testing.T, f forgetful) {
			run(t, "rm", "-r", f.a.dir+"/pebble")
			run(t, "cp", "-a", f.copy+"/.", f.a.dir)
		},
		"by tar": func(t *testing.T, f forgetful) {
			run(t, "tar", "-C", f.copy, "-cf", f.copy+".tar", ".")
			run(t, "find", f.a.dir, "-mindepth", "1", "-delete")
			run(t, "tar", "-C", f.a.dir, "-xf", f.copy+".tar")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newForgetful(t)
			f.a.start()
			replica, peer := f.a.identity()
			f.a.stop()
			back(t, f)
			f.a.start()
			if r, p := f.a.identity(); r == replica || p == peer {
				t.Errorf("the copy goes by the ids of the original: replica %s and %s, peer %s and %s", replica, r, peer, p)
			}
			if got := f.a.counter("visits"); got != 1100 {
				t.Errorf("the copy has visits %d, want 1100", got)
			}
			f.write("alone", 3)
			f.b.start()
			f.complete(t, f.a, f.b)
			replica, peer = f.a.identity()
			f.a.stop()
			f.a.start()
			if r, p := f.a.identity(); r != replica || p != peer {
				t.Errorf("a plain restart changed ids: replica %s and %s, peer %s and %s", replica, r, peer, p)
			}
			f.complete(t, f.a, f.b)
		})
	}
}

// A copy runs beside the original, as when a machine was cloned: three daemons, then.
func TestCopyRunsBesideOriginal(t *testing.T) {
	dir := workDir(t)
	ds := loopback(t, dir, 3)
	a, b, clone := ds[0], ds[1], ds[2]
	startAll(ds[:2])
	a.inc("visits", 100)
	waitEqual(t, a, b)
	a.stop()
	run(t, "cp", "-a", a.dir, clone.dir)
	startAll([]*daemon{a, clone})
	waitConnected(t, ds, 20*time.Second)
	ids := map[string]bool{}
	for i, d := range ds {
		d.inc("visits", i+1)
		d.add("seen", d.name)
		r, p := d.identity()
		ids[r], ids[p] = true, true
	}
	if len(ids) != 6 {
		t.Errorf("ids are shared: %v", ids)
	}
	waitConverged(t, ds, 20*time.Second)
	for _, d := range ds {
		if got := d.counter("visits"); got != 106 || len(d.members("seen")) != 3 {
			t.Errorf("%s: visits is %d, want 106; seen is %v", d.name, got, d.members("seen"))
		}
	}
}

// waitEqual waits until two daemons export the same: where one of them knows a third that is away,
// neither says that it has converged.
func waitEqual(t *testing.T, a, b *daemon) {
	t.Helper()
	eventually(t, 20*time.Second, "the same export", func() error {
		if ea, eb := a.export("default"), b.export("default"); ea != eb || ea == "" {
			return fmt.Errorf("exports differ:\n%s", firstDifference(ea, eb))
		}
		return nil
	})
}

// An image is rolled back under a daemon: everything that tells a copy is as it was, and it writes alone
// in two runs. The peer proves the fork; the daemon begins anew under a fresh id, and both histories
// are everywhere, each once.
func TestRolledBackImage(t *testing.T) {
	f := newForgetful(t)
	run(t, "rm", "-r", f.a.dir+"/pebble")
	run(t, "cp", "-a", f.copy+"/pebble", f.a.dir)
	f.a.start()
	former, peer := f.a.identity()
	f.a.add("seen", "alone")
	f.a.stop()
	f.a.start()
	f.write("alone", 3)
	if r, p := f.a.identity(); r != former || p != peer {
		t.Fatalf("the image was taken for a copy: replica %s and %s, peer %s and %s", r, former, p, peer)
	}
	from := len(f.a.logText(0))
	f.b.start()
	took := eventually(t, 20*time.Second, "a fork that was healed", func() error {
		for _, want := range []string{"alarm=fork", "event=healed"} {
			if !strings.Contains(f.a.logText(from), want) {
				return fmt.Errorf("the log has no %s:\n%s", want, tail(f.a.logText(from), 5))
			}
		}
		return nil
	})
	t.Logf("healed %v after the start of the peer: %s", took.Round(time.Millisecond), tail(f.a.logText(from), 1))
	if r, p := f.a.identity(); r == former || p != peer {
		t.Errorf("after the healing: replica %s, formerly %s; peer %s and %s", r, former, p, peer)
	}
	f.complete(t, f.a, f.b)
	if s, err := f.a.sync("default"); err != nil || s.Halted != "" {
		t.Errorf("the sync status: %s, %v", quote(s), err)
	}
	f.a.inc("visits", 5)
	f.b.inc("visits", 7)
	waitEqual(t, f.a, f.b)
	f.a.kill()
	f.a.start()
	waitEqual(t, f.a, f.b)
	if got := f.a.counter("visits"); got != 1135 {
		t.Errorf("visits is %d, want 1135", got)
	}
}
