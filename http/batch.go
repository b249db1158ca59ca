package http

import (
	"errors"
	"strconv"
	"strings"

	"github.com/anabranchdb/anabranch/crdt"
)

// Batch is the body of POST to a batch: all of it happens, or nothing.
type Batch struct {
	Ops []BatchOp        `json:"ops" maxItems:"1000"`
	If  []BatchCondition `json:"if,omitempty" doc:"What must hold before anything happens, else 412."`
}

// BatchOp is one action on one target. The target is one of bounded, counter, flag, list, set, register
// and map, each with a key; an action on a map has a path, but for the delete of the whole map.
type BatchOp struct {
	Bounded  string      `json:"bounded,omitempty"`
	Counter  string      `json:"counter,omitempty"`
	Flag     string      `json:"flag,omitempty"`
	List     string      `json:"list,omitempty"`
	Set      string      `json:"set,omitempty"`
	Register string      `json:"register,omitempty"`
	Map      string      `json:"map,omitempty"`
	Path     []string    `json:"path,omitempty" minItems:"1" maxItems:"32"`
	Inc      *amount     `json:"inc,omitempty"`
	Reset    bool        `json:"reset,omitempty" enum:"true"`
	Enable   *bool       `json:"enable,omitempty" doc:"Of a flag: false disables what this daemon has seen, or what the token covers."`
	Value    *jsonValue  `json:"value,omitempty"`
	Add      []string    `json:"add,omitempty"`
	Remove   []string    `json:"remove,omitempty"`
	Insert   []jsonValue `json:"insert,omitempty" doc:"Values for a list, at its end, or where one of after, before and at says."`
	Item     string      `json:"item,omitempty" doc:"An item of a list to set, by value, to move, by one of after, before and at, or to delete."`
	After    string      `json:"after,omitempty"`
	Before   string      `json:"before,omitempty"`
	At       string      `json:"at,omitempty" enum:"start,end"`
	Delete   bool        `json:"delete,omitempty" enum:"true"`
	TTL      string      `json:"ttl,omitempty" doc:"How long what is written is to be seen, as 90s, 15m or 36h; with value, add, enable and insert."`
	Expires  timestamp   `json:"expires,omitempty" doc:"In place of ttl: until when."`
}

// BatchCondition asks that an object has an ETag, or that it is absent.
type BatchCondition struct {
	Bounded  string `json:"bounded,omitempty"`
	Counter  string `json:"counter,omitempty"`
	Flag     string `json:"flag,omitempty"`
	List     string `json:"list,omitempty"`
	Set      string `json:"set,omitempty"`
	Register string `json:"register,omitempty"`
	Map      string `json:"map,omitempty"`
	Etag     string `json:"etag,omitempty" pattern:"^([*]|\"[!#-~]+\"|[!#-~]+)$" doc:"As in the header, or without the quotes; * for any."`
	Absent   bool   `json:"absent,omitempty" enum:"true"`
}

// BatchResults has one result for each op, in order.
type BatchResults struct {
	Results []opResult `json:"results"`
}

func postBatch(r *request) (*reply, error) {
	ops, ifs, err := readOps(r.body, opForm{targets: true, path: true})
	if err != nil {
		return nil, err
	}
	return r.commit(func(tx Tx, seen crdt.VersionVector) (any, error) {
		for _, c := range ifs {
			if err := c.check(tx, r.ns.Replica()); err != nil {
				return nil, err
			}
		}
		results := BatchResults{Results: make([]opResult, len(ops))}
		for i := range ops {
			var err error
			if results.Results[i], err = ops[i].apply(tx, seen); err != nil {
				return nil, inOp(i, err)
			}
		}
		return results, nil
	})
}

// inOp says in which op of several it went wrong, if that was the op's fault.
func inOp(i int, err error) error {
	if p := problemOf(err); p.Status < 500 {
		q := *p
		q.Detail = "op " + strconv.Itoa(i+1) + ": " + p.Detail
		return errors.Join(&q, err)
	}
	return err
}

// objectCondition is one element of the member "if" of a batch.
type objectCondition struct {
	op     // its target and key
	want   condition
	absent bool
}

func readObjectCondition(d *jsonReader) (objectCondition, error) {
	var c objectCondition
	err := d.object(func(name string) (err error) {
		if t, ok := opTarget(name); ok {
			return c.readTarget(d, t)
		}
		switch name {
		case "etag":
			c.want, err = d.etag()
		case "absent":
			c.absent, err = true, d.isTrue()
		default:
			err = d.fail("the member " + quoted(name) + " has no meaning here")
		}
		return err
	})
	switch {
	case err != nil:
		return c, err
	case c.target == 0:
		return c, d.fail("a condition names one target: bounded, counter, flag, list, set, register or map")
	case c.want.given == c.absent:
		return c, d.fail("a condition has either etag or absent")
	}
	return c, checkNames(c.key)
}

// etag reads an ETag as a header has it, or without the quotes, or "*".
func (d *jsonReader) etag() (condition, error) {
	s, err := d.str()
	if err != nil {
		return condition{}, err
	}
	if s != "*" && !strings.Contains(s, `"`) {
		s = quoteTag(s)
	}
	c, ok := parseCondition(s)
	if !ok || !c.any && (len(c.tags) != 1 || c.tags[0].opaque == "") {
		return c, d.fail("an ETag is wanted")
	}
	return c, nil
}

// check returns precondition-failed when the condition does not hold.
func (c *objectCondition) check(tx Tx, replica crdt.ReplicaID) error {
	h, err := tx.Head(crdt.Object(c.target, c.key))
	if err != nil {
		return err
	}
	match, _ := conditions{match: c.want}.holds(replica, h)
	what := ""
	switch {
	case c.absent && h.Visible > 0:
		what = "exists"
	case !match && h.Visible == 0:
		what = "is absent"
	case !match:
		what = "does not have the ETag"
	default:
		return nil
	}
	return kindPrecondition.with("the %v %s %s", c.target, quoted(c.key), what)
}
