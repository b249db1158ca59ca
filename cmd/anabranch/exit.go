package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/anabranchdb/anabranch/client"
	"github.com/anabranchdb/anabranch/internal/app"
)

// The exit codes. Scripts rely on them: none changes its meaning.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitConflict    = 4
	exitUnreachable = 5
	exitNotYet      = 6
	exitBusy        = 7
	exitLocked      = 10
	exitLayout      = 11
	exitDamaged     = 12
	exitDenied      = 13
	exitAddrInUse   = 14
)

var exitTable = []struct {
	code int
	when string
}{
	{exitOK, "done"},
	{exitError, "any other error; \"healthcheck\" and \"demo\" know only 0 and 1"},
	{exitUsage, "the command line or the settings are wrong; nothing was done"},
	{exitNotFound, "no such object, member, field or namespace"},
	{exitConflict, "refused in the present state: a condition failed, a counter would overflow, an action that the type lacks; \"import\" is complete but for lines that were refused"},
	{exitUnreachable, "no daemon answered, or not in time; a write may or may not have happened"},
	{exitNotYet, "the daemon has not yet all that --context stands for, or too few --acks came (the write stands), or what \"sync --wait\" waits for was not reached; try again, or --wait longer"},
	{exitBusy, "the daemon is busy, shutting down, or its disk is full; try again later"},
	{exitLocked, "serve: another daemon uses the data directory"},
	{exitLayout, "serve: a newer version wrote the data directory"},
	{exitDamaged, "serve: the data directory is damaged"},
	{exitDenied, "serve: no permission for the data directory, the socket or the port"},
	{exitAddrInUse, "serve: an address is taken by somebody else"},
}

// errUsage marks errors of the command line.
var errUsage = errors.New("usage")

type usageError struct{ err error }

func (e usageError) Error() string   { return e.err.Error() }
func (e usageError) Unwrap() []error { return []error{e.err, errUsage} }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func exitCode(err error) int {
	var (
		p      *client.Problem
		absent absentError
	)
	switch {
	case errors.Is(err, errHealth):
		return exitError
	case errors.Is(err, errNotReached):
		return exitNotYet
	case errors.Is(err, errRefused):
		return exitConflict
	case errors.Is(err, errUsage), errors.Is(err, client.ErrAddr):
		return exitUsage
	case errors.As(err, &absent):
		return exitNotFound
	case errors.Is(err, client.ErrUnreachable):
		return exitUnreachable
	case errors.As(err, &p):
		return problemCode(p)
	}
	return serveCode(err)
}

func problemCode(p *client.Problem) int {
	switch {
	case errors.Is(p, client.ErrNotFound) || errors.Is(p, client.ErrNamespaceNotFound):
		return exitNotFound
	case p.Status == http.StatusConflict || p.Status == http.StatusPreconditionFailed || p.Status == http.StatusUnprocessableEntity:
		return exitConflict
	case errors.Is(p, client.ErrNotYetVisible):
		return exitNotYet
	case p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests || p.Status == http.StatusInsufficientStorage:
		return exitBusy
	}
	return exitError
}

func serveCode(err error) int {
	switch {
	case errors.Is(err, app.ErrSettings):
		return exitUsage
	case errors.Is(err, app.ErrDataDirInUse):
		return exitLocked
	case errors.Is(err, app.ErrDataDirVersion):
		return exitLayout
	case errors.Is(err, app.ErrDataDirDamaged):
		return exitDamaged
	case errors.Is(err, app.ErrAddressInUse):
		return exitAddrInUse
	case errors.Is(err, fs.ErrPermission):
		return exitDenied
	}
	return exitError
}

// exitCodesTopic is "anabranch help exit-codes".
func exitCodesTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString("The exit codes of anabranch:\n\n")
	for _, e := range exitTable {
		fmt.Fprintf(&b, "  %2d  %s\n", e.code, e.when)
	}
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: strings.TrimSuffix(b.String(), "\n")}
}
