package store

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Magic numbers of file systems whose f_fsid comes from their own super block.
var lastingFileSystems = map[int64]bool{
	unix.EXT4_SUPER_MAGIC:  true, // ext2 and ext3 too
	unix.BTRFS_SUPER_MAGIC: true,
	0x2fc12fc1:             true, // ZFS
	0xca451a4e:             true, // bcachefs
}

// Magic numbers of file systems that may number their inodes anew with each mount.
var floatingInodes = map[int64]bool{
	unix.FUSE_SUPER_MAGIC: true,
	unix.V9FS_MAGIC:       true,
	unix.CIFS_SUPER_MAGIC: true,
	unix.SMB2_SUPER_MAGIC: true,
}

// identify names the file system of dir and the inode of its sentinel, by what a reboot leaves alone.
//
// Not st_dev: device numbers are given out in the order of discovery (device mapper, NVMe, btrfs,
// NFS), and XFS, F2FS and FAT derive f_fsid from them. Of those it takes the type of file system
// only; inode and time do the work.
//
// Not ctime, where the file system tells a time of birth: chown and chmod change ctime, also when
// they change nothing, and containers run them over whole volumes at every start (the fsGroup of
// Kubernetes, entry points with chown -R). The birth of an inode can be set by nobody.
func identify(dir, sentinel string) (string, error) {
	var sys unix.Statfs_t
	if err := unix.Statfs(dir, &sys); err != nil {
		return "", &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	system := fmt.Sprintf("%x", sys.Type)
	if lastingFileSystems[int64(sys.Type)] {
		system += fmt.Sprintf(":%08x%08x", uint32(sys.Fsid.Val[0]), uint32(sys.Fsid.Val[1]))
	}
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, sentinel, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_INO|unix.STATX_CTIME|unix.STATX_BTIME, &st)
	if err != nil {
		return "", &os.PathError{Op: "statx", Path: sentinel, Err: err}
	}
	if floatingInodes[int64(sys.Type)] {
		st.Ino = 0
	}
	what, when := "changed", st.Ctime
	if st.Mask&unix.STATX_BTIME != 0 {
		what, when = "born", st.Btime
	}
	return fmt.Sprintf("fs=%s inode=%d %s=%d.%09d", system, st.Ino, what, when.Sec, when.Nsec), nil
}
