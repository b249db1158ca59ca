package store

import (
	"encoding/hex"
	"strings"

	"github.com/anabranchdb/anabranch/crdt"
)

// layoutVersion is the version of the key space and of every value in it. DESIGN.md has the
// table of keys.
const layoutVersion = 2

// Keys of the store itself.
const (
	keyLayout      = "/a/layout/v"
	keyFingerprint = "/a/fingerprint/v"
	keyCopied      = "/a/copied/v"
	prefixRegistry = "/a/ns/"
)

func registryKey(name string) string {
	return prefixRegistry + string(crdt.EscapeName(nil, name))
}

// keyspace makes the keys of one namespace copy. Its value is "/" and the id of the copy.
type keyspace string

func (k keyspace) data(p crdt.Path) string { return string(k) + "/d/" + string(p) }

// head is the key of the head of an object, or of a set inside a map: those have a table of
// their own, so that listing objects never steps over them.
func (k keyspace) head(p crdt.Path) string {
	if p[len(p)-1] == '!' {
		return string(k) + "/h/" + string(p)
	}
	return string(k) + "/g/" + string(p)
}

func (k keyspace) index(d crdt.Dot) string { return string(k) + "/i/" + dotKey(d) }

// staged orders by path, as data does: what is staged is written once more in that order.
func (k keyspace) staged(p crdt.Path, d crdt.Dot) string {
	return string(k) + "/s/" + string(p) + dotKey(d)
}

func (k keyspace) clock(r crdt.ReplicaID) string {
	return string(k) + "/v/" + string(appendHex(make([]byte, 0, 16), uint64(r)))
}
func (k keyspace) log(commit uint64) string {
	return string(k) + "/l/" + string(appendHex(make([]byte, 0, 16), commit))
}

// logPiece is the key of a log record that holds only objects: those that one piece of a large
// change touched. It sorts directly behind the record of the commit.
func (k keyspace) logPiece(p Position) string {
	b := appendHex([]byte(k.log(p.Commit)), p.Run)
	return string(appendHex(b, p.Piece))
}

// positionOf returns the beginning of the log record with a key.
func (k keyspace) positionOf(key string) (p Position, ok bool) {
	s := key[len(k)+3:]
	if len(s) != 16 && len(s) != 48 {
		return p, false
	}
	p.Commit, ok = parseHex(s[:16])
	if len(s) == 48 && ok {
		var ok2 bool
		p.Run, ok = parseHex(s[16:32])
		p.Piece, ok2 = parseHex(s[32:])
		ok = ok && ok2 && p.Piece > 0
	}
	return p, ok
}

// deadline orders entries by their deadline.
func (k keyspace) deadline(at crdt.Deadline, d crdt.Dot) string {
	return string(appendHex([]byte(string(k)+"/e/"), uint64(at))) + dotKey(d)
}

// announced orders announcements by the replica that made them.
func (k keyspace) announced(d crdt.Dot) string { return string(k) + "/w/" + dotKey(d) }

// timed orders the entries under a place with a head by their deadline. No such place goes on with a
// digit: what is under it does not come between.
func (k keyspace) timed(place crdt.Path, at crdt.Deadline, d crdt.Dot) string {
	return string(appendHex([]byte(string(k)+"/x/"+string(place)), uint64(at))) + dotKey(d)
}

func (k keyspace) logIndex(d crdt.Dot) string { return string(k) + "/o/" + dotKey(d) }
func (k keyspace) purge(p crdt.Path) string   { return string(k) + "/p/" + string(p) }
func (k keyspace) meta() string               { return string(k) + "/m/meta" }
func (k keyspace) held() string               { return string(k) + "/m/held" }
func (k keyspace) redo() string               { return string(k) + "/m/redo" }
func (k keyspace) table(t byte) (string, string) {
	return string(k) + "/" + string(t) + "/", string(k) + "/" + string(t) + "0"
}
func (k keyspace) all() (string, string) { return string(k) + "/", string(k) + "0" }

// pathOf returns the path at the end of a key of the tables d, h, g and p.
func (k keyspace) pathOf(key string) crdt.Path { return crdt.Path(key[len(k)+3:]) }

// dotOf returns the dot at the end of a key of the tables i, s, o, e, x and w.
func (k keyspace) dotOf(key string) (crdt.Dot, bool) {
	s := key[len(k)+3:]
	if len(s) < 32 {
		return crdt.Dot{}, false
	}
	s = s[len(s)-32:]
	r, ok1 := parseHex(s[:16])
	q, ok2 := parseHex(s[16:])
	return crdt.Dot{Replica: crdt.ReplicaID(r), Seq: q}, ok1 && ok2
}

// dotKey orders as Dot.Compare does.
func dotKey(d crdt.Dot) string {
	b := appendHex(make([]byte, 0, 32), uint64(d.Replica))
	return string(appendHex(b, d.Seq))
}

func appendHex(b []byte, v uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[v>>shift&0xf])
	}
	return b
}

func parseHex(s string) (uint64, bool) {
	var b [8]byte
	if _, err := hex.Decode(b[:], []byte(s)); err != nil || strings.ToLower(s) != s {
		return 0, false
	}
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v, true
}

// prefixEnd returns the least key greater than every key that begins with prefix. Keys are
// ASCII, so the last byte can always be raised.
func prefixEnd(prefix string) string {
	return prefix[:len(prefix)-1] + string(rune(prefix[len(prefix)-1]+1))
}
