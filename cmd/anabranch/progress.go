package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mattn/go-isatty"
)

// How often progress is shown: as a bar on a terminal, and as lines elsewhere.
const (
	barInterval  = 100 * time.Millisecond
	lineInterval = 10 * time.Second
	barWidth     = 24 // columns
)

// progress tells, on standard error, how far a long command has come.
type progress struct {
	out      io.Writer
	terminal bool
	now      func() time.Time
	total    int64 // bytes; 0 while unknown
	began    time.Time

	bytes, lines atomic.Int64

	stop chan struct{} // closed to end it; nil when it is not shown
	wg   sync.WaitGroup
}

// startProgress shows progress until finish. A quiet one only counts.
func (c *cli) startProgress(total int64, quiet bool) *progress {
	f, ok := c.errOut.(*os.File)
	p := &progress{out: c.errOut, terminal: ok && isatty.IsTerminal(f.Fd()) && os.Getenv("TERM") != "dumb", now: time.Now, total: total, began: time.Now()}
	if quiet {
		return p
	}
	every := lineInterval
	if p.terminal {
		every = barInterval
	}
	p.stop = make(chan struct{})
	p.wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.show()
			case <-p.stop:
				return
			}
		}
	})
	return p
}

// show prints where things stand now.
func (p *progress) show() {
	if p.terminal {
		fmt.Fprintf(p.out, "\r%s\x1b[K", p.text())
		return
	}
	fmt.Fprintln(p.out, p.text())
}

// note prints a line of its own, above the bar.
func (p *progress) note(format string, args ...any) {
	begin := ""
	if p.terminal && p.stop != nil {
		begin = "\r\x1b[K"
	}
	fmt.Fprintf(p.out, begin+format+"\n", args...)
}

// finish ends it, and prints what has been done.
func (p *progress) finish(done string) {
	if p.stop == nil {
		return
	}
	close(p.stop)
	p.wg.Wait()
	took := p.now().Sub(p.began)
	p.note("%s %d lines, %s in %s (%s)", done, p.lines.Load(), bytesText(uint64(p.bytes.Load())), took.Round(10*time.Millisecond), p.rate(took))
}

func (p *progress) rate(took time.Duration) string {
	if took <= 0 {
		return "0 lines/s"
	}
	return fmt.Sprintf("%.0f lines/s", float64(p.lines.Load())/took.Seconds())
}

// text is where things stand, on one line: of a known total the share, and how long the rest takes if
// it goes on like this.
func (p *progress) text() string {
	bytes, took := min(p.bytes.Load(), max(p.total, 0)), p.now().Sub(p.began)
	if p.total <= 0 {
		return fmt.Sprintf("%s, %d lines, %s", bytesText(uint64(p.bytes.Load())), p.lines.Load(), p.rate(took))
	}
	share := float64(bytes) / float64(p.total)
	text := fmt.Sprintf("%3.0f%%  %s of %s, %d lines, %s", share*100, bytesText(uint64(bytes)), bytesText(uint64(p.total)), p.lines.Load(), p.rate(took))
	if bytes > 0 && bytes < p.total {
		left := time.Duration(float64(took) * (1 - share) / share)
		text += ", " + left.Round(time.Second).String() + " left"
	}
	if !p.terminal {
		return strings.TrimSpace(text)
	}
	full := int(share * barWidth)
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", barWidth-full) + "] " + text
}

// counted counts what passes through, to a writer or from a reader.
type counted struct {
	*progress
	w io.Writer
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.bytes.Add(int64(n))
	for _, char := range b[:n] {
		if char == '\n' {
			c.lines.Add(1)
		}
	}
	return n, err
}
