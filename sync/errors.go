package sync

import (
	"errors"
	"fmt"
)

// Errors of the engine's alarms and of sessions. They come wrapped; compare with errors.Is.
var (
	// ErrFork is returned when it is proved that another copy writes, or wrote, under this
	// copy's replica id. Nothing may be exchanged for the namespace until the copy has been
	// joined afresh under a new id.
	ErrFork = errors.New("sync: another copy writes under this replica id")
	// ErrMalformed is returned for bytes that no correct peer sends: not decodable, above a
	// limit, or against the rules of the exchange.
	ErrMalformed = errors.New("sync: malformed message")
	// ErrUnexpected is returned for a well-formed message in the wrong place of a session. It
	// is an ErrMalformed.
	ErrUnexpected = fmt.Errorf("%w: unexpected here", ErrMalformed)
	// ErrVersion is returned for a message of a protocol version that is not spoken here, or
	// with a kind or field that must be understood and is not.
	ErrVersion = errors.New("sync: protocol version not supported")
	// ErrDigestMismatch is returned when two copies with equal clocks hold different entries:
	// a bug or a bad disk. Nothing is changed; see MismatchError.
	ErrDigestMismatch = errors.New("sync: equal clocks, different entries")
	// ErrRefused is returned by a pull when the other side ended the session; the text is the
	// other side's.
	ErrRefused = errors.New("sync: the other side ended the session")
	// ErrNotHeld is returned by a pull of a single unit when the other side does not have it.
	ErrNotHeld = errors.New("sync: the other side does not hold that unit")
	// ErrEnded is returned by Handle after the session has ended.
	ErrEnded = errors.New("sync: the session has ended")
)

// MismatchError says in what two copies with equal clocks differ. It is an ErrDigestMismatch.
// Both sets are empty when the dots are the same and only the contents differ.
type MismatchError struct {
	OnlyHere  uint64 // live dots
	OnlyThere uint64 // at least: where nothing is live here they are not counted
	Sample    string // some of them
}

// Error returns the counts and the sample.
func (e *MismatchError) Error() string {
	if e.OnlyHere == 0 && e.OnlyThere == 0 {
		return ErrDigestMismatch.Error() + ": the live dots are the same, their contents are not"
	}
	return fmt.Sprintf("%v: %d dots are live only here, %d or more only there: %s",
		ErrDigestMismatch, e.OnlyHere, e.OnlyThere, e.Sample)
}

// Unwrap returns ErrDigestMismatch.
func (e *MismatchError) Unwrap() error { return ErrDigestMismatch }
