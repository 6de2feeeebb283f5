package params

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/invopop/jsonschema"

	"github.com/windsock-monitor/windsock/checks"
)

// Mapper gives types a form of their own; nil for those that it has no opinion on.
type Mapper func(reflect.Type) *jsonschema.Schema

// Schema is the JSON Schema (2020-12) of the parameters of a kind, with its defaults filled in: an object without unknown
// keys, in which a secret is {"secret": NAME}. It is an error where the struct cannot be said in a schema: it holds itself, a
// channel or a function, or a field without a yaml tag.
func Schema(defaults any) (text []byte, err error) {
	t := reflect.TypeOf(defaults)
	if t == nil || t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("parameters of type %v, want a struct", t)
	}
	if err := sound(t, nil); err != nil {
		return nil, err
	}
	root := Reflector(nil).ReflectFromType(t)
	root.Version = jsonschema.Version
	Fill(root, reflect.ValueOf(defaults), Default)
	text, err = json.Marshal(root)
	if err != nil {
		return nil, fmt.Errorf("writing the schema of %v: %w", t, err)
	}
	return text, nil
}

// sound refuses what has no schema, which the reflector would answer with a panic or never.
func sound(t reflect.Type, within []reflect.Type) error {
	if slices.Contains(within, t) {
		return fmt.Errorf("parameters of type %v, which holds itself", t)
	}
	if Mapped(t) != nil || t == reflect.TypeFor[time.Time]() {
		return nil
	}
	within = append(slices.Clone(within), t)
	switch t.Kind() { //nolint:exhaustive // all others are scalars
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return sound(t.Elem(), within)
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128, reflect.Uintptr:
		return fmt.Errorf("parameters of type %v, which no file can hold", t)
	case reflect.Struct:
		for f := range t.Fields() {
			tag, tagged := f.Tag.Lookup("yaml")
			switch {
			case !f.IsExported() || tag == "-":
				continue
			case !tagged:
				return fmt.Errorf("the field %s of %v has no yaml tag", f.Name, t)
			}
			if err := sound(f.Type, within); err != nil {
				return err
			}
		}
	}
	return nil
}

// Reflector makes schemas of structs by the tags of params structs. own is asked before Mapped; nil for nobody.
func Reflector(own Mapper) *jsonschema.Reflector {
	mapper := Mapped
	if own != nil {
		mapper = func(t reflect.Type) *jsonschema.Schema {
			if s := own(t); s != nil {
				return s
			}
			return Mapped(t)
		}
	}
	return &jsonschema.Reflector{
		Anonymous: true, DoNotReference: true, ExpandedStruct: true, RequiredFromJSONSchemaTags: true, FieldNameTag: "yaml",
		Mapper: mapper,
		// By default two types of one name are one type: params that hold another package's Params would be that.
		Namer: func(t reflect.Type) string { return strings.ReplaceAll(t.PkgPath(), "/", ".") + "." + t.Name() },
	}
}

// Mapped are the types that have a form of their own in the parameters of every kind; nil for all others.
func Mapped(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: DurationPattern, Examples: []any{"500ms", "5s", "10m", "24h"}}
	case reflect.TypeFor[checks.PicoUSD]():
		return &jsonschema.Schema{Type: "number", ExclusiveMinimum: "0", Maximum: json.Number(strconv.Itoa(MostDollars))}
	case reflect.TypeFor[checks.Secret]():
		return secretSchema()
	case reflect.TypeFor[time.Time]():
		return nil // the reflector knows it
	}
	pointer := reflect.PointerTo(t)
	switch {
	case pointer.Implements(reflect.TypeFor[OwnForm]()):
		if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String {
			one := &jsonschema.Schema{Type: "string"}
			return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{one, {Type: "array", Items: one}}}
		}
		if !t.Implements(reflect.TypeFor[interface{ JSONSchema() *jsonschema.Schema }]()) {
			return &jsonschema.Schema{} // anything: the type itself says what it takes
		}
	case t.Kind() != reflect.Pointer && pointer.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return &jsonschema.Schema{Type: "string"}
	}
	return nil
}

// secretSchema is of a secret in the parameters of a plugin, which are told the name of a secret and its value aside.
func secretSchema() *jsonschema.Schema {
	properties := jsonschema.NewProperties()
	properties.Set("secret", &jsonschema.Schema{Type: "string"})
	return &jsonschema.Schema{
		Type: "object", Properties: properties, Required: []string{"secret"}, AdditionalProperties: jsonschema.FalseSchema,
	}
}

// Fill writes the values of a struct into the schema of its fields as their defaults, in the words of say, which is Default or
// asks it; nil is none.
func Fill(s *jsonschema.Schema, v reflect.Value, say func(reflect.Value) any) {
	if s.Properties == nil || v.Kind() != reflect.Struct {
		return
	}
	for _, f := range Fields(v.Type()) {
		property, ok := s.Properties.Get(f.Name)
		if !ok {
			continue
		}
		value := v.FieldByIndex(f.Index)
		if property.Properties != nil {
			Fill(property, value, say)
		} else if d := say(value); d != nil && property.Default == nil {
			property.Default = d
		}
	}
}

// Default is a value as the file would say it; nil where zero is no default worth telling.
func Default(v reflect.Value) any {
	if v.IsZero() {
		return nil
	}
	switch value := v.Interface().(type) {
	case time.Duration:
		return FormatDuration(value)
	case checks.PicoUSD:
		return dollars(value)
	case encoding.TextMarshaler:
		if text, err := value.MarshalText(); err == nil {
			return string(text)
		}
		return nil
	}
	switch v.Kind() { //nolint:exhaustive // all others are sections
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return v.Uint()
	case reflect.Float32, reflect.Float64:
		return v.Float()
	}
	return nil
}

// dollars are the digits of an amount: "0.05".
func dollars(p checks.PicoUSD) json.Number {
	text := fmt.Sprintf("%d.%012d", p/checks.Dollar, p%checks.Dollar)
	return json.Number(strings.TrimSuffix(strings.TrimRight(text, "0"), "."))
}
