package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/anabranchdb/anabranch/config"
	"github.com/anabranchdb/anabranch/internal/clusterkey"
	"github.com/anabranchdb/anabranch/store"
)

// clusterKey returns the key of the cluster: from the environment, from the file that the
// settings name, or from the one in the data directory, which it makes (made) if there is none.
// The data directory must be locked.
func clusterKey(cfg config.Config) (key []byte, made bool, err error) {
	if cfg.ClusterKey != "" {
		key, err = clusterkey.Parse(string(cfg.ClusterKey))
		if err != nil {
			return nil, false, explain(ErrSettings, err, "ANABRANCH_CLUSTER_KEY holds no cluster key (%v): copy the whole line that \"anabranch key new\" printed", err)
		}
		return key, false, nil
	}
	path := cfg.KeyFile()
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && cfg.ClusterKeyFile != "":
		return nil, false, explain(ErrSettings, err, "there is no cluster key in %s: copy it from a daemon of the cluster, or make one with \"anabranch key new\"", path)
	case errors.Is(err, fs.ErrNotExist):
		text = []byte(clusterkey.Generate() + "\n")
		made = true
		err = writeSecret(path, text)
	}
	if err != nil {
		return nil, false, fmt.Errorf("cluster key: %w", err)
	}
	key, err = clusterkey.Parse(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, false, explain(ErrSettings, err, "%s holds no cluster key (%v): copy the file whole from a daemon of the cluster", path, err)
	}
	return key, made, nil
}

// writeSecret writes a file that only this user reads, and makes it durable. After a crash on the way it is
// there whole or not at all.
func writeSecret(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // made with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return store.SyncDir(filepath.Dir(path))
}
