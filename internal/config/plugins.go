package config

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
)

// Plugin is one entry of `plugins`, with what plugins.lock says of it.
type Plugin struct {
	Name        string
	Path        string // absolute
	SHA256      string // of its file, as the entry or the lock pins it; "" where neither does
	Manifest    manifest.Manifest
	Env         map[string]string
	Secrets     []string // the names of those that it may be sent
	Read, Write []string // absolute
	Network     string   // "any" or "none"
	Ports       []int    // of TCP that it may connect to; nil: any
	Limits      PluginLimits
	MTLS        bool
	Fault       *Problem // why it cannot be used; nil where it can, as far as the files tell
	At          string   // its place: "schedules.yaml:12:3"
}

// PluginLimits bound a plugin's process.
type PluginLimits struct {
	Memory             int64 // bytes
	Pids, Files, Calls int   // Calls: at the same time
}

// PluginFault is what is wrong with a plugin, or with what uses it. The agent runs without that.
type PluginFault struct {
	Plugin string
	Use    bool // it is not the plugin that is wrong, but a check or an exporter that uses it
	Problem
}

// Foreign is the kind of a check or an exporter that a plugin serves. Its zero value is none.
type Foreign struct {
	Plugin string
	Kind   manifest.Kind
	Fault  *PluginFault // why the plugin cannot serve it; nil where it can, as far as the files tell
}

// RefusePlugins is nil where every plugin, and what uses it, can be used; else an *Errors, for those who want all of the
// file to work.
func (c *Config) RefusePlugins() error {
	if len(c.PluginFaults) == 0 {
		return nil
	}
	all := &Errors{}
	for _, f := range c.PluginFaults {
		all.problems = append(all.problems, f.Problem)
	}
	return all
}

// plugins keeps the section for the builder, which reads it entry by entry.
type plugins struct{ node ast.Node }

type plugin struct {
	Path    string            `yaml:"path" jsonschema:"required" jsonschema_description:"The program: an absolute path without links. Nobody but root and the agent's user may be able to change it, or what is above it."`
	SHA256  string            `yaml:"sha256" jsonschema:"pattern=^[0-9a-f]{64}$" jsonschema_description:"Digest of the program. Absent: as plugins.lock says. Where both are there they must agree."`
	Secrets []string          `yaml:"secrets" jsonschema_description:"Names of the entries of secrets that the plugin may be sent, where a check or an exporter of its refers to them."`
	Env     map[string]string `yaml:"env" jsonschema_description:"Environment variables beside PATH, LANG, TZ and TMPDIR. Nothing of the agent's own environment is inherited. Never a credential."`
	Read    []string          `yaml:"read" jsonschema_description:"Files and folders that it may read, beside its own program, the system's libraries, certificates and resolver files."`
	Write   []string          `yaml:"write" jsonschema_description:"Files and folders that it may read and write, beside a folder of its own for temporary files."`
	Network string            `yaml:"network" jsonschema:"enum=any,enum=none,default=any" jsonschema_description:"none: it may open no connection but the one to the agent."`
	Ports   []int             `yaml:"ports" jsonschema_description:"The only TCP ports that it may connect to, where the kernel can hold it (Linux 6.7). Absent: any."`
	MTLS    bool              `yaml:"mtls" jsonschema:"default=true" jsonschema_description:"false for plugins in languages that cannot do AutoMTLS: other programs of the agent's user could call it then."`
	Limits  pluginLimits      `yaml:"limits" jsonschema_description:"Bounds of its process."`
}

func (*plugin) reserved() []string { return []string{"user", "args", "reattach", "version"} }

func (p *plugin) preset() {
	*p = plugin{Network: "any", MTLS: true, Limits: pluginLimits{Memory: 256 << 20, Pids: 64, Files: 256, Calls: 16}}
}

type pluginLimits struct {
	Memory size `yaml:"memory" jsonschema:"default=256MiB" jsonschema_description:"Of its control group, where the service manager delegates one (systemd: Delegate=memory pids)."`
	Pids   int  `yaml:"pids" jsonschema:"default=64,minimum=4,maximum=10000" jsonschema_description:"Processes and threads of its control group."`
	Files  int  `yaml:"files" jsonschema:"default=256,minimum=32,maximum=100000" jsonschema_description:"Open files."`
	Calls  int  `yaml:"runs" jsonschema:"default=16,minimum=1,maximum=1000" jsonschema_description:"Runs and exports at the same time."`
}

