package p2p

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// greeting runs both sides of a handshake over a pipe. tamper, if not nil, sees every message of
// the dialler (true) and the listener before the other side does.
func greeting(dialKey, listenKey []byte, dialler, asSeenByListener peer.ID, tamper func(fromDialler bool, b []byte)) (dialErr, listenErr error) {
	dEnd, dFar := net.Pipe()
	lEnd, lFar := net.Pipe()
	deadline := time.Now().Add(5 * time.Second)
	dEnd.SetDeadline(deadline)
	lEnd.SetDeadline(deadline)
	relay := func(from, to net.Conn, fromDialler bool) {
		b := make([]byte, 1024)
		for {
			n, err := from.Read(b)
			if err != nil {
				to.Close()
				return
			}
			if tamper != nil {
				tamper(fromDialler, b[:n])
			}
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
	}
	go relay(dFar, lFar, true)
	go relay(lFar, dFar, false)
	listened := make(chan error)
	go func() {
		got, err := helloListen(lEnd, subkey(listenKey, "hello"), "L", asSeenByListener, instanceID{2})
		if err == nil && got != (instanceID{1}) {
			err = errors.New("wrong instance of the dialler")
		}
		lEnd.Close()
		listened <- err
	}()
	got, dialErr := helloDial(dEnd, subkey(dialKey, "hello"), dialler, "L", instanceID{1})
	if dialErr == nil && got != (instanceID{2}) {
		dialErr = errors.New("wrong instance of the listener")
	}
	dEnd.Close()
	listenErr = <-listened
	dFar.Close()
	lFar.Close()
	return dialErr, listenErr
}

func TestHelloAdmitsMembers(t *testing.T) {
	if d, l := greeting(testKey, testKey, "D", "D", nil); d != nil || l != nil {
		t.Fatalf("dialler: %v, listener: %v", d, l)
	}
}

func TestHelloTurnsOthersAway(t *testing.T) {
	if d, l := greeting(testKey, otherKey, "D", "D", nil); !isForeign(d) || !isForeign(l) {
		t.Errorf("another key: %v, %v", d, l)
	}
	// A man in the middle relays everything; to the listener it is itself the dialler.
	if d, l := greeting(testKey, testKey, "D", "M", nil); !isForeign(d) || !isForeign(l) {
		t.Errorf("relayed: %v, %v", d, l)
	}
	for bit := range 8 * 3 {
		flipped := false
		d, l := greeting(testKey, testKey, "D", "D", func(fromDialler bool, b []byte) {
			if fromDialler && !flipped {
				flipped = true
				b[1+bit] ^= 1 // of the nonce: both proofs cover it
			}
		})
		if !isForeign(d) || !isForeign(l) {
			t.Errorf("a bit of the nonce was flipped: %v, %v", d, l)
		}
	}
}

// TestListenerSaysNothingFirst: whoever cannot prove the key gets nothing that depends on it.
func TestListenerSaysNothingFirst(t *testing.T) {
	heard := func(key []byte) []byte {
		var out []byte
		greeting(otherKey, key, "D", "D", func(fromDialler bool, b []byte) {
			if !fromDialler {
				out = append(out, b...)
			}
		})
		return out[nonceBytes:] // the nonce is random
	}
	if a, b := heard(testKey), heard(bytes.Repeat([]byte{9}, 32)); !bytes.Equal(a, b) {
		t.Errorf("the refusal tells the key: %x, %x", a, b)
	}
}

// TestReplayProvesNothing: all that a member ever said, said again.
func TestReplayProvesNothing(t *testing.T) {
	var tape bytes.Buffer
	greeting(testKey, testKey, "D", "D", func(fromDialler bool, b []byte) {
		if fromDialler {
			tape.Write(b)
		}
	})
	_, err := helloListen(struct {
		io.Reader
		io.Writer
	}{&tape, io.Discard}, subkey(testKey, "hello"), "L", "D", instanceID{2})
	if !isForeign(err) {
		t.Errorf("a replay: %v", err)
	}
}

// TestReflectionProvesNothing: the dialler's own messages, sent back.
func TestReflectionProvesNothing(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		defer far.Close()
		b := make([]byte, 1024)
		n, _ := io.ReadFull(far, b[:1+nonceBytes+8])
		far.Write(b[1:n])
		n, _ = io.ReadFull(far, b[:proofBytes])
		far.Write(append([]byte{verdictAdmitted}, b[:n]...))
	}()
	if _, err := helloDial(near, subkey(testKey, "hello"), "D", "L", instanceID{1}); !isForeign(err) {
		t.Errorf("a reflection: %v", err)
	}
}

func FuzzHelloListen(f *testing.F) {
	f.Add([]byte{helloVersion})
	f.Add(bytes.Repeat([]byte{1}, 200))
	f.Fuzz(func(t *testing.T, in []byte) {
		_, err := helloListen(struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(in), io.Discard}, subkey(testKey, "hello"), "L", "D", instanceID{})
		if err == nil {
			t.Fatal("admitted")
		}
	})
}
