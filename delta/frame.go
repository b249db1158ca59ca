package delta

import "fmt"

// frameVersion is the version that this code writes and reads.
const frameVersion = 1

// Fields of a frame. 3 and 4 are reserved, see doc.go.
const (
	frameVersionField = iota
	frameRuns
	frameUnits
)

// AppendFrame appends f. Frames made by Split keep the limits that DecodeFrame checks.
func AppendFrame(b []byte, f Frame) []byte {
	w := appendTo(b)
	runs, units := len(f.Runs) > 0, len(f.Units) > 0
	w.mapLen(1 + one(runs) + one(units) + extraFields(f.Extra))
	w.field(frameVersionField, frameVersion)
	if runs {
		w.uint(frameRuns)
		w.runs(f.Runs)
	}
	if units {
		w.uint(frameUnits)
		w.arrayLen(len(f.Units))
		var c unitContext
		for i := range f.Units {
			u := &f.Units[i]
			w.unit(u, &c)
			c = unitContext{origin: u.Origin, last: u.Last}
		}
	}
	w.raw(f.Extra)
	b, _ = w.done()
	return b
}

// DecodeFrame reads what AppendFrame wrote. It returns ErrVersion for another version,
// ErrTooLarge beyond MaxFrameBytes or MaxFrameUnits, and ErrMalformed for what is not
// canonical, trailing bytes included. The frame shares no memory with b. Its units are well
// formed, not yet valid: see Validate.
func DecodeFrame(b []byte) (Frame, error) {
	if len(b) > MaxFrameBytes {
		return Frame{}, tooLarge("a frame of %d bytes", len(b))
	}
	r := reader{b: b}
	var out Frame
	f := r.fields()
	if k, ok := f.key(); ok && k != frameVersionField || !ok && r.err == nil {
		r.fail("frame: want its version first")
	}
	if v := r.uint(); r.err == nil && v != frameVersion {
		return Frame{}, fmt.Errorf("%w: %d", ErrVersion, v)
	}
	for k, ok := f.key(); ok; k, ok = f.key() {
		switch k {
		case frameRuns:
			out.Runs = r.runs()
			r.omit(len(out.Runs) == 0, "runs")
		case frameUnits:
			out.Units = r.units()
			r.omit(len(out.Units) == 0, "units")
		default:
			f.unknown()
		}
	}
	out.Extra = f.rest()
	if err := r.finish(); err != nil {
		return Frame{}, err
	}
	return out, nil
}

// usualUnitBytes is less than what a unit takes that says anything.
const usualUnitBytes = 8

func (r *reader) units() []Unit {
	n := r.arrayLen(1)
	if n > MaxFrameUnits {
		r.err = tooLarge("a frame of %d units", n)
		return nil
	}
	us := make([]Unit, 0, min(n, 1+r.left()/usualUnitBytes))
	var c unitContext
	for ; n > 0 && r.err == nil; n-- {
		u := r.unit(&c)
		us = append(us, u)
		c = unitContext{origin: u.Origin, last: u.Last}
	}
	return us
}
