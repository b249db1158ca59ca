package http

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

const (
	keyHeader    = "Idempotency-Key"
	replayHeader = "Idempotency-Replayed"
	// keepReplies is how long a reply is kept, if there is room.
	keepReplies = 24 * time.Hour
	maxKeyBytes = 255
)

// Limits of a map that is kept as the reply to a PATCH; a larger one is read again for each replay. The
// map is read on the store's committer, for which everybody waits.
const (
	maxKeptEntries = 1000
	maxKeptBytes   = 64 << 10
)

// once is what a request with an idempotency key needs to be done once.
type once struct {
	key   string // of the side record
	print [sha256.Size]byte
	// refused: the transaction ran, and returned an error.
	refused bool
	// unkept: the body is too large to be kept, and is made again for a replay.
	unkept bool
}

// parseKey reads the header: a key as it stands, or as a string of RFC 9651, which is the same key.
func parseKey(values []string) (*once, error) {
	key, ok := values[0], len(values) == 1
	if quotes, isString := strings.CutPrefix(key, `"`); isString && ok {
		if key, ok = strings.CutSuffix(quotes, `"`); ok {
			key, ok = unescapeString(key)
		}
	}
	visible := func(c rune) bool { return '!' <= c && c <= '~' }
	if !ok || key == "" || len(key) > maxKeyBytes || strings.ContainsFunc(key, func(c rune) bool { return !visible(c) }) {
		return nil, badRequest("the header %s is 1 to %d visible ASCII characters, with or without double quotes around them", keyHeader, maxKeyBytes)
	}
	return &once{key: "i:" + key}, nil
}

// unescapeString undoes the escapes in a string of RFC 9651, which are \" and \\.
func unescapeString(s string) (string, bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '"' {
			return "", false
		}
		if s[i] == '\\' {
			if i++; i == len(s) || s[i] != '"' && s[i] != '\\' {
				return "", false
			}
		}
		b = append(b, s[i])
	}
	return string(b), true
}

// running are the requests with idempotency keys that are under way, by namespace and key. There are
// no more than connections.
type running struct {
	mu   sync.Mutex
	keys map[string]bool
}

// claim returns a function that ends the claim, or idempotency-in-progress.
func (r *running) claim(ns, key string) (release func(), err error) {
	name := ns + "/" + key
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys[name] {
		return nil, kindInProgress.with("the request with this %s is still running", keyHeader).setHeader("Retry-After", "1")
	}
	if r.keys == nil {
		r.keys = map[string]bool{}
	}
	r.keys[name] = true
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.keys, name)
	}, nil
}

// fingerprint is of what the request asks for: method, path, query and body. The headers that may change
// when it is sent again do not count, nor does the number of acks.
func (r *request) fingerprint() [sha256.Size]byte {
	query := ""
	for _, name := range r.route.query {
		if v, ok := r.param(name); ok {
			query += name + "=" + v + "&"
		}
	}
	h := sha256.New()
	for _, part := range []string{r.http.Method, r.http.URL.Path, query, r.media} {
		_, _ = fmt.Fprintf(h, "%d:%s", len(part), part) // a hash never fails
	}
	_, _ = h.Write(r.body)
	return [sha256.Size]byte(h.Sum(nil))
}

// runOnce handles a request with an idempotency key: it answers with the reply that is kept, or runs the
// route. The transaction of the route keeps its reply in its own commit.
func (r *request) runOnce() (*reply, error) {
	ns, err := r.namespace()
	if err != nil {
		return nil, err
	}
	release, err := r.handler.running.claim(ns.Name(), r.once.key)
	if err != nil {
		return nil, err
	}
	defer release()
	r.once.print = r.fingerprint()
	rec, ok, err := ns.Side(r.http.Context(), r.once.key)
	if err != nil {
		return nil, err
	}
	if ok {
		return r.replay(ns, rec)
	}
	rep, err := r.route.handle(r)
	if err != nil && r.once.refused {
		// Nothing happened, so that this need not be the same commit. What went wrong on our side may come
		// right when the client tries again.
		if p := problemOf(err); p.Status < http.StatusInternalServerError {
			return nil, errors.Join(r.keepProblem(ns, p), err)
		}
	}
	return rep, err
}

// keptReply is a reply as it is kept.
type keptReply struct {
	print   [sha256.Size]byte
	replica crdt.ReplicaID // that made the commit: acks are counted for it
	status  int
	problem bool
	unkept  bool // the body is not there
	etag    string
	body    []byte // JSON; empty for none
}

// keptVersion is the first byte of a kept reply.
const keptVersion = 1

