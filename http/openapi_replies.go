package http

import (
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// successes are the statuses with which a route answers when nothing went wrong, its usual one first.
func (rt *route) successes() []int {
	statuses := []int{rt.status}
	if rt.also != 0 {
		statuses = append(statuses, rt.also)
	}
	if rt.writes() && !rt.lines && !slices.Contains(statuses, http.StatusAccepted) {
		statuses = append(statuses, http.StatusAccepted)
	}
	if rt.object != 0 && rt.method == http.MethodGet {
		statuses = append(statuses, http.StatusNotModified)
	}
	return statuses
}

// successTexts say what a status means where its name does not.
var successTexts = map[int]string{
	http.StatusAccepted:    "Accepted: what was asked for is under way. To a write with acks: it is durable here and spreads, and fewer peers than that have told so in time.",
	http.StatusNoContent:   "Done, or it is so; there is nothing to tell.",
	http.StatusNotModified: "The object still has one of the ETags of If-None-Match.",
}

// success describes a reply that tells of success.
func (rt *route) success(schemas huma.Registry, status int) *huma.Response {
	res := &huma.Response{Description: successTexts[status], Headers: rt.headers(status)}
	if res.Description == "" {
		res.Description = http.StatusText(status)
	}
	if rt.gives == nil || status == http.StatusNotModified {
		return res
	}
	schema := schemaOf(schemas, rt.gives)
	if rt.typed != nil {
		schema = &huma.Schema{AnyOf: []*huma.Schema{schema, schemaOf(schemas, rt.typed)}}
	}
	res.Content = map[string]*huma.MediaType{rt.media(): {Schema: schema}}
	if rt.streams != nil {
		res.Content[mediaTypeNDJSON] = &huma.MediaType{Schema: schemaOf(schemas, rt.streams)}
		res.Content[mediaTypeSSE] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString,
			Description: "Events: id is the cursor, event is that of the change, data is the change as JSON. Lines that begin with a colon say only that the stream lives."}}
	}
	if rt.ndjson || rt.streams != nil {
		res.Description += ". " + mediaTypeNDJSON + " is a stream: the schema is that of one line. A connection that breaks off, rather than ends, means that something is missing."
	}
	for _, x := range samples[rt.id] {
		if x.status == status && x.reply != "" {
			addExample(res.Content[x.accepted(rt)], x.accepted(rt), x, x.reply)
		}
	}
	return res
}

// media is the media type of the reply's body, where the request has no say.
func (rt *route) media() string {
	if rt.ndjson {
		return mediaTypeNDJSON
	}
	return mediaTypeJSON
}

// headers are those of a reply that tells of success.
func (rt *route) headers(status int) map[string]*huma.Param {
	list := map[string]*huma.Param{}
	if _, tells := rt.gives.(SyncStatus); rt.token && !rt.lines || tells {
		list[contextHeader] = textHeader("The token of what this reply saw or wrote, or of what this daemon holds.", exampleToken)
	}
	if rt.token || rt.waits {
		list["Preference-Applied"] = textHeader("wait=SECONDS, when there was something to wait for and the preference was honoured.", "wait=5")
	}
	if rt.writes() && !rt.lines {
		list[acksHeader] = &huma.Param{Schema: &huma.Schema{Type: huma.TypeInteger, Minimum: new(float64(0))}, Example: 2,
			Description: "With acks: how many peers have told that they hold the write."}
	}
	if rt.keyed() && !rt.lines {
		list[replayHeader] = replayed
	}
	if rt.object != 0 && (rt.gives != nil || status == http.StatusNotModified) && !rt.tellsChange() {
		list["ETag"] = textHeader("Of the object as it is in the reply, on this daemon; not with query parameters.", exampleTag)
	}
	if status == http.StatusCreated {
		list["Location"] = textHeader("Where it is.", "/v1/ns/cache")
	}
	return list
}

// replayed describes the header of a reply that was kept.
var replayed = &huma.Param{Schema: &huma.Schema{Type: huma.TypeString, Enum: []any{"true"}}, Example: "true",
	Description: "When the request had been done before, with the same Idempotency-Key: this is the reply of then."}

// tellsChange reports whether the reply tells what changed rather than what there is.
func (rt *route) tellsChange() bool {
	switch rt.gives.(type) {
	case SetChange, ListChange:
		return true
	}
	return false
}

func textHeader(description, example string) *huma.Param {
	return &huma.Param{Schema: &huma.Schema{Type: huma.TypeString}, Description: description, Example: example}
}

