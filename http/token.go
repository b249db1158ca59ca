package http

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
)

// contextHeader carries the clock of a namespace to a client and back.
const contextHeader = "Anabranch-Context"

// A token is, in base64url without padding:
//
//	version (1) | binding to the namespace (8) | { replica (8, ascending) seq (uvarint) } | CRC-32C (4)
//
// Equal clocks make equal tokens, and no other spelling of a token is taken. The checksum and
// the binding guard against accidents; a token is no secret and proves nothing.
const (
	tokenVersion  = 1
	tokenHead     = 1 + 8
	tokenChecksum = 4
	maxTokenBytes = 16 << 10 // of the header's value
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// binding is what ties tokens and cursors to what they were made for: FNV-1a over the parts, each
// behind its length. Every reply has a token, so it is written out here, without an allocation.
func binding(parts ...string) uint64 {
	const prime = 1099511628211
	h := uint64(14695981039346656037)
	for _, p := range parts {
		for shift := 24; shift >= 0; shift -= 8 {
			h = (h ^ uint64(byte(len(p)>>shift))) * prime
		}
		for i := range len(p) {
			h = (h ^ uint64(p[i])) * prime
		}
	}
	return h
}

// seal appends the checksum of b to b and returns the whole in base64url.
func seal(b []byte) string {
	var room [512]byte // on the stack, for tokens of up to some 30 replicas and for most cursors
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return string(base64.RawURLEncoding.AppendEncode(room[:0], b))
}

// unseal is the inverse of seal. It reports false for what seal did not write.
func unseal(s string) ([]byte, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < tokenChecksum || base64.RawURLEncoding.EncodedLen(len(b)) != len(s) {
		return nil, false
	}
	body, sum := b[:len(b)-tokenChecksum], b[len(b)-tokenChecksum:]
	return body, binary.BigEndian.Uint32(sum) == crc32.Checksum(body, castagnoli)
}

// encodeToken returns the token of a clock of the namespace.
func encodeToken(ns string, clock crdt.VersionVector) string {
	var few [16]crdt.ReplicaID // on the stack, as those of most clocks
	replicas := few[:0]
	for r := range clock {
		replicas = append(replicas, r)
	}
	slices.Sort(replicas)
	b := append(make([]byte, 0, tokenHead+len(clock)*(8+3)+tokenChecksum), tokenVersion)
	b = binary.BigEndian.AppendUint64(b, binding("context", ns))
	for _, r := range replicas {
		b = binary.BigEndian.AppendUint64(b, uint64(r))
		b = binary.AppendUvarint(b, clock[r])
	}
	return seal(b)
}

// decodeToken is the inverse of encodeToken: what it returns encodes to the same token. Every
// other input is a problem of the kind bad-context. The clock is never nil.
func decodeToken(ns, token string) (crdt.VersionVector, error) {
	if len(token) > maxTokenBytes {
		return nil, kindBadContext.with("the token has more than %d bytes", maxTokenBytes)
	}
	b, ok := unseal(token)
	if !ok || len(b) < tokenHead {
		return nil, kindBadContext.with("the token is malformed")
	}
	if b[0] != tokenVersion {
		return nil, kindBadContext.with("the token has version %d; this daemon reads version %d", b[0], tokenVersion)
	}
	if binary.BigEndian.Uint64(b[1:]) != binding("context", ns) {
		return nil, kindBadContext.with("the token belongs to another namespace than %q", ns)
	}
	clock, ok := decodeComponents(b[tokenHead:])
	if !ok {
		return nil, kindBadContext.with("the token is malformed")
	}
	return clock, nil
}

func decodeComponents(b []byte) (crdt.VersionVector, bool) {
	clock := make(crdt.VersionVector, len(b)/9)
	var last crdt.ReplicaID
	for len(b) > 0 {
		if len(b) < 9 {
			return nil, false
		}
		r := crdt.ReplicaID(binary.BigEndian.Uint64(b))
		seq, n := binary.Uvarint(b[8:])
		if r <= last || n <= 0 || seq == 0 || n > 1 && b[8+n-1] == 0 {
			return nil, false
		}
		clock[r], last = seq, r
		b = b[8+n:]
	}
	return clock, true
}
