package netswitch

import (
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestLine(t *testing.T) {
	const frames = 10_000
	now := time.Unix(0, 0)
	share := func(n uint64, want float64) bool {
		return float64(n) > frames*(want-0.03) && float64(n) < frames*(want+0.03)
	}
	for name, test := range map[string]struct {
		q    Quality
		want func(c Counts, arrivals []time.Duration) bool
	}{
		"a good cable": {Quality{}, func(c Counts, a []time.Duration) bool { return c.Passed == frames && slices.Max(a) == 0 }},
		"a cut":        {Quality{Cut: true}, func(c Counts, a []time.Duration) bool { return c.Cut == frames && len(a) == 0 }},
		"loss":         {Quality{Loss: 0.2}, func(c Counts, a []time.Duration) bool { return share(c.Lost, 0.2) && len(a) == int(c.Passed) }},
		"duplicates": {Quality{Duplicate: 0.3}, func(c Counts, a []time.Duration) bool {
			return share(c.Duplicated, 0.3) && len(a) == frames+int(c.Duplicated)
		}},
		"damage": {Quality{Corrupt: 0.1}, func(c Counts, a []time.Duration) bool { return share(c.Corrupted, 0.1) && len(a) == frames }},
		"delay": {Quality{Delay: time.Second}, func(_ Counts, a []time.Duration) bool {
			return slices.Min(a) == time.Second && slices.Max(a) == time.Second
		}},
		"jitter is reorder": {Quality{Delay: time.Second, Jitter: time.Second}, func(_ Counts, a []time.Duration) bool { return !slices.IsSorted(a) && slices.Max(a) < 2*time.Second }},
		// All frames come at once: half a second of them waits, the others are dropped.
		"a rate": {Quality{Rate: 100_000}, func(c Counts, a []time.Duration) bool {
			return len(a) == 501 && c.Queue == frames-501 && slices.IsSorted(a) && a[0] == time.Millisecond && a[500] == 501*time.Millisecond
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l, random := line{Quality: test.q}, rand.New(rand.NewPCG(1, 2))
			var arrivals []time.Duration
			for range frames {
				at, _ := l.pass(now, 100, random)
				for _, a := range at {
					arrivals = append(arrivals, a.Sub(now))
				}
			}
			if !test.want(l.counts, arrivals) {
				t.Errorf("%+v, %d arrivals", l.counts, len(arrivals))
			}
		})
	}
}

func TestDamageSparesTheHeader(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		frame := make([]byte, 60)
		damage(frame, random)
		if !bytes.Equal(frame[:ethernetHeader], make([]byte, ethernetHeader)) || bytes.Equal(frame, make([]byte, 60)) {
			t.Fatalf("%x", frame)
		}
	}
}

// device is a port whose other end is the test.
type device struct {
	in  chan []byte
	out chan []byte
}

func newDevice() *device { return &device{make(chan []byte), make(chan []byte, 10)} }

func (d *device) Read(p []byte) (int, error) {
	frame, ok := <-d.in
	if !ok {
		return 0, io.EOF
	}
	return copy(p, frame), nil
}
func (d *device) Write(p []byte) (int, error) { d.out <- p; return len(p), nil }
func (d *device) Close() error                { close(d.in); return nil }

// frameTo returns a frame from one port to another, -1 for all.
func frameTo(to int, payload string) []byte {
	mac := [6]byte{255, 255, 255, 255, 255, 255}
	if to >= 0 {
		mac = MAC(to)
	}
	return append(append(mac[:], make([]byte, 8)...), payload...)
}

func TestSwitch(t *testing.T) {
	ds := []*device{newDevice(), newDevice(), newDevice()}
	s := New([]io.ReadWriteCloser{ds[0], ds[1], ds[2]}, 1)
	expect := func(at int, payload string) {
		t.Helper()
		if got := <-ds[at].out; string(got[ethernetHeader:]) != payload {
			t.Errorf("port %d got %q, want %q", at, got[ethernetHeader:], payload)
		}
	}
	ds[0].in <- frameTo(1, "to 1")
	expect(1, "to 1")
	ds[0].in <- frameTo(-1, "to all")
	expect(1, "to all")
	expect(2, "to all")

	s.Set(0, 1, Quality{Cut: true})
	ds[0].in <- frameTo(-1, "to all but 1")
	expect(2, "to all but 1")
	ds[1].in <- frameTo(0, "the other way")
	expect(0, "the other way")

	s.Set(0, 1, Quality{Delay: 50 * time.Millisecond})
	ds[0].in <- frameTo(1, "late")
	expect(1, "late")
	s.Set(0, 1, Quality{Duplicate: 1})
	ds[0].in <- frameTo(1, "twice")
	expect(1, "twice")
	expect(1, "twice")
	if c := s.Counts(); c.Passed != 7 || c.Cut != 1 || c.Duplicated != 1 {
		t.Errorf("%+v", c)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
