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

// healer has damaged copies begin anew, on a goroutine of its own: damage is told in the middle of
// a commit or a read.
type healer struct {
	wake chan struct{} // has an element when somebody has told of damage

	mu      sync.Mutex
	damaged map[string]bool // names of namespaces
}

func newHealer() *healer {
	return &healer{wake: make(chan struct{}, 1), damaged: map[string]bool{}}
}

// report notes a damaged namespace. It does not block.
func (h *healer) report(namespace string) {
	h.mu.Lock()
	h.damaged[namespace] = true
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (h *healer) take() map[string]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	taken := h.damaged
	h.damaged = map[string]bool{}
	return taken
}

// run has what was reported begin anew, until ctx ends. Between two rounds is a pause: a disk that
// goes on to damage what it is given does not keep the daemon busy. What fails is tried again.
func (h *healer) run(ctx context.Context, pause time.Duration, log *slog.Logger, renew func(namespace string) error) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		}
		for name := range h.take() {
			if err := renew(name); err != nil {
				log.Error("the damaged namespace cannot begin anew, trying again", "namespace", name, "err", err)
				h.report(name)
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

// renew puts a new copy in the place of a damaged one, in the store and in the cluster, from where it
// gets its content. A copy that is not damaged is left alone.
func (n *namespaces) renew(name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	ns, err := n.app.store.Namespace(name)
	if errors.Is(err, store.ErrNamespaceNotFound) || errors.Is(err, store.ErrClosed) {
		return nil // dropped since
	}
	if err != nil {
		return err
	}
	if err := ns.Err(); err != nil && !errors.Is(err, store.ErrJoining) {
		// No session may begin on the former copy and end on the new one.
		if err := n.app.node.RemoveCopy(name); err != nil && !errors.Is(err, p2p.ErrUnknown) {
			return err
		}
		if _, err := n.app.store.SetAside(name); err != nil {
			return err
		}
	}
	if err := n.join(name); err != nil && !errors.Is(err, p2p.ErrHeld) {
		return err
	}
	return nil
}
