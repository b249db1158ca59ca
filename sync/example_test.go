package sync_test

import (
	"context"
	"fmt"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/internal/replica"
	"github.com/anabranchdb/anabranch/store"
	peersync "github.com/anabranchdb/anabranch/sync"
)

// Two copies meet after one of them has written. The one that is behind pulls: messages go to
// and fro, over any ordered stream, until the session says that it is done.
func Example() {
	here, there := newCopy(), newCopy()
	defer here.close()
	defer there.close()
	there.add("milk")

	ctx := context.Background()
	cfg := peersync.DefaultConfig()
	pull := peersync.NewPull(cfg, here.Sink(ctx))
	serve := peersync.NewServe(cfg, func() (peersync.Source, error) { return there.Source(ctx) })
	defer serve.Close()

	messages, err := pull.Start()
	for done := false; !done && err == nil; {
		var answers [][]byte
		for _, m := range messages {
			var out [][]byte
			if out, _, err = serve.Handle(m); err != nil {
				panic(err)
			}
			answers = append(answers, out...)
		}
		messages = nil
		for _, m := range answers {
			var out [][]byte
			if out, done, err = pull.Handle(m); err != nil {
				panic(err)
			}
			messages = append(messages, out...)
		}
	}
	fmt.Println(here.has("milk"), err)
	fmt.Println(here.Status().Digest == there.Status().Digest)
	// Output:
	// true <nil>
	// true
}

// An engine is told what happened and says what to do. Here a peer has appeared, and the engine
// greets it with the hashes of its clock; what it wants besides, time shows.
func ExampleEngine() {
	c := newCopy()
	defer c.close()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	e := peersync.NewEngine(peersync.DefaultConfig(), c.Status())
	for _, a := range e.Handle(now, peersync.PeerUp{Peer: "bob"}) {
		if send, ok := a.(peersync.Send); ok {
			fmt.Println("send to", send.Peer)
		}
	}
	fmt.Println("wants to be called again:", e.Wake().After(now))
	// Output:
	// send to bob
	// wants to be called again: true
}

// memCopy is a copy of a namespace in memory. replica.Copy makes Source and Sink of it.
type memCopy struct {
	*replica.Copy
	store *store.Store
	ns    *store.Namespace
}

func newCopy() memCopy {
	s, err := store.Open(store.MemoryOptions())
	if err != nil {
		panic(err)
	}
	ns, err := s.Namespace(store.Default)
	if err != nil {
		panic(err)
	}
	return memCopy{replica.New(ns), s, ns}
}

func (c memCopy) close() { c.store.Close() }

func member(name string) crdt.Path {
	return crdt.Object(crdt.Set, "cart").Leaf(crdt.Set).Member(name)
}

func (c memCopy) add(name string) {
	_, err := c.ns.Commit(context.Background(), func(t *store.Tx) error {
		_, err := t.Add(member(name))
		return err
	})
	if err != nil {
		panic(err)
	}
}

func (c memCopy) has(name string) bool {
	v, err := c.ns.View(context.Background())
	if err != nil {
		panic(err)
	}
	defer v.Close()
	live, err := v.Entries(member(name))
	return err == nil && len(live) > 0
}
