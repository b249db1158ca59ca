package http

import "testing"

func TestCounter(t *testing.T) {
	d := newDaemon(t)
	const c = ns + "/counters/visits"
	d.do("GET", c, "").problem(kindNotFound)
	d.do("DELETE", c, "").want(204, "")
	d.do("POST", c, `{"reset":true}`).want(200, `{"type":"counter","key":"visits","value":0}`)
	d.do("GET", c, "").problem(kindNotFound)
	d.do("POST", c, `{"inc":5}`).want(200, `{"type":"counter","key":"visits","value":5}`)
	d.do("POST", c, `{"inc":"-3"}`).want(200, `{"type":"counter","key":"visits","value":2}`)
	d.do("POST", c, `{"inc":1.0}`).want(200, `{"type":"counter","key":"visits","value":3}`)
	d.do("GET", c, "").want(200, `{"type":"counter","key":"visits","value":3}`)
	d.do("POST", c, `{"reset":true}`).want(200, `{"type":"counter","key":"visits","value":0}`)
	d.do("GET", c, "").problem(kindNotFound)
	d.do("POST", c, `{"inc":9007199254740991}`).want(200, `{"type":"counter","key":"visits","value":9007199254740991}`)
	d.do("POST", c, `{"inc":1}`).want(200, `{"type":"counter","key":"visits","value":"9007199254740992"}`)
	d.do("DELETE", c, "").want(204, "")
	d.do("GET", c, "").problem(kindNotFound)
	d.do("POST", c, `{"inc":"-9223372036854775808"}`).want(200, `{"type":"counter","key":"visits","value":"-9223372036854775808"}`)
	d.do("POST", c, `{"inc":-1}`).problem(kindOverflow)
}

func TestSet(t *testing.T) {
	d := newDaemon(t)
	const s = ns + "/sets/s"
	d.do("GET", s, "").problem(kindNotFound)
	d.do("GET", s+"/members/a", "").problem(kindNotFound)
	d.do("POST", s, `{"add":[]}`).want(200, `{"added":0,"removed":0}`)
	d.do("GET", s, "").problem(kindNotFound)
	d.do("PUT", s+"/members/a", "").want(204, "")
	d.do("PUT", s+"/members/a", "").want(204, "")
	d.do("GET", s+"/members/a", "").want(204, "")
	d.do("POST", s, `{"add":["a","b","b","c"],"remove":["c","x"]}`).want(200, `{"added":2,"removed":0}`)
	d.do("POST", s, `{"add":["c"],"remove":["c"]}`).want(200, `{"added":1,"removed":1}`)
	d.do("GET", s, "").want(200, `{"type":"set","key":"s","members":["a","b","c"],"size":3}`)
	d.do("GET", s+"?prefix=b", "").want(200, `{"type":"set","key":"s","members":["b"],"size":3}`)
	d.do("GET", s+"?prefix=z", "").want(200, `{"type":"set","key":"s","members":[],"size":3}`)
	d.do("DELETE", s+"/members/b", "").want(204, "")
	d.do("DELETE", s+"/members/b", "").want(204, "")
	d.do("DELETE", s, "").want(204, "")
	d.do("GET", s, "").problem(kindNotFound)
}

func TestRegister(t *testing.T) {
	d := newDaemon(t)
	const r = ns + "/registers/r"
	d.do("GET", r, "").problem(kindNotFound)
	for in, out := range map[string]string{
		` { "b" : 1.0 , "a" : [ 1e400 , -0 ] } `: `{"b":1.0,"a":[1e400,-0]}`,
		`null`:                                   `null`,
		`"<\u00e9é\ud83d\ude00>"`:                `"<\u00e9é\ud83d\ude00>"`,
		`12345678901234567890123`:                `12345678901234567890123`,
	} {
		d.do("PUT", r, in).want(204, "")
		d.do("GET", r, "").want(200, `{"type":"register","key":"r","value":`+out+`,"conflict":false}`)
	}
	d.do("DELETE", r, "").want(204, "")
	d.do("GET", r, "").problem(kindNotFound)
}

