package store

import (
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// identify names the sentinel by volume, file id and time of creation.
func identify(_, sentinel string) (string, error) {
	path, err := windows.UTF16PtrFromString(sentinel)
	if err != nil {
		return "", err
	}
	// The flags open a link itself, and not what it points to.
	h, err := windows.CreateFile(path, 0, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil,
		windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS|windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: sentinel, Err: err}
	}
	defer windows.CloseHandle(h)
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &info); err != nil {
		return "", &os.PathError{Op: "stat", Path: sentinel, Err: err}
	}
	return fmt.Sprintf("volume=%08x file=%08x%08x born=%d",
		info.VolumeSerialNumber, info.FileIndexHigh, info.FileIndexLow, info.CreationTime.Nanoseconds()), nil
}
