package http

import (
	"strings"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
)

// Limits of one line of an export: any line is taken back as an op.
const (
	maxLineMembers = 1000 // or values of a list
	maxLineBytes   = 256 << 10
)

// getExport streams everything that is visible, as ops that make it again.
func getExport(r *request) (*reply, error) {
	v, err := r.view()
	if err != nil {
		return nil, err
	}
	rep, err := r.reply(v.Clock(), nil, nil)
	if err != nil {
		v.Close()
		return nil, err
	}
	// The deadline for the request would end its context, and a long export with it. Each chunk of
	// the reply has a deadline of its own.
	_ = r.control.SetReadDeadline(time.Time{})
	rep.close = v.Close
	rep.stream = func(out *lines) error {
		return (&exporter{v: v, out: out, done: r.http.Context().Err}).run()
	}
	return rep, nil
}

// exporter writes the lines of an export, sorted by type, key, path and member.
type exporter struct {
	v    View
	out  *lines
	done func() error
	b    []byte // of the line being made
}

func (x *exporter) run() error {
	for _, part := range []func() error{x.bounded, x.counters, x.flags, x.lists, x.maps, x.registers, x.sets} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

func (x *exporter) bounded() error {
	return x.scan(crdt.Bounded, func(key string, p crdt.Path, live []crdt.Entry) error {
		e, err := crdt.ReadEscrow(live)
		if err != nil || e.Value.Cmp(crdt.Int128{}) <= 0 {
			return err
		}
		x.target(crdt.Bounded, key, nil)
		x.b = number(e.Value).appendTo(append(x.b, `,"inc":`...))
		return x.end("}")
	})
}

func (x *exporter) counters() error {
	return x.scan(crdt.Counter, func(key string, p crdt.Path, live []crdt.Entry) error {
		return x.counter(func() { x.target(crdt.Counter, key, nil) }, live)
	})
}

func (x *exporter) flags() error {
	return x.scan(crdt.Flag, func(key string, p crdt.Path, live []crdt.Entry) error {
		x.target(crdt.Flag, key, nil)
		return x.flag(live)
	})
}

func (x *exporter) registers() error {
	return x.scan(crdt.Register, func(key string, p crdt.Path, live []crdt.Entry) error {
		return x.register(func() { x.target(crdt.Register, key, nil) }, live)
	})
}

// scan calls f for every counter, bounded counter, flag or register of the namespace.
func (x *exporter) scan(t crdt.Type, f func(key string, p crdt.Path, live []crdt.Entry) error) error {
	for it, err := range x.v.Scan(crdt.Path(rune(t)), "") {
		if err != nil {
			return err
		}
		parts, err := it.Path.Parse()
		if err != nil {
			return err
		}
		if parts.Leaf != t || len(parts.Fields) > 0 || parts.Member != "" {
			continue // of a later version
		}
		if err := f(parts.Key, it.Path, it.Entries); err != nil {
			return err
		}
	}
	return nil
}

func (x *exporter) sets() error {
	return x.objects(crdt.Set, func(key string, object crdt.Path) error {
		return x.set(func() { x.target(crdt.Set, key, nil) }, object.Leaf(crdt.Set))
	})
}

func (x *exporter) lists() error {
	return x.objects(crdt.List, func(key string, object crdt.Path) error {
		return x.list(func() { x.target(crdt.List, key, nil) }, object.Leaf(crdt.List))
	})
}

func (x *exporter) maps() error {
	return x.objects(crdt.Map, func(key string, object crdt.Path) error {
		for f, err := range plainFields(x.v, object, "") {
			if err != nil {
				return err
			}
			target := func() { x.target(crdt.Map, key, f.names) }
			switch f.leaf {
			case crdt.Counter:
				err = x.counter(target, f.live)
			case crdt.Flag:
				target()
				err = x.flag(f.live)
			case crdt.Register:
				err = x.register(target, f.live)
			case crdt.List:
				err = x.list(target, f.path.Leaf(crdt.List))
			case crdt.Set:
				err = x.set(target, f.path.Leaf(crdt.Set))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (x *exporter) objects(t crdt.Type, f func(key string, object crdt.Path) error) error {
	for o, err := range x.v.Objects(crdt.Path(rune(t)), "") {
		if err != nil {
			return err
		}
		parts, err := o.Path.Parse()
		if err != nil {
			return err
		}
		if err := f(parts.Key, o.Path); err != nil {
			return err
		}
	}
	return nil
}

// target begins a line.
func (x *exporter) target(t crdt.Type, key string, path []string) {
	x.b = appendQuoted(append(x.b[:0], `{"`+t.String()+`":`...), key)
	if path != nil {
		x.b = appendStrings(append(x.b, `,"path":`...), path)
	}
}

// end ends a line and sends it.
func (x *exporter) end(suffix string) error {
	if err := x.done(); err != nil {
		return err
	}
	x.b = append(x.b, suffix...)
	return x.out.write(x.b)
}

// counter writes a counter. One whose value is 0 is left out: to add 0 makes no counter.
func (x *exporter) counter(target func(), live []crdt.Entry) error {
	v, err := crdt.CounterValue(live)
	if err != nil || v.IsZero() {
		return err
	}
	target()
	x.b = number(v).appendTo(append(x.b, `,"inc":`...))
	return x.end("}")
}

// flag ends the line of a flag, which is on.
func (x *exporter) flag(live []crdt.Entry) error {
	x.b = append(x.b, `,"enable":true`...)
	x.b = appendExpires(x.b, crdt.VisibleUntil(crdt.Flag, live))
	return x.end("}")
}

func (x *exporter) register(target func(), live []crdt.Entry) error {
	values := crdt.RegisterValues(live)
	if len(values) == 0 {
		return nil
	}
	target()
	x.b = append(append(x.b, `,"value":`...), values[0]...)
	x.b = appendExpires(x.b, newestDeadline(live))
	return x.end("}")
}

// set writes the members of a set, as many lines as it takes: those of one line have one deadline.
func (x *exporter) set(target func(), leaf crdt.Path) error {
	l := x.array(target, "add")
	for it, err := range x.v.Scan(leaf, "") {
		if err != nil {
			return err
		}
		member, err := memberOf(it.Path)
		if err != nil {
			return err
		}
		if err := l.next(jsonSize(member), crdt.VisibleUntil(crdt.Set, it.Entries)); err != nil {
			return err
		}
		x.b = appendQuoted(x.b, member)
	}
	return l.end()
}

// list writes the values of a list: in this order, each line goes to the end. Those of one line have
// one deadline.
func (x *exporter) list(target func(), leaf crdt.Path) error {
	l := x.array(target, "insert")
	for i, err := range itemsOf(x.v, leaf, "") {
		if err != nil {
			return err
		}
		if err := l.next(len(i.Values[0])+len(`,]}`), i.Expires); err != nil {
			return err
		}
		x.b = append(x.b, i.Values[0]...)
	}
	return l.end()
}

// arrayLines are lines with an array each, as many as it takes.
type arrayLines struct {
	x      *exporter
	target func()
	action string
	n      int           // elements in the line
	until  crdt.Deadline // of all of them
}

func (x *exporter) array(target func(), action string) *arrayLines {
	return &arrayLines{x: x, target: target, action: action}
}

// next makes room for one more element of about this size, with this deadline.
func (l *arrayLines) next(size int, until crdt.Deadline) error {
	if l.n == maxLineMembers || l.n > 0 && (until != l.until || len(l.x.b)+size > maxLineBytes) {
		if err := l.end(); err != nil {
			return err
		}
	}
	l.until = until
	if l.n++; l.n == 1 {
		l.target()
		l.x.b = append(append(append(l.x.b, `,"`...), l.action...), `":[`...)
	} else {
		l.x.b = append(l.x.b, ',')
	}
	return nil
}

func (l *arrayLines) end() error {
	if l.n == 0 {
		return nil
	}
	l.n, l.x.b = 0, appendExpires(append(l.x.b, ']'), l.until)
	return l.x.end("}")
}

// jsonSize is at least the size of s as a JSON string with a comma and the end of a line.
func jsonSize(s string) int {
	n := len(s) + len(`,""]}`)
	if strings.ContainsFunc(s, func(c rune) bool { return c < 0x20 || c == '"' || c == '\\' }) {
		n += 5 * len(s)
	}
	return n
}
