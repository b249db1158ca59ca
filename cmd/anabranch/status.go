package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/anabranchdb/anabranch/client"
	"github.com/anabranchdb/anabranch/config"
)

func (c *cli) status() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show who the daemon is, where it listens and what it holds", Args: names(0, 0),
		Example: "  anabranch status",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.do(cmd, client.Request{Method: "GET", Path: []string{"v1", "status"}}, c.showStatus)
		},
	}
}

func (c *cli) showStatus(body []byte) error {
	var s struct {
		Version    string
		PeerID     string  `json:"peer_id"`
		Uptime     float64 `json:"uptime_seconds"`
		Addresses  []string
		DiskBytes  uint64 `json:"disk_bytes"`
		Namespaces []struct {
			Name             string
			ReplicaID        string `json:"replica_id"`
			Objects, Entries uint64
			Unavailable      string
		}
	}
	if err := decode(body, &s); err != nil {
		return err
	}
	up := (time.Duration(s.Uptime) * time.Second).String()
	return c.table(func(w io.Writer) {
		fmt.Fprintf(w, "version\t%s\npeer id\t%s\nup\t%s\ndisk\t%s\n", s.Version, s.PeerID, up, bytesText(s.DiskBytes))
		for _, a := range s.Addresses {
			fmt.Fprintf(w, "address\t%s\n", a)
		}
		fmt.Fprintf(w, "\nNAMESPACE\tOBJECTS\tENTRIES\tREPLICA\n")
		for _, n := range s.Namespaces {
			fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", n.Name, n.Objects, n.Entries, n.ReplicaID)
		}
		for _, n := range s.Namespaces {
			if n.Unavailable != "" {
				fmt.Fprintf(w, "\n%s is unavailable: %s\n", n.Name, n.Unavailable)
			}
		}
	})
}

func (c *cli) table(fill func(io.Writer)) error {
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fill(w)
	return w.Flush()
}

func bytesText(n uint64) string {
	const kib = 1024
	if n < kib {
		return strconv.FormatUint(n, 10) + " B"
	}
	value, unit := float64(n)/kib, 0
	for value >= kib && unit < 4 {
		value, unit = value/kib, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[unit])
}

func (c *cli) peers() *cobra.Command {
	list := func(cmd *cobra.Command, _ []string) error {
		return c.do(cmd, client.Request{Method: "GET", Path: []string{"v1", "peers"}}, c.showPeers)
	}
	cmd := newGroup("peers", "The other daemons of the cluster",
		&cobra.Command{
			Use: "ls", Short: "List the daemons that this one knows", Args: names(0, 0),
			Example: "  anabranch peers ls", RunE: list,
		},
		&cobra.Command{
			Use: "add MULTIADDR", Short: "Connect to a daemon, now and whenever the connection is lost", Args: names(1, 1),
			Long: `Connect to a daemon, now and whenever the connection is lost. "anabranch status" at that daemon
prints its addresses. It must have the same cluster key.`,
			Example: "  anabranch peers add /ip4/192.0.2.7/tcp/7701/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo",
			RunE: func(cmd *cobra.Command, args []string) error {
				body, err := encode(map[string]string{"addr": args[0]})
				if err != nil {
					return err
				}
				return c.do(cmd, client.Request{Method: "POST", Path: []string{"v1", "peers"}, Body: body, Harmless: true}, nil)
			},
		})
	return cmd
}

func (c *cli) showPeers(body []byte) error {
	var reply struct {
		Peers []struct {
			ID        string
			Connected bool
			Addresses []string
		}
	}
	if err := decode(body, &reply); err != nil {
		return err
	}
	if len(reply.Peers) == 0 {
		return c.println("no peers yet")
	}
	return c.table(func(w io.Writer) {
		fmt.Fprintln(w, "PEER\tSTATE\tADDRESSES")
		for _, p := range reply.Peers {
			state := "unreachable"
			if p.Connected {
				state = "connected"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", p.ID, state, strings.Join(p.Addresses, " "))
		}
	})
}

func (c *cli) sync() *cobra.Command {
	var peer, direction string
	cmd := &cobra.Command{
		Use: "sync", Short: "Show, for each peer, how many changes are missing here and there, or wait for them", Args: names(0, 0),
		Long: `Show, for each peer, how many changes are missing here and there. With --wait, at most 60s, wait
until this daemon has what the peers hold now (pull), until they have what it holds now (push), or
for both. The same is printed; the exit code is 6 when that was not reached, which is so while a
peer is unreachable.`,
		Example: `  anabranch sync
  anabranch sync --ns orders
  anabranch sync --wait 30s --direction push`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case c.wait > 0:
				return c.barrier(cmd, peer, direction)
			case cmd.Flags().Changed("peer") || cmd.Flags().Changed("direction"):
				return usagef("--peer and --direction say what to --wait for")
			}
			return c.do(cmd, client.Request{Method: "GET", Path: c.data("sync")}, c.showSync)
		},
	}
	cmd.Flags().StringVar(&peer, "peer", "*", "wait for this `peer` only; * is all that hold the namespace")
	cmd.Flags().StringVar(&direction, "direction", "both", "wait for this `direction`: pull, push or both")
	return cmd
}

