package http

import (
	"strconv"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/danielgtaylor/huma/v2"
)

// jsonValue is any JSON value, as a client wrote it.
type jsonValue []byte

// MarshalJSON returns the value.
func (v jsonValue) MarshalJSON() ([]byte, error) { return v, nil }

// Schema allows everything.
func (jsonValue) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Description: "Any JSON value. Numbers stay as they were written."}
}

// Register is a register in a reply.
type Register struct {
	Type     string      `json:"type" enum:"register"`
	Key      string      `json:"key" minLength:"1"`
	Value    jsonValue   `json:"value" doc:"The newest value."`
	Conflict bool        `json:"conflict" doc:"Whether concurrent writes have left more than one value. The next write settles it."`
	Values   []jsonValue `json:"values,omitempty" doc:"With a conflict: all values, the newest first."`
	Expires  timestamp   `json:"expires,omitempty" doc:"Of the newest value: when it is hidden, in UTC."`
}

func getRegister(r *request, v View) (any, error) {
	key := r.name("key")
	values, expires, err := readRegister(v, crdt.Object(crdt.Register, key).Leaf(crdt.Register))
	if err != nil {
		return nil, err
	}
	if len(values) == 0 {
		return nil, absent(crdt.Register, key)
	}
	reg := Register{Type: "register", Key: key, Value: values[0], Expires: expires}
	if len(values) > 1 {
		reg.Conflict, reg.Values = true, values
	}
	return reg, nil
}

// readRegister returns the values of a register, newest first, and the deadline of the first.
func readRegister(rd Reader, leaf crdt.Path) ([]jsonValue, timestamp, error) {
	live, err := rd.Entries(leaf)
	if err != nil {
		return nil, "", err
	}
	var values []jsonValue
	for _, v := range crdt.RegisterValues(live) {
		values = append(values, v)
	}
	return values, timestampOf(newestDeadline(live)), nil
}

func putRegister(r *request) (*reply, error) {
	value, err := readValue(r.body)
	if err != nil {
		return nil, err
	}
	o := op{target: crdt.Register, key: r.name("key"), action: actValue, value: value}
	return r.commit(func(tx Tx, seen crdt.VersionVector) (any, error) {
		_, err := o.apply(tx, seen)
		return nil, err
	})
}

// readValue reads a body that is one JSON value.
func readValue(body []byte) ([]byte, error) {
	d := &jsonReader{b: body}
	value, err := d.value()
	if err == nil {
		err = d.end()
	}
	if err == nil {
		err = crdt.CheckValue(value)
	}
	return value, err
}

// quoted writes a name into a message, in at most some 64 characters.
func quoted(name string) string {
	const most = 60
	if len(name) <= most {
		return strconv.Quote(name)
	}
	return strconv.Quote(string([]rune(name[:most])[:most/4])) + "…"
}

// appendQuoted appends s as a JSON string.
func appendQuoted(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
