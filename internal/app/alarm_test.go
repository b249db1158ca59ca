package app

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/store"
	peersync "github.com/anabranchdb/anabranch/sync"
	"github.com/anabranchdb/anabranch/sync/p2p"
)

// TestAlarms: an alarm is one line at error level, which says what to do.
func TestAlarms(t *testing.T) {
	cfg := testConfig(t)
	a := New(cfg, "test", slog.New(slog.DiscardHandler))
	for _, c := range []struct {
		kind peersync.AlarmKind
		ns   string
		says []string
	}{
		{peersync.AlarmFork, "orders", []string{"heals by itself", "orders", "503"}},
		{peersync.AlarmForeignFork, store.Default, []string{`"anabranch status"`}},
		{peersync.AlarmMismatch, store.Default, []string{cfg.DataDir, "report"}},
	} {
		var out bytes.Buffer
		a.logAlarm(slog.New(slog.NewJSONHandler(&out, nil)), p2p.Alarm{Kind: c.kind, Namespace: c.ns, Peer: "12D", Text: "it happened"})
		var line struct{ Level, Msg, Alarm, Namespace, Peer string }
		if err := json.Unmarshal(out.Bytes(), &line); err != nil {
			t.Fatalf("%v: %s", err, out.Bytes())
		}
		if line.Level != "ERROR" || line.Alarm != string(c.kind) || line.Namespace != c.ns || line.Peer != "12D" {
			t.Errorf("%+v", line)
		}
		for _, s := range append(c.says, "it happened. ") {
			if !strings.Contains(line.Msg, s) {
				t.Errorf("%s of %s does not say %s: %s", c.kind, c.ns, s, line.Msg)
			}
		}
	}
}

// TestRepeatedEventsAreQuiet: what comes with every write, while its cause lasts, is a warning now and then.
func TestRepeatedEventsAreQuiet(t *testing.T) {
	levels, now := newEventLevels(), time.Unix(1000, 0)
	for _, kind := range []store.EventKind{store.EventDatastore, store.EventClockAhead} {
		for after, want := range []slog.Level{slog.LevelWarn, slog.LevelDebug, slog.LevelDebug} {
			if got := levels.of(kind, now.Add(time.Duration(after)*time.Millisecond)); got != want {
				t.Errorf("%s, %d ms after the first: %v, want %v", kind, after, got, want)
			}
		}
		if got := levels.of(kind, now.Add(troubleEvery)); got != slog.LevelWarn {
			t.Errorf("%s, later: %v", kind, got)
		}
	}
	for range 2 {
		if got := levels.of(store.EventDamaged, now); got != slog.LevelError {
			t.Errorf("damage: %v", got)
		}
	}
}
