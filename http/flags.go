package http

import "github.com/anabranchdb/anabranch/crdt"

// Flag is a flag that is on, in a reply. One that is off is absent.
type Flag struct {
	Type  string   `json:"type" enum:"flag"`
	Key   string   `json:"key" minLength:"1"`
	Path  []string `json:"path,omitempty" doc:"The fields that lead to it, for a flag in a map."`
	Value bool     `json:"value" enum:"true"`
	// Expires is there only when the flag turns off by itself.
	Expires timestamp `json:"expires,omitempty" doc:"When it turns off by itself, in UTC."`
}

// flagValue is what a flag that is on shows as.
func flagValue() jsonValue { return jsonValue("true") }

func getFlag(r *request, v View) (any, error) {
	key := r.name("key")
	live, err := v.Entries(crdt.Object(crdt.Flag, key).Leaf(crdt.Flag))
	if err != nil {
		return nil, err
	}
	if !crdt.Visible(crdt.Flag, live) {
		return nil, absent(crdt.Flag, key)
	}
	return Flag{Type: "flag", Key: key, Value: true, Expires: timestampOf(crdt.VisibleUntil(crdt.Flag, live))}, nil
}

func putFlag(r *request) (*reply, error) {
	return r.commit(func(tx Tx, _ crdt.VersionVector) (any, error) {
		return nil, tx.Enable(crdt.Object(crdt.Flag, r.name("key")).Leaf(crdt.Flag))
	})
}
