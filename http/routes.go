package http

import (
	"net/http"

	"github.com/anabranchdb/anabranch/crdt"
)

// The patterns of resources. A name is one segment; {path} is one or more.
const (
	nsPattern       = "/v1/ns/{ns}"
	boundedPattern  = nsPattern + "/bounded/{key}"
	counterPattern  = nsPattern + "/counters/{key}"
	flagPattern     = nsPattern + "/flags/{key}"
	listPattern     = nsPattern + "/lists/{key}"
	itemPattern     = listPattern + "/items/{item}"
	setPattern      = nsPattern + "/sets/{key}"
	memberPattern   = setPattern + "/members/{member}"
	presencePattern = nsPattern + "/presence/{key}"
	announcePattern = presencePattern + "/members/{member}"
	registerPattern = nsPattern + "/registers/{key}"
	mapPattern      = nsPattern + "/maps/{key}"
	fieldPattern    = mapPattern + "/fields/{path}"
	changesPattern  = nsPattern + "/changes"
)

// routes is the table of all that this version answers.
func routes() []route {
	var all []route
	for _, group := range [][]route{namespaceRoutes(), boundedRoutes(), counterRoutes(), flagRoutes(), listRoutes(), setRoutes(), presenceRoutes(), registerRoutes(), mapRoutes(), bulkRoutes(), daemonRoutes()} {
		all = append(all, group...)
	}
	return all
}

func namespaceRoutes() []route {
	const tag = "namespaces"
	return []route{
		{method: "GET", pattern: "/v1/ns", id: "list-namespaces", tag: tag, summary: "List the namespaces that this daemon holds",
			gives: Namespaces{}, status: 200, handle: getNamespaces},
		{method: "PUT", pattern: nsPattern, id: "put-namespace", tag: tag, summary: "Create a namespace copy here, or confirm it",
			doc:   "201 when it was created, 200 when it was there.",
			takes: NamespaceOptions{}, bodyLimit: maxBodyBytes, gives: NamespaceInfo{}, status: 200, also: 201, handle: putNamespace},
		{method: "DELETE", pattern: nsPattern, id: "drop-namespace", tag: tag, summary: "Leave a namespace and drop the local copy only",
			query: []string{"drop"}, status: 204, handle: deleteNamespace},
		{method: "GET", pattern: nsPattern + "/keys", id: "list-keys", tag: tag, summary: "List objects",
			query: []string{"type", "prefix", "limit", "cursor"}, token: true, gives: Keys{}, status: 200, handle: read(getKeys)},
	}
}

func boundedRoutes() []route {
	const tag = "bounded counters"
	return []route{
		{method: "GET", pattern: boundedPattern, id: "get-bounded", tag: tag, object: crdt.Bounded, summary: "Read a bounded counter, and what may be taken of it here",
			token: true, gives: Bounded{}, status: 200, handle: read(getBounded)},
		{method: "POST", pattern: boundedPattern, id: "change-bounded", tag: tag, object: crdt.Bounded, summary: "Add to a bounded counter, take from it, or ask for rights",
			doc:   "To take needs rights, of this daemon: without them 409. Within the time of Prefer: wait peers are asked for theirs. ask answers 200 when that much may be taken here, 202 when not.",
			token: true, takes: BoundedOp{}, bodyLimit: maxOpsBytes, gives: Bounded{}, status: 200, fails: []kind{kindOverflow, kindRights}, handle: postBounded},
		{method: "DELETE", pattern: boundedPattern, id: "delete-bounded", tag: tag, object: crdt.Bounded, summary: "Take everything of a bounded counter",
			doc:   "That needs all rights: without them 409. Within the time of Prefer: wait peers are asked for theirs.",
			token: true, status: 204, fails: []kind{kindRights}, handle: deleteBounded},
	}
}

