package store

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

var (
	forkSeeds = flag.Int("fork.seeds", 150, "how many forks to heal")
	forkFirst = flag.Uint64("fork.first", 1, "the seed of the first")
)

// modelOp is one operation as its author meant it. takes are the ops that it takes away, by number:
// those that its author knew and that stood there. It knows nothing of dots, and of nobody's id.
type modelOp struct {
	path   crdt.Path
	amount int64
	value  string
	makes  bool // an increment, a member or a value
	takes  []int
}

// modelled is a copy and the ops that it knows.
type modelled struct {
	n     *Namespace
	known map[int]bool
}

// forkModel is a history of two branches of one id, and what all must show in the end.
type forkModel struct {
	*forked
	rng *rand.Rand
	ops []modelOp
}

// TestForksHeal: random histories on both sides of a fork, with other replicas that write and that know
// more or less of it. In the end all replicas show every operation once.
func TestForksHeal(t *testing.T) {
	for seed := *forkFirst; seed < *forkFirst+uint64(*forkSeeds); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := &forkModel{forked: &forked{rig: newRig(t)}, rng: rand.New(rand.NewPCG(seed, 1))}
			m.opts.Rand = seeded{rand.New(rand.NewPCG(seed, 2))}
			m.opts.LargeEntries = []int{1, 8, 4096}[m.rng.IntN(3)]
			m.play()
			if t.Failed() {
				t.Logf("replay: go test ./store -run 'TestForksHeal$' -fork.first=%d -fork.seeds=1", seed)
			}
		})
	}
}

func (m *forkModel) play() {
	m.store, m.n = m.space()
	m.id = m.n.Replica()
	a := &modelled{m.n, map[int]bool{}}
	all := []*modelled{a}
	for range 2 {
		all = append(all, &modelled{memorySpace(m.t, nil), map[int]bool{}})
	}
	m.mix(20, all...)
	if m.rng.IntN(2) == 0 {
		m.restart(a)
	}
	m.mix(10, all...)
	image, known := copyOf(m.t, m.backend.Backend), maps.Clone(a.known)
	for range m.rng.IntN(3) { // the history that is lost here
		m.restart(a)
		m.write(a)
		m.mix(10, all...)
	}
	m.certain(a, "lost")
	m.pull(all[1], a)
	m.store.Close()
	m.backend.disturb(func(d *disturbed) { d.Backend = image })
	a.known = known
	m.store, a.n = m.space()
	for range m.rng.IntN(3) { // and the one that nobody else hears of
		for range m.rng.IntN(8) {
			m.write(a)
		}
		m.restart(a)
	}
	m.mix(6, all[1:]...)
	m.recover(a, all[1:])
	m.mix(4, all...)
	for range 10 { // purges follow, and have to be heard of too
		for _, to := range all {
			for _, from := range all {
				m.pull(to, from)
			}
		}
		for _, c := range all {
			checkConsistency(m.t, c.n)
		}
	}
	m.compare(all)
}

// recover has the copy begin anew and join who can show the fork.
func (m *forkModel) recover(a *modelled, peers []*modelled) {
	m.t.Helper()
	if err := m.store.HealFork(Default); err != nil {
		m.t.Fatal(err)
	}
	a.n = namespaceOf(m.t, m.store, Default)
	for _, i := range m.rng.Perm(len(peers)) {
		m.n, m.peer = a.n, peers[i].n
		err := m.pullAgain()
		if err == nil {
			maps.Copy(a.known, peers[i].known)
			break
		}
		if !errors.Is(err, ErrNoProof) || peers[i] == peers[0] {
			m.t.Fatal(err)
		}
	}
	if err := a.n.Err(); err != nil {
		m.t.Fatal(err)
	}
	checkConsistency(m.t, a.n)
}

// certain writes something that is a change whatever was there.
func (m *forkModel) certain(to *modelled, value string) {
	mustCommit(m.t, to.n, assign(tRegister, value))
	o := modelOp{path: tRegister, makes: true, value: value, takes: m.standing(to, tRegister)}
	to.known[len(m.ops)] = true
	m.ops = append(m.ops, o)
}

// mix has copies write and hear of each other.
func (m *forkModel) mix(steps int, copies ...*modelled) {
	for range steps {
		x, y := copies[m.rng.IntN(len(copies))], copies[m.rng.IntN(len(copies))]
		if m.rng.IntN(3) > 0 {
			m.write(x)
		} else if x != y {
			m.pull(x, y)
		}
	}
}

