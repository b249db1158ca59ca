package main

import (
	"cmp"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/anabranchdb/anabranch/config"
	"github.com/anabranchdb/anabranch/internal/clusterkey"
)

// version is set by the release build.
var version string

// buildVersion is the version of this program, "devel" for a build out of a work tree.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "(devel)" {
		return cmp.Or(info.Main.Version, "devel")
	}
	return "devel"
}

func (c *cli) version() *cobra.Command {
	return local(&cobra.Command{
		Use: "version", Short: "Print the version of this program", Args: names(0, 0),
		Example: "  anabranch version",
		RunE: func(*cobra.Command, []string) error {
			return c.println("anabranch " + buildVersion() + " " + runtime.GOOS + "/" + runtime.GOARCH + " " + runtime.Version())
		},
	})
}

func (c *cli) key() *cobra.Command {
	return newGroup("key", "The key that all daemons of a cluster share", local(&cobra.Command{
		Use: "new", Short: "Print a new cluster key", Args: names(0, 0),
		Long: `Print a new cluster key, and nothing else. Give it to every daemon of the cluster before its first
start: in the file cluster.key of the data directory, in the file that --cluster-key-file names, or
in ANABRANCH_CLUSTER_KEY. Whoever has it is a member and may read and write everything.`,
		Example: "  (umask 077; anabranch key new >cluster.key)",
		RunE: func(*cobra.Command, []string) error {
			return c.println(clusterkey.Generate())
		},
	}))
}

func (c *cli) configCmd() *cobra.Command {
	check := local(&cobra.Command{
		Use: "check", Short: "Say all that is wrong with the settings, without starting a daemon", Args: names(0, 0),
		Example: "  anabranch config check --config anabranch.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := loadConfig(cmd)
			return err
		},
	})
	config.AddFlags(check.Flags())
	return newGroup("config", "The settings of a daemon", check, local(&cobra.Command{
		Use: "sample", Short: "Print a settings file with the defaults, explained", Args: names(0, 0),
		Example: "  anabranch config sample >anabranch.yaml",
		RunE: func(*cobra.Command, []string) error {
			_, err := c.out.Write(config.Sample)
			return err
		},
	}))
}
