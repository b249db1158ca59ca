package config

import (
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Default ports. The libp2p port is the same for TCP and QUIC.
const (
	DefaultHTTP      = "127.0.0.1:7700"
	DefaultSyncPort  = 7701
	DefaultLogLevel  = "info"
	DefaultLogFormat = "text"
)

// Secret is a string that is never printed.
type Secret string

func (Secret) String() string { return "(secret)" }

// LogValue keeps the secret out of logs.
func (Secret) LogValue() slog.Value { return slog.StringValue("(secret)") }

// Config is what a daemon is told. The zero value is not valid; start from Default.
type Config struct {
	DataDir        string   // made when absent; Load makes the path absolute
	HTTP           string   // HOST:PORT or unix:PATH
	HTTPHosts      []string // more names that a Host header may have
	Listen         []string // multiaddrs
	Announce       []string // multiaddrs told to peers in place of Listen; empty: what is listened on
	Peers          []string // multiaddrs; /p2p/PEER-ID at the end is optional
	MDNS           bool
	ClusterKeyFile string // empty: cluster.key in DataDir
	ClusterKey     Secret // in place of the file; only from the environment
	Namespaces     []string
	AcceptLoss     []string // namespaces that wait for a join after damage and shall answer without
	LogLevel       string   // debug, info, warn, error
	LogFormat      string   // text, json
}

// Default returns the settings of a daemon that was told nothing.
func Default() Config {
	return Config{
		DataDir: DefaultDataDir(),
		HTTP:    DefaultHTTP,
		Listen: []string{
			"/ip4/0.0.0.0/tcp/7701",
			"/ip4/0.0.0.0/udp/7701/quic-v1",
			"/ip6/::/tcp/7701",
			"/ip6/::/udp/7701/quic-v1",
		},
		MDNS:      true,
		LogLevel:  DefaultLogLevel,
		LogFormat: DefaultLogFormat,
	}
}

// DefaultDataDir returns the platform's usual folder for the data of this user, or
// /var/lib/anabranch for root without a home. It is empty when there is no such place.
func DefaultDataDir() string { return dataDir(runtime.GOOS, os.Getuid(), os.Getenv) }

func dataDir(goos string, uid int, getenv func(string) string) string {
	home := getenv("HOME")
	switch {
	case goos == "windows":
		if local := getenv("LOCALAPPDATA"); local != "" {
			return filepath.Join(local, "anabranch")
		}
		return ""
	case goos == "darwin" && home != "":
		return filepath.Join(home, "Library", "Application Support", "anabranch")
	case filepath.IsAbs(getenv("XDG_DATA_HOME")):
		return filepath.Join(getenv("XDG_DATA_HOME"), "anabranch")
	case home != "":
		return filepath.Join(home, ".local", "share", "anabranch")
	case uid == 0:
		return "/var/lib/anabranch"
	}
	return ""
}

// KeyFile is the file of the cluster key.
func (c Config) KeyFile() string {
	if c.ClusterKeyFile != "" {
		return c.ClusterKeyFile
	}
	return filepath.Join(c.DataDir, "cluster.key")
}

// UnixSocket returns the path of the unix socket that HTTP names.
func (c Config) UnixSocket() (path string, ok bool) { return strings.CutPrefix(c.HTTP, "unix:") }

// Level is LogLevel as slog has it, Info when it is none.
func (c Config) Level() slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return slog.LevelInfo
	}
	return l
}
