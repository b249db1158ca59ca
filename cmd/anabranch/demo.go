package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/anabranchdb/anabranch/internal/demo"
)

// readingTime is the pause after each chapter of the demo on a terminal.
const readingTime = 1500 * time.Millisecond

func (c *cli) demo() *cobra.Command {
	var pause time.Duration
	cmd := local(&cobra.Command{
		Use: "demo", Short: "Watch three daemons find each other, be cut apart, and join again", Args: names(0, 0),
		Long: `Start three daemons on this machine, let them find each other, cut them apart, write what
contradicts itself on all sides, and let them join again. The exit code is 0 only if all three hold
the same data in the end, byte for byte. It takes about twenty seconds and leaves nothing behind.`,
		Example: `  anabranch demo
  anabranch demo --pause 0s`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			exe, err := os.Executable()
			if err != nil {
				return err
			}
			// When nobody reads on, as in "demo | head", the write fails in place of the process: there are daemons to stop.
			signal.Ignore(syscall.SIGPIPE)
			ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
			if !signal.Ignored(syscall.SIGHUP) { // as nohup does
				ends = append(ends, syscall.SIGHUP)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), ends...)
			defer stop()
			terminal := c.terminal()
			if !terminal && !cmd.Flags().Changed("pause") {
				pause = 0
			}
			return demo.Run(ctx, demo.Options{Exe: exe, Out: c.out, Pause: pause, Color: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"})
		},
	})
	cmd.Flags().DurationVar(&pause, "pause", readingTime, "after each chapter, to read it (none when the output is no terminal)")
	return cmd
}

// terminal reports whether standard output is one.
func (c *cli) terminal() bool {
	f, ok := c.out.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
