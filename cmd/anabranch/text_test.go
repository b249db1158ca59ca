package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/anabranchdb/anabranch/client"
	"github.com/anabranchdb/anabranch/internal/app"
)

func TestLine(t *testing.T) {
	for name, want := range map[string]string{
		"plain":      "plain",
		"a b":        "a b",
		"é/..%":      "é/..%",
		"":           `""`,
		" a":         `" a"`,
		"a\nb":       `"a\nb"`,
		"\x1b[2J":    `"\u001b[2J"`,
		"\x00":       `"\u0000"`,
		`"quoted"`:   `"\"quoted\""`,
		"a\u202e<":   `"a\u202e<"`,
		"\U000e0001": `"\udb40\udc01"`,
	} {
		if got := line(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
		if strings.ContainsAny(line(name), "\x1b\n\x00") {
			t.Errorf("%q: control characters pass", name)
		}
	}
}

func TestBytesText(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 3 << 20: "3.0 MiB", 1 << 62: "4096.0 PiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestReachable(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:7700": "http://127.0.0.1:7700",
		"0.0.0.0:7700":   "http://localhost:7700",
		"[::]:7700":      "http://localhost:7700",
		":7700":          "http://localhost:7700",
		"unix:/x":        "unix:/x",
	} {
		if got := reachable(listen); got != want {
			t.Errorf("%s: %s, want %s", listen, got, want)
		}
	}
}

func TestExitCodes(t *testing.T) {
	problem := func(name string, status int) error {
		return &client.Problem{Type: "urn:anabranch:problem:" + name, Status: status}
	}
	for _, tc := range []struct {
		err  error
		want int
	}{
		{errors.New("x"), exitError},
		{problem("bad-request", 400), exitError},
		{problem("internal", 500), exitError},
		{problem("", 404), exitError}, // not our API
		{usagef("x"), exitUsage},
		{app.ErrSettings, exitUsage},
		{client.ErrAddr, exitUsage},
		{problem("not-found", 404), exitNotFound},
		{problem("namespace-not-found", 404), exitNotFound},
		{absentError("x"), exitNotFound},
		{problem("precondition-failed", 412), exitConflict},
		{problem("overflow", 422), exitConflict},
		{problem("idempotency-in-progress", 409), exitConflict},
		{client.ErrUnreachable, exitUnreachable},
		{problem("not-yet-visible", 503), exitNotYet},
		{problem("shutting-down", 503), exitBusy},
		{problem("disk-full", 507), exitBusy},
		{problem("rate-limited", 429), exitBusy},
		{app.ErrDataDirInUse, exitLocked},
		{app.ErrDataDirVersion, exitLayout},
		{app.ErrDataDirDamaged, exitDamaged},
		{fs.ErrPermission, exitDenied},
		{app.ErrAddressInUse, exitAddrInUse},
		{fmt.Errorf("%w: %w", errHealth, client.ErrUnreachable), exitError},
	} {
		if got := exitCode(fmt.Errorf("wrapped: %w", tc.err)); got != tc.want {
			t.Errorf("%v: %d, want %d", tc.err, got, tc.want)
		}
	}
}
