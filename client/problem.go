package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxProblemBytes bounds what is read of an error reply.
const maxProblemBytes = 1 << 20

const problemPrefix = "urn:anabranch:problem:"

// Problem is an error reply of the daemon, RFC 9457.
type Problem struct {
	// Type is a URI, for example "urn:anabranch:problem:not-found"; empty when what answered was not
	// a daemon's API.
	Type   string
	Status int
	Title  string
	Detail string
	// Extensions are the other members of the problem, by name, as JSON.
	Extensions map[string]json.RawMessage
	// RetryAfter is when the daemon says to come back; 0 when it does not.
	RetryAfter time.Duration
	// Body is the reply as it came.
	Body []byte
}

// Name is the last part of the type, for example "not-found".
func (p *Problem) Name() string {
	name, ok := strings.CutPrefix(p.Type, problemPrefix)
	if !ok {
		return ""
	}
	return name
}

func (p *Problem) Error() string {
	what := p.Title
	if name := p.Name(); name != "" {
		what = name
	}
	if p.Detail == "" {
		return fmt.Sprintf("%s (%d)", what, p.Status)
	}
	return fmt.Sprintf("%s: %s", what, p.Detail)
}

// Is has errors.Is find the sentinels of this package.
func (p *Problem) Is(target error) bool {
	switch target {
	case ErrConflict:
		return p.Status == http.StatusConflict
	case ErrNotModified:
		return p.Status == http.StatusNotModified
	}
	k, ok := target.(kind)
	return ok && p.Type == problemPrefix+string(k)
}

// Extension reads a member of the problem beside the usual ones into a variable, and reports
// whether it was there and fits.
func (p *Problem) Extension(name string, into any) bool {
	raw, ok := p.Extensions[name]
	return ok && json.Unmarshal(raw, into) == nil
}

// UnmarshalJSON reads a problem document, as Bulk has them in its lines.
func (p *Problem) UnmarshalJSON(body []byte) error {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(body, &doc); err != nil {
		return err
	}
	*p = Problem{Body: bytes.Clone(body)}
	for name, into := range map[string]any{"type": &p.Type, "status": &p.Status, "title": &p.Title, "detail": &p.Detail} {
		raw, ok := doc[name]
		if !ok {
			continue
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return err
		}
		delete(doc, name)
	}
	p.Extensions = doc
	return nil
}

// readProblem makes an error of a reply that is none of success.
func readProblem(resp *http.Response) error {
	p := &Problem{}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblemBytes))
	switch {
	case err != nil:
		p.Detail = "the reply broke off: " + err.Error()
	case resp.StatusCode == http.StatusNotModified:
	case !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") || json.Unmarshal(body, p) != nil:
		*p = Problem{Detail: "what answered is not the API of anabranch"}
	}
	p.Status, p.Body = resp.StatusCode, body
	if p.Title == "" {
		p.Title = http.StatusText(resp.StatusCode)
	}
	if s, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16); err == nil {
		p.RetryAfter = time.Duration(s) * time.Second
	}
	return p
}
