// Package scaffold writes the project of a new plugin: a small kind that is of use, its tests, and what builds, tests and
// proves it. It writes into an empty folder or not at all, runs nothing and asks no network.
package scaffold

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/windsock-monitor/windsock/plugins/sdk/python"
)

// The languages and the types of kind.
const (
	Go       = "go"
	Python   = "python"
	Check    = "check"
	Exporter = "exporter"
)

// Options says what is written.
type Options struct {
	Lang string // Go or Python
	Kind string // Check or Exporter
	Name string // of the plugin: the part of a kind before the slash; "" is the folder's
	// Version is the agent's, as v1.2.3, which a project in Go asks for. Of any other form: the newest, when it is built.
	Version string
	// Replace is a folder with the agent's sources that a project in Go builds with instead; "" is the published module.
	Replace string
}

//go:embed templates
var templates embed.FS

// The names of a plugin and of a release.
const (
	nameForm    = `^[a-z][a-z0-9_-]{0,63}$`
	releaseForm = `^v[0-9]+\.[0-9]+\.[0-9]+$`
)

// Write writes the project into dir, which is made where it is not there. One that holds something is refused. Errors say
// what to do, for the person who typed the options.
func Write(dir string, o Options) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("the folder: %w", err)
	}
	if o.Name == "" {
		o.Name = filepath.Base(dir)
	}
	if err := o.check(); err != nil {
		return err
	}
	if err := empty(dir); err != nil {
		return err
	}
	files, err := o.files()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := write(filepath.Join(dir, filepath.FromSlash(name)), files[name]); err != nil {
			return err
		}
	}
	return nil
}

func (o Options) check() error {
	if !slices.Contains([]string{Go, Python}, o.Lang) {
		return fmt.Errorf("language %q, want %s or %s; docs/plugins/node.md has an example in JavaScript", o.Lang, Go, Python)
	}
	if !slices.Contains([]string{Check, Exporter}, o.Kind) {
		return fmt.Errorf("kind %q, want %s or %s", o.Kind, Check, Exporter)
	}
	if ok, err := regexp.MatchString(nameForm, o.Name); !ok || err != nil {
		return fmt.Errorf("name %q, want lower-case letters, digits, - and _, beginning with a letter, at most 64: give one with --name", o.Name)
	}
	return nil
}

// empty refuses a folder with something in it, and what is no folder.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("the folder: %w", err)
	case len(entries) > 0:
		return fmt.Errorf("the folder %q is not empty: %q is there; name a new one", dir, entries[0].Name())
	}
	return nil
}

// facts are what the templates know.
type facts struct {
	Lang, Kind, Name string
	KindName         string
	Module           string
	GoVersion        string
	Require, Replace string
}

func (o Options) facts() (facts, error) {
	f := facts{Lang: o.Lang, Kind: o.Kind, Name: o.Name, KindName: "url", Module: "example.com/" + o.Name, GoVersion: "1.26"}
	if o.Kind == Exporter {
		f.KindName = "ndjson"
	}
	if ok, err := regexp.MatchString(releaseForm, o.Version); ok && err == nil {
		f.Require = o.Version
	}
	if o.Replace == "" {
		return f, nil
	}
	sources, err := filepath.Abs(o.Replace)
	if err != nil {
		return f, fmt.Errorf("the folder of the sources: %w", err)
	}
	if _, err := os.Stat(filepath.Join(sources, "plugins", "sdk")); err != nil {
		return f, fmt.Errorf("the folder %q does not hold the sources of Windsock: %w", sources, err)
	}
	f.Require, f.Replace = "v0.0.0", sources
	if strings.ContainsAny(sources, " \t\"'`") {
		f.Replace = fmt.Sprintf("%q", sources)
	}
	return f, nil
}

// files are the contents by their names in the project.
func (o Options) files() (map[string][]byte, error) {
	f, err := o.facts()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, folder := range []string{"all", o.Lang, o.Lang + "-" + o.Kind} {
		entries, err := templates.ReadDir("templates/" + folder)
		if err != nil {
			return nil, fmt.Errorf("the templates: %w", err)
		}
		for _, e := range entries {
			text, err := render(path.Join("templates", folder, e.Name()), f)
			if err != nil {
				return nil, err
			}
			files[place(strings.TrimSuffix(e.Name(), ".tmpl"))] = text
		}
	}
	if o.Lang == Python {
		files["windsock_plugin.py"], files["api.binpb"] = python.Library, python.API
	}
	return files, nil
}

// place is where a file stands whose name would mean something among the templates too.
func place(name string) string {
	switch name {
	case "gitignore":
		return ".gitignore"
	case "main.py":
		return "__main__.py"
	case "ci.yml":
		return ".github/workflows/ci.yml"
	}
	return name
}

// render fills a template. Its marks are [[ and ]]: two braces are the marks of the conformance's file.
func render(name string, f facts) ([]byte, error) {
	text, err := templates.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("the template %q: %w", name, err)
	}
	t, err := template.New(name).Delims("[[", "]]").Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("the template %q: %w", name, err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, f); err != nil {
		return nil, fmt.Errorf("the template %q: %w", name, err)
	}
	return out.Bytes(), nil
}

// write makes a file that is not there yet.
func write(name string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // a project of its author's, as git makes it
		return fmt.Errorf("making the project: %w", err)
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // likewise
	if err != nil {
		return fmt.Errorf("making the project: %w", err)
	}
	if _, err := file.Write(text); err != nil {
		return errors.Join(fmt.Errorf("making the project: %w", err), file.Close())
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("making the project: %w", err)
	}
	return nil
}
