package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/anabranchdb/anabranch/store"
	"github.com/anabranchdb/anabranch/sync/p2p"
)

// healPause is the time between two rounds of healing.
const healPause = 10 * time.Second

// healer has copies begin anew that are damaged or whose replica id is in use twice, on a goroutine of
// its own: damage is told in the middle of a commit or a read, a fork in that of an exchange.
type healer struct {
	wake chan struct{} // has an element when somebody has told of trouble

	mu       sync.Mutex
	troubled map[string]trouble // by name of the namespace
}

// trouble is why a copy begins anew.
type trouble int

const (
	damaged trouble = iota
	forked
)

func newHealer() *healer {
	return &healer{wake: make(chan struct{}, 1), troubled: map[string]trouble{}}
}

// report notes what ails a namespace. It does not block.
func (h *healer) report(namespace string, why trouble) {
	h.mu.Lock()
	h.troubled[namespace] = why
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (h *healer) take() map[string]trouble {
	h.mu.Lock()
	defer h.mu.Unlock()
	taken := h.troubled
	h.troubled = map[string]trouble{}
	return taken
}

// run has what was reported begin anew, until ctx ends. Between two rounds is a pause: a disk that
// goes on to damage what it is given does not keep the daemon busy. What fails is tried again.
func (h *healer) run(ctx context.Context, pause time.Duration, log *slog.Logger, renew func(namespace string, why trouble) error) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		}
		for name, why := range h.take() {
			if err := renew(name, why); err != nil {
				log.Error("the namespace cannot begin anew, trying again", "namespace", name, "err", err)
				h.report(name, why)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// startHealer begins to heal, what was reported before included.
func (a *App) startHealer(spaces *namespaces) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.healer.run(ctx, healPause, a.log, spaces.renew)
	}()
	a.steps.add("healer", func(context.Context) error {
		cancel()
		<-done
		return nil
	})
}

// renew puts a new copy in the place of one that is damaged or forked, in the store and in the cluster,
// from where it gets its content. A copy that waits for that already is left alone.
func (n *namespaces) renew(name string, why trouble) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	ns, err := n.app.store.Namespace(name)
	if errors.Is(err, store.ErrNamespaceNotFound) || errors.Is(err, store.ErrClosed) {
		return nil // dropped since
	}
	if err != nil {
		return err
	}
	failed := ns.Err()
	if damaged := failed != nil; !errors.Is(failed, store.ErrJoining) && (damaged || why == forked) {
		// No session may begin on the former copy and end on the new one.
		if err := n.app.node.RemoveCopy(name); err != nil && !errors.Is(err, p2p.ErrUnknown) {
			return err
		}
		if err := n.setAside(name, damaged); err != nil {
			return err
		}
	}
	if err := n.join(name); err != nil && !errors.Is(err, p2p.ErrHeld) {
		return err
	}
	return nil
}

func (n *namespaces) setAside(name string, damaged bool) error {
	if damaged {
		_, err := n.app.store.SetAside(name)
		return err
	}
	return n.app.store.HealFork(name)
}
