package http

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// checkHost refuses requests that name a host which this daemon is not. A page in a browser may
// have its own name resolved to our address (DNS rebinding); then the browser takes us for that
// page's server and lets it read the replies, but it still sends the page's name as Host.
//
// Over a unix socket there is no browser, and any Host is taken. Over a loopback address these
// are: loopback names and addresses, the address of the listener, and extra names. Over another
// address: also every literal address, since a name is what it takes to rebind, and since the
// address that a client knows need not be one of ours (a forwarded port).
func (h *Handler) checkHost(r *http.Request) error {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if _, ok := local.(*net.UnixAddr); ok {
		return nil
	}
	name := hostName(r.Host)
	if loopbackName(name) || h.hosts[name] {
		return nil
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		tcp, ok := local.(*net.TCPAddr)
		if ok && (!tcp.IP.IsLoopback() || tcp.IP.Equal(addr.AsSlice())) {
			return nil
		}
	}
	return kindForbidden.with("Host %q is none of this daemon's names; the option --http-host adds one", r.Host)
}

// hostName returns the host in a Host header: without port, brackets and final dot, in lower
// case; "" for what is no host.
func hostName(host string) string {
	name := host
	if h, port, err := net.SplitHostPort(host); err == nil {
		if strings.Trim(port, "0123456789") != "" {
			return ""
		}
		name = h
	} else if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		name = host[1 : len(host)-1]
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

func loopbackName(name string) bool {
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.Unmap().IsLoopback()
}
