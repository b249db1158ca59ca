//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/anabranchdb/anabranch/internal/history"
	"github.com/anabranchdb/anabranch/internal/netswitch"
)

// age is how old a backup is at least that is made to be put back.
const age = 4 * time.Second

// wasNot begins what is told of a trouble that did not come about.
const wasNot = "was not: "

// trouble is one thing that is done, for a while.
type trouble struct {
	name string
	// do does it, lets it last, and undoes it. what it returns tells more of it.
	do func(x *chaos, r *rand.Rand, last time.Duration) string
	// shortest and longest are how long it lasts.
	shortest, longest time.Duration
}

// A lane is a row of troubles, one after the other. Those of different lanes overlap.
type lane struct {
	name     string
	troubles []trouble
	pause    time.Duration // at most, between them
}

var lanes = []lane{
	{"partition", []trouble{
		{"halves", (*chaos).halves, 3 * time.Second, 40 * time.Second},
		{"isolated", (*chaos).isolated, 3 * time.Second, 40 * time.Second},
		{"ring", (*chaos).ring, 3 * time.Second, 30 * time.Second},
		{"bridge", (*chaos).bridge, 3 * time.Second, 30 * time.Second},
		{"one way", (*chaos).oneWay, 3 * time.Second, 30 * time.Second},
		{"deaf or mute", (*chaos).deafOrMute, 3 * time.Second, 30 * time.Second},
	}, 6 * time.Second},
	{"links", []trouble{
		{"lossy", links(func(r *rand.Rand) netswitch.Quality { return netswitch.Quality{Loss: 0.01 + 0.3*r.Float64()} }), 4 * time.Second, 30 * time.Second},
		{"slow", links(func(r *rand.Rand) netswitch.Quality {
			return netswitch.Quality{Delay: time.Duration(10+r.IntN(300)) * time.Millisecond, Jitter: time.Duration(1+r.IntN(200)) * time.Millisecond}
		}), 4 * time.Second, 30 * time.Second},
		{"doubling", links(func(r *rand.Rand) netswitch.Quality {
			return netswitch.Quality{Duplicate: 0.5 * r.Float64(), Jitter: 5 * time.Millisecond}
		}), 4 * time.Second, 30 * time.Second},
		{"corrupting", links(func(r *rand.Rand) netswitch.Quality { return netswitch.Quality{Corrupt: 0.05 * r.Float64()} }), 4 * time.Second, 30 * time.Second},
		{"throttled", links(func(r *rand.Rand) netswitch.Quality { return netswitch.Quality{Rate: 10_000 + r.IntN(100_000)} }), 4 * time.Second, 30 * time.Second},
		{"all of it", links(func(r *rand.Rand) netswitch.Quality {
			return netswitch.Quality{Loss: 0.05, Duplicate: 0.05, Corrupt: 0.01, Delay: 20 * time.Millisecond, Jitter: 80 * time.Millisecond, Rate: 200_000}
		}), 4 * time.Second, 30 * time.Second},
		{"token bucket in the kernel", (*chaos).tokenBucket, 4 * time.Second, 20 * time.Second},
	}, 6 * time.Second},
	{"process 1", processes, 4 * time.Second},
	{"process 2", processes, 4 * time.Second},
}

var processes = []trouble{
	{"kill", onHost((*host).doKill), 0, 10 * time.Second},
	{"kill", onHost((*host).doKill), 0, 2 * time.Second},
	{"term", onHost((*host).doTerm), 0, 8 * time.Second},
	{"freeze", onHost((*host).freeze), 2 * time.Second, 75 * time.Second},
	{"clock", onHost((*host).jump), time.Second, 10 * time.Second},
	{"clock", onHost((*host).jump), time.Second, 10 * time.Second},
	{"full disk", onDisk((*host).fill), 5 * time.Second, 30 * time.Second},
	{"backup", onHost((*host).makeBackup), 0, time.Second},
	{"restored copy", onHost((*host).restore), 0, time.Second},
	{"rolled back", onHost((*host).rollBack), 2 * time.Second, 12 * time.Second},
	{"leaves and joins empty", onHost((*host).wipe), 0, 5 * time.Second},
}

