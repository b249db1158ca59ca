package delta

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/anabranchdb/anabranch/crdt"
)

// Digest is an additive hash of a set of entries: the sum, as two little-endian 64-bit numbers
// that wrap around, of the first 16 bytes of SHA-256 over AppendEntry of each. Equal sets have
// equal digests in whatever order they came about. It finds bugs and bad disks; a member that
// means harm can make two sets collide. The zero value is the digest of the empty set.
type Digest [16]byte

// Add puts e into the set.
func (d *Digest) Add(e crdt.Entry) { *d = d.Plus(digestOf(e)) }

// Remove takes e out of the set.
func (d *Digest) Remove(e crdt.Entry) { *d = d.Sub(digestOf(e)) }

// Plus returns the digest of the union of two disjoint sets.
func (d Digest) Plus(o Digest) Digest {
	binary.LittleEndian.PutUint64(d[:8], binary.LittleEndian.Uint64(d[:8])+binary.LittleEndian.Uint64(o[:8]))
	binary.LittleEndian.PutUint64(d[8:], binary.LittleEndian.Uint64(d[8:])+binary.LittleEndian.Uint64(o[8:]))
	return d
}

// Sub returns the digest of the set without those that o is the digest of.
func (d Digest) Sub(o Digest) Digest {
	binary.LittleEndian.PutUint64(d[:8], binary.LittleEndian.Uint64(d[:8])-binary.LittleEndian.Uint64(o[:8]))
	binary.LittleEndian.PutUint64(d[8:], binary.LittleEndian.Uint64(d[8:])-binary.LittleEndian.Uint64(o[8:]))
	return d
}

// String returns the digest as 32 lower-case hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

func digestOf(e crdt.Entry) Digest {
	w := appendTo(nil)
	w.buf = w.scratch[:0]
	w.entry(&e, &entryContext{})
	sum := sha256.Sum256(w.buf)
	if cap(w.buf) <= maxScratch {
		w.scratch = w.buf
	}
	w.done()
	return Digest(sum[:16])
}
