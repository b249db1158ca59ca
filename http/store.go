package http

import (
	"context"
	"iter"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// Store is what the API needs of a store. Adapt makes one of a *store.Store.
type Store interface {
	Namespaces() []store.Info
	Namespace(name string) (Namespace, error)
	CreateNamespace(name string, storage store.Storage) error
	DropNamespace(name string) error
	DiskBytes() (uint64, error)
}

// Namespace is one namespace copy.
type Namespace interface {
	Name() string
	Storage() store.Storage
	Replica() crdt.ReplicaID
	Clock() crdt.VersionVector
	Counts() (objects, entries uint64)
	// Err says why the copy answers nothing now; nil while it answers.
	Err() error
	WaitFor(ctx context.Context, clock crdt.VersionVector) error
	View(ctx context.Context) (View, error)
	Commit(ctx context.Context, fn func(Tx) error) (store.Receipt, error)
	CommitEach(ctx context.Context, count int, run func(i int, tx Tx) error, failed func(i int, err error, tx Tx) error) (store.Series, error)
	Side(ctx context.Context, key string) (store.SideRecord, bool, error)
	WaitCommit(ctx context.Context, commit uint64) error
	// Retire seals a replica id at the seq that is known here, and returns that.
	Retire(ctx context.Context, id crdt.ReplicaID) (final uint64, err error)
}

// Reader is what a view and a transaction have in common.
type Reader interface {
	Entries(p crdt.Path) ([]crdt.Entry, error)
	Head(p crdt.Path) (store.Head, error)
	Scan(prefix, after crdt.Path) iter.Seq2[store.Item, error]
}

// View reads at one clock.
type View interface {
	Reader
	Clock() crdt.VersionVector
	Objects(prefix, after crdt.Path) iter.Seq2[store.Object, error]
	Replica() crdt.ReplicaID
	Changes(from store.Position) iter.Seq2[store.Change, error]
	After(clock crdt.VersionVector) (store.Position, error)
	End() store.Position
	Close()
}

// Tx reads and writes within one commit.
type Tx interface {
	Reader
	// Now is the time of the transaction, and Until the deadline of all that it writes from then on.
	Now() crdt.Deadline
	Until(d crdt.Deadline)
	Increment(p crdt.Path, amount int64) error
	Reset(p crdt.Path, seen crdt.VersionVector) (bool, error)
	Assign(p crdt.Path, value []byte, seen crdt.VersionVector) error
	Enable(p crdt.Path) error
	Add(p crdt.Path) (bool, error)
	Insert(leaf crdt.Path, at store.Place, values [][]byte) ([]crdt.Position, error)
	SetItem(leaf crdt.Path, id crdt.Position, value []byte, seen crdt.VersionVector) error
	MoveItem(leaf crdt.Path, id crdt.Position, to store.Place) error
	RemoveItem(leaf crdt.Path, id crdt.Position, seen crdt.VersionVector) (bool, error)
	Announce(p crdt.Path, value []byte) error
	Withdraw(p crdt.Path) (bool, error)
	Remove(p crdt.Path, seen crdt.VersionVector) (bool, error)
	Stock(p crdt.Path, amount int64) error
	Replica() crdt.ReplicaID
	Delete(prefix crdt.Path, seen crdt.VersionVector) (bool, error)
	PutSide(key string, value []byte, keep time.Duration) error
}

// Adapt returns s as the API sees it.
func Adapt(s *store.Store) Store { return adapted{s} }

type adapted struct{ *store.Store }

func (a adapted) Namespace(name string) (Namespace, error) {
	n, err := a.Store.Namespace(name)
	if err != nil {
		return nil, err
	}
	return adaptedNamespace{n}, nil
}

type adaptedNamespace struct{ *store.Namespace }

func (n adaptedNamespace) View(ctx context.Context) (View, error) {
	v, err := n.Namespace.View(ctx)
	if err != nil {
		return nil, err
	}
	return v, nil
}

func (n adaptedNamespace) Commit(ctx context.Context, fn func(Tx) error) (store.Receipt, error) {
	return n.Namespace.Commit(ctx, func(t *store.Tx) error { return fn(t) })
}

func (n adaptedNamespace) CommitEach(ctx context.Context, count int, run func(i int, tx Tx) error, failed func(i int, err error, tx Tx) error) (store.Series, error) {
	return n.Namespace.CommitEach(ctx, count, func(i int, t *store.Tx) error { return run(i, t) }, func(i int, err error, t *store.Tx) error { return failed(i, err, t) })
}
