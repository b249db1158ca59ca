package sim

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// mutation is a mistake to plant in the code: in each file the old text, which stands there
// once, becomes the new one.
type mutation struct {
	name  string
	edits []edit
}

type edit struct{ file, old, new string }

// The mistakes that replication by state invites. Each of them converges most of the time.
var mutations = []mutation{
	{"kills are reduced to a list before the flip", []edit{
		{"store/join.go", `n.live.CutAt(j.To).Uncovered(j.From).AndNot(j.Streamed).Or(n.live.And(j.Killed))`, `n.live.And(j.Killed)`},
	}},
	{"staged entries are tested against the clock at the request", []edit{
		{"store/join.go", `j.Streamed.Uncovered(j.Clock)`, `j.Streamed.Uncovered(j.From)`},
		{"store/join.go", `if j.Clock.Covers(e.Dot) ||`, `if j.From.Covers(e.Dot) ||`},
	}},
	{"the sender serves without a snapshot", []edit{
		{"internal/replica/replica.go", `return &source{Source: s, status: s.Status()}, nil`,
			`return &source{Source: s, status: s.Status(), ns: c.ns}, nil`},
		{"internal/replica/replica.go", `	status store.Status
}`, `	status store.Status
	ns     *store.Namespace
}

func (s *source) Entries(since crdt.VersionVector) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		now, err := s.ns.Source(context.Background())
		if err != nil {
			yield(crdt.Entry{}, err)
			return
		}
		defer now.Close()
		for e, err := range now.Entries(since) {
			if err == nil && !s.status.Clock.Covers(e.Dot) {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}`},
		{"internal/replica/replica.go", `	"fmt"
`, `	"fmt"
	"iter"
`},
	}},
	{"units of the log go with the sender's latest run", []edit{
		{"store/source.go", `!yield(delta.Issued{Unit: u, Run: issuerOf(u, l.Issuers)}, nil)`,
			`!yield(delta.Issued{Unit: u, Run: s.v.runs[u.Origin]}, nil)`},
		{"sync/pull_stream.go", ` || run.First > u.First {`, ` {`},
	}},
	{"a session goes on with what the one before knew of liveness", []edit{
		{"sync/pull.go", `	p.phase = pullMode
	if mismatch {`, `	p.phase = pullMode
	p.streamed = p.cached.Uncovered(p.st.Clock).CutAt(p.c2)
	if mismatch {`},
		{"sync/pull_stream.go", `!= n || set.And(p.streamed).Len() != 0 {`, `!= n {`},
	}},
	{"the clock is joined after a part of the entries", []edit{
		{"store/join.go", `		after = last
	}
	g := n.newGroup()`, `		break
	}
	g := n.newGroup()`},
	}},
	{"half of the dots of a kill are forgotten", []edit{
		{"store/apply.go", `g.killDots(k.Dots); err`, `g.killDots(k.Dots[:(len(k.Dots)+1)/2]); err`},
	}},
	{"a delete forgets what it does not spell out", []edit{
		{"store/tx.go", `if removed <= min(maxKillDots, t.g.n.opts.LargeEntries) {`, `if removed <= maxKillDots {`},
	}},
	{"a reset kills the cells of other replicas", []edit{
		{"crdt/counter.go", `		case h.full() && h.dot.Replica == self:
			edit.Kill`, `		case h.full():
			edit.Kill`},
	}},
	{"a total that is partly reset goes on in a new lineage", []edit{
		{"crdt/counter.go", `			cell = h.Cell
`, `			cell = h.Cell
			if !h.lowP.IsZero() {
				cell.Lineage = at.Seq
			}
`},
	}},
	{"a restored disk goes on under its old id", []edit{
		{"store/store.go", `if s.copied = ok; ok {`, `if s.copied = ok; false {`},
	}},
	{"a unit is applied before what it depends on", []edit{
		{"sync/pending.go", `if at != u.First-1 || !q[n].ready(clock) {`, `if at != u.First-1 {`},
		{"store/apply.go", `if g.clock[u.Origin] != u.First-1 || !g.clock.CoversAll(u.Deps) {`, `if g.clock[u.Origin] != u.First-1 {`},
	}},
	{"the clock goes on over a gap", []edit{
		{"sync/pending.go", `if at != u.First-1 || !q[n].ready(clock) {`, `if !q[n].ready(clock) {`},
		{"store/apply.go", `if g.clock[u.Origin] != u.First-1 || !g.clock.CoversAll(u.Deps) {`, `if !g.clock.CoversAll(u.Deps) {`},
	}},
	{"writes of the same time have no order", []edit{
		{"crdt/entry.go", `		return -a.Dot.Compare(b.Dot)
	}
}

// SortNewest`, `		return 0
	}
}

// SortNewest`},
	}},
	{"a write is answered before it is synced", []edit{
		{"store/commit.go", `	if err := errors.Join(n.c.waitPending(), wait(), n.c.base.moved()`, `	_ = wait
	if err := errors.Join(n.c.waitPending(), n.c.base.moved()`},
	}},
	{"a live bit is lost", []edit{
		{"store/build.go", `	for _, d := range g.added {
		g.n.live.Add(d)`, `	for i, d := range g.added {
			if i == 3 {
				continue
			}
		g.n.live.Add(d)`},
	}},
	{"a batch is cut in two", []edit{
		{"store/build.go", `	g.units = append(g.units, u)
	g.bytes += u.Size()
}

// coalescedWith`, `	if n := len(u.Entries) - 1; n > 0 && len(u.Kills) == 0 {
		v := u
		v.Entries, v.Last = u.Entries[:n], u.Entries[n].Dot.Seq-1
		g.units = append(g.units, v)
		u.First, u.Entries, u.Deps = u.Entries[n].Dot.Seq, u.Entries[n:], crdt.VersionVector{}
	}
	g.units = append(g.units, u)
	g.bytes += u.Size()
}

// coalescedWith`},
	}},
	{"a daemon does not wait for a token", []edit{
		{"store/namespace.go", `		if n.Clock().CoversAll(clock) {
			return nil`, `		if n.Clock() != nil {
			return nil`},
	}},
	{"a large change that was cut off is left as it is", []edit{
		{"store/large.go", `	if err != nil || !ok {
		return err
	}
	l, err := decodeLargeChange(v)`, `	if err != nil || ok || !ok {
		return err
	}
	l, err := decodeLargeChange(v)`},
	}},
	{"damage is read as absence", []edit{
		{"store/overlay.go", `	v, ok, err := g.Get(keys.data(p))
	if err != nil || !ok {
		return nil, err
	}`, `	v, ok, err := g.Get(keys.data(p))
	if err != nil || !ok {
		return nil, nil
	}`},
	}},
	{"cells are purged for an id that is not sealed", []edit{
		{"crdt/counter.go", `return h.dot.Replica == self && h.full() }`, `return h.full() }`},
	}},
	{"an heir does nothing for a sealed id", []edit{
		{"store/seal.go", `			ids = append(ids, id)
		}
	}
	slices.Sort(ids)`, `			_ = id
		}
	}
	slices.Sort(ids)`},
	}},
	{"nobody tells that a retired id has returned", []edit{
		{"store/seal.go", `n.c.clock[id] <= s.Final || n.c.returned[id]`, `n.c.clock[id] > 0 || n.c.returned[id]`},
	}},
	{"a fork is not noticed", []edit{
		{"sync/identity.go", `own != c.Run && own != (delta.Run{})`, `own != c.Run && own == (delta.Run{})`},
	}},
	{"what was added on one side of a fork is written again twice", []edit{
		{"store/mend.go", `return t.again(p, at.p, at.n)`, `return errors.Join(t.again(p, at.p, at.n), t.again(p, at.p, at.n))`},
	}},
	{"what was written on one side of a fork is not written again", []edit{
		{"store/mend.go", `range at.written {`, `range at.written[:0] {`},
	}},
	{"what was removed on one side of a fork is not removed again", []edit{
		{"store/mend.go", `	if len(gone) == 0 {`, `	if len(gone) >= 0 {`},
	}},
	{"what was staged is taken into another history", []edit{
		{"store/staged.go", `runs, past); len(other) > 0 {`, `runs, past); len(other) < 0 {`},
	}},
	{"a large change forgets the run before its own", []edit{
		{"store/large.go", `g.learnRun(r, run, l.Unit.Last)`, `g.runs[r] = run`},
	}},
	{"nobody removes what another wrote when it is over", []edit{
		{"crdt/deadline.go", `return now.before(o), now.before(x)`, `return now.before(o), 0 * now.before(x)`},
	}},
	{"what is over is shown", []edit{
		{"store/deadlines.go", `return crdt.Unexpired(live, now)`, `return live`},
	}},
	{"what is announced is shown without a lease", []edit{
		{"store/presence.go", `		return until > now
	})`, `		return until >= 0
	})`},
	}},
	{"what was taken for gone is not announced again", []edit{
		{"store/presence.go", `	if k.suspect {`, `	if false {`},
	}},
	{"what others announced is removed although they have a lease", []edit{
		{"store/presence.go", `crdt.LeaseUntil(live, r) > 0 {`, `crdt.LeaseUntil(live, r) > crdt.MaxDeadline {`},
	}},
	{"a replica takes away what others announced", []edit{
		{"crdt/presence.go", `if e.Kind == k && e.Dot.Replica == r {`, `if e.Kind == k && r > 0 {`},
	}},
	{"the times of what a unit brings are not noted", []edit{
		{"store/apply.go", `		g.observe(e.Time)
`, ``},
	}},
	{"the times of what a join brings are not noted", []edit{
		{"store/join.go", `		g.observe(e.Time)
`, ``},
	}},
	{"the time is not kept over a restart", []edit{
		{"store/build.go", `	n.c.HLC = n.c.hlc.Last
`, ``},
	}},
	{"the time is not kept with the pieces of a large change", []edit{
		{"store/large.go", `	n.c.HLC = n.c.hlc.Last
`, ``},
	}},
	{"a clock that was set back does not take up the time of others", []edit{
		{"crdt/timestamp.go", `	if t > c.Last || c.ahead(c.Last, wall) {`, `	if t > c.Last {`},
	}},
	{"a unit that is announced counts as here", []edit{
		{"sync/gossip.go", `	e.large = append(e.large, announced{`, `	e.mirror[r] = last
	e.large = append(e.large, announced{`},
	}},
	{"a total that its own commit supersedes is told with the next", []edit{
		{"store/build.go", `if slices.ContainsFunc(g.over.live[e.Path], func(x crdt.Entry) bool { return x.Dot == e.Dot }) {`, `if len(g.over.live[e.Path]) > 0 {`},
	}},
	{"what becomes one unit kills by a clock that stands in it", []edit{
		{"store/build.go", `min(k.Clock[m.Origin], m.First-1)`, `k.Clock[m.Origin]`},
	}},
	{"what becomes one unit forgets what others killed in between", []edit{
		{"store/build.go", `		m.Deps.Merge(v.Deps)
`, `		m.Deps = v.Deps
`},
	}},
	{"a delete leaves bounded counters as they are", []edit{
		{"store/tx.go", `if item.Path.LeafType() == crdt.Bounded {`, `if item.Path.LeafType() == 0 {`},
	}},
	{"the last part of a tree is not compared", []edit{
		{"sync/tree.go", `		for i, theirs := range a.hashes {`, `		for i, theirs := range a.hashes[:fanOut-1] {`},
	}},
	{"live dots of a later chunk count as covered", []edit{
		{"delta/dotset_ops.go", `range q.chunks[i:] {`, `range q.chunks[len(q.chunks):] {`},
	}},
	{"the last page of a clock is taken for all of it", []edit{
		{"sync/serve.go", `	for _, c := range m.clock {
		if s.c1`, `	if len(m.clock) > 0 {
		s.c1 = s.st.Clock.Clone()
	}
	for _, c := range m.clock {
		if s.c1`},
	}},
	{"a live dot is missing in the bits of a leaf", []edit{
		{"sync/node.go", `s <= r.last-first; s++ {`, `s < r.last-first; s++ {`},
	}},
	{"readers see a commit before it is whole", []edit{
		{"store/commit.go", `	if err := n.pin(); err != nil {
		return err
	}
	wait, err := n.backend.Apply(b)`, `	wait, err := n.backend.Apply(b)`},
	}},
	{"who is far ahead drags others along", []edit{
		{"crdt/timestamp.go", `	return c.MaxAhead > 0 && t > `, `	return c.MaxAhead < 0 && t > `},
	}},
}

