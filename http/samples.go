package http

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
	"github.com/danielgtaylor/huma/v2"
)

// sample is an example of the description: a request to a daemon that holds sampleState, and
// what comes back. A test sends each of them.
type sample struct {
	name    string // within its route
	summary string
	target  string   // path and query
	headers []string // "Name: value"
	body    string
	status  int
	// reply is the body. What is opaque in it, such as cursors, is an example of its form only.
	reply string
}

// sampleState is what the daemon of the samples holds: the body of a batch.
const sampleState = `{"ops":[
	{"bounded":"seats","inc":10},
	{"counter":"visits","inc":42},
	{"flag":"beta","enable":true},
	{"set":"cart","add":["apples","pears","plums"]},
	{"register":"greeting","value":"hello"},
	{"map":"ada","path":["name"],"value":"Ada"},
	{"map":"ada","path":["address","city"],"value":"Delft"},
	{"map":"ada","path":["tags"],"add":["x"]},
	{"map":"ada","path":["visits"],"inc":3}]}`

// sampleItems are the items of the list "todo" that the daemon of the samples holds, by their ids,
// which another replica has made.
var sampleItems = map[crdt.Position]string{exampleItem: `"milk"`, exampleOtherItem: `{"buy":"bread"}`}

// Opaque values of the samples.
const (
	exampleTag       = `"1F0B9uKcPO8"`
	exampleItem      = "jz-3YGLT8ewrjkU"
	exampleOtherItem = "jz-3YGLT8ewrjpEYU"
	exampleCursor    = "AZ0lMd0yXb4SAQMBAAD2xN4k"
	examplePeer      = "12D3KooWQYV9dGMFoRzNStwpXztXaBUjtPqi6aU76ZgUriHhKust"
	exampleReplica   = "9b1de0c4f27a6e35" // which has made sampleItems
)

var exampleToken = encodeToken(store.Default, nil)

// exampleStrings are the examples of parameters that the targets of the samples do not have.
var exampleStrings = map[string]string{
	"cursor":        exampleCursor,
	"limit":         "10",
	"prefix":        "a",
	acksParam:       "2",
	ttlParam:        "90s",
	expiresParam:    "2030-01-31T12:00:00Z",
	contextHeader:   exampleToken,
	"Prefer":        "wait=5",
	keyHeader:       "8e03978e-40d5-43dd-bc93-6894a57f9324",
	"If-Match":      exampleTag,
	"If-None-Match": exampleTag,
	"Last-Event-ID": exampleCursor,
}

// exampleOf returns the example of a parameter: as the first sample has it that does.
func (rt *route) exampleOf(name string) string {
	for _, x := range samples[rt.id] {
		if v, ok := x.params(rt)[name]; ok {
			return v
		}
	}
	if name == contextHeader && len(samples[rt.id]) > 0 && strings.HasPrefix(samples[rt.id][0].target, exampleMemory) {
		return encodeToken(strings.TrimPrefix(exampleMemory, "/v1/ns/"), nil) // it holds in its namespace alone
	}
	return exampleStrings[name]
}

// params returns what the target has for the parameters of the path and of the query, decoded.
func (x sample) params(rt *route) map[string]string {
	found := map[string]string{}
	path, query, _ := strings.Cut(x.target, "?")
	parts := strings.Split(path, "/")
	for i, part := range strings.Split(rt.pattern, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			name = strings.TrimSuffix(name, "}")
			value := parts[i]
			if name == "path" {
				value = strings.Join(parts[i:], "/")
			}
			found[name] = value
		}
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		panic(err) // made of our own table
	}
	for name := range values {
		found[name] = values.Get(name)
	}
	return found
}

// header returns a header of the request, "" if it has none.
func (x sample) header(name string) string {
	for _, h := range x.headers {
		if value, ok := strings.CutPrefix(h, name+": "); ok {
			return value
		}
	}
	return ""
}

// accepted is the media type of the reply.
func (x sample) accepted(rt *route) string {
	if accept := x.header("Accept"); accept != "" {
		return accept
	}
	return rt.media()
}

// sent is the media type of the body.
func (x sample) sent() string {
	if sent := x.header("Content-Type"); sent != "" {
		return sent
	}
	return mediaTypeJSON
}

// addExample puts a body into the description. Of a stream of lines the first one is shown, since
// that is what the schema describes; events are shown as text.
func addExample(media *huma.MediaType, contentType string, x sample, body string) {
	if media.Examples == nil {
		media.Examples = map[string]*huma.Example{}
	}
	var value any
	switch contentType {
	case mediaTypeSSE:
		value = body
	case mediaTypeNDJSON:
		body, _, _ = strings.Cut(body, "\n")
		fallthrough
	default:
		value = json.RawMessage(body)
	}
	media.Examples[x.name] = &huma.Example{Summary: x.summary, Value: value}
}

// exampleProblem is a problem of a kind as a reply tells it.
func exampleProblem(k kind) *Problem {
	p := k.with("%s", exampleDetails[k])
	switch k {
	case kindTooLarge:
		p.Limit = maxItems
	case kindNotYetVisible:
		p.Missing = 3
	case kindRights:
		p.Rights, p.Value = new(number(crdt.Int128Of(4))), new(number(crdt.Int128Of(10)))
	}
	return p
}

// exampleDetails say what might have happened.
var exampleDetails = map[kind]string{
	kindBadRequest:        `the query parameter "lmit" is not one of this route: prefix, limit, cursor`,
	kindBadContext:        "the token is malformed or belongs to another namespace",
	kindBadCursor:         "the cursor is malformed or belongs to another query",
	kindForbidden:         "the host is not one of this daemon",
	kindNotFound:          `there is no counter "visits"`,
	kindNamespaceNotFound: "names that begin with an underscore are the system's",
	kindMethodNotAllowed:  "POST is not a method of this resource; it has DELETE, GET, HEAD, PUT",
	kindNotAcceptable:     "the reply is application/json, which the Accept header leaves out",
	kindRights:            `6 are to be taken of the bounded counter "seats"; this daemon has the rights to 4 of 10`,
	kindCursorExpired:     expiredDetail,
	kindPrecondition:      "the object does not have the ETag",
	kindTooLarge:          "a request has at most 1000 items: ops, members to add and to remove, and conditions",
	kindMediaType:         "the body has no media type: this route takes application/json; with curl write --json instead of -d or --data",
	kindInProgress:        "the request with this Idempotency-Key is still running",
	kindKeyReused:         "this Idempotency-Key was used for another request: another method, path or body",
	kindOverflow:          "the value of the counter, as this daemon sees it, would leave the range of 64-bit integers",
	kindWrongType:         "a counter has no action value; it has inc, reset, delete",
	kindRateLimited:       "1024 readers follow changes here already",
	kindInternal:          "an error that is no fault of the request; the daemon's log has it",
	kindNotYetVisible:     "3 changes that the token covers have not arrived at this daemon",
	kindShuttingDown:      "the daemon is shutting down",
	kindStoreBusy:         "the store is being opened",
	kindDiskFull:          "there is no space for this write; reads, removals and replication go on",
}
