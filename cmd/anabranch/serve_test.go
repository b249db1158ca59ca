package main

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// failing is a daemon that fails as soon as it runs.
type failing struct {
	failed  chan error
	stop    error
	stopped bool
}

func (f *failing) Start(context.Context) error { return nil }
func (f *failing) Failed() <-chan error        { return f.failed }

func (f *failing) Stop(context.Context) error {
	f.stopped = true
	return f.stop
}

// TestServeEndsWhenTheDaemonFails: it is stopped, and the error is one line that begins with the reason.
func TestServeEndsWhenTheDaemonFails(t *testing.T) {
	reason := errors.New("the datastore failed: log: input/output error")
	for name, stop := range map[string]error{
		"it stops well": nil,
		"it does not":   errors.Join(errors.New("stop store: closed"), errors.New("stop cluster: late")),
	} {
		f := &failing{failed: make(chan error, 1), stop: stop}
		f.failed <- reason
		err := runDaemon(t.Context(), f)
		if !errors.Is(err, reason) || !strings.HasPrefix(err.Error(), reason.Error()) || strings.Contains(err.Error(), "\n") || !f.stopped {
			t.Errorf("%s: %v, stopped: %t", name, err, f.stopped)
		}
		if code := exitCode(err); code != exitError {
			t.Errorf("%s: exit code %d, want %d", name, code, exitError)
		}
	}
}
