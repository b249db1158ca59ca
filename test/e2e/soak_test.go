//go:build e2e

package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	soakFor = flag.Duration("soak", 20*time.Second, "how long the soak test keeps daemons under load")
	soakOut = flag.String("soak-out", "", "where it leaves samples.csv and samples.svg; a temporary directory if empty")
)

// judgedFrom is how long a soak must be for its samples to be judged: below, logs and caches have not
// filled up in the first quarter.
const judgedFrom = 30 * time.Minute

// Daemons stay as large as they are, however long they run: under a load that deletes as much as it
// writes, while members join, leave, are killed and come back.
func TestSoak(t *testing.T) {
	t.Logf("%v, seed %d: go test -tags e2e ./test/e2e -run %s -args -seed=%[2]d -soak=%[1]v", *soakFor, *seed, t.Name())
	dir := workDir(t)
	*binary = probed(t, dir)
	out := *soakOut
	if out == "" {
		out = t.TempDir()
	}
	samples, plot := filepath.Join(out, "samples.csv"), filepath.Join(out, "samples.svg")
	s := newSoak(t, dir, samples)
	s.run(*soakFor)
	s.settle()

	args := []string{"-plot", plot}
	if *soakFor >= judgedFrom {
		args = append(args, "-judge")
	}
	cmd := exec.Command("go", append(append([]string{"run", "../soak"}, args...), samples)...)
	text, err := cmd.CombinedOutput()
	t.Logf("samples of %d daemons: %s\n%s", s.started, samples, text)
	if err != nil {
		t.Errorf("judging the samples: %v", err)
	}
}

// probed builds a daemon that tells of its insides.
func probed(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "anabranch")
	run(t, "go", "build", "-tags", "probe", "-o", path, "../../cmd/anabranch")
	return path
}

// A soak is a cluster whose members come and go.
type soak struct {
	t       *testing.T
	dir     string
	random  *rand.Rand
	key     string
	known   []string // where the members that stay are reached
	steady  []*daemon
	killed  *daemon
	away    *daemon
	guest   *daemon // joins empty and leaves for good; nil while there is none
	loads   map[*daemon]*mixedLoad
	sampler *sampler
	started int
	counted map[string]int // requests that were answered, by what they did
}

func newSoak(t *testing.T, dir, samples string) *soak {
	t.Helper()
	s := &soak{t: t, dir: dir, random: rand.New(rand.NewPCG(*seed, 0)), key: filepath.Join(dir, "cluster.key"),
		loads: map[*daemon]*mixedLoad{}, counted: map[string]int{}}
	newClusterKey(t, s.key)
	s.sampler = newSampler(t, samples)
	for _, name := range []string{"a", "b", "c"} {
		d := s.member(name)
		s.steady = append(s.steady, d)
		s.known = append(s.known, d.listen)
	}
	s.killed, s.away = s.member("d-killed"), s.member("e-away")
	for _, d := range append(s.steady, s.killed, s.away) {
		s.join(d)
	}
	return s
}

// member returns a daemon that was not started.
func (s *soak) member(name string) *daemon {
	s.t.Helper()
	d := newDaemon(s.t, s.dir, name)
	d.listen = "/ip4/" + address() + "/tcp/7701"
	d.args = []string{"--mdns=false", "--cluster-key-file", s.key}
	for _, peer := range s.known {
		d.args = append(d.args, "--peer", peer)
	}
	d.under = []string{"env", "PROBE_SOCKET=" + probeSocket(d)}
	s.started++
	return d
}

func probeSocket(d *daemon) string { return d.socket + ".probe" }

// join starts a daemon and its load.
func (s *soak) join(d *daemon) {
	s.t.Helper()
	d.start()
	d.do(http.StatusCreated, "PUT", "/v1/ns/live", `{"storage":"memory"}`)
	s.resume(d)
}

// resume watches and loads a daemon that runs.
func (s *soak) resume(d *daemon) {
	s.t.Helper()
	l := newMixedLoad(d, s.random.Uint64(), slices.Contains(s.steady, d))
	s.loads[d] = l
	s.sampler.watch(d, l)
}

// pause takes a daemon out: nobody watches it any more, then comes what ends it, under load, and the load
// ends last.
func (s *soak) pause(d *daemon, then func()) {
	s.t.Helper()
	s.sampler.forget(d)
	then()
	for what, n := range s.loads[d].end() {
		s.counted[what] += n
	}
	delete(s.loads, d)
}

func (s *soak) run(total time.Duration) {
	s.t.Helper()
	// Forty beats an hour, and at least four.
	beat := min(90*time.Second, total/4)
	end := time.After(total)
	for i := 0; ; i++ {
		if i%2 == 0 {
			s.guest = s.member(fmt.Sprint("f", i/2))
			s.join(s.guest)
		}
		s.pause(s.killed, s.killed.kill)
		s.killed.start()
		s.resume(s.killed)
		switch i % 4 {
		case 1:
			s.pause(s.away, s.away.stop)
		case 3:
			s.away.start()
			s.resume(s.away)
		}
		select {
		case <-end:
			return
		case <-time.After(beat):
		}
		if i%2 == 1 {
			s.leave()
		}
	}
}

// leave takes the guest out for good: its changes are with the others, and its id on disk is retired.
func (s *soak) leave() {
	s.t.Helper()
	a, g := s.steady[0], s.guest
	s.guest = nil
	_, peer := a.identity()
	replica, _ := g.identity()
	s.pause(g, func() {
		s.loads[g].stop()
		g.do(http.StatusOK, "POST", ns+"/sync", `{"direction":"push","peer":"`+peer+`"}`, "Prefer: wait=30")
		g.stop()
	})
	// It may have removed something that was over, behind the push.
	for _, d := range []*daemon{s.steady[1], s.steady[2], s.killed} {
		_, peer := d.identity()
		a.do(http.StatusOK, "POST", ns+"/sync", `{"direction":"pull","peer":"`+peer+`"}`, "Prefer: wait=30")
	}
	a.do(http.StatusOK, "POST", "/v1/replicas/"+replica+"/retire", "{}")
	if err := os.RemoveAll(g.dir); err != nil {
		s.t.Error(err)
	}
}

// settle ends the load, has everybody back, and demands that they hold the same in the end.
func (s *soak) settle() {
	s.t.Helper()
	running := append([]*daemon{s.killed}, s.steady...)
	if s.away.process == nil {
		s.away.start()
	} else {
		s.pause(s.away, func() {})
	}
	if s.guest != nil {
		s.pause(s.guest, func() {})
		running = append(running, s.guest)
	}
	for _, d := range append(s.steady, s.killed) {
		s.pause(d, func() {})
	}
	running = append(running, s.away)
	s.sampler.end()
	for _, of := range []string{"default", "live"} {
		took := eventually(s.t, time.Minute, "the same export of "+of, func() error {
			first := running[0].export(of)
			for _, d := range running[1:] {
				if e := d.export(of); e != first {
					return fmt.Errorf("%s and %s differ: %s", running[0].name, d.name, firstDifference(first, e))
				}
			}
			return nil
		})
		s.t.Logf("%s is the same at all %d members %v after the end of the load", of, len(running), took.Round(10*time.Millisecond))
	}
	for _, d := range running {
		d.stop()
		if strings.Contains(d.logText(0), "event=returned") {
			s.t.Errorf("%s was told of an id that was retired too early", d.name)
		}
	}
	for _, k := range kindsOfLoad {
		if s.counted[k.name] == 0 {
			s.t.Errorf("the load did nothing of the kind %q", k.name)
		}
	}
	s.t.Logf("done, by kind: %v", s.counted)
}
