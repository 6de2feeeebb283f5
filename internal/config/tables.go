package config

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

const (
	referenceBegin = "<!-- reference: begin; written by go generate ./internal/config -->\n"
	referenceEnd   = "<!-- reference: end -->\n"
)

// WithReference returns the page with the tables of all keys between its marks.
func WithReference(page []byte, reg Registry) ([]byte, error) {
	before, rest, ok := bytes.Cut(page, []byte(referenceBegin))
	_, after, closed := bytes.Cut(rest, []byte(referenceEnd))
	if !ok || !closed {
		return nil, errors.New("the page has no marks for the reference")
	}
	return []byte(string(before) + referenceBegin + tables(reg) + referenceEnd + string(after)), nil
}

func tables(reg Registry) string {
	var b strings.Builder
	table := func(title string, t reflect.Type, preset reflect.Value) {
		fmt.Fprintf(&b, "\n### %s\n\n| key | value | default | meaning |\n|---|---|---|---|\n", title)
		rows(&b, "", t, preset)
	}
	d := defaults()
	table("Top level", reflect.TypeFor[file](), reflect.ValueOf(d))
	table("`providers.NAME`", reflect.TypeFor[provider](), reflect.ValueOf(*presetOf[provider]()))
	table("`plugins.NAME`", reflect.TypeFor[plugin](), reflect.ValueOf(*presetOf[plugin]()))
	table("`checks[]`", reflect.TypeFor[check](), reflect.ValueOf(*presetOf[check]()))
	table("`exporters[]`", reflect.TypeFor[exporter](), reflect.ValueOf(*presetOf[exporter]()))
	table("`alerts.rules[]`", reflect.TypeFor[rule](), reflect.ValueOf(rule{}))
	table("A condition: `when`", reflect.TypeFor[conditionKeys](), reflect.ValueOf(conditionKeys{}))
	table("`maintenance[]`", reflect.TypeFor[maintenance](), reflect.ValueOf(*presetOf[maintenance]()))
	table("A credential", reflect.TypeFor[source](), reflect.ValueOf(source{}))
	for _, group := range []struct {
		title string
		kinds []kindInfo
	}{{"check", checkKinds(reg)}, {"exporter", exporterKinds(reg)}} {
		for _, k := range group.kinds {
			table(fmt.Sprintf("`with:` of the %s kind `%s`", group.title, k.name), reflect.TypeOf(k.defaults), reflect.ValueOf(k.defaults))
		}
	}
	return b.String()
}

// rows writes a row for each key; the keys of a section follow it with its name before theirs.
func rows(b *strings.Builder, prefix string, t reflect.Type, v reflect.Value) {
	for _, f := range fieldsOf(t) {
		sf := t.FieldByIndex(f.index)
		kind := sf.Type
		for kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		value := v.FieldByIndex(f.index)
		fmt.Fprintf(b, "| `%s%s` | %s | %s | %s |\n", prefix, f.name, valueOf(kind, f), defaultText(f, sf, value), cell(sf.Tag.Get("jsonschema_description")))
		if inner, list := sectionOf(kind); inner != nil {
			under := prefix + f.name + "."
			if list {
				under = prefix + f.name + "[]."
			}
			preset := reflect.Zero(inner)
			if value.Type() == inner {
				preset = value
			}
			rows(b, under, inner, preset)
		}
	}
}

func defaultText(f field, sf reflect.StructField, value reflect.Value) string {
	if f.required {
		return "required"
	}
	if d := defaultOf(value); d != nil && value.Kind() != reflect.Struct {
		return fmt.Sprintf("`%v`", d)
	}
	if d := tagOf(sf, "default"); d != "" {
		return "`" + d + "`"
	}
	return ""
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

func tagOf(f reflect.StructField, name string) string {
	for rule := range strings.SplitSeq(f.Tag.Get("jsonschema"), ",") {
		if value, ok := strings.CutPrefix(rule, name+"="); ok {
			return value
		}
	}
	return ""
}

// sectionOf is the struct whose keys stand below one of this type, and whether it is the item of a list; nil for values,
// and for what has a table of its own.
func sectionOf(t reflect.Type) (inner reflect.Type, list bool) {
	if t.Kind() == reflect.Slice {
		t, list = t.Elem(), true
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if ownTable(t) || t.Kind() != reflect.Struct {
		return nil, false
	}
	return t, list
}

func ownTable(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[check](), reflect.TypeFor[exporter](), reflect.TypeFor[rule](), reflect.TypeFor[maintenance]():
		return true
	}
	return mapped(t) != nil
}

// valueOf names what may be written for a type.
func valueOf(t reflect.Type, f field) string {
	if len(f.enum) > 0 {
		return "`" + strings.Join(f.enum, "`, `") + "`"
	}
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.TypeFor[checks.PicoUSD]():
		return "US dollars"
	case reflect.TypeFor[size]():
		return "size"
	case reflect.TypeFor[checks.Secret]():
		return "credential"
	case reflect.TypeFor[section](), reflect.TypeFor[providers](), reflect.TypeFor[plugins]():
		return "section"
	case reflect.TypeFor[condition]():
		return "condition"
	case reflect.TypeFor[window]():
		return "duration, `5 runs`, `3 intervals`"
	case reflect.TypeFor[amount]():
		return "number, duration, percentage"
	case reflect.TypeFor[matchers]():
		return "mapping to text, or to a list of text"
	}
	switch t.Kind() { //nolint:exhaustive // all others are sections
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true, false"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Slice:
		return "list of " + plural(valueOf(t.Elem(), field{}))
	case reflect.Map:
		return "mapping to " + valueOf(t.Elem(), field{})
	case reflect.Interface:
		return "anything"
	case reflect.Struct:
		return "section"
	}
	return "whole number"
}

func plural(word string) string {
	if word == "text" || strings.HasSuffix(word, "s") {
		return word
	}
	return word + "s"
}
