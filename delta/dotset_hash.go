package delta

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math/bits"
	"sync"

	"github.com/anabranchdb/anabranch/crdt"
)

// HashRange returns a digest of which seqs of r from first to last, both included, are in the
// set: the first 16 bytes of SHA-256 over its 64-bit words that are not zero. Word i holds the
// seqs from 64·i. A word is written as (2·i, word); a longest run of n ≥ 1 full words as
// (2·i+1, n); all numbers are little-endian with 64 bits. Equal sets have equal digests however
// they are held.
func (s *DotSet) HashRange(r crdt.ReplicaID, first, last uint64) [16]byte {
	h := rangeHashes.Get().(*rangeHash)
	defer rangeHashes.Put(h)
	h.sum.Reset()
	for c, lo := range s.chunksIn(r, first, last) {
		_, hi := clip(c.key, first, last)
		h.chunk(c, lo, hi)
	}
	h.flushRun()
	h.flush()
	return [16]byte(h.sum.Sum(h.buf[:0]))
}

const (
	chunkWords = chunkSeqs / 64
	hashBlock  = 4 << 10
)

// rangeHash is the scratch of HashRange.
type rangeHash struct {
	sum   hash.Hash
	buf   []byte
	run   uint64 // full words so far
	at    uint64 // index of the first of them
	words [chunkWords]uint64
}

var rangeHashes = sync.Pool{New: func() any {
	return &rangeHash{sum: sha256.New(), buf: make([]byte, 0, hashBlock+16)}
}}

// chunk hashes the part of c from lo to hi, relative to c.
func (h *rangeHash) chunk(c chunk, lo, hi uint64) {
	if n := c.bits.GetCardinality(); n < chunkWords {
		h.sparse(c, lo, hi)
		return
	}
	words := h.words[:]
	clear(words)
	c.bits.WriteDenseTo(words)
	from, to := lo/64, hi/64
	words[from] &= ^uint64(0) << (lo % 64)
	words[to] &= ^uint64(0) >> (63 - hi%64)
	for i := from; i <= to; i++ {
		if w := words[i]; w != 0 {
			h.word(c.key*chunkWords+i, w)
		}
	}
}

// sparse does what chunk does without touching the empty words.
func (h *rangeHash) sparse(c chunk, lo, hi uint64) {
	var word, at uint64
	it := c.bits.Iterator()
	for it.AdvanceIfNeeded(uint32(lo)); it.HasNext(); {
		s := uint64(it.Next())
		if s > hi {
			break
		}
		if s/64 != at && word != 0 {
			h.word(c.key*chunkWords+at, word)
			word = 0
		}
		at = s / 64
		word |= 1 << (s % 64)
	}
	if word != 0 {
		h.word(c.key*chunkWords+at, word)
	}
}

func (h *rangeHash) word(i, w uint64) {
	if bits.OnesCount64(w) == 64 {
		if h.run > 0 && h.at+h.run == i {
			h.run++
			return
		}
		h.flushRun()
		h.at, h.run = i, 1
		return
	}
	h.flushRun()
	h.pair(2*i, w)
}

func (h *rangeHash) flushRun() {
	if h.run > 0 {
		h.pair(2*h.at+1, h.run)
		h.run = 0
	}
}

func (h *rangeHash) pair(a, b uint64) {
	h.buf = binary.LittleEndian.AppendUint64(h.buf, a)
	h.buf = binary.LittleEndian.AppendUint64(h.buf, b)
	if len(h.buf) >= hashBlock {
		h.flush()
	}
}

func (h *rangeHash) flush() {
	h.sum.Write(h.buf)
	h.buf = h.buf[:0]
}
