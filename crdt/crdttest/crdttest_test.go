package crdttest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

var (
	set      = crdt.Object(crdt.Set, "s").Leaf(crdt.Set)
	register = crdt.Object(crdt.Register, "r").Leaf(crdt.Register)
	flag     = crdt.Object(crdt.Flag, "f").Leaf(crdt.Flag)
	total    = crdt.Object(crdt.Counter, "c").Leaf(crdt.Counter)
)

// one is an operation that is one edit of what is live at p.
func one(name string, args any, p crdt.Path, edit func(live []crdt.Entry, at crdt.Dot, t crdt.Timestamp) (crdt.Edit, error)) Op {
	return Op{Name: name, Args: args, Do: func(tx *Tx) error {
		at, t := tx.Next()
		e, err := edit(tx.Live(p), at, t)
		if err != nil {
			return err
		}
		return tx.Edit(e)
	}}
}

// sets is a set of three members: an add wins against a removal that did not see it.
func sets() Type {
	return Type{
		Draw: func(rng *rand.Rand) Op {
			m := string(rune('x' + rng.IntN(3)))
			p := set.Member(m)
			if rng.IntN(2) == 0 {
				return one("add "+m, m, p, func(live []crdt.Entry, at crdt.Dot, t crdt.Timestamp) (crdt.Edit, error) {
					return crdt.Add(live, p, at, t), nil
				})
			}
			return one("remove "+m, m, p, func(live []crdt.Entry, _ crdt.Dot, _ crdt.Timestamp) (crdt.Edit, error) {
				return crdt.Remove(live, nil), nil
			})
		},
		Read: func(s crdt.State) (string, error) {
			var members []string
			for _, m := range []string{"x", "y", "z"} {
				if crdt.Visible(crdt.Set, s.At(set.Member(m))) {
					members = append(members, m)
				}
			}
			return strings.Join(members, " "), nil
		},
		Want: func(h History) string {
			in := map[string]bool{}
			for i, add := range h {
				seen := func(j int) bool { return h[j].Name == "remove "+add.Args.(string) && h.Sees(j, i) }
				if strings.HasPrefix(add.Name, "add") && !some(h, seen) {
					in[add.Args.(string)] = true
				}
			}
			var members []string
			for _, m := range []string{"x", "y", "z"} {
				if in[m] {
					members = append(members, m)
				}
			}
			return strings.Join(members, " ")
		},
	}
}

func some(h History, f func(j int) bool) bool {
	for j := range h {
		if f(j) {
			return true
		}
	}
	return false
}

// registers hold what was assigned and not overwritten by who had seen it, the newest first.
func registers() Type {
	return Type{
		Draw: func(rng *rand.Rand) Op {
			v := strconv.Itoa(rng.IntN(1000))
			if rng.IntN(5) == 0 {
				return one("remove", "", register, func(live []crdt.Entry, _ crdt.Dot, _ crdt.Timestamp) (crdt.Edit, error) {
					return crdt.Remove(live, nil), nil
				})
			}
			return one("assign "+v, v, register, func(live []crdt.Entry, at crdt.Dot, t crdt.Timestamp) (crdt.Edit, error) {
				return crdt.Assign(live, register, at, t, []byte(v), nil), nil
			})
		},
		Read: func(s crdt.State) (string, error) {
			return fmt.Sprintf("%s", crdt.RegisterValues(s.At(register))), nil
		},
		Want: func(h History) string {
			var left []Done
			for i, d := range h {
				if d.Args != "" && !some(h, func(j int) bool { return h.Sees(j, i) }) {
					left = append(left, d)
				}
			}
			slices.SortFunc(left, func(a, b Done) int {
				return cmp.Or(cmp.Compare(b.Time, a.Time), cmp.Compare(b.Replica, a.Replica))
			})
			values := []string{}
			for _, d := range left {
				values = append(values, d.Args.(string))
			}
			return fmt.Sprintf("%s", values)
		},
	}
}

func flags() Type {
	return Type{
		Draw: func(rng *rand.Rand) Op {
			if rng.IntN(2) == 0 {
				return one("disable", nil, flag, func(live []crdt.Entry, _ crdt.Dot, _ crdt.Timestamp) (crdt.Edit, error) {
					return crdt.Remove(live, nil), nil
				})
			}
			return one("enable", nil, flag, func(live []crdt.Entry, at crdt.Dot, t crdt.Timestamp) (crdt.Edit, error) {
				return crdt.Enable(live, flag, at, t), nil
			})
		},
		Read: func(s crdt.State) (string, error) { return fmt.Sprint(crdt.Visible(crdt.Flag, s.At(flag))), nil },
		Want: func(h History) string {
			return fmt.Sprint(some(h, func(i int) bool {
				return h[i].Name == "enable" && !some(h, func(j int) bool { return h[j].Name == "disable" && h.Sees(j, i) })
			}))
		},
	}
}

