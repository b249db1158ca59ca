package main

import (
	"github.com/spf13/cobra"

	"github.com/anabranchdb/anabranch/client"
)

func (c *cli) conflicts() *cobra.Command {
	var p page
	cmd := &cobra.Command{
		Use: "conflicts", Short: "List what holds more than one concurrent value", Args: names(0, 0),
		Long: `List the registers and the fields of maps that hold more than one value, or values of two types,
after writes that did not see each other: type and key, and for a map the fields, one conflict a
line. "register get --all" and "map get --typed" show the values. To settle a conflict, write what
it should be; with --context @FILE at the read and at the write, only what was read is replaced.`,
		Example: `  anabranch conflicts
  anabranch conflicts --limit 10`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all := p.limit == 0
			if all && !c.json {
				p.limit = 1000
			}
			return c.follow(cmd, client.Request{Method: "GET", Path: c.data("conflicts"), Query: p.query()}, all, c.showConflicts)
		},
	}
	p.addPage(cmd)
	return cmd
}

func (c *cli) showConflicts(body []byte) (next string, err error) {
	var reply struct {
		Conflicts []struct {
			Type, Key string
			Paths     [][]string
			More      bool
		}
		Next string
	}
	if err := decode(body, &reply); err != nil {
		return "", err
	}
	for _, x := range reply.Conflicts {
		object := x.Type + "\t" + line(x.Key)
		lines := []string{object}
		if len(x.Paths) > 0 {
			lines = nil
		}
		for _, path := range x.Paths {
			lines = append(lines, object+"\t"+fieldPath(path))
		}
		if x.More {
			lines = append(lines, object+"\t...")
		}
		for _, l := range lines {
			if err := c.println(l); err != nil {
				return "", err
			}
		}
	}
	return reply.Next, nil
}
