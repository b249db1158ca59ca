package client_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/client"
)

// collect returns what a list yields.
func collect[T any](t *testing.T, list iter.Seq2[T, error]) []T {
	t.Helper()
	all := []T{}
	for item, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, item)
	}
	return all
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestCounter(t *testing.T) {
	ctx, c := t.Context(), defaultNamespace(t).Counter("a/../b %")
	if _, err := c.Get(ctx); !errors.Is(err, client.ErrNotFound) {
		t.Fatalf("absent: %v", err)
	}
	for _, n := range []int64{5, -7, 1 << 53, math.MaxInt64 - 1<<53 - 10} {
		must(c.Inc(ctx, n))(t)
	}
	same(t, must(c.Get(ctx))(t), int64(math.MaxInt64-12))
	same(t, must(c.Big(ctx))(t), big.NewInt(math.MaxInt64-12))
	if _, err := c.Inc(ctx, 13); !errors.Is(err, client.ErrOverflow) {
		t.Fatalf("overflow: %v", err)
	}
	check(t, c.Reset(ctx))
	if _, err := c.Get(ctx); !errors.Is(err, client.ErrNotFound) {
		t.Fatalf("after a reset: %v", err)
	}
}

func TestSet(t *testing.T) {
	ctx, s := t.Context(), defaultNamespace(t).Set("s")
	same(t, collect(t, s.Members(ctx)), []string{})
	same(t, must(s.Size(ctx))(t), uint64(0))
	same(t, must(s.Add(ctx, ".."))(t), true)
	same(t, must(s.Add(ctx, ".."))(t), false)
	added, removed, err := s.Change(ctx, []string{"a", "b", "c"}, []string{"..", "x"})
	check(t, err)
	same(t, [2]int{added, removed}, [2]int{3, 1})
	same(t, must(s.Has(ctx, "a"))(t), true)
	same(t, must(s.Remove(ctx, "a"))(t), true)
	same(t, must(s.Has(ctx, "a"))(t), false)
	same(t, collect(t, s.Members(ctx, client.PageSize(1))), []string{"b", "c"})
	same(t, collect(t, s.Members(ctx, client.Prefix("c"))), []string{"c"})
	same(t, must(s.Size(ctx))(t), uint64(2))
	if _, err := s.Add(ctx, "\xff"); !errors.Is(err, client.ErrName) {
		t.Errorf("not UTF-8: %v", err)
	}
	check(t, s.Delete(ctx))
	same(t, must(s.Size(ctx))(t), uint64(0))
}

type settings struct {
	Theme string `json:"theme"`
	Level int    `json:"level"`
}

func TestRegister(t *testing.T) {
	ctx, r := t.Context(), defaultNamespace(t).Register("r")
	check(t, r.Set(ctx, settings{"<dark>", 1}))
	same(t, must(client.Get[settings](ctx, r))(t), settings{"<dark>", 1})
	v := must(r.Get(ctx))(t)
	same(t, string(v.JSON), `{"theme":"<dark>","level":1}`)
	if _, err := r.Get(ctx, client.IfNoneMatch(v.ETag)); !errors.Is(err, client.ErrNotModified) {
		t.Errorf("the same ETag: %v", err)
	}
	if err := r.Set(ctx, 1, client.IfAbsent()); !errors.Is(err, client.ErrPreconditionFailed) {
		t.Errorf("not absent: %v", err)
	}
	check(t, r.Set(ctx, settings{"light", 2}, client.IfMatch(v.ETag)))
	if err := r.Delete(ctx, client.IfMatch(v.ETag)); !errors.Is(err, client.ErrPreconditionFailed) {
		t.Errorf("another ETag: %v", err)
	}
	check(t, r.Delete(ctx))
	if _, err := client.Get[settings](ctx, r); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
}

func TestUpdate(t *testing.T) {
	ctx, r := t.Context(), defaultNamespace(t).Register("n")
	done := make(chan error)
	for range 4 {
		go func() {
			var err error
			for i := 0; i < 5 && err == nil; i++ {
				_, err = client.Update(ctx, r, func(old int) (int, error) { return old + 1, nil })
			}
			done <- err
		}()
	}
	for range 4 {
		check(t, <-done)
	}
	same(t, must(client.Get[int](ctx, r))(t), 20)
}

