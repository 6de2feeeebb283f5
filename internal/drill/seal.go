package drill

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// The keys of a drill open nothing but the drill's own API.
const (
	primaryKey  = "windsock-drill-primary-key"
	fallbackKey = "windsock-drill-fallback-key"
)

// fixed is a secret of the drill in the place of one of the team's.
type fixed string

// Read implements checks.SecretSource.
func (f fixed) Read(context.Context) (string, error) { return string(f), nil }

// Renew implements checks.SecretSource: it never changes.
func (f fixed) Renew(context.Context) (bool, error) { return false, nil }

// Where implements checks.SecretSource.
func (f fixed) Where() string { return "the drill" }

// Changed implements checks.SecretAge: just now, so that no key is too old.
func (f fixed) Changed() (time.Time, bool) { return time.Now(), true }

// standIn is what a secret of a name is in a drill; owner tells those of several apart.
func standIn(key, owner string) checks.Secret {
	sum := sha256.Sum256([]byte("windsock drill " + owner + " " + key))
	mark := hex.EncodeToString(sum[:16])
	switch key {
	case "webhook_url":
		return checks.NewSecret(fixed("https://hooks.drill.invalid/services/" + mark))
	case "url":
		return checks.NewSecret(fixed("https://hook.drill.invalid/" + mark))
	case "routing_key":
		return checks.NewSecret(fixed(mark))
	case "token":
		return checks.NewSecret(fixed("xoxb-drill-" + mark))
	}
	return checks.NewSecret(fixed("drill-" + mark))
}

// sealed reads a section without what is the team's alone: its secrets and the files of keys and certificates.
type sealed struct {
	checks.Decoder
	owner  string
	change func(params any) // may be nil
}

// Decode implements checks.Decoder.
func (s sealed) Decode(into any) error {
	if err := s.Decoder.Decode(into); err != nil {
		return err //nolint:wrapcheck // it is placed
	}
	s.walk(reflect.ValueOf(into), "")
	if s.change != nil {
		s.change(into)
	}
	return nil
}

// walk puts stand-ins below v, which stands under a key.
func (s sealed) walk(v reflect.Value, key string) {
	switch v.Kind() { //nolint:exhaustive // nothing else holds anything
	case reflect.Pointer:
		if !v.IsNil() {
			s.walk(v.Elem(), key)
		}
	case reflect.Struct:
		s.fields(v, key)
	case reflect.Slice:
		if v.Type().Elem() == secretType() && v.CanSet() { // which may be shared with the defaults
			v.Set(reflect.AppendSlice(reflect.MakeSlice(v.Type(), 0, v.Len()), v))
		}
		for i := range v.Len() {
			s.walk(v.Index(i), key)
		}
	case reflect.Map:
		if v.Type().Elem() == secretType() && !v.IsNil() && v.CanSet() {
			fresh := reflect.MakeMap(v.Type())
			for name := range v.Seq() {
				fresh.SetMapIndex(name, reflect.ValueOf(standIn(key, s.owner+name.String())))
			}
			v.Set(fresh)
		}
	}
}

func secretType() reflect.Type { return reflect.TypeFor[checks.Secret]() }

func (s sealed) fields(v reflect.Value, key string) {
	if v.Type() == secretType() {
		s.replace(v, key)
		return
	}
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() {
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			s.field(v.Field(i), name)
		}
	}
}

func (s sealed) field(v reflect.Value, name string) {
	switch {
	case v.Kind() == reflect.String && v.CanSet() && (name == "ca_file" || name == "cert_file" || name == "key_file"):
		v.SetString("") // the drill has its own authority, and nobody asks who we are
	default:
		s.walk(v, name)
	}
}

func (s sealed) replace(v reflect.Value, key string) {
	if given, ok := reflect.TypeAssert[checks.Secret](v); ok && !given.IsZero() && v.CanSet() {
		v.Set(reflect.ValueOf(standIn(key, s.owner)))
	}
}

// paramsOf decodes a section of a kind into its own type; false where that is another or the section cannot be read.
func paramsOf[P any](kind checks.Kind, d checks.Decoder) (P, bool) {
	defaults, ok := kind.Defaults.(P)
	if !ok {
		return defaults, false
	}
	params, err := checks.DecodeParams(d, defaults)
	return params, err == nil
}
