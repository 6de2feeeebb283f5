package config

import (
	"encoding"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/params"
	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	"github.com/windsock-monitor/windsock/internal/secret"
)

// decoder reads YAML into Go values strictly, and goes on after a fault, so that all of them are told. Values that are
// given replace defaults; maps and lists are replaced whole and never shared with the defaults.
type decoder struct {
	*report
	resolver *secret.Resolver
	named    map[string]checks.Secret // what {secret: name} means; nil where it means nothing
	dir      string                   // that relative files are below
	params   bool                     // inside `with:`, where text is content and may hold ${

	variables map[string]bool // of the environment that hold a credential; shared by copies, grows while the file is read
}

// section keeps a part of the file for somebody else to read.
type section struct{ node ast.Node }

// reserver is implemented by structs whose later keys are known: they are refused by name, never ignored.
type reserver interface{ reserved() []string }

// presetter is implemented by structs that have defaults as elements of a list or a map.
type presetter interface{ preset() }

func (d *decoder) decode(n ast.Node, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		d.pointer(n, v)
		return
	}
	if d.special(n, v) {
		return
	}
	switch v.Kind() { //nolint:exhaustive // all others are scalars
	case reflect.Struct:
		d.structure(n, v)
	case reflect.Map:
		d.mapOf(n, v)
	case reflect.Slice:
		d.list(n, v)
	case reflect.Interface:
		if value, ok := d.plain(n); ok {
			v.Set(reflect.ValueOf(&value).Elem())
		}
	default:
		d.scalar(n, v)
	}
}

func (d *decoder) pointer(n ast.Node, v reflect.Value) {
	if _, null := n.(*ast.NullNode); null {
		d.wrong(n, "a value, or the key left out")
		return
	}
	fresh := reflect.New(v.Type().Elem())
	if !v.IsNil() {
		fresh.Elem().Set(v.Elem())
	}
	d.decode(n, fresh.Elem())
	v.Set(fresh)
}

// special reads the types that have a form of their own.
func (d *decoder) special(n ast.Node, v reflect.Value) bool {
	switch into := v.Addr().Interface().(type) {
	case *section:
		into.node = n
	case *Section:
		into.node = n
	case *providers:
		into.node = n
	case *plugins:
		into.node = n
	case *manifest.Params:
		d.pluginSection(n, into)
	case *condition:
		into.node = n
	case *matchers:
		into.node = n
	case *window:
		into.node = n
	case *amount:
		into.node = n
	case *time.Duration:
		d.duration(n, into)
	case *checks.PicoUSD:
		d.money(n, into)
	case *checks.Secret:
		d.secret(n, into)
	case *size:
		d.size(n, into)
	case params.OwnForm:
		// A kind's own form: it decodes into what it likes, and what it says of it has this place.
		err := into.UnmarshalYAML(func(inner any) error {
			sub := *d
			sub.report = d.fork()
			sub.decode(n, reflect.ValueOf(inner).Elem())
			return sub.err()
		})
		if err != nil {
			d.merge(err, func(path string) place { return locate(n, path, placeOf(n)) })
		}
	case encoding.TextUnmarshaler:
		text, ok := d.text(n)
		if !ok {
			return true
		}
		if err := into.UnmarshalText([]byte(text)); err != nil {
			d.add(placeOf(n), "", "found %s: %v", describe(n), err)
		}
	default:
		return false
	}
	return true
}

// wrong says that the node is not of the wanted sort.
func (d *decoder) wrong(n ast.Node, want string) {
	hint := ""
	if _, ok := asMapping(n); ok && want == "text" { // the parser takes http://host for a key and its value in [ ]
		hint = `a text with a colon needs quotes: "http://…"`
	}
	d.add(placeOf(n), hint, "found %s, want %s", describe(n), want)
}

// field is one key of a struct.
type field struct {
	name     string
	at       place // of the key, in the mapping that is read
	index    []int
	enum     []string
	required bool
}

