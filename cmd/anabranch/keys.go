package main

import (
	"bytes"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/anabranchdb/anabranch/client"
)

func (c *cli) keys() *cobra.Command {
	var (
		p   page
		typ string
	)
	cmd := &cobra.Command{
		Use: "keys", Short: "List the objects of the namespace: type and key, one a line", Args: names(0, 0),
		Example: `  anabranch keys
  anabranch keys --type set --prefix cart`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all := p.limit == 0
			if all && !c.json {
				p.limit = 1000
			}
			q := p.query()
			if typ != "" {
				q.Set("type", typ)
			}
			return c.follow(cmd, client.Request{Method: "GET", Path: c.data("keys"), Query: q}, all, c.showKeys)
		},
	}
	p.add(cmd, "keys")
	cmd.Flags().StringVar(&typ, "type", "", "only objects of this `type`: bounded, counter, flag, list, map, presence, register or set")
	return cmd
}

func (c *cli) showKeys(body []byte) (next string, err error) {
	var reply struct {
		Keys []struct{ Type, Key string }
		Next string
	}
	if err := decode(body, &reply); err != nil {
		return "", err
	}
	for _, k := range reply.Keys {
		if err := c.println(k.Type + "\t" + line(k.Key)); err != nil {
			return "", err
		}
	}
	return reply.Next, nil
}

func (c *cli) batch() *cobra.Command {
	return &cobra.Command{
		Use: "batch FILE", Short: "Apply many operations at once: all or nothing, everywhere", Args: names(1, 1),
		Long: `Apply the operations in a JSON file, or on standard input for "-": all or nothing, on every
replica. The file holds {"ops":[...]}, or only the list. Each operation names one target (bounded,
counter, flag, list, map, register or set) and one action (inc, reset, enable, add, remove, insert,
value or delete; a path for maps).
The results are printed one a line. Beside the operations, "if" may hold conditions, without which
nothing happens: {"if":[{"register":"leader","absent":true}],"ops":[...]}.`,
		Example: `  anabranch batch order.json
  echo '[{"counter":"sold","inc":1},{"set":"cart","remove":["apples"]}]' | anabranch batch -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := readInput(args[0], c.in)
			if err != nil {
				return err
			}
			if !json.Valid(body) {
				return usagef("%s is not JSON", args[0])
			}
			if bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
				body = append(append([]byte(`{"ops":`), body...), '}')
			}
			return c.do(cmd, client.Request{Method: "POST", Path: c.data("batch"), Body: body}, c.showResults)
		},
	}
}

func (c *cli) showResults(body []byte) error {
	var reply struct{ Results []json.RawMessage }
	if err := decode(body, &reply); err != nil {
		return err
	}
	for _, r := range reply.Results {
		if err := c.println(string(r)); err != nil {
			return err
		}
	}
	return nil
}
