package crdttest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// Config says how much is tried. Zero fields take the defaults.
type Config struct {
	Seeds uint64 // how many runs, 200
	First uint64 // the first seed, 1
	Steps int    // of one run, 60
	// Replicas is how many there are at first, 3. Copies that are put back come under ids of their own.
	Replicas int
	// Only, if not nil, are the steps that happen, by number: as a failure prints them.
	Only []int
}

func (c Config) withDefaults() Config {
	if c.Seeds == 0 {
		c.Seeds = 200
	}
	if c.First == 0 {
		c.First = 1
	}
	if c.Steps == 0 {
		c.Steps = 60
	}
	if c.Replicas == 0 {
		c.Replicas = 3
	}
	return c
}

// Run tries the type with one seed after the other, and fails t with the first failure, made smaller. It also
// fails t if nothing that was done could be seen.
func Run(t testing.TB, typ Type, cfg Config) {
	t.Helper()
	cfg = cfg.withDefaults()
	seen := map[string]bool{}
	for seed := range cfg.Seeds {
		one := cfg
		one.First, one.Seeds = cfg.First+seed, 1
		w, err := try(typ, one)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range w.reads {
			seen[value] = true
		}
	}
	if len(seen) < 2 && cfg.Only == nil {
		t.Fatalf("whatever was done, readers saw %q: nothing was tested", slices.Collect(maps.Keys(seen)))
	}
}

// Try does one run, with the seed First, and returns what went wrong in its smallest case that was
// found, with what happened in it, or nil.
func Try(typ Type, cfg Config) error {
	_, err := try(typ, cfg.withDefaults())
	return err
}

func try(typ Type, cfg Config) (*world, error) {
	if typ.Draw == nil || typ.Read == nil {
		return nil, errors.New("crdttest: a Type has at least Draw and Read")
	}
	w, err := run(typ, cfg)
	if again, errAgain := run(typ, cfg); fmt.Sprint(errAgain) != fmt.Sprint(err) || !w.equal(again) {
		return nil, fmt.Errorf("seed %d: the type does not do and show the same when it is asked again, so nothing can be said of it "+
			"(a clock, randomness, the order of a map, or something that it keeps):\n%v\nand then:\n%v", cfg.First, outcome(w, err), outcome(again, errAgain))
	}
	if err == nil {
		return w, nil
	}
	only := cfg.Only
	if only == nil {
		for i := range cfg.Steps {
			only = append(only, i)
		}
	}
	for size := len(only) / 2; size >= 1; size /= 2 {
		for at := 0; at < len(only); {
			less := cfg
			less.Only = slices.Concat(only[:at], only[min(at+size, len(only)):])
			if less.Only == nil {
				less.Only = []int{}
			}
			if _, failed := run(typ, less); failed != nil {
				only = less.Only
				continue
			}
			at += size
		}
	}
	cfg.Only = only
	w, err = run(typ, cfg)
	return nil, fmt.Errorf("%w\n%s\nreplay: crdttest.Run(t, …, crdttest.Config{First: %d, Seeds: 1, Steps: %d, Replicas: %d, Only: %#v})%s",
		err, strings.Join(w.told, "\n"), cfg.First, cfg.Steps, cfg.Replicas, cfg.Only, w.stack)
}

// outcome is what the end of a run looked like.
func outcome(w *world, err error) string {
	told := w.told[max(0, len(w.told)-5):]
	return fmt.Sprintf("%s\n  %v", strings.Join(told, "\n"), cmp.Or(err, errors.New("all well")))
}

// replica is one copy and what has not arrived at it yet.
type replica struct {
	name  string
	id    crdt.ReplicaID
	state crdt.State
	said  crdt.VersionVector // the clock as of the last own unit
	inbox []int              // numbers of units
	old   *crdt.State        // a copy of the state, to be put back
}

// world is a run.
type world struct {
	typ      Type
	cfg      Config
	replicas []*replica
	units    []delta.Unit
	history  History
	last     []crdt.Dot        // by operation, what covers it
	reads    map[string]string // by clock
	told     []string
	stack    string // of a panic
	ids      uint64
}

// equal reports whether the same was done and seen.
func (w *world) equal(o *world) bool {
	return slices.Equal(w.told, o.told) && maps.Equal(w.reads, o.reads) && slices.EqualFunc(w.units, o.units, func(a, b delta.Unit) bool {
		return bytes.Equal(delta.AppendUnit(nil, a), delta.AppendUnit(nil, b))
	})
}

