package config

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// Sample is a file of all settings with their defaults, explained.
//
//go:embed anabranch.sample.yaml
var Sample []byte

// Load reads the settings: flags (made by AddFlags) win over the variables in environ, those over
// the file that --config or ANABRANCH_CONFIG names, and that over the defaults. A list replaces
// the list of the lower source. The error names all problems, one a line, those that Validate
// finds included.
func Load(flags *pflag.FlagSet, environ []string) (Config, error) {
	env, problems := readEnv(environ)
	path := env[envConfig]
	if f := flags.Lookup("config"); f != nil && f.Changed {
		path = f.Value.String()
	}
	v := viper.New()
	if path != "" {
		problems = append(problems, readFile(v, path)...)
	}
	over := map[string]any{}
	for _, s := range settings {
		if value, ok := env[s.env()]; ok {
			over[s.name] = value
		}
		if f := flags.Lookup(s.name); f != nil && f.Changed {
			if err := v.BindPFlag(s.name, f); err != nil {
				problems = append(problems, err)
			}
		}
	}
	if err := v.MergeConfigMap(over); err != nil {
		problems = append(problems, err)
	}
	c := Default()
	for _, s := range settings {
		if value := v.Get(s.name); value != nil {
			if err := assign(s.field(&c), value); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", s.name, err))
			}
		}
	}
	if c.DataDir == "" {
		c.DataDir = DefaultDataDir()
	}
	if abs, err := filepath.Abs(c.DataDir); err == nil && c.DataDir != "" {
		c.DataDir = abs // what is said about it is understood everywhere
	}
	c.ClusterKey = Secret(env[envClusterKey])
	problems = append(problems, c.problems()...)
	return c, errors.Join(problems...)
}

// kubernetesEnv matches what Kubernetes sets in every pod beside a service called "anabranch".
var kubernetesEnv = regexp.MustCompile(`^ANABRANCH_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// readEnv returns our variables that are set to something. An empty variable is one that is not
// set: that is how compose files write it.
func readEnv(environ []string) (map[string]string, []error) {
	env := map[string]string{}
	var problems []error
	known := envNames()
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		switch {
		case !strings.HasPrefix(name, envPrefix) || kubernetesEnv.MatchString(name):
		case !slices.Contains(known, name):
			problems = append(problems, fmt.Errorf("unknown variable %s in the environment%s", name, didYouMean(name, known)))
		case value != "":
			env[name] = value
		}
	}
	return env, problems
}

func readFile(v *viper.Viper, path string) []error {
	text, err := os.ReadFile(path)
	if err != nil {
		return []error{fmt.Errorf("cannot read the settings: %w", err)}
	}
	v.SetConfigType("yaml")
	if err := v.ReadConfig(bytes.NewReader(text)); err != nil {
		return []error{fmt.Errorf("%s is not the YAML that it should be: %s", path, oneLine(err))}
	}
	var problems []error
	known := settingNames()
	for _, key := range slices.Sorted(maps.Keys(v.AllSettings())) {
		if !slices.Contains(known, key) {
			problems = append(problems, fmt.Errorf("%s: unknown setting %q%s", path, key, didYouMean(key, known)))
		}
	}
	return problems
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// assign stores what viper found in field.
func assign(field, value any) error {
	switch p := field.(type) {
	case *string:
		s, ok := value.(string)
		if !ok {
			return fmt.Errorf("%v is not text: put it in quotes", value)
		}
		*p = s
	case *[]string:
		list, err := toList(value)
		if err != nil {
			return err
		}
		*p = list
	case *bool:
		switch b := value.(type) {
		case bool:
			*p = b
		case string:
			parsed, err := strconv.ParseBool(b)
			if err != nil {
				return fmt.Errorf("%q is neither true nor false", b)
			}
			*p = parsed
		default:
			return fmt.Errorf("%v is neither true nor false", value)
		}
	}
	return nil
}

// toList takes a list of a file or a flag, or a text with commas, as the environment has it.
func toList(value any) ([]string, error) {
	var list []string
	switch value := value.(type) {
	case string:
		list = strings.Split(value, ",")
	case []string:
		list = slices.Clone(value)
	case []any:
		for _, item := range value {
			s, ok := item.(string)
			if !ok {
				return nil, fmt.Errorf("%v is not text: put it in quotes", item)
			}
			list = append(list, s)
		}
	default:
		return nil, fmt.Errorf("%v is not a list", value)
	}
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return slices.DeleteFunc(list, func(s string) bool { return s == "" }), nil
}
