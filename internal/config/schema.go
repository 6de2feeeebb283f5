package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/params"
)

const (
	secretRef    = "#/$defs/secret"
	conditionRef = "#/$defs/condition"
)

// Schema is the JSON Schema (2020-12) of the file, for editors and for tools that write it. It is made of the structs that
// the file is decoded into, with the parameters of every kind of reg. It knows less than Load: names that must be unique
// and times that must fit are not in it.
func Schema(reg Registry) ([]byte, error) {
	root := reflector().ReflectFromType(reflect.TypeFor[file]())
	root.Version = jsonschema.Version
	root.Title = "Windsock configuration"
	root.Definitions = jsonschema.Definitions{"secret": secretSchema(), "condition": conditionSchema()}
	fill(root, reflect.ValueOf(defaults()))
	if err := itemKinds(root, "checks", reflect.ValueOf(*presetOf[check]()), checkKinds(reg)); err != nil {
		return nil, err
	}
	if err := itemKinds(root, "exporters", reflect.ValueOf(*presetOf[exporter]()), exporterKinds(reg)); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the schema: %w", err)
	}
	return append(data, '\n'), nil
}

func presetOf[T any]() *T {
	v := new(T)
	if p, ok := any(v).(presetter); ok {
		p.preset()
	}
	return v
}

// kindInfo is what the schema and the reference say of a kind.
type kindInfo struct {
	name, doc string
	defaults  any
}

func checkKinds(reg Registry) []kindInfo {
	out := make([]kindInfo, 0, len(reg.Checks))
	for _, k := range reg.Checks {
		out = append(out, kindInfo{k.Name, k.Doc, k.Defaults})
	}
	return out
}

func exporterKinds(reg Registry) []kindInfo {
	out := make([]kindInfo, 0, len(reg.Exporters))
	for _, k := range reg.Exporters {
		out = append(out, kindInfo{k.Name, k.Doc, k.Defaults})
	}
	return out
}

func reflector() *jsonschema.Reflector { return params.Reflector(ownMapped) }

// mapped are the types that have a form of their own.
func mapped(t reflect.Type) *jsonschema.Schema {
	if own := ownMapped(t); own != nil {
		return own
	}
	return params.Mapped(t)
}

// ownMapped are those of the file that no parameter has, and the file's own form of a secret.
func ownMapped(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[size]():
		return &jsonschema.Schema{Type: "string", Pattern: sizePattern}
	case reflect.TypeFor[checks.Secret]():
		return &jsonschema.Schema{Ref: secretRef}
	case reflect.TypeFor[section]():
		return &jsonschema.Schema{Type: "object"}
	case reflect.TypeFor[condition]():
		return &jsonschema.Schema{Ref: conditionRef}
	case reflect.TypeFor[window]():
		return &jsonschema.Schema{Type: "string", Pattern: windowPattern, Examples: []any{"5 runs", "10m"}}
	case reflect.TypeFor[amount]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
			{Type: "number"}, {Type: "string", Pattern: durationPattern}, {Type: "string", Pattern: percentPattern},
		}}
	case reflect.TypeFor[matchers]():
		least := uint64(1)
		text := &jsonschema.Schema{Type: "string"}
		return &jsonschema.Schema{
			Type: "object", PropertyNames: &jsonschema.Schema{Pattern: attributePattern},
			AdditionalProperties: &jsonschema.Schema{AnyOf: []*jsonschema.Schema{text, {Type: "boolean"}, {Type: "array", MinItems: &least, Items: text}}},
		}
	case reflect.TypeFor[plugins]():
		one := reflector().ReflectFromType(reflect.TypeFor[plugin]())
		one.Version = ""
		fill(one, reflect.ValueOf(*presetOf[plugin]()))
		return &jsonschema.Schema{
			Type: "object", PropertyNames: &jsonschema.Schema{Pattern: pluginPattern}, AdditionalProperties: one,
		}
	case reflect.TypeFor[providers]():
		one := reflector().ReflectFromType(reflect.TypeFor[provider]())
		one.Version = ""
		fill(one, reflect.ValueOf(*presetOf[provider]()))
		return &jsonschema.Schema{
			Type: "object", PropertyNames: &jsonschema.Schema{Pattern: namePattern}, AdditionalProperties: one,
		}
	}
	return nil
}

