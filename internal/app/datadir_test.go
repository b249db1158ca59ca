package app

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/config"
	"github.com/anabranchdb/anabranch/internal/clusterkey"
)

func TestClusterKeyIsMadeOnce(t *testing.T) {
	cfg := config.Config{DataDir: t.TempDir()}
	first, made, err := clusterKey(cfg)
	if err != nil || !made || len(first) != clusterkey.Size {
		t.Fatalf("%d bytes, made %v, %v", len(first), made, err)
	}
	info, err := os.Stat(cfg.KeyFile())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	again, made, err := clusterKey(cfg)
	if err != nil || made || !bytes.Equal(first, again) {
		t.Errorf("again: made %v, equal %v, %v", made, bytes.Equal(first, again), err)
	}
	entries, err := os.ReadDir(cfg.DataDir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestClusterKeyFromElsewhere(t *testing.T) {
	text := clusterkey.Generate()
	want, err := clusterkey.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "key")
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]config.Config{
		"environment": {DataDir: dir, ClusterKey: config.Secret(text)},
		"file":        {DataDir: dir, ClusterKeyFile: file},
	} {
		got, made, err := clusterKey(cfg)
		if err != nil || made || !bytes.Equal(got, want) {
			t.Errorf("%s: made %v, %v", name, made, err)
		}
	}
	for name, cfg := range map[string]config.Config{
		"environment": {DataDir: dir, ClusterKey: "a-secret"},
		"file":        {DataDir: dir, ClusterKeyFile: filepath.Join(dir, "none")},
	} {
		_, _, err := clusterKey(cfg)
		if !errors.Is(err, ErrSettings) || strings.Contains(err.Error(), "a-secret") {
			t.Errorf("bad %s: %v", name, err)
		}
	}
}
