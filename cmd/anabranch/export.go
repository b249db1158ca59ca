package main

import (
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/anabranchdb/anabranch/client"
)

func (c *cli) export() *cobra.Command {
	var (
		output string
		quiet  bool
	)
	cmd := &cobra.Command{
		Use: "export", Short: "Print everything in the namespace, sorted, one operation a line", Args: names(0, 0),
		Long: `Print everything in the namespace, sorted, as operations that a batch takes, one a line. Daemons
whose data is the same print the same bytes. An export that ends early is an error, and leaves no
file behind. "import" takes it in elsewhere. How far it has come is told on standard error.`,
		Example: `  anabranch export
  anabranch export --output backup.ndjson`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output == "" {
				return c.exportTo(cmd, c.out, quiet || c.terminal())
			}
			return writeFile(output, func(w io.Writer) error { return c.exportTo(cmd, w, quiet) })
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to this `file`, whole or not at all")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "tell nothing on standard error but what is wrong")
	return cmd
}

// exportTo streams the export. The usual limit of time is for a reply of usual size: here it holds
// only when it was asked for.
func (c *cli) exportTo(cmd *cobra.Command, w io.Writer, quiet bool) error {
	timeout := c.timeout
	if !cmd.Flags().Changed("timeout") {
		timeout = 0
	}
	if c.printContext {
		w, quiet = io.Discard, true
	}
	p := c.startProgress(0, quiet)
	reply, err := c.stream(cmd, client.Request{Method: "GET", Path: c.data("export"), Query: url.Values{}}, counted{p, w}, timeout)
	if err != nil {
		p.finish("ended early, behind")
		return err
	}
	p.finish("exported")
	if c.printContext {
		return c.println(reply.Context())
	}
	return nil
}

// writeFile writes a file whole or not at all.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".anabranch-*")
	if err != nil {
		return err
	}
	err = errors.Join(write(f), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
