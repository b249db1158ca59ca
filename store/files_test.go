package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranchdb/anabranch/delta"
)

// spoil are ways in which a file comes to harm.
var spoil = map[string]func([]byte) []byte{
	"gone":      nil,
	"empty":     func([]byte) []byte { return []byte{} },
	"cut short": func(b []byte) []byte { return b[:len(b)/2] },
	"flipped": func(b []byte) []byte {
		if len(b) > 0 {
			b[len(b)/3] ^= 0x40
		}
		return b
	},
}

func readFile(t *testing.T, fs FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t *testing.T, fs FS, name string, content []byte) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestFilesGone harms the files of a store one by one, after a clean end and after a kill. What opens holds all that it
// held, or sets itself aside; what does not open says that it is damaged. Nothing is ever read as absent. Only a log that ends
// early cannot be told from what was there earlier: that is found, as when a disk is rolled back.
func TestFilesGone(t *testing.T) {
	for _, clean := range []bool{true, false} {
		dir, fs := t.TempDir(), NewCrashFS()
		open := func(fs FS) (*Store, error) {
			o := DefaultOptions(dir)
			o.FreeBytes = func(string) (uint64, error) { return 1 << 40, nil }
			o.OpenBackend = func(string) (Backend, error) {
				return OpenPebble("/data", PebbleOptions{FS: fs, MemTableBytes: smallMemTable})
			}
			return Open(o)
		}
		s, err := open(fs)
		if err != nil {
			t.Fatal(err)
		}
		n := namespaceOf(t, s, Default)
		states := []delta.Digest{n.Status().Digest}
		n.Subscribe(func(c Commit) { states = append(states, c.Status.Digest) })
		for i := range 60 {
			addMembers(t, n, tSet, 20*i, 20*(i+1))
			mustCommit(t, n, assign(tRegister, strings.Repeat("v", 10*i)))
		}
		killed := fs.Crash(0, nil)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if clean {
			killed = fs.Crash(0, nil)
		}
		names, err := killed.List("/data/pebble")
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(names)
		for _, name := range names {
			for how, harm := range spoil {
				t.Run(fmt.Sprintf("clean=%t/%s/%s", clean, name, how), func(t *testing.T) {
					fs, path := killed.Crash(0, nil), "/data/pebble/"+name
					content := readFile(t, fs, path)
					if err := fs.Remove(path); err != nil {
						t.Fatal(err)
					}
					if harm != nil {
						changed := harm(slices.Clone(content))
						if bytes.Equal(changed, content) {
							return // nothing is in it
						}
						writeFile(t, fs, path, changed)
					}
					allowed := states[len(states)-1:]
					if isLog(name) && how != "flipped" {
						allowed = states
					}
					findsOne(t, func() (*Store, error) { return open(fs) }, allowed)
				})
			}
		}
	}
}

// findsOne demands one of the states, or that damage is told.
func findsOne(t *testing.T, open func() (*Store, error), states []delta.Digest) {
	t.Helper()
	s, err := open()
	if err != nil {
		if !isDamage(err) {
			t.Errorf("open: %v", err)
		}
		return
	}
	defer s.Close()
	n := namespaceOf(t, s, Default)
	if n.Err() != nil || isDamage(sourceEntries(n, nil)) {
		return
	}
	checkConsistency(t, n)
	if got := n.Status(); !slices.Contains(states, got.Digest) {
		t.Errorf("%d entries at %v were found", got.Entries, got.Clock)
	}
}

// TestDatabaseGone: a directory that was in use does not begin anew by itself.
func TestDatabaseGone(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(DefaultOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	mustCommit(t, namespaceOf(t, s, Default), increment(1))
	if err := errors.Join(s.Close(), os.RemoveAll(dir+"/"+pebbleDir)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := Open(DefaultOptions(dir)); !errors.Is(err, ErrDamaged) {
			t.Errorf("the database is gone: %v", err)
		}
	}
	if err := os.Remove(dir + "/" + sentinelFile); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(DefaultOptions(dir)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestLogFlips flips a bit at places all over a log that nobody closed. What is behind it tells that it was
// synced, so it is damage; only the last three commits cannot be told from ones that were torn.
func TestLogFlips(t *testing.T) {
	dir, fs := t.TempDir(), NewCrashFS()
	open := func(fs FS) (*Store, error) {
		o := DefaultOptions(dir)
		o.FreeBytes = func(string) (uint64, error) { return 1 << 40, nil }
		o.OpenBackend = func(string) (Backend, error) { return OpenPebble("/data", PebbleOptions{FS: fs}) }
		return Open(o)
	}
	s, err := open(fs)
	if err != nil {
		t.Fatal(err)
	}
	n := namespaceOf(t, s, Default)
	var states []delta.Digest
	n.Subscribe(func(c Commit) { states = append(states, c.Status.Digest) })
	for i := range 2500 {
		mustCommit(t, n, assign(tRegister, strings.Repeat("v", 10*(i%60)))) // dozens of blocks
	}
	killed := fs.Crash(0, nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := killed.List("/data/pebble")
	if err != nil {
		t.Fatal(err)
	}
	log := "/data/pebble/" + slices.Max(slices.DeleteFunc(names, func(name string) bool { return !isLog(name) }))
	content := readFile(t, killed, log)
	step := 151
	if testing.Short() {
		step *= 10
	}
	for at := 0; at < len(content); {
		fs, changed := killed.Crash(0, nil), slices.Clone(content)
		changed[at] ^= 1
		writeFile(t, fs, log, changed)
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			findsOne(t, func() (*Store, error) { return open(fs) }, states[len(states)-4:])
		})
		if at += step; at < len(content)-logBlockBytes { // near the end there is the least that tells
			at += len(content) / 50
		}
	}
}
