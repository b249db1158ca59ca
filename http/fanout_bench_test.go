//go:build unix

package http

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/store"
)

// BenchmarkFanOut writes 1,000 registers a second, as many as asked for, while readers follow the
// feed with values. Reported are the lag from the beginning of a write to its arrival at a reader, the
// time of a write, and the CPU time per second of this process, which the clients are part of.
func BenchmarkFanOut(b *testing.B) {
	for _, readers := range []int{0, 1, 64, 256} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) {
			d := openDaemon(b, store.DefaultOptions(b.TempDir()))
			ctx, cancel := context.WithTimeout(b.Context(), time.Duration(b.N)*time.Millisecond+time.Minute)
			defer cancel()
			lags := make([][]time.Duration, readers)
			var wg sync.WaitGroup
			began := time.Now()
			for i := range readers {
				in := bufio.NewReaderSize(d.open(ctx, mediaTypeSSE, "include=value").Body, 64<<10)
				wg.Go(func() { lags[i] = arrivals(in, began) })
			}
			conn, err := net.Dial("tcp", d.srv.Listener.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			b.ResetTimer()
			cpu := cpuTime()
			writes := writeSteadily(b, conn, began)
			register(b, conn, "end", 0)
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(100*(cpuTime()-cpu).Seconds()/b.Elapsed().Seconds(), "cpu-%")
			reportTimes(b, "write", writes)
			if all := slices.Concat(lags...); readers > 0 {
				reportTimes(b, "lag", all)
				b.ReportMetric(float64(len(all))/float64(readers*b.N), "delivered/write")
			}
		})
	}
}

// writeSteadily makes b.N writes, one a millisecond, and says how long each took. A write that is
// late does not put off those behind it.
func writeSteadily(b *testing.B, conn net.Conn, began time.Time) []time.Duration {
	var took []time.Duration
	first := time.Now()
	for i := range b.N {
		due := first.Add(time.Duration(i) * time.Millisecond)
		if wait := time.Until(due); wait > 0 {
			<-time.After(wait)
		}
		sent := time.Now()
		register(b, conn, fmt.Sprint(i%5000), sent.Sub(began))
		took = append(took, time.Since(sent))
	}
	return took
}

// register writes a register.
func register(b *testing.B, conn net.Conn, key string, value time.Duration) {
	body := strconv.FormatInt(value.Nanoseconds(), 10)
	c := call{key: "PUT", request: fmt.Appendf(nil, "PUT %s/registers/%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", ns, key, mediaTypeJSON, len(body), body)}
	if err := c.send(conn, bufio.NewReader(conn)); err != nil {
		b.Fatal(err)
	}
}

// arrivals reads events until the last, and says how old the value of each was.
func arrivals(in *bufio.Reader, began time.Time) (lags []time.Duration) {
	for {
		line, err := in.ReadSlice('\n')
		if err != nil || bytes.Contains(line, []byte(`"key":"end"`)) {
			return lags
		}
		if _, value, ok := strings.Cut(string(line), `"value":`); ok {
			if ns, err := strconv.ParseInt(strings.TrimRight(value, "}\n"), 10, 64); err == nil {
				lags = append(lags, time.Since(began)-time.Duration(ns))
			}
		}
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func reportTimes(b *testing.B, what string, times []time.Duration) {
	if len(times) == 0 {
		return
	}
	slices.Sort(times)
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(times[(len(times)-1)*p/100].Microseconds())/1e3, fmt.Sprintf("%s-p%d-ms", what, p))
	}
}