// torment follows a plan that the seed makes.
func (x *chaos) torment(last time.Duration) {
	type planned struct {
		trouble
		at, last time.Duration
		seed     uint64
	}
	var wg sync.WaitGroup
	begin := x.since()
	for i, l := range lanes {
		random := rand.New(rand.NewPCG(*seed, uint64(100+i)))
		var plan []planned
		var deck []trouble
		for at := time.Duration(random.Int64N(int64(3 * time.Second))); ; {
			if len(deck) == 0 {
				deck = slices.Clone(l.troubles)
				random.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
			}
			p := planned{trouble: deck[0], at: at, seed: random.Uint64()}
			deck = deck[1:]
			longest := max(min(p.longest, last/6), p.shortest)
			p.last = (p.shortest + time.Duration(random.Float64()*random.Float64()*float64(longest-p.shortest))).Round(100 * time.Millisecond)
			if at += p.last; at > last {
				break
			}
			at += time.Duration(random.Int64N(int64(l.pause)))
			plan = append(plan, p)
			x.t.Logf("plan: %-9s from %6.1fs for %5.1fs: %s", l.name, p.at.Seconds(), p.last.Seconds(), p.name)
		}
		wg.Go(func() {
			for _, p := range plan {
				if wait := begin + p.at - x.since(); wait > 0 {
					<-time.After(wait)
				}
				start := x.since()
				if start > begin+last { // what came before it took longer than planned
					break
				}
				told, done := p.do(x, rand.New(rand.NewPCG(p.seed, 0)), p.last), p.name
				if strings.Contains(told, wasNot) {
					done = "not " + p.name
				}
				x.count("troubles", done)
				x.logf("%s: %s %s, since %.1fs", l.name, p.name, told, start.Seconds())
			}
		})
	}
	wg.Wait()
}

// heal makes all well again.
func (x *chaos) heal() {
	x.wires.partition(nil)
	x.wires.links(nil)
	for _, h := range x.hosts {
		h.busy.Lock()
		h.setClock(0)
		h.supervise()
		h.busy.Unlock()
	}
	x.logf("all is well again")
}

// Partitions.

// cutUnless cuts every way but those that are kept.
func (x *chaos) cutUnless(last time.Duration, kept func(from, to int) bool) {
	cut := map[[2]int]bool{}
	for from := range x.hosts {
		for to := range x.hosts {
			cut[[2]int{from, to}] = !kept(from, to)
		}
	}
	x.wires.partition(cut)
	<-time.After(last)
	x.wires.partition(nil)
}

func (x *chaos) halves(r *rand.Rand, last time.Duration) string {
	at := r.Perm(len(x.hosts))
	x.cutUnless(last, func(a, b int) bool { return (at[a] < 2) == (at[b] < 2) })
	return fmt.Sprint(at)
}

func (x *chaos) isolated(r *rand.Rand, last time.Duration) string {
	i := r.IntN(len(x.hosts))
	x.cutUnless(last, func(a, b int) bool { return a != i && b != i })
	return x.hosts[i].name
}

// ring: each reaches two others.
func (x *chaos) ring(r *rand.Rand, last time.Duration) string {
	n, at := len(x.hosts), r.Perm(len(x.hosts))
	x.cutUnless(last, func(a, b int) bool { return (at[a]+1)%n == at[b] || (at[b]+1)%n == at[a] })
	return fmt.Sprint(at)
}

// bridge: two halves that one host is in both of.
func (x *chaos) bridge(r *rand.Rand, last time.Duration) string {
	at := r.Perm(len(x.hosts))
	x.cutUnless(last, func(a, b int) bool { return at[a] == 2 || at[b] == 2 || (at[a] < 2) == (at[b] < 2) })
	return fmt.Sprint(at)
}

