// Soak looks at what a soak test sampled (test/e2e/soak_test.go): it plots the samples, and judges
// whether daemons under a steady load stay as large as they are.
//
//	go run ./test/soak -plot docs/soak.svg docs/soak.csv
//	go run ./test/soak -judge docs/soak.csv
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("soak", flag.ContinueOnError)
	plot := fs.String("plot", "", "the SVG file to write")
	judged := fs.Bool("judge", false, "fail if a series grew")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return errors.New("usage: soak [-plot FILE.svg] [-judge] FILE.csv")
	}
	in, err := os.Open(fs.Arg(0))
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	table, err := read(in)
	if err != nil {
		return fmt.Errorf("%s: %w", fs.Arg(0), err)
	}
	if *plot != "" {
		if err := os.WriteFile(*plot, []byte(svg(table)), 0o644); err != nil {
			return err
		}
	}
	if *judged {
		return judge(table, out)
	}
	return nil
}
