package history

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
)

// script builds a history in which every call takes a moment, one after the other.
type script struct {
	ops []Op
	now int64
}

func (s *script) op(o Op) *script {
	o.ID = len(s.ops) + 1
	if o.Start == 0 {
		o.Start = s.now + 1
	}
	if o.End == 0 {
		o.End = max(o.Start, s.now) + 5
	}
	if o.Outcome == "" {
		o.Outcome = OK
	}
	s.now = max(s.now, o.End)
	s.ops = append(s.ops, o)
	return s
}

// add, remove and read are calls of a session at a daemon; session "b2" runs at daemon "b".
func (s *script) add(session, object string, names ...string) *script {
	return s.op(Op{Session: session, Daemon: session[:1], Writes: []Write{{Object: object, Add: names}}})
}

func (s *script) remove(session, object string, names ...string) *script {
	return s.op(Op{Session: session, Daemon: session[:1], Writes: []Write{{Object: object, Remove: names}}})
}

func (s *script) inc(session, object string, n int64) *script {
	return s.op(Op{Session: session, Daemon: session[:1], Writes: []Write{{Object: object, Inc: n}}})
}

func (s *script) read(session, object string, names ...string) *script {
	return s.op(Op{Session: session, Daemon: session[:1], Reads: []Read{{Object: object, Elements: names}}})
}

func (s *script) sum(session, object string, n int64) *script {
	return s.op(Op{Session: session, Daemon: session[:1], Reads: []Read{{Object: object, Sum: n}}})
}

// batch is a call of several writes; put and take are some.
func (s *script) batch(session string, writes ...Write) *script {
	return s.op(Op{Session: session, Daemon: session[:1], Writes: writes})
}

func put(object string, names ...string) Write  { return Write{Object: object, Add: names} }
func take(object string, names ...string) Write { return Write{Object: object, Remove: names} }

// replace writes a value of a register in the place of others.
func (s *script) replace(session, object, name string, former ...string) *script {
	return s.batch(session, Write{Object: object, Add: []string{name}, Remove: former})
}

// become changes the outcome of the last op.
func (s *script) become(o Outcome) *script {
	s.ops[len(s.ops)-1].Outcome = o
	return s
}

func (s *script) whole(daemon string, reads ...Read) *script {
	return s.op(Op{Session: daemon + "-whole", Daemon: daemon, Whole: true, Reads: reads})
}

func (s *script) end(daemon string, reads ...Read) *script {
	return s.op(Op{Kind: Final, Daemon: daemon, Whole: true, Token: "t", Digest: "d", Reads: reads})
}

func (s *script) feed(daemon, object string, names ...string) *script {
	return s.op(Op{Kind: Feed, Session: "feed-" + daemon, Daemon: daemon, Reads: []Read{{Object: object, Elements: names}}})
}

func el(object string, names ...string) Read { return Read{Object: object, Elements: names} }

func begin() *script { return &script{} }

