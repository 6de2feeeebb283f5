package config

import (
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/secret"
)

// source is one place of a credential, as it is written.
type source struct {
	Credential string        `yaml:"credential" jsonschema_description:"Name of a systemd credential, below $CREDENTIALS_DIRECTORY."`
	File       string        `yaml:"file" jsonschema_description:"File that only the agent and root can write and read. It is read again when it changes."`
	Env        string        `yaml:"env" jsonschema_description:"Name of an environment variable. Every program of the same user can read it."`
	Command    []string      `yaml:"command" jsonschema_description:"Program with its arguments; the program is an absolute path, there is no shell."`
	Variables  []string      `yaml:"variables" jsonschema_description:"Of a command: what it finds in its environment beside PATH, LANG and HOME. NAME takes the agent's own, NAME=value gives it; never a credential."`
	Refresh    time.Duration `yaml:"refresh" jsonschema_description:"Of a command: how long its answer is used before it is asked again; where it fails then, the answer of before is used on. Absent: until the target refuses it, or a reload."`
	Secret     string        `yaml:"secret" jsonschema_description:"Name of an entry of secrets."`
}

const onlyByReference = "credentials are given only by reference: {credential: …}, {file: …}, {env: …} or {command: […]}"

// secret reads a reference, or a list of which the first present wins.
func (d *decoder) secret(n ast.Node, into *checks.Secret) {
	var items []ast.Node
	switch v := n.(type) {
	case *ast.SequenceNode:
		items = v.Values
	case *ast.MappingNode, *ast.MappingValueNode:
		items = []ast.Node{n}
	default:
		d.addSecret(placeOf(n))
		return
	}
	if len(items) == 0 {
		d.wrong(n, "at least one source")
		return
	}
	var refs []secret.Ref
	for _, item := range items {
		ref, named, ok := d.source(item)
		switch {
		case !ok:
		case named != "":
			if len(items) > 1 {
				d.add(placeOf(item), "", "{secret: …} stands for all its sources, want it alone")
			}
			*into = d.named[named]
			return
		default:
			refs = append(refs, ref)
		}
	}
	if len(refs) < len(items) {
		return // reported
	}
	made, err := d.resolver.Secret(refs...)
	if err != nil {
		d.add(placeOf(n), "", "%v", err)
		return
	}
	*into = made
	if len(refs) == 1 && refs[0].Env != "" {
		d.warn(placeOf(n), "an environment variable can be read by every program of the same user; prefer {credential: …} or {file: …}, with env as the last of the list")
	}
}

// source reads one item: a reference, or the name of an entry of `secrets`.
func (d *decoder) source(n ast.Node) (ref secret.Ref, named string, ok bool) {
	m, isMapping := asMapping(n)
	if !isMapping {
		if _, list := n.(*ast.SequenceNode); list {
			d.wrong(n, "one source, not a list within a list")
		} else {
			d.addSecret(placeOf(n))
		}
		return ref, "", false
	}
	before := len(d.problems)
	var s source
	d.structure(m, reflect.ValueOf(&s).Elem())
	if len(d.problems) > before {
		return ref, "", false
	}
	if found := countSources(m); found != 1 {
		d.add(placeOf(n), "write a list of sources, of which the first present wins", "found %d sources, want one", found)
		return ref, "", false
	}
	if s.Secret != "" {
		if len(m.Values) > 1 {
			d.add(placeOf(n), "", "variables and refresh are of a command only")
			return ref, "", false
		}
		if _, known := d.named[s.Secret]; !known {
			d.add(locate(m, "secret", placeOf(n)), near(s.Secret, sortedKeys(d.named)), "no entry %s in `secrets`", quote(s.Secret))
			return ref, "", false
		}
		return ref, s.Secret, true
	}
	ref, ok = d.ref(n, m, s)
	return ref, "", ok
}

// countSources is how many keys name a place; the others say how a command is asked.
func countSources(m *ast.MappingNode) (n int) {
	for _, v := range m.Values {
		if key := v.Key.GetToken().Value; key != "variables" && key != "refresh" {
			n++
		}
	}
	return n
}

// ref makes the reference of a source that names no other.
func (d *decoder) ref(n ast.Node, m *ast.MappingNode, s source) (ref secret.Ref, ok bool) {
	for key, name := range map[string]string{"credential": s.Credential, "env": s.Env} {
		if maskWords(name) != name && strings.ToUpper(name) != name {
			d.addSecret(locate(m, key, placeOf(n))) // a name is shown in errors: it must be one
			return ref, false
		}
	}
	if s.File != "" && !filepath.IsAbs(s.File) {
		s.File = filepath.Join(d.dir, s.File)
	}
	for _, v := range s.Variables {
		if name, _, given := strings.Cut(v, "="); given && credentialName(name) && !strings.HasSuffix(name, "_FILE") && !strings.HasSuffix(name, "_PATH") {
			d.addSecret(locate(m, "variables", placeOf(n)))
			return ref, false
		}
	}
	ref = secret.Ref{
		Credential: s.Credential, File: s.File, Env: s.Env, Command: s.Command, Variables: s.Variables, Refresh: s.Refresh,
	}
	if err := ref.Check(); err != nil {
		d.add(placeOf(n), "", "%v", err)
		return ref, false
	}
	if s.Env != "" && !d.variables[s.Env] { // known when a section is read again, perhaps by several
		d.variables[s.Env] = true
	}
	return ref, true
}
