package app

import (
	"context"
	"errors"

	"github.com/anabranchdb/anabranch/store"
)

// acceptLosses gives up what was lost of the namespaces that the settings name, as far as they wait.
func (a *App) acceptLosses(ctx context.Context) error {
	for _, name := range a.cfg.AcceptLoss {
		ns, err := a.store.Namespace(name)
		switch {
		case errors.Is(err, store.ErrNamespaceNotFound):
			a.log.Warn("accept-loss: there is no such namespace here", "namespace", name)
			continue
		case err != nil:
			return err
		case !errors.Is(ns.Err(), store.ErrJoining):
			a.log.Info("accept-loss: the namespace does not wait for a join; nothing was done", "namespace", name)
			continue
		}
		if err := ns.AcceptLoss(ctx); err != nil {
			return err
		}
		a.log.Warn("accept-loss: the namespace answers with what it has; what only the damaged copy held is given up", "namespace", name)
	}
	return nil
}
