package store

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

// Errors of the store. Those of backends are in backend.go.
var (
	// ErrNamespaceNotFound is returned for a namespace that this store does not hold.
	ErrNamespaceNotFound = errors.New("store: no such namespace")
	// ErrNamespaceName is returned for a name that no namespace can have.
	ErrNamespaceName = errors.New("store: a namespace name must match [a-z0-9][a-z0-9._-]{0,62}")
	// ErrNamespaceStorage is returned when a namespace exists with another storage.
	ErrNamespaceStorage = errors.New("store: the namespace exists with another storage")
	// ErrTooManyNamespaces is returned when there are MaxNamespaces already.
	ErrTooManyNamespaces = errors.New("store: too many namespaces")
	// ErrTooLarge is returned for a transaction that no other replica would take.
	ErrTooLarge = delta.ErrTooLarge
	// ErrLayout is returned by Open for a directory that a later version wrote, of which this one cannot
	// read the keys.
	ErrLayout = errors.New("store: unknown layout")
	// ErrJoining is returned by reads and writes of a copy that was set aside, for damage or for a fork,
	// and has not yet joined a peer completely.
	ErrJoining = errors.New("store: the namespace was set aside, and waits for its first complete join")
)

// Storage says where a namespace copy lives.
type Storage string

// The storages.
const (
	Disk   Storage = "disk"
	Memory Storage = "memory"
)

// Default is the namespace that always exists.
const Default = "default"

// MaxNamespaces bounds the copies of one store: members tell each other all that they hold.
const MaxNamespaces = 4096

var namespaceName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// Info describes a namespace copy.
type Info struct {
	Name    string
	Storage Storage
}

// Store holds the namespace copies of one data directory. All methods are safe for concurrent
// use.
type Store struct {
	opts   Options
	lock   io.Closer
	disk   Backend
	memory Backend
	copied bool

	// admin is held by whoever makes, drops or closes copies, so that no two of them meet. It is
	// taken before mu, and guards nextID.
	admin  sync.Mutex
	nextID uint64

	mu     sync.RWMutex // guards what follows
	spaces map[string]*Namespace
	closed bool
}

// Open opens the store of a data directory, or makes it. It returns ErrLocked when another
// process has it open, ErrLayout when a later version wrote it, and ErrDamaged when the datastore
// cannot be read.
func Open(opts Options) (s *Store, err error) {
	s = &Store{opts: opts.withDefaults(), spaces: map[string]*Namespace{}, memory: NewMemoryBackend(), nextID: 1}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
			s = nil
		}
	}()
	s.disk = s.memory
	if s.opts.Dir != "" {
		if err := MakeDir(s.opts.Dir); err != nil {
			return s, fmt.Errorf("store: data directory: %w", err)
		}
		if s.lock, err = LockDir(s.opts.Dir); err != nil {
			return s, err
		}
		disk, err := s.opts.OpenBackend(s.opts.Dir)
		if err != nil {
			return s, err
		}
		s.disk = disk
	}
	if err := s.checkLayout(); err != nil {
		return s, err
	}
	if err := s.checkFingerprint(); err != nil {
		return s, err
	}
	if err := s.openNamespaces(); err != nil {
		return s, err
	}
	return s, s.CreateNamespace(Default, Disk)
}

// checkFingerprint finds out whether the directory is a copy of another. If so, every copy of a
// namespace goes on under a fresh replica id, on the clock and the entries that it has: own
// commits that only the original holds come back as foreign ones.
func (s *Store) checkFingerprint() error {
	if s.opts.Dir == "" {
		return nil
	}
	now, err := s.opts.Fingerprint(s.opts.Dir)
	if err != nil {
		return fmt.Errorf("store: fingerprint: %w", err)
	}
	was, ok, err := s.disk.Get(keyFingerprint)
	if err != nil {
		return err
	}
	if ok && string(was) == string(now) {
		_, s.copied, err = s.disk.Get(keyCopied)
		return err
	}
	var b Batch
	if s.copied = ok; ok {
		if err := s.renewReplicas(); err != nil {
			return err
		}
		b.Put(keyCopied, []byte{valueVersion})
		s.opts.Event(Event{Kind: EventCopied, Detail: "the data directory is a copy of another: it goes on as a new replica"})
	}
	// Last, so that a crash before this line only renews once more.
	b.Put(keyFingerprint, []byte(now))
	return applySync(s.disk, &b)
}

