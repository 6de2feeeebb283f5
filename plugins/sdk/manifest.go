package sdk

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"runtime/debug"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/params"
	"github.com/windsock-monitor/windsock/exporters"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

const mostBatch = 1_000_000

// kind is one kind that is served: a check or an exporter.
type kind struct {
	name     string
	check    *checks.Kind
	exporter *exporters.Kind
	declared Declaration
	schema   *jsonschema.Schema
	wire     *pluginv1.Kind
}

func (k *kind) validate(d checks.Decoder) error {
	if k.check != nil {
		return k.check.Validate(d)
	}
	return k.exporter.Validate(d)
}

// manifest checks what the plugin says of itself, all of it at once, and makes what Describe answers.
func manifest(p *Plugin) (*pluginv1.DescribeResponse, map[string]*kind, error) {
	errs := []error{validIdentity(p)}
	out := &pluginv1.DescribeResponse{
		Name: p.Name, Version: p.Version, Summary: wire.Line(p.Summary), Homepage: p.Homepage, Sdk: &pluginv1.Sdk{Name: "windsock-go", Version: ownVersion()},
		Capabilities: &pluginv1.PluginCapabilities{Concurrent: true, Reconfigure: true},
	}
	kinds := map[string]*kind{}
	add := func(k *kind, doc string, defaults any) {
		k.declared = p.Declare[k.name]
		if kinds[k.name] != nil {
			errs = append(errs, fmt.Errorf("two kinds are called %q", k.name))
		}
		kinds[k.name] = k
		if err := k.describe(doc, defaults); err != nil {
			errs = append(errs, fmt.Errorf("kind %q: %w", k.name, err))
		}
		out.Kinds = append(out.Kinds, k.wire)
	}
	for i := range p.Checks {
		add(&kind{name: p.Checks[i].Name, check: &p.Checks[i]}, p.Checks[i].Doc, p.Checks[i].Defaults)
	}
	for i := range p.Exporters {
		add(&kind{name: p.Exporters[i].Name, exporter: &p.Exporters[i]}, p.Exporters[i].Doc, p.Exporters[i].Defaults)
	}
	if len(kinds) == 0 {
		errs = append(errs, errors.New("it offers no kind, want at least one check or exporter"))
	}
	for name := range p.Declare {
		if kinds[name] == nil {
			errs = append(errs, fmt.Errorf("it declares something of %q, which is none of its kinds", name))
		}
	}
	return out, kinds, errors.Join(errs...)
}

func validIdentity(p *Plugin) error {
	var errs []error
	if !validName(p.Name) {
		errs = append(errs, fmt.Errorf("its name is %q, want lower-case letters, digits, - and _, at most 64, a letter first", p.Name))
	}
	semantic := regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)
	if !semantic.MatchString(p.Version) {
		errs = append(errs, fmt.Errorf("its version is %q, want a semantic one such as 1.4.0", p.Version))
	}
	if p.Homepage != "" {
		u, err := url.Parse(p.Homepage)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			errs = append(errs, fmt.Errorf("its homepage is %q, want an http(s) address", p.Homepage))
		}
	}
	return errors.Join(errs...)
}

func validName(name string) bool {
	return regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`).MatchString(name)
}

// ownVersion is the version of this library in the plugin's binary.
func ownVersion() string {
	const module = "github.com/windsock-monitor/windsock"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			return dep.Version
		}
	}
	if info.Main.Path == module && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// describe makes the kind's part of the manifest.
func (k *kind) describe(doc string, defaults any) error {
	k.wire = &pluginv1.Kind{
		Name: k.name, Type: pluginv1.KindType_KIND_TYPE_CHECK, DocMarkdown: doc, MaxCostPicoUsd: int64(k.declared.MaxCost),
		MinInterval: wire.DurationToProto(k.declared.MinInterval), DefaultTimeout: wire.DurationToProto(k.declared.DefaultTimeout),
	}
	for _, m := range k.declared.Measurements {
		k.wire.Measurements = append(k.wire.Measurements, &pluginv1.MeasurementSpec{Name: m.Name, Unit: m.Unit, Description: wire.Line(m.Description)})
	}
	if k.exporter != nil {
		k.wire.Type = pluginv1.KindType_KIND_TYPE_EXPORTER
		k.wire.ExporterLimits = &pluginv1.ExporterLimits{MaxBatch: int32(k.declared.MaxBatch), Refresh: k.declared.Refresh}
		for _, t := range k.declared.Records {
			k.wire.ExporterLimits.RecordTypes = append(k.wire.ExporterLimits.RecordTypes, wire.RecordTypeToProto(t))
		}
	}
	schema, err := params.Schema(defaults)
	if err != nil {
		return err
	}
	k.wire.ConfigSchemaJson = schema
	if k.schema, err = compiled(schema); err != nil {
		return err
	}
	return k.sound(doc)
}

func (k *kind) sound(doc string) error {
	var errs []error
	bad := func(when bool, text string) {
		if when {
			errs = append(errs, errors.New(text))
		}
	}
	d := &k.declared
	bad(!validName(k.name), "want a name of lower-case letters, digits, - and _, at most 64, a letter first")
	bad(doc == "", "it has no documentation")
	bad(k.check != nil && k.check.Provider == checks.ProviderNeeded, "it needs a provider of the agent, which a plugin is not lent")
	bad(d.MaxCost < 0 || d.MinInterval < 0 || d.DefaultTimeout < 0 || d.MaxBatch < 0 || d.MaxBatch > mostBatch, "its declaration has a negative number, or a batch of more than a million records")
	bad(k.check != nil && (d.MaxBatch != 0 || d.Refresh || len(d.Records) > 0), "it is a check, and its declaration has what only exporters have")
	bad(k.exporter != nil && (d.MaxCost != 0 || len(d.Measurements) > 0), "it is an exporter, and its declaration has what only checks have")
	return errors.Join(append(errs, d.sound())...)
}

func (d *Declaration) sound() error {
	var errs []error
	name := regexp.MustCompile(`^[a-z][a-z0-9_.]*$`)
	seen := map[string]bool{}
	for _, m := range d.Measurements {
		if !name.MatchString(m.Name) || len(m.Name) > wire.MaxName || len(m.Unit) > wire.MaxUnit || seen[m.Name+" "+m.Unit] {
			errs = append(errs, fmt.Errorf("it declares the measurement %q in %q, want a lower-case dotted name, once", m.Name, m.Unit))
		}
		seen[m.Name+" "+m.Unit] = true
	}
	for _, t := range d.Records {
		if wire.RecordTypeToProto(t) == pluginv1.RecordType_RECORD_TYPE_UNSPECIFIED {
			errs = append(errs, fmt.Errorf("it declares records of type %q, want report, alert or agent", t))
		}
	}
	return errors.Join(errs...)
}

func compiled(text []byte) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("reading the schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("parameters.json", doc); err != nil {
		return nil, fmt.Errorf("reading the schema: %w", err)
	}
	schema, err := c.Compile("parameters.json")
	if err != nil {
		return nil, fmt.Errorf("compiling the schema: %w", err)
	}
	return schema, nil
}
