//go:build e2e

package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"testing"
	"time"
)

var older = flag.String("older", "", "the binary of an earlier version of the daemon, for TestCompat")

// exitLayout is the exit code of a daemon whose data directory a newer version has written.
const exitLayout = 11

// Daemons of an earlier version and of this one are one cluster. They are upgraded one by one while
// clients write, and one is taken back, if its data directory allows.
func TestCompat(t *testing.T) {
	if *older == "" {
		t.Skip("there is no earlier version: make compat OLD=COMMIT")
	}
	ds := loopback(t, workDir(t), 3)
	a, b, c := ds[0], ds[1], ds[2]
	a.binary, b.binary = *older, *older
	startAll(ds)
	waitConnected(t, ds, 30*time.Second)
	for _, d := range ds {
		d.writeSome(t)
	}
	converged := func(when string) string {
		t.Helper()
		export, took := waitConverged(t, ds, 60*time.Second)
		t.Logf("%s: converged after %v, %d bytes of export", when, took.Round(time.Millisecond), len(export))
		return export
	}
	converged("two of before, one of today")

	var loads []*load
	for _, d := range ds {
		loads = append(loads, newLoad(d))
		loads[len(loads)-1].set(true)
	}
	restart := func(i int, binary string, end func()) {
		t.Helper()
		loads[i].set(false)
		end()
		ds[i].binary = binary
		ds[i].start()
		loads[i].set(true)
	}
	restart(0, "", a.stop)
	converging(t, ds)
	restart(1, "", b.kill)
	converging(t, ds)

	// One goes back to where it was.
	loads[2].set(false)
	c.stop()
	c.binary = *older
	c.begin()
	if err := c.readyOrRefused(); err != nil {
		t.Logf("the earlier version does not read the data directory any more: %v", err)
		c.process, c.binary = nil, ""
		c.start()
	}
	loads[2].set(true)
	for _, d := range ds {
		d.writeSome(t)
	}
	for _, l := range loads {
		l.end()
	}
	converged("one of before, two of today, after a load")
	for _, d := range ds {
		held := d.content()
		held.whole(t, d.name)
		for _, l := range loads {
			l.holds(t, held, d.name)
		}
	}
}

// converging waits until all have met again, under load.
func converging(t *testing.T, ds []*daemon) {
	t.Helper()
	waitConnected(t, ds, 30*time.Second)
	for _, d := range ds {
		d.put("marker "+d.name, time.Now().String())
	}
	for _, d := range ds {
		for _, by := range ds {
			eventually(t, 30*time.Second, d.name+" has heard of "+by.name, func() error {
				theirs, here := by.values("marker "+by.name), fmt.Sprint(d.valuesIfAny("marker "+by.name))
				if fmt.Sprint(theirs) != here {
					return fmt.Errorf("it shows %s, want %s", here, theirs)
				}
				return nil
			})
		}
	}
}

func (d *daemon) valuesIfAny(key string) []string {
	if r, err := d.try("GET", esc(ns+"/registers", key), ""); err != nil || r.status != 200 {
		return nil
	}
	return d.values(key)
}

// writeSome writes something of every type that all versions have, and takes some of it back.
func (d *daemon) writeSome(t *testing.T) {
	t.Helper()
	d.put("register", d.name)
	d.inc("visits", 3)
	d.add("set", "common", "of "+d.name)
	d.remove("set", "common")
	var many []string
	for i := range 900 {
		many = append(many, fmt.Sprintf("%s%04d", d.name, i))
	}
	d.add("many", many...)
	d.remove("many", many[:300]...)
	d.do(200, "PATCH", ns+"/maps/map", `{"ops":[{"path":["by","`+d.name+`"],"value":[1,{"a":null}]},{"path":["n"],"inc":1},{"path":["tags"],"add":["`+d.name+`"]}]}`)
	d.inc("reset", 5)
	d.do(204, "DELETE", ns+"/counters/reset", "")
	for _, name := range hurtful {
		d.putByPath(name)
	}
}

// readyOrRefused waits until the daemon is ready, or until it has ended since it cannot read its data
// directory.
func (d *daemon) readyOrRefused() (refused error) {
	d.t.Helper()
	eventually(d.t, readyTimeout, d.name+" is ready, or has refused", func() error {
		select {
		case <-d.ended:
			var exit *exec.ExitError
			if !errors.As(d.exit, &exit) || exit.ExitCode() != exitLayout {
				d.t.Fatalf("%s ended with %v", d.name, d.exit)
			}
			refused = d.exit
			return nil
		default:
		}
		r, err := d.try("GET", "/readyz", "")
		if err == nil && r.status != 200 {
			err = errors.New(r.String())
		}
		return err
	})
	return refused
}