// oneWay cuts some directions.
func (x *chaos) oneWay(r *rand.Rand, last time.Duration) string {
	cut := map[[2]int]bool{}
	for range 3 + r.IntN(5) {
		cut[[2]int{r.IntN(len(x.hosts)), r.IntN(len(x.hosts))}] = true
	}
	x.cutUnless(last, func(a, b int) bool { return !cut[[2]int{a, b}] })
	return fmt.Sprintf("%d directions", len(cut))
}

func (x *chaos) deafOrMute(r *rand.Rand, last time.Duration) string {
	i, deaf := r.IntN(len(x.hosts)), r.IntN(2) == 0
	x.cutUnless(last, func(a, b int) bool { return deaf && b != i || !deaf && a != i })
	return fmt.Sprintf("%s, deaf: %v", x.hosts[i].name, deaf)
}

// links gives some directions, or all, a quality.
func links(quality func(*rand.Rand) netswitch.Quality) func(*chaos, *rand.Rand, time.Duration) string {
	return func(x *chaos, r *rand.Rand, last time.Duration) string {
		all := map[[2]int]netswitch.Quality{}
		share := 0.2 + 0.8*r.Float64()
		for from := range x.hosts {
			for to := range x.hosts {
				if from != to && r.Float64() < share {
					all[[2]int{from, to}] = quality(r)
				}
			}
		}
		x.wires.links(all)
		<-time.After(last)
		x.wires.links(nil)
		return fmt.Sprintf("on %d directions", len(all))
	}
}

func (x *chaos) tokenBucket(r *rand.Rand, last time.Duration) string {
	i := r.IntN(len(x.hosts))
	tc := []string{"ip", "netns", "exec", x.wires.namespace(i), "tc", "qdisc"}
	run(x.t, append(tc, "add", "dev", "eth0", "root", "tbf", "rate", "256kbit", "burst", "32kbit", "latency", "400ms")...)
	<-time.After(last)
	run(x.t, append(tc, "del", "dev", "eth0", "root")...)
	return x.hosts[i].name
}

// Processes.

// onHost does something to a host that nothing else is done to.
func onHost(do func(*host, *rand.Rand, time.Duration) string) func(*chaos, *rand.Rand, time.Duration) string {
	return func(x *chaos, r *rand.Rand, last time.Duration) string {
		return x.hosts[r.IntN(len(x.hosts))].alone(do, r, last)
	}
}

// onDisk does something to a host whose directory is a file system of its own.
func onDisk(do func(*host, *rand.Rand, time.Duration) string) func(*chaos, *rand.Rand, time.Duration) string {
	return func(x *chaos, r *rand.Rand, last time.Duration) string {
		small := slices.DeleteFunc(slices.Clone(x.hosts), func(h *host) bool { return !h.tmpfs })
		return small[r.IntN(len(small))].alone(do, r, last)
	}
}

func (h *host) alone(do func(*host, *rand.Rand, time.Duration) string, r *rand.Rand, last time.Duration) string {
	h.busy.Lock()
	defer h.busy.Unlock()
	h.x.processes.RLock()
	defer h.x.processes.RUnlock()
	h.supervise()
	return h.name + " " + do(h, r, last)
}

// supervise starts a daemon again that ended since its disk was full: where the disk fills up faster than the daemon looks,
// that is what it does. It must not end for any other reason.
func (h *host) supervise() {
	select {
	case <-h.ended:
	default:
		return
	}
	if !h.endedOnFullDisk() {
		h.t.Errorf("%s ended by itself (%v): %s", h.name, h.exit, tail(h.logText(0), 1))
	}
	h.x.count("troubles", "ended on a full disk, and was started again")
	h.kill()
	h.up()
}

// endedOnFullDisk reports whether the daemon ended as docs/operations.md has it for a full disk: with a last line that says
// so, or, where its disk was filled, at once with a trace behind the line of the event.
func (h *host) endedOnFullDisk() bool {
	const full = "no space left on device"
	if last := tail(h.logText(0), 1); strings.Contains(last, "the datastore failed") && strings.Contains(last, full) {
		return true
	}
	var exit *exec.ExitError
	if !h.filled || !errors.As(h.exit, &exit) || exit.ExitCode() != 2 {
		return false
	}
	since, at := h.logText(h.filledFrom), 0
	for line := range strings.Lines(since) {
		at += len(line)
		if strings.Contains(line, "event=failed") && strings.Contains(line, full) {
			h.traces = append(h.traces, [2]int{h.filledFrom + at, h.filledFrom + len(since)})
			return true
		}
	}
	return false
}