var (
	mistakes = flag.Bool("sim.mistakes", false, "plant mistakes, one after the other")
	core     = flag.Bool("sim.core", false, "of the mistakes, plant only those that the model is about, which are caught soon")
	measure  = flag.Bool("sim.measure", false, "count the seeds that each planted mistake takes, and find small worlds that show it")
)

// coreMistakes are what the model forbids in so many words.
var coreMistakes = []string{
	"the clock is joined after a part of the entries",
	"kills are reduced to a list before the flip",
	"the sender serves without a snapshot",
	"a session goes on with what the one before knew of liveness",
	"half of the dots of a kill are forgotten",
	"a reset kills the cells of other replicas",
	"cells are purged for an id that is not sealed",
	"a restored disk goes on under its old id",
	"the clock goes on over a gap",
	"writes of the same time have no order",
	"a write is answered before it is synced",
	"a live bit is lost",
	"a batch is cut in two",
}

// caught is how the simulator tells of a violation.
var caught = regexp.MustCompile(`(?:seed|kept world) (\d+).*`)

// TestPlantedMistakes builds the simulator with one mistake at a time and expects that it finds
// a violation: in a world that is kept, or in one of a few hundred others.
func TestPlantedMistakes(t *testing.T) {
	if !*mistakes {
		t.Skip("builds the module once for each mistake: make mistakes")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	planted := 0
	for _, m := range mutations {
		if *core && !slices.Contains(coreMistakes, m.name) {
			continue
		}
		planted++
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			overlay := plant(t, root, m.edits)
			tests := []string{"-run", "TestKept$|TestSeeds$", "-failfast", "-sim.shrink=0"}
			if *measure {
				tests = []string{"-run", "TestSeeds$", "-sim.shrink=200"}
			}
			cmd := exec.Command("go", append([]string{"test", "-overlay", overlay, "-vet=off", "./internal/sim", "-count=1", "-sim.seeds=300"}, tests...)...)
			cmd.Dir = root
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("not caught:\n%s", out)
			}
			found := caught.FindSubmatch(out)
			if found == nil || !strings.Contains(string(out), "replay: ") {
				t.Fatalf("it failed otherwise:\n%s", out)
			}
			t.Logf("caught by %s", found[0])
			if *measure {
				t.Logf("%s", out)
			}
		})
	}
	if *core && planted != len(coreMistakes) {
		t.Errorf("%d of %d core mistakes are in the table", planted, len(coreMistakes))
	}
}

// plant writes the files with the mistake in them and returns an overlay for the go command.
func plant(t *testing.T, root string, edits []edit) string {
	dir := t.TempDir()
	files := map[string]string{}
	for _, e := range edits {
		path := filepath.Join(root, filepath.FromSlash(e.file))
		text, ok := files[path]
		if !ok {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
		if strings.Count(text, e.old) != 1 {
			t.Fatalf("%s does not hold this text once: %q", e.file, e.old)
		}
		files[path] = strings.Replace(text, e.old, e.new, 1)
	}
	replace := map[string]string{}
	for path, text := range files {
		replace[path] = filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(path, root), string(filepath.Separator), "_"))
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}
