package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxProblemBytes bounds what is read of an error reply.
const maxProblemBytes = 1 << 20

const problemPrefix = "urn:anabranch:problem:"

// Problem is an error reply of the daemon, RFC 9457.
type Problem struct {
	// Name is the last part of the type, for example "not-found"; empty when what answered was
	// not a daemon's API.
	Name   string
	Status int
	Title  string
	Detail string
	// Body is the reply as it came.
	Body []byte
}

func (p *Problem) Error() string {
	what := p.Title
	if p.Name != "" {
		what = p.Name
	}
	if p.Detail == "" {
		return fmt.Sprintf("%s (%d)", what, p.Status)
	}
	return fmt.Sprintf("%s: %s", what, p.Detail)
}

// IsProblem reports whether err is a Problem of that name.
func IsProblem(err error, name string) bool {
	var p *Problem
	return errors.As(err, &p) && p.Name == name
}

func readProblem(resp *http.Response) error {
	p := &Problem{Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode)}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblemBytes))
	if err != nil {
		p.Detail = "the reply broke off: " + err.Error()
		return p
	}
	p.Body = body
	var doc struct{ Type, Title, Detail string }
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") || json.Unmarshal(body, &doc) != nil {
		p.Detail = "what answered is not the API of anabranch"
		return p
	}
	if name, ok := strings.CutPrefix(doc.Type, problemPrefix); ok {
		p.Name = name
	}
	if doc.Title != "" {
		p.Title = doc.Title
	}
	p.Detail = doc.Detail
	return p
}
