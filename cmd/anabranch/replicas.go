package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/anabranchdb/anabranch/client"
)

func (c *cli) replicas() *cobra.Command {
	return newGroup("replicas", "The ids under which copies of namespaces write",
		&cobra.Command{
			Use: "retire ID", Short: "Declare that a replica id never returns", Args: names(1, 1),
			Long: `Declare that a replica id never returns, in every namespace in which changes of it are known here.
This daemon then clears away what only that replica could, such as its part of counters that were
reset. "anabranch status" at a daemon shows its ids; look there first: an id that lives must not be
retired. If it does return, its changes are taken, and an alarm tells of it.`,
			Example: "  anabranch replicas retire 9b1de0c4f27a6e35",
			RunE: func(cmd *cobra.Command, args []string) error {
				return c.do(cmd, client.Request{Method: "POST", Path: []string{"v1", "replicas", args[0], "retire"}, Body: []byte("{}"), Harmless: true}, c.showRetired)
			},
		})
}

func (c *cli) showRetired(body []byte) error {
	var reply struct {
		Sealed []struct {
			Namespace string
			Final     uint64
		}
	}
	if err := decode(body, &reply); err != nil {
		return err
	}
	return c.table(func(w io.Writer) {
		fmt.Fprintln(w, "NAMESPACE\tLAST CHANGE")
		for _, s := range reply.Sealed {
			fmt.Fprintf(w, "%s\t%d\n", s.Namespace, s.Final)
		}
	})
}
