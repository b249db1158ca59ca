package store

import (
	"context"

	ds "github.com/ipfs/go-datastore"
	pebbleds "github.com/ipfs/go-ds-pebble"
)

// Datastore returns the same data as a go-datastore. Writes through it are as durable as those of
// Apply. It is valid until Close, ends with the backend, and its own Close does nothing.
func (b *PebbleBackend) Datastore() ds.Batching { return sharedDatastore{b.ds, b} }

// sharedDatastore asks after each write whether the log has taken it: logFS tells Pebble nothing.
type sharedDatastore struct {
	*pebbleds.Datastore
	b *PebbleBackend
}

func (d sharedDatastore) written(err error) error {
	if err != nil {
		return err
	}
	return d.b.failed()
}

func (d sharedDatastore) Put(ctx context.Context, key ds.Key, value []byte) error {
	return d.written(d.Datastore.Put(ctx, key, value))
}

func (d sharedDatastore) Delete(ctx context.Context, key ds.Key) error {
	return d.written(d.Datastore.Delete(ctx, key))
}

func (d sharedDatastore) Sync(ctx context.Context, prefix ds.Key) error {
	return d.written(d.Datastore.Sync(ctx, prefix))
}

func (d sharedDatastore) Batch(ctx context.Context) (ds.Batch, error) {
	batch, err := d.Datastore.Batch(ctx)
	return sharedBatch{batch, d}, err
}

func (d sharedDatastore) Close() error { return nil }

type sharedBatch struct {
	ds.Batch
	d sharedDatastore
}

func (b sharedBatch) Commit(ctx context.Context) error { return b.d.written(b.Batch.Commit(ctx)) }
