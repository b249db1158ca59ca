package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anabranchdb/anabranch/config"
	httpapi "github.com/anabranchdb/anabranch/http"
	"github.com/anabranchdb/anabranch/store"
	peersync "github.com/anabranchdb/anabranch/sync"
	"github.com/anabranchdb/anabranch/sync/p2p"
)

// peersFile is where known daemons are remembered, in the data directory.
const peersFile = "peers.json"

// App is one daemon. Start and Stop are called once each, Stop also after a Start that failed is
// harmless. They are not called at the same time.
type App struct {
	cfg     config.Config
	version string
	base    *slog.Logger // for a component to be named on
	log     *slog.Logger // of the daemon as a whole

	steps  lifecycle
	fatal  chan error
	healer *healer

	store *store.Store
	node  *p2p.Node

	// openBackend, if set, opens the datastore in place of the default: tests disturb it.
	openBackend func(dir string) (store.Backend, error)
}

// New returns a daemon that is not started. cfg is valid.
func New(cfg config.Config, version string, base *slog.Logger) *App {
	log := base.With("component", "daemon")
	return &App{cfg: cfg, version: version, base: base, log: log, steps: lifecycle{log: log}, fatal: make(chan error, 1), healer: newHealer()}
}

// Start brings the daemon up. When it returns nil, the daemon is ready. Otherwise everything that
// was begun has been undone, and the error is one of this package's, or says in one line what
// failed.
func (a *App) Start(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, a.steps.unwind(context.WithoutCancel(ctx)))
		}
	}()
	api, server, addr, err := a.startHTTP(ctx)
	if err != nil {
		return err
	}
	if err := a.openStore(ctx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := a.startNode(ctx); err != nil {
		return err
	}
	spaces := &namespaces{Store: httpapi.Adapt(a.store), app: a}
	a.startHealer(spaces)
	api.Attach(spaces, cluster{a.node, a})
	a.steps.add("presence", a.leaveAll)
	a.steps.add("HTTP requests", func(ctx context.Context) error {
		api.Drain()
		return a.finishRequests(ctx, server)
	})
	a.tellAPI(addr)
	a.log.Info("ready", "version", a.version, "data_dir", a.cfg.DataDir)
	return nil
}

// Failed delivers an error when the daemon can not go on. Stop is called then, too.
func (a *App) Failed() <-chan error { return a.fatal }

// Stop takes the daemon down, the last step of the start first. It waits no longer than ctx
// allows; what is acknowledged is durable in any case.
func (a *App) Stop(ctx context.Context) error {
	a.log.Info("stopping")
	err := a.steps.unwind(ctx)
	if err == nil {
		a.log.Info("stopped")
	}
	return err
}

// drainTimeout is how long a stop waits for requests. Those that take longer are stalled clients.
const drainTimeout = 5 * time.Second

// finishRequests waits until every request is answered. A client that does not send the rest of its
// request, or does not read its reply, is cut off: it was promised nothing.
func (a *App) finishRequests(ctx context.Context, server *http.Server) error {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		a.log.Warn("requests of stalled clients are cut off")
		return server.Close()
	}
	return err
}

func (a *App) fail(err error) {
	select {
	case a.fatal <- err:
	default: // the first one is the reason
	}
}

// startHTTP listens and answers from here on, with 503 until the store is attached: a start that
// recovers much is seen as alive. The log tells the address when the rest has started too: see tellAPI.
func (a *App) startHTTP(ctx context.Context) (*httpapi.Handler, *http.Server, net.Addr, error) {
	ln, err := listenHTTP(ctx, a.cfg)
	if err != nil {
		return nil, nil, nil, err
	}
	log := a.base.With("component", "http")
	api := httpapi.New(httpapi.Options{Version: a.version, Hosts: a.cfg.HTTPHosts, Log: log})
	server := httpapi.NewServer(api)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			a.fail(fmt.Errorf("the HTTP API ended: %w", err))
		}
	})
	a.steps.add("HTTP listener", func(context.Context) error {
		err := server.Close()
		serving.Wait()
		return err
	})
	return api, server, ln.Addr(), nil
}

// tellAPI logs where the API is.
func (a *App) tellAPI(addr net.Addr) {
	a.log.Info("HTTP API", "address", apiAddress(addr))
	if tcp, ok := addr.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		a.log.Warn("the HTTP API has no password: whoever reaches this address may read and write everything", "address", addr.String())
	}
}

// apiAddress is what a client passes as --addr.
func apiAddress(addr net.Addr) string {
	if addr.Network() == "unix" {
		return "unix:" + addr.String()
	}
	return "http://" + addr.String()
}

