package sdk

import (
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/params"
)

// decoder reads a JSON value into Go values as the agent's configuration reads YAML, so that a kind takes the same parameters
// in both: values that are given replace defaults, maps and lists are replaced whole. It goes on after a fault.
type decoder struct {
	doc     any // objects are map[string]any, numbers json.Number
	secrets map[string][]byte
}

// Decode implements checks.Decoder.
func (d decoder) Decode(into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("decoding into a %T, want a pointer", into)
	}
	r := &reading{secrets: d.secrets}
	r.value("", d.doc, v.Elem())
	return errors.Join(r.errs...)
}

// reading is one pass over a value.
type reading struct {
	secrets map[string][]byte
	errs    []error
}

func (r *reading) bad(path, format string, args ...any) {
	r.errs = append(r.errs, checks.Invalid(path, format, args...))
}

func below(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (r *reading) value(path string, doc any, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		fresh := reflect.New(v.Type().Elem())
		if !v.IsNil() {
			fresh.Elem().Set(v.Elem())
		}
		r.value(path, doc, fresh.Elem())
		v.Set(fresh)
		return
	}
	if r.special(path, doc, v) {
		return
	}
	switch v.Kind() { //nolint:exhaustive // all others are scalars
	case reflect.Struct:
		r.structure(path, doc, v)
	case reflect.Map:
		r.mapOf(path, doc, v)
	case reflect.Slice:
		r.list(path, doc, v)
	case reflect.Interface:
		if value := plain(doc); value != nil {
			v.Set(reflect.ValueOf(value))
		}
	default:
		r.scalar(path, doc, v)
	}
}

// special reads the types that have a form of their own.
func (r *reading) special(path string, doc any, v reflect.Value) bool {
	switch into := v.Addr().Interface().(type) {
	case *time.Duration:
		r.duration(path, doc, into)
	case *checks.PicoUSD:
		r.money(path, doc, into)
	case *checks.Secret:
		r.secret(path, doc, into)
	case params.OwnForm:
		err := into.UnmarshalYAML(func(inner any) error {
			sub := &reading{secrets: r.secrets}
			sub.value("", doc, reflect.ValueOf(inner).Elem())
			return errors.Join(sub.errs...)
		})
		for _, err := range flat(err) {
			r.within(path, err)
		}
	case encoding.TextUnmarshaler:
		text, ok := doc.(string)
		if !ok {
			r.bad(path, "found %s, want text", describe(doc))
		} else if err := into.UnmarshalText([]byte(text)); err != nil {
			r.bad(path, "found %s: %v", describe(doc), err)
		}
	default:
		return false
	}
	return true
}

// within keeps what an own form said of its value, under the value's path.
func (r *reading) within(path string, err error) {
	invalid, ok := errors.AsType[*checks.ParamError](err)
	switch {
	case !ok:
		r.bad(path, "%v", err)
	case invalid.Path == "":
		r.bad(path, "%s", invalid.Msg)
	default:
		r.bad(below(path, invalid.Path), "%s", invalid.Msg)
	}
}

func (r *reading) structure(path string, doc any, v reflect.Value) {
	object, ok := doc.(map[string]any)
	if !ok {
		r.bad(path, "found %s, want an object", describe(doc))
		return
	}
	known := map[string]bool{}
	for _, f := range params.Fields(v.Type()) {
		known[f.Name] = true
		value, given := object[f.Name]
		switch {
		case given:
			r.field(below(path, f.Name), value, v.FieldByIndex(f.Index), f.Enum)
		case f.Required:
			r.bad(below(path, f.Name), "the parameter is missing")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if !known[key] {
			r.bad(below(path, key), "there is no such parameter")
		}
	}
}

func (r *reading) field(path string, doc any, v reflect.Value, enum []string) {
	before := len(r.errs)
	r.value(path, doc, v)
	if len(enum) > 0 && len(r.errs) == before && v.Kind() == reflect.String && !slices.Contains(enum, v.String()) {
		r.bad(path, "found %q, want one of %s", v.String(), strings.Join(enum, ", "))
	}
}

func (r *reading) mapOf(path string, doc any, v reflect.Value) {
	object, ok := doc.(map[string]any)
	if !ok || v.Type().Key().Kind() != reflect.String {
		r.bad(path, "found %s, want an object", describe(doc))
		return
	}
	fresh := reflect.MakeMapWithSize(v.Type(), len(object))
	for _, key := range slices.Sorted(maps.Keys(object)) {
		element := reflect.New(v.Type().Elem()).Elem()
		r.value(below(path, key), object[key], element)
		fresh.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), element)
	}
	v.Set(fresh)
}

