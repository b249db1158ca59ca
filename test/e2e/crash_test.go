//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	crashes       = 50
	writersOfEach = 3 // of each kind, at each daemon
)

// load writes to one daemon and remembers what was acknowledged, and what may have happened: a write
// whose reply was cut off.
type load struct {
	d *daemon

	mu      sync.Mutex
	running bool
	changed chan struct{} // closed when running changes

	acked, unknown map[string]int             // increments by counter
	members        map[string]map[string]bool // members by set: true when acknowledged
	ended          chan struct{}
	wg             sync.WaitGroup
}

func newLoad(d *daemon) *load {
	l := &load{d: d, changed: make(chan struct{}), ended: make(chan struct{}),
		acked: map[string]int{}, unknown: map[string]int{}, members: map[string]map[string]bool{}}
	for i := range writersOfEach {
		l.wg.Go(func() { l.count("count-" + d.name) })
		l.wg.Go(func() { l.count("count") })
		l.wg.Go(func() { l.join("set-"+d.name, fmt.Sprintf("%s%d", d.name, i)) })
		l.wg.Go(func() { l.pair(fmt.Sprintf("%s%d", d.name, i)) })
	}
	return l
}

// set lets the writers write, or makes them wait.
func (l *load) set(running bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = running
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *load) end() {
	close(l.ended)
	l.wg.Wait()
}

// next waits until the writers may write, and reports whether there is more to do.
func (l *load) next() bool {
	for {
		l.mu.Lock()
		running, changed := l.running, l.changed
		l.mu.Unlock()
		select {
		case <-l.ended:
			return false
		default:
		}
		if running {
			return true
		}
		select {
		case <-changed:
		case <-l.ended:
		}
	}
}

// send makes one write and tells what became of it: acknowledged, not done, or unknown.
func (l *load) send(path, body string, done func(acknowledged bool)) {
	r, err := l.d.try("POST", path, body)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil && (strings.Contains(err.Error(), "connect: ")):
		l.running = false // nobody was there
	case err != nil:
		done(false)
		l.running = false
	case r.status == 200:
		done(true)
	case r.status >= 500:
		done(false)
	default:
		l.d.t.Errorf("%s: %v", l.d.name, r)
	}
}

func (l *load) count(key string) {
	for l.next() {
		l.send(ns+"/counters/"+key, `{"inc":1}`, func(ok bool) {
			if ok {
				l.acked[key]++
			} else {
				l.unknown[key]++
			}
		})
	}
}

// joined notes members that were added to sets. mu is held.
func (l *load) joined(ok bool, m string, sets ...string) {
	for _, s := range sets {
		if l.members[s] == nil {
			l.members[s] = map[string]bool{}
		}
		l.members[s][m] = ok
	}
}

func (l *load) join(set, prefix string) {
	for i := 0; l.next(); i++ {
		m := fmt.Sprintf("%s-%d", prefix, i)
		l.send(ns+"/sets/"+set, `{"add":["`+m+`"]}`, func(ok bool) { l.joined(ok, m, set) })
	}
}

// pair adds the same member to two sets and to a map, at once.
func (l *load) pair(prefix string) {
	for i := 0; l.next(); i++ {
		m := fmt.Sprintf("%s-%d", prefix, i)
		body := fmt.Sprintf(`{"ops":[{"set":"left","add":[%[1]q]},{"set":"right","add":[%[1]q]},{"map":"pairs","path":["s"],"add":[%[1]q]}]}`, m)
		l.send(ns+"/batch", body, func(ok bool) { l.joined(ok, m, "left", "right") })
	}
}

// content is what an export tells: one moment of one replica.
type content struct {
	counters map[string]int
	sets     map[string]map[string]bool
}

func (d *daemon) content() content {
	d.t.Helper()
	c := content{map[string]int{}, map[string]map[string]bool{}}
	for line := range strings.Lines(d.export("default")) {
		var op struct {
			Counter, Set, Map string
			Inc               int
			Add               []string
		}
		if err := json.Unmarshal([]byte(line), &op); err != nil {
			d.t.Fatalf("%s: %s: %v", d.name, line, err)
		}
		if op.Counter != "" {
			c.counters[op.Counter] = op.Inc
			continue
		}
		name := op.Set + op.Map
		if c.sets[name] == nil {
			c.sets[name] = map[string]bool{}
		}
		for _, m := range op.Add {
			c.sets[name][m] = true
		}
	}
	return c
}

