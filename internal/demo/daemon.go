package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/anabranchdb/anabranch/client"
)

// stopDelay is how long a daemon has to end by itself.
const stopDelay = 10 * time.Second

// daemon is one daemon, a process of its own.
type daemon struct {
	name   string
	link   *link
	client *client.Client
	ns     *client.Namespace
	peerID string

	process *exec.Cmd
	ended   chan struct{} // closed when the process is gone
	log     *logReader
}

// start starts a daemon and waits until it is ready.
func start(ctx context.Context, exe, name, dir, key string, mdns bool) (*daemon, error) {
	l, err := newLink()
	if err != nil {
		return nil, err
	}
	d := &daemon{name: name, link: l, ended: make(chan struct{})}
	d.process = exec.CommandContext(ctx, exe, "serve", "--data-dir", dir, "--http", "127.0.0.1:0", "--log-format", "json",
		"--listen", "/ip4/127.0.0.1/tcp/0", "--announce", l.multiaddr(), fmt.Sprintf("--mdns=%t", mdns))
	d.process.Env = append(withoutOurs(os.Environ()), "ANABRANCH_CLUSTER_KEY="+key)
	d.process.Cancel = func() error { return interrupt(d.process.Process) }
	d.process.WaitDelay = stopDelay
	pipe, err := d.process.StderrPipe()
	if err == nil {
		err = d.process.Start()
	}
	if err != nil {
		l.close()
		return nil, err
	}
	d.log = readLog(pipe)
	go func() {
		<-d.log.end // Wait closes the pipe: first all of it is read
		_ = d.process.Wait()
		close(d.ended)
	}()
	if err := d.connect(ctx); err != nil {
		d.stop()
		return nil, fmt.Errorf("daemon %s: %w", name, err)
	}
	return d, nil
}

// withoutOurs leaves out settings of the caller's own daemon.
func withoutOurs(environ []string) []string {
	var kept []string
	for _, kv := range environ {
		if !strings.HasPrefix(kv, "ANABRANCH_") {
			kept = append(kept, kv)
		}
	}
	return kept
}

// interrupt asks a process to end. Windows knows no such signal for it.
func interrupt(p *os.Process) error {
	if err := p.Signal(os.Interrupt); err == nil || errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return p.Kill()
}

// connect learns from the daemon where it listens.
func (d *daemon) connect(ctx context.Context) error {
	select {
	case <-d.log.ready:
	case <-d.log.end:
		return fmt.Errorf("it ended at once: %s", d.log.last)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var err error
	if d.client, err = client.New(d.log.http, client.Options{}); err != nil {
		return err
	}
	d.ns = d.client.Namespace("default")
	status, err := d.client.Status(ctx)
	if err != nil {
		return err
	}
	d.peerID = status.PeerID
	for _, a := range d.log.addresses {
		// /ip4/127.0.0.1/tcp/PORT
		if p := strings.Split(a, "/"); len(p) == 5 && p[3] == "tcp" {
			d.link.connectTo(net.JoinHostPort(p[2], p[4]))
			return nil
		}
	}
	return fmt.Errorf("it listens on no TCP address: %v", d.log.addresses)
}

// stop ends the process and waits until it is gone.
func (d *daemon) stop() {
	_ = interrupt(d.process.Process)
	select {
	case <-d.ended:
	case <-time.After(stopDelay):
		_ = d.process.Process.Kill()
		<-d.ended
	}
	if d.client != nil {
		d.client.Close()
	}
	d.link.close()
}

// export returns everything that the daemon holds.
func (d *daemon) export(ctx context.Context) (string, error) {
	var all strings.Builder
	err := d.ns.Export(ctx, &all)
	return all.String(), err
}

// connected returns how many other daemons this one is connected to.
func (d *daemon) connected(ctx context.Context) (int, error) {
	peers, err := d.client.Peers(ctx)
	n := 0
	for _, p := range peers {
		if p.Connected {
			n++
		}
	}
	return n, err
}

// converged reports what the daemon says of itself and the others.
func (d *daemon) converged(ctx context.Context) (bool, error) {
	s, err := d.ns.Sync(ctx)
	return s.Converged && len(s.Peers) == daemons-1, err
}

// logReader reads what a daemon says of itself, until its end.
type logReader struct {
	ready chan struct{} // closed when the daemon is ready; then http and addresses are set
	end   chan struct{} // closed when nothing more comes; then last is set

	http      string
	addresses []string
	last      string // the last line, or error
}

func readLog(r io.Reader) *logReader {
	l := &logReader{ready: make(chan struct{}), end: make(chan struct{})}
	go func() {
		defer close(l.end)
		isReady := false
		in := bufio.NewReader(r)
		for {
			text, err := in.ReadString('\n')
			if err != nil {
				return
			}
			var line struct {
				Msg       string
				Address   string
				Addresses []string
			}
			if json.Unmarshal([]byte(text), &line) != nil || line.Msg == "" {
				line.Msg = strings.TrimSpace(text)
			}
			l.last = line.Msg
			switch {
			case isReady:
			case line.Msg == "HTTP API":
				l.http = line.Address
			case line.Msg == "listening for other daemons":
				l.addresses = line.Addresses
			case line.Msg == "ready":
				isReady = true
				close(l.ready)
			}
		}
	}()
	return l
}
