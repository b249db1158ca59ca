//go:build probe

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime/metrics"
)

// A binary that was built with the tag probe tells of its insides at the unix socket that PROBE_SOCKET
// names: what the runtime counts as JSON at /, and the profiles of net/http/pprof. Long runs look at
// it; no other binary holds any of this.
func init() {
	path := os.Getenv("PROBE_SOCKET")
	if path == "" {
		return
	}
	_ = os.Remove(path) // of a process that was killed
	ln, err := net.Listen("unix", path)
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(exitError)
	}
	http.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/sched/goroutines:goroutines"}}
		metrics.Read(samples)
		_ = json.NewEncoder(w).Encode(map[string]uint64{"heap": samples[0].Value.Uint64(), "goroutines": samples[1].Value.Uint64()})
	})
	go func() { _ = http.Serve(ln, nil) }()
}
