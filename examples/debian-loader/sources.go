package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// record is one thing to store: a map.
type record struct {
	key    string
	fields map[string]any // strings are registers, []string are sets
}

// readISO reads the files of iso-codes: each is an object with one list of flat objects.
func readISO(dir string, f func(record) error) error {
	files, err := filepath.Glob(filepath.Join(dir, "iso_*.json"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no iso_*.json in %s: apt-get install iso-codes, or say -iso=", dir)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var lists map[string][]map[string]any
		if err := json.Unmarshal(text, &lists); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for standard, list := range lists {
			for _, fields := range list {
				code := codeOf(fields)
				if code == "" {
					return fmt.Errorf("%s: no code in %v", file, fields)
				}
				if err := f(record{key: "iso" + standard + "/" + code, fields: fields}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// codeOf returns the code that people know a thing by.
func codeOf(fields map[string]any) string {
	for _, name := range []string{"alpha_2", "code", "alpha_4", "alpha_3"} {
		if code, ok := fields[name].(string); ok && (name != "alpha_2" || fields["numeric"] != nil) {
			return code
		}
	}
	return ""
}

// lists are the fields of a package that hold several values with commas between.
var lists = []string{"Depends", "Pre-Depends", "Recommends", "Suggests", "Enhances", "Breaks", "Conflicts", "Replaces", "Provides", "Tag"}

// readPackages reads an index as apt writes it: paragraphs of "Name: value" lines, continued by
// lines that begin with a space.
func readPackages(in io.Reader, f func(record) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	fields, last := map[string]any{}, ""
	end := func() error {
		name, _ := fields["Package"].(string)
		arch, _ := fields["Architecture"].(string)
		if name == "" {
			return nil
		}
		for _, name := range lists {
			if text, ok := fields[name].(string); ok {
				fields[name] = split(text)
			}
		}
		r := record{key: "deb/" + name + ":" + arch, fields: fields}
		fields, last = map[string]any{}, ""
		return f(r)
	}
	for lines.Scan() {
		line := lines.Text()
		switch name, value, ok := strings.Cut(line, ":"); {
		case line == "":
			if err := end(); err != nil {
				return err
			}
		case line[0] == ' ' || line[0] == '\t':
			if old, ok := fields[last].(string); ok {
				fields[last] = old + "\n" + line[1:]
			}
		case ok:
			last = name
			fields[name] = strings.TrimSpace(value)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return end()
}

func split(list string) []string {
	var all []string
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