func TestMap(t *testing.T) {
	d := newDaemon(t)
	const m = ns + "/maps/m"
	d.do("GET", m, "").problem(kindNotFound)
	d.do("PATCH", m, `{"ops":[{"path":["name"],"value":"Ada"},{"path":["visits"],"inc":3},{"path":["tags"],"add":["x"],"remove":["y"]},
		{"path":["address","city"],"value":"Delft"},{"path":["old"],"delete":true}]}`).
		want(200, `{"type":"map","key":"m","value":{"address":{"city":"Delft"},"name":"Ada","tags":["x"],"visits":3}}`)
	d.do("GET", m, "").want(200, `{"type":"map","key":"m","value":{"address":{"city":"Delft"},"name":"Ada","tags":["x"],"visits":3}}`)
	d.do("GET", m+"/fields/address/city", "").want(200, `{"type":"register","key":"m","path":["address","city"],"value":"Delft"}`)
	d.do("GET", m+"/fields/address", "").want(200, `{"type":"map","key":"m","path":["address"],"value":{"city":"Delft"}}`)
	d.do("GET", m+"/fields/visits", "").want(200, `{"type":"counter","key":"m","path":["visits"],"value":3}`)
	d.do("GET", m+"/fields/tags", "").want(200, `{"type":"set","key":"m","path":["tags"],"members":["x"],"size":1}`)
	d.do("GET", m+"/fields/none", "").problem(kindNotFound)
	d.do("PUT", m+"/fields/visits", `{"now":"json"}`).want(204, "")
	d.do("PUT", m+"/fields/address", `null`).want(204, "")
	d.do("GET", m, "").want(200, `{"type":"map","key":"m","value":{"address":null,"name":"Ada","tags":["x"],"visits":{"now":"json"}}}`)
	d.do("DELETE", m+"/fields/address", "").want(204, "")
	d.do("DELETE", m+"/fields/none/at/all", "").want(204, "")
	d.do("PATCH", m, `{"ops":[{"path":["visits"],"inc":1},{"path":["visits"],"reset":true}]}`).
		want(200, `{"type":"map","key":"m","value":{"name":"Ada","tags":["x"],"visits":{"now":"json"}}}`)
	d.do("DELETE", m, "").want(204, "")
	d.do("GET", m, "").problem(kindNotFound)
	d.do("PATCH", m, `{"ops":[]}`).want(200, `{"type":"map","key":"m","value":{}}`)
}

func TestBatchAndExport(t *testing.T) {
	d := newDaemon(t)
	d.do("POST", ns+"/batch", `{"ops":[{"counter":"a","inc":1},{"set":"s","add":["x","y"]},{"register":"r","value":[1, 2]},
		{"map":"m","path":["p","q"],"value":1},{"map":"m","path":["n"],"inc":2},{"map":"m","path":["t"],"add":["z"]},
		{"set":"t","delete":true},{"counter":"a","inc":"1"},{"counter":"zero","inc":1},{"counter":"zero","inc":-1}]}`).
		want(200, `{"results":[{"value":1},{"added":2,"removed":0},{},{},{"value":2},{"added":1,"removed":0},{},{"value":2},{"value":1},{"value":0}]}`)
	export := d.do("GET", ns+"/export", "").want(200, `{"counter":"a","inc":2}
{"map":"m","path":["n"],"inc":2}
{"map":"m","path":["p","q"],"value":1}
{"map":"m","path":["t"],"add":["z"]}
{"register":"r","value":[1,2]}
{"set":"s","add":["x","y"]}`)
	if export.token() == "" || export.header.Get("Content-Type") != mediaTypeNDJSON {
		t.Fatal(export.header)
	}
	d.do("GET", ns+"/keys", "").want(200, `{"keys":[{"type":"counter","key":"a"},{"type":"counter","key":"zero"},{"type":"map","key":"m"},{"type":"register","key":"r"},{"type":"set","key":"s"}]}`)
	d.do("GET", ns+"/keys?type=set", "").want(200, `{"keys":[{"type":"set","key":"s"}]}`)
	d.do("POST", ns+"/batch", `{"ops":[{"counter":"a","delete":true},{"counter":"zero","delete":true},{"register":"r","delete":true},{"map":"m","path":["p"],"delete":true},{"map":"m","delete":true},{"set":"s","delete":true}]}`).
		want(200, `{"results":[{},{},{},{},{},{}]}`)
	d.do("GET", ns+"/keys", "").want(200, `{"keys":[]}`)
	d.do("GET", ns+"/export", "").want(200, ``)
	d.do("POST", ns+"/batch", `{"ops":[{"counter":"a","inc":1},{"counter":"b","inc":"9223372036854775807"},{"counter":"b","inc":1}]}`).problem(kindOverflow)
	d.do("GET", ns+"/keys", "").want(200, `{"keys":[]}`)
}
