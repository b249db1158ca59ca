package client_test

import (
	"errors"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/client"
)

func TestFlag(t *testing.T) {
	ctx, ns := t.Context(), defaultNamespace(t)
	f, at := ns.Flag("dark"), ns.Map("m").At("a", "b")
	same(t, must(f.Get(ctx))(t), false)
	check(t, f.Enable(ctx, client.IfAbsent()))
	check(t, at.Enable(ctx))
	same(t, must(f.Get(ctx))(t), true)
	same(t, must(client.Get[bool](ctx, at))(t), true)
	if err := f.Disable(ctx, client.IfAbsent()); !errors.Is(err, client.ErrPreconditionFailed) {
		t.Errorf("not absent: %v", err)
	}
	check(t, f.Disable(ctx))
	check(t, at.Disable(ctx))
	same(t, must(f.Get(ctx))(t), false)
	same(t, collect(t, ns.Keys(ctx)), []client.Key{})
	b := ns.Batch()
	b.Flag("x").Enable()
	b.Flag("y").Enable()
	b.Flag("y").Disable()
	b.Map("m").At("z").Enable()
	b.Map("m").At("z").Disable()
	check(t, b.Commit(ctx))
	same(t, collect(t, ns.Keys(ctx)), []client.Key{{Type: client.TypeFlag, Key: "x"}})
}

func TestBounded(t *testing.T) {
	ctx, ns := t.Context(), defaultNamespace(t)
	b := ns.Bounded("seats")
	if _, err := b.Get(ctx); !errors.Is(err, client.ErrNotFound) {
		t.Fatalf("absent: %v", err)
	}
	r := must(b.Inc(ctx, 1<<60))(t)
	same(t, r.Value.String()+" "+r.Rights.String(), "1152921504606846976 1152921504606846976")
	must(b.Inc(ctx, -(1<<60 - 10)))(t)
	var p *client.Problem
	_, err := b.Inc(ctx, -11)
	if rights := 0; !errors.Is(err, client.ErrInsufficientRights) || !errors.Is(err, client.ErrConflict) || !errors.As(err, &p) || !p.Extension("rights", &rights) || rights != 10 {
		t.Fatalf("too much: %v", err)
	}
	_, reached, err := b.Ask(ctx, 10)
	same(t, []any{reached, err}, []any{true, error(nil)})
	_, reached, err = b.Ask(ctx, 11)
	same(t, []any{reached, err}, []any{false, error(nil)})
	batch := ns.Batch()
	batch.Bounded("seats").Inc(-3)
	sold := batch.Counter("sold").Inc(3)
	check(t, batch.Commit(ctx))
	same(t, sold.Value.String(), "3")
	same(t, must(b.Get(ctx))(t).Value.String(), "7")
	check(t, b.Delete(ctx))
	same(t, collect(t, ns.Keys(ctx, client.OfType(client.TypeBounded))), []client.Key{})
}

func TestList(t *testing.T) {
	ctx, ns := t.Context(), defaultNamespace(t)
	l := ns.List("todo")
	values := func() (all []string) {
		for _, i := range collect(t, l.Items(ctx, client.PageSize(2))) {
			all = append(all, string(i.Value))
		}
		return all
	}
	same(t, len(values()), 0)
	ids := must(l.Insert(ctx, client.End, []any{1, 2, 3}))(t)
	last := must(l.Append(ctx, map[string]int{"x": 4}))(t)
	first := must(l.Insert(ctx, client.Start, []any{0}))(t)[0]
	must(l.Insert(ctx, client.After(ids[0]), []any{"a"}))(t)
	must(l.Insert(ctx, client.Before(ids[0]), []any{"b"}))(t)
	same(t, values(), []string{"0", `"b"`, "1", `"a"`, "2", "3", `{"x":4}`})
	check(t, l.Set(ctx, ids[1], 22))
	check(t, l.Move(ctx, last, client.Before(first)))
	check(t, l.Remove(ctx, ids[2]))
	same(t, values(), []string{`{"x":4}`, "0", `"b"`, "1", `"a"`, "22"})
	same(t, must(l.Size(ctx))(t), uint64(6))
	same(t, string(must(l.Get(ctx, ids[1]))(t).Value), "22")
	if err := l.Move(ctx, ids[2], client.End); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("a removed item: %v", err)
	}
	if _, err := l.Get(ctx, ids[2]); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("a removed item: %v", err)
	}
	b := ns.Batch()
	r := b.List("todo").Append(5, 6)
	b.List("todo").Insert(client.End)
	b.Map("m").At("list").List().Append("x")
	b.List("todo").Remove(last)
	same(t, b.Items(), 4)
	check(t, b.Commit(ctx))
	b.List("todo").Move(r.Inserted[1], client.Start)
	b.List("todo").Set(r.Inserted[0], 55)
	same(t, len(collect(t, ns.Map("m").At("list").Items(ctx))), 1)
	same(t, must(client.Get[map[string][]string](ctx, ns.Map("m")))(t), map[string][]string{"list": {"x"}})
	check(t, l.Delete(ctx))
	same(t, must(l.Size(ctx))(t), uint64(0))
}

