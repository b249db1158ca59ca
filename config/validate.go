package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	ma "github.com/multiformats/go-multiaddr"
)

// Validate returns all that is wrong with c, one problem a line, or nil.
func (c Config) Validate() error { return errors.Join(c.problems()...) }

func (c Config) problems() []error {
	var problems []error
	check := func(name string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
		}
	}
	if c.DataDir == "" {
		check("data-dir", errors.New("there is no home directory to put it in; name one with --data-dir"))
	}
	check("http", checkHTTP(c.HTTP))
	for _, h := range c.HTTPHosts {
		check("http-host", checkHost(h))
	}
	if len(c.Listen) == 0 {
		check("listen", errors.New("there must be an address, for example /ip4/0.0.0.0/tcp/7701"))
	}
	for _, a := range c.Listen {
		check("listen", checkAddress(a))
	}
	for _, a := range c.Announce {
		check("announce", checkAddress(a))
	}
	for _, a := range c.Peers {
		check("peer", checkPeer(a))
	}
	if c.ClusterKey != "" && c.ClusterKeyFile != "" {
		check("cluster-key-file", fmt.Errorf("%s is set as well; keep one of them", envClusterKey))
	}
	for _, ns := range c.Namespaces {
		check("namespace", checkNamespace(ns))
	}
	for _, ns := range c.AcceptLoss {
		check("accept-loss", checkNamespace(ns))
	}
	check("log-level", oneOf(c.LogLevel, "debug", "info", "warn", "error"))
	check("log-format", oneOf(c.LogFormat, "text", "json"))
	return problems
}

func checkHTTP(addr string) error {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		if path == "" {
			return errors.New("a unix socket needs a path: unix:/run/anabranch/http.sock")
		}
		return nil
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT, as 127.0.0.1:7700, nor unix:PATH", addr)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q is not a port from 0 to 65535", port)
	}
	return nil
}

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$`)

func checkHost(host string) error {
	if _, err := netip.ParseAddr(host); err == nil || hostPattern.MatchString(host) {
		return nil
	}
	return fmt.Errorf("%q is not the name of a host; leave out scheme and port", host)
}

// checkAddress takes what can be listened on, and told to others: they dial no names that a peer
// tells them.
func checkAddress(addr string) error {
	protocols, err := parse(addr)
	if err != nil {
		return err
	}
	if !slices.Contains([]int{ma.P_IP4, ma.P_IP6}, protocols[0]) || !transport(protocols[1:]) {
		return fmt.Errorf("%q: write /ip4/ADDRESS/tcp/PORT or /ip4/ADDRESS/udp/PORT/quic-v1, or the same with ip6", addr)
	}
	return nil
}

var dialable = []int{ma.P_IP4, ma.P_IP6, ma.P_DNS, ma.P_DNS4, ma.P_DNS6}

func checkPeer(addr string) error {
	protocols, err := parse(addr)
	if err != nil {
		return err
	}
	if last := len(protocols) - 1; protocols[last] == ma.P_P2P {
		protocols = protocols[:last]
	}
	if len(protocols) == 0 || !slices.Contains(dialable, protocols[0]) || !transport(protocols[1:]) {
		return fmt.Errorf("%q: write /ip4/ADDRESS/tcp/PORT or /ip4/ADDRESS/udp/PORT/quic-v1, or the same with ip6, dns4 or dns6; /p2p/PEER-ID may follow", addr)
	}
	return nil
}

// parse returns the protocols of addr, at least one.
func parse(addr string) ([]int, error) {
	m, err := ma.NewMultiaddr(addr)
	if err != nil {
		return nil, fmt.Errorf("%q is not a multiaddr: %w", addr, err)
	}
	var codes []int
	for _, p := range m.Protocols() {
		codes = append(codes, p.Code)
	}
	if len(codes) == 0 {
		return nil, fmt.Errorf("%q is not a multiaddr", addr)
	}
	return codes, nil
}

// transport reports whether the protocols after the host are TCP or QUIC.
func transport(protocols []int) bool {
	return slices.Equal(protocols, []int{ma.P_TCP}) || slices.Equal(protocols, []int{ma.P_UDP, ma.P_QUIC_V1})
}

var namespacePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

func checkNamespace(name string) error {
	if namespacePattern.MatchString(name) {
		return nil
	}
	return fmt.Errorf("%q: a name has 1 to 63 of a-z 0-9 . _ - and begins with a letter or digit", name)
}

func oneOf(value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%q is not one of %s", value, strings.Join(allowed, ", "))
}
