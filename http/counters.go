package http

import "github.com/anabranchdb/anabranch/crdt"

// Counter is a counter in a reply.
type Counter struct {
	Type  string   `json:"type" enum:"counter"`
	Key   string   `json:"key" minLength:"1"`
	Path  []string `json:"path,omitempty" doc:"The fields that lead to it, for a counter in a map."`
	Value number   `json:"value"`
}

// CounterOp is the body of POST to a counter: one of the two.
type CounterOp struct {
	Inc   *amount `json:"inc,omitempty"`
	Reset bool    `json:"reset,omitempty" enum:"true" doc:"Takes away what this daemon has seen, or what the token covers."`
}

func getCounter(r *request, v View) (any, error) {
	c, ok, err := readCounter(v, crdt.Object(crdt.Counter, r.name("key")).Leaf(crdt.Counter))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, absent(crdt.Counter, r.name("key"))
	}
	return Counter{Type: "counter", Key: r.name("key"), Value: c}, nil
}

// readCounter returns a counter's value, and false when it is absent.
func readCounter(rd Reader, leaf crdt.Path) (number, bool, error) {
	live, err := rd.Entries(leaf)
	if err != nil || !crdt.Visible(crdt.Counter, live) {
		return number{}, false, err
	}
	v, err := crdt.CounterValue(live)
	return number(v), true, err
}

func postCounter(r *request) (*reply, error) {
	o, err := readSingle(r.body, crdt.Counter, r.name("key"), actInc|actReset)
	if err != nil {
		return nil, err
	}
	return r.commit(func(tx Tx, seen crdt.VersionVector) (any, error) {
		result, err := o.apply(tx, seen)
		if err != nil {
			return nil, err
		}
		return Counter{Type: "counter", Key: o.key, Value: *result.Value}, r.writtenTag(tx, o.leaf())
	})
}

// deleteObject returns the DELETE of a type: 204 in any case.
func deleteObject(t crdt.Type) func(*request) (*reply, error) {
	return func(r *request) (*reply, error) {
		return r.commit(func(tx Tx, seen crdt.VersionVector) (any, error) {
			_, err := tx.Delete(crdt.Object(t, r.name("key")), seen)
			return nil, err
		})
	}
}

func absent(t crdt.Type, key string) *Problem {
	return kindNotFound.with("there is no %v %s", t, quoted(key))
}
