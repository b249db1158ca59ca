package sync

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/delta"
)

// FuzzEngine feeds an engine whatever a tape says, from peers that come and go, and what the local copy does.
func FuzzEngine(f *testing.F) { f.Fuzz(fuzzEngine) }

func fuzzEngine(t *testing.T, b []byte) {
	{
		tp := &tape{b: b}
		a, copyB := pair(uint64(tp.intN(16)))
		j := judged{memCopy: copyB, t: t}
		rng := rand.New(rand.NewPCG(1, 7))
		cfg := tp.small()
		cfg.MaxPeers = 3
		now := epoch
		e := NewEngine(cfg, j.status())
		var applies []Apply
		pulling := PeerID("")
		peers := []PeerID{"p", "q", "r", "s"}
		handle := func(ev Event) {
			actions := e.Handle(now, ev)
			for _, act := range actions {
				switch act := act.(type) {
				case Publish:
					if err := CheckGossip(act.Data); err != nil {
						t.Fatal(err)
					}
				case Send:
					if _, err := decode(act.Data); err != nil {
						t.Fatalf("sends %x: %v", act.Data, err)
					}
				case Apply:
					for _, u := range act.Units {
						if u.Origin == j.id {
							t.Fatalf("applies what a peer says that this copy wrote")
						}
					}
					applies = append(applies, act)
				case Pull:
					if pulling != "" {
						t.Fatal("a second pull")
					}
					pulling = act.Peer
				case Held:
					if act.Seq > j.state.Clock[j.id] {
						t.Fatalf("a peer holds %d of %d own seqs", act.Seq, j.state.Clock[j.id])
					}
				}
			}
			if w := e.Wake(); !w.IsZero() && !w.After(now) {
				t.Fatalf("wants to be woken at %v at %v, after %T", w, now, ev)
			}
			if err := e.bounded(); err != nil {
				t.Fatal(err)
			}
		}
		for n := 0; n < 300 && len(tp.b) > 0; n++ {
			peer := peers[tp.intN(len(peers))]
			switch tp.intN(12) {
			case 0:
				handle(PeerUp{Peer: peer})
			case 1:
				handle(PeerDown{Peer: peer})
			case 2, 3:
				handle(Message{Peer: peer, Data: tp.message(0)})
			case 4:
				handle(Gossip{Peer: peer, Data: append([]byte{gossipMessage}, tp.message(0)...)})
			case 5, 6: // units, well formed or not
				fr := delta.Frame{Runs: delta.Runs{}}
				for _, r := range tp.runs() {
					if r.Run.First > 0 {
						fr.Runs[r.Replica] = r.Run
					}
				}
				for range 1 + tp.intN(3) {
					fr.Units = append(fr.Units, tp.unit())
				}
				handle(Gossip{Peer: peer, Data: delta.AppendFrame([]byte{gossipFrame}, fr)})
			case 7: // what an honest copy has
				u := a.log[tp.intN(len(a.log))]
				handle(Gossip{Peer: peer, Data: delta.AppendFrame([]byte{gossipFrame}, delta.Frame{Units: []delta.Unit{u}})})
			case 8:
				u := j.write(rng)
				handle(Committed{Status: j.status(), Units: []delta.Unit{u}, Local: true})
			case 9:
				if len(applies) == 0 {
					continue
				}
				act := applies[0]
				applies = applies[1:]
				seq, own := j.own()
				if err := j.ApplyUnits(act.Units, act.Runs); err != nil {
					handle(ApplyFailed{Err: err, From: act.From})
				} else {
					j.sound(seq, own)
					handle(Committed{Status: j.status()})
				}
			case 10:
				if pulling == "" {
					continue
				}
				p := pulling
				pulling = ""
				handle(Pulled{Peer: p, Err: []error{nil, ErrMalformed, errors.New("cut")}[tp.intN(3)]})
			case 11:
				now = now.Add(time.Duration(1+tp.next()) * []time.Duration{time.Millisecond, time.Second}[tp.intN(2)])
				handle(Tick{})
			}
		}
	}
}

// bounded reports what the engine holds more of than it may.
func (e *Engine) bounded() error {
	switch {
	case len(e.peers) > e.cfg.MaxPeers:
		return fmt.Errorf("%d peers", len(e.peers))
	case e.pend.units > e.cfg.MaxPendingUnits, e.pend.bytes > e.cfg.MaxPendingBytes, len(e.pend.queues) > maxOrigins:
		return fmt.Errorf("%d units wait, %d bytes, %d origins", e.pend.units, e.pend.bytes, len(e.pend.queues))
	case len(e.large) > maxAnnounced, len(e.claims) > maxDoubts, len(e.foreign) > maxForeign:
		return fmt.Errorf("%d announced, %d doubts, %d foreign forks", len(e.large), len(e.claims), len(e.foreign))
	}
	for _, p := range e.peers {
		if len(p.clock) > e.cfg.MaxReplicas || len(p.runs) > e.cfg.MaxReplicas || len(p.asks) > maxAsks {
			return fmt.Errorf("of %s: %d components, %d runs, %d asks", p.id, len(p.clock), len(p.runs), len(p.asks))
		}
	}
	return nil
}
