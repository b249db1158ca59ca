package p2p

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
	peersync "github.com/anabranchdb/anabranch/sync"
)

func TestMessagesAreBounded(t *testing.T) {
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	for _, msg := range []string{"", "one", "two"} {
		if err := writeMessage(w, []byte(msg)); err != nil {
			t.Fatal(err)
		}
	}
	w.Flush()
	whole := slices.Clone(b.Bytes())
	r := bufio.NewReader(&b)
	for _, want := range []string{"", "one", "two"} {
		if got, err := readMessage(r, 3); err != nil || string(got) != want {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if _, err := readMessage(r, 3); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if _, err := readMessage(bufio.NewReader(bytes.NewReader(whole[1:])), 2); !errors.Is(err, peersync.ErrMalformed) {
		t.Errorf("too long: %v", err)
	}
	if _, err := readMessage(bufio.NewReader(bytes.NewReader(whole[1:3])), 3); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: %v", err)
	}
	if _, err := readMessage(bufio.NewReader(bytes.NewReader(bytes.Repeat([]byte{0xff}, 20))), 3); !errors.Is(err, peersync.ErrMalformed) {
		t.Errorf("endless length: %v", err)
	}
}

func multiaddrs(t testing.TB, texts ...string) (out []ma.Multiaddr) {
	t.Helper()
	for _, s := range texts {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, a)
	}
	return out
}

