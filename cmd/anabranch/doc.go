// Command anabranch is the daemon, and the command line that speaks to a daemon over its HTTP API.
package main
