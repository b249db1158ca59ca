// Package e2e runs real daemons, the binary that is shipped: processes that are killed, cut off,
// copied, filled up and fed, and that have to agree in the end. Its tests are behind the build tag
// e2e, since they need root and minutes; test/e2e.sh runs them, all or by name.
//
// A daemon is a process with a directory below the test's own and an API on a unix socket, which
// is reached from every network namespace. Processes end with the test, by their own pids.
package e2e