// plugins reads `plugins` and, beside the file, plugins.lock.
func (b *builder) plugins() {
	m, ok := asMapping(b.file.Plugins.node)
	if !ok {
		if n := b.file.Plugins.node; n != nil && n.Type() != ast.NullType {
			b.wrong(n, "a mapping of names")
		}
		return
	}
	path := filepath.Join(b.dir, manifest.LockName)
	lock, err := b.options.Lock, error(nil)
	if lock == nil {
		lock, err = manifest.ReadLock(path)
	}
	for _, p := range b.entries(m) {
		entry := b.plugin(p)
		if err != nil {
			b.pluginFault(&entry, p.at, "", "%v", err)
		} else {
			b.pin(&entry, p, lock)
		}
		b.cfg.Plugins = append(b.cfg.Plugins, entry)
	}
}

// entries are the entries of the section. Of two with one name nobody knows which is meant: neither is used.
func (b *builder) entries(m *ast.MappingNode) []pair {
	seen := map[string][]pair{}
	var order []string
	for _, value := range m.Values {
		at := placeOfToken(value.Key.GetToken())
		key, ok := keyText(value.Key)
		if !ok {
			b.add(at, "quote it", "found %s as a key, want text", describe(value.Key))
			continue
		}
		if len(seen[key]) == 0 {
			order = append(order, key)
		}
		seen[key] = append(seen[key], pair{key, at, value.Value})
	}
	var out []pair
	for _, name := range order {
		same := seen[name]
		if len(same) == 1 {
			out = append(out, same[0])
			continue
		}
		double := Plugin{Name: name, At: b.placeText(same[1].at)}
		b.pluginFault(&double, same[1].at, "keep one of them, or give the other the name that its program has",
			"two plugins are called %s, the first in line %d", quote(name), same[0].at.line)
		b.cfg.Plugins = append(b.cfg.Plugins, double)
	}
	return out
}

func (b *builder) plugin(p pair) Plugin {
	written := element(reflect.TypeFor[plugin]())
	b.field(p.value, written, field{name: p.key, at: p.at})
	v, _ := reflect.TypeAssert[*plugin](written.Addr())
	out := Plugin{
		Name: p.key, Path: v.Path, SHA256: v.SHA256, Env: v.Env, Secrets: v.Secrets, Read: v.Read, Write: v.Write, Network: v.Network,
		Ports: v.Ports, MTLS: v.MTLS, At: b.placeText(p.at),
		Limits: PluginLimits{int64(v.Limits.Memory), v.Limits.Pids, v.Limits.Files, v.Limits.Calls},
	}
	b.pluginBounds("plugins."+p.key, v)
	b.pluginPlaces(&out, p)
	b.pluginFolder(&out, p)
	b.pluginSecrets(&out, p)
	return out
}

func (b *builder) placeText(at place) string {
	return fmt.Sprintf("%s:%d:%d", b.report.file, at.line, at.column)
}

// pluginBounds are those that make the file wrong, whatever the plugin is.
func (b *builder) pluginBounds(path string, v *plugin) {
	b.between(path+".limits.pids", v.Limits.Pids, 4, 10_000)
	b.between(path+".limits.files", v.Limits.Files, 32, 100_000)
	b.between(path+".limits.runs", v.Limits.Calls, 1, 1000)
	if v.Limits.Memory < 16<<20 {
		b.add(b.at(path+".limits.memory"), "", "a plugin needs at least 16MiB")
	}
	for i, port := range v.Ports {
		b.between(fmt.Sprintf("%s.ports.%d", path, i), port, 1, 65535)
	}
}

func (b *builder) between(path string, got, least, most int) {
	if got < least || got > most {
		b.add(b.at(path), "", "found %d, want %d to %d", got, least, most)
	}
}

