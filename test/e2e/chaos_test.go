//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/client"
	"github.com/anabranchdb/anabranch/internal/history"
)

var (
	chaosFor     = flag.Duration("chaos", 50*time.Second, "how long the chaos lasts")
	chaosHistory = flag.String("history", "", "the file for the history of the chaos. Without it, it is kept only when something is found")
	skewed       = flag.String("skewed", "", "the binary with the tag clockskew, for the chaos")
)

const (
	chaosHosts   = 5
	callersEach  = 3 // that stay at a daemon
	roamers      = 4
	sweepers     = 2
	markerObject = "register/marker"
	// convergeWithin bounds how long daemons may take to be alike, once all is well again.
	convergeWithin = 2 * time.Minute
)

// chaos is five daemons, what is done to them, and those who use them meanwhile.
type chaos struct {
	t     *testing.T
	hosts []*host
	wires *wires
	began time.Time
	done  chan struct{} // closed when clients are to stop
	ids   atomic.Int64
	w     *history.Writer
	// processes is held for reading while something is done to a process, and for writing while all
	// others have to run. It is taken after the busy of a host.
	processes sync.RWMutex
	// asking is held for reading by those who may ask another daemon for rights.
	asking sync.RWMutex

	mu     sync.Mutex
	counts map[string]map[string]int // by topic
}

// host is a daemon in a network namespace of its own, and how clients reach it.
type host struct {
	*daemon
	x          *chaos
	i          int
	client     *client.Client
	feedClient *client.Client
	skew       string // the file with the offset of its clock
	tmpfs      bool   // its directory is a small file system of its own

	// busy is held while something is done to the process or its directory, and guards the three below.
	busy       sync.Mutex
	filled     bool     // its disk was, since the process began
	filledFrom int      // how long its log was then
	traces     [][2]int // from where to where in its log it panicked as it may
	// gate is held for reading by every call, and for writing while a new epoch begins.
	gate  sync.RWMutex
	epoch atomic.Int32
	// keys counts the times at which the daemon may have forgotten idempotency keys.
	keys atomic.Int32
	// forked is set while an image that was rolled back runs, and has met nobody.
	forked atomic.Bool
	peerID atomic.Pointer[string]
	marker atomic.Pointer[string] // the last that the feed told

	backup     string // a copy of its directory
	backupOf   int    // the number of the directory that it is of; 0 for none
	dirs       int    // directories that it has had
	feed       sync.Mutex
	feedMu     sync.Mutex
	feedCancel context.CancelFunc
	feedShut   bool
}

// enter begins a call in an epoch, and reports false if that is over, or idempotency keys were forgotten. The gate
// is then held.
func (h *host) enter(epoch, keys int32) bool {
	if !h.gate.TryRLock() {
		return false
	}
	if h.epoch.Load() != epoch || h.keys.Load() != keys {
		h.gate.RUnlock()
		return false
	}
	return true
}

// beginFeed returns the context of a reader of the feed, and the epoch that it is in. feed is then held.
func (h *host) beginFeed() (context.Context, int32) {
	h.feed.Lock()
	h.feedMu.Lock()
	defer h.feedMu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	h.feedCancel = cancel
	if h.feedShut {
		cancel()
	}
	return ctx, h.epoch.Load()
}

// shutFeed ends the reader of the feed, and lets no other begin until it is opened.
func (h *host) shutFeed(shut bool) {
	h.feedMu.Lock()
	h.feedShut = shut
	cancel := h.feedCancel
	h.feedMu.Unlock()
	if shut {
		if cancel != nil {
			cancel()
		}
		h.feed.Lock()   // until it has ended
		h.feed.Unlock() //nolint:staticcheck // nothing is to be done in between
	}
}

// newEpoch runs f, in which the daemon may lose what it held, while nobody calls it. The sessions at
// the daemon end.
func (h *host) newEpoch(f func()) {
	h.gate.Lock()
	defer h.gate.Unlock()
	h.epoch.Add(1)
	h.shutFeed(true)
	defer h.shutFeed(false)
	f()
}

func (x *chaos) since() time.Duration { return time.Since(x.began) }
func (x *chaos) micros() int64        { return x.since().Microseconds() }
func (x *chaos) id() int              { return int(x.ids.Add(1)) }
func (x *chaos) record(o history.Op) {
	x.w.Write(o)
	if o.Kind == history.Call {
		x.count("calls", o.Name+" "+string(o.Outcome))
	}
}

// element returns a name that nobody else has.
func (x *chaos) element() string { return fmt.Sprintf("e%x", x.id()) }

func (x *chaos) running() bool {
	select {
	case <-x.done:
		return false
	default:
		return true
	}
}

func (x *chaos) count(topic, what string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.counts[topic] == nil {
		x.counts[topic] = map[string]int{}
	}
	x.counts[topic][what]++
}

func (x *chaos) logf(format string, args ...any) {
	x.t.Logf("%7.1fs "+format, append([]any{x.since().Seconds()}, args...)...)
}

