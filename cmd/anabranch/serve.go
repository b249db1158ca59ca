package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/anabranchdb/anabranch/config"
	"github.com/anabranchdb/anabranch/internal/app"
)

// stopTimeout bounds the time from the first signal to the end of the process; a little of the
// ten seconds that container runtimes grant stays for the exit itself.
const stopTimeout = 9 * time.Second

func (c *cli) serve() *cobra.Command {
	cmd := local(&cobra.Command{
		Use: "serve", Short: "Run a daemon", Args: names(0, 0),
		Long: `Run a daemon until it gets SIGTERM or SIGINT; a second one ends it at once. With no flag it
keeps its data in the usual place of the platform, serves the HTTP API on loopback, makes a cluster
key, and finds the other daemons of that cluster on the local network.

Settings come from flags, from ANABRANCH_ variables (ANABRANCH_DATA_DIR for --data-dir; lists with
commas), from the file that --config names, and from the defaults, in this order. "anabranch config
sample" prints a file with all of them, explained. "anabranch help exit-codes" tells what the exit
codes mean.`,
		Example: `  anabranch serve
  anabranch serve --config /etc/anabranch.yaml
  anabranch serve --http unix:/run/anabranch/http.sock --mdns=false --peer /dns4/warehouse.example.org/tcp/7701
  anabranch serve --data-dir second --http 127.0.0.1:7710 --listen /ip4/0.0.0.0/tcp/7711`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			return runDaemon(cmd.Context(), app.New(cfg, buildVersion(), newLogger(c.errOut, cfg)))
		},
	})
	config.AddFlags(cmd.Flags())
	return cmd
}

func loadConfig(cmd *cobra.Command) (config.Config, error) {
	cfg, err := config.Load(cmd.Flags(), os.Environ())
	if err != nil {
		return cfg, usageError{fmt.Errorf("the settings cannot work:\n%w", err)}
	}
	return cfg, nil
}

func newLogger(w io.Writer, cfg config.Config) *slog.Logger {
	opts := &slog.HandlerOptions{Level: cfg.Level()}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// daemon is what runDaemon runs: an *app.App.
type daemon interface {
	Start(context.Context) error
	Failed() <-chan error
	Stop(context.Context) error
}

// runDaemon runs a daemon until a signal or a failure ends it. The error is one line.
func runDaemon(ctx context.Context, a daemon) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	// A signal also ends a start that takes long.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-signals:
			cancel(errSignal)
		case <-ctx.Done():
			return
		}
		<-signals
		os.Exit(exitError)
	}()

	if err := a.Start(ctx); err != nil {
		if errors.Is(context.Cause(ctx), errSignal) {
			return nil
		}
		return err
	}
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-a.Failed():
	}
	stopCtx, stop := context.WithTimeoutCause(context.WithoutCancel(ctx), stopTimeout, errors.New("it takes too long"))
	defer stop()
	err := a.Stop(stopCtx)
	if failure != nil && err != nil {
		// The reason first; what failed can rarely be closed as it should.
		return fmt.Errorf("%w; then: %s", failure, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return cmp.Or(failure, err)
}

var errSignal = errors.New("a signal")
