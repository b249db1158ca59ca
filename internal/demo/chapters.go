package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/anabranchdb/anabranch/client"
)

func (s *story) writeTogether(ctx context.Context) error {
	s.tell.chapter("Each takes writes; all of them hold everything")
	north, south, west := s.daemons[0], s.daemons[1], s.daemons[2]
	if err := s.writes(ctx,
		write{north, "counter inc visits 10", func(b *client.Batch) { b.Counter("visits").Inc(10) }},
		write{south, "set add cart bread milk", func(b *client.Batch) { b.Set("cart").Add("bread", "milk") }},
		write{west, `map put order city --string Delft`, func(b *client.Batch) { b.Map("order").At("city").Set("Delft") }},
		write{west, `register put note --string "ring twice"`, func(b *client.Batch) { b.Register("note").Set("ring twice") }},
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
		write{north, "counter inc visits 1", func(b *client.Batch) { b.Counter("visits").Inc(1) }},
		write{south, "counter inc visits 20", func(b *client.Batch) { b.Counter("visits").Inc(20) }},
		write{west, "counter reset visits", func(b *client.Batch) { b.Counter("visits").Reset() }},
		write{north, "set rm cart milk bread", func(b *client.Batch) { b.Set("cart").Remove("milk", "bread") }},
		write{south, "set add cart milk eggs", func(b *client.Batch) { b.Set("cart").Add("milk", "eggs") }},
		write{north, `register put note --string "side door"`, func(b *client.Batch) { b.Register("note").Set("side door") }},
		write{south, `register put note --string "call first"`, func(b *client.Batch) { b.Register("note").Set("call first") }},
		write{north, "map inc order parcels --by 2", func(b *client.Batch) { b.Map("order").At("parcels").Inc(2) }},
		write{south, "map inc order parcels --by 3", func(b *client.Batch) { b.Map("order").At("parcels").Inc(3) }},
		write{west, "map put order city --string Leiden", func(b *client.Batch) { b.Map("order").At("city").Set("Leiden") }},
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
	if err := s.writes(ctx, write{s.daemons[2], `register put note --string "side door, call first"`, func(b *client.Batch) { b.Register("note").Set("side door, call first") }}); err != nil {
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
	op      func(*client.Batch)
}

func (s *story) writes(ctx context.Context, writes ...write) error {
	for _, w := range writes {
		s.tell.line("%s  anabranch %s", s.tell.name(w.at.name), w.command)
		b := w.at.ns.Batch()
		w.op(b)
		if err := b.Commit(ctx); err != nil {
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
		for _, read := range []func(context.Context) (string, error){d.visits, d.cart, d.note, d.order} {
			text, err := read(ctx)
			if errors.Is(err, client.ErrNotFound) {
				text, err = "-", nil
			}
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

func (d *daemon) visits(ctx context.Context) (string, error) {
	n, err := d.ns.Counter("visits").Number(ctx)
	return n.String(), err
}

func (d *daemon) cart(ctx context.Context) (string, error) {
	var all []string
	for m, err := range d.ns.Set("cart").Members(ctx) {
		if err != nil {
			return "", err
		}
		all = append(all, m)
	}
	return cmp.Or(strings.Join(all, " "), "-"), nil
}

func (d *daemon) note(ctx context.Context) (string, error) {
	v, err := d.ns.Register("note").Get(ctx)
	var all []string
	for _, value := range v.All() {
		all = append(all, string(value))
	}
	return strings.Join(all, " or "), err
}

func (d *daemon) order(ctx context.Context) (string, error) {
	v, err := d.ns.Map("order").Get(ctx)
	return string(v.JSON), err
}
