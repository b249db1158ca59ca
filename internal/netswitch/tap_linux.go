package netswitch

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// OpenTAP makes a TAP device of this name in the network namespace of the process. It goes when it is
// closed. Moved to another namespace it stays connected.
func OpenTAP(name string) (io.ReadWriteCloser, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("TAP device %s: %w", name, err)
	}
	// Not blocking, it is read through the poller, so that Close ends a Read.
	return os.NewFile(uintptr(fd), "tap "+name), nil
}
