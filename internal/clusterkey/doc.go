// Package clusterkey makes and reads cluster keys: the one secret that the daemons of a cluster
// share. It knows nothing of the network, so that command line tools can use it alone.
//
// The text form is one line: "anb1-" and 58 letters and digits, which are 32 random bytes and a
// checksum of 4 bytes in base32, so that a key that was mistyped or cut off is found at once
// rather than refused by every peer.
package clusterkey
