package sync

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// link carries the messages of one session between a pull and a serve, one at a time.
type link struct {
	pull        *PullSession
	serve       *ServeSession
	up, down    [][]byte // towards the serve, towards the pull
	upBytes     int
	downBytes   int
	rounds      int
	done        bool
	pullDone    bool
	onStep      func()
	servedError error
}

func dial(t testing.TB, cfg Config, to *memCopy, from func() (Source, error)) *link {
	t.Helper()
	l := &link{pull: NewPull(cfg, to), serve: NewServe(cfg, from)}
	out, err := l.pull.Start()
	if err != nil {
		t.Fatal(err)
	}
	l.sendUp(out)
	return l
}

func (l *link) sendUp(ms [][]byte) {
	for _, m := range ms {
		l.upBytes += len(m)
	}
	l.up = append(l.up, ms...)
}

func (l *link) sendDown(ms [][]byte) {
	for _, m := range ms {
		l.downBytes += len(m)
	}
	l.down = append(l.down, ms...)
}

// step delivers one message, down when it can and the choice says so.
func (l *link) step(down bool) error {
	if l.onStep != nil {
		l.onStep()
	}
	if len(l.down) > 0 && (down || len(l.up) == 0) {
		m := l.down[0]
		l.down = l.down[1:]
		out, done, err := l.pull.Handle(m)
		l.sendUp(out)
		l.pullDone = done
		if err != nil || done {
			l.done = true
			l.serve.Close()
		}
		return err
	}
	if len(l.up) == 0 {
		return errors.New("the session is stuck")
	}
	m := l.up[0]
	l.up = l.up[1:]
	if len(l.down) == 0 {
		l.rounds++
	}
	out, _, err := l.serve.Handle(m)
	l.sendDown(out)
	l.servedError = err
	return nil
}

// run delivers everything until the pull is done.
func (l *link) run() error {
	for !l.done {
		if err := l.step(true); err != nil {
			return err
		}
	}
	return nil
}

// testConfig returns a configuration under which small tests take every way.
func testConfig(rng *rand.Rand) Config {
	cfg := DefaultConfig()
	cfg.Window = 2
	cfg.ChunkBytes = []int{20, 200, maxChunkBytes}[rng.IntN(3)]
	if rng.IntN(2) == 0 {
		cfg.LogMaxDots = 1
	}
	return cfg
}

// TestSessionsConverge lets random copies write, gossip and pull from each other while sessions
// run, are cut and begin anew with others, and compares with the reference at every step.
func TestSessionsConverge(t *testing.T) {
	for seed := range uint64(400) {
		if err := runSessions(t, seed, noMistake); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// TestMistakesAreCaught shows that the test above would notice.
func TestMistakesAreCaught(t *testing.T) {
	for m, name := range map[mistake]string{
		killsAsList: "kills as a list", addsAtRequest: "adds judged at the request", noSnapshot: "no snapshot",
		livenessResumed: "liveness resumed after a cut", clockBeforeEntry: "clock before its entries",
		latestRun: "the latest run with all units",
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(400) {
				if err := runSessions(t, seed, m); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Error("no run goes wrong")
		})
	}
}

type flock struct {
	t      testing.TB
	rng    *rand.Rand
	world  *world
	copies []*memCopy
	links  map[int]*link // by the copy that pulls
}

func runSessions(t testing.TB, seed uint64, m mistake) error {
	f := &flock{t: t, rng: rand.New(rand.NewPCG(seed, 1)), world: newWorld(), links: map[int]*link{}}
	for i := range 3 {
		c := newCopy(f.world, crdt.ReplicaID(i+1), f.rng.Uint64())
		c.mistake = m
		f.copies = append(f.copies, c)
	}
	for range 150 {
		i := f.rng.IntN(len(f.copies))
		if err := f.step(i); err != nil {
			return err
		}
		if err := f.world.check(f.copies[i]); err != nil {
			return err
		}
		if err := f.checkClaims(f.copies[i]); err != nil {
			return err
		}
	}
	return f.settle()
}

// checkClaims looks at what c would tell as those do that it is about: nobody has forked.
func (f *flock) checkClaims(c *memCopy) error {
	st := c.status()
	for _, of := range f.copies {
		if err := of.status().checkOwn(claimOf(of.id, st.Clock, st.toldRuns())); err != nil {
			return fmt.Errorf("%v: %w", c.id, err)
		}
	}
	return nil
}

// step lets copy i do or suffer something.
func (f *flock) step(i int) error {
	c := f.copies[i]
	l := f.links[i]
	switch k := f.rng.IntN(13); {
	case k == 12:
		c.restart(f.rng.Uint64())
	case k < 3:
		c.write(f.rng)
	case k < 5: // gossip: what another one did last, if it fits
		if from := f.copies[f.rng.IntN(len(f.copies))]; len(from.log) > 0 {
			u := from.log[len(from.log)-1-f.rng.IntN(min(3, len(from.log)))]
			if err := c.take(u, from.issuers[crdt.Dot{Replica: u.Origin, Seq: u.First}]); err != nil && !errors.Is(err, delta.ErrGap) {
				return err
			}
		}
	case k < 6:
		c.trim(f.rng.IntN(4))
	case k < 7 && l != nil: // a cut
		if c.oldStream == nil {
			c.oldStream = delta.NewDotSet()
		}
		c.oldStream = c.oldStream.Or(l.pull.streamed)
		l.serve.Close()
		delete(f.links, i)
	case l == nil:
		from := f.copies[(i+1+f.rng.IntN(len(f.copies)-1))%len(f.copies)]
		f.links[i] = dial(f.t, testConfig(f.rng), c, from.source)
	default:
		return f.advance(i, l)
	}
	return nil
}

func (f *flock) advance(i int, l *link) error {
	err := l.step(f.rng.IntN(2) == 0)
	if l.done {
		delete(f.links, i)
	}
	return err
}

// settle lets everybody pull from everybody, without writes, until nothing changes.
func (f *flock) settle() error {
	for range 3 {
		for _, c := range f.copies {
			for _, from := range f.copies {
				if c == from {
					continue
				}
				if err := dial(f.t, testConfig(f.rng), c, from.source).run(); err != nil {
					return err
				}
				if err := f.world.check(c); err != nil {
					return err
				}
			}
		}
	}
	for _, c := range f.copies[1:] {
		if !c.state.Equal(f.copies[0].state) {
			return fmt.Errorf("%v and %v did not converge", f.copies[0].id, c.id)
		}
	}
	return nil
}
