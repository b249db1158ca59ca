package http

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/danielgtaylor/huma/v2"
)

// apiConfig is a configuration of huma that adds nothing of its own: no routes for documents
// and schemas, and no hook that writes $schema into replies.
func apiConfig(version string) huma.Config {
	return huma.Config{OpenAPI: &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title:   "Anabranch",
			Version: version,
			Description: "Replicated counters, bounded counters, flags, sets, registers and maps over HTTP. docs/API.md is the manual. Every GET is answered to HEAD, too, without the body. " +
				"A path that is none of these is 404 not-found, another method 405 method-not-allowed with Allow, and a request that is no HTTP, or whose headers have more than 192 KiB, 400 or 431 in plain text.",
			License: &huma.License{Name: "Apache License 2.0", Identifier: "Apache-2.0"},
		},
		Tags:       tags,
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
		if !closed[s] && s.AdditionalProperties == false {
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

// tags are the groups of routes.
var tags = []*huma.Tag{
	{Name: "namespaces", Description: "What is replicated together. A daemon holds some of those of its cluster."},
	{Name: "bounded counters", Description: "Integers that are never below 0: a daemon takes what it has rights for, and asks others for theirs."},
	{Name: "counters", Description: "Integers to which everybody adds."},
	{Name: "flags", Description: "On or off; turning on wins against turning off at the same time."},
	{Name: "lists", Description: "Items in an order. What one writer inserts in a row stays together; an item that is moved is in one place."},
	{Name: "presence", Description: "Who is there now: what is announced ends with the daemon that announced it. In namespaces in memory."},
	{Name: "sets", Description: "Sets of strings, in which an add wins against a removal that did not see it."},
	{Name: "registers", Description: "JSON values; concurrent ones are all kept."},
	{Name: "maps", Description: "Nested fields that hold registers, counters and sets."},
	{Name: "many objects", Description: "Batches, export, conflicts, and what changes."},
	{Name: "daemon", Description: "The daemon itself, its peers, and how it stands to them."},
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
	"cursor": {Schema: &huma.Schema{Type: "string"}, Description: "The value of next in the page before."},
	ttlParam: {Schema: &huma.Schema{Type: "string", Pattern: ttlPattern},
		Description: "How long what is written is to be seen, as 90s, 15m or 36h: more than 0, at most 100 years. Not with expires."},
	expiresParam: {Schema: &huma.Schema{Type: "string", Format: "date-time"},
		Description: "Until when what is written is to be seen, as RFC 3339 has it, to the millisecond; at most 100 years ahead. Not with ttl."},
	"include": {Schema: &huma.Schema{Type: "string", Enum: []any{"value"}}, Description: "What else a change tells."},
	"since": {Schema: &huma.Schema{Type: "string", Default: "now"},
		Description: "Where to begin: now, start, a cursor of this route, or the token of a reply, of another daemon too."},
	"timeout": {Schema: &huma.Schema{Type: "string", Default: "30s"}, Description: "How long a poll waits for a change, from 0s to 60s."},
	"drop":    {Schema: &huma.Schema{Type: "string", Enum: []any{"local"}}, Required: true, Description: "What is dropped."},
	"limit": {Schema: &huma.Schema{Type: "integer", Minimum: new(float64(1)), Default: defaultLimit},
		Description: "How many items a page has at most; above 1000 counts as 1000."},
	"prefix": {Schema: &huma.Schema{Type: "string"}, Description: "Only names that begin with it."},
	"shape":  {Schema: &huma.Schema{Type: "string", Enum: []any{"plain", "typed"}, Default: "plain"}, Description: "What the reply looks like."},
	"type":   {Schema: &huma.Schema{Type: "string", Enum: []any{"bounded", "counter", "flag", "list", "map", "presence", "register", "set"}}, Description: "Only objects of this type."},
}

// pathParams describe the names in paths.
var pathParams = map[string]*huma.Param{
	"ns":     {Description: "A namespace.", Schema: &huma.Schema{Type: "string", Pattern: "^[a-z0-9][a-z0-9._-]{0,62}$"}},
	"key":    {Description: "A key: any UTF-8 of 1 to 1024 bytes, escaped as one segment.", Schema: nameSchema()},
	"item":   {Description: "The id of an item, as a reply told it.", Schema: idSchema()},
	"id":     {Description: "A replica id, as the status of its daemon shows it.", Schema: &huma.Schema{Type: "string", Pattern: "^[0-9a-f]{16}$"}},
	"member": {Description: "A member: any UTF-8 of 1 to 1024 bytes, escaped as one segment.", Schema: nameSchema()},
	"path": {Description: "One to 32 field names, each escaped as one segment, with slashes between them. A client that escapes the slashes names one field.",
		Schema: &huma.Schema{Type: "string", MinLength: new(1)}},
}

// nameSchema describes a name. No name has more characters than it may have bytes.
func nameSchema() *huma.Schema {
	return &huma.Schema{Type: "string", MinLength: new(1), MaxLength: new(crdt.MaxNameBytes)}
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

// keyParams are the headers of routes that take an idempotency key.
var keyParams = []*huma.Param{
	{Name: keyHeader, In: "header", Schema: &huma.Schema{Type: "string"},
		Description: "A name for this request, of 1 to 255 visible ASCII characters: sent again it is not done again, but answered as the first time."},
}

// feedParams are the headers of routes that follow changes.
var feedParams = []*huma.Param{
	{Name: "Last-Event-ID", In: "header", Schema: &huma.Schema{Type: "string"},
		Description: "A cursor, as browsers send it after a cut: counts before since and the token."},
}

// waitParams are the headers of routes that wait for peers.
var waitParams = []*huma.Param{
	{Name: "Prefer", In: "header", Schema: &huma.Schema{Type: "string"}, Description: "wait=SECONDS, at most 60: how long to wait."},
}

// parameters lists the parameters of a route.
func (rt *route) parameters() []*huma.Param {
	var params []*huma.Param
	add := func(when bool, more ...*huma.Param) {
		for _, p := range more {
			if when {
				params = append(params, rt.parameter(*p))
			}
		}
	}
	for part := range strings.SplitSeq(rt.pattern, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			p := *pathParams[strings.TrimSuffix(name, "}")]
			p.Name, p.In, p.Required = strings.TrimSuffix(name, "}"), "path", true
			add(true, &p)
		}
	}
	query := rt.query
	if rt.writes() {
		query = append(slices.Clone(query), acksParam)
	}
	for _, name := range query {
		p := *queryParams[name]
		p.Name, p.In = name, "query"
		add(true, &p)
	}
	add(rt.token, headerParams...)
	add(rt.keyed(), keyParams...)
	add(rt.waits, waitParams...)
	add(rt.object != 0, conditionParams...)
	add(rt.streams != nil, feedParams...)
	return params
}

// parameter adds the example.
func (rt *route) parameter(p huma.Param) *huma.Param {
	text := rt.exampleOf(p.Name)
	if p.Example = text; p.Schema.Type == huma.TypeInteger {
		n, err := strconv.Atoi(text)
		if err != nil {
			panic(err) // made of our own table
		}
		p.Example = n
	}
	return &p
}

func statusText(status int) string { return strconv.Itoa(status) }
