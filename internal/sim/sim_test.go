package sim

import (
	"flag"
	"fmt"
	"path/filepath"
	"testing"
)

var (
	seeds = flag.Int("sim.seeds", 150, "how many seeds to run")
	first = flag.Uint64("sim.first", 1, "the first seed")
)

func dirs(t *testing.T, n int) []string {
	root := t.TempDir()
	ds := make([]string, n)
	for i := range ds {
		ds[i] = filepath.Join(root, fmt.Sprint(i))
	}
	return ds
}

// TestSeeds runs one world for each seed. A failure names the command that replays it.
func TestSeeds(t *testing.T) {
	var total Result
	for seed := *first; seed < *first+uint64(*seeds); seed++ {
		cfg := ConfigOf(seed)
		res, err := Run(cfg, dirs(t, cfg.Nodes))
		if err != nil {
			t.Fatalf("seed %d: %v\nreplay: go test ./internal/sim -run 'TestSeeds$' -sim.first=%d -sim.seeds=1", seed, err, seed)
		}
		total.Units += res.Units
		total.Cuts += res.Cuts
		total.Events += res.Events
		total.Virtual += res.Virtual
	}
	t.Logf("%d seeds: %d units, %d events, %d sessions cut, %v of virtual time", *seeds, total.Units, total.Events, total.Cuts, total.Virtual)
	if total.Units == 0 || total.Cuts == 0 {
		t.Fatal("the worlds were too kind to prove anything")
	}
}
