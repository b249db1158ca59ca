// Package delta holds what travels between replicas: units, and the frames that carry them.
package delta
