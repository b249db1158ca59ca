package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/anabranchdb/anabranch/store"
)

// leaveWithin bounds how long a stop waits until its peers have heard that what it announced has ended.
// Those that do not hear it see the lease run out.
const leaveWithin = time.Second

// leaveAll withdraws what this daemon has announced, everywhere, while the network is still there.
func (a *App) leaveAll(ctx context.Context) error {
	var errs []error
	for _, info := range a.store.Namespaces() {
		ns, err := a.store.Namespace(info.Name)
		if err == nil {
			err = a.leave(ctx, ns)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("namespace %q: %w", info.Name, err))
		}
	}
	return errors.Join(errs...)
}

// leave withdraws what this daemon has announced in a namespace, and waits until the peers that are
// connected have that. A copy that answers nothing has nothing to withdraw.
func (a *App) leave(ctx context.Context, ns *store.Namespace) error {
	if ns.Storage() != store.Memory || ns.Err() != nil {
		return nil
	}
	left, err := ns.Leave(ctx)
	if err != nil || !left {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, leaveWithin)
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !a.heard(ns) {
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// heard reports whether all peers that are connected, and hold the namespace, have told a clock that covers
// that of the copy here.
func (a *App) heard(ns *store.Namespace) bool {
	peers, err := a.node.Sync(ns.Name())
	if err != nil {
		return true // replicated no longer
	}
	for _, p := range peers {
		if p.Connected && !p.Clock.CoversAll(ns.Clock()) {
			return false
		}
	}
	return true
}
