package sync

import (
	"fmt"
	"math"

	"github.com/anabranchdb/anabranch/crdt"
)

// RightsAsk asks a replica to give rights to a bounded counter. Who asks is not in it: the asked
// side knows whom it talks to.
type RightsAsk struct {
	Key    string
	Amount int64 // at least 1
}

// RightsGrant answers a RightsAsk.
type RightsGrant struct {
	Amount int64    // from 0 to what was asked for
	At     crdt.Dot // where it is in the history of who gave it; the zero Dot if Amount is 0
}

// Encode returns the ask as a message.
func (a RightsAsk) Encode() []byte {
	m := message{kind: kindRightsAsk, text: []byte(a.Key), number: uint64(a.Amount)}
	return m.encode()
}

// DecodeRightsAsk returns ErrMalformed for what is no ask of a possible key for at least 1, and
// ErrVersion.
func DecodeRightsAsk(data []byte) (RightsAsk, error) {
	m, err := decodeOf(kindRightsAsk, data)
	if err != nil {
		return RightsAsk{}, err
	}
	a := RightsAsk{Key: string(m.text), Amount: int64(m.number)}
	if err := crdt.CheckName(a.Key); err != nil {
		return RightsAsk{}, malformed(err)
	}
	if m.number < 1 || m.number > math.MaxInt64 {
		return RightsAsk{}, fmt.Errorf("%w: rights to %d", ErrMalformed, m.number)
	}
	return a, nil
}

// Encode returns the grant as a message.
func (g RightsGrant) Encode() []byte {
	m := message{kind: kindRightsGrant, number: uint64(g.Amount)}
	if g.Amount > 0 {
		m.clock = []component{{Replica: g.At.Replica, Seq: g.At.Seq}}
	}
	return m.encode()
}

// DecodeRightsGrant reads the answer of a replica to an ask. It returns ErrMalformed for what that
// replica cannot say: more than was asked for, or a grant in the history of another one. Another
// error is ErrVersion.
func DecodeRightsGrant(data []byte, ask RightsAsk, of crdt.ReplicaID) (RightsGrant, error) {
	m, err := decodeOf(kindRightsGrant, data)
	if err != nil {
		return RightsGrant{}, err
	}
	if m.number == 0 && len(m.clock) == 0 {
		return RightsGrant{}, nil
	}
	if m.number == 0 || m.number > uint64(ask.Amount) || len(m.clock) != 1 || m.clock[0].Replica != of || m.clock[0].Seq == 0 {
		return RightsGrant{}, fmt.Errorf("%w: a grant of %d", ErrMalformed, m.number)
	}
	return RightsGrant{Amount: int64(m.number), At: crdt.Dot{Replica: of, Seq: m.clock[0].Seq}}, nil
}

// decodeOf decodes a message that must be of one kind.
func decodeOf(k kind, data []byte) (*message, error) {
	m, err := decode(data)
	if err == nil && (m == nil || m.kind != k) {
		err = fmt.Errorf("%w: another kind of message", ErrMalformed)
	}
	return m, err
}