// fieldsOf lists the keys of a struct.
func fieldsOf(t reflect.Type) []field {
	all := params.Fields(t)
	out := make([]field, len(all))
	for i, f := range all {
		out[i] = field{name: f.Name, index: f.Index, enum: f.Enum, required: f.Required}
	}
	return out
}

func (d *decoder) structure(n ast.Node, v reflect.Value) {
	if _, null := n.(*ast.NullNode); null {
		return // `budget:` with nothing below it: the defaults
	}
	m, ok := asMapping(n)
	if !ok {
		d.wrong(n, "a mapping of keys")
		return
	}
	fields := fieldsOf(v.Type())
	names := make([]string, 0, len(fields))
	byName := map[string]field{}
	for _, f := range fields {
		names = append(names, f.name)
		byName[f.name] = f
	}
	given := d.pairs(m)
	for _, p := range given {
		f, known := byName[p.key]
		if !known {
			d.unknown(p, v, names)
			continue
		}
		f.at = p.at
		d.field(p.value, v.FieldByIndex(f.index), f)
	}
	for _, f := range fields {
		if f.required && !slices.ContainsFunc(given, func(p pair) bool { return p.key == f.name }) {
			d.add(placeOf(n), "", "the key %q is missing", f.name)
		}
	}
}

func (d *decoder) field(n ast.Node, v reflect.Value, f field) {
	if _, null := n.(*ast.NullNode); null && !nullable(v) {
		d.add(f.at, "", "the key %q has no value", f.name)
		return
	}
	before := len(d.problems)
	d.decode(n, v)
	if len(f.enum) == 0 || len(d.problems) > before || v.Kind() != reflect.String || slices.Contains(f.enum, v.String()) {
		return
	}
	d.add(placeOf(n), near(v.String(), f.enum), "found %s, %s", describe(n), oneOf(f.enum))
}

// nullable are the sections that may stand there empty.
func nullable(v reflect.Value) bool {
	switch v.Kind() { //nolint:exhaustive // all others are scalars
	case reflect.Struct:
		_, secret := reflect.TypeAssert[checks.Secret](v)
		return !secret
	case reflect.Map, reflect.Slice:
		return true
	default:
		return false
	}
}

func (d *decoder) unknown(p pair, v reflect.Value, names []string) {
	if r, ok := reflect.TypeAssert[reserver](v.Addr()); ok && slices.Contains(r.reserved(), p.key) {
		d.add(p.at, "take it out", "%q is not part of this version", p.key)
		return
	}
	d.add(p.at, near(p.key, names), "unknown key %s, %s", quote(p.key), oneOf(names))
}

// pair is one key of a mapping with its value.
type pair struct {
	key   string
	at    place
	value ast.Node
}

// pairs lists the keys that can be used; a key that is not text, or there already, is reported.
func (d *decoder) pairs(m *ast.MappingNode) []pair {
	out := make([]pair, 0, len(m.Values))
	first := map[string]place{}
	for _, value := range m.Values {
		at := placeOfToken(value.Key.GetToken())
		key, ok := keyText(value.Key)
		if !ok {
			d.add(at, "quote it", "found %s as a key, want text", describe(value.Key))
			continue
		}
		if before, again := first[key]; again {
			d.add(at, "", "the key %s is there twice, first in line %d", quote(key), before.line)
			continue
		}
		first[key] = at
		out = append(out, pair{key, at, value.Value})
	}
	return out
}

func keyText(n ast.MapKeyNode) (string, bool) {
	if s, ok := n.(*ast.StringNode); ok {
		return s.Value, true
	}
	return "", false
}

