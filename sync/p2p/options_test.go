package p2p

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOptionsAreChecked(t *testing.T) {
	o := testOptions(t)
	o.ClusterKey, o.Identity = []byte("short"), nil
	o.Listen = []string{"/ip4/0.0.0.0/udp/1", "/dns4/here/tcp/1", "x"}
	o.Static = []string{"y"}
	o.Timing.DeadAfter, o.Limits.Serves = 1, 0
	_, err := New(o)
	for _, want := range []string{"identity", "cluster key", "udp/1", "dns4", `"x"`, `"y"`, "DeadAfter", "limit"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	taken := startNode(t, testOptions(t, onTCP))
	o = testOptions(t, strings.Split(taken.Addresses()[0], "/p2p/")[0])
	if _, err := New(o); err == nil {
		t.Error("two nodes listen on one port")
	}
}

func TestIdentityIsKept(t *testing.T) {
	dir := t.TempDir()
	a, err := LoadOrCreateIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := LoadOrCreateIdentity(dir)
	if err != nil || !a.Equals(b) {
		t.Fatalf("another identity, %v", err)
	}
	if i, err := os.Stat(filepath.Join(dir, identityFile)); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", i.Mode(), err)
	}
	c, err := ReplaceIdentity(dir)
	if err != nil || a.Equals(c) {
		t.Fatalf("the same identity, %v", err)
	}
	if d, err := LoadOrCreateIdentity(dir); err != nil || !c.Equals(d) {
		t.Fatalf("the replacement is not kept, %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, identityFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateIdentity(dir); !errors.Is(err, ErrIdentity) {
		t.Errorf("an empty file: %v", err)
	}
}