// TestResolve: two writers who did not see each other, and a third who decides.
func TestResolve(t *testing.T) {
	ctx, ns := t.Context(), defaultNamespace(t)
	var before client.Meta
	_, err := ns.Register("r").Get(ctx, client.WithMeta(&before))
	same(t, errors.Is(err, client.ErrNotFound), true)
	for _, at := range []client.Writable{ns.Register("r"), ns.Map("m").At("x", "y")} {
		for _, v := range []int{1, 2} {
			check(t, at.Set(ctx, v, client.WithContext(before.Context)))
		}
		same(t, must(client.Siblings[int](ctx, at))(t), []int{2, 1})
	}
	same(t, collect(t, ns.Conflicts(ctx, client.PageSize(1))), []client.Conflict{
		{Type: client.TypeMap, Key: "m", Paths: [][]string{{"x", "y"}}}, {Type: client.TypeRegister, Key: "r"}})
	sum := func(all []int) (int, error) { return all[0] + all[1], nil }
	for _, at := range []client.Writable{ns.Register("r"), ns.Map("m").At("x", "y")} {
		check(t, client.Resolve(ctx, at, sum))
		same(t, must(client.Siblings[int](ctx, at))(t), []int{3})
		check(t, client.Resolve(ctx, at, sum)) // nothing to settle
	}
	same(t, collect(t, ns.Conflicts(ctx)), []client.Conflict{})
}

func TestMap(t *testing.T) {
	ctx, m := t.Context(), defaultNamespace(t).Map("ada")
	value, err := m.Edit(ctx, func(m client.MapOps) {
		m.At("name").Set("Ada")
		m.At("visits").Inc(math.MaxInt64)
		m.At("tags").Add("x", "y")
		m.At("address", "city").Set("Delft")
	})
	check(t, err)
	same(t, string(value), `{"address":{"city":"Delft"},"name":"Ada","tags":["x","y"],"visits":"9223372036854775807"}`)
	type person struct {
		Name   string
		Visits client.Number
		Tags   []string
	}
	ada := must(client.Get[person](ctx, m))(t)
	same(t, ada.Visits.String()+ada.Name+strings.Join(ada.Tags, ""), "9223372036854775807Adaxy")
	same(t, must(m.At("visits").Int64(ctx))(t), int64(math.MaxInt64))
	same(t, must(client.Get[int64](ctx, m.At("visits")))(t), int64(math.MaxInt64))
	same(t, must(m.At("visits").Inc(ctx, -7))(t), int64(math.MaxInt64-7))
	same(t, must(m.At("visits").Big(ctx))(t), big.NewInt(math.MaxInt64-7))
	same(t, must(client.Get[string](ctx, m.At("address", "city")))(t), "Delft")
	same(t, must(m.At("tags").Add(ctx, "z"))(t), true)
	same(t, must(m.At("tags").Remove(ctx, "x"))(t), true)
	same(t, collect(t, m.At("tags").Members(ctx)), []string{"y", "z"})
	check(t, m.At("visits").Reset(ctx))
	check(t, m.At("name").Delete(ctx))
	fields := collect(t, m.Fields(ctx, client.PageSize(1)))
	same(t, len(fields), 2)
	same(t, fields[1].Path[0]+string(fields[1].Type)+fmt.Sprint(fields[1].Members), "tagsset[y z]")
	same(t, collect(t, m.At("address").Fields(ctx))[0].Path, []string{"address", "city"})
	value, err = m.Merge(ctx, map[string]any{"address": map[string]any{"city": nil}, "tags": []string{"y", "z"}})
	check(t, err)
	same(t, string(value), `{"tags":["y","z"]}`)
	if _, err := m.Merge(ctx, map[string]any{"tags": []int{1}}); !errors.Is(err, client.ErrWrongType) {
		t.Errorf("an array over a set: %v", err)
	}
	check(t, m.Delete(ctx))
	if _, err := m.Get(ctx); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
}

func TestBatch(t *testing.T) {
	ctx, ns := t.Context(), defaultNamespace(t)
	b := ns.Batch()
	sold := b.Counter("sold").Inc(2)
	added := b.Set("cart").Add("a", "b")
	removed := b.Set("cart").Remove("a")
	b.Register("r").Set([]int{1})
	b.Map("m").At("p").Set(1)
	b.Set("t").Delete()
	b.IfAbsent(client.TypeRegister, "r")
	same(t, [2]int{b.Len(), b.Items()}, [2]int{6, 8})
	same(t, b.Bytes() > 150 && b.Bytes() < 250, true)
	check(t, b.Commit(ctx))
	same(t, [3]any{sold.Value.String(), added.Added, removed.Removed}, [3]any{"2", 2, 1})
	if err := b.Commit(ctx); !errors.Is(err, client.ErrPreconditionFailed) {
		t.Errorf("the condition: %v", err)
	}
	same(t, must(ns.Counter("sold").Get(ctx))(t), int64(2))
	check(t, ns.Batch().Commit(ctx))
	b = ns.Batch()
	b.Register("f").Set(func() {})
	same(t, b.Commit(ctx) != nil, true)
	many, one := ns.Batch(), ns.Batch()
	last := one.Counter("n").Inc(1)
	for range 3 {
		many.Append(one)
	}
	check(t, many.Commit(ctx))
	same(t, last.Value.String(), "3")
	var export strings.Builder
	check(t, ns.Export(ctx, &export))
	same(t, strings.Count(export.String(), "\n"), 5)
}

