package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// typedChild is what stands at a field with one type.
type typedChild struct {
	Type    string
	Value   json.RawMessage
	Values  []json.RawMessage
	Members []string
	Items   []struct{ Value json.RawMessage }
	Size    uint64
}

// values are what a line each is printed for.
func (t typedChild) values() ([]string, error) {
	switch {
	case t.Type == "map":
		return []string{"{...}"}, nil
	case t.Type == "set" && t.Members == nil:
		return []string{fmt.Sprintf("%d members", t.Size)}, nil
	case t.Type == "set":
		b, err := encode(t.Members)
		return []string{strings.TrimSpace(string(b))}, err
	case t.Type == "list" && t.Items == nil:
		return []string{fmt.Sprintf("%d items", t.Size)}, nil
	case t.Type == "list":
		all := make([]json.RawMessage, len(t.Items))
		for i, item := range t.Items {
			all[i] = item.Value
		}
		b, err := encode(all)
		return []string{strings.TrimSpace(string(b))}, err
	case t.Type == "counter" || t.Type == "flag":
		return []string{number(t.Value)}, nil
	case len(t.Values) == 0:
		return []string{string(t.Value)}, nil
	}
	var all []string
	for _, v := range t.Values {
		all = append(all, string(v))
	}
	return all, nil
}

// showTyped prints the typed shape and returns the cursor of the next page.
func (c *cli) showTyped(body []byte) (next string, err error) {
	var reply struct {
		Fields []struct {
			Path []string
			typedChild
			Conflict bool
			Others   []typedChild
		}
		Next string
	}
	if err := decode(body, &reply); err != nil {
		return "", err
	}
	for _, f := range reply.Fields {
		path, mark := fieldPath(f.Path), ""
		if f.Conflict {
			mark = "\tconflict"
		}
		for _, child := range append([]typedChild{f.typedChild}, f.Others...) {
			values, err := child.values()
			if err != nil {
				return "", err
			}
			for _, v := range values {
				if err := c.println(path + "\t" + child.Type + "\t" + v + mark); err != nil {
					return "", err
				}
			}
		}
	}
	return reply.Next, nil
}

// fieldPath makes a path of fields fit on one line, as arguments of a command would.
func fieldPath(fields []string) string {
	words := make([]string, len(fields))
	for i, name := range fields {
		if words[i] = line(name); words[i] == name && strings.Contains(name, " ") {
			words[i] = strconv.Quote(name)
		}
	}
	return strings.Join(words, " ")
}
