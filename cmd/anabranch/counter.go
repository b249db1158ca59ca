package main

import (
	"encoding/json"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/anabranchdb/anabranch/client"
)

func (c *cli) counter() *cobra.Command {
	return newGroup("counter", "Count: increments are never lost, resets are exact",
		c.counterGet(), c.counterInc(), c.counterReset(), c.remove("counter", "counters", "a counter", "visits"))
}

func (c *cli) counterGet() *cobra.Command {
	return &cobra.Command{
		Use: "get KEY", Short: "Print the value of a counter", Args: names(1, 1),
		Example: "  anabranch counter get visits",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(cmd, client.Request{Method: "GET", Path: c.data("counters", args[0])}, c.showValue)
		},
	}
}

func (c *cli) counterInc() *cobra.Command {
	var by int64
	cmd := &cobra.Command{
		Use: "inc KEY [AMOUNT]", Short: "Add to a counter and print its value", Args: names(1, 2),
		Long: "Add AMOUNT, 1 without it, to a counter and print its value. A negative amount goes after --by,\nor after a \"--\".",
		Example: `  anabranch counter inc visits
  anabranch counter inc visits 5
  anabranch counter inc stock --by -3
  anabranch counter inc -- stock -3`,
		RunE: func(cmd *cobra.Command, args []string) error {
			amount := by
			if len(args) == 2 {
				if cmd.Flags().Changed("by") {
					return usagef("the amount is given twice")
				}
				var err error
				if amount, err = strconv.ParseInt(args[1], 10, 64); err != nil {
					return usagef("%q is not a whole number of 64 bits", args[1])
				}
			}
			body, err := encode(map[string]any{"inc": amountOnWire(amount)})
			if err != nil {
				return err
			}
			return c.do(cmd, client.Request{Method: "POST", Path: c.data("counters", args[0]), Body: body}, c.showValue)
		},
	}
	cmd.Flags().Int64Var(&by, "by", 1, "the `amount`")
	return cmd
}

// amountOnWire writes an amount as the API does: as text beyond what every JSON reader keeps.
func amountOnWire(n int64) any {
	if const53 := int64(1)<<53 - 1; n > const53 || n < -const53 {
		return strconv.FormatInt(n, 10)
	}
	return n
}

func (c *cli) counterReset() *cobra.Command {
	return &cobra.Command{
		Use: "reset KEY", Short: "Take away all that was counted so far; concurrent increments stay", Args: names(1, 1),
		Example: "  anabranch counter reset visits",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(cmd, client.Request{Method: "POST", Path: c.data("counters", args[0]), Body: []byte(`{"reset":true}`)}, c.showValue)
		},
	}
}

// showValue prints "value" of a counter.
func (c *cli) showValue(body []byte) error {
	var reply struct{ Value json.RawMessage }
	if err := decode(body, &reply); err != nil {
		return err
	}
	return c.println(number(reply.Value))
}

// remove is the command that deletes a whole object.
func (c *cli) remove(typ, segment, what, example string) *cobra.Command {
	use, aliases := "rm KEY", []string{"delete"}
	if typ == "set" {
		use, aliases = "delete KEY", nil // rm is for members
	}
	cmd := &cobra.Command{
		Use: use, Aliases: aliases, Short: "Delete " + what + ": all that this daemon has seen of it", Args: names(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(cmd, client.Request{Method: "DELETE", Path: c.data(segment, args[0])}, nil)
		},
	}
	cmd.Example = "  anabranch " + typ + " " + cmd.Name() + " " + example
	return cmd
}
