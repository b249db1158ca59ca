package sync

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

var rewrite = flag.Bool("rewrite", false, "write what the scenarios print into their files")

// TestScenarios walks testdata/scenarios: commands up to a line of dashes, then what they print, up
// to an empty line. `go test -run Scenarios -rewrite` writes the outputs anew.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			old, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := walk(t, string(old))
			if *rewrite {
				err = os.WriteFile(file, []byte(got), 0o644)
			} else if got != string(old) {
				t.Errorf("%s prints\n%s", file, got)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// walk returns the scenario with the outputs as they are.
func walk(t *testing.T, text string) string {
	var out strings.Builder
	s := &scenario{t: t, world: newWorld(), now: epoch}
	inOutput := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case inOutput:
			if line == "" {
				inOutput = false
				fmt.Fprintln(&out)
			}
			continue
		case line == "----":
			fmt.Fprintln(&out, line)
			out.WriteString(s.out.String())
			s.out.Reset()
			inOutput = true
			continue
		case line != "" && line[0] != '#':
			s.do(strings.Fields(line))
		}
		fmt.Fprintln(&out, line)
	}
	return out.String()
}

// scenario is engines whose every message is delivered by hand.
type scenario struct {
	t     *testing.T
	world *world
	now   time.Time
	nodes []*scenarioNode
	out   strings.Builder
	// carry, if set, sees what a node has sent and returns what arrives.
	carry func(from string, data [][]byte) [][]byte
}

func (s *scenario) carried(from string, data [][]byte) [][]byte {
	if s.carry == nil {
		return data
	}
	return s.carry(from, data)
}

type scenarioNode struct {
	s         *scenario
	name      string
	copy      *memCopy
	engine    *Engine
	heard     uint64 // own seqs that the engine has heard of
	sends     map[string][][]byte
	published [][]byte
	applies   []Apply
	pulls     []Pull
}