func (a *App) openStore(ctx context.Context) error {
	if err := store.MakeDir(a.cfg.DataDir); err != nil {
		return explainDataDir(a.cfg.DataDir, err)
	}
	opts := store.DefaultOptions(a.cfg.DataDir)
	opts.Now = wallClock
	opts.OpenBackend = a.openBackend
	log := a.base.With("component", "store")
	levels := newEventLevels()
	opts.Event = func(e store.Event) {
		logEvent(log, levels.of(e.Kind, time.Now()), e)
		switch e.Kind {
		case store.EventDamaged:
			a.healer.report(e.Namespace, damaged)
		case store.EventFailed:
			// What is acknowledged is on disk; who restarts us finds it.
			a.fail(fmt.Errorf("the datastore failed: %s", strings.ReplaceAll(e.Detail, "\n", "; ")))
		}
	}
	s, err := openUntil(ctx, opts)
	if err != nil {
		return explainDataDir(a.cfg.DataDir, err)
	}
	a.store = s
	a.steps.add("store", func(context.Context) error { return s.Close() })
	for _, name := range a.cfg.Namespaces {
		// A namespace that is there keeps the storage that it has.
		if _, err := s.Namespace(name); err == nil {
			continue
		}
		if err := s.CreateNamespace(name, store.Disk); err != nil {
			return fmt.Errorf("cannot create namespace %q: %w", name, err)
		}
	}
	return a.acceptLosses(ctx)
}

// openUntil opens the store. That can take long, where an earlier layout is migrated or a large change is finished:
// it is given up when ctx ends, and what comes of it later is closed.
func openUntil(ctx context.Context, opts store.Options) (*store.Store, error) {
	type result struct {
		store *store.Store
		err   error
	}
	opened := make(chan result, 1)
	go func() {
		s, err := store.Open(opts)
		opened <- result{s, err}
	}()
	select {
	case r := <-opened:
		return r.store, r.err
	case <-ctx.Done():
		go func() {
			if r := <-opened; r.err == nil {
				_ = r.store.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// troubleEvery is the least time between two warnings of a kind that repeats: a full disk causes ten a second,
// and a peer whose clock is ahead one with everything that it writes.
const troubleEvery = 10 * time.Second

// throttle lets something pass now and then. It is safe for concurrent use.
type throttle struct{ last atomic.Int64 }

func (t *throttle) pass(now time.Time) bool {
	last := t.last.Load()
	return now.UnixNano()-last >= int64(troubleEvery) && t.last.CompareAndSwap(last, now.UnixNano())
}

// eventLevels says how loud events of the store are. It is safe for concurrent use.
type eventLevels struct{ repeated map[store.EventKind]*throttle }

func newEventLevels() eventLevels {
	return eventLevels{map[store.EventKind]*throttle{store.EventDatastore: {}, store.EventClockAhead: {}}}
}

func (l eventLevels) of(k store.EventKind, now time.Time) slog.Level {
	if t := l.repeated[k]; t != nil && !t.pass(now) {
		return slog.LevelDebug
	}
	switch k {
	case store.EventDamaged, store.EventFailed, store.EventReturned:
		return slog.LevelError
	case store.EventCopied, store.EventClockAhead, store.EventDatastore, store.EventSetAside, store.EventHealed:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// logEvent logs an event of a namespace, or of the whole store.
func logEvent(log *slog.Logger, level slog.Level, e store.Event) {
	attrs := []slog.Attr{slog.String("event", string(e.Kind))}
	if e.Namespace != "" {
		attrs = append(attrs, slog.String("namespace", e.Namespace))
	}
	log.LogAttrs(context.Background(), level, e.Detail, attrs...)
}

func (a *App) startNode(ctx context.Context) error {
	key, made, err := clusterKey(a.cfg)
	if err != nil {
		return err
	}
	if made { // told at once: it stays when the start fails
		a.log.Info("made a new cluster key: a daemon joins this cluster when this file is copied into its data directory before its first start", "file", a.cfg.KeyFile())
	}
	opts := p2p.DefaultOptions()
	opts.ClusterKey = key
	if opts.Identity, err = p2p.LoadOrCreateIdentity(a.cfg.DataDir); err == nil && a.store.Copied() {
		// Two daemons under one peer id would cut each other's connections.
		if opts.Identity, err = p2p.ReplaceIdentity(a.cfg.DataDir); err == nil {
			err = a.store.Renewed()
		}
	}
	if err != nil {
		return explainDataDir(a.cfg.DataDir, err)
	}
	opts.Listen, opts.Announce, opts.Static, opts.MDNS = a.cfg.Listen, a.cfg.Announce, a.cfg.Peers, a.cfg.MDNS
	opts.PeerStore = filepath.Join(a.cfg.DataDir, peersFile)
	log := a.base.With("component", "sync")
	opts.Logger = log
	opts.Alarm = func(alarm p2p.Alarm) {
		a.logAlarm(log, alarm)
		if alarm.Kind == peersync.AlarmFork {
			a.healer.report(alarm.Namespace, forked)
		}
	}
	for _, info := range a.store.Namespaces() {
		ns, err := a.store.Namespace(info.Name)
		if err != nil {
			return err
		}
		opts.Copies = append(opts.Copies, newCopy(ns))
	}
	if err := checkListen(ctx, a.cfg.Listen); err != nil {
		return err
	}
	node, err := p2p.New(opts)
	if err != nil {
		return fmt.Errorf("cannot take part in the cluster: %w", err)
	}
	a.node = node
	a.steps.add("cluster", func(context.Context) error { return node.Close() })
	a.log.Info("listening for other daemons", "peer_id", node.PeerID(), "addresses", listening(node))
	return nil
}

// listening returns the addresses of the node without the peer id, which stands beside them.
func listening(node *p2p.Node) []string {
	addrs := node.Addresses()
	for i, a := range addrs {
		addrs[i], _, _ = strings.Cut(a, "/p2p/")
	}
	return addrs
}
