//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A section is what stands below one heading of a document: the commands of its sh blocks, which
// one shell runs in order.
type section struct {
	title    string
	commands []*command
}

// A command is one command of a shell, on one or more lines. The comments behind it say what it
// prints; "..." in them stands for anything.
type command struct {
	line  int
	text  string
	wants []string

	out, trace string // what it printed, and what curl says of it
}

// readDocument returns the sections of a document that have commands. It leaves it to the shell to
// say where a command ends.
func readDocument(t *testing.T, path string) []section {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var (
		all     []section
		now     section
		inBlock bool
		open    *command // a command that is not complete
	)
	for i, line := range strings.Split(string(b)+"\n## \n", "\n") {
		want, isWant := strings.CutPrefix(line, "#")
		switch {
		case !inBlock && strings.HasPrefix(line, "## "):
			if len(now.commands) > 0 {
				all = append(all, now)
			}
			now = section{title: line[3:]}
		case !inBlock:
			inBlock = line == "```sh"
		case strings.HasPrefix(line, "```"):
			if open != nil {
				t.Fatalf("%s:%d: the shell wants more: %s", path, open.line, open.text)
			}
			inBlock = false
		case open != nil:
			open.text += "\n" + line
		case isWant && len(now.commands) > 0:
			last := now.commands[len(now.commands)-1]
			last.wants = append(last.wants, strings.TrimPrefix(want, " "))
			continue
		case strings.TrimSpace(line) != "":
			open = &command{line: i + 1, text: line}
			now.commands = append(now.commands, open)
		}
		if open != nil && exec.Command("sh", "-nc", open.text).Run() == nil {
			open = nil
		}
	}
	return all
}

// prelude makes curl leave a trace of what it asked and what came, and lets it go to the daemon
// where only a path is written.
const prelude = `set -u
curl() {
	for arg do
		shift
		case $arg in /*) arg=http://localhost:7700$arg ;; esac
		set -- "$@" "$arg"
	done
	command curl -sS -m 10 -w '%{stderr}@%{http_code} %{method} %{url}\n' "$@"
}
`

// port finds the ports that a document speaks of. A test gives it free ones.
var port = regexp.MustCompile(`\b77\d\d\b`)

// run runs the commands of a section by one shell in dir, and compares what they print.
func (s section) run(t *testing.T, dir string, ports map[string]string) {
	t.Helper()
	out := t.TempDir()
	var script strings.Builder
	script.WriteString(prelude)
	for i, c := range s.commands {
		fmt.Fprintf(&script, "{\n%s\n} >'%s/%d' 2>'%[2]s/%[3]d.err' </dev/null || echo \"exit status $?\" >>'%[2]s/%[3]d.err'\n", c.text, out, i)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", port.ReplaceAllStringFunc(script.String(), func(p string) string { return ports[p] }))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what it leaves behind goes with it
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	if err != nil || said.Len() > 0 {
		t.Errorf("%s: %v\n%s", s.title, err, &said)
	}
	for i, c := range s.commands {
		c.out, c.trace = read(t, filepath.Join(out, strconv.Itoa(i))), read(t, filepath.Join(out, strconv.Itoa(i)+".err"))
		if why := c.check(); why != "" {
			t.Errorf("line %d: %s: %s\nprinted:\n%s%s", c.line, c.text, why, c.out, c.trace)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// traced finds the lines of the trace.
var traced = regexp.MustCompile(`(?m)^@(\d+) (\S+) (?:http://)?[^/\s]+(/[^?\s]*)\S*$`)

// check says what is wrong with what a command did. A reply that tells of a failure is one unless
// the document shows its status.
func (c *command) check() string {
	wanted := strings.Join(c.wants, "\n")
	if strings.Contains(c.trace, "exit status") && !strings.Contains(wanted, "exit status") {
		return "it fails"
	}
	for _, call := range traced.FindAllStringSubmatch(c.trace, -1) {
		if call[1] >= "400" && !strings.Contains(wanted, call[1]) {
			return "the reply is " + call[1]
		}
	}
	switch {
	case len(c.wants) == 0:
	case strings.HasPrefix(c.out, "HTTP/"): // curl -i: the document shows some lines
		for _, w := range c.wants {
			if !pattern(`(?m)^`, w, `\s*$`).MatchString(c.out) {
				return "there is no line " + w
			}
		}
	case !pattern(`^\s*`, flat(wanted), `\s*$`).MatchString(flat(c.out + said(c.trace))):
		return "that is not what the document says:\n" + wanted
	}
	return ""
}

// said returns what a command wrote to standard error, without the trace.
func said(trace string) string { return traced.ReplaceAllString(trace, "") }

func pattern(before, text, behind string) *regexp.Regexp {
	return regexp.MustCompile(before + strings.ReplaceAll(regexp.QuoteMeta(text), `\.\.\.`, `.*`) + behind)
}

var breaks = regexp.MustCompile(`\s*\n\s*`)

// flat joins lines: a document breaks long replies.
func flat(text string) string { return breaks.ReplaceAllString(strings.TrimSpace(text), "") }
