// Package netswitch is an Ethernet switch in a process: a network for tests on which frames are lost, late,
// out of order, doubled, damaged or held up, link by link and one way at a time. A kernel need not have
// netem for it. On Linux a port may be a TAP device, which is then moved into a network namespace.
package netswitch
