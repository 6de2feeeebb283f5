package config

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/schedule"
)

func (b *builder) checks() {
	if len(b.file.Checks) == 0 {
		if n, there := b.keyOf("checks"); there && len(b.problems) == 0 {
			b.add(b.at("checks"), "", "found %s, want at least one check", describe(n))
		}
		return
	}
	names := map[string]int{}
	for i := range b.file.Checks {
		path := fmt.Sprintf("checks.%d", i)
		c := &b.file.Checks[i]
		b.unique(path, c.Name, names)
		b.cfg.Checks = append(b.cfg.Checks, b.check(path, c))
	}
}

// unique checks a name within its list; names holds the lines of those before.
func (b *builder) unique(path, name string, names map[string]int) {
	at := b.at(path + ".name")
	if name == "" && !b.given(path, "name") || !b.name(name, at) {
		return
	}
	if line, taken := names[name]; taken {
		b.add(at, "", "the name %q is taken in line %d, want another", name, line)
		return
	}
	names[name] = at.line
}

// given reports whether the mapping at path has the key.
func (b *builder) given(path, key string) bool {
	_, ok := keyIn(b.nodeAt(path), key)
	return ok
}

// nodeAt is the part of the file at a path of names without dots; nil where there is none.
func (b *builder) nodeAt(path string) ast.Node {
	var n ast.Node = b.root
	for step := range strings.SplitSeq(path, ".") {
		next, ok := keyIn(n, step)
		if !ok {
			next = itemOf(n, step)
		}
		if n = next; n == nil {
			return nil
		}
	}
	return n
}

func (b *builder) check(path string, c *check) Check {
	out := Check{
		Name: c.Name, Kind: c.Kind, Provider: b.providerOf(path, c), Confirm: c.Confirm, RunAtStart: c.RunAtStart,
		Overlap: schedule.Overlap(c.Overlap), Missed: schedule.Missed(c.Missed), Labels: c.Labels, Line: b.at(path + ".name").line,
	}
	b.labels(path+".labels", c.Labels)
	b.times(path, c, &out)
	b.incidentSchedule(path, c, &out)
	with := b.with(path, c.With)
	out.With, out.Place = with, with.place
	if c.Kind == "" {
		return out
	}
	if strings.Contains(c.Kind, "/") {
		b.pluginCheck(path, c, &out, with)
		return out
	}
	names := make([]string, 0, len(b.options.Registry.Checks))
	for _, k := range b.options.Registry.Checks {
		if k.Name == c.Kind {
			b.validate(with, k.Validate)
			if k.Provider == checks.ProviderNeeded && c.Provider == "" && len(b.pairsOf("providers")) == 0 {
				b.add(b.at(path+".kind"), "", "a check of the kind %q asks a provider, and there is none in `providers:`", c.Kind)
			}
			return out
		}
		names = append(names, k.Name)
	}
	b.unknownKind(path, c.Kind, "check", names)
	return out
}

// onlyNamed reports whether the checks of a kind belong to a provider only where it is named.
func (b *builder) onlyNamed(kind string) bool {
	return strings.Contains(kind, "/") || slices.ContainsFunc(b.options.Registry.Checks, func(k checks.Kind) bool {
		return k.Name == kind && k.Provider == checks.ProviderNamed
	})
}

func (b *builder) providerOf(path string, c *check) string {
	known := b.pairsOf("providers")
	names := make([]string, 0, len(known))
	for _, p := range known {
		names = append(names, p.key)
	}
	switch {
	case c.Provider != "" && len(names) == 0:
		b.add(b.at(path+".provider"), "", "no provider %s: there are none in `providers:`", quote(c.Provider))
	case c.Provider != "" && !slices.Contains(names, c.Provider):
		b.add(b.at(path+".provider"), near(c.Provider, names), "no provider %s, %s", quote(c.Provider), oneOf(names))
	case c.Provider == "" && b.onlyNamed(c.Kind):
		return ""
	case c.Provider == "" && len(names) == 1:
		return names[0]
	case c.Provider == "" && len(names) > 1:
		b.add(b.at(path+".name"), "", "there are %d providers, so the check must say `provider:`, %s", len(names), oneOf(names))
	}
	return c.Provider
}

// times reads the schedule and what must fit into its interval.
func (b *builder) times(path string, c *check, out *Check) {
	out.DegradedAbove = defaultDegraded
	if c.DegradedAbove != nil {
		out.DegradedAbove = *c.DegradedAbove
	}
	var interval time.Duration
	if b.given(path, "schedule") {
		if spec, err := schedule.Parse(c.Schedule, c.Timezone); err != nil {
			b.badSchedule(path+".schedule", path+".timezone", err)
		} else {
			out.Schedule, interval = spec, spec.Interval()
		}
	}
	if c.Timeout == nil {
		out.Timeout = cmp.Or(b.pluginTimeout(c.Kind), defaultTimeout)
		if interval > 0 {
			out.Timeout = min(out.Timeout, interval*4/5)
		}
	} else {
		out.Timeout = *c.Timeout
		b.atLeast(path+".timeout", out.Timeout, 10*time.Millisecond)
	}
	if interval > 0 && out.Timeout >= interval {
		b.add(b.at(path+".timeout"), "", "the timeout of %s is not below the interval of %s (%s)", short(out.Timeout), short(interval), c.Schedule)
	}
	if interval > 0 && out.Confirm >= interval {
		b.add(b.at(path+".confirm"), "", "confirm after %s is not below the interval of %s (%s)", short(out.Confirm), short(interval), c.Schedule)
	}
	if c.DegradedAbove != nil && *c.DegradedAbove >= out.Timeout {
		b.warn(b.at(path+".degraded_above"), "degraded_above %s is never reached: the run ends after %s", short(*c.DegradedAbove), short(out.Timeout))
	}
}

