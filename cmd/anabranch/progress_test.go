package main

import (
	"strings"
	"testing"
	"time"
)

func TestProgressText(t *testing.T) {
	began := time.Unix(0, 0)
	for _, tc := range []struct {
		total, bytes, lines int64
		terminal            bool
		want                string
	}{
		{0, 0, 0, true, "0 B, 0 lines, 0 lines/s"},
		{0, 2048, 40, false, "2.0 KiB, 40 lines, 4 lines/s"},
		{4096, 0, 0, true, "[........................]   0%  0 B of 4.0 KiB, 0 lines, 0 lines/s"},
		{4096, 1024, 40, true, "[######..................]  25%  1.0 KiB of 4.0 KiB, 40 lines, 4 lines/s, 30s left"},
		{4096, 1024, 40, false, "25%  1.0 KiB of 4.0 KiB, 40 lines, 4 lines/s, 30s left"},
		{4096, 4096, 90, true, "[########################] 100%  4.0 KiB of 4.0 KiB, 90 lines, 9 lines/s"},
		{4096, 8192, 90, true, "[########################] 100%  4.0 KiB of 4.0 KiB, 90 lines, 9 lines/s"}, // it grew
	} {
		p := progress{terminal: tc.terminal, total: tc.total, began: began, now: func() time.Time { return began.Add(10 * time.Second) }}
		p.bytes.Store(tc.bytes)
		p.lines.Store(tc.lines)
		if got := p.text(); got != tc.want {
			t.Errorf("got  %q\nwant %q", got, tc.want)
		}
	}
}

// TestProgressIsOneLine: on a terminal each state takes the place of the one before; elsewhere each has
// its line.
func TestProgressIsOneLine(t *testing.T) {
	for _, tc := range []struct {
		terminal bool
		want     string
	}{
		{true, "\r2 B, 1 lines, 1 lines/s\x1b[K\r\x1b[Kline 1: no\n\r\x1b[Kexported 1 lines, 2 B in 1s (1 lines/s)\n"},
		{false, "2 B, 1 lines, 1 lines/s\nline 1: no\nexported 1 lines, 2 B in 1s (1 lines/s)\n"},
	} {
		var out strings.Builder
		p := progress{out: &out, terminal: tc.terminal, now: func() time.Time { return time.Unix(1, 0) }, began: time.Unix(0, 0), stop: make(chan struct{})}
		if _, err := (counted{&p, &strings.Builder{}}).Write([]byte("x\n")); err != nil {
			t.Fatal(err)
		}
		p.show()
		p.note("line %d: no", 1)
		p.finish("exported")
		if out.String() != tc.want {
			t.Errorf("got %q\nwant %q", out.String(), tc.want)
		}
	}
}
