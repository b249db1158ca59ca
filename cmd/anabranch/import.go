package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/anabranchdb/anabranch/client"
)

// mostRefusals is how many refused lines are printed; the others are only counted.
const mostRefusals = 50

// importRetries is how often an import is taken up that does not get on: for half a minute, in which a
// daemon is restarted.
const importRetries = 10

// errRefused is returned when an import is complete, but for lines that the daemon has refused.
var errRefused = errors.New("lines were refused")

func (c *cli) importCmd() *cobra.Command {
	var (
		key   string
		quiet bool
	)
	cmd := &cobra.Command{
		Use: "import [FILE]", Short: "Take in operations, one a line, as export prints them", Args: names(0, 1),
		Long: `Take in operations, one JSON object a line, as "export" prints them, from a file or standard input.
Lines are done in order, many at a time, but not all at once: others may see the first ones before
the last. A line that is refused does not stop the others: it is told with its number on standard
error, and the exit code is 4 in the end. How far it has come is told there, too.

A connection that breaks off is taken up by itself when the input is a file. An import that was
broken off prints the command that goes on with it: the same input again, with --resume. Lines that
have been done are then passed over, so that nothing is counted twice; the daemon knows that for 24
hours. A key of one's own may be given with --resume from the start.`,
		Example: `  anabranch import backup.ndjson
  anabranch import backup.ndjson --resume 3YPUIYDZ4KOHOIPSAVELKVOX4I
  zcat backup.ndjson.gz | anabranch import`,
		RunE: func(cmd *cobra.Command, args []string) error {
			in, total, path := c.in, int64(0), "-"
			if len(args) > 0 && args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer func() { _ = f.Close() }()
				if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
					total = info.Size()
				}
				in, path = f, args[0]
			}
			i := importer{cli: c, p: c.startProgress(total, quiet), key: key}
			if key == "" {
				i.key = rand.Text()
			}
			err := i.run(cmd, in)
			if err != nil && !errors.Is(err, errRefused) {
				i.p.note("behind line %d it broke off; go on with: anabranch import --resume %s %s", i.last, i.key, path)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&key, "resume", "", "go on with the import of this `key`, which it has printed")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "tell nothing on standard error but what is wrong")
	return cmd
}

// importer is one import.
type importer struct {
	*cli
	p       *progress
	key     string
	last    int64 // the last line that was answered
	refused int64
}

func (i *importer) run(cmd *cobra.Command, in io.Reader) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	timeout := i.timeout
	if !cmd.Flags().Changed("timeout") {
		timeout = 0
	}
	req := client.Request{}
	cmd.SetContext(ctx)
	if _, err := i.call(cmd, client.Request{Method: "GET", Path: []string{"readyz"}}); err != nil {
		return err // nobody is there: so it is told at once
	}
	i.retries = importRetries
	err := i.with(cmd, &req, timeout, func(ctx context.Context, cl *client.Client) (string, error) {
		var meta client.Meta
		ns := i.handle(cl, req)
		for r, err := range ns.Bulk(ctx, i.counting(in), client.IdempotencyKey(i.key), client.WithMeta(&meta)) {
			if err != nil {
				return "", err
			}
			if err := i.tell(r); err != nil {
				return "", err
			}
		}
		return meta.Context, nil
	})
	switch {
	case err != nil:
		i.p.finish("broke off:")
		return err
	case i.refused > 0:
		i.p.finish(fmt.Sprintf("imported all but %d of", i.refused))
		return fmt.Errorf("%d %w", i.refused, errRefused)
	}
	i.p.finish("imported")
	return nil
}

// tell counts a result, and prints it if the line was refused.
func (i *importer) tell(r client.BulkResult) error {
	i.last = r.Line
	i.p.lines.Store(r.Line)
	if i.json {
		if err := i.raw(r.JSON); err != nil {
			return err
		}
	}
	if r.Problem == nil {
		return nil
	}
	if i.refused++; i.refused <= mostRefusals {
		i.p.note("line %d: %v", r.Line, r.Problem)
	} else if i.refused == mostRefusals+1 {
		i.p.note("further refused lines are only counted here; --json prints what became of every line")
	}
	return nil
}

// counting has the progress see what is read. What can be sought, and so sent again, stays so.
func (i *importer) counting(in io.Reader) io.Reader {
	if f, ok := in.(io.ReadSeeker); ok {
		return &countedFile{f, i.p}
	}
	return io.TeeReader(in, countedBytes{i.p})
}

// countedBytes counts bytes and forgets them.
type countedBytes struct{ p *progress }

func (c countedBytes) Write(b []byte) (int, error) {
	c.p.bytes.Add(int64(len(b)))
	return len(b), nil
}

// countedFile counts how far a file has been read.
type countedFile struct {
	io.ReadSeeker
	p *progress
}

func (c *countedFile) Read(b []byte) (int, error) {
	n, err := c.ReadSeeker.Read(b)
	c.p.bytes.Add(int64(n))
	return n, err
}

func (c *countedFile) Seek(offset int64, whence int) (int64, error) {
	at, err := c.ReadSeeker.Seek(offset, whence)
	if err == nil {
		c.p.bytes.Store(at)
	}
	return at, err
}
