package http

import (
	"errors"
	"strconv"

	"github.com/anabranchdb/anabranch/crdt"
)

// Batch is the body of POST to a batch: all of it happens, or nothing.
type Batch struct {
	Ops []BatchOp `json:"ops" maxItems:"1000"`
}

// BatchOp is one action on one target. The target is one of counter, set, register and map,
// each with a key; an action on a map has a path, but for the delete of the whole map.
type BatchOp struct {
	Counter  string     `json:"counter,omitempty" minLength:"1"`
	Set      string     `json:"set,omitempty" minLength:"1"`
	Register string     `json:"register,omitempty" minLength:"1"`
	Map      string     `json:"map,omitempty" minLength:"1"`
	Path     []string   `json:"path,omitempty" minItems:"1" maxItems:"32"`
	Inc      *number    `json:"inc,omitempty"`
	Reset    bool       `json:"reset,omitempty" enum:"true"`
	Value    *jsonValue `json:"value,omitempty"`
	Add      []string   `json:"add,omitempty"`
	Remove   []string   `json:"remove,omitempty"`
	Delete   bool       `json:"delete,omitempty" enum:"true"`
}

// BatchResults has one result for each op, in order.
type BatchResults struct {
	Results []opResult `json:"results"`
}

func postBatch(r *request) (*reply, error) {
	ops, err := readOps(r.body, opForm{targets: true, path: true})
	if err != nil {
		return nil, err
	}
	return r.commit(func(tx Tx, seen crdt.VersionVector) (any, error) {
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
