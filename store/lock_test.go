package store

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestLockDirRefusesASecondHolder(t *testing.T) {
	dir := t.TempDir()
	first, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := LockDir(dir)
	if !errors.Is(err, ErrLocked) || second != nil {
		t.Fatalf("a second lock: %v, %v, want ErrLocked", second, err)
	}
	if want := fmt.Sprintf("process %d", os.Getpid()); !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not name %q", err, want)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := LockDir(dir)
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLockDirOverwritesWhatALongerIDLeft(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, lockFile)
	if err := os.WriteFile(path, []byte(strings.Repeat("9", 40)), 0o600); err != nil {
		t.Fatal(err)
	}
	lock, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	content, err := os.ReadFile(path)
	if want := fmt.Sprintf("%d\n", os.Getpid()); err != nil || string(content) != want {
		t.Errorf("the file says %q, %v, want %q", content, err, want)
	}
}

func TestLockDirWithoutADirectory(t *testing.T) {
	_, err := LockDir(filepath.Join(t.TempDir(), "absent"))
	if !errors.Is(err, os.ErrNotExist) || errors.Is(err, ErrLocked) {
		t.Errorf("got %v, want that there is no directory", err)
	}
}

// TestLockDirHolder is no test: it is the other process of TestLockDirEndsWithItsProcess.
func TestLockDirHolder(t *testing.T) {
	dir := os.Getenv("ANABRANCH_TEST_LOCK_DIR")
	if dir == "" {
		return
	}
	if _, err := LockDir(dir); err != nil {
		t.Fatal(err)
	}
	fmt.Println("held")
	io.Copy(io.Discard, os.Stdin) // until it is killed
}

func TestLockDirEndsWithItsProcess(t *testing.T) {
	dir := t.TempDir()
	other := exec.Command(os.Args[0], "-test.run=^TestLockDirHolder$")
	other.Env = append(os.Environ(), "ANABRANCH_TEST_LOCK_DIR="+dir)
	stdin, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "held\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	_, err = LockDir(dir)
	if want := fmt.Sprintf("process %d", other.Process.Pid); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want ErrLocked by %s", err, want)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait() // killed
	lock, err := LockDir(dir)
	if err != nil {
		t.Fatalf("after kill -9: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
}