func TestAnomalies(t *testing.T) {
	held := func(from string, start int64, peers ...string) Op {
		return Op{Kind: Held, Daemon: from, Start: start, Peers: peers}
	}
	tests := []struct {
		name string
		s    *script
		want string // the only kind, or none
	}{
		{"a set", begin().add("a1", "set/s", "x").read("a1", "set/s", "x").remove("a1", "set/s", "x").read("a1", "set/s").end("a"), ""},
		{"a value that nobody wrote", begin().read("a1", "set/s", "x"), Phantom},
		{"a value whose write was refused", begin().add("a1", "set/s", "x").become(Refused).read("a1", "set/s", "x"), Phantom},
		{"a value from the future", begin().read("a1", "set/s", "x").add("b1", "set/s", "x"), Phantom},
		{"a write of unknown outcome may be there", begin().add("a1", "set/s", "x").become(Unknown).read("a1", "set/s", "x"), ""},
		{"or not", begin().add("a1", "set/s", "x").become(Unknown).read("a1", "set/s").end("a"), ""},
		{"own write, not read, at the same daemon", begin().add("a1", "set/s", "x").read("a1", "set/s"), Stale},
		{"own write, not read, in a session that moved", begin().add("a1", "set/s", "x").op(Op{Session: "a1", Daemon: "b", Reads: []Read{el("set/s")}}), Stale},
		{"another session elsewhere need not see it", begin().add("a1", "set/s", "x").read("b1", "set/s"), ""},
		{"a daemon goes on showing what it showed", begin().add("a1", "set/s", "x").read("b1", "set/s", "x").read("b2", "set/s"), Stale},
		{"a read that began before need not", begin().add("a1", "set/s", "x").read("b1", "set/s", "x").op(Op{Session: "b2", Daemon: "b", Start: 8, End: 30, Reads: []Read{el("set/s")}}), ""},
		{"not after its directory was lost", begin().add("a1", "set/s", "x").read("b1", "set/s", "x").op(Op{Kind: Lost, Daemon: "b", Epoch: 1}).
			op(Op{Session: "b2", Daemon: "b", Epoch: 1, Reads: []Read{el("set/s")}}), ""},
		{"reads of a session go back", begin().add("a1", "set/s", "x").read("b1", "set/s", "x").op(Op{Session: "b1", Daemon: "c", Reads: []Read{el("set/s")}}), Stale},
		{"a removal that was seen is undone", begin().add("a1", "set/s", "x").remove("a1", "set/s", "x").read("a1", "set/s", "x"), Resurrected},
		{"a removal of unknown outcome explains an absence", begin().add("a1", "set/s", "x").remove("a1", "set/s", "x").become(Unknown).read("a1", "set/s"), ""},
		{"a removal that was refused does not", begin().add("a1", "set/s", "x").remove("a1", "set/s", "x").become(Refused).read("a1", "set/s"), Stale},
		{"nor one that came later", begin().add("a1", "set/s", "x").read("a1", "set/s").remove("a1", "set/s", "x"), Stale},
		{"an element twice", begin().add("a1", "list/l", "x").read("a1", "list/l", "x", "x"), Twice},
		{"a writer's items", begin().add("a1", "list/l", "x").add("b1", "list/l", "z").add("a1", "list/l", "y").read("c1", "list/l", "x", "z", "y"), ""},
		{"a writer's items out of order", begin().add("a1", "list/l", "x").add("a1", "list/l", "y").read("b1", "list/l", "y", "x"), Order},
		{"a write that follows a read is seen without what was read", begin().add("a1", "set/s", "x").read("b1", "set/s", "x").add("b1", "set/t", "y").
			read("c1", "set/t", "y").read("c1", "set/s"), Stale},
		{"a session's second write is seen without the first", begin().add("a1", "set/s", "x").add("a1", "set/s", "y").read("b1", "set/s", "y"), Torn},
		{"half a batch in one state", begin().op(Op{Session: "a1", Daemon: "a", Writes: []Write{{Object: "set/s", Add: []string{"x"}}, {Object: "map/m", Add: []string{"x"}}}}).
			whole("b", el("set/s", "x")), Torn},
		{"half a batch of unknown outcome, one after the other", begin().op(Op{Session: "a1", Daemon: "a", Outcome: OK, Writes: []Write{{Object: "set/s", Add: []string{"x"}}, {Object: "map/m", Add: []string{"x"}}}}).
			read("b1", "set/s", "x").read("b1", "map/m"), Stale},
		{"a whole batch", begin().op(Op{Session: "a1", Daemon: "a", Writes: []Write{{Object: "set/s", Add: []string{"x"}}, {Object: "counter/c", Inc: 2}}}).
			whole("b").whole("b", el("set/s", "x"), Read{Object: "counter/c", Sum: 2}), ""},
		{"a batch without its increment", begin().op(Op{Session: "a1", Daemon: "a", Writes: []Write{{Object: "set/s", Add: []string{"x"}}, {Object: "counter/c", Inc: 2}}}).
			whole("b", el("set/s", "x")), Sum},
		{"an increment without its batch", begin().op(Op{Session: "a1", Daemon: "a", Writes: []Write{{Object: "set/s", Add: []string{"x"}}, {Object: "counter/c", Inc: 2}}}).
			whole("b", Read{Object: "counter/c", Sum: 2}), Sum},
		{"siblings", begin().add("a1", "register/r", "1").op(Op{Session: "a1", Daemon: "a", Writes: []Write{{Object: "register/r", Add: []string{"2"}, Remove: []string{"1"}}}}).
			add("b1", "register/r", "3").read("b1", "register/r", "2", "3").end("a", el("register/r", "2", "3")), ""},
		{"a value beside the one that took its place", begin().add("a1", "register/r", "1").
			op(Op{Session: "a1", Daemon: "a", Outcome: Unknown, Writes: []Write{{Object: "register/r", Add: []string{"2"}, Remove: []string{"1"}}}}).read("b1", "register/r", "2", "1"), Resurrected},
		{"a lost sibling", begin().add("a1", "register/r", "1").add("b1", "register/r", "2").end("c", el("register/r", "2")), Missing},
		{"a counter", begin().inc("a1", "counter/c", 2).inc("b1", "counter/c", -3).become(Unknown).sum("a1", "counter/c", 2).sum("a1", "counter/c", -1), ""},
		{"a counter that misses an own increment", begin().inc("a1", "counter/c", 2).sum("a1", "counter/c", 0), Sum},
		{"a counter that counts twice", begin().inc("a1", "counter/c", 2).sum("b1", "counter/c", 4), Sum},
		{"a counter that counts what was refused", begin().inc("a1", "counter/c", 2).become(Refused).sum("b1", "counter/c", 2), Sum},
		{"a counter that is wrong in the end", begin().inc("a1", "counter/c", 2).inc("b1", "counter/c", 1).become(Unknown).end("c", Read{Object: "counter/c", Sum: 1}), Missing},
		{"a bounded counter below zero", begin().inc("a1", "bounded/c", 2).inc("b1", "bounded/c", -3).become(Unknown).sum("c1", "bounded/c", -1), BelowZero},
		{"a bounded counter that is oversold", begin().inc("a1", "bounded/c", 2).inc("a1", "bounded/c", -2).inc("b1", "bounded/c", -1), Oversold},
		{"a bounded counter that is sold out", begin().inc("a1", "bounded/c", 2).inc("a1", "bounded/c", -1).inc("b1", "bounded/c", -1), ""},
		{"two writes on one condition", begin().op(Op{Session: "a1", Daemon: "a", ETag: "e", Writes: []Write{{Object: "register/r", Add: []string{"1"}}}}).
			op(Op{Session: "a2", Daemon: "a", ETag: "e", Writes: []Write{{Object: "register/r", Add: []string{"2"}}}}), Condition},
		{"two daemons know nothing of each other's conditions", begin().op(Op{Session: "a1", Daemon: "a", ETag: "e", Writes: []Write{{Object: "register/r", Add: []string{"1"}}}}).
			op(Op{Session: "b2", Daemon: "b", ETag: "e", Writes: []Write{{Object: "register/r", Add: []string{"2"}}}}), ""},
		{"daemons that differ in the end", begin().end("a").op(Op{Kind: Final, Daemon: "b", Whole: true, Token: "t", Digest: "other"}), Diverged},
		{"an acknowledged element is lost", begin().add("a1", "set/s", "x").end("b"), Missing},
		{"an acknowledged removal is undone", begin().add("a1", "set/s", "x").remove("a1", "set/s", "x").end("b", el("set/s", "x")), Undone},
		{"a lost directory takes along what nobody else has", begin().add("a1", "set/s", "x").op(Op{Kind: Lost, Daemon: "a", Epoch: 1}).end("b"), ""},
		{"but nothing that a peer has told to have", begin().add("a1", "set/s", "x").op(held("a", 0, "b")).op(Op{Kind: Lost, Daemon: "a", Epoch: 1}).end("c"), Missing},
		{"a barrier is of what was held when it began", begin().op(Op{Session: "a1", Daemon: "a", Start: 10, End: 20, Writes: []Write{{Object: "set/s", Add: []string{"x"}}}}).op(held("a", 15, "b")).
			op(Op{Kind: Lost, Daemon: "a", Epoch: 1}).end("b"), ""},
		{"nothing that was read elsewhere", begin().add("a1", "set/s", "x").read("b1", "set/s", "x").op(Op{Kind: Lost, Daemon: "a", Epoch: 1}).end("c"), Missing},
		{"nothing that was acknowledged by a peer", begin().op(Op{Session: "a1", Daemon: "a", Acks: 1, Writes: []Write{{Object: "set/s", Add: []string{"x"}}}}).op(Op{Kind: Lost, Daemon: "a", Epoch: 1}).end("b"), Missing},
		{"unless that peer may be lost too", begin().op(Op{Session: "a1", Daemon: "a", Acks: 1, Writes: []Write{{Object: "set/s", Add: []string{"x"}}}}).op(Op{Kind: Lost, Daemon: "a", Epoch: 1}).
			op(Op{Kind: Lost, Daemon: "b", Epoch: 1}).end("c"), ""},
		{"nothing that the backup has", begin().add("a1", "set/s", "x").op(Op{Kind: Backup, Daemon: "a"}).op(Op{Kind: Lost, Daemon: "a", Epoch: 1, Kept: true}).end("c"), Missing},
		{"but what came after it", begin().op(Op{Kind: Backup, Daemon: "a"}).add("a1", "set/s", "x").op(Op{Kind: Lost, Daemon: "a", Epoch: 1, Kept: true}).end("c"), ""},
		{"and what a peer held that was lost in turn", begin().add("a1", "set/s", "x").op(held("a", 0, "b")).op(Op{Kind: Lost, Daemon: "b", Epoch: 1}).op(Op{Kind: Lost, Daemon: "a", Epoch: 1}).end("c"), ""},
		{"a peer that was lost during the barrier counts for nothing", begin().add("a1", "set/s", "x").op(Op{Kind: Lost, Daemon: "b", Start: 10, End: 20, Epoch: 1}).op(held("a", 9, "b")).
			op(Op{Kind: Lost, Daemon: "a", Epoch: 1}).end("b"), ""},
		{"the feed tells all", begin().add("a1", "set/s", "x").feed("a", "set/s", "x").end("a", el("set/s", "x")), ""},
		{"the feed misses an object", begin().add("a1", "set/s", "x").add("a1", "set/t", "y").feed("a", "set/s", "x").end("a", el("set/s", "x"), el("set/t", "y")), FeedMissed},
		{"the feed misses the last state", begin().add("a1", "set/s", "x").feed("a", "set/s", "x").add("a1", "set/s", "y").end("a", el("set/s", "x", "y")), FeedMissed},
		{"the feed misses a removal", begin().add("a1", "set/s", "x").feed("a", "set/s", "x").remove("a1", "set/s", "x").end("a"), FeedMissed},
		{"the feed forgets", begin().add("a1", "set/s", "x").feed("a", "set/s", "x").feed("a", "set/s"), FeedRegress},
		{"the feed brings back", begin().add("a1", "set/s", "x").feed("a", "set/s", "x").remove("a1", "set/s", "x").feed("a", "set/s").feed("a", "set/s", "x").feed("a", "set/s"), FeedRegress},
		{"the feed makes up", begin().feed("a", "set/s", "x"), Phantom},

		{"a write of unknown outcome that was shown stays", begin().add("a1", "set/s", "x").become(Unknown).read("b1", "set/s", "x").read("b2", "set/s"), Stale},
		{"and is whole", begin().batch("a1", put("set/s", "x"), put("map/m", "x")).become(Unknown).whole("b", el("set/s", "x")), Torn},
		{"also when it is read in parts", begin().batch("a1", put("set/s", "x"), put("map/m", "x")).become(Unknown).read("b1", "set/s", "x").read("b1", "map/m"), Stale},
		{"and with its increment", begin().batch("a1", put("set/s", "x"), Write{Object: "counter/c", Inc: 2}).become(Unknown).whole("b", el("set/s", "x")), Sum},
		{"it may come after later ones of its session", begin().add("a1", "set/s", "x").become(Unknown).add("a1", "set/s", "y").read("b1", "set/s", "y").read("b1", "set/s", "x", "y"), ""},
		{"an answer lacks what its call wrote", begin().op(Op{Session: "a1", Daemon: "a", Writes: []Write{put("set/s", "x")}, Reads: []Read{el("set/s")}}), Stale},
		{"an answer lacks what its call counted", begin().op(Op{Session: "a1", Daemon: "a", Writes: []Write{{Object: "counter/c", Inc: 2}}, Reads: []Read{{Object: "counter/c"}}}), Sum},
		{"a value is gone, and what took its place is not there", begin().add("a1", "register/r", "1").replace("b1", "register/r", "2", "1").read("a1", "register/r"), Stale},
		{"nor what took the place of that", begin().add("a1", "register/r", "1").replace("b1", "register/r", "2", "1").replace("b1", "register/r", "3", "2").read("a1", "register/r"), Stale},
		{"that may have been removed in turn", begin().add("a1", "register/r", "1").replace("b1", "register/r", "2", "1").remove("b1", "register/r", "2").become(Unknown).read("a1", "register/r"), ""},
		{"a value is gone, and what took its place is gone for another", begin().add("a1", "register/r", "1").replace("b1", "register/r", "2", "1").replace("b1", "register/r", "3", "2").
			read("a1", "register/r", "3"), ""},
		{"what was seen to be gone comes back", begin().add("a1", "set/s", "x").read("b1", "set/s", "x").remove("b1", "set/s", "x").read("a1", "set/s").read("a1", "set/s", "x"), Resurrected},
		{"a removal of unknown outcome that was seen is undone", begin().add("a1", "set/s", "x").remove("a1", "set/s", "x").become(Unknown).read("a1", "set/s").read("a2", "set/s", "x"), Resurrected},
		{"who sees a removal sees what came with it", begin().add("a1", "set/s", "x").batch("b1", take("set/s", "x"), put("set/t", "y")).read("a1", "set/s").read("a1", "set/t"), Stale},
		{"and what its writer knew", begin().add("a1", "set/s", "x").add("b1", "set/t", "y").remove("b1", "set/s", "x").read("a1", "set/s").read("a1", "set/t"), Stale},
		{"and so on", begin().add("a1", "set/s", "x").add("c1", "set/t", "y").read("b1", "set/t", "y").batch("c1", take("set/t", "y"), put("set/u", "z")).read("b1", "set/t").remove("b1", "set/s", "x").
			read("a1", "set/s").read("a1", "set/u"), Stale},
		{"unless there are two who removed it", begin().add("a1", "set/s", "x").batch("b1", take("set/s", "x"), put("set/t", "y")).remove("c1", "set/s", "x").become(Unknown).
			read("a1", "set/s").read("a1", "set/t"), ""},
		{"or it need not have been there", begin().add("b1", "set/s", "x").batch("c1", take("set/s", "x"), put("set/t", "y")).read("a1", "set/s").read("a1", "set/t"), ""},
		{"half a batch of removals", begin().batch("a1", put("set/s", "x"), put("map/m", "x")).whole("b", el("set/s", "x"), el("map/m", "x")).batch("a1", take("set/s", "x"), take("map/m", "x")).
			whole("b", el("map/m", "x")), Stale},
		{"half of two batches of the same removals", begin().batch("a1", put("set/s", "x"), put("map/m", "x")).whole("b", el("set/s", "x"), el("map/m", "x")).batch("a1", take("set/s", "x"), take("map/m", "x")).
			batch("c1", take("set/s", "x"), take("map/m", "x")).become(Unknown).whole("b", el("map/m", "x")), Stale},
		{"a removal without what was added with it", begin().add("a1", "set/s", "x").read("b1", "set/s", "x").batch("a1", take("set/s", "x"), put("set/t", "y")).whole("b"), Stale},
		{"who acknowledged it may have been lost before the answer came", begin().op(Op{Session: "a1", Daemon: "a", Acks: 1, Start: 1, End: 30, Writes: []Write{put("set/s", "x")}}).
			op(Op{Kind: Lost, Daemon: "b", Epoch: 1, Start: 10, End: 20}).op(Op{Kind: Lost, Daemon: "a", Epoch: 1}).end("b"), ""},
		{"but not two with one loss", begin().op(Op{Session: "a1", Daemon: "a", Acks: 2, Start: 1, End: 30, Writes: []Write{put("set/s", "x")}}).
			op(Op{Kind: Lost, Daemon: "b", Epoch: 1, Start: 10, End: 20}).op(Op{Kind: Lost, Daemon: "a", Epoch: 1}).end("b"), Missing},
		{"the feed told what is there in part", begin().add("a1", "register/r", "1").feed("a", "register/r", "1").end("a", Read{Object: "register/r", Elements: []string{"1"}, Partial: true}), ""},
		{"a peer that does nothing else holds it", begin().add("a1", "set/s", "x").op(held("a", 0, "b")).op(Op{Kind: Lost, Daemon: "a", Epoch: 1}).end("c"), Missing},
		{"a value that was refused, and written again", begin().add("a1", "set/s", "x").become(Refused).add("a1", "set/s", "x").read("a1", "set/s", "x").end("a", el("set/s", "x")), ""},
		{"a value that was written, and refused when it was written again", begin().add("a1", "set/s", "x").add("b1", "set/s", "x").become(Refused).read("a1", "set/s", "x").end("b"), Missing},
		{"a peer told by a barrier to hold it, and does not show it", begin().add("a1", "set/s", "x").op(held("a", 0, "b")).read("b1", "set/s"), Stale},
		{"a read that began before the barrier ended need not", begin().add("a1", "set/s", "x").op(held("a", 0, "b")).op(Op{Session: "b1", Daemon: "b", Start: 8, Reads: []Read{el("set/s")}}), ""},
		{"nor does it have what came while the barrier waited", begin().op(Op{Kind: Held, Daemon: "a", Start: 1, End: 20, Peers: []string{"b"}}).add("a1", "set/s", "y").read("b1", "set/s"), ""},
		{"nor after it was lost", begin().add("a1", "set/s", "x").op(held("a", 0, "b")).op(Op{Kind: Lost, Daemon: "b", Epoch: 1}).op(Op{Session: "b2", Daemon: "b", Epoch: 1, Reads: []Read{el("set/s")}}), ""},
		{"nor when it was lost meanwhile", begin().add("a1", "set/s", "x").op(Op{Kind: Lost, Daemon: "b", Start: 10, End: 20, Epoch: 1}).op(held("a", 9, "b")).
			op(Op{Session: "b2", Daemon: "b", Epoch: 1, Reads: []Read{el("set/s")}}), ""},
		{"a barrier after a loss is of the new directory", begin().add("a1", "set/s", "x").op(Op{Kind: Lost, Daemon: "b", Epoch: 1}).op(held("a", 0, "b")).
			op(Op{Session: "b2", Daemon: "b", Epoch: 1, Reads: []Read{el("set/s")}}), Stale},
		{"a backup that is put back shows what it has", begin().add("a1", "set/s", "x").op(Op{Kind: Backup, Daemon: "a"}).op(Op{Kind: Lost, Daemon: "a", Epoch: 1, Kept: true}).
			op(Op{Session: "a2", Daemon: "a", Epoch: 1, Reads: []Read{el("set/s")}}), Stale},
		{"and not what came after it", begin().op(Op{Kind: Backup, Daemon: "a"}).add("a1", "set/s", "x").op(Op{Kind: Lost, Daemon: "a", Epoch: 1, Kept: true}).
			op(Op{Session: "a2", Daemon: "a", Epoch: 1, Reads: []Read{el("set/s")}}), ""},
		{"nor is it of use when it was not put back", begin().add("a1", "set/s", "x").op(Op{Kind: Backup, Daemon: "a"}).op(Op{Kind: Lost, Daemon: "a", Epoch: 1}).
			op(Op{Session: "a2", Daemon: "a", Epoch: 1, Reads: []Read{el("set/s")}}), ""},
		{"a call in the microsecond in which its session's last one ended", begin().op(Op{Session: "a1", Daemon: "a", Start: 1, End: 5, Writes: []Write{put("set/s", "x")}}).
			op(Op{Session: "a1", Daemon: "a", Start: 5, Reads: []Read{el("set/s")}}), Stale},
		{"another session may have begun before", begin().op(Op{Session: "a1", Daemon: "a", Start: 1, End: 5, Writes: []Write{put("set/s", "x")}}).
			op(Op{Session: "a2", Daemon: "a", Start: 5, Reads: []Read{el("set/s")}}), ""},
		{"calls without a session are of nobody's", begin().op(Op{Daemon: "a", Writes: []Write{put("set/s", "x")}}).op(Op{Daemon: "b", Writes: []Write{put("set/s", "y")}}).read("c1", "set/s", "y"), ""},
		{"a condition that another write had made untrue", begin().add("a1", "register/r", "1").replace("a2", "register/r", "2", "1").
			op(Op{Session: "a1", Daemon: "a", ETag: "e", Writes: []Write{{Object: "register/r", Add: []string{"3"}, Remove: []string{"1"}}}}), Condition},
		{"or a sibling", begin().add("a1", "register/r", "1").add("a2", "register/r", "2").
			op(Op{Session: "a1", Daemon: "a", ETag: "e", Writes: []Write{{Object: "register/r", Add: []string{"3"}, Remove: []string{"1"}}}}), Condition},
		{"a sibling elsewhere does not, nor one at the same time", begin().add("a1", "register/r", "1").add("b1", "register/r", "2").op(Op{Session: "a2", Daemon: "a", Start: 14, End: 40, Writes: []Write{put("register/r", "3")}}).
			op(Op{Session: "a1", Daemon: "a", Start: 15, End: 20, ETag: "e", Writes: []Write{{Object: "register/r", Add: []string{"4"}, Remove: []string{"1"}}}}), ""},
		{"a value that may be gone need not be required", begin().add("a1", "register/r", "1").add("a2", "register/r", "2").remove("a2", "register/r", "2").become(Unknown).
			op(Op{Session: "a1", Daemon: "a", ETag: "e", Writes: []Write{{Object: "register/r", Add: []string{"3"}, Remove: []string{"1"}}}}), ""},
		{"two writes on one condition, of which one was seen to have happened", begin().op(Op{Session: "a1", Daemon: "a", ETag: "e", Outcome: Unknown, Writes: []Write{put("register/r", "1")}}).
			op(Op{Session: "a2", Daemon: "a", ETag: "e", Writes: []Write{put("register/r", "2")}}).read("a3", "register/r", "1", "2"), Condition},
		{"or told by the feed", begin().op(Op{Session: "a1", Daemon: "a", ETag: "e", Outcome: Unknown, Writes: []Write{put("register/r", "1")}}).
			op(Op{Session: "a2", Daemon: "a", ETag: "e", Writes: []Write{put("register/r", "2")}}).feed("b", "register/r", "1"), Condition},
		{"or not", begin().op(Op{Session: "a1", Daemon: "a", ETag: "e", Outcome: Unknown, Writes: []Write{put("register/r", "1")}}).
			op(Op{Session: "a2", Daemon: "a", ETag: "e", Writes: []Write{put("register/r", "2")}}).read("a3", "register/r", "2"), ""},
		{"the feed tells what was refused", begin().add("a1", "set/s", "x").become(Refused).feed("a", "set/s", "x"), Phantom},
		{"the feed tells what is not written yet", begin().feed("a", "set/s", "x").add("b1", "set/s", "x"), Phantom},
		{"the feed makes up what is read for it", begin().op(Op{Kind: Feed, Session: "feed-a", Daemon: "a", Reads: []Read{{Object: "list/l", Elements: []string{"x"}, Later: true}}}), Phantom},
		{"the feed makes up a sum", begin().inc("a1", "counter/c", 2).op(Op{Kind: Feed, Session: "feed-a", Daemon: "a", Reads: []Read{{Object: "counter/c", Sum: 3}}}), Sum},
		{"the feed may tell an older sum", begin().inc("a1", "counter/c", 2).op(Op{Kind: Feed, Session: "feed-a", Daemon: "a", Reads: []Read{{Object: "counter/c"}}}), ""},
		{"a sum goes back", begin().inc("b1", "counter/c", 5).sum("a1", "counter/c", 5).sum("a1", "counter/c", 0), Sum},
		{"that of a bounded counter", begin().inc("b1", "bounded/c", 5).sum("a1", "bounded/c", 5).sum("a1", "bounded/c", 0), Sum},
		{"it does where something is taken", begin().inc("b1", "counter/c", 5).sum("a1", "counter/c", 5).inc("b1", "counter/c", -5).sum("a1", "counter/c", 0), ""},
		{"half of an increment", begin().inc("b1", "counter/c", 5).sum("a1", "counter/c", 3), Sum},
		{"half of one whose outcome is unknown", begin().inc("b1", "counter/c", 5).become(Unknown).sum("a1", "counter/c", 3), Sum},
		{"one of unknown outcome without one that is known, in the end", begin().inc("a1", "counter/c", 3).inc("b1", "counter/c", 7).become(Unknown).end("c", Read{Object: "counter/c", Sum: 7}), Missing},
		{"two of one session, without the first", begin().inc("b1", "counter/c", 5).inc("b1", "counter/c", 7).sum("a1", "counter/c", 7), Sum},
		{"of two sessions", begin().inc("b1", "counter/c", 5).inc("c1", "counter/c", 7).sum("a1", "counter/c", 7), ""},
		{"the first of unknown outcome", begin().inc("b1", "counter/c", 5).become(Unknown).inc("b1", "counter/c", 7).sum("a1", "counter/c", 7).sum("a1", "counter/c", 12), ""},
		{"several that come to the same", begin().inc("b1", "counter/c", 5).inc("c1", "counter/c", 5).sum("a1", "counter/c", 5).sum("d1", "counter/c", 5).end("a", Read{Object: "counter/c", Sum: 10}), ""},
		{"a sum tells of what its writers knew", begin().add("b1", "set/s", "x").inc("b1", "counter/c", 5).sum("a1", "counter/c", 5).read("a1", "set/s"), Stale},
		{"unless another may have made it", begin().add("b1", "set/s", "x").inc("b1", "counter/c", 5).inc("c1", "counter/c", 5).sum("a1", "counter/c", 5).read("a1", "set/s"), ""},
		{"a sum with a part that all ways to it have", begin().inc("b1", "counter/c", 10).inc("c1", "counter/c", 1).inc("d1", "counter/c", 1).sum("a1", "counter/c", 11).sum("a1", "counter/c", 2), Sum},
		{"half a batch of two counters", begin().batch("a1", Write{Object: "counter/c", Inc: 2}, Write{Object: "counter/d", Inc: 2}).whole("b", Read{Object: "counter/c", Sum: 2}), Sum},
		{"all of a batch of one counter", begin().batch("a1", Write{Object: "counter/c", Inc: 2}, Write{Object: "counter/c", Inc: 3}).sum("b1", "counter/c", 0).sum("b1", "counter/c", 5), ""},
		{"half of it", begin().batch("a1", Write{Object: "counter/c", Inc: 2}, Write{Object: "counter/c", Inc: 3}).sum("b1", "counter/c", 2), Sum},
		{"sums that are too many to be told apart", begin().inc("b1", "counter/c", 1<<40).inc("c1", "counter/c", 5).sum("a1", "counter/c", 3), ""},
		{"but not beyond them", begin().inc("b1", "counter/c", 1<<40).inc("c1", "counter/c", 5).sum("a1", "counter/c", -1), Sum},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := Check(test.s.ops)
			for _, a := range r.Anomalies {
				if a.Kind != test.want {
					t.Errorf("found %v", a)
				}
			}
			if test.want != "" && r.Counts[test.want] == 0 {
				t.Errorf("found no %q", test.want)
			}
		})
	}
}

