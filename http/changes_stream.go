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
	out  *lines
	sse  bool
	rest int // changes that are left until the end, 0 for no end
	// What was told last, and when.
	told   string
	toldAt time.Time
}

// run returns an error when the daemon fails. A stream that has ended is resumed at its last
// cursor, and the answer to that says why it ended.
func (s *feedStream) run() error {
	ctx, cancel := context.WithCancel(s.r.http.Context())
	defer cancel()
	defer context.AfterFunc(s.r.handler.drained, cancel)()
	s.bookmark()
	for ctx.Err() == nil {
		looked := time.Now()
		limit := maxLimit
		if s.rest > 0 {
			limit = s.rest
		}
		changes, more, err := s.page(limit)
		if err != nil {
			return s.why(ctx, err)
		}
		for _, c := range changes {
			s.tell(c)
		}
		s.flush()
		if s.rest > 0 && len(changes) > 0 {
			if s.rest -= len(changes); s.rest == 0 {
				return nil
			}
		}
		if more {
			continue
		}
		if len(changes) == 0 && time.Since(s.toldAt) >= bookmarkPause && s.cursor(s.at) != s.told {
			s.bookmark()
		}
		if err := s.wait(ctx, looked.Add(feedPause)); err != nil {
			return s.why(ctx, err)
		}
	}
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
			s.beat()
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
func (s *feedStream) beat() {
	if !s.sse || s.cursor(s.at) != s.told {
		s.bookmark()
		return
	}
	s.write([]byte(":\n\n"))
	s.flush()
	s.toldAt = time.Now()
}

func (s *feedStream) bookmark() {
	s.tell(Change{Cursor: s.cursor(s.at), Event: eventBookmark})
	s.flush()
}

func (s *feedStream) tell(c Change) {
	line, err := encodeJSON(c)
	if err != nil {
		panic(err) // our own type, and values that were checked when they came in
	}
	if s.sse {
		s.write([]byte("id: " + c.Cursor + "\nevent: " + c.Event + "\ndata: "))
		line = append(line, '\n')
	}
	s.write(line)
	s.told, s.toldAt = c.Cursor, time.Now()
}

// write and flush give up on a client that has gone, or that takes nothing for chunkTimeout: it
// comes back with its last cursor.
func (s *feedStream) write(b []byte) {
	if _, err := s.out.buf.Write(b); err != nil {
		panic(http.ErrAbortHandler)
	}
}

func (s *feedStream) flush() {
	if err := s.out.buf.Flush(); err != nil {
		panic(http.ErrAbortHandler)
	}
}
