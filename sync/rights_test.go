package sync

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/crdt"
)

func TestRightsMessages(t *testing.T) {
	ask := RightsAsk{Key: "seats", Amount: 5}
	if got, err := DecodeRightsAsk(ask.Encode()); err != nil || got != ask {
		t.Errorf("%+v, %v", got, err)
	}
	for _, grant := range []RightsGrant{{}, {Amount: 5, At: crdt.Dot{Replica: idA, Seq: 7}}} {
		if got, err := DecodeRightsGrant(grant.Encode(), ask, idA); err != nil || got != grant {
			t.Errorf("%+v, %v", got, err)
		}
	}
	for name, b := range map[string][]byte{
		"no key":          RightsAsk{Amount: 1}.Encode(),
		"a long key":      RightsAsk{Key: strings.Repeat("x", crdt.MaxNameBytes+1), Amount: 1}.Encode(),
		"no UTF-8":        RightsAsk{Key: "\xff", Amount: 1}.Encode(),
		"nothing":         RightsAsk{Key: "k"}.Encode(),
		"less":            RightsAsk{Key: "k", Amount: math.MinInt64}.Encode(),
		"another kind":    RightsGrant{}.Encode(),
		"a kind to skip":  raw(t, 1, 64),
		"no message":      {},
		"cut in the half": ask.Encode()[:5],
	} {
		if _, err := DecodeRightsAsk(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("ask, %s: %v", name, err)
		}
	}
	for name, b := range map[string][]byte{
		"more than was asked for": RightsGrant{Amount: 6, At: crdt.Dot{Replica: idA, Seq: 7}}.Encode(),
		"of another replica":      RightsGrant{Amount: 5, At: crdt.Dot{Replica: idC, Seq: 7}}.Encode(),
		"nowhere":                 (&message{kind: kindRightsGrant, number: 5}).encode(),
		"at seq 0":                RightsGrant{Amount: 5, At: crdt.Dot{Replica: idA}}.Encode(),
		"nothing somewhere":       (&message{kind: kindRightsGrant, clock: []component{{Replica: idA, Seq: 1}}}).encode(),
		"another kind":            ask.Encode(),
	} {
		if _, err := DecodeRightsGrant(b, ask, idA); !errors.Is(err, ErrMalformed) {
			t.Errorf("grant, %s: %v", name, err)
		}
	}
}

// FuzzDecodeRights checks that what is accepted says what it may.
func FuzzDecodeRights(f *testing.F) {
	f.Add(RightsAsk{Key: "seats", Amount: 5}.Encode())
	f.Add(RightsGrant{Amount: 5, At: crdt.Dot{Replica: idA, Seq: 7}}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := DecodeRightsAsk(b); err == nil && (a.Amount < 1 || crdt.CheckName(a.Key) != nil) {
			t.Errorf("%+v", a)
		}
		if g, err := DecodeRightsGrant(b, RightsAsk{Amount: 9}, idA); err == nil && (g.Amount < 0 || g.Amount > 9) {
			t.Errorf("%+v", g)
		}
	})
}
