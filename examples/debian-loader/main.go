// Debian-loader fills a daemon with data that everybody knows: the countries, subdivisions, languages,
// scripts and currencies of Debian's iso-codes, and the index of Debian's packages, each a map whose
// fields are registers and whose dependencies are a set. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"github.com/anabranchdb/anabranch/client"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "debian-loader:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("debian-loader", flag.ContinueOnError)
	addr := flags.String("addr", "http://127.0.0.1:7700", "the daemon: http://HOST:PORT or unix:PATH")
	ns := flags.String("ns", "default", "the namespace")
	iso := flags.String("iso", "/usr/share/iso-codes/json", "the directory of iso-codes; empty for none")
	packages := flags.String("packages", "apt", `the package index: a file, - for standard input, apt for "apt-cache dumpavail", empty for none`)
	limit := flags.Int("limit", 0, "how many packages to load at most; 0 for all")
	writers := flags.Int("writers", 4, "how many batches to send at once")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || *writers < 1 {
		return errors.New("see debian-loader -help")
	}
	c, err := client.New(*addr, client.Options{Retries: retries})
	if err != nil {
		return err
	}
	defer c.Close()
	l := newLoader(ctx, c, *ns, *writers)
	stopProgress := l.progress(os.Stderr, time.Second)
	err = load(ctx, l, *iso, *packages, *limit)
	err = errors.Join(err, l.close())
	stopProgress()
	return err
}

func load(ctx context.Context, l *loader, iso, packages string, limit int) error {
	if iso != "" {
		if err := readISO(iso, func(r record) error { return l.add(ctx, r) }); err != nil {
			return err
		}
	}
	if packages == "" {
		return nil
	}
	in, done, err := openIndex(ctx, packages)
	if err != nil {
		return err
	}
	n := 0
	err = readPackages(in, func(r record) error {
		if n++; limit > 0 && n > limit {
			return errEnough
		}
		return l.add(ctx, r)
	})
	if errors.Is(err, errEnough) {
		_ = done() // apt-cache minds that nobody reads on
		return nil
	}
	return errors.Join(err, done())
}

var errEnough = errors.New("enough")

// openIndex opens the package index; done ends what it began.
func openIndex(ctx context.Context, from string) (in io.Reader, done func() error, err error) {
	switch from {
	case "-":
		return os.Stdin, func() error { return nil }, nil
	case "apt":
		cmd := exec.CommandContext(ctx, "apt-cache", "dumpavail")
		pipe, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			return nil, nil, fmt.Errorf("apt-cache dumpavail: %w", err)
		}
		return pipe, func() error { return errors.Join(pipe.Close(), cmd.Wait()) }, nil
	}
	f, err := os.Open(from)
	if err != nil {
		return nil, nil, err
	}
	return f, f.Close, nil
}
