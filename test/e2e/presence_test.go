//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// present returns the members of workers that a daemon shows, "" for none.
func (d *daemon) present() (string, error) {
	r, err := d.try("GET", "/v1/ns/live/presence/workers", "")
	if err != nil || r.status == 404 {
		return "", err
	}
	var list struct {
		Members []struct{ Member string }
		Size    int
	}
	if err := json.Unmarshal([]byte(r.body), &list); err != nil {
		return "", fmt.Errorf("%v: %w", r, err)
	}
	var names []string
	for _, m := range list.Members {
		names = append(names, m.Member)
	}
	if list.Size != len(names) {
		return "", fmt.Errorf("a size of %d for %v", list.Size, names)
	}
	return strings.Join(names, " "), nil
}

// What a daemon announces is gone at once when it stops, and some seconds after it was killed, everywhere;
// a daemon that was only frozen is there again.
func TestPresence(t *testing.T) {
	ds := loopback(t, workDir(t), 3)
	startAll(ds)
	waitConnected(t, ds, 30*time.Second)
	for _, d := range ds {
		d.do(201, "PUT", "/v1/ns/live", `{"storage":"memory"}`)
	}
	announce := func(d *daemon, member string) {
		d.do(204, "PUT", "/v1/ns/live/presence/workers/members/"+member, `{"at":"`+d.name+`"}`)
	}
	shows := func(want string, within time.Duration, of ...*daemon) time.Duration {
		t.Helper()
		return eventually(t, within, "workers are "+want, func() error {
			for _, d := range of {
				if got, err := d.present(); err != nil || got != want {
					return fmt.Errorf("%s shows %q, %v", d.name, got, err)
				}
			}
			return nil
		})
	}
	for i, d := range ds {
		announce(d, fmt.Sprint("w", i))
	}
	shows("w0 w1 w2", 20*time.Second, ds...)

	ds[0].stop()
	t.Logf("clean stop: %v", shows("w1 w2", 2*time.Second, ds[1], ds[2]))
	ds[1].kill()
	shows("w1 w2", time.Second, ds[2])
	took := shows("w2", 20*time.Second, ds[2])
	if t.Logf("kill -9: %v", took); took < 5*time.Second {
		t.Errorf("a daemon that was killed is gone after %v: its lease was longer", took)
	}

	each(ds[:2], func(d *daemon) { d.start() })
	waitConnected(t, ds, 30*time.Second)
	announce(ds[0], "w0")
	shows("w0 w2", 20*time.Second, ds...)
	ds[0].signal(syscall.SIGSTOP)
	shows("w2", 20*time.Second, ds[1], ds[2])
	ds[0].signal(syscall.SIGCONT)
	shows("w0 w2", 30*time.Second, ds...)
}