// barrier waits until to has told that it holds what from holds, and records that.
func (x *chaos) barrier(from, to *host, wait time.Duration) bool {
	id := to.peerID.Load()
	if from == to || id == nil {
		return false
	}
	start := x.micros()
	ctx, cancel := context.WithTimeout(context.Background(), wait+callTimeout)
	defer cancel()
	s, err := from.client.Namespace("default").Barrier(ctx, client.Push, *id, wait)
	if err != nil {
		x.count("barriers", why(err))
		return false
	}
	if !s.Reached {
		x.count("barriers", "not reached")
		return false
	}
	x.count("barriers", "reached")
	x.record(history.Op{ID: x.id(), Kind: history.Held, Daemon: from.name, Start: start, End: x.micros(), Outcome: history.OK, Peers: []string{to.name}})
	return true
}

// newChaos returns daemons that are not started, on a network.
func newChaos(t *testing.T, dir string) *chaos {
	t.Helper()
	x := &chaos{t: t, began: time.Now(), done: make(chan struct{}), counts: map[string]map[string]int{}}
	x.wires = newWires(t, chaosHosts)
	key := filepath.Join(dir, "cluster.key")
	newClusterKey(t, key)
	for i := range chaosHosts {
		d := newDaemon(t, dir, string(rune('a'+i)))
		h := &host{daemon: d, x: x, i: i, dirs: 1, skew: filepath.Join(dir, d.name+".skew"), backup: filepath.Join(dir, d.name+".backup"), tmpfs: i >= chaosHosts-2}
		d.binary, d.env = *skewed, []string{"CLOCKSKEW_FILE=" + h.skew}
		d.under = []string{"ip", "netns", "exec", x.wires.namespace(i)}
		d.args = []string{"--cluster-key-file", key}
		for j := range chaosHosts {
			if j != i {
				d.args = append(d.args, "--peer", fmt.Sprintf("/ip4/10.78.0.%d/tcp/7701", j+1))
			}
		}
		h.setClock(0)
		for _, c := range []**client.Client{&h.client, &h.feedClient} {
			opts := client.Options{Retries: -1} // the calls are recorded one by one
			if c == &h.feedClient {
				opts.Retries = 0
			}
			var err error
			if *c, err = client.New("unix:"+d.socket, opts); err != nil {
				t.Fatal(err)
			}
			t.Cleanup((*c).Close)
		}
		if err := os.Mkdir(d.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if h.tmpfs {
			run(t, "mount", "-t", "tmpfs", "-o", "size=256m", "anabranch-e2e", d.dir)
			t.Cleanup(func() { d.kill(); run(t, "umount", d.dir) })
		}
		x.hosts = append(x.hosts, h)
	}
	return x
}

// TestChaos runs five daemons under everything that can go wrong at once, and judges what clients saw.
// docs/chaos.md tells what is done and what is demanded.
func TestChaos(t *testing.T) {
	if *skewed == "" {
		t.Fatal("the chaos needs a daemon with the tag clockskew: see test/e2e.sh")
	}
	for path, want := range map[string]bool{*binary: false, *skewed: true} {
		program, err := os.ReadFile(path)
		if err != nil || bytes.Contains(program, []byte("CLOCKSKEW_FILE")) != want {
			t.Fatalf("%s: that its clock can be wrong should be %v; %v", path, want, err)
		}
	}
	t.Logf("seed %d: SEED=%[1]d MINUTES=%.2g make chaos", *seed, chaosFor.Minutes())
	file := *chaosHistory
	if file == "" { // not in TMPDIR, which is removed
		file = fmt.Sprintf("/tmp/anabranch-chaos-%d.jsonl", *seed)
	}
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	x := newChaos(t, workDir(t))
	x.w = history.NewWriter(out)
	for _, h := range x.hosts {
		h.begin()
	}
	for _, h := range x.hosts {
		h.waitReady()
		h.learnPeerID()
	}
	ds := make([]*daemon, len(x.hosts))
	for i, h := range x.hosts {
		ds[i] = h.daemon
	}
	waitConnected(t, ds, 30*time.Second)

	var clients, feeds sync.WaitGroup
	number := uint64(0)
	start := func(name string, at *host, set func(*caller)) {
		number++
		c := newCaller(x, name, at, number)
		set(c)
		clients.Go(c.run)
	}
	for _, h := range x.hosts {
		for i := range callersEach { // one of them without tokens
			start(fmt.Sprintf("%s%d", h.name, i), h, func(c *caller) { c.tokens = i > 0 })
		}
		feeds.Go(func() { x.follow(h) })
	}
	for i := range roamers {
		start(fmt.Sprintf("roamer%d", i), x.hosts[i%len(x.hosts)], func(c *caller) { c.tokens, c.roams = true, true })
	}
	for i := range sweepers {
		start(fmt.Sprintf("sweeper%d", i), x.hosts[i%len(x.hosts)], func(c *caller) { c.tokens, c.roams, c.sweeps = true, true, true })
	}
	x.torment(*chaosFor)
	x.heal()
	close(x.done)
	clients.Wait()
	x.converge("after the last trouble")
	marker := x.settle()
	for _, h := range x.hosts {
		eventually(t, convergeWithin, "the feed of "+h.name+" has come to the end", func() error {
			if m := h.marker.Load(); m == nil || *m != marker {
				return fmt.Errorf("its marker is %v", m)
			}
			return nil
		})
		h.shutFeed(true)
	}
	feeds.Wait()
	for _, h := range x.hosts {
		x.record(h.final())
	}
	if err := errors.Join(x.w.Flush(), out.Close()); err != nil {
		t.Fatal(err)
	}
	x.judge(file)
	x.readLogs()
	x.report()
	if !t.Failed() && *chaosHistory == "" {
		if err := os.Remove(file); err != nil {
			t.Error(err)
		}
	} else {
		t.Logf("the history is in %s", file)
	}
}

// converge waits until all daemons have the same state: tokens are equal when states are.
func (x *chaos) converge(when string) {
	x.t.Helper()
	took := eventually(x.t, convergeWithin, "converged", func() error {
		first := ""
		for _, h := range x.hosts {
			s, err := h.sync("default")
			switch {
			case err != nil:
				return err
			case first == "":
				first = s.Context
			case s.Context != first:
				return fmt.Errorf("%s and %s are not at the same state: %s", x.hosts[0].name, h.name, quote(s))
			}
		}
		return nil
	})
	x.logf("equal clocks %v %s", took.Round(10*time.Millisecond), when)
}

// settle writes something last of all, and waits until it is everywhere.
func (x *chaos) settle() string {
	x.t.Helper()
	marker := x.element()
	x.hosts[0].put(keyOf(markerObject), marker)
	x.converge("after the last write")
	return marker
}

// final reads all that a daemon holds, the siblings of its registers too.
func (h *host) final() history.Op {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ns := h.client.Namespace("default")
	o := history.Op{ID: h.x.id(), Kind: history.Final, Daemon: h.name, Epoch: int(h.epoch.Load()), Start: h.x.micros(), Outcome: history.OK, Whole: true}
	var text bytes.Buffer
	var meta client.Meta
	err := ns.Export(ctx, &text, client.WithMeta(&meta))
	if err == nil {
		o.Reads, err = parseExport(text.Bytes())
	}
	if err != nil {
		h.t.Fatalf("%s: %v", h.name, err)
	}
	digest := sha256.New()
	digest.Write(text.Bytes())
	o.Reads = slices.DeleteFunc(o.Reads, func(r history.Read) bool { return r.Object == markerObject })
	for i, r := range o.Reads {
		if r.Partial {
			if o.Reads[i], err = readObject(ctx, ns, r.Object, nil); err != nil {
				h.t.Fatalf("%s: %s: %v", h.name, r.Object, err)
			}
			fmt.Fprintln(digest, o.Reads[i])
		}
	}
	o.Token, o.Digest, o.End = meta.Context, hex.EncodeToString(digest.Sum(nil)), h.x.micros()
	return o
}

// judge has the history checked, as it stands in the file.
func (x *chaos) judge(file string) {
	f, err := os.Open(file)
	if err != nil {
		x.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	ops, err := history.ReadAll(f)
	if err != nil {
		x.t.Fatal(err)
	}
	began := time.Now()
	report := history.Check(ops)
	x.logf("%d ops were checked in %v; %d acknowledged writes went with a lost directory, or may have; %d of %d sums are exact, and %d of %d reads of one",
		len(ops), time.Since(began).Round(time.Millisecond), report.AtRisk, report.Exact, report.Sums, report.ExactRead, report.SumsRead)
	if report.Finals != len(x.hosts) {
		x.t.Errorf("%d daemons of %d told what they hold in the end", report.Finals, len(x.hosts))
	}
	for _, a := range report.Anomalies {
		x.t.Error(a)
	}
	if len(report.Counts) > 0 {
		x.t.Errorf("anomalies by kind: %v", report.Counts)
	}
}

// readLogs looks for what daemons must never say.
func (x *chaos) readLogs() {
	for _, h := range x.hosts {
		text := h.logText(0)
		for _, t := range slices.Backward(h.traces) {
			text = text[:t[0]] + text[t[1]:]
		}
		for line := range strings.Lines(text) {
			for _, bad := range []string{"panic", "digest-mismatch", "event=damaged", "invariant"} {
				if strings.Contains(line, bad) {
					x.t.Errorf("%s says: %s", h.name, line)
				}
			}
			for _, told := range []string{"alarm=fork", "alarm=foreign-fork", "event=healed", "event=copied", "event=clock-ahead"} {
				if strings.Contains(line, told) {
					x.count("log", told)
				}
			}
		}
	}
}

func (x *chaos) report() {
	for _, topic := range slices.Sorted(maps.Keys(x.counts)) {
		var all []string
		for _, what := range slices.Sorted(maps.Keys(x.counts[topic])) {
			all = append(all, fmt.Sprintf("%s: %d", what, x.counts[topic][what]))
		}
		x.t.Logf("%s: %s", topic, strings.Join(all, ", "))
	}
	x.t.Logf("frames: %+v", x.wires.sw.Counts())
}
