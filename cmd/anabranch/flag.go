package main

import (
	"github.com/spf13/cobra"

	"github.com/anabranchdb/anabranch/client"
)

func (c *cli) flag() *cobra.Command {
	return newGroup("flag", "On or off: turning on wins over a concurrent turning off", c.flagGet(), c.flagEnable(), c.flagDisable())
}

func (c *cli) flagGet() *cobra.Command {
	return &cobra.Command{
		Use: "get KEY", Short: "Print true while a flag is on; exit code 3 while it is off", Args: names(1, 1),
		Example: "  anabranch flag get maintenance && echo closed",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(cmd, client.Request{Method: "GET", Path: c.data("flags", args[0])}, c.showValue)
		},
	}
}

func (c *cli) flagEnable() *cobra.Command {
	var d deadlineFlags
	cmd := &cobra.Command{
		Use: "enable KEY", Aliases: []string{"on"}, Short: "Turn a flag on", Args: names(1, 1),
		Example: `  anabranch flag enable maintenance
  anabranch flag enable sale --expires 2030-01-31T12:00:00Z`,
		RunE: func(cmd *cobra.Command, args []string) error {
			query, err := d.query()
			if err != nil {
				return err
			}
			return c.do(cmd, client.Request{Method: "PUT", Path: c.data("flags", args[0]), Query: query}, nil)
		},
	}
	d.add(cmd)
	return cmd
}

func (c *cli) flagDisable() *cobra.Command {
	return &cobra.Command{
		Use: "disable KEY", Aliases: []string{"off", "rm", "delete"}, Short: "Turn a flag off, as far as this daemon has seen it turned on", Args: names(1, 1),
		Example: "  anabranch flag disable maintenance",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(cmd, client.Request{Method: "DELETE", Path: c.data("flags", args[0])}, nil)
		},
	}
}
