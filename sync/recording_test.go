package sync

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// Recordings are whole conversations, as versions of this program have led them: see
// testdata/recordings/README.md.

var record = flag.String("record", "", "write this recording, VERSION/engines/NAME or VERSION/sessions/NAME")

const recordings = "testdata/recordings"

func TestRecordings(t *testing.T) {
	if *record != "" {
		writeRecording(t, *record)
	}
	for version := 1; version <= ProtocolVersion; version++ {
		for kind, replay := range map[string]func(*testing.T, string, string, func([]byte) [][]byte){"engines": replayEngines, "sessions": replaySession} {
			files, err := filepath.Glob(fmt.Sprintf("%s/%d/%s/*.txt", recordings, version, kind))
			if err != nil || len(files) < 8 {
				t.Fatalf("%d recordings of %s of version %d: %v", len(files), kind, version, err)
			}
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				name := strings.TrimSuffix(filepath.Base(file), ".txt")
				t.Run(fmt.Sprintf("%d/%s/%s", version, kind, name), func(t *testing.T) { replay(t, name, string(text), asRecorded) })
				if version == ProtocolVersion {
					t.Run(fmt.Sprintf("%d/%s/%s", version+1, kind, name), func(t *testing.T) { replay(t, name, string(text), ofNextVersion) })
				}
			}
		}
	}
}

func asRecorded(message []byte) [][]byte { return [][]byte{message} }

// ofNextVersion returns what the next version might say in place of a message: with a field that this
// version does not know, and a message of a kind that it does not know behind it.
func ofNextVersion(message []byte) [][]byte {
	switch message[0] {
	case gossipFrame: // of this version still, or it would be dropped
		return [][]byte{append([]byte{gossipFrame}, withField(message[1:], 0, 5)...), {200}}
	case gossipMessage:
		return [][]byte{append([]byte{gossipMessage}, withField(nextHead(message[1:]), 3, 100)...)}
	}
	return [][]byte{withField(nextHead(message), 3, 100), {0x93, ProtocolVersion + 1, 100, 0x80}}
}

// nextHead returns a message with the number of the next version: [version, kind, fields].
func nextHead(message []byte) []byte {
	message = slices.Clone(message)
	if message[0] != 0x93 || message[1] != ProtocolVersion {
		panic(fmt.Sprintf("no message: %x", message))
	}
	message[1]++
	return message
}

// withField adds a last field to the map at a place in b.
func withField(b []byte, at int, key byte) []byte {
	b = slices.Clone(b)
	if b[at]&0xf0 != 0x80 || b[at] == 0x8f {
		panic(fmt.Sprintf("no small map: %x", b))
	}
	b[at]++
	return append(b, key, 0xc4, 3, 'n', 'e', 'w')
}

