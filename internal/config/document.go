package config

import (
	"path/filepath"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/secret"
)

// Document is a YAML file beside the configuration, such as one with tests of rules. It is read as strictly, and all of its
// faults are told at once and in their places.
type Document struct {
	b    *builder
	name string
}

// Section is a part of a Document that is as in the configuration: Document reads it.
type Section struct{ node ast.Node }

// Given reports whether the file has the section.
func (s Section) Given() bool { return s.node != nil }

// Read reads the text of a file into a struct with yaml tags, which holds its defaults. name is what faults call the file,
// first a key that it must have. What is wrong is kept for Err.
func Read(name string, data []byte, first string, into any) *Document {
	rep := newReport(name, data)
	rep.first = first
	resolver := secret.NewResolver(secret.Options{Getenv: func(string) string { return "" }})
	d := &Document{name: name, b: &builder{
		decoder: decoder{report: rep, resolver: resolver, dir: filepath.Dir(name), named: map[string]checks.Secret{}, variables: map[string]bool{}},
		cfg:     &Config{Path: name}, file: defaults(),
	}}
	if d.b.root = rep.syntax(data); d.b.root == nil {
		return d
	}
	d.b.decode(d.b.root, reflect.ValueOf(into).Elem())
	if alerts, ok := keyIn(d.b.root, "alerts"); ok && d.b.err() == nil {
		d.b.decode(alerts, reflect.ValueOf(&d.b.file.Alerts).Elem())
	}
	d.b.settle()
	return d
}

// Alerts are the rules of the file's key `alerts`, which is as in the configuration; the built-in ones where it is not there.
func (d *Document) Alerts() Alerts {
	if d.b.root != nil {
		d.b.alerts()
	}
	return d.b.cfg.Alerts
}

// Add says what is wrong with the value at a dotted path: tests.0.expect.1.at.
func (d *Document) Add(path, hint, format string, args ...any) {
	if d.b.root != nil {
		d.b.add(d.b.at(path), hint, format, args...)
	}
}

// Line is where the value at a path stands; 0 is the file as a whole.
func (d *Document) Line(path string) int {
	if d.b.root == nil {
		return 0
	}
	return d.b.at(path).line
}

// Path makes a path that the file gives one below the file's own folder.
func (d *Document) Path(given string) string {
	if filepath.IsAbs(given) {
		return given
	}
	return filepath.Join(filepath.Dir(d.name), given)
}

// Err is nil, or an *Errors with everything that was found wrong.
func (d *Document) Err() error { return d.b.err() }

// Near is a hint at the word that was perhaps meant; "" where none is near.
func Near(word string, words []string) string { return near(word, words) }

// OneOf lists words for a person: want one of a, b, c.
func OneOf(words []string) string { return strings.TrimSpace(oneOf(words)) }
