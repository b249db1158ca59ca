//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/anabranchdb/anabranch/client"
	"github.com/anabranchdb/anabranch/internal/history"
)

// follow reads the feed of a daemon from its start, over and over, and records what it is told.
func (x *chaos) follow(h *host) {
	for {
		ctx, epoch := h.beginFeed()
		if ctx.Err() == nil {
			x.followOnce(ctx, h, fmt.Sprintf("feed-%s-%d-%d", h.name, epoch, x.id()), int(epoch))
		}
		h.feed.Unlock()
		if ctx.Err() != nil && !x.running() {
			return
		}
		<-time.After(300 * time.Millisecond)
	}
}

// followOnce is one reader. It ends when it can not go on, and the next one begins from the start.
func (x *chaos) followOnce(ctx context.Context, h *host, reader string, epoch int) {
	ns := h.feedClient.Namespace("default")
	told := map[string]bool{}  // objects that are there
	var listed map[string]bool // while the feed is resynchronised
	record := func(r history.Read) {
		told[r.Object] = len(r.Elements) > 0 || r.Sum != 0
		now := x.micros()
		x.record(history.Op{ID: x.id(), Kind: history.Feed, Session: reader, Daemon: h.name, Epoch: epoch, Start: now, End: now, Outcome: history.OK, Reads: []history.Read{r}})
	}
	for ch, err := range ns.Changes(ctx, client.Since(client.FromStart), client.Values()) {
		if err != nil {
			x.count("feeds", "ended: "+why(err))
			return
		}
		x.count("feeds", string(ch.Event))
		object := string(ch.Type) + "/" + ch.Key
		switch ch.Event {
		case client.EventResync:
			listed = map[string]bool{}
			continue
		case client.EventResynced:
			for o, there := range told {
				if there && !listed[o] {
					record(history.Read{Object: o, Later: true})
				}
			}
			continue
		case client.EventListed:
			listed[object] = true
		}
		if object == markerObject {
			var v string
			if json.Unmarshal(ch.Value, &v) == nil {
				h.marker.Store(&v)
			}
			continue
		}
		r, ok := readChange(ch, object)
		for try := 0; !ok; try++ {
			var err error
			if r, err = readObject(ctx, ns, object, map[string]string{}); err == nil {
				r.Later, ok = true, true
			} else if ctx.Err() != nil || try > 100 {
				x.count("feeds", "left")
				return
			}
		}
		record(r)
	}
}

// readChange returns the state that a change tells, and false if the object has to be read for it.
func readChange(ch client.Change, object string) (r history.Read, ok bool) {
	r.Object = object
	if ch.Event == client.EventRemoved {
		return r, true
	}
	if ch.Event != client.EventChanged || ch.Value == nil {
		return r, false
	}
	var err error
	switch ch.Type {
	case client.TypeSet:
		err = json.Unmarshal(ch.Value, &r.Elements)
	case client.TypeMap:
		r.Elements, err = names(ch.Value)
	case client.TypeFlag:
		r.Elements = []string{"on"}
	case client.TypeRegister:
		r.Elements = []string{unquote(ch.Value)}
	case client.TypeCounter, client.TypeBounded:
		err = json.Unmarshal(ch.Value, &r.Sum)
	default:
		return r, false
	}
	return r, err == nil
}
