package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/anabranchdb/anabranch/client"
)

func (c *cli) set() *cobra.Command {
	return newGroup("set", "Sets of texts: an add wins over a concurrent remove",
		c.setList(), c.setSize(), c.setHas(), c.setAdd(), c.setRemove(), c.remove("set", "sets", "a set", "cart"))
}

func (c *cli) setList() *cobra.Command {
	var p page
	cmd := &cobra.Command{
		Use: "ls KEY", Aliases: []string{"get"}, Short: "Print the members of a set, sorted, one a line", Args: names(1, 1),
		Long: `Print the members of a set, sorted, one a line. A member with characters that do not print is
written as a JSON string.`,
		Example: `  anabranch set ls cart
  anabranch set ls cart --prefix app
  anabranch set ls cart --limit 10 --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.pages(cmd, p, c.data("sets", args[0]), c.showMembers)
		},
	}
	p.add(cmd, "members")
	return cmd
}

func (c *cli) showMembers(body []byte) (next string, err error) {
	var reply struct {
		Members []string
		Next    string
	}
	if err := decode(body, &reply); err != nil {
		return "", err
	}
	for _, m := range reply.Members {
		if err := c.println(line(m)); err != nil {
			return "", err
		}
	}
	return reply.Next, nil
}

func (c *cli) setSize() *cobra.Command {
	return &cobra.Command{
		Use: "size KEY", Short: "Print the number of members of a set", Args: names(1, 1),
		Example: "  anabranch set size cart",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.size(cmd, c.data("sets", args[0]))
		},
	}
}

func (c *cli) setHas() *cobra.Command {
	return &cobra.Command{
		Use: "has KEY MEMBER", Short: "Say whether a set has a member: exit code 0 or 3", Args: names(2, 2),
		Example: "  anabranch set has cart apples && echo apples",
		RunE: func(cmd *cobra.Command, args []string) error {
			err := c.do(cmd, client.Request{Method: "GET", Path: c.data("sets", args[0], "members", args[1])}, nil)
			if errors.Is(err, client.ErrNotFound) {
				return absentError(line(args[1]) + " is not in the set " + line(args[0]))
			}
			return err
		},
	}
}

func (c *cli) setAdd() *cobra.Command {
	var d deadlineFlags
	cmd := &cobra.Command{
		Use: "add KEY MEMBER...", Short: "Add members to a set, all or none, and print how many are new", Args: names(2, -1),
		Example: `  anabranch set add cart apples pears
  anabranch set add online ada --ttl 90s`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.changeSet(cmd, args[0], "add", args[1:], &d)
		},
	}
	d.add(cmd)
	return cmd
}

func (c *cli) setRemove() *cobra.Command {
	return &cobra.Command{
		Use: "rm KEY MEMBER...", Aliases: []string{"remove"}, Short: "Remove members from a set, all or none, and print how many were there", Args: names(2, -1),
		Example: "  anabranch set rm cart apples",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.changeSet(cmd, args[0], "remove", args[1:], &deadlineFlags{})
		},
	}
}

func (c *cli) changeSet(cmd *cobra.Command, key, action string, members []string, d *deadlineFlags) error {
	op := map[string]any{action: members}
	if err := d.into(op); err != nil {
		return err
	}
	body, err := encode(op)
	if err != nil {
		return err
	}
	return c.do(cmd, client.Request{Method: "POST", Path: c.data("sets", key), Body: body}, func(body []byte) error {
		var reply struct{ Added, Removed *int }
		if err := decode(body, &reply); err != nil {
			return err
		}
		n := reply.Added
		if action == "remove" {
			n = reply.Removed
		}
		if n == nil {
			return errors.New("the reply is not what the API promises: no number")
		}
		return c.println(fmt.Sprint(*n))
	})
}
