package http

import (
	"errors"
	"net/http"

	"github.com/anabranchdb/anabranch/crdt"
	"github.com/anabranchdb/anabranch/store"
)

// Retirement is the body of a retirement: nothing yet.
type Retirement struct{}

// Retired tells where a replica id was sealed.
type Retired struct {
	Replica string   `json:"replica" doc:"16 hexadecimal digits."`
	Sealed  []Sealed `json:"sealed" doc:"The namespaces in which changes of that id are known, by name."`
}

// Sealed is one namespace in which a replica id was sealed.
type Sealed struct {
	Namespace string `json:"namespace"`
	Final     uint64 `json:"final" doc:"The number of its last change."`
}

// postRetire seals a replica id wherever it is known here.
func postRetire(r *request) (*reply, error) {
	id, err := crdt.ParseReplicaID(r.name("id"))
	if err != nil {
		return nil, badRequest("a replica id has 16 hexadecimal digits, not all of them 0")
	}
	d := &jsonReader{b: r.body}
	err = d.object(func(name string) error { return d.fail("the member " + quoted(name) + " has no meaning here") })
	if err == nil {
		err = d.end()
	}
	if err != nil {
		return nil, err
	}
	body := Retired{Replica: id.String(), Sealed: []Sealed{}}
	for _, info := range r.backend.store.Namespaces() {
		ns, err := r.backend.store.Namespace(info.Name)
		if err != nil {
			continue // dropped since
		}
		if ns.Replica() == id {
			return nil, kindForbidden.with("the namespace %s is written here under that id", info.Name)
		}
		if ns.Clock()[id] == 0 {
			continue
		}
		final, err := ns.Retire(r.http.Context(), id)
		if errors.Is(err, store.ErrNamespaceNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		body.Sealed = append(body.Sealed, Sealed{info.Name, final})
	}
	if len(body.Sealed) == 0 {
		return nil, kindNotFound.with("no change of replica %s is known here", id)
	}
	return &reply{status: http.StatusOK, body: body}, nil
}
