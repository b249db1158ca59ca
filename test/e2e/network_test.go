//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// network is what test/netns.sh makes: one daemon in each network namespace, found by mDNS only.
type lan struct {
	t      *testing.T
	prefix string
	hosts  []*daemon
}

// newLAN returns a network of n daemons that share a cluster key, started.
func newLAN(t *testing.T, n int) *lan {
	t.Helper()
	dir := workDir(t)
	l := &lan{t: t, prefix: fmt.Sprintf("anb%d", os.Getpid())}
	t.Cleanup(func() { l.sh("down") }) // after the daemons have ended
	l.sh("up", n)
	key := filepath.Join(dir, "cluster.key")
	newClusterKey(t, key)
	for i := range n {
		l.hosts = append(l.hosts, l.host(dir, string(rune('a'+i)), i+1, key))
	}
	return l
}

// host returns a daemon for host i, from 1, that is told nothing but the key.
func (l *lan) host(dir, name string, i int, key string) *daemon {
	d := newDaemon(l.t, dir, name)
	d.under = []string{"ip", "netns", "exec", fmt.Sprintf("%s-%d", l.prefix, i)}
	d.args = []string{"--cluster-key-file", key}
	return d
}

func (l *lan) sh(verb string, args ...any) {
	l.t.Helper()
	argv := []string{"../netns.sh", l.prefix, verb}
	for _, a := range args {
		argv = append(argv, fmt.Sprint(a))
	}
	run(l.t, argv...)
}

// writeAll has every daemon write something of every type, and contradict the others.
func writeAll(ds []*daemon, round string) {
	for i, d := range ds {
		d.inc("visits", i+1)
		d.add("cart", round+" from "+d.name, "everybody's")
		d.put("note", d.name+" in "+round)
		d.do(200, "PATCH", ns+"/maps/order", `{"ops":[{"path":["by",`+quote(d.name)+`],"value":`+quote(round)+`},
			{"path":["parcels"],"inc":1},{"path":["tags"],"add":[`+quote(round)+`]}]}`)
		d.do(200, "POST", ns+"/batch", `{"ops":[{"counter":"left","inc":1},{"counter":"right","inc":-1}]}`)
	}
}

// Three daemons find each other without an address. One is cut off without a sign; both sides go on
// and contradict each other; when the network is back, all hold the same, soon.
func TestNetworkCutAndHeal(t *testing.T) {
	l := newLAN(t, 3)
	begin := time.Now()
	startAll(l.hosts)
	waitConnected(t, l.hosts, 20*time.Second)
	t.Logf("three daemons started and connected by mDNS after %v", time.Since(begin).Round(time.Millisecond))

	writeAll(l.hosts, "peace")
	l.hosts[0].add("cart", "milk", "bread")
	l.hosts[0].inc("gone", 5)
	export, took := waitConverged(t, l.hosts, 10*time.Second)
	t.Logf("converged %v after the writes: %d bytes of export", took.Round(time.Millisecond), len(export))

	t.Run("silent cut", func(t *testing.T) { l.silentCut(t) })
	t.Run("short outage", func(t *testing.T) { l.shortOutage(t) })
	t.Run("port down", func(t *testing.T) { l.portDown(t) })
	t.Run("interface down", func(t *testing.T) { l.interfaceDown(t) })
	t.Run("new address", func(t *testing.T) { l.newAddress(t) })
}

func (l *lan) silentCut(t *testing.T) {
	a, c := l.hosts[0], l.hosts[2]
	l.sh("cut", 3)
	begin := time.Now()
	writeAll(l.hosts, "war")
	a.remove("cart", "milk", "bread")
	c.add("cart", "milk")                                    // was seen and is added anew: stays
	a.do(200, "POST", ns+"/counters/gone", `{"reset":true}`) // takes the 5 that it saw
	c.inc("gone", 3)
	c.do(204, "DELETE", ns+"/maps/order", "")
	a.put("note", "a knows better")

	// A write that is to be seen whole or not at all, while nobody can see it.
	c.do(200, "POST", ns+"/batch", `{"ops":[{"register":"r1","value":"c"},{"register":"r2","value":"c"},{"set":"cart","delete":true}]}`)
	c.add("cart", "milk")

	eventually(t, 15*time.Second, "the cut is noticed on both sides", func() error {
		for d, lost := range map[*daemon]int{a: 1, l.hosts[1]: 1, c: 2} {
			s, err := d.sync("default")
			if err != nil {
				return err
			}
			if s.states()["unreachable"] != lost || s.Converged {
				return fmt.Errorf("%s says %s", d.name, quote(s))
			}
		}
		return nil
	})
	t.Logf("unreachable on both sides after %v", time.Since(begin).Round(10*time.Millisecond))
	if c.counter("visits") != 6+3 {
		t.Errorf("the daemon that is cut off has visits %d, want 9", c.counter("visits"))
	}
	c.inc("alone", 7)
	waitConverges := func(d *daemon, peers int) {
		if s, err := d.sync("default"); err != nil || len(s.Peers) != peers {
			t.Errorf("%s: %s, %v", d.name, quote(s), err)
		}
	}
	waitConverges(c, 2)

	l.sh("mend", 3)
	export, took := waitConverged(t, l.hosts, 30*time.Second)
	t.Logf("byte-identical and converged %v after the heal: %d bytes", took.Round(10*time.Millisecond), len(export))
	for _, d := range l.hosts {
		for key, want := range map[string]int{"visits": 12, "left": 6, "right": -6, "gone": 3, "alone": 7} {
			if got := d.counter(key); got != want {
				t.Errorf("%s: counter %s is %d, want %d", d.name, key, got, want)
			}
		}
		cart := d.members("cart")
		if !cart["milk"] || cart["bread"] || cart["peace from a"] || !cart["war from a"] || cart["war from c"] {
			t.Errorf("%s: cart is %v", d.name, cart)
		}
		if v := d.values("note"); len(v) != 2 || !strings.Contains(strings.Join(v, " "), "a knows better") {
			t.Errorf("%s: note is %v, want what a and c said last", d.name, v)
		}
		var m struct {
			Value struct {
				By      map[string]string
				Parcels int
			}
		}
		// c deleted what it had seen: its own, and all of the peace.
		if err := d.get(&m, ns+"/maps/order"); err != nil || m.Value.Parcels != 2 || len(m.Value.By) != 2 {
			t.Errorf("%s: order is %+v, %v", d.name, m, err)
		}
	}
	l.hosts[1].put("note", "settled")
	waitConverged(t, l.hosts, 10*time.Second)
	for _, d := range l.hosts {
		if v := d.values("note"); len(v) != 1 || v[0] != `"settled"` {
			t.Errorf("%s: note is %v", d.name, v)
		}
	}
}