// kinds are the problems that the route may answer with: those that come of what it is and
// takes, and those that its row names.
func (rt *route) kinds() []kind {
	found := append([]kind{kindBadRequest, kindForbidden, kindInternal}, rt.fails...)
	add := func(when bool, more ...kind) {
		if when {
			found = append(found, more...)
		}
	}
	named := strings.Contains(rt.pattern, "{key}")
	add(!rt.storeless, kindShuttingDown, kindStoreBusy)
	add(strings.HasPrefix(rt.pattern, nsPattern+"/"), kindNamespaceNotFound)
	add(rt.token, kindBadContext, kindNotYetVisible)
	add(slices.Contains(rt.query, "cursor"), kindBadCursor)
	add(named && rt.method == http.MethodGet, kindNotFound)
	add(rt.gives != nil, kindNotAcceptable)
	add(rt.takes != nil, kindMediaType)
	add(rt.takes != nil || named, kindTooLarge)
	add(rt.object != 0, kindPrecondition)
	add(rt.writes(), kindDiskFull)
	add(rt.keyed(), kindInProgress, kindKeyReused)
	slices.SortFunc(found, func(a, b kind) int { return slices.Index(kinds, a) - slices.Index(kinds, b) })
	return slices.Compact(found)
}

// problems describe the route's errors by status. Routes share them: each is a component.
func (rt *route) problems(api *huma.OpenAPI) map[string]*huma.Response {
	byStatus := map[string][]kind{}
	for _, k := range rt.kinds() {
		byStatus[statusText(k.status)] = append(byStatus[statusText(k.status)], k)
	}
	list := map[string]*huma.Response{}
	for status, of := range byStatus {
		name := responseName(of)
		if api.Components.Responses == nil {
			api.Components.Responses = map[string]*huma.Response{}
		}
		if api.Components.Responses[name] == nil {
			api.Components.Responses[name] = problemResponse(api.Components.Schemas, of)
		}
		list[status] = &huma.Response{Ref: "#/components/responses/" + name}
	}
	return list
}

func responseName(of []kind) string {
	names := make([]string, len(of))
	for i, k := range of {
		names[i] = k.name
	}
	return strings.Join(names, "_")
}

// problemResponse describes a reply that tells one of some kinds of problems, all of one status.
func problemResponse(schemas huma.Registry, of []kind) *huma.Response {
	media := &huma.MediaType{Examples: map[string]*huma.Example{}}
	var titles []string
	var schemaOfAny []*huma.Schema
	for _, k := range of {
		titles = append(titles, k.title+" ("+k.name+").")
		schemaOfAny = append(schemaOfAny, k.schema(schemas))
		media.Examples[k.name] = &huma.Example{Summary: k.title, Value: exampleProblem(k)}
	}
	media.Schema = schemaOfAny[0]
	if len(of) > 1 {
		media.Schema = &huma.Schema{OneOf: schemaOfAny}
	}
	res := &huma.Response{Description: strings.Join(titles, " "), Content: map[string]*huma.MediaType{mediaTypeProblem: media}}
	switch of[0].status {
	case http.StatusNotFound:
		res.Headers = map[string]*huma.Param{
			contextHeader:        textHeader("Where nothing is at a name: the token of what this reply saw.", exampleToken),
			"Preference-Applied": textHeader("wait=SECONDS, when a token was sent and the preference was honoured.", "wait=5"),
		}
	case http.StatusUnsupportedMediaType:
		res.Headers = map[string]*huma.Param{
			"Accept-Post":     textHeader("To a POST: what it takes.", mediaTypeJSON),
			"Accept-Patch":    textHeader("To a PATCH: what it takes.", mediaTypeJSON),
			"Accept-Encoding": textHeader("To a body that is encoded: identity.", "identity"),
		}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusConflict:
		res.Headers = map[string]*huma.Param{"Retry-After": {Schema: &huma.Schema{Type: huma.TypeInteger, Minimum: new(float64(1))}, Example: 1,
			Description: "After how many seconds to ask again."}}
	}
	if status := of[0].status; status > http.StatusNotFound && status <= http.StatusUnprocessableEntity {
		if res.Headers == nil {
			res.Headers = map[string]*huma.Param{}
		}
		res.Headers[replayHeader] = replayed // of what the transaction refused
	}
	return res
}

// schema describes problems of one kind, as a component. Its name is that of the kind, "NotFoundProblem".
func (k kind) schema(schemas huma.Registry) *huma.Schema {
	name := ""
	for part := range strings.SplitSeq(k.name, "-") {
		name += strings.ToUpper(part[:1]) + part[1:]
	}
	name += "Problem"
	if schemas.Map()[name] == nil {
		all := huma.SchemaFromType(huma.NewMapRegistry("", huma.DefaultSchemaNamer), reflect.TypeFor[Problem]())
		s := &huma.Schema{Type: huma.TypeObject, Description: k.title + ".", Required: []string{"type", "title", "status", "detail"}, Properties: map[string]*huma.Schema{}}
		for _, member := range append(kindMembers[k], s.Required...) {
			s.Properties[member] = all.Properties[member]
		}
		s.Properties["type"].Enum, s.Properties["status"].Enum = []any{problemPrefix + k.name}, []any{float64(k.status)}
		schemas.Map()[name] = s
	}
	return &huma.Schema{Ref: "#/components/schemas/" + name}
}
