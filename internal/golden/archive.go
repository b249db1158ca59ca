package golden

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Pack writes the files of a data directory of which no store is open to an archive.
func Pack(t testing.TB, dir, archive string) {
	t.Helper()
	f, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	err = errors.Join(w.AddFS(os.DirFS(dir)), w.Close(), z.Close(), f.Close())
	if err != nil {
		t.Fatal(err)
	}
}

// Unpack makes a data directory of an archive, and returns it. It is removed at the end of the test.
func Unpack(t testing.TB, archive string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err == nil {
			err = unpack(filepath.Join(dir, filepath.FromSlash(h.Name)), h.FileInfo().IsDir(), r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func unpack(path string, folder bool, content io.Reader) error {
	if folder {
		if err := os.Mkdir(path, 0o700); !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}