func run(typ Type, cfg Config) (w *world, err error) {
	w = &world{typ: typ, cfg: cfg, reads: map[string]string{}}
	at := "at the beginning"
	defer func() {
		if p := recover(); p != nil {
			w.stack, err = "\n"+string(debug.Stack()), fmt.Errorf("panic: %v", p)
		}
		if err != nil {
			err = fmt.Errorf("seed %d, %s: %w", cfg.First, at, err)
		}
	}()
	for range cfg.Replicas {
		w.add(crdt.NewState())
	}
	for i := range cfg.Steps {
		if cfg.Only != nil && !slices.Contains(cfg.Only, i) {
			continue
		}
		rng := rand.New(rand.NewPCG(cfg.First, uint64(i))) // of its own: the step stays what it is without the others
		at = fmt.Sprint("step ", i)
		if err := w.step(rng); err != nil {
			return w, err
		}
	}
	at = "at the end"
	return w, w.end()
}

func (w *world) add(s crdt.State) *replica {
	w.ids++
	// Ids are in no order of age: nothing may depend on that.
	r := &replica{name: fmt.Sprint("r", w.ids), id: crdt.ReplicaID(w.ids * 0x9e3779b97f4a7c15), state: s, said: crdt.VersionVector{}}
	w.replicas = append(w.replicas, r)
	return r
}

func (w *world) tell(format string, args ...any) {
	w.told = append(w.told, "  "+fmt.Sprintf(format, args...))
}

func (w *world) step(rng *rand.Rand) error {
	r := w.replicas[rng.IntN(len(w.replicas))]
	other := w.replicas[rng.IntN(len(w.replicas))]
	switch k := rng.IntN(20); {
	case k < 9:
		return w.write(r, rng)
	case k < 15 && len(r.inbox) > 0:
		i := rng.IntN(len(r.inbox))
		u := w.units[r.inbox[i]]
		if rng.IntN(4) > 0 { // else it comes once more
			r.inbox = slices.Delete(r.inbox, i, i+1)
		}
		w.tell("%s hears of %v:%d", r.name, u.Origin, u.First)
		return w.hear(r, u)
	case k < 16 && len(r.inbox) > 0:
		r.inbox = r.inbox[:rng.IntN(len(r.inbox))] // lost
	case k < 18 && r != other:
		w.tell("%s joins the state of %s", r.name, other.name)
		r.state = crdt.Join(r.state, other.state)
		return w.moved(r)
	case k < 19:
		s := r.state.Clone()
		r.old = &s
		w.tell("%s is copied", r.name)
	case r.old != nil:
		s := r.old.Clone()
		n := w.add(s)
		w.tell("the copy of %s is put back, as %s", r.name, n.name)
		*r = *n
		w.replicas = w.replicas[:len(w.replicas)-1]
		return w.moved(r)
	}
	return nil
}

// write does an operation.
func (w *world) write(r *replica, rng *rand.Rand) error {
	op := w.typ.Draw(rng)
	// Clocks of replicas differ by more than the steps between writes: times are in no order of causes.
	time := crdt.Timestamp(1000 + 10*len(w.history) + rng.IntN(200))
	for _, e := range r.state.Live {
		time = max(time, e.Time+1) // but a hybrid clock is after all that it has seen
	}
	w.tell("%s: %s", r.name, op.Name)
	return w.commit(r, time, op.Do, &Done{Name: op.Name, Args: op.Args, Replica: r.id, Time: time})
}

// commit carries out a transaction; done is nil for one that is no operation.
func (w *world) commit(r *replica, time crdt.Timestamp, do func(*Tx) error, done *Done) error {
	at := r.state.Clock[r.id]
	tx := &Tx{state: r.state.Clone(), unit: delta.Unit{Origin: r.id, First: at + 1, Last: at}, time: time}
	switch err := do(tx); {
	case errors.Is(err, ErrRefused):
		return nil
	case err != nil:
		return err
	}
	if done != nil {
		done.number, done.sees = len(w.history), map[int]bool{}
		for i := range w.history {
			done.sees[i] = w.seen(r, i)
		}
	}
	if !tx.changes() {
		if done == nil {
			return nil
		}
		// It counts for the specification: it may have looked for something and found nothing. Others have seen it
		// once they see the next change of this replica.
		w.history, w.last = append(w.history, *done), append(w.last, crdt.Dot{Replica: r.id, Seq: at + 1})
		return w.check(r)
	}
	u := tx.unit
	u.Deps = crdt.VersionVector{}
	for id, seq := range r.state.Clock {
		if id != r.id && r.said[id] != seq {
			u.Deps[id] = seq
		}
	}
	if err := w.mayTravel(u); err != nil {
		return err
	}
	r.said = r.state.Clock.Clone()
	w.units = append(w.units, u)
	for _, o := range w.replicas {
		if o != r {
			o.inbox = append(o.inbox, len(w.units)-1)
		}
	}
	if done != nil {
		w.history, w.last = append(w.history, *done), append(w.last, crdt.Dot{Replica: r.id, Seq: u.Last})
	}
	return w.hear(r, u)
}

// seen reports whether r has seen an operation.
func (w *world) seen(r *replica, op int) bool {
	return w.history[op].Replica == r.id || r.state.Clock.Covers(w.last[op])
}