func TestAtRiskIsCounted(t *testing.T) {
	s := begin().add("a1", "set/s", "x", "y").add("a1", "set/s", "z").op(Op{Kind: Lost, Daemon: "a", Epoch: 1})
	if r := Check(s.ops); r.AtRisk != 2 {
		t.Errorf("%d writes are at risk, want 2", r.AtRisk)
	}
}

func TestExactSumsAreCounted(t *testing.T) {
	s := begin().inc("a1", "counter/c", 2).inc("a1", "counter/d", 2).become(Unknown).inc("a1", "counter/e", 2).become(Refused)
	s.end("a", Read{Object: "counter/c", Sum: 2}).end("b", Read{Object: "counter/c", Sum: 2})
	if r := Check(s.ops); r.Sums != 3 || r.Exact != 2 || len(r.Anomalies) > 0 {
		t.Errorf("%+v", r)
	}
	// The increment is at risk; but who wrote x knew it, and x is there.
	s = begin().inc("a1", "counter/c", 2).add("a1", "set/s", "x").op(Op{Kind: Lost, Daemon: "a", Epoch: 1})
	s.end("b", el("set/s", "x"), Read{Object: "counter/c", Sum: 2})
	if r := Check(s.ops); r.Exact != 1 || r.AtRisk != 0 || len(r.Anomalies) > 0 {
		t.Errorf("%+v", r)
	}
}

