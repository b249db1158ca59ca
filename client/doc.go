// Package client is the client of a daemon's HTTP API: typed handles of all its types of data, batches, the feed of changes, export, and what the commands of the program need.
//
//	c, err := client.New("http://127.0.0.1:7700", client.Options{})
//	ns := c.Namespace("default")
//	visits, err := ns.Counter("visits").Inc(ctx, 1)
//
// A handle names an object and costs nothing: making one sends nothing. An absent object is
// ErrNotFound; everything a daemon refuses is a *Problem, and errors.Is finds its kind. The words
// are those of docs/glossary.md.
//
// # Daemons and tokens
//
// Every reply carries a token of what its daemon had seen. A Session collects them and sends them
// along, so that whoever moves between daemons reads its own writes, and never an older state
// than before:
//
//	var s client.Session
//	a.Namespace("default", client.In(&s)).Set("cart").Add(ctx, "milk")
//	b.Namespace("default", client.In(&s), client.Wait(5*time.Second)).Set("cart").Has(ctx, "milk") // true
//
// # Options of a call
//
// Every call takes options, such as Wait, Acks or IfMatch; those given to Client.Namespace hold for
// all its calls. What a route does not take, the daemon refuses, Acks for a read for example: nothing
// is passed over.
//
// # Retries
//
// A call is sent again, after a pause with jitter, when no complete reply came, or when the daemon
// says that it is busy or stopping, as long as the context and Options.Retries allow it. Writes carry
// an idempotency key, so that the daemon does them once. See Request for the few that are not sent
// again.
//
// # Ownership
//
// Slices and JSON that a call returns belong to the caller. What is passed in is read before the
// call returns and not kept. A Client, Namespace, handle and Session may be used by any number of
// goroutines; a Batch and an Edit by one.
package client
