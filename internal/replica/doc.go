// Package replica binds a namespace copy of package store to the interfaces that package sync
// and its drivers ask for. The daemon and the simulator use the same binding.
package replica
