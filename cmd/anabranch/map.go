package main

import (
	"bytes"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/anabranchdb/anabranch/client"
)

func (c *cli) mapCmd() *cobra.Command {
	return newGroup("map", "Nested objects of registers, counters, flags, lists and sets",
		c.mapGet(), c.mapPut(), c.mapMerge(), c.mapInc(), c.mapReset(), c.mapFlag("enable", true), c.mapFlag("disable", false), c.mapMembers("add"), c.mapMembers("remove"), c.mapRemove())
}

// field is the path of a map, or of something in it.
func (c *cli) field(args []string) []string {
	path := c.data("maps", args[0])
	if len(args) > 1 {
		path = append(append(path, "fields"), args[1:]...)
	}
	return path
}

func (c *cli) mapGet() *cobra.Command {
	var (
		p     page
		typed bool
	)
	cmd := &cobra.Command{
		Use: "get KEY [FIELD...]", Short: "Print a map, or what stands at a path of fields in it", Args: names(1, -1),
		Long: `Print a map as JSON, or what stands at a path of fields in it: the JSON value of a register, the
value of a counter or flag, the members of a set or items of a list one a line, or a map as JSON.

With --typed, print a line for everything that stands at each field, concurrent values and types
included: its fields, its type, its value, and "conflict" where there are several. The newest is
first.`,
		Example: `  anabranch map get ada
  anabranch map get ada address city
  anabranch map get ada --typed`,
		RunE: func(cmd *cobra.Command, args []string) error {
			all, query, show := p.limit == 0, p.query(), c.showField
			if typed {
				query.Set("shape", "typed")
				if show = c.showTyped; all && !c.json {
					query.Set("limit", "1000") // the most that a page holds
				}
			}
			return c.follow(cmd, client.Request{Method: "GET", Path: c.field(args), Query: query}, all, show)
		},
	}
	p.add(cmd, "members of a set")
	cmd.Flags().BoolVar(&typed, "typed", false, "print every field with its type and its concurrent values")
	return cmd
}

// showField prints what stands at a path, by its type, and returns the cursor of the next page.
func (c *cli) showField(body []byte) (next string, err error) {
	var reply struct {
		Type  string
		Value json.RawMessage
		Next  string
	}
	if err := decode(body, &reply); err != nil {
		return "", err
	}
	switch reply.Type {
	case "set":
		return c.showMembers(body)
	case "list":
		return c.showItems(body)
	case "counter", "flag":
		err = c.showValue(body)
	case "map":
		err = c.showJSON(reply.Value)
	default:
		err = c.showRegister(body, false)
	}
	return reply.Next, err
}

// showJSON prints JSON indented.
func (c *cli) showJSON(body []byte) error {
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(body), "", "  "); err != nil {
		return err
	}
	return c.println(b.String())
}

func (c *cli) mapPut() *cobra.Command {
	var (
		v valueFlags
		d deadlineFlags
	)
	cmd := &cobra.Command{
		Use: "put KEY FIELD...", Short: "Write a JSON value at a path of fields", Args: names(2, -1),
		Example: `  anabranch map put ada city --string Delft
  anabranch map put ada address city --value '"Delft"'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			value, err := v.read(cmd, c.in)
			if err != nil {
				return err
			}
			query, err := d.query()
			if err != nil {
				return err
			}
			return c.do(cmd, client.Request{Method: "PUT", Path: c.field(args), Query: query, Body: value}, nil)
		},
	}
	v.add(cmd)
	d.add(cmd)
	return cmd
}

func (c *cli) mapMerge() *cobra.Command {
	return &cobra.Command{
		Use: "merge KEY JSON", Short: "Merge a JSON object into a map", Args: names(2, 2),
		Long: `Merge a JSON object into a map, as RFC 7396 says; "-" reads it from standard input. Members of the
object are written to the fields of the same name, objects go down into fields, null deletes. What
is equal already is not written. The map as it is then is printed.`,
		Example: `  anabranch map merge ada '{"address":{"city":"Leiden","zip":null}}'
  echo '{"name":"Augusta"}' | anabranch map merge ada -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body := []byte(args[1])
			if args[1] == "-" {
				var err error
				if body, err = readInput(args[1], c.in); err != nil {
					return err
				}
			}
			if !json.Valid(body) {
				return usagef("the merge patch is not JSON")
			}
			req := client.Request{Method: "PATCH", Path: c.data("maps", args[0]), Body: body, ContentType: "application/merge-patch+json"}
			return c.do(cmd, req, func(body []byte) error {
				_, err := c.showField(body)
				return err
			})
		},
	}
}

// operate sends one op on a path of fields and prints nothing.
func (c *cli) operate(cmd *cobra.Command, args []string, action string, value any, d *deadlineFlags) error {
	op := map[string]any{"path": args[1:], action: value}
	if err := d.into(op); err != nil {
		return err
	}
	body, err := encode(map[string]any{"ops": []any{op}})
	if err != nil {
		return err
	}
	return c.do(cmd, client.Request{Method: "PATCH", Path: c.data("maps", args[0]), Body: body}, nil)
}

func (c *cli) mapInc() *cobra.Command {
	var by int64
	cmd := &cobra.Command{
		Use: "inc KEY FIELD...", Short: "Add to a counter at a path of fields", Args: names(2, -1),
		Example: `  anabranch map inc ada visits
  anabranch map inc ada stock apples --by -3`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.operate(cmd, args, "inc", amountOnWire(by), &deadlineFlags{})
		},
	}
	cmd.Flags().Int64Var(&by, "by", 1, "the `amount`")
	return cmd
}

func (c *cli) mapReset() *cobra.Command {
	return &cobra.Command{
		Use: "reset KEY FIELD...", Short: "Reset a counter at a path of fields", Args: names(2, -1),
		Example: "  anabranch map reset ada visits",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.operate(cmd, args, "reset", true, &deadlineFlags{})
		},
	}
}

func (c *cli) mapFlag(action string, on bool) *cobra.Command {
	var d deadlineFlags
	cmd := &cobra.Command{
		Use: action + " KEY FIELD...", Args: names(2, -1),
		Short:   map[bool]string{true: "Turn on a flag at a path of fields", false: "Turn off a flag at a path of fields"}[on],
		Example: "  anabranch map " + action + " ada member",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.operate(cmd, args, "enable", on, &d)
		},
	}
	if on {
		d.add(cmd)
	}
	return cmd
}

func (c *cli) mapMembers(action string) *cobra.Command {
	var (
		members []string
		d       deadlineFlags
	)
	cmd := &cobra.Command{
		Use: action + " KEY FIELD... --member MEMBER", Args: names(2, -1), DisableFlagsInUseLine: true,
		Short:   map[string]string{"add": "Add members to a set at a path of fields", "remove": "Remove members from a set at a path of fields"}[action],
		Example: "  anabranch map " + action + " ada tags --member math --member engines",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := names(1, -1)(cmd, members); err != nil {
				return err
			}
			return c.operate(cmd, args, action, members, &d)
		},
	}
	if action == "add" {
		d.add(cmd)
	}
	cmd.Flags().StringArrayVar(&members, "member", nil, "a `member`; repeatable")
	return cmd
}

func (c *cli) mapRemove() *cobra.Command {
	return &cobra.Command{
		Use: "rm KEY [FIELD...]", Aliases: []string{"delete"}, Short: "Delete a map, or what stands at a path of fields in it", Args: names(1, -1),
		Example: `  anabranch map rm ada address
  anabranch map rm ada`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(cmd, client.Request{Method: "DELETE", Path: c.field(args)}, nil)
		},
	}
}
