// Package invariant turns assertions on in builds with the race detector or the tag
// "invariants", and compiles them away in others.
package invariant
