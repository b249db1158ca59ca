package http

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// apiConfig is a configuration of huma that adds nothing of its own: no routes for documents
// and schemas, and no hook that writes $schema into replies.
func apiConfig(version string) huma.Config {
	return huma.Config{OpenAPI: &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title:       "Anabranch",
			Version:     version,
			Description: "Replicated counters, flags, sets, registers and maps over HTTP. docs/API.md is the manual.",
		},
		Components: &huma.Components{Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)},
		Servers:    []*huma.Server{{URL: "/", Description: "this daemon"}},
	}}
}

// encodeSpec writes the description once: it does not change. requests are the schemas of bodies.
func encodeSpec(api *huma.OpenAPI, requests []*huma.Schema) []byte {
	schemas := api.Components.Schemas
	closed := map[*huma.Schema]bool{}
	for _, s := range requests {
		closeSchema(schemas, s, closed)
	}
	for _, s := range schemas.Map() {
		if !closed[s] {
			s.AdditionalProperties = nil // a later version may add members to its replies
		}
		for _, member := range s.Properties {
			for list := member; list != nil && list.Type == huma.TypeArray; list = list.Items {
				list.Nullable = false // a list is [], never null
			}
		}
	}
	b, err := json.Marshal(api)
	if err != nil {
		panic(err) // made of our own table
	}
	return b
}

// closeSchema collects s and what it is made of: unknown members of a request are refused.
func closeSchema(schemas huma.Registry, s *huma.Schema, closed map[*huma.Schema]bool) {
	if s.Ref != "" {
		s = schemas.SchemaFromRef(s.Ref)
	}
	closed[s] = true
	for _, member := range s.Properties {
		if member.Items != nil && member.Items.Ref != "" {
			closeSchema(schemas, member.Items, closed)
		}
	}
}

func getSpec(r *request) (*reply, error) {
	return &reply{status: http.StatusOK, body: spec(r.handler.spec)}, nil
}

type spec []byte

func (s spec) appendJSON(b []byte) []byte { return append(b, s...) }

// queryParams describe the query parameters, by name.
var queryParams = map[string]*huma.Param{
	acksParam: {Schema: &huma.Schema{Type: "integer", Minimum: new(float64(1)), Maximum: new(float64(maxAcks))},
		Description: "Answer once that many peers have told that they hold the write, or with 202 when the time of Prefer: wait is over."},
	"cursor":  {Schema: &huma.Schema{Type: "string"}, Description: "The value of next in the page before."},
	"include": {Schema: &huma.Schema{Type: "string", Enum: []any{"value"}}, Description: "What else a change tells."},
	"since": {Schema: &huma.Schema{Type: "string", Default: "now"},
		Description: "Where to begin: now, start, a cursor of this route, or the token of a reply, of another daemon too."},
	"timeout": {Schema: &huma.Schema{Type: "string", Default: "30s"}, Description: "How long a poll waits for a change, from 0s to 60s."},
	"drop":    {Schema: &huma.Schema{Type: "string", Enum: []any{"local"}}, Required: true, Description: "What is dropped."},
	"limit": {Schema: &huma.Schema{Type: "integer", Minimum: new(float64(1)), Default: defaultLimit},
		Description: "How many items a page has at most; above 1000 counts as 1000."},
	"prefix": {Schema: &huma.Schema{Type: "string"}, Description: "Only names that begin with it."},
	"shape":  {Schema: &huma.Schema{Type: "string", Enum: []any{"plain", "typed"}, Default: "plain"}, Description: "What the reply looks like."},
	"type":   {Schema: &huma.Schema{Type: "string", Enum: []any{"counter", "flag", "map", "register", "set"}}, Description: "Only objects of this type."},
}

// pathParams describe the names in paths.
var pathParams = map[string]string{
	"ns":     "A namespace.",
	"key":    "A key: any UTF-8 of 1 to 1024 bytes, escaped as one segment.",
	"member": "A member: any UTF-8 of 1 to 1024 bytes, escaped as one segment.",
	"path":   "One to 32 field names, each escaped as one segment, with slashes between them.",
}

