package p2p

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anabranchdb/anabranch/crdt"
	peersync "github.com/anabranchdb/anabranch/sync"
)

// stocked adds a copy with rights to seats.
func stocked(t testing.TB, n *Node, rights int64) *memCopy {
	t.Helper()
	c := newMemCopy("shop")
	c.rights = map[string]int64{"seats": rights}
	if err := n.AddCopy(c); err != nil {
		t.Fatal(err)
	}
	return c
}

// linked waits until n knows which replica is o's.
func linked(t testing.TB, n, o *Node) {
	t.Helper()
	eventually(t, "linked", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		l := n.links[o.host.ID()]
		return l != nil && l.theirs["shop"].replica != 0
	})
}

func TestAskRights(t *testing.T) {
	a, b, c := startNode(t, testOptions(t)), startNode(t, testOptions(t)), startNode(t, testOptions(t))
	ca, cb, cc := stocked(t, a, 100), stocked(t, b, 3), stocked(t, c, 10)
	introduce(t, a, b)
	introduce(t, a, c)
	for _, o := range []*Node{b, c} {
		linked(t, a, o)
		linked(t, o, a)
	}
	for _, ask := range []struct {
		key                      string
		amount, want, bHas, cHas int64
	}{
		{"seats", 5, 5, 3, 5}, // c is asked first
		{"other", 5, 0, 3, 5},
		{"seats", 7, 7, 1, 0},
		{"seats", 7, 1, 0, 0},
		{"seats", 7, 0, 0, 0},
	} {
		given, clock, err := a.AskRights(t.Context(), "shop", ask.key, ask.amount, []crdt.ReplicaID{99, cc.replica, cb.replica})
		if err != nil || given != ask.want || cb.rights["seats"] != ask.bHas || cc.rights["seats"] != ask.cHas {
			t.Fatalf("%+v: %d, %v, b has %d, c has %d", ask, given, err, cb.rights["seats"], cc.rights["seats"])
		}
		eventually(t, "arrived", func() bool { return ca.clock().CoversAll(clock) })
		if (len(clock) > 0) != (given > 0) {
			t.Errorf("%+v: clock %v", ask, clock)
		}
	}
	if want := fmt.Sprint([]string{fmt.Sprint(ca.replica, " ", 5), fmt.Sprint(ca.replica, " ", 5)}); fmt.Sprint(cc.given) != want {
		t.Errorf("c gave %v, want %v", cc.given, want)
	}
	if _, _, err := a.AskRights(t.Context(), "none", "seats", 1, nil); !errors.Is(err, ErrUnknown) {
		t.Errorf("of a namespace that is not held: %v", err)
	}
	if s := a.Stats(); s.RightsAsked < 6 {
		t.Errorf("stats %+v", s)
	}
}

// TestAskRightsOfTheDeaf: who does not answer costs a while, and the next one is asked.
func TestAskRightsOfTheDeaf(t *testing.T) {
	o := testOptions(t)
	o.Timing.Handshake = 300 * time.Millisecond
	a, b, c := startNode(t, o), startNode(t, testOptions(t)), startNode(t, testOptions(t))
	stocked(t, a, 0)
	cb, cc := stocked(t, b, 5), stocked(t, c, 5)
	b.gated.SetStreamHandler(rightsProtocol, func(s network.Stream) { <-b.ctx.Done(); s.Reset() })
	introduce(t, a, b)
	introduce(t, a, c)
	linked(t, a, b)
	linked(t, a, c)
	linked(t, c, a)
	first := []crdt.ReplicaID{cb.replica, cc.replica}
	if given, _, err := a.AskRights(t.Context(), "shop", "seats", 2, first); err != nil || given != 2 || cc.rights["seats"] != 3 {
		t.Errorf("%d, %v", given, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if given, _, err := a.AskRights(ctx, "shop", "seats", 2, first); err != nil || given != 0 {
		t.Errorf("after the end: %d, %v", given, err)
	}
}

// TestRightsGoToTheirOwner: whose the replica is, and how much may be asked, is decided by who is
// asked.
func TestRightsGoToTheirOwner(t *testing.T) {
	const own, hers, his = crdt.ReplicaID(1), crdt.ReplicaID(2), crdt.ReplicaID(3)
	told := func(r crdt.ReplicaID) *link { return &link{theirs: holdings{"shop": {epoch: 1, replica: r}}} }
	c := &copyRunner{name: "shop", replica: own}
	for name, tt := range map[string]struct {
		links map[peer.ID]*link
		gives int
		want  crdt.ReplicaID
	}{
		"hers":                   {links: map[peer.ID]*link{"she": told(hers), "he": told(his)}, want: hers},
		"of a peer without link": {links: map[peer.ID]*link{"he": told(his)}},
		"of an older daemon":     {links: map[peer.ID]*link{"she": told(0)}},
		"of one that holds none": {links: map[peer.ID]*link{"she": {}}},
		"ours":                   {links: map[peer.ID]*link{"she": told(own)}},
		"told by two":            {links: map[peer.ID]*link{"she": told(hers), "he": told(hers)}},
		"too many":               {links: map[peer.ID]*link{"she": told(hers)}, gives: maxGives},
		"too many of her":        {links: map[peer.ID]*link{"she": {theirs: told(hers).theirs, gives: maxGivesOfPeer}}},
		"too fast": {links: map[peer.ID]*link{"she": {theirs: told(hers).theirs, asked: maxGivesPerSec,
			askedSince: time.Now().Add(time.Hour)}}},
	} {
		n := &Node{links: tt.links, gives: tt.gives}
		l, to, ok := n.beginGive("she", c)
		if to != tt.want || ok != (tt.want != 0) || (l != nil) != ok {
			t.Errorf("%s: %v, %v", name, to, ok)
		}
		if !ok && n.gives != tt.gives {
			t.Errorf("%s: a place was taken", name)
		}
		if ok {
			if n.endGive(l); n.gives != 0 || l.gives != 0 {
				t.Errorf("%s: %d places are taken", name, n.gives)
			}
		}
	}
}

func TestAskingIsCountedBySeconds(t *testing.T) {
	l := &link{}
	now := time.Unix(1000, 0)
	for i := range maxGivesPerSec + 2 {
		if l.mayAsk(now) != (i < maxGivesPerSec) {
			t.Fatalf("question %d", i)
		}
	}
	if !l.mayAsk(now.Add(time.Second)) {
		t.Error("a second later")
	}
}

// TestRightsRefused: members that may not ask are told so, or get nothing.
func TestRightsRefused(t *testing.T) {
	n := startNode(t, testOptions(t))
	c := stocked(t, n, 5)
	h := stranger(t)
	id := infiltrate(t, h, n)
	for name, want := range map[string]byte{"none": notHeld, "shop": busy} { // it has told no replica
		s, err := h.NewStream(t.Context(), id, rightsProtocol)
		if err != nil {
			t.Fatal(err)
		}
		s.SetDeadline(time.Now().Add(10 * time.Second))
		m := newSmallMessages(s, 10*time.Second)
		if err := m.write([][]byte{[]byte(name), peersync.RightsAsk{Key: "seats", Amount: 1}.Encode()}); err != nil {
			t.Fatal(err)
		}
		if v, err := readMessage(bufio.NewReader(s), 10); err != nil || len(v) != 1 || v[0] != want {
			t.Errorf("%s: %v, %v", name, v, err)
		}
		s.Reset()
	}
	if c.rights["seats"] != 5 || n.Stats().RightsRefused != 1 {
		t.Errorf("%v, %+v", c.rights, n.Stats())
	}
}
