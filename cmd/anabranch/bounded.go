package main

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/anabranchdb/anabranch/client"
)

func (c *cli) bounded() *cobra.Command {
	return newGroup("bounded", "Counters that are never below 0, in any partition: to take needs rights",
		c.boundedGet(), c.boundedAdd(), c.boundedTake(), c.boundedAsk(), c.remove("bounded", "bounded", "a bounded counter", "seats"))
}

func (c *cli) boundedGet() *cobra.Command {
	return &cobra.Command{
		Use: "get KEY", Short: "Print the value, and how much of it may be taken at this daemon", Args: names(1, 1),
		Example: "  anabranch bounded get seats",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(cmd, client.Request{Method: "GET", Path: c.data("bounded", args[0])}, c.showRights)
		},
	}
}

// showRights prints value and rights.
func (c *cli) showRights(body []byte) error {
	var reply struct{ Value, Rights json.RawMessage }
	if err := decode(body, &reply); err != nil {
		return err
	}
	return c.println(number(reply.Value) + "\t" + number(reply.Rights))
}

func (c *cli) boundedAdd() *cobra.Command {
	return &cobra.Command{
		Use: "add KEY [AMOUNT]", Short: "Add AMOUNT, 1 without it, and print value and rights", Args: names(1, 2),
		Example: "  anabranch bounded add seats 100",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.postBounded(cmd, args, "inc", 1)
		},
	}
}

func (c *cli) boundedTake() *cobra.Command {
	return &cobra.Command{
		Use: "take KEY [AMOUNT]", Short: "Take AMOUNT, 1 without it, and print value and rights", Args: names(1, 2),
		Long: `Take AMOUNT, 1 without it, and print value and rights. Without enough rights at this daemon the exit
code is 4; with --wait the others are asked for theirs first.`,
		Example: `  anabranch bounded take seats
  anabranch bounded take seats 3 --wait 5s`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.postBounded(cmd, args, "inc", -1)
		},
	}
}

func (c *cli) boundedAsk() *cobra.Command {
	return &cobra.Command{
		Use: "ask KEY [AMOUNT]", Short: "See to it that AMOUNT may be taken at this daemon; exit code 6 if it may not yet", Args: names(1, 2),
		Example: "  anabranch bounded ask seats 10 --wait 5s",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.postBounded(cmd, args, "ask", 1)
		},
	}
}

// postBounded sends an amount that is above 0, times sign.
func (c *cli) postBounded(cmd *cobra.Command, args []string, action string, sign int64) error {
	amount := int64(1)
	if len(args) == 2 {
		var err error
		if amount, err = strconv.ParseInt(args[1], 10, 64); err != nil || amount < 1 {
			return usagef("%q is not a whole number of 64 bits above 0", args[1])
		}
	}
	body, err := encode(map[string]any{action: amountOnWire(sign * amount)})
	if err != nil {
		return err
	}
	reply, err := c.call(cmd, client.Request{Method: "POST", Path: c.data("bounded", args[0]), Body: body, Wait: c.wait})
	if err != nil {
		return err
	}
	if err := c.show(reply, c.showRights); err != nil {
		return err
	}
	if action == "ask" && reply.Status == http.StatusAccepted {
		return errNotReached
	}
	return c.acknowledged(reply)
}