func TestPresence(t *testing.T) {
	ctx, c := t.Context(), connect(t)
	check(t, c.CreateNamespace(ctx, "live", client.Memory))
	p := c.Namespace("live").Presence("workers")
	same(t, len(collect(t, p.Members(ctx))), 0)
	check(t, p.Announce(ctx, "w1", map[string]int{"port": 8080}))
	check(t, p.Announce(ctx, "w2", nil))
	check(t, p.Announce(ctx, "x", 1, client.TTL(time.Hour)))
	check(t, p.Announce(ctx, "w2", "idle"))
	members := collect(t, p.Members(ctx, client.Prefix("w"), client.PageSize(1)))
	same(t, len(members), 2)
	same(t, members[1].Member+string(members[1].Values[0].Value), `w2"idle"`)
	same(t, must(p.Size(ctx))(t), uint64(3))
	w1 := must(p.Get(ctx, "w1"))(t)
	same(t, string(w1.Values[0].Value)+w1.Member, `{"port":8080}w1`)
	same(t, w1.Values[0].Replica != "", true)
	check(t, p.Withdraw(ctx, "w1"))
	if _, err := p.Get(ctx, "w1"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("withdrawn: %v", err)
	}
	if err := c.Namespace("default").Presence("workers").Announce(ctx, "w1", 1); !errors.Is(err, client.ErrForbidden) {
		t.Errorf("on disk: %v", err)
	}
}

func TestDeadlines(t *testing.T) {
	ctx, ns := t.Context(), defaultNamespace(t)
	at := time.Now().Add(36 * time.Hour).UTC().Truncate(time.Millisecond)
	r := ns.Register("r")
	check(t, r.Set(ctx, 1, client.Expires(at)))
	same(t, must(r.Get(ctx))(t).Expires, at)
	check(t, r.Set(ctx, 2))
	same(t, must(r.Get(ctx))(t).Expires, time.Time{})
	check(t, r.Set(ctx, 3, client.TTL(36*time.Hour)))
	left := time.Until(must(r.Get(ctx))(t).Expires)
	same(t, left > 35*time.Hour && left <= 36*time.Hour, true)
	must(ns.Map("m").At("tags").Add(ctx, "x", client.Expires(at)))(t)
	check(t, ns.Map("m").At("on").Enable(ctx, client.Expires(at)))
	fields := collect(t, ns.Map("m").Fields(ctx))
	same(t, fields[0].Expires, at)
	same(t, fields[1].Deadlines, map[string]time.Time{"x": at})
	past := client.Expires(time.Now().Add(-time.Hour))
	must(ns.Set("s").Add(ctx, "x", past))(t)
	check(t, ns.Flag("f").Enable(ctx, past))
	b := ns.Batch()
	b.Expires(time.Now().Add(-time.Hour))
	b.Register("gone").Set(1)
	b.Expires(time.Time{})
	b.TTL(time.Hour)
	b.Register("kept").Set(1)
	b.Counter("c").Inc(1)
	check(t, b.Commit(ctx))
	same(t, collect(t, ns.Keys(ctx, client.OfType(client.TypeSet))), []client.Key{})
	same(t, must(ns.Flag("f").Get(ctx))(t), false)
	same(t, collect(t, ns.Keys(ctx, client.OfType(client.TypeRegister))), []client.Key{{Type: client.TypeRegister, Key: "kept"}, {Type: client.TypeRegister, Key: "r"}})
	if _, err := ns.Counter("c").Inc(ctx, 1, client.TTL(time.Hour)); !errors.Is(err, client.ErrBadRequest) {
		t.Errorf("a counter: %v", err)
	}
	same(t, must(ns.Counter("c").Get(ctx))(t), int64(1))
}
