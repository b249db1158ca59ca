package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/anabranchdb/anabranch/client"
	"github.com/anabranchdb/anabranch/config"
)

const (
	groupDaemon = "daemon"
	groupData   = "data"
	groupSync   = "sync"
)

// noClient marks the commands that speak to no daemon: the global flags mean nothing there.
const noClient = "no-client"

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "anabranch",
		Short: "Replicated counters, bounded counters, flags, lists, sets, registers, maps and presence that take writes offline",
		Long: `anabranch is a daemon that keeps counters, bounded counters, flags, lists, sets, registers, maps and
presence beside your application, takes reads and writes with no network at all, and joins with the
other daemons of its cluster whenever it reaches them. These commands start a daemon, or speak to one over its HTTP API.`,
		Example: `  anabranch serve
  anabranch counter inc visits
  anabranch set add cart apples pears
  anabranch register put greeting --string hello
  anabranch map put ada city --string Delft
  anabranch demo`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,

		SuggestionsMinimumDistance: 2,
		RunE:                       group,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return c.checkGlobals(cmd)
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return usagef("%w (arguments that begin with \"-\" go after a \"--\")", err)
	})
	f := root.PersistentFlags()
	f.StringVar(&c.addr, "addr", cmp.Or(os.Getenv(config.EnvAddr), client.DefaultAddr), "the daemon's `address`: http://HOST:PORT or unix:PATH; also "+config.EnvAddr)
	f.StringVar(&c.ns, "ns", "default", "the `namespace`")
	f.BoolVar(&c.json, "json", false, "print the reply as it came")
	f.StringVar(&c.context, "context", "", "hand over this `token`, to read or remove what an earlier command saw or wrote; @FILE keeps it in a file from one command to the next")
	f.BoolVar(&c.printContext, "print-context", false, "print the token of the reply and nothing else")
	f.StringVar(&c.ifMatch, "if-match", "", "go on only if the object at this daemon has this `ETag`; * is any")
	f.BoolVar(&c.ifAbsent, "if-absent", false, "write only if the object is absent at this daemon")
	f.BoolVar(&c.printETag, "print-etag", false, "print the ETag of the object and nothing else")
	f.IntVar(&c.acks, "acks", 0, "have a write answered once `N` peers have told that they hold it, with --wait; exit code 6 if they have not")
	f.DurationVar(&c.wait, "wait", 0, "how long to wait until the daemon has all that the token stands for, and for --acks; with \"bounded take\" and \"bounded ask\" for rights of other daemons, with \"sync\" for them, with \"healthcheck\" for this one")
	f.DurationVar(&c.timeout, "timeout", 30*time.Second, "how long to wait for the reply, besides --wait; 0 is for ever")
	root.AddGroup(&cobra.Group{ID: groupData, Title: "Data:"}, &cobra.Group{ID: groupDaemon, Title: "Daemon:"}, &cobra.Group{ID: groupSync, Title: "Cluster and operation:"})
	add := func(id string, cmds ...*cobra.Command) {
		for _, cmd := range cmds {
			cmd.GroupID = id
			root.AddCommand(cmd)
		}
	}
	add(groupData, c.counter(), c.bounded(), c.flag(), c.list(), c.set(), c.register(), c.mapCmd(), c.presence(), c.keys(), c.conflicts(), c.watch(), c.batch(), c.importCmd(), c.export(), c.namespace())
	add(groupDaemon, c.serve(), c.demo(), c.configCmd(), c.key(), c.version())
	add(groupSync, c.status(), c.peers(), c.replicas(), c.sync(), c.healthcheck())
	root.AddCommand(exitCodesTopic())
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if !speaks(cmd) {
			f.VisitAll(func(flag *pflag.Flag) { flag.Hidden = true }) // a process prints one help
		}
		help(cmd, args)
	})
	return root
}

// speaks reports whether a command speaks to a daemon, or holds one that does: the global flags are for those.
func speaks(cmd *cobra.Command) bool {
	_, local := cmd.Annotations[noClient]
	if local || cmd.Name() == "help" || cmd.Name() == "completion" {
		return false
	}
	if cmd.HasSubCommands() {
		return slices.ContainsFunc(cmd.Commands(), speaks)
	}
	return cmd.Runnable() && (!cmd.HasParent() || cmd.Parent().Name() != "completion")
}

// group is the RunE of a command that only holds others.
func group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	hint := ""
	if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
		hint = fmt.Sprintf("; did you mean %s?", strings.Join(s, " or "))
	}
	return usagef("%q is no command of %q%s", args[0], cmd.CommandPath(), hint)
}

// newGroup returns a command that only holds others.
func newGroup(use, short string, cmds ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, RunE: group, SuggestionsMinimumDistance: 2}
	g.AddCommand(cmds...)
	return g
}

// local marks a command that speaks to no daemon.
func local(cmd *cobra.Command) *cobra.Command {
	cmd.Annotations = map[string]string{noClient: ""}
	return cmd
}

func (c *cli) checkGlobals(cmd *cobra.Command) error {
	if _, ok := cmd.Annotations[noClient]; ok {
		var err error
		cmd.Root().PersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Changed && err == nil {
				err = usagef("--%s is for commands that speak to a daemon; %q has no use for it", f.Name, cmd.CommandPath())
			}
		})
		return err
	}
	if c.wait < 0 || c.timeout < 0 || c.acks < 0 {
		return usagef("--wait, --timeout and --acks are not negative")
	}
	if c.printETag && c.printContext {
		return usagef("--print-etag and --print-context are not given together")
	}
	if c.ns == "" {
		return usagef("--ns is not empty")
	}
	return nil
}
