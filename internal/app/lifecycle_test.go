package app

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"
)

func TestUnwindInReverseOrderAndOnce(t *testing.T) {
	l := lifecycle{log: slog.New(slog.DiscardHandler)}
	var got []string
	broken := errors.New("broken")
	for _, name := range []string{"first", "second", "third"} {
		l.add(name, func(context.Context) error {
			got = append(got, name)
			if name == "second" {
				return broken
			}
			return nil
		})
	}
	err := l.unwind(t.Context())
	if !reflect.DeepEqual(got, []string{"third", "second", "first"}) {
		t.Errorf("ran %v", got)
	}
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "stop second: broken") {
		t.Errorf("got %v", err)
	}
	if err := l.unwind(t.Context()); err != nil || len(got) != 3 {
		t.Errorf("a second time: %v, %v", err, got)
	}
}

// TestUnwindIsBounded: what uses a thing still is not left without it.
func TestUnwindIsBounded(t *testing.T) {
	l := lifecycle{log: slog.New(slog.DiscardHandler)}
	l.add("store", func(context.Context) error {
		t.Error("closed under its user")
		return nil
	})
	release := make(chan struct{})
	defer close(release)
	ctx, cancel := context.WithCancelCause(t.Context())
	l.add("stuck", func(context.Context) error {
		cancel(errors.New("it takes too long"))
		<-release
		return nil
	})
	if err := l.unwind(ctx); err == nil || err.Error() != "stop stuck: it takes too long" {
		t.Errorf("got %v", err)
	}
}
