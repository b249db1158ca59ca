package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/anabranchdb/anabranch/client"
)

func (c *cli) watch() *cobra.Command {
	w := watcher{cli: c}
	cmd := &cobra.Command{
		Use: "watch", Short: "Print what changes, one object a line, until it is interrupted", Args: names(0, 0),
		Long: `Print what changes in the namespace, one line for each object: what happened (changed, removed or
conflict), type, key, and with --values the value. States in between may be skipped, and a change
may come twice; none is lost. Without --since it begins now. At the end the cursor to go on from is
printed on standard error. A connection that breaks off is taken up where it was.

When the daemon has forgotten what came between, it prints "resync", then every object that there is
as "listed", then "resynced": what was not listed is gone.`,
		Example: `  anabranch watch
  anabranch watch --since start --type set --limit 10
  anabranch watch --prefix cart --values --json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.printContext || c.printETag {
				return usagef("--print-context and --print-etag mean nothing here; the cursor is printed at the end")
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			cmd.SetContext(ctx)
			timeout := c.timeout
			if !cmd.Flags().Changed("timeout") {
				timeout = 0
			}
			req := client.Request{}
			err := c.with(cmd, &req, timeout, func(ctx context.Context, cl *client.Client) (string, error) {
				return "", w.follow(ctx, c.handle(cl, req))
			})
			if ctx.Err() != nil {
				err = nil // interrupted: that is how it ends
			}
			if w.cursor != "" {
				_, _ = fmt.Fprintf(c.errOut, "more: --since %s\n", w.cursor)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&w.since, "since", "", "begin at \"start\", \"now\", a `cursor`, or behind what the token of another command stands for")
	f.StringVar(&w.typ, "type", "", "only objects of this `type`: bounded, counter, flag, list, map, presence, register or set")
	f.StringVar(&w.prefix, "prefix", "", "only keys that begin with this `text`")
	f.BoolVar(&w.values, "values", false, "print values too, but for sets and maps above 64 KiB")
	f.IntVar(&w.limit, "limit", 0, "end behind `N` changes; 0 is never")
	return cmd
}

// watcher prints a feed.
type watcher struct {
	*cli
	since, typ, prefix string
	values             bool
	limit              int
	cursor             string // of the last change
}

func (w *watcher) follow(ctx context.Context, ns *client.Namespace) error {
	opts := []client.Option{client.Bookmarks()}
	if w.since != "" {
		opts = append(opts, client.Since(w.since))
	}
	if w.typ != "" {
		opts = append(opts, client.OfType(client.Type(w.typ)))
	}
	if w.prefix != "" {
		opts = append(opts, client.Prefix(w.prefix))
	}
	if w.values {
		opts = append(opts, client.Values())
	}
	told := 0
	for change, err := range ns.Changes(ctx, opts...) {
		if err == nil {
			err = w.print(change)
		}
		if err != nil {
			return err
		}
		if change.Key != "" {
			told++
		}
		if w.limit > 0 && told == w.limit {
			break
		}
	}
	return nil
}

func (w *watcher) print(c client.Change) error {
	if c.Cursor != "" {
		w.cursor = c.Cursor
	}
	if w.json {
		text, err := encode(c)
		if err != nil {
			return err
		}
		return w.raw(text)
	}
	out := string(c.Event)
	switch {
	case c.Event == client.EventBookmark:
		return nil
	case c.Key != "":
		out += "\t" + string(c.Type) + "\t" + line(c.Key)
	}
	if c.Value != nil {
		out += "\t" + string(c.Value)
	}
	return w.println(out)
}