func (m *forkModel) restart(a *modelled) {
	m.store.Close()
	m.store, a.n = m.space()
}

func (m *forkModel) pull(to, from *modelled) {
	if to == from {
		return
	}
	if err := pull(m.t, to.n, from.n); err != nil {
		m.t.Fatal(err)
	}
	maps.Copy(to.known, from.known)
}

// write commits some operations.
func (m *forkModel) write(to *modelled) {
	mustCommit(m.t, to.n, func(tx *Tx) error {
		for range 1 + m.rng.IntN(3) {
			if err := m.op(to, tx); err != nil {
				return err
			}
		}
		return nil
	})
}

func (m *forkModel) op(to *modelled, tx *Tx) error {
	counter := []crdt.Path{tCounter, tMap.Field("n").Leaf(crdt.Counter)}[m.rng.IntN(2)]
	register := []crdt.Path{tRegister, tField}[m.rng.IntN(2)]
	member := tSet.Member(fmt.Sprint(m.rng.IntN(4)))
	o := modelOp{path: counter}
	var err error
	switch m.rng.IntN(8) {
	case 0, 1, 2:
		o.amount, o.makes = m.rng.Int64N(100)-30, true
		err = tx.Increment(counter, o.amount)
	case 3:
		o.takes = m.standing(to, counter)
		_, err = tx.Reset(counter, nil)
	case 4:
		o.path, o.makes, o.takes = member, true, m.standing(to, member)
		_, err = tx.Add(member)
	case 5:
		o.path, o.takes = member, m.standing(to, member)
		_, err = tx.Remove(member, nil)
	case 6:
		o.path, o.makes, o.takes = register, true, m.standing(to, register)
		o.value = fmt.Sprint(len(m.ops))
		err = tx.Assign(register, []byte(o.value), nil)
	default:
		o.path, o.takes = tMap, m.standing(to, tMap)
		_, err = tx.Delete(tMap, nil)
	}
	to.known[len(m.ops)] = true
	m.ops = append(m.ops, o)
	return err
}

// standing are the ops that a copy knows under a path and that none which it knows takes away.
func (m *forkModel) standing(at *modelled, prefix crdt.Path) []int {
	taken := map[int]bool{}
	for i := range at.known {
		for _, j := range m.ops[i].takes {
			taken[j] = true
		}
	}
	var left []int
	for i := range at.known {
		if o := m.ops[i]; o.makes && !taken[i] && prefix.Contains(o.path) {
			left = append(left, i)
		}
	}
	slices.Sort(left)
	return left
}

// compare demands of every copy what all operations together say.
func (m *forkModel) compare(all []*modelled) {
	m.t.Helper()
	everything := &modelled{known: map[int]bool{}}
	for i := range m.ops {
		everything.known[i] = true
	}
	sums, members, values := map[crdt.Path]int64{}, map[crdt.Path]bool{}, map[crdt.Path][]string{}
	for _, i := range m.standing(everything, "") {
		switch o := m.ops[i]; o.path.LeafType() {
		case crdt.Counter:
			sums[o.path] += o.amount
		case crdt.Set:
			members[o.path] = true
		default:
			values[o.path] = append(values[o.path], o.value)
		}
	}
	first := checkConsistency(m.t, all[0].n)
	for i, c := range all {
		if s := checkConsistency(m.t, c.n); !s.Equal(first) {
			m.t.Errorf("copy %d is not equal to the first", i)
		}
		for _, p := range []crdt.Path{tCounter, tMap.Field("n").Leaf(crdt.Counter)} {
			if got := counterAt(m.t, c.n, p); got != sums[p] {
				m.t.Errorf("copy %d: %q is %d, want %d", i, p, got, sums[p])
			}
		}
		for k := range 4 {
			p := tSet.Member(fmt.Sprint(k))
			if got := len(valuesAt(m.t, c.n, p)) > 0; got != members[p] {
				m.t.Errorf("copy %d: member %d is there: %t, want %t", i, k, got, members[p])
			}
		}
		for _, p := range []crdt.Path{tRegister, tField} {
			want := slices.Clone(values[p])
			slices.Sort(want)
			if got := valuesAt(m.t, c.n, p); !slices.Equal(got, want) {
				m.t.Errorf("copy %d: %q is %q, want %q", i, p, got, want)
			}
		}
	}
}
