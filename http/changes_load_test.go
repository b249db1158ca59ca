package http

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anabranchdb/anabranch/store"
)

// pipes is a listener whose connections hold nothing: a write ends when the other side has read it.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7700} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p.conns <- there
	return here, nil
}

// TestStalledReaders: 256 readers that take nothing, and as many that take a little now and then, hold
// up no writer and make the daemon hold little. The former are cut off when the time that the manual
// names is over, and the log says so; the latter stay. Time is that of the test: it passes when all
// wait, so a writer that waited for a reader would take much of it.
func TestStalledReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const readers, writes = 256, 200
		s, err := store.Open(store.MemoryOptions())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var log logLines
		h := New(Options{Log: slog.New(slog.NewJSONHandler(&log, nil))})
		h.Attach(Adapt(s), nil)
		ln, srv := newPipes(), NewServer(h)
		go func() { _ = srv.Serve(ln) }()
		defer srv.Close()
		client := &http.Client{Transport: &http.Transport{DialContext: ln.dial, DisableKeepAlives: true}}

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var slow sync.WaitGroup
		for i := range 2 * readers {
			conn, err := ln.dial(ctx, "", "")
			if err != nil {
				t.Fatal(err)
			}
			media := []string{mediaTypeSSE, mediaTypeNDJSON}[i/2%2]
			fmt.Fprintf(conn, "GET %s/changes?include=value HTTP/1.1\r\nHost: localhost\r\nAccept: %s\r\n\r\n", ns, media)
			if i%2 == 0 {
				defer conn.Close() // who takes nothing at all
				continue
			}
			slow.Go(func() { takeSlowly(ctx, conn) })
		}
		synctest.Wait()
		if n := h.feeds.Load(); n != 2*readers {
			t.Fatalf("%d readers", n)
		}
		before := heapBytes()
		began := time.Now()
		value := `"` + strings.Repeat("x", 10_000) + `"`
		for i := range writes {
			req, _ := http.NewRequest("PUT", "http://localhost"+ns+"/registers/"+fmt.Sprint(i), strings.NewReader(value))
			req.Header.Set("Content-Type", mediaTypeJSON)
			resp, err := client.Do(req)
			if err != nil || resp.StatusCode != 204 {
				t.Fatal(resp, err)
			}
			resp.Body.Close()
		}
		if took := time.Since(began); took >= time.Second {
			t.Errorf("the writers waited %v for readers", took)
		}
		if held := heapBytes() - before; held > 2*readers*(2*chunkBytes+maxStreamBytes) {
			t.Errorf("%d bytes are held for the readers", held)
		}
		<-time.After(chunkTimeout + time.Second - time.Since(began))
		synctest.Wait()
		if n := h.feeds.Load(); n != readers {
			t.Errorf("%d readers are left, want those that take something", n)
		}
		if lines, count := log.cutOff(t); lines != readers || count != readers {
			t.Errorf("%d lines of the log count %d, want %d", lines, count, readers)
		}
		cancel()
		slow.Wait()
	})
}

// takeSlowly reads a little every second until ctx ends.
func takeSlowly(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	for b := make([]byte, 4<<10); ; {
		if _, err := conn.Read(b); err != nil {
			return
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

func heapBytes() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// logLines collects what a JSON logger writes.
type logLines struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(b)
}

// cutOff returns how many lines tell that a client was cut off, and the largest count in them.
func (l *logLines) cutOff(t *testing.T) (lines, count int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(l.lines.Bytes()) {
		var said struct {
			Msg, Reason, Path, Client string
			Count                     int `json:"cut_off_so_far"`
		}
		if err := json.Unmarshal(line, &said); err != nil {
			t.Fatal(err)
		}
		if said.Msg != "cut off a client" || said.Reason != "it took nothing for 30s" || said.Path != ns+"/changes" || said.Client == "" {
			t.Errorf("the log says %s", line)
		}
		lines, count = lines+1, max(count, said.Count)
	}
	return lines, count
}
