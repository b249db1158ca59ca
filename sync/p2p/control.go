package p2p

import (
	"encoding/binary"
	"slices"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/anabranchdb/anabranch/crdt"
)

// The messages of a control stream, each with its length before it. Strings have theirs before
// them too. The first message of both sides is a hello. Kinds that are not known, and what follows
// the known fields, are skipped: they are of a later version.
//
// A hello may be told again, when the addresses have changed.
//
//	hello       1  count, listen addresses; then as in holdings
//	holdings    2  count, namespaces with their epochs: everything that the sender holds; then the
//	               replica ids of these copies, in the same order, which older daemons leave out
//	heartbeat   3
//	data        4  namespace, epoch of the receiver's copy, message of an engine
//
// An epoch tells a copy of a namespace from one that had the name earlier, so that a message for
// the former never reaches the latter.
const (
	kindHello     = 1
	kindHoldings  = 2
	kindHeartbeat = 3
	kindData      = 4
)

const (
	maxToldAddresses = 64
	maxAddressBytes  = 256
	maxNamespaces    = 4096
)

// holdings are the namespaces that a peer holds.
type holdings map[string]held

// held is a copy that a peer holds.
type held struct {
	epoch   uint64
	replica crdt.ReplicaID // 0 if an older daemon did not tell it
}

func appendHello(b []byte, listening []ma.Multiaddr, h holdings) []byte {
	listening = listening[:min(len(listening), maxToldAddresses)]
	b = append(b, kindHello)
	b = binary.AppendUvarint(b, uint64(len(listening)))
	for _, a := range listening {
		b = appendBytes(b, a.Bytes())
	}
	return h.append(b)
}

func appendHoldings(b []byte, h holdings) []byte { return h.append(append(b, kindHoldings)) }

func (h holdings) append(b []byte) []byte {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	b = binary.AppendUvarint(b, uint64(len(names)))
	for _, name := range names {
		b = appendBytes(b, []byte(name))
		b = binary.AppendUvarint(b, h[name].epoch)
	}
	for _, name := range names {
		b = binary.AppendUvarint(b, uint64(h[name].replica))
	}
	return b
}

func appendBytes(b, s []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendData(b []byte, namespace string, epoch uint64, msg []byte) []byte {
	b = append(b, kindData)
	b = appendBytes(b, []byte(namespace))
	b = binary.AppendUvarint(b, epoch)
	return append(b, msg...)
}

// parseHello reads a hello without its kind. Addresses that are not multiaddrs are passed over.
func parseHello(b []byte) (listening []ma.Multiaddr, h holdings, err error) {
	count, b, err := takeCount(b, maxToldAddresses)
	if err != nil {
		return nil, nil, err
	}
	for range count {
		var raw []byte
		if raw, b, err = takeBytes(b, maxAddressBytes); err != nil {
			return nil, nil, err
		}
		if a, err := ma.NewMultiaddrBytes(slices.Clone(raw)); err == nil && len(a) > 0 {
			listening = append(listening, a)
		}
	}
	h, err = parseHoldings(b)
	return listening, h, err
}

// parseHoldings reads holdings without their kind.
func parseHoldings(b []byte) (holdings, error) {
	count, b, err := takeCount(b, maxNamespaces)
	if err != nil {
		return nil, err
	}
	h := make(holdings)
	names := make([]string, 0, min(count, len(b)))
	for range count {
		var name []byte
		if name, b, err = takeBytes(b, maxNameBytes); err != nil {
			return nil, err
		}
		epoch, w := binary.Uvarint(b)
		if w <= 0 {
			return nil, errMalformed
		}
		b = b[w:]
		h[string(name)] = held{epoch: epoch}
		names = append(names, string(name))
	}
	if len(b) == 0 {
		return h, nil
	}
	for _, name := range names {
		id, w := binary.Uvarint(b)
		if w <= 0 {
			return nil, errMalformed
		}
		b = b[w:]
		h[name] = held{h[name].epoch, crdt.ReplicaID(id)}
	}
	return h, nil
}

// parseData reads data without its kind. msg shares memory with b.
func parseData(b []byte) (namespace string, epoch uint64, msg []byte, err error) {
	name, b, err := takeBytes(b, maxNameBytes)
	if err != nil {
		return "", 0, nil, err
	}
	epoch, w := binary.Uvarint(b)
	if w <= 0 {
		return "", 0, nil, errMalformed
	}
	return string(name), epoch, b[w:], nil
}

func takeCount(b []byte, limit int) (int, []byte, error) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(limit) {
		return 0, nil, errMalformed
	}
	return int(n), b[w:], nil
}
