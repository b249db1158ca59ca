package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// samples makes an hour of a, and of b, which is there for half of it. f says what a series of a is at a moment from 0 to 1.
func samples(f func(series string, at float64) float64) string {
	var b strings.Builder
	b.WriteString("seconds,daemon,cpu_seconds")
	for _, r := range rules {
		b.WriteString("," + r.series)
	}
	b.WriteString("\n")
	for i := range 361 {
		for _, name := range []string{"a", "b"} {
			if name == "b" && i > 180 {
				continue
			}
			fmt.Fprintf(&b, "%d,%s,%d", i*10, name, i)
			for _, r := range rules {
				fmt.Fprintf(&b, ",%g", f(r.series, float64(i)/360))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func TestJudge(t *testing.T) {
	level := func(string, float64) float64 { return 100 << 20 }
	tests := []struct {
		name string
		f    func(series string, at float64) float64
		want string // in the error; "" for none
	}{
		{"level", level, ""},
		{"fills up in the first quarter", func(_ string, at float64) float64 { return min(1, at*5) * (100 << 20) }, ""},
		{"swings", func(_ string, at float64) float64 { return (100 << 20) * (1 + math.Sin(at*200)/2) }, ""},
		{"shrinks", func(_ string, at float64) float64 { return (100 << 20) * (2 - at) }, ""},
		{"a few peaks", func(_ string, at float64) float64 {
			if at > 0.9 && at < 0.95 {
				return 1 << 40
			}
			return 100 << 20
		}, ""},
		{"one grows", func(s string, at float64) float64 {
			if s == "heap_bytes" {
				return (100 << 20) * (1 + at)
			}
			return 100 << 20
		}, "it grew: a heap_bytes"},
		{"descriptors leak", func(s string, at float64) float64 {
			if s == "fds" {
				return 40 + 40*at
			}
			return 100 << 20
		}, "it grew: a fds"},
	}
	for _, tt := range tests {
		table, err := read(strings.NewReader(samples(tt.f)))
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		err = judge(table, &out)
		if got := fmt.Sprint(err); (tt.want == "") != (err == nil) || tt.want != "" && got != tt.want {
			t.Errorf("%s: %v, want %q\n%s", tt.name, err, tt.want, out.String())
		}
	}
}

// Nothing that can be judged is no success.
func TestNothingToJudge(t *testing.T) {
	all := samples(func(string, float64) float64 { return 1 })
	restarted := strings.ReplaceAll(all, "3600,a,360,", "3600,a,0,")
	table, err := read(strings.NewReader(restarted))
	if err != nil {
		t.Fatal(err)
	}
	if err := judge(table, io.Discard); err == nil {
		t.Error("a daemon that was started again was judged")
	}
	table, err = read(strings.NewReader("seconds,daemon,cpu_seconds\n0,a,1\n1,a,1\n2,a,1\n3,a,1\n4,a,1\n5,a,1\n6,a,1\n7,a,1\n8,a,1\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := judge(table, io.Discard); err == nil {
		t.Error("series that are missing were judged")
	}
	for _, text := range []string{"", "seconds,daemon,x\n", "time,daemon,x\n1,a,1\n", "seconds,daemon,x\n1,a,one\n", "seconds,daemon,x\none,a,1\n"} {
		if _, err := read(strings.NewReader(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func TestPlot(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "x.csv"), filepath.Join(dir, "x.svg")
	text := samples(func(_ string, at float64) float64 { return (1 + at) * 1e8 }) + "3600,c<1>,1,,,,,,,,,\n"
	if err := os.WriteFile(in, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"-plot", out, in}, io.Discard); err != nil {
		t.Fatal(err)
	}
	drawn, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range panels {
		if !strings.Contains(string(drawn), ">"+p.title+"<") {
			t.Errorf("there is no panel %q", p.title)
		}
	}
	d := xml.NewDecoder(strings.NewReader(string(drawn)))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(string(drawn), "NaN") || strings.Contains(string(drawn), "Inf") {
		t.Error("there are places that are no numbers")
	}
}

func TestTidy(t *testing.T) {
	for v, want := range map[float64]float64{0: 1, 1: 1, 1.1: 2, 2.1: 5, 5.1: 10, 12: 20, 0.03: 0.05} {
		if got := tidy(v); math.Abs(got-want) > 1e-9 {
			t.Errorf("tidy(%g) = %g, want %g", v, got, want)
		}
	}
}