func counterRoutes() []route {
	const tag = "counters"
	return []route{
		{method: "GET", pattern: counterPattern, id: "get-counter", tag: tag, object: crdt.Counter, summary: "Read a counter",
			token: true, gives: Counter{}, status: 200, handle: read(getCounter)},
		{method: "POST", pattern: counterPattern, id: "change-counter", tag: tag, object: crdt.Counter, summary: "Add to a counter, or reset it",
			token: true, takes: CounterOp{}, bodyLimit: maxOpsBytes, gives: Counter{}, status: 200, fails: []kind{kindOverflow, kindWrongType}, handle: postCounter},
		{method: "DELETE", pattern: counterPattern, id: "delete-counter", tag: tag, object: crdt.Counter, summary: "Delete a counter",
			token: true, status: 204, handle: deleteObject(crdt.Counter)},
	}
}

func flagRoutes() []route {
	const tag = "flags"
	return []route{
		{method: "GET", pattern: flagPattern, id: "get-flag", tag: tag, object: crdt.Flag, summary: "Ask whether a flag is on",
			token: true, gives: Flag{}, status: 200, handle: read(getFlag)},
		{method: "PUT", pattern: flagPattern, id: "enable-flag", tag: tag, object: crdt.Flag, summary: "Turn a flag on",
			query: lifetimeParams, token: true, status: 204, handle: putFlag},
		{method: "DELETE", pattern: flagPattern, id: "disable-flag", tag: tag, object: crdt.Flag, summary: "Turn a flag off",
			token: true, status: 204, handle: deleteObject(crdt.Flag)},
	}
}

func listRoutes() []route {
	const tag = "lists"
	return []route{
		{method: "GET", pattern: listPattern, id: "get-list", tag: tag, object: crdt.List, summary: "Read a page of a list",
			query: []string{"limit", "cursor"}, token: true, gives: List{}, status: 200, handle: read(getList)},
		{method: "POST", pattern: listPattern, id: "change-list", tag: tag, object: crdt.List, summary: "Insert values, or set, move or delete an item",
			token: true, takes: ListOp{}, bodyLimit: maxOpsBytes, gives: ListChange{}, status: 200, fails: []kind{kindNotFound, kindWrongType}, handle: postList},
		{method: "DELETE", pattern: listPattern, id: "delete-list", tag: tag, object: crdt.List, summary: "Delete a list",
			token: true, status: 204, handle: deleteObject(crdt.List)},
		{method: "GET", pattern: itemPattern, id: "get-item", tag: tag, summary: "Read an item",
			token: true, gives: ListItem{}, status: 200, handle: read(getItem)},
		{method: "PUT", pattern: itemPattern, id: "put-item", tag: tag, object: crdt.List, summary: "Give an item a value",
			query: lifetimeParams, token: true, takes: jsonValue{}, bodyLimit: maxBodyBytes, status: 204, fails: []kind{kindNotFound}, handle: putItem},
		{method: "DELETE", pattern: itemPattern, id: "delete-item", tag: tag, object: crdt.List, summary: "Delete an item",
			token: true, status: 204, handle: deleteItem},
	}
}

func setRoutes() []route {
	const tag = "sets"
	return []route{
		{method: "GET", pattern: setPattern, id: "get-set", tag: tag, object: crdt.Set, summary: "Read a page of a set",
			query: []string{"prefix", "limit", "cursor"}, token: true, gives: Set{}, status: 200, handle: read(getSet)},
		{method: "POST", pattern: setPattern, id: "change-set", tag: tag, object: crdt.Set, summary: "Add and remove members",
			token: true, takes: SetOp{}, bodyLimit: maxOpsBytes, gives: SetChange{}, status: 200, fails: []kind{kindWrongType}, handle: postSet},
		{method: "DELETE", pattern: setPattern, id: "delete-set", tag: tag, object: crdt.Set, summary: "Delete a set",
			token: true, status: 204, handle: deleteObject(crdt.Set)},
		{method: "GET", pattern: memberPattern, id: "get-member", tag: tag, summary: "Ask whether a member is in a set",
			token: true, status: 204, handle: read(getMember)},
		{method: "PUT", pattern: memberPattern, id: "put-member", tag: tag, object: crdt.Set, summary: "Add a member",
			query: lifetimeParams, token: true, status: 204, handle: putMember},
		{method: "DELETE", pattern: memberPattern, id: "delete-member", tag: tag, object: crdt.Set, summary: "Remove a member",
			token: true, status: 204, handle: deleteMember},
	}
}