func (k *keptReply) append(b []byte) []byte {
	b = append(append(b, keptVersion), k.print[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(k.replica))
	b = binary.AppendUvarint(b, uint64(k.status))
	b = append(b, byte(one(k.problem)|one(k.unkept)<<1))
	b = binary.AppendUvarint(b, uint64(len(k.etag)))
	return append(append(b, k.etag...), k.body...)
}

var errKeptReply = errors.New("http: a kept reply is malformed")

// keptPrint returns the fingerprint of what is kept under a key, which is the same for all versions.
func keptPrint(b []byte) (print [sha256.Size]byte, err error) {
	if len(b) <= len(print) {
		return print, errKeptReply
	}
	return [sha256.Size]byte(b[1:]), nil
}

func decodeKeptReply(b []byte) (k keptReply, err error) {
	if k.print, err = keptPrint(b); err != nil || b[0] != keptVersion || len(b) < 1+len(k.print)+8 {
		return k, errKeptReply
	}
	b = b[1+len(k.print):]
	k.replica = crdt.ReplicaID(binary.BigEndian.Uint64(b))
	status, n := binary.Uvarint(b[8:])
	if b = b[8+max(n, 0):]; n <= 0 || status > 999 || len(b) == 0 || b[0] > 3 {
		return k, errKeptReply
	}
	k.status, k.problem, k.unkept = int(status), b[0]&1 != 0, b[0]&2 != 0
	size, n := binary.Uvarint(b[1:])
	if b = b[1+max(n, 0):]; n <= 0 || size > uint64(len(b)) {
		return k, errKeptReply
	}
	k.etag, k.body = string(b[:size]), b[size:]
	return k, nil
}

// keep writes the reply into the transaction that it tells of, and returns the body as it was kept.
func (r *request) keep(tx Tx, body any) (any, error) {
	k := keptReply{print: r.once.print, replica: r.ns.Replica(), status: r.route.status, unkept: r.once.unkept, etag: r.etag}
	if body != nil {
		b, err := encodeJSON(body)
		if err != nil {
			return nil, err
		}
		k.body = bytes.TrimSuffix(b, []byte("\n"))
		body = jsonText(k.body)
	}
	return body, tx.PutSide(r.once.key, k.append(nil), keepReplies)
}

// keepProblem keeps what the transaction answered when it changed nothing.
func (r *request) keepProblem(ns Namespace, p *Problem) error {
	k := keptReply{print: r.once.print, replica: ns.Replica(), status: p.Status, problem: true, body: p.appendJSON(nil)}
	_, err := ns.Commit(r.http.Context(), func(tx Tx) error { return tx.PutSide(r.once.key, k.append(nil), keepReplies) })
	return err
}

// jsonText is a body that is JSON already.
type jsonText []byte

func (t jsonText) appendJSON(b []byte) []byte { return append(b, t...) }

// replay answers with the reply that was kept. It waits for acks, of the commit that was made then.
func (r *request) replay(ns Namespace, rec store.SideRecord) (*reply, error) {
	print, err := keptPrint(rec.Value)
	if err != nil {
		return nil, err
	}
	if print != r.once.print {
		return nil, kindKeyReused.with("this %s was used for another request: another method, path or body", keyHeader)
	}
	k, err := decodeKeptReply(rec.Value)
	if err != nil {
		return nil, err
	}
	rep := &reply{status: k.status, etag: k.etag, replayed: true}
	if len(k.body) > 0 {
		rep.body = jsonText(k.body)
	}
	if k.problem {
		rep.media = mediaTypeProblem
		return rep, nil
	}
	rep.token = encodeToken(ns.Name(), rec.Clock)
	if err := r.acknowledge(rep, ns, k.replica, rec.Clock); err != nil {
		return nil, err
	}
	if k.unkept {
		return r.answerMap(rep, r.name("key"))
	}
	return rep, nil
}

// keptMap returns the map as the transaction leaves it, if the reply is to be kept and it is not too
// large for that; else nil.
func (r *request) keptMap(tx Tx, key string) (any, error) {
	if r.once == nil {
		return nil, nil
	}
	base := crdt.Object(crdt.Map, key)
	h, err := tx.Head(base)
	if r.once.unkept = h.Entries > maxKeptEntries; err != nil || r.once.unkept {
		return nil, err
	}
	m, err := readMap(tx, base, page{})
	if r.once.unkept = len(m.Value) > maxKeptBytes; err != nil || r.once.unkept {
		return nil, err
	}
	m.Key = key
	// What the store will purge at the end of the commit changes the ETag once more.
	stays := h.Visible > 0
	for it, err := range tx.Scan(base, "") {
		if err != nil {
			return nil, err
		}
		if it.Path.LeafType() == crdt.Counter && !crdt.Settle(it.Entries, it.Path, crdt.Dot{Replica: r.ns.Replica()}, 0).Empty() {
			stays = false
		}
	}
	if stays {
		r.etag = quoteTag(opaqueTag(r.ns.Replica(), h))
	}
	return m, nil
}
