package clusterkey

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
)

// Size is the length of a key, in bytes.
const Size = 32

const (
	prefix        = "anb1-"
	checksumBytes = 4
)

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// ErrMalformed is returned when a text is not a cluster key: wrong prefix, length or letters, or a
// checksum that does not fit. The text itself is never part of the error.
var ErrMalformed = errors.New("clusterkey: malformed cluster key")

// Generate returns the text form of a fresh random key.
func Generate() string {
	key := make([]byte, Size)
	rand.Read(key) // never fails: it ends the process instead
	return Format(key)
}

// Format returns the text form of a key of Size bytes.
func Format(key []byte) string {
	b := append(append([]byte(nil), key...), checksum(key)...)
	return prefix + strings.ToLower(encoding.EncodeToString(b))
}

// Parse returns the Size bytes of a key in text form. White space around it and upper case are
// accepted. ErrMalformed is returned for everything else.
func Parse(text string) ([]byte, error) {
	s := strings.ToLower(strings.TrimSpace(text))
	body, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrMalformed, prefix)
	}
	if want := encoding.EncodedLen(Size + checksumBytes); len(body) != want {
		return nil, fmt.Errorf("%w: %d characters after the prefix, want %d", ErrMalformed, len(body), want)
	}
	b, err := encoding.DecodeString(strings.ToUpper(body))
	if err != nil {
		return nil, fmt.Errorf("%w: a character that is not a-z or 2-7", ErrMalformed)
	}
	key, sum := b[:Size:Size], b[Size:]
	// Base32 leaves two spare bits in the last character; only the spelling of Format is a key.
	if string(sum) != string(checksum(key)) || s != Format(key) {
		return nil, fmt.Errorf("%w: the checksum does not fit", ErrMalformed)
	}
	return key, nil
}

func checksum(key []byte) []byte {
	h := sha256.Sum256(append([]byte("anabranch cluster key 1\x00"), key...))
	return h[:checksumBytes]
}
