package sync

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// vectors are messages with every field, as they stand in testdata/vectors.txt.
func vectors() []*message {
	hash := bytes.Repeat([]byte{0xab}, hashBytes)
	digest := bytes.Repeat([]byte{0xcd}, len(delta.Digest{}))
	clock := []component{{Replica: idC, Seq: 1}, {Replica: idA, Seq: 70_000}}
	runs := []told{{Replica: idA, Run: delta.Run{First: 300, Nonce: 1 << 63}}}
	cached := delta.NewDotSet()
	cached.AddRange(idA, 5, 9)
	live := delta.NewDotSet()
	live.AddRange(idA, 3, 1000)
	logItems := appendItem(nil, delta.AppendRuns([]byte{itemRuns}, delta.Runs{idA: {First: 4, Nonce: 5}}))
	logItems = appendItem(logItems, delta.AppendUnit([]byte{itemUnit}, unitOf(idA, 4, crdt.VersionVector{idC: 2})))
	return []*message{
		{kind: kindHello, flags: flagFirst | flagReply, number: 300, clockHash: hash, runsHash: hash, digest: digest},
		{kind: kindAsk},
		{kind: kindAsk, buckets: make([]byte, buckets*shortHashBytes)},
		{kind: kindClock, flags: flagMore, mask: make([]byte, buckets/8), clock: clock, runs: runs},
		{kind: kindTell, clock: clock[:1]},
		{kind: kindAnnounce, unit: []uint64{uint64(idA), 5, 7, 600_000}, runs: runs},
		{kind: kindRequest, clockHash: hash, runsHash: hash, digest: digest},
		{kind: kindRequest, unit: []uint64{uint64(idA), 5, 0, 0}, credit: 8},
		{kind: kindWant, clock: []component{{Replica: idA}}, runs: runs, cached: delta.AppendDotSet(nil, cached), credit: 8, mode: modeCompare},
		{kind: kindNodes, nodes: []node{{replica: idA, level: 2, index: 0}, {replica: idA, level: 1, index: 15}}},
		{kind: kindCredit, credit: 4},
		{kind: kindDone},
		{kind: kindSame},
		{kind: kindOffer, clock: clock, runs: runs, digest: digest},
		{kind: kindOffer, clock: clock, runs: runs, digest: digest, past: []told{{Replica: idA, Run: delta.Run{First: 1, Nonce: 7}}}},
		{kind: kindMode, mode: modeState},
		{kind: kindRoots, hashes: appendRoots(nil, live, crdt.VersionVector{idA: 1000}, idA)},
		{kind: kindHashes, hashes: appendNode(nil, live, node{replica: idA})},
		{kind: kindChunk, data: []byte("abc"), size: 3},
		{kind: kindChunk, data: logItems, size: uint64(len(logItems))},
		{kind: kindEnd, size: 1},
		{kind: kindFail, mode: failOther, text: []byte("why")},
		{kind: kindRightsAsk, text: []byte("seats"), number: 5},
		{kind: kindRightsGrant, clock: clock[1:], number: 5},
	}
}

