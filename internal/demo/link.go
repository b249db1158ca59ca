package demo

import (
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
)

// link is the cable of one daemon: a TCP proxy on loopback that all other daemons must use,
// since its address is the only one that the daemon announces. A link that is cut closes every
// connection through it and takes no new one.
type link struct {
	ln     net.Listener
	target atomic.Pointer[string] // HOST:PORT that the daemon listens on; nil before it is known

	wg sync.WaitGroup

	mu    sync.Mutex // guards what follows
	cut   bool
	conns map[net.Conn]struct{}
}

func newLink() (*link, error) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &link{ln: ln, conns: map[net.Conn]struct{}{}}
	l.wg.Go(l.accept)
	return l, nil
}

// multiaddr is the address that the daemon announces.
func (l *link) multiaddr() string {
	return "/ip4/127.0.0.1/tcp/" + strconv.Itoa(l.ln.Addr().(*net.TCPAddr).Port)
}

// connectTo sets where the daemon listens.
func (l *link) connectTo(hostport string) { l.target.Store(&hostport) }

// setCut cuts or heals the link.
func (l *link) setCut(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	if cut {
		for c := range l.conns {
			_ = c.Close()
		}
	}
}

func (l *link) close() {
	_ = l.ln.Close()
	l.setCut(true)
	l.wg.Wait()
}

func (l *link) accept() {
	for {
		in, err := l.ln.Accept()
		if err != nil {
			return
		}
		l.wg.Go(func() { l.carry(in) })
	}
}

// carry copies both ways until either side ends or the link is cut.
func (l *link) carry(in net.Conn) {
	defer l.release(in)
	target := l.target.Load()
	if target == nil || !l.hold(in) {
		return
	}
	out, err := net.Dial("tcp4", *target)
	if err != nil {
		return
	}
	defer l.release(out)
	if !l.hold(out) {
		return
	}
	l.wg.Go(func() {
		_, _ = io.Copy(out, in)
		_ = out.Close()
	})
	_, _ = io.Copy(in, out)
}

// hold notes a connection to be closed by a cut. It returns false when the link is cut already.
func (l *link) hold(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.cut {
		l.conns[c] = struct{}{}
	}
	return !l.cut
}

func (l *link) release(c net.Conn) {
	_ = c.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}
