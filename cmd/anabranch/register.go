package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/anabranchdb/anabranch/client"
)

func (c *cli) register() *cobra.Command {
	return newGroup("register", "Single JSON values: a write replaces what its writer saw",
		c.registerGet(), c.registerPut(), c.remove("register", "registers", "a register", "greeting"))
}

func (c *cli) registerGet() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "get KEY", Short: "Print the JSON value of a register", Args: names(1, 1),
		Long: `Print the JSON value of a register. When writers who did not see each other left several values,
that is the newest; a line on standard error says so, and --all prints them all.`,
		Example: `  anabranch register get greeting
  anabranch register get greeting --all
  anabranch register get greeting --print-etag`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(cmd, client.Request{Method: "GET", Path: c.data("registers", args[0])}, func(body []byte) error {
				return c.showRegister(body, all)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "print all concurrent values, newest first, one a line")
	return cmd
}

func (c *cli) showRegister(body []byte, all bool) error {
	var reply struct {
		Value    json.RawMessage
		Conflict bool
		Values   []json.RawMessage
	}
	if err := decode(body, &reply); err != nil {
		return err
	}
	if all && reply.Conflict {
		for _, v := range reply.Values {
			if err := c.println(string(v)); err != nil {
				return err
			}
		}
		return nil
	}
	if reply.Conflict {
		fmt.Fprintf(c.errOut, "conflict: %d concurrent values; --all prints them, the next put replaces them\n", len(reply.Values))
	}
	return c.println(string(reply.Value))
}

func (c *cli) registerPut() *cobra.Command {
	var (
		v valueFlags
		d deadlineFlags
	)
	cmd := &cobra.Command{
		Use: "put KEY [JSON]", Short: "Write a register", Args: names(1, 2),
		Example: `  anabranch register put greeting '"hello"'
  anabranch register put greeting --string hello
  anabranch register put config --file config.json
  anabranch register put leader '"me"' --if-absent
  anabranch register put session --string secret --ttl 15m
  anabranch register put -- temperature -5`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.putValue(cmd, args[1:], &v, &d, "registers", args[0])
		},
	}
	v.add(cmd)
	d.add(cmd)
	return cmd
}

// putValue writes a value at a path of the namespace: the one that the flags give, or the argument that
// is left.
func (c *cli) putValue(cmd *cobra.Command, rest []string, v *valueFlags, d *deadlineFlags, path ...string) error {
	if len(rest) > 0 {
		if err := cmd.Flags().Set("value", rest[0]); err != nil {
			return err
		}
	}
	value, err := v.read(cmd, c.in)
	if err != nil {
		return err
	}
	query, err := d.query()
	if err != nil {
		return err
	}
	return c.do(cmd, client.Request{Method: "PUT", Path: c.data(path...), Query: query, Body: value}, nil)
}

// valueFlags are the ways to give a JSON value.
type valueFlags struct{ json, text, file string }

func (v *valueFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&v.json, "value", "", "the value, as `JSON`")
	cmd.Flags().StringVar(&v.text, "string", "", "the value is this `text`")
	cmd.Flags().StringVar(&v.file, "file", "", "the value is the JSON in this `file`; - is standard input")
}

func (v *valueFlags) read(cmd *cobra.Command, in io.Reader) ([]byte, error) {
	given := 0
	for _, name := range []string{"value", "string", "file"} {
		if cmd.Flags().Changed(name) {
			given++
		}
	}
	if given != 1 {
		return nil, usagef("give one value: JSON, --string TEXT or --file FILE")
	}
	if cmd.Flags().Changed("string") {
		if err := names(0, -1)(cmd, []string{"s" + v.text}); err != nil {
			return nil, usagef("the text is not UTF-8")
		}
		return encode(v.text)
	}
	value := []byte(v.json)
	if cmd.Flags().Changed("file") {
		var err error
		if value, err = readInput(v.file, in); err != nil {
			return nil, err
		}
	}
	if !json.Valid(value) {
		return nil, usagef("the value is not JSON; for text say --string, or quote it twice: '\"text\"'")
	}
	return value, nil
}

// readInput reads a file, or standard input for "-".
func readInput(path string, in io.Reader) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(in)
	}
	return os.ReadFile(path)
}