func TestExactReadsAreCounted(t *testing.T) {
	s := begin().inc("a1", "counter/c", 2).sum("a1", "counter/c", 2).sum("b1", "counter/c", 2).sum("b1", "counter/c", 2)
	if r := Check(s.ops); r.SumsRead != 3 || r.ExactRead != 2 || len(r.Anomalies) > 0 {
		t.Errorf("%+v", r)
	}
}

// TestWhatIsSettledIsJudged: where all is known to be gone, and nothing is left to count, what is shown is judged all the same.
func TestWhatIsSettledIsJudged(t *testing.T) {
	for _, test := range []struct {
		want  string
		reads []Read
	}{
		{"", []Read{{Object: "counter/c", Sum: 2}}},
		{Sum, nil},
		{Sum, []Read{{Object: "counter/c", Sum: 3}}},
		{Resurrected, []Read{{Object: "counter/c", Sum: 2}, el("set/s", "x")}},
		{Phantom, []Read{{Object: "counter/c", Sum: 2}, el("set/s", "y")}},
		{Sum, []Read{{Object: "counter/c", Sum: 2}, {Object: "counter/later", Sum: 1}}},
	} {
		s := begin().add("a1", "set/s", "x").inc("a1", "counter/c", 2).remove("a1", "set/s", "x").read("a1", "set/s").whole("a", test.reads...).inc("b1", "counter/later", 1)
		if r := Check(s.ops); test.want == "" && len(r.Anomalies) > 0 || test.want != "" && r.Counts[test.want] != 1 {
			t.Errorf("%v: found %v, want %q", test.reads, r.Counts, test.want)
		}
	}
}

func TestHistoryIsReadAsWritten(t *testing.T) {
	s := begin().add("a1", "set/s", "x").read("b1", "set/s", "x").op(Op{Kind: Held, Daemon: "a", Peers: []string{"b"}}).end("a", el("set/s", "x"))
	var text bytes.Buffer
	w := NewWriter(&text)
	for _, o := range s.ops {
		w.Write(o)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	ops, err := ReadAll(&text)
	if err != nil || !reflect.DeepEqual(ops, s.ops) {
		t.Errorf("%v, %v\nwant %v", ops, err, s.ops)
	}
	if _, err := ReadAll(bytes.NewBufferString("{\n")); err == nil {
		t.Error("half a line is read as an op")
	}
}

// TestOrderDoesNotMatter: a history may be written as calls end.
func TestOrderDoesNotMatter(t *testing.T) {
	s := begin().add("a1", "set/s", "x").read("b1", "set/s", "x").read("b2", "set/s")
	slices.Reverse(s.ops)
	if r := Check(s.ops); r.Counts[Stale] != 1 {
		t.Errorf("found %v", r.Counts)
	}
}
