// Package crdt is the pure core of Anabranch: dots, clocks, paths, entries, their join, and the
// data types as views over live entries. It holds no lock, clock, file or source of randomness;
// what an operation needs comes as an argument, and what it does comes back as a value.
//
// # Model
//
// Every change is named by a [Dot], (replica, seq). A datum is an [Entry], named by its dot,
// standing at a [Path], and never changed: only superseded or removed. A replica's [State] is a
// clock, the dots that it has heard of, and the entries that are live. What the clock covers
// and is not live is dead, for good, everywhere; so a removal leaves nothing behind.
//
// An operation is a function from the live entries at one path to an [Edit]: entries to add and
// dots to kill. [Assign] and [Remove] serve registers, [Add] and [Remove] the members of a set,
// [Enable] and [Remove] flags, [Increment] and [Reset] counters, [Stock], [Give] and [Drain]
// bounded counters. A list has [Insert], and for what happens to its items [Element], whose edits
// touch several paths. A map has no operations of its own: its fields are paths,
// and deleting a field is a Remove or a Reset at every path under it. A removal supersedes what
// its writer saw, which is a clock, or nil for everything that is live here.
//
// # Laws
//
// For all states a, b, c that histories of the same replicas lead to:
//
//	Join(a, b) = Join(b, a)
//	Join(a, Join(b, c)) = Join(Join(a, b), c)
//	Join(a, a) = a
//	Join(Join(a, b), b) = Join(a, b)
//	a.Clock = b.Clock ⇒ a = b
//
// Applying the edits of another replica one by one, in an order that respects causes, leads to
// the same state as the join. That order is a duty of the caller: out of it, totals of counters
// would be taken for others.
//
// # Ownership
//
// No function keeps or changes a slice or map that it is given, and none returns one that it
// was given, with one exception: Entry.Value and Entry.Extra are shared by all copies of an
// entry, from the call that makes it on, and nobody may write to them. The methods that change
// their receiver say so: [VersionVector.Merge], [HLC], [TreeBuilder] and the sorting of
// [SortNewest]. Everything else may be called from many goroutines at once.
//
// # Truth tables
//
// The rows are run by the tests. "-" is absence: no live content. In the tables with two
// operations, both see the first state, the one on the right has the later timestamp, and the
// last column is what both replicas show after they have heard of each other.
//
// A register holds what was written and not superseded, newest first; more than one value
// arises from concurrent writes only. A plain read shows the first.
//
//	register | operation          | register
//	-        | assign a           | a
//	a        | assign b           | b
//	a b      | assign c           | c
//	a b      | remove             | -
//	-        | remove             | -
//
//	register | here               | there              | joined
//	-        | assign a           | assign b           | b a
//	a        | assign b           | assign c           | c b
//	a        | assign b           | assign b           | b b
//	a        | assign b           | remove             | b
//	a        | remove             | assign b           | b
//	a        | remove             | remove             | -
//	a b      | assign c           | remove             | c
//	a        | assign b, remove   | assign c           | c
//
// A set holds the members that were added and not removed since: an add wins against a removal
// that did not see it.
//
//	set      | operation          | set
//	-        | add x              | x
//	x        | add x              | x
//	x        | add y              | x y
//	x y      | remove x           | y
//	x        | remove x           | -
//	-        | remove x           | -
//
//	set      | here               | there              | joined
//	-        | add x              | add x              | x
//	-        | add x              | remove x           | x
//	x        | add x              | remove x           | x
//	x        | remove x           | remove x           | -
//	x        | remove x           | add y              | y
//	x        | remove x, add x    | remove x           | x
//	x        | add x, remove x    | add x              | x
//	x        | add x, remove x    | remove x           | -
//
// A flag is on or absent: to enable it wins against a disable that did not see it.
//
//	flag     | operation          | flag
//	-        | enable             | on
//	on       | enable             | on
//	on       | disable            | -
//	on       | disable, enable    | on
//	-        | disable            | -
//
//	flag     | here               | there              | joined
//	-        | enable             | enable             | on
//	-        | enable             | disable            | on
//	on       | enable             | disable            | on
//	on       | disable            | disable            | -
//	on       | disable, enable    | disable            | on
//	on       | enable, disable    | enable             | on
//	on       | enable, disable    | disable            | -
//
// A list holds items in an order. What one writer inserts in a row stays together, forwards and
// backwards. An item that is moved is in one place. To move it or to give it another value wins
// against a removal that did not see that. Items are shown by their values; "b|c" is one item with
// two values, newest first, after concurrent writes. Where two results are named, it depends on
// the ids of the replicas which it is.
//
//	list     | operation          | list
//	-        | append a           | a
//	a        | append b           | a b
//	a c      | insert b after a   | a b c
//	a b      | insert c before a  | c a b
//	a b      | set a c            | c b
//	a b c    | move c before a    | c a b
//	a b c    | move a after b     | b a c
//	a b      | remove a           | b
//	a        | remove a           | -
//
//	list     | here                               | there                              | joined
//	-        | append a, append b                 | append c, append d                 | a b c d
//	x        | append a, append b                 | append c, append d                 | x a b c d or x c d a b
//	x        | insert a before x, insert b before a | insert c before x, insert d before c | b a d c x or d c b a x
//	x y      | insert a after x, insert b after a | insert c after x, insert d after c | x a b c d y or x c d a b y
//	x y      | insert a before y, insert b before a | insert c after x, insert d after c | x b a c d y or x c d b a y
//	a b      | set a c                            | set b d                            | c d
//	a        | set a b                            | set a c                            | c|b
//	a        | set a b                            | set a c, set c d                   | d|b
//	a        | set a b                            | remove a                           | b
//	a        | set a b, remove b                  | set a c                            | c
//	a        | remove a                           | remove a                           | -
//	a        | remove a                           | insert b after a                   | b
//	a b      | move a after b                     | remove a                           | b a
//	a b      | move a after b                     | remove b                           | a
//	a b      | move a after b                     | set a c                            | b c
//	a b      | move a after b, set a c            | remove a                           | b c
//	a b c    | move a after b                     | move a after c                     | b c a
//	a b c    | move a after b                     | move c before a                    | c b a
//	a b c    | move a after c                     | move a after b, remove a           | b c a
//
// A counter is the sum of the increments that no reset saw.
//
//	counter  | operation          | counter
//	-        | inc 5              | 5
//	5        | inc -7             | -2
//	5        | inc -5             | 0
//	5        | inc 0              | 5
//	5        | reset              | -
//	5        | reset, inc 2       | 2
//	5        | inc 2, reset       | -
//	-        | reset              | -
//
//	counter  | here               | there              | joined
//	-        | inc 2              | inc 3              | 5
//	5        | inc 2              | inc 3              | 10
//	5        | inc 2              | reset              | 2
//	5        | inc -2             | reset              | -2
//	5        | reset              | reset              | -
//	5        | reset, inc 2       | reset, inc 3       | 5
//	5        | inc 2, reset       | inc 3              | 3
//	5        | inc 2, reset       | inc 3, reset       | -
//
// A bounded counter is never below 0. Here x+y is one with rights to x at the first replica and to
// y at the second: its value is the sum, and "give n" moves rights to the other one. What a replica
// has no rights for it refuses.
//
//	bounded  | operation          | bounded
//	-        | inc 5              | 5+0
//	5+0      | inc -3             | 2+0
//	5+0      | inc -5             | -
//	5+3      | inc -5             | 0+3
//	5+3      | inc -6             | 5+3
//	5+3      | give 4             | 1+7
//	5+3      | give 6             | 5+3
//	0+3      | give 1             | 0+3
//	5+0      | delete             | -
//	5+3      | delete             | 5+3
//	5+0      | inc -5, inc 2      | 2+0
//	-        | inc -1             | -
//	-        | delete             | -
//
//	bounded  | here               | there              | joined
//	-        | inc 2              | inc 3              | 2+3
//	5+3      | inc -5             | inc -3             | -
//	5+3      | inc -4             | inc -4             | 1+3
//	5+3      | give 5             | inc -3             | 0+5
//	5+3      | give 5             | give 3             | 3+5
//	5+0      | delete             | inc 2              | 0+2
//	5+0      | delete, inc 1      | inc 2              | 1+2
//	5+0      | delete             | delete             | -
//	5+3      | inc -5, inc 5      | inc -3             | 5+0
//
// A map holds what its fields hold; a field without content is not there. Here x=a is a field
// with a register, x=5 one with a counter, x={m} one with a set, x=on one with a flag, and x.y a field of a field.
// Two types can meet at one field: both live, and a plain read shows the newest.
//
//	map      | operation          | map
//	-        | assign f a         | f=a
//	f=a      | delete f           | -
//	f=5      | delete f           | -
//	f={m,n}  | delete f           | -
//	f=on     | delete f           | -
//	f.g=5    | delete f           | -
//	f=a g=b  | delete f           | g=b
//	f.g=a    | assign f.h b       | f.g=a f.h=b
//	-        | delete f           | -
//
//	map      | here               | there              | joined
//	f=a      | assign f b         | delete f           | f=b
//	f=5      | inc f 2            | delete f           | f=2
//	f={m}    | add f m            | delete f           | f={m}
//	f={m}    | add f n            | delete f           | f={n}
//	f=on     | enable f           | delete f           | f=on
//	f.g=a    | assign f.h b       | delete f           | f.h=b
//	f.g=5    | inc f.g 2          | delete f           | f.g=2
//	f.g=5    | delete f.g         | delete f           | -
//	f=a g=5  | assign f b         | inc g 1            | f=b g=6
//	-        | assign f a         | inc f 1            | f=1|a
//	-        | inc f 1            | assign f a         | f=a|1
//	-        | enable f           | assign f a         | f=a|on
//	-        | assign f a         | assign f.g b       | f=a f.g=b
//
// Values of registers and members of sets can have a deadline: from then on they are hidden, and
// some time later a replica reaps them, which is a removal like any other. Here a set, with the
// deadlines of its members, seen by replicas whose clocks stand at 0 in the beginning; "at 9" lets
// time pass, and both read at the later of their two times.
//
//	expiring | operation                  | expiring
//	-        | add x until 9              | x@9
//	-        | add x until 9, at 8        | x@9
//	x@9      | at 9                       | -
//	x@9      | add x                      | x
//	x        | add x until 9              | x@9
//	x@9      | add x until 12, at 9       | x@12
//	x@9      | at 9, add x until 12       | x@12
//	x@9      | at 9, add x                | x
//	x@9      | at 8, reap                 | x@9
//	x@9      | at 9, reap                 | -
//	x@9 y    | at 9, reap                 | y
//	x@9      | remove x                   | -
//
//	expiring | here                       | there             | joined
//	-        | add x until 9              | add x until 12    | x@12
//	-        | add x until 9              | add x             | x
//	-        | add x until 9, at 9        | add x until 12    | x@12
//	x@9      | add x until 12             | at 9, reap        | x@12
//	x@9      | add x                      | at 9, reap        | x
//	x@9      | at 9, reap, add x until 12 | at 9, reap        | x@12
//	x@9      | at 9, reap                 | at 9, reap        | -
//	x@9      | add x until 12             | remove x          | x@12
//
// A presence object holds what replicas announce at its members: each speaks for itself, and is
// heard while its lease is live. Here the first state is that of the replica on the left, which has a lease
// until 15; whoever announces or renews at another time gets one for 14 more. "reap" takes away what replicas announced
// whose lease is over; one that is there still, and finds that, announces anew.
//
//	presence | operation                  | presence
//	-        | announce w 1               | w=1
//	w=1      | announce w 2               | w=2
//	w=1      | announce v 3               | v=3 w=1
//	w=1      | withdraw w                 | -
//	w=1      | at 14                      | w=1
//	w=1      | at 15                      | -
//	w=1      | at 10, renew, at 23        | w=1
//	w=1      | at 15, renew               | w=1
//	w=1      | at 15, announce v 2        | v=2 w=1
//
//	presence | here                       | there              | joined
//	-        | announce w 1               | announce w 2       | w=2,1
//	w=1      | withdraw w                 | announce w 2       | w=2
//	w=1      | announce w 2               | withdraw w         | w=2
//	w=1      | -                          | withdraw w         | w=1
//	w=1      | -                          | at 15, announce w 2 | w=2
//	w=1      | -                          | at 15, reap        | -
//	w=1      | at 10, renew               | at 15, reap        | -
//	w=1      | at 15, renew, announce w 2 | at 15, reap        | w=2
//
// # The counter
//
// An embedded counter is easy to get wrong. With a running total per replica that a reset
// removes, a concurrent increment brings the removed amounts back, because it carries them in
// its own total. With a reset that subtracts the value seen, two concurrent resets subtract it
// twice. Here a reset removes no total of another replica. It writes down, for each total that
// it saw, how much of it is gone; several such [ResetRecord] entries are read by their greatest
// component, so that concurrent resets count once, and an increment made meanwhile is what is
// left. When a replica sees that its own total is gone it kills it ([Settle]), and begins a new
// lineage, for which no old component counts. A record that speaks of no live total is killed by
// its author. So n replicas keep at most 2n live entries at a counter, one total and one record
// each, and nothing once a reset has been heard of by all of them.
//
// # The bounded counter
//
// A bounded counter counts rights, after O'Neil ("The escrow transactional method", 1986) and
// Balegas et al. ("Extending eventually consistent cloud databases for enforcing numeric
// invariants", 2015). What a replica adds is its to take, until it gives the right away; nobody
// takes what it has no right to. Each replica's live [EscrowCell] says what it has added, taken and
// given, so that under causal delivery
//
//	rights(i) = P(i) − N(i) − Σ given(i, j) + Σ given(j, i) ≥ 0
//	value = Σ P − Σ N = Σ rights ≥ 0
//
// hold at every replica at all times. A replica cannot know fewer grants of its own than anybody
// else, nor more grants to it than were made.
//
// To remove cells is what could go wrong: a cell that is taken away with the grants in it leaves the
// receiver below 0. So a delete takes the value, which needs the rights to it, and removes nothing.
// When nobody has rights left, a replica settles: its [EscrowRecord] says that all cells, as it
// sees them, cancel out. They do, at every cut through history that is closed under causes and where
// all rights are 0; and where two such cuts are joined, all rights are 0 again: what i had taken at
// one of them, with grants of j, it knew of, and so does any cut that knows it of i. Therefore
// several records are read by their pointwise maximum, lineages keep apart what was before a cut
// and what came after, and what is left is always P, N and grants of after the last cut. Owners
// kill cells that are settled, authors kill records that match nothing: see [Settle].
//
// What an id leaves behind that never returns can be removed by the heir that a [Seal] names. Seals
// stand in the system part of a namespace and are no object of a reader.
package crdt
