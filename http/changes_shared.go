package http

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// maxSharedPages bounds the pages that are kept for the readers of one query. A reader who is
// further behind reads for itself.
const maxSharedPages = 8

// maxSharedAge bounds how old what a page tells may be: values have deadlines.
const maxSharedAge = time.Second

// sharedFeeds lets streams with the same query read the log, and encode what it says, once for all
// of them: what a writer does costs the daemon the same, however many follow.
type sharedFeeds struct {
	mu    sync.Mutex
	feeds map[sharedKey]*sharedFeed
}

// sharedKey is what makes two streams tell the same.
type sharedKey struct {
	query   uint64
	replica crdt.ReplicaID
	values  bool
	sse     bool
}

// sharedFeed is what the streams with one key have in common. It is there as long as one of them.
type sharedFeed struct {
	readers int // guarded by sharedFeeds.mu

	mu    sync.Mutex
	pages []*feedPage // the latest, the oldest first
	// tip is the largest commit that a page has ended before. Every page ends there or earlier: so
	// the readers, wherever they began, soon stand at the same places.
	tip uint64
}

// join returns what the streams with a key share. The caller leaves when it is done.
func (s *sharedFeeds) join(key sharedKey) *sharedFeed {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.feeds == nil {
		s.feeds = map[sharedKey]*sharedFeed{}
	}
	f := s.feeds[key]
	if f == nil {
		f = &sharedFeed{}
		s.feeds[key] = f
	}
	f.readers++
	return f
}

func (s *sharedFeeds) leave(key sharedKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.feeds[key]; f.readers > 1 {
		f.readers--
	} else {
		delete(s.feeds, key)
	}
}

// feedPage is a part of a feed, from a place on, as it goes to the readers.
type feedPage struct {
	from store.Position
	made time.Time     // zero while somebody makes it; guarded by sharedFeed.mu
	done chan struct{} // closed when what follows is set

	ok      bool // else whoever made it has failed, or has gone
	data    []byte
	changes int
	last    string         // cursor of the last change
	at      store.Position // behind the page
	more    bool           // there is more already
	commit  uint64         // of the view
}

// page returns the page from a place on. If nobody has it and nobody makes it, the caller makes it:
// read gets the commit to end before, 0 for none.
func (s *sharedFeed) page(ctx context.Context, from store.Position, read func(p *feedPage, until uint64) error) (*feedPage, error) {
	for {
		p, until, mine := s.claim(from)
		if !mine {
			select {
			case <-p.done:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			if p.ok {
				return p, nil
			}
			continue
		}
		return p, s.make(p, until, read)
	}
}

var errNotMade = errors.New("the reader who made the page has failed")

// make lets read make a page, for others too.
func (s *sharedFeed) make(p *feedPage, until uint64, read func(p *feedPage, until uint64) error) (err error) {
	err = errNotMade // if read does not return
	defer func() { s.finish(p, err) }()
	err = read(p, until)
	return err
}

// claim returns the page from a place on, or a new one that the caller has to make.
func (s *sharedFeed) claim(from store.Position) (p *feedPage, until uint64, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages = slices.DeleteFunc(s.pages, func(p *feedPage) bool { return !p.made.IsZero() && time.Since(p.made) > maxSharedAge })
	for _, p := range s.pages {
		if p.from == from {
			return p, 0, false
		}
	}
	p = &feedPage{from: from, done: make(chan struct{})}
	if len(s.pages) == maxSharedPages {
		s.pages = slices.Delete(s.pages, 0, 1)
	}
	s.pages = append(s.pages, p)
	if s.tip > from.Commit {
		until = s.tip
	}
	return p, until, true
}

// finish gives a page to those who wait for it. A page that could not be made, or that has nothing
// in it, is kept from those who come later: there may be more by then.
func (s *sharedFeed) finish(p *feedPage, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.ok, p.made = err == nil, time.Now()
	if !p.ok || p.at == p.from {
		s.pages = slices.DeleteFunc(s.pages, func(other *feedPage) bool { return other == p })
	}
	if p.ok && p.at.Index == 0 {
		s.tip = max(s.tip, p.at.Commit)
	}
	close(p.done)
}
