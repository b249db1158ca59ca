package sim

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
)

var (
	seeds = flag.Int("sim.seeds", 500, "how many seeds to run; with -short at most 100")
	first = flag.Uint64("sim.first", 1, "the first seed")
	tries = flag.Int("sim.shrink", 400, "how many runs to spend on a smaller case of a failure")
	only  = flag.String("sim.only", "", "names of the steps of the plan that happen, all others are left out")
)

func TestMain(m *testing.M) {
	flag.Parse()
	debug.SetGCPercent(400) // worlds are small, and leave much behind
	os.Exit(m.Run())
}

// run plays worlds, as many at a time as there are processors, until one fails. It returns what they went
// through, and of those that failed the first.
func run(t *testing.T, worlds []Config) (total Result, failed *Config, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	next := 0
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1, next <= len(worlds) && failed == nil
	}
	at := len(worlds)
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for i, ok := take(); ok; i, ok = take() {
				res, rerr := Run(worlds[i], t.TempDir())
				mu.Lock()
				if total.add(res); rerr != nil && i < at {
					at, failed, err = i, &worlds[i], rerr
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return total, failed, err
}

// add adds up what two runs went through.
func (r *Result) add(o Result) {
	r.Units += o.Units
	r.Cuts += o.Cuts
	r.Crashes += o.Crashes
	r.Checks += o.Checks
	r.Events += o.Events
	r.Virtual += o.Virtual
	r.Rot += o.Rot
	r.Forks += o.Forks
	r.Retired += o.Retired
	r.Expired += o.Expired
	r.Strays += o.Strays
	r.Alarms += o.Alarms
	r.Stamps += o.Stamps
	r.Singles += o.Singles
	r.Groups += o.Groups
	r.Trees += o.Trees
	r.Chunks += o.Chunks
}

// TestKept runs the worlds that have once shown something.
func TestKept(t *testing.T) {
	f, err := os.Open("testdata/kept")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for number := 1; lines.Scan(); number++ {
		t.Run(fmt.Sprint(number), func(t *testing.T) {
			var cfg Config
			line := json.NewDecoder(strings.NewReader(lines.Text()))
			line.DisallowUnknownFields()
			if err := line.Decode(&cfg); err != nil {
				t.Fatal(err)
			}
			demandSteps(t, cfg)
			showed := strings.TrimSpace(lines.Text()[line.InputOffset():])
			if _, err := Run(cfg, t.TempDir()); err != nil {
				t.Errorf("kept world %d, which has shown: %s\n%v\nreplay: go test ./internal/sim -run 'TestKept/%d$' -count=1", number, showed, err, number)
			}
		})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// TestSeeds runs one world for each seed. A failure names the command that replays it.
func TestSeeds(t *testing.T) {
	count := *seeds
	if testing.Short() {
		count = min(count, 100)
	}
	worlds := make([]Config, count)
	for i := range worlds {
		worlds[i] = ConfigOf(*first + uint64(i))
		if *only != "" {
			worlds[i].Only = strings.Split(*only, ",")
			demandSteps(t, worlds[i])
		}
	}
	total, failed, err := run(t, worlds)
	if failed != nil {
		t.Fatalf("seed %d: %v\n%s", failed.Seed, err, replay(t, *failed))
	}
	t.Logf("%d seeds: %d units, %d events, %d sessions cut, %d crashes, %d readers checked, %v of virtual time",
		count, total.Units, total.Events, total.Cuts, total.Crashes, total.Checks, total.Virtual)
	t.Logf("%d forks healed, %d disks rotten, %d ids retired, %d entries over", total.Forks, total.Rot, total.Retired, total.Expired)
	t.Logf("%d timestamps, %d announced units pulled, %d commits of several writers, %d replicas beyond a leaf, %d beyond a chunk",
		total.Stamps, total.Singles, total.Groups, total.Trees, total.Chunks)
	if count > 50 && min(total.Units, total.Cuts, total.Crashes, total.Checks, total.Forks, total.Rot, total.Retired, total.Expired,
		total.Stamps, total.Singles, total.Groups, total.Trees, total.Chunks) == 0 {
		t.Fatal("the worlds were too kind to prove anything")
	}
}

// demandSteps: a step that is not there cannot fail, so a name that says nothing is no replay.
func demandSteps(t *testing.T, cfg Config) {
	t.Helper()
	for _, name := range cfg.Only {
		if !slices.ContainsFunc(cfg.plan(), func(s step) bool { return s.name() == name }) {
			t.Fatalf("seed %d has no step %q", cfg.Seed, name)
		}
	}
}

// TestKinds: every kind of step has a name of its own, happens in some world, and somebody carries it out.
func TestKinds(t *testing.T) {
	for k := range kinds {
		if at := slices.Index(kindNames[:], k.String()); k.String() == "" || at != int(k) {
			t.Errorf("kind %d is called %q, as is kind %d", k, k, at)
		}
		seed := uint64(1)
		for cfg := ConfigOf(seed); cfg.Steps[k] == 0; cfg = ConfigOf(seed) {
			if seed++; seed > 1000 {
				t.Fatalf("no world has a step of the kind %v", k)
			}
		}
		cfg := ConfigOf(seed)
		cfg.Only = []string{step{kind: k}.name()}
		if _, err := Run(cfg, t.TempDir()); err != nil {
			t.Errorf("%v alone: %v", k, err)
		}
	}
}

// TestShrink: what is left of a plan is what it takes, be it nothing.
func TestShrink(t *testing.T) {
	cfg := ConfigOf(1)
	has := func(c Config, name string) bool {
		return slices.ContainsFunc(c.plan(), func(s step) bool { return s.name() == name })
	}
	small := Shrink(cfg, 1000, func(c Config) bool { return has(c, "write.3") && has(c, "write.20") })
	slices.Sort(small.Only)
	if !slices.Equal(small.Only, []string{"write.20", "write.3"}) {
		t.Errorf("%q are left", small.Only)
	}
	if small = Shrink(cfg, 1000, func(Config) bool { return true }); small.Only == nil || len(small.plan()) != 0 {
		t.Errorf("%d steps are left of what fails without any", len(small.plan()))
	}
}

// TestThirdParty: somebody meets the rolled-back side of a fork before anybody who knows the other side. What
// both hold then is not promised, but that it is told, and that replication goes on.
func TestThirdParty(t *testing.T) {
	worlds := make([]Config, 40)
	for i := range worlds {
		c := ConfigOf(uint64(i) + 1)
		c.Steps = Steps{write: 60, fork: 3, partition: c.Steps[partition], flap: c.Steps[flap], oneWay: c.Steps[oneWay]}
		c.Nodes, c.Memory, c.Third, c.LossPercent, c.MaxLogBytes = 4, false, true, 80, 1<<20
		worlds[i] = c
	}
	total, failed, err := run(t, worlds)
	if failed != nil {
		t.Fatalf("seed %d: %v", failed.Seed, err)
	}
	if t.Logf("%d histories stood beside others, %d alarms", total.Strays, total.Alarms); total.Strays == 0 {
		t.Error("nobody met the rolled-back side first")
	}
}

// replay names the commands that replay a failure: as it was, and with as few steps as it takes, which may then
// break something else. The last line is for testdata/kept.
func replay(t *testing.T, cfg Config) string {
	command := fmt.Sprintf("go test ./internal/sim -run 'TestSeeds$' -count=1 -sim.seeds=1 -sim.first=%d", cfg.Seed)
	text := "replay: " + command
	if cfg.Only != nil {
		text += " -sim.only=" + strings.Join(cfg.Only, ",")
	}
	if cfg.Only != nil || *tries == 0 {
		return text + "\n" + kept(t, cfg)
	}
	small := Shrink(cfg, *tries, func(c Config) bool {
		_, err := Run(c, t.TempDir())
		return err != nil
	})
	var steps []string
	for _, s := range small.plan() {
		steps = append(steps, s.String())
	}
	_, err := Run(small, t.TempDir())
	return fmt.Sprintf("%s\nsmaller: %s -sim.only=%s\n%v\n%s\n%s", text, command, strings.Join(small.Only, ","), err, strings.Join(steps, "\n"), kept(t, small))
}

// kept is a world as a line of testdata/kept has it.
func kept(t *testing.T, cfg Config) string {
	b, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
