package p2p

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	maxAddresses = 16 // of one kind, of one peer
	// maxStrangers bounds the peers that were found and never admitted.
	maxStrangers = 256
	// strangerTries is how many dials a stranger gets before it is forgotten.
	strangerTries = 10
	// nearWithin is how recently a member must have been here to be dialled often.
	nearWithin = time.Hour
)

// book is everything that is known about where peers are, and when each is to be dialled next.
type book struct {
	file   string // empty: nothing is remembered
	self   peer.ID
	timing Timing
	limit  int
	kick   chan struct{} // something is to be dialled sooner

	mu    sync.Mutex
	peers map[peer.ID]*known
	dirty bool
}

// known is one peer. It is a member once it was admitted, in this run or an earlier one.
type known struct {
	static []ma.Multiaddr // from the configuration or AddPeer
	told   []ma.Multiaddr // what the peer said last
	worked []ma.Multiaddr // where we reached it, newest first
	found  []ma.Multiaddr // what mDNS reported last

	// holds are the namespaces that it said to hold, ascending; nil while it has said nothing.
	holds []string

	member    bool
	connected bool      // admitted now
	seen      time.Time // when it was connected last

	dialling bool
	next     time.Time // when to dial
	tries    int       // failed dials in a row
}

// storedPeers is the file.
type storedPeers struct {
	Version int          `json:"version"`
	Peers   []storedPeer `json:"peers"`
}

type storedPeer struct {
	ID        string    `json:"id"`
	Addresses []string  `json:"addresses"`
	Seen      time.Time `json:"seen"`
	Holds     []string  `json:"holds,omitempty"`
}

const storedVersion = 1

// errPeerStore is returned when the peer store cannot be read. What it remembers is a convenience:
// the caller goes on without.
var errPeerStore = errors.New("p2p: unreadable peer store")

func newBook(file string, self peer.ID, timing Timing, limit int) *book {
	return &book{file: file, self: self, timing: timing, limit: limit, kick: make(chan struct{}, 1), peers: make(map[peer.ID]*known)}
}

// load reads the file.
func (b *book) load() error {
	if b.file == "" {
		return nil
	}
	text, err := os.ReadFile(b.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errPeerStore, err)
	}
	var stored storedPeers
	if err := json.Unmarshal(text, &stored); err != nil {
		return fmt.Errorf("%w %s: %w", errPeerStore, b.file, err)
	}
	if stored.Version != storedVersion {
		return fmt.Errorf("%w %s: version %d", errPeerStore, b.file, stored.Version)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range stored.Peers {
		id, err := peer.Decode(s.ID)
		if err != nil || id == b.self {
			continue
		}
		k := b.get(id)
		k.member, k.seen = true, s.Seen
		for _, text := range s.Addresses {
			if a, err := ma.NewMultiaddr(text); err == nil && dialable(a) {
				k.told = addUnique(k.told, maxAddresses, a)
			}
		}
		for _, name := range s.Holds {
			if len(name) <= maxNameBytes && len(k.holds) < maxNamespaces {
				k.holds = append(k.holds, name)
			}
		}
		slices.Sort(k.holds)
	}
	return nil
}

// save writes the file if something in it has changed.
func (b *book) save() error {
	b.mu.Lock()
	if b.file == "" || !b.dirty {
		b.mu.Unlock()
		return nil
	}
	b.dirty = false
	stored := storedPeers{Version: storedVersion, Peers: []storedPeer{}}
	for id, k := range b.peers {
		if k.member {
			s := storedPeer{ID: id.String(), Seen: k.seen.UTC().Truncate(time.Second), Addresses: []string{}, Holds: k.holds}
			for _, a := range addUnique(slices.Clone(k.worked), maxAddresses, k.told...) {
				s.Addresses = append(s.Addresses, a.String())
			}
			stored.Peers = append(stored.Peers, s)
		}
	}
	b.mu.Unlock()
	slices.SortFunc(stored.Peers, func(x, y storedPeer) int { return y.Seen.Compare(x.Seen) })
	stored.Peers = stored.Peers[:min(len(stored.Peers), b.limit)]
	text, err := json.MarshalIndent(stored, "", "\t")
	if err == nil {
		err = writeFileAtomic(b.file, append(text, '\n'), false)
	}
	if err != nil {
		return fmt.Errorf("p2p: store peers: %w", err)
	}
	return nil
}