// headerParams are the headers of routes that read or write data.
var headerParams = []*huma.Param{
	{Name: contextHeader, In: "header", Schema: &huma.Schema{Type: "string"},
		Description: "A token from an earlier reply: be at least as fresh; removals and register writes supersede exactly what it covers."},
	{Name: "Prefer", In: "header", Schema: &huma.Schema{Type: "string"},
		Description: "wait=SECONDS, at most 60: how long to wait for what the token covers, and for acks."},
}

// conditionParams are the headers of routes about one object.
var conditionParams = []*huma.Param{
	{Name: "If-Match", In: "header", Schema: &huma.Schema{Type: "string"},
		Description: "ETags of this daemon, or * for any: the object must have one of them, else 412."},
	{Name: "If-None-Match", In: "header", Schema: &huma.Schema{Type: "string"},
		Description: "ETags of this daemon, or * for any: when the object has one of them a read answers 304 and a write 412."},
}

// parameters lists the parameters of a route.
func (rt *route) parameters() []*huma.Param {
	var params []*huma.Param
	for part := range strings.SplitSeq(rt.pattern, "/") {
		name, ok := strings.CutPrefix(part, "{")
		if !ok {
			continue
		}
		name = strings.TrimSuffix(name, "}")
		params = append(params, &huma.Param{Name: name, In: "path", Required: true,
			Description: pathParams[name], Schema: &huma.Schema{Type: "string", MinLength: new(1)}})
	}
	for _, name := range rt.query {
		p := *queryParams[name]
		p.Name, p.In = name, "query"
		params = append(params, &p)
	}
	if rt.writes() {
		p := *queryParams[acksParam]
		p.Name, p.In = acksParam, "query"
		params = append(params, &p)
	}
	if rt.token {
		params = append(params, headerParams...)
	}
	if rt.waits {
		params = append(params, &huma.Param{Name: "Prefer", In: "header", Schema: &huma.Schema{Type: "string"},
			Description: "wait=SECONDS, at most 60: how long to wait."})
	}
	if rt.object != 0 {
		params = append(params, conditionParams...)
	}
	return params
}

// response describes a reply that tells of success.
func (rt *route) response(schemas huma.Registry, status int) *huma.Response {
	res := &huma.Response{Description: http.StatusText(status)}
	if rt.token {
		text := &huma.Schema{Type: "string"}
		res.Headers = map[string]*huma.Param{
			contextHeader:        {Schema: text, Description: "The token of what this reply saw or wrote."},
			"Preference-Applied": {Schema: text, Description: "wait=SECONDS, when a token was sent or acks were asked for and the preference was honoured."},
		}
	}
	if rt.writes() {
		res.Headers[acksHeader] = &huma.Param{Schema: &huma.Schema{Type: "integer"}, Description: "With acks: how many peers have told that they hold the write."}
	}
	if rt.waits {
		text := &huma.Schema{Type: "string"}
		res.Headers = map[string]*huma.Param{
			contextHeader:        {Schema: text, Description: "The token of what this daemon holds."},
			"Preference-Applied": {Schema: text, Description: "wait=SECONDS, when the preference was honoured."},
		}
	}
	if _, counts := rt.gives.(SetChange); rt.object != 0 && rt.gives != nil && !counts {
		res.Headers["ETag"] = &huma.Param{Schema: &huma.Schema{Type: "string"}, Description: "Of the object as it is in the reply; not with query parameters."}
	}
	if rt.gives != nil {
		media := mediaTypeJSON
		if rt.ndjson {
			media = mediaTypeNDJSON
		}
		schema := schemaOf(schemas, rt.gives)
		if rt.typed != nil {
			schema = &huma.Schema{AnyOf: []*huma.Schema{schema, schemaOf(schemas, rt.typed)}}
		}
		res.Content = map[string]*huma.MediaType{media: {Schema: schema}}
		if rt.streams != nil {
			res.Content[mediaTypeNDJSON] = &huma.MediaType{Schema: schemaOf(schemas, rt.streams)}
			res.Content[mediaTypeSSE] = &huma.MediaType{Schema: &huma.Schema{Type: "string", Description: "Events: id is the cursor, event is that of the change, data is the change as JSON."}}
		}
	}
	return res
}

func statusText(status int) string { return strconv.Itoa(status) }