func (d *decoder) mapOf(n ast.Node, v reflect.Value) {
	if _, null := n.(*ast.NullNode); null {
		return
	}
	m, ok := asMapping(n)
	if !ok || v.Type().Key().Kind() != reflect.String {
		d.wrong(n, "a mapping of keys")
		return
	}
	fresh := reflect.MakeMap(v.Type())
	text := v.Type().Elem().Kind() == reflect.String
	for _, p := range d.pairs(m) {
		if text && credentialName(p.key) {
			d.add(p.at, "", "%s sounds like a credential, which is given only by reference: {credential: …}, {file: …}, {env: …}", quote(p.key))
			continue
		}
		element := element(v.Type().Elem())
		d.field(p.value, element, field{name: p.key, at: p.at})
		fresh.SetMapIndex(reflect.ValueOf(p.key).Convert(v.Type().Key()), element)
	}
	v.Set(fresh)
}

// credentialName reports whether a header or a label of this name would hold a key.
func credentialName(name string) bool {
	return regexp.MustCompile(`(?i)^(proxy-)?authorization$|^cookie$|api[-_]?key|token|secret|passw(or)?d`).MatchString(name)
}

func (d *decoder) list(n ast.Node, v reflect.Value) {
	if _, null := n.(*ast.NullNode); null {
		return
	}
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.wrong(n, "a list")
		return
	}
	fresh := reflect.MakeSlice(v.Type(), 0, len(s.Values))
	for _, item := range s.Values {
		element := element(v.Type().Elem())
		if _, null := item.(*ast.NullNode); null {
			d.wrong(item, "a value")
		} else {
			d.decode(item, element)
		}
		fresh = reflect.Append(fresh, element)
	}
	v.Set(fresh)
}

// element is a new value with the defaults of its type.
func element(t reflect.Type) reflect.Value {
	v := reflect.New(t)
	if p, ok := reflect.TypeAssert[presetter](v); ok {
		p.preset()
	}
	return v.Elem()
}

// plain reads a value of no given type, as encoding/json would.
func (d *decoder) plain(n ast.Node) (any, bool) {
	switch v := n.(type) {
	case *ast.NullNode:
		return nil, true
	case *ast.BoolNode:
		return v.Value, true
	case *ast.IntegerNode, *ast.FloatNode:
		return d.number(n)
	case *ast.SequenceNode:
		out := make([]any, 0, len(v.Values))
		for _, item := range v.Values {
			value, ok := d.plain(item)
			if !ok {
				return nil, false
			}
			out = append(out, value)
		}
		return out, true
	}
	if m, ok := asMapping(n); ok {
		out := map[string]any{}
		for _, p := range d.pairs(m) {
			value, ok := d.plain(p.value)
			if !ok {
				return nil, false
			}
			out[p.key] = value
		}
		return out, true
	}
	return d.text(n)
}

// locate is the place of a dotted path below n: the value where it stands on the line of its key, else the key; of a path
// that is not there, the nearest part that is. fallback is the place of n itself.
func locate(n ast.Node, path string, fallback place) place {
	if n == nil || path == "" {
		return fallback
	}
	if m, ok := asMapping(n); ok {
		for _, v := range m.Values {
			key, _ := keyText(v.Key)
			if rest, ok := strings.CutPrefix(path, key); ok && key != "" && (rest == "" || rest[0] == '.') {
				return locate(v.Value, strings.TrimPrefix(rest, "."), placeOfValue(v))
			}
		}
		return fallback
	}
	head, rest, _ := strings.Cut(path, ".")
	if item := itemOf(n, head); item != nil {
		return locate(item, rest, placeOf(item))
	}
	return fallback
}

// itemOf is the item of a list at an index in text; nil where there is none.
func itemOf(n ast.Node, index string) ast.Node {
	s, ok := n.(*ast.SequenceNode)
	if i, err := strconv.Atoi(index); ok && err == nil && i >= 0 && i < len(s.Values) {
		return s.Values[i]
	}
	return nil
}

func placeOfValue(v *ast.MappingValueNode) place {
	key := placeOfToken(v.Key.GetToken())
	if _, null := v.Value.(*ast.NullNode); null {
		return key
	}
	if at := placeOf(v.Value); at.line == key.line {
		return at
	}
	return key
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
