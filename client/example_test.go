package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/anabranchdb/anabranch/client"
)

// A shop: counters, sets and registers, a batch that is seen whole, and a reader that follows.
func Example() {
	addr, stop, err := serve() // in place of a daemon at http://127.0.0.1:7700
	if err != nil {
		log.Fatal(err)
	}
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	c, err := client.New(addr, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ns := c.Namespace("default")

	cart := ns.Set("cart")
	if _, _, err := cart.Change(ctx, []string{"apples", "pears"}, nil); err != nil {
		log.Fatal(err)
	}
	order := ns.Batch() // all of it or nothing, here and everywhere
	order.Set("cart").Remove("apples")
	order.Map("order/17").At("customer", "name").Set("Ada")
	sold := order.Counter("sold").Inc(1)
	if err := order.Commit(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("sold:", sold.Value)

	for member, err := range cart.Members(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("in the cart:", member)
	}

	type customer struct{ Name string }
	who, err := client.Get[customer](ctx, ns.Map("order/17").At("customer"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("for:", who.Name)

	for change, err := range ns.Changes(ctx, client.Since(client.FromStart), client.OfType(client.TypeCounter), client.Values()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(change.Event, change.Type, change.Key, string(change.Value))
		break // or go on for ever
	}
	// Output:
	// sold: 1
	// in the cart: pears
	// for: Ada
	// changed counter sold 1
}

// Who moves between daemons reads its own writes: the second daemon answers once it has them.
func ExampleSession() {
	addr, stop, err := serve()
	if err != nil {
		log.Fatal(err)
	}
	defer stop()
	c, err := client.New(addr, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	var session client.Session
	here := c.Namespace("default", client.In(&session))
	if _, err := here.Counter("visits").Inc(ctx, 1); err != nil {
		log.Fatal(err)
	}
	there := c.Namespace("default", client.In(&session), client.Wait(5*time.Second)) // of another daemon's client
	visits, err := there.Counter("visits").Get(ctx)
	fmt.Println(visits, err)
	// Output: 1 <nil>
}

// A conflict is settled by one who has seen both sides.
func ExampleResolve() {
	addr, stop, err := serve()
	if err != nil {
		log.Fatal(err)
	}
	defer stop()
	c, err := client.New(addr, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ctx, note := context.Background(), c.Namespace("default").Register("note")

	var before client.Meta
	_, _ = note.Get(ctx, client.WithMeta(&before)) // absent, but its token counts
	for _, text := range []string{"side door", "call first"} {
		if err := note.Set(ctx, text, client.WithContext(before.Context)); err != nil {
			log.Fatal(err)
		}
	}
	err = client.Resolve(ctx, note, func(all []string) (string, error) {
		return all[1] + ", " + all[0], nil
	})
	if err != nil {
		log.Fatal(err)
	}
	text, err := client.Get[string](ctx, note)
	fmt.Println(text, err)
	// Output: side door, call first <nil>
}
