package http

import (
	"strings"

	"github.com/anabranchdb/anabranch/crdt"
)

// Keys is a page of the list of objects.
type Keys struct {
	Keys []Key  `json:"keys" doc:"Objects in bytewise order of type and key."`
	Next string `json:"next,omitempty" doc:"The cursor of the next page; there is none behind the last."`
	Feed string `json:"feed,omitempty" doc:"On the first page: the cursor of /changes with the same type and prefix, to follow from."`
}

// Key names an object.
type Key struct {
	Type string `json:"type" enum:"bounded,counter,flag,list,map,presence,register,set"`
	Key  string `json:"key"`
}

// types are the types of objects, in the order of their names and letters.
var types = []crdt.Type{crdt.Bounded, crdt.Counter, crdt.Flag, crdt.List, crdt.Map, crdt.Presence, crdt.Register, crdt.Set}

// parseType returns the type with a name.
func parseType(name string) (crdt.Type, error) {
	if t, ok := crdt.ParseType(name); ok {
		return t, nil
	}
	return 0, badRequest("type is one of %s", typeNames())
}

// typeNames lists the types for messages and for the description.
func typeNames() string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.String()
	}
	return strings.Join(names, ", ")
}

func getKeys(r *request, v View) (any, error) {
	of := types
	name, given := r.param("type")
	if given {
		t, err := parseType(name)
		if err != nil {
			return nil, err
		}
		of = []crdt.Type{t}
	}
	p, err := r.page("", name, r.prefix())
	if err != nil {
		return nil, err
	}
	list := Keys{Keys: []Key{}}
	if p.after == "" {
		f := feed{replica: v.Replica(), query: feedQuery(r.name("ns"), name, r.prefix())}
		list.Feed = f.cursor(v.End())
	}
	var last crdt.Path
	for _, t := range of {
		if p.after != "" && t < crdt.Type(p.after[0]) {
			continue // listed on earlier pages
		}
		for o, err := range v.Objects(crdt.Path(crdt.EscapeName([]byte{byte(t)}, r.prefix())), p.after) {
			if err != nil {
				return nil, err
			}
			if len(list.Keys) == p.limit {
				list.Next = p.next(last)
				return list, nil
			}
			parts, err := o.Path.Parse()
			if err != nil {
				return nil, err
			}
			list.Keys = append(list.Keys, Key{t.String(), parts.Key})
			last = o.Path
		}
	}
	return list, nil
}
