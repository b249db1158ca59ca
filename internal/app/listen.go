package app

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/anabranchdb/anabranch/config"
)

// socketMode lets the group of the daemon's user speak to it.
const socketMode = 0o660

// listenHTTP opens the listener of the HTTP API.
func listenHTTP(ctx context.Context, cfg config.Config) (net.Listener, error) {
	path, ok := cfg.UnixSocket()
	if !ok {
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.HTTP)
		if err != nil {
			return nil, explainListen("http", cfg.HTTP, err)
		}
		return ln, nil
	}
	path, err := filepath.Abs(path)
	if err == nil {
		err = removeStale(ctx, path)
	}
	if err != nil {
		return nil, explainListen("http", cfg.HTTP, err)
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, explainListen("http", cfg.HTTP, err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(explainListen("http", cfg.HTTP, err), ln.Close())
	}
	return ln, nil
}

// staleTimeout bounds the question whether somebody listens on a socket.
const staleTimeout = time.Second

// removeStale removes the socket that a daemon left behind when it was killed. A socket that
// somebody listens on, and a file that is no socket, stay.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return errors.New("a file that is no socket is in the way")
	}
	ctx, cancel := context.WithTimeout(ctx, staleTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(errSocketInUse, conn.Close())
	}
	if errors.Is(err, fs.ErrPermission) {
		return err
	}
	return os.Remove(path)
}

// checkListen finds out whether the addresses for other daemons are free. The network library
// shares a TCP port with another daemon of the same user without a word, and is content when one
// address of several works; this tells before.
func checkListen(ctx context.Context, addrs []string) error {
	for _, a := range addrs {
		network, hostport, ok := socketAddr(a)
		if !ok {
			continue
		}
		var err error
		if strings.HasPrefix(network, "tcp") {
			var ln net.Listener
			if ln, err = (&net.ListenConfig{}).Listen(ctx, network, hostport); err == nil {
				err = ln.Close()
			}
		} else {
			var conn net.PacketConn
			if conn, err = (&net.ListenConfig{}).ListenPacket(ctx, network, hostport); err == nil {
				err = conn.Close()
			}
		}
		if addressInUse(err) || errors.Is(err, fs.ErrPermission) {
			return explainListen("listen", a, err)
		}
	}
	return nil
}

// socketAddr takes /ip4/ADDRESS/tcp/PORT apart as package net has it; quic-v1 is udp.
func socketAddr(multiaddr string) (network, hostport string, ok bool) {
	p := strings.Split(multiaddr, "/")
	if len(p) < 5 || p[0] != "" || p[4] == "0" {
		return "", "", false
	}
	return p[3] + strings.TrimPrefix(p[1], "ip"), net.JoinHostPort(p[2], p[4]), true
}
