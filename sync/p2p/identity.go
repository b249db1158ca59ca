package p2p

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
)

// identityFile is the name of the key file in a data directory: one line, the private key as
// libp2p marshals it, in base64.
const identityFile = "peer.key"

// ErrIdentity is returned when a key file exists and holds no Ed25519 key. It is never replaced
// silently: the peer id is what other members know this one by.
var ErrIdentity = errors.New("p2p: damaged identity file")

// LoadOrCreateIdentity returns the private key in dir, which gives a daemon its peer id, and
// creates it, readable by the owner only, if there is none. dir must exist.
func LoadOrCreateIdentity(dir string) (crypto.PrivKey, error) {
	name := filepath.Join(dir, identityFile)
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return ReplaceIdentity(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("p2p: read identity: %w", err)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, fmt.Errorf("%w: %s is not base64", ErrIdentity, name)
	}
	key, err := crypto.UnmarshalPrivateKey(raw)
	if err != nil || key.Type() != crypto.Ed25519 {
		return nil, fmt.Errorf("%w: %s holds no Ed25519 key", ErrIdentity, name)
	}
	return key, nil
}

// ReplaceIdentity draws a fresh private key and stores it in dir in place of the former one: for a
// directory that proved to be a copy of another one.
func ReplaceIdentity(dir string) (crypto.PrivKey, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("p2p: generate identity: %w", err)
	}
	raw, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("p2p: marshal identity: %w", err)
	}
	text := base64.StdEncoding.EncodeToString(raw) + "\n"
	if err := writeFileAtomic(filepath.Join(dir, identityFile), []byte(text), true); err != nil {
		return nil, fmt.Errorf("p2p: store identity: %w", err)
	}
	return key, nil
}

// writeFileAtomic replaces a file, readable by its owner only, so that a reader or a crash finds
// either the old content or the new one. With durable, the new one is on disk when it returns.
func writeFileAtomic(name string, content []byte, durable bool) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(content); err != nil {
		return err
	}
	// Also without durable: a rename that reaches the disk before the content leaves an empty file.
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), name); err != nil || !durable {
		return err
	}
	// The file is in place. Syncing its directory is not supported everywhere.
	if dir, openErr := os.Open(filepath.Dir(name)); openErr == nil {
		dir.Sync()
		dir.Close()
	}
	return nil
}