// whole demands that batches are there whole or not at all.
func (c content) whole(t *testing.T, of string) {
	t.Helper()
	for name, other := range map[string]string{"left": "right", "right": "pairs", "pairs": "left"} {
		for m := range c.sets[name] {
			if !c.sets[other][m] {
				t.Fatalf("%s: half a batch: %s is in %s and not in %s", of, m, name, other)
			}
		}
	}
}

// holds demands that everything that this load was told of is there, and nothing that it did not write.
func (l *load) holds(t *testing.T, c content, of string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	own := "count-" + l.d.name
	if got, least, most := c.counters[own], l.acked[own], l.acked[own]+l.unknown[own]; got < least || got > most {
		t.Fatalf("%s: %s is %d, want %d to %d", of, own, got, least, most)
	}
	for set, members := range l.members {
		for m, acked := range members {
			if acked && !c.sets[set][m] {
				t.Fatalf("%s: %s was acknowledged and is not in %s", of, m, set)
			}
		}
	}
}

// A daemon is killed again and again while clients write to all three. Whatever was acknowledged is
// there when it is back, and at the others in the end; batches are there whole or not at all.
func TestKillUnderLoad(t *testing.T) {
	t.Logf("seed %d: go test -tags e2e ./test/e2e -run %s -args -seed=%[1]d", *seed, t.Name())
	random := rand.New(rand.NewPCG(*seed, 0))
	ds := loopback(t, workDir(t), 3)
	startAll(ds)
	waitConnected(t, ds, 20*time.Second)
	var loads []*load
	for _, d := range ds {
		loads = append(loads, newLoad(d))
		loads[len(loads)-1].set(true)
	}
	var down, recovery time.Duration
	for i := range crashes {
		<-time.After(time.Duration(100+random.IntN(500)) * time.Millisecond)
		victims := []int{random.IntN(len(ds))}
		switch {
		case i%10 == 9:
			victims = []int{0, 1, 2} // a power cut for all
		case i%10 == 4:
			victims = []int{victims[0], (victims[0] + 1) % len(ds)}
		}
		for _, v := range victims {
			ds[v].kill()
			loads[v].set(false)
		}
		<-time.After(time.Duration(random.IntN(200)) * time.Millisecond)
		begin := time.Now()
		for _, v := range victims {
			ds[v].begin()
			if i%10 == 7 { // once more while it starts
				<-time.After(time.Duration(random.IntN(60)) * time.Millisecond)
				ds[v].kill()
				ds[v].begin()
			}
		}
		for _, v := range victims {
			ds[v].waitReady()
			took := time.Since(begin)
			down += took
			recovery = max(recovery, took)
		}
		for _, v := range victims {
			c := ds[v].content()
			c.whole(t, ds[v].name)
			loads[v].holds(t, c, ds[v].name)
			loads[v].set(true)
		}
	}
	for _, l := range loads {
		l.end()
	}
	export, took := waitConverged(t, ds, 60*time.Second)
	acked, unknown := 0, 0
	for _, d := range ds {
		c := d.content()
		c.whole(t, d.name)
		least, most := 0, 0
		for _, l := range loads {
			l.holds(t, c, d.name)
			least += l.acked["count"]
			most += l.acked["count"] + l.unknown["count"]
		}
		if got := c.counters["count"]; got < least || got > most {
			t.Errorf("%s: the common counter is %d, want %d to %d", d.name, got, least, most)
		}
	}
	for _, l := range loads {
		for _, n := range l.acked {
			acked += n
		}
		for _, n := range l.unknown {
			unknown += n
		}
		for _, s := range l.members {
			acked += len(s)
		}
	}
	t.Logf("%d kills, ready again after at most %v; %d writes acknowledged, %d increments unknown; converged %v after the last, %d bytes of export",
		crashes, recovery.Round(time.Millisecond), acked, unknown, took.Round(time.Millisecond), len(export))
}
