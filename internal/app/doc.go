// Package app puts a daemon together and takes it apart again: the store, the cluster, the HTTP
// API. It is the only package that knows all the others. Signals and exit codes are main's.
package app
