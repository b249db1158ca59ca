package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/anabranchdb/anabranch/client"
)

func (c *cli) list() *cobra.Command {
	return newGroup("list", "Lists of JSON values: concurrent inserts do not interleave, a moved item stands in one place",
		c.listShow(), c.listGet(), c.listSize(), c.listAdd(), c.listPut(), c.listMove(), c.listRemove(), c.listDelete())
}

func (c *cli) listShow() *cobra.Command {
	var p page
	cmd := &cobra.Command{
		Use: "ls KEY", Aliases: []string{"show"}, Short: "Print the items of a list in order: id and JSON value, one a line", Args: names(1, 1),
		Long: `Print the items of a list in order: id and JSON value, one a line, and "conflict" behind an item that
writers who did not see each other gave several values; the newest is shown.`,
		Example: `  anabranch list ls todo
  anabranch list ls todo --limit 10`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.pages(cmd, p, c.data("lists", args[0]), c.showItems)
		},
	}
	p.addPage(cmd)
	return cmd
}

func (c *cli) showItems(body []byte) (next string, err error) {
	var reply struct {
		Items []struct {
			ID       string
			Value    json.RawMessage
			Conflict bool
		}
		Next string
	}
	if err := decode(body, &reply); err != nil {
		return "", err
	}
	for _, i := range reply.Items {
		text := i.ID + "\t" + string(i.Value)
		if i.Conflict {
			text += "\tconflict"
		}
		if err := c.println(text); err != nil {
			return "", err
		}
	}
	return reply.Next, nil
}

func (c *cli) listGet() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "get KEY ITEM", Short: "Print the JSON value of an item", Args: names(2, 2),
		Example: "  anabranch list get todo 3fQx",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(cmd, client.Request{Method: "GET", Path: c.data("lists", args[0], "items", args[1])}, func(body []byte) error {
				return c.showRegister(body, all)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "print all concurrent values, newest first, one a line")
	return cmd
}

func (c *cli) listSize() *cobra.Command {
	return &cobra.Command{
		Use: "size KEY", Short: "Print the number of items of a list", Args: names(1, 1),
		Example: "  anabranch list size todo",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.size(cmd, c.data("lists", args[0]))
		},
	}
}

func (c *cli) listAdd() *cobra.Command {
	var (
		place placeFlags
		v     valueFlags
		d     deadlineFlags
	)
	cmd := &cobra.Command{
		Use: "add KEY [JSON...]", Short: "Insert values, at the end unless told otherwise, and print the ids of their items", Args: names(1, -1),
		Example: `  anabranch list add todo '"buy milk"' '{"call":"Ada"}'
  anabranch list add todo --string 'buy milk'
  anabranch list add todo --string first --start
  anabranch list add todo --string next --after 3fQx`,
		RunE: func(cmd *cobra.Command, args []string) error {
			op := map[string]any{}
			values := make([]json.RawMessage, len(args)-1)
			for i, text := range args[1:] {
				if values[i] = json.RawMessage(text); !json.Valid(values[i]) {
					return usagef("%q is not JSON; for text say --string, or quote it twice: '\"text\"'", text)
				}
			}
			if len(values) == 0 {
				value, err := v.read(cmd, c.in)
				if err != nil {
					return err
				}
				values = []json.RawMessage{value}
			}
			op["insert"] = values
			if err := errors.Join(place.into(op, false), d.into(op)); err != nil {
				return err
			}
			return c.changeList(cmd, args[0], op)
		},
	}
	v.add(cmd)
	place.add(cmd)
	d.add(cmd)
	return cmd
}

// changeList sends one operation and prints the ids of what it inserted.
func (c *cli) changeList(cmd *cobra.Command, key string, op map[string]any) error {
	body, err := encode(op)
	if err != nil {
		return err
	}
	return c.do(cmd, client.Request{Method: "POST", Path: c.data("lists", key), Body: body}, func(body []byte) error {
		var reply struct{ Inserted []string }
		if err := decode(body, &reply); err != nil {
			return err
		}
		for _, id := range reply.Inserted {
			if err := c.println(id); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *cli) listPut() *cobra.Command {
	var (
		v valueFlags
		d deadlineFlags
	)
	cmd := &cobra.Command{
		Use: "put KEY ITEM [JSON]", Short: "Write the value of an item", Args: names(2, 3),
		Example: `  anabranch list put todo 3fQx '"buy oat milk"'
  anabranch list put todo 3fQx --string 'buy oat milk'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.putValue(cmd, args[2:], &v, &d, "lists", args[0], "items", args[1])
		},
	}
	v.add(cmd)
	d.add(cmd)
	return cmd
}

func (c *cli) listMove() *cobra.Command {
	var place placeFlags
	cmd := &cobra.Command{
		Use: "move KEY ITEM", Short: "Move an item", Args: names(2, 2),
		Example: `  anabranch list move todo 3fQx --start
  anabranch list move todo 3fQx --after 3fQy`,
		RunE: func(cmd *cobra.Command, args []string) error {
			op := map[string]any{"item": args[1]}
			if err := place.into(op, true); err != nil {
				return err
			}
			return c.changeList(cmd, args[0], op)
		},
	}
	place.add(cmd)
	return cmd
}

func (c *cli) listRemove() *cobra.Command {
	return &cobra.Command{
		Use: "rm KEY ITEM", Aliases: []string{"remove"}, Short: "Remove an item, as far as this daemon has seen it", Args: names(2, 2),
		Example: "  anabranch list rm todo 3fQx",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(cmd, client.Request{Method: "DELETE", Path: c.data("lists", args[0], "items", args[1])}, nil)
		},
	}
}

func (c *cli) listDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete KEY", Short: "Delete a list: all items that this daemon has seen", Args: names(1, 1),
		Example: "  anabranch list delete todo",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(cmd, client.Request{Method: "DELETE", Path: c.data("lists", args[0])}, nil)
		},
	}
}

// placeFlags say where in a list something goes.
type placeFlags struct {
	after, before string
	start, end    bool
}

func (p *placeFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.after, "after", "", "behind this `item`")
	f.StringVar(&p.before, "before", "", "before this `item`")
	f.BoolVar(&p.start, "start", false, "at the start")
	f.BoolVar(&p.end, "end", false, "at the end")
}

// into puts the place into an operation. One that needs a place is wrong without.
func (p *placeFlags) into(op map[string]any, needed bool) error {
	places := map[string]string{}
	if p.after != "" {
		places["after"] = p.after
	}
	if p.before != "" {
		places["before"] = p.before
	}
	if p.start {
		places["at"] = "start"
	}
	if p.end {
		places["at"] = "end"
	}
	if len(places) > 1 || p.start && p.end || needed && len(places) == 0 {
		return usagef("say where, once: --after ITEM, --before ITEM, --start or --end")
	}
	for relation, to := range places {
		op[relation] = to
	}
	return nil
}

// size prints how many parts an object has.
func (c *cli) size(cmd *cobra.Command, path []string) error {
	p := page{limit: 1}
	return c.do(cmd, client.Request{Method: "GET", Path: path, Query: p.query()}, func(body []byte) error {
		var reply struct{ Size json.Number }
		if err := decode(body, &reply); err != nil {
			return err
		}
		return c.println(fmt.Sprint(reply.Size))
	})
}
