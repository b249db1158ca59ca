// Package storetest proves that a store.Backend is one: what Apply, Snapshot and Iterate promise, under
// concurrency and, where the backend can be made to crash, across crashes. It needs nothing but the
// interface, so that a backend in another module can be held to it:
//
//	func TestConformance(t *testing.T) {
//		storetest.Run(t, func(t testing.TB) storetest.Target {
//			dir := t.TempDir()
//			return storetest.Target{Open: func() (store.Backend, error) { return Open(dir) }}
//		})
//	}
//
// Run it with the race detector: half of the checks are about readers beside a writer.
package storetest