// counters add up what no reset has seen.
func counters() Type {
	return Type{
		Draw: func(rng *rand.Rand) Op {
			n := int64(rng.IntN(21) - 10)
			if rng.IntN(4) == 0 {
				return Op{Name: "reset", Args: int64(0), Do: func(tx *Tx) error {
					at, t := tx.Next()
					e, err := crdt.Reset(tx.Live(total), total, tx.Replica(), at, t, nil)
					if err != nil {
						return err
					}
					return tx.Edit(e)
				}}
			}
			return one(fmt.Sprint("add ", n), n, total, func(live []crdt.Entry, at crdt.Dot, t crdt.Timestamp) (crdt.Edit, error) {
				return crdt.Increment(live, total, at, t, n)
			})
		},
		Read: func(s crdt.State) (string, error) {
			v, err := crdt.CounterValue(s.At(total))
			return v.String(), err
		},
		Want: func(h History) string {
			var sum int64
			for i, d := range h {
				if !some(h, func(j int) bool { return h[j].Name == "reset" && h.Sees(j, i) }) {
					sum += d.Args.(int64)
				}
			}
			return fmt.Sprint(sum)
		},
		Settle: func(tx *Tx) error {
			at, t := tx.Next()
			return tx.Edit(crdt.Settle(tx.Live(total), total, at, t))
		},
	}
}

// nested is a map that holds a set and a counter, and is deleted with what is in it, as far as it was seen. The counter's cells
// stay: only who counts may kill them.
func nested() Type {
	object := crdt.Object(crdt.Map, "m")
	tag, visits := object.Field("tags").Leaf(crdt.Set).Member("x"), object.Field("visits").Leaf(crdt.Counter)
	return Type{
		Draw: func(rng *rand.Rand) Op {
			switch rng.IntN(3) {
			case 0:
				return Op{Name: "delete", Do: func(tx *Tx) error { tx.KillAll(object); return nil }}
			case 1:
				return one("count", nil, visits, func(live []crdt.Entry, at crdt.Dot, t crdt.Timestamp) (crdt.Edit, error) {
					return crdt.Increment(live, visits, at, t, 1)
				})
			}
			then := rng.IntN(4) == 0
			return Op{Name: fmt.Sprint("add, then delete: ", then), Args: !then, Do: func(tx *Tx) error {
				at, t := tx.Next()
				err := tx.Edit(crdt.Add(tx.Live(tag), tag, at, t))
				if then {
					tx.KillAll(object)
				}
				return err
			}}
		},
		Read: func(s crdt.State) (string, error) {
			v, err := crdt.CounterValue(s.At(visits))
			return fmt.Sprint(crdt.Visible(crdt.Set, s.At(tag)), v), err
		},
		Want: func(h History) string {
			counted := 0
			for _, d := range h {
				if d.Name == "count" {
					counted++
				}
			}
			return fmt.Sprint(some(h, func(i int) bool {
				return h[i].Args == true && !some(h, func(j int) bool { return h[j].Name != "count" && h[j].Args != true && h.Sees(j, i) })
			}), counted)
		},
	}
}

func TestTypes(t *testing.T) {
	for name, typ := range map[string]Type{"set": sets(), "register": registers(), "flag": flags(), "counter": counters(), "map": nested()} {
		t.Run(name, func(t *testing.T) {
			Run(t, typ, Config{Seeds: 200})
		})
	}
}