// TestVectors: the format is what it was.
func TestVectors(t *testing.T) {
	var got strings.Builder
	for _, m := range vectors() {
		fmt.Fprintf(&got, "%d %x\n", m.kind, m.encode())
	}
	const file = "testdata/vectors.txt"
	if *rewrite {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("messages are now\n%s", got.String())
	}
	for line := range strings.Lines(string(want)) {
		_, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		m, err := decode(b)
		if err != nil || m == nil || !bytes.Equal(m.encode(), b) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// raw encodes a message that this version does not know.
func raw(t *testing.T, version, kind uint64, fields ...any) []byte {
	var b bytes.Buffer
	w := msgpack.NewEncoder(&b)
	err := errors.Join(w.EncodeArrayLen(3), w.EncodeUint(version), w.EncodeUint(kind), w.EncodeMapLen(len(fields)/2))
	for _, f := range fields {
		err = errors.Join(err, w.Encode(f))
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestVersions: what may be skipped is skipped, the rest is refused.
func TestVersions(t *testing.T) {
	for name, c := range map[string]struct {
		msg  []byte
		skip bool
		want error
	}{
		"this version":                   {msg: raw(t, 1, uint64(kindTell))},
		"the next one":                   {msg: raw(t, 2, uint64(kindTell))},
		"one too many":                   {msg: raw(t, 3, uint64(kindTell)), want: ErrVersion},
		"none":                           {msg: raw(t, 0, uint64(kindTell)), want: ErrVersion},
		"a kind to skip":                 {msg: raw(t, 2, 64, 1, "text", 99, true), want: ErrMalformed},
		"a kind to skip, well formed":    {msg: raw(t, 2, 64, 1, []byte("x"), 99, 5), skip: true},
		"a field to skip":                {msg: raw(t, 2, uint64(kindTell), 65, []byte("x"))},
		"a field to understand":          {msg: raw(t, 2, uint64(kindTell), 63, 1), want: ErrVersion},
		"fields out of order":            {msg: raw(t, 1, uint64(kindTell), 9, 1, 1, 1), want: ErrMalformed},
		"a field of another shape":       {msg: raw(t, 1, uint64(kindTell), 1, []byte("x")), want: ErrMalformed},
		"a hash of another length":       {msg: raw(t, 1, uint64(kindHello), 2, []byte("x")), want: ErrMalformed},
		"half a component":               {msg: raw(t, 1, uint64(kindTell), 5, []uint64{1}), want: ErrMalformed},
		"a component of replica 0":       {msg: raw(t, 1, uint64(kindTell), 5, []uint64{0, 1}), want: ErrMalformed},
		"a component beyond all seqs":    {msg: raw(t, 1, uint64(kindTell), 5, []uint64{1, 1 << 63}), want: ErrMalformed},
		"more bytes":                     {msg: append(raw(t, 1, uint64(kindTell)), 0), want: ErrMalformed},
		"nothing":                        {want: ErrMalformed},
		"too much":                       {msg: make([]byte, MaxMessageBytes+1), want: ErrMalformed},
		"an array longer than the bytes": {msg: []byte{0x93, 1, 4, 0x81, 5, 0xdd, 0xff, 0xff, 0xff, 0xff}, want: ErrMalformed},
		"bytes longer than the bytes":    {msg: []byte{0x93, 1, 37, 0x81, 13, 0xc6, 0x7f, 0xff, 0xff, 0xff}, want: ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := decode(c.msg)
			if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) || (err == nil && c.skip != (m == nil)) {
				t.Errorf("got %v, %v", m, err)
			}
		})
	}
}

// FuzzDecode: what decodes is encoded as a message that decodes to the same.
func FuzzDecode(f *testing.F) {
	for _, m := range vectors() {
		f.Add(m.encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decode(b)
		if err != nil || m == nil {
			return
		}
		once := m.encode()
		again, err := decode(once)
		if err != nil || !bytes.Equal(again.encode(), once) {
			t.Fatalf("%x: %v", b, err)
		}
	})
}

// FuzzNode: answers about nodes never say more than the node stands for.
func FuzzNode(f *testing.F) {
	live := delta.NewDotSet()
	for seq := uint64(1); seq < 3000; seq += 1 + seq%3 {
		live.Add(crdt.Dot{Replica: idA, Seq: seq})
	}
	for level := range uint8(3) {
		f.Add(appendNode(nil, live, node{replica: idA, level: level}), level, uint64(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, level uint8, index uint64) {
		n := node{replica: idA, level: level % (maxLevel + 1), index: index}
		if !n.valid() {
			return
		}
		a, _, err := cutNode(b, n)
		if err != nil {
			return
		}
		first, last := n.span()
		for _, r := range a.runs {
			if r.first < first || r.last > last || r.first > r.last {
				t.Fatalf("run %v of node %v", r, n)
			}
			first = r.last + 1
		}
	})
}

// FuzzGossip: nothing that is published makes an engine panic.
func FuzzGossip(f *testing.F) {
	a, _ := pair(1)
	for _, u := range a.log {
		f.Add(delta.AppendFrame([]byte{gossipFrame}, delta.Frame{Units: []delta.Unit{u}}))
	}
	for _, m := range vectors() {
		f.Add(append([]byte{gossipMessage}, m.encode()...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e := NewEngine(DefaultConfig(), a.status())
		e.Handle(epoch, PeerUp{Peer: "p"})
		e.Handle(epoch, Gossip{Peer: "p", Data: b})
		if len(b) > 0 {
			e.Handle(epoch, Message{Peer: "p", Data: b[1:]})
		}
		e.Handle(epoch.Add(DefaultConfig().PendingAge), Tick{})
	})
}
