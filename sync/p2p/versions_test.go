package p2p

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/protocol"
)

// lines is a log that can be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func speaking(t *testing.T, log *lines, v ...int) *Node {
	t.Helper()
	o := testOptions(t)
	o.versions = v
	if log != nil {
		o.Logger = slog.New(slog.NewTextHandler(log, nil))
	}
	return startNode(t, o)
}

// controls returns the protocols of the control streams of a node.
func controls(n *Node) (ids []protocol.ID) {
	for _, c := range n.host.Network().Conns() {
		for _, s := range c.GetStreams() {
			if isVersionOf(s.Protocol(), controlProtocol) {
				ids = append(ids, s.Protocol())
			}
		}
	}
	return ids
}

// Nodes of two versions next to each other replicate, by gossip and by repair, in both directions, whoever
// dials; two of the newer one speak its version.
func TestAdjacentVersions(t *testing.T) {
	for name, speak := range map[string][2]versions{
		"the newer dials": {{2, 1}, {1}}, "the older dials": {{1}, {2, 1}}, "two newer ones": {{2, 1}, {2, 1}}, "newer still": {{3, 2}, {2, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := speaking(t, nil, speak[0]...), speaking(t, nil, speak[1]...)
			before := addCopy(t, a, "shop")
			before.write("one", "two")
			x := addCopy(t, b, "shop")
			x.write("three")
			introduce(t, a, b)
			eventually(t, "repaired", func() bool { return before.equal(x) && len(x.values()) == 3 })
			before.write("four")
			x.write("five")
			eventually(t, "told", func() bool { return before.equal(x) && len(x.values()) == 5 })

			newest := 0
			for _, v := range speak[0] {
				if slices.Contains(speak[1], v) {
					newest = max(newest, v)
				}
			}
			want := versions{newest}.of(controlProtocol)[0]
			for _, n := range []*Node{a, b} {
				if ids := controls(n); len(ids) == 0 || slices.ContainsFunc(ids, func(id protocol.ID) bool { return id != want }) {
					t.Errorf("%v speaks %v, want %s", speak, ids, want)
				}
			}
		})
	}
}

// Nodes without a version in common stay apart, and both say why.
func TestNoCommonVersion(t *testing.T) {
	var ofOld, ofNew lines
	a, b := speaking(t, &ofOld, 1), speaking(t, &ofNew, 2)
	if err := a.AddPeer(b.Addresses()[0]); err != nil {
		t.Fatal(err)
	}
	for log, speaks := range map[*lines]string{&ofOld: "[/anabranch/hello/2]", &ofNew: "[/anabranch/hello/1]"} {
		eventually(t, "told", func() bool {
			return strings.Contains(log.String(), "speaks no version of the protocol that this one speaks") && strings.Contains(log.String(), "speaks="+speaks)
		})
	}
	if knows(a, b) || knows(b, a) {
		t.Error("they are connected")
	}
}