func presenceRoutes() []route {
	const tag = "presence"
	return []route{
		{method: "GET", pattern: presencePattern, id: "get-presence", tag: tag, object: crdt.Presence, summary: "Read a page of who is there",
			query: []string{"prefix", "limit", "cursor"}, token: true, gives: Presence{}, status: 200, handle: presence(read(getPresence))},
		{method: "GET", pattern: announcePattern, id: "get-announcement", tag: tag, summary: "Read what is announced at a member",
			token: true, gives: PresentMember{}, status: 200, handle: presence(read(getAnnouncement))},
		{method: "PUT", pattern: announcePattern, id: "announce", tag: tag, object: crdt.Presence, summary: "Announce a member in the name of this daemon",
			doc:   "It is there until it is withdrawn here, until its deadline, or until this daemon stops or is not heard of for 15 seconds.",
			query: lifetimeParams, token: true, takes: jsonValue{}, bodyLimit: maxBodyBytes, status: 204, fails: []kind{kindTooLarge}, handle: presence(putAnnouncement)},
		{method: "DELETE", pattern: announcePattern, id: "withdraw", tag: tag, object: crdt.Presence, summary: "Withdraw what this daemon announced at a member",
			token: true, status: 204, handle: presence(deleteAnnouncement)},
	}
}

func registerRoutes() []route {
	const tag = "registers"
	return []route{
		{method: "GET", pattern: registerPattern, id: "get-register", tag: tag, object: crdt.Register, summary: "Read a register and its siblings",
			token: true, gives: Register{}, status: 200, handle: read(getRegister)},
		{method: "PUT", pattern: registerPattern, id: "put-register", tag: tag, object: crdt.Register, summary: "Write a register",
			query: lifetimeParams, token: true, takes: jsonValue{}, bodyLimit: maxBodyBytes, status: 204, handle: putRegister},
		{method: "DELETE", pattern: registerPattern, id: "delete-register", tag: tag, object: crdt.Register, summary: "Delete a register",
			token: true, status: 204, handle: deleteObject(crdt.Register)},
	}
}

func mapRoutes() []route {
	const tag = "maps"
	return []route{
		{method: "GET", pattern: mapPattern, id: "get-map", tag: tag, object: crdt.Map, summary: "Read a map, whole or by pages of its fields",
			query: []string{"shape", "limit", "cursor"}, token: true, gives: Map{}, typed: TypedMap{}, status: 200, fails: []kind{kindTooLarge}, handle: read(getMap)},
		{method: "PATCH", pattern: mapPattern, id: "change-map", tag: tag, object: crdt.Map, summary: "Change fields of a map, all or nothing",
			doc:   "By ops, or by a merge patch (RFC 7396).",
			token: true, takes: MapOps{}, bodyLimit: maxOpsBytes, merges: true, gives: Map{}, status: 200, fails: []kind{kindNotFound, kindOverflow, kindWrongType}, handle: changeMap},
		{method: "DELETE", pattern: mapPattern, id: "delete-map", tag: tag, object: crdt.Map, summary: "Delete a map",
			token: true, status: 204, handle: deleteObject(crdt.Map)},
		{method: "GET", pattern: fieldPattern, id: "get-field", tag: tag, summary: "Read one field of a map, of any type",
			query: []string{"shape", "prefix", "limit", "cursor"}, token: true, gives: Field{}, typed: TypedMap{}, status: 200, handle: read(getField)},
		{method: "PUT", pattern: fieldPattern, id: "put-field", tag: tag, object: crdt.Map, summary: "Write a register at a field",
			query: lifetimeParams, token: true, takes: jsonValue{}, bodyLimit: maxBodyBytes, status: 204, handle: putField},
		{method: "DELETE", pattern: fieldPattern, id: "delete-field", tag: tag, object: crdt.Map, summary: "Delete what is at and under a field",
			token: true, status: 204, handle: deleteField},
	}
}

