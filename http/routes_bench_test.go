package http

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/store"
)

// restores names, for routes that take something away, the route that puts it back.
var restores = map[string]string{
	"drop-namespace": "put-namespace", "delete-bounded": "change-bounded", "delete-counter": "change-counter", "disable-flag": "enable-flag", "delete-list": "change-list", "delete-set": "change-set",
	"delete-member": "put-member", "delete-register": "put-register", "delete-map": "change-map", "delete-field": "put-field",
}

// BenchmarkRoutes measures every route of the table, by its first sample: in memory and on disk, by 1
// connection and by 64. In the same run, by turns, it measures a bare net/http handler that answers
// the same bytes to the same requests. Reported are the times of a request and, as ×bare, what
// a request takes compared with the bare one (the ratio of the times per request). For a route that
// takes something away, both stand for the pair of putting it back and taking it away.
func BenchmarkRoutes(b *testing.B) {
	for name, open := range map[string]func(b *testing.B) store.Options{
		"memory":  func(*testing.B) store.Options { return store.MemoryOptions() },
		"durable": func(b *testing.B) store.Options { return store.DefaultOptions(b.TempDir()) },
	} {
		for _, rt := range routes() {
			for _, conns := range []int{1, 64} {
				b.Run(fmt.Sprintf("%s/%s/conns=%d", name, rt.id, conns), func(b *testing.B) {
					d := openSampleDaemon(b, open(b))
					calls := callsOf(b, d, rt)
					bare := httptest.NewServer(bareHandler(calls))
					defer bare.Close()
					compare(b, conns, calls, d.srv.Listener.Addr(), bare.Listener.Addr())
				})
			}
		}
	}
}

// call is a request as it goes over the wire, and what came back.
type call struct {
	key     string // method and target
	request []byte
	status  int
	header  http.Header
	body    []byte
}

// callsOf makes the requests of a route, and notes what the daemon answers.
func callsOf(b *testing.B, d *daemon, rt route) []*call {
	b.Helper()
	ids := []string{rt.id}
	if before := restores[rt.id]; before != "" {
		ids = []string{before, rt.id}
	}
	var calls []*call
	for _, rt := range routes() {
		if !slices.Contains(ids, rt.id) {
			continue
		}
		at := slices.IndexFunc(samples[rt.id], func(x sample) bool { return x.header("Prefer") == "" && x.status < 400 })
		if at < 0 {
			b.Skip("no sample that answers at once")
		}
		x := samples[rt.id][at]
		r := x.send(d, &rt, "")
		head := rt.method + " " + x.target + " HTTP/1.1\r\nHost: localhost\r\n"
		for _, h := range x.headers {
			head += h + "\r\n"
		}
		if x.body != "" {
			head += fmt.Sprintf("Content-Type: %s\r\nContent-Length: %d\r\n", mediaTypeJSON, len(x.body))
		}
		if r.body != "" {
			r.body += "\n" // which do takes away
		}
		calls = append(calls, &call{rt.method + " " + x.target, []byte(head + "\r\n" + x.body), r.status, r.header, []byte(r.body)})
	}
	if len(calls) == 2 && calls[1].key[:3] != "DEL" { // in the order of the table
		calls[0], calls[1] = calls[1], calls[0]
	}
	return calls
}

// bareHandler answers what the daemon has answered.
func bareHandler(calls []*call) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for _, c := range calls {
			if c.key == r.Method+" "+r.RequestURI {
				for name, values := range c.header {
					w.Header()[name] = values
				}
				w.WriteHeader(c.status)
				_, _ = w.Write(c.body)
			}
		}
	})
}

// compare sends the calls to both, by turns, until each has answered b.N of them.
func compare(b *testing.B, conns int, calls []*call, ours, bare net.Addr) {
	const turns = 10
	a, c := newLoad(b, ours, conns, calls), newLoad(b, bare, conns, calls)
	defer a.close()
	defer c.close()
	b.ResetTimer()
	for i := range turns {
		n := b.N*(i+1)/turns - b.N*i/turns
		a.run(n)
		b.StopTimer()
		c.run(n)
		b.StartTimer()
	}
	b.StopTimer()
	b.ReportMetric(float64(a.percentile(50).Nanoseconds())/1e3, "p50-µs")
	b.ReportMetric(float64(a.percentile(99).Nanoseconds())/1e3, "p99-µs")
	b.ReportMetric(float64(len(a.times))/a.took.Seconds(), "req/s")
	b.ReportMetric(float64(c.percentile(50).Nanoseconds())/1e3, "bare-p50-µs")
	b.ReportMetric(float64(c.percentile(99).Nanoseconds())/1e3, "bare-p99-µs")
	b.ReportMetric(a.took.Seconds()/c.took.Seconds(), "×bare")
}

// load is a number of connections that send calls one after the other.
type load struct {
	b     *testing.B
	conns []net.Conn
	calls []*call
	times []time.Duration // per round of all calls
	took  time.Duration
}

func newLoad(b *testing.B, addr net.Addr, conns int, calls []*call) *load {
	l := &load{b: b, calls: calls}
	for range conns {
		conn, err := net.Dial(addr.Network(), addr.String())
		if err != nil {
			b.Fatal(err)
		}
		l.conns = append(l.conns, conn)
	}
	return l
}

func (l *load) close() {
	for _, c := range l.conns {
		_ = c.Close()
	}
}

// run makes n rounds of the calls.
func (l *load) run(n int) {
	times := make([][]time.Duration, len(l.conns))
	began := time.Now()
	var wg sync.WaitGroup
	for i, conn := range l.conns {
		wg.Go(func() {
			in := bufio.NewReader(conn)
			for range n*(i+1)/len(l.conns) - n*i/len(l.conns) {
				sent := time.Now()
				for _, c := range l.calls {
					if err := c.send(conn, in); err != nil {
						l.b.Error(err)
						return
					}
				}
				times[i] = append(times[i], time.Since(sent))
			}
		})
	}
	wg.Wait()
	l.took += time.Since(began)
	l.times = append(l.times, slices.Concat(times...)...)
}

func (c *call) send(conn net.Conn, in *bufio.Reader) error {
	if _, err := conn.Write(c.request); err != nil {
		return err
	}
	method, _, _ := strings.Cut(c.key, " ")
	resp, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode >= 400 {
		err = fmt.Errorf("%s: %s", c.key, resp.Status)
	}
	return err
}

func (l *load) percentile(p int) time.Duration {
	if len(l.times) == 0 {
		return 0
	}
	slices.Sort(l.times)
	return l.times[(len(l.times)-1)*p/100]
}