// pluginPlaces judges the paths by their text alone: the file may be made on another machine.
func (b *builder) pluginPlaces(out *Plugin, p pair) {
	if !manifest.IsName(p.key) {
		b.pluginFault(out, p.at, "", "found the name %s, want lower-case letters, digits, - and _, beginning with a letter", quote(p.key))
	}
	at := func(key string) place { return locate(p.value, key, p.at) }
	if out.Path != "" && (!filepath.IsAbs(out.Path) || filepath.Clean(out.Path) != out.Path) {
		b.pluginFault(out, at("path"), "", "found the path %s, want an absolute one in its shortest form, such as /usr/lib/windsock/plugins/%s", quote(out.Path), p.key)
	}
	if out.SHA256 != "" && !manifest.IsDigest(out.SHA256) {
		b.pluginFault(out, at("sha256"), "sha256sum prints it", "found %d characters, want a SHA-256 digest of 64 lower-case hexadecimal digits", len(out.SHA256))
	}
	for key, list := range map[string][]string{"read": out.Read, "write": out.Write} {
		for i, path := range list {
			if !filepath.IsAbs(path) {
				b.pluginFault(out, at(fmt.Sprintf("%s.%d", key, i)), "", "found %s, want an absolute path", quote(path))
			}
		}
	}
}

// pluginFolder warns of a plugin in a folder that holds more than plugins: it may read all of its own.
func (b *builder) pluginFolder(out *Plugin, p pair) {
	folder := filepath.Dir(out.Path)
	for _, row := range []struct{ what, path string }{{"this file", b.dir}, {"the state directory", b.cfg.StateDir}} {
		if row.path == folder || row.path != "" && strings.HasPrefix(row.path, strings.TrimSuffix(folder, "/")+"/") {
			b.warn(locate(p.value, "path", p.at), "the plugin %s may read all of its own folder, and %s is in there; give plugins a folder of their own", quote(p.key), row.what)
		}
	}
}

func (b *builder) pluginSecrets(out *Plugin, p pair) {
	for i, name := range out.Secrets {
		if _, known := b.named[name]; !known {
			b.pluginFault(out, locate(p.value, fmt.Sprintf("secrets.%d", i), p.at), near(name, sortedKeys(b.named)), "no entry %s in `secrets`", quote(name))
		}
	}
}

// pin brings the entry and the lock together.
func (b *builder) pin(out *Plugin, p pair, lock *manifest.Lock) {
	locked, known := lock.Find(p.key)
	if !known {
		b.pluginFault(out, p.at, "run `windsock plugins lock`", "the plugin %s is not in %s, so nobody knows its kinds", quote(p.key), manifest.LockName)
		return
	}
	out.Manifest = locked.Manifest
	if out.SHA256 != "" && out.SHA256 != locked.SHA256 {
		b.pluginFault(out, locate(p.value, "sha256", p.at), "take it out, or run `windsock plugins lock` if the new program is meant",
			"the digest is not the one in %s, %s…", manifest.LockName, locked.SHA256[:12])
	}
	out.SHA256 = locked.SHA256
	for _, k := range locked.Manifest.Kinds {
		if b.builtIn(k) {
			b.pluginFault(out, p.at, "its author has to give it another name", "its kind %s has the name of a built-in %s", quote(k.Name), k.Type)
		}
	}
}

func (b *builder) builtIn(k manifest.Kind) bool {
	if k.Type == manifest.Exporter {
		return slices.ContainsFunc(exporterKinds(b.options.Registry), func(i kindInfo) bool { return i.name == k.Name })
	}
	return slices.ContainsFunc(checkKinds(b.options.Registry), func(i kindInfo) bool { return i.name == k.Name })
}

// pluginFault notes what is wrong with an entry. The first is the one that is told of it.
func (b *builder) pluginFault(p *Plugin, at place, hint, format string, args ...any) {
	problem := b.problem(at, hint, fmt.Sprintf(format, args...))
	b.faults = append(b.faults, PluginFault{Plugin: p.Name, Problem: problem})
	if p.Fault == nil {
		p.Fault = &problem
	}
}