func secretSchema() *jsonschema.Schema {
	one := reflector().ReflectFromType(reflect.TypeFor[source]())
	one.Version = ""
	least := uint64(1)
	for _, place := range []string{"credential", "file", "env", "command", "secret"} {
		one.OneOf = append(one.OneOf, &jsonschema.Schema{Required: []string{place}})
	}
	one.DependentRequired = map[string][]string{"variables": {"command"}, "refresh": {"command"}}
	return &jsonschema.Schema{
		Description: "A credential by reference: one source, or a list of which the first present wins.",
		AnyOf:       []*jsonschema.Schema{one, {Type: "array", MinItems: &least, Items: one}},
	}
}

// conditionSchema is of a condition, which may hold others.
func conditionSchema() *jsonschema.Schema {
	one := reflector().ReflectFromType(reflect.TypeFor[conditionKeys]())
	one.Version = ""
	for _, key := range []string{"all", "any"} {
		most := uint64(maxConditions)
		if list, ok := one.Properties.Get(key); ok {
			list.MaxItems = &most
		}
	}
	alone := func(key string) *jsonschema.Schema {
		most := uint64(1)
		return &jsonschema.Schema{Required: []string{key}, MaxProperties: &most}
	}
	single := &jsonschema.Schema{Required: []string{"metric"}}
	for _, op := range []string{"above", "below", "equals"} {
		single.OneOf = append(single.OneOf, &jsonschema.Schema{Required: []string{op}})
	}
	one.AnyOf = []*jsonschema.Schema{alone("all"), alone("any"), single}
	return one
}

// itemKinds gives the items of a list the parameters of each kind, under the condition of its name.
func itemKinds(root *jsonschema.Schema, key string, preset reflect.Value, kinds []kindInfo) error {
	list, ok := root.Properties.Get(key)
	if !ok || list.Items == nil {
		return fmt.Errorf("the schema has no list %q", key)
	}
	item := list.Items
	fill(item, preset)
	for _, name := range []string{"name", "provider"} {
		if p, ok := item.Properties.Get(name); ok {
			p.Pattern = namePattern
		}
	}
	kind, ok := item.Properties.Get("kind")
	if !ok {
		return fmt.Errorf("the schema of %q has no kind", key)
	}
	slices.SortFunc(kinds, func(a, b kindInfo) int { return strings.Compare(a.name, b.name) })
	builtIn := &jsonschema.Schema{}
	kind.AnyOf = []*jsonschema.Schema{builtIn, {Pattern: kindPattern}} // the second: those of plugins
	for _, k := range kinds {
		builtIn.Enum = append(builtIn.Enum, k.name)
		with := reflector().ReflectFromType(reflect.TypeOf(k.defaults))
		with.Version, with.Description = "", k.doc
		fill(with, reflect.ValueOf(k.defaults))
		then := &jsonschema.Schema{Properties: jsonschema.NewProperties()}
		then.Properties.Set("with", with)
		if len(with.Required) > 0 {
			then.Required = []string{"with"}
		}
		when := &jsonschema.Schema{Properties: jsonschema.NewProperties(), Required: []string{"kind"}}
		when.Properties.Set("kind", &jsonschema.Schema{Const: k.name})
		item.AllOf = append(item.AllOf, &jsonschema.Schema{If: when, Then: then})
	}
	return nil
}

// fill writes the defaults of a struct into the schema of its fields.
func fill(s *jsonschema.Schema, v reflect.Value) { params.Fill(s, v, defaultOf) }

// defaultOf is the default as the file would say it; nil where zero is no default worth telling.
func defaultOf(v reflect.Value) any {
	if value, ok := reflect.TypeAssert[size](v); ok && value != 0 {
		return fmt.Sprintf("%dMiB", value>>20)
	}
	return params.Default(v)
}
