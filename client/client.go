package client

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// DefaultAddr is where a daemon listens unless it was told otherwise.
const DefaultAddr = "http://127.0.0.1:7700"

// dialTimeout bounds how long a connection may take to come about.
const dialTimeout = 10 * time.Second

// Options say how a client behaves. The zero value is good.
type Options struct {
	// Retries is how often a call is sent again; 0 stands for 4, and less than 0 for never: then writes
	// carry no idempotency keys, which the daemon has to keep. A feed that has begun is taken up again
	// for as long as its context lives.
	Retries int
	// Backoff is the pause before the first retry, about; it doubles up to MaxBackoff. 0 stands for
	// 100 ms and 5 s. The daemon's word on when to come back counts if it is longer.
	Backoff, MaxBackoff time.Duration
	// Header is sent with every request, for a proxy that asks who is there.
	Header http.Header
	// Transport carries the requests in place of the client's own connections; it then belongs to
	// the caller, and an address of a unix socket is its affair.
	Transport http.RoundTripper
}

// Client speaks to one daemon. It is safe for concurrent use.
type Client struct {
	addr string // as it was given, for messages
	base url.URL
	http *http.Client
	opts Options
}

// New returns a client for addr: http://HOST:PORT, HOST:PORT or unix:PATH. It does not connect.
// ErrAddr is returned when addr is none of these.
func New(addr string, opts Options) (*Client, error) {
	c := &Client{addr: addr, opts: opts}
	socket, ok := strings.CutPrefix(addr, "unix:")
	switch {
	case ok && socket == "":
		return nil, fmt.Errorf("%w: %q: write unix:PATH", ErrAddr, addr)
	case ok:
		c.base = url.URL{Scheme: "http", Host: "localhost"}
	default:
		socket = ""
		var err error
		if c.base, err = parseAddr(addr); err != nil {
			return nil, err
		}
	}
	c.http = &http.Client{
		Transport:     opts.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if opts.Transport == nil {
		c.http.Transport = newTransport(socket)
	}
	return c, nil
}

func parseAddr(addr string) (url.URL, error) {
	full := addr
	if !strings.Contains(addr, "://") {
		full = "http://" + addr
	}
	u, err := url.Parse(full)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return url.URL{}, fmt.Errorf("%w: %q: write http://HOST:PORT or unix:PATH", ErrAddr, addr)
	}
	return url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// newTransport returns connections to a TCP address, or to a socket if one is named.
func newTransport(socket string) *http.Transport {
	d := net.Dialer{Timeout: dialTimeout}
	t := &http.Transport{DialContext: d.DialContext, MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute, DisableCompression: true}
	if socket != "" {
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", socket)
		}
	}
	return t
}

// Addr is the address as it was given to New.
func (c *Client) Addr() string { return c.addr }

// Close drops idle connections. Calls that are under way go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }
