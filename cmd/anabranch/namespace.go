package main

import (
	"github.com/spf13/cobra"

	"github.com/anabranchdb/anabranch/client"
)

func (c *cli) namespace() *cobra.Command {
	cmd := newGroup("namespace", "Namespaces: each is replicated as a whole", c.namespaceList(), c.namespaceCreate(), c.namespaceDrop())
	cmd.Aliases = []string{"ns"}
	return cmd
}

func (c *cli) namespaceList() *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "List the namespaces of this daemon and where they are stored", Args: names(0, 0),
		Example: "  anabranch namespace ls",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.do(cmd, client.Request{Method: "GET", Path: []string{"v1", "ns"}}, func(body []byte) error {
				var reply struct {
					Namespaces []struct{ Name, Storage string }
				}
				if err := decode(body, &reply); err != nil {
					return err
				}
				for _, n := range reply.Namespaces {
					if err := c.println(n.Name + "\t" + n.Storage); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func (c *cli) namespaceCreate() *cobra.Command {
	var storage string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Create a namespace on this daemon, or confirm that it is there", Args: names(1, 1),
		Long: `Create a namespace on this daemon, or confirm that it is there. Daemons replicate the namespaces
that both of them have.`,
		Example: `  anabranch namespace create orders
  anabranch namespace create presence --storage memory`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := encode(map[string]string{"storage": storage})
			if err != nil {
				return err
			}
			return c.do(cmd, client.Request{Method: "PUT", Path: []string{"v1", "ns", args[0]}, Body: body}, nil)
		},
	}
	cmd.Flags().StringVar(&storage, "storage", "disk", "`where` this daemon keeps it: disk or memory")
	return cmd
}

func (c *cli) namespaceDrop() *cobra.Command {
	var confirmed bool
	cmd := &cobra.Command{
		Use: "drop NAME --local", Short: "Leave a namespace and drop the copy of this daemon only", Args: names(1, 1), DisableFlagsInUseLine: true,
		Long: `Leave a namespace and drop the copy of this daemon. Nothing is deleted at other daemons; changes
that no other daemon has yet are lost.`,
		Example: "  anabranch namespace drop orders --local",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !confirmed {
				return usagef("say --local: the copy of this daemon is dropped, with changes that no other daemon has yet")
			}
			return c.do(cmd, client.Request{Method: "DELETE", Path: []string{"v1", "ns", args[0]}, Query: map[string][]string{"drop": {"local"}}}, nil)
		},
	}
	cmd.Flags().BoolVar(&confirmed, "local", false, "yes, drop the local copy")
	return cmd
}
