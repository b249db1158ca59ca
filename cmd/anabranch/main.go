package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/anabranchdb/anabranch/client"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run runs one command and returns the exit code.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	c := &cli{in: in, out: out, errOut: errOut, retries: 2}
	root := c.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteC()
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(errOut, "anabranch: %s\n", err)
	if errors.Is(err, errUsage) {
		fmt.Fprintf(errOut, "See \"%s --help\".\n", cmd.CommandPath())
	}
	if errors.Is(err, client.ErrUnreachable) {
		fmt.Fprintln(errOut, "Is a daemon running there? \"anabranch serve\" starts one; --addr names another address.")
	}
	return exitCode(err)
}
