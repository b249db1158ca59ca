package crdt_test

import (
	"errors"
	"fmt"
	"go/parser"
	gotoken "go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	. "github.com/anabranchdb/anabranch/crdt"
)

// row is one row of a truth table: the operations of one replica, or of two at once.
type row struct {
	of    string // the type, from the head of the table
	state string
	ops   []string
	want  string
	now   [3]Deadline // of each replica
}

// TestTruthTables runs the rows of the tables in the package comment.
func TestTruthTables(t *testing.T) {
	rows := readTables(t)
	if len(rows) < 50 {
		t.Fatalf("%d rows in the package comment, want at least 50", len(rows))
	}
	for _, r := range rows {
		t.Run(fmt.Sprintf("%s: %s: %s", r.of, r.state, strings.Join(r.ops, " | ")), func(t *testing.T) {
			for writer := range 3 { // who wrote the first state must not matter
				if r.of == "presence" && writer > 0 {
					break // but here, where each replica speaks for itself
				}
				r.run(t, writer)
			}
		})
	}
}

func readTables(t *testing.T) []row {
	f, err := parser.ParseFile(gotoken.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	of := ""
	for line := range strings.Lines(f.Doc.Text()) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		n := len(cells) - 1
		switch {
		case n < 2:
			of = ""
		case of == "":
			of = cells[0]
		default:
			rows = append(rows, row{of: of, state: cells[0], ops: cells[1:n], want: cells[n]})
		}
	}
	return rows
}

func (r row) run(t *testing.T, writer int) {
	r.now = [3]Deadline{1, 1, 1}
	rs := []*replica{newReplica(1), newReplica(2), newReplica(3)}
	if r.of == "bounded" {
		r.stock(rs, writer)
	} else {
		r.prepare(rs[writer], rs[(writer+1)%3])
	}
	for i, x := range rs {
		x.join(rs[writer])
		if got := r.show(t, x, r.now[i]); got != r.state {
			t.Fatalf("began with %q, want %q", got, r.state)
		}
	}
	for i, ops := range r.ops {
		before := rs[i].state.Clone()
		for op := range strings.SplitSeq(ops, ", ") {
			switch word, arg, _ := strings.Cut(op, " "); word {
			case "at":
				r.now[i] = deadline(t, arg)
			case "reap":
				r.reap(rs[i], r.now[i])
			case "-":
			case "announce", "withdraw", "renew":
				r.doPresence(rs[i], r.now[i], Timestamp(10+10*i), strings.Fields(op))
			default:
				r.do(rs[i], Timestamp(10+10*i), op)
			}
		}
		if len(r.ops) == 1 && r.state == "-" && r.want == "-" && !rs[i].state.Equal(before) {
			t.Error("an operation on nothing has left a trace")
		}
	}
	latest := max(r.now[0], r.now[1])
	r.now = [3]Deadline{latest, latest, latest}
	for range 2 { // the second time after all have purged
		rs[0].join(rs[len(r.ops)-1])
		rs[len(r.ops)-1].join(rs[0])
		for i := range r.ops {
			if got := r.show(t, rs[i], r.now[i]); !slices.Contains(strings.Split(r.want, " or "), got) || got != r.show(t, rs[0], r.now[0]) {
				t.Errorf("first written by %v: %v shows %q, want %q", rs[writer].id, rs[i].id, got, r.want)
			}
			rs[i].purge()
		}
	}
}

// prepare writes the first state. Siblings, newest first, take two replicas.
func (r row) prepare(w, other *replica) {
	words := strings.Fields(strings.Trim(r.state, "-"))
	switch r.of {
	case "register":
		for i, v := range words {
			r.do([]*replica{w, other}[i], Timestamp(9-i), "assign "+v)
		}
		w.join(other)
	case "set":
		for _, m := range words {
			r.do(w, 5, "add "+m)
		}
	case "presence":
		for _, m := range words {
			member, v, _ := strings.Cut(m, "=")
			r.doPresence(w, 1, 5, []string{"announce", member, v})
		}
	case "expiring":
		for _, m := range words {
			r.do(w, 5, "add "+strings.Replace(m, "@", " until ", 1))
		}
	case "list":
		for _, v := range words {
			r.do(w, 5, "append "+v)
		}
	case "flag":
		if r.state != "-" {
			r.do(w, 5, "enable")
		}
	case "counter":
		if r.state != "-" {
			r.do(w, 5, "inc "+r.state)
		}
	case "map":
		for _, m := range words {
			field, v, _ := strings.Cut(m, "=")
			switch c := v[0]; {
			case c == '{':
				for m := range strings.SplitSeq(strings.Trim(v, "{}"), ",") {
					r.do(w, 5, "add "+field+" "+m)
				}
			case v == "on":
				r.do(w, 5, "enable "+field)
			case '0' <= c && c <= '9':
				r.do(w, 5, "inc "+field+" "+v)
			default:
				r.do(w, 5, "assign "+field+" "+v)
			}
		}
	}
}

