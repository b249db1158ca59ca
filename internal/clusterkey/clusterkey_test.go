package clusterkey

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestParseInvertsGenerate(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		text := Generate()
		if seen[text] || strings.ContainsAny(text, " \n=") {
			t.Fatalf("key %q", text)
		}
		seen[text] = true
		for _, spelling := range []string{text, "  " + text + "\n", strings.ToUpper(text)} {
			key, err := Parse(spelling)
			if err != nil {
				t.Fatalf("Parse(%q): %v", spelling, err)
			}
			if len(key) != Size || Format(key) != text {
				t.Fatalf("Parse(%q) = %x", spelling, key)
			}
		}
	}
}

func TestParseFindsEveryTypo(t *testing.T) {
	text := Format(bytes.Repeat([]byte{0xa5}, Size))
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567018-"
	for i := range text {
		for _, c := range alphabet {
			if byte(c) == text[i] {
				continue
			}
			wrong := text[:i] + string(c) + text[i+1:]
			if _, err := Parse(wrong); !errors.Is(err, ErrMalformed) {
				t.Fatalf("Parse(%q): %v", wrong, err)
			}
		}
	}
	for _, wrong := range []string{"", "anb1-", text[1:], text[:len(text)-1], text + "a", "anb2-" + text[5:], text[:20] + "\n" + text[20:]} {
		if _, err := Parse(wrong); !errors.Is(err, ErrMalformed) {
			t.Errorf("Parse(%q): %v", wrong, err)
		} else if len(wrong) > 10 && strings.Contains(err.Error(), wrong[5:]) {
			t.Errorf("the error tells the key: %v", err)
		}
	}
}