func writeRecording(t *testing.T, path string) {
	t.Helper()
	_, name, _ := strings.Cut(path, "/")
	kind, name, _ := strings.Cut(name, "/")
	path = filepath.Join(recordings, path+".txt")
	if _, err := os.Stat(path); err == nil {
		t.Fatalf("%s is there; recordings are never written again", path)
	}
	var text string
	if kind == "engines" {
		script, err := os.ReadFile("testdata/scenarios/" + name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		text = recordEngines(t, string(script))
	} else {
		text = recordSession(t, name)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// commandsOf returns the commands of a scenario, without comments and what they print.
func commandsOf(script string) (commands []string) {
	inOutput := false
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		switch {
		case line == "----":
			inOutput = true
		case line == "":
			inOutput = false
		case !inOutput && line[0] != '#':
			commands = append(commands, line)
		}
	}
	return commands
}

func recordEngines(t *testing.T, script string) string {
	var out strings.Builder
	s := &scenario{t: t, world: newWorld(), now: epoch}
	s.carry = func(_ string, data [][]byte) [][]byte {
		for _, b := range data {
			fmt.Fprintf(&out, "\tms %x\n", b)
		}
		return data
	}
	for _, command := range commandsOf(script) {
		fmt.Fprintln(&out, command)
		s.do(strings.Fields(command))
	}
	for _, n := range s.nodes {
		fmt.Fprintln(&out, n.end())
	}
	return out.String()
}

// end tells what a node holds.
func (n *scenarioNode) end() string { return fmt.Sprintf("end %s %s", n.name, holds(n.copy)) }

func holds(c *memCopy) string {
	live := slices.SortedFunc(maps.Keys(c.state.Live), crdt.Dot.Compare)
	return fmt.Sprintf("%s %v", showClock(clockList(c.state.Clock)), live)
}

// replayEngines runs a recording once for each node: what that one says is the recording's.
func replayEngines(t *testing.T, _, text string, say func([]byte) [][]byte) {
	type step struct {
		command string
		carried [][]byte
	}
	var steps []step
	ends := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "\tms "):
			b, err := hex.DecodeString(line[4:])
			if err != nil {
				t.Fatal(err)
			}
			last := &steps[len(steps)-1]
			last.carried = append(last.carried, b)
		case strings.HasPrefix(line, "end "):
			ends[strings.Fields(line)[1]] = line
		default:
			steps = append(steps, step{command: line})
		}
	}
	if len(ends) < 2 {
		t.Fatal("there is no end")
	}
	for old := range ends {
		s := &scenario{t: t, world: newWorld(), now: epoch}
		var now step
		s.carry = func(from string, data [][]byte) [][]byte {
			if from == old {
				return all(now.carried, say)
			}
			return data
		}
		for _, now = range steps {
			s.do(strings.Fields(now.command))
		}
		for _, n := range s.nodes {
			if got := n.end(); got != ends[n.name] {
				t.Errorf("what %s said is the recording's, and in the end %s, want %s", old, got, ends[n.name])
			}
		}
		for line := range strings.Lines(s.out.String()) {
			if strings.Contains(line, ": disconnect ") {
				t.Errorf("what %s said is the recording's, and %s", old, line)
			}
		}
	}
}

// all are the messages that are said in place of these.
func all(messages [][]byte, say func([]byte) [][]byte) (said [][]byte) {
	for _, m := range messages {
		said = append(said, say(m)...)
	}
	return said
}

// A recorded session begins with what both sides hold.
type recorded struct {
	pull, serve *memCopy
	cfg         Config // of the side that serves
	unit        UnitRef
}

// sessionsBefore build what was held before the recorded sessions, one function for each, by name. They
// are parts of the recordings.
var sessionsBefore = map[string]func(t *testing.T, r *recorded){
	"equal": func(t *testing.T, r *recorded) {
		writeMembers(r.serve, 5)
		catchUp(t, r.pull, r.serve)
	},
	"log": func(t *testing.T, r *recorded) {
		writeMembers(r.pull, 3)
		writeMembers(r.serve, 4)
		r.serve.restart(17)
		kill(r.serve, 2)
		writeMembers(r.serve, 3)
	},
	"state": func(t *testing.T, r *recorded) {
		writeMembers(r.serve, 30)
		catchUp(t, r.pull, r.serve)
		for seq := uint64(3); seq < 30; seq += 3 {
			kill(r.serve, seq)
		}
		kill(r.pull, 1)
		writeMembers(r.pull, 2)
		writeMembers(r.serve, 5)
		r.serve.log, r.serve.logFrom = nil, r.serve.state.Clock.Clone()
	},
	"state-to-nothing": func(t *testing.T, r *recorded) {
		writeMembers(r.serve, 10)
		kill(r.serve, 4)
		r.serve.log, r.serve.logFrom = nil, r.serve.state.Clock.Clone()
	},
	// Removals that only the tree of hashes tells, over several levels of it.
	"tree": func(t *testing.T, r *recorded) {
		writeMembers(r.serve, 3000)
		for seq := uint64(1); seq < 3000; seq += 2 {
			kill(r.serve, seq)
		}
		catchUp(t, r.pull, r.serve)
		for seq := uint64(100); seq < 2500; seq += 600 {
			kill(r.serve, seq)
		}
		r.serve.log, r.serve.logFrom = nil, r.serve.state.Clock.Clone()
	},
	// The session before this one was cut: some entries are there already.
	"resumed": func(t *testing.T, r *recorded) {
		writeMembers(r.serve, 20)
		kill(r.serve, 2)
		r.serve.log, r.serve.logFrom = nil, r.serve.state.Clock.Clone()
		for d, e := range r.serve.state.Live {
			if d.Seq%2 == 1 {
				r.pull.staged[d] = e
			}
		}
	},
	// More chunks than the side that pulls gives credit for at first.
	"credit": func(_ *testing.T, r *recorded) {
		writeMembers(r.serve, 200)
	},
	"unit": func(t *testing.T, r *recorded) {
		writeMembers(r.serve, 3)
		catchUp(t, r.pull, r.serve)
		writeMembers(r.serve, 1)
		r.unit = UnitRef{Origin: r.serve.id, First: 4}
	},
	"compare": func(t *testing.T, r *recorded) {
		writeMembers(r.serve, 8)
		catchUp(t, r.pull, r.serve)
		delete(r.pull.state.Live, crdt.Dot{Replica: r.serve.id, Seq: 5})
	},
	"fork": func(t *testing.T, r *recorded) {
		writeMembers(r.pull, 3)
		catchUp(t, r.serve, r.pull)
		r.pull.state, r.pull.log, r.pull.said = crdt.NewState(), nil, crdt.VersionVector{}
		r.pull.ownRuns = []delta.Run{{First: 1, Nonce: 99}}
		writeMembers(r.serve, 1)
	},
}

