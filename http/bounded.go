package http

import (
	"errors"

	"github.com/anabranchdb/anabranch/crdt"
)

// Bounded is a bounded counter in a reply. One whose value is 0 is absent.
type Bounded struct {
	Type   string `json:"type" enum:"bounded"`
	Key    string `json:"key" minLength:"1"`
	Value  number `json:"value"`
	Rights number `json:"rights" doc:"How much may be taken at this daemon without asking others."`
}

// BoundedOp is the body of POST to a bounded counter: one of the two.
type BoundedOp struct {
	Inc *amount `json:"inc,omitempty"`
	Ask *rights `json:"ask,omitempty"`
}

// readBounded reads the body of POST: an op that adds or takes, or, if ask is not 0, for how much
// rights are wanted.
func readBounded(body []byte, key string) (o op, ask int64, err error) {
	o = op{target: crdt.Bounded, key: key, action: actInc}
	d := &jsonReader{b: body}
	members := 0
	err = d.object(func(name string) (err error) {
		switch members++; name {
		case "inc":
			o.inc, err = d.amount()
		case "ask":
			if ask, err = d.amount(); err == nil && ask < 1 {
				err = d.fail("ask is for at least 1")
			}
		default:
			err = d.fail("the member " + quoted(name) + " has no meaning here")
		}
		return err
	})
	if err == nil {
		err = d.end()
	}
	if err == nil && members != 1 {
		err = d.fail("either inc or ask is wanted")
	}
	return o, ask, err
}

// rightsReader is a Reader that knows whose rights it shows.
type rightsReader interface {
	Reader
	Replica() crdt.ReplicaID
}

// showBounded returns what a bounded counter shows, and false when it is absent.
func showBounded(rd rightsReader, key string) (Bounded, bool, error) {
	live, err := rd.Entries(crdt.Object(crdt.Bounded, key).Leaf(crdt.Bounded))
	if err != nil {
		return Bounded{}, false, err
	}
	x, err := crdt.ReadEscrow(live)
	b := Bounded{Type: "bounded", Key: key, Value: number(x.Value), Rights: number(x.Rights[rd.Replica()])}
	return b, crdt.Visible(crdt.Bounded, live), err
}

func getBounded(r *request, v View) (any, error) {
	b, ok, err := showBounded(v, r.name("key"))
	if err == nil && !ok {
		err = absent(crdt.Bounded, b.Key)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

func postBounded(r *request) (*reply, error) {
	o, ask, err := readBounded(r.body, r.name("key"))
	if err != nil {
		return nil, err
	}
	if ask > 0 {
		return r.gather(o.key, ask)
	}
	return r.commitAsking(o.key, func(tx Tx, seen crdt.VersionVector) (any, error) {
		if _, err := o.apply(tx, seen); err != nil {
			return nil, err
		}
		b, _, err := showBounded(tx, o.key)
		if err != nil {
			return nil, err
		}
		return b, r.writtenTag(tx, o.leaf())
	})
}

func deleteBounded(r *request) (*reply, error) {
	o := op{target: crdt.Bounded, key: r.name("key"), action: actDelete}
	return r.commitAsking(o.key, func(tx Tx, seen crdt.VersionVector) (any, error) {
		_, err := o.apply(tx, seen)
		return nil, err
	})
}

// stock adds to a bounded counter, or takes from it.
func (o *op) stock(tx Tx) (opResult, error) {
	if err := tx.Stock(o.leaf(), o.inc); err != nil {
		return opResult{}, o.refused(tx, err)
	}
	b, _, err := showBounded(tx, o.key)
	return opResult{Value: &b.Value, Rights: &b.Rights}, err
}

// refused returns err, or for the lack of rights the problem that says what there is.
func (o *op) refused(tx Tx, err error) error {
	if !errors.Is(err, crdt.ErrRights) || o.target != crdt.Bounded {
		return err
	}
	b, _, err := showBounded(tx, o.key)
	if err != nil {
		return err
	}
	need := crdt.Int128(b.Value)
	if o.action == actInc {
		need = crdt.Int128{}.Sub(crdt.Int128Of(o.inc))
	}
	return lacking(b, need)
}

// lacking tells that need is more than there are rights for.
func lacking(b Bounded, need crdt.Int128) *Problem {
	p := kindRights.with("%v are to be taken of the bounded counter %s; this daemon has the rights to %v of %v",
		need, quoted(b.Key), crdt.Int128(b.Rights), crdt.Int128(b.Value))
	p.Rights, p.Value, p.lacks = &b.Rights, &b.Value, need.Sub(crdt.Int128(b.Rights))
	return p
}
