package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// setting is one line of the table that flags, environment and file are read by.
type setting struct {
	name  string            // in the file and as a flag
	usage string            // with the name of the flag's value in back quotes, as pflag has it
	field func(*Config) any // a *string, *[]string or *bool in c
}

var settings = []setting{
	{"data-dir", "the `directory` that the data lives in", func(c *Config) any { return &c.DataDir }},
	{"http", "the `address` of the HTTP API, HOST:PORT or unix:PATH", func(c *Config) any { return &c.HTTP }},
	{"http-host", "one more `name` that a request may have as its host; repeatable", func(c *Config) any { return &c.HTTPHosts }},
	{"listen", "a `multiaddr` where other daemons reach this one, in place of the defaults; repeatable", func(c *Config) any { return &c.Listen }},
	{"announce", "a `multiaddr` that other daemons are told in place of those listened on; repeatable", func(c *Config) any { return &c.Announce }},
	{"peer", "the `multiaddr` of a daemon to keep a connection to; repeatable", func(c *Config) any { return &c.Peers }},
	{"mdns", "find daemons of the same cluster on the local network", func(c *Config) any { return &c.MDNS }},
	{"cluster-key-file", "the `file` of the key that all daemons of a cluster share (default cluster.key in the data directory, made at the first start)", func(c *Config) any { return &c.ClusterKeyFile }},
	{"namespace", "the `name` of a namespace to create at the start; repeatable", func(c *Config) any { return &c.Namespaces }},
	{"accept-loss", "the `name` of a namespace that was damaged, waits for a daemon to join, and shall answer without: what only its damaged copy held is given up; repeatable", func(c *Config) any { return &c.AcceptLoss }},
	{"log-level", "the least `level` to log: debug, info, warn or error", func(c *Config) any { return &c.LogLevel }},
	{"log-format", "the `format` of the log: text or json", func(c *Config) any { return &c.LogFormat }},
}

// envPrefix begins the names of all variables; a name that begins so and is not known is refused.
const envPrefix = "ANABRANCH_"

const (
	envConfig     = "ANABRANCH_CONFIG"
	envClusterKey = "ANABRANCH_CLUSTER_KEY"
)

// EnvAddr is the one variable that only the client commands read.
const EnvAddr = "ANABRANCH_ADDR"

func (s setting) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// AddFlags adds every setting to fs, and --config.
func AddFlags(fs *pflag.FlagSet) {
	fs.String("config", "", "read settings from this YAML `file`")
	def := Default()
	for _, s := range settings {
		switch p := s.field(&def).(type) {
		case *string:
			fs.String(s.name, *p, s.usage)
		case *[]string:
			fs.StringSlice(s.name, *p, s.usage)
		case *bool:
			fs.Bool(s.name, *p, s.usage)
		}
	}
}

// settingNames returns the keys that a file may hold.
func settingNames() []string {
	names := make([]string, len(settings))
	for i, s := range settings {
		names[i] = s.name
	}
	return names
}

func envNames() []string {
	names := []string{envConfig, envClusterKey, EnvAddr}
	for _, s := range settings {
		names = append(names, s.env())
	}
	return names
}

// didYouMean returns a hint at the known name nearest to name, or nothing.
func didYouMean(name string, known []string) string {
	best := slices.MinFunc(known, func(a, b string) int {
		return cmp.Compare(distance(name, a), distance(name, b))
	})
	if distance(name, best) > max(2, len(name)/4) {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// distance is the number of single-byte edits between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