// get returns the entry of id and makes it if there is none. b.mu is held.
func (b *book) get(id peer.ID) *known {
	k := b.peers[id]
	if k == nil {
		k = &known{}
		b.peers[id] = k
	}
	return k
}

// addStatic notes an address that is always dialled.
func (b *book) addStatic(id peer.ID, a ma.Multiaddr) {
	if id == b.self {
		return
	}
	b.mu.Lock()
	k := b.get(id)
	if !slices.ContainsFunc(k.static, a.Equal) {
		// The newest stay: behind a name with many addresses, old ones are dead ones.
		k.static = addUnique([]ma.Multiaddr{a}, maxAddresses, k.static...)
	}
	k.next = time.Time{}
	b.mu.Unlock()
	wake(b.kick)
}

// addFound notes what discovery reported.
func (b *book) addFound(id peer.ID, addrs []ma.Multiaddr) {
	if id == b.self {
		return
	}
	b.mu.Lock()
	if b.peers[id] == nil && b.strangers() >= maxStrangers {
		b.mu.Unlock()
		return
	}
	k := b.get(id)
	k.found = nil
	for _, a := range addrs {
		if dialable(a) {
			k.found = addUnique(k.found, maxAddresses, a)
		}
	}
	k.next, k.tries = time.Now().Add(b.courtesy(id)), 0
	b.mu.Unlock()
	wake(b.kick)
}

// courtesy is how long the peer with the greater id waits before it dials, when both sides want to
// at the same moment.
func (b *book) courtesy(id peer.ID) time.Duration {
	if b.self < id {
		return 0
	}
	return b.timing.RedialMin / 2
}

func (b *book) strangers() (n int) {
	for _, k := range b.peers {
		if !k.member && k.static == nil {
			n++
		}
	}
	return n
}

// told notes the listen addresses that a member told us.
func (b *book) told(id peer.ID, addrs []ma.Multiaddr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.get(id)
	told := addUnique(nil, maxAddresses, addrs...)
	if !slices.EqualFunc(told, k.told, ma.Multiaddr.Equal) {
		k.told, b.dirty = told, true
	}
}

// heldBy notes the namespaces that a member said to hold: all of them.
func (b *book) heldBy(id peer.ID, h holdings) {
	names := slices.AppendSeq(make([]string, 0, len(h)), maps.Keys(h))
	slices.Sort(names)
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.get(id)
	if !slices.Equal(names, k.holds) {
		b.dirty = true
	}
	k.holds = names // not nil: it has said so
}

// holders tells of every member that has said what it holds, in this run or an earlier one,
// whether a namespace was there.
func (b *book) holders(namespace string) map[peer.ID]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make(map[peer.ID]bool)
	for id, k := range b.peers {
		if k.member && k.holds != nil {
			_, out[id] = slices.BinarySearch(k.holds, namespace)
		}
	}
	return out
}

// reached notes an address at which we dialled a peer that was admitted.
func (b *book) reached(id peer.ID, a ma.Multiaddr) {
	if !dialable(a) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.get(id)
	k.worked, b.dirty = addUnique([]ma.Multiaddr{a}, maxAddresses/4, k.worked...), true
}

// setConnected notes an admission or a departure. After a departure the peer is dialled at once,
// with a little jitter, since the other side does the same.
func (b *book) setConnected(id peer.ID, connected bool) {
	b.mu.Lock()
	k := b.get(id)
	k.member, k.connected, k.seen, k.tries = true, connected, time.Now(), 0
	k.next = k.seen.Add(b.courtesy(id) + rand.N(b.timing.RedialMin/10+1))
	b.dirty = true
	b.trim()
	b.mu.Unlock()
	wake(b.kick)
}

