package p2p

import (
	"encoding/hex"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

// vectorMessages are what daemons say around the messages of engines, and what they derive from the cluster
// key, as it stands in testdata/vectors.txt.
func vectorMessages(t *testing.T) map[string][]byte {
	t.Helper()
	key := []byte("0123456789abcdef0123456789abcdef")
	hs := transcript{dialler: "the dialler", listener: "the listener", diallerInstance: instanceID{1}, listenerInstance: instanceID{2}}
	for i := range nonceBytes {
		hs.diallerNonce[i], hs.listenerNonce[i] = byte(i), byte(100+i)
	}
	hello := subkey(key, "hello")
	held := holdings{"default": {epoch: 3, replica: 1 << 63}, "orders": {epoch: 300, replica: 7}}
	return map[string][]byte{
		"proof of the dialler":  hs.proof(hello, roleDialler),
		"proof of the listener": hs.proof(hello, roleListener),
		"topic":                 []byte(topicName(key, "default")),
		"mdns":                  []byte(serviceName(key)),
		"hello":                 appendHello(nil, vectorAddresses(t), held),
		"holdings":              appendHoldings(nil, held),
		"data":                  appendData(nil, "orders", 300, []byte("a message")),
	}
}

func vectorAddresses(t *testing.T) []ma.Multiaddr {
	return multiaddrs(t, "/ip4/192.0.2.7/tcp/7701", "/ip6/2001:db8::1/udp/7701/quic-v1")
}

// What was said once is said still, and understood: daemons that are out there say it.
func TestVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	recorded := map[string][]byte{}
	for line := range strings.Lines(string(text)) {
		name, digits, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if recorded[name], err = hex.DecodeString(digits); err != nil {
			t.Fatal(err)
		}
	}
	now := vectorMessages(t)
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if got, want := now[name], recorded[name]; string(got) != string(want) {
			t.Errorf("%s: %x, want %x", name, got, want)
		}
	}
	if len(recorded) != len(now) {
		t.Errorf("%d vectors, want %d", len(recorded), len(now))
	}
	addrs, held, err := parseHello(recorded["hello"][1:])
	if err != nil || !slices.EqualFunc(addrs, vectorAddresses(t), ma.Multiaddr.Equal) || held["orders"].epoch != 300 || held["default"].replica != 1<<63 {
		t.Errorf("hello: %v, %v, %v", addrs, held, err)
	}
	if again, err := parseHoldings(recorded["holdings"][1:]); err != nil || !maps.Equal(again, held) {
		t.Errorf("holdings: %v, %v", again, err)
	}
	if name, epoch, msg, err := parseData(recorded["data"][1:]); err != nil || name != "orders" || epoch != 300 || string(msg) != "a message" {
		t.Errorf("data: %s, %d, %q, %v", name, epoch, msg, err)
	}
}