// renewReplicas gives every copy on disk a fresh replica id. One that is damaged gets its own
// when it is set aside.
func (s *Store) renewReplicas() error {
	return s.eachRegistered(func(name string, storage Storage, id string) error {
		if storage != Disk {
			return nil
		}
		keys := keyspace("/" + id)
		v, ok, err := s.disk.Get(keys.meta())
		if err != nil || !ok {
			return err
		}
		m, err := decodeMeta(v)
		if err != nil {
			return nil //nolint:nilerr // its open reports it, and sets this copy alone aside
		}
		var b Batch
		if err := keepRuns(s.disk, keys, m, &b); err != nil {
			return err
		}
		if m.Replica, err = newReplicaID(s.opts.Rand); err != nil {
			return err
		}
		m.OwnRuns = nil
		b.Put(keys.meta(), appendMeta(nil, m))
		b.Delete(keys.held()) // of the former id
		return applySync(s.disk, &b)
	})
}

// keepRuns has a copy that goes on under another id know the runs of the former one as those of any other:
// whoever heals a fork of it may ask.
func keepRuns(disk Backend, keys keyspace, m meta, b *Batch) error {
	if len(m.OwnRuns) < 2 {
		return nil // the latest stands with the clock
	}
	v, ok, err := disk.Get(keys.clock(m.Replica))
	if err != nil || !ok {
		return err
	}
	c, err := decodeComponent(v)
	if err != nil {
		return nil //nolint:nilerr // its open reports it, and sets this copy alone aside
	}
	c.Past = ownPast(m.OwnRuns)
	b.Put(keys.clock(m.Replica), appendComponent(nil, c))
	return nil
}

// ownPast is what is told of own runs before the latest.
func ownPast(runs []delta.Run) []delta.Run {
	return runs[max(0, len(runs)-1-delta.MaxPast) : len(runs)-1]
}

// Copied reports whether the data directory proved to be a copy of another, in this Open or in
// an earlier one after which nobody called Renewed.
func (s *Store) Copied() bool { return s.copied }

// Renewed says that all else that must not be in use twice, such as the key of the daemon, has
// been drawn anew after Copied.
func (s *Store) Renewed() error {
	var b Batch
	b.Delete(keyCopied)
	return applySync(s.disk, &b)
}

func (s *Store) put(key string, value []byte) error {
	var b Batch
	b.Put(key, value)
	return applySync(s.disk, &b)
}

// applySync applies a batch and waits until it is durable.
func applySync(backend Backend, b *Batch) error {
	wait, err := backend.Apply(b)
	if err != nil {
		return err
	}
	return wait()
}

// eachRegistered calls f for every registered namespace.
func (s *Store) eachRegistered(f func(name string, storage Storage, id string) error) error {
	snap, err := s.disk.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	it, err := snap.Iterate(prefixRegistry, prefixEnd(prefixRegistry))
	if err != nil {
		return err
	}
	defer it.Close()
	for it.Next() {
		name, storage, id, err := decodeRegistration(it.Value())
		if err != nil {
			return err
		}
		if err := f(name, storage, id); err != nil {
			return err
		}
	}
	return it.Err()
}

func appendRegistration(name string, storage Storage, id string) []byte {
	b := appendBytes([]byte{valueVersion}, []byte(name))
	return appendBytes(appendBytes(b, []byte(storage)), []byte(id))
}

func decodeRegistration(v []byte) (name string, storage Storage, id string, err error) {
	r := newReader(v)
	name, storage, id = string(r.bytes()), Storage(r.bytes()), string(r.bytes())
	return name, storage, id, r.err
}

// openNamespaces opens every registered copy. Ids are never used twice: not those of copies that
// were set aside, whose keys are still there, and not those of memory namespaces, which have no
// keys on disk but a registration.
func (s *Store) openNamespaces() error {
	if err := s.findNextID(); err != nil {
		return err
	}
	err := s.eachRegistered(func(_ string, _ Storage, id string) error { return s.usedID(id) })
	if err != nil {
		return err
	}
	return s.eachRegistered(func(name string, storage Storage, id string) error {
		n, err := s.openOrSetAside(name, storage, id)
		if err != nil {
			return fmt.Errorf("namespace %q: %w", name, err)
		}
		s.spaces[name] = n
		return nil
	})
}

// findNextID looks for the greatest id with a key: from "/n" on, one seek an id.
func (s *Store) findNextID() error {
	snap, err := s.disk.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	for lower := "/n"; ; {
		it, err := snap.Iterate(lower, "/o")
		if err != nil {
			return err
		}
		if !it.Next() {
			return it.Close()
		}
		id, _, _ := strings.Cut(it.Key()[1:], "/")
		if err := it.Close(); err != nil {
			return err
		}
		if err := s.usedID(id); err != nil {
			return err
		}
		_, lower = keyspace("/" + id).all()
	}
}

// usedID raises nextID above the id of a copy.
func (s *Store) usedID(id string) error {
	n, err := strconv.ParseUint(strings.TrimPrefix(id, "n"), 10, 63)
	if err != nil || id != idOf(n) {
		return fmt.Errorf("%w: namespace id %q", ErrDamaged, id)
	}
	s.nextID = max(s.nextID, n+1)
	return nil
}

