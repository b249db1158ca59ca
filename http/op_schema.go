package http

import (
	"github.com/anabranchdb/anabranch/crdt"
	"github.com/danielgtaylor/huma/v2"
)

// The schemas of ops say what readOp checks: one target, one action, a path where one belongs.
// What follows from the type of the target is left to the problem wrong-type-op.

// actionMembers are the members that say what an op does. Those of one row go together.
var actionMembers = [][]string{{"inc"}, {"reset"}, {"enable"}, {"value"}, {"add", "remove"}, {"insert"}, {"delete"}}

// placeMembers say where in a list something goes. With an item and no action they move it.
var placeMembers = []string{"after", "before", "at"}

// amount is what inc takes.
type amount struct{}

// Schema describes it.
func (amount) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Description: "What to add: an integer within 64 bits, or a string of its decimal digits.",
		OneOf:       []*huma.Schema{{Type: huma.TypeInteger}, {Type: huma.TypeString, Pattern: decimalPattern}},
	}
}

const decimalPattern = "^-?[0-9]+$"

// rights is what ask takes.
type rights struct{}

// Schema describes it.
func (rights) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Description: "How much it shall be possible to take at this daemon: from 1, within 64 bits, or a string of its decimal digits.",
		OneOf:       []*huma.Schema{{Type: huma.TypeInteger, Minimum: new(float64(1))}, {Type: huma.TypeString, Pattern: "^0*[1-9][0-9]*$"}},
	}
}

// TransformSchema says that it is one of the two.
func (BoundedOp) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.MinProperties, s.MaxProperties = new(1), new(1)
	return s
}

// TransformSchema says that it is one of the two.
func (CounterOp) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.MinProperties, s.MaxProperties = new(1), new(1)
	return s
}

// TransformSchema says that it is one or both.
func (SetOp) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.AnyOf = []*huma.Schema{has("add"), has("remove")}
	return describeNames(expiringWith(s, "add"))
}

// TransformSchema says that it is one of its actions.
func (ListOp) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.AllOf = []*huma.Schema{oneAction(s)}
	return describeNames(expiringWith(s, "insert", "value"))
}

// TransformSchema says that it has one action.
func (MapOp) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.AllOf = []*huma.Schema{oneAction(s)}
	return describeNames(expiringWith(s, "value", "add", "enable", "insert"))
}

// TransformSchema says that it has one target and one action, and when it has a path.
func (BatchOp) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	field := &huma.Schema{AnyOf: []*huma.Schema{{Not: has("map")}, has("path"), has("delete")}}
	s.AllOf = []*huma.Schema{oneTarget(s), oneAction(s), field}
	s.DependentRequired = map[string][]string{"path": {crdt.Map.String()}}
	return describeNames(expiringWith(s, "value", "add", "enable", "insert"))
}

// TransformSchema says that it has one target, and one thing to ask of it.
func (BatchCondition) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.AllOf = []*huma.Schema{oneTarget(s), {OneOf: []*huma.Schema{has("etag"), has("absent")}}}
	return describeNames(s)
}

// expiringWith says that at most one of ttl and expires is there, and only with a member that writes
// something: add with at least one member, and enable with true.
func expiringWith(s *huma.Schema, members ...string) *huma.Schema {
	none := &huma.Schema{Not: &huma.Schema{AnyOf: []*huma.Schema{has(ttlParam), has(expiresParam)}}}
	one := &huma.Schema{OneOf: []*huma.Schema{has(ttlParam), has(expiresParam)}}
	for _, m := range members {
		one.AnyOf = append(one.AnyOf, writing(m))
	}
	s.AllOf = append(s.AllOf, &huma.Schema{AnyOf: []*huma.Schema{none, one}})
	s.Properties[ttlParam].Pattern = ttlPattern
	return s
}

// writing asks for a member of an op that writes something.
func writing(member string) *huma.Schema {
	s := has(member)
	switch member {
	case "add":
		s.Properties = map[string]*huma.Schema{member: {MinItems: new(1)}}
	case "enable":
		s.Properties = map[string]*huma.Schema{member: {Enum: []any{true}}}
	}
	return s
}

