package store

import (
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// powerFS changes a file system in memory one operation at a time, and shows a test every moment between
// two of them, and one in the midst of each write.
type powerFS struct {
	*CrashFS
	mu  sync.Mutex // held by whoever changes something: what cut sees stands still
	rng *rand.Rand // says where writes tear, and what a loss of power leaves
	cut func(at string)
	// moved are former names of files: a rename happens whole or not at all.
	moved map[string]bool
	// fail, if not nil, lets an operation fail. When a sync has failed, later ones of that file succeed and do
	// nothing: what was to be synced is gone from the caches of an operating system that could not write it.
	fail     func(at string) error
	unsynced map[string]bool
}

func newPowerFS(fs *CrashFS, rng *rand.Rand, cut func(at string)) *powerFS {
	return &powerFS{CrashFS: fs, rng: rng, cut: cut, moved: map[string]bool{}, unsynced: map[string]bool{}}
}

func (p *powerFS) op(at string, do func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut(at)
	if err := p.failed(at); err != nil {
		return err
	}
	return do()
}

func (p *powerFS) failed(at string) error {
	if p.fail == nil {
		return nil
	}
	return p.fail(at)
}

// image returns what a loss of power could leave, for cut. Beyond CrashFS.Crash, what was removed can stay
// removed although the directory was not synced.
func (p *powerFS) image(unsyncedPercent int) *CrashFS {
	image := p.Crash(unsyncedPercent, p.rng)
	dir := p.PathJoin("/data", pebbleDir)
	left, err := image.List(dir)
	if err != nil {
		return image // not there yet
	}
	there, err := p.List(dir)
	if err != nil {
		panic(err)
	}
	slices.Sort(left) // the order of a map
	for _, name := range left {
		if !slices.Contains(there, name) && !p.moved[name] && p.rng.IntN(100) < unsyncedPercent {
			if err := image.Remove(p.PathJoin(dir, name)); err != nil {
				panic(err)
			}
		}
	}
	d, err := image.OpenDir(dir)
	if err != nil {
		panic(err)
	}
	if err := d.Sync(); err != nil {
		panic(err)
	}
	return image
}

func (p *powerFS) file(at, name string, open func() (vfs.File, error)) (f vfs.File, err error) {
	err = p.op(at+" "+name, func() error { f, err = open(); return err })
	if err != nil {
		return nil, err
	}
	return powerFile{f, p, name}, nil
}

func (p *powerFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return p.file("create", name, func() (vfs.File, error) { return p.CrashFS.Create(name, c) })
}

func (p *powerFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return p.file("open", name, func() (vfs.File, error) { return p.CrashFS.OpenReadWrite(name, c, o...) })
}

func (p *powerFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return p.file("reuse", to, func() (vfs.File, error) {
		p.moved[p.PathBase(from)] = true
		return p.CrashFS.ReuseForWrite(from, to, c)
	})
}

// OpenDir changes nothing, but what it returns is synced.
func (p *powerFS) OpenDir(name string) (vfs.File, error) {
	f, err := p.CrashFS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return powerFile{f, p, name}, nil
}

func (p *powerFS) Link(from, to string) error {
	return p.op("link "+to, func() error { return p.CrashFS.Link(from, to) })
}

func (p *powerFS) Remove(name string) error {
	return p.op("remove "+name, func() error { return p.CrashFS.Remove(name) })
}

func (p *powerFS) RemoveAll(name string) error {
	return p.op("remove all "+name, func() error { return p.CrashFS.RemoveAll(name) })
}

func (p *powerFS) Rename(from, to string) error {
	return p.op("rename "+to, func() error {
		p.moved[p.PathBase(from)] = true
		return p.CrashFS.Rename(from, to)
	})
}

func (p *powerFS) MkdirAll(name string, mode fs.FileMode) error {
	return p.op("mkdir "+name, func() error { return p.CrashFS.MkdirAll(name, mode) })
}

func (p *powerFS) Lock(name string) (c io.Closer, err error) {
	err = p.op("lock "+name, func() error { c, err = p.CrashFS.Lock(name); return err })
	return c, err
}

type powerFile struct {
	vfs.File
	fs   *powerFS
	name string
}

// Write tears at a random place.
func (f powerFile) Write(b []byte) (n int, err error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.fs.cut("write " + f.name)
	if err := f.fs.failed("write " + f.name); err != nil {
		return 0, err
	}
	if len(b) > 1 {
		if n, err = f.File.Write(b[:1+f.fs.rng.IntN(len(b)-1)]); err != nil {
			return n, err
		}
		f.fs.cut("half of write " + f.name)
	}
	m, err := f.File.Write(b[n:])
	return n + m, err
}

func (f powerFile) WriteAt(b []byte, at int64) (n int, err error) {
	err = f.fs.op("write at "+f.name, func() error { n, err = f.File.WriteAt(b, at); return err })
	return n, err
}

func (f powerFile) sync(do func() error) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.fs.cut("sync " + f.name)
	if err := f.fs.failed("sync " + f.name); err != nil {
		f.fs.unsynced[f.name] = true
		return err
	}
	if f.fs.unsynced[f.name] {
		return nil
	}
	return do()
}

func (f powerFile) Sync() error { return f.sync(f.File.Sync) }

func (f powerFile) SyncData() error { return f.sync(f.File.SyncData) }