// badSchedule points into the expression at a path, or at the time zone at another.
func (b *builder) badSchedule(key, zone string, err error) {
	parse, ok := errors.AsType[*schedule.ParseError](err)
	if !ok {
		b.add(b.at(key), "", "%v", err)
		return
	}
	if parse.Timezone {
		key = zone
	}
	at := b.at(key)
	if parse.Column > 1 && at.line <= len(b.lines) {
		// The place of the text itself: past the quote, where there is one.
		text := parse.Expr[:min(parse.Column-1, len(parse.Expr))]
		if line := []rune(b.lines[at.line-1]); at.column <= len(line) && strings.ContainsRune(`"'`, line[at.column-1]) {
			at.column++
		}
		at.column += utf8.RuneCountInString(text)
	}
	if parse.Timezone {
		b.add(at, "", "the time zone %s is %s", quote(parse.Expr), parse.Msg)
		return
	}
	b.add(at, "", "the schedule %s cannot be used: %s", quote(parse.Expr), parse.Msg)
}

// unknownKind tells a slip from what a later version will have.
func (b *builder) unknownKind(path, kind, what string, names []string) {
	later := []string{"embeddings", "spend", "app", "prometheus"}
	if what == "exporter" {
		later = []string{"alertmanager", "webhook", "slack", "pagerduty"}
	}
	at := b.at(path + ".kind")
	switch names := sortedCopy(names); {
	case slices.Contains(later, kind):
		b.add(at, "", "the %s kind %s is not part of this version, %s", what, quote(kind), oneOf(names))
	default:
		b.add(at, near(kind, names), "no %s kind is called %s, %s", what, quote(kind), oneOf(names))
	}
}

func (b *builder) exporters() {
	names := map[string]int{}
	for i := range b.file.Exporters {
		path := fmt.Sprintf("exporters.%d", i)
		e := &b.file.Exporters[i]
		b.unique(path, e.Name, names)
		b.atLeast(path+".max_age", e.MaxAge, time.Second)
		b.atLeast(path+".timeout", e.Timeout, 10*time.Millisecond)
		b.upTo(path+".batch_size", e.BatchSize, 10_000)
		with := b.with(path, e.With)
		b.cfg.Exporters = append(b.cfg.Exporters, Exporter{
			Name: e.Name, Kind: e.Kind, MaxAge: e.MaxAge, Replay: e.Replay, BatchSize: e.BatchSize, Timeout: e.Timeout,
			With: with, Place: with.place, Line: b.at(path + ".name").line,
		})
		if strings.Contains(e.Kind, "/") {
			b.pluginExporter(path, e.Kind, &b.cfg.Exporters[len(b.cfg.Exporters)-1], with)
			continue
		}
		b.exporterKind(path, e.Kind, with)
	}
}

func (b *builder) exporterKind(path, kind string, with *parameters) {
	if kind == "" {
		return
	}
	names := make([]string, 0, len(b.options.Registry.Exporters))
	for _, k := range b.options.Registry.Exporters {
		if k.Name == kind {
			b.validate(with, k.Validate)
			return
		}
		names = append(names, k.Name)
	}
	b.unknownKind(path, kind, "exporter", names)
}

// parameters reads one `with:` section, at the load and whenever a kind is built of it. It is safe for concurrent use.
type parameters struct {
	decoder
	node ast.Node // nil where there is none
	base place
}

func (b *builder) with(path string, s section) *parameters {
	sub := b.decoder
	sub.params = true
	return &parameters{decoder: sub, node: s.node, base: b.at(path + ".with")}
}

// Decode reads the section over the defaults in into, a pointer. The error is an *Errors.
func (p *parameters) Decode(into any) error {
	_, err := p.read(into)
	return err
}

func (p *parameters) read(into any) (warnings []Problem, err error) {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return nil, fmt.Errorf("decoding parameters into a %T, want a pointer", into)
	}
	if p.node == nil {
		return nil, p.missing(v.Elem())
	}
	d := p.decoder
	d.report = p.fork()
	d.decode(p.node, v.Elem())
	return d.warnings, d.err()
}

// missing tells which parameters an absent section would have to give.
func (p *parameters) missing(v reflect.Value) error {
	if v.Kind() != reflect.Struct {
		return nil
	}
	r := p.fork()
	for _, f := range fieldsOf(v.Type()) {
		if f.required {
			r.add(p.base, "", "`with:` is missing with its key %q", f.name)
		}
	}
	return r.err()
}

// place gives what a kind said of the parameters its places.
func (p *parameters) place(err error) error {
	if err == nil {
		return nil
	}
	r := p.fork()
	r.merge(err, func(path string) place { return locate(p.node, path, p.base) })
	return r.err()
}

// validate lets the kind look at its parameters, and keeps what it said.
func (b *builder) validate(p *parameters, validate func(checks.Decoder) error) {
	err := validate(decoderFunc(func(into any) error {
		warnings, err := p.read(into)
		b.warnings = append(b.warnings, warnings...)
		return err
	}))
	if err := p.place(err); err != nil {
		b.merge(err, func(string) place { return p.base })
	}
}

type decoderFunc func(into any) error

func (f decoderFunc) Decode(into any) error { return f(into) }
