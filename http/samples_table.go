package http

// examples are the examples that the description shows, by route.
var samples = map[string][]sample{
	"list-namespaces": {
		{name: "all", target: "/v1/ns", status: 200, reply: `{"namespaces":[{"name":"default","storage":"disk"},{"name":"live","storage":"memory"}]}`},
	},
	"put-namespace": {
		{name: "memory", summary: "A copy that is gone when the daemon stops", target: "/v1/ns/cache", body: `{"storage":"memory"}`, status: 201,
			reply: `{"name":"cache","storage":"memory"}`},
		{name: "there", summary: "It is there", target: "/v1/ns/default", body: `{}`, status: 200, reply: `{"name":"default","storage":"disk"}`},
	},
	"drop-namespace": {
		{name: "local", target: "/v1/ns/cache?drop=local", status: 204},
	},
	"list-keys": {
		{name: "of-a-type", summary: "Sets whose key begins with c", target: exampleNS + "/keys?type=set&prefix=c&limit=10", status: 200,
			reply: `{"keys":[{"type":"set","key":"cart"}],"feed":"` + exampleCursor + `"}`},
		{name: "a-page", summary: "A page with more behind it", target: exampleNS + "/keys?limit=2", status: 200,
			reply: `{"keys":[{"type":"bounded","key":"seats"},{"type":"counter","key":"visits"}],"next":"` + exampleCursor + `","feed":"` + exampleCursor + `"}`},
	},

	"get-bounded": {
		{name: "seats", target: exampleNS + "/bounded/seats", status: 200, reply: `{"type":"bounded","key":"seats","value":10,"rights":10}`},
	},
	"change-bounded": {
		{name: "add", target: exampleNS + "/bounded/seats", body: `{"inc":5}`, status: 200, reply: `{"type":"bounded","key":"seats","value":15,"rights":15}`},
		{name: "take", target: exampleNS + "/bounded/seats", body: `{"inc":-3}`, status: 200, reply: `{"type":"bounded","key":"seats","value":7,"rights":7}`},
		{name: "ask", summary: "As much may be taken here", target: exampleNS + "/bounded/seats", body: `{"ask":8}`, status: 200,
			reply: `{"type":"bounded","key":"seats","value":10,"rights":10}`},
		{name: "ask-in-vain", summary: "Nobody has as much", target: exampleNS + "/bounded/seats", body: `{"ask":11}`, status: 202,
			reply: `{"type":"bounded","key":"seats","value":10,"rights":10}`},
	},
	"delete-bounded": {
		{name: "seats", target: exampleNS + "/bounded/seats", status: 204},
	},

	"get-counter": {
		{name: "visits", target: exampleNS + "/counters/visits", status: 200, reply: `{"type":"counter","key":"visits","value":42}`},
	},
	"change-counter": {
		{name: "add", target: exampleNS + "/counters/visits", body: `{"inc":5}`, status: 200, reply: `{"type":"counter","key":"visits","value":47}`},
		{name: "large", summary: "Beyond 2^53 numbers are strings", target: exampleNS + "/counters/visits", body: `{"inc":"9007199254740992"}`, status: 200,
			reply: `{"type":"counter","key":"visits","value":"9007199254741034"}`},
		{name: "reset", summary: "Take away what was seen", target: exampleNS + "/counters/visits", body: `{"reset":true}`, status: 200,
			reply: `{"type":"counter","key":"visits","value":0}`},
		{name: "acks", summary: "No peer has told that it holds it", target: exampleNS + "/counters/visits?acks=2", body: `{"inc":1}`, status: 202,
			reply: `{"type":"counter","key":"visits","value":43}`},
	},
	"delete-counter": {
		{name: "visits", target: exampleNS + "/counters/visits", status: 204},
	},

	"get-flag": {
		{name: "on", target: exampleNS + "/flags/beta", status: 200, reply: `{"type":"flag","key":"beta","value":true}`},
	},
	"enable-flag": {
		{name: "on", target: exampleNS + "/flags/gamma", status: 204},
	},
	"disable-flag": {
		{name: "off", target: exampleNS + "/flags/beta", status: 204},
	},

	"get-list": {
		{name: "todo", target: exampleNS + "/lists/todo", status: 200,
			reply: `{"type":"list","key":"todo","items":[{"id":"` + exampleItem + `","value":"milk"},{"id":"` + exampleOtherItem + `","value":{"buy":"bread"}}],"size":2}`},
		{name: "a-page", target: exampleNS + "/lists/todo?limit=1", status: 200,
			reply: `{"type":"list","key":"todo","items":[{"id":"` + exampleItem + `","value":"milk"}],"size":2,"next":"` + exampleCursor + `"}`},
	},
	"change-list": {
		{name: "append", target: exampleNS + "/lists/todo", body: `{"insert":["eggs",{"buy":"tea"}]}`, status: 200,
			reply: `{"inserted":["` + exampleItem + `","` + exampleOtherItem + `"]}`},
		{name: "insert", summary: "Behind an item", target: exampleNS + "/lists/todo", body: `{"insert":["eggs"],"after":"` + exampleItem + `"}`, status: 200,
			reply: `{"inserted":["` + exampleOtherItem + `"]}`},
		{name: "move", target: exampleNS + "/lists/todo", body: `{"item":"` + exampleOtherItem + `","at":"start"}`, status: 200, reply: `{}`},
		{name: "set", target: exampleNS + "/lists/todo", body: `{"item":"` + exampleItem + `","value":"oat milk"}`, status: 200, reply: `{}`},
		{name: "delete", target: exampleNS + "/lists/todo", body: `{"item":"` + exampleItem + `","delete":true}`, status: 200, reply: `{}`},
	},
	"delete-list": {
		{name: "todo", target: exampleNS + "/lists/todo", status: 204},
	},
	"get-item": {
		{name: "milk", target: exampleNS + "/lists/todo/items/" + exampleItem, status: 200, reply: `{"type":"list","key":"todo","id":"` + exampleItem + `","value":"milk"}`},
	},
	"put-item": {
		{name: "text", target: exampleNS + "/lists/todo/items/" + exampleItem, body: `"oat milk"`, status: 204},
	},
	"delete-item": {
		{name: "milk", target: exampleNS + "/lists/todo/items/" + exampleItem, status: 204},
	},

	"get-presence": {
		{name: "workers", target: exampleMemory + "/presence/workers", status: 200,
			reply: `{"type":"presence","key":"workers","members":[{"member":"w1","values":[{"replica":"2f6c3a5b9d801e47","value":{"port":8080}}]}],"size":1}`},
	},
	"get-announcement": {
		{name: "w1", target: exampleMemory + "/presence/workers/members/w1", status: 200,
			reply: `{"type":"presence","key":"workers","member":"w1","values":[{"replica":"2f6c3a5b9d801e47","value":{"port":8080}}]}`},
	},
	"announce": {
		{name: "w2", target: exampleMemory + "/presence/workers/members/w2", body: `{"port":8081}`, status: 204},
	},
	"withdraw": {
		{name: "w1", target: exampleMemory + "/presence/workers/members/w1", status: 204},
	},

	"get-set": {
		{name: "cart", target: exampleNS + "/sets/cart", status: 200, reply: `{"type":"set","key":"cart","members":["apples","pears","plums"],"size":3}`},
		{name: "a-page", summary: "Members that begin with p, one a page", target: exampleNS + "/sets/cart?prefix=p&limit=1", status: 200,
			reply: `{"type":"set","key":"cart","members":["pears"],"size":3,"next":"` + exampleCursor + `"}`},
	},
	"change-set": {
		{name: "both", summary: "What is removed is removed first", target: exampleNS + "/sets/cart", body: `{"add":["figs","pears"],"remove":["apples"]}`, status: 200,
			reply: `{"added":1,"removed":1}`},
	},
	"delete-set": {
		{name: "cart", target: exampleNS + "/sets/cart", status: 204},
	},
	"get-member": {
		{name: "there", target: exampleNS + "/sets/cart/members/apples", status: 204},
	},
	"put-member": {
		{name: "add", summary: "Names are escaped once: this one is 1/2 figs", target: exampleNS + "/sets/cart/members/1%2F2%20figs", status: 204},
	},
	"delete-member": {
		{name: "remove", target: exampleNS + "/sets/cart/members/apples", status: 204},
	},

	"get-register": {
		{name: "greeting", target: exampleNS + "/registers/greeting", status: 200, reply: `{"type":"register","key":"greeting","value":"hello","conflict":false}`},
	},
	"put-register": {
		{name: "text", target: exampleNS + "/registers/greeting", body: `"good day"`, status: 204},
		{name: "object", summary: "Any JSON value is one value", target: exampleNS + "/registers/settings", body: `{"theme":"dark","sizes":[1,2.50]}`, status: 204},
	},
	"delete-register": {
		{name: "greeting", target: exampleNS + "/registers/greeting", status: 204},
	},

	"get-map": {
		{name: "plain", target: exampleNS + "/maps/ada", status: 200,
			reply: `{"type":"map","key":"ada","value":{"address":{"city":"Delft"},"name":"Ada","tags":["x"],"visits":3}}`},
		{name: "a-page", summary: "One field a page", target: exampleNS + "/maps/ada?limit=1", status: 200,
			reply: `{"type":"map","key":"ada","value":{"address":{"city":"Delft"}},"next":"` + exampleCursor + `"}`},
		{name: "typed", summary: "Every field with its type", target: exampleNS + "/maps/ada?shape=typed", status: 200,
			reply: `{"type":"map","key":"ada","conflict":false,"fields":[{"path":["address","city"],"type":"register","value":"Delft"},` +
				`{"path":["name"],"type":"register","value":"Ada"},{"path":["tags"],"type":"set","members":["x"],"size":1},` +
				`{"path":["visits"],"type":"counter","value":3}]}`},
	},
	"change-map": {
		{name: "ops", target: exampleNS + "/maps/ada", body: `{"ops":[{"path":["name"],"value":"Ada L."},{"path":["visits"],"inc":1},{"path":["tags"],"add":["y"],"remove":["x"]},` +
			`{"path":["address","city"],"delete":true}]}`, status: 200, reply: `{"type":"map","key":"ada","value":{"name":"Ada L.","tags":["y"],"visits":4}}`},
		{name: "merge", summary: "A merge patch", target: exampleNS + "/maps/ada", headers: []string{"Content-Type: " + mediaTypeMerge},
			body: `{"name":"Ada L.","address":{"city":null,"zip":"2611"}}`, status: 200,
			reply: `{"type":"map","key":"ada","value":{"address":{"zip":"2611"},"name":"Ada L.","tags":["x"],"visits":3}}`},
	},
	"delete-map": {
		{name: "ada", target: exampleNS + "/maps/ada", status: 204},
	},
	"get-field": {
		{name: "set", target: exampleNS + "/maps/ada/fields/tags", status: 200, reply: `{"type":"set","key":"ada","path":["tags"],"members":["x"],"size":1}`},
		{name: "register", target: exampleNS + "/maps/ada/fields/address/city", status: 200, reply: `{"type":"register","key":"ada","path":["address","city"],"value":"Delft"}`},
		{name: "typed", summary: "What is at and under a field", target: exampleNS + "/maps/ada/fields/address?shape=typed", status: 200,
			reply: `{"type":"map","key":"ada","path":["address"],"conflict":false,"fields":[{"path":["address","city"],"type":"register","value":"Delft"}]}`},
	},
	"put-field": {
		{name: "text", target: exampleNS + "/maps/ada/fields/address/city", body: `"Leiden"`, status: 204},
	},
	"delete-field": {
		{name: "all-under-it", target: exampleNS + "/maps/ada/fields/address", status: 204},
	},

	"batch": {
		{name: "ops", target: exampleNS + "/batch", body: `{"ops":[{"counter":"visits","inc":1},{"set":"cart","add":["figs"],"remove":["plums"]},{"register":"greeting","value":null},` +
			`{"map":"ada","path":["visits"],"reset":true},{"set":"old","delete":true}]}`, status: 200,
			reply: `{"results":[{"value":43},{"added":1,"removed":1},{},{"value":0},{}]}`},
		{name: "conditions", summary: "Only if nobody was faster", target: exampleNS + "/batch",
			body: `{"if":[{"register":"owner","absent":true},{"set":"cart","etag":"*"}],"ops":[{"register":"owner","value":"me"}]}`, status: 200, reply: `{"results":[{}]}`},
	},
	"bulk": {
		{name: "lines", summary: "A line that fails stops no other", target: exampleNS + "/bulk", headers: []string{"Content-Type: " + mediaTypeNDJSON},
			body: `{"counter":"visits","inc":1}
{"set":"cart","add":["figs"]}
{"register":"greeting","value":"good day"}
{"counter":"visits","add":["x"]}`, status: 200, reply: `{"line":1,"status":200,"value":43}
{"line":2,"status":200,"added":1,"removed":0}
{"line":3,"status":200}
{"line":4,"problem":{"type":"urn:anabranch:problem:wrong-type-op","title":"The type has no such action","status":422,"detail":"a counter has no action add and remove; it has inc, reset, delete"}}
{"status":200,"lines":4,"failed":1,"context":"` + exampleToken + `"}`},
	},
	"list-conflicts": {
		{name: "none", target: exampleNS + "/conflicts", status: 200, reply: `{"conflicts":[]}`},
	},
	"export": {
		{name: "all", target: exampleNS + "/export", status: 200, reply: `{"bounded":"seats","inc":10}
{"counter":"visits","inc":42}
{"flag":"beta","enable":true}
{"list":"todo","insert":["milk",{"buy":"bread"}]}
{"map":"ada","path":["address","city"],"value":"Delft"}
{"map":"ada","path":["name"],"value":"Ada"}
{"map":"ada","path":["tags"],"add":["x"]}
{"map":"ada","path":["visits"],"inc":3}
{"register":"greeting","value":"hello"}
{"set":"cart","add":["apples","pears","plums"]}`},
	},
	"follow-changes": {
		{name: "poll", summary: "Sets whose key begins with c, from the beginning", target: exampleNS + "/changes?since=start&type=set&prefix=c&include=value&limit=10&timeout=1s", status: 200,
			reply: `{"changes":[{"cursor":"` + exampleCursor + `","event":"changed","type":"set","key":"cart","value":["apples","pears","plums"]}],"cursor":"` + exampleCursor + `"}`},
		{name: "lines", summary: "A stream of lines", target: exampleNS + "/changes?since=start&type=set&limit=1", headers: []string{"Accept: " + mediaTypeNDJSON}, status: 200,
			reply: `{"cursor":"` + exampleCursor + `","event":"bookmark"}
{"cursor":"` + exampleCursor + `","event":"changed","type":"set","key":"cart"}`},
		{name: "events", summary: "Server-sent events", target: exampleNS + "/changes?since=start&type=set&limit=1", headers: []string{"Accept: " + mediaTypeSSE}, status: 200,
			reply: `id: ` + exampleCursor + `
event: bookmark
data: {"cursor":"` + exampleCursor + `","event":"bookmark"}

id: ` + exampleCursor + `
event: changed
data: {"cursor":"` + exampleCursor + `","event":"changed","type":"set","key":"cart"}`},
	},

	"get-sync": {
		{name: "apart", target: exampleNS + "/sync", status: 200, reply: exampleSync},
	},
	"sync": {
		{name: "push", summary: "The peer did not answer in time", target: exampleNS + "/sync", headers: []string{"Prefer: wait=1"},
			body: `{"peer":"` + examplePeer + `","direction":"push"}`, status: 202, reply: exampleSync},
		{name: "pull", summary: "Get what the peers hold", target: exampleNS + "/sync", body: `{"direction":"pull"}`, status: 202, reply: exampleSync},
	},
	"get-status": {
		{name: "status", target: "/v1/status", status: 200, reply: `{"version":"0.1.0","peer_id":"` + examplePeer + `","uptime_seconds":3600,"addresses":["/ip4/192.0.2.7/tcp/7701/p2p/` + examplePeer + `"],` +
			`"namespaces":[{"name":"default","replica_id":"6f1ce7b02a04d0f3","objects":7,"entries":13,"context":"` + exampleCursor + `"},` +
			`{"name":"live","replica_id":"2f6c3a5b9d801e47","objects":1,"entries":2,"context":"` + exampleCursor + `"}],"disk_bytes":65536}`},
	},
	"list-peers": {
		{name: "one", target: "/v1/peers", status: 200, reply: `{"peers":[{"id":"` + examplePeer + `","connected":true,"addresses":["/ip4/192.0.2.7/tcp/7701"]}]}`},
	},
	"add-peer": {
		{name: "address", target: "/v1/peers", body: `{"addr":"/ip4/192.0.2.7/tcp/7701/p2p/` + examplePeer + `"}`, status: 202,
			reply: `{"addr":"/ip4/192.0.2.7/tcp/7701/p2p/` + examplePeer + `"}`},
	},
	"retire-replica": {
		{name: "gone", target: "/v1/replicas/" + exampleReplica + "/retire", body: `{}`, status: 200,
			reply: `{"replica":"` + exampleReplica + `","sealed":[{"namespace":"default","final":2}]}`},
	},
	"get-health":    {{name: "ok", target: "/healthz", status: 200, reply: `{"status":"ok"}`}},
	"get-readiness": {{name: "ok", target: "/readyz", status: 200, reply: `{"status":"ok"}`}},
	"get-openapi":   {{name: "head", summary: "How it begins", target: "/openapi.json", status: 200, reply: `{"openapi":"3.1.0","info":{"title":"Anabranch"}}`}},
}

const (
	exampleNS     = "/v1/ns/default"
	exampleMemory = "/v1/ns/live"
	exampleSync   = `{"converged":false,"context":"` + exampleCursor + `","peers":[{"id":"` + examplePeer + `","state":"connected","missing_here":2,"missing_there":13,"last_exchange":"2026-01-02T03:04:05Z"}]}`
)