// TestMistakesAreCaught: types with the mistakes that people make fail, each for its reason, and the case
// that is shown fails again.
func TestMistakesAreCaught(t *testing.T) {
	edits := func(typ Type, change func(tx *Tx, op Op) error) Type {
		draw := typ.Draw
		typ.Draw = func(rng *rand.Rand) Op {
			op := draw(rng)
			return Op{Name: op.Name, Args: op.Args, Do: func(tx *Tx) error { return change(tx, op) }}
		}
		return typ
	}
	unsettled := counters()
	unsettled.Settle = nil
	forgetful := sets()
	forgetful.Read = func(s crdt.State) (string, error) { return fmt.Sprint(len(s.Live)), nil }
	for name, c := range map[string]struct {
		typ  Type
		want string
	}{
		"an add that writes nothing for a member that is there": {edits(sets(), func(tx *Tx, op Op) error {
			if strings.HasPrefix(op.Name, "add") && len(tx.Live(set.Member(op.Args.(string)))) > 0 {
				return nil
			}
			return op.Do(tx)
		}), "the specification says"},
		"a remove that leaves one add": {edits(sets(), func(tx *Tx, op Op) error {
			live := tx.Live(set.Member(op.Args.(string)))
			if strings.HasPrefix(op.Name, "add") || len(live) < 2 {
				return op.Do(tx)
			}
			return tx.Edit(crdt.Remove(live[1:], nil))
		}), "the specification says"},
		"an increment of another's cell": {edits(counters(), func(tx *Tx, op Op) error {
			live := tx.Live(total)
			if len(live) == 0 || op.Name == "reset" {
				return op.Do(tx)
			}
			at, at2 := tx.Next()
			e, err := crdt.Increment(nil, total, at, at2, op.Args.(int64))
			if err == nil && len(e.Add) > 0 {
				e.Kill = []crdt.Dot{live[0].Dot}
			}
			if err != nil {
				return err
			}
			return tx.Edit(e)
		}), "the specification says"},
		"a value that is not JSON": {edits(registers(), func(tx *Tx, _ Op) error {
			at, t := tx.Next()
			return tx.Edit(crdt.Assign(tx.Live(register), register, at, t, []byte("a word"), nil))
		}), "peers refuse"},
		"a kill of what is not live": {edits(flags(), func(tx *Tx, _ Op) error {
			return tx.Edit(crdt.Edit{Kill: []crdt.Dot{{Replica: 1, Seq: 1}}})
		}), "is not live"},
		"a dot that is another's": {edits(flags(), func(tx *Tx, _ Op) error {
			at, t := tx.Next()
			at.Replica++
			return tx.Edit(crdt.Enable(nil, flag, at, t))
		}), "the next dot is"},
		"a reader that counts entries": {forgetful, "the specification says"},
		"a reader that keeps something": {func() Type {
			typ, n := flags(), 0
			typ.Want = nil
			typ.Read = func(crdt.State) (string, error) { n++; return fmt.Sprint(n), nil }
			return typ
		}(), "when it is asked again"},
		"an operation that keeps something": {func() Type {
			n := 0
			typ := edits(sets(), func(tx *Tx, op Op) error {
				if n++; n%7 == 0 {
					return nil
				}
				return op.Do(tx)
			})
			typ.Want = nil
			return typ
		}(), "when it is asked again"},
		"a reader that counts what is dead": {func() Type {
			typ := flags()
			typ.Want = nil
			typ.Read = func(s crdt.State) (string, error) {
				n := uint64(0)
				for _, seq := range s.Clock {
					n += seq
				}
				return fmt.Sprint(n), nil
			}
			return typ
		}(), "under a later clock"},
		"a reader that depends on the way": {func() Type {
			typ := registers()
			typ.Read = func(s crdt.State) (string, error) { return fmt.Sprint(len(s.Live) > 1), nil }
			typ.Want = func(h History) string { return fmt.Sprint(len(h) > 1 && h.Concurrent(0, 1)) }
			return typ
		}(), "the specification says"},
		"one who settles what others see": {func() Type {
			typ := sets()
			typ.Want = nil
			typ.Settle = func(tx *Tx) error {
				at := tx.Live(set.Member("x"))
				if len(at) == 0 || at[0].Dot.Replica == tx.Replica() {
					return nil
				}
				return tx.Edit(crdt.Remove(at, nil))
			}
			return typ
		}(), "before it settled"},
		"a panic": {edits(sets(), func(tx *Tx, op Op) error {
			if n := len(tx.State().Live); n > 1 {
				panic(n)
			}
			return op.Do(tx)
		}), "panic: 2"},
		"no reader": {Type{Draw: sets().Draw}, "at least Draw and Read"},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(200) {
				err := Try(c.typ, Config{First: seed + 1})
				if err == nil {
					continue
				}
				replays := strings.Contains(err.Error(), "replay: crdttest.Run") || strings.Contains(c.want, "again") || strings.Contains(c.want, "at least")
				if !strings.Contains(err.Error(), c.want) || !replays {
					t.Errorf("fails for another reason: %v", err)
				}
				return
			}
			t.Error("not caught")
		})
	}
}

// failing is a test of which we see whether it fails.
type failing struct {
	testing.TB
	told string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.told = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// TestNothingTested: operations that do nothing, that are all refused, and a reader who sees nothing, are no test.
func TestNothingTested(t *testing.T) {
	idle, refused, blind := flags(), flags(), flags()
	idle.Draw = func(*rand.Rand) Op { return Op{Name: "nothing", Do: func(*Tx) error { return nil }} }
	refused.Draw = func(*rand.Rand) Op { return Op{Name: "refused", Do: func(*Tx) error { return ErrRefused }} }
	blind.Want, blind.Read = nil, func(crdt.State) (string, error) { return "", nil }
	for name, typ := range map[string]Type{"idle": idle, "refused": refused, "blind": blind} {
		f, done := &failing{TB: t}, make(chan struct{})
		go func() {
			defer close(done)
			Run(f, typ, Config{Seeds: 3})
		}()
		if <-done; !strings.Contains(f.told, "nothing was tested") {
			t.Errorf("%s: %q", name, f.told)
		}
	}
}

// TestShrink: what is left of a run is what it takes.
func TestShrink(t *testing.T) {
	typ := sets()
	typ.Want = func(h History) string { // wrong: a removal wins
		return strings.Join(slices.DeleteFunc([]string{"x", "y", "z"}, func(m string) bool {
			return !some(h, func(i int) bool { return h[i].Name == "add "+m }) || some(h, func(i int) bool { return h[i].Name == "remove "+m })
		}), " ")
	}
	err := Try(typ, Config{First: 1})
	if err == nil {
		t.Fatal("a wrong specification is met")
	}
	if n := strings.Count(err.Error(), "\n"); n > 8 {
		t.Errorf("%d lines are left:\n%v", n, err)
	}
}
