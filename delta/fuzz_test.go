package delta

import (
	"bytes"
	"errors"
	"testing"
)

// Their seeds are files under testdata/fuzz: see TestFuzzersHaveSeeds.

func FuzzDecodeFrame(f *testing.F)   { fuzzIdentity(f, frameAgain) }
func FuzzDecodeUnit(f *testing.F)    { fuzzIdentity(f, unitAgain) }
func FuzzDecodeEntries(f *testing.F) { fuzzIdentity(f, entriesAgain) }
func FuzzDecodeEntry(f *testing.F)   { fuzzIdentity(f, entryAgain) }
func FuzzDecodeClock(f *testing.F)   { fuzzIdentity(f, clockAgain) }
func FuzzDecodeRuns(f *testing.F)    { fuzzIdentity(f, runsAgain) }
func FuzzDecodeDotSet(f *testing.F)  { fuzzIdentity(f, dotSetAgain) }

// fuzzIdentity checks that whatever is accepted is what the encoder would have written, that
// what is refused is refused with an error of this package, that the input stays as it is, and
// that memory follows its length.
func fuzzIdentity(f *testing.F, again func(b []byte) ([]byte, error)) {
	const factor, base = 128, 9 << 20 // decoding, encoding, and what the fuzzer itself allocates
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		var got []byte
		var err error
		n := allocated(func() { got, err = again(b) })
		switch {
		case !bytes.Equal(b, before):
			t.Fatal("the input was written")
		case n > uint64(factor*len(b)+base):
			t.Fatalf("%d bytes allocated for %d", n, len(b))
		case err == nil && !bytes.Equal(got, b):
			t.Fatalf("accepted % x, encoded again % x", b, got)
		case err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrVersion) && !errors.Is(err, ErrTooLarge):
			t.Fatalf("refused with %v", err)
		}
	})
}

// Whatever is accepted and valid applies or is refused, and never panics.
func FuzzApply(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := DecodeFrame(b)
		if err != nil {
			return
		}
		s := applied(t)
		for _, u := range frame.Units {
			s.Clock.Merge(u.Deps)
			if u.First > 1 {
				s.Clock[u.Origin] = max(s.Clock[u.Origin], u.First-1)
			}
			if err := Apply(&s, u); err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrGap) && !errors.Is(err, ErrTooLarge) {
				t.Fatal(err)
			}
		}
		for d := range s.Live {
			if !s.Clock.Covers(d) {
				t.Fatalf("I2: %v is live and not covered", d)
			}
		}
	})
}
