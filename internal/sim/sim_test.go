package sim

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

var (
	seeds = flag.Int("sim.seeds", 150, "how many seeds to run")
	first = flag.Uint64("sim.first", 1, "the first seed")
	tries = flag.Int("sim.shrink", 400, "how many runs to spend on a smaller case of a failure")
	only  = flag.String("sim.only", "", "numbers of the steps of the plan that happen, all others are left out")
)

// TestSeeds runs one world for each seed. A failure names the command that replays it.
func TestSeeds(t *testing.T) {
	var total Result
	for seed := *first; seed < *first+uint64(*seeds); seed++ {
		cfg := ConfigOf(seed)
		cfg.Only = numbers(t, *only)
		res, err := Run(cfg, t.TempDir())
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, replay(t, cfg))
		}
		total.Units += res.Units
		total.Cuts += res.Cuts
		total.Crashes += res.Crashes
		total.Checks += res.Checks
		total.Events += res.Events
		total.Virtual += res.Virtual
	}
	t.Logf("%d seeds: %d units, %d events, %d sessions cut, %d crashes, %d readers checked, %v of virtual time",
		*seeds, total.Units, total.Events, total.Cuts, total.Crashes, total.Checks, total.Virtual)
	if *seeds > 20 && (total.Units == 0 || total.Cuts == 0 || total.Crashes == 0 || total.Checks == 0) {
		t.Fatal("the worlds were too kind to prove anything")
	}
}

// replay names the commands that replay a failure: as it was, and with as few steps as it takes.
func replay(t *testing.T, cfg Config) string {
	const command = "go test ./internal/sim -run 'TestSeeds$' -count=1 -sim.seeds=1 -sim.first="
	text := fmt.Sprintf("replay: %s%d", command, cfg.Seed)
	if cfg.Only != nil || *tries == 0 {
		return text + " -sim.only=" + *only
	}
	small := Shrink(cfg, *tries, func(c Config) bool {
		_, err := Run(c, t.TempDir())
		return err != nil
	})
	var numbers, steps []string
	for _, s := range small.plan() {
		numbers, steps = append(numbers, strconv.Itoa(s.number)), append(steps, s.String())
	}
	_, err := Run(small, t.TempDir())
	return fmt.Sprintf("%s\nsmaller: %s%d -sim.only=%s\n%v\n%s", text, command, cfg.Seed, strings.Join(numbers, ","), err, strings.Join(steps, "\n"))
}

func numbers(t *testing.T, list string) []int {
	if list == "" {
		return nil
	}
	ns := []int{}
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		ns = append(ns, n)
	}
	return ns
}
