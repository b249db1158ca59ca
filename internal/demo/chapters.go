package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/anabranchdb/anabranch/internal/client"
)

func (s *story) writeTogether(ctx context.Context) error {
	s.tell.chapter("Each takes writes; all of them hold everything")
	north, south, west := s.daemons[0], s.daemons[1], s.daemons[2]
	if err := s.writes(ctx,
		write{north, "counter inc visits 10", `{"counter":"visits","inc":10}`},
		write{south, "set add cart bread milk", `{"set":"cart","add":["bread","milk"]}`},
		write{west, `map put order city --string Delft`, `{"map":"order","path":["city"],"value":"Delft"}`},
		write{west, `register put note --string "ring twice"`, `{"register":"note","value":"ring twice"}`},
	); err != nil {
		return err
	}
	if err := s.equal(ctx); err != nil {
		return err
	}
	return s.views(ctx)
}

func (s *story) cutApart(ctx context.Context) error {
	s.tell.chapter("All cables are pulled: three islands")
	for _, d := range s.daemons {
		d.link.setCut(true)
	}
	began := time.Now()
	if err := s.until(ctx, convergeLimit, s.allConnected(0)); err != nil {
		return fmt.Errorf("the daemons are still connected: %w", err)
	}
	s.tell.good("every daemon is alone after %.1f s", time.Since(began).Seconds())
	return nil
}

func (s *story) writeApart(ctx context.Context) error {
	s.tell.chapter("They go on taking writes, and contradict each other")
	north, south, west := s.daemons[0], s.daemons[1], s.daemons[2]
	if err := s.writes(ctx,
		write{north, "counter inc visits 1", `{"counter":"visits","inc":1}`},
		write{south, "counter inc visits 20", `{"counter":"visits","inc":20}`},
		write{west, "counter reset visits", `{"counter":"visits","reset":true}`},
		write{north, "set rm cart milk bread", `{"set":"cart","remove":["milk","bread"]}`},
		write{south, "set add cart milk eggs", `{"set":"cart","add":["milk","eggs"]}`},
		write{north, `register put note --string "side door"`, `{"register":"note","value":"side door"}`},
		write{south, `register put note --string "call first"`, `{"register":"note","value":"call first"}`},
		write{north, "map inc order parcels --by 2", `{"map":"order","path":["parcels"],"inc":2}`},
		write{south, "map inc order parcels --by 3", `{"map":"order","path":["parcels"],"inc":3}`},
		write{west, "map put order city --string Leiden", `{"map":"order","path":["city"],"value":"Leiden"}`},
	); err != nil {
		return err
	}
	s.tell.note("Every write was answered at once. Now each of them sees something else:")
	return s.views(ctx)
}

func (s *story) heal(ctx context.Context) error {
	s.tell.chapter("The cables are back")
	for _, d := range s.daemons {
		d.link.setCut(false)
	}
	if err := s.equal(ctx); err != nil {
		return err
	}
	if err := s.views(ctx); err != nil {
		return err
	}
	s.tell.note(`visits: the reset took the 10 that it had seen; the increments that it had not seen are all there.
cart:   bread stays removed; milk was added anew where nobody knew of the removal, and stays.
note:   both writers are kept until somebody who sees both decides.
order:  5 parcels, none counted twice; the city is what west wrote.`)
	return nil
}

func (s *story) settle(ctx context.Context) error {
	s.tell.chapter("West decides about the note; the conflict is gone everywhere")
	if err := s.writes(ctx, write{s.daemons[2], `register put note --string "side door, call first"`, `{"register":"note","value":"side door, call first"}`}); err != nil {
		return err
	}
	if err := s.equal(ctx); err != nil {
		return err
	}
	return s.views(ctx)
}

// write is one write at one daemon: as a command, and as the operation that it stands for.
type write struct {
	at      *daemon
	command string
	op      string
}

func (s *story) writes(ctx context.Context, writes ...write) error {
	for _, w := range writes {
		s.tell.line("%s  anabranch %s", s.tell.name(w.at.name), w.command)
		if err := w.at.send(ctx, "POST", `{"ops":[`+w.op+`]}`, "v1", "ns", "default", "batch"); err != nil {
			return fmt.Errorf("%s: %w", w.at.name, err)
		}
	}
	return nil
}

// views prints what each daemon answers, side by side.
func (s *story) views(ctx context.Context) error {
	rows := [][]string{{"", "visits", "cart", "note", "order"}}
	for _, d := range s.daemons {
		row := []string{d.name}
		for _, object := range [][2]string{{"counters", "visits"}, {"sets", "cart"}, {"registers", "note"}, {"maps", "order"}} {
			text, err := d.view(ctx, object[0], object[1])
			if err != nil {
				return err
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	s.tell.table(rows)
	return nil
}

// view returns one object in a few words.
func (d *daemon) view(ctx context.Context, kind, key string) (string, error) {
	var reply struct {
		Value    json.RawMessage
		Members  []string
		Conflict bool
		Values   []json.RawMessage
	}
	err := d.get(ctx, &reply, "v1", "ns", "default", kind, key)
	switch {
	case client.IsProblem(err, "not-found"):
		return "-", nil
	case err != nil:
		return "", err
	case kind == "sets":
		return strings.Join(reply.Members, " "), nil
	case reply.Conflict:
		both := make([]string, len(reply.Values))
		for i, v := range reply.Values {
			both[i] = string(v)
		}
		return strings.Join(both, " or "), nil
	}
	return string(reply.Value), nil
}
