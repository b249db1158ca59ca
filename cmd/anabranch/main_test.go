package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"anabranch": main})
}

// TestScripts runs the real program, as testdata/script/*.txt say.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":     exits,
			"itemid":    itemid,
			"occupy":    occupy,
			"terminate": terminate,
		},
		Condition: func(cond string) (bool, error) {
			return cond == "root" && os.Getuid() == 0, nil
		},
	})
}

// exits runs a command that ends with the exit code given: exits CODE COMMAND ARG...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARG...")
	}
	code := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		code = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
}

// itemid puts the id of the item with a value, in what "list ls" has just printed, into a variable:
// itemid NAME VALUE
func itemid(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: itemid NAME VALUE")
	}
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if id, value, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok && value == args[1] {
			ts.Setenv(args[0], id)
			return
		}
	}
	ts.Fatalf("no item %s", args[1])
}

// occupy listens on a free TCP port on loopback until the script ends, and puts the port into a
// variable: occupy NAME
func occupy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: occupy NAME")
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = ln.Close() })
	_, port, err := net.SplitHostPort(ln.Addr().String())
	ts.Check(err)
	ts.Setenv(args[0], port)
}

// terminate sends SIGTERM to all commands in the background.
func terminate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: terminate")
	}
	for _, cmd := range ts.BackgroundCmds() {
		if err := cmd.Process.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
			ts.Check(err)
		}
	}
}

// TestHelpTeachesByExample: every command has examples, and each of them is a call of it that its
// own parser takes.
func TestHelpTeachesByExample(t *testing.T) {
	walk((&cli{}).root(), func(cmd *cobra.Command) {
		if !cmd.Runnable() || cmd.HasSubCommands() || slices.Contains([]string{"help", "completion"}, cmd.Name()) {
			return
		}
		examples := 0
		for line := range strings.Lines(cmd.Example) {
			for _, call := range strings.Split(line, "&&") {
				if args := words(call); slices.Contains(args, "anabranch") {
					examples++
					checkExample(t, cmd, args[slices.Index(args, "anabranch")+1:])
				}
			}
		}
		if examples == 0 {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		if cmd.Short == "" {
			t.Errorf("%s has no description", cmd.CommandPath())
		}
	})
}

// TestHelpHasTheFlagsThatAreTaken: the flags for what is asked of a daemon are in the help of the commands that ask,
// and of no other.
func TestHelpHasTheFlagsThatAreTaken(t *testing.T) {
	var local []string
	walk((&cli{}).root(), func(cmd *cobra.Command) {
		var out bytes.Buffer
		path := strings.Fields(cmd.CommandPath())[1:]
		root := (&cli{}).root()
		root.SetOut(&out)
		root.SetArgs(append(path, "--help"))
		if err := root.Execute(); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if !strings.Contains(out.String(), "--if-match") {
			local = append(local, strings.Join(path, " "))
		}
	})
	slices.Sort(local)
	want := []string{"config", "config check", "config sample", "demo", "exit-codes", "key", "key new", "serve", "version"}
	if !slices.Equal(local, want) {
		t.Errorf("no --if-match in the help of %q, want %q", local, want)
	}
}

func walk(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, sub := range cmd.Commands() {
		walk(sub, f)
	}
}

func checkExample(t *testing.T, cmd *cobra.Command, args []string) {
	t.Helper()
	root := (&cli{}).root()
	found, rest, err := root.Find(args)
	if err != nil || found.CommandPath() != cmd.CommandPath() {
		t.Errorf("%s: the example %q is a call of %q, %v", cmd.CommandPath(), args, found.CommandPath(), err)
		return
	}
	err = found.ParseFlags(rest)
	if err == nil {
		err = found.ValidateArgs(found.Flags().Args())
	}
	if err != nil {
		t.Errorf("%s: the example %q: %v", cmd.CommandPath(), args, err)
	}
}

// words splits a line of an example as a shell would, as far as the examples need it.
func words(line string) []string {
	var (
		out   []string
		word  strings.Builder
		quote rune
	)
	end := func() {
		if word.Len() > 0 {
			out = append(out, word.String())
			word.Reset()
		}
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote = r
		case quote == 0 && strings.ContainsRune(" \n()>|", r):
			if r == '>' { // what follows is a file
				end()
				return out
			}
			end()
		default:
			word.WriteRune(r)
		}
	}
	end()
	return out
}