func (s *scenario) printf(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

func (s *scenario) node(name string) *scenarioNode {
	for _, n := range s.nodes {
		if n.name == name {
			return n
		}
	}
	s.t.Fatalf("no node %q", name)
	return nil
}

// do carries out one command.
func (s *scenario) do(args []string) {
	cmd, args := args[0], args[1:]
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	num := func(i, otherwise int) int {
		if n, err := strconv.Atoi(arg(i)); err == nil {
			return n
		}
		return otherwise
	}
	switch cmd {
	case "new": // NAME ID: an empty copy
		s.start(arg(0), newCopy(s.world, crdt.ReplicaID(num(1, 0)), uint64(100*num(1, 0)+1)))
	case "clone": // NAME FROM: a copy of the directory, started with a run of its own
		s.clone(arg(0), s.node(arg(1)).copy, uint64(num(2, 999)))
	case "write": // NAME [N]: commit N units; the engine does not hear of it yet
		for range num(1, 1) {
			s.node(arg(0)).write(20)
		}
	case "write-large":
		s.node(arg(0)).write(3 * crdt.MaxValueBytes)
	case "strangers": // NAME N: hold a unit of each of N other replicas
		s.node(arg(0)).strangers(num(1, 1))
	case "spoil": // NAME: lose a live entry, as a bad disk does
		s.node(arg(0)).spoil()
	case "advance":
		d, err := time.ParseDuration(arg(0))
		if err != nil {
			s.t.Fatal(err)
		}
		s.now = s.now.Add(d)
		for _, n := range s.nodes {
			n.handle(Tick{})
		}
	default:
		s.node(arg(0)).do(cmd, arg(1), num(1, 0))
	}
}

func (s *scenario) start(name string, c *memCopy) {
	cfg := DefaultConfig()
	cfg.CheckJitter = 0
	n := &scenarioNode{s: s, name: name, copy: c, engine: NewEngine(cfg, c.status()), heard: c.state.Clock[c.id], sends: map[string][][]byte{}}
	s.nodes = append(s.nodes, n)
	n.handle(Tick{})
}

func (s *scenario) clone(name string, from *memCopy, nonce uint64) {
	c := newCopy(s.world, from.id, 0)
	c.state, c.said, c.runs = from.state.Clone(), from.said.Clone(), cloneRuns(from.runs)
	c.ownRuns = append(append([]delta.Run(nil), from.ownRuns...),
		delta.Run{First: c.state.Clock[c.id] + 1, Nonce: nonce})
	c.issuers = maps.Clone(from.issuers)
	c.log, c.logFrom = append([]delta.Unit(nil), from.log...), from.logFrom.Clone()
	s.start(name, c)
}

// do carries out a command about one node.
func (n *scenarioNode) do(cmd, arg string, num int) {
	switch cmd {
	case "up":
		n.handle(PeerUp{Peer: PeerID(arg)})
	case "down":
		n.handle(PeerDown{Peer: PeerID(arg)})
	case "commit": // tell the engine of what was written
		n.committed()
	case "ask":
		n.handle(Ask{Peer: PeerID(arg)})
	case "deliver": // NAME TO: all messages that were sent there
		ms := n.sends[arg]
		n.sends[arg] = nil
		for _, m := range n.s.carried(n.name, ms) {
			n.s.node(arg).handle(Message{Peer: PeerID(n.name), Data: m})
		}
	case "gossip": // NAME TO: all that was published and not dropped
		for _, data := range n.s.carried(n.name, n.published) {
			n.s.node(arg).handle(Gossip{Peer: PeerID(n.name), Data: data})
		}
	case "drop":
		n.published = nil
	case "apply":
		n.apply(arg == "fails")
	case "pull": // NAME [cut]: run the pull that was asked for
		n.pull(arg == "cut")
	case "refresh":
		n.handle(Refreshed{Status: n.copy.status()})
	case "peers":
		for _, p := range n.engine.Peers() {
			n.s.printf("%s: peer %s connected=%v clock=%s", n.name, p.ID, p.Connected, showClock(clockList(p.Clock)))
		}
	case "clock":
		n.s.printf("%s: clock=%s", n.name, showClock(clockList(n.copy.state.Clock)))
	case "junk":
		n.handle(Message{Peer: PeerID(arg), Data: []byte("junk")})
	default:
		n.s.t.Fatalf("no command %q", cmd)
	}
}

func (n *scenarioNode) write(size int) {
	u := delta.Unit{Origin: n.copy.id, First: n.copy.state.Clock[n.copy.id] + 1}
	e := newEntry(u.Origin, u.First, int(u.First))
	e.Extra = nil
	if size > 20 { // a number that does not pack well
		e.Path, e.Kind = crdt.Object(crdt.Register, "r").Leaf(crdt.Register), crdt.KindValue
		rng := rand.New(rand.NewPCG(1, 2))
		for range min(size, crdt.MaxValueBytes) {
			e.Value = append(e.Value, '1'+byte(rng.IntN(9)))
		}
	}
	for ; size > 0; size -= crdt.MaxValueBytes {
		e.Dot.Seq = u.First + uint64(len(u.Entries))
		u.Entries = append(u.Entries, e)
	}
	u.Last = e.Dot.Seq
	n.copy.commit(u)
}

func (n *scenarioNode) strangers(count int) {
	for i := range count {
		origin := crdt.ReplicaID(1000 + i)
		u := delta.Unit{Origin: origin, First: 1, Last: 1, Entries: []crdt.Entry{newEntry(origin, 1, i)}}
		if err := n.copy.take(u, delta.Run{First: 1, Nonce: uint64(origin)}); err != nil {
			n.s.t.Fatal(err)
		}
	}
}

func (n *scenarioNode) spoil() {
	for d := range n.copy.live().All() {
		delete(n.copy.state.Live, d)
		return
	}
}

// committed tells the engine of all that it has not heard of.
func (n *scenarioNode) committed() {
	ev := Committed{Status: n.copy.status()}
	for _, u := range n.copy.log {
		if u.Origin == n.copy.id && u.First > n.heard {
			ev.Units, ev.Local, n.heard = append(ev.Units, u), true, u.Last
		}
	}
	n.handle(ev)
}

func (n *scenarioNode) apply(fails bool) {
	as := n.applies
	n.applies = nil
	for _, a := range as {
		if fails {
			n.handle(ApplyFailed{Err: errors.New("disk full")})
		} else if err := n.copy.ApplyUnits(a.Units, a.Runs); err != nil {
			n.s.t.Fatal(err)
		} else {
			n.committed()
		}
	}
}

func (n *scenarioNode) pull(cut bool) {
	ps := n.pulls
	n.pulls = nil
	for _, a := range ps {
		err := errors.New("cut")
		if !cut {
			l := &link{pull: NewPull(DefaultConfig(), n.copy), serve: NewServe(DefaultConfig(), n.s.node(string(a.Peer)).copy.source)}
			if a.Unit != (UnitRef{}) {
				l.pull = NewPullUnit(DefaultConfig(), n.copy, a.Unit)
			}
			out, startErr := l.pull.Start()
			if startErr != nil {
				n.s.t.Fatal(startErr)
			}
			l.sendUp(out)
			if err = l.run(); err == nil {
				n.committed()
			}
		}
		n.handle(Pulled{Peer: a.Peer, Err: err})
	}
}

// handle feeds the event and prints the actions.
func (n *scenarioNode) handle(ev Event) {
	for _, a := range n.engine.Handle(n.s.now, ev) {
		n.s.printf("%s: %s", n.name, n.act(a))
	}
}

func (n *scenarioNode) act(a Action) string {
	switch a := a.(type) {
	case Send:
		n.sends[string(a.Peer)] = append(n.sends[string(a.Peer)], a.Data)
		return fmt.Sprintf("send to %s: %s", a.Peer, showMessage(n.s.t, a.Data))
	case Publish:
		n.published = append(n.published, a.Data)
		f, m, err := decodeGossip(a.Data)
		switch {
		case err != nil:
			n.s.t.Fatal(err)
		case m != nil:
			return fmt.Sprintf("publish: announce %v", m.unit[:3])
		}
		return "publish: " + showUnits(f.Units)
	case Apply:
		n.applies = append(n.applies, a)
		return "apply: " + showUnits(a.Units)
	case Pull:
		n.pulls = append(n.pulls, a)
		if a.Unit != (UnitRef{}) {
			return fmt.Sprintf("pull unit %d:%d from %s", uint64(a.Unit.Origin), a.Unit.First, a.Peer)
		}
		return fmt.Sprintf("pull from %s", a.Peer)
	case Held:
		return fmt.Sprintf("held up to %d", a.Seq)
	case Alarm:
		return fmt.Sprintf("alarm %s, shown by %s: %s", a.Kind, a.Peer, a.Text)
	case Disconnect:
		return fmt.Sprintf("disconnect %s: %v", a.Peer, a.Reason)
	}
	return strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", a), "sync."))
}

func showUnits(us []delta.Unit) string {
	var b strings.Builder
	for i, u := range us {
		if i > 0 {
			b.WriteString(" ")
		}
		fmt.Fprintf(&b, "%d:%d-%d", uint64(u.Origin), u.First, u.Last)
	}
	return b.String()
}

func showClock(cs []component) string {
	var parts []string
	for _, c := range cs {
		parts = append(parts, fmt.Sprintf("%d:%d", uint64(c.Replica), c.Seq))
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func showMessage(t *testing.T, data []byte) string {
	m, err := decode(data)
	if err != nil || !bytes.Equal(m.encode(), data) {
		t.Fatalf("message %x: %v", data, err)
	}
	name := map[kind]string{kindHello: "hello", kindAsk: "ask", kindClock: "clock", kindTell: "tell"}[m.kind]
	for flag, word := range []string{" more", " first", " reply", " answer"} {
		if m.has(1 << flag) {
			name += word
		}
	}
	if m.kind == kindHello {
		return fmt.Sprintf("%s %x", name, m.clockHash[:2])
	}
	if len(m.clock) > 0 {
		name += " " + showClock(m.clock)
	}
	for _, r := range m.runs {
		name += fmt.Sprintf(" run of %d: from %d, %d", uint64(r.Replica), r.Run.First, r.Run.Nonce)
	}
	return name
}
