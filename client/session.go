package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
)

// Session carries the latest tokens of each namespace from call to call, at one daemon or several:
// what was read or written in it is seen by everything that comes later in it, and a removal in it
// takes away what was seen in it and nothing else. The zero value is empty and ready; see In. It is
// safe for concurrent use, and not to be copied. It can be marshalled as JSON and handed to another
// process.
//
// Each address is taken for one daemon: a balancer in between, which spreads calls, is none.
type Session struct {
	mu sync.Mutex
	// heads are, for each namespace, tokens of which none is known to cover another: one, unless
	// calls ran at the same time, and then at most one for each of them.
	heads map[string][]head
}

// head is a token and the daemon that gave it, by address; empty for an unknown one.
type head struct{ token, addr string }

// Context returns the token of a namespace, empty while there is none. While calls run at the same
// time it is that of the call that ended last.
func (s *Session) Context(ns string) string {
	if heads := s.current(ns); len(heads) > 0 {
		return heads[len(heads)-1].token
	}
	return ""
}

// Observe adds a token that was received elsewhere.
func (s *Session) Observe(ns, token string) { s.replace(ns, nil, head{token: token}) }

func (s *Session) current(ns string) []head {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.heads[ns])
}

// replace puts a token in the place of those that it covers.
func (s *Session) replace(ns string, covered []head, by head) {
	if by.token == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.heads == nil {
		s.heads = map[string][]head{}
	}
	gone := func(h head) bool { return h.token == by.token || slices.Contains(covered, h) }
	s.heads[ns] = append(slices.DeleteFunc(s.heads[ns], gone), by)
}

// before chooses the token of a request, and returns what the token of its reply will cover. A
// nil session leaves the request as it is.
//
// A request carries one token. A daemon's own tokens are all covered by what it answers now, so a
// read there may carry any of them. A removal must not: what it takes away is what its token covers.
// So the others are made one first, by a small read for each that another daemon gave.
func (s *Session) before(ctx context.Context, c *Client, req *Request) ([]head, error) {
	if s == nil || req.ns == "" || req.Context != "" && !req.ours {
		return nil, nil
	}
	heads := s.current(req.ns)
	if len(heads) == 0 {
		return nil, nil
	}
	last := heads[len(heads)-1]
	foreign := slices.DeleteFunc(slices.Clone(heads), func(h head) bool { return h.addr == c.addr })
	if len(heads) > 1 && (len(foreign) > 0 || req.Method != http.MethodGet) {
		if len(foreign) == 0 {
			foreign = heads[len(heads)-1:]
		}
		for _, h := range foreign {
			token, err := c.catchUp(ctx, req, h.token)
			if err != nil {
				return nil, err
			}
			last = head{token, c.addr}
		}
		s.replace(req.ns, heads, last)
		heads = []head{last}
	}
	req.Context, req.ours = last.token, true
	return heads, nil
}

// after keeps the token of a reply.
func (s *Session) after(c *Client, req *Request, covered []head, token string) {
	if s != nil && req.ns != "" {
		s.replace(req.ns, covered, head{token, c.addr})
	}
}

// catchUp returns a token of the daemon that covers the one given.
func (c *Client) catchUp(ctx context.Context, req *Request, token string) (string, error) {
	resp, err := c.send(ctx, &Request{Method: http.MethodGet, Path: []string{"v1", "ns", req.ns, "keys"},
		Query: url.Values{"limit": {"1"}}, Context: token, Wait: req.Wait})
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	if token = resp.Header.Get(ContextHeader); token == "" {
		return "", fmt.Errorf("%w: no token", ErrReply)
	}
	return token, nil
}

// MarshalJSON writes the tokens of each namespace.
func (s *Session) MarshalJSON() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tokens := map[string][]string{}
	for ns, heads := range s.heads {
		for _, h := range heads {
			tokens[ns] = append(tokens[ns], h.token)
		}
	}
	return json.Marshal(tokens)
}

// UnmarshalJSON takes in tokens that MarshalJSON has written, beside those that are there.
func (s *Session) UnmarshalJSON(text []byte) error {
	var tokens map[string][]string
	if err := json.Unmarshal(text, &tokens); err != nil {
		return err
	}
	for ns, list := range tokens {
		for _, token := range list {
			s.Observe(ns, token)
		}
	}
	return nil
}