// trim forgets the members that were away longest, above the limit. b.mu is held.
func (b *book) trim() {
	var away []peer.ID
	members := 0
	for id, k := range b.peers {
		if k.member {
			members++
			if !k.connected && k.static == nil {
				away = append(away, id)
			}
		}
	}
	slices.SortFunc(away, func(x, y peer.ID) int { return b.peers[x].seen.Compare(b.peers[y].seen) })
	for _, id := range away[:max(0, min(len(away), members-b.limit))] {
		delete(b.peers, id)
	}
}

// attempt is a dial that is due.
type attempt struct {
	peer.AddrInfo
	within time.Duration
}

// within returns how long one attempt may take. While nobody answers, libp2p sends its first packet
// again after ever longer pauses, so a network that comes back is found sooner by fresh attempts;
// every fourth gives a slow network its time.
func (b *book) within(k *known, now time.Time) time.Duration {
	if k.near(now) && k.tries%4 != 3 {
		return b.timing.DialNear
	}
	return b.timing.Dial
}

// near reports whether k is a member that was here lately.
func (k *known) near(now time.Time) bool { return k.member && now.Sub(k.seen) < nearWithin }

// due returns the peers that are to be dialled now and marks them as being dialled, and when the
// next one is. notBefore tells when the gate lets a peer be dialled.
func (b *book) due(now time.Time, notBefore func(peer.ID) time.Time) (dial []attempt, next time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, k := range b.peers {
		if k.connected || k.dialling {
			continue
		}
		addrs := k.addresses()
		if len(addrs) == 0 {
			continue
		}
		at := k.next
		if t := notBefore(id); t.After(at) {
			at = t
		}
		if !at.After(now) {
			k.dialling = true
			dial = append(dial, attempt{peer.AddrInfo{ID: id, Addrs: addrs}, b.within(k, now)})
		} else if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return dial, next
}

func (k *known) addresses() []ma.Multiaddr {
	all := addUnique(nil, 4*maxAddresses, k.worked...)
	for _, more := range [][]ma.Multiaddr{k.static, k.told, k.found} {
		all = addUnique(all, 4*maxAddresses, more...)
	}
	return all
}

// dialled notes the end of a dial and sets the time of the next one.
func (b *book) dialled(id peer.ID) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.peers[id]
	if k == nil {
		return
	}
	k.dialling = false
	if k.connected {
		return
	}
	k.tries++
	if !k.member && k.static == nil && k.tries >= strangerTries {
		delete(b.peers, id)
		return
	}
	limit := b.timing.RedialMax
	if k.near(now) {
		limit = b.timing.RedialNear
	}
	k.next = now.Add(pause(b.timing.RedialMin, limit, k.tries))
}

// pause returns a pause that doubles with every try, up to limit, ± 25 %.
func pause(first, limit time.Duration, tries int) time.Duration {
	d := min(first<<min(max(tries-1, 0), 20), limit)
	return d*3/4 + rand.N(d/2+1)
}

// hurry makes every peer that is away due now: the network has changed.
func (b *book) hurry() {
	b.mu.Lock()
	for _, k := range b.peers {
		k.next, k.tries = time.Time{}, 0
	}
	b.mu.Unlock()
	wake(b.kick)
}

// list returns the members and static peers by id, with their addresses.
func (b *book) list() []PeerInfo {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := []PeerInfo{}
	for id, k := range b.peers {
		if !k.member && k.static == nil {
			continue
		}
		p := PeerInfo{ID: id.String(), Connected: k.connected, Addresses: []string{}}
		for _, a := range k.addresses() {
			p.Addresses = append(p.Addresses, a.String())
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(x, y PeerInfo) int {
		if x.ID < y.ID {
			return -1
		}
		return 1
	})
	return out
}
