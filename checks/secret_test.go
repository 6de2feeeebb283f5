package checks_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/windsock-monitor/windsock/checks"
)

const canary = "sk-canary-4711/+x"

type stubSource struct{ value string }

func (s stubSource) Read(context.Context) (string, error) { return s.value, nil }
func (s stubSource) Renew(context.Context) (bool, error)  { return true, nil }
func (s stubSource) Where() string                        { return "a test" }

type holder struct {
	Name  string         `json:"name"  yaml:"name"`
	Key   checks.Secret  `json:"key"   yaml:"key"`
	Ref   *checks.Secret `json:"ref"   yaml:"ref"`
	Inner struct {
		Keys []checks.Secret          `json:"keys" yaml:"keys"`
		Map  map[string]checks.Secret `json:"map"  yaml:"map"`
	} `json:"inner" yaml:"inner"`
}

func held() holder {
	secret := checks.NewSecret(stubSource{canary})
	h := holder{Name: "n", Key: secret, Ref: &secret}
	h.Inner.Keys = []checks.Secret{secret}
	h.Inner.Map = map[string]checks.Secret{"a": secret}
	return h
}

func leaks(text string) bool {
	return strings.Contains(text, canary) || strings.Contains(text, "4711") ||
		strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(canary)))
}

func TestASecretPrintsRedactedUnderEveryVerb(t *testing.T) {
	t.Parallel()
	secret := checks.NewSecret(stubSource{canary})
	for verb := range strings.FieldsSeq("%v %+v %#v %d %s %q %x %X %t %b %o %c %U %e %g %20s %-5v %08d") {
		if got := fmt.Sprintf(verb, secret); got != checks.Redacted {
			t.Errorf("%s prints %q, want %q", verb, got, checks.Redacted)
		}
		if got := fmt.Sprintf(verb, held()); leaks(got) {
			t.Errorf("%s of a nested struct prints the secret: %s", verb, got)
		}
		if got := fmt.Sprintf(verb, &secret); leaks(got) {
			t.Errorf("%s of a pointer prints the secret: %s", verb, got)
		}
	}
	if got := fmt.Sprint(secret, secret.String(), secret.GoString()); strings.Count(got, checks.Redacted) != 3 {
		t.Errorf("printed %q, want three times %s", got, checks.Redacted)
	}
	if err := fmt.Errorf("with %w and %v", errors.New("x"), held()); leaks(err.Error()) {
		t.Errorf("an error prints the secret: %v", err)
	}
}

func TestASecretIsRedactedInEveryEncoding(t *testing.T) {
	t.Parallel()
	texts := map[string]string{}
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"slog text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"slog json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var out bytes.Buffer
		secret := checks.NewSecret(stubSource{canary})
		log := slog.New(handler(&out)).With("bound", held())
		log.Info("message", "value", secret, "pointer", &secret, "nested", held(), slog.Group("group", "value", secret), "any", []any{secret})
		texts[name] = out.String()
	}
	asJSON, err := json.Marshal(held())
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(held())
	if err != nil {
		t.Fatal(err)
	}
	asText, err := held().Key.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	texts["json"], texts["yaml"], texts["text"] = string(asJSON), string(asYAML), string(asText)
	for name, text := range texts {
		if leaks(text) {
			t.Errorf("%s holds the secret: %s", name, text)
		}
		if !strings.Contains(text, checks.Redacted) {
			t.Errorf("%s holds no %s: %s", name, checks.Redacted, text)
		}
	}
}

func TestAnAbsentSecretSaysSo(t *testing.T) {
	t.Parallel()
	var absent checks.Secret
	if _, err := absent.Reveal(t.Context()); !errors.Is(err, checks.ErrNoSecret) {
		t.Errorf("revealing gave %v, want ErrNoSecret", err)
	}
	if _, err := absent.Renew(t.Context()); !errors.Is(err, checks.ErrNoSecret) {
		t.Errorf("renewing gave %v, want ErrNoSecret", err)
	}
	if got := fmt.Sprintf("%v %s %t", absent, absent.Where(), absent.IsZero()); got != "[redacted] no source true" || absent.Used() != "no source" {
		t.Errorf("the absent secret says %q", got)
	}
}

func TestASecretIsReadThroughItsSource(t *testing.T) {
	t.Parallel()
	secret := checks.NewSecret(stubSource{canary})
	if got, err := secret.Reveal(t.Context()); got != canary || err != nil {
		t.Errorf("revealed %q, %v", got, err)
	}
	if changed, err := secret.Renew(t.Context()); !changed || err != nil {
		t.Errorf("renewed %v, %v, want true", changed, err)
	}
	if secret.IsZero() || secret.Where() != "a test" || secret.Used() != "a test" {
		t.Errorf("where %q, used %q, want the source's word", secret.Where(), secret.Used())
	}
}