// pluginKind finds the kind of a check or an exporter that a plugin gives it, PLUGIN/KIND. fault is why it cannot be
// used: the caller keeps it, and the agent runs without. It is nil too where the whole file is refused.
func (b *builder) pluginKind(path, kind string, want manifest.Type) (k manifest.Kind, fault *PluginFault) {
	at := b.at(path + ".kind")
	name, short, _ := strings.Cut(kind, "/")
	i := slices.IndexFunc(b.cfg.Plugins, func(p Plugin) bool { return p.Name == name })
	if i < 0 {
		var names []string
		for _, p := range b.cfg.Plugins {
			names = append(names, p.Name)
		}
		b.add(at, near(name, names), "the kind %s is a plugin's, and no plugin is called %s in `plugins`", quote(kind), quote(name))
		return k, nil
	}
	p := &b.cfg.Plugins[i]
	if p.Fault != nil { // it is told where the plugin stands
		return k, &PluginFault{Plugin: name, Problem: *p.Fault}
	}
	k, known := p.Manifest.Kind(short)
	switch {
	case !known:
		return k, b.useFault(name, at, near(short, p.Manifest.Names()), "the plugin %s has no kind %s, %s", quote(name), quote(short), oneOf(p.Manifest.Names()))
	case k.Type != want:
		return k, b.useFault(name, at, "", "the kind %s is of type %s, want a kind of type %s", quote(kind), k.Type, want)
	}
	return k, nil
}

// useFault notes what is wrong with the use of a plugin.
func (b *builder) useFault(plugin string, at place, hint, format string, args ...any) *PluginFault {
	f := PluginFault{Plugin: plugin, Use: true, Problem: b.problem(at, hint, fmt.Sprintf(format, args...))}
	b.faults = append(b.faults, f)
	return &f
}

// pluginCheck gives a check what its plugin's kind says of it.
func (b *builder) pluginCheck(path string, c *check, out *Check, with *parameters) {
	k, fault := b.pluginKind(path, c.Kind, manifest.Check)
	if fault == nil && k.Name != "" {
		fault = b.pluginParams(path, c.Kind, k, with)
	}
	out.Foreign = foreign(c.Kind, k, fault)
	if interval := out.Schedule.Interval(); interval > 0 && interval < time.Duration(k.MinInterval) {
		b.warn(b.at(path+".schedule"), "the plugin wants at least %s between two runs of %s", short(time.Duration(k.MinInterval)), quote(c.Kind))
	}
}

func foreign(kind string, k manifest.Kind, fault *PluginFault) Foreign {
	name, _, _ := strings.Cut(kind, "/")
	return Foreign{Plugin: name, Kind: k, Fault: fault}
}

// pluginExporter does the same for an exporter.
func (b *builder) pluginExporter(path, kind string, out *Exporter, with *parameters) {
	k, fault := b.pluginKind(path, kind, manifest.Exporter)
	if fault == nil && k.Name != "" {
		fault = b.pluginParams(path, kind, k, with)
	}
	out.Foreign = foreign(kind, k, fault)
	if fault == nil && k.MaxBatch > 0 {
		out.BatchSize = min(out.BatchSize, k.MaxBatch)
	}
}

// pluginTimeout is the bound on a run that a plugin's kind asks for where the file gives none; 0 where it asks for none.
func (b *builder) pluginTimeout(kind string) time.Duration {
	name, short, _ := strings.Cut(kind, "/")
	for i := range b.cfg.Plugins {
		if b.cfg.Plugins[i].Name == name {
			k, _ := b.cfg.Plugins[i].Manifest.Kind(short)
			return time.Duration(k.DefaultTimeout)
		}
	}
	return 0
}

