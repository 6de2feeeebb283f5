package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

const maintainer = "Windsock maintainers <maintainers@windsock.invalid>"

// texts writes the changelog, for Debian and for readers, and Debian's copyright file.
func (r *release) texts(shared string) error {
	changes, err := r.changes()
	if err != nil {
		return err
	}
	var debian, plain bytes.Buffer
	fmt.Fprintf(&debian, "windsock (%s) unstable; urgency=medium\n\n", r.packaged())
	fmt.Fprintf(&plain, "# Windsock %s, %s\n\n", r.version, r.date.Format("2006-01-02"))
	for _, change := range changes {
		fmt.Fprintf(&debian, "  * %s\n", strings.ReplaceAll(change, "\n", "\n    "))
		fmt.Fprintf(&plain, "* %s\n", strings.ReplaceAll(change, "\n", "\n  "))
	}
	fmt.Fprintf(&debian, "\n -- %s  %s\n", maintainer, r.date.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	if err := r.zipped(filepath.Join(shared, "changelog.gz"), debian.Bytes()); err != nil {
		return err
	}
	if err := write(filepath.Join(shared, "CHANGELOG.md"), plain.Bytes(), 0o644, r.date); err != nil {
		return err
	}
	return write(filepath.Join(shared, "copyright"), []byte(copyright), 0o644, r.date)
}

// changes are the entries of changelog/: those of this version, and what is not released yet; the last first.
func (r *release) changes() ([]string, error) {
	var changes []string
	for _, folder := range []string{r.version, "unreleased"} {
		files, err := filepath.Glob(filepath.Join(r.root, "changelog", folder, "*.md"))
		if err != nil {
			return nil, err
		}
		slices.Sort(files)
		slices.Reverse(files)
		for _, file := range files {
			text, err := os.ReadFile(file) //nolint:gosec // files of the checkout
			if err != nil {
				return nil, err
			}
			changes = append(changes, wrapped(string(text), 74))
		}
	}
	if len(changes) == 0 {
		changes = []string{"No entry in changelog/."}
	}
	return changes, nil
}

// wrapped breaks a text into lines of at most width bytes, where its words allow.
func wrapped(text string, width int) string {
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case column == 0:
		case column+1+len(word) > width:
			b.WriteString("\n")
			column = 0
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}

// thirdParties gathers the licences of all that is linked into the agent, the standard library included.
func (r *release) thirdParties(ctx context.Context, to, arch string) error {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}\t{{.Dir}}{{end}}{{end}}", "./cmd/agent")
	cmd.Dir = r.root
	cmd.Env = append(slices.Clone(r.environ), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=")
	listed, err := output(cmd)
	if err != nil {
		return err
	}
	modules := strings.Split(strings.TrimSpace(string(listed)), "\n")
	slices.Sort(modules)
	modules = slices.Compact(modules)
	cmd = exec.CommandContext(ctx, "go", "env", "GOROOT")
	cmd.Dir, cmd.Env = r.root, r.environ
	goroot, err := output(cmd)
	if err != nil {
		return err
	}
	modules = append(modules, "The Go standard library "+runtime.Version()+"\t"+strings.TrimSpace(string(goroot)))
	var text bytes.Buffer
	text.WriteString("The agent contains these modules, under these terms.\n")
	for _, module := range modules {
		name, folder, _ := strings.Cut(module, "\t")
		if err := licences(&text, name, folder); err != nil {
			return err
		}
	}
	return r.zipped(to, text.Bytes())
}

// licences adds the files of one module that tell its terms. A module without any is an error: who releases has to look.
func licences(text *bytes.Buffer, name, folder string) error {
	terms := regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|unlicense)([.-].*)?$`)
	files, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	found := false
	for _, file := range files {
		if !terms.MatchString(file.Name()) || file.IsDir() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(folder, file.Name())) //nolint:gosec // the module cache
		if err != nil {
			return err
		}
		found = true
		fmt.Fprintf(text, "\n%s\n%s: %s\n\n%s\n", strings.Repeat("=", 78), name, file.Name(), bytes.TrimSpace(data))
	}
	if !found {
		return fmt.Errorf("no licence in %s (%s)", name, folder)
	}
	return nil
}

const copyright = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Windsock
Source: https://github.com/windsock-monitor/windsock
Comment: The agent is linked with modules of others; their terms are in
 /usr/share/doc/windsock/third-party-licenses.gz, and which they are is in the
 bill of materials that is released beside this package.

Files: *
Copyright: 2026 The Windsock authors
License: Apache-2.0
 Licensed under the Apache License, Version 2.0 (the "License"); you may not use
 this work except in compliance with the License. Unless required by applicable
 law or agreed to in writing, it is distributed on an "AS IS" BASIS, WITHOUT
 WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License
 for the specific language governing permissions and limitations under it.
 .
 On Debian systems the full text of the License is in
 /usr/share/common-licenses/Apache-2.0.
`