func before(t *testing.T, name string) *recorded {
	t.Helper()
	build := sessionsBefore[name]
	if build == nil {
		t.Fatalf("no session is called %q", name)
	}
	w := newWorld()
	r := &recorded{pull: newCopy(w, idA, 11), serve: newCopy(w, idB, 12), cfg: DefaultConfig()}
	r.cfg.ChunkBytes = 200
	build(t, r)
	return r
}

func writeMembers(c *memCopy, n int) {
	for range n {
		seq := c.state.Clock[c.id] + 1
		c.commit(delta.Unit{Origin: c.id, First: seq, Last: seq, Entries: []crdt.Entry{newEntry(c.id, seq, int(seq%6))}})
	}
}

// kill removes the entry of idB with a seq.
func kill(c *memCopy, seq uint64) {
	at := c.state.Clock[c.id] + 1
	c.commit(delta.Unit{Origin: c.id, First: at, Last: at, Kills: []delta.Kill{{Dots: []crdt.Dot{{Replica: idB, Seq: seq}}}}})
}

// catchUp gives a copy all units of another.
func catchUp(t *testing.T, to, from *memCopy) {
	t.Helper()
	for _, u := range from.log {
		if err := to.take(u, from.issuers[crdt.Dot{Replica: u.Origin, Seq: u.First}]); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *recorded) session() *PullSession {
	if r.unit != (UnitRef{}) {
		return NewPullUnit(DefaultConfig(), r.pull, r.unit)
	}
	return NewPull(DefaultConfig(), r.pull)
}

func recordSession(t *testing.T, name string) string {
	r := before(t, name)
	var out strings.Builder
	p, s := r.session(), NewServe(r.cfg, r.serve.source)
	up, err := p.Start()
	if err != nil {
		t.Fatal(err)
	}
	for done := false; !done; {
		if len(up) == 0 {
			t.Fatal("the session is stuck")
		}
		var down [][]byte
		for _, m := range up {
			fmt.Fprintf(&out, "> %x\n", m)
			answers, _, err := s.Handle(m)
			if err != nil {
				t.Fatal(err)
			}
			down = append(down, answers...)
		}
		up = nil
		for _, m := range down {
			fmt.Fprintf(&out, "< %x\n", m)
			var asks [][]byte
			if asks, done, err = p.Handle(m); err != nil || done {
				for _, m := range asks {
					fmt.Fprintf(&out, "> %x\n", m)
				}
				fmt.Fprintln(&out, r.end(err))
				return out.String()
			}
			up = append(up, asks...)
		}
	}
	return out.String()
}

// end tells what the side that pulls holds, and what its session came to.
func (r *recorded) end(err error) string {
	var mismatch *MismatchError
	how := "done"
	switch {
	case errors.Is(err, ErrFork):
		how = "a fork"
	case errors.As(err, &mismatch):
		how = "a mismatch"
	case err != nil:
		how = err.Error()
	}
	return fmt.Sprintf("end %s: %s", how, holds(r.pull))
}

func replaySession(t *testing.T, name, text string, say func([]byte) [][]byte) {
	var up, down [][]byte
	end := ""
	for line := range strings.Lines(text) {
		what, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		b, err := hex.DecodeString(rest)
		switch {
		case what == "end":
			end = strings.TrimSpace(line)
		case err != nil:
			t.Fatal(err)
		case what == ">":
			up = append(up, b)
		case what == "<":
			down = append(down, b)
		}
	}

	up, down = all(up, say), all(down, say)

	// The side that pulls is of today.
	r := before(t, name)
	p := r.session()
	_, err := p.Start()
	done := false
	for i := 0; i < len(down) && err == nil && !done; i++ {
		_, done, err = p.Handle(down[i])
	}
	if !done && err == nil {
		t.Error("what was served then is not enough")
	}
	if got := r.end(err); got != end {
		t.Errorf("pulled from the recording: %s\nwant %s", got, end)
	}

	// The side that serves is of today; what it says goes to a session of today, as well.
	r = before(t, name)
	p, s := r.session(), NewServe(r.cfg, r.serve.source)
	if _, err = p.Start(); err != nil {
		t.Fatal(err)
	}
	done = false
	served := false
	for i := 0; i < len(up) && !served; i++ {
		var answers [][]byte
		var failed error
		answers, served, failed = s.Handle(up[i])
		if failed != nil {
			t.Fatalf("served to the recording: %v", failed)
		}
		for _, a := range answers {
			if m, err := decode(a); err != nil || m == nil || m.kind == kindFail {
				t.Fatalf("served to the recording: %x, %v", a, err)
			}
			if !done && err == nil {
				_, done, err = p.Handle(a)
			}
		}
	}
	if got := r.end(err); got != end {
		t.Errorf("served to the recording: %s\nwant %s", got, end)
	}
}

// The recordings have messages of every kind.
func TestRecordingsHaveEveryKind(t *testing.T) {
	missing := map[kind]bool{}
	for _, m := range vectors() {
		missing[m.kind] = true
	}
	// One question each, tested with their vectors.
	delete(missing, kindRightsAsk)
	delete(missing, kindRightsGrant)
	delete(missing, kindFail) // ends what goes wrong
	frames := 0
	err := filepath.WalkDir(recordings, func(path string, e os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".txt" {
			return err
		}
		text, err := os.ReadFile(path)
		for line := range bytes.Lines(text) {
			words := bytes.Fields(line)
			if len(words) != 2 {
				continue
			}
			b, err := hex.DecodeString(string(words[1]))
			if err != nil {
				continue // a command
			}
			frame, m, err := decodeGossip(b)
			switch {
			case err == nil && frame != nil:
				frames++
				continue
			case m == nil:
				m, err = decode(b)
			}
			if err == nil && m != nil {
				delete(missing, m.kind)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(missing) > 0 || frames == 0 {
		t.Errorf("no recording has messages of the kinds %v; %d frames", slices.Sorted(maps.Keys(missing)), frames)
	}
}

// A frame of the next version is passed over, and its sender stays: repair brings what it held.
func TestFrameOfNextVersion(t *testing.T) {
	c := newCopy(newWorld(), idA, 1)
	e := NewEngine(DefaultConfig(), c.status())
	f := delta.AppendFrame([]byte{gossipFrame}, delta.Frame{Units: []delta.Unit{unitOf(idB, 1, crdt.VersionVector{})}})
	if f[3] != 1 {
		t.Fatalf("%x has its version elsewhere", f)
	}
	f[3] = 2
	if err := CheckGossip(f); !errors.Is(err, ErrVersion) {
		t.Fatal(err)
	}
	e.Handle(epoch, PeerUp{Peer: "b"})
	for _, a := range e.Handle(epoch, Gossip{Peer: "b", Data: f}) {
		t.Errorf("%T %+v", a, a)
	}
}
