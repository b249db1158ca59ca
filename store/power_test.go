package store

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	powerSeeds = flag.Int("power.seeds", 8, "how many histories to cut the power of")
	powerFirst = flag.Uint64("power.first", 1, "the seed of the first")
	powerEvery = flag.Int("power.every", 24, "look at one in so many moments of a history, 1 for each of them")
)

// TestPowerCuts lives histories of a store on Pebble, with all that a store does in them, and cuts the
// power at moments between and within the operations on its files: what was not synced is lost, kept
// in part, or kept. The store opens, holds what it had acknowledged, or that and the commit in flight, agrees
// with itself and with the peer, and goes on; and so it does when the power is cut in the course of that.
func TestPowerCuts(t *testing.T) {
	moments, looked, seeds := 0, 0, *powerSeeds
	if testing.Short() {
		seeds = min(seeds, 3)
	}
	for seed := *powerFirst; seed < *powerFirst+uint64(seeds); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			p := newPowered(t, seed)
			defer func() {
				moments += p.moments
				if t.Failed() {
					t.Logf("replay: go test ./store -run 'TestPowerCuts$' -power.first=%d -power.seeds=1 -power.every=%d", seed, *powerEvery)
				}
			}()
			p.open()
			p.acknowledge()
			p.promised(func(q *promise) { q.dropping = false })
			p.do(increment(1))
			steps := []func(){p.write, p.write, p.write, p.series, p.units, p.units, p.state, p.state, p.large, p.reap,
				p.retire, p.other, p.reopen, p.copied, p.damage, p.fork}
			p.rng.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
			for _, step := range steps {
				step()
				checkConsistency(t, p.n)
				looked += p.look()
			}
			p.close()
			looked += p.look()
		})
	}
	t.Logf("%d moments, %d cuts", moments, looked)
}

// look opens what the cuts left.
func (p *powered) look() (looked int) {
	p.fs.mu.Lock()
	p.mu.Lock()
	cuts := p.cuts
	p.cuts = nil
	p.mu.Unlock()
	p.fs.mu.Unlock()
	for _, c := range cuts {
		looked += p.check(c, 1)
		p.must(c.src.Close(), "close")
		if p.t.Failed() {
			p.t.Fatal(c.at)
		}
	}
	return looked
}

