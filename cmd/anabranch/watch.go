package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/anabranchdb/anabranch/client"
)

func (c *cli) watch() *cobra.Command {
	var (
		since, typ, prefix string
		values             bool
		limit              int
	)
	cmd := &cobra.Command{
		Use: "watch", Short: "Print what changes, one object a line, until it is interrupted", Args: names(0, 0),
		Long: `Print what changes in the namespace, one line for each object: what happened (changed, removed or
conflict), type, key, and with --values the value. States in between may be skipped, and a change
may come twice; none is lost. Without --since it begins now. At the end the cursor to go on from is
printed on standard error.`,
		Example: `  anabranch watch
  anabranch watch --since start --type set --limit 10
  anabranch watch --prefix cart --values --json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			for name, value := range map[string]string{"since": since, "type": typ, "prefix": prefix} {
				if value != "" {
					q.Set(name, value)
				}
			}
			if values {
				q.Set("include", "value")
			}
			if cmd.Flags().Changed("limit") {
				q.Set("limit", strconv.Itoa(limit))
			}
			timeout := c.timeout
			if !cmd.Flags().Changed("timeout") {
				timeout = 0
			}
			w := &watcher{cli: c}
			_, err := c.stream(cmd, client.Request{Method: "GET", Path: c.data("changes"), Query: q, Accept: "application/x-ndjson"}, w, timeout)
			if cmd.Context().Err() != nil {
				err = nil // interrupted: that is how it ends
			}
			if w.cursor != "" {
				_, _ = fmt.Fprintf(c.errOut, "more: --since %s\n", w.cursor)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&since, "since", "", "begin at \"start\", \"now\", a `cursor`, or behind what the token of another command stands for")
	f.StringVar(&typ, "type", "", "only objects of this `type`: counter, flag, map, register or set")
	f.StringVar(&prefix, "prefix", "", "only keys that begin with this `text`")
	f.BoolVar(&values, "values", false, "print values too, but for sets and maps above 64 KiB")
	f.IntVar(&limit, "limit", 0, "end behind `N` changes, at most 1000")
	return cmd
}

// watcher prints the lines of a feed as they arrive.
type watcher struct {
	*cli
	rest   []byte
	cursor string
}

func (w *watcher) Write(b []byte) (int, error) {
	w.rest = append(w.rest, b...)
	for {
		i := bytes.IndexByte(w.rest, '\n')
		if i < 0 {
			return len(b), nil
		}
		if err := w.show(w.rest[:i+1]); err != nil {
			return 0, err
		}
		w.rest = w.rest[i+1:]
	}
}

func (w *watcher) show(text []byte) error {
	var change struct {
		Cursor, Event, Type, Key string
		Value                    json.RawMessage
	}
	if err := decode(text, &change); err != nil {
		return err
	}
	w.cursor = change.Cursor
	switch {
	case w.printContext:
		return nil
	case w.json:
		return w.raw(text)
	case change.Event == "bookmark":
		return nil
	}
	out := change.Event + "\t" + change.Type + "\t" + line(change.Key)
	if change.Value != nil {
		out += "\t" + string(change.Value)
	}
	return w.println(out)
}
