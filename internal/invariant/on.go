//go:build race || invariants

package invariant

import "fmt"

// Enabled reports whether this build checks its invariants.
const Enabled = true

// Check panics with the formatted message unless ok. Guard costly conditions with Enabled.
func Check(ok bool, format string, args ...any) {
	if !ok {
		panic("invariant violated: " + fmt.Sprintf(format, args...))
	}
}