func bulkRoutes() []route {
	const tag = "many objects"
	return []route{
		{method: "POST", pattern: nsPattern + "/batch", id: "batch", tag: tag, summary: "Change many objects, all or nothing",
			token: true, takes: Batch{}, bodyLimit: maxOpsBytes, gives: BatchResults{}, status: 200, fails: []kind{kindNotFound, kindPrecondition, kindOverflow, kindWrongType, kindRights}, handle: postBatch},
		{method: "POST", pattern: nsPattern + "/bulk", id: "bulk", tag: tag, summary: "Change any number of objects, line by line",
			doc: "Every line is an op as in a batch, atomic by itself, and has a line in the reply, while the bulk goes on. The last line tells of all; when it is missing, the bulk has not ended well. " +
				"With an Idempotency-Key it goes on where an earlier request stopped.",
			token: true, takes: BatchOp{}, lines: true, gives: BulkResult{}, ndjson: true, status: 200, fails: []kind{kindRateLimited}, handle: postBulk},
		{method: "GET", pattern: nsPattern + "/conflicts", id: "list-conflicts", tag: tag, summary: "List objects with more than one concurrent value",
			query: []string{"limit", "cursor"}, token: true, gives: Conflicts{}, status: 200, handle: read(getConflicts)},
		{method: "GET", pattern: nsPattern + "/export", id: "export", tag: tag, summary: "Stream everything visible as lines of ops",
			token: true, gives: BatchOp{}, ndjson: true, status: 200, handle: getExport},
		{method: "GET", pattern: changesPattern, id: "follow-changes", tag: tag, summary: "Follow what changes, by polls or as a stream",
			doc:   "Every change of an object is followed by its latest state; states in between may be skipped, and a change may come twice.",
			query: []string{"since", "type", "prefix", "include", "limit", "timeout"}, token: true, gives: Changes{}, streams: Change{}, status: 200, fails: []kind{kindBadCursor, kindCursorExpired, kindRateLimited}, handle: getChanges},
	}
}

func daemonRoutes() []route {
	const tag = "daemon"
	return []route{
		{method: "GET", pattern: nsPattern + "/sync", id: "get-sync", tag: tag, summary: "Compare this copy with those of the peers",
			gives: SyncStatus{}, status: 200, handle: getSync},
		{method: "POST", pattern: nsPattern + "/sync", id: "sync", tag: tag, summary: "Wait until this copy and those of the peers have each other's changes",
			doc:   "200 when that is reached, 202 when it is not, with the same body. The target is fixed when the request comes in. Without Prefer: wait there is no time to reach it.",
			waits: true, takes: Barrier{}, bodyLimit: maxBodyBytes, gives: SyncStatus{}, status: 200, also: http.StatusAccepted, fails: []kind{kindNotFound}, handle: postSync},
		{method: "GET", pattern: "/v1/status", id: "get-status", tag: tag, summary: "Tell of this daemon",
			gives: Status{}, status: 200, handle: getStatus},
		{method: "GET", pattern: "/v1/peers", id: "list-peers", tag: tag, summary: "List peers",
			gives: Peers{}, status: 200, handle: getPeers},
		{method: "POST", pattern: "/v1/peers", id: "add-peer", tag: tag, summary: "Remember a peer's address and dial it",
			takes: NewPeer{}, bodyLimit: maxBodyBytes, gives: NewPeer{}, status: http.StatusAccepted, handle: postPeer},
		{method: "POST", pattern: "/v1/replicas/{id}/retire", id: "retire-replica", tag: tag, summary: "Declare that a replica id never returns",
			doc:   "In every namespace in which changes of it are known here. This daemon then clears away what only that replica could, such as counters that were reset. If it does return, its changes are taken all the same, and an alarm tells of it.",
			takes: Retirement{}, bodyLimit: maxBodyBytes, gives: Retired{}, status: 200, fails: []kind{kindNotFound, kindStoreBusy, kindDiskFull}, handle: postRetire},
		{method: "GET", pattern: "/healthz", id: "get-health", tag: tag, summary: "Ask whether the process answers",
			gives: Health{}, status: 200, storeless: true, handle: getHealth},
		{method: "GET", pattern: "/readyz", id: "get-readiness", tag: tag, summary: "Ask whether the store is open",
			gives: Health{}, status: 200, handle: getReady},
		{method: "GET", pattern: "/openapi.json", id: "get-openapi", tag: tag, summary: "Describe this API",
			gives: jsonValue{}, status: 200, storeless: true, handle: getSpec},
	}
}
