package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/anabranchdb/anabranch/client"
)

func (c *cli) presence() *cobra.Command {
	return newGroup("presence", "Who is there: gone when the daemon that announced it is, in namespaces in memory",
		c.presenceList(), c.presenceGet(), c.presencePut(), c.presenceRemove())
}

// present is a member, and what each daemon has announced of it.
type present struct {
	Member string
	Values []struct {
		Replica string
		Value   json.RawMessage
	}
}

// print prints a line for each announcement.
func (c *cli) printPresent(p present) error {
	for _, v := range p.Values {
		if err := c.println(line(p.Member) + "\t" + v.Replica + "\t" + string(v.Value)); err != nil {
			return err
		}
	}
	return nil
}

func (c *cli) presenceList() *cobra.Command {
	var p page
	cmd := &cobra.Command{
		Use: "ls KEY", Short: "Print who is present: member, replica that announced it, and JSON value, one a line", Args: names(1, 1),
		Example: "  anabranch presence ls workers --ns live",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.pages(cmd, p, c.data("presence", args[0]), func(body []byte) (string, error) {
				var reply struct {
					Members []present
					Next    string
				}
				if err := decode(body, &reply); err != nil {
					return "", err
				}
				for _, m := range reply.Members {
					if err := c.printPresent(m); err != nil {
						return "", err
					}
				}
				return reply.Next, nil
			})
		},
	}
	p.add(cmd, "members")
	return cmd
}

func (c *cli) presenceGet() *cobra.Command {
	return &cobra.Command{
		Use: "get KEY MEMBER", Short: "Print what was announced of a member; exit code 3 if it is not present", Args: names(2, 2),
		Example: "  anabranch presence get workers w1 --ns live",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(cmd, client.Request{Method: "GET", Path: c.data("presence", args[0], "members", args[1])}, func(body []byte) error {
				var p present
				if err := decode(body, &p); err != nil {
					return err
				}
				return c.printPresent(p)
			})
		},
	}
}

func (c *cli) presencePut() *cobra.Command {
	var (
		v valueFlags
		d deadlineFlags
	)
	cmd := &cobra.Command{
		Use: "put KEY MEMBER [JSON]", Aliases: []string{"announce"}, Short: "Announce a member at this daemon, with a JSON value", Args: names(2, 3),
		Example: `  anabranch presence put workers w1 '{"port":8080}' --ns live
  anabranch presence put workers w1 --string idle --ttl 1m --ns live`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.putValue(cmd, args[2:], &v, &d, "presence", args[0], "members", args[1])
		},
	}
	v.add(cmd)
	d.add(cmd)
	return cmd
}

func (c *cli) presenceRemove() *cobra.Command {
	return &cobra.Command{
		Use: "rm KEY MEMBER", Aliases: []string{"withdraw"}, Short: "Take back what was announced of a member at this daemon", Args: names(2, 2),
		Example: "  anabranch presence rm workers w1 --ns live",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(cmd, client.Request{Method: "DELETE", Path: c.data("presence", args[0], "members", args[1])}, nil)
		},
	}
}
