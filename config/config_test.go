package config

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func load(t *testing.T, file string, environ []string, args ...string) (Config, error) {
	t.Helper()
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	AddFlags(fs)
	if file != "" {
		path := filepath.Join(t.TempDir(), "a.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return Load(fs, environ)
}

func mustLoad(t *testing.T, file string, environ []string, args ...string) Config {
	t.Helper()
	c, err := load(t, file, environ, args...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNothingSaidIsTheDefault(t *testing.T) {
	if got := mustLoad(t, "", nil); !reflect.DeepEqual(got, Default()) {
		t.Errorf("got %+v", got)
	}
}

func TestSampleSaysTheDefaults(t *testing.T) {
	got := mustLoad(t, string(Sample), nil)
	for _, s := range settings {
		want := Default()
		g, w := reflect.ValueOf(s.field(&got)).Elem(), reflect.ValueOf(s.field(&want)).Elem()
		if g.Kind() == reflect.Slice && g.Len() == 0 && w.Len() == 0 {
			continue
		}
		if !reflect.DeepEqual(g.Interface(), w.Interface()) {
			t.Errorf("%s: the sample has %v, the default is %v", s.name, g, w)
		}
		if !bytes.Contains(Sample, []byte("\n"+s.name+":")) {
			t.Errorf("%s is not in the sample", s.name)
		}
	}
}

func TestPrecedence(t *testing.T) {
	file := "http: 127.0.0.1:1\nlisten: [/ip4/127.0.0.1/tcp/1]\nmdns: false\nlog-level: warn\n"
	env := []string{"ANABRANCH_HTTP=127.0.0.1:2", "ANABRANCH_LISTEN=/ip4/127.0.0.1/tcp/2, /ip6/::1/tcp/2", "ANABRANCH_MDNS=true", "ANABRANCH_LOG_FORMAT="}
	flags := []string{"--http", "127.0.0.1:3", "--listen", "/ip4/127.0.0.1/tcp/3", "--listen", "/ip4/127.0.0.1/udp/3/quic-v1", "--mdns=false"}

	c := mustLoad(t, file, nil)
	if c.HTTP != "127.0.0.1:1" || len(c.Listen) != 1 || c.MDNS || c.LogLevel != "warn" || c.LogFormat != "text" {
		t.Errorf("file over defaults: %+v", c)
	}
	c = mustLoad(t, file, env)
	if c.HTTP != "127.0.0.1:2" || !reflect.DeepEqual(c.Listen, []string{"/ip4/127.0.0.1/tcp/2", "/ip6/::1/tcp/2"}) || !c.MDNS || c.LogLevel != "warn" || c.LogFormat != "text" {
		t.Errorf("environment over file: %+v", c)
	}
	c = mustLoad(t, file, env, flags...)
	if c.HTTP != "127.0.0.1:3" || !reflect.DeepEqual(c.Listen, []string{"/ip4/127.0.0.1/tcp/3", "/ip4/127.0.0.1/udp/3/quic-v1"}) || c.MDNS {
		t.Errorf("flags over environment: %+v", c)
	}
}

func TestConfigFileFromTheEnvironment(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"env": "log-level: warn", "flag": "log-level: error"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"ANABRANCH_CONFIG=" + filepath.Join(dir, "env")}
	if c := mustLoad(t, "", env); c.LogLevel != "warn" {
		t.Errorf("got %s", c.LogLevel)
	}
	if c := mustLoad(t, "", env, "--config", filepath.Join(dir, "flag")); c.LogLevel != "error" {
		t.Errorf("got %s", c.LogLevel)
	}
}

// TestProblems: each problem is one line, and all are told at once.
func TestProblems(t *testing.T) {
	const peer = "/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo"
	for name, tc := range map[string]struct {
		file string
		env  []string
		args []string
		want []string
	}{
		"unknown keys": {file: "htpp: 1\npeers: []\nzzzzzz: 1\n", want: []string{
			`unknown setting "htpp"; did you mean http?`, `unknown setting "peers"; did you mean peer?`, `unknown setting "zzzzzz"`}},
		"nested":            {file: "http:\n  address: x\n", want: []string{"http: map[address:x] is not text"}},
		"not yaml":          {file: "{", want: []string{"is not the YAML"}},
		"a key in the file": {file: "cluster-key: x\n", want: []string{`unknown setting "cluster-key"`}},
		"no file":           {args: []string{"--config", "/none/here"}, want: []string{"cannot read the settings: open /none/here"}},
		"unknown variables": {env: []string{"ANABRANCH_DATADIR=x", "ANABRANCH_WHATEVER_ELSE="}, want: []string{
			"unknown variable ANABRANCH_DATADIR in the environment; did you mean ANABRANCH_DATA_DIR?", "unknown variable ANABRANCH_WHATEVER_ELSE"}},
		"types": {file: "log-level: 3\nmdns: perhaps\nlisten: {a: 1}\nnamespace: [1]\n", want: []string{
			"listen: map[a:1] is not a list", `mdns: "perhaps" is neither true nor false`, "namespace: 1 is not text", "log-level: 3 is not text"}},
		"http":      {args: []string{"--http", "7700"}, want: []string{`http: "7700" is not HOST:PORT`}},
		"http port": {args: []string{"--http", "a:70000"}, want: []string{`http: "70000" is not a port`}},
		"socket":    {args: []string{"--http", "unix:"}, want: []string{"http: a unix socket needs a path"}},
		"host":      {args: []string{"--http-host", "http://a:1"}, want: []string{`http-host: "http://a:1" is not the name`}},
		"listen": {args: []string{"--listen", "127.0.0.1:1,/ip4/0.0.0.0/udp/1,/ip4/0.0.0.0/tcp/1/ws,/dns4/a/tcp/1"}, want: []string{
			`"127.0.0.1:1" is not a multiaddr`, `"/ip4/0.0.0.0/udp/1": write`, `"/ip4/0.0.0.0/tcp/1/ws": write`, `"/dns4/a/tcp/1": write`}},
		"no listen": {file: "listen: []", want: []string{"listen: there must be an address"}},
		"announce":  {args: []string{"--announce", "/ip4/1.2.3.4/tcp/1" + peer}, want: []string{"announce: \"/ip4/1.2.3.4/tcp/1" + peer + "\": write /ip4/ADDRESS"}},
		"peer": {args: []string{"--peer", peer, "--peer", "/ip4/1.2.3.4" + peer, "--peer", "/ip4/1.2.3.4/tcp/1/p2p/x"}, want: []string{
			`"` + peer + `": write /ip4/ADDRESS/tcp/PORT`, `"/ip4/1.2.3.4` + peer + `": write /ip4/ADDRESS/tcp/PORT`, "is not a multiaddr"}},
		"two keys":  {env: []string{"ANABRANCH_CLUSTER_KEY=secret"}, args: []string{"--cluster-key-file", "f"}, want: []string{"ANABRANCH_CLUSTER_KEY is set as well"}},
		"namespace": {args: []string{"--namespace", "A", "--namespace", "_x"}, want: []string{`namespace: "A": a name`, `namespace: "_x": a name`}},
		"log":       {args: []string{"--log-level", "loud", "--log-format", "xml"}, want: []string{`log-level: "loud" is not one of debug`, `log-format: "xml" is not one of text`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, tc.file, tc.env, tc.args...)
			if err == nil {
				t.Fatal("no error")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tc.want) {
				t.Errorf("%d problems, want %d:\n%v", len(lines), len(tc.want), err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in\n%v", want, err)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the key is told: %v", err)
			}
		})
	}
}

func TestGoodValues(t *testing.T) {
	const id = "/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo"
	mustLoad(t, "", []string{"ANABRANCH_ADDR=x", "ANABRANCH_CLUSTER_KEY=k"},
		"--http", "unix:/x", "--http-host", "a.example,10.0.0.1,::1", "--announce", "/ip4/192.0.2.1/tcp/1", "--namespace", "a.b-c_1",
		"--peer", "/dns4/a/tcp/1"+id, "--peer", "/ip6/::1/udp/1/quic-v1"+id, "--peer", "/dns/example.org/tcp/7701")
}

func TestKubernetesServiceVariablesAreNotOurs(t *testing.T) {
	mustLoad(t, "", []string{"ANABRANCH_SERVICE_HOST=10.0.0.1", "ANABRANCH_SERVICE_PORT=7700", "ANABRANCH_SERVICE_PORT_HTTP=7700",
		"ANABRANCH_PORT=tcp://10.0.0.1:7700", "ANABRANCH_PORT_7700_TCP=tcp://10.0.0.1:7700", "ANABRANCH_PORT_7700_TCP_ADDR=10.0.0.1"})
}

func TestDataDir(t *testing.T) {
	for _, tc := range []struct {
		goos string
		uid  int
		env  map[string]string
		want string
	}{
		{"linux", 1000, map[string]string{"HOME": "/home/a"}, "/home/a/.local/share/anabranch"},
		{"linux", 1000, map[string]string{"HOME": "/home/a", "XDG_DATA_HOME": "/x"}, "/x/anabranch"},
		{"linux", 1000, map[string]string{"HOME": "/home/a", "XDG_DATA_HOME": "relative"}, "/home/a/.local/share/anabranch"},
		{"linux", 0, nil, "/var/lib/anabranch"},
		{"linux", 65532, nil, ""},
		{"darwin", 501, map[string]string{"HOME": "/Users/a"}, "/Users/a/Library/Application Support/anabranch"},
		{"windows", -1, map[string]string{"LOCALAPPDATA": "/L"}, "/L/anabranch"},
		{"windows", -1, nil, ""},
	} {
		if got := dataDir(tc.goos, tc.uid, func(k string) string { return tc.env[k] }); got != tc.want {
			t.Errorf("%s %d %v: %q, want %q", tc.goos, tc.uid, tc.env, got, tc.want)
		}
	}
}
