package http

import (
	"context"
	"net/http"
	"time"
)

const (
	// heartbeat is how long a stream says nothing at most.
	heartbeat = 15 * time.Second
	// feedPause is the least time between two looks of one stream: under a load of writes a reader
	// takes many commits at once, and 1024 of them leave the writers room.
	feedPause = 50 * time.Millisecond
	// bookmarkPause is the least time between two bookmarks of a filtered stream.
	bookmarkPause = time.Second
)

// feedStream writes a feed as events or as lines, until the client or the daemon goes.
type feedStream struct {
	*feed
	shared *sharedFeed
	out    *lines
	sse    bool
	rest   int // changes that are left until the end, 0 for no end
	// What was told last, and when.
	told   string
	toldAt time.Time
}

// run returns an error when the daemon fails, or the client takes nothing. A stream that has ended
// is resumed at its last cursor, and the answer to that says why it ended.
func (s *feedStream) run() error {
	ctx, cancel := context.WithCancel(s.r.http.Context())
	defer cancel()
	defer context.AfterFunc(s.r.handler.drained, cancel)()
	if err := s.bookmark(); err != nil {
		return err
	}
	for ctx.Err() == nil {
		looked := time.Now()
		page, err := s.next(ctx)
		if err != nil {
			return s.why(ctx, err)
		}
		if err := s.write(page.data, page.last); err != nil {
			return err
		}
		if s.rest > 0 && page.changes > 0 {
			if s.rest -= page.changes; s.rest == 0 {
				return nil
			}
		}
		if page.more {
			continue
		}
		if page.changes == 0 && time.Since(s.toldAt) >= bookmarkPause && s.cursor(s.at) != s.told {
			if err := s.bookmark(); err != nil {
				return err
			}
		}
		if err := s.wait(ctx, looked.Add(feedPause)); err != nil {
			return s.why(ctx, err)
		}
	}
	return nil
}

// next reads a page, its own if the stream has an end, and moves behind it.
func (s *feedStream) next(ctx context.Context) (*feedPage, error) {
	if s.rest > 0 {
		page := &feedPage{}
		return page, s.read(page, s.rest, 0)
	}
	page, err := s.shared.page(ctx, s.at, func(p *feedPage, until uint64) error { return s.read(p, maxLimit, until) })
	if err == nil {
		s.at, s.commit = page.at, page.commit
	}
	return page, err
}

// read makes a page.
func (s *feedStream) read(p *feedPage, limit int, until uint64) error {
	changes, more, err := s.page(limit, maxStreamBytes, until)
	if err != nil {
		return err
	}
	for _, c := range changes {
		p.data, p.last = s.appendChange(p.data, c), c.Cursor
	}
	p.changes, p.more = len(changes), more
	p.at, p.commit = s.at, s.commit
	return nil
}

// why returns err when it is our fault. Everything else is told to the client when it comes back.
func (s *feedStream) why(ctx context.Context, err error) error {
	if ctx.Err() == nil && problemOf(err).Status == http.StatusInternalServerError {
		return err
	}
	return nil
}

// wait returns when there is news, not before a moment, and says something now and then.
func (s *feedStream) wait(ctx context.Context, notBefore time.Time) error {
	for {
		beat, cancel := context.WithDeadline(ctx, s.toldAt.Add(heartbeat))
		err := s.ns.WaitCommit(beat, s.commit+1)
		silent := err != nil && beat.Err() != nil && ctx.Err() == nil
		cancel()
		if silent {
			if err := s.beat(); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		pause := time.NewTimer(time.Until(notBefore))
		defer pause.Stop()
		select {
		case <-pause.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// beat shows that the connection is alive.
func (s *feedStream) beat() error {
	if !s.sse || s.cursor(s.at) != s.told {
		return s.bookmark()
	}
	return s.write([]byte(":\n\n"), s.told)
}

func (s *feedStream) bookmark() error {
	at := s.cursor(s.at)
	return s.write(s.appendChange(nil, Change{Cursor: at, Event: eventBookmark}), at)
}

// write sends what tells of changes up to a cursor.
func (s *feedStream) write(data []byte, told string) error {
	if len(data) == 0 {
		return nil
	}
	if _, err := s.out.buf.Write(data); err != nil {
		return err
	}
	s.told, s.toldAt = told, time.Now()
	return s.out.buf.Flush()
}

// appendChange writes a change as an event or as a line.
func (s *feedStream) appendChange(b []byte, c Change) []byte {
	if s.sse {
		b = append(b, "id: "+c.Cursor+"\nevent: "+c.Event+"\ndata: "...)
	}
	b = append(c.appendJSON(b), '\n')
	if s.sse {
		b = append(b, '\n')
	}
	return b
}

// appendJSON writes a change as encoding/json would.
func (c Change) appendJSON(b []byte) []byte {
	b = append(b, `{"cursor":"`+c.Cursor+`","event":"`+c.Event+`"`...) // these need no escapes
	if c.Type != "" {
		b = append(b, `,"type":"`+c.Type+`","key":`...)
		b = appendQuoted(b, c.Key)
	}
	if c.Value != nil {
		b = append(append(b, `,"value":`...), *c.Value...)
	}
	return append(b, '}')
}
