package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/anabranchdb/anabranch/store"
)

var (
	errPowerCut = errors.New("sim: the power is off")
	errRot      = fmt.Errorf("%w: sim: a checksum does not hold", store.ErrDamaged)
)

// disk is a datastore that outlives the process on it. What was applied and not waited for is in a
// cache: a power cut may lose any tail of it. It can die at any write, and rot.
type disk struct {
	mu  sync.Mutex
	mem *store.MemoryBackend
	// images[0] is what is durable; behind it what was applied since, oldest first.
	images []store.Snapshot
	// fuse is the number of writes and syncs until the power goes; 0 for never.
	fuse int
	dead bool
	rot  bool // reads report damage
	// meanwhile, if not nil, is called when a batch is applied, before that is answered.
	meanwhile func()
}

func newDisk() *disk {
	d := &disk{mem: store.NewMemoryBackend()}
	d.images = []store.Snapshot{d.image()}
	return d
}

func (d *disk) image() store.Snapshot {
	s, err := d.mem.Snapshot()
	if err != nil {
		panic(err) // nobody closes it
	}
	return s
}

// step burns the fuse.
func (d *disk) step() error {
	if d.fuse > 0 {
		if d.fuse--; d.fuse == 0 {
			d.dead = true
		}
	}
	if d.dead {
		return errPowerCut
	}
	return nil
}

// Apply implements store.Backend.
func (d *disk) Apply(b *store.Batch) (func() error, error) {
	wait, err := d.apply(b)
	if d.meanwhile != nil {
		d.meanwhile()
	}
	return wait, err
}

func (d *disk) apply(b *store.Batch) (func() error, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return nil, err
	}
	if _, err := d.mem.Apply(b); err != nil {
		return nil, err
	}
	image := d.image()
	d.images = append(d.images, image)
	return func() error { return d.sync(image) }, nil
}

// sync makes all up to an image durable.
func (d *disk) sync(image store.Snapshot) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	for i, s := range d.images {
		if s == image {
			d.images = d.images[i:]
		}
	}
	return nil
}

// powerCut leaves what is durable and a prefix of what was in the cache.
func (d *disk) powerCut(rng *rand.Rand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
	d.images = d.images[rng.IntN(len(d.images)):][:1]
}

// repair brings a disk back: with what its newest image has.
func (d *disk) repair() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.load(d.images[len(d.images)-1])
	d.fuse, d.dead, d.rot = 0, false, false
}

// restore replaces all that the disk holds.
func (d *disk) restore(image store.Snapshot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.load(image)
}

// load makes an image all that the disk holds.
func (d *disk) load(image store.Snapshot) {
	mem := store.NewMemoryBackend()
	var b store.Batch
	it, err := image.Iterate("", "")
	if err != nil {
		panic(err)
	}
	for it.Next() {
		b.Put(it.Key(), append([]byte{}, it.Value()...))
	}
	if err := it.Close(); err != nil {
		panic(err)
	}
	if _, err := mem.Apply(&b); err != nil {
		panic(err)
	}
	d.mem = mem
	d.images = []store.Snapshot{d.image()}
}

// synced is what a copy of the disk holds.
func (d *disk) synced() store.Snapshot {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.images[0]
}

func (d *disk) setFuse(writes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fuse = writes
}

// armed reports whether the power may go at the next writes.
func (d *disk) armed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fuse > 0
}

func (d *disk) setRot(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rot = on
}

func (d *disk) isDead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

// read returns what reads of a key go to now. Only data rot: what a store cannot open without is
// not the subject.
func (d *disk) read(key string) (*store.MemoryBackend, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.dead:
		return nil, errPowerCut
	case d.rot && strings.Contains(key, "/d/"):
		return nil, errRot
	}
	return d.mem, nil
}

// Get implements store.Backend.
func (d *disk) Get(key string) ([]byte, bool, error) {
	m, err := d.read(key)
	if err != nil {
		return nil, false, err
	}
	return m.Get(key)
}

// Snapshot implements store.Backend.
func (d *disk) Snapshot() (store.Snapshot, error) {
	m, err := d.read("")
	if err != nil {
		return nil, err
	}
	s, err := m.Snapshot()
	if err != nil {
		return nil, err
	}
	return snapshot{s, d}, nil
}

// DiskBytes implements store.Backend.
func (d *disk) DiskBytes() (uint64, error) {
	m, err := d.read("")
	if err != nil {
		return 0, err
	}
	return m.DiskBytes()
}

// Close implements store.Backend: a disk has no process.
func (d *disk) Close() error { return nil }

// snapshot fails when its disk does.
type snapshot struct {
	store.Snapshot
	disk *disk
}

func (s snapshot) Get(key string) ([]byte, bool, error) {
	if _, err := s.disk.read(key); err != nil {
		return nil, false, err
	}
	return s.Snapshot.Get(key)
}

func (s snapshot) Iterate(lower, upper string) (store.Iterator, error) {
	if _, err := s.disk.read(lower); err != nil {
		return nil, err
	}
	return s.Snapshot.Iterate(lower, upper)
}
