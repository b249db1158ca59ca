//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A sampler writes down, every few seconds, how large the daemons are that it watches.
type sampler struct {
	t     *testing.T
	begin time.Time
	quit  chan struct{}
	wg    sync.WaitGroup

	mu      sync.Mutex
	watched map[*daemon]*watched
	out     *os.File
}

// A watched daemon is one process.
type watched struct {
	name, dir, log string
	pid            int
	load           *mixedLoad
	probe          *http.Client
	last           time.Time
}

var sampledColumns = []string{"rss_bytes", "anonymous_bytes", "heap_bytes", "goroutines", "threads", "fds", "disk_bytes", "log_bytes",
	"ids_default", "ids_live", "objects", "entries", "cpu_seconds", "requests_per_second", "p50_ms", "p99_ms"}

func newSampler(t *testing.T, path string) *sampler {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &sampler{t: t, begin: time.Now(), quit: make(chan struct{}), watched: map[*daemon]*watched{}, out: f}
	fmt.Fprintf(f, "seconds,daemon,%s\n", strings.Join(sampledColumns, ","))
	s.wg.Go(func() {
		tick := time.NewTicker(min(10*time.Second, *soakFor/40))
		defer tick.Stop()
		for {
			select {
			case <-s.quit:
				return
			case <-tick.C:
				s.sample()
			}
		}
	})
	return s
}

// watch begins with a daemon that runs.
func (s *sampler) watch(d *daemon, l *mixedLoad) {
	name, _, _ := strings.Cut(d.name, "-")
	socket := probeSocket(d)
	w := &watched{name: name, dir: d.dir, log: d.log.Name(), pid: d.process.Process.Pid, load: l, last: time.Now(),
		probe: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}}}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watched[d] = w
}

// forget ends it; when it returns, nobody looks at the daemon any more.
func (s *sampler) forget(d *daemon) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watched[d].probe.CloseIdleConnections()
	delete(s.watched, d)
}

func (s *sampler) end() {
	close(s.quit)
	s.wg.Wait()
	if err := s.out.Close(); err != nil {
		s.t.Error(err)
	}
}

func (s *sampler) sample() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.watched {
		values, err := w.look()
		if err != nil {
			s.t.Errorf("%s cannot be sampled: %v", w.name, err)
			continue
		}
		row := []string{strconv.FormatFloat(time.Since(s.begin).Seconds(), 'f', 1, 64), w.name}
		for _, c := range sampledColumns {
			row = append(row, strconv.FormatFloat(math.Round(values[c]*100)/100, 'f', -1, 64))
		}
		if _, err := fmt.Fprintln(s.out, strings.Join(row, ",")); err != nil {
			s.t.Error(err)
		}
	}
}

// probe is what a probed daemon tells of itself.
type probe struct{ Heap, Goroutines uint64 }

func readProbe(ctx context.Context, c *http.Client) (p probe, err error) {
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/", nil)
	if err != nil {
		return p, err
	}
	resp, err := c.Do(rq)
	if err != nil {
		return p, err
	}
	defer func() { _ = resp.Body.Close() }()
	return p, json.NewDecoder(resp.Body).Decode(&p)
}

func (w *watched) look() (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	v := map[string]float64{}
	p, err := readProbe(ctx, w.probe)
	if err != nil {
		return nil, err
	}
	v["heap_bytes"], v["goroutines"] = float64(p.Heap), float64(p.Goroutines)
	status, err := w.load.client.Status(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range status.Namespaces {
		v["objects"] += float64(n.Objects)
		v["entries"] += float64(n.Entries)
		ids, err := idsIn(n.Context)
		if err != nil {
			return nil, err
		}
		v["ids_"+n.Name] = float64(ids)
	}
	return v, errors.Join(w.process(v), w.files(v), w.requests(v))
}

// idsIn counts the replica ids in a token: behind a version and a binding, each has eight bytes and
// its seq; a checksum ends it.
func idsIn(token string) (int, error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < 13 {
		return 0, fmt.Errorf("%q is no token", token)
	}
	b = b[9 : len(b)-4]
	for n := 0; ; n++ {
		if len(b) == 0 {
			return n, nil
		}
		last := 8 // the last byte of the seq, the first without the highest bit
		for last < len(b) && b[last] >= 0x80 {
			last++
		}
		if last >= len(b) {
			return 0, fmt.Errorf("%q is no token", token)
		}
		b = b[last+1:]
	}
}

// process reads what the kernel tells of it.
func (w *watched) process(v map[string]float64) error {
	proc := fmt.Sprintf("/proc/%d/", w.pid)
	for file, fields := range map[string]map[string]string{
		"status":       {"Threads": "threads"},
		"smaps_rollup": {"Rss": "rss_bytes", "Anonymous": "anonymous_bytes"},
	} {
		f, err := os.Open(proc + file)
		if err != nil {
			return err
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			name, rest, _ := strings.Cut(lines.Text(), ":")
			if fields[name] == "" {
				continue
			}
			words := strings.Fields(rest)
			n, err := strconv.ParseFloat(words[0], 64)
			if err != nil {
				return err
			}
			if len(words) > 1 {
				n *= 1024 // kB
			}
			v[fields[name]] = n
		}
		if err := errors.Join(lines.Err(), f.Close()); err != nil {
			return err
		}
	}
	fds, err := os.ReadDir(proc + "fd")
	if err != nil {
		return err
	}
	v["fds"] = float64(len(fds))
	stat, err := os.ReadFile(proc + "stat")
	if err != nil {
		return err
	}
	// The name of the command, in parentheses, may hold anything.
	words := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const ticksPerSecond = 100
	for _, w := range words[11:13] { // in user mode, and in the kernel
		n, err := strconv.ParseFloat(w, 64)
		if err != nil {
			return err
		}
		v["cpu_seconds"] += n / ticksPerSecond
	}
	return nil
}

// files counts bytes: files come and go meanwhile.
func (w *watched) files(v map[string]float64) error {
	err := filepath.WalkDir(w.dir, func(_ string, e fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil {
			info, err = e.Info()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && info.Mode().IsRegular() {
			v["disk_bytes"] += float64(info.Size())
		}
		return err
	})
	if err != nil {
		return err
	}
	info, err := os.Stat(w.log)
	if err == nil {
		v["log_bytes"] = float64(info.Size())
	}
	return err
}

// requests tells of those since the last look.
func (w *watched) requests(v map[string]float64) error {
	took, now := w.load.http.take(), time.Now()
	slices.Sort(took)
	v["requests_per_second"] = float64(len(took)) / now.Sub(w.last).Seconds()
	w.last = now
	if len(took) > 0 {
		v["p50_ms"] = took[len(took)/2].Seconds() * 1000
		v["p99_ms"] = took[len(took)*99/100].Seconds() * 1000
	}
	return nil
}
