package app

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/anabranchdb/anabranch/config"
)

func TestSocketAddr(t *testing.T) {
	for addr, want := range map[string][2]string{
		"/ip4/0.0.0.0/tcp/7701":         {"tcp4", "0.0.0.0:7701"},
		"/ip4/0.0.0.0/udp/7701/quic-v1": {"udp4", "0.0.0.0:7701"},
		"/ip6/::/tcp/7701":              {"tcp6", "[::]:7701"},
		"/ip6/::1/udp/7701/quic-v1":     {"udp6", "[::1]:7701"},
	} {
		network, hostport, ok := socketAddr(addr)
		if !ok || network != want[0] || hostport != want[1] {
			t.Errorf("%s: %s %s %v", addr, network, hostport, ok)
		}
	}
	for _, addr := range []string{"/ip4/127.0.0.1/tcp/0", "", "/ip4"} {
		if _, _, ok := socketAddr(addr); ok {
			t.Errorf("%q is taken", addr)
		}
	}
}

func TestCheckListen(t *testing.T) {
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for _, addr := range []string{
		"/ip4/127.0.0.1/tcp/" + port(t, tcp.Addr()),
		"/ip4/127.0.0.1/udp/" + port(t, udp.LocalAddr()) + "/quic-v1",
	} {
		err := checkListen(t.Context(), []string{"/ip4/127.0.0.1/tcp/0", addr})
		if !errors.Is(err, ErrAddressInUse) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	addr := "/ip4/127.0.0.1/tcp/" + port(t, tcp.Addr())
	tcp.Close()
	if err := checkListen(t.Context(), []string{addr}); err != nil {
		t.Errorf("a free one: %v", err)
	}
}

func port(t *testing.T, a net.Addr) string {
	t.Helper()
	_, p, err := net.SplitHostPort(a.String())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	cfg := config.Config{HTTP: "unix:" + path}
	ln, err := listenHTTP(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := listenHTTP(t.Context(), cfg); !errors.Is(err, ErrAddressInUse) {
		t.Errorf("in use: %v", err)
	}

	// As after a kill: the file stays, nobody listens.
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	if ln, err = listenHTTP(t.Context(), cfg); err != nil {
		t.Fatalf("stale: %v", err)
	}
	ln.Close()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}

	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenHTTP(t.Context(), cfg); !errors.Is(err, ErrSettings) {
		t.Errorf("another file: %v", err)
	}
	if text, err := os.ReadFile(path); string(text) != "precious" {
		t.Errorf("another file: %q, %v", text, err)
	}
}