// up starts the process and waits until it is ready.
func (h *host) up() {
	h.filled = false
	h.begin()
	h.waitReadyFor(convergeWithin)
	h.learnPeerID()
}

func (h *host) learnPeerID() {
	_, peer := h.identity()
	h.peerID.Store(&peer)
}

func (h *host) doKill(_ *rand.Rand, last time.Duration) string {
	h.kill()
	<-time.After(last)
	h.up()
	return ""
}

func (h *host) doTerm(_ *rand.Rand, last time.Duration) string {
	h.stop()
	<-time.After(last)
	h.up()
	return ""
}

func (h *host) freeze(_ *rand.Rand, last time.Duration) string {
	h.signal(syscall.SIGSTOP)
	<-time.After(last)
	h.signal(syscall.SIGCONT)
	return fmt.Sprintf("for %v", last)
}

func (h *host) setClock(offset time.Duration) {
	if err := os.WriteFile(h.skew+".new", []byte(offset.String()), 0o600); err != nil {
		h.t.Error(err)
	}
	if err := os.Rename(h.skew+".new", h.skew); err != nil {
		h.t.Error(err)
	}
}

// jump makes the clock wrong, or right again. It stays as it is then.
func (h *host) jump(r *rand.Rand, last time.Duration) string {
	const day = 24 * time.Hour
	offsets := []time.Duration{0, 3 * time.Second, -3 * time.Second, 15 * time.Minute, -time.Hour, 5 * time.Hour, -20 * time.Hour,
		40 * day, -400 * day, 5 * 365 * day, -5 * 365 * day}
	offset := offsets[r.IntN(len(offsets))]
	h.gate.Lock()
	h.keys.Add(1) // those that are older than a day are forgotten
	h.setClock(offset)
	<-time.After(200 * time.Millisecond) // until the daemon has looked
	h.gate.Unlock()
	<-time.After(last)
	return fmt.Sprintf("to %v", offset)
}

// fill leaves little or no space on the disk for a while.
func (h *host) fill(r *rand.Rand, last time.Duration) string {
	free := []uint64{40 << 20, 8 << 20, 0}[r.IntN(3)]
	filler := filepath.Join(h.dir, "filler")
	h.filled, h.filledFrom = true, len(h.logText(0))
	var s syscall.Statfs_t
	if err := syscall.Statfs(h.dir, &s); err != nil {
		h.t.Error(err)
	}
	if have := s.Bavail * uint64(s.Bsize); have > free {
		// The daemon may take the last of it first.
		_ = exec.Command("fallocate", "-l", fmt.Sprint(have-free), filler).Run()
	}
	<-time.After(last)
	if err := os.Remove(filler); err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.t.Error(err)
	}
	h.supervise()
	return fmt.Sprintf("but for %d MiB", free>>20)
}

// makeBackup copies the directory while the daemon is stopped.
func (h *host) makeBackup(_ *rand.Rand, _ time.Duration) string {
	h.stop()
	o := history.Op{ID: h.x.id(), Kind: history.Backup, Daemon: h.name, Start: h.x.micros(), Outcome: history.OK}
	run(h.t, "rm", "-rf", h.backup)
	run(h.t, "cp", "-a", h.dir, h.backup)
	h.backupOf = h.dirs
	o.End = h.x.micros()
	h.x.record(o)
	h.up()
	return ""
}

// lost records that the directory was taken away.
func (h *host) lost(start int64, kept bool) {
	h.x.record(history.Op{ID: h.x.id(), Kind: history.Lost, Daemon: h.name, Epoch: int(h.epoch.Load()), Start: start, End: h.x.micros(), Outcome: history.OK, Kept: kept})
}

