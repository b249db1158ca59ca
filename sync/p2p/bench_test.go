package p2p

import (
	"fmt"
	"testing"
)

// BenchmarkWriteToPeer measures from a write at one node to its being applied at another.
func BenchmarkWriteToPeer(b *testing.B) {
	for _, transport := range []string{onTCP, onQUIC} {
		b.Run(transport[len("/ip4/127.0.0.1/"):][:3], func(b *testing.B) {
			n, m := startNode(b, testOptions(b, transport)), startNode(b, testOptions(b, transport))
			cn, cm := addCopy(b, n, "shop"), addCopy(b, m, "shop")
			introduce(b, n, m)
			eventually(b, "meshed", func() bool { return len(n.pubsub.ListPeers(topicName(testKey, "shop"))) == 1 })
			got := make(chan struct{}, 1)
			cancel := cm.Subscribe(func(Commit) { wake(got) })
			defer cancel()
			cn.write("first")
			eventually(b, "equal", func() bool { return cm.equal(cn) })
			i := 0
			for b.Loop() {
				i++
				cn.write(fmt.Sprint(i % 10))
				want := cn.clock()[cn.replica]
				for cm.clock()[cn.replica] < want {
					<-got
				}
			}
		})
	}
}
