package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// A rule says how much a series of a daemon that ran all the time may grow between the second and the
// last quarter: by a share of itself, and by some more, since small numbers swing. Times are not judged.
type rule struct {
	series string
	share  float64
	more   float64
}

var rules = []rule{
	{"rss_bytes", 0.10, 16 << 20},
	{"anonymous_bytes", 0.10, 16 << 20},
	{"heap_bytes", 0.10, 8 << 20},
	{"goroutines", 0.05, 8},
	{"threads", 0.05, 4},
	{"fds", 0.05, 8},
	{"disk_bytes", 0.10, 16 << 20},
	{"objects", 0.05, 20},
	{"entries", 0.05, 200}, // else the load was no steady one
}

// judge compares the medians of the second and the last quarter, of each series of each daemon that was
// sampled in both. The first quarter is for filling logs and caches.
func judge(t table, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "daemon\tseries\tsecond quarter\tlast quarter\tmay be\t\t")
	var grew []string
	judged := 0
	end := t.end()
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if !throughout(t[name], end) {
			continue
		}
		for _, r := range rules {
			second, okSecond := median(t[name], r.series, end/4, end/2)
			last, okLast := median(t[name], r.series, 3*end/4, end)
			if !okSecond || !okLast {
				return fmt.Errorf("there are no samples of %s of %s to judge", r.series, name)
			}
			most, verdict := second*(1+r.share)+r.more, "flat"
			if last > most {
				verdict = "GREW"
				grew = append(grew, name+" "+r.series)
			}
			judged++
			fmt.Fprintf(w, "%s\t%s\t%.0f\t%.0f\t%.0f\t%s\t\n", name, r.series, second, last, most, verdict)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if judged == 0 {
		return errors.New("no daemon ran all the time: there is nothing to judge")
	}
	if len(grew) > 0 {
		return fmt.Errorf("it grew: %s", strings.Join(grew, ", "))
	}
	return nil
}

// throughout reports whether a daemon was seen in nearly every eighth of the time, by one process:
// the CPU time of a process never falls.
func throughout(samples []sample, end float64) bool {
	var eighths [8]bool
	for i, s := range samples {
		eighths[min(7, int(s.at/end*8))] = true
		if i > 0 && s.values["cpu_seconds"] < samples[i-1].values["cpu_seconds"] {
			return false
		}
	}
	return !slices.Contains(eighths[:], false)
}

// median returns that of the samples from one moment to another.
func median(samples []sample, series string, from, to float64) (float64, bool) {
	var values []float64
	for _, s := range samples {
		if v, ok := s.values[series]; ok && s.at >= from && s.at <= to {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return 0, false
	}
	slices.Sort(values)
	return values[len(values)/2], true
}