func TestControlMessages(t *testing.T) {
	h := holdings{"shop": {3, 1 << 63}, "": {}, "x": {1 << 40, 7}}
	addrs := multiaddrs(t, "/ip4/10.0.0.1/tcp/7701", "/ip6/fd00::1/udp/7701/quic-v1")
	msg := appendHello(nil, addrs, h)
	gotAddrs, gotHoldings, err := parseHello(append(msg[1:], "of a later version"...))
	if err != nil || !slices.EqualFunc(addrs, gotAddrs, ma.Multiaddr.Equal) || !maps.Equal(h, gotHoldings) {
		t.Errorf("%v, %v, %v", gotAddrs, gotHoldings, err)
	}
	name, epoch, body, err := parseData(appendData(nil, "shop", 7, []byte("body"))[1:])
	if err != nil || name != "shop" || epoch != 7 || string(body) != "body" {
		t.Errorf("%q, %d, %q, %v", name, epoch, body, err)
	}
	older := len(appendHello(nil, addrs, nil)) - 1 // a hello without replica ids ends before them
	for name, h := range h {
		older += 1 + len(name) + len(binary.AppendUvarint(nil, h.epoch))
	}
	if _, got, err := parseHello(msg[1 : 1+older]); err != nil || got["shop"] != (held{epoch: 3}) {
		t.Errorf("of an older daemon: %v, %v", got, err)
	}
	for cut := range len(msg) - 1 {
		if cut == older {
			continue
		}
		if _, _, err := parseHello(msg[1 : 1+cut]); !errors.Is(err, peersync.ErrMalformed) {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
}

func FuzzControl(f *testing.F) {
	f.Add(appendHello(nil, nil, holdings{"shop": {3, 9}}))
	f.Add(appendData(nil, "shop", 7, []byte("body")))
	f.Fuzz(func(t *testing.T, b []byte) {
		parseHello(b)
		parseHoldings(b)
		parseData(b)
	})
}

func TestToldAddresses(t *testing.T) {
	told := multiaddrs(t, "/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip4/0.0.0.0/tcp/1", "/ip6/fe80::1/tcp/1",
		"/ip6/fd00::1/udp/1/quic-v1", "/dns4/host/tcp/1", "/ip4/10.0.0.1/udp/1", "/ip4/10.0.0.1/tcp/1/ws")
	far := acceptTold(told, multiaddrs(t, "/ip4/10.0.0.9/tcp/1")[0])
	if want := multiaddrs(t, "/ip4/10.0.0.1/tcp/1", "/ip6/fd00::1/udp/1/quic-v1"); !slices.EqualFunc(far, want, ma.Multiaddr.Equal) {
		t.Errorf("from afar: %v", far)
	}
	if near := acceptTold(told, multiaddrs(t, "/ip4/127.0.0.1/tcp/1")[0]); len(near) != 3 {
		t.Errorf("from this machine: %v", near)
	}
}

// deafStream is a stream of which only Reset is called.
type deafStream struct {
	network.Stream
	resets int
}

func (s *deafStream) Reset() error { s.resets++; return nil }

func TestAFullQueueEndsTheSession(t *testing.T) {
	stream := &deafStream{}
	s := newSession(stream, Limits{QueueMessages: 3, QueueBytes: 10})
	for range 3 {
		if err := s.push([]byte("xyz")); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := s.push([]byte("x")); !errors.Is(err, errOverflow) {
			t.Errorf("a fourth message: %v", err)
		}
	}
	if got, err := s.take(nil); got != nil || !errors.Is(err, errOverflow) || stream.resets != 1 {
		t.Errorf("%q, %v, %d resets", got, err, stream.resets)
	}
	s = newSession(stream, Limits{QueueMessages: 3, QueueBytes: 10})
	if err := s.push(make([]byte, 11)); !errors.Is(err, errOverflow) {
		t.Errorf("too many bytes: %v", err)
	}
}

func unit(origin crdt.ReplicaID, first uint64, value string) delta.Unit {
	path := crdt.Object(crdt.Register, value).Leaf(crdt.Register)
	return delta.Unit{Origin: origin, First: first, Last: first, Entries: []crdt.Entry{{
		Dot: crdt.Dot{Replica: origin, Seq: first}, Path: path, Kind: crdt.KindValue, Value: []byte(value),
	}}}
}

func TestInboxMergesCommits(t *testing.T) {
	var stats counters
	b := newInbox(Limits{InboxBytes: 10, CommitBytes: 200}, &stats)
	b.committed(Commit{Status: peersync.Status{Replica: 1}, Local: true, Units: []delta.Unit{unit(1, 1, "a")}})
	b.committed(Commit{Status: peersync.Status{Replica: 2}})
	b.committed(Commit{Status: peersync.Status{Replica: 3}, Local: true, Units: []delta.Unit{unit(1, 2, "b")}})
	c, _ := b.take()
	if !c.any || !c.fresh || c.status.Replica != 3 || len(c.units) != 2 || c.units[1].First != 2 {
		t.Errorf("%+v", c)
	}
	for i := range 100 {
		b.committed(Commit{Status: peersync.Status{Replica: 4}, Local: true, Units: []delta.Unit{unit(1, uint64(i+1), "a")}})
	}
	if c, _ := b.take(); !c.any || c.bytes > 200 || stats.commitOverflows.Load() == 0 {
		t.Errorf("%d bytes, %d overflows", c.bytes, stats.commitOverflows.Load())
	}
	b.refresh()
	if c, _ := b.take(); !c.any || c.fresh {
		t.Errorf("a refresh: %+v", c)
	}
	if !b.post(1, 10) || b.post(2, 1) {
		t.Error("events are not bounded")
	}
	b.force(3)
	if _, events := b.take(); !reflect.DeepEqual(events, []any{1, 3}) {
		t.Errorf("events %v", events)
	}
	if !b.post(4, 10) {
		t.Error("taken bytes still count")
	}
}

func TestAppliesAreMerged(t *testing.T) {
	apply := func(nonce uint64, units ...delta.Unit) sizedApply {
		s := sizedApply{Apply: peersync.Apply{Units: units, Runs: delta.Runs{1: {First: 1, Nonce: nonce}}}}
		for _, u := range units {
			s.bytes += int64(u.Size())
		}
		return s
	}
	queue := []sizedApply{apply(1, unit(1, 1, "a")), apply(1, unit(1, 2, "b"), unit(1, 3, "c")), apply(2, unit(1, 4, "d"))}
	before := fmt.Sprint(queue)
	n, m := merge(queue)
	if n != 2 || len(m.Units) != 3 || m.Units[2].First != 3 || m.bytes != queue[0].bytes+queue[1].bytes {
		t.Errorf("%d: %+v", n, m)
	}
	if n, m := merge(queue[2:]); n != 1 || len(m.Units) != 1 {
		t.Errorf("%d: %+v", n, m)
	}
	if fmt.Sprint(queue) != before {
		t.Error("the queue was changed")
	}
}

// TestRefusedUnitsAreBlamedOnTheirSender: what was merged with them is applied.
func TestRefusedUnitsAreBlamedOnTheirSender(t *testing.T) {
	n := &Node{log: slog.New(slog.DiscardHandler), opts: DefaultOptions()}
	run := &copyRunner{node: n, copy: newMemCopy("x"), ctx: t.Context(), inbox: newInbox(DefaultOptions().Limits, &n.stats)}
	bad := unit(3, 1, "b")
	bad.Kills = []delta.Kill{{Prefix: bad.Entries[0].Path}} // without a clock
	a := newApplier(run)
	for from, u := range map[peersync.PeerID]delta.Unit{"a": unit(2, 1, "a"), "b": bad, "c": unit(4, 1, "c")} {
		a.add(peersync.Apply{Units: []delta.Unit{u}, From: from})
	}
	if err := a.oneByOne(a.queue.take()); err != nil {
		t.Fatal(err)
	}
	_, events := run.inbox.take()
	failed, ok := events[0].(peersync.ApplyFailed)
	if len(events) != 1 || !ok || failed.From != "b" || !errors.Is(failed.Err, delta.ErrMalformed) {
		t.Errorf("events %v", events)
	}
	if got := run.copy.Status().Clock; len(got) != 2 || got[2] != 1 || got[4] != 1 {
		t.Errorf("clock %v", got)
	}
}

func TestBudget(t *testing.T) {
	now := time.Now()
	b := newBudget(100)
	for _, c := range []struct {
		after time.Duration
		n     int
		ok    bool
	}{{0, 60, true}, {0, 60, false}, {0, 40, true}, {100 * time.Millisecond, 11, false}, {0, 10, true}, {time.Hour, 101, false}, {0, 100, true}} {
		now = now.Add(c.after)
		if got := b.take(now, c.n); got != c.ok {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestPause(t *testing.T) {
	for tries, want := range []time.Duration{100, 100, 200, 400, 800, 1000, 1000} {
		for range 100 {
			if got := pause(100, 1000, tries); got < want*3/4 || got > want*5/4+1 {
				t.Fatalf("try %d: %d", tries, got)
			}
		}
	}
	if got := pause(time.Second, time.Minute, 1<<40); got > 75*time.Second+1 {
		t.Errorf("after many tries %v", got)
	}
}

func testBook(file string) *book {
	return newBook(file, "self", DefaultOptions().Timing, 3)
}

func peerIDs(t *testing.T, n int) (ids []peer.ID) {
	t.Helper()
	for range n {
		id, err := peer.IDFromPrivateKey(testIdentity(t))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func TestBookRemembersMembers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "peers")
	ids := peerIDs(t, 6)
	addrs := multiaddrs(t, "/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/1")
	b := testBook(file)
	b.addFound(ids[5], addrs) // a stranger
	for _, id := range ids[:5] {
		b.setConnected(id, true)
		b.told(id, addrs[:1])
		b.reached(id, addrs[1])
		b.setConnected(id, false)
	}
	if err := b.save(); err != nil {
		t.Fatal(err)
	}
	c := testBook(file)
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range c.list() {
		got = append(got, p.ID)
		if !slices.Equal(p.Addresses, []string{addrs[1].String(), addrs[0].String()}) {
			t.Errorf("addresses %v", p.Addresses)
		}
	}
	var want []string
	for _, id := range ids[2:5] {
		want = append(want, id.String())
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("remembered %v, want the newest three %v", got, want)
	}
}

// TestBookReadsOlderFiles: what a peer holds came later.
func TestBookReadsOlderFiles(t *testing.T) {
	id := peerIDs(t, 1)[0]
	for _, c := range []struct {
		holds string
		want  map[peer.ID]bool
	}{
		{"", map[peer.ID]bool{}},
		{`,"holds":[]`, map[peer.ID]bool{}},
		{`,"holds":["b","a","` + strings.Repeat("x", maxNameBytes+1) + `"]`, map[peer.ID]bool{id: true}},
		{`,"holds":["b"]`, map[peer.ID]bool{id: false}},
	} {
		b := testBook(filepath.Join(t.TempDir(), "peers"))
		text := `{"version":1,"peers":[{"id":"` + id.String() + `","addresses":[],"seen":"2026-01-01T00:00:00Z"` + c.holds + `}]}`
		if err := os.WriteFile(b.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := b.load(); err != nil {
			t.Fatal(err)
		}
		if got := b.holders("a"); !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.holds, got, c.want)
		}
	}
}

func TestBookSchedules(t *testing.T) {
	never := func(peer.ID) time.Time { return time.Time{} }
	ids := peerIDs(t, 2)
	addrs := multiaddrs(t, "/ip4/10.0.0.1/tcp/1")
	b := testBook("")
	b.addFound("self", addrs)
	b.addFound(ids[0], addrs)
	now := time.Now().Add(b.timing.RedialMin)
	if dial, _ := b.due(now, never); len(dial) != 1 || dial[0].ID != ids[0] {
		t.Fatalf("due %v", dial)
	}
	if dial, next := b.due(now, never); len(dial) != 0 || !next.IsZero() {
		t.Errorf("while it is dialled: %v, %v", dial, next)
	}
	b.dialled(ids[0])
	now = time.Now()
	dial, next := b.due(now, never)
	if len(dial) != 0 || next.Before(now.Add(300*time.Millisecond)) || next.After(now.Add(2*time.Second)) {
		t.Errorf("after a failure: %v, in %v", dial, next.Sub(now))
	}
	later := next.Add(time.Minute)
	if dial, got := b.due(next, func(peer.ID) time.Time { return later }); len(dial) != 0 || !got.Equal(later) {
		t.Errorf("shunned: %v, %v", dial, got)
	}
	for range strangerTries {
		b.dialled(ids[0])
	}
	if len(b.peers) != 0 {
		t.Error("a stranger is dialled for ever")
	}
	b.addStatic(ids[1], addrs[0])
	for range 100 {
		b.dialled(ids[1])
	}
	if _, next := b.due(time.Now(), never); next.IsZero() || time.Until(next) > 13*time.Second {
		t.Errorf("a static peer is dialled in %v", time.Until(next))
	}
	b.setConnected(ids[1], true)
	if dial, next := b.due(time.Now().Add(time.Hour), never); len(dial) != 0 || !next.IsZero() {
		t.Errorf("a connected peer is dialled: %v", dial)
	}
	b.setConnected(ids[1], false)
	for range 100 {
		b.dialled(ids[1])
	}
	if _, next := b.due(time.Now(), never); time.Until(next) > 3*time.Second {
		t.Errorf("a member that was just here is dialled in %v", time.Until(next))
	}
	b.hurry()
	if dial, _ := b.due(time.Now(), never); len(dial) != 1 {
		t.Error("not dialled when the network changed")
	}
}

func TestBookBoundsStrangers(t *testing.T) {
	b := testBook("")
	for i := range maxStrangers + 10 {
		b.addFound(peer.ID(fmt.Sprint(i)), multiaddrs(t, "/ip4/10.0.0.1/tcp/1"))
	}
	if len(b.peers) != maxStrangers {
		t.Errorf("%d strangers", len(b.peers))
	}
}

func TestNamesTellNothing(t *testing.T) {
	if a, b := serviceName(testKey), serviceName(otherKey); a == b || len(a) > 20 {
		t.Errorf("services %q, %q", a, b)
	}
	if topicName(testKey, "x") == topicName(otherKey, "x") || topicName(testKey, "x") == topicName(testKey, "y") {
		t.Error("topics are the same")
	}
}

// TestDialRate: a member that is away is dialled every second by both transports, and who follows it at the same
// address as well. Nothing of that may be refused here, and what one address can do has a bound all the same.
func TestDialRate(t *testing.T) {
	r, err := newResources()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	dialled := func(addr string, times int) (refused int) {
		for range times {
			c, err := r.OpenConnection(network.DirOutbound, true, multiaddrs(t, addr)[0])
			if err != nil {
				refused++
				continue
			}
			c.Done()
		}
		return refused
	}
	for _, addr := range []string{"/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.2/udp/1/quic-v1", "/ip6/fd00::1/tcp/1"} {
		if n := dialled(addr, 120); n > 0 { // half a minute, two ids, two transports
			t.Errorf("%s: %d dials of 120 are refused", addr, n)
		}
		if n := dialled(addr, 3*dialBurst); n == 0 {
			t.Errorf("%s: anything goes", addr)
		}
	}
	if n := dialled("/ip4/127.0.0.1/tcp/1", 3*dialBurst); n > 0 {
		t.Errorf("here: %d dials are refused", n)
	}
}
