// Package client is a small client of the HTTP API, as the command line uses it: requests whose
// path segments are names (see Request), replies as they came, problems as errors.
package client
