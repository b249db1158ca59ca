package main

import (
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// deadlineFlags say when what is written is over.
type deadlineFlags struct {
	ttl     time.Duration
	expires string
}

func (d *deadlineFlags) add(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&d.ttl, "ttl", 0, "it is over, everywhere, after this `time`")
	cmd.Flags().StringVar(&d.expires, "expires", "", "it is over, everywhere, at this `moment`: 2030-01-31T12:00:00Z")
}

// given returns the one that was given, by the name that the API has for it; "" for none.
func (d *deadlineFlags) given() (name, value string, err error) {
	switch {
	case d.ttl != 0 && d.expires != "":
		return "", "", usagef("--ttl and --expires are not given together")
	case d.ttl < 0:
		return "", "", usagef("--ttl is not negative")
	case d.ttl > 0:
		return "ttl", d.ttl.String(), nil
	case d.expires == "":
		return "", "", nil
	}
	if _, err := time.Parse(time.RFC3339Nano, d.expires); err != nil {
		return "", "", usagef("--expires is a moment such as 2030-01-31T12:00:00Z")
	}
	return "expires", d.expires, nil
}

func (d *deadlineFlags) query() (url.Values, error) {
	q := url.Values{}
	name, value, err := d.given()
	if name != "" {
		q.Set(name, value)
	}
	return q, err
}

// into puts the deadline into an operation.
func (d *deadlineFlags) into(op map[string]any) error {
	name, value, err := d.given()
	if name != "" {
		op[name] = value
	}
	return err
}