// outage cuts, writes, waits, and heals.
func (l *lan) outage(t *testing.T, what string, cut, heal func(), length time.Duration) {
	cut()
	writeAll(l.hosts, what)
	<-time.After(length)
	heal()
	export, took := waitConverged(t, l.hosts, 40*time.Second)
	t.Logf("%s for %v: converged %v after its end: %d bytes", what, length, took.Round(10*time.Millisecond), len(export))
}

func (l *lan) shortOutage(t *testing.T) {
	l.outage(t, "silent", func() { l.sh("cut", 2) }, func() { l.sh("mend", 2) }, 5*time.Second)
}

func (l *lan) portDown(t *testing.T) {
	l.outage(t, "unplugged", func() { l.sh("unplug", 1) }, func() { l.sh("plug", 1) }, 12*time.Second)
}

func (l *lan) interfaceDown(t *testing.T) {
	l.outage(t, "interface down", func() { l.sh("link", 3, "down") }, func() { l.sh("link", 3, "up") }, 12*time.Second)
}

func (l *lan) newAddress(t *testing.T) {
	l.outage(t, "no longer reachable at the old address", func() { l.sh("address", 3, "10.77.0.33") }, func() {}, time.Second)
	// A process that starts now can only have learned the new address from the network.
	l.hosts[0].stop()
	begin := time.Now()
	l.hosts[0].start()
	waitConnected(t, l.hosts, 30*time.Second)
	t.Logf("connected %v after a restart beside a host with a new address", time.Since(begin).Round(10*time.Millisecond))
	writeAll(l.hosts, "moved")
	waitConverged(t, l.hosts, 20*time.Second)
}

// A daemon with another cluster key, on the same network, learns and changes nothing. It is told the
// others' addresses, too.
func TestNetworkStranger(t *testing.T) {
	l := newLAN(t, 3)
	dir := workDir(t)
	key := filepath.Join(dir, "other.key")
	newClusterKey(t, key)
	stranger := l.host(dir, "stranger", 3, key)
	stranger.args = append(stranger.args, "--peer", "/ip4/10.77.0.1/tcp/7701", "--peer", "/ip4/10.77.0.2/udp/7701/quic-v1")
	stranger.args = append(stranger.args, "--listen", "/ip4/0.0.0.0/tcp/7701", "--listen", "/ip4/0.0.0.0/udp/7701/quic-v1")
	stranger.begin()
	members := l.hosts[:2]
	startAll(members)
	stranger.waitReady()
	waitConnected(t, members, 20*time.Second)

	stranger.add("stolen", "by a stranger")
	stranger.inc("visits", 1000)
	writeAll(members, "alone")
	export, _ := waitConverged(t, members, 10*time.Second)
	if strings.Contains(export, "stranger") {
		t.Errorf("the stranger got in:\n%s", export)
	}

	// It has tried: its log or theirs tells of it, or at least enough time has passed for several dials.
	<-time.After(8 * time.Second)
	writeAll(members, "later")
	export, _ = waitConverged(t, members, 10*time.Second)
	if got, want := stranger.export("default"), `{"counter":"visits","inc":1000}`+"\n"+`{"set":"stolen","add":["by a stranger"]}`+"\n"; got != want {
		t.Errorf("the stranger holds\n%s\nwant\n%s", got, want)
	}
	if strings.Contains(export, "stranger") || strings.Contains(export, "stolen") {
		t.Errorf("the stranger got in:\n%s", export)
	}
	for _, d := range append(members, stranger) {
		s, err := d.sync("default")
		if err != nil || len(s.Peers) != map[bool]int{true: 0, false: 1}[d == stranger] {
			t.Errorf("%s: %s, %v", d.name, quote(s), err)
		}
		var peers struct {
			Peers []struct {
				ID        string
				Connected bool
			}
		}
		if err := d.get(&peers, "/v1/peers"); err != nil {
			t.Error(err)
		}
		for _, p := range peers.Peers {
			if p.Connected && d == stranger {
				t.Errorf("the stranger is connected to %s", p.ID)
			}
		}
		if d != stranger && len(peers.Peers) != 1 {
			t.Errorf("%s lists %s", d.name, quote(peers))
		}
	}
}
