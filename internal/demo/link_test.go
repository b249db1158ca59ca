package demo

import (
	"bufio"
	"errors"
	"io"
	"net"
	"testing"
)

// echo answers every line with itself, until the test ends.
func echo(t *testing.T) (hostport string) {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return ln.Addr().String()
}

// say sends a line and returns the answer.
func say(c net.Conn, text string) (string, error) {
	if _, err := io.WriteString(c, text+"\n"); err != nil {
		return "", err
	}
	return bufio.NewReader(c).ReadString('\n')
}

func TestLinkCarriesIsCutAndHeals(t *testing.T) {
	l, err := newLink()
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	l.connectTo(echo(t))
	dial := func() net.Conn {
		c, err := net.Dial("tcp4", l.ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	old := dial()
	if got, err := say(old, "a"); got != "a\n" {
		t.Fatalf("got %q, %v", got, err)
	}
	l.setCut(true)
	for name, c := range map[string]net.Conn{"old": old, "new": dial()} {
		if got, err := say(c, "b"); err == nil {
			t.Errorf("%s connection over a cut link: %q", name, got)
		}
	}
	l.setCut(false)
	if got, err := say(dial(), "c"); got != "c\n" {
		t.Errorf("after the heal: %q, %v", got, err)
	}
}

func TestClosedLinkLeavesNothing(t *testing.T) {
	l, err := newLink()
	if err != nil {
		t.Fatal(err)
	}
	l.connectTo(echo(t))
	c, err := net.Dial("tcp4", l.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := say(c, "a"); err != nil {
		t.Fatal(err)
	}
	l.close() // returns when every goroutine has ended
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, net.ErrClosed) {
		t.Errorf("the connection outlived the link: %v", err)
	}
}
