package checktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/goccy/go-yaml"

	"github.com/windsock-monitor/windsock/checks"
)

// Decoder reads the `with:` section from text, as strictly as the agent does: an unknown or repeated key is an error,
// times are written "5s", and an empty text leaves the defaults. Every field of type checks.Secret, whatever its text,
// becomes a secret whose value is key.
func Decoder(text, key string) checks.Decoder { return decoder{text, key} }

type decoder struct{ text, key string }

func (d decoder) Decode(into any) error {
	var section any
	if err := yaml.Unmarshal([]byte(d.text), &section); err == nil && section == nil {
		return nil // the library would set everything to zero
	}
	asSecret := func(s *checks.Secret, _ []byte) error {
		*s = Secret(d.key)
		return nil
	}
	err := yaml.NewDecoder(bytes.NewBufferString(d.text), yaml.Strict(), yaml.CustomUnmarshaler(asSecret)).Decode(into)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the parameters: %w", err)
	}
	return nil
}

// Secret is a secret whose value is key; absent where key is "".
func Secret(key string) checks.Secret { return checks.NewSecret(source(key)) }

type source string

func (s source) Read(context.Context) (string, error) {
	if s == "" {
		return "", checks.ErrNoSecret
	}
	return string(s), nil
}

func (s source) Renew(context.Context) (bool, error) { return false, nil }

func (s source) Where() string { return "the test" }
