package http

import (
	"errors"
	"net/http"
	"strings"

	"github.com/anabranchdb/anabranch/store"
)

// Namespaces lists namespaces.
type Namespaces struct {
	Namespaces []NamespaceInfo `json:"namespaces"`
}

// NamespaceInfo is a namespace in a list.
type NamespaceInfo struct {
	Name    string `json:"name"`
	Storage string `json:"storage" enum:"disk,memory"`
}

// NamespaceOptions is the body of PUT to a namespace.
type NamespaceOptions struct {
	Storage string `json:"storage,omitempty" enum:"disk,memory" default:"disk" doc:"Where this daemon keeps its copy."`
}

func getNamespaces(r *request) (*reply, error) {
	list := Namespaces{Namespaces: []NamespaceInfo{}}
	for _, info := range r.backend.store.Namespaces() {
		if !strings.HasPrefix(info.Name, "_") {
			list.Namespaces = append(list.Namespaces, NamespaceInfo{info.Name, string(info.Storage)})
		}
	}
	return &reply{status: http.StatusOK, body: list}, nil
}

func putNamespace(r *request) (*reply, error) {
	name := r.name("ns")
	if strings.HasPrefix(name, "_") {
		return nil, errSystemName
	}
	if err := store.CheckNamespaceName(name); err != nil {
		return nil, err
	}
	storage, err := readNamespaceOptions(r.body)
	if err != nil {
		return nil, err
	}
	rep := &reply{status: http.StatusOK}
	if _, err := r.backend.store.Namespace(name); errors.Is(err, store.ErrNamespaceNotFound) {
		rep.status, rep.location = http.StatusCreated, "/v1/ns/"+name
	}
	if err := r.backend.store.CreateNamespace(name, storage); err != nil {
		return nil, err
	}
	rep.body = NamespaceInfo{name, string(storage)}
	return rep, nil
}

func readNamespaceOptions(body []byte) (store.Storage, error) {
	storage := store.Disk
	d := &jsonReader{b: body}
	err := d.object(func(name string) error {
		if name != "storage" {
			return d.fail("the member " + quoted(name) + " has no meaning here")
		}
		s, err := d.str()
		if storage = store.Storage(s); err == nil && storage != store.Disk && storage != store.Memory {
			err = d.fail("storage is disk or memory")
		}
		return err
	})
	if err == nil {
		err = d.end()
	}
	return storage, err
}

func deleteNamespace(r *request) (*reply, error) {
	name := r.name("ns")
	if drop, _ := r.param("drop"); drop != "local" {
		return nil, badRequest("only the local copy can be dropped: write ?drop=local")
	}
	switch {
	case strings.HasPrefix(name, "_"):
		return nil, errSystemName
	case name == store.Default:
		return nil, kindForbidden.with("the namespace %s cannot be dropped", store.Default)
	}
	if err := store.CheckNamespaceName(name); err != nil {
		return nil, err
	}
	if err := r.backend.store.DropNamespace(name); err != nil && !errors.Is(err, store.ErrNamespaceNotFound) {
		return nil, err
	}
	return &reply{status: http.StatusNoContent}, nil
}

var errSystemName = kindForbidden.with("names that begin with an underscore are the system's")
