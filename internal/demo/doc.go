// Package demo shows on one machine what a cluster does: three daemons find each other, are cut
// apart, take writes that contradict each other, and join again. The daemons are ordinary ones;
// the demo only stands between them (see link).
package demo
