package sync

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/delta"
)

const (
	hashBytes      = 16 // of a whole clock: must not collide
	shortHashBytes = 8  // of a part: a collision shows in the digest

	// A clock is compared part by part: the replicas fall into buckets by their first byte.
	buckets = 256
)

func bucketOf(r crdt.ReplicaID) int { return int(r >> 56) }

// hashClock returns a hash of the components of v.
func hashClock(v crdt.VersionVector) []byte {
	h := sha256.New()
	for _, r := range v.Replicas() {
		hashNumbers(h, uint64(r), v[r])
	}
	return h.Sum(nil)[:hashBytes]
}

// hashRuns returns a hash of runs.
func hashRuns(runs delta.Runs) []byte {
	h := sha256.New()
	for _, r := range sortedRuns(runs) {
		hashNumbers(h, uint64(r), runs[r].First, runs[r].Nonce)
	}
	return h.Sum(nil)[:hashBytes]
}

func sortedRuns(runs delta.Runs) []crdt.ReplicaID {
	ids := make([]crdt.ReplicaID, 0, len(runs))
	for r := range runs {
		ids = append(ids, r)
	}
	slices.Sort(ids)
	return ids
}

func hashNumbers(h hash.Hash, ns ...uint64) {
	var b [8]byte
	for _, n := range ns {
		binary.LittleEndian.PutUint64(b[:], n)
		h.Write(b[:])
	}
}

// hashBuckets returns one short hash per bucket over the components and runs in it.
func hashBuckets(v crdt.VersionVector, runs delta.Runs) []byte {
	var hs [buckets]hash.Hash
	for _, r := range v.Replicas() {
		i := bucketOf(r)
		if hs[i] == nil {
			hs[i] = sha256.New()
		}
		hashNumbers(hs[i], uint64(r), v[r], runs[r].First, runs[r].Nonce)
	}
	out := make([]byte, buckets*shortHashBytes)
	for i, h := range hs {
		if h != nil {
			copy(out[i*shortHashBytes:], h.Sum(nil)[:shortHashBytes])
		}
	}
	return out
}

// differing returns the mask of the buckets in which two lists of hashes differ.
func differing(a, b []byte) []byte {
	mask := make([]byte, buckets/8)
	for i := range buckets {
		from, to := i*shortHashBytes, (i+1)*shortHashBytes
		if !bytes.Equal(a[from:to], b[from:to]) {
			mask[i/8] |= 1 << (i % 8)
		}
	}
	return mask
}

func inMask(mask []byte, r crdt.ReplicaID) bool {
	i := bucketOf(r)
	return mask[i/8]&(1<<(i%8)) != 0
}
