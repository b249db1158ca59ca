package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// Markers of Pebble: MARKER.NUMBER.VALUE.
const (
	manifestMarker = "marker.manifest."
	formatMarker   = "marker.format-version."
)

// checkFiles finds what Pebble takes for something else than damage: where the marker of the manifest is
// missing it begins a new database, and where the last log is broken it takes what was written behind that
// for never written. It returns ErrDamaged, and ErrLayout for the files of a later Pebble; fresh is true
// where there is no database yet.
func (b *PebbleBackend) checkFiles() (fresh bool, err error) {
	names, err := b.fs.List(b.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	marker, table, log := false, false, uint32(0)
	for _, name := range names {
		marker = marker || strings.HasPrefix(name, manifestMarker)
		table = table || strings.HasSuffix(name, ".sst")
		number, _, _ := strings.Cut(name, ".")
		if n, err := strconv.ParseUint(number, 10, 32); err == nil && isLog(name) {
			log = max(log, uint32(n))
		}
		version := name[strings.LastIndexByte(name, '.')+1:]
		if v, err := strconv.ParseUint(version, 10, 32); err == nil && strings.HasPrefix(name, formatMarker) && v > uint64(pebble.FormatNewest) {
			return false, fmt.Errorf("%w: %s has files of format %d, this version reads up to %d: use a newer anabranch", ErrLayout, b.dir, v, pebble.FormatNewest)
		}
	}
	switch {
	case !marker && (log > 0 || table):
		return false, fmt.Errorf("%w: %s has data and no file %s*", ErrDamaged, b.dir, manifestMarker)
	case log == 0:
		return !marker, nil
	}
	return false, b.checkLog(log)
}

// The log is cut into blocks, and these into chunks: a checksum of what follows the size, 4 bytes; the size
// of the content, 2; the kind, 1; the number of the log, 4; up to where the log was synced when this was
// written, 8; content. No chunk crosses the end of a block; where no header fits, zeros are.
const (
	logBlockBytes  = 32 << 10
	logHeaderBytes = 19
	firstLogChunk  = 9 // the first kind of chunk with that header
	lastLogChunk   = 12
)

// logChunk reads the chunk at the beginning of b.
func logChunk(b []byte, log uint32) (size int, synced uint64, ok bool) {
	if len(b) < logHeaderBytes || b[6] < firstLogChunk || b[6] > lastLogChunk || binary.LittleEndian.Uint32(b[7:]) != log {
		return 0, 0, false
	}
	size = logHeaderBytes + int(binary.LittleEndian.Uint16(b[4:]))
	if size > len(b) {
		return 0, 0, false
	}
	sum := crc32.Checksum(b[6:size], castagnoli)
	return size, binary.LittleEndian.Uint64(b[11:]), binary.LittleEndian.Uint32(b) == (sum>>15|sum<<17)+0xa282ead8
}

// syncsBehind is how many syncs a broken chunk must have been followed by to be one that was synced. What a
// chunk tells of the syncs grows with each that ends. The first that is seen to end behind the broken chunk may
// have begun before it was written, the second began after that: it took the chunk along.
const syncsBehind = 2

// checkLog reads the last log. Pebble ends it at the first broken chunk, unless a chunk in a later block tells
// that this one had been synced: that is where a write was torn, or the end of what was there before in a
// file that is used again. But chunks in the same block tell the same, which Pebble does not look at; and how
// far the log was synced is told too low, for Pebble does not count the end of a block that was full. So the
// syncs are counted as well that ended behind the broken chunk.
func (b *PebbleBackend) checkLog(log uint32) error {
	name := fmt.Sprintf("%06d.log", log)
	f, err := b.fs.Open(b.fs.PathJoin(b.dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	var (
		block  = make([]byte, logBlockBytes)
		broken = int64(-1) // where the first broken chunk is
		told   uint64      // what the last chunk behind it says is synced
		syncs  = -1        // how often that grew
	)
	for from := int64(0); ; from += logBlockBytes {
		n, err := io.ReadFull(f, block)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		for at := 0; at+logHeaderBytes <= n; {
			size, synced, ok := logChunk(block[at:n], log)
			if !ok {
				if broken < 0 {
					broken = from + int64(at)
				}
				if broken < from {
					break // a block begins with a chunk: the rest of a file that was used before is not searched byte by byte
				}
				at++
				continue
			}
			at += size
			if broken < 0 {
				continue
			}
			if syncs < 0 || synced > told {
				told, syncs = synced, syncs+1
			}
			if synced > uint64(broken) || syncs == syncsBehind {
				return fmt.Errorf("%w: %s is broken at byte %d", ErrDamaged, name, broken)
			}
		}
	}
}