func has(member string) *huma.Schema { return &huma.Schema{Required: []string{member}} }

// oneTarget asks for one of the types that s names.
func oneTarget(s *huma.Schema) *huma.Schema {
	one := &huma.Schema{}
	for _, t := range types {
		if s.Properties[t.String()] != nil {
			one.OneOf = append(one.OneOf, has(t.String()))
		}
	}
	return one
}

// oneAction asks for the members of one row, of those that s has.
func oneAction(s *huma.Schema) *huma.Schema {
	one := &huma.Schema{}
	for _, row := range actionMembers {
		some := &huma.Schema{}
		for _, member := range row {
			if s.Properties[member] != nil {
				some.AnyOf = append(some.AnyOf, has(member))
			}
		}
		switch len(some.AnyOf) {
		case 0:
			continue
		case 1:
			some = some.AnyOf[0]
		}
		one.OneOf = append(one.OneOf, some)
	}
	if s.Properties["item"] != nil {
		one.OneOf = append(one.OneOf, &huma.Schema{Required: []string{"item"}, AnyOf: []*huma.Schema{has("after"), has("before"), has("at")},
			Not: &huma.Schema{AnyOf: []*huma.Schema{has("value"), has("delete")}}})
	}
	return one
}

// describePlaces says of members about items that they do not stand alone, that there is one place,
// and what an id is.
func describePlaces(s *huma.Schema) {
	if s.Properties["item"] == nil {
		return
	}
	var more []*huma.Schema
	for i, name := range placeMembers {
		for _, other := range placeMembers[i+1:] {
			more = append(more, &huma.Schema{Not: &huma.Schema{Required: []string{name, other}}})
		}
		more = append(more, &huma.Schema{AnyOf: []*huma.Schema{{Not: has(name)}, has("insert"), has("item")}})
	}
	for _, action := range []string{"inc", "reset", "enable", "add", "remove", "insert"} {
		if s.Properties[action] != nil {
			more = append(more, &huma.Schema{Not: &huma.Schema{Required: []string{"item", action}}})
		}
	}
	for _, action := range []string{"value", "delete"} {
		more = append(more, &huma.Schema{AnyOf: []*huma.Schema{{Not: has(action)}, {Not: &huma.Schema{AnyOf: []*huma.Schema{has("after"), has("before"), has("at")}}}}})
	}
	for _, name := range []string{"item", "after", "before"} {
		description := s.Properties[name].Description
		s.Properties[name] = idSchema()
		s.Properties[name].Description = description
	}
	s.AllOf = append(s.AllOf, more...)
}

// idSchema describes ids of items.
func idSchema() *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, MinLength: new(1), MaxLength: new(crdt.MaxNameBytes), Pattern: "^[-0-9A-Z_a-z]+$"}
}

// describeNames says of the members that are names, and lists of names, what a name is.
func describeNames(s *huma.Schema) *huma.Schema {
	for _, t := range types {
		if p := s.Properties[t.String()]; p != nil {
			p.MinLength, p.MaxLength = new(1), new(crdt.MaxNameBytes)
		}
	}
	for _, list := range []string{"add", "remove", "path"} {
		if p := s.Properties[list]; p != nil {
			p.Items = nameSchema()
		}
	}
	describePlaces(s)
	return s
}

// mergeSchema describes merge patches, as a component: their objects nest.
func mergeSchema(schemas huma.Registry) *huma.Schema {
	self := &huma.Schema{Ref: "#/components/schemas/MergePatch"}
	schemas.Map()["MergePatch"] = &huma.Schema{
		Type:        huma.TypeObject,
		Description: "A merge patch (RFC 7396): null deletes, an object goes into the field, every other value is written as a register.",
		AdditionalProperties: &huma.Schema{AnyOf: []*huma.Schema{{Type: "null"}, {Type: huma.TypeBoolean}, {Type: huma.TypeNumber}, {Type: huma.TypeString},
			{Type: huma.TypeArray, Items: &huma.Schema{}}, self}},
		Extensions: map[string]any{"propertyNames": nameSchema()},
	}
	return self
}
