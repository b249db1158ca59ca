package main

import (
	"fmt"
	"html"
	"maps"
	"math"
	"slices"
	"strings"
)

// A panel is one small plot: a series of all daemons over time.
type panel struct {
	series, title string
	unit          float64 // what one on the axis stands for
}

var panels = []panel{
	{"rss_bytes", "resident memory, MiB", 1 << 20},
	{"heap_bytes", "live Go heap, MiB", 1 << 20},
	{"goroutines", "goroutines", 1},
	{"fds", "file descriptors", 1},
	{"disk_bytes", "data directory, MiB", 1 << 20},
	{"entries", "live entries", 1},
	{"ids_default", "replica ids known, on disk", 1},
	{"ids_live", "replica ids known, in memory", 1},
}

const (
	panelWidth, panelHeight = 420, 180
	marginLeft, marginTop   = 56, 34
	gapX, gapY              = 70, 58
	columns                 = 2
	headHeight              = 34
)

// colors are those of Okabe and Ito, which people tell apart who see colours in other ways.
var colors = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"}

// svg draws the panels. The members that come and go are drawn thinner, those that came once in one
// colour together: their name ends in a number.
func svg(t table) string {
	var b strings.Builder
	rows := (len(panels) + columns - 1) / columns
	width := marginLeft + columns*(panelWidth+gapX)
	height := headHeight + rows*(panelHeight+gapY) + 20
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="11">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	end := t.end()
	groups := groupsOf(t)
	x := marginLeft
	for i, g := range groups {
		fmt.Fprintf(&b, `<line x1="%d" y1="16" x2="%d" y2="16" stroke="%s" stroke-width="2.5"/><text x="%d" y="20">%s</text>`+"\n",
			x, x+18, colors[i%len(colors)], x+23, html.EscapeString(g.label))
		x += 40 + 6*len(g.label)
	}
	for i, p := range panels {
		left := marginLeft + i%columns*(panelWidth+gapX)
		top := headHeight + marginTop + i/columns*(panelHeight+gapY)
		p.draw(&b, t, groups, end, left, top)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// A group is one colour.
type group struct {
	label string
	names []string
	width float64
}

func groupsOf(t table) []group {
	var groups []group
	end := t.end()
	var once group
	for _, name := range slices.Sorted(maps.Keys(t)) {
		switch {
		case strings.ContainsAny(name, "0123456789"):
			once.names = append(once.names, name)
		case throughout(t[name], end):
			groups = append(groups, group{name, []string{name}, 1.4})
		default:
			groups = append(groups, group{name + " (goes and comes back)", []string{name}, 0.9})
		}
	}
	if len(once.names) > 0 {
		once.label, once.width = fmt.Sprintf("%d members that joined empty and left", len(once.names)), 0.9
		groups = append(groups, once)
	}
	return groups
}

func (p panel) draw(b *strings.Builder, t table, groups []group, end float64, left, top int) {
	most := 0.0
	for _, samples := range t {
		for _, s := range samples {
			most = max(most, s.values[p.series]/p.unit)
		}
	}
	step := tidy(most / 4)
	most = max(step, math.Ceil(most/step)*step)
	y := func(v float64) float64 { return float64(top) + panelHeight*(1-v/most) }
	x := func(at float64) float64 { return float64(left) + panelWidth*at/end }
	fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="bold" font-size="12">%s</text>`+"\n", left, top-9, html.EscapeString(p.title))
	for v := 0.0; v <= most*1.001; v += step {
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end" fill="#444">%g</text>`+"\n",
			left, left+panelWidth, y(v), y(v), left-6, y(v)+4, v)
	}
	minutes := tidy(end / 60 / 6)
	for m := 0.0; m*60 <= end; m += minutes {
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle" fill="#444">%g</text>`+"\n", x(m*60), top+panelHeight+15, m)
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end" fill="#444">minutes</text>`+"\n", left+panelWidth, top+panelHeight+28)
	gap := 3 * end / 100           // a line is broken where a daemon was not seen for longer
	near := end / panelWidth * 1.5 // what is nearer to the point before is left out
	for i, g := range groups {
		for _, name := range g.names {
			var path strings.Builder
			last := math.Inf(-1)
			for _, s := range t[name] {
				v, ok := s.values[p.series]
				if !ok {
					continue
				}
				verb := "L"
				if s.at-last > gap {
					verb = "M"
				} else if s.at-last < near {
					continue
				}
				fmt.Fprintf(&path, "%s%.1f %.1f", verb, x(s.at), y(v/p.unit))
				last = s.at
			}
			fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="%g"/>`+"\n", path.String(), colors[i%len(colors)], g.width)
		}
	}
}

// tidy returns the least of 1, 2, 5, 10, 20, … times a power of ten that is not below v.
func tidy(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= v {
			return m * power
		}
	}
	return 10 * power
}