// TestListsPage: lists of several pages, and a loop that is left.
func TestListsPage(t *testing.T) {
	ctx, ns := t.Context(), defaultNamespace(t)
	var want []client.Key
	b := ns.Batch()
	for i := range 12 {
		key := fmt.Sprintf("k%02d", i)
		b.Counter(key).Inc(1)
		want = append(want, client.Key{Type: client.TypeCounter, Key: key})
	}
	check(t, b.Commit(ctx))
	check(t, ns.Register("r").Set(ctx, 1))
	same(t, collect(t, ns.Keys(ctx, client.PageSize(5), client.OfType(client.TypeCounter))), want)
	same(t, collect(t, ns.Keys(ctx, client.Prefix("k1"))), want[10:])
	for k, err := range ns.Keys(ctx, client.PageSize(2)) {
		check(t, err)
		if k.Key == "k03" {
			break
		}
	}
	n := 0
	for _, err := range ns.Keys(ctx, client.FromCursor("nonsense")) {
		n++
		same(t, errors.Is(err, client.ErrBadCursor), true)
	}
	same(t, n, 1)
}

func TestNamespaces(t *testing.T) {
	ctx, c := t.Context(), connect(t)
	check(t, c.CreateNamespace(ctx, "cache", client.Memory))
	same(t, must(c.Namespaces(ctx))(t), []client.NamespaceInfo{{Name: "cache", Storage: client.Memory}, {Name: "default", Storage: client.Disk}})
	check(t, c.DropNamespace(ctx, "cache"))
	if _, err := c.Namespace("cache").Counter("n").Inc(ctx, 1); !errors.Is(err, client.ErrNamespaceNotFound) || errors.Is(err, client.ErrNotFound) {
		t.Errorf("dropped: %v", err)
	}
}

func TestDaemon(t *testing.T) {
	ctx, c := t.Context(), connect(t)
	s := must(c.Status(ctx))(t)
	same(t, s.Version+s.Namespaces[0].Name, "testdefault")
	check(t, c.Ready(ctx))
	same(t, len(must(c.Peers(ctx))(t)), 0)
	if err := c.AddPeer(ctx, "/ip4/127.0.0.1/tcp/1"); !errors.Is(err, client.ErrForbidden) {
		t.Errorf("without networking: %v", err)
	}
	ns := c.Namespace("default")
	same(t, must(ns.Sync(ctx))(t).Converged, true)
	same(t, must(ns.Barrier(ctx, client.Both, "*", time.Second))(t).Reached, true)
}

// TestSessionAcrossDaemons: a daemon that has not what the session has seen says so.
func TestSessionAcrossDaemons(t *testing.T) {
	ctx := t.Context()
	var s client.Session
	here, there := defaultNamespace(t, client.In(&s)), defaultNamespace(t, client.In(&s))
	must(here.Counter("n").Inc(ctx, 1))(t)
	var p *client.Problem
	_, err := there.Counter("n").Get(ctx)
	if missing := 0; !errors.Is(err, client.ErrNotYetVisible) || !errors.As(err, &p) || !p.Extension("missing", &missing) || missing != 1 {
		t.Errorf("at another daemon: %v", err)
	}
	same(t, must(here.Counter("n").Get(ctx))(t), int64(1))
	var m client.Meta
	must(here.Counter("n").Inc(ctx, 1, client.Acks(1), client.WithMeta(&m)))(t)
	same(t, [2]int{m.Status, m.Acks}, [2]int{202, 0})
	same(t, m.Context, s.Context("default"))
}

// TestNamesOfAllKinds: what is read is what was written.
func TestNamesOfAllKinds(t *testing.T) {
	ctx, ns := context.Background(), defaultNamespace(t)
	names := []string{".", "..", "/", "a/b", "%2F", "\x00", "é", " ", `"`, "<&>", "\u2028"}
	for _, n := range names {
		must(ns.Set(n).Add(ctx, n))(t)
		check(t, ns.Map(n).At(n, n).Set(ctx, n))
		same(t, must(ns.Set(n).Has(ctx, n))(t), true)
		same(t, must(client.Get[string](ctx, ns.Map(n).At(n, n)))(t), n)
	}
	slices.Sort(names)
	var keys []string
	for _, k := range collect(t, ns.Keys(ctx, client.OfType(client.TypeSet))) {
		keys = append(keys, k.Key)
	}
	same(t, keys, names)
}