// errNotReached is returned when a barrier was not reached in time.
var errNotReached = errors.New("not reached in time")

func (c *cli) barrier(cmd *cobra.Command, peer, direction string) error {
	if c.wait > time.Minute {
		return usagef("--wait is at most 60s here")
	}
	body, err := encode(map[string]string{"peer": peer, "direction": direction})
	if err != nil {
		return err
	}
	reply, err := c.call(cmd, client.Request{Method: "POST", Path: c.data("sync"), Body: body, Wait: c.wait, Harmless: true})
	if err != nil {
		return err
	}
	if err := c.show(reply, c.showSync); err != nil {
		return err
	}
	if reply.Status == http.StatusAccepted {
		return errNotReached
	}
	return nil
}

func (c *cli) showSync(body []byte) error {
	var reply struct {
		Converged   bool
		Halted      string
		Unavailable string
		Peers       []struct {
			ID, State    string
			MissingHere  *uint64 `json:"missing_here"`
			MissingThere *uint64 `json:"missing_there"`
			LastExchange *string `json:"last_exchange"`
		}
	}
	if err := decode(body, &reply); err != nil {
		return err
	}
	count := func(n *uint64) string {
		if n == nil {
			return "?"
		}
		return strconv.FormatUint(*n, 10)
	}
	answer := "converged: no"
	if reply.Converged {
		answer = "converged: yes"
	}
	if reply.Unavailable != "" {
		answer += "\nunavailable: " + reply.Unavailable
	}
	if reply.Halted != "" {
		answer += "\nhalted: " + reply.Halted
	}
	if err := c.println(answer); err != nil || len(reply.Peers) == 0 {
		return err
	}
	return c.table(func(w io.Writer) {
		fmt.Fprintln(w, "PEER\tSTATE\tMISSING HERE\tMISSING THERE\tLAST EXCHANGE")
		for _, p := range reply.Peers {
			last := "never"
			if p.LastExchange != nil {
				last = *p.LastExchange
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.ID, p.State, count(p.MissingHere), count(p.MissingThere), last)
		}
	})
}

// errHealth is returned when the daemon is not ready: exit code 1 and no other, as Docker wants.
var errHealth = errors.New("the daemon is not ready")

// healthInterval is the pause between two questions of healthcheck --wait.
const healthInterval = 50 * time.Millisecond

func (c *cli) healthcheck() *cobra.Command {
	return &cobra.Command{
		Use: "healthcheck", Short: "Ask whether the daemon is ready: exit code 0 or 1", Args: names(0, 0),
		Long: `Ask whether the daemon is ready: exit code 0 or 1, as the HEALTHCHECK of a container has it. With
--wait, ask until it is. Without --addr, an address in ANABRANCH_HTTP counts too.`,
		Example: `  anabranch healthcheck
  anabranch healthcheck --wait 10s`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if listen := os.Getenv("ANABRANCH_HTTP"); listen != "" && !cmd.Flags().Changed("addr") && os.Getenv(config.EnvAddr) == "" {
				c.addr = reachable(listen)
			}
			c.retries = -1 // it asks often enough itself
			deadline := time.Now().Add(c.wait)
			tick := time.NewTicker(healthInterval)
			defer tick.Stop()
			for {
				_, err := c.call(cmd, client.Request{Method: "GET", Path: []string{"readyz"}})
				if err == nil {
					return nil
				}
				if time.Now().After(deadline) {
					return fmt.Errorf("%w: %w", errHealth, err)
				}
				<-tick.C
			}
		},
	}
}

// reachable turns an address to listen on into one to connect to.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil || strings.HasPrefix(listen, "unix:") {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}
