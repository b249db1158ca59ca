package store

import "strings"

// logFS stands between Pebble and its write-ahead log. When a write to the log fails, Pebble panics
// some commits later, with locks in its hands that nobody gets back. So that failure is kept here,
// from where Apply and wait take it, and Pebble is told that all is well: from then on its log leads
// nowhere. What the file holds is what a crash at that moment would have left.
//
// Tables and the manifest are none of its business. Their failures Pebble repeats or dies of.
type logFS struct {
	FS
	b *PebbleBackend
}

func isLog(name string) bool { return strings.HasSuffix(name, ".log") }

func (f logFS) Create(name string, category vfsCategory) (vfsFile, error) {
	if !isLog(name) {
		return f.FS.Create(name, category)
	}
	return f.open(func() (vfsFile, error) { return f.FS.Create(name, category) })
}

func (f logFS) ReuseForWrite(oldname, newname string, category vfsCategory) (vfsFile, error) {
	if !isLog(newname) {
		return f.FS.ReuseForWrite(oldname, newname, category)
	}
	return f.open(func() (vfsFile, error) { return f.FS.ReuseForWrite(oldname, newname, category) })
}

func (f logFS) open(open func() (vfsFile, error)) (vfsFile, error) {
	if f.b.failed() == nil {
		file, err := open()
		if err == nil {
			return logFile{file, f.b}, nil
		}
		f.b.logFailed(err)
	}
	return nowhere()
}

func (f logFS) Unwrap() FS { return f.FS }

// logFailed keeps the first failure.
func (b *PebbleBackend) logFailed(err error) {
	err = b.fail(pebbleError("log", err))
	b.event(PebbleEvent{Kind: PebbleLog, Err: err, Text: brief(err)})
}

// logFile is a file of the log. No write ever follows one that failed.
type logFile struct {
	vfsFile
	b *PebbleBackend
}

// attempt does something, unless something has failed before.
func (f logFile) attempt(do func() error) {
	if f.b.failed() != nil {
		return
	}
	if err := do(); err != nil {
		f.b.logFailed(err)
	}
}

func (f logFile) Write(p []byte) (int, error) {
	f.attempt(func() error { _, err := f.vfsFile.Write(p); return err })
	return len(p), nil
}

func (f logFile) Sync() error {
	f.attempt(f.vfsFile.Sync)
	return nil
}

func (f logFile) SyncData() error {
	f.attempt(f.vfsFile.SyncData)
	return nil
}

func (f logFile) SyncTo(length int64) (fullSync bool, err error) {
	f.attempt(func() (err error) { fullSync, err = f.vfsFile.SyncTo(length); return err })
	return fullSync, nil
}

func (f logFile) Close() error {
	err := f.vfsFile.Close()
	f.attempt(func() error { return err })
	return nil
}
