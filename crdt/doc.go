// Package crdt is the pure core: dots, clocks, paths, entries, and the types as views over them.
package crdt
