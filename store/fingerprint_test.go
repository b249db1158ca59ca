package store

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

func fingerprint(t *testing.T, dir string) Fingerprint {
	t.Helper()
	f, err := ReadFingerprint(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// run runs a program of the operating system, which must be there.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func makeDataDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(filepath.Join(dir, "pebble"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pebble", "CURRENT"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func needUnix(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("uses cp and tar")
	}
}

func TestFingerprintStays(t *testing.T) {
	dir := makeDataDir(t)
	outer := t.TempDir() // longer than a subtest's
	want := fingerprint(t, dir)
	for range 2 {
		if got := fingerprint(t, dir); got != want {
			t.Fatalf("read again:\n%s\n%s", want, got)
		}
	}
	t.Run("when the directory is renamed", func(t *testing.T) {
		moved := filepath.Join(filepath.Dir(dir), "moved")
		if err := os.Rename(dir, moved); err != nil {
			t.Fatal(err)
		}
		if got := fingerprint(t, moved); got != want {
			t.Errorf("\n%s\n%s", want, got)
		}
		dir = moved
	})
	t.Run("when the parent is renamed", func(t *testing.T) {
		parent := filepath.Join(outer, "parent")
		if err := os.Rename(filepath.Dir(dir), parent); err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(parent, filepath.Base(dir))
		if got := fingerprint(t, dir); got != want {
			t.Errorf("\n%s\n%s", want, got)
		}
	})
	t.Run("when files beside it are written", func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(dir, "other"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := fingerprint(t, dir); got != want {
			t.Errorf("\n%s\n%s", want, got)
		}
	})
	t.Run("when a container sets the owner of the volume", func(t *testing.T) {
		needUnix(t)
		if !strings.Contains(string(want), " born=") || strings.Contains(string(want), " changed=") {
			t.Skip("this file system tells no time of birth: ctime stands in for it")
		}
		run(t, "chown", "-R", "-h", strconv.Itoa(os.Getuid()), dir)
		run(t, "chmod", "-R", "u+rwX", dir)
		if got := fingerprint(t, dir); got != want {
			t.Errorf("\n%s\n%s", want, got)
		}
	})
}

func TestFingerprintChanges(t *testing.T) {
	needUnix(t)
	for name, copyDir := range map[string]func(t *testing.T, dir string) (copied string){
		"cp -a": func(t *testing.T, dir string) string {
			run(t, "cp", "-a", dir, dir+".copy")
			return dir + ".copy"
		},
		"cp -a, and the copy takes the name": func(t *testing.T, dir string) string {
			run(t, "cp", "-a", dir, dir+".copy")
			run(t, "mv", dir, dir+".old")
			run(t, "mv", dir+".copy", dir)
			return dir
		},
		"tar into another directory": func(t *testing.T, dir string) string {
			run(t, "tar", "-cf", dir+".tar", "-C", dir, ".")
			run(t, "mkdir", dir+".copy")
			run(t, "tar", "-xpf", dir+".tar", "-C", dir+".copy")
			return dir + ".copy"
		},
		"deleted, and restored from tar": func(t *testing.T, dir string) string {
			run(t, "tar", "-cf", dir+".tar", "-C", dir, ".")
			run(t, "rm", "-r", dir)
			run(t, "mkdir", dir)
			run(t, "tar", "-xpf", dir+".tar", "-C", dir)
			return dir
		},
		"tar over the contents": func(t *testing.T, dir string) string {
			run(t, "tar", "-cf", dir+".tar", "-C", dir, ".")
			run(t, "tar", "-xpf", dir+".tar", "-C", dir)
			return dir
		},
		"cp -a over the contents": func(t *testing.T, dir string) string {
			run(t, "cp", "-a", dir, dir+".backup")
			run(t, "cp", "-a", dir+".backup/.", dir)
			return dir
		},
		"the sentinel lost": func(t *testing.T, dir string) string {
			run(t, "rm", filepath.Join(dir, sentinelFile))
			return dir
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := makeDataDir(t)
			before := fingerprint(t, dir)
			if after := fingerprint(t, copyDir(t, dir)); after == before {
				t.Errorf("it stayed %s", before)
			}
		})
	}
}

func TestFingerprintWithoutLinks(t *testing.T) {
	dir := t.TempDir()
	if err := writeSentinel(filepath.Join(dir, sentinelFile), []byte("0123456789abcdef")); err != nil {
		t.Fatal(err)
	}
	want := fingerprint(t, dir)
	if !strings.Contains(string(want), "name=30313233") {
		t.Errorf("%s does not have the content of the file", want)
	}
	if got := fingerprint(t, dir); got != want {
		t.Errorf("read again:\n%s\n%s", want, got)
	}
}

func TestFingerprintWithoutADirectory(t *testing.T) {
	if f, err := ReadFingerprint(filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Errorf("got %q", f)
	}
}

func TestMachineID(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	absent := filepath.Join(dir, "absent")
	empty, fresh := write("empty", "\n"), write("fresh", "uninitialized\n")
	one, two := write("one", "0123456789abcdef0123456789abcdef\n"), write("two", "f123456789abcdef0123456789abcdef\n")

	if id := machineID([]string{absent, empty, fresh}); id != "none" {
		t.Errorf("without an id: %q", id)
	}
	id := machineID([]string{absent, empty, fresh, one, two})
	if id != machineID([]string{one}) || id == machineID([]string{two}) || id == "none" {
		t.Errorf("not the digest of the first id: %q", id)
	}
	if strings.Contains(id, "01234567") {
		t.Errorf("%q shows the id", id)
	}
}
