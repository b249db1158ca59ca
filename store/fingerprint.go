package store

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Fingerprint tells a data directory from every copy of it. It reads, for example,
//
//	machine=8f0c… fs=ef53:9a1b… inode=131090 born=1732270210.123456789 name=4be1…
//
// and is compared as a whole. Restarts, reboots, upgrades and renames of the directory leave it as it
// is; cp -a, rsync, tar, a restored backup and a disk moved to another machine change it. What it
// cannot see are images: a snapshot of the disk or of the virtual machine that was rolled back, and
// a tool that puts back only those files that differ (rsync onto the same directory).
//
// It may change without a copy, too (a new machine id, a kernel that learns to tell times of birth):
// a reader must take a change as "maybe a copy", never as an error.
type Fingerprint string

// sentinelFile is a symbolic link to nowhere. Nobody writes to it, and programs that copy onto it
// have to replace it: a regular file they would open and overwrite in place, and it would keep its
// inode and its birth.
const sentinelFile = "sentinel"

const sentinelNameBytes = 16

// machineIDFiles are where Linux and the BSDs have their machine id.
var machineIDFiles = []string{"/etc/machine-id", "/var/lib/dbus/machine-id", "/etc/hostid"}

// ReadFingerprint returns the fingerprint of dir. The first call makes the sentinel in it.
func ReadFingerprint(dir string) (Fingerprint, error) {
	path := filepath.Join(dir, sentinelFile)
	name, err := sentinelName(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeSentinel(dir, path); err == nil {
			name, err = sentinelName(path)
		}
	}
	if err != nil {
		return "", fmt.Errorf("store: sentinel: %w", err)
	}
	place, err := identify(dir, path)
	if err != nil {
		return "", fmt.Errorf("store: sentinel: %w", err)
	}
	return Fingerprint(fmt.Sprintf("machine=%s %s name=%s", machineID(machineIDFiles), place, name)), nil
}

// sentinelName returns the random text that the sentinel was made with: it tells a sentinel that
// was deleted and made again, where inode and time could repeat.
func sentinelName(path string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return os.Readlink(path)
	}
	content, err := os.ReadFile(path)
	if len(content) > 2*sentinelNameBytes {
		content = content[:2*sentinelNameBytes]
	}
	return hex.EncodeToString(content), err
}

// makeSentinel makes the link, or a file where there are no links, and makes it durable.
func makeSentinel(dir, path string) error {
	var random [sentinelNameBytes]byte
	rand.Read(random[:]) // never fails
	name := hex.EncodeToString(random[:])
	err := os.Symlink(name, path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = writeSentinel(path, random[:])
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncDir(dir)
}

func writeSentinel(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// machineID returns a digest of the first machine id among files, "none" if there is none, as in
// most containers. Its owner asks not to show the id itself (man machine-id).
func machineID(files []string) string {
	for _, file := range files {
		content, err := os.ReadFile(file)
		id := strings.TrimSpace(string(content))
		if err != nil || id == "" || id == "uninitialized" {
			continue
		}
		mac := hmac.New(sha256.New, []byte(id))
		mac.Write([]byte("anabranch data directory"))
		return hex.EncodeToString(mac.Sum(nil)[:8])
	}
	return "none"
}