func (w *world) mayTravel(u delta.Unit) error {
	err := delta.Validate(u)
	for _, e := range u.Entries {
		err = errors.Join(err, delta.ValidateValue(e))
	}
	if err != nil {
		return fmt.Errorf("peers refuse the operation: %w", err)
	}
	again, err := delta.DecodeUnit(delta.AppendUnit(nil, u))
	if err != nil || len(again.Entries) != len(u.Entries) {
		return fmt.Errorf("the operation does not survive its encoding: %w", err)
	}
	for i, e := range u.Entries {
		if !e.Equal(again.Entries[i]) {
			return fmt.Errorf("entry %v does not survive its encoding", e.Dot)
		}
	}
	return nil
}

// hear applies a unit if it is due.
func (w *world) hear(r *replica, u delta.Unit) error {
	if err := delta.Apply(&r.state, u); err != nil {
		if errors.Is(err, delta.ErrGap) {
			return nil // too early: it comes by a join
		}
		return err
	}
	return w.moved(r)
}

// moved settles and checks a replica that was moved.
func (w *world) moved(r *replica) error {
	if err := w.check(r); err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	if w.typ.Settle == nil {
		return nil
	}
	before := len(w.units)
	read, err := w.typ.Read(r.state.Clone())
	if err != nil {
		return fmt.Errorf("%s: read: %w", r.name, err)
	}
	var time crdt.Timestamp = 1
	for _, e := range r.state.Live {
		time = max(time, e.Time+1)
	}
	settle := w.typ.Settle
	w.typ.Settle = nil // once, behind each change
	err = w.commit(r, time, settle, nil)
	w.typ.Settle = settle
	if err != nil || len(w.units) == before {
		return err
	}
	w.tell("%s settles", r.name)
	settled, err := w.typ.Read(r.state.Clone())
	if err == nil && settled != read {
		err = fmt.Errorf("reads %q, and %q before it settled", settled, read)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	return nil
}

func (w *world) check(r *replica) error {
	want := w.liveAt(r.state.Clock)
	for d, e := range r.state.Live {
		if x, ok := want[d]; !ok || !x.Equal(e) {
			return fmt.Errorf("%v is live and must not be", d)
		}
	}
	for d := range want {
		if _, ok := r.state.Live[d]; !ok {
			return fmt.Errorf("%v is not live and must be", d)
		}
	}
	got, err := w.typ.Read(r.state.Clone())
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	var key strings.Builder
	for _, id := range r.state.Clock.Replicas() {
		fmt.Fprint(&key, id, r.state.Clock[id], " ")
	}
	if before, ok := w.reads[key.String()]; ok && before != got {
		return fmt.Errorf("reads %q, and another replica with the same state read %q", got, before)
	}
	w.reads[key.String()] = got
	later := r.state.Clone()
	later.Clock[^r.id]++
	again, err := w.typ.Read(later)
	if err != nil {
		return fmt.Errorf("read under a later clock: %w", err)
	}
	if again != got {
		return fmt.Errorf("reads %q, and with the same live entries under a later clock %q", got, again)
	}
	if w.typ.Want == nil {
		return nil
	}
	if want := w.typ.Want(w.seenBy(r)); got != want {
		return fmt.Errorf("reads %q, the specification says %q", got, want)
	}
	return nil
}

// seenBy returns the part of the history that r has seen.
func (w *world) seenBy(r *replica) History {
	var h History
	for i := range w.history {
		if w.seen(r, i) {
			h = append(h, w.history[i])
		}
	}
	return h
}

// liveAt is the reference: all that the units in clock have added, but what one of them killed.
func (w *world) liveAt(clock crdt.VersionVector) map[crdt.Dot]crdt.Entry {
	live := map[crdt.Dot]crdt.Entry{}
	for _, u := range w.units {
		for _, e := range u.Entries {
			if clock.Covers(e.Dot) {
				live[e.Dot] = e
			}
		}
	}
	for _, u := range w.units {
		if clock[u.Origin] < u.Last {
			continue
		}
		for _, k := range u.Kills {
			maps.DeleteFunc(live, func(_ crdt.Dot, e crdt.Entry) bool { return k.Removes(e) })
		}
	}
	return live
}

// end lets every replica hear of everything, until nothing changes any more.
func (w *world) end() error {
	w.tell("all join")
	for round := 0; ; round++ {
		before := len(w.units)
		all := crdt.NewState()
		for _, r := range w.replicas {
			all = crdt.Join(all, r.state)
		}
		for _, r := range w.replicas {
			r.state = crdt.Join(r.state, all)
			if err := w.moved(r); err != nil {
				return err
			}
		}
		if len(w.units) == before {
			break
		}
		if round == 100 {
			return errors.New("settling does not end")
		}
	}
	for _, r := range w.replicas[1:] {
		if !r.state.Equal(w.replicas[0].state) {
			return fmt.Errorf("%s and %s differ", r.name, w.replicas[0].name)
		}
	}
	return nil
}
