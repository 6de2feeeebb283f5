// Package params tells what a params struct takes: its keys, the JSON Schema of them, and how times are written. The agent's
// configuration and the SDK for plugins read parameters by it, so that a kind takes the same ones in both. It decodes
// nothing.
package params

import (
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DurationPattern is the form of a time, in the syntax of JSON Schema.
const DurationPattern = `^([0-9]+d)?([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^[0-9]+d$`

// MostDollars is the most that a parameter of money may be; more is a slip of the hand.
const MostDollars = 100_000

// OwnForm is a kind's own form of a value: decode reads the value into what the type likes. A list of texts that has one may
// also be a single text.
type OwnForm interface {
	UnmarshalYAML(decode func(any) error) error
}

// Field is one key of a struct.
type Field struct {
	Name     string
	Index    []int // for reflect's FieldByIndex
	Enum     []string
	Required bool
}

// Fields lists the keys of a struct by its yaml tags; the jsonschema tag, which makes the schema, holds the rules here too, so
// that the two cannot differ.
func Fields(t reflect.Type) []Field {
	var out []Field
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported() || name == "-":
			continue
		case strings.Contains(options, "inline"):
			for _, inner := range Fields(f.Type) {
				inner.Index = append(slices.Clone(f.Index), inner.Index...)
				out = append(out, inner)
			}
			continue
		case name == "":
			name = strings.ToLower(f.Name)
		}
		row := Field{Name: name, Index: f.Index}
		for rule := range strings.SplitSeq(f.Tag.Get("jsonschema"), ",") {
			if rule == "required" {
				row.Required = true
			}
			if word, ok := strings.CutPrefix(rule, "enum="); ok {
				row.Enum = append(row.Enum, word)
			}
		}
		out = append(out, row)
	}
	return out
}

// ParseDuration reads Go's form, and whole days before it: "7d", "1d12h".
func ParseDuration(text string) (time.Duration, error) {
	days, rest, found := strings.Cut(text, "d")
	if !found {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return 0, errors.New("not a duration")
	}
	total := time.Duration(n) * 24 * time.Hour
	if rest == "" {
		return total, nil
	}
	more, err := time.ParseDuration(rest)
	if err != nil || more < 0 || total+more < total {
		return 0, errors.New("not a duration")
	}
	return total + more, nil
}

// FormatDuration is the shortest form that ParseDuration reads: "10m", where Go says "10m0s".
func FormatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