func idOf(n uint64) string { return "n" + strconv.FormatUint(n, 10) }

func isDamage(err error) bool { return errors.Is(err, ErrDamaged) || errors.Is(err, crdt.ErrDamaged) }

// Namespaces lists the namespace copies by name, ascending.
func (s *Store) Namespaces() []Info {
	s.mu.RLock()
	defer s.mu.RUnlock()
	infos := make([]Info, 0, len(s.spaces))
	for _, n := range s.spaces {
		infos = append(infos, Info{Name: n.name, Storage: n.storage})
	}
	slices.SortFunc(infos, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return infos
}

// Namespace returns a namespace copy. It returns ErrNamespaceNotFound when there is none of
// that name, and ErrClosed after Close.
func (s *Store) Namespace(name string) (*Namespace, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, ErrClosed
	}
	n, ok := s.spaces[name]
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrNamespaceNotFound, name)
	}
	return n, nil
}

// CheckNamespaceName returns ErrNamespaceName for what cannot name a namespace. Names that begin
// with "_" are the system's.
func CheckNamespaceName(name string) error {
	if !namespaceName.MatchString(name) {
		return fmt.Errorf("%w: %q", ErrNamespaceName, name)
	}
	return nil
}

// CreateNamespace makes a namespace copy, or confirms one. It returns ErrNamespaceStorage when
// it exists with another storage.
func (s *Store) CreateNamespace(name string, storage Storage) error {
	if err := CheckNamespaceName(name); err != nil {
		return err
	}
	if storage != Disk && storage != Memory {
		return fmt.Errorf("store: unknown storage %q", storage)
	}
	s.admin.Lock()
	defer s.admin.Unlock()
	switch n, err := s.Namespace(name); {
	case errors.Is(err, ErrNamespaceNotFound):
	case err != nil:
		return err
	case n.storage != storage:
		return fmt.Errorf("%w: %q is a %s namespace", ErrNamespaceStorage, name, n.storage)
	default:
		return nil
	}
	if len(s.Namespaces()) >= MaxNamespaces {
		return fmt.Errorf("%w: %d", ErrTooManyNamespaces, MaxNamespaces)
	}
	id := idOf(s.nextID)
	n, err := openNamespace(s, name, storage, id, true)
	if err != nil {
		return err
	}
	// Registered after its state is durable: an id that is registered has a replica id.
	if err := s.put(registryKey(name), appendRegistration(name, storage, id)); err != nil {
		n.stop()
		return err
	}
	s.nextID++
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spaces[name] = n
	return nil
}

// DropNamespace forgets the local copy of a namespace. It is no delete: other replicas keep
// theirs, and a copy made again later joins them under a fresh id. When it fails, the copy answers
// ErrClosed, and dropping it can be tried again.
func (s *Store) DropNamespace(name string) error {
	s.admin.Lock()
	defer s.admin.Unlock()
	n, err := s.Namespace(name)
	if err == nil && name == Default {
		err = fmt.Errorf("%w that can be dropped: %q", ErrNamespaceNotFound, name)
	}
	if err != nil {
		return err
	}
	n.stop()
	var b Batch
	b.Delete(registryKey(name))
	if n.storage == Disk {
		// In one batch with its registration: an id without one holds nothing and can be used again.
		b.DeleteRange(n.keys.all())
		if h := n.c.heal; h != nil {
			b.DeleteRange(keyspace("/" + h.Former).all())
		}
	}
	if err := applySync(s.disk, &b); err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.spaces, name)
	s.mu.Unlock()
	if n.storage == Disk {
		return nil
	}
	b.Reset()
	b.DeleteRange(n.keys.all())
	return applySync(n.backend, &b)
}

// DiskBytes returns what the store holds on disk.
func (s *Store) DiskBytes() (uint64, error) {
	if s.opts.Dir == "" {
		return 0, nil
	}
	return s.disk.DiskBytes()
}

// Close ends all commits in flight and releases the directory. Later calls answer ErrClosed.
func (s *Store) Close() error {
	s.admin.Lock()
	defer s.admin.Unlock()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	for _, n := range s.spaces {
		n.stop()
	}
	var errs []error
	if s.disk != nil && s.disk != s.memory {
		errs = append(errs, s.disk.Close())
	}
	errs = append(errs, s.memory.Close())
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

func decodeEntries(v []byte, p crdt.Path) ([]crdt.Entry, error) {
	es, err := delta.DecodeEntries(v, p)
	if err != nil {
		return nil, fmt.Errorf("%w: entries at %q: %w", ErrDamaged, p, err)
	}
	return es, nil
}
