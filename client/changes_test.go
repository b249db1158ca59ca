package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// script answers the requests of a feed one after the other, as an entry says: lines of a feed that
// is then cut off, behind "half" within a line; a status, or "silence".
type script struct {
	t       *testing.T
	entries []string
	since   []string // that the requests asked for
}

func (s *script) serve(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/keys") {
		return answer(200, `{"keys":[{"type":"set","key":"a"},{"type":"set","key":"b"}],"feed":"f"}`), nil
	}
	s.since = append(s.since, r.URL.Query().Get("since"))
	if len(s.entries) == 0 {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	entry := s.entries[0]
	s.entries = s.entries[1:]
	switch entry {
	case "410":
		return problemAnswer(410, "cursor-expired"), nil
	case "503":
		return problemAnswer(503, "shutting-down", "Retry-After", "1"), nil
	case "404":
		return problemAnswer(404, "namespace-not-found"), nil
	case "refused":
		return nil, io.ErrUnexpectedEOF
	case "silence":
		resp := answer(200, "")
		resp.Body = io.NopCloser(blocked{r.Context()})
		return resp, nil
	}
	var text strings.Builder
	for name := range strings.SplitSeq(entry, " ") {
		if name == "half" {
			text.WriteString(`{"cursor":"ch","event":"chan`)
			break
		}
		event := EventChanged
		if name == "-" {
			event = EventBookmark
		}
		fmt.Fprintf(&text, `{"cursor":"c%s","event":"%s","type":"set","key":"%s"}`+"\n", name, event, name)
	}
	resp := answer(200, "")
	resp.Body = cutBody{strings.NewReader(text.String())}
	return resp, nil
}

// blocked says nothing until its context ends.
type blocked struct{ ctx context.Context }

func (b blocked) Read([]byte) (int, error) {
	<-b.ctx.Done()
	return 0, b.ctx.Err()
}

// TestFollow: what a reader is told, and where the feed is taken up, whatever the daemon does.
func TestFollow(t *testing.T) {
	for name, tc := range map[string]struct {
		entries []string
		opts    []Option
		told    string // events but "changed", keys, and the last error
		since   string
	}{
		"cuts":           {[]string{"x y", "z", "503", "w", "404"}, nil, "x y z w namespace-not-found", " cy cz cz cw"},
		"cut in a line":  {[]string{"x half", "y", "404"}, nil, "x y namespace-not-found", " cx cy"},
		"from a cursor":  {[]string{"x", "404"}, []Option{Since("c0"), PageSize(7)}, "x namespace-not-found", "c0 cx"},
		"bookmarks":      {[]string{"- x -", "404"}, nil, "x namespace-not-found", " c-"},
		"bookmarks told": {[]string{"- x", "404"}, []Option{Bookmarks()}, "bookmark:- x namespace-not-found", " cx"},
		"expired":        {[]string{"x", "410", "y", "404"}, nil, "x resync: listed:a listed:b resynced: y namespace-not-found", " cx f cy"},
		"expired twice":  {[]string{"410", "410", "y", "404"}, []Option{Since(FromStart)}, "resync: listed:a listed:b resynced: resync: listed:a listed:b resynced: y namespace-not-found", "start f f cy"},
		"silence":        {[]string{"x", "silence", "y", "404"}, nil, "x y namespace-not-found", " cx cx cy"},
		"long away":      {append(append([]string{"x"}, slices.Repeat([]string{"refused"}, 40)...), "y", "404"), nil, "x y namespace-not-found", ""},
		"never there":    {slices.Repeat([]string{"refused"}, 5), nil, "unreachable", "    "},
		"refused":        {[]string{"404"}, nil, "namespace-not-found", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{t: t, entries: tc.entries}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			var told []string
			for c, err := range fake(t, s.serve).Namespace("n").Changes(ctx, tc.opts...) {
				var p *Problem
				switch {
				case errors.As(err, &p):
					told = append(told, p.Name())
				case err != nil:
					told = append(told, "unreachable")
				case c.Event == EventChanged:
					told = append(told, c.Key)
				default:
					told = append(told, string(c.Event)+":"+c.Key)
				}
			}
			if got := strings.Join(told, " "); got != tc.told {
				t.Errorf("%s: told %q, want %q", name, got, tc.told)
			}
			if got := strings.Join(s.since, " "); tc.since != "" && got != tc.since {
				t.Errorf("%s: asked for %q, want %q", name, got, tc.since)
			}
		})
	}
}

// TestFollowEnds: with the context, and when the loop is left; nothing goes on behind.
func TestFollowEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{t: t, entries: []string{"x y"}}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		var last error
		for _, err := range fake(t, s.serve).Namespace("n").Changes(ctx) {
			last = err
		}
		if !errors.Is(last, context.Canceled) {
			t.Errorf("got %v", last)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := &script{t: t, entries: []string{"x y", "z"}}
		for range fake(t, s.serve).Namespace("n").Changes(t.Context()) {
			break
		}
		if len(s.since) != 1 {
			t.Errorf("asked %d times", len(s.since))
		}
	})
}