// passOn lets one of the others have all, half of the time: without, what nobody else has is lost.
func (h *host) passOn(r *rand.Rand) string {
	if r.IntN(2) == 0 {
		return "at once"
	}
	to := h.x.hosts[(h.i+1+r.IntN(len(h.x.hosts)-1))%len(h.x.hosts)]
	return fmt.Sprintf("%s has it all: %v", to.name, h.x.barrier(h, to, 5*time.Second))
}

// restore puts the backup, as a copy that shows, in the place of the directory. It gets fresh ids.
func (h *host) restore(r *rand.Rand, last time.Duration) string {
	if h.backupOf == 0 {
		h.makeBackup(r, last)
		<-time.After(age)
	}
	told := h.passOn(r)
	h.newEpoch(func() {
		h.kill()
		start := h.x.micros()
		run(h.t, "find", h.dir, "-mindepth", "1", "-delete")
		run(h.t, "cp", "-a", h.backup+"/.", h.dir)
		h.dirs++
		h.lost(start, true)
		h.up()
	})
	return told
}

// wipe has the daemon leave for good, and another join in its place.
func (h *host) wipe(r *rand.Rand, last time.Duration) string {
	told := h.passOn(r)
	h.newEpoch(func() {
		h.kill()
		start := h.x.micros()
		run(h.t, "find", h.dir, "-mindepth", "1", "-delete")
		<-time.After(last)
		h.dirs++
		h.backupOf = 0
		h.lost(start, false)
		h.up()
	})
	return told
}

// rollBack puts the datastore of the backup under a daemon in such a way that nothing shows, as when the image
// of a disk is put back, and lets it write alone, until it meets the others. Nothing may be lost then if all of
// them hold everything that it wrote: so it is done when they do.
func (h *host) rollBack(r *rand.Rand, last time.Duration) string {
	if h.backupOf != h.dirs {
		h.makeBackup(r, last)
		<-time.After(age)
	}
	former, _ := h.identity()
	h.x.processes.RUnlock()
	h.x.processes.Lock()
	lags := h.rollBackUnseen()
	h.x.processes.Unlock()
	h.x.processes.RLock()
	if lags != "" {
		return wasNot + lags + " does not hold all of it"
	}
	<-time.After(last)
	h.newEpoch(func() {
		h.x.wires.unplug(h.i, false)
		eventually(h.t, convergeWithin, h.name+" begins anew", func() error {
			replica, _ := h.identity()
			if replica == former {
				return errors.New("it goes by its former id")
			}
			return h.answers()
		})
		h.forked.Store(false)
	})
	return fmt.Sprintf("wrote alone for %v", last)
}

// rollBackUnseen has the daemon, unplugged, run on the datastore of the backup. All others run. It returns the name of a host that does
// not hold everything in time: then nothing was done.
func (h *host) rollBackUnseen() (lags string) {
	h.newEpoch(func() {
		// What a daemon writes by itself are rights that it gives to those who ask: nobody does, and who
		// has is answered.
		h.x.asking.Lock()
		defer h.x.asking.Unlock()
		h.x.wires.spare(h.i, true)
		defer h.x.wires.spare(h.i, false)
		<-time.After(time.Second)
		late := h.x.since() + 20*time.Second // they may have to find each other first
		for _, other := range h.x.hosts {
			for other != h && !h.x.barrier(h, other, 5*time.Second) {
				if h.x.since() > late {
					lags = other.name
					return
				}
				<-time.After(500 * time.Millisecond)
			}
		}
		h.x.wires.unplug(h.i, true)
		h.forked.Store(true)
		h.kill()
		start := h.x.micros()
		run(h.t, "rm", "-r", h.dir+"/pebble")
		run(h.t, "cp", "-a", h.backup+"/pebble", h.dir)
		h.lost(start, true)
		h.up()
	})
	return lags
}

// answers reports whether the daemon answers reads.
func (h *host) answers() error {
	r, err := h.try("GET", ns+"/keys?limit=1", "")
	if err == nil && r.status != 200 {
		err = errors.New(r.String())
	}
	return err
}
