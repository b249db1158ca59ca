package demo

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// teller prints the story.
type teller struct {
	out      io.Writer
	color    bool
	chapters int
	failed   func(error) // is told of each write that failed; what is told after that is lost
}

const (
	bold  = "1"
	faint = "2"
	green = "32"
	cyan  = "36"
)

func (t *teller) paint(code, text string) string {
	if !t.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (t *teller) chapter(text string) {
	t.chapters++
	t.print("\n%s\n", t.paint(bold, fmt.Sprintf("%d. %s", t.chapters, text)))
}

func (t *teller) line(format string, args ...any) { t.print("   "+format+"\n", args...) }

func (t *teller) print(format string, args ...any) {
	if _, err := fmt.Fprintf(t.out, format, args...); err != nil {
		t.failed(err)
	}
}

func (t *teller) good(format string, args ...any) {
	t.line("%s", t.paint(green, fmt.Sprintf(format, args...)))
}

func (t *teller) note(format string, args ...any) {
	for text := range strings.SplitSeq(fmt.Sprintf(format, args...), "\n") {
		t.line("%s", t.paint(faint, text))
	}
}

func (t *teller) name(name string) string { return t.paint(cyan, fmt.Sprintf("%-5s", name)) }

// table prints rows in columns; the first row is the head, the first column holds names.
func (t *teller) table(rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for r, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			padded := cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2)
			switch {
			case r == 0:
				padded = t.paint(bold, padded)
			case i == 0:
				padded = t.paint(cyan, padded)
			}
			b.WriteString(padded)
		}
		t.line("%s", strings.TrimRight(b.String(), " "))
	}
}
