package p2p

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multistream"
)

// The handshake, on one stream of a fresh connection. D dialled, L listened; every message has a
// fixed length.
//
//	D → L   version (1 byte), nonce of D (32), instance of D (8)
//	L → D   nonce of L (32), instance of L (8)
//	D → L   proof of D (32)
//	L → D   verdict (1), proof of L (32)     the proof is zero when the verdict is "refused"
//
//	proof = HMAC-SHA-256(key, role ‖ 0 ‖ both peer ids, each with its length ‖ version ‖ both nonces ‖ both instances)
//
// The listener says nothing that depends on the cluster key before the dialler has proven it. A
// proof is bound to the role, to both transport identities and to fresh nonces of both sides, so it
// is worth nothing on another connection: not to a man in the middle (his peer id is not the one
// that was proven to), not as a reflection, not as a replay.
const (
	helloVersion = 1
	nonceBytes   = 32
	proofBytes   = sha256.Size

	roleDialler  = "dialler"
	roleListener = "listener"

	verdictRefused  = 0
	verdictAdmitted = 1
)

// instanceID tells two runs of one peer apart. It is drawn at every start.
type instanceID [8]byte

// errForeign is returned when the other side is not a member: it failed to prove the cluster key,
// refused our proof, or does not speak the handshake. Anything else that ends a handshake is a
// matter of the network.
var errForeign = errors.New("p2p: peer is not of this cluster")

// isForeign reports whether a handshake ended because the other side is not a member.
func isForeign(err error) bool { return errors.Is(err, errForeign) || isUnsupported(err) }

// isUnsupported reports whether the other side speaks no version of the handshake that was offered.
func isUnsupported(err error) bool {
	var unsupported multistream.ErrNotSupported[protocol.ID]
	return errors.As(err, &unsupported)
}

// subkey derives an independent key for one purpose from the cluster key.
func subkey(clusterKey []byte, purpose string) []byte {
	k, err := hkdf.Key(sha256.New, clusterKey, nil, "anabranch/1/"+purpose, sha256.Size)
	if err != nil {
		panic(err) // only for lengths that HKDF cannot make
	}
	return k
}

// transcript is what both proofs of one handshake cover.
type transcript struct {
	dialler, listener                 peer.ID
	diallerNonce, listenerNonce       [nonceBytes]byte
	diallerInstance, listenerInstance instanceID
}

func (t *transcript) proof(key []byte, role string) []byte {
	h := hmac.New(sha256.New, key)
	io.WriteString(h, role+"\x00")
	for _, id := range []peer.ID{t.dialler, t.listener} {
		h.Write(binary.BigEndian.AppendUint16(nil, uint16(len(id))))
		io.WriteString(h, string(id))
	}
	h.Write([]byte{helloVersion})
	h.Write(t.diallerNonce[:])
	h.Write(t.listenerNonce[:])
	h.Write(t.diallerInstance[:])
	h.Write(t.listenerInstance[:])
	return h.Sum(nil)
}

// helloDial runs the dialler's side and returns the listener's instance once both sides have
// proven the key.
func helloDial(rw io.ReadWriter, key []byte, self, remote peer.ID, own instanceID) (instanceID, error) {
	t := transcript{dialler: self, listener: remote, diallerInstance: own}
	rand.Read(t.diallerNonce[:])
	first := append([]byte{helloVersion}, t.diallerNonce[:]...)
	if _, err := rw.Write(append(first, own[:]...)); err != nil {
		return instanceID{}, err
	}
	if err := readInto(rw, t.listenerNonce[:], t.listenerInstance[:]); err != nil {
		return instanceID{}, err
	}
	if t.listenerNonce == t.diallerNonce {
		return instanceID{}, fmt.Errorf("%w: it echoes", errForeign)
	}
	if _, err := rw.Write(t.proof(key, roleDialler)); err != nil {
		return instanceID{}, err
	}
	var verdict [1]byte
	var theirs [proofBytes]byte
	if err := readInto(rw, verdict[:], theirs[:]); err != nil {
		return instanceID{}, err
	}
	if verdict[0] != verdictAdmitted {
		return instanceID{}, fmt.Errorf("%w: it refused us", errForeign)
	}
	if !hmac.Equal(theirs[:], t.proof(key, roleListener)) {
		return instanceID{}, fmt.Errorf("%w: wrong proof", errForeign)
	}
	return t.listenerInstance, nil
}

// helloListen runs the listener's side and returns the dialler's instance once the dialler has
// proven the key. The refusal has been written when it returns errForeign.
func helloListen(rw io.ReadWriter, key []byte, self, remote peer.ID, own instanceID) (instanceID, error) {
	t := transcript{dialler: remote, listener: self, listenerInstance: own}
	var version [1]byte
	if err := readInto(rw, version[:]); err != nil {
		return instanceID{}, err
	}
	if version[0] != helloVersion {
		return instanceID{}, fmt.Errorf("%w: handshake version %d", errForeign, version[0])
	}
	if err := readInto(rw, t.diallerNonce[:], t.diallerInstance[:]); err != nil {
		return instanceID{}, err
	}
	rand.Read(t.listenerNonce[:])
	if _, err := rw.Write(append(t.listenerNonce[:], own[:]...)); err != nil {
		return instanceID{}, err
	}
	var theirs [proofBytes]byte
	if err := readInto(rw, theirs[:]); err != nil {
		return instanceID{}, err
	}
	answer := make([]byte, 1+proofBytes)
	if !hmac.Equal(theirs[:], t.proof(key, roleDialler)) {
		if _, err := rw.Write(answer); err != nil {
			return instanceID{}, err
		}
		return instanceID{}, fmt.Errorf("%w: wrong proof", errForeign)
	}
	answer[0] = verdictAdmitted
	copy(answer[1:], t.proof(key, roleListener))
	if _, err := rw.Write(answer); err != nil {
		return instanceID{}, err
	}
	return t.diallerInstance, nil
}

func readInto(r io.Reader, parts ...[]byte) error {
	for _, p := range parts {
		if _, err := io.ReadFull(r, p); err != nil {
			return err
		}
	}
	return nil
}
