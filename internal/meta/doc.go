// Package meta holds the rules of the repository as tests: which way imports go, what every
// package documents, what tests must not do, and that documents tell the truth.
package meta