func (r *reading) list(path string, doc any, v reflect.Value) {
	items, ok := doc.([]any)
	if !ok {
		r.bad(path, "found %s, want a list", describe(doc))
		return
	}
	fresh := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		r.value(below(path, strconv.Itoa(i)), item, fresh.Index(i))
	}
	v.Set(fresh)
}

func (r *reading) scalar(path string, doc any, v reflect.Value) {
	switch {
	case v.Kind() == reflect.String:
		if text, ok := doc.(string); ok {
			v.SetString(text)
			return
		}
		r.bad(path, "found %s, want text", describe(doc))
	case v.Kind() == reflect.Bool:
		if b, ok := doc.(bool); ok {
			v.SetBool(b)
			return
		}
		r.bad(path, "found %s, want true or false", describe(doc))
	case v.CanInt(), v.CanUint():
		r.whole(path, doc, v)
	case v.CanFloat():
		n, ok := doc.(json.Number)
		f, err := n.Float64()
		if !ok || err != nil || math.IsInf(f, 0) || v.OverflowFloat(f) {
			r.bad(path, "found %s, want a number", describe(doc))
			return
		}
		v.SetFloat(f)
	default:
		r.bad(path, "this plugin cannot read a %s", v.Type())
	}
}

func (r *reading) whole(path string, doc any, v reflect.Value) {
	n, ok := exact(doc)
	if !ok || !n.IsInt() {
		r.bad(path, "found %s, want a whole number", describe(doc))
		return
	}
	switch i := n.Num(); {
	case v.CanInt() && i.IsInt64() && !v.OverflowInt(i.Int64()):
		v.SetInt(i.Int64())
	case v.CanUint() && i.IsUint64() && !v.OverflowUint(i.Uint64()):
		v.SetUint(i.Uint64())
	default:
		r.bad(path, "found %s, want a whole number that a %s can hold", describe(doc), v.Kind())
	}
}

// exact is a number as its digits say it; false for one that is none, or out of its senses.
func exact(doc any) (*big.Rat, bool) {
	n, ok := doc.(json.Number)
	if !ok || !regexp.MustCompile(`^-?[0-9]{1,24}(\.[0-9]{1,24})?([eE][-+]?[0-9]{1,2})?$`).MatchString(n.String()) {
		return nil, false
	}
	return new(big.Rat).SetString(n.String())
}

func (r *reading) duration(path string, doc any, into *time.Duration) {
	text, ok := doc.(string)
	d, err := params.ParseDuration(text)
	if !ok || err != nil || d < 0 {
		r.bad(path, "found %s, want a duration such as 500ms, 5s, 10m or 24h", describe(doc))
		return
	}
	*into = d
}

func (r *reading) money(path string, doc any, into *checks.PicoUSD) {
	n, ok := exact(doc)
	if !ok || n.Sign() < 0 || n.Cmp(big.NewRat(params.MostDollars, 1)) > 0 {
		r.bad(path, "found %s, want US dollars as a number such as 0.05, at most %d", describe(doc), params.MostDollars)
		return
	}
	pico := new(big.Rat).Mul(n, big.NewRat(int64(checks.Dollar), 1))
	if !pico.IsInt() {
		r.bad(path, "found %s, want at most 12 digits after the point", describe(doc))
		return
	}
	*into = checks.PicoUSD(pico.Num().Int64())
}

func (r *reading) secret(path string, doc any, into *checks.Secret) {
	object, _ := doc.(map[string]any)
	name, ok := object["secret"].(string)
	if !ok || len(object) != 1 {
		r.bad(path, `want a secret by reference, {"secret": NAME}`)
		return
	}
	value, sent := r.secrets[name]
	*into = checks.NewSecret(&sentSecret{name: name, value: string(value), sent: sent})
}

// sentSecret is a secret as the agent sent it. A new value comes with a new configuration.
type sentSecret struct {
	name, value string
	sent        bool
}

func (s *sentSecret) Read(context.Context) (string, error) {
	if !s.sent {
		return "", fmt.Errorf("secret %q: %w", s.name, checks.ErrNoSecret)
	}
	return s.value, nil
}

func (s *sentSecret) Renew(context.Context) (bool, error) { return false, nil }

func (s *sentSecret) Where() string { return fmt.Sprintf("secret %q of the agent", s.name) }

// plain is a value of no given type.
func plain(doc any) any {
	switch v := doc.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64()
		return f
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = plain(item)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = plain(item)
		}
		return out
	}
	return doc
}

// describe names a value without telling it where it may be long, or a secret.
func describe(doc any) string {
	switch v := doc.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return "the number " + v.String()
	case string:
		if len(v) > 32 {
			return "a text"
		}
		return strconv.Quote(v)
	case []any:
		return "a list"
	}
	return "an object"
}