// check opens what a cut left, with the power cut again up to depth times.
func (p *powered) check(c cut, depth int) (looked int) {
	t := p.t
	t.Helper()
	fs, w := newPowerFS(c.fs, p.dice, nil), newWitness()
	left := -1
	if depth > 0 {
		left = p.dice.IntN(150)
	}
	again := cut{promise: c.promise, w: w, src: c.src}
	again.copies = map[string]int{}
	var mu sync.Mutex // guards again and left
	fs.cut = func(at string) {
		mu.Lock()
		defer mu.Unlock()
		if left--; left != -1 || depth == 0 {
			return
		}
		percent := p.dice.IntN(101)
		again.fs, again.at = fs.image(percent), fmt.Sprintf("%s, and then before %s, %d %% kept", c.at, at, percent)
		w.mu.Lock()
		again.last = max(again.last, w.last)
		w.mu.Unlock()
	}
	o := p.options(p.opts.Dir+"-check", c.promise, seeded{p.dice})
	damaged := false
	o.Event = func(e Event) { damaged = damaged || e.Kind == EventDamaged || e.Kind == EventFailed }
	var found map[string]foundCopy
	o.OpenBackend = func(string) (Backend, error) {
		b, err := openWatched(fs, w)
		if err == nil {
			found, err = findCopies(b)
			for _, f := range found {
				w.note(f.id, f.meta)
				w.redo[f.id] = f.redo
			}
			mu.Lock()
			again.last = w.last // also of a cut before this
			mu.Unlock()
		}
		return b, err
	}
	s, err := Open(o)
	if err != nil {
		t.Errorf("%s: open: %v", c.at, err)
		return 1
	}
	defer s.Close()
	c.compare(t, found)
	n := namespaceOf(t, s, Default)
	if c.damaged && n.Err() == nil && isDamage(ways["view head"](n)) {
		if _, err := s.SetAside(Default); err != nil {
			t.Errorf("%s: set aside: %v", c.at, err)
		}
		n = namespaceOf(t, s, Default)
	} else if damaged && !c.damaged {
		t.Errorf("%s: damage was found", c.at)
	}
	op := p.resume(c, n)
	for _, i := range s.Namespaces() {
		checkConsistency(t, namespaceOf(t, s, i.Name))
	}
	for i := 1; i <= 3; i++ {
		mu.Lock()
		again.begun, again.sides = max(c.begun, op)+i, max(again.sides, max(c.begun, op)+1)
		b := again.begun
		mu.Unlock()
		mustCommit(t, n, func(tx *Tx) error {
			return errors.Join(addAll(tx, tSet, 0, i*poweredLarge), tx.Assign(tOp, []byte(strconv.Itoa(b)), nil), tx.PutSide(sideKey(b), []byte("done"), time.Hour))
		})
		mustCommit(t, n, deletes(tSet.ObjectPath()))
	}
	checkConsistency(t, n)
	if err := s.Close(); err != nil {
		t.Errorf("%s: close: %v", c.at, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if again.fs != nil && !t.Failed() {
		return 1 + p.check(again, depth-1)
	}
	return 1
}

// compare compares the copies that were found with what was promised.
func (c *cut) compare(t *testing.T, found map[string]foundCopy) {
	t.Helper()
	for name, f := range found {
		if !c.w.saw(f, c.copies[name], c.last+1) {
			t.Errorf("%s: %s was found at %s, commit %d, which is no state from %d to %d: %+v",
				c.at, name, f.id, f.meta.Commit, c.copies[name], c.last+1, c.w.states)
		}
	}
	for name := range c.copies {
		if _, ok := found[name]; !ok && (name == Default || !c.dropping) {
			t.Errorf("%s: there is no %s", c.at, name)
		}
	}
}

// resume compares what the copy shows with what was promised, and has it meet the peer.
func (p *powered) resume(c cut, n *Namespace) (op int) {
	t := p.t
	t.Helper()
	if n.Err() == nil {
		checkConsistency(t, n)
		if !c.loose {
			op = c.shown(t, n)
		}
	}
	if n.Err() != nil && !errors.Is(n.Err(), ErrJoining) {
		t.Fatalf("%s: %v", c.at, n.Err())
	}
	var err error
	if n.Err() != nil {
		err = pullState(t, n, c.src)
	} else if !c.forked {
		err = pullSource(t, n, c.src)
	}
	if err == nil && n.Err() != nil && len(c.src.Status().Clock) == 0 {
		err = n.AcceptLoss(context.Background())
	}
	if err != nil {
		t.Fatalf("%s: the peer as it was then: %v", c.at, err)
	}
	return op
}

// shown returns which operation the copy shows to be its last.
func (c *cut) shown(t *testing.T, n *Namespace) (op int) {
	t.Helper()
	if vs := valuesAt(t, n, tOp); len(vs) > 0 {
		op, _ = strconv.Atoi(vs[0])
	}
	if op < c.op || op > c.begun {
		t.Errorf("%s: operation %d was found, %d acknowledged, %d begun", c.at, op, c.op, c.begun)
	}
	for i, want := range map[int]bool{op: op >= c.sides, op + 1: false} {
		_, ok, err := n.Side(context.Background(), sideKey(i))
		if err != nil || ok != want && (i > op || want) {
			t.Errorf("%s: operation %d was found, side record of %d: %t, %v", c.at, op, i, ok, err)
		}
	}
	return op
}

// TestMarkersKeepOrder opens a database again and again, and cuts the power where names come and go:
// a marker never points to a manifest that is not there, and there always is one.
func TestMarkersKeepOrder(t *testing.T) {
	fs := newPowerFS(NewCrashFS(), rand.New(rand.NewPCG(1, 1)), nil)
	var images []*CrashFS
	var acknowledged []int
	puts := 0
	fs.cut = func(at string) {
		if strings.Contains(at, "marker.") || at == "sync /data/pebble" {
			for range 8 {
				images, acknowledged = append(images, fs.image(50)), append(acknowledged, puts)
			}
		}
	}
	for i := range 4 {
		b, err := OpenPebble("/data", PebbleOptions{FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		var batch Batch
		batch.Put(fmt.Sprintf("/n/t/%d", i), []byte("x"))
		if err := applySync(b, &batch); err != nil {
			t.Fatal(err)
		}
		fs.mu.Lock()
		puts++
		fs.mu.Unlock()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for i, image := range images {
		b, err := OpenPebble("/data", PebbleOptions{FS: image})
		if err != nil {
			t.Fatalf("image %d: %v", i, err)
		}
		for n := range acknowledged[i] {
			if _, ok, err := b.Get(fmt.Sprintf("/n/t/%d", n)); !ok || err != nil {
				t.Fatalf("image %d: put %d of %d: %t, %v", i, n, acknowledged[i], ok, err)
			}
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