// pluginParams judges the parameters by the kind's schema.
func (b *builder) pluginParams(path, kind string, k manifest.Kind, with *parameters) *PluginFault {
	name, _, _ := strings.Cut(kind, "/")
	schema, err := b.schemaOf(kind, k)
	if err != nil {
		return b.useFault(name, b.at(path+".kind"), "", "the kind %s cannot be used: %v", quote(kind), err)
	}
	var read manifest.Params
	if _, err := with.read(&read); err != nil {
		if placed, ok := errors.AsType[*Errors](err); ok {
			b.merge(placed, nil) // it is the file that is wrong: a key that is there twice, a number in no form
		}
		return nil
	}
	var first *PluginFault
	keep := func(f *PluginFault) {
		if first == nil {
			first = f
		}
	}
	for _, found := range schema.Validate(read.Config()) {
		at := locate(with.node, strings.Join(found.Path, "."), with.base)
		if found.Secret {
			b.addSecret(at)
			continue
		}
		if found.Key {
			at = keyPlace(with.node, found.Path, at)
		}
		keep(b.useFault(name, at, found.Hint, "%s (%s)", found.Message, kind))
	}
	i := slices.IndexFunc(b.cfg.Plugins, func(p Plugin) bool { return p.Name == name })
	for _, secret := range sortedKeys(read.Secrets) {
		if !slices.Contains(b.cfg.Plugins[i].Secrets, secret) {
			keep(b.useFault(name, with.base, fmt.Sprintf("add it to plugins.%s.secrets if that is meant", name),
				"the plugin %s may not be sent the secret %s", quote(name), quote(secret)))
		}
	}
	return first
}

// schemaOf compiles the schema of a kind once: a thousand checks may have it.
func (b *builder) schemaOf(kind string, k manifest.Kind) (*manifest.Schema, error) {
	if compiled, done := b.schemas[kind]; done {
		return compiled, nil
	}
	compiled, err := k.Compile()
	if err != nil {
		return nil, err
	}
	if b.schemas == nil {
		b.schemas = map[string]*manifest.Schema{}
	}
	b.schemas[kind] = compiled
	return compiled, nil
}

// keyPlace is the place of the key at the end of a path.
func keyPlace(n ast.Node, path []string, fallback place) place {
	for i, step := range path {
		m, ok := asMapping(n)
		if !ok {
			if n = itemOf(n, step); n == nil {
				return fallback
			}
			continue
		}
		for _, v := range m.Values {
			if key, _ := keyText(v.Key); key == step && i == len(path)-1 {
				return placeOfToken(v.Key.GetToken())
			}
		}
		if n, ok = keyIn(m, step); !ok {
			return fallback
		}
	}
	return fallback
}

// pluginSection reads parameters for a plugin: as JSON, with the credentials that they refer to beside it.
func (d *decoder) pluginSection(n ast.Node, into *manifest.Params) {
	into.Secrets = map[string]checks.Secret{}
	if _, null := n.(*ast.NullNode); null {
		return
	}
	if _, ok := asMapping(n); !ok {
		d.wrong(n, "a mapping of keys")
		return
	}
	before := len(d.problems)
	value, ok := d.plain(n)
	if !ok || len(d.problems) > before {
		return
	}
	d.references(n, into.Secrets)
	data, err := json.Marshal(value)
	if err != nil {
		d.add(placeOf(n), "", "these parameters cannot be written as JSON: %v", err)
		return
	}
	into.JSON = data
}

// references collects the credentials that are referred to: a mapping of the one key `secret`, wherever it stands.
func (d *decoder) references(n ast.Node, into map[string]checks.Secret) {
	if list, ok := n.(*ast.SequenceNode); ok {
		for _, item := range list.Values {
			d.references(item, into)
		}
		return
	}
	m, ok := asMapping(n)
	if !ok {
		return
	}
	if value, is := keyIn(m, "secret"); is && len(m.Values) == 1 {
		if name, isText := value.(*ast.StringNode); isText {
			secret, known := d.named[name.Value]
			if !known {
				d.add(placeOf(value), near(name.Value, sortedKeys(d.named)), "no entry %s in `secrets`", quote(name.Value))
				return
			}
			into[name.Value] = secret
			return
		}
	}
	for _, v := range m.Values {
		d.references(v.Value, into)
	}
}

// sortedFaults are the faults in the order of the file, each with its line as it may be shown.
func (b *builder) sortedFaults() []PluginFault {
	for i := range b.faults {
		f := &b.faults[i]
		f.Source = b.report.source(place{f.Line, f.Column})
	}
	slices.SortStableFunc(b.faults, func(x, y PluginFault) int {
		return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column))
	})
	return b.faults
}