// stock writes the first state of a bounded counter: the first two replicas have the rights that
// it says, from themselves or given by whoever writes it.
func (r row) stock(rs []*replica, writer int) {
	for i, n := range strings.Split(strings.Trim(r.state, "-"), "+") {
		if n == "" || n == "0" {
			continue
		}
		r.do(rs[writer], 5, "inc "+n)
		if i != writer {
			r.do(rs[writer], 5, "give "+n+" "+rs[i].id.String())
		}
	}
}

var tableObjects = map[string]Path{
	"register": Object(Register, "r"),
	"set":      Object(Set, "s"),
	"expiring": Object(Set, "e"),
	"presence": Object(Presence, "p"),
	"list":     Object(List, "l"),
	"flag":     Object(Flag, "f"),
	"counter":  Object(Counter, "c"),
	"bounded":  Object(Bounded, "b"),
	"map":      Object(Map, "m"),
}

// do runs one operation of the tables: "add x", or in a map "add field.field x".
func (r row) do(x *replica, at Timestamp, op string) {
	words := strings.Fields(op)
	place := tableObjects[r.of]
	if r.of == "list" {
		doInList(x, place.Leaf(List), at, strings.Fields(op))
		return
	}
	verb, args := words[0], words[1:]
	if r.of == "map" {
		place = place.Fields(strings.Split(args[0], ".")...)
		args = args[1:]
	}
	arg, until, _ := strings.Cut(strings.Join(args, " "), " until ")
	t := x.begin()
	defer t.commit()
	if r.of == "bounded" {
		t.doBounded(place.Leaf(Bounded), at, verb, args)
		return
	}
	live := func(p Path) []Entry { return x.state.At(p) }
	switch verb {
	case "assign":
		p := place.Leaf(Register)
		t.apply(Assign(live(p), p, t.next(), at, []byte(arg), nil))
	case "add":
		p := place.Leaf(Set).Member(arg)
		e := Add(live(p), p, t.next(), at)
		if until != "" {
			ms, err := strconv.ParseUint(until, 10, 64)
			if err != nil {
				panic(err)
			}
			e = e.Until(Deadline(ms))
		}
		t.apply(e)
	case "enable":
		p := place.Leaf(Flag)
		t.apply(Enable(live(p), p, t.next(), at))
	case "disable":
		t.apply(Remove(live(place.Leaf(Flag)), nil))
	case "inc":
		p := place.Leaf(Counter)
		n, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			panic(err)
		}
		e, err := Increment(live(p), p, t.next(), at, n)
		if err != nil {
			panic(err)
		}
		t.apply(e)
	case "remove":
		p := place.Leaf(Register)
		if r.of != "register" {
			p = place.Leaf(Set).Member(arg)
		}
		t.apply(Remove(live(p), nil))
	case "reset", "delete":
		t.delete(place, at, nil, false)
	default:
		panic("unknown operation " + op)
	}
}

// doBounded runs one operation on a bounded counter. One without rights changes nothing.
func (t *tx) doBounded(p Path, at Timestamp, verb string, args []string) {
	live := t.r.state.At(p)
	var n int64
	var err error
	if len(args) > 0 {
		if n, err = strconv.ParseInt(args[0], 10, 64); err != nil {
			panic(err)
		}
	}
	var e Edit
	switch verb {
	case "inc":
		e, err = Stock(live, p, t.next(), at, n)
	case "give":
		to := ReplicaID(3 - t.r.id) // the other one of the two that the tables speak of
		if len(args) > 1 {
			if to, err = ParseReplicaID(args[1]); err != nil {
				panic(err)
			}
		}
		e, err = Give(live, p, t.next(), at, to, n)
	case "delete":
		e, _, err = Drain(live, p, t.next(), at, nil)
	}
	if err != nil && !errors.Is(err, ErrRights) {
		panic(err)
	}
	t.apply(e)
}

// showBounded writes the rights of the first two replicas.
func showBounded(t *testing.T, live []Entry) string {
	x, err := ReadEscrow(live)
	if err != nil {
		t.Fatal(err)
	}
	if !Visible(Bounded, live) {
		return "-"
	}
	return x.Rights[1].String() + "+" + x.Rights[2].String()
}

// show writes a state as the tables do.
func (r row) show(t *testing.T, x *replica, now Deadline) string {
	prefix := tableObjects[r.of]
	if r.of == "bounded" {
		return showBounded(t, x.state.At(prefix.Leaf(Bounded)))
	}
	if r.of == "presence" {
		return showPresence(t, x, prefix, now)
	}
	b, err := NewTreeBuilder(prefix)
	if err != nil {
		t.Fatal(err)
	}
	ends := map[string]Deadline{}
	for _, p := range x.under(prefix) {
		live := Unexpired(x.state.At(p), now)
		if err := b.Add(p, live); err != nil {
			t.Fatal(err)
		}
		if until := VisibleUntil(p.LeafType(), live); until != 0 {
			ends[memberOf(t, p)] = until
		}
	}
	tree := b.Tree()
	c, ok := tree.Plain()
	switch {
	case !ok:
		return "-"
	case r.of == "map":
		return strings.Join(showFields(c.Fields, ""), " ")
	case r.of == "expiring":
		for i, m := range c.Members {
			if d, ok := ends[m]; ok {
				c.Members[i] = fmt.Sprintf("%s@%d", m, d)
			}
		}
	}
	return strings.Trim(showChild(c, " "), "{}")
}

