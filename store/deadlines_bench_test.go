package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/anabranchdb/anabranch/crdt"
)

// BenchmarkHead reads the size of a set of 10,000 members of which some have a deadline that has come,
// and that nobody has removed yet.
func BenchmarkHead(b *testing.B) {
	for _, over := range []int{0, 100, 10_000} {
		b.Run(fmt.Sprintf("over=%d", over), func(b *testing.B) {
			opts := DefaultOptions(b.TempDir())
			opts.ReapEvery = -1
			s, err := Open(opts)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			n := namespaceOf(b, s, Default)
			mustCommit(b, n, func(tx *Tx) error {
				for i := range 10_000 {
					tx.Until(0)
					if i < over {
						tx.Until(crdt.DeadlineOf(time.Now()))
					}
					if _, err := tx.Add(numbered(tSet, i)); err != nil {
						return err
					}
				}
				return nil
			})
			for b.Loop() {
				v, err := n.View(context.Background())
				if err != nil {
					b.Fatal(err)
				}
				if h, err := v.Head(tSet.ObjectPath()); err != nil || h.Visible != uint64(10_000-over) {
					b.Fatal(h, err)
				}
				v.Close()
			}
		})
	}
}

// BenchmarkAddUntil adds members with a deadline and without one, 100 in a commit.
func BenchmarkAddUntil(b *testing.B) {
	for _, until := range []crdt.Deadline{0, crdt.MaxDeadline} {
		b.Run(fmt.Sprintf("deadline=%v", until > 0), func(b *testing.B) {
			s, err := Open(DefaultOptions(b.TempDir()))
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			n, i := namespaceOf(b, s, Default), 0
			for b.Loop() {
				mustCommit(b, n, func(tx *Tx) error {
					tx.Until(until)
					for range 100 {
						i++
						if _, err := tx.Add(numbered(tSet, i)); err != nil {
							return err
						}
					}
					return nil
				})
			}
		})
	}
}
