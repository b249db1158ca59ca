package delta

import (
	"errors"
	"fmt"
)

// Errors of this package. Returned errors wrap them; test with errors.Is.
var (
	// ErrMalformed is returned for bytes that are not the one canonical encoding of a value,
	// and for a unit that breaks a rule of its structure.
	ErrMalformed = errors.New("delta: malformed")
	// ErrVersion is returned for a frame of a version that is not known here.
	ErrVersion = errors.New("delta: unknown frame version")
	// ErrTooLarge is returned for what exceeds a limit of this package.
	ErrTooLarge = errors.New("delta: too large")
	// ErrGap is returned when a unit's predecessor or a dependency has not been applied.
	ErrGap = errors.New("delta: predecessor or dependency missing")
)

// Limits. They are part of the format: what exceeds them is refused by every replica.
const (
	MaxFrameBytes = 512 << 10 // an encoded frame
	MaxFrameUnits = 32 << 10  // units in one frame
	MaxUnitBytes  = 64 << 20  // an encoded unit
	MaxEntryValue = 1 << 20   // the value of one entry: reset records outgrow crdt.MaxValueBytes

	maxSkipDepth = 32 // nesting of the value of an unknown field
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

func tooLarge(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrTooLarge, fmt.Sprintf(format, args...))
}