func showFields(fields []Tree, above string) []string {
	var lines []string
	for _, f := range fields {
		var here, below []string
		for _, c := range f.Children {
			if c.Type == Map {
				below = showFields(c.Fields, above+f.Name+".")
				continue
			}
			here = append(here, showChild(c, ","))
		}
		if len(here) > 0 {
			lines = append(lines, above+f.Name+"="+strings.Join(here, "|"))
		}
		lines = append(lines, below...)
	}
	return lines
}

func showChild(c Child, separator string) string {
	switch c.Type {
	case Register:
		return strings.Join(asStrings(c.Values), separator)
	case Flag:
		return "on"
	case List:
		var items []string
		for _, i := range c.Items {
			items = append(items, strings.Join(asStrings(i.Values), "|"))
		}
		return strings.Join(items, separator)
	case Set:
		return "{" + strings.Join(c.Members, separator) + "}"
	}
	return c.Count.String()
}

func memberOf(t *testing.T, p Path) string {
	parts, err := p.Parse()
	if err != nil {
		t.Fatal(err)
	}
	return parts.Member
}

func deadline(t *testing.T, s string) Deadline {
	ms, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return Deadline(ms)
}

// doPresence announces, withdraws or renews at a time. A lease is for 14.
func (r row) doPresence(x *replica, now Deadline, at Timestamp, words []string) {
	t := x.begin()
	defer t.commit()
	if words[0] != "renew" {
		p := tableObjects[r.of].Leaf(Presence).Member(words[1])
		if words[0] == "withdraw" {
			t.apply(Withdraw(x.state.At(p), x.id))
			return
		}
		t.apply(Announce(x.state.At(p), p, t.next(), at, []byte(words[2])))
	}
	t.apply(Lease(x.state.At(LeasePath(x.id)), t.next(), at, now+14))
}

func leaseOf(x *replica, r ReplicaID) Deadline { return LeaseUntil(x.state.At(LeasePath(r)), r) }

func showPresence(t *testing.T, x *replica, prefix Path, now Deadline) string {
	var members []string
	for _, p := range x.under(prefix) {
		live := Present(Unexpired(x.state.At(p), now), func(r ReplicaID) bool { return leaseOf(x, r) > now })
		if !Visible(Presence, live) {
			continue
		}
		var values []string
		for _, e := range live {
			values = append(values, string(e.Value))
		}
		members = append(members, memberOf(t, p)+"="+strings.Join(values, ","))
	}
	if len(members) == 0 {
		return "-"
	}
	return strings.Join(members, " ")
}

// reap removes what is over everywhere in a replica, without any grace.
func (r row) reap(x *replica, now Deadline) {
	if r.of == "presence" {
		for id := range ReplicaID(4) {
			if leaseOf(x, id) > now {
				continue
			}
			t := x.begin()
			t.apply(EndLease(x.state.At(LeasePath(id)), id))
			for _, p := range x.under(tableObjects[r.of]) {
				t.apply(Withdraw(x.state.At(p), id))
			}
			t.commit()
		}
		return
	}
	t := x.begin()
	defer t.commit()
	for _, p := range x.under(tableObjects[r.of]) {
		t.apply(Reap(x.state.At(p), x.id, now, now))
	}
}

// doInList runs one operation on a list: items are named by the value that they show.
func doInList(x *replica, leaf Path, at Timestamp, words []string) {
	named := func(value string) Position {
		for _, i := range x.items(leaf) {
			if string(i.Values[0]) == value {
				return i.ID
			}
		}
		panic("no item " + value)
	}
	left := Position("")
	items := x.items(leaf)
	n := len(items)
	if len(words) == 4 { // verb item after|before other
		n = slices.IndexFunc(items, func(i Item) bool { return i.ID == named(words[3]) })
		if words[2] == "after" {
			n++
		}
	}
	if n > 0 {
		left = items[n-1].Place
	}
	right := Position("")
	if n < len(items) {
		right = items[n].Place
	}
	t := x.begin()
	defer t.commit()
	switch words[0] {
	case "append", "insert":
		t.insert(leaf, left, right, at, words[1])
	case "move":
		t.move(leaf, named(words[1]), left, right, at)
	case "set":
		t.update(leaf, named(words[1]), at, words[2])
	case "remove":
		t.applyAll(x.element(leaf, named(words[1])).Remove(nil))
	default:
		panic("unknown operation " + words[0])
	}
}
