package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// cleanup undoes one step of a start.
type cleanup struct {
	name string
	run  func(context.Context) error
}

// lifecycle holds the cleanups of the steps that were done, in their order.
type lifecycle struct {
	log      *slog.Logger
	cleanups []cleanup
}

func (l *lifecycle) add(name string, run func(context.Context) error) {
	l.cleanups = append(l.cleanups, cleanup{name, run})
}

// unwind runs the cleanups in reverse order, each once. When ctx ends it no longer waits: the
// cleanup that did not return is named in the error, and those before it do not run, since they
// would take away what it still uses.
func (l *lifecycle) unwind(ctx context.Context) error {
	var errs []error
	for len(l.cleanups) > 0 {
		last := len(l.cleanups) - 1
		c := l.cleanups[last]
		l.cleanups = l.cleanups[:last]
		l.log.Debug("stopping", "what", c.name)
		done := make(chan error, 1)
		go func() { done <- c.run(ctx) }()
		select {
		case err := <-done:
			if err != nil {
				errs = append(errs, fmt.Errorf("stop %s: %w", c.name, err))
			}
		case <-ctx.Done():
			return errors.Join(append(errs, fmt.Errorf("stop %s: %w", c.name, context.Cause(ctx)))...)
		}
	}
	return errors.Join(errs...)
}
